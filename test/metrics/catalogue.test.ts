/** The catalogue against the contract, and what each family makes of a snapshot. */
import { describe, expect, test } from 'vitest';
import { CATALOGUE } from '../../src/metrics/catalogue.ts';
import type { Family } from '../../src/metrics/catalogue.ts';
import { PageEncoder } from '../../src/metrics/exposition.ts';
import type { Snapshot } from '../../src/model/snapshot.ts';
import { STRUCTS } from '../../src/native/layout.ts';
import { NATIVE_FUNCTIONS } from '../../src/model/rras-api.ts';
import { PROMISED, VOCABULARY } from './contract.ts';
import type { ParsedFamily } from './prometheus-parser.ts';
import { familyOf, parsePage, valuesOf } from './prometheus-parser.ts';
import { idOf, interfaceOf, portsOf, plainViews, snapshotOf, tableOf } from './snapshots.ts';

function labelsOf(family: Family): readonly string[] {
  switch (family.kind) {
    case 'samples':
    case 'histogram':
      return family.labels;
    case 'identity':
      return ['connection', ...family.labels];
    case 'connections':
      return family.label === undefined ? ['connection'] : ['connection', family.label];
  }
}

function readBack(parts: Partial<Snapshot>): ParsedFamily[] {
  const view = plainViews().view(snapshotOf(parts), 0);
  return parsePage(Buffer.concat(new PageEncoder(CATALOGUE, { format: 'text' }).encode(view)));
}

const names = (families: readonly ParsedFamily[]): string[] => families.map(({ name }) => name);

/** A server with something of everything. */
const RICH: Partial<Snapshot> = {
  ports: portsOf({ ikev2: 4, sstp: 2, l2tp: 2, pptp: 2, pppoe: 1 }, 1),
  connections: tableOf([
    { counters: { crc: 1, timeout: 2, switchovers: 3 }, dormant: true, quarantine: 1 },
    {
      tunnel: 'pptp',
      role: 'site',
      identity: {
        compression: 'mppc',
        interfaceType: 'full_router',
        auth: 'mschapv2',
        encryption: 'mppe128',
      },
      compressionIn: 57,
      compressionOut: 100,
    },
  ]),
  interfaces: [
    interfaceOf({ persistent: true, stateChangeSeconds: 1_795_000_000, stateChanges: 2 }),
    interfaceOf({ name: 'Ethernet', type: 'dedicated', state: 'unreachable', unreachableReasons: 0x20 }),
  ],
  users: [
    {
      user: 'anna',
      domain: 'CORP',
      other: false,
      receivedBytes: 1,
      transmittedBytes: 2,
      sessionsStarted: 3,
      connections: 1,
    },
  ],
};

describe.each(CATALOGUE.map((family) => [family.name, family] as const))('%s', (name, family) => {
  test('is in the contract, with this type and these labels', () => {
    expect(PROMISED.get(name)).toEqual({ type: family.type, labels: labelsOf(family) });
  });

  test('has a name in the form of its type and unit', () => {
    expect(name).toMatch(/^rras(_[a-z0-9]+)+$/);
    expect(name.endsWith('_total')).toBe(family.type === 'counter');
    // Base units only, at the end; what is a time says so.
    expect(name).not.toMatch(/milli|micro|nano|kilo|mega|minutes|hours|percent/);
    const unit = /(?<=_)(?:seconds|bytes|ratio)(?=_|$)/.exec(name)?.[0];
    if (unit !== undefined) expect(name).toMatch(new RegExp(`_${unit}(?:_total)?$`));
    if (/(?:time|timestamp|duration)/.test(name)) expect(name).toMatch(/_seconds$/);
    expect(name).not.toMatch(/_(?:count|sum|bucket|created|info_total)$/);
  });

  test('has a help of one line that ends with a full stop and says what it is, not its name again', () => {
    expect(family.help).toMatch(/^[A-Z][^\n]{20,}\.$/);
    expect(family.help).not.toContain(name);
  });

  test('has labels in the form of Prometheus, each once', () => {
    const labels = labelsOf(family);
    for (const label of labels) expect(label).toMatch(/^[a-z][a-z0-9_]*$/);
    expect(new Set(labels).size).toBe(labels.length);
    // What Prometheus sets itself.
    for (const taken of ['job', 'instance', 'le', 'quantile']) expect(labels).not.toContain(taken);
  });
});

describe('the catalogue', () => {
  test('has each name once', () => {
    const all = CATALOGUE.map(({ name }) => name);
    expect(all.length).toBeGreaterThan(30);
    expect(new Set(all).size).toBe(all.length);
  });

  /** Made by the exporter, not read from a field. */
  const OWN = [
    'rras_up',
    'rras_source_up',
    'rras_source_duration_seconds',
    'rras_snapshot_timestamp_seconds',
    'rras_interface_state_change_timestamp_seconds',
    'rras_hidden_connections',
  ];
  const IDENTIFIER =
    /\b(?:dw|wsz|ull|ras|us|b)[A-Z]\w*|\b[fh][A-Z][a-z]\w*|\b(?:RAS|MPR|PPP|IKEV2)_\w+|\bMprAdmin\w+|\bconnection[A-Z]\w+/g;
  const known = new Set<string>([
    ...NATIVE_FUNCTIONS,
    ...STRUCTS.flatMap((struct) => [
      struct.name,
      ...Object.keys(struct.fields).flatMap((path) => path.split('.')),
    ]),
    // A bit of dwConnectionFlags.
    'RAS_FLAGS_DORMANT',
  ]);

  test('names in each help the field of mprapi.h that it comes from, in its right spelling', () => {
    for (const { name, help } of CATALOGUE) {
      const named = help.match(IDENTIFIER) ?? [];
      if (!OWN.includes(name)) expect(named, name).not.toEqual([]);
      for (const each of named) expect(known, `${name} names ${each}`).toContain(each);
    }
  });

  test('says so where a family may be absent although there are series to expect', () => {
    for (const name of [
      'rras_source_up',
      'rras_interface_persistent',
      'rras_interface_state_change_timestamp_seconds',
    ])
      expect(CATALOGUE.find((family) => family.name === name)?.help).toMatch(/Absent/);
  });

  test('gives labels the values that the contract lists, and no other', () => {
    const families = readBack(RICH);
    let checked = 0;
    for (const { name, samples } of families) {
      for (const { labels } of samples) {
        for (const [label, value] of Object.entries(labels)) {
          const allowed = VOCABULARY[`${name} ${label}`] ?? VOCABULARY[label];
          if (!allowed) continue;
          expect(allowed, `${name} ${label}`).toContain(value);
          checked += 1;
        }
      }
    }
    expect(checked).toBeGreaterThan(100);
  });

  test('shows every family of a server that has something of everything', () => {
    expect(names(readBack(RICH))).toEqual(CATALOGUE.map(({ name }) => name));
  });
});

describe('connections by tunnel and role', () => {
  test('are 0 for every tunnel that the server has ports for, as client and as site', () => {
    const families = readBack({ ports: portsOf({ ikev2: 4, pppoe: 1 }), connections: tableOf([]) });
    const zeros = { 'ikev2/client': 0, 'ikev2/site': 0, 'pppoe/client': 0, 'pppoe/site': 0 };
    expect(valuesOf(families, 'rras_connections')).toEqual(zeros);
    expect(valuesOf(families, 'rras_dormant_connections')).toEqual(zeros);
  });

  test('count the dormant among the others and by themselves', () => {
    const families = readBack({
      ports: portsOf({ ikev2: 4, sstp: 2 }),
      connections: tableOf([
        { dormant: true },
        {},
        { role: 'site' },
        { tunnel: 'sstp' },
        { tunnel: 'unknown', role: 'other' },
      ]),
    });
    expect(valuesOf(families, 'rras_connections')).toEqual({
      'ikev2/client': 2,
      'ikev2/site': 1,
      'sstp/client': 1,
      'sstp/site': 0,
      'unknown/other': 1,
    });
    expect(valuesOf(families, 'rras_dormant_connections')).toEqual({
      'ikev2/client': 1,
      'ikev2/site': 0,
      'sstp/client': 0,
      'sstp/site': 0,
      'unknown/other': 0,
    });
  });

  test('are absent, not 0, where the connections are not read', () => {
    const families = readBack({ ports: portsOf({ ikev2: 4 }) });
    expect(names(families)).not.toContain('rras_connections');
    expect(names(families)).not.toContain('rras_users');
    expect(valuesOf(families, 'rras_ports_in_use')).toEqual({ ikev2: 0 });
  });

  test('add up to as many as are shown one by one', () => {
    const families = readBack(RICH);
    const sum = Object.values(valuesOf(families, 'rras_connections')).reduce((a, b) => a + b, 0);
    expect(sum).toBe(familyOf(families, 'rras_connection_info').samples.length);
  });
});

describe('users', () => {
  const count = (...users: readonly (readonly [user: string, domain: string])[]): number => {
    const connections = tableOf(users.map(([user, domain]) => ({ identity: { user, domain } })));
    return valuesOf(readBack({ connections }), 'rras_users')['']!;
  };

  test('S2 are told apart by user and domain, not by the text of both', () => {
    expect(count(['a', 'bc'], ['ab', 'c'], ['abc', ''])).toBe(3);
    expect(count(['x', '1 y'], ['y x', '1'])).toBe(2);
    expect(count(['B', 'A\\'], ['\\B', 'A'])).toBe(2);
  });

  test('with several connections count once', () => {
    expect(count(['anna', 'CORP'], ['anna', 'CORP'], ['anna', 'LAB'])).toBe(2);
  });

  test('are not counted where the server tells no name, and are 0 where nobody is connected', () => {
    expect(count(['', 'CORP'], ['', ''])).toBe(0);
    expect(count()).toBe(0);
  });
});

describe('connections one by one', () => {
  test('have switchovers only where the tunnel is IKEv2, and there also none', () => {
    const families = readBack({
      connections: tableOf([
        { counters: { switchovers: 3 } },
        { tunnel: 'sstp', counters: { switchovers: 9 } },
        {},
      ]),
    });
    expect(valuesOf(families, 'rras_connection_switchovers_total')).toEqual({ [idOf(0)]: 3, [idOf(2)]: 0 });
  });

  test('have a compression ratio only where compression was negotiated', () => {
    const families = readBack({
      connections: tableOf([
        { compressionIn: 40, compressionOut: 50 },
        { identity: { compression: 'mppc' }, compressionIn: 57, compressionOut: 0 },
        { identity: { compression: 'other' }, compressionIn: 100, compressionOut: 130 },
      ]),
    });
    expect(valuesOf(families, 'rras_connection_compression_ratio')).toEqual({
      [`${idOf(1)}/in`]: 0.57,
      [`${idOf(2)}/in`]: 1,
      [`${idOf(1)}/out`]: 0,
      [`${idOf(2)}/out`]: 1.3,
    });
  });

  test('have errors only of the kinds that are not 0', () => {
    const families = readBack({
      connections: tableOf([{}, { counters: { crc: 1, buffer_overrun: 7 } }, { counters: { timeout: 2 } }]),
    });
    expect(valuesOf(families, 'rras_connection_errors_total')).toEqual({
      [`${idOf(1)}/crc`]: 1,
      [`${idOf(1)}/buffer_overrun`]: 7,
      [`${idOf(2)}/timeout`]: 2,
    });
    expect(names(readBack({ connections: tableOf([{}]) }))).not.toContain('rras_connection_errors_total');
  });

  test('have counters, 0 included, with received and transmitted not confused', () => {
    const families = readBack({
      connections: tableOf([
        { counters: { receivedBytes: 1, transmittedBytes: 2, receivedFrames: 3, transmittedFrames: 4 } },
        {},
      ]),
    });
    const first = [1, 2, 3, 4];
    ['received_bytes', 'transmitted_bytes', 'received_frames', 'transmitted_frames'].forEach((what, i) => {
      expect(valuesOf(families, `rras_connection_${what}_total`)).toEqual({
        [idOf(0)]: first[i],
        [idOf(1)]: 0,
      });
    });
  });

  test('are dormant or not, and tell when they began', () => {
    const families = readBack({
      connections: tableOf([{ dormant: true, startTimeSeconds: 1_795_000_000.5 }, {}]),
    });
    expect(valuesOf(families, 'rras_connection_dormant')).toEqual({ [idOf(0)]: 1, [idOf(1)]: 0 });
    expect(valuesOf(families, 'rras_connection_start_time_seconds')[idOf(0)]).toBe(1_795_000_000.5);
  });

  test('all have the same connection label in every family', () => {
    const ids = new Set(
      familyOf(readBack(RICH), 'rras_connection_info').samples.map(({ labels }) => labels['connection']),
    );
    for (const { name, samples } of readBack(RICH)) {
      if (!name.startsWith('rras_connection_')) continue;
      for (const { labels } of samples) expect(ids, name).toContain(labels['connection']);
    }
    for (const id of ids) expect(id).toMatch(/^[0-9a-f]{16}$/);
  });
});

describe('authentication and quarantine', () => {
  test('are counted by what occurs', () => {
    const families = readBack({
      connections: tableOf([
        { quarantine: 0 },
        { quarantine: 1, identity: { auth: 'peap' } },
        { quarantine: 3, identity: { auth: 'peap' } },
        { quarantine: 3 },
      ]),
    });
    expect(valuesOf(families, 'rras_auth_connections')).toEqual({ eap_mschapv2: 2, peap: 2 });
    expect(valuesOf(families, 'rras_quarantine_connections')).toEqual({ quarantine: 1, not_capable: 2 });
  });

  test('are absent where nothing is to be told', () => {
    const families = readBack({ connections: tableOf([{}]) });
    expect(names(families)).not.toContain('rras_quarantine_connections');
  });
});

describe('interfaces', () => {
  const families = readBack({
    interfaces: [
      interfaceOf({ name: 'up', persistent: true }),
      interfaceOf({ name: 'idle', state: 'disconnected', persistent: false }),
      interfaceOf({
        name: 'dialling',
        state: 'connecting',
        lastError: 809,
        dialFailures: 4,
        stateChanges: 9,
      }),
      interfaceOf({
        name: 'broken',
        state: 'unreachable',
        enabled: false,
        unreachableReasons: 0x42,
        stateChangeSeconds: 1_795_000_123,
      }),
      interfaceOf({ name: 'Ethernet', type: 'dedicated', state: 'unknown' }),
    ],
  });

  test('are shown with their type, each with the value 1', () => {
    expect(valuesOf(families, 'rras_interface_info')).toEqual({
      'up/full_router': 1,
      'idle/full_router': 1,
      'dialling/full_router': 1,
      'broken/full_router': 1,
      'Ethernet/dedicated': 1,
    });
  });

  test('are up only in the state connected', () => {
    expect(valuesOf(families, 'rras_interface_up')).toEqual({
      up: 1,
      idle: 0,
      dialling: 0,
      broken: 0,
      Ethernet: 0,
    });
  });

  test('are in one state, or in none that can be told', () => {
    const states = familyOf(families, 'rras_interface_state').samples;
    expect(states.length).toBe(5 * 4);
    const inState = states.filter(({ value }) => value === 1).map(({ labels }) => Object.values(labels));
    expect(inState).toEqual([
      ['up', 'connected'],
      ['idle', 'disconnected'],
      ['dialling', 'connecting'],
      ['broken', 'unreachable'],
    ]);
  });

  test('give every reason that holds as 1 and the others as 0', () => {
    const reasons = familyOf(families, 'rras_interface_unreachable_reason').samples;
    expect(reasons.length).toBe(5 * 7);
    const holding = reasons.filter(({ value }) => value === 1).map(({ labels }) => Object.values(labels));
    expect(holding).toEqual([
      ['broken', 'admin_disabled'],
      ['broken', 'no_device'],
    ]);
  });

  test('are expected to stay up or not, or say nothing', () => {
    expect(valuesOf(families, 'rras_interface_persistent')).toEqual({ up: 1, idle: 0 });
  });

  test('tell of their switch, their last error, their changes and their failed dials', () => {
    expect(valuesOf(families, 'rras_interface_enabled')).toMatchObject({ up: 1, broken: 0 });
    expect(valuesOf(families, 'rras_interface_last_error')).toMatchObject({ up: 0, dialling: 809 });
    expect(valuesOf(families, 'rras_interface_state_changes_total')).toMatchObject({ up: 0, dialling: 9 });
    expect(valuesOf(families, 'rras_interface_dial_failures_total')).toMatchObject({ up: 0, dialling: 4 });
  });

  test('tell when they changed only if they did', () => {
    expect(valuesOf(families, 'rras_interface_state_change_timestamp_seconds')).toEqual({
      broken: 1_795_000_123,
    });
  });
});

describe('ports', () => {
  test('are counted in every condition, and those in use by a connection apart', () => {
    const families = readBack({ ports: portsOf({ ikev2: 128, pppoe: 1 }, 1) });
    const ports = valuesOf(families, 'rras_ports');
    expect(Object.keys(ports).length).toBe(2 * 7);
    expect(ports).toMatchObject({ 'ikev2/listening': 128, 'pppoe/listening': 1, 'ikev2/authenticated': 0 });
    expect(valuesOf(families, 'rras_ports_in_use')).toEqual({ ikev2: 1, pppoe: 1 });
  });
});

describe('sources', () => {
  test('are up or down, or have no such figure where the server has no such part', () => {
    const families = readBack({
      up: false,
      sources: {
        server: { up: true, durationSeconds: 0.5, problem: undefined },
        connections: { up: false, durationSeconds: 2, problem: 'broken' },
        ports: { up: undefined, durationSeconds: undefined, problem: undefined },
      },
    });
    expect(valuesOf(families, 'rras_source_up')).toEqual({ server: 1, connections: 0 });
    expect(valuesOf(families, 'rras_source_duration_seconds')).toEqual({ server: 0.5, connections: 2 });
    expect(valuesOf(families, 'rras_up')).toEqual({ '': 0 });
  });
});
