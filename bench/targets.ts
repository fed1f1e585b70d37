/** Figures to reach, and the verdict on what was measured. */

export interface Target {
  readonly kind: 'at least' | 'at most';
  readonly bound: number;
  /** Which sizes are judged: the largest of the run, each, or the one with so many connections. */
  readonly at: 'largest' | 'each' | number;
}

export type Verdict = 'met' | 'not met' | 'not judged';

const meets = ({ kind, bound }: Target, value: number): boolean =>
  kind === 'at least' ? value >= bound : value <= bound;

/** `values` by the sizes of the run. */
export function judge(target: Target, sizes: readonly number[], values: readonly number[]): Verdict {
  let judged: readonly number[];
  if (target.at === 'each') judged = values;
  else if (target.at === 'largest') judged = values.slice(-1);
  else judged = values.filter((_, i) => sizes[i] === target.at);
  if (judged.length === 0) return 'not judged';
  return judged.every((value) => meets(target, value)) ? 'met' : 'not met';
}

export const timesFaster = (peer: number, ours: number): number => peer / ours;

/** Each figure over the smallest of those up to it: what rises with the size shows as more than 1. */
export function riseOver(values: readonly number[]): number[] {
  let smallest = Infinity;
  return values.map((value) => value / (smallest = Math.min(smallest, value)));
}
