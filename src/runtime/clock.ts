/** The system's time, the only real `Clock`. */
import type { Clock } from '../model/clock.ts';

/** setTimeout takes a 32-bit count and fires at once when it gets more. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

export const systemClock: Clock = {
  monotonicMs: () => performance.now(),
  wallSeconds: () => Date.now() / 1000,
  async sleep(ms, signal) {
    const end = performance.now() + ms;
    for (let rest = ms; rest > 0; rest = end - performance.now()) {
      await nap(Math.min(Math.ceil(rest), LONGEST_TIMER_MS), signal);
    }
    // No time at all gives way to what waits in the event loop, and takes no longer than that.
    if (!(ms > 0)) await turn(signal);
  },
};

async function turn(signal: AbortSignal | undefined): Promise<void> {
  signal?.throwIfAborted();
  await new Promise((resolve) => setImmediate(resolve));
  signal?.throwIfAborted();
}

function nap(ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const onAbort = () => {
      clearTimeout(timer);
      // The contract of Clock.sleep: the reason as it was given.
      // eslint-disable-next-line @typescript-eslint/prefer-promise-reject-errors
      reject(signal?.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', onAbort);
      resolve();
    }, ms);
    if (signal?.aborted) onAbort();
    else signal?.addEventListener('abort', onAbort, { once: true });
  });
}
