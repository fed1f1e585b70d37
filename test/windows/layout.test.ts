/** The layout table against what a C compiler makes of the headers: mingw-w64's own, and missing.h for the rest. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { STRUCTS } from '../../src/native/layout.ts';
import { WineSuite, describeUnderWine } from './wine.ts';

interface Compiled {
  readonly origin: string;
  readonly size: number;
  readonly align: number;
  readonly fields: Map<string, { offset: number; size: number }>;
  readonly nested: { member: string; offset: number; type: string }[];
}

function parse(output: string): Map<string, Compiled> {
  const structs = new Map<string, Compiled>();
  for (const line of output.split(/\r?\n/)) {
    const [kind, a, b, c, d] = line.split(' ') as [string, string, string, string, string];
    if (kind === 'S') {
      structs.set(b, { origin: a, size: Number(c), align: Number(d), fields: new Map(), nested: [] });
    } else if (kind === 'F') {
      structs.get(a)!.fields.set(b, { offset: Number(c), size: Number(d) });
    } else if (kind === 'N') {
      structs.get(a)!.nested.push({ member: b, offset: Number(c), type: d });
    }
  }
  return structs;
}

/** All members of a structure by their C path, those of nested structures included. */
function flatten(
  structs: Map<string, Compiled>,
  name: string,
): Record<string, { offset: number; size: number }> {
  const { fields, nested } = structs.get(name)!;
  const inner = nested.flatMap(({ member, offset, type }) =>
    Object.entries(flatten(structs, type)).map(
      ([path, field]) => [`${member}.${path}`, { offset: offset + field.offset, size: field.size }] as const,
    ),
  );
  return Object.fromEntries([...fields, ...inner]);
}

describeUnderWine('the layout table', () => {
  let suite: WineSuite;
  let structs: Map<string, Compiled>;
  beforeAll(async () => {
    suite = await WineSuite.open();
    structs = parse(await suite.offsets());
  }, 300_000);
  afterAll(() => suite.dispose(), 60_000);

  it('covers the structures that were compiled, ten of them from the header of mingw', () => {
    expect([...structs.keys()].sort()).toEqual(STRUCTS.map(({ name }) => name).sort());
    expect([...structs.values()].filter(({ origin }) => origin === 'mingw')).toHaveLength(10);
  });

  it.each(STRUCTS)('$name has the offsets of C, field by field and no other', (structure) => {
    const compiled = structs.get(structure.name)!;
    const table = Object.entries(structure.fields).map(
      ([path, { offset, size }]) => [path.replaceAll('Anonymous.', ''), { offset, size }] as const,
    );
    expect({ size: structure.size, align: structure.align }).toEqual({
      size: compiled.size,
      align: compiled.align,
    });
    expect(table.length).toBeGreaterThan(0);
    expect(Object.fromEntries(table)).toEqual(flatten(structs, structure.name));
  });
});
