/**
 * Grafana's signature of a webhook: HMAC-SHA256 over timestamp, colon and body, in hexadecimal digits. The timestamp must
 * be of now. A delivery that is sent again within that time is let in, as Grafana repeats what failed: what it asks for
 * is done once all the same.
 */
import { createHash, createHmac, timingSafeEqual } from 'node:crypto';

export interface SignedRequest {
  readonly secret: Uint8Array;
  readonly body: Uint8Array;
  readonly signature: string;
  /** Unix seconds, as it was sent. */
  readonly timestamp: string;
  readonly nowSeconds: number;
  readonly maxAgeMs: number;
}

export type SignatureVerdict =
  'ok' | 'no timestamp' | 'too old or too new' | 'no signature' | 'wrong signature';

/** For the log, never for the client. */
export function verifyGrafanaSignature(request: SignedRequest): SignatureVerdict {
  const { secret, body, signature, timestamp, nowSeconds, maxAgeMs } = request;
  if (!/^\d{1,12}$/.test(timestamp)) return 'no timestamp';
  if (Math.abs(nowSeconds - Number(timestamp)) * 1000 > maxAgeMs) return 'too old or too new';
  if (!/^[0-9a-f]{64}$/i.test(signature)) return 'no signature';
  const expected = createHmac('sha256', secret).update(`${timestamp}:`).update(body).digest();
  const digest = (bytes: Uint8Array): Buffer => createHash('sha256').update(bytes).digest();
  return timingSafeEqual(digest(expected), digest(Buffer.from(signature, 'hex'))) ? 'ok' : 'wrong signature';
}
