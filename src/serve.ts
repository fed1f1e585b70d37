/** The composition root of serving: wires the parts of the exporter together, and puts a changed configuration into force. */
import { hostname } from 'node:os';
import { alertmanagerBody, grafanaBody } from './admin/hooks/alerts.ts';
import { isLoopback } from './config/listen-address.ts';
import type { Options } from './config/options.ts';
import type { OtlpPlan } from './config/otlp.ts';
import { otlpPlan } from './config/otlp.ts';
import { missingProtection, refuseExposedAdmin, refuseTwins, restartNeeded } from './config/schema.ts';
import { packageVersion } from './config/version.ts';
import { Fleet } from './fleet.ts';
import { adminRoutes, GuardedActions } from './guarded-actions.ts';
import type { ServerProducer, Telemetry } from './metrics/otlp/telemetry.ts';
import type { Privacy } from './metrics/privacy.ts';
import { SelfMetrics } from './metrics/self.ts';
import { UsageError } from './model/errors.ts';
import type { Clock } from './model/clock.ts';
import type { Logger } from './model/logger.ts';
import { openServer } from './monitored-server.ts';
import { hostConfig } from './native/host-config.ts';
import type { HostConfig } from './native/host-messages.ts';
import { HostPlaces } from './native/host-places.ts';
import { systemClock } from './runtime/clock.ts';
import type { ProgramLog } from './runtime/logger.ts';
import { createLogger } from './runtime/logger.ts';
import { Reloading } from './runtime/reloading.ts';
import { installShutdown } from './runtime/shutdown.ts';
import { openStorage, PSEUDONYM_KEY, readOrMakeSecret } from './runtime/storage.ts';
import { createApp } from './server/app.ts';
import type { Listener } from './server/listen.ts';
import { listen } from './server/listen.ts';
import { openApiDocument } from './server/openapi.ts';
import { ownNames } from './server/own-host.ts';
import { openWebSecurity } from './server/web-security.ts';

/** What is left to send must not keep the exporter from ending. */
const TELEMETRY_END_MS = 1_000;

/**
 * Runs the exporter until a signal ends it. Rejects, with one line that says what to do, if it cannot start. `load` reads the
 * options anew.
 */
export async function serve(options: Options, load: () => Options): Promise<void> {
  const clock = systemClock;
  const log = createLogger(options.log, clock);
  let run: () => Promise<void>;
  try {
    run = await start(options, load, clock, log);
  } catch (error) {
    // A service has no standard error that anybody sees; without a file, the caller's line is beside the log.
    if (options.log.file !== null) {
      const hint = error instanceof UsageError && error.hint !== '' ? error.hint : undefined;
      log.error('cannot start', { error, hint });
    }
    throw error;
  }
  await run();
}

/** Resolves when all is open, with what goes on until the exporter ends. */
async function start(
  options: Options,
  load: () => Options,
  clock: Clock,
  log: ProgramLog,
): Promise<() => Promise<void>> {
  const config = await hostConfig(options.rras, process.platform, {
    wallSeconds: clock.wallSeconds(),
    name: null,
  });
  const version = packageVersion();
  const plan = otlpPlan(process.env, options.otlp);
  refuseTwins(options, plan, hostname());
  const self = new SelfMetrics({
    version,
    simulated: config.backend === 'simulator',
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
  const tls = security?.tls ?? false;
  if (options.web.enableAdminApi) {
    refuseExposedAdmin(options, tls);
    openStorage(options.storage.path, (message) => logger.warn(message));
  }
  const privacyOf = (now: Options): Privacy => choosePrivacy(now, security?.authenticates ?? false, logger);
  const privacy = privacyOf(options);
  const places = new HostPlaces(options.native.maxProcesses);
  const tracing = telemetry?.tracing;
  const local = await openServer({
    name: null,
    config,
    options,
    privacy,
    version,
    self,
    // A place of its own: other servers that hang are not in its way.
    places: new HostPlaces(1),
    clock,
    logger,
    tracing,
  });
  const exportsMetrics = plan.metrics !== undefined;
  if (exportsMetrics) producer = await local.producer(options.otlp.connections);
  const admin = options.web.enableAdminApi
    ? new GuardedActions({ server: local, options, folder: options.storage.path, clock, tracing })
    : undefined;
  const fleet = new Fleet({
    version,
    clock,
    logger,
    places,
    telemetry,
    pausedAs: () => admin?.service?.paused,
    exportsMetrics,
  });
  /** The options in force. */
  let now = options;
  const started = Promise.withResolvers<undefined>();
  const reloading = new Reloading({
    after: started.promise,
    load: async () => {
      // Also while the configuration is bad: the log may have been rotated, and what cannot be opened changes nothing.
      log.reopen();
      const next = await settled(load, clock);
      refuseChange(now, next);
      refuseExposedAdmin(next, tls);
      refuseTwins(next, plan, hostname());
      const shown = privacyOf(next);
      const commit = await fleet.prepare(next, shown);
      return async () => {
        now = next;
        await local.configure(next, shown);
        admin?.configure(next);
        await commit();
        log.setLevel(next.log.level);
        telemetry?.setLevel(next.log.level);
      };
    },
    onEnd: (succeeded) => {
      self.countReload(succeeded, clock.wallSeconds());
      // Who asked looks for it in the next scrape.
      local.pages.clear();
    },
    logger,
  });
  reloading.install(process, shutdown.signal);
  const app = createApp({
    telemetryPath: options.web.telemetryPath,
    get maxRequests() {
      const { maxRequests } = now.web;
      // A server that hangs holds a scrape up, and there may be many.
      return maxRequests === 0 ? 0 : maxRequests + fleet.servers.size;
    },
    get timeoutMs() {
      return now.collector.timeoutMs;
    },
    get externalUrl() {
      return now.web.externalUrl;
    },
    ownNames: ownNames(hostname(), options.web.listenAddresses),
    clock,
    logger,
    pages: local.pages,
    collect: (waitMs) => local.collect(waitMs),
    ready: () => local.ready(),
    api: local.api,
    servers: () => (fleet.begun ? fleet.servers : undefined),
    ...(options.web.enableLifecycle && { reload: () => reloading.run('request') }),
    openApi: openApiDocument({
      version,
      hooks: { alertmanager: alertmanagerBody, grafana: grafanaBody },
    }),
    ...(admin && {
      admin: adminRoutes(
        admin,
        () => fleet.actions,
        local,
        () => now,
        clock,
      ),
    }),
    ...(security && { security }),
  });
  const listeners: Listener[] = [];
  try {
    for (const address of options.web.listenAddresses) listeners.push(await listen(address, app, security));
    if (admin) await openActions(admin, options, logger);
    await (
      await fleet.prepare(options, privacy)
    )();
  } catch (error) {
    for (const listener of listeners) listener.force();
    local.stop();
    fleet.stop();
    throw error;
  }
  for (const listener of listeners) {
    shutdown.add({ name: 'http', close: (signal) => listener.close(signal), force: () => listener.force() });
    logger.info('listening', { url: `${listener.url}${options.web.telemetryPath}` });
  }
  shutdown.add({
    name: 'actions',
    close: async () => {
      await Promise.all([admin?.close(), fleet.closeActions()]);
    },
  });
  const stop = (): void => {
    local.stop();
    fleet.stop();
  };
  shutdown.add({ name: 'native host', close: stop, force: stop });
  if (telemetry)
    shutdown.add({ name: 'telemetry', close: () => telemetry.shutdown(), withinMs: TELEMETRY_END_MS });
  started.resolve(undefined);
  tellOrigin(config, logger);
  // The first snapshot makes the exporter ready; what goes wrong in it shows in the metrics and the log.
  return () => local.poller.run(shutdown.signal);
}

/** Nobody is to take made-up or old data for that of a server. */
function tellOrigin(config: HostConfig, logger: Logger): void {
  if (config.backend === 'simulator')
    logger.warn('the server is simulated: none of its data is real', { scenario: config.scenario });
  if (config.backend !== 'replay') return;
  const { file, startedAt, endMs, truncated } = config;
  const recordedAt = new Date(startedAt * 1000).toISOString();
  logger.warn('the server is a recording: none of its data is of now', {
    file,
    recordedAt,
    seconds: Math.round(endMs / 1000),
  });
  if (truncated) logger.warn('the recording broke off: what is complete of it is played back', { file });
}

/** After the listeners are bound: a second program on the same port does not get as far as the audit log. */
async function openActions(admin: GuardedActions, options: Options, logger: Logger): Promise<void> {
  warnOfTheUseless(options, logger);
  await admin.open();
}

/** Between two looks at a file that somebody may be writing. */
const LOOK_AGAIN_MS = 100;
const LOOKS = 20;

/** The options when the file does not change any more. */
async function settled(load: () => Options, clock: Clock): Promise<Options> {
  let last = load();
  for (let look = 0; look < LOOKS; look += 1) {
    await clock.sleep(LOOK_AGAIN_MS);
    const next = load();
    if (JSON.stringify(next) === JSON.stringify(last)) return next;
    last = next;
  }
  throw new UsageError('the configuration file changes all the time', 'reload when it is written');
}

/** What no reload does. @throws UsageError */
function refuseChange(now: Options, next: Options): void {
  const missing = missingProtection(now, next);
  if (missing.length > 0) {
    throw new UsageError(
      `${missing.join(', ')} was there and is not any more, as in a file that was cut off`,
      'write what is to hold instead, such as servers: [] or the default, or restart the exporter',
    );
  }
  const changed = restartNeeded(now, next);
  if (changed.length > 0) {
    throw new UsageError(`${changed.join(', ')} changed`, 'restart the exporter for that, or take it back');
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
  return {
    users,
    addresses,
    key: readOrMakeSecret(options.storage.path, PSEUDONYM_KEY, (message) => logger.warn(message)),
  };
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
