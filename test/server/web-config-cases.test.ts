/**
 * Each case of the fixtures as the program has it: a good one is served to real clients, the right and the wrong ones, and
 * is valid to check-config; a bad one is refused by both in the same words.
 */
import { X509Certificate } from 'node:crypto';
import { globSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { connect } from 'node:tls';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { checkConfig } from '../../src/check-config.ts';
import { loadOptions } from '../../src/config/load.ts';
import type { Options } from '../../src/config/options.ts';
import { UsageError } from '../../src/model/errors.ts';
import { readWebConfig } from '../../src/server/web-config.ts';
import type { WebConfig } from '../../src/server/web-config-schema.ts';
import { openWebSecurity } from '../../src/server/web-security.ts';
import { FakeClock } from '../doubles/fake-clock.ts';
import type { Identity } from './certificates.ts';
import { makeCertificate } from './certificates.ts';
import { Http2Client } from './http2-client.ts';
import { SecureSite } from './secure-site.ts';
import { WebConfigFolder } from './web-config-folder.ts';

const FIXTURES = fileURLToPath(new URL('../fixtures/web-config/', import.meta.url));
const named = (pattern: string): string[] => globSync(pattern, { cwd: FIXTURES }).sort();
const textOf = (fixture: string): string => readFileSync(join(FIXTURES, fixture), 'utf8');
/** That of the fixtures, and one of which the password is known here. */
const FIXTURE_HASH = '$2y$04$pKrCCOGZNCYlpidPHtzYf.r7RwdnNPaVR7UJqDneX4skKG.2iwc2u';
const KNOWN_HASH = '$2b$04$ncGU5yLZyatkW3EO3zssieAo3AxRFHNVeDsFO6DprHbo5TTZRj9s6';
const ALICE = { user: 'alice', password: 'alice123' };
const ALLOWED = 'DNS:prometheus.example.net';
const OLD = { minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' } as const;
const quiet = (): void => undefined;
const parts = () => ({
  logger: { debug: quiet, info: quiet, warn: quiet, error: quiet },
  clock: new FakeClock(),
});

/** What check-config says of it; rejects as the command does. */
async function checked(path: string): Promise<string> {
  const load = (): Options =>
    loadOptions(
      new Map([
        ['rras.simulate', ['small']],
        ['web.config.file', [path]],
      ]),
      { platform: process.platform, env: {} },
    );
  const printed = vi.spyOn(process.stdout, 'write').mockReturnValue(true);
  try {
    await checkConfig('rras-exporter.yml', load);
    return printed.mock.calls.map(([text]) => String(text)).join('');
  } finally {
    printed.mockRestore();
  }
}

describe('a good case', () => {
  const sites: SecureSite[] = [];
  afterEach(async () => {
    await Promise.all(sites.splice(0).map((site) => site.close()));
  });

  async function run(
    fixture: string,
  ): Promise<{ site: SecureSite; config: WebConfig; client: Identity | null }> {
    const site = await SecureSite.open(textOf(fixture).replaceAll(FIXTURE_HASH, KNOWN_HASH));
    sites.push(site);
    const config = await readWebConfig(site.path);
    const asks =
      config.tls !== null && config.tls.clientAuth !== 'NoClientCert' && config.tls.clientCa !== null;
    const needs = config.tls?.clientAuth.startsWith('Require') ?? false;
    return { site, config, client: asks || needs ? site.folder.client(ALLOWED) : null };
  }
  const shut = (site: SecureSite, ...asked: Parameters<SecureSite['get']>): Promise<void> =>
    expect(site.get(...asked)).rejects.toThrow(
      /ECONNRESET|socket hang up|certificate required|alert|disconnected|EPIPE|no shared cipher|unsupported/i,
    );

  test.each(named('*.good.yml'))('is served, and valid to check-config: %s', async (fixture) => {
    const { site, config, client } = await run(fixture);
    expect(await checked(site.path)).toContain(`${config.tls ? 'with' : 'without'} TLS`);
    const asked = client ? { client } : {};
    const answer = await site.get('/', { ...asked, ...(config.users.size > 0 && ALICE) });
    expect(answer.status).toBe(200);
    expect(answer.protocol).toBe(config.tls?.maxVersion ?? null);
    for (const [name, value] of config.headers) expect(answer.headers[name.toLowerCase()]).toBe(value);
    expect((await site.get('/', asked)).status).toBe(config.users.size > 0 ? 401 : 200);
    const wrong = { ...ALICE, password: 'alice' };
    const third = (config.rateLimit?.burst ?? Infinity) < 3 ? 429 : config.users.size > 0 ? 401 : 200;
    expect((await site.get('/', { ...asked, ...wrong })).status).toBe(third);
  });

  const isTls = (fixture: string): boolean => /^ {2}(?:cert|cert_file): ./m.test(textOf(fixture));
  const withTls = named('*.good.yml').filter(isTls);

  test.each(withTls)('over TLS keeps out the wrong clients, and none can be fooled: %s', async (fixture) => {
    const { site, config, client } = await run(fixture);
    const tls = config.tls!;
    const asked = client ? { client } : {};
    const ca = makeCertificate({ name: 'server CA', isCa: true }).cert;
    await expect(site.get('/', { ...asked, ca })).rejects.toThrow(/certificate|signature/);
    const isOldAllowed = tls.minVersion < 'TLSv1.2';
    if (isOldAllowed) expect((await site.get('/', { ...asked, ...OLD })).protocol).toBe('TLSv1.1');
    else await expect(site.get('/', { ...asked, ...OLD })).rejects.toThrow(/protocol version|alert/);
    const { clientAuth } = tls;
    const needed = clientAuth === 'RequireAnyClientCert' || clientAuth === 'RequireAndVerifyClientCert';
    const verified = clientAuth === 'VerifyClientCertIfGiven' || clientAuth === 'RequireAndVerifyClientCert';
    if (needed) await shut(site);
    else expect([200, 401]).toContain((await site.get()).status);
    const strange = makeCertificate({ sans: [ALLOWED], usage: 'client' });
    if (verified) await shut(site, '/', { client: strange });
    else expect([200, 401]).toContain((await site.get('/', { client: strange })).status);
    const nameless = { client: site.folder.client('DNS:other.example.net') };
    if (tls.allowedSans || (verified && !tls.clientCa)) await shut(site, '/', nameless);
    else expect([200, 401]).toContain((await site.get('/', nameless)).status);
  });

  test.each(withTls)('over TLS speaks the version of HTTP that it says: %s', async (fixture) => {
    const { site, config, client } = await run(fixture);
    const offered = await new Promise<string | false | null>((resolve, reject) => {
      const socket = connect(
        {
          host: '127.0.0.1',
          port: site.port,
          ca: site.folder.serverCa.cert,
          ALPNProtocols: ['h2', 'http/1.1'],
          ...(client && { cert: client.cert, key: client.key }),
        },
        () => {
          resolve(socket.alpnProtocol);
          socket.destroy();
        },
      );
      socket.once('error', reject);
    });
    expect(offered).toBe(config.tls!.http2 ? 'h2' : 'http/1.1');
    if (!config.tls!.http2) return;
    const over2 = await Http2Client.open(
      site.listener.url,
      site.folder.serverCa.cert,
      client ? { client } : {},
    );
    expect((await over2.get()).status).toBe(config.users.size > 0 ? 401 : 200);
    over2.end();
  });

  const fromFile = withTls.filter(
    (fixture) => /^ {2}cert_file: ./m.test(textOf(fixture)) && /^ {2}key_file: ./m.test(textOf(fixture)),
  );

  test.each(fromFile)(
    'serves a certificate that was replaced on disk to the next connection: %s',
    async (fixture) => {
      const { site, client } = await run(fixture);
      const asked = client ? { client } : {};
      const before = (await site.get('/', asked)).fingerprint;
      const next = site.folder.serverIdentity();
      site.folder.writeServer(next);
      const after = (await site.get('/', asked)).fingerprint;
      expect(after).toBe(new X509Certificate(next.cert).fingerprint256);
      expect(after).not.toBe(before);
    },
  );

  test('is there for all that a client can be refused for', () => {
    expect(withTls.length).toBeGreaterThan(20);
    expect(fromFile.length).toBeGreaterThan(15);
  });
});

describe('R2 a bad case', () => {
  let folder: WebConfigFolder;
  beforeAll(() => {
    folder = WebConfigFolder.withBadFiles();
  });
  afterAll(() => folder.remove());
  const bad = named('*.bad.yml').filter(
    (name) => process.platform !== 'win32' || !name.includes('open_to_others'),
  );

  test.each(bad)('is refused by the start and by check-config in the same words: %s', async (fixture) => {
    const path = folder.write(basename(fixture), textOf(fixture));
    const [, expected = ''] = /^# (.+)/.exec(readFileSync(path, 'utf8')) ?? [];
    const refusal: unknown = await openWebSecurity(path, parts()).catch((error: unknown) => error);
    if (!(refusal instanceof UsageError)) throw new Error(`no UsageError: ${String(refusal)}`);
    const { message, hint } = refusal;
    const words = hint === '' ? message : `${message} (${hint})`;
    expect(words).toBe(`${path}:${expected.replaceAll('{folder}', folder.path)}`);
    await expect(checked(path)).rejects.toThrow(new Error(words));
  });
});
