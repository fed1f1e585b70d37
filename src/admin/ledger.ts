/**
 * What was done, and what follows from it: attempts for alerts, cool-downs and breakers of interfaces, the token bucket,
 * idempotency keys. It is made of the lines of the audit log alone, the same at a start as while it runs, so that
 * nothing that was acted on is forgotten by a restart.
 */
import { z } from 'zod';
import type { ActionRecord, ActionState, GuardPolicy } from '../model/admin.ts';
import { ACTIONS, ENDED_STATES, OVERRIDABLE } from '../model/admin.ts';
import type { GuardState, InterfaceMemory } from './guards.ts';
import { cooldownAfter, tokensAt } from './guards.ts';

/** What an intent in the audit log says. `interface` is its name as the server has it. */
export const intentSchema = z.object({
  actionId: z.string(),
  action: z.enum(ACTIONS),
  target: z.object({ interface: z.string().exactOptional(), connection: z.string().exactOptional() }),
  actor: z.string(),
  route: z.string(),
  reason: z.string(),
  force: z.boolean().default(false),
  override: z.array(z.enum(OVERRIDABLE)).default([]),
  endpoint: z
    .object({ interfaceIndex: z.number(), localAddress: z.string(), remoteAddress: z.string() })
    .optional(),
  cooldownMs: z.number().min(0),
  cooldownMaxMs: z.number().min(0),
  alert: z
    .object({
      rule: z.string(),
      attemptKey: z.string(),
      fingerprint: z.string(),
      startsAt: z.string(),
    })
    .optional(),
  idempotency: z.object({ key: z.string(), body: z.string() }).optional(),
  requestedAt: z.number(),
});
export type Intent = z.infer<typeof intentSchema>;

export const outcomeSchema = z.object({
  actionId: z.string(),
  state: z.enum(ENDED_STATES),
  result: z.string(),
  message: z.string(),
  function: z.string().nullable().default(null),
  code: z.number().nullable().default(null),
  codeName: z.string().nullable().default(null),
  interfaceLastError: z.number().nullable().default(null),
  interfaceLastErrorName: z.string().nullable().default(null),
  seconds: z.number().default(0),
});
export type Outcome = z.infer<typeof outcomeSchema>;

const resetSchema = z.object({ interface: z.string() });

/** What is remembered of an alert's attempts. */
export interface AttemptMemory {
  /** The newest one. */
  readonly actionId: string;
  readonly executed: number;
  readonly underway: boolean;
  /** Verified failures, and attempts of which nobody knows. */
  readonly failures: number;
  /** Monotonic; when the next attempt may come. Infinity: the last one worked. */
  readonly nextAtMs: number;
}

const ATTEMPTS_KEPT = 20_000;
/** Executed actions, and requests that were refused: neither pushes the other out. */
const ACTIONS_KEPT = 1_000;
const REFUSED_KEPT = 500;
const KEYS_KEPT = 10_000;
const KEY_AGE_MS = 24 * 3_600_000;

interface Executed {
  readonly intent: Intent;
  record: ActionRecord;
}

export class Ledger {
  #policy: GuardPolicy;
  readonly #interfaces = new Map<string, InterfaceMemory>();
  /** The newest action on each interface. */
  readonly #newest = new Map<string, string>();
  readonly #attempts = new Map<string, AttemptMemory>();
  readonly #executed = new Map<string, Executed>();
  readonly #refused = new Map<string, ActionRecord>();
  readonly #keys = new Map<string, { actionId: string; body: string; atMs: number }>();
  #bucketTokens: number;
  #bucketAtMs = -Infinity;

  constructor(policy: GuardPolicy) {
    this.#policy = policy;
    this.#bucketTokens = policy.rateBurst;
  }

  /** Holds from now on, for what was done before, too: all but open breakers and cool-downs that have begun. */
  setPolicy(policy: GuardPolicy): void {
    this.#policy = policy;
  }

  /**
   * Takes in a line of the audit log that was written at `atMs`, monotonic, and `wallSeconds`. What it does not know it
   * passes over.
   */
  apply(kind: string, line: unknown, atMs: number, wallSeconds: number): void {
    if (kind === 'intent') {
      const intent = intentSchema.safeParse(line);
      if (intent.success) this.#intend(intent.data, atMs, wallSeconds);
    } else if (kind === 'outcome') {
      const outcome = outcomeSchema.safeParse(line);
      if (outcome.success) this.#end(outcome.data, atMs, wallSeconds);
    } else if (kind === 'reset') {
      const reset = resetSchema.safeParse(line);
      if (reset.success) this.#interfaces.delete(reset.data.interface);
    }
  }

  /** What the guards need, but for what is only known while the program runs. */
  guardState(nowMs: number): Pick<GuardState, 'interfaces' | 'bucketTokens' | 'bucketAtMs'> {
    return { interfaces: this.#interfaces, bucketTokens: this.#tokens(nowMs), bucketAtMs: nowMs };
  }

  attempt(key: string): AttemptMemory | undefined {
    return this.#attempts.get(key);
  }

  breakerOpen(interfaceName: string): boolean {
    return this.#interfaces.get(interfaceName)?.breakerOpen ?? false;
  }

  /** The action that a key stands for, if it was used of late. */
  idempotent(key: string, nowMs: number): { readonly actionId: string; readonly body: string } | undefined {
    const known = this.#keys.get(key);
    return known && nowMs - known.atMs <= KEY_AGE_MS ? known : undefined;
  }

  action(id: string): ActionRecord | undefined {
    return this.#executed.get(id)?.record ?? this.#refused.get(id);
  }

  /** Newest first. */
  actions(): readonly ActionRecord[] {
    const all = [...[...this.#executed.values()].map(({ record }) => record), ...this.#refused.values()];
    return all.sort((a, b) => b.requestedAt - a.requestedAt || (a.id < b.id ? 1 : -1));
  }

  /** Notes how far an action is that has not ended. */
  moveOn(id: string, state: ActionState, wallSeconds: number): void {
    const known = this.#executed.get(id);
    if (known) known.record = reached(known.record, state, wallSeconds);
  }

  /** Keeps a request that was not carried out, to be shown. */
  note(record: ActionRecord): void {
    remember(this.#refused, REFUSED_KEPT, record.id, record);
  }

  #tokens(nowMs: number): number {
    const state = { bucketTokens: this.#bucketTokens, bucketAtMs: this.#bucketAtMs };
    return this.#bucketAtMs === -Infinity ? this.#policy.rateBurst : tokensAt(state, this.#policy, nowMs);
  }

  #intend(intent: Intent, atMs: number, wallSeconds: number): void {
    this.#bucketTokens = Math.max(0, this.#tokens(atMs) - 1);
    this.#bucketAtMs = Math.max(this.#bucketAtMs, atMs);
    const { alert, idempotency, actionId } = intent;
    if (intent.target.interface !== undefined) this.#newest.set(intent.target.interface, actionId);
    if (alert) {
      const known = this.#attempts.get(alert.attemptKey);
      remember(this.#attempts, ATTEMPTS_KEPT, alert.attemptKey, {
        actionId,
        executed: (known?.executed ?? 0) + 1,
        underway: true,
        failures: known?.failures ?? 0,
        nextAtMs: Infinity,
      });
    }
    if (idempotency) {
      remember(this.#keys, KEYS_KEPT, idempotency.key, { actionId, body: idempotency.body, atMs });
    }
    remember(this.#executed, ACTIONS_KEPT, actionId, {
      intent,
      record: {
        id: actionId,
        action: intent.action,
        target: intent.target,
        actor: intent.actor,
        route: intent.route,
        reason: intent.reason,
        force: intent.force,
        override: intent.override,
        endpoint: intent.endpoint,
        alert: alert && { rule: alert.rule, fingerprint: alert.fingerprint, startsAt: alert.startsAt },
        decision: 'execute',
        decisionReason: 'allowed',
        state: 'intended',
        requestedAt: intent.requestedAt,
        history: [
          { state: 'requested', time: intent.requestedAt },
          { state: 'intended', time: wallSeconds },
        ],
        outcome: undefined,
      },
    });
  }

  #end({ actionId, state, ...outcome }: Outcome, atMs: number, wallSeconds: number): void {
    const known = this.#executed.get(actionId);
    if (!known || hasEnded(known.record)) return;
    known.record = { ...reached(known.record, state, wallSeconds), outcome };
    const { intent } = known;
    const failed = state !== 'succeeded';
    const name = intent.target.interface;
    // An outcome that was written late says nothing of what has been done since.
    if (name !== undefined && this.#newest.get(name) === actionId) {
      const { failures: before = 0, breakerOpen = false } = this.#interfaces.get(name) ?? {};
      // That a link could be hung up does not show that it can be dialled.
      const mended = !failed && intent.action === 'reconnect';
      const failures = mended ? 0 : before + (failed ? 1 : 0);
      this.#interfaces.set(name, {
        failures,
        breakerOpen: !mended && (breakerOpen || failures >= this.#policy.breakerFailures),
        cooldownUntilMs: atMs + this.#cooldown(intent, failures),
      });
    }
    const key = intent.alert?.attemptKey;
    const attempt = key === undefined ? undefined : this.#attempts.get(key);
    if (key === undefined || attempt?.actionId !== actionId) return;
    const failures = attempt.failures + (failed ? 1 : 0);
    const nextAtMs = failed ? atMs + this.#cooldown(intent, failures) : Infinity;
    remember(this.#attempts, ATTEMPTS_KEPT, key, { ...attempt, underway: false, failures, nextAtMs });
  }

  #cooldown({ cooldownMs, cooldownMaxMs }: Intent, failures: number): number {
    return cooldownAfter(failures, cooldownMs, { ...this.#policy, cooldownMaxMs });
  }
}

export const hasEnded = ({ state }: ActionRecord): boolean => ENDED_STATES.some((each) => each === state);

const reached = (record: ActionRecord, state: ActionState, time: number): ActionRecord => ({
  ...record,
  state,
  history: [...record.history, { state, time }],
});

/** Sets it as the newest, and forgets the oldest beyond the limit. */
function remember<V>(map: Map<string, V>, limit: number, key: string, value: V): void {
  map.delete(key);
  map.set(key, value);
  if (map.size <= limit) return;
  for (const oldest of map.keys()) {
    map.delete(oldest);
    break;
  }
}
