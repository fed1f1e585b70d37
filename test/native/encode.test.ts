/** The record that MprAdminUpdateConnection gets, byte by byte, and what must never become one. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BadValue, encodeUpdateConnection } from '../../src/native/encode.ts';
import { RAS_UPDATE_CONNECTION } from '../../src/native/layout.ts';
import { record } from './record-builder.ts';

const V4 = { interfaceIndex: 12, localAddress: '198.51.100.7', remoteAddress: '203.0.113.9' };

describe('RAS_UPDATE_CONNECTION', () => {
  it('is 268 bytes: header, index, both texts, and zeros', () => {
    const bytes = encodeUpdateConnection(V4);
    const expected = Buffer.alloc(268);
    expected.set([1, 5, 0x0c, 0x01, 12, 0, 0, 0]);
    expected.write('198.51.100.7', 8, 'utf16le');
    expected.write('203.0.113.9', 138, 'utf16le');
    expect(Buffer.from(bytes).toString('hex')).toBe(expected.toString('hex'));
  });

  it('takes any index and any two addresses of one family, and ends each text before its array does', () => {
    const address = fc.oneof(fc.tuple(fc.ipV4(), fc.ipV4()), fc.tuple(fc.ipV6(), fc.ipV6()));
    fc.assert(
      fc.property(fc.nat(0xffff_ffff), address, (interfaceIndex, [localAddress, remoteAddress]) => {
        const bytes = encodeUpdateConnection({ interfaceIndex, localAddress, remoteAddress });
        const expected = record(RAS_UPDATE_CONNECTION, {
          'Header.revision': 1,
          'Header.type': 5,
          'Header.size': 268,
          dwIfIndex: interfaceIndex,
          wszLocalEndpointAddress: localAddress,
          wszRemoteEndpointAddress: remoteAddress,
        });
        expect(Buffer.from(bytes).equals(expected)).toBe(true);
        expect([...bytes.subarray(136, 138), ...bytes.subarray(266)]).toEqual([0, 0, 0, 0]);
      }),
    );
  });

  it.each([
    ['no index', { interfaceIndex: NaN }],
    ['a negative index', { interfaceIndex: -1 }],
    ['a fraction', { interfaceIndex: 1.5 }],
    ['33 bits', { interfaceIndex: 2 ** 32 }],
    ['no local address', { localAddress: '' }],
    ['no remote address', { remoteAddress: '' }],
    ['a name', { remoteAddress: 'vpn.example.com' }],
    ['a UNC path', { remoteAddress: '\\\\evil\\share' }],
    ['a port', { remoteAddress: '203.0.113.9:500' }],
    ['a NUL', { remoteAddress: '203.0.113.9\0' }],
    ['a zone', { localAddress: 'fe80::1%eth0', remoteAddress: '2001:db8::1' }],
    ['two families', { localAddress: '2001:db8::1' }],
    ['65 units', { remoteAddress: '1'.repeat(65) }],
  ])('refuses %s', (_, change) => {
    expect(() => encodeUpdateConnection({ ...V4, ...change })).toThrow(BadValue);
  });
});
