/** L6: what the guarded actions answer, log and count names nobody whom the privacy mode hides. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createHash } from 'node:crypto';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeAll, expect, test } from 'vitest';
import { buildIfStale, endAll, Program } from './program.ts';

const TOKEN = `rrasx_${'a'.repeat(43)}`;
const FIRST = 30;

let folder: string | undefined;
beforeAll(buildIfStale);
afterEach(async () => {
  await endAll();
  if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
});

interface Row {
  readonly connection: string;
  readonly user: string;
  readonly role: string;
  readonly tunnel: string;
  readonly remoteAddress: string;
}

async function connections(program: Program): Promise<readonly Row[]> {
  await program.scrape();
  const { text } = await program.get('/api/v1/connections');
  return (JSON.parse(text) as { data: { items: Row[] } }).data.items;
}

test('L6 actions on clients, done and refused, name no person and no address', async () => {
  // Who is there is known from a program that may say so: both simulate the same people.
  const plain = await Program.serve('--rras.simulate=office');
  const known = await connections(plain);
  await plain.end();
  const names = known.flatMap(({ user, role }) => (role === 'client' ? [user] : []));
  const addresses = known.map(({ remoteAddress }) => remoteAddress);
  expect(names.length).toBeGreaterThan(FIRST);

  folder = mkdtempSync(join(tmpdir(), 'rras-exporter-admin-privacy-'));
  const config = join(folder, 'c.yml');
  const sha256 = createHash('sha256').update(TOKEN).digest('hex');
  writeFileSync(
    config,
    `admin:
  tokens:
    - {name: all, sha256: ${sha256}, rights: [hang_up, update_endpoint, read], interfaces: ['*']}
  guards: {rate: {burst: 50, per: 10m}, maxConcurrent: 16, endpointNetworks: [203.0.113.0/24]}
`,
  );
  const program = await Program.serve(
    '--rras.simulate=office',
    `--config.file=${config}`,
    '--web.enable-admin-api',
    `--storage.path=${join(folder, 'data')}`,
    '--privacy.users=none',
    '--privacy.addresses=none',
    '--log.level=debug',
  );
  const shown = await connections(program);
  const clients = shown.filter(({ role }) => role === 'client').slice(0, FIRST);
  const headers = { Authorization: `Bearer ${TOKEN}`, 'Content-Type': 'application/json' };
  const texts: string[] = [];
  const post = async (path: string, body: object): Promise<string> => {
    const answer = await fetch(program.url + path, { method: 'POST', headers, body: JSON.stringify(body) });
    const text = await answer.text();
    texts.push(text);
    return text;
  };
  const moved = { interfaceIndex: 12, localAddress: '203.0.113.1', remoteAddress: '203.0.113.77' };
  const ikev2 = clients.find(({ tunnel }) => tunnel === 'ikev2')!;
  await post(`/api/v1/admin/connections/${ikev2.connection}/endpoint?wait=20s`, {
    ...moved,
    reason: 'a test',
  });
  const hungUp = clients.filter(({ connection }) => connection !== ikev2.connection).slice(0, 3);
  for (const { connection } of hungUp) {
    const text = await post(`/api/v1/admin/connections/${connection}/disconnect?wait=20s`, {
      reason: 'a test',
    });
    expect(text).toContain('"state":"succeeded"');
  }
  await post('/api/v1/admin/connections/0000000000000000/disconnect', { reason: 'a test' });
  texts.push((await program.get('/api/v1/admin/actions', { headers })).text);
  texts.push((await program.get('/metrics')).text);
  texts.push((await program.end()).stderr);
  const all = texts.join('\n');
  // Something is there to be searched.
  expect(all).toContain(hungUp[0]!.connection);
  expect(all).toContain('"action":"update_endpoint"');
  const hidden = [...names, ...addresses, moved.remoteAddress, moved.localAddress];
  expect(hidden.filter((text) => text !== '' && all.includes(text))).toEqual([]);
});
