/** What may stand in a request to the admin API, and what becomes of everything else: the right answer, and nothing done. */
import { connect } from 'node:net';
import { brotliCompressSync, deflateSync, gzipSync } from 'node:zlib';
import { afterEach, describe, expect, test } from 'vitest';
import {
  ADMIN_ROUTES,
  bare,
  ENDPOINT,
  idsOf,
  REASON,
  requestOf,
  touched,
  UNTOUCHED,
} from './admin-routes.ts';
import type { AdminAnswer, AdminSite, Asked } from './admin-site.ts';
import { AdminSites, tokenOf } from './admin-site.ts';

const sites = new AdminSites();
let site: AdminSite;
const open = async (): Promise<AdminSite> => (site = await sites.open());

/** Whatever came before: nothing was done, nothing is broken, and others are served. */
afterEach(async () => {
  try {
    expect(site.world.requests).toEqual([]);
    expect(site.log.filter(({ level }) => level === 'error' || level === 'warn')).toEqual([]);
    expect((await site.get('/-/healthy')).status).toBe(200);
    expect((await site.get('/api/v1/admin/actions', { as: 'all' })).status).toBe(200);
    expect(({} as { polluted?: unknown }).polluted).toBeUndefined();
  } finally {
    await sites.close();
  }
});

const JSON_TYPE = { 'Content-Type': 'application/json' };
const PAUSE = '/api/v1/admin/pause';
const LISBOA = '/api/v1/admin/interfaces/Site-Lisboa/reconnect';

/** Percent-encoded, as they go onto the wire. */
const NAMES = [
  '%5C%5Cevil',
  '%5C%5Cevil%5Cpipe%5Cspoolss',
  '%5C%5C%3F%5CC%3A%5CWindows',
  'evil.example.net',
  '203.0.113.9',
  'http%3A%2F%2Fevil',
  '..',
  '%2e%2e',
  '.',
  '..%2F..%2Fpause',
  '%2F',
  'Site%2FLisboa',
  'Site-Lisboa%2F',
  '%252F',
  '%00',
  'Site-Lisboa%00',
  'Site-Lisboa%0A',
  '%0D%0AX%3A%20y',
  '%20Site-Lisboa',
  'Site-Lisboa%20',
  'Site-Lisboa.',
  'Site-Lisboa%E2%80%8B',
  'site-lisboa',
  'SITE-LISBOA',
  '%EF%BC%B3ite-Lisboa',
  'Site%E2%80%91Lisboa',
  'Site-L%C4%B1sboa',
  'S%D1%96te-Lisboa',
  'Branch%20Ko%CC%88ln',
  '%F0%9F%92%A3',
  '*',
  'Site-*',
  '%3F',
  '%3Cscript%3E',
  '%22',
  "'%3B--",
  '$%7Bjndi%3Aldap%3A%2F%2Fevil%7D',
  '__proto__',
  'constructor',
  'toString',
  'null',
  '-1',
  '0000000000000000',
  '0x0123456789abcd',
  '0123456789ABCDEF',
];
/** No interface can have them: they are not even compared. */
const LONG_NAMES = ['x'.repeat(300), '%C3%B6'.repeat(2000)];

const MALFORMED = ['%', '%2', '%zz', '%ff', '%C3', '%C3%28', '%ED%A0%80', '%c0%af', 'Site%-Lisboa', '%u0041'];

const PLACES: readonly (readonly [string, (name: string) => string, object])[] = [
  ['reconnect', (name) => `/api/v1/admin/interfaces/${name}/reconnect`, REASON],
  ['disconnect', (name) => `/api/v1/admin/interfaces/${name}/disconnect`, REASON],
  ['reset', (name) => `/api/v1/admin/interfaces/${name}/reset`, REASON],
  ['endpoint', (name) => `/api/v1/admin/connections/${name}/endpoint`, ENDPOINT],
  ['hang up', (name) => `/api/v1/admin/connections/${name}/disconnect`, REASON],
];

describe('A4 a name', () => {
  test.each(PLACES)('that the server does not have is 404 (%s)', async (_, pathOf, json) => {
    await open();
    for (const name of NAMES) {
      const reason = 'line\u0000\u001b\ud800\n';
      const answer = await site.post(pathOf(name), { as: 'all', json: { ...json, reason } });
      expect({ name, answer: bare(answer) }).toEqual({ name, answer: [404, 'not_found'] });
      // eslint-disable-next-line no-control-regex -- none of them may come back
      expect(answer.text).not.toMatch(/[\u0000-\u001f\u007f-\u009f]|\\[nu]/);
      expect(site.world.requests).toEqual([]);
    }
    for (const line of await site.audit()) expect(JSON.stringify(line)).not.toContain('\n');
  });

  test.each(PLACES)('that is longer than any may be is refused (%s)', async (_, pathOf, json) => {
    await open();
    for (const name of LONG_NAMES) {
      const { status, text } = await site.post(pathOf(name), { as: 'all', json });
      expect([403, 404]).toContain(status);
      expect(text.length).toBeLessThan(1000);
      expect((await site.get(`/api/v1/admin/actions/${name}`, { as: 'all' })).status).toBe(404);
    }
    expect(site.world.requests).toEqual([]);
  });

  test.each(PLACES)('that is not properly percent-encoded is 400 (%s)', async (_, pathOf, json) => {
    await open();
    for (const name of MALFORMED) {
      const answer = await site.post(pathOf(name), { as: 'all', json });
      expect({ name, answer: bare(answer) }).toEqual({ name, answer: [400, 'bad_data'] });
    }
    expect(touched(site)).toEqual(UNTOUCHED);
  });

  test.each(PLACES)('that is empty or of two parts is no route (%s)', async (_, pathOf, json) => {
    await open();
    for (const name of ['', 'a/b', '../..']) {
      expect(bare(await site.post(pathOf(name), { as: 'all', json }))).toEqual([404, 'not_found']);
    }
    expect(touched(site)).toEqual(UNTOUCHED);
  });

  test('of bytes that are no ASCII is refused', async () => {
    await open();
    const bytes = Buffer.from(
      requestOf('POST', LISBOA.replace('Lisboa', 'Lisbo\xe1'), { Authorization: `Bearer ${tokenOf('all')}` }),
      'latin1',
    );
    expect(await site.raw(bytes)).toMatch(/^HTTP\/1\.1 4\d\d /);
  });

  test('of an action that is not there is 404', async () => {
    await open();
    for (const name of NAMES) {
      const answer = await site.get(`/api/v1/admin/actions/${name}`, { as: 'all' });
      expect({ name, answer: bare(answer) }).toEqual({ name, answer: [404, 'not_found'] });
    }
    for (const name of MALFORMED) {
      expect((await site.get(`/api/v1/admin/actions/${name}`, { as: 'all' })).status).toBe(400);
    }
    expect(touched(site)).toEqual(UNTOUCHED);
  });

  test('of a server is 404, as none is configured, and is never dialled', async () => {
    await open();
    for (const server of [
      'x',
      '',
      '%5C%5Cevil',
      'localhost',
      '127.0.0.1',
      'a&server=b',
      'x&wait=1s',
      '__proto__',
    ]) {
      for (const path of [LISBOA, PAUSE, '/api/v1/hooks/alertmanager', '/api/v1/hooks/grafana']) {
        const answer = await site.post(`${path}?server=${server}`, { as: 'all', json: REASON });
        expect({ path, server, answer: bare(answer) }).toEqual({ path, server, answer: [404, 'not_found'] });
      }
      for (const path of ['/api/v1/admin/actions', '/api/v1/admin/actions/1']) {
        expect(bare(await site.get(`${path}?server=${server}`, { as: 'all' }))).toEqual([404, 'not_found']);
      }
    }
    expect(touched(site)).toEqual(UNTOUCHED);
  });
});

const reasonOf = (length: number): string => JSON.stringify({ reason: 'x'.repeat(length) });
/** JSON of so many bytes. */
const padded = (bytes: number): string => JSON.stringify(REASON).padEnd(bytes);
const BODY = JSON.stringify(REASON);

describe('H5 a body', () => {
  type Case = readonly [what: string, status: number, asked: Asked, error: RegExp];
  const body = (what: string, text: string | Buffer, error: RegExp): Case => [
    what,
    400,
    { body: text, headers: JSON_TYPE },
    error,
  ];
  const typed = (type: string): Case => [
    `of type ${JSON.stringify(type)}`,
    415,
    { body: BODY, headers: { 'Content-Type': type } },
    /application\/json/,
  ];
  const coded = (coding: string, bytes: Buffer): Case => [
    `encoded as ${JSON.stringify(coding)}`,
    415,
    { body: bytes, headers: { ...JSON_TYPE, 'Content-Encoding': coding } },
    /compressed/,
  ];

  test.each<Case>([
    ['that is missing', 415, {}, /application\/json/],
    ['that is missing, with its type', 400, { headers: JSON_TYPE }, /empty/],
    ['without a type', 415, { body: BODY }, /application\/json/],
    typed(''),
    typed('text/plain'),
    typed('text/json'),
    typed('application/x-www-form-urlencoded'),
    typed('application/jsonp'),
    typed('application/json-patch+json'),
    typed('application/json, text/plain'),
    typed('application/json; charset=iso-8859-1'),
    typed('application/json; charset=utf-16'),
    typed('application/json; charset=utf-8; charset=utf-16'),
    typed('application/json; profile=x'),
    coded('gzip', gzipSync(BODY)),
    coded('x-gzip', gzipSync(BODY)),
    coded('deflate', deflateSync(BODY)),
    coded('br', brotliCompressSync(BODY)),
    coded('gzip, identity', gzipSync(BODY)),
    coded('identity, gzip', gzipSync(BODY)),
    body('of white space', '  \n', /not JSON/),
    body('that breaks off', '{"reason":"a', /not JSON/),
    body('that goes on', `${BODY}x`, /not JSON/),
    body('of two values', `${BODY}${BODY}`, /not JSON/),
    body('that is a comment', '// {}', /not JSON/),
    body('with a comma too many', '{"reason":"a",}', /not JSON/),
    body('with NaN', '{"reason":NaN}', /not JSON/),
    body('with a raw line feed in a text', '{"reason":"a\nb"}', /not JSON/),
    body('with a byte order mark', `\ufeff${BODY}`, /byte order mark/),
    body('that is not UTF-8', Buffer.from('{"reason":"\xff"}', 'latin1'), /UTF-8/),
    body('in Latin-1', Buffer.from('{"reason":"Köln"}', 'latin1'), /UTF-8/),
    body('with a surrogate as CESU-8 has it', Buffer.from('{"reason":"\xed\xa0\x80"}', 'latin1'), /UTF-8/),
    body('in UTF-16', Buffer.from(BODY, 'utf16le'), /not JSON/),
    body('that is null', 'null', /expected object/),
    body('that is a number', '1', /expected object/),
    body('that is a text', '"reason"', /expected object/),
    body('that is a list', `[${BODY}]`, /expected object/),
    body('that is an empty list', '[]', /expected object/),
    body('that is empty JSON', '{}', /reason/),
    body('50,000 lists deep', '['.repeat(50_000), /deeper than 16/),
    body('50,000 lists deep and back', `${'['.repeat(25_000)}${']'.repeat(25_000)}`, /deeper than 16/),
    body('10,000 objects deep', '{"a":'.repeat(10_000), /deeper than 16/),
    body('17 deep', `{"reason":${'['.repeat(16)}${']'.repeat(16)}}`, /deeper than 16/),
    body('16 deep', `{"reason":${'['.repeat(15)}${']'.repeat(15)}}`, /reason/),
    ['of 65,537 bytes', 413, { body: padded(65_537), headers: JSON_TYPE }, /65536 bytes/],
    ['of 1 MiB', 413, { body: padded(1024 * 1024), headers: JSON_TYPE }, /65536 bytes/],
    ['of 20 MB', 413, { body: padded(20_000_000), headers: JSON_TYPE }, /65536 bytes/],
    [
      'of 65,537 bytes that does not tell its length',
      413,
      { chunks: [Buffer.from(padded(65_536)), Buffer.from(' ')], headers: JSON_TYPE },
      /65536 bytes/,
    ],
    [
      'of 1 MiB that does not tell its length',
      413,
      { chunks: Array.from({ length: 64 }, () => Buffer.alloc(16 * 1024, ' ')), headers: JSON_TYPE },
      /65536 bytes/,
    ],
  ])('%s is refused with %i', async (_, status, asked, error) => {
    await open();
    const answer = await site.post(PAUSE, { as: 'all', ...asked });
    expect(bare(answer)).toEqual([status, 'bad_data']);
    expect(answer.json.error).toMatch(error);
    expect(touched(site)).toEqual(UNTOUCHED);
    expect(site.service.paused.paused).toBe(false);
  });

  test.each<readonly [string, Asked]>([
    [
      'with the charset UTF-8',
      { body: BODY, headers: { 'Content-Type': 'application/json; charset=utf-8' } },
    ],
    [
      'with a charset in quotes',
      { body: BODY, headers: { 'Content-Type': 'APPLICATION/JSON;charset="UTF-8"' } },
    ],
    ['not encoded, and saying so', { body: BODY, headers: { ...JSON_TYPE, 'Content-Encoding': 'identity' } }],
    ['of 65,536 bytes', { body: padded(65_536), headers: JSON_TYPE }],
    [
      'of 65,536 bytes in chunks',
      { chunks: [Buffer.from(padded(65_535)), Buffer.from(' ')], headers: JSON_TYPE },
    ],
    [
      'of one byte at a time',
      { chunks: Array.from(Buffer.from(BODY), (byte) => Buffer.of(byte)), headers: JSON_TYPE },
    ],
    ['with the longest reason', { body: reasonOf(500), headers: JSON_TYPE }],
    ['with any text for a reason', { json: { reason: 'Köln 💣 \u0000 \ud800 "\\\n' } }],
  ])('%s is taken', async (_, asked) => {
    await open();
    const answer = await site.post(PAUSE, { as: 'all', ...asked });
    expect(answer.status).toBe(200);
    expect(answer.text).not.toMatch(/\\[nu]/);
    const resumed = site.log.map(({ level, message }) => `${level}: ${message}`);
    expect(resumed).toEqual(['warn: actions are paused']);
    (site.log as unknown[]).length = 0;
  });

  const post = (length: string, text: string): string =>
    requestOf('POST', PAUSE, {
      Authorization: `Bearer ${tokenOf('all')}`,
      ...JSON_TYPE,
      Connection: 'keep-alive',
      'Content-Length': length,
    }) + text;

  test('that is longer than it says is cut there, and the rest is no second request', async () => {
    await open();
    const said = await site.raw(post('5', `${BODY}${post(String(BODY.length), BODY)}`));
    expect(new Set(said.match(/HTTP\/1\.1 \d+/g))).toEqual(new Set(['HTTP/1.1 400']));
    expect(site.service.paused.paused).toBe(false);
  });

  test('that says it is too long is 413 at once, however little of it comes', async () => {
    await open();
    expect(await site.raw(post('65537', '{'), 'may have 65536 bytes')).toMatch(/^HTTP\/1\.1 413 /);
    expect(await site.raw(post('99999999999999', ''), 'may have 65536 bytes')).toMatch(/^HTTP\/1\.1 413 /);
  });

  test.each(['-1', '1.5', '1e3', '0x10', '5, 5', 'x', '99999999999999999999999'])(
    'whose length is %s is 400',
    async (length) => {
      await open();
      expect(await site.raw(post(length, BODY))).toMatch(/^HTTP\/1\.1 400 /);
      expect(site.service.paused.paused).toBe(false);
    },
  );

  test('that breaks off is nothing to complain of in the log, and nothing is done', async () => {
    await open();
    for (let i = 0; i < 5; i += 1) {
      await new Promise<void>((resolve) => {
        const socket = connect(site.port, '127.0.0.1', () => {
          socket.write(post('1000', BODY), () => socket.destroy());
        });
        socket.on('close', () => resolve());
      });
    }
    await expect.poll(async () => (await site.counts())['pause/invalid']).toBe(5);
    expect(touched(site)).toEqual(UNTOUCHED);
  });

  test('that never ends is let go of soon after it was refused, also by who does not say how long it is', async () => {
    await open();
    const endless = post('0', `10000\r\n${' '.repeat(65_536)}\r\n1\r\n `).replace(
      'Content-Length: 0',
      'Transfer-Encoding: chunked',
    );
    const refused = Promise.all([site.raw(post('1000000', '{')), site.raw(endless)]);
    await expect.poll(async () => (await site.counts())['pause/invalid']).toBe(2);
    await site.clock.advance(2000);
    for (const said of await refused) expect(said.match(/HTTP\/1\.1 \d+/g)).toEqual(['HTTP/1.1 413']);
  });

  test('that goes on and on after it was refused is cut off', async () => {
    await open();
    const head = post('1000000000', '');
    const sent = await new Promise<number>((resolve) => {
      let bytes = 0;
      const socket = connect(site.port, '127.0.0.1');
      socket.on('error', () => undefined);
      socket.on('close', () => resolve(bytes));
      const chunk = Buffer.alloc(65_536, ' ');
      const next = (): void => {
        bytes += chunk.length;
        if (bytes < 60_000_000) socket.write(chunk, (error) => error ?? next());
        else socket.destroy();
      };
      socket.write(head, next);
    });
    expect(sent).toBeLessThan(40_000_000);
  });
});

describe('H6 a key', () => {
  test.each([
    '{"__proto__":{"polluted":1},"reason":"a"}',
    '{"\\u005f_proto__":{"polluted":1},"reason":"a"}',
    '{"constructor":{"prototype":{"polluted":1}},"reason":"a"}',
    '{"prototype":1,"reason":"a"}',
    '{"reason":{"__proto__":{"polluted":1}}}',
    '{"reason":[[{"constructor":1}]]}',
  ])('by which prototypes are reached is 400: %s', async (body) => {
    await open();
    for (const path of [PAUSE, LISBOA, '/api/v1/hooks/alertmanager', '/api/v1/hooks/grafana']) {
      const answer = await site.post(path, { as: 'all', body, headers: JSON_TYPE });
      expect(bare(answer)).toEqual([400, 'bad_data']);
      expect(answer.json.error).toMatch(/__proto__|constructor|prototype/);
    }
    expect(touched(site)).toEqual(UNTOUCHED);
  });

  test('that is not known is 400, and named', async () => {
    await open();
    const { ikev2 } = await idsOf(site);
    for (const [path, known] of [
      [PAUSE, REASON],
      ['/api/v1/admin/resume', REASON],
      [LISBOA, REASON],
      ['/api/v1/admin/interfaces/Site-Lisboa/disconnect', REASON],
      ['/api/v1/admin/interfaces/Site-Lisboa/reset', REASON],
      [`/api/v1/admin/connections/${ikev2}/endpoint`, ENDPOINT],
      [`/api/v1/admin/connections/${ikev2}/disconnect`, REASON],
    ] as const) {
      for (const key of ['Reason', 'server', 'host', 'interface', 'toString', 'x'.repeat(2000)]) {
        const answer = await site.post(path, { as: 'all', json: { ...known, [key]: 'vpn2' } });
        expect({ path, key, answer: bare(answer) }).toEqual({ path, key, answer: [400, 'bad_data'] });
        expect(answer.json.error).toContain(key.slice(0, 400));
        expect(answer.text.length).toBeLessThan(700);
      }
    }
    expect(touched(site)).toEqual(UNTOUCHED);
  });
});

describe('a value', () => {
  const refused = async (path: string, json: unknown, key: string): Promise<void> => {
    const answer = await site.post(path, { as: 'all', json });
    expect({ json, answer: bare(answer) }).toEqual({ json, answer: [400, 'bad_data'] });
    expect(answer.json.error).toContain(key);
  };

  test('for the reason must be a text that says something', async () => {
    await open();
    for (const reason of [undefined, null, '', '   ', '\n', 1, true, ['a'], { a: 1 }, 'x'.repeat(501)]) {
      for (const path of [PAUSE, LISBOA]) await refused(path, { reason }, 'reason');
    }
    expect(touched(site)).toEqual(UNTOUCHED);
  });

  test('for force and override must be what is offered', async () => {
    await open();
    for (const force of ['true', 1, null, []]) await refused(LISBOA, { ...REASON, force }, 'force');
    for (const override of [
      'cooldown',
      null,
      ['busy'],
      ['rate'],
      ['denied'],
      ['audit'],
      ['*'],
      [['cooldown']],
      Array.from({ length: 4 }, () => 'cooldown'),
    ]) {
      await refused(LISBOA, { ...REASON, override }, 'override');
    }
    const disconnect = '/api/v1/admin/interfaces/Site-Berlin/disconnect';
    await refused(disconnect, { ...REASON, force: true }, 'force');
    expect(touched(site)).toEqual(UNTOUCHED);
  });

  test('A4 for an endpoint must be two addresses of one family and an interface', async () => {
    await open();
    const { ikev2 } = await idsOf(site);
    const path = `/api/v1/admin/connections/${ikev2}/endpoint`;
    for (const address of [
      '',
      'evil.example.net',
      'localhost',
      '203.0.113',
      '203.0.113.256',
      '203.0.113.09',
      '0x7f000001',
      '2130706433',
      '203.0.113.9/24',
      '203.0.113.9:500',
      ' 203.0.113.9',
      '203.0.113.9\u0000',
      '２０３.0.113.9',
      '\\\\evil',
      '[2001:db8::1]',
      '2001:db8::1%eth0',
      '2001:db8:::1',
      ':::',
      1,
      null,
      ['203.0.113.9'],
    ]) {
      await refused(path, { ...ENDPOINT, remoteAddress: address }, 'remoteAddress');
      await refused(path, { ...ENDPOINT, localAddress: address }, 'localAddress');
    }
    await refused(path, { ...ENDPOINT, localAddress: '2001:db8::1' }, 'both IPv4 or both IPv6');
    await refused(path, { ...ENDPOINT, remoteAddress: '2001:db8::1' }, 'both IPv4 or both IPv6');
    for (const interfaceIndex of [0, -1, 1.5, 2 ** 32, '12', null, undefined]) {
      await refused(path, { ...ENDPOINT, interfaceIndex }, 'interfaceIndex');
    }
    for (const key of ['localAddress', 'remoteAddress']) {
      await refused(path, { ...ENDPOINT, [key]: undefined }, key);
    }
    expect(touched(site)).toEqual(UNTOUCHED);
    for (const remoteAddress of [
      '::ffff:203.0.113.9',
      '::1',
      '0.0.0.0',
      '127.0.0.1',
      '169.254.169.254',
      '224.0.0.1',
    ]) {
      const localAddress = remoteAddress.includes(':') ? '2001:db8::1' : '198.51.100.7';
      const answer = await site.post(path, { as: 'all', json: { ...ENDPOINT, localAddress, remoteAddress } });
      expect({ remoteAddress, answer: bare(answer) }).toEqual({ remoteAddress, answer: [403, 'denied'] });
    }
  });
});

describe('a query', () => {
  test.each([
    '',
    'x',
    '-1',
    '1.5',
    '121',
    '121s',
    '1000s',
    '1e3',
    '30m',
    '500ms',
    ' 30',
    '30 s',
    '%00',
    '٣',
    'Infinity',
  ])('that asks to wait for %j is 400', async (wait) => {
    await open();
    const answer = await site.post(`${LISBOA}?wait=${encodeURIComponent(wait)}`, { as: 'all', json: REASON });
    expect(bare(answer)).toEqual([400, 'bad_data']);
    expect(answer.json.error).toContain('wait');
    expect(touched(site)).toEqual(UNTOUCHED);
  });

  test.each([
    'wait=1s&wait=2s',
    'wait[]=1s',
    'wait.a=1',
    'Wait=1s',
    'x=y',
    'wait=1s&x=y',
    '__proto__=1',
    'constructor',
    '%ff',
    '=',
    'x'.repeat(2000),
  ])('?%s is 400', async (query) => {
    await open();
    const answer = await site.post(`${LISBOA}?${query}`, { as: 'all', json: REASON });
    expect(bare(answer)).toEqual([400, 'bad_data']);
    expect(answer.text.length).toBeLessThan(400);
    expect(touched(site)).toEqual(UNTOUCHED);
  });

  test('that asks to wait is 400 where there is nothing to wait for', async () => {
    await open();
    for (const path of [
      PAUSE,
      '/api/v1/admin/resume',
      '/api/v1/admin/interfaces/Site-Lisboa/reset',
      '/api/v1/hooks/alertmanager',
      '/api/v1/hooks/grafana',
    ]) {
      expect(bare(await site.post(`${path}?wait=1s`, { as: 'all', json: REASON }))).toEqual([
        400,
        'bad_data',
      ]);
    }
    expect(bare(await site.get('/api/v1/admin/actions/1?wait=1s', { as: 'all' }))).toEqual([400, 'bad_data']);
    expect(touched(site)).toEqual(UNTOUCHED);
  });
});

describe('a method', () => {
  test.each(ADMIN_ROUTES)(
    'that the route "$name" does not have is 405 and told which it has',
    async ({ ask }) => {
      await open();
      // The route's own request, to learn where it goes.
      const asked: { method: string; path: string }[] = [];
      const spy = {
        world: site.world,
        get: (path: string) => asked.push({ method: 'GET', path }),
        post: (path: string) => asked.push({ method: 'POST', path }),
      };
      await ask(spy as unknown as AdminSite, {});
      const { method, path } = asked[0]!;
      const allowed = method === 'GET' ? ['GET', 'HEAD'] : ['POST'];
      site.world.forgetCalls();
      for (const other of ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'TRACE', 'PROPFIND']) {
        if (allowed.includes(other)) continue;
        const answer: AdminAnswer = await site.send(other, path, {
          as: 'all',
          ...(other !== 'HEAD' && other !== 'TRACE' && { json: REASON }),
        });
        expect({ other, status: answer.status }).toEqual({ other, status: 405 });
        expect(answer.headers.allow).toBe(allowed.join(', '));
        if (other !== 'HEAD') expect(answer.json.errorType).toBe('bad_data');
      }
      expect(touched(site)).toEqual(UNTOUCHED);
    },
  );

  test('in a header counts for nothing', async () => {
    await open();
    const headers = {
      'X-HTTP-Method-Override': 'POST',
      'X-HTTP-Method': 'POST',
      'X-Method-Override': 'POST',
    };
    expect((await site.send('GET', PAUSE, { as: 'all', headers })).status).toBe(405);
    expect(site.service.paused.paused).toBe(false);
  });
});
