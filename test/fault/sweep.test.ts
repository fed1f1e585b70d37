/**
 * The sweep of failure-modes.md: every fault at every native call, once and for ever, over the whole way from the API
 * to the page. It keeps no list of cases: a call that is added is swept the day it is added.
 */
import { describe, expect, it } from 'vitest';
import { enumerate } from '../../src/collector/enumerate.ts';
import { Poller } from '../../src/collector/poller.ts';
import { CATALOGUE } from '../../src/metrics/catalogue.ts';
import { PageEncoder } from '../../src/metrics/exposition.ts';
import type { Logger } from '../../src/model/logger.ts';
import type { RrasApi } from '../../src/model/rras-api.ts';
import type { Snapshot } from '../../src/model/snapshot.ts';
import type { Source } from '../../src/model/words.ts';
import { SOURCES } from '../../src/model/words.ts';
import type { HostProcess } from '../../src/native/client.ts';
import { HostClient } from '../../src/native/client.ts';
import { toMessages } from '../../src/native/host-messages.ts';
import { Host } from '../../src/native/host.ts';
import type { SimulatedServer } from '../../src/native/simulator/server.ts';
import { createSimulator } from '../../src/native/simulator/server.ts';
import { FakeClock, settle } from '../doubles/fake-clock.ts';
import type { Fault, FaultApi } from '../doubles/fault-api.ts';
import { withFault } from '../doubles/fault-api.ts';
import { plainViews } from '../metrics/snapshots.ts';

const INTERVAL_MS = 15_000;
const MAX_AGE_MS = 60_000;
const WAIT_MS = 9_500;
const HOST_TIMEOUT_MS = 10_000;
const POLLS = 3;

/** One code of each kind, those that are handled by themselves, and one that nobody knows. */
const CODES = [5, 6, 87, 124, 170, 905, 928, 1062, 1702, 1722, 1726, 4711];
const FAULTS: readonly (readonly [string, Fault])[] = [
  ...CODES.map((code) => [`code ${code}`, { kind: 'code', code }] as const),
  ['throw', { kind: 'throw' }],
  ['hang', { kind: 'hang' }],
  ['null buffer', { kind: 'null_buffer' }],
  ['zero entries', { kind: 'empty_more' }],
  ['bad count', { kind: 'count_lie', entriesRead: 1_000_001 }],
  ['count beyond the buffer', { kind: 'count_lie', entriesRead: 5_000 }],
  ['truncated to nothing', { kind: 'truncated', bytes: 0 }],
  ['truncated', { kind: 'truncated', bytes: 1500 }],
];

const logger: Logger = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
};

const HEAD = /^# (?:HELP|TYPE) ([a-z_0-9]+) .+$/;
const LABEL = '[a-z_0-9]+="(?:[^"\\\\\\n]|\\\\["\\\\n])*"';
const SAMPLE = new RegExp(`^([a-z_0-9]+)((?:\\{${LABEL}(?:,${LABEL})*\\})?) (\\S+)$`);

/** The text format as a reader other than ours takes it apart: samples by name and labels. Plain throws: it is hot. */
function parse(page: string): Map<string, number> {
  const samples = new Map<string, number>();
  if (!page.endsWith('\n')) throw new Error('the page ends within a line');
  let family: string | undefined;
  let histogram = false;
  for (const line of page.slice(0, -1).split('\n')) {
    const head = HEAD.exec(line);
    if (head) {
      family = head[1];
      histogram = line.endsWith(' histogram');
      continue;
    }
    const [, name, labels, value] = SAMPLE.exec(line) ?? [];
    const own = name === family || (histogram && name?.replace(/_(?:bucket|sum|count)$/, '') === family);
    if (name === undefined || !own) throw new Error(`not a line of the text format: ${line}`);
    const series = name + labels!;
    if (samples.has(series)) throw new Error(`twice: ${series}`);
    if (!Number.isFinite(Number(value))) throw new Error(`not a number: ${line}`);
    samples.set(series, Number(value));
  }
  return samples;
}

/**
 * A child process that is none: a host of its own. Killed in the middle of a call, it is abandoned; what an idle one has open is
 * closed, as the system does for a process that ends.
 */
function processDouble(host: Host): HostProcess {
  let alive = true;
  let asked = 0;
  let listener: (message: unknown) => void = () => undefined;
  return {
    send: (request) => {
      if (!('source' in request)) throw new Error('only reads are swept');
      const { id, source } = request;
      asked += 1;
      void host.read(source).then((outcome) => {
        asked -= 1;
        if (alive) for (const message of toMessages(id, outcome)) listener(message);
      });
    },
    onMessage: (each) => {
      listener = each;
    },
    onExit: () => undefined,
    kill: () => {
      alive = false;
      if (asked === 0) void host.close().catch(() => undefined);
    },
  };
}

interface Stack {
  readonly poller: Poller;
  /** Ends the host in good order. */
  readonly close: () => Promise<void>;
  /** Hosts that were killed: what they had open is the system's to clean up. */
  readonly killed: () => number;
}

function inProcess(api: RrasApi, clock: FakeClock): Stack {
  const host = new Host({ api, enumerate, clock, server: null });
  return { poller: pollerOver(host, clock), close: () => host.close(), killed: () => 0 };
}

function inChild(api: RrasApi, clock: FakeClock): Stack {
  const hosts: Host[] = [];
  let killed = 0;
  const client = new HostClient({
    spawn: () => {
      const host = new Host({ api, enumerate, clock, server: null });
      hosts.push(host);
      return processDouble(host);
    },
    clock,
    logger,
    timeoutMs: HOST_TIMEOUT_MS,
    onRestart: () => {
      killed += 1;
    },
  });
  const close = async (): Promise<void> => {
    client.stop();
    if (killed < hosts.length) await hosts.at(-1)!.close();
  };
  return { poller: pollerOver(client, clock), close, killed: () => killed };
}

const pollerOver = (reader: Host | HostClient, clock: FakeClock): Poller =>
  new Poller({
    reader,
    clock,
    logger,
    enabled: new Set(SOURCES),
    minIntervalMs: 1000,
    maxAgeMs: MAX_AGE_MS,
    userLimit: 0,
    onRead: () => undefined,
    onWraps: () => undefined,
  });

const PARTS = {
  server: 'service',
  connections: 'connections',
  ports: 'ports',
  interfaces: 'interfaces',
} as const satisfies Record<Source, keyof Snapshot>;

/** Invariant 5: each part is complete and new, or what was there before and marked, or gone. */
function checkParts(snapshot: Snapshot, before: Snapshot, sim: SimulatedServer, nowMs: number): void {
  const stopped = snapshot.service?.running === false;
  for (const source of SOURCES) {
    const { up } = snapshot.sources[source]!;
    const part = snapshot[PARTS[source]];
    if (up === false) {
      // The service is told of by the connections too, and a stop by any source.
      if (part === undefined || stopped) continue;
      if (source === 'server' && snapshot.sources.connections!.up)
        expect(part).toMatchObject({ running: true });
      else expect(part).toEqual(before[PARTS[source]]);
      continue;
    }
    expect(up).toBe(true);
    expect(part).toBeDefined();
  }
  if (stopped) {
    expect(snapshot.connections?.connections ?? []).toEqual([]);
    return;
  }
  const { sources } = snapshot;
  if (sources.server!.up) expect(snapshot.service).toMatchObject({ running: true, lanOnly: false });
  if (sources.connections!.up) {
    const truth = sim.liveSessions(nowMs);
    const handles = snapshot.connections!.connections.map(({ identity }) => parseInt(identity.handle, 16));
    expect(handles.toSorted()).toEqual(truth.map(({ handle }) => handle).toSorted());
    expect(new Set(snapshot.connections!.connections.map(({ id }) => id)).size).toBe(truth.length);
  }
  if (sources.ports!.up) {
    expect([...snapshot.ports!.inUse.values()].reduce((sum, n) => sum + n, 0)).toBe(
      sim.liveSessions(nowMs).length,
    );
  }
  if (sources.interfaces!.up) {
    const names = snapshot.interfaces!.filter(({ type }) => type !== 'dedicated').map(({ name }) => name);
    expect(names).toEqual(sim.links(nowMs).map(({ name }) => name));
  }
}

/** Invariant 4. */
function checkPage(page: string, snapshot: Snapshot, clock: FakeClock): void {
  const samples = parse(page);
  expect(samples.get('rras_up')).toBe(snapshot.up ? 1 : 0);
  const age = clock.wallSeconds() - samples.get('rras_snapshot_timestamp_seconds')!;
  expect(age).toBeGreaterThanOrEqual(0);
  for (const source of SOURCES) {
    expect(samples.get(`rras_source_up{source="${source}"}`)).toBe(snapshot.sources[source]!.up ? 1 : 0);
  }
}

/** Runs the scenario with the n-th native call misbehaving; answers how often it did. */
async function run(
  fault: Fault,
  mode: 'once' | 'persistent',
  at: number,
  stackOf: typeof inProcess,
): Promise<number> {
  const clock = new FakeClock();
  const sim = createSimulator({ scenario: 'small', seed: 7, clock });
  const api: FaultApi = withFault(sim, { fault, at, mode });
  const stack = stackOf(api, clock);
  const views = plainViews();
  const encoder = new PageEncoder(CATALOGUE, { format: 'text' });
  const pages: string[] = [];
  const poll = async (): Promise<Snapshot> => {
    // Whatever happens, a scrape ends by its own deadline (invariant 1).
    const before = stack.poller.snapshot();
    const state: { snapshot?: Snapshot } = {};
    void stack.poller.collect(WAIT_MS).then((each) => (state.snapshot = each));
    await settle();
    const nowMs = clock.monotonicMs();
    if (!state.snapshot) {
      expect(fault.kind).toBe('hang');
      await clock.advance(WAIT_MS);
    }
    const { snapshot } = state;
    if (!snapshot) throw new Error('the scrape was still waiting at its deadline');
    if (clock.monotonicMs() === nowMs) checkParts(snapshot, before, sim, nowMs);
    // An unfinished poll shows what was there before it.
    else expect(snapshot.generation).toBe(before.generation);
    const page = Buffer.concat(encoder.encode(views.view(snapshot, clock.monotonicMs()))).toString('utf8');
    checkPage(page, snapshot, clock);
    pages.push(page);
    // Calls do not overlap (the API documents no thread safety); one that hangs stays behind in a killed process.
    expect(api.maxInFlight).toBeLessThanOrEqual(fault.kind === 'hang' ? api.fired + 1 : 1);
    return snapshot;
  };

  for (let i = 0; i < POLLS; i += 1) {
    await poll();
    await clock.advance(INTERVAL_MS);
  }
  if (mode === 'once' && (fault.kind !== 'hang' || stackOf === inChild)) {
    // Invariant 8: a minute later, as denials are reused and a backoff may run.
    let last: Snapshot;
    let fired: number;
    do {
      ({ fired } = api);
      await clock.advance(60_000);
      last = await poll();
    } while (api.fired > fired);
    expect(last.up).toBe(true);
    expect(last.service?.running).toBe(true);
    if (api.fired === 0) {
      expect(new Set(pages.map((page) => parse(page).get('rras_up')))).toEqual(new Set([1]));
    }
  }
  // The end of a host: one whose call hangs is killed where it stands, and a disconnect may meet the fault too.
  const closing = stack.close().catch(() => undefined);
  await (fault.kind === 'hang' ? settle() : closing);

  // Invariants 2 and 3. A disconnect that met the fault never reached the server.
  const { ledger } = sim;
  expect(ledger.live).toBe(0);
  expect(ledger.strayHandles).toBe(0);
  const lost = api.calls.filter(
    ({ method, fault: met }) => method === 'serverDisconnect' && met !== null,
  ).length;
  const kept = ledger.opened - ledger.closed;
  expect(kept).toBeGreaterThanOrEqual(0);
  if (fault.kind === 'hang') expect(kept).toBeLessThanOrEqual(stack.killed() + 1);
  else if (fault.kind === 'code' || fault.kind === 'throw') expect(kept).toBe(lost);
  else expect(kept).toBe(0);
  return api.fired;
}

/** n = 1, 2, 3, … until the fault does not fire any more; answers that n. */
async function sweep(fault: Fault, mode: 'once' | 'persistent', stackOf: typeof inProcess): Promise<number> {
  for (let at = 1; ; at += 1) {
    let fired: number;
    try {
      fired = await run(fault, mode, at, stackOf);
    } catch (error) {
      throw new Error(`at call ${at}: ${error instanceof Error ? error.message : String(error)}`, {
        cause: error,
      });
    }
    if (fired === 0) return at;
    if (at > 200) throw new Error('the run makes ever more calls');
  }
}

describe.each(['once', 'persistent'] as const)('the sweep, %s', (mode) => {
  it.each(FAULTS)('E10 X1 H8 holds its invariants in the host’s own process: %s', async (_what, fault) => {
    expect(await sweep(fault, mode, inProcess)).toBeGreaterThan(10);
  });

  it.each(FAULTS.filter(([what]) => /hang|throw|1722|truncated$/.test(what)))(
    'N1 X1 holds its invariants with a process of its own: %s',
    async (_what, fault) => {
      expect(await sweep(fault, mode, inChild)).toBeGreaterThan(10);
    },
  );
});
