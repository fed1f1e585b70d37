/** Actions as they ship (dist/), in Windows' Node.js under Wine: what reaches the C side, and what its codes become. */
import * as path from 'node:path';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import type { ActOutcome, ActRequest, ActResult } from '../../src/model/actions.ts';
import type { ActStep } from './act-probe.ts';
import {
  describeUnderWine,
  type FakeMprapi,
  scriptLine,
  type StartOptions,
  windowsPath,
  WineSuite,
} from './wine.ts';

const PROBE = windowsPath(path.join(import.meta.dirname, 'act-probe.ts'));

/** All 64 bits in use; the two differ in the upper half only. */
const BERLIN = 0xfedcba9876543210n;
const PARIS = 0x7edcba9876543210n;
const CONNECTION = 0x10000;
const hex = (handle: bigint | number): string => handle.toString(16).padStart(16, '0');

/** Names the other interface's handle: it must not be used. */
const dial = (action: 'connect' | 'disconnect', interfaceName: string): ActStep => ({
  act: { action, interfaceName, interfaceHandle: hex(PARIS) },
});
const look = (interfaceName: string): ActStep => ({ act: { action: 'inspect_interface', interfaceName } });
const SITES = [
  scriptLine('interface', { wszInterfaceName: 'Site-Paris', hInterface: PARIS, dwConnectionState: 3 }),
  `${scriptLine('interface', { wszInterfaceName: 'Zürich \u{1F600} \ud800', hInterface: BERLIN, dwConnectionState: 1 }).trim()} connectMs=150\n`,
].join('');
const ZUERICH = 'Zürich \u{1F600} \ud800';
const ENDPOINT = { interfaceIndex: 0xfedc_ba98, localAddress: '198.51.100.7', remoteAddress: '203.0.113.9' };

describeUnderWine('actions through mprapi.dll', () => {
  let suite: WineSuite;
  beforeAll(async () => {
    suite = await WineSuite.open();
  }, 300_000);
  afterEach(() => suite.installDll());
  afterAll(() => suite.dispose(), 60_000);

  async function take(fake: FakeMprapi, steps: readonly ActStep[], options: StartOptions = {}) {
    const env = { ...fake.env, ...options.env, ACT_STEPS: JSON.stringify(steps) };
    const { code, program } = await suite.runNode([PROBE], { ...options, env });
    expect({ code, stdout: program.stdout(), stderr: program.stderr() }).toMatchObject({ code: 0 });
    return JSON.parse(program.stdout()) as { results: ActResult[]; restarts: string[] };
  }
  const handlesOf = (fake: FakeMprapi, fn: string) => fake.calls(fn).map((call) => call['interface']);

  function expectCleanLedger(fake: FakeMprapi): void {
    for (const ledger of fake.ledgers()) expect(ledger).toMatchObject({ live: 0, errors: [] });
    expect(fake.ledgers().length).toBeGreaterThan(0);
  }

  it('reconnect exactly the interface of that name, and return at once', async () => {
    const fake = suite.fake(SITES);
    const { results } = await take(fake, [
      dial('connect', ZUERICH),
      look(ZUERICH),
      dial('connect', ZUERICH),
      { until: ZUERICH, not: 'connecting' },
      dial('disconnect', ZUERICH),
      dial('disconnect', ZUERICH),
      look(ZUERICH),
      look('Site-Paris'),
      dial('connect', 'Site-Berlin'),
      { act: { action: 'inspect_interface', interfaceHandle: hex(PARIS) } },
    ]);
    expect(results.map(({ outcome, code }) => [outcome, code])).toEqual([
      ['in_progress', 600],
      ['done', 0],
      ['already_connecting', 910],
      ['done', 0],
      ['done', 0],
      ['already_disconnected', 906],
      ['done', 0],
      ['done', 0],
      ['gone', 905],
      ['done', 0],
    ]);
    expect(results.map(({ interfaceNow }) => interfaceNow?.state)).toEqual([
      undefined,
      'connecting',
      undefined,
      'connected',
      undefined,
      undefined,
      'disconnected',
      'connected',
      undefined,
      'connected',
    ]);
    expect(results[1]!.interfaceNow).toEqual({
      handle: hex(BERLIN),
      name: ZUERICH,
      type: 'full_router',
      enabled: true,
      state: 'connecting',
      unreachableReasons: 0,
      lastError: 0,
    });
    expect(fake.calls('MprAdminInterfaceConnect')).toHaveLength(2);
    for (const call of fake.calls('MprAdminInterfaceConnect')) {
      expect(call).toMatchObject({ interface: `0x${hex(BERLIN)}`, event: '0x0', synchronous: '0' });
    }
    expect(handlesOf(fake, 'MprAdminInterfaceDisconnect')).toEqual([`0x${hex(BERLIN)}`, `0x${hex(BERLIN)}`]);
    const units = Buffer.from(ZUERICH, 'utf16le').swap16().toString('hex');
    expect(fake.calls('MprAdminInterfaceGetHandle')[0]).toMatchObject({ units, clients: '0' });
    expectCleanLedger(fake);
  });

  it('hand over the 268 bytes of an endpoint update, each as it must be', async () => {
    const fake = suite.fake(`connection tunnel=sstp\nconnection tunnel=ikev2\nautoports\n`);
    const request = {
      action: 'update_endpoint',
      connectionHandle: hex(CONNECTION + 1),
      ...ENDPOINT,
    } as const;
    const v6 = {
      ...request,
      interfaceIndex: 0,
      localAddress: '2001:db8:ffff:ffff:ffff:ffff:255.255.255.255',
      remoteAddress: '2001:db8::1',
    };
    const inspect = { act: { action: 'inspect_connection', connectionHandle: hex(CONNECTION + 1) } } as const;
    const { results } = await take(fake, [
      inspect,
      { act: request },
      inspect,
      { act: v6 },
      { act: { ...request, connectionHandle: hex(CONNECTION) } },
      { act: { ...request, remoteAddress: '203.0.113.999' } },
    ]);
    const record = (index: readonly number[], local: string, remote: string): string => {
      const bytes = Buffer.alloc(268);
      bytes.set([1, 5, 12, 1, ...index]);
      bytes.write(local, 8, 'utf16le');
      bytes.write(remote, 138, 'utf16le');
      return bytes.toString('hex');
    };
    expect(
      fake.calls('MprAdminUpdateConnection').map((call) => [call['connection'], call['bytes'], call['code']]),
    ).toEqual([
      ['0x10001', record([0x98, 0xba, 0xdc, 0xfe], '198.51.100.7', '203.0.113.9'), '0'],
      ['0x10001', record([0, 0, 0, 0], v6.localAddress, v6.remoteAddress), '0'],
      ['0x10000', record([0x98, 0xba, 0xdc, 0xfe], '198.51.100.7', '203.0.113.9'), '837'],
    ]);
    expect(results.map(({ outcome, code }) => [outcome, code])).toEqual([
      ['done', 0],
      ['in_progress', 0],
      ['done', 0],
      ['in_progress', 0],
      ['gone', 837],
      ['our_error', null],
    ]);
    expect(results[0]!.connectionNow).toMatchObject({
      tunnel: 'ikev2',
      switchovers: 0,
      localAddress: '198.51.100.1',
    });
    expect(results[2]!.connectionNow).toMatchObject({
      handle: hex(CONNECTION + 1),
      guid: results[0]!.connectionNow!.guid,
      switchovers: 1,
      localAddress: '198.51.100.7',
      remoteAddress: '203.0.113.9',
    });
    expectCleanLedger(fake);
  });

  /** Codes of each call by mprapi-facts 1.3, 1.4 and 5.13, RPC's, and one that nobody knows. */
  const RPC = [
    [1702, 'retryable'],
    [1722, 'retryable'],
    [1726, 'unknown'],
    [1727, 'retryable'],
    [4711, 'failed'],
  ] as const;
  const CODES: readonly (readonly [string, ActRequest, readonly (readonly [number, ActOutcome])[]])[] = [
    [
      'MprAdminInterfaceConnect',
      { action: 'connect', interfaceName: ZUERICH, interfaceHandle: hex(PARIS) },
      [
        [0, 'done'],
        [600, 'in_progress'],
        [5, 'refused'],
        [6, 'gone'],
        [901, 'already_connected'],
        [903, 'retryable'],
        [910, 'already_connecting'],
        [916, 'refused'],
        [925, 'refused'],
        [928, 'retryable'],
      ],
    ],
    [
      'MprAdminInterfaceDisconnect',
      { action: 'disconnect', interfaceName: ZUERICH, interfaceHandle: hex(PARIS) },
      [
        [5, 'refused'],
        [6, 'gone'],
        [903, 'retryable'],
        [906, 'already_disconnected'],
      ],
    ],
    [
      'MprAdminUpdateConnection',
      { action: 'update_endpoint', connectionHandle: hex(CONNECTION), ...ENDPOINT },
      [
        [5, 'refused'],
        [6, 'gone'],
        [87, 'our_error'],
        [837, 'gone'],
        [838, 'busy'],
        [839, 'refused'],
        [843, 'refused'],
        [844, 'refused'],
        [906, 'gone'],
      ],
    ],
    [
      'MprAdminPortDisconnect',
      { action: 'hang_up', connectionHandle: hex(CONNECTION) },
      [
        [5, 'refused'],
        [87, 'our_error'],
        [601, 'gone'],
        [903, 'retryable'],
      ],
    ],
    [
      'MprAdminInterfaceGetHandle',
      { action: 'connect', interfaceName: ZUERICH, interfaceHandle: hex(PARIS) },
      [
        [5, 'refused'],
        [905, 'gone'],
        [1780, 'our_error'],
      ],
    ],
  ];
  /** Of a handle from before these are worth a new one and a second call: nothing was done. */
  const STALE = [903, 1702, 1722, 1727];

  it.each(CODES)('give each code of %s its outcome', async (fn, act, documented) => {
    const looksOnly = fn === 'MprAdminInterfaceGetHandle';
    const rows = [
      ...documented,
      // A lookup that may have been carried out has done no harm.
      ...RPC.map(([code, outcome]) => [code, looksOnly && code === 1726 ? 'retryable' : outcome] as const),
    ];
    let nth = 0;
    const rules: string[] = [];
    const steps: ActStep[] = [];
    const expected: unknown[] = [];
    for (const [code, outcome] of rows) {
      const byName = act.action === 'connect' || act.action === 'disconnect';
      const again = STALE.includes(code) || (code === 6 && byName) || (code === 1726 && looksOnly);
      const from = nth + 1;
      nth += again ? 2 : 1;
      rules.push(`call ${fn} from=${from} until=${nth} code=${code}\n`);
      // The read makes the handle one from before.
      steps.push({ read: 'server' }, { act });
      expected.push([outcome, code]);
    }
    const fake = suite.fake(`${SITES}connection tunnel=ikev2\nautoports\n${rules.join('')}`);
    const { results, restarts } = await take(fake, steps);
    const acted = results.filter((_, i) => i % 2 === 1);
    expect(acted.map(({ outcome, code }) => [outcome, code])).toEqual(expected);
    expect(fake.calls(fn)).toHaveLength(nth);
    expect(restarts).toEqual([]);
    expectCleanLedger(fake);
  });

  it('see an attempt that stays pending as connecting, and cancel it', async () => {
    const fake = suite.fake(
      [
        'interface wszInterfaceName=Site-Never dwConnectionState=1 connect=never\n',
        'interface wszInterfaceName=Site-Bad dwConnectionState=1 connect=fail:809 connectMs=100\n',
        'interface wszInterfaceName=Site-Off dwConnectionState=1 fEnabled=0\n',
      ].join(''),
    );
    const { results } = await take(fake, [
      dial('connect', 'Site-Never'),
      dial('connect', 'Site-Bad'),
      dial('connect', 'Site-Off'),
      { until: 'Site-Bad', not: 'connecting' },
      look('Site-Never'),
      dial('connect', 'Site-Never'),
      dial('disconnect', 'Site-Never'),
      look('Site-Never'),
      dial('connect', 'Site-Never'),
    ]);
    expect(
      results.map(({ outcome, code, interfaceNow }) => [
        outcome,
        code,
        interfaceNow?.state,
        interfaceNow?.lastError,
      ]),
    ).toEqual([
      ['in_progress', 600, undefined, undefined],
      ['in_progress', 600, undefined, undefined],
      ['refused', 916, undefined, undefined],
      ['done', 0, 'disconnected', 809],
      ['done', 0, 'connecting', 0],
      ['already_connecting', 910, undefined, undefined],
      ['done', 0, undefined, undefined],
      ['done', 0, 'disconnected', 0],
      ['in_progress', 600, undefined, undefined],
    ]);
    expect(handlesOf(fake, 'MprAdminInterfaceDisconnect')).toEqual(['0x400000']);
    expectCleanLedger(fake);
  });

  it('hang up every port of a multilink connection, and no other', async () => {
    const fake = suite.fake(
      [
        'connection tunnel=l2tp\nconnection tunnel=l2tp\n',
        ...[0, 1, 0, 0].map((which) => `port tunnel=l2tp hConnection=${CONNECTION + which}\n`),
        'port tunnel=l2tp\n',
      ].join(''),
    );
    const which = { connectionHandle: hex(CONNECTION) };
    const other = { action: 'inspect_connection', connectionHandle: hex(CONNECTION + 1) } as const;
    const { results } = await take(fake, [
      { act: { action: 'hang_up', ...which } },
      { act: { action: 'inspect_connection', ...which } },
      { act: { action: 'hang_up', ...which } },
      { act: other },
      { act: { ...other, action: 'hang_up', session: { guid: 'ab'.repeat(16), startTicks: '' } } },
    ]);
    expect(results.map(({ outcome }) => outcome)).toEqual(['done', 'gone', 'gone', 'done', 'gone']);
    expect(fake.calls('MprAdminPortDisconnect').map((call) => [call['port'], call['code']])).toEqual([
      ['0x300000', '0'],
      ['0x300002', '0'],
      ['0x300003', '0'],
    ]);
    expect(new Set(fake.calls('MprAdminPortEnum').map((call) => call['connection']))).toEqual(
      new Set(['0x10000']),
    );
    expectCleanLedger(fake);
  });

  it.each(['hang', 'crash'])('are in doubt after a %s in the call, which is not made again', async (what) => {
    const fake = suite.fake(`${SITES}call MprAdminInterfaceConnect ${what} once=first\n`);
    const { results, restarts } = await take(
      fake,
      [{ read: 'server' }, dial('connect', ZUERICH), look(ZUERICH), dial('connect', ZUERICH)],
      { env: { ACT_TIMEOUT_MS: '4000' } },
    );
    expect(results.slice(1).map(({ outcome, code }) => [outcome, code])).toEqual([
      ['unknown', null],
      ['done', 0],
      ['in_progress', 600],
    ]);
    expect(restarts).toEqual([what === 'hang' ? 'timeout' : 'crash']);
    expect(fake.calls('MprAdminInterfaceConnect').map((call) => call['code'])).toEqual([what, '600']);
  });

  it('are refused where the DLL lacks the function, and reading goes on', async () => {
    suite.installDll(['MprAdminUpdateConnection', 'MprAdminPortDisconnect', 'MprAdminInterfaceConnect']);
    const fake = suite.fake(`${SITES}connection tunnel=ikev2\nautoports\n`);
    const { results } = await take(fake, [
      { act: { action: 'update_endpoint', connectionHandle: hex(CONNECTION), ...ENDPOINT } },
      { act: { action: 'hang_up', connectionHandle: hex(CONNECTION) } },
      dial('connect', ZUERICH),
      dial('disconnect', 'Site-Paris'),
      { read: 'connections' },
    ]);
    expect(results.slice(0, 4).map(({ outcome, failure }) => [outcome, failure?.function])).toEqual([
      ['refused', 'MprAdminUpdateConnection'],
      ['refused', 'MprAdminPortDisconnect'],
      ['refused', 'MprAdminInterfaceConnect'],
      ['done', undefined],
    ]);
    expect(results[4]).toEqual({ status: 'ok' });
    expectCleanLedger(fake);
  });
});
