/**
 * Carries out actions: precondition, guards, intent in the audit log, native call, verification, outcome in the audit
 * log, in this order. Nothing is done of which the log does not hold the intent, and nothing is done twice.
 */
import { randomUUID } from 'node:crypto';
import ipaddr from 'ipaddr.js';
import type { Actor, ActRequest, ActResult, SessionMark } from '../model/actions.ts';
import type {
  ActionAlert,
  ActionAnswer,
  ActionName,
  ActionRecord,
  ActionState,
  ActionTarget,
  Decision,
  Endpoint,
  GuardPolicy,
  Overridable,
} from '../model/admin.ts';
import type { Clock } from '../model/clock.ts';
import type { Logger } from '../model/logger.ts';
import type { Connection, InterfaceStatus, Snapshot } from '../model/snapshot.ts';
import type { Span, TraceParent, Tracing } from '../model/tracing.ts';
import type { ActionLog, AuditEntry } from './audit-log.ts';
import type { Verdict } from './guards.ts';
import { judge } from './guards.ts';
import type { Intent, Ledger, Outcome } from './ledger.ts';
import { hasEnded } from './ledger.ts';
import type { PauseFile } from './pause-file.ts';

/** A request that was authenticated, authorised and validated. */
export interface Order {
  readonly action: ActionName;
  readonly target: ActionTarget;
  readonly endpoint?: Endpoint;
  readonly actor: string;
  readonly route: string;
  readonly reason: string;
  readonly force: boolean;
  readonly override: readonly Overridable[];
  readonly dryRun?: boolean;
  readonly cooldownMs?: number | undefined;
  readonly cooldownMaxMs?: number | undefined;
  readonly alert?: ActionAlert & { readonly attemptKey: string };
  /** Of the trace of the request, or of the delivery of the alert. */
  readonly traceparent?: TraceParent | undefined;
  readonly idempotency?: { readonly key: string; readonly body: string };
}

export interface ActionsOptions {
  readonly actor: Actor;
  readonly audit: ActionLog;
  readonly ledger: Ledger;
  readonly pause: PauseFile;
  readonly policy: GuardPolicy;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly nameOfCode: (code: number) => string | undefined;
  readonly tracing: Tracing;
  readonly onStarted: (action: ActionName) => void;
  /** An action has ended, and what it changed is to be read. */
  readonly onEnded: (action: ActionName, succeeded: boolean, seconds: number) => void;
  /** One fewer is under way. */
  readonly onFree: () => void;
  readonly onAuditFailure: () => void;
}

/**
 * Which state may follow which; an ended one has no successor. Of actions of an earlier run, the log knows the intent and
 * the outcome only.
 */
export const TRANSITIONS: Readonly<Record<ActionState, readonly ActionState[]>> = {
  requested: ['denied', 'intended'],
  denied: [],
  intended: ['acting', 'failed', 'unknown'],
  acting: ['verifying', 'failed', 'unknown'],
  verifying: ['succeeded', 'failed', 'unknown'],
  succeeded: [],
  failed: [],
  unknown: [],
};

const LOOK_EVERY_MS = 1_000;
/** The state of an interface may lag behind a call that was just accepted: for so long it proves no failure. */
const SETTLING_MS = 3_000;
/** Decisions that the audit log is told of in an hour. */
const TOLD = 600;
const TOLD_PER_MS = 3_600_000;
/** Hanging up first, with `force`, must have worked by then. */
const HANG_UP_MS = 10_000;

/** What an action is done to, as the newest snapshot has it. */
type Found =
  | { readonly kind: 'interface'; readonly status: InterfaceStatus }
  | { readonly kind: 'connection'; readonly connection: Connection };

type End = Pick<Outcome, 'state' | 'result' | 'message'> & Partial<Omit<Outcome, 'actionId'>>;

export class Actions {
  readonly #options: ActionsOptions;
  #policy: GuardPolicy;
  /** Targets with an action under way. */
  readonly #busy = new Set<string>();
  /** Intents that are being written: each has its token of the bucket already. */
  #announced = 0;
  #tellable = TOLD;
  #tellableAtMs = -Infinity;
  readonly #running = new Map<string, Promise<void>>();
  readonly #stopping = new AbortController();

  constructor(options: ActionsOptions) {
    this.#options = options;
    this.#policy = options.policy;
  }

  /** Holds for what is decided from now on. */
  setPolicy(policy: GuardPolicy): void {
    this.#policy = policy;
  }

  /** As many actions are under way as may be. */
  get isCrowded(): boolean {
    return this.#busy.size >= this.#policy.maxConcurrent;
  }

  /**
   * Decides, and if it is to be executed starts it: resolves when the intent is on the disk, or with why it is not to be.
   * `snapshot` must be fresh.
   */
  async request(order: Order, snapshot: Snapshot): Promise<ActionAnswer> {
    const found = find(order.target, snapshot);
    if (typeof found === 'string') {
      const reason =
        found === 'server' ? 'the RRAS server cannot be read at present' : 'the server has no such target';
      return { ...this.#refuse(order, order.target, { decision: 'gone', reason }), missing: found };
    }
    const target = targetOf(found);
    const { clock, ledger, pause } = this.#options;
    const policy = this.#policy;
    const request = {
      action: order.action,
      interfaceName: target.interface,
      targetKey: keyOf(target),
      addresses: order.endpoint ? [order.endpoint.localAddress, order.endpoint.remoteAddress] : [],
      override: order.override,
      dryRun: order.dryRun ?? false,
    };
    const now = clock.monotonicMs();
    const { bucketTokens, ...remembered } = ledger.guardState(now);
    const verdict = judge(
      request,
      (snapshot.interfaces ?? []).filter(isDemandDial),
      {
        ...remembered,
        bucketTokens: bucketTokens - this.#announced,
        paused: pause.state.paused,
        busy: this.#busy,
      },
      policy,
      now,
    );
    // Who may not act on it learns nothing of its state; else what is to be done may be done already.
    const known = verdict.decision === 'denied' ? undefined : precondition(order, found);
    const { decision, ...rest } = known ?? verdict;
    if (decision !== 'execute') {
      const until = decision === 'paused' ? pause.state.until : undefined;
      return {
        ...rest,
        ...(until !== undefined && { retryAfterSeconds: Math.ceil(until - clock.wallSeconds()) }),
        ...this.#refuse(order, target, { decision, reason: rest.reason }),
      };
    }
    return this.#start(order, target, found, request.targetKey);
  }

  /** Resolves when the action has ended, or `ms` have passed. */
  async settled(id: string, ms: number): Promise<void> {
    const running = this.#running.get(id);
    if (!running) return;
    const done = new AbortController();
    await Promise.race([running, this.#options.clock.sleep(ms, done.signal).catch(() => undefined)]);
    done.abort();
  }

  /** Looks no further: what is not verified yet ends as unknown. Resolves when the log says so. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await Promise.all(this.#running.values());
  }

  /** Intents of an earlier run without an outcome: nobody knows what came of them, and none is repeated. */
  async closeOpenIntents(): Promise<number> {
    const open = this.#options.audit.openIntents();
    for (const { actionId = '' } of open) {
      await this.#conclude(actionId, {
        state: 'unknown',
        result: 'interrupted',
        message:
          'the exporter ended in the middle of it: look at the server to know whether it was carried out',
      });
    }
    return open.length;
  }

  /** Appends a line that is no action of its own; false, and counted, if the log cannot be written. */
  async note(entry: AuditEntry): Promise<boolean> {
    try {
      await this.#append(entry);
      return true;
    } catch {
      return false;
    }
  }

  /** As `note`, for what was decided and not done: of these, only so many are written, lest they push out the rest. */
  async tell(decision: Readonly<Record<string, AuditEntry[string]>>): Promise<void> {
    const now = this.#options.clock.monotonicMs();
    const filled = this.#tellable + ((now - this.#tellableAtMs) / TOLD_PER_MS) * TOLD;
    this.#tellable = Math.min(TOLD, filled);
    this.#tellableAtMs = now;
    if (this.#tellable < 1) return;
    this.#tellable -= 1;
    await this.note({ kind: 'decision', ...decision });
  }

  #refuse(
    order: Order,
    target: ActionTarget,
    { decision, reason }: Pick<Verdict, 'reason'> & { decision: Decision },
  ): ActionAnswer {
    const record = this.#record(order, target, decision, reason);
    this.#options.ledger.note(record);
    return { decision, reason, action: record };
  }

  #record(order: Order, target: ActionTarget, decision: Decision, decisionReason: string): ActionRecord {
    const time = this.#options.clock.wallSeconds();
    return {
      id: randomUUID(),
      action: order.action,
      target,
      actor: order.actor,
      route: order.route,
      reason: order.reason,
      force: order.force,
      override: order.override,
      endpoint: order.endpoint,
      alert: order.alert && alertOf(order.alert),
      decision,
      decisionReason,
      state: 'denied',
      requestedAt: time,
      history: [
        { state: 'requested', time },
        { state: 'denied', time },
      ],
      outcome: undefined,
    };
  }

  async #start(order: Order, target: ActionTarget, found: Found, key: string): Promise<ActionAnswer> {
    const { clock, ledger } = this.#options;
    const policy = this.#policy;
    if (this.#stopping.signal.aborted) {
      return { decision: 'paused', reason: 'the exporter is shutting down' };
    }
    const actionId = randomUUID();
    const intent: Intent = {
      actionId,
      action: order.action,
      target: { ...target },
      actor: order.actor,
      route: order.route,
      reason: order.reason,
      force: order.force,
      override: [...order.override],
      cooldownMs: order.cooldownMs ?? policy.cooldownMs,
      cooldownMaxMs: order.cooldownMaxMs ?? policy.cooldownMaxMs,
      ...(order.endpoint && { endpoint: order.endpoint }),
      ...(order.alert && { alert: { ...order.alert } }),
      ...(order.idempotency && { idempotency: { ...order.idempotency } }),
      requestedAt: clock.wallSeconds(),
    };
    // From here on, before anything is awaited, nobody else passes the guards on this one's account.
    this.#busy.add(key);
    this.#announced += 1;
    const announced = this.#append({ kind: 'intent', ...intent } as AuditEntry, intent).finally(() => {
      this.#announced -= 1;
    });
    // Under way from here on: whoever stops waits for it.
    const run = announced.then(
      () => this.#run(actionId, order, found, key),
      () => this.#release(actionId, key),
    );
    this.#running.set(actionId, run);
    try {
      await announced;
    } catch {
      const reason = 'the audit log cannot be written, and nothing is done without it';
      return this.#refuse(order, target, { decision: 'audit', reason });
    }
    return { decision: 'execute', reason: 'allowed', action: ledger.action(actionId)! };
  }

  #release(actionId: string, key: string): void {
    this.#busy.delete(key);
    this.#running.delete(actionId);
    this.#options.onFree();
  }

  /** Never rejects. */
  #run(actionId: string, order: Order, found: Found, key: string): Promise<void> {
    const { alert, traceparent } = order;
    // An alert comes with others, and may have waited: it is the cause, and its delivery not the whole.
    const whose = alert ? { cause: traceparent } : { parent: traceparent };
    const attributes = {
      'rras.action': order.action,
      'rras.action.id': actionId,
      'rras.action.route': order.route,
      ...(alert && { 'rras.alert.rule': alert.rule, 'rras.alert.fingerprint': alert.fingerprint }),
    };
    return this.#options.tracing.run(`rras.${order.action}`, { ...whose, attributes }, (span) =>
      this.#runTraced(actionId, order, found, key, span),
    );
  }

  async #runTraced(actionId: string, order: Order, found: Found, key: string, span: Span): Promise<void> {
    const { clock, logger, onStarted, onEnded } = this.#options;
    const start = clock.monotonicMs();
    onStarted(order.action);
    let end: End;
    try {
      end = this.#stopping.signal.aborted ? NOT_BEGUN : await this.#carryOut(actionId, order, found);
    } catch (error) {
      logger.error('an action failed by a defect of the exporter', { actionId, error });
      end = {
        state: 'unknown',
        result: 'internal',
        message: 'a defect of the exporter: look at the server to know whether it was carried out',
      };
    }
    span.set({ 'rras.action.result': end.result, 'rras.action.state': end.state });
    if (end.code !== undefined && end.code !== null) span.set({ 'rras.code': end.code });
    if (end.state !== 'succeeded') span.fail(end.message);
    const seconds = Math.round(clock.monotonicMs() - start) / 1000;
    await this.#conclude(actionId, { ...end, seconds });
    this.#release(actionId, key);
    const level = end.state === 'succeeded' ? 'info' : 'warn';
    logger[level](`action ${end.state}`, {
      actionId,
      action: order.action,
      ...targetOf(found),
      rule: order.alert?.rule,
      actor: order.actor,
      result: end.result,
      message: end.message,
      seconds,
    });
    const name = targetOf(found).interface;
    if (name !== undefined && this.#options.ledger.breakerOpen(name)) {
      logger.error('the breaker of the interface is open: a person is needed', { interface: name });
    }
    onEnded(order.action, end.state === 'succeeded', seconds);
  }

  async #carryOut(actionId: string, order: Order, found: Found): Promise<End> {
    const deadlineMs = this.#options.clock.monotonicMs() + this.#policy.attemptTimeoutMs;
    this.#moveOn(actionId, 'acting');
    if (found.kind === 'interface') {
      const { name, handle } = found.status;
      const target = { interfaceName: name, interfaceHandle: handle };
      if (order.action === 'disconnect') {
        return this.#disconnect(actionId, target, deadlineMs);
      }
      if (order.force) {
        const hungUp = await this.#hangUpFirst(target, deadlineMs);
        if (hungUp) return hungUp;
      }
      return this.#connect(actionId, target, deadlineMs);
    }
    return order.action === 'update_endpoint'
      ? this.#move(actionId, found.connection, order.endpoint!, deadlineMs)
      : this.#hangUp(actionId, found.connection, deadlineMs);
  }

  async #connect(actionId: string, target: DialTarget, deadlineMs: number): Promise<End> {
    const { clock } = this.#options;
    const called = await this.#act({ action: 'connect', ...target });
    if (!goesOn(called)) return this.#failedCall(called);
    const since = clock.monotonicMs();
    this.#moveOn(actionId, 'verifying');
    let dialled = false;
    let last: ActResult = called;
    while (await this.#pauseBefore(deadlineMs)) {
      const look = await this.#act({ action: 'inspect_interface', interfaceName: target.interfaceName });
      if (look.outcome === 'gone') return this.#failedCall(look, 'the interface is gone');
      if (!look.interfaceNow) continue;
      last = look;
      const { state, lastError, enabled } = look.interfaceNow;
      if (state === 'connected') {
        return {
          ...this.#resultOf(called),
          state: 'succeeded',
          result: 'connected',
          message: 'the interface is connected',
        };
      }
      if (state === 'connecting') dialled = true;
      const settled = dialled || clock.monotonicMs() - since >= SETTLING_MS;
      const ended = state === 'unreachable' || (state === 'disconnected' && lastError !== 0);
      if ((ended && settled) || (!enabled && settled)) {
        return {
          ...this.#resultOf(called),
          ...this.#errorsOf(look),
          state: 'failed',
          result: 'not_connected',
          message: this.#whyDown(look),
        };
      }
    }
    if (this.#stopping.signal.aborted) return { ...this.#resultOf(called), ...UNVERIFIED };
    // The reason, before cancelling takes it away.
    const errors = this.#errorsOf(last);
    const attempt =
      called.outcome === 'already_connecting'
        ? // What somebody else dials is not ours to cancel.
          'left to who began it'
        : goesOn(await this.#act({ action: 'disconnect', ...target }))
          ? 'cancelled'
          : 'not cancelled: the server did not take that';
    const why = errors.interfaceLastError ? `: ${this.#whyDown(last)}` : '';
    return {
      ...this.#resultOf(called),
      ...errors,
      state: called.outcome === 'unknown' ? 'unknown' : 'failed',
      result: 'timeout',
      message: `it was not connected in time, and the attempt was ${attempt}${why}`,
    };
  }

  async #disconnect(actionId: string, target: DialTarget, deadlineMs: number): Promise<End> {
    const called = await this.#act({ action: 'disconnect', ...target });
    if (!goesOn(called)) return this.#failedCall(called);
    this.#moveOn(actionId, 'verifying');
    return this.#waitFor(called, deadlineMs, async () => {
      const look = await this.#act({ action: 'inspect_interface', interfaceName: target.interfaceName });
      const state = look.interfaceNow?.state;
      return state !== undefined && state !== 'connected' && state !== 'connecting'
        ? 'the interface is disconnected'
        : undefined;
    });
  }

  /** Undefined once the interface is down. */
  async #hangUpFirst(target: DialTarget, endMs: number): Promise<End | undefined> {
    const called = await this.#act({ action: 'disconnect', ...target });
    if (called.outcome === 'already_disconnected') return undefined;
    if (!goesOn(called)) return this.#failedCall(called);
    const deadlineMs = Math.min(endMs, this.#options.clock.monotonicMs() + HANG_UP_MS);
    const end = await this.#waitFor(called, deadlineMs, async () => {
      const look = await this.#act({ action: 'inspect_interface', interfaceName: target.interfaceName });
      const state = look.interfaceNow?.state;
      return state !== undefined && state !== 'connected' && state !== 'connecting' ? 'down' : undefined;
    });
    return end.state === 'succeeded' ? undefined : end;
  }

  async #move(
    actionId: string,
    connection: Connection,
    endpoint: Endpoint,
    deadlineMs: number,
  ): Promise<End> {
    const mark = markOf(connection);
    const before = await this.#act({ action: 'inspect_connection', ...mark });
    if (before.outcome === 'gone') return this.#failedCall(before, 'the connection has ended');
    const called = await this.#act({ action: 'update_endpoint', ...mark, ...endpoint });
    if (!goesOn(called)) return this.#failedCall(called);
    this.#moveOn(actionId, 'verifying');
    return this.#waitFor(called, deadlineMs, async () => {
      const look = await this.#act({ action: 'inspect_connection', ...mark });
      if (look.outcome === 'gone') return { gone: true };
      const now = look.connectionNow;
      if (!now || !sameAddress(now.remoteAddress, endpoint.remoteAddress)) return undefined;
      const switched = now.switchovers > (before.connectionNow?.switchovers ?? now.switchovers);
      // The local address never reaches a remote server (mprapi-facts D12): a counted move proves it, too.
      return switched || sameAddress(now.localAddress, endpoint.localAddress)
        ? 'the endpoint has moved'
        : undefined;
    });
  }

  async #hangUp(actionId: string, connection: Connection, deadlineMs: number): Promise<End> {
    const mark = markOf(connection);
    const called = await this.#act({ action: 'hang_up', ...mark });
    if (!goesOn(called)) return this.#failedCall(called);
    this.#moveOn(actionId, 'verifying');
    return this.#waitFor(called, deadlineMs, async () => {
      const look = await this.#act({ action: 'inspect_connection', ...mark });
      return look.outcome === 'gone' ? 'the connection has ended' : undefined;
    });
  }

  /** Looks until `look` says that it is done. */
  async #waitFor(
    called: ActResult,
    deadlineMs: number,
    look: () => Promise<string | { readonly gone: true } | undefined>,
  ): Promise<End> {
    while (await this.#pauseBefore(deadlineMs)) {
      const seen = await look();
      if (typeof seen === 'string') {
        return { ...this.#resultOf(called), state: 'succeeded', result: 'verified', message: seen };
      }
      if (seen)
        return {
          ...this.#resultOf(called),
          state: 'failed',
          result: 'gone',
          message: 'the connection has ended',
        };
    }
    if (this.#stopping.signal.aborted) return { ...this.#resultOf(called), ...UNVERIFIED };
    return {
      ...this.#resultOf(called),
      state: called.outcome === 'unknown' ? 'unknown' : 'failed',
      result: 'timeout',
      message: 'the server accepted it, but nothing of it could be seen in time',
    };
  }

  /** False once the time is up or the program ends. */
  async #pauseBefore(deadlineMs: number): Promise<boolean> {
    const { clock } = this.#options;
    const restMs = deadlineMs - clock.monotonicMs();
    if (restMs <= 0 || this.#stopping.signal.aborted) return false;
    await clock.sleep(Math.min(LOOK_EVERY_MS, restMs), this.#stopping.signal).catch(() => undefined);
    return !this.#stopping.signal.aborted;
  }

  #act(request: ActRequest): Promise<ActResult> {
    return this.#options.actor.act(request);
  }

  #resultOf({
    outcome,
    code,
    failure,
    report,
  }: ActResult): Pick<Outcome, 'result' | 'function' | 'code' | 'codeName'> {
    const { nameOfCode } = this.#options;
    return {
      result: outcome,
      function: failure?.function ?? report.calls.at(-1)?.function ?? null,
      code,
      codeName: code === null ? null : (nameOfCode(code) ?? null),
    };
  }

  #errorsOf({ interfaceNow }: ActResult): Pick<Outcome, 'interfaceLastError' | 'interfaceLastErrorName'> {
    const { nameOfCode } = this.#options;
    const code = interfaceNow?.lastError ?? 0;
    return {
      interfaceLastError: interfaceNow ? code : null,
      interfaceLastErrorName: code === 0 ? null : (nameOfCode(code) ?? null),
    };
  }

  #failedCall(called: ActResult, message?: string): End {
    return {
      ...this.#resultOf(called),
      ...this.#errorsOf(called),
      state: 'failed',
      message: message ?? called.failure?.message ?? `the server answered ${called.outcome}`,
    };
  }

  #whyDown({ interfaceNow }: ActResult): string {
    if (!interfaceNow) return 'its state is not known';
    const { state, lastError, enabled } = interfaceNow;
    if (!enabled) return 'the interface is disabled';
    const name = this.#options.nameOfCode(lastError);
    const error =
      lastError === 0
        ? 'without an error code'
        : name === undefined
          ? `code ${lastError}`
          : `${name} (${lastError})`;
    return `the interface is ${state}, last error ${error}`;
  }

  #moveOn(id: string, state: ActionState): void {
    const { ledger, clock } = this.#options;
    const record = ledger.action(id);
    if (record && !TRANSITIONS[record.state].includes(state)) {
      throw new Error(`an action cannot go from ${record.state} to ${state}`);
    }
    ledger.moveOn(id, state, clock.wallSeconds());
  }

  /** The outcome holds whether or not the log takes it: what was done was done. */
  async #conclude(actionId: string, end: End): Promise<void> {
    const { ledger, clock, logger } = this.#options;
    const outcome: Outcome = {
      actionId,
      function: null,
      code: null,
      codeName: null,
      interfaceLastError: null,
      interfaceLastErrorName: null,
      seconds: 0,
      ...end,
    };
    try {
      await this.#append({ kind: 'outcome', ...outcome }, outcome);
    } catch (error) {
      logger.error('the outcome of an action is not in the audit log', { actionId, state: end.state, error });
      ledger.apply('outcome', outcome, clock.monotonicMs(), clock.wallSeconds());
    }
  }

  /** What is on the disk is taken into the ledger, and nothing else. */
  async #append(entry: AuditEntry, content: unknown = entry): Promise<void> {
    const { audit, ledger, clock, onAuditFailure } = this.#options;
    try {
      await audit.append(entry);
    } catch (error) {
      onAuditFailure();
      throw error;
    }
    ledger.apply(entry.kind, content, clock.monotonicMs(), clock.wallSeconds());
  }
}

interface DialTarget {
  readonly interfaceName: string;
  readonly interfaceHandle: string;
}

const NOT_BEGUN = {
  state: 'failed',
  result: 'interrupted',
  message:
    'the exporter ended, or the server was taken out of its configuration, before it was begun: nothing was done',
} as const;
const UNVERIFIED = {
  state: 'unknown',
  result: 'interrupted',
  message:
    'the exporter ended, or the server was taken out of its configuration, before it could see what came of it: look at the server',
} as const;

const GOES_ON: ReadonlySet<string> = new Set([
  'done',
  'in_progress',
  'already_connected',
  'already_connecting',
  'already_disconnected',
  // Looking will tell.
  'unknown',
]);
const goesOn = ({ outcome }: ActResult): boolean => GOES_ON.has(outcome);

const DEMAND_DIAL: ReadonlySet<string> = new Set(['home_router', 'full_router']);
const isDemandDial = ({ type }: InterfaceStatus): boolean => DEMAND_DIAL.has(type);

const ON_CONNECTIONS: ReadonlySet<ActionName> = new Set(['update_endpoint', 'hang_up']);

/** What the target is in the snapshot; which of the two is missing. */
function find(
  { interface: name, connection: id }: ActionTarget,
  snapshot: Snapshot,
): Found | 'target' | 'server' {
  const { service, interfaces, connections, sources } = snapshot;
  if (service?.running !== true) return 'server';
  // Whether the uplink is well is seen in the interfaces.
  if (sources.interfaces && sources.interfaces.up !== true) return 'server';
  if (id !== undefined) {
    if (!connections || sources.connections?.up !== true) return 'server';
    const connection = connections.connections.find((each) => each.id === id);
    return connection ? { kind: 'connection', connection } : 'target';
  }
  if (!interfaces || sources.interfaces?.up !== true) return 'server';
  const status = interfaces.find((each) => each.name === name);
  return status ? { kind: 'interface', status } : 'target';
}

/** Why nothing is to be done, by what is known of the target. */
function precondition(
  { action, force, endpoint }: Order,
  found: Found,
): { decision: Decision; reason: string } | undefined {
  if (ON_CONNECTIONS.has(action) !== (found.kind === 'connection')) {
    return { decision: 'invalid', reason: `${action} is not for such a target` };
  }
  if (found.kind === 'connection') {
    if (action !== 'update_endpoint') return undefined;
    if (found.connection.tunnel !== 'ikev2') {
      return { decision: 'invalid', reason: 'only the endpoint of an IKEv2 connection can be moved' };
    }
    return endpoint ? undefined : { decision: 'invalid', reason: 'the new endpoint is missing' };
  }
  const { status } = found;
  if (!isDemandDial(status)) {
    return {
      decision: 'invalid',
      reason: 'this is no demand-dial interface: it cannot be dialled or hung up',
    };
  }
  if (action === 'disconnect') {
    return status.state === 'connected' || status.state === 'connecting'
      ? undefined
      : { decision: 'gone', reason: 'the interface is not connected: there is nothing to hang up' };
  }
  if (force) return undefined;
  if (status.state === 'connected') {
    return { decision: 'already_connected', reason: 'the interface is connected' };
  }
  if (status.state === 'connecting')
    return { decision: 'busy', reason: 'the interface is being dialled already' };
  return undefined;
}

function targetOf(found: Found): ActionTarget {
  if (found.kind === 'interface') return { interface: found.status.name };
  const { id, role, identity } = found.connection;
  return role === 'site' ? { connection: id, interface: identity.interfaceName } : { connection: id };
}

/** One action at a time on an interface, whether it is named itself or by its connection. */
const keyOf = ({ interface: name, connection }: ActionTarget): string =>
  name === undefined ? `connection ${connection}` : `interface ${name}`;

const alertOf = ({ rule, fingerprint, startsAt }: ActionAlert): ActionAlert => ({
  rule,
  fingerprint,
  startsAt,
});

function markOf({ identity }: Connection): { connectionHandle: string; session: SessionMark } {
  const { handle, guid, startTicks } = identity;
  return { connectionHandle: handle, session: { guid, startTicks } };
}

function sameAddress(a: string, b: string): boolean {
  if (!ipaddr.isValid(a) || !ipaddr.isValid(b)) return a === b;
  return ipaddr.parse(a).toNormalizedString() === ipaddr.parse(b).toNormalizedString();
}

/** True for a record that will not change any more. */
export const isFinal = (record: ActionRecord): boolean => hasEnded(record) || record.state === 'denied';
