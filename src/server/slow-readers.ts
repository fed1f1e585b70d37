/** Bounds the memory that slow readers hold: pages that newer ones have replaced stay only for who still reads them. */

interface Held {
  bytes: number;
  /** Ends the answer of each reader. */
  readonly readers: Set<() => void>;
  readonly encodings: Set<string>;
}

/** Beyond that, the readers of the oldest page are cut off, however long they have had. */
const HELD_BYTES = 64 * 1024 * 1024;

export class SlowReaders {
  /** By the page's number, oldest first. */
  readonly #held = new Map<number, Held>();

  /** A reader begins with a page in an encoding of so many bytes; answers what is to be called when it has ended. */
  begin(page: number, encoding: string, bytes: number, cutOff: () => void): () => void {
    let held = this.#held.get(page);
    if (!held) {
      this.#makeRoom();
      held = { bytes: 0, readers: new Set(), encodings: new Set() };
      this.#held.set(page, held);
    }
    if (!held.encodings.has(encoding)) held.bytes += bytes;
    held.encodings.add(encoding);
    held.readers.add(cutOff);
    const { readers } = held;
    return () => {
      readers.delete(cutOff);
      if (readers.size === 0) this.#held.delete(page);
    };
  }

  /** What is held is about to be replaced by a newer page. */
  #makeRoom(): void {
    let bytes = 0;
    for (const held of this.#held.values()) bytes += held.bytes;
    for (const [page, held] of this.#held) {
      if (bytes <= HELD_BYTES) return;
      bytes -= held.bytes;
      this.#held.delete(page);
      for (const cutOff of held.readers) cutOff();
    }
  }
}
