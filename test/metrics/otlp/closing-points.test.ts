/** Points without a recorded value, as they stand in what is sent. */
import type { AddressInfo } from 'node:net';
import { createServer } from 'node:http';
import { ValueType } from '@opentelemetry/api';
import { ExportResultCode } from '@opentelemetry/core';
import { resourceFromAttributes } from '@opentelemetry/resources';
import type { MetricData, ResourceMetrics } from '@opentelemetry/sdk-metrics';
import { AggregationTemporality, DataPointType } from '@opentelemetry/sdk-metrics';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { closingRequest } from '../../../src/metrics/otlp/closing-points.ts';
import { ExportWatch } from '../../../src/metrics/otlp/export-watch.ts';
import type { Protocol } from '../../../src/metrics/otlp/exporters.ts';
import { metricsExporter } from '../../../src/metrics/otlp/exporters.ts';
import type { ClosingMetricData } from '../../../src/metrics/otlp/producer.ts';
import type { Metric } from '../../e2e/otlp-messages.ts';
import { decodeMetrics } from '../../e2e/otlp-messages.ts';
import { OtlpReceiver } from '../../e2e/otlp-receiver.ts';

const START: [number, number] = [1_795_000_000, 0];
const NOW: [number, number] = [1_795_219_200, 123_456_789];
const NOW_NS = 1_795_219_200_123_456_789n;
const RESOURCE = resourceFromAttributes({ 'service.name': 'rras-exporter', 'host.name': 'Köln' });
const ORIGIN = { resource: { 'service.name': 'rras-exporter', 'host.name': 'Köln' }, scope: 'rras-exporter' };
const SCOPE = { name: 'rras-exporter', version: '1.2.3' };

const SUM: MetricData = {
  descriptor: {
    name: 'rras.connection.received',
    description: 'Bytes.',
    unit: 'By',
    valueType: ValueType.DOUBLE,
  },
  aggregationTemporality: AggregationTemporality.CUMULATIVE,
  dataPointType: DataPointType.SUM,
  isMonotonic: true,
  dataPoints: [{ startTime: START, endTime: NOW, attributes: { connection: 'a' }, value: 7 }],
};
const closingSum = (...connections: readonly string[]): ClosingMetricData => ({
  ...SUM,
  noRecordedValue: true,
  dataPoints: connections.map((connection) => ({
    startTime: NOW,
    endTime: NOW,
    attributes: { connection, empty: '', name: 'Łukasz 😀' },
    value: 0,
  })),
});
const CLOSING_GAUGE: ClosingMetricData = {
  descriptor: { name: 'rras.connection.info', description: '', unit: '', valueType: ValueType.DOUBLE },
  aggregationTemporality: AggregationTemporality.CUMULATIVE,
  dataPointType: DataPointType.GAUGE,
  dataPoints: [{ startTime: NOW, endTime: NOW, attributes: { connection: 'b' }, value: 0 }],
  noRecordedValue: true,
};

const pointsOf = (metrics: readonly Metric[], ended: boolean): unknown[] =>
  metrics.flatMap(({ name, points }) =>
    [...points]
      .filter(({ noRecordedValue }) => noRecordedValue === ended)
      .map(({ attributes }) => `${name} ${attributes['connection'] as string}`),
  );

describe('a request of closing points', () => {
  test('has number points with the flag and without a value', () => {
    const point = {
      startNs: NOW_NS,
      timeNs: NOW_NS,
      noRecordedValue: true,
      value: undefined,
      integer: false,
    };
    expect(decodeMetrics(closingRequest(RESOURCE, SCOPE, [closingSum('b'), CLOSING_GAUGE]))).toEqual([
      {
        ...ORIGIN,
        name: 'rras.connection.received',
        description: '',
        unit: 'By',
        kind: 'sum',
        monotonic: true,
        temporality: 'cumulative',
        points: [{ ...point, attributes: { connection: 'b', empty: '', name: 'Łukasz 😀' } }],
      },
      {
        ...ORIGIN,
        name: 'rras.connection.info',
        description: '',
        unit: '',
        kind: 'gauge',
        monotonic: false,
        temporality: undefined,
        points: [{ ...point, attributes: { connection: 'b' } }],
      },
    ]);
  });

  test.each([1, 127, 128, 129, 20_000])('has lengths that are right with %d points', (count) => {
    const connections = Array.from({ length: count }, (_, i) => `${i}`);
    const [metric] = decodeMetrics(closingRequest(RESOURCE, SCOPE, [closingSum(...connections)]));
    expect(metric!.points.map(({ attributes }) => attributes['connection'])).toEqual(connections);
    expect(metric!.points.every(({ noRecordedValue }) => noRecordedValue)).toBe(true);
  });

  test('has names of many bytes', () => {
    const long = '山'.repeat(5000);
    const [metric] = decodeMetrics(closingRequest(RESOURCE, SCOPE, [closingSum(long)]));
    expect(metric!.points[0]!.attributes['connection']).toBe(long);
  });
});

describe('what is sent', () => {
  const none = { debug: vi.fn(), info: vi.fn(), warn: vi.fn(), error: vi.fn() };

  async function send(url: string, protocol: Protocol, ...metrics: readonly MetricData[]): Promise<void> {
    vi.stubEnv('OTEL_EXPORTER_OTLP_ENDPOINT', url);
    const exporter = metricsExporter(protocol, new ExportWatch('metrics', none, () => undefined));
    const request: ResourceMetrics = {
      resource: RESOURCE,
      scopeMetrics: [{ scope: SCOPE, metrics: [...metrics] }],
    };
    const { code, error } = await new Promise<{ code: ExportResultCode; error?: Error }>((resolve) => {
      exporter.export(request, resolve);
    });
    await exporter.shutdown();
    expect([code, error]).toEqual([ExportResultCode.SUCCESS, undefined]);
  }

  afterEach(() => {
    vi.unstubAllEnvs();
  });

  describe('as protobuf', () => {
    let receiver: OtlpReceiver;
    beforeEach(async () => {
      receiver = await OtlpReceiver.start();
    });
    afterEach(async () => {
      await receiver.goAway();
    });

    test('has both kinds of points in one request', async () => {
      await send(receiver.url, 'http/protobuf', SUM, closingSum('b', 'c'), CLOSING_GAUGE);
      expect(receiver.counts.metrics).toBe(1);
      expect(receiver.complaints).toEqual([]);
      const { metrics } = receiver;
      expect(pointsOf(metrics, false)).toEqual(['rras.connection.received a']);
      expect(pointsOf(metrics, true)).toEqual([
        'rras.connection.received b',
        'rras.connection.received c',
        'rras.connection.info b',
      ]);
      const [live] = metrics;
      expect(live).toMatchObject({ ...ORIGIN, kind: 'sum', points: [{ value: 7 }] });
      expect(metrics.map(({ resource }) => resource)).toEqual(Array(metrics.length).fill(ORIGIN.resource));
    });

    test('may have nothing but points that end series', async () => {
      await send(receiver.url, 'http/protobuf', closingSum('b'));
      expect(pointsOf(receiver.metrics, true)).toEqual(['rras.connection.received b']);
      expect(pointsOf(receiver.metrics, false)).toEqual([]);
    });
  });

  test('as JSON has no points that end series: with the value of 0 they would be a lie', async () => {
    let body = '';
    const server = createServer((request, response) => {
      request.on('data', (chunk: Buffer) => (body += chunk.toString()));
      request.on('end', () => response.writeHead(200, { 'Content-Type': 'application/json' }).end('{}'));
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    try {
      await send(`http://127.0.0.1:${port}`, 'http/json', SUM, closingSum('b'), CLOSING_GAUGE);
    } finally {
      server.close();
    }
    const sent = JSON.parse(body) as {
      resourceMetrics: { scopeMetrics: { metrics: { name: string; sum?: { dataPoints: object[] } }[] }[] }[];
    };
    const [metric, ...others] = sent.resourceMetrics[0]!.scopeMetrics[0]!.metrics;
    expect(others).toEqual([]);
    expect(metric!.name).toBe('rras.connection.received');
    expect(metric!.sum!.dataPoints).toHaveLength(1);
  });
});
