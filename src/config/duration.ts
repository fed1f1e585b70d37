/** Durations as Prometheus writes them: `500ms`, `1s`, `1m30s`, `2h`, `1d12h`. No fractions, no signs; units largest first. */

const UNITS = [
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['m', 60_000],
  ['s', 1000],
  ['ms', 1],
] as const;

const PARTS = UNITS.map(([unit]) => `(?:(\\d{1,9})${unit})?`).join('');
const PATTERN = new RegExp(`^${PARTS}$`);
/** Also matches an empty text. */
export const DURATION_PATTERN = `^(?:0|${PARTS})$`;

/** Whole milliseconds, or null if the text is not a duration. Only a zero may stand without a unit. */
export function parseDurationMs(text: string): number | null {
  if (text === '0') return 0;
  const counts = text === '' ? undefined : PATTERN.exec(text)?.slice(1);
  if (!counts) return null;
  return UNITS.reduce((sum, [, ms], index) => sum + Number(counts[index] ?? 0) * ms, 0);
}

/** The shortest text that `parseDurationMs` reads as `ms`. */
export function formatDuration(ms: number): string {
  let rest = ms;
  let text = '';
  for (const [unit, size] of UNITS) {
    const count = Math.floor(rest / size);
    if (count > 0) text += `${count}${unit}`;
    rest -= count * size;
  }
  return text === '' ? '0s' : text;
}
