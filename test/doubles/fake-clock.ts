/** A clock that moves only when told to, so that no test waits for time to pass. */
import type { Clock } from '../../src/model/clock.ts';

interface Sleeper {
  readonly dueMs: number;
  readonly wake: () => void;
}

/** 2026-11-21 00:00:00 UTC: a date at which no test depends on today's. */
const START_SECONDS = 1_795_219_200;

export class FakeClock implements Clock {
  #monotonicMs: number;
  /** Wall minus monotonic, in seconds. */
  #wallOffset: number;
  readonly #sleepers = new Set<Sleeper>();

  constructor(options: { readonly monotonicMs?: number; readonly wallSeconds?: number } = {}) {
    this.#monotonicMs = options.monotonicMs ?? 1_000_000;
    this.#wallOffset = (options.wallSeconds ?? START_SECONDS) - this.#monotonicMs / 1000;
  }

  monotonicMs(): number {
    return this.#monotonicMs;
  }

  wallSeconds(): number {
    return this.#monotonicMs / 1000 + this.#wallOffset;
  }

  /** Sleeps not yet over. */
  get pending(): number {
    return this.#sleepers.size;
  }

  /** Time of the next sleep's end, or null: what a test may step to. */
  get nextDueMs(): number | null {
    let next: number | null = null;
    for (const { dueMs } of this.#sleepers) next = Math.min(next ?? dueMs, dueMs);
    return next;
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    const aborted = (): Error => (signal?.reason instanceof Error ? signal.reason : new Error('aborted'));
    if (signal?.aborted) return Promise.reject(aborted());
    // No time need pass.
    if (ms <= 0) return Promise.resolve();
    return new Promise((resolve, reject) => {
      const stop = (): void => {
        this.#sleepers.delete(sleeper);
        reject(aborted());
      };
      const sleeper = {
        dueMs: this.#monotonicMs + Math.max(0, ms),
        wake: () => {
          this.#sleepers.delete(sleeper);
          signal?.removeEventListener('abort', stop);
          resolve();
        },
      };
      this.#sleepers.add(sleeper);
      signal?.addEventListener('abort', stop, { once: true });
    });
  }

  /**
   * Moves both times on. Sleeps end in the order of their times, each with the clock at its own time, and what a
   * sleeper does next runs before the clock moves further. With nobody asleep the time has moved on return already.
   */
  async advance(ms: number): Promise<void> {
    const target = this.#monotonicMs + ms;
    for (let sleeper = this.#firstBy(target); sleeper; sleeper = this.#firstBy(target)) {
      this.#monotonicMs = Math.max(this.#monotonicMs, sleeper.dueMs);
      sleeper.wake();
      await settle();
    }
    this.#monotonicMs = Math.max(this.#monotonicMs, target);
  }

  /** Moves the wall clock alone, as a correction of the system time does. */
  jumpWall(seconds: number): void {
    this.#wallOffset += seconds;
  }

  #firstBy(targetMs: number): Sleeper | null {
    let first: Sleeper | null = null;
    for (const sleeper of this.#sleepers) {
      if (sleeper.dueMs <= targetMs && (!first || sleeper.dueMs < first.dueMs)) first = sleeper;
    }
    return first;
  }
}

/** Lets every promise reaction that is due run. */
export const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
