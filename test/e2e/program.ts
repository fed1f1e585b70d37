/**
 * The built program as a process of its own, with the Node of node_modules, as its users run it. Every process that is
 * started here is ended by its own pid when the test is over.
 */
import type { ChildProcess } from 'node:child_process';
import { execFile, spawn } from 'node:child_process';
import {
  existsSync,
  globSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { Page } from '../metrics/page.ts';
import type { Answer, RequestOptions } from '../server/http-client.ts';
import { fetchPlain } from '../server/http-client.ts';

const PROJECT = fileURLToPath(new URL('../../', import.meta.url));
export const MAIN = join(PROJECT, 'dist/main.js');
export const NODE = join(PROJECT, 'node_modules/node/bin/node');
const LOCK = join(PROJECT, '.cache/build.lock');
const LOCK_MAX_AGE_MS = 120_000;
/** Between two looks at what has no event to wait for: a foreign process or its files. */
const LOOK_EVERY_MS = 10;

/** Runs `npm run build` if a source is newer than dist. Test files that run at the same time build once. */
export async function buildIfStale(): Promise<void> {
  const release = await lock();
  try {
    if (isStale()) await promisify(execFile)('npm', ['run', 'build'], { cwd: PROJECT });
  } finally {
    release();
  }
}

function isStale(): boolean {
  const builtAt = statSync(MAIN, { throwIfNoEntry: false })?.mtimeMs;
  if (builtAt === undefined) return true;
  const sources = [
    ...globSync('src/**/*.ts', { cwd: PROJECT }),
    ...globSync('tsconfig*.json', { cwd: PROJECT }),
  ];
  return sources.some((file) => statSync(join(PROJECT, file)).mtimeMs > builtAt);
}

async function lock(): Promise<() => void> {
  mkdirSync(join(PROJECT, '.cache'), { recursive: true });
  for (;;) {
    try {
      mkdirSync(LOCK);
      return () => rmSync(LOCK, { recursive: true, force: true });
    } catch {
      const since = statSync(LOCK, { throwIfNoEntry: false })?.mtimeMs ?? Infinity;
      if (Date.now() - since > LOCK_MAX_AGE_MS) rmSync(LOCK, { recursive: true, force: true });
      await wait(50);
    }
  }
}

/** Looks until it is true; rejects after `withinMs`, saying what it waited for. */
export async function until(
  what: string,
  isTrue: () => boolean | Promise<boolean>,
  withinMs = 10_000,
): Promise<void> {
  const deadline = performance.now() + withinMs;
  while (!(await isTrue())) {
    if (performance.now() > deadline) throw new Error(`not within ${withinMs} ms: ${what}`);
    await wait(LOOK_EVERY_MS);
  }
}

/** Whether a process is there, and not only as an entry that nobody has collected yet. Linux. */
export function isAlive(pid: number): boolean {
  try {
    return !/^\d+ \(.*\) [ZX]/s.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return false;
  }
}

/** The environment without what npm and vitest put into it. */
export function plainEnvironment(): NodeJS.ProcessEnv {
  return Object.fromEntries(
    Object.entries(process.env).filter(([name]) => ['PATH', 'HOME', 'LANG', 'TMPDIR'].includes(name)),
  );
}

export interface Ending {
  /** Null if a signal ended it. */
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

const running = new Set<Program>();

export class Program {
  readonly #process: ChildProcess;
  readonly #folder: string;
  #stdout = '';
  #stderr = '';
  readonly ended: Promise<Ending>;
  #isEnded = false;

  /** `environment` adds to the plain one. */
  constructor(args: readonly string[], environment: Readonly<Record<string, string>> = {}) {
    this.#folder = mkdtempSync(join(tmpdir(), 'rras-exporter-e2e-'));
    this.#process = spawn(NODE, [MAIN, ...args], {
      cwd: this.#folder,
      env: { ...plainEnvironment(), ...environment },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#process.stdout!.setEncoding('utf8').on('data', (text: string) => (this.#stdout += text));
    this.#process.stderr!.setEncoding('utf8').on('data', (text: string) => (this.#stderr += text));
    this.ended = new Promise((resolve, reject) => {
      this.#process.on('error', reject);
      this.#process.on('close', (code, signal) => {
        this.#isEnded = true;
        running.delete(this);
        rmSync(this.#folder, { recursive: true, force: true });
        resolve({ code, signal, stdout: this.#stdout, stderr: this.#stderr });
      });
    });
    this.ended.catch(() => undefined);
    running.add(this);
  }

  /** A program that serves on a free port of 127.0.0.1. */
  static serve(...args: readonly string[]): Promise<Program> {
    return Program.serveOn(0, ...args);
  }

  /** A program that serves on this port of 127.0.0.1. */
  static serveOn(port: number, ...args: readonly string[]): Promise<Program> {
    return Program.#listening(new Program([...args, `--web.listen-address=127.0.0.1:${port}`]), args);
  }

  /** A program that serves on a free port of 127.0.0.1 and has these environment variables. */
  static serveWith(
    environment: Readonly<Record<string, string>>,
    ...args: readonly string[]
  ): Promise<Program> {
    return Program.#listening(new Program([...args, '--web.listen-address=127.0.0.1:0'], environment), args);
  }

  static async #listening(program: Program, args: readonly string[]): Promise<Program> {
    await until(`listening: ${args.join(' ')}`, () => program.#isEnded || program.url !== '');
    if (program.#isEnded) throw new Error(`the program ended: ${program.log}`);
    return program;
  }

  get pid(): number {
    return this.#process.pid!;
  }

  /** Standard error so far. */
  get log(): string {
    return this.#stderr;
  }

  /** Without a path; '' before it listens. */
  get url(): string {
    return /msg=listening url=(http:\/\/[^/\s]+)/.exec(this.#stderr)?.[1] ?? '';
  }

  /** Pids of its child processes; none once it has ended. Linux. */
  children(): number[] {
    const tasks = `/proc/${this.pid}/task`;
    try {
      return readdirSync(tasks)
        .flatMap((thread) => readFileSync(`${tasks}/${thread}/children`, 'utf8').split(' '))
        .filter((pid) => pid !== '')
        .map(Number);
    } catch (error) {
      // A thread that ended meanwhile: its children are another one's now.
      if (existsSync(tasks) && !this.#isEnded) return this.children();
      if (this.#isEnded || !isAlive(this.pid)) return [];
      throw error;
    }
  }

  /** The native host of a program that has only just been started. */
  async firstChild(): Promise<number> {
    let pid: number | undefined;
    await until('a child', () => this.#isEnded || (pid = this.children()[0]) !== undefined);
    if (pid === undefined) throw new Error(`the program ended: ${this.log}`);
    return pid;
  }

  /** The process that holds the native API. */
  nativeHost(): number {
    const [pid, ...others] = this.children();
    if (pid === undefined || others.length > 0)
      throw new Error(`expected one child, there are ${this.children().length}`);
    return pid;
  }

  get(path: string, options?: RequestOptions): Promise<Answer> {
    return fetchPlain(this.url + path, options);
  }

  /** A scrape that succeeds. */
  async scrape(options?: RequestOptions): Promise<Page> {
    const { status, text } = await this.get('/metrics', options);
    if (status !== 200) throw new Error(`the scrape was answered ${status}: ${text}`);
    return new Page(text, { bareHeads: true });
  }

  signal(signal: NodeJS.Signals): void {
    this.#process.kill(signal);
  }

  /** Sends the signal and waits for the end; also tells how long it took. */
  async end(signal: NodeJS.Signals = 'SIGTERM'): Promise<Ending & { readonly ms: number }> {
    const started = performance.now();
    this.signal(signal);
    const ending = await this.ended;
    return { ...ending, ms: performance.now() - started };
  }
}

/** For afterEach: whatever still runs is killed, stopped children included. */
export async function endAll(): Promise<void> {
  await Promise.all(
    [...running].map(async (program) => {
      const children = program.children();
      program.signal('SIGKILL');
      // A stopped child outlives the program, and holds its standard error.
      for (const pid of children) if (isAlive(pid)) process.kill(pid, 'SIGKILL');
      await program.ended;
    }),
  );
}
