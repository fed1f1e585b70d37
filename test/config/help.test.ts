import { describe, expect, test } from 'vitest';
import { COMMANDS } from '../../src/config/commands.ts';
import { helpText } from '../../src/config/help.ts';
import { OPTIONS, type OptionRow } from '../../src/config/options.ts';
import { versionText } from '../../src/config/version.ts';

const text = helpText({ platform: 'linux', env: {} });

describe('--help', () => {
  test('is what test/golden/help.txt says', async () => {
    await expect(text).toMatchFileSnapshot('../golden/help.txt');
  });

  test('fits a terminal of 100 columns', () => {
    expect(Math.max(...text.split('\n').map((line) => line.length))).toBeLessThanOrEqual(100);
  });

  test.each(COMMANDS)('speaks of $name once', ({ name, words }) => {
    expect(text.split('\n').filter((line) => line === `  ${name} ${words}`)).toHaveLength(1);
  });

  test.each((OPTIONS as readonly OptionRow[]).map((row) => row.flag))('speaks of --%s once', (flag) => {
    const entry = new RegExp(`^  (-h, )?--(\\[no-\\])?${flag.replaceAll('.', '\\.')}(\\[?=|$)`, 'gm');
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
