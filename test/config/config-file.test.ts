import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { checkConfig } from '../../src/check-config.ts';
import { readCommandLine } from '../../src/config/commands.ts';
import { loadOptions } from '../../src/config/load.ts';
import { OPTIONS, type OptionRow, type Options, type Surroundings } from '../../src/config/options.ts';
import { toOptions } from '../../src/config/schema.ts';
import { UsageError } from '../../src/model/errors.ts';
import { readWebConfig } from '../../src/server/web-config.ts';
import { BAD, expectedError, GOOD, makeConfigFolder, type ConfigFolder } from './config-folder.ts';

const HERE: Surroundings = { platform: process.platform, env: {} };
const rows: readonly OptionRow[] = OPTIONS;

let folder: ConfigFolder;
beforeAll(() => {
  folder = makeConfigFolder();
});
afterAll(() => folder.remove());

/** As serve does it. */
function load(name: string, flags: readonly string[] = [], on = HERE): Options {
  return loadOptions(readCommandLine([`--config.file=${folder.path(name)}`, ...flags]).given, on);
}

/** As `check-config` does it: what it prints. */
async function check(name: string, flags: readonly string[] = []): Promise<string> {
  const written: string[] = [];
  const write = vi
    .spyOn(process.stdout, 'write')
    .mockImplementation((chunk) => written.push(String(chunk)) > 0);
  try {
    await checkConfig(folder.path(name), () => load(name, flags));
  } finally {
    write.mockRestore();
  }
  return folder.withoutFolder(written.join(''));
}

function write(name: string, text: string | Uint8Array): string {
  writeFileSync(folder.path(name), text);
  return name;
}

function loadText(text: string, flags: readonly string[] = []): Options {
  return load(write('written.yml', text), flags);
}

/** What the user sees of the one error that `act` must end with. */
async function refusal(act: () => unknown): Promise<string> {
  try {
    await act();
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    const hint = error instanceof UsageError && error.hint !== '' ? ` (${error.hint})` : '';
    return folder.withoutFolder(`${error.message}${hint}`);
  }
  throw new Error('accepted');
}

describe('R2 a bad configuration file', () => {
  test.for(BAD)(
    '%s is refused by serve and by check-config, with the error it names',
    async (name, { skip }) => {
      skip(
        process.platform === 'win32' && name === 'grafana-secret-open.bad.yml',
        'files have no modes here',
      );
      const error = await refusal(() => load(name));
      expect(error).toBe(expectedError(name));
      expect(await refusal(() => check(name))).toBe(error);
    },
  );

  test('is an error of usage for serve and a finding for check-config', async () => {
    expect(() => load('enum.bad.yml')).toThrow(UsageError);
    await expect(check('enum.bad.yml')).rejects.not.toThrow(UsageError);
  });

  test('that is not there is refused', async () => {
    const error = 'nowhere.yml cannot be read: there is no such file (ENOENT)';
    expect(await refusal(() => load('nowhere.yml'))).toBe(error);
    expect(await refusal(() => check('nowhere.yml'))).toBe(error);
  });

  test('that is a folder, or larger than 1 MiB, is refused', async () => {
    expect(await refusal(() => load('.'))).toBe('. is not a file');
    write('large.yml', '#'.repeat(1024 * 1024 + 1));
    expect(await refusal(() => load('large.yml'))).toBe('large.yml is larger than 1048576 bytes');
  });

  test.each([
    ['with its mark', '\ufeff', false],
    ['with the mark of the other order', '\ufeff', true],
    ['without a mark', '', false],
    ['without a mark, in the other order', '', true],
  ])(
    'that is UTF-16 %s, as PowerShell 5 writes it, is told to be saved as UTF-8',
    async (_, mark, swapped) => {
      const bytes = Buffer.from(`${mark}rras: {simulate: small}\r\n`, 'utf16le');
      write('utf-16.yml', swapped ? bytes.swap16() : bytes);
      expect(await refusal(() => load('utf-16.yml'))).toBe('utf-16.yml is UTF-16: save it as UTF-8');
    },
  );

  test.each([
    [
      'storage: {path: state}',
      ['--storage.path=%ProgramData%\\rras'],
      '--storage.path="%ProgramData%\\\\rras": ',
    ],
    ['', ['--log.output=file:%TEMP%\\a.log'], '--log.output="file:%TEMP%\\\\a.log": '],
    ["storage: {path: '%ProgramFiles(x86)%\\rras'}", [], 'written.yml:1:17: storage.path: '],
    ["log: {output: 'file:%TEMP%\\a.log'}", [], 'written.yml:1:15: log.output: '],
    ["web: {config: {file: '%A_1%\\web.yml'}}", [], 'written.yml:1:22: web.config.file: '],
    ["servers: [{name: a, replay: '%TEMP%\\a.rec'}]", [], 'written.yml:1:29: servers[0].replay: '],
    ["hooks: {grafana: {secretFile: '%TEMP%\\s'}}", [], 'written.yml:1:31: hooks.grafana.secretFile: '],
  ])('with a variable of cmd in a path is refused on Windows: %s %j', async (text, flags, place) => {
    const name = write('written.yml', text);
    const windows: Surroundings = { platform: 'win32', env: {} };
    const [variable] = /%.+%/.exec(text + flags.join('').slice(1))!;
    expect(await refusal(() => load(name, flags, windows))).toBe(
      `${place}${variable} is not replaced by the value of that variable ` +
        '(write the whole path, such as C:\\ProgramData\\rras-exporter)',
    );
  });

  test('with percent signs that are no variable, or on another system, is taken', () => {
    const windows: Surroundings = { platform: 'win32', env: { ProgramData: 'D:\\%odd%' } };
    const name = write('written.yml', "log: {output: 'file:100%\\5% of 7%.log'}");
    expect(load(name, [], windows).storage.path).toBe('D:\\%odd%\\rras-exporter');
    const other: Surroundings = { platform: 'linux', env: {} };
    expect(load(name, ['--storage.path=%TEMP%'], other).storage.path).toBe('%TEMP%');
  });

  test('with a web configuration file that is bad is refused, too', async () => {
    write('bad-web.yml', 'tls_server: {}\n');
    write('names-bad-web.yml', 'web: {config: {file: bad-web.yml}}');
    const error = await refusal(() => readWebConfig(folder.path('bad-web.yml')));
    expect(await refusal(() => check('names-bad-web.yml'))).toBe(error);
  });

  test('wrong flags beside it are wrong usage for check-config, too', async () => {
    const act = (): Promise<string> => check('empty.good.yml', ['--log.level=wran']);
    await expect(act()).rejects.toThrow(UsageError);
    expect(await refusal(act)).toMatch(/^--log\.level=wran: expected /);
  });
});

describe('a good configuration file', () => {
  test.each(GOOD)('%s is taken by serve and by check-config', async (name) => {
    expect(load(name).configFile).toBe(folder.path(name));
    expect(await check(name)).toMatch(new RegExp(`^${name} is valid\nlistens on [^\n]+\n$`));
  });

  test.each(['empty.good.yml', 'comments-only.good.yml', 'empty-sections.good.yml'])(
    '%s means the defaults',
    (name) => {
      expect(load(name)).toEqual({ ...toOptions(new Map(), HERE), configFile: folder.path(name) });
    },
  );

  test('sets every option that has a key', () => {
    expect(load('all-options.good.yml')).toMatchObject({
      rras: { server: 'vpn1.example.net', simulate: null, replay: null },
      native: { isolation: 'none', maxProcesses: 8 },
      collector: {
        sources: ['server', 'connections', 'interfaces'],
        timeoutMs: 5000,
        minIntervalMs: 500,
        maxAgeMs: 90_000,
        connections: { detail: 'top', limit: 500 },
        users: true,
      },
      privacy: { users: 'pseudonym', addresses: 'prefix' },
      storage: { path: folder.path('state') },
      web: {
        listenAddresses: [
          { host: '127.0.0.1', port: 10077 },
          { host: '::1', port: 10077 },
        ],
        configFile: folder.path('web.yml'),
        telemetryPath: '/vpn/metrics',
        maxRequests: 0,
        openMetricsCreated: true,
        exporterMetrics: false,
        enableAdminApi: true,
        enableLifecycle: true,
        externalUrl: 'https://vpn-metrics.example.net/rras',
      },
      log: { level: 'debug', format: 'json', file: folder.path('logs/rras-exporter.log') },
    });
    const text = readFileSync(folder.path('all-options.good.yml'), 'utf8');
    const origins = ['rras.simulate', 'rras.replay'];
    for (const { configKey } of rows) {
      if (configKey === null || origins.includes(configKey)) continue;
      expect(text).toContain(`${configKey.split('.').at(-1)}:`);
    }
  });

  test('names the servers that are read beside the first', async () => {
    expect(await check('servers.good.yml')).toContain(' without TLS, reads 4 more servers, admin API off, ');
    expect(load('servers.good.yml').servers).toEqual([
      { name: 'vpn1', rras: { server: 'vpn1.example.net', simulate: null, replay: null } },
      { name: 'vpn2.example.net', rras: { server: '2001:db8::2', simulate: null, replay: null } },
      { name: 'lab_1', rras: { server: null, simulate: 'large:500', replay: null } },
      { name: 'last-week', rras: { server: null, simulate: null, replay: folder.path('records/vpn1.rec') } },
    ]);
  });

  test('says who may act, within which bounds, and what alerts trigger', () => {
    const link = { label: 'alertname', operator: '=', value: 'RrasSiteLinkDown' };
    expect(load('all-admin.good.yml').admin).toEqual({
      tokens: [
        {
          name: 'oncall',
          sha256: 'ab'.repeat(32),
          rights: [
            'reconnect',
            'disconnect',
            'update_endpoint',
            'hang_up',
            'reset',
            'pause',
            'hook',
            'override',
            'read',
          ],
          interfaces: ['Site-*', 'Branch Köln'],
        },
        { name: 'alertmanager.1', sha256: 'cd'.repeat(32), rights: ['hook'], interfaces: ['*'] },
      ],
      clientCertificates: [
        { name: 'ops', subjectAltName: 'DNS:ops.example.net', rights: ['read'], interfaces: ['*'] },
        {
          name: 'robot',
          subjectAltName: 'IP Address:2001:DB8:0:0:0:0:0:A',
          rights: ['reconnect'],
          interfaces: ['Site-?'],
        },
      ],
      allowPlainHttp: true,
      guards: {
        allow: ['Site-*'],
        deny: ['Site-Lab'],
        endpointNetworks: ['203.0.113.0/24', '2001:db8::/32'],
        cooldownMs: 120_000,
        cooldownMaxMs: 7_200_000,
        rateBurst: 3,
        ratePerMs: 300_000,
        maxConcurrent: 1,
        maxUnreachableShare: 0.25,
        minHealthyFrom: 2,
        breakerFailures: 5,
        attemptTimeoutMs: 30_000,
        dryRun: true,
      },
      hooks: {
        allowActions: ['reconnect', 'hang_up'],
        serverLabel: 'rras_server',
        localServer: ['gateway:*', ''],
        rules: [
          {
            name: 'redial',
            matchers: [link, { label: 'severity', operator: '=~', value: 'critical|warning' }],
            action: 'reconnect',
            targetLabel: 'interface',
            maxAttempts: 2,
            cooldownMs: 300_000,
            cooldownMaxMs: 1_800_000,
            dryRun: false,
            allowTruncated: true,
          },
          {
            name: 'throw-out',
            matchers: [{ label: 'user', operator: '!=', value: 'anna' }],
            action: 'hang_up',
            targetLabel: 'connection',
            maxAttempts: 3,
            cooldownMs: undefined,
            cooldownMaxMs: undefined,
            dryRun: false,
            allowTruncated: false,
          },
        ],
        grafana: {
          secret: Buffer.from('only-for-tests-0123456789'),
          signatureHeader: 'X-Signature',
          timestampHeader: 'X-Time',
          maxAgeMs: 60_000,
          interfaces: ['Site-*'],
        },
      },
    });
    const [rule] = load('defaults-of-rules.good.yml').admin.hooks.rules;
    expect(rule).toMatchObject({ matchers: [link], targetLabel: 'link' });
  });

  test('may repeat itself by aliases', () => {
    const [first, second] = load('aliases.good.yml').admin.tokens;
    expect(second).toEqual({ ...first, name: 'second', sha256: `${'2'.repeat(63)}b` });
  });

  test('gives options that cannot be changed by who holds them', () => {
    const { admin } = load('all-admin.good.yml');
    expect(Object.isFrozen(admin.tokens[0]?.rights)).toBe(true);
    expect(Object.isFrozen(admin.hooks.grafana)).toBe(true);
  });

  test('is summed up by check-config', async () => {
    expect(await check('all-admin.good.yml')).toBe(
      'all-admin.good.yml is valid\n' +
        'listens on :10077 without TLS, admin API off, 2 tokens, 2 client certificates, 2 hook rules, Grafana hook on\n',
    );
  });
});

describe('flags and file', () => {
  test.each<[flag: string, text: string]>([
    ['--rras.server=vpn2', 'rras: {server: vpn2}'],
    ['--rras.simulate=small', 'rras: {simulate: small}'],
    ['--rras.simulate=large:700', 'rras: {simulate: large:700}'],
    ['--native.isolation=none', 'native: {isolation: none}'],
    ...['server', 'connections', 'ports', 'interfaces'].map((source): [string, string] => [
      `--no-collector.${source}`,
      `collector: {${source}: {enabled: false}}`,
    ]),
    ['--collector.users', 'collector: {users: {enabled: true}}'],
    ['--collector.timeout=5s', 'collector: {timeout: 5s}'],
    ['--collector.min-interval=0s', 'collector: {min-interval: 0s}'],
    ['--collector.max-age=1h', 'collector: {max-age: 1h}'],
    ['--collector.connections.detail=none', 'collector: {connections: {detail: none}}'],
    ['--collector.connections.limit=1', 'collector: {connections: {limit: 1}}'],
    ['--privacy.users=plain', 'privacy: {users: plain}'],
    ['--privacy.addresses=none', 'privacy: {addresses: none}'],
    ['--web.listen-address=:1', 'web: {listen-address: [:1]}'],
    ['--web.telemetry-path=/m', 'web: {telemetry-path: /m}'],
    ['--web.max-requests=0', 'web: {max-requests: 0}'],
    ['--web.openmetrics-created', 'web: {openmetrics-created: true}'],
    ['--web.disable-exporter-metrics', 'web: {disable-exporter-metrics: true}'],
    ['--log.level=error', 'log: {level: error}'],
    ['--log.format=json', 'log: {format: json}'],
  ])('%s and "%s" mean the same', (flag, text) => {
    const options = loadText(text);
    const byFlag = loadText('', [flag]);
    expect(options).toEqual(byFlag);
    expect(options).not.toEqual(loadText(''));
  });

  test('the flag beats the file, and the file beats the default', () => {
    const text = 'web: {max-requests: 7, listen-address: [":1"], openmetrics-created: true}';
    const flags = ['--web.listen-address=:2', '--no-web.openmetrics-created'];
    expect(loadText(text, flags).web).toMatchObject({
      maxRequests: 7,
      listenAddresses: [{ host: null, port: 2 }],
      openMetricsCreated: false,
      telemetryPath: '/metrics',
    });
  });

  test('a server on the command line takes the place of the simulation in the file, and the other way round', () => {
    expect(loadText('rras: {simulate: small}', ['--rras.server=vpn1']).rras).toEqual({
      server: 'vpn1',
      simulate: null,
      replay: null,
    });
    expect(loadText('rras: {server: vpn1}', ['--rras.replay=a.rec']).rras).toMatchObject({
      server: null,
      replay: 'a.rec',
    });
  });

  test('paths in the file start at its folder, those of flags do not', () => {
    const text = 'storage: {path: state}\nrras: {replay: ./a.rec}\nweb: {config: {file: /etc/web.yml}}';
    const root = dirname(folder.path('written.yml'));
    expect(loadText(text)).toMatchObject({
      storage: { path: resolve(root, 'state') },
      rras: { replay: resolve(root, 'a.rec') },
      web: { configFile: resolve(root, '/etc/web.yml') },
    });
    expect(loadText(text, ['--storage.path=state']).storage.path).toBe('state');
    expect(loadText('').storage).toEqual(toOptions(new Map(), HERE).storage);
  });

  test('a fault that takes both is told with the place in the file', async () => {
    expect(await refusal(() => loadText('collector:\n  max-age: 2s', ['--collector.min-interval=3s']))).toBe(
      'written.yml:2:3: --collector.min-interval (3s) must be shorter than collector.max-age (2s) ' +
        '(else every snapshot would be too old to be served)',
    );
    expect(await refusal(() => loadText('', ['--web.enable-admin-api']))).toBe(
      '--web.enable-admin-api needs a token, a client certificate or the secret of Grafana in the ' +
        'configuration file (make a token by: rras-exporter token NAME)',
    );
  });

  test('a secret may be open to others on Windows, where modes mean nothing', () => {
    const windows: Surroundings = { platform: 'win32', env: {} };
    const name = write('open.yml', 'hooks: {grafana: {secretFile: open.secret}}');
    expect(load(name, [], windows).admin.hooks.grafana?.secret).toHaveLength(25);
  });
});

describe('R1 whatever stands in the file, the answer is options or one error of one line', () => {
  function answer(text: string | Uint8Array): void {
    try {
      load(write('half.yml', text));
    } catch (error) {
      if (!(error instanceof UsageError)) throw error;
      expect(`${error.message} ${error.hint}`).not.toMatch(/[\p{Cc}\p{Zl}\p{Zp}]/u);
      expect(folder.withoutFolder(error.message)).toMatch(
        /^half\.yml(?::\d+:\d+: | is not text in UTF-8$| is UTF-16: save it as UTF-8$)|^--/,
      );
    }
  }

  test.each(GOOD)('at every prefix of %s', (name) => {
    const bytes = readFileSync(folder.path(name));
    for (let length = 0; length < bytes.length; length++) answer(bytes.subarray(0, length));
  });

  test('with something else written into it', () => {
    const texts = GOOD.map((name) => readFileSync(folder.path(name), 'utf8'));
    const scrap = fc.oneof(
      fc.constantFrom(
        ...Array.from('\t\n :-?[]{}&*!|>\'"%@`#,'),
        '\r\n',
        '---\n',
        '...\n',
        '&a ',
        '*a',
        '!!set ',
        '<<: ',
        '__proto__: 1\n',
      ),
      fc.string({ unit: 'binary', maxLength: 5 }),
    );
    fc.assert(
      fc.property(fc.constantFrom(...texts), fc.nat(), fc.nat(5), scrap, (text, where, gone, piece) => {
        const at = where % (text.length + 1);
        answer(text.slice(0, at) + piece + text.slice(at + gone));
      }),
      { numRuns: 500 },
    );
  });

  test('however deep it is nested', () => {
    for (let depth = 1; depth < 4000; depth = Math.ceil(depth * 1.1)) {
      answer(`web: ${'['.repeat(depth)}${']'.repeat(depth)}`);
      answer(`web: ${'{a: '.repeat(depth)}${'}'.repeat(depth)}`);
      answer('- '.repeat(depth));
    }
  });

  test('with anything in it', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string({ unit: 'binary' }), fc.uint8Array()), (text) => answer(text)),
      { numRuns: 500 },
    );
  });
});
