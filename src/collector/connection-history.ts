/**
 * How many connections there were over the last hour, by tunnel: one entry a minute, made of what is read anyway. A minute in
 * which nothing was read has none.
 */
import type { Clock } from '../model/clock.ts';
import type { Tunnel } from '../model/words.ts';
import { TUNNELS } from '../model/words.ts';

/** The background poll comes twice as often: a step without an entry is one in which nothing could be read. */
const STEP_SECONDS = 60;
const STEPS = 60;

/** Plain data, oldest point first. */
export interface HistoryData {
  readonly stepSeconds: number;
  readonly points: {
    /** Unix time, by the clock of now, at which the step began. */
    time: number;
    /** By tunnel. */
    connections: Record<string, number>;
  }[];
}

interface Entry {
  /** Of monotonic time: a system clock that is set neither tears the hour nor folds it. */
  readonly step: number;
  /** By the order of TUNNELS. */
  readonly counts: readonly number[];
}

export class ConnectionHistory {
  readonly #clock: Clock;
  #entries: readonly Entry[] = [];

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** The last reading of a step is the one that stays. */
  record(connections: readonly { readonly tunnel: Tunnel }[]): void {
    const step = this.#step();
    const counts = TUNNELS.map(() => 0);
    for (const { tunnel } of connections) counts[TUNNELS.indexOf(tunnel)]! += 1;
    this.#entries = [...this.#kept().filter((entry) => entry.step !== step), { step, counts }];
  }

  /** With zeros for these tunnels, and for those that had a connection within the hour. */
  read(tunnels: readonly Tunnel[]): HistoryData {
    const entries = this.#kept();
    const told = TUNNELS.map(
      (tunnel, i) => tunnels.includes(tunnel) || entries.some(({ counts }) => counts[i]! > 0),
    );
    const zeroSeconds = this.#clock.wallSeconds() - this.#clock.monotonicMs() / 1000;
    return {
      stepSeconds: STEP_SECONDS,
      points: entries.map(({ step, counts }) => ({
        time: Math.round(zeroSeconds + step * STEP_SECONDS),
        connections: Object.fromEntries(
          TUNNELS.map((tunnel, i) => [tunnel, counts[i]!] as const).filter((_, i) => told[i]),
        ),
      })),
    };
  }

  #step(): number {
    return Math.floor(this.#clock.monotonicMs() / 1000 / STEP_SECONDS);
  }

  #kept(): readonly Entry[] {
    const first = this.#step() - STEPS + 1;
    return this.#entries.filter(({ step }) => step >= first);
  }
}
