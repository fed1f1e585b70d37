/** Snapshots and views made by hand, for what no simulated server would do. */
import type { ConnectionIdentity } from '../../src/model/frames.ts';
import type {
  Connection,
  ConnectionCounter,
  ConnectionTable,
  InterfaceStatus,
  PortCounts,
  Snapshot,
} from '../../src/model/snapshot.ts';
import type { Role, Tunnel } from '../../src/model/words.ts';
import { TotalsLedger } from '../../src/collector/accounts.ts';
import { ViewMaker } from '../../src/metrics/labels.ts';
import { PORT_CONDITIONS, TUNNELS } from '../../src/model/words.ts';

/** What a test says of a connection; all else is ordinary. */
export interface ConnectionSketch {
  readonly id?: string;
  readonly tunnel?: Tunnel;
  readonly role?: Role;
  readonly identity?: Partial<ConnectionIdentity>;
  readonly counters?: Partial<Record<ConnectionCounter, number>>;
  readonly startTimeSeconds?: number;
  readonly compressionIn?: number;
  readonly compressionOut?: number;
  readonly quarantine?: number;
  readonly dormant?: boolean;
}

const IDENTITY: ConnectionIdentity = {
  handle: '0000000000000001',
  guid: '',
  startTicks: '',
  user: 'anna',
  domain: 'CORP',
  computer: 'NB-1',
  interfaceName: 'anna',
  interfaceType: 'client',
  tunnel: 'ikev2',
  auth: 'eap_mschapv2',
  encryption: 'aes256',
  compression: 'none',
  tunnelAddress: '10.0.0.2',
  tunnelAddressV6: '',
  remoteAddress: '203.0.113.9',
  localAddress: '198.51.100.1',
};

export const idOf = (row: number): string => row.toString(16).padStart(16, '0');

const places = new Map<string, number>();

/** As the collector does: the same id has the same place, for ever. */
function placeOf(id: string): number {
  const place = places.get(id) ?? places.size;
  places.set(id, place);
  return place;
}

export function tableOf(sketches: readonly ConnectionSketch[]): ConnectionTable {
  const column = (read: (sketch: ConnectionSketch) => number): number[] => sketches.map(read);
  const counter = (name: ConnectionCounter): number[] => column((sketch) => sketch.counters?.[name] ?? 0);
  return {
    connections: sketches.map((sketch, row): Connection => {
      const tunnel = sketch.tunnel ?? 'ikev2';
      const id = sketch.id ?? idOf(row);
      return {
        id,
        place: placeOf(id),
        identity: { ...IDENTITY, handle: idOf(row), tunnel, ...sketch.identity },
        tunnel,
        role: sketch.role ?? 'client',
        startTimeSeconds: sketch.startTimeSeconds ?? 1_795_000_000,
      };
    }),
    startTimeSeconds: column((sketch) => sketch.startTimeSeconds ?? 1_795_000_000),
    counters: {
      receivedBytes: counter('receivedBytes'),
      transmittedBytes: counter('transmittedBytes'),
      receivedFrames: counter('receivedFrames'),
      transmittedFrames: counter('transmittedFrames'),
      switchovers: counter('switchovers'),
      crc: counter('crc'),
      timeout: counter('timeout'),
      alignment: counter('alignment'),
      hardware_overrun: counter('hardware_overrun'),
      framing: counter('framing'),
      buffer_overrun: counter('buffer_overrun'),
    },
    compressionIn: column((sketch) => sketch.compressionIn ?? 100),
    compressionOut: column((sketch) => sketch.compressionOut ?? 100),
    quarantine: Uint32Array.from(column((sketch) => sketch.quarantine ?? 0)),
    dormant: column((sketch) => (sketch.dormant ? 1 : 0)),
  };
}

export function interfaceOf(sketch: Partial<InterfaceStatus> = {}): InterfaceStatus {
  return {
    handle: idOf(1),
    name: 'Site-Berlin',
    type: 'full_router',
    enabled: true,
    state: 'connected',
    unreachableReasons: 0,
    lastError: 0,
    idleDisconnectSeconds: null,
    persistent: undefined,
    stateChangeSeconds: undefined,
    stateChanges: 0,
    dialFailures: 0,
    ...sketch,
  };
}

/** Ports by tunnel, all of them listening; `held` of each are in use. */
export function portsOf(tunnels: Partial<Record<Tunnel, number>>, held = 0): PortCounts {
  const listening = PORT_CONDITIONS.indexOf('listening');
  const rows = Object.entries(tunnels) as [Tunnel, number][];
  return {
    byCondition: new Map(
      rows.map(([tunnel, count]) => [tunnel, PORT_CONDITIONS.map((_, i) => (i === listening ? count : 0))]),
    ),
    inUse: new Map(rows.map(([tunnel]) => [tunnel, held])),
    calls: new Map(rows.map(([tunnel]) => [tunnel, 0])),
  };
}

let generation = 0;

/** A healthy server with nothing on it but what is given. */
export function snapshotOf(parts: Partial<Snapshot> = {}): Snapshot {
  generation += 1;
  const status = { up: true, durationSeconds: 0.25, problem: undefined };
  return {
    generation,
    up: true,
    timestampSeconds: 1_795_219_200,
    sources: { server: status, connections: status, ports: status, interfaces: status },
    service: { running: true, lanOnly: false, startTimeSeconds: 1_794_000_000 },
    ports: undefined,
    interfaces: undefined,
    connections: undefined,
    portTunnels: TUNNELS.filter((tunnel) => parts.ports?.byCondition.has(tunnel)),
    totals: new TotalsLedger().snapshot(),
    links: new Map(),
    users: undefined,
    ...parts,
  };
}

/** A maker of views that hides nothing. */
export const plainViews = (): ViewMaker =>
  new ViewMaker({ privacy: { users: 'plain', addresses: 'plain' }, detail: 'full', limit: 1_000_000 });
