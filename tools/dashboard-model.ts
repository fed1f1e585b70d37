/** The dashboards as their JSON has them, and their queries as Grafana asks them. For the pictures and the tests. */
import { readdirSync, readFileSync } from 'node:fs';
import { FOLDER } from './dashboards.ts';

export interface Reference {
  readonly type?: string;
  readonly uid?: string;
}

export interface Mapping {
  readonly type: string;
  readonly options: Readonly<Record<string, { readonly text?: string; readonly color?: string }>>;
}

export interface Thresholds {
  readonly steps: readonly { readonly value: number | null; readonly color: string }[];
}

export interface FieldSettings {
  unit?: string;
  decimals?: number;
  min?: number;
  max?: number;
  mappings?: readonly Mapping[];
  thresholds?: Thresholds;
}

export interface Override {
  readonly matcher: { readonly id: string; readonly options?: unknown };
  readonly properties: { readonly id: string; value?: unknown }[];
}

export interface Target {
  expr: string;
  readonly refId: string;
  readonly legendFormat: string;
  readonly instant?: boolean;
  readonly range?: boolean;
  readonly format?: string;
  readonly datasource?: Reference;
}

export interface Panel {
  readonly id: number;
  type: string;
  title?: string;
  description?: string;
  datasource?: Reference;
  readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number };
  targets?: Target[];
  /** The least step of its queries. */
  readonly interval?: string;
  readonly transformations?: readonly { readonly id: string; readonly options: unknown }[];
  readonly options?: Readonly<Record<string, unknown>>;
  readonly fieldConfig?: {
    readonly defaults: FieldSettings & { readonly custom?: Readonly<Record<string, unknown>> };
    overrides: Override[];
  };
  readonly panels?: readonly Panel[];
}

export interface Variable {
  readonly name: string;
  type: string;
  label?: string;
  query?: unknown;
  datasource?: Reference;
  multi?: boolean;
  includeAll?: boolean;
  allValue?: string;
  refresh?: number;
}

export interface Annotation {
  readonly name: string;
  readonly datasource?: Reference;
  expr: string;
  readonly iconColor: string;
  readonly useValueForTime?: boolean;
}

export interface Dashboard {
  readonly uid: string;
  readonly title: string;
  readonly tags: readonly string[];
  readonly refresh: string;
  readonly timezone: string;
  readonly schemaVersion: number;
  readonly graphTooltip: number;
  editable: boolean;
  readonly links: readonly {
    readonly type: string;
    readonly url: string;
    readonly tags: readonly string[];
    readonly keepTime: boolean;
    readonly includeVars: boolean;
  }[];
  readonly templating: { list: Variable[] };
  readonly annotations: { readonly list: readonly Annotation[] };
  readonly panels: Panel[];
}

/** The committed files. */
export const readDashboards = (): Dashboard[] =>
  readdirSync(FOLDER)
    .filter((name) => name.endsWith('.json'))
    .sort()
    .map((name) => JSON.parse(readFileSync(new URL(name, FOLDER), 'utf8')) as Dashboard);

/** Without the rows between them. */
export const panelsOf = ({ panels }: Dashboard): Panel[] => panels.filter(({ type }) => type !== 'row');

export interface Found {
  /** Where it stands. */
  readonly place: string;
  readonly expr: string;
  readonly kind: 'instant' | 'range';
}

/** `label_values(selector, label)` of a variable. */
export function labelValues(
  query: unknown,
): { readonly selector: string; readonly label: string } | undefined {
  const match = /^label_values\((.+),\s*(\w+)\)$/.exec(typeof query === 'string' ? query : '');
  return match ? { selector: match[1]!, label: match[2]! } : undefined;
}

/** Every query of the panels, the annotations and the variables. */
export function queriesOf(dashboard: Dashboard): Found[] {
  const { title, annotations, templating } = dashboard;
  return [
    ...panelsOf(dashboard).flatMap(({ title: panel = '', targets = [] }) =>
      targets.map(({ expr, refId, instant }): Found => ({
        place: `${title}, ${panel} ${refId}`,
        expr,
        kind: instant === true ? 'instant' : 'range',
      })),
    ),
    ...annotations.list.map(({ name, expr }): Found => ({
      place: `${title}, annotation ${name}`,
      expr,
      kind: 'range',
    })),
    ...templating.list.flatMap(({ name, type, query }): Found[] =>
      type === 'query'
        ? [{ place: `${title}, variable ${name}`, expr: labelValues(query)?.selector ?? '', kind: 'instant' }]
        : [],
    ),
  ];
}

export interface Substitutes {
  readonly instance: string;
  readonly rangeSeconds: number;
  readonly rateIntervalSeconds: number;
  readonly intervalSeconds: number;
  /** A part of user names; '' if it is left out. */
  readonly user?: string;
}

/** What Grafana puts in the place of the variables, everything being chosen. */
export function substitute(expr: string, values: Substitutes): string {
  const texts: Readonly<Record<string, string>> = {
    __rate_interval: `${values.rateIntervalSeconds}s`,
    __interval: `${values.intervalSeconds}s`,
    __range: `${values.rangeSeconds}s`,
    job: '.+',
    instance: values.instance,
    interface: '.+',
    tunnel: '.+',
    role: '.+',
    'user:regex': (values.user ?? '').replaceAll(/[\\^$*+?.()|[\]{}/]/g, '\\$&'),
  };
  return expr.replaceAll(
    /\$(\w+)|\$\{([\w:]+)\}/g,
    (all, plain?: string, braced?: string) => texts[plain ?? braced!] ?? all,
  );
}
