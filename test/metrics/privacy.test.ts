/** L6: what the privacy modes hide is nowhere on the page, and what they make of names and addresses is stable. */
import { createHmac } from 'node:crypto';
import fc from 'fast-check';
import { beforeAll, describe, expect, test } from 'vitest';
import { connectionObjects, interfaceObjects, statusObject } from '../../src/metrics/api-data.ts';
import { atOnce } from '../../src/model/slices.ts';
import { CATALOGUE } from '../../src/metrics/catalogue.ts';
import type { Format } from '../../src/metrics/exposition.ts';
import { PageEncoder } from '../../src/metrics/exposition.ts';
import { escapeLabelValue } from '../../src/metrics/sample-text.ts';
import { cleanText, ViewMaker } from '../../src/metrics/labels.ts';
import type { AddressMode, Privacy, UserMode } from '../../src/metrics/privacy.ts';
import { ADDRESS_MODES, pseudonymOf, showAddress, showName, USER_MODES } from '../../src/metrics/privacy.ts';
import type { ConnectionIdentity } from '../../src/model/frames.ts';
import type { Snapshot } from '../../src/model/snapshot.ts';
import { Page } from './page.ts';
import { SimulatedExporter } from './simulated-exporter.ts';

const KEY = Buffer.from('000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f', 'hex');
const OTHER_KEY = Buffer.alloc(32, 7);
const MODES = USER_MODES.flatMap((users) => ADDRESS_MODES.map((addresses) => [users, addresses] as const));
const FORMATS: readonly Format[] = ['text', 'openmetrics'];

/** What was seen of everybody over ten minutes of the office, and the snapshots of it. */
const snapshots: Snapshot[] = [];
const names = new Set<string>();
const clientInterfaces = new Set<string>();
const addresses = new Set<string>();
let nowMs = 0;
let logged = '';

beforeAll(async () => {
  const exporter = new SimulatedExporter({ scenario: 'office', userLimit: 5000 });
  for (let i = 0; i < 5; i += 1) {
    const snapshot = await exporter.poller.collect(10_000);
    snapshots.push(snapshot);
    for (const { identity } of snapshot.connections!.connections) collect(identity);
    // The simulator's own truth has nothing that the connections do not have.
    for (const { user, domain } of exporter.simulator.liveSessions()) {
      expect([user, domain].filter((name) => name !== '' && !names.has(name))).toEqual([]);
    }
    await exporter.clock.advance(120_000);
  }
  nowMs = exporter.clock.monotonicMs();
  // A server that cannot be read is what the log tells most of.
  exporter.simulator.state = 'denied';
  await exporter.poller.collect(10_000);
  logged = JSON.stringify(exporter.log);
  expect([names.size, clientInterfaces.size, addresses.size].every((size) => size > 100)).toBe(true);
});

function collect(identity: ConnectionIdentity): void {
  for (const name of [identity.user, identity.domain, identity.computer]) if (name !== '') names.add(name);
  if (identity.interfaceType === 'client') clientInterfaces.add(identity.interfaceName);
  const { remoteAddress, localAddress, tunnelAddress, tunnelAddressV6 } = identity;
  for (const address of [remoteAddress, localAddress, tunnelAddress, tunnelAddressV6])
    if (address !== '') addresses.add(address);
}

function pages(privacy: Privacy, detail: 'full' | 'top' | 'none' = 'full'): string[] {
  const views = new ViewMaker({ privacy, detail, limit: 60 });
  return snapshots.flatMap((snapshot) =>
    FORMATS.map((format) =>
      Buffer.concat(new PageEncoder(CATALOGUE, { format }).encode(views.view(snapshot, nowMs))).toString(),
    ),
  );
}

/** What the API answers, as its bytes. */
function answers(privacy: Privacy): string[] {
  const views = new ViewMaker({ privacy, detail: 'full', limit: 10_000 });
  return snapshots.flatMap((snapshot) => {
    const view = views.view(snapshot, nowMs);
    return [atOnce(connectionObjects(view)), interfaceObjects(view, () => undefined), statusObject(view)].map(
      (data) => JSON.stringify(data),
    );
  });
}

/** Which of the texts stand on any of the pages, in whatever place. */
const found = (texts: Iterable<string>, rendered: readonly string[]): string[] =>
  [...texts].filter((text) => rendered.some((page) => page.includes(escapeLabelValue(cleanText(text)))));

describe('a page of the office', () => {
  test.each(MODES)(
    'with users %s and addresses %s has no name and no address that is hidden',
    (users, mode) => {
      const rendered = pages({ users, addresses: mode, key: KEY });
      if (users === 'plain') {
        expect(found(names, rendered).length).toBeGreaterThan(100);
        expect(rendered.at(-2)).toMatch(/^rras_user_received_bytes_total\{user="[^"]/m);
      } else {
        expect(found(names, rendered)).toEqual([]);
        expect(found(clientInterfaces, rendered)).toEqual([]);
        // The names of sites are nobody's: alerts go by them.
        expect(found(['Site-Berlin', 'Branch Köln', 'Lager Süd'], rendered)).toHaveLength(3);
      }
      if (mode === 'plain') expect(found(addresses, rendered).length).toBeGreaterThan(100);
      else expect(found(addresses, rendered)).toEqual([]);
    },
  );

  test('hides the name of an interface of no known type, too', () => {
    const [first] = snapshots;
    const { connections } = first!.connections!;
    const [connection] = connections;
    const identity = {
      ...connection!.identity,
      interfaceType: 'unknown',
      interfaceName: 'CORP\\anna',
    } as const;
    const table = {
      ...first!.connections!,
      connections: [{ ...connection!, identity }, ...connections.slice(1)],
    };
    const views = new ViewMaker({
      privacy: { users: 'none', addresses: 'none' },
      detail: 'full',
      limit: 10_000,
    });
    expect(views.view({ ...first!, connections: table }, nowMs).shown!.connections[0]!.interfaceName).toBe(
      '',
    );
  });

  test.each(MODES)(
    'with users %s and addresses %s has as many series and the same numbers',
    (users, mode) => {
      const numbers = (privacy: Privacy): (readonly [string, number, number])[] =>
        new Page(pages(privacy).at(-2)!).families
          // Rows of users are merged where they look the same.
          .filter(({ name }) => !name.startsWith('rras_user_'))
          .map(({ name, samples }) => [
            name,
            samples.length,
            samples.reduce((sum, { value }) => sum + value, 0),
          ]);
      expect(numbers({ users, addresses: mode, key: KEY })).toEqual(
        numbers({ users: 'plain', addresses: 'plain' }),
      );
    },
  );

  test.each(MODES)('with users %s and addresses %s hides the same in the API', (users, mode) => {
    const texts = answers({ users, addresses: mode, key: KEY });
    if (users === 'plain') expect(found(names, texts).length).toBeGreaterThan(100);
    else expect(found([...names, ...clientInterfaces], texts)).toEqual([]);
    if (mode === 'plain') expect(found(addresses, texts).length).toBeGreaterThan(100);
    else expect(found(addresses, texts)).toEqual([]);
  });

  test('has no name and no address in the log, in any mode', () => {
    expect(logged).toContain('source cannot be read');
    expect(found([...names, ...clientInterfaces, ...addresses], [logged])).toEqual([]);
  });

  test('hides as much of the accounts of users where connections are not shown', () => {
    for (const users of ['pseudonym', 'none'] as const) {
      expect(found(names, pages({ users, addresses: 'none', key: KEY }, 'none'))).toEqual([]);
    }
  });

  test('with `prefix` shows nothing longer than /24 and /48', () => {
    const page = new Page(pages({ users: 'none', addresses: 'prefix' }).at(-2)!);
    const shown = page.families
      .filter(({ name }) => name === 'rras_connection_info' || name === 'rras_connection_endpoint_info')
      .flatMap(({ samples }) => samples)
      .flatMap(({ labels }) =>
        Object.entries(labels).flatMap(([label, value]) => (label.includes('address') ? [value] : [])),
      )
      .filter((value) => value !== '');
    expect(shown.length).toBeGreaterThan(100);
    for (const value of shown) {
      expect(value).toMatch(/^(?:\d+\.\d+\.\d+\.0\/24|(?:[0-9a-f]{1,4}:){2}(?:[0-9a-f]{1,4}:)?:\/48)$/);
    }
  });

  test('with `pseudonym` has one pseudonym per name: joins go on to work', () => {
    const page = new Page(pages({ users: 'pseudonym', addresses: 'pseudonym', key: KEY }).at(-2)!);
    const { samples } = page.families.find(({ name }) => name === 'rras_connection_info')!;
    const users = new Set(samples.map(({ labels }) => labels['user']!));
    for (const user of users) expect(user).toMatch(/^p-[0-9a-f]{16}$/);
    const rows = page.families.find(({ name }) => name === 'rras_user_connections')!.samples;
    const known = new Set(rows.map(({ labels }) => labels['user']!));
    expect([...users].filter((user) => !known.has(user))).toEqual([]);
  });
});

describe('a pseudonym', () => {
  const name = fc.string({ unit: 'grapheme', minLength: 1 });

  test('is `p-` and 16 digits of HMAC-SHA-256 over the name in lower case', () => {
    const digest = createHmac('sha256', KEY).update('corp\\anna.adler').digest('hex').slice(0, 16);
    expect(pseudonymOf('CORP\\Anna.Adler', KEY)).toBe(`p-${digest}`);
    expect(pseudonymOf('CORP\\Anna.Adler', KEY)).toBe('p-709a6ddae990ff1a');
  });

  test('is the same for the same name, another for any other name and for another key', () => {
    fc.assert(
      fc.property(name, name, (one, two) => {
        expect(pseudonymOf(one, KEY)).toBe(pseudonymOf(one, Buffer.from(KEY)));
        expect(pseudonymOf(one, KEY)).not.toBe(pseudonymOf(one, OTHER_KEY));
        if (one.toLowerCase() !== two.toLowerCase())
          expect(pseudonymOf(one, KEY)).not.toBe(pseudonymOf(two, KEY));
      }),
      { numRuns: 500 },
    );
  });

  test('knows no case, in any script', () => {
    for (const [lower, upper] of [
      ['anna.adler', 'ANNA.ADLER'],
      ['jürgen', 'JÜRGEN'],
      ['łukasz.zieliński', 'ŁUKASZ.ZIELIŃSKI'],
      ['иванов', 'ИВАНОВ'],
      ['ελένη', 'ΕΛΈΝΗ'],
      ['đorđe', 'ĐORĐE'],
    ] as const) {
      expect(pseudonymOf(lower, KEY)).toBe(pseudonymOf(upper, KEY));
    }
  });

  test('of nothing is nothing', () => {
    expect(pseudonymOf('', KEY)).toBe('');
    for (const users of USER_MODES) expect(showName('', { users, addresses: 'none', key: KEY })).toBe('');
    for (const mode of ADDRESS_MODES)
      expect(showAddress('', { users: 'none', addresses: mode, key: KEY })).toBe('');
  });

  test('cannot be made without a key, and never quietly with none', () => {
    expect(() => showName('anna', { users: 'pseudonym', addresses: 'none' })).toThrow('without a key');
    expect(() => showAddress('192.0.2.1', { users: 'none', addresses: 'pseudonym' })).toThrow(
      'without a key',
    );
  });
});

describe('a name', () => {
  test.each<[UserMode, string]>([
    ['plain', 'Anna'],
    ['pseudonym', pseudonymOf('anna', KEY)],
    ['none', ''],
  ])('with %s', (users, shown) => {
    expect(showName('Anna', { users, addresses: 'plain', key: KEY })).toBe(shown);
  });
});

describe('an address', () => {
  const shown = (address: string, mode: AddressMode): string =>
    showAddress(address, { users: 'plain', addresses: mode, key: KEY });

  test.each([
    ['203.0.113.77', '203.0.113.0/24'],
    ['10.128.255.255', '10.128.255.0/24'],
    ['0.0.0.0', '0.0.0.0/24'],
    ['2001:db8:1234:5678:9abc:def0:1234:5678', '2001:db8:1234::/48'],
    ['2001:DB8:0:1::1', '2001:db8::/48'],
    ['::1', '::/48'],
    ['fe80::1%12', 'fe80::/48'],
    ['::ffff:203.0.113.77', '203.0.113.0/24'],
    ['::ffff:cb00:714d', '203.0.113.0/24'],
    // Whatever it is, it is not shown.
    ['anna.adler', ''],
    ['203.0.113.77:500', ''],
    ['203.0.113.300', ''],
    [' 203.0.113.77', ''],
    ['12345:db8::', ''],
  ])('prefix of %s is %s', (address, prefix) => {
    expect(shown(address, 'prefix')).toBe(prefix);
  });

  test('with any mode but `plain` never shows text that is none', () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        expect(shown(text, 'none')).toBe('');
        expect(shown(text, 'prefix')).toMatch(/^$|^[0-9a-f.:]+\/(?:24|48)$/);
        expect(shown(text, 'pseudonym')).toMatch(/^$|^p-[0-9a-f]{16}$/);
      }),
      { numRuns: 2000 },
    );
  });

  test('of any host has the prefix of its network', () => {
    fc.assert(
      fc.property(fc.ipV4(), (address) => {
        const [a, b, c] = address.split('.');
        expect(shown(address, 'prefix')).toBe(`${a}.${b}.${c}.0/24`);
      }),
    );
    // Dots in an IPv6 address stand for an IPv4 one in it.
    const ipv6 = fc.ipV6().filter((address) => !address.includes('.'));
    fc.assert(
      fc.property(ipv6, (address) => {
        const canonical = new URL(`http://[${address}]`).hostname.slice(1, -1);
        expect(shown(canonical, 'prefix')).toBe(shown(address, 'prefix'));
        expect(shown(address, 'prefix')).toMatch(/^(?:[0-9a-f]{1,4}:){0,3}(?:::?|:0)?\/48$|\/24$/);
      }),
    );
  });

  test('has a pseudonym that is no other one`s', () => {
    expect(shown('203.0.113.77', 'pseudonym')).toBe(pseudonymOf('203.0.113.77', KEY));
    expect(shown('203.0.113.77', 'pseudonym')).not.toBe(shown('203.0.113.78', 'pseudonym'));
    expect(shown('2001:DB8::1', 'pseudonym')).toBe(shown('2001:db8::1', 'pseudonym'));
  });
});
