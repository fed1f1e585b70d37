/** Durations as Go writes them: `500ms`, `1.5h`, `1m30s`. */

const UNIT_MS: Readonly<Record<string, number>> = {
  ns: 1e-6,
  us: 1e-3,
  µs: 1e-3,
  μs: 1e-3,
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
};
const PART = /(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h)/g;

/** Milliseconds; null if the text is no duration of 0 or more. */
export function parseGoDurationMs(text: string): number | null {
  if (text === '0') return 0;
  if (text === '' || text.replace(PART, '') !== '') return null;
  let sum = 0;
  for (const [, count, unit] of text.matchAll(PART)) sum += Number(count) * UNIT_MS[unit!]!;
  return sum;
}
