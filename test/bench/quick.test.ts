/**
 * One quick run of the benchmark. Bounds on ratios only, some three times wider than what was measured: they hold on a
 * machine that is busy with other tests, and break where something is done again for each sample or each connection.
 */
import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Results, SizeResults } from '../../bench/results.ts';
import { timesFaster } from '../../bench/targets.ts';
import { microsecondsEach } from '../../bench/timing.ts';
import { buildIfStale, NODE, plainEnvironment } from '../e2e/program.ts';
import { requireTool } from '../tools/require-tool.ts';

const RUN = fileURLToPath(new URL('../../bench/run.ts', import.meta.url));
const RUN_WITHIN_MS = 240_000;

requireTool('prometheus-pushgateway')('a quick run of the benchmark', () => {
  let folder: string;
  let stdout: string;
  let results: Results;
  let small: SizeResults;
  let large: SizeResults;

  beforeAll(async () => {
    await buildIfStale();
    folder = mkdtempSync(join(tmpdir(), 'rras-exporter-bench-test-'));
    const json = join(folder, 'bench.json');
    const options = { timeout: RUN_WITHIN_MS, env: plainEnvironment() };
    ({ stdout } = await promisify(execFile)(NODE, [RUN, '--quick', `--json=${json}`], options));
    results = JSON.parse(readFileSync(json, 'utf8')) as Results;
    [small, large] = results.sizes as [SizeResults, SizeResults];
  }, RUN_WITHIN_MS + 60_000);

  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  test('measures 1,000 and 10,000 connections and prints a table', () => {
    expect(results.sizes.map(({ connections }) => connections)).toEqual([1_000, 10_000]);
    expect(stdout).toMatch(/^connections +1,000 +10,000 +to reach$/m);
    expect(stdout).toMatch(/times faster than prom-client .* (?:met|not met)$/m);
  });

  test('decodes several times faster than koffi.decode', () => {
    const { koffiUsPerConnection, usPerConnection } = large.decode;
    expect(timesFaster(koffiUsPerConnection, usPerConnection)).toBeGreaterThan(4);
  });

  test('takes a connection from its bytes to the view in less time than koffi.decode has read it', () => {
    const { decode, polls, connections } = large;
    const { accountsUsPerConnection, viewUsPerConnection, serialiseMs, receiveMs } = polls;
    const boundary = microsecondsEach(serialiseMs + receiveMs, connections);
    const ours = decode.usPerConnection + boundary + accountsUsPerConnection + viewUsPerConnection;
    expect(timesFaster(decode.koffiUsPerConnection, ours)).toBeGreaterThan(2);
  });

  test('sends no texts across the process boundary that are there already', () => {
    expect(large.polls.boundaryBytes / large.connections).toBeLessThan(150);
  });

  test('encodes several times faster than its peers', () => {
    const { encodeUsPerSample } = large.polls;
    const { promClientUsPerSample, pushgatewayUsPerSample } = large.peers;
    expect(timesFaster(promClientUsPerSample, encodeUsPerSample)).toBeGreaterThan(8);
    expect(timesFaster(pushgatewayUsPerSample, encodeUsPerSample)).toBeGreaterThan(5);
  });

  describe('the whole scrape', () => {
    test('with its enumeration is faster than a GET of the same samples from Pushgateway', () => {
      const { scrape, peers, polls } = large;
      const gzip = microsecondsEach(scrape.gzip.ms, polls.samples);
      const plain = microsecondsEach(scrape.plain.ms, polls.samples);
      expect(timesFaster(peers.pushgatewayGzipUsPerSample, gzip)).toBeGreaterThan(1.2);
      expect(timesFaster(peers.pushgatewayUsPerSample, plain)).toBeGreaterThan(1.2);
    });

    test('costs no more per connection when there are more of them', () => {
      const cost = ({ scrape, connections }: SizeResults) => microsecondsEach(scrape.gzip.ms, connections);
      expect(cost(large) / cost(small)).toBeLessThan(1.5);
    });

    test('makes as many native calls however many connections there are', () => {
      expect(large.scrape.nativeCallsPerScrape).toBe(small.scrape.nativeCallsPerScrape);
      expect(large.scrape.nativeCallsPerScrape).toBeLessThanOrEqual(6);
    });

    test('lets others have their turn', () => {
      const { longestDelayMs, ms } = large.scrape.gzip;
      expect(longestDelayMs / ms).toBeLessThan(0.7);
    });
  });
});
