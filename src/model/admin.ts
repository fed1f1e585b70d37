/** Words of the guarded actions: what may be asked, what is decided, and the policy that an administrator writes. */
import type { TraceParent } from './tracing.ts';

export const ACTIONS = ['reconnect', 'disconnect', 'update_endpoint', 'hang_up'] as const;
export type ActionName = (typeof ACTIONS)[number];

/** Rights of a token or client certificate besides the actions: pause and resume, reset, hooks, passing guards. */
export const RIGHTS = [...ACTIONS, 'reset', 'pause', 'hook', 'override', 'read'] as const;
export type Right = (typeof RIGHTS)[number];

/** How a request ended, as metrics, answers and the audit log name it. */
export const DECISIONS = [
  'execute',
  'dry_run',
  'duplicate',
  'already_connected',
  'cooldown',
  'busy',
  'rate',
  'breaker',
  'min_healthy',
  'denied',
  'gone',
  'no_rule',
  'resolved',
  'truncated',
  'paused',
  'audit',
  'invalid',
  'unauthenticated',
  'forbidden',
] as const;
export type Decision = (typeof DECISIONS)[number];

/** Guards that a caller with the right `override` may pass, with a reason. Never the lists, the audit or `busy`. */
export const OVERRIDABLE = ['cooldown', 'breaker', 'min_healthy'] as const satisfies readonly Decision[];
export type Overridable = (typeof OVERRIDABLE)[number];

/** Who may do what. `interfaces` are globs. */
export interface Grant {
  readonly name: string;
  readonly rights: readonly Right[];
  readonly interfaces: readonly string[];
}

export interface TokenGrant extends Grant {
  /** SHA-256 of the token, 64 hexadecimal digits. */
  readonly sha256: string;
}

export interface CertificateGrant extends Grant {
  /** As Node.js writes it: `DNS:ops.example.net`, `URI:spiffe://…`, `email:ops@example.net`. */
  readonly subjectAltName: string;
}

export interface GuardPolicy {
  /** Globs of interface names: allowed if one of `allow` and none of `deny` matches. */
  readonly allow: readonly string[];
  readonly deny: readonly string[];
  /** CIDR networks that the addresses of an endpoint must lie in; empty: none is allowed. */
  readonly endpointNetworks: readonly string[];
  /** Between two actions on an interface; doubled with each failure in a row, up to `cooldownMaxMs`. */
  readonly cooldownMs: number;
  readonly cooldownMaxMs: number;
  /** Token bucket over all actions. */
  readonly rateBurst: number;
  readonly ratePerMs: number;
  /** Actions under way at once. */
  readonly maxConcurrent: number;
  /** Refuses when more than this share of the enabled interfaces is unreachable, from `minHealthyFrom` on. */
  readonly maxUnreachableShare: number;
  readonly minHealthyFrom: number;
  /** Failed verifications in a row that open the breaker of an interface. */
  readonly breakerFailures: number;
  /** An attempt that takes longer is cancelled and has failed. */
  readonly attemptTimeoutMs: number;
  readonly dryRun: boolean;
}

/** How an alert's label is compared, as Alertmanager writes matchers: a regular expression matches the whole value. */
export const MATCH_OPERATORS = ['=', '!=', '=~', '!~'] as const;
export interface LabelMatcher {
  readonly label: string;
  readonly operator: (typeof MATCH_OPERATORS)[number];
  /** Of `=~` and `!~` in the syntax of RE2. */
  readonly value: string;
}

/** What an alert may trigger. */
export interface HookRule {
  readonly name: string;
  /** All must match. */
  readonly matchers: readonly LabelMatcher[];
  readonly action: ActionName;
  /** Label of the alert that names the target: an interface, or the id of a connection. */
  readonly targetLabel: string;
  /** Executed attempts for one alert, until it fires anew. */
  readonly maxAttempts: number;
  /** As in the policy, for this rule; undefined: the policy's. */
  readonly cooldownMs: number | undefined;
  readonly cooldownMaxMs: number | undefined;
  readonly dryRun: boolean;
  /** Also act on the alerts of a notification that left some out. */
  readonly allowTruncated: boolean;
}

export interface GrafanaHook {
  /** Shared with Grafana. */
  readonly secret: Uint8Array;
  readonly signatureHeader: string;
  readonly timestampHeader: string;
  /** A signature older or newer than this is refused. */
  readonly maxAgeMs: number;
  /** Globs of interfaces that its alerts may concern. */
  readonly interfaces: readonly string[];
}

/** All that the configuration says of actions. */
export interface AdminConfig {
  readonly tokens: readonly TokenGrant[];
  readonly clientCertificates: readonly CertificateGrant[];
  /** Without TLS on other listeners than loopback. */
  readonly allowPlainHttp: boolean;
  readonly guards: GuardPolicy;
  readonly hooks: {
    /** Actions that rules may name. */
    readonly allowActions: readonly ActionName[];
    readonly rules: readonly HookRule[];
    /** Label of an alert that names the server it is of, where several are configured. */
    readonly serverLabel: string;
    /** Globs of what that label says of the local server's alerts. */
    readonly localServer: readonly string[];
    /** Undefined: the route takes tokens only. */
    readonly grafana: GrafanaHook | undefined;
  };
}

/**
 * The life of an action: requested -> denied, or intended (the audit log has it) -> acting -> verifying -> ended. Nobody
 * knows of an `unknown` one whether it was carried out.
 */
export const ACTION_STATES = [
  'requested',
  'denied',
  'intended',
  'acting',
  'verifying',
  'succeeded',
  'failed',
  'unknown',
] as const;
export type ActionState = (typeof ACTION_STATES)[number];
export const ENDED_STATES = ['succeeded', 'failed', 'unknown'] as const satisfies readonly ActionState[];

/** What an action is done to: an interface by its name as the server has it, a connection by its id. */
export interface ActionTarget {
  /** Also of a connection that belongs to a demand-dial interface. */
  readonly interface?: string;
  readonly connection?: string;
}

/** The alert that an action answers. */
export interface ActionAlert {
  readonly rule: string;
  readonly fingerprint: string;
  readonly startsAt: string;
}

/** How an action ended. */
export interface ActionEnd {
  /** As the native side tells it, or what the verification found. */
  readonly result: string;
  /** For people. */
  readonly message: string;
  /** The native call that decided. */
  readonly function: string | null;
  readonly code: number | null;
  readonly codeName: string | null;
  /** dwLastError of the interface when it was looked at last. */
  readonly interfaceLastError: number | null;
  readonly interfaceLastErrorName: string | null;
  /** From the native call to the verdict. */
  readonly seconds: number;
}

/** What was asked, decided, done and verified. Times are Unix seconds. */
export interface ActionRecord {
  readonly id: string;
  readonly action: ActionName;
  readonly target: ActionTarget;
  /** Name of the token or certificate, or `grafana`. */
  readonly actor: string;
  readonly route: string;
  readonly reason: string;
  readonly force: boolean;
  readonly override: readonly Overridable[];
  readonly endpoint: Endpoint | undefined;
  readonly alert: ActionAlert | undefined;
  readonly decision: Decision;
  readonly decisionReason: string;
  readonly state: ActionState;
  readonly requestedAt: number;
  readonly history: readonly { readonly state: ActionState; readonly time: number }[];
  readonly outcome: ActionEnd | undefined;
}

/** Whether actions are stopped. Times are Unix seconds. */
export interface PauseState {
  readonly paused: boolean;
  readonly reason: string;
  readonly actor: string;
  readonly since: number | undefined;
  /** undefined: until somebody resumes. */
  readonly until: number | undefined;
  /** False: a restart would not know of it. */
  readonly persisted: boolean;
}

/** New outer addresses of a connection, both of one family. */
export interface Endpoint {
  /** Index of the server's IP interface to move to. */
  readonly interfaceIndex: number;
  readonly localAddress: string;
  readonly remoteAddress: string;
}

/** A request for an action, as a caller makes it. */
export interface ActionRequest {
  readonly action: ActionName;
  /** The interface by the name that is shown. */
  readonly target: ActionTarget;
  readonly endpoint?: Endpoint;
  readonly reason: string;
  readonly force: boolean;
  readonly override: readonly Overridable[];
  readonly route: string;
  /** Of the caller's trace. */
  readonly traceparent?: TraceParent | undefined;
  /** With it, the same request is carried out once. `body`: all that makes it the same. */
  readonly idempotency?: { readonly key: string; readonly body: string };
}

/** What came of a request. */
export interface ActionAnswer {
  readonly decision: Decision;
  /** For people. */
  readonly reason: string;
  readonly retryAfterSeconds?: number;
  /** What was asked, as it stands now; undefined if it came to nothing that is kept. */
  readonly action?: ActionRecord;
  /** With `gone`: the server cannot be read, or has no such thing. */
  readonly missing?: 'target' | 'server';
  /** With `busy`: not the target is, but too many others are. */
  readonly crowded?: boolean;
  /** With `invalid`: the idempotency key stands for another request. */
  readonly reused?: boolean;
}

/** What was decided on an alert. */
export interface AlertDecision {
  readonly fingerprint: string;
  /** undefined: none matches. */
  readonly rule: string | undefined;
  readonly decision: Decision;
  readonly reason: string;
  readonly actionId?: string;
}

export interface HookAnswer {
  /** One for each alert, in their order. */
  readonly alerts: readonly AlertDecision[];
  /** Something passing stood in the way of some: the sender is to send them again. */
  readonly retry: boolean;
}
