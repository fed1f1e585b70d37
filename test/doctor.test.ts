/** `doctor` as its users run it, on Linux: each fault that it looks for, line by line. */
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { spawn, spawnSync } from 'node:child_process';
import type { Server } from 'node:http';
import { createServer } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { blotted, MAIN, runDoctor, runDoctorIn } from './doctor-command.ts';
import { recordSimulator } from './native/recordings.ts';
import { makeCertificate } from './server/certificates.ts';

const folder = mkdtempSync(join(tmpdir(), 'rras-exporter-doctor-test-'));
afterAll(() => rmSync(folder, { recursive: true }));
const place = (name: string): string => join(folder, name);
const FREE = '--web.listen-address=127.0.0.1:0';
const SIMULATED = ['--rras.simulate=small', FREE];

/** Lines of one run, with this test's folder as DIR. */
function doctor(...flags: readonly string[]): Promise<{ code: number; lines: string[] }> {
  return doctorIn({}, ...flags);
}

async function doctorIn(
  environment: Readonly<Record<string, string>>,
  ...flags: readonly string[]
): Promise<{ code: number; lines: string[] }> {
  const { code, stdout, stderr } = await runDoctorIn(environment, folder, ...flags);
  expect(stderr).toBe('');
  return { code, lines: blotted(stdout, { [folder]: 'DIR' }) };
}

/** The line of that check, and its fix. */
function lineOf(lines: readonly string[], name: string): string[] {
  const at = lines.findIndex((line) => line.slice(9).startsWith(`${name}  `));
  return lines.slice(at, lines[at + 1]?.startsWith(' ') ? at + 2 : at + 1);
}

const HEAD = [
  'ok       node                Node.js VERSION',
  'skipped  configuration       no file: flags and defaults',
  'skipped  web configuration   no file: plain HTTP without authentication',
  'ok       storage             ./data is not there yet; it can be made in DIR',
  'skipped  log                 no file: standard error',
  'skipped  telemetry           nothing goes out over OTLP',
  'ok       listen address      127.0.0.1:0: a free port is chosen',
  'ok       clock               NOW',
];

test('a simulated server is healthy, and nothing is left behind', async () => {
  const { code, lines } = await doctor(...SIMULATED);
  expect(lines).toEqual([
    ...HEAD,
    'ok       simulator           small: a simulated server, none of its data is real',
    'ok       service             RemoteAccess is running, up 3 d 4 h',
    'skipped  rights              none are needed',
    'ok       source server       12 of 513 ports in use, T s',
    'ok       source connections  12 connections, 1 page, T s',
    'ok       source ports        513 ports, 1 page, T s',
    'ok       source interfaces   4 interfaces, 1 page, T s',
    'ok       API level           4: start times and 64-bit counters of bytes (MprAdminConnectionEnum)',
    'ok       anomalies           none in 3 pages',
    '',
    '0 failed, 0 warnings, 12 ok, 5 skipped',
  ]);
  expect(code).toBe(0);
  expect(readdirSync(folder)).toEqual([]);
});

test('a platform without mprapi.dll fails, and says what to do instead', async () => {
  const { code, lines } = await doctor(FREE);
  expect(lines.slice(0, HEAD.length + 3)).toEqual([
    ...HEAD,
    'fail     mprapi.dll          there is no mprapi.dll on linux: a real RRAS server can be read on Windows only',
    '         fix: use --rras.simulate for a simulated server, or --rras.replay=FILE for a recording',
    'skipped  service             not looked at: there is no server to read',
  ]);
  expect(lines.at(-1)).toBe('1 failed, 0 warnings, 4 ok, 12 skipped');
  expect(code).toBe(1);
});

test('sources that are switched off are not read', async () => {
  const { code, lines } = await doctor(...SIMULATED, '--no-collector.connections', '--no-collector.ports');
  expect(lineOf(lines, 'source ports')).toEqual([
    'skipped  source ports        switched off by --no-collector.ports',
  ]);
  expect(lineOf(lines, 'API level')).toEqual([
    'skipped  API level           not known: connections were not read',
  ]);
  expect(code).toBe(0);
});

test('--json is one document with the same in it', async () => {
  const { code, stdout } = await runDoctor(folder, ...SIMULATED, '--json');
  const { version, ok, checks } = JSON.parse(stdout) as {
    version: string;
    ok: boolean;
    checks: Record<string, unknown>[];
  };
  expect({ code, ok }).toEqual({ code: 0, ok: true });
  expect(version).toMatch(/^\d+\.\d+\.\d+/);
  const { lines } = await doctor(...SIMULATED);
  const told = checks.map(
    ({ status, name, summary }) => `${String(status).padEnd(9)}${String(name).padEnd(20)}${String(summary)}`,
  );
  expect(blotted(told.join('\n'), { [folder]: 'DIR' })).toEqual(lines.slice(0, -2));
  expect(checks.every(({ seconds }) => typeof seconds === 'number')).toBe(true);
  expect(checks.find(({ name }) => name === 'source connections')).toMatchObject({
    count: 12,
    pages: 1,
    calls: [{ function: 'MprAdminConnectionEnum', count: 1, codes: [0] }],
  });
});

describe('a pipe', () => {
  const piped = (flags: readonly string[], reader: string) =>
    spawnSync('sh', ['-c', `"$0" "$@" | ${reader}`, process.execPath, MAIN, 'doctor', ...flags], {
      cwd: folder,
      encoding: 'utf8',
      timeout: 30_000,
    });

  test('that is read no further ends it without a word', () => {
    const { stdout, stderr } = piped(SIMULATED, 'head -n 1');
    expect(stdout).toMatch(/^ok {7}node .*\n$/);
    expect(stderr).toBe('');
  });

  test('that is read slowly gets all of it', () => {
    const file = place('many.yml');
    const names = Array.from({ length: 256 }, (_, index) => `vpn-${index}`);
    const servers = names.map((name) => `  - { name: ${name}, replay: missing.rec }\n`);
    writeFileSync(file, `servers:\n${servers.join('')}`);
    const { stdout, stderr } = piped([...SIMULATED, '--json', `--config.file=${file}`], '(sleep 2; cat)');
    const { checks } = JSON.parse(stdout) as { checks: { server?: string }[] };
    expect(new Set(checks.flatMap(({ server }) => server ?? []))).toEqual(new Set(names));
    expect(stderr).toBe('');
  });
});

describe('the command line', () => {
  test.each([
    [['--web.max-requests=many'], '--web.max-requests=many: expected a whole number from 0 to 1000000'],
    [['now'], 'doctor takes flags only, not "now"'],
  ])('that cannot be used exits 2: %j', async (flags, error) => {
    expect(await runDoctor(folder, ...flags)).toEqual({
      code: 2,
      stdout: '',
      stderr: `rras-exporter: error: ${error}\n`,
    });
  });
});

describe('a configuration file', () => {
  test('that is valid is what the rest goes by', async () => {
    const file = place('good.yml');
    writeFileSync(file, `rras: { simulate: small }\nweb: { listen-address: ['127.0.0.1:0'] }\n`);
    const { code, lines } = await doctor(`--config.file=${file}`);
    expect(lineOf(lines, 'configuration')).toEqual(['ok       configuration       DIR/good.yml is valid']);
    expect(lineOf(lines, 'simulator')[0]).toContain('small: a simulated server');
    expect(code).toBe(0);
  });

  test('R2 with a fault fails with its place; the rest goes by the flags', async () => {
    const file = place('bad.yml');
    writeFileSync(file, `web:\n  lisen-address: [':1']\n`);
    const { code, lines } = await doctor(`--config.file=${file}`, ...SIMULATED);
    expect(lineOf(lines, 'configuration')).toEqual([
      'fail     configuration       DIR/bad.yml:2:3: web.lisen-address: unknown key; the rest goes by the flags alone',
      '         fix: did you mean listen-address?',
    ]);
    expect(lineOf(lines, 'source connections')[0]).toContain('12 connections');
    expect(code).toBe(1);
  });

  test('its servers are each looked at', async () => {
    const file = place('servers.yml');
    writeFileSync(
      file,
      `servers:\n  - { name: berlin, simulate: small }\n  - { name: paris, replay: missing.rec }\n`,
    );
    const { code, lines } = await doctor(`--config.file=${file}`, ...SIMULATED);
    const [berlin, paris] = ['berlin', 'paris'].map((name) => lines.indexOf(`server ${name}:`));
    expect(lines.slice(berlin! + 1, berlin! + 3)).toEqual([
      'ok       simulator           small: a simulated server, none of its data is real',
      expect.stringMatching(/^ok {7}service {13}RemoteAccess is running, up /),
    ]);
    expect(lines[paris! + 1]).toMatch(/^fail {5}recording {11}.*DIR\/missing\.rec/);
    expect(lines[paris! + 2]).toBe('         fix: name another file by servers[1].replay, or record it anew');
    expect(lines.at(-1)).toBe('1 failed, 0 warnings, 21 ok, 13 skipped');
    expect(code).toBe(1);
  });
});

describe('a web configuration file', () => {
  const write = (name: string, days: readonly [number, number]): string => {
    const { cert, key } = makeCertificate({ sans: ['IP:127.0.0.1'], days });
    writeFileSync(place(`${name}.crt`), cert);
    writeFileSync(place(`${name}.key`), key);
    chmodSync(place(`${name}.key`), 0o600);
    const file = place(`${name}.yml`);
    writeFileSync(file, `tls_server_config:\n  cert_file: ${name}.crt\n  key_file: ${name}.key\n`);
    return `--web.config.file=${file}`;
  };
  const day = (days: number): string => new Date(Date.now() + days * 86_400_000).toISOString().slice(0, 10);

  test('with a fault fails with its place', async () => {
    writeFileSync(place('bad-web.yml'), `tls_server_config:\n  cert_fle: a\n`);
    const { code, lines } = await doctor(...SIMULATED, `--web.config.file=${place('bad-web.yml')}`);
    const [line, fix] = lineOf(lines, 'web configuration');
    expect(line).toMatch(/^fail {5}web configuration {3}DIR\/bad-web\.yml:2:3: .*cert_fle/);
    expect(fix).toMatch(/^ {9}fix: .+/);
    expect(code).toBe(1);
  });

  test('whose certificate is good for long is well', async () => {
    const flag = write('long', [-1, 100.5]);
    const { code, lines } = await doctor(...SIMULATED, flag);
    expect(lineOf(lines, 'web configuration')).toEqual([
      `ok       web configuration   DIR/long.yml: TLS, 0 users, certificate valid until ${day(100.5)} (100 days)`,
    ]);
    expect(code).toBe(0);
  });

  test('whose certificate expires within 14 days is a warning', async () => {
    const flag = write('soon', [-1, 13.5]);
    const { code, lines } = await doctor(...SIMULATED, flag);
    expect(lineOf(lines, 'web configuration')).toEqual([
      `warn     web configuration   DIR/soon.yml: TLS, 0 users, certificate valid until ${day(13.5)} (13 days)`,
      '         fix: put a new one into DIR/soon.crt; it is read again without a restart',
    ]);
    expect(code).toBe(0);
  });

  test.each([
    ['expired', [-20, -10], `the certificate expired on ${day(-10)}`, ''],
    ['early', [10, 20], `the certificate is not valid before ${day(10)}`, 'set the clock, or '],
  ] as const)('whose certificate is %s fails', async (name, days, what, first) => {
    const { code, lines } = await doctor(...SIMULATED, write(name, days));
    expect(lineOf(lines, 'web configuration')).toEqual([
      `fail     web configuration   DIR/${name}.yml: TLS, 0 users, ${what}`,
      `         fix: ${first}put a new one into DIR/${name}.crt; it is read again without a restart`,
    ]);
    expect(code).toBe(1);
  });
});

describe('the storage folder', () => {
  test('that others can enter fails', async () => {
    mkdirSync(place('open'));
    chmodSync(place('open'), 0o755);
    const { code, lines } = await doctor(...SIMULATED, `--storage.path=${place('open')}`);
    expect(lineOf(lines, 'storage')).toEqual([
      'fail     storage             DIR/open is open to other users (0755)',
      '         fix: chmod 700 DIR/open',
    ]);
    expect(code).toBe(1);
  });

  test('that cannot be made fails', async () => {
    writeFileSync(place('file'), '');
    const { code, lines } = await doctor(...SIMULATED, `--storage.path=${place('file/data')}`);
    expect(lineOf(lines, 'storage')).toEqual([
      'fail     storage             DIR/file/data is not there and cannot be made: ENOTDIR: not a directory',
      '         fix: let the account of the exporter write to DIR/file, or choose another folder by --storage.path',
    ]);
    expect(code).toBe(1);
  });

  test('that is well is left as it was', async () => {
    mkdirSync(place('closed'), { mode: 0o700 });
    const { code, lines } = await doctor(...SIMULATED, `--storage.path=${place('closed')}`);
    expect(lineOf(lines, 'storage')).toEqual([
      'ok       storage             DIR/closed can be written, and is closed to other users',
    ]);
    expect(readdirSync(place('closed'))).toEqual([]);
    expect(code).toBe(0);
  });

  describe('of a server of the file', () => {
    const run = async (admin: boolean) => {
      const file = place(`own-${admin}.yml`);
      const rights = `{ name: ops, sha256: ${'ab'.repeat(32)}, rights: [read], interfaces: ['*'] }`;
      const first = admin ? `web: { enable-admin-api: true }\nadmin:\n  tokens: [${rights}]\n` : '';
      writeFileSync(
        file,
        `${first}servers:\n  - { name: berlin, simulate: small }\n  - { name: paris, simulate: small }\n`,
      );
      const path = place(`own-${admin}`);
      mkdirSync(join(path, 'servers/paris'), { recursive: true, mode: 0o700 });
      chmodSync(join(path, 'servers/paris'), 0o755);
      return doctor(...SIMULATED, `--config.file=${file}`, `--storage.path=${path}`);
    };

    test('R2 that others can enter fails with the admin API, as the start does', async () => {
      const { code, lines } = await run(true);
      const [berlin, paris] = ['berlin', 'paris'].map((name) => lines.indexOf(`server ${name}:`));
      // That of berlin is not there yet.
      expect(lines[berlin! + 1]).toMatch(/^ok {7}simulator /);
      expect(lines.slice(paris! + 1, paris! + 3)).toEqual([
        'fail     storage             DIR/own-true/servers/paris is open to other users (0755)',
        '         fix: chmod 700 DIR/own-true/servers/paris',
      ]);
      expect(lines.at(-1)).toMatch(/^1 failed, /);
      expect(code).toBe(1);
    });

    test('is not looked at without the admin API, which alone uses it', async () => {
      const { code, lines } = await run(false);
      expect(lines.filter((line) => line.includes('  storage  '))).toEqual([
        'ok       storage             DIR/own-false can be written, and is closed to other users',
      ]);
      expect(code).toBe(0);
    });
  });

  test('with a key that others can read fails', async () => {
    mkdirSync(place('leaky'), { mode: 0o700 });
    writeFileSync(place('leaky/pseudonym.key'), `${'0'.repeat(64)}\n`);
    chmodSync(place('leaky/pseudonym.key'), 0o644);
    const { code, lines } = await doctor(...SIMULATED, `--storage.path=${place('leaky')}`);
    expect(lineOf(lines, 'storage')).toEqual([
      'fail     storage             the secret DIR/leaky/pseudonym.key can be read by other users',
      '         fix: close it by: chmod 600 DIR/leaky/pseudonym.key, and replace it if it was read',
    ]);
    expect(code).toBe(1);
  });
});

describe('the log file', () => {
  const logOf = async (output: string) => {
    const { code, lines } = await doctor(...SIMULATED, `--log.output=file:${place(output)}`);
    return [code, ...lineOf(lines, 'log')];
  };

  test('that is not there and can be made is well, and is not made', async () => {
    mkdirSync(place('logs'));
    expect(await logOf('logs/new.log')).toEqual([
      0,
      'ok       log                 DIR/logs/new.log is not there yet; it can be made',
    ]);
    expect(readdirSync(place('logs'))).toEqual([]);
  });

  test('that is there is well, and left as it was', async () => {
    writeFileSync(place('old.log'), 'a line\n');
    expect(await logOf('old.log')).toEqual([
      0,
      'ok       log                 DIR/old.log can be appended to',
    ]);
    expect(readFileSync(place('old.log'), 'utf8')).toBe('a line\n');
  });

  test('whose folder is not there fails, as the start does', async () => {
    expect(await logOf('nowhere/a.log')).toEqual([
      1,
      'fail     log                 DIR/nowhere/a.log cannot be written (ENOENT)',
      '         fix: make the folder DIR/nowhere, or choose another file by --log.output',
    ]);
    expect(existsSync(place('nowhere'))).toBe(false);
  });

  test('that is a folder fails', async () => {
    mkdirSync(place('folder.log'));
    expect(await logOf('folder.log')).toEqual([
      1,
      'fail     log                 DIR/folder.log is a folder',
      '         fix: name a file in it by --log.output',
    ]);
  });

  test('that this account may not write to fails', async () => {
    // Not even root may write to a program that runs.
    copyFileSync('/bin/sleep', place('busy.log'));
    chmodSync(place('busy.log'), 0o700);
    const running = spawn(place('busy.log'), ['60']);
    try {
      expect(await logOf('busy.log')).toEqual([
        1,
        'fail     log                 DIR/busy.log cannot be written (ETXTBSY)',
        '         fix: let the account of the exporter write to it, or choose another file by --log.output',
      ]);
    } finally {
      running.kill('SIGKILL');
    }
  });
});

describe('what goes out over OTLP', () => {
  const HERE = 'http://127.0.0.1:9';
  const found = async (environment: Readonly<Record<string, string>>, ...flags: readonly string[]) => {
    const { code, lines } = await doctorIn(environment, ...SIMULATED, ...flags);
    return [code, ...lineOf(lines, 'telemetry')];
  };

  test('is told', async () => {
    expect(await found({ OTEL_EXPORTER_OTLP_ENDPOINT: HERE, OTEL_TRACES_EXPORTER: 'none' })).toEqual([
      0,
      'ok       telemetry           metrics over http/protobuf, logs over http/protobuf',
    ]);
  });

  test('is not looked at where the file switches it off', async () => {
    writeFileSync(place('off.yml'), 'otlp: { enabled: false }\n');
    const flag = `--config.file=${place('off.yml')}`;
    expect(await found({ OTEL_EXPORTER_OTLP_ENDPOINT: 'foo' }, flag)).toEqual([
      0,
      'skipped  telemetry           switched off by otlp.enabled',
    ]);
  });

  test.each([
    [
      { OTEL_METRICS_EXPORTER: 'prometheus' },
      'OTEL_METRICS_EXPORTER="prometheus": expected otlp or none',
      'the exporter sends OTLP only; its metrics for Prometheus are at /metrics',
    ],
    [
      { OTEL_EXPORTER_OTLP_ENDPOINT: 'foo' },
      'OTEL_EXPORTER_OTLP_ENDPOINT: expected a URL such as http://127.0.0.1:4318',
      'correct that variable, or take it away',
    ],
    [
      { OTEL_EXPORTER_OTLP_ENDPOINT: HERE, OTEL_METRIC_EXPORT_INTERVAL: 'abc' },
      'OTEL_METRIC_EXPORT_INTERVAL="abc": expected a number of milliseconds',
      'correct that variable, or take it away',
    ],
  ])('fails where the start does: %j', async (environment, summary, fix) => {
    expect(await found(environment)).toEqual([
      1,
      `fail     telemetry           ${summary}`,
      `         fix: ${fix}`,
    ]);
  });

  test('fails for a server with the name of this machine', async () => {
    writeFileSync(place('twin.yml'), `servers: [{ name: '${hostname()}', simulate: small }]\n`);
    const flag = `--config.file=${place('twin.yml')}`;
    expect(await found({ OTEL_EXPORTER_OTLP_ENDPOINT: HERE }, flag)).toEqual([
      1,
      `fail     telemetry           the server ${hostname()} has the name of this machine, which is what OTLP calls the local server`,
      '         fix: give it another name in the section servers',
    ]);
  });
});

describe('a listen address', () => {
  let server: Server;
  let port: number;
  let answer: (url: string) => { status: number; text: string };
  beforeAll(async () => {
    server = createServer((request, response) => {
      const { status, text } = answer(request.url ?? '');
      response.statusCode = status;
      response.end(text);
    });
    await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
    port = (server.address() as AddressInfo).port;
  });
  afterAll(() => new Promise((done) => server.close(done)));
  const ask = async (): Promise<{ code: number; found: string[] }> => {
    const { code, lines } = await doctor('--rras.simulate=small', `--web.listen-address=127.0.0.1:${port}`);
    return { code, found: lineOf(lines, 'listen address') };
  };

  test('that another program uses fails, and says how to find that one', async () => {
    answer = () => ({ status: 404, text: 'no such page' });
    expect(await ask()).toEqual({
      code: 1,
      found: [
        `fail     listen address      127.0.0.1:${port} is in use by another program`,
        `         fix: find it by: ss -ltnp | grep :${port}; stop it, or choose another by --web.listen-address`,
      ],
    });
  });

  test('that the exporter itself uses is well', async () => {
    answer = (url) =>
      url === '/-/healthy' ? { status: 200, text: 'RRAS Exporter is healthy.\n' } : { status: 404, text: '' };
    expect(await ask()).toEqual({
      code: 0,
      found: [`ok       listen address      127.0.0.1:${port} is served by an rras-exporter that is running`],
    });
  });

  test('that wants a password, as the configuration does, may be the exporter', async () => {
    answer = () => ({ status: 401, text: 'Unauthorized\n' });
    writeFileSync(
      place('users.yml'),
      'basic_auth_users:\n  prometheus: $2y$10$QOauhQNbBCuQDKes6eFzPeMqBSjb7Mr5DUmpZ/VcEd00UAV/LDeSi\n',
    );
    const { code, lines } = await doctor(
      '--rras.simulate=small',
      `--web.listen-address=127.0.0.1:${port}`,
      `--web.config.file=${place('users.yml')}`,
    );
    expect(lineOf(lines, 'listen address')).toEqual([
      `warn     listen address      127.0.0.1:${port} is in use, perhaps by this exporter: it lets nobody in unknown`,
      `         fix: see who it is: ss -ltnp | grep :${port}`,
    ]);
    expect(lineOf(lines, 'web configuration')).toEqual([
      'ok       web configuration   DIR/users.yml: no TLS, 1 user',
    ]);
    expect(code).toBe(0);
  });

  describe.each([
    ['asks for no certificate', '', 'ok'],
    [
      'lets in by certificate only',
      '  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: ca.crt\n',
      'warn',
    ],
  ])('with TLS that %s', (_, client, status) => {
    let secure: ReturnType<typeof createSecureServer>;
    beforeAll(async () => {
      const ca = makeCertificate({ isCa: true });
      const { cert, key } = makeCertificate({ issuer: ca, days: [-1, 100] });
      writeFileSync(place('ca.crt'), ca.cert);
      writeFileSync(place('tls.crt'), cert);
      writeFileSync(place('tls.key'), key, { mode: 0o600 });
      writeFileSync(
        place('tls.yml'),
        `tls_server_config:\n  cert_file: tls.crt\n  key_file: tls.key\n${client}`,
      );
      const options = { cert, key, requestCert: client !== '', rejectUnauthorized: true, ca: ca.cert };
      secure = createSecureServer(options, (_request, response) =>
        response.end('RRAS Exporter is healthy.\n'),
      );
      await new Promise<void>((done) => secure.listen(0, '127.0.0.1', done));
    });
    afterAll(() => new Promise((done) => secure.close(done)));

    test(`is told from another program: ${status}`, async () => {
      const at = `127.0.0.1:${(secure.address() as AddressInfo).port}`;
      const { lines } = await doctor(
        '--rras.simulate=small',
        `--web.listen-address=${at}`,
        `--web.config.file=${place('tls.yml')}`,
      );
      expect(lineOf(lines, 'listen address')[0]).toBe(
        status === 'ok'
          ? `ok       listen address      ${at} is served by an rras-exporter that is running`
          : `warn     listen address      ${at} is in use, perhaps by this exporter: it lets nobody in unknown`,
      );
    });
  });

  test('that this machine does not have fails', async () => {
    const { code, lines } = await doctor('--rras.simulate=small', '--web.listen-address=203.0.113.1:10077');
    expect(lineOf(lines, 'listen address')).toEqual([
      'fail     listen address      203.0.113.1:10077: this machine has no such address',
      '         fix: see those it has: ip address; choose another by --web.listen-address',
    ]);
    expect(code).toBe(1);
  });
});

describe('a recording', () => {
  test('is read as the server was', async () => {
    const { path } = await recordSimulator({ polls: 2 });
    const { code, stdout } = await runDoctor(folder, `--rras.replay=${path}`, FREE);
    const lines = blotted(stdout, { [path]: 'FILE', [folder]: 'DIR' });
    expect(lines.slice(HEAD.length)).toEqual([
      'ok       recording           FILE, 5 s long',
      expect.stringMatching(/^ok {7}service {13}RemoteAccess is running, up \d+ d \d+ h$/),
      'skipped  rights              none are needed',
      expect.stringMatching(/^ok {7}source server {7}\d+ of \d+ ports in use, T s$/),
      expect.stringMatching(/^ok {7}source connections {2}\d+ connections, 1 page, T s$/),
      expect.stringMatching(/^ok {7}source ports {8}\d+ ports, 1 page, T s$/),
      expect.stringMatching(/^ok {7}source interfaces {3}\d+ interfaces, 1 page, T s$/),
      'ok       API level           4: start times and 64-bit counters of bytes (MprAdminConnectionEnum)',
      'ok       anomalies           none in 3 pages',
      '',
      '0 failed, 0 warnings, 12 ok, 5 skipped',
    ]);
    expect(code).toBe(0);
  });

  test('that is none fails', async () => {
    writeFileSync(place('none.rec'), 'nothing');
    const { code, lines } = await doctor(`--rras.replay=${place('none.rec')}`, FREE);
    const [line, fix] = lineOf(lines, 'recording');
    expect(line).toMatch(/^fail {5}recording {11}.*DIR\/none\.rec/);
    expect(fix).toBe('         fix: name another file by --rras.replay, or record it anew');
    expect(code).toBe(1);
  });
});

test('A9 an admin API that would be served in clear fails', async () => {
  const file = place('admin.yml');
  writeFileSync(
    file,
    `web: { enable-admin-api: true }\nadmin:\n  tokens:\n    - { name: ops, sha256: ${'ab'.repeat(32)}, rights: [read], interfaces: ['*'] }\n`,
  );
  const { code, lines } = await doctor(
    `--config.file=${file}`,
    '--rras.simulate=small',
    '--web.listen-address=0.0.0.0:0',
  );
  expect(lineOf(lines, 'web configuration')).toEqual([
    'fail     web configuration   the admin API would be served without TLS on 0.0.0.0:0, where others than this machine can reach it',
    '         fix: turn on TLS by --web.config.file, listen on 127.0.0.1, or set admin.allowPlainHttp: true in the configuration file',
  ]);
  expect(code).toBe(1);
  expect(existsSync(place('data'))).toBe(false);
});
