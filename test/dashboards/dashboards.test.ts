/** The committed dashboards: made by their source, without a fault for dashboard-linter, and of metrics that there are. */
import { existsSync, readFileSync, statSync } from 'node:fs';
import { beforeAll, describe, expect, test } from 'vitest';
import { panelsOf, readDashboards } from '../../tools/dashboard-model.ts';
import { drawDashboard, KNOWN_TYPES, WIDTH } from '../../tools/dashboard-svg.ts';
import { KNOWN_UNITS } from '../../tools/dashboard-units.ts';
import { staleFiles } from '../../tools/dashboards.ts';
import type { Names } from './catalogue-names.ts';
import { catalogueNames, unknownNames, unknownNamesOf } from './catalogue-names.ts';
import { RULES } from './linter-rules.ts';

const dashboards = readDashboards();
const UIDS = [
  'rras-connections',
  'rras-exporter-health',
  'rras-overview',
  'rras-remediation',
  'rras-server',
  'rras-site-links',
];

test('are those of the source (node tools/dashboards.ts writes them)', async () => {
  expect(await staleFiles()).toEqual([]);
});

test('would be found if they were not', async () => {
  expect(await staleFiles(() => '{}')).toEqual(expect.arrayContaining(UIDS.map((uid) => `${uid}.json`)));
});

test('are six, by names that stay', () => {
  expect(dashboards.map(({ uid }) => uid)).toEqual(UIDS);
  expect(new Set(dashboards.map(({ title }) => title)).size).toBe(UIDS.length);
});

describe.each(dashboards.map((dashboard) => [dashboard.title, dashboard] as const))('%s', (_, dashboard) => {
  test('shows its time as the browser does, is asked again each minute, shares the crosshair', () => {
    // One row a connection is dear.
    const refresh = dashboard.uid === 'rras-connections' ? '5m' : '1m';
    expect(dashboard).toMatchObject({ tags: ['rras'], timezone: 'browser', refresh, graphTooltip: 1 });
    expect(dashboard.schemaVersion).toBeGreaterThanOrEqual(36);
    expect(dashboard.annotations.list.map(({ name }) => name)).toContain('Actions');
  });

  test('links to the others, whatever tags they are given, and passes on what is chosen where it is the same there', () => {
    const found = dashboard.links.map(({ type, url, tags, keepTime, includeVars }) => {
      const [, uid, rest] = /^\/d\/([\w-]+)(.*)$/.exec(url)!;
      return { type, uid, rest, tags, keepTime, includeVars };
    });
    const expected = UIDS.filter((uid) => uid !== dashboard.uid).map((uid) => {
      // The exporter of a server may be another target than the server.
      const isSame = ![uid, dashboard.uid].includes('rras-exporter-health');
      const rest = isSame ? '' : '?${datasource:queryparam}';
      return { type: 'link', uid, rest, tags: [], keepTime: true, includeVars: isSame };
    });
    const byUid = (a: { uid?: string | undefined }, b: { uid?: string | undefined }): number =>
      a.uid!.localeCompare(b.uid!);
    expect(found.toSorted(byUid)).toEqual(expected.toSorted(byUid));
  });

  test('has stats of now: the last value of a graph may be old', () => {
    for (const { type, title, targets = [] } of panelsOf(dashboard)) {
      if (type !== 'stat') continue;
      for (const { instant, range } of targets)
        expect({ title, instant, range }).toMatchObject({ instant: true, range: false });
    }
  });

  test('has panels of kinds that are not deprecated, with an id each', () => {
    const panels = panelsOf(dashboard);
    for (const { type } of panels) expect([...KNOWN_TYPES]).toContain(type);
    const ids = dashboard.panels.map(({ id }) => id);
    expect(new Set(ids).size).toBe(ids.length);
    const titles = panels.map(({ title }) => title);
    expect(new Set(titles).size, String(titles)).toBe(titles.length);
  });

  test('fills its grid: no panel covers another, and no line has a hole', () => {
    const cells = new Map<string, string>();
    for (const { gridPos, title = '' } of dashboard.panels) {
      expect(gridPos.x + gridPos.w, title).toBeLessThanOrEqual(24);
      for (let x = gridPos.x; x < gridPos.x + gridPos.w; x += 1) {
        for (let y = gridPos.y; y < gridPos.y + gridPos.h; y += 1) {
          expect(cells.get(`${x} ${y}`), `${title} covers`).toBeUndefined();
          cells.set(`${x} ${y}`, title);
        }
      }
    }
    const height = Math.max(...dashboard.panels.map(({ gridPos }) => gridPos.y + gridPos.h));
    expect(cells.size).toBe(24 * height);
  });

  test('names every series: legends tell apart what a query returns', () => {
    for (const { title, targets = [] } of panelsOf(dashboard)) {
      for (const { legendFormat } of targets) expect(legendFormat, title).not.toBe('');
      const legends = targets.map(({ legendFormat }) => legendFormat);
      expect(new Set(legends).size, title).toBe(legends.length);
    }
  });

  test('has a picture, as wide as a page and small enough for a repository', () => {
    const file = new URL(
      `../../docs/pictures/${dashboard.uid.replace('rras-', 'dashboard-')}.png`,
      import.meta.url,
    );
    expect(existsSync(file)).toBe(true);
    expect(statSync(file).size).toBeLessThanOrEqual(200 * 1024);
    expect(readFileSync(file).readUInt32BE(16)).toBe(WIDTH);
  });

  test('shows numbers in units that the pictures know', () => {
    for (const { fieldConfig } of panelsOf(dashboard)) {
      const overrides = (fieldConfig?.overrides ?? []).flatMap(({ properties }) => properties);
      const units = [
        fieldConfig?.defaults.unit,
        ...overrides.filter(({ id }) => id === 'unit').map(({ value }) => value),
      ];
      for (const unit of units) expect([...KNOWN_UNITS]).toContain(unit);
    }
  });
});

test('a picture says of each panel that there is no data, if there is none', () => {
  for (const dashboard of dashboards) {
    const svg = drawDashboard({ dashboard, from: 0, to: 3600, answer: () => [], marks: [] });
    const empty = [...svg.matchAll(/No data: ([^<]*)</g)].map(([, title]) => title);
    expect(empty).toEqual(panelsOf(dashboard).map(({ title }) => title));
  }
});

test('links of values lead to dashboards that there are', () => {
  const text = JSON.stringify(dashboards);
  const targets = new Set([...text.matchAll(/"\/d\/([\w-]+)/g)].map(([, uid]) => uid));
  expect(targets.size).toBeGreaterThan(2);
  for (const uid of targets) expect(UIDS).toContain(uid);
});

test('links of values encode what they pass on: a name may have what means something else in a URL', () => {
  const urls = [...JSON.stringify(dashboards).matchAll(/"url":"(\/d\/[^"]*)"/g)].map(([, url]) => url!);
  const values = urls.flatMap((url) =>
    [...url.matchAll(/\$\{__(?:value|data)\.[^}]*\}/g)].map(([text]) => text),
  );
  expect(values.length).toBeGreaterThan(5);
  expect(values.filter((value) => !value.endsWith(':percentencode}'))).toEqual([]);
});

describe.each(RULES.map((rule) => [rule.name, rule] as const))('dashboard-linter: %s', (_, rule) => {
  test('finds no fault', () => {
    expect(dashboards.flatMap(rule.check)).toEqual([]);
  });

  test.each(rule.breaks.map((change, index) => [index + 1, change] as const))(
    'finds fault %i',
    (__, change) => {
      const broken = structuredClone(dashboards.find(({ uid }) => uid === 'rras-overview'))!;
      change(broken);
      expect(rule.check(broken)).not.toEqual([]);
    },
  );
});

describe('metrics and labels', () => {
  let names: Names;
  beforeAll(async () => {
    names = await catalogueNames();
  });

  test('are those of the exporter', () => {
    expect(dashboards.flatMap((dashboard) => unknownNamesOf(dashboard, names))).toEqual([]);
  });

  test.each([
    ['rras_connection', 'rras_connection{job=~"$job"}'],
    ['rras_up{interface}', 'rras_up{interface="x"}'],
    ['reason', 'sum by (reason) (rras_interface_state{job=~"$job"})'],
    ['user', 'rras_interface_up * on (job, interface) group_left (user) rras_interface_info'],
    ['rras_session_duration_seconds', 'rate(rras_session_duration_seconds[5m])'],
  ])('of another name are caught: %s', (name, expr) => {
    expect(unknownNames(expr, names)).toContain(name);
  });

  test('of another name are caught in legends and variables', () => {
    const broken = structuredClone(dashboards[0]!);
    const [target] = panelsOf(broken)[0]!.targets!;
    (target as { legendFormat: string }).legendFormat = '{{colour}}';
    broken.templating.list.find(({ name }) => name === 'job')!.query = 'label_values(rras_up, colour)';
    expect(unknownNamesOf(broken, names)).toEqual([
      expect.stringContaining('colour'),
      expect.stringContaining('colour'),
    ]);
  });

  test('include all that the exporter has', () => {
    const used = JSON.stringify(dashboards);
    const unused = [...names.keys()].filter((name) => name.startsWith('rras_') && !used.includes(`${name}{`));
    // But for sums and counts of histograms.
    expect(unused.filter((name) => !/_(?:sum|count)$/.test(name))).toEqual([]);
  });
});
