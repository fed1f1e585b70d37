import { existsSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { COMMANDS, readCommandLine } from '../../src/config/commands.ts';
import { helpText } from '../../src/config/help.ts';
import { OPTIONS, type OptionRow } from '../../src/config/options.ts';
import { versionText } from '../../src/config/version.ts';

const text = helpText({ platform: 'linux', env: {} });

describe('--help', () => {
  test('is what test/golden/help.txt says', async () => {
    await expect(text).toMatchFileSnapshot('../golden/help.txt');
  });

  test('has the sections of a manual page, in their order, and nothing else at the margin', () => {
    expect(text.split('\n').filter((line) => /^\S/.test(line))).toEqual([
      ...['NAME', 'SYNOPSIS', 'DESCRIPTION', 'COMMANDS', 'OPTIONS', 'FILES', 'SIGNALS', 'ENVIRONMENT'],
      ...['EXIT STATUS', 'EXAMPLES', 'SEE ALSO'],
    ]);
  });

  test('is 92 columns wide at most', () => {
    expect(text.split('\n').filter((line) => line.length > 92)).toEqual([]);
  });

  test('gives examples that can be typed', () => {
    const examples = [...text.matchAll(/^ {4}rras-exporter (.*)$/gm)].map(([, words = '']) => words);
    const typed = examples.filter((words) => !words.includes('[COMMAND]') && !words.startsWith('- '));
    expect(typed.length).toBeGreaterThan(3);
    for (const words of typed) expect(() => readCommandLine(words.split(' '))).not.toThrow();
  });

  test('names documents that are there', () => {
    const documents = text.match(/docs\/[\w.-]+\w/g) ?? [];
    expect(documents.length).toBeGreaterThan(3);
    expect(documents.filter((path) => !existsSync(new URL(`../../${path}`, import.meta.url)))).toEqual([]);
  });

  test.each((OPTIONS as readonly OptionRow[]).filter(({ configKey }) => configKey !== null))(
    'says of --$flag whether a reload changes it',
    ({ flag, reloads }) => {
      const from = text.slice(
        text.search(new RegExp(`^    --(\\[no-\\])?${flag.replaceAll('.', '\\.')}(?:\\[?=|$)`, 'm')),
      );
      const [entry = ''] = from.split(/\n(?: {0,4})(?=\S)|\n\n/, 1);
      expect(entry.replaceAll(/\s+/g, ' ').includes('A reload changes it.')).toBe(reloads === true);
    },
  );

  test.each(COMMANDS)('speaks of $name once', ({ name, words }) => {
    expect(text.split('\n').filter((line) => line === `    ${name} ${words}`)).toHaveLength(1);
  });

  test.each((OPTIONS as readonly OptionRow[]).map((row) => row.flag))('speaks of --%s once', (flag) => {
    const entry = new RegExp(`^    (-h, )?--(\\[no-\\])?${flag.replaceAll('.', '\\.')}(\\[?=|$)`, 'gm');
    expect(text.match(entry)).toHaveLength(1);
  });
});

test('--version is written as the Prometheus exporters write it', () => {
  expect(versionText({ version: '0.1.0', nodeVersion: 'v22.20.0', platform: 'win32', arch: 'x64' })).toBe(
    [
      'rras-exporter, version 0.1.0 (win32/x64)',
      '  node version:     v22.20.0',
      '  platform:         win32/x64',
      '',
    ].join('\n'),
  );
});
