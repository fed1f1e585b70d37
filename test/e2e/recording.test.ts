/** The commands `record` and `pseudonym` and the flag --rras.replay of the built program, from outside. */
import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { Rec } from '../native/simulator/records.ts';
import { RAS_CONNECTION_4 } from '../../src/native/layout.ts';
import { RecordingReader } from '../../src/native/recording.ts';
import { buildIfStale, endAll, MAIN, NODE, Program, until } from './program.ts';

beforeAll(buildIfStale);
afterEach(endAll);

const folder = mkdtempSync(join(tmpdir(), 'rras-exporter-recording-e2e-'));
afterAll(() => rmSync(folder, { recursive: true }));
let files = 0;
const newFile = (): string => join(folder, `${(files += 1)}.rec`);

async function run(...args: string[]) {
  const { code, stdout, stderr } = await new Program(args).ended;
  return { code, stdout, stderr };
}

const sum = (values: Readonly<Record<string, number>> | undefined): number =>
  Object.values(values ?? {}).reduce((total, value) => total + value, 0);

/** Connections of each poll: how many, and the bytes that all together have received. */
async function connectionsIn(
  file: string,
): Promise<{ count: number; receivedBytes: number; start: number }[]> {
  const reader = await RecordingReader.open(file, { bytes: true });
  const polls: { count: number; receivedBytes: number; start: number }[] = [];
  for (let call = await reader.next(); call; call = await reader.next()) {
    if (call.fn !== 'MprAdminConnectionEnum' || !call.bytes) continue;
    const { size } = RAS_CONNECTION_4;
    let receivedBytes = 0;
    let start = 0;
    for (let at = 0; at < call.bytes.length; at += size) {
      const rec = new Rec(RAS_CONNECTION_4, call.bytes.subarray(at, at + size));
      receivedBytes += Number(rec.u64('ullBytesRcved'));
      start += rec.seconds('connectionStartTime');
    }
    polls.push({ count: call.bytes.length / size, receivedBytes, start });
  }
  return polls;
}

describe('record', () => {
  const file = newFile();

  test('reads the server for the time that is asked, and says what it wrote in one line', async () => {
    const { code, stdout, stderr } = await run(
      'record',
      file,
      '--rras.simulate=small',
      '--record.duration=3s',
    );
    expect({ code, stdout }).toEqual({
      code: 0,
      stdout: `recorded 2 polls, 15 calls, ${statSync(file).size} bytes: ${file}\n`,
    });
    expect(stderr).not.toMatch(/level=(warn|error)/);
    expect(await connectionsIn(file)).toHaveLength(2);
  });

  test('never overwrites a file', async () => {
    const before = readFileSync(file);
    expect(await run('record', file, '--rras.simulate=small')).toEqual({
      code: 1,
      stdout: '',
      stderr: `rras-exporter: error: the file ${file} exists already, and is not overwritten: choose another name\n`,
    });
    expect(readFileSync(file)).toEqual(before);
  });

  test('goes on until it is stopped on a duration of 0, and ends in good order then', async () => {
    const endless = newFile();
    const program = new Program(['record', endless, '--rras.simulate=small', '--record.duration=0s']);
    await until('the first poll is written', () => existsSync(endless) && statSync(endless).size > 5000);
    const { code, stdout } = await program.end('SIGINT');
    expect({ code, stdout: stdout.split(',')[0] }).toEqual({ code: 0, stdout: 'recorded 1 polls' });
    expect(await connectionsIn(endless)).toHaveLength(1);
  });

  test('that is killed leaves what it has read', async () => {
    const killed = newFile();
    const program = new Program(['record', killed, '--rras.simulate=small']);
    await until('the first poll is written', () => existsSync(killed) && statSync(killed).size > 5000);
    await program.end('SIGKILL');
    const { stderr } = await servedOnce(killed);
    expect(stderr).toContain(
      'level=warn msg="the recording broke off: what is complete of it is played back"',
    );
  });

  test('on a full disk ends with 1 and says so', () => {
    const full = newFile();
    // No file may grow beyond 1 KiB; a program that ignores the signal of that gets an error.
    const { status, stderr } = spawnSync(
      'bash',
      [
        '-c',
        'trap "" XFSZ; ulimit -f 1; exec "$@"',
        'bash',
        NODE,
        MAIN,
        'record',
        full,
        '--rras.simulate=small',
      ],
      { encoding: 'utf8' },
    );
    expect(status).toBe(1);
    expect(stderr).toMatch(/^rras-exporter: error: the recording .* cannot be written: .*EFBIG/m);
  });

  test.each([
    [['record'], 'record needs FILE (write rras-exporter record FILE [flags])'],
    [['record', 'a', '--rras.replay=b'], '--rras.replay cannot be recorded again (leave it out)'],
    [
      ['record', 'a'],
      `there is no mprapi.dll on ${process.platform}: a real RRAS server can be read on Windows only ` +
        '(use --rras.simulate for a simulated server, or --rras.replay=FILE for a recording)',
    ],
  ])('%j is refused with 2', async (args, message) => {
    expect(await run(...args)).toEqual({ code: 2, stdout: '', stderr: `rras-exporter: error: ${message}\n` });
  });

  test('into a folder that is not there ends with 1', async () => {
    const { code, stderr } = await run('record', '/nowhere/a.rec', '--rras.simulate=small');
    expect(code).toBe(1);
    expect(stderr).toMatch(/^rras-exporter: error: the recording \/nowhere\/a\.rec cannot be made: .*ENOENT/);
  });
});

async function servedOnce(file: string) {
  const program = await Program.serve(`--rras.replay=${file}`);
  const page = await program.scrape();
  return { page, ...(await program.end()) };
}

describe('--rras.replay', () => {
  test.each(['process', 'none'])('shows what was recorded (isolation %s)', async (isolation) => {
    const file = newFile();
    await run('record', file, '--rras.simulate=small', '--record.duration=3s');
    const [first, last] = await connectionsIn(file);
    expect(last!.receivedBytes).toBeGreaterThan(first!.receivedBytes);
    const program = await Program.serve(
      `--rras.replay=${file}`,
      `--native.isolation=${isolation}`,
      '--collector.min-interval=0s',
    );
    const bytes = 'rras_connection_received_bytes_total';
    const page = await program.scrape();
    expect(page.value('rras_up')).toBe(1);
    expect(page.value('rras_exporter_simulated')).toBe(0);
    expect(sum(page.values('rras_connections'))).toBe(first!.count);
    expect([first!.receivedBytes, last!.receivedBytes]).toContain(sum(page.values(bytes)));
    expect(sum(page.values('rras_connection_start_time_seconds'))).toBeCloseTo(first!.start, 1);
    await until('the last poll', async () => {
      return sum((await program.scrape()).values(bytes)) === last!.receivedBytes;
    });
    // It holds from there on.
    expect(sum((await program.scrape()).values('rras_connections'))).toBe(last!.count);
    expect((await program.get('/metrics')).text).toMatch(/rras_connection_info\{.*user="name-\d+"/);
    const { stderr } = await program.end();
    expect(stderr).toMatch(
      /level=warn msg="the server is a recording: none of its data is of now" file=\S+ recordedAt=20\S+Z seconds=3$/m,
    );
    expect(stderr).not.toMatch(/broke off|is simulated/);
  });

  test('of a file that is not there, damaged or something else ends with 1 and one line', async () => {
    const foreign = newFile();
    writeFileSync(foreign, 'rras_up 1\n');
    for (const [file, message] of [
      [
        '/nowhere/a.rec',
        /^rras-exporter: error: the recording \/nowhere\/a\.rec cannot be read: .*ENOENT.*\n$/,
      ],
      [foreign, /^rras-exporter: error: \S+, line 1: this is no recording, as it is not gzip: .*\n$/],
    ] as const) {
      const { code, stdout, stderr } = await run(`--rras.replay=${file}`);
      expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
      expect(
        stderr
          .split('\n')
          .filter((line) => !line.startsWith('time='))
          .join('\n'),
      ).toMatch(message);
    }
  });
});

describe('pseudonym', () => {
  test('prints what the metrics show of a name, in any case of letters, and keeps its key', async () => {
    const storage = join(folder, 'storage');
    const first = await run('pseudonym', 'Anna', 'anna', 'CORP\\anna', `--storage.path=${storage}`);
    expect(first.code).toBe(0);
    expect(first.stderr).toBe(`rras-exporter: there was no key in ${storage}, so a new one was made\n`);
    const [upper, lower, other] = first.stdout.trimEnd().split('\n');
    expect(upper).toMatch(/^Anna\tp-[0-9a-f]{16}$/);
    expect(lower).toBe(upper!.replace('Anna', 'anna'));
    expect(other).toMatch(/^CORP\\anna\tp-[0-9a-f]{16}$/);
    expect(other!.split('\t')[1]).not.toBe(upper!.split('\t')[1]);
    const again = await run('pseudonym', 'Anna', `--storage.path=${storage}`, '--privacy.users=none');
    expect(again).toEqual({ code: 0, stdout: `${upper}\n`, stderr: '' });

    const program = await Program.serve(
      '--rras.simulate=small',
      '--privacy.users=pseudonym',
      `--storage.path=${storage}`,
    );
    const domains = new Set(
      [...(await program.get('/metrics')).text.matchAll(/^rras_connection_info\{.* ?domain="([^"]*)"/gm)].map(
        (match) => match[1],
      ),
    );
    const { stdout } = await run('pseudonym', 'CORP', `--storage.path=${storage}`);
    expect(domains).toContain(stdout.trimEnd().split('\t')[1]);
  });

  test('with a key that cannot be read, or that others can, ends with 1 and says what to do', async () => {
    const storage = join(folder, 'open');
    await run('pseudonym', 'anna', `--storage.path=${storage}`);
    chmodSync(storage, 0o755);
    const { code, stdout, stderr } = await run('pseudonym', 'anna', `--storage.path=${storage}`);
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toBe(
      `rras-exporter: error: the storage folder ${storage} is open to other users; close it by: chmod 700 ${storage}\n`,
    );
    chmodSync(storage, 0o700);
    writeFileSync(join(storage, 'pseudonym.key'), 'short\n');
    expect((await run('pseudonym', 'anna', `--storage.path=${storage}`)).stderr).toContain('is damaged');
  });
});
