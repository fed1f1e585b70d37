/**
 * Certificates for tests, made on the spot: nothing in the repository looks like a secret or expires, no program such as
 * openssl is needed, and names can be as odd as an attacker would choose them.
 */
import type { KeyObject } from 'node:crypto';
import { generateKeyPairSync, randomBytes, sign } from 'node:crypto';

export interface Identity {
  /** PEM */
  readonly cert: string;
  /** PEM */
  readonly key: string;
  readonly name: string;
  readonly keyPair: { readonly publicKey: KeyObject; readonly privateKey: KeyObject };
}

export interface Wanted {
  readonly name?: string;
  /** `DNS:name`, `IP:address`, `URI:address` or `email:address`. */
  readonly sans?: readonly string[];
  /** Who signs; without one it signs itself. */
  readonly issuer?: Identity;
  readonly isCa?: boolean;
  readonly usage?: 'server' | 'client';
  /** Days from now; by default from yesterday to tomorrow. */
  readonly days?: readonly [from: number, to: number];
  readonly keyType?: 'ec' | 'rsa';
}

export function makeCertificate(wanted: Wanted = {}): Identity {
  const { name = 'test', sans = [], isCa = false, usage, days = [-1, 1], keyType = 'ec' } = wanted;
  const keyPair =
    keyType === 'rsa'
      ? generateKeyPairSync('rsa', { modulusLength: 2048 })
      : generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const issuer = wanted.issuer ?? { name, keyPair };
  const signedByRsa = issuer.keyPair.privateKey.asymmetricKeyType === 'rsa';
  // sha256WithRSAEncryption, ecdsa-with-SHA256
  const algorithm = signedByRsa
    ? sequence(oid('1.2.840.113549.1.1.11'), NULL)
    : sequence(oid('1.2.840.10045.4.3.2'));
  const extensions = [
    extension('2.5.29.19', sequence(...(isCa ? [TRUE] : [])), true),
    ...(sans.length > 0 ? [extension('2.5.29.17', sequence(...sans.map(generalName)))] : []),
    ...(usage === undefined
      ? []
      : [extension('2.5.29.37', sequence(oid(`1.3.6.1.5.5.7.3.${usage === 'server' ? 1 : 2}`)))]),
  ];
  const body = sequence(
    tagged(0xa0, integer(Buffer.of(2))),
    integer(Buffer.concat([Buffer.of(1), randomBytes(8)])),
    algorithm,
    distinguishedName(issuer.name),
    sequence(...days.map((day) => time(new Date(Date.now() + day * 86_400_000)))),
    distinguishedName(name),
    keyPair.publicKey.export({ type: 'spki', format: 'der' }),
    tagged(0xa3, sequence(...extensions)),
  );
  const signature = sign('sha256', body, issuer.keyPair.privateKey);
  const der = sequence(body, algorithm, tagged(0x03, Buffer.of(0), signature));
  const base64 = der.toString('base64').replace(/(.{64})/g, '$1\n');
  return {
    cert: `-----BEGIN CERTIFICATE-----\n${base64.trimEnd()}\n-----END CERTIFICATE-----\n`,
    key: keyPair.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    name,
    keyPair,
  };
}

/** DER: a tag, the length of what follows, and what follows. */
function tagged(tag: number, ...parts: readonly Uint8Array[]): Buffer {
  const content = Buffer.concat(parts);
  const { length } = content;
  const size =
    length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.of(tag, ...size), content]);
}

const NULL = tagged(0x05);
const TRUE = tagged(0x01, Buffer.of(0xff));
const sequence = (...parts: readonly Uint8Array[]): Buffer => tagged(0x30, ...parts);
const integer = (bytes: Buffer): Buffer => tagged(0x02, bytes);

function oid(text: string): Buffer {
  const [first = 0, second = 0, ...rest] = text.split('.').map(Number);
  const bytes = rest.flatMap((arc) => {
    const digits = [arc & 0x7f];
    for (let left = arc >> 7; left > 0; left >>= 7) digits.unshift((left & 0x7f) | 0x80);
    return digits;
  });
  return tagged(0x06, Buffer.of(first * 40 + second, ...bytes));
}

function extension(id: string, value: Buffer, critical = false): Buffer {
  return sequence(oid(id), ...(critical ? [TRUE] : []), tagged(0x04, value));
}

function distinguishedName(name: string): Buffer {
  return sequence(tagged(0x31, sequence(oid('2.5.4.3'), tagged(0x0c, Buffer.from(name)))));
}

/** UTCTime, which will do until 2049. */
function time(date: Date): Buffer {
  const digits = date.toISOString().replace(/\.\d+/, '').replace(/[-:T]/g, '');
  return tagged(0x17, Buffer.from(digits.slice(2)));
}

function generalName(text: string): Buffer {
  const value = text.slice(text.indexOf(':') + 1);
  if (text.startsWith('DNS:')) return tagged(0x82, Buffer.from(value, 'latin1'));
  if (text.startsWith('email:')) return tagged(0x81, Buffer.from(value, 'latin1'));
  if (text.startsWith('URI:')) return tagged(0x86, Buffer.from(value, 'latin1'));
  if (text.startsWith('IP:')) return tagged(0x87, addressBytes(value));
  throw new Error(`no kind of name: ${text}`);
}

function addressBytes(address: string): Buffer {
  if (!address.includes(':')) return Buffer.from(address.split('.').map(Number));
  const [head = '', tail] = address.split('::');
  const groups = (part: string): string[] => (part === '' ? [] : part.split(':'));
  const [left, right] = [groups(head), groups(tail ?? '')];
  const middle = Array.from({ length: 8 - left.length - right.length }, () => '0');
  const all = tail === undefined ? left : [...left, ...middle, ...right];
  return Buffer.from(all.map((group) => group.padStart(4, '0')).join(''), 'hex');
}
