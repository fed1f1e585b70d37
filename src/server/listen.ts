/** Opens the listeners, and closes them again without waiting for clients that do not let go. */
import type { RequestListener } from 'node:http';
import type { AddressInfo, Server, Socket } from 'node:net';
import type { WebSecurity } from './web-security.ts';
import { createPlainServer } from './web-security.ts';

/** Where to listen; a null host is every address of the machine. */
export interface Address {
  readonly host: string | null;
  readonly port: number;
}

export interface Listener {
  /** As a person can open it: the address that was bound, with localhost for "every address". */
  readonly url: string;
  /** Stops accepting, lets answers finish until the signal is aborted, then ends what is left. */
  close(signal: AbortSignal): Promise<void>;
  /** Ends every connection at once. */
  force(): void;
}

const HEADERS_TIMEOUT_MS = 5_000;
const REQUEST_TIMEOUT_MS = 10_000;
const CHECKING_INTERVAL_MS = 500;
const MAX_HEADERS = 100;
const MAX_CONNECTIONS = 1024;

/** Rejects with a message that names the address and says what to do. */
export async function listen(
  address: Address,
  handler: RequestListener,
  security?: Pick<WebSecurity, 'tls' | 'createServer'>,
): Promise<Listener> {
  const options = {
    headersTimeout: HEADERS_TIMEOUT_MS,
    requestTimeout: REQUEST_TIMEOUT_MS,
    connectionsCheckingInterval: CHECKING_INTERVAL_MS,
    keepAliveTimeout: 90_000,
  };
  const web = security ? security.createServer(options, handler) : createPlainServer(options, handler);
  const { server } = web;
  server.maxHeadersCount = MAX_HEADERS;
  server.maxConnections = MAX_CONNECTIONS;
  const net: Server = server;
  // The server itself knows only of connections that speak HTTP already, not of those in the handshake of TLS.
  const sockets = new Set<Socket>();
  net.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });
  let isClosing = false;
  /** Answers that a connection still gets; requests may come before the last one was answered. */
  const owed = new WeakMap<Socket, number>();
  server.prependListener('request', ({ socket }, response) => {
    owed.set(socket, (owed.get(socket) ?? 0) + 1);
    response.once('close', () => {
      const left = owed.get(socket)! - 1;
      owed.set(socket, left);
      // A client that keeps its connection for the next request would hold up the end.
      if (isClosing && left === 0) socket.destroySoon();
    });
  });
  const force = (): void => {
    for (const socket of sockets) socket.destroy();
  };
  const bound = await bind(net, address);
  const scheme = security?.tls ? 'https' : 'http';
  return {
    url: `${scheme}://${bracketed(address.host ?? 'localhost')}:${bound.port}`,
    close: (signal) =>
      new Promise<void>((resolve) => {
        isClosing = true;
        net.close(() => resolve());
        web.closeIdle();
        if (signal.aborted) force();
        else signal.addEventListener('abort', force, { once: true });
      }),
    force,
  };
}

const bracketed = (host: string): string => (host.includes(':') ? `[${host}]` : host);

const REASONS: Readonly<Record<string, string>> = {
  EADDRINUSE:
    'the address is in use by another program; stop that one or choose another by --web.listen-address',
  EACCES: 'permission denied; choose a port above 1023 by --web.listen-address or run with more rights',
  EADDRNOTAVAIL: 'this machine has no such address; choose another by --web.listen-address',
  ENOTFOUND: 'the host name has no address; choose another by --web.listen-address',
};

function bind(server: Server, { host, port }: Address): Promise<AddressInfo> {
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      const reason = REASONS[error.code ?? ''] ?? error.message;
      reject(new Error(`cannot listen on ${bracketed(host ?? '')}:${port}: ${reason}`));
    });
    server.listen(host === null ? { port } : { host, port }, () => resolve(server.address() as AddressInfo));
  });
}
