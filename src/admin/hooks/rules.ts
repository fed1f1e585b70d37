/** Which rule an alert falls under, and what the rule is to be done to. */
import { RE2JS } from 're2js';
import type { HookRule, LabelMatcher } from '../../model/admin.ts';
import type { Alert } from './alerts.ts';

export interface RuleBook {
  /** The first rule of which all matchers match. */
  ruleFor(alert: Pick<Alert, 'labels'>): HookRule | undefined;
}

type Test = (value: string) => boolean;

/** @throws if a matcher holds no regular expression of RE2; those of a valid configuration do. */
export function compileRules(rules: readonly HookRule[]): RuleBook {
  const compiled = rules.map((rule) => ({
    rule,
    tests: rule.matchers.map((matcher) => ({ label: matcher.label, test: compile(matcher) })),
  }));
  return {
    ruleFor({ labels }) {
      // As for Alertmanager, a label that is not there is an empty one.
      return compiled.find(({ tests }) => tests.every(({ label, test }) => test(labels.get(label) ?? '')))
        ?.rule;
    },
  };
}

/** RE2 takes linear time, whatever the value: the labels of an alert may come from anybody. */
function compile({ operator, value }: LabelMatcher): Test {
  switch (operator) {
    case '=':
      return (text) => text === value;
    case '!=':
      return (text) => text !== value;
    case '=~': {
      const pattern = RE2JS.compile(value);
      return (text) => pattern.testExact(text);
    }
    case '!~': {
      const pattern = RE2JS.compile(value);
      return (text) => !pattern.testExact(text);
    }
  }
}

/** undefined: the label is missing or empty, and there is nothing that the rule could be meant for. */
export function targetOf(
  { targetLabel }: Pick<HookRule, 'targetLabel'>,
  { labels }: Pick<Alert, 'labels'>,
): string | undefined {
  const target = labels.get(targetLabel);
  return target === '' ? undefined : target;
}
