/** L5: a bounded number of series, of which none falls, and whose increase is that of the totals. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { TotalsLedger } from '../../src/collector/accounts.ts';
import type { Choice, Detail, Rows } from '../../src/metrics/shown-connections.ts';
import { ShownConnections } from '../../src/metrics/shown-connections.ts';
import type { Connection, ConnectionCounter, ConnectionTable, Totals } from '../../src/model/snapshot.ts';
import { CONNECTION_COUNTERS } from '../../src/model/snapshot.ts';
import { atOnce } from '../../src/model/slices.ts';
import { tableOf } from './snapshots.ts';

const N = CONNECTION_COUNTERS.length;
const RECEIVED = CONNECTION_COUNTERS.indexOf('receivedBytes');
const BYTES = CONNECTION_COUNTERS.map((counter) => counter.endsWith('Bytes'));
const LOOK_MS = 15_000;
/** Longer than a connection that is out of sight is remembered. */
const LONG_PAUSE_MS = 6 * 60_000;
const [SOMEBODY] = tableOf([{}]).connections;

/** A connection of the model, with all that it ever moved. */
class Source {
  readonly connection: Connection;
  readonly sums = new Float64Array(N);
  /** What the totals have of it: what the last look that found it saw. */
  readonly booked = new Float64Array(N);

  constructor(id: string, place: number) {
    this.connection = { ...SOMEBODY!, id, place };
  }
}

const idOf = (n: number): string => n.toString(16).padStart(16, '0');

/** Connections that move something between looks, the totals of all of them, and a Prometheus that takes every look. */
class Server {
  readonly live = new Map<string, Source>();
  readonly #ledger = new TotalsLedger();
  readonly #shown: ShownConnections;
  #limit: number;
  #started = 0;
  readonly #freePlaces: number[] = [];
  nowMs = 1_000_000;
  /** The last sample of each series, as Prometheus keeps it: a gap is none to increase(). */
  readonly #samples = CONNECTION_COUNTERS.map(() => new Map<string, number>());
  readonly #increases = new Float64Array(N);
  #firstTotals: Float64Array | undefined;
  last: Choice | undefined;
  shownIds: readonly string[] = [];

  constructor(detail: Detail, limit: number) {
    this.#limit = limit;
    this.#shown = new ShownConnections(detail, limit);
  }

  configure(detail: Detail, limit: number): void {
    this.#limit = limit;
    this.#shown.configure(detail, limit);
  }

  start(bytes = 0): Source {
    this.#started += 1;
    // The place of one that has ended goes to the next at once, which is harder than what the collector does.
    const place = this.#freePlaces.pop() ?? this.#started;
    const source = new Source(idOf(this.#started), place);
    this.live.set(source.connection.id, source);
    if (bytes > 0) this.move(source, bytes);
    return source;
  }

  move(source: Source, bytes: number): void {
    for (let c = 0; c < N; c += 1) {
      source.sums[c]! += BYTES[c]! ? bytes : Math.ceil(bytes / 1000);
    }
  }

  end(source: Source): void {
    this.live.delete(source.connection.id);
    this.#freePlaces.push(source.connection.place);
  }

  /** What one sees who is no scraper. */
  glance(): Rows | undefined {
    return atOnce(this.#shown.glancing(this.#table([...this.live.values()])));
  }

  /** One scrape. `hidden`: connections that slipped through between two pages. */
  look(hidden: ReadonlySet<Source> = new Set()): void {
    this.nowMs += LOOK_MS;
    const sources = [...this.live.values()].filter((source) => !hidden.has(source));
    for (const { sums, booked } of sources) {
      if (sums[RECEIVED] === booked[RECEIVED]) continue;
      this.#ledger.add(
        0,
        sums.map((sum, c) => sum - booked[c]!),
      );
      booked.set(sums);
    }
    const table = this.#table(sources);
    const totals: Totals = this.#ledger.snapshot();
    this.#scrape(this.#shown.choose(table, totals, this.nowMs), table, totals);
  }

  #table(sources: readonly Source[]): ConnectionTable {
    const columns = CONNECTION_COUNTERS.map(() => new Float64Array(sources.length));
    sources.forEach(({ sums }, row) => {
      for (let c = 0; c < N; c += 1) columns[c]![row] = sums[c]!;
    });
    const counters = Object.fromEntries(
      CONNECTION_COUNTERS.map((counter, c) => [counter, columns[c]!]),
    ) as Record<ConnectionCounter, Float64Array>;
    const zeros = new Uint32Array(sources.length);
    return {
      connections: sources.map(({ connection }) => connection),
      startTimeSeconds: zeros,
      counters,
      compressionIn: zeros,
      compressionOut: zeros,
      quarantine: zeros,
      dormant: zeros,
    };
  }

  #scrape(choice: Choice, table: ConnectionTable, totals: Totals): void {
    expect(choice.rows.length).toBeLessThanOrEqual(this.#limit);
    this.shownIds = [...choice.rows].map((row) => table.connections[row]!.id);
    for (let c = 0; c < N; c += 1) {
      const samples = this.#samples[c]!;
      const take = (series: string, value: number): void => {
        const before = samples.get(series);
        samples.set(series, value);
        if (before === undefined) return;
        if (!(value >= before))
          throw new Error(`${CONNECTION_COUNTERS[c]} of ${series} fell from ${before} to ${value}`);
        this.#increases[c]! += value - before;
      };
      this.shownIds.forEach((id, i) => take(id, choice.counters[c]![i]!));
      if (choice.other) take('other', choice.other[c]!);
    }
    // When it is needed for the first time, it has that only with the next scrape.
    const isDue = this.last !== undefined && !this.last.other && choice.other !== undefined;
    this.last = choice;
    this.#firstTotals ??= totals.sums.slice(0, N);
    for (let c = 0; c < N; c += 1) {
      const grown = totals.sums[c]! - this.#firstTotals[c]!;
      if (isDue) expect(this.#increases[c]).toBeLessThanOrEqual(grown);
      else if (this.#increases[c] !== grown) {
        expect([CONNECTION_COUNTERS[c], this.#increases[c]]).toEqual([CONNECTION_COUNTERS[c], grown]);
      }
    }
  }

  sample(series: string): number | undefined {
    return this.#samples[RECEIVED]!.get(series);
  }

  get other(): number {
    return this.last!.other![RECEIVED]!;
  }
}

/** Numbers in a row, always the same. */
function dice(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

describe('100,000 connections with the default limit of 10,000', () => {
  test('are 10,000 series and one more, none of which falls; their increase is that of the totals', () => {
    const roll = dice(7);
    const server = new Server('full', 10_000);
    for (let i = 0; i < 100_000; i += 1) server.start(Math.floor(roll() * 1e6));
    const everShown = new Set<string>();
    let appeared = 0;
    let before = new Set<string>();
    for (let look = 0; look < 30; look += 1) {
      // The busy part moves on through the connections; some of it is shown already, some is not.
      let i = 0;
      const from = (look % 10) * 9000;
      for (const source of server.live.values()) {
        const busy = i >= from && i < from + 12_000;
        if (busy || roll() < 0.05) server.move(source, Math.floor(roll() * (busy ? 5e7 : 1e4)));
        if (roll() < 0.002) server.end(source);
        i += 1;
      }
      for (let n = 0; n < 200; n += 1) server.start(Math.floor(roll() * 1e5));
      server.look();
      expect(server.shownIds).toHaveLength(10_000);
      for (const id of server.shownIds) {
        if (!before.has(id) && everShown.has(id)) appeared += 1;
        everShown.add(id);
      }
      before = new Set(server.shownIds);
    }
    // It was about something: series went and came back.
    expect(everShown.size).toBeGreaterThan(30_000);
    expect(appeared).toBeGreaterThan(1000);
  }, 120_000);
});

test('any starts, ends, gaps and traffic: no series falls, and nothing is lost or counted twice', () => {
  const look = fc.record({
    starts: fc.nat(3),
    ends: fc.nat(2),
    moves: fc.array(fc.record({ who: fc.nat(20), bytes: fc.nat(1_000_000) }), { maxLength: 8 }),
    hidden: fc.option(fc.nat(20)),
    nothing: fc.boolean(),
    // Nobody looked for long.
    pause: fc.nat(9).map((n) => n === 0),
  });
  fc.assert(
    fc.property(
      fc.constantFrom<Detail>('full', 'top', 'none'),
      fc.nat(8),
      fc.nat(6),
      fc.array(look, { maxLength: 25 }),
      (detail, limit, spare, looks) => {
        const server = new Server(detail, limit);
        for (let i = 0; i < spare; i += 1) server.start(i);
        server.look();
        for (const { starts, ends, moves, hidden, nothing, pause } of looks) {
          const of = (n: number): Source | undefined =>
            [...server.live.values()][n % Math.max(1, server.live.size)];
          for (const { who, bytes } of moves) {
            const source = of(who);
            if (source) server.move(source, bytes);
          }
          for (let i = 0; i < ends; i += 1) {
            const source = of(i * 3);
            if (source) server.end(source);
          }
          for (let i = 0; i < starts; i += 1) server.start(i * 1000);
          if (pause) {
            server.nowMs += LONG_PAUSE_MS;
            server.look();
            continue;
          }
          const out = hidden === null ? undefined : of(hidden);
          // Nothing at all: the service was said to be stopped for one poll.
          server.look(new Set(nothing && hidden !== null ? server.live.values() : out ? [out] : []));
        }
      },
    ),
    { numRuns: 2000 },
  );
});

test('C any change of detail and limit by reloads: no series falls, and nothing is lost or counted twice', () => {
  const look = fc.record({
    change: fc.option(
      fc.record({ detail: fc.constantFrom<Detail>('full', 'top', 'none'), limit: fc.nat(12) }),
    ),
    starts: fc.nat(2),
    end: fc.boolean(),
    moves: fc.array(fc.record({ who: fc.nat(20), bytes: fc.nat(1_000_000) }), { maxLength: 8 }),
  });
  fc.assert(
    fc.property(fc.array(look, { maxLength: 25 }), (looks) => {
      // All are shown, until a reload wants less.
      const server = new Server('full', 1000);
      for (let i = 0; i < 10; i += 1) server.start();
      server.look();
      for (const { change, starts, end, moves } of looks) {
        const sources = [...server.live.values()];
        for (const { who, bytes } of moves) {
          const source = sources[who % Math.max(1, sources.length)];
          if (source) server.move(source, bytes);
        }
        if (end && sources[0]) server.end(sources[0]);
        for (let i = 0; i < starts; i += 1) server.start(i * 700);
        if (change) server.configure(change.detail, change.limit);
        server.look();
      }
    }),
    { numRuns: 2000 },
  );
});

test('a smaller limit hides connections at once, and what they move goes to `other`', () => {
  const server = new Server('full', 100);
  const sources = Array.from({ length: 20 }, () => server.start());
  server.look();
  server.configure('full', 5);
  for (const source of sources) server.move(source, 1000);
  server.look();
  expect([server.shownIds.length, server.other]).toEqual([5, 0]);
  server.look();
  expect([server.shownIds.length, server.other]).toEqual([5, 15_000]);
  server.configure('full', 100);
  server.look();
  expect([server.shownIds.length, server.other]).toEqual([20, 15_000]);
});

describe('the choice', () => {
  test('does not flip for connections near the border that take turns', () => {
    const server = new Server('full', 100);
    const sources = Array.from({ length: 200 }, () => server.start());
    let flips = 0;
    let before = new Set<string>();
    for (let look = 0; look < 200; look += 1) {
      sources.forEach((source, i) => {
        // Rates fall slowly over the connections; neighbours take turns in being 10 % faster.
        const rate = 1_000_000 - i * 4000;
        server.move(source, Math.floor(rate * ((i + look) % 2 === 0 ? 1.05 : 0.95)));
      });
      server.look();
      const now = new Set(server.shownIds);
      if (look >= 20) for (const id of now) if (!before.has(id)) flips += 1;
      before = now;
    }
    expect(flips).toBe(0);
  });

  test('follows traffic that is really more, within the window', () => {
    const server = new Server('full', 10);
    const sources = Array.from({ length: 20 }, () => server.start());
    const run = (looks: number, busy: number): void => {
      for (let look = 0; look < looks; look += 1) {
        for (const source of sources.slice(busy, busy + 10)) server.move(source, 1_000_000);
        server.look();
      }
    };
    const ids = (from: number): string[] =>
      sources.slice(from, from + 10).map(({ connection }) => connection.id);
    run(40, 0);
    expect(server.shownIds).toEqual(ids(0));
    run(40, 10);
    expect(server.shownIds).toEqual(ids(10));
  });

  test('among connections that move nothing stays what it is', () => {
    const server = new Server('full', 50);
    const sources = Array.from({ length: 120 }, () => server.start());
    server.look();
    const first = server.shownIds;
    expect(first).toHaveLength(50);
    for (let look = 0; look < 100; look += 1) server.look();
    expect(server.shownIds).toEqual(first);
    // One of the hidden wakes: one of the idle gives way, no more.
    server.move(sources[110]!, 5000);
    server.look();
    expect(server.shownIds.filter((id) => !first.includes(id))).toEqual([sources[110]!.connection.id]);
    const second = server.shownIds;
    for (let look = 0; look < 100; look += 1) server.look();
    expect(server.shownIds).toEqual(second);
  });

  test('of `top` wants traffic, of `none` nobody', () => {
    for (const [detail, shown] of [
      ['top', 3],
      ['none', 0],
      ['full', 5],
    ] as const) {
      const server = new Server(detail, 5);
      const sources = Array.from({ length: 20 }, () => server.start());
      server.look();
      for (const source of sources.slice(4, 7)) server.move(source, 1000);
      server.look();
      expect(server.shownIds).toHaveLength(shown);
    }
  });

  test('of `none` leaves all traffic to `other`', () => {
    const server = new Server('none', 100);
    const source = server.start(500);
    server.look();
    server.move(source, 1000);
    server.look();
    expect(server.last!.rows).toHaveLength(0);
    expect(server.other).toBe(1500);
  });
});

describe('the row `other`', () => {
  test('comes, while all are shown, when a session is new, and has what it moved before its first scrape', () => {
    const server = new Server('full', 100);
    const old = server.start();
    server.look();
    server.move(old, 1);
    server.look();
    expect(server.last!.other).toBeUndefined();
    // Its series begins with what it has already: increase() does not see that.
    const late = server.start(300);
    server.look();
    expect([server.sample(late.connection.id), server.other]).toEqual([300, 0]);
    server.move(late, 20);
    server.look();
    expect([server.sample(late.connection.id), server.other]).toEqual([320, 300]);
    // Once there, it stays.
    server.end(late);
    server.look();
    expect(server.other).toBe(300);
  });

  test('is the same whether somebody else looks between scrapes or not', () => {
    const server = new Server('full', 2);
    const [one, two] = [server.start(), server.start()];
    const glance = () => server.glance();
    server.look();
    server.move(one, 1000);
    const three = server.start(70);
    // More than may be shown: who is no scraper gets what the scraper got.
    expect(glance()).toBeUndefined();
    server.end(three);
    const four = server.start(7);
    server.end(two);
    expect(glance()!.rows).toHaveLength(2);
    server.move(four, 5);
    server.look();
    server.look();
    expect(server.other).toBe(12);
  });

  test('has what a connection moved while hidden; its series goes on where it broke off', () => {
    const server = new Server('full', 1);
    const one = server.start();
    const two = server.start();
    const move = (a: number, b: number): void => {
      server.move(one, a);
      server.move(two, b);
      server.look();
    };
    const id = one.connection.id;
    server.look();
    move(1000, 0);
    expect([server.shownIds, server.sample(id), server.other]).toEqual([[id], 1000, 0]);
    move(10, 100_000);
    expect(server.shownIds).toEqual([two.connection.id]);
    // What both moved between a look that showed them and one that did not.
    expect([server.sample(id), server.other]).toEqual([1000, 100_010]);
    move(20, 0);
    move(10_000_000, 0);
    expect(server.shownIds).toEqual([id]);
    expect([server.sample(id), server.other]).toEqual([1000, 10_100_030]);
    move(5, 0);
    expect([server.sample(id), server.other]).toEqual([1005, 10_100_030]);
  });

  test('has what a session moved that was never shown, also if it is over', () => {
    const server = new Server('full', 1);
    const busy = server.start();
    server.look();
    server.move(busy, 1_000_000);
    server.look();
    const short = server.start(300);
    server.look();
    expect(server.other).toBe(0);
    server.end(short);
    server.look();
    expect(server.other).toBe(300);
  });

  test('C5 a shown session that ends frees its place, and takes nothing with it', () => {
    const server = new Server('full', 1);
    const one = server.start(1000);
    const two = server.start(10);
    server.look();
    expect(server.shownIds).toEqual([one.connection.id]);
    server.end(one);
    server.move(two, 5);
    server.look();
    expect(server.shownIds).toEqual([two.connection.id]);
    expect(server.sample(two.connection.id)).toBe(15);
  });

  test('E5 a series that a page border hid for one look goes on where it was', () => {
    const server = new Server('full', 2);
    const [one, , three] = [server.start(), server.start(), server.start()];
    const id = one.connection.id;
    server.look();
    server.move(one, 1000);
    server.look();
    // It is hidden for a while first, so that its series lags behind its counters.
    for (const source of server.live.values()) if (source !== one) server.move(source, 1_000_000);
    server.move(one, 500);
    server.look();
    expect(server.shownIds).not.toContain(id);
    server.move(one, 100_000_000);
    server.look();
    expect([server.shownIds.includes(id), server.sample(id)]).toEqual([true, 1000]);
    server.look(new Set([one]));
    server.move(one, 7);
    server.move(three, 1);
    server.look();
    expect(server.sample(id)).toBe(1007);
  });

  test.each(['full', 'top'] as const)(
    'E5 goes on where it was when nobody looked for long, and so do the series (%s)',
    (detail) => {
      const server = new Server(detail, 2);
      const [one, two, three] = [server.start(), server.start(), server.start()];
      const move = (...bytes: number[]): void => {
        [one, two, three].forEach((source, i) => server.move(source, bytes[i]!));
        server.look();
      };
      const ids = (...sources: Source[]): string[] => sources.map(({ connection }) => connection.id);
      move(0, 0, 0);
      move(100_000, 2000, 0);
      move(100_000, 2000, 1);
      // The third takes the place of the second, and moves something hidden before.
      move(100_000, 0, 1_000_000);
      move(100_000, 70_000, 1_000_000);
      expect(server.shownIds).toEqual(ids(one, three));
      const [first, second, third] = ids(one, two, three).map((id) => server.sample(id)!);
      const { other } = server;
      server.nowMs += LONG_PAUSE_MS;
      move(10, 20, 30);
      expect(server.shownIds).toEqual(ids(one, three));
      expect(ids(one, three).map((id) => server.sample(id))).toEqual([first! + 10, third! + 30]);
      expect(server.other).toBe(other + 20);
      // What the second moved while it was hidden does not come into its series either.
      server.nowMs += LONG_PAUSE_MS;
      move(0, 50_000_000, 0);
      expect(server.shownIds).toContain(two.connection.id);
      expect(server.sample(two.connection.id)).toBe(second);
    },
  );
});
