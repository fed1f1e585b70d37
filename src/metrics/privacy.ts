/**
 * How names of people and addresses are shown: as they are, as a keyed pseudonym, shortened, or not at all. Pure; who
 * applies it to what is decided in labels.ts alone.
 */
import { createHmac } from 'node:crypto';
import ipaddr from 'ipaddr.js';

export const USER_MODES = ['plain', 'pseudonym', 'none'] as const;
export type UserMode = (typeof USER_MODES)[number];
export const ADDRESS_MODES = ['plain', 'pseudonym', 'prefix', 'none'] as const;
export type AddressMode = (typeof ADDRESS_MODES)[number];

export interface Privacy {
  readonly users: UserMode;
  readonly addresses: AddressMode;
  /** Secret of the pseudonyms, 32 bytes; needed by the mode `pseudonym` only. */
  readonly key?: Uint8Array;
}

const HEX_DIGITS = 16;
const IPV4_PREFIX = 24;
const IPV6_PREFIX = 48;

/**
 * A name's pseudonym, `p-` and 16 hexadecimal digits of HMAC-SHA-256 over the name in lower case, as Windows compares
 * names without case. No name has no pseudonym.
 */
export function pseudonymOf(name: string, key: Uint8Array): string {
  if (name === '') return '';
  const digest = createHmac('sha256', key).update(name.toLowerCase()).digest('hex');
  return `p-${digest.slice(0, HEX_DIGITS)}`;
}

/** A name of a person, or one that bears it. */
export function showName(name: string, { users, key }: Privacy): string {
  if (users === 'plain') return name;
  return users === 'none' ? '' : pseudonymOf(name, needed(key));
}

/** An address of a person; text that is no address is shown in no mode but `plain`. */
export function showAddress(address: string, { addresses, key }: Privacy): string {
  if (addresses === 'plain') return address;
  if (addresses === 'none' || address === '') return '';
  if (addresses === 'pseudonym') return pseudonymOf(address, needed(key));
  return prefixOf(address);
}

/** The /24 of an IPv4 and the /48 of an IPv6 address, in CIDR notation. */
function prefixOf(address: string): string {
  if (!ipaddr.isValid(address)) return '';
  const parsed = ipaddr.process(address);
  const bits = parsed.kind() === 'ipv4' ? IPV4_PREFIX : IPV6_PREFIX;
  const bytes = parsed.toByteArray().map((byte, i) => (i < bits / 8 ? byte : 0));
  const network = ipaddr.fromByteArray(bytes);
  return `${network.kind() === 'ipv6' ? (network as ipaddr.IPv6).toRFC5952String() : network.toString()}/${bits}`;
}

function needed(key: Uint8Array | undefined): Uint8Array {
  if (!key) throw new Error('the mode pseudonym was chosen without a key');
  return key;
}
