/**
 * Whether OTLP is switched on, by the standard variables of OpenTelemetry and the section `otlp` of the configuration file.
 * What they ask for that the exporter cannot do is refused here, before anything of OpenTelemetry is loaded.
 */
import { UsageError } from '../model/errors.ts';
import { quote } from './flags.ts';
import type { OtlpConfig } from './options.ts';
import { about, bool, meant, section } from './setting.ts';

/** Of the configuration file only: it has no flags. */
export const otlpSection = section({
  enabled: about('false: nothing is sent, whatever the variables of OpenTelemetry say.', bool(true)),
  connections: about('Also send the series of each connection.', bool(false)),
});

export const SIGNALS = ['traces', 'metrics', 'logs'] as const;
export type Signal = (typeof SIGNALS)[number];

const PROTOCOLS = ['http/protobuf', 'http/json', 'grpc'] as const;
export type Protocol = (typeof PROTOCOLS)[number];

/** Protocols of the signals that are sent; a signal that is not there is not. */
export type OtlpPlan = Readonly<Partial<Record<Signal, Protocol>>>;

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * What is to be sent. Empty: nothing, and nothing is loaded.
 * @throws UsageError naming the variable and what is expected.
 */
export function otlpPlan(environment: Environment, { enabled }: OtlpConfig): OtlpPlan {
  // An empty variable is one that is not set, as the specification has it.
  const get = (name: string): string | undefined => {
    const value = environment[name]?.trim();
    return value === '' ? undefined : value;
  };
  if (!enabled || get('OTEL_SDK_DISABLED')?.toLowerCase() === 'true') return {};
  const plan: Partial<Record<Signal, Protocol>> = {};
  for (const signal of SIGNALS) {
    const upper = signal.toUpperCase();
    const endpoints = ['OTEL_EXPORTER_OTLP_ENDPOINT', `OTEL_EXPORTER_OTLP_${upper}_ENDPOINT`];
    const named = endpoints.filter((name) => get(name) !== undefined);
    if (!isAsked(`OTEL_${upper}_EXPORTER`, get, named.length > 0)) continue;
    const protocol = protocolOf(upper, get);
    for (const name of named) checkUrl(name, get(name)!, protocol);
    plan[signal] = protocol;
  }
  if (plan.metrics) {
    const name = 'OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE';
    const preference = get(name);
    if (preference !== undefined && preference.toLowerCase() !== 'cumulative')
      throw new UsageError(
        `${name}=${quote(preference)}: expected cumulative`,
        'the counters of RRAS are sums since a start; let the collector make deltas of them',
      );
    for (const each of ['OTEL_METRIC_EXPORT_INTERVAL', 'OTEL_METRIC_EXPORT_TIMEOUT']) {
      const value = get(each);
      if (value !== undefined && !/^[1-9]\d{0,8}$/.test(value))
        throw new UsageError(`${each}=${quote(value)}: expected a number of milliseconds`);
    }
  }
  return plan;
}

/** Known exporters of other programs, which would be expected to work. */
const ELSEWHERE = ['console', 'prometheus', 'zipkin', 'jaeger', 'logging'];

function isAsked(name: string, get: (name: string) => string | undefined, hasEndpoint: boolean): boolean {
  const value = get(name);
  if (value === undefined) return hasEndpoint;
  if (value === 'none') return false;
  if (value === 'otlp') return true;
  const hint = ELSEWHERE.includes(value)
    ? 'the exporter sends OTLP only; its metrics for Prometheus are at /metrics'
    : meant(value, ['otlp', 'none']);
  throw new UsageError(`${name}=${quote(value)}: expected otlp or none`, hint);
}

function protocolOf(upper: string, get: (name: string) => string | undefined): Protocol {
  for (const name of [`OTEL_EXPORTER_OTLP_${upper}_PROTOCOL`, 'OTEL_EXPORTER_OTLP_PROTOCOL']) {
    const value = get(name);
    if (value === undefined) continue;
    const protocol = PROTOCOLS.find((each) => each === value);
    if (protocol) return protocol;
    throw new UsageError(
      `${name}=${quote(value)}: expected one of ${PROTOCOLS.join(', ')}`,
      meant(value, PROTOCOLS),
    );
  }
  return 'http/protobuf';
}

function checkUrl(name: string, value: string, protocol: Protocol): void {
  // gRPC also takes an address without a scheme.
  const text = protocol === 'grpc' && !value.includes('://') ? `http://${value}` : value;
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url && /^https?:$/.test(url.protocol)) return;
  // The value may hold a password.
  throw new UsageError(`${name}: expected a URL such as http://127.0.0.1:4318`);
}
