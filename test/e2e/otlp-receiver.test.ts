/** The receiver of the tests understands what another's encoder writes, and gives the trouble that it is told to give. */
import { SeverityNumber, SpanKind, SpanStatusCode, TraceFlags, ValueType } from '@opentelemetry/api';
import {
  ProtobufLogsSerializer,
  ProtobufMetricsSerializer,
  ProtobufTraceSerializer,
} from '@opentelemetry/otlp-transformer';
import { resourceFromAttributes } from '@opentelemetry/resources';
import { AggregationTemporality, DataPointType } from '@opentelemetry/sdk-metrics';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { decodeLogs, decodeMetrics, decodeSpans, partialSuccess } from './otlp-messages.ts';
import type { Answering } from './otlp-receiver.ts';
import { OtlpReceiver } from './otlp-receiver.ts';
import { Message, MessageWriter } from './protobuf.ts';

const RESOURCE = resourceFromAttributes({ 'service.name': 'tested', 'host.name': 'Köln', count: 3 });
const SCOPE = { name: 'scope', version: '1' };
const ORIGIN = { resource: { 'service.name': 'tested', 'host.name': 'Köln', count: 3 }, scope: 'scope' };
const [FROM, TO]: [[number, number], [number, number]] = [
  [1_700_000_000, 5],
  [1_700_000_060, 500_000_000],
];
const TIMES = { startNs: 1_700_000_000_000_000_005n, timeNs: 1_700_000_060_500_000_000n };

describe('a message', () => {
  test('has what was written to it', () => {
    const message = new Message(
      new MessageWriter()
        .varint(1, -5)
        .varint(2, 300)
        .fixed64(3, 2n ** 64n - 1n)
        .double(4, -0.5)
        .text(500, 'Zürich')
        .message(6, (inner) => inner.text(1, 'a').text(1, 'b'))
        .end(),
    );
    expect(message.numbers).toEqual([1, 2, 3, 4, 500, 6]);
    expect(message.signed(1)).toBe(-5);
    expect(message.integer(2)).toBe(300);
    expect(message.fixed64(3)).toBe(2n ** 64n - 1n);
    expect(message.sfixed64(3)).toBe(-1n);
    expect(message.double(4)).toBe(-0.5);
    expect(message.text(500)).toBe('Zürich');
    expect(message.message(6)?.texts(1)).toEqual(['a', 'b']);
    expect(message.double(7)).toBeUndefined();
  });

  test('is refused where it breaks off or is none', () => {
    const whole = new MessageWriter().text(1, 'whole').end();
    expect(() => new Message(whole.subarray(0, -1))).toThrow('breaks off');
    expect(() => new Message(Buffer.alloc(16, 0xff))).toThrow('more than 10 bytes');
    expect(() => new Message(Buffer.from([0x0b]))).toThrow('the wire type 3');
    expect(() => new Message(whole).double(1)).toThrow('no multiple');
    expect(() => new Message(whole).integer(1)).toThrow('the wire type 2');
  });
});

describe('of what the SDK encodes', () => {
  test('metrics are decoded', () => {
    const common = { startTime: FROM, endTime: TO };
    const body = ProtobufMetricsSerializer.serializeRequest({
      resource: RESOURCE,
      scopeMetrics: [
        {
          scope: SCOPE,
          metrics: [
            {
              descriptor: { name: 'g', description: 'A gauge.', unit: '', valueType: ValueType.DOUBLE },
              aggregationTemporality: AggregationTemporality.CUMULATIVE,
              dataPointType: DataPointType.GAUGE,
              dataPoints: [{ ...common, attributes: { a: 'b' }, value: 0.25 }],
            },
            {
              descriptor: { name: 's', description: '', unit: 'By', valueType: ValueType.INT },
              aggregationTemporality: AggregationTemporality.CUMULATIVE,
              dataPointType: DataPointType.SUM,
              isMonotonic: true,
              dataPoints: [{ ...common, attributes: {}, value: 2 ** 53 }],
            },
            {
              descriptor: { name: 'h', description: '', unit: 's', valueType: ValueType.DOUBLE },
              aggregationTemporality: AggregationTemporality.CUMULATIVE,
              dataPointType: DataPointType.HISTOGRAM,
              dataPoints: [
                {
                  ...common,
                  attributes: {},
                  value: { count: 3, sum: 70, buckets: { boundaries: [1, 60], counts: [1, 0, 2] } },
                },
              ],
            },
          ],
        },
      ],
    });
    const point = { ...TIMES, noRecordedValue: false };
    expect(decodeMetrics(body!)).toEqual([
      {
        ...ORIGIN,
        name: 'g',
        description: 'A gauge.',
        unit: '',
        kind: 'gauge',
        monotonic: false,
        temporality: undefined,
        points: [{ ...point, attributes: { a: 'b' }, value: 0.25, integer: false }],
      },
      {
        ...ORIGIN,
        name: 's',
        description: '',
        unit: 'By',
        kind: 'sum',
        monotonic: true,
        temporality: 'cumulative',
        points: [{ ...point, attributes: {}, value: 2 ** 53, integer: true }],
      },
      {
        ...ORIGIN,
        name: 'h',
        description: '',
        unit: 's',
        kind: 'histogram',
        temporality: 'cumulative',
        points: [{ ...point, attributes: {}, count: 3, sum: 70, counts: [1, 0, 2], bounds: [1, 60] }],
      },
    ]);
  });

  test('spans are decoded', () => {
    const spanContext = {
      traceId: '0123456789abcdef'.repeat(2),
      spanId: 'fedcba9876543210',
      traceFlags: TraceFlags.SAMPLED,
    };
    const parent = { ...spanContext, spanId: '1111111111111111' };
    const body = ProtobufTraceSerializer.serializeRequest([
      {
        name: 'poll',
        kind: SpanKind.CLIENT,
        spanContext: () => spanContext,
        parentSpanContext: parent,
        startTime: FROM,
        endTime: TO,
        duration: [60, 499_999_995],
        ended: true,
        status: { code: SpanStatusCode.ERROR, message: 'denied' },
        attributes: { pages: 3, whole: true, list: ['a', 'b'], share: 0.5 },
        links: [{ context: parent, attributes: { why: 'asked' } }],
        events: [{ name: 'exception', time: TO, attributes: { code: -1 } }],
        resource: RESOURCE,
        instrumentationScope: SCOPE,
        droppedAttributesCount: 0,
        droppedEventsCount: 0,
        droppedLinksCount: 0,
      },
    ]);
    const { startNs, timeNs } = TIMES;
    expect(decodeSpans(body!)).toEqual([
      {
        ...ORIGIN,
        traceId: spanContext.traceId,
        spanId: spanContext.spanId,
        parentSpanId: parent.spanId,
        name: 'poll',
        kind: 'client',
        startNs,
        endNs: timeNs,
        attributes: { pages: 3, whole: true, list: ['a', 'b'], share: 0.5 },
        events: [{ name: 'exception', timeNs, attributes: { code: -1 } }],
        links: [{ traceId: parent.traceId, spanId: parent.spanId, attributes: { why: 'asked' } }],
        status: 'error',
        statusMessage: 'denied',
      },
    ]);
  });

  test('log records are decoded', () => {
    const spanContext = { traceId: 'a'.repeat(32), spanId: 'b'.repeat(16), traceFlags: TraceFlags.SAMPLED };
    const body = ProtobufLogsSerializer.serializeRequest([
      {
        hrTime: FROM,
        hrTimeObserved: TO,
        spanContext,
        severityNumber: SeverityNumber.WARN,
        severityText: 'warn',
        body: 'OTLP export fails',
        attributes: { signal: 'metrics' },
        resource: RESOURCE,
        instrumentationScope: SCOPE,
        droppedAttributesCount: 0,
      },
    ]);
    expect(decodeLogs(body!)).toEqual([
      {
        ...ORIGIN,
        timeNs: TIMES.startNs,
        observedNs: TIMES.timeNs,
        severityNumber: 13,
        severityText: 'warn',
        body: 'OTLP export fails',
        attributes: { signal: 'metrics' },
        traceId: spanContext.traceId,
        spanId: spanContext.spanId,
      },
    ]);
  });

  test('the answer of a partial success is understood by it', () => {
    expect(ProtobufMetricsSerializer.deserializeResponse(partialSuccess(7, 'too old'))).toEqual({
      partialSuccess: { rejectedDataPoints: 7, errorMessage: 'too old' },
    });
  });
});

describe('the receiver', () => {
  let receiver: OtlpReceiver;
  beforeEach(async () => {
    receiver = await OtlpReceiver.start();
  });
  afterEach(() => receiver.goAway());

  const send = (path = '/v1/metrics', body: Uint8Array = new Uint8Array()): Promise<Response> =>
    fetch(receiver.url + path, {
      method: 'POST',
      headers: { 'Content-Type': 'application/x-protobuf' },
      body: Buffer.from(body),
      signal: AbortSignal.timeout(500),
    });

  test('counts and keeps what it gets', async () => {
    const next = receiver.next('traces');
    expect((await send('/v1/traces')).status).toBe(200);
    expect(await next).toMatchObject([{ signal: 'traces', bytes: 0, spans: [] }]);
    expect(receiver.counts).toEqual({ metrics: 0, traces: 1, logs: 0 });
    expect(receiver.complaints).toEqual([]);
  });

  test('complains about what a collector would refuse', async () => {
    expect((await send('/v1/metrics', Buffer.from([0x0b]))).status).toBe(400);
    expect((await send('/v1/metric')).status).toBe(404);
    expect((await fetch(`${receiver.url}/v1/metrics`, { method: 'POST', body: '{}' })).status).toBe(415);
    expect(receiver.complaints.length).toBe(3);
  });

  test('answers with trouble', async () => {
    const answered = async (answering: Answering): Promise<Response> => {
      receiver.answer(answering, ['metrics']);
      return send();
    };
    const refused = await answered({ kind: 'refuse', status: 429, retryAfterSeconds: 2 });
    expect([refused.status, refused.headers.get('retry-after')]).toEqual([429, '2']);
    const partial = await answered({ kind: 'partial', rejected: 1, message: 'm' });
    expect([partial.status, Buffer.from(await partial.arrayBuffer())]).toEqual([200, partialSuccess(1, 'm')]);
    const started = performance.now();
    expect((await answered({ kind: 'slow', afterMs: 100 })).status).toBe(200);
    expect(performance.now() - started).toBeGreaterThan(99);
    await expect(answered({ kind: 'hang' })).rejects.toThrow('timeout');
    await expect(answered({ kind: 'drop' })).rejects.toThrow();
    expect((await send('/v1/logs')).status).toBe(200);
    expect(receiver.complaints).toEqual([]);
  });

  test('goes away and comes back on its port', async () => {
    const { url } = receiver;
    await receiver.goAway();
    await expect(send()).rejects.toThrow();
    await receiver.comeBack();
    expect(receiver.url).toBe(url);
    expect((await send()).status).toBe(200);
  });
});
