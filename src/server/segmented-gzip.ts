/**
 * Compresses a page segment by segment, several at once and off the event loop, into one ordinary gzip member (RFC 1952).
 * What a segment came to is kept as long as the segment lives.
 */
import { promisify } from 'node:util';
import { constants, crc32, deflateRaw as deflateRawCallback } from 'node:zlib';
import type { Clock } from '../model/clock.ts';
import type { Sliced } from '../model/slices.ts';
import { inSlices } from '../model/slices.ts';

const deflateRaw = promisify(deflateRawCallback);

const LEVEL = 1;
/** As many as the thread pool takes; each has a window of its own in memory. */
const AT_ONCE = 4;
/** No name, no time; "fastest", written by an unknown system. */
const HEADER = Buffer.from([0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 4, 0xff]);
/** An empty last block of deflate. */
const LAST_BLOCK = Buffer.from([0x03, 0x00]);
/** Text of this kind shrinks to less than that, so that one output buffer does. */
const USUAL_SHARE = 1 / 4;
const LEAST_BUFFER_BYTES = 1024;

export class SegmentedGzip {
  readonly #clock: Clock;
  readonly #deflated = new WeakMap<Uint8Array, Uint8Array>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** The segments, which nobody may change any more, as one gzip member. */
  async compress(page: readonly Uint8Array[]): Promise<Buffer> {
    // zlib takes the sum of an empty one for 0, whatever came before.
    const segments = page.filter(({ length }) => length > 0);
    const waiting = segments.filter((segment) => !this.#deflated.has(segment)).values();
    const work = async (): Promise<void> => {
      for (const segment of waiting) this.#deflated.set(segment, await deflate(segment));
    };
    const [trailer] = await Promise.all([
      inSlices(trailerOf(segments), this.#clock),
      ...Array.from({ length: AT_ONCE }, work),
    ]);
    const parts = segments.map((segment) => this.#deflated.get(segment)!);
    const member = Buffer.concat([HEADER, ...parts, LAST_BLOCK, trailer]);
    // Kept within the newest member, and not a second time beside it.
    let at = HEADER.length;
    for (const [i, { length }] of parts.entries()) {
      this.#deflated.set(segments[i]!, member.subarray(at, at + length));
      at += length;
    }
    return member;
  }
}

/** A full flush ends on a byte and refers to nothing before: segments can be joined in any company. */
async function deflate(segment: Uint8Array): Promise<Uint8Array> {
  return deflateRaw(segment, {
    level: LEVEL,
    finishFlush: constants.Z_FULL_FLUSH,
    chunkSize: Math.max(LEAST_BUFFER_BYTES, Math.ceil(segment.length * USUAL_SHARE)),
  });
}

function* trailerOf(segments: readonly Uint8Array[]): Sliced<Buffer> {
  let crc = 0;
  let length = 0;
  for (const segment of segments) {
    crc = crc32(segment, crc);
    length += segment.length;
    yield;
  }
  const trailer = Buffer.alloc(8);
  trailer.writeUInt32LE(crc, 0);
  // The length modulo 2^32, as the format has it.
  trailer.writeUInt32LE(length >>> 0, 4);
  return trailer;
}
