/**
 * A real Prometheus that gets the metrics of one program twice: it scrapes them, and the program pushes them by OTLP to a
 * vmagent, which translates them and writes them to the same Prometheus (Debian's has no OTLP endpoint of its own).
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fetchPlain } from '../server/http-client.ts';
import { freePort, Peer } from './peer.ts';
import type { Labels } from './scraping-prometheus.ts';
import { ScrapingPrometheus } from './scraping-prometheus.ts';

export const SCRAPED = 'scraped';
/** What vmagent makes of service.name. */
export const PUSHED = 'rras-exporter';

/** Labels that say where a series comes from, which by the two ways is not the same. */
const OF_TARGET = /^(?:__name__|job|instance|(?:otel_scope|service|host|telemetry|deployment)_.*)$/;

/** The samples that came together, by what they are of: a name and the labels that are not the target's. */
export type Batch = ReadonlyMap<string, number>;

/** The same for both ways: labels in order, empty ones left out, a bound as a number. */
export function seriesKey(labels: Labels): string {
  const own = Object.entries(labels)
    .filter(([name, value]) => value !== '' && !OF_TARGET.test(name))
    .map(([name, value]) => [name, name === 'le' ? String(Number(value.replace('Inf', 'Infinity'))) : value])
    .sort(([a = ''], [b = '']) => (a < b ? -1 : 1))
    .map(([name, value]) => `${name}=${JSON.stringify(value)}`);
  return `${labels['__name__'] ?? ''}{${own.join(',')}}`;
}

const RELABEL = `- {source_labels: [service_name], target_label: job}
- {source_labels: [service_instance_id], target_label: instance}
`;

export class OtlpStack {
  readonly prometheus: ScrapingPrometheus;
  readonly #vmagent: Peer;
  readonly #folder: string;
  readonly #configFile: string;

  private constructor(prometheus: ScrapingPrometheus, vmagent: Peer, folder: string, configFile: string) {
    this.prometheus = prometheus;
    this.#vmagent = vmagent;
    this.#folder = folder;
    this.#configFile = configFile;
  }

  static async start(prometheusPath: string, vmagentPath: string): Promise<OtlpStack> {
    const folder = mkdtempSync(join(tmpdir(), 'rras-exporter-otlp-'));
    const file = (name: string, text: string): string => {
      writeFileSync(join(folder, name), text);
      return join(folder, name);
    };
    let prometheus: ScrapingPrometheus | undefined;
    try {
      const configFile = file('prometheus.yml', prometheusConfig());
      prometheus = await ScrapingPrometheus.startWith(prometheusPath, configFile, folder, undefined, [
        '--web.enable-remote-write-receiver',
        '--web.enable-lifecycle',
      ]);
      const flags = [
        '-opentelemetry.usePrometheusNaming',
        '-remoteWrite.forcePromProto',
        `-remoteWrite.url=${prometheus.url}/api/v1/write`,
        `-remoteWrite.relabelConfig=${file('relabel.yml', RELABEL)}`,
        `-remoteWrite.tmpDataPath=${join(folder, 'vmagent')}`,
        '-remoteWrite.flushInterval=100ms',
        // Several overtake each other, and Prometheus refuses what comes late: the end of a series, for one.
        '-remoteWrite.queues=1',
      ];
      const vmagent = await Peer.start(vmagentPath, flags, folder, await freePort(), '-httpListenAddr');
      return new OtlpStack(prometheus, vmagent, folder, configFile);
    } catch (error) {
      await prometheus?.end();
      rmSync(folder, { recursive: true, force: true });
      throw error;
    }
  }

  /** For OTEL_EXPORTER_OTLP_ENDPOINT. */
  get endpoint(): string {
    return `${this.#vmagent.url}/opentelemetry`;
  }

  /** What both servers logged. */
  get log(): string {
    return this.prometheus.log + this.#vmagent.log;
  }

  /** From now on Prometheus scrapes this host and port once a second. */
  async scrape(target: string): Promise<void> {
    writeFileSync(this.#configFile, prometheusConfig(target));
    const { status } = await fetchPlain(`${this.prometheus.url}/-/reload`, { method: 'POST' });
    if (status !== 200) throw new Error(`Prometheus does not take its configuration: ${this.prometheus.log}`);
  }

  /** The batches of a job in the newest `range`, by the time that all samples of a batch have. */
  async batches(job: string, range: string): Promise<ReadonlyMap<number, Batch>> {
    const batches = new Map<number, Map<string, number>>();
    for (const { labels, samples } of await this.prometheus.history(
      `{__name__=~"rras_.+",job="${job}"}`,
      range,
    )) {
      const key = seriesKey(labels);
      for (const { ms, value } of samples) {
        const batch = batches.get(ms) ?? new Map<string, number>();
        batches.set(ms, batch);
        if (batch.has(key)) throw new Error(`two series ${key} of ${job} at ${ms}`);
        batch.set(key, value);
      }
    }
    return new Map([...batches].sort(([a], [b]) => a - b));
  }

  async end(): Promise<void> {
    await this.#vmagent.end();
    await this.prometheus.end();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

function prometheusConfig(target?: string): string {
  const targets = target === undefined ? '' : `'${target}'`;
  return `global: {scrape_interval: 1s, scrape_timeout: 1s}
scrape_configs: [{job_name: ${SCRAPED}, static_configs: [{targets: [${targets}]}]}]
`;
}
