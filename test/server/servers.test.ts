/** The routes of several servers, over real sockets: probes, their discovery, and the API of the one that is chosen. */
import { connect } from 'node:net';
import { gunzipSync } from 'node:zlib';
import fc from 'fast-check';
import { afterEach, describe, expect, test } from 'vitest';
import type { Snapshot } from '../../src/model/snapshot.ts';
import type { ApiConnection } from '../../src/server/api.ts';
import type { ServedServer } from '../../src/server/app.ts';
import { openWebSecurity } from '../../src/server/web-security.ts';
import { CONTENT_TYPES } from '../../src/metrics/exposition.ts';
import { PageCache } from '../../src/server/pages.ts';
import { FakeClock } from '../doubles/fake-clock.ts';
import { snapshotOf } from '../metrics/snapshots.ts';
import { answerOf, Http2Client } from './http2-client.ts';
import { linkOf, sessionOf, statusOf } from './page-data.ts';
import type { AppParts, RunningApp } from './running-app.ts';
import { startApp } from './running-app.ts';
import { WebConfigFolder } from './web-config-folder.ts';

const ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

/** A configured server whose page has its name, and that counts how often it was asked for something. */
class Configured implements ServedServer {
  readonly name: string;
  asked = 0;
  waits: number[] = [];
  ended = false;
  readonly pages: PageCache;
  /** Resolved by the test, if it is there. */
  hold: Promise<Snapshot> | undefined;
  readonly #snapshot = snapshotOf();

  constructor(name: string) {
    this.name = name;
    this.pages = new PageCache(
      {
        contentTypes: CONTENT_TYPES,
        render: (_, format) => Promise.resolve([Buffer.from(`# ${format} of ${name}\n`)]),
      },
      new FakeClock(),
    );
  }

  collect(waitMs: number): Promise<Snapshot> {
    this.asked += 1;
    this.waits.push(waitMs);
    return this.hold ?? Promise.resolve(this.#snapshot);
  }
  ready(): boolean {
    return true;
  }
  readonly api = {
    status: () => {
      this.asked += 1;
      return statusOf({ version: this.name });
    },
    connections: (): readonly ApiConnection[] => {
      this.asked += 1;
      return [sessionOf({ user: `user of ${this.name}` })];
    },
    interfaces: () => {
      this.asked += 1;
      return [linkOf({ interface: `link of ${this.name}` })];
    },
  };
}

async function start(names: readonly string[] = ['vpn1', 'vpn2.example.net'], parts: AppParts = {}) {
  const servers = new Map(names.map((name) => [name, new Configured(name)]));
  const app: RunningApp = await startApp({ servers: () => servers, ...parts });
  ends.push(() => app.close());
  const asked = (): number => [...servers.values()].reduce((sum, each) => sum + each.asked, 0);
  return { app, get: app.get, servers, asked };
}

const UNKNOWN = 'There is no server of that name in the configuration file.\n';
/** What somebody might have the exporter log in to, and what looks like a configured name without being one. */
const EVIL = [
  '',
  ' ',
  '\\\\evil',
  '\\\\evil\\share',
  '\\\\?\\UNC\\evil\\pipe',
  '//evil/share',
  '..',
  '../vpn1',
  'vpn1/..',
  'vpn1\0',
  '\0',
  'vpn1\0.evil.example',
  'vpn1 ',
  ' vpn1',
  'vpn1\n',
  'vpn1.',
  'VPN1',
  'Vpn1',
  'vpn2.example.NET',
  'vрn1',
  'ｖｐｎ１',
  'vpn\u200d1',
  'vpn1\u0301',
  'vpn%31',
  'http://vpn1',
  'vpn1:10077',
  'vpn1@evil',
  '127.0.0.1',
  '169.254.169.254',
  'localhost',
  '__proto__',
  'constructor',
  'hasOwnProperty',
  'toString',
  'size',
  'null',
  'undefined',
  '*',
  'a'.repeat(4000),
] as const;

describe('a probe', () => {
  test('answers the metrics of the server that it names, and of no other', async () => {
    const { get, servers } = await start();
    for (const name of servers.keys()) {
      const { status, headers, text } = await get(`/probe?target=${name}`);
      expect({ status, text }).toEqual({ status: 200, text: `# text of ${name}\n` });
      expect(headers['content-type']).toBe('text/plain; version=0.0.4; charset=utf-8');
      expect(headers['cache-control']).toBe('no-store');
    }
    expect([...servers.values()].map(({ asked }) => asked)).toEqual([1, 1]);
    expect((await get('/metrics')).text).toBe('# nothing\n');
    expect([...servers.values()].map(({ asked }) => asked)).toEqual([1, 1]);
  });

  test('is OpenMetrics and compressed for who asks for that, and HEAD is answered as anywhere', async () => {
    const { get } = await start();
    const openMetrics = { Accept: 'application/openmetrics-text; version=1.0.0' };
    const { headers, body, text } = await get('/probe?target=vpn1', { headers: openMetrics });
    expect(text).toBe('# openmetrics of vpn1\n');
    expect(headers['content-type']).toBe('application/openmetrics-text; version=1.0.0; charset=utf-8');
    const zipped = await get('/probe?target=vpn1', {
      headers: { ...openMetrics, 'Accept-Encoding': 'gzip' },
    });
    expect(zipped.headers['content-encoding']).toBe('gzip');
    expect(gunzipSync(zipped.body)).toEqual(body);
    const head = await get('/probe?target=vpn1', { method: 'HEAD' });
    expect([head.status, head.body.length]).toEqual([200, 0]);
    expect(head.headers['content-length']).toBe(String('# text of vpn1\n'.length));
  });

  test('waits as long as the header of the scraper allows, and as the flag says without one', async () => {
    const { get, servers } = await start(['vpn1'], { timeoutMs: 7000 });
    await get('/probe?target=vpn1', { headers: { 'X-Prometheus-Scrape-Timeout-Seconds': '3' } });
    await get('/probe?target=vpn1');
    expect(servers.get('vpn1')!.waits).toEqual([2700, 7000]);
  });

  test('without a target is 400 and told how it is done', async () => {
    const { get, asked } = await start();
    for (const path of ['/probe', '/probe?', '/probe?Target=vpn1', '/probe?server=vpn1']) {
      const { status, text } = await get(path);
      expect({ path, status }).toEqual({ path, status: 400 });
      expect(text).toContain('/probe?target=NAME');
    }
    expect(asked()).toBe(0);
  });

  test.each(EVIL)('A4 of %j is 404, is not dialled, and is not repeated in the answer', async (name) => {
    const { get, asked } = await start();
    const { status, text, headers } = await get(`/probe?target=${encodeURIComponent(name)}`);
    expect({ status, text }).toEqual({ status: 404, text: UNKNOWN });
    if (name.length > 6) expect(JSON.stringify(headers)).not.toContain(name);
    expect(asked()).toBe(0);
  });

  test.each([
    '/probe?target=vpn1&target=vpn2.example.net',
    '/probe?target[]=vpn1',
    '/probe?target=%5C%5Cevil&server=vpn1',
    '/probe?target=%ff%fe',
    '/probe?target=vpn1%',
    '/probe?target=%C0%AE%C0%AE',
  ])('A4 %s reaches no server either', async (path) => {
    const { get, asked } = await start();
    expect((await get(path)).status).toBeGreaterThanOrEqual(400);
    expect((await get(path)).status).toBeLessThan(500);
    expect(asked()).toBe(0);
  });

  test('A4 reaches a server by its very name only, whatever is asked for', async () => {
    const { get, asked, servers } = await start();
    await fc.assert(
      fc.asyncProperty(fc.oneof(fc.string({ unit: 'binary' }), fc.constantFrom(...EVIL)), async (name) => {
        const { status, text } = await get(`/probe?target=${encodeURIComponent(name.toWellFormed())}`);
        expect({ status, text }).toEqual({ status: 404, text: UNKNOWN });
      }),
      { numRuns: 200, examples: [...servers.keys()].map((name) => [`${name}\u0000`]) },
    );
    expect(asked()).toBe(0);
    expect((await get('/probe?target=%76pn1')).status).toBe(200);
    expect(asked()).toBe(1);
  });

  test('of a server that a reload took away is 404 from then on', async () => {
    const { get, servers } = await start();
    expect((await get('/probe?target=vpn1')).status).toBe(200);
    servers.delete('vpn1');
    expect((await get('/probe?target=vpn1')).status).toBe(404);
  });

  test('is 503 until the servers are open, as is the discovery: Prometheus would drop its targets', async () => {
    const open: { servers?: ReadonlyMap<string, ServedServer> } = {};
    const { get } = await start([], { servers: () => open.servers });
    for (const path of ['/probe?target=vpn1', '/sd']) {
      const { status, headers, text } = await get(path);
      expect([status, headers['retry-after'], text]).toEqual([
        503,
        '1',
        'The configured servers are not open yet, try again later.\n',
      ]);
    }
    open.servers = new Map([['vpn1', new Configured('vpn1')]]);
    expect((await get('/probe?target=vpn1')).status).toBe(200);
    expect((await get('/sd')).text).toContain('"instance":"vpn1"');
  });

  test('of a server that a reload takes away meanwhile is 503: what it looks like is not the server', async () => {
    const { get, servers } = await start();
    const vpn1 = servers.get('vpn1')!;
    const { promise, resolve } = Promise.withResolvers<Snapshot>();
    vpn1.hold = promise;
    const answer = get('/probe?target=vpn1');
    await expect.poll(() => vpn1.waits.length).toBe(1);
    vpn1.ended = true;
    resolve(snapshotOf());
    const { status, text } = await answer;
    expect([status, text]).toEqual([
      503,
      'The server was taken out of the configuration, or is another one now.\n',
    ]);
  });

  test('is 404 where no servers are configured at all', async () => {
    const app = await startApp();
    ends.push(() => app.close());
    expect((await app.get('/probe?target=vpn1')).status).toBe(404);
    expect((await app.get('/sd')).text).toBe('[]');
  });

  test('H2 counts towards --web.max-requests as any scrape, and a discovery does not', async () => {
    const { get, servers } = await start(['vpn1', 'vpn2'], { maxRequests: 2 });
    const held = [...servers.values()].map((server) => {
      const { promise, resolve } = Promise.withResolvers<Snapshot>();
      server.hold = promise;
      return { end: () => resolve(snapshotOf()), answer: get(`/probe?target=${server.name}`) };
    });
    await expect.poll(() => [...servers.values()].map(({ waits }) => waits.length)).toEqual([1, 1]);
    for (const path of ['/probe?target=vpn1', '/metrics']) {
      const { status, headers, text } = await get(path);
      expect({ path, status, retry: headers['retry-after'] }).toEqual({ path, status: 503, retry: '1' });
      expect(text).toBe('Limit of concurrent requests reached (2), try again later.\n');
    }
    expect((await get('/sd')).status).toBe(200);
    expect((await get('/api/v1/status')).status).toBe(200);
    held[0]!.end();
    expect((await held[0]!.answer).text).toBe('# text of vpn1\n');
    await expect.poll(async () => (await get('/metrics')).status).toBe(200);
    held[1]!.end();
    expect((await held[1]!.answer).text).toBe('# text of vpn2\n');
  });

  test('N1 of one that hangs keeps nobody else waiting', async () => {
    const { get, servers } = await start();
    const { promise, resolve } = Promise.withResolvers<Snapshot>();
    const hung = servers.get('vpn1')!;
    hung.hold = promise;
    const waiting = get('/probe?target=vpn1');
    await expect.poll(() => hung.waits.length).toBe(1);
    for (let i = 0; i < 20; i += 1) {
      expect((await get('/probe?target=vpn2.example.net')).text).toBe('# text of vpn2.example.net\n');
    }
    expect((await get('/metrics')).status).toBe(200);
    resolve(snapshotOf());
    expect((await waiting).status).toBe(200);
  });
});

/** As it stands in the contract. */
const discovered = (host: string, path: string, ...names: readonly string[]): string =>
  `[${names
    .map(
      (name) =>
        `{"targets":["${host}"],"labels":{"__metrics_path__":"${path}","__param_target":"${name}","instance":"${name}"}}`,
    )
    .join(',')}]`;

describe('the discovery', () => {
  test('is what Prometheus takes, byte for byte as in the contract', async () => {
    const { app, get } = await start();
    const { status, headers, text } = await get('/sd');
    expect(status).toBe(200);
    expect(text).toBe(discovered(new URL(app.url).host, '/probe', 'vpn1', 'vpn2.example.net'));
    expect(headers['content-type']).toBe('application/json; charset=utf-8');
    expect(headers['cache-control']).toBe('no-store');
  });

  test('leads to the probes: what it says can be asked for', async () => {
    const { app, get } = await start();
    const groups = JSON.parse((await get('/sd')).text) as {
      targets: string[];
      labels: Record<string, string>;
    }[];
    for (const { targets, labels } of groups) {
      expect(targets).toEqual([new URL(app.url).host]);
      const path = `${labels['__metrics_path__']}?target=${labels['__param_target']}`;
      expect((await get(path)).text).toBe(`# text of ${labels['instance']!}\n`);
    }
    expect(groups).toHaveLength(2);
  });

  test('is the configuration as it is now, in its order', async () => {
    const { get, servers } = await start(['b', 'a', 'c'], { externalUrl: 'http://x:1' });
    servers.delete('a');
    servers.set('0', new Configured('0'));
    expect((await get('/sd')).text).toBe(discovered('x:1', '/probe', 'b', 'c', '0'));
  });

  test.each([
    'exporter',
    'exporter:10077',
    'exporter.example.net:80',
    'exporter.example.net:443',
    'EXPORTER.example.net:1',
    'rras_exporter:10077',
    '_exporter.example.net:10077',
    'exporter.example.net.:10077',
    '192.0.2.7:10077',
    '[::1]:10077',
    '[2001:db8::7]',
    '[::ffff:192.0.2.7]:443',
  ])('names the host that it was asked by: %s', async (host) => {
    const { get } = await start(['vpn1']);
    const { status, text } = await get('/sd', { headers: { Host: host } });
    expect({ status, text }).toEqual({ status: 200, text: discovered(host, '/probe', 'vpn1') });
  });

  test.each([
    ' ',
    'a b',
    'exporter:',
    'exporter:http',
    'exporter:99999',
    'exporter:123456',
    '.exporter',
    '-exporter',
    'exporter/path',
    'exporter:10077/path',
    'exporter?x=y',
    'exporter#x',
    'anna@exporter',
    'anna:secret@exporter:10077',
    'exporter,evil',
    'exporter:10077, evil',
    '"evil"',
    '<script>alert(1)</script>',
    '{{evil}}',
    '%65vil',
    '\\\\evil',
    'exporter\\evil',
    '::1',
    '[::1',
    '[::1]evil',
    '[evil]:10077',
    '[1.2.3]',
    '1.2.3.4.5',
    'a'.repeat(300),
  ])('A8 is 400 for a Host that is none, and does not repeat it: %j', async (host) => {
    const { get } = await start();
    const { status, text } = await get('/sd', { headers: { Host: host } });
    expect({ status, text }).toEqual({
      status: 400,
      text: 'The header Host is missing or is no host:port.\n',
    });
  });

  test.each(['GET /sd HTTP/1.0\r\n\r\n', 'GET /sd HTTP/1.1\r\nHost:\r\nConnection: close\r\n\r\n'])(
    'is 400 without a Host: %j',
    async (request) => {
      const { app } = await start();
      const socket = connect(Number(new URL(app.url).port), '127.0.0.1');
      socket.end(request);
      const said = Buffer.concat(await socket.toArray()).toString();
      expect(said).toMatch(/^HTTP\/1\.1 400 /);
      expect(said).toMatch(/\r\n\r\nThe header Host is missing or is no host:port\.\n$/);
    },
  );

  test('goes by nothing else that a request says', async () => {
    const { app, get } = await start(['vpn1']);
    const { text } = await get('/sd?host=evil&target=evil', {
      headers: { 'X-Forwarded-Host': 'evil', Forwarded: 'host=evil', 'X-Forwarded-Proto': 'https' },
    });
    expect(text).toBe(discovered(new URL(app.url).host, '/probe', 'vpn1'));
  });

  test.each([
    ['https://vpn-metrics.example.net', 'vpn-metrics.example.net', '/probe'],
    ['https://vpn-metrics.example.net/', 'vpn-metrics.example.net', '/probe'],
    ['http://vpn-metrics.example.net:10077', 'vpn-metrics.example.net:10077', '/probe'],
    ['https://example.net/rras', 'example.net', '/rras/probe'],
    ['https://example.net/rras/', 'example.net', '/rras/probe'],
    ['https://example.net:8443/a/b', 'example.net:8443', '/a/b/probe'],
    ['http://[2001:db8::7]:10077/', '[2001:db8::7]:10077', '/probe'],
    // Prometheus encodes the path itself.
    ['https://example.net/a%20b/j%C3%B6rg', 'example.net', '/a b/jörg/probe'],
    ['https://example.net/a b', 'example.net', '/a b/probe'],
    ['https://example.net/50%25', 'example.net', '/50%/probe'],
    ['https://example.net/50%', 'example.net', '/50%/probe'],
    ['https://example.net/%ff', 'example.net', '/%ff/probe'],
  ])('of --web.external-url=%s is that one, whatever Host says', async (externalUrl, host, path) => {
    const { get } = await start(['vpn1'], { externalUrl });
    for (const asked of ['exporter:10077', '<evil>']) {
      const { status, text } = await get('/sd', { headers: { Host: asked } });
      expect({ status, text }).toEqual({ status: 200, text: discovered(host, path, 'vpn1') });
    }
  });

  test('is the same over HTTP/2, which has the host elsewhere', async () => {
    const folder = new WebConfigFolder();
    ends.push(() => folder.remove());
    const quiet = (): void => undefined;
    const logger = { debug: quiet, info: quiet, warn: quiet, error: quiet };
    const config = folder.write(
      'web.yml',
      'tls_server_config:\n  cert_file: server.crt\n  key_file: server.key\n',
    );
    const clock = new FakeClock();
    const web = await openWebSecurity(config, { logger, clock });
    const { app } = await start(['vpn1'], { web, clock });
    const client = await Http2Client.open(app.url, folder.serverCa.cert);
    ends.push(() => client.end());
    const { status, text } = await answerOf(client.ask('/sd'));
    expect({ status, text }).toEqual({
      status: 200,
      text: discovered(new URL(app.url).host, '/probe', 'vpn1'),
    });
  });
});

describe('other methods', () => {
  test.each(['/probe?target=vpn1', '/probe', '/sd'])('of %s are 405, and reach no server', async (path) => {
    const { get, asked } = await start();
    for (const method of ['POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS']) {
      const { status, headers } = await get(path, { method });
      expect({ method, status, allow: headers.allow }).toEqual({ method, status: 405, allow: 'GET, HEAD' });
    }
    expect(asked()).toBe(0);
  });
});

describe('?server', () => {
  const PATHS = ['status', 'connections', 'interfaces'] as const;

  test('chooses whose snapshot the API answers with', async () => {
    const { get } = await start();
    for (const name of ['vpn1', 'vpn2.example.net']) {
      const of = async (path: string): Promise<string> => (await get(`/api/v1/${path}?server=${name}`)).text;
      expect(JSON.parse(await of('status'))).toMatchObject({ status: 'success', data: { version: name } });
      expect(await of('connections')).toContain(`user of ${name}`);
      expect(await of('interfaces')).toContain(`link of ${name}`);
      const paged = await get(`/api/v1/connections?limit=1&server=${name}`);
      expect([paged.status, paged.text.includes(`user of ${name}`)]).toEqual([200, true]);
    }
  });

  test('left out is about the server of the flags', async () => {
    const { get, asked } = await start();
    for (const path of PATHS) expect((await get(`/api/v1/${path}`)).text).not.toContain('vpn');
    expect(asked()).toBe(0);
  });

  test.each(EVIL)('A4 of %j is 404 in the envelope, and is not repeated', async (name) => {
    const { get, asked } = await start();
    for (const path of PATHS) {
      const { status, text } = await get(`/api/v1/${path}?server=${encodeURIComponent(name)}`);
      expect({ status, body: JSON.parse(text) as unknown }).toEqual({
        status: 404,
        body: { status: 'error', errorType: 'not_found', error: 'there is no server of that name' },
      });
    }
    expect(asked()).toBe(0);
  });

  test('A4 of two names is none', async () => {
    const { get, asked } = await start();
    expect((await get('/api/v1/status?server=vpn1&server=vpn1')).status).toBe(404);
    expect(asked()).toBe(0);
  });
});
