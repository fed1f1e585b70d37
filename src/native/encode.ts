/** Writes the records that are handed to the API. Pure; refuses what would not fit or would say something else. */
import { isIP } from 'node:net';
import { fieldOf, offsetOf, RAS_UPDATE_CONNECTION, UPDATE_CONNECTION_OBJECT } from './layout.ts';

/** The values cannot be put into the structure as they are. */
export class BadValue extends Error {
  override readonly name = 'BadValue';
}

export interface EndpointUpdate {
  /** dwIfIndex: the server's IP interface to move to. */
  readonly interfaceIndex: number;
  readonly localAddress: string;
  readonly remoteAddress: string;
}

/** A whole RAS_UPDATE_CONNECTION, 268 bytes. Both addresses must be IPv4 or both IPv6, without a zone. */
export function encodeUpdateConnection(update: EndpointUpdate): Uint8Array<ArrayBuffer> {
  const { interfaceIndex, localAddress, remoteAddress } = update;
  if (!Number.isInteger(interfaceIndex) || interfaceIndex < 0 || interfaceIndex > 0xffff_ffff) {
    throw new BadValue('the interface index is no 32-bit number');
  }
  const [local, remote] = [familyOf(localAddress), familyOf(remoteAddress)];
  if (local === 0 || remote === 0) throw new BadValue('an endpoint address is no IP address');
  if (local !== remote) throw new BadValue('the endpoint addresses are of two families');
  const struct = RAS_UPDATE_CONNECTION;
  const { revision, type, size } = UPDATE_CONNECTION_OBJECT;
  const bytes = new Uint8Array(struct.size);
  const view = new DataView(bytes.buffer);
  view.setUint8(offsetOf(struct, 'Header.revision'), revision);
  view.setUint8(offsetOf(struct, 'Header.type'), type);
  view.setUint16(offsetOf(struct, 'Header.size'), size, true);
  view.setUint32(offsetOf(struct, 'dwIfIndex'), interfaceIndex, true);
  const texts = { wszLocalEndpointAddress: localAddress, wszRemoteEndpointAddress: remoteAddress };
  for (const [member, text] of Object.entries(texts)) {
    const field = fieldOf(struct, member);
    // The last unit stays 0 in any case.
    if (text.length >= field.size / 2) throw new BadValue('an endpoint address is too long');
    for (let i = 0; i < text.length; i += 1) view.setUint16(field.offset + i * 2, text.charCodeAt(i), true);
  }
  return bytes;
}

/** 4, 6, or 0 for what is no address; a zone (`%eth0`) means something on one machine only. */
const familyOf = (address: string): number => (address.includes('%') ? 0 : isIP(address));
