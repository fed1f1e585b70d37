/** The admin API over real sockets: who may do what, what each decision is answered with, and what is told of it. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import fc from 'fast-check';
import { afterEach, describe, expect, test } from 'vitest';
import type { ActionAnswer, ActionRecord, Right } from '../../src/model/admin.ts';
import { DECISIONS, RIGHTS } from '../../src/model/admin.ts';
import { alertOn } from '../admin/exporter-life.ts';
import type { AdminAnswer, AdminSiteOptions, Asked } from './admin-site.ts';
import { AdminSite, onlyRight, tokenOf } from './admin-site.ts';

const sites: AdminSite[] = [];
afterEach(async () => {
  for (const site of sites.splice(0)) {
    const leaks = await site.leaks();
    await site.close();
    expect(leaks).toEqual([]);
  }
});

async function open(options?: AdminSiteOptions): Promise<AdminSite> {
  const site = await AdminSite.open(options);
  sites.push(site);
  return site;
}

const REASON = { reason: 'a test' };
const NOTIFICATION = {
  version: '4',
  receiver: 'rras',
  status: 'firing',
  groupKey: '{}:{}',
  alerts: [alertOn('Site-Lisboa')],
};
const ENDPOINT = {
  interfaceIndex: 12,
  localAddress: '198.51.100.7',
  remoteAddress: '203.0.113.9',
  ...REASON,
};

/** Ids as the server has them at present. */
async function idsOf(site: AdminSite): Promise<{ ikev2: string; sstp: string; site: string }> {
  const { connections } = (await site.world.snapshot()).connections!;
  const find = (what: string, isIt: (each: (typeof connections)[number]) => boolean): string => {
    const found = connections.find(isIt);
    if (!found) throw new Error(`no connection: ${what}`);
    return found.id;
  };
  const ids = {
    ikev2: find('ikev2', ({ tunnel, role }) => tunnel === 'ikev2' && role === 'client'),
    sstp: find('sstp', ({ tunnel }) => tunnel === 'sstp'),
    site: find('site', ({ identity }) => identity.interfaceName === 'Site-Berlin'),
  };
  site.world.forgetCalls();
  return ids;
}

/** What was done to the server, and whether it was even looked at. */
const touched = ({ world }: AdminSite): unknown => ({ acts: world.requests, calls: world.calls });
const UNTOUCHED = { acts: [], calls: [] };

const bare = ({ status, json }: AdminAnswer): unknown => [status, json.errorType];

interface Route {
  readonly name: string;
  readonly right: Right | undefined;
  readonly ok: number;
  /** It is about an interface by its name. */
  readonly scoped?: true;
  /** It is about a connection. */
  readonly connection?: true;
  readonly ask: (site: AdminSite, asked: Asked) => Promise<AdminAnswer>;
}

const post =
  (path: string, json: unknown) =>
  (site: AdminSite, asked: Asked): Promise<AdminAnswer> =>
    site.post(path, { json, ...asked });
const postTo =
  (path: string, json: unknown) =>
  async (site: AdminSite, asked: Asked): Promise<AdminAnswer> => {
    const { ikev2 } = await idsOf(site);
    return site.post(path.replace('{connection}', ikev2), { json, ...asked });
  };

/** The contract's section 2. */
const ROUTES: readonly Route[] = [
  {
    name: 'reconnect',
    right: 'reconnect',
    ok: 202,
    scoped: true,
    ask: post('/api/v1/admin/interfaces/Site-Lisboa/reconnect', REASON),
  },
  {
    name: 'disconnect',
    right: 'disconnect',
    ok: 202,
    scoped: true,
    ask: post('/api/v1/admin/interfaces/Site-Berlin/disconnect', REASON),
  },
  {
    name: 'reset',
    right: 'reset',
    ok: 200,
    scoped: true,
    ask: post('/api/v1/admin/interfaces/Lager%20S%C3%BCd/reset', REASON),
  },
  {
    name: 'endpoint',
    right: 'update_endpoint',
    ok: 202,
    connection: true,
    ask: postTo('/api/v1/admin/connections/{connection}/endpoint', ENDPOINT),
  },
  {
    name: 'hang up',
    right: 'hang_up',
    ok: 202,
    connection: true,
    ask: postTo('/api/v1/admin/connections/{connection}/disconnect', REASON),
  },
  { name: 'pause', right: 'pause', ok: 200, ask: post('/api/v1/admin/pause', REASON) },
  { name: 'resume', right: 'pause', ok: 200, ask: post('/api/v1/admin/resume', REASON) },
  {
    name: 'list of actions',
    right: undefined,
    ok: 200,
    ask: (site, asked) => site.get('/api/v1/admin/actions', asked),
  },
  {
    name: 'one action',
    right: undefined,
    ok: 404,
    ask: (site, asked) => site.get('/api/v1/admin/actions/1', asked),
  },
  { name: 'Alertmanager', right: 'hook', ok: 200, ask: post('/api/v1/hooks/alertmanager', NOTIFICATION) },
  {
    name: 'Grafana',
    right: 'hook',
    ok: 200,
    ask: post('/api/v1/hooks/grafana', { ...NOTIFICATION, version: '1' }),
  },
];

describe.each(ROUTES)('the route "$name"', ({ right, ok, scoped, connection, ask }) => {
  test('A4 answers 401 to who is not known, the same without a token as with a wrong one, and looks at nothing', async () => {
    const site = await open();
    const answers: AdminAnswer[] = [];
    for (const headers of [
      {},
      { Authorization: '' },
      { Authorization: 'Bearer' },
      { Authorization: 'Bearer ' },
      { Authorization: `Bearer ${tokenOf('nobody')}` },
      { Authorization: `Bearer ${tokenOf('all')}x` },
      { Authorization: `Bearer ${tokenOf('all').slice(0, -1)}` },
      { Authorization: `Bearer ${tokenOf('all')} ${tokenOf('all')}` },
      { Authorization: `Bearer\t${tokenOf('all')}` },
      { Authorization: `Token ${tokenOf('all')}` },
      { Authorization: tokenOf('all') },
      { Authorization: `Basic ${Buffer.from(`all:${tokenOf('all')}`).toString('base64')}` },
      { 'X-Api-Key': tokenOf('all') },
      { Cookie: `token=${tokenOf('all')}` },
    ]) {
      answers.push(await ask(site, { headers: { 'Content-Type': 'application/json', ...headers } }));
      expect(touched(site), JSON.stringify(headers)).toEqual(UNTOUCHED);
    }
    for (const { status, headers, text } of answers) {
      expect(status).toBe(401);
      expect(headers['www-authenticate']).toMatch(/^Bearer\b/);
      expect(text).toBe(answers[0]!.text);
    }
    expect(answers[0]!.json).toEqual({
      status: 'error',
      errorType: 'unauthenticated',
      error: 'a valid token or client certificate is needed',
    });
    expect((await site.audit()).filter(({ kind }) => kind !== 'file' && kind !== 'opened')).toEqual([]);
  });

  test.skipIf(right === undefined)(
    'A4 answers 403 to who has every right but the one, and looks at nothing',
    async () => {
      const site = await open();
      const others = RIGHTS.filter((each) => each !== right);
      for (const caller of ['none', ...others.map(onlyRight)]) {
        const { status, json, headers } = await ask(site, { as: caller });
        expect({ caller, status, type: json.errorType }).toEqual({ caller, status: 403, type: 'forbidden' });
        expect(json.error).toContain(caller);
        expect(headers['www-authenticate']).toBeUndefined();
        expect(touched(site)).toEqual(UNTOUCHED);
      }
    },
  );

  test.skipIf(scoped === undefined && connection === undefined)(
    'A4 answers 403 to who has the right for other interfaces, and does nothing',
    async () => {
      const site = await open();
      const answer = await ask(site, { as: 'elsewhere' });
      expect(bare(answer)).toEqual([403, 'forbidden']);
      expect(answer.json.data).toBeUndefined();
      expect(site.world.requests).toEqual([]);
      // Whose connection it is can only be told by looking.
      if (scoped) expect(touched(site)).toEqual(UNTOUCHED);
    },
  );

  test('lets in who has the right, however the scheme is written', async () => {
    const site = await open();
    const name = right === undefined ? 'only-read' : onlyRight(right);
    expect((await ask(site, { as: name })).status).toBe(ok);
    const again = await ask(site, { headers: { Authorization: `bEARER  ${tokenOf(name)} ` } });
    expect(again.status).not.toBe(401);
    expect(again.status).not.toBe(403);
  });

  test('A9 is not there while the admin API is off, whoever asks', async () => {
    const site = await open({ isOff: true });
    for (const asked of [{ as: 'all' }, {}]) {
      expect(bare(await ask(site, asked))).toEqual([404, 'not_found']);
    }
    expect(touched(site)).toEqual(UNTOUCHED);
  });
});

const reconnect = (site: AdminSite, name: string, asked: Asked & { readonly query?: string } = {}) =>
  site.post(`/api/v1/admin/interfaces/${encodeURIComponent(name)}/reconnect${asked.query ?? ''}`, {
    as: 'all',
    json: REASON,
    ...asked,
  });
const disconnect = (site: AdminSite, name: string, asked: Asked = {}) =>
  site.post(`/api/v1/admin/interfaces/${encodeURIComponent(name)}/disconnect`, {
    as: 'all',
    json: REASON,
    ...asked,
  });

/** Dials it, and waits until that has failed. */
async function failOnce(site: AdminSite, name = 'Site-Madrid'): Promise<void> {
  const { status, json } = await site.passing(reconnect(site, name, { query: '?wait=60s' }));
  expect([status, (json.data as ActionRecord).state]).toEqual([200, 'failed']);
  site.world.forgetCalls();
}

const decisionOf = (answer: AdminAnswer): string => (answer.json.data as ActionRecord).decision;

describe('an action', () => {
  test('is answered 202 at once, with where it can be followed to its end', async () => {
    const site = await open();
    const asked = await reconnect(site, 'Site-Lisboa');
    const { id, ...record } = asked.json.data as ActionRecord;
    expect(asked.status).toBe(202);
    expect(asked.headers.location).toBe(`/api/v1/admin/actions/${id}`);
    expect(asked.headers['cache-control']).toBe('no-store');
    expect(record).toMatchObject({
      action: 'reconnect',
      interface: 'Site-Lisboa',
      connection: null,
      actor: 'all',
      route: 'reconnect',
      reason: 'a test',
      force: false,
      override: [],
      alert: null,
      decision: 'execute',
      outcome: null,
    });
    await site.pass(10_000);
    const followed = await site.get(asked.headers.location!, { as: 'all' });
    expect(followed.json.data).toMatchObject({
      id,
      state: 'succeeded',
      outcome: { result: 'connected', function: 'MprAdminInterfaceConnect', interfaceLastError: null },
    });
    expect(site.world.changes).toEqual(['interfaceConnect']);
    expect(await site.counts()).toMatchObject({ 'reconnect/execute': 1, 'actions/execute': 1 });
  });

  test('is answered 200 with its outcome under ?wait', async () => {
    const site = await open();
    for (const [name, outcome] of [
      ['Site-Lisboa', { state: 'succeeded' }],
      [
        'Site-Madrid',
        { state: 'failed', outcome: { interfaceLastErrorName: 'ERROR_DNSNAME_NOT_RESOLVABLE' } },
      ],
    ] as const) {
      const { status, json, headers } = await site.passing(reconnect(site, name, { query: '?wait=30s' }));
      expect(status).toBe(200);
      expect(json.data).toMatchObject(outcome);
      expect(headers.location).toBe(`/api/v1/admin/actions/${(json.data as ActionRecord).id}`);
    }
  });

  test('is answered 202 if it takes longer than ?wait', async () => {
    const site = await open();
    const { status, json } = await site.passing(reconnect(site, 'Site-Madrid', { query: '?wait=1' }), 200);
    expect(status).toBe(202);
    expect(json.data).toMatchObject({ state: 'verifying', outcome: null });
  });

  test('hangs up first with force', async () => {
    const site = await open();
    const json = { ...REASON, force: true };
    const answer = await site.passing(reconnect(site, 'Site-Berlin', { json, query: '?wait=60s' }));
    expect(answer.json.data).toMatchObject({ state: 'succeeded', force: true });
    expect(site.world.changes).toEqual(['interfaceDisconnect', 'interfaceConnect']);
  });

  test('hangs up an interface, and a connection of a client', async () => {
    const site = await open();
    const { sstp } = await idsOf(site);
    expect((await disconnect(site, 'Site-Berlin')).status).toBe(202);
    const hangUp = await site.passing(
      site.post(`/api/v1/admin/connections/${sstp}/disconnect?wait=30s`, { as: 'all', json: REASON }),
    );
    expect(hangUp.json.data).toMatchObject({ action: 'hang_up', connection: sstp, state: 'succeeded' });
    expect(site.world.changes).toEqual(['interfaceDisconnect', 'portDisconnect']);
  });

  test('moves an endpoint', async () => {
    const site = await open();
    const { ikev2 } = await idsOf(site);
    const moved = await site.passing(
      site.post(`/api/v1/admin/connections/${ikev2}/endpoint?wait=30s`, { as: 'all', json: ENDPOINT }),
    );
    expect(moved.json.data).toMatchObject({ action: 'update_endpoint', state: 'succeeded' });
    expect(site.world.requests.find(({ action }) => action === 'update_endpoint')).toMatchObject({
      interfaceIndex: 12,
      localAddress: '198.51.100.7',
      remoteAddress: '203.0.113.9',
    });
    const [intent] = (await site.audit()).filter(({ kind }) => kind === 'intent');
    expect(intent).toMatchObject({ endpoint: { remoteAddress: '203.0.113.9' } });
  });
});

describe('what is not done', () => {
  /** How it comes to it, and what is asked then. */
  interface Case {
    readonly is: string;
    readonly options?: AdminSiteOptions;
    readonly first?: (site: AdminSite) => Promise<unknown>;
    readonly ask: (site: AdminSite) => Promise<AdminAnswer>;
    readonly status: number;
    readonly errorType?: string;
    readonly decision?: string;
    readonly retryAfter?: string;
    readonly count: string;
  }
  const lisboa = (site: AdminSite) => reconnect(site, 'Site-Lisboa');
  const madrid = (site: AdminSite) => reconnect(site, 'Site-Madrid');

  test.each<Case>([
    {
      is: 'a dry run',
      options: { config: { guards: { dryRun: true } } },
      ask: lisboa,
      status: 200,
      decision: 'dry_run',
      count: 'reconnect/dry_run',
    },
    {
      is: 'to dial what is connected',
      ask: (site) => reconnect(site, 'Site-Berlin'),
      status: 200,
      decision: 'already_connected',
      count: 'reconnect/already_connected',
    },
    {
      is: 'within the cool-down',
      first: failOnce,
      ask: madrid,
      status: 409,
      errorType: 'cooldown',
      retryAfter: '60',
      count: 'reconnect/cooldown',
    },
    {
      is: 'while the interface is being acted on',
      first: madrid,
      ask: (site) => disconnect(site, 'Site-Madrid'),
      status: 409,
      errorType: 'busy',
      retryAfter: '5',
      count: 'disconnect/busy',
    },
    {
      is: 'while too much is under way',
      options: { config: { guards: { maxConcurrent: 1 } } },
      first: madrid,
      ask: lisboa,
      status: 409,
      errorType: 'busy',
      retryAfter: '5',
      count: 'reconnect/busy',
    },
    {
      is: 'behind an open breaker',
      options: { config: { guards: { breakerFailures: 1, cooldownMs: 1000 } } },
      first: failOnce,
      ask: madrid,
      status: 409,
      errorType: 'breaker',
      count: 'reconnect/breaker',
    },
    {
      is: 'while too many interfaces are unreachable',
      options: { config: { guards: { maxUnreachableShare: 0.01, minHealthyFrom: 2 } } },
      ask: lisboa,
      status: 409,
      errorType: 'min_healthy',
      count: 'reconnect/min_healthy',
    },
    {
      is: 'to hang up what is not connected',
      ask: (site) => disconnect(site, 'Site-Lisboa'),
      status: 409,
      errorType: 'gone',
      count: 'disconnect/gone',
    },
    {
      is: 'on an interface that the lists deny',
      options: { config: { guards: { deny: ['site-l*'] } } },
      ask: lisboa,
      status: 403,
      errorType: 'denied',
      count: 'reconnect/denied',
    },
    {
      is: 'on an interface that the lists do not allow, whatever its state',
      options: { config: { guards: { allow: ['Branch *'] } } },
      ask: (site) => reconnect(site, 'Site-Berlin'),
      status: 403,
      errorType: 'denied',
      count: 'reconnect/denied',
    },
    {
      is: 'an interface that is not there',
      ask: (site) => reconnect(site, 'Site-Nowhere'),
      status: 404,
      errorType: 'not_found',
      count: 'reconnect/gone',
    },
    {
      is: 'a connection that is not there',
      ask: (site) =>
        site.post('/api/v1/admin/connections/0123456789abcdef/disconnect', { as: 'all', json: REASON }),
      status: 404,
      errorType: 'not_found',
      count: 'hang_up/gone',
    },
    {
      is: 'to reset an interface that is not there',
      ask: (site) => site.post('/api/v1/admin/interfaces/Nowhere/reset', { as: 'all', json: REASON }),
      status: 404,
      errorType: 'not_found',
      count: 'reset/gone',
    },
    {
      is: 'beyond the rate',
      options: { config: { guards: { rateBurst: 1, ratePerMs: 600_000 } } },
      first: madrid,
      ask: lisboa,
      status: 429,
      errorType: 'rate',
      retryAfter: '600',
      count: 'reconnect/rate',
    },
    {
      is: 'without an audit log',
      first: (site) => {
        site.disk.freeBytes = 0;
        return Promise.resolve();
      },
      ask: lisboa,
      status: 503,
      errorType: 'audit',
      count: 'reconnect/audit',
    },
    {
      is: 'while actions are paused',
      first: (site) => site.post('/api/v1/admin/pause', { as: 'all', json: REASON }),
      ask: lisboa,
      status: 503,
      errorType: 'paused',
      count: 'reconnect/paused',
    },
    {
      is: 'while the server cannot be read',
      first: (site) => {
        site.world.simulator.state = 'stopped';
        return Promise.resolve();
      },
      ask: lisboa,
      status: 503,
      errorType: 'rras_down',
      retryAfter: '5',
      count: 'reconnect/gone',
    },
    {
      is: 'to dial what cannot be dialled',
      ask: (site) => reconnect(site, 'Ethernet'),
      status: 400,
      errorType: 'invalid',
      count: 'reconnect/invalid',
    },
    {
      is: 'to move what cannot be moved',
      ask: async (site) => {
        const { sstp } = await idsOf(site);
        return site.post(`/api/v1/admin/connections/${sstp}/endpoint`, { as: 'all', json: ENDPOINT });
      },
      status: 400,
      errorType: 'invalid',
      count: 'update_endpoint/invalid',
    },
    {
      is: 'to move it out of the networks of the policy',
      ask: async (site) => {
        const { ikev2 } = await idsOf(site);
        const json = { ...ENDPOINT, remoteAddress: '192.0.2.1' };
        return site.post(`/api/v1/admin/connections/${ikev2}/endpoint`, { as: 'all', json });
      },
      status: 403,
      errorType: 'denied',
      count: 'update_endpoint/denied',
    },
    {
      is: 'to override a guard without the right to',
      first: failOnce,
      ask: (site) =>
        reconnect(site, 'Site-Madrid', { as: 'only-reconnect', json: { ...REASON, override: ['cooldown'] } }),
      status: 403,
      errorType: 'forbidden',
      count: 'reconnect/forbidden',
    },
  ])('$is: $status $errorType $decision', async (given) => {
    const { options, first, ask, status, errorType, decision, retryAfter, count } = given;
    const site = await open(options);
    await first?.(site);
    const before = await site.counts();
    const acts = site.world.requests.length;
    const answer = await ask(site);
    expect(answer.status).toBe(status);
    expect(answer.json.errorType).toBe(errorType);
    expect(answer.headers['retry-after']).toBe(retryAfter);
    if (decision !== undefined) expect(decisionOf(answer)).toBe(decision);
    if (errorType !== undefined) expect(answer.json.error).toMatch(/^\w.{10,}/);
    expect(site.world.requests).toHaveLength(acts);
    expect((await site.counts())[count]).toBe((before[count] ?? 0) + 1);
  });

  test('passes cool-down and breaker by an override, with the right to', async () => {
    const site = await open({ config: { guards: { breakerFailures: 1 } } });
    await failOnce(site);
    const json = { ...REASON, override: ['cooldown', 'breaker'] };
    const { status } = await reconnect(site, 'Site-Madrid', { json });
    expect(status).toBe(202);
    expect(site.world.changes).toEqual(['interfaceConnect']);
  });

  test('is open again after a reset: the breaker is closed, the cool-down over', async () => {
    const site = await open({ config: { guards: { breakerFailures: 1 } } });
    await failOnce(site);
    expect(bare(await reconnect(site, 'Site-Madrid'))).toEqual([409, 'breaker']);
    const reset = await site.post('/api/v1/admin/interfaces/Site-Madrid/reset', { as: 'all', json: REASON });
    expect({ status: reset.status, data: reset.json.data }).toEqual({
      status: 200,
      data: { interface: 'Site-Madrid' },
    });
    expect((await reconnect(site, 'Site-Madrid')).status).toBe(202);
  });
});

describe('a pause', () => {
  const pause = (site: AdminSite, body: object = {}) =>
    site.post('/api/v1/admin/pause', { as: 'all', json: { ...REASON, ...body } });

  test('says since when, by whom, why and how long, and ends with the time or /resume', async () => {
    const site = await open();
    const now = site.clock.wallSeconds();
    expect((await pause(site)).json.data).toEqual({
      paused: true,
      reason: 'a test',
      actor: 'all',
      since: now,
      until: null,
      persisted: true,
    });
    expect((await pause(site, { expiresIn: 90 })).json.data).toMatchObject({ until: now + 90 });
    expect((await pause(site, { expiresIn: '1h30m' })).json.data).toMatchObject({ until: now + 5400 });
    await site.pass(5_399_000);
    expect(bare(await reconnect(site, 'Site-Lisboa'))).toEqual([503, 'paused']);
    await site.pass(1_000);
    expect((await reconnect(site, 'Site-Lisboa')).status).toBe(202);
    await pause(site);
    const resumed = await site.post('/api/v1/admin/resume', { as: 'all', json: REASON });
    expect(resumed.json.data).toMatchObject({ paused: false, since: null, until: null });
    expect((await site.metrics()).value('rras_admin_paused')).toBe(0);
  });

  test.each([
    0,
    -1,
    1.5,
    2_592_001,
    '',
    '0s',
    '999ms',
    '31d',
    '999999999d',
    '1.5h',
    'soon',
    '1s1h',
    null,
    true,
    [],
  ])('of %j is 400, and none is begun', async (expiresIn) => {
    const site = await open();
    const { status, json } = await pause(site, { expiresIn });
    expect(status).toBe(400);
    expect(json.error).toContain('expiresIn');
    expect(site.service.paused.paused).toBe(false);
  });

  test('D3 works with a full disk', async () => {
    const site = await open();
    site.disk.freeBytes = 0;
    const { status, json } = await pause(site);
    expect(status).toBe(200);
    expect(json.data).toMatchObject({ paused: true, persisted: true });
  });

  test('works while as many are waiting as may', async () => {
    const site = await open({ world: { faults: { 'Site-Madrid': { dialMs: Infinity } } } });
    const asked = { query: '?wait=120s', headers: { 'Idempotency-Key': 'one' } };
    const waiting = Promise.all(Array.from({ length: 100 }, () => reconnect(site, 'Site-Madrid', asked)));
    const list = () => site.get('/api/v1/admin/actions', { as: 'all' });
    await expect.poll(async () => (await list()).status, { timeout: 5000 }).toBe(503);
    const busy = await list();
    expect([...(bare(busy) as unknown[]), busy.headers['retry-after']]).toEqual([503, 'busy', '1']);
    expect((await pause(site)).status).toBe(200);
    const statuses = (await site.passing(waiting)).map(({ status }) => status);
    expect(new Set(statuses)).toEqual(new Set([200]));
    expect((await list()).status).toBe(200);
  });
});

describe('an idempotency key', () => {
  const withKey = (site: AdminSite, key: string, asked: Asked & { readonly name?: string } = {}) =>
    reconnect(site, asked.name ?? 'Site-Madrid', { ...asked, headers: { 'Idempotency-Key': key } });

  test('lets the same request be carried out once, and answers the same place', async () => {
    const site = await open();
    const [first, second] = await Promise.all([withKey(site, 'a'), withKey(site, 'a')]);
    await site.pass(60_000);
    const third = await withKey(site, 'a', { json: { override: [], force: false, reason: ' a test ' } });
    expect([first.status, second.status, third.status]).toEqual([202, 202, 202]);
    expect(new Set([first, second, third].map(({ headers }) => headers.location)).size).toBe(1);
    expect(third.json.data).toMatchObject({ state: 'failed' });
    expect(site.world.changes).toEqual(['interfaceConnect']);
    expect(await site.counts()).toEqual({ 'reconnect/execute': 1, 'reconnect/duplicate': 2 });
  });

  test.each<[string, Asked & { readonly name?: string }]>([
    ['another reason', { json: { reason: 'another' } }],
    ['another interface', { name: 'Site-Lisboa' }],
    ['force', { json: { ...REASON, force: true } }],
    ['an override', { json: { ...REASON, override: ['cooldown'] } }],
  ])('with %s is 422', async (_, asked) => {
    const site = await open();
    await withKey(site, 'a');
    site.world.forgetCalls();
    const answer = await withKey(site, 'a', asked);
    expect(bare(answer)).toEqual([422, 'idempotency_key_reused']);
    expect(site.world.requests).toEqual([]);
  });

  test('S2 is one of its caller: those of others are others', async () => {
    const site = await open({ config: { guards: { cooldownMs: 0, cooldownMaxMs: 0 } } });
    await withKey(site, 'a', { as: 'all' });
    await site.pass(60_000);
    expect((await withKey(site, 'a', { as: 'only-reconnect' })).status).toBe(202);
    expect(site.world.changes).toEqual(['interfaceConnect', 'interfaceConnect']);
  });

  test('of a request that was not carried out can be used again', async () => {
    const site = await open();
    await site.post('/api/v1/admin/pause', { as: 'all', json: REASON });
    expect((await withKey(site, 'a')).status).toBe(503);
    await site.post('/api/v1/admin/resume', { as: 'all', json: REASON });
    expect((await withKey(site, 'a')).status).toBe(202);
  });

  test.each(['', ' ', 'a b', 'ä', 'x'.repeat(256), 'a\tb'])('%j is 400', async (key) => {
    const site = await open();
    const { status, json } = await withKey(site, key);
    expect(status).toBe(400);
    expect(json.error).toContain('Idempotency-Key');
    expect(touched(site)).toEqual(UNTOUCHED);
  });

  test('whose action is not remembered any more is 409', async () => {
    const forgotten: ActionAnswer = { decision: 'duplicate', reason: 'it was asked before' };
    const site = await open({
      through: (backend) => ({ ...backend, request: () => Promise.resolve(forgotten) }),
    });
    expect(bare(await withKey(site, 'a'))).toEqual([409, 'gone']);
  });
});

describe('the list of actions', () => {
  interface Paged {
    readonly items: readonly ActionRecord[];
    readonly nextCursor?: string;
  }
  const listed = async (site: AdminSite, query = '', as = 'all'): Promise<Paged> => {
    const { status, json } = await site.get(`/api/v1/admin/actions${query}`, { as });
    expect(status).toBe(200);
    return json.data as Paged;
  };

  test('comes newest first, in pages that skip and repeat nothing while new ones come', async () => {
    const site = await open({ config: { guards: { deny: ['*'] } } });
    for (let i = 0; i < 25; i += 1) {
      // Some of them at the same moment.
      if (i % 3 === 0) await site.pass(i % 2 === 0 ? 1 : 1700);
      await reconnect(site, 'Site-Lisboa', { json: { reason: `number ${i}` } });
    }
    const seen: ActionRecord[] = [];
    let cursor: string | undefined = '';
    for (let pages = 0; cursor !== undefined; pages += 1) {
      const page: Paged = await listed(
        site,
        `?limit=10${cursor === '' ? '' : `&cursor=${encodeURIComponent(cursor)}`}`,
      );
      expect(page.items.length).toBe(pages < 2 ? 10 : 5);
      seen.push(...page.items);
      cursor = page.nextCursor;
      await reconnect(site, 'Site-Lisboa', { json: { reason: 'while it was read' } });
    }
    const times = seen.map(({ requestedAt }) => requestedAt);
    expect(times).toEqual(times.toSorted((a, b) => b - a));
    const reasons = seen.map(({ reason }) => reason);
    expect(reasons.toSorted()).toEqual(Array.from({ length: 25 }, (_, i) => `number ${i}`).sort());
    expect((await listed(site)).items).toHaveLength(28);
  });

  test('hides what others did from who has no right to read', async () => {
    const site = await open();
    const mine = await reconnect(site, 'Site-Lisboa', { as: 'only-reconnect' });
    const others = await reconnect(site, 'Site-Madrid', { as: 'berlin' });
    expect(others.status).toBe(403);
    const theirs = await reconnect(site, 'Site-Madrid');
    const actors = async (as: string) => (await listed(site, '', as)).items.map(({ actor }) => actor).sort();
    expect(await actors('only-read')).toEqual(['all', 'only-reconnect']);
    expect(await actors('only-reconnect')).toEqual(['only-reconnect']);
    expect(await actors('none')).toEqual([]);
    const look = async (as: string, { headers }: AdminAnswer) =>
      bare(await site.get(headers.location!, { as }));
    expect(await look('only-reconnect', mine)).toEqual([200, undefined]);
    expect(await look('only-reconnect', theirs)).toEqual([404, 'not_found']);
    expect(await look('only-read', theirs)).toEqual([200, undefined]);
  });

  test.each([
    '?limit=0',
    '?limit=10001',
    '?limit=x',
    '?limit=1&limit=2',
    '?offset=1',
    '?__proto__=1',
    '?wait=1s',
  ])('%s is 400', async (query) => {
    const site = await open();
    expect(bare(await site.get(`/api/v1/admin/actions${query}`, { as: 'all' }))).toEqual([400, 'bad_data']);
  });

  test('answers HEAD as GET, without the body', async () => {
    const site = await open();
    const { status, text, headers } = await site.send('HEAD', '/api/v1/admin/actions', { as: 'all' });
    expect({ status, text }).toEqual({ status: 200, text: '' });
    expect(headers['content-type']).toBe('application/json; charset=utf-8');
    expect((await site.send('HEAD', '/api/v1/admin/actions')).status).toBe(401);
  });
});

describe('A6 guesses', () => {
  const guess = (site: AdminSite, i: number, asked: Asked = {}) =>
    site.post('/api/v1/admin/pause', {
      json: REASON,
      headers: { Authorization: `Bearer ${tokenOf(`guess ${i}`)}` },
      ...asked,
    });

  test('are refused with 401, then with 429 that says how long, and keep nobody out who is known', async () => {
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
  });

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
      for (let i = 0; i < 10; i += 1) {
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

const requestOf = (method: string, path: string, headers: Readonly<Record<string, string>>): string =>
  `${method} ${path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 0\r\n${Object.entries(
    headers,
  )
    .map(([name, value]) => `${name}: ${value}\r\n`)
    .join('')}\r\n`;

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

  test.each(ROUTES)('is refused by the route "$name" as well', async ({ ask }) => {
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
    const site = await open();
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
    const ask = async (from: number, to: number): Promise<string[]> => {
      for (let i = from; i < to; i += 40) {
        const some = requests.slice(i, Math.min(to, i + 40));
        await Promise.all(
          some.map(([verb, where, query]) => site.raw(requestOf(verb, `${where}${query}`, {}))),
        );
      }
      const page = await site.metrics();
      return page.families.flatMap(({ samples }) =>
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
    ];
    // Each of them once, so that those that there may be are there.
    for (const { ask: once } of ROUTES) await once(site, {});
    const before = await ask(0, 0);
    const after = await ask(0, requests.length);
    expect(after).toEqual(before);
    const counted = Object.keys(await site.counts()).map((key) => key.split('/'));
    for (const [route = '', decision = ''] of counted) {
      expect([...routes, 'alertmanager', 'grafana']).toContain(route);
      expect(DECISIONS as readonly string[]).toContain(decision);
    }
    expect(site.log.filter(({ level }) => level === 'error')).toEqual([]);
    expect(touched(site)).toEqual(UNTOUCHED);
  });
});
