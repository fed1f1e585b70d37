/** What the dashboards are made of: queries, variables, links, annotations and panels of one look. */
import type { Builder, Dataquery } from '@grafana/grafana-foundation-sdk/cog';
import { PanelBuilder as BarGaugePanel } from '@grafana/grafana-foundation-sdk/bargauge';
import {
  AxisPlacement,
  BarGaugeDisplayMode,
  BigValueColorMode,
  BigValueGraphMode,
  BigValueTextMode,
  GraphDrawStyle,
  LegendDisplayMode,
  LegendPlacement,
  ReduceDataOptionsBuilder,
  SortOrder,
  StackingConfigBuilder,
  StackingMode,
  TableFooterOptionsBuilder,
  TableSortByFieldStateBuilder,
  TooltipDisplayMode,
  VisibilityMode,
  VizLegendOptionsBuilder,
  VizOrientation,
  VizTooltipOptionsBuilder,
} from '@grafana/grafana-foundation-sdk/common';
import type {
  AnnotationQuery,
  Dashboard,
  DashboardLink,
  DynamicConfigValue,
  Panel,
  ValueMapping,
  VariableModel,
} from '@grafana/grafana-foundation-sdk/dashboard';
import {
  AnnotationQueryBuilder,
  DashboardBuilder,
  DashboardCursorSync,
  DashboardLinkBuilder,
  DashboardLinkType,
  DatasourceVariableBuilder,
  FieldColorBuilder,
  FieldColorModeId,
  MappingType,
  QueryVariableBuilder,
  RowBuilder,
  TextBoxVariableBuilder,
  ThresholdsConfigBuilder,
  ThresholdsMode,
  VariableRefresh,
  VariableSort,
} from '@grafana/grafana-foundation-sdk/dashboard';
import {
  HeatmapColorMode,
  HeatmapColorOptionsBuilder,
  PanelBuilder as HeatmapPanel,
  YAxisConfigBuilder,
} from '@grafana/grafana-foundation-sdk/heatmap';
import { DataqueryBuilder, PromQueryFormat } from '@grafana/grafana-foundation-sdk/prometheus';
import { PanelBuilder as StatPanel } from '@grafana/grafana-foundation-sdk/stat';
import { PanelBuilder as StateTimelinePanel } from '@grafana/grafana-foundation-sdk/statetimeline';
import { PanelBuilder as TablePanel } from '@grafana/grafana-foundation-sdk/table';
import { PanelBuilder as TimeseriesPanel } from '@grafana/grafana-foundation-sdk/timeseries';
import { describeCode } from '../../src/native/codes.ts';

const DATASOURCE = { type: 'prometheus', uid: '${datasource}' };

/** A selector of the servers that are chosen. */
export const of = (metric: string, ...matchers: readonly string[]): string =>
  `${metric}{${['job=~"$job"', 'instance=~"$instance"', ...matchers].join(', ')}}`;

export const rate = (metric: string, ...matchers: readonly string[]): string =>
  `rate(${of(metric, ...matchers)}[$__rate_interval])`;

/** What was added within the time that the dashboard shows, or within another. */
export const increase = (metric: string, range = '$__range', ...matchers: readonly string[]): string =>
  `increase(${of(metric, ...matchers)}[${range}])`;

export const sumBy = (labels: string, expression: string): string => `sum by (${labels}) (${expression})`;
export const maxBy = (labels: string, expression: string): string => `max by (${labels}) (${expression})`;

/** Labels of a server. */
export const SERVER = 'job, instance';
export const LINK = `${SERVER}, interface`;

export const quantile = (q: number, histogram: string, by = '', range = '1h'): string =>
  `histogram_quantile(${q}, ${sumBy(by === '' ? 'le' : `le, ${by}`, increase(`${histogram}_bucket`, range))})`;

/** 0 where there was an exporter in the time that is shown, and nothing comes from it any more. */
export const UP = `max by (${SERVER}) (${of('rras_up')} or on (${SERVER}) 0 * last_over_time(${of('rras_up')}[$__range]))`;

/**
 * Enabled demand-dial links that should be up and are not: unreachable, or persistent and not connected. Outside its
 * dial-out hours a link is meant to be down.
 */
export const DOWN_LINKS =
  `((${of('rras_interface_state', 'state="unreachable"')} == 1) or on (${LINK}) ` +
  `((${of('rras_interface_persistent')} == 1) and on (${LINK}) (${of('rras_interface_up')} == 0))) ` +
  `and on (${LINK}) (${of('rras_interface_enabled')} == 1) ` +
  `unless on (${LINK}) ${of('rras_interface_info', 'interface_type="dedicated"')} ` +
  `unless on (${LINK}) (${of('rras_interface_unreachable_reason', 'reason="dialout_hours_restriction"')} == 1)`;

export const PORTS_USED = (by: string): string => {
  const parts = [of('rras_ports_in_use'), of('rras_ports', 'condition!="non_operational"')] as const;
  const [used, all] = parts.map((part) => (by === '' ? `sum(${part})` : sumBy(by, part))) as [string, string];
  // A tunnel without ports has no share.
  return `${used} / (${all} > 0)`;
};

/** Names of what the dashboards are called by, in the order of the links between them. */
export const UIDS = {
  overview: 'rras-overview',
  server: 'rras-server',
  connections: 'rras-connections',
  siteLinks: 'rras-site-links',
  remediation: 'rras-remediation',
  exporterHealth: 'rras-exporter-health',
} as const;

/** Encoded, since names may have what means something else in a URL. */
const VALUE = '${__value.raw:percentencode}';

/** Where a click on a value leads: the same servers and time, with what is given. */
const linkTo = (uid: string, title: string, ...parameters: readonly string[]): object => ({
  title,
  url: `/d/${uid}?${['${datasource:queryparam}', '${job:queryparam}', ...parameters, '${__url_time_range}'].join('&')}`,
  targetBlank: false,
});

export const toServer = linkTo(UIDS.server, 'Server ${__value.text}', `var-instance=${VALUE}`);
/** From another column of its row. */
export const toConnectionsOfServer = linkTo(
  UIDS.connections,
  'Connections of ${__data.fields.Server}',
  'var-instance=${__data.fields.Server:percentencode}',
);
export const toUser = linkTo(
  UIDS.connections,
  'Only users whose name contains ${__value.text}',
  '${instance:queryparam}',
  `var-user=${VALUE}`,
);
export const toLink = linkTo(
  UIDS.siteLinks,
  'Site link ${__value.text}',
  '${instance:queryparam}',
  `var-interface=${VALUE}`,
);

export type Texts = Readonly<Record<string, readonly [text: string, color?: string]>>;

export function mappings(texts: Texts): ValueMapping[] {
  const options = Object.fromEntries(
    Object.entries(texts).map(([value, [text, color]], index) => [
      value,
      { text, index, ...(color !== undefined && { color }) },
    ]),
  );
  return [{ type: MappingType.ValueToText, options }];
}

export const YES_NO: Texts = { 0: ['no', 'red'], 1: ['yes', 'green'] };
export const NO_IS_NORMAL: Texts = { 0: ['no', 'text'], 1: ['yes', 'blue'] };
export const UP_DOWN: Texts = { 0: ['down', 'red'], 1: ['up', 'green'] };
export const LINK_STATES: Texts = {
  0: ['unreachable', 'red'],
  1: ['disconnected', 'blue'],
  2: ['connecting', 'yellow'],
  3: ['connected', 'green'],
};

/** What links fail with; any other is shown as its number. */
const USUAL_CODES = [
  5, 53, 87, 258, 600, 602, 617, 619, 621, 623, 628, 629, 630, 631, 633, 635, 638, 646, 647, 648, 649, 651,
  663, 664, 668, 676, 678, 679, 680, 691, 703, 718, 719, 720, 721, 734, 735, 736, 738, 741, 742, 752, 756,
  764, 766, 768, 769, 778, 781, 784, 786, 787, 788, 789, 790, 791, 792, 793, 798, 800, 801, 806, 807, 808,
  809, 810, 811, 812, 827, 828, 829, 835, 838, 850, 853, 854, 857, 858, 868, 870, 871, 872, 900, 901, 903,
  905, 906, 908, 910, 913, 916, 917, 918, 919, 920, 921, 922, 923, 924, 925, 926, 927, 928, 929, 930, 931,
  932, 937, 938, 940, 942, 944, 1062, 1231, 1232, 1460, 1702, 1722, 1723, 1726, 1753, 1818,
];
export const CODES: Texts = {
  0: ['none', 'green'],
  ...Object.fromEntries(USUAL_CODES.map((code) => [code, [describeCode(code).replace(/^ERROR_/, '')]])),
};

/** Bounds above which a colour holds, from green on. */
export type Bounds = readonly (readonly [from: number, color: string])[];

function thresholds(bounds: Bounds, base = 'green'): ThresholdsConfigBuilder {
  const steps = [{ value: null, color: base }, ...bounds.map(([value, color]) => ({ value, color }))];
  return new ThresholdsConfigBuilder().mode(ThresholdsMode.Absolute).steps(steps);
}

export interface Query {
  readonly expr: string;
  readonly legend: string;
}

interface PanelOptions {
  readonly title: string;
  readonly description: string;
  /** Of 24. */
  readonly width: number;
  readonly unit: string;
  readonly decimals?: number;
}

const refId = (index: number): string => String.fromCharCode('A'.charCodeAt(0) + index);

const targets = (
  queries: readonly Query[],
  adjust: (query: DataqueryBuilder) => void,
): Builder<Dataquery>[] =>
  queries.map(({ expr, legend }, index) => {
    const query = new DataqueryBuilder()
      .datasource(DATASOURCE)
      .expr(expr)
      .legendFormat(legend)
      .refId(refId(index));
    adjust(query);
    return query;
  });

/** What all kinds of panels have. */
interface AnyPanel extends Builder<Panel> {
  title(title: string): this;
  description(description: string): this;
  datasource(datasource: typeof DATASOURCE): this;
  span(width: number): this;
  unit(unit: string): this;
  decimals(decimals: number): this;
  height(height: number): this;
}

function head<T extends AnyPanel>(panel: T, { title, description, width, unit, decimals }: PanelOptions): T {
  panel.title(title).description(description).datasource(DATASOURCE).span(width).unit(unit);
  if (decimals !== undefined) panel.decimals(decimals);
  return panel;
}

export interface StatOptions extends PanelOptions {
  readonly queries: readonly Query[];
  readonly texts?: Texts;
  readonly bounds?: Bounds;
  /** The colour below the first bound. */
  readonly base?: string;
  /** Shows the name instead of the value. */
  readonly asName?: boolean;
}

/** Of now, without how it went behind it: the last value of a graph may be hours old, and looks like one of now. */
export function stat(options: StatOptions): AnyPanel {
  const { queries, texts, bounds = [], base = 'blue', asName = false } = options;
  const panel = head(new StatPanel(), options)
    .targets(targets(queries, (query) => query.instant()))
    .reduceOptions(new ReduceDataOptionsBuilder().calcs(['lastNotNull']).fields('').values(false))
    .colorMode(BigValueColorMode.Value)
    .graphMode(BigValueGraphMode.None)
    .textMode(asName ? BigValueTextMode.Name : BigValueTextMode.Auto)
    .orientation(VizOrientation.Auto)
    .thresholds(thresholds(bounds, base))
    .colorScheme(new FieldColorBuilder().mode(FieldColorModeId.Thresholds));
  if (texts) panel.mappings(mappings(texts));
  return panel;
}

export interface SeriesOptions extends PanelOptions {
  readonly queries: readonly Query[];
  readonly stack?: boolean;
  readonly bars?: boolean;
  /** The reference letters whose series are drawn downwards. */
  readonly downwards?: readonly string[];
  readonly min?: number;
  readonly max?: number;
  readonly bounds?: Bounds;
  /** How many points are asked for at the most, where a query is dear. */
  readonly points?: number;
  /** Legend as a table at the right. */
  readonly legendRight?: boolean;
  /** Fixed colours by the names in the legend. */
  readonly colors?: Readonly<Record<string, string>>;
}

export function timeseries(options: SeriesOptions): AnyPanel {
  const { queries, stack = false, bars = false, downwards = [], legendRight = false, min, max } = options;
  const legend = new VizLegendOptionsBuilder()
    .showLegend(true)
    .displayMode(legendRight ? LegendDisplayMode.Table : LegendDisplayMode.List)
    .placement(legendRight ? LegendPlacement.Right : LegendPlacement.Bottom)
    .calcs(legendRight ? ['lastNotNull', 'max'] : []);
  const panel = head(new TimeseriesPanel(), options)
    .targets(targets(queries, (query) => query.range()))
    .legend(legend)
    .tooltip(new VizTooltipOptionsBuilder().mode(TooltipDisplayMode.Multi).sort(SortOrder.Descending))
    .drawStyle(bars ? GraphDrawStyle.Bars : GraphDrawStyle.Line)
    .fillOpacity(bars ? 60 : stack ? 30 : downwards.length > 0 ? 10 : 0)
    .lineWidth(bars ? 0 : 1)
    .showPoints(VisibilityMode.Never)
    .spanNulls(false)
    .stacking(new StackingConfigBuilder().mode(stack ? StackingMode.Normal : StackingMode.None).group('A'))
    .colorScheme(new FieldColorBuilder().mode(FieldColorModeId.PaletteClassic));
  if (min !== undefined) panel.min(min);
  if (max !== undefined) panel.max(max);
  // Intervals that hardly overlap, so that bars count each event once.
  if (bars) panel.interval('1m');
  if (options.points !== undefined) panel.maxDataPoints(options.points);
  for (const [name, fixedColor] of Object.entries(options.colors ?? {})) {
    panel.overrideByName(name, [{ id: 'color', value: { mode: 'fixed', fixedColor } }]);
  }
  if (downwards.length > 0) panel.axisCenteredZero(true);
  for (const ref of downwards) {
    const properties: DynamicConfigValue[] = [{ id: 'custom.transform', value: 'negative-Y' }];
    // Stacked in a heap of their own.
    if (stack) properties.push({ id: 'custom.stacking', value: { mode: 'normal', group: ref } });
    panel.overrideByQuery(ref, properties);
  }
  return panel;
}

export interface TimelineOptions extends PanelOptions {
  readonly queries: readonly Query[];
  readonly texts: Texts;
  readonly bounds?: Bounds;
  readonly base?: string;
}

export function timeline(options: TimelineOptions): AnyPanel {
  return head(new StateTimelinePanel(), options)
    .targets(targets(options.queries, (query) => query.range()))
    .mappings(mappings(options.texts))
    .thresholds(thresholds(options.bounds ?? [], options.base ?? 'text'))
    .colorScheme(new FieldColorBuilder().mode(FieldColorModeId.Thresholds))
    .legend(
      new VizLegendOptionsBuilder()
        .showLegend(false)
        .displayMode(LegendDisplayMode.List)
        .placement(LegendPlacement.Bottom)
        .calcs([]),
    )
    .mergeValues(true)
    .showValue(VisibilityMode.Auto)
    .rowHeight(0.8)
    .fillOpacity(80)
    .lineWidth(0);
}

export interface BarsOptions extends PanelOptions {
  readonly queries: readonly Query[];
  readonly bounds?: Bounds;
  readonly base?: string;
  readonly min?: number;
  readonly max?: number;
  readonly texts?: Texts;
}

/** One bar a series, of now. */
export function bars(options: BarsOptions): AnyPanel {
  const panel = head(new BarGaugePanel(), options)
    .targets(targets(options.queries, (query) => query.instant()))
    .reduceOptions(new ReduceDataOptionsBuilder().calcs(['lastNotNull']).fields('').values(false))
    .orientation(VizOrientation.Horizontal)
    .displayMode(BarGaugeDisplayMode.Gradient)
    .showUnfilled(true)
    .thresholds(thresholds(options.bounds ?? [], options.base ?? 'blue'))
    .colorScheme(new FieldColorBuilder().mode(FieldColorModeId.Thresholds))
    .min(options.min ?? 0);
  if (options.max !== undefined) panel.max(options.max);
  return panel;
}

/** Counts by the buckets of a histogram, over time. */
export function heatmap(
  options: PanelOptions & { readonly expr: string; readonly axisUnit: string },
): AnyPanel {
  return head(new HeatmapPanel(), options)
    .targets(
      targets([{ expr: options.expr, legend: '{{le}}' }], (query) =>
        query.range().format(PromQueryFormat.Heatmap),
      ),
    )
    .calculate(false)
    .cellGap(1)
    .yAxis(new YAxisConfigBuilder().axisPlacement(AxisPlacement.Left).unit(options.axisUnit))
    .color(new HeatmapColorOptionsBuilder().mode(HeatmapColorMode.Scheme).scheme('Oranges').steps(64));
}

export interface Column {
  /** What stands in its head. */
  readonly title: string;
  readonly unit?: string;
  readonly decimals?: number;
  readonly texts?: Texts;
  readonly bounds?: Bounds;
  readonly link?: object;
  readonly width?: number;
  /** A bar behind the number. */
  readonly gauge?: boolean;
}

export interface LabelColumn extends Column {
  readonly label: string;
}

export interface ValueColumn extends Column {
  readonly expr: string;
  /** The query's value says nothing: it is there for its labels. */
  readonly hidden?: boolean;
}

export interface TableOptions extends PanelOptions {
  readonly labels: readonly LabelColumn[];
  readonly values: readonly ValueColumn[];
  /** Labels that join and are not shown. */
  readonly hiddenLabels?: readonly string[];
  /** Titles of columns, where they do not stand as labels first and values second. */
  readonly order?: readonly string[];
  readonly sortBy: string;
  /** Among rows that are equal in that; descending. */
  readonly thenBy?: string;
  readonly ascending?: boolean;
  readonly filterable?: boolean;
}

function columnProperties({
  unit,
  decimals,
  texts,
  bounds,
  link,
  width,
  gauge,
}: Column): DynamicConfigValue[] {
  const properties: DynamicConfigValue[] = [];
  if (unit !== undefined) properties.push({ id: 'unit', value: unit });
  if (decimals !== undefined) properties.push({ id: 'decimals', value: decimals });
  if (width !== undefined) properties.push({ id: 'custom.width', value: width });
  if (texts) properties.push({ id: 'mappings', value: mappings(texts) });
  if (bounds) properties.push({ id: 'thresholds', value: thresholds(bounds, 'text').build() });
  if (texts || bounds) properties.push({ id: 'custom.cellOptions', value: { type: 'color-text' } });
  if (gauge === true) {
    properties.push({ id: 'custom.cellOptions', value: { type: 'gauge', mode: 'gradient' } });
    properties.push({ id: 'color', value: { mode: 'continuous-BlPu' } });
    properties.push({ id: 'min', value: 0 });
  }
  if (link) properties.push({ id: 'links', value: [link] });
  return properties;
}

/** Instant queries joined by their common labels: each row is a set of labels, each query a column. */
export function table(options: TableOptions): AnyPanel {
  const { labels, values, hiddenLabels = [], ascending = false, filterable = false } = options;
  const sortBy = [{ title: options.sortBy, desc: !ascending }];
  if (options.thenBy !== undefined) sortBy.push({ title: options.thenBy, desc: true });
  // A single query's value is called differently.
  const valueName = (index: number): string => (values.length === 1 ? 'Value' : `Value #${refId(index)}`);
  const columns = [
    ...labels.map((column) => ({ source: column.label, column })),
    ...values.flatMap((column, index) =>
      column.hidden === true ? [] : [{ source: valueName(index), column }],
    ),
  ];
  const order = options.order ?? columns.map(({ column }) => column.title);
  columns.sort((a, b) => order.indexOf(a.column.title) - order.indexOf(b.column.title));
  const hidden = [
    'Time',
    ...hiddenLabels,
    ...values.flatMap(({ hidden: isHidden }, index) => (isHidden === true ? [valueName(index)] : [])),
  ];
  const panel = head(new TablePanel(), options)
    .targets(
      targets(
        values.map(({ expr, title }) => ({ expr, legend: title })),
        (query) => query.instant().format(PromQueryFormat.Table),
      ),
    )
    .withTransformation({ id: 'merge', options: {} })
    .withTransformation({
      id: 'organize',
      options: {
        excludeByName: Object.fromEntries(hidden.map((name) => [name, true])),
        indexByName: Object.fromEntries(columns.map(({ source }, index) => [source, index])),
        renameByName: Object.fromEntries(columns.map(({ source, column }) => [source, column.title])),
      },
    })
    .filterable(filterable)
    .sortBy(sortBy.map(({ title, desc }) => new TableSortByFieldStateBuilder().displayName(title).desc(desc)))
    .footer(new TableFooterOptionsBuilder().show(false).reducer([]).countRows(false).enablePagination(true));
  for (const { column } of columns) {
    const properties = columnProperties(column);
    if (properties.length > 0) panel.overrideByName(column.title, properties);
  }
  return panel;
}

/** Panels side by side; their widths make 24. */
export interface Line {
  readonly height: number;
  readonly panels: readonly AnyPanel[];
}
export const line = (height: number, ...panels: readonly AnyPanel[]): Line => ({ height, panels });

export interface Section {
  readonly title: string;
  readonly lines: readonly Line[];
}
export const section = (title: string, ...lines: readonly Line[]): Section => ({ title, lines });

/** A variable of which several values may be chosen, with what holds for all. */
export function choice(
  name: string,
  label: string,
  query: string,
  description: string,
): Builder<VariableModel> {
  return new QueryVariableBuilder(name)
    .label(label)
    .description(description)
    .datasource(DATASOURCE)
    .query(query)
    .definition(query)
    .refresh(VariableRefresh.OnTimeRangeChanged)
    .sort(VariableSort.AlphabeticalCaseInsensitiveAsc)
    .multi(true)
    .includeAll(true)
    .allValue('.+')
    .current({ selected: true, text: ['All'], value: ['$__all'] });
}

export const textFilter = (name: string, label: string, description: string): Builder<VariableModel> =>
  new TextBoxVariableBuilder(name).label(label).description(description).defaultValue('');

/** Marks where an expression has values. */
export function annotation(
  name: string,
  color: string,
  expr: string,
  title: string,
  more: { readonly atValue?: boolean; readonly tags?: string } = {},
): Builder<AnnotationQuery> {
  const builder = new AnnotationQueryBuilder()
    .name(name)
    .datasource(DATASOURCE)
    .enable(true)
    .iconColor(color)
    .expr(expr)
    .titleFormat(title)
    .textFormat('{{instance}}')
    .tagKeys(more.tags ?? 'instance');
  if (more.atValue === true) builder.useValueForTime(true);
  else builder.step('60s');
  return builder;
}

const ANNOTATIONS = [
  annotation(
    'Actions',
    'purple',
    `${sumBy(`${SERVER}, action`, increase('rras_admin_actions_total', '$__rate_interval'))} > 0`,
    'Action: {{action}}',
    { tags: 'instance,action' },
  ),
  annotation(
    'RRAS started',
    'orange',
    `${maxBy(SERVER, of('rras_server_start_time_seconds'))} * 1000`,
    'The RRAS service started',
    { atValue: true },
  ),
  annotation(
    'Exporter started or reloaded',
    'blue',
    `${maxBy(SERVER, of('rras_exporter_config_last_reload_success_timestamp_seconds'))} * 1000`,
    'The exporter started or loaded its configuration',
    { atValue: true },
  ),
];

export interface DashboardOptions {
  readonly uid: string;
  readonly title: string;
  readonly description: string;
  readonly from?: string;
  readonly refresh?: string;
  /** A metric of each target that the variables offer. */
  readonly targets?: string;
  readonly variables?: readonly Builder<VariableModel>[];
  readonly annotations?: readonly Builder<AnnotationQuery>[];
  readonly sections: readonly Section[];
}

const TITLES: Readonly<Record<string, string>> = {
  [UIDS.overview]: 'Overview',
  [UIDS.server]: 'Server',
  [UIDS.connections]: 'Connections',
  [UIDS.siteLinks]: 'Site links',
  [UIDS.remediation]: 'Remediation',
  [UIDS.exporterHealth]: 'Exporter health',
};

/**
 * To the others, by their uids: tags may be changed. One exporter may read several servers and is another target than any
 * of them, so that the choice of either is not that of the other.
 */
const linksOf = (from: string): Builder<DashboardLink>[] =>
  Object.entries(TITLES)
    .filter(([to]) => to !== from)
    .map(([to, title]) => {
      const sameTargets = from !== UIDS.exporterHealth && to !== UIDS.exporterHealth;
      return new DashboardLinkBuilder(title)
        .type(DashboardLinkType.Link)
        .icon('dashboard')
        .url(`/d/${to}${sameTargets ? '' : '?${datasource:queryparam}'}`)
        .keepTime(true)
        .includeVars(sameTargets)
        .targetBlank(false);
    });

// The SDK would rather have the second schema, which older Grafanas cannot import, and dashboard-linter does not know.
/* eslint-disable @typescript-eslint/no-deprecated */
export function dashboard(options: DashboardOptions): Dashboard {
  const { targets = 'rras_up' } = options;
  const builder = new DashboardBuilder(options.title)
    .uid(options.uid)
    .description(options.description)
    .tags(['rras'])
    .timezone('browser')
    // As dashboard-linter asks for: what is provisioned is changed at its source.
    .readonly()
    .tooltip(DashboardCursorSync.Crosshair)
    .time({ from: options.from ?? 'now-6h', to: 'now' })
    .refresh(options.refresh ?? '1m')
    .variables([
      new DatasourceVariableBuilder('datasource')
        .label('Data source')
        .description('The Prometheus that scrapes the exporters.')
        .type('prometheus')
        .current({ text: 'default', value: 'default' }),
      choice('job', 'Job', `label_values(${targets}, job)`, 'Jobs that scrape rras-exporter.'),
      choice('instance', 'Instance', `label_values(${targets}{job=~"$job"}, instance)`, 'RRAS servers.'),
      ...(options.variables ?? []),
    ])
    .annotations([...ANNOTATIONS, ...(options.annotations ?? [])])
    .links(linksOf(options.uid));
  for (const { title, lines } of options.sections) {
    builder.withRow(new RowBuilder(title));
    for (const { height, panels } of lines)
      for (const panel of panels) builder.withPanel(panel.height(height));
  }
  const built = builder.build();
  for (const [index, panel] of built.panels!.entries()) panel.id = index + 1;
  return built;
}
