/**
 * What an OTLP exporter sends, decoded for the tests from the bytes. Numbers of fields are those of opentelemetry-proto
 * 1.x (collector/{metrics,trace,logs}/v1 and the messages in them).
 */
import { Message, MessageWriter } from './protobuf.ts';

export const SIGNALS = ['metrics', 'traces', 'logs'] as const;
export type Signal = (typeof SIGNALS)[number];

export type Attributes = Readonly<Record<string, AttributeValue>>;
export type AttributeValue =
  string | number | boolean | null | readonly AttributeValue[] | { readonly [name: string]: AttributeValue };

/** What something that was received belongs to. */
interface Origin {
  readonly resource: Attributes;
  readonly scope: string;
}

interface Point {
  readonly attributes: Attributes;
  /** Unix nanoseconds; 0 if it is not there. */
  readonly startNs: bigint;
  readonly timeNs: bigint;
  /** Bit 0 of the flags: the series ends here. */
  readonly noRecordedValue: boolean;
}

export interface NumberPoint extends Point {
  /** Undefined if there is none, as in a point without a recorded value. */
  readonly value: number | undefined;
  readonly integer: boolean;
}

export interface HistogramPoint extends Point {
  readonly count: number;
  readonly sum: number | undefined;
  readonly counts: readonly number[];
  readonly bounds: readonly number[];
}

interface MetricHead extends Origin {
  readonly name: string;
  readonly description: string;
  readonly unit: string;
}

export interface NumberMetric extends MetricHead {
  readonly kind: 'gauge' | 'sum';
  /** Of sums. */
  readonly monotonic: boolean;
  /** Undefined of gauges. */
  readonly temporality: Temporality | undefined;
  readonly points: readonly NumberPoint[];
}

export interface HistogramMetric extends MetricHead {
  readonly kind: 'histogram';
  readonly temporality: Temporality;
  readonly points: readonly HistogramPoint[];
}

export type Metric = NumberMetric | HistogramMetric;

const TEMPORALITIES = ['unspecified', 'delta', 'cumulative'] as const;
export type Temporality = (typeof TEMPORALITIES)[number];

export interface SpanLink {
  readonly traceId: string;
  readonly spanId: string;
  readonly attributes: Attributes;
}

export interface SpanEvent {
  readonly name: string;
  readonly timeNs: bigint;
  readonly attributes: Attributes;
}

export interface Span extends Origin {
  readonly traceId: string;
  readonly spanId: string;
  /** '' of a root. */
  readonly parentSpanId: string;
  readonly name: string;
  readonly kind: (typeof SPAN_KINDS)[number];
  readonly startNs: bigint;
  readonly endNs: bigint;
  readonly attributes: Attributes;
  readonly events: readonly SpanEvent[];
  readonly links: readonly SpanLink[];
  readonly status: (typeof SPAN_STATUSES)[number];
  readonly statusMessage: string;
}

const SPAN_KINDS = ['unspecified', 'internal', 'server', 'client', 'producer', 'consumer'] as const;
const SPAN_STATUSES = ['unset', 'ok', 'error'] as const;

export interface LogRecord extends Origin {
  readonly timeNs: bigint;
  readonly observedNs: bigint;
  readonly severityNumber: number;
  readonly severityText: string;
  readonly body: AttributeValue;
  readonly attributes: Attributes;
  readonly traceId: string;
  readonly spanId: string;
}

/** The metrics of an ExportMetricsServiceRequest. @throws Error if the bytes are none. */
export function decodeMetrics(body: Uint8Array): Metric[] {
  return inScopes(body, (scope, origin) => scope.messages(2).map((metric) => decodeMetric(metric, origin)));
}

/** The spans of an ExportTraceServiceRequest. @throws Error if the bytes are none. */
export function decodeSpans(body: Uint8Array): Span[] {
  return inScopes(body, (scope, origin) => scope.messages(2).map((span) => decodeSpan(span, origin)));
}

/** The records of an ExportLogsServiceRequest. @throws Error if the bytes are none. */
export function decodeLogs(body: Uint8Array): LogRecord[] {
  return inScopes(body, (scope, origin) => scope.messages(2).map((record) => decodeLog(record, origin)));
}

/** The answer of a collector that took all but so many; the three signals have the same fields in it. */
export function partialSuccess(rejected: number, message: string): Buffer {
  return new MessageWriter().message(1, (partial) => partial.varint(1, rejected).text(2, message)).end();
}

/** Requests of the three signals are built alike: resources hold scopes, and these what was recorded. */
function inScopes<T>(body: Uint8Array, decode: (scope: Message, origin: Origin) => T[]): T[] {
  return new Message(body).messages(1).flatMap((each) => {
    const resource = attributesOf(each.message(1), 1);
    return each
      .messages(2)
      .flatMap((scope) => decode(scope, { resource, scope: scope.message(1)?.text(1) ?? '' }));
  });
}

function decodeMetric(metric: Message, origin: Origin): Metric {
  const head = { ...origin, name: metric.text(1), description: metric.text(2), unit: metric.text(3) };
  const [gauge, sum, histogram] = [metric.message(5), metric.message(7), metric.message(9)];
  if (gauge)
    return {
      ...head,
      kind: 'gauge',
      monotonic: false,
      temporality: undefined,
      points: gauge.messages(1).map(decodeNumber),
    };
  if (sum)
    return {
      ...head,
      kind: 'sum',
      monotonic: sum.integer(3) === 1,
      temporality: TEMPORALITIES[sum.integer(2)]!,
      points: sum.messages(1).map(decodeNumber),
    };
  if (histogram)
    return {
      ...head,
      kind: 'histogram',
      temporality: TEMPORALITIES[histogram.integer(2)]!,
      points: histogram.messages(1).map(decodeHistogram),
    };
  throw new Error(
    `the metric ${head.name} has no data of a kind that is known here: ${metric.numbers.join()}`,
  );
}

function decodeNumber(point: Message): NumberPoint {
  const integer = point.sfixed64(6);
  return {
    attributes: attributesOf(point, 7),
    startNs: point.fixed64(2) ?? 0n,
    timeNs: point.fixed64(3) ?? 0n,
    noRecordedValue: (point.integer(8) & 1) === 1,
    value: integer === undefined ? point.double(4) : Number(integer),
    integer: integer !== undefined,
  };
}

function decodeHistogram(point: Message): HistogramPoint {
  return {
    attributes: attributesOf(point, 9),
    startNs: point.fixed64(2) ?? 0n,
    timeNs: point.fixed64(3) ?? 0n,
    noRecordedValue: (point.integer(10) & 1) === 1,
    count: Number(point.fixed64(4) ?? 0n),
    sum: point.double(5),
    counts: point.fixed64s(6).map(Number),
    bounds: point.doubles(7),
  };
}

function decodeSpan(span: Message, origin: Origin): Span {
  const status = span.message(15);
  return {
    ...origin,
    traceId: span.hex(1),
    spanId: span.hex(2),
    parentSpanId: span.hex(4),
    name: span.text(5),
    kind: SPAN_KINDS[span.integer(6)]!,
    startNs: span.fixed64(7) ?? 0n,
    endNs: span.fixed64(8) ?? 0n,
    attributes: attributesOf(span, 9),
    events: span.messages(11).map((event) => ({
      timeNs: event.fixed64(1) ?? 0n,
      name: event.text(2),
      attributes: attributesOf(event, 3),
    })),
    links: span.messages(13).map((link) => ({
      traceId: link.hex(1),
      spanId: link.hex(2),
      attributes: attributesOf(link, 4),
    })),
    status: SPAN_STATUSES[status?.integer(3) ?? 0]!,
    statusMessage: status?.text(2) ?? '',
  };
}

function decodeLog(record: Message, origin: Origin): LogRecord {
  return {
    ...origin,
    timeNs: record.fixed64(1) ?? 0n,
    observedNs: record.fixed64(11) ?? 0n,
    severityNumber: record.integer(2),
    severityText: record.text(3),
    body: valueOf(record.message(5)),
    attributes: attributesOf(record, 6),
    traceId: record.hex(9),
    spanId: record.hex(10),
  };
}

/** Key-value pairs in this field of a message. @throws Error if a key is there twice. */
function attributesOf(message: Message | undefined, field: number): Attributes {
  const attributes: Record<string, AttributeValue> = {};
  for (const pair of message?.messages(field) ?? []) {
    const key = pair.text(1);
    if (Object.hasOwn(attributes, key)) throw new Error(`the attribute ${key} is there twice`);
    attributes[key] = valueOf(pair.message(2));
  }
  return attributes;
}

function valueOf(value: Message | undefined): AttributeValue {
  const [kind] = value?.numbers ?? [];
  switch (kind) {
    case 1:
      return value!.text(1);
    case 2:
      return value!.integer(2) === 1;
    case 3:
      return value!.signed(3)!;
    case 4:
      return value!.double(4)!;
    case 5:
      return value!.message(5)!.messages(1).map(valueOf);
    case 6:
      return attributesOf(value!.message(6), 1);
    case 7:
      return value!.hex(7);
    default:
      return null;
  }
}
