/**
 * What crosses the process boundary: one frame per enumeration. Numbers travel as columns every time; names and
 * addresses only for a connection that is new or whose text changed.
 */
import type {
  Anomaly,
  Auth,
  Compression,
  Encryption,
  InterfaceState,
  InterfaceType,
  Source,
  Tunnel,
} from './words.ts';

/** Texts and fixed facts of one connection. Strings are as the API gave them, unpaired surrogates included. */
export interface ConnectionIdentity {
  /** hConnection, 16 hexadecimal digits. */
  readonly handle: string;
  /** 32 hexadecimal digits, '' if the API gave zeros. */
  readonly guid: string;
  /** connectionStartTime of level 4 in FILETIME ticks (100 ns since 1601, UTC) as 16 hexadecimal digits, else ''. */
  readonly startTicks: string;
  readonly user: string;
  readonly domain: string;
  readonly computer: string;
  readonly interfaceName: string;
  readonly interfaceType: InterfaceType;
  /** `unknown` where only the port can tell (EnumEx on a PPP tunnel). */
  readonly tunnel: Tunnel;
  readonly auth: Auth;
  readonly encryption: Encryption;
  readonly compression: Compression;
  readonly tunnelAddress: string;
  readonly tunnelAddressV6: string;
  readonly remoteAddress: string;
  readonly localAddress: string;
}

/**
 * Columns of a connections frame; row i of each belongs to the same connection. `slot` is the connection's number
 * in the sender: stable while the connection lives, free for another one afterwards.
 */
export interface ConnectionColumns {
  readonly slot: Uint32Array;
  /** Seconds since connect. */
  readonly duration: Uint32Array;
  /** RAS_FLAGS_*. */
  readonly flags: Uint32Array;
  /** RAS_QUARANTINE_STATE. */
  readonly quarantine: Uint32Array;
  /** Bytes; exact to 2^53. 32-bit counters on EnumEx. */
  readonly receivedBytes: Float64Array;
  readonly transmittedBytes: Float64Array;
  readonly receivedFrames: Uint32Array;
  readonly transmittedFrames: Uint32Array;
  readonly crc: Uint32Array;
  readonly timeout: Uint32Array;
  readonly alignment: Uint32Array;
  readonly hardware_overrun: Uint32Array;
  readonly framing: Uint32Array;
  readonly buffer_overrun: Uint32Array;
  /** Percent, compressed size over uncompressed size. */
  readonly compressionIn: Uint32Array;
  readonly compressionOut: Uint32Array;
  readonly switchovers: Uint32Array;
}

export interface ConnectionsFrame {
  readonly source: 'connections';
  /** Which call answered: 'level4' has 64-bit byte counters and start times, 'ex' neither. */
  readonly api: 'level4' | 'ex';
  readonly count: number;
  readonly columns: ConnectionColumns;
  /** New and changed identities by slot. */
  readonly identities: readonly (readonly [slot: number, identity: ConnectionIdentity])[];
}

export interface PortsFrame {
  readonly source: 'ports';
  readonly count: number;
  /** Low 32 bits of hPort: the key of a port's call counter. */
  readonly port: Uint32Array;
  /** Index into TUNNELS. */
  readonly tunnel: Uint8Array;
  /** RAS_PORT_CONDITION. */
  readonly condition: Uint8Array;
  /** dwTotalNumberOfCalls. */
  readonly calls: Uint32Array;
  /** 1 where a connection holds the port. */
  readonly held: Uint8Array;
  /** Slot of the connection that holds the port, or NO_SLOT if none or unknown to the connections source. */
  readonly slot: Uint32Array;
}
export const NO_SLOT = 0xffff_ffff;

export interface InterfaceRecord {
  /** hInterface, 16 hexadecimal digits. */
  readonly handle: string;
  readonly name: string;
  readonly type: InterfaceType;
  readonly enabled: boolean;
  readonly state: InterfaceState;
  /** fUnReachabilityReasons. */
  readonly unreachableReasons: number;
  /** Win32 or RAS code of the last failed attempt; 0 = none. */
  readonly lastError: number;
  /** dwIdleDisconnectSeconds: 0 = the server's default, 0xFFFFFFFF = never; null where it cannot be read. */
  readonly idleDisconnectSeconds: number | null;
}

export interface InterfacesFrame {
  readonly source: 'interfaces';
  readonly interfaces: readonly InterfaceRecord[];
}

export interface ServerFrame {
  readonly source: 'server';
  /** False: the service is stopped, starting or not configured; the figures below are then 0. */
  readonly running: boolean;
  readonly lanOnly: boolean;
  /** Seconds since the router started. */
  readonly uptimeSeconds: number;
  readonly totalPorts: number;
  readonly portsInUse: number;
}

export type Frame = ServerFrame | ConnectionsFrame | PortsFrame | InterfacesFrame;

/** One native call as it happened. */
export interface NativeCall {
  /** When it began, in seconds since the read or action did. */
  readonly atSeconds: number;
  /** Of an enumeration: how many records it brought. */
  readonly entries?: number;
  readonly function: string;
  readonly code: number;
  readonly seconds: number;
}

/** What a read of one source did, whether it succeeded or not. */
export interface ReadReport {
  readonly calls: readonly NativeCall[];
  readonly pages: number;
  readonly anomalies: Readonly<Partial<Record<Anomaly, number>>>;
  readonly seconds: number;
}

/** `inapplicable`: the server has no such part (connections and ports of a LAN-only router). */
export type ReadOutcome<F extends Frame = Frame> =
  | { readonly status: 'ok'; readonly frame: F; readonly report: ReadReport }
  | { readonly status: 'inapplicable' | 'stopped'; readonly report: ReadReport }
  | { readonly status: 'failed'; readonly failure: Failure; readonly report: ReadReport };

export type FrameOf<S extends Source> = Extract<Frame, { source: S }>;

/** How to act on a failure; see codes.ts for the Win32 codes. */
export type FailureKind =
  | 'permission'
  | 'service_down'
  | 'retryable'
  | 'busy'
  | 'gone'
  | 'unsupported'
  | 'protocol'
  /** The host process was killed in the middle of this. */
  | 'host'
  /** There is no host process at the moment. */
  | 'host_down'
  | 'internal';

export interface Failure {
  readonly kind: FailureKind;
  /** Says what failed and what to do, fit for a log line. Holds no personal data. */
  readonly message: string;
  /** The native function and code, where one failed. */
  readonly function?: string;
  readonly code?: number;
}

/** Reads one source of one server. Never rejects for what the server does: that is an outcome. */
export interface SourceReader {
  read<S extends Source>(source: S): Promise<ReadOutcome<FrameOf<S>>>;
  /** Forgets what was sent: the next connections frame brings every identity. */
  reset(): void;
}
