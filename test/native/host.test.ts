/** Reading a server's sources: the order of calls, what is done without some of them, and handles that go stale. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { enumerate } from '../../src/collector/enumerate.ts';
import type { FrameOf, ReadOutcome } from '../../src/model/frames.ts';
import type { NativeFunction, RrasApi } from '../../src/model/rras-api.ts';
import type { Source } from '../../src/model/words.ts';
import { SOURCES } from '../../src/model/words.ts';
import { Host } from '../../src/native/host.ts';
import { INVALID_HANDLE_VALUE, PREFER_ALL, RAS_CONNECTION_OBJECT } from '../../src/native/layout.ts';
import type { SimulatorOptions } from '../../src/native/simulator/server.ts';
import { createSimulator } from '../../src/native/simulator/server.ts';
import { FakeClock } from '../doubles/fake-clock.ts';
import type { FaultOptions, RecordedCall, RrasMethod } from '../doubles/fault-api.ts';
import { withFault } from '../doubles/fault-api.ts';
import { StubServer } from './stub-server.ts';

/** mprapi-facts 5.11. */
const STALE = [1702, 1717, 1722, 1723, 1726, 1727, 1753, 900, 903, 956, 6, 1062];
const NO_FAULT: FaultOptions = { fault: { kind: 'throw' }, at: Infinity, mode: 'once' };

interface Setup extends Partial<SimulatorOptions> {
  readonly fault?: FaultOptions;
  readonly missing?: readonly NativeFunction[];
  readonly server?: string;
}

function start({ fault = NO_FAULT, missing = [], server, ...options }: Setup = {}) {
  const clock = new FakeClock();
  const sim = createSimulator({ scenario: 'small', seed: 7, clock, ...options });
  const traced = withFault(sim, fault);
  const calls = traced.calls as RecordedCall[];
  const api: RrasApi = { ...traced, missing };
  const host = new Host({ api, enumerate, clock, server: server ?? null });
  const methods = (): RrasMethod[] => calls.splice(0).map(({ method }) => method);
  return { clock, sim, traced, host, calls, methods };
}

function frameOf<S extends Source>(outcome: ReadOutcome<FrameOf<S>>): FrameOf<S> {
  if (outcome.status !== 'ok') throw new Error(JSON.stringify(outcome));
  return outcome.frame;
}

function stub(change: (server: StubServer) => void = () => undefined) {
  const clock = new FakeClock();
  const server = new StubServer();
  change(server);
  const host = new Host({ api: server, enumerate, clock, server: null });
  const methods = (): RrasMethod[] => server.calls.splice(0).map(({ method }) => method);
  return { clock, server, host, methods };
}

describe('a running server', () => {
  it('is read with one connect and one enumeration per source, asking for everything', async () => {
    const { sim, host, calls } = start();
    for (const source of SOURCES) frameOf(await host.read(source));
    const handle = expect.any(BigInt) as unknown;
    const links = sim.links();
    expect(calls.map(({ method, args }) => [method, ...args])).toEqual([
      ['isServiceInitialized', null],
      ['serverConnect', null],
      ['serverGetInfo', handle, 0],
      ['connectionEnum', handle, 4, PREFER_ALL, 0],
      ['portEnum', handle, 0, INVALID_HANDLE_VALUE, PREFER_ALL, 0],
      ['interfaceEnum', handle, 0, PREFER_ALL, 0],
      ...links.map(() => ['interfaceGetInfo', handle, expect.any(BigInt) as unknown, 2]),
    ]);
    expect(sim.ledger).toMatchObject({ live: 0, opened: 1, closed: 0, strayHandles: 0 });
    await host.close();
    expect(sim.ledger).toMatchObject({ opened: 1, closed: 1 });
  });

  it('gives what the server truly has', async () => {
    const { sim, host } = start({ scenario: 'office' });
    const server = frameOf(await host.read('server'));
    const connections = frameOf(await host.read('connections'));
    const ports = frameOf(await host.read('ports'));
    const interfaces = frameOf(await host.read('interfaces'));
    const truth = sim.liveSessions();
    const hex = (handle: number) => handle.toString(16).padStart(16, '0');
    expect(connections.api).toBe('level4');
    expect(
      connections.identities.map(([, { handle, user, guid, tunnel }]) => [handle, user, guid, tunnel]),
    ).toEqual(truth.map(({ handle, user, guid, tunnel }) => [hex(handle), user, guid, tunnel]));
    expect([...connections.columns.receivedBytes]).toEqual(truth.map(({ receivedBytes }) => receivedBytes));
    expect(server).toMatchObject({
      running: true,
      lanOnly: false,
      totalPorts: ports.count,
      portsInUse: truth.length,
    });
    // Every connection holds one port, and each port that is held leads to its slot.
    const slots = [...ports.slot].filter((_, i) => ports.held[i]);
    expect(slots.sort((a, b) => a - b)).toEqual([...connections.columns.slot].sort((a, b) => a - b));
    expect(
      interfaces.interfaces
        .filter(({ type }) => type !== 'dedicated')
        .map(({ name, state }) => [name, state]),
    ).toEqual(sim.links().map(({ name, state }) => [name, state]));
  });

  it('is reported with each call, its code and its time, whether the read succeeds or not', async () => {
    const { clock, host, server } = stub((each) => {
      each.codeOf = (method) => (method === 'portEnum' ? 8 : 0);
    });
    const slow = server.serverGetInfo.bind(server);
    server.serverGetInfo = async (handle) => {
      await clock.advance(1234.5678);
      return slow(handle);
    };
    const { report } = await host.read('server');
    expect(report).toEqual({
      calls: [
        { function: 'MprAdminIsServiceInitialized', code: 0, seconds: 0, atSeconds: 0 },
        { function: 'MprAdminServerConnect', code: 0, seconds: 0, atSeconds: 0 },
        { function: 'MprAdminServerGetInfo', code: 0, seconds: 1.234568, atSeconds: 0 },
      ],
      pages: 0,
      anomalies: {},
      seconds: 1.234568,
    });
    expect(await host.read('ports')).toEqual({
      status: 'failed',
      failure: {
        kind: 'retryable',
        function: 'MprAdminPortEnum',
        code: 8,
        message: 'MprAdminPortEnum failed: ERROR_NOT_ENOUGH_MEMORY (8): the next scrape tries again',
      },
      report: {
        calls: [{ function: 'MprAdminPortEnum', code: 8, seconds: 0, atSeconds: 0, entries: 0 }],
        pages: 0,
        anomalies: {},
        seconds: 0,
      },
    });
    expect((await host.read('connections')).report).toMatchObject({ pages: 1, anomalies: {} });
  });

  it('is read page by page where it cuts its answers', async () => {
    const { sim, host, methods } = start({ maxPageRecords: 5 });
    const frame = frameOf(await host.read('connections'));
    expect(frame.count).toBe(sim.liveSessions().length);
    expect(methods().filter((method) => method === 'connectionEnum')).toHaveLength(
      Math.ceil(frame.count / 5),
    );
    expect(sim.ledger.live).toBe(0);
  });
});

describe('identities that are delivered', () => {
  it('come ahead of the frame, each once, and only of a complete enumeration', async () => {
    const { sim, host } = start({
      scenario: 'large',
      connections: 1500,
      maxPageRecords: 700,
      fault: { method: 'connectionEnum', fault: { kind: 'code', code: 1460 }, at: 2, mode: 'once' },
    });
    const parts: number[] = [];
    const slots = new Set<number>();
    const read = () =>
      host.read('connections', (part) => {
        parts.push(part.length);
        for (const [slot] of part) slots.add(slot);
        return Promise.resolve();
      });
    expect((await read()).status).toBe('failed');
    expect(parts).toEqual([]);
    const frame = frameOf(await read());
    expect([frame.count, frame.identities]).toEqual([1500, []]);
    expect(parts).toEqual([1000, 500]);
    expect(slots).toEqual(new Set(frame.columns.slot));
    expect(frameOf(await read()).count).toBe(1500);
    expect(parts).toHaveLength(2);
    expect(sim.ledger.live).toBe(0);
  });
});

describe('level 4', () => {
  it.each([124, 87])('that is refused with %d is asked for once, and EnumEx answers', async (code) => {
    const { sim, host, calls, methods } = start({
      fault: { fault: { kind: 'code', code }, method: 'connectionEnum', at: 1, mode: 'persistent' },
    });
    expect(frameOf(await host.read('connections'))).toMatchObject({
      api: 'ex',
      count: sim.liveSessions().length,
    });
    expect(calls.at(-1)!.args).toEqual([expect.any(BigInt), RAS_CONNECTION_OBJECT, PREFER_ALL, 0]);
    expect(methods()).toEqual(['serverConnect', 'connectionEnum', 'connectionEnumEx']);
    expect(frameOf(await host.read('connections'))).toMatchObject({ api: 'ex', identities: [] });
    expect(methods()).toEqual(['connectionEnumEx']);
  });

  it('of a server before 2012 falls back by itself', async () => {
    const { host } = start({ exOnly: true });
    expect(frameOf(await host.read('connections')).api).toBe('ex');
  });

  it('E8 with bytes that cannot be is left for EnumEx, once and for all of this connect', async () => {
    for (const bytes of [0, 4, 500, 1200, 1690]) {
      const { sim, host, methods } = start({
        fault: { fault: { kind: 'truncated', bytes }, method: 'connectionEnum', at: 1, mode: 'persistent' },
      });
      const outcome = await host.read('connections');
      expect(frameOf(outcome)).toMatchObject({ api: 'ex', count: sim.liveSessions().length });
      expect(outcome.report.anomalies).toEqual({ bad_layout: 1 });
      expect((await host.read('connections')).report.anomalies).toEqual({});
      expect(methods()).toEqual(['serverConnect', 'connectionEnum', 'connectionEnumEx', 'connectionEnumEx']);
      expect(sim.ledger.live).toBe(0);
    }
  });

  it('is tried again after a new connect', async () => {
    const { host, server, methods } = stub((each) => {
      each.codeOf = (method) => (method === 'connectionEnum' ? 124 : 0);
    });
    expect(frameOf(await host.read('connections')).api).toBe('ex');
    let failures = 0;
    server.codeOf = (method) => (method === 'connectionEnumEx' && failures++ === 0 ? 1726 : 0);
    methods();
    expect(frameOf(await host.read('connections')).api).toBe('ex');
    expect(methods()).toEqual(['connectionEnumEx', 'serverDisconnect', 'serverConnect', 'connectionEnumEx']);
    expect(frameOf(await host.read('connections'))).toMatchObject({
      api: 'level4',
      identities: [expect.anything(), expect.anything()],
    });
    expect(methods()).toEqual(['connectionEnum']);
  });

  it('that fails otherwise is not replaced: a lesser answer would look like a change', async () => {
    for (const code of [8, 5, 170, 4711]) {
      const { host, methods } = start({
        fault: { fault: { kind: 'code', code }, method: 'connectionEnum', at: 1, mode: 'persistent' },
      });
      expect(await host.read('connections')).toMatchObject({ status: 'failed', failure: { code } });
      expect(methods()).toEqual(['serverConnect', 'connectionEnum']);
    }
  });

  it('and EnumEx both refused are unsupported', async () => {
    const { host } = stub((server) => {
      server.codeOf = (method) => (method.startsWith('connectionEnum') ? 124 : 0);
    });
    expect(await host.read('connections')).toMatchObject({
      status: 'failed',
      failure: { kind: 'unsupported', function: 'MprAdminConnectionEnumEx', code: 124 },
    });
  });

  it('and EnumEx both with a bad layout are a protocol error', async () => {
    const { sim, host } = start({
      exOnly: true,
      fault: {
        fault: { kind: 'truncated', bytes: 900 },
        method: 'connectionEnumEx',
        at: 1,
        mode: 'persistent',
      },
    });
    expect(await host.read('connections')).toMatchObject({
      status: 'failed',
      failure: { kind: 'protocol' },
      report: { anomalies: { bad_layout: 1 } },
    });
    expect(sim.ledger.live).toBe(0);
  });
});

describe('an export that the DLL lacks', () => {
  const outcomes = async (missing: readonly NativeFunction[]) => {
    const { sim, host, calls } = start({ missing });
    const statuses: Partial<Record<Source, string>> = {};
    for (const source of SOURCES) {
      const outcome = await host.read(source);
      if (outcome.status === 'failed') expect(outcome.failure.kind).toBe('unsupported');
      statuses[source] = outcome.status;
    }
    expect(sim.ledger.live).toBe(0);
    return { statuses, methods: new Set(calls.map(({ method }) => method)) };
  };
  const ok = { server: 'ok', connections: 'ok', ports: 'ok', interfaces: 'ok' };

  it.each([
    ['MprAdminIsServiceInitialized', 'isServiceInitialized', ok],
    ['MprAdminServerGetInfo', 'serverGetInfo', { ...ok, server: 'failed' }],
    ['MprAdminConnectionEnum', 'connectionEnum', ok],
    ['MprAdminConnectionEnumEx', 'connectionEnumEx', ok],
    ['MprAdminPortEnum', 'portEnum', { ...ok, ports: 'failed' }],
    ['MprAdminInterfaceEnum', 'interfaceEnum', { ...ok, interfaces: 'failed' }],
    ['MprAdminInterfaceGetInfo', 'interfaceGetInfo', ok],
    ['MprAdminInterfaceGetHandle', 'interfaceGetHandle', ok],
    ['MprAdminGetErrorString', 'errorString', ok],
  ] as const)('%s takes away only what needs it', async (missing, method, expected) => {
    const { statuses, methods } = await outcomes([missing]);
    expect(statuses).toEqual(expected);
    expect(methods).not.toContain(method);
  });

  it('both of the connection enumerations: connections are unsupported, the rest is read', async () => {
    const { statuses } = await outcomes(['MprAdminConnectionEnum', 'MprAdminConnectionEnumEx']);
    expect(statuses).toEqual({ ...ok, connections: 'failed' });
  });

  it('EnumEx where level 4 is refused: connections are unsupported', async () => {
    const { host } = start({ exOnly: true, missing: ['MprAdminConnectionEnumEx'] });
    expect(await host.read('connections')).toMatchObject({
      status: 'failed',
      failure: { kind: 'unsupported' },
    });
  });
});

describe('a server that is not in service', () => {
  it('N5 stopped is a state: a server frame that says so, and no source fails', async () => {
    const { sim, host, methods } = start({ state: 'stopped' });
    expect(frameOf(await host.read('server'))).toEqual({
      source: 'server',
      running: false,
      lanOnly: false,
      uptimeSeconds: 0,
      totalPorts: 0,
      portsInUse: 0,
    });
    expect(methods()).toEqual(['isServiceInitialized']);
    for (const source of ['connections', 'ports', 'interfaces'] as const) {
      expect(await host.read(source)).toMatchObject({ status: 'stopped' });
      expect(methods()).toEqual(['serverConnect', expect.stringMatching(/Enum$/), 'serverDisconnect']);
    }
    expect(sim.ledger).toMatchObject({ live: 0, strayHandles: 0, opened: 3, closed: 3 });
  });

  it('N5 a stop is seen in ServerGetInfo alone where the DLL has no other way to tell', async () => {
    const { host } = start({ state: 'stopped', missing: ['MprAdminIsServiceInitialized'] });
    expect(frameOf(await host.read('server')).running).toBe(false);
  });

  it('N5 every code that says so is a stop, and of a remote server silence is none', async () => {
    for (const code of [900, 903, 928, 956, 834, 827, 711, 1053, 1058, 1060, 1062, 1717, 1722, 1753, 2]) {
      const { host } = stub((server) => {
        server.codeOf = (method) => (method === 'isServiceInitialized' ? code : 0);
      });
      expect(frameOf(await host.read('server')).running).toBe(false);
    }
    const remote = start({ state: 'stopped', server: 'vpn1', missing: ['MprAdminIsServiceInitialized'] });
    expect(await remote.host.read('server')).toMatchObject({ status: 'failed', failure: { code: 1722 } });
    expect(remote.calls[0]).toMatchObject({ method: 'serverConnect', args: ['vpn1'] });
  });

  it('N5 one that stops and starts again is read anew, every identity included', async () => {
    for (const first of SOURCES) {
      const { sim, host } = start();
      await host.read('server');
      const before = frameOf(await host.read('connections'));
      sim.state = 'stopped';
      await host.read(first);
      sim.state = 'running';
      const after = frameOf(await host.read('connections'));
      // The receiver has forgotten its sessions with the stop.
      expect(after.identities).toHaveLength(before.count);
    }
  });

  it('LAN-only has no connections and no ports, which costs no call', async () => {
    const { sim, host, methods } = start({ state: 'lan_only' });
    expect(frameOf(await host.read('server'))).toMatchObject({ running: true, lanOnly: true });
    methods();
    for (const source of ['connections', 'ports'] as const) {
      expect(await host.read(source)).toMatchObject({ status: 'inapplicable', report: { calls: [] } });
    }
    expect(methods()).toEqual([]);
    expect(frameOf(await host.read('interfaces')).interfaces.map(({ type }) => type)).toEqual(['dedicated']);
    sim.state = 'running';
    await host.read('server');
    expect(frameOf(await host.read('connections')).count).toBeGreaterThan(0);
  });

  it('N4 denied is a permission failure that says what to do, and leaves no handle', async () => {
    const { sim, host, methods } = start({ state: 'denied' });
    const outcome = await host.read('server');
    expect(outcome).toMatchObject({
      status: 'failed',
      failure: { kind: 'permission', code: 5, function: 'MprAdminIsServiceInitialized' },
    });
    expect(outcome.status === 'failed' && outcome.failure.message).toMatch(
      /^MprAdminIsServiceInitialized failed: ERROR_ACCESS_DENIED \(5\): run the exporter as LocalSystem/,
    );
    expect(methods()).toEqual(['isServiceInitialized']);
    expect(await host.read('connections')).toMatchObject({
      status: 'failed',
      failure: { kind: 'permission' },
    });
    await host.close();
    expect(sim.ledger).toMatchObject({ live: 0, opened: 1, closed: 1, strayHandles: 0 });
  });
});

describe('idle time-outs', () => {
  it('are read of two-way links only, 64 a poll at most, and kept for 5 minutes', async () => {
    const { clock, host, server, methods } = stub((each) => {
      each.interfaces = [
        ...Array.from({ length: 100 }, (_, i) => ({
          name: `Site ${i}`,
          type: 'full_router' as const,
          idleSeconds: i,
        })),
        { name: 'Home', type: 'home_router' },
        { name: 'Ethernet', type: 'dedicated' },
      ];
    });
    const poll = async () => {
      const { interfaces } = frameOf(await host.read('interfaces'));
      return {
        reads: methods().filter((method) => method === 'interfaceGetInfo').length,
        idle: interfaces.map(({ idleDisconnectSeconds }) => idleDisconnectSeconds),
      };
    };
    const none = (length: number) => Array.from({ length }, () => null);
    const upTo = (end: number) => Array.from({ length: end }, (_, i) => i);
    expect(await poll()).toEqual({ reads: 64, idle: [...upTo(64), ...none(38)] });
    const all = [...upTo(100), null, null];
    await clock.advance(15_000);
    expect(await poll()).toEqual({ reads: 36, idle: all });
    await clock.advance(284_999);
    expect(await poll()).toEqual({ reads: 0, idle: all });
    await clock.advance(1);
    expect(await poll()).toEqual({ reads: 64, idle: all });
    await clock.advance(15_000);
    expect(await poll()).toEqual({ reads: 36, idle: all });
    expect(server.ledger.live).toBe(0);
  });

  it('that an interface has not are asked for as seldom', async () => {
    for (const code of [124, 623, 87, 6]) {
      const { host, methods } = stub((server) => {
        server.codeOf = (method) => (method === 'interfaceGetInfo' ? code : 0);
      });
      for (const reads of [1, 0]) {
        expect(frameOf(await host.read('interfaces')).interfaces[0]!.idleDisconnectSeconds).toBeNull();
        expect(methods().filter((method) => method === 'interfaceGetInfo')).toHaveLength(reads);
      }
    }
  });

  it('that could not be read this once keep their value until they are asked for again', async () => {
    const { clock, host, server, methods } = stub();
    const read = async () => frameOf(await host.read('interfaces')).interfaces[0]!.idleDisconnectSeconds;
    expect(await read()).toBe(300);
    await clock.advance(300_000);
    server.codeOf = (method) => (method === 'interfaceGetInfo' ? 1450 : 0);
    expect(await read()).toBe(300);
    server.codeOf = () => 0;
    server.interfaces = [{ name: 'Site', type: 'full_router', idleSeconds: 600 }];
    expect(await read()).toBe(300);
    await clock.advance(300_000);
    expect(await read()).toBe(600);
    expect(methods().filter((method) => method === 'interfaceGetInfo')).toHaveLength(3);
  });
});

describe('N3', () => {
  const READS = [
    ['server', 'serverGetInfo'],
    ['connections', 'connectionEnum'],
    ['ports', 'portEnum'],
    ['interfaces', 'interfaceEnum'],
  ] as const;

  it.each(STALE)('N3 code %d drops the handle, connects anew once and reads on', async (code) => {
    for (const [source, method] of READS) {
      const { host, server, methods } = stub();
      frameOf(await host.read('server'));
      methods();
      let failed = false;
      server.codeOf = (called) => (called === method && !failed ? ((failed = true), code) : 0);
      expect((await host.read(source)).status).toBe('ok');
      const expected = [method, 'serverDisconnect', 'serverConnect', method];
      expect(
        methods().filter((called) => called !== 'interfaceGetInfo' && called !== 'isServiceInitialized'),
      ).toEqual(expected);
      expect(server.ledger).toMatchObject({ live: 0, opened: 2, closed: 1, strayHandles: 0 });
    }
  });

  it.each(STALE)('N3 code %d for ever costs one connect a read, and leaves no handle', async (code) => {
    for (const [source, method] of READS) {
      const { host, server, methods } = stub();
      await host.read(source);
      server.codeOf = (called) => (called === method ? code : 0);
      methods();
      const first = await host.read(source);
      if (source !== 'server') expect(first.status).not.toBe('ok');
      expect(methods().filter((called) => called === 'serverConnect')).toHaveLength(1);
      await host.read(source);
      expect(methods().filter((called) => called === 'serverConnect')).toHaveLength(1);
      expect(server.openHandles).toBe(0);
      expect(server.ledger).toMatchObject({ live: 0, strayHandles: 0 });
    }
  });

  it('N3 a stale code of a single interface’s info drops the handle too, and asks for no other', async () => {
    for (const code of STALE.filter((each) => each !== 6)) {
      const { host, server, methods } = stub((each) => {
        each.interfaces = ['A', 'B', 'C'].map((name) => ({ name, type: 'full_router', idleSeconds: 60 }));
        each.codeOf = (method) => (method === 'interfaceGetInfo' ? code : 0);
      });
      expect((await host.read('interfaces')).status).toBe('ok');
      expect(methods()).toEqual(['serverConnect', 'interfaceEnum', 'interfaceGetInfo', 'serverDisconnect']);
      server.codeOf = () => 0;
      expect(frameOf(await host.read('interfaces')).interfaces).toMatchObject([
        { idleDisconnectSeconds: 60 },
        { idleDisconnectSeconds: 60 },
        { idleDisconnectSeconds: 60 },
      ]);
      expect(server.ledger).toMatchObject({ live: 0, strayHandles: 0, opened: 2, closed: 1 });
    }
  });

  it('N3 E10 in any trace no handle is used after its end, every one ends, and every buffer is freed', async () => {
    const code = fc.oneof(
      { weight: 4, arbitrary: fc.constant(0) },
      { weight: 3, arbitrary: fc.constantFrom(...STALE) },
      { weight: 1, arbitrary: fc.constantFrom(5, 8, 87, 124, 127, 170, 905, 4711) },
    );
    const step = fc.record({
      read: fc.constantFrom<Source | 'close' | 'reset'>(...SOURCES, ...SOURCES, 'close', 'reset'),
      codes: fc.array(code, { maxLength: 6 }),
      buffersOnFailure: fc.boolean(),
      waitMs: fc.constantFrom(0, 15_000, 400_000),
    });
    let steps = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 20, maxLength: 80 }), async (trace) => {
        const { clock, host, server } = stub((each) => {
          each.interfaces = ['A', 'B', 'C'].map((name) => ({ name, type: 'full_router' }));
        });
        for (const { read, codes, buffersOnFailure, waitMs } of trace) {
          steps += 1;
          await clock.advance(waitMs);
          const pending = [...codes];
          server.codeOf = () => pending.shift() ?? 0;
          server.buffersOnFailure = buffersOnFailure;
          server.calls.length = 0;
          if (read === 'close') await host.close();
          else if (read === 'reset') host.reset();
          else await host.read(read);
          expect(server.ledger.strayHandles).toBe(0);
          expect(server.ledger.live).toBe(0);
          expect(server.openHandles).toBeLessThanOrEqual(read === 'close' ? 0 : 1);
          expect(server.calls.filter(({ method }) => method === 'serverConnect').length).toBeLessThanOrEqual(
            1,
          );
          // The first stale code of a handle is followed by its end, before anything else.
          server.calls.forEach((call, i) => {
            const ofInterface = call.method === 'interfaceGetInfo' && call.code === 6;
            if (call.handle === null || call.code === 0 || !STALE.includes(call.code) || ofInterface) return;
            if (call.method === 'serverConnect') return;
            expect(server.calls[i + 1]).toMatchObject({ method: 'serverDisconnect', handle: call.handle });
          });
        }
        // Whatever was, a server that answers is read.
        server.codeOf = () => 0;
        for (const source of SOURCES) expect((await host.read(source)).status).toBe('ok');
        await host.close();
        expect(server.openHandles).toBe(0);
        expect(server.ledger).toMatchObject({ live: 0, strayHandles: 0 });
      }),
      { numRuns: 350 },
    );
    expect(steps).toBeGreaterThanOrEqual(10_000);
  });
});

describe('a call that misbehaves', () => {
  it.each([
    ['null_buffer', 'null_buffer'],
    ['empty_more', 'empty_page'],
    ['count_lie', 'bad_count'],
  ] as const)('with %s ends the read as a protocol error, counted as %s', async (kind, anomaly) => {
    for (const method of ['connectionEnum', 'portEnum', 'interfaceEnum'] as const) {
      const source = (
        { connectionEnum: 'connections', portEnum: 'ports', interfaceEnum: 'interfaces' } as const
      )[method];
      const fault = kind === 'count_lie' ? { kind, entriesRead: 1_000_001 } : { kind };
      const { sim, host } = start({ fault: { fault, method, at: 1, mode: 'persistent' } });
      expect(await host.read(source)).toMatchObject({
        status: 'failed',
        failure: { kind: 'protocol', function: expect.stringMatching(/^MprAdmin/) as unknown },
        report: { anomalies: { [anomaly]: 1 } },
      });
      expect(sim.ledger.live).toBe(0);
    }
  });

  it('E8 with garbage in place of ports, interfaces or server is a bad layout, never a result', async () => {
    for (const [source, method] of [
      ['server', 'serverGetInfo'],
      ['ports', 'portEnum'],
      ['interfaces', 'interfaceEnum'],
    ] as const) {
      const { sim, host } = start({
        fault: { fault: { kind: 'truncated', bytes: 0 }, method, at: 1, mode: 'once' },
      });
      expect(await host.read(source)).toMatchObject({
        status: 'failed',
        failure: { kind: 'protocol' },
        report: { anomalies: { bad_layout: 1 } },
      });
      expect(sim.ledger.live).toBe(0);
      expect((await host.read(source)).status).toBe('ok');
    }
  });

  it('E6 without a server’s buffer is a protocol error', async () => {
    const { host } = start({
      fault: { fault: { kind: 'null_buffer' }, method: 'serverGetInfo', at: 1, mode: 'once' },
    });
    expect(await host.read('server')).toMatchObject({
      status: 'failed',
      failure: { kind: 'protocol' },
      report: { anomalies: { null_buffer: 1 } },
    });
    expect((await host.read('server')).status).toBe('ok');
  });

  it('X1 by throwing is an internal failure of that read alone', async () => {
    for (const [source, method] of [
      ['server', 'isServiceInitialized'],
      ['server', 'serverConnect'],
      ['connections', 'connectionEnum'],
      ['interfaces', 'interfaceGetInfo'],
    ] as const) {
      const { sim, host } = start({ fault: { fault: { kind: 'throw' }, method, at: 1, mode: 'once' } });
      expect(await host.read(source)).toMatchObject({ status: 'failed', failure: { kind: 'internal' } });
      expect((await host.read(source)).status).toBe('ok');
      await host.close();
      expect(sim.ledger).toMatchObject({ live: 0, strayHandles: 0 });
      expect(sim.ledger.closed).toBe(sim.ledger.opened);
    }
  });

  it('is never answered by a second call at the same time', async () => {
    const { host, traced } = start();
    for (let round = 0; round < 3; round += 1) for (const source of SOURCES) await host.read(source);
    expect(traced.maxInFlight).toBe(1);
  });
});
