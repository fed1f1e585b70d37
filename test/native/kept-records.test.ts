/** What is kept of records, against a model that keeps the records themselves. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { KeptRecords } from '../../src/native/kept-records.ts';

const RECORD_UNITS = 24;
/** Kind 0 has units 0 and 1 and a text of 4; kind 1 has unit 9 and texts of 4 and 12, which end the record. */
const SHAPES = [
  { units: Uint16Array.of(0, 1), texts: Uint16Array.of(2, 4) },
  { units: Uint16Array.of(9), texts: Uint16Array.of(2, 4, 12, 12) },
];
const PREFIX = 3;

/** What counts of a record: everything else zero. */
function essence(kind: number, record: Uint16Array): Uint16Array {
  const kept = new Uint16Array(RECORD_UNITS);
  const { units, texts } = SHAPES[kind]!;
  for (const unit of units) kept[unit] = record[unit]!;
  for (let i = 0; i < texts.length; i += 2) {
    const start = texts[i]!;
    for (let unit = start; unit < start + texts[i + 1]! && record[unit] !== 0; unit += 1)
      kept[unit] = record[unit]!;
  }
  return kept;
}

const unit = fc.oneof({ weight: 2, arbitrary: fc.constant(0) }, fc.constantFrom(1, 0xffff), fc.nat(0xffff));
const records = fc.record({
  kind: fc.nat(1),
  record: fc
    .array(unit, { minLength: RECORD_UNITS, maxLength: RECORD_UNITS })
    .map((all) => Uint16Array.from(all)),
});

describe('kept records', () => {
  it('are the same exactly as long as what counts of them is', () => {
    const steps = fc.array(fc.record({ slot: fc.nat(90), drop: fc.boolean(), value: records }), {
      maxLength: 60,
    });
    fc.assert(
      fc.property(steps, (all) => {
        const kept = new KeptRecords(SHAPES);
        const model = new Map<number, { kind: number; essence: Uint16Array }>();
        for (const { slot, drop, value } of all) {
          const page = new Uint16Array(PREFIX + RECORD_UNITS + 1).fill(7);
          page.set(value.record, PREFIX);
          const now = { kind: value.kind, essence: essence(value.kind, value.record) };
          const before = model.get(slot);
          expect(kept.has(slot)).toBe(before !== undefined);
          if (before) {
            const same =
              before.kind === now.kind && before.essence.every((each, i) => each === now.essence[i]);
            expect(kept.same(slot, value.kind, page, PREFIX)).toBe(same);
          }
          if (drop) {
            kept.drop(slot);
            model.delete(slot);
          } else {
            kept.keep(slot, value.kind, page, PREFIX);
            model.set(slot, now);
            expect(kept.same(slot, value.kind, page, PREFIX)).toBe(true);
          }
        }
        for (const [slot, { kind, essence: expected }] of model) {
          const restored = new Uint16Array(PREFIX + RECORD_UNITS);
          expect(kept.restore(slot, restored, PREFIX)).toBe(kind);
          expect(restored.subarray(PREFIX)).toEqual(expected);
        }
      }),
    );
  });

  it('take no more memory when all are replaced again and again', () => {
    const kept = new KeptRecords(SHAPES);
    const fill = (round: number): void => {
      for (let slot = 0; slot < 4000; slot += 1) {
        const record = new Uint16Array(RECORD_UNITS).fill(1 + round, 0, 12 + ((slot + round) % 12));
        kept.drop(slot);
        kept.keep(slot, (slot + round) % 2, record, 0);
      }
    };
    for (let round = 0; round < 24; round += 1) fill(round);
    const { bytes } = kept;
    for (let round = 0; round < 240; round += 1) fill(round);
    expect(kept.bytes).toBe(bytes);
  });
});
