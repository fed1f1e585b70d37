/** The program as a process: what it prints, where, and with which exit code. */
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const MAIN = fileURLToPath(new URL('../../src/main.ts', import.meta.url));

function run(...argv: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  return new Promise((resolve) => {
    execFile(process.execPath, [MAIN, ...argv], (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : Number(error.code), stdout, stderr });
    });
  });
}

test('--help prints the golden text and exits 0', async () => {
  const golden = readFileSync(new URL('../golden/help.txt', import.meta.url), 'utf8');
  expect(await run('--help')).toEqual({ code: 0, stdout: golden, stderr: '' });
});

test('--version prints the version of package.json and exits 0', async () => {
  const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
    version: string;
  };
  const { code, stdout, stderr } = await run('--version');
  expect(stdout.split('\n')[0]).toBe(
    `rras-exporter, version ${version} (${process.platform}/${process.arch})`,
  );
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
});

test('wrong usage is one line on standard error and exits 2', async () => {
  expect(await run('--log.lvl=info')).toEqual({
    code: 2,
    stdout: '',
    stderr: 'rras-exporter: error: unknown flag --log.lvl (did you mean --log.level?)\n',
  });
});

test('an unknown command is one line on standard error and exits 2', async () => {
  expect(await run('recrod', 'a.rec')).toEqual({
    code: 2,
    stdout: '',
    stderr: 'rras-exporter: error: unknown command "recrod" (did you mean record?)\n',
  });
});

test('a command prints the same --help', async () => {
  expect(await run('record', '--help')).toEqual(await run('--help'));
});

test('a value that is wrong is one line on standard error and exits 2', async () => {
  expect(await run('--web.max-requests=many')).toEqual({
    code: 2,
    stdout: '',
    stderr: 'rras-exporter: error: --web.max-requests=many: expected a whole number from 0 to 1000000\n',
  });
});
