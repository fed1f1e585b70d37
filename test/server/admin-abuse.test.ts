/** What attackers send to the admin API: guesses, pages in browsers, and requests of any form. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import fc from 'fast-check';
import { afterEach, describe, expect, test } from 'vitest';
import { DECISIONS } from '../../src/model/admin.ts';
import { ADMIN_ROUTES, bare, REASON, requestOf, touched, UNTOUCHED } from './admin-routes.ts';
import type { AdminAnswer, AdminSite, AdminSiteOptions, Asked } from './admin-site.ts';
import { AdminSites, tokenOf } from './admin-site.ts';

const sites = new AdminSites();
const open = (options?: AdminSiteOptions): Promise<AdminSite> => sites.open(options);
afterEach(() => sites.close());

describe('A6 guesses', () => {
  const guess = (site: AdminSite, i: number, asked: Asked = {}) =>
    site.post('/api/v1/admin/pause', {
      json: REASON,
      headers: { Authorization: `Bearer ${tokenOf(`guess ${i}`)}` },
      ...asked,
    });

  test(
    'are refused with 401, then with 429 that says how long, and keep nobody out who is known',
    { retry: 2 },
    async () => {
      const site = await open();
      const answers: AdminAnswer[] = [];
      let slowest = 0;
      for (let i = 0; i < 1000; i += 50) {
        const guesses = Promise.all(Array.from({ length: 50 }, (_, j) => guess(site, i + j)));
        const started = performance.now();
        const known = await site.post('/api/v1/admin/pause', { as: 'only-pause', json: REASON });
        slowest = Math.max(slowest, performance.now() - started);
        expect(known.status).toBe(200);
        expect((await site.get('/metrics')).status).toBe(200);
        answers.push(...(await guesses));
      }
      const unknown = answers.filter(({ status }) => status === 401);
      const limited = answers.filter(({ status }) => status === 429);
      expect(unknown).toHaveLength(20);
      expect(limited).toHaveLength(980);
      expect(new Set(unknown.map(({ text }) => text)).size).toBe(1);
      expect(new Set(limited.map(({ text }) => text)).size).toBe(1);
      for (const { headers, json } of limited) {
        expect(Number(headers['retry-after'])).toBeGreaterThanOrEqual(1);
        expect(Number(headers['retry-after'])).toBeLessThanOrEqual(60);
        expect(json.errorType).toBe('unauthenticated');
      }
      expect(slowest).toBeLessThan(1000);
      expect(touched(site)).toEqual(UNTOUCHED);
      expect(await site.counts()).toEqual({ 'pause/unauthenticated': 1000, 'pause/execute': 20 });
    },
  );

  test('from one address do not count against another', async () => {
    const site = await open();
    for (let i = 0; i < 21; i += 1) await guess(site, i);
    expect((await guess(site, 0)).status).toBe(429);
    expect((await guess(site, 0, { from: '127.0.0.2' })).status).toBe(401);
    // What a request says of its address counts for nothing.
    const headers = { Authorization: 'Bearer x', 'X-Forwarded-For': '192.0.2.1', Forwarded: 'for=192.0.2.1' };
    expect((await guess(site, 0, { headers })).status).toBe(429);
  });

  test('leave nothing behind in memory', { retry: 2 }, async () => {
    const site = await open();
    const long = { Authorization: `Bearer ${'x'.repeat(8000)}` };
    setFlagsFromString('--expose-gc');
    const collect = runInNewContext('gc') as () => void;
    const used = (): number => {
      collect();
      return process.memoryUsage().heapUsed;
    };
    const round = async (): Promise<void> => {
      for (let i = 0; i < 5; i += 1) {
        await Promise.all(
          Array.from({ length: 50 }, () => site.raw(requestOf('POST', '/api/v1/admin/pause', long))),
        );
      }
    };
    await round();
    const before = used();
    await round();
    expect(used() - before).toBeLessThan(1024 * 1024);
  });
});

describe('A8 a browser', () => {
  const pause = (site: AdminSite, headers: Readonly<Record<string, string>>) =>
    site.post('/api/v1/admin/pause', { as: 'all', json: REASON, headers: { ...headers } });

  test('that shows the page of another site acts for nobody, even with a valid token', async () => {
    const site = await open();
    const here = `127.0.0.1:${site.port}`;
    for (const headers of [
      { Origin: 'https://attacker.example' },
      { Origin: 'null' },
      { Origin: '' },
      { Origin: `https://${here}` },
      { Origin: `http://${here}.attacker.example` },
      { Origin: `http://${here}, http://attacker.example` },
      { Origin: `http://localhost:${site.port}` },
      { Origin: 'http://127.0.0.1' },
      { 'Sec-Fetch-Site': 'cross-site' },
      { 'Sec-Fetch-Site': 'same-site' },
      { 'Sec-Fetch-Site': 'something new' },
      { Origin: `http://${here}`, 'Sec-Fetch-Site': 'cross-site' },
      { Origin: 'http://attacker.example', 'Sec-Fetch-Site': 'same-origin' },
    ]) {
      const answer = await pause(site, headers);
      expect({ headers, answer: bare(answer) }).toEqual({ headers, answer: [403, 'forbidden'] });
      expect(Object.keys(answer.headers).filter((name) => name.startsWith('access-control-'))).toEqual([]);
    }
    expect(site.service.paused.paused).toBe(false);
    expect(touched(site)).toEqual(UNTOUCHED);
  });

  test.each(ADMIN_ROUTES)('is refused by the route "$name" as well', async ({ ask }) => {
    const site = await open();
    for (const headers of [{ Origin: 'https://attacker.example' }, { 'Sec-Fetch-Site': 'cross-site' }]) {
      const answer = await ask(site, {
        as: 'all',
        headers: { 'Content-Type': 'application/json', ...headers },
      });
      expect(bare(answer)).toEqual([403, 'forbidden']);
    }
    expect(site.world.requests).toEqual([]);
  });

  test('that shows a page of the exporter, and a tool that is none, are let in', async () => {
    const site = await open({ externalUrl: 'http://vpn1.example.net:10077' });
    for (const headers of [
      {},
      { Origin: `http://127.0.0.1:${site.port}` },
      { Host: 'vpn1.example.net:10077', Origin: 'http://vpn1.example.net:10077' },
      { 'Sec-Fetch-Site': 'same-origin', Origin: `http://127.0.0.1:${site.port}` },
      { 'Sec-Fetch-Site': 'none' },
    ]) {
      expect((await pause(site, headers)).status, JSON.stringify(headers)).toBe(200);
    }
  });

  test('gets no answer to a preflight that would let a page go on', async () => {
    const site = await open();
    const { status, headers } = await site.send('OPTIONS', '/api/v1/admin/pause', {
      headers: {
        Origin: 'https://attacker.example',
        'Access-Control-Request-Method': 'POST',
        'Access-Control-Request-Headers': 'authorization,content-type',
      },
    });
    expect(status).toBe(405);
    expect(Object.keys(headers).filter((name) => name.startsWith('access-control-'))).toEqual([]);
  });

  test('cannot send a form or a text, which it would without asking', async () => {
    const site = await open();
    for (const type of [
      'application/x-www-form-urlencoded',
      'multipart/form-data; boundary=x',
      'text/plain',
    ]) {
      const answer = await site.post('/api/v1/admin/pause', {
        as: 'all',
        body: JSON.stringify(REASON),
        headers: { 'Content-Type': type },
      });
      expect(answer.status).toBe(415);
    }
  });
});

describe('L5 the series', () => {
  test('stay the same whatever 10,000 requests are for', async () => {
    const site = await open();
    const part = fc.oneof(
      fc.constantFrom(
        'api',
        'v1',
        'admin',
        'interfaces',
        'connections',
        'actions',
        'hooks',
        'pause',
        'resume',
      ),
      fc.constantFrom(
        'alertmanager',
        'grafana',
        'reconnect',
        'disconnect',
        'reset',
        'endpoint',
        'metrics',
        '..',
      ),
      fc.string({ maxLength: 12 }).map((text) => encodeURIComponent(text.toWellFormed())),
    );
    const path = fc.oneof(
      fc.array(part, { maxLength: 6 }).map((parts) => `/${parts.join('/')}`),
      fc.tuple(part, part, part).map((parts) => `/api/v1/admin/${parts.join('/')}`),
      fc.tuple(part, part).map((parts) => `/api/v1/hooks/${parts.join('/')}`),
      fc.constantFrom(
        '/api/v1/admin/pause',
        '/api/v1/admin/actions',
        '/api/v1/hooks/grafana',
        '/api/v1/%ff',
        '/%',
      ),
    );
    const method = fc.constantFrom(
      'GET',
      'POST',
      'HEAD',
      'PUT',
      'DELETE',
      'PATCH',
      'OPTIONS',
      'TRACE',
      'PURGE',
      'SEARCH',
    );
    const requests = fc.sample(fc.tuple(method, path, fc.constantFrom('', '?wait=1s', '?x=y')), 10_000);
    const seriesAfter = async (
      asked: typeof requests,
      headers: Readonly<Record<string, string>> = {},
    ): Promise<string[]> => {
      // Many of them over one connection, the last of which closes it.
      for (let i = 0; i < asked.length; i += 100) {
        const some = asked.slice(i, i + 100).map(([verb, where, query], at, all) => {
          const more: Record<string, string> = at < all.length - 1 ? { Connection: 'keep-alive' } : {};
          return requestOf(verb, `${where}${query}`, { ...headers, ...more });
        });
        const said = await site.raw(some.join(''));
        expect(said.match(/HTTP\/1\.1 \d{3} /g)).toHaveLength(some.length);
      }
      const { families } = await site.metrics();
      return families.flatMap(({ samples }) =>
        samples.map(({ name, labels }) => `${name} ${JSON.stringify(labels)}`),
      );
    };
    const routes = [
      'reconnect',
      'disconnect',
      'reset',
      'update_endpoint',
      'hang_up',
      'pause',
      'resume',
      'actions',
      'alertmanager',
      'grafana',
    ];
    // Each of them once, so that those that there may be are there.
    for (const { ask: once } of ADMIN_ROUTES) await once(site, {});
    const before = await seriesAfter([]);
    expect(await seriesAfter(requests)).toEqual(before);
    expect(touched(site)).toEqual(UNTOUCHED);
    // Who is known can bring about more decisions, but no more than there are.
    await seriesAfter(requests.slice(0, 2000), { Authorization: `Bearer ${tokenOf('all')}` });
    const counted = Object.keys(await site.counts()).map((key) => key.split('/'));
    for (const [route = '', decision = ''] of counted) {
      expect(routes).toContain(route);
      expect(DECISIONS as readonly string[]).toContain(decision);
    }
    expect(site.world.requests).toEqual([]);
    expect(site.log.filter(({ level }) => level === 'error')).toEqual([]);
  });
});
