/** Durations as Prometheus writes them: `500ms`, `1s`, `1m30s`, `2h`, `1d12h`. No fractions, no signs; units largest first. */

/** Only a zero may stand without a unit. */
export const DURATION_PATTERN =
  /^(?:(?<d>\d{1,9})d)?(?:(?<h>\d{1,9})h)?(?:(?<m>\d{1,9})m)?(?:(?<s>\d{1,9})s)?(?:(?<ms>\d{1,9})ms)?$/;

const UNITS = [
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['m', 60_000],
  ['s', 1000],
  ['ms', 1],
] as const;

/** Whole milliseconds, or null if the text is not a duration. Only a zero may stand without a unit. */
export function parseDurationMs(text: string): number | null {
  if (text === '0') return 0;
  const groups = text === '' ? undefined : PATTERN.exec(text)?.groups;
  if (!groups) return null;
  return UNITS.reduce((sum, [unit, ms]) => sum + Number(groups[unit] ?? 0) * ms, 0);
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
