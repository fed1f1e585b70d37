/** The exporter's own metrics, kept by prom-client: what it called, how that went, and its process. */
import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client';
import type { ReadReport } from '../model/frames.ts';
import type { Source } from '../model/words.ts';
import { ANOMALIES } from '../model/words.ts';
import type { AdminState } from './admin-metrics.ts';
import { AdminMetrics } from './admin-metrics.ts';

/** prom-client's gauges that are named like counters. */
const MISNAMED = [
  'nodejs_active_resources_total',
  'nodejs_active_handles_total',
  'nodejs_active_requests_total',
];

/** NO_ERROR, ERROR_MORE_DATA, PENDING. */
const SUCCESSES: ReadonlySet<number> = new Set([0, 234, 600]);

/** One of the exporter's own families as data. */
export interface OwnFamily {
  readonly name: string;
  readonly type: 'gauge' | 'counter' | 'histogram';
  readonly help: string;
  /** Empty for a histogram. */
  readonly samples: readonly { readonly labels: Readonly<Record<string, string>>; readonly value: number }[];
  /** Counts per bucket, not cumulated, the one without a bound last. */
  readonly histograms: readonly {
    readonly labels: Readonly<Record<string, string>>;
    readonly bounds: readonly number[];
    readonly counts: readonly number[];
    readonly sum: number;
  }[];
}

export interface SelfMetricsOptions {
  readonly version: string;
  /** Data is made up: shown, so that nobody takes it for a real server. */
  readonly simulated: boolean;
  /** Unix seconds. */
  readonly startedAtSeconds: number;
  /** Also expose the metrics of the process (process_*, nodejs_*). */
  readonly process: boolean;
  /** `server`: what is of one server alone; the exporter itself is told of elsewhere. */
  readonly scope?: 'exporter' | 'server';
}

export class SelfMetrics {
  readonly #registry = new Registry();
  readonly #calls: Counter<'function'>;
  readonly #failures: Counter<'function' | 'code'>;
  readonly #durations: Histogram<'function'>;
  readonly #pages: Counter<'source'>;
  readonly #anomalies: Counter<'source' | 'reason'>;
  readonly #wraps: Counter;
  readonly #ambiguous: Counter;
  readonly #restarts: Counter<'reason'>;
  #reloaded: (succeeded: boolean, atSeconds: number) => void = () => undefined;

  constructor(options: SelfMetricsOptions) {
    const registers = [this.#registry];
    if (options.scope !== 'server') this.#addExporter(options);
    new Gauge({
      name: 'rras_exporter_simulated',
      help: 'Whether the server is a simulation and none of its data real.',
      registers,
    }).set(options.simulated ? 1 : 0);
    this.#calls = new Counter({
      name: 'rras_exporter_native_calls_total',
      help: 'Calls of functions of mprapi.dll.',
      labelNames: ['function'],
      registers,
    });
    this.#failures = new Counter({
      name: 'rras_exporter_native_failures_total',
      help: 'Calls of functions of mprapi.dll that returned neither NO_ERROR, ERROR_MORE_DATA nor PENDING, by their code.',
      labelNames: ['function', 'code'],
      registers,
    });
    this.#durations = new Histogram({
      name: 'rras_exporter_native_call_duration_seconds',
      help: 'How long calls of functions of mprapi.dll took.',
      labelNames: ['function'],
      buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30],
      registers,
    });
    this.#pages = new Counter({
      name: 'rras_exporter_enumeration_pages_total',
      help: 'Pages that enumerations of a source received.',
      labelNames: ['source'],
      registers,
    });
    this.#anomalies = new Counter({
      name: 'rras_exporter_enumeration_anomalies_total',
      help: 'Answers of an enumeration that were not as the API promises, by what was wrong.',
      labelNames: ['source', 'reason'],
      registers,
    });
    this.#wraps = new Counter({
      name: 'rras_exporter_wraps_total',
      help: 'Byte and frame counters of connections that were seen to pass 2^32 and begin again at 0.',
      registers,
    });
    this.#ambiguous = new Counter({
      name: 'rras_exporter_ambiguous_deltas_total',
      help: 'Byte counters of connections that may have passed 2^32 more often between two polls than could be seen.',
      registers,
    });
    this.#restarts = new Counter({
      name: 'rras_exporter_host_restarts_total',
      help: 'How often the process that holds mprapi.dll was replaced, by reason.',
      labelNames: ['reason'],
      registers,
    });
    for (const reason of ['timeout', 'crash', 'protocol']) this.#restarts.inc({ reason }, 0);
    if (options.process) {
      collectDefaultMetrics({ register: this.#registry });
      for (const name of MISNAMED) this.#registry.removeSingleMetric(name);
    }
  }

  #addExporter(options: SelfMetricsOptions): void {
    const registers = [this.#registry];
    new Gauge({
      name: 'rras_exporter_build_info',
      help: 'A constant 1, with the version of the exporter and of Node.js and the platform it runs on.',
      labelNames: ['version', 'nodeversion', 'platform'],
      registers,
    }).set({ version: options.version, nodeversion: process.version, platform: process.platform }, 1);
    const reloaded = new Gauge({
      name: 'rras_exporter_config_last_reload_successful',
      help: 'Whether the last attempt to load the configuration succeeded.',
      registers,
    });
    const reloadedAt = new Gauge({
      name: 'rras_exporter_config_last_reload_success_timestamp_seconds',
      help: 'Unix time at which the configuration in use was loaded.',
      registers,
    });
    this.#reloaded = (succeeded, atSeconds) => {
      reloaded.set(succeeded ? 1 : 0);
      if (succeeded) reloadedAt.set(atSeconds);
    };
    this.#reloaded(true, options.startedAtSeconds);
  }

  /** The configuration was read anew, or could not be. */
  countReload(succeeded: boolean, atSeconds: number): void {
    this.#reloaded(succeeded, atSeconds);
  }

  /** Sources that are enumerated from now on: what they count is there with a 0 before its first event. */
  startSources(sources: Iterable<Source>): void {
    for (const source of sources) {
      this.#pages.inc({ source }, 0);
      for (const reason of ANOMALIES) this.#anomalies.inc({ source, reason }, 0);
    }
  }

  /** Also the metrics of the guarded actions, from now on. */
  admin(state: AdminState): AdminMetrics {
    return new AdminMetrics(this.#registry, state);
  }

  countCalls({ calls }: ReadReport): void {
    for (const call of calls) {
      this.#calls.inc({ function: call.function });
      this.#durations.observe({ function: call.function }, call.seconds);
      if (!SUCCESSES.has(call.code)) {
        this.#failures.inc({ function: call.function, code: String(call.code) });
      }
    }
  }

  countRead(source: Source, report: ReadReport): void {
    this.countCalls(report);
    this.#pages.inc({ source }, report.pages);
    for (const [reason, count] of Object.entries(report.anomalies))
      this.#anomalies.inc({ source, reason }, count);
  }

  countWraps(wraps: number, ambiguous: number): void {
    this.#wraps.inc(wraps);
    this.#ambiguous.inc(ambiguous);
  }

  countRestart(reason: 'timeout' | 'crash' | 'protocol'): void {
    this.#restarts.inc({ reason });
  }

  /** Also how exports over OTLP end, of these signals from now on. */
  otlp(signals: readonly string[]): (signal: string, result: string) => void {
    const exports = new Counter({
      name: 'rras_exporter_otlp_exports_total',
      help: 'Requests to the OTLP receiver by how they ended: success, partial (it refused a part) or failure.',
      labelNames: ['signal', 'result'],
      registers: [this.#registry],
    });
    for (const signal of signals)
      for (const result of ['success', 'partial', 'failure']) exports.inc({ signal, result }, 0);
    return (signal, result) => exports.inc({ signal, result });
  }

  /** The families of the exporter, without those of its process, for which other conventions hold elsewhere. */
  async families(): Promise<readonly OwnFamily[]> {
    const own = this.#registry.getMetricsAsArray().filter(({ name }) => name.startsWith('rras_'));
    const read = await Promise.allSettled(
      own.map(async ({ name }) => this.#registry.getSingleMetric(name)!.get()),
    );
    return read.flatMap((result): OwnFamily[] => {
      if (result.status === 'rejected') return [];
      const { name, help, type, values } = result.value as unknown as PromClientFamily;
      if (type === 'histogram')
        return [{ name, type, help, samples: [], histograms: histogramsOf(name, values) }];
      const samples = values.map(({ labels, value }) => ({ labels: textsOf(labels), value }));
      return [{ name, type, help, samples, histograms: [] }];
    });
  }

  /** Name, type, help and labels of each of the exporter's own families. */
  async describe(): Promise<
    readonly { name: string; type: string; help: string; labels: readonly string[] }[]
  > {
    const metrics = await this.#registry.getMetricsAsJSON();
    return metrics.map(({ name, type, help }) => {
      const { labelNames = [] } = this.#registry.getSingleMetric(name) as unknown as {
        labelNames?: readonly string[];
      };
      return { name, type: String(type), help, labels: labelNames };
    });
  }

  /** The text of all of it, format 0.0.4. Never rejects: a metric that fails costs itself, not the others or the page. */
  async text(): Promise<string> {
    const all = this.#registry.getMetricsAsArray();
    const results = await Promise.allSettled(
      all.map(({ name }) => this.#registry.getSingleMetricAsString(name)),
    );
    const texts = results.map((result, i) =>
      result.status === 'fulfilled'
        ? result.value
        : `# ${all[i]!.name} failed: ${String(result.reason).replaceAll(/\s+/g, ' ')}`,
    );
    // prom-client's spelling of NaN is not the format's.
    return `${texts.join('\n')}\n`.replaceAll(/ Nan$/gm, ' NaN');
  }
}

interface PromClientValue {
  readonly labels: Readonly<Record<string, string | number>>;
  readonly value: number;
  /** Of the samples of a histogram. */
  readonly metricName?: string;
}

interface PromClientFamily {
  readonly name: string;
  readonly help: string;
  readonly type: OwnFamily['type'];
  readonly values: readonly PromClientValue[];
}

const textsOf = (labels: PromClientValue['labels']): Record<string, string> =>
  Object.fromEntries(Object.entries(labels).map(([name, value]) => [name, String(value)]));

function histogramsOf(name: string, values: readonly PromClientValue[]): OwnFamily['histograms'] {
  const found = new Map<
    string,
    { labels: Record<string, string>; buckets: [number, number][]; sum: number }
  >();
  for (const { labels, value, metricName } of values) {
    const { le, ...rest } = textsOf(labels);
    const key = JSON.stringify(Object.entries(rest).sort());
    let one = found.get(key);
    if (!one) found.set(key, (one = { labels: rest, buckets: [], sum: 0 }));
    if (metricName === `${name}_bucket`) one.buckets.push([le === '+Inf' ? Infinity : Number(le), value]);
    else if (metricName === `${name}_sum`) one.sum = value;
  }
  return [...found.values()].map(({ labels, buckets, sum }) => {
    const sorted = buckets.toSorted(([a], [b]) => a - b);
    const counts = sorted.map(([, cumulated], i) => cumulated - (sorted[i - 1]?.[1] ?? 0));
    return { labels, bounds: sorted.map(([bound]) => bound).filter(Number.isFinite), counts, sum };
  });
}
