/** Turns a view into the plain objects of the API. Like every output it knows no more than the view. */
import { CONNECTION_COUNTERS } from '../model/snapshot.ts';
import type { ConnectionCounter } from '../model/snapshot.ts';
import type { Sliced } from '../model/slices.ts';
import { ROWS_PER_SLICE } from '../model/slices.ts';
import { ERROR_KINDS, ROLES, TUNNELS, UNREACHABLE_REASONS } from '../model/words.ts';
import type { ShownTable, View } from './labels.ts';

const sumOf = (counts: Iterable<number>): number => {
  let sum = 0;
  for (const count of counts) sum += count;
  return sum;
};
const byKey = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

/** The connections that are shown, in the order of their ids, in slices. */
export function* connectionObjects({ shown }: View): Sliced<readonly ConnectionObject[]> {
  if (!shown) return [];
  // Ids are random: by their first two digits they fall into parts that are sorted in no time.
  const parts = new Map<string, number[]>();
  for (const [row, { id }] of shown.connections.entries()) {
    const start = id.slice(0, 2);
    let rows = parts.get(start);
    if (!rows) parts.set(start, (rows = []));
    rows.push(row);
    if (row % ROWS_PER_SLICE === 0) yield;
  }
  const objects: ConnectionObject[] = [];
  for (const [, rows] of [...parts].sort(([a], [b]) => byKey(a, b))) {
    rows.sort((a, b) => byKey(shown.connections[a]!.id, shown.connections[b]!.id));
    for (const row of rows) objects.push(connectionObject(shown, row));
    yield;
  }
  return objects;
}

type ConnectionObject = ReturnType<typeof connectionObject>;

function connectionObject(shown: ShownTable, row: number) {
  const count = (counter: ConnectionCounter): number =>
    shown.counters[CONNECTION_COUNTERS.indexOf(counter)]![row]!;
  const { id, interfaceName, startTimeSeconds, ...texts } = shown.connections[row]!;
  return {
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
    dormant: shown.dormant[row] !== 0,
    receivedBytes: count('receivedBytes'),
    transmittedBytes: count('transmittedBytes'),
    receivedFrames: count('receivedFrames'),
    transmittedFrames: count('transmittedFrames'),
    switchovers: count('switchovers'),
    errors: Object.fromEntries(
      ERROR_KINDS.map((kind) => [kind, count(kind)] as const).filter(([, errors]) => errors > 0),
    ),
  };
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
