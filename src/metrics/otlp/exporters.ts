/**
 * The exporters of the three signals, over HTTP or gRPC as the standard variables say. How exports went is told to one who
 * watches, and nothing of it reaches anybody else.
 */
import type { ExportResult } from '@opentelemetry/core';
import { ExportResultCode, getNumberFromEnv } from '@opentelemetry/core';
import { OTLPExporterBase } from '@opentelemetry/otlp-exporter-base';
import {
  convertLegacyHttpOptions,
  createOtlpHttpExportDelegate,
} from '@opentelemetry/otlp-exporter-base/node-http';
import {
  convertLegacyOtlpGrpcOptions,
  createOtlpGrpcExportDelegate,
} from '@opentelemetry/otlp-grpc-exporter-base';
import type { IExporterMetricsHelper, ISerializer } from '@opentelemetry/otlp-transformer';
import {
  JsonLogsSerializer,
  JsonMetricsSerializer,
  JsonTraceSerializer,
  LogsExporterMetricsHelper,
  MetricsExporterMetricsHelper,
  ProtobufLogsSerializer,
  ProtobufMetricsSerializer,
  ProtobufTraceSerializer,
  TraceExporterMetricsHelper,
} from '@opentelemetry/otlp-transformer';
import type { PushMetricExporter, ResourceMetrics } from '@opentelemetry/sdk-metrics';
import type { ExportWatch } from './export-watch.ts';
import { isFinal } from './export-watch.ts';
import { closingRequest } from './closing-points.ts';
import { isClosing } from './producer.ts';

export type Protocol = 'http/protobuf' | 'http/json' | 'grpc';

interface SignalPlace {
  /** As in the names of variables. */
  readonly variable: string;
  readonly path: string;
  readonly service: string;
  readonly method: string;
}

const PLACES = {
  metrics: {
    variable: 'METRICS',
    path: 'v1/metrics',
    service: 'MetricsExportService',
    method: '/opentelemetry.proto.collector.metrics.v1.MetricsService/Export',
  },
  traces: {
    variable: 'TRACES',
    path: 'v1/traces',
    service: 'TraceExportService',
    method: '/opentelemetry.proto.collector.trace.v1.TraceService/Export',
  },
  logs: {
    variable: 'LOGS',
    path: 'v1/logs',
    service: 'LogsExportService',
    method: '/opentelemetry.proto.collector.logs.v1.LogsService/Export',
  },
} as const satisfies Record<string, SignalPlace>;

/** What the three answers have in common: how much of a request was refused. */
interface Answer {
  readonly partialSuccess?: object | undefined;
}

/** An exporter whose results are watched. */
class WatchedExporter<Items> extends OTLPExporterBase<Items> {
  readonly #watch: ExportWatch;
  readonly #isLast: (items: Items) => boolean;
  readonly #hangUp: () => Promise<void>;

  /** `hangUp`: ends the connections that the delegate keeps open. */
  constructor(
    delegate: ConstructorParameters<typeof OTLPExporterBase<Items>>[0],
    watch: ExportWatch,
    isLast: (items: Items) => boolean,
    hangUp = (): Promise<void> => Promise.resolve(),
  ) {
    super(delegate);
    this.#watch = watch;
    this.#isLast = isLast;
    this.#hangUp = hangUp;
  }

  override async shutdown(): Promise<void> {
    await super.shutdown();
    await this.#hangUp();
  }

  override export(items: Items, done: (result: ExportResult) => void): void {
    const end = (result: ExportResult): void => {
      const failed = result.code !== ExportResultCode.SUCCESS;
      const error = failed ? (result.error ?? new Error('failed')) : undefined;
      this.#watch.ended(error, this.#isLast(items));
      done(result);
    };
    try {
      super.export(items, end);
    } catch (error) {
      end({
        code: ExportResultCode.FAILED,
        error: error instanceof Error ? error : new Error(String(error)),
      });
    }
  }
}

/**
 * Ends the export of a collection with the first of its requests that the receiver does not answer: those that follow
 * would fail one after the other, each at its own length, while what they hold grows old.
 */
class CollectionExporter implements PushMetricExporter {
  readonly #inner: WatchedExporter<ResourceMetrics>;
  readonly #watch: ExportWatch;
  #failed: { readonly collection: object | undefined; readonly result: ExportResult } | undefined;

  constructor(inner: WatchedExporter<ResourceMetrics>, watch: ExportWatch) {
    this.#inner = inner;
    this.#watch = watch;
  }

  export(batch: ResourceMetrics, done: (result: ExportResult) => void): void {
    const collection = collectionOf(batch);
    if (this.#failed && this.#failed.collection === collection) {
      if (isLastOfCollection(batch)) this.#watch.gaveUp();
      done(this.#failed.result);
      return;
    }
    this.#inner.export(batch, (result) => {
      const goesOn = result.code === ExportResultCode.SUCCESS || (result.error && isFinal(result.error));
      this.#failed = goesOn ? undefined : { collection, result };
      done(result);
    });
  }

  forceFlush(): Promise<void> {
    return this.#inner.forceFlush();
  }

  shutdown(): Promise<void> {
    return this.#inner.shutdown();
  }
}

/** More would hold up the event loop while they are serialised. */
export const POINTS_PER_REQUEST = 4_000;

/** All but the last request of a collection are full. */
function isLastOfCollection({ scopeMetrics }: ResourceMetrics): boolean {
  let points = 0;
  for (const { metrics } of scopeMetrics) for (const { dataPoints } of metrics) points += dataPoints.length;
  return points < POINTS_PER_REQUEST;
}

/** All points of a collection have the same time, which is one object. */
function collectionOf({ scopeMetrics }: ResourceMetrics): object | undefined {
  for (const { metrics } of scopeMetrics)
    for (const { dataPoints } of metrics) if (dataPoints[0]) return dataPoints[0].endTime;
  return undefined;
}

function exporterOf<Items, Response extends Answer>(
  place: SignalPlace,
  protocol: Protocol,
  serializer: ISerializer<Items, Response>,
  helper: IExporterMetricsHelper<Items>,
  watch: ExportWatch,
  withinMs?: number,
  isLast: (items: Items) => boolean = () => true,
): WatchedExporter<Items> {
  const watched: ISerializer<Items, Response> = {
    serializeRequest: (items) => serializer.serializeRequest(items),
    deserializeResponse: (data) => {
      const response = serializer.deserializeResponse(data);
      watch.answered(response.partialSuccess);
      return response;
    },
  };
  const { variable, path, service, method } = place;
  const component = `otlp_${protocol}_${path}`;
  const config = withinMs === undefined ? {} : { timeoutMillis: timeoutOf(variable, withinMs) };
  if (protocol === 'grpc') {
    // eslint-disable-next-line @typescript-eslint/no-deprecated -- the SDK's own exporters have no other way either
    const options = convertLegacyOtlpGrpcOptions(config, variable);
    return new WatchedExporter(
      createOtlpGrpcExportDelegate(options, watched, component, helper, undefined, service, method),
      watch,
      isLast,
    );
  }
  const contentType = protocol === 'http/json' ? 'application/json' : 'application/x-protobuf';
  // eslint-disable-next-line @typescript-eslint/no-deprecated -- as above
  const options = convertLegacyHttpOptions(config, variable, path, { 'Content-Type': contentType });
  // The SDK keeps an agent for each exporter, and never ends it.
  let agent: ReturnType<typeof options.agentFactory> | undefined;
  const agentFactory: typeof options.agentFactory = (scheme) => (agent = options.agentFactory(scheme));
  return new WatchedExporter(
    createOtlpHttpExportDelegate({ ...options, agentFactory }, watched, component, helper, undefined),
    watch,
    isLast,
    async () => (await Promise.resolve(agent).catch(() => undefined))?.destroy(),
  );
}

const DEFAULT_TIMEOUT_MS = 10_000;
/** An export has ended before its reader gives it up: else it would go on beside the next one, and arrive after it. */
const SHARE_OF_READER = 0.9;

function timeoutOf(variable: string, withinMs: number): number {
  const asked =
    getNumberFromEnv(`OTEL_EXPORTER_OTLP_${variable}_TIMEOUT`) ??
    getNumberFromEnv('OTEL_EXPORTER_OTLP_TIMEOUT');
  return Math.min(asked !== undefined && asked > 0 ? asked : DEFAULT_TIMEOUT_MS, withinMs * SHARE_OF_READER);
}

/** Protobuf, with what the SDK's serialiser leaves out. */
const closingSerializer: typeof ProtobufMetricsSerializer = {
  serializeRequest: (request) => {
    const { resource, scopeMetrics } = request;
    const closings = scopeMetrics.flatMap(({ scope, metrics }) => {
      const closed = metrics.filter(isClosing);
      return closed.length > 0 ? [closingRequest(resource, scope, closed)] : [];
    });
    if (closings.length === 0) return ProtobufMetricsSerializer.serializeRequest(request);
    const rest = ProtobufMetricsSerializer.serializeRequest(withoutClosing(request));
    return Buffer.concat([...(rest ? [rest] : []), ...closings]);
  },
  deserializeResponse: (data) => ProtobufMetricsSerializer.deserializeResponse(data),
};

/** JSON of the SDK cannot say it: stores find out by themselves that a series has ended. */
const jsonSerializer: typeof JsonMetricsSerializer = {
  serializeRequest: (request) => JsonMetricsSerializer.serializeRequest(withoutClosing(request)),
  deserializeResponse: (data) => JsonMetricsSerializer.deserializeResponse(data),
};

const withoutClosing = ({ resource, scopeMetrics }: ResourceMetrics): ResourceMetrics => ({
  resource,
  scopeMetrics: scopeMetrics.map(({ scope, metrics }) => ({
    scope,
    metrics: metrics.filter((metric) => !isClosing(metric)),
  })),
});

/** `withinMs`: when the reader gives an export up. */
export const metricsExporter = (
  protocol: Protocol,
  watch: ExportWatch,
  withinMs?: number,
): PushMetricExporter =>
  new CollectionExporter(
    exporterOf(
      PLACES.metrics,
      protocol,
      protocol === 'http/json' ? jsonSerializer : closingSerializer,
      MetricsExporterMetricsHelper,
      watch,
      withinMs,
      isLastOfCollection,
    ),
    watch,
  );

export const tracesExporter = (protocol: Protocol, watch: ExportWatch) =>
  exporterOf(
    PLACES.traces,
    protocol,
    protocol === 'http/json' ? JsonTraceSerializer : ProtobufTraceSerializer,
    TraceExporterMetricsHelper,
    watch,
  );

export const logsExporter = (protocol: Protocol, watch: ExportWatch) =>
  exporterOf(
    PLACES.logs,
    protocol,
    protocol === 'http/json' ? JsonLogsSerializer : ProtobufLogsSerializer,
    LogsExporterMetricsHelper,
    watch,
  );
