/** The closed vocabularies of labels, in the order in which the contract lists them. */

export const SOURCES = ['server', 'connections', 'ports', 'interfaces'] as const;
export type Source = (typeof SOURCES)[number];

export const TUNNELS = ['ikev2', 'sstp', 'l2tp', 'pptp', 'pppoe', 'other', 'unknown'] as const;
export type Tunnel = (typeof TUNNELS)[number];

/** client = remote access, site = demand-dial (site to site). */
export const ROLES = ['client', 'site', 'other'] as const;
export type Role = (typeof ROLES)[number];

export const AUTHS = [
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
] as const;
export type Auth = (typeof AUTHS)[number];

export const ENCRYPTIONS = [
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
] as const;
export type Encryption = (typeof ENCRYPTIONS)[number];

export const COMPRESSIONS = ['none', 'mppc', 'stac', 'other'] as const;
export type Compression = (typeof COMPRESSIONS)[number];

/** ROUTER_INTERFACE_TYPE by value. */
export const INTERFACE_TYPES = [
  'client',
  'home_router',
  'full_router',
  'dedicated',
  'internal',
  'loopback',
  'tunnel',
  'dialout',
] as const;
export type InterfaceType = (typeof INTERFACE_TYPES)[number] | 'unknown';

/** ROUTER_CONNECTION_STATE by value. */
export const INTERFACE_STATES = ['unreachable', 'disconnected', 'connecting', 'connected'] as const;
export type InterfaceState = (typeof INTERFACE_STATES)[number] | 'unknown';

/** Bits of fUnReachabilityReasons, lowest first. */
export const UNREACHABLE_REASONS = [
  'out_of_resources',
  'admin_disabled',
  'connection_failure',
  'service_paused',
  'dialout_hours_restriction',
  'no_media_sense',
  'no_device',
] as const;

/** RAS_PORT_CONDITION by value. */
export const PORT_CONDITIONS = [
  'non_operational',
  'disconnected',
  'calling_back',
  'listening',
  'authenticating',
  'authenticated',
  'initializing',
] as const;
export type PortCondition = (typeof PORT_CONDITIONS)[number];

/** RAS_QUARANTINE_STATE by value. */
export const QUARANTINE_STATES = ['normal', 'quarantine', 'probation', 'not_capable'] as const;

/** The error counters of a connection, in the order of the structure. */
export const ERROR_KINDS = [
  'crc',
  'timeout',
  'alignment',
  'hardware_overrun',
  'framing',
  'buffer_overrun',
] as const;
export type ErrorKind = (typeof ERROR_KINDS)[number];

/** Why an enumeration's answer was not as the API promises. */
export const ANOMALIES = [
  'no_progress',
  'cycle',
  'empty_page',
  'null_buffer',
  'bad_count',
  'bad_layout',
  'duplicate',
  'changed',
  'truncated',
] as const;
export type Anomaly = (typeof ANOMALIES)[number];
