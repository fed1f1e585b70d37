/**
 * Writes points without a recorded value in OTLP's protobuf form, which the serialiser of the SDK cannot. Field numbers are
 * those of opentelemetry/proto/metrics/v1/metrics.proto.
 */
import type { Attributes, HrTime } from '@opentelemetry/api';
import type { ResourceMetrics } from '@opentelemetry/sdk-metrics';
import { DataPointType } from '@opentelemetry/sdk-metrics';
import type { ClosingMetricData } from './producer.ts';

const VARINT = 0;
const FIXED64 = 1;
const BYTES = 2;
const CUMULATIVE = 2;
/** DATA_POINT_FLAGS_NO_RECORDED_VALUE_MASK */
const NO_RECORDED_VALUE = 1;

type Part = Uint8Array;

function varint(value: number): Part {
  const bytes: number[] = [];
  for (let rest = value; ; rest = Math.floor(rest / 128)) {
    if (rest < 128) return Uint8Array.from([...bytes, rest]);
    bytes.push((rest % 128) + 128);
  }
}

const tag = (field: number, wireType: number): Part => varint(field * 8 + wireType);
const number = (field: number, value: number): Part => Buffer.concat([tag(field, VARINT), varint(value)]);

function message(field: number, ...parts: readonly Part[]): Part {
  const length = parts.reduce((sum, part) => sum + part.length, 0);
  return Buffer.concat([tag(field, BYTES), varint(length), ...parts]);
}

const text = (field: number, value: string): Part => message(field, Buffer.from(value, 'utf8'));

function time(field: number, [seconds, nanoseconds]: HrTime): Part {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(seconds) * 1_000_000_000n + BigInt(nanoseconds));
  return Buffer.concat([tag(field, FIXED64), bytes]);
}

/** Texts only: there are no other attributes here. */
const attributes = (field: number, values: Attributes): Part[] =>
  Object.entries(values).map(([key, value]) =>
    message(field, text(1, key), message(2, text(1, String(value)))),
  );

function metricPart({ descriptor, dataPointType, dataPoints }: ClosingMetricData): Part {
  const points = dataPoints.map(({ startTime, endTime, attributes: values }) =>
    message(1, time(2, startTime), time(3, endTime), ...attributes(7, values), number(8, NO_RECORDED_VALUE)),
  );
  const data =
    dataPointType === DataPointType.SUM
      ? message(7, ...points, number(2, CUMULATIVE), number(3, 1))
      : message(5, ...points);
  return message(2, text(1, descriptor.name), text(3, descriptor.unit), data);
}

/** An ExportMetricsServiceRequest; appended to another one, it is part of that. */
export function closingRequest(
  resource: ResourceMetrics['resource'],
  scope: ResourceMetrics['scopeMetrics'][number]['scope'],
  metrics: readonly ClosingMetricData[],
): Part {
  return message(
    1,
    message(1, ...attributes(1, resource.attributes)),
    message(2, message(1, text(1, scope.name), text(2, scope.version ?? '')), ...metrics.map(metricPart)),
  );
}
