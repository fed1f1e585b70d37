import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { COMMANDS, readCommandLine } from '../../src/config/commands.ts';
import { readFlags } from '../../src/config/flags.ts';
import { GROUPS, OPTIONS, type OptionRow, type Options } from '../../src/config/options.ts';
import { defaultOf, expectation, schemaOf, toOptions } from '../../src/config/schema.ts';
import { UsageError } from '../../src/model/errors.ts';
import { SOURCES } from '../../src/model/words.ts';

const LINUX = { platform: 'linux', env: {} } as const;
const rows: readonly OptionRow[] = OPTIONS;

function parse(...argv: string[]): Options {
  return toOptions(readCommandLine(argv).given, LINUX);
}

/** The message and hint of the refusal, as the user sees them. */
function refusal(...argv: string[]): string {
  try {
    parse(...argv);
  } catch (error) {
    if (error instanceof UsageError)
      return error.hint === '' ? error.message : `${error.message} (${error.hint})`;
    throw error;
  }
  throw new Error(`accepted: ${argv.join(' ')}`);
}

const SCENARIO_EXPECTED =
  'expected one of small, office, large, flapping, storm, crowded, fast, or large:N for N connections (1 to 200000)';
const NAMES = COMMANDS.map(({ name }) => name);

const DEFAULTS: Options = {
  configFile: null,
  rras: { server: null, simulate: null, replay: null },
  native: { isolation: 'process', maxProcesses: 32 },
  record: { durationMs: 60_000 },
  collector: {
    sources: ['server', 'connections', 'ports', 'interfaces'],
    timeoutMs: 10_000,
    minIntervalMs: 1000,
    maxAgeMs: 60_000,
    connections: { detail: 'full', limit: 10_000 },
    users: false,
  },
  privacy: { users: null, addresses: null },
  storage: { path: './data' },
  web: {
    listenAddresses: [{ host: null, port: 10077 }],
    telemetryPath: '/metrics',
    maxRequests: 40,
    exporterMetrics: true,
    openMetricsCreated: false,
    configFile: null,
    enableAdminApi: false,
    enableLifecycle: false,
    externalUrl: null,
  },
  log: { level: 'info', format: 'logfmt', file: null },
  servers: [],
  otlp: { enabled: true, connections: false },
  admin: {
    tokens: [],
    clientCertificates: [],
    allowPlainHttp: false,
    guards: {
      allow: ['*'],
      deny: [],
      endpointNetworks: [],
      cooldownMs: 60_000,
      cooldownMaxMs: 3_600_000,
      rateBurst: 5,
      ratePerMs: 600_000,
      maxConcurrent: 2,
      maxUnreachableShare: 0.5,
      minHealthyFrom: 4,
      breakerFailures: 3,
      attemptTimeoutMs: 60_000,
      dryRun: false,
    },
    hooks: {
      allowActions: ['reconnect'],
      rules: [],
      serverLabel: 'instance',
      localServer: [],
      grafana: undefined,
    },
  },
};

describe('without flags', () => {
  test('the defaults are those of the contract', () => {
    expect(parse()).toEqual(DEFAULTS);
  });

  test('the options cannot be changed by who holds them', () => {
    const options = parse();
    expect(Object.isFrozen(options)).toBe(true);
    expect(Object.isFrozen(options.web.listenAddresses[0])).toBe(true);
    expect(Object.isFrozen(options.collector.sources)).toBe(true);
  });
});

describe('a flag', () => {
  type Section = Exclude<keyof Options, 'configFile' | 'admin' | 'servers'>;
  test.each<[string[], Section, object]>([
    [['--web.listen-address=127.0.0.1:1'], 'web', { listenAddresses: [{ host: '127.0.0.1', port: 1 }] }],
    [['--web.listen-address', '[::1]:1'], 'web', { listenAddresses: [{ host: '::1', port: 1 }] }],
    [
      ['--web.listen-address=:2', '--web.max-requests=7', '--web.listen-address=:1'],
      'web',
      {
        listenAddresses: [
          { host: null, port: 2 },
          { host: null, port: 1 },
        ],
        maxRequests: 7,
      },
    ],
    [['--web.telemetry-path=/a/b.c-d_e~'], 'web', { telemetryPath: '/a/b.c-d_e~' }],
    [['--web.max-requests=0'], 'web', { maxRequests: 0 }],
    [['--web.max-requests', '7'], 'web', { maxRequests: 7 }],
    [['--web.disable-exporter-metrics'], 'web', { exporterMetrics: false }],
    [['--web.disable-exporter-metrics=true'], 'web', { exporterMetrics: false }],
    [['--web.disable-exporter-metrics=false'], 'web', { exporterMetrics: true }],
    [['--no-web.disable-exporter-metrics'], 'web', { exporterMetrics: true }],
    [['--log.level=debug'], 'log', { level: 'debug' }],
    [['--log.format', 'json'], 'log', { format: 'json' }],
    [['--rras.server=vpn1.example.net'], 'rras', { server: 'vpn1.example.net' }],
    [['--rras.server=2001:db8::1'], 'rras', { server: '2001:db8::1' }],
    [['--rras.simulate'], 'rras', { simulate: 'office' }],
    [['--rras.simulate=storm'], 'rras', { simulate: 'storm' }],
    [['--rras.simulate=large:1'], 'rras', { simulate: 'large:1' }],
    [['--rras.simulate=large:200000'], 'rras', { simulate: 'large:200000' }],
    [['--rras.simulate', '--log.level=info'], 'rras', { simulate: 'office' }],
    [['--native.isolation=none'], 'native', { isolation: 'none' }],
    [['--no-collector.ports'], 'collector', { sources: ['server', 'connections', 'interfaces'] }],
    [['--collector.ports'], 'collector', { sources: [...SOURCES] }],
    [
      ['--collector.ports=false', '--no-collector.server'],
      'collector',
      { sources: ['connections', 'interfaces'] },
    ],
    [['--collector.timeout=1m30s'], 'collector', { timeoutMs: 90_000 }],
    [['--collector.min-interval=0s'], 'collector', { minIntervalMs: 0 }],
    [['--collector.max-age=5m'], 'collector', { maxAgeMs: 300_000 }],
    [['--'], 'log', {}],
  ])('%j is understood', (argv, section, expected) => {
    expect(parse(...argv)).toEqual({ ...DEFAULTS, [section]: { ...DEFAULTS[section], ...expected } });
  });

  test.each<[string[], string]>([
    // Unknown flags.
    [['--web.listen-adress=:1'], 'unknown flag --web.listen-adress (did you mean --web.listen-address?)'],
    [['--Log.Level=info'], 'unknown flag --Log.Level (did you mean --log.level?)'],
    [['--no-collector.port'], 'unknown flag --no-collector.port (did you mean --no-collector.ports?)'],
    [['--no-web.max-requests'], 'unknown flag --no-web.max-requests (did you mean --web.max-requests?)'],
    [['--no-help'], 'unknown flag --no-help (did you mean --help?)'],
    [['--listen-address=:1'], 'unknown flag --listen-address (did you mean --web.listen-address?)'],
    [['--totally-different'], 'unknown flag --totally-different (see --help)'],
    [['--__proto__=x'], 'unknown flag --__proto__ (see --help)'],
    [['--constructor'], 'unknown flag --constructor (see --help)'],
    [['--a\nb'], 'unknown flag --a\\u000ab (see --help)'],
    [
      ['-web.listen-address=:1'],
      'unknown flag "-web.listen-address=:1" (flags start with two dashes: --web.listen-address=:1)',
    ],
    [['-x'], 'unknown flag "-x" (see --help)'],
    [['-hx'], 'unknown flag "-hx" (see --help)'],
    // Values that are missing, superfluous or wrong.
    [['--log.level'], '--log.level needs a value (write --log.level=LEVEL)'],
    [['--rras.server', '--log.level=info'], '--rras.server needs a value (write --rras.server=HOST)'],
    [
      ['--no-collector.ports=true'],
      '--no-collector.ports takes no value, not "true" (write --no-collector.ports)',
    ],
    [['--collector.ports=yes'], '--collector.ports takes no value, not "yes" (write --collector.ports)'],
    [['--log.level=wran'], '--log.level=wran: expected one of debug, info, warn, error (did you mean warn?)'],
    [['--log.level=INFO'], '--log.level=INFO: expected one of debug, info, warn, error (did you mean info?)'],
    [['--log.format='], '--log.format="": expected one of logfmt, json'],
    [['--rras.simulate=offce'], `--rras.simulate=offce: ${SCENARIO_EXPECTED} (did you mean office?)`],
    [['--rras.simulate='], `--rras.simulate="": ${SCENARIO_EXPECTED}`],
    ...['0', '200001', '007', '-1', '1e3', '', '5:5', ' 5'].map((count): [string[], string] => [
      [`--rras.simulate=large:${count}`],
      `--rras.simulate=${count === ' 5' ? '"large: 5"' : `large:${count}`}: ${SCENARIO_EXPECTED}`,
    ]),
    [['--rras.simulate=lrge:50'], `--rras.simulate=lrge:50: ${SCENARIO_EXPECTED} (did you mean large:50?)`],
    [
      ['--rras.simulate=office:50'],
      `--rras.simulate=office:50: ${SCENARIO_EXPECTED} ` +
        '(office takes no number: write office or large:N for N connections (1 to 200000))',
    ],
    [['--web.max-requests=-1'], '--web.max-requests=-1: expected a whole number from 0 to 1000000'],
    [['--web.max-requests=1e3'], '--web.max-requests=1e3: expected a whole number from 0 to 1000000'],
    [['--web.max-requests=0x10'], '--web.max-requests=0x10: expected a whole number from 0 to 1000000'],
    [['--web.max-requests= 1'], '--web.max-requests=" 1": expected a whole number from 0 to 1000000'],
    [
      ['--collector.timeout=10'],
      '--collector.timeout=10: expected a duration from 1ms to 1h, such as 500ms, 10s or 1m30s',
    ],
    [
      ['--collector.timeout=0s'],
      '--collector.timeout=0s: expected a duration from 1ms to 1h, such as 500ms, 10s or 1m30s',
    ],
    [
      ['--collector.max-age=2d'],
      '--collector.max-age=2d: expected a duration from 1ms to 1d, such as 500ms, 10s or 1m30s',
    ],
    [
      ['--web.listen-address=:1', '--web.listen-address=:65536'],
      '--web.listen-address=:65536: expected an address with a port from 0 to 65535, such as :10077, 127.0.0.1:10077 or [::1]:10077',
    ],
    [
      ['--web.telemetry-path=metrics'],
      '--web.telemetry-path=metrics: expected a path such as /metrics that is not one of the exporter itself (/, /-/, /api/, /probe, /sd)',
    ],
    [
      ['--web.external-url=https://anna:secret@vpn-metrics.example.net'],
      '--web.external-url=...: expected a URL such as https://vpn-metrics.example.net',
    ],
    [
      ['--log.output=eventlog'],
      '--log.output=eventlog: expected stderr or file:PATH (the Windows event log is not supported yet: write file:PATH, and let the log collector read the file)',
    ],
    [['--rras.server='], '--rras.server="": expected a host name or an IP address'],
    [['--rras.server=\\\\vpn1'], '--rras.server="\\\\\\\\vpn1": expected a host name or an IP address'],
    [['--rras.server=a\u001b[2Jb'], '--rras.server="a\\u001b[2Jb": expected a host name or an IP address'],
    // Stray words.
    [['--rras.simulate', 'small'], 'unexpected argument "small" (write --rras.simulate=small)'],
    [['--rras.simulate', 'smal'], 'unexpected argument "smal" (write --rras.simulate=small)'],
    [['--rras.simulate', 'large:9'], 'unexpected argument "large:9" (write --rras.simulate=large:9)'],
    [['--collector.ports', 'false'], 'unexpected argument "false" (write --collector.ports=false)'],
    [
      ['--rras.simulate=small', 'small'],
      'unexpected argument "small" (a command comes first, before all flags: see --help)',
    ],
    [
      ['--rras.simulate=small', 'record', 'a.rec'],
      'unexpected argument "record" (a command comes first, before all flags: see --help)',
    ],
    [
      ['--', '--log.level=debug'],
      'unexpected argument "--log.level=debug" (a command comes first, before all flags: see --help)',
    ],
    // Commands.
    [
      ['serve'],
      `unknown command "serve" (commands are ${NAMES.join(', ')}; without one the exporter serves)`,
    ],
    [['recrod', 'a.rec'], 'unknown command "recrod" (did you mean record?)'],
    [['Pseudonym'], 'unknown command "Pseudonym" (did you mean pseudonym?)'],
    [[''], `unknown command "" (commands are ${NAMES.join(', ')}; without one the exporter serves)`],
    [['record'], 'record needs FILE (write rras-exporter record FILE [flags])'],
    [['record', '--rras.simulate'], 'record needs FILE (write rras-exporter record FILE [flags])'],
    [['record', 'a.rec', 'b.rec'], 'record takes one FILE only (write rras-exporter record FILE [flags])'],
    [['record', '--rras.simulate', 'small'], 'unexpected argument "small" (write --rras.simulate=small)'],
    [
      ['record', 'a.rec', '--rras.simulated'],
      'unknown flag --rras.simulated (did you mean --rras.simulate?)',
    ],
    [['pseudonym'], 'pseudonym needs NAME... (write rras-exporter pseudonym NAME... [flags])'],
    [['--record.duration=1m'], '--record.duration is a flag of record only (rras-exporter record ...)'],
    [
      ['pseudonym', 'anna', '--record.duration=1m'],
      '--record.duration is a flag of record only (rras-exporter record ...)',
    ],
    [
      ['record', 'a.rec', '--record.duration=8d'],
      '--record.duration=8d: expected a duration from 0s to 7d, such as 500ms, 10s or 1m30s',
    ],
    // Twice, and together.
    [['--log.level=info', '--log.level=info'], '--log.level is given more than once'],
    [['--collector.ports', '--no-collector.ports'], '--collector.ports is given more than once'],
    [
      ['--web.listen-address=:1', '--web.listen-address=:1'],
      '--web.listen-address=:1 is given more than once',
    ],
    [
      ['--web.listen-address=127.0.0.1:1', '--web.listen-address=:1'],
      '--web.listen-address=127.0.0.1:1 is part of :1 already (leave one of them out)',
    ],
    [
      ['--rras.server=a', '--rras.simulate'],
      '--rras.server and --rras.simulate exclude each other (leave all but one of them out)',
    ],
    [
      ['--collector.min-interval=2m'],
      '--collector.min-interval (2m) must be shorter than --collector.max-age (1m) (else every snapshot would be too old to be served)',
    ],
  ])('%j is refused and told why', (argv, message) => {
    expect(refusal(...argv)).toBe(message);
  });

  test.each([
    '/',
    '//',
    '/metrics/',
    '/a b',
    '/a?b',
    '/a#b',
    '/a%20b',
    '/:id',
    '/{*all}',
    '/..',
    '/a/./b',
    '/-/healthy',
    '/api/v1/status',
    '/api',
    '/probe',
    '/sd',
    '',
  ])('the metrics cannot be at %j', (path) => {
    expect(refusal(`--web.telemetry-path=${path}`)).toMatch(/expected a path/);
  });

  test.each(['/probes', '/apis/metrics', '/-metrics', '/...'])('the metrics can be at %j', (path) => {
    expect(parse(`--web.telemetry-path=${path}`).web.telemetryPath).toBe(path);
  });

  test('two free ports are not the same address', () => {
    expect(parse('--web.listen-address=:0', '--web.listen-address=:0').web.listenAddresses).toHaveLength(2);
  });

  test.each([
    [':1', '[::1]:1'],
    [':1', '[::]:1'],
    [':1', 'vpn1.example.net:1'],
    ['[::]:1', '0.0.0.0:1'],
    ['[::]:1', '127.0.0.1:1'],
    ['0.0.0.0:1', '127.0.0.1:1'],
  ])('%s is all addresses, and %s one of them, which only Linux does not take', (all, one) => {
    const message = /^--web\.listen-address=\S+ is part of \S+ already \(leave one of them out\)$/;
    for (const pair of [
      [all, one],
      [one, all],
    ]) {
      const flags = pair.map((address) => `--web.listen-address=${address}`);
      expect(refusal(...flags)).toMatch(message);
      const { given } = readCommandLine(flags);
      expect(toOptions(given, { platform: 'win32', env: {} }).web.listenAddresses).toHaveLength(2);
    }
  });

  test.each([
    ['127.0.0.1:1', '[::1]:1'],
    ['0.0.0.0:1', '[::1]:1'],
    ['0.0.0.0:1', 'vpn1.example.net:1'],
    [':1', '127.0.0.1:2'],
    [':0', '127.0.0.1:0'],
  ])('%s and %s go together', (...addresses) => {
    const flags = addresses.map((address) => `--web.listen-address=${address}`);
    expect(parse(...flags).web.listenAddresses).toHaveLength(2);
  });

  test('whatever is typed, the answer is options or one line of text', () => {
    const words = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.constantFrom(...rows.flatMap((row) => [`--${row.flag}`, `--no-${row.flag}`])),
      fc.constantFrom(...NAMES),
      fc
        .tuple(fc.constantFrom(...rows.map((row) => row.flag)), fc.string({ unit: 'binary' }))
        .map(([flag, value]) => `--${flag}=${value}`),
    );
    fc.assert(
      fc.property(fc.array(words, { maxLength: 5 }), (argv) => {
        try {
          parse(...argv);
        } catch (error) {
          if (!(error instanceof UsageError)) throw error;
          expect(`${error.message} ${error.hint}`).not.toMatch(/[\p{Cc}\p{Zl}\p{Zp}]/u);
        }
      }),
      { numRuns: 2000 },
    );
  });

  test.each([[['-h']], [['--help']], [['--log.level=info', '--help']]])('%j asks for help', (argv) => {
    expect(readFlags(argv).get('help')).toBe(true);
  });
});

describe('a command', () => {
  test.each([
    [[], null, []],
    [['--rras.simulate'], null, []],
    [['record', 'a.rec'], 'record', ['a.rec']],
    [['record', 'a.rec', '--rras.simulate=small'], 'record', ['a.rec']],
    [['record', '--rras.simulate', 'a.rec'], 'record', ['a.rec']],
    [['record', '--rras.server', 'vpn1', 'a.rec'], 'record', ['a.rec']],
    [['record', '--rras.simulate', '--', 'small'], 'record', ['small']],
    [
      ['pseudonym', 'anna', 'CORP\\anna', '', '--', '--anna'],
      'pseudonym',
      ['anna', 'CORP\\anna', '', '--anna'],
    ],
    [['pseudonym', '--storage.path=x', 'record'], 'pseudonym', ['record']],
    [['record', '--help'], 'record', []],
    [['pseudonym', '--version'], 'pseudonym', []],
  ])('%j is read', (argv, command, words) => {
    expect(readCommandLine(argv)).toMatchObject({ command, words });
  });

  test('takes its flags before and after its words', () => {
    for (const argv of [
      ['record', 'a.rec', '--record.duration=0', '--rras.server=vpn1'],
      ['record', '--rras.server=vpn1', '--record.duration=0', 'a.rec'],
    ]) {
      expect(parse(...argv)).toMatchObject({ record: { durationMs: 0 }, rras: { server: 'vpn1' } });
    }
  });
});

describe('the table of options', () => {
  test('names each flag and each key once', () => {
    const flags = rows.map((row) => row.flag);
    expect(new Set(flags).size).toBe(flags.length);
    const keys = rows.flatMap((row) => row.configKey ?? []);
    expect(new Set(keys).size).toBe(keys.length);
  });

  test('has a switch for each source', () => {
    expect(rows.map((row) => row.flag)).toEqual(
      expect.arrayContaining(SOURCES.map((source) => `collector.${source}`)),
    );
  });

  test('has no key that is also a section, so that every option has its place in a file', () => {
    const keys = rows.flatMap((row) => row.configKey ?? []);
    for (const key of keys) {
      expect(keys.filter((other) => other.startsWith(`${key}.`))).toEqual([]);
    }
  });

  test.each(rows.map((row) => [row.flag, row] as const))('%s has a default of its own kind', (_, row) => {
    const value = defaultOf(row, LINUX);
    if (value === null) return;
    const input = row.kind === 'listen-address' ? [value] : value;
    expect(schemaOf(row).safeParse(input).success).toBe(true);
  });

  test.each(rows.map((row) => [row.flag, row] as const))('%s says what it is for', (_, row) => {
    expect(row.help).toMatch(/^[A-Z].*\.$/);
    expect(GROUPS).toContain(row.group);
    expect(expectation(row)).not.toBe('');
  });

  test('gives schemas that take what a configuration file holds, and only that', () => {
    const schema = (flag: string) => {
      const row = rows.find((each) => each.flag === flag);
      if (!row) throw new Error(`no such flag: ${flag}`);
      return schemaOf(row);
    };
    expect(schema('web.max-requests').parse(7)).toBe(7);
    expect(schema('web.max-requests').safeParse(7.5).success).toBe(false);
    expect(schema('web.max-requests').safeParse(true).success).toBe(false);
    expect(schema('collector.timeout').parse('10s')).toBe(10_000);
    expect(schema('collector.timeout').safeParse(10).success).toBe(false);
    expect(schema('collector.ports').parse(false)).toBe(false);
    expect(schema('collector.ports').safeParse('false').success).toBe(false);
    expect(schema('web.listen-address').parse([':1'])).toEqual([{ host: null, port: 1 }]);
    expect(schema('web.listen-address').safeParse([]).success).toBe(false);
    expect(schema('rras.server').safeParse(['a']).success).toBe(false);
  });
});
