/** Numbers as Grafana shows them in the units that the dashboards use. */

const scaled = (
  value: number,
  base: number,
  suffixes: readonly string[],
  decimals: number | undefined,
): string => {
  let rest = Math.abs(value);
  let step = 0;
  while (rest >= base && step < suffixes.length - 1) {
    rest /= base;
    step += 1;
  }
  const digits = decimals ?? (rest >= 100 || Number.isInteger(rest) ? 0 : rest >= 10 ? 1 : 2);
  const text = rest.toFixed(step === 0 && decimals === undefined && Number.isInteger(rest) ? 0 : digits);
  return `${value < 0 ? '-' : ''}${text}${suffixes[step]!}`;
};

const COUNTS = ['', ' K', ' Mil', ' Bil'] as const;
const BYTES = [' B', ' KiB', ' MiB', ' GiB', ' TiB'] as const;

function duration(seconds: number, decimals = 1): string {
  const size = Math.abs(seconds);
  const fixed = (value: number): string => String(Number(value.toFixed(decimals)));
  if (size === 0) return '0 s';
  if (size < 0.001) return `${fixed(seconds * 1e6)} µs`;
  if (size < 1) return `${fixed(seconds * 1000)} ms`;
  if (size < 60) return `${fixed(seconds)} s`;
  if (size < 3600) return `${fixed(seconds / 60)} mins`;
  if (size < 86_400) return `${fixed(seconds / 3600)} hours`;
  return `${fixed(seconds / 86_400)} days`;
}

const FORMATS: Readonly<Record<string, (value: number, decimals?: number) => string>> = {
  short: (value, decimals) => scaled(value, 1000, COUNTS, decimals),
  none: (value, decimals) => value.toFixed(decimals ?? (Number.isInteger(value) ? 0 : 2)),
  percentunit: (value, decimals) => `${(value * 100).toFixed(decimals ?? 0)}%`,
  bytes: (value, decimals) => scaled(value, 1024, BYTES, decimals),
  binBps: (value, decimals) => `${scaled(value, 1024, BYTES, decimals)}/s`,
  pps: (value, decimals) => `${scaled(value, 1000, COUNTS, decimals)} p/s`,
  cps: (value, decimals) => `${scaled(value, 1000, COUNTS, decimals)} c/s`,
  reqps: (value, decimals) => `${scaled(value, 1000, COUNTS, decimals)} req/s`,
  s: duration,
  dtdurations: duration,
  dateTimeAsIso: (value) => new Date(value).toISOString().slice(0, 19).replace('T', ' '),
};

/** The units that pictures can show. */
export const KNOWN_UNITS: ReadonlySet<string> = new Set(Object.keys(FORMATS));

export function showNumber(value: number, unit = 'short', decimals?: number): string {
  if (Number.isNaN(value)) return 'NaN';
  return (FORMATS[unit] ?? FORMATS['none']!)(value, decimals);
}
