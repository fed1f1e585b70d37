/**
 * The same metrics by two ways into one real Prometheus: scraped, and pushed by OTLP through a vmagent that translates
 * them. Both must be the same series with the same values, and a session that ended must leave both at once.
 */
import { setTimeout as wait } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { requireTool } from '../tools/require-tool.ts';
import { METRICS_ONLY, startOtlpProgram } from './otlp-program.ts';
import type { Batch } from './otlp-stack.ts';
import { OtlpStack, PUSHED, SCRAPED } from './otlp-stack.ts';
import { buildIfStale, endAll, until } from './program.ts';
import { MessageWriter } from './protobuf.ts';

const SECONDS = Number(process.env['RRAS_TEST_OTLP_SECONDS'] ?? 20);
const RANGE = `${SECONDS + 60}s`;
/** What is newer may be on its way into the store still. */
const SETTLED_MS = 3000;
/** A page is made somewhat after the time that Prometheus gives its samples. */
const SLACK_MS = 300;
/** How long Prometheus shows a series that nobody ended. */
const LOOK_BACK_SECONDS = 300;

const TIMESTAMP = 'rras_snapshot_timestamp_seconds{}';
const MOVED = /^rras_connection_received_bytes_total\{connection="([0-9a-f]{16})"\}$/;

/** Metrics of the exporter go on between two polls; all others stand in the snapshot. */
const isOwn = (key: string): boolean => /^rras_(?:exporter|admin|remediation)_/.test(key);
const isCounter = (key: string): boolean => /^\w+_(?:total|bucket|count|sum)\{/.test(key);

const keysOf = (batch: Batch, only: (key: string) => boolean): string[] =>
  [...batch.keys()].filter(only).sort();
const without = (some: readonly string[], others: Batch): string[] => some.filter((key) => !others.has(key));

interface Push {
  readonly ms: number;
  readonly batch: Batch;
  /** The scrapes before and after it. */
  readonly before: Batch;
  readonly after: Batch;
  /** The scrape of the same snapshot, if there is one. */
  readonly twin: Batch | undefined;
}

/** The pushes that have a scrape on either side. */
function pushesAmong(pushed: ReadonlyMap<number, Batch>, scraped: ReadonlyMap<number, Batch>): Push[] {
  const scrapes = [...scraped];
  return [...pushed].flatMap(([ms, batch]) => {
    const before = scrapes.findLast(([at]) => at < ms - SLACK_MS)?.[1];
    const after = scrapes.find(([at]) => at > ms + SLACK_MS)?.[1];
    const twin = scrapes.find(([, each]) => each.get(TIMESTAMP) === batch.get(TIMESTAMP))?.[1];
    return before && after ? [{ ms, batch, before, after, twin }] : [];
  });
}

/** Switched on for its metrics; nobody logs in. */
const ADMIN = `admin: {tokens: [{name: nobody, sha256: ${'ab'.repeat(32)}, rights: [read], interfaces: ['*']}]}
`;

const withStores = requireTool('prometheus3', 'vmagent');

withStores('a Prometheus that gets the same metrics twice', (prometheus, vmagent) => {
  describe.each(['office', 'flapping'])('of the scenario %s', (scenario) => {
    let stack: OtlpStack | undefined;
    let pushed: ReadonlyMap<number, Batch>;
    let pushes: readonly Push[];

    beforeAll(async () => {
      await buildIfStale();
      const started = (stack = await OtlpStack.start(prometheus, vmagent));
      const program = await startOtlpProgram({
        endpoint: started.endpoint,
        scenario,
        environment: METRICS_ONLY,
        config: ADMIN,
        flags: ['--collector.users', '--web.enable-admin-api'],
      });
      await started.scrape(new URL(program.url).host);
      const settled = async (job: string): Promise<ReadonlyMap<number, Batch>> =>
        new Map([...(await started.batches(job, RANGE))].filter(([ms]) => ms < Date.now() - SETTLED_MS));
      const look = async (): Promise<number> => {
        await wait(500);
        pushed = await settled(PUSHED);
        pushes = pushesAmong(pushed, await settled(SCRAPED));
        return pushes.length;
      };
      await until(`${SECONDS} pushes`, async () => (await look()) >= SECONDS, (SECONDS + 40) * 1000);
    });

    afterAll(async () => {
      await endAll();
      await stack?.end();
    });

    test('has pushes of which many are of the snapshot that a scrape shows too', () => {
      const twins = pushes.filter(({ twin }) => twin).length;
      process.stdout.write(
        `${scenario}: ${pushed.size} pushes, ${pushes.length} of them between scrapes, ${twins} of the same ` +
          `snapshot as a scrape; ${pushes.at(-1)?.batch.size} series\n`,
      );
      expect(twins).toBeGreaterThan(SECONDS / 4);
    });

    test('has the same names and labels by both ways, and the same values, where the snapshot is the same', () => {
      for (const { batch, twin } of pushes) {
        if (!twin) continue;
        const [ofPush, ofScrape] = [batch, twin].map((each) => keysOf(each, (key) => !isOwn(key)));
        expect({
          onlyPushed: without(ofPush!, twin),
          onlyScraped: without(ofScrape!, batch),
        }).toEqual({ onlyPushed: [], onlyScraped: [] });
        expect(ofPush!.length).toBeGreaterThan(500);
        const off = ofPush!.filter((key) => batch.get(key) !== twin.get(key));
        expect(off.map((key) => [key, batch.get(key), twin.get(key)])).toEqual([]);
      }
    });

    test('has the same series of the exporter itself, with values between those of the scrapes around', () => {
      for (const { batch, before, after } of pushes) {
        const own = keysOf(batch, isOwn);
        expect({
          onlyPushed: without(own, after),
          onlyScraped: without(keysOf(before, isOwn), batch),
        }).toEqual({ onlyPushed: [], onlyScraped: [] });
        const off = own.filter((key) => {
          const [value, least, most] = [batch, before, after].map((each) => each.get(key) ?? 0);
          return value! < Math.min(least!, most!) || value! > Math.max(least!, most!);
        });
        expect(off.map((key) => [key, before.get(key), batch.get(key), after.get(key)])).toEqual([]);
      }
    });

    test('has values within one poll of each other in all pushes', () => {
      for (const { batch, before, after } of pushes) {
        const off = [...batch].filter(([key, value]) => {
          const [least, most] = [before.get(key), after.get(key)];
          // It began or ended meanwhile.
          if (!isCounter(key) || least === undefined || most === undefined) return false;
          return value < least || value > most;
        });
        expect(off.map(([key, value]) => [key, before.get(key), value, after.get(key)])).toEqual([]);
      }
    });

    test('shows no series of a session that the last push has no more', async () => {
      const ms = [...pushed.keys()];
      const ended = ms.slice(1).flatMap((at, n) => {
        const [last, next] = [pushed.get(ms[n]!)!, pushed.get(at)!];
        return [...last.keys()].flatMap((key) => {
          const connection = MOVED.exec(key)?.[1];
          return connection === undefined || next.has(key)
            ? []
            : [{ connection, lastMs: ms[n]!, goneMs: at }];
        });
      });
      const shown = ({ connection }: (typeof ended)[number], job: string, atMs: number) =>
        stack!.prometheus.seriesAt(`{job="${job}",connection="${connection}"}`, atMs);
      if (scenario === 'flapping') expect(ended.length).toBeGreaterThan(0);
      const longest = Math.max(0, ...ended.map(({ lastMs, goneMs }) => goneMs - lastMs));
      process.stdout.write(`${scenario}: ${ended.length} sessions ended, shown for ${longest} ms at most\n`);
      for (const session of ended) {
        expect((await shown(session, PUSHED, session.goneMs - 1)).length).toBeGreaterThan(5);
        expect(await shown(session, PUSHED, session.goneMs)).toEqual([]);
        expect(await shown(session, PUSHED, Date.now())).toEqual([]);
        expect(await shown(session, SCRAPED, Date.now())).toEqual([]);
      }
    });

    test('shows nothing at all that the last push does not have', async () => {
      const [at] = [...pushed.keys()].slice(-1);
      const shown = await stack!.prometheus.seriesAt(`{__name__=~"rras_.+",job="${PUSHED}"}`, at!);
      expect(shown.length).toBe(pushed.get(at!)!.size);
    });

    test('is told who pushes by the labels of the target', async () => {
      const targets = await stack!.prometheus.seriesAt(
        `count by (job, instance) (rras_up{job="${PUSHED}"})`,
        [...pushed.keys()].at(-1)!,
      );
      expect(targets).toEqual([{ job: PUSHED, instance: expect.stringMatching(/./) as string }]);
    });

    test('has both servers log no trouble', () => {
      const trouble = /level=(?:WARN|ERROR)|\t(?:warn|error)\t/;
      expect(stack!.log.split('\n').filter((line) => trouble.test(line))).toEqual([]);
    });
  });
});

withStores('a Prometheus that is pushed to', (prometheus, vmagent) => {
  let stack: OtlpStack | undefined;

  beforeAll(async () => {
    stack = await OtlpStack.start(prometheus, vmagent);
  });

  afterAll(() => stack?.end());

  /** A series of one point, and one second later its end, if it is told. */
  async function pushByHand(name: string, endIsTold: boolean): Promise<number> {
    const ms = Date.now();
    const NO_RECORDED_VALUE = 1;
    const push = async (atMs: number, value: number | undefined): Promise<void> => {
      const point = (writer: MessageWriter): MessageWriter => {
        writer.fixed64(3, BigInt(atMs) * 1_000_000n);
        return value === undefined ? writer.varint(8, NO_RECORDED_VALUE) : writer.double(4, value);
      };
      const body = new MessageWriter()
        .message(1, (resource) =>
          resource.message(2, (scope) =>
            scope.message(2, (metric) => metric.text(1, name).message(5, (gauge) => gauge.message(1, point))),
          ),
        )
        .end();
      const { status } = await fetch(`${stack!.endpoint}/v1/metrics`, {
        method: 'POST',
        headers: { 'Content-Type': 'application/x-protobuf' },
        body,
      });
      expect(status).toBe(200);
    };
    await push(ms, 1);
    await until(name, async () => (await stack!.prometheus.seriesAt(name, ms)).length === 1);
    if (endIsTold) await push(ms + 1000, undefined);
    return ms;
  }

  test('shows a series for its look-back if nobody tells that it ended, and not at all if a point does', async () => {
    const shownFor = async (name: string, sinceMs: number): Promise<number> => {
      let seconds = 0;
      while ((await stack!.prometheus.seriesAt(name, sinceMs + seconds * 1000)).length > 0) seconds += 1;
      return seconds;
    };
    const left = await shownFor('left', await pushByHand('left', false));
    const told = pushByHand('told', true);
    await until('the end', async () => (await shownFor('told', await told)) < LOOK_BACK_SECONDS);
    const ended = await shownFor('told', await told);
    process.stdout.write(`shown after the last point: ${left} s, with a point without a value ${ended} s\n`);
    expect(left).toBeGreaterThanOrEqual(LOOK_BACK_SECONDS);
    expect(ended).toBe(1);
  });
});
