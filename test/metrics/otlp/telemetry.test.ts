/** What is started by a plan, as a receiver in the same process sees it. */
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { CatalogueProducer } from '../../../src/metrics/otlp/producer.ts';
import type { Telemetry } from '../../../src/metrics/otlp/telemetry.ts';
import { startTelemetry } from '../../../src/metrics/otlp/telemetry.ts';
import { systemClock } from '../../../src/runtime/clock.ts';
import { OtlpReceiver } from '../../e2e/otlp-receiver.ts';
import { until } from '../../e2e/program.ts';
import { idOf, plainViews, snapshotOf, tableOf } from '../snapshots.ts';

let receiver: OtlpReceiver;
let telemetry: Telemetry | undefined;
beforeEach(async () => {
  receiver = await OtlpReceiver.start();
  vi.stubEnv('OTEL_EXPORTER_OTLP_ENDPOINT', receiver.url);
  vi.stubEnv('OTEL_METRIC_EXPORT_INTERVAL', '100');
});
afterEach(async () => {
  await telemetry?.shutdown();
  await receiver.goAway();
  vi.unstubAllEnvs();
});

/** A server with one connection, of which so much was received. */
function producerOf(receivedBytes: number): CatalogueProducer {
  const connections = tableOf([{ id: idOf(1), counters: { receivedBytes } }]);
  const views = plainViews();
  return new CatalogueProducer({
    view: () => Promise.resolve(views.view(snapshotOf({ connections }), 0)),
    connections: true,
    startedAtSeconds: 1_795_000_000,
    version: '1',
    clock: systemClock,
  });
}

test('two servers are two resources, and their equal series do not merge', async () => {
  const none = { debug: vi.fn(), info: vi.fn(), warn: vi.fn(), error: vi.fn() };
  const counts: string[] = [];
  vi.stubEnv('OTEL_RESOURCE_ATTRIBUTES', 'deployment.environment.name=lab');
  telemetry = startTelemetry({
    plan: { metrics: 'http/protobuf' },
    version: '1.2.3',
    hostName: 'here',
    producer: producerOf(1),
    logger: none,
    level: 'info',
    clock: systemClock,
    count: (signal, outcome) => counts.push(`${signal} ${outcome}`),
  });
  telemetry.addServer('vpn2', producerOf(2));
  telemetry.addServer('vpn3', producerOf(3));
  const received = (): Map<unknown, Set<unknown>> => {
    const values = new Map<unknown, Set<unknown>>();
    for (const { name, resource, points } of receiver.metrics) {
      if (name !== 'rras.connection.received') continue;
      expect(resource).toMatchObject({
        'service.name': 'rras-exporter',
        'service.version': '1.2.3',
        'host.name': 'here',
        'deployment.environment.name': 'lab',
      });
      for (const point of points) {
        expect(point.attributes).toEqual({ connection: idOf(1) });
        const instance = resource['service.instance.id'];
        const of = values.get(instance) ?? new Set();
        values.set(instance, of.add('value' in point ? point.value : undefined));
      }
    }
    return values;
  };
  await until('all have sent twice', () => receiver.counts.metrics >= 6 && received().size === 3);
  expect(received()).toEqual(
    new Map([
      ['here', new Set([1])],
      ['vpn2', new Set([2])],
      ['vpn3', new Set([3])],
    ]),
  );
  await until('all are counted', () => counts.length >= 6);
  expect(new Set(counts)).toEqual(new Set(['metrics success']));
  expect(receiver.complaints).toEqual([]);
});

test.each(['http/protobuf', 'http/json'] as const)(
  'a server that is taken out keeps no connection to the receiver (%s)',
  async (protocol) => {
    telemetry = startTelemetry({
      plan: { metrics: protocol },
      version: '1',
      hostName: 'here',
      producer: producerOf(1),
      logger: { debug: vi.fn(), info: vi.fn(), warn: vi.fn(), error: vi.fn() },
      level: 'info',
      clock: systemClock,
      count: () => undefined,
    });
    const stops = [telemetry.addServer('vpn2', producerOf(2)), telemetry.addServer('vpn3', producerOf(3))];
    await until('all have sent', async () => (await receiver.connections) === 3);
    await Promise.all(stops.map((stop) => stop()));
    await until('their connections are gone', async () => (await receiver.connections) === 1, 2000);
    await telemetry.shutdown();
    await until('all are gone', async () => (await receiver.connections) === 0, 2000);
  },
);
