/** Turns a view into the plain objects of the API. Like every output it knows no more than the view. */
import { CONNECTION_COUNTERS } from '../model/snapshot.ts';
import type { ConnectionCounter } from '../model/snapshot.ts';
import { ERROR_KINDS, ROLES, TUNNELS, UNREACHABLE_REASONS } from '../model/words.ts';
import type { View } from './labels.ts';

const sumOf = (counts: Iterable<number>): number => {
  let sum = 0;
  for (const count of counts) sum += count;
  return sum;
};
const byKey = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

export function connectionObjects({ shown }: View) {
  if (!shown) return [];
  const count = (counter: ConnectionCounter, i: number): number =>
    shown.counters[CONNECTION_COUNTERS.indexOf(counter)]![i]!;
  return shown.connections
    .map(({ id, interfaceName, startTimeSeconds, ...texts }, i) => ({
      connection: id,
      user: texts.user,
      domain: texts.domain,
      computer: texts.computer,
      interface: interfaceName,
      interfaceType: texts.interfaceType,
      tunnel: texts.tunnel,
      role: texts.role,
      auth: texts.auth,
      encryption: texts.encryption,
      compression: texts.compression,
      tunnelAddress: texts.tunnelAddress,
      tunnelAddressV6: texts.tunnelAddressV6,
      remoteAddress: texts.remoteAddress,
      localAddress: texts.localAddress,
      startTime: startTimeSeconds,
      dormant: shown.dormant[i] !== 0,
      receivedBytes: count('receivedBytes', i),
      transmittedBytes: count('transmittedBytes', i),
      receivedFrames: count('receivedFrames', i),
      transmittedFrames: count('transmittedFrames', i),
      switchovers: count('switchovers', i),
      errors: Object.fromEntries(
        ERROR_KINDS.map((kind) => [kind, count(kind, i)] as const).filter(([, n]) => n > 0),
      ),
    }))
    .sort((a, b) => byKey(a.connection, b.connection));
}

/** `nameOfCode`: the symbolic name of a Win32 or RAS code. */
export function interfaceObjects({ interfaces }: View, nameOfCode: (code: number) => string | undefined) {
  return (interfaces ?? [])
    .map(({ name, status }) => ({
      interface: name,
      interfaceType: status.type,
      enabled: status.enabled,
      persistent: status.persistent ?? null,
      state: status.state,
      unreachableReasons: UNREACHABLE_REASONS.filter((_, bit) => (status.unreachableReasons >>> bit) & 1),
      lastError: status.lastError,
      lastErrorName: status.lastError === 0 ? null : (nameOfCode(status.lastError) ?? null),
      stateChangeTime: status.stateChangeSeconds ?? null,
    }))
    .sort((a, b) => byKey(a.interface, b.interface));
}

export function statusObject({ snapshot, aggregates, shown }: View) {
  const { service } = snapshot;
  return {
    up: snapshot.up,
    snapshotTime: snapshot.timestampSeconds,
    service: service && {
      running: service.running,
      lanOnly: service.lanOnly,
      startTime: service.startTimeSeconds ?? null,
    },
    sources: Object.fromEntries(
      Object.entries(snapshot.sources).map(([source, { up, problem }]) => [
        source,
        { up: up ?? null, problem: problem ?? null },
      ]),
    ),
    connections: aggregates ? sumOf(aggregates.connections) : null,
    hiddenConnections: shown ? shown.hidden : null,
    tunnels: tunnelObjects(snapshot, aggregates),
  };
}

function tunnelObjects({ ports, portTunnels }: View['snapshot'], aggregates: View['aggregates']) {
  return Object.fromEntries(
    TUNNELS.map((tunnel, i) => {
      const cells = aggregates?.connections.subarray(i * ROLES.length, (i + 1) * ROLES.length);
      return [
        tunnel,
        {
          connections: cells ? sumOf(cells) : null,
          portsInUse: ports ? (ports.inUse.get(tunnel) ?? 0) : null,
          ports: ports ? sumOf(ports.byCondition.get(tunnel) ?? []) : null,
        },
      ] as const;
    }).filter(([tunnel, { connections }]) => portTunnels.includes(tunnel) || (connections ?? 0) > 0),
  );
}
