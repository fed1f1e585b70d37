/**
 * The guarded actions of several servers behind one door: each has its own guards, audit log and pause. A request that names
 * no server is about the local one, but a pause is for all, and an alert for the server that its label names.
 */
import type {
  ActionAnswer,
  ActionRecord,
  AdminConfig,
  ActionRequest,
  AlertDecision,
  Grant,
  HookAnswer,
  PauseState,
} from '../model/admin.ts';
import type { TraceParent } from '../model/tracing.ts';
import { anyGlobMatches } from './globs.ts';
import type { AlertSource, Delivery } from './hooks/alerts.ts';
import type { AdminService } from './service.ts';

export interface FleetOptions {
  readonly local: AdminService;
  /** By name, as they are now. */
  readonly named: () => ReadonlyMap<string, AdminService>;
  /** Which server an alert is of, as it is configured now. */
  readonly routing: () => Pick<AdminConfig['hooks'], 'serverLabel' | 'localServer'>;
  /** Told of each alert that is of no server. */
  readonly onNobodys: () => void;
}

export class AdminFleet {
  readonly #options: FleetOptions;

  constructor(options: FleetOptions) {
    this.#options = options;
  }

  get #local(): AdminService {
    return this.#options.local;
  }

  get #all(): readonly AdminService[] {
    return [this.#local, ...this.#options.named().values()];
  }

  callerOf(token: string | undefined, subjectAltNames: readonly string[]): Grant | undefined {
    return this.#local.callerOf(token, subjectAltNames);
  }

  claimsGrafana(header: (name: string) => string): boolean {
    return this.#local.claimsGrafana(header);
  }

  grafanaOf(body: Uint8Array, header: (name: string) => string): Grant | undefined {
    return this.#local.grafanaOf(body, header);
  }

  covers(caller: Grant, interfaceName: string): boolean {
    return this.#local.covers(caller, interfaceName);
  }

  tellForbidden(caller: Grant, route: string, reason: string): void {
    this.#local.tellForbidden(caller, route, reason);
  }

  request(caller: Grant, asked: ActionRequest): Promise<ActionAnswer> {
    return this.#local.request(caller, asked);
  }

  reset(caller: Grant, shown: string, reason: string, route: string): Promise<ActionAnswer> {
    return this.#local.reset(caller, shown, reason, route);
  }

  actions(caller: Grant): readonly ActionRecord[] {
    return this.#local.actions(caller);
  }

  /** Ids are of one server only. */
  action(caller: Grant, id: string): ActionRecord | undefined {
    for (const service of this.#all) {
      const found = service.action(caller, id);
      if (found) return found;
    }
    return undefined;
  }

  settled(id: string, ms: number): Promise<ActionRecord | undefined> {
    return this.#local.settled(id, ms);
  }

  /** Stops all actions of all servers. */
  async pause(caller: Grant, reason: string, seconds: number | undefined): Promise<PauseState | undefined> {
    const states = await Promise.all(this.#all.map((each) => each.pause(caller, reason, seconds)));
    return together(states, states.every(isPaused));
  }

  async resume(caller: Grant, reason: string): Promise<PauseState | undefined> {
    const states = await Promise.all(this.#all.map((each) => each.resume(caller, reason)));
    return together(states, states.some(isPaused));
  }

  /** @throws BadRequestBody */
  async hook(
    caller: Grant,
    source: AlertSource,
    body: unknown,
    traceparent?: TraceParent,
  ): Promise<HookAnswer> {
    return this.#decide(caller, await this.#local.read(source, body, traceparent), source);
  }

  /** Each server decides on its own alerts; the decisions come in the order of the alerts. */
  async #decide(caller: Grant, delivery: Delivery, source: AlertSource): Promise<HookAnswer> {
    const alerts = new Array<AlertDecision>(delivery.alerts.length);
    const places = new Map<AdminService, number[]>();
    for (const [place, alert] of delivery.alerts.entries()) {
      const service = this.#serviceOf(alert);
      if (service) {
        const ofService = places.get(service) ?? [];
        places.set(service, ofService);
        ofService.push(place);
      } else {
        alerts[place] = this.#nobodys(alert);
        this.#options.onNobodys();
      }
    }
    const answers = await Promise.all(
      [...places].map(async ([service, own]) => {
        const part = { ...delivery, alerts: own.map((place) => delivery.alerts[place]!) };
        const answer = await service.alerts(caller, part, source);
        for (const [i, place] of own.entries()) alerts[place] = answer.alerts[i]!;
        return answer;
      }),
    );
    return { alerts, retry: answers.some(({ retry }) => retry) };
  }

  /** Links of one name are on many servers: an alert that names none of them is nobody's. */
  #serviceOf(alert: Delivery['alerts'][number]): AdminService | undefined {
    const named = this.#options.named();
    if (named.size === 0 || !('labels' in alert)) return this.#local;
    const { serverLabel, localServer } = this.#options.routing();
    const name = alert.labels.get(serverLabel) ?? '';
    return named.get(name) ?? (anyGlobMatches(localServer, name) ? this.#local : undefined);
  }

  #nobodys({ fingerprint = '' }: Delivery['alerts'][number]): AlertDecision {
    const { serverLabel } = this.#options.routing();
    const reason =
      `its label ${serverLabel} names no server of the configuration; ` +
      'hooks.localServer says what the local one is called';
    return { fingerprint, rule: undefined, decision: 'gone', reason };
  }
}

const isPaused = (state: PauseState | undefined): boolean => state?.paused === true;

/** The local one's state, but for what depends on all. undefined: the caller may not. */
function together(states: readonly (PauseState | undefined)[], paused: boolean): PauseState | undefined {
  const [local] = states;
  return local && { ...local, paused, persisted: states.every((state) => state?.persisted === true) };
}
