/** The names and units that are sent become, by the rules of Prometheus, the names that /metrics has. */
import { expect, describe, test } from 'vitest';
import { CATALOGUE } from '../../../src/metrics/catalogue.ts';
import { otlpName } from '../../../src/metrics/otlp/names.ts';
import type { OwnFamily } from '../../../src/metrics/self.ts';
import { SelfMetrics } from '../../../src/metrics/self.ts';
import type { Kind } from './translation.ts';
import { prometheusName } from './translation.ts';

interface Head {
  readonly name: string;
  readonly type: Kind;
}

const own: readonly OwnFamily[] = await ownFamilies();
const all: readonly Head[] = [...CATALOGUE, ...own];

/** With everything that can be switched on. */
async function ownFamilies(): Promise<readonly OwnFamily[]> {
  const self = new SelfMetrics({ version: '', simulated: false, startedAtSeconds: 0, process: true });
  self.admin({ paused: () => false, breakers: () => [] });
  self.otlp(['metrics']);
  return self.families();
}

describe('the translation of the test', () => {
  test.each([
    ['rras.connection.received', 'By', 'counter', 'rras_connection_received_bytes_total'],
    ['rras.received_frames', '{frame}', 'counter', 'rras_received_frames_total'],
    ['rras.session.duration', 's', 'histogram', 'rras_session_duration_seconds'],
    ['rras.compression', '1', 'gauge', 'rras_compression_ratio'],
    ['rras.tries', '1', 'counter', 'rras_tries_total'],
    ['rras.up', '', 'gauge', 'rras_up'],
    // Nothing is said twice.
    ['rras.received_bytes', 'By', 'counter', 'rras_received_bytes_total'],
    ['rras.received.total', 'By', 'counter', 'rras_received_bytes_total'],
    ['rras.compression.ratio', '1', 'gauge', 'rras_compression_ratio'],
    ['rras.a-b//c', '', 'gauge', 'rras_a_b_c'],
    ['speed', 'By/s', 'gauge', 'speed_bytes_per_s'],
  ] as const)('%s in "%s" as a %s is %s', (name, unit, kind, expected) => {
    expect(prometheusName(name, unit, kind)).toBe(expected);
  });
});

test('the exporter has families of its own here, those of actions and of OTLP among them', () => {
  const names = own.map(({ name }) => name);
  expect(names).toContain('rras_exporter_otlp_exports_total');
  expect(names).toContain('rras_admin_action_duration_seconds');
  expect(names).toContain('rras_remediation_decisions_total');
  expect(names.filter((name) => !name.startsWith('rras_'))).toEqual([]);
});

test.each(all.map(({ name, type }) => [name, type] as const))(
  '%s is what Prometheus makes of its OTLP name',
  (name, type) => {
    const otlp = otlpName(name, type);
    expect(prometheusName(otlp.name, otlp.unit, type)).toBe(name);
    // What an instrument may be called (opentelemetry.io/docs/specs/otel/metrics/api, instrument name syntax).
    expect(otlp.name).toMatch(/^rras\.[a-z0-9_.]{1,250}$/);
    expect(otlp.name).not.toMatch(/_(?:total|bytes|seconds|ratio)$/);
    // No name says its unit or _total another time.
    expect(name).not.toMatch(/_(bytes|seconds|total|ratio)\b.*_\1\b/);
  },
);

test('no two families have one OTLP name', () => {
  const names = all.map(({ name, type }) => otlpName(name, type).name);
  const twice = names.filter((name, i) => names.indexOf(name) !== i);
  expect(twice).toEqual([]);
});

/** The contract, section 3: what may have which unit. */
test('units are as the contract says', () => {
  const wrong = all.flatMap(({ name, type }) => {
    const { unit } = otlpName(name, type);
    const base = name.replace(/_total$/, '');
    const expected = base.endsWith('_bytes')
      ? unit === 'By'
      : base.endsWith('_seconds')
        ? unit === 's'
        : name === 'rras_connection_compression_ratio'
          ? unit === '1'
          : type === 'counter'
            ? /^(?:|\{[a-z]+\})$/.test(unit)
            : unit === '';
    return expected ? [] : [`${name}: ${unit}`];
  });
  expect(wrong).toEqual([]);
  expect(all.filter(({ name, type }) => otlpName(name, type).unit === '1')).toHaveLength(1);
});

test.each([
  ['rras_connection_received_bytes_total', 'counter', 'rras.connection.received', 'By'],
  ['rras_received_frames_total', 'counter', 'rras.received_frames', '{frame}'],
  ['rras_session_duration_seconds', 'histogram', 'rras.session.duration', 's'],
  ['rras_connection_compression_ratio', 'gauge', 'rras.connection.compression', '1'],
  ['rras_connection_info', 'gauge', 'rras.connection.info', ''],
  ['rras_snapshot_timestamp_seconds', 'gauge', 'rras.snapshot.timestamp', 's'],
  ['rras_up', 'gauge', 'rras.up', ''],
] as const)('%s is sent as a %s called %s in "%s"', (name, type, otlp, unit) => {
  expect(otlpName(name, type)).toEqual({ name: otlp, unit });
});
