/**
 * An RRAS server of a few demand-dial interfaces that answers at once and does what a test says: how each dial goes, and
 * what happens at each request before it is answered. It counts what was really done to it.
 */
import type { Actor, ActOutcome, ActRequest, ActResult } from '../../src/model/actions.ts';
import type { Clock } from '../../src/model/clock.ts';
import type { InterfaceStatus, Snapshot } from '../../src/model/snapshot.ts';
import { interfaceOf, snapshotOf } from '../metrics/snapshots.ts';

export interface Link {
  state: InterfaceStatus['state'];
  enabled: boolean;
  lastError: number;
  /** How the next dials go: 0 connects, another code is the error; null: nothing is ever heard. */
  dial: number | null;
  dialMs: number;
  /** When the dial under way is answered. */
  answerMs: number;
  /** Dials that were really begun. */
  dials: number;
}

type Intercept = (
  request: ActRequest,
) => Partial<ActResult> | undefined | Promise<Partial<ActResult> | undefined>;

const VPN_TIMEOUT = 809;

export class SiteServer implements Actor {
  readonly links = new Map<string, Link>();
  readonly requests: ActRequest[] = [];
  /** Runs before each request; with a result, that is the answer, and nothing is done. */
  intercept: Intercept = () => undefined;
  /** The service does not run. */
  isDown = false;
  readonly #clock: Clock;

  constructor(clock: Clock, names: readonly string[]) {
    this.#clock = clock;
    for (const name of names) {
      this.links.set(name, {
        state: 'unreachable',
        enabled: true,
        lastError: VPN_TIMEOUT,
        dial: 0,
        dialMs: 1500,
        answerMs: Infinity,
        dials: 0,
      });
    }
  }

  link(name: string): Link {
    const link = this.links.get(name);
    if (!link) throw new Error(`there is no link ${name}`);
    this.#answer(link);
    return link;
  }

  get dials(): number {
    return [...this.links.values()].reduce((sum, { dials }) => sum + dials, 0);
  }

  /** Requests that change something, in their order. */
  get changes(): string[] {
    return this.requests
      .filter(({ action }) => !action.startsWith('inspect'))
      .map((request) => `${request.action} ${'interfaceName' in request ? request.interfaceName : ''}`);
  }

  snapshot(): Snapshot {
    if (this.isDown) return snapshotOf({ service: { running: false, lanOnly: false, startTimeSeconds: 0 } });
    const interfaces = [...this.links].map(([name, link]): InterfaceStatus => {
      this.#answer(link);
      const { state, enabled, lastError } = link;
      return interfaceOf({ name, state, enabled, lastError });
    });
    return snapshotOf({ interfaces });
  }

  async act(request: ActRequest): Promise<ActResult> {
    this.requests.push(request);
    const given = await this.intercept(request);
    if (given) return { ...resultOf(request, 'done', 0), ...given };
    if (this.isDown) return resultOf(request, 'retryable', 1722);
    if (!('interfaceName' in request)) return resultOf(request, 'gone', 6);
    const link = this.links.get(request.interfaceName);
    if (!link) return resultOf(request, 'gone', 905);
    this.#answer(link);
    switch (request.action) {
      case 'connect':
        if (link.state === 'connected') return resultOf(request, 'already_connected', 901);
        if (link.state === 'connecting') return resultOf(request, 'already_connecting', 910);
        link.dials += 1;
        link.state = 'connecting';
        link.answerMs = link.dial === null ? Infinity : this.#clock.monotonicMs() + link.dialMs;
        return resultOf(request, 'in_progress', 600);
      case 'disconnect':
        if (link.state !== 'connected' && link.state !== 'connecting') {
          return resultOf(request, 'already_disconnected', 906);
        }
        link.state = 'disconnected';
        link.answerMs = Infinity;
        return resultOf(request, 'done', 0);
      default: {
        const { state, enabled, lastError } = link;
        const interfaceNow = interfaceOf({ name: request.interfaceName, state, enabled, lastError });
        return { ...resultOf(request, 'done', 0), interfaceNow };
      }
    }
  }

  /** What has become of its dial. */
  #answer(link: Link): void {
    if (link.state !== 'connecting' || this.#clock.monotonicMs() < link.answerMs) return;
    const error = link.dial ?? 0;
    link.state = error === 0 ? 'connected' : 'unreachable';
    link.lastError = error;
    link.answerMs = Infinity;
  }
}

/** The native call that each request comes down to. */
const FUNCTIONS = {
  connect: 'MprAdminInterfaceConnect',
  disconnect: 'MprAdminInterfaceDisconnect',
  update_endpoint: 'MprAdminUpdateConnection',
  hang_up: 'MprAdminPortDisconnect',
  inspect_interface: 'MprAdminInterfaceGetInfo',
  inspect_connection: 'MprAdminConnectionEnum',
} as const;

export function resultOf({ action }: ActRequest, outcome: ActOutcome, code: number): ActResult {
  const name = FUNCTIONS[action];
  const goes = ['done', 'in_progress', 'already_connected', 'already_connecting', 'already_disconnected'];
  return {
    outcome,
    code,
    failure: goes.includes(outcome)
      ? null
      : { kind: 'retryable', message: `${name} failed: code ${code}`, function: name, code },
    interfaceNow: null,
    connectionNow: null,
    report: {
      calls: [{ function: name, code, seconds: 0, atSeconds: 0 }],
      pages: 0,
      anomalies: {},
      seconds: 0,
    },
  };
}
