/**
 * A model of a server's sessions in 64 bits and of what any reader could know of them, and the frames that such a
 * server would give. The accounts under test are compared with it.
 *
 * What the truth is. A session's counters count all that it moved, in whole numbers below 2^53. `read` is what a reader
 * can have of it:
 * - nothing that a session moved after the last poll that saw it;
 * - of a session that the first enumeration found, nothing from before that enumeration;
 * - ClearStats sets the traffic and error counters to 0 (switchovers stay). What moved since the poll before it is not
 *   readable by anybody, so it is no part of `read`; what moves after it is. That it happened can only be told if a
 *   frame counter is lower at the next poll and not by a wrap: it is modelled where that is so (`capForClear`);
 * - of a byte counter of 32 bits only what is left of each delta modulo 2^32. `unseenWraps` counts what that hides.
 */
import type { ConnectionColumns, ConnectionIdentity, ConnectionsFrame } from '../../src/model/frames.ts';
import type { ConnectionCounter } from '../../src/model/snapshot.ts';
import { CONNECTION_COUNTERS } from '../../src/model/snapshot.ts';
import type { Role, Tunnel } from '../../src/model/words.ts';
import { ConnectionDecoder } from '../../src/native/decode.ts';
import type { ConnectionApi } from '../native/record-builder.ts';
import { connection, IKEV2, pageOf, PROJECTION_TYPE, ticksOf } from '../native/record-builder.ts';

export const TWO_32 = 4_294_967_296;
export const WALL_SECONDS = 1_795_219_200;
const LINE_BYTES_PER_SECOND = 1_250_000_000;
/** 10 Gbit/s of the smallest Ethernet frames. */
const LINE_FRAMES_PER_SECOND = 14_800_000;
/** A clear is told from a wrap of the frame counter if the counter was lower than this: see `mostFramesIn`. */
const CLEARABLE_FRAMES = 500_000_000;
/** Rounding of durations, and of the time at which they were read. */
const SHORTEST_MS = 6000;
const COLUMNS = CONNECTION_COUNTERS;
type Counts = Record<ConnectionCounter, number>;

/** wide: 64 bits on level 4, start times; narrow: 32-bit values in 64-bit fields; ex: EnumEx; switching: wide and ex in turn. */
export const SERVERS = ['wide', 'narrow', 'ex', 'switching'] as const;
export type ServerKind = (typeof SERVERS)[number];

/** Numbers in a row from a seed, 32-bit mulberry. */
export class Dice {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  unit(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    t ^= t + Math.imul(t ^ (t >>> 7), 61 | t);
    return ((t ^ (t >>> 14)) >>> 0) / TWO_32;
  }

  below(bound: number): number {
    return Math.floor(this.unit() * bound);
  }

  chance(share: number): boolean {
    return this.unit() < share;
  }

  pick<T>(items: readonly T[]): T {
    return items[this.below(items.length)]!;
  }
}

const zeros = (): Counts => Object.fromEntries(COLUMNS.map((counter) => [counter, 0])) as Counts;

export class ModelSession {
  readonly number: number;
  readonly handle: number;
  readonly guid: string;
  readonly startMs: number;
  readonly tunnel: Tunnel;
  readonly role: Role;
  readonly user: string;
  readonly link: string;
  /** All that it moved, from its start. */
  readonly moved = zeros();
  /** What `moved` was at the last ClearStats. */
  readonly clearedAt = zeros();
  /** What ClearStats took before anybody read it. */
  readonly lost = zeros();
  /** `moved` less `lost`, at the poll that saw it last. */
  readonly readable = zeros();
  /** Readable at the first enumeration: no part of the totals. Undefined until a poll saw it. */
  baseline: Counts | undefined;
  /** What its own series shows. */
  readonly shown = zeros();
  lastApi: ConnectionApi | undefined;
  /** Frames that it may still receive before a poll sees it, so that its last clear can be told. */
  capForClear = Infinity;
  /** Polls in a row that did not see it though one had. */
  absent = 0;
  /** It is out of sight since the service was said to be stopped. */
  hidden = false;
  /** Its end was counted: it is over, or a stop was reported. */
  endCounted = false;

  constructor(
    facts: Pick<ModelSession, 'number' | 'handle' | 'guid' | 'startMs' | 'tunnel' | 'role' | 'user' | 'link'>,
  ) {
    this.number = facts.number;
    this.handle = facts.handle;
    this.guid = facts.guid;
    this.startMs = facts.startMs;
    this.tunnel = facts.tunnel;
    this.role = facts.role;
    this.user = facts.user;
    this.link = facts.link;
  }

  /** What the server says, before it is cut to 32 bits. */
  raw(counter: ConnectionCounter): number {
    return counter === 'switchovers' ? this.moved[counter] : this.moved[counter] - this.clearedAt[counter];
  }

  clear(): void {
    for (const counter of COLUMNS) {
      if (counter === 'switchovers') continue;
      const readable = this.moved[counter] - this.lost[counter];
      this.lost[counter] += readable - this.readable[counter];
      this.clearedAt[counter] = this.moved[counter];
    }
  }
}

/** One row of an enumeration as the server sends it. */
export interface ServerRow {
  readonly session: ModelSession;
  readonly durationSeconds: number;
  readonly counts: Readonly<Counts>;
}

const BYTES = ['receivedBytes', 'transmittedBytes'] as const;
const FRAMES = { receivedBytes: 'receivedFrames', transmittedBytes: 'transmittedFrames' } as const;

export interface ServerOptions {
  readonly kind: ServerKind;
  readonly dice: Dice;
  /** Never 2^32 bytes of a counter between two polls that see its session. */
  readonly bounded: boolean;
  readonly tunnels: readonly Tunnel[];
}

/** The server: sessions come, move, and go. */
export class ModelServer {
  readonly kind: ServerKind;
  readonly #dice: Dice;
  readonly #bounded: boolean;
  readonly #tunnels: readonly Tunnel[];
  readonly #startedMs = new Map<number, number>();
  nowMs = 10_000_000;
  readonly live = new Map<number, ModelSession>();
  #sessions = 0;
  api: ConnectionApi;

  constructor({ kind, dice, bounded, tunnels }: ServerOptions) {
    this.kind = kind;
    this.#dice = dice;
    this.#tunnels = tunnels;
    this.#bounded = bounded;
    this.api = kind === 'ex' ? 'ex' : 'level4';
  }

  /**
   * A new session on the handle, in place of any before it, that began `ageMs` ago. Undefined if that would be too soon
   * after the last one's start for a reader that has durations in whole seconds only.
   */
  start(handle: number, ageMs: number): ModelSession | undefined {
    const dice = this.#dice;
    const startMs = this.nowMs - ageMs;
    if (startMs - (this.#startedMs.get(handle) ?? -Infinity) < SHORTEST_MS) return undefined;
    this.#startedMs.set(handle, startMs);
    this.#sessions += 1;
    const number = this.#sessions;
    const site = dice.chance(0.3);
    const link = site ? dice.pick(['Site-A', 'Site-B', 'Site-C']) : '';
    // Without a guid EnumEx tells sessions by duration and level 4 by start; over a change of both, nothing would.
    const guid = this.kind === 'switching' || dice.chance(0.5) ? number.toString(16).padStart(32, '0') : '';
    const session = new ModelSession({
      number,
      handle,
      guid,
      startMs,
      tunnel: site ? 'ikev2' : dice.pick(this.#tunnels),
      role: site ? 'site' : 'client',
      user: site ? link.toLowerCase() : dice.pick(['ada', 'ben', 'chloé', 'dmitri']),
      link,
    });
    this.live.set(handle, session);
    return session;
  }

  /** A session with a past: counters near a wrap, or anywhere. */
  startOld(handle: number): void {
    const dice = this.#dice;
    const session = this.start(handle, 20_000 + dice.below(9_000_000))!;
    for (const bytes of BYTES) {
      const near = dice.chance(0.5);
      session.moved[bytes] =
        Math.max(0, TWO_32 * dice.below(4) - (near ? dice.below(2_000_000_000) : 0)) + dice.below(1000);
      session.moved[FRAMES[bytes]] = dice.chance(0.3)
        ? TWO_32 - 1 - dice.below(20_000_000)
        : Math.ceil(session.moved[bytes] / (64 + dice.below(1437)));
    }
    session.moved.switchovers = dice.below(3);
  }

  /** Time passes, and every session moves something. */
  pass(ms: number): void {
    const dice = this.#dice;
    this.nowMs += ms;
    for (const session of this.live.values()) {
      const seconds = Math.min(ms, this.nowMs - session.startMs) / 1000;
      const { moved } = session;
      for (const bytes of BYTES) {
        if (dice.chance(0.15)) continue;
        const size = 64 + dice.below(1437);
        // From nothing to the whole line, every order of magnitude as often as any other.
        const rate = Math.min(
          LINE_BYTES_PER_SECOND,
          10 ** (dice.unit() * 9.2),
          LINE_FRAMES_PER_SECOND * size,
        );
        let count = Math.floor(rate * seconds);
        if (this.#bounded) {
          const left = TWO_32 - 1 - (moved[bytes] - session.lost[bytes] - session.readable[bytes]);
          count = Math.min(count, session.baseline ? left : Math.min(left, TWO_32 - 1 - session.raw(bytes)));
        }
        let frames = Math.ceil(count / size);
        if (bytes === 'receivedBytes' && frames > session.capForClear) {
          frames = session.capForClear;
          count = Math.min(count, frames * size);
        }
        if (bytes === 'receivedBytes') session.capForClear -= frames;
        moved[bytes] += Math.max(0, count);
        moved[FRAMES[bytes]] += Math.max(0, frames);
      }
      if (dice.chance(0.1)) moved.crc += dice.below(50);
      if (dice.chance(0.1)) moved.framing += dice.below(5);
      if (session.tunnel === 'ikev2' && dice.chance(0.2)) moved.switchovers += 1;
    }
  }

  /** An administrator clears the statistics of every session of which a reader will be able to tell. */
  clearStats(): number {
    let cleared = 0;
    for (const session of this.live.values()) {
      // With its statistics cleared meanwhile, nothing would tell it from another one.
      if (session.hidden) continue;
      const frames = this.#saidLast(session);
      if (session.baseline && (frames < 1000 || frames > CLEARABLE_FRAMES)) continue;
      // A session that no poll has seen yet has nothing to compare with: nobody need tell.
      session.capForClear = session.baseline ? frames - 1 : Infinity;
      session.clear();
      cleared += 1;
    }
    return cleared;
  }

  /** Its frame counter as the last poll saw it. */
  #saidLast(session: ModelSession): number {
    if (session.capForClear !== Infinity) return 0;
    return (
      (session.readable.receivedFrames + session.lost.receivedFrames - session.clearedAt.receivedFrames) %
      TWO_32
    );
  }

  end(handle: number): void {
    this.live.delete(handle);
  }

  /** The live sessions as the server tells of them now. */
  rows(): ServerRow[] {
    return [...this.live.values()].map((session) => ({
      session,
      durationSeconds: Math.floor((this.nowMs - session.startMs) / 1000),
      counts: Object.fromEntries(
        COLUMNS.map((counter) => {
          const wide = this.api === 'level4' && this.kind !== 'narrow' && counter.endsWith('Bytes');
          return [counter, wide ? session.raw(counter) : session.raw(counter) % TWO_32];
        }),
      ) as Counts,
    }));
  }
}

const hex = (value: number | bigint, digits: number): string => value.toString(16).padStart(digits, '0');
const wallOf = (ms: number): number => WALL_SECONDS + ms / 1000;

export function identityOf(session: ModelSession, api: ConnectionApi): ConnectionIdentity {
  const { handle, guid, startMs, user, link, tunnel, role } = session;
  return {
    handle: hex(handle, 16),
    guid,
    startTicks: api === 'level4' ? hex(ticksOf(wallOf(startMs)), 16) : '',
    user,
    domain: 'CORP',
    computer: '',
    interfaceName: role === 'site' ? link : user,
    interfaceType: role === 'site' ? 'full_router' : 'client',
    tunnel,
    auth: 'eap_tls',
    encryption: 'aes256',
    compression: 'none',
    tunnelAddress: '10.0.0.2',
    tunnelAddressV6: '',
    remoteAddress: '203.0.113.9',
    localAddress: '192.0.2.1',
  };
}

/** Makes frames of rows. A row may come twice; the later one counts. */
export interface FrameSource {
  /** A new process reads from now on: nothing that was sent is known to it. */
  restart(): void;
  frame(rows: readonly ServerRow[], api: ConnectionApi, nowMs: number): ConnectionsFrame;
}

/** Makes frames without bytes, as the decoder would: stable slots, identities once, slots given again later. */
export class DirectFrames implements FrameSource {
  readonly #dice: Dice;
  #slots = new Map<number, number>();
  #sent = new Map<number, string>();
  #api: ConnectionApi | undefined;

  constructor(dice: Dice) {
    this.#dice = dice;
  }

  restart(): void {
    this.#slots = new Map();
    this.#sent = new Map();
  }

  frame(given: readonly ServerRow[], api: ConnectionApi): ConnectionsFrame {
    if (this.#api !== api) this.restart();
    this.#api = api;
    const rows = [...new Map(given.map((row) => [row.session.handle, row])).values()];
    const identities: [number, ConnectionIdentity][] = [];
    const taken = new Set(this.#slots.values());
    const slots = new Map<number, number>();
    for (const { session } of rows) {
      let slot = this.#slots.get(session.handle);
      if (slot === undefined) {
        // Any free one: a renumbering after a restart puts sessions where others were.
        const first = this.#dice.below(8);
        for (slot = first; taken.has(slot);) slot = (slot + 1) % 16;
        taken.add(slot);
        this.#sent.delete(session.handle);
      }
      slots.set(session.handle, slot);
      const identity = identityOf(session, api);
      const text = JSON.stringify(identity);
      if (this.#sent.get(session.handle) !== text) identities.push([slot, identity]);
      this.#sent.set(session.handle, text);
    }
    for (const handle of this.#slots.keys()) if (!slots.has(handle)) this.#sent.delete(handle);
    this.#slots = slots;
    const u32 = (value: (row: ServerRow) => number): Uint32Array => Uint32Array.from(rows, value);
    const count = (counter: ConnectionCounter): Uint32Array => u32(({ counts }) => counts[counter]);
    const none = new Uint32Array(rows.length);
    const columns: ConnectionColumns = {
      slot: u32(({ session }) => slots.get(session.handle)!),
      duration: u32(({ durationSeconds }) => durationSeconds),
      flags: none,
      quarantine: none,
      receivedBytes: Float64Array.from(rows, ({ counts }) => counts.receivedBytes),
      transmittedBytes: Float64Array.from(rows, ({ counts }) => counts.transmittedBytes),
      receivedFrames: count('receivedFrames'),
      transmittedFrames: count('transmittedFrames'),
      crc: count('crc'),
      timeout: none,
      alignment: none,
      hardware_overrun: none,
      framing: count('framing'),
      buffer_overrun: none,
      compressionIn: none,
      compressionOut: none,
      switchovers: count('switchovers'),
    };
    return { source: 'connections', api, count: rows.length, columns, identities };
  }
}

/** Makes frames of native records in pages of a few, through the program's own decoder. */
export class ByteFrames implements FrameSource {
  readonly #dice: Dice;
  #decoder: ConnectionDecoder | undefined;
  #nowMs = 0;

  constructor(dice: Dice) {
    this.#dice = dice;
  }

  restart(): void {
    this.#decoder = undefined;
  }

  frame(rows: readonly ServerRow[], api: ConnectionApi, nowMs: number): ConnectionsFrame {
    this.#nowMs = nowMs;
    if (this.#decoder?.api !== api) this.#decoder = undefined;
    const decoder = (this.#decoder ??= new ConnectionDecoder(api, () => wallOf(this.#nowMs)));
    decoder.begin();
    for (let at = 0; at < rows.length;) {
      const page = rows.slice(at, at + 1 + this.#dice.below(3));
      decoder.page(pageOf(...page.map((row) => recordOf(row, api))), page.length);
      at += page.length;
    }
    return decoder.finish();
  }
}

const DEVICES: Readonly<Partial<Record<Tunnel, number>>> = { ikev2: 15, l2tp: 9, sstp: 14 };

function recordOf({ session, durationSeconds, counts }: ServerRow, api: ConnectionApi): Buffer {
  const { handle, guid, startMs, user, link, role, tunnel } = session;
  const width = api === 'level4' ? 'ull' : 'dw';
  return connection(api, handle, {
    ...(api === 'level4'
      ? { dwDeviceType: DEVICES[tunnel]!, connectionStartTime: ticksOf(wallOf(startMs)) }
      : {}),
    dwConnectDuration: durationSeconds,
    wszInterfaceName: role === 'site' ? link : user,
    wszUserName: user,
    wszLogonDomain: 'CORP',
    dwInterfaceType: role === 'site' ? 2 : 0,
    guid: guid === '' ? '0'.repeat(32) : guid,
    [PROJECTION_TYPE]: tunnel === 'ikev2' ? 2 : 1,
    [`${IKEV2}.dwAuthenticationProtocol`]: tunnel === 'ikev2' ? 1 : 0,
    [`${IKEV2}.dwEncryptionMethod`]: tunnel === 'ikev2' ? 5 : 0,
    [`${width}BytesRcved`]: BigInt(counts.receivedBytes),
    [`${width}BytesXmited`]: BigInt(counts.transmittedBytes),
    dwFramesRcved: counts.receivedFrames,
    dwFramesXmited: counts.transmittedFrames,
    dwCrcErr: counts.crc,
    dwFramingErr: counts.framing,
    dwNumSwitchOvers: counts.switchovers,
  });
}
