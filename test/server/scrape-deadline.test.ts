/** How long a scrape may take: whatever the header says, a whole number of milliseconds that can be waited. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { scrapeWaitMs } from '../../src/server/scrape-deadline.ts';

const DEFAULT_MS = 10_000;
const LONGEST_TIMER_MS = 2 ** 31 - 1;

describe('N9 the wait of a scrape', () => {
  test.each<[header: string, waitMs: number]>([
    ['1', 900],
    ['0.4', 360],
    ['0.5', 450],
    ['10', 9500],
    ['10.000000', 9500],
    ['15', 14_500],
    ['5', 4500],
    ['60', 59_500],
    ['0.001', 1],
    ['0.0000001', 1],
    ['5e-324', 1],
    [' 2 ', 1800],
    ['1e1', 9500],
    ['1e9', 3_599_500],
    ['3600', 3_599_500],
    ['1.7976931348623157e308', 3_599_500],
  ])('leaves a margin of the scraper’s own timeout: %s s', (header, waitMs) => {
    expect(scrapeWaitMs(header, DEFAULT_MS)).toBe(waitMs);
  });

  test.each([
    ['', 'an empty header'],
    [' ', 'a blank header'],
    ['NaN', 'no number'],
    ['-1', 'a negative number'],
    ['-0', 'minus zero'],
    ['0', 'zero'],
    ['0.0', 'zero with a fraction'],
    ['Infinity', 'infinity'],
    ['+Inf', 'infinity in Go’s spelling'],
    ['1e999', 'what is more than a number can be'],
    ['10s', 'a duration'],
    ['1,5', 'a comma'],
    ['5, 5', 'a header that was sent twice'],
    ['ten', 'a word'],
    ['1 000', 'a blank within'],
    ['{}', 'garbage'],
  ])('is the default for %j (%s)', (header) => {
    expect(scrapeWaitMs(header, DEFAULT_MS)).toBe(DEFAULT_MS);
  });

  test('is the default without a header', () => {
    expect(scrapeWaitMs(undefined, 1234)).toBe(1234);
  });

  test('is a whole number of at least 1 for any header, and never beyond the header or the default', () => {
    const header = fc.oneof(
      fc.string({ maxLength: 12 }),
      fc.double().map(String),
      fc.double({ min: 0, max: 100, noNaN: true }).map(String),
      fc.integer({ min: -10, max: 10_000 }).map(String),
      fc.constantFrom('1', '0.4', 'NaN', '-1', '1e9', '', ' ', '+Inf', '0x10', '1_000', '٣', '１'),
    );
    fc.assert(
      fc.property(header, fc.integer({ min: 1, max: 3_600_000 }), (text, defaultMs) => {
        const waitMs = scrapeWaitMs(text, defaultMs);
        expect(Number.isInteger(waitMs)).toBe(true);
        expect(waitMs).toBeGreaterThanOrEqual(1);
        expect(waitMs).toBeLessThan(LONGEST_TIMER_MS);
        const seconds = Number(text);
        const usable = text.trim() !== '' && Number.isFinite(seconds) && seconds > 0;
        if (usable) expect(waitMs).toBeLessThanOrEqual(Math.max(1, seconds * 1000));
        else expect(waitMs).toBe(defaultMs);
      }),
      { numRuns: 2000, seed: 4 },
    );
  });

  test('grows with the header, and the margin is at most a tenth and half a second', () => {
    fc.assert(
      fc.property(fc.double({ min: 0.01, max: 3600, noNaN: true }), (seconds) => {
        const margin = seconds * 1000 - scrapeWaitMs(String(seconds), DEFAULT_MS);
        expect(margin).toBeLessThanOrEqual(Math.min(500, seconds * 100) + 0.5);
        expect(margin).toBeGreaterThanOrEqual(Math.min(500, seconds * 100) - 0.5);
      }),
      { numRuns: 1000, seed: 5 },
    );
  });
});
