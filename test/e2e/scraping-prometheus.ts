/** A real Prometheus that scrapes one target, and what it answers. Ended by its own pid when its test is over. */
import type { ChildProcess } from 'node:child_process';
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fetchPlain } from '../server/http-client.ts';
import { plainEnvironment, until } from './program.ts';

export interface Sample {
  readonly ms: number;
  readonly value: number;
}

export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
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

interface Result {
  readonly metric: Readonly<Record<string, string>>;
  readonly value: readonly [seconds: number, value: string];
  readonly values: readonly (readonly [seconds: number, value: string])[];
}

export class ScrapingPrometheus {
  readonly #process: ChildProcess;
  readonly #folder: string;
  readonly #url: string;
  readonly #closed: Promise<unknown>;
  #log = '';

  private constructor(program: string, port: number, target: string) {
    this.#folder = mkdtempSync(join(tmpdir(), 'rras-exporter-prometheus-'));
    this.#url = `http://127.0.0.1:${port}`;
    const config = join(this.#folder, 'prometheus.yml');
    writeFileSync(
      config,
      `global: {scrape_interval: 1s, scrape_timeout: 1s}
scrape_configs: [{job_name: rras, static_configs: [{targets: ['${target}']}]}]
`,
    );
    const flags = [
      `--config.file=${config}`,
      `--storage.tsdb.path=${join(this.#folder, 'data')}`,
      `--web.listen-address=127.0.0.1:${port}`,
    ];
    this.#process = spawn(program, flags, {
      cwd: this.#folder,
      env: plainEnvironment(),
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    this.#process.stderr!.setEncoding('utf8').on('data', (text: string) => (this.#log += text));
    this.#closed = new Promise((resolve) => this.#process.on('close', resolve));
  }

  /** Scrapes `target`, a host and port, once a second. */
  static async start(program: string, target: string): Promise<ScrapingPrometheus> {
    const prometheus = new ScrapingPrometheus(program, await freePort(), target);
    const ready = (): Promise<boolean> =>
      fetchPlain(`${prometheus.#url}/-/ready`).then(
        ({ status }) => status === 200,
        () => false,
      );
    await until('Prometheus is ready', ready, 30_000);
    return prometheus;
  }

  get log(): string {
    return this.#log;
  }

  async end(): Promise<void> {
    this.#process.kill('SIGTERM');
    await this.#closed;
    rmSync(this.#folder, { recursive: true, force: true });
  }

  async #ask<T>(path: string, parameters: Readonly<Record<string, string>> = {}): Promise<T> {
    const { text } = await fetchPlain(
      `${this.#url}/api/v1/${path}?${new URLSearchParams(parameters).toString()}`,
    );
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

  /** The one value of an expression at a moment; undefined if it has none. */
  async value(query: string, atMs: number): Promise<number | undefined> {
    const [one, ...others] = await this.#query({ query, time: String(atMs / 1000) });
    if (others.length > 0) throw new Error(`${query} has ${others.length + 1} values`);
    return one && Number(one.value[1]);
  }
}
