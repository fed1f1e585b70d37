/** The web configuration: files that are taken, files that are refused, and what their refusal says. */
import { globSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { UsageError } from '../../src/model/errors.ts';
import { parseGoDurationMs } from '../../src/server/go-duration.ts';
import { readWebConfig } from '../../src/server/web-config.ts';
import { parseWebConfig } from '../../src/server/web-config-schema.ts';
import { WebConfigFolder } from './web-config-folder.ts';

const FIXTURES = fileURLToPath(new URL('../fixtures/web-config/', import.meta.url));
const named = (pattern: string): string[] => globSync(pattern, { cwd: FIXTURES }).sort();

let folder: WebConfigFolder;
beforeAll(() => {
  folder = WebConfigFolder.withBadFiles();
});
afterAll(() => folder.remove());

const place = (fixture: string): string =>
  folder.write(basename(fixture), readFileSync(join(FIXTURES, fixture), 'utf8'));

/** Message and hint as the program prints them. */
async function refusalOf(path: string): Promise<string> {
  const error: unknown = await readWebConfig(path).then(
    () => 'it was taken',
    (reason: unknown) => reason,
  );
  if (!(error instanceof UsageError)) throw new Error(`no UsageError: ${String(error)}`);
  return error.hint === '' ? error.message : `${error.message} (${error.hint})`;
}

function parse(text: string) {
  return parseWebConfig({ bytes: Buffer.from(text), mode: 0o600 }, 'web.yml');
}

describe('a web configuration', () => {
  const good = named('*.good.yml');
  const bad = named('*.bad.yml').filter(
    (name) => process.platform !== 'win32' || !name.includes('open_to_others'),
  );

  test('has fixtures of both kinds', () => {
    expect(good.length).toBeGreaterThan(25);
    expect(bad.length).toBeGreaterThan(45);
    expect(named('*').filter((name) => !/\.(?:good|bad)\.yml$/.test(name))).toEqual([]);
  });

  test.each(good)('is taken: %s', async (fixture) => {
    await expect(readWebConfig(place(fixture))).resolves.toBeDefined();
  });

  // What is expected stands in the first line of the file.
  test.each(bad)('R2 is refused: %s', async (fixture) => {
    const path = place(fixture);
    const [, expected = ''] = /^# (.+)/.exec(readFileSync(path, 'utf8')) ?? [];
    const refusal = await refusalOf(path);
    expect(refusal).toBe(`${path}:${expected.replaceAll('{folder}', folder.path)}`);
    expect(refusal).not.toContain('\n');
  });

  // These are no files of the fixtures, as they are not to be read by the formatter either.
  test.each([
    ['a key twice', 'rate_limit:\n  burst: 1\n  burst: 2\n', '3:3: Map keys must be unique'],
    ['a section twice', 'rate_limit: {}\nrate_limit: {}\n', '2:1: Map keys must be unique'],
    ['a tab', 'rate_limit:\n\tburst: 1\n', '2:1: Tabs are not allowed as indentation'],
    ['a tag', 'rate_limit:\n  burst: !!int 1\n', '2:10: Unresolved tag: tag:yaml.org,2002:int'],
    ['an alias of nothing', 'rate_limit: *limit\n', '1:1: Unresolved alias'],
    ['a quote that does not end', 'basic_auth_users:\n  "alice: x\n', '3:1: Missing closing "quote'],
    ['brackets that do not end', 'rate_limit: {burst: 1\n', '2:1: Flow map'],
    ['several documents', 'rate_limit: {}\n---\nrate_limit: {}\n', '2:1: a second document begins here'],
    ['a user without a hash', 'basic_auth_users:\n  alice: ~\n', '2:10: basic_auth_users.alice: expected'],
    [
      'no names that are allowed',
      'tls_server_config: {cert_file: server.crt, key_file: server.key, client_allowed_sans: null}\n',
      '1:87: tls_server_config.client_allowed_sans: expected a list of names',
    ],
    [
      'a name that is none',
      'tls_server_config: {cert_file: server.crt, key_file: server.key, client_allowed_sans: [~]}\n',
      '1:88: tls_server_config.client_allowed_sans.0: expected a name',
    ],
    ['a text that only looks like none', 'rate_limit: "null"\n', '1:13: rate_limit: expected keys'],
  ])('R2 is refused with %s', async (_, text, expected) => {
    const path = folder.write('broken.yml', text);
    const refusal = await refusalOf(path);
    expect(refusal).toContain(`${path}:${expected}`);
    expect(refusal).not.toContain('\n');
  });

  test('R2 is refused if it is not to be read, no file, too large or no text', async () => {
    const missing = join(folder.path, 'missing.yml');
    expect(await refusalOf(missing)).toBe(`${missing} cannot be read: ENOENT: no such file or directory`);
    expect(await refusalOf(folder.path)).toBe(`${folder.path} cannot be read: it is not a file`);
    const large = folder.write('large.yml', '#'.repeat(1024 * 1024 + 1));
    expect(await refusalOf(large)).toBe(`${large} cannot be read: it is larger than 1048576 bytes`);
    const bytes = Buffer.from('# caf\xe9\n', 'latin1');
    expect(() => parseWebConfig({ bytes, mode: 0 }, 'web.yml')).toThrow('web.yml is not text in UTF-8');
  });

  test('R2 is refused without harm if it is made to harm', () => {
    expect(() => parse('['.repeat(100_000))).toThrow(UsageError);
    expect(() => parse('rate_limit: &a {burst: *a}\n')).toThrow(UsageError);
    const level = (name: string, of: string): string => `${name}: &${name} [${`*${of},`.repeat(20)}]\n`;
    const laughs =
      'a: &a [x]\n' + ['ba', 'cb', 'dc', 'ed', 'fe', 'gf'].map(([a, b]) => level(a!, b!)).join('');
    expect(() => parse(laughs)).toThrow(UsageError);
  });

  test('that is empty asks for nothing', () => {
    for (const text of ['', '# nothing\n', '---\n', '{}\n', '\uFEFF# nothing\n']) {
      expect(parse(text)).toEqual({ tls: null, headers: new Map(), users: new Map(), rateLimit: null });
    }
  });

  test.each(['~', 'null', 'Null', 'NULL'])('takes %s for a value that is left out', (none) => {
    const nothing = { tls: null, headers: new Map(), users: new Map(), rateLimit: null };
    for (const text of [
      none,
      `--- ${none}\n`,
      `basic_auth_users: ${none}\n`,
      `tls_server_config: ${none} # later\nrate_limit: &none ${none}\nhttp_server_config: *none\n`,
      `rate_limit:\n  interval: ${none}\n  burst: ${none}\n`,
      `http_server_config: {http2: ${none}, headers: {X-Frame-Options: ${none}}}\n`,
      `http_server_config: {headers: ${none}}\n`,
    ]) {
      expect(parse(text), text).toEqual(nothing);
    }
    expect(parse(`http_server_config: {headers: {X-XSS-Protection: '${none}'}}\n`).headers.size).toBe(1);
  });

  test('has the defaults of the toolkit, in the names of OpenSSL', () => {
    const { tls } = parse('tls_server_config:\n  cert_file: a.crt\n  key_file: /etc/a.key\n');
    expect(tls).toMatchObject({
      cert: { origin: 'web.yml:2:3: cert_file', path: 'a.crt' },
      key: { origin: 'web.yml:3:3: key_file', path: '/etc/a.key' },
      clientCa: null,
      clientAuth: 'NoClientCert',
      allowedSans: null,
      minVersion: 'TLSv1.2',
      maxVersion: 'TLSv1.3',
      curves: 'auto',
      serverCiphersFirst: true,
    });
    const suites = tls!.ciphers.split(':');
    expect(suites.slice(0, 4)).toEqual([
      'TLS_AES_128_GCM_SHA256',
      'TLS_AES_256_GCM_SHA384',
      'TLS_CHACHA20_POLY1305_SHA256',
      'ECDHE-ECDSA-AES128-GCM-SHA256',
    ]);
    expect(suites.filter((suite) => !/^(?:TLS_|ECDHE-)/.test(suite))).toEqual([]);
  });

  test('means what it says', () => {
    const { tls, rateLimit } = parse(
      [
        'tls_server_config:',
        '  cert_file: a.crt',
        '  key_file: a.key',
        '  client_auth_type: RequireClientCert',
        '  min_version: TLS11',
        '  max_version: TLS12',
        '  cipher_suites: [TLS_RSA_WITH_AES_256_CBC_SHA, TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256]',
        '  prefer_server_cipher_suites: off',
        '  curve_preferences: [X25519, CurveP384]',
        'rate_limit: {interval: 1m30.5s, burst: 20}',
      ].join('\n'),
    );
    expect(tls).toMatchObject({
      clientAuth: 'RequireAnyClientCert',
      minVersion: 'TLSv1.1',
      maxVersion: 'TLSv1.2',
      curves: 'X25519:P-384',
      serverCiphersFirst: false,
    });
    expect(tls!.ciphers.split(':').slice(3)).toEqual([
      'AES256-SHA',
      'ECDHE-RSA-CHACHA20-POLY1305',
      '@SECLEVEL=0',
    ]);
    expect(rateLimit).toEqual({ intervalMs: 90_500, burst: 20 });
  });

  test('keeps users of any name', () => {
    const hash = '$2y$04$pKrCCOGZNCYlpidPHtzYf.r7RwdnNPaVR7UJqDneX4skKG.2iwc2u';
    const names = ['alice', '123', 'yes', '0x10', 'constructor', 'toString', 'Jörg Müller', '~', 'null'];
    const { users } = parse(`basic_auth_users:\n${names.map((name) => `  ${name}: ${hash}\n`).join('')}`);
    expect([...users.keys()].sort()).toEqual([...names].sort());
    // Whether it is kept or refused, it must not be taken for no user at all.
    const odd = (): unknown => [...parse(`basic_auth_users:\n  __proto__: ${hash}\n`).users.keys()];
    expect(odd()).toEqual(['__proto__']);
  });

  test('never has its secrets in an error', async () => {
    const key = folder.server.key.split('\n')[1]!;
    const cases = [
      `tls_server_config:\n  cert: <server.crt>\n  key: "${key}"\n`,
      `tls_server_config:\n  cert: <server.crt>\n  key: ["${key}"]\n`,
      `tls_server_config:\n  cert: <client-ca.crt>\n  key: <server.key>\n`,
      `basic_auth_users:\n  alice: "${key}"\n`,
      `basic_auth_users:\n  alice: ["${key}"]\n`,
    ];
    for (const text of cases) expect(await refusalOf(folder.write('secret.yml', text))).not.toContain(key);
  });
});

test.each([
  ['0', 0],
  ['0s', 0],
  ['1s', 1000],
  ['1.5h', 5_400_000],
  ['1m30s', 90_000],
  ['.5s', 500],
  ['100us', 0.1],
  ['1', null],
  ['', null],
  ['-1s', null],
  ['1 s', null],
  ['1d', null],
  ['s', null],
])('the duration %j is %j ms', (text, ms) => expect(parseGoDurationMs(text)).toBe(ms));
