/**
 * The guarded actions behind the routes: rights, idempotency, what is told of each request. Opened after the listeners
 * are bound: a second program on the same port does not get as far as the audit log.
 */
import { createHash } from 'node:crypto';
import type { Actor } from '../model/actions.ts';
import type {
  ActionAnswer,
  ActionName,
  ActionRecord,
  ActionRequest,
  AdminConfig,
  Decision,
  Grant,
  HookAnswer,
  PauseState,
} from '../model/admin.ts';
import type { Clock } from '../model/clock.ts';
import type { Logger } from '../model/logger.ts';
import type { Snapshot } from '../model/snapshot.ts';
import type { TraceParent, Tracing } from '../model/tracing.ts';
import { noTracing } from '../model/tracing.ts';
import { Access, covers, hasRight } from './access.ts';
import type { Order } from './actions.ts';
import { Actions, isFinal } from './actions.ts';
import type { AuditDisk } from './audit-file.ts';
import type { ActionLog } from './audit-log.ts';
import { openAuditLog, unusableLog } from './audit-log.ts';
import type { AlertSource, Delivery } from './hooks/alerts.ts';
import { toDelivery } from './hooks/alerts.ts';
import { verifyGrafanaSignature } from './hooks/grafana-signature.ts';
import { compileRules } from './hooks/rules.ts';
import { Ledger } from './ledger.ts';
import { PauseFile } from './pause-file.ts';
import { Remediation } from './remediation.ts';

/** What the outside is told of, for metrics. */
export interface AdminEvents {
  readonly onStarted: (action: ActionName) => void;
  readonly onEnded: (action: ActionName, succeeded: boolean, seconds: number) => void;
  readonly onAuditFailure: () => void;
  readonly onAlert: (rule: string, decision: Decision) => void;
}

export interface AdminServiceOptions {
  readonly config: AdminConfig;
  /** There already, and closed to other users. */
  readonly folder: string;
  /** Of a server that is new: it begins paused where all are. */
  readonly pausedAs?: PauseState;
  readonly actor: Actor;
  /** A snapshot that is fresh, or what there is. */
  readonly snapshot: () => Promise<Snapshot>;
  /** The server's name of an interface, from the name that is shown. */
  readonly interfaceNamed: (shown: string, snapshot: Snapshot) => string;
  readonly nameOfCode: (code: number) => string | undefined;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly events: AdminEvents;
  /** Absent: no traces. */
  readonly tracing?: Tracing;
  readonly disk?: AuditDisk;
}

const GRAFANA = 'grafana';

/** A log that is damaged or cannot be read keeps all actions from running, and nothing else: a pause can be set. */
export async function openAdminService(options: AdminServiceOptions): Promise<AdminService> {
  const { config, folder, pausedAs, clock, logger, events, disk } = options;
  const ledger = new Ledger(config.guards);
  const startMs = clock.monotonicMs();
  const startSeconds = clock.wallSeconds();
  const audit: ActionLog = await openAuditLog({
    folder,
    clock,
    logger,
    ...(disk && { disk }),
    onLine: (line) => {
      const wallSeconds = Date.parse(line.time) / 1000;
      // The clock may have been set back since: nothing was done in the future.
      const agoMs = Math.max(0, (startSeconds - wallSeconds) * 1000);
      ledger.apply(line.kind, line, startMs - agoMs, wallSeconds);
    },
  }).catch((error: unknown) => {
    events.onAuditFailure();
    return unusableLog(error);
  });
  const pause = new PauseFile({
    folder,
    clock,
    logger,
    ...(pausedAs && { first: pausedAs }),
    ...(disk && { disk }),
  });
  await pause.open();
  const service = new AdminService(options, { audit, ledger, pause });
  await service.begin();
  return service;
}

interface Parts {
  readonly audit: ActionLog;
  readonly ledger: Ledger;
  readonly pause: PauseFile;
}

export class AdminService {
  readonly #options: AdminServiceOptions;
  readonly #parts: Parts;
  #config: AdminConfig;
  #access: Access;
  readonly #actions: Actions;
  readonly #remediation: Remediation;
  #lastRead: Promise<unknown> = Promise.resolve();
  #lastDecided: Promise<unknown> = Promise.resolve();
  /** Requests that are being decided, by idempotency key. */
  readonly #deciding = new Map<string, { readonly body: string; readonly answer: Promise<ActionAnswer> }>();

  /** Use `openAdminService`. */
  constructor(options: AdminServiceOptions, parts: Parts) {
    const { config, actor, clock, logger, nameOfCode, events, snapshot, interfaceNamed } = options;
    this.#options = options;
    this.#parts = parts;
    this.#config = config;
    this.#access = new Access(config.tokens, config.clientCertificates);
    this.#actions = new Actions({
      ...parts,
      actor,
      policy: config.guards,
      clock,
      logger,
      nameOfCode,
      tracing: this.#options.tracing ?? noTracing,
      onStarted: events.onStarted,
      onAuditFailure: events.onAuditFailure,
      onEnded: events.onEnded,
      onFree: () => void this.#remediation.drain(),
    });
    this.#remediation = new Remediation({
      rules: compileRules(config.hooks.rules),
      actions: this.#actions,
      ledger: parts.ledger,
      clock,
      logger,
      snapshot,
      interfaceNamed,
      onDecided: events.onAlert,
    });
  }

  /** Tokens, rights, guards and rules by another configuration, all from now on; what is under way ends as it began. */
  reconfigure(config: AdminConfig): void {
    const { guards, hooks, tokens, clientCertificates } = config;
    const rules = compileRules(hooks.rules);
    this.#config = config;
    this.#access = new Access(tokens, clientCertificates);
    this.#parts.ledger.setPolicy(guards);
    this.#actions.setPolicy(guards);
    this.#remediation.setRules(rules, new Set(hooks.rules.map(({ name }) => name)));
  }

  /** Tells of what an earlier run left behind. */
  async begin(): Promise<void> {
    const { logger } = this.#options;
    const { opening, failure } = this.#parts.audit;
    if (opening.cutBytes > 0) {
      logger.warn('the audit log ended in the middle of a line, as after a crash: the line was cut off', {
        bytes: opening.cutBytes,
      });
    }
    if (failure) logger.error('no action will run until this is mended', { error: failure });
    const interrupted = await this.#actions.closeOpenIntents();
    if (interrupted > 0) {
      logger.warn('actions of an earlier run were interrupted: nobody knows what came of them', {
        actions: interrupted,
      });
    }
    const { paused, reason, actor } = this.paused;
    if (paused) logger.warn('actions are paused', { reason, actor });
  }

  /** Looks no further at what is under way, and closes the log. */
  async close(): Promise<void> {
    await this.#actions.stop();
    await this.#parts.audit.close();
  }

  /** Who has this token, or else one of these verified names. */
  callerOf(token: string | undefined, subjectAltNames: readonly string[]): Grant | undefined {
    return (
      (token === undefined ? undefined : this.#access.byToken(token)) ??
      this.#access.byCertificate(subjectAltNames)
    );
  }

  /** Whether what the caller may do, it may do to this interface, by the name that is shown. */
  covers(caller: Grant, interfaceName: string): boolean {
    return covers(caller, interfaceName);
  }

  /** Grafana, if the signature is of its secret and of now; `header` answers '' for a header that is not there. */
  grafanaOf(body: Uint8Array, header: (name: string) => string): Grant | undefined {
    const { grafana } = this.#config.hooks;
    if (!grafana) return undefined;
    const result = verifyGrafanaSignature({
      secret: grafana.secret,
      body,
      signature: header(grafana.signatureHeader),
      timestamp: header(grafana.timestampHeader),
      nowSeconds: this.#options.clock.wallSeconds(),
      maxAgeMs: grafana.maxAgeMs,
    });
    if (result !== 'ok') {
      this.#options.logger.debug('a signature of Grafana is refused', { reason: result });
      return undefined;
    }
    return { name: GRAFANA, rights: ['hook'], interfaces: grafana.interfaces };
  }

  /** True if there is a signature that may be Grafana's, so that reading the body is worth it. */
  claimsGrafana(header: (name: string) => string): boolean {
    const { grafana } = this.#config.hooks;
    return (
      grafana !== undefined &&
      header(grafana.signatureHeader) !== '' &&
      header(grafana.timestampHeader) !== ''
    );
  }

  async request(caller: Grant, asked: ActionRequest): Promise<ActionAnswer> {
    const { idempotency } = asked;
    if (!idempotency) return this.#decide(caller, asked, undefined);
    const key = hashOf(caller.name, idempotency.key);
    const body = hashOf(idempotency.body);
    const known =
      this.#deciding.get(key) ?? this.#parts.ledger.idempotent(key, this.#options.clock.monotonicMs());
    if (known) {
      if (known.body !== body) {
        return {
          decision: 'invalid',
          reason: 'this idempotency key was used for another request',
          reused: true,
        };
      }
      const first = 'answer' in known ? await known.answer : undefined;
      if (first && first.decision !== 'execute') return first;
      const id = first?.action?.id ?? ('actionId' in known ? known.actionId : '');
      const action = this.#parts.ledger.action(id);
      return { decision: 'duplicate', reason: 'it was asked before', ...(action && { action }) };
    }
    const answer = this.#decide(caller, asked, { key, body });
    this.#deciding.set(key, { body, answer });
    try {
      return await answer;
    } finally {
      this.#deciding.delete(key);
    }
  }

  async #decide(
    caller: Grant,
    asked: ActionRequest,
    idempotency: Order['idempotency'],
  ): Promise<ActionAnswer> {
    const order: Order = { ...asked, actor: caller.name, ...(idempotency && { idempotency }) };
    const answer = await this.#judge(caller, order);
    if (answer.decision !== 'execute') this.#tell(order, answer);
    return answer;
  }

  async #judge(caller: Grant, order: Order): Promise<ActionAnswer> {
    const { action, override, target } = order;
    if (!hasRight(caller, action)) return forbidden(`${caller.name} has no right to ${action}`);
    if (override.length > 0 && !hasRight(caller, 'override')) {
      return forbidden(`${caller.name} has no right to override guards`);
    }
    const { interface: shown, connection: id } = target;
    // Before anything is looked up: who may not act on a name does not learn whether it is there.
    if (shown !== undefined && !covers(caller, shown)) {
      return forbidden(`${caller.name} may not act on this interface`);
    }
    const snapshot = await this.#options.snapshot();
    if (id !== undefined) {
      const connection = snapshot.connections?.connections.find((each) => each.id === id);
      const site = connection?.role === 'site' ? connection.identity.interfaceName : undefined;
      if (!covers(caller, site)) return forbidden(`${caller.name} may not act on this connection`);
    }
    const named = shown === undefined ? target : { interface: this.#options.interfaceNamed(shown, snapshot) };
    return this.#actions.request({ ...order, target: named }, snapshot);
  }

  /** Somebody known asked for what is not for him. */
  tellForbidden(caller: Grant, route: string, reason: string): void {
    this.#options.logger.info('request forbidden', { actor: caller.name, route, reason });
    void this.#actions.tell({ actor: caller.name, route, decision: 'forbidden', decisionReason: reason });
  }

  /** Closes the breaker and ends the cool-down of an interface. */
  async reset(caller: Grant, shown: string, reason: string, route: string): Promise<ActionAnswer> {
    if (!hasRight(caller, 'reset')) return forbidden(`${caller.name} has no right to reset`);
    if (!covers(caller, shown)) return forbidden(`${caller.name} may not act on this interface`);
    const snapshot = await this.#options.snapshot();
    const name = this.#options.interfaceNamed(shown, snapshot);
    if (!snapshot.interfaces) {
      return { decision: 'gone', reason: 'the RRAS server cannot be read at present', missing: 'server' };
    }
    if (!snapshot.interfaces.some((each) => each.name === name)) {
      return { decision: 'gone', reason: 'the server has no such interface', missing: 'target' };
    }
    const done = await this.#actions.note({
      kind: 'reset',
      interface: name,
      actor: caller.name,
      route,
      reason,
    });
    if (!done) return { decision: 'audit', reason: 'the audit log cannot be written' };
    this.#options.logger.info('interface reset', { interface: name, actor: caller.name });
    return { decision: 'execute', reason: 'the breaker is closed and the cool-down over' };
  }

  get paused(): PauseState {
    return this.#parts.pause.state;
  }

  /** Stops all actions to come; also when the audit log cannot be written. undefined: the caller may not. */
  async pause(caller: Grant, reason: string, seconds: number | undefined): Promise<PauseState | undefined> {
    if (!hasRight(caller, 'pause')) return undefined;
    const state = await this.#parts.pause.pause(caller.name, reason, seconds);
    await this.#actions.note({ kind: 'pause', actor: caller.name, reason, seconds: seconds ?? null });
    this.#options.logger.warn('actions are paused', { reason, actor: caller.name });
    return state;
  }

  /** Is paused as others are, if it is not paused already. */
  async follow({ actor, reason, until }: PauseState): Promise<void> {
    if (this.paused.paused) return;
    const seconds = until === undefined ? undefined : until - this.#options.clock.wallSeconds();
    await this.#parts.pause.pause(actor, reason, seconds);
  }

  async resume(caller: Grant, reason: string): Promise<PauseState | undefined> {
    if (!hasRight(caller, 'pause')) return undefined;
    const state = await this.#parts.pause.resume();
    await this.#actions.note({ kind: 'resume', actor: caller.name, reason });
    this.#options.logger.info('actions are resumed', { reason, actor: caller.name });
    return state;
  }

  /** A notification as it came. @throws BadRequestBody if it is none of that source. */
  async hook(
    caller: Grant,
    source: AlertSource,
    body: unknown,
    traceparent?: TraceParent,
  ): Promise<HookAnswer> {
    return this.alerts(caller, await this.read(source, body, traceparent), source);
  }

  /** Reads a notification when its turn comes. @throws BadRequestBody */
  read(source: AlertSource, body: unknown, traceparent: TraceParent | undefined): Promise<Delivery> {
    // One after the other, and others have their turn in between: a large one takes some time to be read.
    const read = this.#lastRead
      .then(() => this.#options.clock.sleep(0))
      .then((): Delivery => ({ ...toDelivery(source, body), traceparent }));
    this.#lastRead = read.catch(() => undefined);
    return read;
  }

  /** Has alerts decided when their turn comes. */
  alerts(caller: Grant, delivery: Delivery, route: string): Promise<HookAnswer> {
    const answer = this.#lastDecided.then(() => this.#remediation.decide(delivery, caller, route));
    this.#lastDecided = answer.catch(() => undefined);
    return answer;
  }

  /** Newest first: the caller's own, and with the right to read those on what he may act on. */
  actions(caller: Grant): readonly ActionRecord[] {
    return this.#parts.ledger.actions().filter((record) => maySee(caller, record));
  }

  action(caller: Grant, id: string): ActionRecord | undefined {
    const found = this.#parts.ledger.action(id);
    return found && maySee(caller, found) ? found : undefined;
  }

  /** The action as it stands when it has ended, or after `ms`. */
  async settled(id: string, ms: number): Promise<ActionRecord | undefined> {
    const found = this.#parts.ledger.action(id);
    if (found && !isFinal(found)) await this.#actions.settled(id, ms);
    return this.#parts.ledger.action(id);
  }

  breakerOpen(interfaceName: string): boolean {
    return this.#parts.ledger.breakerOpen(interfaceName);
  }

  /** What was asked by somebody known and not done. */
  #tell(order: Order, { decision, reason, action }: ActionAnswer): void {
    const { logger } = this.#options;
    logger.info('action not executed', {
      action: order.action,
      ...action?.target,
      actor: order.actor,
      decision,
      reason,
    });
    if (decision === 'audit') return;
    const { endpoint } = order;
    void this.#actions.tell({
      ...(action && { actionId: action.id }),
      action: order.action,
      target: { ...order.target },
      ...(endpoint && { endpoint: { ...endpoint } }),
      actor: order.actor,
      route: order.route,
      reason: order.reason,
      force: order.force,
      override: [...order.override],
      decision,
      decisionReason: reason,
    });
  }
}

const maySee = (caller: Grant, { actor, target }: ActionRecord): boolean =>
  actor === caller.name || (hasRight(caller, 'read') && covers(caller, target.interface));

const forbidden = (reason: string): ActionAnswer => ({ decision: 'forbidden', reason });

/** Length before each part, so that no two tuples give one text. */
const hashOf = (...parts: readonly string[]): string =>
  createHash('sha256')
    .update(parts.map((part) => `${Buffer.byteLength(part)}:${part}`).join(''))
    .digest('hex');
