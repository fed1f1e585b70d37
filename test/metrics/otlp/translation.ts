/**
 * How Prometheus translates OTLP, by its documentation and apart from the code under test
 * (opentelemetry.io/docs/specs/otel/compatibility/prometheus_and_openmetrics, "With suffixes").
 */
import type { MetricData } from '@opentelemetry/sdk-metrics';
import { DataPointType } from '@opentelemetry/sdk-metrics';

export type Kind = 'gauge' | 'counter' | 'histogram';

/** UCUM units with a word of their own; units in braces are remarks. */
const WORDS: Readonly<Record<string, string>> = {
  d: 'days',
  h: 'hours',
  min: 'minutes',
  s: 'seconds',
  ms: 'milliseconds',
  us: 'microseconds',
  ns: 'nanoseconds',
  By: 'bytes',
  KiBy: 'kibibytes',
  MiBy: 'mebibytes',
  KBy: 'kilobytes',
  m: 'meters',
  V: 'volts',
  A: 'amperes',
  J: 'joules',
  W: 'watts',
  g: 'grams',
  Cel: 'celsius',
  Hz: 'hertz',
  '%': 'percent',
};

export function prometheusName(name: string, unit: string, kind: Kind): string {
  let words = name.split(/[^a-zA-Z0-9:]+/).filter((word) => word !== '');
  const append = (word: string): void => {
    words = [...words.filter((each) => each !== word), word];
  };
  const plain = unit.replaceAll(/\{[^}]*\}/g, '').trim();
  const [main = '', per] = plain.split('/');
  if (main !== '' && main !== '1') {
    const word = WORDS[main] ?? main;
    // Not twice.
    if (!words.includes(word)) words.push(word);
  }
  if (per !== undefined) words.push('per', per);
  if (kind === 'counter') append('total');
  if (kind === 'gauge' && plain === '1') append('ratio');
  return words.join('_').replace(/^(?=\d)/, '_');
}

export function kindOf(metric: MetricData): Kind {
  switch (metric.dataPointType) {
    case DataPointType.GAUGE:
      return 'gauge';
    case DataPointType.SUM:
      if (!metric.isMonotonic) throw new Error(`${metric.descriptor.name} is a sum that may fall`);
      return 'counter';
    case DataPointType.HISTOGRAM:
      return 'histogram';
    default:
      throw new Error(`${metric.descriptor.name} is of no kind that Prometheus has`);
  }
}

export const nameOf = (metric: MetricData): string =>
  prometheusName(metric.descriptor.name, metric.descriptor.unit, kindOf(metric));

export const seriesKey = (name: string, labels: Readonly<Record<string, unknown>>): string =>
  `${name}${JSON.stringify(Object.entries(labels).sort(([a], [b]) => (a < b ? -1 : 1)))}`;

/** Values by series as a store keeps them: histograms in buckets that are cumulated, with their sum and count. */
export function seriesOf(metrics: readonly MetricData[]): Map<string, number> {
  const series = new Map<string, number>();
  const add = (name: string, labels: Readonly<Record<string, unknown>>, value: number): void => {
    const key = seriesKey(name, labels);
    if (series.has(key)) throw new Error(`two points of ${key}`);
    series.set(key, value);
  };
  for (const metric of metrics) {
    const name = nameOf(metric);
    if (metric.dataPointType === DataPointType.HISTOGRAM) {
      for (const { attributes, value } of metric.dataPoints) {
        const { boundaries, counts } = value.buckets;
        if (counts.length !== boundaries.length + 1) throw new Error(`buckets of ${name}`);
        let cumulated = 0;
        counts.forEach((count, i) => {
          cumulated += count;
          add(`${name}_bucket`, { ...attributes, le: String(boundaries[i] ?? Infinity) }, cumulated);
        });
        if (cumulated !== value.count) throw new Error(`the count of ${name} is not that of its buckets`);
        add(`${name}_count`, attributes, value.count);
        add(`${name}_sum`, attributes, value.sum ?? NaN);
      }
    } else if (metric.dataPointType !== DataPointType.EXPONENTIAL_HISTOGRAM) {
      for (const { attributes, value } of metric.dataPoints) add(name, attributes, value);
    }
  }
  return series;
}
