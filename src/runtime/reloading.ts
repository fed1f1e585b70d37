/**
 * Reads the configuration anew, on a signal or a request: all of it or nothing. One at a time, in the order in which they were
 * asked for; whoever asks while one waits to begin shares it.
 */
import { UsageError } from '../model/errors.ts';
import type { Logger } from '../model/logger.ts';
import { describeError } from './describe-error.ts';

export interface ReloadingOptions {
  /** Reads and checks without any effect; rejects with what is wrong. What it resolves to puts it into force. */
  readonly load: () => Promise<() => Promise<void>>;
  readonly onEnd: (succeeded: boolean) => void;
  /** Nothing is loaded before it resolves, as while the program starts. */
  readonly after: Promise<unknown>;
  readonly logger: Logger;
}

/** What reloading needs of `process`. */
export interface SignalSource {
  readonly platform: NodeJS.Platform;
  on(event: string, listener: () => void): unknown;
}

export class Reloading {
  readonly #options: ReloadingOptions;
  #last: Promise<unknown>;
  /** Not begun yet. */
  #next: Promise<void> | undefined;

  constructor(options: ReloadingOptions) {
    this.#options = options;
    this.#last = options.after;
  }

  /** SIGHUP, where that is no end of a console window. */
  install(process: SignalSource, ending: AbortSignal): void {
    if (process.platform === 'win32') return;
    process.on('SIGHUP', () => {
      if (!ending.aborted) this.run('SIGHUP').catch(() => undefined);
    });
  }

  /** Rejects, with one line that says what to do, if the last good configuration stays in force. */
  run(reason: string): Promise<void> {
    if (this.#next) return this.#next;
    const next = this.#last.then(() => {
      this.#next = undefined;
      return this.#reload(reason);
    });
    this.#next = next;
    this.#last = next.catch(() => undefined);
    return next;
  }

  async #reload(reason: string): Promise<void> {
    const { load, onEnd, logger } = this.#options;
    try {
      const putIntoForce = await load();
      await putIntoForce();
    } catch (error) {
      const hint = error instanceof UsageError && error.hint !== '' ? ` (${error.hint})` : '';
      const problem = `${describeError(error)}${hint}`;
      logger.error('the configuration was not loaded: the last good one stays in force', { reason, problem });
      onEnd(false);
      throw new Error(problem, { cause: error });
    }
    logger.info('the configuration is loaded', { reason });
    onEnd(true);
  }
}
