/** The current snapshot as JSON under /api/v1, in the envelope of the Prometheus API, with what the view may show. */
import type { Express, Request, Response } from 'express';
import { z } from 'zod';
import { INTERFACE_STATES } from '../model/words.ts';

/** A page of a list; `nextCursor` is absent on the last one. */
export interface Paged<T> {
  readonly items: readonly T[];
  readonly nextCursor?: string;
}

const unixSeconds = z.number().describe('Unix time in seconds.');

export const connectionObject = z.object({
  connection: z.string().describe('The join key of the metrics: 16 hexadecimal digits.'),
  user: z.string(),
  domain: z.string(),
  computer: z.string(),
  interface: z.string(),
  interfaceType: z.string(),
  tunnel: z.string(),
  role: z.string(),
  auth: z.string(),
  encryption: z.string(),
  compression: z.string(),
  tunnelAddress: z.string(),
  tunnelAddressV6: z.string(),
  remoteAddress: z.string(),
  localAddress: z.string(),
  startTime: unixSeconds,
  dormant: z.boolean(),
  receivedBytes: z.number(),
  transmittedBytes: z.number(),
  receivedFrames: z.number(),
  transmittedFrames: z.number(),
  switchovers: z.number(),
  errors: z.record(z.string(), z.number()).describe('Only kinds that are not 0.'),
});
export type ApiConnection = Readonly<z.infer<typeof connectionObject>>;

export const interfaceObject = z.object({
  interface: z.string(),
  interfaceType: z.string(),
  enabled: z.boolean(),
  persistent: z.boolean().nullable(),
  state: z.enum([...INTERFACE_STATES, 'unknown']),
  unreachableReasons: z.array(z.string()),
  lastError: z.int(),
  lastErrorName: z.string().nullable().describe('Symbolic name of lastError; null if it is 0 or has none.'),
  stateChangeTime: unixSeconds.nullable().describe('Unix time in seconds; null until a change was seen.'),
});
export type ApiInterface = Readonly<z.infer<typeof interfaceObject>>;

export const statusObject = z.object({
  version: z.string(),
  simulated: z.boolean(),
  replayed: z.boolean().describe('The server is a recording.'),
  up: z.boolean(),
  snapshotTime: unixSeconds.describe('Unix time in seconds; 0 before the first.'),
  service: z
    .object({ running: z.boolean(), lanOnly: z.boolean(), startTime: unixSeconds.nullable() })
    .nullable(),
  sources: z.record(z.string(), z.object({ up: z.boolean().nullable(), problem: z.string().nullable() })),
  connections: z.number().nullable(),
  hiddenConnections: z.number().nullable(),
  tunnels: z
    .record(
      z.string(),
      z.object({
        connections: z.number().nullable(),
        portsInUse: z.number().nullable(),
        ports: z.number().nullable(),
      }),
    )
    .describe(
      'Tunnels that the server has ports for or that a connection uses; null is what cannot be read.',
    ),
  history: z
    .object({
      stepSeconds: z.number(),
      points: z.array(
        z.object({
          time: unixSeconds.describe('Unix time in seconds at which the step began.'),
          connections: z.record(z.string(), z.number()).describe('By tunnel.'),
        }),
      ),
    })
    .describe('Connections over the last hour, oldest first; a step in which nothing was read has no point.'),
});
export type ApiStatus = Readonly<z.infer<typeof statusObject>>;

type Awaitable<T> = T | Promise<T>;

/** What the routes answer with, made anew for each request. */
export interface ApiData {
  status(): Awaitable<ApiStatus>;
  /** In the order of their ids. */
  connections(): Awaitable<readonly ApiConnection[]>;
  /** In the order of their names. */
  interfaces(): Awaitable<readonly ApiInterface[]>;
}

const DEFAULT_LIMIT = 1000;
const MAX_LIMIT = 10_000;
const MAX_CURSOR = 1024;

/** `dataOf`: of the server that the request chooses; undefined: there is none of that name. */
export function addApi(
  app: Express,
  dataOf: (request: Request) => ApiData | undefined,
  openApi: object,
): void {
  const get = (
    name: string,
    answer: (data: ApiData, request: Request, response: Response) => Promise<unknown>,
  ): void => {
    app.get(`/api/v1/${name}`, async (request, response) => {
      const data = dataOf(request);
      if (data) await answer(data, request, response);
      else refuse(response, 404, 'not_found', 'there is no server of that name');
    });
  };
  get('status', async (data, _request, response) => succeed(response, await data.status()));
  get('connections', async (data, request, response) =>
    sendPage(request, response, await data.connections(), (each) => each.connection),
  );
  get('interfaces', async (data, request, response) =>
    sendPage(request, response, await data.interfaces(), (each) => each.interface),
  );
  app.get('/api/v1/openapi.json', (_request, response) => void response.json(openApi));
  const paths = ['status', 'connections', 'interfaces', 'openapi.json'].map((name) => `/api/v1/${name}`);
  app.all(paths, (_request, response) => {
    response.setHeader('Allow', 'GET, HEAD');
    refuse(response, 405, 'bad_data', 'only GET and HEAD are allowed here');
  });
  app.use('/api', (_request, response) => refuse(response, 404, 'not_found', 'there is no such route'));
}

export function succeed(response: Response, data: unknown, status = 200): void {
  response.status(status).setHeader('Cache-Control', 'no-store');
  response.json({ status: 'success', data });
}

/** `data`: what is known all the same. */
export function refuse(
  response: Response,
  status: number,
  errorType: string,
  error: string,
  data?: unknown,
): void {
  response.status(status).setHeader('Cache-Control', 'no-store');
  response.json({ status: 'error', errorType, error, data });
}

/**
 * Items behind the cursor, which is the key of the last one that was sent: lists that change skip nothing. They are in
 * the order of their keys, or in the opposite one. False: the request was refused.
 */
export function sendPage<T>(
  request: Request,
  response: Response,
  all: readonly T[],
  keyOf: (item: T) => string,
  order: 'ascending' | 'descending' = 'ascending',
): boolean {
  const { limit: limitText = String(DEFAULT_LIMIT), cursor = '', ...others } = request.query;
  const bad = (error: string): false => {
    refuse(response, 400, 'bad_data', error);
    return false;
  };
  const stray = Object.keys(others).find((name) => name !== 'server');
  if (stray !== undefined) {
    return bad(`unknown parameter ${JSON.stringify(stray.slice(0, 100))}; known: limit, cursor, server`);
  }
  const limit = typeof limitText === 'string' && /^\d{1,6}$/.test(limitText) ? Number(limitText) : 0;
  if (limit < 1 || limit > MAX_LIMIT) return bad(`limit: expected a whole number from 1 to ${MAX_LIMIT}`);
  if (typeof cursor !== 'string' || cursor.length > MAX_CURSOR) {
    return bad('cursor: expected the nextCursor of the page before');
  }
  const isBehind = (item: T): boolean =>
    order === 'ascending' ? keyOf(item) > cursor : keyOf(item) < cursor;
  const start = cursor === '' ? 0 : all.findIndex(isBehind);
  const items = start === -1 ? [] : all.slice(start, start + limit);
  const more = start !== -1 && start + limit < all.length;
  succeed(response, { items, ...(more ? { nextCursor: keyOf(items.at(-1)!) } : {}) } satisfies Paged<T>);
  return true;
}
