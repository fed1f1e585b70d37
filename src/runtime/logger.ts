/** The program's log: pino, written as logfmt or JSON lines to standard error. Logging never throws and never ends the program. */
import pino from 'pino';
import type { Clock } from '../model/clock.ts';
import type { LogFields, Logger } from '../model/logger.ts';
import { describeError } from './describe-error.ts';
import { logfmt } from './logfmt.ts';

export interface LoggerOptions {
  readonly level: 'debug' | 'info' | 'warn' | 'error';
  readonly format: 'logfmt' | 'json';
}

/** Takes one line at a time, newline included. */
export interface LineSink {
  write(line: string): void;
}

const STDERR = 2;

export function createLogger(options: LoggerOptions, clock: Clock, sink: LineSink = stderrSink()): Logger {
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
  return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') };
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
