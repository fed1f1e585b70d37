/**
 * Makes dashboards/alerts.yml and dashboards/rules.yml out of dashboards/mixin.libsonnet, and the list of dashboards that
 * the mixin has:
 *
 *     node tools/mixin.ts
 *
 * Needs jsonnet (Debian's package of that name).
 */
import { execFileSync } from 'node:child_process';
import { globSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { format, resolveConfig } from 'prettier';
import { Document, isMap, isScalar, isSeq, visit } from 'yaml';

const PROJECT = fileURLToPath(new URL('../', import.meta.url));
export const DASHBOARDS = join(PROJECT, 'dashboards');
export const DASHBOARD_LIST = join(DASHBOARDS, 'mixin/dashboards.libsonnet');

export interface Rule {
  readonly record?: string;
  readonly alert?: string;
  readonly expr: string;
  readonly for?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
}

export interface RuleFile {
  readonly groups: readonly { readonly name: string; readonly rules: readonly Rule[] }[];
}

export interface Mixin {
  readonly prometheusAlerts: RuleFile;
  readonly prometheusRules: RuleFile;
  readonly grafanaDashboards: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
}

/** What the mixin gives; `overrides` is a jsonnet object that takes the place of parts of `_config`. */
export function renderMixin(jsonnet: string, overrides = '{}', parts = RULE_PARTS): Partial<Mixin> {
  const fields = parts.map((part) => `${part}: m.${part}`).join(', ');
  const code = `local m = (import 'mixin.libsonnet') + { _config+:: ${overrides} }; { ${fields} }`;
  const options = { cwd: DASHBOARDS, encoding: 'utf8', maxBuffer: 1 << 28 } as const;
  return JSON.parse(execFileSync(jsonnet, ['--exec', code], options)) as Partial<Mixin>;
}

const RULE_PARTS: readonly (keyof Mixin)[] = ['prometheusAlerts', 'prometheusRules'];

/** A rule file as people read it. */
export async function toYaml(file: RuleFile, head: string): Promise<string> {
  // jsonnet sorts keys by the alphabet.
  const groups = file.groups.map(({ name, rules }) => ({ name, rules: rules.map(inOrder) }));
  const document = new Document({ groups });
  visit(document, {
    Pair: (_, { key, value }) => {
      // Expressions end without a line feed where they have one line.
      if (isScalar<string>(value) && isScalar(key) && key.value === 'expr' && value.value.includes('\n'))
        value.type = 'BLOCK_LITERAL';
      if (isSeq(value) && isScalar(key) && key.value === 'rules')
        value.items.slice(1).forEach((item) => isMap(item) && (item.spaceBefore = true));
    },
  });
  const path = join(DASHBOARDS, 'alerts.yml');
  const options = await resolveConfig(path);
  return format(`${head}\n\n${document.toString({ lineWidth: 0 })}`, { ...options, filepath: path });
}

function inOrder(rule: Rule): Rule {
  const { record, alert, expr, for: hold, labels, annotations } = rule;
  const { summary, description, runbook_url, ...others } = annotations ?? {};
  return {
    ...(record !== undefined && { record }),
    ...(alert !== undefined && { alert }),
    expr,
    ...(hold !== undefined && { for: hold }),
    ...(labels && { labels }),
    ...(annotations && {
      annotations: { summary, description, runbook_url, ...others } as typeof annotations,
    }),
  };
}

const made = (what: string, file: string): string =>
  `# ${what}\n# Made by \`node tools/mixin.ts\` out of mixin.libsonnet: edit that.\n#\n#   promtool check rules ${file}`;

/** The files of a mixin that is rendered with the defaults, by name. */
export async function ruleFiles(jsonnet: string): Promise<ReadonlyMap<string, string>> {
  const { prometheusAlerts, prometheusRules } = renderMixin(jsonnet);
  return new Map([
    [
      'alerts.yml',
      await toYaml(
        prometheusAlerts!,
        made('Alerts of rras-exporter. They need rules.yml, too.', 'alerts.yml'),
      ),
    ],
    ['rules.yml', await toYaml(prometheusRules!, made('Recording rules of rras-exporter.', 'rules.yml'))],
  ]);
}

/** jsonnet imports by fixed names only, so that each dashboard has a line. */
export function dashboardList(): string {
  const files = globSync('*.json', { cwd: DASHBOARDS }).sort();
  const lines = files.map((file) => `    '${file}': tagged(import '../${file}'),\n`);
  return `// Made by \`node tools/mixin.ts\`: the dashboards as they stand in this folder.
{
  local tags = $._config.dashboardTags,
  local tagged(dashboard) = dashboard + if tags == null then {} else { tags: tags },

  grafanaDashboards+:: {
${lines.join('')}  },
}
`;
}

if (process.argv[1] !== undefined && resolve(process.argv[1]) === fileURLToPath(import.meta.url)) {
  writeFileSync(DASHBOARD_LIST, dashboardList());
  for (const [name, text] of await ruleFiles('jsonnet')) writeFileSync(join(DASHBOARDS, name), text);
}
