/** Whatever a page is made of, and whatever pages were before it: its gzip form is one member that holds its bytes. */
import { createCipheriv } from 'node:crypto';
import { gunzipSync, gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { afterAll, describe, expect, test } from 'vitest';
import type { Page, PageFormat } from '../../src/server/pages.ts';
import { PageCache } from '../../src/server/pages.ts';
import { CONTENT_TYPES } from '../../src/metrics/exposition.ts';
import { FakeClock } from '../doubles/fake-clock.ts';
import { snapshotOf } from '../metrics/snapshots.ts';
import { gather, readOnlyMember } from './gzip-member.ts';

const SEED = fc.readConfigureGlobal().seed!;
const MIB = 1024 * 1024;

/** How often each thing was met in all runs: a property that never meets one shows nothing of it. */
const met: Record<string, number> = {};
const meet = (what: string): void => {
  met[what] = (met[what] ?? 0) + 1;
};

/** A cache over pages that the test hands it, one after the other. */
class Pages {
  readonly #cache: PageCache;
  #next: readonly Uint8Array[] = [];

  constructor() {
    const source = { contentTypes: CONTENT_TYPES, render: () => Promise.resolve(this.#next) };
    this.#cache = new PageCache(source, new FakeClock());
  }

  make(chunks: readonly Uint8Array[], format: PageFormat = 'text'): Promise<Page> {
    this.#next = chunks;
    return this.#cache.get(snapshotOf(), format);
  }
}

/** Bytes that no compressor makes shorter; the same for the same seed. */
function noise(bytes: number, seed: number): Buffer {
  const key = Buffer.alloc(16);
  key.writeUInt32LE(seed >>> 0);
  return createCipheriv('aes-128-ctr', key, Buffer.alloc(16)).update(Buffer.alloc(bytes));
}

function textOf(bytes: number, seed: number): Buffer {
  const line = (i: number): string =>
    `rras_connection_received_bytes_total{connection="${(seed + i).toString(16).padStart(16, '0')}"} ${i * seed}\n`;
  const some = Array.from({ length: 500 }, (_, i) => line(i)).join('');
  return Buffer.alloc(bytes, some);
}

type Content = 'text' | 'noise' | 'zeros';
interface NewChunk {
  readonly how: 'new';
  readonly content: Content;
  readonly bytes: number;
  readonly seed: number;
}
/**
 * Of an earlier chunk: the same object, one that is equal, one that is as long but differs in a byte, or a part of the
 * memory that it lies in.
 */
interface KnownChunk {
  readonly how: 'same' | 'equal' | 'altered' | 'part';
  readonly which: number;
  readonly at: number;
}
type ChunkPlan = NewChunk | KnownChunk;

interface PagePlan {
  readonly chunks: readonly ChunkPlan[];
  readonly format: PageFormat;
  /** Asked for as soon as it is there, after all the pages that follow were asked for, or never. */
  readonly ask: 'at once' | 'later' | 'never';
  readonly times: number;
}

const lengths = fc.oneof(
  { weight: 2, arbitrary: fc.constantFrom(0, 1, 2) },
  { weight: 4, arbitrary: fc.nat(2000) },
  { weight: 3, arbitrary: fc.nat(80_000) },
  {
    weight: 2,
    arbitrary: fc.constantFrom(
      ...[65_535, 65_536, 256 * 1024, MIB].flatMap((edge) => [edge - 1, edge, edge + 1]),
    ),
  },
  { weight: 1, arbitrary: fc.nat(3 * MIB) },
);
const newChunk: fc.Arbitrary<ChunkPlan> = fc.record({
  how: fc.constant('new' as const),
  content: fc.constantFrom<Content>('text', 'noise', 'zeros'),
  bytes: lengths,
  seed: fc.nat(),
});
const knownChunk: fc.Arbitrary<ChunkPlan> = fc.record({
  how: fc.constantFrom(
    'same' as const,
    'same' as const,
    'equal' as const,
    'altered' as const,
    'part' as const,
  ),
  which: fc.nat(),
  at: fc.nat(),
});
const pagePlan: fc.Arbitrary<PagePlan> = fc.record({
  chunks: fc.array(fc.oneof(newChunk, knownChunk), { maxLength: 7 }),
  format: fc.constantFrom<PageFormat>('text', 'text', 'openmetrics'),
  ask: fc.constantFrom('at once' as const, 'at once' as const, 'later' as const, 'never' as const),
  times: fc.integer({ min: 1, max: 6 }),
});

function chunkOf(plan: ChunkPlan, known: readonly Uint8Array[]): Uint8Array {
  if (plan.how === 'new') {
    const { content, bytes, seed } = plan;
    if (bytes === 0) meet('empty chunk');
    if (content === 'noise') return noise(bytes, seed);
    return content === 'text' ? textOf(bytes, seed) : new Uint8Array(bytes);
  }
  const one = known[plan.which % known.length];
  if (!one) return new Uint8Array(0);
  meet(plan.how);
  if (plan.how === 'same') return one;
  if (plan.how === 'part') {
    const start = plan.at % (one.length + 1);
    return one.subarray(start, start + ((plan.at >>> 4) % (one.length - start + 1)));
  }
  const copy = Uint8Array.from(one);
  if (plan.how === 'altered' && copy.length > 0) copy[plan.at % copy.length]! ^= 1;
  return copy;
}

/** Asks several times at the same moment, and once more when that is answered. */
async function check(page: Page, expected: Buffer, times: number): Promise<void> {
  const [first, ...others] = await Promise.all(Array.from({ length: times }, () => page.gzipped()));
  for (const other of [...others, await page.gzipped()]) expect(other).toBe(first);
  expect(page.bytes).toBe(expected.length);
  // No matcher: it would print megabytes.
  const plain = await gather(page.plain());
  expect(plain.equals(expected), 'the plain page is as it was').toBe(true);
  expect(readOnlyMember(first!).equals(expected), 'the member holds the page').toBe(true);
  expect(gunzipSync(first!).equals(expected), 'zlib reads the page').toBe(true);
}

describe('H1 the gzip form of a page', () => {
  test(
    'is one member that holds the page, whatever its chunks are and whichever it shares with others',
    { timeout: 60_000 },
    async () => {
      await fc.assert(
        fc.asyncProperty(fc.array(pagePlan, { minLength: 1, maxLength: 5 }), async (plans) => {
          const pages = new Pages();
          const known: Uint8Array[] = [];
          const checks: (() => Promise<void>)[] = [];
          for (const { chunks: chunkPlans, format, ask, times } of plans) {
            const chunks = chunkPlans.map((plan) => {
              const chunk = chunkOf(plan, known);
              known.push(chunk);
              return chunk;
            });
            const expected = Buffer.concat(chunks);
            if (expected.length === 0) meet('empty page');
            const page = await pages.make(chunks, format);
            meet(ask);
            const checking = (): Promise<void> => check(page, expected, times);
            if (ask === 'at once') await checking();
            if (ask === 'later') checks.push(checking);
          }
          await Promise.all(checks.reverse().map((each) => each()));
        }),
        { numRuns: 120, interruptAfterTimeLimit: 40_000, markInterruptAsFailure: true },
      );
      for (const what of ['empty chunk', 'empty page', 'same', 'equal', 'altered', 'part', 'later', 'never'])
        expect(met[what], what).toBeGreaterThan(0);
    },
  );

  test('is right for a page without a chunk, and for one of empty chunks only', async () => {
    const pages = new Pages();
    for (const chunks of [[], [new Uint8Array(0)], [new Uint8Array(0), new Uint8Array(0)]])
      await check(await pages.make(chunks), Buffer.alloc(0), 2);
  });

  test('is right when the chunks come back in another order, twice on a page, and after a page without them', async () => {
    const [a, b, c] = [textOf(400_000, 1), noise(300_000, 2), textOf(200_000, 3)];
    const pages = new Pages();
    for (const chunks of [[a, b, c], [c, a, b], [a, a, a], [b], [], [c, b, a], [a, b, c]])
      await check(await pages.make(chunks), Buffer.concat(chunks), 2);
  });

  test('is right for chunks that differ only in their place in the same memory', async () => {
    const memory = noise(3 * MIB, 4);
    const pages = new Pages();
    for (const start of [0, 1, MIB, 2 * MIB]) {
      const chunks = [memory.subarray(start, start + MIB), memory.subarray(0, MIB)];
      await check(await pages.make(chunks), Buffer.concat(chunks), 1);
    }
  });

  test('of pages that overlap in time are each right: both formats, asked for together, old ones last', async () => {
    // Slow to compress; who has nothing else must wait for it all the same.
    const shared = noise(3 * MIB, 5);
    const pages = new Pages();
    const plans = Array.from({ length: 6 }, (_, i) =>
      i % 2 === 0 ? [shared] : [textOf(300_000, i), shared, noise(10_000 + i, i)],
    );
    const made: { page: Page; expected: Buffer }[] = [];
    for (const [i, chunks] of plans.entries()) {
      const page = await pages.make(chunks, i % 3 === 0 ? 'text' : 'openmetrics');
      made.push({ page, expected: Buffer.concat(chunks) });
    }
    await Promise.all(made.reverse().map(({ page, expected }) => check(page, expected, 3)));
  });

  test('is given as one and the same buffer to 200 who ask at the same time', async () => {
    const page = await new Pages().make([textOf(MIB, 6), noise(MIB, 7)]);
    const answers = await Promise.all(Array.from({ length: 200 }, () => page.gzipped()));
    expect(new Set(answers).size).toBe(1);
  });

  test('of metrics is no longer than a tenth more than zlib makes it in one piece', async () => {
    const chunks = Array.from({ length: 8 }, (_, i) => textOf(256 * 1024, i * 1000));
    const zipped = await (await new Pages().make(chunks)).gzipped();
    expect(zipped.length).toBeLessThan(gzipSync(Buffer.concat(chunks), { level: 1 }).length * 1.1);
  });
});

describe('a page that could not be made', () => {
  const [a, b, c] = [textOf(900_000, 1), noise(600_000, 2), textOf(700_000, 3)];
  /** Nothing that zlib takes, but with a length as bytes have. */
  const broken = { length: 500_000 } as unknown as Uint8Array;
  const failure = new Error('no page this time');

  test('as it could not be compressed, harms neither the next one nor what is kept of its chunks', async () => {
    const pages = new Pages();
    await check(await pages.make([a, b]), Buffer.concat([a, b]), 2);
    for (const chunks of [
      [broken, a, c],
      [a, c, broken],
      [c, broken, b, a],
    ]) {
      await expect(pages.make(chunks)).rejects.toThrow(TypeError);
      await check(await pages.make([c, a, b]), Buffer.concat([c, a, b]), 2);
      await check(await pages.make([a]), a, 2);
    }
  });

  test('as it could not be rendered, is made anew for who asks next, also if they wait already', async () => {
    let failing = true;
    const render = (): Promise<readonly Uint8Array[]> =>
      failing ? Promise.reject(failure) : Promise.resolve([a, b]);
    const cache = new PageCache({ contentTypes: CONTENT_TYPES, render }, new FakeClock());
    const snapshot = snapshotOf();
    const [first, joined] = [cache.get(snapshot, 'text'), cache.get(snapshot, 'text')];
    const next = first.catch(() => (failing = false)).then(() => cache.get(snapshot, 'text'));
    await expect(first).rejects.toBe(failure);
    await expect(joined).rejects.toBe(failure);
    await check(await next, Buffer.concat([a, b]), 2);
    await check(await cache.get(snapshot, 'openmetrics'), Buffer.concat([a, b]), 2);
  });
});

describe('the reader of members', () => {
  const file = gzipSync('a page', { level: 1 });
  const changed = (at: number): Buffer => {
    const copy = Buffer.from(file);
    copy[at < 0 ? copy.length + at : at]! ^= 1;
    return copy;
  };
  test('takes one member', () => {
    expect(readOnlyMember(file).toString()).toBe('a page');
  });
  test.each<[what: string, file: Buffer]>([
    ['two members', Buffer.concat([file, file])],
    ['bytes after the trailer', Buffer.concat([file, Buffer.alloc(1)])],
    ['half a trailer', file.subarray(0, -4)],
    ['no last block', file.subarray(0, -9)],
    ['another CRC', changed(-8)],
    ['another length', changed(-4)],
    ['another header', changed(0)],
    ['flags', changed(3)],
    ['nothing', Buffer.alloc(0)],
  ])('refuses %s', (_, broken) => {
    expect(() => readOnlyMember(broken)).toThrow();
  });
});

afterAll(() => {
  process.stdout.write(`gzip pages: seed ${SEED}, ${JSON.stringify(met)}\n`);
});
