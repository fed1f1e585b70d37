/** Bytes out, an independent reader in: what the page says is what the snapshot held. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { CATALOGUE } from '../../src/metrics/catalogue.ts';
import type { Family, SampleFamily } from '../../src/metrics/catalogue.ts';
import { PageEncoder } from '../../src/metrics/exposition.ts';
import { formatNumber } from '../../src/metrics/sample-text.ts';
import type { Snapshot } from '../../src/model/snapshot.ts';
import type { ParsedFamily } from './prometheus-parser.ts';
import { familyOf, parsePage, valuesOf } from './prometheus-parser.ts';
import type { ConnectionSketch } from './snapshots.ts';
import { idOf, interfaceOf, portsOf, plainViews, snapshotOf, tableOf } from './snapshots.ts';

const CHUNK_BYTES = 256 * 1024;

function render(snapshot: Snapshot, catalogue: readonly Family[] = CATALOGUE): Buffer[] {
  return new PageEncoder(catalogue, { format: 'text' }).encode(plainViews().view(snapshot, 0));
}

const readBack = (snapshot: Snapshot, catalogue?: readonly Family[]): ParsedFamily[] =>
  parsePage(Buffer.concat(render(snapshot, catalogue)));

/** Renders connections of which only the identities matter, and reads their labels back. */
function identitiesOf(sketches: readonly ConnectionSketch[]): Readonly<Record<string, string>>[] {
  const info = CATALOGUE.filter(({ name }) => name === 'rras_connection_info');
  expect(info.length).toBe(1);
  const families = readBack(snapshotOf({ connections: tableOf(sketches) }), info);
  expect(families.length).toBe(sketches.length === 0 ? 0 : 1);
  return families[0]?.samples.map(({ labels }) => labels) ?? [];
}

/** What a page shows of a text, said in another way than the code says it. */
const shownOf = (text: string): string => text.replace(/\p{Cc}|\p{Cs}/gu, '\ufffd');

const family = (labels: readonly string[], collect: SampleFamily['collect']): SampleFamily => ({
  kind: 'samples',
  name: 'probe',
  type: 'gauge',
  help: 'What the test asks for.',
  labels,
  collect,
});

/** What the page makes of numbers, through the path of few samples. */
function numbersBack(values: readonly number[]): number[] {
  const probe = family(['n'], (_, emit) => values.forEach((value, n) => emit(value, String(n))));
  return readBack(snapshotOf(), [probe])[0]!.samples.map(({ value }) => value);
}

/** The same through the path of connections. */
function countersBack(values: readonly number[]): number[] {
  const sketches = values.map((value) => ({ counters: { receivedBytes: value } }));
  const families = readBack(snapshotOf({ connections: tableOf(sketches) }));
  return familyOf(families, 'rras_connection_received_bytes_total').samples.map(({ value }) => value);
}

const HOSTILE: readonly (readonly [what: string, text: string, shown: string])[] = [
  ['nothing', '', ''],
  ['quotes', 'a"b""', 'a"b""'],
  ['a closing quote and brace', '"} 1', '"} 1'],
  ['backslashes', '\\a\\\\b\\', '\\a\\\\b\\'],
  ['what looks like an escape', '\\n\\"', '\\n\\"'],
  ['a newline', 'a\nrras_up 0\n', 'a\ufffdrras_up 0\ufffd'],
  ['a carriage return', 'a\r\nb', 'a\ufffd\ufffdb'],
  ['NULs', '\0a\0', '\ufffda\ufffd'],
  ['control characters', '\u0001\u001b[31m\u007f\u0085\t', '\ufffd\ufffd[31m\ufffd\ufffd\ufffd'],
  ['separators of labels', ',:|=}{"', ',:|=}{"'],
  ['a comment', '# HELP x', '# HELP x'],
  ['a high surrogate alone', 'a\ud83db', 'a\ufffdb'],
  ['a low surrogate alone', '\ude00', '\ufffd'],
  ['surrogates in the wrong order', '\ude00\ud83d', '\ufffd\ufffd'],
  ['a pair', '\ud83d\ude00', '😀'],
  ['other scripts', '山田 محمد Łukasz', '山田 محمد Łukasz'],
  ['a byte order mark and line separators', '\ufeff\u2028\u2029', '\ufeff\u2028\u2029'],
  ['257 characters', '"'.repeat(257), '"'.repeat(257)],
  ['257 characters of four bytes', '😀'.repeat(257), '😀'.repeat(257)],
  ['names of the prototype', '__proto__', '__proto__'],
];

describe('texts', () => {
  test.each(HOSTILE)('L2 survive rendering and reading: %s', (_, text, shown) => {
    const identity = {
      user: text,
      domain: text,
      computer: text,
      interfaceName: text,
      tunnelAddress: text,
      remoteAddress: text,
      localAddress: text,
    };
    const families = readBack(
      snapshotOf({
        connections: tableOf([{ identity }]),
        interfaces: [interfaceOf({ name: text })],
      }),
    );
    expect(familyOf(families, 'rras_connection_info').samples[0]!.labels).toMatchObject({
      connection: idOf(0),
      user: shown,
      domain: shown,
      computer: shown,
      interface: shown,
      tunnel_address: shown,
    });
    expect(familyOf(families, 'rras_connection_endpoint_info').samples[0]!.labels).toEqual({
      connection: idOf(0),
      remote_address: shown,
      local_address: shown,
    });
    expect(familyOf(families, 'rras_interface_up').samples[0]!.labels).toEqual({ interface: shown });
  });

  test('L2 are escaped even where nobody has cleaned them', () => {
    const text = 'a"b\\c\nprobe 2\n\\n"} 3';
    const probe = family(['text'], (_, emit) => emit(1, text));
    expect(readBack(snapshotOf(), [probe])[0]!.samples).toEqual([
      { name: 'probe', labels: { text }, value: 1, timestamp: undefined },
    ]);
  });

  test('L1 no pair of labels is mistaken for another one, whatever separators they hold', () => {
    const text = fc.string({
      unit: fc.constantFrom(',', ':', '|', '=', '}', '{', '"', '\\', '\n', ' ', 'a'),
      maxLength: 6,
    });
    const pairs = fc.array(fc.tuple(text, text), { maxLength: 40 });
    fc.assert(
      fc.property(pairs, (given) => {
        const labels = identitiesOf(given.map(([user, domain]) => ({ identity: { user, domain } })));
        expect(labels.map(({ user, domain }) => [user, domain])).toEqual(
          given.map((pair) => pair.map(shownOf)),
        );
      }),
      {
        numRuns: 300,
        seed: 1,
        examples: [
          [
            [
              ['x,b:y', 'z'],
              ['x', 'b:y,b:z'],
            ],
          ],
        ],
      },
    );
  });

  test('L1 any texts at all come back as cleaned, on as many lines as there are connections', () => {
    const unit = fc.integer({ min: 0, max: 0xffff });
    const text = fc.array(unit, { maxLength: 12 }).map((units) => String.fromCharCode(...units));
    fc.assert(
      fc.property(fc.array(fc.tuple(text, text, text), { maxLength: 20 }), (given) => {
        const labels = identitiesOf(
          given.map(([user, domain, computer]) => ({ identity: { user, domain, computer } })),
        );
        expect(labels.map(({ user, domain, computer }) => [user, domain, computer])).toEqual(
          given.map((texts) => texts.map(shownOf)),
        );
      }),
      { numRuns: 300, seed: 2 },
    );
  });

  test('L3 every code unit gives valid UTF-8 and a line of its own, though names become equal', () => {
    const units = Array.from({ length: 0x1_0000 }, (_, unit) => String.fromCharCode(unit));
    const labels = identitiesOf(units.map((user) => ({ identity: { user } })));
    expect(labels.length).toBe(units.length);
    expect(new Set(labels.map(({ connection }) => connection)).size).toBe(units.length);
    const replaced: number[] = [];
    labels.forEach(({ user }, unit) => {
      if (user !== units[unit]) {
        expect(user).toBe('\ufffd');
        replaced.push(unit);
      }
    });
    // 0-31, 127-159 and the surrogates: no other text is touched.
    expect(replaced.length).toBe(32 + 33 + 0x800);
  });

  test('L3 interfaces whose names become equal keep series of their own', () => {
    const names = ['a\ud800', 'a\udfff', 'a\ufffd', 'a\ufffd (2)', 'a\n', 'b'];
    const families = readBack(snapshotOf({ interfaces: names.map((name) => interfaceOf({ name })) }));
    for (const name of ['rras_interface_info', 'rras_interface_up', 'rras_interface_state']) {
      const shown = new Set(familyOf(families, name).samples.map(({ labels }) => labels['interface']));
      expect(shown.size).toBe(names.length);
      expect(shown).toContain('a\ufffd');
      expect(shown).toContain('b');
    }
  });

  test('in a help are escaped as the format asks', () => {
    const help = 'A \\ and a\nnewline and "quotes".';
    const probe: Family = { ...family([], (_, emit) => emit(1)), help };
    expect(readBack(snapshotOf(), [probe])[0]!.help).toBe(help);
  });
});

describe('numbers', () => {
  const powers = Array.from({ length: 22 }, (_, n) => 10 ** n);
  const values = [
    0,
    1,
    9,
    2 ** 31,
    2 ** 32 - 1,
    2 ** 32,
    2 ** 53 - 1,
    2 ** 53,
    2 ** 53 + 2,
    2 ** 64,
    1e21,
    1e300,
    Number.MAX_VALUE,
    Number.MIN_VALUE,
    0.1,
    0.25,
    1 / 3,
    1_795_219_200.123,
    -1,
    -0.5,
    ...powers.flatMap((power) => [power - 1, power, power + 1]),
  ];

  test('C4 come back as they were: 0, to 2^53 and beyond, fractions, each power of ten and its neighbours', () => {
    expect(numbersBack(values)).toEqual(values);
    const counters = values.filter((value) => value >= 0);
    expect(countersBack(counters)).toEqual(counters);
  });

  test('C4 that are not finite are written as the format has them', () => {
    expect(numbersBack([NaN, Infinity, -Infinity])).toEqual([NaN, Infinity, -Infinity]);
    expect([NaN, Infinity, -Infinity].map(formatNumber)).toEqual(['NaN', '+Inf', '-Inf']);
  });

  test('C4 minus zero is zero, without a sign', () => {
    const probe = family([], (_, emit) => emit(-0));
    expect(Buffer.concat(render(snapshotOf(), [probe])).toString()).toMatch(/^probe 0$/m);
  });

  test('C4 any number that a column can hold comes back', () => {
    const number = fc.oneof(
      fc.double(),
      fc.maxSafeNat(),
      fc.bigInt(0n, 2n ** 64n - 1n).map((value) => Number(value)),
    );
    fc.assert(
      fc.property(fc.array(number, { minLength: 1, maxLength: 50 }), (given) => {
        const expected = given.map((value) => (Object.is(value, -0) ? 0 : value));
        expect(numbersBack(given)).toEqual(expected);
      }),
      { numRuns: 300, seed: 3 },
    );
  });

  test('C4 whole numbers are written digit by digit, never with an exponent, up to 2^53', () => {
    const probe = family([], (_, emit) => powers.filter((each) => each <= 2 ** 53).forEach((p) => emit(p)));
    const lines = Buffer.concat(render(snapshotOf(), [probe]))
      .toString()
      .trimEnd()
      .split('\n')
      .slice(2);
    expect(lines).toEqual(powers.slice(0, 16).map((_, n) => `probe 1${'0'.repeat(n)}`));
  });

  test('of a percentage are exact ratios', () => {
    const percents = Array.from({ length: 201 }, (_, percent) => percent);
    const families = readBack(
      snapshotOf({
        connections: tableOf(
          percents.map((percent) => ({
            compressionIn: percent,
            compressionOut: percent,
            identity: { compression: 'mppc' as const },
          })),
        ),
      }),
    );
    const { samples } = familyOf(families, 'rras_connection_compression_ratio');
    const ratios = percents.map((percent) => percent / 100);
    const ascending = (values: readonly number[]): number[] => values.toSorted((a, b) => a - b);
    expect(ascending(samples.map(({ value }) => value))).toEqual(ascending([...ratios, ...ratios]));
  });
});

describe('a page', () => {
  const large = snapshotOf({
    ports: portsOf({ ikev2: 9000 }),
    connections: tableOf(
      Array.from({ length: 8000 }, (_, row) => ({
        identity: { user: `user-${row} "quoted" 😀`.padEnd(40 + (row % 61), 'ü') },
        counters: { receivedBytes: row * 7_919, transmittedBytes: 2 ** 53 - row, crc: row % 3 },
      })),
    ),
  });

  test('larger than several chunks is the same as in one piece, with no line torn or lost', () => {
    const chunks = render(large);
    expect(chunks.length).toBeGreaterThan(10);
    for (const chunk of chunks) {
      expect(chunk.length).toBeGreaterThan(0);
      expect(chunk.length).toBeLessThanOrEqual(4 * CHUNK_BYTES);
    }
    const families = parsePage(Buffer.concat(chunks));
    // A page of each family by itself fits other boundaries, so a difference would show.
    const apart = CATALOGUE.flatMap((each) => readBack(large, [each]));
    expect(families).toEqual(apart);
    expect(familyOf(families, 'rras_connection_info').samples.length).toBe(8000);
    expect(familyOf(families, 'rras_connection_transmitted_bytes_total').samples[7999]!.value).toBe(
      2 ** 53 - 7999,
    );
  });

  test('holds lines that end on, before and after the end of a chunk', () => {
    for (let pad = 0; pad < 130; pad += 1) {
      const filler = 'x'.repeat(CHUNK_BYTES - 300 + pad);
      const probe = family(['text'], (_, emit) => {
        emit(1, filler);
        for (const n of [1, 22, 333, 4444]) emit(n, String(n));
      });
      const back = readBack(snapshotOf(), [probe])[0]!.samples;
      expect(back.map(({ value }) => value)).toEqual([1, 1, 22, 333, 4444]);
      expect(back[0]!.labels['text']!.length).toBe(filler.length);
    }
  });

  test('holds a line longer than a chunk in one piece', () => {
    const text = 'ü"'.repeat(CHUNK_BYTES);
    const probe = family(['text'], (_, emit) => {
      emit(1, 'before');
      emit(2, text);
      emit(3, 'after');
    });
    const back = readBack(snapshotOf(), [probe])[0]!.samples;
    expect(back.map(({ value }) => value)).toEqual([1, 2, 3]);
    expect(back[1]!.labels['text']).toBe(text);
  });

  test('is the same when it is rendered again by the same encoder', () => {
    const encoder = new PageEncoder(CATALOGUE, { format: 'text' });
    const views = plainViews();
    const first = Buffer.concat(encoder.encode(views.view(large, 0)));
    const again = Buffer.concat(encoder.encode(views.view(large, 0)));
    expect(again.equals(first)).toBe(true);
  });

  test('C5 ends the series of a session with the next snapshot', () => {
    const encoder = new PageEncoder(CATALOGUE, { format: 'text' });
    const views = plainViews();
    const both = tableOf([{}, {}]);
    const one = { ...tableOf([{}]), connections: both.connections.slice(1) };
    encoder.encode(views.view(snapshotOf({ connections: both }), 0));
    const page = encoder.encode(views.view(snapshotOf({ connections: one }), 0));
    const { samples } = familyOf(parsePage(Buffer.concat(page)), 'rras_connection_info');
    expect(samples.map(({ labels }) => labels['connection'])).toEqual([idOf(1)]);
  });

  test('shows what is new of a session that goes on: a text that changed, a number that rose', () => {
    const encoder = new PageEncoder(CATALOGUE, { format: 'text' });
    const views = plainViews();
    const page = (remoteAddress: string, receivedBytes: number): ParsedFamily[] => {
      const connections = tableOf([{ identity: { remoteAddress }, counters: { receivedBytes } }]);
      return parsePage(Buffer.concat(encoder.encode(views.view(snapshotOf({ connections }), 0))));
    };
    page('203.0.113.9', 10);
    const families = page('203.0.113.77', 12);
    expect(familyOf(families, 'rras_connection_endpoint_info').samples[0]!.labels).toMatchObject({
      remote_address: '203.0.113.77',
    });
    expect(valuesOf(families, 'rras_connection_received_bytes_total')).toEqual({ [idOf(0)]: 12 });
  });

  test('leaves out families without a sample, heads included', () => {
    const names = readBack(snapshotOf({ connections: tableOf([]) })).map(({ name }) => name);
    expect(names).toContain('rras_users');
    expect(names.filter((name) => name.startsWith('rras_connection'))).toEqual([]);
    expect(names.filter((name) => name.startsWith('rras_interface'))).toEqual([]);
  });

  test('of nothing is empty', () => {
    expect(render(snapshotOf(), [family([], () => undefined)])).toEqual([]);
    expect(render(snapshotOf(), [])).toEqual([]);
  });

  test('keeps its families apart and in the order of the catalogue', () => {
    const names = readBack(
      snapshotOf({
        ports: portsOf({ ikev2: 2, sstp: 1 }, 1),
        connections: tableOf([{ counters: { crc: 1, framing: 2 } }, { tunnel: 'sstp' }]),
        interfaces: [interfaceOf(), interfaceOf({ name: 'Ethernet' })],
      }),
    ).map(({ name }) => name);
    expect(names).toEqual(CATALOGUE.map(({ name }) => name).filter((name) => names.includes(name)));
    expect(names.length).toBeGreaterThan(20);
  });
});
