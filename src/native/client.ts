/**
 * The exporter's side of the child process that holds the DLL: one request at a time, a deadline for each, kill and
 * restart with backoff. Nothing that the child does or fails to do reaches the caller as an exception.
 */
import { fork } from 'node:child_process';
import type { Actor, ActOutcome, ActRequest, ActResult } from '../model/actions.ts';
import { changes } from '../model/actions.ts';
import type { Clock } from '../model/clock.ts';
import type {
  ConnectionIdentity,
  Failure,
  FrameOf,
  ReadOutcome,
  ReadReport,
  SourceReader,
} from '../model/frames.ts';
import type { Logger } from '../model/logger.ts';
import type { Source } from '../model/words.ts';
import { IdentityReader, parseHostMessage } from './check-message.ts';
import { actAdvice, adviceFor } from './codes.ts';
import type { HostConfig, HostRequest } from './host-messages.ts';
import type { PlaceHolder } from './host-places.ts';
import { HostPlaces } from './host-places.ts';

export type RestartReason = 'timeout' | 'crash' | 'protocol';

/** A started child as the client needs it; a double of it serves the tests. */
export interface HostProcess {
  send(request: HostRequest): void;
  onMessage(listener: (message: unknown) => void): void;
  /** Called once, with what is known of the end: an exit code or a signal. */
  onExit(listener: (how: string) => void): void;
  kill(): void;
}

export interface HostClientOptions {
  readonly spawn: () => HostProcess;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Deadline of one request, which is one enumeration or one action's calls, in milliseconds. */
  readonly timeoutMs: number;
  /** Shared with the clients of other servers; left out: there are none. */
  readonly places?: HostPlaces;
  readonly onRestart: (reason: RestartReason) => void;
  readonly onReady?: (missing: readonly string[]) => void;
  /** Some connection or interface came or went on the server. */
  readonly onChange?: () => void;
}

/** Waits before the n-th restart in a row; the first comes at once, so that the next scrape works. */
export const BACKOFF_MS: readonly number[] = [0, 1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000];
/** So many crashes within the window, and the child stays down until the window has passed. */
export const CRASH_LIMIT = 5;
export const CRASH_WINDOW_MS = 5 * 60_000;
/** A child that was not asked for so long is ended, and started again when it is: longer than between two polls. */
export const IDLE_MS = 45_000;
/** The sources of one poll are read one after the other: in between, the child is not idle. */
const BETWEEN_REQUESTS_MS = 100;
const SHUTTING_DOWN = 'the exporter is shutting down';

/** What a request came to without an answer of the child. */
interface Unanswered {
  readonly why: string;
  /** The child had it: it may have been carried out. */
  readonly sent: boolean;
}

interface PendingRead {
  readonly id: number;
  readonly source: Source;
  readonly identities: (readonly [number, ConnectionIdentity])[];
  readonly settle: (outcome: ReadOutcome | Unanswered) => void;
}

interface PendingAct {
  readonly id: number;
  readonly act: ActRequest;
  readonly settle: (result: ActResult | Unanswered) => void;
}

type Pending = PendingRead | PendingAct;

interface Child {
  readonly process: HostProcess;
  alive: boolean;
}

const NO_REPORT: ReadReport = { calls: [], pages: 0, anomalies: {}, seconds: 0 };

export class HostClient implements SourceReader, Actor, PlaceHolder {
  readonly #options: HostClientOptions;
  readonly #identities = new IdentityReader();
  readonly #places: HostPlaces;
  #timeoutMs: number;
  #child: Child | undefined;
  #endIdling = new AbortController();
  /** Of the request that waits for a place. */
  #waiting: AbortController | undefined;
  #pending: Pending | undefined;
  #queue: Promise<unknown> = Promise.resolve();
  #nextId = 1;
  #failuresInARow = 0;
  #crashes: number[] = [];
  #mayStartAtMs = -Infinity;
  readonly #stopping = new AbortController();
  #fatal: string | undefined;

  constructor(options: HostClientOptions) {
    this.#options = options;
    this.#places = options.places ?? new HostPlaces(1);
    this.#timeoutMs = options.timeoutMs;
  }

  /** Holds from the next request on. */
  setTimeoutMs(timeoutMs: number): void {
    this.#timeoutMs = timeoutMs;
  }

  /** Reads one source in the child. Requests wait for each other; the deadline of each counts from its own start. */
  read<S extends Source>(source: S): Promise<ReadOutcome<FrameOf<S>>> {
    return this.#inTurn(() => this.#read(source)) as Promise<ReadOutcome<FrameOf<S>>>;
  }

  /**
   * Acts in the child, in turn with the reads. Past the deadline the child is killed and the outcome is `unknown`: the
   * call may have gone through. Nothing is ever sent twice.
   */
  act(request: ActRequest): Promise<ActResult> {
    return this.#inTurn(() => this.#act(request));
  }

  /** A child that starts anew has sent nothing. */
  reset(): void {
    if (this.#child) this.#restart('protocol', 'the exporter lost track of what was sent');
  }

  /** Ends the child at once; every request after that fails. */
  stop(): void {
    this.#stopping.abort();
    this.#waiting?.abort();
    this.#end(SHUTTING_DOWN);
  }

  /** The accounts are kept elsewhere: a child that is ended takes nothing with it. */
  makeRoom(): void {
    this.#end('the native host process had nothing to do');
  }

  #isStopping(): boolean {
    return this.#stopping.signal.aborted;
  }

  #inTurn<T>(run: () => Promise<T>): Promise<T> {
    const result = this.#queue.then(run);
    // A request that fails by a defect of ours must not take those after it along.
    this.#queue = result.catch(() => undefined);
    return result;
  }

  async #read(source: Source): Promise<ReadOutcome> {
    const started = this.#options.clock.monotonicMs();
    const outcome = await this.#request<ReadOutcome>(`reading ${source}`, (id, settle) => {
      this.#pending = { id, source, identities: [], settle };
      return { id, source };
    });
    return 'why' in outcome ? failed(outcome, this.#secondsOf(outcome, started)) : outcome;
  }

  async #act(act: ActRequest): Promise<ActResult> {
    const started = this.#options.clock.monotonicMs();
    const result = await this.#request<ActResult>('acting', (id, settle) => {
      this.#pending = { id, act, settle };
      return { id, act };
    });
    return 'why' in result ? unanswered(act, result, this.#secondsOf(result, started)) : result;
  }

  /** What was never sent took no time of the child's. */
  #secondsOf({ sent }: Unanswered, startedMs: number): number {
    return sent ? (this.#options.clock.monotonicMs() - startedMs) / 1000 : 0;
  }

  async #request<T>(
    what: string,
    begin: (id: number, settle: (answer: T | Unanswered) => void) => HostRequest,
  ): Promise<T | Unanswered> {
    const { clock } = this.#options;
    const timeoutMs = this.#timeoutMs;
    const now = clock.monotonicMs();
    if (this.#isStopping()) return { why: SHUTTING_DOWN, sent: false };
    if (!this.#child && now < this.#mayStartAtMs) {
      const seconds = Math.ceil((this.#mayStartAtMs - now) / 1000);
      const why = `the native host process is down; it is started again in ${seconds} s at the earliest`;
      return { why, sent: false };
    }
    this.#endIdling.abort();
    const hasPlace = await this.#takePlace(timeoutMs);
    // A place that was given in the moment of the end is for nobody any more.
    if (this.#isStopping()) return { why: SHUTTING_DOWN, sent: false };
    if (!hasPlace) {
      const why = `as many native host processes as may be are at work (--native.max-processes), and none came free within ${timeoutMs} ms`;
      return { why, sent: false };
    }
    let child: Child;
    try {
      child = this.#child ??= this.#start();
    } catch (error) {
      const why = `the native host process cannot be started (${error instanceof Error ? error.message : String(error)})`;
      this.#restart('crash', why);
      return { why, sent: false };
    }
    const id = this.#nextId++;
    const cancelDeadline = new AbortController();
    const answer = await new Promise<T | Unanswered>((settle) => {
      const request = begin(id, settle);
      void clock.sleep(timeoutMs, cancelDeadline.signal).then(
        () => {
          if (this.#pending?.id !== id) return;
          this.#restart('timeout', `${what} took longer than ${timeoutMs} ms`);
        },
        () => undefined,
      );
      child.process.send(request);
    });
    cancelDeadline.abort();
    if (!isUnanswered(answer)) this.#failuresInARow = 0;
    if (child.alive) {
      this.#endIdling = new AbortController();
      void this.#idle(this.#endIdling.signal).catch(() => undefined);
    }
    return answer;
  }

  /** False: none came free in time. */
  async #takePlace(withinMs: number): Promise<boolean> {
    const { clock } = this.#options;
    const giveUp = new AbortController();
    const done = new AbortController();
    void clock.sleep(withinMs, done.signal).then(
      () => giveUp.abort(),
      () => undefined,
    );
    // One at a time: requests wait for each other.
    this.#waiting = giveUp;
    try {
      await this.#places.take(this, giveUp.signal);
      return true;
    } catch {
      return false;
    } finally {
      this.#waiting = undefined;
      done.abort();
    }
  }

  /** A child without a request gives way to others, and ends after a while. Rejects when there is a request again. */
  async #idle(signal: AbortSignal): Promise<void> {
    const { clock } = this.#options;
    await clock.sleep(BETWEEN_REQUESTS_MS, signal);
    this.#places.rest(this);
    await clock.sleep(IDLE_MS - BETWEEN_REQUESTS_MS, signal);
    this.makeRoom();
  }

  #start(): Child {
    const child: Child = { process: this.#options.spawn(), alive: true };
    this.#fatal = undefined;
    child.process.onMessage((message) => {
      if (child.alive) this.#receive(child, message);
    });
    child.process.onExit((how) => {
      if (child.alive) this.#restart('crash', this.#fatal ?? `the native host process ended (${how})`);
    });
    return child;
  }

  #receive(child: Child, value: unknown): void {
    const message = parseHostMessage(value);
    const pending = this.#pending;
    switch (message?.type) {
      case 'ready':
        this.#options.onReady?.(message.missing);
        return;
      case 'changed':
        this.#options.onChange?.();
        return;
      case 'fatal':
        this.#fatal = message.message;
        child.process.kill();
        return;
      case 'identities':
        if (pending?.id !== message.id || !('source' in pending)) break;
        for (const entry of this.#identities.read(message.part)) pending.identities.push(entry);
        return;
      case 'outcome': {
        const { outcome } = message;
        if (pending?.id !== message.id || !('source' in pending)) break;
        if (outcome.status === 'ok' && outcome.frame.source !== pending.source) break;
        this.#pending = undefined;
        if (outcome.status === 'ok' && outcome.frame.source === 'connections') {
          pending.settle({ ...outcome, frame: { ...outcome.frame, identities: pending.identities } });
        } else {
          pending.settle(outcome);
        }
        return;
      }
      case 'acted':
        if (pending?.id !== message.id || !('act' in pending)) break;
        this.#pending = undefined;
        pending.settle(message.result);
        return;
      case undefined:
    }
    this.#restart('protocol', 'the native host process sent something that is not an answer');
  }

  #restart(reason: RestartReason, what: string): void {
    const { clock, logger, onRestart } = this.#options;
    const now = clock.monotonicMs();
    const waitMs = BACKOFF_MS[Math.min(this.#failuresInARow, BACKOFF_MS.length - 1)]!;
    this.#failuresInARow += 1;
    this.#mayStartAtMs = now + waitMs;
    if (reason !== 'timeout') {
      this.#crashes = [...this.#crashes.filter((at) => now - at < CRASH_WINDOW_MS), now];
      if (this.#crashes.length >= CRASH_LIMIT) {
        this.#mayStartAtMs = Math.max(this.#mayStartAtMs, this.#crashes[0]! + CRASH_WINDOW_MS);
      }
    }
    const retryInSeconds = Math.ceil((this.#mayStartAtMs - now) / 1000);
    logger.warn('native host process killed', { reason, cause: what, retryInSeconds });
    onRestart(reason);
    this.#end(what);
  }

  #end(what: string): void {
    this.#endIdling.abort();
    const child = this.#child;
    this.#child = undefined;
    if (child) {
      child.alive = false;
      child.process.kill();
    }
    this.#places.leave(this);
    const pending = this.#pending;
    this.#pending = undefined;
    pending?.settle({ why: what, sent: true });
  }
}

function failed({ why, sent }: Unanswered, seconds: number): Extract<ReadOutcome, { status: 'failed' }> {
  const kind = sent ? 'host' : 'host_down';
  const failure: Failure = { kind, message: `${why}: ${adviceFor(kind)}` };
  return { status: 'failed', failure, report: { ...NO_REPORT, seconds } };
}

const isUnanswered = (answer: unknown): answer is Unanswered =>
  typeof answer === 'object' && answer !== null && 'why' in answer;

/** Looking changes nothing, so that without an answer nothing is unknown. */
function unanswered(act: ActRequest, { why, sent }: Unanswered, seconds: number): ActResult {
  const outcome: ActOutcome = sent && changes(act) ? 'unknown' : 'retryable';
  const failure: Failure = { kind: 'host', message: `${why}: ${actAdvice(outcome, 'host')}` };
  const report = { ...NO_REPORT, seconds };
  return { outcome, code: null, failure, interfaceNow: null, connectionNow: null, report };
}

/**
 * Makes V8 collect sooner rather than grow: 40 MiB less at 50,000 connections. A read of them takes 2 ms longer, the
 * first one a quarter (measured).
 */
const SMALL_HEAP = '--optimize-for-size';

/** Starts the child process on `entry` (native-host). It holds no pipe that could keep it alive after the parent. */
export function forkHost(entry: string, config: HostConfig): HostProcess {
  const child = fork(entry, [JSON.stringify(config)], {
    execArgv: [...process.execArgv, SMALL_HEAP],
    serialization: 'advanced',
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
  let ended = false;
  const listeners: ((how: string) => void)[] = [];
  const end = (how: string): void => {
    if (ended) return;
    ended = true;
    for (const listener of listeners) listener(how);
  };
  child.on('error', (error) => end(error.message));
  child.on('exit', (code, signal) => end(signal ?? `exit code ${code ?? 'unknown'}`));
  return {
    // A child that is gone shows as its exit, so an error of the write itself needs no handling here.
    send: (request) => void child.send(request, () => undefined),
    onMessage: (listener) => void child.on('message', listener),
    onExit: (listener) => void listeners.push(listener),
    kill: () => void child.kill('SIGKILL'),
  };
}
