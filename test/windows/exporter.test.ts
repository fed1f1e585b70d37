/** The very program (dist/main.js) in Windows' Node.js under Wine, against the fake DLL: its pages, its log, its processes. */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { AUTHS, COMPRESSIONS, ENCRYPTIONS } from '../../src/model/words.ts';
import { type MetricsPage, type Scrape, type SeenConnection, WindowsExporter } from './exporter.ts';
import { type Api, type Definition, define } from './sessions.ts';
import { type FakeMprapi, WineSuite, describeUnderWine, scriptLine } from './wine.ts';

const nowSeconds = (): number => Date.now() / 1000;

/** Exports that an old mprapi.dll lacks. */
const NO_ENUM_EX = ['MprAdminConnectionEnumEx'];
const NO_LEVEL_4 = ['MprAdminIsServiceInitialized', 'MprAdminConnectionEnum'];

// A start takes a few seconds under Wine, more where other tests are at work.
vi.setConfig({ testTimeout: 60_000 });

describeUnderWine('the exporter on Windows', () => {
  let suite: WineSuite;
  let running: WindowsExporter[] = [];
  beforeAll(async () => {
    suite = await WineSuite.open();
    // Compiled here, so that it does not count as time of a test.
    for (const names of [NO_ENUM_EX, NO_LEVEL_4]) suite.dll(names);
  }, 300_000);
  afterEach(async () => {
    for (const exporter of running) await exporter.program.kill();
    running = [];
  });
  afterAll(() => suite.dispose(), 60_000);

  async function start(script: string | FakeMprapi, flags: readonly string[] = []): Promise<WindowsExporter> {
    const fake = typeof script === 'string' ? suite.fake(script) : script;
    const exporter = await WindowsExporter.start(suite, fake, flags);
    running.push(exporter);
    return exporter;
  }

  /** Each process gave every buffer back once, and called nothing in a wrong way. `hosts`: how many there were. */
  function expectCleanLedgers(fake: FakeMprapi, hosts = 1): void {
    const ledgers = fake.ledgers();
    expect(ledgers).toHaveLength(hosts);
    for (const { live, errors, allocs, frees, calls } of ledgers) {
      expect({ live, errors }).toEqual({ live: 0, errors: [] });
      expect(frees).toBe(allocs);
      expect(calls['MprAdminBufferFree']).toBe(frees);
    }
    expect(ledgers.at(-1)!.allocs).toBeGreaterThan(0);
  }

  const sourceUp = (page: MetricsPage) => page.values('rras_source_up');
  const ALL_UP = { server: 1, connections: 1, ports: 1, interfaces: 1 };
  /** Those that there were. */
  const anomalies = (page: MetricsPage) =>
    Object.fromEntries(
      Object.entries(page.values('rras_exporter_enumeration_anomalies_total')).filter(
        ([, count]) => count > 0,
      ),
    );
  const restarts = (page: MetricsPage) => page.values('rras_exporter_host_restarts_total');
  /** What a scrape adds to the calls of native functions. */
  async function callsOf(exporter: WindowsExporter, scrape: () => Promise<unknown>): Promise<string[]> {
    const before = exporter.calls().length;
    await scrape();
    return exporter.calls().slice(before);
  }

  /** Lines above info, without those fields that all have. */
  const warnings = (exporter: WindowsExporter) =>
    exporter
      .log()
      .filter(({ level }) => level !== 'info')
      .map((line) =>
        Object.fromEntries(Object.entries(line).filter(([key]) => key !== 'level' && key !== 'time')),
      );
  const REFUSE_LEVEL_4 = 'call MprAdminConnectionEnum level=4 code=124\n';

  describe.each<{ api: Api; fn: string; rules: string }>([
    { api: 'ex', fn: 'MprAdminConnectionEnumEx', rules: REFUSE_LEVEL_4 },
    { api: 'level4', fn: 'MprAdminConnectionEnum', rules: '' },
  ])('connections in pages of three ($api)', ({ api, fn, rules }) => {
    const PAGED = 'call * page=3\n';
    let defined: Definition;
    let script: string;
    let exporter: WindowsExporter;
    let page: MetricsPage;
    let seen: Record<string, SeenConnection>;
    beforeAll(async () => {
      defined = define(api, nowSeconds());
      script = defined.script + rules + PAGED;
      exporter = await WindowsExporter.start(suite, suite.fake(script));
      page = await exporter.page();
      seen = page.connections('tunnel_address');
    });
    afterAll(() => exporter.program.kill());

    it('E5 shows exactly the connections that the C side defined, each under an id of its own', () => {
      expect(Object.keys(seen).sort()).toEqual(Object.keys(defined.connections).sort());
      const ids = Object.values(seen).map(({ id }) => id);
      expect(new Set(ids).size).toBe(22);
      for (const id of ids) expect(id).toMatch(/^[0-9a-f]{16}$/);
      expect(page.value('rras_up')).toBe(1);
      expect(anomalies(page)).toEqual({});
    });

    it('E5 follows the resume handle to the end, by the one call that the server knows', () => {
      const answered = exporter.fake.calls(fn).filter(({ code }) => code !== '124');
      expect(answered.slice(0, 8).map(({ resumeIn, code }) => [resumeIn, code])).toEqual([
        ...[0, 3, 6, 9, 12, 15, 18].map((at) => [String(at), '234']),
        ['21', '0'],
      ]);
      expect(page.value('rras_exporter_enumeration_pages_total', 'connections')).toBe(answered.length);
      // Level 4 is asked for once, then EnumEx; EnumEx is not asked where level 4 answers.
      const enumerations = exporter.calls().filter((call) => call.startsWith('MprAdminConnectionEnum'));
      expect(enumerations).toHaveLength(answered.length + (api === 'ex' ? 1 : 0));
    });

    it('shows every number and text of a connection as the C side has it', () => {
      for (const [key, { texts, numbers }] of Object.entries(seen)) {
        const { start_time_seconds: startTime, ...others } = numbers;
        expect({ texts, numbers: others }).toEqual(defined.connections[key]);
        if (api === 'level4') expect(startTime).toBe(defined.startTimes[key]);
        // The server tells whole seconds since the connect, and the clock has gone on since the call.
        else expect([0, 1, 2]).toContain(startTime! - defined.startTimes[key]!);
      }
    });

    it('E9 shows texts that fill their arrays, unpaired surrogates as U+FFFD', () => {
      const texts = (n: number) => seen[n === 0 ? '255.255.255.255x' : `10.20.30.${n}`]!.texts;
      const lengths = (n: number) =>
        ['interface', 'user', 'domain', 'computer', 'remote_address', 'local_address'].map(
          (label) => texts(n)[label]!.length,
        );
      expect(lengths(0)).toEqual([257, 257, 16, 17, 65, 65]);
      expect(lengths(1)).toEqual([256, 256, 15, 16, 64, 64]);
      expect(texts(0)['tunnel_address']).toHaveLength(16);
      expect([texts(2)['user'], texts(3)['user']]).toEqual(['half \ufffd', 'half \ufffd']);
      expect(texts(2)['computer']).toBe('Z\u00dcRICH-\u{1F600}');
    });

    it('counts them by tunnel and role, auth, quarantine state and user', () => {
      const connected = Object.entries(page.values('rras_connections')).filter(([, count]) => count > 0);
      expect(Object.fromEntries(connected)).toEqual(defined.byTunnelAndRole);
      expect(page.values('rras_auth_connections')).toEqual(defined.byAuth);
      const quarantine = { quarantine: 1, probation: 1, not_capable: 2 };
      expect(page.values('rras_quarantine_connections')).toEqual(quarantine);
      expect(page.value('rras_users')).toBe(defined.distinctUsers);
      expect(page.values('rras_ports_in_use')).toEqual({ ikev2: 4, sstp: 3, l2tp: 8, pptp: 4, pppoe: 2 });
      expect(page.value('rras_ports', 'l2tp', 'listening')).toBe(1);
    });

    it('E10 frees each buffer once, also when a later page fails, and uses nothing of that enumeration', async () => {
      expectCleanLedgers(exporter.fake);
      // The third page fails, first without and then with a buffer.
      for (const failure of ['code=8', 'result=8']) {
        exporter.fake.script(`${script}call ${fn} nth=3 ${failure}\n`);
        const failed = await exporter.page();
        expect(sourceUp(failed)).toEqual({ ...ALL_UP, connections: 0 });
        expect(failed.value('rras_up')).toBe(0);
        expect(failed.connections('tunnel_address')).toEqual(seen);
        expectCleanLedgers(exporter.fake);
      }
      exporter.fake.script(script);
      const after = await exporter.page();
      expect(after.value('rras_up')).toBe(1);
      expect(after.value('rras_exporter_native_failures_total', fn, '8')).toBe(2);
      expect(Object.keys(after.connections('tunnel_address'))).toEqual(Object.keys(seen));
      expectCleanLedgers(exporter.fake);
    });
  });

  it('has defined a connection for every auth, encryption and compression that is a label', () => {
    const { connections } = define('level4', nowSeconds());
    const all = (label: string) => new Set(Object.values(connections).map(({ texts }) => texts[label]));
    expect([...all('auth')].sort()).toEqual([...AUTHS].sort());
    expect([...all('encryption')].sort()).toEqual([...ENCRYPTIONS].sort());
    expect([...all('compression')].sort()).toEqual([...COMPRESSIONS].sort());
  });

  describe('one exporter over the changes of its server', () => {
    let exporter: WindowsExporter;
    let scripts = 0;
    beforeAll(async () => {
      exporter = await WindowsExporter.start(suite, suite.fake('connection\n'));
      await exporter.page();
    });
    afterAll(() => exporter.program.kill());

    /** A handle that is stale once makes the host connect anew, and try level 4 again. */
    const connectAnew = (): string => `call MprAdminServerGetInfo code=1722 once=script-${(scripts += 1)}\n`;
    /** The first page of a server that owes nothing to the test before. */
    async function begin(script: string): Promise<MetricsPage> {
      exporter.fake.script(script + connectAnew());
      return exporter.page();
    }
    const session = (handle: number, user: string, guid: string, startedAt: number): string =>
      scriptLine('connection', { hConnection: handle, wszUserName: user, guid: guid.repeat(32), startedAt });

    it('E8 falls back to EnumEx, once and for good, when level 4 answers in another layout', async () => {
      const connection = (n: number, more = {}): string =>
        scriptLine('connection', {
          guid: `e${n}`.repeat(16),
          wszUserName: `user${n}`,
          ullBytesRcved: 5_000_000_000 + n,
          ...more,
        });
      const three = connection(0) + connection(1) + connection(2);
      const noTime = 0x1122_3344_5566_7788n;
      const variants = {
        'wire-1680': `${three}call MprAdminConnectionEnum wire=1680\n`,
        'wire-1688': `${three}call MprAdminConnectionEnum wire=1688\n`,
        'start-time':
          connection(0) + connection(1) + connection(2, { dwConnectDuration: 60, 'level4@1136:8': noTime }),
        device: connection(0) + connection(1) + connection(2, { 'level4@1688:4': 16 }),
        address: connection(0) + connection(1) + connection(2, { 'level4@1204:2': 0x0401 }),
        type: connection(0) + connection(1) + connection(2, { 'level4@4:4': 0x75006e }),
      };
      const before = await begin(three);
      const received = (page: MetricsPage) =>
        Object.values(page.connections('user')).map(({ numbers }) => numbers['received_bytes_total']);
      expect(received(before)).toEqual([5_000_000_000, 5_000_000_001, 5_000_000_002]);

      let fallbacks = 0;
      for (const script of Object.values(variants)) {
        exporter.fake.script(script + connectAnew());
        for (const calls of [
          ['MprAdminConnectionEnum', 'MprAdminConnectionEnumEx'],
          ['MprAdminConnectionEnumEx'],
        ]) {
          const called = await callsOf(exporter, async () => {
            const page = await exporter.page();
            expect(page.value('rras_up')).toBe(1);
            // EnumEx tells the low 32 bits; the accounts add what passed before, but to a session of another duration.
            expect(received(page).map((bytes) => bytes! % 2 ** 32)).toEqual([
              705_032_704, 705_032_705, 705_032_706,
            ]);
          });
          expect(called.filter((fn) => fn.startsWith('MprAdminConnectionEnum'))).toEqual(calls);
        }
        fallbacks += 1;
        expect(anomalies(await exporter.page())).toEqual({ 'connections/bad_layout': fallbacks });
      }
      expect(restarts(await exporter.page())).toEqual({ timeout: 0, crash: 0, protocol: 0 });
      expectCleanLedgers(exporter.fake);
    });

    it('N5 shows a service that stops and starts as a state, and new sessions on old handles as new ones', async () => {
      const now = Math.floor(nowSeconds());
      const ports = 'autoports idle=2\ninterface wszInterfaceName=Branch\n';
      const first = await begin(
        session(1, 'anna', '1', now - 900) +
          session(2, 'bert', '0', now - 800) +
          session(3, 'carl', '3', now - 700) +
          ports,
      );
      expect(first.value('rras_connections', 'sstp', 'client')).toBe(3);
      expect(first.value('rras_interface_up', 'Branch')).toBe(1);

      exporter.fake.script('server initialized=0\ncall * code=1062\n');
      const stopped = await exporter.page();
      expect(stopped.value('rras_up')).toBe(1);
      expect(sourceUp(stopped)).toEqual(ALL_UP);
      expect(stopped.value('rras_service_running')).toBe(0);
      expect(stopped.value('rras_server_start_time_seconds')).toBeUndefined();
      expect(stopped.values('rras_connections')).toEqual({ 'sstp/client': 0, 'sstp/site': 0 });
      expect(stopped.values('rras_ports_in_use')).toEqual({ sstp: 0 });
      expect(new Set(Object.values(stopped.values('rras_ports')))).toEqual(new Set([0]));
      expect(stopped.value('rras_users')).toBe(0);
      expect(stopped.values('rras_interface_up')).toEqual({ Branch: 0 });
      expect(stopped.ids()).toEqual({});

      // The same people on the same handles.
      exporter.fake.script(
        session(1, 'anna', '4', now - 60) +
          session(2, 'bert', '0', now - 50) +
          session(3, 'carl', '6', now - 40) +
          ports,
      );
      const second = await exporter.page();
      expect(second.value('rras_service_running')).toBe(1);
      expect(second.value('rras_interface_up', 'Branch')).toBe(1);

      // Once more, between two scrapes, so that nobody saw it stop; carl stays.
      exporter.fake.script(
        session(1, 'anna', '7', now - 60) +
          session(2, 'bert', '0', now - 20) +
          session(3, 'carl', '6', now - 40) +
          ports,
      );
      const third = await exporter.page();
      const ids = [first, second, third].map((page) => page.ids());
      expect(ids[2]!['carl']).toBe(ids[1]!['carl']);
      const all = ids.flatMap((each) => Object.values(each));
      expect(all).toHaveLength(9);
      expect(new Set(all).size).toBe(8);
      expectCleanLedgers(exporter.fake);
    });

    it('tells sessions on one handle apart by EnumEx too, and keeps an id when level 4 goes away', async () => {
      const now = Math.floor(nowSeconds());
      const before = session(1, 'anna', '1', now - 900) + session(2, 'bert', '0', now - 800);
      const byLevel4 = (await begin(before)).ids();
      exporter.fake.script(before + REFUSE_LEVEL_4 + connectAnew());
      const fallback = await callsOf(exporter, async () => {
        expect((await exporter.page()).ids()).toEqual(byLevel4);
      });
      expect(fallback).toContain('MprAdminConnectionEnumEx');
      // bert's new session has no guid: only its duration can tell.
      exporter.fake.script(
        `${session(1, 'anna', '2', now - 900)}${session(2, 'bert', '0', now - 790)}${REFUSE_LEVEL_4}`,
      );
      const after = (await exporter.page()).ids();
      expect(Object.keys(after)).toEqual(['anna', 'bert']);
      expect(new Set([...Object.values(byLevel4), ...Object.values(after)]).size).toBe(4);
      expect((await exporter.page()).ids()).toEqual(after);
    });

    it('N5 leaves out connections and ports of a router without remote access', async () => {
      const page = await begin('server fLanOnlyMode=1\nconnection\nautoports\ninterface dwIfType=3\n');
      expect(sourceUp(page)).toEqual({ server: 1, interfaces: 1 });
      expect(page.value('rras_up')).toBe(1);
      expect(page.value('rras_server_lan_only')).toBe(1);
      expect(page.value('rras_service_running')).toBe(1);
      expect(page.values('rras_interface_info')).toEqual({ 'Site 0/dedicated': 1 });
      const families = page.families
        .map(({ name }) => name)
        .filter((name) => /^rras_(conn|port|users)/.test(name));
      expect(families).toEqual([]);
      expect(warnings(exporter)).toEqual([]);
    });

    it('N3 connects anew at once when a handle has become stale, and shows fresh data in the same scrape', async () => {
      const before = await begin('connection\n');
      exporter.fake.script('connection count=2\ncall MprAdminConnectionEnum code=1722 once=enumeration\n');
      const called = await callsOf(exporter, async () => {
        const page = await exporter.page();
        expect(sourceUp(page)).toEqual(ALL_UP);
        expect(page.value('rras_up')).toBe(1);
        expect(page.timestamp).toBeGreaterThan(before.timestamp);
        expect(Object.keys(page.ids())).toEqual(['user0', 'user1']);
        expect(page.value('rras_exporter_native_failures_total', 'MprAdminConnectionEnum', '1722')).toBe(1);
      });
      expect(called).toEqual([
        'MprAdminIsServiceInitialized',
        'MprAdminServerGetInfo',
        'MprAdminConnectionEnum',
        'MprAdminDeregisterConnectionNotification',
        'MprAdminServerDisconnect',
        'MprAdminServerConnect',
        'MprAdminRegisterConnectionNotification',
        'MprAdminConnectionEnum',
        'MprAdminPortEnum',
        'MprAdminInterfaceEnum',
      ]);
      const handles = exporter.fake.calls().map(({ fn, handle }) => [fn, handle] as const);
      const connected = handles.filter(([fn]) => fn === 'MprAdminServerConnect').map(([, handle]) => handle);
      const [old, fresh] = connected.slice(-2);
      expect(fresh).not.toBe(old);
      // Nothing was called with the old one after its end: the fake counts that as an error.
      expectCleanLedgers(exporter.fake);
      expect(warnings(exporter)).toEqual([]);
    });
  });

  describe('native calls that do not come back', () => {
    let exporter: WindowsExporter;
    beforeAll(async () => {
      exporter = await WindowsExporter.start(suite, suite.fake(''), ['--collector.timeout=4s']);
    });
    afterAll(() => exporter.program.kill());

    it('N1 answers in time while a native call hangs, kills the child at its deadline, and reads again', async () => {
      const connections = 'connection count=3\nautoports idle=1\n';
      exporter.fake.script(connections);
      const before = await exporter.page();
      expect(before.value('rras_up')).toBe(1);
      const [hostPid] = exporter.pids('native-host.js');
      exporter.fake.script(`connection count=5\ncall MprAdminPortEnum hang once=hang\n`);

      const hungAt = performance.now();
      const ended = exporter.program
        .waitFor(() => !exporter.program.pids().includes(hostPid!))
        .then(() => performance.now() - hungAt);
      const scrapes: Scrape[] = [];
      while (performance.now() - hungAt < 3200) scrapes.push(await exporter.scrape('0.5'));
      // The deadline is half a second less a tenth. One scrape may meet a busy machine.
      const times = scrapes.map(({ ms }) => ms).sort((a, b) => a - b);
      expect(times.length).toBeGreaterThanOrEqual(5);
      expect(times[0]).toBeGreaterThan(440);
      expect(times.at(-2)).toBeLessThan(450 + 100);
      expect(times.at(-1)).toBeLessThan(1000);
      for (const { status, page } of scrapes) {
        expect(status).toBe(200);
        expect(page.timestamp).toBe(before.timestamp);
        expect(page.ids()).toEqual(before.ids());
      }
      const killedAfter = await ended;
      expect(killedAfter).toBeGreaterThan(3900);
      expect(killedAfter).toBeLessThan(5000);
      expect(exporter.log('native host process killed')).toMatchObject([
        { level: 'warn', reason: 'timeout' },
      ]);

      // Joins what may be left of the enumeration that the kill ended.
      expect((await exporter.page()).value('rras_source_up', 'server')).toBe(1);
      const after = await exporter.page();
      expect(after.value('rras_up')).toBe(1);
      expect(after.timestamp).toBeGreaterThan(before.timestamp);
      expect(Object.keys(after.ids())).toHaveLength(5);
      expect(restarts(after)).toEqual({ timeout: 1, crash: 0, protocol: 0 });
      // The child that was killed left what it held; the new one owes nothing.
      expect(exporter.fake.ledgers().at(-1)).toMatchObject({ live: 0, errors: [] });
    });

    it('N2 survives a crash in the DLL: each scrape is answered, and the next enumeration works', async () => {
      const restartsBefore = restarts(await exporter.page());
      exporter.fake.script('connection count=3\n');
      const before = await exporter.page();
      exporter.fake.script('connection count=5\ncall MprAdminConnectionEnum crash once=crash\n');

      const during = await exporter.scrape();
      expect(during.status).toBe(200);
      expect(sourceUp(during.page)).toMatchObject({ server: 1, connections: 0 });
      expect(during.page.value('rras_up')).toBe(0);
      expect(during.page.ids()).toEqual(before.ids());
      expect(exporter.log('native host process killed').at(-1)).toMatchObject({
        level: 'warn',
        reason: 'crash',
      });

      const after = await exporter.page();
      expect(sourceUp(after)).toEqual(ALL_UP);
      expect(Object.keys(after.ids())).toHaveLength(5);
      expect(restarts(after)).toEqual({ ...restartsBefore, crash: 1 });
      expect(exporter.fake.ledgers().at(-1)).toMatchObject({ live: 0, errors: [] });
    });
  });

  it('N4 asks once and reuses the verdict when access is denied, to one part and to all', async () => {
    const exporter = await start('connection\nautoports\n');
    await exporter.page();
    exporter.fake.script('connection\nautoports\ncall MprAdminConnectionEnum code=5\n');
    const onePart = await callsOf(exporter, async () => {
      for (let i = 0; i < 4; i += 1) {
        const page = await exporter.page();
        expect(sourceUp(page)).toEqual({ ...ALL_UP, connections: 0 });
        expect(page.value('rras_up')).toBe(0);
      }
    });
    expect(onePart.filter((fn) => fn.startsWith('MprAdminConnectionEnum'))).toHaveLength(1);
    expect(onePart.filter((fn) => fn === 'MprAdminPortEnum')).toHaveLength(4);

    exporter.fake.script('call * code=5\n');
    const all = await callsOf(exporter, async () => {
      for (let i = 0; i < 4; i += 1) {
        const page = await exporter.page();
        expect(sourceUp(page)).toEqual({ server: 0, connections: 0, ports: 0, interfaces: 0 });
        expect(page.value('rras_up')).toBe(0);
      }
    });
    expect(all).toEqual([
      'MprAdminIsServiceInitialized',
      'MprAdminDeregisterConnectionNotification',
      'MprAdminServerDisconnect',
    ]);
    // One line for the part, one for all of them.
    const denied = (fn: string) =>
      expect.stringContaining(`${fn} failed: ERROR_ACCESS_DENIED (5): `) as string;
    expect(warnings(exporter)).toEqual([
      { msg: 'source cannot be read', source: 'connections', problem: denied('MprAdminConnectionEnum') },
      {
        msg: 'source cannot be read',
        source: 'server,connections,ports,interfaces',
        problem: denied('MprAdminIsServiceInitialized'),
      },
    ]);
    expectCleanLedgers(exporter.fake);
  });

  /** The DLL takes effect for programs that start while `use` runs. */
  async function withoutExports(names: readonly string[], use: () => Promise<void>): Promise<void> {
    suite.installDll(names);
    try {
      await use();
    } finally {
      suite.installDll();
    }
  }

  it('reads connections by level 4 where the DLL lacks EnumEx, and says so when that is refused, too', async () => {
    await withoutExports(NO_ENUM_EX, async () => {
      const exporter = await start('connection\nautoports\ninterface\n');
      const byLevel4 = await exporter.page();
      expect(byLevel4.value('rras_up')).toBe(1);
      expect(Object.keys(byLevel4.ids())).toEqual(['user0']);
      const stale = 'call MprAdminServerGetInfo code=1722 once=stale\n';
      exporter.fake.script(`connection\nautoports idle=1\ninterface\n${REFUSE_LEVEL_4}${stale}`);
      for (let i = 0; i < 2; i += 1) {
        const refused = await exporter.page();
        expect(refused.value('rras_up')).toBe(0);
        expect(sourceUp(refused)).toEqual({ ...ALL_UP, connections: 0 });
        expect(refused.value('rras_ports', 'sstp', 'listening')).toBe(1);
      }
      expect(warnings(exporter)).toEqual([
        { msg: 'mprapi.dll lacks functions', missing: 'MprAdminConnectionEnumEx' },
        {
          msg: 'source cannot be read',
          source: 'connections',
          problem: expect.stringContaining('mprapi.dll has no MprAdminConnectionEnumEx') as string,
        },
      ]);
      expectCleanLedgers(exporter.fake);
    });
  });

  it('reads everything by older functions where the DLL lacks the newer ones', async () => {
    await withoutExports(NO_LEVEL_4, async () => {
      const exporter = await start('connection\nautoports\ninterface\n');
      const page = await exporter.page();
      expect(page.value('rras_up')).toBe(1);
      expect(sourceUp(page)).toEqual(ALL_UP);
      expect(page.value('rras_service_running')).toBe(1);
      expect(Object.values(page.connections('user'))[0]!.texts['tunnel']).toBe('sstp');
      expect(new Set(exporter.calls())).toEqual(
        new Set([
          'MprAdminServerConnect',
          'MprAdminRegisterConnectionNotification',
          'MprAdminServerGetInfo',
          'MprAdminConnectionEnumEx',
          'MprAdminPortEnum',
          'MprAdminInterfaceEnum',
          'MprAdminInterfaceGetInfo',
        ]),
      );
      const missing = 'MprAdminIsServiceInitialized,MprAdminConnectionEnum';
      expect(warnings(exporter)).toEqual([{ msg: 'mprapi.dll lacks functions', missing }]);
      expectCleanLedgers(exporter.fake);

      // Without the one that says so, a stopped service shows by its code.
      exporter.fake.script('call * code=1062\n');
      const stopped = await exporter.page();
      expect(stopped.value('rras_up')).toBe(1);
      expect(stopped.value('rras_service_running')).toBe(0);
      expect(stopped.ids()).toEqual({});
    });
  });

  it.each([
    ['the exporter is idle', 'connection\n'],
    ['a native call hangs', 'connection\ncall MprAdminPortEnum hang\n'],
  ])('leaves no child behind when it is killed while %s', async (_when, script) => {
    const exporter = await start(script);
    await exporter.program.waitFor(() => exporter.fake.calls('MprAdminPortEnum').length > 0);
    const [main, ...others] = exporter.pids('main.js');
    expect(others).toEqual([]);
    expect(exporter.pids('native-host.js')).toHaveLength(1);
    const killedAt = performance.now();
    process.kill(main!, 'SIGKILL');
    await exporter.program.exit;
    while (exporter.program.pids().length > 0 && performance.now() - killedAt < 5000) await sleep(20);
    expect(exporter.program.pids()).toEqual([]);
    expect(performance.now() - killedAt).toBeLessThan(2000);
  });
});
