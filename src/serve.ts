/** The composition root: the only file that wires the rooms of the exporter together. */
import { AsyncLocalStorage } from 'node:async_hooks';
import { hostname } from 'node:os';
import { extname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { BadRequestBody, parseJsonBody } from './admin/hooks/json.ts';
import { alertmanagerBody, grafanaBody } from './admin/hooks/alerts.ts';
import type { AdminService } from './admin/service.ts';
import { enumerate } from './collector/enumerate.ts';
import { Poller } from './collector/poller.ts';
import { parseDurationMs } from './config/duration.ts';
import { isLoopback } from './config/listen-address.ts';
import { refuseExposedAdmin } from './config/schema.ts';
import type { Options } from './config/options.ts';
import { packageVersion } from './config/version.ts';
import { connectionObjects, interfaceObjects, statusObject } from './metrics/api-data.ts';
import type { OtlpPlan } from './config/otlp.ts';
import { otlpPlan } from './config/otlp.ts';
import { CATALOGUE } from './metrics/catalogue.ts';
import { CONTENT_TYPES, PageEncoder, toOpenMetrics } from './metrics/exposition.ts';
import type { AdminMetrics } from './metrics/admin-metrics.ts';
import type { ServerProducer, Telemetry } from './metrics/otlp/telemetry.ts';
import type { View } from './metrics/labels.ts';
import { cleanText, shownInterfaceNames, ViewMaker } from './metrics/labels.ts';
import { SelfMetrics } from './metrics/self.ts';
import type { Privacy } from './metrics/privacy.ts';
import type { Actor } from './model/actions.ts';
import type { SourceReader } from './model/frames.ts';
import type { Logger } from './model/logger.ts';
import type { Tracing } from './model/tracing.ts';
import { inSlices } from './model/slices.ts';
import type { Snapshot } from './model/snapshot.ts';
import { forkHost, HostClient } from './native/client.ts';
import { nameOfCode } from './native/codes.ts';
import { hostConfig } from './native/host-config.ts';
import { Host } from './native/host.ts';
import { clockOf, openApi } from './native/open-api.ts';
import { systemClock } from './runtime/clock.ts';
import { createLogger } from './runtime/logger.ts';
import { openStorage, PSEUDONYM_KEY, readOrMakeSecret } from './runtime/storage.ts';
import { installShutdown } from './runtime/shutdown.ts';
import type { AdminRoutes } from './server/admin.ts';
import { createApp } from './server/app.ts';
import type { Listener } from './server/listen.ts';
import { listen } from './server/listen.ts';
import { openApiDocument } from './server/openapi.ts';
import { PageCache } from './server/pages.ts';
import { verifiedSubjectAltNames } from './server/client-certificates.ts';
import { openWebSecurity } from './server/web-security.ts';

/** Runs something as part of no trace. */
const outside = AsyncLocalStorage.snapshot();

/** The child's entry beside this file: native-host.ts from the sources, native-host.js from dist. */
const HOST_ENTRY = fileURLToPath(new URL(`./native-host${extname(import.meta.url)}`, import.meta.url));

/** Accounts of so many users are kept with --collector.users. */
const USER_LIMIT = 5000;

/** An action is decided on what was read within this time, so that the answer comes within the server's own deadline. */
const FRESH_WITHIN_MS = 8_000;
/** What is left to send must not keep the exporter from ending. */
const TELEMETRY_END_MS = 1_000;

/** What was read longer ago is read again before an action is decided on. */
const FRESH_MS = 1_000;

/** Runs the exporter until a signal ends it. Rejects, with one line that says what to do, if it cannot start. */
export async function serve(options: Options): Promise<void> {
  const config = await hostConfig(options.rras, process.platform);
  const version = packageVersion();
  const clock = systemClock;
  const log = createLogger(options.log, clock);
  const plan = otlpPlan(process.env, options.otlp);
  const simulated = config.backend === 'simulator';
  const self = new SelfMetrics({
    version,
    simulated,
    startedAtSeconds: clock.wallSeconds(),
    process: options.web.exporterMetrics,
  });
  /** Made below; before the first export. */
  let producer: ServerProducer | undefined;
  const telemetry = await openTelemetry({
    plan,
    version,
    log,
    level: options.log.level,
    self,
    producer: () => producer,
  });
  const logger = telemetry?.exported(log) ?? log;
  const shutdown = installShutdown(process, clock, logger);
  logger.info('starting rras-exporter', {
    version,
    nodeVersion: process.version,
    platform: process.platform,
  });

  const { configFile } = options.web;
  const security = configFile === null ? undefined : await openWebSecurity(configFile, { logger, clock });
  if (options.web.enableAdminApi) {
    refuseExposedAdmin(options, security?.tls ?? false);
    openStorage(options.storage.path);
  }
  const { timeoutMs, minIntervalMs, maxAgeMs, sources } = options.collector;
  let reader: SourceReader & Actor;
  let stopReader = (): void => undefined;
  if (options.native.isolation === 'process') {
    const client = new HostClient({
      // Its end belongs to no poll, whoever started it.
      spawn: () => outside(() => forkHost(HOST_ENTRY, config)),
      clock,
      logger,
      timeoutMs,
      onRestart: (reason) => self.countRestart(reason),
      onChange: () => poller.poke(),
      onReady: (missing) => {
        if (missing.length > 0) logger.warn('mprapi.dll lacks functions', { missing: missing.join(',') });
      },
    });
    reader = client;
    stopReader = () => client.stop();
  } else {
    const hostClock = await clockOf(config, clock);
    const api = await openApi(config, hostClock);
    reader = new Host({ api, enumerate, clock: hostClock, server: config.server });
  }
  const privacy = choosePrivacy(options, security?.authenticates ?? false, logger);
  const poller = new Poller({
    reader,
    clock,
    logger,
    enabled: new Set(sources),
    minIntervalMs,
    maxAgeMs,
    userLimit: options.collector.users ? USER_LIMIT : 0,
    onRead: (source, report) => self.countRead(source, report),
    onWraps: (wraps, ambiguous) => self.countWraps(wraps, ambiguous),
    ...(telemetry && { tracing: telemetry.tracing }),
  });
  /** Views and pages are made in slices, and what is kept from one to the next is for one at a time. */
  const inTurn = queue();
  const views = new ViewMaker({ privacy, ...options.collector.connections });
  const createdSeconds = options.web.openMetricsCreated ? clock.wallSeconds() : undefined;
  const text = new PageEncoder(CATALOGUE, { format: 'text' });
  const encoders = {
    text,
    openmetrics: new PageEncoder(CATALOGUE, { format: 'openmetrics', createdSeconds, shareWith: text }),
  };
  const pages = new PageCache(
    {
      contentTypes: CONTENT_TYPES,
      render: (snapshot, format) =>
        inTurn(async () => {
          const view = await inSlices(views.viewing(snapshot, clock.monotonicMs()), clock);
          const page = await inSlices(encoders[format].encoding(view), clock);
          const own = await self.text();
          return [...page, Buffer.from(format === 'text' ? own : `${toOpenMetrics(own)}# EOF\n`)];
        }),
    },
    clock,
  );
  if (plan.metrics) {
    const { CatalogueProducer } = await import('./metrics/otlp/producer.ts');
    // Who sends no connections does not choose which are shown.
    const look = () =>
      options.otlp.connections
        ? views.viewing(poller.snapshot(), clock.monotonicMs())
        : views.peeking(poller.snapshot(), clock.monotonicMs());
    producer = new CatalogueProducer({
      view: () => inTurn(() => inSlices(look(), clock)),
      own: () => self.families(),
      connections: options.otlp.connections,
      startedAtSeconds: clock.wallSeconds(),
      version,
      clock,
    });
  }
  /** Sorting thousands of connections anew for each page of the API would hold up everybody else. */
  let listed: { shown: View['shown']; connections: ReturnType<typeof connectionObjects> } | undefined;
  const view = (): Promise<View> =>
    inTurn(() => inSlices(views.peeking(poller.snapshot(), clock.monotonicMs()), clock));
  const admin = options.web.enableAdminApi
    ? new Admin({
        options,
        poller,
        actor: countingActor(reader, self),
        clock,
        logger,
        self,
        views,
        tracing: telemetry?.tracing,
      })
    : undefined;
  const app = createApp({
    telemetryPath: options.web.telemetryPath,
    maxRequests: options.web.maxRequests,
    timeoutMs,
    version,
    simulated,
    clock,
    logger,
    pages,
    collect: (waitMs) => poller.collect(waitMs),
    snapshot: () => poller.snapshot(),
    ready: () => poller.ready,
    api: {
      status: async () => {
        const { service, ...rest } = statusObject(await view());
        return { version, simulated, service: service ?? null, ...rest };
      },
      connections: async () => {
        const seen = await view();
        if (seen.shown === undefined || seen.shown !== listed?.shown) {
          listed = { shown: seen.shown, connections: connectionObjects(seen) };
        }
        return listed.connections;
      },
      interfaces: async () => interfaceObjects(await view(), nameOfCode),
    },
    openApi: openApiDocument({
      version,
      hooks: { alertmanager: alertmanagerBody, grafana: grafanaBody },
    }),
    ...(admin && { admin: admin.routes }),
    ...(security && { security }),
  });
  const listeners: Listener[] = [];
  try {
    for (const address of options.web.listenAddresses) listeners.push(await listen(address, app, security));
  } catch (error) {
    for (const listener of listeners) listener.force();
    stopReader();
    throw error;
  }
  for (const listener of listeners) {
    shutdown.add({ name: 'http', close: (signal) => listener.close(signal), force: () => listener.force() });
    logger.info('listening', { url: `${listener.url}${options.web.telemetryPath}` });
  }
  if (admin) {
    await admin.open();
    shutdown.add({ name: 'actions', close: () => admin.close() });
  }
  shutdown.add({ name: 'native host', close: stopReader, force: stopReader });
  if (telemetry)
    shutdown.add({ name: 'telemetry', close: () => telemetry.shutdown(), withinMs: TELEMETRY_END_MS });
  if (simulated)
    logger.warn('the server is simulated: none of its data is real', { scenario: config.scenario });
  if (config.backend === 'replay') {
    const { file, startedAt, endMs, truncated } = config;
    const recordedAt = new Date(startedAt * 1000).toISOString();
    logger.warn('the server is a recording: none of its data is of now', {
      file,
      recordedAt,
      seconds: Math.round(endMs / 1000),
    });
    if (truncated) logger.warn('the recording broke off: what is complete of it is played back', { file });
  }
  // The first snapshot makes the exporter ready; what goes wrong in it shows in the metrics and the log.
  await poller.run(shutdown.signal);
}

/**
 * How names and addresses are shown: as the options say, else plain only if nobody can ask but this machine or who logs in.
 */
function choosePrivacy(options: Options, authenticated: boolean, logger: Logger): Privacy {
  const local =
    authenticated || options.web.listenAddresses.every(({ host }) => host !== null && isLoopback(host));
  const users = options.privacy.users ?? (local ? 'plain' : 'pseudonym');
  const addresses = options.privacy.addresses ?? (local ? 'plain' : 'prefix');
  if (!local && (options.privacy.users === null || options.privacy.addresses === null)) {
    logger.info('names and addresses are hidden, as others than this machine can ask', {
      users,
      addresses,
      change: '--privacy.users and --privacy.addresses',
    });
  }
  if (users !== 'pseudonym' && addresses !== 'pseudonym') return { users, addresses };
  return { users, addresses, key: readOrMakeSecret(options.storage.path, PSEUDONYM_KEY) };
}

interface TelemetryParts {
  readonly plan: OtlpPlan;
  readonly version: string;
  readonly log: Logger;
  readonly level: Options['log']['level'];
  readonly self: SelfMetrics;
  readonly producer: () => ServerProducer | undefined;
}

/** Nothing of OpenTelemetry is even loaded unless it is asked for. */
async function openTelemetry(parts: TelemetryParts): Promise<Telemetry | undefined> {
  const { plan, version, log, level, self, producer } = parts;
  const signals = Object.keys(plan);
  if (signals.length === 0) return undefined;
  const { NO_METRICS, startTelemetry } = await import('./metrics/otlp/telemetry.ts');
  const telemetry = startTelemetry({
    plan,
    version,
    hostName: hostname(),
    producer: {
      collect: (options) => producer()?.collect(options) ?? Promise.resolve(NO_METRICS),
      exportEnded: (succeeded) => producer()?.exportEnded?.(succeeded),
    },
    logger: log,
    level,
    clock: systemClock,
    count: self.otlp(signals),
  });
  log.info('OTLP export is on', { signals: signals.join(',') });
  return telemetry;
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

/** The calls of actions are counted as those of reads are. */
function countingActor(actor: Actor, self: SelfMetrics): Actor {
  return {
    act: async (request) => {
      const result = await actor.act(request);
      self.countCalls(result.report);
      return result;
    },
  };
}

interface AdminParts {
  readonly options: Options;
  readonly poller: Poller;
  readonly actor: Actor;
  readonly clock: typeof systemClock;
  readonly logger: Logger;
  readonly self: SelfMetrics;
  readonly views: ViewMaker;
  readonly tracing: Tracing | undefined;
}

/** The guarded actions: wired before the listeners are bound, opened after. */
class Admin {
  readonly #parts: AdminParts;
  readonly #metrics: AdminMetrics;
  readonly #opened = Promise.withResolvers<AdminService>();
  #service: AdminService | undefined;

  constructor(parts: AdminParts) {
    this.#parts = parts;
    this.#metrics = parts.self.admin({
      paused: () => this.#service?.paused.paused ?? false,
      breakers: () => this.#breakers(),
    });
  }

  get routes(): AdminRoutes {
    const { clock, views } = this.#parts;
    return {
      backend: this.#opened.promise,
      clock,
      parseJson: parseJsonBody,
      isBodyProblem: (error): error is Error => error instanceof BadRequestBody,
      subjectAltNames: verifiedSubjectAltNames,
      clean: cleanText,
      showAddress: (address) => views.address(address),
      parseDurationMs,
      count: (route, decision) => this.#metrics.countRequest(route, decision),
    };
  }

  /** An audit log that cannot be used keeps all actions from running, and nothing else. */
  async open(): Promise<void> {
    const { options, poller, actor, clock, logger, tracing } = this.#parts;
    const metrics = this.#metrics;
    warnOfTheUseless(options, logger);
    // An exporter without actions need not hold the code of them in memory.
    const { openAdminService } = await import('./admin/service.ts');
    this.#service = await openAdminService({
      config: options.admin,
      folder: options.storage.path,
      actor,
      snapshot: () => this.#freshSnapshot(),
      interfaceNamed,
      nameOfCode,
      clock,
      logger,
      ...(tracing && { tracing }),
      events: {
        onStarted: (action) => metrics.countStarted(action),
        onEnded: (action, succeeded, seconds) => {
          metrics.countEnded(action, succeeded, seconds);
          poller.poke();
        },
        onAuditFailure: () => metrics.countAuditFailure(),
        onAlert: (rule, decision) => metrics.countAlert(rule, decision),
      },
    });
    this.#opened.resolve(this.#service);
  }

  async close(): Promise<void> {
    await this.#service?.close();
  }

  /** What could not be read in time counts as a server that cannot be read: nothing is done by what it was before. */
  async #freshSnapshot(): Promise<Snapshot> {
    const { options, poller, clock } = this.#parts;
    const waitMs = Math.min(options.collector.timeoutMs, FRESH_WITHIN_MS);
    const startMs = clock.monotonicMs();
    const snapshot = await poller.collect(waitMs, Math.min(options.collector.minIntervalMs, FRESH_MS));
    return clock.monotonicMs() - startMs < waitMs ? snapshot : { ...snapshot, service: undefined };
  }

  *#breakers(): Generator<readonly [string, boolean]> {
    const { interfaces = [] } = this.#parts.poller.snapshot();
    const names = shownInterfaceNames(interfaces);
    for (const [i, { name, type }] of interfaces.entries()) {
      if (type !== 'full_router' && type !== 'home_router') continue;
      yield [names[i]!, this.#service?.breakerOpen(name) ?? false];
    }
  }
}

/** What was configured and can do nothing. */
function warnOfTheUseless({ admin, collector }: Options, logger: Logger): void {
  const { hooks, tokens, clientCertificates } = admin;
  const delivers = [...tokens, ...clientCertificates].some(({ rights }) => rights.includes('hook'));
  if (hooks.rules.length > 0 && !delivers && !hooks.grafana) {
    logger.warn(
      'no rule will ever run: no token or certificate has the right hook, and Grafana has no secret',
    );
  }
  if (!collector.sources.includes('interfaces')) {
    logger.warn('no interface can be acted on: --no-collector.interfaces switches them off');
  }
}

/** The server's name of an interface, from the name that is shown of it. */
function interfaceNamed(shown: string, { interfaces = [] }: Pick<Snapshot, 'interfaces'>): string {
  const at = shownInterfaceNames(interfaces).indexOf(shown);
  return interfaces[at]?.name ?? shown;
}
