/** How both formats write names, labels and numbers. */

/** As both formats write numbers. */
export function formatNumber(value: number): string {
  if (Number.isNaN(value)) return 'NaN';
  if (value === Infinity) return '+Inf';
  if (value === -Infinity) return '-Inf';
  return String(value);
}

/** No number is longer as text. */
export const LONGEST_NUMBER = 32;
const ZERO = 0x30;
const BILLION = 1_000_000_000;

const isCount = (value: number): boolean =>
  Number.isSafeInteger(value) && value >= 0 && !Object.is(value, -0);

function digitsOf(count: number): number {
  let digits = 1;
  for (let limit = 10; limit <= count && digits < 16; limit *= 10) digits += 1;
  return digits;
}

/** How many bytes `writeNumber` writes. */
export const numberLength = (value: number): number =>
  isCount(value) ? digitsOf(value) : formatNumber(value).length;

/** Writes a value and answers where it ends. There must be room for LONGEST_NUMBER bytes. */
export function writeNumber(target: Buffer, at: number, value: number): number {
  if (!isCount(value)) return at + target.write(formatNumber(value), at, 'latin1');
  const end = at + digitsOf(value);
  let last = end - 1;
  let rest = value;
  if (rest >= BILLION) {
    // Integer arithmetic ends at 2^31: the lowest nine digits go first.
    rest = Math.floor(value / BILLION);
    let low = value - rest * BILLION;
    for (const stop = last - 9; last > stop; last -= 1) {
      const next = (low / 10) | 0;
      target[last] = ZERO + low - next * 10;
      low = next;
    }
  }
  for (; last >= at; last -= 1) {
    const next = (rest / 10) | 0;
    target[last] = ZERO + rest - next * 10;
    rest = next;
  }
  return end;
}

export const ESCAPES: Readonly<Record<string, string>> = { '\\': '\\\\', '"': '\\"', '\n': '\\n' };
export const escapeLabelValue = (value: string): string =>
  value.replace(/[\\"\n]/g, (char) => ESCAPES[char]!);

export function renderLabels(names: readonly string[], values: readonly string[]): string {
  if (names.length === 0) return '';
  return `{${names.map((name, i) => `${name}="${escapeLabelValue(values[i]!)}"`).join(',')}}`;
}

/** Name of the sample that tells when a counter or histogram began. */
export const createdName = (name: string): string => `${name.replace(/_total$/, '')}_created`;
