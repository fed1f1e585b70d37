/** The hooks over real sockets: what Alertmanager and Grafana send, and how it is answered. */
import { createHmac } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { connect } from 'node:net';
import express from 'express';
import { afterEach, describe, expect, test } from 'vitest';
import { RIGHTS } from '../../src/model/admin.ts';
import type { AdminBackend } from '../../src/server/admin.ts';
import { addAdmin } from '../../src/server/admin.ts';
import { alertOn, RULE } from '../admin/exporter-life.ts';
import { FakeClock, settle } from '../doubles/fake-clock.ts';
import { ALERTMANAGER, asGoWrites, GRAFANA, manyAlerts } from '../fixtures/hooks/payloads.ts';
import { bare, notificationOf, REASON, requestOf, touched, UNTOUCHED } from './admin-routes.ts';
import type { AdminAnswer, AdminSite, AdminSiteOptions, Asked } from './admin-site.ts';
import { AdminSites, GRAFANA_SECRET, onlyRight, replacing, tokenOf } from './admin-site.ts';
import { fetchPlain } from './http-client.ts';

const sites = new AdminSites();
const open = (options?: AdminSiteOptions): Promise<AdminSite> => sites.open(options);
afterEach(() => sites.close());

const JSON_TYPE = { 'Content-Type': 'application/json' };
const PATHS = ['/api/v1/hooks/alertmanager', '/api/v1/hooks/grafana'] as const;
type Path = (typeof PATHS)[number];
const versionOf = (path: Path): '1' | '4' => (path === PATHS[0] ? '4' : '1');

/** As it is sent with the token of Alertmanager. */
const deliver = (site: AdminSite, alerts: readonly unknown[], path: Path = PATHS[0], asked: Asked = {}) =>
  site.post(path, { as: 'only-hook', json: notificationOf(alerts, versionOf(path)), ...asked });

interface Decided {
  readonly fingerprint: string;
  readonly rule: string | null;
  readonly decision: string;
  readonly reason: string;
  readonly actionId: string | null;
}
const decided = ({ json }: AdminAnswer): readonly Decided[] =>
  (json.data as { readonly alerts: readonly Decided[] }).alerts;
const decisions = (answer: AdminAnswer): string[] => decided(answer).map(({ decision }) => decision);

describe.each(PATHS)('%s', (path) => {
  test('answers 200 with a decision per alert, in their order, before anything is done', async () => {
    const site = await open();
    const alerts = [
      alertOn('Site-Lisboa', { alert: 1 }),
      alertOn('Site-Berlin', { alert: 2 }),
      alertOn('Site-Nowhere', { alert: 3 }),
      alertOn('Site-Madrid', { alert: 4, labels: { alertname: 'Other' } }),
      alertOn('Site-Madrid', { alert: 5, status: 'resolved' }),
      alertOn('', { alert: 6 }),
      { fingerprint: 'no alert' },
      alertOn('Site-Lisboa', { alert: 7 }),
    ];
    const answer = await deliver(site, alerts, path);
    expect(answer.status).toBe(200);
    expect(decisions(answer)).toEqual([
      'execute',
      'already_connected',
      'gone',
      'no_rule',
      'resolved',
      'invalid',
      'invalid',
      'busy',
    ]);
    const [first, , , fourth] = decided(answer);
    expect(first).toMatchObject({ rule: 'redial', fingerprint: '0000000000000001' });
    expect(fourth).toMatchObject({ rule: null, actionId: null });
    const action = await site.get(`/api/v1/admin/actions/${first!.actionId!}`, { as: 'all' });
    expect(action.json.data).toMatchObject({
      actor: 'only-hook',
      alert: { rule: 'redial', fingerprint: '0000000000000001' },
      interface: 'Site-Lisboa',
      outcome: null,
    });
    await site.pass(30_000);
    expect(site.world.changes).toEqual(['interfaceConnect']);
    expect(await site.counts()).toMatchObject({ [`${path.split('/').at(-1)!}/execute`]: 1 });
  });

  test('A1 answers the same notification again with 200, and does nothing again', async () => {
    const site = await open();
    for (let round = 0; round < 5; round += 1) {
      const answer = await deliver(site, [alertOn('Site-Lisboa')], path);
      expect(answer.status).toBe(200);
      expect(decisions(answer)).toEqual([round === 0 ? 'execute' : 'duplicate']);
      await site.pass(120_000);
    }
    expect(site.world.changes).toEqual(['interfaceConnect']);
  });

  test('decides nothing that the token is not good for', async () => {
    const site = await open();
    const alerts = [alertOn('Site-Lisboa', { alert: 1 }), alertOn('Site-Berlin', { alert: 2 })];
    const answer = await deliver(site, alerts, path, { as: 'berlin' });
    expect([answer.status, ...decisions(answer)]).toEqual([200, 'forbidden', 'already_connected']);
    expect(site.world.requests).toEqual([]);
  });

  test.each<[string, unknown]>([
    ['a version to come', { ...notificationOf([], versionOf(path)), version: '5' }],
    [
      'a version that is a number',
      { ...notificationOf([], versionOf(path)), version: Number(versionOf(path)) },
    ],
    ['no alerts', { ...notificationOf([], versionOf(path)), alerts: undefined }],
    ['alerts that are no list', { ...notificationOf([], versionOf(path)), alerts: { 0: alertOn('x') } }],
    ['alerts that are null', { ...notificationOf([], versionOf(path)), alerts: null }],
    ['a status to come', { ...notificationOf([], versionOf(path)), status: 'maybe' }],
    ['too few alerts than none', { ...notificationOf([], versionOf(path)), truncatedAlerts: -1 }],
    ['nothing', null],
    ['a list', [notificationOf([], versionOf(path))]],
    ['a text', 'firing'],
  ])('answers 400 to a notification with %s, and says what is wrong', async (_, json) => {
    const site = await open();
    const answer = await site.post(path, { as: 'only-hook', json });
    expect(bare(answer)).toEqual([400, 'bad_data']);
    expect(answer.json.error).toMatch(/version|alerts|status|truncatedAlerts|body/i);
    expect(touched(site)).toEqual(UNTOUCHED);
  });

  test('H5 answers 400 to what is no JSON, 415 to what says it is none, 413 beyond 1 MiB', async () => {
    const site = await open();
    const as = 'only-hook';
    const mebibyte = JSON.stringify(notificationOf([], versionOf(path))).padEnd(1024 * 1024);
    for (const [status, asked] of [
      [400, { headers: JSON_TYPE, body: '{"version":' }],
      [400, { headers: JSON_TYPE, body: '['.repeat(50_000) }],
      [415, { body: mebibyte }],
      [415, { headers: { 'Content-Type': 'text/plain' }, body: '{}' }],
      [415, { headers: { ...JSON_TYPE, 'Content-Encoding': 'gzip' }, body: '{}' }],
      [413, { headers: JSON_TYPE, body: `${mebibyte} ` }],
      [413, { headers: JSON_TYPE, chunks: [Buffer.from(mebibyte), Buffer.from(' ')] }],
    ] as const) {
      expect(bare(await site.post(path, { as, ...asked }))).toEqual([status, 'bad_data']);
    }
    expect(touched(site)).toEqual(UNTOUCHED);
    expect((await site.post(path, { as, headers: JSON_TYPE, body: mebibyte })).status).toBe(200);
  });

  test('answers 503 with Retry-After, and what was decided, while the audit log cannot be written', async () => {
    const site = await open();
    site.disk.freeBytes = 0;
    const alerts = [alertOn('Site-Nowhere', { alert: 1 }), alertOn('Site-Lisboa', { alert: 2 })];
    const answer = await deliver(site, alerts, path);
    expect(bare(answer)).toEqual([503, 'audit']);
    expect(answer.headers['retry-after']).toBe('5');
    expect(decisions(answer)).toEqual(['gone', 'audit']);
    expect(site.world.requests).toEqual([]);
    site.disk.heal();
    expect(decisions(await deliver(site, alerts, path))).toEqual(['gone', 'execute']);
  });

  test('answers 503 with Retry-After while the server cannot be read', async () => {
    const site = await open();
    site.world.simulator.state = 'stopped';
    const answer = await deliver(site, [alertOn('Site-Lisboa')], path);
    expect([...bare(answer), answer.headers['retry-after']]).toEqual([503, 'rras_down', '5']);
    expect(decisions(answer)).toEqual(['gone']);
    site.world.simulator.state = 'running';
    expect(decisions(await deliver(site, [alertOn('Site-Lisboa')], path))).toEqual(['execute']);
  });

  test('answers 200 where trying again would change nothing', async () => {
    const site = await open({ config: { guards: { deny: ['Site-Lisboa'] } } });
    const answer = await deliver(site, [alertOn('Site-Lisboa'), alertOn('Site-Nowhere')], path);
    expect([answer.status, ...decisions(answer)]).toEqual([200, 'denied', 'gone']);
  });

  test('answers 401 at once to who is not known, however long the body is that never comes', async () => {
    const site = await open();
    const headers = { ...JSON_TYPE, Connection: 'keep-alive' };
    for (const length of ['10', '1000000', '100000000']) {
      const said = await site.raw(
        requestOf('POST', path, { ...headers, 'Content-Length': length }),
        'unauthenticated',
      );
      expect(said).toMatch(/^HTTP\/1\.1 401 /);
    }
    const chunked = requestOf('POST', path, headers).replace(
      /Content-Length: 0/,
      'Transfer-Encoding: chunked',
    );
    expect(await site.raw(chunked, 'unauthenticated')).toMatch(/^HTTP\/1\.1 401 /);
    const forbidden = { ...headers, Authorization: `Bearer ${tokenOf('none')}`, 'Content-Length': '10' };
    expect(await site.raw(requestOf('POST', path, forbidden), 'forbidden')).toMatch(/^HTTP\/1\.1 403 /);
    expect(touched(site)).toEqual(UNTOUCHED);
  });

  test('lets a client read its 401 that looks for it only when it has sent all of a long body', async () => {
    const site = await open();
    const length = 4_000_000;
    const headers = { ...JSON_TYPE, Connection: 'keep-alive', 'Content-Length': String(length) };
    const said = await new Promise<string>((resolve, reject) => {
      const socket = connect(site.port, '127.0.0.1');
      socket.pause();
      socket.on('error', reject);
      socket.on('close', () => reject(new Error('closed without an answer')));
      socket.write(requestOf('POST', path, headers));
      socket.write(Buffer.alloc(length, ' '), () => {
        socket.once('data', (data) => resolve(data.toString('latin1')));
        socket.resume();
      });
    });
    expect(said).toMatch(/^HTTP\/1\.1 401 /);
  });

  test('takes no token but one with the right', async () => {
    const site = await open();
    for (const right of RIGHTS) {
      const answer = await deliver(site, [], path, { as: onlyRight(right) });
      expect({ right, status: answer.status }).toEqual({ right, status: right === 'hook' ? 200 : 403 });
    }
  });
});

describe('Alertmanager', () => {
  test('sends what is understood', async () => {
    const rule = {
      ...RULE,
      matchers: [{ label: 'alertname', operator: '=', value: 'RrasInterfaceUnreachable' }],
    } as const;
    const site = await open({ config: { hooks: { rules: [rule] } } });
    const body = asGoWrites(ALERTMANAGER);
    const answer = await site.post(PATHS[0], { as: 'only-hook', body, headers: JSON_TYPE });
    expect([answer.status, ...decisions(answer)]).toEqual([200, 'already_connected', 'resolved']);
  });

  test('H5 may send 100 ordinary alerts, and 1,000', async () => {
    const site = await open();
    const hundred = manyAlerts(100);
    expect(hundred.length).toBeGreaterThan(80_000);
    for (const [count, body] of [
      [100, hundred],
      [1000, manyAlerts(1000)],
    ] as const) {
      const answer = await site.post(PATHS[0], { as: 'only-hook', body, headers: JSON_TYPE });
      expect(answer.status).toBe(200);
      expect(decisions(answer)).toEqual(Array.from({ length: count }, () => 'no_rule'));
    }
  });

  test('is told of nothing but its alerts: texts of theirs come back clean or not at all', async () => {
    const site = await open();
    const hostile = alertOn('Site-\u0000\u001b[31m\ud800', { labels: { x: '"\n' } });
    const answer = await deliver(site, [hostile, { ...hostile, fingerprint: '\u0007' }]);
    expect(answer.status).toBe(200);
    // eslint-disable-next-line no-control-regex -- none of them may come back
    expect(answer.text).not.toMatch(/[\u0000-\u001f]|\\u00|\\ud8/);
  });
});

describe('Grafana', () => {
  const sign = (site: AdminSite, body: Buffer, { ageSeconds = 0, secret = GRAFANA_SECRET } = {}) => {
    const timestamp = String(Math.floor(site.clock.wallSeconds()) - ageSeconds);
    const hmac = createHmac('sha256', secret).update(`${timestamp}:`).update(body);
    return {
      ...JSON_TYPE,
      'X-Grafana-Alerting-Signature': hmac.digest('hex'),
      'X-Grafana-Alerting-Timestamp': timestamp,
    };
  };
  const BODY = asGoWrites(notificationOf([alertOn('Site-Lisboa')], '1'));
  const send = (site: AdminSite, headers: Readonly<Record<string, string>>, body = BODY) =>
    site.post(PATHS[1], { headers, body });

  test('gets in by its signature, and acts in its own name', async () => {
    const site = await open();
    const answer = await send(site, sign(site, BODY));
    expect([answer.status, ...decisions(answer)]).toEqual([200, 'execute']);
    const [action] = site.service.actions({ name: 'x', rights: ['read'], interfaces: ['*'] });
    expect(action?.actor).toBe('grafana');
    // A replay within the window is the same alert.
    expect(decisions(await send(site, sign(site, BODY)))).toEqual(['duplicate']);
  });

  test('gets in by its signature also beside a token that is good for something else', async () => {
    const site = await open();
    const authorization = { Authorization: `Bearer ${tokenOf('only-read')}` };
    expect((await send(site, { ...sign(site, BODY), ...authorization })).status).toBe(200);
    expect((await send(site, { ...sign(site, BODY, { secret: 'x' }), ...authorization })).status).toBe(401);
    expect((await send(site, { ...JSON_TYPE, ...authorization })).status).toBe(403);
  });

  test('sends what is understood', async () => {
    const site = await open();
    const body = asGoWrites(GRAFANA);
    const answer = await send(site, sign(site, body), body);
    expect(answer.status).toBe(200);
    expect(decisions(answer)).toEqual((GRAFANA['alerts'] as unknown[]).map(() => 'no_rule'));
  });

  test('acts on the interfaces of its hook only', async () => {
    const grafana = {
      secret: Buffer.from(GRAFANA_SECRET),
      signatureHeader: 'X-Signature',
      timestampHeader: 'X-Time',
      maxAgeMs: 300_000,
      interfaces: ['Branch *'],
    };
    const site = await open({ config: { hooks: { grafana } } });
    const { 'X-Grafana-Alerting-Signature': signature, 'X-Grafana-Alerting-Timestamp': time } = sign(
      site,
      BODY,
    );
    const answer = await send(site, { ...JSON_TYPE, 'X-Signature': signature, 'X-Time': time });
    expect([answer.status, ...decisions(answer)]).toEqual([200, 'forbidden']);
    expect(site.world.requests).toEqual([]);
  });

  test('A1 is not let in by a signature that is wrong, old, of another body or missing, and all look the same', async () => {
    const site = await open();
    const right = sign(site, BODY);
    const { 'X-Grafana-Alerting-Signature': signature, 'X-Grafana-Alerting-Timestamp': timestamp } = right;
    const changed = { ...right, 'X-Grafana-Alerting-Timestamp': String(Number(timestamp) + 1) };
    const withSignature = (text: string) => ({ ...right, 'X-Grafana-Alerting-Signature': text });
    const answers: AdminAnswer[] = [];
    for (const [what, headers, body] of [
      ['nothing', JSON_TYPE, BODY],
      ['another secret', sign(site, BODY, { secret: 'another secret' }), BODY],
      ['no secret', sign(site, BODY, { secret: '' }), BODY],
      ['an old time', sign(site, BODY, { ageSeconds: 301 }), BODY],
      ['a time to come', sign(site, BODY, { ageSeconds: -301 }), BODY],
      ['another time', changed, BODY],
      ['another body', right, Buffer.concat([BODY, Buffer.from(' ')])],
      ['no time', { ...JSON_TYPE, 'X-Grafana-Alerting-Signature': signature }, BODY],
      ['a time only', { ...JSON_TYPE, 'X-Grafana-Alerting-Timestamp': timestamp }, BODY],
      ['half a signature', withSignature(signature.slice(0, 32)), BODY],
      ['an empty signature', withSignature(''), BODY],
      ['a prefix', withSignature(`sha256=${signature}`), BODY],
      ['two signatures', withSignature(`${signature}, ${signature}`), BODY],
      ['no body', { ...right, 'Content-Length': '0' }, Buffer.alloc(0)],
      ['what is no JSON', withSignature('0'.repeat(64)), Buffer.from('{')],
    ] as const) {
      const answer = await send(site, headers, body);
      expect({ what, answer: bare(answer) }).toEqual({ what, answer: [401, 'unauthenticated'] });
      expect(answer.headers['www-authenticate']).toMatch(/^Bearer\b/);
      answers.push(answer);
    }
    expect(new Set(answers.map(({ text }) => text)).size).toBe(1);
    expect(touched(site)).toEqual(UNTOUCHED);
    expect(await site.counts()).toEqual({ 'grafana/unauthenticated': answers.length });
  });

  test('gets in nowhere else by its signature', async () => {
    const site = await open();
    const body = Buffer.from(JSON.stringify(REASON));
    for (const path of [PATHS[0], '/api/v1/admin/pause', '/api/v1/admin/interfaces/Site-Lisboa/reconnect']) {
      expect((await site.post(path, { headers: sign(site, body), body })).status).toBe(401);
    }
  });

  test('is not known by a signature where none is configured', async () => {
    const site = await open({ config: { hooks: { grafana: undefined } } });
    expect((await send(site, sign(site, BODY, { secret: '' }))).status).toBe(401);
    expect((await send(site, sign(site, BODY))).status).toBe(401);
  });

  test('A6 is let in while others guess signatures', async () => {
    const site = await open();
    const wrong = sign(site, BODY, { secret: 'x' });
    const statuses: number[] = [];
    for (let i = 0; i < 25; i += 1) statuses.push((await send(site, wrong)).status);
    expect(statuses.filter((status) => status === 401)).toHaveLength(20);
    expect(statuses.filter((status) => status === 429)).toHaveLength(5);
    expect((await send(site, sign(site, BODY))).status).toBe(200);
    expect((await deliver(site, [], PATHS[1])).status).toBe(200);
  });

  test('counts as known once its signature was verified, however long the decision takes', async () => {
    const decide = Promise.withResolvers<undefined>();
    let undecided = 0;
    const site = await open({
      through: (backend) =>
        replacing(backend, {
          hook: async (...asked) => {
            undecided += 1;
            await decide.promise;
            return backend.hook(...asked);
          },
        }),
    });
    const deliveries: Promise<AdminAnswer>[] = [];
    let refused: AdminAnswer | undefined;
    for (let i = 0; refused === undefined && i < 100; i += 1) {
      const sent = send(site, sign(site, BODY)).then((answer) => {
        if (answer.status !== 200) refused ??= answer;
        return answer;
      });
      deliveries.push(sent);
      await expect.poll(() => undecided > i || refused !== undefined, { interval: 1 }).toBe(true);
    }
    // As many as may be decided at once, which is more than bodies may be read before it is known whose they are.
    expect(undecided).toBeGreaterThan(16);
    expect([...bare(refused!), refused!.headers['retry-after']]).toEqual([503, 'busy', '1']);
    expect((await site.post('/api/v1/admin/pause', { as: 'all', json: REASON })).status).toBe(200);
    decide.resolve(undefined);
    const statuses = (await Promise.all(deliveries)).map(({ status }) => status);
    expect(statuses.filter((status) => status === 200)).toHaveLength(undecided);
  });

  test('H3 bodies that are said to be signed and never come keep out nobody who is known', async () => {
    const site = await open();
    const headers = { ...sign(site, BODY), 'Content-Length': '1000000', Connection: 'keep-alive' };
    const silent = Array.from({ length: 150 }, () => {
      const socket = connect(site.port, '127.0.0.1');
      socket.on('error', () => undefined);
      socket.write(requestOf('POST', PATHS[1], headers));
      return socket;
    });
    try {
      await expect.poll(async () => (await send(site, sign(site, BODY))).status, { timeout: 5000 }).toBe(503);
      const full = await send(site, sign(site, BODY));
      expect([...bare(full), full.headers['retry-after']]).toEqual([503, 'busy', '1']);
      // Nor does one address keep out another.
      const elsewhere = { headers: sign(site, BODY), body: BODY, from: '127.0.0.2' };
      expect((await site.post(PATHS[1], elsewhere)).status).toBe(200);
      expect((await site.post('/api/v1/admin/pause', { as: 'only-pause', json: REASON })).status).toBe(200);
      expect((await site.get('/api/v1/admin/actions', { as: 'only-read' })).status).toBe(200);
      expect((await deliver(site, [])).status).toBe(200);
      expect((await deliver(site, [], PATHS[1])).status).toBe(200);
      expect((await site.get('/metrics')).status).toBe(200);
    } finally {
      for (const socket of silent) socket.destroy();
    }
    await expect.poll(async () => (await send(site, sign(site, BODY))).status, { timeout: 5000 }).toBe(200);
  });

  test('H2 clients that went away before their turn came take no place', async () => {
    const turn = Promise.withResolvers<AdminBackend>();
    let asked = 0;
    const app = express();
    app.use((_request, _response, next) => {
      asked += 1;
      next();
    });
    addAdmin(app, {
      backend: turn.promise,
      clock: new FakeClock(),
      parseJson: (bytes) => JSON.parse(bytes.toString()) as unknown,
      isBodyProblem: (error): error is Error => error instanceof SyntaxError,
      subjectAltNames: () => [],
      clean: (text) => text,
      showAddress: (address) => address,
      parseDurationMs: () => null,
      count: () => undefined,
    });
    const server = createServer(app).listen(0, '127.0.0.1');
    try {
      await once(server, 'listening');
      const { port } = server.address() as AddressInfo;
      // More than may be under way at once.
      const lost = Array.from({ length: 120 }, () => {
        const socket = connect(port, '127.0.0.1');
        socket.on('error', () => undefined);
        socket.write(requestOf('GET', '/api/v1/admin/actions', {}));
        return socket;
      });
      await expect.poll(() => asked, { interval: 1 }).toBe(lost.length);
      for (const socket of lost) socket.destroy();
      const count = (): Promise<number> =>
        new Promise((resolve) => server.getConnections((_error, open) => resolve(open)));
      await expect.poll(count, { interval: 1 }).toBe(0);
      turn.resolve({
        callerOf: () => ({ name: 'all', rights: RIGHTS, interfaces: ['*'] }),
        actions: () => [],
      } as unknown as AdminBackend);
      await settle();
      const { status } = await fetchPlain(`http://127.0.0.1:${port}/api/v1/admin/actions`);
      expect(status).toBe(200);
    } finally {
      server.close();
    }
  });
});
