/**
 * Demand-dial interfaces: what each one's state is at any moment. A link keeps to its schedule, and to the commands laid
 * over it; both are known in closed form, so that any moment up to now, and what is to come, can be asked for.
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
  /** Has lost its connection and does not dial any more by itself; dialled by command it stays up for `upMs`. */
  | { readonly kind: 'given_up'; readonly error: number; readonly upMs: number }
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
  readonly dials?: DialFaults;
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

/** MPR_INTERFACE_*. */
const OUT_OF_RESOURCES = 0x01;
const CONNECTION_FAILURE = 0x04;
const VPN_TIMEOUT = 809;
const HOUR = 3_600_000;
/** A link that was repaired for good stays up for longer than anybody looks. */
const FOR_LONG_MS = 30 * 24 * HOUR;
const DIAL_MS = [1500, 4000] as const;

/** How commanded dials of a link go. What is left out is as the link's pattern has it. */
export interface DialFaults {
  /** So many commanded dials in a row fail before one works; Infinity: none ever does. */
  readonly failures?: number;
  /** dwLastError of a dial that fails. */
  readonly error?: number;
  /** How long a dial takes; Infinity: it stays pending until it is hung up. */
  readonly dialMs?: number;
  /** MprAdminInterfaceConnect itself answers this code, and nothing is dialled. */
  readonly refusal?: number;
}

/**
 * A commanded dial: it takes the place of whatever was scheduled from `fromMs` until `endMs`. Times are whole
 * milliseconds, and several commands may share one: what had come to be before the dial stays, and what it had kept from
 * coming does not come when it is hung up.
 */
interface Dial {
  readonly fromMs: number;
  /** When it connects or fails; Infinity: never. */
  readonly answerMs: number;
  /** 0: it connects. */
  readonly error: number;
  /** End of its session, or of the failed dial; exclusive. */
  endMs: number;
  /** Scheduled sessions that were to start after `fromMs` do not come to be, up to this moment; inclusive. */
  barsUntilMs: number;
  /** Number of its session among those of the link. */
  readonly index: number;
  session: Session | null;
  /** To go back to if it is cancelled. */
  readonly failuresBefore: number;
  readonly lastErrorBefore: number;
}

/** A commanded hang-up: the link rests until it would dial or connect by itself. */
interface Rest {
  readonly fromMs: number;
  readonly lastError: number;
}

/** Indices of commanded sessions start here, far from those of any timeline. */
const COMMANDED = 0x4000_0000;

/** Win32 codes of MprAdminInterfaceConnect and MprAdminInterfaceDisconnect. */
const CODE = {
  ok: 0,
  pending: 600,
  notConnected: 906,
  alreadyConnecting: 910,
  disabled: 916,
  noDevices: 925,
} as const;

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

  #faults: DialFaults;
  /** Commands in the order of their times; no two dials overlap. */
  readonly #dials: Dial[] = [];
  readonly #rests: Rest[] = [];
  /** Scheduled sessions that a command ended. */
  readonly #cutAt = new Map<number, number>();
  #failures = 0;

  /** `makeSession` draws the session of an index, whose times come from `timesOf`. */
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
    this.#faults = plan.dials ?? {};
  }

  /** From now on; null: as planned. */
  setFaults(faults: DialFaults | null): void {
    this.#faults = faults ?? this.plan.dials ?? {};
    this.#failures = 0;
  }

  /** MprAdminInterfaceConnect without waiting, at `timeMs`: not before any command so far. */
  connect(timeMs: number): number {
    const { state, lastError, enabled } = this.stateAt(timeMs);
    if (!enabled) return CODE.disabled;
    if (state === 'connected') return CODE.ok;
    if (state === 'connecting') return CODE.alreadyConnecting;
    const { pattern } = this.plan;
    const refusal =
      this.#faults.refusal ??
      (pattern.kind === 'blocked' && pattern.reasons === OUT_OF_RESOURCES ? CODE.noDevices : 0);
    if (refusal !== 0) return refusal;
    const { dialMs = this.#dialMs } = this.#faults;
    const failuresBefore = this.#failures;
    const error = this.#failures < this.#failuresAhead() ? this.#dialError() : 0;
    this.#failures = error === 0 ? 0 : this.#failures + 1;
    const answerMs = timeMs + dialMs;
    const endMs = error === 0 ? this.#endOfDialled(answerMs) : answerMs;
    this.#dials.push({
      fromMs: timeMs,
      answerMs,
      error,
      endMs,
      barsUntilMs: endMs - 1,
      index: COMMANDED + this.#dials.length,
      session: null,
      failuresBefore,
      lastErrorBefore: lastError,
    });
    return CODE.pending;
  }

  /** MprAdminInterfaceDisconnect at `timeMs`: ends a session or an attempt to get one. */
  disconnect(timeMs: number): number {
    const { state, session, lastError } = this.stateAt(timeMs);
    if (state !== 'connected' && state !== 'connecting') return CODE.notConnected;
    const dial = this.#dialAt(timeMs);
    if (dial) {
      dial.endMs = timeMs;
      dial.barsUntilMs = timeMs;
      dial.session = null;
      // An attempt that was cancelled has neither worked nor failed.
      if (timeMs < dial.answerMs) this.#failures = dial.failuresBefore;
    } else if (session) {
      this.#cutAt.set(session.index, timeMs);
      this.#session = null;
    }
    this.#rests.push({ fromMs: timeMs, lastError });
    return CODE.ok;
  }

  /** Sessions are made anew: something that they carry has changed. */
  refresh(): void {
    this.#session = null;
    for (const dial of this.#dials) dial.session = null;
  }

  /** Start and end of a session of this link. */
  timesOf(index: number): { startMs: number; endMs: number } {
    const dial = index >= COMMANDED ? this.#dials[index - COMMANDED] : undefined;
    if (dial) return { startMs: dial.answerMs, endMs: dial.endMs };
    const timeline = this.timeline!;
    return { startMs: timeline.startOf(index), endMs: this.#endOf(index) };
  }

  /** Everything there is to know at `timeMs`. */
  stateAt(timeMs: number): LinkState {
    const dial = this.#dialAt(timeMs);
    if (!dial) return this.#afterCommands(timeMs);
    if (timeMs < dial.answerMs) return dialling(dial.lastErrorBefore);
    dial.session ??= this.#makeSession(dial.index);
    return connected(dial.session);
  }

  /** Sessions that live at some moment of the closed interval, oldest first. */
  sessionsBetween(fromMs: number, toMs: number): Session[] {
    const sessions: Session[] = [];
    if (this.timeline) {
      const last = this.timeline.indexAt(toMs);
      for (let index = this.timeline.indexAt(fromMs); index <= last; index++) {
        if (!this.#isSuppressed(index)) sessions.push(this.#makeSession(index));
      }
    }
    for (const dial of this.#dials) {
      if (hasSession(dial) && dial.answerMs <= toMs && dial.endMs >= fromMs) {
        sessions.push(this.#makeSession(dial.index));
      }
    }
    return sessions.sort((a, b) => a.startMs - b.startMs);
  }

  /** Sessions that have started after `sinceMs`, up to `timeMs`. */
  callsBetween(sinceMs: number, timeMs: number): number {
    const scheduled = (from: number, to: number): number =>
      this.timeline && to > from ? this.timeline.indexAt(to) - this.timeline.indexAt(from) : 0;
    let calls = scheduled(sinceMs, timeMs);
    for (const dial of this.#dials) {
      if (dial.fromMs <= timeMs) calls -= scheduled(dial.fromMs, Math.min(dial.barsUntilMs, timeMs));
      if (hasSession(dial) && dial.answerMs <= timeMs) calls += 1;
    }
    return calls;
  }

  /** The commanded dial whose attempt or session holds at `timeMs`. */
  #dialAt(timeMs: number): Dial | undefined {
    return this.#dials.findLast(({ fromMs, endMs }) => fromMs <= timeMs && timeMs < endMs);
  }

  /** The scheduled state, unless the last command still shows. */
  #afterCommands(timeMs: number): LinkState {
    const scheduled = this.#scheduledAt(timeMs);
    if (!scheduled.enabled || scheduled.state === 'connected') return scheduled;
    const dial = this.#dials.findLast(({ endMs }) => endMs <= timeMs);
    const rest = this.#rests.findLast(({ fromMs }) => fromMs <= timeMs);
    const sinceMs = Math.max(dial?.endMs ?? -Infinity, rest?.fromMs ?? -Infinity);
    // What the link has done by itself since then counts for more.
    if (sinceMs === -Infinity || this.#activeAt(timeMs) > sinceMs) return scheduled;
    if (rest?.fromMs === sinceMs) return { ...idle(), lastError: rest.lastError };
    return dial!.error === 0 ? scheduled : down(CONNECTION_FAILURE, dial!.error);
  }

  /** When the link last began to dial or was connected by itself. */
  #activeAt(timeMs: number): number {
    const index = this.timeline?.indexAt(timeMs);
    const sessionMs =
      index === undefined || this.#isSuppressed(index) ? -Infinity : this.timeline!.startOf(index);
    return Math.max(sessionMs, this.#lastAttempt(timeMs)?.fromMs ?? -Infinity);
  }

  #scheduledAt(timeMs: number): LinkState {
    const { pattern } = this.plan;
    const lastError = 'error' in pattern ? pattern.error : 0;
    if (pattern.kind === 'blocked') return down(pattern.reasons, lastError, pattern.enabled);
    const index = this.timeline?.indexAt(timeMs);
    if (index !== undefined && timeMs < this.#endOf(index)) return connected(this.#sessionOf(index));
    const attempt = this.#lastAttempt(timeMs);
    if (attempt && timeMs < attempt.endMs) return dialling(lastError);
    const fails = pattern.kind !== 'steady' && pattern.kind !== 'on_demand';
    return fails ? down(CONNECTION_FAILURE, lastError) : idle();
  }

  /** The last dial that the link itself has begun at `timeMs`, since its last session. */
  #lastAttempt(timeMs: number): { fromMs: number; endMs: number } | undefined {
    const { pattern } = this.plan;
    const ending = (endMs: number) => ({ fromMs: endMs - this.#dialMs, endMs });
    if (pattern.kind === 'failed') return ending(this.#retryBy(timeMs, -this.#phaseMs, pattern.retryMs));
    const { timeline } = this;
    if (!timeline) return undefined;
    const index = timeline.indexAt(timeMs);
    const next = ending(timeline.startOf(index + 1));
    if (timeMs >= next.fromMs) return next;
    if (pattern.kind !== 'flapping') return undefined;
    const sinceMs = this.#endOf(index);
    const retryMs = this.#retryBy(timeMs, sinceMs, pattern.retryMs);
    return retryMs > sinceMs ? ending(retryMs) : undefined;
  }

  /** End of the last dial begun by `timeMs`: they are made at the end of each retry interval from `sinceMs` on. */
  #retryBy(timeMs: number, sinceMs: number, retryMs: number): number {
    return sinceMs + Math.floor((timeMs - sinceMs + this.#dialMs) / retryMs) * retryMs;
  }

  /** The scheduled session's end, exclusive; its start if it never came to be. */
  #endOf(index: number): number {
    if (this.#isSuppressed(index)) return this.timeline!.startOf(index);
    return this.#cutAt.get(index) ?? this.timeline!.endOf(index);
  }

  /** A commanded dial or its session held when this one was to start. */
  #isSuppressed(index: number): boolean {
    if (this.#dials.length === 0) return false;
    const startMs = this.timeline!.startOf(index);
    return this.#dials.some(({ fromMs, barsUntilMs }) => fromMs < startMs && startMs <= barsUntilMs);
  }

  #sessionOf(index: number): Session {
    // One object per session, so that the byte rows notice a new one by identity.
    if (this.#session?.index !== index) this.#session = this.#makeSession(index);
    return this.#session;
  }

  #failuresAhead(): number {
    const { kind } = this.plan.pattern;
    return this.#faults.failures ?? (kind === 'failed' || kind === 'blocked' ? Infinity : 0);
  }

  #dialError(): number {
    const { pattern } = this.plan;
    return this.#faults.error ?? ('error' in pattern ? pattern.error : VPN_TIMEOUT);
  }

  /** How long a session lasts that was dialled by command: as long as the link's own, or until the next of them. */
  #endOfDialled(startMs: number): number {
    if (startMs === Infinity) return Infinity;
    const { pattern } = this.plan;
    switch (pattern.kind) {
      case 'steady':
        return this.timeline!.startOf(this.timeline!.indexAt(startMs) + 1);
      case 'on_demand':
      case 'flapping':
        return startMs + Math.floor((pattern.everyMs * (pattern.online[0] + pattern.online[1])) / 2);
      case 'given_up':
        return startMs + pattern.upMs;
      default:
        return startMs + FOR_LONG_MS;
    }
  }
}

/** It worked, and was not cancelled before. */
const hasSession = ({ error, answerMs, endMs }: Dial): boolean =>
  error === 0 && Number.isFinite(answerMs) && endMs >= answerMs;

function timelineOf(seed: number, slot: number, pattern: LinkPattern): Timeline | null {
  if (pattern.kind === 'failed' || pattern.kind === 'blocked' || pattern.kind === 'given_up') return null;
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
const connected = (session: Session): LinkState => ({
  enabled: true,
  state: 'connected',
  reasons: 0,
  lastError: 0,
  session,
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
