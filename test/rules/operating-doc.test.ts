/** docs/operating.md is typed in by administrators: its commands are taken by the program, its tables are those of the code. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Ajv } from 'ajv';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { readCommandLine } from '../../src/config/commands.ts';
import { loadOptions } from '../../src/config/load.ts';
import { OPTIONS, type OptionRow } from '../../src/config/options.ts';
import { toOptions } from '../../src/config/schema.ts';
import { closingCommand } from '../../src/runtime/windows-acl.ts';
import { STDIN_STOP_VARIABLE } from '../../src/runtime/shutdown.ts';

const DOCS = fileURLToPath(new URL('../../docs/', import.meta.url));
const text = readFileSync(join(DOCS, 'operating.md'), 'utf8');

const blocks = [...text.matchAll(/^```(\w+)\n([^]*?)^```$/gm)].map(([, language = '', code = '']) => ({
  language,
  code,
}));

/** Words as a shell makes them of a line without variables. */
const wordsOf = (line: string): string[] =>
  [...line.matchAll(/"([^"]*)"|(\S+)/g)].map(([, quoted, plain]) => quoted ?? plain ?? '');

/** What follows the program's name in each command of it, whichever way it is started. */
const commands = blocks.flatMap(({ language, code }) =>
  code.split('\n').flatMap((line) => {
    const rest = /(?:rras-exporter|main\.js) ((?:--|[a-z-]+ ).*)$/.exec(line)?.[1];
    if (rest === undefined || /^nssm (?:set|start) /.test(line)) return [];
    // What a wrapper is told stands inside its own quotes or its element.
    const own = line.startsWith('nssm ') ? rest.replace(/"$/, '') : rest.replace(/<\/arguments>$/, '');
    return [{ language, words: wordsOf(own) }];
  }),
);

describe('the commands of docs/operating.md', () => {
  test('are there for sh and for PowerShell', () => {
    expect(commands.length).toBeGreaterThanOrEqual(8);
    expect(new Set(commands.map(({ language }) => language))).toEqual(
      new Set(['sh', 'powershell', 'xml', 'ini']),
    );
    const lines = commands.map(({ words }) => words.join(' '));
    for (const name of ['check-config', 'doctor', 'audit verify', 'record'])
      expect(lines.some((line) => line.startsWith(`${name} `))).toBe(true);
  });

  test.each(commands)('$language: $words', ({ words }) => {
    const { given } = readCommandLine(words);
    const flags = new Map([...given].filter(([flag]) => flag !== 'config.file'));
    expect(() => toOptions(flags, { platform: 'win32', env: {} })).not.toThrow();
  });

  test('in PowerShell have flags with dots in quotes', () => {
    for (const { code } of blocks.filter(({ language }) => language === 'powershell'))
      expect(code.split('\n').filter((line) => /^rras-exporter .*\s--\w+\./.test(line))).toEqual([]);
  });

  test('close the storage folder as the exporter and doctor say', () => {
    expect(blocks.find(({ language }) => language === 'bat')?.code.trim()).toBe(
      closingCommand('C:\\ProgramData\\rras-exporter', []),
    );
  });

  test('name the variable for wrappers', () => {
    expect(text).toContain(`${STDIN_STOP_VARIABLE}=1`);
  });
});

test('the configuration file of docs/operating.md is a good one, also for the JSON Schema that it names', () => {
  const [file = ''] = blocks.flatMap(({ language, code }) => (language === 'yaml' ? [code] : []));
  const [, schema = ''] = /^# yaml-language-server: \$schema=\.\/(\S+)\n/.exec(file) ?? [];
  const validate = new Ajv({ strict: false }).compile(
    JSON.parse(readFileSync(join(DOCS, schema), 'utf8')) as object,
  );
  validate(parse(file));
  expect(validate.errors).toBeNull();
  const folder = mkdtempSync(join(tmpdir(), 'rras-exporter-operating-'));
  try {
    writeFileSync(join(folder, 'a.yml'), file);
    const { given } = readCommandLine([`--config.file=${join(folder, 'a.yml')}`]);
    expect(loadOptions(given, { platform: 'win32', env: {} }).web.enableLifecycle).toBe(true);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('the table of what a reload changes is that of the options', () => {
  const rows = [...text.matchAll(/^\| `([\w.-]+)`\s+\| (a reload|a restart)\s+\|$/gm)];
  const keys = (OPTIONS as readonly OptionRow[]).flatMap(({ configKey, reloads }) =>
    configKey === null ? [] : [[configKey, reloads === true ? 'a reload' : 'a restart']],
  );
  const sections = [
    ['admin', 'a reload'],
    ['hooks', 'a reload'],
    ['servers', 'a reload'],
    ['otlp', 'a restart'],
  ];
  expect(rows.map(([, key, change]) => [key, change])).toEqual([...keys, ...sections]);
});
