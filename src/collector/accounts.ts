/**
 * Keeps the accounts: turns counters that wrap at 2^32 and that anybody may clear into numbers that only rise, and
 * sums them up over all sessions, the ended ones included. Numbers are exact to 2^53.
 */
import type { ConnectionColumns } from '../model/frames.ts';
import type { ConnectionCounter, Totals } from '../model/snapshot.ts';
import type { Role, Tunnel } from '../model/words.ts';
import { ROLES, TUNNELS } from '../model/words.ts';
import { CONNECTION_COUNTERS, SESSION_DURATION_BOUNDS } from '../model/snapshot.ts';

const N = CONNECTION_COUNTERS.length;
const indexOf = (counter: ConnectionCounter): number => CONNECTION_COUNTERS.indexOf(counter);
const SWITCHOVERS = indexOf('switchovers');
/** Byte counters, each with the frame counter of its direction. */
const DIRECTIONS: readonly (readonly [bytes: number, frames: number])[] = [
  [indexOf('receivedBytes'), indexOf('receivedFrames')],
  [indexOf('transmittedBytes'), indexOf('transmittedFrames')],
];

const TWO_32 = 4_294_967_296;
const TWO_31 = TWO_32 / 2;
/** No IP packet is larger: more bytes than this per frame were never moved, so the counter did not wrap. */
const LARGEST_FRAME_BYTES = 65_535;
/** What a VPN usually carries at the most; bounds from above what may have passed between two polls. */
const USUAL_FRAME_BYTES = 1_600;
/** 10 Gbit/s of the smallest frames. A frame counter that fell by more than that allows was cleared. */
const MOST_FRAMES_PER_SECOND = 15_000_000;

const mostFramesIn = (seconds: number): number => MOST_FRAMES_PER_SECOND * Math.max(1, seconds);

/** The counters were cleared and began anew. */
const CLEARED = -1;

/** Each session's counters, by the session's index: what the server said last, and the sum over wraps and resets. */
export class CounterLedger {
  /** Of the last `advance`, by the order of CONNECTION_COUNTERS; overwritten by the next one. */
  readonly deltas = new Float64Array(N);
  /** Byte or frame counters that were seen to wrap. */
  wraps = 0;
  /** Byte counters that may have wrapped more than once between two polls. */
  ambiguous = 0;
  /** Fastest byte counter of 32 bits in the present round, in bytes per second; undefined if they have more bits. */
  fastestBytesPerSecond: number | undefined;
  #last = new Float64Array(64 * N);
  #sums = new Float64Array(64 * N);
  /** By session: 1 if EnumEx said its last counters, of which the byte counters then lack what is above 2^32. */
  #lastByEx = new Uint8Array(64);
  #columns: readonly ArrayLike<number>[] = [];
  #byEx = false;
  /** Byte counters are known to have 32 bits only. */
  #narrow = false;
  /** They are not known to have more. */
  #mayWrap = true;
  /** Whether a byte counter of level 4 was seen beyond 2^32, or to wrap at it. */
  #level4: 'unknown' | 'wide' | 'narrow' = 'unknown';

  /** Begins a round over the rows of one enumeration. */
  beginRound(columns: ConnectionColumns, api: 'level4' | 'ex'): void {
    this.#columns = CONNECTION_COUNTERS.map((counter) => columns[counter]);
    this.#byEx = api === 'ex';
    this.#narrow = this.#byEx || this.#level4 === 'narrow';
    // Until a counter of level 4 has passed 2^32, it may have 32 bits.
    this.#mayWrap = this.#narrow || this.#level4 === 'unknown';
    this.fastestBytesPerSecond = this.#mayWrap ? 0 : undefined;
  }

  /** Takes a new session's counters as they are, as `deltas` of its `ageSeconds`; undefined if those do not count. */
  open(session: number, row: number, ageSeconds: number | undefined): void {
    this.#reserve(session);
    this.#lastByEx[session] = this.#byEx ? 1 : 0;
    for (let c = 0; c < N; c += 1) {
      const raw = this.#columns[c]![row]!;
      this.#last[session * N + c] = raw;
      this.#sums[session * N + c] = raw;
      this.deltas[c] = raw;
    }
    this.#watchBytes(row, ageSeconds);
  }

  /** Takes a known session's counters; `deltas` says by how much each rose in `elapsedSeconds`. */
  advance(session: number, row: number, elapsedSeconds: number): void {
    const at = session * N;
    const wraps = this.#compare(session, row, elapsedSeconds);
    if (wraps === CLEARED) {
      for (let c = 0; c < N; c += 1) if (c !== SWITCHOVERS) this.deltas[c] = this.#columns[c]![row]!;
    } else if (wraps > 0) {
      this.wraps += wraps;
      if (this.#level4 === 'unknown' && !this.#narrow) this.#level4 = 'narrow';
    }
    this.#watchBytes(row, elapsedSeconds);
    for (let c = 0; c < N; c += 1) {
      this.#last[at + c] = this.#columns[c]![row]!;
      this.#sums[at + c]! += this.deltas[c]!;
    }
  }

  /** The session's sum of a counter, by the order of CONNECTION_COUNTERS. */
  sum(session: number, counter: number): number {
    return this.#sums[session * N + counter]!;
  }

  /** True if the row's counters may be the session's after `elapsedSeconds` out of sight: none fell but by a wrap. */
  continues(session: number, row: number, elapsedSeconds: number): boolean {
    return this.#compare(session, row, elapsedSeconds) !== CLEARED;
  }

  /** Fills in `deltas`. Answers how many counters wrapped, or CLEARED. */
  #compare(session: number, row: number, elapsedSeconds: number): number {
    const at = session * N;
    if (this.#lastByEx[session] !== (this.#byEx ? 1 : 0)) this.#changeWidth(session, row);
    let fell = false;
    for (let c = 0; c < N; c += 1) {
      const delta = this.#columns[c]![row]! - this.#last[at + c]!;
      this.deltas[c] = delta;
      if (delta < 0) fell = true;
    }
    return fell ? this.#explainFall(at, row, elapsedSeconds) : 0;
  }

  /** Level 4 has given way to EnumEx or the other way round: makes the last byte counters comparable with the row's. */
  #changeWidth(session: number, row: number): void {
    this.#lastByEx[session] = this.#byEx ? 1 : 0;
    for (const [bytes] of DIRECTIONS) {
      const at = session * N + bytes;
      const last = this.#last[at]!;
      if (this.#byEx) this.#last[at] = last % TWO_32;
      // As many times 2^32 as leave the smallest rise.
      else
        this.#last[at] =
          last + Math.max(0, Math.floor((this.#columns[bytes]![row]! - last) / TWO_32)) * TWO_32;
    }
  }

  /** Some counter fell: it wrapped, if that much can have been moved, else all were cleared and began anew. */
  #explainFall(at: number, row: number, elapsedSeconds: number): number {
    const { deltas } = this;
    const mostFrames = mostFramesIn(elapsedSeconds);
    let cleared = false;
    let wraps = 0;
    for (const [bytes, frames] of DIRECTIONS) {
      if (deltas[frames]! < 0) {
        deltas[frames]! += TWO_32;
        wraps += 1;
        if (deltas[frames]! > mostFrames) cleared = true;
      }
      if (deltas[bytes]! < 0) {
        const last = this.#last[at + bytes]!;
        deltas[bytes]! += TWO_32;
        wraps += 1;
        const framesCount = this.#columns[frames]![row]! > 0 || this.#last[at + frames]! > 0;
        const most = framesCount ? deltas[frames]! * LARGEST_FRAME_BYTES : TWO_31;
        const wide = !this.#byEx && this.#level4 === 'wide';
        if (last >= TWO_32 || wide || deltas[bytes]! > most) cleared = true;
      }
    }
    // Not a statistic of the traffic: clearing need not touch it.
    if (deltas[SWITCHOVERS]! < 0) deltas[SWITCHOVERS] = this.#columns[SWITCHOVERS]![row]!;
    for (let c = 0; c < N; c += 1) if (deltas[c]! < 0) cleared = true;
    return cleared ? CLEARED : wraps;
  }

  /** Notes the fastest counter, and counts a byte counter that may hide another 2^32. */
  #watchBytes(row: number, elapsedSeconds: number | undefined): void {
    for (const [bytes, frames] of DIRECTIONS) {
      const raw = this.#columns[bytes]![row]!;
      if (raw >= TWO_32) this.#level4 = 'wide';
      if (!this.#mayWrap || elapsedSeconds === undefined) continue;
      const delta = this.deltas[bytes]!;
      if (elapsedSeconds > 0) {
        this.fastestBytesPerSecond = Math.max(this.fastestBytesPerSecond ?? 0, delta / elapsedSeconds);
      }
      if (this.#narrow && this.deltas[frames]! * USUAL_FRAME_BYTES >= delta + TWO_32) this.ambiguous += 1;
    }
  }

  #reserve(session: number): void {
    const needed = (session + 1) * N;
    if (needed <= this.#last.length) return;
    const length = Math.max(needed, this.#last.length * 2);
    const last = new Float64Array(length);
    const sums = new Float64Array(length);
    last.set(this.#last);
    sums.set(this.#sums);
    const lastByEx = new Uint8Array(length / N);
    lastByEx.set(this.#lastByEx);
    this.#lastByEx = lastByEx;
    this.#last = last;
    this.#sums = sums;
  }
}

/** A place in the totals: one per tunnel and role. */
export const cellOf = (tunnel: Tunnel, role: Role): number =>
  TUNNELS.indexOf(tunnel) * ROLES.length + ROLES.indexOf(role);
export const CELLS = TUNNELS.length * ROLES.length;

/** Sums over all sessions since the exporter started, by cell. */
export class TotalsLedger {
  readonly #sums = new Float64Array(CELLS * N);
  readonly #started = new Float64Array(CELLS);
  readonly #ended = new Float64Array(CELLS);
  readonly #durations = new Float64Array(CELLS * (SESSION_DURATION_BOUNDS.length + 1));
  readonly #durationSums = new Float64Array(CELLS);

  add(cell: number, deltas: Float64Array): void {
    for (let c = 0; c < N; c += 1) this.#sums[cell * N + c]! += deltas[c]!;
  }

  start(cell: number): void {
    this.#started[cell]! += 1;
  }

  end(cell: number, durationSeconds: number): void {
    this.#ended[cell]! += 1;
    this.#durationSums[cell]! += durationSeconds;
    let bucket = 0;
    while (bucket < SESSION_DURATION_BOUNDS.length && durationSeconds > SESSION_DURATION_BOUNDS[bucket]!)
      bucket += 1;
    this.#durations[cell * (SESSION_DURATION_BOUNDS.length + 1) + bucket]! += 1;
  }

  /** A copy of the present state. */
  snapshot(): Totals {
    return {
      sums: this.#sums.slice(),
      started: this.#started.slice(),
      ended: this.#ended.slice(),
      durations: this.#durations.slice(),
      durationSums: this.#durationSums.slice(),
    };
  }
}
