/** Signatures of Grafana: one that is right and of now, and all the ways in which one is not. */
import { createHmac } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { SignedRequest } from '../../../src/admin/hooks/grafana-signature.ts';
import { verifyGrafanaSignature } from '../../../src/admin/hooks/grafana-signature.ts';
import { anyText } from '../../fixtures/hooks/any-text.ts';
import { asGoWrites, GRAFANA } from '../../fixtures/hooks/payloads.ts';

const NOW = 1_772_425_031;
const SECRET = Buffer.from('correct horse battery staple');
const BODY = asGoWrites(GRAFANA);

const sign = (timestamp: string, body: Uint8Array = BODY, secret: Uint8Array = SECRET): string =>
  createHmac('sha256', secret)
    .update(Buffer.concat([Buffer.from(`${timestamp}:`), body]))
    .digest('hex');
const verify = (changes: Partial<SignedRequest> = {}): string =>
  verifyGrafanaSignature({
    secret: SECRET,
    body: BODY,
    signature: sign(String(NOW)),
    timestamp: String(NOW),
    nowSeconds: NOW + 0.3,
    maxAgeMs: 300_000,
    ...changes,
  });
const at = (timestamp: string): string => verify({ timestamp, signature: sign(timestamp) });

describe('a signature of Grafana', () => {
  it('is taken', () => {
    expect(verify()).toBe('ok');
    expect(verify({ signature: sign(String(NOW)).toUpperCase() })).toBe('ok');
    expect(verify({ body: Buffer.alloc(0), signature: sign(String(NOW), Buffer.alloc(0)) })).toBe('ok');
  });

  it('is the one that Go computes', () => {
    // printf '1700000000:{"a":1}' | openssl dgst -sha256 -hmac secret
    const signature = '4f0bff5cd8903c8149837f5187dd1ebbb1ba3fe7acd2a8b61cb3fb91e509a6ad';
    const request = { secret: Buffer.from('secret'), body: Buffer.from('{"a":1}'), signature };
    expect(verify({ ...request, timestamp: '1700000000', nowSeconds: 1_700_000_000 })).toBe('ok');
  });

  it('A1 without a timestamp is refused, also if the body alone was signed', () => {
    const bodyOnly = createHmac('sha256', SECRET).update(BODY).digest('hex');
    expect(verify({ timestamp: '', signature: bodyOnly })).toBe('timestamp missing');
    expect(verify({ timestamp: '', signature: sign('') })).toBe('timestamp missing');
    expect(verify({ signature: bodyOnly })).toBe('signature wrong');
  });

  it('A1 is good within the window, to both sides, and not beyond', () => {
    const window = { nowSeconds: NOW, maxAgeMs: 300_000 };
    const shifted = (seconds: number): string =>
      verify({ ...window, timestamp: String(NOW + seconds), signature: sign(String(NOW + seconds)) });
    expect([-300, -299, 0, 299, 300].map(shifted)).toEqual(Array(5).fill('ok'));
    expect([-301, -86_400].map(shifted)).toEqual(Array(2).fill('timestamp too old'));
    expect([301, 86_400].map(shifted)).toEqual(Array(2).fill('timestamp in the future'));
    expect(verify({ nowSeconds: NOW + 300.001 })).toBe('timestamp too old');
  });

  it('A1 of an old delivery cannot be given a new timestamp', () => {
    const old = String(NOW - 3600);
    expect(verify({ signature: sign(old), timestamp: old })).toBe('timestamp too old');
    expect(verify({ signature: sign(old) })).toBe('signature wrong');
  });

  it.each([
    ` ${NOW}`,
    `${NOW} `,
    `+${NOW}`,
    `-${NOW}`,
    `${NOW}.0`,
    `${NOW}, ${NOW}`,
    `0x${NOW.toString(16)}`,
    '1e9',
    'NaN',
    'Infinity',
    '１７７２４２５０３１',
    '2026-03-02T04:17:11Z',
    '1'.repeat(13),
    '9'.repeat(1000),
    `${NOW}\n`,
  ])('has a timestamp of digits only: not %j', (timestamp) => {
    expect(at(timestamp)).toBe('timestamp malformed');
  });

  it('moves no boundary between timestamp and body', () => {
    const signature = sign('1', Buffer.from('2:{}'));
    expect(verify({ timestamp: '1', body: Buffer.from('2:{}'), signature, nowSeconds: 1 })).toBe('ok');
    expect(verify({ timestamp: '1:2', body: Buffer.from('{}'), signature, nowSeconds: 1 })).toBe(
      'timestamp malformed',
    );
  });

  it.each([
    ['signature missing', ''],
    ['signature malformed', 'sha256='],
    ['signature malformed', `sha256=${sign(String(NOW))}`],
    ['signature malformed', sign(String(NOW)).slice(1)],
    ['signature malformed', `${sign(String(NOW))}00`],
    ['signature malformed', `${sign(String(NOW))}\n`],
    ['signature malformed', `${sign(String(NOW))}, ${sign(String(NOW))}`],
    ['signature malformed', 'g'.repeat(64)],
    ['signature malformed', 'ä'.repeat(64)],
    ['signature malformed', '0'.repeat(1_000_000)],
    ['signature wrong', '0'.repeat(64)],
  ])('is refused: %s', (reason, signature) => {
    expect(verify({ signature })).toBe(reason);
  });

  it('is of this secret only', () => {
    expect(verify({ secret: Buffer.from('another') })).toBe('signature wrong');
    expect(verify({ secret: Buffer.concat([SECRET, Buffer.from('x')]) })).toBe('signature wrong');
  });

  it('is wrong after any change to the body or to itself', () => {
    fc.assert(
      fc.property(
        fc.nat(BODY.length - 1),
        fc.integer({ min: 1, max: 255 }),
        fc.nat(63),
        (index, flip, digit) => {
          const body = Buffer.from(BODY);
          body[index] = body[index]! ^ flip;
          expect(verify({ body })).toBe('signature wrong');
          const signature = sign(String(NOW));
          const other = signature[digit] === '0' ? '1' : '0';
          const changed = `${signature.slice(0, digit)}${other}${signature.slice(digit + 1)}`;
          expect(verify({ signature: changed })).toBe('signature wrong');
        },
      ),
    );
  });

  it('lets nobody in by a clock that stands nowhere', () => {
    for (const nowSeconds of [NaN, Infinity, -Infinity]) expect(verify({ nowSeconds })).not.toBe('ok');
  });

  it('is judged without a throw, whatever the headers say', () => {
    const header = fc.oneof(anyText(80), fc.constantFrom('', String(NOW), sign(String(NOW))));
    fc.assert(
      fc.property(header, header, fc.uint8Array(), (signature, timestamp, body) => {
        expect(verify({ signature, timestamp, body })).not.toBe('ok');
      }),
    );
  });
});
