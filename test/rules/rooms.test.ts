import { globSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { cruise } from 'dependency-cruiser';
import { Linter } from 'eslint';
import tseslint from 'typescript-eslint';
import { afterAll, describe, expect, test } from 'vitest';
import { IMPORT_RULES, needsRuntime, ROOTS, RUNTIME_RULES } from './room-rules.ts';

const PROJECT = fileURLToPath(new URL('../../', import.meta.url));

/** Paths with forward slashes, relative to the folder. */
function sources(folder: string): string[] {
  return globSync('src/**/*.ts', { cwd: folder })
    .map((path) => path.replaceAll('\\', '/'))
    .sort();
}

async function checkImports(folder: string): Promise<{ modules: string[]; violations: string[] }> {
  const { output } = await cruise(['src'], {
    baseDir: folder,
    validate: true,
    ruleSet: { forbidden: [...IMPORT_RULES] },
    // Imports of types, too: they tie rooms together as any other.
    tsPreCompilationDeps: true,
    doNotFollow: { path: 'node_modules' },
  });
  if (typeof output === 'string') throw new Error('dependency-cruiser gave a text for a result');
  return {
    modules: output.modules.map((module) => module.source).filter((source) => source.startsWith('src/')),
    violations: output.summary.violations.map(({ rule, from, to }) => `${rule.name}: ${from} -> ${to}`),
  };
}

function checkRuntime(file: string, text: string): string[] {
  const messages = new Linter().verify(
    text,
    [
      {
        files: ['**/*.ts'],
        languageOptions: { parser: tseslint.parser },
        rules: RUNTIME_RULES,
      },
    ],
    { filename: file, allowInlineConfig: false },
  );
  return messages.map(({ line, ruleId, message }) => `${file}:${line} ${ruleId ?? 'parser'}: ${message}`);
}

describe('the sources', () => {
  test('keep the rules of imports, and all of them were read', async () => {
    const { modules, violations } = await checkImports(PROJECT);
    expect(violations).toEqual([]);
    // dependency-cruiser is content with no module at all when it cannot read the language.
    expect(modules.sort()).toEqual(sources(PROJECT));
    expect(modules.length).toBeGreaterThan(20);
  });

  test('leave timers, environment, console and signals to runtime/ and the roots', () => {
    const files = sources(PROJECT).filter(needsRuntime);
    expect(files.length).toBeGreaterThan(20);
    expect(files.flatMap((file) => checkRuntime(file, readFileSync(join(PROJECT, file), 'utf8')))).toEqual(
      [],
    );
  });

  test('have the composition roots that the rules name', () => {
    expect(sources(PROJECT).filter((file) => file.split('/').length === 2)).toEqual([...ROOTS].sort());
  });
});

type Tree = Readonly<Record<string, string>>;

const trees: string[] = [];
afterAll(() => {
  for (const tree of trees) rmSync(tree, { recursive: true });
});

/** Writes a project of a few files, with the real packages. */
function plant(tree: Tree): string {
  const folder = mkdtempSync(join(tmpdir(), 'rras-exporter-rules-'));
  trees.push(folder);
  symlinkSync(join(PROJECT, 'node_modules'), join(folder, 'node_modules'), 'junction');
  const dependencies = Object.fromEntries(
    ['koffi', 'express', 'prom-client', 'pino', 'zod', '@opentelemetry/api'].map((name) => [name, '*']),
  );
  const manifest = { name: 'planted', type: 'module', dependencies, devDependencies: { vitest: '*' } };
  for (const [path, text] of Object.entries({ 'package.json': JSON.stringify(manifest), ...tree })) {
    mkdirSync(join(folder, dirname(path)), { recursive: true });
    writeFileSync(join(folder, path), text);
  }
  return folder;
}

const ROOM = { 'src/collector/poller.ts': 'export const poll = 1;\nexport interface Poll { a: 1 }\n' };

/** For each rule of imports, trees that break it and nothing else. */
const BREACHES: readonly (readonly [rule: string, what: string, tree: Tree])[] = [
  ['model-imports-nothing', 'a module of Node', { 'src/model/a.ts': "import 'node:fs';" }],
  ['model-imports-nothing', 'a package', { 'src/model/a.ts': "import { z } from 'zod'; export { z };" }],
  [
    'rooms-know-model-and-not-each-other',
    'another room',
    { ...ROOM, 'src/metrics/a.ts': "export { poll } from '../collector/poller.ts';" },
  ],
  [
    'rooms-know-model-and-not-each-other',
    'a type of another room',
    {
      ...ROOM,
      'src/metrics/a.ts': "import type { Poll } from '../collector/poller.ts'; export type P = Poll;",
    },
  ],
  [
    'rooms-know-model-and-not-each-other',
    'another room, when it is needed',
    { ...ROOM, 'src/config/a.ts': "export const later = () => import('../collector/poller.ts');" },
  ],
  [
    'rooms-know-model-and-not-each-other',
    'a root',
    { 'src/serve.ts': 'export const a = 1;', 'src/server/a.ts': "import '../serve.ts';" },
  ],
  [
    'rooms-know-model-and-not-each-other',
    'a test',
    { 'test/a.ts': 'export const a = 1;', 'src/server/a.ts': "import '../../test/a.ts';" },
  ],
  [
    'rooms-know-model-and-not-each-other',
    'a room, from a folder that nobody has thought of',
    { ...ROOM, 'src/helpers/a.ts': "import '../collector/poller.ts';" },
  ],
  [
    'only-roots-wire-rooms',
    'a room, from a new file at the top',
    { ...ROOM, 'src/wiring.ts': "import './collector/poller.ts';" },
  ],
  [
    'sources-do-not-import-tests',
    'a test, from a root',
    { 'test/a.ts': 'export {};', 'src/serve.ts': "import '../test/a.ts';" },
  ],
  [
    'koffi-has-one-home',
    'from another file of its room',
    { 'src/native/decode.ts': "import koffi from 'koffi'; export { koffi as k };" },
  ],
  [
    'koffi-has-one-home',
    'for its types',
    { 'src/native/decode.ts': "import type { IKoffiLib } from 'koffi'; export type L = IKoffiLib;" },
  ],
  [
    'express-has-one-home',
    'from another room',
    { 'src/admin/a.ts': "import express from 'express'; export const a = express;" },
  ],
  ['express-has-one-home', 'from a root', { 'src/serve.ts': "import express from 'express'; express();" }],
  [
    'prom-client-has-one-home',
    'from another room',
    { 'src/server/a.ts': "import { register } from 'prom-client'; export { register };" },
  ],
  [
    '@opentelemetry-has-one-home',
    'from another room',
    { 'src/admin/a.ts': "import { trace } from '@opentelemetry/api'; export { trace };" },
  ],
  [
    'pino-has-one-home',
    'from another room',
    { 'src/server/a.ts': "import pino from 'pino'; export { pino };" },
  ],
  [
    'timers-and-process-modules-only-in-runtime',
    'timers as promises',
    {
      'src/collector/a.ts': "import { setTimeout } from 'node:timers/promises'; export const a = setTimeout;",
    },
  ],
  [
    'timers-and-process-modules-only-in-runtime',
    'the process',
    { 'src/server/a.ts': "import process from 'process'; export const a = process;" },
  ],
  [
    'packages-are-dependencies',
    'a package for development',
    { 'src/server/a.ts': "import { test } from 'vitest'; export { test };" },
  ],
  [
    'packages-are-dependencies',
    'a package that came with another',
    { 'src/server/a.ts': "import a from 'body-parser'; export { a };" },
  ],
  [
    'no-circles',
    'one that imports it back',
    {
      'src/server/a.ts': "export { b } from './b.ts';",
      'src/server/b.ts': "import './a.ts'; export const b = 1;",
    },
  ],
];

describe('a rule of imports bites', () => {
  test('each has its breach below', () => {
    expect(new Set(BREACHES.map(([rule]) => rule))).toEqual(new Set(IMPORT_RULES.map(({ name }) => name)));
  });

  test.each(BREACHES)('%s: %s', async (rule, _, tree) => {
    const { violations } = await checkImports(plant(tree));
    expect(violations.length).toBeGreaterThan(0);
    expect(new Set(violations.map((violation) => violation.split(': ')[0]))).toEqual(new Set([rule]));
  });

  test('and lets pass what is allowed', async () => {
    const { violations, modules } = await checkImports(
      plant({
        'src/model/words.ts': 'export const word = 1;',
        'src/model/frames.ts': "export { word } from './words.ts';",
        'src/native/mprapi.ts': "import koffi from 'koffi'; export const load = koffi.load;",
        'src/native/host.ts':
          "import { load } from './mprapi.ts'; export { word } from '../model/words.ts'; load('a');",
        'src/metrics/self.ts': "import 'prom-client'; import '@opentelemetry/api';",
        'src/server/app.ts':
          "import express from 'express'; import 'node:http'; import 'zod'; export { express };",
        'src/server/routes/a.ts': "import '../app.ts';",
        'src/runtime/clock.ts': "import 'node:timers/promises'; import 'pino';",
        'src/serve.ts': "import './runtime/clock.ts'; import './server/app.ts'; import './native/host.ts';",
        'src/main.ts': "import 'node:process'; await import('./serve.ts');",
      }),
    );
    expect(violations).toEqual([]);
    expect(modules).toHaveLength(10);
  });
});

describe('the rule of runtime/ bites', () => {
  test.each([
    'setTimeout(() => {}, 1);',
    'setInterval(() => {}, 1);',
    'setImmediate(() => {});',
    'globalThis.setTimeout(() => {}, 1);',
    'const later = setTimeout;',
    'const signal = AbortSignal.timeout(5);',
    'AbortSignal.any([]);',
    "console.log('a');",
    'const home = process.env.HOME;',
    "const home = process['env'].HOME;",
    'const { env } = process;',
    "process.on('SIGTERM', () => {});",
    "process.once('uncaughtException', () => {});",
    'process.on(signalName, () => {});',
    'process.exit(1);',
    'process.exitCode = 1;',
    "process.stdout.write('a');",
    '/* eslint-disable */ setTimeout(() => {}, 1);',
  ])('%s', (text) => {
    expect(checkRuntime('src/server/a.ts', text)).toHaveLength(1);
  });

  test.each([
    'const windows = process.platform === "win32";',
    "process.on('message', () => {});",
    "process.send?.({ type: 'ready' });",
    'function pause(setTimeout: () => void) { setTimeout(); }',
    'clock.setTimeout(1);',
  ])('and lets pass: %s', (text) => {
    expect(checkRuntime('src/native/a.ts', text)).toEqual([]);
  });

  test('everywhere but in runtime/ and the roots', () => {
    expect(['src/runtime/clock.ts', ...ROOTS].filter(needsRuntime)).toEqual([]);
    expect(needsRuntime('src/server/page/browser/main.ts')).toBe(false);
    expect(['src/server/app.ts', 'src/model/clock.ts', 'src/native/host.ts'].every(needsRuntime)).toBe(true);
    expect(needsRuntime('src/server/page/script.ts')).toBe(true);
  });
});
