/**
 * A receiver that is away, slow, full or hanging: nobody who scrapes notices, memory stays, the exporter counts it and
 * writes one line to the log for each change of state, and goes on once the receiver does.
 */
import { readFileSync } from 'node:fs';
import { setTimeout as wait } from 'node:timers/promises';
import { afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { Metric, Signal } from './otlp-messages.ts';
import { SIGNALS } from './otlp-messages.ts';
import { METRICS_ONLY, startOtlpProgram } from './otlp-program.ts';
import type { Answering } from './otlp-receiver.ts';
import { OtlpReceiver } from './otlp-receiver.ts';
import type { Program } from './program.ts';
import { buildIfStale, endAll, until } from './program.ts';

/** How long the receiver is away. */
const AWAY_SECONDS = Number(process.env['RRAS_TEST_OTLP_AWAY_SECONDS'] ?? 60);
const BEFORE_SECONDS = 10;
const INTERVAL_MS = 500;
const SCRAPE_EVERY_MS = 200;
const MEBIBYTE = 1024 * 1024;
/** What the memory of a process moves by between two collections of garbage. */
const NOISE_BYTES = 24 * MEBIBYTE;
/** Of one signal one export at a time; the one that is given up may be on its way out still. */
const MOST_AT_ONCE = 2 * SIGNALS.length;
/** The exporter waits a while before it tries again. */
const BACK_WITHIN_MS = 15_000;

let receiver: OtlpReceiver;

beforeAll(buildIfStale);
beforeEach(async () => {
  receiver = await OtlpReceiver.start({ keep: 40 });
});
afterEach(async () => {
  await endAll();
  await receiver.goAway();
});

const start = (scenario: string, environment: Readonly<Record<string, string>> = {}): Promise<Program> =>
  startOtlpProgram({ endpoint: receiver.url, scenario, intervalMs: INTERVAL_MS, environment });

type Result = 'success' | 'partial' | 'failure';

async function exportsOf(program: Program, signal: Signal, result: Result): Promise<number> {
  return (await program.scrape()).values('rras_exporter_otlp_exports_total')?.[`${signal}/${result}`] ?? 0;
}

/** A store refuses what is older than what it has: nothing is sent again after something newer. */
function expectInOrder(): void {
  const times = receiver
    .of('metrics')
    .map(({ metrics }) => metrics.flatMap(({ points }) => points.map(({ timeNs }) => timeNs))[0]!);
  const late = times.filter((time, n) => n > 0 && time < times[n - 1]!);
  expect(late).toEqual([]);
}

/** Waits until so many more exports have ended like this. */
async function more(program: Program, result: Result, count = 2): Promise<void> {
  const before = await exportsOf(program, 'metrics', result);
  await until(
    `${count} more exports that end in ${result}`,
    async () => {
      await wait(100);
      return (await exportsOf(program, 'metrics', result)) >= before + count;
    },
    BACK_WITHIN_MS,
  );
}

const CHANGE = /level=(\w+) msg="(OTLP export works|OTLP export fails|the OTLP receiver refuses)/;

/** What the log says of the state of a signal's exports, line by line. */
const changesOf = (log: string, signal: Signal): string[] =>
  log
    .split('\n')
    .filter((line) => line.includes(` signal=${signal}`))
    .flatMap((line) => {
      const [, level, text] = CHANGE.exec(line) ?? [];
      return level === undefined ? [] : [`${level}: ${text!}`];
    });

const FAILS = 'warn: OTLP export fails';
const WORKS = 'info: OTLP export works';
const REFUSES = 'warn: the OTLP receiver refuses';

function residentBytes(pid: number): number {
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))![1]) * 1024;
}

interface Watched {
  /** In order of size. */
  readonly scrapesMs: readonly number[];
  readonly rssBytes: readonly number[];
}

/** Scrapes for some time. Each scrape reads the server anew where min-interval is 0. */
async function watch(program: Program, seconds: number): Promise<Watched> {
  const scrapesMs: number[] = [];
  const rssBytes: number[] = [];
  const endMs = performance.now() + seconds * 1000;
  while (performance.now() < endMs) {
    const startMs = performance.now();
    await program.scrape();
    scrapesMs.push(performance.now() - startMs);
    rssBytes.push(residentBytes(program.pid));
    await wait(SCRAPE_EVERY_MS);
  }
  return { scrapesMs: scrapesMs.sort((a, b) => a - b), rssBytes };
}

const share = (sorted: readonly number[], part: number): number =>
  sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))]!;
const mean = (values: readonly number[]): number =>
  values.reduce((sum, each) => sum + each, 0) / values.length;
/** The mean of a third of the values, which smooths what garbage collection does. */
const third = (values: readonly number[], which: 0 | 2): number => {
  const size = Math.floor(values.length / 3);
  return mean(values.slice(which * size, (which + 1) * size));
};

const OUTAGES: readonly [what: string, leave: () => Promise<void>][] = [
  ['is not there', () => receiver.goAway()],
  [
    'takes requests and never answers',
    () => {
      receiver.answer({ kind: 'hang' });
      return Promise.resolve();
    },
  ],
];

describe.each(OUTAGES)(`a receiver that for ${AWAY_SECONDS} s %s`, (what, leave) => {
  test(
    'slows no scrape, costs no memory, shows in the metrics and the log, and gets metrics again',
    { timeout: (BEFORE_SECONDS + AWAY_SECONDS + 60) * 1000, retry: 2 },
    async () => {
      const program = await start('office');
      await more(program, 'success');
      const before = await watch(program, BEFORE_SECONDS);
      await leave();
      const during = await watch(program, AWAY_SECONDS);
      const failures = await exportsOf(program, 'metrics', 'failure');
      const { mostAtOnce } = receiver;
      await receiver.goAway();
      receiver.answer({ kind: 'take' });
      await receiver.comeBack();
      const backMs = performance.now();
      await receiver.next('metrics', 2, BACK_WITHIN_MS);
      const resumedMs = performance.now() - backMs;
      await more(program, 'success');

      const growth = third(during.rssBytes, 2) - third(during.rssBytes, 0);
      const [usual, away] = [before, during].map(({ scrapesMs }) => ({
        half: share(scrapesMs, 0.5),
        most: share(scrapesMs, 0.95),
      }));
      process.stdout.write(
        `${what}: scrapes before ${usual!.half.toFixed(1)} ms (95 %: ${usual!.most.toFixed(1)}), then ` +
          `${away!.half.toFixed(1)} ms (${away!.most.toFixed(1)}); memory ` +
          `${(third(during.rssBytes, 0) / MEBIBYTE).toFixed(0)} MiB and ${(growth / MEBIBYTE).toFixed(1)} more; ` +
          `${failures} failures; metrics again after ${resumedMs.toFixed(0)} ms; ` +
          `${mostAtOnce} requests at once\n`,
      );
      expect(away!.half).toBeLessThan(usual!.half * 1.5 + 2);
      expect(away!.most).toBeLessThan(usual!.most * 1.5 + 40);
      expect(growth).toBeLessThan(NOISE_BYTES);
      // Each export fails before the next one is due, or about so.
      expect(failures).toBeGreaterThan(AWAY_SECONDS / 3);
      expect(mostAtOnce).toBeLessThanOrEqual(MOST_AT_ONCE);
      expectInOrder();
      const { stderr, code } = await program.end();
      expect(code).toBe(0);
      expect(changesOf(stderr, 'metrics')).toEqual([FAILS, WORKS]);
      for (const signal of ['traces', 'logs'] as const) {
        const changes = changesOf(stderr, signal);
        expect(changes.length, `${signal}: ${changes.join()}`).toBeLessThanOrEqual(2);
        expect(changes[0] ?? FAILS).toBe(FAILS);
        expect(changes[1] ?? WORKS).toBe(WORKS);
      }
      expect(stderr).not.toMatch(/level=error/);
    },
  );
});

describe('a receiver that', () => {
  const troubles: readonly [what: string, answering: Answering, result: Result, change: string][] = [
    ['is full (429)', { kind: 'refuse', status: 429 }, 'failure', FAILS],
    [
      'is full and says when to come again (429)',
      { kind: 'refuse', status: 429, retryAfterSeconds: 1 },
      'failure',
      FAILS,
    ],
    ['has trouble of its own (503)', { kind: 'refuse', status: 503 }, 'failure', FAILS],
    ['does not know who sends (401)', { kind: 'refuse', status: 401 }, 'failure', FAILS],
    ['finds the request bad (400)', { kind: 'refuse', status: 400 }, 'failure', FAILS],
    ['breaks connections off', { kind: 'drop' }, 'failure', FAILS],
    ['is too slow', { kind: 'slow', afterMs: 5 * INTERVAL_MS }, 'failure', FAILS],
    ['takes a part', { kind: 'partial', rejected: 3, message: 'three are too old' }, 'partial', REFUSES],
  ];

  test.each(troubles)(
    '%s is counted and logged once, and once when it works again',
    async (_, answering, result, change) => {
      const program = await start('small', METRICS_ONLY);
      await more(program, 'success');
      receiver.answer(answering);
      await more(program, result, 4);
      receiver.answer({ kind: 'take' });
      await more(program, 'success', 3);
      const { stderr } = await program.end();
      expect(changesOf(stderr, 'metrics')).toEqual([change, WORKS]);
      if (answering.kind === 'partial') expect(stderr).toContain(answering.message);
      // The SDK keeps the status of what it would have tried again to itself.
      if (answering.kind === 'refuse' && answering.status < 429)
        expect(stderr).toContain(`${answering.status}`);
      expect(receiver.mostAtOnce).toBeLessThanOrEqual(MOST_AT_ONCE);
      expectInOrder();
      expect(receiver.complaints).toEqual([]);
    },
    40_000,
  );

  test('is slow but in time delays no scrape and is not reported', async () => {
    const program = await start('small', METRICS_ONLY);
    receiver.answer({ kind: 'slow', afterMs: 0.5 * INTERVAL_MS });
    await more(program, 'success', 3);
    const { scrapesMs } = await watch(program, 3);
    expect(share(scrapesMs, 0.95)).toBeLessThan(0.5 * INTERVAL_MS);
    expect(await exportsOf(program, 'metrics', 'failure')).toBe(0);
    expect(receiver.mostAtOnce).toBe(1);
    expect(changesOf((await program.end()).stderr, 'metrics')).toEqual([]);
  });

  test('answers nonsense hurts nobody', async () => {
    const program = await start('small', METRICS_ONLY);
    await more(program, 'success');
    receiver.answer({ kind: 'garbage' });
    await receiver.next('metrics', 3);
    receiver.answer({ kind: 'take' });
    await more(program, 'success', 3);
    const { code, stderr } = await program.end();
    expect(code).toBe(0);
    expect(changesOf(stderr, 'metrics').length).toBeLessThanOrEqual(2);
  });

  test('is not there from the start is reported once, and gets metrics when it comes', async () => {
    await receiver.goAway();
    const program = await start('small', METRICS_ONLY);
    await more(program, 'failure', 3);
    await receiver.comeBack();
    await receiver.next('metrics', 2, BACK_WITHIN_MS);
    expect(changesOf((await program.end()).stderr, 'metrics')).toEqual([FAILS, WORKS]);
  });

  test('never answers does not keep the exporter from ending', async () => {
    const program = await start('small');
    await more(program, 'success');
    receiver.answer({ kind: 'hang' });
    await more(program, 'failure', 1);
    const { code, signal, ms } = await program.end();
    process.stdout.write(`ended ${ms.toFixed(0)} ms after SIGTERM\n`);
    expect({ code, signal }).toEqual({ code: 0, signal: null });
    expect(ms).toBeLessThan(3000);
  });

  test('was away learns which sessions ended meanwhile', { timeout: 60_000 }, async () => {
    const connectionsOf = (metrics: readonly Metric[], ended: boolean): Set<unknown> =>
      new Set(
        metrics
          .filter(({ name }) => name === 'rras.connection.received')
          .flatMap(({ points }) => [...points])
          .filter(({ noRecordedValue }) => noRecordedValue === ended)
          .map(({ attributes }) => attributes['connection']),
      );
    const program = await start('flapping', METRICS_ONLY);
    await receiver.next('metrics', 2);
    await receiver.goAway();
    const before = connectionsOf(receiver.metrics, false);
    receiver.received.length = 0;
    // Some sessions of this scenario end within a few seconds.
    await until(
      'sessions that ended',
      async () => {
        await wait(500);
        const live = (await program.scrape()).values('rras_connection_received_bytes_total')!;
        return [...before].filter((id) => !(String(id) in live)).length >= 3;
      },
      40_000,
    );
    // The exports that told of it are lost.
    await more(program, 'failure', 3);
    await receiver.comeBack();
    await receiver.next('metrics', 6, BACK_WITHIN_MS);
    // The first may be of the time when nobody was there, and is only late.
    const live = connectionsOf(receiver.of('metrics').at(-1)!.metrics, false);
    const ended = [...before].filter((id) => !live.has(id));
    const told = connectionsOf(receiver.metrics, true);
    expect(ended.length).toBeGreaterThanOrEqual(3);
    expect(ended.filter((id) => !told.has(id))).toEqual([]);
  });
});
