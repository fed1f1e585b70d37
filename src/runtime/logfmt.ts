/**
 * One record as one logfmt line: `time=... level=info msg="two words" count=3`. Whatever a value holds, it can neither
 * start a second line nor reach a terminal as a control sequence, and it can be read back.
 */

/** A value that needs no quotes: visible ASCII without space, `"`, `=` and backslash. */
const BARE = /^[!#-<>-[\]-~]+$/;

/** What JSON leaves as it is and a terminal or a line reader may act upon: controls, separators, marks of direction. */
const UNSAFE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cn}\p{Co}]/gu;

export function logfmt(record: Readonly<Record<string, unknown>>): string {
  return Object.entries(record)
    .map(([key, value]) => `${logfmtKey(key)}=${logfmtValue(value)}`)
    .join(' ');
}

export function logfmtKey(key: string): string {
  return key === '' ? '_' : key.replace(/[^\w.-]/g, '_');
}

/** A quoted value is a JSON string. */
export function logfmtValue(value: unknown): string {
  const text = typeof value === 'string' ? value : (JSON.stringify(value) as string | undefined);
  if (text === undefined) return '""';
  return BARE.test(text) ? text : JSON.stringify(text).replace(UNSAFE, escapeUnits);
}

function escapeUnits(char: string): string {
  let text = '';
  for (let i = 0; i < char.length; i++) {
    text += `\\u${char.charCodeAt(i).toString(16).padStart(4, '0')}`;
  }
  return text;
}
