/**
 * Tells sessions apart and keeps their accounts. A connection handle is used again by later connections, so a session
 * is a handle together with its guid and start; its id, the join key of the metrics, never serves another one.
 */
import { createHash } from 'node:crypto';
import type { ConnectionIdentity, ConnectionsFrame, PortsFrame } from '../model/frames.ts';
import { NO_SLOT } from '../model/frames.ts';
import type {
  Connection,
  ConnectionCounter,
  ConnectionTable,
  LinkTraffic,
  Totals,
  UserAccount,
} from '../model/snapshot.ts';
import { CONNECTION_COUNTERS } from '../model/snapshot.ts';
import type { Sliced } from '../model/slices.ts';
import { atOnce, ROWS_PER_SLICE } from '../model/slices.ts';
import type { InterfaceType, Role, Tunnel } from '../model/words.ts';
import { TUNNELS } from '../model/words.ts';
import { cellOf, CounterLedger, TotalsLedger } from './accounts.ts';

/** When a frame was taken. `uncertaintySeconds`: how much earlier the server may have answered. */
export interface FrameTime {
  readonly monotonicMs: number;
  readonly wallSeconds: number;
  readonly uncertaintySeconds: number;
  /** The enumeration took several pages, between which a connection may have slipped through. */
  readonly torn: boolean;
}

/** What remains of a session after it ended, in case it was only out of sight. */
interface Trace {
  readonly id: string;
  /** Index into the ledger. */
  readonly index: number;
  readonly key: Pick<ConnectionIdentity, 'guid' | 'startTicks'>;
  readonly startTimeSeconds: number;
  readonly durationSeconds: number;
  readonly seenAtMs: number;
}

interface Session {
  /** '' until its first row is read. */
  id: string;
  index: number;
  slot: number;
  identity: ConnectionIdentity;
  /** From the port, where the connection's own record cannot tell. */
  portTunnel: Tunnel;
  cell: number;
  startTimeSeconds: number;
  /** Replaced whenever something in it changes. */
  connection: Connection | undefined;
  durationSeconds: number;
  seenAtMs: number;
  seenIn: number;
  /** Its end was counted before it came back: not to be counted again. */
  endCounted: boolean;
  link: { receivedBytes: number; transmittedBytes: number } | undefined;
  user: MutableUserAccount | undefined;
}

type MutableUserAccount = { -readonly [K in keyof UserAccount]: UserAccount[K] };

/** A computed start moves with rounding and delays; within this it keeps its value. */
const START_TOLERANCE_SECONDS = 2;
const FLAG_DORMANT = 0x20;
const IDS_REMEMBERED = 100_000;
/** Beside as many as ever were live at once: all may come back after a stop that was none. */
const TRACES_KEPT = 20_000;
/** Key of the account of users beyond the limit: no JSON, so no user's. */
const OTHER_USERS = 'other';
const RECEIVED = CONNECTION_COUNTERS.indexOf('receivedBytes');
const TRANSMITTED = CONNECTION_COUNTERS.indexOf('transmittedBytes');

export function roleOf(type: InterfaceType): Role {
  if (type === 'client') return 'client';
  return type === 'full_router' || type === 'home_router' ? 'site' : 'other';
}

export interface SessionTableOptions {
  /** Accounts of so many users are kept, the first that come; those of all others in one more. 0: none. */
  readonly userLimit: number;
}

export class SessionTable {
  readonly #ledger = new CounterLedger();
  readonly #totals = new TotalsLedger();
  readonly #links = new Map<string, { receivedBytes: number; transmittedBytes: number }>();
  readonly #userLimit: number;
  readonly #users = new Map<string, MutableUserAccount>();
  readonly #bySlot: (Session | undefined)[] = [];
  readonly #byHandle = new Map<string, Session>();
  /** Ended sessions by handle, oldest first. */
  readonly #traces = new Map<string, Trace>();
  readonly #freeIndices: number[] = [];
  #indices = 0;
  #mostLive = 0;
  /** How many sessions had the id that a handle with its guid and start gives; the latest used last. */
  readonly #ids = new Map<string, number>();
  #generation = 0;
  /** The first enumeration has been: what it found is not counted as started. */
  #primed = false;

  constructor({ userLimit }: SessionTableOptions) {
    this.#userLimit = userLimit;
  }

  /** Takes one enumeration in and answers the live sessions, row by row as in the frame. */
  update(frame: ConnectionsFrame, ports: PortsFrame | undefined, time: FrameTime): ConnectionTable {
    return atOnce(this.updating(frame, ports, time));
  }

  /** `update` in slices. Until it is through, the accounts are those of no moment. */
  *updating(
    frame: ConnectionsFrame,
    ports: PortsFrame | undefined,
    time: FrameTime,
  ): Sliced<ConnectionTable> {
    this.#generation += 1;
    const { columns, count } = frame;
    this.#mostLive = Math.max(this.#mostLive, count);
    this.#ledger.beginRound(columns, frame.api);
    for (let i = 0; i < frame.identities.length; i += 1) {
      const [slot, identity] = frame.identities[i]!;
      this.#identify(slot, identity);
      if (i % ROWS_PER_SLICE === 0) yield;
    }
    // Level 4 tells the tunnel itself.
    if (ports && frame.api === 'ex') this.#joinPorts(ports);
    const table = tableFor(columns, count);
    for (let from = 0; from < count; from += ROWS_PER_SLICE) {
      yield;
      this.#updateRows(frame, table, from, Math.min(from + ROWS_PER_SLICE, count), time);
    }
    yield;
    this.#endAbsent(time.torn);
    this.#primed = true;
    return table;
  }

  #updateRows(
    { columns }: ConnectionsFrame,
    table: ReturnType<typeof tableFor>,
    from: number,
    to: number,
    time: FrameTime,
  ): void {
    for (let row = from; row < to; row += 1) {
      const slot = columns.slot[row]!;
      const duration = columns.duration[row]!;
      let session = this.#bySlot[slot];
      if (session === undefined) throw new Error(`a connection in slot ${slot} came without an identity`);
      if (session.id !== '' && isAnother(session.identity, session, duration, time)) {
        session = this.#replace(session);
      }
      this.#account(session, row, duration, time);
      session.durationSeconds = duration;
      session.seenAtMs = time.monotonicMs;
      session.seenIn = this.#generation;
      table.connections[row] = session.connection ??= toConnection(session);
      table.startTimeSeconds[row] = session.startTimeSeconds;
      table.dormant[row] = columns.flags[row]! & FLAG_DORMANT ? 1 : 0;
      for (let c = 0; c < CONNECTION_COUNTERS.length; c += 1) {
        table.sums[c]![row] = this.#ledger.sum(session.index, c);
      }
    }
  }

  /** The service has stopped: no session lives. */
  clear(): ConnectionTable {
    for (const session of this.#byHandle.values()) this.#end(session);
    this.#primed = true;
    return EMPTY_TABLE;
  }

  totals(): Totals {
    return this.#totals.snapshot();
  }

  /** Traffic of demand-dial links over all their sessions, by interface name. */
  links(): ReadonlyMap<string, LinkTraffic> {
    return new Map([...this.#links].map(([name, traffic]) => [name, { ...traffic }]));
  }

  /** Accounts of users, in the order in which they were first seen; undefined if they are not kept. */
  users(): readonly UserAccount[] | undefined {
    if (this.#userLimit === 0) return undefined;
    return [...this.#users.values()].map((account) => ({ ...account }));
  }

  /** Since the start: counters that wrapped, and byte counters that may have wrapped unseen. */
  get wraps(): number {
    return this.#ledger.wraps;
  }

  get ambiguousDeltas(): number {
    return this.#ledger.ambiguous;
  }

  /** Of the newest enumeration, the fastest byte counter that wraps at 2^32; undefined if none does. */
  get fastestWrappingBytesPerSecond(): number | undefined {
    return this.#ledger.fastestBytesPerSecond;
  }

  #identify(slot: number, identity: ConnectionIdentity): void {
    const known = this.#byHandle.get(identity.handle);
    if (known && isSameSession(known.identity, identity)) {
      if (this.#bySlot[known.slot] === known) this.#bySlot[known.slot] = undefined;
      known.slot = slot;
      this.#bySlot[slot] = known;
      if (known.id !== '') this.#enrollAnew(known, identity);
      known.identity = identity;
      known.connection = undefined;
      return;
    }
    if (known) this.#end(known);
    this.#add(slot, identity);
  }

  #add(slot: number, identity: ConnectionIdentity): Session {
    const session: Session = {
      id: '',
      index: -1,
      slot,
      identity,
      portTunnel: 'unknown',
      cell: 0,
      startTimeSeconds: NaN,
      connection: undefined,
      durationSeconds: 0,
      seenAtMs: 0,
      seenIn: 0,
      endCounted: false,
      link: undefined,
      user: undefined,
    };
    this.#bySlot[slot] = session;
    this.#byHandle.set(identity.handle, session);
    return session;
  }

  /** The handle serves a new connection that looks the same. */
  #replace(session: Session): Session {
    const { slot, identity } = session;
    this.#end(session);
    return this.#add(slot, identity);
  }

  /** Books what the session's counters did since it was seen last. */
  #account(session: Session, row: number, durationSeconds: number, time: FrameTime): void {
    const opened = session.id === '' && this.#open(session, row, durationSeconds, time);
    this.#setStart(session, durationSeconds, time);
    session.cell = cellOf(tunnelOf(session), roleOf(session.identity.interfaceType));
    if (opened) {
      if (!this.#primed) return;
      this.#totals.start(session.cell);
      if (session.user) session.user.sessionsStarted += 1;
    } else {
      this.#ledger.advance(session.index, row, (time.monotonicMs - session.seenAtMs) / 1000);
    }
    const { deltas } = this.#ledger;
    this.#totals.add(session.cell, deltas);
    for (const account of [session.link, session.user]) {
      if (!account) continue;
      account.receivedBytes += deltas[RECEIVED]!;
      account.transmittedBytes += deltas[TRANSMITTED]!;
    }
  }

  /** Gives a session its id and its place in the ledger. False: it had both already and was only out of sight. */
  #open(session: Session, row: number, durationSeconds: number, time: FrameTime): boolean {
    const { identity } = session;
    this.#enroll(session);
    const trace = this.#traces.get(identity.handle);
    this.#traces.delete(identity.handle);
    if (trace) {
      const same = isSameSession(trace.key, identity) && !isAnother(trace.key, trace, durationSeconds, time);
      const elapsed = (time.monotonicMs - trace.seenAtMs) / 1000;
      if (same && this.#ledger.continues(trace.index, row, elapsed)) {
        session.id = trace.id;
        session.index = trace.index;
        session.startTimeSeconds = trace.startTimeSeconds;
        session.seenAtMs = trace.seenAtMs;
        session.endCounted = true;
        return false;
      }
      this.#freeIndices.push(trace.index);
    }
    session.id = this.#newId(identity);
    session.index = this.#freeIndices.pop() ?? this.#indices++;
    this.#ledger.open(session.index, row, this.#primed ? durationSeconds : undefined);
    return true;
  }

  /** Finds the accounts, besides the totals, that the session's traffic belongs to. */
  #enroll(session: Session): void {
    const { user, domain, interfaceName, interfaceType } = session.identity;
    if (roleOf(interfaceType) === 'site') {
      session.link = this.#links.get(interfaceName) ?? { receivedBytes: 0, transmittedBytes: 0 };
      this.#links.set(interfaceName, session.link);
    }
    if (this.#userLimit > 0 && user !== '') {
      session.user = this.#userAccount(user, domain);
      session.user.connections += 1;
    }
  }

  /** What the session moves from now on belongs to whom its record names now. */
  #enrollAnew(session: Session, identity: ConnectionIdentity): void {
    const { user, domain, interfaceName, interfaceType } = session.identity;
    const same =
      user === identity.user &&
      domain === identity.domain &&
      interfaceName === identity.interfaceName &&
      interfaceType === identity.interfaceType;
    if (same) return;
    if (session.user) session.user.connections -= 1;
    session.user = undefined;
    session.link = undefined;
    session.identity = identity;
    this.#enroll(session);
  }

  #userAccount(user: string, domain: string): MutableUserAccount {
    const own = JSON.stringify([user, domain]);
    const other = !this.#users.has(own) && this.#users.size >= this.#userLimit;
    const key = other ? OTHER_USERS : own;
    let account = this.#users.get(key);
    if (!account) {
      const names = other ? { user: '', domain: '' } : { user, domain };
      account = {
        ...names,
        other,
        receivedBytes: 0,
        transmittedBytes: 0,
        sessionsStarted: 0,
        connections: 0,
      };
      this.#users.set(key, account);
    }
    return account;
  }

  #endAbsent(torn: boolean): void {
    for (const session of this.#byHandle.values()) {
      // A page border may have hidden it; what is absent twice in a row is gone.
      const unseenFor = this.#generation - session.seenIn;
      if (unseenFor > (torn ? 1 : 0)) this.#end(session);
    }
  }

  #end(session: Session): void {
    const { identity, slot, id, index } = session;
    if (this.#bySlot[slot] === session) this.#bySlot[slot] = undefined;
    if (this.#byHandle.get(identity.handle) === session) this.#byHandle.delete(identity.handle);
    if (session.user) session.user.connections -= 1;
    if (id === '') return;
    if (!session.endCounted) this.#totals.end(session.cell, session.durationSeconds);
    this.#traces.delete(identity.handle);
    this.#traces.set(identity.handle, {
      id,
      index,
      key: { guid: identity.guid, startTicks: identity.startTicks },
      startTimeSeconds: session.startTimeSeconds,
      durationSeconds: session.durationSeconds,
      seenAtMs: session.seenAtMs,
    });
    if (this.#traces.size <= TRACES_KEPT + this.#mostLive) return;
    for (const [handle, trace] of this.#traces) {
      this.#traces.delete(handle);
      this.#freeIndices.push(trace.index);
      break;
    }
  }

  #joinPorts(ports: PortsFrame): void {
    for (let i = 0; i < ports.count; i += 1) {
      const slot = ports.slot[i]!;
      if (slot === NO_SLOT) continue;
      const session = this.#bySlot[slot];
      const tunnel = TUNNELS[ports.tunnel[i]!] ?? 'unknown';
      if (session?.identity.tunnel !== 'unknown' || session.portTunnel === tunnel) continue;
      session.portTunnel = tunnel;
      session.connection = undefined;
    }
  }

  #setStart(session: Session, durationSeconds: number, time: FrameTime): void {
    const given = session.identity.startTicks;
    if (given !== '') {
      if (Number.isNaN(session.startTimeSeconds)) session.startTimeSeconds = ticksToSeconds(given);
      return;
    }
    const computed = time.wallSeconds - durationSeconds;
    const off = Math.abs(computed - session.startTimeSeconds);
    if (off <= START_TOLERANCE_SECONDS + time.uncertaintySeconds) return;
    session.startTimeSeconds = Math.round(computed);
    session.connection = undefined;
  }

  /** Stable over restarts wherever the source gives a guid or a start; salted if it served another session before. */
  #newId({ handle, guid, startTicks }: ConnectionIdentity): string {
    const first = hashOf(handle, guid, startTicks, 0);
    const salt = this.#ids.get(first) ?? 0;
    this.#ids.delete(first);
    this.#ids.set(first, salt + 1);
    if (this.#ids.size > IDS_REMEMBERED)
      for (const oldest of this.#ids.keys()) if (this.#ids.delete(oldest)) break;
    return salt === 0 ? first : hashOf(handle, guid, startTicks, salt);
  }
}

function hashOf(...tuple: readonly (string | number)[]): string {
  return createHash('sha256').update(JSON.stringify(tuple)).digest('hex').slice(0, 16);
}

/** A table whose columns are still to be filled; `sums` are its counters by the order of CONNECTION_COUNTERS. */
function tableFor(
  columns: ConnectionsFrame['columns'],
  count: number,
): ConnectionTable & {
  connections: Connection[];
  startTimeSeconds: Float64Array;
  dormant: Uint8Array;
  sums: readonly Float64Array[];
} {
  const sums = CONNECTION_COUNTERS.map(() => new Float64Array(count));
  const counters = Object.fromEntries(CONNECTION_COUNTERS.map((counter, c) => [counter, sums[c]!])) as Record<
    ConnectionCounter,
    Float64Array
  >;
  return {
    connections: new Array<Connection>(count),
    startTimeSeconds: new Float64Array(count),
    counters,
    compressionIn: columns.compressionIn,
    compressionOut: columns.compressionOut,
    quarantine: columns.quarantine,
    dormant: new Uint8Array(count),
    sums,
  };
}

const NONE = new Uint32Array(0);
const EMPTY_TABLE: ConnectionTable = {
  connections: [],
  startTimeSeconds: NONE,
  counters: Object.fromEntries(CONNECTION_COUNTERS.map((counter) => [counter, NONE])) as Record<
    ConnectionCounter,
    Uint32Array
  >,
  compressionIn: NONE,
  compressionOut: NONE,
  quarantine: NONE,
  dormant: NONE,
};

type Key = Pick<ConnectionIdentity, 'guid' | 'startTicks'>;

function isSameSession(a: Key, b: Key): boolean {
  if (a.guid !== b.guid) return false;
  if (a.startTicks === '' || b.startTicks === '' || a.startTicks === b.startTicks) return true;
  return Math.abs(ticksToSeconds(a.startTicks) - ticksToSeconds(b.startTicks)) <= START_TOLERANCE_SECONDS;
}

/** Without a start time only the duration tells: it cannot shrink, and without a guid it must keep up with time. */
function isAnother(
  { guid, startTicks }: Key,
  seen: { durationSeconds: number; seenAtMs: number },
  durationSeconds: number,
  time: FrameTime,
): boolean {
  if (startTicks !== '') return false;
  if (durationSeconds < seen.durationSeconds) return true;
  if (guid !== '') return false;
  const elapsed = (time.monotonicMs - seen.seenAtMs) / 1000;
  const expected = seen.durationSeconds + elapsed - time.uncertaintySeconds - START_TOLERANCE_SECONDS;
  return durationSeconds < expected;
}

const tunnelOf = ({ identity, portTunnel }: Session): Tunnel =>
  identity.tunnel === 'unknown' ? portTunnel : identity.tunnel;

function toConnection(session: Session): Connection {
  const { id, index, startTimeSeconds } = session;
  const tunnel = tunnelOf(session);
  // SSTP is encrypted by TLS, below PPP: PPP's "none" would be false, and the API does not tell the cipher.
  const hidden = tunnel === 'sstp' && session.identity.encryption === 'none';
  const identity = hidden ? { ...session.identity, encryption: 'unknown' as const } : session.identity;
  return { id, place: index, identity, tunnel, role: roleOf(identity.interfaceType), startTimeSeconds };
}

/** FILETIME ticks as Unix seconds, to the millisecond. */
function ticksToSeconds(hex: string): number {
  return Number(BigInt(`0x${hex}`) / 10_000n - 11_644_473_600_000n) / 1000;
}
