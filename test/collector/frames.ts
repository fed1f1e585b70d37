/** Frames and outcomes as a reader gives them, made from the few facts that a test cares for. */
import type {
  ConnectionColumns,
  ConnectionIdentity,
  ConnectionsFrame,
  Failure,
  Frame,
  InterfaceRecord,
  InterfacesFrame,
  PortsFrame,
  ReadOutcome,
  ReadReport,
  ServerFrame,
} from '../../src/model/frames.ts';
import { NO_SLOT } from '../../src/model/frames.ts';
import type { Tunnel } from '../../src/model/words.ts';
import { TUNNELS } from '../../src/model/words.ts';

export const IDENTITY: ConnectionIdentity = {
  handle: '0000000000010000',
  guid: '',
  startTicks: '',
  user: 'ada',
  domain: 'CORP',
  computer: 'LAPTOP-1',
  interfaceName: 'ada',
  interfaceType: 'client',
  tunnel: 'ikev2',
  auth: 'eap_tls',
  encryption: 'aes256',
  compression: 'none',
  tunnelAddress: '10.128.0.2',
  tunnelAddressV6: '',
  remoteAddress: '203.0.113.5',
  localAddress: '192.0.2.1',
};

export interface Row {
  readonly slot: number;
  readonly duration: number;
  /** Sent with the frame if given. */
  readonly identity?: Partial<ConnectionIdentity>;
  readonly flags?: number;
  readonly receivedBytes?: number;
}

export function connectionsFrame(rows: readonly Row[], api: 'level4' | 'ex' = 'ex'): ConnectionsFrame {
  const u32 = (value: (row: Row) => number): Uint32Array => Uint32Array.from(rows, value);
  const none = (): Uint32Array => new Uint32Array(rows.length);
  const columns: ConnectionColumns = {
    slot: u32(({ slot }) => slot),
    duration: u32(({ duration }) => duration),
    flags: u32(({ flags }) => flags ?? 0),
    quarantine: none(),
    receivedBytes: Float64Array.from(rows, ({ receivedBytes }) => receivedBytes ?? 0),
    transmittedBytes: new Float64Array(rows.length),
    receivedFrames: none(),
    transmittedFrames: none(),
    crc: none(),
    timeout: none(),
    alignment: none(),
    hardware_overrun: none(),
    framing: none(),
    buffer_overrun: none(),
    compressionIn: none(),
    compressionOut: none(),
    switchovers: none(),
  };
  const identities = rows.flatMap(({ slot, identity }) =>
    identity ? [[slot, { ...IDENTITY, ...identity }] as const] : [],
  );
  return { source: 'connections', api, count: rows.length, columns, identities };
}

/** Ports in condition `authenticated` where they name a slot, else `listening`. */
export function portsFrame(
  ports: readonly { readonly tunnel: Tunnel; readonly slot?: number; readonly condition?: number }[],
): PortsFrame {
  return {
    source: 'ports',
    count: ports.length,
    port: Uint32Array.from(ports, (_, i) => 0x300 + i),
    tunnel: Uint8Array.from(ports, ({ tunnel }) => TUNNELS.indexOf(tunnel)),
    condition: Uint8Array.from(ports, ({ slot, condition }) => condition ?? (slot === undefined ? 3 : 5)),
    calls: new Uint32Array(ports.length),
    held: Uint8Array.from(ports, ({ slot }) => (slot === undefined ? 0 : 1)),
    slot: Uint32Array.from(ports, ({ slot }) => slot ?? NO_SLOT),
  };
}

export const serverFrame = (values: Partial<ServerFrame> = {}): ServerFrame => ({
  source: 'server',
  running: true,
  lanOnly: false,
  uptimeSeconds: 3600,
  totalPorts: 640,
  portsInUse: 3,
  ...values,
});

export const interfaceRecord = (values: Partial<InterfaceRecord> = {}): InterfaceRecord => ({
  handle: '0000000000000005',
  name: 'Site-Berlin',
  type: 'full_router',
  enabled: true,
  state: 'connected',
  unreachableReasons: 0,
  lastError: 0,
  idleDisconnectSeconds: null,
  ...values,
});
export const interfacesFrame = (...records: readonly Partial<InterfaceRecord>[]): InterfacesFrame => ({
  source: 'interfaces',
  interfaces: records.map(interfaceRecord),
});

export const REPORT: ReadReport = { calls: [], pages: 1, anomalies: {}, seconds: 0.25 };
export const ok = <F extends Frame>(frame: F): ReadOutcome<F> => ({ status: 'ok', frame, report: REPORT });
export const failed = (kind: Failure['kind'], message = `it is ${kind}`): ReadOutcome<never> => ({
  status: 'failed',
  failure: { kind, message },
  report: REPORT,
});
