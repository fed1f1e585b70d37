import { describe, expect, test } from 'vitest';
import { readCommandLine } from '../../src/config/commands.ts';
import type { Options } from '../../src/config/options.ts';
import { refuseExposedAdmin, toOptions, type FileSettings } from '../../src/config/schema.ts';
import { UsageError } from '../../src/model/errors.ts';

const HERE = { platform: 'linux', env: {} } as const;
const { admin: nothing } = toOptions(new Map(), HERE);
const grant = { name: 'oncall', rights: ['read'], interfaces: ['*'] } as const;
const token = { ...grant, sha256: 'a'.repeat(64) };
const certificate = { ...grant, subjectAltName: 'DNS:ops' };
const grafana = {
  secret: new Uint8Array(16),
  signatureHeader: 'A',
  timestampHeader: 'B',
  maxAgeMs: 1000,
  interfaces: ['*'],
};

function options(admin: Partial<FileSettings['admin']>, ...flags: string[]): Options {
  const file = {
    values: new Map(),
    admin: { ...nothing, ...admin },
    otlp: { enabled: true, connections: false },
    servers: [],
    keys: new Set<string>(),
    locate: () => 'a.yml:1:1',
  };
  return toOptions(readCommandLine(flags).given, HERE, file);
}

describe('A9 the admin API', () => {
  test('is off unless a flag turns it on', () => {
    expect(options({ tokens: [token] }).web.enableAdminApi).toBe(false);
    expect(options({ tokens: [token] }, '--web.enable-admin-api').web.enableAdminApi).toBe(true);
  });

  test('needs somebody who may use it', () => {
    const text = /^--web\.enable-admin-api needs a token, a client certificate or the secret of Grafana/;
    const act = (): unknown => toOptions(readCommandLine(['--web.enable-admin-api']).given, HERE);
    expect(act).toThrow(text);
    expect(act).toThrow(
      expect.objectContaining({
        hint: 'make a token by: rras-exporter token NAME, and name the file by --config.file',
      }),
    );
    expect(() => options({}, '--web.enable-admin-api')).toThrow(text);
    for (const admin of [
      { tokens: [token] },
      { clientCertificates: [certificate] },
      { hooks: { ...nothing.hooks, grafana } },
    ]) {
      expect(options(admin, '--web.enable-admin-api').web.enableAdminApi).toBe(true);
    }
  });

  const admin = { tokens: [token] };
  const on = '--web.enable-admin-api';
  const local = ['--web.listen-address=127.0.0.1:2', '--web.listen-address=[::1]:2'];

  test.each<[string, Options, boolean]>([
    ['off', options(admin), false],
    ['with TLS', options(admin, on), true],
    ['on loopback', options(admin, on, ...local), false],
    ['on localhost', options(admin, on, '--web.listen-address=localhost:1'), false],
    ['in clear where the file allows it', options({ ...admin, allowPlainHttp: true }, on), false],
  ])('may be %s', (_, given, tls) => {
    expect(() => refuseExposedAdmin(given, tls)).not.toThrow();
  });

  test.each([':1', '0.0.0.0:1', '[::]:1', '192.0.2.1:1', 'vpn1.example.net:1', '[::ffff:127.0.0.1]:1'])(
    'is never in clear on %s',
    (address) => {
      const act = (): void =>
        refuseExposedAdmin(options(admin, on, ...local, `--web.listen-address=${address}`), false);
      expect(act).toThrow(UsageError);
      expect(act).toThrow(
        `the admin API would be served without TLS on ${address}, where others than this machine can reach it`,
      );
    },
  );
});
