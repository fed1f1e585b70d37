/**
 * One session's numbers in closed form: every counter is a non-decreasing function of the session's age that yields
 * whole numbers, so a reading needs no history and its truth is exact.
 */
import type { Role, Tunnel } from '../../model/words.ts';
import { Dice, hash, STREAM } from './random.ts';

/** How a session's time goes: bursts of traffic, one per cycle, over a constant trickle. */
export interface TrafficShape {
  readonly cycleMs: number;
  /** Part of the cycle with traffic; the rest is idle but for the trickle. */
  readonly busyMs: number;
  /** Bytes per millisecond. */
  readonly receivedTrickle: number;
  readonly transmittedTrickle: number;
  /** Bytes per cycle, over STEPS cubed. */
  readonly receivedBurst: number;
  readonly transmittedBurst: number;
  /** Mean bytes of a frame. */
  readonly receivedFrameSize: number;
  readonly transmittedFrameSize: number;
  /** Index into ERROR_KINDS, and frames received per error; 0 frames = no errors. */
  readonly errorKind: number;
  readonly framesPerError: number;
  /** IKEv2: the client moves to another address every so many milliseconds; 0 = it stays. */
  readonly roamMs: number;
  /** Just before each move the peer cannot be reached for this long. */
  readonly dormantMs: number;
}

/** A commanded move of a session's outer addresses: MprAdminUpdateConnection. */
export interface Move {
  readonly atMs: number;
  readonly localAddress: string;
  readonly remoteAddress: string;
}

export interface Session extends TrafficShape {
  readonly slot: number;
  /** The k-th session of its slot; negative ones began before the simulator. */
  readonly index: number;
  readonly startMs: number;
  /** Exclusive. */
  readonly endMs: number;
  /** hConnection: unique among live sessions, used again by later ones. */
  readonly handle: number;
  /** hInterface. */
  readonly interfaceHandle: number;
  readonly tunnel: Tunnel;
  readonly role: Role;
  /** Index into the server's ports. */
  readonly port: number;
  /** Commanded moves in their order, each a switch-over on top of those by `roamMs`. */
  readonly moves: readonly Move[];
}

/** What the counters of one session say at one moment. Reused by the caller: 50,000 of them are made per call. */
export interface Reading {
  receivedBytes: number;
  transmittedBytes: number;
  receivedFrames: number;
  transmittedFrames: number;
  errors: number;
  switchovers: number;
  dormant: boolean;
}

export const emptyReading = (): Reading => ({
  receivedBytes: 0,
  transmittedBytes: 0,
  receivedFrames: 0,
  transmittedFrames: 0,
  errors: 0,
  switchovers: 0,
  dormant: false,
});

/** Steps of one burst. A power of two: its cube times a cycle count stays an exact integer. */
const STEPS = 1024;

/** Reads the counters at `timeMs`; past the session's end they stand still. */
export function readCounters(session: Session, timeMs: number, into: Reading): void {
  let age = (timeMs < session.endMs ? timeMs : session.endMs) - session.startMs;
  into.switchovers = 0;
  into.dormant = false;
  if (session.roamMs > 0) {
    const moves = Math.floor(age / session.roamMs);
    const dormant = age - moves * session.roamMs - (session.roamMs - session.dormantMs);
    into.switchovers = moves;
    into.dormant = dormant > 0;
    // Nothing flows while the peer cannot be reached.
    age -= moves * session.dormantMs + (dormant > 0 ? dormant : 0);
  }
  // Few sessions are ever moved; a loop over none would still cost.
  if (session.moves.length > 0) into.switchovers += movesBy(session, timeMs);
  const cycles = Math.floor(age / session.cycleMs);
  const rest = age - cycles * session.cycleMs;
  // A smooth step in whole numbers. Rounding keeps the order of products and sums, so the results never fall.
  const step = rest >= session.busyMs ? STEPS : Math.floor((rest * STEPS) / session.busyMs);
  const bursts = cycles * STEPS ** 3 + step * step * (3 * STEPS - 2 * step);
  const received = Math.floor(session.receivedTrickle * age + session.receivedBurst * bursts);
  const transmitted = Math.floor(session.transmittedTrickle * age + session.transmittedBurst * bursts);
  const receivedFrames = Math.floor(received / session.receivedFrameSize);
  into.receivedBytes = received;
  into.transmittedBytes = transmitted;
  into.receivedFrames = receivedFrames;
  into.transmittedFrames = Math.floor(transmitted / session.transmittedFrameSize);
  into.errors = session.framesPerError > 0 ? Math.floor(receivedFrames / session.framesPerError) : 0;
}

const movesBy = ({ moves }: Session, timeMs: number): number =>
  moves.filter(({ atMs }) => atMs <= timeMs).length;

export interface ShapeOptions {
  readonly seed: number;
  readonly slot: number;
  readonly index: number;
  readonly tunnel: Tunnel;
  readonly role: Role;
  /** Bytes per second of a download that passes 2^32 within minutes; null: an ordinary user. */
  readonly heavyRate: readonly [min: number, max: number] | null;
  readonly roamEveryMs: readonly [min: number, max: number];
}

/** Bytes per second of a client's download; most are slow, a few are not. */
const CLIENT_RATE = [200, 400_000] as const;
const SITE_RATE = [400_000, 12_000_000] as const;

export function drawShape(options: ShapeOptions): TrafficShape {
  const { seed, slot, index, tunnel, role, heavyRate, roamEveryMs } = options;
  const dice = new Dice(hash(seed, STREAM.traffic, slot, index));
  const site = role === 'site';
  const rates = heavyRate ?? (site ? SITE_RATE : CLIENT_RATE);
  const idle = !heavyRate && !site && dice.chance(0.15);
  const transmittedRate = idle ? dice.between(5, 60) : dice.logBetween(rates[0], rates[1]);
  const receivedRate = transmittedRate * (site ? dice.between(0.4, 0.9) : dice.between(0.03, 0.5));
  const cycleMs = Math.floor(dice.logBetween(8_000, 400_000));
  const busyMs = Math.max(1, Math.floor(cycleMs * dice.between(0.2, 1)));
  const trickle = dice.chance(0.8) ? dice.between(0.002, 0.05) : 0;
  const perCycle = cycleMs / 1000 / STEPS ** 3;
  const faulty = dice.chance(0.08);
  const roams = tunnel === 'ikev2' && !site && dice.chance(0.4);
  const roamMs = roams ? Math.floor(dice.logBetween(roamEveryMs[0], roamEveryMs[1])) : 0;
  const dormantMs = roams && dice.chance(0.6) ? Math.floor(roamMs * dice.between(0.05, 0.3)) : 0;
  return {
    cycleMs,
    busyMs,
    receivedTrickle: trickle,
    transmittedTrickle: trickle * 1.5,
    receivedBurst: receivedRate * perCycle,
    transmittedBurst: transmittedRate * perCycle,
    receivedFrameSize: dice.integer(80, 500),
    transmittedFrameSize: dice.integer(300, 1380),
    errorKind: dice.integer(0, 5),
    framesPerError: faulty ? dice.integer(20_000, 2_000_000) : 0,
    roamMs,
    dormantMs,
  };
}
