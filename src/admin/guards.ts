/**
 * The guards: whether an action may run now. Pure functions over what is known of the server, what was done before
 * and a time; they decide and change nothing.
 */
import ipaddr from 'ipaddr.js';
import type { ActionName, Decision, GuardPolicy, Overridable } from '../model/admin.ts';
import { anyGlobMatches } from './globs.ts';

/** An interface as a guard sees it. */
export interface InterfaceFacts {
  readonly name: string;
  readonly enabled: boolean;
  readonly state: 'unreachable' | 'disconnected' | 'connecting' | 'connected' | 'unknown';
}

/** What the guards remember of an interface. Times are monotonic milliseconds. */
export interface InterfaceMemory {
  /** No action before this; -Infinity if there was none. */
  readonly cooldownUntilMs: number;
  /** Failed verifications in a row. */
  readonly failures: number;
  readonly breakerOpen: boolean;
}

export interface GuardState {
  readonly paused: boolean;
  readonly interfaces: ReadonlyMap<string, InterfaceMemory>;
  /** `targetKey` of each action under way. */
  readonly busy: ReadonlySet<string>;
  /** Tokens left in the bucket at `bucketAtMs`. */
  readonly bucketTokens: number;
  readonly bucketAtMs: number;
}

export interface GuardRequest {
  readonly action: ActionName;
  /** Name of the interface that the action concerns; undefined for connections of clients. */
  readonly interfaceName: string | undefined;
  /** What two actions must not be done to at once. */
  readonly targetKey: string;
  /** New outer addresses of `update_endpoint`. */
  readonly addresses: readonly string[];
  /** Guards to pass, granted before. */
  readonly override: readonly Overridable[];
  /** A rule's own dry run; that of the policy is for all. */
  readonly dryRun: boolean;
}

export interface Verdict {
  readonly decision: Extract<
    Decision,
    'execute' | 'dry_run' | 'cooldown' | 'busy' | 'rate' | 'breaker' | 'min_healthy' | 'denied' | 'paused'
  >;
  /** For people. */
  readonly reason: string;
  /** When it may be worth asking again. */
  readonly retryAfterSeconds?: number;
  /** With `busy`: not this target is, but too many others are. */
  readonly crowded?: boolean;
}

/** Decides in the contract's order: lists first, so that nobody learns the state of what is not theirs. */
export function judge(
  request: GuardRequest,
  interfaces: readonly InterfaceFacts[],
  state: GuardState,
  policy: GuardPolicy,
  nowMs: number,
): Verdict {
  const { interfaceName: name, targetKey } = request;
  if (name !== undefined && !isAllowed(name, policy)) {
    return { decision: 'denied', reason: 'the policy does not allow actions on this interface' };
  }
  const outside = request.addresses.find((address) => !inNetworks(address, policy.endpointNetworks));
  if (outside !== undefined) {
    return { decision: 'denied', reason: 'the policy does not allow this endpoint address' };
  }
  if (state.paused) return { decision: 'paused', reason: 'all actions are paused' };
  if (state.busy.has(targetKey)) {
    return { decision: 'busy', reason: 'an action on this target is under way', retryAfterSeconds: 5 };
  }
  if (state.busy.size >= policy.maxConcurrent) {
    const reason = `${state.busy.size} actions are under way`;
    return { decision: 'busy', reason, retryAfterSeconds: 5, crowded: true };
  }
  const passes = (guard: Overridable): boolean => request.override.includes(guard);
  const memory = name === undefined ? undefined : state.interfaces.get(name);
  if (memory?.breakerOpen && !passes('breaker')) {
    return {
      decision: 'breaker',
      reason: `${memory.failures} attempts in a row have failed: a person is needed; reset the interface when it is mended`,
    };
  }
  const waitMs = (memory?.cooldownUntilMs ?? -Infinity) - nowMs;
  if (waitMs > 0 && !passes('cooldown')) {
    const retryAfterSeconds = Math.ceil(waitMs / 1000);
    return {
      decision: 'cooldown',
      reason: `the cool-down lasts for ${retryAfterSeconds} s more`,
      retryAfterSeconds,
    };
  }
  const unhealthy = unhealthyShare(interfaces, policy);
  if (unhealthy !== undefined && !passes('min_healthy')) {
    return {
      decision: 'min_healthy',
      reason: `${unhealthy} enabled interfaces are unreachable at once: look at the uplink first`,
    };
  }
  const tokens = tokensAt(state, policy, nowMs);
  if (tokens < 1) {
    const retryAfterSeconds = Math.ceil(((1 - tokens) * policy.ratePerMs) / policy.rateBurst / 1000);
    return { decision: 'rate', reason: 'there were too many actions of late', retryAfterSeconds };
  }
  if (policy.dryRun || request.dryRun) return { decision: 'dry_run', reason: 'the action would run' };
  return { decision: 'execute', reason: 'allowed' };
}

export function isAllowed(name: string, { allow, deny }: GuardPolicy): boolean {
  return name !== '' && anyGlobMatches(allow, name) && !anyGlobMatches(deny, name);
}

/** Tokens in the bucket now: it fills with `rateBurst` tokens in `ratePerMs`. */
export function tokensAt(
  state: Pick<GuardState, 'bucketTokens' | 'bucketAtMs'>,
  { rateBurst, ratePerMs }: GuardPolicy,
  nowMs: number,
): number {
  const filled = ((nowMs - state.bucketAtMs) / ratePerMs) * rateBurst;
  return Math.min(rateBurst, state.bucketTokens + Math.max(0, filled));
}

/** The cool-down after an action, doubled with each failure in a row up to the policy's longest. */
export function cooldownAfter(failures: number, cooldownMs: number, { cooldownMaxMs }: GuardPolicy): number {
  return Math.min(Math.max(cooldownMs, cooldownMaxMs), cooldownMs * 2 ** Math.max(0, failures - 1));
}

function inNetworks(address: string, networks: readonly string[]): boolean {
  if (!ipaddr.isValid(address)) return false;
  const parsed = ipaddr.parse(address);
  return networks.some((network) => {
    const [base, bits] = ipaddr.parseCIDR(network);
    return base.kind() === parsed.kind() && parsed.match(base, bits);
  });
}

/** `3 of 5` if too many are unreachable at once, else undefined. */
function unhealthyShare(interfaces: readonly InterfaceFacts[], policy: GuardPolicy): string | undefined {
  const enabled = interfaces.filter((each) => each.enabled);
  if (enabled.length < policy.minHealthyFrom) return undefined;
  const unreachable = enabled.filter((each) => each.state === 'unreachable').length;
  return unreachable > enabled.length * policy.maxUnreachableShare
    ? `${unreachable} of ${enabled.length}`
    : undefined;
}
