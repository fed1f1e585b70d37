/** The routes, over real sockets. */
import { connect } from 'node:net';
import { gunzipSync } from 'node:zlib';
import type { RequestHandler } from 'express';
import { afterEach, describe, expect, test } from 'vitest';
import type { Snapshot } from '../../src/model/snapshot.ts';
import { settle } from '../doubles/fake-clock.ts';
import { snapshotOf } from '../metrics/snapshots.ts';
import { SimulatedExporter } from '../metrics/simulated-exporter.ts';
import type { AppParts, RunningApp } from './running-app.ts';
import { startApp } from './running-app.ts';

const running: RunningApp[] = [];
afterEach(async () => {
  await Promise.all(running.splice(0).map((app) => app.close()));
});

async function start(parts?: AppParts): Promise<RunningApp> {
  const app = await startApp(parts);
  running.push(app);
  return app;
}

const TEXT_004 = 'text/plain; version=0.0.4; charset=utf-8';
const PAGE = '# HELP g Ünïcode 😀.\n# TYPE g gauge\ng 1\n';
const pageOf = (text: string) => () => Promise.resolve([Buffer.from(text)]);

describe('the metrics', () => {
  test('are text of the format 0.0.4, not to be kept by anybody on the way', async () => {
    const app = await start({ render: pageOf(PAGE) });
    const { status, headers, text } = await app.get('/metrics');
    expect({ status, text }).toEqual({ status: 200, text: PAGE });
    expect(headers['content-type']).toBe(TEXT_004);
    expect(headers['content-length']).toBe(String(Buffer.byteLength(PAGE)));
    expect(headers['cache-control']).toBe('no-store');
    expect(headers['x-content-type-options']).toBe('nosniff');
    expect(headers['x-powered-by']).toBeUndefined();
    expect(headers['set-cookie']).toBeUndefined();
  });

  test('are the same compressed and plain', async () => {
    const app = await start({ render: pageOf(PAGE.repeat(5000)) });
    const plain = await app.get('/metrics');
    const zipped = await app.get('/metrics', { headers: { 'Accept-Encoding': 'gzip' } });
    expect(plain.headers['content-encoding']).toBeUndefined();
    expect(zipped.headers['content-encoding']).toBe('gzip');
    expect(zipped.headers['content-length']).toBe(String(zipped.body.length));
    expect(zipped.body.length).toBeLessThan(plain.body.length / 10);
    expect(gunzipSync(zipped.body).equals(plain.body)).toBe(true);
    expect(zipped.headers.vary).toBe('Accept, Accept-Encoding');
    expect(plain.headers.vary).toBe('Accept, Accept-Encoding');
  });

  test.each([
    ['', undefined],
    ['identity', undefined],
    ['gzip;q=0', undefined],
    ['br', undefined],
    ['br, deflate', undefined],
    ['gzip;q=0, identity;q=0', undefined],
    ['nonsense;;q=,', undefined],
    ['gzip', 'gzip'],
    ['br, gzip', 'gzip'],
    ['gzip;q=1.0, *;q=0', 'gzip'],
    ['deflate, gzip;q=0.5', 'gzip'],
  ])('to a client that accepts %j are encoded as %s', async (accept, encoding) => {
    const app = await start({ render: pageOf(PAGE) });
    const { status, headers, body } = await app.get('/metrics', { headers: { 'Accept-Encoding': accept } });
    expect(status).toBe(200);
    expect(headers['content-encoding']).toBe(encoding);
    expect((encoding === 'gzip' ? gunzipSync(body) : body).toString()).toBe(PAGE);
  });

  test('of many chunks arrive whole, and their length is told beforehand', async () => {
    const chunks = Array.from({ length: 40 }, (_, i) => Buffer.alloc(256 * 1024, 65 + (i % 26)));
    const app = await start({ render: () => Promise.resolve(chunks) });
    const { headers, body } = await app.get('/metrics');
    expect(headers['content-length']).toBe(String(40 * 256 * 1024));
    expect(body.equals(Buffer.concat(chunks))).toBe(true);
  });

  test('answer HEAD with the same headers and no body', async () => {
    const app = await start({ render: pageOf(PAGE) });
    for (const encoding of ['identity', 'gzip']) {
      const headers = { 'Accept-Encoding': encoding };
      const get = await app.get('/metrics', { headers });
      const head = await app.get('/metrics', { method: 'HEAD', headers });
      expect(head.status).toBe(200);
      expect(head.body.length).toBe(0);
      for (const name of ['content-type', 'content-length', 'content-encoding', 'vary'])
        expect(head.headers[name], name).toBe(get.headers[name]);
    }
  });

  test('stand where --web.telemetry-path says, and nowhere else', async () => {
    const app = await start({ telemetryPath: '/other/path', render: pageOf(PAGE) });
    expect((await app.get('/other/path')).text).toBe(PAGE);
    expect((await app.get('/metrics')).status).toBe(404);
    expect((await app.get('/')).text).toContain('href="./other/path"');
  });

  test.each(['/SD', '/Probe', '/API', '/-/Healthy'])(
    'may stand at %s, and hide no other route',
    async (path) => {
      const app = await start({ telemetryPath: path, render: pageOf(PAGE) });
      expect((await app.get(path)).text).toBe(PAGE);
      for (const other of ['/sd', '/probe?target=x', '/api/v1/status', '/-/healthy']) {
        const { text } = await app.get(other);
        expect(text, other).not.toBe(PAGE);
        expect(text, other).not.toContain('There is no such page');
      }
      expect((await app.get(path.toLowerCase())).text).not.toBe(PAGE);
    },
  );

  test('wait as long as the header of the scraper allows, and as the flag says without one', async () => {
    const waits: number[] = [];
    const app = await start({
      timeoutMs: 7000,
      collect: (waitMs) => {
        waits.push(waitMs);
        return Promise.resolve(snapshotOf());
      },
    });
    const header = 'X-Prometheus-Scrape-Timeout-Seconds';
    await app.get('/metrics', { headers: { [header]: '1' } });
    await app.get('/metrics', { headers: { [header]: 'NaN' } });
    await app.get('/metrics');
    expect(waits).toEqual([900, 7000, 7000]);
  });

  test('L5 are not touched by what a request says: path, query, method and headers', async () => {
    const app = await start({ render: pageOf(PAGE) });
    const answers = await Promise.all([
      app.get('/metrics?a=1&b[c]=2&__proto__[x]=1'),
      app.get('/metrics?%zz'),
      app.get('/metrics', { headers: { 'User-Agent': '"}\\', Accept: 'application/openmetrics-text' } }),
    ]);
    expect(answers.map(({ status, text }) => [status, text])).toEqual(answers.map(() => [200, PAGE]));
  });
});

describe('any other path and method', () => {
  test.each(['/nothing', '/metrics/more', '/-/reloads', '/favicon.ico', '/%', '/%E0%A4%A', '/..%2f..'])(
    '%s is 404 with a hint where the metrics are',
    async (path) => {
      const app = await start();
      const { status, headers, text } = await app.get(path);
      expect(status).toBe(404);
      expect(headers['content-type']).toBe('text/plain; charset=utf-8');
      expect(text).toContain('/metrics');
      expect(text).not.toContain(path === '/metrics/more' ? 'more' : path);
      expect(app.errors).toEqual([]);
    },
  );

  test.each(['/metrics', '/', '/-/healthy', '/-/ready'])(
    'of %s other than GET and HEAD is 405',
    async (path) => {
      const app = await start();
      for (const method of ['POST', 'PUT', 'DELETE', 'OPTIONS', 'PATCH', 'TRACE']) {
        const { status, headers } = await app.get(path, { method });
        expect(status, method).toBe(405);
        expect(headers.allow).toBe('GET, HEAD');
      }
    },
  );

  test('with a body is answered without waiting for the body', async () => {
    const app = await start();
    for (const path of ['/metrics', '/nothing']) {
      const { status } = await app.get(path, { method: 'POST', body: 'x'.repeat(1_000_000) });
      expect([404, 405]).toContain(status);
    }
  });
});

describe('health', () => {
  test('is 200 as soon as the exporter serves', async () => {
    const app = await start({ ready: () => false });
    const { status, text } = await app.get('/-/healthy');
    expect({ status, text }).toEqual({ status: 200, text: 'RRAS Exporter is healthy.\n' });
  });

  test('and readiness is 503 before the first snapshot and 200 after it', async () => {
    const exporter = new SimulatedExporter({ state: 'denied' });
    const { poller } = exporter;
    const app = await start({
      clock: exporter.clock,
      ready: () => poller.ready,
      collect: (waitMs) => poller.collect(waitMs),
    });
    expect((await app.get('/-/ready')).status).toBe(503);
    await app.get('/metrics');
    expect((await app.get('/-/ready')).status).toBe(503);
    exporter.simulator.state = 'running';
    await exporter.clock.advance(60_001);
    await app.get('/metrics');
    const { status, text } = await app.get('/-/ready');
    expect({ status, text }).toEqual({ status: 200, text: 'RRAS Exporter is ready.\n' });
  });

  test('answers HEAD without a body', async () => {
    const app = await start();
    for (const path of ['/-/healthy', '/-/ready', '/']) {
      const { status, body } = await app.get(path, { method: 'HEAD' });
      expect({ status, length: body.length }).toEqual({ status: 200, length: 0 });
    }
  });
});

describe('H1 scrapes at the same time', () => {
  test('share one enumeration and one page: 200 of them, byte for byte', async () => {
    let open = (): void => undefined;
    const gate = new Promise<void>((resolve) => (open = resolve));
    const reads: string[] = [];
    const exporter = new SimulatedExporter({
      reading: (reader) => ({
        async read(source) {
          reads.push(source);
          await gate;
          return reader.read(source);
        },
        reset: () => reader.reset(),
      }),
    });
    let waiting = 0;
    let rendered = 0;
    const app = await start({
      clock: exporter.clock,
      collect: (waitMs) => {
        waiting += 1;
        return exporter.poller.collect(waitMs);
      },
      render: (snapshot) => {
        rendered += 1;
        return Promise.resolve([Buffer.from(exporter.render(snapshot).text)]);
      },
    });
    const answers = Array.from({ length: 200 }, () => app.get('/metrics'));
    while (waiting < 200) await settle();
    open();
    const bodies = await Promise.all(answers);
    expect(reads).toEqual(['server', 'connections', 'ports', 'interfaces']);
    expect(rendered).toBe(1);
    expect(new Set(bodies.map(({ status }) => status))).toEqual(new Set([200]));
    expect(new Set(bodies.map(({ text }) => text)).size).toBe(1);
    expect(bodies[0]!.text).toContain('\nrras_up 1\n');
  });

  test('within --collector.min-interval of the last one are answered from it; later ones read anew', async () => {
    const exporter = new SimulatedExporter();
    const { clock, poller } = exporter;
    const app = await start({ clock, collect: (waitMs) => poller.collect(waitMs) });
    for (const [afterMs, polls] of [
      [0, 1],
      [999, 1],
      [1, 2],
      [15_000, 3],
    ] as const) {
      await clock.advance(afterMs);
      await app.get('/metrics');
      expect(exporter.reports.filter(([source]) => source === 'server').length).toBe(polls);
    }
  });

  test('compress the page once', async () => {
    const app = await start({ render: pageOf(PAGE.repeat(1000)) });
    const headers = { 'Accept-Encoding': 'gzip' };
    const answers = await Promise.all(Array.from({ length: 20 }, () => app.get('/metrics', { headers })));
    expect(new Set(answers.map(({ body }) => body.toString('base64'))).size).toBe(1);
  });
});

describe('more scrapes than --web.max-requests', () => {
  test('H2 are refused at once with 503, and room is made when one ends', async () => {
    const open: (() => void)[] = [];
    const app = await start({
      maxRequests: 2,
      collect: () => new Promise((resolve) => open.push(() => resolve(snapshotOf()))),
    });
    const first = [app.get('/metrics'), app.get('/metrics')];
    while (open.length < 2) await settle();
    const refused = await app.get('/metrics');
    expect(refused.status).toBe(503);
    expect(refused.headers['retry-after']).toBe('1');
    expect(refused.text).toBe('Limit of concurrent requests reached (2), try again later.\n');
    expect((await app.get('/-/healthy')).status).toBe(200);
    expect((await app.get('/')).status).toBe(200);
    open.splice(0).forEach((each) => each());
    expect((await Promise.all(first)).map(({ status }) => status)).toEqual([200, 200]);
    const next = app.get('/metrics');
    while (open.length < 1) await settle();
    open[0]!();
    expect((await next).status).toBe(200);
  });

  test('H2 of clients that went away count no more', async () => {
    let collecting = 0;
    const app = await start({
      maxRequests: 1,
      collect: () => {
        collecting += 1;
        return collecting === 1 ? new Promise<Snapshot>(() => undefined) : Promise.resolve(snapshotOf());
      },
    });
    let leave = (): void => undefined;
    const lost = app.get('/metrics', { onRequest: (request) => (leave = () => request.destroy()) });
    lost.catch(() => undefined);
    while (collecting < 1) await settle();
    leave();
    let { status } = await app.get('/metrics');
    for (let tries = 0; status === 503 && tries < 1000; tries += 1) ({ status } = await app.get('/metrics'));
    expect(status).toBe(200);
    await expect(lost).rejects.toThrow();
  });

  test('H2 of clients that went away before their turn came count neither', async () => {
    const held: (() => void)[] = [];
    let holds = true;
    const pass: RequestHandler = (_request, _response, next) => next();
    const basicAuth: RequestHandler = (_request, response, next) => {
      if (holds) response.once('close', () => held.push(next));
      else next();
    };
    const asksForPassword = (): Promise<boolean> => Promise.resolve(false);
    const security = { headers: pass, limit: pass, basicAuth, asksForPassword };
    const app = await start({ maxRequests: 1, security });
    for (let i = 0; i < 3; i += 1) {
      const lost = app.get('/metrics', { onRequest: (request) => setTimeout(() => request.destroy(), 10) });
      await expect(lost).rejects.toThrow();
    }
    while (held.length < 3) await settle();
    held.forEach((next) => next());
    holds = false;
    expect((await app.get('/metrics')).status).toBe(200);
    expect(app.errors).toEqual([]);
  });

  test('are taken without a limit where it is 0', async () => {
    const app = await start({ maxRequests: 0 });
    const answers = await Promise.all(Array.from({ length: 60 }, () => app.get('/metrics')));
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200]));
  });
});

describe('H8 a defect of ours', () => {
  test('X1 in a poll gives an answer without details, a line in the log, and the next scrape works', async () => {
    let broken = true;
    const app = await start({
      render: pageOf(PAGE),
      collect: () =>
        broken ? Promise.reject(new TypeError('secret detail')) : Promise.resolve(snapshotOf()),
    });
    const { status, headers, text } = await app.get('/metrics');
    expect({ status, text }).toEqual({ status: 500, text: 'Internal error; the log says more.\n' });
    expect(headers['content-type']).toBe('text/plain; charset=utf-8');
    expect(app.errors.map(({ message }) => message)).toEqual(['request failed']);
    expect(String(app.errors[0]!.fields?.['error'])).toContain('secret detail');
    broken = false;
    expect((await app.get('/metrics')).text).toBe(PAGE);
  });

  test('X1 that is thrown, not rejected, gives an answer too', async () => {
    const app = await start({
      collect: () => {
        throw new TypeError('thrown');
      },
      api: {
        status: () => {
          throw new TypeError('thrown');
        },
        connections: () => [],
        interfaces: () => [],
      },
      ready: () => {
        throw new TypeError('thrown');
      },
    });
    for (const path of ['/metrics', '/', '/-/ready']) expect((await app.get(path)).status, path).toBe(500);
    expect((await app.get('/-/healthy')).status).toBe(200);
  });

  test('X1 in one rendering is not kept for the scrapes after it', async () => {
    let broken = true;
    const app = await start({
      render: () => (broken ? Promise.reject(new Error('once')) : Promise.resolve([Buffer.from(PAGE)])),
    });
    expect((await app.get('/metrics')).status).toBe(500);
    broken = false;
    expect((await app.get('/metrics')).text).toBe(PAGE);
  });

  test('X1 of a client that leaves in the middle of a large page harms nobody', async () => {
    const unhandled: unknown[] = [];
    const note = (error: unknown): void => void unhandled.push(error);
    process.on('unhandledRejection', note);
    try {
      const chunks = Array.from({ length: 64 }, () => Buffer.alloc(256 * 1024, 10));
      const app = await start({ render: () => Promise.resolve(chunks), maxRequests: 8 });
      const { port, hostname } = new URL(app.url);
      for (let round = 0; round < 8; round += 1) {
        await new Promise<void>((resolve) => {
          const socket = connect({ host: hostname, port: Number(port) }, () => {
            socket.write('GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n');
          });
          // At once, after the head, and in the middle of the body.
          if (round % 3 === 0) setImmediate(() => socket.destroy());
          else socket.once('data', () => (round % 3 === 1 ? socket.resetAndDestroy() : socket.destroy()));
          socket.on('error', () => undefined);
          socket.on('close', () => resolve());
        });
      }
      const { status, body } = await app.get('/metrics');
      expect({ status, length: body.length }).toEqual({ status: 200, length: 64 * 256 * 1024 });
      await settle();
      expect(unhandled).toEqual([]);
      expect(app.errors).toEqual([]);
    } finally {
      process.off('unhandledRejection', note);
    }
  });
});

describe('a scrape of a server that hangs', () => {
  test('N1 is answered at its deadline with the last good snapshot', async () => {
    let hang = false;
    const exporter = new SimulatedExporter({
      reading: (reader) => ({
        read: (source) => (hang ? new Promise(() => undefined) : reader.read(source)),
        reset: () => reader.reset(),
      }),
    });
    const { clock, poller } = exporter;
    const app = await start({
      clock,
      collect: (waitMs) => poller.collect(waitMs),
      render: (snapshot) => Promise.resolve([Buffer.from(exporter.render(snapshot).text)]),
    });
    const good = await app.get('/metrics');
    hang = true;
    await clock.advance(15_000);
    const headers = { 'X-Prometheus-Scrape-Timeout-Seconds': '5' };
    let answered = false;
    const late = app.get('/metrics', { headers }).finally(() => (answered = true));
    while (clock.nextDueMs === null) await settle();
    await clock.advance(4499);
    await settle();
    expect(answered).toBe(false);
    await clock.advance(1);
    const { status, text } = await late;
    expect(status).toBe(200);
    expect(text).toBe(good.text);
  });
});
