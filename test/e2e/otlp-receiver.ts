/**
 * An OTLP endpoint (protobuf over HTTP) in the test's own process, which keeps what it was sent and gives trouble on
 * demand. Strict where the specification is: what a real collector would refuse is an error here that the test sees.
 */
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as wait } from 'node:timers/promises';
import { gunzipSync } from 'node:zlib';
import { until } from './program.ts';
import type { LogRecord, Metric, Signal, Span } from './otlp-messages.ts';
import { decodeLogs, decodeMetrics, decodeSpans, partialSuccess, SIGNALS } from './otlp-messages.ts';

/** How requests are answered. */
export type Answering =
  | { readonly kind: 'take' }
  /** A status other than 200; with Retry-After if it is given. */
  | { readonly kind: 'refuse'; readonly status: number; readonly retryAfterSeconds?: number }
  /** 200 that says that some was not taken. */
  | { readonly kind: 'partial'; readonly rejected: number; readonly message: string }
  /** Takes it after this time. */
  | { readonly kind: 'slow'; readonly afterMs: number }
  /** Reads the request and never answers. */
  | { readonly kind: 'hang' }
  /** Closes the connection without an answer. */
  | { readonly kind: 'drop' }
  /** 200 with a body that is no protobuf. */
  | { readonly kind: 'garbage' };

export interface Received {
  readonly signal: Signal;
  /** performance.now() when the whole request was there. */
  readonly atMs: number;
  /** Decompressed. */
  readonly bytes: number;
  readonly headers: Readonly<IncomingMessage['headers']>;
  readonly metrics: readonly Metric[];
  readonly spans: readonly Span[];
  readonly logs: readonly LogRecord[];
}

const TAKE: Answering = { kind: 'take' };

const EMPTY = { metrics: [], spans: [], logs: [] } as const;
const DECODE: Readonly<Record<Signal, (body: Buffer) => Pick<Received, 'metrics' | 'spans' | 'logs'>>> = {
  metrics: (body) => ({ ...EMPTY, metrics: decodeMetrics(body) }),
  traces: (body) => ({ ...EMPTY, spans: decodeSpans(body) }),
  logs: (body) => ({ ...EMPTY, logs: decodeLogs(body) }),
};

export class OtlpReceiver {
  /** Every request, also one that was answered with an error; only the newest where `keep` says so. */
  readonly received: Received[] = [];
  /** Requests by signal, since the start. */
  readonly counts: Record<Signal, number> = { metrics: 0, traces: 0, logs: 0 };
  /** What a collector would complain about. */
  readonly complaints: string[] = [];
  /** Requests that are being answered at the moment, and the most at once. */
  #open = 0;
  mostAtOnce = 0;
  readonly #keep: number;
  readonly #answering: Record<Signal, Answering> = { metrics: TAKE, traces: TAKE, logs: TAKE };
  #server: Server | undefined;
  #port = 0;

  private constructor(keep: number) {
    this.#keep = keep;
  }

  static async start({ keep = Infinity }: { readonly keep?: number } = {}): Promise<OtlpReceiver> {
    const receiver = new OtlpReceiver(keep);
    await receiver.comeBack();
    return receiver;
  }

  /** For OTEL_EXPORTER_OTLP_ENDPOINT. */
  get url(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  /** How many are open. */
  get connections(): Promise<number> {
    return new Promise((resolve, reject) =>
      this.#server!.getConnections((error, count) => (error ? reject(error) : resolve(count))),
    );
  }

  /** From now on, for one signal or for all. */
  answer(answering: Answering, signals: readonly Signal[] = SIGNALS): void {
    for (const signal of signals) this.#answering[signal] = answering;
  }

  /** Breaks all connections off and refuses new ones until `comeBack`. */
  async goAway(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    if (!server) return;
    await new Promise((resolve) => {
      server.close(resolve);
      server.closeAllConnections();
    });
  }

  /** On the same port. */
  async comeBack(): Promise<void> {
    const server = createServer(
      { keepAliveTimeout: 60_000 },
      (request, response) => void this.#serve(request, response),
    );
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(this.#port, '127.0.0.1', resolve);
    });
    this.#port = (server.address() as AddressInfo).port;
    this.#server = server;
  }

  of(signal: Signal): Received[] {
    return this.received.filter((each) => each.signal === signal);
  }

  get metrics(): Metric[] {
    return this.received.flatMap(({ metrics }) => metrics);
  }

  get spans(): Span[] {
    return this.received.flatMap(({ spans }) => spans);
  }

  get logs(): LogRecord[] {
    return this.received.flatMap(({ logs }) => logs);
  }

  /** The next whole requests of this signal from now on. */
  async next(signal: Signal, count = 1, withinMs = 10_000): Promise<Received[]> {
    const before = this.counts[signal];
    await until(`${count} more requests of ${signal}`, () => this.counts[signal] >= before + count, withinMs);
    return this.of(signal).slice(-(this.counts[signal] - before));
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    this.mostAtOnce = Math.max(this.mostAtOnce, ++this.#open);
    response.on('close', () => this.#open--);
    try {
      const chunks: Buffer[] = [];
      for await (const chunk of request) chunks.push(chunk as Buffer);
      const signal = SIGNALS.find((each) => request.url === `/v1/${each}`);
      const type = request.headers['content-type'];
      if (request.method !== 'POST' || signal === undefined || type !== 'application/x-protobuf') {
        this.complaints.push(`${request.method ?? ''} ${request.url ?? ''} of type ${type ?? ''}`);
        response.writeHead(signal === undefined ? 404 : 415).end();
        return;
      }
      this.#take(signal, request, Buffer.concat(chunks));
      await answerTo(response, this.#answering[signal]);
    } catch (error) {
      // The exporter or the test broke the connection off.
      if (!request.complete || response.destroyed) return;
      this.complaints.push(String(error));
      response.writeHead(400).end();
    }
  }

  #take(signal: Signal, { headers }: IncomingMessage, sent: Buffer): void {
    const encoding = headers['content-encoding'] ?? 'identity';
    if (encoding !== 'identity' && encoding !== 'gzip') throw new Error(`the encoding ${encoding}`);
    const body = encoding === 'gzip' ? gunzipSync(sent) : sent;
    this.received.push({
      signal,
      atMs: performance.now(),
      bytes: body.length,
      headers,
      ...DECODE[signal](body),
    });
    if (this.received.length > this.#keep) this.received.shift();
    this.counts[signal]++;
  }
}

async function answerTo(response: ServerResponse, answering: Answering): Promise<void> {
  const type = { 'Content-Type': 'application/x-protobuf' };
  switch (answering.kind) {
    case 'take':
      response.writeHead(200, type).end();
      return;
    case 'refuse': {
      const { status, retryAfterSeconds } = answering;
      const after = retryAfterSeconds === undefined ? {} : { 'Retry-After': String(retryAfterSeconds) };
      response.writeHead(status, { ...type, ...after }).end();
      return;
    }
    case 'partial':
      response.writeHead(200, type).end(partialSuccess(answering.rejected, answering.message));
      return;
    case 'slow':
      await wait(answering.afterMs);
      response.writeHead(200, type).end();
      return;
    case 'hang':
      return;
    case 'drop':
      response.destroy();
      return;
    case 'garbage':
      response.writeHead(200, type).end(Buffer.alloc(64, 0xff));
  }
}
