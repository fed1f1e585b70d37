/** The guide to many servers and its example, as the programs take them that they are for. */
import { execFile, spawnSync } from 'node:child_process';
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, afterEach, describe, expect, test } from 'vitest';
import { parse, stringify } from 'yaml';
import { readCommandLine } from '../../src/config/commands.ts';
import { loadOptions } from '../../src/config/load.ts';
import type { ServedServer } from '../../src/server/app.ts';
import { labelValues, readDashboards } from '../../tools/dashboard-model.ts';
import { makeCertificate } from '../server/certificates.ts';
import type { RunningApp } from '../server/running-app.ts';
import { startApp } from '../server/running-app.ts';
import { requireTool } from '../tools/require-tool.ts';
import { ALERTS, PROJECT, RECORDINGS } from './rule-files.ts';

const GUIDE = readFileSync(join(PROJECT, 'docs/many-servers.md'), 'utf8');
const EXAMPLE = readFileSync(join(PROJECT, 'examples/prometheus/many-servers.yml'), 'utf8');
const BLOCKS = [...GUIDE.matchAll(/```yaml\n([^]*?)```/g)].map(([, text = '']) => text);
/** Configurations of Prometheus in the guide, in their order. */
const SCRAPES = BLOCKS.filter((text) => text.startsWith('scrape_configs:'));
const [DISCOVERED, SECURE, STATIC, SPLIT, HASHED] = SCRAPES as [string, string, string, string, string];

const folder = mkdtempSync(join(tmpdir(), 'rras-exporter-many-servers-'));
afterAll(() => rmSync(folder, { recursive: true }));
let app: RunningApp | undefined;
afterEach(() => app?.close());

const NAMES = Array.from({ length: 30 }, (_, i) => `vpn${i + 1}`);

/** An exporter with these servers; answers its host and port. */
async function exporterOf(names: readonly string[]): Promise<string> {
  const servers = new Map(names.map((name) => [name, {} as ServedServer]));
  app = await startApp({ servers: () => servers });
  return new URL(app.url).host;
}

test('the guide has the configurations that are looked at here', () => {
  expect(SCRAPES).toHaveLength(5);
  expect(SECURE).toContain('scheme: https');
  expect(STATIC).toContain('__param_target');
  expect(HASHED).toContain('hashmod');
});

describe('the exporter takes the configuration of the guide', () => {
  test('with its servers and its rule', () => {
    const ofExporter = BLOCKS.filter((text) => !text.startsWith('scrape_configs:'));
    expect(ofExporter).toHaveLength(2);
    const file = join(folder, 'rras-exporter.yml');
    writeFileSync(file, ofExporter.join('\n'), { mode: 0o600 });
    const { given } = readCommandLine([`--config.file=${file}`]);
    const options = loadOptions(given, { platform: 'linux', env: {} });
    expect(options.servers.map(({ name }) => name)).toEqual(['vpn1', 'vpn2', 'lab']);
    expect(options.admin.hooks.rules[0]!.matchers).toHaveLength(1);
    expect(options.admin.hooks.localServer).toEqual(['rras-exporter.example.net:*']);
  });
});

test('the jobs of the example are those that the alerts look for', () => {
  const { scrape_configs } = parse(EXAMPLE) as { scrape_configs: { job_name: string }[] };
  const selector = /job=~"(.*)"/.exec(ALERTS.find(({ alert }) => alert === 'RrasExporterDown')!.expr)![1]!;
  expect(scrape_configs.map(({ job_name }) => job_name)).toEqual(['rras', 'rras-exporter']);
  for (const { job_name } of scrape_configs) expect(job_name).toMatch(new RegExp(`^(?:${selector})$`));
});

test('the dashboard of the exporter offers the target that the example keeps of the exporter itself', () => {
  const { scrape_configs } = parse(EXAMPLE) as {
    scrape_configs: { metric_relabel_configs?: { regex: string }[] }[];
  };
  const kept = new RegExp(`^${scrape_configs[1]!.metric_relabel_configs![0]!.regex}$`);
  const { templating } = readDashboards().find(({ uid }) => uid === 'rras-exporter-health')!;
  const queries = templating.list
    .filter(({ type }) => type === 'query')
    .map(({ query }) => labelValues(query)!);
  expect(queries.map(({ label }) => label)).toEqual(['job', 'instance']);
  for (const { selector } of queries) expect(selector.split('{')[0]).toMatch(kept);
});

interface Discovered {
  readonly labels: Readonly<Record<string, string>>;
}

requireTool('promtool')('Prometheus', (promtool) => {
  function check(name: string, text: string): void {
    const file = join(folder, name);
    writeFileSync(file, text);
    const { status, stdout, stderr } = spawnSync(promtool, ['check', 'config', file], { encoding: 'utf8' });
    expect({ name, status, text: status === 0 ? '' : stdout + stderr }).toEqual({
      name,
      status: 0,
      text: '',
    });
  }

  test('takes the example, with the rules beside it, and as it is with TLS', () => {
    for (const file of ['alerts.yml', 'rules.yml']) {
      copyFileSync(join(PROJECT, 'dashboards', file), join(folder, file));
    }
    const { cert } = makeCertificate({ name: 'ca', sans: ['DNS:ca'] });
    writeFileSync(join(folder, 'ca.crt'), cert);
    writeFileSync(join(folder, 'rras.password'), 'secret\n');
    check('many-servers.yml', EXAMPLE);
    const secure = EXAMPLE.replaceAll(/# (?=(?:scheme|basic_auth|tls_config): )/g, '');
    expect(secure.match(/password_file/g)).toHaveLength(2);
    check('secure.yml', secure);
    const { stdout } = spawnSync(promtool, ['check', 'config', join(folder, 'many-servers.yml')], {
      encoding: 'utf8',
    });
    expect(stdout).toContain(`SUCCESS: ${ALERTS.length} rules found`);
    expect(stdout).toContain(`SUCCESS: ${RECORDINGS.length} rules found`);
  });

  test('takes each configuration of the guide', () => {
    for (const [i, text] of SCRAPES.entries()) check(`guide-${i}.yml`, text);
  });

  /** What Prometheus makes of the targets of the job `rras`. */
  async function targetsOf(text: string): Promise<Discovered['labels'][]> {
    const file = join(folder, 'discovery.yml');
    writeFileSync(file, text);
    const args = ['check', 'service-discovery', '--timeout=3s', file, 'rras'];
    const { stdout } = await promisify(execFile)(promtool, args);
    return (JSON.parse(stdout) as Discovered[]).map(({ labels }) => labels);
  }

  /** The configuration, with one exporter in the place of all that it asks for the list. */
  function asking(text: string, host: string): string {
    const config = parse(text) as { scrape_configs: { http_sd_configs: { url: string }[] }[] };
    const [job] = config.scrape_configs;
    job!.http_sd_configs = [{ url: `http://${host}/sd` }];
    return stringify({ ...config, rule_files: [], scrape_configs: [job] });
  }

  test.each([
    ['the example', EXAMPLE],
    ['the guide', DISCOVERED],
    ['the split configuration of the guide', SPLIT],
  ])('finds every server by %s, under its name', async (_, text) => {
    const host = await exporterOf(NAMES);
    const targets = await targetsOf(asking(text, host));
    expect(targets.map(({ instance }) => instance).sort()).toEqual([...NAMES].sort());
    for (const labels of targets) {
      expect(labels).toMatchObject({
        __address__: host,
        __metrics_path__: '/probe',
        __scheme__: 'http',
        __param_target: labels['instance'],
        job: 'rras',
      });
    }
  });

  test('finds the servers of static targets by relabelling, where the discovery would', async () => {
    const targets = await targetsOf(STATIC);
    expect(targets.map(({ instance }) => instance).sort()).toEqual(['vpn1', 'vpn2']);
    for (const labels of targets) {
      expect(labels).toMatchObject({
        __address__: 'rras-exporter.example.net:10077',
        __metrics_path__: '/probe',
        __param_target: labels['instance'],
      });
    }
  });

  test('assigns by hashmod each server to one of the three exporters, and some to each', async () => {
    const targets = await targetsOf(asking(HASHED, await exporterOf(NAMES)));
    expect(targets.map(({ instance }) => instance).sort()).toEqual([...NAMES].sort());
    const shares = Map.groupBy(targets, (labels) => labels['__address__']!);
    expect([...shares.keys()].sort()).toEqual([0, 1, 2].map((n) => `rras-exporter-${n}.example.net:10077`));
    for (const [address, share] of shares) {
      expect({ address, some: share.length > NAMES.length / 10 }).toEqual({ address, some: true });
      for (const labels of share) expect(labels['__param_target']).toBe(labels['instance']);
    }
  });
});
