/** Users, headers and the rate limit of the web configuration, over real sockets, and what changes while it runs. */
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { mkdirSync, renameSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { Agent } from 'node:http';
import { afterEach, describe, expect, test } from 'vitest';
import { systemClock } from '../../src/runtime/clock.ts';
import { openWebSecurity } from '../../src/server/web-security.ts';
import { FakeClock } from '../doubles/fake-clock.ts';
import { SecureSite } from './secure-site.ts';

const sites: SecureSite[] = [];
afterEach(async () => {
  await Promise.all(sites.splice(0).map((site) => site.close()));
});

async function open(...given: Parameters<typeof SecureSite.open>): Promise<SecureSite> {
  const site = await SecureSite.open(...given);
  sites.push(site);
  return site;
}

/** By password and cost. */
const HASHES: Readonly<Record<string, string>> = {
  'alice123 4': '$2b$04$ncGU5yLZyatkW3EO3zssieAo3AxRFHNVeDsFO6DprHbo5TTZRj9s6',
  'alice123 8': '$2b$08$0/1uyDB1FMqC7/mThIBG6ejU5CbejH1.ekVjP1VyLQb87yYmEIR.6',
  'alice123 11': '$2b$11$thtgVZVs.lpnzceWPASxc.28DtFIMjhfsTZoHi/.UlQDbduoM/Bhq',
  'bob123 4': '$2b$04$XWLxwjibHCHkSgnUno9gu.CKuX4PVFmVKjScY3R0GW7uUt13pYmWC',
  'bób:123 4': '$2b$04$d.8VPbVPSHsGs3UZonRBzuhwhR4VvGQ569Fvkwyg7/HSKQGJCc1Sa',
  'b:c 4': '$2b$04$OoxU7MBosLBMEOy8e3ZoJulBEp/GCGFopfR9/adUb2nHbIS3VsGbO',
};
const hash = (password: string, cost = 4): string => HASHES[`${password} ${cost}`]!;
const users = (...lines: readonly (readonly [user: string, hash: string])[]): string =>
  `basic_auth_users:\n${lines.map(([user, hashed]) => `  ${JSON.stringify(user)}: ${hashed}\n`).join('')}`;
const ALICE = users(['alice', hash('alice123')]);

describe('without a key in the file', () => {
  test('everybody is let in over plain HTTP', async () => {
    const site = await open('# nothing\n');
    expect(site.listener.url).toMatch(/^http:/);
    expect((await site.get()).status).toBe(200);
    expect(site.security).toMatchObject({ tls: false, authenticates: false });
  });

  test('nothing is there to open', async () => {
    const site = await open('# nothing\n');
    const quiet = (): void => undefined;
    const parts = {
      logger: { debug: quiet, info: quiet, warn: quiet, error: quiet },
      clock: new FakeClock(),
    };
    await expect(openWebSecurity(`${site.path}.missing`, parts)).rejects.toThrow(
      `${site.path}.missing cannot be read: ENOENT`,
    );
  });
});

describe('a user', () => {
  test('gets in with name and password only', async () => {
    const site = await open(users(['alice', hash('alice123')], ['bob', hash('bób:123')]));
    expect(site.security.authenticates).toBe(true);
    for (const asked of [
      {},
      { user: 'alice', password: 'wrong' },
      { user: 'alice', password: '' },
      { user: 'alice', password: 'bób:123' },
      { user: 'Alice', password: 'alice123' },
      { user: 'nobody', password: 'alice123' },
      { user: '', password: '' },
      { user: 'constructor', password: 'x' },
      { user: '__proto__', password: 'x' },
    ]) {
      // Twice: what is remembered of the first must say the same.
      for (let round = 0; round < 2; round += 1) {
        const { status, headers, text } = await site.get('/', asked);
        expect({ status, text }, JSON.stringify(asked)).toEqual({ status: 401, text: 'Unauthorized\n' });
        expect(headers['www-authenticate']).toBe('Basic');
        expect(headers['content-type']).toBe('text/plain; charset=utf-8');
      }
    }
    for (let round = 0; round < 2; round += 1) {
      expect((await site.get('/', { user: 'alice', password: 'alice123' })).status).toBe(200);
      expect((await site.get('/', { user: 'bob', password: 'bób:123' })).status).toBe(200);
    }
    expect(site.log).toEqual([]);
  });

  test.each([
    ['no scheme', Buffer.from('alice:alice123').toString('base64')],
    ['another scheme', `Bearer ${Buffer.from('alice:alice123').toString('base64')}`],
    ['nothing after the scheme', 'Basic '],
    ['no colon', `Basic ${Buffer.from('alice').toString('base64')}`],
    ['no base64', 'Basic {}'],
    ['two values', `Basic ${Buffer.from('alice:alice123').toString('base64')}, Basic x`],
    ['a name that is no UTF-8', `Basic ${Buffer.from('\xff:x', 'latin1').toString('base64')}`],
  ])('does not get in with %s', async (_, authorization) => {
    const site = await open(ALICE);
    expect((await site.get('/', { headers: { authorization } })).status).toBe(401);
  });

  test('may write the scheme as it likes', async () => {
    const site = await open(ALICE);
    const authorization = `bAsIc ${Buffer.from('alice:alice123').toString('base64')}`;
    expect((await site.get('/', { headers: { authorization } })).status).toBe(200);
  });

  test('is asked for where the handler stands only', async () => {
    const site = await open(ALICE);
    expect((await site.get('/open')).text).toBe('open');
    expect((await site.get('/')).status).toBe(401);
  });

  test('may use any bytes for a password, as bcrypt does', async () => {
    const password = Buffer.from([0xff, 0xfe, 0x3a, 0x80]);
    const hashed = '$2b$04$PK7ntz.W1H.CuFxYq84deeJzeuL1MBMTgNjxhTVssMDppXTKhgPbG';
    const site = await open(users(['alice', hashed]));
    expect((await site.get('/', { user: 'alice', password })).status).toBe(200);
    expect((await site.get('/', { user: 'alice', password: password.toString('utf8') })).status).toBe(401);
  });

  test('S2 cannot get in by what was remembered of another (CVE-2022-46146)', async () => {
    const hashed = hash('alice123');
    const site = await open(users(['alice', hashed], ['a', hash('b:c')]));
    // Joined as texts, these would be what a good guess at the decoy of unknown users was remembered as.
    expect((await site.get('/', { user: `alice${hashed}`, password: 'fakepassword' })).status).toBe(401);
    expect((await site.get('/', { user: 'alice', password: `${hashed}fakepassword` })).status).toBe(401);
    expect((await site.get('/', { user: 'a', password: 'b:c' })).status).toBe(200);
    expect((await site.get('/', { user: 'a', password: 'b' })).status).toBe(401);
    expect((await site.get('/', { user: 'ab', password: 'c' })).status).toBe(401);
    expect((await site.get('/', { user: 'a', password: ':b:c' })).status).toBe(401);
  });

  test('does not get in with the password of the decoy of the toolkit', async () => {
    const site = await open(ALICE);
    for (let round = 0; round < 2; round += 1) {
      expect((await site.get('/', { user: 'fakeuser', password: 'fakepassword' })).status).toBe(401);
    }
  });

  test('gets in 150 times at once, and as often not, as the toolkit has it', async () => {
    const site = await open(users(['alice', hash('alice123', 8)]));
    const logins = Array.from({ length: 150 }, async () => {
      const good = site.get('/', { user: 'alice', password: 'alice123' });
      const bad = site.get('/', { user: 'alice', password: 'alice1234' });
      return [(await good).status, (await bad).status];
    });
    expect(new Set((await Promise.all(logins)).map(String))).toEqual(new Set(['200,401']));
  });
});

describe('A6 guesses', () => {
  test('200 at once leave the event loop alone, and those who are known get in', async () => {
    const site = await open(users(['alice', hash('alice123', 11)]));
    const alice = { user: 'alice', password: 'alice123' };
    expect((await site.get('/', alice)).status).toBe(200);
    const delay = monitorEventLoopDelay({ resolution: 5 });
    delay.enable();
    const guesses = Array.from({ length: 200 }, (_, i) =>
      site.get('/', { user: 'alice', password: `guess ${i}` }),
    );
    const during = await site.get('/', alice);
    const statuses = (await Promise.all(guesses)).map(({ status }) => status);
    delay.disable();
    expect(during.status).toBe(200);
    // Other programs can hold the loop up for a moment; bcrypt on it would nearly all of the time.
    expect(delay.percentile(75) / 1e6).toBeLessThan(100);
    expect(new Set(statuses)).toEqual(new Set([401, 503]));
    const busy = await Promise.all(guesses).then((all) => all.find(({ status }) => status === 503));
    expect(busy?.headers['retry-after']).toBe('1');
    expect(busy?.text).toBe('Service Unavailable\n');
  });
});

describe('headers', () => {
  const HEADERS = [
    'http_server_config:',
    '  headers:',
    '    Strict-Transport-Security: max-age=31536000; includeSubDomains',
    '    X-Frame-Options: deny',
    '    X-Content-Type-Options: nosniff',
    '    X-XSS-Protection: 1',
    "    Content-Security-Policy: default-src 'self'",
    '',
  ].join('\n');
  const EXPECTED = {
    'strict-transport-security': 'max-age=31536000; includeSubDomains',
    'x-frame-options': 'deny',
    'x-content-type-options': 'nosniff',
    'x-xss-protection': '1',
    'content-security-policy': "default-src 'self'",
  };

  test('are those of the file, on answers and on refusals', async () => {
    const site = await open(`${HEADERS}${ALICE}rate_limit: {interval: 1h, burst: 3}\n`);
    const answers = [
      await site.get('/', { user: 'alice', password: 'alice123' }),
      await site.get('/nothing', { user: 'alice', password: 'alice123' }),
      await site.get(),
      await site.get(),
    ];
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 401, 429]);
    for (const { headers } of answers) expect(headers).toMatchObject(EXPECTED);
  });

  test('are not there if they are not in the file, or blank', async () => {
    const site = await open('http_server_config:\n  headers:\n    X-Frame-Options:\n');
    expect(Object.keys((await site.get()).headers)).not.toContain('x-frame-options');
  });
});

describe('the rate limit', () => {
  test('lets the burst through, then one request per interval, over all who ask', async () => {
    const clock = new FakeClock();
    const site = await open('rate_limit:\n  interval: 2s\n  burst: 3\n', { clock });
    const statuses = async (count: number): Promise<number[]> => {
      const result: number[] = [];
      for (let i = 0; i < count; i += 1) result.push((await site.get()).status);
      return result;
    };
    expect(await statuses(5)).toEqual([200, 200, 200, 429, 429]);
    const { headers, text } = await site.get();
    expect({ after: headers['retry-after'], text }).toEqual({ after: '2', text: 'Too Many Requests\n' });
    await clock.advance(1999);
    expect(await statuses(1)).toEqual([429]);
    await clock.advance(1);
    expect(await statuses(2)).toEqual([200, 429]);
    await clock.advance(3_600_000);
    expect(await statuses(4)).toEqual([200, 200, 200, 429]);
  });

  test('is off at 0, and without the key', async () => {
    for (const config of ['rate_limit:\n  interval: 0\n  burst: 0\n', '# nothing\n']) {
      const site = await open(config);
      const answers = await Promise.all(Array.from({ length: 20 }, () => site.get()));
      expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200]));
    }
  });

  test('goes by the file: another with a full burst, but is not filled by a change of something else', async () => {
    const site = await open('# nothing\n');
    const status = async (): Promise<number> => (await site.get()).status;
    expect([await status(), await status()]).toEqual([200, 200]);
    site.write('rate_limit: {interval: 1h, burst: 1}\n');
    expect([await status(), await status()]).toEqual([200, 429]);
    site.write(`rate_limit: {interval: 1h, burst: 1}\nhttp_server_config: {http2: false}\n`);
    expect(await status()).toBe(429);
    site.write('rate_limit: {interval: 1h, burst: 2}\n');
    expect([await status(), await status(), await status()]).toEqual([200, 200, 429]);
    site.write('rate_limit: {interval: 1h, burst: 1}\n');
    expect([await status(), await status()]).toEqual([200, 429]);
  });

  test.each(['# nothing\n', 'rate_limit:\n', 'rate_limit: {interval: 0}\n'])(
    'S1 is not taken away by %j',
    async (config) => {
      const site = await open('rate_limit: {interval: 1h, burst: 1}\n');
      expect((await site.get()).status).toBe(200);
      site.write(config);
      expect((await site.get()).status).toBe(500);
      expect(String(site.lines.at(-1)?.fields?.['error'])).toContain('rate_limit is gone');
    },
  );
});

describe('a change of the file', () => {
  const BOB = users(['bob', hash('bob123')]);
  const alice = { user: 'alice', password: 'alice123' };
  const bob = { user: 'bob', password: 'bob123' };
  const statuses = async (site: SecureSite): Promise<number[]> =>
    (await Promise.all([site.get('/', alice), site.get('/', bob)])).map(({ status }) => status);

  test('holds from the next request on, on connections that are there too', async () => {
    const site = await open(ALICE);
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    expect((await site.get('/', { ...alice, agent })).status).toBe(200);
    site.write(BOB);
    expect((await site.get('/', { ...alice, agent })).status).toBe(401);
    expect(await statuses(site)).toEqual([401, 200]);
    expect(site.log).toEqual(['info: the web configuration was read again']);
    agent.destroy();
  });

  test('is seen with the real clock as with any, however soon after another it comes', async () => {
    for (const clock of [systemClock, new FakeClock({ wallSeconds: Date.now() / 1000 + 3600 })]) {
      const site = await open(ALICE, { clock });
      for (let round = 0; round < 10; round += 1) {
        site.write(BOB);
        expect(await statuses(site)).toEqual([401, 200]);
        site.write(ALICE);
        expect(await statuses(site)).toEqual([200, 401]);
      }
    }
  });

  test('is seen though size and time of the file are the same', async () => {
    const site = await open(ALICE, { clock: new FakeClock({ wallSeconds: Date.now() / 1000 + 3600 }) });
    const long = new Date('2020-01-01');
    utimesSync(site.path, long, long);
    expect(await statuses(site)).toEqual([200, 401]);
    const other = ALICE.replace('alice', 'alicf');
    expect(other.length).toBe(ALICE.length);
    site.write(other);
    utimesSync(site.path, long, long);
    expect(statSync(site.path).mtimeMs).toBe(long.getTime());
    expect(await statuses(site)).toEqual([401, 401]);
  });

  test('by a rename is seen as well', async () => {
    const site = await open(ALICE);
    const aside = site.folder.write('aside.yml', BOB);
    renameSync(aside, site.path);
    expect(await statuses(site)).toEqual([401, 200]);
  });

  test.each([
    ['is deleted', (path: string) => rmSync(path)],
    [
      'is a folder',
      (path: string) => {
        rmSync(path);
        mkdirSync(path);
      },
    ],
    ['is broken', (path: string) => writeFileSync(path, 'basic_auth_users: [')],
    ['has an unknown key', (path: string) => writeFileSync(path, `${ALICE}users: {}\n`)],
    ['has a bad hash', (path: string) => writeFileSync(path, 'basic_auth_users: {alice: x}\n')],
    ['is emptied', (path: string) => writeFileSync(path, '')],
    ['has lost its users', (path: string) => writeFileSync(path, 'basic_auth_users: {}\n')],
    ['has its users commented out', (path: string) => writeFileSync(path, ALICE.replace('  "', '#  "'))],
  ])('S1 refuses everybody when the file %s, until it is well again', async (_, harm) => {
    const site = await open(ALICE);
    expect((await site.get('/', alice)).status).toBe(200);
    harm(site.path);
    for (const [path, asked] of [
      ['/', alice],
      ['/', {}],
      ['/open', {}],
    ] as const) {
      const { status, text } = await site.get(path, asked);
      expect({ status, text }).toEqual({ status: 500, text: 'Internal Server Error\n' });
    }
    expect(site.log).toEqual(['error: the web configuration cannot be used: all requests are refused']);
    expect(String(site.lines[0]?.fields?.['error'])).toContain(site.path);
    rmSync(site.path, { recursive: true, force: true });
    site.write(ALICE);
    expect((await site.get('/', alice)).status).toBe(200);
    expect((await site.get('/open')).status).toBe(200);
    expect(site.log.slice(1)).toEqual(['info: the web configuration can be used again']);
  });

  test('S1 that cuts the file off lets nobody in, wherever it is cut', async () => {
    const whole = `rate_limit: {interval: 1ms, burst: 1000}\n${ALICE}http_server_config:\n  http2: false\n`;
    const site = await open(whole);
    for (let length = 0; length < whole.length; length += 1) {
      writeFileSync(site.path, whole.slice(0, length));
      expect([401, 500], `cut at ${length}`).toContain((await site.get()).status);
    }
  });

  test('S1 that cuts off what was turned on since the start lets nobody in either', async () => {
    const site = await open('# nothing\n');
    expect((await site.get()).status).toBe(200);
    const whole = `http_server_config:\n  http2: false\n${ALICE}`;
    site.write(whole);
    expect((await site.get()).status).toBe(401);
    expect((await site.get('/', alice)).status).toBe(200);
    for (let length = 0; length < whole.length; length += 1) {
      writeFileSync(site.path, whole.slice(0, length));
      expect([401, 500], `cut at ${length}`).toContain((await site.get()).status);
    }
  });

  test('tells what is wrong anew when something else is', async () => {
    const site = await open(ALICE);
    writeFileSync(site.path, 'x: 1\n');
    await site.get();
    await site.get();
    writeFileSync(site.path, 'y: 1\n');
    await site.get();
    expect(site.lines.map(({ fields }) => String(fields?.['error']))).toEqual([
      expect.stringContaining('unknown key "x"'),
      expect.stringContaining('unknown key "y"'),
    ]);
  });

  test('that turns TLS on waits for the next start, and says so', async () => {
    const site = await open(ALICE);
    site.write(`${ALICE}tls_server_config: {cert_file: server.crt, key_file: server.key}\n`);
    expect((await site.get('/', alice)).status).toBe(200);
    expect(site.log).toEqual([
      'info: the web configuration was read again',
      'warn: TLS begins with the next start of the program',
    ]);
    // It protects nothing yet.
    site.write(ALICE);
    expect((await site.get('/', alice)).status).toBe(200);
  });
});
