/** What `doctor` says of a web configuration file: whether it can be used, and until when its certificates can. */
import { UsageError } from '../model/errors.ts';
import type { Finding } from '../model/check.ts';
import { certificatesOf, readPems } from './tls-material.ts';
import { readContent } from './watched-file.ts';
import type { PemSource, TlsConfig, WebConfig } from './web-config-schema.ts';
import { verifiesClients } from './web-config-source.ts';
import { readWebConfig } from './web-config.ts';

const DAY_SECONDS = 86_400;
const SOON_DAYS = 14;

export interface WebFinding {
  readonly finding: Finding;
  /** False also where nobody can tell. */
  readonly tls: boolean;
  /** Nobody gets in without a password or a verified certificate. */
  readonly guarded: boolean;
}

export async function inspectWebConfig(path: string, nowSeconds: number): Promise<WebFinding> {
  try {
    const config = await readWebConfig(path);
    const guarded = config.users.size > 0 || verifiesClients(config);
    const says = describe(config);
    if (config.tls === null)
      return { finding: { status: 'ok', summary: `${path}: ${says}` }, tls: false, guarded };
    const finding = judge(path, says, await validitiesOf(config.tls), nowSeconds);
    return { finding, tls: true, guarded };
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    const fix = error.hint === '' ? 'correct it as docs/web-configuration.md says' : error.hint;
    return { finding: { status: 'fail', summary: error.message, fix }, tls: false, guarded: false };
  }
}

function describe({ tls, users }: WebConfig): string {
  return [
    tls === null ? 'no TLS' : 'TLS',
    ...(tls !== null && tls.clientAuth !== 'NoClientCert' ? [tls.clientAuth] : []),
    `${users.size} ${users.size === 1 ? 'user' : 'users'}`,
  ].join(', ');
}

interface Validity {
  readonly what: string;
  readonly source: PemSource;
  /** Unix seconds. */
  readonly from: number;
  readonly until: number;
}

async function validitiesOf(tls: TlsConfig): Promise<Validity[]> {
  const pems = await readPems(tls, readContent);
  const times = (certificates: ReturnType<typeof certificatesOf>) => ({
    from: certificates.map(({ validFrom }) => Date.parse(validFrom) / 1000),
    until: certificates.map(({ validTo }) => Date.parse(validTo) / 1000),
  });
  const chain = times(certificatesOf(tls.cert, pems.cert));
  const validities: Validity[] = [
    {
      what: 'certificate',
      source: tls.cert,
      from: Math.max(...chain.from),
      until: Math.min(...chain.until),
    },
  ];
  if (tls.clientCa && pems.clientCa) {
    // Of several authorities the old ones may have run out.
    const cas = times(certificatesOf(tls.clientCa, pems.clientCa));
    validities.push({
      what: 'client CA',
      source: tls.clientCa,
      from: Math.min(...cas.from),
      until: Math.max(...cas.until),
    });
  }
  return validities;
}

function judge(path: string, says: string, validities: readonly Validity[], nowSeconds: number): Finding {
  const summaries: string[] = [];
  const fixes: string[] = [];
  let status: Finding['status'] = 'ok';
  for (const { what, source, from, until } of validities) {
    const days = Math.floor((until - nowSeconds) / DAY_SECONDS);
    const place = 'path' in source ? source.path : path;
    const renew = `put a new one into ${place}; it is read again without a restart`;
    if (nowSeconds < from) {
      status = 'fail';
      summaries.push(`the ${what} is not valid before ${day(from)}`);
      fixes.push(`set the clock, or ${renew}`);
    } else if (nowSeconds >= until) {
      status = 'fail';
      summaries.push(`the ${what} expired on ${day(until)}`);
      fixes.push(renew);
    } else {
      if (days < SOON_DAYS) {
        if (status === 'ok') status = 'warn';
        fixes.push(renew);
      }
      summaries.push(`${what} valid until ${day(until)} (${days} days)`);
    }
  }
  const facts = Object.fromEntries(
    validities.map(({ what, until }) => [
      what === 'certificate' ? 'notAfter' : 'clientCaNotAfter',
      new Date(until * 1000).toISOString(),
    ]),
  );
  const summary = `${path}: ${[says, ...summaries].join(', ')}`;
  return { status, summary, ...(fixes.length > 0 && { fix: [...new Set(fixes)].join('; ') }), facts };
}

const day = (seconds: number): string => new Date(seconds * 1000).toISOString().slice(0, 10);
