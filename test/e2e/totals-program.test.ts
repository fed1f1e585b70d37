/**
 * A real Prometheus scrapes the program for some minutes in which sessions end and their handles serve others, and the
 * program is ended by SIGTERM and started anew on its port: what increase() and rate() make of the totals is what the
 * simulated servers did. totals.test.ts looks closer, without the program's processes.
 *
 * Each of the two programs has a server of its own, which lives as long as the program. The truth is all that these
 * two moved: also what went by between the last scrape and the signal, and before the first poll of the second. It is
 * that of twins of the servers in this process.
 *
 * What a session moves after the last poll that saw it is seen by nobody. Sessions of half a minute, as here, lose 1 to
 * 2 % to that at one poll a second; therefore somebody else scrapes far more often.
 */
import { setTimeout as wait } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { TrueSession } from '../../src/native/simulator/truth.ts';
import { Page } from '../metrics/page.ts';
import { requireTool } from '../tools/require-tool.ts';
import type { Amount, Scrape } from './measured-totals.ts';
import {
  DIRECTIONS,
  increaseOf,
  movedBetween,
  percent,
  rangeOf,
  unseenOf,
  worstRates,
} from './measured-totals.ts';
import type { Ending } from './program.ts';
import { buildIfStale, endAll, Program, until } from './program.ts';
import { ScrapingPrometheus } from './scraping-prometheus.ts';
import { SimulatedTwin } from './simulated-twin.ts';

/** How long the programs are scraped together; the first one needs more than a minute of it. */
const SECONDS = Number(process.env['RRAS_TEST_TOTALS_PROGRAM_SECONDS'] ?? 200);
const RESTART_AT = 0.65;
const SCENARIO = 'flapping';
const POLL_EVERY_MS = 100;
const FLAGS = [`--rras.simulate=${SCENARIO}`, '--collector.min-interval=20ms'];
/** Between a scrape and the signal: what passes in between is lost. */
const JUST_SCRAPED_MS = 250;
/** Prometheus keeps all of it. */
const ALL = '2h';
const TIMESTAMP = 'rras_snapshot_timestamp_seconds';

/** The program, somebody who scrapes it all the time, and the truth of the server that it reads. */
class Run {
  readonly program: Program;
  /** When the server was read, in wall milliseconds, as far as pages of this scraper tell. */
  readonly pollsMs: number[] = [];
  endedMs = Infinity;
  #twin: SimulatedTwin | undefined;
  #first: string | undefined;
  #newest = '';
  readonly #scraping: Promise<void>;

  private constructor(program: Program) {
    this.program = program;
    this.#scraping = this.#scrapeOften();
    // Whoever ends the run is told.
    this.#scraping.catch(() => undefined);
  }

  static async start(port = 0): Promise<Run> {
    // Others may have built anew since.
    await buildIfStale();
    const run = new Run(await Program.serveOn(port, ...FLAGS));
    await until('a first page', () => run.#first !== undefined);
    run.#twin = new SimulatedTwin(SCENARIO, run.first());
    return run;
  }

  get twin(): SimulatedTwin {
    return this.#twin!;
  }

  /** The page that was scraped first: of the first poll, as a rule. */
  first(): Page {
    return new Page(this.#first!, { bareHeads: true });
  }

  /** The page that was scraped last. */
  newest(): Page {
    return new Page(this.#newest, { bareHeads: true });
  }

  async end(): Promise<Ending> {
    this.endedMs = Date.now();
    const ending = await this.program.end('SIGTERM');
    await this.#scraping;
    return ending;
  }

  /** What its server moved in this time, as far as it was there. */
  moved(fromMs: number, toMs: number): Amount {
    const { server, originMs } = this.twin;
    const from = Math.max(fromMs, originMs);
    return movedBetween(server, from, Math.max(from, Math.min(toMs, this.endedMs)));
  }

  /** Every session that some poll from the first of the scrapes to the last saw, as the last poll found it. */
  seen(scrapes: readonly Scrape[]): TrueSession[] {
    const [from, to] = [scrapes.at(0)!.ms, scrapes.at(-1)!.ms];
    const polls = [...this.pollsMs, ...scrapes.map(({ ms }) => ms)].filter((ms) => ms >= from && ms <= to);
    const seen = new Map<string, TrueSession>();
    for (const ms of polls.sort((a, b) => a - b)) {
      for (const session of this.twin.server.liveSessions(ms)) seen.set(session.guid, session);
    }
    return [...seen.values()];
  }

  async #scrapeOften(): Promise<void> {
    while (this.endedMs === Infinity) {
      try {
        const { text } = await this.program.get('/metrics');
        const ms = Math.floor(Number(/^rras_snapshot_timestamp_seconds (.*)$/m.exec(text)![1]) * 1000);
        if (ms !== this.pollsMs.at(-1)) this.pollsMs.push(ms);
        this.#first ??= text;
        this.#newest = text;
      } catch (error) {
        // The signal was quicker than the answer.
        if (this.endedMs === Infinity) throw error;
      }
      await wait(POLL_EVERY_MS);
    }
  }
}

const sum = (amounts: readonly Amount[]): Amount => ({
  received: amounts.reduce((total, { received }) => total + received, 0),
  transmitted: amounts.reduce((total, { transmitted }) => total + transmitted, 0),
});

requireTool('prometheus')(`a Prometheus over ${SECONDS} s of the program and ${SCENARIO}`, (path) => {
  const runs: Run[] = [];
  const endings: Ending[] = [];
  let prometheus: ScrapingPrometheus | undefined;
  /** Of the first run and of the second. */
  let scrapes: readonly (readonly Scrape[])[];

  beforeAll(
    async () => {
      const first = await Run.start();
      runs.push(first);
      const { host, port } = new URL(first.program.url);
      const server = (prometheus = await ScrapingPrometheus.start(path, host));
      const sinceScrapeMs = async (): Promise<number> =>
        Date.now() - ((await server.value(TIMESTAMP, Date.now())) ?? -Infinity) * 1000;
      await until('the first scrape', async () => (await sinceScrapeMs()) < Infinity, 30_000);
      await wait(SECONDS * RESTART_AT * 1000);
      await until('a fresh scrape', async () => (await sinceScrapeMs()) < JUST_SCRAPED_MS, 60_000);
      endings.push(await first.end());
      const second = await Run.start(Number(port));
      runs.push(second);
      await wait(SECONDS * (1 - RESTART_AT) * 1000);
      endings.push(await second.end());
      // What was scraped last may be on its way into the store still.
      await wait(1000);
      const all = (await server.samples(TIMESTAMP, ALL)).map((sample) => ({
        sample,
        ms: Math.floor(sample.value * 1000),
      }));
      const { originMs } = second.twin;
      scrapes = [all.filter(({ ms }) => ms < originMs), all.filter(({ ms }) => ms >= originMs)];
    },
    (SECONDS + 180) * 1000,
  );

  afterAll(async () => {
    await prometheus?.end();
    await endAll();
  });

  /** Everything that the two servers moved while they were there. */
  const moved = (fromMs: number, toMs: number): Amount => sum(runs.map((run) => run.moved(fromMs, toMs)));

  test('scraped two processes on one port about once a second, and logged no trouble', async () => {
    const [first, second] = runs;
    for (const { code, signal } of endings) expect({ code, signal }).toEqual({ code: 0, signal: null });
    expect(second!.program.pid).not.toBe(first!.program.pid);
    expect(second!.program.url).toBe(first!.program.url);
    const started: (number | undefined)[] = [];
    for (const [which, share] of [RESTART_AT, 1 - RESTART_AT].entries()) {
      expect(scrapes[which]!.length).toBeGreaterThan(SECONDS * share * 0.8);
      const { sample } = scrapes[which]!.at(-1)!;
      started.push(await prometheus!.value('process_start_time_seconds', sample.ms));
    }
    // In whole seconds.
    expect(started[1]! - started[0]!).toBeGreaterThan(SECONDS * RESTART_AT - 1);
    expect(await prometheus!.value(`changes(process_start_time_seconds[${ALL}])`, Date.now())).toBe(1);
    expect(prometheus!.log).not.toMatch(/level=(?:warn|error)/);
  });

  test('had servers whose truth is known: the last page of each, as the first, is theirs to the byte', () => {
    for (const run of runs) {
      const page = run.newest();
      const lagMs = page.value(TIMESTAMP)! * 1000 - run.twin.readAt(page);
      process.stdout.write(
        `a server made at ${run.twin.originMs}, read ${run.pollsMs.length} times; its last page is from ` +
          `${lagMs.toFixed(0)} ms after the read\n`,
      );
    }
  });

  test('saw sessions end in both runs, and handles that served a second session', async () => {
    for (const [which, run] of runs.entries()) {
      const from = scrapes[which]!.at(0)!;
      const to = scrapes[which]!.at(-1)!;
      const ended = (await prometheus!.value(
        `sum(increase(rras_sessions_ended_total[${rangeOf(from.sample, to.sample)}]))`,
        to.sample.ms,
      ))!;
      const seen = run.seen(scrapes[which]!);
      const handles = Map.groupBy(seen, ({ handle }) => handle);
      const reused = [...handles.values()].filter(({ length }) => length > 1);
      process.stdout.write(
        `sessions: ${seen.length} seen, ${ended} ended; ${reused.length} of ${handles.size} handles served several\n`,
      );
      expect(ended).toBeGreaterThan(0);
      // The last one or two may have ended between the read and the time of its snapshot.
      expect(Math.abs(ended - seen.filter(({ endMs }) => endMs <= to.ms).length)).toBeLessThanOrEqual(2);
      expect(reused.length).toBeGreaterThan(0);
    }
  });

  test('makes an increase() over the whole run, restart included, that is within 1 % of the truth', async () => {
    const from = scrapes[0]!.at(0)!;
    const to = scrapes[1]!.at(-1)!;
    const restart = { fromMs: scrapes[0]!.at(-1)!.ms, toMs: runs[1]!.twin.readAt(runs[1]!.first()) };
    const truth = moved(from.ms, to.ms);
    const atRestart = moved(restart.fromMs, restart.toMs);
    const unseen = sum(
      runs.map((run, which) =>
        unseenOf(run.twin.server, run.seen(scrapes[which]!), scrapes[which]!.at(-1)!.ms),
      ),
    );
    const gaps = runs.flatMap(({ pollsMs }) => pollsMs.slice(1).map((ms, n) => ms - pollsMs[n]!));
    const meanGapMs = gaps.reduce((total, each) => total + each, 0) / gaps.length;
    for (const direction of DIRECTIONS) {
      const increase = await increaseOf(prometheus!, direction, from.sample, to.sample);
      const [whole, lost, missed] = [truth[direction], atRestart[direction], unseen[direction]];
      const off = increase / whole - 1;
      const unexplained = (increase + lost + missed) / whole - 1;
      process.stdout.write(
        `${direction}: increase over ${rangeOf(from.sample, to.sample)} ${increase} of ${whole} (${percent(off)}); ` +
          `unseen at ends ${percent(missed / whole)}, at the restart ${percent(lost / whole)}, ` +
          `unexplained ${percent(unexplained)}; a poll every ${meanGapMs.toFixed(0)} ms, the longest after ` +
          `${Math.max(...gaps)} ms\n`,
      );
      expect(Math.abs(off)).toBeLessThan(0.01);
      // Times of snapshots are a little later than the reads.
      expect(Math.abs(unexplained)).toBeLessThan(0.002);
    }
  });

  test('never makes a rate() that is above the true one by more than 5 %', async () => {
    const { windows, worst } = await worstRates(prometheus!, scrapes.flat(), moved);
    process.stdout.write(
      `rate over ${windows} windows of a minute, worst over true: ${JSON.stringify(worst)}\n`,
    );
    // One at each scrape, once the first minute is over.
    expect(windows).toBeGreaterThan((SECONDS - 60) * 0.7);
    for (const direction of DIRECTIONS) expect(worst[direction]).toBeLessThan(1.05);
  });
});
