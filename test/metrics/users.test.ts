/** The rows of users: merged where they look the same, bounded in number, and never falling. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { SessionTable } from '../../src/collector/sessions.ts';
import { CATALOGUE } from '../../src/metrics/catalogue.ts';
import { PageEncoder } from '../../src/metrics/exposition.ts';
import { ViewMaker } from '../../src/metrics/labels.ts';
import type { Privacy } from '../../src/metrics/privacy.ts';
import { pseudonymOf } from '../../src/metrics/privacy.ts';
import type { UserAccount } from '../../src/model/snapshot.ts';
import { connectionsFrame } from '../collector/frames.ts';
import { Page } from './page.ts';
import { SimulatedExporter } from './simulated-exporter.ts';
import { snapshotOf, tableOf } from './snapshots.ts';

const KEY = Buffer.alloc(32, 1);
const PLAIN: Privacy = { users: 'plain', addresses: 'plain' };

const account = (user: string, domain: string, bytes: number, other = false): UserAccount => ({
  user,
  domain,
  other,
  receivedBytes: bytes,
  transmittedBytes: bytes * 2,
  sessionsStarted: 1,
  connections: 1,
});

function pageOf(accounts: readonly UserAccount[] | undefined, privacy: Privacy): Page {
  const views = new ViewMaker({ privacy, detail: 'full', limit: 10 });
  const encoder = new PageEncoder(CATALOGUE, { format: 'text' });
  return new Page(
    Buffer.concat(
      encoder.encode(views.view(snapshotOf({ users: accounts, connections: tableOf([]) }), 0)),
    ).toString(),
  );
}

const received = (accounts: readonly UserAccount[], privacy: Privacy): Readonly<Record<string, number>> =>
  pageOf(accounts, privacy).values('rras_user_received_bytes_total')!;

describe('rows of users', () => {
  test('are not there unless they are wanted', () => {
    expect(pageOf(undefined, PLAIN).names.filter((name) => name.startsWith('rras_user_'))).toEqual([]);
    expect(pageOf([], PLAIN).names.filter((name) => name.startsWith('rras_user_'))).toEqual([]);
  });

  test('are one per user and domain, with what is past the limit in `other`', () => {
    const accounts = [account('anna', 'CORP', 1), account('anna', 'LAB', 2), account('', '', 40, true)];
    const page = pageOf(accounts, PLAIN);
    expect(page.values('rras_user_received_bytes_total')).toEqual({
      'anna/CORP': 1,
      'anna/LAB': 2,
      'other/': 40,
    });
    expect(page.values('rras_user_transmitted_bytes_total')).toEqual({
      'anna/CORP': 2,
      'anna/LAB': 4,
      'other/': 80,
    });
    expect(page.values('rras_user_sessions_started_total')).toEqual({
      'anna/CORP': 1,
      'anna/LAB': 1,
      'other/': 1,
    });
    expect(page.values('rras_user_connections')).toEqual({ 'anna/CORP': 1, 'anna/LAB': 1, 'other/': 1 });
  });

  test('that look the same are one', () => {
    const accounts = [account('Anna', 'CORP', 1), account('anna', 'corp', 10), account('ben', 'CORP', 100)];
    expect(received(accounts, { users: 'none', addresses: 'none' })).toEqual({ '/': 111 });
    expect(received(accounts, { users: 'pseudonym', addresses: 'none', key: KEY })).toEqual({
      [`${pseudonymOf('anna', KEY)}/${pseudonymOf('corp', KEY)}`]: 11,
      [`${pseudonymOf('ben', KEY)}/${pseudonymOf('corp', KEY)}`]: 100,
    });
    expect(received([account('a\u0001', '', 1), account('a\u0002', '', 2)], PLAIN)).toEqual({
      'a\ufffd/': 3,
    });
    expect(received([account('a\ud800', '', 1), account('a\udc00', '', 2)], PLAIN)).toEqual({
      'a\ufffd/': 3,
    });
    expect(received([account('other', '', 1), account('', '', 2, true)], PLAIN)).toEqual({ 'other/': 3 });
  });

  test('L1 are kept apart whatever stands in the names', () => {
    expect(
      received([account('1 ab', 'c', 1), account('1 a', 'bc', 2), account('ab', '1 c', 4)], PLAIN),
    ).toEqual({
      '1 ab/c': 1,
      '1 a/bc': 2,
      'ab/1 c': 4,
    });
    const text = fc.string({ unit: 'binary', maxLength: 4 });
    const pair = fc.record({ user: text, domain: text });
    const key = ({ user, domain }: { user: string; domain: string }): string =>
      JSON.stringify([user, domain]);
    fc.assert(
      fc.property(
        fc.uniqueArray(pair, { selector: key, maxLength: 8 }),
        fc.constantFrom('plain', 'none', 'pseudonym'),
        (pairs, users) => {
          const accounts = pairs.map(({ user, domain }, i) => account(user, domain, 2 ** i));
          // The parser refuses two samples of one series.
          const page = pageOf(accounts, { users, addresses: 'none', key: KEY });
          const values = Object.values(page.values('rras_user_received_bytes_total') ?? {});
          expect(values.reduce((sum, value) => sum + value, 0)).toBe(2 ** pairs.length - 1);
        },
      ),
      { numRuns: 200 },
    );
  });

  test.each([
    ['plain', PLAIN],
    ['pseudonym', { users: 'pseudonym', addresses: 'none', key: KEY }],
    ['none', { users: 'none', addresses: 'none' }],
  ] as const)(
    'never fall and add up to the totals over an hour of the office, past the limit: %s',
    async (_, privacy) => {
      const exporter = new SimulatedExporter({ scenario: 'office', userLimit: 40, view: { privacy } });
      let last: Readonly<Record<string, number>> = {};
      for (let i = 0; i < 24; i += 1) {
        await exporter.clock.advance(150_000);
        const page = await exporter.scrape();
        const rows = page.values('rras_user_received_bytes_total')!;
        expect(Object.keys(rows).length).toBeLessThanOrEqual(41);
        for (const [row, value] of Object.entries(last)) expect(rows[row]).toBeGreaterThanOrEqual(value);
        last = rows;
        const sum = (name: string): number =>
          Object.values(page.values(name)!).reduce((all, each) => all + each, 0);
        expect(sum('rras_user_received_bytes_total')).toBe(sum('rras_received_bytes_total'));
        expect(sum('rras_user_transmitted_bytes_total')).toBe(sum('rras_transmitted_bytes_total'));
        expect(sum('rras_user_sessions_started_total')).toBe(sum('rras_sessions_started_total'));
        expect(sum('rras_user_connections')).toBe(sum('rras_connections'));
      }
      expect(Object.keys(last).some((row) => row === 'other/')).toBe(true);
    },
  );

  test('L5 are as many as the limit and one more, whoever comes', () => {
    const table = new SessionTable({ userLimit: 5000 });
    for (let round = 0; round < 10; round += 1) {
      const rows = Array.from({ length: 10_000 }, (_, slot) => {
        const handle = (round * 10_000 + slot).toString(16).padStart(16, '0');
        return {
          slot,
          duration: 5,
          receivedBytes: 1,
          identity: { handle, guid: handle.repeat(2), user: handle },
        };
      });
      table.update(connectionsFrame(rows), undefined, {
        monotonicMs: round * 15_000,
        wallSeconds: 1_795_219_200 + round * 15,
        uncertaintySeconds: 0,
        torn: false,
      });
    }
    const accounts = table.users()!;
    expect(accounts).toHaveLength(5001);
    expect(accounts.reduce((sum, { receivedBytes }) => sum + receivedBytes, 0)).toBe(90_000);
    expect(Object.keys(received(accounts, PLAIN))).toHaveLength(5001);
  });
});
