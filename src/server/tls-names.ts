/** Names that Go has for versions, cipher suites and curves of TLS, and what OpenSSL calls the same. */
import type { SecureVersion } from 'node:tls';

export const TLS_VERSIONS = {
  TLS10: 'TLSv1',
  TLS11: 'TLSv1.1',
  TLS12: 'TLSv1.2',
  TLS13: 'TLSv1.3',
} as const satisfies Readonly<Record<string, SecureVersion>>;

/** Suites of TLS 1.3; as in Go they are all there whatever the list says, for none of them is weak. */
const TLS13_SUITES = [
  'TLS_AES_128_GCM_SHA256',
  'TLS_AES_256_GCM_SHA384',
  'TLS_CHACHA20_POLY1305_SHA256',
] as const;

/** Suites up to TLS 1.2, strongest first. https://pkg.go.dev/crypto/tls#pkg-constants */
const ECDHE_SUITES = {
  TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256: 'ECDHE-ECDSA-AES128-GCM-SHA256',
  TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256: 'ECDHE-RSA-AES128-GCM-SHA256',
  TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384: 'ECDHE-ECDSA-AES256-GCM-SHA384',
  TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384: 'ECDHE-RSA-AES256-GCM-SHA384',
  TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256: 'ECDHE-ECDSA-CHACHA20-POLY1305',
  TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256: 'ECDHE-RSA-CHACHA20-POLY1305',
  TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA: 'ECDHE-ECDSA-AES128-SHA',
  TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA: 'ECDHE-RSA-AES128-SHA',
  TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA: 'ECDHE-ECDSA-AES256-SHA',
  TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA: 'ECDHE-RSA-AES256-SHA',
} as const;

/** Without forward secrecy: only for files that ask for them, as Go has it since 1.22. */
const RSA_SUITES = {
  TLS_RSA_WITH_AES_128_GCM_SHA256: 'AES128-GCM-SHA256',
  TLS_RSA_WITH_AES_256_GCM_SHA384: 'AES256-GCM-SHA384',
  TLS_RSA_WITH_AES_128_CBC_SHA: 'AES128-SHA',
  TLS_RSA_WITH_AES_256_CBC_SHA: 'AES256-SHA',
} as const;

const OLD_SUITES: Readonly<Record<string, string>> = { ...ECDHE_SUITES, ...RSA_SUITES };

export const CIPHER_SUITES: readonly string[] = [...TLS13_SUITES, ...Object.keys(OLD_SUITES)];

export const CURVES: Readonly<Record<string, string>> = {
  CurveP256: 'P-256',
  CurveP384: 'P-384',
  CurveP521: 'P-521',
  X25519: 'X25519',
  X25519MLKEM768: 'X25519MLKEM768',
};

/** OpenSSL's list for Go's names, in their order; no names: those of Go that have forward secrecy. */
export function opensslCiphers(names: readonly string[], oldest: keyof typeof TLS_VERSIONS): string {
  const old = names.flatMap((name) => OLD_SUITES[name] ?? []);
  // A list that names suites of TLS 1.3 only leaves nothing for older versions.
  const chosen = names.length === 0 ? Object.values(ECDHE_SUITES) : old;
  // OpenSSL counts TLS 1.0 and 1.1 as insecure at every security level above 0, and would refuse them silently.
  const level = oldest === 'TLS10' || oldest === 'TLS11' ? ['@SECLEVEL=0'] : [];
  return [...TLS13_SUITES, ...chosen, ...(chosen.length > 0 ? level : [])].join(':');
}

/**
 * HTTP/2 is not spoken over what is older than TLS 1.2, and asks of the suites of that version for one of these.
 * https://www.rfc-editor.org/rfc/rfc9113#section-9.2
 */
export function isFitForHttp2(names: readonly string[], oldest: keyof typeof TLS_VERSIONS): boolean {
  const old = names.filter((name) => name in OLD_SUITES);
  const isWhole =
    old.length === 0 || old.some((name) => /^TLS_ECDHE_(?:RSA|ECDSA)_WITH_AES_128_GCM_SHA256$/.test(name));
  return isWhole && (oldest === 'TLS12' || oldest === 'TLS13');
}

export function opensslCurves(names: readonly string[]): string {
  return names.length === 0 ? 'auto' : names.map((name) => CURVES[name]!).join(':');
}
