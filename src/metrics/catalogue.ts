/**
 * The catalogue: every family of a server's snapshot with its name, help, type, labels and the way from a view to
 * its samples. Every output and docs/metrics.md come out of this table.
 */
import type { ConnectionTable } from '../model/snapshot.ts';
import type { Role, Tunnel } from '../model/words.ts';
import {
  AUTHS,
  ERROR_KINDS,
  INTERFACE_STATES,
  PORT_CONDITIONS,
  QUARANTINE_STATES,
  ROLES,
  TUNNELS,
  UNREACHABLE_REASONS,
} from '../model/words.ts';
import type { View, VisibleConnection, VisibleInterface } from './labels.ts';

export type MetricType = 'gauge' | 'counter';

interface FamilyHead {
  /** Full Prometheus name, with unit and _total. */
  readonly name: string;
  readonly type: MetricType;
  /** Says what it is, its unit if the name does not, and the field that it comes from. */
  readonly help: string;
}

/** Takes one sample; label values in the order of the family's labels. */
export type Emit = (value: number, ...labelValues: readonly string[]) => void;

/** A family of few series. */
export interface SampleFamily extends FamilyHead {
  readonly kind: 'samples';
  readonly labels: readonly string[];
  readonly collect: (view: View, emit: Emit) => void;
}

/** Numbers per connection: the label `connection`, at most one more with a fixed value per series. */
export interface ConnectionFamily extends FamilyHead {
  readonly kind: 'connections';
  readonly label?: string;
  readonly series: readonly ConnectionSeries[];
}

export interface ConnectionSeries {
  readonly labelValue?: string;
  readonly values: (table: ConnectionTable) => ArrayLike<number>;
  /** Divides each value: exact where multiplying by a fraction is not (57 * 0.01 is 0.5700000000000001). */
  readonly divisor?: number;
  /** Leaves out zeros. */
  readonly nonZero?: boolean;
  /** Leaves out connections that have no such figure. */
  readonly where?: (connection: VisibleConnection) => boolean;
}

/** Texts per connection, with the value 1. `connection` is the first label. */
export interface IdentityFamily extends FamilyHead {
  readonly kind: 'identity';
  readonly labels: readonly string[];
  readonly texts: (connection: VisibleConnection) => readonly string[];
}

export type Family = SampleFamily | ConnectionFamily | IdentityFamily;

const flag = (value: boolean): number => (value ? 1 : 0);

function samples(
  name: string,
  type: MetricType,
  labels: readonly string[],
  help: string,
  collect: SampleFamily['collect'],
): SampleFamily {
  return { kind: 'samples', name, type, labels, help, collect };
}

/** One sample per configured interface, or none where `value` is undefined. */
function perInterface(
  name: string,
  type: MetricType,
  help: string,
  value: (status: VisibleInterface['status']) => number | undefined,
): SampleFamily {
  return samples(name, type, ['interface'], help, (view, emit) => {
    for (const each of view.interfaces ?? []) {
      const number = value(each.status);
      if (number !== undefined) emit(number, each.name);
    }
  });
}

function perConnection(
  name: string,
  type: MetricType,
  help: string,
  series: ConnectionSeries,
): ConnectionFamily {
  return { kind: 'connections', name, type, help, series: [series] };
}

/** Tunnels that the server has ports for, in the contract's order. */
function portTunnels(view: View): readonly Tunnel[] {
  const { ports } = view.snapshot;
  return ports ? TUNNELS.filter((tunnel) => ports.byCondition.has(tunnel)) : [];
}

/** Counts connections by tunnel and role, with zeros for every tunnel that the server has ports for. */
function byTunnelAndRole(view: View, emit: Emit, counts: (row: number) => boolean): void {
  if (!view.table) return;
  const cells = new Map<string, number>();
  const key = (tunnel: Tunnel, role: Role): string => `${tunnel} ${role}`;
  for (const tunnel of portTunnels(view)) {
    cells.set(key(tunnel, 'client'), 0);
    cells.set(key(tunnel, 'site'), 0);
  }
  view.table.connections.forEach(({ tunnel, role }, row) => {
    const cell = key(tunnel, role);
    cells.set(cell, (cells.get(cell) ?? 0) + flag(counts(row)));
  });
  for (const tunnel of TUNNELS) {
    for (const role of ROLES) {
      const count = cells.get(key(tunnel, role));
      if (count !== undefined) emit(count, tunnel, role);
    }
  }
}

const SERVER: readonly Family[] = [
  samples(
    'rras_up',
    'gauge',
    [],
    'Whether the newest enumeration of every enabled source succeeded within the maximum age.',
    (view, emit) => emit(flag(view.snapshot.up)),
  ),
  samples(
    'rras_source_up',
    'gauge',
    ['source'],
    'Whether the newest enumeration of the source succeeded. Absent where the server has no such part.',
    (view, emit) => {
      for (const [source, status] of Object.entries(view.snapshot.sources)) {
        if (status.up !== undefined) emit(flag(status.up), source);
      }
    },
  ),
  samples(
    'rras_source_duration_seconds',
    'gauge',
    ['source'],
    'How long the newest enumeration of the source took.',
    (view, emit) => {
      for (const [source, status] of Object.entries(view.snapshot.sources)) {
        if (status.durationSeconds !== undefined) emit(status.durationSeconds, source);
      }
    },
  ),
  samples(
    'rras_snapshot_timestamp_seconds',
    'gauge',
    [],
    'Unix time of the last enumeration that read anything; 0 before the first.',
    (view, emit) => emit(view.snapshot.timestampSeconds),
  ),
  samples(
    'rras_service_running',
    'gauge',
    [],
    'Whether the RemoteAccess service runs (MprAdminIsServiceInitialized, MprAdminServerGetInfo).',
    ({ snapshot: { service } }, emit) => {
      if (service) emit(flag(service.running));
    },
  ),
  samples(
    'rras_server_lan_only',
    'gauge',
    [],
    'Whether the router has no remote access part (MPR_SERVER_0 fLanOnlyMode).',
    ({ snapshot: { service } }, emit) => {
      if (service) emit(flag(service.lanOnly));
    },
  ),
  samples(
    'rras_server_start_time_seconds',
    'gauge',
    [],
    'Unix time at which the router started (MPR_SERVER_0 dwUpTime).',
    ({ snapshot: { service } }, emit) => {
      if (service?.startTimeSeconds !== undefined) emit(service.startTimeSeconds);
    },
  ),
  samples(
    'rras_ports',
    'gauge',
    ['tunnel', 'condition'],
    'Ports by tunnel and condition (RAS_PORT_0 wszDeviceName, dwPortCondition).',
    (view, emit) => {
      for (const tunnel of portTunnels(view)) {
        const conditions = view.snapshot.ports!.byCondition.get(tunnel)!;
        PORT_CONDITIONS.forEach((condition, i) => emit(conditions[i]!, tunnel, condition));
      }
    },
  ),
  samples(
    'rras_ports_in_use',
    'gauge',
    ['tunnel'],
    'Ports that a connection holds (RAS_PORT_0 hConnection).',
    (view, emit) => {
      for (const tunnel of portTunnels(view)) emit(view.snapshot.ports!.inUse.get(tunnel) ?? 0, tunnel);
    },
  ),
  samples(
    'rras_connections',
    'gauge',
    ['tunnel', 'role'],
    'Connections, the dormant ones included (MprAdminConnectionEnum, MprAdminConnectionEnumEx).',
    (view, emit) => byTunnelAndRole(view, emit, () => true),
  ),
  samples(
    'rras_dormant_connections',
    'gauge',
    ['tunnel', 'role'],
    'IKEv2 connections whose peer cannot be reached at the moment (dwConnectionFlags RAS_FLAGS_DORMANT).',
    (view, emit) => byTunnelAndRole(view, emit, (row) => view.table!.dormant[row] !== 0),
  ),
  samples(
    'rras_auth_connections',
    'gauge',
    ['auth'],
    'Connections by authentication method (dwAuthenticationProtocol, dwAuthenticationData, dwEapTypeId).',
    (view, emit) => {
      const counts = new Map<string, number>();
      for (const { identity } of view.table?.connections ?? []) {
        counts.set(identity.auth, (counts.get(identity.auth) ?? 0) + 1);
      }
      for (const auth of AUTHS) if (counts.has(auth)) emit(counts.get(auth)!, auth);
    },
  ),
  samples(
    'rras_quarantine_connections',
    'gauge',
    ['state'],
    'Connections that are quarantined, on probation or not capable of it (rasQuarState).',
    (view, emit) => {
      const counts = QUARANTINE_STATES.map(() => 0);
      for (const state of view.table?.quarantine ?? []) counts[state]! += 1;
      QUARANTINE_STATES.forEach((state, i) => {
        if (state !== 'normal' && counts[i]! > 0) emit(counts[i]!, state);
      });
    },
  ),
  samples(
    'rras_users',
    'gauge',
    [],
    'Distinct users that are connected (wszUserName with wszLogonDomain).',
    (view, emit) => {
      if (!view.table) return;
      const users = new Set<string>();
      for (const { identity } of view.table.connections) {
        if (identity.user !== '') users.add(`${identity.domain.length} ${identity.domain}${identity.user}`);
      }
      emit(users.size);
    },
  ),
];

const INTERFACES: readonly Family[] = [
  samples(
    'rras_interface_info',
    'gauge',
    ['interface', 'interface_type'],
    'Demand-dial and dedicated interfaces that are configured (MPR_INTERFACE_0 wszInterfaceName, dwIfType).',
    (view, emit) => {
      for (const { name, status } of view.interfaces ?? []) emit(1, name, status.type);
    },
  ),
  perInterface(
    'rras_interface_up',
    'gauge',
    'Whether the interface is connected (MPR_INTERFACE_0 dwConnectionState); 0 is normal for an idle on-demand link.',
    (status) => flag(status.state === 'connected'),
  ),
  perInterface(
    'rras_interface_persistent',
    'gauge',
    'Whether the interface is expected to stay up (MPR_INTERFACE_2 dwIdleDisconnectSeconds). Absent where nothing tells.',
    (status) => (status.persistent === undefined ? undefined : flag(status.persistent)),
  ),
  perInterface(
    'rras_interface_enabled',
    'gauge',
    'Whether the interface is enabled (MPR_INTERFACE_0 fEnabled).',
    (status) => flag(status.enabled),
  ),
  samples(
    'rras_interface_state',
    'gauge',
    ['interface', 'state'],
    'The state of the interface: 1 for the one that it is in (MPR_INTERFACE_0 dwConnectionState).',
    (view, emit) => {
      for (const { name, status } of view.interfaces ?? []) {
        for (const state of INTERFACE_STATES) emit(flag(status.state === state), name, state);
      }
    },
  ),
  samples(
    'rras_interface_unreachable_reason',
    'gauge',
    ['interface', 'reason'],
    'Why the interface is unreachable: 1 for each reason that holds (MPR_INTERFACE_0 fUnReachabilityReasons).',
    (view, emit) => {
      for (const { name, status } of view.interfaces ?? []) {
        UNREACHABLE_REASONS.forEach((reason, bit) =>
          emit((status.unreachableReasons >>> bit) & 1, name, reason),
        );
      }
    },
  ),
  perInterface(
    'rras_interface_last_error',
    'gauge',
    'Win32 or RAS code of the last failed attempt, 0 for none (MPR_INTERFACE_0 dwLastError).',
    (status) => status.lastError,
  ),
  perInterface(
    'rras_interface_state_change_timestamp_seconds',
    'gauge',
    'Unix time at which a change of state was last seen. Absent until there was one.',
    (status) => status.stateChangeSeconds,
  ),
  perInterface(
    'rras_interface_state_changes_total',
    'counter',
    'Changes of the state of the interface that were seen (MPR_INTERFACE_0 dwConnectionState).',
    (status) => status.stateChanges,
  ),
  perInterface(
    'rras_interface_dial_failures_total',
    'counter',
    'Dials that were seen to end with an error (MPR_INTERFACE_0 dwConnectionState, dwLastError).',
    (status) => status.dialFailures,
  ),
];

const CONNECTIONS: readonly Family[] = [
  {
    kind: 'identity',
    name: 'rras_connection_info',
    type: 'gauge',
    help: 'Who is connected and how; the label connection joins it with the other families (RAS_CONNECTION_EX, RAS_CONNECTION_4).',
    labels: [
      'user',
      'domain',
      'computer',
      'interface',
      'interface_type',
      'tunnel',
      'role',
      'auth',
      'encryption',
      'compression',
      'tunnel_address',
      'tunnel_address_v6',
    ],
    texts: ({ connection: { identity, tunnel, role }, ...visible }) => [
      visible.user,
      visible.domain,
      visible.computer,
      visible.interfaceName,
      identity.interfaceType,
      tunnel,
      role,
      identity.auth,
      identity.encryption,
      identity.compression,
      visible.tunnelAddress,
      visible.tunnelAddressV6,
    ],
  },
  {
    kind: 'identity',
    name: 'rras_connection_endpoint_info',
    type: 'gauge',
    help: 'Outer addresses of the tunnel; they change when a client roams (wszRemoteEndpointAddress, wszLocalEndpointAddress).',
    labels: ['remote_address', 'local_address'],
    texts: (visible) => [visible.remoteAddress, visible.localAddress],
  },
  perConnection(
    'rras_connection_start_time_seconds',
    'gauge',
    'Unix time at which the connection began (RAS_CONNECTION_4 connectionStartTime, else dwConnectDuration).',
    { values: (table) => table.startTimeSeconds },
  ),
  perConnection(
    'rras_connection_received_bytes_total',
    'counter',
    'Bytes that the server received over the connection (dwBytesRcved, ullBytesRcved).',
    { values: (table) => table.counters.receivedBytes },
  ),
  perConnection(
    'rras_connection_transmitted_bytes_total',
    'counter',
    'Bytes that the server transmitted over the connection (dwBytesXmited, ullBytesXmited).',
    { values: (table) => table.counters.transmittedBytes },
  ),
  perConnection(
    'rras_connection_received_frames_total',
    'counter',
    'Frames that the server received over the connection (dwFramesRcved).',
    { values: (table) => table.counters.receivedFrames },
  ),
  perConnection(
    'rras_connection_transmitted_frames_total',
    'counter',
    'Frames that the server transmitted over the connection (dwFramesXmited).',
    { values: (table) => table.counters.transmittedFrames },
  ),
  {
    kind: 'connections',
    name: 'rras_connection_errors_total',
    type: 'counter',
    help: 'Errors on the connection by kind, those that are not 0 (dwCrcErr, dwTimeoutErr, dwAlignmentErr, dwHardwareOverrunErr, dwFramingErr, dwBufferOverrunErr).',
    label: 'kind',
    series: ERROR_KINDS.map((kind) => ({
      labelValue: kind,
      values: (table) => table.counters[kind],
      nonZero: true,
    })),
  },
  perConnection(
    'rras_connection_switchovers_total',
    'counter',
    'MOBIKE moves of an IKEv2 connection to other addresses (dwNumSwitchOvers).',
    {
      values: (table) => table.counters.switchovers,
      where: ({ connection }) => connection.tunnel === 'ikev2',
    },
  ),
  {
    kind: 'connections',
    name: 'rras_connection_compression_ratio',
    type: 'gauge',
    help: 'Compressed size over uncompressed size, where compression was negotiated (dwCompressionRatioIn, dwCompressionRatioOut).',
    label: 'direction',
    series: (
      [
        ['in', 'compressionIn'],
        ['out', 'compressionOut'],
      ] as const
    ).map(([labelValue, column]) => ({
      labelValue,
      values: (table) => table[column],
      divisor: 100,
      where: ({ connection }) => connection.identity.compression !== 'none',
    })),
  },
  perConnection(
    'rras_connection_dormant',
    'gauge',
    'Whether the peer of an IKEv2 connection cannot be reached at the moment (dwConnectionFlags RAS_FLAGS_DORMANT).',
    { values: (table) => table.dormant },
  ),
];

export const CATALOGUE: readonly Family[] = [...SERVER, ...INTERFACES, ...CONNECTIONS];
