/** One HTTP/2 connection of a client, real TLS and all; what the server sent is what is seen. */
import type { ClientHttp2Session, ClientHttp2Stream, IncomingHttpHeaders } from 'node:http2';
import { connect } from 'node:http2';
import type { SecureClientSessionOptions } from 'node:http2';
import type { Identity } from './certificates.ts';

export interface Http2Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
  readonly text: string;
  /** 0: the stream ended as it should. */
  readonly code: number;
}

export interface Http2Asked {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
}

export class Http2Client {
  readonly session: ClientHttp2Session;
  /** Also if the connection fails. */
  readonly closed: Promise<void>;

  private constructor(session: ClientHttp2Session) {
    this.session = session;
    session.on('error', () => undefined);
    this.closed = new Promise((resolve) => session.once('close', () => resolve()));
  }

  /** Rejects if the server does not let the client in. */
  static async open(
    url: string,
    ca: string,
    options: SecureClientSessionOptions & { readonly client?: Identity } = {},
  ): Promise<Http2Client> {
    const { client: identity, ...rest } = options;
    const session = connect(url, {
      ca,
      ...(identity && { cert: identity.cert, key: identity.key }),
      ...rest,
    });
    const client = new Http2Client(session);
    await new Promise<void>((resolve, reject) => {
      // A client that is refused has shaken hands before it learns of it; the settings of the server it does not get.
      session.once('remoteSettings', () => resolve());
      session.once('error', reject);
      session.once('close', () => reject(new Error('closed')));
    });
    return client;
  }

  ask(path: string, { method = 'GET', headers = {}, body }: Http2Asked = {}): ClientHttp2Stream {
    const stream = this.session.request(
      { ':method': method, ':path': path, ...headers },
      { endStream: body === undefined },
    );
    stream.on('error', () => undefined);
    if (body !== undefined) stream.end(body);
    return stream;
  }

  async get(path = '/', asked: Http2Asked = {}): Promise<Http2Answer> {
    return answerOf(this.ask(path, asked));
  }

  end(): void {
    this.session.destroy();
  }
}

export function answerOf(stream: ClientHttp2Stream): Promise<Http2Answer> {
  const chunks: Buffer[] = [];
  let headers: IncomingHttpHeaders = {};
  let status = 0;
  stream.once('response', (received) => {
    headers = received;
    status = received[':status'] ?? 0;
  });
  stream.on('data', (chunk: Buffer) => chunks.push(chunk));
  return new Promise((resolve) =>
    stream.once('close', () => {
      const body = Buffer.concat(chunks);
      resolve({ status, headers, body, text: body.toString(), code: stream.rstCode });
    }),
  );
}
