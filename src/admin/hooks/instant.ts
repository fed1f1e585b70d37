/** Instants as RFC 3339 writes them, brought to one form: what is equal must be equal as text, to the last digit. */

export interface Instant {
  /** In UTC with no more digits than it needs, such as `2026-01-01T00:00:00.25Z`. */
  readonly text: string;
  /** Unix time in whole milliseconds; further digits are in the text only. */
  readonly ms: number;
}

/** As Go writes times: at most nanoseconds, no leap second. */
const RFC3339 =
  /^(?<local>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(?<fraction>\d{1,9}))?(?:Z|(?<sign>[+-])(?<hours>[01]\d|2[0-3]):(?<minutes>[0-5]\d))$/;
const SECONDS_LENGTH = '2026-01-01T00:00:00'.length;

/** undefined: it is none. */
export function parseInstant(text: string): Instant | undefined {
  const parts = RFC3339.exec(text)?.groups;
  if (!parts) return undefined;
  const local = parts['local'] ?? '';
  const localMs = Date.parse(`${local}Z`);
  // Date.parse alone takes February 30 for March 2.
  if (Number.isNaN(localMs) || toSeconds(localMs) !== local) return undefined;
  const offsetMinutes = Number(parts['hours'] ?? 0) * 60 + Number(parts['minutes'] ?? 0);
  const secondsMs = localMs - (parts['sign'] === '-' ? -1 : 1) * offsetMinutes * 60_000;
  const seconds = toSeconds(secondsMs);
  // An offset can lead out of the years that have four digits.
  if (!RFC3339.test(`${seconds}Z`)) return undefined;
  const fraction = (parts['fraction'] ?? '').replace(/0+$/, '');
  return {
    text: `${seconds}${fraction === '' ? '' : `.${fraction}`}Z`,
    ms: secondsMs + Number(fraction.slice(0, 3).padEnd(3, '0')),
  };
}

const toSeconds = (ms: number): string => new Date(ms).toISOString().slice(0, SECONDS_LENGTH);
