/** A plain HTTP client for tests: no pool, no redirects, no decompression; what the server sent is what is seen. */
import type { ClientRequest, IncomingHttpHeaders } from 'node:http';
import { request } from 'node:http';

export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
  readonly text: string;
}

export interface RequestOptions {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  /** Ends the request with an error. */
  readonly timeoutMs?: number;
  /** Told of the request once it is made. */
  readonly onRequest?: (request: ClientRequest) => void;
}

/** Rejects if the connection fails or no whole answer comes in time. */
export function fetchPlain(url: string, options: RequestOptions = {}): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const { timeoutMs = 10_000 } = options;
    const sent = request(
      url,
      {
        method: options.method ?? 'GET',
        agent: false,
        headers: { ...options.headers },
        signal: AbortSignal.timeout(timeoutMs),
      },
      (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('error', reject);
        response.on('end', () => {
          const body = Buffer.concat(chunks);
          const { statusCode = 0, headers } = response;
          resolve({ status: statusCode, headers, body, text: body.toString() });
        });
      },
    );
    sent.on('error', reject);
    options.onRequest?.(sent);
    sent.end(options.body);
  });
}
