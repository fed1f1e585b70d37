/** What switches OTLP on, and what is refused before anything of it is loaded. */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { readCommandLine } from '../../src/config/commands.ts';
import { loadOptions } from '../../src/config/load.ts';
import type { OtlpConfig } from '../../src/config/options.ts';
import type { OtlpPlan } from '../../src/config/otlp.ts';
import { otlpPlan } from '../../src/config/otlp.ts';
import { refuseTwins, toOptions } from '../../src/config/schema.ts';
import { UsageError } from '../../src/model/errors.ts';
import { OtlpReceiver } from '../e2e/otlp-receiver.ts';
import { buildIfStale, endAll, Program, until } from '../e2e/program.ts';

type Environment = Readonly<Record<string, string>>;

const ON: OtlpConfig = { enabled: true, connections: false };
const URL_HERE = 'http://127.0.0.1:4318';
const ENDPOINT = { OTEL_EXPORTER_OTLP_ENDPOINT: URL_HERE };
const ALL: OtlpPlan = { traces: 'http/protobuf', metrics: 'http/protobuf', logs: 'http/protobuf' };

const folder = mkdtempSync(join(tmpdir(), 'rras-exporter-otlp-switch-'));
afterAll(() => rmSync(folder, { recursive: true }));

test('R1 a server must not have the name of this machine where metrics go out, whatever its case', () => {
  const options = toOptions(new Map(), { platform: 'linux', env: {} });
  const rras = { server: null, simulate: 'small', replay: null } as const;
  const servers = ['a', 'gateway'].map((name) => ({ name, rras }));
  expect(() => refuseTwins({ ...options, servers }, ALL, 'GATEWAY')).toThrow(
    /^the server gateway has the name/,
  );
  expect(() => refuseTwins({ ...options, servers }, ALL, 'other')).not.toThrow();
  expect(() => refuseTwins({ ...options, servers }, { traces: 'grpc' }, 'GATEWAY')).not.toThrow();
});

const STARTED: readonly (readonly [what: string, environment: Environment, plan: OtlpPlan])[] = [
  ['no variable', {}, {}],
  ['a name of the service only', { OTEL_SERVICE_NAME: 'vpn' }, {}],
  [
    'all that says how, and nothing that says where to',
    {
      OTEL_SERVICE_NAME: 'vpn',
      OTEL_RESOURCE_ATTRIBUTES: 'a=b',
      OTEL_EXPORTER_OTLP_PROTOCOL: 'grpc',
      OTEL_EXPORTER_OTLP_HEADERS: 'a=b',
      OTEL_EXPORTER_OTLP_TIMEOUT: '1000',
      OTEL_METRIC_EXPORT_INTERVAL: '1000',
      OTEL_TRACES_SAMPLER: 'always_on',
      OTEL_SDK_DISABLED: 'false',
    },
    {},
  ],
  ['an endpoint', ENDPOINT, ALL],
  ['an endpoint over TLS', { OTEL_EXPORTER_OTLP_ENDPOINT: 'https://collector.example/otlp' }, ALL],
  ['an empty endpoint', { OTEL_EXPORTER_OTLP_ENDPOINT: '' }, {}],
  ['an endpoint of blanks', { OTEL_EXPORTER_OTLP_ENDPOINT: '  ' }, {}],
  ['an endpoint of metrics', { OTEL_EXPORTER_OTLP_METRICS_ENDPOINT: URL_HERE }, { metrics: 'http/protobuf' }],
  ['an endpoint of traces', { OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: URL_HERE }, { traces: 'http/protobuf' }],
  ['an endpoint of logs', { OTEL_EXPORTER_OTLP_LOGS_ENDPOINT: URL_HERE }, { logs: 'http/protobuf' }],
  ['an empty endpoint of metrics', { OTEL_EXPORTER_OTLP_METRICS_ENDPOINT: '' }, {}],
  ['the exporter of metrics', { OTEL_METRICS_EXPORTER: 'otlp' }, { metrics: 'http/protobuf' }],
  ['the exporter of traces', { OTEL_TRACES_EXPORTER: 'otlp' }, { traces: 'http/protobuf' }],
  ['the exporter of logs', { OTEL_LOGS_EXPORTER: 'otlp' }, { logs: 'http/protobuf' }],
  ['exporters that are none', { OTEL_METRICS_EXPORTER: 'none', OTEL_TRACES_EXPORTER: 'none' }, {}],
  [
    'an endpoint, without traces',
    { ...ENDPOINT, OTEL_TRACES_EXPORTER: 'none' },
    { metrics: 'http/protobuf', logs: 'http/protobuf' },
  ],
  ['an endpoint, and an exporter that is empty', { ...ENDPOINT, OTEL_TRACES_EXPORTER: '' }, ALL],
  [
    'an endpoint of metrics, with an exporter that is none',
    { OTEL_EXPORTER_OTLP_METRICS_ENDPOINT: URL_HERE, OTEL_METRICS_EXPORTER: 'none' },
    {},
  ],
  ['an endpoint and a disabled SDK', { ...ENDPOINT, OTEL_SDK_DISABLED: 'true' }, {}],
  ['a disabled SDK in capitals', { ...ENDPOINT, OTEL_SDK_DISABLED: 'TRUE' }, {}],
  [
    'a disabled SDK and what would be refused',
    { OTEL_TRACES_EXPORTER: 'zipkin', OTEL_SDK_DISABLED: 'true' },
    {},
  ],
  // The specification: only true is true.
  ['an SDK disabled by 1', { ...ENDPOINT, OTEL_SDK_DISABLED: '1' }, ALL],
  ['an SDK disabled by nothing', { ...ENDPOINT, OTEL_SDK_DISABLED: '' }, ALL],
  [
    'gRPC',
    { ...ENDPOINT, OTEL_EXPORTER_OTLP_PROTOCOL: 'grpc' },
    { traces: 'grpc', metrics: 'grpc', logs: 'grpc' },
  ],
  [
    'gRPC to an address without a scheme',
    { OTEL_EXPORTER_OTLP_METRICS_ENDPOINT: 'collector:4317', OTEL_EXPORTER_OTLP_PROTOCOL: 'grpc' },
    { metrics: 'grpc' },
  ],
  [
    'a protocol for one signal',
    {
      ...ENDPOINT,
      OTEL_EXPORTER_OTLP_PROTOCOL: 'http/json',
      OTEL_EXPORTER_OTLP_METRICS_PROTOCOL: 'http/protobuf',
      OTEL_EXPORTER_OTLP_LOGS_PROTOCOL: '',
    },
    { traces: 'http/json', metrics: 'http/protobuf', logs: 'http/json' },
  ],
  [
    'the temporality that there is',
    { ...ENDPOINT, OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE: 'Cumulative' },
    ALL,
  ],
  ['intervals', { ...ENDPOINT, OTEL_METRIC_EXPORT_INTERVAL: '1', OTEL_METRIC_EXPORT_TIMEOUT: '600000' }, ALL],
  [
    'an interval of metrics that are not sent',
    { OTEL_TRACES_EXPORTER: 'otlp', OTEL_METRIC_EXPORT_INTERVAL: 'often' },
    { traces: 'http/protobuf' },
  ],
  [
    'a protocol of a signal that is not sent',
    { OTEL_TRACES_EXPORTER: 'otlp', OTEL_EXPORTER_OTLP_METRICS_PROTOCOL: 'smoke' },
    { traces: 'http/protobuf' },
  ],
];

test.each(STARTED)('starts with %s: %j', (_what, environment, plan) => {
  expect(otlpPlan(environment, ON)).toEqual(plan);
});

test.each(STARTED)('never starts with otlp.enabled: false and %s', (_what, environment) => {
  expect(otlpPlan(environment, { ...ON, enabled: false })).toEqual({});
});

const refusalOf = (environment: Environment): UsageError => {
  try {
    otlpPlan(environment, ON);
  } catch (error) {
    if (error instanceof UsageError) return error;
    throw error;
  }
  throw new Error('it was not refused');
};

describe('refuses', () => {
  const PREFERENCE = 'OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE';

  test.each<[Environment, string]>([
    [{ OTEL_METRICS_EXPORTER: 'console' }, 'OTEL_METRICS_EXPORTER="console": expected otlp or none'],
    [{ OTEL_METRICS_EXPORTER: 'prometheus' }, 'OTEL_METRICS_EXPORTER="prometheus": expected otlp or none'],
    [{ OTEL_TRACES_EXPORTER: 'zipkin' }, 'OTEL_TRACES_EXPORTER="zipkin": expected otlp or none'],
    [{ ...ENDPOINT, OTEL_LOGS_EXPORTER: 'otpl' }, 'OTEL_LOGS_EXPORTER="otpl": expected otlp or none'],
    [{ OTEL_TRACES_EXPORTER: 'otlp,console' }, 'OTEL_TRACES_EXPORTER="otlp,console": expected otlp or none'],
    [
      { ...ENDPOINT, OTEL_EXPORTER_OTLP_PROTOCOL: 'http/protobuff' },
      'OTEL_EXPORTER_OTLP_PROTOCOL="http/protobuff": expected one of http/protobuf, http/json, grpc',
    ],
    [
      { ...ENDPOINT, OTEL_EXPORTER_OTLP_LOGS_PROTOCOL: 'GRPC' },
      'OTEL_EXPORTER_OTLP_LOGS_PROTOCOL="GRPC": expected one of http/protobuf, http/json, grpc',
    ],
    [{ ...ENDPOINT, [PREFERENCE]: 'delta' }, `${PREFERENCE}="delta": expected cumulative`],
    [{ ...ENDPOINT, [PREFERENCE]: 'LowMemory' }, `${PREFERENCE}="LowMemory": expected cumulative`],
    ...['0', '-1', '1.5', '10s', '1e3', '99999999999'].map((value): [Environment, string] => [
      { ...ENDPOINT, OTEL_METRIC_EXPORT_INTERVAL: value },
      `OTEL_METRIC_EXPORT_INTERVAL="${value}": expected a number of milliseconds`,
    ]),
    [
      { ...ENDPOINT, OTEL_METRIC_EXPORT_TIMEOUT: 'x' },
      'OTEL_METRIC_EXPORT_TIMEOUT="x": expected a number of milliseconds',
    ],
  ])('%j', (environment, message) => {
    expect(refusalOf(environment).message).toBe(message);
  });

  test.each(['prometheus', 'console', 'jaeger'])('%s with a hint at what there is', (value) => {
    expect(refusalOf({ OTEL_METRICS_EXPORTER: value }).hint).toContain('/metrics');
  });

  test('a slip of the pen with a hint at what was meant', () => {
    expect(refusalOf({ OTEL_METRICS_EXPORTER: 'olpt' }).hint).toContain('otlp');
  });

  test.each([
    'collector:4318',
    'user:hunter2@collector:4318',
    '//user:hunter2@collector',
    'ftp://user:hunter2@collector',
    'http//user:hunter2@collector',
    'http://user:hunter2@',
    'http://user:hunter2@collector:99999',
    'file:///hunter2',
  ])('the endpoint %s, without showing it', (value) => {
    for (const name of ['OTEL_EXPORTER_OTLP_ENDPOINT', 'OTEL_EXPORTER_OTLP_TRACES_ENDPOINT']) {
      const { message, hint } = refusalOf({ [name]: value });
      expect(message).toBe(`${name}: expected a URL such as http://127.0.0.1:4318`);
      expect(`${message} ${hint}`).not.toMatch(/hunter2|collector/);
    }
  });

  test('a scheme that gRPC does not have', () => {
    const environment = {
      OTEL_EXPORTER_OTLP_ENDPOINT: 'ftp://collector:4317',
      OTEL_EXPORTER_OTLP_PROTOCOL: 'grpc',
    };
    expect(refusalOf(environment).message).toContain('expected a URL');
  });
});

describe('the section otlp', () => {
  const configured = (text: string): OtlpConfig => {
    const file = join(folder, 'config.yml');
    writeFileSync(file, text);
    const { given } = readCommandLine([`--config.file=${file}`, '--rras.simulate']);
    return loadOptions(given, { platform: process.platform, env: {} }).otlp;
  };

  test.each([
    ['', true, false],
    ['otlp: {}\n', true, false],
    ['otlp: {connections: true}\n', true, true],
    ['otlp: {enabled: false}\n', false, false],
    ['otlp:\n  enabled: true\n  connections: true\n', true, true],
  ])('%j', (text, enabled, connections) => {
    expect(configured(text)).toEqual({ enabled, connections });
  });

  test.each([
    ['otlp: {conections: true}\n', /otlp\.conections: unknown key/],
    ['otlp: {connections: some}\n', /otlp\.connections/],
    ['otlp: {endpoint: "http://127.0.0.1:4318"}\n', /otlp\.endpoint: unknown key/],
  ])('refuses %j', (text, message) => {
    expect(() => configured(text)).toThrow(message);
  });
});

describe('the program', () => {
  beforeAll(buildIfStale);
  afterEach(endAll);

  /** Runs before the program, in it and in the processes that it starts; writes down what is loaded. */
  const HOOK = `
    import { appendFileSync } from 'node:fs';
    import { registerHooks } from 'node:module';
    registerHooks({
      load(url, context, next) {
        appendFileSync(process.env.LOADED_FILE, url + '\\n');
        return next(url, context);
      },
    });`;
  let runs = 0;

  /** What of node_modules a program loads until it has answered a scrape, all of its processes together. */
  async function loadedWith(environment: Environment, ...flags: readonly string[]): Promise<Set<string>> {
    runs += 1;
    const file = join(folder, `loaded-${runs}`);
    const program = await Program.serveWith(
      {
        NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(HOOK)}`,
        LOADED_FILE: file,
        ...environment,
      },
      '--rras.simulate',
      ...flags,
    );
    await program.scrape();
    expect((await program.end()).code).toBe(0);
    const urls = existsSync(file) ? readFileSync(file, 'utf8').split('\n') : [];
    const packages = urls.map((url) => /\/node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(url)?.[1] ?? '');
    const own = urls.filter((url) => url.includes('/dist/metrics/otlp/')).map(() => 'own');
    return new Set([...packages, ...own]);
  }
  /** prom-client wants the API, which does nothing by itself. */
  const ofOtlp = (loaded: ReadonlySet<string>): string[] =>
    [...loaded].filter((each) => /^(?:@opentelemetry\/(?!api$)|@grpc\/|own$)/.test(each));

  test('loads nothing of OpenTelemetry unless it is switched on', { timeout: 60_000 }, async () => {
    const off = await loadedWith({ OTEL_SERVICE_NAME: 'vpn' });
    expect(off).toContain('prom-client');
    expect(ofOtlp(off)).toEqual([]);
    expect(ofOtlp(await loadedWith({ ...ENDPOINT, OTEL_SDK_DISABLED: 'true' }))).toEqual([]);
    const file = join(folder, 'off.yml');
    writeFileSync(file, 'otlp: {enabled: false}\n');
    expect(ofOtlp(await loadedWith(ENDPOINT, `--config.file=${file}`))).toEqual([]);
    const receiver = await OtlpReceiver.start();
    try {
      const on = await loadedWith({ OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url });
      expect(ofOtlp(on)).toEqual(expect.arrayContaining(['own', '@opentelemetry/sdk-node']));
      expect(receiver.complaints).toEqual([]);
    } finally {
      await receiver.goAway();
    }
  });

  test('sends nothing when only a name is set', async () => {
    const program = await Program.serveWith({ OTEL_SERVICE_NAME: 'vpn' }, '--rras.simulate');
    const page = await program.scrape();
    expect(page.names).not.toContain('rras_exporter_otlp_exports_total');
    expect(program.log).not.toContain('OTLP');
  });

  test('R1 takes no server that OTLP could not tell from the local one: at no start, and at no reload', async () => {
    const file = join(folder, 'twin.yml');
    const web = 'web: {enable-lifecycle: true, listen-address: ["127.0.0.1:0"]}\n';
    const write = (name: string): void =>
      writeFileSync(file, `${web}servers: [{name: "${name}", simulate: small}]\n`);
    const flags = ['--rras.simulate', `--config.file=${file}`];
    // Nobody is there, which is no matter.
    const environment = { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:9' };
    write(hostname());
    const { code, stderr } = await new Program(flags, environment).ended;
    const told = `the server ${hostname()} has the name of this machine, which is what OTLP calls the local server`;
    const hint = 'give it another name in the section servers';
    expect({ code, stderr }).toEqual({ code: 2, stderr: `rras-exporter: error: ${told} (${hint})\n` });
    const checked = await new Program(['check-config', file, '--rras.simulate'], environment).ended;
    expect([checked.code, checked.stderr]).toEqual([1, `rras-exporter: error: ${told} (${hint})\n`]);
    expect((await new Program(['check-config', file, '--rras.simulate']).ended).code).toBe(0);

    write('vpn2');
    const program = new Program(flags, environment);
    await until('listening', () => program.url !== '');
    write(hostname());
    const answer = await program.get('/-/reload', { method: 'POST' });
    expect(answer.status).toBe(500);
    expect(answer.text).toContain(told);
    expect((await program.get('/probe?target=vpn2')).status).toBe(200);
  });

  test('check-config refuses variables that the start refuses', async () => {
    const file = join(folder, 'good.yml');
    writeFileSync(file, 'rras: {simulate: small}\n');
    const environment = { OTEL_METRICS_EXPORTER: 'prometheus' };
    const { code, stderr } = await new Program(['check-config', file], environment).ended;
    expect(code).toBe(2);
    expect(stderr).toContain('OTEL_METRICS_EXPORTER="prometheus": expected otlp or none');
  });

  test('refuses to start in one line, without the password', async () => {
    const { code, stderr } = await new Program(['--rras.simulate', '--web.listen-address=127.0.0.1:0'], {
      OTEL_EXPORTER_OTLP_ENDPOINT: 'collector:hunter2@4318',
    }).ended;
    expect(code).not.toBe(0);
    expect(stderr).toContain('OTEL_EXPORTER_OTLP_ENDPOINT: expected a URL');
    expect(stderr).not.toContain('hunter2');
    expect(stderr.trim().split('\n')).toHaveLength(1);
  });
});
