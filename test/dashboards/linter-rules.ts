/**
 * The rules of Grafana's dashboard-linter, by its names, for a dashboard of one Prometheus data source; where they are
 * stricter than the linter's, that holds for all kinds of panels, and for all series of histograms.
 */
import type { Dashboard, Panel, Target } from '../../tools/dashboard-model.ts';
import { labelValues, panelsOf } from '../../tools/dashboard-model.ts';
import { DURATIONS, parseExpression } from './promql.ts';

export interface Rule {
  readonly name: string;
  /** What is wrong. */
  readonly check: (dashboard: Dashboard) => string[];
  /** Copies that break the rule, made by changing this one. */
  readonly breaks: readonly ((dashboard: Dashboard) => void)[];
}

/** Some of the linter's list, which is that of Grafana: those that are used, and those like them. */
const UNITS = new Set(
  'none string short percent percentunit bytes decbytes bits pps binBps Bps binbps bps dateTimeAsIso dateTimeAsLocal dateTimeFromNow hertz ns µs ms s m h d dtdurationms dtdurations cps ops reqps rps cpm opm rpm bool bool_yes_no bool_on_off'.split(
    ' ',
  ),
);
const TEMPLATED = new Set(['$datasource', '${datasource}']);

const variable = ({ templating }: Dashboard, name: string) =>
  templating.list.find((each) => each.name === name);
const firstPanel = (dashboard: Dashboard): Panel => panelsOf(dashboard)[0]!;
const firstTarget = (dashboard: Dashboard): Target => firstPanel(dashboard).targets![0]!;
const setExpr =
  (expr: string) =>
  (dashboard: Dashboard): void => {
    firstTarget(dashboard).expr = expr;
  };
const CHOSEN = 'job=~"$job", instance=~"$instance"';

const ofPanels =
  (check: (panel: Panel) => string | undefined) =>
  (dashboard: Dashboard): string[] =>
    panelsOf(dashboard).flatMap((panel) => {
      const complaint = check(panel);
      return complaint === undefined ? [] : [`${dashboard.title}, ${panel.title ?? panel.id}: ${complaint}`];
    });

const ofTargets = (check: (target: Target) => string | undefined) => (dashboard: Dashboard) =>
  panelsOf(dashboard).flatMap(({ title = '', targets = [] }) =>
    targets.flatMap((target) => {
      const complaint = check(target);
      return complaint === undefined ? [] : [`${dashboard.title}, ${title} ${target.refId}: ${complaint}`];
    }),
  );

const templateRule = (name: string, label: string): Rule => ({
  name: `template-${name}-rule`,
  check: (dashboard) => {
    const found = variable(dashboard, name);
    if (!found) return [`no variable ${name}`];
    const wrong: string[] = [];
    if (!TEMPLATED.has(found.datasource?.uid ?? '')) wrong.push('another data source');
    if (found.type !== 'query') wrong.push('no query');
    if (found.label !== label) wrong.push('another label');
    if (found.multi !== true || found.includeAll !== true) wrong.push('not several, or not all');
    if (found.allValue !== '.+') wrong.push('all is not .+');
    return wrong.map((each) => `${dashboard.title}, ${name}: ${each}`);
  },
  breaks: [
    ({ templating }) => (templating.list = templating.list.filter((each) => each.name !== name)),
    (dashboard) => (variable(dashboard, name)!.datasource = { uid: 'prometheus' }),
    (dashboard) => (variable(dashboard, name)!.type = 'custom'),
    (dashboard) => (variable(dashboard, name)!.label = 'Others'),
    (dashboard) => (variable(dashboard, name)!.multi = false),
    (dashboard) => (variable(dashboard, name)!.allValue = '.*'),
  ],
});

const matcherRule = (name: string): Rule => ({
  name: `target-${name}-rule`,
  check: ofTargets(({ expr }) =>
    parseExpression(expr).selectors.every(({ matchers }) =>
      matchers.some(
        ({ label, operator, value }) => label === name && operator === '=~' && value === `$${name}`,
      ),
    )
      ? undefined
      : `a selector without ${name}=~"$${name}"`,
  ),
  breaks: [
    setExpr('rras_up'),
    setExpr(`rras_up{${CHOSEN}} + rras_users`),
    setExpr(`rras_up{${CHOSEN.replace(`${name}=~`, `${name}=`)}}`),
  ],
});

export const RULES: readonly Rule[] = [
  {
    name: 'template-datasource-rule',
    check: (dashboard) => {
      const [found, ...others] = dashboard.templating.list.filter(({ type }) => type === 'datasource');
      const isGood =
        others.length === 0 &&
        found?.query === 'prometheus' &&
        ((found.name === 'datasource' && found.label === 'Data source') ||
          (found.name === 'prometheus_datasource' && found.label === 'Prometheus data source'));
      return isGood ? [] : [`${dashboard.title}: no variable datasource as it should be`];
    },
    breaks: [
      ({ templating }) => templating.list.shift(),
      (dashboard) => (variable(dashboard, 'datasource')!.label = 'datasource'),
      (dashboard) => (variable(dashboard, 'datasource')!.query = 'loki'),
    ],
  },
  templateRule('job', 'Job'),
  templateRule('instance', 'Instance'),
  {
    name: 'template-label-promql-rule',
    check: ({ title, templating }) =>
      templating.list
        .filter(({ type }) => type === 'query')
        .filter(({ query }) => {
          const found = labelValues(query);
          return !found || parseExpression(found.selector).errors.length > 0;
        })
        .map(({ name }) => `${title}, ${name}: its query is not label_values(selector, label)`),
    breaks: [
      (dashboard) => (variable(dashboard, 'job')!.query = 'rras_up'),
      (dashboard) => (variable(dashboard, 'job')!.query = 'label_values(rras_up{, job)'),
      (dashboard) => (variable(dashboard, 'job')!.query = 'values(rras_up, job)'),
    ],
  },
  {
    name: 'template-on-time-change-reload-rule',
    check: ({ title, templating }) =>
      templating.list
        .filter(({ type, refresh }) => type === 'query' && refresh !== 2)
        .map(({ name }) => `${title}, ${name}: is not asked again when the time changes`),
    breaks: [(dashboard) => (variable(dashboard, 'instance')!.refresh = 1)],
  },
  {
    name: 'panel-datasource-rule',
    check: ofPanels(({ datasource, targets = [] }) =>
      [datasource, ...targets.map((target) => target.datasource)].every((each) =>
        TEMPLATED.has(each?.uid ?? ''),
      )
        ? undefined
        : 'another data source than ${datasource}',
    ),
    breaks: [
      (dashboard) => (firstPanel(dashboard).datasource = { type: 'prometheus', uid: 'abc' }),
      (dashboard) => delete firstPanel(dashboard).datasource,
    ],
  },
  {
    name: 'panel-title-description-rule',
    check: ofPanels(({ title = '', description = '' }) =>
      title === '' || description === '' ? 'without title or description' : undefined,
    ),
    breaks: [
      (dashboard) => (firstPanel(dashboard).title = ''),
      (dashboard) => delete firstPanel(dashboard).description,
    ],
  },
  {
    name: 'panel-units-rule',
    check: ofPanels(({ fieldConfig }) => {
      const units = [
        fieldConfig?.defaults.unit,
        ...(fieldConfig?.overrides ?? [])
          .flatMap(({ properties }) => properties)
          .filter(({ id }) => id === 'unit')
          .map(({ value }) => value),
      ];
      return units.every((unit) => typeof unit === 'string' && UNITS.has(unit))
        ? undefined
        : 'no unit, or none of Grafana';
    }),
    breaks: [
      (dashboard) => delete firstPanel(dashboard).fieldConfig!.defaults.unit,
      (dashboard) => (firstPanel(dashboard).fieldConfig!.defaults.unit = 'furlongs'),
      (dashboard) =>
        firstPanel(dashboard).fieldConfig!.overrides.push({
          matcher: { id: 'byName', options: 'x' },
          properties: [{ id: 'unit', value: 'furlongs' }],
        }),
    ],
  },
  {
    name: 'panel-no-targets-rule',
    check: ofPanels(({ targets = [] }) => (targets.length === 0 ? 'without a query' : undefined)),
    breaks: [
      (dashboard) => (firstPanel(dashboard).targets = []),
      (dashboard) => delete firstPanel(dashboard).targets,
    ],
  },
  {
    // target-logql-rule and target-logql-auto-rule are about Loki: there must be none.
    name: 'target-logql-rule',
    check: ofTargets(({ datasource }) =>
      datasource?.type === 'prometheus' ? undefined : 'no query for Prometheus',
    ),
    breaks: [
      (dashboard) => {
        const [panel] = panelsOf(dashboard);
        panel!.targets = [{ ...panel!.targets![0]!, datasource: { type: 'loki', uid: '${datasource}' } }];
      },
    ],
  },
  {
    name: 'target-promql-rule',
    check: ofTargets(({ expr }) =>
      parseExpression(expr).errors.length > 0 ? `no PromQL: ${expr}` : undefined,
    ),
    breaks: ['', 'sum(', `rate(rras_up{${CHOSEN}}[$nothing])`, `rras_up{${CHOSEN}} by (job)`].map(setExpr),
  },
  {
    name: 'target-rate-interval-rule',
    check: ofTargets(({ expr }) =>
      parseExpression(expr).selectors.every(
        ({ call, range }) => (call !== 'rate' && call !== 'irate') || range === DURATIONS.$__rate_interval,
      )
        ? undefined
        : 'a rate over another interval than $__rate_interval',
    ),
    breaks: ['5m', '$__interval', '$__range'].map((range) =>
      setExpr(`rate(rras_received_bytes_total{${CHOSEN}}[${range}])`),
    ),
  },
  matcherRule('job'),
  matcherRule('instance'),
  {
    name: 'target-counter-agg-rule',
    check: ofTargets(({ expr }) => {
      const bare = parseExpression(expr).selectors.filter(
        ({ metric, call = '' }) =>
          /_(?:total|bucket|count|sum)$/.test(metric) && !['rate', 'irate', 'increase'].includes(call),
      );
      return bare.length === 0
        ? undefined
        : `a counter as it is: ${bare.map(({ metric }) => metric).join(', ')}`;
    }),
    breaks: [
      setExpr(`sum(rras_received_bytes_total{${CHOSEN}})`),
      setExpr(`max_over_time(rras_received_bytes_total{${CHOSEN}}[1h])`),
      setExpr(`histogram_quantile(0.5, rras_session_duration_seconds_bucket{${CHOSEN}})`),
    ],
  },
  {
    name: 'uneditable-dashboard-rule',
    check: ({ title, editable }) => (editable ? [`${title}: may be edited`] : []),
    breaks: [(dashboard) => (dashboard.editable = true)],
  },
];
