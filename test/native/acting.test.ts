/** Acting on a server: which calls in which order, on which handle, how often, and what is said of it. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { enumerate } from '../../src/collector/enumerate.ts';
import type { ActOutcome, ActRequest } from '../../src/model/actions.ts';
import type { NativeBuffer, NativeFunction, RrasApi } from '../../src/model/rras-api.ts';
import { SOURCES } from '../../src/model/words.ts';
import { outcomeOfCode } from '../../src/native/codes.ts';
import { encodeUpdateConnection } from '../../src/native/encode.ts';
import { Host } from '../../src/native/host.ts';
import { PREFER_ALL, RAS_PORT_0 } from '../../src/native/layout.ts';
import type { ActMethod, SimulatorOptions } from '../../src/native/simulator/server.ts';
import { createSimulator } from '../../src/native/simulator/server.ts';
import { FakeClock } from '../doubles/fake-clock.ts';
import type { FaultOptions, RecordedCall, RrasMethod } from '../doubles/fault-api.ts';
import { withFault } from '../doubles/fault-api.ts';
import { pageOf, record } from './record-builder.ts';
import { StubServer } from './stub-server.ts';

const NO_FAULT: FaultOptions = { fault: { kind: 'throw' }, at: Infinity, mode: 'once' };
const MINUTE = 60_000;

interface Setup extends Partial<SimulatorOptions> {
  readonly fault?: FaultOptions;
  readonly missing?: readonly NativeFunction[];
  readonly server?: string;
}

function start({ fault = NO_FAULT, missing = [], server, ...options }: Setup = {}) {
  const clock = new FakeClock();
  const sim = createSimulator({ scenario: 'office', seed: 1, clock, ...options });
  const traced = withFault(sim, fault);
  const calls = traced.calls as RecordedCall[];
  const api: RrasApi = { ...traced, missing };
  const host = new Host({ api, enumerate, clock, server: server ?? null });
  const methods = (): RrasMethod[] => calls.splice(0).map(({ method }) => method);
  const inspect = async (interfaceName: string) =>
    (await host.act({ action: 'inspect_interface', interfaceName })).interfaceNow!;
  return { clock, sim, host, traced, calls, methods, inspect };
}

function stub(change: (server: StubServer) => void = () => undefined) {
  const clock = new FakeClock();
  const server = new StubServer();
  change(server);
  const host = new Host({ api: server, enumerate, clock, server: null });
  const methods = (): RrasMethod[] => server.calls.splice(0).map(({ method }) => method);
  return { clock, server, host, methods };
}

const HANDLE = '0000000000010000';
const connectTo = (interfaceName: string, interfaceHandle = HANDLE): ActRequest => ({
  action: 'connect',
  interfaceName,
  interfaceHandle,
});
const disconnectFrom = (interfaceName: string): ActRequest => ({
  action: 'disconnect',
  interfaceName,
  interfaceHandle: HANDLE,
});
const ENDPOINT = { interfaceIndex: 12, localAddress: '198.51.100.7', remoteAddress: '203.0.113.9' } as const;

/** One request of each kind for the stub, and the call that carries it out. */
const CHANGES: readonly (readonly [ActRequest, ActMethod, NativeFunction])[] = [
  [connectTo('Site'), 'interfaceConnect', 'MprAdminInterfaceConnect'],
  [disconnectFrom('Site'), 'interfaceDisconnect', 'MprAdminInterfaceDisconnect'],
  [
    { action: 'update_endpoint', connectionHandle: HANDLE, ...ENDPOINT },
    'updateConnection',
    'MprAdminUpdateConnection',
  ],
  [{ action: 'hang_up', connectionHandle: HANDLE }, 'portDisconnect', 'MprAdminPortDisconnect'],
];
const CHANGING: ReadonlySet<RrasMethod> = new Set(CHANGES.map(([, method]) => method));

/** The stub's only port is held by the only connection that requests name. */
const withPort = (server: StubServer): void => {
  server.ports = [{ port: 0x300n, connection: BigInt(`0x${HANDLE}`) }];
};

describe('connect and disconnect', () => {
  it('look the handle up by name right before the call, without client interfaces', async () => {
    const { sim, host, calls, clock, inspect } = start();
    const result = await host.act(connectTo('Site-Lisboa'));
    expect(result).toMatchObject({ outcome: 'in_progress', code: 600, failure: null });
    const handle = expect.any(BigInt) as unknown;
    const lisboa = calls[2]!.args[1];
    expect(calls.map(({ method, args }) => [method, ...args])).toEqual([
      ['serverConnect', null],
      ['interfaceGetHandle', handle, 'Site-Lisboa', false],
      ['interfaceConnect', handle, lisboa],
    ]);
    expect(lisboa).not.toBe(BigInt(`0x${HANDLE}`));
    expect(result.report.calls.map((call) => [call.function, call.code])).toEqual([
      ['MprAdminServerConnect', 0],
      ['MprAdminInterfaceGetHandle', 0],
      ['MprAdminInterfaceConnect', 600],
    ]);
    expect(await inspect('Site-Lisboa')).toMatchObject({ name: 'Site-Lisboa', state: 'connecting' });
    expect(await host.act(connectTo('Site-Lisboa'))).toMatchObject({
      outcome: 'already_connecting',
      code: 910,
      failure: null,
    });
    await clock.advance(5000);
    expect(await inspect('Site-Lisboa')).toEqual({
      handle: (lisboa as bigint).toString(16).padStart(16, '0'),
      name: 'Site-Lisboa',
      type: 'full_router',
      enabled: true,
      state: 'connected',
      unreachableReasons: 0,
      lastError: 0,
    });
    expect(await host.act(disconnectFrom('Site-Lisboa'))).toMatchObject({ outcome: 'done', code: 0 });
    expect(await host.act(disconnectFrom('Site-Lisboa'))).toMatchObject({
      outcome: 'already_disconnected',
      code: 906,
      failure: null,
    });
    expect(sim.ledger).toMatchObject({ live: 0, strayHandles: 0, opened: 1 });
  });

  it('show a dial that fails, and one that stays pending until it is hung up', async () => {
    const { sim, clock, host, inspect } = start({ faults: { 'Site-Lisboa': { dialMs: Infinity } } });
    expect(await host.act(connectTo('Branch Łódź'))).toMatchObject({ outcome: 'in_progress' });
    await clock.advance(5000);
    expect(await inspect('Branch Łódź')).toMatchObject({
      state: 'unreachable',
      unreachableReasons: 4,
      lastError: 691,
    });
    await host.act(connectTo('Site-Lisboa'));
    await clock.advance(10 * MINUTE);
    expect(await inspect('Site-Lisboa')).toMatchObject({ state: 'connecting' });
    expect(await host.act(disconnectFrom('Site-Lisboa'))).toMatchObject({ outcome: 'done' });
    expect(await inspect('Site-Lisboa')).toMatchObject({ state: 'disconnected' });
    sim.setFaults('Site-Lisboa', null);
    await host.act(connectTo('Site-Lisboa'));
    await clock.advance(5000);
    expect(await inspect('Site-Lisboa')).toMatchObject({ state: 'connected' });
  });

  it('of an interface that is no more, or that stands for a user, are gone and touch nothing', async () => {
    const { sim, host, methods } = start();
    const user = sim.liveSessions().find(({ role }) => role === 'client')!.user;
    for (const name of ['Site-Gone', user, 'site-lisboa', 'Site-Lisboa ']) {
      for (const request of [connectTo(name), disconnectFrom(name)]) {
        const result = await host.act(request);
        expect(result).toMatchObject({ outcome: 'gone', code: 905, failure: { kind: 'gone' } });
        // Names of users are nothing for a log.
        expect(result.failure!.message).toBe(
          'MprAdminInterfaceGetHandle failed: ERROR_NO_SUCH_INTERFACE (905): nothing was done; there is no such object on the server any more',
        );
      }
    }
    expect(methods().filter((method) => method !== 'interfaceGetHandle')).toEqual(['serverConnect']);
  });

  it('of a disabled interface are refused', async () => {
    const { host } = start();
    expect(await host.act(connectTo('Site-Oslo'))).toMatchObject({
      outcome: 'refused',
      code: 916,
      failure: { function: 'MprAdminInterfaceConnect', code: 916 },
    });
  });

  it('do without MprAdminInterfaceGetHandle only while the handle still bears the name', async () => {
    const setup = start({ missing: ['MprAdminInterfaceGetHandle'] });
    const named = async (name: string) => {
      const frame = await setup.host.read('interfaces');
      if (frame.status !== 'ok') throw new Error('no interfaces');
      return frame.frame.interfaces.find((each) => each.name === name)!.handle;
    };
    const lisboa = await named('Site-Lisboa');
    const madrid = await named('Site-Madrid');
    setup.methods();
    expect(await setup.host.act(connectTo('Site-Lisboa', madrid))).toMatchObject({ outcome: 'gone' });
    expect(await setup.host.act(connectTo('Site-Lisboa', '00000000deadbeef'))).toMatchObject({
      outcome: 'gone',
      code: 6,
    });
    expect(setup.methods()).toEqual(['interfaceGetInfo', 'interfaceGetInfo']);
    expect(await setup.host.act(connectTo('Site-Lisboa', lisboa))).toMatchObject({ outcome: 'in_progress' });
    const blind = start({ missing: ['MprAdminInterfaceGetHandle', 'MprAdminInterfaceGetInfo'] });
    expect(await blind.host.act(connectTo('Site-Lisboa', lisboa))).toMatchObject({ outcome: 'refused' });
    expect(blind.calls).toEqual([]);
  });
});

describe('update_endpoint', () => {
  async function ofKind(setup: ReturnType<typeof start>, tunnel: 'ikev2' | 'sstp') {
    const outcome = await setup.host.read('connections');
    if (outcome.status !== 'ok') throw new Error('no connections');
    const identity = outcome.frame.identities.map(([, each]) => each).find((each) => each.tunnel === tunnel)!;
    setup.methods();
    return { identity, request: { connectionHandle: identity.handle, ...ENDPOINT } };
  }

  it('hands the record over, and the connection then shows both addresses and one more switch-over', async () => {
    const setup = start();
    const { identity, request } = await ofKind(setup, 'ikev2');
    const inspect = async () =>
      (
        await setup.host.act({
          action: 'inspect_connection',
          connectionHandle: identity.handle,
          session: identity,
        })
      ).connectionNow!;
    const before = await inspect();
    setup.calls.length = 0;
    expect(await setup.host.act({ action: 'update_endpoint', ...request })).toMatchObject({
      outcome: 'in_progress',
      code: 0,
      failure: null,
    });
    expect(setup.calls.map(({ method, args }) => [method, ...args.slice(1)])).toEqual([
      ['updateConnection', BigInt(`0x${identity.handle}`), encodeUpdateConnection(ENDPOINT)],
    ]);
    expect(await inspect()).toEqual({
      handle: identity.handle,
      guid: identity.guid,
      startTicks: identity.startTicks,
      tunnel: 'ikev2',
      remoteAddress: '203.0.113.9',
      localAddress: '198.51.100.7',
      switchovers: before.switchovers + 1,
    });
  });

  it('of a connection without MOBIKE is refused: before the call where the session is known', async () => {
    const setup = start();
    const { identity, request } = await ofKind(setup, 'sstp');
    expect(await setup.host.act({ action: 'update_endpoint', ...request, session: identity })).toMatchObject({
      outcome: 'refused',
      code: null,
    });
    expect(setup.methods()).toEqual(['connectionEnum']);
    expect(await setup.host.act({ action: 'update_endpoint', ...request })).toMatchObject({
      outcome: 'gone',
      code: 837,
    });
    for (const [code, outcome] of [
      [838, 'busy'],
      [843, 'refused'],
      [844, 'refused'],
    ] as const) {
      setup.sim.actCodes = { updateConnection: code };
      expect(await setup.host.act({ action: 'update_endpoint', ...request })).toMatchObject({
        outcome,
        code,
      });
    }
  });
});

describe('a session that was meant', () => {
  it('and has ended is not mistaken for a later one with the same handle', async () => {
    const { clock, sim, host, methods } = start({ scenario: 'flapping' });
    const outcome = await host.read('connections');
    if (outcome.status !== 'ok') throw new Error('no connections');
    const seen = outcome.frame.identities.map(([, each]) => each);
    let later = 0;
    for (let i = 0; i < 30 && later < 3; i += 1) {
      await clock.advance(10_000);
      const guids = new Map(sim.liveSessions().map((each) => [each.handle, each.guid]));
      const stale = seen.find(
        (each) => (guids.get(Number.parseInt(each.handle, 16)) ?? each.guid) !== each.guid,
      );
      if (!stale) continue;
      later += 1;
      const session = { guid: stale.guid, startTicks: stale.startTicks };
      methods();
      for (const request of [
        { action: 'hang_up', connectionHandle: stale.handle, session },
        { action: 'update_endpoint', connectionHandle: stale.handle, session, ...ENDPOINT },
        { action: 'inspect_connection', connectionHandle: stale.handle, session },
        // EnumEx knows no start times.
        { action: 'hang_up', connectionHandle: stale.handle, session: { ...session, startTicks: '' } },
        { action: 'hang_up', connectionHandle: stale.handle, session: { ...session, guid: '' } },
      ] as const) {
        expect(await host.act(request)).toMatchObject({ outcome: 'gone', code: null });
      }
      expect(methods().some((method) => CHANGING.has(method) || method === 'portEnum')).toBe(false);
    }
    expect(later).toBe(3);
  });

  it('is found by the older call, too, and looking for it takes nothing from the readers of connections', async () => {
    for (const exOnly of [false, true]) {
      const { sim, host } = start({ exOnly });
      const [session] = sim.liveSessions();
      const connectionHandle = session!.handle.toString(16).padStart(16, '0');
      const request = { action: 'inspect_connection', connectionHandle } as const;
      expect(await host.act(request)).toMatchObject({
        outcome: 'done',
        connectionNow: { guid: session!.guid },
      });
      const first = await host.read('connections');
      if (first.status !== 'ok') throw new Error('no connections');
      expect(first.frame.identities).toHaveLength(sim.liveSessions().length);
      const mark = { guid: session!.guid, startTicks: 'feedfeedfeedfeed' };
      expect(await host.act({ ...request, session: mark })).toMatchObject({
        outcome: exOnly ? 'done' : 'gone',
      });
      const second = await host.read('connections');
      if (second.status !== 'ok') throw new Error('no connections');
      expect(second.frame.identities).toEqual([]);
      expect(sim.ledger.live).toBe(0);
    }
  });
});

describe('hang_up', () => {
  it('ends the session through the port that it holds', async () => {
    const { sim, host, calls } = start();
    const victim = sim.liveSessions().find(({ role }) => role === 'client')!;
    const connectionHandle = victim.handle.toString(16).padStart(16, '0');
    expect(await host.act({ action: 'hang_up', connectionHandle })).toMatchObject({
      outcome: 'done',
      code: 0,
    });
    const handle = expect.any(BigInt) as unknown;
    expect(calls.map(({ method, args }) => [method, ...args])).toEqual([
      ['serverConnect', null],
      ['portEnum', handle, 0, BigInt(victim.handle), PREFER_ALL, 0],
      ['portDisconnect', handle, handle],
    ]);
    expect(sim.liveSessions().some(({ guid }) => guid === victim.guid)).toBe(false);
    expect(await host.act({ action: 'hang_up', connectionHandle })).toMatchObject({ outcome: 'gone' });
  });

  /** A bundle of three links whose ports go one by one, as a test says. */
  function bundle(options: { codes?: readonly number[]; after?: (hungUp: bigint) => void } = {}) {
    const clock = new FakeClock();
    const server = new StubServer();
    const connection = BigInt(`0x${HANDLE}`);
    const ports = new Map([0x301n, 0x302n, 0x303n].map((port) => [port, connection]));
    const hungUp: bigint[] = [];
    let live = 0;
    const buffer = (bytes: Uint8Array): NativeBuffer => {
      live += 1;
      return { view: (length) => bytes.subarray(0, length), free: () => void (live -= 1) };
    };
    server.portEnum = () => {
      const held = [...ports].map(([hPort, hConnection]) =>
        record(RAS_PORT_0, { hPort, hConnection, dwPortCondition: 5 }),
      );
      const counts = { entriesRead: held.length, totalEntries: held.length, resumeHandle: 0 };
      return Promise.resolve({ code: 0, buffer: held.length ? buffer(pageOf(...held)) : null, ...counts });
    };
    const codes = [...(options.codes ?? [])];
    server.portDisconnect = (_, port) => {
      const code = codes.shift() ?? 0;
      hungUp.push(port);
      if (code === 0) ports.delete(port);
      options.after?.(port);
      return Promise.resolve({ code });
    };
    const host = new Host({ api: server, enumerate, clock, server: null });
    const act = () => host.act({ action: 'hang_up', connectionHandle: HANDLE });
    return { act, ports, hungUp, live: () => live };
  }

  it('hangs up every link of a multilink connection, each once', async () => {
    const { act, hungUp, live } = bundle();
    expect(await act()).toMatchObject({ outcome: 'done', code: 0 });
    expect(hungUp).toEqual([0x301n, 0x302n, 0x303n]);
    expect(live()).toBe(0);
  });

  it('leaves a port alone that another connection has taken since', async () => {
    const made = bundle({ after: () => void made.ports.set(0x302n, 0x9999n) });
    expect(await made.act()).toMatchObject({ outcome: 'done' });
    expect(made.hungUp).toEqual([0x301n, 0x303n]);
  });

  it('goes on when a link has gone by itself, and stops at a refusal and at a doubt', async () => {
    const gone = bundle({ codes: [606, 0, 0] });
    expect(await gone.act()).toMatchObject({ outcome: 'done', code: 0 });
    expect(gone.hungUp).toHaveLength(3);
    const refused = bundle({ codes: [0, 5] });
    expect(await refused.act()).toMatchObject({ outcome: 'refused', code: 5 });
    expect(refused.hungUp).toHaveLength(2);
    const unknown = bundle({ codes: [0, 1726] });
    expect(await unknown.act()).toMatchObject({ outcome: 'unknown', code: 1726 });
    expect(unknown.hungUp).toHaveLength(2);
  });

  it('of a connection that holds no port, or that the server does not know, is gone', async () => {
    const { ports, act, hungUp } = bundle();
    ports.clear();
    expect(await act()).toMatchObject({ outcome: 'gone', code: null });
    expect(hungUp).toEqual([]);
    const { sim, host } = start();
    expect(await host.act({ action: 'hang_up', connectionHandle: '00000000deadbeef' })).toMatchObject({
      outcome: 'gone',
    });
    expect(sim.ledger).toMatchObject({ live: 0, opened: 1 });
  });
});

describe('codes', () => {
  const CODES = [
    0, 2, 5, 6, 8, 50, 64, 87, 109, 127, 170, 233, 600, 617, 691, 756, 809, 837, 838, 839, 843, 844, 900, 901,
    903, 905, 906, 908, 910, 916, 925, 928, 956, 997, 1062, 1460, 1702, 1717, 1722, 1723, 1726, 1727, 1728,
    1745, 1753, 1818, 1820, 4711,
  ];

  it.each(CODES)(
    '%d of the deciding call becomes its outcome, on a new handle without another try',
    async (code) => {
      for (const [request, method, name] of CHANGES) {
        const { server, host, methods } = stub(withPort);
        server.codeOf = (called) => (called === method ? code : 0);
        const result = await host.act(request);
        expect(result).toMatchObject({ outcome: outcomeOfCode(request.action, code), code });
        if (result.failure) {
          expect(result.failure).toMatchObject({ function: name, code });
          expect(result.failure.message).toMatch(/^MprAdmin\w+ failed: .+ ?\(?\d+\)?: .+/);
        }
        expect(methods().filter((each) => each === method)).toHaveLength(1);
        expect(server.ledger).toMatchObject({ live: 0, strayHandles: 0 });
      }
    },
  );

  it.each(CODES)(
    '%d on an old handle is tried again only if it is stale and says that nothing was done',
    async (code) => {
      /** mprapi-facts 5.11 without 1726, which may have executed. */
      const stale = [1702, 1717, 1722, 1723, 1727, 1753, 900, 903, 956, 1062];
      for (const [request, method] of CHANGES) {
        const { server, host, methods } = stub(withPort);
        await host.read('server');
        methods();
        server.codeOf = (called) => (called === method ? code : 0);
        const byName = method === 'interfaceConnect' || method === 'interfaceDisconnect';
        const again = stale.includes(code) || (code === 6 && byName);
        expect(await host.act(request)).toMatchObject({ outcome: outcomeOfCode(request.action, code), code });
        const made = methods();
        expect(made.filter((each) => each === method)).toHaveLength(again ? 2 : 1);
        expect(made.filter((each) => each === 'serverConnect')).toHaveLength(again ? 1 : 0);
        // The second time everything is looked up anew.
        if (byName) expect(made.filter((each) => each === 'interfaceGetHandle')).toHaveLength(again ? 2 : 1);
        expect(server.ledger).toMatchObject({ live: 0, strayHandles: 0 });
      }
    },
  );

  it('after which a handle is void do their work on a new one', async () => {
    for (const [request, method] of CHANGES) {
      const { server, host } = stub(withPort);
      await host.read('server');
      let failed = false;
      server.codeOf = (called) => (called === method && !failed ? ((failed = true), 1722) : 0);
      expect(await host.act(request)).toMatchObject({ code: 0, failure: null });
      expect(server.ledger).toMatchObject({ opened: 2, closed: 1, strayHandles: 0 });
    }
  });

  it('1726 is never followed by the same call, and the handle is not used again', async () => {
    for (const [request, method] of CHANGES) {
      const { server, host, methods } = stub(withPort);
      await host.read('server');
      methods();
      server.codeOf = (called) => (called === method ? 1726 : 0);
      expect(await host.act(request)).toMatchObject({
        outcome: 'unknown',
        failure: { message: expect.stringContaining('look before asking again') as unknown },
      });
      const made = methods();
      expect(made.filter((each) => each === method)).toHaveLength(1);
      expect(made.at(-1)).toBe('serverDisconnect');
    }
  });

  it('1726 of a call that only looks leaves nothing unknown, and is tried again on an old handle', async () => {
    const { server, host, methods } = stub();
    await host.read('server');
    let failed = false;
    server.codeOf = (called) => (called === 'interfaceGetHandle' && !failed ? ((failed = true), 1726) : 0);
    expect(await host.act(connectTo('Site'))).toMatchObject({ outcome: 'done' });
    server.codeOf = (called) => (called === 'interfaceGetInfo' ? 1726 : 0);
    expect(await host.act({ action: 'inspect_interface', interfaceName: 'Site' })).toMatchObject({
      outcome: 'retryable',
      code: 1726,
    });
    expect(methods().filter((each) => each === 'interfaceConnect')).toHaveLength(1);
  });

  it('of a server that is stopped, closed to us, or LAN-only say so by their kind', async () => {
    const { sim, host, methods } = start();
    await host.read('server');
    for (const [state, outcome, kind] of [
      ['stopped', 'retryable', 'service_down'],
      ['denied', 'refused', 'permission'],
    ] as const) {
      sim.state = state;
      expect(await host.act(connectTo('Site-Lisboa'))).toMatchObject({ outcome, failure: { kind } });
      expect(await host.act({ action: 'hang_up', connectionHandle: HANDLE })).toMatchObject({
        outcome,
        failure: { kind },
      });
      expect(await host.act({ action: 'inspect_connection', connectionHandle: HANDLE })).toMatchObject({
        outcome,
        failure: { kind },
      });
    }
    sim.state = 'lan_only';
    expect(await host.act({ action: 'hang_up', connectionHandle: HANDLE })).toMatchObject({
      outcome: 'retryable',
      code: 903,
      failure: { kind: 'service_down' },
    });
    await host.read('server');
    methods();
    for (const request of [
      connectTo('Site-Lisboa'),
      disconnectFrom('Site-Lisboa'),
      { action: 'hang_up', connectionHandle: HANDLE },
      { action: 'inspect_connection', connectionHandle: HANDLE },
    ] as const) {
      expect(await host.act(request)).toMatchObject({ outcome: 'refused', code: null });
    }
    expect(methods()).toEqual([]);
    expect(await host.act({ action: 'inspect_interface', interfaceName: 'Ethernet' })).toMatchObject({
      outcome: 'done',
      interfaceNow: { type: 'dedicated' },
    });
    expect(sim.ledger).toMatchObject({ live: 0, strayHandles: 0 });
    const remote = start({ server: 'vpn1', state: 'stopped' });
    expect(await remote.host.act(connectTo('Site-Lisboa'))).toMatchObject({
      outcome: 'retryable',
      code: 1722,
      failure: { kind: 'retryable' },
    });
  });

  it('never lead to more than one call that may have been carried out, in any trace', async () => {
    const code = fc.oneof(
      { weight: 3, arbitrary: fc.constant(0) },
      { weight: 4, arbitrary: fc.constantFrom(...CODES) },
    );
    const step = fc.record({
      what: fc.constantFrom(0, 1, 2, 3, ...SOURCES),
      codes: fc.array(code, { maxLength: 8 }),
      buffersOnFailure: fc.boolean(),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 10, maxLength: 40 }), async (trace) => {
        const { server, host } = stub(withPort);
        for (const { what, codes, buffersOnFailure } of trace) {
          const pending = [...codes];
          server.codeOf = () => pending.shift() ?? 0;
          server.buffersOnFailure = buffersOnFailure;
          server.calls.length = 0;
          if (typeof what === 'string') {
            await host.read(what);
            continue;
          }
          const [request, method] = CHANGES[what]!;
          const { outcome, code: last } = await host.act(request);
          const made = server.calls.filter((call) => CHANGING.has(call.method));
          expect(made.every((call) => call.method === method)).toBe(true);
          expect(made.length).toBeLessThanOrEqual(2);
          const mayHaveRun = made.filter((call) =>
            ['done', 'in_progress', 'unknown', 'failed'].includes(outcomeOfCode(request.action, call.code)),
          );
          expect(mayHaveRun.length).toBeLessThanOrEqual(1);
          if (mayHaveRun.length > 0) expect(made.at(-1)).toBe(mayHaveRun[0]);
          if (made.length > 0 && mayHaveRun.length > 0) expect(last).toBe(mayHaveRun[0]!.code);
          if (outcome === 'unknown') expect(mayHaveRun).toHaveLength(1);
          expect(server.ledger).toMatchObject({ live: 0, strayHandles: 0 });
          expect(server.openHandles).toBeLessThanOrEqual(1);
        }
        await host.close();
        expect(server.openHandles).toBe(0);
      }),
      { numRuns: 300 },
    );
  });
});

describe('a request', () => {
  it('that makes no sense makes no call', async () => {
    const { host, calls } = start();
    const nonsense: readonly ActRequest[] = [
      connectTo(''),
      connectTo('Site-Lisboa\0.'),
      connectTo('x'.repeat(257)),
      connectTo('Site-Lisboa', 'lisboa'),
      connectTo('Site-Lisboa', '0000000000000000'),
      { action: 'inspect_interface', interfaceName: 'a\0b' },
      { action: 'inspect_interface', interfaceHandle: '0x12' },
      // This one stands for all ports of the server.
      { action: 'hang_up', connectionHandle: 'ffffffffffffffff' },
      { action: 'hang_up', connectionHandle: '0000000000000000' },
      { action: 'inspect_connection', connectionHandle: '' },
      { action: 'update_endpoint', connectionHandle: HANDLE, ...ENDPOINT, remoteAddress: '\\\\evil' },
      { action: 'update_endpoint', connectionHandle: HANDLE, ...ENDPOINT, localAddress: '::1' },
      { action: 'update_endpoint', connectionHandle: HANDLE, ...ENDPOINT, interfaceIndex: -1 },
    ];
    for (const request of nonsense) {
      expect(await host.act(request)).toMatchObject({
        outcome: 'our_error',
        code: null,
        failure: { kind: 'internal' },
        report: { calls: [] },
      });
    }
    expect(calls).toEqual([]);
  });

  it.each(CHANGES)('for a function that the DLL lacks is refused: %j', async (request, _, name) => {
    const { host, calls } = start({ missing: [name] });
    expect(await host.act(request)).toMatchObject({
      outcome: 'refused',
      code: null,
      failure: { kind: 'unsupported', function: name },
    });
    expect(calls).toEqual([]);
  });

  it('whose deciding call throws is in doubt; any other call that throws is not', async () => {
    const faults: readonly (readonly [RrasMethod, ActOutcome])[] = [
      ['interfaceConnect', 'unknown'],
      ['interfaceGetHandle', 'our_error'],
      ['serverConnect', 'our_error'],
    ];
    for (const [method, outcome] of faults) {
      const { sim, host } = start({ fault: { fault: { kind: 'throw' }, method, at: 1, mode: 'once' } });
      expect(await host.act(connectTo('Site-Lisboa'))).toMatchObject({
        outcome,
        failure: { kind: 'internal' },
      });
      expect(await host.act(connectTo('Site-Lisboa'))).toMatchObject({ outcome: 'in_progress' });
      expect(sim.ledger).toMatchObject({ live: 0, strayHandles: 0 });
    }
  });

  it('E8 that meets senseless bytes changes nothing', async () => {
    for (const [method, request] of [
      ['portEnum', { action: 'hang_up', connectionHandle: HANDLE }],
      ['connectionEnum', { action: 'inspect_connection', connectionHandle: HANDLE }],
      ['interfaceGetInfo', { action: 'inspect_interface', interfaceName: 'Site-Lisboa' }],
    ] as const) {
      for (const fault of [{ kind: 'truncated', bytes: 0 }, { kind: 'null_buffer' }] as const) {
        const { sim, host, methods } = start({ fault: { fault, method, at: 1, mode: 'persistent' } });
        const handle = sim.liveSessions()[0]!.handle.toString(16).padStart(16, '0');
        const result = await host.act(
          'connectionHandle' in request ? { ...request, connectionHandle: handle } : request,
        );
        const works = method === 'connectionEnum' && fault.kind === 'truncated'; // EnumEx answers
        expect(result.outcome).toBe(works ? 'done' : 'retryable');
        expect(methods().some((each) => CHANGING.has(each))).toBe(false);
        expect(sim.ledger.live).toBe(0);
      }
    }
  });

  it('waits for reads and other requests: no two calls overlap', async () => {
    const { host, traced, clock, sim } = start();
    const lisboa = { action: 'inspect_interface', interfaceName: 'Site-Lisboa' } as const;
    const [, connected, , seen, hungUp] = await Promise.all([
      host.read('connections'),
      host.act(connectTo('Site-Lisboa')),
      host.read('interfaces'),
      host.act(lisboa),
      host.act(disconnectFrom('Site-Lisboa')),
      host.close(),
      host.read('ports'),
    ]);
    expect(traced.maxInFlight).toBe(1);
    expect([connected.outcome, seen.interfaceNow?.state, hungUp.outcome]).toEqual([
      'in_progress',
      'connecting',
      'done',
    ]);
    await clock.advance(MINUTE);
    await host.close();
    expect(sim.ledger).toMatchObject({ live: 0, strayHandles: 0, opened: 2, closed: 2 });
  });
});
