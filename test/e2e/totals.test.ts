/**
 * A real Prometheus scrapes an exporter of a server whose sessions come and go, over a restart of the exporter: what
 * increase() and rate() make of the totals is what the server did.
 *
 * What a session moves after the last poll that saw it is seen by nobody. With sessions of half a minute, as here, that
 * is 1 to 2 % at one poll a second; therefore somebody else scrapes four times as often, and the loss is told.
 *
 * Both exporters, one after the other, read one simulated server in this process, whose truth is thus known for any
 * moment. Its time stands still while a poll reads it, so that the truth of a poll is exact to the byte.
 */
import { setTimeout as wait } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { enumerate } from '../../src/collector/enumerate.ts';
import { Poller } from '../../src/collector/poller.ts';
import { CATALOGUE } from '../../src/metrics/catalogue.ts';
import { CONTENT_TYPES, PageEncoder } from '../../src/metrics/exposition.ts';
import { ViewMaker } from '../../src/metrics/labels.ts';
import type { Clock } from '../../src/model/clock.ts';
import type { Logger } from '../../src/model/logger.ts';
import type { RrasApi } from '../../src/model/rras-api.ts';
import { SOURCES } from '../../src/model/words.ts';
import { Host } from '../../src/native/host.ts';
import type { SimulatedServer } from '../../src/native/simulator/server.ts';
import { createSimulator } from '../../src/native/simulator/server.ts';
import type { TrueSession } from '../../src/native/simulator/truth.ts';
import { systemClock } from '../../src/runtime/clock.ts';
import { createApp } from '../../src/server/app.ts';
import type { Listener } from '../../src/server/listen.ts';
import { listen } from '../../src/server/listen.ts';
import { PageCache } from '../../src/server/pages.ts';
import { requireTool } from '../tools/require-tool.ts';
import type { Amount } from './measured-totals.ts';
import {
  DIRECTIONS,
  increaseOf,
  movedBetween,
  percent,
  rangeOf,
  unseenOf,
  worstRates,
} from './measured-totals.ts';
import { freePort } from './peer.ts';
import { until } from './program.ts';
import type { Sample } from './scraping-prometheus.ts';
import { ScrapingPrometheus } from './scraping-prometheus.ts';

/** How long the exporters are scraped together; the more, the more windows of a minute. */
const SECONDS = Number(process.env['RRAS_TEST_TOTALS_SECONDS'] ?? 70);
const RESTART_AT = 0.7;
const SCENARIO = 'flapping';
const POLL_EVERY_MS = 250;
/** Prometheus keeps all of it. */
const ALL = '2h';

/** Real time, which the simulated server sees stand still while it is read. */
class HeldClock implements Clock {
  #heldMs: number | undefined;

  monotonicMs(): number {
    return this.#heldMs ?? systemClock.monotonicMs();
  }

  wallSeconds(): number {
    return systemClock.wallSeconds();
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return systemClock.sleep(ms, signal);
  }

  async hold<T>(call: (ms: number) => Promise<T>): Promise<T> {
    // Not rounded: the simulated server must not see time go back.
    this.#heldMs = systemClock.monotonicMs();
    try {
      return await call(this.#heldMs);
    } finally {
      this.#heldMs = undefined;
    }
  }
}

/** What one exporter must say after one poll. */
interface PollTruth {
  readonly ms: number;
  readonly wallSeconds: number;
  readonly total: Amount;
  /** By the user's name and domain. */
  readonly users: ReadonlyMap<string, Amount>;
  /** How many sessions each had until then. */
  readonly sessions: ReadonlyMap<string, number>;
}

const userKey = ({ user, domain }: { user: string; domain: string }): string =>
  JSON.stringify([user, domain]);
const quiet = (): void => undefined;
const SILENT: Logger = { debug: quiet, info: quiet, warn: quiet, error: quiet };

/** The exporter, and beside it a plain account of what each of its polls could see. */
class Exporter {
  readonly polls: PollTruth[] = [];
  readonly #simulator: SimulatedServer;
  readonly #clock: HeldClock;
  readonly #stop = new AbortController();
  #listener: Listener | undefined;
  /** What each session had at the poll that saw it last, and what of it does not count. */
  readonly #seen = new Map<string, { last: TrueSession; before: Amount }>();

  constructor(simulator: SimulatedServer, clock: HeldClock) {
    this.#simulator = simulator;
    this.#clock = clock;
  }

  async start(port: number): Promise<void> {
    const simulator = this.#simulator;
    const api: RrasApi = Object.create(simulator, {
      connectionEnum: {
        value: (...request: Parameters<RrasApi['connectionEnum']>) =>
          this.#clock.hold((ms) => {
            this.#note(ms);
            return simulator.connectionEnum(...request);
          }),
      },
    }) as RrasApi;
    for (const name of [
      'serverConnect',
      'serverDisconnect',
      'isServiceInitialized',
      'serverGetInfo',
      'portEnum',
      'interfaceEnum',
      'interfaceGetInfo',
      'errorString',
    ] as const) {
      Object.defineProperty(api, name, { value: simulator[name].bind(simulator) });
    }
    const poller = new Poller({
      reader: new Host({ api, enumerate, clock: this.#clock, server: null }),
      clock: systemClock,
      logger: SILENT,
      enabled: new Set(SOURCES),
      minIntervalMs: 100,
      maxAgeMs: 60_000,
      userLimit: 5000,
      onRead: quiet,
      onWraps: quiet,
    });
    const views = new ViewMaker({
      privacy: { users: 'plain', addresses: 'plain' },
      detail: 'full',
      limit: 10_000,
    });
    const encoder = new PageEncoder(CATALOGUE, { format: 'text' });
    const pages = new PageCache(
      {
        contentTypes: { ...CONTENT_TYPES, openmetrics: CONTENT_TYPES.text },
        render: (snapshot) =>
          Promise.resolve(encoder.encode(views.view(snapshot, systemClock.monotonicMs()))),
      },
      systemClock,
    );
    const app = createApp({
      telemetryPath: '/metrics',
      maxRequests: 0,
      timeoutMs: 10_000,
      clock: systemClock,
      logger: SILENT,
      pages,
      collect: (waitMs) => poller.collect(waitMs),
      ready: () => poller.ready,
      api: { status: () => ({}), connections: () => [], interfaces: () => [] } as never,
      openApi: {},
    });
    void poller.run(this.#stop.signal);
    void this.#scrapeOften(poller);
    this.#listener = await listen({ host: '127.0.0.1', port }, app);
  }

  async end(): Promise<void> {
    this.#stop.abort();
    this.#listener?.force();
    await this.#listener?.close(AbortSignal.abort());
  }

  async #scrapeOften(poller: Poller): Promise<void> {
    while (!this.#stop.signal.aborted) {
      await poller.collect(1000);
      await systemClock.sleep(POLL_EVERY_MS, this.#stop.signal).catch(quiet);
    }
  }

  /** What sessions that were over by then had moved after the last poll that saw them. */
  unseen(toMs: number): Amount {
    const lastSeen = [...this.#seen.values()].map(({ last }) => last);
    return unseenOf(this.#simulator, lastSeen, toMs);
  }

  #note(ms: number): void {
    for (const session of this.#simulator.liveSessions(ms)) {
      const known = this.#seen.get(session.guid);
      const { receivedBytes, transmittedBytes } = session;
      // What the first poll finds counts from there on, what comes later counts in full.
      const before =
        known?.before ??
        (this.polls.length === 0
          ? { received: receivedBytes, transmitted: transmittedBytes }
          : { received: 0, transmitted: 0 });
      this.#seen.set(session.guid, { last: session, before });
    }
    const total = { received: 0, transmitted: 0 };
    const users = new Map<string, Amount>();
    const sessions = new Map<string, number>();
    for (const { last, before } of this.#seen.values()) {
      const key = userKey(last);
      const user = users.get(key) ?? { received: 0, transmitted: 0 };
      users.set(key, user);
      sessions.set(key, (sessions.get(key) ?? 0) + 1);
      for (const amount of [total, user]) {
        amount.received += last.receivedBytes - before.received;
        amount.transmitted += last.transmittedBytes - before.transmitted;
      }
    }
    this.polls.push({ ms, wallSeconds: systemClock.wallSeconds(), total, users, sessions });
  }
}

const RECEIVED = 'sum(rras_received_bytes_total)';
const TRANSMITTED = 'sum(rras_transmitted_bytes_total)';

requireTool('prometheus')(`a Prometheus over ${SECONDS} s of ${SCENARIO}`, (program) => {
  const clock = new HeldClock();
  let simulator: SimulatedServer;
  let exporters: readonly Exporter[] = [];
  let prometheus: ScrapingPrometheus | undefined;
  /** Samples of the time of the snapshot: one per scrape, of the first exporter and of the second. */
  let scrapes: readonly (readonly Sample[])[];

  beforeAll(
    async () => {
      simulator = createSimulator({ scenario: SCENARIO, seed: 1, clock });
      exporters = [new Exporter(simulator, clock), new Exporter(simulator, clock)];
      const [first, second] = exporters;
      const port = await freePort();
      await first!.start(port);
      prometheus = await ScrapingPrometheus.start(program, `127.0.0.1:${port}`);
      const server = prometheus;
      const count = async (): Promise<number> =>
        (await server.samples('rras_snapshot_timestamp_seconds', ALL)).length;
      await until('the first scrape', async () => (await count()) > 0, 30_000);
      await wait(SECONDS * RESTART_AT * 1000);
      await first!.end();
      await second!.start(port);
      await wait(SECONDS * (1 - RESTART_AT) * 1000);
      await second!.end();
      // What was scraped last may be on its way into the store still.
      await wait(1000);
      const samples = await server.samples('rras_snapshot_timestamp_seconds', ALL);
      // Polls of the second exporter begin with its background poll, before its first scrape.
      const begin = second!.polls[0]!.wallSeconds;
      scrapes = [samples.filter(({ value }) => value < begin), samples.filter(({ value }) => value >= begin)];
    },
    (SECONDS + 60) * 1000,
  );

  afterAll(async () => {
    await prometheus?.end();
    for (const exporter of exporters) await exporter.end();
  });

  /** The poll that a scrape was answered from. */
  function pollOf(which: number, { value }: Sample): PollTruth {
    return exporters[which]!.polls.filter(({ wallSeconds }) => wallSeconds <= value).at(-1)!;
  }

  const moved = (fromMs: number, toMs: number): Amount => movedBetween(simulator, fromMs, toMs);

  test('scraped both exporters about once a second, and saw a restart', () => {
    expect(scrapes[0]!.length).toBeGreaterThan(SECONDS * RESTART_AT * 0.8);
    expect(scrapes[1]!.length).toBeGreaterThan(SECONDS * (1 - RESTART_AT) * 0.8);
    expect(prometheus!.log).not.toMatch(/level=(?:warn|error)/);
  });

  test('has at every scrape, to the byte, what the sessions had that the poll could see', async () => {
    for (const [which, samples] of scrapes.entries()) {
      for (const sample of samples) {
        const { total } = pollOf(which, sample);
        expect(await prometheus!.value(RECEIVED, sample.ms)).toBe(total.received);
        expect(await prometheus!.value(TRANSMITTED, sample.ms)).toBe(total.transmitted);
      }
    }
  });

  test('makes an increase() over the whole run, restart included, that is within 1 % of the truth', async () => {
    const [first, second] = scrapes;
    const from = first!.at(0)!;
    const to = second!.at(-1)!;
    const range = rangeOf(from, to);
    const truth = moved(pollOf(0, from).ms, pollOf(1, to).ms);
    // While no exporter ran, nobody could count.
    const gap = moved(pollOf(0, first!.at(-1)!).ms, exporters[1]!.polls[0]!.ms);
    const ends = [pollOf(0, first!.at(-1)!).ms, pollOf(1, to).ms];
    const polls = exporters.flatMap(({ polls: each }) => each.slice(1).map(({ ms }, n) => ms - each[n]!.ms));
    const meanGapMs = polls.reduce((sum, each) => sum + each, 0) / polls.length;
    for (const direction of DIRECTIONS) {
      const increase = await increaseOf(prometheus!, direction, from, to);
      const unseen = exporters.reduce(
        (sum, exporter, which) => sum + exporter.unseen(ends[which]!)[direction],
        0,
      );
      const expected = truth[direction] - gap[direction];
      const off = increase / truth[direction] - 1;
      process.stdout.write(
        `${direction}: increase over ${range} ${increase} of ${truth[direction]} (${percent(off)}); while no exporter ran ` +
          `${percent(gap[direction] / truth[direction])}, unseen at ends ${percent(unseen / truth[direction])}, ` +
          `unexplained ${percent((increase + unseen) / expected - 1)}; a poll every ${meanGapMs.toFixed(0)} ms\n`,
      );
      expect(increase).toBeLessThanOrEqual(truth[direction]);
      // Only sessions shorter than the time between two polls are left.
      expect(Math.abs((increase + unseen) / expected - 1)).toBeLessThan(0.001);
      // A machine that is too busy to poll as often loses more.
      expect(1 - increase / expected).toBeLessThan(0.01 * Math.max(1, meanGapMs / (1.5 * POLL_EVERY_MS)));
    }
  });

  test('never makes a rate() that is above the true one by more than 5 %', async () => {
    const all = scrapes.flatMap((samples, which) =>
      samples.map((sample) => ({ sample, ms: pollOf(which, sample).ms })),
    );
    const { windows, worst } = await worstRates(prometheus!, all, moved);
    process.stdout.write(
      `rate over ${windows} windows of a minute, worst over true: ${JSON.stringify(worst)}\n`,
    );
    expect(windows).toBeGreaterThan(0);
    expect(worst.received).toBeLessThan(1.05);
    expect(worst.transmitted).toBeLessThan(1.05);
  });

  test('answers the traffic of a user over three sessions, and of a site link over three dials, by one query each', async () => {
    const [samples] = scrapes;
    const from = samples!.at(0)!;
    const to = samples!.at(-1)!;
    const before = pollOf(0, from);
    const after = pollOf(0, to);
    const links = new Map(
      simulator.links().map(({ name }) => [name.toLowerCase().replaceAll(' ', '-'), name]),
    );
    // Who was there at the first scrape: a series that appears later begins with what its session had by then.
    const often = [...after.sessions].filter(
      ([key, sessions]) => sessions - (before.sessions.get(key) ?? 0) >= 2 && before.users.has(key),
    );
    const nameOf = (key: string): [user: string, domain: string] => JSON.parse(key) as [string, string];
    const users = often.filter(([key]) => !links.has(nameOf(key)[0]));
    // A router logs on in either domain: its link has the traffic of both.
    const byLink = new Map<string, { sessions: number; amount: Amount }>();
    for (const [key, amount] of after.users) {
      const link = links.get(nameOf(key)[0]);
      if (link === undefined) continue;
      const entry = byLink.get(link) ?? { sessions: 0, amount: { received: 0, transmitted: 0 } };
      const start = before.users.get(key) ?? { received: 0, transmitted: 0 };
      entry.sessions += after.sessions.get(key)!;
      entry.amount.received += amount.received - start.received;
      entry.amount.transmitted += amount.transmitted - start.transmitted;
      byLink.set(link, entry);
    }
    const dialled = [...byLink].filter(([, { sessions }]) => sessions >= 3);
    expect(users.length).toBeGreaterThan(0);
    expect(dialled.length).toBeGreaterThan(0);

    const range = rangeOf(from, to);
    const ask = async (family: string, selector: string): Promise<Amount> => ({
      received: (await prometheus!.value(
        `increase(rras_${family}_received_bytes_total{${selector}}[${range}])`,
        to.ms,
      ))!,
      transmitted: (await prometheus!.value(
        `increase(rras_${family}_transmitted_bytes_total{${selector}}[${range}])`,
        to.ms,
      ))!,
    });
    for (const [key] of users) {
      const [user, domain] = nameOf(key);
      const start = before.users.get(key)!;
      const end = after.users.get(key)!;
      expect(await ask('user', `user=${JSON.stringify(user)},domain=${JSON.stringify(domain)}`)).toEqual({
        received: end.received - start.received,
        transmitted: end.transmitted - start.transmitted,
      });
    }
    for (const [name, { amount }] of dialled) {
      expect(await ask('interface', `interface=${JSON.stringify(name)}`)).toEqual(amount);
    }
    process.stdout.write(
      `users over three sessions: ${users.length}; links over three dials: ${dialled.length}\n`,
    );
  });
});
