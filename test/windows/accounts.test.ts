/** Counters that the C side lets wrap and clears, and changes that it tells of: the accounts of the program under Wine. */
import { afterAll, afterEach, beforeAll, expect, it, vi } from 'vitest';
import { type MetricsPage, WindowsExporter } from './exporter.ts';
import { WineSuite, describeUnderWine, scriptLine } from './wine.ts';

vi.setConfig({ testTimeout: 60_000 });

const TWO_32 = 2 ** 32;
const REFUSE_LEVEL_4 = 'call MprAdminConnectionEnum level=4 code=124\n';

describeUnderWine('accounts on Windows', () => {
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

  async function start(script: string, flags: readonly string[] = []): Promise<WindowsExporter> {
    const exporter = await WindowsExporter.start(suite, suite.fake(script), flags);
    running.push(exporter);
    return exporter;
  }

  const startedAt = Math.floor(Date.now() / 1000) - 3600;
  /** A session of one IKEv2 client whose counters have 32 bits, whichever call tells them. */
  const session = (
    received: number,
    receivedFrames: number,
    transmitted: number,
    transmittedFrames: number,
  ): string =>
    scriptLine('connection', {
      tunnel: 'ikev2',
      startedAt,
      wszUserName: 'anna',
      ullBytesRcved: received,
      dwFramesRcved: receivedFrames,
      ullBytesXmited: transmitted,
      dwFramesXmited: transmittedFrames,
    });
  const numbers = (page: MetricsPage) => {
    const [connection] = Object.values(page.connections('user'));
    return {
      connection: [
        connection!.numbers['received_bytes_total'],
        connection!.numbers['transmitted_bytes_total'],
      ],
      totals: [
        page.value('rras_received_bytes_total', 'ikev2', 'client'),
        page.value('rras_transmitted_bytes_total', 'ikev2', 'client'),
      ],
      frames: page.value('rras_received_frames_total', 'ikev2', 'client'),
      wraps: page.value('rras_exporter_wraps_total'),
      ambiguous: page.value('rras_exporter_ambiguous_deltas_total'),
    };
  };

  it.each([
    ['EnumEx', REFUSE_LEVEL_4],
    ['level 4 that carries 32 bits', ''],
  ])('C1 counts exactly over a wrap and over ClearStats, by %s', async (_api, rules) => {
    const exporter = await start(`${session(TWO_32 - 1000, 90_000, 5_000, 70)}autoports\n${rules}`);
    expect(numbers(await exporter.page())).toEqual({
      connection: [TWO_32 - 1000, 5_000],
      totals: [0, 0],
      frames: 0,
      wraps: 0,
      ambiguous: 0,
    });

    exporter.fake.script(`${session(500, 90_010, 6_000, 80)}autoports\n${rules}`);
    expect(numbers(await exporter.page())).toEqual({
      connection: [TWO_32 + 500, 6_000],
      totals: [1_500, 1_000],
      frames: 10,
      wraps: 1,
      ambiguous: 0,
    });

    // Cleared by somebody: all counters begin anew, and nothing is counted twice.
    exporter.fake.script(`${session(300, 3, 200, 2)}autoports\n${rules}`);
    expect(numbers(await exporter.page())).toEqual({
      connection: [TWO_32 + 800, 6_200],
      totals: [1_800, 1_200],
      frames: 13,
      wraps: 1,
      ambiguous: 0,
    });

    // Ended: its series go, its traffic stays.
    exporter.fake.script(`autoports idle=1\n${rules}`);
    const page = await exporter.page();
    expect(page.ids()).toEqual({});
    expect(page.value('rras_received_bytes_total', 'ikev2', 'client')).toBe(1_800);
    expect(page.value('rras_sessions_ended_total', 'ikev2', 'client')).toBe(1);
    expect(exporter.fake.ledgers().map(({ live, errors }) => ({ live, errors }))).toEqual([
      { live: 0, errors: [] },
    ]);
  });

  it('polls by itself when the server tells of a change, and asks to be told again after a reconnect', async () => {
    const exporter = await start('connection startedAt=1790000000\n', ['--collector.min-interval=50s']);
    await exporter.page();
    expect(exporter.fake.calls('MprAdminRegisterConnectionNotification')).toHaveLength(1);
    const startedOf = async (): Promise<number> =>
      Object.values((await exporter.page()).values('rras_sessions_started_total')).reduce(
        (sum, n) => sum + n,
        0,
      );
    expect(await startedOf()).toBe(0);

    // Scrapes within the minimal interval do not poll: what they show, the notification brought.
    exporter.fake.script('notify\nconnection startedAt=1790000000\nconnection startedAt=1790000000\n');
    await vi.waitFor(async () => expect(await startedOf()).toBe(1), { timeout: 10_000, interval: 200 });

    exporter.fake.script(
      'notify\nconnection startedAt=1790000000 count=3\ncall MprAdminServerGetInfo code=1722 once=stale\n',
    );
    await vi.waitFor(async () => expect(await startedOf()).toBe(2), { timeout: 10_000, interval: 200 });
    const calls = exporter.calls();
    expect(calls.filter((fn) => fn === 'MprAdminRegisterConnectionNotification')).toHaveLength(2);
    expect(calls.filter((fn) => fn === 'MprAdminDeregisterConnectionNotification')).toHaveLength(1);
    exporter.fake.script('notify\nconnection startedAt=1790000000 count=4\n');
    await vi.waitFor(async () => expect(await startedOf()).toBe(3), { timeout: 10_000, interval: 200 });
  });
});
