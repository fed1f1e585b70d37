/** What one run of the benchmark found, as it is written to the JSON file. */
import type { OfBoth } from './exporter-process.ts';
import type { Machine } from './machine.ts';
import type { MillionFigures } from './million.ts';
import type { OtlpFigures } from './otlp-collect.ts';
import type { MemoryFigures } from './process-figures.ts';
import type { DecodeFigures, PollFigures } from './stages.ts';
import type { WholeScrapeFigures } from './whole-scrape.ts';

export interface PeerFigures {
  /** Setting all samples and rendering them. */
  readonly promClientUsPerSample: number;
  /** GET to the last byte. */
  readonly pushgatewayUsPerSample: number;
  readonly pushgatewayGzipUsPerSample: number;
}

export interface SizeResults {
  readonly connections: number;
  readonly decode: DecodeFigures;
  readonly polls: PollFigures;
  readonly peers: PeerFigures;
  readonly scrape: WholeScrapeFigures;
}

export interface Results {
  readonly machine: Machine;
  readonly quick: boolean;
  /** By rising number of connections. */
  readonly sizes: readonly SizeResults[];
  readonly million?: MillionFigures;
  /** Left out in files of runs before there was OTLP. */
  readonly otlp?: OtlpFigures;
  readonly idle: { readonly seconds: number; readonly memory: OfBoth<MemoryFigures> };
  readonly startMs: number;
}
