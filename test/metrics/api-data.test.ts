/** What the API tells of tunnels, beside what the metrics tell. */
import { expect, test } from 'vitest';
import { connectionObjects, statusObject } from '../../src/metrics/api-data.ts';
import { ViewMaker } from '../../src/metrics/labels.ts';
import type { Snapshot } from '../../src/model/snapshot.ts';
import { plainViews, portsOf, snapshotOf, tableOf } from './snapshots.ts';

const tunnelsOf = (parts: Partial<Snapshot>) => statusObject(plainViews().peek(snapshotOf(parts), 0)).tunnels;

test('a tunnel has its connections of all roles, and its ports of all conditions', () => {
  const connections = tableOf([
    { tunnel: 'ikev2', role: 'client' },
    { tunnel: 'ikev2', role: 'site', dormant: true },
    { tunnel: 'sstp', role: 'client' },
  ]);
  expect(tunnelsOf({ connections, ports: portsOf({ sstp: 100, ikev2: 128, pptp: 0 }, 2) })).toEqual({
    ikev2: { connections: 2, portsInUse: 2, ports: 128 },
    sstp: { connections: 1, portsInUse: 2, ports: 100 },
    pptp: { connections: 0, portsInUse: 2, ports: 0 },
  });
});

test('a tunnel without ports is told of while a connection uses it', () => {
  const connections = tableOf([{ tunnel: 'unknown' }]);
  expect(tunnelsOf({ connections, ports: portsOf({}) })).toEqual({
    unknown: { connections: 1, portsInUse: 0, ports: 0 },
  });
  expect(tunnelsOf({ connections: tableOf([]), ports: portsOf({}) })).toEqual({});
});

test('what cannot be read is null, not 0', () => {
  expect(tunnelsOf({ connections: tableOf([{ tunnel: 'l2tp' }]) })).toEqual({
    l2tp: { connections: 1, portsInUse: null, ports: null },
  });
  expect(tunnelsOf({ ports: portsOf({ l2tp: 5 }, 1) })).toEqual({
    l2tp: { connections: null, portsInUse: 1, ports: 5 },
  });
  expect(tunnelsOf({ portTunnels: ['pptp'] })).toEqual({
    pptp: { connections: null, portsInUse: null, ports: null },
  });
});

test('connections come once each, in the order of their ids, and in many slices', () => {
  const ids = Array.from({ length: 20_000 }, (_, i) =>
    ((i * 2_654_435_761) % 2 ** 32).toString(16).padStart(8, '0').repeat(2),
  );
  const view = new ViewMaker({
    privacy: { users: 'plain', addresses: 'plain' },
    detail: 'full',
    limit: 50_000,
  }).peek(snapshotOf({ connections: tableOf(ids.map((id) => ({ id }))) }), 0);
  const work = connectionObjects(view);
  let slices = 1;
  let step = work.next();
  for (; step.done !== true; step = work.next()) slices += 1;
  expect(step.value.map(({ connection }) => connection)).toEqual(ids.toSorted());
  expect(slices).toBeGreaterThan(200);
});
