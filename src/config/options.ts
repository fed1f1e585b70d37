/**
 * Every option stands once, in this table: the parser, the schemas and --help come out of it. An option that does
 * nothing yet must not stand here: an accepted flag is a promise.
 */
import type { AdminConfig } from '../model/admin.ts';
import { SOURCES, type Source } from '../model/words.ts';
import type { ListenAddress } from './listen-address.ts';

export const SCENARIOS = ['small', 'office', 'large', 'flapping', 'storm', 'crowded', 'fast'] as const;
export type Scenario = (typeof SCENARIOS)[number];
/** Scenarios that may be followed by a number of connections; the others have a way of their own to come and go. */
export const COUNTED_SCENARIOS = ['large'] as const;
/** A scenario, with or without a number of connections. */
export type Simulation = Scenario | `${(typeof COUNTED_SCENARIOS)[number]}:${number}`;

/** In the order of --help. */
export const GROUPS = ['General', 'RRAS', 'Recording', 'Collection', 'Privacy', 'Web', 'Logging'] as const;

/** What a default may depend on. */
export interface Surroundings {
  readonly platform: NodeJS.Platform;
  readonly env: Readonly<Record<string, string | undefined>>;
}

interface Row {
  /** Without the dashes. */
  readonly flag: string;
  readonly short?: string;
  readonly group: (typeof GROUPS)[number];
  readonly help: string;
  /** Dotted path in the configuration file; null if the option makes sense on the command line only. */
  readonly configKey: string | null;
  /** The only sub-command that takes it; absent: all take it. */
  readonly command?: string;
  /** A reload of the configuration file puts a changed value into force; absent: a restart does. */
  readonly reloads?: true;
}

interface ValueRow extends Row {
  /** Written as on the command line; null: not set. */
  readonly default: string | null | ((on: Surroundings) => string);
  /** What --help says of an option that is not set. */
  readonly unset?: string;
  readonly placeholder: string;
}

interface BooleanRow extends Row {
  readonly kind: 'boolean';
  readonly default: boolean;
}

/** Choices that may be followed by `:N`, a whole number from 1 to `max` of what `of` says. */
export interface Counted {
  readonly choices: readonly [string, ...string[]];
  readonly max: number;
  readonly of: string;
}

/** As in "large:N for N connections (1 to 200000)". */
export function countedForm({ choices, max, of }: Counted): string {
  return `${choices.map((choice) => `${choice}:N`).join(', ')} for N ${of} (1 to ${max})`;
}

export interface EnumRow extends ValueRow {
  readonly kind: 'enum';
  readonly choices: readonly [string, ...string[]];
  /** The value of the bare flag. With it, a value must follow an equals sign. */
  readonly implied?: string;
  readonly counted?: Counted;
}

interface IntegerRow extends ValueRow {
  readonly kind: 'integer';
  readonly min: number;
  readonly max: number;
}

interface DurationRow extends ValueRow {
  readonly kind: 'duration';
  /** Both written as on the command line. */
  readonly min: string;
  readonly max: string;
}

interface StringRow extends ValueRow {
  readonly kind: 'server-name' | 'url-path' | 'path' | 'url' | 'log-output';
}

interface AddressRow extends ValueRow {
  readonly kind: 'listen-address';
  readonly repeatable: true;
}

export type OptionRow = BooleanRow | EnumRow | IntegerRow | DurationRow | StringRow | AddressRow;

function sourceRow<S extends Source>(source: S, help: string) {
  return {
    flag: `collector.${source}` as const,
    kind: 'boolean',
    default: true,
    group: 'Collection',
    help,
    // Not `collector.<source>`: options of one source live below that key.
    configKey: `collector.${source}.enabled`,
  } as const;
}

export const OPTIONS = [
  {
    flag: 'help',
    short: 'h',
    kind: 'boolean',
    default: false,
    group: 'General',
    help: 'Print this text and exit.',
    configKey: null,
  },
  {
    flag: 'version',
    kind: 'boolean',
    default: false,
    group: 'General',
    help: 'Print the version and exit.',
    configKey: null,
  },
  {
    flag: 'json',
    kind: 'boolean',
    default: false,
    group: 'General',
    help: 'Of `rras-exporter doctor`: print one JSON document.',
    configKey: null,
    command: 'doctor',
  },
  {
    flag: 'config.file',
    kind: 'path',
    default: null,
    unset: 'no file',
    placeholder: 'FILE',
    group: 'General',
    help: 'YAML file with a key for each flag that has one, and with the sections servers, admin, hooks and otlp. Flags beat it; paths in it start at its folder.',
    configKey: null,
  },
  {
    flag: 'rras.server',
    kind: 'server-name',
    default: null,
    unset: 'the local machine',
    placeholder: 'HOST',
    group: 'RRAS',
    help: 'The RRAS server to read, by name or address. The account of the exporter needs administrator rights on it.',
    configKey: 'rras.server',
  },
  {
    flag: 'rras.simulate',
    kind: 'enum',
    choices: SCENARIOS,
    implied: 'office',
    counted: { choices: COUNTED_SCENARIOS, max: 200_000, of: 'connections' },
    default: null,
    unset: 'a real server is read',
    placeholder: 'SCENARIO',
    group: 'RRAS',
    help: 'Serve a simulated RRAS server instead of a real one, on any platform. The metrics say so: rras_exporter_simulated is 1.',
    configKey: 'rras.simulate',
  },
  {
    flag: 'rras.replay',
    kind: 'path',
    default: null,
    unset: 'a real server is read',
    placeholder: 'FILE',
    group: 'RRAS',
    help: 'Serve a recording that `rras-exporter record` made instead of a real server, on any platform.',
    configKey: 'rras.replay',
  },
  {
    flag: 'native.isolation',
    kind: 'enum',
    choices: ['process', 'none'],
    default: 'process',
    placeholder: 'MODE',
    group: 'RRAS',
    help: 'Where mprapi.dll is loaded: in a child process, which can hang or crash without harm, or in this process (none), for debugging only.',
    configKey: 'native.isolation',
  },
  {
    flag: 'native.max-processes',
    kind: 'integer',
    min: 1,
    max: 256,
    default: '32',
    placeholder: 'N',
    group: 'RRAS',
    help: 'How many child processes may be there at once for configured servers, one for each that is read; the local server has one of its own. With more servers, the one that was not read for longest makes room.',
    configKey: 'native.max-processes',
  },
  {
    flag: 'record.duration',
    kind: 'duration',
    min: '0s',
    max: '7d',
    default: '1m',
    placeholder: 'DURATION',
    group: 'Recording',
    help: 'How long `rras-exporter record` reads the server, every 5 s. 0s: until it is stopped.',
    configKey: null,
    command: 'record',
  },
  sourceRow('server', 'Read the state of the service and of the router.'),
  sourceRow('connections', 'Read the connections.'),
  sourceRow('ports', 'Read the ports.'),
  sourceRow('interfaces', 'Read the demand-dial and dedicated interfaces.'),
  {
    flag: 'collector.timeout',
    kind: 'duration',
    min: '1ms',
    max: '1h',
    default: '10s',
    placeholder: 'DURATION',
    group: 'Collection',
    help: "The longest that reading the server may take. A scrape's own timeout, if shorter, comes first.",
    configKey: 'collector.timeout',
    reloads: true,
  },
  {
    flag: 'collector.min-interval',
    kind: 'duration',
    min: '0s',
    max: '1h',
    default: '1s',
    placeholder: 'DURATION',
    group: 'Collection',
    help: 'A scrape within this time after the last one is answered from the last snapshot.',
    configKey: 'collector.min-interval',
    reloads: true,
  },
  {
    flag: 'collector.max-age',
    kind: 'duration',
    min: '1ms',
    max: '1d',
    default: '60s',
    placeholder: 'DURATION',
    group: 'Collection',
    help: 'A snapshot older than this is no longer served, and rras_up is 0.',
    configKey: 'collector.max-age',
    reloads: true,
  },
  {
    flag: 'collector.connections.detail',
    kind: 'enum',
    choices: ['full', 'top', 'none'],
    default: 'full',
    placeholder: 'MODE',
    group: 'Collection',
    help: 'Which connections are shown one by one: all up to the limit (full), those with most traffic of late (top), or none. The totals always count all.',
    configKey: 'collector.connections.detail',
    reloads: true,
  },
  {
    flag: 'collector.connections.limit',
    kind: 'integer',
    min: 1,
    max: 1_000_000,
    default: '10000',
    placeholder: 'N',
    group: 'Collection',
    help: 'The most connections that are shown one by one; what the others move is in the rows connection="other".',
    configKey: 'collector.connections.limit',
    reloads: true,
  },
  {
    flag: 'collector.users',
    kind: 'boolean',
    default: false,
    group: 'Collection',
    help: 'Keep totals per user (rras_user_*), for the first 5000 users that are seen; the others share the row user="other".',
    configKey: 'collector.users.enabled',
  },
  {
    flag: 'privacy.users',
    kind: 'enum',
    choices: ['plain', 'pseudonym', 'none'],
    default: null,
    unset:
      'plain if all listeners are on loopback or the web configuration demands authentication, else pseudonym',
    placeholder: 'MODE',
    group: 'Privacy',
    help: 'How user, domain and computer names are shown, everywhere: as they are, as keyed pseudonyms, or not at all.',
    configKey: 'privacy.users',
    reloads: true,
  },
  {
    flag: 'privacy.addresses',
    kind: 'enum',
    choices: ['plain', 'pseudonym', 'prefix', 'none'],
    default: null,
    unset:
      'plain if all listeners are on loopback or the web configuration demands authentication, else prefix',
    placeholder: 'MODE',
    group: 'Privacy',
    help: 'How addresses are shown, everywhere: as they are, as keyed pseudonyms, as their /24 or /48, or not at all.',
    configKey: 'privacy.addresses',
    reloads: true,
  },
  {
    flag: 'storage.path',
    kind: 'path',
    default: ({ platform, env }) =>
      platform === 'win32' ? `${env['ProgramData'] ?? 'C:\\ProgramData'}\\rras-exporter` : './data',
    placeholder: 'FOLDER',
    group: 'Privacy',
    help: 'Folder of the state of the exporter, such as the key of the pseudonyms. Made when it is first needed, for this account and administrators only.',
    configKey: 'storage.path',
  },
  {
    flag: 'web.listen-address',
    kind: 'listen-address',
    repeatable: true,
    default: ':10077',
    placeholder: 'ADDRESS',
    group: 'Web',
    help: 'Address to listen on, as host:port; without a host, on all interfaces. Repeat the flag for several addresses.',
    configKey: 'web.listen-address',
  },
  {
    flag: 'web.config.file',
    kind: 'path',
    default: null,
    unset: 'plain HTTP without authentication',
    placeholder: 'FILE',
    group: 'Web',
    help: 'Web configuration file of the Prometheus exporters: TLS, client certificates, basic authentication, headers.',
    configKey: 'web.config.file',
  },
  {
    flag: 'web.external-url',
    kind: 'url',
    default: null,
    unset: 'what the request says',
    placeholder: 'URL',
    group: 'Web',
    help: 'The URL at which others reach the exporter, such as https://vpn-metrics.example.net: what /sd tells Prometheus to scrape, and a name that a proxy on this machine may pass on.',
    configKey: 'web.external-url',
    reloads: true,
  },
  {
    flag: 'web.telemetry-path',
    kind: 'url-path',
    default: '/metrics',
    placeholder: 'PATH',
    group: 'Web',
    help: 'Path of the metrics.',
    configKey: 'web.telemetry-path',
  },
  {
    flag: 'web.max-requests',
    kind: 'integer',
    min: 0,
    max: 1_000_000,
    default: '40',
    placeholder: 'N',
    group: 'Web',
    help: 'How many scrapes may be under way at once, and as many requests of the API and of the page; more are answered 503. 0: no limit.',
    configKey: 'web.max-requests',
    reloads: true,
  },
  {
    flag: 'web.openmetrics-created',
    kind: 'boolean',
    default: false,
    group: 'Web',
    help: 'Also tell when each counter began, to clients that ask for OpenMetrics; costs one more line per series.',
    configKey: 'web.openmetrics-created',
  },
  {
    flag: 'web.disable-exporter-metrics',
    kind: 'boolean',
    default: false,
    group: 'Web',
    help: 'Leave out the metrics of the exporter process itself (process_*, nodejs_*).',
    configKey: 'web.disable-exporter-metrics',
  },
  {
    flag: 'web.enable-admin-api',
    kind: 'boolean',
    default: false,
    group: 'Web',
    help: 'Serve the admin API and the hooks, which act on the server: needs a token or a client certificate in the configuration.',
    configKey: 'web.enable-admin-api',
  },
  {
    flag: 'web.enable-lifecycle',
    kind: 'boolean',
    default: false,
    group: 'Web',
    help: 'Serve POST /-/reload, which reads the configuration file anew. On other systems than Windows the signal SIGHUP does so, too.',
    configKey: 'web.enable-lifecycle',
  },
  {
    flag: 'log.level',
    kind: 'enum',
    choices: ['debug', 'info', 'warn', 'error'],
    default: 'info',
    placeholder: 'LEVEL',
    group: 'Logging',
    help: 'The least severe messages to log.',
    configKey: 'log.level',
    reloads: true,
  },
  {
    flag: 'log.format',
    kind: 'enum',
    choices: ['logfmt', 'json'],
    default: 'logfmt',
    placeholder: 'FORMAT',
    group: 'Logging',
    help: 'The format of the log.',
    configKey: 'log.format',
  },
  {
    flag: 'log.output',
    kind: 'log-output',
    default: 'stderr',
    placeholder: 'OUTPUT',
    group: 'Logging',
    help: 'Where the log goes: to standard error (stderr), or to the end of a file (file:PATH), which is opened anew at each reload of the configuration, as after a rotation.',
    configKey: 'log.output',
  },
] as const satisfies readonly OptionRow[];

type Table = (typeof OPTIONS)[number];

type Value<R extends Table> = R extends { kind: 'boolean' }
  ? boolean
  : R extends { kind: 'integer' | 'duration' }
    ? number
    : R extends { kind: 'enum'; choices: readonly (infer C)[]; default: infer D }
      ? C | CountedOf<R> | (D extends null ? null : never)
      : R extends { kind: 'listen-address' }
        ? readonly ListenAddress[]
        : string | (R extends { default: null } ? null : never);

type CountedOf<R> = R extends { counted: { choices: readonly (infer C extends string)[] } }
  ? `${C}:${number}`
  : never;

/** Every option by its flag, durations in milliseconds. */
export type FlatOptions = { readonly [R in Table as R['flag']]: Value<R> };

/** The section `otlp` of the file; the rest of it is in the standard variables of OpenTelemetry. */
export interface OtlpConfig {
  readonly enabled: boolean;
  readonly connections: boolean;
}

/** Where the data of a server comes from. */
export interface Origin {
  /** null: the local machine. */
  readonly server: string | null;
  /** null: a real server is read. */
  readonly simulate: Simulation | null;
  /** File of a recording; null: a real server is read. */
  readonly replay: string | null;
}

/** A server of the section `servers` of the file: exactly one part of its origin is there. */
export interface ServerConfig {
  readonly name: string;
  readonly rras: Origin;
}

/** What stands in the file only: it has no flags. */
export interface FileOnly {
  readonly admin: AdminConfig;
  readonly otlp: OtlpConfig;
  readonly servers: readonly ServerConfig[];
}

/** What the program runs with: complete, validated, frozen. */
export interface Options extends FileOnly {
  /** null: flags and defaults only. */
  readonly configFile: string | null;
  readonly rras: Origin;
  readonly native: { readonly isolation: 'process' | 'none'; readonly maxProcesses: number };
  readonly record: {
    /** 0: until it is stopped. */
    readonly durationMs: number;
  };
  readonly collector: {
    /** Those switched on, in the order of SOURCES. */
    readonly sources: readonly Source[];
    readonly timeoutMs: number;
    /** 0: every scrape enumerates. */
    readonly minIntervalMs: number;
    readonly maxAgeMs: number;
    readonly connections: { readonly detail: 'full' | 'top' | 'none'; readonly limit: number };
    /** Totals per user. */
    readonly users: boolean;
  };
  /** null: by whether others than this machine can scrape. */
  readonly privacy: {
    readonly users: 'plain' | 'pseudonym' | 'none' | null;
    readonly addresses: 'plain' | 'pseudonym' | 'prefix' | 'none' | null;
  };
  readonly storage: { readonly path: string };
  readonly web: {
    readonly listenAddresses: readonly ListenAddress[];
    readonly telemetryPath: string;
    /** 0: no limit. */
    readonly maxRequests: number;
    /** False: the metrics of the exporter's own process are left out. */
    readonly exporterMetrics: boolean;
    readonly openMetricsCreated: boolean;
    /** Of TLS and authentication; null: neither. */
    readonly configFile: string | null;
    readonly enableAdminApi: boolean;
    readonly enableLifecycle: boolean;
    /** null: as the request says. */
    readonly externalUrl: string | null;
  };
  readonly log: {
    readonly level: 'debug' | 'info' | 'warn' | 'error';
    readonly format: 'logfmt' | 'json';
    /** Path of a file that is appended to; null: standard error. */
    readonly file: string | null;
  };
}

/** Begins a `log-output` that names a file. */
export const FILE_OUTPUT = 'file:';

export function nest(flat: FlatOptions, fileOnly: FileOnly): Options {
  return {
    configFile: flat['config.file'],
    rras: { server: flat['rras.server'], simulate: flat['rras.simulate'], replay: flat['rras.replay'] },
    native: { isolation: flat['native.isolation'], maxProcesses: flat['native.max-processes'] },
    record: { durationMs: flat['record.duration'] },
    collector: {
      sources: SOURCES.filter((source) => flat[`collector.${source}`]),
      timeoutMs: flat['collector.timeout'],
      minIntervalMs: flat['collector.min-interval'],
      maxAgeMs: flat['collector.max-age'],
      connections: {
        detail: flat['collector.connections.detail'],
        limit: flat['collector.connections.limit'],
      },
      users: flat['collector.users'],
    },
    privacy: { users: flat['privacy.users'], addresses: flat['privacy.addresses'] },
    storage: { path: flat['storage.path'] },
    web: {
      listenAddresses: flat['web.listen-address'],
      telemetryPath: flat['web.telemetry-path'],
      maxRequests: flat['web.max-requests'],
      exporterMetrics: !flat['web.disable-exporter-metrics'],
      openMetricsCreated: flat['web.openmetrics-created'],
      configFile: flat['web.config.file'],
      enableAdminApi: flat['web.enable-admin-api'],
      enableLifecycle: flat['web.enable-lifecycle'],
      externalUrl: flat['web.external-url'],
    },
    log: {
      level: flat['log.level'],
      format: flat['log.format'],
      file: flat['log.output'].startsWith(FILE_OUTPUT) ? flat['log.output'].slice(FILE_OUTPUT.length) : null,
    },
    ...fileOnly,
  };
}
