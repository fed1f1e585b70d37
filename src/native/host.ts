/**
 * Reads the sources of one RRAS server through an RrasApi, and acts on it: handles, order of calls, fallbacks and stale
 * handles. It runs in the child process (or in-process for debugging), makes one native call at a time and frees every
 * buffer.
 */
import type { Actor, ActOutcome, ActRequest, ActResult, ConnectionNow } from '../model/actions.ts';
import type { Clock } from '../model/clock.ts';
import type {
  ConnectionsFrame,
  Failure,
  FailureKind,
  Frame,
  FrameOf,
  InterfaceRecord,
  NativeCall,
  ReadOutcome,
  ReadReport,
  ServerFrame,
  SourceReader,
} from '../model/frames.ts';
import { NO_SLOT } from '../model/frames.ts';
import type {
  ChangeEvent,
  EnumPage,
  Handle,
  NativeBuffer,
  NativeFunction,
  RrasApi,
} from '../model/rras-api.ts';
import type { Anomaly, Source } from '../model/words.ts';
import type { Attempt, Line } from './acting.ts';
import { Acting, lookOutcome } from './acting.ts';
import {
  actAdvice,
  adviceFor,
  describeCode,
  ERROR_INVALID_HANDLE,
  ERROR_INVALID_LEVEL,
  ERROR_INVALID_PARAMETER,
  ERROR_PROC_NOT_FOUND,
  isStale,
  kindOfCode,
  NO_ERROR,
  saysServiceDown,
} from './codes.ts';
import {
  BadLayout,
  ConnectionDecoder,
  decodeServer,
  HeldPortDecoder,
  InterfaceDecoder,
  PortDecoder,
} from './decode.ts';
import { IDENTITIES_PER_MESSAGE } from './host-messages.ts';
import {
  fieldOf,
  INVALID_HANDLE_VALUE,
  MPR_INTERFACE_0,
  MPR_INTERFACE_2,
  MPR_SERVER_0,
  RAS_CONNECTION_OBJECT,
  RAS_PORT_0,
} from './layout.ts';

/** Takes new and changed identities, some at a time, ahead of the frame that they belong to. */
export type Deliver = (part: ConnectionsFrame['identities']) => Promise<void>;

/** The resume loop of the collector, handed in by the composition root. */
export type Enumerate = (request: {
  call: (preferredLength: number, resumeHandle: number) => Promise<EnumPage>;
  stride: number;
  consume: (bytes: Uint8Array, entries: number) => number;
  tally: { pages: number; readonly anomalies: Partial<Record<Anomaly, number>> };
}) => Promise<
  { status: 'complete' } | { status: 'failed'; code: number } | { status: 'broken'; anomaly: Anomaly }
>;

export interface HostOptions {
  readonly api: RrasApi;
  readonly enumerate: Enumerate;
  readonly clock: Clock;
  /** Null for the local machine. */
  readonly server: string | null;
  /** Told when some connection or interface came or went, where the server tells; nothing of which one. */
  readonly onChange?: () => void;
}

/** Ends a read early; becomes its outcome. */
class ReadEnded extends Error {
  readonly outcome: 'stopped' | 'inapplicable' | Failure;
  /** The call whose code ended it, if one did. */
  readonly where: Pick<Failure, 'function' | 'code'>;
  constructor(outcome: 'stopped' | 'inapplicable' | Failure, where: Pick<Failure, 'function' | 'code'> = {}) {
    super(typeof outcome === 'string' ? outcome : outcome.message);
    this.outcome = outcome;
    this.where = where;
  }
}

interface Tally {
  readonly calls: NativeCall[];
  pages: number;
  readonly anomalies: Partial<Record<Anomaly, number>>;
}

const LEVEL_4 = 4;
const LEVEL_0 = 0;
const LEVEL_2 = 2;
/** Idle time-outs are settings: read again now and then, a few interfaces in one poll. */
const IDLE_TIMEOUT_REFRESH_MS = 5 * 60_000;
const IDLE_TIMEOUT_READS_PER_POLL = 64;
/** Outcomes that are no failure of the action. */
const SUCCESSES: ReadonlySet<ActOutcome> = new Set([
  'done',
  'in_progress',
  'already_connected',
  'already_connecting',
  'already_disconnected',
]);
/** Where no code says more. */
const KIND_OF_OUTCOME: Readonly<Partial<Record<ActOutcome, FailureKind>>> = {
  gone: 'gone',
  refused: 'unsupported',
  our_error: 'internal',
};
/** One worker thread waits for changes; it comes back now and then. */
const CHANGE_WAIT_MS = 60_000;

export class Host implements SourceReader, Actor {
  readonly #api: RrasApi;
  readonly #enumerate: Enumerate;
  readonly #clock: Clock;
  readonly #server: string | null;
  readonly #missing: ReadonlySet<NativeFunction>;
  #handle: Handle | undefined;
  /** A call has succeeded on the present handle: a stale code is then worth one reconnect at once. */
  #proven = false;
  #lanOnly = false;
  #connections: ConnectionDecoder | undefined;
  /** Level 4 is refused or does not fit here; EnumEx answers until the service is connected anew. */
  #withoutLevel4 = false;
  readonly #idleTimeouts = new Map<string, { seconds: number | null; atMs: number }>();
  /** When the read or action under way began. */
  #startedMs = 0;
  #tally: Tally = { calls: [], pages: 0, anomalies: {} };
  readonly #onChange: (() => void) | undefined;
  #changes: ChangeEvent | undefined;
  #queue: Promise<unknown> = Promise.resolve();

  constructor(options: HostOptions) {
    this.#api = options.api;
    this.#enumerate = options.enumerate;
    this.#clock = options.clock;
    this.#server = options.server;
    this.#missing = new Set(options.api.missing);
    this.#onChange = options.onChange;
  }

  /**
   * Reads one source. Reads and actions wait for each other. With `deliver`, identities go to it and the frame has
   * none: those of 50,000 connections take 27 MB.
   */
  read<S extends Source>(source: S, deliver?: Deliver): Promise<ReadOutcome<FrameOf<S>>> {
    return this.#inTurn(() => this.#read(source, deliver));
  }

  /** Carries out one request. Reads and actions wait for each other. */
  act(request: ActRequest): Promise<ActResult> {
    return this.#inTurn(() => this.#act(request));
  }

  #inTurn<T>(run: () => Promise<T>): Promise<T> {
    const result = this.#queue.then(run);
    this.#queue = result.catch(() => undefined);
    return result;
  }

  async #read<S extends Source>(source: S, deliver?: Deliver): Promise<ReadOutcome<FrameOf<S>>> {
    const started = this.#clock.monotonicMs();
    const tally: Tally = { calls: [], pages: 0, anomalies: {} };
    this.#tally = tally;
    this.#startedMs = started;
    const report = (): ReadReport => ({ ...tally, seconds: this.#secondsSince(started) });
    const readers: Record<Source, () => Promise<Frame>> = {
      server: () => this.#readServer(),
      connections: () => this.#readConnections((api) => this.#decoderFor(api), deliver),
      ports: () => this.#readPorts(),
      interfaces: () => this.#readInterfaces(),
    };
    try {
      const frame = await readers[source]();
      if (frame.source === 'server' && !frame.running) this.reset();
      return { status: 'ok', frame: frame as FrameOf<S>, report: report() };
    } catch (error) {
      if (error instanceof ReadEnded) {
        // Whoever is told of a stop forgets its sessions: after it all of them are news.
        if (error.outcome === 'stopped') this.reset();
        if (typeof error.outcome === 'string') return { status: error.outcome, report: report() };
        return { status: 'failed', failure: error.outcome, report: report() };
      }
      if (error instanceof BadLayout) {
        this.#count('bad_layout');
        return { status: 'failed', failure: failure('protocol', error.message), report: report() };
      }
      const message = `reading ${source} failed: ${error instanceof Error ? error.message : String(error)}; ${adviceFor('internal')}`;
      return { status: 'failed', failure: { kind: 'internal', message }, report: report() };
    }
  }

  reset(): void {
    this.#connections = undefined;
  }

  /** Gives the server handle back. */
  async close(): Promise<void> {
    await this.#inTurn(() => this.#drop());
  }

  async #act(request: ActRequest): Promise<ActResult> {
    const started = this.#clock.monotonicMs();
    const tally: Tally = { calls: [], pages: 0, anomalies: {} };
    this.#tally = tally;
    this.#startedMs = started;
    const acting = new Acting(this.#line());
    let attempt: Attempt;
    let trouble: Failure | undefined;
    try {
      // Everything but the interfaces' state would be 903, which voids the handle and what is known of the router.
      if (this.#lanOnly && request.action !== 'inspect_interface') throw new ReadEnded('inapplicable');
      // Only a handle from before can have become void meanwhile; a new one that is refused would be so again.
      const mayBeVoid = this.#handle !== undefined;
      attempt = await acting.attempt(request);
      if (attempt.repeatable && mayBeVoid) {
        await this.#drop();
        attempt = await acting.attempt(request);
      }
      if (attempt.repeatable || attempt.outcome === 'unknown') await this.#drop();
    } catch (error) {
      const ended = this.#attemptOf(error, acting.underway);
      attempt = ended.attempt;
      trouble = ended.trouble;
    }
    const { outcome, code, interfaceNow, connectionNow } = attempt;
    return {
      outcome,
      code: code ?? null,
      failure: trouble ?? this.#actFailure(attempt),
      interfaceNow: interfaceNow ?? null,
      connectionNow: connectionNow ?? null,
      report: { ...tally, seconds: this.#secondsSince(started) },
    };
  }

  #line(): Line {
    return {
      api: this.#api,
      has: (name) => this.#has(name),
      call: async (name, call) => {
        const handle = await this.#connected();
        const result = await this.#timed(name, () => call(handle));
        if (result.code === NO_ERROR) this.#proven = true;
        return result;
      },
      portsOf: async (connection) => {
        const decoder = new HeldPortDecoder(connection);
        const name = 'MprAdminPortEnum';
        const code = await this.#pages(
          name,
          RAS_PORT_0.size,
          decoder,
          (handle, length, resume) => this.#api.portEnum(handle, LEVEL_0, connection, length, resume),
          // Here it is the connection's handle that is invalid, not the server's.
          (each) => lookOutcome(each) === 'gone',
        );
        if (code === undefined) return decoder.held;
        if (lookOutcome(code) === 'gone') return null;
        return this.#end(name, code);
      },
      findConnection: (handle) => this.#findConnection(handle),
    };
  }

  /** Reads all connections for the one: level 4 has no call for a single one (mprapi-facts 5.7). */
  async #findConnection(handle: string): Promise<ConnectionNow | undefined> {
    // A decoder of its own: what the other one sends as new must go to who reads the source.
    const { identities, columns } = await this.#readConnections(
      (api) => new ConnectionDecoder(api, () => this.#clock.wallSeconds()),
    );
    const entry = identities.find(([, identity]) => identity.handle === handle);
    if (!entry) return undefined;
    const [slot, { guid, startTicks, tunnel, remoteAddress, localAddress }] = entry;
    const switchovers = columns.switchovers[columns.slot.indexOf(slot)] ?? 0;
    return { handle, guid, startTicks, tunnel, remoteAddress, localAddress, switchovers };
  }

  /** What an exception means for an action. */
  #attemptOf(error: unknown, underway: boolean): { attempt: Attempt; trouble?: Failure } {
    if (error instanceof ReadEnded) {
      const { outcome, where } = error;
      const { code } = where;
      const trouble = typeof outcome === 'string' ? undefined : outcome;
      if (code !== undefined) {
        return { attempt: { outcome: lookOutcome(code), ...(where as Pick<Attempt, 'function' | 'code'>) } };
      }
      if (outcome === 'inapplicable') {
        return { attempt: { outcome: 'refused', reason: 'this router has no remote access role' } };
      }
      const refused = trouble?.kind === 'unsupported';
      return { attempt: { outcome: refused ? 'refused' : 'retryable' }, ...(trouble && { trouble }) };
    }
    const what = error instanceof Error ? error.message : String(error);
    if (error instanceof BadLayout) {
      this.#count('bad_layout');
      return { attempt: { outcome: 'retryable' }, trouble: failure('protocol', what) };
    }
    const outcome: ActOutcome = underway ? 'unknown' : 'our_error';
    const message = `acting failed: ${what}; ${adviceFor('internal')}`;
    return { attempt: { outcome }, trouble: { kind: 'internal', message } };
  }

  /** Null where it is as it should be, or will be. */
  #actFailure({ outcome, function: name, code, reason }: Attempt): Failure | null {
    if (SUCCESSES.has(outcome)) return null;
    const kind = this.#kindOf(outcome, code);
    const what =
      reason ?? (name && code !== undefined ? `${name} failed: ${describeCode(code)}` : 'it is not there');
    return {
      kind,
      message: `${what}: ${actAdvice(outcome, kind)}`,
      ...(name !== undefined && { function: name }),
      ...(code !== undefined && { code }),
    };
  }

  #kindOf(outcome: ActOutcome, code: number | undefined): FailureKind {
    if (code === undefined) return KIND_OF_OUTCOME[outcome] ?? 'retryable';
    if (saysServiceDown(code, this.#server !== null)) return 'service_down';
    if (outcome === 'retryable') return 'retryable';
    // To kindOfCode a code that nobody knows is worth another try: not so an action.
    return outcome === 'failed' ? 'protocol' : kindOfCode(code);
  }

  async #readServer(): Promise<ServerFrame> {
    const stopped: ServerFrame = {
      source: 'server',
      running: false,
      lanOnly: false,
      uptimeSeconds: 0,
      totalPorts: 0,
      portsInUse: 0,
    };
    try {
      if (this.#has('MprAdminIsServiceInitialized')) {
        const { code } = await this.#timed('MprAdminIsServiceInitialized', () =>
          this.#api.isServiceInitialized(this.#server),
        );
        const kind = kindOfCode(code);
        if (code !== NO_ERROR && (kind === 'permission' || kind === 'service_down')) {
          await this.#drop();
          this.#end('MprAdminIsServiceInitialized', code);
        }
      }
      const { buffer } = await this.#call('MprAdminServerGetInfo', (handle) =>
        this.#api.serverGetInfo(handle, LEVEL_0),
      );
      const frame = this.#take('MprAdminServerGetInfo', buffer, MPR_SERVER_0.size, decodeServer);
      this.#lanOnly = frame.lanOnly;
      return frame;
    } catch (error) {
      if (error instanceof ReadEnded && error.outcome === 'stopped') return stopped;
      throw error;
    }
  }

  async #readConnections(
    decoderFor: (api: 'level4' | 'ex') => ConnectionDecoder,
    deliver?: Deliver,
  ): Promise<ConnectionsFrame> {
    if (this.#lanOnly) throw new ReadEnded('inapplicable');
    const level4 = this.#has('MprAdminConnectionEnum') && !this.#withoutLevel4;
    if (level4) {
      try {
        const frame = await this.#enumerateConnections(decoderFor('level4'), deliver);
        if (frame) return frame;
      } catch (error) {
        if (!(error instanceof BadLayout)) throw error;
        this.#count('bad_layout');
      }
      this.#withoutLevel4 = true;
    }
    if (!this.#has('MprAdminConnectionEnumEx')) {
      throw new ReadEnded(failure('unsupported', 'mprapi.dll has no MprAdminConnectionEnumEx'));
    }
    try {
      return (await this.#enumerateConnections(decoderFor('ex'), deliver))!;
    } catch (error) {
      if (!(error instanceof BadLayout)) throw error;
      this.#count('bad_layout');
      throw new ReadEnded(failure('protocol', `MprAdminConnectionEnumEx: ${error.message}`));
    }
  }

  /** The decoder that knows what was sent. */
  #decoderFor(api: 'level4' | 'ex'): ConnectionDecoder {
    if (this.#connections?.api !== api) {
      this.#connections = new ConnectionDecoder(api, () => this.#clock.wallSeconds());
    }
    return this.#connections;
  }

  /** Undefined: this server has no level 4. */
  async #enumerateConnections(
    decoder: ConnectionDecoder,
    deliver?: Deliver,
  ): Promise<ConnectionsFrame | undefined> {
    const { api } = decoder;
    const name = api === 'level4' ? 'MprAdminConnectionEnum' : 'MprAdminConnectionEnumEx';
    const unsupported = await this.#pages(name, decoder.stride, decoder, (handle, length, resume) =>
      api === 'level4'
        ? this.#api.connectionEnum(handle, LEVEL_4, length, resume)
        : this.#api.connectionEnumEx(handle, RAS_CONNECTION_OBJECT, length, resume),
    );
    if (unsupported !== undefined) {
      if (api === 'level4') return undefined;
      this.#end(name, unsupported);
    }
    if (!deliver) return decoder.finish();
    const frame = decoder.end();
    for (;;) {
      const part = decoder.takeIdentities(IDENTITIES_PER_MESSAGE);
      if (part.length === 0) return frame;
      await deliver(part);
    }
  }

  async #readPorts(): Promise<Frame> {
    if (this.#lanOnly) throw new ReadEnded('inapplicable');
    const connections = this.#connections;
    const decoder = new PortDecoder((low, high) => connections?.slotOf(low, high) ?? NO_SLOT);
    const unsupported = await this.#pages(
      'MprAdminPortEnum',
      RAS_PORT_0.size,
      decoder,
      (handle, length, resume) => this.#api.portEnum(handle, LEVEL_0, INVALID_HANDLE_VALUE, length, resume),
    );
    if (unsupported !== undefined) this.#end('MprAdminPortEnum', unsupported);
    return decoder.finish();
  }

  async #readInterfaces(): Promise<Frame> {
    const decoder = new InterfaceDecoder();
    const unsupported = await this.#pages(
      'MprAdminInterfaceEnum',
      MPR_INTERFACE_0.size,
      decoder,
      (handle, length, resume) => this.#api.interfaceEnum(handle, LEVEL_0, length, resume),
    );
    if (unsupported !== undefined) this.#end('MprAdminInterfaceEnum', unsupported);
    const interfaces: InterfaceRecord[] = [];
    let reads = 0;
    for (const record of decoder.interfaces) {
      const key = `${record.handle} ${record.name}`;
      let known = this.#idleTimeouts.get(key);
      const now = this.#clock.monotonicMs();
      const due = known === undefined || now - known.atMs >= IDLE_TIMEOUT_REFRESH_MS;
      if (
        due &&
        record.type === 'full_router' &&
        reads < IDLE_TIMEOUT_READS_PER_POLL &&
        this.#has('MprAdminInterfaceGetInfo')
      ) {
        reads += 1;
        const seconds = await this.#readIdleTimeout(record.handle);
        if (this.#handle === undefined) {
          // It turned out to be stale: the rest waits for the next poll.
          reads = IDLE_TIMEOUT_READS_PER_POLL;
        } else {
          known = { seconds: seconds === undefined ? (known?.seconds ?? null) : seconds, atMs: now };
          this.#idleTimeouts.set(key, known);
        }
      }
      interfaces.push({ ...record, idleDisconnectSeconds: known?.seconds ?? null });
    }
    const present = new Set(interfaces.map(({ handle, name }) => `${handle} ${name}`));
    for (const key of this.#idleTimeouts.keys()) if (!present.has(key)) this.#idleTimeouts.delete(key);
    return { source: 'interfaces', interfaces };
  }

  /** dwIdleDisconnectSeconds of level 2; null: this interface has none; undefined: not to be had at the moment. */
  async #readIdleTimeout(handle: string): Promise<number | null | undefined> {
    const server = await this.#connected();
    const { code, buffer } = await this.#timed('MprAdminInterfaceGetInfo', () =>
      this.#api.interfaceGetInfo(server, BigInt(`0x${handle}`), LEVEL_2),
    );
    try {
      if (code === NO_ERROR) {
        if (buffer === null) return null;
        const { offset } = fieldOf(MPR_INTERFACE_2, 'dwIdleDisconnectSeconds');
        return Buffer.from(buffer.view(MPR_INTERFACE_2.size)).readUInt32LE(offset);
      }
    } finally {
      buffer?.free();
    }
    // Here it is the interface's handle that is invalid, not the server's.
    if (isStale(code) && code !== ERROR_INVALID_HANDLE) {
      await this.#drop();
      return undefined;
    }
    const kind = kindOfCode(code);
    return kind === 'unsupported' || kind === 'gone' ? null : undefined;
  }

  /**
   * Runs one enumeration over `decoder`. Resolves to the code that says "no such level or function here", or to one
   * that `isAnswer` takes for an answer, if any.
   */
  async #pages(
    name: NativeFunction,
    stride: number,
    decoder: { begin?: () => void; page: (bytes: Uint8Array, entries: number) => number },
    call: (handle: Handle, length: number, resume: number) => Promise<EnumPage>,
    isAnswer: (code: number) => boolean = () => false,
  ): Promise<number | undefined> {
    if (!this.#has(name)) throw new ReadEnded(failure('unsupported', `mprapi.dll has no ${name}`));
    for (;;) {
      const handle = await this.#connected();
      decoder.begin?.();
      const end = await this.#enumerate({
        call: (length, resume) => this.#timed(name, () => call(handle, length, resume)),
        stride,
        consume: (bytes, entries) => decoder.page(bytes, entries),
        tally: this.#tally,
      });
      if (end.status === 'complete') {
        this.#proven = true;
        return undefined;
      }
      if (end.status === 'broken') {
        throw new ReadEnded(failure('protocol', `${name} broke off (${end.anomaly})`, { function: name }));
      }
      if (isAnswer(end.code)) return end.code;
      if (await this.#mayRetry(end.code)) continue;
      if (
        end.code === ERROR_INVALID_LEVEL ||
        end.code === ERROR_INVALID_PARAMETER ||
        end.code === ERROR_PROC_NOT_FOUND
      ) {
        return end.code;
      }
      this.#end(name, end.code);
    }
  }

  /** One call on the server handle; ends the read for any code but success. */
  async #call<R extends { code: number; buffer: NativeBuffer | null }>(
    name: NativeFunction,
    call: (handle: Handle) => Promise<R>,
  ): Promise<R> {
    if (!this.#has(name)) throw new ReadEnded(failure('unsupported', `mprapi.dll has no ${name}`));
    for (;;) {
      const handle = await this.#connected();
      const result = await this.#timed(name, () => call(handle));
      if (result.code === NO_ERROR) {
        this.#proven = true;
        return result;
      }
      result.buffer?.free();
      if (!(await this.#mayRetry(result.code))) this.#end(name, result.code);
    }
  }

  /** Reads a buffer of known size and frees it. */
  #take<T>(name: string, buffer: NativeBuffer | null, size: number, decode: (bytes: Uint8Array) => T): T {
    if (buffer === null) {
      this.#count('null_buffer');
      throw new ReadEnded(failure('protocol', `${name} succeeded without a buffer`, { function: name }));
    }
    try {
      return decode(buffer.view(size));
    } finally {
      buffer.free();
    }
  }

  async #connected(): Promise<Handle> {
    if (this.#handle !== undefined) return this.#handle;
    const { code, handle } = await this.#timed('MprAdminServerConnect', () =>
      this.#api.serverConnect(this.#server),
    );
    if (code !== NO_ERROR) this.#end('MprAdminServerConnect', code);
    this.#handle = handle;
    this.#withoutLevel4 = false;
    await this.#listen(handle);
    return handle;
  }

  /** Asks to be told of changes. A registration goes with its server handle; a refusal costs nothing but the news. */
  async #listen(handle: Handle): Promise<void> {
    const { notifications } = this.#api;
    if (!notifications || !this.#onChange || this.#server !== null) return;
    if (!this.#has('MprAdminRegisterConnectionNotification')) return;
    if (!this.#changes) {
      this.#changes = notifications.createEvent();
      void this.#watch(this.#changes);
    }
    const event = this.#changes;
    await this.#timed('MprAdminRegisterConnectionNotification', () => notifications.register(handle, event));
  }

  /** Waits for changes as long as the process lives. */
  async #watch(event: ChangeEvent): Promise<void> {
    try {
      for (;;) if (await event.wait(CHANGE_WAIT_MS)) this.#onChange?.();
    } catch {
      // Without the event, polls find what changed.
    }
  }

  async #drop(): Promise<void> {
    const handle = this.#handle;
    this.#handle = undefined;
    this.#proven = false;
    this.#lanOnly = false;
    if (handle === undefined) return;
    const { notifications } = this.#api;
    const event = this.#changes;
    if (notifications && event && this.#has('MprAdminDeregisterConnectionNotification')) {
      await this.#timed('MprAdminDeregisterConnectionNotification', () =>
        notifications.deregister(handle, event),
      );
    }
    await this.#timed('MprAdminServerDisconnect', async () => {
      await this.#api.serverDisconnect(handle);
      return { code: NO_ERROR };
    });
  }

  /** A stale code voids the handle; the first time after a success, connecting anew at once may help. */
  async #mayRetry(code: number): Promise<boolean> {
    if (!isStale(code)) return false;
    const retry = this.#proven;
    await this.#drop();
    return retry;
  }

  #end(name: string, code: number): never {
    const where = { function: name, code };
    if (saysServiceDown(code, this.#server !== null)) throw new ReadEnded('stopped', where);
    // A handle that stayed void is no defect of the call: the next poll connects anew.
    const kind = isStale(code) ? 'retryable' : kindOfCode(code);
    throw new ReadEnded(failure(kind, `${name} failed: ${describeCode(code)}`, where), where);
  }

  #has(name: NativeFunction): boolean {
    return !this.#missing.has(name);
  }

  #count(anomaly: Anomaly): void {
    this.#tally.anomalies[anomaly] = (this.#tally.anomalies[anomaly] ?? 0) + 1;
  }

  async #timed<R extends { code: number }>(name: string, call: () => Promise<R>): Promise<R> {
    const started = this.#clock.monotonicMs();
    const result = await call();
    this.#tally.calls.push({
      function: name,
      code: result.code,
      seconds: this.#secondsSince(started),
      atSeconds: Math.round((started - this.#startedMs) * 1000) / 1e6,
      ...('entriesRead' in result && { entries: Number(result.entriesRead) }),
    });
    return result;
  }

  /** To the microsecond: more digits would be noise. */
  #secondsSince(startedMs: number): number {
    return Math.round((this.#clock.monotonicMs() - startedMs) * 1000) / 1e6;
  }
}

function failure(kind: FailureKind, what: string, where: Pick<Failure, 'function' | 'code'> = {}): Failure {
  return { kind, message: `${what}: ${adviceFor(kind)}`, ...where };
}
