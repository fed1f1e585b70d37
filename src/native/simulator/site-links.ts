/**
 * Demand-dial interfaces: what each one's state is at any moment. A link's whole state comes from one method, so that
 * later a commanded connect or disconnect can be laid over its schedule without touching anything else.
 */
import type { InterfaceState, Tunnel } from '../../model/words.ts';
import { Dice, fraction, hash, STREAM } from './random.ts';
import type { Session } from './session.ts';
import { Timeline } from './timeline.ts';

export type LinkPattern =
  /** Connected at any time; a new session follows the old one at once. */
  | { readonly kind: 'steady' }
  /** Connected now and then, for want of traffic and not of reach. */
  | { readonly kind: 'on_demand'; readonly everyMs: number; readonly online: readonly [number, number] }
  /** Comes and goes; while it is down it dials in vain every `retryMs`. */
  | {
      readonly kind: 'flapping';
      readonly everyMs: number;
      readonly online: readonly [number, number];
      readonly error: number;
      readonly retryMs: number;
    }
  /** Dials in vain every `retryMs`. */
  | { readonly kind: 'failed'; readonly error: number; readonly retryMs: number }
  /** Does not even dial. `reasons` as fUnReachabilityReasons. */
  | {
      readonly kind: 'blocked';
      readonly enabled: boolean;
      readonly reasons: number;
      readonly error: number;
    };

export interface LinkPlan {
  readonly name: string;
  readonly type: 'full_router' | 'home_router';
  readonly tunnel: Extract<Tunnel, 'ikev2' | 'sstp' | 'l2tp' | 'pptp'>;
  /** No idle time-out: meant to stay connected. */
  readonly persistent: boolean;
  /** Name or address that it dials. */
  readonly host: string;
  readonly pattern: LinkPattern;
}

export interface LinkState {
  readonly enabled: boolean;
  readonly state: InterfaceState;
  /** fUnReachabilityReasons. */
  readonly reasons: number;
  /** dwLastError. */
  readonly lastError: number;
  /** The session that carries it while it is connected. */
  readonly session: Session | null;
}

/** MPR_INTERFACE_CONNECTION_FAILURE. */
const CONNECTION_FAILURE = 0x04;
const HOUR = 3_600_000;
const DIAL_MS = [1500, 4000] as const;

export class SiteLink {
  readonly plan: LinkPlan;
  readonly slot: number;
  /** hInterface. */
  readonly handle: number;
  readonly timeline: Timeline | null;
  readonly #makeSession: (index: number) => Session;
  readonly #dialMs: number;
  readonly #phaseMs: number;
  #session: Session | null = null;

  /** `makeSession` draws the session of an index of this link's timeline. */
  constructor(
    seed: number,
    slot: number,
    handle: number,
    plan: LinkPlan,
    makeSession: (index: number) => Session,
  ) {
    this.plan = plan;
    this.slot = slot;
    this.handle = handle;
    this.#makeSession = makeSession;
    const dice = new Dice(hash(seed, STREAM.link, slot, 0));
    this.#dialMs = dice.integer(DIAL_MS[0], DIAL_MS[1]);
    this.timeline = timelineOf(seed, slot, plan.pattern);
    this.#phaseMs = Math.floor(fraction(seed, STREAM.link, slot, 1) * HOUR);
  }

  /** Everything there is to know at `timeMs`. Overrides of the schedule belong in here. */
  stateAt(timeMs: number): LinkState {
    return this.#scheduledAt(timeMs);
  }

  #scheduledAt(timeMs: number): LinkState {
    const { pattern } = this.plan;
    switch (pattern.kind) {
      case 'blocked':
        return down(pattern.reasons, pattern.error, pattern.enabled);
      case 'failed':
        return this.#dials(timeMs + this.#phaseMs, pattern.retryMs)
          ? dialling(pattern.error)
          : down(CONNECTION_FAILURE, pattern.error);
      case 'steady':
      case 'on_demand':
      case 'flapping': {
        const timeline = this.timeline!;
        const index = timeline.indexAt(timeMs);
        const endMs = timeline.endOf(index);
        if (timeMs < endMs) {
          return {
            enabled: true,
            state: 'connected',
            reasons: 0,
            lastError: 0,
            session: this.#sessionOf(index),
          };
        }
        const lastError = pattern.kind === 'flapping' ? pattern.error : 0;
        if (timeMs >= timeline.startOf(index + 1) - this.#dialMs) return dialling(lastError);
        if (pattern.kind !== 'flapping') return idle();
        return this.#dials(timeMs - endMs, pattern.retryMs)
          ? dialling(lastError)
          : down(CONNECTION_FAILURE, lastError);
      }
    }
  }

  /** Attempts are made at the end of each retry interval. */
  #dials(sinceMs: number, retryMs: number): boolean {
    return modulo(sinceMs, retryMs) >= retryMs - this.#dialMs;
  }

  #sessionOf(index: number): Session {
    // One object per session, so that the byte rows notice a new one by identity.
    if (this.#session?.index !== index) this.#session = this.#makeSession(index);
    return this.#session;
  }
}

function timelineOf(seed: number, slot: number, pattern: LinkPattern): Timeline | null {
  if (pattern.kind === 'failed' || pattern.kind === 'blocked') return null;
  const steady = pattern.kind === 'steady';
  const periodMs = steady ? 20 * HOUR : pattern.everyMs;
  return new Timeline(seed, slot, {
    periodMs,
    phaseMs: Math.floor(fraction(seed, STREAM.phase, slot, 0) * periodMs),
    jitter: 0.4,
    online: steady ? null : pattern.online,
  });
}

const down = (reasons: number, lastError: number, enabled = true): LinkState => ({
  enabled,
  state: 'unreachable',
  reasons,
  lastError,
  session: null,
});
const dialling = (lastError: number): LinkState => ({
  enabled: true,
  state: 'connecting',
  reasons: 0,
  lastError,
  session: null,
});
const idle = (): LinkState => ({
  enabled: true,
  state: 'disconnected',
  reasons: 0,
  lastError: 0,
  session: null,
});

const modulo = (n: number, by: number): number => n - Math.floor(n / by) * by;
