/** Who may do what: tokens and client certificates of the configuration, and what each is good for. */
import { createHash, timingSafeEqual } from 'node:crypto';
import type { CertificateGrant, Grant, Right, TokenGrant } from '../model/admin.ts';
import { anyGlobMatches } from './globs.ts';

const ANY = '*';

export class Access {
  readonly #tokens: readonly { readonly digest: Buffer; readonly grant: TokenGrant }[];
  readonly #certificates: readonly CertificateGrant[];

  constructor(tokens: readonly TokenGrant[], certificates: readonly CertificateGrant[]) {
    this.#tokens = tokens.map((grant) => ({ digest: Buffer.from(grant.sha256, 'hex'), grant }));
    this.#certificates = certificates;
  }

  /** The token's grant. It takes the same time whichever token it is, or none. */
  byToken(token: string): TokenGrant | undefined {
    const digest = createHash('sha256').update(token).digest();
    let found: TokenGrant | undefined;
    for (const known of this.#tokens) if (timingSafeEqual(digest, known.digest)) found = known.grant;
    return found;
  }

  /** The grant of the first listed name of a verified certificate. */
  byCertificate(subjectAltNames: readonly string[]): CertificateGrant | undefined {
    return this.#certificates.find(({ subjectAltName }) => subjectAltNames.includes(subjectAltName));
  }
}

export const hasRight = ({ rights }: Grant, right: Right): boolean => rights.includes(right);

/** `interfaceName` undefined: the target belongs to no demand-dial interface, so that only `*` covers it. */
export function covers({ interfaces }: Grant, interfaceName: string | undefined): boolean {
  return interfaceName === undefined ? interfaces.includes(ANY) : anyGlobMatches(interfaces, interfaceName);
}
