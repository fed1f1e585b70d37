/** What the scrubber takes out of records, and what it must leave alone. */
import fc from 'fast-check';
import { isIPv4, isIPv6 } from 'node:net';
import ipaddr from 'ipaddr.js';
import { describe, expect, test } from 'vitest';
import type { Struct } from '../../src/native/layout.ts';
import {
  fieldOf,
  MPR_INTERFACE_0,
  MPR_INTERFACE_2,
  MPR_SERVER_0,
  RAS_CONNECTION_4,
  RAS_CONNECTION_EX,
  RAS_PORT_0,
} from '../../src/native/layout.ts';
import { Scrubber } from '../../src/native/scrub.ts';
import { IKEV2, PPP, PROJECTION_TYPE, put, record } from './record-builder.ts';
import { Rec } from './simulator/records.ts';

function scrubbed(struct: Struct, bytes: Buffer, scrubber = new Scrubber()): Rec {
  const copy = Buffer.from(bytes);
  scrubber.scrub(struct, copy);
  return new Rec(struct, copy);
}

const CLIENT = 0;
const FULL_ROUTER = 2;
const CONNECTIONS = [
  ['level4', RAS_CONNECTION_4],
  ['ex', RAS_CONNECTION_EX],
] as const;
const ALL = [RAS_CONNECTION_4, RAS_CONNECTION_EX, MPR_INTERFACE_0, MPR_INTERFACE_2, RAS_PORT_0, MPR_SERVER_0];

describe.each(CONNECTIONS)('a connection (%s)', (_, struct) => {
  const anna = {
    wszUserName: 'CORP\\anna',
    wszLogonDomain: 'CORP',
    wszRemoteComputer: 'NB-ANNA',
    wszInterfaceName: 'CORP\\anna',
    wszRemoteEndpointAddress: '203.0.113.7',
    wszLocalEndpointAddress: '2001:db8:1::1',
    [PROJECTION_TYPE]: 2,
    [`${IKEV2}.wszAddress`]: '10.0.0.1',
    [`${IKEV2}.wszRemoteAddress`]: '10.0.0.7',
    [`${IKEV2}.bPrefix`]: '20010db800770001',
    [`${IKEV2}.bInterfaceIdentifier`]: '0000000000000001',
    [`${IKEV2}.bRemoteInterfaceIdentifier`]: '021122fffe334455',
  };

  test('loses names and addresses, the same to the same', () => {
    const rec = scrubbed(struct, record(struct, anna));
    const name = rec.text('wszUserName');
    expect(name).toMatch(/^name-\d+$/);
    expect(rec.text('wszInterfaceName')).toBe(name);
    expect(rec.text('wszLogonDomain')).toMatch(/^name-\d+$/);
    expect(rec.text('wszLogonDomain')).not.toBe(name);
    expect(rec.text('wszRemoteEndpointAddress')).toMatch(/^198\.1[89]\./);
    expect(rec.text('wszLocalEndpointAddress')).toMatch(/^2001:db8:/);
    expect(rec.text(`${IKEV2}.wszAddress`)).toMatch(/^198\.1[89]\./);
    expect(rec.text(`${IKEV2}.wszRemoteAddress`)).not.toBe(rec.text(`${IKEV2}.wszAddress`));
    expect(rec.hex(`${IKEV2}.bPrefix`)).toMatch(/^20010db8/);
    expect(rec.hex(`${IKEV2}.bRemoteInterfaceIdentifier`)).not.toBe('021122fffe334455');
  });

  test('keeps the name of a demand-dial interface, but not that of its user', () => {
    const site = { ...anna, dwInterfaceType: FULL_ROUTER, wszInterfaceName: 'Branch Köln' };
    const rec = scrubbed(struct, record(struct, site));
    expect(rec.text('wszInterfaceName')).toBe('Branch Köln');
    expect(rec.text('wszUserName')).toMatch(/^name-\d+$/);
  });

  test('loses the interface name of a type that nobody knows', () => {
    const odd = { ...anna, dwInterfaceType: 9, wszInterfaceName: 'Anna' };
    expect(scrubbed(struct, record(struct, odd)).text('wszInterfaceName')).toMatch(/^name-\d+$/);
  });

  test('loses what hides behind the end of a text', () => {
    const bytes = record(struct, anna);
    for (const path of ['wszUserName', 'wszRemoteEndpointAddress', 'wszLogonDomain']) {
      const { offset, size } = fieldOf(struct, path);
      bytes.write('secret', offset + size - 12, 'utf16le');
    }
    const named = { ...anna, dwInterfaceType: FULL_ROUTER, wszInterfaceName: 'Site' };
    const site = record(struct, named);
    site.write('secret', fieldOf(struct, 'wszInterfaceName').offset + 200, 'utf16le');
    for (const each of [bytes, site]) {
      expect(scrubbed(struct, each).bytes.toString('utf16le')).not.toContain('secret');
    }
  });

  test('keeps no variant of the projection that its type does not name', () => {
    const { offset, size } = fieldOf(struct, PROJECTION_TYPE);
    const union = offset + size;
    const end = fieldOf(struct, 'hConnection').offset;
    for (const type of [0, 1, 2, 7]) {
      const bytes = record(struct, { [PROJECTION_TYPE]: type });
      bytes.fill(0xab, union, end);
      if (type === 1 || type === 2) {
        const member = type === 1 ? PPP : IKEV2;
        for (const text of ['wszAddress', 'wszRemoteAddress']) put(bytes, struct, `${member}.${text}`, '');
      }
      const left = scrubbed(struct, bytes).bytes.subarray(union, end);
      const kept = left.filter((byte) => byte === 0xab).length;
      // Only numbers of the variant stay: not the padding, not the larger variant's rest.
      expect(kept > 0).toBe(type === 1 || type === 2);
      if (type === 2) expect(left.subarray(7 + 144).some((byte) => byte === 0xab)).toBe(false);
    }
  });

  test('keeps everything else', () => {
    const numbers = Object.entries(struct.fields).filter(
      ([path, { type }]) =>
        !['wstr', 'bytes'].includes(type) && (!path.startsWith('ProjectionInfo.A') || path.startsWith(IKEV2)),
    );
    const bytes = record(struct, anna);
    numbers.forEach(([path, { offset, size }], i) => {
      if (path !== PROJECTION_TYPE && path !== 'dwInterfaceType') bytes.fill(i + 1, offset, offset + size);
    });
    const after = scrubbed(struct, bytes).bytes;
    for (const [, { offset, size }] of numbers) {
      expect(after.subarray(offset, offset + size)).toEqual(bytes.subarray(offset, offset + size));
    }
  });

  test('without IPv6 or addresses has none afterwards', () => {
    const rec = scrubbed(struct, record(struct, { [PROJECTION_TYPE]: 2 }));
    expect(rec.bytes).toEqual(record(struct, { [PROJECTION_TYPE]: 2 }));
  });
});

describe('an interface', () => {
  test('keeps its name unless it stands for a user', () => {
    const name = (dwIfType: number) =>
      scrubbed(MPR_INTERFACE_0, record(MPR_INTERFACE_0, { wszInterfaceName: 'anna', dwIfType })).text(
        'wszInterfaceName',
      );
    expect(name(FULL_ROUTER)).toBe('anna');
    expect(name(CLIENT)).toMatch(/^name-\d+$/);
    expect(name(200)).toMatch(/^name-\d+$/);
  });

  test('loses every other text, address and pointer of its phone-book entry, and no setting', () => {
    const bytes = record(MPR_INTERFACE_2, {
      wszInterfaceName: 'Site-Berlin',
      dwIfType: FULL_ROUTER,
      szLocalPhoneNumber: 'berlin.vpn.example.com',
      szDeviceName: 'WAN Miniport (IKEv2)',
      szX25UserData: 'anna',
      szAlternates: 0x1234_5678_9abcn,
      lpbCustomAuthData: 0x1234_5678_9abcn,
      ipaddrDns: 0x0100_000a,
      dwIdleDisconnectSeconds: 300,
      guidId: '00112233445566778899aabbccddeeff',
    });
    const rec = scrubbed(MPR_INTERFACE_2, bytes);
    expect(rec.text('wszInterfaceName')).toBe('Site-Berlin');
    for (const [path, { type }] of Object.entries(MPR_INTERFACE_2.fields)) {
      if (type === 'wstr' && path !== 'wszInterfaceName') expect(rec.text(path)).toMatch(/^(name-\d+)?$/);
    }
    expect(rec.u64('szAlternates')).toBe(0n);
    expect(rec.u64('lpbCustomAuthData')).toBe(0n);
    expect(rec.bytes.subarray(fieldOf(MPR_INTERFACE_2, 'ipaddrDns').offset)[0]).toBe(198);
    expect(rec.u32('dwIdleDisconnectSeconds')).toBe(300);
    expect(rec.hex('guidId')).toBe('00112233445566778899aabbccddeeff');
  });

  test('that dials an address dials another one afterwards', () => {
    const bytes = record(MPR_INTERFACE_2, { dwIfType: FULL_ROUTER, szLocalPhoneNumber: '203.0.113.40' });
    expect(scrubbed(MPR_INTERFACE_2, bytes).text('szLocalPhoneNumber')).toMatch(/^198\.1[89]\./);
  });
});

test('a port keeps its texts', () => {
  const bytes = record(RAS_PORT_0, { hPort: 7, wszDeviceName: 'WAN Miniport (SSTP)', wszPortName: 'VPN0-1' });
  expect(scrubbed(RAS_PORT_0, bytes).bytes).toEqual(bytes);
});

test.each(ALL.map((struct) => [struct.name, struct] as const))('the padding of %s is zeroed', (_, struct) => {
  const covered = new Uint8Array(struct.size);
  for (const { offset, size } of Object.values(struct.fields)) covered.fill(1, offset, offset + size);
  const bytes = Buffer.alloc(struct.size * 3, 0xee);
  new Scrubber().scrub(struct, bytes);
  for (let i = 0; i < bytes.length; i += 1) if (!covered[i % struct.size]) expect(bytes[i]).toBe(0);
});

describe('over a whole recording', () => {
  const names = fc.array(fc.string({ unit: 'binary', minLength: 1, maxLength: 40 }).filter(noNul), {
    maxLength: 30,
  });
  function noNul(text: string): boolean {
    return !text.includes('\0');
  }

  test('the same name becomes the same, whatever its case, and another one another', () => {
    fc.assert(
      fc.property(names, (texts) => {
        const scrubber = new Scrubber();
        const replacements = texts.map((text) => scrubber.name(text));
        const distinct = new Set(texts.map((text) => text.toLowerCase()));
        expect(new Set(replacements).size).toBe(distinct.size);
        expect(texts.map((text) => scrubber.name(text.toLowerCase()))).toEqual(replacements);
        expect(Math.max(0, ...replacements.map((each) => each.length))).toBeLessThanOrEqual(15);
      }),
    );
  });

  test('addresses stay addresses of their kind, the same the same and different ones different', () => {
    const addresses = fc.array(
      fc.oneof(fc.ipV4(), fc.ipV6(), fc.constantFrom('::1', 'fe80::1%7', 'fe80::1%8')),
    );
    const normal = (text: string): string => {
      if (isIPv4(text)) return text;
      const [address = '', zone = ''] = text.split('%');
      return `${ipaddr.IPv6.parse(address).toNormalizedString()}%${zone}`;
    };
    fc.assert(
      fc.property(addresses, (texts) => {
        const scrubber = new Scrubber();
        const read = (text: string): string =>
          scrubbed(
            RAS_CONNECTION_4,
            record(RAS_CONNECTION_4, { wszRemoteEndpointAddress: text }),
            scrubber,
          ).text('wszRemoteEndpointAddress');
        const replaced = texts.map(read);
        expect(texts.map(read)).toEqual(replaced);
        expect(new Set(replaced).size).toBe(new Set(texts.map(normal)).size);
        replaced.forEach((text, i) => {
          expect(isIPv6(text)).toBe(isIPv6(texts[i]!));
          const range = isIPv4(text) ? '198.18.0.0/15' : '2001:db8::/32';
          expect(ipaddr.parse(text).match(ipaddr.parseCIDR(range))).toBe(true);
        });
      }),
    );
  });

  test('there are addresses enough for the largest server, all different', () => {
    const scrubber = new Scrubber();
    const seen = new Set<string>();
    const bytes = record(RAS_CONNECTION_4, {});
    for (let i = 0; i < 140_000; i += 1) {
      put(bytes, RAS_CONNECTION_4, 'wszRemoteEndpointAddress', `10.${i >> 16}.${(i >> 8) & 255}.${i & 255}`);
      const rec = scrubbed(RAS_CONNECTION_4, bytes, scrubber);
      seen.add(rec.text('wszRemoteEndpointAddress'));
    }
    expect(seen.size).toBe(140_000);
    expect([...seen].every(isIPv4)).toBe(true);
  });

  test('what is no address becomes a name where an address is expected', () => {
    const bytes = record(RAS_CONNECTION_4, { wszRemoteEndpointAddress: 'anna.example.com' });
    expect(scrubbed(RAS_CONNECTION_4, bytes).text('wszRemoteEndpointAddress')).toMatch(/^name-\d+$/);
  });
});
