/**
 * Each alert fires on a real Prometheus that scrapes the program, with durations that a test has the patience for. What
 * no scenario of the simulator shows comes out of recordings of it that are played back.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { stringify } from 'yaml';
import { GuardedExporter } from '../../tools/guarded-exporter.ts';
import type { RuleFile } from '../../tools/mixin.ts';
import { DASHBOARDS, renderMixin } from '../../tools/mixin.ts';
import { freePort } from '../e2e/peer.ts';
import { buildIfStale, endAll, isAlive, Program, until } from '../e2e/program.ts';
import { ScrapingPrometheus } from '../e2e/scraping-prometheus.ts';
import { fetchPlain } from '../server/http-client.ts';
import { recordSimulator, replacing } from '../native/recordings.ts';
import { requireTool } from '../tools/require-tool.ts';
import { ALERTS, PROJECT } from './rule-files.ts';

/** What the simulator does not come to in a minute; the other thresholds are the defaults. The guide lists them. */
const OVERRIDES = {
  snapshotStaleSeconds: 3,
  snapshotOldSeconds: 5,
  linkFlaps: 3,
  portsPredictedFromRatio: 0.01,
  errorsPerFrame: 1e-9,
  errorsPerSecond: 0,
  dormantConnections: 1,
  dormantRatio: 0,
  userConnections: 1,
};

const SHORTER: Readonly<Record<string, string>> = {
  '3m': '3s',
  '5m': '8s',
  '10m': '8s',
  '15m': '15s',
  '40m': '20s',
  '30m': '60s',
  '1h': '60s',
};

/** The rules with other durations: what holds for a second fires. */
function shortened({ groups }: RuleFile): RuleFile {
  return {
    groups: groups.map(({ name, rules }) => ({
      name,
      rules: rules.map(({ for: hold, expr, ...rule }) => ({
        ...rule,
        ...(hold !== undefined && { for: '1s' }),
        expr: expr
          .replaceAll(/\[(\w+)\]/g, (_, range: string) => `[${SHORTER[range]!}]`)
          .replaceAll('[3m:1m]', '[3s:1s]'),
      })),
    })),
  };
}

interface FiringAlert {
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  readonly state: string;
}

requireTool('prometheus', 'jsonnet')('on a Prometheus that scrapes simulated servers', (path, jsonnet) => {
  const folder = mkdtempSync(join(tmpdir(), 'rras-exporter-alerts-'));
  const targetsFile = join(folder, 'targets.json');
  const seen = new Set<string>();
  let prometheus: ScrapingPrometheus | undefined;
  let office: GuardedExporter | undefined;
  let large: Program;
  let stopped: Program;

  const setTargets = (targets: Readonly<Record<string, string>>): void =>
    writeFileSync(
      targetsFile,
      JSON.stringify(
        Object.entries(targets).map(([instance, url]) => ({
          targets: [new URL(url).host],
          labels: { instance },
        })),
      ),
    );

  beforeAll(async () => {
    await buildIfStale();
    const { prometheusAlerts, prometheusRules } = renderMixin(jsonnet, JSON.stringify(OVERRIDES));
    writeFileSync(join(folder, 'alerts.yml'), stringify(shortened(prometheusAlerts!)));
    writeFileSync(join(folder, 'rules.yml'), stringify(shortened(prometheusRules!)));
    writeFileSync(
      join(folder, 'prometheus.yml'),
      stringify({
        global: { scrape_interval: '1s', scrape_timeout: '1s', evaluation_interval: '1s' },
        rule_files: ['rules.yml', 'alerts.yml'],
        scrape_configs: [
          { job_name: 'rras', file_sd_configs: [{ files: [targetsFile], refresh_interval: '1s' }] },
        ],
      }),
    );
    const [recordedStopped, recordedStill, recordedBroken] = await Promise.all([
      recordSimulator({ state: 'stopped' }),
      // After its end the last poll stays: connections that move nothing any more.
      recordSimulator({ scenario: 'office' }),
      recordSimulator({
        through: (api) =>
          replacing(api, {
            portEnum: () =>
              Promise.resolve({ code: 8, buffer: null, entriesRead: 0, totalEntries: 0, resumeHandle: 0 }),
            // More data, but no way to ask for it.
            connectionEnum: async (...args) => ({
              ...(await api.connectionEnum(...args)),
              code: 234,
              resumeHandle: 0,
            }),
          }),
      }),
    ]);
    const config = join(folder, 'rras-exporter.yml');
    writeFileSync(config, 'log: {level: info}\n');
    const replay = (recorded: { readonly path: string }): Promise<Program> =>
      Program.serve(`--rras.replay=${recorded.path}`);
    const nobody = `http://127.0.0.1:${await freePort()}`;
    // Not all at once: each is to listen within seconds.
    const [guarded, flapping, many, halted] = await Promise.all([
      GuardedExporter.start(),
      Program.serveWith(
        {
          OTEL_EXPORTER_OTLP_ENDPOINT: nobody,
          OTEL_METRIC_EXPORT_INTERVAL: '1000',
          OTEL_METRIC_EXPORT_TIMEOUT: '500',
          OTEL_TRACES_EXPORTER: 'none',
          OTEL_LOGS_EXPORTER: 'none',
        },
        '--rras.simulate=flapping',
      ),
      Program.serve('--rras.simulate=large:5000', '--collector.users', '--collector.connections.detail=none'),
      replay(recordedStopped),
    ]);
    [office, large, stopped] = [guarded, many, halted];
    const [still, broken, crowded, fast, misconfigured] = await Promise.all([
      replay(recordedStill),
      replay(recordedBroken),
      Program.serve('--rras.simulate=crowded'),
      // Read as seldom as by a Prometheus with the interval of the example.
      Program.serve('--rras.simulate=fast', '--collector.min-interval=15s'),
      Program.serve('--rras.simulate=small', `--config.file=${config}`),
    ]);
    writeFileSync(config, 'log: {level: loud}\n');
    misconfigured.signal('SIGHUP');
    setTargets({
      office: office.program.url,
      flapping: flapping.url,
      large: large.url,
      stopped: stopped.url,
      still: still.url,
      broken: broken.url,
      crowded: crowded.url,
      fast: fast.url,
      misconfigured: misconfigured.url,
    });
    prometheus = await ScrapingPrometheus.startWith(path, join(folder, 'prometheus.yml'), folder);
  });

  afterAll(async () => {
    await prometheus?.end();
    await office?.drop();
    await endAll();
    rmSync(folder, { recursive: true, force: true });
  });

  async function firing(): Promise<readonly FiringAlert[]> {
    const { text } = await fetchPlain(`${prometheus!.url}/api/v1/alerts`);
    const { data } = JSON.parse(text) as { data: { alerts: readonly FiringAlert[] } };
    return data.alerts.filter(({ state }) => state === 'firing');
  }

  /** Waits until each of them has fired. */
  async function fire(...alerts: readonly string[]): Promise<void> {
    const missing = (): string[] => alerts.filter((alert) => !seen.has(alert));
    const deadline = performance.now() + 60_000;
    for (;;) {
      for (const { labels, annotations } of await firing()) {
        const { alertname, instance } = labels;
        seen.add(`${alertname!}${instance === undefined ? '' : ` ${instance}`}`);
        // What a template makes of a label or a query that is not there.
        expect(Object.values(annotations).join(' ')).not.toMatch(
          /<no value>|<error|error (?:calling|executing)/,
        );
      }
      if (missing().length === 0) return;
      if (performance.now() > deadline) throw new Error(`did not fire: ${missing().join(', ')}`);
      await wait(200);
    }
  }

  test('connections, ports, links and the exporter itself', { timeout: 90_000 }, async () => {
    await fire(
      'RrasLinkDown office',
      'RrasLinkStaysDown office',
      'RrasLinkFlapping flapping',
      'RrasDormantConnections flapping',
      'RrasPortsExhaustionPredicted flapping',
      'RrasOtlpExportFailing flapping',
      'RrasPortsNearlyExhausted large',
      'RrasErrorRateHigh large',
      'RrasUserManyConnections large',
      'RrasServiceStopped stopped',
      'RrasTrafficStopped still',
      'RrasSourceDown broken',
      'RrasEnumerationAnomalies broken',
      'RrasPortsExhausted crowded',
      'RrasCountersAmbiguous fast',
      'RrasConfigReloadFailed misconfigured',
    );
    // An attempt of its own clears the reasons while it lasts, but not from the text.
    const madrid = (await firing()).find(
      ({ labels }) => labels['alertname'] === 'RrasLinkStaysDown' && labels['interface'] === 'Site-Madrid',
    );
    expect(madrid?.annotations['description']).toContain('RRAS gives as reason: connection_failure.');
    expect(madrid?.annotations['description']).toContain('Error of the last attempt: 868.');
    // A stopped service is no server that cannot be read, and neither is one that lacks a part.
    expect([...seen]).not.toContain('RrasServerDown stopped');
    expect([...seen]).not.toContain('RrasServerDown broken');
    // Without the service no link can be up, and nobody is told of each.
    expect([...seen]).not.toContain('RrasLinkDown stopped');
    const full = (await firing()).filter(({ labels }) => labels['alertname'] === 'RrasPortsExhausted');
    expect(full.map(({ labels }) => [labels['instance'], labels['tunnel']])).toEqual([['crowded', 'ikev2']]);
  });

  test(
    'repairs that come to nothing, are paused, or cannot be written down',
    { timeout: 90_000 },
    async () => {
      const exporter = office!;
      for (let attempt = 0; attempt < 3; attempt += 1) {
        await exporter.askWhenFree('/api/v1/admin/interfaces/Site-Madrid/reconnect?wait=15s', {
          reason: 'a link that no dial repairs',
          override: ['cooldown', 'min_healthy'],
        });
      }
      await fire('RrasPersonNeeded office');
      // One fault, one call.
      await until('the other call for this link has ended', async () => {
        const calls = (await firing()).filter(
          ({ labels: { severity, instance, interface: name } }) =>
            severity === 'critical' && instance === 'office' && name === 'Site-Madrid',
        );
        return calls.map(({ labels }) => labels['alertname']).join() === 'RrasPersonNeeded';
      });
      await exporter.ask('/api/v1/admin/pause', { reason: 'an hour is a second here' });
      await fire('RrasActionsPaused office');
      await exporter.ask('/api/v1/admin/resume', { reason: 'go on' });
      await exporter.program.end();
      writeFileSync(
        join(exporter.storage, 'audit-00000001.jsonl'),
        '{"kind":"intent"}\n{"kind":"outcome"}\n',
      );
      await exporter.begin();
      expect(
        await exporter.ask('/api/v1/admin/interfaces/Site-Lisboa/reconnect', {
          reason: 'without an audit log',
        }),
      ).toMatchObject({ errorType: 'audit' });
      await fire('RrasAuditLogFailed office');
    },
  );

  test(
    'a native host that dies again and again, and a server that is not read',
    { timeout: 90_000 },
    async () => {
      for (let kill = 0; kill < 4; kill += 1) {
        await until('a native host', () => large.children().some(isAlive), 30_000);
        process.kill(large.nativeHost(), 'SIGKILL');
        await until('its end', () => large.children().every((pid) => !isAlive(pid)));
      }
      await fire(
        'RrasHostRestarting large',
        'RrasServerDown large',
        'RrasSnapshotStale large',
        'RrasNoFreshSnapshot large',
      );
    },
  );

  test('an exporter that is gone, and a Prometheus that scrapes none', { timeout: 90_000 }, async () => {
    await stopped.end('SIGKILL');
    await fire('RrasExporterDown stopped');
    setTargets({});
    await fire('RrasExporterMissing');
  });

  test('which are all alerts that there are', () => {
    const fired = new Set([...seen].map((each) => each.split(' ')[0]));
    expect(ALERTS.map(({ alert }) => alert).filter((alert) => !fired.has(alert))).toEqual([]);
  });

  test('of which the guide says whose thresholds are lower here', () => {
    const guide = readFileSync(join(PROJECT, 'docs/dashboards-and-alerts.md'), 'utf8');
    const config = readFileSync(join(DASHBOARDS, 'mixin/config.libsonnet'), 'utf8');
    const exprs = (overrides: object): Map<string, string> => {
      const { groups } = renderMixin(jsonnet, JSON.stringify(overrides)).prometheusAlerts!;
      return new Map(groups.flatMap(({ rules }) => rules.map(({ alert, expr }) => [alert!, expr])));
    };
    const usual = exprs({});
    const rows = Object.entries(OVERRIDES).map(([key, here]) => {
      const [alert, ...others] = [...exprs({ [key]: here })].filter(
        ([name, expr]) => usual.get(name) !== expr,
      );
      expect(others, key).toEqual([]);
      return [alert?.[0], key, new RegExp(` ${key}: (.*),`).exec(config)?.[1], String(here)];
    });
    const section = guide.slice(guide.indexOf('## The tests'));
    const table = [...section.matchAll(/^\| +`(\w+)` +\| +`(\w+)` +\| +(\S+) +\| +(\S+) +\|$/gm)];
    expect(table.map(([, ...cells]) => cells)).toEqual(rows);
  });
});
