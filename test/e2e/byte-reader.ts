/** Clients for pages of tens of megabytes: they keep bytes only where asked to, and some of them do not read. */
import { readFileSync } from 'node:fs';
import type { Agent, IncomingHttpHeaders } from 'node:http';
import { get } from 'node:http';
import type { Socket } from 'node:net';
import { connect } from 'node:net';

export interface Taken {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly bytes: number;
  readonly ms: number;
  /** Empty unless kept. */
  readonly body: Buffer;
}

export interface TakeOptions {
  readonly headers?: Readonly<Record<string, string>>;
  readonly keep?: boolean;
  readonly agent?: Agent;
}

export const GZIP = { 'Accept-Encoding': 'gzip' };
const TIMEOUT_MS = 30_000;

/** Reads a whole answer; rejects if it breaks off. */
export function take(url: string, { headers = {}, keep = false, agent }: TakeOptions = {}): Promise<Taken> {
  return new Promise((resolve, reject) => {
    const started = performance.now();
    const options = { headers, agent: agent ?? (false as const), signal: AbortSignal.timeout(TIMEOUT_MS) };
    get(url, options, (response) => {
      const chunks: Buffer[] = [];
      let bytes = 0;
      response.on('data', (chunk: Buffer) => {
        bytes += chunk.length;
        if (keep) chunks.push(chunk);
      });
      response.on('error', reject);
      response.on('end', () => {
        const ms = performance.now() - started;
        resolve({
          status: response.statusCode ?? 0,
          headers: response.headers,
          bytes,
          ms,
          body: Buffer.concat(chunks),
        });
      });
    }).on('error', reject);
  });
}

/** A client that has asked for the metrics and takes nothing, or a little at a time. */
export class LazyReader {
  readonly #socket: Socket;
  readonly #serverPort: number;
  readonly #asked: Promise<void>;
  #trickle: NodeJS.Timeout | undefined;
  #taken = 0;
  readonly askedAtMs = performance.now();
  /** When the server was seen to have let go. */
  cutAtMs: number | undefined;

  constructor(url: string, headers: Readonly<Record<string, string>>) {
    const { hostname, port } = new URL(url);
    this.#serverPort = Number(port);
    this.#socket = connect({ host: hostname, port: this.#serverPort, noDelay: true });
    this.#socket.pause();
    this.#socket.on('error', () => undefined);
    const lines = Object.entries({ Host: 'x', ...headers }).map(([name, value]) => `${name}: ${value}\r\n`);
    this.#asked = new Promise((resolve) => {
      this.#socket.write(`GET /metrics HTTP/1.1\r\n${lines.join('')}\r\n`, () => resolve());
    });
  }

  get asked(): Promise<void> {
    return this.#asked;
  }

  get taken(): number {
    return this.#taken;
  }

  trickle(bytes: number, everyMs: number): void {
    // Who listens for this reads when it wants to.
    this.#socket.on('readable', () => undefined);
    this.#trickle = setInterval(() => {
      const some = this.#socket.read(bytes) as Buffer | null;
      this.#taken += some?.length ?? 0;
    }, everyMs);
  }

  /**
   * To be called often: what a client itself sees ends only after it has read what is on its way. One look at the table
   * of connections for all, as it would hold up what is measured otherwise.
   */
  static look(readers: readonly LazyReader[]): void {
    const [first] = readers;
    if (!first) return;
    const open = clientsOf(first.#serverPort);
    for (const reader of readers) {
      const mine = reader.#socket.localPort;
      if (mine !== undefined && !open.has(hexPort(mine))) reader.cutAtMs ??= performance.now();
    }
  }

  /** Reads what is left; the length of the body that was told and the one that came in all. */
  async rest(): Promise<{ readonly told: number; readonly came: number }> {
    clearInterval(this.#trickle);
    const chunks: Buffer[] = [];
    this.#socket.removeAllListeners('readable');
    this.#socket.on('data', (chunk: Buffer) => chunks.push(chunk));
    const closed = new Promise<void>((resolve) => {
      if (this.#socket.closed) resolve();
      this.#socket.on('close', () => resolve());
    });
    this.#socket.resume();
    await closed;
    const all = Buffer.concat(chunks);
    // The trickling one has thrown the head away.
    const head = all.indexOf('\r\n\r\n');
    const told = /^content-length: (\d+)\r?$/im.exec(all.subarray(0, head).toString('latin1'))?.[1];
    return { told: Number(told ?? NaN), came: this.#taken + all.length - (this.#taken > 0 ? 0 : head + 4) };
  }

  end(): void {
    clearInterval(this.#trickle);
    this.#socket.destroy();
  }
}

const ESTABLISHED = '01';
const hexPort = (port: number): string => port.toString(16).toUpperCase().padStart(4, '0');

/** The client's port of each connection whose end at the server is open. Linux. */
function clientsOf(serverPort: number): ReadonlySet<string> {
  const pattern = new RegExp(
    `^ *\\d+: [\\dA-F]{8}:${hexPort(serverPort)} [\\dA-F]{8}:([\\dA-F]{4}) ${ESTABLISHED} `,
    'gm',
  );
  const table = readFileSync('/proc/net/tcp', 'latin1');
  return new Set(Array.from(table.matchAll(pattern), ([, port]) => port!));
}
