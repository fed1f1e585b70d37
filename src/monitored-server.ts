/**
 * One server and all that belongs to it: the child process that reads it, its accounts, its pages and its part of the API.
 * The local server is one, and so is each of the configuration; what befalls one does not touch the others.
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import { extname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { enumerate } from './collector/enumerate.ts';
import { Poller } from './collector/poller.ts';
import type { Options } from './config/options.ts';
import { connectionObjects, interfaceObjects, statusObject } from './metrics/api-data.ts';
import { CATALOGUE } from './metrics/catalogue.ts';
import { CONTENT_TYPES, PageEncoder, toOpenMetrics } from './metrics/exposition.ts';
import type { View } from './metrics/labels.ts';
import { ViewMaker } from './metrics/labels.ts';
import type { ServerProducer } from './metrics/otlp/telemetry.ts';
import type { Privacy } from './metrics/privacy.ts';
import type { SelfMetrics } from './metrics/self.ts';
import type { Actor } from './model/actions.ts';
import type { Clock } from './model/clock.ts';
import type { SourceReader } from './model/frames.ts';
import type { Logger } from './model/logger.ts';
import { inSlices } from './model/slices.ts';
import type { Snapshot } from './model/snapshot.ts';
import type { Tracing } from './model/tracing.ts';
import { forkHost, HostClient } from './native/client.ts';
import { nameOfCode } from './native/codes.ts';
import type { HostConfig } from './native/host-messages.ts';
import type { HostPlaces } from './native/host-places.ts';
import { Host } from './native/host.ts';
import { clockOf, openApi } from './native/open-api.ts';
import type { ApiData } from './server/api.ts';
import type { ServedServer } from './server/app.ts';
import { PageCache } from './server/pages.ts';

/** Runs something as part of no trace. */
const outside = AsyncLocalStorage.snapshot();

/** The child's entry beside this file: native-host.ts from the sources, native-host.js from dist. */
const HOST_ENTRY = fileURLToPath(new URL(`./native-host${extname(import.meta.url)}`, import.meta.url));

/** Accounts of so many users are kept with --collector.users. */
const USER_LIMIT = 5000;

export interface ServerParts {
  /** null: the local server, or the one of the flags. */
  readonly name: string | null;
  readonly config: HostConfig;
  readonly options: Options;
  readonly privacy: Privacy;
  readonly version: string;
  readonly self: SelfMetrics;
  readonly places: HostPlaces;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly tracing: Tracing | undefined;
}

/** A reader that can be ended. */
interface Reader {
  readonly reader: SourceReader & Actor;
  stop(): void;
  setTimeoutMs(timeoutMs: number): void;
}

/** Rejects if the DLL or the recording cannot be loaded into this process (--native.isolation=none). */
export async function openServer(parts: ServerParts): Promise<MonitoredServer> {
  // The child tells of changes before the poller that is told of them is there.
  const told = { onChange: (): void => undefined };
  const reader = await openReader(parts, () => told.onChange());
  const server = new MonitoredServer(parts, reader);
  told.onChange = () => server.poller.poke();
  return server;
}

async function openReader(parts: ServerParts, onChange: () => void): Promise<Reader> {
  const { config, options, self, places, clock, logger } = parts;
  if (options.native.isolation === 'none') {
    const hostClock = await clockOf(config, clock);
    const api = await openApi(config, hostClock);
    const reader = new Host({ api, enumerate, clock: hostClock, server: config.server });
    return { reader, stop: () => undefined, setTimeoutMs: () => undefined };
  }
  const client = new HostClient({
    // Its end belongs to no poll, whoever started it.
    spawn: () => outside(() => forkHost(HOST_ENTRY, config)),
    clock,
    logger,
    places,
    timeoutMs: options.collector.timeoutMs,
    onRestart: (reason) => self.countRestart(reason),
    onChange,
    onReady: (missing) => {
      if (missing.length > 0) logger.warn('mprapi.dll lacks functions', { missing: missing.join(',') });
    },
  });
  return {
    reader: client,
    stop: () => client.stop(),
    setTimeoutMs: (timeoutMs) => client.setTimeoutMs(timeoutMs),
  };
}

export class MonitoredServer implements ServedServer {
  readonly name: string | null;
  readonly config: HostConfig;
  readonly self: SelfMetrics;
  readonly poller: Poller;
  readonly views: ViewMaker;
  readonly pages: PageCache;
  readonly api: ApiData;
  readonly logger: Logger;
  readonly #parts: ServerParts;
  readonly #reader: Reader;
  readonly #ending = new AbortController();
  /** Views and pages are made in slices, and what is kept from one to the next is for one at a time. */
  readonly #inTurn = queue();
  #running: Promise<void> | undefined;
  /** Thousands of connections are not sorted anew for each page of the API. */
  #listed: { shown: View['shown']; connections: ReturnType<ApiData['connections']> } | undefined;

  constructor(parts: ServerParts, reader: Reader) {
    const { options, privacy, self, clock, logger, tracing } = parts;
    const { minIntervalMs, maxAgeMs, sources } = options.collector;
    this.name = parts.name;
    this.config = parts.config;
    this.self = self;
    this.logger = logger;
    this.#parts = parts;
    this.#reader = reader;
    self.startSources(sources);
    this.poller = new Poller({
      reader: reader.reader,
      clock,
      logger,
      enabled: new Set(sources),
      minIntervalMs,
      maxAgeMs,
      userLimit: options.collector.users ? USER_LIMIT : 0,
      onRead: (source, report) => self.countRead(source, report),
      onWraps: (wraps, ambiguous) => self.countWraps(wraps, ambiguous),
      ...(tracing && { tracing }),
    });
    this.views = new ViewMaker({ privacy, ...options.collector.connections });
    this.pages = this.#pageCache();
    this.api = this.#apiData();
  }

  /** True once it is stopped: what it knows is of before. */
  get ended(): boolean {
    return this.#ending.signal.aborted;
  }

  get simulated(): boolean {
    return this.config.backend === 'simulator';
  }

  collect(waitMs: number): Promise<Snapshot> {
    return this.poller.collect(waitMs);
  }

  snapshot(): Snapshot {
    return this.poller.snapshot();
  }

  ready(): boolean {
    return this.poller.ready;
  }

  /** The calls of actions are counted as those of reads are. */
  get actor(): Actor {
    return {
      act: async (request) => {
        const result = await this.#reader.reader.act(request);
        this.self.countCalls(result.report);
        return result;
      },
    };
  }

  /** Puts changed options into force: those that a reload may change. Accounts go on as they were. */
  async configure({ collector }: Options, privacy: Privacy): Promise<void> {
    this.#reader.setTimeoutMs(collector.timeoutMs);
    this.poller.configure(collector);
    await this.#inTurn(() => {
      this.views.configure({ privacy, ...collector.connections });
      this.pages.clear();
      return Promise.resolve();
    });
  }

  /** Polls in the background until the server is stopped. */
  run(): Promise<void> {
    return (this.#running ??= this.poller.run(this.#ending.signal));
  }

  stop(): void {
    this.#ending.abort();
    this.#reader.stop();
  }

  /** Its metrics for OTLP; `connections`: also those of each connection. */
  async producer(connections: boolean): Promise<ServerProducer> {
    const { CatalogueProducer } = await import('./metrics/otlp/producer.ts');
    const { clock, version } = this.#parts;
    // Who sends no connections does not choose which are shown.
    const look = () =>
      connections
        ? this.views.viewing(this.snapshot(), clock.monotonicMs())
        : this.views.peeking(this.snapshot(), clock.monotonicMs());
    return new CatalogueProducer({
      view: () => this.#inTurn(() => inSlices(look(), clock)),
      own: () => this.self.families(),
      connections,
      startedAtSeconds: clock.wallSeconds(),
      version,
      clock,
    });
  }

  #pageCache(): PageCache {
    const { options, clock } = this.#parts;
    const createdSeconds = options.web.openMetricsCreated ? clock.wallSeconds() : undefined;
    const text = new PageEncoder(CATALOGUE, { format: 'text' });
    const encoders = {
      text,
      openmetrics: new PageEncoder(CATALOGUE, { format: 'openmetrics', createdSeconds, shareWith: text }),
    };
    return new PageCache(
      {
        contentTypes: CONTENT_TYPES,
        render: (snapshot, format) =>
          this.#inTurn(async () => {
            const view = await inSlices(this.views.viewing(snapshot, clock.monotonicMs()), clock);
            const page = await inSlices(encoders[format].encoding(view), clock);
            const own = await this.self.text();
            return [...page, Buffer.from(format === 'text' ? own : `${toOpenMetrics(own)}# EOF\n`)];
          }),
      },
      clock,
    );
  }

  #apiData(): ApiData {
    const { version, clock } = this.#parts;
    const view = (): Promise<View> =>
      this.#inTurn(() => inSlices(this.views.peeking(this.snapshot(), clock.monotonicMs()), clock));
    return {
      status: async () => {
        const { service, ...rest } = statusObject(await view());
        return {
          version,
          simulated: this.simulated,
          replayed: this.config.backend === 'replay',
          service: service ?? null,
          ...rest,
          history: this.poller.history(),
        };
      },
      connections: async () => {
        const seen = await view();
        if (seen.shown === undefined || seen.shown !== this.#listed?.shown) {
          this.#listed = { shown: seen.shown, connections: inSlices(connectionObjects(seen), clock) };
        }
        return this.#listed.connections;
      },
      interfaces: async () => interfaceObjects(await view(), nameOfCode),
    };
  }
}

/** Runs one job after the other. */
function queue(): <T>(job: () => Promise<T>) => Promise<T> {
  let last: Promise<unknown> = Promise.resolve();
  return (job) => {
    const result = last.then(job);
    last = result.catch(() => undefined);
    return result;
  };
}
