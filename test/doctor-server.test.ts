/** What `doctor` makes of a server: each way in which it can fail to be read, over doubles of the child process. */
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { enumerate } from '../src/collector/enumerate.ts';
import { SERVERS_AT_ONCE, someAtOnce } from '../src/doctor.ts';
import type { Check } from '../src/model/check.ts';
import type { Clock } from '../src/model/clock.ts';
import { SOURCES } from '../src/model/words.ts';
import type { HostProcess } from '../src/native/client.ts';
import { forkHost } from '../src/native/client.ts';
import type { HostConfig, HostMessage } from '../src/native/host-messages.ts';
import { toMessages } from '../src/native/host-messages.ts';
import { Host } from '../src/native/host.ts';
import type { InspectOptions, Machine } from '../src/native/inspect-server.ts';
import { inspectServer } from '../src/native/inspect-server.ts';
import type { ServiceState } from '../src/native/windows-service.ts';
import { secondNumber } from '../src/native/windows-service.ts';
import { systemClock } from '../src/runtime/clock.ts';
import { FakeClock } from './doubles/fake-clock.ts';
import { StubServer } from './native/stub-server.ts';

const DLL = 'C:\\Windows\\System32\\mprapi.dll';
const LOCAL: HostConfig = { backend: 'dll', server: null };
const REMOTE: HostConfig = { backend: 'dll', server: 'vpn2' };

const machine = (elevated: boolean | null = true, state: ServiceState | null = 'running'): Machine => ({
  dllPath: DLL,
  elevated,
  serviceState: () => Promise.resolve(state),
});

/** A child process that is none: the host on a stub, its messages copied as the pipe would. */
function hostOver(api: StubServer, server: string | null, clock: Clock = new FakeClock()): HostProcess {
  const host = new Host({ api, enumerate, clock, server });
  const listeners: ((message: unknown) => void)[] = [];
  const tell = (message: HostMessage): void => {
    for (const listener of listeners) listener(structuredClone(message));
  };
  queueMicrotask(() => tell({ type: 'ready', missing: api.missing }));
  return {
    send: (request) => {
      if (!('source' in request)) throw new Error('doctor never acts');
      void host.read(request.source).then((outcome) => {
        for (const message of toMessages(request.id, outcome)) tell(message);
      });
    },
    onMessage: (listener) => void listeners.push(listener),
    onExit: () => undefined,
    kill: () => undefined,
  };
}

const inspect = (options: Pick<InspectOptions, 'spawn'> & Partial<InspectOptions>): Promise<Check[]> =>
  inspectServer({
    config: LOCAL,
    clock: systemClock,
    timeoutMs: 15_000,
    sources: SOURCES,
    machine: machine(),
    ...options,
  });

function inspectStub(api: StubServer, options: Partial<InspectOptions> = {}): Promise<Check[]> {
  const { config = LOCAL } = options;
  return inspect({ spawn: () => hostOver(api, config.server), ...options });
}

/** `status name: summary`, or with the fix behind an arrow. */
const told = (checks: readonly Check[]): string[] =>
  checks.map(({ status, name, summary, fix }) =>
    `${status} ${name}: ${summary}${fix === undefined ? '' : ` -> ${fix}`}`.replace(/\d+\.\d{3} s/, 'T s'),
  );

const HEALTHY = [
  `ok mprapi.dll: ${DLL}, 18 of 18 exports`,
  'ok service: RemoteAccess is running, up 1 h 0 min',
  'ok rights: elevated, as one of the Administrators',
  expect.stringMatching(/^ok source server: \d+ of \d+ ports? in use, T s$/),
  'ok source connections: 2 connections, 1 page, T s',
  'ok source ports: 1 port, 1 page, T s',
  'ok source interfaces: 1 interface, 1 page, T s',
  'ok API level: 4: start times and 64-bit counters of bytes (MprAdminConnectionEnum)',
  'ok anomalies: none in 3 pages',
];

const SKIPPED_STOPPED = [
  'skipped source connections: not read: RemoteAccess is not running',
  'skipped source ports: not read: RemoteAccess is not running',
  'skipped source interfaces: not read: RemoteAccess is not running',
  'skipped API level: not known: connections were not read',
  'skipped anomalies: nothing was enumerated',
];

test('a healthy server passes every check', async () => {
  expect(told(await inspectStub(new StubServer()))).toEqual(HEALTHY);
});

test('anomalies are a warning', async () => {
  // Start times in the future: the layout of level 4 is not taken for true.
  const clock = new FakeClock({ wallSeconds: 1_700_000_000 });
  const lines = told(await inspect({ spawn: () => hostOver(new StubServer(), null, clock) }));
  expect(lines.slice(7)).toEqual([
    'warn API level: EnumEx: 32-bit counters of bytes and no start times (level 4 is not as expected) -> scrape at least every 30 s, so that no counter wraps twice unseen; Windows Server 2012 or later has level 4',
    'warn anomalies: connections: bad_layout 1 -> run doctor again; if it stays, write a recording for a report: rras-exporter record FILE',
  ]);
});

describe('a service that does not run fails, with what to do', () => {
  test.each<[ServiceState | null, string]>([
    [
      'stopped',
      'RemoteAccess is stopped: ERROR_SERVICE_NOT_ACTIVE (1062) -> start it, as administrator: Start-Service RemoteAccess',
    ],
    [
      'disabled',
      'RemoteAccess is disabled: Routing and Remote Access is not configured: ERROR_SERVICE_NOT_ACTIVE (1062) -> configure it: rrasmgmt.msc, "Configure and Enable Routing and Remote Access"; or enable it, as administrator: Set-Service RemoteAccess -StartupType Automatic; Start-Service RemoteAccess',
    ],
    [
      'not_installed',
      'RemoteAccess is not installed: ERROR_SERVICE_NOT_ACTIVE (1062) -> install it, as administrator: Install-WindowsFeature DirectAccess-VPN -IncludeManagementTools; then configure it: rrasmgmt.msc',
    ],
    ['starting', 'RemoteAccess is starting: ERROR_SERVICE_NOT_ACTIVE (1062) -> run doctor again in a minute'],
    [
      'running',
      'RemoteAccess is running, but RRAS is not configured or not up yet: ERROR_SERVICE_NOT_ACTIVE (1062) -> see rrasmgmt.msc; once it is configured, as administrator: Restart-Service RemoteAccess -Force',
    ],
    [
      null,
      'RemoteAccess is stopped: ERROR_SERVICE_NOT_ACTIVE (1062) -> start it, as administrator: Start-Service RemoteAccess',
    ],
  ])('%s', async (state, line) => {
    const api = new StubServer();
    api.codeOf = () => 1062;
    const lines = told(await inspectStub(api, { machine: machine(true, state) }));
    expect(lines[1]).toBe(`fail service: ${line}`);
    expect(lines.slice(2)).toEqual([
      'ok rights: elevated, as one of the Administrators',
      expect.stringMatching(/^ok source server: 0 of 0 ports in use/),
      ...SKIPPED_STOPPED,
    ]);
  });
});

describe('N4 access denied', () => {
  const DENIED = [
    'fail source server: MprAdminIsServiceInitialized failed: ERROR_ACCESS_DENIED (5) -> as for rights',
    'fail source connections: MprAdminServerConnect failed: ERROR_ACCESS_DENIED (5) -> as for rights',
    'fail source ports: MprAdminServerConnect failed: ERROR_ACCESS_DENIED (5) -> as for rights',
    'fail source interfaces: MprAdminServerConnect failed: ERROR_ACCESS_DENIED (5) -> as for rights',
  ];
  const denied = (): StubServer => {
    const api = new StubServer();
    api.codeOf = () => 5;
    return api;
  };

  const AS_SERVICE =
    'as a service, under LocalSystem or an account of the local Administrators group: sc.exe config rras-exporter obj= LocalSystem';
  const ELEVATE = 'run it from a PowerShell that was started by "Run as administrator"';

  test.each([
    [false, ': this is not elevated', `${ELEVATE}; ${AS_SERVICE}`],
    [true, ', although this is elevated', `run it ${AS_SERVICE}`],
    [null, '', `${ELEVATE}; ${AS_SERVICE}`],
  ])('by this machine, elevated %s, says how to run it', async (elevated, says, fix) => {
    const lines = told(await inspectStub(denied(), { machine: machine(elevated) }));
    expect(lines[1]).toBe('ok service: RemoteAccess is running, says the service manager of Windows');
    expect(lines[2]).toBe(
      `fail rights: MprAdminIsServiceInitialized failed: ERROR_ACCESS_DENIED (5)${says} -> ${fix}`,
    );
    expect(lines.slice(3, 7)).toEqual(DENIED);
  });

  test('by another server says which account needs what there', async () => {
    const lines = told(await inspectStub(denied(), { config: REMOTE }));
    expect(lines.slice(1, 3)).toEqual([
      'skipped service: not known: the server could not be read',
      'fail rights: MprAdminIsServiceInitialized failed: ERROR_ACCESS_DENIED (5) -> make the account of the exporter a member of the Administrators group of vpn2; there: net localgroup Administrators DOMAIN\\ACCOUNT /add (for LocalSystem the account is DOMAIN\\THIS-MACHINE$)',
    ]);
  });
});

test('another server that does not answer fails, and says how to see whether it can be reached', async () => {
  const api = new StubServer();
  api.codeOf = (method) => (method === 'isServiceInitialized' ? 0 : 1722);
  const lines = told(await inspectStub(api, { config: REMOTE }));
  expect(lines.slice(2, 4)).toEqual([
    'skipped rights: not known: vpn2 could not be read',
    'fail source server: MprAdminServerConnect failed: RPC_S_SERVER_UNAVAILABLE (1722) -> see that vpn2 can be reached and lets RPC in: Test-NetConnection vpn2 -Port 135',
  ]);
});

describe('the level of the API', () => {
  test('that has EnumEx only is a warning', async () => {
    const api = new StubServer();
    api.codeOf = (method) => (method === 'connectionEnum' ? 124 : 0);
    const lines = told(await inspectStub(api));
    expect(lines[7]).toBe(
      'warn API level: EnumEx: 32-bit counters of bytes and no start times (level 4 is refused: ERROR_INVALID_LEVEL (124)) -> scrape at least every 30 s, so that no counter wraps twice unseen; Windows Server 2012 or later has level 4',
    );
    expect(lines.filter((line) => line.startsWith('fail'))).toEqual([]);
  });

  test('of a DLL without EnumEx, on a server without level 4, is too old', async () => {
    const api = new StubServer();
    api.codeOf = (method) => (method === 'connectionEnum' ? 124 : 0);
    api.missing = ['MprAdminConnectionEnumEx'];
    const lines = told(await inspectStub(api));
    expect([lines[0], lines[4], lines[7]]).toEqual([
      `warn mprapi.dll: ${DLL}, 17 of 18 exports, without MprAdminConnectionEnumEx -> what needs them is left out; install the updates of Windows, or Windows Server 2012 R2 or later`,
      'fail source connections: mprapi.dll has no MprAdminConnectionEnumEx -> the server does not support this call; RRAS of Windows Server 2008 R2 or later is needed',
      'fail API level: too old: mprapi.dll has no MprAdminConnectionEnumEx -> RRAS of Windows Server 2008 R2 or later is needed; until then switch the source off: --no-collector.connections',
    ]);
  });
});

describe('a child process', () => {
  const fixture = (name: string): string => fileURLToPath(new URL(`fixtures/${name}`, import.meta.url));
  const SIMULATED: HostConfig = {
    backend: 'simulator',
    scenario: 'small',
    seed: 1,
    startedAt: 1_795_219_200,
    server: null,
  };

  test('N1 that hangs fails its source within the deadline, and is asked nothing more', async () => {
    let children = 0;
    const spawn = (): HostProcess => {
      children += 1;
      return forkHost(fixture('hanging-host.ts'), SIMULATED);
    };
    const startedMs = performance.now();
    const lines = told(await inspect({ config: LOCAL, spawn, timeoutMs: 3000 }));
    expect(performance.now() - startedMs).toBeLessThan(3000 + 2000);
    expect(children).toBe(1);
    const fix =
      'restart the service, as administrator: Restart-Service RemoteAccess -Force; if it is only slow, raise --collector.timeout';
    expect(lines).toEqual([
      `ok mprapi.dll: ${DLL}, 18 of 18 exports`,
      'ok service: RemoteAccess is running, says the service manager of Windows',
      'ok rights: elevated, as one of the Administrators',
      `fail source server: reading server took longer than 3000 ms -> ${fix}`,
      ...SOURCES.slice(1).map(
        (source) => `skipped source ${source}: not looked at: the source before did not answer in time`,
      ),
      'skipped API level: not known: connections were not read',
      'skipped anomalies: nothing was enumerated',
    ]);
  });

  test('N1 of each of 256 servers that hangs holds up the rest for three minutes in all', async () => {
    const clock = new FakeClock();
    const startedMs = clock.monotonicMs();
    let [living, most] = [0, 0];
    const spawn = (): HostProcess => {
      most = Math.max(most, (living += 1));
      return {
        send: () => undefined,
        onMessage: (listener) => queueMicrotask(() => listener({ type: 'ready', missing: [] })),
        onExit: () => undefined,
        kill: () => void (living -= 1),
      };
    };
    const servers = Array.from({ length: 256 }, (_, index) => `vpn-${index}`);
    const all = someAtOnce(servers, SERVERS_AT_ONCE, () => inspect({ clock, spawn, timeoutMs: 10_000 }));
    let done = false;
    void all.then(() => void (done = true));
    while (!done) await clock.advance(1000);
    expect((await all).every((checks) => checks.some(({ status }) => status === 'fail'))).toBe(true);
    expect(clock.monotonicMs() - startedMs).toBeLessThanOrEqual(180_000);
    expect([living, most]).toEqual([0, 16]);
  });

  test('N2 that crashes fails the source in whose midst it was', async () => {
    const spawn = (): HostProcess => forkHost(fixture('crashing-host.ts'), LOCAL);
    const lines = told(await inspect({ spawn }));
    expect(lines.slice(3, 7)).toEqual(
      SOURCES.map(
        (source) =>
          `fail source ${source}: the native host process ended (SIGSEGV) -> install the updates of Windows; if it stays, report it`,
      ),
    );
  });

  test('that cannot load the DLL fails once', async () => {
    const spawn = (): HostProcess => {
      const listeners: ((message: unknown) => void)[] = [];
      let ended: (how: string) => void = () => undefined;
      return {
        send: () => {
          for (const listener of listeners) listener({ type: 'fatal', message: 'Failed to load it' });
        },
        onMessage: (listener) => void listeners.push(listener),
        onExit: (listener) => void (ended = listener),
        kill: () => ended('SIGKILL'),
      };
    };
    const lines = told(await inspect({ spawn, machine: machine(false) }));
    expect(lines).toEqual([
      `fail mprapi.dll: ${DLL}: Failed to load it -> have Windows repair it, as administrator: sfc /scanfile=${DLL}; and see that Node.js is the 64-bit one`,
      'ok service: RemoteAccess is running, says the service manager of Windows',
      'warn rights: not elevated -> run it from a PowerShell that was started by "Run as administrator"',
      ...SOURCES.map((source) => `skipped source ${source}: not read: the API could not be loaded`),
      'skipped API level: not known: connections were not read',
      'skipped anomalies: nothing was enumerated',
    ]);
  });
});

test("the service manager's answer is read by its numbers, as its words are translated", () => {
  const query =
    '\r\nSERVICE_NAME: RemoteAccess \r\n        TYP                : 20  WIN32_SHARE_PROCESS  \r\n        STATUS             : 4  RUNNING \r\n';
  const config =
    '[SC] QueryServiceConfig ERFOLG\r\n\r\nSERVICE_NAME: RemoteAccess\r\n        TYPE               : 20  WIN32_SHARE_PROCESS \r\n        START_TYPE         : 4   DISABLED\r\n        ERROR_CONTROL      : 1   NORMAL\r\n';
  expect([secondNumber(query), secondNumber(config), secondNumber('')]).toEqual([4, 4, null]);
});
