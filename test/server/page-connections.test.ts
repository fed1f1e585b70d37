/** The list of connections on the landing page: what is found, in which order, and how it is written. */
import { describe, expect, test } from 'vitest';
import { COLUMNS, ConnectionList, nextOrder } from '../../src/server/page/connection-list.ts';
import { scaleTo } from '../../src/server/page/history-chart.ts';
import { bytes, duration, number } from '../../src/server/page/wording.ts';
import { NOW, sessionOf } from './page-data.ts';

const NAMES = { key: 'user', direction: 'ascending' } as const;

function listOf(...sessions: readonly Parameters<typeof sessionOf>[0][]): ConnectionList {
  const list = new ConnectionList();
  list.fill(sessions.map(sessionOf));
  return list;
}
const columnOf = (key: string) => COLUMNS.find((column) => column.key === key)!;

describe('a search', () => {
  const list = listOf(
    { user: 'anna', tunnel: 'ikev2', remoteAddress: '203.0.113.9' },
    { user: 'ANNA.Berg', tunnel: 'sstp', computer: 'NB-77' },
    { user: 'Özil', interface: 'Özil', tunnel: 'ikev2', tunnelAddressV6: '2001:db8::7' },
    { user: '<img src=x onerror=alert(1)>', interface: 'Site-1', tunnel: 'l2tp', role: 'site' },
  );
  test.each([
    ['', 4],
    ['   ', 4],
    ['anna', 2],
    ['Anna ikev2', 1],
    ['sstp anna', 1],
    ['203.0.113.9 corp\\anna', 2],
    ['özil', 1],
    ['2001:db8', 1],
    ['nb-77', 1],
    ['onerror', 1],
    ['site', 1],
    ['.*', 0],
    ['nobody', 0],
  ])('for %j finds %i', (search, count) => {
    expect(list.select(search, NAMES)).toHaveLength(count);
  });
});

describe('the order', () => {
  test('of texts is that of people: numbers by value, letters whatever their case; what is missing comes last', () => {
    const list = listOf(
      { remoteAddress: '10.0.0.10' },
      { remoteAddress: '' },
      { remoteAddress: '9.0.0.1' },
      { remoteAddress: '10.0.0.9' },
    );
    const by = (direction: 'ascending' | 'descending') =>
      list.select('', { key: 'remote', direction }).map(({ remoteAddress }) => remoteAddress);
    expect(by('ascending')).toEqual(['9.0.0.1', '10.0.0.9', '10.0.0.10', '']);
    expect(by('descending')).toEqual(['10.0.0.10', '10.0.0.9', '9.0.0.1', '']);
  });

  test('of figures is that of the values, not of how they are written', () => {
    const list = listOf({ receivedBytes: 2 ** 40 }, { receivedBytes: 999 }, { receivedBytes: 1024 });
    expect(
      list.select('', { key: 'received', direction: 'descending' }).map(({ receivedBytes }) => receivedBytes),
    ).toEqual([2 ** 40, 1024, 999]);
  });

  test('of times begins with who has been connected the longest, or the shortest', () => {
    const list = listOf({ startTime: NOW - 10 }, { startTime: NOW - 9000 }, { startTime: NOW - 700 });
    const by = (direction: 'ascending' | 'descending') =>
      list.select('', { key: 'time', direction }).map(({ startTime }) => NOW - startTime);
    expect(by('descending')).toEqual([9000, 700, 10]);
    expect(by('ascending')).toEqual([10, 700, 9000]);
  });

  test('turns round for the same column, and begins anew for another: figures with the largest', () => {
    expect(nextOrder(NAMES, columnOf('user'))).toEqual({ key: 'user', direction: 'descending' });
    expect(nextOrder({ key: 'user', direction: 'descending' }, columnOf('user'))).toEqual(NAMES);
    expect(nextOrder(NAMES, columnOf('received'))).toEqual({ key: 'received', direction: 'descending' });
    expect(nextOrder(NAMES, columnOf('computer'))).toEqual({ key: 'computer', direction: 'ascending' });
  });
});

describe('a cell', () => {
  const text = (key: string, parts: Parameters<typeof sessionOf>[0]) =>
    columnOf(key).text(sessionOf(parts), NOW);
  test.each([
    [{ user: 'anna', domain: 'CORP' }, 'CORP\\anna'],
    [{ user: 'CORP\\anna', domain: 'CORP' }, 'CORP\\anna'],
    [{ user: 'anna@example.com', domain: 'CORP' }, 'anna@example.com'],
    [{ user: 'anna', domain: '' }, 'anna'],
  ])('names the user of %j as %s', (parts, name) => {
    expect(text('user', parts)).toBe(name);
  });

  test('tells of a peer that cannot be reached at the moment', () => {
    expect(text('tunnel', { tunnel: 'ikev2', dormant: true })).toBe('IKEv2, dormant');
  });
});

test.each([
  [0, '0 s'],
  [59.9, '59 s'],
  [60, '1 min'],
  [3599, '59 min'],
  [3660, '1 h 1 min'],
  [90_000, '1 d 1 h'],
  [-5, '0 s'],
])('a duration of %d seconds is %s', (seconds, text) => {
  expect(duration(seconds)).toBe(text);
});

test.each([
  [0, '0 B'],
  [1023, '1023 B'],
  [1024, '1.0 KiB'],
  [1024 * 1024 - 1, '1.0 MiB'],
  [5.5 * 2 ** 30, '5.5 GiB'],
  [2 ** 60, '1024.0 PiB'],
])('%d bytes are %s', (value, text) => {
  expect(bytes(value)).toBe(text);
});

test('numbers are grouped by three digits', () => {
  expect([0, 999, 1000, 1_234_567].map(number)).toEqual(['0', '999', '1,000', '1,234,567']);
});

test.each([
  [1, 2],
  [3, 4],
  [6, 6],
  [7, 8],
  [10, 10],
  [11, 12],
  [80, 80],
  [85, 100],
  [109, 120],
  [10_000, 10_000],
  [10_001, 12_000],
])('a scale for up to %d ends at %d', (most, top) => {
  expect(scaleTo(most)).toBe(top);
});
