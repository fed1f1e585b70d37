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

/** Lengths stand before what they count: room is left for the longest, as a varint may have more bytes than it needs. */
const LENGTH_BYTES = 5;

/** Writes messages into one buffer that grows: there may be thousands of points, each of messages in messages. */
class Writer {
  #buffer = Buffer.allocUnsafe(64 * 1024);
  #at = 0;

  /** A message; `write` writes what is in it. */
  message(field: number, write: () => void): void {
    this.#reserve(2 * LENGTH_BYTES);
    this.#varint(field * 8 + BYTES);
    const start = this.#at;
    this.#at += LENGTH_BYTES;
    write();
    let length = this.#at - start - LENGTH_BYTES;
    for (let i = 0; i < LENGTH_BYTES; i += 1) {
      this.#buffer[start + i] = (length & 0x7f) | (i < LENGTH_BYTES - 1 ? 0x80 : 0);
      length >>>= 7;
    }
  }

  text(field: number, value: string): void {
    const bytes = Buffer.byteLength(value);
    this.#reserve(bytes + 2 * LENGTH_BYTES);
    this.#varint(field * 8 + BYTES);
    this.#varint(bytes);
    this.#at += this.#buffer.write(value, this.#at, 'utf8');
  }

  number(field: number, value: number): void {
    this.#reserve(2 * LENGTH_BYTES);
    this.#varint(field * 8 + VARINT);
    this.#varint(value);
  }

  time(field: number, [seconds, nanoseconds]: HrTime): void {
    this.#reserve(LENGTH_BYTES + 8);
    this.#varint(field * 8 + FIXED64);
    this.#at = this.#buffer.writeBigUInt64LE(
      BigInt(seconds) * 1_000_000_000n + BigInt(nanoseconds),
      this.#at,
    );
  }

  /** Texts only: there are no other attributes here. */
  attributes(field: number, values: Attributes): void {
    for (const key of Object.keys(values)) {
      this.message(field, () => {
        this.text(1, key);
        this.message(2, () => this.text(1, String(values[key])));
      });
    }
  }

  finish(): Uint8Array {
    return this.#buffer.subarray(0, this.#at);
  }

  #varint(value: number): void {
    let rest = value;
    for (; rest >= 128; rest = Math.floor(rest / 128)) this.#buffer[this.#at++] = (rest % 128) + 128;
    this.#buffer[this.#at++] = rest;
  }

  #reserve(bytes: number): void {
    if (this.#at + bytes <= this.#buffer.length) return;
    const larger = Buffer.allocUnsafe(Math.max(this.#at + bytes, this.#buffer.length * 2));
    this.#buffer.copy(larger, 0, 0, this.#at);
    this.#buffer = larger;
  }
}

function writeMetric(out: Writer, { descriptor, dataPointType, dataPoints }: ClosingMetricData): void {
  const writePoints = (): void => {
    for (const { startTime, endTime, attributes } of dataPoints) {
      out.message(1, () => {
        out.time(2, startTime);
        out.time(3, endTime);
        out.attributes(7, attributes);
        out.number(8, NO_RECORDED_VALUE);
      });
    }
  };
  out.message(2, () => {
    out.text(1, descriptor.name);
    out.text(3, descriptor.unit);
    if (dataPointType === DataPointType.SUM) {
      out.message(7, () => {
        writePoints();
        out.number(2, CUMULATIVE);
        out.number(3, 1);
      });
    } else {
      out.message(5, writePoints);
    }
  });
}

/** An ExportMetricsServiceRequest; appended to another one, it is part of that. */
export function closingRequest(
  resource: ResourceMetrics['resource'],
  scope: ResourceMetrics['scopeMetrics'][number]['scope'],
  metrics: readonly ClosingMetricData[],
): Uint8Array {
  const out = new Writer();
  out.message(1, () => {
    out.message(1, () => out.attributes(1, resource.attributes));
    out.message(2, () => {
      out.message(1, () => {
        out.text(1, scope.name);
        out.text(2, scope.version ?? '');
      });
      for (const metric of metrics) writeMetric(out, metric);
    });
  });
  return out.finish();
}
