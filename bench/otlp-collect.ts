/**
 * What a collection for OTLP of 100,000 points takes, and how long it and the sending of them hold up the event loop;
 * beside it the observable instruments of the SDK with as many points.
 */
import type { Server } from 'node:http';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { MeterProvider, MetricReader } from '@opentelemetry/sdk-metrics';
import { ViewMaker } from '../src/metrics/labels.ts';
import type { View } from '../src/metrics/labels.ts';
import { CatalogueProducer } from '../src/metrics/otlp/producer.ts';
import type { Telemetry } from '../src/metrics/otlp/telemetry.ts';
import { POINTS_PER_REQUEST } from '../src/metrics/otlp/exporters.ts';
import { startTelemetry } from '../src/metrics/otlp/telemetry.ts';
import { systemClock } from '../src/runtime/clock.ts';
import { SimulatedPolls } from './simulated-polls.ts';
import type { Rounds } from './timing.ts';
import { inRounds, median } from './timing.ts';

export const OTLP_POINTS = 100_000;
/** Of the scenario `large`, with some points more than 100,000. */
const CONNECTIONS = 11_500;
/** Of the SDK's instruments; enough for what is observed here. */
const NO_LIMIT = 1_000_000;
const NS_PER_MS = 1e6;
const SENT_WITHIN_MS = 30_000;

export interface OtlpFigures {
  readonly points: number;
  readonly collectMs: number;
  readonly sdkCollectMs: number;
  /** From the first step of a collection to the last answer. */
  readonly sendMs: number;
  /** Longest delay of the event loop in that time: median and worst of the exports. */
  readonly longestDelayMs: number;
  readonly worstDelayMs: number;
}

export async function measureOtlp(rounds: Rounds): Promise<OtlpFigures> {
  const view = await viewOfMany();
  const { points, ms } = await measureCollect(view, rounds);
  const sdkMs = await measureObservables(points, rounds);
  const { sendMs, delayMs } = await measureSending(view, points, rounds);
  return {
    points,
    collectMs: median(ms),
    sdkCollectMs: median(sdkMs),
    sendMs: median(sendMs),
    longestDelayMs: median(delayMs),
    worstDelayMs: Math.max(...delayMs),
  };
}

/** As a server with that many connections shows itself. */
export async function viewOfMany(): Promise<View> {
  const polls = new SimulatedPolls({
    scenario: 'large',
    connections: CONNECTIONS,
    stepMs: 15_000,
    userLimit: 0,
  });
  const { snapshot, monotonicMs } = await polls.next();
  const privacy = { users: 'plain', addresses: 'plain' } as const;
  return new ViewMaker({ privacy, detail: 'full', limit: CONNECTIONS }).view(snapshot, monotonicMs);
}

function producerOf(view: () => Promise<View>): CatalogueProducer {
  const startedAtSeconds = systemClock.wallSeconds();
  return new CatalogueProducer({
    view,
    connections: true,
    startedAtSeconds,
    version: '',
    clock: systemClock,
  });
}

/** One figure for each round. The turns that it gives to others are in it. */
export async function measureCollect(
  view: View,
  rounds: Rounds,
): Promise<{ points: number; ms: readonly number[] }> {
  const producer = producerOf(() => Promise.resolve(view));
  const ms: number[] = [];
  let points = 0;
  await inRounds(rounds, async () => {
    const started = performance.now();
    const { resourceMetrics } = await producer.collect();
    ms.push(performance.now() - started);
    points = 0;
    for (const { metrics } of resourceMetrics.scopeMetrics)
      for (const { dataPoints } of metrics) points += dataPoints.length;
  });
  if (points < OTLP_POINTS) throw new Error(`${points} points instead of ${OTLP_POINTS}`);
  return { points, ms: ms.slice(rounds.warmUp) };
}

class Reader extends MetricReader {
  protected onForceFlush(): Promise<void> {
    return Promise.resolve();
  }
  protected onShutdown(): Promise<void> {
    return Promise.resolve();
  }
}

const OBSERVED = 9;

/** The peer: as many points of as many connections, by observable counters. */
export async function measureObservables(points: number, rounds: Rounds): Promise<readonly number[]> {
  const reader = new Reader({ cardinalitySelector: () => NO_LIMIT });
  const provider = new MeterProvider({ readers: [reader] });
  const meter = provider.getMeter('peer');
  const attributes = Array.from({ length: Math.ceil(points / OBSERVED) }, (_, i) => ({
    connection: i.toString(16).padStart(16, '0'),
  }));
  for (let i = 0; i < OBSERVED; i += 1)
    meter.createObservableCounter(`observed_${i}`).addCallback((result) => {
      for (const each of attributes) result.observe(i, each);
    });
  const ms: number[] = [];
  await inRounds(rounds, async () => {
    const started = performance.now();
    await reader.collect();
    ms.push(performance.now() - started);
  });
  await provider.shutdown();
  return ms.slice(rounds.warmUp);
}

/** Takes whatever comes, and reads none of it. */
async function startSink(onRequest: () => void): Promise<Server> {
  const server = createServer((request, response) => {
    request.resume().on('end', () => {
      response.writeHead(200, { 'Content-Type': 'application/x-protobuf' }).end();
      onRequest();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return server;
}

const SILENT = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
};

/** Whole exports: collected, serialised and sent to a receiver in this process; one figure for each. */
export async function measureSending(
  view: View,
  points: number,
  rounds: Rounds,
): Promise<{ sendMs: readonly number[]; delayMs: readonly number[] }> {
  let began = 0;
  let requests = 0;
  let exported = 0;
  const producer = producerOf(() => {
    began = performance.now();
    requests = 0;
    delay.reset();
    return Promise.resolve(view);
  });
  const delay = monitorEventLoopDelay({ resolution: 1 });
  delay.enable();
  const sends: number[] = [];
  const delays: number[] = [];
  const sink = await startSink(() => {
    requests += 1;
    if (requests < Math.ceil(points / POINTS_PER_REQUEST)) return;
    exported += 1;
    // The last one comes with the end of it all.
    if (exported <= rounds.warmUp || sends.length === rounds.timed) return;
    sends.push(performance.now() - began);
    delays.push(delay.max / NS_PER_MS);
  });
  const { port } = sink.address() as AddressInfo;
  const before = { ...process.env };
  process.env['OTEL_EXPORTER_OTLP_ENDPOINT'] = `http://127.0.0.1:${port}`;
  process.env['OTEL_METRIC_EXPORT_INTERVAL'] = '500';
  let telemetry: Telemetry | undefined;
  try {
    telemetry = startTelemetry({
      plan: { metrics: 'http/protobuf' },
      version: '',
      hostName: '',
      producer,
      logger: SILENT,
      level: 'info',
      clock: systemClock,
      count: () => undefined,
    });
    const deadline = performance.now() + SENT_WITHIN_MS;
    while (sends.length < rounds.timed) {
      if (performance.now() > deadline) throw new Error(`${exported} exports in ${SENT_WITHIN_MS} ms`);
      await systemClock.sleep(20);
    }
  } finally {
    delay.disable();
    await telemetry?.shutdown();
    sink.close();
    sink.closeAllConnections();
    process.env = before;
  }
  return { sendMs: sends, delayMs: delays };
}
