/** How much work a guess costs, whom it hurts, and what is remembered of it; with a bcrypt that only counts. */
import { createHmac } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { bcryptCost } from '../../src/server/bcrypt-hash.ts';
import { parseBasicCredentials, PasswordChecker, tupleKey } from '../../src/server/password-checker.ts';
import { settle } from '../doubles/fake-clock.ts';

const hashOf = (cost: number, fill: string): string =>
  `$2b$${String(cost).padStart(2, '0')}$${fill.repeat(22)}${'.'.repeat(31)}`.replace(
    /(.{28}).(.{31})$/,
    '$1u$2',
  );

/** A checker whose bcrypt ends when told to; the right password of a user is the name of it. */
function makeChecker(options: { readonly held?: boolean } = {}) {
  const calls: { readonly hash: string; readonly password: string; readonly end: () => void }[] = [];
  let running = 0;
  let mostAtOnce = 0;
  const checker = new PasswordChecker(async (password, hash) => {
    running += 1;
    mostAtOnce = Math.max(mostAtOnce, running);
    await new Promise<void>((resolve) => {
      calls.push({ hash: String(hash), password: String(password), end: resolve });
      if (!options.held) resolve();
    });
    running -= 1;
    return String(password) === `password of ${String(hash)}`;
  });
  return { checker, calls, mostAtOnce: () => mostAtOnce };
}

const ALICE = hashOf(10, 'a');
const BOB = hashOf(12, 'b');
const USERS = new Map([
  ['alice', ALICE],
  ['bob', BOB],
]);
const login = (user: string, password: string) => ({ user, password: Buffer.from(password) });
const right = login('alice', `password of ${ALICE}`);

describe('a guess', () => {
  test('A7 at a user that is not there costs one bcrypt, as expensive as that of any user', async () => {
    const { checker, calls } = makeChecker();
    expect(await checker.check(USERS, login('alice', 'x'), '')).toBe('wrong');
    expect(await checker.check(USERS, login('bob', 'x'), '')).toBe('wrong');
    expect(await checker.check(USERS, login('nobody', 'x'), '')).toBe('wrong');
    expect(calls.map(({ hash }) => bcryptCost(hash))).toEqual([10, 12, 12]);
    expect(await checker.check(new Map([['alice', ALICE]]), login('nobody', 'x'), '')).toBe('wrong');
    expect(bcryptCost(calls[3]!.hash)).toBe(10);
  });

  test('A7 at a user that is not there fails whatever bcrypt says', async () => {
    const checker = new PasswordChecker(() => Promise.resolve(true));
    for (let round = 0; round < 2; round += 1) {
      expect(await checker.check(USERS, login('nobody', 'x'), '')).toBe('wrong');
    }
    expect(await checker.check(USERS, login('alice', 'x'), '')).toBe('right');
  });

  test('costs nothing the second time, and nothing more at a change of other users', async () => {
    const { checker, calls } = makeChecker();
    for (let round = 0; round < 3; round += 1) {
      expect(await checker.check(USERS, right, '')).toBe('right');
      expect(await checker.check(USERS, login('alice', 'x'), '')).toBe('wrong');
      expect(await checker.check(USERS, login('nobody', 'x'), '')).toBe('wrong');
    }
    expect(calls).toHaveLength(3);
    expect(await checker.check(new Map([['alice', ALICE]]), right, '')).toBe('right');
    expect(calls).toHaveLength(3);
  });

  test('is not remembered for another hash of the same user', async () => {
    const { checker } = makeChecker();
    expect(await checker.check(USERS, right, '')).toBe('right');
    expect(await checker.check(new Map([['alice', BOB]]), right, '')).toBe('wrong');
    expect(await checker.check(new Map(), right, '')).toBe('wrong');
  });

  test('does not push out what is right', async () => {
    const { checker, calls } = makeChecker();
    await checker.check(USERS, right, '');
    for (let i = 0; i < 500; i += 1) await checker.check(USERS, login('alice', `guess ${i}`), '');
    const before = calls.length;
    expect(await checker.check(USERS, right, '')).toBe('right');
    expect(calls).toHaveLength(before);
    // The last guesses are remembered, the first no more.
    await checker.check(USERS, login('alice', 'guess 499'), '');
    expect(calls).toHaveLength(before);
    await checker.check(USERS, login('alice', 'guess 0'), '');
    expect(calls).toHaveLength(before + 1);
  });

  test('waits for the one before: one bcrypt runs at a time', async () => {
    const { checker, mostAtOnce } = makeChecker();
    const all = Array.from({ length: 30 }, (_, i) =>
      checker.check(USERS, login('alice', `${i}`), `client ${i}`),
    );
    expect(new Set(await Promise.all(all))).toEqual(new Set(['wrong']));
    expect(mostAtOnce()).toBe(1);
  });

  test('at once with the same costs one bcrypt for both', async () => {
    const { checker, calls } = makeChecker();
    const both = await Promise.all([checker.check(USERS, right, 'a'), checker.check(USERS, right, 'b')]);
    expect(both).toEqual(['right', 'right']);
    expect(calls).toHaveLength(1);
  });

  test('is told to come again when too many wait, and others of the same client sooner', async () => {
    const { checker, calls } = makeChecker({ held: true });
    const verdicts: string[] = [];
    const check = (client: string, i: number) =>
      checker
        .check(USERS, login('alice', `${client} ${i}`), client)
        .then((verdict) => verdicts.push(verdict));
    const greedy = Array.from({ length: 20 }, (_, i) => check('greedy', i));
    await settle();
    expect(verdicts).toEqual(Array(12).fill('busy'));
    const others = Array.from({ length: 40 }, (_, i) => check(`client ${i}`, i));
    await settle();
    expect(verdicts).toEqual(Array(12 + 16).fill('busy'));
    for (let i = 0; i < 32; i += 1) {
      calls[i]!.end();
      await settle();
    }
    await Promise.all([...greedy, ...others]);
    expect(verdicts.filter((verdict) => verdict === 'wrong')).toHaveLength(32);
    // Room again.
    const next = checker.check(USERS, login('alice', 'next'), 'greedy');
    await settle();
    calls.at(-1)!.end();
    expect(await next).toBe('wrong');
  });

  test('that bcrypt cannot check is an error for who asked, and for nobody else', async () => {
    let broken = true;
    const checker = new PasswordChecker(() =>
      broken ? Promise.reject(new Error('no memory')) : Promise.resolve(true),
    );
    await expect(checker.check(USERS, right, '')).rejects.toThrow('no memory');
    broken = false;
    expect(await checker.check(USERS, right, '')).toBe('right');
  });
});

describe('A7 with the real bcrypt', () => {
  // The work is the same by the tests above; a machine that is busy otherwise may blur it once.
  test('a user that is not there takes as long as one that is', { retry: 2 }, async () => {
    const checker = new PasswordChecker();
    const users = new Map([['alice', hashOf(6, 'a')]]);
    const times: Record<'alice' | 'nobody', number[]> = { alice: [], nobody: [] };
    for (let round = 0; round < 60; round += 1) {
      for (const user of ['alice', 'nobody'] as const) {
        const startedMs = performance.now();
        expect(await checker.check(users, login(user, `guess ${round}`), '')).toBe('wrong');
        times[user].push(performance.now() - startedMs);
      }
    }
    const median = (values: readonly number[]): number =>
      values.toSorted((a, b) => a - b)[values.length / 2]!;
    const ratio = median(times.nobody) / median(times.alice);
    expect(ratio).toBeGreaterThan(0.7);
    expect(ratio).toBeLessThan(1.4);
  });
});

describe('the key of a guess', () => {
  const secret = Buffer.alloc(32, 1);
  const part = fc.oneof(
    fc.string().map((text) => Buffer.from(text)),
    fc.uint8Array({ maxLength: 20 }).map((bytes) => Buffer.from(bytes)),
  );
  const tuple = fc.array(part, { minLength: 3, maxLength: 3 });

  test('S2 differs for tuples that differ', () => {
    const texts = (parts: readonly Buffer[]): string =>
      JSON.stringify(parts.map((each) => each.toString('hex')));
    fc.assert(
      fc.property(tuple, tuple, (a, b) => {
        expect(tupleKey(secret, a) === tupleKey(secret, b)).toBe(texts(a) === texts(b));
      }),
    );
  });

  test('S2 differs wherever one part ends and the next begins', () => {
    fc.assert(
      fc.property(part, fc.nat({ max: 40 }), fc.nat({ max: 40 }), (whole, i, j) => {
        const cut = (at: number): Buffer[] => [whole.subarray(0, at), whole.subarray(at), Buffer.of()];
        const [a, b] = [Math.min(i, whole.length), Math.min(j, whole.length)];
        expect(tupleKey(secret, cut(a)) === tupleKey(secret, cut(b))).toBe(a === b);
      }),
    );
  });

  test('tells nothing without the secret', () => {
    const parts = ['alice', 'hash', 'password'].map((each) => Buffer.from(each));
    expect(tupleKey(Buffer.alloc(32, 2), parts)).not.toBe(tupleKey(secret, parts));
    const plain = createHmac('sha256', '').update(Buffer.concat(parts)).digest('base64');
    expect(tupleKey(secret, parts)).not.toBe(plain);
  });
});

test.each([
  ['Basic YTpi', 'a', 'b'],
  ['basic  YTpiOmM=', 'a', 'b:c'],
  ['Basic Og==', '', ''],
  ['Basic 77u/YTpi', '\uFEFFa', 'b'],
])('%j is the user %j with the password %j', (header, user, password) => {
  const credentials = parseBasicCredentials(header);
  expect({ user: credentials?.user, password: credentials?.password.toString() }).toEqual({ user, password });
});

test.each([undefined, '', 'Basic', 'Basic YTpi=b', 'BasicYTpi', 'Digest YTpi', 'Basic YWI=', 'Basic YTpi\n'])(
  '%j are no credentials',
  (header) => expect(parseBasicCredentials(header)).toBeNull(),
);
