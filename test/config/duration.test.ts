import fc from 'fast-check';
import { expect, test } from 'vitest';
import { formatDuration, parseDurationMs } from '../../src/config/duration.ts';

test.each([
  ['500ms', 500],
  ['1s', 1000],
  ['1m30s', 90_000],
  ['2h', 7_200_000],
  ['1d', 86_400_000],
  ['1h0m1s', 3_601_000],
  ['90s', 90_000],
  ['1s500ms', 1500],
  ['0', 0],
  ['0s', 0],
])('%s is %i ms', (text, ms) => {
  expect(parseDurationMs(text)).toBe(ms);
});

test.each([
  '',
  '10',
  '1.5s',
  '-1s',
  '+1s',
  '1 s',
  ' 1s',
  '1s ',
  '30s1m',
  '1s1s',
  '1S',
  '1us',
  's',
  '1e3ms',
  'Infinity',
  '1s\n',
])('%j is not a duration', (text) => {
  expect(parseDurationMs(text)).toBeNull();
});

test('what is formatted reads back as it was', () => {
  fc.assert(
    fc.property(fc.nat(), (ms) => {
      expect(parseDurationMs(formatDuration(ms))).toBe(ms);
    }),
  );
});

test.each([
  [0, '0s'],
  [1500, '1s500ms'],
  [90_000, '1m30s'],
])('%i ms is formatted as %s', (ms, text) => {
  expect(formatDuration(ms)).toBe(text);
});
