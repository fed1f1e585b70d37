/**
 * What may be done to a server, and what came of it. Words of the calls only: who may ask, and whether it is wise, is
 * decided elsewhere and before.
 */
import type { Failure, InterfaceRecord, ReadReport } from './frames.ts';
import type { Tunnel } from './words.ts';

/**
 * A session as it was seen. With it a request never reaches a later session that got the same handle: one of another
 * guid or start is answered `gone`. '' = not known.
 */
export interface SessionMark {
  readonly guid: string;
  readonly startTicks: string;
}

/** Handles are 16 hexadecimal digits, as in the frames. */
export type ActRequest =
  | {
      readonly action: 'connect' | 'disconnect';
      /** What counts: the handle is looked up by this name right before the call. */
      readonly interfaceName: string;
      /** For a server that cannot look names up: used only while it still bears the name. */
      readonly interfaceHandle: string;
    }
  | {
      /** Moves the outer addresses of an IKEv2 connection. */
      readonly action: 'update_endpoint';
      readonly connectionHandle: string;
      readonly session?: SessionMark;
      /** Index of the server's IP interface to move to. */
      readonly interfaceIndex: number;
      /** Both IPv4 or both IPv6. */
      readonly localAddress: string;
      readonly remoteAddress: string;
    }
  | {
      /** Ends a connection by hanging up every port that it holds. */
      readonly action: 'hang_up';
      readonly connectionHandle: string;
      readonly session?: SessionMark;
    }
  | InspectRequest;

/** Reads one thing and changes nothing. */
export type InspectRequest =
  | { readonly action: 'inspect_interface'; readonly interfaceName: string }
  | { readonly action: 'inspect_interface'; readonly interfaceHandle: string }
  | {
      readonly action: 'inspect_connection';
      readonly connectionHandle: string;
      readonly session?: SessionMark;
    };

export type ActName = ActRequest['action'];

export const ACT_OUTCOMES = [
  /** Carried out. */
  'done',
  /** Accepted and under way: only a later look tells how it ends. */
  'in_progress',
  'already_connected',
  /** Somebody else's attempt to connect is under way. */
  'already_connecting',
  'already_disconnected',
  /** Not carried out: the server is at work on the same thing. */
  'busy',
  /** Not carried out, for a reason that may pass by itself. */
  'retryable',
  /** Not carried out: the caller's rights, the server's version or the thing's state forbid it until somebody acts. */
  'refused',
  /** Not carried out: there is no such interface or connection (any more). */
  'gone',
  /** Not carried out: the request makes no sense. */
  'our_error',
  /** The server said no with a code that is not known for this call. */
  'failed',
  /** Nobody knows whether it was carried out: look before asking again. */
  'unknown',
] as const;
export type ActOutcome = (typeof ACT_OUTCOMES)[number];

/** An interface at the moment of the answer. */
export type InterfaceNow = Omit<InterfaceRecord, 'idleDisconnectSeconds'>;

/** A connection at the moment of the answer. */
export interface ConnectionNow extends SessionMark {
  readonly handle: string;
  readonly tunnel: Tunnel;
  /** Outer addresses. */
  readonly remoteAddress: string;
  readonly localAddress: string;
  /** MOBIKE moves so far. */
  readonly switchovers: number;
}

export interface ActResult {
  readonly outcome: ActOutcome;
  /** Win32 code of the call that decided; null where no call did. */
  readonly code: number | null;
  /** Where it was not carried out, or nobody knows. Its `kind` tells a stopped service from other passing reasons. */
  readonly failure: Failure | null;
  readonly interfaceNow: InterfaceNow | null;
  readonly connectionNow: ConnectionNow | null;
  readonly report: ReadReport;
}

/** Acts on one server. Never rejects for what the server does: that is an outcome. Never repeats what may be done. */
export interface Actor {
  act(request: ActRequest): Promise<ActResult>;
}

/** True for a request that changes the server. */
export const changes = (request: ActRequest): boolean =>
  request.action !== 'inspect_interface' && request.action !== 'inspect_connection';
