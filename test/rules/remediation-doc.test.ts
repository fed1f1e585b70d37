/** docs/remediation.md has each key and each decision once, and the defaults of the program. */
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { adminSection, hooksSection, toAdminConfig } from '../../src/config/admin-schema.ts';
import { formatDuration } from '../../src/config/duration.ts';
import { DECISIONS } from '../../src/model/admin.ts';

const DOCUMENT = readFileSync(new URL('../../docs/remediation.md', import.meta.url), 'utf8');

/** Their values are milliseconds. */
const DURATIONS = ['cooldown', 'cooldownMax', 'per', 'attemptTimeout', 'maxAge'];

/** Lines of the table below a heading or text, without its head; the backquotes of a cell that has nothing else are gone. */
function tableBelow(text: string): string[][] {
  const from = DOCUMENT.indexOf(text);
  expect(from, text).toBeGreaterThan(-1);
  const lines = DOCUMENT.slice(from).split('\n');
  const start = lines.findIndex((line) => line.startsWith('|'));
  const rest = lines.slice(start);
  const end = rest.findIndex((line) => !line.startsWith('|'));
  return rest.slice(2, end).map((line) =>
    line
      .split('|')
      .slice(1, -1)
      .map((cell) => cell.trim().replace(/^`([^`]*)`$/, '$1')),
  );
}

function shown(key: string, value: unknown): string {
  if (Array.isArray(value))
    return `[${value.map((each) => (each === '*' ? `'*'` : String(each))).join(', ')}]`;
  return typeof value === 'number' && DURATIONS.includes(key) ? formatDuration(value) : String(value);
}

function flatten(prefix: string, section: object): [string, string][] {
  return Object.entries(section).flatMap(([key, value]: [string, unknown]) =>
    typeof value === 'object' && value !== null && !Array.isArray(value)
      ? flatten(`${prefix}.${key}`, value)
      : [[`${prefix}.${key}`, shown(key, value)] as [string, string]],
  );
}

const admin = adminSection.parse({});
const RULE = { name: 'redial', matchers: ['alertname="X"'], action: 'reconnect' };

test('every guard is there with its default', () => {
  const documented = tableBelow('## Guards').map(([key = '', value = '']) => [key, value]);
  expect(documented).toEqual(flatten('admin.guards', admin.guards));
});

test('every key of a rule is there with its default', () => {
  const own = { targetLabel: 'x', maxAttempts: 1, cooldown: '1m', cooldownMax: '1m', dryRun: true };
  const whole = hooksSection.parse({ rules: [{ ...RULE, ...own, allowTruncated: true }] });
  const hooks = hooksSection.parse({ rules: [RULE] });
  const given: Readonly<Record<string, unknown>> = hooks.rules[0]!;
  const defaults = Object.keys(whole.rules[0]!).map((key): [string, string] => {
    if (key in RULE) return [key, ''];
    if (key === 'targetLabel') return [key, toAdminConfig(admin, hooks, null).hooks.rules[0]!.targetLabel];
    return [key, given[key] === undefined ? `admin.guards.${key}` : shown(key, given[key])];
  });
  const documented = tableBelow('Of each entry of `hooks.rules`').map(([key = '', value = '']) => [
    key,
    value,
  ]);
  expect(documented).toEqual(defaults);
  const hangUp = { ...RULE, action: 'hang_up' };
  const other = hooksSection.parse({ allowActions: ['hang_up'], rules: [hangUp] });
  expect(toAdminConfig(admin, other, null).hooks.rules[0]!.targetLabel).toBe('connection');
});

test('every other key of the hooks is there with its default', () => {
  const { allowActions, grafana } = hooksSection.parse({ grafana: { secretFile: 'grafana.secret' } });
  const defaults = flatten('hooks', { allowActions, grafana: { ...grafana, secretFile: '' } });
  const documented = tableBelow('And of `hooks` itself').map(([key = '', value = '']) => [key, value]);
  expect(documented).toEqual(defaults);
});

test('every decision is there', () => {
  const documented = tableBelow('## Decisions').map(([decision = '']) => decision);
  expect(documented.toSorted()).toEqual(DECISIONS.toSorted());
});

test('each decision that a guard names is one', () => {
  for (const [key, , , decision = ''] of tableBelow('## Guards')) {
    if (decision !== '') expect(DECISIONS, key).toContain(decision);
  }
});
