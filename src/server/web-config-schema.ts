/**
 * The format of the web configuration, that of the Prometheus exporter-toolkit: what each key may hold, and which keys go
 * together. docs/web-configuration.md says what they do.
 */
import { validateHeaderValue } from 'node:http';
import { dirname, isAbsolute, join } from 'node:path';
import type { SecureVersion } from 'node:tls';
import { closest, distance } from 'fastest-levenshtein';
import { z } from 'zod';
import { UsageError } from '../model/errors.ts';
import { bcryptCost } from './bcrypt-hash.ts';
import { parseGoDurationMs } from './go-duration.ts';
import type { StrictYaml } from './strict-yaml.ts';
import { parseStrictYaml } from './strict-yaml.ts';
import {
  CIPHER_SUITES,
  CURVES,
  isFitForHttp2,
  opensslCiphers,
  opensslCurves,
  TLS_VERSIONS,
} from './tls-names.ts';
import type { FileContent } from './watched-file.ts';

/** Where a certificate, key or CA is: in a file, or in the web configuration itself. */
export type PemSource = {
  /** Place and name of the key that says so, for errors: `web.yml:2:14: cert_file`. */
  readonly origin: string;
} & ({ readonly path: string } | { readonly inline: FileContent });

export const CLIENT_AUTH = [
  'NoClientCert',
  'RequestClientCert',
  'RequireAnyClientCert',
  'VerifyClientCertIfGiven',
  'RequireAndVerifyClientCert',
] as const;

export type ClientAuth = (typeof CLIENT_AUTH)[number];

export interface TlsConfig {
  /** Place of the section, for errors. */
  readonly origin: string;
  readonly cert: PemSource;
  readonly key: PemSource;
  readonly clientCa: PemSource | null;
  readonly clientAuth: ClientAuth;
  /** One of them must stand in the client's certificate; null: any certificate will do. */
  readonly allowedSans: readonly string[] | null;
  readonly minVersion: SecureVersion;
  readonly maxVersion: SecureVersion;
  /** As OpenSSL writes them. */
  readonly ciphers: string;
  readonly curves: string;
  readonly serverCiphersFirst: boolean;
  /** Offered to clients beside HTTP/1.1. */
  readonly http2: boolean;
}

export interface RateLimit {
  /** One more request each. */
  readonly intervalMs: number;
  readonly burst: number;
}

export interface WebConfig {
  /** null: plain HTTP. */
  readonly tls: TlsConfig | null;
  readonly headers: ReadonlyMap<string, string>;
  /** bcrypt hashes by user; none: everybody is let in. */
  readonly users: ReadonlyMap<string, string>;
  readonly rateLimit: RateLimit | null;
}

/** A guess at a hash of cost 18 takes a quarter of a minute already. */
const MAX_BCRYPT_COST = 18;
/** The words of YAML 1.1, which the toolkit reads. */
const BOOLEANS: Readonly<Record<string, boolean>> = {
  true: true,
  yes: true,
  on: true,
  false: false,
  no: false,
  off: false,
};

const text = z.string('expected a text');
const boolean = text.transform((word, context) => {
  const value = BOOLEANS[word.toLowerCase()];
  if (value !== undefined) return value;
  context.addIssue('expected true or false');
  return z.NEVER;
});

function oneOf<const T extends readonly string[]>(values: T, what: string) {
  return z.enum(values, {
    error: ({ input }) => {
      const given = typeof input === 'string' ? JSON.stringify(input) : 'this';
      if (values.length < 8) return `expected one of ${values.join(', ')}, not ${given}`;
      const near = typeof input === 'string' ? nearest(input, values) : null;
      return `${given} is no ${what} that is known here${near === null ? '' : `; did you mean ${near}?`}`;
    },
  });
}

function listOf<T extends z.ZodType>(item: T) {
  return z.array(item, 'expected a list').default([]);
}

const version = oneOf(Object.keys(TLS_VERSIONS) as (keyof typeof TLS_VERSIONS)[], 'version');

const tlsSection = z.strictObject(
  {
    cert: text.optional(),
    key: text.optional(),
    client_ca: text.optional(),
    cert_file: text.optional(),
    key_file: text.optional(),
    client_ca_file: text.optional(),
    // An old name of RequireAnyClientCert.
    client_auth_type: oneOf([...CLIENT_AUTH, 'RequireClientCert'], 'type').default('NoClientCert'),
    client_allowed_sans: z.array(text.min(1, 'expected a name'), 'expected a list of names').optional(),
    min_version: version.default('TLS12'),
    max_version: version.default('TLS13'),
    cipher_suites: listOf(oneOf(CIPHER_SUITES, 'cipher suite')),
    prefer_server_cipher_suites: boolean.default(true),
    curve_preferences: listOf(oneOf(Object.keys(CURVES), 'curve')),
  },
  'expected keys with values',
);

/** undefined: not set. */
function header(...values: readonly string[]) {
  return text
    .superRefine((value, context) => {
      if (values.length > 0 && !values.includes(value)) {
        context.addIssue(`expected ${values.join(' or ')}, not ${JSON.stringify(value)}`);
      }
      try {
        validateHeaderValue('header', value);
      } catch {
        context.addIssue('expected a text without control characters');
      }
    })
    .optional();
}

const headersSection = z.strictObject(
  {
    'Content-Security-Policy': header(),
    'X-Frame-Options': header('deny', 'sameorigin'),
    'X-Content-Type-Options': header('nosniff'),
    'X-XSS-Protection': header(),
    'Strict-Transport-Security': header(),
  },
  'expected headers with values',
);

const httpSection = z.strictObject(
  { http2: boolean.optional(), headers: headersSection.optional() },
  'expected keys with values',
);

const bcryptHash = text.superRefine((hash, context) => {
  const cost = bcryptCost(hash);
  if (cost === null) {
    context.addIssue('expected a bcrypt hash, such as htpasswd -nBC 10 "" prints');
  } else if (cost > MAX_BCRYPT_COST) {
    context.addIssue(`a cost of ${cost} takes too long; ${MAX_BCRYPT_COST} is the most, 10 is usual`);
  }
});

const rateSection = z.strictObject(
  {
    interval: text
      .transform((duration, context) => {
        const ms = parseGoDurationMs(duration);
        if (ms !== null) return ms;
        context.addIssue('expected a duration such as 1s, 500ms or 1m30s, or 0');
        return z.NEVER;
      })
      .default(0),
    burst: text
      .regex(/^\d{1,9}$/, 'expected a whole number from 0 to 999999999')
      .transform(Number)
      .default(0),
  },
  'expected keys with values',
);

const file = z.strictObject(
  {
    tls_server_config: tlsSection.optional(),
    http_server_config: httpSection.optional(),
    // A record would let a user of the name __proto__ vanish, and with it perhaps the only one.
    basic_auth_users: z.map(z.string(), bcryptHash, 'expected users with hashes').optional(),
    rate_limit: rateSection.optional(),
  },
  'expected keys with values',
);

/** Keys that each section has, by its path. */
const KNOWN_KEYS: Readonly<Record<string, readonly string[]>> = {
  '': Object.keys(file.shape),
  tls_server_config: Object.keys(tlsSection.shape),
  http_server_config: Object.keys(httpSection.shape),
  'http_server_config.headers': Object.keys(headersSection.shape),
  rate_limit: Object.keys(rateSection.shape),
};

/**
 * `path` is the file that the content comes from; what it names is relative to its folder.
 * @throws UsageError of one line with file, line and column.
 */
export function parseWebConfig(content: FileContent, path: string): WebConfig {
  const yaml = parseStrictYaml(decode(content.bytes, path), path);
  const isEmpty = yaml.value === null || yaml.value === '';
  const result = file.safeParse(withoutBlanks(isEmpty ? {} : yaml.value));
  if (!result.success) throw refusal(result.error.issues[0]!, yaml);
  const { tls_server_config: tls, http_server_config: http, basic_auth_users, rate_limit } = result.data;
  const users = basic_auth_users ?? new Map<string, string>();
  // Basic authentication ends the name at the first colon.
  const nameless = [...users.keys()].find((user) => user === '' || user.includes(':'));
  if (nameless !== undefined) {
    throw new UsageError(`${yaml.atKey(['basic_auth_users', nameless])}: a user has a name, without a colon`);
  }
  if (rate_limit && rate_limit.interval > 0 && rate_limit.burst === 0) {
    const rule = 'with an interval, burst must be at least 1, else every request would be refused';
    throw new UsageError(`${yaml.atKey(['rate_limit'])}: rate_limit: ${rule}`);
  }
  return {
    tls: tls ? tlsConfig(tls, http?.http2 ?? true, { yaml, content, path }) : null,
    headers: new Map(
      Object.entries(http?.headers ?? {}).flatMap(([name, value]) =>
        value === undefined ? [] : [[name, value] as const],
      ),
    ),
    users,
    rateLimit:
      rate_limit && rate_limit.interval > 0
        ? { intervalMs: rate_limit.interval, burst: rate_limit.burst }
        : null,
  };
}

function decode(bytes: Buffer, path: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw new UsageError(`${path} is not text in UTF-8`);
  }
}

interface Source {
  readonly yaml: StrictYaml;
  readonly content: FileContent;
  readonly path: string;
}

type TlsSection = z.infer<typeof tlsSection>;

/** The rules of the toolkit for what goes together, and some where it would do something else than what was meant. */
function tlsConfig(section: TlsSection, http2: boolean, source: Source): TlsConfig {
  const refuse = (key: keyof TlsSection | null, message: string): UsageError => {
    const place = source.yaml.atKey(['tls_server_config', ...(key === null ? [] : [key])]);
    return new UsageError(`${place}: ${key ?? 'tls_server_config'}: ${message}`);
  };
  const pem = (inline: 'cert' | 'key' | 'client_ca'): PemSource | null => {
    const inFile = `${inline}_file` as const;
    const [pemText, name] = [section[inline], section[inFile]];
    if (pemText !== undefined && name !== undefined) {
      throw refuse(inline, `${inline} and ${inFile} exclude each other`);
    }
    const key = pemText === undefined ? inFile : inline;
    const origin = `${source.yaml.atKey(['tls_server_config', key])}: ${key}`;
    if (name !== undefined) {
      return { origin, path: isAbsolute(name) ? name : join(dirname(source.path), name) };
    }
    if (pemText === undefined) return null;
    return { origin, inline: { bytes: Buffer.from(pemText), mode: source.content.mode } };
  };
  const cert = pem('cert');
  const key = pem('key');
  if (cert === null) throw refuse(null, 'one of cert and cert_file is missing');
  if (key === null) throw refuse(null, 'one of key and key_file is missing');
  const clientCa = pem('client_ca');
  const type = section.client_auth_type;
  const clientAuth = type === 'RequireClientCert' ? 'RequireAnyClientCert' : type;
  if (clientCa !== null && clientAuth === 'NoClientCert') {
    throw refuse(
      section.client_ca === undefined ? 'client_ca_file' : 'client_ca',
      'a client CA needs a client_auth_type other than NoClientCert',
    );
  }
  // Without a CA the toolkit trusts every public authority, and so everybody who gets a certificate from one.
  if (clientCa === null && clientAuth === 'RequireAndVerifyClientCert') {
    throw refuse('client_auth_type', `${clientAuth} needs client_ca_file or client_ca to verify against`);
  }
  const allowedSans = section.client_allowed_sans ?? null;
  if (
    allowedSans !== null &&
    clientAuth !== 'RequireAnyClientCert' &&
    clientAuth !== 'RequireAndVerifyClientCert'
  ) {
    throw refuse(
      'client_allowed_sans',
      'needs the client_auth_type RequireAnyClientCert or RequireAndVerifyClientCert, which no client passes without a certificate',
    );
  }
  const { min_version: oldest, max_version: newest } = section;
  if (TLS_VERSIONS[oldest] > TLS_VERSIONS[newest]) {
    throw refuse('min_version', `${oldest} is newer than the max_version ${newest}`);
  }
  return {
    origin: `${source.yaml.atKey(['tls_server_config'])}: tls_server_config`,
    cert,
    key,
    clientCa,
    clientAuth,
    allowedSans,
    minVersion: TLS_VERSIONS[oldest],
    maxVersion: TLS_VERSIONS[newest],
    ciphers: opensslCiphers(section.cipher_suites, oldest),
    curves: opensslCurves(section.curve_preferences),
    serverCiphersFirst: section.prefer_server_cipher_suites,
    http2: http2 && isFitForHttp2(section.cipher_suites, oldest),
  };
}

/** Keys whose value must not be left out: without it the file would mean less than it seems to. */
const NEVER_BLANK = new Set(['client_allowed_sans']);

/**
 * A key without a value, or with an empty text, counts as left out, as in the toolkit; users do not, and a section for
 * TLS that has only such keys is not taken for one that is not there.
 */
function withoutBlanks(value: unknown): unknown {
  const top = withoutBlankKeys(value);
  if (!isObject(top)) return top;
  const { tls_server_config: tls, http_server_config: http, basic_auth_users: users, rate_limit: rate } = top;
  const result = { ...top };
  if (isObject(tls) && Object.keys(tls).length === 0) delete result['tls_server_config'];
  else if (isObject(tls)) result['tls_server_config'] = withoutBlankKeys(tls);
  if (isObject(users)) result['basic_auth_users'] = new Map(Object.entries(users));
  if (isObject(rate)) result['rate_limit'] = withoutBlankKeys(rate);
  if (isObject(http)) {
    const { headers, ...rest } = withoutBlankKeys(http) as Readonly<Record<string, unknown>>;
    result['http_server_config'] =
      headers === undefined ? rest : { ...rest, headers: withoutBlankKeys(headers) };
  }
  return result;
}

/** Copies own keys as such: `__proto__` is refused as any unknown key. */
function withoutBlankKeys(value: unknown): unknown {
  if (!isObject(value)) return value;
  return Object.fromEntries(
    Object.entries(value).filter(([key, each]) => each !== '' || NEVER_BLANK.has(key)),
  );
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function refusal(issue: z.core.$ZodIssue, yaml: StrictYaml): UsageError {
  const section = issue.path.join('.');
  if (issue.code === 'unrecognized_keys') {
    const key = issue.keys[0]!;
    const known = KNOWN_KEYS[section] ?? [];
    const near = nearest(key, known);
    return new UsageError(
      `${yaml.atKey([...issue.path, key])}: unknown key ${JSON.stringify(key)}${section === '' ? '' : ` in ${section}`}`,
      near === null ? `known here: ${known.join(', ')}` : `did you mean ${near}?`,
    );
  }
  return new UsageError(`${yaml.at(issue.path)}: ${section === '' ? '' : `${section}: `}${issue.message}`);
}

/** What was probably meant; null if nothing is close. */
function nearest(given: string, known: readonly string[]): string | null {
  if (known.length === 0) return null;
  const found = closest(given, known);
  return distance(given, found) <= Math.max(2, found.length / 4) ? found : null;
}
