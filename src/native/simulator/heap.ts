/**
 * The memory that answers are handed out in. It is as unforgiving as a test wants it: poisoned when freed, refused
 * when freed twice or looked at afterwards, and all of it is counted.
 */
import type { NativeBuffer } from '../../model/rras-api.ts';

/** What freed memory is filled with: no count, time or text that the API would return. */
export const POISON = 0xdd;

/**
 * From this size on, freed memory is used again for the next large block, as a real heap would. Fresh pages for
 * 50,000 connections cost 43 of 51 ms per call (measured), and dead blocks pile up until a collection.
 */
const RECYCLED_BYTES = 16 * 1024 * 1024;

export class Ledger {
  allocations = 0;
  frees = 0;
  /** Server handles given out and given back. */
  opened = 0;
  closed = 0;
  /** Disconnects of, and calls with, a handle that was not open. */
  strayHandles = 0;

  /** Blocks not yet freed. */
  get live(): number {
    return this.allocations - this.frees;
  }
}

export class Heap {
  readonly ledger: Ledger;
  #spare: Uint8Array | null = null;

  constructor(ledger: Ledger) {
    this.ledger = ledger;
  }

  /** A block of exactly `bytes`, which `fill` writes. */
  allocate(bytes: number, fill: (block: Uint8Array) => void): NativeBuffer {
    const memory = this.#take(bytes);
    const block = memory.subarray(0, bytes);
    fill(block);
    this.ledger.allocations++;
    let freed = false;
    return {
      view: (length) => {
        if (freed) throw new Error('view of a buffer that was freed');
        if (length > bytes) throw new RangeError(`view of ${length} bytes of a block of ${bytes}`);
        return block.subarray(0, length);
      },
      free: () => {
        if (freed) throw new Error('buffer freed twice');
        freed = true;
        this.ledger.frees++;
        block.fill(POISON);
        const worthKeeping = memory.length >= RECYCLED_BYTES && memory.length > (this.#spare?.length ?? 0);
        if (worthKeeping) this.#spare = memory;
      },
    };
  }

  #take(bytes: number): Uint8Array {
    const spare = this.#spare;
    if (spare && bytes >= RECYCLED_BYTES && bytes <= spare.length) {
      this.#spare = null;
      return spare;
    }
    // Never from Node's pool: a view must not see a neighbour, and 8-byte members must be aligned.
    const { buffer } = Buffer.allocUnsafeSlow(bytes);
    return new Uint8Array(buffer, 0, bytes);
  }
}
