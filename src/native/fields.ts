/** Reads single fields of a record's bytes, and says what the coded ones mean. Pure; knows no structure. */
import ipaddr from 'ipaddr.js';
import type { Auth, Compression, Encryption, Tunnel } from '../model/words.ts';

/** A fixed array of UTF-16 units up to its first NUL or its end; unpaired surrogates stay as they are. */
export function readWide(bytes: Buffer, offset: number, size: number): string {
  let end = offset;
  const limit = offset + size;
  while (end < limit && (bytes[end] !== 0 || bytes[end + 1] !== 0)) end += 2;
  return end === offset ? '' : bytes.toString('utf16le', offset, end);
}

const ALL_ZERO = /^0*$/;
/** Bytes as hexadecimal digits; '' if all are zero. */
export function readHexOrEmpty(bytes: Buffer, offset: number, size: number): string {
  const hex = bytes.toString('hex', offset, offset + size);
  return ALL_ZERO.test(hex) ? '' : hex;
}

/** A little-endian 64-bit value as 16 hexadecimal digits. */
export function readHex64(bytes: Buffer, offset: number): string {
  return (
    bytes
      .readUInt32LE(offset + 4)
      .toString(16)
      .padStart(8, '0') + bytes.readUInt32LE(offset).toString(16).padStart(8, '0')
  );
}

const FILETIME_TICKS_PER_SECOND = 1e7;
const SECONDS_1601_TO_1970 = 11_644_473_600;
/** FILETIME (100 ns since 1601-01-01 UTC, high and low half) as Unix seconds. */
export function filetimeSeconds(high: number, low: number): number {
  return (high * 4_294_967_296 + low) / FILETIME_TICKS_PER_SECOND - SECONDS_1601_TO_1970;
}

/** A client's IPv6 tunnel address from its /64 prefix and interface identifier; '' if none was negotiated. */
export function ipv6Address(bytes: Buffer, prefixOffset: number, identifierOffset: number): string {
  const address = [
    ...bytes.subarray(prefixOffset, prefixOffset + 8),
    ...bytes.subarray(identifierOffset, identifierOffset + 8),
  ];
  if (address.every((byte) => byte === 0)) return '';
  return new ipaddr.IPv6(address).toRFC5952String();
}

/** EAP type numbers of the IANA registry. */
const EAP_TLS = 13;
const EAP_MSCHAPV2 = new Set([26, 29]);
function eapAuth(type: number, inner: number): Auth {
  if (EAP_MSCHAPV2.has(type)) return 'eap_mschapv2';
  switch (type) {
    case 4:
      return 'eap_md5';
    case EAP_TLS:
      return 'eap_tls';
    case 21:
      return 'eap_ttls';
    case 25:
      return inner === EAP_TLS ? 'peap_eap_tls' : EAP_MSCHAPV2.has(inner) ? 'peap_mschapv2' : 'peap';
    default:
      return 'eap_other';
  }
}

/** PPP: authentication protocol, its data (the CHAP algorithm) and EAP types; `inner` 0 where the source has none. */
export function pppAuth(protocol: number, data: number, eapType: number, inner: number): Auth {
  switch (protocol) {
    case 0:
      return 'none';
    case 0xc023:
      return 'pap';
    case 0xc027:
      return 'spap';
    case 0xc223:
      return data === 0x81 ? 'mschapv2' : data === 0x80 ? 'mschap' : 'chap';
    case 0xc227:
      return eapAuth(eapType, inner);
    default:
      return 'unknown';
  }
}

/** IKEv2: dwAuthenticationProtocol 1 = machine certificate, 2 = EAP. */
export function ikev2Auth(protocol: number, eapType: number, inner: number): Auth {
  return protocol === 1 ? 'machine_certificate' : protocol === 2 ? eapAuth(eapType, inner) : 'unknown';
}

/** Cipher bits of the LCP options (the IPsec layer of L2TP), strongest first. */
const LCP_CIPHERS: readonly (readonly [bit: number, name: Encryption])[] = [
  [0x800, 'aes256_gcm'],
  [0x400, 'aes192_gcm'],
  [0x200, 'aes128_gcm'],
  [0x080, 'aes256'],
  [0x100, 'aes192'],
  [0x040, 'aes128'],
  [0x020, '3des'],
  [0x010, 'des'],
];
const CCP_CIPHERS: readonly (readonly [bits: number, name: Encryption])[] = [
  [0x40, 'mppe128'],
  [0x80, 'mppe56'],
  [0x30, 'mppe40'],
];
const CCP_COMPRESSION = 0x01;

export function pppEncryption(lcpOptions: number, ccpOptions: number): Encryption {
  for (const [bit, name] of LCP_CIPHERS) if (lcpOptions & bit) return name;
  for (const [bits, name] of CCP_CIPHERS) if (ccpOptions & bits) return name;
  return 'none';
}

const IKEV2_CIPHERS: readonly Encryption[] = ['none', 'des', '3des', 'aes128', 'aes192', 'aes256'];
/** IPSEC_CIPHER_TYPE. */
export function ikev2Encryption(method: number): Encryption {
  return IKEV2_CIPHERS[method] ?? 'unknown';
}

/** CCP algorithm 6 also carries MPPE; only with its compression bit does it compress. */
export function pppCompression(algorithm: number, ccpOptions: number): Compression {
  if (algorithm === 0) return 'none';
  if (algorithm === 5) return 'stac';
  if (algorithm === 6) return ccpOptions & CCP_COMPRESSION ? 'mppc' : 'none';
  return 'other';
}

const DEVICE_TUNNELS: Readonly<Record<number, Tunnel>> = {
  8: 'pptp',
  9: 'l2tp',
  13: 'pppoe',
  14: 'sstp',
  15: 'ikev2',
};
const LAST_DEVICE_TYPE = 15;
/** RASDEVICETYPE without its class bits; undefined if it is none. */
export function deviceTunnel(deviceType: number): Tunnel | undefined {
  const type = deviceType & 0xffff;
  return type > LAST_DEVICE_TYPE ? undefined : (DEVICE_TUNNELS[type] ?? 'other');
}

const DEVICE_NAME = /\b(IKEv2|SSTP|L2TP|PPTP|PPPOE)\b/i;
/** The tunnel of a port: only its device name tells, as in "WAN Miniport (SSTP)". */
export function portTunnel(deviceName: string): Tunnel {
  const match = DEVICE_NAME.exec(deviceName);
  return match ? (match[1]!.toLowerCase() as Tunnel) : deviceName === '' ? 'unknown' : 'other';
}
