/** The built program, from outside: start, scrapes, faults of the process that holds the DLL, and the end. */
import type { AddressInfo } from 'node:net';
import { connect, createServer } from 'node:net';
import { afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { Page } from '../metrics/page.ts';
import { buildIfStale, endAll, isAlive, Program, until } from './program.ts';

beforeAll(buildIfStale);
afterEach(endAll);

/** For tests that measure time on a machine that others use too: a promise that is broken is so every time. */
const TIMED = { retry: 2 };

const TIMESTAMP = 'rras_snapshot_timestamp_seconds';
const restarts = (page: Page) => page.values('rras_exporter_host_restarts_total');
const sum = (values: Readonly<Record<string, number>> | undefined): number =>
  Object.values(values ?? {}).reduce((total, value) => total + value, 0);

/** What stands on standard error apart from the log. */
const complaints = (stderr: string): string[] =>
  stderr.split('\n').filter((line) => line !== '' && !/^time=\S+ level=/.test(line));

describe('the program', () => {
  test('answers a scrape within 2 s of its start', TIMED, async () => {
    const started = performance.now();
    const program = await Program.serve('--rras.simulate=small');
    const page = await program.scrape();
    expect(performance.now() - started).toBeLessThan(2000);
    expect(page.value('rras_up')).toBe(1);
    expect(page.value('rras_exporter_simulated')).toBe(1);
    expect(sum(page.values('rras_connections'))).toBeGreaterThan(0);
    expect(page.names).toContain('process_cpu_seconds_total');
    expect((await program.get('/-/ready')).status).toBe(200);
  });

  test('leaves out what is its own on --web.disable-exporter-metrics, and keeps rras_exporter_', async () => {
    const program = await Program.serve('--rras.simulate=small', '--web.disable-exporter-metrics');
    const { names } = await program.scrape();
    expect(names.filter((name) => !name.startsWith('rras_'))).toEqual([]);
    expect(names).toContain('rras_exporter_build_info');
  });

  test('says on standard error where it listens and that its data is made up, and nothing on standard output', async () => {
    const program = await Program.serve('--rras.simulate=small');
    await program.scrape();
    const { stdout, stderr } = await program.end();
    expect(stdout).toBe('');
    expect(stderr).toMatch(/level=info msg=listening url=http:\/\/127\.0\.0\.1:\d+\/metrics$/m);
    expect(stderr).toMatch(
      /level=warn msg="the server is simulated: none of its data is real" scenario=small$/m,
    );
    expect(complaints(stderr)).toEqual([]);
  });

  test('H2 answers scrapes within 100 ms beside 16 readers that do not read', TIMED, async () => {
    const program = await Program.serve('--rras.simulate=small', '--collector.min-interval=0s');
    await program.scrape();
    const { port } = new URL(program.url);
    const silent = Array.from({ length: 16 }, () => {
      const socket = connect(Number(port), '127.0.0.1').pause();
      socket.on('error', () => undefined);
      // More than the buffers between the two of them take.
      socket.write('GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n'.repeat(50));
      return socket;
    });
    const times: number[] = [];
    for (let i = 0; i < 300; i += 1) {
      const started = performance.now();
      await program.get('/metrics');
      times.push(performance.now() - started);
    }
    for (const socket of silent) socket.destroy();
    expect(times.sort((a, b) => a - b)[Math.floor(0.99 * times.length)]).toBeLessThan(100);
  });

  test('H7 ends with 0 on SIGTERM and on SIGINT, soon, and leaves no child', async () => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) {
      const program = await Program.serve('--rras.simulate=small');
      await program.scrape();
      const host = program.nativeHost();
      const { code, ms } = await program.end(signal);
      expect(code).toBe(0);
      expect(ms).toBeLessThan(5000);
      await until(`the child is gone after ${signal}`, () => !isAlive(host), 500);
    }
  });

  test('H7 lets a scrape finish that is under way when SIGTERM comes, and ends with 0 within 5 s', async () => {
    const program = await Program.serve('--rras.simulate=small', '--collector.min-interval=0s');
    const before = await program.scrape();
    const host = program.nativeHost();
    process.kill(host, 'SIGSTOP');
    // Does not wait for the poll that it starts; the next one joins that poll.
    await program.scrape({ headers: { 'X-Prometheus-Scrape-Timeout-Seconds': '0.02' } });
    let isAnswered = false;
    const scrape = program.scrape().finally(() => (isAnswered = true));
    await program.get('/-/healthy');
    const ending = program.end();
    const isRefused = (): Promise<boolean> =>
      program.get('/-/healthy').then(
        () => false,
        () => true,
      );
    await until('it takes no more', isRefused);
    expect(isAnswered).toBe(false);
    process.kill(host, 'SIGCONT');
    const page = await scrape;
    expect(Object.keys(page.values('rras_connections') ?? {})).toEqual(
      Object.keys(before.values('rras_connections') ?? {}),
    );
    expect(page.value('rras_up')).toBe(1);
    const { code, ms } = await ending;
    expect(code).toBe(0);
    expect(ms).toBeLessThan(5000);
    await until('the child is gone', () => !isAlive(host), 500);
  });

  test.each(['SIGTERM', 'SIGINT'] as const)(
    'H7 %s to all of its processes, as by Ctrl+C or a service manager, lets the scrape finish, too',
    TIMED,
    async (signal) => {
      const program = await Program.serve('--rras.simulate=large:5000', '--collector.min-interval=0s');
      await program.scrape();
      const host = program.nativeHost();
      process.kill(host, 'SIGSTOP');
      // As above: the second one waits for the poll that the first one starts.
      await program.scrape({ headers: { 'X-Prometheus-Scrape-Timeout-Seconds': '0.02' } });
      const scrape = program.scrape();
      await program.get('/-/healthy');
      const ending = program.end(signal);
      process.kill(host, signal);
      await until('it ends', () => program.log.includes('shutting down'));
      process.kill(host, 'SIGCONT');
      const page = await scrape;
      expect(page.value('rras_up')).toBe(1);
      expect(sum(page.values('rras_connections'))).toBe(5000);
      const { code, ms, stderr } = await ending;
      expect(code).toBe(0);
      expect(ms).toBeLessThan(5000);
      expect(stderr).not.toContain('native host process killed');
      await until('the child is gone', () => !isAlive(host), 500);
    },
  );

  test('a reload by SIGHUP to all of its processes costs no native host', async () => {
    const program = await Program.serve('--rras.simulate=small', '--collector.min-interval=0s');
    await program.scrape();
    const host = program.nativeHost();
    process.kill(host, 'SIGHUP');
    program.signal('SIGHUP');
    await until('it is loaded', () => program.log.includes('the configuration is loaded'));
    const page = await program.scrape();
    expect(restarts(page)).toEqual({ timeout: 0, crash: 0, protocol: 0 });
    expect(program.nativeHost()).toBe(host);
  });

  test('H7 is not kept from ending by a client that holds its connection', async () => {
    const program = await Program.serve('--rras.simulate=small');
    const { port } = new URL(program.url);
    const socket = connect(Number(port), '127.0.0.1');
    socket.on('error', () => undefined);
    await new Promise<void>((resolve) => {
      socket.once('data', () => resolve());
      socket.write('GET /-/healthy HTTP/1.1\r\nHost: x\r\n\r\n');
    });
    // Half a request is under way.
    socket.write('GET /metrics HTTP/1.1\r\n');
    const { code, ms } = await program.end();
    socket.destroy();
    expect(code).toBe(0);
    expect(ms).toBeLessThan(5000);
  });

  test('leaves no child when it is killed itself', async () => {
    const program = await Program.serve('--rras.simulate=small');
    await program.scrape();
    const host = program.nativeHost();
    await program.end('SIGKILL');
    await until('the child is gone', () => !isAlive(host), 2000);
  });

  test('runs without a child on --native.isolation=none', async () => {
    const program = await Program.serve(
      '--rras.simulate=small',
      '--native.isolation=none',
      '--collector.min-interval=0s',
    );
    const first = await program.scrape();
    expect(first.value('rras_up')).toBe(1);
    expect(program.children()).toEqual([]);
    const second = await program.scrape();
    expect(second.value(TIMESTAMP)!).toBeGreaterThan(first.value(TIMESTAMP)!);
    expect((await program.end()).code).toBe(0);
  });
});

describe('a start that fails', () => {
  async function run(...args: string[]) {
    const { code, stdout, stderr } = await new Program(args).ended;
    return { code, stdout, complaints: complaints(stderr) };
  }

  test('because the port is in use ends with 1 and one line that says so', async () => {
    const other = createServer();
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
    const { port } = other.address() as AddressInfo;
    try {
      expect(await run('--rras.simulate=small', `--web.listen-address=127.0.0.1:${port}`)).toEqual({
        code: 1,
        stdout: '',
        complaints: [
          `rras-exporter: error: cannot listen on 127.0.0.1:${port}: the address is in use by another program; ` +
            'stop that one or choose another by --web.listen-address',
        ],
      });
    } finally {
      other.close();
    }
  });

  test('because one of two ports is in use does not serve on the other', async () => {
    const other = createServer();
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
    const { port } = other.address() as AddressInfo;
    const { code } = await run(
      '--rras.simulate=small',
      '--web.listen-address=127.0.0.1:0',
      `--web.listen-address=127.0.0.1:${port}`,
    );
    other.close();
    expect(code).toBe(1);
  });

  test.each<[what: string, args: string[], line: string]>([
    [
      'of an unknown flag',
      ['--rras.simulat=small'],
      'unknown flag --rras.simulat (did you mean --rras.simulate?)',
    ],
    [
      'of a bad value',
      ['--rras.simulate=small', '--collector.timeout=soon'],
      '--collector.timeout=soon: expected a duration from 1ms to 1h, such as 500ms, 10s or 1m30s',
    ],
    [
      'there is nothing to read on this platform',
      [],
      `there is no mprapi.dll on ${process.platform}: a real RRAS server can be read on Windows only ` +
        '(use --rras.simulate for a simulated server, or --rras.replay=FILE for a recording)',
    ],
  ])('because %s ends with 2 and one line', async (_, args, line) => {
    expect(await run(...args)).toEqual({
      code: 2,
      stdout: '',
      complaints: [`rras-exporter: error: ${line}`],
    });
  });
});

describe('the process that holds the DLL', () => {
  test('N2 is replaced when it dies: the next scrape is answered, the one after it is fresh', async () => {
    const program = await Program.serve('--rras.simulate=small', '--collector.min-interval=0s');
    const before = await program.scrape();
    const host = program.nativeHost();
    process.kill(host, 'SIGKILL');
    const next = await program.scrape();
    expect(sum(next.values('rras_connections'))).toBeGreaterThan(0);
    const after = await program.scrape();
    expect(restarts(after)).toEqual({ timeout: 0, crash: 1, protocol: 0 });
    expect(after.value('rras_up')).toBe(1);
    expect(after.value(TIMESTAMP)!).toBeGreaterThan(before.value(TIMESTAMP)!);
    expect(program.nativeHost()).not.toBe(host);
    expect(isAlive(host)).toBe(false);
  });

  test('N2 is replaced after a pause when it dies again and again; the page is always there', async () => {
    const program = await Program.serve('--rras.simulate=small', '--collector.min-interval=0s');
    const before = await program.scrape();
    const deaths = (): number =>
      program.log.split('msg="native host process killed" reason=crash').length - 1;
    process.kill(program.nativeHost(), 'SIGSTOP');
    for (const death of [1, 2]) {
      // Does not wait for the poll that it starts, and with it the second child.
      const page = await program.scrape({ headers: { 'X-Prometheus-Scrape-Timeout-Seconds': '0.02' } });
      expect(page.values('rras_connections')).toEqual(before.values('rras_connections'));
      process.kill(program.nativeHost(), 'SIGKILL');
      await until(`death ${death} was noticed`, () => deaths() === death);
    }
    const page = await program.scrape();
    expect(page.value('rras_up')).toBe(0);
    expect(page.value(TIMESTAMP)).toBe(before.value(TIMESTAMP));
    expect(restarts(page)).toEqual({ timeout: 0, crash: 2, protocol: 0 });
    expect(program.children()).toEqual([]);
    await until('it is up again', async () => (await program.scrape()).value('rras_up') === 1, 5000);
  });

  test(
    'N1 may hang: scrapes are answered in time with the last good snapshot, and it is killed and replaced',
    TIMED,
    async () => {
      const program = await Program.serve(
        '--rras.simulate=small',
        '--collector.min-interval=0s',
        '--collector.timeout=2s',
      );
      const good = await program.scrape();
      const host = program.nativeHost();
      process.kill(host, 'SIGSTOP');

      const started = performance.now();
      const headers = { 'X-Prometheus-Scrape-Timeout-Seconds': '1' };
      const late = await program.scrape({ headers });
      const tookMs = performance.now() - started;
      // The deadline of a scrape that names 1 s is 900 ms.
      expect(tookMs).toBeGreaterThan(890);
      expect(tookMs).toBeLessThan(1000);
      expect(late.value(TIMESTAMP)).toBe(good.value(TIMESTAMP));
      expect(late.values('rras_connections')).toEqual(good.values('rras_connections'));
      expect(late.values('rras_connection_received_bytes_total')).toEqual(
        good.values('rras_connection_received_bytes_total'),
      );
      expect(restarts(late)).toEqual({ timeout: 0, crash: 0, protocol: 0 });
      expect(isAlive(host)).toBe(true);

      await until('the hanging child is killed', () => !isAlive(host), 2000);
      expect(performance.now() - started).toBeGreaterThan(1900);
      expect(performance.now() - started).toBeLessThan(2500);

      // The poll under way goes on in a new child without the source that hung; the next one has them all.
      const joined = await program.scrape({ headers });
      expect(restarts(joined)).toEqual({ timeout: 1, crash: 0, protocol: 0 });
      await until(
        'the next poll',
        async () => (await program.scrape({ headers })).value('rras_up') === 1,
        2000,
      );
      const next = await program.scrape({ headers });
      expect(next.value(TIMESTAMP)!).toBeGreaterThan(good.value(TIMESTAMP)!);
      expect(restarts(next)).toEqual({ timeout: 1, crash: 0, protocol: 0 });
    },
  );

  test('N1 may hang while the program ends: 0 within 5 s, and no child is left', async () => {
    const program = await Program.serve('--rras.simulate=small', '--collector.min-interval=0s');
    await program.scrape();
    const host = program.nativeHost();
    process.kill(host, 'SIGSTOP');
    // The first does not wait for the poll that it starts; the second joins that poll.
    await program.scrape({ headers: { 'X-Prometheus-Scrape-Timeout-Seconds': '0.02' } });
    const hanging = program.get('/metrics').catch((error: unknown) => error);
    await program.get('/-/healthy');
    const { code, ms, stderr } = await program.end();
    expect(code).toBe(0);
    expect(ms).toBeLessThan(5000);
    await until('the child is gone', () => !isAlive(host), 500);
    await hanging;
    expect(complaints(stderr)).toEqual([]);
  });

  test('N7 may hang from the start: the page is there within 2 s all the same', TIMED, async () => {
    const started = performance.now();
    const program = new Program([
      '--rras.simulate=small',
      '--collector.timeout=3s',
      '--web.listen-address=127.0.0.1:0',
    ]);
    process.kill(await program.firstChild(), 'SIGSTOP');
    await until('listening', () => program.url !== '');
    const page = await program.scrape({ headers: { 'X-Prometheus-Scrape-Timeout-Seconds': '0.5' } });
    expect(performance.now() - started).toBeLessThan(2000);
    expect(page.value('rras_up')).toBe(0);
    expect(page.value(TIMESTAMP)).toBe(0);
    expect((await program.get('/-/healthy')).status).toBe(200);
    expect((await program.get('/-/ready')).status).toBe(503);
  });
});
