/** The simulated RRAS server as an API: pages, codes, memory. */
import { describe, expect, it } from 'vitest';
import type { Handle, RrasApi } from '../../../src/model/rras-api.ts';
import {
  INVALID_HANDLE_VALUE,
  MPR_INTERFACE_0,
  MPR_INTERFACE_2,
  MPR_SERVER_0,
  PREFER_ALL,
  RAS_CONNECTION_OBJECT,
} from '../../../src/native/layout.ts';
import { createSimulator, type SimulatorOptions } from '../../../src/native/simulator/server.ts';
import { FakeClock } from '../../doubles/fake-clock.ts';
import { callPage, connect, type Kind, readAll, Rec, STRUCT_OF, takeRecords } from './records.ts';

const KINDS: readonly Kind[] = ['level4', 'ex', 'ports', 'interfaces'];

async function start(options: Partial<SimulatorOptions> = {}) {
  const clock = new FakeClock();
  const sim = createSimulator({ scenario: 'office', seed: 7, clock, ...options });
  return { clock, sim, handle: await connect(sim) };
}

async function interfaceHandle(sim: RrasApi, handle: Handle, name: string): Promise<Handle> {
  const found = await sim.interfaceGetHandle(handle, name, false);
  expect(found.code).toBe(0);
  return found.handle;
}

describe('pages', () => {
  it.each(KINDS)('of any preferred length add up to exactly the full answer (%s)', async (kind) => {
    const { sim, handle } = await start();
    const { size } = STRUCT_OF[kind];
    const whole = Buffer.concat((await readAll(sim, handle, kind)).map((r) => r.bytes));
    for (const length of [size, size + 1, 3 * size - 1, 3 * size, 10 * size, 100_000, 10_000_000]) {
      const paged = Buffer.concat((await readAll(sim, handle, kind, length)).map((r) => r.bytes));
      expect(paged.equals(whole)).toBe(true);
    }
    expect(sim.ledger.live).toBe(0);
  });

  it.each(KINDS)('hold one record more than fits, and none if not one fits (%s)', async (kind) => {
    const { sim, handle } = await start();
    const { size } = STRUCT_OF[kind];
    for (const [length, entries] of [
      [size, 2],
      [2 * size - 1, 2],
      [2 * size, 3],
    ] as const) {
      const page = await callPage(sim, handle, kind, length);
      expect(page).toMatchObject({ code: 234, entriesRead: entries });
      takeRecords(page, kind);
    }
    for (const length of [0, 1, size - 1]) {
      const page = await callPage(sim, handle, kind, length, 3);
      expect(page).toMatchObject({ code: 234, entriesRead: 0, buffer: null, resumeHandle: 3 });
    }
  });

  it('are cut by maxPageRecords even when everything is asked for', async () => {
    const { sim, handle } = await start({ maxPageRecords: 17 });
    const first = await callPage(sim, handle, 'level4');
    expect(first).toMatchObject({ code: 234, entriesRead: 17, resumeHandle: 17 });
    takeRecords(first, 'level4');
    const all = await readAll(sim, handle, 'level4');
    expect(all.length).toBe(sim.liveSessions().length);
    expect(first.totalEntries).toBe(all.length);
    expect(new Set(all.map((r) => r.u64('hConnection'))).size).toBe(all.length);
  });

  it('count the rest from the current position', async () => {
    const { sim, handle } = await start();
    const first = await callPage(sim, handle, 'ports', 392);
    takeRecords(first, 'ports');
    const second = await callPage(sim, handle, 'ports', 392, first.resumeHandle);
    takeRecords(second, 'ports');
    expect(second.totalEntries).toBe(first.totalEntries - 2);
  });

  it('end with code 0 and no entries past the end of the list', async () => {
    const { sim, handle } = await start();
    const page = await callPage(sim, handle, 'level4', PREFER_ALL, 99_999);
    expect(page).toMatchObject({ code: 0, entriesRead: 0, buffer: null, resumeHandle: 0 });
  });

  it('may tear while sessions come and go between them, as the real ones may', async () => {
    const { sim, clock, handle } = await start({ scenario: 'flapping' });
    let torn = 0;
    for (let round = 0; round < 30; round++) {
      const handles: bigint[] = [];
      for (let resume = 0, code = 234; code === 234;) {
        const page = await callPage(sim, handle, 'level4', 4 * 1696, resume);
        handles.push(...takeRecords(page, 'level4').map((r) => r.u64('hConnection')));
        ({ code } = page);
        resume = page.resumeHandle;
        await clock.advance(400);
      }
      if (new Set(handles).size < handles.length) torn++;
    }
    expect(torn).toBeGreaterThan(0);
  });
});

describe('codes', () => {
  it.each(KINDS)('refuse a handle that was never given out, or was given back: 1702 (%s)', async (kind) => {
    const { sim, handle } = await start();
    expect((await callPage(sim, 1n, kind)).code).toBe(1702);
    await sim.serverDisconnect(handle);
    expect(await callPage(sim, handle, kind)).toMatchObject({ code: 1702, entriesRead: 0, buffer: null });
    expect((await sim.serverGetInfo(handle, 0)).code).toBe(1702);
    expect(sim.ledger).toMatchObject({ opened: 1, closed: 1, strayHandles: 3 });
  });

  it('refuse wrong levels: 124 for connections and interface info, 50 for ports and interfaces', async () => {
    const { sim, handle } = await start();
    for (const level of [0, 3, 5]) {
      expect((await sim.connectionEnum(handle, level, PREFER_ALL, 0)).code).toBe(124);
    }
    expect((await sim.portEnum(handle, 1, INVALID_HANDLE_VALUE, PREFER_ALL, 0)).code).toBe(50);
    expect((await sim.interfaceEnum(handle, 1, PREFER_ALL, 0)).code).toBe(50);
    const lan = await interfaceHandle(sim, handle, 'Ethernet');
    expect((await sim.interfaceGetInfo(handle, lan, 7)).code).toBe(124);
  });

  it('refuse a header that is not that of RAS_CONNECTION_EX: 87', async () => {
    const { sim, handle } = await start();
    for (const wrong of [{ revision: 2 }, { type: 2 }, { size: 1696 }]) {
      const page = await sim.connectionEnumEx(handle, { ...RAS_CONNECTION_OBJECT, ...wrong }, PREFER_ALL, 0);
      expect(page).toMatchObject({ code: 87, entriesRead: 0, buffer: null });
    }
  });

  it('refuse NULL for all ports: 6, and take a connection for its own port', async () => {
    const { sim, handle } = await start();
    expect((await sim.portEnum(handle, 0, 0n, PREFER_ALL, 0)).code).toBe(6);
    expect((await sim.portEnum(handle, 0, 0xdead_beefn, PREFER_ALL, 0)).code).toBe(6);
    const [connection] = await readAll(sim, handle, 'level4');
    const id = connection!.u64('hConnection');
    const ports = takeRecords(await sim.portEnum(handle, 0, id, PREFER_ALL, 0), 'ports');
    expect(ports.map((p) => p.u64('hConnection'))).toEqual([id]);
  });

  it('refuse an unknown interface: 905 by name, 6 by handle', async () => {
    const { sim, handle } = await start();
    expect(await sim.interfaceGetHandle(handle, 'Site-Atlantis', true)).toEqual({ code: 905, handle: 0n });
    expect((await sim.interfaceGetInfo(handle, 0xffffn, 0)).code).toBe(6);
  });

  it('find a client interface only if asked to', async () => {
    const { sim, handle } = await start();
    const client = (await readAll(sim, handle, 'interfaces')).find((r) => r.u32('dwIfType') === 0)!;
    const name = client.text('wszInterfaceName');
    expect((await sim.interfaceGetHandle(handle, name, false)).code).toBe(905);
    const found = await sim.interfaceGetHandle(handle, name, true);
    expect(found).toEqual({ code: 0, handle: client.u64('hInterface') });
    const info = await sim.interfaceGetInfo(handle, found.handle, 0);
    expect(Buffer.from(info.buffer!.view(MPR_INTERFACE_0.size)).equals(client.bytes)).toBe(true);
    expect((await sim.interfaceGetInfo(handle, found.handle, 2)).code).toBe(124);
  });

  it('have a text for some codes and none for others', async () => {
    const { sim } = await start();
    expect(await sim.errorString(5)).toBe('Access is denied.');
    expect(await sim.errorString(424_242)).toBeNull();
  });
});

describe('states', () => {
  const allCodes = async (sim: RrasApi, handle: Handle) => ({
    initialized: (await sim.isServiceInitialized(null)).code,
    info: (await sim.serverGetInfo(handle, 0)).code,
    level4: (await callPage(sim, handle, 'level4')).code,
    ex: (await callPage(sim, handle, 'ex')).code,
    ports: (await callPage(sim, handle, 'ports')).code,
    interfaces: (await callPage(sim, handle, 'interfaces')).code,
    byName: (await sim.interfaceGetHandle(handle, 'Ethernet', false)).code,
    byHandle: (await sim.interfaceGetInfo(handle, 3n, 0)).code,
  });
  const every = (code: number, initialized = code) => ({
    initialized,
    info: code,
    level4: code,
    ex: code,
    ports: code,
    interfaces: code,
    byName: code,
    byHandle: code,
  });

  it('running, stopped, LAN-only and denied answer with their codes, and the change is immediate', async () => {
    const { sim, handle } = await start();
    expect(await allCodes(sim, handle)).toEqual(every(0));
    sim.state = 'stopped';
    expect(await allCodes(sim, handle)).toEqual(every(1722, 1062));
    sim.state = 'denied';
    expect(await allCodes(sim, handle)).toEqual(every(5));
    expect((await sim.serverConnect(null)).code).toBe(0);
    sim.state = 'lan_only';
    expect(await allCodes(sim, handle)).toEqual({ ...every(0), level4: 903, ex: 903, ports: 903 });
    sim.state = 'running';
    expect(await allCodes(sim, handle)).toEqual(every(0));
  });

  it('LAN-only says so in the server information and lists the LAN interfaces', async () => {
    const { sim, handle } = await start({ state: 'lan_only' });
    const info = new Rec(MPR_SERVER_0, (await sim.serverGetInfo(handle, 0)).buffer!.view(16));
    expect(info.u32('fLanOnlyMode')).toBe(1);
    const names = (await readAll(sim, handle, 'interfaces')).map((r) => r.text('wszInterfaceName'));
    expect(names).toEqual(['Loopback', 'Internal', 'Ethernet', 'Ethernet 2']);
  });

  it('a server without level 4 answers 124 and still has EnumEx', async () => {
    const { sim, handle } = await start({ exOnly: true });
    expect((await callPage(sim, handle, 'level4')).code).toBe(124);
    expect((await readAll(sim, handle, 'ex')).length).toBe(sim.liveSessions().length);
    sim.exOnly = false;
    expect((await readAll(sim, handle, 'level4')).length).toBe(sim.liveSessions().length);
  });
});

describe('memory', () => {
  it('counts every block that it gave out and got back', async () => {
    const { sim, handle } = await start();
    const pages = [await callPage(sim, handle, 'level4'), await callPage(sim, handle, 'ports')];
    const info = await sim.serverGetInfo(handle, 0);
    expect(sim.ledger).toMatchObject({ allocations: 3, frees: 0, live: 3 });
    for (const { buffer } of [...pages, info]) buffer!.free();
    expect(sim.ledger).toMatchObject({ allocations: 3, frees: 3, live: 0 });
  });

  it('is fresh for every call', async () => {
    const { sim, handle } = await start();
    const first = await callPage(sim, handle, 'level4');
    const second = await callPage(sim, handle, 'level4');
    const view = first.buffer!.view(1696);
    second.buffer!.view(1696).fill(1);
    expect(Buffer.from(view).equals(Buffer.alloc(1696, 1))).toBe(false);
    const third = await callPage(sim, handle, 'level4');
    expect(Buffer.from(third.buffer!.view(1696)).equals(Buffer.from(view))).toBe(true);
  });

  it('ends where the records end', async () => {
    const { sim, handle } = await start();
    const page = await callPage(sim, handle, 'ex');
    expect(page.buffer!.view(page.entriesRead * 1672).length).toBe(page.entriesRead * 1672);
    expect(() => page.buffer!.view(page.entriesRead * 1672 + 1)).toThrow(RangeError);
  });

  it('is poisoned by free, cannot be viewed after it and not freed twice', async () => {
    const { sim, handle } = await start();
    const { buffer, entriesRead } = await callPage(sim, handle, 'interfaces');
    const view = buffer!.view(entriesRead * MPR_INTERFACE_0.size);
    buffer!.free();
    expect(view.every((byte) => byte === 0xdd)).toBe(true);
    expect(() => buffer!.view(1)).toThrow('freed');
    expect(() => buffer!.free()).toThrow('freed twice');
    expect(sim.ledger.frees).toBe(1);
  });

  it('holds 4-byte and 8-byte members aligned', async () => {
    const { sim, handle } = await start();
    const { buffer, entriesRead } = await callPage(sim, handle, 'level4');
    const view = buffer!.view(entriesRead * 1696);
    expect(view.byteOffset % 8).toBe(0);
  });
});

describe('records', () => {
  it('of level 4 pass the plausibility check of mprapi-facts 5.7', async () => {
    const { sim, clock, handle } = await start();
    await clock.advance(1_234_567);
    for (const record of await readAll(sim, handle, 'level4')) {
      const age = clock.wallSeconds() - record.seconds('connectionStartTime');
      expect(Math.abs(age - record.u32('dwConnectDuration'))).toBeLessThanOrEqual(1);
      expect(record.text('wszRemoteEndpointAddress')).toMatch(/^[0-9a-f.:]{7,}$/u);
      expect([8, 9, 14, 15]).toContain(record.u32('dwDeviceType') & 0xffff);
      const ikev2 = (record.u32('dwDeviceType') & 0xffff) === 15;
      expect(record.u8('ProjectionInfo.projectionInfoType')).toBe(ikev2 ? 2 : 1);
      expect(record.u32('dwConnectionFlags') & 0x11).toBe(ikev2 ? 0x10 : 0x01);
    }
  });

  it('carry the class bit of the device type now and then', async () => {
    const { sim, handle } = await start();
    const types = (await readAll(sim, handle, 'level4')).map((r) => r.u32('dwDeviceType') >>> 16);
    expect(new Set(types)).toEqual(new Set([0, 1]));
  });

  it('have legal authentication and encryption, the inner method in level 4 only for PEAP', async () => {
    const { sim, handle } = await start({ scenario: 'large', connections: 3000 });
    const seen = new Map<string, Set<number>>();
    const note = (what: string, value: number) => seen.set(what, (seen.get(what) ?? new Set()).add(value));
    const ppp = 'ProjectionInfo.Anonymous.PppProjectionInfo.';
    const ikev2 = 'ProjectionInfo.Anonymous.Ikev2ProjectionInfo.';
    const wide = await readAll(sim, handle, 'level4');
    const narrow = await readAll(sim, handle, 'ex');
    wide.forEach((record, i) => {
      const isIkev2 = record.u8('ProjectionInfo.projectionInfoType') === 2;
      const union = isIkev2 ? ikev2 : ppp;
      const eap = record.u32(`${union}dwEapTypeId`);
      const inner = record.u32(`${union}dwEmbeddedEAPTypeId`);
      expect(inner !== 0).toBe(eap === 25);
      for (const field of ['dwEapTypeId', 'dwAuthenticationProtocol', 'dwPrefixLength']) {
        expect(narrow[i]!.u32(`${union}${field}`)).toBe(record.u32(`${union}${field}`));
      }
      note('eap', eap);
      note(isIkev2 ? 'ikev2 auth' : 'ppp auth', record.u32(`${union}dwAuthenticationProtocol`));
      if (isIkev2) note('cipher', record.u32(`${union}dwEncryptionMethod`));
      else {
        note('ccp', record.u32(`${union}dwCcpOptions`));
        note('lcp', record.u32(`${union}dwLcpOptions`));
      }
      note('quarantine', record.u32('rasQuarState'));
      if (record.u32('rasQuarState') === 2) {
        expect(record.seconds('probationTime') - record.seconds('connectionStartTime')).toBeCloseTo(3600);
      }
      if (record.u32(`${union}dwPrefixLength`)) {
        expect(record.hex(`${union}bPrefix`)).toMatch(/^20010db87[78]/u);
      }
    });
    const values = (what: string) => [...seen.get(what)!].sort((a, b) => a - b);
    expect(values('eap')).toEqual([0, 13, 21, 25, 26]);
    expect(values('ikev2 auth')).toEqual([1, 2]);
    expect(values('ppp auth')).toEqual([0, 0xc023, 0xc223, 0xc227]);
    expect(values('cipher')).toEqual([2, 3, 4, 5]);
    expect(values('quarantine')).toEqual([0, 1, 2, 3]);
    expect(values('ccp')).toContain(0x0100_0041);
    expect(values('lcp')).toContain(0x86);
  });

  it('of EnumEx begin with their header', async () => {
    const { sim, handle } = await start();
    for (const record of await readAll(sim, handle, 'ex')) {
      expect(record.hex('Header.size') + record.hex('Header.revision') + record.hex('Header.type')).toBe(
        '88060101',
      );
    }
  });

  it('keep their start time when the system clock jumps, and later ones have the new time', async () => {
    const { sim, clock, handle } = await start({ scenario: 'flapping' });
    const starts = async () =>
      new Map(
        (await readAll(sim, handle, 'level4')).map((r) => [r.hex('guid'), r.seconds('connectionStartTime')]),
      );
    const before = await starts();
    await clock.advance(1000);
    clock.jumpWall(86_400);
    const after = await starts();
    for (const [guid, seconds] of after) expect(seconds).toBe(before.get(guid) ?? seconds);
    await clock.advance(30_000);
    const young = (await readAll(sim, handle, 'level4')).filter((r) => r.u32('dwConnectDuration') < 20);
    expect(young.length).toBeGreaterThan(0);
    for (const record of young) {
      expect(clock.wallSeconds() - record.seconds('connectionStartTime')).toBeLessThan(21);
    }
  });

  it('of ports agree with the connections', async () => {
    const { sim, handle } = await start();
    const DEVICE = new Map([
      [8, 'WAN Miniport (PPTP)'],
      [9, 'WAN Miniport (L2TP)'],
      [14, 'WAN Miniport (SSTP)'],
      [15, 'WAN Miniport (IKEv2)'],
    ]);
    const ports = await readAll(sim, handle, 'ports');
    const byConnection = new Map(ports.map((p) => [p.u64('hConnection'), p]));
    const connections = await readAll(sim, handle, 'level4');
    for (const connection of connections) {
      const port = byConnection.get(connection.u64('hConnection'))!;
      expect(port.text('wszDeviceName')).toBe(DEVICE.get(connection.u32('dwDeviceType') & 0xffff));
      expect(port.u32('dwPortCondition')).toBe(5);
      expect(port.u32('dwConnectDuration')).toBe(connection.u32('dwConnectDuration'));
      expect(port.u32('dwTotalNumberOfCalls')).toBeGreaterThan(0);
    }
    const idle = ports.filter((p) => p.u64('hConnection') === 0n);
    expect(idle.length).toBe(ports.length - connections.length);
    expect(idle.every((p) => [3, 4].includes(p.u32('dwPortCondition')))).toBe(true);
    expect(new Set(ports.map((p) => p.u64('hPort'))).size).toBe(ports.length);
    expect(new Set(ports.map((p) => p.text('wszPortName'))).size).toBe(ports.length);
    const info = new Rec(MPR_SERVER_0, (await sim.serverGetInfo(handle, 0)).buffer!.view(16));
    expect(info.u32('dwTotalPorts')).toBe(ports.length);
    expect(info.u32('dwPortsInUse')).toBe(connections.length);
  });

  it('of ports count one call more for every session that starts', async () => {
    const { sim, clock, handle } = await start({ scenario: 'flapping' });
    const calls = async () =>
      (await readAll(sim, handle, 'ports')).reduce((sum, p) => sum + p.u32('dwTotalNumberOfCalls'), 0);
    const from = clock.monotonicMs();
    const before = await calls();
    await clock.advance(300_000);
    const started = sim
      .trafficBetween(from, clock.monotonicMs())
      .reduce((sum, row) => sum + row.sessionsStarted, 0);
    expect((await calls()) - before).toBe(started);
    expect(started).toBeGreaterThan(100);
  });

  it('of ports show logons now and then', async () => {
    const { sim, clock, handle } = await start({ scenario: 'flapping' });
    let logons = 0;
    for (let i = 0; i < 60; i++) {
      await clock.advance(1000);
      const ports = await readAll(sim, handle, 'ports');
      logons += ports.filter((p) => p.u32('dwPortCondition') === 4).length;
    }
    expect(logons).toBeGreaterThan(20);
  });

  it('of interfaces list each connected client once, under its connection’s name and handle', async () => {
    const { sim, handle } = await start();
    const key = (r: Rec) => `${r.u64('hInterface')} ${r.text('wszInterfaceName')}`;
    const clients = (await readAll(sim, handle, 'interfaces')).filter((r) => r.u32('dwIfType') === 0);
    const connections = (await readAll(sim, handle, 'level4')).filter((r) => r.u32('dwInterfaceType') === 0);
    expect(clients.map(key).sort()).toEqual(connections.map(key).sort());
  });

  it('of level 2 tell what the phone-book entry says, for demand-dial interfaces only', async () => {
    const { sim, clock, handle } = await start();
    const berlin = await interfaceHandle(sim, handle, 'Site-Berlin');
    const { code, buffer } = await sim.interfaceGetInfo(handle, berlin, 2);
    expect(code).toBe(0);
    const persistent = new Rec(MPR_INTERFACE_2, buffer!.view(MPR_INTERFACE_2.size));
    expect(persistent.text('wszInterfaceName')).toBe('Site-Berlin');
    expect(persistent.u32('dwConnectionState')).toBe(3);
    expect(persistent.u32('dwIdleDisconnectSeconds')).toBe(0xffff_ffff);
    expect(persistent.text('szLocalPhoneNumber')).toBe('berlin.vpn.example.com');
    expect(persistent.text('szDeviceName')).toBe('WAN Miniport (IKEv2)');
    expect(persistent.u32('dwVpnStrategy')).toBe(7);

    const zuerich = await interfaceHandle(sim, handle, 'Branch Zürich');
    const onDemand = (await sim.interfaceGetInfo(handle, zuerich, 2)).buffer!;
    expect(new Rec(MPR_INTERFACE_2, onDemand.view(MPR_INTERFACE_2.size)).u32('dwIdleDisconnectSeconds')).toBe(
      300,
    );

    await clock.advance(86_400_000);
    const later = (await sim.interfaceGetInfo(handle, berlin, 2)).buffer!;
    expect(new Rec(MPR_INTERFACE_2, later.view(MPR_INTERFACE_2.size)).hex('guidId')).toBe(
      persistent.hex('guidId'),
    );
    for (const name of ['Ethernet', 'Internal', 'Loopback', 'Lager Süd']) {
      const other = await interfaceHandle(sim, handle, name);
      expect((await sim.interfaceGetInfo(handle, other, 2)).code).toBe(124);
    }
  });

  it('of connected site links have their connection', async () => {
    const { sim, handle } = await start();
    const sites = (await readAll(sim, handle, 'level4')).filter((r) => r.u32('dwInterfaceType') !== 0);
    const up = sim.links().filter((link) => link.state === 'connected');
    expect(sites.map((r) => r.text('wszInterfaceName')).sort()).toEqual(up.map((l) => l.name).sort());
    for (const record of sites) {
      const found = await sim.interfaceGetHandle(handle, record.text('wszInterfaceName'), false);
      expect(record.u64('hInterface')).toBe(found.handle);
    }
    expect(sites.map((r) => r.u32('dwInterfaceType'))).toContain(1);
  });
});
