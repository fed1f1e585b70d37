/** Metrics of the guarded actions, kept by prom-client. Only an exporter that serves the admin API has them. */
import type { Registry } from 'prom-client';
import { Counter, Gauge, Histogram } from 'prom-client';
import type { ActionName, Decision } from '../model/admin.ts';
import { ACTIONS, DECISIONS } from '../model/admin.ts';

/** What is read at each scrape. */
export interface AdminState {
  readonly paused: () => boolean;
  /** By the name that is shown: whether the interface's breaker is open. */
  readonly breakers: () => Iterable<readonly [interfaceName: string, open: boolean]>;
}

/** What any request may end with, before there is anything to decide. */
const REFUSALS = ['unauthenticated', 'forbidden', 'invalid', 'busy', 'gone'] as const;
const OF_ACTIONS = [
  'execute',
  'dry_run',
  'duplicate',
  'cooldown',
  'rate',
  'breaker',
  'min_healthy',
  'denied',
  'paused',
  'audit',
] as const;
/** What else, by route. */
const ROUTES: Readonly<Record<string, readonly Decision[]>> = {
  ...Object.fromEntries(ACTIONS.map((action) => [action, OF_ACTIONS])),
  reconnect: [...OF_ACTIONS, 'already_connected'],
  reset: ['execute', 'audit'],
  pause: ['execute'],
  resume: ['execute'],
  actions: ['execute'],
  alertmanager: ['execute', 'audit'],
  grafana: ['execute', 'audit'],
};
/** On an alert that falls under a rule; the request that brought it had a caller. */
const OF_RULES = DECISIONS.filter((decision) => decision !== 'no_rule' && decision !== 'unauthenticated');

/** Each counter is there with a 0 before its first event: what begins with a 1 has no increase. */
export class AdminMetrics {
  readonly #requests: Counter<'route' | 'decision'>;
  readonly #actions: Counter<'action'>;
  readonly #failures: Counter<'action'>;
  readonly #durations: Histogram<'action'>;
  readonly #auditFailures: Counter;
  readonly #decisions: Counter<'rule' | 'decision'>;

  constructor(registry: Registry, state: AdminState) {
    const registers = [registry];
    this.#requests = new Counter({
      name: 'rras_admin_requests_total',
      help: 'Requests to the admin API and the hooks, by what was decided.',
      labelNames: ['route', 'decision'],
      registers,
    });
    this.#actions = new Counter({
      name: 'rras_admin_actions_total',
      help: 'Actions that were executed: their intent is in the audit log.',
      labelNames: ['action'],
      registers,
    });
    this.#failures = new Counter({
      name: 'rras_admin_action_failures_total',
      help: 'Executed actions that failed, or of which nobody knows whether they were carried out.',
      labelNames: ['action'],
      registers,
    });
    this.#durations = new Histogram({
      name: 'rras_admin_action_duration_seconds',
      help: 'Time from the native call of an action to its verdict.',
      labelNames: ['action'],
      buckets: [0.5, 1, 2.5, 5, 10, 30, 60, 120],
      registers,
    });
    for (const [route, decisions] of Object.entries(ROUTES))
      for (const decision of [...REFUSALS, ...decisions]) this.#requests.inc({ route, decision }, 0);
    for (const action of ACTIONS) {
      this.#actions.inc({ action }, 0);
      this.#failures.inc({ action }, 0);
      this.#durations.zero({ action });
    }
    new Gauge({
      name: 'rras_admin_paused',
      help: 'Whether all actions are paused.',
      registers,
      collect() {
        this.set(state.paused() ? 1 : 0);
      },
    });
    new Gauge({
      name: 'rras_admin_breaker_open',
      help: 'Whether the circuit breaker of a demand-dial interface is open, so that a person is needed.',
      labelNames: ['interface'],
      registers,
      collect() {
        this.reset();
        for (const [name, open] of state.breakers()) this.set({ interface: name }, open ? 1 : 0);
      },
    });
    this.#auditFailures = new Counter({
      name: 'rras_admin_audit_failures_total',
      help: 'Lines that could not be written to the audit log; an action whose intent is one of them was not executed.',
      registers,
    });
    this.#decisions = new Counter({
      name: 'rras_remediation_decisions_total',
      help: 'Decisions on alerts, by rule ("" where none matches).',
      labelNames: ['rule', 'decision'],
      registers,
    });
    for (const decision of ['no_rule', 'invalid', 'gone']) this.#decisions.inc({ rule: '', decision }, 0);
  }

  /** Rules by which alerts are decided from now on; those of before keep their counts. */
  startRules(names: Iterable<string>): void {
    for (const rule of names) for (const decision of OF_RULES) this.#decisions.inc({ rule, decision }, 0);
  }

  countRequest(route: string, decision: Decision): void {
    this.#requests.inc({ route, decision });
  }

  countStarted(action: ActionName): void {
    this.#actions.inc({ action });
  }

  countEnded(action: ActionName, succeeded: boolean, seconds: number): void {
    if (!succeeded) this.#failures.inc({ action });
    this.#durations.observe({ action }, seconds);
  }

  countAuditFailure(): void {
    this.#auditFailures.inc();
  }

  countAlert(rule: string, decision: Decision): void {
    this.#decisions.inc({ rule, decision });
  }
}
