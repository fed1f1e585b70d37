import { describe, expect, test } from 'vitest';
import { ConnectionHistory } from '../../src/collector/connection-history.ts';
import type { Tunnel } from '../../src/model/words.ts';
import { FakeClock } from '../doubles/fake-clock.ts';
import { SimulatedExporter } from '../metrics/simulated-exporter.ts';

const MINUTE_MS = 60_000;
const WALL = 1_795_219_200;
const of = (...tunnels: Tunnel[]) => tunnels.map((tunnel) => ({ tunnel }));

/** At the beginning of a minute of monotonic time, which is one of wall time too. */
const newClock = (): FakeClock => new FakeClock({ monotonicMs: 100 * MINUTE_MS, wallSeconds: WALL });

describe('the history of connections', () => {
  test('has one point a minute, which tells the last that was read in it', async () => {
    const clock = newClock();
    const history = new ConnectionHistory(clock);
    history.record(of('ikev2'));
    await clock.advance(59_999);
    history.record(of('ikev2', 'ikev2', 'sstp'));
    await clock.advance(1);
    history.record(of('sstp'));
    expect(history.read(['ikev2', 'sstp'])).toEqual({
      stepSeconds: 60,
      points: [
        { time: WALL, connections: { ikev2: 2, sstp: 1 } },
        { time: WALL + 60, connections: { ikev2: 0, sstp: 1 } },
      ],
    });
  });

  test('has no point for a minute in which nothing was read', async () => {
    const clock = newClock();
    const history = new ConnectionHistory(clock);
    history.record([]);
    await clock.advance(5 * MINUTE_MS);
    history.record([]);
    expect(history.read([]).points.map(({ time }) => time - WALL)).toEqual([0, 300]);
  });

  test('keeps an hour, however long it goes on, and forgets it when nothing is read any more', async () => {
    const clock = newClock();
    const history = new ConnectionHistory(clock);
    for (let minute = 0; minute < 500; minute += 1) {
      history.record(of(minute < 400 ? 'pptp' : 'ikev2'));
      await clock.advance(MINUTE_MS / 2);
      history.record(of(minute < 400 ? 'pptp' : 'ikev2'));
      await clock.advance(MINUTE_MS / 2 - 1);
      expect(history.read([]).points.length).toBeLessThanOrEqual(60);
      await clock.advance(1);
    }
    const { points } = history.read([]);
    expect(points).toHaveLength(59);
    expect(points.at(-1)?.time).toBe(WALL + 499 * 60);
    // What was there only before the hour is no more told of.
    expect(new Set(points.flatMap(({ connections }) => Object.keys(connections)))).toEqual(
      new Set(['ikev2']),
    );
    await clock.advance(61 * MINUTE_MS);
    expect(history.read([]).points).toEqual([]);
  });

  test('C3 is not torn by a system clock that is set: the points keep their distances and end now', async () => {
    const clock = newClock();
    const history = new ConnectionHistory(clock);
    for (const jump of [0, 86_400, -200_000]) {
      clock.jumpWall(jump);
      history.record(of('sstp'));
      await clock.advance(MINUTE_MS);
    }
    history.record([]);
    const now = clock.wallSeconds();
    expect(history.read([]).points.map(({ time }) => time - now)).toEqual([-180, -120, -60, 0]);
  });
});

describe('the poller', () => {
  test('records what it reads: by tunnel, with zeros for tunnels that have ports', async () => {
    const exporter = new SimulatedExporter();
    const { points } = await exporter.poller.collect(1000).then(() => exporter.poller.history());
    expect(points).toHaveLength(1);
    const { connections } = exporter.poller.snapshot();
    for (const [tunnel, count] of Object.entries(points[0]!.connections)) {
      expect(connections!.connections.filter((each) => each.tunnel === tunnel).length).toBe(count);
    }
    expect(Object.keys(points[0]!.connections)).toEqual(
      expect.arrayContaining([...exporter.poller.snapshot().portTunnels]),
    );
  });

  test('records zeros while the service is stopped, and nothing while it cannot be read', async () => {
    const exporter = new SimulatedExporter();
    const { clock, poller, simulator } = exporter;
    const totals = (): number[] =>
      poller.history().points.map(({ connections }) => Object.values(connections).reduce((a, b) => a + b, 0));
    await poller.collect(1000);
    const first = totals()[0]!;
    expect(first).toBeGreaterThan(0);
    simulator.state = 'stopped';
    await clock.advance(MINUTE_MS);
    await poller.collect(1000);
    expect(totals()).toEqual([first, 0]);
    simulator.state = 'denied';
    await clock.advance(MINUTE_MS);
    await poller.collect(1000);
    expect(totals()).toEqual([first, 0]);
  });
});
