/** Takes times: rounds of which the first do not count, and the median of the others. */

export interface Rounds {
  /** Not counted: the code is compiled and caches are filled in them. */
  readonly warmUp: number;
  readonly timed: number;
}

export function median(values: readonly number[]): number {
  if (values.length === 0) throw new RangeError('there is no median of nothing');
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** Times of one thing over several rounds, in milliseconds. */
export class Times {
  readonly #ms: number[] = [];

  /** Runs `work` and keeps how long it took. */
  take<T>(work: () => T): T {
    const started = performance.now();
    const result = work();
    this.#ms.push(performance.now() - started);
    return result;
  }

  async takeAsync<T>(work: () => Promise<T>): Promise<T> {
    const started = performance.now();
    const result = await work();
    this.#ms.push(performance.now() - started);
    return result;
  }

  /** Median of all but the first `warmUp` times. */
  medianMs(warmUp: number): number {
    return median(this.#ms.slice(warmUp));
  }
}

/** Runs all rounds, one after the other. */
export async function inRounds({ warmUp, timed }: Rounds, round: () => Promise<void> | void): Promise<void> {
  for (let i = 0; i < warmUp + timed; i += 1) await round();
}

const MICROSECONDS_PER_MS = 1000;
export const microsecondsEach = (ms: number, count: number): number => (ms * MICROSECONDS_PER_MS) / count;
