/** What a reload of the configuration may change, and what takes a restart: the table of options decides. */
import { writeFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { stringify } from 'yaml';
import { readCommandLine } from '../../src/config/commands.ts';
import { loadOptions } from '../../src/config/load.ts';
import { OPTIONS, type OptionRow, type Options } from '../../src/config/options.ts';
import { restartNeeded } from '../../src/config/schema.ts';
import { makeConfigFolder, type ConfigFolder } from './config-folder.ts';

let folder: ConfigFolder;
beforeAll(() => {
  folder = makeConfigFolder();
});
afterAll(() => folder.remove());

const TOKEN = { name: 'a', sha256: 'a'.repeat(64), rights: ['read'], interfaces: ['*'] };

function load(file: object, flags: readonly string[] = []): Options {
  writeFileSync(folder.path('a.yml'), stringify({ admin: { tokens: [TOKEN] }, ...file }));
  const { given } = readCommandLine([`--config.file=${folder.path('a.yml')}`, ...flags]);
  return loadOptions(given, { platform: 'linux', env: {} });
}

/** Another value than the default. */
function another(row: OptionRow): unknown {
  switch (row.kind) {
    case 'boolean':
      return !row.default;
    case 'enum':
      return row.choices.find((choice) => choice !== row.default);
    case 'integer':
      return row.min + 1;
    case 'duration':
      return '7s';
    case 'listen-address':
      return ['127.0.0.1:1'];
    case 'server-name':
      return 'vpn1';
    case 'url':
      return 'https://vpn.example.net';
    case 'log-output':
      return 'file:a.log';
    case 'url-path':
    case 'path':
      return '/other';
  }
}

const nested = (key: string, value: unknown): object =>
  key.split('.').reduceRight<unknown>((inner, part) => ({ [part]: inner }), value) as object;

const ROWS = (OPTIONS as readonly OptionRow[]).flatMap((row) =>
  row.configKey === null ? [] : [{ row, key: row.configKey }],
);

test.each(ROWS)('R1 a change of $key takes a restart if the table says so', ({ row, key }) => {
  const [before, after] = [load({}), load(nested(key, another(row)))];
  expect(before).not.toEqual(after);
  expect(restartNeeded(before, after)).toEqual(row.reloads === true ? [] : [key]);
  expect(restartNeeded(after, before)).toEqual(row.reloads === true ? [] : [key]);
});

test('a flag that beats the file keeps its key from changing anything', () => {
  const flags = ['--web.telemetry-path=/m'];
  expect(restartNeeded(load({}, flags), load({ web: { 'telemetry-path': '/other' } }, flags))).toEqual([]);
});

test('the sections admin, hooks and servers never take a restart, and otlp does', () => {
  const admin = {
    tokens: [TOKEN, { ...TOKEN, name: 'b', sha256: 'b'.repeat(64) }],
    guards: { dryRun: true },
  };
  const hooks = { serverLabel: 'vpn', grafana: { secretFile: 'closed.secret' } };
  const servers = [{ name: 'vpn2', server: 'vpn2' }];
  expect(restartNeeded(load({}), load({ admin, hooks, servers }))).toEqual([]);
  expect(restartNeeded(load({}), load({ otlp: { connections: true } }))).toEqual(['otlp']);
});

test('nothing takes a restart if nothing changed', () => {
  expect(restartNeeded(load({}), load({ collector: { timeout: '10s' }, log: {} }))).toEqual([]);
});
