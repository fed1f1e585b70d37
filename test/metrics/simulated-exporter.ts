/** The way from the simulated server to the page in one process, on a clock that the test steps. */
import { enumerate } from '../../src/collector/enumerate.ts';
import { Poller } from '../../src/collector/poller.ts';
import { CATALOGUE } from '../../src/metrics/catalogue.ts';
import type { Format } from '../../src/metrics/exposition.ts';
import { PageEncoder } from '../../src/metrics/exposition.ts';
import { ViewMaker } from '../../src/metrics/labels.ts';
import type { ViewOptions } from '../../src/metrics/labels.ts';
import type { ReadReport, SourceReader } from '../../src/model/frames.ts';
import type { Logger } from '../../src/model/logger.ts';
import type { RrasApi } from '../../src/model/rras-api.ts';
import type { Snapshot } from '../../src/model/snapshot.ts';
import type { Source } from '../../src/model/words.ts';
import { SOURCES } from '../../src/model/words.ts';
import { Host } from '../../src/native/host.ts';
import type { ScenarioName } from '../../src/native/simulator/scenarios.ts';
import type { ServerState, SimulatedServer } from '../../src/native/simulator/server.ts';
import { createSimulator } from '../../src/native/simulator/server.ts';
import { FakeClock } from '../doubles/fake-clock.ts';
import { Page } from './page.ts';

export const MAX_AGE_MS = 60_000;
export const SCRAPE_INTERVAL_MS = 15_000;

export interface ExporterOptions {
  readonly scenario?: ScenarioName;
  readonly view?: Partial<ViewOptions>;
  readonly userLimit?: number;
  readonly state?: ServerState;
  /** Null for the local machine. */
  readonly server?: string | null;
  readonly enabled?: readonly Source[];
  /** Puts something between the host and the simulated server. */
  readonly through?: (api: RrasApi) => RrasApi;
  /** Puts something between the poller and the host. */
  readonly reading?: (reader: SourceReader) => SourceReader;
}

export interface LogLine {
  readonly level: keyof Logger;
  readonly message: string;
  readonly fields: Readonly<Record<string, unknown>>;
}

export class SimulatedExporter {
  readonly clock = new FakeClock();
  readonly simulator: SimulatedServer;
  readonly poller: Poller;
  readonly log: LogLine[] = [];
  readonly reports: (readonly [Source, ReadReport])[] = [];
  readonly views: ViewMaker;

  constructor(options: ExporterOptions = {}) {
    const { clock } = this;
    this.views = new ViewMaker({
      privacy: { users: 'plain', addresses: 'plain' },
      detail: 'full',
      limit: 10_000,
      ...options.view,
    });
    this.simulator = createSimulator({
      scenario: options.scenario ?? 'small',
      seed: 1,
      clock,
      state: options.state ?? 'running',
    });
    const api = options.through?.(this.simulator) ?? this.simulator;
    const host = new Host({ api, enumerate, clock, server: options.server ?? null });
    this.poller = new Poller({
      reader: options.reading?.(host) ?? host,
      clock,
      logger: this.#logger(),
      enabled: new Set(options.enabled ?? SOURCES),
      minIntervalMs: 1000,
      maxAgeMs: MAX_AGE_MS,
      userLimit: options.userLimit ?? 0,
      onRead: (source, report) => this.reports.push([source, report]),
      onWraps: () => undefined,
    });
  }

  /** One scrape: polls and renders. */
  async scrape(): Promise<Page> {
    return this.render(await this.poller.collect(10_000));
  }

  /** The next scrape of a Prometheus that comes every 15 s. */
  async nextScrape(): Promise<Page> {
    await this.clock.advance(SCRAPE_INTERVAL_MS);
    return this.scrape();
  }

  render(snapshot: Snapshot): Page {
    return new Page(this.text(snapshot, 'text'));
  }

  text(snapshot: Snapshot, format: Format): string {
    const encoder = new PageEncoder(CATALOGUE, { format });
    return Buffer.concat(encoder.encode(this.views.view(snapshot, this.clock.monotonicMs()))).toString();
  }

  #logger(): Logger {
    const at =
      (level: LogLine['level']) =>
      (message: string, fields: Readonly<Record<string, unknown>> = {}): void => {
        this.log.push({ level, message, fields });
      };
    return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') };
  }
}
