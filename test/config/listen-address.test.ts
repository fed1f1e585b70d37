import fc from 'fast-check';
import { expect, test } from 'vitest';
import { formatListenAddress, parseListenAddress } from '../../src/config/listen-address.ts';

test.each([
  [':10077', null, 10077],
  [':0', null, 0],
  ['127.0.0.1:10077', '127.0.0.1', 10077],
  ['0.0.0.0:65535', '0.0.0.0', 65535],
  ['[::1]:10077', '::1', 10077],
  ['[::]:10077', '::', 10077],
  ['[fe80::1%eth0]:10077', 'fe80::1%eth0', 10077],
  ['localhost:80', 'localhost', 80],
  ['vpn-1.example.net:80', 'vpn-1.example.net', 80],
  ['VPN_1:80', 'VPN_1', 80],
])('%s is read and written back as it was', (text, host, port) => {
  expect(parseListenAddress(text)).toEqual({ host, port });
  expect(formatListenAddress({ host, port })).toBe(text);
});

test.each([
  '',
  ':',
  '10077',
  'localhost',
  'localhost:',
  ':65536',
  ':-1',
  ':http',
  ':1.5',
  '::1:10077',
  '[::1]',
  '[::1',
  '[localhost]:80',
  '[127.0.0.1]:80',
  '1.2.3:80',
  '256.0.0.1:80',
  '-host:80',
  'a..b:80',
  'a b:80',
  'http://localhost:80',
  'localhost:80/metrics',
  'user@host:80',
  `${'a'.repeat(64)}:80`,
  '127.0.0.1:80\n',
])('%j is not an address', (text) => {
  expect(parseListenAddress(text)).toBeNull();
});

test('any text is either refused or read, never more', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      expect(() => parseListenAddress(text)).not.toThrow();
    }),
  );
});

test('any IP address with any port reads back as it was', () => {
  fc.assert(
    fc.property(fc.oneof(fc.ipV4(), fc.ipV6()), fc.nat(65_535), (host, port) => {
      expect(parseListenAddress(formatListenAddress({ host, port }))).toEqual({ host, port });
    }),
  );
});
