/** The admin API over real sockets: who may do what, what each decision is answered with, and what is told of it. */
import { afterEach, describe, expect, test } from 'vitest';
import type { ActionAnswer, ActionRecord } from '../../src/model/admin.ts';
import { RIGHTS } from '../../src/model/admin.ts';
import {
  ADMIN_ROUTES,
  bare,
  disconnect,
  ENDPOINT,
  idsOf,
  REASON,
  reconnect,
  touched,
  UNTOUCHED,
} from './admin-routes.ts';
import type { AdminAnswer, AdminSite, AdminSiteOptions, Asked } from './admin-site.ts';
import { AdminSites, onlyRight, replacing, tokenOf } from './admin-site.ts';

const sites = new AdminSites();
const open = (options?: AdminSiteOptions): Promise<AdminSite> => sites.open(options);
afterEach(() => sites.close());

describe('a route', () => {
  test.each(ADMIN_ROUTES)(
    'A4 "$name" answers 401 to who is not known, the same without a token as with a wrong one, and looks at nothing',
    async ({ ask }) => {
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
    },
  );

  const withRight = ADMIN_ROUTES.filter(({ right }) => right !== undefined);

  test.each(withRight)(
    'A4 "$name" answers 403 to who has every right but the one, and looks at nothing',
    async ({ right, ask }) => {
      const site = await open();
      for (const caller of ['none', ...RIGHTS.filter((each) => each !== right).map(onlyRight)]) {
        const { status, json, headers } = await ask(site, { as: caller });
        expect({ caller, status, type: json.errorType }).toEqual({ caller, status: 403, type: 'forbidden' });
        expect(json.error).toContain(caller);
        expect(headers['www-authenticate']).toBeUndefined();
        expect(touched(site)).toEqual(UNTOUCHED);
      }
    },
  );

  test.each(ADMIN_ROUTES.filter(({ about }) => about !== undefined))(
    'A4 "$name" answers 403 to who has the right for other interfaces, and does nothing',
    async ({ about, ask }) => {
      const site = await open();
      const answer = await ask(site, { as: 'elsewhere' });
      expect(bare(answer)).toEqual([403, 'forbidden']);
      expect(answer.json.data).toBeUndefined();
      expect(site.world.requests).toEqual([]);
      // Whose connection it is can only be told by looking.
      if (about === 'interface') expect(touched(site)).toEqual(UNTOUCHED);
    },
  );

  test('A4 that is refused with 403 is told in the log and in the audit log', async () => {
    const site = await open();
    await site.post('/api/v1/admin/pause', { as: 'none', json: REASON });
    await reconnect(site, 'Site-Lisboa', { as: 'berlin' });
    const { ikev2 } = await idsOf(site);
    await site.post(`/api/v1/admin/connections/${ikev2}/disconnect`, { as: 'berlin', json: REASON });
    const told = (await site.audit()).filter(({ kind }) => kind === 'decision');
    expect(told).toMatchObject([
      { actor: 'none', route: 'pause', decision: 'forbidden' },
      { actor: 'berlin', route: 'reconnect', decision: 'forbidden' },
      { actor: 'berlin', route: 'hang_up', decision: 'forbidden' },
    ]);
    expect(site.log.map(({ fields }) => fields['actor'])).toEqual(['none', 'berlin', 'berlin']);
  });

  test('A4 on the connection of a site takes the right for its interface', async () => {
    const site = await open();
    const { site: id, ikev2 } = await idsOf(site);
    const hangUp = (connection: string, as: string) =>
      site.post(`/api/v1/admin/connections/${connection}/disconnect`, { as, json: REASON });
    expect(bare(await hangUp(ikev2, 'berlin'))).toEqual([403, 'forbidden']);
    expect(bare(await hangUp('0123456789abcdef', 'berlin'))).toEqual([403, 'forbidden']);
    expect(site.world.requests).toEqual([]);
    expect((await hangUp(id, 'berlin')).json.data).toMatchObject({
      connection: id,
      interface: 'Site-Berlin',
    });
  });

  test.each(ADMIN_ROUTES)(
    '"$name" lets in who has the right, however the scheme is written',
    async ({ right, ok, ask }) => {
      const site = await open();
      const name = right === undefined ? 'only-read' : onlyRight(right);
      expect((await ask(site, { as: name })).status).toBe(ok);
      const again = await ask(site, { headers: { Authorization: `bEARER  ${tokenOf(name)} ` } });
      expect([401, 403]).not.toContain(again.status);
    },
  );

  test.each(ADMIN_ROUTES)(
    'A9 "$name" is not there while the admin API is off, whoever asks',
    async ({ ask }) => {
      const site = await open({ isOff: true });
      for (const asked of [{ as: 'all' }, {}]) {
        expect(bare(await ask(site, asked))).toEqual([404, 'not_found']);
      }
      expect(touched(site)).toEqual(UNTOUCHED);
    },
  );

  test.each(withRight)(
    '"$name" authenticates, then authorises, and only then looks at what is asked',
    async ({ right, about, ask }) => {
      const site = await open();
      const nonsense = { json: undefined, body: '{', headers: { 'Content-Type': 'text/nonsense' } };
      expect(bare(await ask(site, nonsense))).toEqual([401, 'unauthenticated']);
      expect(bare(await ask(site, { ...nonsense, as: 'none' }))).toEqual([403, 'forbidden']);
      if (about === 'interface') {
        expect(bare(await ask(site, { ...nonsense, as: 'elsewhere' }))).toEqual([403, 'forbidden']);
      }
      expect(bare(await ask(site, { ...nonsense, as: onlyRight(right!) }))).toEqual([415, 'bad_data']);
      expect(site.world.requests).toEqual([]);
    },
  );

  test('waits for what stands behind it, in an exporter that has only just been started', async () => {
    const opening = Promise.withResolvers<undefined>();
    const site = await open({ through: (backend) => opening.promise.then(() => backend) });
    const early = reconnect(site, 'Site-Lisboa');
    const unknown = site.post('/api/v1/admin/pause', { json: REASON });
    expect((await site.get('/-/healthy')).status).toBe(200);
    expect(touched(site)).toEqual(UNTOUCHED);
    opening.resolve(undefined);
    expect([(await early).status, (await unknown).status]).toEqual([202, 401]);
  });

  test('asks for a token also where the query makes no sense', async () => {
    const site = await open();
    for (const query of ['?wait=soon', '?x=y', '?server=vpn1']) {
      const path = `/api/v1/admin/interfaces/Site-Lisboa/reconnect${query}`;
      expect((await site.post(path, { json: REASON })).status).toBe(401);
      expect((await site.post(path, { json: REASON, as: 'none' })).status).toBe(403);
      expect((await site.get(`/api/v1/admin/actions${query}`)).status).toBe(401);
      expect((await site.post(`/api/v1/hooks/grafana${query}`, { json: REASON })).status).toBe(401);
    }
  });
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

  test('H2 is cut off 5 s after the end of ?wait, whatever keeps it', async () => {
    const never = new Promise<undefined>(() => undefined);
    const site = await open({ through: (backend) => replacing(backend, { settled: () => never }) });
    const cut = reconnect(site, 'Site-Madrid', { query: '?wait=3s' }).catch((error: unknown) => error);
    await expect.poll(() => site.world.requests.length).toBe(1);
    let isCut = false;
    void cut.then(() => (isCut = true));
    await site.pass(7_900);
    expect((await site.get('/-/healthy')).status).toBe(200);
    expect(isCut).toBe(false);
    await site.pass(200);
    expect(await cut).toMatchObject({ code: 'ECONNRESET' });
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
    expect([...bare(busy), busy.headers['retry-after']]).toEqual([503, 'busy', '1']);
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
      through: (backend) => replacing(backend, { request: () => Promise.resolve(forgotten) }),
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
    // Who may read, reads of what he may act on.
    expect(await actors('berlin')).toEqual([]);
    await reconnect(site, 'Site-Berlin');
    expect(await actors('berlin')).toEqual(['all']);
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
