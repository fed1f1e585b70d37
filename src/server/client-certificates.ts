/** Who may connect by its certificate, and who a client is by it, as far as it was verified against the configured CA. */
import type { IncomingMessage } from 'node:http';
import { isIP, SocketAddress } from 'node:net';
import type { Duplex } from 'node:stream';
import type { TLSSocket } from 'node:tls';
import type { ClientAuth } from './web-config-schema.ts';

export interface ClientRules {
  readonly auth: ClientAuth;
  readonly hasCa: boolean;
  readonly allowedSans: ReadonlySet<string> | null;
  /** Tells rules apart, including the CA that they stand on. */
  readonly id: string;
}

/** `caId` tells one client CA from another. */
export function clientRules(
  config: {
    readonly clientAuth: ClientAuth;
    readonly clientCa: unknown;
    readonly allowedSans: readonly string[] | null;
  },
  caId: string,
): ClientRules {
  const { clientAuth: auth, clientCa, allowedSans } = config;
  return {
    auth,
    hasCa: clientCa !== null,
    allowedSans: allowedSans && new Set(allowedSans.map(canonical)),
    id: JSON.stringify([auth, allowedSans, caId]),
  };
}

/** Why the client is not let in; null if it is. */
export function refusalOf(socket: TLSSocket, rules: ClientRules): string | null {
  const { auth, allowedSans } = rules;
  const certificate = auth === 'NoClientCert' ? undefined : socket.getPeerX509Certificate();
  if (!certificate) {
    const needed = auth === 'RequireAnyClientCert' || auth === 'RequireAndVerifyClientCert';
    return needed ? 'it has no certificate' : null;
  }
  const verified = auth === 'VerifyClientCertIfGiven' || auth === 'RequireAndVerifyClientCert';
  if (verified && !socket.authorized) return String(socket.authorizationError);
  if (allowedSans === null) return null;
  const names = parseSubjectAltNames(certificate.subjectAltName ?? '');
  const values = names.flatMap((name) => /^(?:DNS|IP Address|email|URI):(.*)$/s.exec(name)?.[1] ?? []);
  return values.some((value) => allowedSans.has(canonical(value))) ? null : 'none of its names is allowed';
}

const verifiedNames = new WeakMap<Duplex, readonly string[]>();

/** Notes who the client is that was let in. */
export function rememberClient(socket: TLSSocket, rules: ClientRules): void {
  // `authorized` alone will not do: Node also says so without a certificate, and against public authorities.
  const certificate = socket.authorized && rules.hasCa ? socket.getPeerX509Certificate() : undefined;
  if (certificate) verifiedNames.set(socket, parseSubjectAltNames(certificate.subjectAltName ?? ''));
}

/**
 * Names of the client's certificate as Node writes them, such as `DNS:ops.example.net`, if it was verified against the
 * configured client CA; else none.
 */
export function verifiedSubjectAltNames(request: IncomingMessage): readonly string[] {
  return verifiedNames.get(request.socket) ?? [];
}

const QUOTED = String.raw`"(?:[^"\\]|\\.)*"`;
const NAME = new RegExp(`[A-Za-z][\\w ]*:(?:[^",]|${QUOTED})*`, 'y');

/**
 * The names of Node's `subjectAltName`, which are separated by commas; what holds a comma or a quote is in quotes and
 * escaped as in JSON, else a name could pose as two (CVE-2021-44532). None if the text is not of this form.
 */
export function parseSubjectAltNames(text: string): readonly string[] {
  const names: string[] = [];
  try {
    for (let offset = 0; offset < text.length; offset += 2) {
      NAME.lastIndex = offset;
      const [name] = NAME.exec(text) ?? [];
      if (name === undefined) return [];
      names.push(name.replace(new RegExp(QUOTED, 'g'), (quoted) => JSON.parse(quoted) as string));
      offset += name.length;
      if (offset !== text.length && !text.startsWith(', ', offset)) return [];
    }
  } catch {
    return [];
  }
  return names;
}

/** IPv6 addresses can be written in more ways than one, and OpenSSL writes another than people do. */
function canonical(name: string): string {
  return isIP(name) === 6 ? new SocketAddress({ address: name, family: 'ipv6' }).address : name;
}
