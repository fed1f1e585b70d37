/**
 * Tells sessions apart. A connection handle is used again by later connections, so a session is a handle together
 * with its guid and start; its id, the join key of the metrics, is made of the same and never serves another one.
 */
import { createHash } from 'node:crypto';
import type { ConnectionIdentity, ConnectionsFrame, PortsFrame } from '../model/frames.ts';
import { NO_SLOT } from '../model/frames.ts';
import type { Connection, ConnectionTable } from '../model/snapshot.ts';
import { TUNNELS } from '../model/words.ts';
import type { InterfaceType, Role, Tunnel } from '../model/words.ts';

/** When a frame was taken. `uncertaintySeconds`: how much earlier the server may have answered. */
export interface FrameTime {
  readonly monotonicMs: number;
  readonly wallSeconds: number;
  readonly uncertaintySeconds: number;
}

const NONE = new Uint32Array(0);
const EMPTY_TABLE: ConnectionTable = {
  connections: [],
  startTimeSeconds: NONE,
  counters: {
    receivedBytes: NONE,
    transmittedBytes: NONE,
    receivedFrames: NONE,
    transmittedFrames: NONE,
    switchovers: NONE,
    crc: NONE,
    timeout: NONE,
    alignment: NONE,
    hardware_overrun: NONE,
    framing: NONE,
    buffer_overrun: NONE,
  },
  compressionIn: NONE,
  compressionOut: NONE,
  quarantine: NONE,
  dormant: NONE,
};

interface Session {
  id: string;
  slot: number;
  identity: ConnectionIdentity;
  /** From the port, where the connection's own record cannot tell. */
  portTunnel: Tunnel;
  startTimeSeconds: number;
  /** Replaced whenever something in it changes. */
  connection: Connection | undefined;
  durationSeconds: number;
  seenAtMs: number;
  seenIn: number;
}

/** A computed start moves with rounding and delays; within this it keeps its value. */
const START_TOLERANCE_SECONDS = 2;
const FLAG_DORMANT = 0x20;
const IDS_REMEMBERED = 100_000;

export function roleOf(type: InterfaceType): Role {
  if (type === 'client') return 'client';
  return type === 'full_router' || type === 'home_router' ? 'site' : 'other';
}

export class SessionTable {
  readonly #bySlot: (Session | undefined)[] = [];
  readonly #byHandle = new Map<string, Session>();
  readonly #ids = new Set<string>();
  #generation = 0;

  /** Takes one enumeration in and answers the live sessions, row by row as in the frame. */
  update(frame: ConnectionsFrame, ports: PortsFrame | undefined, time: FrameTime): ConnectionTable {
    this.#generation += 1;
    const { columns, count } = frame;
    for (const [slot, identity] of frame.identities) this.#identify(slot, identity);
    if (ports) this.#joinPorts(ports);
    const connections: Connection[] = new Array<Connection>(count);
    const dormant = new Uint8Array(count);
    const startTimeSeconds = new Float64Array(count);
    for (let row = 0; row < count; row += 1) {
      const slot = columns.slot[row]!;
      const duration = columns.duration[row]!;
      let session = this.#bySlot[slot];
      if (session === undefined) throw new Error(`a connection in slot ${slot} came without an identity`);
      if (session.seenAtMs > 0 && isAnother(session, duration, time)) session = this.#replace(session);
      this.#setStart(session, duration, time);
      session.durationSeconds = duration;
      session.seenAtMs = time.monotonicMs;
      session.seenIn = this.#generation;
      connections[row] = session.connection ??= toConnection(session);
      startTimeSeconds[row] = session.startTimeSeconds;
      dormant[row] = columns.flags[row]! & FLAG_DORMANT ? 1 : 0;
    }
    this.#forgetEnded();
    return {
      connections,
      startTimeSeconds,
      counters: {
        receivedBytes: columns.receivedBytes,
        transmittedBytes: columns.transmittedBytes,
        receivedFrames: columns.receivedFrames,
        transmittedFrames: columns.transmittedFrames,
        switchovers: columns.switchovers,
        crc: columns.crc,
        timeout: columns.timeout,
        alignment: columns.alignment,
        hardware_overrun: columns.hardware_overrun,
        framing: columns.framing,
        buffer_overrun: columns.buffer_overrun,
      },
      compressionIn: columns.compressionIn,
      compressionOut: columns.compressionOut,
      quarantine: columns.quarantine,
      dormant,
    };
  }

  /** The service has stopped: no session lives. */
  clear(): ConnectionTable {
    for (const session of this.#byHandle.values()) this.#remove(session);
    return EMPTY_TABLE;
  }

  #identify(slot: number, identity: ConnectionIdentity): void {
    const known = this.#byHandle.get(identity.handle);
    if (known && isSameSession(known.identity, identity)) {
      if (known.slot !== slot) {
        if (this.#bySlot[known.slot] === known) this.#bySlot[known.slot] = undefined;
        known.slot = slot;
        this.#bySlot[slot] = known;
      }
      known.identity = identity;
      known.connection = undefined;
      return;
    }
    if (known) this.#remove(known);
    this.#add(slot, identity);
  }

  #add(slot: number, identity: ConnectionIdentity): Session {
    const session: Session = {
      id: this.#newId(identity),
      slot,
      identity,
      portTunnel: 'unknown',
      startTimeSeconds: NaN,
      connection: undefined,
      durationSeconds: 0,
      seenAtMs: 0,
      seenIn: 0,
    };
    this.#bySlot[slot] = session;
    this.#byHandle.set(identity.handle, session);
    return session;
  }

  /** The handle serves a new connection that looks the same. */
  #replace(session: Session): Session {
    this.#remove(session);
    return this.#add(session.slot, session.identity);
  }

  #remove(session: Session): void {
    if (this.#bySlot[session.slot] === session) this.#bySlot[session.slot] = undefined;
    if (this.#byHandle.get(session.identity.handle) === session)
      this.#byHandle.delete(session.identity.handle);
  }

  #forgetEnded(): void {
    for (const session of this.#byHandle.values())
      if (session.seenIn !== this.#generation) this.#remove(session);
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
  #newId(identity: ConnectionIdentity): string {
    for (let salt = 0; ; salt += 1) {
      const tuple = JSON.stringify([identity.handle, identity.guid, identity.startTicks, salt]);
      const id = createHash('sha256').update(tuple).digest('hex').slice(0, 16);
      if (this.#ids.has(id)) continue;
      this.#ids.add(id);
      if (this.#ids.size > IDS_REMEMBERED)
        for (const oldest of this.#ids) if (this.#ids.delete(oldest)) break;
      return id;
    }
  }
}

function isSameSession(a: ConnectionIdentity, b: ConnectionIdentity): boolean {
  if (a.guid !== b.guid) return false;
  if (a.startTicks === '' || b.startTicks === '' || a.startTicks === b.startTicks) return true;
  return Math.abs(ticksToSeconds(a.startTicks) - ticksToSeconds(b.startTicks)) <= START_TOLERANCE_SECONDS;
}

/** Without a start time only the duration tells: it cannot shrink, and without a guid it must keep up with time. */
function isAnother(session: Session, durationSeconds: number, time: FrameTime): boolean {
  const { guid, startTicks } = session.identity;
  if (startTicks !== '') return false;
  if (durationSeconds < session.durationSeconds) return true;
  if (guid !== '') return false;
  const elapsed = (time.monotonicMs - session.seenAtMs) / 1000;
  const expected = session.durationSeconds + elapsed - time.uncertaintySeconds - START_TOLERANCE_SECONDS;
  return durationSeconds < expected;
}

function toConnection(session: Session): Connection {
  const { id, startTimeSeconds } = session;
  const tunnel = session.identity.tunnel === 'unknown' ? session.portTunnel : session.identity.tunnel;
  // SSTP is encrypted by TLS, below PPP: PPP's "none" would be false, and the API does not tell the cipher.
  const hidden = tunnel === 'sstp' && session.identity.encryption === 'none';
  const identity = hidden ? { ...session.identity, encryption: 'unknown' as const } : session.identity;
  return { id, identity, tunnel, role: roleOf(identity.interfaceType), startTimeSeconds };
}

/** FILETIME ticks as Unix seconds, to the millisecond. */
function ticksToSeconds(hex: string): number {
  return Number(BigInt(`0x${hex}`) / 10_000n - 11_644_473_600_000n) / 1000;
}
