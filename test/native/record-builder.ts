/** Builds native records by the layout table, so that a test can say a field's name and value and nothing of offsets. */
import type { Struct } from '../../src/native/layout.ts';
import { fieldOf, RAS_CONNECTION_4, RAS_CONNECTION_EX } from '../../src/native/layout.ts';

/** Texts for `wstr`, 32 digits for a guid, ticks for a filetime, digits for bytes, else a number. */
export type FieldValue = number | bigint | string;
export type FieldValues = Readonly<Record<string, FieldValue>>;

/** 2026-11-21 00:00:00 UTC in Unix seconds: what the decoders under test take for now. */
export const NOW_SECONDS = 1_795_219_200;
export const ticksOf = (unixSeconds: number): bigint =>
  BigInt(Math.round((unixSeconds + 11_644_473_600) * 1000)) * 10_000n;

/** One record; fields that are not named are 0. A text as long as its array gets no NUL. */
export function record(struct: Struct, values: FieldValues): Buffer {
  const bytes = Buffer.alloc(struct.size);
  for (const [path, value] of Object.entries(values)) put(bytes, struct, path, value);
  return bytes;
}

/** Writes one field of a record that exists. */
export function put(bytes: Buffer, struct: Struct, path: string, value: FieldValue): void {
  const { type, offset, size } = fieldOf(struct, path);
  if (typeof value === 'string') {
    if (type === 'wstr') {
      if (value.length * 2 > size) throw new Error(`${path} holds ${size / 2} units, not ${value.length}`);
      bytes.fill(0, offset, offset + size);
      for (let i = 0; i < value.length; i += 1) bytes.writeUInt16LE(value.charCodeAt(i), offset + i * 2);
    } else if (value.length !== size * 2 || bytes.write(value, offset, 'hex') !== size) {
      throw new Error(`${path} holds ${size} bytes`);
    }
    return;
  }
  if (size === 8) bytes.writeBigUInt64LE(BigInt(value), offset);
  else bytes.writeUIntLE(Number(value), offset, size);
}

/** Records one after the other, at an address that 8-byte members are aligned to. */
export function pageOf(...records: readonly Uint8Array[]): Uint8Array {
  const length = records.reduce((sum, { byteLength }) => sum + byteLength, 0);
  const page = new Uint8Array(Buffer.allocUnsafeSlow(length).buffer);
  let at = 0;
  for (const each of records) {
    page.set(each, at);
    at += each.byteLength;
  }
  return page;
}

export type ConnectionApi = 'level4' | 'ex';
export const CONNECTION_STRUCT: Readonly<Record<ConnectionApi, Struct>> = {
  level4: RAS_CONNECTION_4,
  ex: RAS_CONNECTION_EX,
};
export const PPP = 'ProjectionInfo.Anonymous.PppProjectionInfo';
export const IKEV2 = 'ProjectionInfo.Anonymous.Ikev2ProjectionInfo';
export const PROJECTION_TYPE = 'ProjectionInfo.projectionInfoType';

/** A sound IKEv2 client connection, 100 seconds old, with `values` over it. */
export function connection(api: ConnectionApi, handle: number | bigint, values: FieldValues = {}): Buffer {
  const duration = Number(values['dwConnectDuration'] ?? 100);
  return record(CONNECTION_STRUCT[api], {
    ...(api === 'level4'
      ? { dwDeviceType: 15, connectionStartTime: ticksOf(NOW_SECONDS - duration) }
      : { 'Header.revision': 1, 'Header.type': 1, 'Header.size': RAS_CONNECTION_EX.size }),
    dwConnectDuration: duration,
    wszUserName: `user-${handle}`,
    wszRemoteEndpointAddress: '203.0.113.5',
    wszLocalEndpointAddress: '192.0.2.1',
    [PROJECTION_TYPE]: 2,
    [`${IKEV2}.dwAuthenticationProtocol`]: 1,
    [`${IKEV2}.dwEncryptionMethod`]: 5,
    hConnection: handle,
    ...values,
  });
}
