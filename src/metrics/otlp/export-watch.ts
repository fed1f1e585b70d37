/** Watches the exports of one signal: counts how they ended, and writes one line to the log when that changes. */
import type { Logger } from '../../model/logger.ts';

export type ExportOutcome = 'success' | 'partial' | 'failure';

/** `isFinal`: the receiver refused what was sent, and would again. */
export type CountExport = (signal: string, outcome: ExportOutcome, isFinal: boolean) => void;

export class ExportWatch {
  readonly #signal: string;
  readonly #logger: Logger;
  readonly #count: CountExport;
  #state: ExportOutcome = 'success';
  /** Something of what is being sent did not arrive. */
  #spoilt = false;
  /** What the receiver says that it refused of the export that is ending. */
  #refused: string | undefined;

  constructor(signal: string, logger: Logger, count: CountExport) {
    this.#signal = signal;
    this.#logger = logger;
    this.#count = count;
  }

  /** The receiver's answer; comes before the end. */
  answered(partialSuccess: object | undefined): void {
    const entries = Object.entries(partialSuccess ?? {});
    const refused = entries.some(([key, value]) => key.startsWith('rejected') && Number(value) > 0);
    this.#refused = refused ? entries.map(([key, value]) => `${key} ${String(value)}`).join(', ') : undefined;
  }

  /** What was to be sent at a time was given up. */
  gaveUp(): void {
    this.#spoilt = false;
  }

  /** A request has ended; `isLast`: with it all that was to be sent at a time. It works when all of that arrived. */
  ended(error: Error | undefined, isLast = true): void {
    const refused = this.#refused;
    this.#refused = undefined;
    const outcome = error ? 'failure' : refused === undefined ? 'success' : 'partial';
    this.#count(this.#signal, outcome, error !== undefined && isFinal(error));
    if (outcome !== 'success') this.#spoilt = true;
    const arrived = !this.#spoilt;
    if (isLast) this.#spoilt = false;
    if (outcome === this.#state || (outcome === 'success' && !(isLast && arrived))) return;
    this.#state = outcome;
    const signal = this.#signal;
    switch (outcome) {
      case 'success':
        this.#logger.info('OTLP export works', { signal });
        break;
      case 'partial':
        this.#logger.warn('the OTLP receiver refuses a part', { signal, answer: shorten(refused!) });
        break;
      case 'failure':
        this.#logger.warn('OTLP export fails; it is tried again at the next interval', {
          signal,
          cause: shorten(describe(error!)),
        });
    }
  }
}

/** Of HTTP what is wrong with the body, INVALID_ARGUMENT of gRPC. */
const FINAL: ReadonlySet<number> = new Set([400, 413, 422, 3]);

/** No trouble that passes, or that a person mends elsewhere. */
export function isFinal(error: Error): boolean {
  return FINAL.has(Number((error as { code?: unknown }).code));
}

const LONGEST = 300;
const shorten = (text: string): string => text.replaceAll(/\s+/g, ' ').slice(0, LONGEST);

/** Without what an endpoint may hold of a password. */
function describe(error: Error): string {
  const { code } = error as { code?: unknown };
  const known = typeof code === 'number' || (typeof code === 'string' && code !== '') ? ` (${code})` : '';
  return `${error.message || error.name}${known}`.replaceAll(/\/\/[^/@\s]*@/g, '//');
}
