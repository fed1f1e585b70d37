/**
 * An HTTPS server, for HTTP/1.1 and HTTP/2, that asks anew for each connection what certificate to show and whom to let in. Nothing that a client
 * does before it is let in reaches the log above `debug`.
 */
import type { RequestListener, ServerOptions } from 'node:http';
import type { Server } from 'node:https';
import { createServer as createHttpsServer } from 'node:https';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { Server as TlsServer, TLSSocket } from 'node:tls';
import { createServer as createTlsServer } from 'node:tls';
import type { Clock } from '../model/clock.ts';
import type { Logger } from '../model/logger.ts';
import type { ClientRules } from './client-certificates.ts';
import { refusalOf, rememberClient } from './client-certificates.ts';
import { createHttp2Engine } from './http2-server.ts';
import { withoutFloods } from './pipelining.ts';
import type { TlsMaterial } from './tls-material.ts';
import type { TlsConfig } from './web-config-schema.ts';

const HANDSHAKE_TIMEOUT_MS = 5_000;

export interface SecureServer {
  readonly server: Server;
  /** Ends connections without a request, and the others once theirs are answered. */
  closeIdle(): void;
}

/** `material` rejects if there is nothing to speak TLS with: the connection is closed then. */
export function createSecureServer(
  options: ServerOptions,
  handler: RequestListener,
  material: () => Promise<TlsMaterial>,
  { logger, clock }: { readonly logger: Logger; readonly clock: Clock },
): SecureServer {
  const server = createHttpsServer(options, withoutFloods(handler));
  const http2 = createHttp2Engine(handler, clock, logger);
  // TLS is spoken by engines that live as long as their certificate; this server takes over behind the handshake.
  server.removeAllListeners('connection');
  let current: { readonly material: TlsMaterial; readonly engine: TlsServer } | undefined;
  const engineFor = (wanted: TlsMaterial): TlsServer => {
    if (current?.material !== wanted) {
      const engine = createEngine(wanted, logger, (socket) => {
        if (socket.alpnProtocol === 'h2') http2.take(socket);
        else server.emit('secureConnection', socket);
      });
      current = { material: wanted, engine };
    }
    return current.engine;
  };
  server.on('connection', (raw: Socket) => {
    const giveUp = (): void => void raw.destroy();
    raw.on('error', giveUp);
    raw.setTimeout(HANDSHAKE_TIMEOUT_MS, giveUp);
    material().then((wanted) => {
      raw.setTimeout(0, giveUp);
      if (!raw.destroyed) engineFor(wanted).emit('connection', raw);
    }, giveUp);
  });
  return {
    server,
    closeIdle: () => {
      server.closeIdleConnections();
      http2.close();
    },
  };
}

function createEngine(
  { options, rules }: TlsMaterial,
  logger: Logger,
  accept: (socket: TLSSocket) => void,
): TlsServer {
  const engine = createTlsServer({ ...options, handshakeTimeout: HANDSHAKE_TIMEOUT_MS });
  engine.on('tlsClientError', (error, socket) => {
    logger.debug('a TLS handshake failed', { error: error.message });
    socket.destroy();
  });
  engine.on('secureConnection', (socket) => {
    const refusal = refusalOf(socket, rules);
    if (refusal !== null) {
      logger.debug('a client certificate was refused', { reason: refusal });
      socket.destroy();
      return;
    }
    rememberClient(socket, rules);
    rulesOf.set(socket, rules);
    accept(socket);
  });
  return engine;
}

const rulesOf = new WeakMap<Duplex, ClientRules>();

/**
 * True if the connection was let in by rules that no longer hold: whom they let in may be shut out by now. `material` is
 * asked for only if a certificate has or had a say in it.
 */
export async function isOutdated(
  socket: Duplex,
  config: TlsConfig,
  material: () => Promise<TlsMaterial>,
): Promise<boolean> {
  const letIn = rulesOf.get(socket);
  if (!letIn || (letIn.auth === 'NoClientCert' && config.clientAuth === 'NoClientCert')) return false;
  return letIn.id !== (await material()).rules.id;
}
