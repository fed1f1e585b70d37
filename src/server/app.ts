/** The routes. Every request gets an answer: a server that cannot be read shows in the metrics, never as an error here. */
import { once } from 'node:events';
import type { Express, NextFunction, Request, RequestHandler, Response } from 'express';
import express from 'express';
import type { Clock } from '../model/clock.ts';
import type { Snapshot } from '../model/snapshot.ts';
import type { Logger } from '../model/logger.ts';
import type { AdminRoutes } from './admin.ts';
import { addAdmin } from './admin.ts';
import type { ApiData } from './api.ts';
import { addApi } from './api.ts';
import { LANDING_CSP, landingPage } from './landing-page.ts';
import type { PageCache, PageFormat } from './pages.ts';
import { scrapeWaitMs } from './scrape-deadline.ts';

export interface AppOptions {
  readonly telemetryPath: string;
  /** Scrapes under way at once; more are refused. 0: no limit. */
  readonly maxRequests: number;
  /** Longest wait of a scrape that names no timeout of its own. */
  readonly timeoutMs: number;
  readonly version: string;
  readonly simulated: boolean;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly pages: PageCache;
  readonly collect: (waitMs: number) => Promise<Snapshot>;
  readonly snapshot: () => Snapshot;
  readonly ready: () => boolean;
  readonly api: ApiData;
  /** The OpenAPI document. */
  readonly openApi: object;
  /** Absent: there is no admin API. */
  readonly admin?: AdminRoutes;
  /** Of the web configuration. */
  readonly security?: WebHandlers;
}

/** What stands before the routes. */
export interface WebHandlers {
  readonly limit: RequestHandler;
  readonly headers: RequestHandler;
  readonly basicAuth: RequestHandler;
}

const PLAIN = 'text/plain; charset=utf-8';
/** A reader that has not taken the page by then is cut off: it would keep others out. */
const RESPONSE_DEADLINE_MS = 10_000;

export function createApp(options: AppOptions): Express {
  const app = express();
  app.disable('x-powered-by');
  app.disable('etag');
  app.set('query parser', 'simple');
  app.use((_request, response, next) => {
    response.setHeader('X-Content-Type-Options', 'nosniff');
    next();
  });
  const { admin, security } = options;
  if (security) app.use(security.headers);
  // A token or a signature stands in for the password there, and nobody's requests keep out who has one: these routes
  // come before the password is asked for, and before the rate limit.
  if (admin) addAdmin(app, admin);
  if (security) app.use(security.limit, security.basicAuth);
  const inFlight = limit(options.maxRequests);

  get(app, options.telemetryPath, inFlight, (request, response) => scrape(options, request, response));
  get(app, '/', async (_request, response) => {
    const { version, simulated, telemetryPath } = options;
    response.setHeader('Content-Security-Policy', LANDING_CSP);
    response.setHeader('Cache-Control', 'no-store');
    response.type('html').send(
      landingPage({
        version,
        simulated,
        telemetryPath,
        snapshot: options.snapshot(),
        interfaces: await options.api.interfaces(),
      }),
    );
  });
  get(app, '/-/healthy', (_request, response) => {
    response.setHeader('Content-Type', PLAIN);
    response.end('RRAS Exporter is healthy.\n');
  });
  get(app, '/-/ready', (_request, response) => {
    const ready = options.ready();
    response.statusCode = ready ? 200 : 503;
    response.setHeader('Content-Type', PLAIN);
    response.end(ready ? 'RRAS Exporter is ready.\n' : 'RRAS Exporter has not read the server yet.\n');
  });
  app.use('/api', inFlight);
  addApi(app, options.api, options.openApi);
  app.use((request, response) => {
    response.statusCode = 404;
    response.setHeader('Content-Type', PLAIN);
    response.end(`There is no such page. The metrics are at ${options.telemetryPath}.\n`);
    request.resume();
  });
  // Express knows an error handler by its four parameters.
  app.use((error: unknown, _request: Request, response: Response, next: NextFunction) => {
    // What the path of a request is encoded in is no defect of ours.
    const isMalformed = error instanceof URIError && !response.headersSent;
    if (isMalformed) {
      response.statusCode = 400;
      response.setHeader('Content-Type', PLAIN);
      response.end('The path is not properly percent-encoded.\n');
      return;
    }
    options.logger.error('request failed', { error });
    if (response.headersSent) {
      next(error);
      return;
    }
    response.statusCode = 500;
    response.setHeader('Content-Type', PLAIN);
    response.end('Internal error; the log says more.\n');
  });
  return app;
}

/** A route for GET and HEAD; any other method is 405. */
function get(app: Express, path: string, ...handlers: RequestHandler[]): void {
  app.get(path, ...handlers);
  app.all(path, (_request, response) => {
    response.statusCode = 405;
    response.setHeader('Allow', 'GET, HEAD');
    response.setHeader('Content-Type', PLAIN);
    response.end('Only GET and HEAD are allowed here.\n');
  });
}

/** Refuses requests beyond `max` at once with 503, as the Prometheus exporters do. */
function limit(max: number): RequestHandler {
  let inFlight = 0;
  return (_request, response, next) => {
    if (max > 0 && inFlight >= max) {
      response.statusCode = 503;
      response.setHeader('Content-Type', PLAIN);
      response.setHeader('Retry-After', '1');
      response.end(`Limit of concurrent requests reached (${max}), try again later.\n`);
      return;
    }
    inFlight += 1;
    response.once('close', () => {
      inFlight -= 1;
    });
    next();
  };
}

async function scrape(options: AppOptions, request: Request, response: Response): Promise<void> {
  const header = request.get('X-Prometheus-Scrape-Timeout-Seconds');
  const snapshot = await options.collect(scrapeWaitMs(header, options.timeoutMs));
  const page = await options.pages.get(snapshot, formatFor(request.get('Accept')));
  const gzip = request.acceptsEncodings('gzip', 'identity') === 'gzip';
  const zipped = gzip ? await page.gzipped() : undefined;
  response.setHeader('Content-Type', page.contentType);
  response.setHeader('Vary', 'Accept, Accept-Encoding');
  response.setHeader('Cache-Control', 'no-store');
  if (gzip) response.setHeader('Content-Encoding', 'gzip');
  response.setHeader('Content-Length', zipped?.length ?? page.bytes);
  const answered = new AbortController();
  const cutOff = (): void => void response.destroy();
  options.clock.sleep(RESPONSE_DEADLINE_MS, answered.signal).then(cutOff, () => undefined);
  const finished = Promise.race([once(response, 'finish'), once(response, 'close')]);
  if (request.method !== 'HEAD') await writeAll(response, zipped ? [zipped] : page.plain());
  response.end();
  await finished;
  answered.abort();
}

/** OpenMetrics only for who names its version 1.0.0 and prefers it; anybody else reads the text format. */
export function formatFor(accept: string | undefined): PageFormat {
  let text = 0;
  let openMetrics = 0;
  for (const range of (accept ?? '').split(',')) {
    const [type = '', ...parameters] = range.split(';').map((part) => part.trim().toLowerCase());
    const parameter = new Map(
      parameters.map((each) => each.split('=', 2).map((part) => part.trim()) as [string, string]),
    );
    const quality = Number(parameter.get('q') ?? 1);
    if (!(quality > 0)) continue;
    if (type === 'application/openmetrics-text' && (parameter.get('version') ?? '1.0.0') === '1.0.0') {
      openMetrics = Math.max(openMetrics, quality);
    }
    if (type === 'text/plain') text = Math.max(text, quality);
  }
  return openMetrics > 0 && openMetrics >= text ? 'openmetrics' : 'text';
}

/** Hands chunk after chunk to the socket, at its pace. */
async function writeAll(
  response: Response,
  chunks: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
): Promise<void> {
  const closed = once(response, 'close');
  for await (const chunk of chunks) {
    if (response.destroyed) return;
    if (!response.write(chunk)) await Promise.race([once(response, 'drain'), closed]);
  }
}
