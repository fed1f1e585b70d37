/** The guarded actions on one server: wired before the listeners are bound, opened after. */
import { parseDurationMs } from './config/duration.ts';
import type { Options } from './config/options.ts';
import { BadRequestBody, parseJsonBody } from './admin/hooks/json.ts';
import type { AdminService } from './admin/service.ts';
import type { AdminMetrics } from './metrics/admin-metrics.ts';
import { cleanText, shownInterfaceNames } from './metrics/labels.ts';
import type { PauseState } from './model/admin.ts';
import type { Clock } from './model/clock.ts';
import type { Snapshot } from './model/snapshot.ts';
import type { Tracing } from './model/tracing.ts';
import type { MonitoredServer } from './monitored-server.ts';
import { nameOfCode } from './native/codes.ts';
import { openStorage } from './runtime/storage.ts';
import type { AdminBackend, AdminRoutes } from './server/admin.ts';
import { verifiedSubjectAltNames } from './server/client-certificates.ts';

/** An action is decided on what was read within this time, so that the answer comes within the server's own deadline. */
const FRESH_WITHIN_MS = 8_000;
/** What was read longer ago is read again before an action is decided on. */
const FRESH_MS = 1_000;

interface GuardedParts {
  readonly server: MonitoredServer;
  readonly options: Options;
  /** Of the audit log and the pause; made if it is not there. */
  readonly folder: string;
  readonly clock: Clock;
  readonly tracing: Tracing | undefined;
}

export class GuardedActions {
  readonly metrics: AdminMetrics;
  readonly opened: Promise<AdminService>;
  readonly #parts: GuardedParts;
  readonly #open = Promise.withResolvers<AdminService>();
  #options: Options;
  #service: AdminService | undefined;

  constructor(parts: GuardedParts) {
    this.#parts = parts;
    this.#options = parts.options;
    this.opened = this.#open.promise;
    this.metrics = parts.server.self.admin({
      paused: () => this.#service?.paused.paused ?? false,
      breakers: () => this.#breakers(),
    });
    this.#startRules();
  }

  get service(): AdminService | undefined {
    return this.#service;
  }

  /**
   * An audit log that cannot be used keeps all actions from running, and nothing else. `pausedAs`: the pause that a server
   * begins with that was never there before.
   */
  async open(pausedAs?: PauseState): Promise<void> {
    const { server, folder, clock, tracing } = this.#parts;
    const { metrics } = this;
    openStorage(folder);
    // An exporter without actions need not hold the code of them in memory.
    const { openAdminService } = await import('./admin/service.ts');
    this.#service = await openAdminService({
      config: this.#options.admin,
      folder,
      ...(pausedAs && { pausedAs }),
      actor: server.actor,
      snapshot: () => this.#freshSnapshot(),
      interfaceNamed,
      nameOfCode,
      clock,
      logger: server.logger,
      ...(tracing && { tracing }),
      events: {
        onStarted: (action) => metrics.countStarted(action),
        onEnded: (action, succeeded, seconds) => {
          metrics.countEnded(action, succeeded, seconds);
          server.poller.poke();
        },
        onAuditFailure: () => metrics.countAuditFailure(),
        onAlert: (rule, decision) => metrics.countAlert(rule, decision),
      },
    });
    this.#open.resolve(this.#service);
  }

  /** Puts changed options into force. */
  configure(options: Options): void {
    this.#options = options;
    this.#startRules();
    this.#service?.reconfigure(options.admin);
  }

  async close(): Promise<void> {
    await this.#service?.close();
  }

  #startRules(): void {
    this.metrics.startRules(this.#options.admin.hooks.rules.map(({ name }) => name));
  }

  /** What could not be read in time counts as a server that cannot be read: nothing is done by what it was before. */
  async #freshSnapshot(): Promise<Snapshot> {
    const { server, clock } = this.#parts;
    const { timeoutMs, minIntervalMs } = this.#options.collector;
    const waitMs = Math.min(timeoutMs, FRESH_WITHIN_MS);
    const startMs = clock.monotonicMs();
    const snapshot = await server.poller.collect(waitMs, Math.min(minIntervalMs, FRESH_MS));
    return clock.monotonicMs() - startMs < waitMs ? snapshot : { ...snapshot, service: undefined };
  }

  *#breakers(): Generator<readonly [string, boolean]> {
    const { interfaces = [] } = this.#parts.server.snapshot();
    const names = shownInterfaceNames(interfaces);
    for (const [i, { name, type }] of interfaces.entries()) {
      if (type !== 'full_router' && type !== 'home_router') continue;
      yield [names[i]!, this.#service?.breakerOpen(name) ?? false];
    }
  }
}

/** The routes of actions on the local server and on `named` ones; requests are counted with the local one. */
export function adminRoutes(
  local: GuardedActions,
  named: () => ReadonlyMap<string, GuardedActions>,
  server: MonitoredServer,
  options: () => Options,
  clock: Clock,
): AdminRoutes {
  const services = (): ReadonlyMap<string, AdminService> =>
    new Map([...named()].flatMap(([name, { service }]) => (service ? [[name, service] as const] : [])));
  return {
    backend: local.opened.then(async (service): Promise<AdminBackend> => {
      const { AdminFleet } = await import('./admin/fleet.ts');
      return new AdminFleet({
        local: service,
        named: services,
        routing: () => options().admin.hooks,
        onNobodys: () => local.metrics.countAlert('', 'gone'),
      });
    }),
    backendOf: (name) => named().get(name)?.opened,
    clock,
    parseJson: parseJsonBody,
    isBodyProblem: (error): error is Error => error instanceof BadRequestBody,
    subjectAltNames: verifiedSubjectAltNames,
    clean: cleanText,
    showAddress: (address) => server.views.address(address),
    parseDurationMs,
    count: (route, decision) => local.metrics.countRequest(route, decision),
  };
}

/** The server's name of an interface, from the name that is shown of it. */
function interfaceNamed(shown: string, { interfaces = [] }: Pick<Snapshot, 'interfaces'>): string {
  const at = shownInterfaceNames(interfaces).indexOf(shown);
  return interfaces[at]?.name ?? shown;
}
