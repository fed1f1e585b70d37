/** Turns texts into typed, validated options. The schemas come out of the table; they also fit values of a configuration file. */
import { isIP, isIPv4 } from 'node:net';
import { z } from 'zod';
import { ConfigFileError, UsageError } from '../model/errors.ts';
import { defaultAdminConfig } from './admin-schema.ts';
import { formatDuration, parseDurationMs } from './duration.ts';
import { type Given, quote } from './flags.ts';
import { formatListenAddress, isLoopback, type ListenAddress, parseListenAddress } from './listen-address.ts';
import {
  type Counted,
  countedForm,
  type EnumRow,
  nest,
  OPTIONS,
  type FlatOptions,
  type FileOnly,
  type OptionRow,
  type Options,
  type Surroundings,
} from './options.ts';
import { type OtlpPlan, otlpSection } from './otlp.ts';
import { hintForPath, LOG_OUTPUT_TEXT, PATH_TEXT, variableIn, variableProblem } from './path-text.ts';
import { DURATION_FORM, type JsonSchema } from './setting.ts';
import { closest } from './suggestion.ts';

/** None of the paths that the exporter serves itself. */
const FREE_PATH = /^(?!\/(?:-|api)\/|\/(?:-|api|probe|sd)$)/;
const URL_PATH = /^(?:\/(?!\.{1,2}(?:\/|$))[\w.~-]+)+$/;
const SERVER_NAME = /^[\p{L}\p{N}_](?:[\p{L}\p{N}_.-]{0,254})$/u;

/** Completes "expected ...". */
export function expectation(row: OptionRow): string {
  switch (row.kind) {
    case 'boolean':
      return 'true or false';
    case 'enum':
      return `one of ${row.choices.join(', ')}${row.counted ? `, or ${countedForm(row.counted)}` : ''}`;
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
    case 'url':
      return 'a URL such as https://vpn-metrics.example.net';
    case 'log-output':
      return 'stderr or file:PATH';
  }
}

/** What to do about a value that is none of the choices; '' if nobody can tell. */
function hintForChoice({ choices, counted }: EnumRow, value: unknown): string {
  const [, name = '', count = ''] = typeof value === 'string' ? (/^([^:]*)(:.*)?$/.exec(value) ?? []) : [];
  const meant = closest(name, choices);
  if (meant === null) return '';
  if (count === '' || !counted) return `did you mean ${meant}?`;
  if (counted.choices.includes(meant)) return meant === name ? '' : `did you mean ${meant}${count}?`;
  return `${meant} takes no number: write ${meant} or ${countedForm(counted)}`;
}

/** No message shows its value. */
export const mayHoldPassword = ({ kind }: OptionRow): boolean => kind === 'url';

/** What to do about a value that is refused; '' if nobody can tell. */
export function hintFor(row: OptionRow, value: unknown): string {
  if (row.kind === 'enum') return hintForChoice(row, value);
  if (row.kind === 'log-output' && value === 'eventlog')
    return 'the Windows event log is not supported yet: write file:PATH, and let the log collector read the file';
  return '';
}

/** As `hintFor`, of a value in a file. */
export function hintInFile(row: OptionRow, value: unknown): string {
  const hint = row.kind === 'path' || row.kind === 'log-output' ? hintForPath(value) : '';
  return hint === '' ? hintFor(row, value) : hint;
}

/** What a configuration file says, validated. */
export interface FileSettings extends FileOnly {
  /** By flag. */
  readonly values: ReadonlyMap<string, unknown>;
  /** Dotted paths of all keys that it has. */
  readonly keys: ReadonlySet<string>;
  /** `FILE:LINE:COLUMN` of a key. */
  readonly locate: (configKey: string) => string;
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

export const LISTEN_ADDRESS = read(parseListenAddress);

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
      return row.counted === undefined ? z.enum(row.choices) : z.enum(row.choices).or(counted(row.counted));
    case 'integer':
      return z
        .union([z.number(), read((text) => (/^\d{1,15}$/.test(text) ? Number(text) : null))])
        .pipe(z.int().min(row.min).max(row.max));
    case 'duration':
      return read(parseDurationMs).pipe(z.int().min(inMs(row.min)).max(inMs(row.max)));
    case 'listen-address':
      return z.array(LISTEN_ADDRESS).min(1);
    case 'url-path':
      return z.string().max(200).regex(URL_PATH).regex(FREE_PATH);
    case 'path':
      return PATH_TEXT;
    case 'server-name':
      return z.string().refine((name) => isIP(name) !== 0 || SERVER_NAME.test(name));
    case 'url':
      return z.string().max(2048).refine(isPlainUrl);
    case 'log-output':
      return LOG_OUTPUT_TEXT;
  }
}

/** What the JSON Schema says of a row besides `schemaOf`: of what is refined there, as a pattern that refuses nothing good. */
export function formOfRow(row: OptionRow): JsonSchema {
  switch (row.kind) {
    case 'enum': {
      if (row.counted === undefined) return {};
      const names = row.counted.choices.join('|');
      const pattern = `^(?:${names}):[1-9]\\d{0,8}$`;
      return { anyOf: [{ enum: row.choices }, { type: 'string', pattern }] };
    }
    case 'duration':
      return DURATION_FORM;
    case 'listen-address':
      return {
        pattern: '^(?:\\[[0-9A-Fa-f:.]+(?:%[^\\[\\]]+)?\\]|[A-Za-z0-9_.-]*):\\d{1,5}$',
        examples: [':10077', '127.0.0.1:10077', '[::1]:10077'],
      };
    case 'server-name':
      return { pattern: '^[\\p{L}\\p{N}_:][\\p{L}\\p{N}_.:%-]*$', examples: ['vpn1.example.net'] };
    case 'url':
      return {
        pattern: '^[Hh][Tt][Tt][Pp][Ss]?:/*[^/?#@]+(?:/[^?#]*)?$',
        examples: ['https://vpn-metrics.example.net'],
      };
    case 'log-output':
      return { examples: ['stderr', 'file:rras-exporter.log'] };
    case 'boolean':
    case 'integer':
    case 'url-path':
    case 'path':
      return {};
  }
}

/** Others read it: no password, and nothing behind the path. */
function isPlainUrl(text: string): boolean {
  if (!URL.canParse(text)) return false;
  const { protocol, username, password, search, hash } = new URL(text);
  return /^https?:$/.test(protocol) && [username, password, search, hash].every((part) => part === '');
}

function counted({ choices, max }: Counted): z.ZodType<string> {
  return z.string().refine((text) => {
    const [name = '', number = '', ...more] = text.split(':');
    return (
      choices.includes(name) && /^[1-9]\d{0,8}$/.test(number) && Number(number) <= max && more.length === 0
    );
  });
}

export function defaultOf(row: OptionRow, on: Surroundings): boolean | string | null {
  return typeof row.default === 'function' ? row.default(on) : row.default;
}

/**
 * A flag beats the file, the file beats the default.
 * @throws UsageError naming the flag, its value and what is expected, or the place in the file.
 */
export function toOptions(given: Given, on: Surroundings, file: FileSettings | null = null): Options {
  const fromFile = new Map(file?.values);
  for (const flag of given.keys()) fromFile.delete(flag);
  // Another origin on the command line takes the place of the one in the file.
  if (ORIGINS.some((flag) => given.has(flag))) for (const flag of ORIGINS) fromFile.delete(flag);
  const flat: Record<string, unknown> = Object.fromEntries(
    OPTIONS.map((row: OptionRow) => [row.flag, fromFile.get(row.flag) ?? fromText(row, given, on)]),
  );
  // The table gives both this type and the schemas; TypeScript cannot follow it through Object.fromEntries.
  const options = nest(flat as FlatOptions, {
    admin: file?.admin ?? defaultAdminConfig(),
    otlp: file?.otlp ?? otlpSection.parse({}),
    servers: file?.servers ?? [],
  });
  checkTogether(options, on, new Speaker(file, fromFile));
  flatOf.set(options, flat as FlatOptions);
  keysOf.set(options, file?.keys ?? new Set());
  return deepFreeze(options);
}

/** Of what `toOptions` made. */
const flatOf = new WeakMap<Options, FlatOptions>();
const keysOf = new WeakMap<Options, ReadonlySet<string>>();

/** What hides, forbids or says who may, and a file that is cut off may leave out. */
const PROTECTING = /^(?:privacy|admin|admin\.guards|hooks|servers)$|^(?:privacy|admin\.guards)\./;

/**
 * Keys that the file had and has no more, of those that protect: a file that was cut off while it was written is often a valid
 * one without them.
 */
export function missingProtection(before: Options, after: Options): string[] {
  const left = keysOf.get(after)!;
  const gone = [...keysOf.get(before)!].filter((key) => PROTECTING.test(key) && !left.has(key));
  // A section says all of what was in it.
  return gone.filter((key) => !gone.some((other) => key.startsWith(`${other}.`)));
}

/** Keys of the configuration file whose change takes a restart, of those that differ. */
export function restartNeeded(before: Options, after: Options): string[] {
  const [old, now] = [flatOf.get(before)!, flatOf.get(after)!];
  const differ = (a: unknown, b: unknown): boolean => JSON.stringify(a) !== JSON.stringify(b);
  const keys = (OPTIONS as readonly (OptionRow & { flag: Flag })[]).flatMap(({ flag, configKey, reloads }) =>
    configKey !== null && reloads !== true && differ(old[flag], now[flag]) ? [configKey] : [],
  );
  return differ(before.otlp, after.otlp) ? [...keys, 'otlp'] : keys;
}

type Flag = keyof FlatOptions;

/** Where the data comes from: one of them at most. */
const ORIGINS = ['rras.server', 'rras.simulate', 'rras.replay'] as const;

const SCHEMAS: ReadonlyMap<string, z.ZodType> = new Map(
  OPTIONS.map((row: OptionRow) => [
    row.flag,
    row.default === null ? z.nullable(schemaOf(row)) : schemaOf(row),
  ]),
);

/** The value that the command line or the table gives. */
function fromText(row: OptionRow, given: Given, on: Surroundings): unknown {
  const value = given.get(row.flag) ?? defaultOf(row, on);
  const texts = typeof value === 'object' ? value : [value];
  const input = row.kind === 'listen-address' ? texts : (texts?.[0] ?? null);
  const result = SCHEMAS.get(row.flag)?.safeParse(input);
  if (result?.success) {
    if (given.has(row.flag) && typeof input === 'string') refuseVariable(row, input, on);
    return result.data;
  }
  const index = result?.error.issues[0]?.path[0];
  throw refusal(row, typeof index === 'number' ? texts?.[index] : texts?.[0]);
}

function refuseVariable({ flag, kind }: OptionRow, text: string, { platform }: Surroundings): void {
  const variable = kind === 'path' || kind === 'log-output' ? variableIn(text, platform) : null;
  if (variable === null) return;
  const [message, hint] = variableProblem(variable);
  throw new UsageError(`--${flag}=${quote(text)}: ${message}`, hint);
}

function refusal(row: OptionRow, value: unknown): UsageError {
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  const shown = mayHoldPassword(row) ? '...' : /^[\w.:/[\]~-]+$/.test(text) ? text : quote(text);
  return new UsageError(`--${row.flag}=${shown}: expected ${expectation(row)}`, hintFor(row, text));
}

/** Calls options what the administrator called them: by their flags, or by their keys if the file sets them. */
class Speaker {
  readonly #file: FileSettings | null;
  readonly #fromFile: ReadonlyMap<string, unknown>;

  constructor(file: FileSettings | null, fromFile: ReadonlyMap<string, unknown>) {
    this.#file = file;
    this.#fromFile = fromFile;
  }

  name(flag: Flag): string {
    return this.#keyOf(flag) ?? `--${flag}`;
  }

  /** With the place of the first of `flags` that the file sets. */
  error(flags: readonly Flag[], message: string, hint = ''): UsageError {
    if (!this.#file) return new UsageError(message, hint);
    const [key] = flags.flatMap((flag) => this.#keyOf(flag) ?? []);
    return new ConfigFileError(`${key === undefined ? '' : `${this.#file.locate(key)}: `}${message}`, hint);
  }

  #keyOf(flag: Flag): string | null {
    return this.#fromFile.has(flag) ? (OPTIONS.find((row) => row.flag === flag)?.configKey ?? null) : null;
  }
}

/** Rules that take more than one option. */
function checkTogether(options: Options, on: Surroundings, speaker: Speaker): void {
  const { admin, collector, rras, web } = options;
  const { server, simulate, replay } = rras;
  const origins = ORIGINS.filter((_, index) => [server, simulate, replay][index] !== null);
  if (origins.length > 1) {
    const names = origins.map((flag) => speaker.name(flag)).join(' and ');
    throw speaker.error(origins, `${names} exclude each other`, 'leave all but one of them out');
  }
  if (collector.minIntervalMs >= collector.maxAgeMs) {
    const flags = ['collector.min-interval', 'collector.max-age'] as const;
    throw speaker.error(
      flags,
      `${speaker.name(flags[0])} (${formatDuration(collector.minIntervalMs)}) must be shorter than ` +
        `${speaker.name(flags[1])} (${formatDuration(collector.maxAgeMs)})`,
      'else every snapshot would be too old to be served',
    );
  }
  const seen = new Set<string>();
  for (const address of web.listenAddresses) {
    const text = formatListenAddress(address);
    if (address.port !== 0 && seen.has(text)) {
      const flag = 'web.listen-address';
      throw speaker.error([flag], `${speaker.name(flag)}=${text} is given more than once`);
    }
    seen.add(text);
  }
  for (const all of web.listenAddresses) {
    const one = web.listenAddresses.find((address) => address !== all && clashes(all, address, on));
    if (!one) continue;
    const flag = 'web.listen-address';
    const [part, whole] = [formatListenAddress(one), formatListenAddress(all)];
    throw speaker.error(
      [flag],
      `${speaker.name(flag)}=${part} is part of ${whole} already`,
      'leave one of them out',
    );
  }
  const credentials = admin.tokens.length + admin.clientCertificates.length;
  if (web.enableAdminApi && credentials === 0 && admin.hooks.grafana === undefined) {
    const flag = 'web.enable-admin-api';
    throw speaker.error(
      [flag],
      `${speaker.name(flag)} needs a token, a client certificate or the secret of Grafana in the configuration file`,
      `make a token by: rras-exporter token NAME${options.configFile === null ? ', and name the file by --config.file' : ''}`,
    );
  }
}

/** Whether the system refuses `one` beside `all`, all addresses of the machine; other systems than Linux take both. */
function clashes(all: ListenAddress, one: ListenAddress, { platform }: Surroundings): boolean {
  if (platform !== 'linux' || all.port === 0 || one.port !== all.port) return false;
  // Without a host, or as [::], those of IPv4 as well.
  if (all.host === null || all.host === '::') return true;
  return all.host === '0.0.0.0' && one.host !== null && isIPv4(one.host);
}

/**
 * By its name OTLP tells a server from others, and from the local one, which goes by that of the machine.
 * @throws UsageError
 */
export function refuseTwins({ servers }: Options, plan: OtlpPlan, machine: string): void {
  const twin = servers.find(({ name }) => name.toLowerCase() === machine.toLowerCase());
  if (plan.metrics === undefined || !twin) return;
  throw new UsageError(
    `the server ${twin.name} has the name of this machine, which is what OTLP calls the local server`,
    'give it another name in the section servers',
  );
}

/**
 * Never the admin API in clear to others, unless somebody wrote that it may. `tls`: every listener speaks TLS.
 * @throws UsageError
 */
export function refuseExposedAdmin({ admin, web }: Options, tls: boolean): void {
  if (!web.enableAdminApi || tls || admin.allowPlainHttp) return;
  const exposed = web.listenAddresses.find(({ host }) => host === null || !isLoopback(host));
  if (!exposed) return;
  throw new UsageError(
    `the admin API would be served without TLS on ${formatListenAddress(exposed)}, where others than this machine can reach it`,
    'turn on TLS by --web.config.file, listen on 127.0.0.1, or set admin.allowPlainHttp: true in the configuration file',
  );
}

function deepFreeze<T extends object>(value: T): T {
  for (const part of Object.values(value) as unknown[]) {
    // The bytes of a secret cannot be frozen.
    if (typeof part === 'object' && part !== null && !ArrayBuffer.isView(part)) deepFreeze(part);
  }
  return Object.freeze(value);
}
