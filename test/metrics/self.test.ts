/** The exporter's own metrics: what reports make of them, and that none of them can cost the page. */
import { spawnSync } from 'node:child_process';
import { afterEach, describe, expect, test, vi } from 'vitest';
import type { AdminMetrics } from '../../src/metrics/admin-metrics.ts';
import { SelfMetrics } from '../../src/metrics/self.ts';
import { ACTIONS, DECISIONS } from '../../src/model/admin.ts';
import type { NativeCall, ReadReport } from '../../src/model/frames.ts';
import { ANOMALIES } from '../../src/model/words.ts';
import { requireTool } from '../tools/require-tool.ts';
import { PROMISED, VOCABULARY } from './contract.ts';
import type { ParsedFamily } from './prometheus-parser.ts';
import { familyOf, parsePage, valuesOf } from './prometheus-parser.ts';
import { SimulatedExporter } from './simulated-exporter.ts';

afterEach(() => {
  vi.restoreAllMocks();
});

const create = (process = false, simulated = false): SelfMetrics =>
  new SelfMetrics({ version: '1.2.3', simulated, startedAtSeconds: 1_795_000_000, process });

const readBack = async (self: SelfMetrics): Promise<ParsedFamily[]> =>
  parsePage(await self.text(), { bareHeads: true });

function report(
  calls: readonly NativeCall[],
  parts: Partial<Pick<ReadReport, 'pages' | 'anomalies'>> = {},
): ReadReport {
  return { calls, pages: parts.pages ?? 0, anomalies: parts.anomalies ?? {}, seconds: 1 };
}

const ENUM = 'MprAdminConnectionEnum';
const CONNECT = 'MprAdminServerConnect';

describe('a report of a read', () => {
  test('adds its calls, each by its function', async () => {
    const self = create();
    self.countRead(
      'connections',
      report([
        { function: CONNECT, code: 0, seconds: 0.001, atSeconds: 0 },
        { function: ENUM, code: 234, seconds: 0.2, atSeconds: 0 },
        { function: ENUM, code: 0, seconds: 0.02, atSeconds: 0 },
      ]),
    );
    self.countRead('connections', report([{ function: ENUM, code: 0, seconds: 0.02, atSeconds: 0 }]));
    const families = await readBack(self);
    expect(valuesOf(families, 'rras_exporter_native_calls_total')).toEqual({ [CONNECT]: 1, [ENUM]: 3 });
  });

  test('adds failures by function and code; more data is none', async () => {
    const self = create();
    self.countRead(
      'connections',
      report([
        { function: ENUM, code: 234, seconds: 0.1, atSeconds: 0 },
        { function: ENUM, code: 5, seconds: 0.1, atSeconds: 0 },
        { function: ENUM, code: 5, seconds: 0.1, atSeconds: 0 },
        { function: CONNECT, code: 1722, seconds: 0.1, atSeconds: 0 },
      ]),
    );
    const families = await readBack(self);
    expect(valuesOf(families, 'rras_exporter_native_failures_total')).toEqual({
      [`${ENUM}/5`]: 2,
      [`${CONNECT}/1722`]: 1,
    });
    expect(valuesOf(families, 'rras_exporter_native_calls_total')).toEqual({ [ENUM]: 3, [CONNECT]: 1 });
  });

  test('adds durations to a histogram from 1 ms to 30 s', async () => {
    const self = create();
    const seconds = [0.0005, 0.001, 0.3, 29, 31];
    self.countRead(
      'ports',
      report(seconds.map((each) => ({ function: ENUM, code: 0, seconds: each, atSeconds: 0 }))),
    );
    const { samples } = familyOf(await readBack(self), 'rras_exporter_native_call_duration_seconds');
    const bounds = samples.filter(({ name }) => name.endsWith('_bucket'));
    const bound = (le: string): number | undefined =>
      bounds.find(({ labels }) => labels['le'] === le && labels['function'] === ENUM)?.value;
    expect(bounds[0]!.labels['le']).toBe('0.001');
    expect(bounds.at(-2)!.labels['le']).toBe('30');
    expect([bound('0.001'), bound('0.25'), bound('0.5'), bound('30'), bound('+Inf')]).toEqual([
      2, 2, 3, 4, 5,
    ]);
    const rest = samples.filter(({ name }) => !name.endsWith('_bucket'));
    expect(rest.map(({ value }) => value)).toEqual([seconds.reduce((a, b) => a + b), 5]);
  });

  test('adds pages and anomalies by source', async () => {
    const self = create();
    self.countRead('connections', report([], { pages: 3, anomalies: { duplicate: 2, changed: 1 } }));
    self.countRead('connections', report([], { pages: 1, anomalies: { duplicate: 1 } }));
    self.countRead('ports', report([], { pages: 1 }));
    const families = await readBack(self);
    expect(valuesOf(families, 'rras_exporter_enumeration_pages_total')).toEqual({ connections: 4, ports: 1 });
    expect(valuesOf(families, 'rras_exporter_enumeration_anomalies_total')).toEqual({
      'connections/duplicate': 3,
      'connections/changed': 1,
    });
  });

  test('of a real poll gives one page per source and a call of each function', async () => {
    const exporter = new SimulatedExporter();
    await exporter.scrape();
    const self = create();
    for (const [source, read] of exporter.reports) self.countRead(source, read);
    const families = await readBack(self);
    expect(valuesOf(families, 'rras_exporter_enumeration_pages_total')).toEqual({
      server: 0,
      connections: 1,
      ports: 1,
      interfaces: 1,
    });
    expect(valuesOf(families, 'rras_exporter_native_calls_total')).toMatchObject({
      MprAdminServerConnect: 1,
      MprAdminServerGetInfo: 1,
      MprAdminConnectionEnum: 1,
      MprAdminPortEnum: 1,
      MprAdminInterfaceEnum: 1,
    });
  });

  test('may hold every anomaly that the contract knows, and the program knows no other', () => {
    expect([...ANOMALIES]).toEqual(VOCABULARY['rras_exporter_enumeration_anomalies_total reason']);
  });
});

describe('what is enumerated', () => {
  const name = 'rras_exporter_enumeration_anomalies_total';

  test('has a 0 for each anomaly and for pages before the first, of the sources that are enabled only', async () => {
    const self = create();
    expect(valuesOf(await readBack(self), name)).toEqual({});
    self.startSources(['connections', 'ports']);
    const families = await readBack(self);
    expect(valuesOf(families, name)).toEqual(
      Object.fromEntries(
        ['connections', 'ports'].flatMap((source) => ANOMALIES.map((reason) => [`${source}/${reason}`, 0])),
      ),
    );
    expect(valuesOf(families, 'rras_exporter_enumeration_pages_total')).toEqual({ connections: 0, ports: 0 });
  });

  test('keeps what was counted when the sources are named again', async () => {
    const self = create();
    self.startSources(['ports']);
    self.countRead('ports', report([], { pages: 2, anomalies: { cycle: 1 } }));
    self.startSources(['ports', 'interfaces']);
    const families = await readBack(self);
    expect(valuesOf(families, name)).toMatchObject({ 'ports/cycle': 1, 'interfaces/cycle': 0 });
    expect(valuesOf(families, 'rras_exporter_enumeration_pages_total')).toEqual({ ports: 2, interfaces: 0 });
  });
});

describe('metrics of the guarded actions', () => {
  const DECIDED = 'rras_remediation_decisions_total';
  const ASKED = 'rras_admin_requests_total';
  const startAdmin = (self: SelfMetrics): AdminMetrics =>
    self.admin({ paused: () => false, breakers: () => [] });

  test('are not there without the admin API', async () => {
    const names = (await readBack(create())).map(({ name }) => name);
    expect(names.filter((name) => /^rras_(?:admin|remediation)_/.test(name))).toEqual([]);
  });

  test('have a 0 for each decision of a rule before the first, and for what is decided without a rule', async () => {
    const self = create();
    startAdmin(self).startRules(['redial', 'other']);
    const decided = valuesOf(await readBack(self), DECIDED);
    const ofRule = DECISIONS.filter((each) => each !== 'no_rule' && each !== 'unauthenticated');
    expect(Object.keys(decided).sort()).toEqual(
      [
        '/gone',
        '/invalid',
        '/no_rule',
        ...['redial', 'other'].flatMap((rule) => ofRule.map((each) => `${rule}/${each}`)),
      ].sort(),
    );
    expect(new Set(Object.values(decided))).toEqual(new Set([0]));
  });

  test('keep what rules have decided when rules are named again, those that are gone included', async () => {
    const self = create();
    const admin = startAdmin(self);
    admin.startRules(['redial', 'old']);
    admin.countAlert('redial', 'execute');
    admin.countAlert('old', 'rate');
    admin.startRules(['redial', 'new']);
    expect(valuesOf(await readBack(self), DECIDED)).toMatchObject({
      'redial/execute': 1,
      'old/rate': 1,
      'new/execute': 0,
    });
  });

  test('have a 0 for what each route may answer, in no more than 150 series', async () => {
    const self = create();
    startAdmin(self);
    const asked = valuesOf(await readBack(self), ASKED);
    expect(asked).toMatchObject({
      'reconnect/already_connected': 0,
      'hang_up/min_healthy': 0,
      'reset/audit': 0,
      'pause/unauthenticated': 0,
      'actions/gone': 0,
      'grafana/forbidden': 0,
    });
    expect(Object.keys(asked).length).toBeLessThanOrEqual(150);
    const routes = [...ACTIONS, 'reset', 'pause', 'resume', 'actions', 'alertmanager', 'grafana'];
    expect(new Set(Object.keys(asked).map((key) => key.split('/')[0]))).toEqual(new Set(routes));
  });

  test('have a 0 for each action, its failures and its durations', async () => {
    const self = create();
    startAdmin(self);
    const families = await readBack(self);
    const zeros = Object.fromEntries(ACTIONS.map((action) => [action, 0]));
    expect(valuesOf(families, 'rras_admin_actions_total')).toEqual(zeros);
    expect(valuesOf(families, 'rras_admin_action_failures_total')).toEqual(zeros);
    const { samples } = familyOf(families, 'rras_admin_action_duration_seconds');
    const counts = samples.filter(({ name }) => name.endsWith('_count'));
    expect(counts.map(({ labels, value }) => [labels['action'], value])).toEqual(
      ACTIONS.map((action) => [action, 0]),
    );
  });
});

describe('restarts of the native host', () => {
  test('are counted by reason, each 0 before the first', async () => {
    const self = create();
    const name = 'rras_exporter_host_restarts_total';
    expect(valuesOf(await readBack(self), name)).toEqual({ timeout: 0, crash: 0, protocol: 0 });
    self.countRestart('crash');
    self.countRestart('crash');
    self.countRestart('timeout');
    expect(valuesOf(await readBack(self), name)).toEqual({ timeout: 1, crash: 2, protocol: 0 });
  });
});

describe('the page of the exporter', () => {
  test('says whether the data is made up', async () => {
    const simulated = async (is: boolean): Promise<number | undefined> =>
      valuesOf(await readBack(create(false, is)), 'rras_exporter_simulated')[''];
    expect(await simulated(true)).toBe(1);
    expect(await simulated(false)).toBe(0);
  });

  test('names its version, the version of Node and the platform', async () => {
    const { samples } = familyOf(await readBack(create()), 'rras_exporter_build_info');
    expect(samples).toEqual([
      {
        name: 'rras_exporter_build_info',
        labels: { version: '1.2.3', nodeversion: process.version, platform: process.platform },
        value: 1,
        timestamp: undefined,
      },
    ]);
  });

  test('has the names, types and labels of the contract', async () => {
    const self = create();
    self.countRead(
      'ports',
      report([{ function: ENUM, code: 5, seconds: 1, atSeconds: 0 }], { anomalies: { cycle: 1 } }),
    );
    for (const { name, type, samples } of await readBack(self)) {
      const labels = Object.keys(samples[0]!.labels).filter((label) => label !== 'le');
      expect({ type, labels: labels.sort() }, name).toEqual({
        type: PROMISED.get(name)?.type,
        labels: [...(PROMISED.get(name)?.labels ?? [])].sort(),
      });
    }
  });

  test('holds process_ and nodejs_ metrics, but not the three gauges that are named like counters', async () => {
    const names = (await readBack(create(true))).map(({ name }) => name);
    expect(names).toContain('process_cpu_seconds_total');
    expect(names).toContain('process_resident_memory_bytes');
    expect(names).toContain('process_start_time_seconds');
    expect(names.filter((name) => name.startsWith('nodejs_')).length).toBeGreaterThan(5);
    expect(names.filter((name) => /^nodejs_active_\w+_total$/.test(name))).toEqual([]);
    expect(names).toContain('rras_exporter_build_info');
  });

  test('holds neither where they are switched off', async () => {
    const names = (await readBack(create(false))).map(({ name }) => name);
    expect(names.filter((name) => !name.startsWith('rras_exporter_'))).toEqual([]);
    expect(names.length).toBeGreaterThan(5);
  });

  test('of one exporter knows nothing of another one in the same process', async () => {
    const first = create();
    first.countRestart('crash');
    expect(valuesOf(await readBack(create()), 'rras_exporter_host_restarts_total')['crash']).toBe(0);
  });

  test('is in the format also when it is asked for twice at once', async () => {
    const self = create(true);
    const pages = await Promise.all([readBack(self), readBack(self), readBack(self)]);
    expect(new Set(pages.map((families) => families.length)).size).toBe(1);
  });
});

describe('a collector that throws', () => {
  test('H8 costs its own metric, and neither the page nor the other metrics', async () => {
    const self = create(true);
    self.countRestart('timeout');
    const before = await readBack(self);
    vi.spyOn(process, 'memoryUsage').mockImplementation(() => {
      throw new Error('out of\nmemory');
    });
    vi.spyOn(process, 'cpuUsage').mockImplementation(() => {
      throw new Error('no\nusage');
    });
    const text = await self.text();
    const after = parsePage(text, { bareHeads: true });
    expect(text).toMatch(/^# process_\w+ failed: Error: no usage$/m);
    expect(valuesOf(after, 'rras_exporter_host_restarts_total')['timeout']).toBe(1);
    expect(after.length).toBeGreaterThan(before.length / 2);
    expect(after.length).toBeLessThan(before.length);
  });
});

requireTool('promtool')('promtool check metrics', (promtool) => {
  test('has nothing to say about the exporter’s own page', async () => {
    const self = create(true, true);
    self.countRead(
      'ports',
      report([{ function: ENUM, code: 5, seconds: 1, atSeconds: 0 }], { anomalies: { cycle: 1 } }),
    );
    const { status, stdout, stderr } = spawnSync(promtool, ['check', 'metrics'], {
      input: await self.text(),
      encoding: 'utf8',
    });
    expect({ status, stdout, stderr }).toEqual({ status: 0, stdout: '', stderr: '' });
  });
});
