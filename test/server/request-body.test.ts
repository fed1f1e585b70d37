/** Reading the body of a request, over real sockets: what is taken, what is refused, and what it does to the connection. */
import type { Server } from 'node:http';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { connect } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { BodyError, readBody } from '../../src/server/request-body.ts';

const MAX = 10;

let server: Server | undefined;
const failures: { readonly error: unknown; readonly wasRead: boolean }[] = [];
afterEach(() => {
  server?.closeAllConnections();
  server?.close();
  server = undefined;
  failures.length = 0;
});

/** A server that says what it has read, or why it has not. */
async function serve(): Promise<number> {
  server = createServer((request, response) => {
    readBody(request, MAX).then(
      (body) => response.end(Buffer.concat([Buffer.from('['), body, Buffer.from(']')])),
      (error: unknown) => {
        failures.push({ error, wasRead: request.readableDidRead });
        if (!(error instanceof BodyError)) return;
        response.statusCode = error.status;
        response.end(`[${error.message}]`);
        request.resume();
      },
    );
  });
  await new Promise<void>((resolve) => server?.listen(0, '127.0.0.1', resolve));
  return (server.address() as AddressInfo).port;
}

/** What the server says to these bytes, until so many answers are there or it closes the connection. */
function say(port: number, bytes: string, answers = 1): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1');
    let said = '';
    socket.setEncoding('latin1').on('data', (text: string) => {
      said += text;
      if (said.split(']').length > answers) socket.destroy();
    });
    socket.on('error', reject);
    socket.on('close', () => resolve(said));
    socket.write(bytes, 'latin1');
  });
}

const head = (...headers: string[]): string =>
  `POST / HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n${headers.map((each) => `${each}\r\n`).join('')}\r\n`;
const withLength = (body: string, length = body.length): string => head(`Content-Length: ${length}`) + body;
const inChunks = (...chunks: string[]): string =>
  head('Transfer-Encoding: chunked') +
  [...chunks, ''].map((chunk) => `${chunk.length.toString(16)}\r\n${chunk}\r\n`).join('');
const statusAndText = (said: string): unknown => [
  /^HTTP\/1\.1 (\d+)/.exec(said)?.[1],
  /\[.*\]/s.exec(said)?.[0],
];

describe('a body', () => {
  test.each([
    ['as long as it may be', withLength('0123456789'), '0123456789'],
    ['in one chunk', inChunks('0123456789'), '0123456789'],
    ['in many chunks', inChunks('0', '1234', '56789'), '0123456789'],
    ['that is empty', withLength(''), ''],
    ['without a length, which is empty', head(), ''],
    ['of any bytes', withLength('\x00\xff\r\n\r\n'), '\x00\xff\r\n\r\n'],
    ['that is said not to be encoded', head('Content-Encoding: IDENTITY', 'Content-Length: 1') + '1', '1'],
  ])('%s is read as it was sent', async (_, bytes, text) => {
    const port = await serve();
    expect(statusAndText(await say(port, bytes))).toEqual(['200', `[${text}]`]);
    expect(failures).toEqual([]);
  });

  test.each([
    ['that says it is too long', withLength('0123456789a')],
    ['that says it is far too long', withLength('0', 2 ** 40)],
    ['in chunks that are too long together', inChunks('01234', '56789', 'a')],
    ['in one chunk that is too long', inChunks('0123456789a')],
  ])('H5 %s is refused, and the client is told', async (_, bytes) => {
    const port = await serve();
    expect(statusAndText(await say(port, bytes))).toEqual(['413', `[the body may have ${MAX} bytes]`]);
  });

  test('H5 that says it is too long is not read at all', async () => {
    const port = await serve();
    await say(port, withLength('0', 2 ** 40));
    expect(failures).toMatchObject([{ wasRead: false }]);
  });

  test('H5 that is too long leaves the connection fit for the next request', async () => {
    const port = await serve();
    const said = await say(port, inChunks('01234', '56789', 'abc', 'def') + withLength('next'), 2);
    expect(said.match(/HTTP\/1\.1 \d+/g)).toEqual(['HTTP/1.1 413', 'HTTP/1.1 200']);
    expect(said).toContain('[next]');
  });

  test('that breaks off is an error, and none of the body', async () => {
    const port = await serve();
    const socket = connect(port, '127.0.0.1', () => {
      socket.write(withLength('01', 5), () => socket.destroy());
    });
    await expect.poll(() => failures.length).toBe(1);
    expect(failures[0]!.error).not.toBeInstanceOf(BodyError);
    expect(failures[0]!.error).toMatchObject({ code: 'ECONNRESET' });
  });

  test.each([
    ['no type', 'X: y'],
    ['an empty type', 'Content-Type:'],
    ['a type that only begins so', 'Content-Type: application/jsonx'],
    ['a type that only ends so', 'Content-Type: x application/json'],
    ['another charset', 'Content-Type: application/json; charset=latin1'],
    ['another parameter', 'Content-Type: application/json; charset=utf-8; x=y'],
  ])('of %s is refused before it is read', async (_, type) => {
    const port = await serve();
    const said = await say(port, `POST / HTTP/1.1\r\nHost: x\r\n${type}\r\nContent-Length: 2\r\n\r\n{}`);
    expect(statusAndText(said)).toEqual([
      '415',
      '[the body must be JSON: send Content-Type: application/json]',
    ]);
    expect(failures).toMatchObject([{ wasRead: false }]);
  });

  test.each(['gzip', 'br', 'zstd', 'identity, identity', 'chunked'])(
    'H5 encoded as %s is refused before it is read, and nothing is inflated',
    async (coding) => {
      const port = await serve();
      const said = await say(port, `${head(`Content-Encoding: ${coding}`, 'Content-Length: 2')}{}`);
      expect(statusAndText(said)).toEqual(['415', '[the body must not be compressed]']);
      expect(failures).toMatchObject([{ wasRead: false }]);
    },
  );
});
