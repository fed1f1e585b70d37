/** HTTP/2 over TLS, with real clients: the same answers and refusals as over HTTP/1.1, and bounds for who asks too much. */
import type { ClientHttp2Stream } from 'node:http2';
import { constants } from 'node:http2';
import { request } from 'node:https';
import type { ConnectionOptions, TLSSocket } from 'node:tls';
import { connect as connectTls } from 'node:tls';
import { gunzipSync } from 'node:zlib';
import { afterEach, describe, expect, test } from 'vitest';
import { verifiedSubjectAltNames } from '../../src/server/client-certificates.ts';
import type { ApiData } from '../../src/server/api.ts';
import { openWebSecurity } from '../../src/server/web-security.ts';
import type { Snapshot } from '../../src/model/snapshot.ts';
import { FakeClock, settle } from '../doubles/fake-clock.ts';
import { snapshotOf } from '../metrics/snapshots.ts';
import type { Identity } from './certificates.ts';
import { makeCertificate } from './certificates.ts';
import { answerOf, Http2Client } from './http2-client.ts';
import type { AppParts, RunningApp } from './running-app.ts';
import { startApp } from './running-app.ts';
import { SecureSite } from './secure-site.ts';
import { WebConfigFolder } from './web-config-folder.ts';

const { NGHTTP2_CANCEL } = constants;
const TLS = 'tls_server_config:\n  cert_file: server.crt\n  key_file: server.key\n';
const VERIFIED = `${TLS}  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: client-ca.crt\n`;
const ALICE = 'basic_auth_users:\n  alice: $2b$04$ncGU5yLZyatkW3EO3zssieAo3AxRFHNVeDsFO6DprHbo5TTZRj9s6\n';
const authorization = `Basic ${Buffer.from('alice:alice123').toString('base64')}`;

const ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

async function open(...given: Parameters<typeof SecureSite.open>): Promise<SecureSite> {
  const site = await SecureSite.open(...given);
  ends.push(() => site.close());
  return site;
}

type ClientOptions = Parameters<typeof Http2Client.open>[2];

async function dial(site: SecureSite, options: ClientOptions = {}): Promise<Http2Client> {
  const client = await Http2Client.open(site.listener.url, site.folder.serverCa.cert, options);
  ends.push(() => client.end());
  return client;
}

interface Exporter extends RunningApp {
  readonly dial: (options?: ClientOptions) => Promise<Http2Client>;
  readonly handshake: () => Promise<TLSSocket>;
  readonly overHttp1: (path: string, method: string) => Promise<{ answer: object; headers: object }>;
}

/** The routes of the exporter over TLS. */
async function exporter(parts: AppParts = {}, config = TLS): Promise<Exporter> {
  const folder = new WebConfigFolder();
  ends.push(() => folder.remove());
  const { clock = new FakeClock() } = parts;
  const quiet = (): void => undefined;
  const logger = { debug: quiet, info: quiet, warn: quiet, error: quiet };
  const web = await openWebSecurity(folder.write('web.yml', config), { logger, clock });
  const app = await startApp({ ...parts, clock, web });
  ends.push(() => app.close());
  const dialing = async (options?: ClientOptions): Promise<Http2Client> => {
    const client = await Http2Client.open(app.url, folder.serverCa.cert, options);
    ends.push(() => client.end());
    return client;
  };
  const overHttp1 = (path: string, method: string): ReturnType<Exporter['overHttp1']> =>
    new Promise((resolve, reject) => {
      const asked = { method, ca: folder.serverCa.cert, agent: false };
      const sent = request(app.url + path, asked, (response) => {
        let text = '';
        response.setEncoding('utf8').on('data', (part: string) => (text += part));
        response.on('end', () => {
          resolve({ answer: { status: response.statusCode, text }, headers: lasting(response.headers) });
        });
      });
      sent.on('error', reject);
      sent.end();
    });
  return {
    ...app,
    dial: dialing,
    handshake: () => handshake({ port: Number(new URL(app.url).port), folder }, { ALPNProtocols: ['h2'] }),
    overHttp1,
  };
}

/** The connection itself, for what no HTTP client does. */
function handshake(
  { port, folder }: Pick<SecureSite, 'port' | 'folder'>,
  options: ConnectionOptions,
): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    const socket = connectTls({ host: '127.0.0.1', port, ca: folder.serverCa.cert, ...options });
    ends.push(() => socket.destroy());
    socket.once('secureConnect', () => resolve(socket));
    socket.once('error', reject);
  });
}

/** How much the server sends, until it ends the connection, to a client that speaks HTTP/2. */
async function bytesFor(site: SecureSite, client: Identity | undefined): Promise<number> {
  const socket = await handshake(site, { ALPNProtocols: ['h2'], ...client });
  let bytes = 0;
  socket.on('data', (chunk: Buffer) => (bytes += chunk.length));
  socket.on('error', () => undefined);
  socket.write('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0');
  await new Promise((resolve) => socket.once('close', resolve));
  return bytes;
}

const API = {
  status: () => ({ up: true }),
  connections: () => [],
  interfaces: () => [],
} as unknown as ApiData;
const PAGE = 'rras_up 1\n';
const pageOf = (text: string) => () => Promise.resolve([Buffer.from(text)]);
const LARGE = Array.from({ length: 200_000 }, (_, i) => `rras_x{connection="${i}"} ${i * 7}\n`).join('');
const GZIP = { 'accept-encoding': 'gzip' };

/** Waits until nothing sleeps but for so long. */
async function sleepsFor(clock: FakeClock, ms: number): Promise<void> {
  while (clock.nextDueMs === null || clock.nextDueMs - clock.monotonicMs() !== ms) await settle();
}

/** What is said of the answer, and not of the connection or of the way that it takes. */
function lasting(headers: object): object {
  const passing = [':status', 'date', 'connection', 'keep-alive', 'transfer-encoding', 'content-length'];
  return Object.fromEntries(Object.entries(headers).filter(([name]) => !passing.includes(name)));
}

describe('the version of HTTP', () => {
  test('is 2 for clients that offer it, 1.1 for others', async () => {
    const site = await open(TLS, { seen: ({ httpVersion }) => httpVersion });
    expect((await handshake(site, { ALPNProtocols: ['h2', 'http/1.1'] })).alpnProtocol).toBe('h2');
    expect((await handshake(site, { ALPNProtocols: ['http/1.1'] })).alpnProtocol).toBe('http/1.1');
    expect((await (await dial(site)).get()).text).toBe('"2.0"');
    expect((await site.get()).text).toBe('"1.1"');
  });

  test.each([
    ['the file turns it off', `${TLS}http_server_config:\n  http2: false\n`],
    ['a version is allowed that is too old for it', `${TLS}  min_version: TLS11\n`],
    [
      'a suite is missing that it needs',
      `${TLS}  cipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384]\n`,
    ],
  ])('is 1.1 for all where %s', async (_, config) => {
    const site = await open(config);
    expect((await handshake(site, { ALPNProtocols: ['h2', 'http/1.1'] })).alpnProtocol).toBe('http/1.1');
    await expect(handshake(site, { ALPNProtocols: ['h2'] })).rejects.toThrow(/no application protocol/);
    expect((await site.get()).status).toBe(200);
  });

  test('is 2 with the suites that it needs, over TLS 1.2 too', async () => {
    const suites = 'TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256';
    const site = await open(`${TLS}  cipher_suites: [${suites}]\n`);
    const client = await dial(site, { maxVersion: 'TLSv1.2' });
    expect((await client.get()).status).toBe(200);
    const only13 = await open(`${TLS}  cipher_suites: [TLS_AES_128_GCM_SHA256]\n`);
    expect((await (await dial(only13)).get()).status).toBe(200);
  });

  test('goes by the file on the next connection', async () => {
    const site = await open(TLS);
    const before = await dial(site);
    site.write(`${TLS}http_server_config:\n  http2: no\n`);
    expect((await handshake(site, { ALPNProtocols: ['h2', 'http/1.1'] })).alpnProtocol).toBe('http/1.1');
    expect((await before.get()).status).toBe(200);
  });
});

describe('over HTTP/2', () => {
  test('all routes answer as over HTTP/1.1, without headers of a connection', async () => {
    const app = await exporter({ render: pageOf(PAGE), api: API });
    const client = await app.dial();
    for (const path of [
      '/metrics',
      '/',
      '/-/healthy',
      '/-/ready',
      '/sd',
      '/probe?target=x',
      '/api/v1/connections',
      '/api/v1/connections?limit=0',
      '/api/v1/openapi.json',
      '/api/v1/nothing',
      '/nothing',
      '/%ff',
    ]) {
      for (const method of ['GET', 'HEAD', 'POST', 'OPTIONS']) {
        const [{ headers, code, ...answer }, old] = await Promise.all([
          client.get(path, { method }),
          app.overHttp1(path, method),
        ]);
        const what = `${method} ${path}`;
        expect({ code, status: answer.status, text: answer.text }, what).toEqual({ code: 0, ...old.answer });
        expect(Object.keys(headers), what).not.toContain('connection');
        expect(lasting(headers), what).toEqual(old.headers);
      }
    }
  });

  test('CONNECT is no method, and an expectation is answered', async () => {
    const app = await exporter();
    const client = await app.dial();
    const connecting = client.session.request({ ':method': 'CONNECT', ':authority': 'example.net:443' });
    connecting.end();
    expect((await answerOf(connecting)).status).toBe(405);
    expect((await client.get('/-/healthy', { headers: { expect: '100-continue' } })).status).toBe(200);
    expect((await client.get('/-/healthy', { headers: { expect: 'x' } })).status).toBe(417);
  });

  test('a large page comes whole, plain and compressed', async () => {
    const app = await exporter({ render: pageOf(LARGE) });
    const client = await app.dial();
    const [plain, zipped] = await Promise.all([
      client.get('/metrics'),
      client.get('/metrics', { headers: GZIP }),
    ]);
    expect(plain.headers['content-length']).toBe(String(LARGE.length));
    expect(plain.text === LARGE).toBe(true);
    expect(zipped.headers['content-encoding']).toBe('gzip');
    expect(gunzipSync(zipped.body).toString() === LARGE).toBe(true);
  });

  test('passwords are asked for, the rate is limited and the headers of the file are set', async () => {
    const header = 'http_server_config:\n  headers:\n    X-Frame-Options: deny\n';
    const site = await open(`${TLS}${ALICE}${header}rate_limit: {interval: 1h, burst: 3}\n`);
    const client = await dial(site);
    const answers = [
      await client.get(),
      await client.get('/', { headers: { authorization: `${authorization}x` } }),
      await client.get('/', { headers: { authorization } }),
      await client.get('/', { headers: { authorization } }),
    ];
    expect(answers.map(({ status }) => status)).toEqual([401, 401, 200, 429]);
    expect(answers[0]!.headers['www-authenticate']).toBe('Basic');
    for (const { headers } of answers) expect(headers['x-frame-options']).toBe('deny');
  });

  test('the address of a client is known, and its host as HTTP/1.1 has it', async () => {
    const site = await open(TLS, {
      seen: ({ socket, headers }) => [socket.remoteAddress, headers.host],
    });
    const client = await dial(site);
    for (const headers of [{}, { host: 'other.example', ':authority': `127.0.0.1:${site.port}` }]) {
      const { text } = await client.get('/', { headers });
      expect(JSON.parse(text)).toEqual(['127.0.0.1', `127.0.0.1:${site.port}`]);
    }
  });

  test('S1 all requests are refused while the file cannot be used', async () => {
    const site = await open(TLS);
    const client = await dial(site);
    site.write('tls_server_config: [');
    expect((await client.get()).status).toBe(500);
    site.write(TLS);
    expect((await client.get()).status).toBe(200);
  });
});

describe('the certificate of a client over HTTP/2', () => {
  test('decides who is let in, and by which name', async () => {
    const site = await open(`${VERIFIED}  client_allowed_sans: [a.example]\n`, {
      seen: verifiedSubjectAltNames,
    });
    const client = await dial(site, { client: site.folder.client('DNS:a.example', 'DNS:b.example') });
    expect(JSON.parse((await client.get()).text)).toEqual(['DNS:a.example', 'DNS:b.example']);
    const strange = makeCertificate({ sans: ['DNS:a.example'], usage: 'client' });
    for (const refused of [undefined, site.folder.client('DNS:b.example'), strange]) {
      expect(await bytesFor(site, refused)).toBe(0);
    }
  });

  test('A7 is not taken for that of another connection', async () => {
    const site = await open(
      `${TLS}  client_auth_type: RequestClientCert\n  client_ca_file: client-ca.crt\n`,
      {
        seen: verifiedSubjectAltNames,
      },
    );
    const names = ['a', 'b', null, 'c', null];
    const clients = await Promise.all(
      names.map((name) =>
        dial(site, name === null ? {} : { client: site.folder.client(`DNS:${name}.example`) }),
      ),
    );
    for (let round = 0; round < 5; round += 1) {
      const seen = await Promise.all(clients.map((client) => client.get()));
      expect(seen.map(({ text }) => JSON.parse(text) as unknown)).toEqual(
        names.map((name) => (name === null ? [] : [`DNS:${name}.example`])),
      );
    }
  });

  test('is judged anew when the rules change: the connection ends before anything is answered', async () => {
    const site = await open(VERIFIED);
    const client = await dial(site, { client: site.folder.client() });
    expect((await client.get()).status).toBe(200);
    const other = makeCertificate({ name: 'other CA', isCa: true });
    site.folder.write('client-ca.crt', other.cert);
    expect(await client.get()).toMatchObject({ status: 0 });
    await client.closed;
    const next = await dial(site, { client: makeCertificate({ issuer: other, usage: 'client' }) });
    expect((await next.get()).status).toBe(200);
  });
});

describe('H2 a client of HTTP/2 that does not read', () => {
  test('is cut off at the deadline, stream by stream, while others of the same connection are answered', async () => {
    const app = await exporter({ render: pageOf(LARGE) });
    const client = await app.dial();
    const silent = Array.from({ length: 5 }, () => client.ask('/metrics'));
    await Promise.all(silent.map((stream) => new Promise((resolve) => stream.once('response', resolve))));
    const closed = Promise.all(
      silent.map(
        (stream) => new Promise<number>((resolve) => stream.once('close', () => resolve(stream.rstCode))),
      ),
    );
    const { status } = await client.get('/-/healthy');
    expect(status).toBe(200);
    await app.clock.advance(9_999);
    expect(silent.every((stream) => !stream.destroyed)).toBe(true);
    await app.clock.advance(1);
    // Who does not read does not see its end either.
    for (const stream of silent) stream.resume();
    expect(await closed).toEqual(Array(5).fill(NGHTTP2_CANCEL));
    expect((await client.get('/-/healthy')).status).toBe(200);
  });

  /** Small answers do not leave either, if the client gives them no room. */
  const NO_ROOM = { settings: { initialWindowSize: 0 } };
  const closeOf = (stream: ClientHttp2Stream): Promise<number> =>
    new Promise((resolve) => stream.once('close', () => resolve(stream.rstCode)));
  const begunOf = (stream: ClientHttp2Stream): Promise<number> =>
    new Promise((resolve) => stream.once('response', (headers) => resolve(headers[':status'] ?? 0)));

  async function isCutOff(clock: FakeClock, stream: ClientHttp2Stream, ms = 10_000): Promise<void> {
    stream.resume();
    const closed = closeOf(stream);
    await sleepsFor(clock, ms);
    await clock.advance(ms - 1);
    expect(stream.destroyed).toBe(false);
    await clock.advance(1);
    expect(await closed).toBe(NGHTTP2_CANCEL);
  }

  test.each<[status: number, method: string, path: string, more?: string]>([
    [200, 'GET', '/metrics'],
    [200, 'GET', '/-/healthy'],
    [200, 'GET', '/-/ready'],
    [200, 'GET', '/'],
    [200, 'GET', '/sd'],
    [200, 'GET', '/api/v1/status'],
    [200, 'POST', '/-/reload'],
    [400, 'GET', '/probe'],
    [404, 'GET', '/nothing'],
    [405, 'POST', '/metrics'],
    [405, 'GET', '/-/reload'],
    [401, 'GET', '/metrics', ALICE],
    [429, 'GET', '/metrics', 'rate_limit: {interval: 24h, burst: 1}\n'],
  ])(
    'and gives an answer of %i to %s %s no room is cut off, and its connection after that',
    async (status, method, path, more = '') => {
      const app = await exporter({ render: pageOf(PAGE), reload: () => Promise.resolve() }, `${TLS}${more}`);
      if (status === 429) {
        const first = await app.dial();
        await first.get('/metrics');
        first.end();
      }
      const client = await app.dial(NO_ROOM);
      const stream = client.ask(path, { method });
      expect(await begunOf(stream)).toBe(status);
      await isCutOff(app.clock, stream);
      await sleepsFor(app.clock, 90_000);
      await app.clock.advance(90_000);
      await client.closed;
      expect(app.clock.pending).toBe(0);
      expect(app.errors).toEqual([]);
    },
  );

  test('S1 is cut off as well while the file cannot be used', async () => {
    const clock = new FakeClock();
    const site = await open(TLS, { clock });
    const client = await dial(site, NO_ROOM);
    site.write('tls_server_config: [');
    const stream = client.ask('/');
    expect(await begunOf(stream)).toBe(500);
    await isCutOff(clock, stream);
  });

  test('is cut off after an hour, whatever it asked for: no answer takes longer', async () => {
    const clock = new FakeClock();
    const site = await open(TLS, { clock, seen: () => 'an answer without a deadline' });
    const client = await dial(site, NO_ROOM);
    const stream = client.ask('/');
    expect(await begunOf(stream)).toBe(200);
    await isCutOff(clock, stream, 3_630_000);
    await sleepsFor(clock, 90_000);
    await clock.advance(90_000);
    await client.closed;
    expect(clock.pending).toBe(0);
  });

  test('has no more than 100 requests under way', async () => {
    let collecting = 0;
    const app = await exporter({
      collect: () => {
        collecting += 1;
        return new Promise<Snapshot>(() => undefined);
      },
    });
    const client = await app.dial();
    expect(client.session.remoteSettings.maxConcurrentStreams).toBe(100);
    // Whatever its own idea of it is.
    const raw = await app.dial({ peerMaxConcurrentStreams: 1000 });
    for (let i = 0; i < 150; i += 1) raw.ask('/metrics');
    while (collecting < 100) await settle();
    await settle();
    expect(collecting).toBe(100);
  });
});

describe('H3 a client of HTTP/2 that says little', () => {
  test('is cut off after 5 s without a request, and after 90 s without another', async () => {
    const clock = new FakeClock();
    const site = await open(TLS, { clock });
    const silent = await dial(site);
    const asking = await dial(site);
    await clock.advance(4_999);
    expect((await asking.get()).status).toBe(200);
    expect(silent.session.destroyed).toBe(false);
    await clock.advance(1);
    await silent.closed;
    await clock.advance(89_000);
    expect((await asking.get()).status).toBe(200);
    await clock.advance(89_999);
    expect(asking.session.destroyed).toBe(false);
    await clock.advance(1);
    await asking.closed;
    expect(clock.pending).toBe(0);
  });

  test('is not kept by pings', async () => {
    const clock = new FakeClock();
    const site = await open(TLS, { clock });
    const client = await dial(site);
    for (let seconds = 0; seconds < 5; seconds += 1) {
      await new Promise<void>((resolve) => client.session.ping(() => resolve()));
      await clock.advance(1000);
    }
    await client.closed;
  });

  test('is not cut off while it waits for an answer', async () => {
    const clock = new FakeClock();
    let answer: ((snapshot: Snapshot) => void) | undefined;
    const app = await exporter({
      clock,
      render: pageOf(PAGE),
      collect: () => new Promise((resolve) => (answer = resolve)),
    });
    const client = await app.dial();
    const waiting = client.get('/metrics');
    while (!answer) await settle();
    // As long as a scrape may take.
    await clock.advance(3_600_000);
    answer(snapshotOf());
    expect((await waiting).text).toBe(PAGE);
  });

  test('has 10 s for a body', async () => {
    const clock = new FakeClock();
    const site = await open(TLS, { clock, seen: () => new Promise(() => undefined) });
    const client = await dial(site);
    const stream = client.session.request({ ':method': 'POST', ':path': '/' }, { endStream: false });
    stream.on('error', () => undefined);
    const closed = new Promise((resolve) => stream.once('close', resolve));
    stream.write('{');
    await sleepsFor(clock, 10_000);
    await clock.advance(9_999);
    stream.write('"');
    expect(stream.destroyed).toBe(false);
    await clock.advance(1);
    await closed;
    expect(stream.rstCode).toBe(NGHTTP2_CANCEL);
    expect((await client.get('/open')).status).toBe(200);
  });
});

describe('H2 requests that are taken back', () => {
  test('1,000 at once harm nobody else, and their client is cut off', async () => {
    const app = await exporter({ render: pageOf(PAGE), maxRequests: 40 });
    const [good, bad] = [await app.dial(), await app.dial()];
    let worstMs = 0;
    for (let i = 0; i < 1000; i += 1) {
      if (bad.session.destroyed || bad.session.closed) break;
      const stream = bad.ask('/metrics');
      stream.close(NGHTTP2_CANCEL);
      if (i % 100 !== 0) continue;
      const started = performance.now();
      expect((await good.get('/metrics')).text).toBe(PAGE);
      worstMs = Math.max(worstMs, performance.now() - started);
    }
    await bad.closed;
    expect(worstMs).toBeLessThan(1000);
    expect((await good.get('/metrics')).text).toBe(PAGE);
    expect(app.errors).toEqual([]);
  });

  test('leave no place taken that others need', async () => {
    const app = await exporter({ render: pageOf(PAGE), maxRequests: 4 }, `${TLS}${ALICE}`);
    const client = await app.dial();
    for (let i = 0; i < 50; i += 1) {
      const stream = client.ask('/metrics', { headers: { authorization } });
      // At once, and while the password is being checked.
      if (i % 2 === 0) await new Promise((resolve) => setImmediate(resolve));
      stream.close(NGHTTP2_CANCEL);
    }
    await expect
      .poll(async () => (await client.get('/metrics', { headers: { authorization } })).status)
      .toBe(200);
    const all = await Promise.all(
      Array.from({ length: 4 }, () => client.get('/metrics', { headers: { authorization } })),
    );
    expect(all.map(({ status }) => status)).toEqual([200, 200, 200, 200]);
  });
});

/** Frames as they are on the wire, for what no client does. https://www.rfc-editor.org/rfc/rfc9113#section-4.1 */
function frame(type: number, flags: number, stream: number, payload: Buffer = Buffer.alloc(0)): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head[3] = type;
  head[4] = flags;
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}
const [HEADERS, SETTINGS, PING, WINDOW_UPDATE, CONTINUATION] = [1, 4, 6, 8, 9];
const [END_STREAM, END_HEADERS] = [1, 4];
const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
/** As wide as can be: SETTINGS_INITIAL_WINDOW_SIZE, and the window of the connection. */
const WIDE_OPEN = Buffer.concat([
  PREFACE,
  frame(SETTINGS, 0, 0, Buffer.from([0, 4, 0x7f, 0xff, 0xff, 0xff])),
  frame(WINDOW_UPDATE, 0, 0, Buffer.from([0x7f, 0xff, 0, 0])),
]);
/** GET https://x/metrics, in HPACK. */
const METRICS = Buffer.concat([
  Buffer.from([0x82, 0x87, 0x01, 1]),
  Buffer.from('x'),
  Buffer.from([0x04, 8]),
  Buffer.from('/metrics'),
]);

describe('H2 a client that speaks HTTP/2 by itself', () => {
  async function raw(app: Exporter): Promise<{ socket: TLSSocket; closed: Promise<number> }> {
    const socket = await app.handshake();
    let bytes = 0;
    const closed = new Promise<number>((resolve) => {
      socket.on('error', () => undefined);
      socket.once('close', () => resolve(bytes));
    });
    socket.on('data', (chunk: Buffer) => (bytes += chunk.length));
    return { socket, closed };
  }

  test('and reads nothing at all holds neither its stream nor, after that, its connection', async () => {
    const size = 64 * 1024 * 1024;
    const app = await exporter({ render: () => Promise.resolve([Buffer.alloc(size, 10)]) });
    const { socket, closed } = await raw(app);
    socket.pause();
    socket.write(Buffer.concat([WIDE_OPEN, frame(HEADERS, END_STREAM | END_HEADERS, 1, METRICS)]));
    await sleepsFor(app.clock, 10_000);
    await app.clock.advance(10_000);
    await sleepsFor(app.clock, 90_000);
    await app.clock.advance(90_000);
    socket.resume();
    expect(await closed).toBeLessThan(size);
    expect(app.clock.pending).toBe(0);
  });

  test.each<[what: string, bytes: () => Buffer]>([
    [
      'sends headers without an end',
      () =>
        Buffer.concat([
          frame(HEADERS, END_STREAM, 1, METRICS),
          ...Array<Buffer>(1000).fill(frame(CONTINUATION, 0, 1, Buffer.from([0x00, 1, 0x61, 1, 0x61]))),
        ]),
    ],
    ['sends no frames', () => Buffer.alloc(100_000, 0x61)],
    [
      'has a frame longer than was agreed',
      () => frame(HEADERS, END_STREAM | END_HEADERS, 1, Buffer.alloc(20_000)),
    ],
    ['sends a body to no stream', () => frame(0, 0, 1, Buffer.from('x'))],
  ])('and %s is cut off, and harms nobody', async (_, bytes) => {
    const app = await exporter({ render: pageOf(PAGE) });
    const { socket, closed } = await raw(app);
    socket.write(Buffer.concat([WIDE_OPEN, bytes()]));
    await closed;
    expect((await (await app.dial()).get('/metrics')).text).toBe(PAGE);
    expect(app.errors).toEqual([]);
  });

  test('and sends 100,000 pings and settings keeps nobody waiting', async () => {
    const app = await exporter({ render: pageOf(PAGE) });
    const good = await app.dial();
    const { socket } = await raw(app);
    socket.pause();
    socket.write(WIDE_OPEN);
    for (const each of [frame(PING, 0, 0, Buffer.alloc(8)), frame(SETTINGS, 0, 0)]) {
      socket.write(Buffer.concat(Array<Buffer>(50_000).fill(each)));
    }
    for (let round = 0; round < 5; round += 1) {
      const started = performance.now();
      expect((await good.get('/metrics')).text).toBe(PAGE);
      expect(performance.now() - started).toBeLessThan(1000);
    }
  });

  test('may send 16 KiB of headers, and 100 of them', async () => {
    const app = await exporter({ render: pageOf(PAGE) });
    const get = async (headers: Record<string, string>) =>
      (await (await app.dial()).get('/metrics', { headers })).status;
    const many = (count: number) =>
      Object.fromEntries(Array.from({ length: count }, (_, i) => [`x-${i}`, 'y']));
    expect(await get({ 'x-long': 'y'.repeat(14_000) })).toBe(200);
    expect(await get({ 'x-long': 'y'.repeat(17_000) })).not.toBe(200);
    expect(await get(many(90))).toBe(200);
    expect(await get(many(101))).not.toBe(200);
  });
});

describe('H7 the end of the program', () => {
  async function scraping() {
    const answers: ((snapshot: Snapshot) => void)[] = [];
    const app = await exporter({
      render: pageOf(PAGE),
      collect: () => new Promise((resolve) => answers.push(resolve)),
    });
    const client = await app.dial();
    const asked = client.get('/metrics');
    while (answers.length === 0) await settle();
    return { app, client, asked, answer: () => answers[0]!(snapshotOf()) };
  }

  test('lets a stream finish, takes no other, and ends the connections', async () => {
    const { app, client, asked, answer } = await scraping();
    const idle = await app.dial();
    let isClosed = false;
    const closing = app.listener.close(new AbortController().signal).then(() => (isClosed = true));
    await idle.closed;
    expect(isClosed).toBe(false);
    expect(client.session.closed).toBe(true);
    answer();
    expect(await asked).toMatchObject({ status: 200, text: PAGE, code: 0 });
    await closing;
    await client.closed;
  });

  test('ends what is left when its time is up', async () => {
    const { app, client, asked } = await scraping();
    const time = new AbortController();
    const closing = app.listener.close(time.signal);
    time.abort();
    await closing;
    expect((await asked).status).toBe(0);
    await client.closed;
  });
});
