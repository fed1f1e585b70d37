/** Turns texts into typed, validated options. The schemas come out of the table; they also fit values of a configuration file. */
import { isIP } from 'node:net';
import { z } from 'zod';
import { UsageError } from '../model/errors.ts';
import { formatDuration, parseDurationMs } from './duration.ts';
import { type Given, quote } from './flags.ts';
import { formatListenAddress, parseListenAddress } from './listen-address.ts';
import {
  nest,
  OPTIONS,
  type FlatOptions,
  type OptionRow,
  type Options,
  type Surroundings,
} from './options.ts';
import { closest } from './suggestion.ts';

/** Paths that the exporter serves itself. */
const RESERVED_PATH = /^\/(?:-|api)\/|^\/(?:-|api|probe|sd)$/;
const URL_PATH = /^(?:\/(?!\.{1,2}(?:\/|$))[\w.~-]+)+$/;
const SERVER_NAME = /^[\p{L}\p{N}_](?:[\p{L}\p{N}_.-]{0,254})$/u;

/** Completes "expected ...". */
export function expectation(row: OptionRow): string {
  switch (row.kind) {
    case 'boolean':
      return 'true or false';
    case 'enum':
      return `one of ${row.choices.join(', ')}`;
    case 'integer':
      return `a whole number from ${row.min} to ${row.max}`;
    case 'duration':
      return `a duration from ${row.min} to ${row.max}, such as 500ms, 10s or 1m30s`;
    case 'listen-address':
      return 'an address with a port from 0 to 65535, such as :10077, 127.0.0.1:10077 or [::1]:10077';
    case 'url-path':
      return 'a path such as /metrics that is not one of the exporter itself (/, /-/, /api/, /probe, /sd)';
    case 'path':
      return 'a path';
    case 'server-name':
      return 'a host name or an IP address';
  }
}

/** A schema from text to what `parse` makes of it, null being a refusal. */
function read<T>(parse: (text: string) => T | null) {
  return z.string().transform((text, context) => {
    const value = parse(text);
    if (value === null) {
      context.addIssue({ code: 'custom' });
      return z.NEVER;
    }
    return value;
  });
}

function inMs(text: string): number {
  const ms = parseDurationMs(text);
  if (ms === null) throw new RangeError(`the table of options holds a bad duration: ${text}`);
  return ms;
}

export function schemaOf(row: OptionRow): z.ZodType {
  switch (row.kind) {
    case 'boolean':
      return z.boolean();
    case 'enum':
      return z.enum(row.choices);
    case 'integer':
      return z
        .union([z.number(), read((text) => (/^\d{1,15}$/.test(text) ? Number(text) : null))])
        .pipe(z.int().min(row.min).max(row.max));
    case 'duration':
      return read(parseDurationMs).pipe(z.int().min(inMs(row.min)).max(inMs(row.max)));
    case 'listen-address':
      return z.array(read(parseListenAddress)).min(1);
    case 'url-path':
      return z
        .string()
        .max(200)
        .regex(URL_PATH)
        .refine((path) => !RESERVED_PATH.test(path));
    case 'path':
      return z
        .string()
        .min(1)
        .max(4096)
        .regex(/^[^\0]+$/);
    case 'server-name':
      return z.string().refine((name) => isIP(name) !== 0 || SERVER_NAME.test(name));
  }
}

const flatSchema = z.strictObject(
  Object.fromEntries(
    OPTIONS.map((row: OptionRow) => [
      row.flag,
      row.default === null ? z.nullable(schemaOf(row)) : schemaOf(row),
    ]),
  ),
);

export function defaultOf(row: OptionRow, on: Surroundings): boolean | string | null {
  return typeof row.default === 'function' ? row.default(on) : row.default;
}

/** @throws UsageError naming the flag, its value and what is expected. */
export function toOptions(given: Given, on: Surroundings): Options {
  const input: Record<string, unknown> = Object.fromEntries(
    OPTIONS.map((row: OptionRow): [string, unknown] => {
      const value = given.get(row.flag) ?? defaultOf(row, on);
      if (row.kind === 'listen-address') return [row.flag, typeof value === 'string' ? [value] : value];
      return [row.flag, typeof value === 'object' ? (value?.[0] ?? null) : value];
    }),
  );
  const result = flatSchema.safeParse(input);
  if (!result.success) throw refusal(result.error.issues[0]?.path ?? [], input);
  // The table gives both this type and the schema; TypeScript cannot follow it through Object.fromEntries.
  const options = nest(result.data as FlatOptions);
  checkTogether(options);
  return deepFreeze(options);
}

function refusal(path: readonly PropertyKey[], input: Record<string, unknown>): UsageError {
  const [flag, index] = path;
  const row = OPTIONS.find((each) => each.flag === flag) as OptionRow | undefined;
  if (!row) return new UsageError(`the options are not valid: ${path.join('.')}`);
  const whole = input[row.flag];
  const value: unknown = Array.isArray(whole) && typeof index === 'number' ? whole[index] : whole;
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  const suggestion = row.kind === 'enum' ? closest(text, row.choices) : null;
  return new UsageError(
    `--${row.flag}=${/^[\w.:/[\]~-]+$/.test(text) ? text : quote(text)}: expected ${expectation(row)}`,
    suggestion === null ? '' : `did you mean ${suggestion}?`,
  );
}

/** Rules that take more than one option. */
function checkTogether(options: Options): void {
  const { collector, rras, web } = options;
  const origins = (['server', 'simulate', 'replay'] as const).filter((origin) => rras[origin] !== null);
  if (origins.length > 1) {
    const flags = origins.map((origin) => `--rras.${origin}`);
    throw new UsageError(`${flags.join(' and ')} exclude each other`, 'leave all but one of them out');
  }
  if (collector.minIntervalMs >= collector.maxAgeMs) {
    throw new UsageError(
      `--collector.min-interval (${formatDuration(collector.minIntervalMs)}) must be shorter than ` +
        `--collector.max-age (${formatDuration(collector.maxAgeMs)})`,
      'else every snapshot would be too old to be served',
    );
  }
  const seen = new Set<string>();
  for (const address of web.listenAddresses) {
    const text = formatListenAddress(address);
    if (address.port !== 0 && seen.has(text)) {
      throw new UsageError(`--web.listen-address=${text} is given more than once`);
    }
    seen.add(text);
  }
}

function deepFreeze<T extends object>(value: T): T {
  for (const part of Object.values(value) as unknown[]) {
    if (typeof part === 'object' && part !== null) deepFreeze(part);
  }
  return Object.freeze(value);
}
