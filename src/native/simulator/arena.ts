/** Equal records in one piece of memory, to be written. Words are little-endian as on every platform that runs this. */
import type { Field, Struct } from '../layout.ts';

export class Arena {
  readonly stride: number;
  readonly u8: Uint8Array;
  readonly u16: Uint16Array;
  readonly u32: Uint32Array;

  /** In `memory`, which is 4-aligned; without it in memory of its own, for one record. */
  constructor(struct: Struct, memory: Uint8Array = new Uint8Array(struct.size)) {
    if (struct.size % 4 !== 0) throw new Error(`${struct.name} is not made of 32-bit words`);
    const { buffer, byteOffset, length } = memory;
    this.stride = struct.size;
    this.u8 = memory;
    this.u16 = new Uint16Array(buffer, byteOffset, length / 2);
    this.u32 = new Uint32Array(buffer, byteOffset, length / 4);
  }

  clear(row: number): void {
    this.u8.fill(0, row * this.stride, (row + 1) * this.stride);
  }

  /**
   * Writes a text and its terminator into a fixed array of UTF-16 units; what does not fit is cut, as the API does.
   * What stands behind the terminator stays.
   */
  text(row: number, field: Field, value: string): void {
    const start = (row * this.stride + field.offset) >> 1;
    const units = field.size >> 1;
    const length = Math.min(value.length, units - 1);
    for (let i = 0; i < length; i++) this.u16[start + i] = value.charCodeAt(i);
    this.u16[start + length] = 0;
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
