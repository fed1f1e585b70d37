import { execFile } from 'node:child_process';
import { copyFileSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, test } from 'vitest';
import { findTool } from './find-tool.ts';

const folder = mkdtempSync(join(tmpdir(), 'rras-exporter-tools-'));
afterAll(() => rmSync(folder, { recursive: true }));

describe('findTool', () => {
  test('finds a program on the PATH', () => {
    writeFileSync(join(folder, 'tool'), '#!/bin/sh\n', { mode: 0o755 });
    expect(findTool('tool', `/nonexistent:${folder}`)).toBe(join(folder, 'tool'));
  });

  test('does not take a file for a program', () => {
    writeFileSync(join(folder, 'text'), '', { mode: 0o644 });
    expect(findTool('text', folder)).toBeNull();
  });

  test('does not look in the working directory for an empty PATH', () => {
    expect(findTool(basename(process.execPath), '')).toBeNull();
  });
});

describe('requireTool', () => {
  const project = fileURLToPath(new URL('../../', import.meta.url));
  symlinkSync(join(project, 'node_modules'), join(folder, 'node_modules'), 'junction');
  for (const name of ['require-tool.ts', 'find-tool.ts']) {
    copyFileSync(join(project, 'test/tools', name), join(folder, name));
  }

  /** Runs vitest on a suite of two tests for the tool. */
  async function report(tool: string, ci: boolean, ...others: readonly string[]) {
    writeFileSync(
      join(folder, 'suite.test.ts'),
      `import { test } from 'vitest';
       import { requireTool } from './require-tool.ts';
       requireTool(${[tool, ...others].map((name) => JSON.stringify(name)).join()})('suite', (path) => { test('a', () => {}); test('b ' + path, () => {}); });`,
    );
    const env = { ...process.env, CI: 'true' };
    if (!ci) Reflect.deleteProperty(env, 'CI');
    const vitest = join(project, 'node_modules/vitest/vitest.mjs');
    const json = join(folder, 'report.json');
    await new Promise<void>((resolve) => {
      const argv = [vitest, 'run', `--root=${folder}`, '--reporter=json', `--outputFile.json=${json}`];
      // Fails where the suite fails: the report tells.
      execFile(process.execPath, argv, { cwd: folder, env }, () => resolve());
    });
    const { numPassedTests, numFailedTests, numPendingTests, testResults } = JSON.parse(
      readFileSync(json, 'utf8'),
    ) as {
      numPassedTests: number;
      numFailedTests: number;
      numPendingTests: number;
      testResults: { assertionResults: { fullName: string }[] }[];
    };
    return {
      counts: [numPassedTests, numFailedTests, numPendingTests],
      names: testResults.flatMap(({ assertionResults }) => assertionResults.map(({ fullName }) => fullName)),
    };
  }

  test('runs the suite where the tool is', async () => {
    const { counts } = await report('sh', false);
    expect(counts).toEqual([2, 0, 0]);
  });

  test('shows and counts each test that is skipped for want of the tool', async () => {
    const { counts, names } = await report('no-such-tool', false);
    expect(counts).toEqual([0, 0, 2]);
    expect(names[0]).toBe('suite [skipped: no-such-tool is not installed] a');
  });

  test('names the one of several tools that is missing', async () => {
    const { counts, names } = await report('sh', false, 'no-such-tool');
    expect(counts).toEqual([0, 0, 2]);
    expect(names[0]).toBe('suite [skipped: no-such-tool is not installed] a');
  });

  test('fails under CI for want of the tool', async () => {
    const { counts, names } = await report('no-such-tool', true);
    expect(counts).toEqual([0, 1, 0]);
    expect(names).toEqual(['suite needs no-such-tool']);
  });
});
