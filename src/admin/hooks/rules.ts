/** Which rule an alert falls under, by its labels. Regular expressions are RE2's: no label can make them slow. */
import { RE2JS } from 're2js';
import type { HookRule, LabelMatcher } from '../../model/admin.ts';
import type { Alert } from './alerts.ts';

export interface RuleBook {
  /** The first rule of which all matchers match. */
  ruleFor(alert: Pick<Alert, 'labels'>): HookRule | undefined;
}

type Test = (labels: ReadonlyMap<string, string>) => boolean;

/** Throws if a regular expression is none. */
export function compileRules(rules: readonly HookRule[]): RuleBook {
  const compiled = rules.map((rule) => ({ rule, tests: rule.matchers.map(compile) }));
  return {
    ruleFor: ({ labels }) => compiled.find(({ tests }) => tests.every((test) => test(labels)))?.rule,
  };
}

/** A label that is not there is as one without text, as for Alertmanager. */
function compile({ label, operator, value }: LabelMatcher): Test {
  if (operator === '=' || operator === '!=') {
    return (labels) => ((labels.get(label) ?? '') === value) === (operator === '=');
  }
  const pattern = RE2JS.compile(value);
  return (labels) => pattern.matches(labels.get(label) ?? '') === (operator === '=~');
}

/** What the alert names as the target; undefined if it names none, which means nothing. */
export function targetOf(
  rule: Pick<HookRule, 'targetLabel'>,
  { labels }: Pick<Alert, 'labels'>,
): string | undefined {
  const target = labels.get(rule.targetLabel) ?? '';
  return target === '' ? undefined : target;
}
