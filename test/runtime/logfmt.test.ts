import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { logfmt, logfmtKey, logfmtValue } from '../../src/runtime/logfmt.ts';

/** An independent reader of one line: pairs of key and text. */
function readLogfmt(line: string): [key: string, value: string][] {
  const pairs: [string, string][] = [];
  const pattern = /(?<key>[^\s="]+)=(?:"(?<quoted>(?:[^"\\]|\\.)*)"|(?<bare>[^\s="]*))(?: |$)/y;
  while (pattern.lastIndex < line.length) {
    const groups = pattern.exec(line)?.groups;
    if (!groups) throw new Error(`cannot be read: ${line}`);
    const { key = '', quoted, bare = '' } = groups;
    pairs.push([key, quoted === undefined ? bare : (JSON.parse(`"${quoted}"`) as string)]);
  }
  return pairs;
}

describe('a value', () => {
  test.each([
    ['info', 'info'],
    ['2026-11-21T04:30:00.123Z', '2026-11-21T04:30:00.123Z'],
    ['[::1]:10077', '[::1]:10077'],
    ['', '""'],
    ['two words', '"two words"'],
    ['a=b', '"a=b"'],
    ['say "hi"', '"say \\"hi\\""'],
    ['C:\\Windows', '"C:\\\\Windows"'],
    ['line one\nlevel=error', '"line one\\nlevel=error"'],
    ['\u001b[31mred\u0007', '"\\u001b[31mred\\u0007"'],
    ['\u007f\u0085\u009b', '"\\u007f\\u0085\\u009b"'],
    ['a\u2028b', '"a\\u2028b"'],
    ['\u202egnp.exe', '"\\u202egnp.exe"'],
    ['\ud800', '"\\ud800"'],
    ['Zürich', '"Zürich"'],
    [42, '42'],
    [0.5, '0.5'],
    [true, 'true'],
    [null, 'null'],
    [undefined, '""'],
    [['a', 'b'], '"[\\"a\\",\\"b\\"]"'],
  ])('%j is written as %s', (value, expected) => {
    expect(logfmtValue(value)).toBe(expected);
  });

  test('is on one line, without control characters, and reads back as it was, whatever it is', () => {
    fc.assert(
      fc.property(fc.array(fc.string({ unit: 'binary' }), { minLength: 1, maxLength: 4 }), (values) => {
        const line = logfmt(Object.fromEntries(values.map((value, i) => [`k${i}`, value])));
        expect(line).not.toMatch(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u);
        expect(readLogfmt(line)).toEqual(values.map((value, i) => [`k${i}`, value]));
      }),
    );
  });

  test('of single UTF-16 units, unpaired surrogates included, reads back as it was', () => {
    for (let unit = 0; unit <= 0xffff; unit++) {
      const text = `a${String.fromCharCode(unit)}b`;
      const [pair] = readLogfmt(`k=${logfmtValue(text)}`);
      if (pair?.[1] !== text) throw new Error(`unit ${unit.toString(16)} became ${logfmtValue(text)}`);
    }
  });
});

describe('a key', () => {
  test.each([
    ['timeoutMs', 'timeoutMs'],
    ['', '_'],
    ['a b="c"\n', 'a_b__c__'],
  ])('%j is written as %s', (key, expected) => {
    expect(logfmtKey(key)).toBe(expected);
  });
});
