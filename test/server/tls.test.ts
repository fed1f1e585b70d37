/** TLS as the web configuration asks for it, with real clients: who gets in, who does not, and what changes on disk. */
import { X509Certificate } from 'node:crypto';
import { rmSync, writeFileSync } from 'node:fs';
import { Agent } from 'node:https';
import { connect as connectTcp } from 'node:net';
import { join } from 'node:path';
import type { ConnectionOptions, TLSSocket } from 'node:tls';
import { connect as connectTls, getCACertificates, setDefaultCACertificates } from 'node:tls';
import { afterEach, describe, expect, test } from 'vitest';
import { parseSubjectAltNames, verifiedSubjectAltNames } from '../../src/server/client-certificates.ts';
import { makeCertificate } from './certificates.ts';
import { SecureSite } from './secure-site.ts';

const TLS = 'tls_server_config:\n  cert_file: server.crt\n  key_file: server.key\n';
const VERIFIED = `${TLS}  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: client-ca.crt\n`;

const sites: SecureSite[] = [];
afterEach(async () => {
  await Promise.all(sites.splice(0).map((site) => site.close()));
});

async function open(...given: Parameters<typeof SecureSite.open>): Promise<SecureSite> {
  const site = await SecureSite.open(...given);
  sites.push(site);
  return site;
}

const shut = (site: SecureSite, ...asked: Parameters<SecureSite['get']>): Promise<void> =>
  expect(site.get(...asked)).rejects.toThrow(
    /ECONNRESET|socket hang up|certificate required|alert|disconnected|EPIPE/i,
  );

/** The connection itself, for what no HTTP client does. */
function handshake(site: SecureSite, options: ConnectionOptions = {}): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    const socket = connectTls({
      host: '127.0.0.1',
      port: site.port,
      ca: site.folder.serverCa.cert,
      ...options,
    });
    socket.once('secureConnect', () => resolve(socket));
    socket.once('error', reject);
    socket.once('close', () => reject(new Error('closed')));
  });
}

describe('a listener with TLS', () => {
  test('serves HTTPS under an address that says so', async () => {
    const site = await open(TLS);
    expect(site.listener.url).toMatch(/^https:\/\/127\.0\.0\.1:\d+$/);
    const { status, text, protocol } = await site.get();
    expect({ status, text, protocol }).toEqual({ status: 200, text: '"welcome"', protocol: 'TLSv1.3' });
    expect(site.security).toMatchObject({ tls: true, authenticates: false });
  });

  test('has a certificate that its clients can tell from another', async () => {
    const site = await open(TLS);
    const ca = makeCertificate({ name: 'server CA', isCa: true }).cert;
    await expect(site.get('/', { ca })).rejects.toThrow(/certificate|signature/);
    expect(site.log).toEqual([]);
  });

  test.each(['ec', 'rsa'] as const)(
    'takes a certificate that stands in the file, of type %s',
    async (type) => {
      const site = await open((folder) => {
        folder.writeServer(folder.serverIdentity(type));
        return 'tls_server_config:\n  cert: <server.crt>\n  key: <server.key>\n';
      });
      expect((await site.get()).status).toBe(200);
      expect((await site.get('/', { maxVersion: 'TLSv1.2' })).protocol).toBe('TLSv1.2');
    },
  );

  test('refuses a version older than 1.2, as the toolkit does', async () => {
    const site = await open(TLS);
    const old = { minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' } as const;
    await expect(site.get('/', old)).rejects.toThrow(/protocol version|alert/);
    expect(site.log).toEqual([]);
  });

  test.each([
    ['TLS10', 'TLSv1'],
    ['TLS11', 'TLSv1.1'],
  ] as const)('takes %s if the file says so', async (name, version) => {
    const site = await open(`${TLS}  min_version: ${name}\n`);
    const old = { minVersion: version, maxVersion: version, ciphers: 'DEFAULT@SECLEVEL=0' };
    expect((await site.get('/', old)).protocol).toBe(version);
    expect((await site.get()).protocol).toBe('TLSv1.3');
  });

  test('refuses a newer version than max_version, and an older one than min_version', async () => {
    const old = await open(`${TLS}  max_version: TLS12\n`);
    expect((await old.get()).protocol).toBe('TLSv1.2');
    await expect(old.get('/', { minVersion: 'TLSv1.3' })).rejects.toThrow(/protocol version|alert/);
    const young = await open(`${TLS}  min_version: TLS13\n`);
    await expect(young.get('/', { maxVersion: 'TLSv1.2' })).rejects.toThrow(/protocol version|alert/);
  });

  test('offers the cipher suites of the file, and those of TLS 1.3 in any case', async () => {
    const site = await open(`${TLS}  cipher_suites:\n    - TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384\n`);
    const old = { maxVersion: 'TLSv1.2' } as const;
    expect((await site.get('/', old)).cipher).toBe('ECDHE-ECDSA-AES256-GCM-SHA384');
    const other = { ...old, ciphers: 'ECDHE-ECDSA-AES128-GCM-SHA256' };
    await expect(site.get('/', other)).rejects.toThrow(/handshake failure/);
    expect((await site.get()).cipher).toMatch(/^TLS_AES_/);
  });

  test('prefers its own order of suites, or that of the client', async () => {
    const suites = `${TLS}  max_version: TLS12\n  cipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256]\n`;
    const ciphers = 'ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384';
    const own = await open(suites);
    expect((await own.get('/', { ciphers })).cipher).toBe('ECDHE-ECDSA-AES256-GCM-SHA384');
    const clients = await open(`${suites}  prefer_server_cipher_suites: false\n`);
    expect((await clients.get('/', { ciphers })).cipher).toBe('ECDHE-ECDSA-AES128-GCM-SHA256');
  });

  test('speaks TLS 1.3 only if the file names no suite of an older version', async () => {
    const site = await open(`${TLS}  cipher_suites: [TLS_AES_128_GCM_SHA256]\n`);
    expect((await site.get()).protocol).toBe('TLSv1.3');
    await expect(site.get('/', { maxVersion: 'TLSv1.2' })).rejects.toThrow(/protocol version|alert/);
  });

  test('offers the curves of the file', async () => {
    const site = await open(`${TLS}  curve_preferences: [CurveP521]\n`);
    expect((await site.get('/', { ecdhCurve: 'P-521' })).status).toBe(200);
    await expect(site.get('/', { ecdhCurve: 'P-384' })).rejects.toThrow(/handshake failure/);
  });

  test('closes plain HTTP without an answer and without a word in the log', async () => {
    const site = await open(TLS);
    const received = await new Promise<string>((resolve) => {
      const chunks: Buffer[] = [];
      const socket = connectTcp(site.port, '127.0.0.1', () =>
        socket.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n'),
      );
      socket.on('data', (chunk) => chunks.push(chunk));
      socket.on('error', () => undefined);
      socket.on('close', () => resolve(Buffer.concat(chunks).toString()));
    });
    expect(received).not.toContain('HTTP');
    expect(received).not.toContain('welcome');
    expect(site.log).toEqual([]);
    expect((await site.get()).status).toBe(200);
  });

  test('resumes no session: each connection is judged anew', async () => {
    const site = await open(TLS);
    for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
      const first = await handshake(site, { maxVersion });
      const session = await new Promise<Buffer | undefined>((resolve) => {
        first.once('session', resolve);
        first.once('close', () => resolve(first.getSession()));
        first.write('GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n');
        first.resume();
      });
      const second = await handshake(site, { maxVersion, ...(session && { session }) });
      expect(second.isSessionReused()).toBe(false);
      first.destroy();
      second.destroy();
    }
  });
});

describe('a client', () => {
  test('needs a certificate of the right CA where it is required and verified', async () => {
    const site = await open(VERIFIED);
    expect(site.security.authenticates).toBe(true);
    expect((await site.get('/', { client: site.folder.client() })).status).toBe(200);
    await shut(site);
    const strangeCa = makeCertificate({ name: 'client CA', isCa: true });
    await shut(site, '/', { client: makeCertificate({ issuer: strangeCa, usage: 'client' }) });
    await shut(site, '/', { client: makeCertificate({ name: 'self-signed', usage: 'client' }) });
    expect(site.log).toEqual([]);
  });

  test('needs a certificate that is for clients and valid now, of a CA that may issue any', async () => {
    const site = await open(VERIFIED);
    const issuer = site.folder.clientCa;
    await shut(site, '/', { client: makeCertificate({ issuer, usage: 'server' }) });
    await shut(site, '/', { client: makeCertificate({ issuer, usage: 'client', days: [-3, -1] }) });
    await shut(site, '/', { client: makeCertificate({ issuer, usage: 'client', days: [1, 3] }) });
    const client = site.folder.client();
    const leaf = makeCertificate({ issuer: client, usage: 'client' });
    await shut(site, '/', { client: { ...leaf, cert: leaf.cert + client.cert } });
  });

  test('may come through an intermediate CA that it shows', async () => {
    const site = await open(VERIFIED);
    const between = makeCertificate({ name: 'between', issuer: site.folder.clientCa, isCa: true });
    const leaf = makeCertificate({ issuer: between, usage: 'client' });
    expect((await site.get('/', { client: { ...leaf, cert: leaf.cert + between.cert } })).status).toBe(200);
    await shut(site, '/', { client: leaf });
  });

  test.each(['TLSv1.2', 'TLSv1.3'] as const)(
    'needs one of the allowed names, over %s',
    async (maxVersion) => {
      const names =
        '  client_allowed_sans: [a.example, 2001:db8::9, "spiffe://x/y", me@example.net, 192.0.2.1]\n';
      const site = await open(VERIFIED + names);
      const get = (...sans: string[]) => ['/', { client: site.folder.client(...sans), maxVersion }] as const;
      for (const san of [
        'DNS:a.example',
        'IP:2001:db8::9',
        'URI:spiffe://x/y',
        'email:me@example.net',
        'IP:192.0.2.1',
      ]) {
        expect((await site.get(...get('DNS:other', san))).status, san).toBe(200);
      }
      await shut(site, ...get());
      await shut(site, ...get('DNS:b.example'));
      await shut(site, ...get('DNS:x.a.example', 'DNS:A.example', 'IP:2001:db8::8'));
      await shut(site, ...get('DNS:b.example, DNS:a.example'));
      await shut(site, '/', { maxVersion });
      expect(site.log).toEqual([]);
    },
  );

  test('may have any certificate where any is required, but needs one', async () => {
    const site = await open(`${TLS}  client_auth_type: RequireAnyClientCert\n`);
    expect(site.security.authenticates).toBe(false);
    expect((await site.get('/', { client: makeCertificate() })).status).toBe(200);
    await shut(site);
    await shut(site, '/', { maxVersion: 'TLSv1.2' });
  });

  test('may have none where it is verified if given, but no bad one', async () => {
    const site = await open(
      `${TLS}  client_auth_type: VerifyClientCertIfGiven\n  client_ca_file: client-ca.crt\n`,
    );
    expect(site.security.authenticates).toBe(false);
    expect((await site.get()).status).toBe(200);
    expect((await site.get('/', { client: site.folder.client() })).status).toBe(200);
    await shut(site, '/', { client: makeCertificate() });
    const nobody = await open(`${TLS}  client_auth_type: VerifyClientCertIfGiven\n`);
    expect((await nobody.get()).status).toBe(200);
    await shut(nobody, '/', { client: nobody.folder.client() });
  });
});

describe('public authorities', () => {
  const trusted = getCACertificates('default');
  afterEach(() => setDefaultCACertificates(trusted));

  test('A7 vouch for no client, where no CA is configured', async () => {
    const seen = verifiedSubjectAltNames;
    const ifGiven = await open(`${TLS}  client_auth_type: VerifyClientCertIfGiven\n`, { seen });
    const asked = await open(`${TLS}  client_auth_type: RequestClientCert\n`, { seen });
    setDefaultCACertificates([...trusted, ifGiven.folder.clientCa.cert, asked.folder.clientCa.cert]);
    await shut(ifGiven, '/', { client: ifGiven.folder.client('DNS:ops.example.net') });
    expect((await asked.get('/', { client: asked.folder.client('DNS:ops.example.net') })).text).toBe('[]');
  });
});

describe('the verified names of a client', () => {
  const seen = verifiedSubjectAltNames;
  const names = async (site: SecureSite, ...sans: string[]): Promise<unknown> =>
    JSON.parse((await site.get('/', { client: site.folder.client(...sans) })).text);

  test('are those of its certificate, one by one', async () => {
    const site = await open(VERIFIED, { seen });
    expect(await names(site, 'DNS:ops.example.net', 'IP:192.0.2.1', 'URI:spiffe://x/ops')).toEqual([
      'DNS:ops.example.net',
      'IP Address:192.0.2.1',
      'URI:spiffe://x/ops',
    ]);
    expect(await names(site)).toEqual([]);
  });

  test('A7 cannot be forged by what a name holds', async () => {
    const site = await open(VERIFIED, { seen });
    const odd = [
      'b, DNS:ops.example.net',
      '"b", DNS:ops.example.net',
      'b\\", DNS:ops.example.net',
      '\u0000DNS:x',
    ];
    for (const value of odd)
      expect(await names(site, `DNS:${value}`, 'DNS:c')).toEqual([`DNS:${value}`, 'DNS:c']);
  });

  test('A7 are none unless the certificate was verified against the configured CA', async () => {
    const strange = makeCertificate({ sans: ['DNS:ops.example.net'], usage: 'client' });
    for (const type of ['RequireAnyClientCert', 'RequestClientCert']) {
      const withCa = await open(`${TLS}  client_auth_type: ${type}\n  client_ca_file: client-ca.crt\n`, {
        seen,
      });
      expect(await names(withCa, 'DNS:ops.example.net')).toEqual(['DNS:ops.example.net']);
      expect((await withCa.get('/', { client: strange })).text).toBe('[]');
      const withoutCa = await open(`${TLS}  client_auth_type: ${type}\n`, { seen });
      expect(await names(withoutCa, 'DNS:ops.example.net')).toEqual([]);
    }
    const none = await open(TLS, { seen });
    expect(await names(none, 'DNS:ops.example.net')).toEqual([]);
    const plain = await open('rate_limit: {}\n', { seen });
    expect((await plain.get()).text).toBe('[]');
  });

  test.each([
    ['', []],
    ['DNS:a', ['DNS:a']],
    ['DNS:a, DNS:b', ['DNS:a', 'DNS:b']],
    ['DNS:"a\\u002c DNS:b", IP Address:1.2.3.4', ['DNS:a, DNS:b', 'IP Address:1.2.3.4']],
    ['othername: UPN:"a, b"', ['othername: UPN:a, b']],
    ['DNS:a,DNS:b', []],
    ['DNS:a, ', ['DNS:a']],
    ['DNS:"a', []],
    ['DNS:"a\\q"', []],
    ['a, DNS:b', []],
    ['"DNS:a"', []],
  ])('come out of %j as %j', (text, expected) => expect(parseSubjectAltNames(text)).toEqual(expected));
});

const fingerprint = (pem: string): string => new X509Certificate(pem).fingerprint256;

describe('a change on disk', () => {
  test('of the certificate is served on the next connection', async () => {
    const site = await open(TLS);
    expect((await site.get()).fingerprint).toBe(fingerprint(site.folder.server.cert));
    for (let round = 0; round < 3; round += 1) {
      const next = site.folder.serverIdentity();
      site.folder.writeServer(next);
      expect((await site.get()).fingerprint).toBe(fingerprint(next.cert));
    }
    expect(site.log).toEqual(Array(3).fill('info: the TLS certificate was read again'));
  });

  test('of the certificate leaves the connections that are there alone', async () => {
    const site = await open(TLS);
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    const first = await site.get('/', { agent });
    site.folder.writeServer(site.folder.serverIdentity());
    expect((await site.get()).fingerprint).not.toBe(first.fingerprint);
    expect((await site.get('/', { agent })).fingerprint).toBe(first.fingerprint);
    agent.destroy();
  });

  test('of the client CA decides on the next connection, and ends those that it let in before', async () => {
    const site = await open(VERIFIED);
    const client = site.folder.client();
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    expect((await site.get('/', { client, agent })).status).toBe(200);
    const other = makeCertificate({ name: 'other CA', isCa: true });
    site.folder.write('client-ca.crt', other.cert);
    await shut(site, '/', { client });
    await shut(site, '/', { client, agent });
    expect(
      (await site.get('/', { client: makeCertificate({ issuer: other, usage: 'client' }) })).status,
    ).toBe(200);
    agent.destroy();
  });

  test('of the allowed names decides on the next connection, and ends those that they let in before', async () => {
    const site = await open(`${VERIFIED}  client_allowed_sans: [a.example]\n`);
    const client = site.folder.client('DNS:a.example');
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    expect((await site.get('/', { client, agent })).status).toBe(200);
    expect((await site.get('/', { client, agent })).status).toBe(200);
    site.write(`${VERIFIED}  client_allowed_sans: [b.example]\n`);
    await shut(site, '/', { client, agent });
    expect((await site.get('/', { client: site.folder.client('DNS:b.example') })).status).toBe(200);
    agent.destroy();
  });

  test('that asks for certificates ends connections that came without one', async () => {
    const site = await open(TLS);
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    expect((await site.get('/', { agent })).status).toBe(200);
    site.write(VERIFIED);
    await shut(site, '/', { agent });
    expect((await site.get('/', { client: site.folder.client() })).status).toBe(200);
    agent.destroy();
  });

  test('of the versions decides on the next connection', async () => {
    const site = await open(`${TLS}  max_version: TLS12\n`);
    expect((await site.get()).protocol).toBe('TLSv1.2');
    site.write(TLS);
    expect((await site.get()).protocol).toBe('TLSv1.3');
  });

  test.each(['server.key', 'server.crt', 'client-ca.crt', 'web.yml'])(
    'S1 that takes %s away shuts out new connections, with one line in the log',
    async (name) => {
      const site = await open(VERIFIED);
      const client = site.folder.client();
      expect((await site.get('/', { client })).status).toBe(200);
      rmSync(join(site.folder.path, name));
      for (let tries = 0; tries < 5; tries += 1) await shut(site, '/', { client });
      const what = name === 'web.yml' ? 'web configuration' : 'TLS certificates';
      expect(site.log).toHaveLength(1);
      expect(site.log[0]).toMatch(new RegExp(`^error: the ${what} cannot be used`));
      expect(String(site.lines.at(-1)?.fields?.['error'])).toContain(`${name} cannot be read: ENOENT`);
    },
  );

  test('S1 that cuts a file off shuts out new connections until it is whole again', async () => {
    const site = await open(TLS);
    const { cert, key } = site.folder.server;
    site.folder.write('server.crt', cert.slice(0, cert.length / 2));
    await shut(site);
    site.folder.writeServer({ ...site.folder.serverIdentity(), key });
    await shut(site);
    site.folder.writeServer(site.folder.server);
    expect((await site.get()).status).toBe(200);
    expect(site.log).toEqual([
      'error: the TLS certificates cannot be used: new connections are refused',
      'error: the TLS certificates cannot be used: new connections are refused',
      'info: the TLS certificates can be used again',
    ]);
  });

  const CLIENTS =
    '  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: client-ca.crt\n  min_version: TLS13\n' +
    '  client_allowed_sans:\n    - a.example\n    - b.example\n';
  const RATE = 'rate_limit:\n  burst: 2\n  interval: 1h\n';
  test.each([
    ['with the clients last', `${RATE}${TLS}${CLIENTS}`],
    ['with the rate limit last', `${TLS}${CLIENTS}${RATE}`],
    [
      'with the version last',
      `${RATE}${TLS}${CLIENTS.replace('  min_version: TLS13\n', '')}  min_version: TLS13\n`,
    ],
  ])('S1 that cuts the web configuration off takes no protection away: %s', async (_, whole) => {
    const site = await open(whole);
    const right = { client: site.folder.client('DNS:a.example') };
    const wrong = { client: site.folder.client('DNS:elsewhere.example') };
    const old = { ...right, maxVersion: 'TLSv1.2' } as const;
    expect((await site.get('/', right)).status).toBe(200);
    expect((await site.get('/', { client: site.folder.client('DNS:b.example') })).status).toBe(200);
    expect((await site.get('/', right)).status).toBe(429);
    // Whatever is not whole is not let in, or has used up its rate.
    const statusOf = (asked: Parameters<typeof site.get>[1]): Promise<number> =>
      site.get('/', asked).then(
        ({ status }) => status,
        () => 0,
      );
    for (let length = 0; length < whole.length; length += 1) {
      writeFileSync(site.path, whole.slice(0, length));
      const [of, ...others] = await Promise.all([right, wrong, old].map(statusOf));
      expect([0, 429, 500], `cut at ${length}`).toContain(of);
      expect(others, `cut at ${length}`).toEqual([0, 0]);
    }
    site.write(whole);
    expect(await statusOf(right)).toBe(429);
  });

  test('S1 that cuts off what was turned on since the start is refused', async () => {
    const site = await open(TLS);
    expect((await site.get()).status).toBe(200);
    site.write(`${TLS}${CLIENTS}`);
    const right = { client: site.folder.client('DNS:a.example') };
    expect((await site.get('/', right)).status).toBe(200);
    for (const [config, lost] of [
      [TLS, 'client_auth_type RequireAndVerifyClientCert'],
      [VERIFIED, 'client_allowed_sans'],
      [`${TLS}${CLIENTS.replace('TLS13', 'TLS12')}`, 'min_version TLS13'],
    ] as const) {
      site.write(config);
      await shut(site, '/', right);
      expect(String(site.lines.at(-1)?.fields?.['error'])).toContain(`${lost} is gone`);
    }
    site.write(`${TLS}${CLIENTS.replace('b.example', 'c.example')}`);
    expect((await site.get('/', right)).status).toBe(200);
  });

  test('S1 that cuts off what allows more than the default leaves the whole file good', async () => {
    const site = await open(`${TLS}  min_version: TLS11\n`);
    expect((await site.get()).status).toBe(200);
    site.write(TLS);
    expect((await site.get()).status).toBe(200);
    site.write(`${TLS}  min_version: TLS11\n`);
    expect((await site.get()).status).toBe(200);
  });

  test('S1 that turns TLS off is refused', async () => {
    const site = await open(TLS);
    site.write('rate_limit: {}\n');
    await shut(site);
    expect(String(site.lines.at(-1)?.fields?.['error'])).toContain('tls_server_config is gone');
    site.write(TLS);
    expect((await site.get()).status).toBe(200);
  });
});

describe('H3 clients that do not finish the handshake', () => {
  const ends = (socket: { once(event: 'close', listener: () => void): unknown }): Promise<void> =>
    new Promise((resolve) => socket.once('close', () => resolve()));

  test('are cut off, those that dribble too, while others are served', async () => {
    const site = await open(TLS);
    const startedMs = performance.now();
    // The first bytes of a ClientHello of 512 bytes.
    const hello = Buffer.from([0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00, 0x01, 0xfc, 0x03, 0x03]);
    const sockets = Array.from({ length: 300 }, (_, i) => {
      const socket = connectTcp(site.port, '127.0.0.1');
      socket.on('error', () => undefined);
      if (i % 3 === 0) return { socket, timer: undefined };
      let sent = 0;
      const timer = setInterval(() => {
        if (i % 3 === 1 || sent === 0) socket.write(Buffer.of(hello[sent] ?? 0));
        sent += 1;
      }, 200);
      return { socket, timer };
    });
    const closed = Promise.all(sockets.map(({ socket }) => ends(socket)));
    const during = await site.get();
    await closed;
    const tookMs = performance.now() - startedMs;
    for (const { timer } of sockets) clearInterval(timer);
    expect(during.status).toBe(200);
    expect(tookMs).toBeGreaterThan(4500);
    expect(tookMs).toBeLessThan(7000);
    expect(site.log).toEqual([]);
  });

  test('are cut off after it if they send no request', async () => {
    const site = await open(TLS);
    const socket = await handshake(site);
    const startedMs = performance.now();
    socket.resume();
    await ends(socket);
    expect(performance.now() - startedMs).toBeLessThan(7000);
  });

  test('H7 do not hold up the end of the program', async () => {
    const site = await open(TLS);
    const socket = connectTcp(site.port, '127.0.0.1');
    socket.on('error', () => undefined);
    await new Promise<void>((resolve) => socket.once('connect', resolve));
    await site.get();
    const time = new AbortController();
    const closing = site.listener.close(time.signal);
    time.abort();
    await Promise.all([closing, ends(socket)]);
  });
});
