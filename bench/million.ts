/** The encoder alone, with a made-up catalogue of families that come to a page of a million samples, all of them new. */
import type { Family } from '../src/metrics/catalogue.ts';
import { PageEncoder } from '../src/metrics/exposition.ts';
import { CONNECTION_COUNTERS } from '../src/model/snapshot.ts';
import { countSamples, totalBytes } from './page-text.ts';
import { SimulatedPolls } from './simulated-polls.ts';
import { newViewMaker, STEP_MS } from './stages.ts';
import { inRounds, microsecondsEach, type Rounds, Times } from './timing.ts';

const CONNECTIONS = 50_000;
const FAMILIES = 20;
/** Makes a line some 173 bytes long, as lines of pages with many labels are. */
const LABEL_VALUE =
  'a label value as long as those of a page of many labels, in which a name or two and an address stand';
const BYTES = ['receivedBytes', 'transmittedBytes'] as const;

export interface MillionFigures {
  readonly samples: number;
  readonly bytes: number;
  readonly ms: number;
  readonly usPerSample: number;
}

const CATALOGUE: readonly Family[] = Array.from({ length: FAMILIES }, (_, i) => {
  const counter = CONNECTION_COUNTERS.indexOf(BYTES[i % BYTES.length]!);
  return {
    kind: 'connections',
    name: `bench_family_${String(i).padStart(2, '0')}_bytes_total`,
    type: 'counter',
    help: 'Bytes.',
    label: 'text',
    series: [{ labelValue: LABEL_VALUE, values: (shown) => shown.counters[counter]! }],
  };
});

export async function measureMillion(rounds: Rounds): Promise<MillionFigures> {
  const polls = new SimulatedPolls({
    scenario: 'large',
    connections: CONNECTIONS,
    stepMs: STEP_MS,
    userLimit: 0,
  });
  const views = newViewMaker();
  const encoder = new PageEncoder(CATALOGUE, { format: 'text' });
  const times = new Times();
  let page: Buffer[] = [];
  await inRounds(rounds, async () => {
    const { snapshot, monotonicMs } = await polls.next();
    const view = views.view(snapshot, monotonicMs);
    page = times.take(() => encoder.encode(view));
  });
  const ms = times.medianMs(rounds.warmUp);
  const samples = countSamples(page);
  return { samples, bytes: totalBytes(page), ms, usPerSample: microsecondsEach(ms, samples) };
}
