/** What the attempts for an alert are counted by. It stands in the audit log: another form would forget all attempts. */
import { createHash } from 'node:crypto';

/** 64 hexadecimal digits, others for any other three texts. */
export function attemptKey(fingerprint: string, startsAt: string, rule: string): string {
  const hash = createHash('sha256');
  for (const part of [fingerprint, startsAt, rule]) {
    // UTF-8 would make one of all lone surrogates; without the lengths, ("a", "bc") would be ("ab", "c").
    const bytes = Buffer.from(part, 'utf16le');
    hash.update(`${bytes.length}:`).update(bytes);
  }
  return hash.digest('hex');
}
