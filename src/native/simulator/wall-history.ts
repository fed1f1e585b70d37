/**
 * What the system clock said at any simulated moment. Sessions are stamped with the time of day at which they began
 * and keep it, so a clock that jumps later does not move them.
 */

const EPOCH_MS = 11_644_473_600_000;
/** Smaller differences are the clock's slewing, not a jump. */
const JUMP_MS = 1000;

export class WallHistory {
  /** Wall minus simulated milliseconds, from `fromMs` on; the last entry holds now. */
  readonly #offsets: { fromMs: number; offsetMs: number }[];

  /** `wallSeconds` at simulated time 0. */
  constructor(wallSeconds: number) {
    this.#offsets = [{ fromMs: -Infinity, offsetMs: Math.round(wallSeconds * 1000) }];
  }

  note(timeMs: number, wallSeconds: number): void {
    const offsetMs = Math.round(wallSeconds * 1000) - timeMs;
    if (Math.abs(offsetMs - this.#offsets.at(-1)!.offsetMs) > JUMP_MS) {
      this.#offsets.push({ fromMs: timeMs, offsetMs });
    }
  }

  /** FILETIME ticks: 100 ns since 1601, UTC. */
  ticksAt(timeMs: number): bigint {
    const { offsetMs } = this.#offsets.findLast(({ fromMs }) => fromMs <= timeMs)!;
    return BigInt(timeMs + offsetMs + EPOCH_MS) * 10_000n;
  }
}
