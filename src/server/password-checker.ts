/**
 * Checks passwords against bcrypt hashes without letting guesses hurt anybody else: one bcrypt at a time, off the event
 * loop, as much work for a user that does not exist as for one that does, and a bound on what waits.
 */
import { createHmac, randomBytes } from 'node:crypto';
import type { verify } from '@node-rs/bcrypt';
import { bcryptCost, MIN_BCRYPT_COST } from './bcrypt-hash.ts';

/** `busy`: too many wait already; ask again later. */
export type Verdict = 'right' | 'wrong' | 'busy';

export interface Credentials {
  readonly user: string;
  /** As they were sent: bcrypt works on bytes. */
  readonly password: Buffer;
}

const MAX_KNOWN = 100;
const MAX_WAITING = 32;
/** One guesser cannot take all places. */
const MAX_WAITING_PER_CLIENT = 8;
/** Salt and digest of a hash, all zero: nobody knows a password for it, and nobody will find one. */
const NO_DIGEST = '.'.repeat(53);

type Verify = typeof verify;

/** Rejects, saying what to do, if no password can be checked on this machine. */
export async function loadVerify(): Promise<Verify> {
  try {
    // Not before there are passwords: the build for Windows needs a runtime that not every Windows has.
    return (await import('@node-rs/bcrypt')).verify;
  } catch (error) {
    const advice = 'on Windows install the Microsoft Visual C++ Redistributable (x64)';
    throw new Error(`passwords cannot be checked, as bcrypt cannot be loaded: ${advice}`, { cause: error });
  }
}

export class PasswordChecker {
  readonly #verify: Verify;
  /** Kept apart, so that guesses do not push out what is right. */
  readonly #right = new RecentKeys(MAX_KNOWN);
  readonly #wrong = new RecentKeys(MAX_KNOWN);
  readonly #pending = new Map<string, Promise<boolean>>();
  readonly #waiting = new Map<string, number>();
  readonly #secret = randomBytes(32);
  #waitingTotal = 0;
  #last: Promise<unknown> = Promise.resolve();

  constructor(verifyHash: Verify = async (password, hash) => (await loadVerify())(password, hash)) {
    this.#verify = verifyHash;
  }

  /** `client` is who asks, such as its address. */
  async check(
    users: ReadonlyMap<string, string>,
    credentials: Credentials,
    client: string,
  ): Promise<Verdict> {
    const known = users.get(credentials.user);
    const hash = known ?? decoyFor(users);
    const { user, password } = credentials;
    const key = tupleKey(this.#secret, [Buffer.from(user), Buffer.from(hash), password]);
    if (this.#right.has(key)) return known === undefined ? 'wrong' : 'right';
    if (this.#wrong.has(key)) return 'wrong';
    let matching = this.#pending.get(key);
    if (!matching) {
      const waiting = this.#waiting.get(client) ?? 0;
      if (this.#waitingTotal >= MAX_WAITING || waiting >= MAX_WAITING_PER_CLIENT) return 'busy';
      matching = this.#inTurn(client, () => this.#verify(password, hash));
      this.#pending.set(key, matching);
      const forget = (): void => void this.#pending.delete(key);
      matching.then(forget, forget);
    }
    const matches = await matching;
    (matches ? this.#right : this.#wrong).add(key);
    return matches && known !== undefined ? 'right' : 'wrong';
  }

  async #inTurn(client: string, work: () => Promise<boolean>): Promise<boolean> {
    this.#waitingTotal += 1;
    this.#waiting.set(client, (this.#waiting.get(client) ?? 0) + 1);
    const result = this.#last.then(work);
    this.#last = result.catch(() => undefined);
    try {
      return await result;
    } finally {
      this.#waitingTotal -= 1;
      const left = this.#waiting.get(client)! - 1;
      if (left > 0) this.#waiting.set(client, left);
      else this.#waiting.delete(client);
    }
  }
}

/** As expensive as the most expensive hash of a user, so that no answer comes sooner for a name that is not there. */
function decoyFor(users: ReadonlyMap<string, string>): string {
  const cost = Math.max(MIN_BCRYPT_COST, ...[...users.values()].map((hash) => bcryptCost(hash) ?? 0));
  return `$2b$${String(cost).padStart(2, '0')}$${NO_DIGEST}`;
}

/**
 * A key that differs whenever one of the parts does, wherever one ends and the next begins (CVE-2022-46146), and that
 * tells nothing of them to who has not got the secret.
 */
export function tupleKey(secret: Uint8Array, parts: readonly Buffer[]): string {
  const hmac = createHmac('sha256', secret);
  for (const part of parts) {
    const length = Buffer.alloc(4);
    length.writeUInt32LE(part.length);
    hmac.update(length).update(part);
  }
  return hmac.digest('base64');
}

/** `Authorization: Basic` as RFC 7617 has it; null if it is anything else. */
export function parseBasicCredentials(header: string | undefined): Credentials | null {
  const encoded = /^basic +([A-Za-z0-9+/]*={0,2})$/i.exec(header ?? '')?.[1];
  if (encoded === undefined) return null;
  const bytes = Buffer.from(encoded, 'base64');
  const colon = bytes.indexOf(':');
  if (colon === -1) return null;
  try {
    const user = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes.subarray(0, colon));
    return { user, password: bytes.subarray(colon + 1) };
  } catch {
    return null;
  }
}

/** The keys that were used last. */
class RecentKeys {
  readonly #max: number;
  readonly #keys = new Set<string>();

  constructor(max: number) {
    this.#max = max;
  }

  has(key: string): boolean {
    if (!this.#keys.delete(key)) return false;
    this.#keys.add(key);
    return true;
  }

  add(key: string): void {
    this.#keys.delete(key);
    this.#keys.add(key);
    if (this.#keys.size > this.#max) this.#keys.delete(this.#keys.values().next().value!);
  }
}
