/** Takes a gzip answer apart by RFC 1952, more strictly than readers do: they forgive what some others do not. */
import { crc32, inflateRawSync } from 'node:zlib';

const HEADER_BYTES = 10;
const TRAILER_BYTES = 8;
const MAGIC = 0x1f8b;
const DEFLATE = 8;

/** What is in a file of exactly one member without a name, comment or extra field. Throws for anything else. */
export function readOnlyMember(file: Uint8Array): Buffer {
  const bytes = Buffer.from(file.buffer, file.byteOffset, file.length);
  if (bytes.length < HEADER_BYTES + TRAILER_BYTES) throw new Error(`${bytes.length} bytes are no gzip file`);
  if (bytes.readUInt16BE(0) !== MAGIC || bytes[2] !== DEFLATE) throw new Error('the header is not of gzip');
  if (bytes[3] !== 0) throw new Error(`the header has flags: ${bytes[3]}`);
  const { buffer: content, engine } = inflateRawSync(bytes.subarray(HEADER_BYTES), {
    info: true,
  }) as unknown as { buffer: Buffer; engine: { bytesWritten: number } };
  const trailer = bytes.subarray(HEADER_BYTES + engine.bytesWritten);
  if (trailer.length !== TRAILER_BYTES) {
    throw new Error(`${trailer.length} bytes follow the last block, not the ${TRAILER_BYTES} of a trailer`);
  }
  const sum = crc32(content);
  if (trailer.readUInt32LE(0) !== sum) throw new Error(`the CRC is ${sum}, not ${trailer.readUInt32LE(0)}`);
  if (trailer.readUInt32LE(4) !== content.length % 2 ** 32) {
    throw new Error(`the length is ${content.length}, not ${trailer.readUInt32LE(4)}`);
  }
  return content;
}

/** All bytes of what is handed out piece by piece. */
export async function gather(parts: Iterable<Uint8Array> | AsyncIterable<Uint8Array>): Promise<Buffer> {
  const gathered: Uint8Array[] = [];
  for await (const part of parts) gathered.push(part);
  return Buffer.concat(gathered);
}
