/**
 * The catalogue: every family of a server's snapshot with its name, help, type, labels and the way from a view to
 * its samples. Every output and docs/metrics.md come out of this table.
 */
import { CONNECTION_COUNTERS, SESSION_DURATION_BOUNDS } from '../model/snapshot.ts';
import type { ConnectionCounter } from '../model/snapshot.ts';
import type { Tunnel } from '../model/words.ts';
import {
  AUTHS,
  ERROR_KINDS,
  INTERFACE_STATES,
  PORT_CONDITIONS,
  QUARANTINE_STATES,
  ROLES,
  SOURCES,
  TUNNELS,
  UNREACHABLE_REASONS,
} from '../model/words.ts';
import type { ShownTable, View, VisibleConnection, VisibleInterface, VisibleUser } from './labels.ts';

interface FamilyHead {
  /** Full Prometheus name, with unit and _total. */
  readonly name: string;
  readonly type: 'gauge' | 'counter' | 'histogram';
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

/** Takes one histogram: counts per bucket, not cumulated, the one without bound last. */
export type EmitHistogram = (
  counts: ArrayLike<number>,
  sum: number,
  ...labelValues: readonly string[]
) => void;

export interface HistogramFamily extends FamilyHead {
  readonly kind: 'histogram';
  readonly labels: readonly string[];
  /** Upper bounds, without the infinite one. */
  readonly bounds: readonly number[];
  readonly collect: (view: View, emit: EmitHistogram) => void;
}

/** Numbers per connection: the label `connection`, at most one more with a fixed value per series. */
export interface ConnectionFamily extends FamilyHead {
  readonly kind: 'connections';
  readonly label?: string;
  readonly series: readonly ConnectionSeries[];
}

export interface ConnectionSeries {
  readonly labelValue?: string;
  /** Aligned with the shown connections. */
  readonly values: (shown: ShownTable) => ArrayLike<number>;
  /** Index of the counter, of which the connections that are not shown have a row of their own. */
  readonly counter?: number;
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

export type Family = SampleFamily | HistogramFamily | ConnectionFamily | IdentityFamily;

const flag = (value: boolean): number => (value ? 1 : 0);

function samples(
  name: string,
  type: 'gauge' | 'counter',
  labels: readonly string[],
  help: string,
  collect: SampleFamily['collect'],
): SampleFamily {
  return { kind: 'samples', name, type, labels, help, collect };
}

/** One sample per configured interface, or none where `value` is undefined. */
function perInterface(
  name: string,
  type: 'gauge' | 'counter',
  help: string,
  value: (each: VisibleInterface) => number | undefined,
): SampleFamily {
  return samples(name, type, ['interface'], help, (view, emit) => {
    for (const each of view.interfaces ?? []) {
      const number = value(each);
      if (number !== undefined) emit(number, each.name);
    }
  });
}

function perConnection(
  name: string,
  type: 'gauge' | 'counter',
  help: string,
  series: ConnectionSeries,
): ConnectionFamily {
  return { kind: 'connections', name, type, help, series: [series] };
}

/** The column of a counter, with the row of what is not shown. */
function ofCounter(counter: ConnectionCounter): Pick<ConnectionSeries, 'values' | 'counter'> {
  const index = CONNECTION_COUNTERS.indexOf(counter);
  return { values: (shown) => shown.counters[index]!, counter: index };
}

/** Tunnels that the server has ports for, in the contract's order. */
function portTunnels(view: View): readonly Tunnel[] {
  return view.snapshot.ports ? view.snapshot.portTunnels : [];
}

const SITE_AND_CLIENT: ReadonlySet<string> = new Set(['client', 'site']);

/**
 * Emits a value per tunnel and role: of every pair that has one, and zeros for clients and sites of every tunnel that
 * the server has ports for, and for what `isThere` names.
 */
function perCell(
  view: View,
  emit: Emit,
  value: (cell: number) => number,
  isThere: (cell: number) => boolean = () => false,
): void {
  const known = new Set(view.snapshot.portTunnels);
  TUNNELS.forEach((tunnel, t) => {
    ROLES.forEach((role, r) => {
      const cell = t * ROLES.length + r;
      const number = value(cell);
      const expected = known.has(tunnel) && SITE_AND_CLIENT.has(role);
      if (number !== 0 || expected || isThere(cell)) emit(number, tunnel, role);
    });
  });
}

function perCellTotal(name: string, help: string, counter: ConnectionCounter): SampleFamily {
  const index = CONNECTION_COUNTERS.indexOf(counter);
  return samples(name, 'counter', ['tunnel', 'role'], help, (view, emit) =>
    perCell(view, emit, (cell) => view.snapshot.totals.sums[cell * CONNECTION_COUNTERS.length + index]!),
  );
}

function perUser(
  name: string,
  type: 'gauge' | 'counter',
  help: string,
  value: (user: VisibleUser) => number,
): SampleFamily {
  return samples(name, type, ['user', 'domain'], help, (view, emit) => {
    // Accounts go on, but nobody is known to be connected when nothing is known.
    if (type === 'gauge' && !view.aggregates) return;
    for (const each of view.users ?? []) emit(value(each), each.user, each.domain);
  });
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
      for (const source of SOURCES) {
        const up = view.snapshot.sources[source]?.up;
        if (up !== undefined) emit(flag(up), source);
      }
    },
  ),
  samples(
    'rras_source_duration_seconds',
    'gauge',
    ['source'],
    'How long the newest enumeration of the source took.',
    (view, emit) => {
      for (const source of SOURCES) {
        const seconds = view.snapshot.sources[source]?.durationSeconds;
        if (seconds !== undefined) emit(seconds, source);
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
    'rras_port_calls_total',
    'counter',
    ['tunnel'],
    'Calls that the ports served, those of sessions too short to be seen included (RAS_PORT_0 dwTotalNumberOfCalls).',
    (view, emit) => {
      for (const tunnel of portTunnels(view)) emit(view.snapshot.ports!.calls.get(tunnel) ?? 0, tunnel);
    },
  ),
  samples(
    'rras_connections',
    'gauge',
    ['tunnel', 'role'],
    'Connections, the dormant ones included (MprAdminConnectionEnum, MprAdminConnectionEnumEx).',
    (view, emit) => {
      const { aggregates } = view;
      if (aggregates) perCell(view, emit, (cell) => aggregates.connections[cell]!);
    },
  ),
  samples(
    'rras_dormant_connections',
    'gauge',
    ['tunnel', 'role'],
    'IKEv2 connections whose peer cannot be reached at the moment (dwConnectionFlags RAS_FLAGS_DORMANT).',
    (view, emit) => {
      const { aggregates } = view;
      if (!aggregates) return;
      const { dormant, connections } = aggregates;
      perCell(
        view,
        emit,
        (cell) => dormant[cell]!,
        (cell) => connections[cell]! > 0,
      );
    },
  ),
  samples(
    'rras_auth_connections',
    'gauge',
    ['auth'],
    'Connections by authentication method (dwAuthenticationProtocol, dwAuthenticationData, dwEapTypeId).',
    ({ aggregates }, emit) => {
      for (const auth of AUTHS) if (aggregates?.auth.has(auth)) emit(aggregates.auth.get(auth)!, auth);
    },
  ),
  samples(
    'rras_quarantine_connections',
    'gauge',
    ['state'],
    'Connections that are quarantined, on probation or not capable of it (rasQuarState).',
    ({ aggregates }, emit) => {
      QUARANTINE_STATES.forEach((state, i) => {
        const count = aggregates?.quarantine[i] ?? 0;
        if (state !== 'normal' && count > 0) emit(count, state);
      });
    },
  ),
  samples(
    'rras_users',
    'gauge',
    [],
    'Distinct users that are connected (wszUserName with wszLogonDomain).',
    ({ aggregates }, emit) => {
      if (aggregates) emit(aggregates.users);
    },
  ),
  samples(
    'rras_hidden_connections',
    'gauge',
    [],
    'Connections that are not shown one by one (--collector.connections.detail, --collector.connections.limit).',
    ({ shown }, emit) => {
      if (shown) emit(shown.hidden);
    },
  ),
];

const TOTALS: readonly Family[] = [
  perCellTotal(
    'rras_received_bytes_total',
    'Bytes that the server received over all sessions since the exporter started (dwBytesRcved, ullBytesRcved).',
    'receivedBytes',
  ),
  perCellTotal(
    'rras_transmitted_bytes_total',
    'Bytes that the server transmitted over all sessions since the exporter started (dwBytesXmited, ullBytesXmited).',
    'transmittedBytes',
  ),
  perCellTotal(
    'rras_received_frames_total',
    'Frames that the server received over all sessions since the exporter started (dwFramesRcved).',
    'receivedFrames',
  ),
  perCellTotal(
    'rras_transmitted_frames_total',
    'Frames that the server transmitted over all sessions since the exporter started (dwFramesXmited).',
    'transmittedFrames',
  ),
  samples(
    'rras_errors_total',
    'counter',
    ['tunnel', 'role', 'kind'],
    'Errors over all sessions since the exporter started (dwCrcErr, dwTimeoutErr, dwAlignmentErr, dwHardwareOverrunErr, dwFramingErr, dwBufferOverrunErr).',
    (view, emit) => {
      for (const kind of ERROR_KINDS) {
        const index = CONNECTION_COUNTERS.indexOf(kind);
        perCell(
          view,
          (value, tunnel, role) => emit(value, tunnel, role, kind),
          (cell) => view.snapshot.totals.sums[cell * CONNECTION_COUNTERS.length + index]!,
        );
      }
    },
  ),
  samples(
    'rras_switchovers_total',
    'counter',
    ['tunnel', 'role'],
    'MOBIKE moves of IKEv2 connections to other addresses since the exporter started (dwNumSwitchOvers).',
    (view, emit) => {
      const index = CONNECTION_COUNTERS.indexOf('switchovers');
      perCell(
        view,
        (value, tunnel, role) => {
          if (tunnel === 'ikev2') emit(value, tunnel, role);
        },
        (cell) => view.snapshot.totals.sums[cell * CONNECTION_COUNTERS.length + index]!,
      );
    },
  ),
  samples(
    'rras_sessions_started_total',
    'counter',
    ['tunnel', 'role'],
    'Sessions that began since the exporter started, as far as polls saw them (hConnection with guid and start).',
    (view, emit) => perCell(view, emit, (cell) => view.snapshot.totals.started[cell]!),
  ),
  samples(
    'rras_sessions_ended_total',
    'counter',
    ['tunnel', 'role'],
    'Sessions that ended since the exporter started, as far as polls saw them (hConnection with guid and start).',
    (view, emit) => perCell(view, emit, (cell) => view.snapshot.totals.ended[cell]!),
  ),
  {
    kind: 'histogram',
    name: 'rras_session_duration_seconds',
    type: 'histogram',
    help: 'How long the sessions lasted that ended since the exporter started (dwConnectDuration).',
    labels: ['tunnel', 'role'],
    bounds: SESSION_DURATION_BOUNDS,
    collect: ({ snapshot: { totals, portTunnels: known } }, emit) => {
      const buckets = SESSION_DURATION_BOUNDS.length + 1;
      TUNNELS.forEach((tunnel, t) => {
        ROLES.forEach((role, r) => {
          const cell = t * ROLES.length + r;
          if (totals.ended[cell] === 0 && !(known.includes(tunnel) && SITE_AND_CLIENT.has(role))) return;
          const counts = totals.durations.subarray(cell * buckets, (cell + 1) * buckets);
          emit(counts, totals.durationSums[cell]!, tunnel, role);
        });
      });
    },
  },
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
    ({ status }) => flag(status.state === 'connected'),
  ),
  perInterface(
    'rras_interface_persistent',
    'gauge',
    'Whether the interface is expected to stay up (MPR_INTERFACE_2 dwIdleDisconnectSeconds). Absent where nothing tells.',
    ({ status }) => (status.persistent === undefined ? undefined : flag(status.persistent)),
  ),
  perInterface(
    'rras_interface_enabled',
    'gauge',
    'Whether the interface is enabled (MPR_INTERFACE_0 fEnabled).',
    ({ status }) => flag(status.enabled),
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
    ({ status }) => status.lastError,
  ),
  perInterface(
    'rras_interface_state_change_timestamp_seconds',
    'gauge',
    'Unix time at which a change of state was last seen. Absent until there was one.',
    ({ status }) => status.stateChangeSeconds,
  ),
  perInterface(
    'rras_interface_state_changes_total',
    'counter',
    'Changes of the state of the interface that were seen (MPR_INTERFACE_0 dwConnectionState).',
    ({ status }) => status.stateChanges,
  ),
  perInterface(
    'rras_interface_dial_failures_total',
    'counter',
    'Dials that were seen to end with an error (MPR_INTERFACE_0 dwConnectionState, dwLastError).',
    ({ status }) => status.dialFailures,
  ),
];

const INTERFACE_TRAFFIC: readonly Family[] = [
  perInterface(
    'rras_interface_received_bytes_total',
    'counter',
    'Bytes received over the demand-dial link in all its sessions since the exporter started (dwBytesRcved, ullBytesRcved).',
    ({ receivedBytes }) => receivedBytes,
  ),
  perInterface(
    'rras_interface_transmitted_bytes_total',
    'counter',
    'Bytes transmitted over the demand-dial link in all its sessions since the exporter started (dwBytesXmited, ullBytesXmited).',
    ({ transmittedBytes }) => transmittedBytes,
  ),
];

const USERS: readonly Family[] = [
  perUser(
    'rras_user_received_bytes_total',
    'counter',
    'Bytes received from the user in all sessions since the exporter started (dwBytesRcved, ullBytesRcved).',
    ({ receivedBytes }) => receivedBytes,
  ),
  perUser(
    'rras_user_transmitted_bytes_total',
    'counter',
    'Bytes transmitted to the user in all sessions since the exporter started (dwBytesXmited, ullBytesXmited).',
    ({ transmittedBytes }) => transmittedBytes,
  ),
  perUser(
    'rras_user_sessions_started_total',
    'counter',
    'Sessions of the user that began since the exporter started (wszUserName, wszLogonDomain).',
    ({ sessionsStarted }) => sessionsStarted,
  ),
  perUser(
    'rras_user_connections',
    'gauge',
    'Connections of the user (wszUserName, wszLogonDomain).',
    ({ connections }) => connections,
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
    texts: (visible) => [
      visible.user,
      visible.domain,
      visible.computer,
      visible.interfaceName,
      visible.interfaceType,
      visible.tunnel,
      visible.role,
      visible.auth,
      visible.encryption,
      visible.compression,
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
    { values: (shown) => shown.startTimeSeconds },
  ),
  perConnection(
    'rras_connection_received_bytes_total',
    'counter',
    'Bytes that the server received over the connection (dwBytesRcved, ullBytesRcved).',
    ofCounter('receivedBytes'),
  ),
  perConnection(
    'rras_connection_transmitted_bytes_total',
    'counter',
    'Bytes that the server transmitted over the connection (dwBytesXmited, ullBytesXmited).',
    ofCounter('transmittedBytes'),
  ),
  perConnection(
    'rras_connection_received_frames_total',
    'counter',
    'Frames that the server received over the connection (dwFramesRcved).',
    ofCounter('receivedFrames'),
  ),
  perConnection(
    'rras_connection_transmitted_frames_total',
    'counter',
    'Frames that the server transmitted over the connection (dwFramesXmited).',
    ofCounter('transmittedFrames'),
  ),
  {
    kind: 'connections',
    name: 'rras_connection_errors_total',
    type: 'counter',
    help: 'Errors on the connection by kind, those that are not 0 (dwCrcErr, dwTimeoutErr, dwAlignmentErr, dwHardwareOverrunErr, dwFramingErr, dwBufferOverrunErr).',
    label: 'kind',
    series: ERROR_KINDS.map((kind) => ({
      labelValue: kind,
      ...ofCounter(kind),
      nonZero: true,
    })),
  },
  perConnection(
    'rras_connection_switchovers_total',
    'counter',
    'MOBIKE moves of an IKEv2 connection to other addresses (dwNumSwitchOvers).',
    {
      ...ofCounter('switchovers'),
      where: ({ tunnel }) => tunnel === 'ikev2',
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
      values: (shown: ShownTable) => shown[column],
      divisor: 100,
      where: ({ compression }: VisibleConnection) => compression !== 'none',
    })),
  },
  perConnection(
    'rras_connection_dormant',
    'gauge',
    'Whether the peer of an IKEv2 connection cannot be reached at the moment (dwConnectionFlags RAS_FLAGS_DORMANT).',
    { values: (shown) => shown.dormant },
  ),
];

export const CATALOGUE: readonly Family[] = [
  ...SERVER,
  ...TOTALS,
  ...INTERFACES,
  ...INTERFACE_TRAFFIC,
  ...USERS,
  ...CONNECTIONS,
];
