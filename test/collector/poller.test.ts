/** Polls: who shares one, who waits how long, what is served meanwhile and after a failure, and what is logged. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { enumerate } from '../../src/collector/enumerate.ts';
import type { PollerOptions } from '../../src/collector/poller.ts';
import { DENIED_FOR_MS, Poller } from '../../src/collector/poller.ts';
import type { Clock } from '../../src/model/clock.ts';
import type { FrameOf, ReadOutcome, SourceReader } from '../../src/model/frames.ts';
import type { Logger } from '../../src/model/logger.ts';
import type { RrasApi } from '../../src/model/rras-api.ts';
import type { Snapshot } from '../../src/model/snapshot.ts';
import type { Source } from '../../src/model/words.ts';
import { SOURCES } from '../../src/model/words.ts';
import { Host } from '../../src/native/host.ts';
import { createSimulator } from '../../src/native/simulator/server.ts';
import { FakeClock, settle } from '../doubles/fake-clock.ts';
import { StubServer } from '../native/stub-server.ts';
import { connectionsFrame, failed, interfacesFrame, ok, portsFrame, REPORT, serverFrame } from './frames.ts';

const MAX_AGE_MS = 60_000;
const WAIT_MS = 9_500;
const INTERVAL_MS = 15_000;

/** A reader that answers what it is told to; unless told otherwise, soundly and at once. */
class ReaderDouble implements SourceReader {
  readonly reads: Source[] = [];
  resets = 0;
  inFlight = 0;
  maxInFlight = 0;
  #sent = false;
  answers: Partial<Record<Source, () => ReadOutcome | Promise<ReadOutcome>>> = {};

  async read<S extends Source>(source: S): Promise<ReadOutcome<FrameOf<S>>> {
    this.reads.push(source);
    this.inFlight += 1;
    this.maxInFlight = Math.max(this.maxInFlight, this.inFlight);
    try {
      const outcome = await (this.answers[source] ?? (() => this.sound(source)))();
      return outcome as ReadOutcome<FrameOf<S>>;
    } finally {
      this.inFlight -= 1;
    }
  }

  reset(): void {
    this.resets += 1;
    this.#sent = false;
  }

  sound(source: Source): ReadOutcome {
    switch (source) {
      case 'server':
        return ok(serverFrame());
      case 'connections': {
        const identity = this.#sent ? {} : { identity: { guid: 'ab'.repeat(16) } };
        this.#sent = true;
        return ok(connectionsFrame([{ slot: 0, duration: 100, ...identity }]));
      }
      case 'ports':
        return ok(portsFrame([{ tunnel: 'ikev2', slot: 0 }, { tunnel: 'ikev2' }, { tunnel: 'sstp' }]));
      case 'interfaces':
        return ok(interfacesFrame({ name: 'Site-Berlin' }));
    }
  }
}

function bench(options: Partial<PollerOptions> = {}) {
  const clock = new FakeClock();
  const reader = new ReaderDouble();
  const lines: string[] = [];
  const write =
    (level: string) =>
    (message: string, fields: Readonly<Record<string, unknown>> = {}): void =>
      void lines.push(`${level} ${message} ${JSON.stringify(fields)}`);
  const logger: Logger = {
    debug: write('debug'),
    info: write('info'),
    warn: write('warn'),
    error: write('error'),
  };
  const told: Source[] = [];
  const poller = new Poller({
    reader,
    clock,
    logger,
    enabled: new Set(SOURCES),
    minIntervalMs: 0,
    maxAgeMs: MAX_AGE_MS,
    userLimit: 0,
    onRead: (source) => void told.push(source),
    onWraps: () => undefined,
    ...options,
  });
  return { clock, reader, lines, told, poller, logger };
}

/** A poller over a host over an API, as the composition root wires them without a child process. */
function overApi(make: (clock: FakeClock) => RrasApi, options: Partial<PollerOptions> = {}) {
  const clock = new FakeClock();
  const host = new Host({ api: make(clock), enumerate, clock, server: null });
  const { lines, logger } = bench();
  const poller = new Poller({
    reader: host,
    clock,
    logger,
    enabled: new Set(SOURCES),
    minIntervalMs: 0,
    maxAgeMs: MAX_AGE_MS,
    userLimit: 0,
    onRead: () => undefined,
    onWraps: () => undefined,
    ...options,
  });
  return { clock, host, poller, lines };
}

const ups = (snapshot: Snapshot): Partial<Record<Source, boolean | undefined>> =>
  Object.fromEntries(Object.entries(snapshot.sources).map(([source, { up }]) => [source, up]));
const ALL_UP = { server: true, connections: true, ports: true, interfaces: true };
const ALL_DOWN = { server: false, connections: false, ports: false, interfaces: false };

describe('a poll', () => {
  it('reads the enabled sources in order, one after the other, and the snapshot has all of them', async () => {
    const { clock, reader, poller, told, lines } = bench();
    expect(poller.ready).toBe(false);
    expect(poller.snapshot()).toMatchObject({ up: false, timestampSeconds: 0, generation: 0 });
    const snapshot = await poller.collect(WAIT_MS);
    expect(reader.reads).toEqual(['server', 'connections', 'ports', 'interfaces']);
    expect(told).toEqual(reader.reads);
    expect(reader.maxInFlight).toBe(1);
    expect(snapshot).toMatchObject({
      generation: 1,
      up: true,
      timestampSeconds: clock.wallSeconds(),
      service: { running: true, lanOnly: false, startTimeSeconds: clock.wallSeconds() - 3600 },
      interfaces: [{ name: 'Site-Berlin' }],
      connections: { connections: [{ tunnel: 'ikev2' }] },
    });
    expect(snapshot.ports).toEqual({
      byCondition: new Map([
        ['ikev2', [0, 0, 0, 1, 0, 1, 0]],
        ['sstp', [0, 0, 0, 1, 0, 0, 0]],
      ]),
      inUse: new Map([
        ['ikev2', 1],
        ['sstp', 0],
      ]),
      // What they had served before the exporter started does not count.
      calls: new Map([
        ['ikev2', 0],
        ['sstp', 0],
      ]),
    });
    expect(snapshot.sources.server).toEqual({ up: true, durationSeconds: 0.25, problem: undefined });
    expect(poller.ready).toBe(true);
    expect(lines).toEqual([]);
    expect(clock.pending).toBe(0);
  });

  it('reads no source that is off, and the snapshot has nothing of it', async () => {
    const { reader, poller } = bench({ enabled: new Set(['connections', 'interfaces']) });
    const snapshot = await poller.collect(WAIT_MS);
    expect(reader.reads).toEqual(['connections', 'interfaces']);
    expect(ups(snapshot)).toEqual({ connections: true, interfaces: true });
    expect(snapshot).toMatchObject({ up: true, service: { running: true }, ports: undefined });
  });

  it('counts a port in a condition that nobody knows in none', async () => {
    const { reader, poller } = bench();
    reader.answers.ports = () =>
      ok(
        portsFrame([
          { tunnel: 'sstp', condition: 9 },
          { tunnel: 'sstp', condition: 6 },
        ]),
      );
    expect((await poller.collect(WAIT_MS)).ports!.byCondition.get('sstp')).toEqual([0, 0, 0, 0, 0, 0, 1]);
  });

  it('keeps the computed start of the service within 2 seconds', async () => {
    const { clock, reader, poller } = bench();
    const start = async (uptimeSeconds: number) => {
      reader.answers.server = () => ok(serverFrame({ uptimeSeconds }));
      return (await poller.collect(WAIT_MS)).service!.startTimeSeconds;
    };
    const first = clock.wallSeconds() - 100;
    expect(await start(100)).toBe(first);
    await clock.advance(15_900);
    expect(await start(115)).toBe(first);
    await clock.advance(15_000);
    expect(await start(5)).toBe(Math.round(clock.wallSeconds() - 5));
  });
});

describe('H1', () => {
  it('H1 200 scrapes at the same time are one enumeration and one snapshot', async () => {
    const { clock, reader, poller } = bench();
    reader.answers.connections = async () => {
      await clock.sleep(50);
      return reader.sound('connections');
    };
    const scrapes = Array.from({ length: 200 }, () => poller.collect(WAIT_MS));
    await settle();
    await clock.advance(20);
    scrapes.push(poller.collect(WAIT_MS));
    await clock.advance(30);
    const snapshots = await Promise.all(scrapes);
    expect(reader.reads).toEqual([...SOURCES]);
    for (const snapshot of snapshots) expect(snapshot).toEqual(snapshots[0]);
    expect(snapshots[0]).toMatchObject({ generation: 1, up: true });
    expect(clock.pending).toBe(0);
    reader.answers = {};
    await poller.collect(WAIT_MS);
    expect(reader.reads).toHaveLength(8);
  });

  it('H1 within the minimum interval of the last poll nothing is read', async () => {
    const { clock, reader, poller } = bench({ minIntervalMs: 1000 });
    reader.answers.server = async () => {
      await clock.sleep(400);
      return reader.sound('server');
    };
    const first = poller.collect(WAIT_MS);
    await settle();
    await clock.advance(400);
    await first;
    // The interval counts from the end of the poll.
    await clock.advance(999);
    expect((await poller.collect(WAIT_MS)).generation).toBe(1);
    expect(reader.reads).toHaveLength(4);
    await clock.advance(1);
    const second = poller.collect(WAIT_MS);
    await settle();
    await clock.advance(400);
    expect((await second).generation).toBe(2);
  });
});

describe('N1', () => {
  it('N1 a scrape waits until its own deadline, then has the last good snapshot with its timestamp', async () => {
    const { clock, reader, poller } = bench();
    await poller.collect(WAIT_MS);
    const taken = clock.wallSeconds();
    await clock.advance(INTERVAL_MS);
    reader.answers.ports = () => new Promise(() => undefined);
    const state: { short?: Snapshot; long?: Snapshot } = {};
    void poller.collect(300).then((snapshot) => (state.short = snapshot));
    void poller.collect(WAIT_MS).then((snapshot) => (state.long = snapshot));
    await settle();
    await clock.advance(299);
    expect(state).toEqual({});
    await clock.advance(1);
    expect(state.short).toMatchObject({ generation: 1, timestampSeconds: taken, up: true });
    expect(state.short!.connections!.connections).toHaveLength(1);
    await clock.advance(WAIT_MS - 300);
    expect(state.long).toMatchObject({ generation: 1, timestampSeconds: taken });
    expect(clock.pending).toBe(0);
  });

  it('N1 the first scrape of all has a snapshot too, which says that nothing is known', async () => {
    const { clock, reader, poller } = bench();
    reader.answers.server = () => new Promise(() => undefined);
    const scrape = poller.collect(WAIT_MS);
    await settle();
    await clock.advance(WAIT_MS);
    const snapshot = await scrape;
    expect(snapshot).toMatchObject({
      up: false,
      timestampSeconds: 0,
      service: undefined,
      connections: undefined,
    });
    expect(ups(snapshot)).toEqual(ALL_DOWN);
    expect(poller.ready).toBe(false);
  });

  it('N1 a poll that outlives its scrapes still counts when it ends', async () => {
    const { clock, reader, poller } = bench();
    reader.answers.interfaces = async () => {
      await clock.sleep(20_000);
      return reader.sound('interfaces');
    };
    const scrape = poller.collect(1000);
    await settle();
    await clock.advance(1000);
    expect((await scrape).generation).toBe(0);
    await clock.advance(19_000);
    expect(poller.snapshot()).toMatchObject({ generation: 1, up: true });
  });
});

describe('N4', () => {
  it.each(['everywhere', 'connectionEnum', 'interfaceEnum'] as const)(
    'N4 access denied (%s) costs at most 61 refused calls and 1 log line in an hour of scrapes',
    async (where) => {
      const server = new StubServer();
      server.codeOf = (method) => (where === 'everywhere' || method === where ? 5 : 0);
      const { clock, poller, lines } = overApi(() => server);
      for (let at = 0; at <= 3_600_000; at += INTERVAL_MS) {
        const snapshot = await poller.collect(WAIT_MS);
        const denied =
          where === 'everywhere' ? 'server' : where === 'connectionEnum' ? 'connections' : 'interfaces';
        expect(snapshot.up).toBe(false);
        expect(snapshot.sources[denied]).toMatchObject({
          up: false,
          problem: expect.stringContaining('ERROR_ACCESS_DENIED (5)') as unknown,
        });
        if (where === 'everywhere') expect(ups(snapshot)).toEqual(ALL_DOWN);
        else expect(Object.values(ups(snapshot)).filter((up) => !up)).toHaveLength(1);
        await clock.advance(INTERVAL_MS);
      }
      const refused = server.calls.filter(({ code }) => code === 5).length;
      expect(refused).toBeLessThanOrEqual(61);
      expect(refused).toBeGreaterThanOrEqual(60);
      expect(lines).toHaveLength(1);
      // Someone makes it an administrator.
      server.codeOf = () => 0;
      await clock.advance(DENIED_FOR_MS);
      expect(ups(await poller.collect(WAIT_MS))).toEqual(ALL_UP);
      expect(lines).toHaveLength(2);
      expect(lines[1]).toContain('info source is read again');
      expect(server.ledger).toMatchObject({ live: 0, strayHandles: 0 });
    },
  );

  it('N4 a verdict that is reused is no read: nothing is told of it', async () => {
    const { clock, reader, poller, told } = bench();
    reader.answers.server = () => failed('permission');
    await poller.collect(WAIT_MS);
    await clock.advance(DENIED_FOR_MS - 1);
    const snapshot = await poller.collect(WAIT_MS);
    expect(reader.reads).toEqual(['server']);
    expect(told).toEqual(['server']);
    expect(snapshot.sources.server).toMatchObject({
      up: false,
      durationSeconds: 0.25,
      problem: 'it is permission',
    });
  });
});

describe('N5', () => {
  const simulated = (options: Partial<PollerOptions> = {}) => {
    let sim: ReturnType<typeof createSimulator> | undefined;
    const all = overApi((clock) => (sim = createSimulator({ scenario: 'small', seed: 7, clock })), options);
    return { ...all, sim: sim! };
  };

  it.each([
    ['every source', SOURCES],
    ['connections alone', ['connections']],
    ['ports and interfaces', ['ports', 'interfaces']],
  ] as const)(
    'N5 a stopped service is a state: up, not running, and nothing counted (%s)',
    async (_which, enabled) => {
      const { clock, sim, poller, lines } = simulated({ enabled: new Set<Source>(enabled) });
      const before = await poller.collect(WAIT_MS);
      expect(before.up).toBe(true);
      sim.state = 'stopped';
      for (let i = 0; i < 3; i += 1) {
        await clock.advance(INTERVAL_MS);
        const snapshot = await poller.collect(WAIT_MS);
        expect(snapshot).toMatchObject({ up: true, timestampSeconds: clock.wallSeconds() });
        expect(Object.values(ups(snapshot)).every((up) => up === true)).toBe(true);
        if (snapshot.service) expect(snapshot.service.running).toBe(false);
        if (before.connections) expect(snapshot.connections!.connections).toEqual([]);
        if (before.ports) {
          expect([...snapshot.ports!.byCondition.keys()]).toEqual([...before.ports.byCondition.keys()]);
          expect([...snapshot.ports!.byCondition.values()].flat().every((count) => count === 0)).toBe(true);
          expect([...snapshot.ports!.inUse.values()].every((count) => count === 0)).toBe(true);
        }
        if (before.interfaces) {
          expect(snapshot.interfaces!.map(({ name }) => name)).toEqual(
            before.interfaces.map(({ name }) => name),
          );
          expect(snapshot.interfaces!.every(({ state }) => state === 'unknown')).toBe(true);
        }
      }
      sim.state = 'running';
      await clock.advance(INTERVAL_MS);
      const after = await poller.collect(WAIT_MS);
      expect(after.up).toBe(true);
      if (after.connections) expect(after.connections.connections).toHaveLength(sim.liveSessions().length);
      if (enabled.length === 4) expect(after.service!.running).toBe(true);
      expect(lines).toEqual([]);
      expect(sim.ledger).toMatchObject({ live: 0, strayHandles: 0 });
    },
  );

  it('N5 a service that was never up has no interfaces, and no port of the usual tunnels', async () => {
    const { sim, poller } = simulated();
    sim.state = 'stopped';
    const snapshot = await poller.collect(WAIT_MS);
    expect(snapshot).toMatchObject({ up: true, service: { running: false }, interfaces: [] });
    expect(snapshot.connections!.connections).toEqual([]);
    expect([...snapshot.ports!.byCondition.keys()]).toEqual(['ikev2', 'sstp', 'l2tp', 'pptp']);
    expect([...snapshot.ports!.byCondition.values()].flat().every((count) => count === 0)).toBe(true);
  });

  it('a LAN-only router has no connections and no ports, and their sources are neither up nor down', async () => {
    const { clock, sim, poller } = simulated();
    await poller.collect(WAIT_MS);
    sim.state = 'lan_only';
    await clock.advance(INTERVAL_MS);
    const snapshot = await poller.collect(WAIT_MS);
    expect(snapshot).toMatchObject({
      up: true,
      service: { running: true, lanOnly: true },
      connections: undefined,
      ports: undefined,
    });
    expect(ups(snapshot)).toEqual({
      server: true,
      connections: undefined,
      ports: undefined,
      interfaces: true,
    });
    sim.state = 'running';
    await clock.advance(INTERVAL_MS);
    expect(ups(await poller.collect(WAIT_MS))).toEqual(ALL_UP);
  });
});

describe('N6', () => {
  it('N6 scrapes and reads of any timing: never two reads at a time, never old over new', async () => {
    const step = fc.record({
      waitMs: fc.integer({ min: 1, max: 3000 }),
      gapMs: fc.nat(2000),
      readMs: fc.array(fc.nat(1500), { minLength: 1, maxLength: 4 }),
      outcome: fc.constantFrom('ok', 'ok', 'failed', 'throw'),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 25 }), async (steps) => {
        const { clock, reader, poller } = bench({ minIntervalMs: 200 });
        let now = steps[0]!;
        let serial = 0;
        let read = 0;
        for (const source of SOURCES) {
          reader.answers[source] = async () => {
            const { readMs, outcome } = now;
            await clock.sleep(readMs[read++ % readMs.length]!);
            if (outcome === 'failed') return failed('retryable');
            if (outcome === 'throw') throw new TypeError('injected');
            // The serial of each answer stands where the snapshot shows it.
            if (source === 'interfaces') return ok(interfacesFrame({ lastError: ++serial }));
            return reader.sound(source);
          };
        }
        const seen: Snapshot[] = [];
        const scrapes: Promise<unknown>[] = [];
        for (now of steps) {
          scrapes.push(poller.collect(now.waitMs).then((snapshot) => seen.push(snapshot)));
          await settle();
          await clock.advance(now.gapMs);
        }
        for (let i = 0; i < 40; i += 1) {
          await settle();
          await clock.advance(500);
        }
        await Promise.all(scrapes);
        expect(seen).toHaveLength(steps.length);
        expect(reader.maxInFlight).toBe(1);
        expect(clock.pending).toBe(0);
        for (const pick of [
          (snapshot: Snapshot) => snapshot.generation,
          (snapshot: Snapshot) => snapshot.timestampSeconds,
          (snapshot: Snapshot) => snapshot.interfaces?.[0]?.lastError ?? 0,
        ]) {
          const values = seen.map(pick);
          expect(values).toEqual(values.toSorted((a, b) => a - b));
        }
        expect(poller.snapshot().generation).toBeGreaterThan(0);
      }),
      { numRuns: 60 },
    );
  });
});

describe('N7', () => {
  it('N7 what is not up yet is polled until it is, and readiness comes with the first success', async () => {
    const { clock, reader, poller, lines } = bench();
    for (const source of SOURCES) reader.answers[source] = () => failed('retryable', 'RPC is not up');
    for (let i = 0; i < 5; i += 1) {
      const snapshot = await poller.collect(WAIT_MS);
      expect(snapshot).toMatchObject({ up: false, timestampSeconds: 0 });
      expect(poller.ready).toBe(false);
      await clock.advance(INTERVAL_MS);
    }
    expect(lines).toEqual([
      'warn source cannot be read {"source":"server,connections,ports,interfaces","problem":"RPC is not up"}',
    ]);
    reader.answers = {};
    expect(await poller.collect(WAIT_MS)).toMatchObject({ up: true, timestampSeconds: clock.wallSeconds() });
    expect(poller.ready).toBe(true);
    expect(lines).toHaveLength(2);
  });

  it('N7 a host process that is down is one problem and one log line, whatever its message counts down', async () => {
    const { clock, reader, poller, lines } = bench();
    let seconds = 300;
    reader.answers.server = () => failed('host_down', `down; it is started again in ${(seconds -= 15)} s`);
    for (let i = 0; i < 10; i += 1) {
      const { sources } = await poller.collect(WAIT_MS);
      for (const source of SOURCES) {
        expect(sources[source]).toMatchObject({
          up: false,
          problem: `down; it is started again in ${seconds} s`,
        });
      }
      await clock.advance(INTERVAL_MS);
    }
    // The others were not asked.
    expect(new Set(reader.reads)).toEqual(new Set(['server']));
    expect(lines).toHaveLength(1);
  });
});

describe('H8', () => {
  const parts = {
    server: 'service',
    connections: 'connections',
    ports: 'ports',
    interfaces: 'interfaces',
  } as const;

  it.each(SOURCES)(
    'H8 %s failing alone leaves the others up and its own part old and marked',
    async (source) => {
      const { clock, reader, poller, lines } = bench();
      const before = await poller.collect(WAIT_MS);
      await clock.advance(INTERVAL_MS);
      reader.answers[source] = () => failed('retryable', 'RPC_S_CALL_FAILED');
      const snapshot = await poller.collect(WAIT_MS);
      expect(reader.reads).toHaveLength(8);
      expect(ups(snapshot)).toEqual({ ...ALL_UP, [source]: false });
      expect(snapshot).toMatchObject({ up: false, timestampSeconds: clock.wallSeconds(), generation: 2 });
      expect(snapshot[parts[source]]).toBe(before[parts[source]]);
      expect(snapshot.sources[source]!.problem).toBe('RPC_S_CALL_FAILED');
      expect(lines).toEqual([
        `warn source cannot be read {"source":"${source}","problem":"RPC_S_CALL_FAILED"}`,
      ]);
      // Past the maximum age of the source its part is not served any more; the others are.
      for (let i = 0; i < 5; i += 1) {
        await clock.advance(INTERVAL_MS);
        await poller.collect(WAIT_MS);
      }
      const late = poller.snapshot();
      for (const other of SOURCES) {
        // Connections that are enumerated say by themselves that the service runs.
        if (other === source && source !== 'server') expect(late[parts[other]]).toBeUndefined();
        else expect(late[parts[other]]).toBeDefined();
      }
      reader.answers = {};
      expect(await poller.collect(WAIT_MS)).toMatchObject({ up: true });
    },
  );
});

describe('H9', () => {
  it('H9 without polls up is 0 after the maximum age, the parts are gone and the timestamp stands', async () => {
    const { clock, poller } = bench();
    const { timestampSeconds } = await poller.collect(WAIT_MS);
    await clock.advance(MAX_AGE_MS);
    expect(poller.snapshot()).toMatchObject({ up: true, timestampSeconds });
    expect(poller.snapshot().connections).toBeDefined();
    await clock.advance(1);
    const late = poller.snapshot();
    expect(late).toMatchObject({
      up: false,
      timestampSeconds,
      service: undefined,
      ports: undefined,
      interfaces: undefined,
      connections: undefined,
    });
    expect(Object.keys(late.sources)).toEqual([...SOURCES]);
  });

  it('H9 the same while every poll fails', async () => {
    const { clock, reader, poller } = bench();
    const { timestampSeconds } = await poller.collect(WAIT_MS);
    for (const source of SOURCES) reader.answers[source] = () => failed('retryable');
    for (let age = 0; age <= 2 * MAX_AGE_MS; age += INTERVAL_MS) {
      const snapshot = await poller.collect(WAIT_MS);
      expect(snapshot).toMatchObject({ up: false, timestampSeconds });
      expect(snapshot.connections !== undefined).toBe(age <= MAX_AGE_MS);
      expect(snapshot.interfaces !== undefined).toBe(age <= MAX_AGE_MS);
      await clock.advance(INTERVAL_MS);
    }
  });
});

describe('C3', () => {
  it('C3 a wall clock that jumps by a day times nothing out and ends no session', async () => {
    for (const exOnly of [false, true]) {
      let sim: ReturnType<typeof createSimulator> | undefined;
      const { clock, poller, lines } = overApi(
        (each) => (sim = createSimulator({ scenario: 'small', seed: 7, clock: each, exOnly })),
        { minIntervalMs: 1000 },
      );
      const first = await poller.collect(WAIT_MS);
      let ids = first.connections!.connections.map(({ id }) => id);
      for (const jump of [86_400, -2 * 86_400, 86_400]) {
        clock.jumpWall(jump);
        expect(poller.snapshot()).toMatchObject({ up: true });
        expect(poller.snapshot().connections).toBeDefined();
        await clock.advance(1000);
        const snapshot = await poller.collect(WAIT_MS);
        expect(snapshot).toMatchObject({ up: true, timestampSeconds: clock.wallSeconds() });
        const now = snapshot.connections!.connections.map(({ id }) => id);
        expect(now.filter((id) => !ids.includes(id))).toEqual([]);
        expect(now).toHaveLength(sim!.liveSessions().length);
        ids = now;
      }
      expect(lines).toEqual([]);
    }
  });

  it('C3 a scrape’s deadline goes by monotonic time', async () => {
    const { clock, reader, poller } = bench();
    reader.answers.server = () => new Promise(() => undefined);
    let done = false;
    void poller.collect(WAIT_MS).then(() => (done = true));
    await settle();
    clock.jumpWall(86_400);
    await settle();
    expect(done).toBe(false);
    clock.jumpWall(-2 * 86_400);
    await clock.advance(WAIT_MS);
    expect(done).toBe(true);
  });
});

describe('X1', () => {
  it.each(SOURCES)(
    'X1 a reader that throws at %s is reset, everything is down, and the next poll works',
    async (source) => {
      const { clock, reader, poller, lines } = bench();
      const before = await poller.collect(WAIT_MS);
      await clock.advance(INTERVAL_MS);
      reader.answers[source] = () => {
        throw new TypeError('x is not a function');
      };
      const broken = await poller.collect(WAIT_MS);
      expect(ups(broken)).toEqual(ALL_DOWN);
      expect(broken).toMatchObject({ up: false, timestampSeconds: before.timestampSeconds, generation: 2 });
      expect(broken.connections).toBe(before.connections);
      expect(broken.sources.server!.problem).toBe('internal error: x is not a function');
      expect(reader.resets).toBe(1);
      expect(lines).toHaveLength(1);
      expect(lines[0]).toMatch(/^error poll failed/);
      reader.answers = {};
      await clock.advance(INTERVAL_MS);
      expect(await poller.collect(WAIT_MS)).toMatchObject({
        up: true,
        timestampSeconds: clock.wallSeconds(),
      });
    },
  );

  it('X1 a frame that cannot be taken in costs one poll: the reader sends everything again', async () => {
    const { clock, reader, poller } = bench();
    reader.answers.connections = () => ok(connectionsFrame([{ slot: 4, duration: 10 }]));
    expect(ups(await poller.collect(WAIT_MS))).toEqual(ALL_DOWN);
    expect(reader.resets).toBe(1);
    reader.answers = {};
    await clock.advance(INTERVAL_MS);
    expect(await poller.collect(WAIT_MS)).toMatchObject({ up: true });
  });

  it('X1 frames that cannot be taken in for ever leave nothing old behind: it ages as if nothing were read', async () => {
    const { clock, reader, poller } = bench();
    const { timestampSeconds } = await poller.collect(WAIT_MS);
    reader.answers.connections = () => ok(connectionsFrame([{ slot: 4, duration: 10 }]));
    for (let age = INTERVAL_MS; age <= 2 * MAX_AGE_MS; age += INTERVAL_MS) {
      await clock.advance(INTERVAL_MS);
      const snapshot = await poller.collect(WAIT_MS);
      expect(snapshot).toMatchObject({ up: false, timestampSeconds });
      expect(snapshot.connections !== undefined).toBe(age <= MAX_AGE_MS);
    }
  });

  it('X1 a listener that throws does not end the polling', async () => {
    let calls = 0;
    const { clock, poller } = bench({
      onRead: () => {
        if (calls++ === 0) throw new RangeError('no such label');
      },
    });
    expect(await poller.collect(WAIT_MS)).toMatchObject({ up: false });
    await clock.advance(INTERVAL_MS);
    expect(await poller.collect(WAIT_MS)).toMatchObject({ up: true });
  });
});

describe('the background poll', () => {
  const ROWS = 3000;
  const SLICE_MS = 20;

  it('that comes due in the middle of another is timed by all counters, and not by those so far', async () => {
    const clock = new FakeClock();
    let slices = false;
    // Each slice ends at once, and others have their turn for a while.
    const slicing: Clock = {
      monotonicMs: () => {
        if (slices) drift += 3;
        return clock.monotonicMs() + drift;
      },
      wallSeconds: () => clock.wallSeconds(),
      sleep: (ms, signal) => clock.sleep(slices && ms <= 0 ? SLICE_MS : ms, signal),
    };
    let drift = 0;
    const { reader, poller } = bench({ clock: slicing });
    let polls = 0;
    // The last alone is so fast: the others would be polled half as often.
    reader.answers.connections = () => {
      polls += 1;
      const seconds = clock.monotonicMs() / 1000 - 1000;
      return ok(
        connectionsFrame(
          Array.from({ length: ROWS }, (_, slot) => ({
            slot,
            duration: 100_000 + Math.round(seconds),
            receivedBytes: slot === ROWS - 1 ? Math.round(seconds * 300e6) : 0,
            ...(polls === 1 && { identity: { handle: slot.toString(16).padStart(16, '0') } }),
          })),
        ),
      );
    };
    const stop = new AbortController();
    void poller.run(stop.signal);
    await settle();
    const due = async (): Promise<number> => {
      await settle();
      return clock.nextDueMs! - clock.monotonicMs();
    };
    poller.poke();
    await settle();
    await clock.advance(1000);
    expect(polls).toBe(2);
    const usual = await due();
    expect(usual).toBeLessThan(8000);
    await clock.advance(usual - SLICE_MS);
    slices = true;
    const scrape = poller.collect(WAIT_MS);
    await settle();
    await clock.advance(2 * SLICE_MS);
    expect([polls, poller.snapshot().generation]).toEqual([3, 2]);
    await clock.advance(1000);
    await scrape;
    expect([polls, poller.snapshot().generation]).toEqual([3, 3]);
    slices = false;
    expect(await due()).toBeLessThan(8000);
    stop.abort();
  });
});

describe('states told by outcomes', () => {
  it('a stop that a later source sees empties everything, and what failed before it stays failed', async () => {
    const { clock, reader, poller } = bench();
    await poller.collect(WAIT_MS);
    await clock.advance(INTERVAL_MS);
    reader.answers.server = () => failed('retryable');
    reader.answers.ports = () => ({ status: 'stopped', report: REPORT });
    const snapshot = await poller.collect(WAIT_MS);
    expect(reader.reads.slice(4)).toEqual(['server', 'connections', 'ports']);
    expect(ups(snapshot)).toEqual({ ...ALL_UP, server: false });
    expect(snapshot).toMatchObject({ up: false, service: { running: false } });
    expect(snapshot.connections!.connections).toEqual([]);
  });
});

describe('a slow or hanging source', () => {
  it('C1 does not make what was read before it look older: no new session, nothing counted twice', async () => {
    const { clock, reader, poller } = bench();
    const frames = (duration: number, bytes: number) =>
      connectionsFrame([
        {
          slot: 0,
          duration,
          receivedBytes: bytes,
          identity: { handle: '0000000000000001', guid: '', startTicks: '' },
        },
      ]);
    let step = 0;
    reader.answers.connections = () => {
      step += 1;
      return ok({ ...frames(100 + (step - 1) * 15, 1_000_000 + step * 500), api: 'ex' as const });
    };
    reader.answers.interfaces = async () => {
      // The interfaces take long in the second poll only.
      if (step === 2) await clock.sleep(8_000);
      return ok(interfacesFrame({ name: 'Site-Berlin' }));
    };
    const ids: string[] = [];
    const starts: number[] = [];
    for (let poll = 0; poll < 3; poll += 1) {
      const startedAt = clock.monotonicMs();
      const collecting = poller.collect(60_000);
      await settle();
      await clock.advance(8_000);
      const { connections, totals } = await collecting;
      ids.push(connections!.connections[0]!.id);
      starts.push(connections!.startTimeSeconds[0]!);
      expect(totals.started.reduce((sum, n) => sum + n, 0)).toBe(0);
      await clock.advance(15_000 - (clock.monotonicMs() - startedAt));
    }
    expect(new Set(ids).size).toBe(1);
    expect(new Set(starts).size).toBe(1);
    expect(poller.snapshot().totals.sums.reduce((sum, n) => sum + n, 0)).toBe(1000);
  });

  it('H8 does not keep the sources after it from being read', async () => {
    const { reader, poller } = bench();
    reader.answers.connections = () => failed('host', 'reading connections took longer than 10000 ms');
    const snapshot = await poller.collect(WAIT_MS);
    expect(snapshot.sources).toMatchObject({
      server: { up: true },
      connections: { up: false },
      ports: { up: true },
      interfaces: { up: true },
    });
    expect(snapshot.interfaces).toHaveLength(1);
  });
});

describe('the end of the exporter', () => {
  it('says nothing of the server: a poll that ends after it leaves the snapshot as it was', async () => {
    const { clock, reader, poller } = bench();
    const stop = new AbortController();
    const running = poller.run(stop.signal);
    await settle();
    expect(poller.snapshot().up).toBe(true);
    const answer = Promise.withResolvers<ReadOutcome>();
    reader.answers.server = () => answer.promise;
    await clock.advance(60_000);
    expect(reader.inFlight).toBe(1);
    const before = poller.snapshot();
    stop.abort();
    answer.resolve(failed('host_down', 'the exporter is shutting down'));
    await running;
    expect(poller.snapshot()).toEqual(before);
  });
});
