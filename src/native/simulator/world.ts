/**
 * The simulated server's truth: which session each slot has at any moment. Everything is a pure function of scenario,
 * seed, time and the commands so far; what else is kept is only a cache of the sessions of the moment last asked for.
 */
import type { Role, Tunnel } from '../../model/words.ts';
import { Dice, fraction, hash, STREAM } from './random.ts';
import type { DialTunnel, LanInterface, Scenario } from './scenarios.ts';
import { drawShape, type Move, type Session } from './session.ts';
import { SiteLink } from './site-links.ts';
import { Timeline } from './timeline.ts';

const CLIENT_HANDLES = 0x1_0000;
const LINK_HANDLES = 0x0100_0000;
const CLIENT_INTERFACES = 0x2000_0000;
/** Users in pairs share handles; three rounds of two cannot be live at once (see handleIndex). */
const HANDLES_PER_PAIR = 6;

/** No session has this index. */
const UNKNOWN = 0x7fff_ffff;
const UNMOVED: readonly Move[] = [];
const keyOf = ({ slot, index }: Pick<Session, 'slot' | 'index'>): string => `${slot} ${index}`;

/** A run of equal ports, in the order in which they are listed. */
export interface PortBlock {
  readonly tunnel: Extract<Tunnel, DialTunnel | 'pppoe'>;
  readonly first: number;
  readonly count: number;
}

export class World {
  readonly scenario: Scenario;
  readonly seed: number;
  /** User slots come first, the links' slots after them. */
  readonly users: number;
  readonly slots: number;
  readonly links: readonly SiteLink[];
  readonly lan: readonly (LanInterface & { readonly handle: number })[];
  readonly portBlocks: readonly PortBlock[];
  readonly ports: number;
  /** Slot whose sessions use the port, or -1. */
  readonly slotOfPort: Int32Array;
  /** Session of each slot at the time of the last `advance`. */
  readonly current: (Session | null)[];
  /** Slots with a session at that time, in order; the first `liveCount` entries count. */
  readonly live: Uint32Array;
  liveCount = 0;
  /** How many of them are users: they stand before the links. */
  liveUsers = 0;

  readonly #tunnels: DialTunnel[] = [];
  readonly #portOfSlot: Int32Array;
  /** A user slot's entry of `current` holds up to this time, exclusive. */
  readonly #until: Float64Array;
  readonly #bootIndex: Int32Array;
  /** Ends of users' sessions that were hung up, and commanded moves of any; by slot and index. */
  readonly #cutAt = new Map<string, number>();
  readonly #moves = new Map<string, Move[]>();

  constructor(scenario: Scenario, seed: number) {
    this.scenario = scenario;
    this.seed = seed;
    this.users = scenario.users;
    this.slots = scenario.users + scenario.links.length;
    // Loopback and Internal come first.
    this.lan = scenario.lan.map((lan, i) => ({ ...lan, handle: 3 + i }));
    const firstLink = 3 + this.lan.length;
    for (let slot = 0; slot < this.users; slot++) {
      const dice = new Dice(hash(seed, STREAM.tunnel, slot, 0));
      this.#tunnels.push(dice.weighted(scenario.tunnels));
    }
    this.links = scenario.links.map((plan, i) => {
      const slot = this.users + i;
      this.#tunnels.push(plan.tunnel);
      return new SiteLink(seed, slot, firstLink + i, plan, (index) => this.sessionOf(slot, index));
    });
    this.#portOfSlot = new Int32Array(this.slots);
    this.portBlocks = this.#layOutPorts();
    const last = this.portBlocks.at(-1)!;
    this.ports = last.first + last.count;
    this.slotOfPort = new Int32Array(this.ports).fill(-1);
    this.#portOfSlot.forEach((port, slot) => {
      this.slotOfPort[port] = slot;
    });
    this.current = new Array<Session | null>(this.slots).fill(null);
    this.live = new Uint32Array(this.slots);
    this.#until = new Float64Array(this.users).fill(-Infinity);
    this.#bootIndex = new Int32Array(this.users).fill(UNKNOWN);
  }

  /** Brings `current`, `live` and the counts to `timeMs`, which may not go back from call to call. */
  advance(timeMs: number): void {
    let count = 0;
    const until = this.#until;
    for (let slot = 0; slot < this.users; slot++) {
      if (timeMs >= until[slot]!) this.#renew(slot, timeMs);
      if (this.current[slot]) this.live[count++] = slot;
    }
    this.liveUsers = count;
    for (const link of this.links) {
      const { session } = link.stateAt(timeMs);
      this.current[link.slot] = session;
      if (session) this.live[count++] = link.slot;
    }
    this.liveCount = count;
  }

  #renew(slot: number, timeMs: number): void {
    const timeline = this.#timelineOf(slot);
    const index = timeline.indexAt(timeMs);
    const end = this.#endOf(slot, index);
    const live = timeMs < end;
    this.current[slot] = live ? this.sessionOf(slot, index) : null;
    this.#until[slot] = live ? end : timeline.startOf(index + 1);
  }

  /** Milliseconds until the idle user slot's next session; only right after `advance(timeMs)`. */
  untilNext(slot: number, timeMs: number): number {
    return this.current[slot] || slot >= this.users ? Infinity : this.#until[slot]! - timeMs;
  }

  /** The session at `timeMs`, without touching the cache. */
  sessionAt(slot: number, timeMs: number): Session | null {
    const link = this.links[slot - this.users];
    if (link) return link.stateAt(timeMs).session;
    const timeline = this.#timelineOf(slot);
    const index = timeline.indexAt(timeMs);
    return timeMs < this.#endOf(slot, index) ? this.sessionOf(slot, index) : null;
  }

  /** Ends a live session at `timeMs`, which must be now: the slot's next one comes when it would have come. */
  hangUp(session: Session, timeMs: number): void {
    const link = this.links[session.slot - this.users];
    if (link) link.disconnect(timeMs);
    else {
      this.#cutAt.set(keyOf(session), timeMs);
      this.#until[session.slot] = timeMs;
    }
    this.advance(timeMs);
  }

  /** Moves a live session's outer addresses from now on. */
  move(session: Session, move: Move): void {
    const key = keyOf(session);
    this.#moves.set(key, [...(this.#moves.get(key) ?? []), move]);
    const link = this.links[session.slot - this.users];
    // An object anew, so that the byte rows notice.
    if (link) link.refresh();
    else this.#until[session.slot] = move.atMs;
    this.advance(move.atMs);
  }

  /** Sessions that live at some moment of the closed interval, oldest first. */
  *sessionsBetween(slot: number, fromMs: number, toMs: number): Generator<Session> {
    const link = this.links[slot - this.users];
    if (link) {
      yield* link.sessionsBetween(fromMs, toMs);
      return;
    }
    const timeline = this.#timelineOf(slot);
    const last = timeline.indexAt(toMs);
    for (let index = timeline.indexAt(fromMs); index <= last; index++) yield this.sessionOf(slot, index);
  }

  /** Calls that the slot's port has served since the service started; only right after `advance(timeMs)`. */
  callsOf(slot: number, timeMs: number): number {
    const bootMs = -this.scenario.uptimeMs;
    const link = this.links[slot - this.users];
    if (link) return link.callsBetween(bootMs, timeMs);
    // Reading all ports must not draw the times of all sessions anew.
    const index = this.current[slot]?.index ?? this.#timelineOf(slot).indexAt(timeMs);
    return index - this.#bootIndexOf(slot);
  }

  /** The last session that had started when the service did. */
  #bootIndexOf(slot: number): number {
    let index = this.#bootIndex[slot]!;
    if (index === UNKNOWN) {
      index = this.#timelineOf(slot).indexAt(-this.scenario.uptimeMs);
      this.#bootIndex[slot] = index;
    }
    return index;
  }

  tunnelOf(slot: number): DialTunnel {
    return this.#tunnels[slot]!;
  }

  /** The index-th session of the slot, drawn from its coordinates. */
  sessionOf(slot: number, index: number): Session {
    const { seed, scenario } = this;
    const link = this.links[slot - this.users];
    const times = link?.timesOf(index) ?? {
      startMs: this.#timelineOf(slot).startOf(index),
      endMs: this.#endOf(slot, index),
    };
    const tunnel = this.tunnelOf(slot);
    const role: Role = link ? 'site' : 'client';
    const handle = link
      ? LINK_HANDLES + this.addressIndex(slot, index)
      : CLIENT_HANDLES + this.addressIndex(slot, index);
    return {
      slot,
      index,
      ...times,
      handle,
      interfaceHandle: link ? link.handle : CLIENT_INTERFACES + handle,
      tunnel,
      role,
      port: this.#portOfSlot[slot]!,
      moves: (this.#moves.size > 0 ? this.#moves.get(keyOf({ slot, index })) : undefined) ?? UNMOVED,
      ...drawShape({
        seed,
        slot,
        index,
        tunnel,
        role,
        heavyRate: !link && slot % scenario.heavyEvery === 7 ? scenario.heavyRate : null,
        roamEveryMs: scenario.roamEveryMs,
      }),
    };
  }

  /** Number of a session's handle among those of its role. */
  addressIndex(slot: number, index: number): number {
    return slot < this.users ? handleIndex(slot, index) : (slot - this.users) * 2 + (index & 1);
  }

  /** End of a user's session, exclusive. */
  #endOf(slot: number, index: number): number {
    const cut = this.#cutAt.size > 0 ? this.#cutAt.get(keyOf({ slot, index })) : undefined;
    return cut ?? this.#timelineOf(slot).endOf(index);
  }

  /** Of a user. Drawn again when it is wanted, which is when a session ends: 50,000 of them would take 8 MB. */
  #timelineOf(slot: number): Timeline {
    const { seed, scenario } = this;
    // Both users of a pair have one period: handleIndex relies on it.
    const dice = new Dice(hash(seed, STREAM.period, slot >> 1, 0));
    const periodMs = Math.floor(dice.logBetween(scenario.periodMs[0], scenario.periodMs[1]));
    const phaseMs = Math.floor(fraction(seed, STREAM.phase, slot, 0) * scenario.spread * periodMs);
    return new Timeline(seed, slot, { periodMs, phaseMs, jitter: scenario.jitter, online: scenario.online });
  }

  /** Every slot has a port of its own, so that no two sessions ever want the same one. */
  #layOutPorts(): PortBlock[] {
    const used: Record<DialTunnel, number> = { ikev2: 0, sstp: 0, l2tp: 0, pptp: 0 };
    const rank = this.#tunnels.map((tunnel) => used[tunnel]++);
    const blocks: PortBlock[] = [];
    const first: Partial<Record<DialTunnel, number>> = {};
    const { ports, spare } = this.scenario;
    let next = 0;
    for (const tunnel of Object.keys(used) as DialTunnel[]) {
      const count = Math.max(ports, Math.ceil(used[tunnel] * (1 + spare)));
      blocks.push({ tunnel, first: next, count });
      first[tunnel] = next;
      next += count;
    }
    blocks.push({ tunnel: 'pppoe', first: next, count: 1 });
    this.#tunnels.forEach((tunnel, slot) => {
      this.#portOfSlot[slot] = (first[tunnel] ?? 0) + (rank[slot] ?? 0);
    });
    return blocks;
  }
}

/**
 * Two sessions in a row of one user have one handle; then it rests for two rounds and goes to the other user of the
 * pair. Safe, because a round takes two periods and its sessions end less than two periods after it (a start is
 * late by less than one period of phase and one of jitter): those of the next-but-one round start later than that.
 */
function handleIndex(slot: number, index: number): number {
  const round = index >> 1;
  const turn = Math.floor(round / 3);
  return (slot >> 1) * HANDLES_PER_PAIR + (round - turn * 3) * 2 + (((slot & 1) + turn) & 1);
}
