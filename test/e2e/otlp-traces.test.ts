/** Traces and logs of the program and of its parts, as an OTLP endpoint receives them. */
import { createHash } from 'node:crypto';
import type { Http2Server, ServerHttp2Stream } from 'node:http2';
import { createServer } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { mkdtempSync, rmSync } from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { enumerate } from '../../src/collector/enumerate.ts';
import { Poller } from '../../src/collector/poller.ts';
import { NO_METRICS, startTelemetry } from '../../src/metrics/otlp/telemetry.ts';
import { SOURCES } from '../../src/model/words.ts';
import { Host } from '../../src/native/host.ts';
import { createSimulator } from '../../src/native/simulator/server.ts';
import { systemClock } from '../../src/runtime/clock.ts';
import { alertOn } from '../admin/exporter-life.ts';
import { notificationOf, REASON } from '../server/admin-routes.ts';
import { fetchPlain } from '../server/http-client.ts';
import type { Metric, Span } from './otlp-messages.ts';
import { decodeLogs, decodeMetrics, decodeSpans } from './otlp-messages.ts';
import { startOtlpProgram } from './otlp-program.ts';
import { OtlpReceiver } from './otlp-receiver.ts';
import type { Program } from './program.ts';
import { buildIfStale, endAll, until } from './program.ts';

const TOKEN = `rrasx_${createHash('sha256').update('a token of traces').digest('base64url')}`;
const SHA256 = createHash('sha256').update(TOKEN).digest('hex');
const ADMIN = `admin:
  tokens:
    - {name: ops, sha256: ${SHA256}, rights: [reconnect, disconnect, reset, pause, hook, read], interfaces: ['*']}
hooks:
  rules:
    - {name: redial, matchers: ['alertname="LinkDown"'], action: reconnect}
`;
const HEADERS = { Authorization: `Bearer ${TOKEN}`, 'Content-Type': 'application/json' };
const SOON = { OTEL_BSP_SCHEDULE_DELAY: '100', OTEL_BLRP_SCHEDULE_DELAY: '100' };
const CALLERS_TRACE = '0af7651916cd43dd8448eb211c80319c';
const CALLERS_SPAN = 'b7ad6b7169203331';
const TRACEPARENT = `00-${CALLERS_TRACE}-${CALLERS_SPAN}-01`;

const folder = mkdtempSync(join(tmpdir(), 'rras-exporter-traces-'));
afterAll(() => rmSync(folder, { recursive: true }));
beforeAll(buildIfStale);

let receiver: OtlpReceiver;
beforeEach(async () => {
  receiver = await OtlpReceiver.start();
});
afterEach(async () => {
  await endAll();
  await receiver.goAway();
  vi.unstubAllEnvs();
});

/** The first span that is like this, when it has come. */
async function spanWhere(what: string, isIt: (span: Span) => boolean): Promise<Span> {
  let found: Span | undefined;
  await until(what, () => (found = receiver.spans.find(isIt)) !== undefined, 15_000);
  return found!;
}
const named =
  (name: string) =>
  (span: Span): boolean =>
    span.name === name;
const childrenOf = ({ traceId, spanId }: Span): Span[] =>
  receiver.spans.filter((each) => each.traceId === traceId && each.parentSpanId === spanId);

const start = (
  environment: Readonly<Record<string, string>> = {},
  ...flags: readonly string[]
): Promise<Program> =>
  startOtlpProgram({
    endpoint: receiver.url,
    environment: { OTEL_METRICS_EXPORTER: 'none', ...SOON, ...environment },
    config: ADMIN,
    flags: ['--web.enable-admin-api', `--storage.path=${mkdtempSync(join(folder, 'state-'))}`, ...flags],
  });

describe('a poll', () => {
  test('is a trace, with a part for each source and in it one for each native call', async () => {
    await start();
    const poll = await spanWhere('a poll', named('rras.poll'));
    expect(poll).toMatchObject({ parentSpanId: '', status: 'unset', links: [], scope: 'rras-exporter' });
    expect(poll.attributes['rras.generation']).toBe(1);
    expect(poll.attributes['rras.connections']).toBeGreaterThan(0);
    await until('its parts', () => childrenOf(poll).length >= SOURCES.length);
    const reads = childrenOf(poll);
    expect(reads.map(({ name, attributes }) => [name, attributes['rras.source']])).toEqual(
      SOURCES.map((source) => ['rras.read', source]),
    );
    for (const read of reads) {
      expect(read.attributes).toMatchObject({ 'rras.status': 'ok' });
      expect(read.attributes['rras.pages']).toBeTypeOf('number');
      const calls = childrenOf(read);
      expect(calls.length).toBeGreaterThan(0);
      for (const call of calls) {
        expect(call.name).toMatch(/^Mpr/);
        expect(call.attributes).toMatchObject({ 'rras.function': call.name, 'rras.code': 0 });
        expect(call.status).toBe('unset');
        expect(call.endNs).toBeGreaterThanOrEqual(call.startNs);
        expect(call.startNs).toBeGreaterThanOrEqual(read.startNs);
      }
      expect(read.startNs).toBeGreaterThanOrEqual(poll.startNs);
      expect(read.endNs).toBeLessThanOrEqual(poll.endNs);
    }
    const connections = reads.find(({ attributes }) => attributes['rras.source'] === 'connections')!;
    expect(connections.attributes['rras.pages']).toBe(1);
    const [enumeration] = childrenOf(connections).filter(({ attributes }) => 'rras.entries' in attributes);
    expect(enumeration!.name).toBe('MprAdminConnectionEnum');
    expect(enumeration!.attributes['rras.entries']).toBe(poll.attributes['rras.connections']);
    const ageSeconds = Date.now() / 1000 - Number(poll.startNs) / 1e9;
    expect(Math.abs(ageSeconds)).toBeLessThan(60);
    expect(receiver.complaints).toEqual([]);
  });

  test('that fails names the function and the code', async () => {
    vi.stubEnv('OTEL_EXPORTER_OTLP_ENDPOINT', receiver.url);
    const none = { debug: vi.fn(), info: vi.fn(), warn: vi.fn(), error: vi.fn() };
    const telemetry = startTelemetry({
      plan: { traces: 'http/protobuf' },
      version: '1',
      hostName: 'here',
      producer: { collect: () => Promise.resolve(NO_METRICS) },
      logger: none,
      level: 'info',
      clock: systemClock,
      count: () => undefined,
    });
    const simulator = createSimulator({ scenario: 'small', seed: 1, clock: systemClock, state: 'running' });
    /** ERROR_INVALID_PARAMETER of the enumeration of interfaces. */
    const CODE = 87;
    const api = new Proxy(simulator, {
      get: (target, name) => {
        const value: unknown = Reflect.get(target, name, target);
        if (typeof value !== 'function') return value;
        const method = value.bind(target) as (...args: readonly unknown[]) => Promise<object>;
        return name === 'interfaceEnum'
          ? async (...args: readonly unknown[]) => ({ ...(await method(...args)), code: CODE })
          : method;
      },
    });
    const poller = new Poller({
      reader: new Host({ api, enumerate, clock: systemClock, server: null }),
      clock: systemClock,
      logger: none,
      enabled: new Set(SOURCES),
      minIntervalMs: 0,
      maxAgeMs: 60_000,
      userLimit: 0,
      onRead: () => undefined,
      onWraps: () => undefined,
      tracing: telemetry.tracing,
    });
    await poller.collect(10_000);
    await telemetry.shutdown();
    const { spans } = receiver;
    const poll = spans.find(named('rras.poll'))!;
    expect(poll).toMatchObject({ status: 'error', statusMessage: 'not read: interfaces' });
    const call = spans.find(named('MprAdminInterfaceEnum'))!;
    expect(call).toMatchObject({
      status: 'error',
      statusMessage: `MprAdminInterfaceEnum returned ${CODE}`,
      attributes: { 'rras.function': 'MprAdminInterfaceEnum', 'rras.code': CODE },
    });
    const read = spans.find(({ spanId }) => spanId === call.parentSpanId)!;
    expect(read).toMatchObject({
      name: 'rras.read',
      parentSpanId: poll.spanId,
      status: 'error',
      attributes: {
        'rras.source': 'interfaces',
        'rras.status': 'failed',
        'rras.function': 'MprAdminInterfaceEnum',
        'rras.code': CODE,
      },
    });
    expect(spans.filter(({ status }) => status === 'error')).toHaveLength(3);
  });
});

describe('an action', () => {
  test('by a request with a traceparent goes on in its trace, and without one has its own', async () => {
    const program = await start();
    await program.scrape();
    const send = (name: string, headers: Readonly<Record<string, string>>) =>
      fetchPlain(`${program.url}/api/v1/admin/interfaces/${encodeURIComponent(name)}/reconnect?wait=10s`, {
        method: 'POST',
        headers: { ...HEADERS, ...headers },
        body: JSON.stringify(REASON),
        timeoutMs: 20_000,
      });
    const { status, text } = await send('Site-Lisboa', { traceparent: TRACEPARENT });
    expect([status, text]).toEqual([200, expect.stringContaining('"decision":"execute"')]);
    const action = await spanWhere('the action', named('rras.reconnect'));
    expect(action).toMatchObject({ traceId: CALLERS_TRACE, parentSpanId: CALLERS_SPAN, links: [] });
    expect(action.attributes).toMatchObject({ 'rras.action': 'reconnect' });
    expect((JSON.parse(text) as { data: { id: string } }).data.id).toBe(action.attributes['rras.action.id']);
    // A name of an interface may be that of a user; there are none in spans.
    expect(JSON.stringify(action.attributes)).not.toContain('Lisboa');
    expect(
      JSON.stringify(receiver.spans, (_, value: unknown) => (typeof value === 'bigint' ? '' : value)),
    ).not.toContain(TOKEN);
    receiver.received.length = 0;
    expect((await send('Site-Madrid', { traceparent: '00-not-a-trace-01' })).status).toBe(200);
    const other = await spanWhere('another action', named('rras.reconnect'));
    expect(other.parentSpanId).toBe('');
    expect(other.traceId).not.toBe(CALLERS_TRACE);
  });

  test('by an alert has a trace of its own, which links to the delivery', async () => {
    const program = await start();
    await program.scrape();
    const { status, text } = await fetchPlain(`${program.url}/api/v1/hooks/alertmanager`, {
      method: 'POST',
      headers: { ...HEADERS, traceparent: TRACEPARENT },
      body: JSON.stringify(notificationOf([alertOn('Site-Lisboa')])),
      timeoutMs: 20_000,
    });
    expect([status, text]).toEqual([200, expect.stringContaining('"decision":"execute"')]);
    const action = await spanWhere('the action', named('rras.reconnect'));
    expect(action.parentSpanId).toBe('');
    expect(action.traceId).not.toBe(CALLERS_TRACE);
    expect(action.links.map(({ traceId, spanId }) => [traceId, spanId])).toEqual([
      [CALLERS_TRACE, CALLERS_SPAN],
    ]);
    expect(action.attributes).toMatchObject({ 'rras.alert.rule': 'redial' });
  });
});

describe('logs', () => {
  test('are sent, and those of an action bear the ids of its span', async () => {
    const program = await start();
    await program.scrape();
    await fetchPlain(`${program.url}/api/v1/admin/interfaces/Site-Lisboa/reconnect?wait=10s`, {
      method: 'POST',
      headers: { ...HEADERS, traceparent: TRACEPARENT },
      body: JSON.stringify(REASON),
      timeoutMs: 20_000,
    });
    const action = await spanWhere('the action', named('rras.reconnect'));
    await until('a line of the action', () => receiver.logs.some(({ spanId }) => spanId === action.spanId));
    const listening = receiver.logs.find(({ body }) => body === 'listening')!;
    expect(listening).toMatchObject({
      severityNumber: 9,
      severityText: 'info',
      traceId: '',
      attributes: { url: `${program.url}/metrics` },
    });
    expect(listening.timeNs || listening.observedNs).toBeGreaterThan(1_700_000_000_000_000_000n);
    const simulated = receiver.logs.find(({ severityText }) => severityText === 'warn');
    expect(simulated).toMatchObject({
      severityNumber: 13,
      body: 'the server is simulated: none of its data is real',
    });
    const within = receiver.logs.filter(({ spanId }) => spanId === action.spanId);
    expect(within.map(({ traceId }) => traceId)).toEqual(within.map(() => action.traceId));
    // What tells how the export goes is not exported.
    expect(receiver.logs.filter(({ body }) => typeof body === 'string' && body.includes('OTLP'))).toEqual([]);
  });

  test('of a poll bear the ids of its span', async () => {
    const program = await start({}, '--collector.timeout=1s', '--collector.min-interval=0s');
    await spanWhere('a poll', named('rras.poll'));
    process.kill(await program.firstChild(), 'SIGSTOP');
    const isLost = (body: unknown): boolean => body === 'source cannot be read';
    await until('a line that says so', async () => {
      await program.scrape();
      return receiver.logs.some(({ body }) => isLost(body));
    });
    const line = receiver.logs.find(({ body }) => isLost(body))!;
    const poll = await spanWhere('the poll', ({ spanId }) => spanId === line.spanId);
    expect(poll).toMatchObject({ name: 'rras.poll', traceId: line.traceId, status: 'error' });
    expect(poll.statusMessage).toMatch(/^not read: server/);
  });
});

describe('the resource', () => {
  const resourcesOf = async (): Promise<readonly object[]> => {
    await until('all three signals', () => Object.values(receiver.counts).every((count) => count > 0));
    return [...receiver.metrics, ...receiver.spans, ...receiver.logs].map(({ resource }) => resource);
  };

  test('says what and where it is, and nothing of the process', async () => {
    const program = await start({ OTEL_METRICS_EXPORTER: 'otlp' });
    const page = await program.scrape();
    const build = page.families.find(({ name }) => name === 'rras_exporter_build_info')!;
    const resources = await resourcesOf();
    for (const resource of resources) {
      expect(resource).toMatchObject({
        'service.name': 'rras-exporter',
        'service.version': build.samples[0]!.labels['version'],
        'service.instance.id': hostname(),
        'host.name': hostname(),
        'telemetry.sdk.language': 'nodejs',
      });
      expect(Object.keys(resource).filter((name) => /^(?:process|os|host\.(?!name))/.test(name))).toEqual([]);
    }
    expect(new Set(resources.map((each) => JSON.stringify(each))).size).toBe(1);
  });

  test('is named by the standard variables', async () => {
    await start({
      OTEL_METRICS_EXPORTER: 'otlp',
      OTEL_SERVICE_NAME: 'vpn',
      OTEL_RESOURCE_ATTRIBUTES:
        'service.instance.id=vpn1,deployment.environment.name=K%C3%B6ln,service.name=not',
    });
    for (const resource of await resourcesOf())
      expect(resource).toMatchObject({
        'service.name': 'vpn',
        'service.instance.id': 'vpn1',
        'deployment.environment.name': 'Köln',
      });
  });
});

/** As small as a gRPC server can be: one message comes, an empty one goes. */
class GrpcReceiver {
  readonly #server: Http2Server;
  readonly bodies = new Map<string, Buffer[]>();
  readonly types = new Set<unknown>();

  private constructor(server: Http2Server) {
    this.#server = server;
    server.on('stream', (stream, headers) => {
      this.types.add(headers['content-type']);
      this.#answer(stream, headers[':path'] ?? '').catch(() => stream.destroy());
    });
  }

  static async start(): Promise<GrpcReceiver> {
    const server = createServer();
    const grpc = new GrpcReceiver(server);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return grpc;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  of(service: string): Buffer[] {
    return this.bodies.get(`/opentelemetry.proto.collector.${service}/Export`) ?? [];
  }

  close(): void {
    this.#server.close();
  }

  async #answer(stream: ServerHttp2Stream, path: string): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of stream as AsyncIterable<Buffer>) chunks.push(chunk);
    const framed = Buffer.concat(chunks);
    // A flag of compression and the length stand before each message.
    if (framed[0] !== 0 || framed.readUInt32BE(1) !== framed.length - 5)
      throw new Error('not one plain message');
    this.bodies.set(path, [...(this.bodies.get(path) ?? []), framed.subarray(5)]);
    stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
    stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
    stream.end(Buffer.alloc(5));
  }
}

test('all of it goes over gRPC too', async () => {
  const grpc = await GrpcReceiver.start();
  try {
    const program = await startOtlpProgram({
      endpoint: grpc.url,
      environment: { OTEL_EXPORTER_OTLP_PROTOCOL: 'grpc', ...SOON },
      intervalMs: 500,
    });
    const [metrics, traces, logs] = [
      'metrics.v1.MetricsService',
      'trace.v1.TraceService',
      'logs.v1.LogsService',
    ];
    const isIn = (name: string, found: readonly Pick<Metric, 'name'>[]): boolean =>
      found.some((each) => each.name === name);
    await until(
      'all three signals',
      () =>
        isIn('rras.connection.received', grpc.of(metrics).flatMap(decodeMetrics)) &&
        isIn('rras.poll', grpc.of(traces).flatMap(decodeSpans)) &&
        grpc
          .of(logs)
          .flatMap(decodeLogs)
          .some(({ body }) => body === 'listening'),
      15_000,
    );
    expect([...grpc.bodies.keys()].sort()).toHaveLength(3);
    expect(grpc.types).toEqual(new Set(['application/grpc']));
    const exported = (await program.scrape()).values('rras_exporter_otlp_exports_total')!;
    expect(exported['metrics/success']).toBeGreaterThan(0);
    expect(exported['metrics/failure']).toBe(0);
    await program.end();
  } finally {
    grpc.close();
  }
});
