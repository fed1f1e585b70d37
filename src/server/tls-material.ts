/** Certificate, key and client CA as they are on disk now, checked, and made into what Node's TLS takes. */
import type { KeyObject } from 'node:crypto';
import { constants, createHash, createPrivateKey, X509Certificate } from 'node:crypto';
import type { TlsOptions } from 'node:tls';
import { createSecureContext } from 'node:tls';
import { UsageError } from '../model/errors.ts';
import type { ClientRules } from './client-certificates.ts';
import { clientRules } from './client-certificates.ts';
import type { FileContent } from './watched-file.ts';
import type { PemSource, TlsConfig } from './web-config-schema.ts';

/** What was read. */
export interface Pems {
  readonly cert: FileContent;
  readonly key: FileContent;
  readonly clientCa: FileContent | null;
}

export interface TlsMaterial {
  readonly options: TlsOptions;
  readonly rules: ClientRules;
  /** When the certificate expires, as a date of ISO 8601. */
  readonly notAfter: string;
}

const OTHERS_MODE = 0o007;
const CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;

/** Rejects with a UsageError that names the key of the web configuration and the file. */
export async function readPems(
  config: TlsConfig,
  read: (path: string) => Promise<FileContent>,
): Promise<Pems> {
  const contentOf = async (source: PemSource): Promise<FileContent> => {
    if ('inline' in source) return source.inline;
    try {
      return await read(source.path);
    } catch (error) {
      throw error instanceof UsageError ? new UsageError(`${source.origin}: ${error.message}`) : error;
    }
  };
  // One after the other: of several that cannot be read, it is always the first that is named.
  const cert = await contentOf(config.cert);
  const key = await contentOf(config.key);
  const clientCa = config.clientCa && (await contentOf(config.clientCa));
  return { cert, key, clientCa };
}

/** @throws UsageError if they are not what they should be, do not belong together, or OpenSSL refuses them. */
export function makeTls(config: TlsConfig, pems: Pems): TlsMaterial {
  const [leaf] = certificatesOf(config.cert, pems.cert);
  const key = privateKeyOf(config.key, pems.key);
  if (!leaf!.checkPrivateKey(key)) {
    throw new UsageError(`${config.key.origin}: the key does not belong to the certificate`);
  }
  if (config.clientCa && pems.clientCa) certificatesOf(config.clientCa, pems.clientCa);
  const { clientAuth } = config;
  const options: TlsOptions = {
    cert: pems.cert.bytes,
    key: pems.key.bytes,
    // An empty list trusts nobody; none at all would trust every public authority.
    ca: pems.clientCa ? [pems.clientCa.bytes] : [],
    minVersion: config.minVersion,
    maxVersion: config.maxVersion,
    ciphers: config.ciphers,
    ecdhCurve: config.curves,
    honorCipherOrder: config.serverCiphersFirst,
    // Every connection is verified anew: a resumed session would carry the verdict of an older CA on, and Node takes one
    // without a certificate for authorized.
    secureOptions: constants.SSL_OP_NO_TICKET | constants.SSL_OP_NO_RENEGOTIATION,
    requestCert: clientAuth !== 'NoClientCert',
    rejectUnauthorized: clientAuth === 'RequireAndVerifyClientCert',
    ALPNProtocols: config.http2 ? ['h2', 'http/1.1'] : ['http/1.1'],
  };
  try {
    createSecureContext(options);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new UsageError(`${config.origin}: OpenSSL ${process.versions.openssl} refuses it: ${reason}`);
  }
  const trust = createHash('sha256').update(pems.clientCa?.bytes ?? '');
  return {
    options,
    rules: clientRules(config, trust.digest('hex')),
    notAfter: new Date(leaf!.validTo).toISOString(),
  };
}

/** All that stand there, at least one. @throws UsageError */
export function certificatesOf(source: PemSource, { bytes }: FileContent): X509Certificate[] {
  try {
    const found = bytes.toString('latin1').match(CERTIFICATE) ?? [];
    if (found.length > 0) return found.map((pem) => new X509Certificate(pem));
  } catch {
    // Told below.
  }
  throw new UsageError(`${source.origin}: expected certificates in PEM${nameOf(source)}`);
}

function privateKeyOf(source: PemSource, { bytes, mode }: FileContent): KeyObject {
  if (process.platform !== 'win32' && (mode & OTHERS_MODE) !== 0) {
    throw new UsageError(
      `${source.origin}: other users can read the private key${nameOf(source)}`,
      'path' in source
        ? `close it by: chmod o= ${source.path}`
        : 'close the web configuration to others, by: chmod o=',
    );
  }
  try {
    return createPrivateKey(bytes);
  } catch {
    throw new UsageError(
      `${source.origin}: expected a private key in PEM without a passphrase${nameOf(source)}`,
    );
  }
}

const nameOf = (source: PemSource): string => ('path' in source ? `, in ${source.path}` : '');
