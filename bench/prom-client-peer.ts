/** A peer of the encoder: prom-client with the same series, all of them set and rendered in each round. */
import { Gauge, Registry } from 'prom-client';
import { countSamples, type SampleFamily } from './page-text.ts';
import { inRounds, type Rounds, Times } from './timing.ts';

/**
 * Median milliseconds of setting all samples and rendering the page. The label objects are made beforehand, and every
 * series is a gauge, whose `set` is the cheapest way in; each value is another one in each round.
 */
export async function timePromClient(families: readonly SampleFamily[], rounds: Rounds): Promise<number> {
  const registry = new Registry();
  const gauges = families.map(({ name, labelNames, samples }) => ({
    gauge: new Gauge({ name, help: name, labelNames: [...labelNames], registers: [registry] }),
    samples,
  }));
  const expected = families.reduce((sum, { samples }) => sum + samples.length, 0);
  const times = new Times();
  let round = 0;
  await inRounds(rounds, async () => {
    round += 1;
    const page = await times.takeAsync(async () => {
      for (const { gauge, samples } of gauges) {
        for (const { labels, value } of samples) gauge.set(labels, value + round);
      }
      return registry.metrics();
    });
    const rendered = countSamples([Buffer.from(page)]);
    if (rendered !== expected) throw new Error(`prom-client rendered ${rendered} of ${expected} samples`);
  });
  return times.medianMs(rounds.warmUp);
}
