/** How long a client may take for an answer: one that does not read would hold its connection, and what the answer needs, for good. */
import type { ServerResponse } from 'node:http';
import type { RequestHandler } from 'express';
import type { Clock } from '../model/clock.ts';

const RESPONSE_DEADLINE_MS = 10_000;

/** Cuts off who has not taken the answer 10 s after it began. How long it takes to begin is up to its route. */
export function inTime(clock: Clock): RequestHandler {
  return (_request, response, next) => {
    // Both versions of HTTP begin every answer by this method, whoever writes it; there is no event for it.
    const begin = response.writeHead.bind(response);
    const beginInTime = (...head: Parameters<typeof begin>): typeof response => {
      cutOffLate(response, clock);
      return begin(...head);
    };
    response.writeHead = beginInTime as typeof response.writeHead;
    next();
  };
}

/** The same for an answer that begins now. */
export function cutOffLate(response: ServerResponse, clock: Clock): void {
  if (response.destroyed) return;
  const start = (): void => {
    const closed = new AbortController();
    response.once('close', () => closed.abort());
    clock.sleep(RESPONSE_DEADLINE_MS, closed.signal).then(
      () => void response.destroy(),
      () => undefined,
    );
  };
  // Of HTTP/1.1, and behind answers to earlier requests of the connection: these have to be taken first.
  if (response.socket === null) response.once('socket', start);
  else start();
}
