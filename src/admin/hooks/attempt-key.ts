/** The key under which the attempts for an alert are counted. */
import { createHash } from 'node:crypto';

/** Length before each part, so that no two tuples have one key. */
export function attemptKey(fingerprint: string, startsAt: string, rule: string): string {
  const parts = [fingerprint, startsAt, rule].map((part) => `${Buffer.byteLength(part)}:${part}`);
  return createHash('sha256').update(parts.join('')).digest('hex');
}
