/**
 * A server of the Prometheus project, or one that is like those, as a process of its own on 127.0.0.1. Ended by its own
 * pid when its test is over.
 */
import type { ChildProcess } from 'node:child_process';
import { spawn } from 'node:child_process';
import type { AddressInfo } from 'node:net';
import { createServer } from 'node:net';
import type { Answer } from '../server/http-client.ts';
import { fetchPlain } from '../server/http-client.ts';
import { plainEnvironment, until } from './program.ts';

export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

const READY_MS = 30_000;

const LISTEN = '--web.listen-address';

export class Peer {
  readonly url: string;
  readonly #process: ChildProcess;
  readonly #closed: Promise<unknown>;
  #hasEnded = false;
  #log = '';

  private constructor(
    program: string,
    flags: readonly string[],
    folder: string,
    port: number,
    listen: string,
  ) {
    this.url = `http://127.0.0.1:${port}`;
    this.#process = spawn(program, [...flags, `${listen}=127.0.0.1:${port}`], {
      cwd: folder,
      env: plainEnvironment(),
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    this.#process.stderr!.setEncoding('utf8').on('data', (text: string) => (this.#log += text));
    this.#closed = new Promise<void>((resolve) => {
      this.#process.on('error', (error) => (this.#log += error.message));
      this.#process.on('close', () => {
        this.#hasEnded = true;
        resolve();
      });
    });
  }

  /** Resolves when it is ready; `folder` is there already, and is its working folder. `listen` is its flag. */
  static async start(
    program: string,
    flags: readonly string[],
    folder: string,
    port: number,
    listen = LISTEN,
  ): Promise<Peer> {
    const peer = new Peer(program, flags, folder, port, listen);
    const isReady = (): Promise<boolean> =>
      fetchPlain(`${peer.url}/-/ready`).then(
        ({ status }) => status === 200,
        () => peer.#hasEnded,
      );
    try {
      await until(`${program} is ready`, isReady, READY_MS);
      if (peer.#hasEnded) throw new Error(`${program} ended: ${peer.#log}`);
    } catch (error) {
      await peer.end();
      throw error;
    }
    return peer;
  }

  /** Standard error so far. */
  get log(): string {
    return this.#log;
  }

  get(path: string): Promise<Answer> {
    return fetchPlain(this.url + path);
  }

  async end(): Promise<void> {
    this.#process.kill('SIGTERM');
    await this.#closed;
  }
}
