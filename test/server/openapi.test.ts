/** The OpenAPI document: valid, complete, and true of what the exporter takes and answers. */
import express from 'express';
import { afterEach, describe, expect, test } from 'vitest';
import { alertmanagerBody, grafanaBody } from '../../src/admin/hooks/alerts.ts';
import { addAdmin } from '../../src/server/admin.ts';
import { addApi } from '../../src/server/api.ts';
import { openApiDocument } from '../../src/server/openapi.ts';
import { alertOn } from '../admin/exporter-life.ts';
import { FakeClock } from '../doubles/fake-clock.ts';
import { ALERTMANAGER, GRAFANA } from '../fixtures/hooks/payloads.ts';
import { ENDPOINT, idsOf, notificationOf, REASON, reconnect } from './admin-routes.ts';
import type { AdminSite, AdminSiteOptions } from './admin-site.ts';
import { AdminSites } from './admin-site.ts';
import { ApiDocument } from './api-document.ts';

const sites = new AdminSites();
const open = (options?: AdminSiteOptions): Promise<AdminSite> => sites.open(options);
afterEach(() => sites.close());

const hooks = { alertmanager: alertmanagerBody, grafana: grafanaBody };
const documentOf = (): ApiDocument =>
  new ApiDocument(JSON.parse(JSON.stringify(openApiDocument({ version: '1.2.3', hooks }))));

/** The contract's section 2, under /api. */
const CONTRACT = [
  'get /api/v1/status',
  'get /api/v1/connections',
  'get /api/v1/interfaces',
  'get /api/v1/openapi.json',
  'post /api/v1/admin/interfaces/{name}/reconnect',
  'post /api/v1/admin/interfaces/{name}/disconnect',
  'post /api/v1/admin/interfaces/{name}/reset',
  'post /api/v1/admin/connections/{connection}/endpoint',
  'post /api/v1/admin/connections/{connection}/disconnect',
  'get /api/v1/admin/actions',
  'get /api/v1/admin/actions/{id}',
  'post /api/v1/admin/pause',
  'post /api/v1/admin/resume',
  'post /api/v1/hooks/alertmanager',
  'post /api/v1/hooks/grafana',
].sort();

/** What Express was told, as `get /path/{parameter}`. */
function registered(): string[] {
  const app = express();
  const never = (): never => {
    throw new Error('nothing is asked for here');
  };
  addAdmin(app, {
    backend: new Promise(() => undefined),
    clock: new FakeClock(),
    parseJson: never,
    isBodyProblem: (error): error is Error => error instanceof Error,
    subjectAltNames: never,
    clean: never,
    showAddress: never,
    parseDurationMs: never,
    count: never,
  });
  addApi(app, never, {});
  const found: string[] = [];
  for (const { route } of app.router.stack) {
    // Those of more than one method are there to say which are allowed.
    if (route?.stack.length !== 1) continue;
    for (const { method } of route.stack) {
      for (const path of [route.path].flat()) found.push(`${method} ${path.replace(/:(\w+)/g, '{$1}')}`);
    }
  }
  return found.sort();
}

describe('the document', () => {
  test('is OpenAPI 3.1, and has no key that the specification does not know', () => {
    const { content } = documentOf();
    expect(content.openapi).toBe('3.1.0');
    expect(content.info.version).toBe('1.2.3');
  });

  test('describes the routes of the contract, all that are there, and no others', () => {
    expect(
      documentOf()
        .routes.map(({ method, path }) => `${method} ${path}`)
        .sort(),
    ).toEqual(CONTRACT);
    expect(registered()).toEqual(CONTRACT);
  });

  test('has only references that lead somewhere, and uses all that it defines', () => {
    const document = documentOf();
    const references = document.references();
    expect(references.length).toBeGreaterThan(50);
    for (const each of references) expect(() => document.resolve(each)).not.toThrow();
    const { schemas = {}, headers = {}, responses = {} } = document.content.components;
    const defined = Object.entries({ schemas, headers, responses }).flatMap(([kind, parts]) =>
      Object.keys(parts).map((name) => `#/components/${kind}/${name}`),
    );
    expect([...new Set(references)].sort()).toEqual(defined.sort());
  });

  test('has schemas that can be read, each of them', () => {
    const document = documentOf();
    for (const [name, schema] of Object.entries(document.content.components.schemas ?? {})) {
      expect(document.mismatch(schema, Symbol('no JSON')), name).toBeDefined();
    }
  });

  test('gives every operation an id of its own, a tag and security that are defined', () => {
    const { routes, content } = documentOf();
    const ids = routes.map(({ operation }) => operation.operationId);
    expect(new Set(ids).size).toBe(routes.length);
    const tags = content.tags.map(({ name }) => name);
    const schemes = Object.keys(content.components.securitySchemes);
    for (const { path, operation } of routes) {
      expect(tags).toContain(operation.tags[0]);
      const isGuarded = /^\/api\/v1\/(?:admin|hooks)\//.test(path);
      expect((operation.security ?? []).length > 0, path).toBe(isGuarded);
      for (const scheme of operation.security ?? []) {
        for (const name of Object.keys(scheme)) expect(schemes).toContain(name);
      }
    }
  });

  test('declares every parameter of a path, as required, and no other', () => {
    for (const { path, operation } of documentOf().routes) {
      const inPath = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name);
      const declared = (operation.parameters ?? []).filter(({ in: where }) => where === 'path');
      expect(declared.map(({ name }) => name)).toEqual(inPath);
      for (const { required } of declared) expect(required).toBe(true);
      const all = (operation.parameters ?? []).map(({ name, in: where }) => `${where} ${name}`);
      expect(new Set(all).size).toBe(all.length);
    }
  });

  test('lets a server be chosen on every route but that of the document, and says what it is without one', () => {
    const chosen = documentOf().routes.filter(({ operation }) => {
      const of = (operation.parameters ?? []).filter(({ name }) => name === 'server');
      if (of.length > 0) {
        expect(of).toMatchObject([
          {
            in: 'query',
            description: expect.stringContaining('; without it: ') as string,
            schema: { type: 'string' },
          },
        ]);
        expect(of[0]).not.toHaveProperty('required');
        expect(operation.responses).toHaveProperty('404');
      }
      return of.length > 0;
    });
    expect(chosen.map(({ method, path }) => `${method} ${path}`).sort()).toEqual(
      CONTRACT.filter((route) => route !== 'get /api/v1/openapi.json'),
    );
  });

  test('has a success and a 405 for every operation, and a body for every POST', () => {
    const document = documentOf();
    for (const route of document.routes) {
      expect(document.responseOf(route, 200)?.content, route.path).toBeDefined();
      expect(document.responseOf(route, 405)?.headers, route.path).toHaveProperty('Allow');
      expect(route.operation.requestBody !== undefined, route.path).toBe(route.method === 'post');
    }
  });

  test('is what the exporter serves', async () => {
    const site = await open();
    const { status, headers, text } = await site.get('/api/v1/openapi.json');
    expect({ status, type: headers['content-type'] }).toEqual({
      status: 200,
      type: 'application/json; charset=utf-8',
    });
    expect(JSON.parse(text)).toEqual(documentOf().content);
  });
});

describe('answers are as the document says', () => {
  // The site refuses every answer that is not.
  test.each(['running', 'stopped', 'lan_only', 'denied'] as const)(
    'of a server that is %s',
    async (state) => {
      const site = await open({ world: { state } });
      for (const path of ['status', 'connections', 'connections?limit=2', 'interfaces', 'openapi.json']) {
        expect((await site.get(`/api/v1/${path}`)).status).toBe(200);
      }
      for (const path of ['connections?limit=0', 'interfaces?x=y']) {
        expect((await site.get(`/api/v1/${path}`)).status).toBe(400);
      }
      for (const path of ['status', 'connections', 'interfaces']) {
        expect((await site.get(`/api/v1/${path}?server=vpn7`)).status).toBe(404);
      }
      for (const path of ['status', 'connections', 'interfaces', 'openapi.json']) {
        expect((await site.post(`/api/v1/${path}`)).status).toBe(405);
      }
      const alerts = [alertOn('Site-Lisboa'), alertOn('Site-Berlin'), { no: 'alert' }];
      await site.post('/api/v1/hooks/alertmanager', { as: 'all', json: notificationOf(alerts) });
      await reconnect(site, 'Site-Madrid');
      await site.pass(90_000);
      for (const query of ['', '?limit=1']) {
        expect((await site.get(`/api/v1/admin/actions${query}`, { as: 'all' })).status).toBe(200);
      }
    },
  );

  test('and one that is not so would be seen', async () => {
    const site = await open();
    const right = await site.get('/api/v1/status');
    const object = (text: string, more: object) =>
      JSON.stringify({ ...(JSON.parse(text) as object), ...more });
    const objectionTo = (changes: object, path = '/api/v1/status', method = 'GET') =>
      site.document.objectionTo(method, path, { ...right, ...changes });
    expect(objectionTo({})).toBeUndefined();
    expect(objectionTo({ status: 410 })).toContain('not among the responses');
    expect(objectionTo({ status: 405 })).toContain('status');
    expect(objectionTo({ text: object(right.text, { more: 1 }) })).toContain('more');
    expect(objectionTo({ text: object(right.text, { data: { up: true } }) })).toContain('data.version');
    expect(objectionTo({ headers: { 'content-type': 'text/plain' } })).toContain('text/plain');
    expect(objectionTo({ headers: { ...right.headers, location: '/' } })).toContain('location');
    expect(objectionTo({}, '/api/v1/interfaces')).toContain('items');
    expect(objectionTo({}, '/api/v1/admin/actions/x')).toContain('data');
  });
});

describe('a body', () => {
  /** What may be sent where: the server and the document agree on each of them. */
  const REASONS = [
    {},
    { reason: '' },
    { reason: 'x'.repeat(500) },
    { reason: 'x'.repeat(501) },
    { reason: 1 },
  ];
  const BODIES: Readonly<Record<string, readonly object[]>> = {
    '/api/v1/admin/interfaces/{name}/reconnect': [
      REASON,
      { ...REASON, force: true, override: ['cooldown', 'breaker', 'min_healthy'] },
      { ...REASON, force: 'yes' },
      { ...REASON, override: ['busy'] },
      { ...REASON, more: 1 },
    ],
    '/api/v1/admin/interfaces/{name}/disconnect': [
      REASON,
      { ...REASON, force: true },
      { ...REASON, override: [] },
    ],
    '/api/v1/admin/interfaces/{name}/reset': [REASON, { ...REASON, override: [] }],
    '/api/v1/admin/connections/{connection}/endpoint': [
      ENDPOINT,
      { ...ENDPOINT, localAddress: '2001:db8::1', remoteAddress: '2001:db8::2' },
      { ...ENDPOINT, interfaceIndex: 0 },
      { ...ENDPOINT, interfaceIndex: 0xffff_ffff },
      { ...ENDPOINT, interfaceIndex: 2 ** 32 },
      { ...ENDPOINT, remoteAddress: 'vpn1.example.net' },
      { ...ENDPOINT, remoteAddress: '203.0.113.256' },
      REASON,
    ],
    '/api/v1/admin/connections/{connection}/disconnect': [REASON, { ...REASON, override: ['cooldown'] }],
    '/api/v1/admin/pause': [
      REASON,
      { ...REASON, expiresIn: 90 },
      { ...REASON, expiresIn: '1h30m' },
      { ...REASON, expiresIn: 0 },
      { ...REASON, expiresIn: 2_592_001 },
      { ...REASON, expiresIn: 'soon' },
    ],
    '/api/v1/admin/resume': [REASON, { ...REASON, expiresIn: 90 }],
    '/api/v1/hooks/alertmanager': [
      ALERTMANAGER,
      notificationOf([]),
      notificationOf([], '1'),
      { ...notificationOf([]), alerts: {} },
      {},
    ],
    '/api/v1/hooks/grafana': [
      GRAFANA,
      notificationOf([], '1'),
      { ...notificationOf([], '1'), alerts: 1 },
      {},
    ],
  };

  test.each(Object.entries(BODIES))(
    'for %s is taken if it is of the schema, and else refused',
    async (path, bodies) => {
      const site = await open();
      const { ikev2 } = await idsOf(site);
      const target = path.replace('{name}', 'Site-Nowhere').replace('{connection}', ikev2);
      const route = site.document.routes.find((each) => each.method === 'post' && each.path === path);
      const schema = route?.operation.requestBody?.content['application/json'].schema;
      const verdicts = new Set<boolean>();
      for (const json of path.includes('/hooks/') ? bodies : [...bodies, ...REASONS]) {
        const isOfSchema = site.document.mismatch(schema!, json) === undefined;
        const { status } = await site.post(target, { as: 'all', json });
        expect({ json, isTaken: status !== 400 }).toEqual({ json, isTaken: isOfSchema });
        verdicts.add(isOfSchema);
      }
      expect(verdicts.size).toBe(2);
    },
  );

  test('is described for every route that takes one', () => {
    const posts = documentOf().routes.filter(({ method }) => method === 'post');
    expect(Object.keys(BODIES).sort()).toEqual(posts.map(({ path }) => path).sort());
  });
});
