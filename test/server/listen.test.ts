/** Listeners: what is told when one cannot be opened, and that closing never waits for clients that do not let go. */
import type { RequestListener, ServerResponse } from 'node:http';
import type { AddressInfo, Server, Socket } from 'node:net';
import { connect, createServer } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import type { Listener } from '../../src/server/listen.ts';
import { listen } from '../../src/server/listen.ts';
import { settle } from '../doubles/fake-clock.ts';
import { fetchPlain } from './http-client.ts';

const LOCAL = { host: '127.0.0.1', port: 0 };
const open: Listener[] = [];
const others: Server[] = [];
afterEach(async () => {
  for (const listener of open.splice(0)) {
    listener.force();
    await listener.close(AbortSignal.abort());
  }
  for (const other of others.splice(0)) other.close();
});

async function start(handler: RequestListener, address = LOCAL): Promise<Listener> {
  const listener = await listen(address, handler);
  open.push(listener);
  return listener;
}

/** A port that somebody else holds. */
async function takenPort(host: string): Promise<number> {
  const other = createServer();
  others.push(other);
  await new Promise<void>((resolve) => other.listen(0, host, resolve));
  return (other.address() as AddressInfo).port;
}

const answer: RequestListener = (_request, response) => void response.end('ok\n');

describe('an address that cannot be listened on', () => {
  test('because of another program is named, with what to do', async () => {
    const port = await takenPort('127.0.0.1');
    await expect(listen({ host: '127.0.0.1', port }, answer)).rejects.toThrow(
      `cannot listen on 127.0.0.1:${port}: the address is in use by another program; ` +
        'stop that one or choose another by --web.listen-address',
    );
  });

  test('without a host is named as it was given', async () => {
    const port = await takenPort('::');
    await expect(listen({ host: null, port }, answer)).rejects.toThrow(`cannot listen on :${port}: `);
  });

  test('of IP version 6 is named in brackets', async () => {
    const port = await takenPort('::1');
    await expect(listen({ host: '::1', port }, answer)).rejects.toThrow(`cannot listen on [::1]:${port}: `);
  });

  test('because this machine has none such is named, with what to do', async () => {
    await expect(listen({ host: '203.0.113.1', port: 0 }, answer)).rejects.toThrow(
      'cannot listen on 203.0.113.1:0: this machine has no such address',
    );
  });
});

describe('a listener', () => {
  test('tells the port that it got, in an address that can be opened', async () => {
    for (const address of [LOCAL, { host: '::1', port: 0 }]) {
      const listener = await start(answer, address);
      expect(listener.url).toMatch(/^http:\/\/(?:127\.0\.0\.1|\[::1\]):[1-9]\d*$/);
      expect((await fetchPlain(listener.url)).text).toBe('ok\n');
    }
  });

  test('H7 lets an answer finish when it closes, and takes no new one', async () => {
    let response: ServerResponse | undefined;
    const listener = await start((_request, given) => (response = given));
    const asked = fetchPlain(listener.url);
    while (!response) await settle();
    let closed = false;
    const closing = listener.close(new AbortController().signal).then(() => (closed = true));
    await expect(fetchPlain(listener.url)).rejects.toThrow('ECONNREFUSED');
    expect(closed).toBe(false);
    response.end('late\n');
    expect((await asked).text).toBe('late\n');
    await closing;
  });

  test('H7 does not wait for a client that keeps its connection after the last answer', async () => {
    let response: ServerResponse | undefined;
    const listener = await start((_request, given) => (response = given));
    const kept = connect(Number(new URL(listener.url).port), '127.0.0.1');
    kept.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n');
    while (!response) await settle();
    // The head says that the connection is kept, and is out before anybody thinks of the end.
    response.write('first\n');
    const closing = listener.close(new AbortController().signal);
    response.end('last\n');
    let said = '';
    for await (const text of kept.setEncoding('latin1')) said += text as string;
    expect(said).toContain('keep-alive');
    expect(said).toContain('last\n');
    await closing;
  });

  test('H7 gives all answers to a client that did not wait for the first before it asked again', async () => {
    const responses: ServerResponse[] = [];
    const listener = await start((_request, given) => responses.push(given));
    const kept = connect(Number(new URL(listener.url).port), '127.0.0.1');
    kept.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n'.repeat(2));
    while (responses.length < 2) await settle();
    const closing = listener.close(new AbortController().signal);
    responses[0]!.end('first\n');
    await new Promise<void>((resolve) => responses[0]!.once('close', () => resolve()));
    for (let turns = 0; turns < 20; turns += 1) await settle();
    responses[1]!.end('second\n');
    let said = '';
    for await (const text of kept.setEncoding('latin1')) said += text as string;
    expect(said).toMatch(/first\n[^]*second\n/);
    await closing;
  });

  test('H7 ends what is left when its time is up', async () => {
    let requests = 0;
    const listener = await start(() => (requests += 1));
    const asked = fetchPlain(listener.url);
    asked.catch(() => undefined);
    while (requests === 0) await settle();
    const time = new AbortController();
    const closing = listener.close(time.signal);
    time.abort();
    await closing;
    await expect(asked).rejects.toThrow();
  });

  test('H7 closes at once a connection that is kept alive, and one that says nothing when its time is up', async () => {
    const listener = await start(answer);
    const { port } = new URL(listener.url);
    const dial = (): Socket => connect(Number(port), '127.0.0.1').on('error', () => undefined);
    const kept = dial();
    await new Promise<void>((resolve) => {
      kept.once('data', () => resolve());
      kept.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n');
    });
    const silent = dial();
    await new Promise<void>((resolve) => silent.once('connect', resolve));
    const keptEnds = new Promise<void>((resolve) => kept.once('close', () => resolve()));
    const time = new AbortController();
    const closing = listener.close(time.signal);
    await keptEnds;
    time.abort();
    await closing;
  });

  test.each([
    [
      'both a length and chunks',
      'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    ],
    ['two lengths', 'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello'],
    ['a bare line feed', 'GET / HTTP/1.1\nHost: x\n\n'],
    ['an odd transfer encoding', 'POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: xchunked\r\n\r\n'],
    ['a blank before the colon', 'GET / HTTP/1.1\r\nHost : x\r\n\r\n'],
    ['a length that is none', 'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: +5\r\n\r\nhello'],
  ])('H4 refuses a request with %s, and closes', async (_, bytes) => {
    let requests = 0;
    const listener = await start((request, response) => {
      request.resume().on('end', () => {
        requests += 1;
        response.end();
      });
    });
    const { port } = new URL(listener.url);
    const text = await new Promise<string>((resolve, reject) => {
      const chunks: Buffer[] = [];
      const socket = connect(Number(port), '127.0.0.1', () => socket.write(bytes));
      socket.on('data', (chunk) => chunks.push(chunk));
      socket.on('error', reject);
      socket.on('close', () => resolve(Buffer.concat(chunks).toString()));
    });
    expect(text).toMatch(/^HTTP\/1\.1 400 /);
    expect(text.match(/HTTP\/1\.1/g)!.length).toBe(1);
    expect(requests).toBe(0);
  });
});
