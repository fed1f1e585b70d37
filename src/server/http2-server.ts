/**
 * HTTP/2 over connections of TLS that are there already, with the bounds that the HTTP/1.1 side has: how long a client may
 * take to ask, how much at once, and how long it may ask for nothing.
 */
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import type { IncomingHttpHeaders, ServerHttp2Session, ServerHttp2Stream } from 'node:http2';
import { constants, createServer, Http2ServerRequest, Http2ServerResponse } from 'node:http2';
import type { ReadableOptions } from 'node:stream';
import type { TLSSocket } from 'node:tls';
import type { Clock } from '../model/clock.ts';
import type { Logger } from '../model/logger.ts';

export interface Http2Engine {
  /** Speaks HTTP/2 on a connection whose client asked for it. */
  take(socket: TLSSocket): void;
  /** Takes no more requests; what is under way may go on. */
  close(): void;
}

/** From the handshake to the first request. */
const FIRST_REQUEST_MS = 5_000;
const REQUEST_TIMEOUT_MS = 10_000;
const IDLE_MS = 90_000;
/** Longer than any route needs, with its answer: a scrape may wait for an hour, an action for two minutes. */
const LIFE_MS = 3_630_000;
const MAX_STREAMS = 100;
const MAX_HEADER_BYTES = 16 * 1024;
const MAX_HEADERS = 100;
/** Requests that a client takes back: so many at once, then so many a second; beyond that it is cut off (CVE-2023-44487). */
const RESETS = { streamResetBurst: 200, streamResetRate: 20 };
const { NGHTTP2_CANCEL } = constants;

/** Of a socket: itself. What HTTP/2 shows of a socket is a proxy, which knows its properties, but is another object. */
const SELF = Symbol('socket');
type Known = TLSSocket & { [SELF]?: TLSSocket };

/** As a request of HTTP/1.1 where the two differ. */
export class Http2Request extends Http2ServerRequest {
  constructor(
    stream: ServerHttp2Stream,
    headers: IncomingHttpHeaders,
    options: ReadableOptions,
    rawHeaders: readonly string[],
  ) {
    const authority = headers[':authority'];
    if (authority !== undefined) headers.host = authority;
    super(stream, headers, options, rawHeaders);
    // Who asks is known by the socket, also when the stream has ended; and there is no way to end a client but by it.
    const socket = (stream.session?.socket as Known | undefined)?.[SELF];
    Object.defineProperty(this, 'socket', { value: socket });
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    this.stream.close(NGHTTP2_CANCEL);
    callback(error);
  }
}

/** As an answer of HTTP/1.1 where the two differ. */
export class Http2Response extends Http2ServerResponse {
  // @ts-expect-error: Node declares a property and has none.
  override get destroyed(): boolean {
    return this.stream.destroyed;
  }

  override setHeader(name: string, value: number | string | readonly string[]): this {
    super.setHeader(name, value);
    return this;
  }

  /** Else the client might take what it has for the whole answer. */
  override destroy(error?: Error): this {
    this.stream.close(NGHTTP2_CANCEL);
    super.destroy(error);
    return this;
  }
}

export function createHttp2Engine(handler: RequestListener, clock: Clock, logger: Logger): Http2Engine {
  const server = createServer({
    settings: { maxConcurrentStreams: MAX_STREAMS, maxHeaderListSize: MAX_HEADER_BYTES },
    maxHeaderListPairs: MAX_HEADERS,
    ...RESETS,
    Http2ServerRequest: Http2Request,
    Http2ServerResponse: Http2Response,
  });
  const sessions = new Set<ServerHttp2Session>();
  let closing = false;
  server.on('request', (request, response) => {
    // Taken back already: nothing of it is begun.
    if (request.stream.destroyed) return;
    handler(request as unknown as IncomingMessage, response as unknown as ServerResponse);
  });
  server.on('sessionError', (error: Error) =>
    logger.debug('an HTTP/2 connection failed', { error: error.message }),
  );
  server.on('session', (begun) => {
    const session = begun as unknown as ServerHttp2Session;
    sessions.add(session);
    session.once('close', () => sessions.delete(session));
    bound(session, clock);
    if (closing) session.close();
  });
  return {
    take: (socket: Known) => {
      socket[SELF] = socket;
      server.emit('connection', socket);
    },
    close: () => {
      closing = true;
      for (const session of sessions) session.close();
    },
  };
}

/** Ends a session that asks for nothing, and requests that do not come to their end. */
function bound(session: ServerHttp2Session, clock: Clock): void {
  const after = (ms: number, end: () => void): AbortController => {
    const over = new AbortController();
    clock.sleep(ms, over.signal).then(end, () => undefined);
    return over;
  };
  const idleFor = (ms: number): AbortController => after(ms, () => session.destroy());
  let open = 0;
  let idle = idleFor(FIRST_REQUEST_MS);
  session.once('close', () => idle.abort());
  session.on('stream', (stream) => {
    if (stream.destroyed) return;
    open += 1;
    idle.abort();
    const cut = (): void => stream.close(NGHTTP2_CANCEL);
    const living = after(LIFE_MS, cut);
    const asking = stream.endAfterHeaders ? undefined : after(REQUEST_TIMEOUT_MS, cut);
    stream.once('end', () => asking?.abort());
    stream.once('close', () => {
      living.abort();
      asking?.abort();
      open -= 1;
      if (open === 0 && !session.destroyed) idle = idleFor(IDLE_MS);
    });
  });
}
