/** The very program (dist/main.js) in Windows' Node.js under Wine, against the fake DLL: its pages, its log, its processes. */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { AUTHS, COMPRESSIONS, ENCRYPTIONS } from '../../src/model/words.ts';
import { type MetricsPage, type Scrape, WindowsExporter } from './exporter.ts';
import { type Api, define } from './sessions.ts';
import { type FakeMprapi, WineSuite, describeUnderWine, scriptLine } from './wine.ts';

const nowSeconds = (): number => Date.now() / 1000;

describeUnderWine('the exporter on Windows', () => {
  let suite: WineSuite;
  let running: WindowsExporter[] = [];
  beforeAll(async () => {
    suite = await WineSuite.open();
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
  const anomalies = (page: MetricsPage) => page.values('rras_exporter_enumeration_anomalies_total');
  const restarts = (page: MetricsPage) => page.values('rras_exporter_host_restarts_total');
  /** What a scrape adds to the calls of native functions. */
  async function callsOf(exporter: WindowsExporter, scrape: () => Promise<unknown>): Promise<string[]> {
    const before = exporter.calls().length;
    await scrape();
    return exporter.calls().slice(before);
  }

  const REFUSE_LEVEL_4 = 'call MprAdminConnectionEnum level=4 code=124\n';

  it.each<[Api, string, string]>([
    ['ex', 'MprAdminConnectionEnumEx', REFUSE_LEVEL_4],
    ['level4', 'MprAdminConnectionEnum', ''],
  ])(
    'E5 shows exactly the connections that the C side defined, field by field, in pages of three: %s',
    async (api, fn, rules) => {
      const defined = define(api, nowSeconds());
      const script = defined.script + rules;
      const exporter = await start(`${script}call * page=3\n`);
      const page = await exporter.page();

      const seen = page.connections('tunnel_address');
      expect(Object.keys(seen).sort()).toEqual(Object.keys(defined.connections).sort());
      for (const [key, { id, texts, numbers }] of Object.entries(seen)) {
        const { start_time_seconds: startTime, ...others } = numbers;
        expect({ texts, numbers: others }).toEqual(defined.connections[key]);
        if (api === 'level4') expect(startTime).toBe(defined.startTimes[key]);
        // Whole seconds since the connect, and the clock has gone on since the call.
        else expect([0, 1, 2]).toContain(startTime! - defined.startTimes[key]!);
        expect(id).toMatch(/^[0-9a-f]{16}$/);
      }
      expect(new Set(Object.values(seen).map(({ id }) => id)).size).toBe(22);
      const connected = Object.entries(page.values('rras_connections')).filter(([, count]) => count > 0);
      expect(Object.fromEntries(connected)).toEqual(defined.byTunnelAndRole);
      expect(page.values('rras_auth_connections')).toEqual(defined.byAuth);
      expect(page.values('rras_quarantine_connections')).toEqual({
        quarantine: 1,
        probation: 1,
        not_capable: 2,
      });
      expect(page.value('rras_users')).toBe(defined.distinctUsers);
      expect(page.values('rras_ports_in_use')).toEqual({ ikev2: 4, sstp: 3, l2tp: 8, pptp: 4, pppoe: 2 });
      expect(page.value('rras_ports', 'l2tp', 'listening')).toBe(1);
      expect(page.value('rras_up')).toBe(1);
      expect(anomalies(page)).toEqual({});

      const resumed = exporter.fake.calls(fn).filter(({ code }) => code !== '124');
      expect(resumed.slice(0, 8).map(({ resumeIn, code }) => [resumeIn, code])).toEqual([
        ...[0, 3, 6, 9, 12, 15, 18].map((at) => [String(at), '234']),
        ['21', '0'],
      ]);
      expect(page.value('rras_exporter_enumeration_pages_total', 'connections')).toBe(resumed.length);
      // Level 4 is asked for once, then EnumEx; EnumEx is not asked where level 4 answers.
      expect(exporter.calls().filter((call) => call === 'MprAdminConnectionEnum')).toHaveLength(
        api === 'ex' ? 1 : resumed.length,
      );
      expectCleanLedgers(exporter.fake);

      // The third page fails, first without and then with a buffer: what came before is not to be used.
      for (const failure of ['code=8', 'result=8']) {
        exporter.fake.script(`${script}call * page=3\ncall ${fn} nth=3 ${failure}\n`);
        const partial = await exporter.page();
        expect(sourceUp(partial)).toEqual({ ...ALL_UP, connections: 0 });
        expect(partial.value('rras_up')).toBe(0);
        expect(Object.keys(partial.connections('tunnel_address'))).toHaveLength(22);
        expectCleanLedgers(exporter.fake);
      }
      exporter.fake.script(`${script}call * page=3\n`);
      const after = await exporter.page();
      expect(after.value('rras_up')).toBe(1);
      expect(after.value('rras_exporter_native_failures_total', fn, '8')).toBe(2);
      expect(after.connections('tunnel_address')['10.20.30.5']).toEqual(seen['10.20.30.5']);
      expectCleanLedgers(exporter.fake);
    },
  );

  it('reads every auth, encryption and compression that has a label', () => {
    const all = (label: string) =>
      new Set(Object.values(define('level4', nowSeconds()).connections).map(({ texts }) => texts[label]));
    expect([...all('auth')].sort()).toEqual([...AUTHS].sort());
    expect([...all('encryption')].sort()).toEqual([...ENCRYPTIONS].sort());
    expect([...all('compression')].sort()).toEqual([...COMPRESSIONS].sort());
  });

  it('E8 falls back to EnumEx, once and for good, when level 4 answers in another layout', async () => {
    const connection = (n: number, more = {}): string =>
      scriptLine('connection', { wszUserName: `user${n}`, ullBytesRcved: 5_000_000_000 + n, ...more });
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
    const exporter = await start(three);
    const received = (page: MetricsPage) =>
      Object.values(page.connections('user')).map(({ numbers }) => numbers['received_bytes_total']);
    expect(received(await exporter.page())).toEqual([5_000_000_000, 5_000_000_001, 5_000_000_002]);

    let fallbacks = 0;
    for (const [name, script] of Object.entries(variants)) {
      // A stale handle makes the host connect anew, and try level 4 again.
      exporter.fake.script(`${script}call MprAdminServerGetInfo code=1722 once=${name}\n`);
      for (const calls of [
        ['MprAdminConnectionEnum', 'MprAdminConnectionEnumEx'],
        ['MprAdminConnectionEnumEx'],
      ]) {
        const called = await callsOf(exporter, async () => {
          const page = await exporter.page();
          expect(page.value('rras_up')).toBe(1);
          expect(received(page)).toEqual([705_032_704, 705_032_705, 705_032_706]);
        });
        expect(called.filter((fn) => fn.startsWith('MprAdminConnectionEnum'))).toEqual(calls);
      }
      fallbacks += 1;
      expect(anomalies(await exporter.page())).toEqual({ 'connections/bad_layout': fallbacks });
    }
    expect(restarts(await exporter.page())).toEqual({ timeout: 0, crash: 0, protocol: 0 });
    expectCleanLedgers(exporter.fake);
  });

  it('N1 answers in time while a native call hangs, kills the child at its deadline, and reads again', async () => {
    const connections = 'connection count=3\nautoports idle=1\n';
    const exporter = await start(connections, ['--collector.timeout=3s']);
    const before = await exporter.page();
    expect(before.value('rras_up')).toBe(1);
    const [hostPid] = exporter.pids('native-host.js');
    exporter.fake.script(`connection count=5\ncall MprAdminPortEnum hang once=hang\n`);

    const hungAt = performance.now();
    const ended = exporter.program
      .waitFor(() => !exporter.program.pids().includes(hostPid!))
      .then(() => performance.now() - hungAt);
    const scrapes: Scrape[] = [];
    while (performance.now() - hungAt < 2200) scrapes.push(await exporter.scrape('0.5'));
    // Half a second less the margin of a tenth.
    expect(Math.max(...scrapes.map(({ ms }) => ms))).toBeLessThan(450 + 100);
    expect(Math.min(...scrapes.map(({ ms }) => ms))).toBeGreaterThan(440);
    expect(scrapes.length).toBeGreaterThanOrEqual(4);
    for (const { status, page } of scrapes) {
      expect(status).toBe(200);
      expect(page.timestamp).toBe(before.timestamp);
      expect(page.ids()).toEqual(before.ids());
    }
    const killedAfter = await ended;
    expect(killedAfter).toBeGreaterThan(2900);
    expect(killedAfter).toBeLessThan(3600);
    expect(exporter.log('native host process killed')).toMatchObject([{ level: 'warn', reason: 'timeout' }]);

    const after = await exporter.page();
    expect(after.value('rras_up')).toBe(1);
    expect(after.timestamp).toBeGreaterThan(before.timestamp);
    expect(Object.keys(after.ids())).toHaveLength(5);
    expect(restarts(after)).toEqual({ timeout: 1, crash: 0, protocol: 0 });
    // The child that was killed left what it held; the new one owes nothing.
    expect(exporter.fake.ledgers().at(-1)).toMatchObject({ live: 0, errors: [] });
  });

  it('N2 survives a crash in the DLL: each scrape is answered, and the next enumeration works', async () => {
    const exporter = await start('connection count=3\n');
    const before = await exporter.page();
    exporter.fake.script('connection count=5\ncall MprAdminConnectionEnum crash once=crash\n');

    const during = await exporter.scrape();
    expect(during.status).toBe(200);
    expect(sourceUp(during.page)).toEqual({ server: 1, connections: 0, ports: 0, interfaces: 0 });
    expect(during.page.value('rras_up')).toBe(0);
    expect(during.page.ids()).toEqual(before.ids());
    expect(exporter.log('native host process killed')).toMatchObject([{ level: 'warn', reason: 'crash' }]);

    const after = await exporter.page();
    expect(sourceUp(after)).toEqual(ALL_UP);
    expect(Object.keys(after.ids())).toHaveLength(5);
    expect(restarts(after)).toEqual({ timeout: 0, crash: 1, protocol: 0 });
    expect(exporter.fake.calls('attach')).toHaveLength(2);
    expect(exporter.fake.ledgers().at(-1)).toMatchObject({ live: 0, errors: [] });
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
    expect(all).toEqual(['MprAdminIsServiceInitialized', 'MprAdminServerDisconnect']);
    const problems = exporter.log('source cannot be read');
    console.log(JSON.stringify(problems, null, 1));
    expect(problems).toHaveLength(2);
    expectCleanLedgers(exporter.fake);
  });

  it('N5 shows a service that stops and starts as a state, and new sessions on old handles as new ones', async () => {
    const now = Math.floor(nowSeconds());
    const session = (handle: number, user: string, guid: string, startedAt: number): string =>
      scriptLine('connection', { hConnection: handle, wszUserName: user, guid: guid.repeat(32), startedAt });
    const ports = 'autoports idle=2\ninterface wszInterfaceName=Branch\n';
    const exporter = await start(
      session(1, 'anna', '1', now - 900) +
        session(2, 'bert', '0', now - 800) +
        session(3, 'carl', '3', now - 700) +
        ports,
    );
    const first = await exporter.page();
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
    const session = (handle: number, user: string, guid: string, startedAt: number): string =>
      scriptLine('connection', { hConnection: handle, wszUserName: user, guid: guid.repeat(32), startedAt });
    const before = session(1, 'anna', '1', now - 900) + session(2, 'bert', '0', now - 800);
    const exporter = await start(before);
    const byLevel4 = (await exporter.page()).ids();
    exporter.fake.script(`${before}${REFUSE_LEVEL_4}call MprAdminServerGetInfo code=1722 once=stale\n`);
    expect((await exporter.page()).ids()).toEqual(byLevel4);
    expect(exporter.fake.calls('MprAdminConnectionEnumEx')).toHaveLength(1);
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
    const exporter = await start('server fLanOnlyMode=1\nconnection\nautoports\ninterface dwIfType=3\n');
    const page = await exporter.page();
    expect(sourceUp(page)).toEqual({ server: 1, interfaces: 1 });
    expect(page.value('rras_up')).toBe(1);
    expect(page.value('rras_server_lan_only')).toBe(1);
    expect(page.value('rras_service_running')).toBe(1);
    expect(page.values('rras_interface_info')).toEqual({ 'Site 0/dedicated': 1 });
    const families = page.families
      .map(({ name }) => name)
      .filter((name) => /^rras_(conn|port|users)/.test(name));
    expect(families).toEqual([]);
    expect(exporter.log().filter(({ level }) => level !== 'info')).toEqual([]);
  });

  it('N3 connects anew at once when a handle has become stale, and shows fresh data in the same scrape', async () => {
    const exporter = await start('connection\n');
    const before = await exporter.page();
    exporter.fake.script('connection count=2\ncall MprAdminConnectionEnum code=1722 once=stale\n');
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
      'MprAdminServerDisconnect',
      'MprAdminServerConnect',
      'MprAdminConnectionEnum',
      'MprAdminPortEnum',
      'MprAdminInterfaceEnum',
    ]);
    const handles = exporter.fake.calls().map(({ fn, handle }) => [fn, handle] as const);
    const [old, fresh] = handles.filter(([fn]) => fn === 'MprAdminServerConnect').map(([, handle]) => handle);
    expect(fresh).not.toBe(old);
    // Nothing was called with the old one after its end: the fake counts that as an error.
    expectCleanLedgers(exporter.fake);
    expect(exporter.log('source cannot be read')).toEqual([]);
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
