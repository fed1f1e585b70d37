/**
 * The routes that act on the server, and those that alerts come in by. Each request is authenticated, authorised and
 * validated, in this order, before anything is looked up; each refusal is counted and says what to do.
 */
import type { Express, NextFunction, Request, RequestHandler, Response } from 'express';
import { RateLimiterMemory, RateLimiterRes } from 'rate-limiter-flexible';
import { z } from 'zod';
import type {
  ActionAnswer,
  ActionName,
  ActionRecord,
  ActionRequest,
  Decision,
  Grant,
  HookAnswer,
  PauseState,
  Right,
} from '../model/admin.ts';
import type { Clock } from '../model/clock.ts';
import { refuse, sendPage, succeed } from './api.ts';
import type { ActionObject } from './admin-schemas.ts';
import {
  disconnectBody,
  endpointBody,
  MAX_PAUSE_SECONDS,
  pauseBody,
  reasonBody,
  reconnectBody,
} from './admin-schemas.ts';
import { isOfAnotherSite } from './other-site.ts';
import { BodyError, readBody } from './request-body.ts';

/** What stands behind the routes. */
export interface AdminBackend {
  /** True if a signature is there that may be one of now. */
  claimsGrafana(header: (name: string) => string): boolean;
  callerOf(token: string | undefined, subjectAltNames: readonly string[]): Grant | undefined;
  grafanaOf(body: Uint8Array, header: (name: string) => string): Grant | undefined;
  /** Whether what the caller may do, he may do to this interface, by the name that is shown. */
  covers(caller: Grant, interfaceName: string): boolean;
  request(caller: Grant, asked: ActionRequest): Promise<ActionAnswer>;
  reset(caller: Grant, interfaceName: string, reason: string, route: string): Promise<ActionAnswer>;
  pause(caller: Grant, reason: string, seconds: number | undefined): Promise<PauseState | undefined>;
  resume(caller: Grant, reason: string): Promise<PauseState | undefined>;
  actions(caller: Grant): readonly ActionRecord[];
  action(caller: Grant, id: string): ActionRecord | undefined;
  settled(id: string, ms: number): Promise<ActionRecord | undefined>;
  /** Notes that somebody known asked for what is not for him. */
  tellForbidden(caller: Grant, route: string, reason: string): void;
  hook(
    caller: Grant,
    source: 'alertmanager' | 'grafana',
    body: unknown,
    traceparent?: string,
  ): Promise<HookAnswer>;
}

export interface AdminRoutes {
  /** Of all servers and the local one. Requests that come before it is there wait for it. */
  readonly backend: Promise<AdminBackend>;
  /** Of one server alone; undefined: none of that name is configured. */
  readonly backendOf?: (server: string) => Promise<AdminBackend> | undefined;
  readonly clock: Clock;
  /** JSON within the bounds that are sane for a request; throws what `isBodyProblem` knows. */
  readonly parseJson: (bytes: Buffer) => unknown;
  readonly isBodyProblem: (error: unknown) => error is Error;
  /** Names in the verified certificate of the client. */
  readonly subjectAltNames: (request: Request) => readonly string[];
  /** Text fit for an answer. */
  readonly clean: (text: string) => string;
  /** An address as it may be shown. */
  readonly showAddress: (address: string) => string;
  readonly parseDurationMs: (text: string) => number | null;
  readonly count: (route: string, decision: Decision) => void;
}

const BODY_BYTES = 64 * 1024;
const HOOK_BYTES = 1024 * 1024;
const MAX_WAIT_MS = 120_000;
/** For the answer itself, beside what the client waits for. */
const ANSWER_MS = 10_000;
const AFTER_WAIT_MS = 5_000;
/** Requests under way at once of those who are known. */
const MAX_REQUESTS = 100;
/** Signed bodies being read at once: anybody can say that one is signed. */
const MAX_UNVERIFIED = 16;
const MAX_UNVERIFIED_OF_ONE = 4;
/** Each may take some time to be decided, one after the other. */
const MAX_DELIVERIES = 32;
/** When it may be worth asking again after something passing. */
const RETRY_SECONDS = 5;
const MAX_PAUSE_MS = MAX_PAUSE_SECONDS * 1000;
/** Of a body that is not wanted. */
const DISCARDED_BYTES = 10 * HOOK_BYTES;
const DISCARDING_MS = 2_000;
const MAX_ISSUES = 5;
/** Failed log-ins of one address in a minute. */
const FAILURES = 20;
const FAILURES_PER_SECONDS = 60;
const BEARER = /^Bearer +([\w.~+/-]+=*) *$/i;
const KEY = /^[\x21-\x7e]{1,255}$/;

/** A request that is refused before there is anything to decide. */
class Refusal extends Error {
  readonly status: number;
  readonly errorType: string;
  readonly decision: Decision;
  readonly retryAfterSeconds: number | undefined;

  constructor(
    status: number,
    errorType: string,
    decision: Decision,
    message: string,
    retryAfterSeconds?: number,
  ) {
    super(message);
    this.status = status;
    this.errorType = errorType;
    this.decision = decision;
    this.retryAfterSeconds = retryAfterSeconds;
  }
}

const unauthenticated = (): Refusal =>
  new Refusal(401, 'unauthenticated', 'unauthenticated', 'a valid token or client certificate is needed');
const forbidden = (message: string): Refusal => new Refusal(403, 'forbidden', 'forbidden', message);
const invalid = (message: string): Refusal => new Refusal(400, 'bad_data', 'invalid', message);

type Run = (request: Request, response: Response, backend: AdminBackend) => Promise<Decision>;
type Handle = (
  request: Request,
  response: Response,
  caller: Grant,
  backend: AdminBackend,
) => Promise<Decision>;

export function addAdmin(app: Express, options: AdminRoutes): void {
  const { clock, count, parseJson } = options;
  const failures = new RateLimiterMemory({ points: FAILURES, duration: FAILURES_PER_SECONDS });
  const enter = roomFor(MAX_REQUESTS);
  const enterHook = roomFor(MAX_DELIVERIES);
  const enterUnverified = roomFor(MAX_UNVERIFIED, MAX_UNVERIFIED_OF_ONE);

  /** Runs a handler within the bounds, and turns what it throws into an answer. */
  const serve =
    (route: string, run: Run): RequestHandler =>
    async (request, response) => {
      const answered = new AbortController();
      response.once('close', () => answered.abort());
      let decision: Decision;
      try {
        const waitMs = waitMsOf(request) ?? 0;
        const deadlineMs = waitMs > 0 ? waitMs + AFTER_WAIT_MS : ANSWER_MS;
        clock.sleep(deadlineMs, answered.signal).then(
          () => response.destroy(),
          () => undefined,
        );
        decision = await run(request, response, await options.backend);
      } catch (error) {
        decision = answerError(response, error, options);
      }
      count(route, decision);
      discardRest(request, clock);
    };

  const byToken = (request: Request, backend: AdminBackend): Grant | undefined =>
    backend.callerOf(BEARER.exec(request.get('Authorization') ?? '')?.[1], options.subjectAltNames(request));

  /** Only who fails is counted: nobody is kept out by the failures of others. */
  async function notKnown(request: Request): Promise<Refusal> {
    try {
      await failures.consume(request.ip ?? '');
      return unauthenticated();
    } catch (limit) {
      if (!(limit instanceof RateLimiterRes)) throw limit;
      const seconds = Math.ceil(limit.msBeforeNext / 1000);
      return new Refusal(429, 'unauthenticated', 'unauthenticated', 'too many failed attempts', seconds);
    }
  }

  /** What `?server` names. Only who has the right to ask learns that it names none: see `refuseQuery`. */
  async function choose(request: Request, all: AdminBackend): Promise<AdminBackend> {
    const { server } = request.query;
    if (server === undefined) return all;
    const chosen = typeof server === 'string' ? options.backendOf?.(server) : undefined;
    if (!chosen) ofNoServer.add(request);
    return chosen ?? all;
  }

  /** `always`: however many others are under way. */
  const known = (route: string, handle: Handle, always = false): RequestHandler =>
    serve(route, async (request, response, backend) => {
      refuseBrowsersOfOthers(request);
      const caller = byToken(request, backend);
      if (!caller) throw await notKnown(request);
      if (!always) enter(response);
      const chosen = await choose(request, backend);
      return handle(request, response, caller, chosen).catch((error: unknown) => {
        if (error instanceof Refusal && error.status === 403)
          chosen.tellForbidden(caller, route, error.message);
        throw error;
      });
    });

  async function bodyOf<S extends z.ZodType>(request: Request, schema: S): Promise<z.output<S>> {
    const value = parseJson(await readBody(request, BODY_BYTES));
    const result = schema.safeParse(value);
    if (!result.success) throw invalid(issuesOf(result.error));
    return result.data;
  }

  const act = (
    action: ActionName,
    asked: (
      request: Request,
    ) => Promise<Omit<ActionRequest, 'route' | 'action' | 'idempotency' | 'traceparent'>>,
  ): RequestHandler =>
    known(action, async (request, response, caller, backend) => {
      mustHave(caller, action);
      mustCover(caller, request, backend);
      const waitMs = waitOf(request);
      const key = request.get('Idempotency-Key');
      if (key !== undefined && !KEY.test(key)) {
        throw invalid('Idempotency-Key: expected 1 to 255 printable ASCII characters');
      }
      const body = { action, ...(await asked(request)) };
      const answer = await backend.request(caller, {
        ...body,
        route: action,
        traceparent: traceparentOf(request),
        ...(key !== undefined && { idempotency: { key, body: JSON.stringify(body) } }),
      });
      await sendAnswer(request, response, answer, waitMs, backend, options);
      return answer.decision;
    });

  const connectionOf = (request: Request): string => {
    const id = pathName(request, 'connection');
    return /^[0-9a-f]{16}$/.test(id) ? id : '';
  };

  const routes: readonly (readonly ['get' | 'post', string, RequestHandler])[] = [
    [
      'post',
      '/api/v1/admin/interfaces/:name/reconnect',
      act('reconnect', async (request) => ({
        target: { interface: interfaceOf(request) },
        ...(await bodyOf(request, reconnectBody)),
      })),
    ],
    [
      'post',
      '/api/v1/admin/interfaces/:name/disconnect',
      act('disconnect', async (request) => ({
        target: { interface: interfaceOf(request) },
        force: false,
        ...(await bodyOf(request, disconnectBody)),
      })),
    ],
    [
      'post',
      '/api/v1/admin/interfaces/:name/reset',
      known('reset', async (request, response, caller, backend) => {
        mustHave(caller, 'reset');
        mustCover(caller, request, backend);
        refuseQuery(request);
        const { reason } = await bodyOf(request, reasonBody);
        const name = interfaceOf(request);
        const answer = await backend.reset(caller, name, reason, 'reset');
        if (answer.decision === 'execute') succeed(response, { interface: options.clean(name) });
        else sendRefused(response, answer, options);
        return answer.decision;
      }),
    ],
    [
      'post',
      '/api/v1/admin/connections/:connection/endpoint',
      act('update_endpoint', async (request) => {
        const connection = connectionOf(request);
        const { interfaceIndex, localAddress, remoteAddress, ...rest } = await bodyOf(request, endpointBody);
        return {
          target: { connection },
          force: false,
          endpoint: { interfaceIndex, localAddress, remoteAddress },
          ...rest,
        };
      }),
    ],
    [
      'post',
      '/api/v1/admin/connections/:connection/disconnect',
      act('hang_up', async (request) => ({
        target: { connection: connectionOf(request) },
        force: false,
        ...(await bodyOf(request, disconnectBody)),
      })),
    ],
    [
      'post',
      '/api/v1/admin/pause',
      known(
        'pause',
        async (request, response, caller, backend) => {
          mustHave(caller, 'pause');
          refuseQuery(request);
          const { reason, expiresIn } = await bodyOf(request, pauseBody);
          const seconds = typeof expiresIn === 'string' ? secondsOf(expiresIn, options) : expiresIn;
          return sendPause(response, await backend.pause(caller, reason, seconds), options);
        },
        true,
      ),
    ],
    [
      'post',
      '/api/v1/admin/resume',
      known('resume', async (request, response, caller, backend) => {
        mustHave(caller, 'pause');
        refuseQuery(request);
        const { reason } = await bodyOf(request, reasonBody);
        return sendPause(response, await backend.resume(caller, reason), options);
      }),
    ],
    [
      'get',
      '/api/v1/admin/actions',
      known('actions', (request, response, caller, backend) => {
        refuseServer(request);
        const all = backend.actions(caller).map((record) => toObject(record, options));
        const sent = sendPage(request, response, all, newestFirst, 'descending');
        return Promise.resolve(sent ? 'execute' : 'invalid');
      }),
    ],
    [
      'get',
      '/api/v1/admin/actions/:id',
      known('actions', (request, response, caller, backend) => {
        refuseQuery(request);
        const found = backend.action(caller, pathName(request, 'id'));
        if (!found) throw new Refusal(404, 'not_found', 'gone', 'there is no such action, or not any more');
        succeed(response, toObject(found, options));
        return Promise.resolve('execute');
      }),
    ],
    [
      'post',
      '/api/v1/hooks/alertmanager',
      known('alertmanager', async (request, response, caller, backend) => {
        mustHave(caller, 'hook');
        refuseQuery(request);
        enterHook(response);
        const body = parseJson(await readBody(request, HOOK_BYTES));
        return sendDecisions(
          response,
          await backend.hook(caller, 'alertmanager', body, traceparentOf(request)),
          options,
        );
      }),
    ],
    [
      'post',
      '/api/v1/hooks/grafana',
      serve('grafana', async (request, response, backend) => {
        refuseBrowsersOfOthers(request);
        let caller = byToken(request, backend);
        const header = (name: string): string => request.get(name) ?? '';
        if (!caller && !backend.claimsGrafana(header)) throw await notKnown(request);
        if (caller && backend.claimsGrafana(header) && !caller.rights.includes('hook')) caller = undefined;
        if (caller) mustHave(caller, 'hook');
        // The signature is over the body: for once, it is read before it is known whose it is.
        const leave = caller ? enter(response) : enterUnverified(response, request.ip);
        const bytes = await readBody(request, HOOK_BYTES);
        if (!caller) {
          caller = backend.grafanaOf(bytes, header);
          if (!caller) throw await notKnown(request);
          leave();
          enter(response);
        }
        const chosen = await choose(request, backend);
        refuseQuery(request);
        enterHook(response);
        return sendDecisions(
          response,
          await chosen.hook(caller, 'grafana', parseJson(bytes), traceparentOf(request)),
          options,
        );
      }),
    ],
  ];
  for (const [method, path, handler] of routes) {
    app[method](path, handler);
    app.all(path, (_request, response) => {
      response.setHeader('Allow', method === 'get' ? 'GET, HEAD' : 'POST');
      refuse(response, 405, 'bad_data', `only ${method.toUpperCase()} is allowed here`);
    });
  }
  // A path that cannot be decoded fails before its route. Express knows an error handler by its four parameters.
  app.use('/api', (error: unknown, _request: Request, response: Response, next: NextFunction) => {
    if (error instanceof URIError && !response.headersSent) {
      refuse(response, 400, 'bad_data', 'the path is not properly percent-encoded');
    } else {
      next(error);
    }
  });
}

/** Lets so many in at once, each until its response is closed or it leaves; more are refused. */
function roomFor(max: number, maxOfOne = max): (response: Response, address?: string) => () => void {
  const inside = new Map<Response, string | undefined>();
  return (response, address) => {
    const ofOne = [...inside.values()].filter((each) => each === address).length;
    if (inside.size >= max || ofOne >= maxOfOne) {
      throw new Refusal(503, 'busy', 'busy', 'too many requests are under way', 1);
    }
    // Of one that is closed already, the end is not told again.
    if (!response.destroyed) inside.set(response, address);
    const leave = (): void => void inside.delete(response);
    response.once('close', leave);
    return leave;
  };
}

/**
 * Reads on, up to a point, what is left of a body that is not wanted: closed at once, the connection would be reset, and
 * a client that is still sending might never see the answer.
 */
function discardRest(request: Request, clock: Clock): void {
  if (request.complete) return;
  let bytes = 0;
  request.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes > DISCARDED_BYTES) request.destroy();
  });
  request.resume();
  const over = new AbortController();
  request.once('close', () => over.abort());
  clock.sleep(DISCARDING_MS, over.signal).then(
    () => request.destroy(),
    () => undefined,
  );
}

/** Falls as requests get older; two of one moment differ by their ids. */
const newestFirst = ({ requestedAt, id }: ActionObject): string => `${requestedAt.toFixed(3)} ${id}`;

/** A browser that shows a page of somebody else must not act for who sits before it. */
function refuseBrowsersOfOthers(request: Request): void {
  if (isOfAnotherSite(request)) throw forbidden('requests from pages of other sites are refused');
}

function mustHave({ name, rights }: Grant, right: Right): void {
  if (!rights.includes(right)) throw forbidden(`${name} has no right to ${right}`);
}

/** The interface of the path, if it has one. */
function mustCover(caller: Grant, request: Request, backend: AdminBackend): void {
  if (request.params['name'] === undefined || backend.covers(caller, interfaceOf(request))) return;
  throw forbidden(`${caller.name} may not act on this interface`);
}

function pathName(request: Request, name: string): string {
  const value = request.params[name];
  return typeof value === 'string' ? value : '';
}

const interfaceOf = (request: Request): string => pathName(request, 'name');

/** Milliseconds of `?wait`; undefined if it makes no sense. */
function waitMsOf({ query: { wait = '0' } }: Request): number | undefined {
  const seconds = typeof wait === 'string' ? /^(\d{1,3})s?$/.exec(wait)?.[1] : undefined;
  const ms = Number(seconds) * 1000;
  return ms <= MAX_WAIT_MS ? ms : undefined;
}

/** The same, where it is taken, and nothing else. @throws Refusal */
function waitOf(request: Request): number {
  refuseQuery(request, 'wait');
  const ms = waitMsOf(request);
  if (ms === undefined) {
    throw invalid(`wait: expected seconds from 0s to ${MAX_WAIT_MS / 1000}s, such as 30s`);
  }
  return ms;
}

const ofNoServer = new WeakSet<Request>();

function refuseServer(request: Request): void {
  if (ofNoServer.has(request)) throw new Refusal(404, 'not_found', 'gone', 'there is no server of that name');
}

function refuseQuery(request: Request, ...known: readonly string[]): void {
  refuseServer(request);
  const stray = Object.keys(request.query).find((name) => name !== 'server' && !known.includes(name));
  if (stray !== undefined) throw invalid(`unknown parameter ${JSON.stringify(stray.slice(0, 100))}`);
}

function secondsOf(text: string, { parseDurationMs }: AdminRoutes): number {
  const ms = parseDurationMs(text);
  if (ms === null || ms < 1000 || ms > MAX_PAUSE_MS) {
    throw invalid('expiresIn: expected seconds, or a duration such as 30m, up to 30d');
  }
  return ms / 1000;
}

function issuesOf({ issues }: z.ZodError): string {
  const texts = issues.slice(0, MAX_ISSUES).map(({ path, message }) => {
    const where = path.map(String).join('.').slice(0, 100);
    return where === '' ? message : `${where}: ${message}`;
  });
  return texts.join('; ').slice(0, 500);
}

const STATUS: Readonly<Partial<Record<Decision, number>>> = {
  dry_run: 200,
  already_connected: 200,
  cooldown: 409,
  busy: 409,
  breaker: 409,
  min_healthy: 409,
  gone: 409,
  denied: 403,
  forbidden: 403,
  invalid: 400,
  rate: 429,
  paused: 503,
  audit: 503,
};

async function sendAnswer(
  { query }: Request,
  response: Response,
  answer: ActionAnswer,
  waitMs: number,
  backend: AdminBackend,
  options: AdminRoutes,
): Promise<void> {
  const { decision, action } = answer;
  if ((decision === 'execute' || decision === 'duplicate') && action) {
    const now = (waitMs > 0 ? await backend.settled(action.id, waitMs) : undefined) ?? action;
    const ended = now.outcome !== undefined;
    const server =
      typeof query['server'] === 'string' ? `?server=${encodeURIComponent(query['server'])}` : '';
    response.setHeader('Location', `/api/v1/admin/actions/${now.id}${server}`);
    succeed(response, toObject(now, options), ended && waitMs > 0 ? 200 : 202);
    return;
  }
  if (action && STATUS[decision] === 200) succeed(response, toObject(action, options));
  else sendRefused(response, answer, options);
}

function sendRefused(response: Response, answer: ActionAnswer, options: AdminRoutes): void {
  const { decision, reason, retryAfterSeconds, missing, reused, action } = answer;
  const retryAfter = retryAfterSeconds ?? (missing === 'server' ? RETRY_SECONDS : undefined);
  const [status, errorType] =
    missing === 'target'
      ? ([404, 'not_found'] as const)
      : missing === 'server'
        ? ([503, 'rras_down'] as const)
        : reused === true
          ? ([422, 'idempotency_key_reused'] as const)
          : // Of an action that is not remembered any more; else it is answered as the first time.
            decision === 'duplicate'
            ? ([409, 'gone'] as const)
            : ([STATUS[decision] ?? 500, decision] as const);
  if (retryAfter !== undefined) response.setHeader('Retry-After', String(retryAfter));
  refuse(response, status, errorType, reason, action && toObject(action, options));
}

function sendPause(response: Response, state: PauseState | undefined, { clean }: AdminRoutes): Decision {
  if (!state) throw forbidden('the right to pause is missing');
  succeed(response, {
    ...state,
    reason: clean(state.reason),
    since: state.since ?? null,
    until: state.until ?? null,
  });
  return 'execute';
}

function sendDecisions(response: Response, { alerts, retry }: HookAnswer, { clean }: AdminRoutes): Decision {
  const data = {
    alerts: alerts.map(({ fingerprint, rule, decision, reason, actionId }) => ({
      fingerprint: clean(fingerprint),
      rule: rule ?? null,
      decision,
      reason: clean(reason),
      actionId: actionId ?? null,
    })),
  };
  if (retry) {
    response.setHeader('Retry-After', String(RETRY_SECONDS));
    // An alert of which the target is gone asks for no retry: only that the server is.
    const noAudit = alerts.some(({ decision }) => decision === 'audit');
    const message = 'some alerts could not be decided: send them again';
    refuse(response, 503, noAudit ? 'audit' : 'rras_down', message, data);
    return noAudit ? 'audit' : 'gone';
  }
  succeed(response, data);
  return 'execute';
}

/** Answers a request that failed. Answers the decision that is counted. */
function answerError(response: Response, error: unknown, { isBodyProblem }: AdminRoutes): Decision {
  if (response.headersSent || response.destroyed) return 'invalid';
  if (error instanceof Refusal) {
    const { status, errorType, message, decision, retryAfterSeconds } = error;
    if (status === 401) response.setHeader('WWW-Authenticate', 'Bearer realm="rras-exporter"');
    if (retryAfterSeconds !== undefined) response.setHeader('Retry-After', String(retryAfterSeconds));
    refuse(response, status, errorType, message);
    return decision;
  }
  if (error instanceof BodyError) {
    refuse(response, error.status, 'bad_data', error.message);
    return 'invalid';
  }
  if (isBodyProblem(error)) {
    refuse(response, 400, 'bad_data', error.message);
    return 'invalid';
  }
  throw error;
}

function toObject(record: ActionRecord, { clean, showAddress }: AdminRoutes): ActionObject {
  const { target, endpoint, alert, outcome, history, override, reason, ...rest } = record;
  return {
    ...rest,
    reason: clean(reason),
    interface: target.interface === undefined ? null : clean(target.interface),
    connection: target.connection ?? null,
    override: [...override],
    endpoint: endpoint
      ? {
          interfaceIndex: endpoint.interfaceIndex,
          localAddress: showAddress(endpoint.localAddress),
          remoteAddress: showAddress(endpoint.remoteAddress),
        }
      : null,
    alert: alert ? { ...alert } : null,
    history: [...history],
    outcome: outcome ? { ...outcome } : null,
  };
}

/** W3C Trace Context, version 00 and what later ones have in common with it. */
const TRACEPARENT = /^[\da-f]{2}-[\da-f]{32}-[\da-f]{16}-[\da-f]{2}$/;

/** The trace that the request is part of; one that is malformed is none. */
function traceparentOf(request: Request): string | undefined {
  const value = request.get('traceparent');
  return value !== undefined && TRACEPARENT.test(value) ? value : undefined;
}
