/** Addresses to listen on as Go programs write them: `:10077`, `127.0.0.1:10077`, `[::1]:10077`, `host:port`. */
import { isIP, isIPv4, isIPv6 } from 'node:net';

export interface ListenAddress {
  /** IP address without brackets, or host name; null: all addresses of the machine. */
  readonly host: string | null;
  /** 0: a free port is chosen. */
  readonly port: number;
}

const HOST_NAME = /^(?=.{1,253}$)[a-z0-9_](?:[a-z0-9_-]{0,62})(?:\.[a-z0-9_](?:[a-z0-9_-]{0,62}))*\.?$/i;

/** null if the text is not an address. */
export function parseListenAddress(text: string): ListenAddress | null {
  const parts = /^(?:\[(?<bracketed>[^[\]]*)\]|(?<plain>[^:[\]]*)):(?<port>\d{1,5})$/.exec(text)?.groups;
  if (!parts) return null;
  const port = Number(parts['port']);
  if (port > 65_535) return null;
  const bracketed = parts['bracketed'];
  if (bracketed !== undefined) return isIPv6(bracketed) ? { host: bracketed, port } : null;
  const plain = parts['plain'] ?? '';
  if (plain === '') return { host: null, port };
  // Digits and dots only is a mistyped IPv4 address, never a name.
  const valid = /^[\d.]+$/.test(plain) ? isIPv4(plain) : HOST_NAME.test(plain);
  return valid ? { host: plain, port } : null;
}

/** As it stands in a URL or on the command line. */
export function formatListenAddress(address: ListenAddress): string {
  const host = address.host ?? '';
  return `${isIP(host) === 6 ? `[${host}]` : host}:${address.port}`;
}

/** True if only programs of this machine can reach the address. A name other than localhost could mean anything. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || (isIPv4(host) && host.startsWith('127.'));
}
