/**
 * Starts OpenTelemetry: metrics, traces and logs, each only where the plan has it. Loaded only when there is a plan.
 * Whatever a receiver does, nobody waits for it.
 */
import type {
  Attributes,
  Context as OtelContext,
  HrTime,
  Span as OtelSpan,
  Tracer,
} from '@opentelemetry/api';
import {
  context,
  diag,
  DiagLogLevel,
  logs,
  ROOT_CONTEXT,
  SeverityNumber,
  SpanStatusCode,
  trace,
} from '@opentelemetry/api';
import type { Resource } from '@opentelemetry/resources';
import {
  defaultResource,
  detectResources,
  emptyResource,
  resourceAttributesEnvDetector,
  resourceFromAttributes,
  serviceNameEnvDetector,
} from '@opentelemetry/resources';
import type { LogRecordExporter } from '@opentelemetry/sdk-logs';
import { BatchLogRecordProcessor } from '@opentelemetry/sdk-logs';
import type { CollectionResult, MetricProducer } from '@opentelemetry/sdk-metrics';
import { MeterProvider, PeriodicExportingMetricReader } from '@opentelemetry/sdk-metrics';
import { NodeSDK } from '@opentelemetry/sdk-node';
import {
  diagLogLevelFromString,
  getNumberFromEnv,
  getStringFromEnv,
  W3CTraceContextPropagator,
} from '@opentelemetry/core';
import type { Clock } from '../../model/clock.ts';
import type { LogFields, Logger } from '../../model/logger.ts';
import type { Span, SpanOptions, TraceParent, Tracing } from '../../model/tracing.ts';
import { noTracing } from '../../model/tracing.ts';
import type { ExportOutcome } from './export-watch.ts';
import { ExportWatch } from './export-watch.ts';
import type { Protocol } from './exporters.ts';
import { logsExporter, metricsExporter, POINTS_PER_REQUEST, tracesExporter } from './exporters.ts';
import { toHrTime } from './producer.ts';

/** Makes the metrics of a server, and is told whether they arrived. */
export interface ServerProducer extends MetricProducer {
  exportEnded?(succeeded: boolean): void;
}

export interface TelemetryOptions {
  readonly plan: Readonly<Partial<Record<'traces' | 'metrics' | 'logs', Protocol>>>;
  readonly version: string;
  readonly hostName: string;
  /** Makes the metrics of the local server and of the exporter. */
  readonly producer: ServerProducer;
  /** Does not go into exported logs: what it is told of is how the export goes. */
  readonly logger: Logger;
  /** The least severe lines to export. */
  readonly level: keyof Logger;
  readonly clock: Clock;
  readonly count: (signal: string, outcome: ExportOutcome) => void;
}

export interface Telemetry {
  readonly tracing: Tracing;
  /** A log that is exported too. */
  exported(logger: Logger): Logger;
  /**
   * Another server: a resource of its own, whose service.instance.id is the name. Answers what ends it: the last export is
   * made then.
   */
  addServer(name: string, producer: ServerProducer): () => Promise<void>;
  /** The least severe lines to export, from now on. */
  setLevel(level: keyof Logger): void;
  /** Sends what is left. */
  shutdown(): Promise<void>;
}

/** Of a producer that is not there yet. */
export const NO_METRICS: CollectionResult = {
  resourceMetrics: { resource: emptyResource(), scopeMetrics: [] },
  errors: [],
};

const DEFAULT_INTERVAL_MS = 60_000;
const DEFAULT_TIMEOUT_MS = 30_000;
const SCOPE = 'rras-exporter';

export function startTelemetry(options: TelemetryOptions): Telemetry {
  const { plan, version, hostName, producer, logger, count } = options;
  const watch = (signal: string, also?: (arrived: boolean) => void): ExportWatch =>
    new ExportWatch(signal, logger, (of, outcome, isFinal) => {
      count(of, outcome);
      // What is refused would be so for ever.
      also?.(outcome !== 'failure' || isFinal);
    });
  const { exportIntervalMillis, exportTimeoutMillis } = intervals();
  const resourceOf = (instance: string): Resource =>
    defaultResource()
      .merge(
        resourceFromAttributes({
          'service.name': 'rras-exporter',
          'service.version': version,
          'service.instance.id': instance,
          'host.name': hostName,
        }),
      )
      .merge(detectResources({ detectors: [resourceAttributesEnvDetector, serviceNameEnvDetector] }));
  const readerOf = (of: ServerProducer): PeriodicExportingMetricReader =>
    new PeriodicExportingMetricReader({
      exporter: metricsExporter(
        plan.metrics!,
        watch('metrics', (arrived) => of.exportEnded?.(arrived)),
        exportTimeoutMillis,
      ),
      metricProducers: [of],
      maxExportBatchSize: POINTS_PER_REQUEST,
      exportIntervalMillis,
      exportTimeoutMillis,
    });
  tellDiagnostics(logger);
  const sdk = new NodeSDK({
    resource: resourceOf(hostName),
    // The others would tell of the process' arguments and owner.
    autoDetectResources: false,
    metricReaders: plan.metrics ? [readerOf(producer)] : [],
    ...(plan.traces
      ? { traceExporter: tracesExporter(plan.traces, watch('traces')) }
      : { spanProcessors: [] }),
    logRecordProcessors: plan.logs ? [logProcessor(logsExporter(plan.logs, watch('logs')))] : [],
  });
  // The SDK may have put a logger of its own in its place.
  tellDiagnostics(logger);
  sdk.start();
  const others = new Set<MeterProvider>();
  let level = options.level;
  return {
    tracing: plan.traces ? new Traces(trace.getTracer(SCOPE, version), options.clock) : noTracing,
    exported: (inner) => (plan.logs ? exportedLogger(inner, version, () => level) : inner),
    addServer: (name, of) => {
      if (!plan.metrics) return () => Promise.resolve();
      const own = resourceOf(name).merge(resourceFromAttributes({ 'service.instance.id': name }));
      const provider = new MeterProvider({ resource: own, readers: [readerOf(of)] });
      others.add(provider);
      return async () => {
        others.delete(provider);
        await provider.shutdown();
      };
    },
    setLevel: (least) => {
      level = least;
    },
    shutdown: async () => {
      await Promise.allSettled([sdk.shutdown(), ...[...others].map((each) => each.shutdown())]);
    },
  };
}

/** A number of a standard variable that is above 0. */
function fromEnvironment(name: string): number | undefined {
  const value = getNumberFromEnv(name);
  return value !== undefined && value > 0 ? value : undefined;
}

function intervals() {
  const exportIntervalMillis = fromEnvironment('OTEL_METRIC_EXPORT_INTERVAL') ?? DEFAULT_INTERVAL_MS;
  const timeoutMs = fromEnvironment('OTEL_METRIC_EXPORT_TIMEOUT') ?? DEFAULT_TIMEOUT_MS;
  return { exportIntervalMillis, exportTimeoutMillis: Math.min(timeoutMs, exportIntervalMillis) };
}

/** The SDK reads these variables only for exporters of its own. */
function logProcessor(exporter: LogRecordExporter): BatchLogRecordProcessor {
  const settings = {
    maxQueueSize: fromEnvironment('OTEL_BLRP_MAX_QUEUE_SIZE'),
    scheduledDelayMillis: fromEnvironment('OTEL_BLRP_SCHEDULE_DELAY'),
    exportTimeoutMillis: fromEnvironment('OTEL_BLRP_EXPORT_TIMEOUT'),
    maxExportBatchSize: fromEnvironment('OTEL_BLRP_MAX_EXPORT_BATCH_SIZE'),
  };
  const given = Object.entries(settings).filter(([, value]) => value !== undefined);
  return new BatchLogRecordProcessor({ exporter, ...(Object.fromEntries(given) as Record<string, number>) });
}

/** A monotonic time, or now, as wall time. */
type WallTimes = (monotonicMs?: number) => HrTime;

/** What the SDK has to say is for who looks into trouble with it. */
function tellDiagnostics(logger: Logger): void {
  const tell = (message: string, ...more: unknown[]): void =>
    logger.debug(`opentelemetry: ${message}`, more.length > 0 ? { details: more.map(String).join(' ') } : {});
  diag.setLogger(
    { error: tell, warn: tell, info: tell, debug: tell, verbose: () => undefined },
    {
      logLevel: diagLogLevelFromString(getStringFromEnv('OTEL_LOG_LEVEL')) ?? DiagLogLevel.INFO,
      suppressOverrideMessage: true,
    },
  );
}

/** Times of spans are monotonic within the exporter, and told as wall time. */
class Traces implements Tracing {
  readonly #tracer: Tracer;
  readonly #clock: Clock;

  constructor(tracer: Tracer, clock: Clock) {
    this.#tracer = tracer;
    this.#clock = clock;
  }

  async run<T>(name: string, options: SpanOptions, work: (span: Span) => Promise<T>): Promise<T> {
    const { attributes = {}, parent, cause } = options;
    const links = cause === undefined ? [] : linksTo(cause);
    const under = parent === undefined ? ROOT_CONTEXT : contextOf(parent);
    // One for the whole trace: a step of the system time must not put a part before or after it.
    const at = this.#wallTimes();
    const span = this.#tracer.startSpan(name, { attributes, links, startTime: at() }, under);
    try {
      return await context.with(trace.setSpan(under, span), () => work(this.#spanOf(span, at)));
    } catch (error) {
      span.recordException(error instanceof Error ? error : String(error));
      span.setStatus({ code: SpanStatusCode.ERROR });
      throw error;
    } finally {
      span.end(at());
    }
  }

  #spanOf(span: OtelSpan, at: WallTimes): Span {
    return {
      set: (attributes) => void span.setAttributes(attributes),
      fail: (message) => void span.setStatus({ code: SpanStatusCode.ERROR, message }),
      part: (name, startMs, endMs, { attributes = {}, failure } = {}) => {
        const under = trace.setSpan(ROOT_CONTEXT, span);
        const part = this.#tracer.startSpan(name, { attributes, startTime: at(startMs) }, under);
        if (failure !== undefined) part.setStatus({ code: SpanStatusCode.ERROR, message: failure });
        part.end(at(endMs));
        return this.#spanOf(part, at);
      },
    };
  }

  #wallTimes(): WallTimes {
    const clock = this.#clock;
    const offsetMs = clock.wallSeconds() * 1000 - clock.monotonicMs();
    return (monotonicMs = clock.monotonicMs()) => toHrTime((offsetMs + monotonicMs) / 1000);
  }
}

const propagator = new W3CTraceContextPropagator();

function contextOf(traceparent: TraceParent): OtelContext {
  return propagator.extract(
    ROOT_CONTEXT,
    { traceparent },
    {
      get: (carrier, key) => (carrier as Record<string, string>)[key],
      keys: (carrier) => Object.keys(carrier as object),
    },
  );
}

function linksTo(traceparent: TraceParent) {
  const spanContext = trace.getSpanContext(contextOf(traceparent));
  return spanContext ? [{ context: spanContext }] : [];
}

const SEVERITIES = {
  debug: SeverityNumber.DEBUG,
  info: SeverityNumber.INFO,
  warn: SeverityNumber.WARN,
  error: SeverityNumber.ERROR,
} as const;

/** Writes each line to both; the exported one bears the ids of the span under way. */
function exportedLogger(inner: Logger, version: string, least: () => keyof Logger): Logger {
  const exporting = logs.getLogger(SCOPE, version);
  const at =
    (level: keyof typeof SEVERITIES) =>
    (message: string, fields: LogFields = {}): void => {
      inner[level](message, fields);
      if (SEVERITIES[level] < SEVERITIES[least()]) return;
      exporting.emit({
        severityNumber: SEVERITIES[level],
        severityText: level,
        body: message,
        attributes: attributesOf(fields),
      });
    };
  return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') };
}

function attributesOf(fields: LogFields): Attributes {
  const attributes: Attributes = {};
  for (const [key, value] of Object.entries(fields)) {
    if (value === undefined || value === null) continue;
    attributes[key] = typeof value === 'number' || typeof value === 'boolean' ? value : textOf(value);
  }
  return attributes;
}

function textOf(value: unknown): string {
  if (typeof value === 'string') return value;
  if (!(value instanceof Error)) return JSON.stringify(value);
  return value.cause instanceof Error ? `${value.message}: ${textOf(value.cause)}` : value.message;
}
