/** Long work in slices, so that it never holds up the event loop: between two yields others may have their turn. */
import type { Clock } from './clock.ts';

/** Yields where it may be interrupted, every millisecond or so. */
export type Sliced<T> = Generator<undefined, T, undefined>;

/** Loops over rows at up to some µs each yield after so many. */
export const ROWS_PER_SLICE = 512;

/** Others wait for so long at the most. */
const TURN_MS = 3;

export function atOnce<T>(work: Sliced<T>): T {
  for (;;) {
    const step = work.next();
    if (step.done === true) return step.value;
  }
}

export async function inSlices<T>(work: Sliced<T>, clock: Clock): Promise<T> {
  let startMs = clock.monotonicMs();
  for (;;) {
    const step = work.next();
    if (step.done === true) return step.value;
    if (clock.monotonicMs() - startMs < TURN_MS) continue;
    await clock.sleep(0);
    startMs = clock.monotonicMs();
  }
}
