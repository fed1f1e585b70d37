/** Instants: equal ones have equal texts, others have others. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseInstant } from '../../../src/admin/hooks/instant.ts';

describe('an instant', () => {
  it.each([
    ['2026-01-01T00:00:00Z', '2026-01-01T00:00:00Z'],
    ['2026-01-01T00:00:00.000Z', '2026-01-01T00:00:00Z'],
    ['2026-01-01T00:00:00.000000000Z', '2026-01-01T00:00:00Z'],
    ['2026-01-01T00:00:00+00:00', '2026-01-01T00:00:00Z'],
    ['2026-01-01T00:00:00-00:00', '2026-01-01T00:00:00Z'],
    ['2026-01-01T01:00:00+01:00', '2026-01-01T00:00:00Z'],
    ['2025-12-31T18:30:00-05:30', '2026-01-01T00:00:00Z'],
    ['2018-08-03T09:52:26.739266876+02:00', '2018-08-03T07:52:26.739266876Z'],
    ['2018-08-03T09:52:26.50+02:00', '2018-08-03T07:52:26.5Z'],
    ['2024-02-29T23:59:59.999Z', '2024-02-29T23:59:59.999Z'],
    ['0001-01-01T00:00:00Z', '0001-01-01T00:00:00Z'],
    ['9999-12-31T23:59:59.999999999Z', '9999-12-31T23:59:59.999999999Z'],
  ])('%s is %s', (text, expected) => {
    expect(parseInstant(text)?.text).toBe(expected);
  });

  it('keeps what is finer than a millisecond apart', () => {
    const texts = ['.783Z', '.7830001Z', '.783000001Z', '.7839Z', '.78Z'].map(
      (end) => parseInstant(`2026-03-02T04:17:11${end}`)?.text,
    );
    expect(new Set(texts).size).toBe(5);
    expect(parseInstant('2026-03-02T04:17:11.783999999Z')?.ms).toBe(Date.UTC(2026, 2, 2, 4, 17, 11, 783));
  });

  it.each([
    '',
    'now',
    '1772425031',
    '2026-03-02',
    '2026-03-02T04:17Z',
    '2026-03-02T04:17:11',
    '2026-03-02 04:17:11Z',
    '2026-03-02t04:17:11z',
    ' 2026-03-02T04:17:11Z',
    '2026-03-02T04:17:11Z\n',
    '2026-03-02T04:17:11.Z',
    '2026-03-02T04:17:11,5Z',
    '2026-03-02T04:17:11.0123456789Z',
    '2026-03-02T04:17:11+1:00',
    '2026-03-02T04:17:11+0100',
    '2026-03-02T04:17:11+24:00',
    '2026-03-02T04:17:11+01:60',
    '2026-02-29T00:00:00Z',
    '2026-02-30T00:00:00Z',
    '2026-13-01T00:00:00Z',
    '2026-00-01T00:00:00Z',
    '2026-01-00T00:00:00Z',
    '2026-01-01T24:00:00Z',
    '2026-01-01T23:60:00Z',
    '2016-12-31T23:59:60Z',
    '0000-01-01T00:00:00+00:01',
    '9999-12-31T23:59:59-00:01',
    '+02026-01-01T00:00:00Z',
    '٢٠٢٦-01-01T00:00:00Z',
  ])('is not %j', (text) => {
    expect(parseInstant(text)).toBeUndefined();
  });

  it('is the same however it is written, and another if it is another', () => {
    const nanoseconds = fc.integer({ min: 0, max: 999_999_999 });
    const seconds = fc.integer({ min: 0, max: 4_000_000_000 });
    const offset = fc.integer({ min: -1439, max: 1439 });
    const write = (at: number, nanos: number, minutes: number): string => {
      const local = new Date((at + minutes * 60) * 1000).toISOString().slice(0, 19);
      const hours = String(Math.floor(Math.abs(minutes) / 60)).padStart(2, '0');
      const rest = String(Math.abs(minutes) % 60).padStart(2, '0');
      const fraction = String(nanos).padStart(9, '0');
      return `${local}.${fraction}${minutes < 0 ? '-' : '+'}${hours}:${rest}`;
    };
    fc.assert(
      fc.property(
        seconds,
        nanoseconds,
        offset,
        offset,
        seconds,
        nanoseconds,
        (at, nanos, a, b, at2, nanos2) => {
          const instant = parseInstant(write(at, nanos, a));
          expect(instant).toBeDefined();
          expect(parseInstant(write(at, nanos, b))).toEqual(instant);
          expect(instant?.ms).toBe(at * 1000 + Math.floor(nanos / 1e6));
          expect(parseInstant(instant?.text ?? '')).toEqual(instant);
          const other = parseInstant(write(at2, nanos2, b));
          expect(other?.text === instant?.text).toBe(at === at2 && nanos === nanos2);
          expect(parseInstant(write(at, nanos ^ 1, a))?.text).not.toBe(instant?.text);
        },
      ),
    );
  });
});
