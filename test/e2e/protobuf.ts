/**
 * The wire format of Protocol Buffers, by the book and apart from what the program under test writes it with
 * (protobuf.dev/programming-guides/encoding). The schema is the caller's: a field is asked for by number and type.
 */

const WIRE = { varint: 0, fixed64: 1, bytes: 2, fixed32: 5 } as const;

type Value = bigint | Uint8Array;

interface Field {
  readonly wire: number;
  /** An unsigned integer, or the bytes of a fixed or a length-delimited field. */
  readonly value: Value;
}

class Cursor {
  readonly #bytes: Uint8Array;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  get done(): boolean {
    return this.#at === this.#bytes.length;
  }

  varint(): bigint {
    let value = 0n;
    for (let shift = 0n; shift < 70n; shift += 7n) {
      const [byte] = this.take(1);
      value |= BigInt(byte! & 0x7f) << shift;
      if (byte! < 0x80) return BigInt.asUintN(64, value);
    }
    throw new Error('a varint of more than 10 bytes');
  }

  take(length: number): Uint8Array {
    const bytes = this.#bytes.subarray(this.#at, this.#at + length);
    if (bytes.length < length) throw new Error(`the message breaks off: ${length} bytes at ${this.#at}`);
    this.#at += length;
    return bytes;
  }
}

/** A message that was received. Fields that are not there have the default of proto3, or undefined where it says so. */
export class Message {
  readonly #fields = new Map<number, Field[]>();

  /** @throws Error if the bytes are no message. */
  constructor(bytes: Uint8Array) {
    const cursor = new Cursor(bytes);
    while (!cursor.done) {
      const tag = Number(cursor.varint());
      const [number, wire] = [Math.floor(tag / 8), tag % 8];
      if (number === 0) throw new Error('a field with the number 0');
      const fields = this.#fields.get(number) ?? [];
      this.#fields.set(number, fields);
      fields.push({ wire, value: read(cursor, wire) });
    }
  }

  /** Numbers of the fields that are there. */
  get numbers(): number[] {
    return [...this.#fields.keys()];
  }

  messages(number: number): Message[] {
    return this.#all(number, WIRE.bytes).map((value) => new Message(value as Uint8Array));
  }

  message(number: number): Message | undefined {
    return this.messages(number).at(-1);
  }

  texts(number: number): string[] {
    const decoder = new TextDecoder('utf-8', { fatal: true });
    return this.#all(number, WIRE.bytes).map((value) => decoder.decode(value as Uint8Array));
  }

  text(number: number): string {
    return this.texts(number).at(-1) ?? '';
  }

  /** Lower-case hexadecimal digits. */
  hex(number: number): string {
    return Buffer.from((this.#all(number, WIRE.bytes).at(-1) ?? new Uint8Array()) as Uint8Array).toString(
      'hex',
    );
  }

  /** An unsigned integer, an enumeration or a boolean. */
  integer(number: number): number {
    return Number(this.#all(number, WIRE.varint).at(-1) ?? 0n);
  }

  /** An int64; undefined if it is not there. */
  signed(number: number): number | undefined {
    const value = this.#all(number, WIRE.varint).at(-1) as bigint | undefined;
    return value === undefined ? undefined : Number(BigInt.asIntN(64, value));
  }

  double(number: number): number | undefined {
    return this.#fixed(number, 8, (view, at) => view.getFloat64(at, true)).at(-1);
  }

  doubles(number: number): number[] {
    return this.#fixed(number, 8, (view, at) => view.getFloat64(at, true));
  }

  fixed64(number: number): bigint | undefined {
    return this.fixed64s(number).at(-1);
  }

  fixed64s(number: number): bigint[] {
    return this.#fixed(number, 8, (view, at) => view.getBigUint64(at, true));
  }

  sfixed64(number: number): bigint | undefined {
    return this.#fixed(number, 8, (view, at) => view.getBigInt64(at, true)).at(-1);
  }

  #all(number: number, wire: number): Value[] {
    return (this.#fields.get(number) ?? []).map((field) => {
      if (field.wire !== wire)
        throw new Error(`field ${number} has the wire type ${field.wire}, not ${wire}`);
      return field.value;
    });
  }

  /** One by one or packed: a reader takes both. */
  #fixed<T>(number: number, size: number, get: (view: DataView, at: number) => T): T[] {
    return (this.#fields.get(number) ?? []).flatMap(({ wire, value }) => {
      if (wire !== WIRE.fixed64 && wire !== WIRE.bytes)
        throw new Error(`field ${number} has the wire type ${wire}`);
      const bytes = value as Uint8Array;
      if (bytes.length % size !== 0)
        throw new Error(`field ${number} has ${bytes.length} bytes, no multiple of ${size}`);
      const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
      return Array.from({ length: bytes.length / size }, (_, i) => get(view, i * size));
    });
  }
}

function read(cursor: Cursor, wire: number): Value {
  switch (wire) {
    case WIRE.varint:
      return cursor.varint();
    case WIRE.fixed64:
      return cursor.take(8);
    case WIRE.bytes:
      return cursor.take(Number(cursor.varint()));
    case WIRE.fixed32:
      return cursor.take(4);
    default:
      throw new Error(`the wire type ${wire} does not exist`);
  }
}

/** A message to be sent: field by field, in this order. */
export class MessageWriter {
  readonly #parts: Buffer[] = [];

  varint(number: number, value: bigint | number): this {
    return this.#field(number, WIRE.varint, varint(BigInt(value)));
  }

  fixed64(number: number, value: bigint): this {
    const bytes = Buffer.alloc(8);
    bytes.writeBigUInt64LE(value);
    return this.#field(number, WIRE.fixed64, bytes);
  }

  double(number: number, value: number): this {
    const bytes = Buffer.alloc(8);
    bytes.writeDoubleLE(value);
    return this.#field(number, WIRE.fixed64, bytes);
  }

  text(number: number, value: string): this {
    return this.#bytes(number, Buffer.from(value));
  }

  message(number: number, fill: (writer: MessageWriter) => MessageWriter): this {
    return this.#bytes(number, fill(new MessageWriter()).end());
  }

  end(): Buffer {
    return Buffer.concat(this.#parts);
  }

  #bytes(number: number, bytes: Buffer): this {
    return this.#field(number, WIRE.bytes, Buffer.concat([varint(BigInt(bytes.length)), bytes]));
  }

  #field(number: number, wire: number, value: Buffer): this {
    this.#parts.push(varint(BigInt(number * 8 + wire)), value);
    return this;
  }
}

function varint(value: bigint): Buffer {
  const bytes: number[] = [];
  let rest = BigInt.asUintN(64, value);
  do {
    const low = Number(rest & 0x7fn);
    rest >>= 7n;
    bytes.push(rest === 0n ? low : low | 0x80);
  } while (rest !== 0n);
  return Buffer.from(bytes);
}
