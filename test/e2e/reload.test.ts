/**
 * The configuration of the running program, read anew: all of it takes effect at once, or none of it, and what was
 * counted goes on.
 */
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { stringify } from 'yaml';
import type { ConfigFolder } from '../config/config-folder.ts';
import { BAD, expectedError, makeConfigFolder } from '../config/config-folder.ts';
import { recordSimulator } from '../native/recordings.ts';
import type { Answer, RequestOptions } from '../server/http-client.ts';
import { fetchPlain } from '../server/http-client.ts';
import { freePort } from './peer.ts';
import { buildIfStale, endAll, Program, until } from './program.ts';

const NAME = 'rras-exporter.yml';
const SUCCESSFUL = 'rras_exporter_config_last_reload_successful';
const SUCCESS_TIME = 'rras_exporter_config_last_reload_success_timestamp_seconds';
const tokenOf = (letter: string): string => `rrasx_${letter.repeat(43)}`;
const grantOf = (letter: string, ...rights: readonly string[]) => ({
  name: letter,
  sha256: createHash('sha256').update(tokenOf(letter)).digest('hex'),
  rights,
  interfaces: ['*'],
});
const as = (letter: string): Readonly<Record<string, string>> => ({
  Authorization: `Bearer ${tokenOf(letter)}`,
  'Content-Type': 'application/json',
});

type Part = Readonly<Record<string, unknown>>;

/** The keys of `changes` in the place of those of `base`, section by section. */
function merged(base: Part, changes: Part): Part {
  const isSection = (value: unknown): value is Part =>
    typeof value === 'object' && value !== null && !Array.isArray(value);
  return Object.fromEntries(
    [...new Set([...Object.keys(base), ...Object.keys(changes)])].map((key) => {
      const [before, after] = [base[key], changes[key]];
      if (!(key in changes)) return [key, before];
      return [key, isSection(before) && isSection(after) ? merged(before, after) : after];
    }),
  );
}

const BASE: Part = {
  rras: { simulate: 'office' },
  collector: { 'min-interval': '0s' },
  web: { 'listen-address': ['127.0.0.1:0'], 'enable-lifecycle': true },
  storage: { path: 'state' },
};
const ADMIN: Part = {
  web: { 'enable-admin-api': true },
  admin: { tokens: [grantOf('a', 'read', 'reconnect', 'pause'), grantOf('b', 'read')] },
};

let folder: ConfigFolder;
let base: Part;
let program: Program;
beforeAll(buildIfStale);
beforeEach(() => {
  folder = makeConfigFolder();
});
afterEach(async () => {
  await endAll();
  folder.remove();
});

const write = (text: string | Uint8Array): void => writeFileSync(folder.path(NAME), text);
const change = (changes: Part = {}): void => write(stringify(merged(base, changes)));

/** Its configuration is the base with these changes, which later changes are made to. */
async function start(...changes: readonly Part[]): Promise<void> {
  base = changes.reduce(merged, BASE);
  change();
  program = new Program([`--config.file=${folder.path(NAME)}`]);
  await until('listening', () => program.url !== '');
  await program.scrape();
}

const ask = (options: RequestOptions = {}): Promise<Answer> =>
  program.get('/-/reload', { method: 'POST', ...options });

async function reload(changes: Part = {}): Promise<void> {
  change(changes);
  const { status, text } = await ask();
  expect([status, text]).toEqual([200, 'The configuration is loaded.\n']);
}

/** What the answer says is wrong, with the name of the file but not of its folder. */
async function refused(): Promise<string> {
  const { status, text } = await ask();
  expect([status, text]).toEqual([
    500,
    expect.stringMatching(/^The configuration was not loaded: [^\n]+\n$/),
  ]);
  return folder.withoutFolder(text.trim()).replace('The configuration was not loaded: ', '');
}

const status = async (path: string, options?: RequestOptions): Promise<number> =>
  (await program.get(path, options)).status;
const pause = (letter: string): Promise<number> =>
  status('/api/v1/admin/pause', {
    method: 'POST',
    headers: as(letter),
    body: '{"reason":"a test","expiresIn":"1m"}',
  });
const seen = (letter: string): Promise<number> => status('/api/v1/admin/actions', { headers: as(letter) });

/** Of the exporter's own life, and of the clock. */
const VOLATILE =
  /^(?:# |process_|nodejs_|rras_exporter_(?:native_|enumeration_pages_|config_last_reload_)|rras_snapshot_timestamp_|rras_source_duration_|rras_admin_requests_)/;

/** All that a bad configuration must leave as it is, down to the byte. */
async function behaviour(): Promise<string> {
  const { status: code, text } = await program.get('/metrics');
  const page = text.split('\n').filter((line) => !VOLATILE.test(line));
  const api = JSON.parse((await program.get('/api/v1/status')).text) as { data: Part };
  const stable = Object.entries(api.data).filter(
    ([key]) => !['history', 'snapshotTimestampSeconds', 'snapshotAgeSeconds', 'sources'].includes(key),
  );
  const connections = await program.get('/api/v1/connections?limit=1000');
  return JSON.stringify(
    {
      page: [code, ...page],
      status: Object.fromEntries(stable),
      connections: (JSON.parse(connections.text) as { data: { items: unknown } }).data.items,
      sd: (await program.get('/sd')).text,
      admin: [await seen('a'), await seen('b'), await pause('b')],
      debugLines: (program.log.match(/level=debug/g) ?? []).length,
    },
    null,
    1,
  );
}

/** Lines that are not in both; the first of them, as there may be hundreds. */
function differences(before: string, after: string): readonly string[] {
  if (before === after) return [];
  const [old, now] = [before.split('\n'), after.split('\n')];
  const [oldSet, nowSet] = [new Set(old), new Set(now)];
  const changed = [
    ...old.filter((line) => !nowSet.has(line)).map((line) => `- ${line}`),
    ...now.filter((line) => !oldSet.has(line)).map((line) => `+ ${line}`),
  ];
  return changed.length > 0 ? changed.slice(0, 6) : ['another order'];
}

async function reloadState(): Promise<readonly [successful: number, atSeconds: number]> {
  const page = await program.scrape();
  return [page.value(SUCCESSFUL)!, page.value(SUCCESS_TIME)!];
}

describe('a configuration that cannot be loaded', () => {
  /** Nothing but the clock changes: a recording of one poll, which is read once. */
  async function startStill(...changes: readonly Part[]): Promise<void> {
    const { path } = await recordSimulator({ scenario: 'office', polls: 1 });
    await start(
      { rras: { simulate: undefined, replay: path } },
      { collector: { 'min-interval': '1h', 'max-age': '1d' }, privacy: { users: 'plain' } },
      ADMIN,
      { log: { level: 'info' } },
      ...changes,
    );
  }

  test(
    'R1 each bad fixture leaves all as it was; a good one is loaded after it',
    { timeout: 60_000 },
    async () => {
      await startStill();
      const before = await behaviour();
      const [, startedAt] = await reloadState();
      expect(before).toContain('"admin": [\n  200,\n  200,\n  403\n ]');
      for (const [index, name] of BAD.entries()) {
        write(readFileSync(folder.path(name)));
        const expected = expectedError(name).replaceAll(name, NAME);
        expect([name, await refused()]).toEqual([name, expected]);
        expect([name, ...differences(before, await behaviour())]).toEqual([name]);
        expect([name, await reloadState()]).toEqual([name, [0, startedAt]]);
        // Not so often that guessing would be refused.
        if (index % 8 === 0) expect([name, await seen('c')]).toEqual([name, 401]);
      }
      expect(program.log.match(/msg="the configuration was not loaded: the last good one/g)).toHaveLength(
        BAD.length,
      );
      await reload();
      const [successful, at] = await reloadState();
      expect(successful).toBe(1);
      expect(at).toBeGreaterThan(startedAt);
      expect(differences(before, await behaviour())).toEqual([]);
    },
  );

  test(
    'R1 a file that is written to only half, cut anywhere, leaves all as it was',
    { timeout: 60_000 },
    async () => {
      // What takes a restart comes last, so that no part of it is a good configuration.
      await startStill({ storage: { path: undefined } });
      const whole = [
        'admin: {tokens: []}',
        'privacy: {users: none}',
        'collector: {min-interval: 0s}',
        'log: {level: debug}',
        'servers: [{name: vpn2, simulate: small}]',
        'hooks: {serverLabel: vpn}',
        stringify({ rras: base['rras'] }).trim(),
        'web:',
        '  enable-lifecycle: true',
        '  listen-address: ["127.0.0.1:0"]',
      ].join('\n');
      const before = await behaviour();
      for (let length = 0; length < whole.length; length += 1) {
        write(whole.slice(0, length));
        expect([length, (await ask()).status]).toEqual([length, 500]);
        if (length % 8 === 0) expect([length, ...differences(before, await behaviour())]).toEqual([length]);
      }
      expect(differences(before, await behaviour())).toEqual([]);
      expect((await reloadState())[0]).toBe(0);
    },
  );

  test('S1 a file that was emptied or cut off at the end of a line opens nothing', async () => {
    const lines = [
      'privacy:',
      '  users: none',
      '  addresses: none',
      'admin:',
      '  guards:',
      '    deny: ["*"]',
      'servers:',
      '  - {name: vpn2, simulate: small}',
    ];
    write(lines.join('\n'));
    program = new Program([
      `--config.file=${folder.path(NAME)}`,
      '--rras.simulate=small',
      '--web.listen-address=127.0.0.1:0',
      '--web.enable-lifecycle',
    ]);
    await until('listening', () => program.url !== '');
    const names = async (): Promise<Set<string | undefined>> => {
      const { text } = await program.get('/metrics');
      return new Set(
        [...text.matchAll(/^rras_connection_info\{.*?user="([^"]*)"/gm)].map(([, user]) => user),
      );
    };
    expect(await names()).toEqual(new Set(['']));
    for (let count = 0; count < lines.length; count += 1) {
      write(lines.slice(0, count).join('\n'));
      expect([count, await refused()]).toEqual([count, expect.any(String)]);
    }
    write('');
    expect(await refused()).toBe(
      'privacy, admin, servers was there and is not any more, as in a file that was cut off ' +
        '(write what is to hold instead, such as servers: [] or the default, or restart the exporter)',
    );
    expect(await names()).toEqual(new Set(['']));
    expect((await program.get('/sd')).text).toContain('vpn2');
    // Who means it says so.
    write('privacy: {users: plain, addresses: plain}\nadmin: {guards: {deny: []}}\nservers: []');
    expect((await ask()).status).toBe(200);
    expect((await names()).size).toBeGreaterThan(1);
    expect((await program.get('/sd')).text).toBe('[]');
  });

  test('R1 a file that is being written is read when it is whole', async () => {
    await start();
    write(stringify(merged(base, { log: { level: 'debug' } })));
    const asked = ask();
    // Within the time in which it is looked at twice.
    write(stringify(merged(base, { servers: [{ name: 'late', simulate: 'small' }] })));
    expect((await asked).status).toBe(200);
    expect((await program.get('/sd')).text).toContain('late');
  });

  test('S1 a file that is gone leaves the last good one in force: nobody gets in who could not before', async () => {
    await startStill();
    const before = await behaviour();
    rmSync(folder.path(NAME));
    expect(await refused()).toBe(`${NAME} cannot be read: there is no such file (ENOENT)`);
    expect(differences(before, await behaviour())).toEqual([]);
    expect(await seen('a')).toBe(200);
    expect(await seen('c')).toBe(401);
    expect((await reloadState())[0]).toBe(0);
    expect(program.log).toContain('the configuration was not loaded: the last good one stays in force');
  });

  test('S1 without the lifecycle API nobody can ask for it, and a signal still does', async () => {
    await start({ web: { 'enable-lifecycle': false } }, ADMIN);
    rmSync(folder.path(NAME));
    expect(await ask()).toMatchObject({ status: 403 });
    expect(await ask({ method: 'PUT' })).toMatchObject({ status: 403 });
    expect((await reloadState())[0]).toBe(1);
    program.signal('SIGHUP');
    await until('the failure', async () => (await reloadState())[0] === 0);
    expect(await seen('a')).toBe(200);
    expect(await seen('c')).toBe(401);
    change({ admin: { tokens: [grantOf('c', 'read')] } });
    program.signal('SIGHUP');
    await until('the success', async () => (await reloadState())[0] === 1);
    expect([await seen('a'), await seen('c')]).toEqual([401, 200]);
  });

  test('R1 a key that takes a restart is named, and nothing beside it takes effect', async () => {
    await startStill();
    const before = await behaviour();
    change({
      admin: { tokens: [grantOf('c', 'read')] },
      privacy: { users: 'none' },
      log: { level: 'debug' },
      servers: [{ name: 'vpn2', simulate: 'small' }],
      web: { 'telemetry-path': '/other', 'max-requests': 1 },
      native: { isolation: 'none' },
    });
    expect(await refused()).toBe(
      'native.isolation, web.telemetry-path changed (restart the exporter for that, or take it back)',
    );
    expect(differences(before, await behaviour())).toEqual([]);
    expect(await status('/other')).toBe(404);
    expect(await status('/probe?target=vpn2')).toBe(404);
    expect(program.children()).toHaveLength(1);
  });

  test('R1 a server that cannot be opened leaves all as it was, and no process behind', async () => {
    await startStill();
    const before = await behaviour();
    change({
      admin: { tokens: [grantOf('c', 'read')] },
      servers: [
        { name: 'vpn2', simulate: 'small' },
        { name: 'vpn3', replay: 'nowhere.rec' },
      ],
    });
    expect(await refused()).toContain('nowhere.rec');
    expect(differences(before, await behaviour())).toEqual([]);
    expect(program.children()).toHaveLength(1);
  });

  test('R1 a log file that cannot be opened anew leaves all as it was', async () => {
    const log = folder.path('a.log');
    const port = await freePort();
    base = merged(merged(BASE, ADMIN), {
      log: { output: `file:${log}` },
      web: { 'listen-address': [`127.0.0.1:${port}`] },
    });
    change();
    program = new Program([`--config.file=${folder.path(NAME)}`]);
    const get = (path: string, options?: RequestOptions) =>
      fetchPlain(`http://127.0.0.1:${port}${path}`, options);
    await until('listening', () =>
      get('/-/healthy').then(
        () => true,
        () => false,
      ),
    );
    renameSync(log, `${log}.1`);
    // A folder in its place.
    mkdirSync(log);
    change({ admin: { tokens: [grantOf('c', 'read')] } });
    const answer = await get('/-/reload', { method: 'POST' });
    expect(answer).toMatchObject({ status: 500 });
    expect(answer.text).toContain('cannot be written (EISDIR)');
    const codeOf = async (letter: string): Promise<number> =>
      (await get('/api/v1/admin/actions', { headers: as(letter) })).status;
    expect([await codeOf('a'), await codeOf('c')]).toEqual([200, 401]);
    expect(readFileSync(`${log}.1`, 'utf8')).toContain('the last good one stays in force');
  });
});

describe('a changed configuration', () => {
  test('privacy: the very next answers show names as it says, also of connections that were shown before', async () => {
    await start({ privacy: { users: 'plain' } });
    const names = async (): Promise<{ readonly page: string[]; readonly api: string[] }> => {
      const page = await program.scrape();
      const api = JSON.parse((await program.get('/api/v1/connections?limit=1000')).text) as {
        data: { items: { user: string }[] };
      };
      const users = [...page.text.matchAll(/^rras_connection_info\{.*?user="([^"]*)"/gm)];
      return { page: users.map(([, user = '']) => user), api: api.data.items.map(({ user }) => user) };
    };
    const plain = await names();
    const people = new Set([...plain.page, ...plain.api].filter((name) => name !== ''));
    expect(people.size).toBeGreaterThan(30);
    for (const users of ['pseudonym', 'none'] as const) {
      await reload({ privacy: { users } });
      const hidden = await names();
      expect(hidden.page.length).toBeGreaterThan(30);
      expect([...hidden.page, ...hidden.api].filter((name) => people.has(name))).toEqual([]);
    }
    await reload({ privacy: { users: 'plain' } });
    expect((await names()).page.filter((name) => people.has(name)).length).toBeGreaterThan(30);
  });

  test('C connections.limit and detail: `other` never falls, and all rows together grow as the totals do', async () => {
    await start();
    const BYTES = 'rras_connection_received_bytes_total';
    let rows = new Map<string, number>();
    let grown = 0;
    let other = 0;
    /** One scrape, as Prometheus takes it: a series that is new has not grown. */
    const look = async (): Promise<{
      readonly shown: number;
      readonly hidden: number;
      readonly total: number;
    }> => {
      const page = await program.scrape();
      const now = page.values(BYTES) ?? {};
      for (const [row, value] of Object.entries(now)) {
        const before = rows.get(row);
        expect(value, row).toBeGreaterThanOrEqual(before ?? 0);
        if (before !== undefined) grown += value - before;
        // One that began between two scrapes: its first value is growth that no row tells of before there is `other`.
        else if (row !== 'other' && rows.size > 0 && !rows.has('other')) grown += value;
      }
      rows = new Map([...rows, ...Object.entries(now)]);
      if (now['other'] !== undefined) {
        expect(now['other']).toBeGreaterThanOrEqual(other);
        other = now['other'];
      }
      const totals = Object.values(page.values('rras_received_bytes_total') ?? {});
      return {
        shown: Object.keys(now).filter((row) => row !== 'other').length,
        hidden: page.value('rras_hidden_connections')!,
        total: totals.reduce((sum, value) => sum + value, 0),
      };
    };
    const first = await look();
    expect(first.hidden).toBe(0);
    grown = 0;
    for (const [connections, most] of [
      [{ limit: 5 }, 5],
      [{ limit: 1000 }, 1000],
      [{ detail: 'none' }, 0],
      [{ detail: 'top', limit: 3 }, 3],
      [{ limit: 20 }, 20],
      [{}, 10_000],
    ] as const) {
      await reload({ collector: { connections } });
      await look();
      const { shown, hidden, total } = await look();
      expect(shown).toBeLessThanOrEqual(most);
      if (most < 10) expect(hidden).toBeGreaterThan(10);
      expect(grown).toBe(total - first.total);
    }
    expect(other).toBeGreaterThan(0);
  });

  test('min-interval: scrapes share a snapshot, or each has its own', async () => {
    await start();
    const at = async (): Promise<number> =>
      (await program.scrape()).value('rras_snapshot_timestamp_seconds')!;
    expect(await at()).not.toBe(await at());
    await reload({ collector: { 'min-interval': '1h', 'max-age': '2h' } });
    expect(await at()).toBe(await at());
    await reload();
    expect(await at()).not.toBe(await at());
  });

  test('timeout and max-age: how long a server that hangs is waited for, and what was read is served', async () => {
    await start();
    // Long before the 10 s of the default have passed.
    await reload({ collector: { timeout: '300ms' } });
    process.kill(program.nativeHost(), 'SIGSTOP');
    const page = await program.scrape();
    expect(page.values('rras_connection_info')).toBeDefined();
    await until(
      'another host',
      async () => {
        const { text } = await program.scrape();
        const given = /^rras_exporter_host_restarts_total\{reason="timeout"\} [1-9]/m.test(text);
        return given && /^rras_up 1$/m.test(text);
      },
      8000,
    );
    await reload({ collector: { timeout: '300ms', 'max-age': '100ms' } });
    process.kill(program.nativeHost(), 'SIGSTOP');
    const late = await program.scrape();
    expect([late.value('rras_up'), late.values('rras_connection_info')]).toEqual([0, undefined]);
  });

  test('log.level: from the next line on', async () => {
    await start(ADMIN, { hooks: { grafana: { secretFile: 'closed.secret' } } });
    const trouble = async (): Promise<number> => {
      await program.get('/api/v1/hooks/grafana', {
        method: 'POST',
        headers: {
          'Content-Type': 'application/json',
          'X-Grafana-Alerting-Signature': '0'.repeat(64),
          'X-Grafana-Alerting-Timestamp': '1',
        },
        body: '{}',
      });
      return (program.log.match(/level=debug msg="a signature of Grafana is refused"/g) ?? []).length;
    };
    expect(await trouble()).toBe(0);
    await reload({ log: { level: 'debug' } });
    await until('the line', async () => (await trouble()) > 0);
    await reload({ log: { level: 'error' } });
    const length = program.log.length;
    await trouble();
    await reload({ log: { level: 'error' } });
    expect(program.log.slice(length)).toBe('');
  });

  test('admin: a token that is gone is refused at once, a new one is good for its rights', async () => {
    await start(ADMIN);
    expect([await seen('a'), await seen('c')]).toEqual([200, 401]);
    await reload({ admin: { tokens: [grantOf('b', 'pause'), grantOf('c', 'read')] } });
    expect([await seen('a'), await seen('c')]).toEqual([401, 200]);
    expect([await pause('c'), await pause('b')]).toEqual([403, 200]);
  });

  test('guards and rules: what is decided next goes by them, and a new rule is there with zeros', async () => {
    await start(ADMIN, { admin: { guards: { dryRun: true } } });
    const reconnect = async (): Promise<string> => {
      const { text } = await program.get(`/api/v1/admin/interfaces/Site-Madrid/reconnect`, {
        method: 'POST',
        headers: as('a'),
        body: JSON.stringify({ reason: 'a test', force: true }),
      });
      return /"(?:errorType|decision)":"(\w+)"/.exec(text)?.[1] ?? text;
    };
    const ruled = async (): Promise<readonly string[]> =>
      Object.keys((await program.scrape()).values('rras_remediation_decisions_total') ?? {});
    expect(await reconnect()).toBe('dry_run');
    expect(await ruled()).not.toContain('redial/execute');
    await reload({
      admin: { guards: { deny: ['*'] } },
      hooks: { rules: [{ name: 'redial', matchers: ['a="b"'], action: 'reconnect' }] },
    });
    expect(await reconnect()).toBe('denied');
    expect(await ruled()).toContain('redial/execute');
    await reload({ admin: { guards: { deny: [] } }, hooks: { rules: [] } });
    expect(await reconnect()).toBe('dry_run');
    // What was counted stays.
    expect(await ruled()).toContain('redial/execute');
  });

  test('servers: added, changed and removed; what stays goes on counting', { timeout: 60_000 }, async () => {
    await start({
      servers: [
        { name: 'kept', simulate: 'office' },
        { name: 'gone', simulate: 'small' },
      ],
    });
    const names = async (): Promise<readonly string[]> =>
      (JSON.parse((await program.get('/sd')).text) as { labels: { instance: string } }[]).map(
        ({ labels }) => labels.instance,
      );
    const probe = (name: string): Promise<Answer> => program.get(`/probe?target=${name}`);
    const received = async (name: string): Promise<number> => {
      const values = [...(await probe(name)).text.matchAll(/^rras_received_bytes_total\{.*\} (\S+)$/gm)];
      return values.reduce((sum, [, value]) => sum + Number(value), 0);
    };
    expect(await names()).toEqual(['kept', 'gone']);
    await received('gone');
    let last = 0;
    await until('traffic', async () => (last = await received('kept')) > 0);
    await reload({
      servers: [
        { name: 'kept', simulate: 'office' },
        { name: 'new', simulate: 'small' },
      ],
    });
    expect(await names()).toEqual(['kept', 'new']);
    expect(await received('kept')).toBeGreaterThanOrEqual(last);
    expect([(await probe('gone')).status, (await probe('new')).status]).toEqual([404, 200]);
    await until('the processes of three servers', () => program.children().length === 3);
    // Another one of the same name is another server.
    await reload({ servers: [{ name: 'kept', simulate: 'small' }] });
    expect(await received('kept')).toBeLessThan(last);
    await until('the processes of two servers', () => program.children().length === 2);
    await reload();
    await reload({ servers: [] });
    expect(await names()).toEqual([]);
    await until('one process', () => program.children().length === 1);
  });

  test('external-url and max-requests', async () => {
    await start();
    const host = program.nativeHost();
    await reload({ servers: [{ name: 'vpn2', simulate: 'small' }] });
    const target = async (): Promise<string> =>
      (JSON.parse((await program.get('/sd')).text) as { targets: string[] }[])[0]!.targets[0]!;
    expect(await target()).toBe(new URL(program.url).host);
    await reload({
      servers: [{ name: 'vpn2', simulate: 'small' }],
      web: { 'external-url': 'https://vpn.example.net:8443', 'max-requests': 1 },
    });
    expect(await target()).toBe('vpn.example.net:8443');
    process.kill(host, 'SIGSTOP');
    // One more than the limit, as there is another server.
    const held = [program.get('/metrics'), program.get('/metrics')];
    await until('the limit', async () => {
      const { status: code } = await program.get('/metrics', {
        headers: { 'X-Prometheus-Scrape-Timeout-Seconds': '0.6' },
      });
      return code === 503;
    });
    await reload({ servers: [{ name: 'vpn2', simulate: 'small' }] });
    const second = program.get('/metrics');
    process.kill(host, 'SIGCONT');
    const answers = await Promise.all([...held, second]);
    expect(answers.map(({ status: code }) => code)).toEqual([200, 200, 200]);
  });
});

describe('reloading itself', () => {
  test(
    'C 50 reloads, scrapes beside them: totals never fall, no process is left, and memory is given back',
    {
      timeout: 60_000,
    },
    async () => {
      await start({ servers: [{ name: 'vpn2', simulate: 'small' }] });
      const servers = [{ name: 'vpn2', simulate: 'small' }];
      const last = new Map<string, number>();
      const take = async (path: string): Promise<void> => {
        const { status: code, text } = await program.get(path);
        expect(code).toBe(200);
        for (const [, series = '', value] of text.matchAll(/^((?:rras_)\w+_total(?:\{.*\})?) (\S+)$/gm)) {
          expect(Number(value), series).toBeGreaterThanOrEqual(last.get(path + series) ?? 0);
          last.set(path + series, Number(value));
        }
      };
      const residentMb = async (): Promise<number> =>
        (await program.scrape()).value('process_resident_memory_bytes')! / 2 ** 20;
      let early = 0;
      for (let turn = 0; turn < 50; turn += 1) {
        change({
          servers: turn % 3 === 0 ? [...servers, { name: `extra${turn % 2}`, simulate: 'small' }] : servers,
          privacy: { users: turn % 2 === 0 ? 'plain' : 'pseudonym' },
          collector: { connections: { limit: turn % 2 === 0 ? 10 : 10_000 } },
        });
        const [answer] = await Promise.all([ask(), take('/metrics'), take('/probe?target=vpn2')]);
        expect(answer.status).toBe(200);
        await take('/metrics');
        if (turn === 15) early = await residentMb();
      }
      await reload({ servers, privacy: { users: 'plain' } });
      await until('two processes', () => program.children().length === 2);
      expect((await residentMb()) - early).toBeLessThan(60);
      expect(last.size).toBeGreaterThan(50);
    },
  );

  test('a signal and requests at once are one reload or two, and all are answered', async () => {
    await start();
    change({ privacy: { users: 'none' } });
    program.signal('SIGHUP');
    const answers = await Promise.all([ask(), ask(), ask({ method: 'PUT' }), ask()]);
    expect(answers.map((answer) => answer.status)).toEqual([200, 200, 200, 200]);
    const lines = (program.log.match(/msg="the configuration is loaded"/g) ?? []).length;
    expect(lines).toBeGreaterThanOrEqual(1);
    expect(lines).toBeLessThanOrEqual(5);
    expect((await program.scrape()).text).toMatch(/^rras_connection_info\{.*user=""/m);
  });

  test('pages of other sites cannot ask for it, and no other method does it', async () => {
    await start();
    change({ log: { level: 'wrong' } });
    const foreign = [{ Origin: 'https://evil.example' }, { 'Sec-Fetch-Site': 'cross-site' }];
    for (const headers of foreign) expect(await ask({ headers })).toMatchObject({ status: 403 });
    for (const method of ['GET', 'DELETE'])
      expect(await ask({ method })).toMatchObject({ status: 405, headers: { allow: 'POST, PUT' } });
    expect((await reloadState())[0]).toBe(1);
    expect(await ask({ headers: { Origin: program.url } })).toMatchObject({ status: 500 });
  });

  test('the password of the web configuration is asked for', async () => {
    // As `htpasswd -BC 10` makes it of "right password".
    const hash = '$2y$10$rnBj21ICbRpOSAux3d52veDRA8DnfShp4pM3amGOYlkKvc9jH43by';
    writeFileSync(folder.path('web.yml'), `basic_auth_users:\n  viewer: ${hash}\n`);
    base = merged(BASE, { web: { config: { file: 'web.yml' } } });
    change();
    program = new Program([`--config.file=${folder.path(NAME)}`]);
    await until('listening', () => program.url !== '');
    const basic = (password: string) => ({
      headers: { Authorization: `Basic ${Buffer.from(`viewer:${password}`).toString('base64')}` },
    });
    change({ log: { level: 'wrong' } });
    expect([await ask(), await ask(basic('wrong'))].map((answer) => answer.status)).toEqual([401, 401]);
    expect(program.log).not.toContain('was not loaded');
    expect((await ask(basic('right password'))).status).toBe(500);
    change();
    expect((await ask(basic('right password'))).status).toBe(200);
  });
});

test('the log goes to a file, and after a rotation and a signal to a new one', async () => {
  const log = folder.path('rras-exporter.log');
  program = new Program([
    '--rras.simulate=small',
    '--web.listen-address=127.0.0.1:0',
    `--log.output=file:${log}`,
  ]);
  const has = (file: string, text: string): boolean => {
    try {
      return readFileSync(file, 'utf8').includes(text);
    } catch {
      return false;
    }
  };
  await until('listening', () => has(log, 'msg=listening'));
  expect(statSync(log).mode & 0o777).toBe(0o600);
  renameSync(log, `${log}.1`);
  program.signal('SIGHUP');
  await until('the new file', () => has(log, 'msg="the configuration is loaded" reason=SIGHUP'));
  expect(has(`${log}.1`, 'the configuration is loaded')).toBe(false);
  const { stderr, code } = await program.end();
  expect([code, stderr]).toEqual([0, '']);
  expect(has(log, 'msg=bye')).toBe(true);
});

test('a log file that cannot be opened is one error at the start', async () => {
  const path = join(folder.path('nowhere'), 'a.log');
  const { code, stderr } = await new Program(['--rras.simulate=small', `--log.output=file:${path}`]).ended;
  expect(code).toBe(1);
  expect(stderr).toBe(
    `rras-exporter: error: the log file ${path} cannot be written (ENOENT); make its folder, or choose another file by --log.output\n`,
  );
});
