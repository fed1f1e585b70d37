/** What one connection of HTTP/1.1 may ask for before its earlier requests are answered. */
import type { RequestListener } from 'node:http';
import type { Socket } from 'node:net';

/** Scrapers and browsers send one; thousands fit into what is read at once, and would keep all others waiting for a second. */
const MAX_PIPELINED = 100;

/** Ends connections that ask for more. */
export function withoutFloods(handler: RequestListener): RequestListener {
  const unanswered = new WeakMap<Socket, number>();
  return (request, response) => {
    const { socket } = request;
    // What was read together with the request that ended the connection.
    if (socket.destroyed) return;
    const count = (unanswered.get(socket) ?? 0) + 1;
    if (count > MAX_PIPELINED) {
      socket.destroy();
      return;
    }
    unanswered.set(socket, count);
    response.once('close', () => unanswered.set(socket, unanswered.get(socket)! - 1));
    // It is answered as if it asked for nothing else; Node then reads no further request.
    if (request.headers.upgrade !== undefined) response.shouldKeepAlive = false;
    handler(request, response);
  };
}
