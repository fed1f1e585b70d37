/** The binding of mprapi.dll as it ships (dist/), in Windows' Node.js under Wine, against the fake DLL. */
import * as fs from 'node:fs';
import * as path from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { NATIVE_FUNCTIONS } from '../../src/model/rras-api.ts';
import { RAS_CONNECTION_4, RAS_CONNECTION_EX, type Struct } from '../../src/native/layout.ts';
import {
  type FakeMprapi,
  type StartOptions,
  WineSuite,
  describeUnderWine,
  scriptLine,
  windowsPath,
} from './wine.ts';

const PROBE = windowsPath(path.join(import.meta.dirname, 'probe.ts'));

interface Page {
  readonly code: number;
  readonly entriesRead: number;
  readonly totalEntries: number;
  readonly resumeHandle: number;
  readonly records: Record<string, string>[];
}

describeUnderWine('mprapi.dll through koffi', () => {
  let suite: WineSuite;
  beforeAll(async () => {
    suite = await WineSuite.open();
  }, 300_000);
  afterAll(() => suite.dispose(), 60_000);

  async function probe<T>(
    fake: FakeMprapi,
    scenario: string,
    dll?: string,
    options: StartOptions = {},
  ): Promise<T> {
    const args = [PROBE, scenario, ...(dll ? [windowsPath(dll)] : [])];
    const { code, program } = await suite.runNode(args, { ...options, env: fake.env });
    expect({
      code,
      stderr: program.stderr().replace(/^.*ExperimentalWarning[^]*?\n\(.*\n/m, ''),
    }).toMatchObject({ code: 0 });
    return JSON.parse(program.stdout()) as T;
  }

  /** Every buffer was given back once and nothing was called with a wrong handle, at once or twice. */
  function expectCleanLedger(fake: FakeMprapi): void {
    const ledgers = fake.ledgers();
    expect(ledgers).toHaveLength(1);
    expect(ledgers[0]).toMatchObject({ live: 0, errors: [] });
    expect(ledgers[0]!.allocs).toBe(ledgers[0]!.calls['MprAdminBufferFree'] ?? 0);
    expect(ledgers[0]!.calls['MprAdminServerConnect']).toBeGreaterThan(0);
  }

  /** A value of its own for every number of the structure and the given variant of its projection. */
  function distinctNumbers(structure: Struct, variant: 'Ppp' | 'Ikev2'): Map<string, bigint> {
    const other = variant === 'Ppp' ? 'Ikev2' : 'Ppp';
    const isNumber = new Set(['u8', 'u16', 'u32', 'u64', 'handle', 'filetime']);
    const paths = Object.entries(structure.fields)
      .filter(([name, { type }]) => isNumber.has(type) && !name.includes(`${other}ProjectionInfo.`))
      .filter(([name]) => !name.endsWith('projectionInfoType'));
    return new Map(
      // The highest byte is set too: a signed, narrowed or floating-point read would show.
      paths.map(([name, { size }], i) => [
        name,
        ((0xf0n << BigInt(8 * size - 8)) | BigInt(i + 1)) & ((1n << BigInt(8 * size)) - 1n),
      ]),
    );
  }

  const scriptKey = (name: string): string =>
    name.replace(/^ProjectionInfo\.Anonymous\.(\w+)ProjectionInfo\./, '$1.');

  it.each([
    ['ex', 'Ppp', RAS_CONNECTION_EX],
    ['ex', 'Ikev2', RAS_CONNECTION_EX],
    ['level4', 'Ppp', RAS_CONNECTION_4],
    ['level4', 'Ikev2', RAS_CONNECTION_4],
  ] as const)('reads every number of a connection: %s, %s', async (scenario, variant, structure) => {
    const numbers = distinctNumbers(structure, variant);
    expect(numbers.size).toBeGreaterThan(30);
    const tunnel = variant === 'Ppp' ? 'sstp' : 'ikev2';
    const fields = Object.fromEntries([...numbers].map(([name, value]) => [scriptKey(name), value]));
    const fake = suite.fake(scriptLine('connection', { tunnel, ...fields }));
    const [page] = await probe<Page[]>(fake, scenario);
    expect(page).toMatchObject({ code: 0, entriesRead: 1, totalEntries: 1, resumeHandle: 0 });
    const expected = Object.fromEntries([...numbers].map(([name, value]) => [name, String(value)]));
    expect(page!.records[0]).toMatchObject(expected);
    expect(page!.records[0]).toMatchObject({
      'ProjectionInfo.projectionInfoType': variant === 'Ppp' ? '1' : '2',
    });
    expectCleanLedger(fake);
  });

  it('E9 reads texts of any UTF-16 unit, and ends one without a terminator at the end of its array', async () => {
    const full = '\ud83d\ude00\udc00'.padEnd(257, 'x');
    const fake = suite.fake(
      scriptLine('connection', {
        wszUserName: full,
        wszInterfaceName: 'a b\\"\t\n\ud800',
        wszLogonDomain: '',
        wszRemoteComputer: 'Zürich-PC',
        guid: '000102030405060708090a0b0c0d0e0f',
        'Ppp.wszRemoteAddress': '255.255.255.255x',
        'Ppp.bPrefix': '20010db800000001',
      }),
    );
    for (const scenario of ['ex', 'level4']) {
      const [page] = await probe<Page[]>(fake, scenario);
      expect(page!.records[0]).toMatchObject({
        wszUserName: full,
        wszInterfaceName: 'a b\\"\t\n\ud800',
        wszLogonDomain: '',
        wszRemoteComputer: 'Zürich-PC',
        guid: '000102030405060708090a0b0c0d0e0f',
        'ProjectionInfo.Anonymous.PppProjectionInfo.wszRemoteAddress': '255.255.255.255x',
        'ProjectionInfo.Anonymous.PppProjectionInfo.bPrefix': '20010db800000001',
      });
    }
  });

  it.each(['ex', 'level4'])('follows the resume handle from page to page: %s', async (scenario) => {
    const fake = suite.fake('connection count=7\ncall * page=3\n');
    const pages = await probe<Page[]>(fake, scenario);
    expect(
      pages.map(({ code, entriesRead, totalEntries, resumeHandle }) => [
        code,
        entriesRead,
        totalEntries,
        resumeHandle,
      ]),
    ).toEqual([
      [234, 3, 7, 3],
      [234, 3, 4, 6],
      [0, 1, 1, 0],
    ]);
    expect(pages.flatMap(({ records }) => records.map((record) => record['wszUserName']))).toEqual(
      Array.from({ length: 7 }, (_, i) => `user${i}`),
    );
    expect(fake.ledgers()[0]).toMatchObject({ allocs: 3, frees: 3 });
    expectCleanLedger(fake);
  });

  it('hands the preferred length on: one record more than fits', async () => {
    const fake = suite.fake('connection count=7\n');
    const pages = await probe<Page[]>(fake, 'exByLength');
    expect(pages.map(({ code, entriesRead }) => [code, entriesRead])).toEqual([
      [234, 3],
      [234, 3],
      [0, 1],
    ]);
    const lengths = fake.calls('MprAdminConnectionEnumEx').map((call) => [call['prefMax'], call['resumeIn']]);
    expect(lengths).toEqual([
      ['4180', '0'],
      ['4180', '3'],
      ['4180', '6'],
    ]);
  });

  it('calls every other function with the arguments that the C side wants', async () => {
    const name = 'Zürich \u{1F600} \ud800';
    const fake = suite.fake(
      [
        'server dwUpTime=4294967295\n',
        'connection tunnel=ikev2\nconnection tunnel=l2tp\nautoports idle=3\n',
        scriptLine('interface', { wszInterfaceName: 'client', dwIfType: 0 }),
        scriptLine('interface', {
          wszInterfaceName: name,
          hInterface: 0xfedcba9876543210n,
          dwIdleDisconnectSeconds: 0xffffffff,
          dwLastError: 809,
          fUnReachabilityReasons: 4,
        }),
        'call MprAdminGetErrorString nth=1 text=Zugriff\\sverweigert\\u00fc\n',
        'call MprAdminGetErrorString nth=2 code=317\n',
      ].join(''),
    );
    const result = await probe<Record<string, unknown>>(fake, 'everything');
    const ports = result['ports'] as Page[];
    expect(result).toMatchObject({
      initialized: { code: 0, initialized: true },
      remote: 0,
      server: {
        code: 0,
        fields: { fLanOnlyMode: '0', dwUpTime: '4294967295', dwTotalPorts: '5', dwPortsInUse: '2' },
      },
      portsOfNull: 6,
      named: { code: 0, handle: String(0xfedcba9876543210n) },
      unnamed: 905,
      level0: {
        code: 0,
        fields: { wszInterfaceName: name, dwLastError: '809', fUnReachabilityReasons: '4' },
      },
      level2: {
        code: 0,
        fields: { wszInterfaceName: name, dwIdleDisconnectSeconds: '4294967295', dwVpnStrategy: '0' },
      },
      errorString: 'Zugriff verweigertü',
      noErrorString: null,
    });
    expect(ports[0]!.records.map((port) => port['wszDeviceName'])).toEqual([
      'WAN Miniport (IKEv2)',
      'WAN Miniport (L2TP)',
      ...Array.from({ length: 3 }, () => 'WAN Miniport (SSTP)'),
    ]);
    expect((result['portsOfOne'] as Page[])[0]).toMatchObject({ code: 0, entriesRead: 1, totalEntries: 1 });
    expect((result['interfaces'] as Page[])[0]!.records.map((record) => record['wszInterfaceName'])).toEqual([
      'client',
      name,
    ]);
    expect(fake.calls('MprAdminPortEnum')[0]).toMatchObject({
      connection: '0xffffffffffffffff',
      prefMax: '4294967295',
    });
    expect(fake.calls('MprAdminServerConnect').map((call) => call['server'])).toEqual(['.', 'branch-1']);
    expectCleanLedger(fake);
  });

  it('reports codes as they are: a length too short, wrong header, wrong level, stale handle', async () => {
    const fake = suite.fake('connection\n');
    expect(await probe(fake, 'refusals')).toEqual({
      tooShort: 0,
      tooShortCode: 234,
      revision: 87,
      type: 87,
      size: 632,
      level: 124,
      portLevel: 50,
      stale: 1702,
    });
    expect(fake.ledgers()[0]).toMatchObject({
      live: 0,
      errors: ['MprAdminServerGetInfo: stale or unknown server handle'],
    });
  });

  it('E6 gives no buffer where the API left a null pointer, whatever the count says', async () => {
    const fake = suite.fake('connection count=3\ncall MprAdminConnectionEnumEx null entries=1000000\n');
    expect(await probe(fake, 'nullBuffer')).toEqual({ code: 0, buffer: null, entriesRead: 1_000_000 });
    expectCleanLedger(fake);
  });

  it('E11 frees a buffer once and refuses its use afterwards', async () => {
    const fake = suite.fake('connection\n');
    expect(await probe(fake, 'buffer')).toEqual({
      same: true,
      empty: [0, 0],
      afterFree: 'dd'.repeat(8),
      secondFree: 'a native buffer was used after it was freed',
      viewAfterFree: 'a native buffer was used after it was freed',
    });
    expectCleanLedger(fake);
  });

  it('shows a read past the end of a buffer as a crash (the fake puts a guard page there)', async () => {
    const fake = suite.fake('connection\n');
    const { program } = await suite.runNode([PROBE, 'overread'], { env: fake.env });
    // Not by the exit code: Wine's is 0 after one crash in twenty.
    expect(program.stderr()).toContain('Unhandled page fault on read access');
    expect(program.stdout()).toBe('');
  });

  it('N1 keeps the event loop turning while a call blocks', async () => {
    const fake = suite.fake('call MprAdminServerGetInfo delay=600\n');
    const { ticks } = await probe<{ ticks: number }>(fake, 'responsive');
    expect(ticks).toBeGreaterThan(5);
    expectCleanLedger(fake);
  });

  it('obeys a script that changes while the program runs', async () => {
    const fake = suite.fake('connection\n');
    const program = suite.startNode([PROBE, 'scriptChange'], { env: fake.env });
    await program.waitFor(() => program.stderr().includes('first'));
    fake.script('connection count=2\n');
    expect(await program.exit).toBe(0);
    expect(JSON.parse(program.stdout())).toEqual([1, 2]);
    expectCleanLedger(fake);
  });

  it('kills a program that hangs in a call, by its own process id', async () => {
    const fake = suite.fake('call MprAdminConnectionEnumEx hang\nconnection\n');
    const program = suite.startNode([PROBE, 'ex'], { env: fake.env });
    await program.waitFor(() => fake.calls('MprAdminConnectionEnumEx').length > 0);
    expect(program.pids().length).toBeGreaterThan(0);
    await program.kill();
    expect(program.pids()).toEqual([]);
    expect(fake.calls('MprAdminConnectionEnumEx')[0]).toMatchObject({ code: 'hang' });
  });

  it('N2 is gone with a crash in the DLL', async () => {
    const fake = suite.fake('call MprAdminConnectionEnumEx crash\nconnection\n');
    const { program } = await suite.runNode([PROBE, 'ex'], { env: fake.env });
    expect(program.stderr()).toContain('Unhandled page fault on write access');
    expect(program.stdout()).toBe('');
    expect(fake.calls('MprAdminConnectionEnumEx')[0]).toMatchObject({ code: 'crash' });
  });

  it.each([
    ['same', [0, 1, 1, 1], [234, 234, 234, 234]],
    ['cycle:2', [0, 1, 2, 1], [234, 234, 234, 234]],
    ['0', [0, 0, 0, 0], [234, 234, 234, 234]],
  ])('can be scripted to lead a caller in circles: resume=%s', async (mode, handles, codes) => {
    const fake = suite.fake(`connection count=7\ncall MprAdminConnectionEnumEx page=3 resume=${mode}\n`);
    const pages = await probe<Page[]>(fake, 'ex');
    const calls = fake.calls('MprAdminConnectionEnumEx');
    expect(calls.slice(0, 4).map((call) => Number(call['resumeIn']))).toEqual(handles);
    expect(pages.slice(0, 4).map(({ code }) => code)).toEqual(codes);
    expectCleanLedger(fake);
  });

  it('can be scripted to give empty pages, once or by call number, over several processes', async () => {
    const fake = suite.fake(
      'connection count=2\ncall MprAdminConnectionEnumEx empty nth=2\ncall * code=1722 once=first level=4\n',
    );
    const codes = async (scenario: string) => (await probe<Page[]>(fake, scenario)).map(({ code }) => code);
    expect(await codes('level4')).toEqual([1722]);
    expect(await codes('level4')).toEqual([0]);
    const lied = suite.fake('connection count=2\ncall MprAdminConnectionEnumEx nth=1 empty result=234\n');
    const pages = await probe<Page[]>(lied, 'ex');
    expect(pages.map(({ code, entriesRead }) => [code, entriesRead])).toEqual([
      [234, 0],
      [0, 2],
    ]);
  });

  it('has a fake that connects, moves and hangs up, and that counts mistakes', async () => {
    const fake = suite.fake(
      [
        'connection tunnel=ikev2\nconnection tunnel=sstp\nautoports idle=1\n',
        'interface dwConnectionState=1 connectMs=100\n',
        'interface dwConnectionState=1 connect=fail:809 connectMs=100\n',
        'interface dwConnectionState=1 fEnabled=0\n',
        'call MprAdminServerGetInfo delay=200\n',
      ].join(''),
    );
    expect(await probe(fake, 'actions')).toEqual({
      started: [600, 600, 916],
      during: [['2', '0', '0'], 910],
      after: [
        ['3', '0', '0'],
        ['1', '809', '4'],
      ],
      disconnected: [0, 906, ['1', '0', '0']],
      updated: [0, 837],
      address: ['203.0.113.99', '1'],
      usersBefore: ['user0', 'user1'],
      hungUp: [0, 87, ['user0']],
      abuse: [87, 87],
    });
    expect(fake.ledgers()[0]!.errors).toEqual([
      'MprAdminBufferFree: foreign pointer',
      'MprAdminBufferFree: NULL',
      'MprAdminServerGetInfo: calls overlap on one server handle',
    ]);
    const [first] = fake.calls('MprAdminUpdateConnection');
    expect(first).toMatchObject({ connection: '0x10000', code: '0' });
    expect(first!['bytes']).toHaveLength(268 * 2);
    expect(first!['bytes']).toMatch(/^01050c010c000000/);
    expect(fake.calls('MprAdminInterfaceConnect')[0]).toMatchObject({
      interface: '0x400000',
      event: '0x0',
      synchronous: '0',
    });
  });

  it('names a mistake in a script in the ledger', async () => {
    const fake = suite.fake('conection\nconnection dwBytes=1\ncall * cod=5\n');
    await probe(fake, 'ex');
    expect(fake.ledgers()[0]!.errors.slice(0, 3)).toEqual([
      'script: no such line: conection',
      'script: no such key: connection dwBytes',
      'script: no such action: cod',
    ]);
  });

  it('binds every function that the program knows', async () => {
    const fake = suite.fake('');
    expect(await probe(fake, 'missing')).toMatchObject({ missing: [] });
    const exported = fs
      .readFileSync(path.join(import.meta.dirname, '../fake-mprapi/mprapi.def'), 'utf8')
      .split('\n');
    expect(exported).toEqual(expect.arrayContaining([...NATIVE_FUNCTIONS]));
  });

  it('lists exports that the DLL lacks, and rejects a call of one', async () => {
    const absent = ['MprAdminConnectionEnumEx', 'MprAdminIsServiceInitialized'];
    const dll = suite.dll(absent);
    const result = await probe<Record<string, unknown>>(suite.fake(''), 'missing', dll);
    expect([...(result['missing'] as string[])].sort()).toEqual(absent);
    expect(result['called']).toBe(`MprAdminConnectionEnumEx is not exported by ${windowsPath(dll)}`);
    expect(result['initialized']).toBe(`MprAdminIsServiceInitialized is not exported by ${windowsPath(dll)}`);
  });

  it('S3 loads System32\\mprapi.dll and none beside node.exe or in the working directory', async () => {
    // Windows looks for a bare name in the folder of the executable before it looks in System32.
    const planted = path.join(suite.folder, 'planted');
    fs.mkdirSync(planted);
    const node = path.join(planted, 'node.exe');
    fs.linkSync(suite.nodeExe, node);
    fs.copyFileSync(suite.dll(), path.join(planted, 'mprapi.dll'));
    fs.copyFileSync(suite.dll(), path.join(suite.app, 'mprapi.dll'));
    const modules = (fake: FakeMprapi) => fake.calls('attach').map((call) => call['module']!.toLowerCase());
    try {
      const fake = suite.fake('connection\n');
      const system = 'c:\\windows\\system32\\mprapi.dll';
      expect((await probe<string>(fake, 'path', undefined, { node })).toLowerCase()).toBe(system);
      expect(modules(fake)).toEqual([system]);

      const control = suite.fake('connection\n');
      const bareName = "import('koffi').then(({ default: koffi }) => void koffi.load('mprapi.dll'))";
      expect(await suite.runNode(['-e', bareName], { node, env: control.env })).toMatchObject({ code: 0 });
      expect(modules(control)).toEqual([windowsPath(path.join(planted, 'mprapi.dll')).toLowerCase()]);
    } finally {
      fs.rmSync(path.join(suite.app, 'mprapi.dll'));
    }
  });
});
