/**
 * Tells requests by a name that is none of this machine: whoever owns a name can turn it to 127.0.0.1, and his page then
 * asks as one of the exporter's own site (DNS rebinding).
 */
import { isIP } from 'node:net';
import type { Request } from 'express';
import type { Address } from './listen.ts';

/** A name or an address, as the header Host has it, with a port or without. Names of containers have underscores. */
const HOST = /^(?:[A-Za-z0-9_][A-Za-z0-9._-]{0,252}|\[[0-9A-Fa-f:.]{2,45}\])(?::\d{1,5})?$/;

/** What the request was sent to, as it says itself; undefined if that is no host:port. */
export function hostOf(request: Request): string | undefined {
  const host = request.get('Host') ?? '';
  return HOST.test(host) && URL.canParse(`http://${host}`) ? host : undefined;
}

/** The names of the machine and of its listeners. */
export function ownNames(machine: string, addresses: readonly Address[]): readonly string[] {
  return [machine, machine.split('.', 1)[0]!, ...addresses.flatMap(({ host }) => host ?? [])].map(plain);
}

/**
 * True if the request came to this machine from itself, in clear, by a name that is neither in `names` nor one that nobody
 * can turn to another address.
 */
export function isByForeignName(request: Request, names: readonly string[]): boolean {
  // TLS needs a certificate for the name. Of a connection that has ended the address is not known.
  if (request.secure || !isLoopback(request.socket.localAddress ?? '127.0.0.1')) return false;
  // Browsers say it always; checks of load balancers that speak HTTP/1.0 do not.
  if (request.get('Host') === undefined) return false;
  const host = hostOf(request);
  if (host === undefined) return true;
  const name = plain(host.replace(/:\d+$/, ''));
  const isFixed = isIP(name.replace(/^\[|\]$/g, '')) !== 0 || /^(?:.+\.)?localhost$/.test(name);
  return !isFixed && !names.includes(name);
}

const plain = (name: string): string => name.toLowerCase().replace(/\.$/, '');

const isLoopback = (address: string): boolean => /^(?:::ffff:)?127\.|^::1$/.test(address);
