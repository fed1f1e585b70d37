/** The servers of the configuration: opened, changed and ended together, each on its own in all else. */
import type { Options, ServerConfig } from './config/options.ts';
import { GuardedActions } from './guarded-actions.ts';
import type { Telemetry } from './metrics/otlp/telemetry.ts';
import type { Privacy } from './metrics/privacy.ts';
import { SelfMetrics } from './metrics/self.ts';
import type { PauseState } from './model/admin.ts';
import type { Clock } from './model/clock.ts';
import type { LogFields, Logger } from './model/logger.ts';
import { MonitoredServer, openServer } from './monitored-server.ts';
import { hostConfig } from './native/host-config.ts';
import type { HostPlaces } from './native/host-places.ts';
import { folderOfServer, openStorage } from './runtime/storage.ts';

export interface FleetParts {
  readonly version: string;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly places: HostPlaces;
  readonly telemetry: Telemetry | undefined;
  /** Who stopped all actions meant those of servers to come, too. */
  readonly pausedAs: () => PauseState | undefined;
  /** Metrics go out over OTLP. */
  readonly exportsMetrics: boolean;
}

interface Member {
  readonly origin: ServerConfig;
  readonly server: MonitoredServer;
  readonly actions: GuardedActions | undefined;
  endExport: () => Promise<void>;
}

export class Fleet {
  readonly #parts: FleetParts;
  #members: ReadonlyMap<string, Member> = new Map();
  #servers: ReadonlyMap<string, MonitoredServer> = new Map();
  #actions: ReadonlyMap<string, GuardedActions> = new Map();
  #begun = false;

  constructor(parts: FleetParts) {
    this.#parts = parts;
  }

  /** By name, as they are now. */
  get servers(): ReadonlyMap<string, MonitoredServer> {
    return this.#servers;
  }

  /** True once the first ones are there, be it none. */
  get begun(): boolean {
    return this.#begun;
  }

  get actions(): ReadonlyMap<string, GuardedActions> {
    return this.#actions;
  }

  /**
   * Opens what these options have and this fleet has not, and changes nothing else: what it answers does. Rejects, with
   * nothing opened, if one of them cannot be.
   */
  async prepare(options: Options, privacy: Privacy): Promise<() => Promise<void>> {
    const members = new Map<string, Member>();
    const opened: Member[] = [];
    try {
      for (const config of options.servers) {
        const known = this.#members.get(config.name);
        const member =
          known && isSame(known.origin, config) ? known : await this.#open(config, options, privacy);
        if (member !== known) opened.push(member);
        members.set(config.name, member);
      }
    } catch (error) {
      opened.forEach(end);
      throw error;
    }
    return () => this.#putIntoForce(members, new Set(opened), options, privacy);
  }

  async #putIntoForce(
    members: ReadonlyMap<string, Member>,
    opened: ReadonlySet<Member>,
    options: Options,
    privacy: Privacy,
  ): Promise<void> {
    const before = this.#members;
    const gone = [...before.values()].filter((member) => members.get(member.origin.name) !== member);
    // What is hidden from now on waits for nothing.
    for (const member of members.values())
      if (!opened.has(member)) await this.#change(member, options, privacy);
    // A server that is another one now keeps its audit log, and two must not write it.
    await Promise.all(gone.map(async ({ actions }) => actions?.close()));
    for (const member of opened) {
      const isNew = this.#begun && !before.has(member.origin.name);
      await this.#openActions(member, isNew);
    }
    this.#members = members;
    this.#servers = new Map([...members].map(([name, { server }]) => [name, server]));
    this.#actions = new Map(
      [...members].flatMap(([name, { actions }]) => (actions ? [[name, actions] as const] : [])),
    );
    this.#begun = true;
    for (const member of opened) await this.#start(member, options);
    for (const member of gone) end(member);
  }

  /** `isNew`: the pause of all is its pause, whatever was kept of an earlier time. */
  async #openActions({ origin, actions }: Member, isNew: boolean): Promise<void> {
    const paused = this.#parts.pausedAs();
    try {
      await actions?.open(paused);
      if (isNew && paused?.paused === true) await actions?.service?.follow(paused);
    } catch (error) {
      this.#parts.logger.error('nothing can be done to a server', { server: origin.name, error });
    }
  }

  /** Ends all that acts: what is under way is looked at no further. */
  async closeActions(): Promise<void> {
    await Promise.all([...this.#actions.values()].map((each) => each.close()));
  }

  stop(): void {
    for (const { server } of this.#members.values()) server.stop();
  }

  async #open(origin: ServerConfig, options: Options, privacy: Privacy): Promise<Member> {
    const { version, clock, places, telemetry } = this.#parts;
    const { name, rras } = origin;
    const folder = folderOfServer(options.storage.path, name);
    if (options.web.enableAdminApi) openStorage(folder);
    const config = await hostConfig(rras, process.platform, { wallSeconds: clock.wallSeconds(), name });
    const self = new SelfMetrics({
      version,
      simulated: config.backend === 'simulator',
      startedAtSeconds: clock.wallSeconds(),
      process: false,
      scope: 'server',
    });
    const tracing = telemetry?.tracing;
    const logger = naming(this.#parts.logger, name);
    const server = await openServer({
      name,
      config,
      options,
      privacy,
      version,
      self,
      places,
      clock,
      logger,
      tracing,
    });
    const actions = options.web.enableAdminApi
      ? new GuardedActions({ server, options, folder, clock, tracing })
      : undefined;
    return { origin, server, actions, endExport: () => Promise.resolve() };
  }

  async #start(member: Member, options: Options): Promise<void> {
    const { telemetry, exportsMetrics } = this.#parts;
    const { server } = member;
    if (telemetry && exportsMetrics) {
      member.endExport = telemetry.addServer(
        member.origin.name,
        await server.producer(options.otlp.connections),
      );
    }
    if (server.simulated) server.logger.warn('the server is simulated: none of its data is real');
    void server.run();
  }

  async #change({ server, actions }: Member, options: Options, privacy: Privacy): Promise<void> {
    await server.configure(options, privacy);
    actions?.configure(options);
  }
}

/** Its actions are closed already. What is left to send is nobody's to wait for. */
function end({ server, endExport }: Member): void {
  server.stop();
  void endExport().catch(() => undefined);
}

const isSame = (a: ServerConfig, b: ServerConfig): boolean =>
  JSON.stringify(a.rras) === JSON.stringify(b.rras);

/** Each line says which server it is about. */
function naming(logger: Logger, server: string): Logger {
  const at =
    (level: keyof Logger) =>
    (message: string, fields: LogFields = {}): void =>
      logger[level](message, { server, ...fields });
  return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') };
}
