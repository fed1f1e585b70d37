/**
 * Guarded actions by the whole program in Windows' Node.js under Wine: from a request to the arguments on the C side and
 * back, what is kept on the disk, and what a restart makes of it. actions.test.ts has the calls alone.
 */
import * as fs from 'node:fs';
import * as path from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import type { ActionObject } from '../../src/server/admin-schemas.ts';
import type { AdminExporter, ApiAnswer } from './admin-exporter.ts';
import { AdminHome, ATTEMPT_SECONDS, basic, PASSWORD } from './admin-exporter.ts';
import { WindowsExporter } from './exporter.ts';
import { describeUnderWine, type FakeMprapi, scriptLine, WineSuite } from './wine.ts';

vi.setConfig({ testTimeout: 60_000 });

const CONNECT = 'MprAdminInterfaceConnect';
const DISCONNECT = 'MprAdminInterfaceDisconnect';
const UPDATE = 'MprAdminUpdateConnection';
const HANG_UP = 'MprAdminPortDisconnect';

/** Codes that a stale server handle may have: worth one more call on a new one. */
const STALE = [903, 1722];
/** Of an interface it may be the handle from before, too; it is looked up anew. */
const STALE_BY_NAME = [...STALE, 6];

type Ended = readonly [state: string, result: string, codeName: string | null];

/** `code`: the call does nothing and answers that; `result`: it does its work and answers that. */
interface Case {
  readonly code: number;
  readonly how: 'code' | 'result';
  readonly ends: Ended;
}
const refused = (code: number, result: string, codeName: string | null): Case => ({
  code,
  how: 'code',
  ends: ['failed', result, codeName],
});
const done = (code: number, result: string, codeName: string): Case => ({
  code,
  how: 'result',
  ends: ['succeeded', result, codeName],
});
const ACCESS_DENIED = refused(5, 'refused', 'ERROR_ACCESS_DENIED');
const DDM_NOT_RUNNING = refused(903, 'retryable', 'ERROR_DDM_NOT_RUNNING');
const UNHEARD_OF = refused(4711, 'failed', null);

const CONNECT_CASES: readonly Case[] = [
  done(0, 'connected', 'NO_ERROR'),
  done(600, 'connected', 'PENDING'),
  done(901, 'connected', 'ERROR_ALREADY_CONNECTED'),
  done(910, 'connected', 'ERROR_ALREADY_CONNECTING'),
  // Nobody knows whether it was carried out, until somebody looks.
  done(1726, 'connected', 'RPC_S_CALL_FAILED'),
  ACCESS_DENIED,
  refused(6, 'gone', 'ERROR_INVALID_HANDLE'),
  DDM_NOT_RUNNING,
  refused(916, 'refused', 'ERROR_INTERFACE_DISABLED'),
  refused(925, 'refused', 'ERROR_INTERFACE_HAS_NO_DEVICES'),
  refused(928, 'retryable', 'ERROR_SERVICE_IS_PAUSED'),
  refused(1722, 'retryable', 'RPC_S_SERVER_UNAVAILABLE'),
  UNHEARD_OF,
];
const DISCONNECT_CASES: readonly Case[] = [
  done(0, 'verified', 'NO_ERROR'),
  done(906, 'verified', 'ERROR_INTERFACE_NOT_CONNECTED'),
  done(1726, 'verified', 'RPC_S_CALL_FAILED'),
  ACCESS_DENIED,
  refused(6, 'gone', 'ERROR_INVALID_HANDLE'),
  DDM_NOT_RUNNING,
  UNHEARD_OF,
];
const UPDATE_CASES: readonly Case[] = [
  done(0, 'verified', 'NO_ERROR'),
  done(1726, 'verified', 'RPC_S_CALL_FAILED'),
  ACCESS_DENIED,
  refused(87, 'our_error', 'ERROR_INVALID_PARAMETER'),
  refused(837, 'gone', 'ERROR_INVALID_TUNNELID'),
  refused(838, 'busy', 'ERROR_UPDATECONNECTION_REQUEST_IN_PROCESS'),
  refused(839, 'refused', 'ERROR_PROTOCOL_ENGINE_DISABLED'),
  refused(843, 'refused', 'ERROR_MOBIKE_DISABLED'),
  refused(844, 'refused', 'ERROR_CANNOT_INITIATE_MOBIKE_UPDATE'),
  refused(906, 'gone', 'ERROR_INTERFACE_NOT_CONNECTED'),
  refused(1722, 'retryable', 'RPC_S_SERVER_UNAVAILABLE'),
  UNHEARD_OF,
];
const HANG_UP_CASES: readonly Case[] = [
  done(0, 'verified', 'NO_ERROR'),
  ACCESS_DENIED,
  refused(87, 'our_error', 'ERROR_INVALID_PARAMETER'),
  refused(601, 'gone', 'ERROR_INVALID_PORT_HANDLE'),
  DDM_NOT_RUNNING,
];

// Handles with all 64 bits in use; those of Zürich and Paris differ in the upper half only.
const ZUERICH = {
  name: 'Zürich \u{1F600} \ud800',
  shown: 'Zürich \u{1F600} \ufffd',
  handle: 0xfedcba9876543210n,
};
const PARIS = { name: 'Site-Paris', handle: 0x7edcba9876543210n };
/** In no other's case. */
const handleOf = (kind: number, at: number): bigint =>
  0xfedc_0000_0000_0000n + BigInt(kind << 16) + BigInt(at);
const NEVER = { name: 'Never', handle: handleOf(9, 0) };
const FAILING = { name: 'Failing', handle: handleOf(9, 1) };
const OTHERS = { name: 'Dialled by somebody else', handle: handleOf(9, 2) };
const IN_DOUBT = { name: 'In doubt', handle: handleOf(9, 3) };
const KILLED = { name: 'Killed', handle: handleOf(9, 4) };
const AFTERWARDS = { name: 'Afterwards', handle: handleOf(9, 5) };
const MOBILE = { user: 'mobile', handle: handleOf(8, 0) };
const MULTILINK = { user: 'multilink', handle: handleOf(8, 1), ports: [handleOf(7, 0), handleOf(7, 1)] };
const hex = (handle: bigint): string => `0x${handle.toString(16)}`;

const site = ({ name, handle }: typeof PARIS, state: 1 | 3, more = {}): string =>
  scriptLine('interface', { wszInterfaceName: name, hInterface: handle, dwConnectionState: state, ...more });
const session = ({ user, handle }: { user: string; handle: bigint }, tunnel: string): string =>
  scriptLine('connection', {
    tunnel,
    wszUserName: user,
    hConnection: handle,
    guid: handle.toString(16).repeat(2),
  });
const port = (connection: bigint, handle: bigint): string =>
  scriptLine('port', { tunnel: 'l2tp', hPort: handle, hConnection: connection });
const answer = (
  fn: string,
  argument: string,
  handle: bigint,
  { how, code }: Pick<Case, 'how' | 'code'>,
): string => `call ${fn} if=${argument}=${hex(handle)} ${how}=${code}\n`;

const siteOf = (kind: number, at: number) => ({ name: `Site ${kind}-${at}`, handle: handleOf(kind, at) });
const sessionOf = (kind: number, at: number) => ({ user: `user ${kind}-${at}`, handle: handleOf(kind, at) });
const portOf = (at: number): bigint => handleOf(6, at);
const [DIAL, DROP, MOVE, HANG] = [1, 2, 3, 4] as const;

const SCRIPT = [
  site(ZUERICH, 1, { connectMs: 400 }),
  site(PARIS, 3, { connectMs: 400 }),
  site(NEVER, 1, { connect: 'never', dialError: 809 }),
  site(FAILING, 1, { connect: 'fail:691', connectMs: 300 }),
  site(OTHERS, 1, { connect: 'never' }),
  answer(CONNECT, 'interface', OTHERS.handle, { how: 'result', code: 910 }),
  site(IN_DOUBT, 1),
  answer(CONNECT, 'interface', IN_DOUBT.handle, { how: 'code', code: 1726 }),
  site(KILLED, 1, { connect: 'never' }),
  site(AFTERWARDS, 1),
  ...CONNECT_CASES.flatMap((each, at) => [
    site(siteOf(DIAL, at), 1, { connectMs: 300 }),
    answer(CONNECT, 'interface', handleOf(DIAL, at), each),
  ]),
  ...DISCONNECT_CASES.flatMap((each, at) => [
    site(siteOf(DROP, at), 3),
    answer(DISCONNECT, 'interface', handleOf(DROP, at), each),
  ]),
  session(MOBILE, 'ikev2'),
  session(MULTILINK, 'l2tp'),
  ...MULTILINK.ports.map((each) => port(MULTILINK.handle, each)),
  ...UPDATE_CASES.flatMap((each, at) => [
    session(sessionOf(MOVE, at), 'ikev2'),
    answer(UPDATE, 'connection', handleOf(MOVE, at), each),
  ]),
  ...HANG_UP_CASES.flatMap((each, at) => [
    session(sessionOf(HANG, at), 'l2tp'),
    port(handleOf(HANG, at), portOf(at)),
    answer(HANG_UP, 'port', portOf(at), each),
  ]),
].join('');

describeUnderWine('the exporter with its admin API on Windows', () => {
  let suite: WineSuite;
  let fake: FakeMprapi;
  let home: AdminHome;
  let admin: AdminExporter;
  /** Ids of the connections by user. */
  let ids: Record<string, string>;
  beforeAll(async () => {
    suite = await WineSuite.open();
    fake = suite.fake(SCRIPT);
    home = new AdminHome(suite);
    suite.installBcryptPrimitives();
    admin = await home.start(fake);
    ids = (await admin.page()).ids();
  }, 300_000);
  afterAll(() => suite.dispose(), 60_000);

  const callsOn = (fn: string, handle: bigint) =>
    fake
      .calls(fn)
      .filter((call) => [call['interface'], call['connection'], call['port']].includes(hex(handle)));

  const stateOf = async (interfaceName: string): Promise<string | undefined> => {
    const states = (await admin.page()).values('rras_interface_state');
    return Object.keys(states)
      .find((key) => key.startsWith(`${interfaceName}/`) && states[key] === 1)
      ?.slice(interfaceName.length + 1);
  };

  function expectEnds(
    cases: readonly Case[],
    answers: readonly ApiAnswer<ActionObject>[],
    fn: string,
    callsOf: (at: number) => number,
    stale: readonly number[],
  ): void {
    const ended = answers.map(({ status, data: { state, outcome } }) => ({
      status,
      ends: [state, outcome?.result, outcome?.codeName],
      decidedBy: [outcome?.function, outcome?.code],
    }));
    expect(ended).toEqual(cases.map(({ code, ends }) => ({ status: 200, ends, decidedBy: [fn, code] })));
    // What failed says by which call.
    for (const [at, { code, how, ends }] of cases.entries()) {
      const message = answers[at]!.data.outcome!.message;
      if (how === 'code') expect(message).toContain(`${fn} failed: ${ends[2] ?? 'code'} `.trimEnd());
      if (how === 'code') expect(message).toContain(String(code));
    }
    for (const [at, { code, how }] of cases.entries()) {
      // Once more if the server's handle was from before the one that answered so.
      const most = how === 'code' && stale.includes(code) ? 2 : 1;
      expect(callsOf(at)).toBeGreaterThanOrEqual(1);
      expect(callsOf(at)).toBeLessThanOrEqual(most);
    }
  }

  describe('dials', () => {
    let zuerich: ApiAnswer<ActionObject>;
    let cases: readonly ApiAnswer<ActionObject>[];
    let never: ApiAnswer<ActionObject>;
    let failing: ApiAnswer<ActionObject>;
    let others: ApiAnswer<ActionObject>;
    let inDoubt: ApiAnswer<ActionObject>;
    // All at once: each takes seconds, and two the whole time that an attempt may take.
    beforeAll(async () => {
      zuerich = await admin.reconnect(ZUERICH.shown);
      const all = [NEVER, OTHERS, IN_DOUBT].map(({ name }) => admin.reconnect(name));
      cases = await Promise.all(CONNECT_CASES.map((_, at) => admin.reconnect(siteOf(DIAL, at).name)));
      failing = await admin.reconnect(FAILING.name);
      [never, others, inDoubt] = (await Promise.all(all)) as [typeof never, typeof never, typeof never];
    }, 60_000);

    it('exactly the interface of the name, asking for no event and waiting for nothing', async () => {
      expect(zuerich).toMatchObject({
        status: 200,
        location: `/api/v1/admin/actions/${zuerich.data.id}`,
        data: {
          interface: ZUERICH.shown,
          state: 'succeeded',
          outcome: { result: 'connected', function: CONNECT, code: 600, codeName: 'PENDING' },
        },
      });
      const states = zuerich.data.history.map(({ state }) => state);
      expect(states).toEqual(['requested', 'intended', 'acting', 'verifying', 'succeeded']);
      const [dialled, ...more] = callsOn(CONNECT, ZUERICH.handle);
      expect(dialled).toMatchObject({ event: '0x0', synchronous: '0', code: '600' });
      expect(more).toEqual([]);
      const units = Buffer.from(ZUERICH.name, 'utf16le').swap16().toString('hex');
      const lookups = fake.calls('MprAdminInterfaceGetHandle');
      expect(lookups[0]).toMatchObject({ units, clients: '0', code: '0' });
      // Seen while it was being dialled, and when it was up.
      expect(await stateOf(ZUERICH.shown)).toBe('connected');
      for (const call of fake.calls(CONNECT)) expect(call).toMatchObject({ event: '0x0', synchronous: '0' });
      expect(callsOn(CONNECT, PARIS.handle)).toEqual([]);
    });

    it('with an end for each code that the call may answer', () => {
      const callsOf = (at: number) => callsOn(CONNECT, handleOf(DIAL, at)).length;
      expectEnds(CONNECT_CASES, cases, CONNECT, callsOf, STALE_BY_NAME);
      for (const [at] of CONNECT_CASES.entries()) expect(callsOn(DISCONNECT, handleOf(DIAL, at))).toEqual([]);
    });

    it('in vain up to the deadline, cancels, and has failed with the last error of the interface', async () => {
      expect(never.data).toMatchObject({
        state: 'failed',
        outcome: {
          result: 'timeout',
          function: CONNECT,
          code: 600,
          codeName: 'PENDING',
          interfaceLastError: 809,
          interfaceLastErrorName: 'ERROR_VPN_TIMEOUT',
        },
      });
      expect(never.data.outcome!.message).toContain('ERROR_VPN_TIMEOUT (809)');
      expect(never.data.outcome!.seconds).toBeGreaterThanOrEqual(ATTEMPT_SECONDS);
      expect(callsOn(CONNECT, NEVER.handle)).toHaveLength(1);
      expect(callsOn(DISCONNECT, NEVER.handle).map(({ code }) => code)).toEqual(['0']);
      expect(await stateOf(NEVER.name)).toBe('disconnected');
    });

    it('in vain, and has failed with what the interface says as soon as it says so', () => {
      expect(failing.data).toMatchObject({
        state: 'failed',
        outcome: {
          result: 'not_connected',
          code: 600,
          interfaceLastError: 691,
          interfaceLastErrorName: 'ERROR_AUTHENTICATION_FAILURE',
        },
      });
      expect(failing.data.outcome!.seconds).toBeLessThan(ATTEMPT_SECONDS);
      expect(callsOn(DISCONNECT, FAILING.handle)).toEqual([]);
    });

    it('in vain, and cancels what is in doubt but not what somebody else began', () => {
      expect(others.data).toMatchObject({ state: 'failed', outcome: { result: 'timeout', code: 910 } });
      expect(callsOn(DISCONNECT, OTHERS.handle)).toEqual([]);
      expect(inDoubt.data).toMatchObject({ state: 'unknown', outcome: { result: 'timeout', code: 1726 } });
      // The call may have gone through, so that it is not made again.
      expect(callsOn(CONNECT, IN_DOUBT.handle)).toHaveLength(1);
      expect(callsOn(DISCONNECT, IN_DOUBT.handle).map(({ code }) => code)).toEqual(['906']);
    });

    it('nothing that is up, or by force after hanging up', async () => {
      const asked = await admin.reconnect(PARIS.name);
      expect(asked).toMatchObject({ status: 200, data: { decision: 'already_connected', outcome: null } });
      expect(callsOn(DISCONNECT, PARIS.handle)).toEqual([]);
      const forced = await admin.reconnect(PARIS.name, { force: true });
      expect(forced.data).toMatchObject({ state: 'succeeded', outcome: { code: 600 } });
      const acted = fake
        .calls()
        .filter(
          (call) => call['interface'] === hex(PARIS.handle) && call['fn'] !== 'MprAdminInterfaceGetInfo',
        )
        .map(({ fn, code }) => [fn, code]);
      expect(acted).toEqual([
        [DISCONNECT, '0'],
        [CONNECT, '600'],
      ]);
    });
  });

  it('disconnects with an end for each code that the call may answer', async () => {
    const answers = await Promise.all(
      DISCONNECT_CASES.map((_, at) => admin.disconnect(siteOf(DROP, at).name)),
    );
    const callsOf = (at: number) => callsOn(DISCONNECT, handleOf(DROP, at)).length;
    expectEnds(DISCONNECT_CASES, answers, DISCONNECT, callsOf, STALE_BY_NAME);
    expect(await stateOf(siteOf(DROP, 0).name)).toBe('disconnected');
  });

  it('moves an endpoint by exactly the handle and the 268 bytes', async () => {
    const v4 = { interfaceIndex: 0xfedc_ba98, localAddress: '198.51.100.7', remoteAddress: '203.0.113.9' };
    const v6 = {
      interfaceIndex: 12,
      localAddress: '2001:db8:ffff:ffff:ffff:ffff:255.255.255.255',
      remoteAddress: '2001:db8::1',
    };
    const moved = await admin.moveEndpoint(ids[MOBILE.user]!, v4);
    expect(moved).toMatchObject({
      status: 200,
      data: {
        connection: ids[MOBILE.user],
        state: 'succeeded',
        outcome: { result: 'verified', function: UPDATE, code: 0, codeName: 'NO_ERROR' },
      },
    });
    expect((await admin.moveEndpoint(ids[MOBILE.user]!, v6)).data).toMatchObject({ state: 'succeeded' });
    const record = ({ interfaceIndex, localAddress, remoteAddress }: typeof v4): string => {
      const bytes = Buffer.alloc(268);
      // Revision 1, type 5, 268 bytes.
      bytes.set([1, 5, 0x0c, 0x01]);
      bytes.writeUInt32LE(interfaceIndex, 4);
      bytes.write(localAddress, 8, 'utf16le');
      bytes.write(remoteAddress, 138, 'utf16le');
      return bytes.toString('hex');
    };
    const updates = callsOn(UPDATE, MOBILE.handle);
    expect(updates.map(({ bytes, code }) => [bytes, code])).toEqual([
      [record(v4), '0'],
      [record(v6), '0'],
    ]);
    const outside = await admin.moveEndpoint(ids[MOBILE.user]!, { ...v4, remoteAddress: '192.0.2.1' });
    expect(outside).toMatchObject({ status: 403, errorType: 'denied' });
    const tunnel = await admin.moveEndpoint(ids[MULTILINK.user]!, v4);
    expect(tunnel).toMatchObject({ status: 400, errorType: 'invalid' });
    expect(fake.calls(UPDATE)).toHaveLength(2);
  });

  it('moves an endpoint with an end for each code that the call may answer', async () => {
    const endpoint = { interfaceIndex: 7, localAddress: '198.51.100.7', remoteAddress: '203.0.113.9' };
    const answers = await Promise.all(
      UPDATE_CASES.map((_, at) => admin.moveEndpoint(ids[sessionOf(MOVE, at).user]!, endpoint)),
    );
    const callsOf = (at: number) => callsOn(UPDATE, handleOf(MOVE, at)).length;
    expectEnds(UPDATE_CASES, answers, UPDATE, callsOf, STALE);
  });

  it('hangs up a connection by all of its ports, with an end for each code that the call may answer', async () => {
    const hungUp = await admin.hangUp(ids[MULTILINK.user]!);
    expect(hungUp).toMatchObject({
      status: 200,
      data: { state: 'succeeded', outcome: { result: 'verified', function: HANG_UP, codeName: 'NO_ERROR' } },
    });
    const ports = fake.calls(HANG_UP).map((call) => [call['port'], call['code']]);
    expect(ports).toEqual(MULTILINK.ports.map((each) => [hex(each), '0']));
    expect((await admin.page()).ids()).not.toHaveProperty(MULTILINK.user);

    const answers = await Promise.all(
      HANG_UP_CASES.map((_, at) => admin.hangUp(ids[sessionOf(HANG, at).user]!)),
    );
    const callsOf = (at: number) => callsOn(HANG_UP, portOf(at)).length;
    expectEnds(HANG_UP_CASES, answers, HANG_UP, callsOf, STALE);
  });

  it('lets in by bcrypt whose password is right, nobody else, and nobody to an action', async () => {
    const asked = (route: string, password: string) => admin.send(route, basic(password));
    expect((await asked('/metrics', PASSWORD)).status).toBe(200);
    const wrong = await asked('/metrics', `${PASSWORD}!`);
    expect(wrong.status).toBe(401);
    expect(wrong.headers['www-authenticate']).toBe('Basic');
    const actions = await asked('/api/v1/admin/actions', PASSWORD);
    expect(actions.status).toBe(401);
    expect(actions.headers['www-authenticate']).toMatch(/^Bearer /);
  });

  it('calls nothing in a wrong way, and leaves no buffer behind', () => {
    const ledgers = fake.ledgers();
    expect(ledgers).toHaveLength(1);
    expect(ledgers[0]).toMatchObject({ live: 0, errors: [] });
    expect(admin.exporter.log().filter(({ level }) => level === 'error')).toEqual([]);
  });

  it('A5 calls an action unknown after a kill in the middle, does not repeat it, and stays paused', async () => {
    const asked = { reason: 'before the end' };
    const route = `/api/v1/admin/interfaces/${KILLED.name}/reconnect`;
    const begun = await admin.post<ActionObject>(route, asked, 'before-the-kill');
    expect(begun.status).toBe(202);
    const { id } = begun.data;
    await admin.exporter.program.waitFor(() => callsOn(CONNECT, KILLED.handle).length > 0);
    const paused = await admin.post('/api/v1/admin/pause', { reason: 'maintenance' });
    expect(paused.data).toMatchObject({ paused: true, persisted: true, actor: 'on-call' });
    const [main, ...others] = admin.exporter.pids('main.js');
    expect(others).toEqual([]);
    process.kill(main!, 'SIGKILL');
    await admin.exporter.program.exit;
    await vi.waitUntil(() => admin.exporter.program.pids().length === 0, { timeout: 20_000 });

    const linesOf = () => home.audit().filter(({ actionId }) => actionId === id);
    expect(linesOf().map(({ kind }) => kind)).toEqual(['intent']);
    expect(await home.verifyHere()).toMatch(/^the audit log is whole/);
    const pauseFile = fs.readFileSync(path.join(home.storage, 'pause.state'), 'utf8');
    expect(pauseFile).toHaveLength(4096);
    expect(pauseFile).toContain('"reason":"maintenance"');

    admin = await home.start(fake);
    const { data } = await admin.get<ActionObject>(`/api/v1/admin/actions/${id}`);
    expect(data).toMatchObject({ id, state: 'unknown', outcome: { result: 'interrupted', function: null } });
    expect(linesOf().map(({ kind, state }) => [kind, state])).toEqual([
      ['intent', undefined],
      ['outcome', 'unknown'],
    ]);
    // Of before the end, too.
    const all = await admin.get<{ items: readonly ActionObject[] }>('/api/v1/admin/actions');
    expect(all.data.items.map((each) => each.outcome?.interfaceLastError)).toContain(809);

    expect((await admin.page()).value('rras_admin_paused')).toBe(1);
    expect(await admin.reconnect(AFTERWARDS.name)).toMatchObject({ status: 503, errorType: 'paused' });
    expect((await admin.post('/api/v1/admin/resume', {})).data).toMatchObject({
      paused: false,
      persisted: true,
    });
    expect((await admin.reconnect(AFTERWARDS.name)).data).toMatchObject({ state: 'succeeded' });
    // Who asks the same again is told what came of it.
    const again = await admin.post<ActionObject>(route, asked, 'before-the-kill');
    expect(again.data).toMatchObject({ id, state: 'unknown' });
    expect(callsOn(CONNECT, KILLED.handle)).toHaveLength(1);
    expect(fake.ledgers()).toHaveLength(2);
  });

  it('D2 leaves an audit log that is whole here and on Windows, with an outcome for each intent', async () => {
    const [here, there] = await Promise.all([home.verifyHere(), home.verifyOnWindows()]);
    expect(here).toMatch(
      /^the audit log is whole: \d+ lines in 1 file, sequence 1 to \d+, last hash [0-9a-f]{64}\n$/,
    );
    expect(there).toBe(here);
    const lines = home.audit();
    const idsOf = (kind: string) =>
      lines.filter((line) => line.kind === kind).map(({ actionId }) => actionId);
    expect(idsOf('outcome').sort()).toEqual(idsOf('intent').sort());
    // No interface was dialled without an intent, nor one that was intended left out.
    const dialled = new Set(fake.calls(CONNECT).map((call) => call['interface']));
    const reconnects = lines.filter(({ kind, action }) => kind === 'intent' && action === 'reconnect');
    expect(dialled.size).toBe(reconnects.length);
  });

  it('R2 does not start with users where bcrypt cannot be loaded, says what to install, and starts without users', async () => {
    const binary = path.join(suite.app, 'node_modules/@node-rs/bcrypt-win32-x64-msvc');
    fs.renameSync(binary, `${binary}.away`);
    const { code, stderr } = await home.refusal();
    expect(code).toBe(1);
    expect(stderr.trim().split('\n').at(-1)).toMatch(
      /^rras-exporter: error: passwords cannot be checked, as bcrypt cannot be loaded: on Windows install the Microsoft Visual C\+\+ Redistributable/,
    );
    const exporter = await WindowsExporter.start(suite, suite.fake('connection\n'));
    expect((await exporter.page()).value('rras_up')).toBe(1);
  });
});
