/** The rules and alerts as they are committed, and the unit tests of promtool for them. */
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parse } from 'yaml';
import type { Rule, RuleFile } from '../../tools/mixin.ts';
import { DASHBOARDS } from '../../tools/mixin.ts';

export const PROJECT = fileURLToPath(new URL('../../', import.meta.url));
export const RUNBOOKS = join(PROJECT, 'docs/runbooks');

export const readText = (name: string): string => readFileSync(join(DASHBOARDS, name), 'utf8');
export const readRules = (path: string): readonly Rule[] =>
  (parse(readFileSync(path, 'utf8')) as RuleFile).groups.flatMap(({ rules }) => rules);

export const RECORDINGS = readRules(join(DASHBOARDS, 'rules.yml'));
export const ALERTS = readRules(join(DASHBOARDS, 'alerts.yml'));

/** By name. */
export const TEST_FILES = globSync('tests/*.yml', { cwd: DASHBOARDS }).sort();

interface AlertTest {
  readonly alertname: string;
  readonly exp_alerts?: readonly {
    readonly exp_labels: Readonly<Record<string, string>>;
    readonly exp_annotations?: Readonly<Record<string, string>>;
  }[];
}

export const ALERT_TESTS: readonly AlertTest[] = TEST_FILES.flatMap((file) =>
  (parse(readText(file)) as { tests: { alert_rule_test: AlertTest[] }[] }).tests.flatMap(
    ({ alert_rule_test }) => alert_rule_test,
  ),
);

/** Queries that stand in annotations, with something in the place of each label. */
export function queriesIn(rule: Rule): string[] {
  const texts = Object.values(rule.annotations ?? {}).join('\n');
  return [...texts.matchAll(/printf `([^`]*)`/g)].map(([, query]) => query!.replaceAll('%q', '"$x"'));
}
