/** The program as a process: how it starts, and that it ends when it is told to. */
import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable, Writable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { describe, expect, onTestFinished, test } from 'vitest';
import { STDIN_STOP_VARIABLE } from '../../src/runtime/shutdown.ts';

const MAIN = fileURLToPath(new URL('../../src/main.ts', import.meta.url));

function start(argv: readonly string[], env: Record<string, string> = {}) {
  const child: ChildProcessByStdio<Writable, null, Readable> = spawn(process.execPath, [MAIN, ...argv], {
    stdio: ['pipe', 'ignore', 'pipe'],
    env: { ...process.env, ...env },
  });
  onTestFinished(() => void child.kill('SIGKILL'));
  let log = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => (log += text));
  const exit = once(child, 'close').then(([code]) => code as number | null);
  return {
    child,
    log: () => log,
    exit,
    /** The address in the log's first line about listening. */
    url: async (): Promise<string> => {
      for (;;) {
        const url = /msg=listening url=(\S+)/.exec(log)?.[1];
        if (url !== undefined) return url;
        if (child.exitCode !== null) throw new Error(`the program ended: ${log}`);
        await once(child.stderr, 'data');
      }
    },
  };
}

const SIMULATED = ['--rras.simulate=small', '--web.listen-address=127.0.0.1:0'] as const;

/** Time from the request to end until the end. */
async function endedAfterMs(exit: Promise<number | null>): Promise<number> {
  const begin = performance.now();
  await exit;
  return performance.now() - begin;
}

describe.skipIf(process.platform === 'win32')('H7 a signal', () => {
  test.each(['SIGTERM', 'SIGINT'] as const)(
    '%s ends the exporter with exit code 0 within 5 s',
    async (signal) => {
      const { child, exit, url, log } = start(SIMULATED);
      expect((await fetch(await url())).status).toBe(200);
      child.kill(signal);
      expect(await endedAfterMs(exit)).toBeLessThan(5000);
      expect(await exit).toBe(0);
      expect(log()).toMatch(new RegExp(`msg="shutting down" reason=${signal}\\n(.*\\n)*.*msg=bye\\n$`));
    },
  );
});

test('H7 the end of standard input ends it where the environment asks for that', async () => {
  const { child, exit, url } = start(SIMULATED, { [STDIN_STOP_VARIABLE]: '1' });
  await url();
  child.stdin.end();
  expect(await endedAfterMs(exit)).toBeLessThan(5000);
  expect(await exit).toBe(0);
});

test('the end of standard input means nothing otherwise', async () => {
  const { child, exit, url } = start(SIMULATED);
  const address = await url();
  child.stdin.end();
  expect((await fetch(address)).status).toBe(200);
  expect(child.exitCode).toBeNull();
  child.kill();
  await exit;
});

test('an address that is in use is one line on standard error and exit code 1', async () => {
  const first = start(SIMULATED);
  const { host } = new URL(await first.url());
  const second = start(['--rras.simulate=small', `--web.listen-address=${host}`, '--log.level=error']);
  expect(await second.exit).toBe(1);
  expect(second.log()).toMatch(/^rras-exporter: error: .*\n$/);
  expect(second.log()).toContain(host);
});

test('what keeps it from starting is the last line of the log file, too, with what to do', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'rras-exporter-ending-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const file = join(folder, 'rras-exporter.log');
  const logged = (): string => readFileSync(file, 'utf8').trimEnd().split('\n').at(-1)!;
  const first = start(SIMULATED);
  const { host } = new URL(await first.url());
  const busy = start(['--rras.simulate=small', `--web.listen-address=${host}`, `--log.output=file:${file}`]);
  expect(await busy.exit).toBe(1);
  expect(busy.log()).toMatch(/^rras-exporter: error: .*\n$/);
  expect(logged()).toMatch(
    new RegExp(`level=error msg="cannot start" error="cannot listen on ${host}: .*--web.listen-address"$`),
  );
  const wrong = start(['--rras.replay=none.rec', `--log.output=file:${file}`]);
  expect(await wrong.exit).not.toBe(0);
  expect(logged()).toMatch(/level=error msg="cannot start" error=".*none\.rec.*"/);
});

test.skipIf(process.platform === 'win32')(
  'without mprapi.dll and without a simulation it does not start, says why and names the flag',
  async () => {
    const { exit, log } = start([]);
    expect(await exit).toBe(2);
    expect(log()).toMatch(/^rras-exporter: error: .*mprapi\.dll.*--rras\.simulate.*\n$/);
  },
);
