/** `rras-exporter audit verify` as its users run it. */
import { execFile } from 'node:child_process';
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { openAuditLog } from '../../src/admin/audit-log.ts';
import { FakeClock } from '../doubles/fake-clock.ts';

const MAIN = fileURLToPath(new URL('../../src/main.ts', import.meta.url));
const quiet = (): void => undefined;
const logger = { debug: quiet, info: quiet, warn: quiet, error: quiet };

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'rras-exporter-audit-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

function run(...words: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  return new Promise((resolve) => {
    execFile(process.execPath, [MAIN, 'audit', ...words], (error, stdout, stderr) =>
      resolve({ code: error ? Number(error.code) : 0, stdout, stderr }),
    );
  });
}

async function writeLog(into = folder): Promise<string> {
  mkdirSync(into, { recursive: true });
  const log = await openAuditLog({ folder: into, clock: new FakeClock(), logger });
  await log.append({ kind: 'intent', actionId: 'a1', reason: 'first\nsecond line' });
  await log.append({ kind: 'outcome', actionId: 'a1', state: 'succeeded' });
  await log.close();
  return join(
    into,
    readdirSync(into).find((name) => name.endsWith('.jsonl'))!,
  );
}

it('says that a whole log is whole, and what its last hash is', async () => {
  const file = await writeLog();
  for (const path of [file, folder]) {
    const { code, stdout, stderr } = await run('verify', path);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toMatch(
      /^the audit log is whole: 4 lines in 1 file, sequence 1 to 4, last hash [0-9a-f]{64}\n$/,
    );
  }
});

it('D4 names the line that was changed, in one line, and exits 1', async () => {
  const file = await writeLog();
  writeFileSync(file, readFileSync(file, 'utf8').replace('second line', 'another one'));
  const { code, stdout, stderr } = await run('verify', file);
  expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
  expect(stderr).toMatch(/^rras-exporter: error: the audit log is not whole: .+, line 3: .+\n$/);
});

it('verifies the logs of the servers in a folder, too, and exits 1 if any is damaged', async () => {
  const whole = /is whole: 4 lines in 1 file, sequence 1 to 4, last hash [0-9a-f]{64}$/;
  const own = await writeLog();
  const second = await writeLog(join(folder, 'servers', 'vpn2'));
  // On another disk.
  await writeLog(join(folder, 'elsewhere'));
  mkdirSync(join(folder, 'servers'), { recursive: true });
  symlinkSync(join(folder, 'elsewhere'), join(folder, 'servers', 'vpn1'), 'junction');
  // Without actions so far, and something that is no server.
  mkdirSync(join(folder, 'servers', 'vpn3'));
  writeFileSync(join(folder, 'servers', 'notes.txt'), '');
  const good = await run('verify', folder);
  expect(good).toMatchObject({ code: 0, stderr: '' });
  expect(good.stdout.split('\n')).toEqual([
    expect.stringMatching(/^the audit log is/),
    expect.stringMatching(/^the audit log of vpn1 is/),
    expect.stringMatching(/^the audit log of vpn2 is/),
    '',
  ]);
  for (const line of good.stdout.trimEnd().split('\n')) expect(line).toMatch(whole);

  for (const file of [second, own]) {
    writeFileSync(file, readFileSync(file, 'utf8').replace('second line', 'another one'));
    const { code, stdout, stderr } = await run('verify', folder);
    expect(code).toBe(1);
    expect(stdout.match(/is whole/g)).toHaveLength(file === second ? 2 : 1);
    expect(stdout).toMatch(/^the audit log of vpn1 is whole: /m);
    expect(stderr).toContain(`the audit log of vpn2 is not whole: ${second}, line 3: crc: `);
    expect(stderr.includes(`the audit log is not whole: ${own}, line 3: `)).toBe(file === own);
    expect(stderr).toMatch(/^rras-exporter: error: [^\n]+\n$/);
  }
  expect(await run('verify', own)).toMatchObject({ code: 1, stdout: '' });
});

it('refuses other verbs and tells what cannot be read', async () => {
  expect(await run('check', folder)).toMatchObject({
    code: 2,
    stderr: expect.stringContaining('audit verify FILE') as string,
  });
  expect(await run('verify')).toMatchObject({ code: 2 });
  expect(await run('verify', join(folder, 'none'))).toMatchObject({
    code: 1,
    stderr: expect.stringContaining('cannot be read') as string,
  });
});
