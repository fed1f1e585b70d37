/**
 * Section 3 of the contract, as it stands there: what the catalogue must say of each family that it has. Whoever adds
 * a family finds it here already; whoever wants another name or label changes the contract first.
 */
export interface PromisedFamily {
  readonly type: 'gauge' | 'counter' | 'histogram';
  readonly labels: readonly string[];
}

const promises = new Map<string, PromisedFamily>();

function row(type: PromisedFamily['type'], names: string, labels = ''): void {
  for (const name of names.split(' ')) {
    if (promises.has(name)) throw new Error(`the contract has ${name} once only`);
    promises.set(name, { type, labels: labels === '' ? [] : labels.split(' ') });
  }
}

// Server and totals.
row('gauge', 'rras_up');
row('gauge', 'rras_source_up rras_source_duration_seconds', 'source');
row('gauge', 'rras_snapshot_timestamp_seconds');
row('gauge', 'rras_service_running rras_server_lan_only');
row('gauge', 'rras_server_start_time_seconds');
row('gauge', 'rras_ports', 'tunnel condition');
row('gauge', 'rras_ports_in_use', 'tunnel');
row('counter', 'rras_port_calls_total', 'tunnel');
row('gauge', 'rras_connections rras_dormant_connections', 'tunnel role');
row('gauge', 'rras_auth_connections', 'auth');
row('gauge', 'rras_quarantine_connections', 'state');
row('gauge', 'rras_users');
row(
  'counter',
  'rras_received_bytes_total rras_transmitted_bytes_total rras_received_frames_total rras_transmitted_frames_total',
  'tunnel role',
);
row('counter', 'rras_errors_total', 'tunnel role kind');
row('counter', 'rras_switchovers_total', 'tunnel role');
row('counter', 'rras_sessions_started_total rras_sessions_ended_total', 'tunnel role');
row('histogram', 'rras_session_duration_seconds', 'tunnel role');

// Interfaces.
row('gauge', 'rras_interface_info', 'interface interface_type');
row('gauge', 'rras_interface_up rras_interface_persistent rras_interface_enabled', 'interface');
row('gauge', 'rras_interface_state', 'interface state');
row('gauge', 'rras_interface_unreachable_reason', 'interface reason');
row('gauge', 'rras_interface_last_error', 'interface');
row('gauge', 'rras_interface_state_change_timestamp_seconds', 'interface');
row('counter', 'rras_interface_state_changes_total rras_interface_dial_failures_total', 'interface');
row('counter', 'rras_interface_received_bytes_total rras_interface_transmitted_bytes_total', 'interface');

// Connections.
row(
  'gauge',
  'rras_connection_info',
  'connection user domain computer interface interface_type tunnel role auth encryption compression ' +
    'tunnel_address tunnel_address_v6',
);
row('gauge', 'rras_connection_endpoint_info', 'connection remote_address local_address');
row('gauge', 'rras_connection_start_time_seconds', 'connection');
row(
  'counter',
  'rras_connection_received_bytes_total rras_connection_transmitted_bytes_total ' +
    'rras_connection_received_frames_total rras_connection_transmitted_frames_total',
  'connection',
);
row('counter', 'rras_connection_errors_total', 'connection kind');
row('counter', 'rras_connection_switchovers_total', 'connection');
row('gauge', 'rras_connection_compression_ratio', 'connection direction');
row('gauge', 'rras_connection_dormant', 'connection');
row('gauge', 'rras_hidden_connections');

// Users.
row(
  'counter',
  'rras_user_received_bytes_total rras_user_transmitted_bytes_total rras_user_sessions_started_total',
  'user domain',
);
row('gauge', 'rras_user_connections', 'user domain');

// The exporter itself.
row('gauge', 'rras_exporter_build_info', 'version nodeversion platform');
row('gauge', 'rras_exporter_simulated');
row('counter', 'rras_exporter_native_calls_total', 'function');
row('counter', 'rras_exporter_native_failures_total', 'function code');
row('histogram', 'rras_exporter_native_call_duration_seconds', 'function');
row('counter', 'rras_exporter_enumeration_pages_total', 'source');
row('counter', 'rras_exporter_enumeration_anomalies_total', 'source reason');
row('counter', 'rras_exporter_wraps_total rras_exporter_ambiguous_deltas_total');
row('counter', 'rras_exporter_host_restarts_total', 'reason');
row(
  'gauge',
  'rras_exporter_config_last_reload_successful rras_exporter_config_last_reload_success_timestamp_seconds',
);

// Admin.
row('counter', 'rras_admin_requests_total', 'route decision');
row('counter', 'rras_admin_actions_total rras_admin_action_failures_total', 'action');
row('histogram', 'rras_admin_action_duration_seconds', 'action');
row('gauge', 'rras_admin_paused');
row('gauge', 'rras_admin_breaker_open', 'interface');
row('counter', 'rras_admin_audit_failures_total');
row('counter', 'rras_remediation_decisions_total', 'rule decision');

export const PROMISED: ReadonlyMap<string, PromisedFamily> = promises;

/** Values that a label may have, where the contract lists them; by family and label where a label has two lists. */
export const VOCABULARY: Readonly<Record<string, readonly string[]>> = {
  source: ['server', 'connections', 'ports', 'interfaces'],
  tunnel: ['ikev2', 'sstp', 'l2tp', 'pptp', 'pppoe', 'other', 'unknown'],
  role: ['client', 'site', 'other'],
  condition: [
    'non_operational',
    'disconnected',
    'calling_back',
    'listening',
    'authenticating',
    'authenticated',
    'initializing',
  ],
  auth: [
    'none',
    'pap',
    'spap',
    'chap',
    'mschap',
    'mschapv2',
    'machine_certificate',
    'eap_md5',
    'eap_tls',
    'eap_ttls',
    'eap_mschapv2',
    'peap',
    'peap_eap_tls',
    'peap_mschapv2',
    'eap_other',
    'unknown',
  ],
  encryption: [
    'none',
    'des',
    '3des',
    'aes128',
    'aes192',
    'aes256',
    'aes128_gcm',
    'aes192_gcm',
    'aes256_gcm',
    'mppe40',
    'mppe56',
    'mppe128',
    'unknown',
  ],
  compression: ['none', 'mppc', 'stac', 'other'],
  interface_type: [
    'client',
    'home_router',
    'full_router',
    'dedicated',
    'internal',
    'loopback',
    'tunnel',
    'dialout',
  ],
  kind: ['crc', 'timeout', 'alignment', 'hardware_overrun', 'framing', 'buffer_overrun'],
  direction: ['in', 'out'],
  'rras_quarantine_connections state': ['quarantine', 'probation', 'not_capable'],
  'rras_interface_state state': ['unreachable', 'disconnected', 'connecting', 'connected'],
  'rras_interface_unreachable_reason reason': [
    'out_of_resources',
    'admin_disabled',
    'connection_failure',
    'service_paused',
    'dialout_hours_restriction',
    'no_media_sense',
    'no_device',
  ],
  'rras_exporter_host_restarts_total reason': ['timeout', 'crash', 'protocol'],
  'rras_exporter_enumeration_anomalies_total reason': [
    'no_progress',
    'cycle',
    'empty_page',
    'null_buffer',
    'bad_count',
    'bad_layout',
    'duplicate',
    'changed',
    'truncated',
  ],
};
