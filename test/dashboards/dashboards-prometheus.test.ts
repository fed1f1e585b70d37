/** Every query of the dashboards, asked as Grafana asks it, of a real Prometheus that scrapes simulated servers. */
import { setTimeout as wait } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Asked } from '../../tools/dashboard-answers.ts';
import { answersOf, ask } from '../../tools/dashboard-answers.ts';
import { DashboardLab, SERVERS, STUB } from '../../tools/dashboard-lab.ts';
import { labelValues, panelsOf, queriesOf, readDashboards } from '../../tools/dashboard-model.ts';
import type { Series } from '../../tools/dashboard-svg.ts';
import { drawDashboard } from '../../tools/dashboard-svg.ts';
import { buildIfStale, endAll, until } from '../e2e/program.ts';
import { requireTool } from '../tools/require-tool.ts';

const dashboards = readDashboards();
const RATE_SECONDS = 15;
const ALL = SERVERS.join('|');

/**
 * One connection that a store knows by two infos: one fed by OTLP still has what was, and a reload may change how names are
 * shown.
 */
const TWICE = '00000000000000aa';

/**
 * What only a server in trouble has: the API keeps its promises, no call fails, and few lines make errors. Panels show a
 * 0 in its place, and what the test makes up.
 */
const TROUBLE = {
  rras_connection_errors_total: `connection="${TWICE}",kind="crc"`,
  rras_exporter_enumeration_anomalies_total: 'source="connections",reason="cycle"',
  rras_exporter_native_failures_total: 'function="MprAdminConnectionEnumEx",code="5"',
} as const;

let begun = Infinity;

function madeUpPage(): string {
  begun = Math.min(begun, performance.now());
  const count = Math.floor(performance.now() / 1000);
  const series = Object.entries(TROUBLE).map(([name, labels]): [string, string] => [name, labels]);
  for (const direction of ['received', 'transmitted']) {
    for (const what of ['bytes', 'frames'])
      series.push([`rras_connection_${direction}_${what}_total`, `connection="${TWICE}"`]);
  }
  const gauges = [
    ...['anna', 'u-7f3c'].map(
      (name) =>
        `rras_connection_info{connection="${TWICE}",user="${name}",tunnel="ikev2",role="client",interface="${name}"} 1`,
    ),
    `rras_connection_start_time_seconds{connection="${TWICE}"} ${Math.floor(Date.now() / 1000) - count}`,
    `rras_connection_endpoint_info{connection="${TWICE}",remote_address="203.0.113.9"} 1`,
    `rras_connection_dormant{connection="${TWICE}"} 0`,
    // Of a server whose service is stopped, from which nothing comes after a while.
    'rras_interface_info{interface="Site-Berlin",interface_type="full_router"} 1',
    ...['unreachable', 'disconnected', 'connecting', 'connected'].map(
      (state) => `rras_interface_state{interface="Site-Berlin",state="${state}"} 0`,
    ),
    ...(performance.now() - begun < 5000 ? ['rras_up 1'] : []),
  ];
  return `${[...series.map(([name, labels]) => `${name}{${labels}} ${count}`), ...gauges].join('\n')}\n`;
}

const tableOfConnections = dashboards
  .flatMap(panelsOf)
  .find(({ title, type }) => title === 'Connections' && type === 'table')!;

const values = (series: readonly Series[]): number[] =>
  series.flatMap(({ points }) => points.map(([, value]) => value)).filter((value) => !Number.isNaN(value));

requireTool('prometheus')('dashboards on a real Prometheus', (path) => {
  let lab: DashboardLab | undefined;
  let asked: Asked;

  beforeAll(async () => {
    await buildIfStale();
    const from = Math.floor(Date.now() / 1000);
    const started = (lab = await DashboardLab.start({ prometheus: path, page: madeUpPage }));
    const scrapes = async (): Promise<number> =>
      (await started.prometheus.value('min(count_over_time(up[5m]))', Date.now())) ?? 0;
    await until('some scrapes', async () => (await scrapes()) > 3, 30_000);
    await started.act();
    started.replaceHost();
    await started.resume();
    await wait(3000);
    const before = await scrapes();
    // Those that saw all of it.
    await until('more scrapes', async () => (await scrapes()) > before + 2, 30_000);
    const failed = (name: string): Promise<number | undefined> =>
      started.prometheus.value(`sum(increase(${name}[1m] offset 6s))`, Date.now());
    await until(
      'flaps and failed dials, a step ago',
      async () =>
        ((await failed('rras_interface_state_changes_total')) ?? 0) > 0 &&
        ((await failed('rras_interface_dial_failures_total')) ?? 0) > 0,
      60_000,
    );
    // Peers come back after a while: a moment at which one is away.
    let at = 0;
    await until(
      'a dormant connection',
      async () => {
        at = Math.floor(Date.now() / 1000) - 1;
        return ((await started.prometheus.value('sum(rras_connection_dormant)', at * 1000)) ?? 0) > 0;
      },
      60_000,
    );
    asked = {
      from,
      to: at,
      stepSeconds: 1,
      rateIntervalSeconds: RATE_SECONDS,
      coarseStepSeconds: 5,
      instance: ALL,
    };
  });

  afterAll(async () => {
    await lab?.end();
    await endAll();
  });

  describe.each(dashboards.map((dashboard) => [dashboard.title, dashboard] as const))(
    '%s',
    (_, dashboard) => {
      test.each(queriesOf(dashboard).map((query) => [query.place, query] as const))(
        '%s has data',
        async (__, query) => {
          const found = await ask(lab!.prometheus.url, query.expr, query.kind, asked);
          expect(values(found).length, query.expr).toBeGreaterThan(0);
        },
      );

      test('has values for each of its variables', async () => {
        for (const { name, query } of dashboard.templating.list) {
          const variable = labelValues(query);
          if (!variable) continue;
          const found = await ask(lab!.prometheus.url, variable.selector, 'instant', asked);
          const labels = new Set(found.map(({ labels }) => labels[variable.label]));
          expect(labels.size, name).toBeGreaterThan(0);
          expect([...labels], name).not.toContain(undefined);
        }
      });

      test('is drawn with all its panels, and data in each', async () => {
        const svg = drawDashboard(await answersOf(lab!.prometheus.url, dashboard, asked));
        expect(svg.match(/<g class="panel"/g)).toHaveLength(panelsOf(dashboard).length);
        expect([...svg.matchAll(/No data: [^<]*|NaN|undefined|Infinity/g)].map(([text]) => text)).toEqual([]);
        const texts = new Set([...svg.matchAll(/<text [^>]*>(?:⌄ )?([^<]*)</g)].map(([, text]) => text));
        const titles = dashboard.panels.map(({ title = '' }) => title);
        expect(titles.filter((title) => !texts.has(title))).toEqual([]);
      });
    },
  );

  test('a query that is broken is refused, and one of a metric that is not there has no data', async () => {
    await expect(ask(lab!.prometheus.url, 'sum(rras_up', 'instant', asked)).rejects.toThrow('parse error');
    expect(await ask(lab!.prometheus.url, 'rras_nothing', 'range', asked)).toEqual([]);
  });

  test('the table of connections has a row for each, with who, since when, from where and how much', async () => {
    const total = await lab!.prometheus.value(`sum(rras_connections{instance=~"${ALL}"})`, asked.to * 1000);
    const sizes: number[] = [];
    for (const { expr } of tableOfConnections.targets!) {
      const found = await ask(lab!.prometheus.url, expr, 'instant', asked);
      const keys = found.map(({ labels }) => `${labels['instance']} ${labels['connection']}`);
      // One row each: nothing is joined with two.
      expect(new Set(keys).size).toBe(keys.length);
      expect(keys.filter((key) => key.endsWith(' other'))).toEqual([]);
      sizes.push(keys.length);
    }
    // Who, since when and from where: of all. What was moved needs two scrapes.
    expect(sizes.slice(0, 3)).toEqual([total, total, total]);
    expect(Math.min(...sizes)).toBeGreaterThan(total! / 2);
  });

  test('the table of connections has one row of a connection that a store knows by two infos', async () => {
    for (const { expr } of tableOfConnections.targets!) {
      const found = await ask(lab!.prometheus.url, expr, 'instant', { ...asked, instance: STUB });
      expect(found.map(({ labels }) => labels['connection'])).toEqual([TWICE]);
    }
  });

  test('what was asked and decided once is seen, and what was not takes no room', async () => {
    const rowsOf = async (panel: string, ...labels: readonly string[]): Promise<string[]> => {
      const [target] = dashboards.flatMap(panelsOf).find(({ title }) => title === panel)!.targets!;
      const found = await ask(lab!.prometheus.url, target!.expr, 'instant', asked);
      return found.map(({ labels: all }) => labels.map((label) => all[label] ?? '').join('/'));
    };
    const decided = await rowsOf('Decisions by rule', 'rule', 'decision');
    // Of three alerts: on nothing that a rule is for, on a link, on what the caller may not act on.
    expect(decided).toContain('/no_rule');
    expect(decided).toContain('redial/forbidden');
    expect(decided).toHaveLength(3);
    const requests = await rowsOf('Requests by route', 'route', 'decision');
    expect(requests.filter((row) => !row.startsWith('reconnect/')).sort()).toEqual([
      'alertmanager/execute',
      'pause/execute',
      'resume/execute',
    ]);
    expect(requests).toHaveLength(4);
  });

  test.each([
    ['Users that match', 1],
    ['Several connections at once', 1],
  ])('%s counts a connection that a store knows by two infos once', async (panel, count) => {
    const [target] = dashboards.flatMap(panelsOf).find(({ title }) => title === panel)!.targets!;
    const found = await ask(lab!.prometheus.url, target!.expr, 'instant', { ...asked, instance: STUB });
    expect(values(found)).toEqual([count]);
  });

  /** What a panel has of the made-up server, by the place of its query. */
  async function ofStub(uid: string, panel: string, index = 0): Promise<readonly number[]> {
    const { targets } = panelsOf(dashboards.find((each) => each.uid === uid)!).find(
      ({ title }) => title === panel,
    )!;
    const { expr, instant } = targets![index]!;
    const kind = instant === true ? 'instant' : 'range';
    return values(await ask(lab!.prometheus.url, expr, kind, { ...asked, instance: STUB }));
  }

  test('a server of which nothing comes any more is down', async () => {
    expect(await ofStub('rras-overview', 'Servers down')).toEqual([1]);
    expect(await ofStub('rras-overview', 'Servers')).toEqual([0]);
    expect(await ofStub('rras-server', 'Data')).toEqual([0]);
  });

  test('a link of a server whose service is stopped has no state, and is in the table all the same', async () => {
    expect(await ofStub('rras-site-links', 'Links', 0)).toEqual([1]);
    expect(await ofStub('rras-site-links', 'Links', 1)).toEqual([]);
    expect(await ofStub('rras-site-links', 'State')).toEqual([]);
  });

  test('the filter of users takes a part of a name as it is, whatever its letters mean elsewhere', async () => {
    const { expr } = tableOfConnections.targets![0]!;
    const all = await ask(lab!.prometheus.url, expr, 'instant', asked);
    const names = new Set(all.map(({ labels }) => labels['user'] ?? ''));
    const name = [...names].find((each) => /^\w+\\\w/.test(each))!;
    const found = await ask(lab!.prometheus.url, expr, 'instant', { ...asked, user: name.toLowerCase() });
    expect([...new Set(found.map(({ labels }) => labels['user']))]).toEqual([name]);
  });

  test.each(Object.keys(TROUBLE))('%s is shown where there is any', async (metric) => {
    const panels = dashboards
      .flatMap(panelsOf)
      .filter(({ targets = [] }) => targets.some(({ expr }) => expr.includes(metric)));
    expect(panels.length).toBeGreaterThan(0);
    for (const { targets = [] } of panels) {
      for (const { expr, instant } of targets) {
        const kind = instant === true ? 'instant' : 'range';
        const found = await ask(lab!.prometheus.url, expr, kind, { ...asked, instance: STUB });
        expect(Math.max(...values(found))).toBeGreaterThan(0);
      }
    }
  });
});
