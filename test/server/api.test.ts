/** GET /api/v1: envelope, pages, and what is refused. */
import { connect } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import type { ApiConnection, ApiData } from '../../src/server/api.ts';
import type { RunningApp } from './running-app.ts';
import { startApp } from './running-app.ts';

const connections = Array.from({ length: 25 }, (_, i) => ({
  connection: i.toString(16).padStart(16, '0'),
  user: `user ${i}`,
})) as unknown as ApiConnection[];
const api: ApiData = {
  status: () => ({ up: true }) as unknown as ReturnType<ApiData['status']>,
  connections: () => connections,
  interfaces: () => [],
};

let app: RunningApp | undefined;
afterEach(async () => {
  await app?.close();
  app = undefined;
});
const get = async (path: string, method = 'GET') => {
  app ??= await startApp({ api });
  const { status, headers, text } = await app.get(path, { method });
  return { status, headers, body: text === '' ? undefined : (JSON.parse(text) as unknown) };
};

describe('the API', () => {
  test('answers in the envelope of Prometheus, not to be kept', async () => {
    const { status, headers, body } = await get('/api/v1/status');
    expect({ status, body }).toEqual({ status: 200, body: { status: 'success', data: { up: true } } });
    expect(headers['content-type']).toBe('application/json; charset=utf-8');
    expect(headers['cache-control']).toBe('no-store');
  });

  test('pages give every item once, in order, and the last one has no cursor', async () => {
    const seen: string[] = [];
    let cursor: string | undefined = '';
    for (let pages = 0; cursor !== undefined; pages += 1) {
      expect(pages).toBeLessThan(10);
      const { body } = await get(`/api/v1/connections?limit=10&cursor=${cursor}`);
      const { data } = body as { data: { items: ApiConnection[]; nextCursor?: string } };
      seen.push(...data.items.map(({ connection }) => connection));
      cursor = data.nextCursor;
    }
    expect(seen).toEqual(connections.map(({ connection }) => connection));
  });

  test('a cursor beyond the end gives an empty page', async () => {
    expect((await get('/api/v1/connections?cursor=zzzz')).body).toEqual({
      status: 'success',
      data: { items: [] },
    });
    expect((await get('/api/v1/interfaces')).body).toEqual({ status: 'success', data: { items: [] } });
  });

  test.each([
    '/api/v1/connections?limit=0',
    '/api/v1/connections?limit=10001',
    '/api/v1/connections?limit=ten',
    '/api/v1/connections?limit=1&limit=2',
    '/api/v1/connections?cursor=a&cursor=b',
    `/api/v1/connections?cursor=${'x'.repeat(1025)}`,
    '/api/v1/interfaces?offset=3',
    '/api/v1/connections?__proto__=1',
  ])('%s is 400 and told why', async (path) => {
    const { status, body } = await get(path);
    expect(status).toBe(400);
    expect(body).toMatchObject({
      status: 'error',
      errorType: 'bad_data',
      error: expect.stringMatching(/limit|cursor/) as string,
    });
  });

  test.each(['/api', '/api/v1', '/api/v1/nothing', '/api/v2/status'])(
    '%s is 404 in the envelope',
    async (path) => {
      expect(await get(path)).toMatchObject({
        status: 404,
        body: { status: 'error', errorType: 'not_found' },
      });
    },
  );

  test('other methods are 405', async () => {
    const { status, headers } = await get('/api/v1/status', 'POST');
    expect({ status, allow: headers.allow }).toEqual({ status: 405, allow: 'GET, HEAD' });
  });
});

/** Two clients that ask and do not read, and what others that ask for `beside` are answered. */
function silentReaders({ url, get }: RunningApp, path: string, beside = path) {
  const silent = [1, 2].map(() => {
    const socket = connect(Number(new URL(url).port), '127.0.0.1');
    socket.pause();
    socket.on('error', () => undefined);
    socket.write(`GET ${path} HTTP/1.1\r\nHost: localhost\r\n\r\n`);
    return socket;
  });
  const closed = silent.map((socket) => new Promise((resolve) => socket.once('close', resolve)));
  const statusOf = async (): Promise<number> => (await get(beside, { method: 'HEAD' })).status;
  return { silent, closed, statusOf };
}

test('H2 readers that do not read are cut off, and make room for others', async () => {
  const page = Buffer.alloc(64 * 1024 * 1024, 0x23);
  app = await startApp({ maxRequests: 2, render: () => Promise.resolve([page]) });
  const { silent, closed, statusOf } = silentReaders(app, '/metrics');
  await expect.poll(statusOf, { timeout: 5000 }).toBe(503);
  // The deadline of each counts from when its page is there.
  await expect.poll(() => app!.clock.pending, { timeout: 10_000 }).toBeGreaterThanOrEqual(2);
  await app.clock.advance(10_000);
  for (const socket of silent) socket.resume();
  await Promise.all(closed);
  await expect.poll(statusOf, { timeout: 5000 }).toBe(200);
});

test('H2 readers of the API that do not read are cut off as well, and take no place of a scrape', async () => {
  const many = Array.from({ length: 10_000 }, (_, i) => ({ connection: String(i), user: 'x'.repeat(4096) }));
  app = await startApp({
    maxRequests: 2,
    api: { ...api, connections: () => many as unknown as ApiConnection[] },
  });
  const { silent, closed, statusOf } = silentReaders(
    app,
    '/api/v1/connections?limit=10000',
    '/api/v1/status',
  );
  await expect.poll(statusOf, { timeout: 5000 }).toBe(503);
  expect((await app.get('/metrics')).status).toBe(200);
  await app.clock.advance(10_000);
  for (const socket of silent) socket.resume();
  await Promise.all(closed);
  await expect.poll(statusOf, { timeout: 5000 }).toBe(200);
});
