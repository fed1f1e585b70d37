/** Reads single fields of raw records by the layout table, slowly and plainly: the tests' own decoder. */
import { expect } from 'vitest';
import type { EnumPage, Handle, RrasApi } from '../../../src/model/rras-api.ts';
import {
  fieldOf,
  INVALID_HANDLE_VALUE,
  MPR_INTERFACE_0,
  PREFER_ALL,
  RAS_CONNECTION_4,
  RAS_CONNECTION_EX,
  RAS_CONNECTION_OBJECT,
  RAS_PORT_0,
  type Struct,
} from '../../../src/native/layout.ts';

export class Rec {
  readonly struct: Struct;
  readonly bytes: Buffer;

  constructor(struct: Struct, bytes: Uint8Array) {
    this.struct = struct;
    this.bytes = Buffer.from(bytes);
  }

  u32(path: string): number {
    return this.bytes.readUInt32LE(fieldOf(this.struct, path).offset);
  }

  u8(path: string): number {
    return this.bytes.readUInt8(fieldOf(this.struct, path).offset);
  }

  u64(path: string): bigint {
    return this.bytes.readBigUInt64LE(fieldOf(this.struct, path).offset);
  }

  hex(path: string): string {
    const { offset, size } = fieldOf(this.struct, path);
    return this.bytes.toString('hex', offset, offset + size);
  }

  text(path: string): string {
    const { offset, size } = fieldOf(this.struct, path);
    return this.bytes.toString('utf16le', offset, offset + size).replace(/\0.*$/su, '');
  }

  /** Unix seconds of a FILETIME. */
  seconds(path: string): number {
    return Number(this.u64(path)) / 1e7 - 11_644_473_600;
  }
}

export type Kind = 'level4' | 'ex' | 'ports' | 'interfaces';
export const STRUCT_OF = {
  level4: RAS_CONNECTION_4,
  ex: RAS_CONNECTION_EX,
  ports: RAS_PORT_0,
  interfaces: MPR_INTERFACE_0,
} as const;

export function callPage(
  api: RrasApi,
  handle: Handle,
  kind: Kind,
  preferredLength = PREFER_ALL,
  resumeHandle = 0,
): Promise<EnumPage> {
  switch (kind) {
    case 'level4':
      return api.connectionEnum(handle, 4, preferredLength, resumeHandle);
    case 'ex':
      return api.connectionEnumEx(handle, RAS_CONNECTION_OBJECT, preferredLength, resumeHandle);
    case 'ports':
      return api.portEnum(handle, 0, INVALID_HANDLE_VALUE, preferredLength, resumeHandle);
    case 'interfaces':
      return api.interfaceEnum(handle, 0, preferredLength, resumeHandle);
  }
}

/** Copies a page's records and frees its buffer. */
export function takeRecords(page: EnumPage, kind: Kind): Rec[] {
  if (!page.buffer) return [];
  const struct = STRUCT_OF[kind];
  const bytes = page.buffer.view(page.entriesRead * struct.size);
  const records = Array.from(
    { length: page.entriesRead },
    (_, i) => new Rec(struct, bytes.subarray(i * struct.size, (i + 1) * struct.size)),
  );
  page.buffer.free();
  return records;
}

/** Follows the resume handle to the end, as mprapi-facts 5.1 says. */
export async function readAll(
  api: RrasApi,
  handle: Handle,
  kind: Kind,
  preferredLength = PREFER_ALL,
): Promise<Rec[]> {
  const records: Rec[] = [];
  for (let resume = 0; ;) {
    const page = await callPage(api, handle, kind, preferredLength, resume);
    records.push(...takeRecords(page, kind));
    if (page.code === 0) return records;
    expect(page.code).toBe(234);
    expect(page.entriesRead).toBeGreaterThan(0);
    resume = page.resumeHandle;
  }
}

export async function connect(api: RrasApi): Promise<Handle> {
  const { code, handle } = await api.serverConnect(null);
  expect(code).toBe(0);
  return handle;
}
