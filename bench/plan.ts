/** How much is measured: all of it, or what a quick look needs. */
import type { Rounds } from './timing.ts';

/** --collector.connections.limit of everything that is measured. */
export const CONNECTIONS_LIMIT = 50_000;

/** Of the built program. */
export interface Scrapes {
  /** Not counted. */
  readonly warmUp: number;
  readonly gzip: number;
  readonly plain: number;
}

export interface Plan {
  readonly quick: boolean;
  /** Numbers of connections, rising. */
  readonly sizes: readonly number[];
  /** In one process, our own stages. */
  rounds(connections: number): Rounds;
  /** Each takes some hundred times longer than ours. */
  peerRounds(connections: number): Rounds;
  /** koffi.decode takes so many records at the most; its figures are per record. */
  readonly koffiRecords: number;
  scrapes(connections: number): Scrapes;
  readonly idleSeconds: number;
  readonly starts: number;
  /** Rounds of the page of a million samples; undefined: it is left out. */
  readonly million?: Rounds;
  /** Collections and exports of 100,000 points. */
  readonly otlp: Rounds;
}

const peerRounds = (connections: number): Rounds =>
  connections <= 1_000 ? { warmUp: 8, timed: 7 } : { warmUp: 1, timed: 3 };

export const FULL: Plan = {
  quick: false,
  sizes: [1_000, 10_000, 30_000, 50_000],
  rounds: (connections) => (connections <= 10_000 ? { warmUp: 10, timed: 25 } : { warmUp: 3, timed: 9 }),
  peerRounds,
  koffiRecords: 5_000,
  // Small scrapes take longer to be compiled.
  scrapes: (connections) => ({ warmUp: connections <= 1_000 ? 10 : 3, gzip: 7, plain: 7 }),
  idleSeconds: 30,
  starts: 5,
  million: { warmUp: 2, timed: 7 },
  otlp: { warmUp: 5, timed: 15 },
};

export const QUICK: Plan = {
  quick: true,
  sizes: [1_000, 10_000],
  rounds: (connections) => (connections <= 1_000 ? { warmUp: 10, timed: 15 } : { warmUp: 5, timed: 9 }),
  peerRounds,
  koffiRecords: 2_000,
  scrapes: () => ({ warmUp: 3, gzip: 5, plain: 3 }),
  idleSeconds: 10,
  starts: 3,
  otlp: { warmUp: 3, timed: 7 },
};
