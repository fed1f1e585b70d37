/** The built exporter as a process of its own on a free port, with the Node of node_modules, as its users run it. */
import type { ChildProcess } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { setTimeout as wait } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { CONNECTIONS_LIMIT } from './plan.ts';
import type { MemoryFigures } from './process-figures.ts';
import { childrenOf, cpuSecondsOf, memoryOf } from './process-figures.ts';
import { end, start } from './started-processes.ts';

const fileOf = (path: string): string => fileURLToPath(new URL(path, import.meta.url));
export const NODE = fileOf('../node_modules/node/bin/node');
const MAIN = fileOf('../dist/main.js');
const PROBE = new URL('loop-delay-probe.js', import.meta.url).href;
const LISTENS_WITHIN_MS = 30_000;

export function requireBuilt(): void {
  if (!existsSync(MAIN)) throw new Error('there is no dist/main.js: run npm run build, or npm run bench');
}

export interface LoopDelays {
  readonly maxMs: number;
  readonly p99Ms: number;
}

/** One figure for the exporter and one for its native host. */
export interface OfBoth<T> {
  readonly exporter: T;
  readonly host: T;
}

export class ExporterProcess {
  readonly startedMs = performance.now();
  readonly #child: ChildProcess;
  readonly #folder: string;
  #log = '';

  private constructor(scenario: string, probed: boolean) {
    this.#folder = mkdtempSync(join(tmpdir(), 'rras-exporter-bench-'));
    const args = [
      MAIN,
      `--rras.simulate=${scenario}`,
      `--collector.connections.limit=${CONNECTIONS_LIMIT}`,
      '--web.listen-address=127.0.0.1:0',
    ];
    const { PATH, HOME } = process.env;
    const probe = { NODE_OPTIONS: `--import=${PROBE}`, RRAS_EXPORTER_BENCH_SOCKET: this.#socket };
    this.#child = start(NODE, args, {
      cwd: this.#folder,
      env: { PATH, HOME, ...(probed && probe) },
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    this.#child.stderr!.setEncoding('utf8').on('data', (chunk: string) => (this.#log += chunk));
  }

  /** Resolves when it listens. `probed`: its event loop is watched. */
  static async start(scenario: string, { probed }: { readonly probed: boolean }): Promise<ExporterProcess> {
    const exporter = new ExporterProcess(scenario, probed);
    try {
      await exporter.#listening();
    } catch (error) {
      await exporter.end();
      throw error;
    }
    return exporter;
  }

  /** Of the page of metrics. */
  get url(): string {
    return /msg=listening url=(\S+)/.exec(this.#log)?.[1] ?? '';
  }

  get #socket(): string {
    return join(this.#folder, 'loop-delay');
  }

  get memory(): OfBoth<MemoryFigures> {
    return this.#ofBoth(memoryOf);
  }

  get cpuSeconds(): OfBoth<number> {
    return this.#ofBoth(cpuSecondsOf);
  }

  /** Those since the last call. */
  async loopDelays(): Promise<LoopDelays> {
    return JSON.parse(await text(connect(this.#socket))) as LoopDelays;
  }

  async end(): Promise<void> {
    await end(this.#child);
    rmSync(this.#folder, { recursive: true, force: true });
  }

  async #listening(): Promise<void> {
    const child = this.#child;
    const deadline = this.startedMs + LISTENS_WITHIN_MS;
    let failed: Error | undefined;
    child.once('error', (error) => (failed = error));
    while (this.url === '') {
      if (failed !== undefined) throw failed;
      if (child.exitCode !== null || performance.now() > deadline) {
        throw new Error(`the exporter does not listen: ${this.#log}`);
      }
      await wait(1);
    }
  }

  #ofBoth<T>(measure: (pid: number) => T): OfBoth<T> {
    const pid = this.#child.pid!;
    const [host, ...others] = childrenOf(pid);
    if (host === undefined || others.length > 0) throw new Error('the exporter has not exactly one child');
    return { exporter: measure(pid), host: measure(host) };
  }
}
