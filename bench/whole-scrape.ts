/**
 * The whole way in the built program: from the (simulated) native memory to the last byte at a client of HTTP. Every
 * scrape enumerates: they come further apart than the exporter shares one, and its own counters must say so.
 */
import { setTimeout as wait } from 'node:timers/promises';
import { gunzipSync } from 'node:zlib';
import type { LoopDelays, OfBoth } from './exporter-process.ts';
import { ExporterProcess } from './exporter-process.ts';
import type { TimedAnswer } from './http-client.ts';
import { timedRequest } from './http-client.ts';
import { countSamples, sampleValue } from './page-text.ts';
import type { Scrapes } from './plan.ts';
import type { MemoryFigures } from './process-figures.ts';
import { median } from './timing.ts';

/** Beyond --collector.min-interval, which is 1 s. */
const BETWEEN_SCRAPES_MS = 1_050;
/** The delays of a scrape are all noted by then. */
const LOOP_SETTLES_MS = 20;
const ENUMERATION = 'rras_exporter_native_calls_total{function="MprAdminConnectionEnum"}';
const START_SCENARIO = 'large:100';
const IDLE_SCENARIO = 'office';

export interface ScrapeFigures {
  /** To the last byte, median. */
  readonly ms: number;
  readonly bytes: number;
  /** Longest delay of each scrape, and its 99th percentile: median and worst of the scrapes. */
  readonly longestDelayMs: number;
  readonly worstDelayMs: number;
  readonly p99DelayMs: number;
  readonly worstP99DelayMs: number;
  /** Per scrape, what happens between two of them included. */
  readonly cpuSeconds: OfBoth<number>;
}

export interface WholeScrapeFigures {
  readonly gzip: ScrapeFigures;
  readonly plain: ScrapeFigures;
  /** On the page, the exporter's own included. */
  readonly samples: number;
  readonly nativeCallsPerScrape: number;
  /** After all scrapes. */
  readonly memory: OfBoth<MemoryFigures>;
}

export async function measureWholeScrape(scenario: string, counts: Scrapes): Promise<WholeScrapeFigures> {
  const exporter = await ExporterProcess.start(scenario, { probed: true });
  try {
    const { warmUp, gzip, plain } = counts;
    for (let i = 1; i < warmUp; i += 1) await scrape(exporter, true);
    const before = pageOf(await scrape(exporter, true));
    const compressed = await scrapes(exporter, gzip, true);
    const uncompressed = await scrapes(exporter, plain, false);
    const after = pageOf(uncompressed.last);
    const enumerations = callsOf(after, ENUMERATION) - callsOf(before, ENUMERATION);
    if (enumerations < gzip + plain) {
      throw new Error(`${gzip + plain} scrapes were answered with ${enumerations} enumerations`);
    }
    return {
      gzip: compressed.figures,
      plain: uncompressed.figures,
      samples: countSamples([after]),
      nativeCallsPerScrape: (allCalls(after) - allCalls(before)) / enumerations,
      memory: exporter.memory,
    };
  } finally {
    await exporter.end();
  }
}

async function scrape(exporter: ExporterProcess, gzip: boolean): Promise<TimedAnswer> {
  await wait(BETWEEN_SCRAPES_MS);
  return timedRequest(exporter.url, { gzip });
}

async function scrapes(
  exporter: ExporterProcess,
  count: number,
  gzip: boolean,
): Promise<{ figures: ScrapeFigures; last: TimedAnswer }> {
  const answers: TimedAnswer[] = [];
  const delays: LoopDelays[] = [];
  const cpuBefore = exporter.cpuSeconds;
  for (let i = 0; i < count; i += 1) {
    await wait(BETWEEN_SCRAPES_MS);
    await exporter.loopDelays();
    // Older pages are let go: they are large.
    const answer = await timedRequest(exporter.url, { gzip });
    answers.push(i === count - 1 ? answer : { ...answer, chunks: [] });
    await wait(LOOP_SETTLES_MS);
    delays.push(await exporter.loopDelays());
  }
  const cpuAfter = exporter.cpuSeconds;
  const longest = delays.map(({ maxMs }) => maxMs);
  const p99 = delays.map(({ p99Ms }) => p99Ms);
  const figures = {
    ms: median(answers.map(({ ms }) => ms)),
    bytes: median(answers.map(({ bytes }) => bytes)),
    longestDelayMs: median(longest),
    worstDelayMs: Math.max(...longest),
    p99DelayMs: median(p99),
    worstP99DelayMs: Math.max(...p99),
    cpuSeconds: {
      exporter: (cpuAfter.exporter - cpuBefore.exporter) / count,
      host: (cpuAfter.host - cpuBefore.host) / count,
    },
  };
  return { figures, last: answers.at(-1)! };
}

function pageOf({ chunks }: TimedAnswer): Buffer {
  const bytes = Buffer.concat(chunks);
  return bytes[0] === 0x1f && bytes[1] === 0x8b ? gunzipSync(bytes) : bytes;
}

/** The exporter's own metrics stand at the end of the page. */
const OWN_METRICS_BYTES = 256 * 1024;
const ownMetrics = (page: Buffer): string => page.subarray(-OWN_METRICS_BYTES).toString('utf8');

function callsOf(page: Buffer, series: string): number {
  const calls = sampleValue(ownMetrics(page), series);
  if (calls === undefined) throw new Error(`the page has no ${series}`);
  return calls;
}

function allCalls(page: Buffer): number {
  let sum = 0;
  const lines = ownMetrics(page).matchAll(/^rras_exporter_native_calls_total\{[^}]*\} (\d+)$/gm);
  for (const [, value] of lines) sum += Number(value);
  return sum;
}

/** Start of the process to the last byte of its first answer, in milliseconds: median of some starts. */
export async function measureStart(starts: number): Promise<number> {
  const times: number[] = [];
  for (let i = 0; i < starts; i += 1) {
    const exporter = await ExporterProcess.start(START_SCENARIO, { probed: false });
    try {
      await timedRequest(exporter.url);
      times.push(performance.now() - exporter.startedMs);
    } finally {
      await exporter.end();
    }
  }
  return median(times);
}

/** An exporter that nobody asks. */
export class IdleExporter {
  readonly #exporter: ExporterProcess;

  private constructor(exporter: ExporterProcess) {
    this.#exporter = exporter;
  }

  static async start(): Promise<IdleExporter> {
    return new IdleExporter(await ExporterProcess.start(IDLE_SCENARIO, { probed: false }));
  }

  /** Its memory once it has run for so long, or longer; it is ended then. */
  async after(seconds: number): Promise<OfBoth<MemoryFigures>> {
    try {
      await wait(Math.max(0, this.#exporter.startedMs + seconds * 1000 - performance.now()));
      return this.#exporter.memory;
    } finally {
      await this.#exporter.end();
    }
  }
}
