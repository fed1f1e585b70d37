/** 50,000 connections: the pages are right, Prometheus takes them, and neither memory nor the event loop gives way. */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { Agent } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setTimeout as wait } from 'node:timers/promises';
import { gunzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { readOnlyMember } from '../server/gzip-member.ts';
import { requireTool } from '../tools/require-tool.ts';
import type { Taken } from './byte-reader.ts';
import { GZIP, LazyReader, take } from './byte-reader.ts';
import { buildIfStale, endAll, Program } from './program.ts';
import { ScrapingPrometheus } from './scraping-prometheus.ts';

const CONNECTIONS = 50_000;
const LARGE = ['--rras.simulate=large', `--collector.connections.limit=${CONNECTIONS}`];
/** Two pages of one snapshot are the same, whenever they are made. */
const STILL = [...LARGE, '--collector.min-interval=30s', '--web.disable-exporter-metrics'];
const MIB = 1024 * 1024;
const RESPONSE_DEADLINE_MS = 10_000;

/** For tests that measure on a machine that others use too: a promise that is broken is so every time. */
const MEASURED = { retry: 1, timeout: 120_000 };

const note = (what: string): void => void process.stdout.write(`large: ${what}\n`);
const sampleLines = (page: string): string[] =>
  page.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

/** The value below which a share of the values is. */
function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))]!;
}
const median = (values: readonly number[]): number => quantile(values, 0.5);
const ms = (value: number): string => `${value.toFixed(0)} ms`;
const mib = (bytes: number): string => `${(bytes / MIB).toFixed(0)} MiB`;

/** Bytes of memory that a process has now (VmRSS), or had at the most (VmHWM). Linux. */
function memory(pid: number, field: 'VmRSS' | 'VmHWM'): number {
  const [, kib] = new RegExp(`^${field}:\\s+(\\d+) kB$`, 'm').exec(
    readFileSync(`/proc/${pid}/status`, 'utf8'),
  )!;
  return Number(kib) * 1024;
}

describe('a page of 50,000 connections', () => {
  let program: Program;
  let plain: Taken;
  let zipped: Taken;

  beforeAll(async () => {
    await buildIfStale();
    program = await Program.serve(...STILL);
    const metrics = `${program.url}/metrics`;
    // A poll in the background may come in between: then there is no pair of one snapshot.
    for (let tries = 0; tries < 3; tries += 1) {
      const both = await Promise.all([
        take(metrics, { keep: true }),
        take(metrics, { headers: GZIP, keep: true }),
      ]);
      [plain, zipped] = both;
      if (gunzipSync(zipped.body).equals(plain.body)) break;
    }
  });
  afterAll(endAll);

  test('holds 50,000 of each connection’s series', () => {
    expect(plain.status).toBe(200);
    expect(plain.headers['content-length']).toBe(String(plain.bytes));
    const lines = sampleLines(plain.body.toString());
    const counts = new Map<string, number>();
    for (const line of lines) {
      if (line.includes('{connection="other"')) continue;
      const name = line.slice(0, line.search(/[{ ]/));
      counts.set(name, (counts.get(name) ?? 0) + 1);
    }
    for (const name of ['info', 'endpoint_info', 'start_time_seconds', 'received_bytes_total', 'dormant'])
      expect(counts.get(`rras_connection_${name}`), name).toBe(CONNECTIONS);
    expect(new Set(lines.map((line) => line.slice(0, line.lastIndexOf(' ')))).size).toBe(lines.length);
    note(`${lines.length} samples, ${mib(plain.bytes)} plain, ${mib(zipped.bytes)} gzip`);
  });

  test('is one gzip member that holds the plain page byte by byte', () => {
    expect(zipped.headers['content-encoding']).toBe('gzip');
    expect(zipped.headers['content-length']).toBe(String(zipped.bytes));
    expect(plain.headers['content-encoding']).toBeUndefined();
    // No matcher on the bytes: it would print megabytes.
    expect(readOnlyMember(zipped.body).equals(plain.body)).toBe(true);
    expect(gunzipSync(zipped.body).equals(plain.body)).toBe(true);
  });

  requireTool('gzip')('read by gzip', (gzip) => {
    test('passes its test and is the plain page', () => {
      const tested = spawnSync(gzip, ['-t'], { input: zipped.body, encoding: 'utf8' });
      expect([tested.status, tested.stderr]).toEqual([0, '']);
      const read = spawnSync(gzip, ['-dc'], { input: zipped.body, maxBuffer: 1024 * MIB });
      expect([read.status, read.stderr.toString()]).toEqual([0, '']);
      expect(sha256(read.stdout)).toBe(sha256(plain.body));
    });
  });

  requireTool('python3')('read by Python', (python) => {
    test('is the plain page, with nothing after the member', () => {
      const script = `
import gzip, hashlib, sys, zlib
file = sys.stdin.buffer.read()
reader = zlib.decompressobj(31)
page = reader.decompress(file) + reader.flush()
print(reader.eof, len(reader.unused_data), gzip.decompress(file) == page, hashlib.sha256(page).hexdigest())
`;
      const { status, stdout, stderr } = spawnSync(python, ['-c', script], {
        input: zipped.body,
        encoding: 'utf8',
      });
      expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
      expect(stdout.trim()).toBe(`True 0 True ${sha256(plain.body)}`);
    });
  });
});

requireTool('prometheus')('a Prometheus that scrapes 50,000 connections', (path) => {
  let program: Program;
  let prometheus: ScrapingPrometheus | undefined;

  beforeAll(async () => {
    await buildIfStale();
    program = await Program.serve(...STILL);
    const folder = mkdtempSync(join(tmpdir(), 'rras-exporter-large-'));
    const config = join(folder, 'prometheus.yml');
    writeFileSync(
      config,
      `global: {scrape_interval: 15s, scrape_timeout: 15s}
scrape_configs: [{job_name: rras, static_configs: [{targets: ['${new URL(program.url).host}']}]}]
`,
    );
    const dropFolder = (): void => rmSync(folder, { recursive: true, force: true });
    prometheus = await ScrapingPrometheus.startWith(path, config, folder, dropFolder);
  });

  afterAll(async () => {
    await prometheus?.end();
    await endAll();
  });

  test('finds it up, and stores every sample of the page', { timeout: 120_000 }, async () => {
    const server = prometheus!;
    let at = 0;
    let page: string[];
    // The page that it read is one of ours if both are of the same snapshot.
    for (const deadline = performance.now() + 100_000; ;) {
      const last = (await server.samples('scrape_samples_scraped', '1m')).at(-1)?.ms ?? 0;
      if (last > at) {
        at = last;
        const { body } = await take(`${program.url}/metrics`, { keep: true });
        page = sampleLines(body.toString());
        // What it has read is not stored all at once.
        await wait(1500);
        const stamp = await server.value('rras_snapshot_timestamp_seconds', at);
        if (page.includes(`rras_snapshot_timestamp_seconds ${stamp}`)) break;
      }
      if (performance.now() > deadline) throw new Error(`no scrape of the same snapshot: ${server.log}`);
      await wait(500);
    }
    const count = (query: string): Promise<number | undefined> => server.value(query, at);
    expect(await count('up')).toBe(1);
    expect(await server.target()).toMatchObject({ health: 'up', lastError: '' });
    expect(await count('scrape_samples_scraped')).toBe(page.length);
    expect(await count('scrape_samples_post_metric_relabeling')).toBe(page.length);
    // Five series are Prometheus' own: up and four about the scrape.
    expect(await count('count({job="rras"}) - 5')).toBe(page.length);
    expect(await count('count(rras_connection_received_bytes_total{connection!="other"})')).toBe(CONNECTIONS);
    expect(await count('sum(rras_connection_info)')).toBe(CONNECTIONS);
    expect(await count('sum(rras_connections)')).toBe(CONNECTIONS);
    expect(server.log).not.toMatch(/level=(?:warn|error)/i);
    note(
      `Prometheus took ${page.length} samples in ${((await count('scrape_duration_seconds')) ?? 0).toFixed(2)} s`,
    );
  });
});

describe('an exporter of 50,000 connections', () => {
  const EVERY_MS = 1200;
  /** Longer than --collector.min-interval: each scrape is of a poll of its own. */
  const PAUSE_MS = 1050;
  let program: Program;
  let metrics: string;

  beforeAll(async () => {
    await buildIfStale();
    program = await Program.serve(...LARGE);
    metrics = `${program.url}/metrics`;
  });
  afterAll(endAll);

  /** Scrapes one after the other; how long each took. */
  async function scrapes(count: number): Promise<number[]> {
    const times: number[] = [];
    for (let i = 0; i < count; i += 1) {
      const next = performance.now() + EVERY_MS;
      const { status, headers, bytes, ms: tookMs } = await take(metrics, { headers: GZIP });
      expect([status, headers['content-length']]).toEqual([200, String(bytes)]);
      times.push(tookMs);
      await wait(Math.max(PAUSE_MS, next - performance.now()));
    }
    return times;
  }

  /** Most memory that the exporter has while `work` goes on; not that of the process that holds the DLL. */
  async function mostMemory<T>(work: () => Promise<T>): Promise<{ result: T; most: number }> {
    let most = 0;
    const look = (): void => {
      most = Math.max(most, memory(program.pid, 'VmRSS'));
    };
    look();
    const timer = setInterval(look, 100);
    try {
      return { result: await work(), most };
    } finally {
      clearInterval(timer);
    }
  }

  // First of this program: the most that it ever had is asked for.
  test('needs at most 700 MiB with its native host after five scrapes', { timeout: 60_000 }, async () => {
    const times = await scrapes(5);
    const own = memory(program.pid, 'VmHWM');
    const host = memory(program.nativeHost(), 'VmHWM');
    note(
      `five scrapes took ${times.map(ms).join(', ')}; memory ${mib(own)} + ${mib(host)} = ${mib(own + host)}`,
    );
    expect(own + host).toBeLessThan(700 * MIB);
  });

  test('answers others without delay while it is scraped', MEASURED, async () => {
    const PERIOD_MS = 20;
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    const latencies: number[] = [];
    const asked: Promise<void>[] = [];
    const own = monitorEventLoopDelay({ resolution: 5 });
    let scraping = true;
    const started = performance.now();
    const asking = async (): Promise<void> => {
      for (let i = 0; scraping; i += 1) {
        const due = started + i * PERIOD_MS;
        await wait(Math.max(0, due - performance.now()));
        const sent = performance.now();
        // From when it was to be asked: those that wait for their turn wait, too, but not for our own timer.
        asked.push(
          take(`${program.url}/-/healthy`, { agent }).then(({ status }) => {
            expect(status).toBe(200);
            latencies.push(performance.now() - sent);
          }),
        );
      }
    };
    own.enable();
    const asker = asking();
    try {
      await scrapes(6);
    } finally {
      scraping = false;
    }
    await asker;
    await Promise.all(asked);
    own.disable();
    agent.destroy();
    const [half, p90, p99, most] = [0.5, 0.9, 0.99, 1].map((share) => quantile(latencies, share));
    note(
      `/-/healthy during scrapes, ${latencies.length} times: median ${half!.toFixed(1)}, p90 ${p90!.toFixed(1)}, ` +
        `p99 ${p99!.toFixed(1)}, max ${most!.toFixed(1)} ms (the asker itself was held up by ${ms(own.max / 1e6)} at most)`,
    );
    expect(latencies.length).toBeGreaterThan(200);
    expect.soft(p90).toBeLessThan(50);
    expect.soft(p99).toBeLessThan(250);
    // A single one may have waited for a processor that others use.
    expect(most).toBeLessThan(1000);
  });

  test(
    'H2 bears 16 readers that do not read and one that trickles, and cuts them off',
    MEASURED,
    async () => {
      const SCRAPES = 11;
      await scrapes(2);
      const usual = await mostMemory(() => scrapes(SCRAPES));
      const silent = Array.from(
        { length: 16 },
        (_, i) => new LazyReader(program.url, i % 2 === 0 ? {} : GZIP),
      );
      const trickling = new LazyReader(program.url, {});
      trickling.trickle(1024, 100);
      const all = [...silent, trickling];
      const watch = setInterval(() => {
        LazyReader.look(all);
      }, 100);
      try {
        await Promise.all(all.map(({ asked }) => asked));
        const beset = await mostMemory(async () => {
          const times = await scrapes(SCRAPES);
          // All were asked for before the first of these; none takes longer than its page and the deadline.
          const deadline = all[0]!.askedAtMs + RESPONSE_DEADLINE_MS + 10_000;
          while (performance.now() < deadline && all.some(({ cutAtMs }) => cutAtMs === undefined))
            await wait(50);
          return times;
        });
        const cutAfter = all.map(({ askedAtMs, cutAtMs = NaN }) => cutAtMs - askedAtMs);
        note(
          `usual scrapes ${ms(median(usual.result))} with ${mib(usual.most)}; beside lazy readers ` +
            `${ms(median(beset.result))} with ${mib(beset.most)}; cut off after ${ms(Math.min(...cutAfter))} to ` +
            `${ms(Math.max(...cutAfter))}, the trickling one after ${trickling.taken} bytes`,
        );
        // Each of these tells of something else: a failure of one is not to hide the others.
        expect.soft(beset.most - usual.most, 'bytes more').toBeLessThan(32 * MIB);
        expect.soft(median(beset.result), 'scrapes beside').toBeLessThan(1.5 * median(usual.result));
        expect.soft(Math.min(...cutAfter), 'first to be cut off').toBeGreaterThan(RESPONSE_DEADLINE_MS - 100);
        // The page itself takes a while, and the answer begins only then.
        const latest = RESPONSE_DEADLINE_MS + 5 * median(usual.result) + 1000;
        expect.soft(Math.max(...cutAfter), 'last to be cut off').toBeLessThan(latest);
        for (const each of silent) {
          const { told, came } = await each.rest();
          expect(told).toBeGreaterThan(MIB);
          expect(came).toBeLessThan(told);
        }
        expect(trickling.taken).toBeGreaterThan(10 * 1024);
        expect((await trickling.rest()).came).toBeLessThan(10 * MIB);
        const [plain] = await Promise.all([take(metrics), scrapes(1)]);
        expect(plain.headers['content-length']).toBe(String(plain.bytes));
      } finally {
        clearInterval(watch);
        for (const each of all) each.end();
      }
    },
  );
});
