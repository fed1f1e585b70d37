/** What the simulated server does when it is told to: dials that work or fail, sessions that end, and its truth after. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Handle } from '../../../src/model/rras-api.ts';
import { encodeUpdateConnection } from '../../../src/native/encode.ts';
import { INVALID_HANDLE_VALUE, MPR_INTERFACE_0, PREFER_ALL } from '../../../src/native/layout.ts';
import { createSimulator, type SimulatorOptions } from '../../../src/native/simulator/server.ts';
import type { TrueSession } from '../../../src/native/simulator/truth.ts';
import { FakeClock } from '../../doubles/fake-clock.ts';
import { connect, readAll, Rec } from './records.ts';

const MINUTE = 60_000;

async function start(options: Partial<SimulatorOptions> = {}) {
  const clock = new FakeClock();
  const sim = createSimulator({ scenario: 'office', seed: 1, clock, ...options });
  const handle = await connect(sim);
  const handleOf = async (name: string): Promise<Handle> =>
    (await sim.interfaceGetHandle(handle, name, false)).handle;
  const dial = async (name: string) => (await sim.interfaceConnect(handle, await handleOf(name))).code;
  const hangUp = async (name: string) => (await sim.interfaceDisconnect(handle, await handleOf(name))).code;
  const link = (name: string) => sim.links().find((each) => each.name === name)!;
  const state = (name: string) => {
    const { state, reasons, lastError } = link(name);
    return [state, reasons, lastError];
  };
  /** As the records say. */
  const told = async (name: string) => {
    const { buffer } = await sim.interfaceGetInfo(handle, await handleOf(name), 0);
    const record = new Rec(MPR_INTERFACE_0, buffer!.view(MPR_INTERFACE_0.size));
    buffer!.free();
    return ['dwConnectionState', 'fUnReachabilityReasons', 'dwLastError'].map((path) => record.u32(path));
  };
  const sessionOf = async (name: string) =>
    (await readAll(sim, handle, 'level4')).find((record) => record.text('wszInterfaceName') === name);
  const settled = async (name: string) => {
    while (link(name).state === 'connecting') await clock.advance(100);
    return state(name);
  };
  return { clock, sim, handle, handleOf, dial, hangUp, link, state, told, sessionOf, settled };
}

describe('a dial by command', () => {
  it('of a link that has given up takes some seconds and brings a session of its own', async () => {
    const { clock, sim, dial, state, told, sessionOf } = await start();
    await clock.advance(MINUTE);
    const from = clock.monotonicMs();
    expect(state('Site-Lisboa')).toEqual(['unreachable', 4, 809]);
    expect(await dial('Site-Lisboa')).toBe(600);
    expect(state('Site-Lisboa')).toEqual(['connecting', 0, 809]);
    expect(await told('Site-Lisboa')).toEqual([2, 0, 809]);
    expect(await dial('Site-Lisboa')).toBe(910);
    expect(await sessionOf('Site-Lisboa')).toBeUndefined();
    await clock.advance(4000);
    expect(state('Site-Lisboa')).toEqual(['connected', 0, 0]);
    expect(await told('Site-Lisboa')).toEqual([3, 0, 0]);
    expect(await dial('Site-Lisboa')).toBe(0);
    const record = (await sessionOf('Site-Lisboa'))!;
    expect(record.u32('dwInterfaceType')).toBe(2);
    const site = sim.liveSessions().find(({ handle }) => BigInt(handle) === record.u64('hConnection'))!;
    expect(site.startMs).toBeGreaterThan(from + 1000);
    expect(site.endMs).toBe(site.startMs + 20 * MINUTE);
    await clock.advance(site.endMs - clock.monotonicMs() - 1);
    expect(state('Site-Lisboa')).toEqual(['connected', 0, 0]);
    await clock.advance(1);
    expect(state('Site-Lisboa')).toEqual(['unreachable', 4, 809]);
  });

  it('of a link that needs two fails once, each time anew', async () => {
    const { dial, hangUp, settled } = await start();
    for (let round = 0; round < 2; round += 1) {
      expect(await dial('Branch Łódź')).toBe(600);
      expect(await settled('Branch Łódź')).toEqual(['unreachable', 4, 691]);
      expect(await dial('Branch Łódź')).toBe(600);
      expect(await settled('Branch Łódź')).toEqual(['connected', 0, 0]);
      expect(await hangUp('Branch Łódź')).toBe(0);
    }
  });

  it('of a link that never works fails each time', async () => {
    const { clock, dial, settled, link } = await start();
    for (let round = 0; round < 5; round += 1) {
      while (link('Site-Madrid').state === 'connecting') await clock.advance(100);
      expect(await dial('Site-Madrid')).toBe(600);
      expect(await settled('Site-Madrid')).toEqual(['unreachable', 4, 868]);
    }
  });

  it('of a link that is between two sessions takes the place of its own next dial', async () => {
    const { clock, sim, dial, hangUp, state, settled } = await start();
    while (state('Site-Paris')[0] !== 'unreachable') await clock.advance(500);
    expect(await dial('Site-Paris')).toBe(600);
    expect(await settled('Site-Paris')).toEqual(['connected', 0, 0]);
    expect(await hangUp('Site-Paris')).toBe(0);
    expect(state('Site-Paris')).toEqual(['disconnected', 0, 0]);
    // Then it goes on by itself: it dials in vain, and connects when it would have connected.
    const seen = new Set<string>();
    const from = clock.monotonicMs();
    for (let i = 0; i < 1000; i += 1) {
      await clock.advance(1000);
      seen.add(state('Site-Paris').join(' '));
    }
    expect(seen).toEqual(
      new Set(['disconnected 0 0', 'connecting 0 809', 'unreachable 4 809', 'connected 0 0']),
    );
    const started = sim
      .trafficBetween(from, clock.monotonicMs())
      .find(({ tunnel, role }) => tunnel === 'ikev2' && role === 'site')!.sessionsStarted;
    expect(started).toBeGreaterThanOrEqual(2);
  });

  it.each([
    ['slow', { dialMs: 45_000 }, 45_000, ['connected', 0, 0]],
    ['slow and in vain', { dialMs: 45_000, failures: 1, error: 678 }, 45_000, ['unreachable', 4, 678]],
  ] as const)('may be %s', async (_, faults, afterMs, end) => {
    const { clock, dial, state } = await start({ faults: { 'Site-Lisboa': faults } });
    expect(await dial('Site-Lisboa')).toBe(600);
    await clock.advance(afterMs - 1);
    expect(state('Site-Lisboa')[0]).toBe('connecting');
    await clock.advance(1);
    expect(state('Site-Lisboa')).toEqual(end);
  });

  it('may stay pending for ever, until it is hung up', async () => {
    const { clock, sim, dial, hangUp, state, settled } = await start();
    sim.setFaults('Site-Lisboa', { dialMs: Infinity });
    expect(await dial('Site-Lisboa')).toBe(600);
    await clock.advance(10 * 60 * MINUTE);
    expect(state('Site-Lisboa')).toEqual(['connecting', 0, 809]);
    expect(await hangUp('Site-Lisboa')).toBe(0);
    expect(state('Site-Lisboa')).toEqual(['disconnected', 0, 809]);
    expect(await hangUp('Site-Lisboa')).toBe(906);
    sim.setFaults('Site-Lisboa', null);
    expect(await dial('Site-Lisboa')).toBe(600);
    expect(await settled('Site-Lisboa')).toEqual(['connected', 0, 0]);
  });

  it('that is cancelled has neither worked nor failed', async () => {
    const { dial, hangUp, settled } = await start();
    expect(await dial('Branch Łódź')).toBe(600);
    expect(await hangUp('Branch Łódź')).toBe(0);
    expect(await dial('Branch Łódź')).toBe(600);
    expect(await settled('Branch Łódź')).toEqual(['unreachable', 4, 691]);
  });

  it('that is cancelled leaves no trace in the truth', async () => {
    const { clock, sim, handle, dial, hangUp } = await start();
    const other = await start();
    const from = clock.monotonicMs();
    expect(await dial('Site-Lisboa')).toBe(600);
    await clock.advance(1000);
    expect(await hangUp('Site-Lisboa')).toBe(0);
    await clock.advance(MINUTE);
    await other.clock.advance(MINUTE + 1000);
    const until = clock.monotonicMs();
    expect(sim.trafficBetween(from, until)).toEqual(other.sim.trafficBetween(from, until));
    const ports = async (each: typeof sim) =>
      (await readAll(each, handle, 'ports')).map(({ bytes }) => bytes);
    expect(await ports(sim)).toEqual(await ports(other.sim));
  });

  it('fails n times and then works, or for ever with the code that was asked for', async () => {
    const faults = { 'Site-Lisboa': { failures: 3, error: 789 }, 'Site-Paris': { failures: Infinity } };
    const { clock, dial, settled, state } = await start({ faults });
    for (const end of ['unreachable', 'unreachable', 'unreachable', 'connected']) {
      expect(await dial('Site-Lisboa')).toBe(600);
      expect((await settled('Site-Lisboa'))[0]).toBe(end);
    }
    while (state('Site-Paris')[0] !== 'unreachable') await clock.advance(500);
    expect(await dial('Site-Paris')).toBe(600);
    expect(await settled('Site-Paris')).toEqual(['unreachable', 4, 809]);
  });

  it('is refused where it cannot be: disabled, no device, as scripted, no link, no role, no server', async () => {
    const { sim, handle, handleOf, dial } = await start({ faults: { 'Site-Lisboa': { refusal: 928 } } });
    expect(await dial('Site-Oslo')).toBe(916);
    expect(await dial('Site-Lisboa')).toBe(928);
    expect(await dial('Ethernet')).toBe(87);
    expect((await sim.interfaceConnect(handle, 0x7777n)).code).toBe(6);
    expect((await sim.interfaceDisconnect(handle, 0x7777n)).code).toBe(6);
    const paris = await handleOf('Site-Paris');
    for (const [state, code] of [
      ['lan_only', 903],
      ['stopped', 1722],
      ['denied', 5],
    ] as const) {
      sim.state = state;
      expect((await sim.interfaceConnect(handle, paris)).code).toBe(code);
      expect((await sim.interfaceDisconnect(handle, paris)).code).toBe(code);
      expect((await sim.portDisconnect(handle, 0x300n)).code).toBe(code);
    }
    sim.state = 'running';
    expect((await sim.interfaceConnect(0x1n, paris)).code).toBe(1702);
    const storm = await start({ scenario: 'storm' });
    expect(await storm.dial('Storm-02')).toBe(925);
    expect(await storm.dial('Storm-04')).toBe(600);
    expect(await storm.settled('Storm-04')).toEqual(['unreachable', 4, 944]);
    expect(() => sim.setFaults('Site-Nowhere', null)).toThrow('there is no link Site-Nowhere');
  });

  it('can be scripted to answer any code without doing anything', async () => {
    const { sim, dial, hangUp, state } = await start();
    sim.actCodes = { interfaceConnect: 1726, interfaceDisconnect: 4711 };
    expect(await dial('Site-Lisboa')).toBe(1726);
    expect(state('Site-Lisboa')[0]).toBe('unreachable');
    expect(await hangUp('Site-Berlin')).toBe(4711);
    sim.actCodes = {};
    expect(await dial('Site-Lisboa')).toBe(600);
  });
});

describe('a hang-up', () => {
  it('of a steady link leaves it idle, and a dial brings it back', async () => {
    const { clock, sim, dial, hangUp, state, settled, sessionOf } = await start();
    const before = (await sessionOf('Site-Berlin'))!;
    expect(await hangUp('Site-Berlin')).toBe(0);
    expect(state('Site-Berlin')).toEqual(['disconnected', 0, 0]);
    expect(await sessionOf('Site-Berlin')).toBeUndefined();
    await clock.advance(MINUTE);
    expect(state('Site-Berlin')).toEqual(['disconnected', 0, 0]);
    expect(await dial('Site-Berlin')).toBe(600);
    expect(await settled('Site-Berlin')).toEqual(['connected', 0, 0]);
    const after = (await sessionOf('Site-Berlin'))!;
    expect(after.hex('guid')).not.toBe(before.hex('guid'));
    expect(after.u64('ullBytesRcved')).toBeLessThan(before.u64('ullBytesRcved'));
    // Its own next session follows at once.
    const dialled = sim.liveSessions().find(({ guid }) => guid === after.hex('guid'))!;
    await clock.advance(dialled.endMs - clock.monotonicMs());
    expect(state('Site-Berlin')).toEqual(['connected', 0, 0]);
    expect((await sessionOf('Site-Berlin'))!.hex('guid')).not.toBe(after.hex('guid'));
  });

  it('of a port ends its session, and the next one of the same user comes as scheduled', async () => {
    const { clock, sim, handle } = await start({ scenario: 'flapping' });
    const fresh = await start({ scenario: 'flapping' });
    const victim = sim.liveSessions().find(({ role }) => role === 'client')!;
    const ports = await readAll(sim, handle, 'ports');
    const port = ports.find((each) => each.u64('hConnection') === BigInt(victim.handle))!;
    expect((await sim.portDisconnect(handle, port.u64('hPort'))).code).toBe(0);
    expect(sim.liveSessions().some(({ guid }) => guid === victim.guid)).toBe(false);
    expect(
      (await readAll(sim, handle, 'ports')).some((each) => each.u64('hConnection') === BigInt(victim.handle)),
    ).toBe(false);
    expect((await sim.portDisconnect(handle, 0x2ffn)).code).toBe(87);
    await clock.advance(5 * MINUTE);
    await fresh.clock.advance(5 * MINUTE);
    expect(sim.liveSessions()).toEqual(fresh.sim.liveSessions());
  });

  it('of a client interface ends its session, too', async () => {
    const { sim, handle } = await start();
    const [client] = (await readAll(sim, handle, 'level4')).filter(
      (each) => each.u32('dwInterfaceType') === 0,
    );
    expect((await sim.interfaceConnect(handle, client!.u64('hInterface'))).code).toBe(87);
    expect((await sim.interfaceDisconnect(handle, client!.u64('hInterface'))).code).toBe(0);
    expect(
      (await readAll(sim, handle, 'level4')).some((each) => each.hex('guid') === client!.hex('guid')),
    ).toBe(false);
  });
});

describe('a move', () => {
  const update = (remote: string, local = '198.51.100.7') =>
    encodeUpdateConnection({ interfaceIndex: 12, localAddress: local, remoteAddress: remote });

  it('of an IKEv2 connection shows in both structures as one more switch-over, and roaming goes on', async () => {
    const { clock, sim, handle } = await start();
    const roamer = (await readAll(sim, handle, 'level4')).find(
      (each) => each.u8('ProjectionInfo.projectionInfoType') === 2 && each.u32('dwNumSwitchOvers') > 3,
    )!;
    const again = async (kind: 'level4' | 'ex') =>
      (await readAll(sim, handle, kind)).find((each) => each.hex('guid') === roamer.hex('guid'))!;
    const before = roamer.u32('dwNumSwitchOvers');
    expect((await sim.updateConnection(handle, roamer.u64('hConnection'), update('203.0.113.99'))).code).toBe(
      0,
    );
    for (const kind of ['level4', 'ex'] as const) {
      const record = await again(kind);
      expect(record.u32('dwNumSwitchOvers')).toBe(before + 1);
      expect(record.text('wszRemoteEndpointAddress')).toBe('203.0.113.99');
      expect(record.text('wszLocalEndpointAddress')).toBe('198.51.100.7');
    }
    expect(sim.liveSessions().find(({ guid }) => guid === roamer.hex('guid'))!.switchovers).toBe(before + 1);
    while ((await again('level4')).u32('dwNumSwitchOvers') === before + 1) await clock.advance(1000);
    const roamed = await again('level4');
    expect(roamed.text('wszRemoteEndpointAddress')).not.toBe('203.0.113.99');
    expect(roamed.text('wszLocalEndpointAddress')).toBe('198.51.100.7');
  });

  it('of another tunnel, of none and with another header is refused', async () => {
    const { sim, handle } = await start();
    const records = await readAll(sim, handle, 'level4');
    const ppp = records
      .find((each) => each.u8('ProjectionInfo.projectionInfoType') === 1)!
      .u64('hConnection');
    const ikev2 = records
      .find((each) => each.u8('ProjectionInfo.projectionInfoType') === 2)!
      .u64('hConnection');
    const move = async (connection: Handle, bytes = update('203.0.113.99')) =>
      (await sim.updateConnection(handle, connection, bytes)).code;
    expect(await move(ppp)).toBe(837);
    expect(await move(0xdeadn)).toBe(837);
    expect(await move(ikev2, update('203.0.113.99').fill(2, 0, 1))).toBe(87);
    expect(await move(ikev2, update('203.0.113.99').subarray(0, 267))).toBe(87);
    for (const code of [838, 843, 844]) {
      sim.actCodes = { updateConnection: code };
      expect(await move(ikev2)).toBe(code);
    }
  });
});

describe('truth', () => {
  const keyOf = (s: TrueSession): string => `${s.handle} ${s.startMs} ${s.guid}`;
  const userOf = (link: string): string => link.toLowerCase().replaceAll(' ', '-');
  interface Command {
    readonly waitMs: number;
    /** The wait ends as the link's own session starts, if one does in that time. */
    readonly toStart?: boolean;
    readonly what: 'dial' | 'hang_up' | 'port' | 'move' | 'none';
    readonly which: number;
    readonly dialMs?: number | undefined;
    readonly failures?: number | undefined;
  }
  const command: fc.Arbitrary<Command> = fc.record({
    waitMs: fc.integer({ min: 0, max: 12_000 }),
    toStart: fc.boolean(),
    what: fc.constantFrom('dial', 'dial', 'hang_up', 'port', 'move', 'none'),
    which: fc.nat(3),
    dialMs: fc.constantFrom(undefined, undefined, 100, 20_000, Infinity),
    failures: fc.constantFrom(undefined, 0, 1, Infinity),
  });
  const examples: ['flapping', number, Command[]][] = [
    // Sessions end before any time has passed.
    ['flapping', 1, [{ waitMs: 0, what: 'hang_up', which: 0 }]],
    ['flapping', 1, [{ waitMs: 0, what: 'port', which: 0 }]],
    // A session ends in the millisecond of its start, and the link is dialled in the same one.
    [
      'flapping',
      1,
      [
        { waitMs: 120_000, toStart: true, what: 'hang_up', which: 1 },
        { waitMs: 0, what: 'dial', which: 1 },
        { waitMs: 12_000, what: 'none', which: 1 },
      ],
    ],
    // A dial is hung up as the link's own session would have started.
    [
      'flapping',
      1,
      [
        { waitMs: 120_000, toStart: true, what: 'hang_up', which: 1 },
        { waitMs: 1, what: 'dial', which: 1, dialMs: Infinity },
        { waitMs: 120_000, toStart: true, what: 'hang_up', which: 1 },
        { waitMs: 0, what: 'dial', which: 1 },
        { waitMs: 12_000, what: 'none', which: 1 },
      ],
    ],
  ];

  it('stays exact under any commands: what was seen adds up, and no moment changes afterwards', async () => {
    let commanded = 0;
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom('flapping' as const, 'small' as const),
        fc.integer({ min: 1, max: 50 }),
        fc.array(command, { minLength: 5, maxLength: 15 }),
        async (scenario, seed, commands) => {
          const { clock, sim, handle } = await start({ scenario, seed });
          const links = sim.links().map(({ name }) => name);
          const uncommanded = createSimulator({ scenario, seed, clock });
          /** Milliseconds until the link's own session starts, if one does within so many. */
          const ownStart = (link: string, withinMs: number): number | null => {
            const now = clock.monotonicMs();
            const session = uncommanded
              .liveSessions(now + withinMs)
              .find(({ user, startMs }) => user === userOf(link) && startMs > now);
            return session ? session.startMs - now : null;
          };
          const from = clock.monotonicMs();
          let before = new Map(sim.liveSessions().map((s) => [keyOf(s), s]));
          const seen = { started: 0, ended: 0, received: 0, switchovers: 0 };
          const past: { atMs: number; sessions: string[]; links: unknown }[] = [];
          const calls = async () =>
            (await readAll(sim, handle, 'ports')).reduce(
              (sum, port) => sum + port.u32('dwTotalNumberOfCalls'),
              0,
            );
          const callsBefore = await calls();
          const look = () => {
            const now = new Map(sim.liveSessions().map((s) => [keyOf(s), s]));
            for (const [key, session] of now) {
              const earlier = before.get(key);
              if (!earlier) seen.started += 1;
              const gain = session.receivedBytes - (earlier?.receivedBytes ?? 0);
              if (gain < 0 || session.switchovers < (earlier?.switchovers ?? 0))
                throw new Error('a counter fell');
              seen.received += gain;
              seen.switchovers += session.switchovers - (earlier?.switchovers ?? 0);
            }
            for (const key of before.keys()) if (!now.has(key)) seen.ended += 1;
            before = now;
            // A link is connected exactly while it has a session.
            const sites = [...now.values()].filter(({ role }) => role === 'site').length;
            expect(sim.links().filter(({ state }) => state === 'connected')).toHaveLength(sites);
          };
          // A moment takes in what is commanded in it: the one that all is counted from must be over before.
          await clock.advance(1);
          look();
          for (const { waitMs, toStart, what, which, dialMs, failures } of commands) {
            const name = links[which % links.length]!;
            for (let left = waitMs; left > 0;) {
              // No session is so short that it would pass between two looks.
              const step = Math.min(left, 400);
              const toNext = toStart ? ownStart(name, step) : null;
              await clock.advance(toNext ?? step);
              look();
              left = toNext === null ? left - step : 0;
            }
            past.push({
              atMs: clock.monotonicMs() - 1,
              sessions: sim.liveSessions(clock.monotonicMs() - 1).map(keyOf),
              links: sim.links(clock.monotonicMs() - 1),
            });
            const target = (await sim.interfaceGetHandle(handle, name, false)).handle;
            const sessions = sim.liveSessions();
            const session = sessions[which % sessions.length];
            commanded += 1;
            if (what === 'dial') {
              sim.setFaults(name, {
                ...(dialMs !== undefined && { dialMs }),
                ...(failures !== undefined && { failures }),
              });
              await sim.interfaceConnect(handle, target);
            } else if (what === 'hang_up') {
              const { code } = await sim.interfaceDisconnect(handle, target);
              const { state } = sim.links().find((each) => each.name === name)!;
              if (code === 0) expect(state).toBe('disconnected');
            } else if (what === 'port' && session) {
              const page = await sim.portEnum(handle, 0, BigInt(session.handle), PREFER_ALL, 0);
              const port = Buffer.from(page.buffer!.view(8)).readBigUInt64LE(0);
              page.buffer!.free();
              expect((await sim.portDisconnect(handle, port)).code).toBe(0);
              expect(sim.liveSessions().map(keyOf)).not.toContain(keyOf(session));
            } else if (what === 'move' && session) {
              const bytes = encodeUpdateConnection({
                interfaceIndex: 1,
                localAddress: '192.0.2.9',
                remoteAddress: '203.0.113.250',
              });
              const { code } = await sim.updateConnection(handle, BigInt(session.handle), bytes);
              expect(code).toBe(session.tunnel === 'ikev2' ? 0 : 837);
            }
            look();
          }
          for (const { atMs, sessions, links: then } of past) {
            expect(sim.liveSessions(atMs).map(keyOf)).toEqual(sessions);
            expect(sim.links(atMs)).toEqual(then);
          }
          const truth = sim.trafficBetween(from, clock.monotonicMs());
          const total = (field: 'receivedBytes' | 'sessionsStarted' | 'sessionsEnded' | 'switchovers') =>
            truth.reduce((sum, row) => sum + row[field], 0);
          expect(total('sessionsStarted')).toBe(seen.started);
          expect(total('sessionsEnded')).toBe(seen.ended);
          expect(total('receivedBytes')).toBeGreaterThanOrEqual(seen.received);
          expect(total('receivedBytes') - seen.received).toBeLessThan(
            (total('sessionsEnded') + 1) * 30_000_000,
          );
          expect(total('switchovers')).toBeGreaterThanOrEqual(seen.switchovers);
          expect((await calls()) - callsBefore).toBe(total('sessionsStarted'));
          // It is additive at any cut.
          const middle = Math.floor((from + clock.monotonicMs()) / 2);
          const halves = [
            ...sim.trafficBetween(from, middle),
            ...sim.trafficBetween(middle, clock.monotonicMs()),
          ];
          for (const field of ['receivedBytes', 'sessionsStarted', 'sessionsEnded', 'switchovers'] as const) {
            expect(halves.reduce((sum, row) => sum + row[field], 0)).toBe(total(field));
          }
          expect(sim.ledger.live).toBe(0);
        },
      ),
      { numRuns: examples.length + 30, examples },
    );
    expect(commanded).toBeGreaterThan(100);
  }, 60_000);

  it('of a port lists the ports of one connection and of all alike', async () => {
    const { sim, handle } = await start();
    const held = (await readAll(sim, handle, 'ports')).filter((port) => port.u64('hConnection') !== 0n);
    expect(held).toHaveLength(sim.liveSessions().length);
    expect((await sim.portEnum(handle, 0, INVALID_HANDLE_VALUE, 0, 0)).entriesRead).toBe(0);
  });
});
