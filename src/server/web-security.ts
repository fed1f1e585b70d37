/**
 * What `--web.config.file` makes of the listeners: TLS, client certificates, basic authentication, headers and the rate
 * limit. The file is looked at again for every connection and request; while it cannot be used, all are refused.
 */
import type { IncomingMessage, RequestListener, Server, ServerOptions, ServerResponse } from 'node:http';
import { createServer as createHttpServer, STATUS_CODES } from 'node:http';
import type { Request, RequestHandler } from 'express';
import type { Clock } from '../model/clock.ts';
import type { Logger } from '../model/logger.ts';
import { loadVerify, parseBasicCredentials, PasswordChecker } from './password-checker.ts';
import { withoutFloods } from './pipelining.ts';
import { cutOffLate } from './response-deadline.ts';
import { createSecureServer, isOutdated } from './tls-server.ts';
import { TokenBucket } from './token-bucket.ts';
import type { WebConfig } from './web-config-schema.ts';
import { verifiesClients, WebConfigSource } from './web-config-source.ts';

export interface WebSecurityParts {
  readonly logger: Logger;
  readonly clock: Clock;
}

export interface WebServer {
  readonly server: Server;
  /** Ends connections without a request. */
  closeIdle(): void;
}

export interface WebSecurity {
  /** True if the listeners speak TLS; does not change while the program runs. */
  readonly tls: boolean;
  /** True if nobody gets in without a password or a verified certificate; stays so while the program runs. */
  readonly authenticates: boolean;
  /** A server that speaks what the file says, and answers 500 while the file cannot be used. */
  createServer(options: ServerOptions, handler: RequestListener): WebServer;
  /** Sets the configured headers; stands before the others, so that refusals bear them, too. */
  readonly headers: RequestHandler;
  /** Refuses requests beyond the configured rate with 429. */
  readonly limit: RequestHandler;
  /** Refuses requests without the name and password of a configured user with 401; lets all pass if there are none. */
  readonly basicAuth: RequestHandler;
  /** True if `basicAuth` lets nobody pass without a password. To be asked behind `headers`. */
  readonly asksForPassword: (request: Request) => Promise<boolean>;
}

/** Rejects with an error of one line if the file, or what it takes, cannot be used. */
export async function openWebSecurity(path: string, parts: WebSecurityParts): Promise<WebSecurity> {
  const source = new WebConfigSource(path, parts);
  const started = await source.open();
  if (started.users.size > 0) await loadVerify();
  return new FileWebSecurity(source, started, parts);
}

class FileWebSecurity implements WebSecurity {
  readonly tls: boolean;
  readonly authenticates: boolean;
  readonly #source: WebConfigSource;
  readonly #parts: WebSecurityParts;
  readonly #passwords = new PasswordChecker();
  /** One look at the file for each request: its handlers go by the same configuration. */
  readonly #configs = new WeakMap<IncomingMessage, Promise<WebConfig>>();
  #bucket: { readonly key: string; readonly tokens: TokenBucket } | undefined;

  constructor(source: WebConfigSource, started: WebConfig, parts: WebSecurityParts) {
    this.#source = source;
    this.#parts = parts;
    this.tls = started.tls !== null;
    this.authenticates = started.users.size > 0 || verifiesClients(started);
  }

  createServer(options: ServerOptions, handler: RequestListener): WebServer {
    const guarded: RequestListener = (request, response) => {
      void this.#guard(request, response, handler);
    };
    if (this.tls) return createSecureServer(options, guarded, () => this.#source.tls(), this.#parts);
    return createPlainServer(options, guarded);
  }

  readonly headers: RequestHandler = async (request, response, next) => {
    const config = await this.#configFor(request, response);
    if (!config) return;
    for (const [name, value] of config.headers) response.setHeader(name, value);
    next();
  };

  readonly limit: RequestHandler = async (request, response, next) => {
    const config = await this.#configFor(request, response);
    if (!config) return;
    const waitMs = this.#take(config);
    if (waitMs === 0) {
      next();
      return;
    }
    response.setHeader('Retry-After', Math.ceil(waitMs / 1000));
    refuse(response, 429);
  };

  readonly basicAuth: RequestHandler = async (request, response, next) => {
    const config = await this.#configFor(request, response);
    if (!config) return;
    if (config.users.size === 0) {
      next();
      return;
    }
    const credentials = parseBasicCredentials(request.headers.authorization);
    const verdict =
      credentials &&
      (await this.#passwords.check(config.users, credentials, request.socket.remoteAddress ?? ''));
    if (verdict === 'right') {
      next();
      return;
    }
    if (verdict === 'busy') {
      response.setHeader('Retry-After', '1');
      refuse(response, 503);
      return;
    }
    response.setHeader('WWW-Authenticate', 'Basic');
    refuse(response, 401);
  };

  readonly asksForPassword = async (request: Request): Promise<boolean> =>
    ((await this.#configs.get(request))?.users.size ?? 0) > 0;

  async #guard(request: IncomingMessage, response: ServerResponse, handler: RequestListener): Promise<void> {
    const config = await this.#configFor(request, response);
    if (!config) {
      cutOffLate(response, this.#parts.clock);
      return;
    }
    if (await this.#isShutOut(request, config)) {
      // As if it had been closed while it was idle: clients then connect anew, and are judged by today's rules.
      request.socket.destroy();
      return;
    }
    handler(request, response);
  }

  async #isShutOut({ socket }: IncomingMessage, { tls }: WebConfig): Promise<boolean> {
    try {
      return tls !== null && (await isOutdated(socket, tls, () => this.#source.tls()));
    } catch {
      // New connections are refused; one that is there goes on by the rules that let it in, as in the toolkit.
      return false;
    }
  }

  /** Answers the request and gives undefined if the configuration cannot be used; the log says why. */
  async #configFor(request: IncomingMessage, response: ServerResponse): Promise<WebConfig | undefined> {
    let config = this.#configs.get(request);
    if (!config) {
      config = this.#source.config();
      this.#configs.set(request, config);
    }
    try {
      return await config;
    } catch {
      refuse(response, 500);
      return undefined;
    }
  }

  #take({ rateLimit }: WebConfig): number {
    const key = JSON.stringify(rateLimit);
    if (this.#bucket?.key !== key) {
      const { intervalMs, burst } = rateLimit ?? { intervalMs: 0, burst: 0 };
      this.#bucket = { key, tokens: new TokenBucket(intervalMs, burst, this.#parts.clock) };
    }
    return rateLimit === null ? 0 : this.#bucket.tokens.take();
  }
}

export function createPlainServer(options: ServerOptions, handler: RequestListener): WebServer {
  const server = createHttpServer(options, withoutFloods(handler));
  return { server, closeIdle: () => server.closeIdleConnections() };
}

function refuse(response: ServerResponse, status: number): void {
  response.statusCode = status;
  response.setHeader('Content-Type', 'text/plain; charset=utf-8');
  response.setHeader('X-Content-Type-Options', 'nosniff');
  response.setHeader('Cache-Control', 'no-store');
  response.end(`${STATUS_CODES[status]}\n`);
}
