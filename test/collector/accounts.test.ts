/** Wraps and resets, sums over sessions, and what stops, restarts and misses do to them. */
import fc from 'fast-check';
import { describe, expect, it, test } from 'vitest';
import { cellOf, CELLS, TotalsLedger } from '../../src/collector/accounts.ts';
import type { FrameTime } from '../../src/collector/sessions.ts';
import { SessionTable } from '../../src/collector/sessions.ts';
import { CATALOGUE } from '../../src/metrics/catalogue.ts';
import { PageEncoder } from '../../src/metrics/exposition.ts';
import { ViewMaker } from '../../src/metrics/labels.ts';
import type { PortsFrame } from '../../src/model/frames.ts';
import type { ConnectionCounter, ConnectionTable } from '../../src/model/snapshot.ts';
import { CONNECTION_COUNTERS, SESSION_DURATION_BOUNDS } from '../../src/model/snapshot.ts';
import { ConnectionDecoder } from '../../src/native/decode.ts';
import { Page } from '../metrics/page.ts';
import { snapshotOf } from '../metrics/snapshots.ts';
import { connection, NOW_SECONDS, pageOf, ticksOf } from '../native/record-builder.ts';
import { portsFrame } from './frames.ts';
import type { Counts, TrafficRow } from './traffic-frames.ts';
import { trafficFrame } from './traffic-frames.ts';

const N = CONNECTION_COUNTERS.length;
const GUID = 'ab'.repeat(16);
const CLIENT = cellOf('ikev2', 'client');
const hex16 = (value: number | bigint): string => value.toString(16).padStart(16, '0');

/** A session table and its time. */
class Bench {
  readonly table: SessionTable;
  seconds = 0;
  torn = false;

  constructor(userLimit = 0) {
    this.table = new SessionTable({ userLimit });
  }

  get time(): FrameTime {
    return {
      monotonicMs: 5000 + this.seconds * 1000,
      wallSeconds: NOW_SECONDS + this.seconds,
      uncertaintySeconds: 0,
      torn: this.torn,
    };
  }

  /** One enumeration, `after` seconds later. */
  see(
    after: number,
    rows: readonly TrafficRow[],
    api: 'level4' | 'ex' = 'ex',
    ports?: PortsFrame,
  ): ConnectionTable {
    this.seconds += after;
    return this.table.update(trafficFrame(rows, api), ports, this.time);
  }

  total(counter: ConnectionCounter, cell = CLIENT): number {
    return this.table.totals().sums[cell * N + CONNECTION_COUNTERS.indexOf(counter)]!;
  }

  started(cell = CLIENT): number {
    return this.table.totals().started[cell]!;
  }

  ended(cell = CLIENT): number {
    return this.table.totals().ended[cell]!;
  }
}

/** The first enumeration finds nothing: what comes later counts in full. */
function primed(userLimit = 0): Bench {
  const bench = new Bench(userLimit);
  bench.see(0, []);
  return bench;
}

const received = (bytes: number, frames: number): Counts => ({
  receivedBytes: bytes,
  receivedFrames: frames,
});

describe('C1 a counter that fell', () => {
  interface Case {
    readonly what: string;
    readonly api?: 'level4' | 'ex';
    readonly last: Counts;
    readonly now: Counts;
    readonly seconds?: number;
    readonly bytes: number;
    readonly frames?: number;
    readonly wraps: number;
  }
  const cases: readonly Case[] = [
    {
      what: 'that did not fall',
      last: received(1000, 10),
      now: received(1500, 15),
      bytes: 500,
      frames: 5,
      wraps: 0,
    },
    {
      what: 'by a wrap',
      last: received(4_294_967_290, 3_000_000),
      now: received(10, 3_000_001),
      bytes: 16,
      frames: 1,
      wraps: 1,
    },
    {
      what: 'by a wrap far from the border',
      last: received(4_000_000_000, 3_000_000),
      now: received(1_000_000_000, 4_000_000),
      bytes: 1_294_967_296,
      frames: 1_000_000,
      wraps: 1,
    },
    {
      what: 'to exactly 0 by a wrap',
      last: received(4_294_966_796, 3_000_000),
      now: received(0, 3_000_001),
      bytes: 500,
      wraps: 1,
    },
    { what: 'by ClearStats', last: received(1000, 10), now: received(5, 1), bytes: 5, frames: 1, wraps: 0 },
    {
      what: 'by ClearStats to 0',
      last: received(1000, 10),
      now: received(0, 0),
      bytes: 0,
      frames: 0,
      wraps: 0,
    },
    {
      what: 'by ClearStats, with more frames since than before, but not enough of them for a wrap',
      last: received(3_000_000_000, 1_000_000),
      now: received(2_000_000_000, 1_000_010),
      bytes: 2_000_000_000,
      frames: 1_000_010,
      wraps: 0,
    },
    {
      what: 'of frames alone, by a wrap',
      last: received(100, 4_294_967_295),
      now: received(1100, 9),
      bytes: 1000,
      frames: 10,
      wraps: 1,
    },
    {
      what: 'of both, each by a wrap',
      last: received(4_294_967_000, 4_294_967_295),
      now: received(704, 9),
      bytes: 1000,
      frames: 10,
      wraps: 2,
    },
    {
      what: 'of frames by more than 10 Gbit/s carry in a second',
      last: received(100_000, 4_000_000_000),
      now: received(500, 5),
      seconds: 1,
      bytes: 500,
      frames: 5,
      wraps: 0,
    },
    {
      what: 'of frames as 10 Gbit/s may in 60 seconds: nobody could tell it from a wrap',
      last: received(100_000, 4_000_000_000),
      now: received(500, 5),
      seconds: 60,
      bytes: 4_294_867_796,
      frames: 294_967_301,
      wraps: 2,
    },
    {
      what: 'by a wrap, where frames are not counted',
      last: { receivedBytes: 4_294_967_290 },
      now: { receivedBytes: 10 },
      bytes: 16,
      wraps: 1,
    },
    {
      what: 'by ClearStats, where frames are not counted',
      last: { receivedBytes: 1000 },
      now: { receivedBytes: 5 },
      bytes: 5,
      wraps: 0,
    },
    {
      what: 'of errors alone: all of them were cleared',
      last: { ...received(1000, 10), crc: 5 },
      now: { ...received(1200, 12), crc: 1 },
      bytes: 1200,
      frames: 12,
      wraps: 0,
    },
    {
      what: 'of switchovers alone, which is no statistic',
      last: { ...received(1000, 10), switchovers: 3 },
      now: { ...received(1500, 15), switchovers: 1 },
      bytes: 500,
      frames: 5,
      wraps: 0,
    },
    {
      what: 'on level 4, with values of 32 bits in its fields',
      api: 'level4',
      last: received(4_294_967_290, 3_000_000),
      now: received(10, 3_000_001),
      bytes: 16,
      frames: 1,
      wraps: 1,
    },
    {
      what: 'on level 4 from beyond 2^32, where nothing wraps',
      api: 'level4',
      last: received(4_294_967_300, 3_000_000),
      now: received(10, 3_000_001),
      bytes: 10,
      frames: 3_000_001,
      wraps: 0,
    },
    {
      what: 'on level 4, past 2^32: it did not fall',
      api: 'level4',
      last: received(4_294_967_290, 3_000_000),
      now: received(4_294_967_306, 3_000_001),
      bytes: 16,
      frames: 1,
      wraps: 0,
    },
  ];

  it.each(cases)('$what', ({ api = 'ex', last, now, seconds = 15, bytes, frames, wraps }) => {
    const bench = new Bench();
    bench.see(0, [{ slot: 0, duration: 100, counts: last, identity: { guid: GUID } }], api);
    const table = bench.see(seconds, [{ slot: 0, duration: 100 + seconds, counts: now }], api);
    expect(bench.total('receivedBytes')).toBe(bytes);
    if (frames !== undefined) expect(bench.total('receivedFrames')).toBe(frames);
    expect(table.counters.receivedBytes[0]).toBe(last.receivedBytes! + bytes);
    expect(bench.table.wraps).toBe(wraps);
  });

  it('of switchovers begins anew alone', () => {
    const bench = new Bench();
    bench.see(0, [{ slot: 0, duration: 100, counts: { switchovers: 3 }, identity: { guid: GUID } }]);
    bench.see(15, [{ slot: 0, duration: 115, counts: { switchovers: 2 } }]);
    expect(bench.total('switchovers')).toBe(2);
  });

  it('on level 4 did not wrap where another connection was seen beyond 2^32', () => {
    const bench = new Bench();
    const other = { slot: 1, duration: 900, counts: received(5_000_000_000, 9_000_000) };
    const rows = (counts: Counts): TrafficRow[] => [{ slot: 0, duration: 100, counts }, other];
    const [one, two] = rows(received(4_294_967_290, 3_000_000));
    bench.see(
      0,
      [
        { ...one!, identity: { handle: hex16(1), guid: GUID } },
        { ...two!, identity: { handle: hex16(2), guid: 'cd'.repeat(16) } },
      ],
      'level4',
    );
    bench.see(15, rows(received(10, 3_000_001)), 'level4');
    expect(bench.total('receivedBytes')).toBe(10);
  });

  it('of another session on the same handle is neither: it is a new series', () => {
    for (const identity of [
      { guid: 'cd'.repeat(16) },
      { guid: GUID, startTicks: hex16(ticksOf(NOW_SECONDS + 5)) },
    ]) {
      const bench = primed();
      const first = bench.see(15, [
        {
          slot: 0,
          duration: 100,
          counts: received(4_294_967_000, 3_000_000),
          identity: { guid: GUID, startTicks: hex16(ticksOf(NOW_SECONDS - 100)) },
        },
      ]);
      const second = bench.see(15, [{ slot: 0, duration: 10, counts: received(700, 3), identity }]);
      expect(second.connections[0]!.id).not.toBe(first.connections[0]!.id);
      expect(second.counters.receivedBytes[0]).toBe(700);
      expect(bench.total('receivedBytes')).toBe(4_294_967_700);
      expect([bench.started(), bench.ended()]).toEqual([2, 1]);
    }
  });
});

describe('C1 level 4 that gives way to EnumEx and comes back', () => {
  const TWO_32 = 4_294_967_296;
  test('neither counts again what it had nor loses what was moved meanwhile', () => {
    const bench = new Bench();
    const look = (api: 'level4' | 'ex', bytes: number, frames: number): number => {
      const startTicks = api === 'ex' ? '' : hex16(ticksOf(NOW_SECONDS - 1000));
      bench.see(
        15,
        [
          {
            slot: 0,
            duration: 1000 + bench.seconds + 15,
            counts: received(bytes, frames),
            identity: { guid: GUID, startTicks },
          },
        ],
        api,
      );
      return bench.total('receivedBytes');
    };
    look('level4', 3 * TWO_32 - 100, 20_000_000);
    expect(look('level4', 3 * TWO_32 + 100, 20_000_001)).toBe(200);
    expect(look('ex', 350, 20_000_002)).toBe(450);
    expect(look('ex', TWO_32 - 50, 24_000_000)).toBe(TWO_32 + 50);
    // A wrap on EnumEx, though this server's level 4 never wraps.
    expect(look('ex', 50, 24_000_001)).toBe(TWO_32 + 150);
    expect(look('level4', 4 * TWO_32 + 90, 24_000_002)).toBe(TWO_32 + 190);
    expect(look('level4', 4 * TWO_32 + 100, 24_000_003)).toBe(TWO_32 + 200);
    expect(bench.table.wraps).toBe(1);
  });
});

describe('C2 more than one wrap between two polls', () => {
  /** A line at its full speed, polled every 15 seconds, with frames of 1400 bytes. */
  function watch(bytesPerSecond: number, polls: number, api: 'level4' | 'ex' = 'ex', width = 2 ** 32): Bench {
    const bench = primed();
    for (let i = 1; i <= polls; i += 1) {
      const bytes = i * 15 * bytesPerSecond;
      bench.see(
        15,
        [
          {
            slot: 0,
            duration: i * 15,
            counts: received(bytes % width, Math.ceil(bytes / 1400)),
            ...(i === 1 ? { identity: { guid: GUID } } : {}),
          },
        ],
        api,
      );
    }
    return bench;
  }

  test('is said to be possible at 10 Gbit/s, from the first poll that sees the session on', () => {
    for (const polls of [1, 2, 8]) expect(watch(1_250_000_000, polls).table.ambiguousDeltas).toBe(polls);
  });

  test('is not at 1 Gbit/s, where the totals are exact', () => {
    const bench = watch(125_000_000, 8);
    expect(bench.table.ambiguousDeltas).toBe(0);
    expect(bench.total('receivedBytes')).toBe(8 * 15 * 125_000_000);
    expect(bench.table.wraps).toBe(3);
  });

  test('cannot be with 64 bits', () => {
    const bench = watch(1_250_000_000, 8, 'level4', 2 ** 53);
    expect(bench.table.ambiguousDeltas).toBe(0);
    expect(bench.total('receivedBytes')).toBe(8 * 15 * 1_250_000_000);
    expect(bench.table.fastestWrappingBytesPerSecond).toBeUndefined();
  });

  test('of what was moved before the exporter started concerns nobody', () => {
    const bench = new Bench();
    bench.see(0, [
      { slot: 0, duration: 90_000, counts: received(5, 2_000_000_000), identity: { guid: GUID } },
    ]);
    expect(bench.table.ambiguousDeltas).toBe(0);
  });

  test('is kept away by polling as fast as the fastest counter demands', () => {
    expect(watch(125_000_000, 4).table.fastestWrappingBytesPerSecond).toBe(125_000_000);
    expect(primed().table.fastestWrappingBytesPerSecond).toBe(0);
  });
});

describe('C4 numbers of any size', () => {
  const u64 = fc.oneof(
    fc.bigInt(0n, 2n ** 64n - 1n),
    fc.constantFrom(2n ** 53n - 1n, 2n ** 53n, 2n ** 64n - 1n, 0n),
  );

  test('from the record to the page: exact to 2^53, finite beyond, never falling', () => {
    fc.assert(
      fc.property(fc.array(u64, { minLength: 1, maxLength: 6 }), (values) => {
        const bench = new Bench();
        const decoder = new ConnectionDecoder('level4', () => NOW_SECONDS + bench.seconds);
        const views = new ViewMaker({
          privacy: { users: 'plain', addresses: 'plain' },
          detail: 'full',
          limit: 10,
        });
        const encoder = new PageEncoder(CATALOGUE, { format: 'text' });
        let shownLast = 0;
        let totalLast = 0;
        values.forEach((value, i) => {
          bench.seconds += 15;
          const record = connection('level4', 7, {
            ullBytesRcved: value,
            dwFramesRcved: i,
            dwConnectDuration: 100 + bench.seconds,
            connectionStartTime: ticksOf(NOW_SECONDS - 100),
          });
          decoder.begin();
          decoder.page(pageOf(record), 1);
          const connections = bench.table.update(decoder.finish(), undefined, bench.time);
          const view = views.view(
            snapshotOf({ connections, totals: bench.table.totals() }),
            bench.time.monotonicMs,
          );
          const page = new Page(Buffer.concat(encoder.encode(view)).toString());
          const shown = Object.values(page.values('rras_connection_received_bytes_total')!)[0]!;
          const total = page.values('rras_received_bytes_total')?.['ikev2/client'] ?? 0;
          expect(Number.isFinite(shown) && Number.isFinite(total)).toBe(true);
          expect(shown).toBe(connections.counters.receivedBytes[0]);
          expect(total).toBe(bench.total('receivedBytes'));
          if (i === 0 && value <= 2n ** 53n) expect(BigInt(shown)).toBe(value);
          expect(shown).toBeGreaterThanOrEqual(shownLast);
          expect(total).toBeGreaterThanOrEqual(totalLast);
          shownLast = shown;
          totalLast = total;
        });
      }),
      { numRuns: 300 },
    );
  });
});

describe('C5 a session that ends', () => {
  test('takes its series with it at once, and its traffic stays in the totals', () => {
    const bench = primed();
    const views = new ViewMaker({
      privacy: { users: 'plain', addresses: 'plain' },
      detail: 'full',
      limit: 10,
    });
    const encoder = new PageEncoder(CATALOGUE, { format: 'text' });
    const page = (connections: ConnectionTable): Page =>
      new Page(
        Buffer.concat(
          encoder.encode(
            views.view(snapshotOf({ connections, totals: bench.table.totals() }), bench.time.monotonicMs),
          ),
        ).toString(),
      );
    const before = bench.see(15, [
      { slot: 0, duration: 10, counts: received(700, 3), identity: { guid: GUID } },
    ]);
    const { id } = before.connections[0]!;
    const first = page(before);
    expect(first.text.match(new RegExp(`connection="${id}"`, 'g'))!.length).toBeGreaterThanOrEqual(8);
    const second = page(bench.see(15, []));
    expect(second.text).not.toContain(id);
    expect(second.text).not.toContain('connection="');
    expect(second.values('rras_received_bytes_total')).toMatchObject({ 'ikev2/client': 700 });
    expect(second.values('rras_sessions_ended_total')).toMatchObject({ 'ikev2/client': 1 });
  });

  test('is one of its duration in the histogram, with bounds that belong to the bucket below', () => {
    const durations = [0, 59, 60, 61, 300, 604_800, 604_801];
    const bench = primed();
    bench.see(
      15,
      durations.map((duration, slot) => ({
        slot,
        duration,
        identity: { handle: hex16(slot), guid: hex16(slot).repeat(2) },
      })),
    );
    bench.see(15, []);
    const { durations: buckets, durationSums } = bench.table.totals();
    const width = SESSION_DURATION_BOUNDS.length + 1;
    expect([...buckets.subarray(CLIENT * width, (CLIENT + 1) * width)]).toEqual([
      3, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1,
    ]);
    expect(durationSums[CLIENT]).toBe(durations.reduce((sum, each) => sum + each, 0));
  });
});

describe('the first enumeration', () => {
  test('adds only what its sessions gain afterwards, and none of them is counted as started', () => {
    const bench = new Bench(10);
    bench.see(0, [{ slot: 0, duration: 5000, counts: received(1_000_000, 900), identity: { guid: GUID } }]);
    expect([bench.total('receivedBytes'), bench.started()]).toEqual([0, 0]);
    bench.see(15, [
      { slot: 0, duration: 5015, counts: received(1_000_500, 901) },
      {
        slot: 1,
        duration: 9000,
        counts: received(70_000, 60),
        identity: { handle: hex16(2), guid: 'cd'.repeat(16) },
      },
    ]);
    expect([bench.total('receivedBytes'), bench.total('receivedFrames'), bench.started()]).toEqual([
      70_500, 61, 1,
    ]);
    expect(bench.table.users()).toMatchObject([
      { receivedBytes: 70_500, sessionsStarted: 1, connections: 2 },
    ]);
    bench.see(15, []);
    expect([bench.total('receivedBytes'), bench.started(), bench.ended()]).toEqual([70_500, 1, 2]);
  });

  test('that finds nothing makes the next one count in full', () => {
    const bench = primed();
    bench.see(15, [{ slot: 0, duration: 5, counts: received(700, 3), identity: {} }]);
    expect([bench.total('receivedBytes'), bench.started()]).toEqual([700, 1]);
  });

  test('of a service that was down before counts in full', () => {
    const bench = new Bench();
    bench.table.clear();
    bench.see(15, [{ slot: 0, duration: 5, counts: received(700, 3), identity: {} }]);
    expect([bench.total('receivedBytes'), bench.started()]).toEqual([700, 1]);
  });
});

describe('a false verdict that the service is stopped', () => {
  test.each([
    ['a guid', { guid: GUID }],
    ['a start', { startTicks: hex16(ticksOf(NOW_SECONDS - 100)) }],
    ['a duration only', {}],
  ])('counts no traffic and no start twice, with %s', (_, identity) => {
    const bench = new Bench(10);
    const row = (bytes: number, identified: boolean): TrafficRow => ({
      slot: 0,
      duration: 100 + bench.seconds + 15,
      counts: received(bytes, bytes / 100),
      ...(identified ? { identity } : {}),
    });
    bench.see(0, []);
    const [first] = bench.see(15, [row(1_000_000, true)]).connections;
    bench.seconds += 15;
    expect(bench.table.clear().connections).toEqual([]);
    const table = bench.see(15, [row(1_000_500, true)]);
    expect(table.connections[0]!.id).toBe(first!.id);
    expect(table.counters.receivedBytes[0]).toBe(1_000_500);
    expect(bench.total('receivedBytes')).toBe(1_000_500);
    expect([bench.started(), bench.ended()]).toEqual([1, 1]);
    expect(bench.table.users()).toMatchObject([
      { receivedBytes: 1_000_500, sessionsStarted: 1, connections: 1 },
    ]);
    // Its real end has been counted already.
    bench.see(15, []);
    expect([bench.started(), bench.ended()]).toEqual([1, 1]);
    expect(bench.table.users()).toMatchObject([{ connections: 0 }]);
  });

  test('goes on over a wrap of bytes and of frames', () => {
    for (const api of ['ex', 'level4'] as const) {
      const bench = new Bench();
      const identity = { guid: GUID };
      bench.see(
        0,
        [{ slot: 0, duration: 9000, counts: received(4_294_967_290, 4_294_967_290), identity }],
        api,
      );
      bench.table.clear();
      bench.see(30, [{ slot: 0, duration: 9030, counts: received(1_000, 14), identity }], api);
      expect([bench.total('receivedBytes'), bench.total('receivedFrames'), bench.started()]).toEqual([
        1006, 20, 0,
      ]);
    }
  });

  test('of a server with 60,000 connections', () => {
    const bench = primed();
    const rows = (bytes: number): TrafficRow[] =>
      Array.from({ length: 60_000 }, (_, slot) => ({
        slot,
        duration: 100,
        counts: received(bytes, bytes),
        identity: { handle: hex16(slot + 1), guid: hex16(slot + 1).repeat(2) },
      }));
    bench.see(15, rows(1000));
    bench.table.clear();
    bench.see(15, rows(1001));
    expect(bench.total('receivedBytes')).toBe(60_000 * 1001);
    expect(bench.started()).toBe(60_000);
  });

  test('is none if other sessions come back: they count in full', () => {
    const bench = primed();
    bench.see(15, [{ slot: 0, duration: 100, counts: received(5000, 50), identity: {} }]);
    bench.table.clear();
    // The same handle and the same texts, but younger than the time that passed.
    bench.see(30, [{ slot: 0, duration: 12, counts: received(6000, 60), identity: {} }]);
    expect([bench.total('receivedBytes'), bench.started(), bench.ended()]).toEqual([11_000, 2, 1]);
  });
});

describe('E5 pages between which connections change', () => {
  const rows = (bytes: number, identified = false): TrafficRow[] => [
    {
      slot: 0,
      duration: 100,
      counts: received(bytes, 10),
      ...(identified ? { identity: { guid: GUID } } : {}),
    },
  ];

  test('hide a session for one poll: it neither ends nor starts', () => {
    const bench = primed();
    bench.see(15, rows(1000, true));
    bench.torn = true;
    bench.see(15, []);
    expect([bench.started(), bench.ended()]).toEqual([1, 0]);
    bench.torn = false;
    bench.see(15, rows(1500, true));
    expect([bench.total('receivedBytes'), bench.started(), bench.ended()]).toEqual([1500, 1, 0]);
  });

  test('do not keep one that is absent twice', () => {
    const bench = primed();
    bench.see(15, rows(1000, true));
    bench.torn = true;
    bench.see(15, []);
    bench.see(15, []);
    expect([bench.total('receivedBytes'), bench.started(), bench.ended()]).toEqual([1000, 1, 1]);
  });
});

describe('accounts of users', () => {
  const of = (slot: number, user: string, domain: string, bytes: number): TrafficRow => ({
    slot,
    duration: 10,
    counts: { receivedBytes: bytes, transmittedBytes: 2 * bytes },
    identity: { handle: hex16(slot + 1), guid: hex16(slot + 1).repeat(2), user, domain },
  });

  test('are not kept unless they are wanted', () => {
    expect(primed().table.users()).toBeUndefined();
  });

  test('are by user and domain; those past the limit share one, which no user of that name has', () => {
    const bench = primed(2);
    bench.see(15, [
      of(0, 'ada', 'CORP', 1),
      of(1, 'ada', 'LAB', 10),
      of(2, 'other', '', 100),
      of(3, 'ben', 'CORP', 1000),
      of(4, '', '', 5),
    ]);
    const table = [
      {
        user: 'ada',
        domain: 'CORP',
        other: false,
        receivedBytes: 1,
        transmittedBytes: 2,
        sessionsStarted: 1,
        connections: 1,
      },
      {
        user: 'ada',
        domain: 'LAB',
        other: false,
        receivedBytes: 10,
        transmittedBytes: 20,
        sessionsStarted: 1,
        connections: 1,
      },
      {
        user: '',
        domain: '',
        other: true,
        receivedBytes: 1100,
        transmittedBytes: 2200,
        sessionsStarted: 2,
        connections: 2,
      },
    ];
    expect(bench.table.users()).toEqual(table);
    bench.see(15, []);
    expect(bench.table.users()).toEqual(table.map((account) => ({ ...account, connections: 0 })));
  });

  test('add up over three sessions of one user, and over three dials of one link', () => {
    const bench = primed(10);
    const site = (bytes: number, n: number): TrafficRow => ({
      slot: 1,
      duration: 3,
      counts: { receivedBytes: bytes, transmittedBytes: 2 * bytes },
      identity: {
        handle: hex16(99),
        guid: hex16(n).repeat(2),
        user: 'site-berlin',
        interfaceName: 'Site-Berlin',
        interfaceType: 'full_router',
      },
    });
    for (const n of [1, 2, 3]) {
      const user = {
        ...of(0, 'ada', 'CORP', 100 * n),
        identity: { handle: hex16(5), guid: hex16(50 + n).repeat(2), user: 'ada', domain: 'CORP' },
      };
      bench.see(15, [user, site(7 * n, n)]);
      if (n === 2) bench.see(15, []);
    }
    expect(bench.table.users()![0]).toMatchObject({
      receivedBytes: 600,
      transmittedBytes: 1200,
      sessionsStarted: 3,
    });
    expect(bench.table.links()).toEqual(
      new Map([['Site-Berlin', { receivedBytes: 42, transmittedBytes: 84 }]]),
    );
    expect(bench.total('receivedBytes', cellOf('ikev2', 'site'))).toBe(42);
  });
});

describe('over a long time', () => {
  test('an id never serves two sessions, however often a handle without a guid is used again', () => {
    const bench = new Bench();
    const ids = new Set<string>();
    let sessions = 0;
    for (let i = 0; i < 5500; i += 1) {
      const rows = Array.from({ length: 20 }, (_, slot) => ({
        slot,
        duration: 0,
        ...(i === 0 ? { identity: { handle: hex16(slot + 1) } } : {}),
      }));
      for (const { id } of bench.see(60, rows).connections) ids.add(id);
      sessions += 20;
    }
    expect(sessions).toBeGreaterThan(100_000);
    expect(ids.size).toBe(sessions);
    expect([bench.started(), bench.ended()]).toEqual([sessions - 20, sessions - 20]);
  });

  test('sessions that came and went leave no memory behind', () => {
    const bench = new Bench();
    const replace = (polls: number): void => {
      for (let i = 0; i < polls; i += 1)
        bench.see(60, [{ slot: 0, duration: 0, ...(bench.seconds === 0 ? { identity: {} } : {}) }]);
    };
    bench.see(0, [{ slot: 0, duration: 0, identity: {} }]);
    replace(1000);
    const before = process.memoryUsage().arrayBuffers;
    replace(60_000);
    // A place in the ledger for each would take 10 MB.
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(5_000_000);
  });

  test('a cell is a tunnel and a role, and every pair has one', () => {
    expect(new TotalsLedger().snapshot().sums.length).toBe(CELLS * N);
    expect(cellOf('unknown', 'other')).toBe(CELLS - 1);
  });

  test('a tunnel that only the port tells belongs to that tunnel from the first byte on', () => {
    const bench = primed();
    const identity = { tunnel: 'unknown', encryption: 'none' } as const;
    bench.see(
      15,
      [{ slot: 0, duration: 5, counts: received(700, 3), identity }],
      'ex',
      portsFrame([{ tunnel: 'sstp', slot: 0 }]),
    );
    bench.see(15, []);
    const cell = cellOf('sstp', 'client');
    expect([bench.total('receivedBytes', cell), bench.started(cell), bench.ended(cell)]).toEqual([700, 1, 1]);
  });
});
