/** The admin API behind a web configuration: tokens, passwords and client certificates, and which of them is good for what. */
import { rmSync } from 'node:fs';
import { createHmac } from 'node:crypto';
import { join } from 'node:path';
import { hashSync } from '@node-rs/bcrypt';
import { afterEach, describe, expect, test } from 'vitest';
import { ADMIN_ROUTES, bare, notificationOf, REASON, reconnect, touched, UNTOUCHED } from './admin-routes.ts';
import type { AdminSite, AdminSiteOptions, Asked } from './admin-site.ts';
import { AdminSites, GRAFANA_SECRET, tokenOf } from './admin-site.ts';

const sites = new AdminSites();
const open = (options?: AdminSiteOptions): Promise<AdminSite> => sites.open(options);
afterEach(() => sites.close());

const PASSWORD = 'alice123';
const USERS = `basic_auth_users:\n  alice: ${hashSync(PASSWORD, 4)}\n`;
const TLS = 'tls_server_config:\n  cert_file: server.crt\n  key_file: server.key\n';
const basic = (password: string): Record<string, string> => ({
  Authorization: `Basic ${Buffer.from(`alice:${password}`).toString('base64')}`,
});
/** The answer is the toolkit's, which the document of the API does not describe. */
const unchecked = true;

const NOTIFICATION = notificationOf([]);
const LISBOA = '/api/v1/admin/interfaces/Site-Lisboa/reconnect';

describe('with passwords', () => {
  test('the metrics take the password, the hook a token without it, and both work at once', async () => {
    const site = await open({ web: () => USERS });
    const hook = '/api/v1/hooks/alertmanager';
    expect((await site.get('/metrics')).headers['www-authenticate']).toBe('Basic');
    expect((await site.get('/metrics', { headers: basic(PASSWORD) })).status).toBe(200);
    expect((await site.get('/metrics', { as: 'all' })).status).toBe(401);
    expect((await site.get('/api/v1/status', { as: 'all', unchecked })).status).toBe(401);
    expect((await site.get('/api/v1/status', { headers: basic(PASSWORD) })).status).toBe(200);
    expect((await site.post(hook, { as: 'only-hook', json: NOTIFICATION })).status).toBe(200);
    const body = JSON.stringify(notificationOf([], '1'));
    const time = String(site.clock.wallSeconds());
    const signature = createHmac('sha256', GRAFANA_SECRET).update(`${time}:${body}`).digest('hex');
    const signed = { 'X-Grafana-Alerting-Signature': signature, 'X-Grafana-Alerting-Timestamp': time };
    const headers = { 'Content-Type': 'application/json', ...signed };
    expect((await site.post('/api/v1/hooks/grafana', { headers, body })).status).toBe(200);
    expect((await reconnect(site, 'Site-Lisboa')).status).toBe(202);
  });

  test.each(ADMIN_ROUTES)('a password alone authorises nothing: 401 Bearer from "$name"', async ({ ask }) => {
    const site = await open({ web: () => USERS });
    const type = { 'Content-Type': 'application/json' };
    const none = await ask(site, { headers: type });
    for (const password of [PASSWORD, 'wrong']) {
      const answer = await ask(site, { headers: { ...type, ...basic(password) } });
      expect(bare(answer)).toEqual([401, 'unauthenticated']);
      expect(answer.headers['www-authenticate']).toMatch(/^Bearer\b/);
      expect(answer.text).toBe(none.text);
    }
    expect(touched(site)).toEqual(UNTOUCHED);
  });

  test('what is no route of the admin API is not told without the password', async () => {
    const site = await open({ web: () => USERS });
    for (const path of [
      '/api/v1/admin',
      '/api/v1/admin/nothing',
      '/api/v1/hooks/x',
      '/api/v1/openapi.json',
    ]) {
      expect((await site.get(path, { as: 'all', unchecked })).headers['www-authenticate']).toBe('Basic');
    }
  });

  test('A9 while the admin API is off, its routes are asked a password for as all others are', async () => {
    const site = await open({ web: () => USERS, isOff: true });
    const asked = { json: REASON, unchecked };
    expect((await site.post(LISBOA, { ...asked, as: 'all' })).headers['www-authenticate']).toBe('Basic');
    expect(bare(await site.post(LISBOA, { ...asked, headers: basic(PASSWORD) }))).toEqual([404, 'not_found']);
  });

  test('A6 the rate limit for all keeps nobody out of the admin API who has a token', async () => {
    const site = await open({ web: () => 'rate_limit: {interval: 1h, burst: 1}\n' });
    expect((await site.get('/metrics')).status).toBe(200);
    expect((await site.get('/metrics')).status).toBe(429);
    expect((await site.post('/api/v1/admin/pause', { as: 'only-pause', json: REASON })).status).toBe(200);
    const hook = '/api/v1/hooks/alertmanager';
    expect((await site.post(hook, { as: 'only-hook', json: NOTIFICATION })).status).toBe(200);
  });

  test('S1 without the file nobody is let in, whatever he has', async () => {
    const site = await open({ web: () => USERS });
    rmSync(join(site.folder.path, 'web.yml'));
    for (const { ask } of ADMIN_ROUTES) {
      expect((await ask(site, { as: 'all', unchecked })).status).toBe(500);
    }
    expect(site.world.requests).toEqual([]);
    expect(site.service.paused.paused).toBe(false);
  });
});

describe('with client certificates', () => {
  const config = {
    tokens: [],
    clientCertificates: [
      {
        name: 'ops',
        subjectAltName: 'DNS:ops.example.net',
        rights: ['reconnect', 'pause'],
        interfaces: ['Site-*'],
      },
      {
        name: 'hook',
        subjectAltName: 'URI:spiffe://example.net/alertmanager',
        rights: ['hook'],
        interfaces: ['*'],
      },
    ],
  } as const;
  const web = (clients: string) => () => `${TLS}${clients}`;
  const VERIFIED = web('  client_auth_type: VerifyClientCertIfGiven\n  client_ca_file: client-ca.crt\n');
  const ANY = web('  client_auth_type: RequireAnyClientCert\n');
  const OPS = 'DNS:ops.example.net';

  test('one that is listed acts, within its rights and its interfaces, in its own name', async () => {
    const site = await open({ web: VERIFIED, config });
    const client = site.folder.client('DNS:other.example.net', OPS);
    const asked: Asked = { client, json: REASON };
    const acted = await site.post(LISBOA, asked);
    expect(acted.status).toBe(202);
    expect(acted.json.data).toMatchObject({ actor: 'ops' });
    const refusals = [
      '/api/v1/admin/interfaces/Branch%20K%C3%B6ln/reconnect',
      '/api/v1/admin/interfaces/Site-Berlin/disconnect',
      '/api/v1/hooks/alertmanager',
    ];
    for (const path of refusals) expect(bare(await site.post(path, asked))).toEqual([403, 'forbidden']);
    expect((await site.post('/api/v1/admin/pause', asked)).status).toBe(200);
    const hook = site.folder.client('URI:spiffe://example.net/alertmanager');
    const json = NOTIFICATION;
    expect((await site.post('/api/v1/hooks/alertmanager', { client: hook, json })).status).toBe(200);
    expect((await site.post('/api/v1/admin/pause', { client: hook, json: REASON })).status).toBe(403);
  });

  test('one that is not listed has no rights, and is answered as if there were none', async () => {
    const site = await open({ web: VERIFIED, config });
    const none = await site.post(LISBOA, { json: REASON });
    for (const sans of [
      [],
      ['DNS:other.example.net'],
      ['DNS:OPS.example.net'],
      ['DNS:ops.example.net.evil.example'],
      ['DNS:x.ops.example.net'],
      ['DNS:*.example.net'],
      ['email:ops.example.net'],
      ['URI:ops.example.net'],
      ['URI:DNS:ops.example.net'],
      // CVE-2021-44532: a name that poses as two.
      ['DNS:x, DNS:ops.example.net'],
      ['URI:x, DNS:ops.example.net'],
      ['email:x@example.net, DNS:ops.example.net'],
    ]) {
      const answer = await site.post(LISBOA, { client: site.folder.client(...sans), json: REASON });
      expect({ sans, answer: bare(answer) }).toEqual({ sans, answer: [401, 'unauthenticated'] });
      expect(answer.text).toBe(none.text);
    }
    expect(touched(site)).toEqual(UNTOUCHED);
  });

  test('A7 one that was not verified has no rights, whatever it says', async () => {
    const site = await open({ web: ANY, config });
    for (const client of [site.folder.client(OPS), site.folder.server]) {
      expect(bare(await site.post(LISBOA, { client, json: REASON }))).toEqual([401, 'unauthenticated']);
    }
    expect(touched(site)).toEqual(UNTOUCHED);
  });

  test('a token beside one that is not listed is good, and one that is listed beside a wrong token, too', async () => {
    const site = await open({ web: VERIFIED, config: { clientCertificates: config.clientCertificates } });
    const stranger = site.folder.client('DNS:other.example.net');
    expect(
      (await site.post('/api/v1/admin/pause', { client: stranger, as: 'all', json: REASON })).status,
    ).toBe(200);
    const client = site.folder.client(OPS);
    const headers = { Authorization: `Bearer ${tokenOf('nobody')}` };
    expect((await site.post('/api/v1/admin/pause', { client, json: REASON, headers })).status).toBe(200);
    // Of both, the token tells whose rights they are.
    expect((await site.post('/api/v1/admin/pause', { client, as: 'none', json: REASON })).status).toBe(403);
  });

  test('A8 the page of another site cannot use the certificate of who looks at it', async () => {
    const site = await open({ web: VERIFIED, config });
    const client = site.folder.client(OPS);
    const asked = { client, json: REASON };
    for (const headers of [
      { Origin: 'https://attacker.example' },
      { Origin: `http://127.0.0.1:${site.port}` },
      { 'Sec-Fetch-Site': 'cross-site' },
    ]) {
      expect(bare(await site.post('/api/v1/admin/pause', { ...asked, headers }))).toEqual([403, 'forbidden']);
    }
    const headers = { Origin: `https://127.0.0.1:${site.port}` };
    expect((await site.post('/api/v1/admin/pause', { ...asked, headers })).status).toBe(200);
  });

  test('one that is listed is not asked for a password, and one that is not is told nothing more by it', async () => {
    const site = await open({
      web: web(`  client_auth_type: VerifyClientCertIfGiven\n  client_ca_file: client-ca.crt\n${USERS}`),
      config,
    });
    const pause = (asked: Asked) => site.post('/api/v1/admin/pause', { json: REASON, ...asked });
    expect((await pause({ client: site.folder.client(OPS) })).status).toBe(200);
    const stranger = site.folder.client('DNS:other.example.net');
    expect((await pause({ client: stranger, headers: basic(PASSWORD) })).status).toBe(401);
  });
});
