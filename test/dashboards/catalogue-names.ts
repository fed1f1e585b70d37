/** Metrics and labels that the exporter has, and what of a dashboard is none of them. */
import { CATALOGUE } from '../../src/metrics/catalogue.ts';
import { SelfMetrics } from '../../src/metrics/self.ts';
import type { Dashboard } from '../../tools/dashboard-model.ts';
import { labelValues, panelsOf, queriesOf } from '../../tools/dashboard-model.ts';
import { parseExpression } from './promql.ts';

/** Labels by the names of series. */
export type Names = ReadonlyMap<string, ReadonlySet<string>>;

/** Prometheus gives them. */
const GIVEN = ['job', 'instance'] as const;

export async function catalogueNames(): Promise<Names> {
  const self = new SelfMetrics({ version: '', simulated: false, startedAtSeconds: 0, process: true });
  self.admin({ paused: () => false, breakers: () => [] });
  self.otlp(['metrics']);
  const families: { name: string; type: string; labels: readonly string[] }[] = [...(await self.describe())];
  for (const family of CATALOGUE) {
    const labels =
      family.kind === 'connections'
        ? ['connection', ...(family.label === undefined ? [] : [family.label])]
        : family.kind === 'identity'
          ? ['connection', ...family.labels]
          : family.labels;
    families.push({ name: family.name, type: family.type, labels });
  }
  return new Map(
    families.flatMap(({ name, type, labels }): [string, Set<string>][] => {
      const all = [...labels, ...GIVEN];
      if (type !== 'histogram') return [[name, new Set(all)]];
      return ['bucket', 'sum', 'count'].map((part) => [
        `${name}_${part}`,
        new Set(part === 'bucket' ? [...all, 'le'] : all),
      ]);
    }),
  );
}

/** What of an expression the exporter does not have; `used` are labels that its result is asked for. */
export function unknownNames(expr: string, names: Names, used: readonly string[] = []): string[] {
  const { selectors, grouping } = parseExpression(expr);
  const unknown: string[] = [];
  const labels = new Set<string>();
  for (const { metric, matchers } of selectors) {
    const known = names.get(metric);
    if (!known) unknown.push(metric);
    for (const label of known ?? []) labels.add(label);
    for (const { label } of matchers) if (known?.has(label) === false) unknown.push(`${metric}{${label}}`);
  }
  return [...unknown, ...[...grouping, ...used].filter((label) => !labels.has(label))];
}

/** The same of all that a dashboard asks and shows. */
export function unknownNamesOf(dashboard: Dashboard, names: Names): string[] {
  const { title, templating, annotations } = dashboard;
  const inBraces = (text: string): string[] =>
    [...text.matchAll(/\{\{(\w+)\}\}/g)].map(([, label]) => label!);
  return [
    ...queriesOf(dashboard).flatMap(({ place, expr }) =>
      unknownNames(expr, names).map((name) => `${place}: ${name}`),
    ),
    ...panelsOf(dashboard).flatMap(({ title: panel = '', targets = [] }) =>
      targets.flatMap(({ expr, legendFormat }) =>
        unknownNames(expr, names, inBraces(legendFormat)).map(
          (name) => `${title}, legend of ${panel}: ${name}`,
        ),
      ),
    ),
    ...annotations.list.flatMap((annotation) => {
      const { expr, titleFormat = '' } = annotation as typeof annotation & { titleFormat?: string };
      return unknownNames(expr, names, inBraces(titleFormat)).map(
        (name) => `${title}, ${annotation.name}: ${name}`,
      );
    }),
    ...templating.list.flatMap(({ name, query }) => {
      const found = labelValues(query);
      return found
        ? unknownNames(found.selector, names, [found.label]).map((each) => `${title}, $${name}: ${each}`)
        : [];
    }),
  ];
}
