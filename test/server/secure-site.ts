/** A small site behind a web configuration, on a free port of 127.0.0.1, and clients with and without certificates. */
import type { IncomingMessage } from 'node:http';
import { request as httpRequest } from 'node:http';
import type { RequestOptions } from 'node:https';
import { request as httpsRequest } from 'node:https';
import { TLSSocket } from 'node:tls';
import express from 'express';
import type { Clock } from '../../src/model/clock.ts';
import type { LogFields, Logger } from '../../src/model/logger.ts';
import { overBothVersions } from '../../src/server/http2-express.ts';
import type { Listener } from '../../src/server/listen.ts';
import { listen } from '../../src/server/listen.ts';
import type { WebSecurity } from '../../src/server/web-security.ts';
import { openWebSecurity } from '../../src/server/web-security.ts';
import { FakeClock } from '../doubles/fake-clock.ts';
import type { Identity } from './certificates.ts';
import type { Answer } from './http-client.ts';
import { WebConfigFolder } from './web-config-folder.ts';

export interface Line {
  readonly level: keyof Logger;
  readonly message: string;
  readonly fields: LogFields | undefined;
}

export interface Asked extends RequestOptions {
  readonly client?: Identity;
  readonly user?: string;
  readonly password?: string | Buffer;
}

export interface SecureAnswer extends Answer {
  /** Of the server; '' over plain HTTP. */
  readonly fingerprint: string;
  readonly protocol: string | null;
  readonly cipher: string;
}

export class SecureSite {
  readonly folder: WebConfigFolder;
  readonly path: string;
  readonly security: WebSecurity;
  readonly listener: Listener;
  readonly lines: readonly Line[];
  readonly clock: Clock;

  private constructor(parts: Omit<SecureSite, 'get' | 'close' | 'write' | 'log' | 'port'>) {
    this.folder = parts.folder;
    this.path = parts.path;
    this.security = parts.security;
    this.listener = parts.listener;
    this.lines = parts.lines;
    this.clock = parts.clock;
  }

  static async open(
    config: string | ((folder: WebConfigFolder) => string),
    options: {
      readonly seen?: (request: IncomingMessage) => unknown;
      readonly clock?: Clock;
    } = {},
  ): Promise<SecureSite> {
    const { seen = () => 'welcome', clock = new FakeClock() } = options;
    const folder = new WebConfigFolder();
    const path = folder.write('web.yml', typeof config === 'string' ? config : config(folder));
    const lines: Line[] = [];
    const at =
      (level: keyof Logger) =>
      (message: string, fields?: LogFields): void =>
        void lines.push({ level, message, fields });
    const logger = { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') };
    const security = await openWebSecurity(path, { logger, clock });
    const app = express();
    app.disable('x-powered-by');
    app.use(security.headers, security.limit);
    app.get('/open', (_request, response) => void response.end('open'));
    app.use(security.basicAuth);
    app.use((request, response) => void response.json(seen(request)));
    const listener = await listen({ host: '127.0.0.1', port: 0 }, overBothVersions(app), security);
    return new SecureSite({ folder, path, security, listener, lines, clock });
  }

  get port(): number {
    return Number(new URL(this.listener.url).port);
  }

  /** The log from `info` on, as texts. */
  get log(): readonly string[] {
    return this.lines
      .filter(({ level }) => level !== 'debug')
      .map(({ level, message }) => `${level}: ${message}`);
  }

  write(config: string): void {
    this.folder.write('web.yml', config);
  }

  /** Rejects if there is no answer. */
  get(path = '/', asked: Asked = {}): Promise<SecureAnswer> {
    const { client, user, password, ...options } = asked;
    const basic = Buffer.concat([Buffer.from(`${user ?? ''}:`), Buffer.from(password ?? '')]).toString(
      'base64',
    );
    return new Promise((resolve, reject) => {
      const send = this.security.tls ? httpsRequest : httpRequest;
      const sent = send(
        this.listener.url + path,
        {
          agent: false,
          ca: this.folder.serverCa.cert,
          ...(client && { cert: client.cert, key: client.key }),
          ...(user !== undefined && { headers: { authorization: `Basic ${basic}` } }),
          signal: AbortSignal.timeout(15_000),
          ...options,
        },
        (response) => {
          const chunks: Buffer[] = [];
          const { socket } = response;
          const tls = socket instanceof TLSSocket ? socket : null;
          const fingerprint = tls?.getPeerCertificate().fingerprint256 ?? '';
          const protocol = tls?.getProtocol() ?? null;
          const cipher = tls?.getCipher().name ?? '';
          response.on('data', (chunk: Buffer) => chunks.push(chunk));
          response.on('error', reject);
          response.on('end', () => {
            const body = Buffer.concat(chunks);
            const { statusCode: status = 0, headers } = response;
            resolve({ status, headers, body, text: body.toString(), fingerprint, protocol, cipher });
          });
        },
      );
      sent.on('error', reject);
      sent.end();
    });
  }

  async close(): Promise<void> {
    this.listener.force();
    await this.listener.close(AbortSignal.abort());
    this.folder.remove();
  }
}
