/** The admin API of several servers: `?server` chooses one, each acts on its own, and a pause is for all. */
import { afterEach, describe, expect, test } from 'vitest';
import { alertOn } from '../admin/exporter-life.ts';
import type { AdminRoute } from './admin-routes.ts';
import { ADMIN_ROUTES, bare, notificationOf, REASON, touched, UNTOUCHED } from './admin-routes.ts';
import type { AdminSite, Asked } from './admin-site.ts';
import { AdminSites, onlyRight, replacing } from './admin-site.ts';

const sites = new AdminSites();
afterEach(() => sites.close());

const RECONNECT = '/api/v1/admin/interfaces/Site-Lisboa/reconnect';
const ACTIONS = '/api/v1/admin/actions';
const HOOK = '/api/v1/hooks/alertmanager';

/** `local` has the routes; vpn1 and vpn2 are configured. */
async function open() {
  const vpn1 = await sites.open();
  const vpn2 = await sites.open();
  const local = await sites.open({ named: { vpn1, vpn2 } });
  return { local, vpn1, vpn2 };
}

/** The site of the routes as one that asks them about a server, and that has that server's connections. */
function about(server: string, { local, of = local }: { local: AdminSite; of?: AdminSite }): AdminSite {
  const named = (path: string): string =>
    `${path}${path.includes('?') ? '&' : '?'}server=${encodeURIComponent(server)}`;
  return new Proxy(local, {
    get: (target, key) => {
      if (key === 'world') return of.world;
      if (key === 'get' || key === 'post') {
        return (path: string, asked?: Asked) => target[key](named(path), asked);
      }
      const value: unknown = Reflect.get(target, key);
      return typeof value === 'function' ? (value.bind(target) as unknown) : value;
    },
  });
}

/** Reads nothing of the server that it is about. */
const looksAtNothing = ({ name }: AdminRoute): boolean => /pause|resume|action/.test(name);

const decided = (answer: { readonly json: { readonly data?: unknown } }) =>
  (answer.json.data as { alerts: { decision: string; actionId: string | null }[] }).alerts;

describe('?server', () => {
  test.each(ADMIN_ROUTES)('A4 "$name" is about that server and no other', async (route) => {
    const { local, vpn1, vpn2 } = await open();
    const answer = await route.ask(about('vpn1', { local, of: vpn1 }), { as: 'all' });
    expect(answer.status).toBe(route.ok);
    expect([touched(local), touched(vpn2)]).toEqual([UNTOUCHED, UNTOUCHED]);
    if (!looksAtNothing(route)) expect(vpn1.world.calls).not.toEqual([]);
    for (const each of [local, vpn2]) {
      expect((await each.audit()).filter(({ kind }) => kind !== 'file' && kind !== 'opened')).toEqual([]);
    }
  });

  test.each(ADMIN_ROUTES)(
    'A4 "$name" says that there is no such server only to who has the right to ask',
    async ({ ask, right }) => {
      const { local, vpn1, vpn2 } = await open();
      for (const name of ['vpn7', '\\\\evil', '__proto__', 'VPN1', 'vpn1\0', '', '..']) {
        const site = about(name, { local });
        expect(bare(await ask(site, {}))).toEqual([401, 'unauthenticated']);
        if (right) expect(bare(await ask(site, { as: 'none' }))).toEqual([403, 'forbidden']);
        const answer = await ask(site, { as: right ? onlyRight(right) : 'all' });
        expect(answer.json).toMatchObject({
          errorType: 'not_found',
          error: 'there is no server of that name',
        });
        expect(answer.status).toBe(404);
      }
      for (const each of [local, vpn1, vpn2]) expect(touched(each)).toEqual(UNTOUCHED);
    },
    30_000,
  );

  test('of two names is none', async () => {
    const { local, vpn1 } = await open();
    const answer = await local.post(`${RECONNECT}?server=vpn1&server=vpn2`, { as: 'all', json: REASON });
    expect(bare(answer)).toEqual([404, 'not_found']);
    expect(touched(vpn1)).toEqual(UNTOUCHED);
  });

  test('stands in the Location of an action, which is found by it, and without it too', async () => {
    const { local, vpn1, vpn2 } = await open();
    const answer = await local.post(`${RECONNECT}?server=vpn1`, { as: 'all', json: REASON });
    const { id } = answer.json.data as { id: string };
    expect([answer.status, answer.headers.location]).toEqual([202, `${ACTIONS}/${id}?server=vpn1`]);
    await vpn1.pass(90_000);
    for (const query of ['?server=vpn1', '']) {
      const { status, json } = await local.get(`${ACTIONS}/${id}${query}`, { as: 'all' });
      expect({ query, status, json }).toMatchObject({
        query,
        status: 200,
        json: { data: { id, interface: 'Site-Lisboa', actor: 'all' } },
      });
    }
    expect(bare(await local.get(`${ACTIONS}/${id}?server=vpn2`, { as: 'all' }))).toEqual([404, 'not_found']);
    const idsAt = async (query: string): Promise<string[]> => {
      const { json } = await local.get(`${ACTIONS}${query}`, { as: 'all' });
      return (json.data as { items: { id: string }[] }).items.map((each) => each.id);
    };
    expect([await idsAt('?server=vpn1'), await idsAt('?server=vpn2'), await idsAt('')]).toEqual([
      [id],
      [],
      [],
    ]);
    const intents = async (site: AdminSite): Promise<number> =>
      (await site.audit()).filter(({ kind }) => kind === 'intent').length;
    expect([await intents(vpn1), await intents(vpn2), await intents(local)]).toEqual([1, 0, 0]);
  });

  test('with wait answers when the action of that server has ended', async () => {
    const { local, vpn1 } = await open();
    const waiting = local.post(`${RECONNECT}?wait=60s&server=vpn1`, { as: 'all', json: REASON });
    await expect.poll(() => vpn1.world.requests.length).toBeGreaterThan(0);
    const { status, json } = await vpn1.passing(waiting);
    expect(status).toBe(200);
    expect((json.data as { outcome: unknown }).outcome).not.toBeNull();
  });

  test('keeps guards apart: what cools down on one server is dialled on another', async () => {
    const { local, vpn1, vpn2 } = await open();
    const dial = (server: string) => local.post(`${RECONNECT}?server=${server}`, { as: 'all', json: REASON });
    expect((await dial('vpn1')).status).toBe(202);
    expect(bare(await dial('vpn1'))).toEqual([409, 'busy']);
    expect((await dial('vpn2')).status).toBe(202);
    expect((await local.post(RECONNECT, { as: 'all', json: REASON })).status).toBe(202);
    for (const each of [local, vpn1, vpn2]) await each.pass(90_000);
  });
});

describe('a pause', () => {
  const pause = (site: AdminSite, what: 'pause' | 'resume', query = '') =>
    site.post(`/api/v1/admin/${what}${query}`, { as: onlyRight('pause'), json: REASON });
  const states = (...all: AdminSite[]): boolean[] => all.map(({ service }) => service.paused.paused);

  test('without a server is for all, and of one server for that one', async () => {
    const { local, vpn1, vpn2 } = await open();
    const all = [local, vpn1, vpn2];
    expect((await pause(local, 'pause')).json.data).toMatchObject({ paused: true, persisted: true });
    expect(states(...all)).toEqual([true, true, true]);
    for (const server of ['', '?server=vpn1', '?server=vpn2']) {
      expect(bare(await local.post(`${RECONNECT}${server}`, { as: 'all', json: REASON }))).toEqual([
        503,
        'paused',
      ]);
    }
    expect((await pause(local, 'resume', '?server=vpn2')).json.data).toMatchObject({ paused: false });
    expect(states(...all)).toEqual([true, true, false]);
    expect((await pause(local, 'resume')).json.data).toMatchObject({ paused: false });
    expect(states(...all)).toEqual([false, false, false]);
    expect((await pause(local, 'pause', '?server=vpn1')).json.data).toMatchObject({ paused: true });
    expect(states(...all)).toEqual([false, true, false]);
    for (const each of all) expect(each.world.requests).toEqual([]);
  });
});

describe('an alert', () => {
  const notify = (local: AdminSite, alerts: readonly unknown[], query = '') =>
    local.post(`${HOOK}${query}`, { as: onlyRight('hook'), json: notificationOf(alerts) });

  test('is for the server that its label names, and each decides on its own', async () => {
    const { local, vpn1, vpn2 } = await open();
    const on = (instance: string, alert: number) => alertOn('Site-Lisboa', { alert, labels: { instance } });
    const answer = await notify(local, [
      on('vpn2', 1),
      on('gateway:10077', 2),
      { no: 'alert' },
      on('vpn1', 3),
    ]);
    expect(answer.status).toBe(200);
    expect(decided(answer).map(({ decision }) => decision)).toEqual([
      'execute',
      'execute',
      'invalid',
      'execute',
    ]);
    const ids = decided(answer).map(({ actionId }) => actionId);
    for (const [i, site] of ([vpn2, local, undefined, vpn1] as const).entries()) {
      if (!site) continue;
      await site.pass(90_000);
      expect((await site.audit()).filter(({ kind }) => kind === 'intent')).toMatchObject([
        { actionId: ids[i] },
      ]);
      expect(site.world.stateOf('Site-Lisboa')).not.toBe('gone');
    }
  });

  test('of a hook that names a server is for that one, whatever the label says', async () => {
    const { local, vpn1, vpn2 } = await open();
    const answer = await notify(
      local,
      [alertOn('Site-Lisboa', { labels: { instance: 'vpn2' } })],
      '?server=vpn1',
    );
    expect(decided(answer)).toMatchObject([{ decision: 'execute' }]);
    await vpn1.pass(90_000);
    expect([touched(local), touched(vpn2)]).toEqual([UNTOUCHED, UNTOUCHED]);
  });

  test('of a server that is not configured is counted and acts on none', async () => {
    const { local, vpn1, vpn2 } = await open();
    const answer = await notify(local, [alertOn('Site-Lisboa', { labels: { instance: 'vpn7' } })]);
    expect(answer.status).toBe(200);
    expect(decided(answer)).toMatchObject([{ decision: 'gone', rule: null, actionId: null }]);
    expect([local, vpn1, vpn2].map(touched)).toEqual([UNTOUCHED, UNTOUCHED, UNTOUCHED]);
    expect((await local.metrics()).values('rras_remediation_decisions_total')).toMatchObject({ '/gone': 1 });
  });

  test('is to be sent again if one of the servers asks for it, and the others remember what they did', async () => {
    const { local, vpn1, vpn2 } = await open();
    vpn2.world.simulator.state = 'stopped';
    const alerts = ['vpn1', 'vpn2'].map((instance, i) =>
      alertOn('Site-Lisboa', { alert: i + 1, labels: { instance } }),
    );
    const first = await notify(local, alerts);
    expect(bare(first)).toEqual([503, 'rras_down']);
    expect(first.headers['retry-after']).toBe('5');
    expect(decided(first).map(({ decision }) => decision)).toEqual(['execute', 'gone']);
    vpn2.world.simulator.state = 'running';
    await vpn2.pass(5_000);
    const second = await notify(local, alerts);
    expect(second.status).toBe(200);
    expect(decided(second).map(({ decision }) => decision)).toEqual(['duplicate', 'execute']);
    for (const each of [vpn1, vpn2]) await each.pass(90_000);
  });
});

test('A4 a backend that is chosen is asked, and the others are not even told', async () => {
  const vpn1 = await sites.open();
  const asked: string[] = [];
  const local = await sites.open({
    named: { vpn1 },
    through: (given) =>
      replacing(given, {
        request: () => {
          asked.push('local');
          throw new Error('not this one');
        },
        tellForbidden: (_, route) => void asked.push(`told of ${route}`),
      }),
  });
  expect((await local.post(`${RECONNECT}?server=vpn1`, { as: 'all', json: REASON })).status).toBe(202);
  expect((await local.post(`${RECONNECT}?server=vpn1`, { as: 'none', json: REASON })).status).toBe(403);
  expect(asked).toEqual([]);
  expect((await vpn1.audit()).map(({ decision }) => decision)).toContain('forbidden');
  await vpn1.pass(90_000);
});
