/** The program as a process: what it prints, where, and with which exit code. */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, test } from 'vitest';
import { neededNode, refuseOldNode } from '../../src/config/node-version.ts';
import { makeConfigFolder } from './config-folder.ts';

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

describe.skipIf(process.platform === 'win32')('output that cannot be written', () => {
  const COMMANDS = ['--help', '--version', 'token a', 'audit verify', 'check-config', 'doctor'] as const;

  /** With this as standard output, by a shell. */
  async function runInto(how: string, command: string): Promise<{ code: number; stderr: string }> {
    const folder = makeConfigFolder();
    const file = folder.path('aliases.good.yml');
    if (command.startsWith('audit')) writeFileSync(folder.path('audit.jsonl'), '');
    const word = { 'check-config': file, 'audit verify': folder.path('audit.jsonl') }[command] ?? '';
    const line = `${process.execPath} ${MAIN} ${command} ${word}`;
    try {
      return await new Promise((resolve) => {
        execFile('bash', ['-c', how.replace('COMMAND', line)], (error, _, stderr) => {
          resolve({ code: error === null ? 0 : Number(error.code), stderr });
        });
      });
    } finally {
      folder.remove();
    }
  }

  test.each(COMMANDS)('because nobody reads it: %s ends with 1 and without a word', async (command) => {
    expect(await runInto('COMMAND | true; exit ${PIPESTATUS[0]}', command)).toEqual({ code: 1, stderr: '' });
  });

  test.runIf(existsSync('/dev/full')).each(COMMANDS)(
    'because the disk is full: %s ends with 1 and one line',
    async (command) => {
      expect(await runInto('COMMAND > /dev/full', command)).toEqual({
        code: 1,
        stderr: expect.stringMatching(
          /^rras-exporter: error: standard output cannot be written: ENOSPC: [^\n]+\n$/,
        ) as string,
      });
    },
  );
});

test('a Node.js older than package.json says is refused by name, before anything of it is missed', () => {
  expect(neededNode()).toMatch(/^\d+\.\d+\.\d+$/);
  for (const [version, refused] of [
    ['v20.20.2', true],
    ['v22.17.9', true],
    ['v9.99.99', true],
    ['v22.18.0', false],
    ['v22.18.1-nightly', false],
    ['v22.100.0', false],
    ['v24.0.0', false],
  ] as const) {
    const act = (): void => refuseOldNode(version, '22.18.0');
    if (refused) {
      expect(act).toThrow(
        `this is Node.js ${version}, which is too old: install 22.18.0 or later, and start rras-exporter with that one`,
      );
    } else expect(act).not.toThrow();
  }
  expect(() => refuseOldNode(process.version)).not.toThrow();
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

describe('with a configuration file', () => {
  const folder = makeConfigFolder();
  afterAll(() => folder.remove());
  const bad = folder.path('unknown-below.bad.yml');
  const error = `rras-exporter: error: ${bad}:3:3: web.lisen-address: unknown key (did you mean listen-address?)\n`;

  test('R2 serving a bad one is one line on standard error and exits 2', async () => {
    const flags = ['--rras.simulate', '--web.listen-address=127.0.0.1:0'];
    expect(await run(...flags, `--config.file=${bad}`)).toEqual({ code: 2, stdout: '', stderr: error });
  });

  test('R2 check-config tells the same of a bad one and exits 1', async () => {
    expect(await run('check-config', bad)).toEqual({ code: 1, stdout: '', stderr: error });
  });

  test('check-config sums up a good one and exits 0', async () => {
    const good = folder.path('aliases.good.yml');
    const { code, stdout, stderr } = await run('check-config', good, '--web.listen-address=127.0.0.1:1');
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toBe(
      `${good} is valid\nlistens on 127.0.0.1:1 without TLS, admin API off, 2 tokens, 0 client certificates, 0 hook rules, Grafana hook off\n`,
    );
  });

  test('check-config takes the file as its word only', async () => {
    expect(await run('check-config', bad, `--config.file=${bad}`)).toEqual({
      code: 2,
      stdout: '',
      stderr: 'rras-exporter: error: check-config checks the file it names (leave out --config.file)\n',
    });
  });

  test('other commands read it, too', async () => {
    expect(await run('pseudonym', 'anna', `--config.file=${bad}`)).toEqual({
      code: 2,
      stdout: '',
      stderr: error,
    });
  });

  test('A9 check-config refuses an admin API that would be served in clear to others', async () => {
    const name = folder.path('exposed.yml');
    const text = readFileSync(folder.path('aliases.good.yml'), 'utf8');
    writeFileSync(name, `web: { enable-admin-api: true }\n${text}`);
    const { code, stdout, stderr } = await run('check-config', name);
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toMatch(
      /^rras-exporter: error: the admin API would be served without TLS on :10077, .+\n$/,
    );
    expect(await run('check-config', name, '--web.listen-address=[::1]:1')).toMatchObject({ code: 0 });
  });

  test('token prints a new token and lines that fit the file', async () => {
    const { code, stdout, stderr } = await run('token', '1e3');
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    const [token = '', ...lines] = stdout.split('\n');
    expect(token).toMatch(/^rrasx_[\w-]{43}$/);
    const name = folder.path('token.yml');
    writeFileSync(name, lines.join('\n'));
    expect(lines.join('\n')).toContain(createHash('sha256').update(token).digest('hex'));
    expect(lines.join('\n')).not.toContain(token);
    expect(await run('check-config', name)).toMatchObject({ code: 0 });
    expect((await run('token', '1e3')).stdout.split('\n')[0]).not.toBe(token);
  });

  test.each(['', 'on call', 'a'.repeat(65), 'x\n'])('token takes no name such as %j', async (name) => {
    expect(await run('token', name)).toEqual({
      code: 2,
      stdout: '',
      stderr:
        'rras-exporter: error: the token needs a name of 1 to 64 letters, digits, dots, underscores and dashes\n',
    });
  });
});
