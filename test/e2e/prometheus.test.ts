/** A real Prometheus scrapes the program once a second for a while, and is asked what it makes of it. */
import type { ChildProcess } from 'node:child_process';
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { fetchPlain } from '../server/http-client.ts';
import { requireTool } from '../tools/require-tool.ts';
import { buildIfStale, endAll, plainEnvironment, Program, until } from './program.ts';

const SCRAPES = 10;

interface Series {
  readonly metric: Readonly<Record<string, string>>;
  readonly values: readonly (readonly [seconds: number, value: string])[];
}

interface Target {
  readonly health: string;
  readonly lastError: string;
  readonly lastScrapeDuration: number;
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

class Prometheus {
  readonly #process: ChildProcess;
  readonly #folder: string;
  readonly #url: string;
  readonly #closed: Promise<unknown>;
  log = '';

  constructor(prometheus: string, port: number, target: string) {
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
    this.#process = spawn(prometheus, flags, {
      cwd: this.#folder,
      env: plainEnvironment(),
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    this.#process.stderr!.setEncoding('utf8').on('data', (text: string) => (this.log += text));
    this.#closed = new Promise((resolve) => this.#process.on('close', resolve));
  }

  async end(): Promise<void> {
    this.#process.kill('SIGTERM');
    await this.#closed;
    rmSync(this.#folder, { recursive: true, force: true });
  }

  async isReady(): Promise<boolean> {
    return fetchPlain(`${this.#url}/-/ready`).then(
      ({ status }) => status === 200,
      () => false,
    );
  }

  async #ask<T>(path: string, parameters: Readonly<Record<string, string>>): Promise<T> {
    const query = new URLSearchParams(parameters).toString();
    const { text } = await fetchPlain(`${this.#url}/api/v1/${path}?${query}`);
    const answer = JSON.parse(text) as { status: string; error?: string; data: T };
    if (answer.status !== 'success') throw new Error(`${path}?${query}: ${answer.error ?? text}`);
    return answer.data;
  }

  /** The raw samples of a selector within the last minute. */
  async samples(selector: string): Promise<readonly Series[]> {
    const { result } = await this.#ask<{ result: readonly Series[] }>('query', { query: `${selector}[1m]` });
    return result;
  }

  /** The one value of an expression at a moment; undefined if it has none. */
  async value(query: string, atSeconds: number): Promise<number | undefined> {
    const { result } = await this.#ask<{ result: readonly { value: readonly [number, string] }[] }>('query', {
      query,
      time: String(atSeconds),
    });
    expect(result.length).toBeLessThanOrEqual(1);
    return result[0] && Number(result[0].value[1]);
  }

  async target(): Promise<Target | undefined> {
    return (await this.#ask<{ activeTargets: readonly Target[] }>('targets', {})).activeTargets[0];
  }

  /** What Prometheus has read of the heads of families. */
  metadata(): Promise<Record<string, readonly { type: string; help: string }[]>> {
    return this.#ask('metadata', {});
  }
}

requireTool('prometheus')('a Prometheus that scrapes the program once a second', (path) => {
  let program: Program;
  let prometheus: Prometheus | undefined;
  /** Times of the scrapes that are complete. */
  let scrapedAt: readonly number[];

  beforeAll(async () => {
    await buildIfStale();
    program = await Program.serve('--rras.simulate=office');
    const server = (prometheus = new Prometheus(path, await freePort(), new URL(program.url).host));
    await until('Prometheus is ready', () => server.isReady(), 30_000);
    const times = async (): Promise<number[]> =>
      (await server.samples('up')).flatMap(({ values }) => values.map(([seconds]) => seconds));
    await until(`${SCRAPES + 1} scrapes`, async () => (await times()).length > SCRAPES, 60_000);
    // The newest may be on its way into the store still.
    scrapedAt = (await times()).slice(0, SCRAPES);
  });

  afterAll(async () => {
    await prometheus?.end();
    await endAll();
  });

  test('finds it up in every scrape, and takes samples from each', async () => {
    for (const [selector, least] of [
      ['up', 1],
      ['scrape_samples_scraped', 500],
    ] as const) {
      const [series, ...others] = await prometheus!.samples(selector);
      expect(others).toEqual([]);
      expect(series!.values.length).toBeGreaterThan(SCRAPES);
      for (const [, value] of series!.values) expect(Number(value)).toBeGreaterThanOrEqual(least);
    }
    expect(await prometheus!.target()).toMatchObject({ health: 'up', lastError: '' });
  });

  test('keeps every sample that it scraped, and logs no trouble', async () => {
    for (const seconds of scrapedAt) {
      const [scraped, kept] = await Promise.all([
        prometheus!.value('scrape_samples_scraped', seconds),
        prometheus!.value('scrape_samples_post_metric_relabeling', seconds),
      ]);
      const stored = await prometheus!.value('count({job="rras"}) - 5', seconds);
      expect(kept).toBe(scraped);
      // Five series are Prometheus' own: up and four about the scrape.
      expect(stored).toBe(scraped);
    }
    expect(prometheus!.log).not.toMatch(/level=(?:warn|error)/);
    expect(prometheus!.log).not.toMatch(/duplicate|out of order|Append failed/i);
  });

  test('counts as many connections one by one as the total says, at every scrape', async () => {
    for (const seconds of scrapedAt) {
      const shown = await prometheus!.value('count(rras_connection_info)', seconds);
      const total = await prometheus!.value('sum(rras_connections)', seconds);
      expect(shown).toBe(total);
      expect(total).toBeGreaterThan(50);
      expect(await prometheus!.value('sum(rras_ports_in_use)', seconds)).toBe(total);
    }
  });

  test('joins who is connected with how much was moved, by the label connection alone', async () => {
    const seconds = scrapedAt.at(-1)!;
    const join =
      'count(rras_connection_received_bytes_total * on (job, instance, connection) group_left (user, tunnel) ' +
      'max by (job, instance, connection, user, tunnel) (rras_connection_info))';
    expect(await prometheus!.value(join, seconds)).toBe(
      await prometheus!.value('sum(rras_connections)', seconds),
    );
    expect(await prometheus!.value('max(count by (connection) (rras_connection_info))', seconds)).toBe(1);
  });

  test('sees no counter fall', async () => {
    const counters = Object.entries(await prometheus!.metadata())
      .filter(([name, [head]]) => head!.type === 'counter' && name.startsWith('rras_'))
      // Prometheus asks for OpenMetrics, which names counters without the suffix of their samples.
      .map(([name]) => `${name}_total`);
    expect(counters).toContain('rras_connection_received_bytes_total');
    for (const name of counters) {
      const resets = await prometheus!.value(`sum(resets(${name}[1m])) or vector(0)`, scrapedAt.at(-1)!);
      expect(resets, name).toBe(0);
    }
    const moved = await prometheus!.value(
      'sum(increase(rras_connection_received_bytes_total[1m]))',
      scrapedAt.at(-1)!,
    );
    expect(moved).toBeGreaterThan(0);
  });

  test('knows the types and helps', async () => {
    const heads = await prometheus!.metadata();
    expect(heads['rras_connection_received_bytes']).toMatchObject([
      { type: 'counter', unit: 'bytes', help: expect.stringContaining('dwBytesRcved') as string },
    ]);
    expect(heads['rras_connections']).toMatchObject([{ type: 'gauge' }]);
    expect(heads['rras_exporter_native_call_duration_seconds']).toMatchObject([{ type: 'histogram' }]);
  });

  test('is told that the data is made up', async () => {
    expect(await prometheus!.value('rras_exporter_simulated', scrapedAt.at(-1)!)).toBe(1);
    expect(await prometheus!.value('rras_up', scrapedAt.at(-1)!)).toBe(1);
  });
});

requireTool('promtool')('promtool check metrics', (promtool) => {
  beforeAll(buildIfStale);
  afterAll(endAll);

  test('has nothing to say about the whole page of the program', async () => {
    const program = await Program.serve('--rras.simulate=office');
    const { text } = await program.scrape();
    expect(text).toContain('\nprocess_cpu_seconds_total ');
    const { status, stdout, stderr } = spawnSync(promtool, ['check', 'metrics'], {
      input: text,
      encoding: 'utf8',
    });
    expect({ status, stdout, stderr }).toEqual({ status: 0, stdout: '', stderr: '' });
  });
});
