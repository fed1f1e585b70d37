/** The guarded actions and hooks over HTTP/2: the same rights, bounds and refusals as over HTTP/1.1. */
import type { IncomingHttpStatusHeader } from 'node:http2';
import { constants } from 'node:http2';
import { afterEach, describe, expect, test } from 'vitest';
import { settle } from '../doubles/fake-clock.ts';
import { notificationOf, REASON, touched, UNTOUCHED } from './admin-routes.ts';
import type { AdminSite, AdminSiteOptions } from './admin-site.ts';
import { AdminSites, tokenOf } from './admin-site.ts';
import type { Identity } from './certificates.ts';
import type { Http2Asked } from './http2-client.ts';
import { answerOf, Http2Client } from './http2-client.ts';

const sites = new AdminSites();
const clients: Http2Client[] = [];
afterEach(async () => {
  for (const client of clients.splice(0)) client.end();
  await sites.close();
});

const TLS = 'tls_server_config:\n  cert_file: server.crt\n  key_file: server.key\n';
const IF_GIVEN = '  client_auth_type: VerifyClientCertIfGiven\n  client_ca_file: client-ca.crt\n';
const PAUSE = '/api/v1/admin/pause';
const LISBOA = '/api/v1/admin/interfaces/Site-Lisboa/reconnect';
const JSON_TYPE = { 'content-type': 'application/json' };
const bearer = (name: string) => ({ ...JSON_TYPE, authorization: `Bearer ${tokenOf(name)}` });
const OPS = {
  name: 'ops',
  subjectAltName: 'DNS:ops.example.net',
  rights: ['reconnect', 'pause'],
  interfaces: ['Site-*'],
} as const;

const open = (config: AdminSiteOptions['config'] = {}): Promise<AdminSite> =>
  sites.open({ web: () => `${TLS}${IF_GIVEN}`, config });

async function dial(site: AdminSite, client?: Identity, initialWindowSize?: number): Promise<Http2Client> {
  const { url } = site.listener;
  const dialed = await Http2Client.open(url, site.folder.serverCa.cert, {
    ...(client && { client }),
    ...(initialWindowSize !== undefined && { settings: { initialWindowSize } }),
  });
  clients.push(dialed);
  return dialed;
}

const post = (client: Http2Client, path: string, json: unknown, asked: Http2Asked = {}) =>
  client.get(path, { method: 'POST', headers: JSON_TYPE, body: JSON.stringify(json), ...asked });

describe('over HTTP/2', () => {
  test('a token, and a certificate that is listed, act within their rights', async () => {
    const site = await open({ clientCertificates: [OPS] });
    const plain = await dial(site);
    expect((await post(plain, LISBOA, REASON, { headers: bearer('all') })).status).toBe(202);
    const hook = { headers: bearer('only-hook') };
    expect((await post(plain, '/api/v1/hooks/alertmanager', notificationOf([]), hook)).status).toBe(200);
    expect((await post(plain, PAUSE, REASON, { headers: bearer('only-read') })).status).toBe(403);
    expect((await post(plain, PAUSE, REASON)).status).toBe(401);
    const ops = await dial(site, site.folder.client('DNS:ops.example.net'));
    expect((await post(ops, PAUSE, REASON)).status).toBe(200);
    expect((await post(ops, '/api/v1/hooks/alertmanager', notificationOf([]))).status).toBe(403);
    const stranger = await dial(site, site.folder.client('DNS:other.example.net'));
    expect((await post(stranger, PAUSE, REASON)).status).toBe(401);
  });

  test('A6 failed log-ins are counted by address, and nobody who is known is kept out', async () => {
    const site = await open();
    const client = await dial(site);
    const statuses: number[] = [];
    for (let i = 0; i < 25; i += 1) statuses.push((await post(client, PAUSE, REASON)).status);
    expect(statuses).toEqual([...Array<number>(20).fill(401), ...Array<number>(5).fill(429)]);
    expect((await post(client, PAUSE, REASON, { headers: bearer('all') })).status).toBe(200);
  });

  test('A8 the page of another site acts for nobody', async () => {
    const site = await open();
    const client = await dial(site);
    const from = (origin: string) =>
      post(client, PAUSE, REASON, { headers: { ...bearer('all'), origin } }).then(({ status }) => status);
    expect(await from('https://attacker.example')).toBe(403);
    expect(await from(`https://127.0.0.1:${site.port}`)).toBe(200);
  });

  test('H2 a refusal that is not taken is cut off after 10 s, also of a path that is not decoded', async () => {
    const site = await open();
    const client = await dial(site, undefined, 0);
    for (const [path, status] of [
      ['/api/v1/admin/actions', 401],
      ['/api/v1/admin/actions/%ff', 400],
    ] as const) {
      const stream = client.ask(path);
      const headers = await new Promise<IncomingHttpStatusHeader>((resolve) =>
        stream.once('response', resolve),
      );
      expect(headers[':status']).toBe(status);
      stream.resume();
      const closed = new Promise((resolve) => stream.once('close', resolve));
      await site.clock.advance(9_900);
      expect(stream.destroyed).toBe(false);
      await site.clock.advance(100);
      await closed;
      expect(stream.rstCode).toBe(constants.NGHTTP2_CANCEL);
    }
  });

  test('H5 a body that is too long is refused, whether it tells its length or not', async () => {
    const site = await open();
    const client = await dial(site);
    const body = JSON.stringify({ reason: 'x'.repeat(65_536) });
    for (const length of [{}, { 'content-length': String(body.length) }]) {
      const asked = { method: 'POST', headers: { ...bearer('all'), ...length }, body };
      expect((await client.get(PAUSE, asked)).status).toBe(413);
    }
    expect(touched(site)).toEqual(UNTOUCHED);
  });

  test('H4 a body that is longer or shorter than it says does nothing', async () => {
    const site = await open();
    const body = JSON.stringify(REASON);
    for (const length of [body.length - 1, body.length + 1]) {
      const headers = { ...bearer('all'), 'content-length': String(length) };
      expect((await (await dial(site)).get(PAUSE, { method: 'POST', headers, body })).code).not.toBe(0);
    }
    await settle();
    expect(touched(site)).toEqual(UNTOUCHED);
  });

  test('a request that is taken back before its end does nothing, though it could be read', async () => {
    const site = await open();
    const client = await dial(site);
    for (let i = 0; i < 20; i += 1) {
      const stream = client.session.request(
        { ':method': 'POST', ':path': PAUSE, ...bearer('all') },
        { endStream: false },
      );
      stream.on('error', () => undefined);
      stream.write(JSON.stringify(REASON));
      const closed = answerOf(stream);
      // What was sent before it has come when it comes back.
      await new Promise<void>((resolve) => client.session.ping(() => resolve()));
      stream.close(constants.NGHTTP2_CANCEL);
      await closed;
    }
    expect((await client.get('/metrics')).status).toBe(200);
    await settle();
    expect(site.service.paused.paused).toBe(false);
    expect(site.log.filter(({ level }) => level === 'error')).toEqual([]);
  });
});
