/** The alerts and recording rules: their names are those of the exporter, and each alert is tested and has a runbook. */
import { spawnSync } from 'node:child_process';
import { existsSync, globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import type { Mixin } from '../../tools/mixin.ts';
import { DASHBOARD_LIST, dashboardList, DASHBOARDS, renderMixin, ruleFiles } from '../../tools/mixin.ts';
import { requireTool } from '../tools/require-tool.ts';
import { checkNames, knownSeries } from './promql-names.ts';
import {
  ALERT_TESTS,
  ALERTS,
  PROJECT,
  queriesIn,
  readRules,
  readText,
  RECORDINGS,
  RUNBOOKS,
  TEST_FILES,
} from './rule-files.ts';

const NAMES = ALERTS.map(({ alert }) => alert!);

describe('each name in the rules', () => {
  let known: Awaited<ReturnType<typeof knownSeries>>;
  const problemsOf = (expr: string): readonly string[] => checkNames(expr, known).problems;

  beforeAll(async () => {
    known = await knownSeries();
    for (const { record, expr } of RECORDINGS) {
      const { problems, labels } = checkNames(expr, known);
      expect(problems, record).toEqual([]);
      known.set(record!, labels);
    }
  });

  test('is one of the exporter', () => {
    for (const rule of ALERTS) {
      expect(problemsOf(rule.expr), rule.alert).toEqual([]);
      for (const query of queriesIn(rule)) expect(problemsOf(query), `${rule.alert}: ${query}`).toEqual([]);
    }
    expect(ALERTS.flatMap(queriesIn).length).toBeGreaterThan(5);
  });

  test('of a recording says which labels it has', () => {
    for (const { record } of RECORDINGS) {
      const level = record!.split(':')[0]!.split('_');
      const labels = [...known.get(record!)!].filter((label) => label !== 'job');
      if (record === 'interface:rras_link_down') labels.splice(labels.indexOf('instance'), 1);
      expect(labels.toSorted(), record).toEqual(level.toSorted());
    }
  });

  test('in the annotations is a label of the alert', () => {
    for (const { alert, expr, annotations } of ALERTS) {
      const { labels } = checkNames(expr, known);
      const used = [
        ...Object.values(annotations!)
          .join('\n')
          .matchAll(/\$labels\.(\w+)/g),
      ].map(([, name]) => name);
      expect(
        used.filter((name) => !labels.has(name!)),
        alert,
      ).toEqual([]);
      // Who gets the alert must see where it is.
      if (alert !== 'RrasExporterMissing')
        expect([...labels], alert).toEqual(expect.arrayContaining(['job', 'instance']));
    }
  });

  test.each([
    ['rras_conections', 'no such metric: rras_conections'],
    ['rate(rras_session_duration_seconds[5m])', 'no such metric: rras_session_duration_seconds'],
    ['{job="rras"}', 'no such metric: {job="rras"}'],
    ['rras_up{tunnel="sstp"} == 0', 'rras_up has no label tunnel'],
    ['rras_connections{tunnel="wireguard"}', 'tunnel of rras_connections is never wireguard'],
    ['rras_interface_state{state=~"connected|down"}', 'state of rras_interface_state is never down'],
    ['sum by (interface) (rras_connections)', 'there is no label interface in (rras_connections)'],
    [
      'sum by (role) (sum by (tunnel) (rras_connections))',
      'there is no label role in (sum by (tunnel) (rras_connections))',
    ],
    ['rras_up and on (source) rras_source_up', 'there is no label source in rras_up'],
    [
      'rras_connection_dormant * on (connection) group_left (mac) rras_connection_info',
      'there is no label mac in rras_connection_info',
    ],
    ['sum(rras_up', 'syntax error at 11'],
    ['rras_users > (rras_ports_inuse or vector(0))', 'no such metric: rras_ports_inuse'],
    [
      'histogram_quantile(0.9, sum by (tunnel) (rate(rras_session_duration_seconds_bucket[5m])))',
      'there is no label le in (0.9, sum by (tunnel) (rate(rras_session_duration_seconds_bucket[5m])))',
    ],
  ])('that is wrong is found: %s', (expr, problem) => {
    expect(problemsOf(expr)).toContain(problem);
  });
});

describe('each alert', () => {
  test('has a name of its own, a severity and a text', () => {
    expect(new Set(NAMES).size).toBe(NAMES.length);
    for (const { alert, labels, annotations } of ALERTS) {
      expect(alert).toMatch(/^Rras[A-Z]\w+$/);
      expect(labels, alert).toEqual({
        severity: expect.stringMatching(/^(critical|warning|info)$/) as string,
      });
      expect(Object.keys(annotations!), alert).toEqual(['summary', 'description', 'runbook_url']);
    }
  });

  test('fires in a test that says with which labels and annotations, and stays silent in another', () => {
    for (const alert of NAMES) {
      const tests = ALERT_TESTS.filter(({ alertname }) => alertname === alert);
      const firing = tests.filter(({ exp_alerts = [] }) => exp_alerts.length > 0);
      expect(firing.length, alert).toBeGreaterThan(0);
      expect(tests.length - firing.length, alert).toBeGreaterThan(0);
      for (const { exp_labels, exp_annotations } of firing.flatMap(({ exp_alerts = [] }) => exp_alerts)) {
        expect(Object.keys(exp_annotations ?? {}).toSorted(), alert).toEqual([
          'description',
          'runbook_url',
          'summary',
        ]);
        expect(exp_labels, alert).toHaveProperty('severity');
      }
    }
    // promtool says nothing of a test for an alert that is not there.
    expect(ALERT_TESTS.filter(({ alertname }) => !NAMES.includes(alertname))).toEqual([]);
  });

  test('has a page that says what to do, and there is no page for another', () => {
    const pages = globSync('*.md', { cwd: RUNBOOKS });
    expect(pages.toSorted()).toEqual([...NAMES.map((name) => `${name}.md`), 'README.md'].toSorted());
    for (const { alert, annotations } of ALERTS) {
      expect(existsSync(join(PROJECT, annotations!['runbook_url']!)), alert).toBe(true);
      const page = readFileSync(join(RUNBOOKS, `${alert!}.md`), 'utf8');
      const headings = [...page.matchAll(/^#+ .*/gm)].map(([line]) => line);
      expect(headings, alert).toEqual([
        `# ${alert!}`,
        '## What it means',
        '## How to look',
        '## What to do',
        '## Related',
      ]);
    }
  });

  test('stands in the index with its severity and its summary', () => {
    const index = readFileSync(join(RUNBOOKS, 'README.md'), 'utf8');
    const rows = [...index.matchAll(/^\| \[(\w+)\]\((\w+)\.md\) +\| (\w+) +\|/gm)].map(
      ([, ...cells]) => cells,
    );
    expect(rows).toEqual(ALERTS.map(({ alert, labels }) => [alert, alert, labels!['severity']]));
  });
});

test('queries on the pages of the runbooks name what there is', async () => {
  const known = await knownSeries();
  for (const { record, expr } of RECORDINGS) known.set(record!, checkNames(expr, known).labels);
  let count = 0;
  for (const alert of NAMES) {
    const page = readFileSync(join(RUNBOOKS, `${alert}.md`), 'utf8');
    for (const [, block] of page.matchAll(/^```promql\n([^]*?)^```/gm)) {
      for (const query of block!.split(/\n\n|\n(?=\w)/).map((each) => each.trim())) {
        count += 1;
        expect(checkNames(query, known).problems, `${alert}: ${query}`).toEqual([]);
      }
    }
  }
  expect(count).toBeGreaterThan(NAMES.length / 2);
});

test('the rules of examples/remediation are the same', () => {
  const example = readRules(join(PROJECT, 'examples/remediation/alerts.yml'));
  const ours = [...RECORDINGS, ...ALERTS];
  const bare = ({ record, alert, expr, for: hold, labels }: (typeof ours)[number]) => ({
    name: record ?? alert,
    expr: expr.trim(),
    hold,
    labels,
  });
  for (const rule of example) {
    const same = ours.find(({ record, alert }) => record === rule.record && alert === rule.alert);
    expect(same && bare(same)).toEqual(bare(rule));
    expect(same?.annotations?.['summary']).toBe(rule.annotations?.['summary']);
  }
});

requireTool('promtool')('promtool', (promtool) => {
  const run = (...args: readonly string[]) => {
    const { status, stdout, stderr } = spawnSync(promtool, args, { cwd: DASHBOARDS, encoding: 'utf8' });
    expect({ status, text: status === 0 ? '' : stdout + stderr }).toEqual({ status: 0, text: '' });
    return stdout;
  };

  test('checks the rules', () => {
    expect(run('check', 'rules', 'rules.yml')).toContain(`SUCCESS: ${RECORDINGS.length} rules found`);
    expect(run('check', 'rules', 'alerts.yml')).toContain(`SUCCESS: ${ALERTS.length} rules found`);
  });

  test('tests the rules', { timeout: 120_000 }, () => {
    expect(run('test', 'rules', ...TEST_FILES).match(/SUCCESS/g)).toHaveLength(TEST_FILES.length);
  });
});

requireTool('jsonnet', 'jsonnetfmt')('the mixin', (jsonnet, jsonnetfmt) => {
  test('is formatted', () => {
    const files = ['mixin.libsonnet', ...globSync('mixin/*.libsonnet', { cwd: DASHBOARDS })];
    const { status, stderr } = spawnSync(jsonnetfmt, ['--test', ...files], {
      cwd: DASHBOARDS,
      encoding: 'utf8',
    });
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  });

  test('gives the files as they are committed', async () => {
    for (const [name, text] of await ruleFiles(jsonnet)) expect(text, name).toBe(readText(name));
  });

  test('lists the dashboards as they are committed', () => {
    expect(readFileSync(DASHBOARD_LIST, 'utf8')).toBe(dashboardList());
  });

  test('has the dashboards themselves, with tags of their own or those of the configuration', () => {
    const files = globSync('*.json', { cwd: DASHBOARDS });
    const render = (overrides: string): Mixin['grafanaDashboards'] =>
      renderMixin(jsonnet, overrides, ['grafanaDashboards']).grafanaDashboards!;
    const read = (file: string) => JSON.parse(readText(file)) as Record<string, unknown>;
    expect(render('{}')).toEqual(Object.fromEntries(files.map((file) => [file, read(file)])));
    expect(render("{ dashboardTags: ['vpn'] }")).toEqual(
      Object.fromEntries(files.map((file) => [file, { ...read(file), tags: ['vpn'] }])),
    );
  });

  test('takes other selectors, thresholds and addresses', () => {
    const { prometheusAlerts, prometheusRules } = renderMixin(
      jsonnet,
      `{ rrasSelector: 'job="vpn"', runbookURLPattern: 'https://wiki.example.net/%s', userConnections: 2, portsUsedRatio: 0.75, hold: '12m' }`,
    );
    const rules = prometheusAlerts!.groups.flatMap(({ rules }) => rules);
    const find = (name: string) => rules.find(({ alert }) => alert === name)!;
    expect(find('RrasExporterDown').expr.match(/\bup\{job="vpn"\}/g)).toHaveLength(3);
    expect(find('RrasExporterDown').expr).not.toContain('rras.*');
    expect(find('RrasExporterMissing').expr).toBe('absent(up{job="vpn"} or rras_up)');
    expect(find('RrasUserManyConnections').expr.match(/> 2\b/g)).toHaveLength(2);
    expect(find('RrasPortsNearlyExhausted').expr).toContain('> 0.75\n');
    const all = JSON.stringify([prometheusAlerts, prometheusRules]);
    expect(all).not.toMatch(/\[3m[\]:]/);
    expect(all.match(/\[12m[\]:]/g)!.length).toBeGreaterThan(40);
    for (const { alert, annotations } of rules) {
      expect(annotations!['runbook_url']).toBe(`https://wiki.example.net/${alert!}`);
    }
  });

  test('uses each key of its configuration', () => {
    const config = readText('mixin/config.libsonnet');
    const keys = [...config.matchAll(/^ {4}(\w+):/gm)].map(([, key]) => key!);
    expect(keys.length).toBeGreaterThan(10);
    const sources = readText('mixin/alerts.libsonnet') + readText('mixin/dashboards.libsonnet');
    expect(keys.filter((key) => !new RegExp(`%\\(${key}\\)|\\.${key}\\b`).test(sources))).toEqual([]);
  });
});
