/** A real Prometheus scrapes the program once a second for a while, and is asked what it makes of it. */
import { spawnSync } from 'node:child_process';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { requireTool } from '../tools/require-tool.ts';
import { buildIfStale, endAll, Program, until } from './program.ts';
import { ScrapingPrometheus } from './scraping-prometheus.ts';

const SCRAPES = 10;

requireTool('prometheus')('a Prometheus that scrapes the program once a second', (path) => {
  let program: Program;
  let prometheus: ScrapingPrometheus | undefined;
  /** Times of the scrapes that are complete. */
  let scrapedAt: readonly number[];

  beforeAll(async () => {
    await buildIfStale();
    program = await Program.serve('--rras.simulate=office');
    const server = (prometheus = await ScrapingPrometheus.start(path, new URL(program.url).host));
    const times = async (): Promise<number[]> => (await server.samples('up', '1m')).map(({ ms }) => ms);
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
      const samples = await prometheus!.samples(selector, '1m');
      expect(samples.length).toBeGreaterThan(SCRAPES);
      for (const { value } of samples) expect(value).toBeGreaterThanOrEqual(least);
    }
    expect(await prometheus!.target()).toMatchObject({ health: 'up', lastError: '' });
  });

  test('keeps every sample that it scraped, and logs no trouble', async () => {
    for (const at of scrapedAt) {
      const [scraped, kept] = await Promise.all([
        prometheus!.value('scrape_samples_scraped', at),
        prometheus!.value('scrape_samples_post_metric_relabeling', at),
      ]);
      const stored = await prometheus!.value('count({job="rras"}) - 5', at);
      expect(kept).toBe(scraped);
      // Five series are Prometheus' own: up and four about the scrape.
      expect(stored).toBe(scraped);
    }
    expect(prometheus!.log).not.toMatch(/level=(?:warn|error)/);
    expect(prometheus!.log).not.toMatch(/duplicate|out of order|Append failed/i);
  });

  test('counts as many connections one by one as the total says, at every scrape', async () => {
    for (const at of scrapedAt) {
      const shown = await prometheus!.value('count(rras_connection_info)', at);
      const total = await prometheus!.value('sum(rras_connections)', at);
      expect(shown).toBe(total);
      expect(total).toBeGreaterThan(50);
      expect(await prometheus!.value('sum(rras_ports_in_use)', at)).toBe(total);
    }
  });

  test('joins who is connected with how much was moved, by the label connection alone', async () => {
    const at = scrapedAt.at(-1)!;
    const join =
      'count(rras_connection_received_bytes_total * on (job, instance, connection) group_left (user, tunnel) ' +
      'max by (job, instance, connection, user, tunnel) (rras_connection_info))';
    expect(await prometheus!.value(join, at)).toBe(await prometheus!.value('sum(rras_connections)', at));
    expect(await prometheus!.value('max(count by (connection) (rras_connection_info))', at)).toBe(1);
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
