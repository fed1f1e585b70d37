/** What is known of a server at one moment: immutable, made by the collector, read by metrics, page and API. */
import type { ConnectionIdentity, InterfaceRecord } from './frames.ts';
import type { Role, Source, Tunnel } from './words.ts';
import { ERROR_KINDS } from './words.ts';

/** One live session. */
export interface Connection {
  /** The `connection` label: 16 lower-case hexadecimal digits, the same as long as the session lives. */
  readonly id: string;
  /** A small number that is the session's own while it is known, so that what is kept of it can stand in arrays. */
  readonly place: number;
  readonly identity: ConnectionIdentity;
  /** From level 4's device type, the projection, or the port that the connection holds. */
  readonly tunnel: Tunnel;
  readonly role: Role;
  /** Unix seconds. */
  readonly startTimeSeconds: number;
}

/** What is counted per session, in the order of every array of such counters. */
export const CONNECTION_COUNTERS = [
  'receivedBytes',
  'transmittedBytes',
  'receivedFrames',
  'transmittedFrames',
  'switchovers',
  ...ERROR_KINDS,
] as const;
export type ConnectionCounter = (typeof CONNECTION_COUNTERS)[number];

/** Upper bounds of the session duration histogram, in seconds; a bucket without bound follows. */
export const SESSION_DURATION_BOUNDS = [
  60, 300, 900, 1800, 3600, 7200, 14_400, 28_800, 43_200, 86_400, 172_800, 604_800,
] as const;

/**
 * Sums over all sessions since the exporter started. A cell is a tunnel and a role: tunnel index times the number of
 * roles plus role index.
 */
export interface Totals {
  /** Cell times the number of counters plus counter index. */
  readonly sums: Float64Array;
  readonly started: Float64Array;
  readonly ended: Float64Array;
  /** Ended sessions by bucket, not cumulated: cell times the number of buckets plus bucket index. */
  readonly durations: Float64Array;
  /** Seconds, of ended sessions. */
  readonly durationSums: Float64Array;
}

/** Row i of each column belongs to `connections[i]`. */
export interface ConnectionTable {
  readonly connections: readonly Connection[];
  /** Unix seconds. */
  readonly startTimeSeconds: ArrayLike<number>;
  readonly counters: Readonly<Record<ConnectionCounter, ArrayLike<number>>>;
  /** Percent, compressed over uncompressed. */
  readonly compressionIn: ArrayLike<number>;
  readonly compressionOut: ArrayLike<number>;
  /** RAS_QUARANTINE_STATE. */
  readonly quarantine: Uint32Array;
  /** 1 for an IKEv2 connection whose peer cannot be reached at the moment. */
  readonly dormant: ArrayLike<number>;
}

/** Traffic in bytes since the exporter started. */
export interface LinkTraffic {
  readonly receivedBytes: number;
  readonly transmittedBytes: number;
}

/** A user's account over all sessions since the exporter started. */
export interface UserAccount extends LinkTraffic {
  readonly user: string;
  readonly domain: string;
  /** The account of all users beyond the limit; `user` and `domain` are empty. */
  readonly other: boolean;
  readonly sessionsStarted: number;
  /** Live now. */
  readonly connections: number;
}

/** Ports by tunnel: how many in each RAS_PORT_CONDITION, and how many a connection holds. */
export interface PortCounts {
  /** Sum of dwTotalNumberOfCalls since the exporter started, by tunnel. */
  readonly calls: ReadonlyMap<Tunnel, number>;
  readonly byCondition: ReadonlyMap<Tunnel, readonly number[]>;
  readonly inUse: ReadonlyMap<Tunnel, number>;
}

export interface InterfaceStatus extends InterfaceRecord {
  /** Expected to stay up; undefined where nothing tells. */
  readonly persistent: boolean | undefined;
  /** Unix seconds of the last change of state that was seen; undefined until there was one. */
  readonly stateChangeSeconds: number | undefined;
  readonly stateChanges: number;
  readonly dialFailures: number;
}

export interface ServiceStatus {
  readonly running: boolean;
  readonly lanOnly: boolean;
  /** Unix seconds; undefined while the service does not run. */
  readonly startTimeSeconds: number | undefined;
}

export interface SourceStatus {
  /** Whether the newest enumeration of the source succeeded; undefined: the server has no such part. */
  readonly up: boolean | undefined;
  /** Of the newest enumeration; undefined if there was none. */
  readonly durationSeconds: number | undefined;
  /** What is wrong, for people. */
  readonly problem: string | undefined;
}

export interface Snapshot {
  /** Rises with every poll, so that what is made of a snapshot can be kept. */
  readonly generation: number;
  /** Every enabled source was read in the newest poll, and that is not longer ago than the maximum age. */
  readonly up: boolean;
  /** Unix seconds of the last poll that read anything; 0 if none did. */
  readonly timestampSeconds: number;
  /** Enabled sources only. */
  readonly sources: Readonly<Partial<Record<Source, SourceStatus>>>;
  /** Each part is undefined where its source is off, does not apply or was not read within the maximum age. */
  readonly service: ServiceStatus | undefined;
  readonly ports: PortCounts | undefined;
  readonly interfaces: readonly InterfaceStatus[] | undefined;
  readonly connections: ConnectionTable | undefined;
  /** Tunnels that the server had ports for when they were read last. */
  readonly portTunnels: readonly Tunnel[];
  /** Since the exporter started; there whatever can be read now. */
  readonly totals: Totals;
  readonly links: ReadonlyMap<string, LinkTraffic>;
  /** Undefined unless they are collected. */
  readonly users: readonly UserAccount[] | undefined;
}
