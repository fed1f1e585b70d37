/** Single fields of a record and the meaning of coded ones, value by value. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { AUTHS, COMPRESSIONS, ENCRYPTIONS, TUNNELS } from '../../src/model/words.ts';
import {
  deviceTunnel,
  filetimeSeconds,
  ikev2Auth,
  ikev2Encryption,
  ipv6Address,
  portTunnel,
  pppAuth,
  pppCompression,
  pppEncryption,
  readHex64,
  readHexOrEmpty,
  readWide,
} from '../../src/native/fields.ts';

const EAP = 0xc227;
const u32 = fc.integer({ min: 0, max: 0xffff_ffff });

describe('texts', () => {
  it('end at their first NUL or with their array, and never look beyond it', () => {
    const bytes = Buffer.from('ab\0cdef', 'utf16le');
    expect(readWide(bytes, 0, 14)).toBe('ab');
    expect(readWide(bytes, 4, 10)).toBe('');
    expect(readWide(bytes, 6, 4)).toBe('cd');
    expect(readWide(bytes, 6, 8)).toBe('cdef');
    // A unit with one zero byte is no NUL.
    expect(readWide(Buffer.from('Ā\u0100a', 'utf16le'), 0, 6)).toBe('ĀĀa');
  });

  it('keep every unit', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 0xffff }), { maxLength: 40 }), (units) => {
        const bytes = Buffer.alloc(82, 0);
        units.forEach((unit, i) => bytes.writeUInt16LE(unit, i * 2));
        expect(readWide(bytes, 0, 80).split('')).toEqual(units.map((unit) => String.fromCharCode(unit)));
      }),
    );
  });
});

describe('numbers', () => {
  it('of 64 bits are 16 digits, high half first', () => {
    const bytes = Buffer.alloc(12);
    bytes.writeBigUInt64LE(0xfedc_ba98_0000_0001n, 4);
    expect(readHex64(bytes, 4)).toBe('fedcba9800000001');
    expect(readHex64(Buffer.alloc(8), 0)).toBe('0'.repeat(16));
  });

  it('that are all zero are no guid', () => {
    const bytes = Buffer.alloc(20);
    expect(readHexOrEmpty(bytes, 2, 16)).toBe('');
    bytes[17] = 1;
    expect(readHexOrEmpty(bytes, 2, 16)).toBe(`${'0'.repeat(30)}01`);
    expect(readHexOrEmpty(bytes, 2, 15)).toBe('');
  });

  it('of a FILETIME are Unix seconds', () => {
    expect(filetimeSeconds(0, 0)).toBe(-11_644_473_600);
    // 2026-11-21 00:00:00.5 UTC.
    const ticks = (1_795_219_200n + 11_644_473_600n) * 10_000_000n + 5_000_000n;
    expect(filetimeSeconds(Number(ticks >> 32n), Number(ticks & 0xffff_ffffn))).toBe(1_795_219_200.5);
  });
});

describe('IPv6 addresses', () => {
  it('are written as RFC 5952 says, from prefix and identifier wherever they stand', () => {
    const bytes = Buffer.from('ffff' + '00000000000000ab' + 'ee' + '20010db800000001', 'hex');
    expect(ipv6Address(bytes, 11, 2)).toBe('2001:db8:0:1::ab');
    expect(ipv6Address(Buffer.from(`fe80${'0'.repeat(12)}020000fffe000001`, 'hex'), 0, 8)).toBe(
      'fe80::200:ff:fe00:1',
    );
  });

  it('are none where both are zero, and some where one is not', () => {
    expect(ipv6Address(Buffer.alloc(16), 0, 8)).toBe('');
    const one = Buffer.alloc(16);
    one[15] = 1;
    expect(ipv6Address(one, 0, 8)).toBe('::1');
  });
});

describe('authentication', () => {
  const PPP: readonly (readonly [
    protocol: number,
    data: number,
    eap: number,
    inner: number,
    auth: string,
  ])[] = [
    [0, 0, 0, 0, 'none'],
    [0xc023, 0, 0, 0, 'pap'],
    [0xc027, 0, 0, 0, 'spap'],
    [0xc223, 0, 0, 0, 'chap'],
    [0xc223, 0x05, 0, 0, 'chap'],
    [0xc223, 0x80, 0, 0, 'mschap'],
    [0xc223, 0x81, 0, 0, 'mschapv2'],
    [EAP, 0, 4, 0, 'eap_md5'],
    [EAP, 0, 13, 0, 'eap_tls'],
    [EAP, 0, 21, 0, 'eap_ttls'],
    [EAP, 0, 26, 0, 'eap_mschapv2'],
    [EAP, 0, 29, 0, 'eap_mschapv2'],
    [EAP, 0, 25, 0, 'peap'],
    [EAP, 0, 25, 6, 'peap'],
    [EAP, 0, 25, 13, 'peap_eap_tls'],
    [EAP, 0, 25, 26, 'peap_mschapv2'],
    [EAP, 0, 25, 29, 'peap_mschapv2'],
    // An inner method goes with PEAP alone.
    [EAP, 0, 13, 26, 'eap_tls'],
    [EAP, 0, 0, 0, 'eap_other'],
    ...[6, 18, 23, 43, 47, 50, 55, 254].map((type) => [EAP, 0, type, 0, 'eap_other'] as const),
    // The algorithm goes with CHAP alone.
    [0xc023, 0x81, 0, 0, 'pap'],
    [0xc221, 0, 0, 0, 'unknown'],
    [1, 0, 0, 0, 'unknown'],
  ];
  it.each(PPP)(
    'of PPP 0x%x with data 0x%x, EAP %d and inner %d is %s',
    (protocol, data, eap, inner, auth) => {
      expect(pppAuth(protocol, data, eap, inner)).toBe(auth);
    },
  );

  const IKEV2 = [
    [1, 0, 0, 'machine_certificate'],
    [1, 13, 0, 'machine_certificate'],
    [2, 4, 0, 'eap_md5'],
    [2, 13, 0, 'eap_tls'],
    [2, 21, 0, 'eap_ttls'],
    [2, 26, 0, 'eap_mschapv2'],
    [2, 25, 13, 'peap_eap_tls'],
    [2, 25, 26, 'peap_mschapv2'],
    [2, 0, 0, 'eap_other'],
    [0, 0, 0, 'unknown'],
    [3, 13, 0, 'unknown'],
    [EAP, 13, 0, 'unknown'],
  ] as const;
  it.each(IKEV2)('of IKEv2 %d with EAP %d and inner %d is %s', (protocol, eap, inner, auth) => {
    expect(ikev2Auth(protocol, eap, inner)).toBe(auth);
  });

  it('has a way to every word, and to no other', () => {
    expect(new Set([...PPP.map(([, , , , auth]) => auth), ...IKEV2.map(([, , , auth]) => auth)])).toEqual(
      new Set<string>(AUTHS),
    );
    fc.assert(
      fc.property(u32, u32, u32, u32, (protocol, data, eap, inner) => {
        expect(AUTHS).toContain(pppAuth(protocol, data, eap, inner));
        expect(AUTHS).toContain(pppAuth(EAP, data, eap, inner));
        expect(AUTHS).toContain(ikev2Auth(protocol, eap, inner));
      }),
    );
  });
});

describe('encryption', () => {
  const PPP = [
    [0, 0, 'none'],
    [0x00f, 0x0100_0001, 'none'],
    [0x010, 0, 'des'],
    [0x020, 0, '3des'],
    [0x040, 0, 'aes128'],
    [0x100, 0, 'aes192'],
    [0x080, 0, 'aes256'],
    [0x200, 0, 'aes128_gcm'],
    [0x400, 0, 'aes192_gcm'],
    [0x800, 0, 'aes256_gcm'],
    [0, 0x10, 'mppe40'],
    [0, 0x20, 'mppe40'],
    [0, 0x80, 'mppe56'],
    [0, 0x40, 'mppe128'],
    // Several bits: the strongest. 256 bits stand below 192 among the bits.
    [0x1f0, 0, 'aes256'],
    [0xff0, 0, 'aes256_gcm'],
    [0x170, 0, 'aes192'],
    [0x030, 0, '3des'],
    [0, 0xf1, 'mppe128'],
    [0, 0xb0, 'mppe56'],
    // IPsec below PPP goes before MPPE.
    [0x020, 0x40, '3des'],
  ] as const;
  it.each(PPP)('of LCP options 0x%x and CCP options 0x%x is %s', (lcp, ccp, encryption) => {
    expect(pppEncryption(lcp, ccp)).toBe(encryption);
  });

  const IKEV2 = [
    [0, 'none'],
    [1, 'des'],
    [2, '3des'],
    [3, 'aes128'],
    [4, 'aes192'],
    [5, 'aes256'],
    [6, 'unknown'],
    [0xffff_ffff, 'unknown'],
  ] as const;
  it.each(IKEV2)('of IKEv2 method %d is %s', (method, encryption) => {
    expect(ikev2Encryption(method)).toBe(encryption);
  });

  it('has a way to every word, and to no other', () => {
    expect(new Set([...PPP.map((row) => row[2]), ...IKEV2.map((row) => row[1])])).toEqual(
      new Set<string>(ENCRYPTIONS),
    );
    fc.assert(
      fc.property(u32, u32, (a, b) => {
        expect(ENCRYPTIONS).toContain(pppEncryption(a, b));
        expect(ENCRYPTIONS).toContain(ikev2Encryption(a));
      }),
    );
  });
});

describe('compression', () => {
  const ROWS = [
    [0, 0, 'none'],
    [0, 1, 'none'],
    [5, 0, 'stac'],
    [6, 0x01, 'mppc'],
    [6, 0x41, 'mppc'],
    // Algorithm 6 for the sake of MPPE alone.
    [6, 0x40, 'none'],
    [6, 0, 'none'],
    [1, 0, 'other'],
    [17, 1, 'other'],
  ] as const;
  it.each(ROWS)('of algorithm %d with options 0x%x is %s', (algorithm, options, compression) => {
    expect(pppCompression(algorithm, options)).toBe(compression);
  });

  it('has a way to every word', () => {
    expect(new Set(ROWS.map((row) => row[2]))).toEqual(new Set(COMPRESSIONS));
  });
});

describe('the tunnel', () => {
  it('of a device type goes without its class bits; beyond the last type there is none', () => {
    const named = { 8: 'pptp', 9: 'l2tp', 13: 'pppoe', 14: 'sstp', 15: 'ikev2' } as const;
    for (let type = 0; type <= 15; type += 1) {
      const tunnel = (named as Record<number, string>)[type] ?? 'other';
      for (const bits of [0, 0x1_0000, 0x2_0000, 0x8_0000, 0xffff_0000]) {
        expect([type, deviceTunnel((type | bits) >>> 0)]).toEqual([type, tunnel]);
      }
    }
    for (const type of [16, 17, 0xff, 0xffff, 0x1_0010, 0xdddd_dddd])
      expect(deviceTunnel(type)).toBeUndefined();
  });

  it('of a port is in its device name, in any letter case and language around it', () => {
    const names: readonly (readonly [string, string])[] = [
      ['WAN Miniport (IKEv2)', 'ikev2'],
      ['WAN Miniport (SSTP)', 'sstp'],
      ['WAN Miniport (L2TP)', 'l2tp'],
      ['WAN Miniport (PPTP)', 'pptp'],
      ['WAN Miniport (PPPOE)', 'pppoe'],
      ['WAN-Miniport (PPPoE) #2', 'pppoe'],
      ['wan miniport (ikev2)', 'ikev2'],
      ['Minipuerto WAN (L2TP)', 'l2tp'],
      ['WAN Miniport (GRE)', 'other'],
      ['Standard 56000 bps Modem', 'other'],
      // Part of a word is no protocol.
      ['XSSTPX', 'other'],
      ['', 'unknown'],
    ];
    for (const [name, tunnel] of names) expect([name, portTunnel(name)]).toEqual([name, tunnel]);
    expect(new Set(names.map(([, tunnel]) => tunnel))).toEqual(new Set<string>(TUNNELS));
  });
});
