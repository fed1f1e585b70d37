/**
 * Decides on alerts: which rule one falls under, whether it was answered before, and what the guards say. Deliveries come
 * at least once, and often; what is done for an alert is done at most `maxAttempts` times, after failures only.
 */
import type { ActionAnswer, AlertDecision, Decision, Grant, HookAnswer, HookRule } from '../model/admin.ts';
import type { Logger } from '../model/logger.ts';
import type { Clock } from '../model/clock.ts';
import type { Snapshot } from '../model/snapshot.ts';
import { covers } from './access.ts';
import type { Actions, Order } from './actions.ts';
import type { Alert, BadAlert, Delivery } from './hooks/alerts.ts';
import { attemptKey } from './hooks/attempt-key.ts';
import type { RuleBook } from './hooks/rules.ts';
import { targetOf } from './hooks/rules.ts';
import type { Ledger } from './ledger.ts';

export interface RemediationOptions {
  readonly rules: RuleBook;
  readonly actions: Actions;
  readonly ledger: Ledger;
  readonly clock: Clock;
  readonly logger: Logger;
  /** A fresh one. */
  readonly snapshot: () => Promise<Snapshot>;
  /** The server's name of an interface, of which alerts know what is shown. */
  readonly interfaceNamed: (shown: string, snapshot: Snapshot) => string;
  readonly onDecided: (rule: string, decision: Decision) => void;
}

/** Actions that wait until fewer are under way. */
const QUEUE_LIMIT = 100;
/** Alerts whose last decision is known, so that the audit log need not say the same again. */
const REMEMBERED = 20_000;
/** After so long, others have their turn. */
const BUSY_MS = 10;
/** Alerts that one line of the audit log tells of. */
const MAX_TOLD = 50;

interface Waiting {
  readonly order: Order;
  readonly rule: HookRule;
}

export class Remediation {
  readonly #options: RemediationOptions;
  #rules: RuleBook;
  /** By attempt key, first come first served. */
  readonly #queue = new Map<string, Waiting>();
  /** Attempt keys on which the guards are asked just now. */
  readonly #asking = new Set<string>();
  readonly #lastDecisions = new Map<string, Decision>();
  #draining = false;
  #drainAgain = false;

  constructor(options: RemediationOptions) {
    this.#options = options;
    this.#rules = options.rules;
  }

  /** What waits for its turn goes with the rules that are gone. */
  setRules(rules: RuleBook, names: ReadonlySet<string>): void {
    this.#rules = rules;
    for (const [key, { rule }] of this.#queue) if (!names.has(rule.name)) this.#queue.delete(key);
  }

  get waiting(): number {
    return this.#queue.size;
  }

  async decide(delivery: Delivery, caller: Grant, route: string): Promise<HookAnswer> {
    const { clock } = this.#options;
    const snapshot = await this.#options.snapshot();
    const alerts: AlertDecision[] = [];
    const told: Record<string, string>[] = [];
    const counts: Partial<Record<Decision, number>> = {};
    let retry = false;
    let since = clock.monotonicMs();
    for (const alert of delivery.alerts) {
      if (clock.monotonicMs() - since > BUSY_MS) {
        await clock.sleep(0);
        since = clock.monotonicMs();
      }
      const decided =
        'problem' in alert
          ? this.#refuseBad(alert)
          : await this.#decideOne(alert, delivery, caller, route, snapshot);
      if ('retry' in decided && decided.retry) retry = true;
      const { fingerprint, rule, decision, reason } = decided;
      const actionId = 'actionId' in decided ? decided.actionId : undefined;
      alerts.push({ fingerprint, rule, decision, reason, ...(actionId !== undefined && { actionId }) });
      counts[decision] = (counts[decision] ?? 0) + 1;
      if (this.#isNew(alert, rule, decision) && told.length < MAX_TOLD) {
        told.push({ fingerprint, rule: rule ?? '', decision });
      }
    }
    if (told.length > 0) {
      const { source, receiver } = delivery;
      await this.#options.actions.tell({
        route,
        actor: caller.name,
        source,
        receiver,
        counts,
        alerts: told,
      });
      this.#options.logger.info('alerts decided', { source, ...counts });
    }
    return { alerts, retry };
  }

  /** Called when there is room for an action: those that wait come next. Never rejects. */
  async drain(): Promise<void> {
    this.#drainAgain = true;
    if (this.#draining) return;
    this.#draining = true;
    try {
      while (this.#drainAgain) {
        this.#drainAgain = false;
        await this.#startWaiting();
      }
    } catch (error) {
      this.#options.logger.error('waiting actions could not be started', { error });
    } finally {
      this.#draining = false;
    }
  }

  async #startWaiting(): Promise<void> {
    for (const [key, { order, rule }] of this.#queue) {
      const snapshot = await this.#options.snapshot();
      if (this.#options.actions.isCrowded) return;
      // It may have been cancelled meanwhile.
      if (!this.#queue.delete(key)) continue;
      const { decision } = await this.#ask(key, order, snapshot);
      this.#count(rule.name, decision);
      if (decision === 'execute') continue;
      // When it was delivered, it was to be executed.
      const { route, actor, alert } = order;
      await this.#options.actions.tell({
        route,
        actor,
        counts: { [decision]: 1 },
        alerts: [{ fingerprint: alert?.fingerprint ?? '', rule: rule.name, decision }],
      });
    }
  }

  async #ask(key: string, order: Order, snapshot: Snapshot): Promise<ActionAnswer> {
    this.#asking.add(key);
    try {
      return await this.#options.actions.request(order, snapshot);
    } finally {
      this.#asking.delete(key);
    }
  }

  #refuseBad({ problem, fingerprint = '' }: BadAlert): AlertDecision {
    this.#count('', 'invalid');
    return { fingerprint, rule: undefined, decision: 'invalid', reason: problem };
  }

  async #decideOne(
    alert: Alert,
    { truncated, traceparent }: Delivery,
    caller: Grant,
    route: string,
    snapshot: Snapshot,
  ): Promise<AlertDecision & { readonly retry?: boolean }> {
    const { ledger, clock, actions, interfaceNamed } = this.#options;
    const { fingerprint } = alert;
    const rule = this.#rules.ruleFor(alert);
    const say = (decision: Decision, reason: string): AlertDecision => {
      this.#count(rule?.name ?? '', decision);
      return { fingerprint, rule: rule?.name, decision, reason };
    };
    if (!rule) return say('no_rule', 'no rule matches its labels');
    const key = attemptKey(fingerprint, alert.startsAt, rule.name);
    const shown = targetOf(rule, alert);
    if (shown === undefined)
      return say('invalid', `the label ${rule.targetLabel}, which names the target, is missing or empty`);
    const byInterface = rule.action === 'reconnect' || rule.action === 'disconnect';
    const target = byInterface ? { interface: interfaceNamed(shown, snapshot) } : { connection: shown };
    if (!covers(caller, target.interface))
      return say('forbidden', `${caller.name} may not act on this target`);
    if (alert.status === 'resolved') {
      const cancelled = this.#queue.delete(key);
      return say('resolved', cancelled ? 'what waited for it is cancelled' : 'nothing is to be done');
    }
    if (truncated > 0 && !rule.allowTruncated) {
      return say('truncated', `the notification lacks ${truncated} alerts, and the rule does not allow that`);
    }
    if (this.#queue.has(key)) return say('duplicate', 'it waits for its turn');
    if (this.#asking.has(key)) return say('duplicate', 'it is being decided');
    const attempt = ledger.attempt(key);
    if (attempt) {
      if (attempt.underway) return say('duplicate', 'an attempt for it is under way');
      if (attempt.executed >= rule.maxAttempts) {
        return say('duplicate', `all of its ${rule.maxAttempts} attempts were made`);
      }
      const waitMs = attempt.nextAtMs - clock.monotonicMs();
      if (waitMs > 0) {
        return say(
          'duplicate',
          waitMs === Infinity
            ? 'it was answered'
            : `the next attempt may come in ${Math.ceil(waitMs / 1000)} s`,
        );
      }
    }
    const order: Order = {
      action: rule.action,
      target,
      actor: caller.name,
      route,
      reason: `alert ${alert.labels.get('alertname') ?? fingerprint} by rule ${rule.name}`,
      force: false,
      override: [],
      dryRun: rule.dryRun,
      cooldownMs: rule.cooldownMs,
      cooldownMaxMs: rule.cooldownMaxMs,
      alert: { rule: rule.name, fingerprint, startsAt: alert.startsAt, attemptKey: key },
      traceparent,
    };
    const answer = await this.#ask(key, order, snapshot);
    if (answer.crowded === true && this.#queue.size < QUEUE_LIMIT) {
      this.#queue.set(key, { order, rule });
      // The last of them may have ended since it was asked.
      if (!actions.isCrowded) void this.drain();
      return {
        fingerprint,
        rule: rule.name,
        decision: 'execute',
        reason: 'it waits until fewer actions are under way',
      };
    }
    const decided = say(answer.decision, answer.reason);
    return {
      ...decided,
      ...(answer.decision === 'execute' && answer.action && { actionId: answer.action.id }),
      retry: answer.decision === 'audit' || answer.missing === 'server',
    };
  }

  #count(rule: string, decision: Decision): void {
    this.#options.onDecided(rule, decision);
  }

  /** Whether the audit log does not have this decision on this alert yet; intents have lines of their own. */
  #isNew(alert: Delivery['alerts'][number], rule: string | undefined, decision: Decision): boolean {
    if (decision === 'execute') return false;
    const key =
      'problem' in alert ? alert.problem : attemptKey(alert.fingerprint, alert.startsAt, rule ?? '');
    if (this.#lastDecisions.get(key) === decision) return false;
    this.#lastDecisions.delete(key);
    this.#lastDecisions.set(key, decision);
    if (this.#lastDecisions.size > REMEMBERED) {
      for (const oldest of this.#lastDecisions.keys()) if (this.#lastDecisions.delete(oldest)) break;
    }
    return true;
  }
}
