/**
 * Remembers of each of many records exactly the bytes that count: single 16-bit units, and texts up to their NUL. It
 * says whether a record still holds the same ones, and can write them back into an empty record.
 */

/** What counts in a record of one kind, in 16-bit units from its start. */
export interface RecordShape {
  readonly units: Uint16Array;
  /** Start and length of each text, one after the other. */
  readonly texts: Uint16Array;
}

/** A block holds the entries of some 400 connections; no entry is longer. */
const BLOCK_UNITS = 1 << 16;
/** Entries are rounded up to this, so that most can be used again for the next connection. */
const GRAIN_UNITS = 16;

/**
 * An entry is the kind of the record, the units of its shape, and each text with a NUL. Entries stand in blocks, so
 * that growing never copies; one that is given up is used again for another of its size.
 */
export class KeptRecords {
  readonly #shapes: readonly RecordShape[];
  readonly #blocks: Uint16Array[] = [];
  /** First unit of each slot's entry, and its length in grains; 0 = the slot has none. */
  #at = new Uint32Array(64);
  #grains = new Uint16Array(64);
  /** Entries given up, by their length in grains. */
  readonly #spare: number[][] = [];
  /** Unused units of the last block begin here. */
  #end = 0;

  /** `shapes` by kind of record. */
  constructor(shapes: readonly RecordShape[]) {
    this.#shapes = shapes;
  }

  has(slot: number): boolean {
    return slot < this.#grains.length && this.#grains[slot] !== 0;
  }

  /** Whether the record at `from` has the bytes that are kept for the slot, which must have some. */
  same(slot: number, kind: number, record: Uint16Array, from: number): boolean {
    const at = this.#at[slot]!;
    const block = this.#blocks[Math.floor(at / BLOCK_UNITS)]!;
    let k = at % BLOCK_UNITS;
    if (block[k++] !== kind) return false;
    const { units, texts } = this.#shapes[kind]!;
    for (let i = 0; i < units.length; i += 1) {
      if (block[k + i] !== record[from + units[i]!]) return false;
    }
    k += units.length;
    for (let i = 0; i < texts.length; i += 2) {
      let unit = from + texts[i]!;
      const end = unit + texts[i + 1]!;
      for (;;) {
        // A text may fill its array; the kept one has its NUL all the same.
        const value = unit === end ? 0 : record[unit++]!;
        if (block[k++] !== value) return false;
        if (value === 0) break;
      }
    }
    return true;
  }

  /** Keeps the bytes of the record at `from` for the slot, in place of what was kept for it. */
  keep(slot: number, kind: number, record: Uint16Array, from: number): void {
    const { units, texts } = this.#shapes[kind]!;
    let length = 1 + units.length;
    for (let i = 0; i < texts.length; i += 2) length += textLength(record, from, texts, i) + 1;
    const at = this.#place(slot, Math.ceil(length / GRAIN_UNITS));
    const block = this.#blocks[Math.floor(at / BLOCK_UNITS)]!;
    let k = at % BLOCK_UNITS;
    block[k++] = kind;
    for (let i = 0; i < units.length; i += 1) block[k + i] = record[from + units[i]!]!;
    k += units.length;
    for (let i = 0; i < texts.length; i += 2) {
      const start = from + texts[i]!;
      const end = start + textLength(record, from, texts, i);
      for (let unit = start; unit < end; unit += 1) block[k++] = record[unit]!;
      block[k++] = 0;
    }
  }

  /** Writes what is kept for the slot into the record at `to`, which is all zero; answers the kind. */
  restore(slot: number, record: Uint16Array, to: number): number {
    const at = this.#at[slot]!;
    const block = this.#blocks[Math.floor(at / BLOCK_UNITS)]!;
    let k = at % BLOCK_UNITS;
    const kind = block[k++]!;
    const { units, texts } = this.#shapes[kind]!;
    for (let i = 0; i < units.length; i += 1) record[to + units[i]!] = block[k + i]!;
    k += units.length;
    for (let i = 0; i < texts.length; i += 2) {
      let unit = to + texts[i]!;
      for (let value = block[k++]!; value !== 0; value = block[k++]!) record[unit++] = value;
    }
    return kind;
  }

  drop(slot: number): void {
    if (!this.has(slot)) return;
    (this.#spare[this.#grains[slot]!] ??= []).push(this.#at[slot]!);
    this.#grains[slot] = 0;
  }

  /** Bytes that all of it takes. */
  get bytes(): number {
    return this.#blocks.length * BLOCK_UNITS * 2 + this.#at.byteLength + this.#grains.byteLength;
  }

  /** An entry of `grains` for the slot: its own if it has that size. */
  #place(slot: number, grains: number): number {
    if (this.has(slot) && this.#grains[slot] === grains) return this.#at[slot]!;
    this.drop(slot);
    if (slot >= this.#at.length) {
      const length = Math.max(slot + 1, this.#at.length * 2);
      const at = new Uint32Array(length);
      at.set(this.#at);
      this.#at = at;
      const sizes = new Uint16Array(length);
      sizes.set(this.#grains);
      this.#grains = sizes;
    }
    const at = this.#spare[grains]?.pop() ?? this.#append(grains * GRAIN_UNITS);
    this.#at[slot] = at;
    this.#grains[slot] = grains;
    return at;
  }

  #append(units: number): number {
    if (
      this.#blocks.length === 0 ||
      this.#end % BLOCK_UNITS === 0 ||
      (this.#end % BLOCK_UNITS) + units > BLOCK_UNITS
    ) {
      this.#end = this.#blocks.length * BLOCK_UNITS;
      this.#blocks.push(new Uint16Array(BLOCK_UNITS));
    }
    const at = this.#end;
    this.#end += units;
    return at;
  }
}

function textLength(record: Uint16Array, from: number, texts: Uint16Array, text: number): number {
  const start = from + texts[text]!;
  const end = start + texts[text + 1]!;
  let unit = start;
  while (unit < end && record[unit] !== 0) unit += 1;
  return unit - start;
}
