/** Who is known by what, and what each may do. */
import { createHash, randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import { Access, covers, hasRight } from '../../src/admin/access.ts';
import type { CertificateGrant, Grant, TokenGrant } from '../../src/model/admin.ts';
import { RIGHTS } from '../../src/model/admin.ts';

const compared: { readonly bytes: number }[] = [];
vi.mock('node:crypto', async (original) => {
  const real = await original<typeof import('node:crypto')>();
  return {
    ...real,
    timingSafeEqual: (a: Uint8Array, b: Uint8Array): boolean => {
      compared.push({ bytes: a.length });
      return real.timingSafeEqual(a, b);
    },
  };
});
beforeEach(() => {
  compared.length = 0;
});

const hashOf = (token: string): string => createHash('sha256').update(token).digest('hex');
const TOKENS = ['one', 'two', 'three'].map(() => randomBytes(32).toString('base64url'));
const GRANTS: readonly TokenGrant[] = TOKENS.map((token, index) => ({
  name: `token-${index}`,
  sha256: hashOf(token),
  rights: ['reconnect'],
  interfaces: ['Site-*'],
}));
const CERTIFICATES: readonly CertificateGrant[] = [
  { name: 'ops', subjectAltName: 'DNS:ops.example.net', rights: ['reset'], interfaces: ['*'] },
  { name: 'bot', subjectAltName: 'URI:spiffe://example.net/bot', rights: ['hook'], interfaces: ['*'] },
];
const access = new Access(GRANTS, CERTIFICATES);

describe('a token', () => {
  it('is known by its hash, which stands in the configuration instead of it', () => {
    TOKENS.forEach((token, index) => expect(access.byToken(token)).toBe(GRANTS[index]));
    for (const [index, token] of TOKENS.entries())
      expect(access.byToken(hashOf(token)), String(index)).toBeUndefined();
  });

  it.each(['', ' ', 'x', 'x'.repeat(100_000), '\0', 'Bearer'])(
    'A6 that is another one is nobody’s: %#',
    (token) => {
      expect(access.byToken(token)).toBeUndefined();
    },
  );

  it('A6 is one and no other, however near', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...TOKENS),
        fc.nat(),
        fc.string({ minLength: 1, maxLength: 1 }),
        (token, at, character) => {
          const index = at % token.length;
          const near = token.slice(0, index) + character + token.slice(index + 1);
          if (near !== token) expect(access.byToken(near)).toBeUndefined();
        },
      ),
    );
  });

  it('A7 is compared with all that there are, hash with hash, whichever it is', () => {
    for (const token of [...TOKENS, '', 'wrong', 'x'.repeat(10_000)]) {
      compared.length = 0;
      access.byToken(token);
      expect(compared).toEqual(GRANTS.map(() => ({ bytes: 32 })));
    }
  });
});

describe('a client certificate', () => {
  it('is known by any of its names, whole and with their kind', () => {
    expect(access.byCertificate(['DNS:ops.example.net'])).toBe(CERTIFICATES[0]);
    expect(access.byCertificate(['DNS:other', 'URI:spiffe://example.net/bot'])).toBe(CERTIFICATES[1]);
  });

  it.each([
    [[]],
    [['']],
    [['ops.example.net']],
    [['URI:ops.example.net']],
    [['DNS:OPS.example.net']],
    [['DNS:ops.example.net.evil.example']],
    [['DNS:*.example.net']],
    [['email:ops.example.net']],
    [['DNS:ops.example.net, DNS:evil.example']],
  ])('A9 that is not listed has no rights: %j', (names) => {
    expect(access.byCertificate(names)).toBeUndefined();
  });
});

describe('a grant', () => {
  it('is good for the rights that it lists', () => {
    for (const right of RIGHTS) {
      const grant: Grant = { name: 'a', rights: [right], interfaces: ['*'] };
      expect(RIGHTS.filter((each) => hasRight(grant, each))).toEqual([right]);
    }
    expect(RIGHTS.some((right) => hasRight({ name: 'a', rights: [], interfaces: ['*'] }, right))).toBe(false);
  });

  it.each([
    [['*'], 'Site-A', true],
    [['*'], undefined, true],
    [['Site-*'], 'Site-A', true],
    [['Site-*'], 'site-a', true],
    [['Site-*'], 'My Site-A', false],
    [['Site-?'], 'Site-AB', false],
    [['Branch', 'Site-A'], 'Site-A', true],
    [['Site-*'], undefined, false],
    // Covers every name, but does not say that it means those that are none.
    [['**'], undefined, false],
    [[], 'Site-A', false],
    [[], undefined, false],
    [['Site.A'], 'SiteXA', false],
    [['Site-A'], '', false],
  ] as const)('of %j for %j: %s', (interfaces, name, covered) => {
    expect(covers({ name: 'a', rights: [], interfaces }, name)).toBe(covered);
  });
});
