/** Which rule an alert falls under: as Alertmanager matches, and in linear time. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { compileRules, targetOf } from '../../../src/admin/hooks/rules.ts';
import type { HookRule, LabelMatcher } from '../../../src/model/admin.ts';
import { MATCH_OPERATORS } from '../../../src/model/admin.ts';
import { anyText } from '../../fixtures/hooks/any-text.ts';

const rule = (name: string, ...matchers: readonly LabelMatcher[]): HookRule => ({
  name,
  matchers,
  action: 'reconnect',
  targetLabel: 'interface',
  maxAttempts: 3,
  cooldownMs: undefined,
  cooldownMaxMs: undefined,
  dryRun: false,
  allowTruncated: false,
});
const matcher = (label: string, operator: LabelMatcher['operator'], value: string): LabelMatcher => ({
  label,
  operator,
  value,
});
const alert = (labels: Readonly<Record<string, string>>) => ({ labels: new Map(Object.entries(labels)) });
const matches = (operator: LabelMatcher['operator'], pattern: string, value: string): boolean =>
  compileRules([rule('a', matcher('x', operator, pattern))]).ruleFor(alert({ x: value })) !== undefined;

describe('a matcher', () => {
  it.each([
    ['=', 'Down', 'Down', true],
    ['=', 'Down', 'down', false],
    ['=', 'Down', 'Down ', false],
    ['=', 'D.*', 'Down', false],
    ['!=', 'Down', 'Up', true],
    ['!=', 'Down', 'Down', false],
    ['=~', 'Down', 'Down', true],
    ['=~', 'own', 'Down', false],
    ['=~', 'Dow', 'Down', false],
    ['=~', 'D|Down', 'Down', true],
    ['=~', 'a|b', 'ab', false],
    ['=~', '(?:critical|warning)', 'warning', true],
    ['=~', 'D.*', 'Down', true],
    ['=~', '(?i)down', 'DOWN', true],
    ['=~', '^Down$', 'Down', true],
    ['=~', '(?m)^Down$', 'Up\nDown', false],
    ['=~', 'Down', 'Down\n', false],
    ['=~', 'Down.*', 'Down\n', false],
    ['=~', '(?s)Down.*', 'Down\n', true],
    ['=~', '.', '😀', true],
    ['=~', '\\d+', '٣', false],
    ['=~', '', '', true],
    ['=~', '', 'x', false],
    ['!~', 'D.*', 'Up', true],
    ['!~', 'D.*', 'Down', false],
    ['!~', 'own', 'Down', true],
  ] as const)('%s %j of %j: %s', (operator, pattern, value, expected) => {
    expect(matches(operator, pattern, value)).toBe(expected);
  });

  it('A4 takes no part of a value for the whole', () => {
    for (const value of ['Site-A\\evil', 'evil\\Site-A', 'Site-A\0', 'Site-A\u2028', 'Ѕite-A', 'Site-A/..']) {
      expect(matches('=', 'Site-A', value)).toBe(false);
      expect(matches('=~', 'Site-[A-Z]', value)).toBe(false);
    }
  });

  it('sees a label that is missing as an empty one', () => {
    for (const [operator, value, expected] of [
      ['=', '', true],
      ['=', 'a', false],
      ['!=', '', false],
      ['!=', 'a', true],
      ['=~', '', true],
      ['=~', '.*', true],
      ['=~', '.+', false],
      ['!~', '.+', true],
      ['!~', '.*', false],
    ] as const) {
      const rules = compileRules([rule('a', matcher('missing', operator, value))]);
      expect(rules.ruleFor(alert({ other: 'a' })) !== undefined, `${operator} ${value}`).toBe(expected);
      expect(rules.ruleFor(alert({ missing: '' })) !== undefined, `${operator} ${value}`).toBe(expected);
    }
  });

  it('and its opposite are never of one mind', () => {
    const pattern = fc.constantFrom('a*', '(a|ab)(c|bcd)?', '[^a]+', '.*', '\\w+', '(?i)É.', '');
    fc.assert(
      fc.property(pattern, anyText(), (value, text) => {
        expect(matches('=', value, text)).toBe(!matches('!=', value, text));
        expect(matches('=~', value, text)).toBe(!matches('!~', value, text));
      }),
    );
  });

  it.each([
    ['(a+)+b', 'a'],
    ['(a|a)*b', 'a'],
    ['(a|aa)+$', 'a'],
    ['(.*)*x', 'a'],
    ['(x+x+)+y', 'x'],
    ['(.*a){20}b', 'a'],
    ['([a-z]+\\s*)+\\d', 'q'],
  ])('A3 %s on a thousand characters takes milliseconds', (pattern, char) => {
    const rules = compileRules([rule('a', matcher('x', '=~', pattern))]);
    const hostile = alert({ x: `${char.repeat(999)}!` });
    const start = performance.now();
    for (let i = 0; i < 10; i++) expect(rules.ruleFor(hostile)).toBeUndefined();
    // V8 would not come to an end of it.
    expect((performance.now() - start) / 10).toBeLessThan(50);
  });
});

describe('the rule of an alert', () => {
  const first = rule('first', matcher('alertname', '=', 'Down'), matcher('severity', '=~', 'critical|page'));
  const second = rule('second', matcher('alertname', '=', 'Down'));
  const rules = compileRules([first, second]);

  it('is the first of which all matchers match', () => {
    expect(rules.ruleFor(alert({ alertname: 'Down', severity: 'page' }))).toBe(first);
    expect(rules.ruleFor(alert({ alertname: 'Down', severity: 'info' }))).toBe(second);
    expect(rules.ruleFor(alert({ alertname: 'Up', severity: 'page' }))).toBeUndefined();
    expect(rules.ruleFor(alert({}))).toBeUndefined();
    expect(compileRules([]).ruleFor(alert({ alertname: 'Down' }))).toBeUndefined();
  });

  it('stays the same however often it is asked for', () => {
    const labels = fc.record({
      alertname: fc.constantFrom('Down', 'Up', ''),
      severity: fc.constantFrom('critical', 'page', 'critical|page', ''),
    });
    fc.assert(
      fc.property(labels, (each) => {
        const expected =
          each.alertname !== 'Down' ? undefined : /^(?:critical|page)$/.test(each.severity) ? first : second;
        expect(rules.ruleFor(alert(each))).toBe(expected);
      }),
    );
  });

  it('is found whatever the labels hold', () => {
    const all = compileRules(
      MATCH_OPERATORS.map((operator, i) => rule(`${i}`, matcher('x', operator, '(?i)[^a-zß]*|\\pL{2}'))),
    );
    fc.assert(
      fc.property(anyText(), (x) => {
        expect(all.ruleFor(alert({ x }))).toBeDefined();
      }),
    );
  });

  it('cannot be told with a pattern that RE2 does not know', () => {
    for (const pattern of ['(', 'a)|(b', '(a)\\1', '(?=a)', 'a**']) {
      expect(() => compileRules([rule('a', matcher('x', '=~', pattern))])).toThrow();
      expect(() => compileRules([rule('a', matcher('x', '!~', pattern))])).toThrow();
    }
  });
});

describe('the target of a rule', () => {
  it('is what the label says, to the letter', () => {
    expect(targetOf(rule('a'), alert({ interface: ' Site-Berlin\\..' }))).toBe(' Site-Berlin\\..');
  });

  it('A4 is nothing if the label is missing or empty', () => {
    expect(targetOf(rule('a'), alert({}))).toBeUndefined();
    expect(targetOf(rule('a'), alert({ interface: '' }))).toBeUndefined();
    expect(targetOf({ ...rule('a'), targetLabel: 'constructor' }, alert({}))).toBeUndefined();
  });
});
