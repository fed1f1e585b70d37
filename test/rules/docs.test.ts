/** The documents must not promise what is not there. */
import { existsSync, globSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { OPTIONS, type OptionRow } from '../../src/config/options.ts';

const PROJECT = fileURLToPath(new URL('../../', import.meta.url));
const rows: readonly OptionRow[] = OPTIONS;

describe.each([
  'README.md',
  'CONTRIBUTING.md',
  'CHANGELOG.md',
  'docs/architecture.md',
  'docs/dashboards-and-alerts.md',
  'docs/doctor.md',
  'docs/landing-page.md',
  'docs/many-servers.md',
  'docs/opentelemetry.md',
  'docs/performance.md',
  'docs/recording.md',
  'docs/remediation.md',
  ...globSync('docs/runbooks/*.md', { cwd: PROJECT }).sort(),
])('%s', (document) => {
  const text = readFileSync(join(PROJECT, document), 'utf8');

  test('links to files that exist', () => {
    const links = [...text.matchAll(/\]\((?!https?:)([^)#]+)/g)].map((match) => match[1] ?? '');
    expect(links.filter((link) => !existsSync(join(PROJECT, dirname(document), link)))).toEqual([]);
  });

  test('names sources that exist', () => {
    const paths = [...text.matchAll(/`((?:src|test|docs|tools)\/[\w./-]*)`/g)].map((match) => match[1] ?? '');
    expect(paths.filter((path) => !existsSync(join(PROJECT, path)))).toEqual([]);
  });

  test('names flags that exist', () => {
    const flags = rows.flatMap(({ flag }) => [`--${flag}`, `--no-${flag}`]);
    const named = [...text.matchAll(/`(--[a-z.-]+)/g)].map((match) => match[1] ?? '');
    expect(named.filter((flag) => !flags.includes(flag))).toEqual([]);
  });

  test('names npm scripts that exist', () => {
    const { scripts } = JSON.parse(readFileSync(join(PROJECT, 'package.json'), 'utf8')) as {
      scripts: Record<string, string>;
    };
    const named = [...text.matchAll(/npm run ([a-z:]+)/g)].map((match) => match[1] ?? '');
    expect(named.filter((script) => !(script in scripts))).toEqual([]);
  });
});

test('the defaults in the README are those of the program', () => {
  const readme = readFileSync(join(PROJECT, 'README.md'), 'utf8');
  const lines = [...readme.matchAll(/^\| `--(?<flag>[a-z.-]+)` +\| `(?<value>[^`]+)` +\|/gm)];
  expect(lines.length).toBeGreaterThan(3);
  for (const { groups } of lines) {
    expect(rows.find(({ flag }) => flag === groups?.['flag'])?.default).toBe(groups?.['value']);
  }
});
