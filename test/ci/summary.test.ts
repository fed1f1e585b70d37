import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, expect, test } from 'vitest';

const SUMMARY = fileURLToPath(new URL('../../.ci/summary.mjs', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'rras-exporter-summary-'));
afterAll(() => rmSync(folder, { recursive: true }));

interface FileResult {
  readonly status: 'passed' | 'failed';
  readonly assertionResults: readonly { readonly status: string }[];
}

function file(status: FileResult['status'], ...statuses: string[]): FileResult {
  return { status, assertionResults: statuses.map((each) => ({ status: each })) };
}

test.each<[string, FileResult[] | string | null, exitCode: number, line: string, code: number]>([
  [
    'all passed',
    [file('passed', 'passed', 'passed'), file('passed', 'passed')],
    0,
    '3 passed, 0 failed, 0 skipped',
    0,
  ],
  ['one failed', [file('failed', 'passed', 'failed')], 1, '1 passed, 1 failed, 0 skipped', 1],
  ['one skipped', [file('passed', 'passed', 'skipped')], 0, '1 passed, 0 failed, 1 skipped', 1],
  ['one to be done', [file('passed', 'passed', 'todo')], 0, '1 passed, 0 failed, 1 skipped', 1],
  ['a file not loaded', [file('failed'), file('passed', 'passed')], 1, '1 passed, 1 failed, 0 skipped', 1],
  ['a file failed outside its tests', [file('failed', 'passed')], 1, '1 passed, 1 failed, 0 skipped', 1],
  ['an error outside every test', [file('passed', 'passed')], 1, '1 passed, 1 failed, 0 skipped', 1],
  ['no test at all', [], 0, '0 passed, 0 failed, 0 skipped', 1],
  ['no report', null, 0, '0 passed, 0 failed, 0 skipped', 1],
  ['no report after a failed build', null, 2, '0 passed, 1 failed, 0 skipped', 1],
  ['half a report', '{"testResults":[', 1, '0 passed, 1 failed, 0 skipped', 1],
])('%s', (_, results, exitCode, line, code) => {
  const report = join(folder, 'report.json');
  rmSync(report, { force: true });
  if (results !== null) {
    writeFileSync(report, typeof results === 'string' ? results : JSON.stringify({ testResults: results }));
  }
  const { status, stdout } = spawnSync(process.execPath, [SUMMARY, report, String(exitCode)], {
    encoding: 'utf8',
  });
  expect(stdout.trimEnd().split('\n').at(-1)).toBe(line);
  expect(status).toBe(code);
});
