/**
 * L6: what a privacy mode hides is in nothing that the built program lets out: its answers with their headers, its log,
 * its recordings. Everything is searched for every name and address that the simulated office has.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import ipaddr from 'ipaddr.js';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { ADDRESS_MODES, USER_MODES } from '../../src/metrics/privacy.ts';
import { SCENARIOS } from '../../src/native/simulator/scenarios.ts';
import { createSimulator } from '../../src/native/simulator/server.ts';
import { PSEUDONYM_KEY } from '../../src/runtime/storage.ts';
import { FakeClock } from '../doubles/fake-clock.ts';
import { IKEV2, PPP, PROJECTION_TYPE } from '../native/record-builder.ts';
import { connect, readAll, type Rec } from '../native/simulator/records.ts';
import { buildIfStale, endAll, Program, until } from './program.ts';

const SCENARIO = 'office';
/** As in src/native/open-api.ts. */
const SEED = 1;
/** No simulated server here becomes older than this; it is checked. */
const WINDOW_MS = 60_000;
/** Only an address that a client roams to in its last second may be overlooked. */
const STEP_MS = 1000;
const MODES = USER_MODES.flatMap((users) => ADDRESS_MODES.map((addresses) => [users, addresses] as const));
/** Names that are nobody's, and stay. */
const SITES = ['Site-Berlin', 'Branch Köln', 'Lager Süd'] as const;
const HOSTS = SCENARIOS[SCENARIO].links.map(({ host }) => host);

/** Texts that a server shows at some time within the window, and those among them that it shows at any time. */
class Texts {
  readonly ever = new Set<string>();
  readonly #timesSeen = new Map<string, number>();
  #looks = 0;

  /** What is seen at one moment. */
  look(texts: readonly string[]): void {
    this.#looks += 1;
    for (const text of new Set(texts.filter((each) => each !== ''))) {
      this.ever.add(text);
      this.#timesSeen.set(text, (this.#timesSeen.get(text) ?? 0) + 1);
    }
  }

  get always(): string[] {
    return [...this.ever].filter((text) => this.#timesSeen.get(text) === this.#looks);
  }
}

const users = new Texts();
const domains = new Texts();
const computers = new Texts();
const clientInterfaces = new Texts();
const outerAddresses = new Texts();
const tunnelAddresses = new Texts();
const NAMES = { users, domains, computers, clientInterfaces };
const ADDRESSES = { outerAddresses, tunnelAddresses };
/** In whatever form they may get out: also the parts of a name, and every way to write an address. */
const hiddenNames = new Set<string>();
const hiddenAddresses = new Set<string>(HOSTS);

const folder = mkdtempSync(join(tmpdir(), 'rras-exporter-privacy-e2e-'));
const storage = join(folder, 'storage');

beforeAll(buildIfStale);
beforeAll(collectTruth);
afterEach(endAll);
afterAll(() => rmSync(folder, { recursive: true }));

/** The same server as the program's, in this process, and its records as the tests' own decoder reads them. */
async function collectTruth(): Promise<void> {
  const clock = new FakeClock();
  const simulator = createSimulator({ scenario: SCENARIO, seed: SEED, clock });
  const handle = await connect(simulator);
  for (let ms = 0; ms <= WINDOW_MS; ms += STEP_MS) {
    const records = await readAll(simulator, handle, 'level4');
    const textsAt = (path: string): string[] => records.map((rec) => rec.text(path));
    // `CORP\anna` is shown as two.
    users.look(textsAt('wszUserName').map((name) => name.slice(name.indexOf('\\') + 1)));
    domains.look(textsAt('wszLogonDomain'));
    computers.look(textsAt('wszRemoteComputer'));
    const clients = records.filter((rec) => rec.u32('dwInterfaceType') === 0);
    clientInterfaces.look(clients.map((rec) => rec.text('wszInterfaceName')));
    outerAddresses.look([...textsAt('wszRemoteEndpointAddress'), ...textsAt('wszLocalEndpointAddress')]);
    tunnelAddresses.look(records.flatMap(tunnelAddressesOf));
    for (const name of textsAt('wszUserName')) {
      for (const text of [name, ...name.split(/[\\@]/)]) hiddenNames.add(text);
    }
    // The server's own end of the tunnel: shown in no mode, and hidden all the same.
    for (const rec of records) hiddenAddresses.add(rec.text(`${memberOf(rec)}.wszAddress`));
    // What the server knows of itself has nobody who is in no record.
    for (const { user, domain } of simulator.liveSessions()) {
      expect([user, domain].filter((name) => name !== '' && !records.some(bears(name)))).toEqual([]);
    }
    await clock.advance(STEP_MS);
  }
  for (const { ever } of Object.values(NAMES)) for (const text of ever) hiddenNames.add(text);
  hiddenNames.delete('');
  hiddenAddresses.delete('');
  for (const { ever } of Object.values(ADDRESSES)) {
    for (const text of ever) for (const form of formsOf(text)) hiddenAddresses.add(form);
  }
}

const bears = (name: string) => (rec: Rec) =>
  [rec.text('wszUserName'), rec.text('wszLogonDomain')].includes(name);

const memberOf = (rec: Rec): string => (rec.u8(PROJECTION_TYPE) === 2 ? IKEV2 : PPP);

/** Of the client. */
function tunnelAddressesOf(rec: Rec): string[] {
  const member = memberOf(rec);
  const bytes = [
    ...Buffer.from(rec.hex(`${member}.bPrefix`), 'hex'),
    ...Buffer.from(rec.hex(`${member}.bRemoteInterfaceIdentifier`), 'hex'),
  ];
  const hasV6 = bytes.some((byte) => byte !== 0);
  return [rec.text(`${member}.wszRemoteAddress`), hasV6 ? new ipaddr.IPv6(bytes).toRFC5952String() : ''];
}

function formsOf(address: string): string[] {
  const parsed = ipaddr.parse(address);
  if (!(parsed instanceof ipaddr.IPv6)) return [address];
  const digits = Buffer.from(parsed.toByteArray()).toString('hex');
  const padded = digits.match(/.{4}/g)!.join(':');
  return [address, parsed.toRFC5952String(), parsed.toNormalizedString(), padded, digits];
}

/** As it stands in any of the formats: metrics, JSON, HTML, a URL, a quoted value of the log. */
const writingsOf = (text: string): Set<string> =>
  new Set([
    text,
    JSON.stringify(text).slice(1, -1),
    text.replaceAll('&', '&amp;').replaceAll("'", '&#39;').replaceAll('<', '&lt;').replaceAll('"', '&quot;'),
    encodeURIComponent(text),
  ]);

const found = (texts: Iterable<string>, where: string): string[] =>
  [...texts].filter((text) => [...writingsOf(text)].some((writing) => where.includes(writing)));

const missing = (texts: Iterable<string>, where: string): string[] => {
  const there = new Set(found(texts, where));
  return [...texts].filter((text) => !there.has(text));
};

const METRICS = ['text', 'openmetrics'] as const;
const CONNECTIONS = '/api/v1/connections';
const OTHERS = ['/', '/api/v1/status', '/api/v1/interfaces', '/-/ready', '/-/healthy', '/no/such/page'];

/** Everything that a program lets out from its start to its end, by what it is. */
async function everythingOf(...flags: string[]): Promise<Record<string, string>> {
  const started = performance.now();
  const program = await Program.serve(
    `--storage.path=${storage}`,
    '--log.level=debug',
    '--collector.min-interval=0s',
    '--collector.users',
    ...flags,
  );
  const get = async (path: string, headers: Readonly<Record<string, string>> = {}): Promise<string> => {
    const answer = await program.get(path, { headers });
    return `${JSON.stringify(answer.headers)}\n${answer.text}`;
  };
  const out: Record<string, string> = {};
  for (const format of METRICS) {
    out[format] = await get(
      '/metrics',
      format === 'text' ? {} : { Accept: 'application/openmetrics-text; version=1.0.0' },
    );
  }
  expect(out['openmetrics']).toMatch(/# EOF\n$/);
  out[CONNECTIONS] = '';
  let pages = 0;
  for (let cursor: string | undefined = ''; cursor !== undefined; pages += 1) {
    const text = await get(`${CONNECTIONS}?limit=40&cursor=${cursor}`);
    out[CONNECTIONS] += text;
    cursor = /"nextCursor":"(\w+)"/.exec(text)?.[1];
  }
  expect(pages).toBeGreaterThan(2);
  for (const path of OTHERS) out[path] = await get(path);
  // The log tells most of what goes wrong, and so do these then.
  process.kill(program.nativeHost(), 'SIGKILL');
  await until('the loss of the native host is logged', async () => {
    out['metrics without a host'] = await get('/metrics');
    return program.log.includes('level=warn msg="native host');
  });
  for (const path of OTHERS) out[`${path} without a host`] = await get(path);
  const { code, stdout, stderr } = await program.end();
  expect({ code, stdout }).toEqual({ code: 0, stdout: '' });
  expect(performance.now() - started).toBeLessThan(WINDOW_MS);
  out['log'] = stderr;
  return out;
}

/** Which of the texts are in which of the outputs. */
const leaks = (texts: Iterable<string>, out: Readonly<Record<string, string>>): Record<string, string[]> =>
  Object.fromEntries(
    Object.entries(out)
      .map(([where, text]) => [where, found(texts, text)] as const)
      .filter(([, hits]) => hits.length > 0),
  );

const only = (out: Readonly<Record<string, string>>, ...keys: string[]): Record<string, string> =>
  Object.fromEntries(Object.entries(out).filter(([key]) => keys.includes(key)));

/** The pages that show connections one by one. */
const DETAILED = [...METRICS, CONNECTIONS];

describe('the truth that is searched for', () => {
  test('L6 holds everybody of the office, and most of them at any time', () => {
    for (const texts of Object.values({ ...NAMES, ...ADDRESSES })) {
      expect(texts.always.length).toBeGreaterThan(texts === domains ? 2 : 60);
    }
    expect(hiddenNames.size).toBeGreaterThan(250);
    expect(hiddenAddresses.size).toBeGreaterThan(200);
  });

  test('L6 is found in whatever way a text is written', () => {
    const name = "CORP\\Anna.O'Brien";
    for (const text of [
      `user="${name.replace('\\', '\\\\')}"`,
      JSON.stringify({ name }),
      `<td>CORP\\Anna.O&#39;Brien</td>`,
      `/api/${encodeURIComponent(name)}`,
      `msg="of ${name}"`,
    ]) {
      expect(found([name, 'anna', 'Ελένη'], text)).toEqual([name]);
    }
    expect(missing([name, 'Ελένη'], `"${name}"`)).toEqual(['Ελένη']);
    expect(formsOf('2001:db8:1:0::5')).toContain('2001:db8:1::5');
  });
});

describe('the program', () => {
  test.each(MODES)(
    'L6 with users %s and addresses %s lets out no name and no address that is hidden',
    async (userMode, addressMode) => {
      const out = await everythingOf(
        `--privacy.users=${userMode}`,
        `--privacy.addresses=${addressMode}`,
        '--rras.simulate=office',
      );
      const detailed = only(out, ...DETAILED);
      expect(Object.keys(detailed)).toEqual(DETAILED);
      const rest = Object.fromEntries(Object.entries(out).filter(([where]) => !DETAILED.includes(where)));

      if (userMode !== 'plain') expect(leaks(hiddenNames, out)).toEqual({});
      if (addressMode !== 'plain') expect(leaks(hiddenAddresses, out)).toEqual({});
      const key = join(storage, PSEUDONYM_KEY);
      if ([userMode, addressMode].includes('pseudonym')) {
        expect(leaks([readFileSync(key, 'utf8').trim()], out)).toEqual({});
      }
      // What shows no connections has no name in any mode.
      delete rest['metrics without a host'];
      expect(leaks([...hiddenNames, ...hiddenAddresses], rest)).toEqual({});

      // The search finds what is there: everybody where names are plain, and the sites in every mode.
      for (const [where, text] of Object.entries(detailed)) {
        for (const [what, texts] of Object.entries(userMode === 'plain' ? NAMES : {})) {
          expect({ where, what, missing: missing(texts.always, text) }).toEqual({ where, what, missing: [] });
        }
        for (const [what, texts] of Object.entries(addressMode === 'plain' ? ADDRESSES : {})) {
          expect({ where, what, missing: missing(texts.always, text) }).toEqual({ where, what, missing: [] });
        }
      }
      for (const where of [...METRICS, '/', '/api/v1/interfaces']) {
        expect({ where, missing: missing(SITES, out[where]!) }).toEqual({ where, missing: [] });
      }
      // As many connections as ever, whatever is shown of them.
      const infos = out['text']!.match(/^rras_connection_info\{/gm)?.length;
      expect(infos).toBeGreaterThan(users.always.length);
      expect(out['log']).toMatch(/level=warn msg="native host.*\n(?:.*\n)*.*msg=bye/);
    },
  );
});

/** A recording as its lines without bytes, and the bytes. */
function partsOf(path: string): { readonly text: string; readonly bytes: Buffer } {
  const lines = gunzipSync(readFileSync(path)).toString().trimEnd().split('\n');
  const calls = lines.map((line) => JSON.parse(line) as { bytes?: string });
  return {
    text: calls.map((call) => JSON.stringify({ ...call, bytes: undefined })).join('\n'),
    bytes: Buffer.concat(calls.map(({ bytes = '' }) => Buffer.from(bytes, 'base64'))),
  };
}

describe('a recording', () => {
  test.each([
    ['plain', 'plain'],
    ['pseudonym', 'pseudonym'],
  ] as const)(
    'L6 made with users %s and addresses %s has nobody in it, nor has what is played back of it in plain',
    async (userMode, addressMode) => {
      const path = join(folder, `${userMode}.rec`);
      const recorded = await new Program([
        'record',
        path,
        '--rras.simulate=office',
        '--record.duration=1s',
        '--log.level=debug',
        `--storage.path=${storage}`,
        `--privacy.users=${userMode}`,
        `--privacy.addresses=${addressMode}`,
      ]).ended;
      expect(recorded.code).toBe(0);
      const { text, bytes } = partsOf(path);
      const hidden = [...hiddenNames, ...hiddenAddresses];
      // As bytes: a search for UTF-16 text would look at even places only. Fewer than 6 may be those of a number.
      const inBytes = (each: string): boolean =>
        (['utf16le', 'utf8'] as const)
          .map((encoding) => Buffer.from(each, encoding))
          .some((writing) => writing.length >= 6 && bytes.includes(writing));
      expect(hidden.filter(inBytes)).toEqual([]);
      expect(SITES.filter(inBytes)).toEqual(SITES);
      expect(leaks(hidden, { text, said: recorded.stdout + recorded.stderr })).toEqual({});

      const out = await everythingOf(
        `--rras.replay=${path}`,
        '--privacy.users=plain',
        '--privacy.addresses=plain',
      );
      expect(leaks(hidden, out)).toEqual({});
      expect(out['text']).toMatch(/^rras_connection_info\{.*user="name-\d+"/m);
    },
  );
});
