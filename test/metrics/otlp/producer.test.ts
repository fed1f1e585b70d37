/**
 * What is collected for OTLP: the same series as the page has, each with its start, and nothing of what has gone but one
 * point that ends it.
 */
import { setImmediate as turn } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import type { CollectionResult, MetricData } from '@opentelemetry/sdk-metrics';
import { DataPointType, MeterProvider, MetricReader } from '@opentelemetry/sdk-metrics';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { TotalsLedger } from '../../../src/collector/accounts.ts';
import { CATALOGUE } from '../../../src/metrics/catalogue.ts';
import { PageEncoder } from '../../../src/metrics/exposition.ts';
import type { View } from '../../../src/metrics/labels.ts';
import { CatalogueProducer, isClosing, toHrTime } from '../../../src/metrics/otlp/producer.ts';
import type { OwnFamily } from '../../../src/metrics/self.ts';
import { SelfMetrics } from '../../../src/metrics/self.ts';
import { FakeClock } from '../../doubles/fake-clock.ts';
import type { Act, Share, Table } from '../changing-view.ts';
import { ACTS, ChangingView, SHARES, TABLES } from '../changing-view.ts';
import { parsePage } from '../prometheus-parser.ts';
import type { ConnectionSketch } from '../snapshots.ts';
import { idOf, interfaceOf, plainViews, portsOf, snapshotOf, tableOf } from '../snapshots.ts';
import { nameOf, seriesKey, seriesOf } from './translation.ts';

const STARTED_AT = 1_795_000_000;
const BEGAN = 1_795_100_000;

interface SetUp {
  readonly connections?: boolean;
  readonly own?: () => Promise<readonly OwnFamily[]>;
}

/** A producer of the view that it is given last. */
class Collected {
  readonly #producer: CatalogueProducer;
  readonly clock = new FakeClock();
  #view: View | undefined;

  constructor({ connections = true, own }: SetUp = {}) {
    this.#producer = new CatalogueProducer({
      view: () => Promise.resolve(this.#view!),
      connections,
      startedAtSeconds: STARTED_AT,
      version: '1.2.3',
      clock: this.clock,
      ...(own && { own }),
    });
  }

  async result(view: View): Promise<CollectionResult> {
    this.#view = view;
    try {
      return await this.#producer.collect();
    } finally {
      this.#view = undefined;
    }
  }

  exportEnded(succeeded: boolean): void {
    this.#producer.exportEnded(succeeded);
  }

  /** What there is, and the series that end. */
  async of(view: View): Promise<{ readonly live: MetricData[]; readonly closed: string[] }> {
    const { resourceMetrics, errors } = await this.result(view);
    expect(errors).toEqual([]);
    const [scope, ...others] = resourceMetrics.scopeMetrics;
    expect(others).toEqual([]);
    expect(scope!.scope).toEqual({ name: 'rras-exporter', version: '1.2.3' });
    const live = scope!.metrics.filter((metric) => !isClosing(metric));
    const closed = [...seriesOf(scope!.metrics.filter(isClosing)).keys()];
    return { live, closed: closed.sort() };
  }
}

const viewOf = (...sketches: readonly ConnectionSketch[]): View =>
  plainViews().view(snapshotOf({ connections: tableOf(sketches) }), 0);

const byName = (metrics: readonly MetricData[], name: string): MetricData => {
  const found = metrics.find((metric) => nameOf(metric) === name);
  if (!found) throw new Error(`no ${name}`);
  return found;
};
const startsOf = (metrics: readonly MetricData[], name: string): unknown[] =>
  byName(metrics, name).dataPoints.map(({ startTime }) => startTime);

describe('times', () => {
  test.each([
    [0, [0, 0]],
    [1_795_000_000, [1_795_000_000, 0]],
    [1_795_000_000.25, [1_795_000_000, 250_000_000]],
    [1_795_000_000.000_001, [1_795_000_000, 1_000]],
    // Not 1,000,000,000 nanoseconds.
    [1_795_000_000.999_999_8, [1_795_000_001, 0]],
  ])('%d s are %j', (seconds, expected) => {
    expect(toHrTime(seconds)).toEqual(expected);
  });

  test('sums of a session begin with it, totals and the row of what is not shown with the exporter', async () => {
    const shown = viewOf(
      { id: idOf(1), startTimeSeconds: BEGAN, counters: { receivedBytes: 7, crc: 2 } },
      { id: idOf(2), startTimeSeconds: BEGAN + 0.5 },
    );
    const other = new Float64Array(11).fill(5);
    const collected = new Collected();
    const { live } = await collected.of({
      ...shown,
      shown: { ...shown.shown!, other, hidden: 3 },
      snapshot: { ...shown.snapshot, portTunnels: ['ikev2'] },
    });
    const [first, second, exporter] = [
      [BEGAN, 0],
      [BEGAN, 500_000_000],
      [STARTED_AT, 0],
    ];
    expect(startsOf(live, 'rras_connection_received_bytes_total')).toEqual([first, second, exporter]);
    expect(startsOf(live, 'rras_connection_switchovers_total')).toEqual([first, second, exporter]);
    expect(startsOf(live, 'rras_connection_errors_total')).toContainEqual(first);
    expect(startsOf(live, 'rras_received_bytes_total')).toEqual([exporter, exporter]);
    expect(startsOf(live, 'rras_session_duration_seconds')).toEqual([exporter, exporter]);
    const now = toHrTime(collected.clock.wallSeconds());
    for (const { dataPoints } of live) for (const { endTime } of dataPoints) expect(endTime).toEqual(now);
  });
});

test('counters are monotonic cumulative sums, info and states gauges, durations histograms', async () => {
  const self = new SelfMetrics({ version: '1', simulated: true, startedAtSeconds: 1, process: true });
  self.countCalls({
    calls: [{ function: 'MprAdminServerGetInfo', code: 5, seconds: 0.02, atSeconds: 0 }],
    pages: 0,
    anomalies: {},
    seconds: 0.02,
  });
  const views = plainViews();
  const view = views.view(
    snapshotOf({
      connections: tableOf([{}]),
      ports: portsOf({ ikev2: 3 }),
      interfaces: [interfaceOf()],
    }),
    0,
  );
  const { live } = await new Collected({ own: () => self.families() }).of(view);
  const types = new Map<string, string>([
    ...CATALOGUE.map(({ name, type }) => [name, type] as const),
    ...(await self.families()).map(({ name, type }) => [name, type] as const),
  ]);
  for (const metric of live) {
    const name = nameOf(metric);
    const expected = {
      gauge: DataPointType.GAUGE,
      counter: DataPointType.SUM,
      histogram: DataPointType.HISTOGRAM,
    };
    expect([name, metric.dataPointType]).toEqual([name, expected[types.get(name) as keyof typeof expected]]);
  }
  const kindOf = (name: string): DataPointType => byName(live, name).dataPointType;
  expect(kindOf('rras_interface_info')).toBe(DataPointType.GAUGE);
  expect(kindOf('rras_interface_state')).toBe(DataPointType.GAUGE);
  expect(kindOf('rras_connection_info')).toBe(DataPointType.GAUGE);
  expect(kindOf('rras_exporter_native_call_duration_seconds')).toBe(DataPointType.HISTOGRAM);
  const [call] = byName(live, 'rras_exporter_native_call_duration_seconds').dataPoints;
  expect(call).toMatchObject({
    attributes: { function: 'MprAdminServerGetInfo' },
    value: { count: 1, sum: 0.02, buckets: { counts: [0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0] } },
  });
  // Those of its process have other names in OpenTelemetry.
  expect(live.filter((metric) => !nameOf(metric).startsWith('rras_'))).toEqual([]);
});

test('histograms have the counts of each bucket', async () => {
  const ledger = new TotalsLedger();
  const totals = ledger.snapshot();
  const durations = totals.durations.slice();
  const [ended, sums] = [totals.ended.slice(), totals.durationSums.slice()];
  durations.set([1, 0, 2], 0);
  durations[12] = 4;
  ended[0] = 7;
  sums[0] = 1e7;
  const view = plainViews().view(
    snapshotOf({ totals: { ...totals, durations, ended, durationSums: sums } }),
    0,
  );
  const { live } = await new Collected().of(view);
  const [point] = byName(live, 'rras_session_duration_seconds').dataPoints;
  expect(point!.value).toEqual({
    buckets: {
      boundaries: [60, 300, 900, 1800, 3600, 7200, 14400, 28800, 43200, 86400, 172800, 604800],
      counts: [1, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4],
    },
    count: 7,
    sum: 1e7,
  });
});

describe('without connections', () => {
  test('no family of single connections is sent, and none ends', async () => {
    const collected = new Collected({ connections: false });
    const { live } = await collected.of(viewOf({ id: idOf(1) }, { id: idOf(2) }));
    const names = live.map(nameOf);
    expect(names).toContain('rras_connections');
    expect(names.filter((name) => name.startsWith('rras_connection_'))).toEqual([]);
    expect((await collected.of(viewOf())).closed.filter((key) => key.startsWith('rras_connection_'))).toEqual(
      [],
    );
  });
});

describe('what has gone', () => {
  const keysOf = (metrics: readonly MetricData[]): string[] => [...seriesOf(metrics).keys()];

  test('a session leaves the next collection, and each of its series is ended, once', async () => {
    const collected = new Collected();
    const views = plainViews();
    const stays = { id: idOf(2), tunnel: 'sstp' } as const;
    const ends = { id: idOf(1), counters: { receivedBytes: 5, timeout: 1 } };
    const both = tableOf([ends, stays]);
    const first = await collected.of(views.view(snapshotOf({ connections: both }), 0));
    expect(first.closed).toEqual([]);
    const left = {
      ...tableOf([stays]),
      connections: [both.connections[1]!],
    };
    const second = await collected.of(views.view(snapshotOf({ connections: left }), 1));
    const isGone = (key: string): boolean => key.includes(idOf(1));
    expect(keysOf(second.live).filter(isGone)).toEqual([]);
    const had = keysOf(first.live).filter(isGone);
    expect(had).toHaveLength(10);
    // All that it had, and nothing that it never had.
    expect(second.closed.filter((key) => key.startsWith('rras_connection_'))).toEqual(had.sort());
    const third = await collected.of(views.view(snapshotOf({ connections: left }), 2));
    expect(third.closed).toEqual([]);
  });

  test('of a connection that roams, the series with the old addresses alone ends', async () => {
    const collected = new Collected();
    const at = (remoteAddress: string): View => viewOf({ id: idOf(1), identity: { remoteAddress } });
    await collected.of(at('203.0.113.1'));
    const { live, closed } = await collected.of(at('203.0.113.2'));
    const endpoint = (remote_address: string): string =>
      seriesKey('rras_connection_endpoint_info', {
        connection: idOf(1),
        remote_address,
        local_address: '198.51.100.1',
      });
    expect(closed).toEqual([endpoint('203.0.113.1')]);
    expect(keysOf(live)).toContain(endpoint('203.0.113.2'));
    expect((await collected.of(at('203.0.113.2'))).closed).toEqual([]);
  });

  test('one that changes its tunnel loses the series that the new one has not', async () => {
    const collected = new Collected();
    await collected.of(viewOf({ id: idOf(1), tunnel: 'ikev2', identity: { compression: 'mppc' } }));
    const { closed } = await collected.of(viewOf({ id: idOf(1), tunnel: 'sstp' }));
    const names = closed.filter((key) => key.includes(idOf(1))).map((key) => /^\w+/.exec(key)![0]);
    expect(names).toEqual([
      'rras_connection_compression_ratio',
      'rras_connection_compression_ratio',
      'rras_connection_info',
      'rras_connection_switchovers_total',
    ]);
  });

  test('an interface that is removed is ended in all its families', async () => {
    const collected = new Collected();
    const withInterfaces = (...names: readonly string[]): View =>
      plainViews().view(snapshotOf({ interfaces: names.map((name) => interfaceOf({ name })) }), 0);
    const { live } = await collected.of(withInterfaces('Site-A', 'Site-B'));
    const { closed } = await collected.of(withInterfaces('Site-B'));
    expect(closed).toEqual(
      keysOf(live)
        .filter((key) => key.includes('"Site-A"'))
        .sort(),
    );
    expect((await collected.of(withInterfaces('Site-B'))).closed).toEqual([]);
    // It can come back and go again.
    await collected.of(withInterfaces('Site-A', 'Site-B'));
    expect((await collected.of(withInterfaces('Site-B'))).closed).toEqual(closed);
  });

  test('what did not arrive is ended again until it does, but not what has come back', async () => {
    const collected = new Collected();
    const withInterfaces = (...names: readonly string[]): View =>
      plainViews().view(snapshotOf({ interfaces: names.map((name) => interfaceOf({ name })) }), 0);
    const endsOf = async (...names: readonly string[]): Promise<Set<string>> => {
      const { live, closed } = await collected.of(withInterfaces(...names));
      expect(keysOf(live).filter((key) => closed.includes(key))).toEqual([]);
      return new Set(closed.map((key) => /"(Site-.)"/.exec(key)![1]!));
    };
    expect(await endsOf('Site-A', 'Site-B', 'Site-C')).toEqual(new Set());
    collected.exportEnded(true);
    expect(await endsOf('Site-C')).toEqual(new Set(['Site-A', 'Site-B']));
    // One part of it arrived, another did not.
    collected.exportEnded(false);
    collected.exportEnded(true);
    expect(await endsOf('Site-C')).toEqual(new Set(['Site-A', 'Site-B']));
    collected.exportEnded(false);
    expect(await endsOf('Site-B')).toEqual(new Set(['Site-A', 'Site-C']));
    collected.exportEnded(true);
    expect(await endsOf('Site-B')).toEqual(new Set());
  });

  test('so is a series of the exporter itself', async () => {
    const family = { name: 'rras_admin_breaker_open', type: 'gauge', help: '', histograms: [] } as const;
    let interfaces = ['Site-A', 'Site-B'];
    const collected = new Collected({
      own: () => {
        const samples = interfaces.map((name) => ({ labels: { interface: name }, value: 0 }));
        return Promise.resolve([{ ...family, samples }]);
      },
    });
    expect((await collected.of(viewOf())).closed).toEqual([]);
    interfaces = ['Site-B'];
    const ended = [seriesKey(family.name, { interface: 'Site-A' })];
    expect((await collected.of(viewOf())).closed).toEqual(ended);
    collected.exportEnded(false);
    expect((await collected.of(viewOf())).closed).toEqual(ended);
    expect((await collected.of(viewOf())).closed).toEqual([]);
  });

  test('while a receiver is away for long, what ended waits in one metric per family', async () => {
    const collected = new Collected();
    const at = (round: number): View => viewOf({ id: idOf(round) }, { id: idOf(round + 1) });
    await collected.of(at(0));
    const rounds = 200;
    for (let round = 1; round <= rounds; round += 1) {
      collected.exportEnded(false);
      const { resourceMetrics } = await collected.result(at(round));
      const closing = resourceMetrics.scopeMetrics[0]!.metrics.filter(isClosing);
      const names = closing.map(nameOf);
      expect(new Set(names).size).toBe(names.length);
      const received = closing.find((each) => nameOf(each) === 'rras_connection_received_bytes_total');
      expect(received!.dataPoints.length).toBe(round);
    }
    collected.exportEnded(true);
    expect((await collected.of(at(rounds))).closed).toEqual([]);
  });

  test('when connections cannot be read any more, all of theirs are ended', async () => {
    const collected = new Collected();
    const view = viewOf({ id: idOf(1) }, { id: idOf(2) });
    const other = new Float64Array(11).fill(1);
    const { live } = await collected.of({ ...view, shown: { ...view.shown!, other } });
    const { closed } = await collected.of(plainViews().view(snapshotOf(), 0));
    const had = keysOf(live).filter((key) => key.startsWith('rras_connection_'));
    expect(had.filter((key) => !closed.includes(key))).toEqual([]);
  });
});

describe('40 generations of 100 connections', () => {
  const GENERATIONS = 40;
  const EACH = 100;
  const RECEIVED = 'rras_connection_received_bytes_total';
  const idsOf = (generation: number): string[] =>
    Array.from({ length: EACH }, (_, i) => idOf(generation * EACH + i));

  test('are all there while they last, and nothing is kept of those that ended', async () => {
    setFlagsFromString('--expose-gc');
    const collectGarbage = runInNewContext('gc') as () => void;
    const collected = new Collected();
    const seen: WeakRef<object>[] = [];
    const closed: string[] = [];
    for (let generation = 0; generation < GENERATIONS; generation += 1) {
      const view = viewOf(
        ...idsOf(generation).map((id) => ({ id, counters: { receivedBytes: generation } })),
      );
      seen.push(...view.shown!.connections.map((connection) => new WeakRef(connection)));
      const { live, closed: ended } = await collected.of(view);
      const points = byName(live, RECEIVED).dataPoints;
      expect(points.map(({ attributes }) => attributes['connection'])).toEqual(idsOf(generation));
      expect(new Set(points.map(({ value }) => value))).toEqual(new Set([generation]));
      closed.push(...ended.filter((key) => key.startsWith(RECEIVED)));
    }
    // Each that ended was told of once.
    const expected = Array.from({ length: GENERATIONS - 1 }, (_, generation) => idsOf(generation)).flat();
    expect(closed.sort()).toEqual(expected.map((connection) => seriesKey(RECEIVED, { connection })).sort());
    await turn();
    collectGarbage();
    const kept = seen.map((reference) => reference.deref() !== undefined);
    expect(kept.slice(0, -EACH).filter(Boolean)).toEqual([]);
  });

  /** Why the exporter has a producer of its own (docs/opentelemetry.md). */
  test('are too many for the observable instruments of the SDK, which forget none that ended', async () => {
    class Reader extends MetricReader {
      protected onForceFlush(): Promise<void> {
        return Promise.resolve();
      }
      protected onShutdown(): Promise<void> {
        return Promise.resolve();
      }
    }
    const reader = new Reader();
    const provider = new MeterProvider({ readers: [reader] });
    let generation = 0;
    provider
      .getMeter('beside')
      .createObservableCounter('received')
      .addCallback((result) => {
        for (const connection of idsOf(generation)) result.observe(generation, { connection });
      });
    let ids = new Set<unknown>();
    let overflow = false;
    for (; generation < GENERATIONS; generation += 1) {
      const { resourceMetrics } = await reader.collect();
      const points = resourceMetrics.scopeMetrics[0]!.metrics[0]!.dataPoints;
      ids = new Set(points.map(({ attributes }) => attributes['connection']));
      overflow = points.some(({ attributes }) => attributes['otel.metric.overflow'] === true);
    }
    await provider.shutdown();
    expect(overflow).toBe(true);
    // The first are still reported, those of now are not.
    expect(idsOf(0).filter((id) => !ids.has(id))).toEqual([]);
    expect(idsOf(GENERATIONS - 1).filter((id) => ids.has(id))).toEqual([]);
  });
});

/** As the page has it. */
function pageSeries(view: View): Map<string, number> {
  const text = Buffer.concat(new PageEncoder(CATALOGUE, { format: 'text' }).encode(view)).toString();
  const series = new Map<string, number>();
  for (const { samples } of parsePage(text))
    for (const { name, labels, value } of samples) {
      const { le, ...others } = labels;
      const bound = le === undefined ? {} : { le: String(Number(le.replace('+Inf', 'Infinity'))) };
      series.set(seriesKey(name, { ...others, ...bound }), value);
    }
  return series;
}

test('whatever changes, the series and values are those of the page, and what went since is ended', async () => {
  const met = { closed: 0, series: 0 };
  const step = fc.record({
    acts: fc.array(fc.tuple(fc.constantFrom<Act>(...ACTS), fc.constantFrom<Share>(...SHARES)), {
      minLength: 1,
      maxLength: 4,
    }),
    table: fc.constantFrom<Table>(...TABLES),
  });
  await fc.assert(
    fc.asyncProperty(fc.integer(), fc.array(step, { minLength: 1, maxLength: 8 }), async (seed, steps) => {
      const changing = new ChangingView(seed, 20, 60);
      const collected = new Collected();
      let before = new Map<string, number>();
      for (const { acts, table } of steps) {
        for (const [act, share] of acts) changing.change(act, share);
        const { view } = changing.next(table);
        const { live, closed } = await collected.of(view);
        const series = seriesOf(live);
        expect(sorted(series)).toEqual(sorted(pageSeries(view)));
        const ended = new Set(closed);
        // No series is ended that goes on.
        expect(closed.filter((key) => series.has(key))).toEqual([]);
        // Histograms are those of totals: one goes only while it is empty, with the ports of its tunnel.
        const gone = [...before.keys()].filter(
          (key) => !series.has(key) && !key.startsWith('rras_session_duration_seconds'),
        );
        expect(gone.filter((key) => !ended.has(key))).toEqual([]);
        met.closed += closed.length;
        met.series += series.size;
        before = series;
      }
    }),
    { numRuns: 60 },
  );
  expect(met.closed).toBeGreaterThan(0);
  expect(met.series).toBeGreaterThan(1000);
});

const sorted = (series: ReadonlyMap<string, number>): [string, number][] =>
  [...series].sort(([a], [b]) => (a < b ? -1 : 1));
