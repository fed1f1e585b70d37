/** The configured servers as the composition root has them: opened and changed together, each with its own audit log. */
import { chmodSync, mkdirSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { verifyAudit } from '../src/admin/audit-file.ts';
import { readCommandLine } from '../src/config/commands.ts';
import type { Options, ServerConfig, Simulation } from '../src/config/options.ts';
import { toOptions } from '../src/config/schema.ts';
import { Fleet } from '../src/fleet.ts';
import type { PauseState } from '../src/model/admin.ts';
import type { Privacy } from '../src/metrics/privacy.ts';
import { HostPlaces } from '../src/native/host-places.ts';
import { configOf, OPS } from './admin/exporter-life.ts';
import { FakeClock } from './doubles/fake-clock.ts';

const PRIVACY: Privacy = { users: 'plain', addresses: 'plain' };
const simulated = (name: string, simulate: Simulation = 'small'): ServerConfig => ({
  name,
  rras: { server: null, simulate, replay: null },
});
const broken = (name: string): ServerConfig => ({
  name,
  rras: { server: null, simulate: null, replay: '/there/is/no.rec' },
});

const ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

function open({ admin = true } = {}) {
  const folder = mkdtempSync(join(tmpdir(), 'rras-exporter-fleet-test-'));
  ends.push(() => rmSync(folder, { recursive: true, force: true }));
  const { given } = readCommandLine(['--native.isolation=none', `--storage.path=${folder}`]);
  const { web, ...rest } = toOptions(given, { platform: 'linux', env: {} });
  const options = (...servers: ServerConfig[]): Options => ({
    ...rest,
    web: { ...web, enableAdminApi: admin },
    admin: configOf(),
    servers,
  });
  const quiet = (): void => undefined;
  const state: { paused?: PauseState } = {};
  const fleet = new Fleet({
    version: '1.2.3',
    clock: new FakeClock(),
    logger: { debug: quiet, info: quiet, warn: quiet, error: quiet },
    places: new HostPlaces(4),
    telemetry: undefined,
    pausedAs: () => state.paused,
    exportsMetrics: false,
  });
  ends.push(async () => {
    await fleet.closeActions();
    fleet.stop();
  });
  const prepare = (...servers: ServerConfig[]) => fleet.prepare(options(...servers), PRIVACY);
  const apply = async (...servers: ServerConfig[]): Promise<void> => (await prepare(...servers))();
  /** Something that takes the audit log, and is refused without it. */
  const note = async (name: string): Promise<string> => {
    const service = await fleet.actions.get(name)!.opened;
    const [site] = (await fleet.servers.get(name)!.collect(10_000)).interfaces!.filter(
      ({ type }) => type === 'full_router',
    );
    return (await service.reset(OPS, site!.name, 'a test', 'reset')).decision;
  };
  const verify = (name: string) => verifyAudit(join(folder, 'servers', name));
  return { fleet, folder, state, prepare, apply, note, verify };
}

describe('the fleet', () => {
  it('has the servers of the configuration, in its order, once that is in force', async () => {
    const { fleet, prepare } = open();
    const commit = await prepare(simulated('b'), simulated('a'));
    expect([...fleet.servers.keys()]).toEqual([]);
    await commit();
    expect([...fleet.servers.keys()]).toEqual(['b', 'a']);
    expect([...fleet.actions.keys()]).toEqual(['b', 'a']);
    const snapshot = await fleet.servers.get('a')!.collect(10_000);
    expect(snapshot.up).toBe(true);
  });

  it('keeps a server that stays as it is, with its accounts, and takes others in and out', async () => {
    const { fleet, apply } = open();
    await apply(simulated('a'), simulated('b'));
    const kept = fleet.servers.get('a');
    const changed = fleet.servers.get('b');
    await apply(simulated('c'), simulated('a'), simulated('b', 'office'));
    expect([...fleet.servers.keys()]).toEqual(['c', 'a', 'b']);
    expect(fleet.servers.get('a')).toBe(kept);
    expect(fleet.servers.get('b')).not.toBe(changed);
    await apply();
    expect([fleet.servers.size, fleet.actions.size]).toEqual([0, 0]);
  });

  it('lets a server that is new begin paused where the first one is, and no other', async () => {
    const { fleet, state, apply } = open();
    const paused = async (name: string) => (await fleet.actions.get(name)!.opened).paused;
    await apply(simulated('a'));
    const pause = { reason: 'upgrade', actor: 'oncall', since: 1_795_000_000, until: undefined };
    state.paused = { ...pause, paused: true, persisted: true };
    await apply(simulated('a'), simulated('b'));
    expect((await paused('a')).paused).toBe(false);
    expect(await paused('b')).toEqual({ ...pause, paused: true, persisted: true });
    // It was there before, and somebody resumed it alone.
    await (await fleet.actions.get('b')!.opened).resume(OPS, 'done');
    await apply(simulated('a'), simulated('b', 'office'));
    expect((await paused('b')).paused).toBe(false);
    // A server that was away when all were paused knows nothing of it.
    await apply(simulated('b', 'office'));
    await apply(simulated('a'), simulated('b', 'office'));
    expect((await paused('a')).paused).toBe(true);
  });

  it('R1 is as it was if one of the servers cannot be opened', async () => {
    const { fleet, apply, prepare, note, verify } = open();
    await apply(simulated('a'), simulated('b'));
    const before = [...fleet.servers];
    expect(await note('a')).toBe('execute');
    await expect(prepare(simulated('a', 'office'), simulated('c'), broken('d'))).rejects.toThrow('no.rec');
    expect([...fleet.servers]).toEqual(before);
    // Its audit log is still its own: actions go on.
    expect([await note('a'), await note('b')]).toEqual(['execute', 'execute']);
    expect(await verify('a')).toMatchObject({ ok: true });
  });

  it('D1 lets a server that is another one now go on with the audit log of its name, in one chain', async () => {
    const { apply, note, verify, fleet } = open();
    await apply(simulated('a'));
    const old = await fleet.actions.get('a')!.opened;
    expect(await note('a')).toBe('execute');
    await apply(simulated('a', 'office'));
    expect(await note('a')).toBe('execute');
    expect(await verify('a')).toMatchObject({ ok: true });
    // What still comes to the old one is not done.
    expect((await old.reset(OPS, 'Site-Berlin', 'too late', 'reset')).decision).not.toBe('execute');
    expect(await verify('a')).toMatchObject({ ok: true });
  });

  it('keeps the state of each server in a folder of its own, closed to others', async () => {
    const { apply, folder, note, verify } = open();
    await apply(simulated('a'), simulated('b.example.net'));
    await note('a');
    for (const path of ['servers', 'servers/a', 'servers/b.example.net']) {
      expect(statSync(join(folder, path)).mode & 0o777).toBe(0o700);
    }
    expect([await verify('a'), await verify('b.example.net')]).toMatchObject([{ ok: true }, { ok: true }]);
  });

  it('R2 is not opened on a folder that others can enter', async () => {
    const { fleet, apply, prepare, folder } = open();
    await apply(simulated('b'));
    mkdirSync(join(folder, 'servers/a'), { recursive: true });
    chmodSync(join(folder, 'servers/a'), 0o755);
    await expect(prepare(simulated('b'), simulated('a'))).rejects.toThrow('is open to other users');
    expect([...fleet.servers.keys()]).toEqual(['b']);
  });

  it('A9 keeps no state and acts on nothing where actions are off', async () => {
    const { fleet, apply, folder } = open({ admin: false });
    await apply(simulated('a'));
    expect([fleet.servers.size, fleet.actions.size]).toEqual([1, 0]);
    expect(statSync(join(folder, 'servers'), { throwIfNoEntry: false })).toBeUndefined();
  });
});
