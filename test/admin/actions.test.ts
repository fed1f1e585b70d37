/**
 * The life of an action: what is done to the server in which order, how it is verified, what the audit log says of it
 * before and after, and what is left of it when the exporter dies in the middle.
 */
import fc from 'fast-check';
import { afterEach, describe, expect, it } from 'vitest';
import { TRANSITIONS } from '../../src/admin/actions.ts';
import type { AuditLine } from '../../src/admin/audit-file.ts';
import type { ActRequest, ActResult } from '../../src/model/actions.ts';
import { ACT_OUTCOMES } from '../../src/model/actions.ts';
import type { ActionName, ActionRecord, ActionState, Endpoint } from '../../src/model/admin.ts';
import type { RrasApi } from '../../src/model/rras-api.ts';
import type { Connection } from '../../src/model/snapshot.ts';
import { nameOfCode, outcomeOfCode } from '../../src/native/codes.ts';
import type { ActMethod } from '../../src/native/simulator/server.ts';
import { FakeClock, settle } from '../doubles/fake-clock.ts';
import type { Loss } from '../doubles/fake-disk.ts';
import { FakeDisk } from '../doubles/fake-disk.ts';
import { resultOf, SiteServer } from '../doubles/site-server.ts';
import type { LifeOptions, World } from './exporter-life.ts';
import { alertOn, configOf, deliveryOf, diceOf, Life, MINUTE, OPS } from './exporter-life.ts';
import type { SimulatedWorldOptions } from './simulated-world.ts';
import { SimulatedWorld } from './simulated-world.ts';

const lives: Life[] = [];
/** `from to` of every two states that followed each other in the history of any action here. */
const met = new Set<string>();
/** The same of actions of an earlier life, of which the log knows the intent and the outcome only. */
const metInLog = new Set<string>();

async function live(world: World, options: LifeOptions = {}): Promise<Life> {
  const life = await Life.begin(world, options);
  lives.push(life);
  return life;
}

async function nextOf(life: Life, loss: Loss = 'nothing'): Promise<Life> {
  const next = await life.next(loss);
  lives.push(next);
  return next;
}

afterEach(() => {
  for (const life of lives.splice(0)) {
    for (const { id, history, state } of life.service.actions(OPS)) {
      const isOwn = !life.inherited.has(id);
      history.slice(1).forEach((step, index) => {
        (isOwn ? met : metInLog).add(`${history[index]!.state} ${step.state}`);
      });
      expect(history[0]?.state).toBe('requested');
      expect(history.at(-1)?.state).toBe(state);
    }
  }
});

async function onSimulator(options: SimulatedWorldOptions = {}) {
  const world = new SimulatedWorld(options);
  const life = await live(world);
  const connections = async (): Promise<readonly Connection[]> => {
    const { connections: table } = await world.snapshot();
    return table?.connections ?? [];
  };
  await world.snapshot();
  world.forgetCalls();
  return { world, life, connections, simulator: world.simulator };
}

const statesOf = ({ history }: ActionRecord): ActionState[] => history.map(({ state }) => state);
const SUCCEEDED = ['requested', 'intended', 'acting', 'verifying', 'succeeded'];
const FAILED = ['requested', 'intended', 'acting', 'verifying', 'failed'];
const of = (lines: readonly AuditLine[], kind: string): AuditLine[] =>
  lines.filter((line) => line.kind === kind);

describe('a reconnect', () => {
  it('dials once, and has succeeded when the server says that the interface is connected', async () => {
    const { world, life } = await onSimulator();
    const { decision, action } = await life.request('Site-Lisboa');
    expect(decision).toBe('execute');
    expect(action).toMatchObject({
      outcome: undefined,
      decision: 'execute',
      target: { interface: 'Site-Lisboa' },
    });
    expect(of(await life.lines(), 'intent')).toMatchObject([
      { actionId: action!.id, reason: 'a test', actor: 'ops' },
    ]);
    await life.pass(10_000);
    const ended = life.service.action(OPS, action!.id)!;
    expect(statesOf(ended)).toEqual(SUCCEEDED);
    const times = ended.history.map(({ time }) => time);
    expect(times).toEqual([...times].sort((a, b) => a - b));
    expect(ended).toMatchObject({
      state: 'succeeded',
      outcome: { result: 'connected', function: 'MprAdminInterfaceConnect', code: 600, codeName: 'PENDING' },
    });
    expect(ended.outcome!.seconds).toBeGreaterThan(1);
    expect(world.changes).toEqual(['interfaceConnect']);
    expect(world.stateOf('Site-Lisboa')).toBe('connected');
    expect((await life.lines()).map(({ kind }) => kind)).toEqual(['file', 'opened', 'intent', 'outcome']);
    expect(of(await life.lines(), 'outcome')).toMatchObject([
      { actionId: action!.id, state: 'succeeded', result: 'connected', code: 600 },
    ]);
    expect(life.events).toEqual(['started reconnect', 'succeeded reconnect']);
  });

  it('whose dial fails has failed with the interface’s last error; the second one works', async () => {
    const { world, life } = await onSimulator();
    const first = await life.reconnect('Branch Łódź');
    expect(statesOf(first)).toEqual(FAILED);
    expect(first.outcome).toMatchObject({
      result: 'not_connected',
      interfaceLastError: 691,
      interfaceLastErrorName: 'ERROR_AUTHENTICATION_FAILURE',
      message: 'the interface is unreachable, last error ERROR_AUTHENTICATION_FAILURE (691)',
    });
    expect((await life.reconnect('Branch Łódź')).state).toBe('succeeded');
    expect(world.changes).toEqual(['interfaceConnect', 'interfaceConnect']);
  });

  it('of a link that never comes up fails each time, until a person is asked for', async () => {
    const { world, life, simulator } = await onSimulator();
    simulator.setFaults('Site-Lisboa', { failures: Infinity, error: 868 });
    for (let failures = 1; failures <= 3; failures += 1) {
      const { outcome } = await life.reconnect('Site-Lisboa');
      expect(outcome).toMatchObject({ result: 'not_connected', interfaceLastError: 868 });
      await life.pass(60 * MINUTE);
    }
    expect(await life.request('Site-Lisboa')).toMatchObject({ decision: 'breaker' });
    expect(life.log).toContainEqual(
      expect.objectContaining({ level: 'error', fields: { interface: 'Site-Lisboa' } }) as unknown,
    );
    expect(world.changes).toHaveLength(3);
  });

  it('that stays pending past its deadline is cancelled, and has failed with the last error', async () => {
    const { world, life, simulator } = await onSimulator();
    simulator.setFaults('Site-Lisboa', { dialMs: Infinity });
    const { action } = await life.request('Site-Lisboa');
    await life.pass(59_500);
    expect(life.service.action(OPS, action!.id)!.state).toBe('verifying');
    expect(world.changes).toEqual(['interfaceConnect']);
    await life.pass(1000);
    const ended = life.service.action(OPS, action!.id)!;
    expect(statesOf(ended)).toEqual(FAILED);
    expect(ended.outcome).toMatchObject({ result: 'timeout', seconds: 60, interfaceLastError: 809 });
    expect(ended.outcome!.message).toContain('cancelled');
    const looks = Array.from({ length: 60 }, () => ['interfaceGetHandle', 'interfaceGetInfo']).flat();
    const first = world.calls.indexOf('interfaceGetHandle');
    expect(world.calls.slice(first)).toEqual([
      'interfaceGetHandle',
      'interfaceConnect',
      ...looks,
      'interfaceGetHandle',
      'interfaceDisconnect',
    ]);
    expect(world.stateOf('Site-Lisboa')).toBe('disconnected');
  });

  it('that somebody else had begun is not cancelled at its deadline', async () => {
    const { world, life } = await onSites();
    world.server.intercept = ({ action }) => {
      const link = world.server.link('Site-A');
      // Just before.
      if (action === 'connect' && link.state === 'unreachable') link.state = 'connecting';
      return undefined;
    };
    const { outcome } = await life.reconnect('Site-A');
    expect(outcome).toMatchObject({ result: 'timeout', code: 910 });
    expect(outcome!.message).toContain('left to who began it');
    expect(world.server.changes).toEqual(['connect Site-A']);
  });

  it('that cannot be cancelled at its deadline says so', async () => {
    const { world, life } = await onSites();
    world.server.link('Site-A').dial = null;
    world.server.intercept = (request) =>
      request.action === 'disconnect' ? resultOf(request, 'retryable', 1722) : undefined;
    const { outcome } = await life.reconnect('Site-A');
    expect(outcome).toMatchObject({ result: 'timeout', interfaceLastError: 809 });
    expect(outcome!.message).toContain('the attempt was not cancelled');
  });

  it('of a connected interface is not made, and of one that is being dialled is busy', async () => {
    const { world, life, simulator } = await onSimulator();
    expect(await life.request('Site-Berlin')).toMatchObject({
      decision: 'already_connected',
      action: { state: 'denied', history: [{ state: 'requested' }, { state: 'denied' }] },
    });
    simulator.setFaults('Site-Lisboa', { dialMs: Infinity });
    await world.actor.act({
      action: 'connect',
      interfaceName: 'Site-Lisboa',
      interfaceHandle: '0000000000000001',
    });
    world.forgetCalls();
    expect(await life.request('Site-Lisboa')).toMatchObject({ decision: 'busy' });
    expect(world.changes).toEqual([]);
  });

  it('with force hangs up first, whatever the state', async () => {
    const { world, life, simulator } = await onSimulator();
    const guid = () => simulator.liveSessions().find(({ role }) => role === 'site')?.guid;
    const before = guid();
    expect(await life.reconnect('Site-Berlin', { force: true })).toMatchObject({
      state: 'succeeded',
      force: true,
    });
    expect(world.changes).toEqual(['interfaceDisconnect', 'interfaceConnect']);
    expect(guid()).not.toBe(before);
    world.forgetCalls();
    expect((await life.reconnect('Site-Lisboa', { force: true })).state).toBe('succeeded');
    expect(world.changes).toEqual(['interfaceDisconnect', 'interfaceConnect']);
  });

  it('with force does not dial if it cannot hang up, or nothing shows that it has', async () => {
    const { world, life, simulator } = await onSimulator();
    simulator.actCodes = { interfaceDisconnect: 5 };
    expect(await life.reconnect('Site-Berlin', { force: true })).toMatchObject({
      state: 'failed',
      outcome: { result: 'refused', function: 'MprAdminInterfaceDisconnect', code: 5 },
    });
    expect(world.changes).not.toContain('interfaceConnect');
    const sites = await onSites();
    for (const [name, outcome, end] of [
      ['Site-A', 'done', 'failed'],
      ['Site-B', 'unknown', 'unknown'],
    ] as const) {
      sites.world.server.link(name).state = 'connected';
      sites.world.server.intercept = (request) =>
        request.action === 'disconnect' ? resultOf(request, outcome, 0) : undefined;
      const ended = await sites.life.reconnect(name, { force: true });
      expect(statesOf(ended)).toEqual(['requested', 'intended', 'acting', end]);
      expect(ended.outcome).toMatchObject({ result: 'timeout', seconds: 10 });
    }
    expect(sites.world.server.dials).toBe(0);
  });

  it('of an interface that is disabled has failed without a look', async () => {
    const { life } = await onSimulator();
    const { outcome, history } = await life.reconnect('Site-Oslo');
    expect(outcome).toMatchObject({ result: 'refused', code: 916, codeName: 'ERROR_INTERFACE_DISABLED' });
    expect(history.map(({ state }) => state)).toEqual(['requested', 'intended', 'acting', 'failed']);
  });

  it('of an interface that is deleted or disabled meanwhile fails, and says why', async () => {
    const { world, life } = await onSites();
    world.server.link('Site-A').dial = null;
    world.server.link('Site-B').dial = null;
    const asked = [await life.request('Site-A'), await life.request('Site-B')];
    await life.pass(1000);
    world.server.links.delete('Site-A');
    Object.assign(world.server.link('Site-B'), { enabled: false, state: 'unreachable' });
    await life.pass(5000);
    const [gone, disabled] = asked.map(({ action }) => life.service.action(OPS, action!.id)!);
    expect(gone).toMatchObject({
      state: 'failed',
      outcome: { result: 'gone', message: 'the interface is gone' },
    });
    expect(disabled).toMatchObject({ state: 'failed', outcome: { message: 'the interface is disabled' } });
  });

  it('is looked at again where a look does not succeed', async () => {
    const { world, life } = await onSites();
    let looks = 0;
    world.server.intercept = (request) => {
      if (request.action !== 'inspect_interface') return undefined;
      looks += 1;
      return looks <= 5 ? resultOf(request, 'retryable', 1722) : undefined;
    };
    expect(await life.reconnect('Site-A')).toMatchObject({ state: 'succeeded' });
    expect(looks).toBe(6);
  });

  it('has not failed where the state is late to show that the interface is being dialled', async () => {
    for (const [lateMs, state] of [
      [2500, 'succeeded'],
      [10_000, 'failed'],
    ] as const) {
      const { world, life } = await onSites();
      const link = world.server.link('Site-A');
      let dialMs = Infinity;
      world.server.intercept = (request) => {
        if (request.action === 'connect') {
          dialMs = world.clock.monotonicMs() + lateMs;
          return resultOf(request, 'in_progress', 600);
        }
        if (world.clock.monotonicMs() >= dialMs + 1500) link.state = 'connected';
        else if (world.clock.monotonicMs() >= dialMs) link.state = 'connecting';
        return undefined;
      };
      expect((await life.reconnect('Site-A')).state, String(lateMs)).toBe(state);
    }
  });

  it('C3 takes and is verified in the same time whatever the system clock does', async () => {
    for (const day of [86_400, -86_400]) {
      const { world, life, simulator } = await onSimulator();
      simulator.setFaults('Site-Lisboa', { dialMs: 30_000 });
      const { action } = await life.request('Site-Lisboa');
      await life.pass(10_000);
      world.clock.jumpWall(day);
      await life.pass(19_000);
      expect(life.service.action(OPS, action!.id)!.state).toBe('verifying');
      await life.pass(3000);
      expect(life.service.action(OPS, action!.id)!).toMatchObject({
        state: 'succeeded',
        outcome: { seconds: 30 },
      });
    }
  });
});

describe('a disconnect', () => {
  it('is verified by the interface’s state', async () => {
    const { world, life } = await onSimulator();
    expect(await life.reconnect('Site-Berlin', { action: 'disconnect' })).toMatchObject({
      state: 'succeeded',
      outcome: { result: 'verified', function: 'MprAdminInterfaceDisconnect', code: 0 },
    });
    expect(world.changes).toEqual(['interfaceDisconnect']);
  });

  it('of an interface that is down is not made: there is nothing to hang up', async () => {
    const { world, life } = await onSimulator();
    const answer = await life.request('Site-Lisboa', { action: 'disconnect' });
    expect(answer).toMatchObject({ decision: 'gone' });
    expect(answer.missing).toBeUndefined();
    expect(world.changes).toEqual([]);
  });

  it('cancels an attempt to connect', async () => {
    const { world, life, simulator } = await onSimulator();
    simulator.setFaults('Site-Lisboa', { dialMs: Infinity });
    await world.actor.act({
      action: 'connect',
      interfaceName: 'Site-Lisboa',
      interfaceHandle: '0000000000000001',
    });
    expect((await life.reconnect('Site-Lisboa', { action: 'disconnect' })).state).toBe('succeeded');
    expect(world.stateOf('Site-Lisboa')).toBe('disconnected');
  });
});

const ENDPOINT: Endpoint = { interfaceIndex: 12, localAddress: '198.51.100.7', remoteAddress: '203.0.113.9' };

describe('an endpoint', () => {
  const move = { action: 'update_endpoint', endpoint: ENDPOINT } as const;

  it('of an IKEv2 connection is moved, and verified by reading it again', async () => {
    const { world, life, connections } = await onSimulator();
    const { id, identity } = (await connections()).find(({ tunnel }) => tunnel === 'ikev2')!;
    world.forgetCalls();
    const { action } = await life.request('', { ...move, target: { connection: id } });
    await life.pass(1500);
    const ended = life.service.action(OPS, action!.id)!;
    expect(statesOf(ended)).toEqual(SUCCEEDED);
    expect(ended.outcome).toMatchObject({
      result: 'verified',
      function: 'MprAdminUpdateConnection',
      message: 'the endpoint has moved',
    });
    expect(world.requests.map(({ action }) => action)).toEqual([
      'inspect_connection',
      'update_endpoint',
      'inspect_connection',
    ]);
    expect(world.changes).toEqual(['updateConnection']);
    const { connectionNow } = await world.actor.act({
      action: 'inspect_connection',
      connectionHandle: identity.handle,
    });
    expect(connectionNow).toMatchObject({ localAddress: '198.51.100.7', remoteAddress: '203.0.113.9' });
  });

  it('of a connection that ends meanwhile has failed', async () => {
    const { life, connections, world } = await onSimulator({
      through: () => ({ updateConnection: () => Promise.resolve({ code: 0 }) }),
    });
    const { id, identity } = (await connections()).find(
      ({ tunnel, role }) => tunnel === 'ikev2' && role === 'client',
    )!;
    const { action } = await life.request('', { ...move, target: { connection: id } });
    await world.actor.act({ action: 'hang_up', connectionHandle: identity.handle });
    await life.pass(2000);
    expect(life.service.action(OPS, action!.id)).toMatchObject({
      state: 'failed',
      outcome: { result: 'gone' },
    });
    expect(await life.request('', { ...move, target: { connection: id } })).toMatchObject({
      decision: 'gone',
    });
  });

  it('of a connection that has ended since the snapshot is not moved', async () => {
    const { life, connections, world } = await onSimulator();
    const { id, identity } = (await connections()).find(
      ({ tunnel, role }) => tunnel === 'ikev2' && role === 'client',
    )!;
    const seen = await world.snapshot();
    world.snapshot = () => Promise.resolve(seen);
    await world.actor.act({ action: 'hang_up', connectionHandle: identity.handle });
    world.forgetCalls();
    expect(await life.reconnect('', { ...move, target: { connection: id } })).toMatchObject({
      state: 'failed',
      outcome: { result: 'gone', message: 'the connection has ended' },
    });
    expect(world.changes).toEqual([]);
  });

  it('of another tunnel, or without new addresses, is refused before any call', async () => {
    const { world, life, connections } = await onSimulator();
    for (const tunnel of ['sstp', 'l2tp', 'pptp'] as const) {
      const { id } = (await connections()).find((each) => each.tunnel === tunnel)!;
      expect(await life.request('', { ...move, target: { connection: id } })).toMatchObject({
        decision: 'invalid',
        reason: 'only the endpoint of an IKEv2 connection can be moved',
      });
    }
    const { id } = (await connections()).find(({ tunnel }) => tunnel === 'ikev2')!;
    expect(await life.request('', { action: 'update_endpoint', target: { connection: id } })).toMatchObject({
      decision: 'invalid',
    });
    expect(world.changes).toEqual([]);
  });

  it('A4 outside the allowed networks is denied', async () => {
    const { world, life, connections } = await onSimulator();
    const { id } = (await connections()).find(({ tunnel }) => tunnel === 'ikev2')!;
    for (const remoteAddress of ['192.0.2.1', '\\\\evil', '203.0.113.9.evil', '::ffff:203.0.113.9', '']) {
      const endpoint = { ...ENDPOINT, remoteAddress };
      expect(await life.request('', { ...move, endpoint, target: { connection: id } })).toMatchObject({
        decision: 'denied',
      });
    }
    expect(world.changes).toEqual([]);
  });
});

describe('a hang-up', () => {
  it('is verified by the connection’s end', async () => {
    const { world, life, connections } = await onSimulator();
    const { id } = (await connections()).find(({ role }) => role === 'client')!;
    const ended = await life.reconnect('', { action: 'hang_up', target: { connection: id } });
    expect(statesOf(ended)).toEqual(SUCCEEDED);
    expect(ended).toMatchObject({
      target: { connection: id },
      outcome: {
        result: 'verified',
        function: 'MprAdminPortDisconnect',
        message: 'the connection has ended',
      },
    });
    expect(world.changes).toEqual(['portDisconnect']);
    expect((await connections()).some((each) => each.id === id)).toBe(false);
  });

  it('of a connection that belongs to an interface waits for what is done to the interface', async () => {
    const { world, life, connections } = await onSimulator();
    const { id, identity } = (await connections()).find(({ role }) => role === 'site')!;
    const name = identity.interfaceName;
    const [first, second] = await Promise.all([
      life.request(name, { force: true }),
      life.request('', { action: 'hang_up', target: { connection: id } }),
    ]);
    expect(first.decision).toBe('execute');
    expect(second).toMatchObject({
      decision: 'busy',
      action: { target: { connection: id, interface: name } },
    });
    expect(second.crowded).toBeUndefined();
    await life.pass(2 * MINUTE);
    expect(world.changes).not.toContain('portDisconnect');
  });
});

describe('a target', () => {
  it.each([
    '',
    '*',
    '..',
    '\\\\evil',
    '\\\\evil\\pipe\\ras',
    'Site-Lisboa\0',
    'Site-Lisboa ',
    'site-lisboa',
    // The first letter is Cyrillic.
    '\u0405ite-Lisboa',
    'Site-Lisboa\u200B',
    '__proto__',
    'https://evil.example/',
  ])('A4 that the server does not have is gone, and nothing is called: %j', async (name) => {
    const { world, life } = await onSimulator();
    for (const action of ['reconnect', 'disconnect'] as const) {
      expect(await life.request(name, { action })).toMatchObject({ decision: 'gone', missing: 'target' });
    }
    for (const action of ['update_endpoint', 'hang_up'] as const) {
      expect(
        await life.request('', { action, target: { connection: name }, endpoint: ENDPOINT }),
      ).toMatchObject({ decision: 'gone', missing: 'target' });
    }
    expect(world.requests).toEqual([]);
    expect(of(await life.lines(), 'intent')).toEqual([]);
  });

  it('A4 that is missing means nothing', async () => {
    const { world, life } = await onSimulator();
    expect(await life.request('', { target: {} })).toMatchObject({ decision: 'gone', missing: 'target' });
    expect(world.requests).toEqual([]);
  });

  it('A4 that is no demand-dial interface is invalid, and the name of a user is none at all', async () => {
    const { world, life, simulator } = await onSimulator();
    const { user } = simulator.liveSessions().find(({ role }) => role === 'client')!;
    for (const action of ['reconnect', 'disconnect'] as const) {
      expect(await life.request('Ethernet', { action })).toMatchObject({ decision: 'invalid' });
      expect(await life.request(user, { action })).toMatchObject({ decision: 'gone', missing: 'target' });
    }
    expect(world.requests).toEqual([]);
  });

  it('A4 of another kind than the action is for is invalid', async () => {
    const { world, life, connections } = await onSimulator();
    const { id } = (await connections()).find(({ tunnel }) => tunnel === 'ikev2')!;
    for (const action of ['reconnect', 'disconnect'] as const) {
      expect(await life.request('', { action, target: { connection: id } })).toMatchObject({
        decision: 'invalid',
      });
    }
    for (const action of ['update_endpoint', 'hang_up'] as const) {
      expect(await life.request('Site-Lisboa', { action, endpoint: ENDPOINT })).toMatchObject({
        decision: 'invalid',
      });
    }
    expect(world.requests).toEqual([]);
  });

  it('of a server that cannot be read is not known to be there', async () => {
    const { world, life, connections, simulator } = await onSimulator();
    const [connection] = await connections();
    for (const state of ['stopped', 'denied', 'lan_only'] as const) {
      simulator.state = state;
      const missing = state === 'lan_only' ? 'target' : 'server';
      if (missing === 'server') {
        expect(await life.request('Site-Lisboa'), state).toMatchObject({ decision: 'gone', missing });
      }
      expect(
        await life.request('', { action: 'hang_up', target: { connection: connection!.id } }),
        state,
      ).toMatchObject({ decision: 'gone', missing: 'server' });
      await life.pass(2 * MINUTE);
    }
    expect(world.requests).toEqual([]);
  });
});

/** A world of scripted links. */
function sites(names: readonly string[] = ['Site-A', 'Site-B', 'Site-C', 'Site-D']) {
  const clock = new FakeClock();
  const server = new SiteServer(clock, names);
  return { clock, server, actor: server, snapshot: () => Promise.resolve(server.snapshot()) };
}

async function onSites(options: LifeOptions & { names?: readonly string[] } = {}) {
  const { names, ...rest } = options;
  const world = sites(names);
  return { world, life: await live(world, rest) };
}

describe('the code of the native call', () => {
  const CODES = [
    0, 2, 5, 6, 8, 50, 64, 87, 109, 122, 127, 170, 233, 600, 617, 691, 756, 809, 837, 838, 839, 843, 844, 900,
    901, 903, 905, 906, 908, 910, 916, 925, 928, 929, 956, 997, 1062, 1460, 1702, 1717, 1722, 1723, 1726,
    1727, 1728, 1745, 1753, 1818, 1820, 3010, 4711,
  ];
  const METHODS: Readonly<Record<ActionName, ActMethod>> = {
    reconnect: 'interfaceConnect',
    disconnect: 'interfaceDisconnect',
    update_endpoint: 'updateConnection',
    hang_up: 'portDisconnect',
  };
  const ACT_NAMES = {
    reconnect: 'connect',
    disconnect: 'disconnect',
    update_endpoint: 'update_endpoint',
    hang_up: 'hang_up',
  } as const;
  const GOES_ON = [
    'done',
    'in_progress',
    'already_connected',
    'already_connecting',
    'already_disconnected',
    'unknown',
  ];
  const outcomes = new Set<string>();

  /** Answers the code; before that the server may have done it all the same. */
  async function answered(action: ActionName, code: number, isDone: boolean) {
    const method = METHODS[action];
    const { world, life, connections } = await onSimulator({
      through: (api): Partial<RrasApi> => {
        const answer = async (real: () => Promise<unknown>) => {
          if (isDone) await real();
          return { code };
        };
        switch (method) {
          case 'interfaceConnect':
            return { [method]: (...args) => answer(() => api[method](...args)) };
          case 'interfaceDisconnect':
            return { [method]: (...args) => answer(() => api[method](...args)) };
          case 'updateConnection':
            return { [method]: (...args) => answer(() => api[method](...args)) };
          case 'portDisconnect':
            return { [method]: (...args) => answer(() => api[method](...args)) };
        }
      },
    });
    const onInterface = action === 'reconnect' || action === 'disconnect';
    const site = (await connections()).find(({ role, tunnel }) => role === 'site' && tunnel === 'ikev2')!;
    const target = onInterface
      ? { interface: action === 'reconnect' ? 'Site-Lisboa' : 'Site-Berlin' }
      : { connection: site.id };
    world.forgetCalls();
    const ended = await life.reconnect('', { action, target, endpoint: ENDPOINT });
    return { ended, changes: world.changes };
  }

  for (const action of ['reconnect', 'disconnect', 'update_endpoint', 'hang_up'] as const) {
    it.each(CODES)(`of a ${action} gives its end: %d`, async (code) => {
      const outcome = outcomeOfCode(ACT_NAMES[action], code);
      outcomes.add(`${action} ${outcome}`);
      const codeName = nameOfCode(code) ?? null;
      const { ended, changes } = await answered(action, code, false);
      expect(ended.outcome).toMatchObject({ code, codeName, function: expect.any(String) as unknown });
      if (GOES_ON.includes(outcome)) {
        // What is seen decides.
        const isSeen = action === 'reconnect';
        expect(ended.state).toBe(outcome === 'unknown' && !isSeen ? 'unknown' : 'failed');
        expect(ended.outcome!.result).toBe(isSeen ? 'not_connected' : 'timeout');
        expect(statesOf(ended).slice(0, -1)).toEqual(['requested', 'intended', 'acting', 'verifying']);
        expect(changes).toHaveLength(1);
        const { ended: done, changes: made } = await answered(action, code, true);
        expect(done.state).toBe('succeeded');
        expect(made).toEqual([METHODS[action]]);
      } else {
        expect(statesOf(ended)).toEqual(['requested', 'intended', 'acting', 'failed']);
        expect(ended.outcome!.result).toBe(outcome);
        // Once more on a new handle where the old one was void, and nothing was done.
        expect(changes.length).toBeLessThanOrEqual(2);
      }
    });
  }

  it('was of every kind that its call can be of', () => {
    for (const action of ['reconnect', 'disconnect', 'update_endpoint', 'hang_up'] as const) {
      const ofAction = ACT_OUTCOMES.filter((outcome) => outcomes.has(`${action} ${outcome}`));
      const expected = ACT_OUTCOMES.filter(
        (outcome) => outcome !== 'already_disconnected' || action === 'disconnect',
      );
      expect(ofAction).toEqual(expected);
    }
  });

  it('that leaves all unknown stays unknown at the deadline of a dial that is pending', async () => {
    const { world, life } = await onSites();
    world.server.link('Site-A').dial = null;
    world.server.intercept = async (request) => {
      if (request.action !== 'connect') return undefined;
      world.server.intercept = () => undefined;
      await world.server.act(request);
      return resultOf(request, 'unknown', 1726);
    };
    expect(await life.reconnect('Site-A')).toMatchObject({
      state: 'unknown',
      outcome: { result: 'timeout', code: 1726 },
    });
    expect(world.server.changes).toEqual(['connect Site-A', 'connect Site-A', 'disconnect Site-A']);
  });

  it('a defect in between leaves all unknown, and the next action is not held up', async () => {
    const { world, life } = await onSites();
    world.server.intercept = () => Promise.reject(new TypeError('a defect'));
    const ended = await life.reconnect('Site-A');
    expect(statesOf(ended)).toEqual(['requested', 'intended', 'acting', 'unknown']);
    expect(ended.outcome).toMatchObject({ result: 'internal' });
    world.server.intercept = () => undefined;
    expect((await life.reconnect('Site-A')).state).toBe('succeeded');
  });
});

/** Intents on the disk, as it would be after a power failure now, of which no outcome is there. */
async function openOn(life: Life, loss: Loss = 'unsynced'): Promise<AuditLine[]> {
  const lines = await life.lines(life.disk.reboot(loss));
  const ended = new Set(of(lines, 'outcome').map(({ actionId }) => actionId));
  return of(lines, 'intent').filter(({ actionId }) => !ended.has(actionId));
}

describe('A5 D2 the intent', () => {
  it('is on the disk before the first call that changes something, and no outcome before the last', async () => {
    const { world, life } = await onSites();
    const seen: [string, number][] = [];
    world.server.intercept = async ({ action }) => {
      seen.push([action, (await openOn(life)).length]);
      return undefined;
    };
    world.server.link('Site-A').state = 'connected';
    await life.reconnect('Site-A', { force: true });
    expect(seen.slice(0, 3)).toEqual([
      ['disconnect', 1],
      ['inspect_interface', 1],
      ['connect', 1],
    ]);
    expect(seen.every(([, open]) => open === 1)).toBe(true);
    expect(await openOn(life)).toEqual([]);
  });

  it('says who, what, why, how and for which alert, so that the log alone tells it', async () => {
    const { world, life } = await onSites();
    world.server.intercept = () => undefined;
    await life.deliver(deliveryOf([alertOn('Site-A')]));
    await life.request('Site-B', {
      force: true,
      override: ['cooldown'],
      reason: 'line\nbreak',
      idempotency: { key: 'secret-key', body: '{}' },
    });
    const [first, second] = of(await life.lines(), 'intent');
    expect(first).toMatchObject({
      action: 'reconnect',
      target: { interface: 'Site-A' },
      actor: 'ops',
      route: 'alertmanager',
      alert: { rule: 'redial', fingerprint: '0000000000000001', startsAt: '2026-11-20T23:00:00Z' },
    });
    expect(second).toMatchObject({ force: true, override: ['cooldown'], reason: 'line\nbreak' });
    expect(JSON.stringify(second)).not.toContain('secret-key');
  });
});

describe('A5 SIGTERM', () => {
  it.each([0, 500, 1500, 5500])(
    'after %d ms ends the action as unknown, and makes no further call',
    async (ms) => {
      const { world, life } = await onSites();
      world.server.link('Site-A').dial = null;
      const { action } = await life.request('Site-A');
      await life.pass(ms);
      const made = world.server.requests.length;
      await life.service.close();
      expect(life.service.action(OPS, action!.id)).toMatchObject({
        state: 'unknown',
        outcome: { result: 'interrupted' },
      });
      expect(of(await life.lines(), 'outcome')).toMatchObject([{ actionId: action!.id, state: 'unknown' }]);
      await life.pass(5 * MINUTE);
      expect(world.server.requests.length).toBeLessThanOrEqual(made + 1);
      expect(world.server.dials).toBe(1);
      expect(await life.verify()).toMatchObject({ ok: true });
      // Nothing is left for the next start to close, and nothing is dialled by it.
      const next = await life.next();
      lives.push(next);
      expect(of(await next.lines(), 'outcome')).toHaveLength(1);
      expect(world.server.dials).toBe(1);
    },
  );

  it('while the intent is being written leaves the server alone, and says so', async () => {
    const { world, life } = await onSites();
    const asked = life.request('Site-A');
    await Promise.resolve();
    const closed = life.service.close();
    const { decision, action } = await asked;
    await closed;
    await life.pass(MINUTE);
    expect(world.server.requests).toEqual([]);
    const outcomes = of(await life.lines(), 'outcome');
    if (decision === 'execute') {
      const ended = life.service.action(OPS, action!.id)!;
      expect(statesOf(ended)).toEqual(['requested', 'intended', 'failed']);
      expect(outcomes).toMatchObject([{ actionId: action!.id, state: 'failed', result: 'interrupted' }]);
    } else {
      expect(outcomes).toEqual([]);
    }
    expect(of(await life.lines(), 'intent')).toHaveLength(outcomes.length);
  });

  it('refuses what comes after it, without a trace of an action', async () => {
    const { world, life } = await onSites();
    await life.service.close();
    expect((await life.request('Site-A')).decision).toBe('paused');
    expect(world.server.requests).toEqual([]);
  });

  it('between hanging up and dialling ends as unknown', async () => {
    const { world, life } = await onSites();
    world.server.link('Site-A').state = 'connected';
    const { action } = await life.request('Site-A', { force: true });
    await settle();
    await life.service.close();
    expect(life.service.action(OPS, action!.id)).toMatchObject({ state: 'unknown' });
    expect(world.server.changes).toEqual(['disconnect Site-A']);
  });
});

/** Where to let a disk die: at both ends and in the middle of each operation. */
function stepsOf(disk: FakeDisk): number[] {
  const steps: number[] = [];
  let step = 0;
  for (const event of disk.events) {
    const bytes = Number(/^write .* (\d+)$/.exec(event)?.[1] ?? 1);
    steps.push(...new Set([step + 1, step + Math.ceil(bytes / 2), step + bytes]));
    step += bytes;
  }
  return steps;
}

const SEED = fc.readConfigureGlobal().seed ?? 0;
const LOSSES: readonly Loss[] = ['nothing', 'unsynced', { below: diceOf(SEED) }];

describe('A5 D2 kill -9', () => {
  const config = configOf({ guards: { cooldownMs: 10 * MINUTE } });
  const alerts = deliveryOf([alertOn('Site-B')]);

  /** Opens, and has one action succeed and one fail. May end before, as its life may. */
  async function act(life: Life): Promise<void> {
    const isOver = (): boolean => life.disk.isDead;
    await life.alive(life.open().catch(() => undefined));
    if (isOver()) return;
    await life.alive(life.request('Site-A', { idempotency: { key: 'k', body: '{}' } }));
    if (isOver()) return;
    await life.pass(10_000);
    await life.alive(life.deliver(alerts));
    await life.pass(10_000);
  }

  function start() {
    const world = sites();
    world.server.link('Site-B').dial = 691;
    return { world, life: Life.create(world, { config }) };
  }

  /** Whatever the moment of the death: what must be true of the next life. */
  async function checkNext(world: ReturnType<typeof sites>, dead: Life, loss: Loss): Promise<void> {
    // The dead one does nothing any more.
    const made = world.server.requests.length;
    await world.clock.advance(5 * MINUTE);
    expect(world.server.requests).toHaveLength(made);
    const before = await dead.lines(dead.disk.reboot('unsynced'));
    const told = new Set(of(before, 'outcome').map(({ actionId }) => actionId));

    const life = await nextOf(dead, loss);
    expect(await life.verify()).toMatchObject({ ok: true });
    const lines = await life.lines();
    const intents = of(lines, 'intent');
    const outcomes = of(lines, 'outcome');
    // Nothing was done without an intent that survives whatever the crash takes.
    expect(world.server.dials).toBeLessThanOrEqual(of(before, 'intent').length);
    expect(world.server.requests).toHaveLength(made);
    // Each intent has one outcome; of those that had none, nobody knows.
    expect(outcomes.map(({ actionId }) => actionId).sort()).toEqual(
      intents.map(({ actionId }) => actionId).sort(),
    );
    for (const { actionId, state, result } of outcomes) {
      if (told.has(actionId)) expect(state).not.toBe('unknown');
      const record = life.service.action(OPS, actionId!)!;
      expect(record.state).toBe(state);
      if (state === 'unknown') {
        expect(result).toBe('interrupted');
        expect(statesOf(record)).toEqual(['requested', 'intended', 'unknown']);
      }
    }
    // What is known is acted on: no second dial on account of the same request or alert, nor in the cool-down.
    const targets = intents.map((line) => (line['target'] as { interface: string }).interface);
    if (targets.includes('Site-A')) {
      expect(await life.request('Site-A', { idempotency: { key: 'k', body: '{}' } })).toMatchObject({
        decision: 'duplicate',
      });
      const { decision } = await life.request('Site-A');
      expect(['cooldown', 'already_connected']).toContain(decision);
    }
    if (targets.includes('Site-B')) {
      const { alerts: decided } = await life.deliver(alerts);
      expect(decided).toMatchObject([{ decision: 'duplicate' }]);
    }
    expect(world.server.requests).toHaveLength(made);
    // The one after that finds nothing to close.
    const third = await life.next('unsynced');
    expect(of(await third.lines(), 'outcome')).toHaveLength(outcomes.length);
    expect(world.server.requests).toHaveLength(made);
  }

  it(
    'at each step of the disk: the log tells all, and nothing is done twice',
    { timeout: 120_000 },
    async () => {
      const whole = start();
      await act(whole.life);
      expect(whole.world.server.changes).toEqual(['connect Site-A', 'connect Site-B']);
      const steps = stepsOf(whole.life.disk);
      expect(steps.length).toBeGreaterThan(20);
      for (const step of steps) {
        for (const loss of LOSSES) {
          const { world, life } = start();
          life.disk.diesAtStep = step;
          await act(life);
          await checkNext(world, life, loss).catch((error: unknown) => {
            throw new Error(`seed ${SEED}, step ${step}, loss ${JSON.stringify(loss)}`, { cause: error });
          });
        }
      }
    },
  );

  it(
    'before and after each call: the log tells all, and nothing is done twice',
    { timeout: 120_000 },
    async () => {
      const whole = start();
      await act(whole.life);
      const calls = whole.world.server.requests.length;
      expect(calls).toBeGreaterThan(4);
      for (let call = 1; call <= calls; call += 1) {
        for (const isDone of [false, true]) {
          for (const loss of LOSSES) {
            const { world, life } = start();
            let made = 0;
            world.server.intercept = () => {
              made += 1;
              if (made !== call) return undefined;
              life.die();
              return isDone ? undefined : new Promise<Partial<ActResult>>(() => undefined);
            };
            await act(life);
            expect(life.disk.isDead).toBe(true);
            await checkNext(world, life, loss).catch((error: unknown) => {
              throw new Error(`seed ${SEED}, call ${call}, done ${isDone}, loss ${JSON.stringify(loss)}`, {
                cause: error,
              });
            });
          }
        }
      }
    },
  );

  it('while open intents are closed: the next one closes them, each once', async () => {
    const dying = async () => {
      const { world, life } = start();
      world.server.intercept = ({ action }: ActRequest) => {
        if (action === 'inspect_interface') life.die();
        return undefined;
      };
      await act(life);
      return { world, disk: life.disk.reboot('unsynced') };
    };
    const whole = await dying();
    await Life.begin(whole.world, { config, disk: whole.disk });
    for (const step of stepsOf(whole.disk)) {
      for (const loss of LOSSES) {
        const { world, disk } = await dying();
        const second = Life.create(world, { config, disk });
        disk.diesAtStep = step;
        await second.alive(second.open().catch(() => undefined));
        const third = await second.next(loss);
        expect(await third.verify()).toMatchObject({ ok: true });
        const lines = await third.lines();
        expect(of(lines, 'intent')).toHaveLength(1);
        expect(of(lines, 'outcome')).toMatchObject([{ state: 'unknown', result: 'interrupted' }]);
        expect(world.server.dials).toBe(1);
      }
    }
  });
});

describe('D3 an outcome that cannot be written', () => {
  it('holds all the same, is told, and is unknown to the next start only', async () => {
    const { world, life } = await onSites();
    const { action } = await life.request('Site-A');
    life.disk.freeBytes = 0;
    await life.pass(10_000);
    expect(life.service.action(OPS, action!.id)).toMatchObject({ state: 'succeeded' });
    expect(life.events).toEqual(['started reconnect', 'audit failure', 'succeeded reconnect']);
    expect(life.log).toContainEqual(
      expect.objectContaining({ message: 'the outcome of an action is not in the audit log' }) as unknown,
    );
    life.disk.heal();
    const next = await nextOf(life, 'unsynced');
    expect(next.service.action(OPS, action!.id)).toMatchObject({ state: 'unknown' });
    expect(world.server.dials).toBe(1);
  });
});

describe('requests at the same time', () => {
  it('A3 get one action on an interface, and no more than allowed over all', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.constantFrom('Site-A', 'Site-B', 'Site-C', 'Site-D'), { minLength: 2, maxLength: 12 }),
        fc.integer({ min: 1, max: 3 }),
        fc.integer({ min: 1, max: 3 }),
        async (names, maxConcurrent, rateBurst) => {
          const world = sites();
          const life = await Life.begin(world, {
            config: configOf({ guards: { maxConcurrent, rateBurst } }),
          });
          const answers = await Promise.all(names.map((name) => life.request(name)));
          const executed = answers.filter(({ decision }) => decision === 'execute');
          const different = new Set(names).size;
          expect(executed).toHaveLength(Math.min(different, maxConcurrent, rateBurst));
          expect(new Set(executed.map(({ action }) => action!.target.interface)).size).toBe(executed.length);
          await life.pass(10_000);
          expect(world.server.dials).toBe(executed.length);
        },
      ),
    );
  });
});

describe('all these actions', () => {
  it('went through every transition that there is, and no other', () => {
    const known = Object.entries(TRANSITIONS).flatMap(([from, next]) => next.map((to) => `${from} ${to}`));
    // The one is of actions that an earlier life has left open.
    expect([...met, 'intended unknown'].sort()).toEqual(known.sort());
    expect([...metInLog].sort()).toEqual([
      'intended failed',
      'intended succeeded',
      'intended unknown',
      'requested intended',
    ]);
  });
});
