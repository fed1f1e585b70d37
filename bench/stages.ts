/** The exporter's own stages, one by one in this process: decode, the process boundary, accounts, view and encoder. */
import { deserialize, serialize } from 'node:v8';
import { SessionTable } from '../src/collector/sessions.ts';
import { CATALOGUE } from '../src/metrics/catalogue.ts';
import { PageEncoder } from '../src/metrics/exposition.ts';
import { ViewMaker } from '../src/metrics/labels.ts';
import { IdentityReader, parseHostMessage } from '../src/native/check-message.ts';
import { ConnectionDecoder } from '../src/native/decode.ts';
import { toMessages } from '../src/native/host-messages.ts';
import { PREFER_ALL, RAS_CONNECTION_4 } from '../src/native/layout.ts';
import { createSimulator } from '../src/native/simulator/server.ts';
import { KoffiDecoder } from './koffi-records.ts';
import { countSamples, totalBytes } from './page-text.ts';
import { CONNECTIONS_LIMIT } from './plan.ts';
import { frameOf, SEED, SimulatedPolls } from './simulated-polls.ts';
import { SteppedClock } from './stepped-clock.ts';
import { inRounds, median, microsecondsEach, type Rounds, Times } from './timing.ts';

/** The time of the simulated server between two polls: a usual scrape interval. */
export const STEP_MS = 15_000;
const LEVEL_4 = 4;

export interface DecodeFigures {
  readonly usPerConnection: number;
  readonly koffiUsPerConnection: number;
}

/** Pages of level 4 as the simulator fills them; most counters are others in each round, some sessions too. */
export async function measureDecode(
  connections: number,
  rounds: Rounds,
  koffiRecords: number,
): Promise<DecodeFigures> {
  const clock = new SteppedClock();
  const api = createSimulator({ scenario: 'large', seed: SEED, clock, connections });
  const { handle } = await api.serverConnect(null);
  const decoder = new ConnectionDecoder('level4', () => clock.wallSeconds());
  const koffi = new KoffiDecoder();
  const stride = Math.ceil(connections / koffiRecords);
  const ours = new Times();
  const theirs: number[] = [];
  await inRounds(rounds, async () => {
    clock.step(STEP_MS);
    const { buffer, entriesRead } = await api.connectionEnum(handle, LEVEL_4, PREFER_ALL, 0);
    if (buffer === null || entriesRead !== connections) throw new Error('the simulated page is not whole');
    const page = buffer.view(entriesRead * RAS_CONNECTION_4.size);
    const frame = ours.take(() => {
      decoder.begin();
      decoder.page(page, entriesRead);
      return decoder.finish();
    });
    if (frame.count !== connections) throw new Error(`${frame.count} of ${connections} records were decoded`);
    const started = performance.now();
    const decoded = koffi.decode(page, stride);
    theirs.push(microsecondsEach(performance.now() - started, decoded));
    buffer.free();
  });
  return {
    usPerConnection: microsecondsEach(ours.medianMs(rounds.warmUp), connections),
    koffiUsPerConnection: median(theirs.slice(rounds.warmUp)),
  };
}

export interface PollFigures {
  /** Of one poll of all sources, as they are serialised for the other process. */
  readonly boundaryBytes: number;
  readonly serialiseMs: number;
  /** Deserialised and checked. */
  readonly receiveMs: number;
  readonly accountsUsPerConnection: number;
  readonly viewUsPerConnection: number;
  /** Of the page's families that are about the server: the exporter's own are not among them. */
  readonly samples: number;
  readonly pageBytes: number;
  readonly encodeUsPerSample: number;
}

/** What was measured, and the last page for the peers to render. */
export interface MeasuredPolls {
  readonly figures: PollFigures;
  readonly page: readonly Buffer[];
}

export async function measurePolls(connections: number, rounds: Rounds): Promise<MeasuredPolls> {
  const polls = new SimulatedPolls({ scenario: 'large', connections, stepMs: STEP_MS, userLimit: 0 });
  const table = new SessionTable({ userLimit: 0 });
  const views = newViewMaker();
  const encoder = new PageEncoder(CATALOGUE, { format: 'text' });
  const times = {
    serialise: new Times(),
    receive: new Times(),
    accounts: new Times(),
    view: new Times(),
    encode: new Times(),
  };
  const identities = new IdentityReader();
  const boundaryBytes: number[] = [];
  let page: Buffer[] = [];
  await inRounds(rounds, async () => {
    const poll = await polls.next();
    const sent = times.serialise.take(() =>
      poll.outcomes.flatMap((outcome, id) =>
        Array.from(toMessages(id, outcome), (message) => serialize(message)),
      ),
    );
    boundaryBytes.push(totalBytes(sent));
    times.receive.take(() => {
      for (const bytes of sent) {
        const message = parseHostMessage(deserialize(bytes));
        if (message === undefined) throw new Error('a message was not understood');
        if (message.type === 'identities') identities.read(message.part);
      }
    });
    const { monotonicMs, wallSeconds } = poll;
    const time = { monotonicMs, wallSeconds, uncertaintySeconds: 0, torn: false };
    const [frame, ports] = [frameOf(poll, 'connections'), frameOf(poll, 'ports')];
    times.accounts.take(() => table.update(frame, ports, time));
    const view = times.view.take(() => views.view(poll.snapshot, monotonicMs));
    page = times.encode.take(() => encoder.encode(view));
  });
  const { warmUp } = rounds;
  const samples = countSamples(page);
  const figures = {
    boundaryBytes: median(boundaryBytes.slice(warmUp)),
    serialiseMs: times.serialise.medianMs(warmUp),
    receiveMs: times.receive.medianMs(warmUp),
    accountsUsPerConnection: microsecondsEach(times.accounts.medianMs(warmUp), connections),
    viewUsPerConnection: microsecondsEach(times.view.medianMs(warmUp), connections),
    samples,
    pageBytes: totalBytes(page),
    encodeUsPerSample: microsecondsEach(times.encode.medianMs(warmUp), samples),
  };
  return { figures, page };
}

/** Shows all connections, with everything in plain text. */
export function newViewMaker(): ViewMaker {
  const privacy = { users: 'plain', addresses: 'plain' } as const;
  return new ViewMaker({ privacy, detail: 'full', limit: CONNECTIONS_LIMIT });
}
