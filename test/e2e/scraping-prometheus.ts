/** A real Prometheus, and what it answers. Ended by its own pid when its test is over. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort, Peer } from './peer.ts';

export interface Sample {
  readonly ms: number;
  readonly value: number;
}

/** With the name as `__name__`. */
export type Labels = Readonly<Record<string, string>>;

export interface Series {
  readonly labels: Labels;
  readonly samples: readonly Sample[];
}

export interface Target {
  readonly health: string;
  readonly lastError: string;
}

export interface FamilyHead {
  readonly type: string;
  readonly help: string;
  readonly unit: string;
}

/** An alert that is pending or fires. */
export interface PrometheusAlert {
  readonly labels: Readonly<Record<string, string>>;
  readonly state: 'pending' | 'firing';
}

interface Result {
  readonly metric: Labels;
  readonly value: readonly [seconds: number, value: string];
  readonly values: readonly (readonly [seconds: number, value: string])[];
}

export class ScrapingPrometheus {
  readonly #peer: Peer;
  readonly #dropFolder: () => void;

  private constructor(peer: Peer, dropFolder: () => void) {
    this.#peer = peer;
    this.#dropFolder = dropFolder;
  }

  /** Scrapes `target`, a host and port, once a second. */
  static async start(program: string, target: string): Promise<ScrapingPrometheus> {
    const folder = mkdtempSync(join(tmpdir(), 'rras-exporter-prometheus-'));
    const config = join(folder, 'prometheus.yml');
    writeFileSync(
      config,
      `global: {scrape_interval: 1s, scrape_timeout: 1s}
scrape_configs: [{job_name: rras, static_configs: [{targets: ['${target}']}]}]
`,
    );
    const dropFolder = (): void => rmSync(folder, { recursive: true, force: true });
    return ScrapingPrometheus.startWith(program, config, folder, dropFolder);
  }

  /** With a configuration of its own; keeps its data in the folder. */
  static async startWith(
    program: string,
    configFile: string,
    folder: string,
    dropFolder: () => void = () => undefined,
    moreFlags: readonly string[] = [],
  ): Promise<ScrapingPrometheus> {
    const flags = [
      `--config.file=${configFile}`,
      `--storage.tsdb.path=${join(folder, 'prometheus-data')}`,
      ...moreFlags,
    ];
    try {
      return new ScrapingPrometheus(await Peer.start(program, flags, folder, await freePort()), dropFolder);
    } catch (error) {
      dropFolder();
      throw error;
    }
  }

  /** Without a path. */
  get url(): string {
    return this.#peer.url;
  }

  get log(): string {
    return this.#peer.log;
  }

  async end(): Promise<void> {
    await this.#peer.end();
    this.#dropFolder();
  }

  async #ask<T>(path: string, parameters: Readonly<Record<string, string>> = {}): Promise<T> {
    const { text } = await this.#peer.get(`/api/v1/${path}?${new URLSearchParams(parameters).toString()}`);
    const answer = JSON.parse(text) as { status: string; error?: string; data: T };
    if (answer.status !== 'success') {
      throw new Error(`${path} ${parameters['query'] ?? ''}: ${answer.error ?? text}`);
    }
    return answer.data;
  }

  async #query(parameters: Readonly<Record<string, string>>): Promise<readonly Result[]> {
    return (await this.#ask<{ result: readonly Result[] }>('query', parameters)).result;
  }

  async target(): Promise<Target | undefined> {
    return (await this.#ask<{ activeTargets: readonly Target[] }>('targets')).activeTargets[0];
  }

  async alerts(): Promise<readonly PrometheusAlert[]> {
    return (await this.#ask<{ alerts: readonly PrometheusAlert[] }>('alerts')).alerts;
  }

  /** What Prometheus has read of the heads of families. */
  metadata(): Promise<Record<string, readonly FamilyHead[]>> {
    return this.#ask('metadata');
  }

  /** The raw samples of the one series that a selector has. */
  async samples(selector: string, range: string): Promise<readonly Sample[]> {
    const [series, ...others] = await this.#query({ query: `${selector}[${range}]` });
    if (others.length > 0) throw new Error(`${selector} has ${others.length + 1} series`);
    return (series?.values ?? []).map(([seconds, value]) => ({
      ms: Math.round(seconds * 1000),
      value: Number(value),
    }));
  }

  /** Raw samples of all series of a selector, markers of staleness left out. */
  async history(selector: string, range: string): Promise<readonly Series[]> {
    return (await this.#query({ query: `${selector}[${range}]` })).map(({ metric, values }) => ({
      labels: metric,
      samples: values.map(([seconds, value]) => ({ ms: Math.round(seconds * 1000), value: Number(value) })),
    }));
  }

  /** Labels of the series that an expression has at a moment. */
  async seriesAt(query: string, atMs: number): Promise<readonly Labels[]> {
    return (await this.#query({ query, time: String(atMs / 1000) })).map(({ metric }) => metric);
  }

  /** The one value of an expression at a moment; undefined if it has none. */
  async value(query: string, atMs: number): Promise<number | undefined> {
    const [one, ...others] = await this.#query({ query, time: String(atMs / 1000) });
    if (others.length > 0) throw new Error(`${query} has ${others.length + 1} values`);
    return one && Number(one.value[1]);
  }
}
