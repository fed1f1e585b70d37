/**
 * The page in each state that a server can be in: golden files for the whole of it, updated by `vitest -u`, and the
 * promises of the contract's "States" one by one.
 */
import { spawnSync } from 'node:child_process';
import { describe, expect, test } from 'vitest';
import type { FaultOptions } from '../doubles/fault-api.ts';
import { withFault } from '../doubles/fault-api.ts';
import { CATALOGUE } from '../../src/metrics/catalogue.ts';
import { requireTool } from '../tools/require-tool.ts';
import { MAX_AGE_MS, SCRAPE_INTERVAL_MS, SimulatedExporter } from './simulated-exporter.ts';
import type { Page } from './page.ts';

const golden = (name: string): string => `../golden/${name}.txt`;
const ALL_UP = { server: 1, connections: 1, ports: 1, interfaces: 1 };
const ALL_DOWN = { server: 0, connections: 0, ports: 0, interfaces: 0 };

/** What is served when nothing good is known: these and the totals only. */
const WITHOUT_SNAPSHOT = [
  'rras_up',
  'rras_source_up',
  'rras_source_duration_seconds',
  'rras_snapshot_timestamp_seconds',
];
/** What is known for ever, once the server has been read. */
const TOTALS = CATALOGUE.map(({ name }) => name).filter((name) =>
  /^rras_(?:received|transmitted|errors|switchovers|session)/.test(name),
);

const sum = (values: Readonly<Record<string, number>> | undefined): number =>
  Object.values(values ?? {}).reduce((total, value) => total + value, 0);

/** Every call fails with this code. */
const failing = (code: number): FaultOptions => ({
  fault: { kind: 'code', code },
  at: 1,
  mode: 'persistent',
});
const SERVER_UNAVAILABLE = 1722;

const INTERFACES = ['Ethernet', 'Site-Berlin', 'Branch Zürich', 'Site-Madrid'];

/** Each state by the name of its golden file. */
const STATES = {
  async running() {
    return new SimulatedExporter().scrape();
  },
  async stopped() {
    const exporter = new SimulatedExporter();
    await exporter.scrape();
    exporter.simulator.state = 'stopped';
    return exporter.nextScrape();
  },
  async 'stopped-from-the-start'() {
    return new SimulatedExporter({ state: 'stopped' }).scrape();
  },
  async 'lan-only'() {
    return new SimulatedExporter({ state: 'lan_only' }).scrape();
  },
  async denied() {
    return new SimulatedExporter({ state: 'denied' }).scrape();
  },
  async 'too-old'() {
    const exporter = new SimulatedExporter();
    await exporter.scrape();
    exporter.simulator.state = 'denied';
    await exporter.clock.advance(MAX_AGE_MS + 1);
    return exporter.scrape();
  },
  async 'never-reached'() {
    const exporter = new SimulatedExporter({
      server: 'vpn.example.com',
      through: (api) => withFault(api, failing(SERVER_UNAVAILABLE)),
    });
    return exporter.scrape();
  },
} satisfies Record<string, () => Promise<Page>>;
type State = keyof typeof STATES;
const NAMES = Object.keys(STATES) as State[];

describe.each(NAMES)('%s', (name) => {
  test('N5 gives exactly the golden page', async () => {
    await expect((await STATES[name]()).text).toMatchFileSnapshot(golden(`page-${name}`));
  });

  test('gives the same page every time', async () => {
    expect((await STATES[name]()).text).toBe((await STATES[name]()).text);
  });

  test('H9 tells whether it is up, of each source too, and how old it is', async () => {
    const page = await STATES[name]();
    expect([0, 1]).toContain(page.value('rras_up'));
    expect(page.names).toEqual(expect.arrayContaining(WITHOUT_SNAPSHOT));
  });
});

requireTool('promtool')('promtool check metrics', (promtool) => {
  test.each(NAMES)('has nothing to say about the page of the state %s', async (name) => {
    const { text } = await STATES[name]();
    const { status, stdout, stderr } = spawnSync(promtool, ['check', 'metrics'], {
      input: text,
      encoding: 'utf8',
    });
    expect({ status, stdout, stderr }).toEqual({ status: 0, stdout: '', stderr: '' });
  });

  test('would have: it is not silent about a counter without _total', () => {
    const input = '# HELP a_things Things.\n# TYPE a_things counter\na_things 1\n';
    expect(spawnSync(promtool, ['check', 'metrics'], { input }).status).not.toBe(0);
  });
});

describe('a running server', () => {
  test('is up with all its sources, and as old as the clock says', async () => {
    const exporter = new SimulatedExporter();
    const page = await exporter.scrape();
    expect(page.value('rras_up')).toBe(1);
    expect(page.values('rras_source_up')).toEqual(ALL_UP);
    expect(page.value('rras_service_running')).toBe(1);
    expect(page.value('rras_server_lan_only')).toBe(0);
    expect(page.value('rras_snapshot_timestamp_seconds')).toBe(exporter.clock.wallSeconds());
    const uptimeSeconds = (3 * 24 + 4) * 3600;
    expect(page.value('rras_server_start_time_seconds')).toBe(exporter.clock.wallSeconds() - uptimeSeconds);
  });

  test('shows exactly the sessions that live, with their exact counts', async () => {
    const exporter = new SimulatedExporter();
    await exporter.scrape();
    const page = await exporter.nextScrape();
    const truth = exporter.simulator.liveSessions();
    expect(truth.length).toBeGreaterThan(5);
    expect(sum(page.values('rras_connections'))).toBe(truth.length);
    const shown = page.families.find(({ name }) => name === 'rras_connection_info')!.samples;
    expect(shown.map(({ labels }) => labels['user']).sort()).toEqual(truth.map(({ user }) => user).sort());
    for (const [name, read] of [
      ['received_bytes', 'receivedBytes'],
      ['transmitted_bytes', 'transmittedBytes'],
      ['received_frames', 'receivedFrames'],
      ['transmitted_frames', 'transmittedFrames'],
    ] as const) {
      const values = Object.values(page.values(`rras_connection_${name}_total`)!);
      expect(values.sort((a, b) => a - b)).toEqual(
        truth.map((session) => session[read]).sort((a, b) => a - b),
      );
    }
  });

  test('counts every port once, and as many in use as there are connections', async () => {
    const page = await new SimulatedExporter().scrape();
    const ports = page.values('rras_ports')!;
    // 128 of each tunnel and one for PPPoE.
    expect(sum(ports)).toBe(4 * 128 + 1);
    expect(sum(page.values('rras_ports_in_use'))).toBe(sum(page.values('rras_connections')));
  });

  test('shows the configured interfaces, and none of the clients', async () => {
    const page = await new SimulatedExporter().scrape();
    expect(Object.keys(page.values('rras_interface_up')!).sort()).toEqual([...INTERFACES].sort());
    expect(page.values('rras_interface_up')).toMatchObject({
      Ethernet: 1,
      'Site-Berlin': 1,
      'Site-Madrid': 0,
    });
    expect(page.values('rras_interface_persistent')).toEqual({
      'Site-Berlin': 1,
      'Branch Zürich': 0,
      'Site-Madrid': 1,
    });
  });

  test('keeps the label of a session from scrape to scrape', async () => {
    const exporter = new SimulatedExporter();
    const ids = (page: Page): string[] => Object.keys(page.values('rras_connection_dormant')!);
    const first = ids(await exporter.scrape());
    const second = ids(await exporter.nextScrape());
    expect(second.filter((id) => first.includes(id)).length).toBeGreaterThan(first.length / 2);
  });
});

describe('a server whose service is stopped', () => {
  test('N5 is up, runs no service, and has no connection and no port', async () => {
    const page = await STATES.stopped();
    expect(page.value('rras_up')).toBe(1);
    expect(page.values('rras_source_up')).toEqual(ALL_UP);
    expect(page.value('rras_service_running')).toBe(0);
    expect(page.value('rras_server_start_time_seconds')).toBeUndefined();
    const tunnels = ['ikev2', 'sstp', 'l2tp', 'pptp', 'pppoe'];
    expect(page.values('rras_connections')).toEqual(
      Object.fromEntries(
        tunnels.flatMap((tunnel) => [`${tunnel}/client`, `${tunnel}/site`]).map((k) => [k, 0]),
      ),
    );
    expect(page.values('rras_ports_in_use')).toEqual(Object.fromEntries(tunnels.map((each) => [each, 0])));
    expect(Object.keys(page.values('rras_ports')!).length).toBe(5 * 7);
    expect(sum(page.values('rras_ports'))).toBe(0);
    expect(page.value('rras_users')).toBe(0);
    expect(page.names.filter((name) => name.startsWith('rras_connection_'))).toEqual([]);
  });

  test('N5 shows the interfaces that are known as down, not as absent', async () => {
    const page = await STATES.stopped();
    expect(page.values('rras_interface_up')).toEqual(Object.fromEntries(INTERFACES.map((name) => [name, 0])));
    expect(sum(page.values('rras_interface_state'))).toBe(0);
    expect(Object.keys(page.values('rras_interface_info')!).length).toBe(INTERFACES.length);
  });

  test('N5 is fresh: the timestamp goes on', async () => {
    const exporter = new SimulatedExporter();
    await exporter.scrape();
    exporter.simulator.state = 'stopped';
    for (let scrapes = 0; scrapes < 10; scrapes += 1) {
      const page = await exporter.nextScrape();
      expect(page.value('rras_snapshot_timestamp_seconds')).toBe(exporter.clock.wallSeconds());
      expect(page.value('rras_up')).toBe(1);
    }
  });

  test('N5 is a state and no failure from the start, before anything is known of it', async () => {
    const page = await STATES['stopped-from-the-start']();
    expect(page.value('rras_up')).toBe(1);
    expect(page.value('rras_service_running')).toBe(0);
    expect(page.value('rras_users')).toBe(0);
    expect(page.names.filter((name) => /^rras_(?:connection|interface)_/.test(name))).toEqual([]);
  });

  test('N3 comes back with its sessions, its interfaces and a fresh page once the service runs', async () => {
    const exporter = new SimulatedExporter();
    await exporter.scrape();
    exporter.simulator.state = 'stopped';
    await exporter.nextScrape();
    exporter.simulator.state = 'running';
    const page = await exporter.nextScrape();
    expect(page.value('rras_service_running')).toBe(1);
    expect(sum(page.values('rras_connections'))).toBe(exporter.simulator.liveSessions().length);
    expect(page.values('rras_interface_up')).toMatchObject({ 'Site-Berlin': 1, Ethernet: 1 });
    // A stop of the service is no change of the interfaces.
    expect(page.values('rras_interface_state_changes_total')!['Ethernet']).toBe(0);
  });
});

describe('a LAN-only router', () => {
  test('is up without the sources connections and ports, and says what it is', async () => {
    const page = await STATES['lan-only']();
    expect(page.value('rras_up')).toBe(1);
    expect(page.value('rras_server_lan_only')).toBe(1);
    expect(page.value('rras_service_running')).toBe(1);
    expect(page.values('rras_source_up')).toEqual({ server: 1, interfaces: 1 });
  });

  test('has no connections and ports, not 0 of them, but its interfaces', async () => {
    const page = await STATES['lan-only']();
    const remote = /^rras_(?:connection|port|user|dormant|auth|quarantine)/;
    expect(page.names.filter((name) => remote.test(name))).toEqual([]);
    expect(page.values('rras_interface_up')).toMatchObject({ Ethernet: 1 });
  });

  test('stays so: scrape after scrape, and for ever', async () => {
    const exporter = new SimulatedExporter({ state: 'lan_only' });
    await exporter.scrape();
    for (let scrapes = 0; scrapes < 10; scrapes += 1) {
      const page = await exporter.nextScrape();
      expect(page.value('rras_up')).toBe(1);
      expect(page.values('rras_source_up')).toEqual({ server: 1, interfaces: 1 });
    }
    expect(exporter.log.filter(({ level }) => level === 'warn' || level === 'error')).toEqual([]);
  });
});

describe('a server that denies access', () => {
  test('N4 is down with all its sources, and shows nothing else', async () => {
    const page = await STATES.denied();
    expect(page.value('rras_up')).toBe(0);
    expect(page.values('rras_source_up')).toEqual(ALL_DOWN);
    expect(page.value('rras_snapshot_timestamp_seconds')).toBe(0);
    expect(page.names).toEqual(WITHOUT_SNAPSHOT);
  });

  test('N4 is asked again after 60 s and not before, and the log says so once', async () => {
    const exporter = new SimulatedExporter({ state: 'denied' });
    await exporter.scrape();
    const callsAfter = async (ms: number): Promise<number> => {
      const before = exporter.reports.length;
      await exporter.clock.advance(ms);
      await exporter.scrape();
      return exporter.reports.length - before;
    };
    expect(await callsAfter(15_000)).toBe(0);
    expect(await callsAfter(44_999)).toBe(0);
    expect(await callsAfter(1000)).toBe(1);
    const warnings = exporter.log.filter(({ fields }) => String(fields['source']).includes('server'));
    expect(warnings.map(({ level }) => level)).toEqual(['warn']);
    expect(String(warnings[0]!.fields['problem'])).toContain('ERROR_ACCESS_DENIED (5)');
  });

  test('N4 is up again with the first scrape after the verdict has run out', async () => {
    const exporter = new SimulatedExporter({ state: 'denied' });
    await exporter.scrape();
    exporter.simulator.state = 'running';
    expect((await exporter.nextScrape()).value('rras_up')).toBe(0);
    await exporter.clock.advance(60_000);
    const page = await exporter.scrape();
    expect(page.value('rras_up')).toBe(1);
    expect(sum(page.values('rras_connections'))).toBeGreaterThan(0);
  });
});

describe('a snapshot', () => {
  test('H9 is served as long as it is not older than the maximum age, with its own timestamp', async () => {
    const exporter = new SimulatedExporter();
    const first = await exporter.scrape();
    exporter.simulator.state = 'denied';
    const { connections } = exporter.poller.snapshot();
    for (let ageMs = SCRAPE_INTERVAL_MS; ageMs <= MAX_AGE_MS; ageMs += SCRAPE_INTERVAL_MS) {
      const page = await exporter.nextScrape();
      expect(page.value('rras_up')).toBe(0);
      expect(page.value('rras_snapshot_timestamp_seconds')).toBe(
        first.value('rras_snapshot_timestamp_seconds'),
      );
      expect(page.values('rras_connections')).toEqual(first.values('rras_connections'));
      expect(exporter.poller.snapshot().connections).toBe(connections);
    }
    await exporter.clock.advance(1);
    expect(exporter.render(exporter.poller.snapshot()).names).toEqual([...WITHOUT_SNAPSHOT, ...TOTALS]);
  });

  test('H9 that is too old leaves only what tells so', async () => {
    const page = await STATES['too-old']();
    expect(page.value('rras_up')).toBe(0);
    expect(page.names).toEqual([...WITHOUT_SNAPSHOT, ...TOTALS]);
    const timestamp = page.value('rras_snapshot_timestamp_seconds')!;
    expect(timestamp).toBe(new SimulatedExporter().clock.wallSeconds());
  });

  test('H9 is down when nobody polls any more, without a new poll', async () => {
    const exporter = new SimulatedExporter();
    await exporter.scrape();
    await exporter.clock.advance(MAX_AGE_MS);
    expect(exporter.poller.snapshot().up).toBe(true);
    await exporter.clock.advance(1);
    expect(exporter.poller.snapshot().up).toBe(false);
    expect(exporter.render(exporter.poller.snapshot()).value('rras_up')).toBe(0);
  });

  test('C3 keeps its age when the wall clock jumps by a day, forth or back', async () => {
    for (const jump of [86_400, -86_400]) {
      const exporter = new SimulatedExporter();
      await exporter.scrape();
      exporter.clock.jumpWall(jump);
      expect(exporter.poller.snapshot().up).toBe(true);
      const page = await exporter.nextScrape();
      expect(page.value('rras_up')).toBe(1);
      expect(page.value('rras_snapshot_timestamp_seconds')).toBe(exporter.clock.wallSeconds());
    }
  });

  test('H8 with one broken source is served without it, and with the others fresh', async () => {
    for (const [method, source] of [
      ['connectionEnum', 'connections'],
      ['portEnum', 'ports'],
      ['interfaceEnum', 'interfaces'],
    ] as const) {
      const exporter = new SimulatedExporter({
        through: (api) =>
          withFault(api, { fault: { kind: 'code', code: 8 }, at: 1, method, mode: 'persistent' }),
      });
      const page = await exporter.scrape();
      expect(page.value('rras_up')).toBe(0);
      expect(page.values('rras_source_up')).toEqual({ ...ALL_UP, [source]: 0 });
      expect(page.value('rras_service_running')).toBe(1);
      expect(page.names.includes('rras_connections')).toBe(source !== 'connections');
      expect(page.names.includes('rras_ports')).toBe(source !== 'ports');
      expect(page.names.includes('rras_interface_up')).toBe(source !== 'interfaces');
    }
  });
});

describe('a server that was never reached', () => {
  test('N7 is down with all its sources; nothing says that the service does not run', async () => {
    const page = await STATES['never-reached']();
    expect(page.value('rras_up')).toBe(0);
    expect(page.values('rras_source_up')).toEqual(ALL_DOWN);
    expect(page.value('rras_snapshot_timestamp_seconds')).toBe(0);
    expect(page.names).toEqual(WITHOUT_SNAPSHOT);
  });

  test('N7 is not ready before it was read', async () => {
    const exporter = new SimulatedExporter({ state: 'denied' });
    await exporter.scrape();
    expect(exporter.poller.ready).toBe(false);
    exporter.simulator.state = 'running';
    await exporter.clock.advance(61_000);
    await exporter.scrape();
    expect(exporter.poller.ready).toBe(true);
  });
});

describe('a source that is off', () => {
  test('is not on the page, and the others make up the whole', async () => {
    const page = await new SimulatedExporter({ enabled: ['server', 'connections'] }).scrape();
    expect(page.value('rras_up')).toBe(1);
    expect(page.values('rras_source_up')).toEqual({ server: 1, connections: 1 });
    expect(page.names.filter((name) => /^rras_(?:ports|interface)/.test(name))).toEqual([]);
    expect(sum(page.values('rras_connections'))).toBeGreaterThan(0);
  });
});
