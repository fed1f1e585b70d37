/**
 * Thousands of polls with sessions that begin and end all the time, each with its page and that compressed, in one process:
 * fails if its memory goes on growing.
 * `node bench/soak.ts [--polls=10000] [--docs]`; --docs writes the result into docs/performance.md.
 */
import { parseArgs } from 'node:util';
import { CATALOGUE } from '../src/metrics/catalogue.ts';
import { PageEncoder } from '../src/metrics/exposition.ts';
import { ViewMaker } from '../src/metrics/labels.ts';
import { systemClock } from '../src/runtime/clock.ts';
import { SegmentedGzip } from '../src/server/segmented-gzip.ts';
import { writePart } from './document.ts';
import { collectGarbage } from './garbage.ts';
import { describeMachine, thisMachine } from './machine.ts';
import type { Growth, Look } from './memory-growth.ts';
import { BOUNDS, growthOf, grows } from './memory-growth.ts';
import { SimulatedPolls } from './simulated-polls.ts';
import { formatFigure, markdownTable } from './table.ts';

/** Each session lasts for half a minute or so: in a poll, one of eight is new. */
const CHURN = { scenario: 'flapping', connections: 500, stepMs: 5_000, userLimit: 5_000 } as const;
/** Fewer than there are, so that some connections are hidden and the choice is made anew each time. */
const SHOWN = 400;
const LOOKS = 10;
const BYTES_PER_MIB = 2 ** 20;

const { values } = parseArgs({
  options: { polls: { type: 'string', default: '10000' }, docs: { type: 'boolean', default: false } },
});

function look(polls: number): Look {
  collectGarbage();
  const { rss, heapUsed } = process.memoryUsage();
  return { polls, rssMiB: rss / BYTES_PER_MIB, heapMiB: heapUsed / BYTES_PER_MIB };
}

async function soak(count: number): Promise<{ looks: Look[]; sessions: number }> {
  const polls = new SimulatedPolls(CHURN);
  const privacy = { users: 'plain', addresses: 'plain' } as const;
  const views = new ViewMaker({ privacy, detail: 'full', limit: SHOWN });
  const encoder = new PageEncoder(CATALOGUE, { format: 'text' });
  const gzip = new SegmentedGzip(systemClock);
  const looks: Look[] = [];
  let sessions = 0;
  for (let i = 1; i <= count; i += 1) {
    const { snapshot, monotonicMs } = await polls.next();
    await gzip.compress(encoder.encode(views.view(snapshot, monotonicMs)));
    if (i % (count / LOOKS) !== 0) continue;
    const now = look(i);
    looks.push(now);
    sessions = snapshot.totals.ended.reduce((sum, ended) => sum + ended, 0);
    console.log(
      `${String(i).padStart(6)} polls  ${String(sessions).padStart(8)} sessions ended  ` +
        `RSS ${now.rssMiB.toFixed(1)} MiB  heap ${now.heapMiB.toFixed(1)} MiB`,
    );
  }
  return { looks, sessions };
}

function documented(looks: readonly Look[], sessions: number, growth: Growth): string {
  const lines = looks.map(({ polls, rssMiB, heapMiB }) => [
    formatFigure(polls),
    rssMiB.toFixed(1),
    heapMiB.toFixed(1),
  ]);
  const head = ['polls', 'RSS, MiB', 'heap, MiB'];
  return [
    `Measured on: ${describeMachine(thisMachine())}.`,
    `${formatFigure(looks.at(-1)!.polls)} polls, in which ${formatFigure(sessions)} sessions ended. In the second half the RSS rose by ${growth.rssMiB.toFixed(1)} MiB and the heap by ${growth.heapMiB.toFixed(1)} MiB.`,
    markdownTable([head, ...lines], 0),
  ].join('\n\n');
}

const count = Number(values.polls);
if (!Number.isInteger(count) || count < LOOKS || count % LOOKS !== 0) {
  console.error(`soak: --polls wants a multiple of ${LOOKS}`);
  process.exit(2);
}
const { looks, sessions } = await soak(count);
const growth = growthOf(looks);
const failed = grows(growth);
console.log(
  `second half: RSS ${growth.rssMiB.toFixed(1)} MiB (at most ${BOUNDS.rssMiB}), ` +
    `heap ${growth.heapMiB.toFixed(1)} MiB (at most ${BOUNDS.heapMiB}): ${failed ? 'it grows' : 'it does not grow'}`,
);
if (failed) process.exitCode = 1;
else if (values.docs) writePart('soak', documented(looks, sessions, growth));
