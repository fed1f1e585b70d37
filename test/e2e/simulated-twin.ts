/**
 * The truth of a simulated server that lives in a process of the program: the same server once more, in the test's own
 * process. The world is a function of the time since the server was made, and that moment is found from a page.
 */
import type { SimulatedServer } from '../../src/native/simulator/server.ts';
import { createSimulator } from '../../src/native/simulator/server.ts';
import type { ScenarioName } from '../../src/native/simulator/scenarios.ts';
import { FakeClock } from '../doubles/fake-clock.ts';
import type { Page } from '../metrics/page.ts';

/** As in src/native/open-api.ts. */
const SEED = 1;
/** From the read of the connections to the time that the page bears: the other sources are read in between. */
const LONGEST_READ_MS = 10_000;
/** The wall clock may be slewed a little against the monotonic one. */
const SLEW_MS = 20;

/** What a page tells of a session, exactly: its start in wall milliseconds, and its bytes. */
interface Shown {
  readonly startMs: number;
  readonly receivedBytes: number;
  readonly transmittedBytes: number;
}

export class SimulatedTwin {
  /** When the server was made, in wall milliseconds. */
  readonly originMs: number;
  /** Its times are wall milliseconds, whatever they are called there. */
  readonly server: SimulatedServer;

  /** Of the program's server that a page of about its first second shows. Throws if not all of the page agrees. */
  constructor(scenario: ScenarioName, page: Page) {
    this.originMs = originOf(scenario, page);
    this.server = serverOf(scenario, this.originMs);
    this.readAt(page);
  }

  /**
   * When the server was read for the page, in wall milliseconds: the newest moment at which every session, and no
   * other, had every byte as shown. Throws if there is none.
   */
  readAt(page: Page): number {
    const shown = keyOf(shownOn(page));
    const taken = Math.floor(page.value('rras_snapshot_timestamp_seconds')! * 1000);
    for (let ms = taken + SLEW_MS; ms >= Math.max(this.originMs, taken - LONGEST_READ_MS); ms -= 1) {
      if (keyOf(this.server.liveSessions(ms)) === shown) return ms;
    }
    throw new Error(`the simulated server was never as the page of ${taken} shows it`);
  }
}

const serverOf = (scenario: ScenarioName, originMs: number): SimulatedServer =>
  createSimulator({ scenario, seed: SEED, clock: new FakeClock({ monotonicMs: originMs }) });

const keyOf = (sessions: readonly Shown[]): string =>
  sessions
    .map(({ startMs, receivedBytes, transmittedBytes }) => `${startMs} ${receivedBytes} ${transmittedBytes}`)
    .sort()
    .join();

function shownOn(page: Page): Shown[] {
  const received = page.values('rras_connection_received_bytes_total') ?? {};
  const transmitted = page.values('rras_connection_transmitted_bytes_total') ?? {};
  return Object.entries(page.values('rras_connection_start_time_seconds') ?? {}).map(([id, seconds]) => ({
    startMs: Math.round(seconds * 1000),
    receivedBytes: received[id]!,
    transmittedBytes: transmitted[id]!,
  }));
}

/** The moment by which most starts on the page are those of sessions that the server was made with. */
function originOf(scenario: ScenarioName, page: Page): number {
  const votes = new Map<number, number>();
  const made = serverOf(scenario, 0).liveSessions(0);
  for (const shown of shownOn(page)) {
    for (const session of made) {
      const originMs = shown.startMs - session.startMs;
      votes.set(originMs, (votes.get(originMs) ?? 0) + 1);
    }
  }
  return [...votes].reduce((best, vote) => (vote[1] > best[1] ? vote : best), [NaN, 0])[0];
}
