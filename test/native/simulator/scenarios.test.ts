/** What each scenario promises to whoever chooses it. */
import { describe, expect, it } from 'vitest';
import { enumerate } from '../../../src/collector/enumerate.ts';
import { Poller } from '../../../src/collector/poller.ts';
import { SOURCES } from '../../../src/model/words.ts';
import { Host } from '../../../src/native/host.ts';
import { isScenarioName, SCENARIO_NAMES, SCENARIOS } from '../../../src/native/simulator/scenarios.ts';
import { createSimulator, type SimulatorOptions } from '../../../src/native/simulator/server.ts';
import { FakeClock } from '../../doubles/fake-clock.ts';
import { callPage, connect, readAll } from './records.ts';

function make(scenario: SimulatorOptions['scenario'], options: Partial<SimulatorOptions> = {}) {
  const clock = new FakeClock();
  return { clock, sim: createSimulator({ scenario, seed: 3, clock, ...options }) };
}

const MINUTE = 60_000;

const ignore = (): void => undefined;

it('have names that can be told from other words, and one line of help each', () => {
  expect(SCENARIO_NAMES).toEqual(['small', 'office', 'large', 'flapping', 'storm', 'crowded', 'fast']);
  expect(isScenarioName('office')).toBe(true);
  expect(isScenarioName('toString')).toBe(false);
  for (const name of SCENARIO_NAMES) expect(SCENARIOS[name].summary).toMatch(/^[^\n]{10,110}$/u);
});

it.each(SCENARIO_NAMES)(
  '%s has run longer than any of its sessions, and some have wrapped 32 bits',
  (name) => {
    const { sim, clock } = make(name);
    const sessions = sim.liveSessions();
    const booted = clock.monotonicMs() - SCENARIOS[name].uptimeMs;
    expect(sessions.every((s) => s.startMs > booted)).toBe(true);
    const fast = sessions.filter((s) => Math.max(s.receivedBytes, s.transmittedBytes) >= 2 ** 32);
    expect(fast.length).toBeGreaterThan(0);
  },
);

it.each(SCENARIO_NAMES)('%s moves more down to its clients than up, in frames of plausible size', (name) => {
  const { sim, clock } = make(name);
  const rows = sim.trafficBetween(clock.monotonicMs() - 10 * MINUTE, clock.monotonicMs());
  const sum = (field: 'receivedBytes' | 'transmittedBytes' | 'receivedFrames' | 'transmittedFrames') =>
    rows.filter((row) => row.role === 'client').reduce((total, row) => total + row[field], 0);
  expect(sum('transmittedBytes')).toBeGreaterThan(2 * sum('receivedBytes'));
  const frameSizes = [
    sum('receivedBytes') / sum('receivedFrames'),
    sum('transmittedBytes') / sum('transmittedFrames'),
  ];
  for (const size of frameSizes) {
    expect(size).toBeGreaterThan(80);
    expect(size).toBeLessThan(1400);
  }
});

describe('small', () => {
  it('has about a dozen users and one failing link', async () => {
    const { sim, clock } = make('small');
    for (let i = 0; i < 20; i++) {
      await clock.advance(7 * MINUTE);
      const clients = sim.liveSessions().filter((s) => s.role === 'client').length;
      expect(clients).toBeGreaterThanOrEqual(6);
      expect(clients).toBeLessThanOrEqual(12);
    }
    expect(sim.links().map((l) => [l.name, l.lastError])).toContainEqual(['Site-Madrid', 868]);
  });
});

describe('office', () => {
  it('keeps about 100 users online, with one coming or going every few seconds', async () => {
    const { sim, clock } = make('office');
    const from = clock.monotonicMs();
    for (let i = 0; i < 60; i++) {
      await clock.advance(MINUTE);
      const clients = sim.liveSessions().filter((s) => s.role === 'client').length;
      expect(clients).toBeGreaterThan(75);
      expect(clients).toBeLessThan(130);
    }
    const changes = sim
      .trafficBetween(from, clock.monotonicMs())
      .reduce((sum, row) => sum + row.sessionsStarted + row.sessionsEnded, 0);
    const secondsPerChange = 3600 / changes;
    expect(secondsPerChange).toBeGreaterThan(1);
    expect(secondsPerChange).toBeLessThan(10);
  });

  it('has a link that goes down and up within minutes, and others that fail for a reason', async () => {
    const { sim, clock } = make('office');
    const states = new Set<string>();
    for (let i = 0; i < 600; i++) {
      await clock.advance(1000);
      const paris = sim.links().find((link) => link.name === 'Site-Paris')!;
      states.add(`${paris.state} ${paris.reasons} ${paris.lastError}`);
    }
    expect(states).toEqual(new Set(['connected 0 0', 'unreachable 4 809', 'connecting 0 809']));
    const links = new Map(sim.links().map((link) => [link.name, link]));
    expect(links.get('Site-Berlin')).toMatchObject({ state: 'connected', enabled: true });
    expect(links.get('Site-Oslo')).toMatchObject({ state: 'unreachable', enabled: false, reasons: 2 });
    expect(links.get('Site-Madrid')!.lastError).toBe(868);
    expect(links.get('Branch Łódź')!.lastError).toBe(691);
  });

  it('has users with and without a domain, names beyond ASCII, IPv6 and every tunnel', async () => {
    const { sim, clock } = make('office');
    const handle = await connect(sim);
    const users = new Set<string>();
    const domains = new Set<string>();
    const remotes = new Set<string>();
    const tunnels = new Set<string>();
    for (let i = 0; i < 30; i++) {
      await clock.advance(10 * MINUTE);
      for (const record of await readAll(sim, handle, 'level4')) {
        users.add(record.text('wszUserName'));
        domains.add(record.text('wszLogonDomain'));
        remotes.add(record.text('wszRemoteEndpointAddress'));
      }
      for (const session of sim.liveSessions()) tunnels.add(session.tunnel);
    }
    const some = (set: Set<string>, pattern: RegExp) => [...set].some((text) => pattern.test(text));
    expect(some(users, /^CORP\\/u)).toBe(true);
    expect(some(users, /@corp\.example\.com$/u)).toBe(true);
    expect(some(users, /[ëüø]/u)).toBe(true);
    expect(some(users, /山田/u)).toBe(true);
    expect(domains.has('') && domains.has('CORP')).toBe(true);
    expect(tunnels).toEqual(new Set(['ikev2', 'sstp', 'l2tp', 'pptp']));
    expect(some(remotes, /^2001:db8:/u)).toBe(true);
    for (const address of remotes) {
      expect(address).toMatch(/^(?:203\.0\.113|198\.51\.100|192\.0\.2)\.\d+$|^2001:db8:/u);
    }
  });
});

describe('large', () => {
  it('has exactly 50,000 connections at any time, and its sessions follow each other at once', async () => {
    const { sim, clock } = make('large');
    const handle = await connect(sim);
    const from = clock.monotonicMs();
    for (const step of [0, 1, 999, MINUTE, 60 * MINUTE]) {
      await clock.advance(step);
      const page = await callPage(sim, handle, 'level4');
      expect(page).toMatchObject({ code: 0, entriesRead: 50_000 });
      const words = new Uint32Array(page.buffer!.view(page.entriesRead * 1696).slice().buffer);
      page.buffer!.free();
      const handles = new Set<number>();
      for (let i = 0; i < 50_000; i++) handles.add(words[(i * 1696 + 1672) / 4]!);
      expect(handles.size).toBe(50_000);
    }
    const rows = sim.trafficBetween(from, clock.monotonicMs());
    const started = rows.reduce((sum, row) => sum + row.sessionsStarted, 0);
    expect(started).toBeGreaterThan(10_000);
    expect(rows.reduce((sum, row) => sum + row.sessionsEnded, 0)).toBe(started);
  });

  it.each([0, 1, 10, 1000])('has exactly %d connections when asked for so many', async (connections) => {
    const { sim, clock } = make('large', { connections });
    const handle = await connect(sim);
    for (let i = 0; i < 5; i++) {
      expect((await readAll(sim, handle, 'level4')).length).toBe(connections);
      await clock.advance(37 * MINUTE);
    }
  });

  it('refuses a number of connections that is none', () => {
    expect(() => make('large', { connections: -1 })).toThrow(RangeError);
    expect(() => make('large', { connections: 0.5 })).toThrow(RangeError);
  });
});

describe('storm', () => {
  it('comes in waves of thousands of sessions of less than a minute', async () => {
    const { sim, clock } = make('storm');
    const counts: number[] = [];
    for (let i = 0; i < 90; i++) {
      await clock.advance(1000);
      const clients = sim.liveSessions().filter((s) => s.role === 'client');
      counts.push(clients.length);
      expect(clients.every((s) => s.endMs - s.startMs < 60_000)).toBe(true);
    }
    expect(Math.max(...counts)).toBeGreaterThan(1000);
    expect(Math.min(...counts)).toBeLessThan(Math.max(...counts) / 10);
    const down = sim.links().filter((link) => link.state !== 'connected');
    expect(down.length).toBeGreaterThan(sim.links().length / 2);
  });
});

describe('flapping', () => {
  it('lets each flapping link change its state several times in a quarter of an hour', async () => {
    const { sim, clock } = make('flapping');
    const changes = new Map<string, number>();
    let before = new Map<string, string>();
    for (let i = 0; i < 900; i++) {
      await clock.advance(1000);
      const now = new Map(sim.links().map((link) => [link.name, link.state as string]));
      for (const [name, state] of now) {
        if ((before.get(name) ?? state) !== state) changes.set(name, (changes.get(name) ?? 0) + 1);
      }
      before = now;
    }
    for (const name of before.keys()) {
      if (name.startsWith('Flap')) expect(changes.get(name)).toBeGreaterThan(5);
      else expect(changes.get(name) ?? 0).toBe(0);
    }
  });
});

describe('crowded', () => {
  it('has no IKEv2 port free at any time, and ports of each other tunnel', async () => {
    const { sim, clock } = make('crowded');
    const handle = await connect(sim);
    for (const step of [0, 1, MINUTE, 7 * MINUTE, 60 * MINUTE, 600 * MINUTE]) {
      await clock.advance(step);
      const free = new Map<string, number>();
      for (const port of await readAll(sim, handle, 'ports')) {
        const device = port.text('wszDeviceName');
        const isFree = port.u64('hConnection') === 0n ? 1 : 0;
        free.set(device, (free.get(device) ?? 0) + isFree);
      }
      expect(free.get('WAN Miniport (IKEv2)')).toBe(0);
      for (const tunnel of ['SSTP', 'L2TP', 'PPTP']) {
        expect(free.get(`WAN Miniport (${tunnel})`)).toBeGreaterThan(0);
      }
    }
  });
});

describe('fast', () => {
  it('has bursts of more than 10 Gbit/s, and knows EnumEx only', async () => {
    const { sim, clock } = make('fast');
    const handle = await connect(sim);
    expect(await callPage(sim, handle, 'level4')).toMatchObject({ code: 124 });
    expect((await callPage(sim, handle, 'ex')).code).toBe(0);
    const speeds: number[] = [];
    let before = new Map(sim.liveSessions().map((s) => [s.guid, s.transmittedBytes]));
    for (let second = 0; second < 600; second++) {
      await clock.advance(1000);
      const now = new Map(sim.liveSessions().map((s) => [s.guid, s.transmittedBytes]));
      for (const [guid, bytes] of now) speeds.push(bytes - (before.get(guid) ?? bytes));
      before = now;
    }
    expect(Math.max(...speeds)).toBeGreaterThan(10e9 / 8);
  });

  it.each([
    [15, (ambiguous: number) => ambiguous > 0],
    [1, (ambiguous: number) => ambiguous === 0],
  ])('C2 leaves it open every %d s how often a counter wrapped, or does not', async (seconds, isRight) => {
    const { sim, clock } = make('fast');
    let wraps = 0;
    let ambiguous = 0;
    const poller = new Poller({
      reader: new Host({ api: sim, enumerate, clock, server: null }),
      clock,
      logger: { debug: ignore, info: ignore, warn: ignore, error: ignore },
      enabled: new Set(SOURCES),
      minIntervalMs: 0,
      maxAgeMs: MINUTE,
      userLimit: 0,
      onRead: ignore,
      onWraps: (more, unclear) => {
        wraps += more;
        ambiguous += unclear;
      },
    });
    for (let elapsed = 0; elapsed <= 120; elapsed += seconds) {
      await poller.collect(1000);
      await clock.advance(seconds * 1000);
    }
    expect(wraps).toBeGreaterThan(0);
    expect(ambiguous).toSatisfy(isRight);
  });
});
