/**
 * When the sessions of one slot start and end, in closed form: session k lies in the k-th period, shifted by a
 * seeded jitter, so that the session of any moment is found at once, however far away that moment is.
 */
import { fraction, STREAM } from './random.ts';

/** Times are whole milliseconds since the simulator was made; negative before it. */
export interface Rhythm {
  readonly periodMs: number;
  /** Start of period 0. */
  readonly phaseMs: number;
  /** Sessions start in the first `jitter` of their period: below 1, or sessions would change their order. */
  readonly jitter: number;
  /**
   * Share of the time up to the next session's start during which this one lasts, drawn between the two; what is
   * over 1 counts as 1 (the next session starts at once). Null: always 1.
   */
  readonly online: readonly [min: number, max: number] | null;
}

/** No session is shorter: its start and end stay apart in every counter. */
const SHORTEST_MS = 500;

export class Timeline {
  readonly #seed: number;
  readonly #slot: number;
  readonly #rhythm: Rhythm;

  constructor(seed: number, slot: number, rhythm: Rhythm) {
    this.#seed = seed;
    this.#slot = slot;
    this.#rhythm = rhythm;
  }

  startOf(index: number): number {
    const { periodMs, phaseMs, jitter } = this.#rhythm;
    const shift = fraction(this.#seed, STREAM.start, this.#slot, index) * jitter * periodMs;
    return phaseMs + index * periodMs + Math.floor(shift);
  }

  /** The first millisecond at which session `index` is no more. */
  endOf(index: number): number {
    const start = this.startOf(index);
    const next = this.startOf(index + 1);
    if (!this.#rhythm.online) return next;
    const [min, max] = this.#rhythm.online;
    const share = min + (max - min) * fraction(this.#seed, STREAM.online, this.#slot, index);
    return Math.min(next, start + Math.max(SHORTEST_MS, Math.floor((next - start) * share)));
  }

  /** The last session that has started at `timeMs`; it may have ended since. */
  indexAt(timeMs: number): number {
    const index = Math.floor((timeMs - this.#rhythm.phaseMs) / this.#rhythm.periodMs);
    return this.startOf(index) <= timeMs ? index : index - 1;
  }
}
