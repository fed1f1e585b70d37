/** `doctor` in Windows' Node.js under Wine, against the fake DLL: healthy, and each way in which the server is not. */
import { copyFileSync, rmSync } from 'node:fs';
import * as path from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { blotted } from '../doctor-command.ts';
import { type FakeMprapi, WineSuite, describeUnderWine } from './wine.ts';

vi.setConfig({ testTimeout: 90_000 });

const NO_ENUM_EX = ['MprAdminConnectionEnumEx'];
const OLD = ['MprAdminIsServiceInitialized', 'MprAdminConnectionEnum'];
const SERVER =
  'server dwUpTime=3600\nconnection count=2\nautoports idle=3\ninterface wszInterfaceName=Branch\n';
const DLL = 'C:\\windows\\system32\\mprapi.dll';
const TOO_OLD = 'RRAS of Windows Server 2008 R2 or later is needed';

describeUnderWine('doctor on Windows', () => {
  let suite: WineSuite;
  beforeAll(async () => {
    suite = await WineSuite.open();
    for (const names of [NO_ENUM_EX, OLD]) suite.dll(names);
  }, 300_000);
  afterAll(() => suite.dispose(), 60_000);

  /** The lines from the DLL's on, and the exit code. */
  async function doctor(
    fake: FakeMprapi,
    flags: readonly string[] = [],
  ): Promise<{ code: number | null; head: string[]; lines: string[]; seconds: number }> {
    const startedMs = performance.now();
    const { code, program } = await suite.runNode(
      ['dist/main.js', 'doctor', '--web.listen-address=127.0.0.1:0', ...flags],
      { env: fake.env },
    );
    const seconds = (performance.now() - startedMs) / 1000;
    const lines = blotted(program.stdout());
    const at = lines.findIndex((line) => line.includes('  mprapi.dll  '));
    // Wine tells of a crash itself.
    expect(program.stderr().replace(/^wine: .*\n+/gm, '')).toBe('');
    expect(lines[0]).toBe('ok       node                Node.js VERSION');
    return { code, head: lines.slice(0, at), lines: lines.slice(at), seconds };
  }

  /** Each process gave back what it took, and called nothing in a wrong way. */
  function expectCleanLedgers(fake: FakeMprapi): void {
    for (const { live, errors } of fake.ledgers()) expect({ live, errors }).toEqual({ live: 0, errors: [] });
  }

  it('a healthy server passes every check; the DLL is the one of System32', async () => {
    const fake = suite.fake(SERVER);
    const { code, head, lines } = await doctor(fake);
    expect(head).toEqual([
      'ok       node                Node.js VERSION',
      'skipped  configuration       no file: flags and defaults',
      'skipped  web configuration   no file: plain HTTP without authentication',
      'ok       storage             C:\\ProgramData\\rras-exporter is not there yet; it can be made in C:\\ProgramData',
      'skipped  log                 no file: standard error',
      'skipped  telemetry           nothing goes out over OTLP',
      'ok       listen address      127.0.0.1:0: a free port is chosen',
      'ok       clock               NOW',
    ]);
    expect(lines).toEqual([
      `ok       mprapi.dll          ${DLL}, 18 of 18 exports`,
      'ok       service             RemoteAccess is running, up 1 h 0 min',
      'ok       rights              elevated, as one of the Administrators',
      'ok       source server       2 of 5 ports in use, T s',
      'ok       source connections  2 connections, 1 page, T s',
      'ok       source ports        5 ports, 1 page, T s',
      'ok       source interfaces   1 interface, 1 page, T s',
      'ok       API level           4: start times and 64-bit counters of bytes (MprAdminConnectionEnum)',
      'ok       anomalies           none in 3 pages',
      '',
      expect.stringMatching(/^0 failed, 0 warnings, 13 ok, 4 skipped$/),
    ]);
    expect(code).toBe(0);
    expectCleanLedgers(fake);
    expect(fake.ledgers()).toHaveLength(1);
  });

  it('a stopped service fails, and is told how to be started', async () => {
    const fake = suite.fake(`${SERVER}call * code=1062\n`);
    const stopped = [
      'ok       rights              elevated, as one of the Administrators',
      'ok       source server       0 of 0 ports in use, T s',
      ...['connections', 'ports', 'interfaces'].map(
        (source) => `skipped  ${`source ${source}`.padEnd(20)}not read: RemoteAccess is not running`,
      ),
      'skipped  API level           not known: connections were not read',
      'skipped  anomalies           nothing was enumerated',
    ];
    // Wine has a service manager, in which this service can be made.
    const sc = async (...args: string[]): Promise<void> => {
      const { code } = await suite.runNode([
        '-e',
        `process.exitCode = require('child_process').spawnSync('sc.exe', ${JSON.stringify(args)}).status`,
      ]);
      expect(code).toBe(0);
    };
    await sc('create', 'RemoteAccess', 'binPath=', 'C:\\windows\\system32\\svchost.exe', 'start=', 'demand');
    const { code, lines } = await doctor(fake);
    await sc('delete', 'RemoteAccess');
    expect(lines.slice(0, -2)).toEqual([
      `ok       mprapi.dll          ${DLL}, 18 of 18 exports`,
      'fail     service             RemoteAccess is stopped: ERROR_SERVICE_NOT_ACTIVE (1062)',
      '         fix: start it, as administrator: Start-Service RemoteAccess',
      ...stopped,
    ]);
    expect(code).toBe(1);
    expectCleanLedgers(fake);
  });

  it('N4 access denied fails for rights and for each source', async () => {
    const { code, lines } = await doctor(suite.fake(`${SERVER}call * code=5\n`));
    expect(lines.slice(1, -2)).toEqual([
      'skipped  service             not known: the server could not be read',
      'fail     rights              MprAdminIsServiceInitialized failed: ERROR_ACCESS_DENIED (5), although this is elevated',
      '         fix: run it as a service, under LocalSystem or an account of the local Administrators group: sc.exe config rras-exporter obj= LocalSystem',
      ...[
        ['server', 'IsServiceInitialized'],
        ['connections', 'ServerConnect'],
        ['ports', 'ServerConnect'],
        ['interfaces', 'ServerConnect'],
      ].flatMap(([source, name]) => [
        `fail     ${`source ${source}`.padEnd(20)}MprAdmin${name} failed: ERROR_ACCESS_DENIED (5)`,
        '         fix: as for rights',
      ]),
      'skipped  API level           not known: connections were not read',
      'skipped  anomalies           nothing was enumerated',
    ]);
    expect(code).toBe(1);
  });

  describe('an old mprapi.dll', () => {
    afterAll(() => suite.installDll());

    it('without EnumEx, on a server without level 4, is too old', async () => {
      suite.installDll(NO_ENUM_EX);
      const fake = suite.fake(`${SERVER}call MprAdminConnectionEnum level=4 code=124\n`);
      const { code, lines } = await doctor(fake);
      expect(lines.slice(0, -2)).toEqual([
        `warn     mprapi.dll          ${DLL}, 17 of 18 exports, without MprAdminConnectionEnumEx`,
        '         fix: what needs them is left out; install the updates of Windows, or Windows Server 2012 R2 or later',
        'ok       service             RemoteAccess is running, up 1 h 0 min',
        'ok       rights              elevated, as one of the Administrators',
        'ok       source server       2 of 5 ports in use, T s',
        'fail     source connections  mprapi.dll has no MprAdminConnectionEnumEx',
        `         fix: the server does not support this call; ${TOO_OLD}`,
        'ok       source ports        5 ports, 1 page, T s',
        'ok       source interfaces   1 interface, 1 page, T s',
        'fail     API level           too old: mprapi.dll has no MprAdminConnectionEnumEx',
        `         fix: ${TOO_OLD}; until then switch the source off: --no-collector.connections`,
        'ok       anomalies           none in 2 pages',
      ]);
      expect(code).toBe(1);
    });

    it('with EnumEx only is a warning', async () => {
      suite.installDll(OLD);
      const { code, lines } = await doctor(suite.fake(SERVER));
      expect(lines.filter((line) => line.includes('API level') || line.includes('scrape at least'))).toEqual([
        'warn     API level           EnumEx: 32-bit counters of bytes and no start times (mprapi.dll has no MprAdminConnectionEnum)',
        '         fix: scrape at least every 30 s, so that no counter wraps twice unseen; Windows Server 2012 or later has level 4',
      ]);
      expect(code).toBe(0);
    });
  });

  it('N1 a call that hangs fails its source within the deadline, and nothing more is asked', async () => {
    const fake = suite.fake(`${SERVER}call MprAdminPortEnum hang\n`);
    const { code, lines, seconds } = await doctor(fake, ['--collector.timeout=8s']);
    expect(lines.filter((line) => !line.startsWith('ok '))).toEqual([
      'fail     source ports        reading ports took longer than 8000 ms',
      '         fix: restart the service, as administrator: Restart-Service RemoteAccess -Force; if it is only slow, raise --collector.timeout',
      'skipped  source interfaces   not looked at: the source before did not answer in time',
      '',
      expect.stringMatching(/^1 failed, /),
    ]);
    expect(lines).toContain('ok       source connections  2 connections, 1 page, T s');
    expect(code).toBe(1);
    expect(seconds).toBeGreaterThan(8);
    expect(seconds).toBeLessThan(30);
  });

  it('N2 a call that crashes the DLL fails its source, and no other', async () => {
    const fake = suite.fake(`${SERVER}call MprAdminConnectionEnum level=4 crash\n`);
    const { code, lines } = await doctor(fake);
    expect(lines.filter((line) => !line.startsWith('ok '))).toEqual([
      expect.stringMatching(
        /^fail {5}source connections {2}the native host process ended \(exit code \d+\)$/,
      ),
      '         fix: install the updates of Windows; if it stays, report it',
      'skipped  API level           not known: connections were not read',
      '',
      expect.stringMatching(/^1 failed, /),
    ]);
    expect(lines).toContain('ok       source ports        5 ports, 1 page, T s');
    expect(code).toBe(1);
  });

  it('S3 a DLL that is not there fails, whatever lies in the working folder', async () => {
    rmSync(suite.unixPath(DLL));
    const planted = path.join(suite.app, 'mprapi.dll');
    copyFileSync(suite.dll(), planted);
    try {
      const { code, lines } = await doctor(suite.fake(SERVER));
      expect(lines[0]).toContain(`fail     mprapi.dll          ${DLL}: `);
      expect(lines[1]).toBe(
        `         fix: have Windows repair it, as administrator: sfc /scanfile=${DLL}; and see that Node.js is the 64-bit one`,
      );
      expect(code).toBe(1);
    } finally {
      rmSync(planted);
      suite.installDll();
    }
  });
});
