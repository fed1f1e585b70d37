/**
 * One life of the part of the exporter that acts: the service over a disk in memory, in front of a server that outlives
 * it. It can die between any two steps, and the next life begins with what the disk kept.
 */
import { join } from 'node:path';
import type { AuditLine } from '../../src/admin/audit-file.ts';
import { scanFolder, verifyAudit } from '../../src/admin/audit-file.ts';
import type { Delivery } from '../../src/admin/hooks/alerts.ts';
import { toDelivery } from '../../src/admin/hooks/alerts.ts';
import type { AdminService } from '../../src/admin/service.ts';
import { openAdminService } from '../../src/admin/service.ts';
import type { Actor } from '../../src/model/actions.ts';
import type {
  ActionName,
  ActionRecord,
  AdminConfig,
  Grant,
  GuardPolicy,
  HookAnswer,
  HookRule,
  ActionRequest,
} from '../../src/model/admin.ts';
import { RIGHTS } from '../../src/model/admin.ts';
import type { Clock } from '../../src/model/clock.ts';
import type { Logger } from '../../src/model/logger.ts';
import type { Snapshot } from '../../src/model/snapshot.ts';
import { nameOfCode } from '../../src/native/codes.ts';
import type { FakeClock } from '../doubles/fake-clock.ts';
import { settle } from '../doubles/fake-clock.ts';
import type { Loss } from '../doubles/fake-disk.ts';
import { FakeDisk } from '../doubles/fake-disk.ts';

export const FOLDER = join('/', 'state');
export const MINUTE = 60_000;

/** The server that is acted on, and time. */
export interface World {
  readonly clock: FakeClock;
  readonly actor: Actor;
  snapshot(): Promise<Snapshot>;
}

export const OPS: Grant = { name: 'ops', rights: RIGHTS, interfaces: ['*'] };

/** Guards that let through whatever a test does not ask of them. */
export const POLICY: GuardPolicy = {
  allow: ['*'],
  deny: [],
  endpointNetworks: ['198.51.100.0/24', '203.0.113.0/24', '2001:db8::/32'],
  cooldownMs: MINUTE,
  cooldownMaxMs: 60 * MINUTE,
  rateBurst: 1000,
  ratePerMs: 10 * MINUTE,
  maxConcurrent: 16,
  maxUnreachableShare: 1,
  minHealthyFrom: 4,
  breakerFailures: 3,
  attemptTimeoutMs: MINUTE,
  dryRun: false,
};

export const RULE: HookRule = {
  name: 'redial',
  matchers: [{ label: 'alertname', operator: '=', value: 'LinkDown' }],
  action: 'reconnect',
  targetLabel: 'interface',
  maxAttempts: 3,
  cooldownMs: undefined,
  cooldownMaxMs: undefined,
  dryRun: false,
  allowTruncated: false,
};

interface ConfigChanges extends Partial<Omit<AdminConfig, 'guards' | 'hooks'>> {
  readonly guards?: Partial<GuardPolicy>;
  readonly hooks?: Partial<AdminConfig['hooks']>;
}

export const configOf = ({ guards, hooks, ...others }: ConfigChanges = {}): AdminConfig => ({
  tokens: [],
  clientCertificates: [],
  allowPlainHttp: false,
  ...others,
  guards: { ...POLICY, ...guards },
  hooks: {
    allowActions: ['reconnect'],
    rules: [RULE],
    serverLabel: 'instance',
    localServer: ['gateway:*'],
    grafana: undefined,
    ...hooks,
  },
});

/** A request as a caller makes it. */
export const ask = (
  name: string,
  changes: Partial<ActionRequest> & { readonly action?: ActionName } = {},
): ActionRequest => ({
  action: 'reconnect',
  target: { interface: name },
  reason: 'a test',
  force: false,
  override: [],
  route: changes.action ?? 'reconnect',
  ...changes,
});

export interface LogLine {
  readonly level: keyof Logger;
  readonly message: string;
  readonly fields: Readonly<Record<string, unknown>>;
}

export interface LifeOptions {
  readonly config?: AdminConfig;
  readonly disk?: FakeDisk;
  /** What its monotonic clock says when it begins. */
  readonly monotonicMs?: number;
}

const never = (): Promise<never> => new Promise(() => undefined);

export class Life {
  readonly disk: FakeDisk;
  readonly clock: Clock;
  readonly log: LogLine[] = [];
  /** What was told for the metrics. */
  readonly events: string[] = [];
  /** When actions began, on the world's clock. */
  readonly beganMs: number[] = [];
  /** Actions of earlier lives. */
  readonly inherited = new Set<string>();
  readonly #world: World;
  readonly #config: AdminConfig;
  #service: AdminService | undefined;

  private constructor(world: World, { config = configOf(), disk, monotonicMs }: LifeOptions) {
    this.#world = world;
    this.#config = config;
    this.disk = disk ?? new FakeDisk();
    this.clock = clockFrom(world.clock, monotonicMs ?? world.clock.monotonicMs());
  }

  /** Rejects if it dies of it. */
  static async begin(world: World, options: LifeOptions = {}): Promise<Life> {
    const life = Life.create(world, options);
    await life.open();
    return life;
  }

  /** A life that has not opened its service yet. */
  static create(world: World, options: LifeOptions = {}): Life {
    return new Life(world, options);
  }

  async open(): Promise<void> {
    const { disk, clock, events } = this;
    const at =
      (level: LogLine['level']) =>
      (message: string, fields: LogLine['fields'] = {}): void => {
        this.log.push({ level, message, fields });
      };
    const world = this.#world;
    const isDead = (): boolean => disk.isDead;
    this.#service = await openAdminService({
      config: this.#config,
      folder: FOLDER,
      // Who is dead does nothing, and sees nothing of what he did.
      actor: {
        act: async (request) => {
          if (isDead()) return never();
          const result = await world.actor.act(request);
          return isDead() ? never() : result;
        },
      },
      snapshot: () => (isDead() ? never() : world.snapshot()),
      interfaceNamed: (shown) => shown,
      nameOfCode,
      clock,
      logger: { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') },
      events: {
        onStarted: (action) => {
          events.push(`started ${action}`);
          this.beganMs.push(world.clock.monotonicMs());
        },
        onEnded: (action, succeeded) => events.push(`${succeeded ? 'succeeded' : 'failed'} ${action}`),
        onAuditFailure: () => events.push('audit failure'),
        onAlert: (rule, decision) => events.push(`alert ${rule} ${decision}`),
      },
      disk,
    });
    for (const { id } of this.#service.actions(OPS)) this.inherited.add(id);
  }

  get service(): AdminService {
    if (!this.#service) throw new Error('it is not open');
    return this.#service;
  }

  /** From now on nothing of it happens any more, as after SIGKILL. */
  die(): void {
    this.disk.diesAtStep = 0;
  }

  /** The next one, on what the disk kept of a crash now; its monotonic clock starts anew, as after a reboot. */
  next(loss: Loss = 'nothing', options: Omit<LifeOptions, 'disk'> = {}): Promise<Life> {
    this.die();
    const disk = this.disk.reboot(loss);
    return Life.begin(this.#world, { config: this.#config, monotonicMs: 5000, ...options, disk });
  }

  request(name: string, changes: Partial<ActionRequest> = {}, caller: Grant = OPS) {
    return this.service.request(caller, ask(name, changes));
  }

  /** A reconnect that is executed, looked at when it has ended. */
  async reconnect(name: string, changes: Partial<ActionRequest> = {}): Promise<ActionRecord> {
    const { action, decision, reason } = await this.request(name, changes);
    if (decision !== 'execute' || !action) throw new Error(`${name} is not dialled: ${decision}, ${reason}`);
    await this.pass(2 * MINUTE);
    const ended = this.service.action(OPS, action.id);
    if (!ended?.outcome) throw new Error(`the action on ${name} has not ended`);
    return ended;
  }

  deliver(sent: Delivery, caller: Grant = OPS): Promise<HookAnswer> {
    return this.service.alerts(caller, sent, 'alertmanager');
  }

  /** Lets what is due happen, then so much time pass. */
  async pass(ms: number): Promise<void> {
    await settle();
    await this.#world.clock.advance(ms);
    await settle();
  }

  /** What comes of it; undefined if that is never, because the life ended before. */
  alive<T>(doing: Promise<T>): Promise<T | undefined> {
    return Promise.race([doing, this.#over()]);
  }

  async #over(): Promise<undefined> {
    // Far more turns of the loop than anything takes that waits for no time to pass.
    for (let turns = 0; turns < 200 && !this.disk.isDead; turns += 1) await settle();
    await settle();
    return undefined;
  }

  /** What stands in the audit log. */
  async lines(disk = this.disk): Promise<AuditLine[]> {
    const lines: AuditLine[] = [];
    const alive = disk.isDead ? disk.reboot('nothing') : disk;
    await scanFolder(alive, FOLDER, (line) => lines.push(line));
    return lines;
  }

  verify() {
    return verifyAudit(FOLDER, this.disk);
  }
}

/** The same time on another monotonic clock, as each boot of a machine has its own. */
function clockFrom(clock: FakeClock, monotonicMs: number): Clock {
  const offsetMs = clock.monotonicMs() - monotonicMs;
  return {
    monotonicMs: () => clock.monotonicMs() - offsetMs,
    wallSeconds: () => clock.wallSeconds(),
    sleep: (ms, signal) => clock.sleep(ms, signal),
  };
}

/** Numbers in a row from a seed. */
export function diceOf(seed: number): (bound: number) => number {
  let state = seed >>> 0;
  return (bound) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * bound);
  };
}

export interface AlertSketch {
  /** Number of the alert; its fingerprint is made of it. */
  readonly alert?: number;
  readonly startsAt?: string;
  readonly status?: 'firing' | 'resolved';
  readonly labels?: Readonly<Record<string, string>>;
}

export const fingerprintOf = (alert: number): string => alert.toString(16).padStart(16, '0');

/** An alert of the rule for the interface. */
export const alertOn = (
  name: string,
  { alert = 1, startsAt = '2026-11-20T23:00:00Z', status = 'firing', labels = {} }: AlertSketch = {},
) => ({
  status,
  labels: { alertname: 'LinkDown', interface: name, ...labels },
  annotations: {},
  startsAt,
  endsAt: '0001-01-01T00:00:00Z',
  generatorURL: '',
  fingerprint: fingerprintOf(alert),
});

/** A notification of Alertmanager as it sends it. */
export const bodyOf = (alerts: readonly unknown[], truncatedAlerts = 0) => ({
  version: '4',
  receiver: 'rras',
  status: 'firing',
  groupKey: '{}:{}',
  groupLabels: {},
  commonLabels: {},
  commonAnnotations: {},
  externalURL: '',
  truncatedAlerts,
  alerts,
});

export const deliveryOf = (alerts: readonly unknown[], truncatedAlerts = 0): Delivery =>
  toDelivery('alertmanager', bodyOf(alerts, truncatedAlerts));
