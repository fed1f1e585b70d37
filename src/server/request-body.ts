/** Reads the body of a request within a bound, and refuses what is not plain JSON before the first byte is read. */
import type { IncomingMessage } from 'node:http';

/** What is wrong with a body, with the status that says so. */
export class BodyError extends Error {
  readonly status: number;

  constructor(status: 400 | 413 | 415, message: string) {
    super(message);
    this.name = 'BodyError';
    this.status = status;
  }
}

const JSON_TYPE = /^application\/json\s*(?:;\s*charset\s*=\s*"?utf-8"?\s*)?$/i;

/** Rejects with BodyError. What is too long is not read to its end. */
export async function readBody(request: IncomingMessage, maxBytes: number): Promise<Buffer> {
  const { headers } = request;
  if (!JSON_TYPE.test(headers['content-type'] ?? '')) {
    throw new BodyError(415, 'the body must be JSON: send Content-Type: application/json');
  }
  if ((headers['content-encoding'] ?? 'identity').toLowerCase() !== 'identity') {
    throw new BodyError(415, 'the body must not be compressed');
  }
  const tooLong = new BodyError(413, `the body may have ${maxBytes} bytes`);
  if (Number(headers['content-length'] ?? 0) > maxBytes) throw tooLong;
  const chunks: Buffer[] = [];
  let bytes = 0;
  // Destroyed, the request would have no hold on its connection any more, and what is left of the body would come on.
  const reading = request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>;
  for await (const chunk of reading) {
    bytes += chunk.length;
    if (bytes > maxBytes) throw tooLong;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}
