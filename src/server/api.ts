/** The current snapshot as JSON under /api/v1, in the envelope of the Prometheus API, with what the view may show. */
import type { Express, Request, Response } from 'express';
import type { InterfaceState } from '../model/words.ts';

/** A page of a list; `nextCursor` is absent on the last one. */
export interface Paged<T> {
  readonly items: readonly T[];
  readonly nextCursor?: string;
}

export interface ApiConnection {
  readonly connection: string;
  readonly user: string;
  readonly domain: string;
  readonly computer: string;
  readonly interface: string;
  readonly interfaceType: string;
  readonly tunnel: string;
  readonly role: string;
  readonly auth: string;
  readonly encryption: string;
  readonly compression: string;
  readonly tunnelAddress: string;
  readonly tunnelAddressV6: string;
  readonly remoteAddress: string;
  readonly localAddress: string;
  /** Unix seconds. */
  readonly startTime: number;
  readonly dormant: boolean;
  readonly receivedBytes: number;
  readonly transmittedBytes: number;
  readonly receivedFrames: number;
  readonly transmittedFrames: number;
  readonly switchovers: number;
  /** Only kinds that are not 0. */
  readonly errors: Readonly<Record<string, number>>;
}

export interface ApiInterface {
  readonly interface: string;
  readonly interfaceType: string;
  readonly enabled: boolean;
  readonly persistent: boolean | null;
  readonly state: InterfaceState;
  readonly unreachableReasons: readonly string[];
  readonly lastError: number;
  /** Symbolic name of `lastError`; null if it is 0 or has none. */
  readonly lastErrorName: string | null;
  /** Unix seconds; null until a change was seen. */
  readonly stateChangeTime: number | null;
}

export interface ApiStatus {
  readonly version: string;
  readonly simulated: boolean;
  readonly up: boolean;
  /** Unix seconds; 0 before the first. */
  readonly snapshotTime: number;
  readonly service: {
    readonly running: boolean;
    readonly lanOnly: boolean;
    readonly startTime: number | null;
  } | null;
  readonly sources: Readonly<
    Record<string, { readonly up: boolean | null; readonly problem: string | null }>
  >;
  readonly connections: number | null;
  readonly hiddenConnections: number | null;
}

/** What the routes answer with, made anew for each request. */
export interface ApiData {
  status(): ApiStatus;
  /** In the order of their ids. */
  connections(): readonly ApiConnection[];
  /** In the order of their names. */
  interfaces(): readonly ApiInterface[];
}

const DEFAULT_LIMIT = 1000;
const MAX_LIMIT = 10_000;
const MAX_CURSOR = 1024;

export function addApi(app: Express, data: ApiData): void {
  app.get('/api/v1/status', (_request, response) => succeed(response, data.status()));
  app.get('/api/v1/connections', (request, response) =>
    sendPage(request, response, data.connections(), (each) => each.connection),
  );
  app.get('/api/v1/interfaces', (request, response) =>
    sendPage(request, response, data.interfaces(), (each) => each.interface),
  );
  app.all(['/api/v1/status', '/api/v1/connections', '/api/v1/interfaces'], (_request, response) => {
    response.setHeader('Allow', 'GET, HEAD');
    refuse(response, 405, 'bad_data', 'only GET and HEAD are allowed here');
  });
  app.use('/api', (_request, response) => refuse(response, 404, 'not_found', 'there is no such route'));
}

export function succeed(response: Response, data: unknown, status = 200): void {
  response.status(status).setHeader('Cache-Control', 'no-store');
  response.json({ status: 'success', data });
}

export function refuse(response: Response, status: number, errorType: string, error: string): void {
  response.status(status).setHeader('Cache-Control', 'no-store');
  response.json({ status: 'error', errorType, error });
}

/** Items behind the cursor, which is the key of the last one that was sent: lists that change skip nothing. */
function sendPage<T>(
  request: Request,
  response: Response,
  all: readonly T[],
  keyOf: (item: T) => string,
): void {
  const { limit: limitText = String(DEFAULT_LIMIT), cursor = '', ...unknown } = request.query;
  const [stray] = Object.keys(unknown);
  if (stray !== undefined) {
    refuse(
      response,
      400,
      'bad_data',
      `unknown parameter ${JSON.stringify(stray.slice(0, 100))}; known: limit, cursor`,
    );
    return;
  }
  const limit = typeof limitText === 'string' && /^\d{1,6}$/.test(limitText) ? Number(limitText) : 0;
  if (limit < 1 || limit > MAX_LIMIT) {
    refuse(response, 400, 'bad_data', `limit: expected a whole number from 1 to ${MAX_LIMIT}`);
    return;
  }
  if (typeof cursor !== 'string' || cursor.length > MAX_CURSOR) {
    refuse(response, 400, 'bad_data', 'cursor: expected the nextCursor of the page before');
    return;
  }
  const start = cursor === '' ? 0 : all.findIndex((item) => keyOf(item) > cursor);
  const items = start === -1 ? [] : all.slice(start, start + limit);
  const more = start !== -1 && start + limit < all.length;
  succeed(response, { items, ...(more ? { nextCursor: keyOf(items.at(-1)!) } : {}) } satisfies Paged<T>);
}
