/**
 * Polls a server and keeps its newest snapshot. Scrapes that overlap share one poll; none waits past its own deadline;
 * whatever a source does, there is a snapshot to serve.
 */
import type { Clock } from '../model/clock.ts';
import type { Failure, FrameOf, ReadOutcome, ReadReport, SourceReader } from '../model/frames.ts';
import type { Logger } from '../model/logger.ts';
import type {
  ConnectionTable,
  InterfaceStatus,
  LinkTraffic,
  PortCounts,
  ServiceStatus,
  Snapshot,
  SourceStatus,
  Totals,
  UserAccount,
} from '../model/snapshot.ts';
import { inSlices } from '../model/slices.ts';
import type { Span, Tracing } from '../model/tracing.ts';
import { noTracing } from '../model/tracing.ts';
import type { Source, Tunnel } from '../model/words.ts';
import { SOURCES, TUNNELS } from '../model/words.ts';
import type { HistoryData } from './connection-history.ts';
import { ConnectionHistory } from './connection-history.ts';
import { InterfaceTable } from './interfaces.ts';
import { PortTable } from './ports.ts';
import { SessionTable } from './sessions.ts';

export interface PollerOptions {
  readonly reader: SourceReader;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Sources to read. */
  readonly enabled: ReadonlySet<Source>;
  /** A scrape within this time of the last poll is answered from it. */
  readonly minIntervalMs: number;
  /** What was read longer ago than this is not served any more. */
  readonly maxAgeMs: number;
  /** Accounts of so many users are kept; 0: none. */
  readonly userLimit: number;
  /** Told of every read, for the exporter's own metrics. */
  readonly onRead: (source: Source, report: ReadReport) => void;
  /** Told, after a poll, how often counters wrapped in it and how many deltas may hide another wrap. */
  readonly onWraps: (wraps: number, ambiguous: number) => void;
  /** Absent: no traces. */
  readonly tracing?: Tracing;
}

/** The background poll comes at least this often. */
const LONGEST_INTERVAL_MS = 30_000;
const SHORTEST_INTERVAL_MS = 1_000;
/** Changes come in bursts: after one, the next poll waits for this long since the last. */
const POKED_INTERVAL_MS = 1_000;
/** A connection may speed up between two polls: count with a line of 1 Gbit/s, and half of the time to a wrap. */
const EXPECTED_BYTES_PER_SECOND = 125_000_000;
const WRAP_BYTES = 4_294_967_296;

/** A verdict of access denied is reused for so long: asking again would change nothing but the server's log. */
export const DENIED_FOR_MS = 60_000;

interface SourceState {
  status: SourceStatus;
  /** Monotonic time of the last success; -Infinity if there was none. */
  readAtMs: number;
  deniedUntilMs: number;
  /** So that a state is logged when it changes, and not at every poll. */
  loggedProblem: string | undefined;
  /** What the log tells problems apart by: the message of a host process that is down counts to its restart. */
  problemKey: string | undefined;
}

const STOPPED: ServiceStatus = { running: false, lanOnly: false, startTimeSeconds: undefined };
const START_TOLERANCE_SECONDS = 2;

export class Poller {
  readonly #options: PollerOptions;
  #minIntervalMs: number;
  #maxAgeMs: number;
  readonly #sources = new Map<Source, SourceState>();
  readonly #sessions: SessionTable;
  readonly #portTable = new PortTable();
  readonly #interfaces = new InterfaceTable();
  readonly #history: ConnectionHistory;
  /** When the newest answer of each source came: what comes later in a poll must not make it look older. */
  readonly #answeredAt = new Map<Source, { monotonicMs: number; wallSeconds: number }>();
  #inFlight: Promise<void> | undefined;
  #generation = 0;
  #polledAtMs = -Infinity;
  #timestampSeconds = 0;
  #service: ServiceStatus | undefined;
  #ports: PortCounts | undefined;
  #interfaceStatuses: readonly InterfaceStatus[] | undefined;
  #connections: ConnectionTable | undefined;
  #totals: Totals;
  #links: ReadonlyMap<string, LinkTraffic>;
  #users: readonly UserAccount[] | undefined;
  #stopped = false;
  #poked = false;
  #wake: (() => void) | undefined;

  constructor(options: PollerOptions) {
    this.#options = options;
    this.#minIntervalMs = options.minIntervalMs;
    this.#maxAgeMs = options.maxAgeMs;
    this.#sessions = new SessionTable({ userLimit: options.userLimit });
    this.#history = new ConnectionHistory(options.clock);
    this.#totals = this.#sessions.totals();
    this.#links = this.#sessions.links();
    this.#users = this.#sessions.users();
    for (const source of SOURCES) {
      if (!options.enabled.has(source)) continue;
      this.#sources.set(source, {
        status: { up: false, durationSeconds: undefined, problem: 'not read yet' },
        readAtMs: -Infinity,
        deniedUntilMs: -Infinity,
        loggedProblem: undefined,
        problemKey: undefined,
      });
    }
  }

  /** From now on. */
  configure({ minIntervalMs, maxAgeMs }: Pick<PollerOptions, 'minIntervalMs' | 'maxAgeMs'>): void {
    this.#minIntervalMs = minIntervalMs;
    this.#maxAgeMs = maxAgeMs;
  }

  /** True once any poll has read something. */
  get ready(): boolean {
    return this.#timestampSeconds > 0;
  }

  /**
   * The newest snapshot after a poll that this call starts or joins, or what there is when `waitMs` have passed. A poll of
   * the last `withinMs` will do.
   */
  async collect(waitMs: number, withinMs = this.#minIntervalMs): Promise<Snapshot> {
    const { clock } = this.#options;
    if (!this.#inFlight && clock.monotonicMs() - this.#polledAtMs < withinMs) return this.snapshot();
    const poll = this.#join();
    const finished = new AbortController();
    await Promise.race([poll, clock.sleep(waitMs, finished.signal).catch(() => undefined)]);
    finished.abort();
    return this.snapshot();
  }

  /**
   * Polls in the background until the signal is aborted: often enough that no counter wraps twice unseen, at once
   * after `poke`, and not at all while scrapes come as often.
   */
  async run(signal: AbortSignal): Promise<void> {
    const { clock } = this.#options;
    signal.addEventListener('abort', () => {
      this.#stopped = true;
      this.#wake?.();
    });
    while (!signal.aborted) {
      const poked = this.#poked;
      const intervalMs = poked ? POKED_INTERVAL_MS : this.#intervalMs();
      const waitMs = this.#polledAtMs + intervalMs - clock.monotonicMs();
      // In the middle of a poll nobody knows how fast the counters are.
      if (!this.#inFlight && waitMs > 0) await this.#sleep(waitMs);
      else await this.#join();
    }
  }

  /** Something has changed on the server: the background poll comes as soon as it may. */
  poke(): void {
    this.#poked = true;
    this.#wake?.();
  }

  /** Sleeps until the time is up, or somebody pokes or stops it. */
  async #sleep(ms: number): Promise<void> {
    const awake = new AbortController();
    this.#wake = () => awake.abort();
    await this.#options.clock.sleep(ms, awake.signal).catch(() => undefined);
    this.#wake = undefined;
  }

  /** So that the fastest counter cannot wrap twice between two polls. */
  #intervalMs(): number {
    const fastest = this.#sessions.fastestWrappingBytesPerSecond;
    if (fastest === undefined) return LONGEST_INTERVAL_MS;
    const secondsToWrap = WRAP_BYTES / Math.max(fastest, EXPECTED_BYTES_PER_SECOND);
    return Math.min(LONGEST_INTERVAL_MS, Math.max(SHORTEST_INTERVAL_MS, (secondsToWrap / 2) * 1000));
  }

  /** The poll under way, or a new one. Never rejects. */
  #join(): Promise<void> {
    const { tracing = noTracing } = this.#options;
    return (this.#inFlight ??= tracing
      .run('rras.poll', {}, (span) => this.#poll(span))
      .catch((error: unknown) => this.#giveUp(error))
      .finally(() => {
        this.#inFlight = undefined;
        this.#polledAtMs = this.#options.clock.monotonicMs();
      }));
  }

  /** What is known now, with nothing in it that is older than the maximum age. */
  snapshot(): Snapshot {
    const { clock } = this.#options;
    const maxAgeMs = this.#maxAgeMs;
    const now = clock.monotonicMs();
    const fresh = (source: Source): boolean => {
      const state = this.#sources.get(source);
      return state !== undefined && now - state.readAtMs <= maxAgeMs;
    };
    const sources: Partial<Record<Source, SourceStatus>> = {};
    let up = true;
    for (const [source, { status }] of this.#sources) {
      sources[source] = status;
      if (status.up !== undefined && !(status.up && fresh(source))) up = false;
    }
    return {
      generation: this.#generation,
      up,
      timestampSeconds: this.#timestampSeconds,
      sources,
      service: fresh('server') || fresh('connections') ? this.#service : undefined,
      ports: fresh('ports') ? this.#ports : undefined,
      interfaces: fresh('interfaces') ? this.#interfaceStatuses : undefined,
      connections: fresh('connections') ? this.#connections : undefined,
      portTunnels: this.#portTunnels(),
      totals: this.#totals,
      links: this.#links,
      users: this.#users,
    };
  }

  /** Connections by tunnel over the last hour. */
  history(): HistoryData {
    return this.#history.read(this.#portTunnels());
  }

  /** Tunnels that the server had ports for when they were read last. */
  #portTunnels(): readonly Tunnel[] {
    return TUNNELS.filter((tunnel) => this.#ports?.byCondition.has(tunnel));
  }

  async #poll(span: Span): Promise<void> {
    this.#poked = false;
    const outcomes = new Map<Source, ReadOutcome>();
    let stopped = false;
    let denied: Failure | undefined;
    for (const source of this.#sources.keys()) {
      // A stopped service has nothing to enumerate, and who may not see the service may not see its parts.
      if (stopped || denied) break;
      const outcome = await this.#read(source, span);
      outcomes.set(source, outcome);
      if (outcome.status === 'stopped') stopped = true;
      if (outcome.status === 'ok' && outcome.frame.source === 'server' && !outcome.frame.running)
        stopped = true;
      if (outcome.status !== 'failed') continue;
      if (outcome.failure.kind === 'permission' && source === 'server') denied = outcome.failure;
      // There is no host to ask; after one that was killed, the next source has a new one.
      if (outcome.failure.kind === 'host_down') break;
    }
    // What fails because the exporter ends says nothing of the server.
    if (this.#stopped) return;
    await this.#apply(outcomes, stopped, denied);
    span.set({
      'rras.generation': this.#generation,
      'rras.connections': this.#connections?.connections.length ?? 0,
    });
    const failed = [...outcomes].flatMap(([source, { status }]) => (status === 'failed' ? [source] : []));
    if (failed.length > 0) span.fail(`not read: ${failed.join(', ')}`);
  }

  async #read<S extends Source>(source: S, poll: Span): Promise<ReadOutcome<FrameOf<S>>> {
    const { clock, reader, onRead } = this.#options;
    const state = this.#sources.get(source)!;
    if (clock.monotonicMs() < state.deniedUntilMs) {
      const failure: Failure = { kind: 'permission', message: state.status.problem ?? 'access denied' };
      const seconds = state.status.durationSeconds ?? 0;
      return { status: 'failed', failure, report: { calls: [], pages: 0, anomalies: {}, seconds } };
    }
    const startMs = clock.monotonicMs();
    const outcome = await reader.read(source);
    trace(poll, source, startMs, clock.monotonicMs(), outcome);
    this.#answeredAt.set(source, { monotonicMs: clock.monotonicMs(), wallSeconds: clock.wallSeconds() });
    if (outcome.status === 'failed' && outcome.failure.kind === 'permission') {
      state.deniedUntilMs = clock.monotonicMs() + DENIED_FOR_MS;
    }
    onRead(source, outcome.report);
    return outcome;
  }

  async #apply(
    outcomes: ReadonlyMap<Source, ReadOutcome>,
    stopped: boolean,
    denied: Failure | undefined,
  ): Promise<void> {
    const { clock, onWraps } = this.#options;
    const now = clock.monotonicMs();
    const wall = clock.wallSeconds();
    const { wraps, ambiguousDeltas } = this.#sessions;
    // First, as it may throw: what could not be taken in must not count as read. Also, as it takes the longest: the
    // rest of the snapshot changes at once.
    const connections = stopped ? undefined : await this.#updateSessions(outcomes);
    if (stopped) this.#applyStopped(wall);
    else this.#applyFrames(outcomes, connections, wall);
    if (stopped) this.#history.record([]);
    else if (connections) this.#history.record(connections.connections);
    onWraps(this.#sessions.wraps - wraps, this.#sessions.ambiguousDeltas - ambiguousDeltas);
    this.#totals = this.#sessions.totals();
    this.#links = this.#sessions.links();
    this.#users = this.#sessions.users();
    let read = false;
    let lastFailure: Failure | undefined = denied;
    for (const [source, state] of this.#sources) {
      const outcome = outcomes.get(source);
      const durationSeconds = outcome?.report.seconds;
      if (stopped && outcome?.status !== 'failed') {
        this.#succeed(state, { up: true, durationSeconds, problem: undefined }, now);
        read = true;
      } else if (outcome === undefined || outcome.status === 'failed') {
        const failure: Failure | undefined = outcome?.status === 'failed' ? outcome.failure : lastFailure;
        lastFailure = failure;
        state.status = { up: false, durationSeconds, problem: failure?.message ?? 'not read' };
        state.problemKey = failure?.kind === 'host_down' ? failure.kind : state.status.problem;
      } else {
        const up = outcome.status === 'inapplicable' ? undefined : true;
        this.#succeed(state, { up, durationSeconds, problem: undefined }, now);
        read = true;
      }
    }
    this.#logChanges();
    this.#generation += 1;
    if (read) this.#timestampSeconds = wall;
  }

  /** A defect of ours must not end the polling; what the reader has sent so far is asked for again. */
  #giveUp(error: unknown): void {
    const problem = `internal error: ${error instanceof Error ? error.message : String(error)}`;
    this.#options.logger.error('poll failed', { error });
    for (const state of this.#sources.values()) {
      state.status = { up: false, durationSeconds: state.status.durationSeconds, problem };
    }
    this.#generation += 1;
    this.#options.reader.reset();
  }

  #succeed(state: SourceState, status: SourceStatus, now: number): void {
    state.status = status;
    state.problemKey = undefined;
    state.readAtMs = now;
  }

  #applyStopped(wall: number): void {
    this.#service = STOPPED;
    this.#ports = this.#portTable.stopped(this.#ports);
    this.#connections = this.#sessions.clear();
    this.#interfaceStatuses = this.#interfaces.stopped(wall);
  }

  async #updateSessions(outcomes: ReadonlyMap<Source, ReadOutcome>): Promise<ConnectionTable | undefined> {
    const frame = frameOf(outcomes, 'connections');
    if (!frame) return undefined;
    const { seconds, pages } = outcomes.get('connections')!.report;
    const updating = this.#sessions.updating(frame, frameOf(outcomes, 'ports'), {
      ...this.#answeredAt.get('connections')!,
      uncertaintySeconds: seconds,
      torn: pages > 1,
    });
    return inSlices(updating, this.#options.clock);
  }

  #applyFrames(
    outcomes: ReadonlyMap<Source, ReadOutcome>,
    connections: ConnectionTable | undefined,
    wall: number,
  ): void {
    const server = frameOf(outcomes, 'server');
    if (server) {
      const computed = this.#answeredAt.get('server')!.wallSeconds - server.uptimeSeconds;
      const last = this.#service?.startTimeSeconds;
      const keep = last !== undefined && Math.abs(last - computed) <= START_TOLERANCE_SECONDS;
      this.#service = {
        running: true,
        lanOnly: server.lanOnly,
        startTimeSeconds: keep ? last : Math.round(computed),
      };
    }
    const ports = frameOf(outcomes, 'ports');
    if (ports) this.#ports = this.#portTable.update(ports);
    else if (outcomes.get('ports')?.status === 'inapplicable') this.#ports = undefined;
    if (connections) {
      // A service that was stopped a moment ago answers its enumeration again.
      if (!this.#sources.has('server'))
        this.#service = { running: true, lanOnly: false, startTimeSeconds: undefined };
      this.#connections = connections;
    } else if (outcomes.get('connections')?.status === 'inapplicable') {
      this.#connections = undefined;
    }
    const interfaces = frameOf(outcomes, 'interfaces');
    if (interfaces) this.#interfaceStatuses = this.#interfaces.update(interfaces, wall);
  }

  /** One line for all sources that came to the same problem in this poll, or out of one. */
  #logChanges(): void {
    const { logger } = this.#options;
    if (this.#stopped) return;
    const changed = new Map<string | undefined, Source[]>();
    for (const [source, state] of this.#sources) {
      const { problemKey } = state;
      if (problemKey === state.loggedProblem) continue;
      state.loggedProblem = problemKey;
      changed.set(problemKey, [...(changed.get(problemKey) ?? []), source]);
    }
    for (const sources of changed.values()) {
      const source = sources.join(',');
      const { problem } = this.#sources.get(sources[0]!)!.status;
      if (problem === undefined) logger.info('source is read again', { source });
      else logger.warn('source cannot be read', { source, problem });
    }
  }
}

function frameOf<S extends Source>(
  outcomes: ReadonlyMap<Source, ReadOutcome>,
  source: S,
): FrameOf<S> | undefined {
  const outcome = outcomes.get(source);
  return outcome?.status === 'ok' ? (outcome.frame as FrameOf<S>) : undefined;
}

/** NO_ERROR, and ERROR_MORE_DATA of an enumeration that goes on. */
const GOOD_CODES: ReadonlySet<number> = new Set([0, 234]);

/** A part for the read of a source, and one in it for each native call. */
function trace(poll: Span, source: Source, startMs: number, endMs: number, outcome: ReadOutcome): void {
  const { report } = outcome;
  const failure = outcome.status === 'failed' ? outcome.failure : undefined;
  const read = poll.part('rras.read', startMs, endMs, {
    attributes: {
      'rras.source': source,
      'rras.status': outcome.status,
      'rras.pages': report.pages,
      ...(failure?.function !== undefined && { 'rras.function': failure.function }),
      ...(failure?.code !== undefined && { 'rras.code': failure.code }),
    },
    failure: failure?.message,
  });
  for (const { function: name, code, seconds, atSeconds, entries } of report.calls) {
    const callMs = startMs + atSeconds * 1000;
    read.part(name, callMs, callMs + seconds * 1000, {
      attributes: {
        'rras.function': name,
        'rras.code': code,
        ...(entries !== undefined && { 'rras.entries': entries }),
      },
      failure: GOOD_CODES.has(code) ? undefined : `${name} returned ${code}`,
    });
  }
}
