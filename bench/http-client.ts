/** A client that takes the time to the last byte of an answer. It does not decompress. */
import { Agent, request } from 'node:http';
import { createServer } from 'node:net';

const agent = new Agent({ keepAlive: true, maxSockets: 1 });

export interface TimedAnswer {
  readonly ms: number;
  readonly bytes: number;
  /** As it came over the wire. */
  readonly chunks: readonly Buffer[];
}

export interface Sending {
  readonly method?: 'GET' | 'PUT';
  readonly gzip?: boolean;
  readonly body?: readonly Uint8Array[];
}

/** Rejects if the answer is not a success, or not encoded as it was asked for. */
export function timedRequest(
  url: string,
  { method = 'GET', gzip = false, body }: Sending = {},
): Promise<TimedAnswer> {
  return new Promise((resolve, reject) => {
    const started = performance.now();
    const headers = { 'Accept-Encoding': gzip ? 'gzip' : 'identity' };
    const sent = request(url, { method, agent, headers }, (response) => {
      const chunks: Buffer[] = [];
      let bytes = 0;
      response.on('data', (chunk: Buffer) => {
        chunks.push(chunk);
        bytes += chunk.length;
      });
      response.on('error', reject);
      response.on('end', () => {
        const ms = performance.now() - started;
        const { statusCode = 0, headers: answered } = response;
        const isGzip = answered['content-encoding'] === 'gzip';
        if (statusCode >= 300) {
          reject(
            new Error(`${url} was answered ${statusCode}: ${Buffer.concat(chunks).toString().slice(0, 500)}`),
          );
        } else if (isGzip !== gzip)
          reject(new Error(`${url} was answered ${isGzip ? 'compressed' : 'plain'}`));
        else resolve({ ms, bytes, chunks });
      });
    });
    sent.on('error', reject);
    for (const chunk of body ?? []) sent.write(chunk);
    sent.end();
  });
}

/** A port of 127.0.0.1 that was free a moment ago. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => {
        if (address === null || typeof address === 'string') reject(new Error('there is no free port'));
        else resolve(address.port);
      });
    });
  });
}

export function closeConnections(): void {
  agent.destroy();
}
