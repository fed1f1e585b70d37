/**
 * How the program ends: on a signal it closes its parts one after the other within a bound and exits 0; a second
 * signal, or an error that nobody caught, forces them and exits 1. It never leaves a child process behind and never hangs.
 */
import type { Clock } from '../model/clock.ts';
import type { Logger } from '../model/logger.ts';
import { describeError } from './describe-error.ts';

/** The whole way out, below the 5 s that H7 promises: what remains is for the exit itself. */
const TOTAL_MS = 4500;
/** For one part, unless it says otherwise. */
const PART_MS = 3000;

/** Set to 1, the end of standard input is a request to stop: a Windows service wrapper has no signal to send. */
export const STDIN_STOP_VARIABLE = 'RRAS_EXPORTER_STOP_ON_STDIN_CLOSE';

/** A part of the program that must be ended in good order. */
export interface Closer {
  readonly name: string;
  /** The signal is aborted when the part's time is up. */
  close(signal: AbortSignal): Promise<void> | void;
  /** Ends the part at once, synchronously: called when `close` took too long or there is no time for it. */
  force?(): void;
  readonly withinMs?: number;
}

/** What shutdown needs of `process`. */
export interface ProcessLike {
  readonly platform: NodeJS.Platform;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly stdin: { on(event: 'end' | 'close' | 'error', listener: () => void): unknown; resume(): unknown };
  on(event: string, listener: (value: unknown) => void): unknown;
  exit(code: number): void;
}

export interface Shutdown {
  /** Aborted as soon as the program begins to end. */
  readonly signal: AbortSignal;
  /** Parts are closed in the order in which they were added. */
  add(closer: Closer): void;
  /** Begins to end, as a signal would. Resolves when the exit was called. */
  begin(reason: string): Promise<void>;
}

export function installShutdown(
  process: ProcessLike,
  clock: Clock,
  logger: Logger,
  totalMs = TOTAL_MS,
): Shutdown {
  const closers: Closer[] = [];
  const ending = new AbortController();
  let exited = false;

  function exit(code: number): void {
    if (exited) return;
    exited = true;
    process.exit(code);
  }

  function forceAll(): void {
    for (const closer of closers.splice(0)) force(closer);
  }

  function force(closer: Closer): void {
    try {
      closer.force?.();
    } catch (error) {
      logger.error('a part could not be ended by force', { part: closer.name, error: describeError(error) });
    }
  }

  /** Closes one part within its time; what remains of it is forced. */
  async function close(closer: Closer, withinMs: number): Promise<void> {
    const late = new AbortController();
    const done = new AbortController();
    const timer = clock.sleep(withinMs, done.signal).then(
      () => 'late' as const,
      () => 'done' as const,
    );
    try {
      const closed = Promise.resolve(closer.close(late.signal)).then(() => 'done' as const);
      if ((await Promise.race([closed, timer])) === 'late') {
        closed.catch(() => undefined);
        logger.warn('a part took too long to close', { part: closer.name, withinMs });
        late.abort(new Error(`${closer.name} was not closed within ${withinMs} ms`));
        force(closer);
      }
    } catch (error) {
      logger.error('a part failed to close', { part: closer.name, error: describeError(error) });
      force(closer);
    } finally {
      done.abort();
    }
  }

  async function begin(reason: string): Promise<void> {
    if (ending.signal.aborted) return;
    const start = clock.monotonicMs();
    logger.info('shutting down', { reason });
    ending.abort(new Error(`shutting down: ${reason}`));
    // A part stays in the list while it closes, so that a second signal forces it too.
    for (let closer = closers[0]; closer; closer = closers[0]) {
      const restMs = totalMs - (clock.monotonicMs() - start);
      if (restMs <= 0) {
        force(closer);
      } else {
        await close(closer, Math.min(closer.withinMs ?? PART_MS, restMs));
      }
      if (closers[0] === closer) closers.shift();
    }
    logger.info('bye');
    exit(0);
  }

  function onSignal(name: string): void {
    if (ending.signal.aborted) {
      logger.warn('second signal: ending at once', { reason: name });
      forceAll();
      exit(1);
      return;
    }
    void begin(name);
  }

  function onUncaught(kind: string, error: unknown): void {
    const stack = error instanceof Error ? error.stack : undefined;
    logger.error(kind, { error: describeError(error), stack });
    forceAll();
    exit(1);
  }

  // SIGTERM is never delivered on Windows; SIGBREAK is Ctrl-Break there, SIGHUP the closing of the console window.
  const signals = ['SIGTERM', 'SIGINT', ...(process.platform === 'win32' ? ['SIGBREAK', 'SIGHUP'] : [])];
  for (const name of signals) process.on(name, () => onSignal(name));
  process.on('uncaughtException', (error) => onUncaught('uncaught exception', error));
  process.on('unhandledRejection', (error) => onUncaught('unhandled rejection', error));
  if (process.env[STDIN_STOP_VARIABLE] === '1') {
    const onEnd = () => void begin('standard input closed');
    process.stdin.on('end', onEnd);
    process.stdin.on('close', onEnd);
    process.stdin.on('error', onEnd);
    // Only a stream that is read comes to its end.
    process.stdin.resume();
  }

  return { signal: ending.signal, add: (closer) => void closers.push(closer), begin };
}
