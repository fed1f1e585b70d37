/**
 * The catalogue as OTLP metrics. Points are made anew at each collection, so that a session that ended is in the next one
 * no more; its series are closed by points without a recorded value.
 */
import type { Attributes, HrTime } from '@opentelemetry/api';
import { ValueType } from '@opentelemetry/api';
import type {
  CollectionResult,
  DataPoint,
  Histogram,
  MetricData,
  MetricProducer,
} from '@opentelemetry/sdk-metrics';
import { AggregationTemporality, DataPointType } from '@opentelemetry/sdk-metrics';
import { emptyResource } from '@opentelemetry/resources';
import type { Clock } from '../../model/clock.ts';
import type { Sliced } from '../../model/slices.ts';
import { inSlices, ROWS_PER_SLICE } from '../../model/slices.ts';
import type { ConnectionFamily, Family, IdentityFamily } from '../catalogue.ts';
import { CATALOGUE } from '../catalogue.ts';
import type { ShownTable, View, VisibleConnection } from '../labels.ts';
import type { OwnFamily } from '../self.ts';
import { otlpName } from './names.ts';

export interface ProducerOptions {
  /** The newest view of the server. */
  readonly view: () => Promise<View>;
  /** The exporter's own metrics; absent where another producer has them. */
  readonly own?: () => Promise<readonly OwnFamily[]>;
  /** Also the families of single connections. */
  readonly connections: boolean;
  /** Unix seconds at which the totals began. */
  readonly startedAtSeconds: number;
  readonly version: string;
  readonly clock: Clock;
}

/** Points that say that there is no value any more: a store ends their series at once. */
export type ClosingMetricData = MetricData & { readonly noRecordedValue: true };

export const isClosing = (metric: MetricData): metric is ClosingMetricData => 'noRecordedValue' in metric;

const OTHER = 'other';

/** Seconds and nanoseconds, to the microsecond. */
export function toHrTime(seconds: number): HrTime {
  const microseconds = Math.round(seconds * 1e6);
  const whole = Math.floor(microseconds / 1e6);
  return [whole, (microseconds - whole * 1e6) * 1000];
}

/** What is kept of a connection while it lives. */
interface Kept {
  readonly attributes: Attributes;
  readonly start: HrTime;
}

/** A connection as it was; `is` undefined: it has ended. */
interface Gone {
  readonly was: VisibleConnection;
  readonly is: VisibleConnection | undefined;
  readonly attributes: Attributes;
}

/** What may wait to be closed, while the receiver is away, in series of a family. */
const MOST_UNCLOSED = 50_000;

export class CatalogueProducer implements MetricProducer {
  readonly #options: ProducerOptions;
  readonly #families: readonly Family[];
  readonly #start: HrTime;
  #kept = new Map<VisibleConnection, Kept>();
  /** Of the last collection: by family and label values, the attributes of series that come and go by themselves. */
  #series = new Map<string, ReadonlyMap<string, Attributes>>();
  /** What the last collection closed, by family: to be closed again if it did not arrive. */
  readonly #unclosed = new Map<
    string,
    { readonly closed: ClosingMetricData; readonly series: Map<string, Attributes> }
  >();
  #arrived = true;

  constructor(options: ProducerOptions) {
    this.#options = options;
    this.#start = toHrTime(options.startedAtSeconds);
    this.#families = options.connections
      ? CATALOGUE
      : CATALOGUE.filter(({ kind }) => kind !== 'connections' && kind !== 'identity');
  }

  /** How an export of what was collected last went. */
  exportEnded(succeeded: boolean): void {
    if (!succeeded) this.#arrived = false;
  }

  async collect(): Promise<CollectionResult> {
    const { view, own, clock, version } = this.#options;
    const [seen, ownFamilies] = await Promise.all([view(), own?.() ?? []]);
    const time = toHrTime(clock.wallSeconds());
    const all = await inSlices(this.#metrics(seen, time), clock);
    for (const family of ownFamilies) all.push(...this.#ownMetrics(family, time));
    const metrics = await inSlices(this.#settle(all, time), clock);
    const scope = { name: 'rras-exporter', version };
    // The resource is the reader's.
    return { resourceMetrics: { resource: emptyResource(), scopeMetrics: [{ scope, metrics }] }, errors: [] };
  }

  *#metrics(view: View, time: HrTime): Sliced<MetricData[]> {
    const metrics: MetricData[] = [];
    const { shown } = view;
    const keptBefore = this.#kept;
    if (shown && this.#options.connections) yield* this.#keep(shown);
    else this.#kept = new Map<VisibleConnection, Kept>();
    const goneConnections = yield* this.#goneConnections(keptBefore);
    for (const family of this.#families) {
      switch (family.kind) {
        case 'samples': {
          const points: DataPoint<number>[] = [];
          const series = new Map<string, Attributes>();
          family.collect(view, (value, ...labelValues) => {
            const attributes = attributesOf(family.labels, labelValues);
            series.set(JSON.stringify(labelValues), attributes);
            points.push({ startTime: this.#start, endTime: time, attributes, value });
          });
          if (points.length > 0) metrics.push(numbers(family, points));
          metrics.push(...this.#ended(family, series, time));
          break;
        }
        case 'histogram': {
          const points: DataPoint<Histogram>[] = [];
          family.collect(view, (counts, sum, ...labelValues) => {
            const attributes = attributesOf(family.labels, labelValues);
            const value = histogram(family.bounds, counts, sum);
            points.push({ startTime: this.#start, endTime: time, attributes, value });
          });
          if (points.length > 0) metrics.push(histograms(family, points));
          break;
        }
        case 'connections':
        case 'identity': {
          const rare = new Map<string, Attributes>();
          const points = shown ? yield* this.#connectionPoints(family, shown, time, rare) : [];
          if (points.length > 0) metrics.push(numbers(family, points));
          const gone: Attributes[] = [];
          for (const [i, each] of goneConnections.entries()) {
            gone.push(...goneSeries(family, each));
            if (i % ROWS_PER_SLICE === 0) yield;
          }
          if (gone.length > 0) metrics.push(closing(family, gone, time));
          metrics.push(...this.#ended(family, rare, time));
          break;
        }
      }
      yield;
    }
    return metrics;
  }

  /** Puts what is to be closed into one metric per family, with what did not arrive before and is not there again. */
  *#settle(all: readonly MetricData[], endTime: HrTime): Sliced<MetricData[]> {
    const metrics = all.filter((metric) => !isClosing(metric));
    if (this.#arrived) this.#unclosed.clear();
    this.#arrived = true;
    for (const [name, { series }] of this.#unclosed) {
      const live = metrics.find(({ descriptor }) => descriptor.name === name)?.dataPoints ?? [];
      for (const [i, { attributes }] of live.entries()) {
        series.delete(JSON.stringify(attributes));
        if (i % ROWS_PER_SLICE === 0) yield;
      }
    }
    for (const closed of all.filter(isClosing)) {
      const { name } = closed.descriptor;
      let waiting = this.#unclosed.get(name);
      if (!waiting) this.#unclosed.set(name, (waiting = { closed, series: new Map<string, Attributes>() }));
      for (const [i, { attributes }] of closed.dataPoints.entries()) {
        if (waiting.series.size < MOST_UNCLOSED) waiting.series.set(JSON.stringify(attributes), attributes);
        if (i % ROWS_PER_SLICE === 0) yield;
      }
    }
    for (const { closed, series } of this.#unclosed.values()) {
      const dataPoints: DataPoint<number>[] = [];
      for (const attributes of series.values())
        dataPoints.push({ startTime: endTime, endTime, attributes, value: 0 });
      if (dataPoints.length > 0) metrics.push({ ...closed, dataPoints } as ClosingMetricData);
      yield;
    }
    return metrics;
  }

  *#keep({ connections }: ShownTable): Sliced<void> {
    const kept = new Map<VisibleConnection, Kept>();
    for (let i = 0; i < connections.length; i += 1) {
      const connection = connections[i]!;
      kept.set(
        connection,
        this.#kept.get(connection) ?? {
          attributes: { connection: connection.id },
          start: toHrTime(connection.startTimeSeconds),
        },
      );
      if (i % ROWS_PER_SLICE === 0) yield;
    }
    this.#kept = kept;
  }

  *#connectionPoints(
    family: ConnectionFamily | IdentityFamily,
    shown: ShownTable,
    endTime: HrTime,
    /** Gets those that not every connection has at any time. */
    rare: Map<string, Attributes>,
  ): Sliced<DataPoint<number>[]> {
    const points: DataPoint<number>[] = [];
    const { connections, other } = shown;
    if (family.kind === 'identity') {
      for (let i = 0; i < connections.length; i += 1) {
        const connection = connections[i]!;
        const attributes = identityAttributes(family, connection);
        points.push({ startTime: this.#kept.get(connection)!.start, endTime, attributes, value: 1 });
        if (i % ROWS_PER_SLICE === 0) yield;
      }
      return points;
    }
    for (const { values, divisor = 1, nonZero, where, counter, labelValue } of family.series) {
      const column = values(shown);
      const label = family.label === undefined ? undefined : { [family.label]: labelValue ?? '' };
      for (let i = 0; i < connections.length; i += 1) {
        if (i % ROWS_PER_SLICE === 0) yield;
        const connection = connections[i]!;
        const value = column[i]! / divisor;
        if ((nonZero && value === 0) || (where && !where(connection))) continue;
        const kept = this.#kept.get(connection)!;
        const attributes = label ? { ...kept.attributes, ...label } : kept.attributes;
        if (nonZero) rare.set(`${connection.id} ${labelValue ?? ''}`, attributes);
        points.push({ startTime: kept.start, endTime, attributes, value });
      }
      const unseen = counter === undefined ? undefined : other?.[counter];
      if (unseen !== undefined && !(nonZero && unseen === 0)) {
        const attributes = { connection: OTHER, ...label };
        rare.set(`${OTHER} ${labelValue ?? ''}`, attributes);
        points.push({ startTime: this.#start, endTime, attributes, value: unseen });
      }
    }
    return points;
  }

  /** Points for the series that the last collection had and these are not any more. */
  #ended(family: Head, series: ReadonlyMap<string, Attributes>, time: HrTime): ClosingMetricData[] {
    const gone: Attributes[] = [];
    for (const [key, attributes] of this.#series.get(family.name) ?? [])
      if (!series.has(key)) gone.push(attributes);
    this.#series.set(family.name, series);
    return gone.length > 0 ? [closing(family, gone, time)] : [];
  }

  /** Connections of the last collection that this one has not, each with what it looks like now, if it goes on. */
  *#goneConnections(before: ReadonlyMap<VisibleConnection, Kept>): Sliced<Gone[]> {
    const gone: Gone[] = [];
    let row = 0;
    for (const [was, { attributes }] of before) {
      if (!this.#kept.has(was)) gone.push({ was, attributes, is: undefined });
      if ((row += 1) % ROWS_PER_SLICE === 0) yield;
    }
    if (gone.length === 0) return gone;
    const byId = new Map<string, VisibleConnection>();
    for (const connection of this.#kept.keys()) {
      byId.set(connection.id, connection);
      if ((row += 1) % ROWS_PER_SLICE === 0) yield;
    }
    return gone.map((each) => ({ ...each, is: byId.get(each.was.id) }));
  }

  #ownMetrics(family: OwnFamily, endTime: HrTime): MetricData[] {
    const startTime = this.#start;
    if (family.type === 'histogram') {
      const points = family.histograms.map(({ labels, bounds, counts, sum }) => ({
        startTime,
        endTime,
        attributes: labels,
        value: histogram(bounds, counts, sum),
      }));
      return points.length > 0 ? [histograms(family, points)] : [];
    }
    const { samples } = family;
    const points = samples.map(({ labels, value }) => ({ startTime, endTime, attributes: labels, value }));
    const series = new Map(samples.map(({ labels }) => [JSON.stringify(labels), labels]));
    return [...(points.length > 0 ? [numbers(family, points)] : []), ...this.#ended(family, series, endTime)];
  }
}

type Head = Pick<Family, 'name' | 'type' | 'help'>;

const descriptorOf = ({ name, type, help }: Head): MetricData['descriptor'] => ({
  ...otlpName(name, type),
  description: help,
  valueType: ValueType.DOUBLE,
});

function numbers(family: Head, dataPoints: DataPoint<number>[]): MetricData {
  const common = {
    descriptor: descriptorOf(family),
    aggregationTemporality: AggregationTemporality.CUMULATIVE,
    dataPoints,
  };
  return family.type === 'counter'
    ? { ...common, dataPointType: DataPointType.SUM, isMonotonic: true }
    : { ...common, dataPointType: DataPointType.GAUGE };
}

function closing(family: Head, gone: readonly Attributes[], endTime: HrTime): ClosingMetricData {
  const points = gone.map((attributes) => ({ startTime: endTime, endTime, attributes, value: 0 }));
  return { ...numbers(family, points), noRecordedValue: true };
}

function histograms(family: Head, dataPoints: DataPoint<Histogram>[]): MetricData {
  return {
    descriptor: descriptorOf(family),
    aggregationTemporality: AggregationTemporality.CUMULATIVE,
    dataPointType: DataPointType.HISTOGRAM,
    dataPoints,
  };
}

/** `counts` are not cumulated; the last is of the bucket without a bound. */
function histogram(bounds: readonly number[], counts: ArrayLike<number>, sum: number): Histogram {
  const all = Array.from(counts);
  return {
    buckets: { boundaries: [...bounds], counts: all },
    count: all.reduce((total, count) => total + count, 0),
    sum,
  };
}

/** Object.fromEntries takes several times as long, and there are many. */
function attributesOf(
  labels: readonly string[],
  values: readonly string[],
  attributes: Attributes = {},
): Attributes {
  for (let i = 0; i < labels.length; i += 1) attributes[labels[i]!] = values[i]!;
  return attributes;
}

const identityAttributes = (family: IdentityFamily, connection: VisibleConnection): Attributes =>
  attributesOf(family.labels, family.texts(connection), { connection: connection.id });

/** Attributes of the series of a family that a connection had and has not any more. */
function goneSeries(family: ConnectionFamily | IdentityFamily, { was, is, attributes }: Gone): Attributes[] {
  if (family.kind === 'identity') {
    const texts = family.texts(was);
    const same = is && family.texts(is).every((text, i) => text === texts[i]);
    return same ? [] : [identityAttributes(family, was)];
  }
  return family.series.flatMap(({ where, nonZero, labelValue }) => {
    // Told apart by the series that there were.
    if (nonZero) return [];
    if ((where && !where(was)) || (is && (!where || where(is)))) return [];
    return [family.label === undefined ? attributes : { ...attributes, [family.label]: labelValue ?? '' }];
  });
}
