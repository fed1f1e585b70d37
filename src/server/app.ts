/** The routes. Every request gets an answer: a server that cannot be read shows in the metrics, never as an error here. */
import { once } from 'node:events';
import type { RequestListener } from 'node:http';
import type { Express, NextFunction, Request, RequestHandler, Response } from 'express';
import express from 'express';
import type { Clock } from '../model/clock.ts';
import type { Snapshot } from '../model/snapshot.ts';
import type { Logger } from '../model/logger.ts';
import type { AdminRoutes } from './admin.ts';
import { addAdmin } from './admin.ts';
import type { ApiData } from './api.ts';
import { addApi, refuse } from './api.ts';
import { overBothVersions } from './http2-express.ts';
import { isOfAnotherSite } from './other-site.ts';
import { hostOf, isByForeignName } from './own-host.ts';
import type { PageCache, PageFormat } from './pages.ts';
import { inTime } from './response-deadline.ts';
import { scrapeWaitMs } from './scrape-deadline.ts';

/** A server as the routes see it. */
export interface ServedServer {
  /** True once it is not read any more. */
  readonly ended?: boolean;
  readonly pages: PageCache;
  readonly collect: (waitMs: number) => Promise<Snapshot>;
  readonly ready: () => boolean;
  readonly api: ApiData;
}

/** Its own parts are those of the local server. */
export interface AppOptions extends ServedServer {
  readonly telemetryPath: string;
  /** Scrapes under way at once, as it is now; more are refused. 0: no limit. */
  readonly maxRequests: number;
  /** Longest wait of a scrape that names no timeout of its own, as it is now. */
  readonly timeoutMs: number;
  readonly clock: Clock;
  readonly logger: Logger;
  /** The configured servers by their names, as they are now; undefined until they are open. Absent: there are none. */
  readonly servers?: () => ReadonlyMap<string, ServedServer> | undefined;
  /** Where others reach the exporter, as it is configured now; null: as the request says. */
  readonly externalUrl?: string | null;
  /** Names that this machine is asked by, beside localhost and its addresses; see own-host.ts. */
  readonly ownNames?: readonly string[];
  /** Reads the configuration anew; rejects with what is wrong with it. Absent: nobody may ask for it. */
  readonly reload?: () => Promise<void>;
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
  /** True if `basicAuth` lets nobody pass without a password. To be asked behind `headers`. */
  readonly asksForPassword: (request: Request) => Promise<boolean>;
}

const PLAIN = 'text/plain; charset=utf-8';

export function createApp(options: AppOptions): RequestListener {
  const app = express();
  app.disable('x-powered-by');
  app.disable('etag');
  // As --web.telemetry-path is told from the paths that are taken.
  app.set('case sensitive routing', true);
  app.set('query parser', 'simple');
  app.use(inTime(options.clock));
  app.use((request, response, next) => {
    response.setHeader('X-Content-Type-Options', 'nosniff');
    // What stands before the exporter may go by the other one. HTTP/2 has one only.
    const hosts = request.httpVersionMajor === 1 ? (request.headersDistinct['host'] ?? []) : [];
    if (hosts.length > 1) answer(response, 400, 'The header Host stands there more than once.');
    else next();
  });
  const { admin, security } = options;
  if (security) app.use(security.headers);
  addHostCheck(app, options);
  // A token or a signature stands in for the password there, and nobody's requests keep out who has one: these routes
  // come before the password is asked for, and before the rate limit.
  if (admin) addAdmin(app, admin);
  if (security) app.use(security.limit, security.basicAuth);
  const inFlight = limit(options);

  get(app, options.telemetryPath, inFlight, (request, response) =>
    scrape(options, options, request, response),
  );
  get(app, '/probe', afterStart(options), inFlight, async (request, response) => {
    const { target } = request.query;
    const server = typeof target === 'string' ? options.servers?.()?.get(target) : undefined;
    if (server) await scrape(server, options, request, response);
    else answer(response, target === undefined ? 400 : 404, unknownTarget(target));
  });
  get(app, '/sd', afterStart(options), (request, response) => {
    const host = externalHost(options, request);
    if (host === undefined) answer(response, 400, 'The header Host is missing or is no host:port.');
    else response.setHeader('Cache-Control', 'no-store').json(discovery(options, host));
  });
  addReload(app, options.reload);
  // Pages and the API have places of their own: who looks keeps no scrape out.
  get(app, '/', limit(options), async ({ query: { server = null } }, response) => {
    const shown = chosen(options, server ?? undefined);
    if (!shown) {
      answer(response, 404, 'There is no server of that name in the configuration file.');
      return;
    }
    // Who only scrapes need not hold the page in memory.
    const { landingPage } = await import('./page/landing-page.ts');
    const { html, policy } = landingPage({
      telemetryPath: options.telemetryPath,
      status: await shown.api.status(),
      interfaces: await shown.api.interfaces(),
      now: options.clock.wallSeconds(),
      servers: [...(options.servers?.()?.keys() ?? [])],
      server: typeof server === 'string' ? server : null,
    });
    response.setHeader('Content-Security-Policy', policy);
    response.setHeader('Cache-Control', 'no-store');
    response.type('html').send(html);
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
  app.use('/api', limit(options));
  addApi(app, ({ query }) => chosen(options, query['server'])?.api, options.openApi);
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
  return overBothVersions(app);
}

function answer(response: Response, status: number, text: string): void {
  response.statusCode = status;
  response.setHeader('Content-Type', PLAIN);
  response.end(`${text}\n`);
}

/** The server that `?server` names, the local one without it; undefined: there is none of that name. */
function chosen(options: AppOptions, name: unknown): ServedServer | undefined {
  if (name === undefined) return options;
  return typeof name === 'string' ? options.servers?.()?.get(name) : undefined;
}

/** Never what was asked for: anybody can ask for anything. */
const unknownTarget = (target: unknown): string =>
  target === undefined
    ? 'The parameter target is missing: /probe?target=NAME, with the name of a server in the configuration file.'
    : 'There is no server of that name in the configuration file.';

/** Where a scraper finds the exporter. What a request says of it is passed on as it is: also a port that goes without saying. */
function externalHost(
  { externalUrl = null }: AppOptions,
  request: Request,
): { host: string; pathname: string } | undefined {
  if (externalUrl !== null) {
    const { host, pathname } = new URL(externalUrl);
    return { host, pathname: decoded(pathname) };
  }
  const host = hostOf(request);
  return host === undefined ? undefined : { host, pathname: '/' };
}

/** Prometheus takes a path as it is, and encodes it. */
function decoded(pathname: string): string {
  try {
    return decodeURI(pathname);
  } catch {
    return pathname;
  }
}

/** https://prometheus.io/docs/prometheus/latest/http_sd/ */
function discovery(
  { servers }: AppOptions,
  { host, pathname }: { host: string; pathname: string },
): object[] {
  const path = `${pathname.replace(/\/$/, '')}/probe`;
  return [...(servers?.()?.keys() ?? [])].map((name) => ({
    targets: [host],
    labels: {
      __metrics_path__: path,
      __param_target: name,
      instance: name,
    },
  }));
}

/** Before what tells names or does something. Scrapers and probes ask by any name. */
function addHostCheck(app: Express, options: AppOptions): void {
  const { security, ownNames = [] } = options;
  const check: RequestHandler = async (request, response, next) => {
    const { externalUrl = null } = options;
    const names = externalUrl === null ? ownNames : [...ownNames, new URL(externalUrl).hostname];
    // Deliveries of alerts come through proxies of any name, and are signed.
    const isDelivery = request.baseUrl === '/api' && request.path.startsWith('/v1/hooks/');
    if (
      isDelivery ||
      !isByForeignName(request, names) ||
      (await security?.asksForPassword(request)) === true
    ) {
      next();
      return;
    }
    const what =
      'exporter does not know the name in the header Host as its own; set --web.external-url if it is';
    if (request.baseUrl === '/api') refuse(response, 403, 'forbidden', `the ${what}`);
    else answer(response, 403, `The ${what}.`);
    request.resume();
  };
  app.all(['/', '/-/reload'], check);
  app.use('/api', check);
}

/** As of Prometheus: it takes a flag, and pages of others must not ask for it. */
function addReload(app: Express, reload: AppOptions['reload']): void {
  app.all('/-/reload', async (request, response) => {
    if (request.method !== 'POST' && request.method !== 'PUT') {
      response.setHeader('Allow', 'POST, PUT');
      answer(response, 405, 'Only POST and PUT are allowed here.');
    } else if (!reload) {
      answer(response, 403, 'The lifecycle API is off; --web.enable-lifecycle turns it on.');
    } else if (isOfAnotherSite(request)) {
      answer(response, 403, 'Requests from pages of other sites are refused.');
    } else {
      try {
        await reload();
        answer(response, 200, 'The configuration is loaded.');
      } catch (error) {
        answer(
          response,
          500,
          `The configuration was not loaded: ${error instanceof Error ? error.message : String(error)}`,
        );
      }
    }
    request.resume();
  });
}

/** A scraper that was told of no servers would drop those that it has. */
function afterStart({ servers }: AppOptions): RequestHandler {
  return (_request, response, next) => {
    if (!servers || servers()) {
      next();
      return;
    }
    response.setHeader('Retry-After', '1');
    answer(response, 503, 'The configured servers are not open yet, try again later.');
  };
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
function limit(options: Pick<AppOptions, 'maxRequests'>): RequestHandler {
  let inFlight = 0;
  return (_request, response, next) => {
    const max = options.maxRequests;
    // Its end was told before anybody listened: its place would never be free again.
    if (response.destroyed) return;
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

async function scrape(
  server: ServedServer,
  options: AppOptions,
  request: Request,
  response: Response,
): Promise<void> {
  const header = request.get('X-Prometheus-Scrape-Timeout-Seconds');
  const snapshot = await server.collect(scrapeWaitMs(header, options.timeoutMs));
  if (server.ended === true) {
    // What it looks like has nothing to do with the server.
    answer(response, 503, 'The server was taken out of the configuration, or is another one now.');
    return;
  }
  const page = await server.pages.get(snapshot, formatFor(request.get('Accept')));
  const gzip = request.acceptsEncodings('gzip', 'identity') === 'gzip';
  const zipped = gzip ? await page.gzipped() : undefined;
  response.setHeader('Content-Type', page.contentType);
  response.setHeader('Vary', 'Accept, Accept-Encoding');
  response.setHeader('Cache-Control', 'no-store');
  if (gzip) response.setHeader('Content-Encoding', 'gzip');
  response.setHeader('Content-Length', zipped?.length ?? page.bytes);
  if (request.method !== 'HEAD') await writeAll(response, zipped ? [zipped] : page.plain());
  response.end();
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
