/** The requests of one collection: what becomes of the rest when one of them fails. */
import type { ResourceMetrics } from '@opentelemetry/sdk-metrics';
import { resourceFromAttributes } from '@opentelemetry/resources';
import { AggregationTemporality, DataPointType } from '@opentelemetry/sdk-metrics';
import { afterEach, expect, test, vi } from 'vitest';
import { ExportWatch } from '../../../src/metrics/otlp/export-watch.ts';
import { metricsExporter, POINTS_PER_REQUEST } from '../../../src/metrics/otlp/exporters.ts';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

afterEach(() => vi.unstubAllEnvs());

/** Requests of a collection, all of them full but the last. */
function requests(count: number, seconds: number): ResourceMetrics[] {
  const endTime: [number, number] = [seconds, 0];
  const point = { startTime: endTime, endTime, attributes: {}, value: 1 };
  return Array.from({ length: count }, (_, i) => ({
    resource: resourceFromAttributes({}),
    scopeMetrics: [
      {
        scope: { name: 'x' },
        metrics: [
          {
            descriptor: { name: `m${i}`, description: '', unit: '', valueType: 1 },
            aggregationTemporality: AggregationTemporality.CUMULATIVE,
            dataPointType: DataPointType.GAUGE as const,
            dataPoints: Array.from({ length: i + 1 < count ? POINTS_PER_REQUEST : 1 }, () => point),
          },
        ],
      },
    ],
  }));
}

async function exported(statuses: (request: number) => number) {
  let received = 0;
  const server = createServer((request, response) => {
    request.resume().on('end', () => {
      received += 1;
      response.writeHead(statuses(received), { 'Content-Type': 'application/x-protobuf' }).end();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  vi.stubEnv('OTEL_EXPORTER_OTLP_ENDPOINT', `http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  const lines: string[] = [];
  const none = (): void => undefined;
  const tell = (message: string): void => void lines.push(message);
  const logger = { debug: none, info: tell, warn: tell, error: tell };
  const exporter = metricsExporter('http/protobuf', new ExportWatch('metrics', logger, none), 500);
  const send = (batch: ResourceMetrics): Promise<number> =>
    new Promise((resolve) => exporter.export(batch, ({ code }) => resolve(code)));
  return {
    lines,
    received: () => received,
    collection: async (count: number, seconds: number): Promise<number[]> => {
      const codes: number[] = [];
      for (const batch of requests(count, seconds)) codes.push(await send(batch));
      return codes;
    },
    end: async (): Promise<void> => {
      await exporter.shutdown();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

const FAILS = 'OTLP export fails; it is tried again at the next interval';

test('after one that is not taken, the rest of the collection is not sent', async () => {
  const { collection, received, lines, end } = await exported((n) => (n === 2 ? 401 : 200));
  expect(await collection(5, 100)).toEqual([0, 1, 1, 1, 1]);
  expect(received()).toBe(2);
  expect(lines).toEqual([FAILS]);
  expect(await collection(3, 200)).toEqual([0, 0, 0]);
  expect(received()).toBe(5);
  expect(lines).toEqual([FAILS, 'OTLP export works']);
  await end();
});

test('a part that is refused for what it holds keeps no other out, and is told of once', async () => {
  const { collection, received, lines, end } = await exported((n) => (n % 3 === 2 ? 400 : 200));
  for (const seconds of [100, 200, 300]) expect(await collection(3, seconds)).toEqual([0, 1, 0]);
  expect(received()).toBe(9);
  expect(lines).toEqual([FAILS]);
  await end();
});
