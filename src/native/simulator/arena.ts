/**
 * A persistent table of equal records, kept up to date in place, from which an answer is copied in one go. Its words
 * are little-endian as on every platform that runs this.
 */
import type { Field, Struct } from '../layout.ts';

export class Arena {
  readonly stride: number;
  readonly u8: Uint8Array;
  readonly u32: Uint32Array;
  readonly #u16: Uint16Array;

  constructor(struct: Struct, rows: number) {
    if (struct.size % 4 !== 0) throw new Error(`${struct.name} is not made of 32-bit words`);
    this.stride = struct.size;
    const memory = new ArrayBuffer(struct.size * rows);
    this.u8 = new Uint8Array(memory);
    this.#u16 = new Uint16Array(memory);
    this.u32 = new Uint32Array(memory);
  }

  clear(row: number): void {
    this.u8.fill(0, row * this.stride, (row + 1) * this.stride);
  }

  /** Writes a fixed array of UTF-16 units; what does not fit before the terminator is cut, as the API does. */
  text(row: number, field: Field, value: string): void {
    const start = (row * this.stride + field.offset) >> 1;
    const units = field.size >> 1;
    const length = Math.min(value.length, units - 1);
    for (let i = 0; i < length; i++) this.#u16[start + i] = value.charCodeAt(i);
    this.#u16.fill(0, start + length, start + units);
  }

  /** Copies rows `rows[from]` to `rows[to - 1]` into `target`, neighbours together. */
  gather(rows: Uint32Array, from: number, to: number, target: Uint8Array): void {
    let at = 0;
    for (let i = from; i < to;) {
      const first = rows[i]!;
      let end = first + 1;
      for (i++; i < to && rows[i] === end; i++) end++;
      const run = this.u8.subarray(first * this.stride, end * this.stride);
      target.set(run, at);
      at += run.length;
    }
  }
}

/** Positions of members in 32-bit words from the record's start, by name. */
export function words<const N extends string>(
  struct: Struct,
  prefix: string,
  names: readonly N[],
): Readonly<Record<N, number>> {
  const result: Partial<Record<N, number>> = {};
  for (const name of names) {
    const field = struct.fields[prefix + name];
    if (!field || field.offset % 4 !== 0)
      throw new Error(`${struct.name}.${prefix}${name} is no 32-bit word`);
    result[name] = field.offset / 4;
  }
  return result as Record<N, number>;
}
