/** What the tables show, in which order, with the figures to reach. */
import type { OtlpFigures } from './otlp-collect.ts';
import type { Results, SizeResults } from './results.ts';
import type { Target } from './targets.ts';
import { riseOver, timesFaster } from './targets.ts';
import { microsecondsEach } from './timing.ts';

export interface Row {
  /** With the unit. */
  readonly label: string;
  /** One per size. */
  readonly values: readonly number[];
  readonly target?: Target;
}

export interface Section {
  readonly title: string;
  readonly rows: readonly Row[];
}

export interface SingleRow {
  readonly label: string;
  readonly value: number;
  readonly target?: Target;
}

const MS_PER_SECOND = 1000;
const BYTES_PER_KIB = 1024;
const BYTES_PER_MIB = 1024 * 1024;
const D50 = 50_000;

const atLeast = (bound: number): Target => ({ kind: 'at least', bound, at: 'largest' });
const atMost = (bound: number, at: Target['at']): Target => ({ kind: 'at most', bound, at });
const inMiB = (bytes: number): number => bytes / BYTES_PER_MIB;

export function sectionsOf({ sizes }: Results): Section[] {
  const row = (label: string, value: (size: SizeResults) => number, target?: Target): Row => ({
    label,
    values: sizes.map(value),
    ...(target && { target }),
  });
  const gzipCost = ({ scrape, connections }: SizeResults): number =>
    microsecondsEach(scrape.gzip.ms, connections);
  const perSample = (ms: number, { polls }: SizeResults): number => microsecondsEach(ms, polls.samples);
  return [
    {
      title: 'Decode of native records',
      rows: [
        row('µs per connection', ({ decode }) => decode.usPerConnection),
        row('koffi.decode, µs per connection', ({ decode }) => decode.koffiUsPerConnection),
        row(
          'times faster than koffi.decode',
          ({ decode }) => timesFaster(decode.koffiUsPerConnection, decode.usPerConnection),
          atLeast(10),
        ),
      ],
    },
    {
      title: 'Across the process boundary, per poll of all sources',
      rows: [
        row('KiB', ({ polls }) => polls.boundaryBytes / BYTES_PER_KIB),
        row('bytes per connection', ({ polls, connections }) => polls.boundaryBytes / connections),
        row('serialise, ms', ({ polls }) => polls.serialiseMs),
        row('deserialise and check, ms', ({ polls }) => polls.receiveMs),
      ],
    },
    {
      title: 'Accounts and view',
      rows: [
        row('accounts, µs per connection', ({ polls }) => polls.accountsUsPerConnection),
        row('view, µs per connection', ({ polls }) => polls.viewUsPerConnection),
      ],
    },
    {
      title: 'Prometheus text',
      rows: [
        row('samples', ({ polls }) => polls.samples),
        row('page, MiB', ({ polls }) => inMiB(polls.pageBytes)),
        row('encode, µs per sample', ({ polls }) => polls.encodeUsPerSample),
        row('prom-client, µs per sample', ({ peers }) => peers.promClientUsPerSample),
        row(
          'times faster than prom-client',
          ({ peers, polls }) => timesFaster(peers.promClientUsPerSample, polls.encodeUsPerSample),
          atLeast(30),
        ),
        row('Pushgateway, plain GET, µs per sample', ({ peers }) => peers.pushgatewayUsPerSample),
        row(
          'times faster than Pushgateway',
          ({ peers, polls }) => timesFaster(peers.pushgatewayUsPerSample, polls.encodeUsPerSample),
          atLeast(20),
        ),
        row('Pushgateway, gzip GET, µs per sample', ({ peers }) => peers.pushgatewayGzipUsPerSample),
      ],
    },
    {
      title: 'Whole scrape: native memory to the last byte at the client',
      rows: [
        row('gzip, s', ({ scrape }) => scrape.gzip.ms / MS_PER_SECOND, atMost(0.6, D50)),
        row('gzip, µs per connection', gzipCost),
        {
          label: 'over the cheapest smaller size',
          values: riseOver(sizes.map(gzipCost)),
          target: atMost(1.5, 'each'),
        },
        row('gzip, MiB', ({ scrape }) => inMiB(scrape.gzip.bytes)),
        row('gzip: times faster than a GET of Pushgateway', (size) =>
          timesFaster(size.peers.pushgatewayGzipUsPerSample, perSample(size.scrape.gzip.ms, size)),
        ),
        row('plain, s', ({ scrape }) => scrape.plain.ms / MS_PER_SECOND),
        row('plain, µs per connection', ({ scrape, connections }) =>
          microsecondsEach(scrape.plain.ms, connections),
        ),
        row('plain: times faster than a GET of Pushgateway', (size) =>
          timesFaster(size.peers.pushgatewayUsPerSample, perSample(size.scrape.plain.ms, size)),
        ),
        row('native calls', ({ scrape }) => scrape.nativeCallsPerScrape, atMost(5, 'each')),
      ],
    },
    {
      title: 'Delay of the event loop during a scrape, ms',
      rows: [
        row(
          'gzip, longest, median of the scrapes',
          ({ scrape }) => scrape.gzip.longestDelayMs,
          atMost(20, D50),
        ),
        row('gzip, longest, worst scrape', ({ scrape }) => scrape.gzip.worstDelayMs, atMost(20, D50)),
        row('gzip, 99th percentile, median', ({ scrape }) => scrape.gzip.p99DelayMs),
        row('gzip, 99th percentile, worst', ({ scrape }) => scrape.gzip.worstP99DelayMs),
        row(
          'plain, longest, median of the scrapes',
          ({ scrape }) => scrape.plain.longestDelayMs,
          atMost(20, D50),
        ),
        row('plain, longest, worst scrape', ({ scrape }) => scrape.plain.worstDelayMs, atMost(20, D50)),
      ],
    },
    {
      title: 'CPU per scrape with gzip, s',
      rows: [
        row('exporter', ({ scrape }) => scrape.gzip.cpuSeconds.exporter),
        row('native host with the simulator', ({ scrape }) => scrape.gzip.cpuSeconds.host),
      ],
    },
    {
      title: 'Memory after all scrapes, MiB',
      rows: [
        row('exporter, peak', ({ scrape }) => scrape.memory.exporter.peakMiB),
        row('native host with the simulator, peak', ({ scrape }) => scrape.memory.host.peakMiB),
        row(
          'both, peak',
          ({ scrape: { memory } }) => memory.exporter.peakMiB + memory.host.peakMiB,
          atMost(400, D50),
        ),
        row(
          'both, anonymous, at the end',
          ({ scrape: { memory } }) => memory.exporter.anonymousMiB + memory.host.anonymousMiB,
        ),
      ],
    },
  ];
}

function otlpRows(otlp: OtlpFigures): SingleRow[] {
  const points = otlp.points.toLocaleString('en-US');
  return [
    { label: `OTLP, ${points} points: collect, ms`, value: otlp.collectMs, target: atMost(50, 'each') },
    { label: 'OTLP: collect by observable instruments of the SDK, ms', value: otlp.sdkCollectMs },
    {
      label: 'OTLP: times faster than the instruments of the SDK',
      value: timesFaster(otlp.sdkCollectMs, otlp.collectMs),
    },
    { label: 'OTLP: collect, serialise and send, ms', value: otlp.sendMs },
    {
      label: 'OTLP: longest delay of the event loop meanwhile, median, ms',
      value: otlp.longestDelayMs,
      target: atMost(50, 'each'),
    },
    { label: 'OTLP: longest delay, worst export, ms', value: otlp.worstDelayMs },
  ];
}

export function singleRowsOf({ million, otlp, idle, startMs }: Results): SingleRow[] {
  const { exporter, host } = idle.memory;
  return [
    ...(million
      ? [
          {
            label: `encoder alone, ${million.samples.toLocaleString('en-US')} samples, ${Math.round(inMiB(million.bytes))} MiB: ms`,
            value: million.ms,
          },
          { label: 'encoder alone: µs per sample', value: million.usPerSample },
        ]
      : []),
    ...(otlp ? otlpRows(otlp) : []),
    {
      label: `idle for ${idle.seconds} s (office): RSS of both, MiB`,
      value: exporter.rssMiB + host.rssMiB,
      target: atMost(150, 'each'),
    },
    {
      label: 'idle: anonymous of both, MiB',
      value: exporter.anonymousMiB + host.anonymousMiB,
    },
    {
      label: 'start to the first answered scrape (100 connections), s',
      value: startMs / MS_PER_SECOND,
      target: atMost(1, 'each'),
    },
  ];
}
