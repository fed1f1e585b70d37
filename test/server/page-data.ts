/** Answers of the API made by hand, for the landing page: a healthy server, but for what a test says. */
import type { ApiConnection, ApiInterface, ApiStatus } from '../../src/server/api.ts';

/** The start of the fake clock. */
export const NOW = 1_795_219_200;

export function statusOf(parts: Partial<ApiStatus> = {}): ApiStatus {
  const source = { up: true, problem: null };
  return {
    version: '1.2.3',
    simulated: false,
    replayed: false,
    up: true,
    snapshotTime: NOW,
    service: { running: true, lanOnly: false, startTime: NOW - 3 * 86_400 },
    sources: { server: source, connections: source, ports: source, interfaces: source },
    connections: 0,
    hiddenConnections: 0,
    tunnels: {},
    history: { stepSeconds: 60, points: [] },
    ...parts,
  };
}

export const tunnelOf = (connections: number | null, portsInUse: number | null, ports: number | null) => ({
  connections,
  portsInUse,
  ports,
});

export function linkOf(parts: Partial<ApiInterface> = {}): ApiInterface {
  return {
    interface: 'Site-Berlin',
    interfaceType: 'full_router',
    enabled: true,
    persistent: true,
    state: 'connected',
    unreachableReasons: [],
    lastError: 0,
    lastErrorName: null,
    stateChangeTime: null,
    ...parts,
  };
}

export function sessionOf(parts: Partial<ApiConnection> = {}): ApiConnection {
  return {
    connection: '00000000000000a1',
    user: 'anna',
    domain: 'CORP',
    computer: 'NB-1',
    interface: 'anna',
    interfaceType: 'client',
    tunnel: 'ikev2',
    role: 'client',
    auth: 'eap_mschapv2',
    encryption: 'aes256',
    compression: 'none',
    tunnelAddress: '10.0.0.2',
    tunnelAddressV6: '',
    remoteAddress: '203.0.113.9',
    localAddress: '198.51.100.1',
    startTime: NOW - 3700,
    dormant: false,
    receivedBytes: 1024,
    transmittedBytes: 5_000_000,
    receivedFrames: 10,
    transmittedFrames: 20,
    switchovers: 0,
    errors: {},
    ...parts,
  };
}
