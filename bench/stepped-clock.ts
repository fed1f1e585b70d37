/** A clock that moves only when it is stepped: how long a round takes does not change what the simulator does in it. */
import type { Clock } from '../src/model/clock.ts';

/** 2026-01-05 08:00:00 UTC. */
const START_SECONDS = 1_767_600_000;

export class SteppedClock implements Clock {
  #ms = 0;

  monotonicMs(): number {
    return this.#ms;
  }

  wallSeconds(): number {
    return START_SECONDS + this.#ms / 1000;
  }

  step(ms: number): void {
    this.#ms += ms;
  }

  /** Ends when it is aborted only: nothing here waits for time to pass. */
  sleep(_ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((_resolve, reject) => {
      const stop = (): void => reject(new Error('aborted'));
      if (signal?.aborted) stop();
      else signal?.addEventListener('abort', stop, { once: true });
    });
  }
}
