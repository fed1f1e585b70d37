/** A simulated server that is polled in this process, on a clock that is stepped from poll to poll. */
import { enumerate } from '../src/collector/enumerate.ts';
import { Poller } from '../src/collector/poller.ts';
import type { FrameOf, ReadOutcome, SourceReader } from '../src/model/frames.ts';
import type { Logger } from '../src/model/logger.ts';
import type { Snapshot } from '../src/model/snapshot.ts';
import type { Source } from '../src/model/words.ts';
import { SOURCES } from '../src/model/words.ts';
import { Host } from '../src/native/host.ts';
import type { ScenarioName } from '../src/native/simulator/scenarios.ts';
import { createSimulator } from '../src/native/simulator/server.ts';
import { SteppedClock } from './stepped-clock.ts';

export const SEED = 1;
/** Far beyond any step: nothing that was read is ever too old. */
const MAX_AGE_MS = 3_600_000;

export interface PollOptions {
  readonly scenario: ScenarioName;
  /** As many as the scenario has if left out. */
  readonly connections?: number;
  /** Between two polls. */
  readonly stepMs: number;
  readonly userLimit: number;
}

export interface Poll {
  readonly snapshot: Snapshot;
  /** As the host answered them, in the order of SOURCES. */
  readonly outcomes: readonly ReadOutcome[];
  readonly monotonicMs: number;
  readonly wallSeconds: number;
}

export class SimulatedPolls {
  readonly #clock = new SteppedClock();
  readonly #reader: KeepingReader;
  readonly #poller: Poller;
  readonly #stepMs: number;

  constructor({ scenario, connections, stepMs, userLimit }: PollOptions) {
    const clock = this.#clock;
    this.#stepMs = stepMs;
    const api = createSimulator({
      scenario,
      seed: SEED,
      clock,
      ...(connections !== undefined && { connections }),
    });
    this.#reader = new KeepingReader(new Host({ api, enumerate, clock, server: null }));
    this.#poller = new Poller({
      reader: this.#reader,
      clock,
      logger: FAILING_LOGGER,
      enabled: new Set(SOURCES),
      minIntervalMs: 0,
      maxAgeMs: MAX_AGE_MS,
      userLimit,
      onRead: () => undefined,
      onWraps: () => undefined,
    });
  }

  /** Steps the clock and polls. */
  async next(): Promise<Poll> {
    this.#clock.step(this.#stepMs);
    this.#reader.outcomes.length = 0;
    const snapshot = await this.#poller.collect(MAX_AGE_MS);
    return {
      snapshot,
      outcomes: [...this.#reader.outcomes],
      monotonicMs: this.#clock.monotonicMs(),
      wallSeconds: this.#clock.wallSeconds(),
    };
  }
}

/** The frame of one source; there must be one. */
export function frameOf<S extends Source>({ outcomes }: Poll, source: S): FrameOf<S> {
  for (const outcome of outcomes) {
    if (outcome.status === 'ok' && outcome.frame.source === source) return outcome.frame as FrameOf<S>;
  }
  throw new Error(`the simulated server did not answer for ${source}`);
}

/** Keeps what the host answered. */
class KeepingReader implements SourceReader {
  readonly outcomes: ReadOutcome[] = [];
  readonly #host: Host;

  constructor(host: Host) {
    this.#host = host;
  }

  async read<S extends Source>(source: S): Promise<ReadOutcome<FrameOf<S>>> {
    const outcome = await this.#host.read(source);
    this.outcomes.push(outcome);
    return outcome;
  }

  reset(): void {
    this.#host.reset();
  }
}

const fail = (message: string, fields?: object): never => {
  throw new Error(`${message} ${JSON.stringify(fields ?? {})}`);
};
/** What is measured must be the work of a poll that succeeds. */
const FAILING_LOGGER: Logger = { debug: () => undefined, info: () => undefined, warn: fail, error: fail };
