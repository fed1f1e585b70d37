/** The names that the exporter is asked by: which are its own, and what a page whose name was turned to this machine gets. */
import { connect } from 'node:net';
import { networkInterfaces } from 'node:os';
import { afterEach, describe, expect, test } from 'vitest';
import { ownNames } from '../../src/server/own-host.ts';
import { openWebSecurity } from '../../src/server/web-security.ts';
import { FakeClock } from '../doubles/fake-clock.ts';
import { fetchPlain } from './http-client.ts';
import type { AppParts } from './running-app.ts';
import { startApp } from './running-app.ts';
import { SecureSite } from './secure-site.ts';
import { WebConfigFolder } from './web-config-folder.ts';

const ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

const MACHINE = ownNames('VPN1.corp.example', [
  { host: 'metrics.corp.example', port: 10077 },
  { host: '127.0.0.1', port: 10077 },
  { host: null, port: 10077 },
]);
const GUARDED = [
  '/',
  '//',
  '/?x',
  '/api/v1/status',
  '/api/v1/status/',
  '/api/v1/openapi.json',
  '/api',
  '/api/nothing',
];
const OPEN = ['/metrics', '/probe?target=vpn1', '/sd', '/-/healthy', '/-/ready', '/nothing'];
const EVIL = { Host: 'evil.example:10077' };
const quiet = (): void => undefined;
const logger = { debug: quiet, info: quiet, warn: quiet, error: quiet };

async function start(parts: AppParts = {}) {
  let reloads = 0;
  const app = await startApp({
    ownNames: MACHINE,
    reload: () => {
      reloads += 1;
      return Promise.resolve();
    },
    ...parts,
  });
  ends.push(() => app.close());
  const statusOf = async (Host: string, path = '/'): Promise<number> =>
    (await app.get(path, { headers: { Host } })).status;
  return { app, get: app.get, statusOf, reloads: () => reloads };
}

describe('over plain HTTP on this machine', () => {
  test.each([
    'localhost',
    'localhost:10077',
    'LocalHost',
    'localhost.',
    'rras.localhost:8080',
    '127.0.0.1:10077',
    '127.1.2.3',
    '192.0.2.7:10077',
    '[::1]:10077',
    '[2001:db8::7]',
    'vpn1.corp.example:10077',
    'VPN1.CORP.EXAMPLE',
    'vpn1',
    'Vpn1:10077',
    'metrics.corp.example',
    'metrics.corp.example.:10077',
  ])('the exporter goes by %s', async (host) => {
    const { get, statusOf, reloads } = await start();
    expect(await statusOf(host)).toBe(200);
    expect(await statusOf(host, '/api/v1/status')).toBe(200);
    expect((await get('/-/reload', { method: 'POST', headers: { Host: host } })).status).toBe(200);
    expect(reloads()).toBe(1);
  });

  test.each([
    'evil.example',
    'evil.example:10077',
    'localhost.evil.example',
    'evillocalhost',
    'vpn1.evil.example',
    'vpn2',
    'corp.example',
    'metrics',
    '127.0.0.1.evil.example',
    '127.1',
    '0x7f000001',
    '[::1].evil.example',
    '.localhost',
    'localhost:10077, evil.example',
    'evil@localhost',
    ' ',
  ])('A8 not by %j: 403, and nothing is told or done', async (host) => {
    const { get, reloads } = await start();
    const headers = { Host: host, Origin: `http://${host.trim()}`, 'Sec-Fetch-Site': 'same-origin' };
    for (const path of GUARDED) {
      const { status, text } = await get(path, { headers });
      expect({ path, status }).toEqual({ path, status: 403 });
      expect(text).toContain('--web.external-url');
      expect(text).not.toContain('evil');
    }
    const { status, text } = await get('/-/reload', { method: 'POST', headers });
    expect({ status, text }).toEqual({
      status: 403,
      text: 'The exporter does not know the name in the header Host as its own; set --web.external-url if it is.\n',
    });
    expect(reloads()).toBe(0);
  });

  test('A8 the API says so in its envelope', async () => {
    const { get } = await start();
    const { headers, text } = await get('/api/v1/connections', { headers: EVIL });
    expect(headers['content-type']).toBe('application/json; charset=utf-8');
    expect(JSON.parse(text)).toEqual({
      status: 'error',
      errorType: 'forbidden',
      error:
        'the exporter does not know the name in the header Host as its own; set --web.external-url if it is',
    });
  });

  test.each([
    ['an empty one: 403', 'GET / HTTP/1.1\r\nHost:\r\nConnection: close\r\n\r\n', 403],
    ['none, as load balancers do and no browser does: 200', 'GET / HTTP/1.0\r\n\r\n', 200],
  ])('A8 by %s', async (_, request, status) => {
    const { app } = await start();
    const socket = connect(Number(new URL(app.url).port), '127.0.0.1');
    socket.end(request);
    expect(Buffer.concat(await socket.toArray()).toString()).toContain(`HTTP/1.1 ${status} `);
  });

  test('scrapers, probes and deliveries of alerts may come by any name', async () => {
    const { get } = await start();
    for (const path of OPEN) {
      const { status } = await get(path, { headers: EVIL });
      expect([200, 404], path).toContain(status);
    }
    for (const path of ['/api/v1/hooks/alertmanager', '/api/v1/hooks/grafana', '/api/v1/admin/pause']) {
      const { status } = await get(path, { method: 'POST', headers: EVIL });
      expect({ path, status }).toEqual({ path, status: path.includes('hooks') ? 404 : 403 });
    }
  });

  test('it goes by --web.external-url as well, as that is now', async () => {
    const now = { url: null as string | null };
    const app = await startApp({
      get externalUrl() {
        return now.url;
      },
    });
    ends.push(() => app.close());
    const statusOf = async (Host: string, path = '/'): Promise<number> =>
      (await app.get(path, { headers: { Host } })).status;
    expect(await statusOf('vpn-metrics.example.net')).toBe(403);
    now.url = 'https://VPN-metrics.example.net:8443/rras';
    expect(await statusOf('vpn-metrics.example.net')).toBe(200);
    expect(await statusOf('vpn-metrics.example.net:10077', '/api/v1/status')).toBe(200);
    expect(await statusOf('example.net')).toBe(403);
    now.url = null;
    expect(await statusOf('vpn-metrics.example.net')).toBe(403);
  });

  test('a listener of all addresses is one as well, over IPv6 and IPv4', async () => {
    const all = await startApp({ ownNames: [], address: { host: null, port: 0 } });
    ends.push(() => all.close());
    const port = new URL(all.url).port;
    for (const address of ['127.0.0.1', '[::1]']) {
      const at = (headers: Record<string, string>) => fetchPlain(`http://${address}:${port}/`, { headers });
      expect((await at({})).status).toBe(200);
      expect((await at(EVIL)).status).toBe(403);
    }
  });
});

describe('where others can ask', () => {
  test('by an address of the network, any name will do', async () => {
    const address = Object.values(networkInterfaces())
      .flatMap((each) => each ?? [])
      .find(({ internal, family }) => !internal && family === 'IPv4')?.address;
    const app = await startApp({ ownNames: [], address: { host: address ?? '127.0.0.1', port: 0 } });
    ends.push(() => app.close());
    // A machine without a network has nobody else who could ask.
    expect((await app.get('/', { headers: EVIL })).status).toBe(address === undefined ? 403 : 200);
  });
});

describe('a web configuration', () => {
  const HASH = '$2b$04$ncGU5yLZyatkW3EO3zssieAo3AxRFHNVeDsFO6DprHbo5TTZRj9s6';
  const ALICE = { Authorization: `Basic ${Buffer.from('alice:alice123').toString('base64')}` };

  async function behind(config: string) {
    const folder = new WebConfigFolder();
    ends.push(() => folder.remove());
    const clock = new FakeClock();
    const web = await openWebSecurity(folder.write('web.yml', config), { logger, clock });
    return { folder, ...(await start({ web, clock })) };
  }

  test('that asks for a password knows who asks: any name will do, from the first request with it on', async () => {
    const { folder, get } = await behind('# nothing\n');
    expect((await get('/', { headers: { ...EVIL, ...ALICE } })).status).toBe(403);
    folder.write('web.yml', `basic_auth_users:\n  alice: ${HASH}\n`);
    expect((await get('/', { headers: { ...EVIL, ...ALICE } })).status).toBe(200);
    expect((await get('/', { headers: EVIL })).status).toBe(401);
  });

  test('that has TLS has a certificate for its name, which no other page has', async () => {
    const site = await SecureSite.open(
      'tls_server_config:\n  cert_file: server.crt\n  key_file: server.key\n',
    );
    ends.push(() => site.close());
    const app = await startApp({ ownNames: [], web: site.security });
    ends.push(() => app.close());
    const port = Number(new URL(app.url).port);
    expect((await site.get('/', { port, headers: EVIL, servername: 'localhost' })).status).toBe(200);
  });

  test('sets its headers on refusals', async () => {
    const { get } = await behind('http_server_config: {headers: {X-Frame-Options: deny}}\n');
    const { status, headers } = await get('/api/v1/status', { headers: EVIL });
    expect([status, headers['x-frame-options']]).toEqual([403, 'deny']);
  });
});
