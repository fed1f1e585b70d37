/** A7: how tokens are compared, counted at the function that compares in constant time. */
import { createHash } from 'node:crypto';
import { beforeEach, expect, test, vi } from 'vitest';
import { Access } from '../../src/admin/access.ts';
import { tokenOf } from './admin-site.ts';

const compared = vi.hoisted((): (readonly [NodeJS.ArrayBufferView, NodeJS.ArrayBufferView])[] => []);
vi.mock('node:crypto', async (importOriginal) => {
  const original = await importOriginal<typeof import('node:crypto')>();
  return {
    ...original,
    timingSafeEqual: (a: NodeJS.ArrayBufferView, b: NodeJS.ArrayBufferView) => {
      compared.push([a, b]);
      return original.timingSafeEqual(a, b);
    },
  };
});
beforeEach(() => void (compared.length = 0));

const NAMES = ['first', 'second', 'third', 'fourth', 'last'];
const digestOf = (token: string): Buffer => createHash('sha256').update(token).digest();
const access = new Access(
  NAMES.map((name) => ({
    name,
    rights: [],
    interfaces: [],
    sha256: digestOf(tokenOf(name)).toString('hex'),
  })),
  [],
);

test.each([
  ['the first', tokenOf('first'), 'first'],
  ['one in the middle', tokenOf('third'), 'third'],
  ['the last', tokenOf('last'), 'last'],
  ['none of them', tokenOf('nobody'), undefined],
  ['one character off', `${tokenOf('first')}x`, undefined],
  ['a hash of one', digestOf(tokenOf('first')).toString('hex'), undefined],
  ['empty', '', undefined],
  ['very long', 'x'.repeat(100_000), undefined],
])('A7 a token that is %s is compared with all, as digests of one length', (_, token, name) => {
  expect(access.byToken(token)?.name).toBe(name);
  expect(compared).toHaveLength(NAMES.length);
  for (const [i, [a, b]] of compared.entries()) {
    expect(a).toEqual(digestOf(token));
    expect(b).toEqual(digestOf(tokenOf(NAMES[i]!)));
  }
});
