/** The admin API of the built program: when it is there, who gets in, and that no secret gets out. */
import { execFile, spawn } from 'node:child_process';
import { createHash, createHmac } from 'node:crypto';
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { request as httpsRequest } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { hashSync } from '@node-rs/bcrypt';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { alertOn } from '../admin/exporter-life.ts';
import { notificationOf, REASON } from '../server/admin-routes.ts';
import { ApiDocument } from '../server/api-document.ts';
import type { Identity } from '../server/certificates.ts';
import type { Answer } from '../server/http-client.ts';
import { fetchPlain } from '../server/http-client.ts';
import { WebConfigFolder } from '../server/web-config-folder.ts';
import type { Ending } from './program.ts';
import { buildIfStale, endAll, MAIN, NODE, plainEnvironment, Program, until } from './program.ts';

beforeAll(buildIfStale);
afterEach(endAll);

const folder = mkdtempSync(join(tmpdir(), 'rras-exporter-admin-e2e-'));
afterAll(() => rmSync(folder, { recursive: true }));

/** For tests that measure time on a machine that others use too. */
const TIMED = { retry: 2 };

const TOKEN = `rrasx_${createHash('sha256').update('a token').digest('base64url')}`;
const HASH = createHash('sha256').update(TOKEN).digest('hex');
const SECRET = 'the secret that Grafana shares';
const RIGHTS = '[reconnect, disconnect, update_endpoint, hang_up, reset, pause, hook, read]';
const TOKENS = `  tokens:\n    - {name: ops, sha256: ${HASH}, rights: ${RIGHTS}, interfaces: ['*']}\n`;
const HOOKS = `hooks:
  grafana: {secretFile: grafana.secret}
  rules:
    - {name: redial, matchers: ['alertname="LinkDown"'], action: reconnect}
`;
const NEW_ADMIN = `admin:\n${TOKENS}`;

let count = 0;
/** A folder of its own for each program, with the file in it. */
function configure(config: string): {
  readonly flags: string[];
  readonly storage: string;
  readonly file: string;
} {
  count += 1;
  const home = join(folder, String(count));
  mkdirSync(home);
  writeFileSync(join(home, 'grafana.secret'), SECRET, { mode: 0o600 });
  const file = join(home, 'config.yml');
  writeFileSync(file, config, { mode: 0o600 });
  const storage = join(home, 'state');
  return {
    flags: ['--rras.simulate=office', `--config.file=${file}`, `--storage.path=${storage}`],
    storage,
    file,
  };
}

const ADMIN = '--web.enable-admin-api';
const bearer = { Authorization: `Bearer ${TOKEN}` };
const JSON_TYPE = { 'Content-Type': 'application/json' };
const PAUSE = '/api/v1/admin/pause';

interface Sent {
  readonly headers?: Readonly<Record<string, string>>;
  readonly json?: unknown;
  readonly method?: string;
}
const send = (base: string, path: string, { headers = bearer, json, method }: Sent = {}): Promise<Answer> =>
  fetchPlain(base + path, {
    method: method ?? (json === undefined ? 'GET' : 'POST'),
    headers: { ...(json !== undefined && JSON_TYPE), ...headers },
    ...(json !== undefined && { body: JSON.stringify(json) }),
    timeoutMs: 20_000,
  });
const pause = (base: string, sent: Sent = {}): Promise<Answer> =>
  send(base, PAUSE, { json: REASON, ...sent });

const ROUTES = [
  ['POST', '/api/v1/admin/interfaces/Site-Lisboa/reconnect'],
  ['POST', '/api/v1/admin/interfaces/Site-Lisboa/disconnect'],
  ['POST', '/api/v1/admin/interfaces/Site-Lisboa/reset'],
  ['POST', '/api/v1/admin/connections/0123456789abcdef/endpoint'],
  ['POST', '/api/v1/admin/connections/0123456789abcdef/disconnect'],
  ['POST', PAUSE],
  ['POST', '/api/v1/admin/resume'],
  ['GET', '/api/v1/admin/actions'],
  ['GET', '/api/v1/admin/actions/x'],
  ['POST', '/api/v1/hooks/alertmanager'],
  ['POST', '/api/v1/hooks/grafana'],
] as const;

describe('A9 the admin API', () => {
  test('is off by default, also with a token in the file: its routes are 404, and it has no metrics', async () => {
    const { flags } = configure(`${NEW_ADMIN}${HOOKS}`);
    const program = await Program.serve(...flags);
    for (const [method, path] of ROUTES) {
      const answer = await send(program.url, path, { method, ...(method === 'POST' && { json: REASON }) });
      expect({ path, status: answer.status }).toEqual({ path, status: 404 });
      expect(JSON.parse(answer.text)).toMatchObject({ status: 'error', errorType: 'not_found' });
    }
    expect((await program.scrape()).names.filter((name) => name.startsWith('rras_admin'))).toEqual([]);
    expect((await program.get('/api/v1/openapi.json')).status).toBe(200);
  });

  const starts = async (...flags: string[]): Promise<Program> => {
    const program = new Program(['--rras.simulate=small', ADMIN, ...flags]);
    await until('it listens', () => program.log.includes('msg=listening'));
    return program;
  };
  const refuses = async (...flags: string[]): Promise<Ending> =>
    new Program(['--rras.simulate=small', ADMIN, ...flags]).ended;

  test('does not start without anybody who could use it, or in clear for others, and says what to do', async () => {
    const token = configure(NEW_ADMIN).flags.slice(1);
    const nobody = configure('admin: {}\n').flags.slice(1);
    const noToken =
      /^rras-exporter: error: --web\.enable-admin-api needs a token.*rras-exporter token NAME.*\)\n$/;
    const inClear =
      /^rras-exporter: error: the admin API would be served without TLS on \S+,.*TLS by --web\.config\.file.*admin\.allowPlainHttp: true.*\)\n$/;
    const local = '--web.listen-address=127.0.0.1:0';
    const cases: readonly (readonly [string[], RegExp])[] = [
      [[local], noToken],
      [[local, ...nobody], noToken],
      [token, inClear],
      [['--web.listen-address=0.0.0.0:0', ...token], inClear],
      [['--web.listen-address=[::]:0', ...token], inClear],
      [[local, '--web.listen-address=:0', ...token], inClear],
    ];
    const endings = await Promise.all(cases.map(([flags]) => refuses(...flags)));
    for (const [i, { code, stdout, stderr }] of endings.entries()) {
      const complaint = stderr.replace(/^time=.*\n/gm, '');
      expect({ code, stdout, complaint }, String(cases[i]![0])).toEqual({
        code: 2,
        stdout: '',
        complaint: expect.stringMatching(cases[i]![1]) as string,
      });
    }
  });

  test('starts on loopback, with TLS, and in clear where the file allows it', async () => {
    const web = new WebConfigFolder();
    try {
      const tls = web.write(
        'web.yml',
        'tls_server_config:\n  cert_file: server.crt\n  key_file: server.key\n',
      );
      const token = configure(NEW_ADMIN).flags.slice(1);
      const allowed = configure(`admin:\n  allowPlainHttp: true\n${TOKENS}`).flags.slice(1);
      const everywhere = '--web.listen-address=0.0.0.0:0';
      const [local, inClear, secure] = await Promise.all([
        starts('--web.listen-address=127.0.0.1:0', '--web.listen-address=localhost:0', ...token),
        starts(everywhere, ...allowed),
        starts(everywhere, `--web.config.file=${tls}`, ...configure(NEW_ADMIN).flags.slice(1)),
      ]);
      for (const { url } of [local, inClear]) {
        expect((await pause(url, { headers: {} })).status).toBe(401);
        expect((await pause(url)).status).toBe(200);
      }
      expect(secure.log).toMatch(/msg=listening url=https:\/\/0\.0\.0\.0:\d+/);
      for (const program of [local, inClear, secure]) expect((await program.end()).code).toBe(0);
    } finally {
      web.remove();
    }
  });
});

/** What the program has let out, by where. */
type Outputs = Map<string, string>;

describe('the program', () => {
  test('acts, tells what came of it, and lets no secret out anywhere, at any level of the log', async () => {
    const made = await promisify(execFile)(NODE, [MAIN, 'token', 'made'], { env: plainEnvironment() });
    const [token = '', ...lines] = made.stdout.split('\n');
    const { flags, storage } = configure(
      `${lines.filter((line) => !line.startsWith('#')).join('\n')}\n${HOOKS}`.replace(
        '[read, reconnect]',
        RIGHTS,
      ),
    );
    const program = await Program.serve(...flags, ADMIN, '--log.level=debug', '--collector.min-interval=0s');
    const out: Outputs = new Map();
    const document = new ApiDocument(JSON.parse((await program.get('/api/v1/openapi.json')).text));
    const objections: string[] = [];
    const ask = async (
      path: string,
      sent: Sent = {},
    ): Promise<{ status: number; json: { data?: unknown } }> => {
      const headers = { Authorization: `Bearer ${token}`, ...sent.headers };
      const answer = await send(program.url, path, { ...sent, headers });
      out.set(`${path} ${out.size}`, `${JSON.stringify(answer.headers)} ${answer.text}`);
      const method = sent.method ?? (sent.json === undefined ? 'GET' : 'POST');
      objections.push(document.objectionTo(method, path, answer) ?? '');
      return { status: answer.status, json: JSON.parse(answer.text) as { data?: unknown } };
    };
    const interfaces = '/api/v1/admin/interfaces';
    const done = await ask(`${interfaces}/Site-Lisboa/reconnect?wait=30s`, { json: REASON });
    expect(done).toMatchObject({
      status: 200,
      json: { data: { state: 'succeeded', actor: 'made', outcome: { result: 'connected' } } },
    });
    // Who sends a secret where none belongs must not find it in the log, or be told it.
    const lost = { headers: { Authorization: 'Bearer nothing', 'X-Lost': token, Cookie: token } };
    for (const [path, sent, status] of [
      [`${interfaces}/Site-Berlin/reconnect`, { json: REASON }, 200],
      [`${interfaces}/Site-Nowhere/reconnect`, { json: REASON }, 404],
      [`${interfaces}/Site-Berlin/reconnect`, { json: { ...REASON, [token]: token } }, 400],
      [`${interfaces}/Site-Berlin/reconnect`, { json: REASON, ...lost }, 401],
      ['/api/v1/admin/actions', {}, 200],
      ['/api/v1/admin/actions/x', {}, 404],
      ['/api/v1/admin/actions?limit=1', {}, 200],
      [PAUSE, { json: { ...REASON, expiresIn: '1h' } }, 200],
      ['/api/v1/admin/resume', { json: REASON }, 200],
      ['/api/v1/hooks/alertmanager', { json: notificationOf([alertOn('Site-Lisboa')]) }, 200],
      ['/api/v1/hooks/grafana', { json: notificationOf([alertOn('Site-Lisboa')], '1'), ...lost }, 401],
      ['/api/v1/hooks/alertmanager', { json: {} }, 400],
      [PAUSE, { method: 'PUT', json: REASON }, 405],
      ['/api/v1/status', {}, 200],
      ['/api/v1/connections', {}, 200],
      ['/api/v1/connections?limit=2', {}, 200],
      ['/api/v1/interfaces', {}, 200],
      ['/api/v1/openapi.json', {}, 200],
    ] as const) {
      expect({ path, status: (await ask(path, sent)).status }).toEqual({ path, status });
    }
    // The body of the request with the token for a key is answered with that key, to who sent it.
    const echoed = [...out].filter(
      ([, text]) => text.includes('unrecognized_keys') || text.includes('Unrecognized'),
    );
    for (const [where] of echoed) out.delete(where);
    expect(echoed).toHaveLength(1);
    expect(objections.filter((each) => each !== '')).toEqual([]);
    const page = await program.scrape();
    expect(page.value('rras_admin_paused')).toBe(0);
    expect(page.values('rras_admin_actions_total')).toMatchObject({ reconnect: 1 });
    out.set('metrics', page.text);
    const { code, stdout, stderr } = await program.end();
    expect({ code, stdout }).toEqual({ code: 0, stdout: '' });
    out.set('log', stderr);
    for (const name of readdirSync(storage)) out.set(name, readFileSync(join(storage, name), 'latin1'));
    expect([...out.keys()]).toContain('audit-00000001.jsonl');
    const secrets = [token, token.slice(6), createHash('sha256').update(token).digest('hex'), SECRET];
    for (const [where, text] of out) {
      for (const secret of secrets)
        expect(text.includes(secret), `${where}: ${text.slice(0, 300)}`).toBe(false);
    }
    const verified = await promisify(execFile)(NODE, [
      MAIN,
      'audit',
      'verify',
      join(storage, 'audit-00000001.jsonl'),
    ]);
    expect(verified.stdout).toMatch(/^the audit log is whole/);
  });

  test('A6 is not troubled by 1,000 guesses, and pauses within a second meanwhile', TIMED, async () => {
    const { flags } = configure(NEW_ADMIN);
    const program = await Program.serve(...flags, ADMIN);
    const scrapes = async (times: number): Promise<number> => {
      const took: number[] = [];
      for (let i = 0; i < times; i += 1) {
        const started = performance.now();
        await program.scrape();
        took.push(performance.now() - started);
      }
      return Math.max(...took);
    };
    await scrapes(5);
    const resident = (): number =>
      Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${program.pid}/status`, 'utf8'))?.[1]) / 1024;
    const statuses: number[] = [];
    const guess = async (): Promise<void> => {
      while (statuses.length < 1000) {
        statuses.push(0);
        const at = statuses.length - 1;
        const headers = {
          Authorization: `Bearer rrasx_${createHash('sha256').update(String(at)).digest('hex')}`,
        };
        statuses[at] = (await pause(program.url, { headers })).status;
      }
    };
    const guessing = Promise.all(Array.from({ length: 20 }, guess));
    const before = resident();
    const slowest = await scrapes(10);
    const started = performance.now();
    expect((await pause(program.url)).status).toBe(200);
    expect(performance.now() - started).toBeLessThan(1000);
    expect(slowest).toBeLessThan(1000);
    await guessing;
    expect(statuses.filter((status) => status === 401)).toHaveLength(20);
    expect(statuses.filter((status) => status === 429)).toHaveLength(980);
    expect((await pause(program.url)).status).toBe(200);
    expect(resident() - before).toBeLessThan(64);
  });

  test('H6 serves and acts without __proto__ in its JavaScript', async () => {
    const { flags } = configure(`${NEW_ADMIN}${HOOKS}`);
    const args = ['--disable-proto=throw', MAIN, ...flags, ADMIN, '--web.listen-address=127.0.0.1:0'];
    const child = spawn(NODE, args, {
      cwd: folder,
      env: plainEnvironment(),
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    try {
      let log = '';
      child.stderr.setEncoding('utf8').on('data', (text: string) => (log += text));
      const ended = new Promise((resolve) => child.once('exit', resolve));
      await until('it listens', () => log.includes('msg=listening'));
      const url = /url=(http:\/\/[^/\s]+)/.exec(log)?.[1] ?? '';
      expect((await send(url, '/metrics')).text).toMatch(/^rras_up 1$/m);
      expect((await send(url, '/')).status).toBe(200);
      const reconnect = '/api/v1/admin/interfaces/Site-Berlin/reconnect';
      expect((await send(url, reconnect, { json: REASON })).status).toBe(200);
      const polluting = {
        headers: { ...bearer, ...JSON_TYPE },
        json: JSON.parse('{"__proto__":{"x":1}}') as unknown,
      };
      expect((await send(url, PAUSE, polluting)).status).toBe(400);
      const hook = notificationOf([alertOn('Site-Berlin')]);
      expect((await send(url, '/api/v1/hooks/alertmanager', { json: hook })).status).toBe(200);
      child.kill('SIGTERM');
      expect(await ended).toBe(0);
      expect(log).not.toContain('level=error');
    } finally {
      child.kill('SIGKILL');
    }
  });

  test('N1 answers 503 while the native API hangs, in time, and does nothing by what it knew before', async () => {
    const { flags } = configure(`${NEW_ADMIN}${HOOKS}`);
    const program = await Program.serve(
      ...flags,
      ADMIN,
      '--collector.timeout=1s',
      '--collector.min-interval=0s',
    );
    await program.scrape();
    const path = '/api/v1/admin/interfaces/Site-Lisboa/reconnect';
    process.kill(program.nativeHost(), 'SIGSTOP');
    const started = performance.now();
    const [action, hook] = await Promise.all([
      send(program.url, path, { json: REASON }),
      send(program.url, '/api/v1/hooks/alertmanager', { json: notificationOf([alertOn('Site-Lisboa')]) }),
    ]);
    expect(performance.now() - started).toBeLessThan(5000);
    for (const { status, headers, text } of [action, hook]) {
      expect([status, headers['retry-after']]).toEqual([503, '5']);
      expect(JSON.parse(text)).toMatchObject({ errorType: 'rras_down' });
    }
    // The host that hung is replaced, and the next request is carried out.
    await until('it is read again', async () => (await program.scrape()).value('rras_up') === 1);
    expect((await send(program.url, path, { json: REASON })).status).toBe(202);
  });

  test('S1 does nothing with an audit log that was tampered with, and goes on measuring', async () => {
    const { flags, storage } = configure(NEW_ADMIN);
    mkdirSync(storage, { mode: 0o700 });
    chmodSync(storage, 0o700);
    writeFileSync(join(storage, 'audit-00000001.jsonl'), '{"kind":"intent"}\n{"kind":"outcome"}\n', {
      mode: 0o600,
    });
    const program = await Program.serve(...flags, ADMIN);
    const path = '/api/v1/admin/interfaces/Site-Lisboa/reconnect';
    const { status, text } = await send(program.url, path, { json: REASON });
    expect(status).toBe(503);
    expect(JSON.parse(text)).toMatchObject({ errorType: 'audit' });
    expect((await pause(program.url)).status).toBe(200);
    const page = await program.scrape();
    expect(page.value('rras_up')).toBe(1);
    expect(page.value('rras_admin_audit_failures_total')).toBeGreaterThanOrEqual(1);
    expect(page.value('rras_admin_paused')).toBe(1);
    expect(page.values('rras_exporter_native_calls_total')).not.toHaveProperty('MprAdminInterfaceConnect');
    expect(program.log).toMatch(/level=error .*the audit log is damaged at .*audit-00000001\.jsonl:1/);
  });
});

describe('with a web configuration the program', () => {
  const web = new WebConfigFolder();
  afterAll(() => web.remove());

  /** Over TLS. */
  function ask(
    url: string,
    path: string,
    { headers = {}, json, client }: Sent & { readonly client?: Identity } = {},
  ): Promise<Pick<Answer, 'status' | 'headers' | 'text'>> {
    return new Promise((resolve, reject) => {
      const sent = httpsRequest(
        url + path,
        {
          method: json === undefined ? 'GET' : 'POST',
          headers: { ...(json !== undefined && JSON_TYPE), ...headers },
          agent: false,
          ca: web.serverCa.cert,
          ...(client && { cert: client.cert, key: client.key }),
          signal: AbortSignal.timeout(15_000),
        },
        (response) => {
          let text = '';
          response.setEncoding('utf8').on('data', (part: string) => (text += part));
          response.on('error', reject);
          response.on('end', () =>
            resolve({ status: response.statusCode ?? 0, headers: response.headers, text }),
          );
        },
      );
      sent.on('error', reject);
      sent.end(json === undefined ? undefined : JSON.stringify(json));
    });
  }

  test('takes passwords for its metrics, tokens, signatures and listed certificates for its actions', async () => {
    const password = 'alice123';
    const file = web.write(
      'web.yml',
      `tls_server_config:
  cert_file: server.crt
  key_file: server.key
  client_auth_type: VerifyClientCertIfGiven
  client_ca_file: client-ca.crt
basic_auth_users:
  alice: ${hashSync(password, 4)}
`,
    );
    const certificates = `  clientCertificates:
    - {name: robot, subjectAltName: 'DNS:robot.example.net', rights: [reconnect], interfaces: ['Site-*']}
`;
    const { flags } = configure(`${NEW_ADMIN}${certificates}${HOOKS}`);
    const program = new Program([
      ...flags,
      ADMIN,
      `--web.config.file=${file}`,
      '--web.listen-address=127.0.0.1:0',
    ]);
    await until('it listens', () => program.log.includes('msg=listening'));
    const url = /url=(https:\/\/[^/\s]+)/.exec(program.log)?.[1] ?? '';
    const alice = { Authorization: `Basic ${Buffer.from(`alice:${password}`).toString('base64')}` };
    const status = async (...asked: Parameters<typeof ask>): Promise<unknown> => {
      const answer = await ask(...asked);
      return answer.status === 401 ? `401 ${answer.headers['www-authenticate'] ?? ''}` : answer.status;
    };
    const noToken = '401 Bearer realm="rras-exporter"';
    expect(await status(url, '/metrics')).toBe('401 Basic');
    expect(await status(url, '/metrics', { headers: bearer })).toBe('401 Basic');
    expect(await status(url, '/metrics', { headers: alice })).toBe(200);
    const hook = '/api/v1/hooks/alertmanager';
    const json = notificationOf([alertOn('Site-Berlin')]);
    expect(await status(url, hook, { json, headers: bearer })).toBe(200);
    expect(await status(url, hook, { json, headers: alice })).toBe(noToken);
    expect(await status(url, hook, { json })).toBe(noToken);
    const grafana = notificationOf([alertOn('Site-Berlin')], '1');
    const time = String(Math.floor(Date.now() / 1000));
    const hmac = createHmac('sha256', SECRET)
      .update(`${time}:${JSON.stringify(grafana)}`)
      .digest('hex');
    const signed = { 'X-Grafana-Alerting-Signature': hmac, 'X-Grafana-Alerting-Timestamp': time };
    expect(await status(url, '/api/v1/hooks/grafana', { json: grafana, headers: signed })).toBe(200);
    expect(await status(url, '/api/v1/hooks/grafana', { json: { ...grafana, x: 1 }, headers: signed })).toBe(
      noToken,
    );
    const path = '/api/v1/admin/interfaces/Site-Lisboa/reconnect';
    const robot = web.client('DNS:robot.example.net');
    const stranger = web.client('DNS:stranger.example.net');
    expect(await status(url, path, { json: REASON, client: stranger })).toBe(noToken);
    expect(await status(url, path, { json: REASON, client: stranger, headers: alice })).toBe(noToken);
    expect(await status(url, PAUSE, { json: REASON, client: robot })).toBe(403);
    const calls = async (): Promise<number | undefined> => {
      const { text } = await ask(url, '/metrics', { headers: alice });
      return Number(
        /^rras_exporter_native_calls_total\{function="MprAdminInterfaceConnect"\} (\d+)$/m.exec(text)?.[1] ??
          0,
      );
    };
    expect(await calls()).toBe(0);
    expect(await status(url, path, { json: REASON, client: robot })).toBe(202);
    await until('it is dialled', async () => (await calls()) === 1);
    expect((await program.end()).code).toBe(0);
  });
});
