/** Tells whether a process that does the same again and again goes on growing. */

export interface Look {
  readonly polls: number;
  readonly rssMiB: number;
  /** After a collection. */
  readonly heapMiB: number;
}

/**
 * The most that may be added in the second half. In the first half the tables of past sessions fill up to their limits.
 * After that the heap went up and down by 4 MiB at the most, as tables are built anew. The RSS stayed within 1 to 8 MiB;
 * in one run it rose by 18.8 MiB in one step, at poll 8,000, while the heap was flat: the allocator takes memory in pieces.
 */
export const BOUNDS = { rssMiB: 32, heapMiB: 8 } as const;

export interface Growth {
  readonly rssMiB: number;
  readonly heapMiB: number;
}

/** From the look at the middle to the last one. */
export function growthOf(looks: readonly Look[]): Growth {
  const last = looks.at(-1);
  const middle = looks.findLast(({ polls }) => polls <= (last?.polls ?? 0) / 2);
  if (!last || !middle) throw new Error('growth wants looks from the first half too');
  return { rssMiB: last.rssMiB - middle.rssMiB, heapMiB: last.heapMiB - middle.heapMiB };
}

export const grows = (growth: Growth): boolean =>
  growth.rssMiB > BOUNDS.rssMiB || growth.heapMiB > BOUNDS.heapMiB;
