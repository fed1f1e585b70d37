/** A token bucket: full at the start, one more token each interval up to the burst. */
import type { Clock } from '../model/clock.ts';

export class TokenBucket {
  readonly #intervalMs: number;
  readonly #burst: number;
  readonly #clock: Clock;
  #tokens: number;
  #countedMs: number;

  constructor(intervalMs: number, burst: number, clock: Clock) {
    this.#intervalMs = intervalMs;
    this.#burst = burst;
    this.#clock = clock;
    this.#tokens = burst;
    this.#countedMs = clock.monotonicMs();
  }

  /** Takes a token: 0; or else milliseconds until there is one. */
  take(): number {
    const nowMs = this.#clock.monotonicMs();
    const gained = (nowMs - this.#countedMs) / this.#intervalMs;
    this.#tokens = Math.min(this.#burst, this.#tokens + gained);
    this.#countedMs = nowMs;
    if (this.#tokens < 1) return (1 - this.#tokens) * this.#intervalMs;
    this.#tokens -= 1;
    return 0;
  }
}
