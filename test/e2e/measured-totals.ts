/** What a Prometheus makes of the totals, to be held against what the simulated server did. */
import type { SimulatedServer } from '../../src/native/simulator/server.ts';
import type { TrueSession } from '../../src/native/simulator/truth.ts';
import type { Sample, ScrapingPrometheus } from './scraping-prometheus.ts';

/** Bytes. */
export interface Amount {
  received: number;
  transmitted: number;
}

export const DIRECTIONS = ['received', 'transmitted'] as const satisfies readonly (keyof Amount)[];

/** The sample of a scrape, and the moment of the simulated server that it tells of. */
export interface Scrape {
  readonly sample: Sample;
  readonly ms: number;
}

/** Everything that the server moved between two moments, whoever saw it. */
export function movedBetween(server: SimulatedServer, fromMs: number, toMs: number): Amount {
  const amount = { received: 0, transmitted: 0 };
  for (const { receivedBytes, transmittedBytes } of server.trafficBetween(fromMs, toMs)) {
    amount.received += receivedBytes;
    amount.transmitted += transmittedBytes;
  }
  return amount;
}

/** What sessions that were over by then had moved after they were last seen, as each of `lastSeen` was. */
export function unseenOf(server: SimulatedServer, lastSeen: Iterable<TrueSession>, toMs: number): Amount {
  const unseen = { received: 0, transmitted: 0 };
  for (const last of lastSeen) {
    if (last.endMs > toMs) continue;
    const end = server.liveSessions(last.endMs - 1).find(({ guid }) => guid === last.guid)!;
    unseen.received += end.receivedBytes - last.receivedBytes;
    unseen.transmitted += end.transmittedBytes - last.transmittedBytes;
  }
  return unseen;
}

/** A range that reaches from one sample to the other, to be asked for at the time of the other. */
export const rangeOf = (from: Sample, to: Sample): string => `${to.ms - from.ms}ms`;

export async function increaseOf(
  prometheus: ScrapingPrometheus,
  direction: keyof Amount,
  from: Sample,
  to: Sample,
): Promise<number> {
  const range = rangeOf(from, to);
  return (await prometheus.value(`sum(increase(rras_${direction}_bytes_total[${range}]))`, to.ms))!;
}

/** Of the rates over a minute at every scrape, the one that is most above the true rate, as a ratio. */
export async function worstRates(
  prometheus: ScrapingPrometheus,
  scrapes: readonly Scrape[],
  moved: (fromMs: number, toMs: number) => Amount,
): Promise<{ readonly windows: number; readonly worst: Amount }> {
  const worst = { received: 0, transmitted: 0 };
  let windows = 0;
  for (const { sample, ms } of scrapes) {
    // Only over full minutes: before, rate() extends what it has over the whole window.
    if (sample.ms - scrapes[0]!.sample.ms < 60_000) continue;
    windows += 1;
    const since = scrapes.find((each) => each.sample.ms >= sample.ms - 60_000)!;
    const truth = moved(since.ms, ms);
    for (const direction of DIRECTIONS) {
      const rate = (await prometheus.value(`sum(rate(rras_${direction}_bytes_total[1m]))`, sample.ms))!;
      const trueRate = truth[direction] / ((ms - since.ms) / 1000);
      worst[direction] = Math.max(worst[direction], rate / trueRate);
    }
  }
  return { windows, worst };
}

export const percent = (share: number): string => `${(share * 100).toFixed(3)} %`;
