/** The examples that bring rules and dashboards to Prometheus and Grafana, as the programs and the guide have them. */
import { spawnSync } from 'node:child_process';
import { copyFileSync, globSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { parse } from 'yaml';
import type { RuleFile } from '../../tools/mixin.ts';
import { DASHBOARDS } from '../../tools/mixin.ts';
import { requireTool } from '../tools/require-tool.ts';
import { ALERTS, PROJECT, RECORDINGS } from './rule-files.ts';

const EXAMPLES = join(PROJECT, 'examples');
const GUIDE = readFileSync(join(PROJECT, 'docs/dashboards-and-alerts.md'), 'utf8');
const read = (path: string): unknown => parse(readFileSync(join(EXAMPLES, path), 'utf8'));

const folder = mkdtempSync(join(tmpdir(), 'rras-exporter-examples-'));
afterAll(() => rmSync(folder, { recursive: true }));

requireTool('promtool')('Prometheus', (promtool) => {
  test('takes its example with the rules beside it, as the guide puts them', () => {
    const files = /^cp (.*) \/etc\/prometheus\/$/m.exec(GUIDE)![1]!.split(' ');
    for (const file of files) copyFileSync(join(PROJECT, file), join(folder, file.split('/').at(-1)!));
    const { status, stdout } = spawnSync(promtool, ['check', 'config', 'prometheus.yml'], {
      cwd: folder,
      encoding: 'utf8',
    });
    expect({ status, stdout }).toMatchObject({ status: 0 });
    expect(stdout).toContain(`SUCCESS: ${ALERTS.length} rules found`);
    expect(stdout).toContain(`SUCCESS: ${RECORDINGS.length} rules found`);
  });
});

/** Where the guide's examples have the pages of the alerts. */
const RUNBOOK = 'https://wiki.example.net/rras/docs/runbooks';

/** The link of each alert of a rule file. */
const runbooksIn = (text: string): [string, string | undefined][] =>
  (parse(text) as RuleFile).groups.flatMap(({ rules }) =>
    rules.map(({ alert, annotations }): [string, string | undefined] => [
      alert!,
      annotations?.['runbook_url'],
    ]),
  );

requireTool('sed')('sed', (sed) => {
  test('gives links to runbooks that work, as the guide has it', () => {
    const [, script] = /^sed -i '(.*)' \/etc\/prometheus\/alerts\.yml$/m.exec(GUIDE)!;
    const { status, stdout } = spawnSync(sed, [script!, join(DASHBOARDS, 'alerts.yml')], {
      encoding: 'utf8',
    });
    expect(status).toBe(0);
    expect(runbooksIn(stdout)).toEqual(ALERTS.map(({ alert }) => [alert, `${RUNBOOK}/${alert!}.md`]));
  });
});

test('the jobs of the example are those that the alerts look for', () => {
  const { scrape_configs } = read('prometheus/prometheus.yml') as { scrape_configs: { job_name: string }[] };
  const selector = /job=~"(.*)"/.exec(ALERTS.find(({ alert }) => alert === 'RrasExporterDown')!.expr)![1]!;
  const names = scrape_configs.map(({ job_name }) => job_name);
  expect(names.length).toBeGreaterThan(0);
  for (const name of names) expect(name).toMatch(new RegExp(`^(?:${selector})$`));
});

test('no inhibition but that of a whole server keeps a link from being dialled again', () => {
  const [, ...others] = GUIDE.split('target_matchers:').slice(1);
  expect(others.length).toBeGreaterThan(0);
  for (const target of others) expect(target.split('\n')[0]).not.toContain('RrasLinkDown');
});

test('Grafana gets a data source, and the dashboards from where the guide puts them', () => {
  expect(read('grafana/provisioning/datasources/rras-prometheus.yml')).toMatchObject({
    apiVersion: 1,
    datasources: [{ type: 'prometheus', access: 'proxy' }],
  });
  const { providers } = read('grafana/provisioning/dashboards/rras.yml') as {
    providers: { type: string; options: { path: string } }[];
  };
  expect(providers).toMatchObject([{ type: 'file' }]);
  expect(GUIDE).toContain(`cp dashboards/rras-*.json ${providers[0]!.options.path}/\n`);
  const dashboards = globSync('*.json', { cwd: DASHBOARDS });
  expect(dashboards.length).toBeGreaterThan(0);
  expect(dashboards.filter((name) => !name.startsWith('rras-'))).toEqual([]);
});

/** The first jsonnet of the guide after this text, as it is written in the project itself. */
const jsonnetOf = (after: string): string =>
  /```jsonnet\n([^]*?)```/
    .exec(GUIDE.slice(GUIDE.indexOf(after)))![1]!
    .replace('rras-exporter/dashboards/', '');

requireTool('jsonnet')('jsonnet', (jsonnet) => {
  test('gives links to runbooks that work, as the guide shows it', () => {
    const { status, stdout } = spawnSync(
      jsonnet,
      ['--jpath', DASHBOARDS, '--exec', `(${jsonnetOf('**2. Prometheus.**')}).prometheusAlerts`],
      { encoding: 'utf8' },
    );
    expect(status).toBe(0);
    expect(runbooksIn(stdout)).toEqual(ALERTS.map(({ alert }) => [alert, `${RUNBOOK}/${alert!}.md`]));
  });

  test('renders the mixin as the guide shows it', () => {
    const code = jsonnetOf('## The mixin');
    const { status, stdout, stderr } = spawnSync(jsonnet, ['--jpath', DASHBOARDS, '--exec', code], {
      encoding: 'utf8',
    });
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    expect(Object.keys(JSON.parse(stdout) as object)).toEqual(['alerts.json', 'rules.json']);
    expect(stdout).toContain('https://wiki.example.net/rras/docs/runbooks/RrasServerDown.md');
  });
});
requireTool('amtool')('Alertmanager', (amtool) => {
  test.each([...GUIDE.matchAll(/```yaml\n(inhibit_rules:[^]*?)```/g)].map(([, rules]) => rules!))(
    'takes the inhibitions of the guide: %s',
    (rules) => {
      const file = join(folder, 'alertmanager.yml');
      writeFileSync(file, `route: {receiver: people}\nreceivers: [{name: people}]\n${rules}`);
      const { status, stdout, stderr } = spawnSync(amtool, ['check-config', file], { encoding: 'utf8' });
      expect({ status, text: status === 0 ? '' : stdout + stderr }).toEqual({ status: 0, text: '' });
      const named = [...rules.matchAll(/Rras[A-Z]\w+/g)].map(([name]) => name);
      expect(named.length).toBeGreaterThan(0);
      const names = ALERTS.map(({ alert }) => alert);
      expect(named.filter((name) => !names.includes(name))).toEqual([]);
    },
  );
});
