/**
 * The program's log: pino, written as logfmt or JSON lines to standard error or to a file. Logging never throws and never
 * ends the program.
 */
import { closeSync, openSync, writeSync } from 'node:fs';
import pino from 'pino';
import type { Clock } from '../model/clock.ts';
import type { LogFields, Logger } from '../model/logger.ts';
import { describeError } from './describe-error.ts';
import { logfmt } from './logfmt.ts';

export interface LoggerOptions {
  readonly level: 'debug' | 'info' | 'warn' | 'error';
  readonly format: 'logfmt' | 'json';
  /** Appended to; null: standard error. */
  readonly file: string | null;
}

/** A log that can be changed while it is in use. */
export interface ProgramLog extends Logger {
  setLevel(level: LoggerOptions['level']): void;
  /** Goes on in the file of that name, as after a rotation. */
  reopen(): void;
}

/** Takes one line at a time, newline included. */
export interface LineSink {
  write(line: string): void;
}

const STDERR = 2;

/** @throws Error saying what to do, if the file cannot be written. */
export function createLogger(options: LoggerOptions, clock: Clock, given?: LineSink): ProgramLog {
  const file = given === undefined && options.file !== null ? new LogFile(options.file) : undefined;
  const sink = given ?? file ?? stderrSink();
  const log = pino(
    {
      level: options.level,
      base: null,
      messageKey: 'msg',
      timestamp: () => `,"time":"${new Date(clock.wallSeconds() * 1000).toISOString()}"`,
      formatters: { level: (label) => ({ level: label }) },
    },
    options.format === 'json' ? sink : logfmtSink(sink),
  );
  const at =
    (level: LoggerOptions['level']) =>
    (message: string, fields: LogFields = {}): void =>
      log[level](prepare(fields), message);
  return {
    debug: at('debug'),
    info: at('info'),
    warn: at('warn'),
    error: at('error'),
    setLevel: (level) => {
      log.level = level;
    },
    reopen: () => file?.reopen(),
  };
}

/** Synchronous, line by line: the last words of a process are not lost, and no line is torn by another writer. */
class LogFile implements LineSink {
  readonly #path: string;
  #descriptor: number;

  constructor(path: string) {
    this.#path = path;
    this.#descriptor = openLog(path);
  }

  write(line: string): void {
    try {
      writeSync(this.#descriptor, line);
    } catch {
      // A full disk must not end the exporter.
    }
  }

  /** What cannot be opened anew goes on as it was. */
  reopen(): void {
    const before = this.#descriptor;
    this.#descriptor = openLog(this.#path);
    closeSync(before);
  }
}

/** The log may name people. */
const OWNER_ONLY = 0o600;

/** What goes before the advice to choose another file. */
const ADVICE: Readonly<Record<string, string>> = {
  ENOENT: 'make its folder, or ',
  EACCES: 'let the account of the exporter write there, or ',
  EPERM: 'let the account of the exporter write there, or ',
  EISDIR: 'it is a folder: ',
};

function openLog(path: string): number {
  let code: string;
  try {
    return openSync(path, 'a', OWNER_ONLY);
  } catch (error) {
    ({ code = '' } = error as NodeJS.ErrnoException);
  }
  // Without a cause: it would be told twice.
  throw new Error(
    `the log file ${path} cannot be written (${code}); ${ADVICE[code] ?? ''}choose another file by --log.output`,
  );
}

/** Synchronous, so that the last words of a process are not lost. */
function stderrSink(): LineSink {
  const destination = pino.destination({ fd: STDERR, sync: true });
  // A log that cannot be written (closed pipe, full disk) must not end the exporter.
  destination.on('error', () => undefined);
  return destination;
}

function logfmtSink(sink: LineSink): LineSink {
  return {
    write(line) {
      const { time, level, msg, ...fields } = JSON.parse(line) as Record<string, unknown>;
      sink.write(`${logfmt({ time, level, msg, ...fields })}\n`);
    },
  };
}

/** The names that every line has; a field of such a name would replace it. */
const TAKEN = new Set(['time', 'level', 'msg']);

function prepare(fields: LogFields): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(fields).map(([key, value]) => [TAKEN.has(key) ? `${key}_` : key, prepareValue(value)]),
  );
}

/** What JSON would lose is written as text. */
function prepareValue(value: unknown): unknown {
  if (value instanceof Error) return describeError(value);
  if (typeof value === 'bigint' || (typeof value === 'number' && !Number.isFinite(value)))
    return String(value);
  return value;
}
