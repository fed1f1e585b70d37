/**
 * L6 with many servers: what a privacy mode hides is in no page, no answer of the API and no line of the log of any of
 * them. Everything is searched for all names that the simulated servers have.
 */
import { createHash } from 'node:crypto';
import { afterEach, beforeAll, expect, test } from 'vitest';
import { createSimulator } from '../../src/native/simulator/server.ts';
import { FakeClock } from '../doubles/fake-clock.ts';
import { connect, readAll } from '../native/simulator/records.ts';
import { FleetProgram, simulationOf } from './fleet-program.ts';
import { buildIfStale, endAll, until } from './program.ts';

const NAMES = ['vpn1', 'vpn2', 'vpn3'];
const SCENARIO = 'office';
/** No simulated server here becomes older than this; it is checked. */
const WINDOW_MS = 60_000;
const TOKEN = `rrasx_${'a'.repeat(43)}`;

beforeAll(buildIfStale);
afterEach(endAll);

/** Users, computers and interfaces of clients that the server has at some time of the window. */
async function peopleOf(name: string): Promise<Set<string>> {
  const clock = new FakeClock();
  const { seed } = await simulationOf(name, SCENARIO);
  const simulator = createSimulator({ scenario: SCENARIO, seed, clock });
  const handle = await connect(simulator);
  const people = new Set<string>();
  for (let ms = 0; ms <= WINDOW_MS; ms += 1000) {
    for (const record of await readAll(simulator, handle, 'level4')) {
      const user = record.text('wszUserName');
      people.add(user.slice(user.indexOf('\\') + 1));
      people.add(record.text('wszRemoteComputer'));
      if (record.u32('dwInterfaceType') === 0) people.add(record.text('wszInterfaceName'));
    }
    await clock.advance(1000);
  }
  people.delete('');
  return people;
}

/** As it stands in metrics, JSON, HTML and the log. */
const stands = (text: string, where: string): boolean =>
  [text, JSON.stringify(text).slice(1, -1), encodeURIComponent(text), text.replaceAll("'", '&#39;')].some(
    (each) => where.includes(each),
  );

/** Everything that a program with several servers lets out, by what it is. */
async function everythingOf(users: string): Promise<Record<string, string>> {
  const startedMs = performance.now();
  const sha256 = createHash('sha256').update(TOKEN).digest('hex');
  const fleet = await FleetProgram.start({
    servers: NAMES,
    scenario: SCENARIO,
    flags: [
      `--privacy.users=${users}`,
      '--log.level=debug',
      '--collector.min-interval=0s',
      '--collector.users',
      '--web.enable-admin-api',
    ],
    config: {
      admin: {
        tokens: [{ name: 'all', sha256, rights: ['hang_up', 'read'], interfaces: ['*'] }],
        guards: { rate: { burst: 50, per: '10m' }, maxConcurrent: 16 },
      },
    },
  });
  const { program } = fleet;
  const out: Record<string, string> = {};
  const get = async (what: string, path: string, headers: Readonly<Record<string, string>> = {}) => {
    const answer = await program.get(path, { headers });
    expect({ path, status: answer.status }).toEqual({ path, status: 200 });
    out[what] = `${JSON.stringify(answer.headers)}\n${answer.text}`;
    return answer.text;
  };
  const authorized = { Authorization: `Bearer ${TOKEN}`, 'Content-Type': 'application/json' };
  for (const name of NAMES) {
    await get(`${name} text`, `/probe?target=${name}`);
    await get(`${name} openmetrics`, `/probe?target=${name}`, {
      Accept: 'application/openmetrics-text; version=1.0.0',
    });
    await get(`${name} status`, `/api/v1/status?server=${name}`);
    await get(`${name} interfaces`, `/api/v1/interfaces?server=${name}`);
    const list = await get(`${name} connections`, `/api/v1/connections?server=${name}`);
    const { items } = (JSON.parse(list) as { data: { items: { connection: string; role: string }[] } }).data;
    const client = items.find(({ role }) => role === 'client')!;
    const path = `/api/v1/admin/connections/${client.connection}/disconnect?wait=20s&server=${name}`;
    const { text, status } = await program.get(path, {
      method: 'POST',
      headers: authorized,
      body: JSON.stringify({ reason: 'a test' }),
    });
    expect({ status, text }).toEqual({ status: 200, text: expect.stringContaining('"succeeded"') as string });
    out[`${name} action`] = text;
    await get(`${name} actions`, `/api/v1/admin/actions?server=${name}`, authorized);
    process.kill(fleet.childOf(name)!, 'SIGKILL');
    await until('the loss of the child is logged', async () => {
      await get(`${name} without a child`, `/probe?target=${name}`);
      return new RegExp(`level=warn msg="native host.* server=${name} `).test(program.log);
    });
  }
  await get('/sd', '/sd');
  await get('/', '/');
  const { code, stderr } = await program.end();
  expect(code).toBe(0);
  expect(performance.now() - startedMs).toBeLessThan(WINDOW_MS);
  out['log'] = stderr;
  return out;
}

test.each(['pseudonym', 'none', 'plain'])(
  'L6 with users %s, nothing of any server names somebody who is hidden',
  async (users) => {
    const people = new Map(
      await Promise.all(NAMES.map(async (name) => [name, await peopleOf(name)] as const)),
    );
    const everybody = new Set([...people.values()].flatMap((each) => [...each]));
    expect(everybody.size).toBeGreaterThan(300);
    const out = await everythingOf(users);
    const found = Object.entries(out).flatMap(([where, text]) => {
      const names = [...everybody].filter((each) => stands(each, text));
      return names.length > 0 ? [[where, names.length] as const] : [];
    });
    if (users === 'plain') {
      // The search finds what is there: nearly all of each server's people, where connections are shown.
      for (const name of NAMES) {
        for (const what of ['text', 'openmetrics', 'connections']) {
          expect(new Map(found).get(`${name} ${what}`)).toBeGreaterThan(100);
        }
      }
    } else {
      expect(found).toEqual([]);
    }
    for (const name of NAMES) {
      expect(out[`${name} text`]!.match(/^rras_connection_info\{/gm)!.length).toBeGreaterThan(50);
    }
  },
  60_000,
);
