/**
 * An encoder that has rendered other pages before writes what a new one writes, and what it handed out stays as it was.
 * So does the maker of the views that it gets.
 * Within a family the lines may come in another order.
 */
import fc from 'fast-check';
import { afterAll, afterEach, describe, expect, test, vi } from 'vitest';
import type { Family } from '../../src/metrics/catalogue.ts';
import { CATALOGUE } from '../../src/metrics/catalogue.ts';
import type { Format } from '../../src/metrics/exposition.ts';
import { PageEncoder } from '../../src/metrics/exposition.ts';
import type { View } from '../../src/metrics/labels.ts';
import type { Sliced } from '../../src/model/slices.ts';
import type { Act, Share, Table } from './changing-view.ts';
import { ACTS, ChangingView, SHARES, TABLES } from './changing-view.ts';

const SEED = fc.readConfigureGlobal().seed!;
const CREATED_SECONDS = 1_795_000_000.5;

/** How often each thing was met in all runs: a property that never meets one shows nothing of it. */
const met: Record<string, number> = {};
const meet = (what: string): void => {
  met[what] = (met[what] ?? 0) + 1;
};

interface FamilyText {
  readonly head: string;
  /** What may change places with each other, in a fixed order. */
  readonly units: readonly string[];
}

/** A sample that tells when another one began follows that one at once; a histogram is one piece. */
function familiesOf(page: string): FamilyText[] {
  return page
    .split(/^(?=# HELP )/m)
    .filter((text) => text !== '')
    .map((text) => {
      const head = /^(?:#.*\n)*/.exec(text)![0];
      const body = text.slice(head.length);
      const isOnePiece = / histogram$/m.test(head);
      const units = isOnePiece ? [body] : body.match(/^.*\n(?:\w+_created[ {].*\n)?|.+$/gm);
      return { head, units: (units ?? []).toSorted() };
    });
}

/** Lines that only one of them has; each so often as it has it more than the other. */
function without(lines: readonly string[], others: readonly string[]): string[] {
  const counts = new Map<string, number>();
  for (const line of others) counts.set(line, (counts.get(line) ?? 0) + 1);
  return lines.filter((line) => {
    const count = counts.get(line) ?? 0;
    counts.set(line, count - 1);
    return count <= 0;
  });
}

function expectSame(page: Buffer, expected: Buffer): void {
  if (page.equals(expected)) return;
  const [families, others] = [familiesOf(page.toString()), familiesOf(expected.toString())];
  expect(families.map(({ head }) => head)).toEqual(others.map(({ head }) => head));
  families.forEach(({ head, units }, i) => {
    const other = others[i]!.units;
    const difference = {
      head,
      tooMuch: without(units, other).slice(0, 5),
      missing: without(other, units).slice(0, 5),
    };
    expect(difference).toEqual({ head, tooMuch: [], missing: [] });
  });
}

const escaped = (text: string): string =>
  text.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n');

/** The samples of the families of connections, said as plainly as can be. */
function plainLines(view: View, created: number | undefined): string[] {
  const { shown } = view;
  const lines: string[] = [];
  if (!shown) return lines;
  const { connections, other } = shown;
  const label = (connection: string, pairs: readonly (readonly [string, string])[]): string =>
    `{${[['connection', connection] as const, ...pairs].map(([name, text]) => `${name}="${escaped(text)}"`).join(',')}}`;
  const writeFamily = (family: Family): void => {
    if (family.kind === 'identity') {
      for (const each of connections) {
        const texts = family.texts(each);
        const pairs = family.labels.map((name, i) => [name, texts[i]!] as const);
        lines.push(`${family.name}${label(each.id, pairs)} 1`);
      }
    }
    if (family.kind !== 'connections') return;
    for (const { values, labelValue, divisor = 1, nonZero, where, counter } of family.series) {
      const write = (id: string, value: number, start: number | undefined): void => {
        if (nonZero && value === 0) return;
        const labels = label(id, family.label === undefined ? [] : [[family.label, labelValue!]]);
        lines.push(`${family.name}${labels} ${value / divisor}`);
        if (family.type === 'counter' && start !== undefined)
          lines.push(`${family.name.replace('_total', '_created')}${labels} ${start}`);
      };
      const column = values(shown);
      connections.forEach((each, i) => {
        if (where === undefined || where(each))
          write(each.id, column[i]!, created === undefined ? undefined : each.startTimeSeconds);
      });
      if (other && counter !== undefined) write('other', other[counter]!, created);
    }
  };
  CATALOGUE.forEach(writeFamily);
  return lines;
}

function expectPlain(page: Buffer, expected: readonly string[]): void {
  const isOfConnection = /^rras_connection_\w+\{.*$/gm;
  const lines = page.toString().match(isOfConnection) ?? [];
  if (lines.length === expected.length && lines.every((line, i) => line === expected[i])) return;
  const difference = {
    tooMuch: without(lines, expected).slice(0, 5),
    missing: without(expected, lines).slice(0, 5),
  };
  expect(difference).toEqual({ tooMuch: [], missing: [] });
}

/** An encoder that goes on, next to a new one for each page. */
class Steady {
  readonly #options: { readonly format: Format; readonly createdSeconds: number | undefined };
  readonly #encoder: PageEncoder;
  /** Bytes of each chunk when it was first handed out. */
  readonly #seen = new Map<Uint8Array, Buffer>();

  /** `other`: one that may keep things for both, as where the exporter serves. */
  constructor(format: Format, createdSeconds: number | undefined, other?: Steady) {
    this.#options = { format, createdSeconds };
    this.#encoder = new PageEncoder(CATALOGUE, {
      ...this.#options,
      ...(other && { shareWith: other.#encoder }),
    });
  }

  check({ view, fresh }: { readonly view: View; readonly fresh: View }): void {
    const chunks = this.#encoder.encode(view);
    const page = Buffer.concat(chunks);
    this.#checkKept(chunks);
    const expected = Buffer.concat(new PageEncoder(CATALOGUE, this.#options).encode(fresh));
    expectSame(page, expected);
    const { format, createdSeconds } = this.#options;
    expectPlain(expected, plainLines(fresh, format === 'openmetrics' ? createdSeconds : undefined));
  }

  begin(view: View): Sliced<Buffer[]> {
    return this.#encoder.encoding(view);
  }

  /** What a chunk was compressed to is kept with the chunk: the same object must be the same bytes. */
  #checkKept(chunks: readonly Uint8Array[]): void {
    for (const chunk of chunks) {
      const first = this.#seen.get(chunk);
      if (first) meet('chunk that is kept');
      else this.#seen.set(chunk, Buffer.from(chunk));
      expect(first?.equals(chunk) ?? true, 'a chunk that is kept has the bytes that it had').toBe(true);
    }
  }
}

interface Step {
  readonly acts: readonly (readonly [act: Act, share: Share])[];
  readonly table: Table;
  /** Scrapers ask in their own format; the other encoder never sees that snapshot. */
  readonly formats: readonly Format[];
}

interface Run {
  readonly seed: number;
  readonly connections: number;
  readonly created: boolean;
  readonly steps: readonly Step[];
}

const acts = fc.tuple(fc.constantFrom(...ACTS, 'count', 'count'), fc.constantFrom(...SHARES));
const step: fc.Arbitrary<Step> = fc.record({
  acts: fc.array(acts, { maxLength: 4 }),
  table: fc.constantFrom<Table>('new', 'new', 'new', 'new', 'new', 'new', ...TABLES),
  formats: fc.constantFrom<readonly Format[]>(['text', 'openmetrics'], ['text'], ['openmetrics']),
});
const runs = (connections: fc.Arbitrary<number>, steps: { minLength: number; maxLength: number }) =>
  fc.record({
    seed: fc.nat(),
    connections,
    created: fc.boolean(),
    steps: fc.array(step, steps),
  });

function play({ seed, connections, created, steps }: Run, most: number): void {
  const server = new ChangingView(seed, connections, most);
  const createdSeconds = created ? CREATED_SECONDS : undefined;
  const text = new Steady('text', undefined);
  const encoders = { text, openmetrics: new Steady('openmetrics', createdSeconds, text) };
  encoders.text.check(server.next('new'));
  for (const { acts: changes, table, formats } of steps) {
    for (const [act, share] of changes) {
      server.change(act, share);
      meet(act);
    }
    meet(table);
    if (server.count === 0) meet('no connection');
    if (server.count > 2048) meet('more than 2,048 connections');
    const next = server.next(table);
    if (next.view.shown?.other) meet('row other');
    for (const format of formats) encoders[format].check(next);
  }
}

/** On a busy machine fewer runs must do; the last test tells whether they met everything. */
const LIMITS = { interruptAfterTimeLimit: 30_000, markInterruptAsFailure: false };
const few = fc.oneof(fc.nat(12), fc.nat(300));
const LARGEST: Run = {
  seed: 1,
  connections: 2999,
  created: true,
  steps: SHARES.map((share) => ({
    acts: [
      ['go', 'one'],
      ['count', share],
      ['retext', 'few'],
      ['come', 'one'],
    ],
    table: 'new',
    formats: ['text', 'openmetrics'],
  })),
};
const many = fc.oneof(
  fc.constantFrom(255, 256, 257, 511, 512, 513, 1023, 1024, 1025, 2047, 2048, 2049),
  fc.integer({ min: 300, max: 3000 }),
);

describe('an encoder that goes on from page to page writes what a new one writes', () => {
  test('of few connections, in many sequences of snapshots', { timeout: 60_000 }, () => {
    fc.assert(
      fc.property(runs(few, { minLength: 2, maxLength: 8 }), (run) => play(run, 400)),
      { numRuns: 120, ...LIMITS },
    );
  });

  test('of up to 3,000 connections', { timeout: 60_000 }, () => {
    fc.assert(
      fc.property(runs(many, { minLength: 2, maxLength: 5 }), (run) => play(run, 3000)),
      { numRuns: 12, examples: [[LARGEST]], ...LIMITS },
    );
  });

  test('in a long life', { timeout: 60_000 }, () => {
    fc.assert(
      fc.property(runs(fc.integer({ min: 100, max: 600 }), { minLength: 40, maxLength: 60 }), (run) =>
        play(run, 900),
      ),
      { numRuns: 2, ...LIMITS },
    );
  });

  test('and all kinds of change were met', () => {
    const kinds = [...ACTS, ...TABLES, 'no connection', 'more than 2,048 connections', 'row other'];
    for (const kind of kinds) expect(met[kind], kind).toBeGreaterThan(0);
  });
});

describe('after a page that was not completed', () => {
  const CONNECTIONS = 700;
  const setUp = () => {
    const server = new ChangingView(SEED, CONNECTIONS, CONNECTIONS + 100);
    const text = new Steady('text', undefined);
    const pages = [text, new Steady('openmetrics', undefined, text)] as const;
    return { server, pages };
  };
  /** The very same again, and then others. */
  const checkNext = ({ server, pages: [text, openmetrics] }: ReturnType<typeof setUp>, i: number): void => {
    const order = i % 2 === 0 ? [text, openmetrics] : [openmetrics, text];
    for (const table of ['same', 'new'] as const) {
      const next = server.next(table);
      for (const each of order) each.check(next);
    }
  };
  const change = (server: ChangingView, i: number): void => {
    server.change('count', 'half');
    server.change('errors', 'block');
    server.change('retext', 'few');
    if (i % 3 === 0) server.change('come', 'one');
    if (i % 3 === 1) server.change('go', 'block');
    if (server.count < CONNECTIONS / 2) server.change('come', 'block');
  };

  afterEach(() => {
    vi.restoreAllMocks();
  });

  test('as no memory was left, the next one is right, wherever that was', { timeout: 120_000 }, () => {
    const site = setUp();
    const { server, pages } = site;
    pages[0].check(server.next('new'));
    const allocate = Buffer.allocUnsafeSlow.bind(Buffer);
    let failures = 0;
    for (let i = 0; i < 60; i += 1) {
      change(server, i);
      const { view } = server.next('new');
      // A page that follows another has little to ask for: the same few places, again and again.
      let left = i % 6;
      const spy = vi.spyOn(Buffer, 'allocUnsafeSlow').mockImplementation((bytes) => {
        left -= 1;
        if (left === -1) throw new RangeError('Array buffer allocation failed');
        return allocate(bytes);
      });
      const page = pages[i % 2]!.begin(view);
      try {
        while (page.next().done !== true);
      } catch (error) {
        expect(error).toEqual(new RangeError('Array buffer allocation failed'));
        failures += 1;
      }
      spy.mockRestore();
      checkNext(site, i);
    }
    expect(failures).toBeGreaterThan(5);
  });

  test('as nobody went on with it, the next one is right, wherever that was', { timeout: 120_000 }, () => {
    const site = setUp();
    const { server, pages } = site;
    pages[0].check(server.next('new'));
    /** How many yields there are to a page depends much on what the ids are like. */
    let whole = 0;
    change(server, 0);
    for (const page = pages[0].begin(server.next('new').view); page.next().done !== true;) whole += 1;
    const PLACES = 48;
    let left = 0;
    for (let i = 0; i < PLACES; i += 1) {
      change(server, i);
      const page = pages[i % 2]!.begin(server.next('new').view);
      const steps = Math.floor((whole * i) / PLACES);
      let done = false;
      for (let step = 0; step < steps && !done; step += 1) done = page.next().done === true;
      page.return([]);
      if (!done) left += 1;
      checkNext(site, i);
    }
    expect(left).toBeGreaterThan(10);
  });
});

afterAll(() => {
  process.stdout.write(`steady pages: seed ${SEED}, ${JSON.stringify(met)}\n`);
});
