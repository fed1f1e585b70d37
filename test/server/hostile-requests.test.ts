/** Requests that no scraper sends, byte by byte: what each comes to, and that the next client is served. */
import type { Socket } from 'node:net';
import { connect } from 'node:net';
import type { RequestHandler } from 'express';
import { afterEach, describe, expect, test } from 'vitest';
import { settle } from '../doubles/fake-clock.ts';
import { snapshotOf } from '../metrics/snapshots.ts';
import type { AppParts, RunningApp } from './running-app.ts';
import { startApp } from './running-app.ts';

const PAGE = 'rras_up 1\n';
const apps: RunningApp[] = [];
const sockets: Socket[] = [];
afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  await Promise.all(apps.splice(0).map((app) => app.close()));
});

async function start(parts: AppParts = {}): Promise<RunningApp> {
  const app = await startApp({ render: () => Promise.resolve([Buffer.from(PAGE)]), ...parts });
  apps.push(app);
  return app;
}

function dial({ url }: RunningApp): Socket {
  const socket = connect(Number(new URL(url).port), '127.0.0.1');
  sockets.push(socket);
  return socket.on('error', () => undefined);
}

const ends = (socket: Socket): Promise<void> =>
  new Promise((resolve) => socket.resume().once('close', () => resolve()));

/** All that the server says until it closes the connection, or to the end of the answer to a request that follows. */
async function exchange(app: RunningApp, bytes: string): Promise<string> {
  const socket = dial(app);
  let said = '';
  socket.setEncoding('latin1').on('data', (text: string) => {
    said += text;
    if (said.includes('RRAS Exporter is healthy.')) socket.end();
  });
  socket.write(`${bytes}GET /-/healthy HTTP/1.1\r\nHost: last\r\n\r\n`, 'latin1');
  await ends(socket);
  return said;
}

const statusesOf = (said: string): number[] =>
  [...said.matchAll(/^HTTP\/1\.1 (\d+)/gm)].map(([, status]) => Number(status));

const HOST = 'Host: x\r\n';
const CHUNKED = `${HOST}Transfer-Encoding: chunked\r\n`;

describe('H4 a request', () => {
  // The first status is its own; a connection that stays open answers the next request with 200.
  test.each<[what: string, bytes: string, statuses: readonly number[]]>([
    ['to trace', `TRACE /metrics HTTP/1.1\r\n${HOST}\r\n`, [405, 200]],
    ['to connect to another', `CONNECT example.net:443 HTTP/1.1\r\n${HOST}\r\n`, []],
    [
      'to speak WebSocket is answered as if it did not ask',
      `GET /-/ready HTTP/1.1\r\n${HOST}Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n`,
      [200],
    ],
    [
      'to speak HTTP/2 in clear is answered as if it did not ask',
      `GET /-/ready HTTP/1.1\r\n${HOST}Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n`,
      [200],
    ],
    ['of HTTP/2 in clear', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', [400]],
    ['for the URL of another site', `GET http://evil.example/none HTTP/1.1\r\n${HOST}\r\n`, [404, 200]],
    ['for no path', `OPTIONS * HTTP/1.1\r\n${HOST}\r\n`, [404, 200]],
    ['for a path that begins as a host', `GET //evil.example/metrics HTTP/1.1\r\n${HOST}\r\n`, [404, 200]],
    ['for a path with dots', `GET /x/../metrics HTTP/1.1\r\n${HOST}\r\n`, [404, 200]],
    ['with a NUL in its path', `GET /metrics\0 HTTP/1.1\r\n${HOST}\r\n`, [400]],
    ['without a host', 'GET /metrics HTTP/1.1\r\n\r\n', [400]],
    ['with two hosts', `GET /metrics HTTP/1.1\r\n${HOST}Host: y\r\n\r\n`, [400, 200]],
    ['with two hosts that are the same', `GET /metrics HTTP/1.1\r\n${HOST}${HOST}\r\n`, [400, 200]],
    ['with a path of 17,000 bytes', `GET /${'a'.repeat(17_000)} HTTP/1.1\r\n${HOST}\r\n`, [431]],
    ['with a header of 17,000 bytes', `GET / HTTP/1.1\r\n${HOST}X: ${'a'.repeat(17_000)}\r\n\r\n`, [431]],
    ['with a folded header', `GET / HTTP/1.1\r\n${HOST}X: a\r\n b\r\n\r\n`, [400]],
    ['with a NUL in a header', `GET / HTTP/1.1\r\n${HOST}X: a\0b\r\n\r\n`, [400]],
    ['of an unknown method', `BREW /metrics HTTP/1.1\r\n${HOST}\r\n`, [400]],
    ['that expects what nobody knows', `GET /-/ready HTTP/1.1\r\n${HOST}Expect: x\r\n\r\n`, [417, 200]],
    ['that asks first', `GET /-/ready HTTP/1.1\r\n${HOST}Expect: 100-continue\r\n\r\n`, [100, 200, 200]],
    [
      'with a body that nobody reads',
      `GET /-/ready HTTP/1.1\r\n${HOST}Content-Length: 5\r\n\r\nhello`,
      [200, 200],
    ],
    ['with a chunk of no size', `POST /metrics HTTP/1.1\r\n${CHUNKED}\r\nx\r\n`, [405]],
    [
      'with more after the size of a chunk than a header may have',
      `POST /metrics HTTP/1.1\r\n${CHUNKED}\r\n1;${'a'.repeat(17_000)}\r\nx\r\n0\r\n\r\n`,
      [405],
    ],
    [
      'with trailers that are longer than headers may be',
      `POST /metrics HTTP/1.1\r\n${CHUNKED}\r\n0\r\n${'T: x\r\n'.repeat(5000)}\r\n`,
      [405, 431],
    ],
  ])('%s', async (_, bytes, statuses) => {
    let collecting = 0;
    const app = await start({
      collect: () => {
        collecting += 1;
        return Promise.resolve(snapshotOf());
      },
    });
    expect(statusesOf(await exchange(app, bytes))).toEqual(statuses);
    expect(collecting).toBe(0);
    expect(app.errors).toEqual([]);
    expect((await app.get('/metrics')).text).toBe(PAGE);
  });
});

describe('H2 thousands of requests at once on a connection', () => {
  test(
    'end it, keep nobody else waiting, and take no more than --web.max-requests',
    { retry: 2 },
    async () => {
      let now = 0;
      let most = 0;
      const app = await start({
        maxRequests: 10,
        collect: async () => {
          now += 1;
          most = Math.max(most, now);
          await new Promise((resolve) => setImmediate(resolve));
          now -= 1;
          return snapshotOf();
        },
      });
      const flood = Array.from({ length: 3 }, () => {
        const socket = dial(app);
        socket.write(`GET /metrics HTTP/1.1\r\n${HOST}\r\n`.repeat(5000));
        return ends(socket);
      });
      for (let round = 0; round < 10; round += 1) {
        const started = performance.now();
        expect((await app.get('/-/healthy')).status).toBe(200);
        expect(performance.now() - started).toBeLessThan(1000);
      }
      expect(most).toBeLessThanOrEqual(10);
      await Promise.all(flood);
      await expect.poll(async () => (await app.get('/metrics')).status).toBe(200);
      expect(app.errors).toEqual([]);
    },
  );
});

test('requests that do not wait for the answers before them are answered in their order', async () => {
  const app = await start();
  const said = await exchange(
    app,
    ['/metrics', '/none', '/-/ready'].map((path) => `GET ${path} HTTP/1.1\r\n${HOST}\r\n`).join(''),
  );
  expect(statusesOf(said)).toEqual([200, 404, 200, 200]);
});

test('the deadline of an answer that waits for those before it begins when its turn comes', async () => {
  let answer = (): void => undefined;
  const app = await start({
    collect: () => new Promise((resolve) => (answer = () => resolve(snapshotOf()))),
  });
  const said = exchange(
    app,
    `GET /metrics HTTP/1.1\r\n${HOST}\r\nGET /none HTTP/1.1\r\n${HOST}\r\nGET /-/ready HTTP/1.1\r\n${HOST}\r\n`,
  );
  // By then the others are written, but for their turn.
  for (let round = 0; round < 10; round += 1) await app.get('/-/ready');
  await app.clock.advance(60_000);
  answer();
  expect(statusesOf(await said)).toEqual([200, 404, 200, 200]);
  expect(app.clock.pending).toBe(0);
});

test('H2 who does not read refusals is cut off, too, once they fill what lies between', async () => {
  let answered = 0;
  const pass: RequestHandler = (_request, _response, next) => next();
  const headers: RequestHandler = (_request, response, next) => {
    response.once('close', () => (answered += 1));
    next();
  };
  // A refusal tells where the metrics are.
  const telemetryPath = `/${'m'.repeat(20_000)}`;
  const asksForPassword = (): Promise<boolean> => Promise.resolve(false);
  const app = await start({
    telemetryPath,
    security: { headers, limit: pass, basicAuth: pass, asksForPassword },
  });
  const socket = dial(app);
  let asked = 0;
  // One after the other, until the last is stuck.
  for (let turns = 0; turns < 1000; turns = app.clock.pending > 0 ? turns + 1 : 0) {
    if (answered === asked) {
      socket.write(`GET /none HTTP/1.1\r\n${HOST}\r\n`);
      asked += 1;
    }
    await settle();
  }
  let said = '';
  const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()));
  await app.clock.advance(10_000);
  socket.setEncoding('latin1').on('data', (text: string) => (said += text));
  await closed;
  expect(said.split('m.\n').length - 1).toBeLessThan(asked);
  expect((await app.get('/-/healthy')).status).toBe(200);
  expect(app.clock.pending).toBe(0);
});

describe('H3 slow senders', () => {
  test('500 are closed within 6 s, bodies within 11 s, and scrapes work meanwhile', async () => {
    const app = await start();
    const started = performance.now();
    const closedAfter: { what: string; ms: number }[] = [];
    const timers: NodeJS.Timeout[] = [];
    const head = `GET /metrics HTTP/1.1\r\n${HOST}X-Slow: `;
    const all = Array.from({ length: 500 }, async (_, i) => {
      const socket = dial(app);
      const what = (['silence', 'headers', 'body'] as const)[i % 3]!;
      if (what === 'body') socket.write(`POST /metrics HTTP/1.1\r\n${HOST}Content-Length: 1000\r\n\r\n`);
      let sent = 0;
      if (what !== 'silence') timers.push(setInterval(() => socket.write(head[sent++ % head.length]!), 250));
      await ends(socket);
      closedAfter.push({ what, ms: performance.now() - started });
    });
    for (let round = 0; round < 10; round += 1) expect((await app.get('/metrics')).text).toBe(PAGE);
    await Promise.all(all);
    timers.forEach((timer) => clearInterval(timer));
    const latest = (...kinds: string[]): number =>
      Math.max(...closedAfter.filter(({ what }) => kinds.includes(what)).map(({ ms }) => ms));
    expect(latest('silence', 'headers')).toBeLessThan(6000);
    expect(latest('body')).toBeLessThan(11_000);
    expect((await app.get('/metrics')).text).toBe(PAGE);
  });

  test('take no more than 1,024 connections: one more is closed at once, and there is room when they end', async () => {
    const app = await start();
    const held: Socket[] = [];
    // One that was answered is one that the server has taken; a burst may wait for long until it is.
    const hold = async (): Promise<void> => {
      const socket = dial(app);
      held.push(socket);
      socket.write(`GET /-/healthy HTTP/1.1\r\n${HOST}\r\n`);
      await new Promise<void>((resolve, reject) => {
        socket.once('data', () => resolve());
        socket.once('close', () => reject(new Error('closed without an answer')));
      });
    };
    while (held.length < 1024) await Promise.all(Array.from({ length: 64 }, hold));
    const asked = performance.now();
    await ends(dial(app));
    // Sooner than one that says nothing is closed.
    expect(performance.now() - asked).toBeLessThan(4000);
    expect(held.filter(({ destroyed }) => destroyed).length).toBe(0);
    for (const socket of held) socket.destroy();
    await expect.poll(async () => (await app.get('/metrics').catch(() => ({ status: 0 }))).status).toBe(200);
  });
});
