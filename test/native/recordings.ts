/** Makes recordings of the simulated server on a clock that the test steps, and files for them. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { afterAll } from 'vitest';
import { enumerate } from '../../src/collector/enumerate.ts';
import type { RrasApi } from '../../src/model/rras-api.ts';
import { SOURCES } from '../../src/model/words.ts';
import { Host } from '../../src/native/host.ts';
import { Recorder } from '../../src/native/recorder.ts';
import { RecordingWriter } from '../../src/native/recording.ts';
import { Scrubber } from '../../src/native/scrub.ts';
import type { SimulatedServer, SimulatorOptions } from '../../src/native/simulator/server.ts';
import { createSimulator } from '../../src/native/simulator/server.ts';
import { FakeClock } from '../doubles/fake-clock.ts';

let folder: string | undefined;
let files = 0;
afterAll(() => {
  if (folder !== undefined) rmSync(folder, { recursive: true });
});

/** A path at which there is no file yet. */
export function newPath(): string {
  folder ??= mkdtempSync(join(tmpdir(), 'rras-exporter-recordings-'));
  files += 1;
  return join(folder, `${files}.rec`);
}

export const POLL_MS = 5000;

export interface Recording {
  readonly path: string;
  readonly simulator: SimulatedServer;
  readonly recorder: Recorder;
  /** What the host made of the answers while they were recorded, poll by poll. */
  readonly outcomes: readonly (readonly unknown[])[];
  /** The clock's time at the start. */
  readonly startedMs: number;
  readonly startedAt: number;
}

export interface RecordOptions extends Partial<SimulatorOptions> {
  readonly polls?: number;
  readonly clock?: FakeClock;
  readonly remote?: boolean;
  readonly through?: (api: RrasApi) => RrasApi;
  /** Called before each poll. */
  readonly before?: (poll: number, simulator: SimulatedServer) => Promise<void> | void;
}

export async function recordSimulator(options: RecordOptions = {}): Promise<Recording> {
  const { polls = 2, clock = new FakeClock(), remote = false, through, before, ...rest } = options;
  const simulator = createSimulator({ scenario: 'small', seed: 3, clock, ...rest });
  const path = newPath();
  const startedAt = clock.wallSeconds();
  const writer = await RecordingWriter.create(path, {
    startedAt,
    exporterVersion: '1.2.3',
    remote,
    missing: [],
  });
  const startedMs = clock.monotonicMs();
  const api = through?.(simulator) ?? simulator;
  const recorder = new Recorder({ api, writer, scrubber: new Scrubber(), clock });
  const host = new Host({ api: recorder, enumerate, clock, server: remote ? 'vpn1' : null });
  const outcomes: unknown[][] = [];
  for (let poll = 0; poll < polls; poll += 1) {
    if (poll > 0) await clock.advance(POLL_MS);
    await before?.(poll, simulator);
    recorder.beginRound();
    outcomes.push(await readAllSources(host));
    await writer.flush();
  }
  await host.close();
  await writer.close();
  return { path, simulator, recorder, outcomes, startedMs, startedAt };
}

/** What a host reads of each source, one after the other, without how long it took. */
export async function readAllSources(host: Host): Promise<unknown[]> {
  const outcomes: unknown[] = [];
  for (const source of SOURCES) {
    const { report, ...outcome } = await host.read(source);
    outcomes.push({ ...outcome, anomalies: report.anomalies, pages: report.pages });
  }
  return outcomes;
}

/** The text of a recording. */
export const textOf = (path: string): string => gunzipSync(readFileSync(path)).toString();

export const linesOf = (path: string): string[] => textOf(path).trimEnd().split('\n');

/** The API with some of its calls replaced. */
export function replacing(api: RrasApi, calls: Partial<RrasApi>): RrasApi {
  return new Proxy(api, {
    get: (target, key) => {
      const value: unknown = Reflect.get(key in calls ? calls : target, key);
      return typeof value === 'function' ? (value.bind(target) as unknown) : value;
    },
  });
}
