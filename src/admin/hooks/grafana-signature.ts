/**
 * The signature that Grafana puts on a notification: hex(HMAC-SHA256(secret, timestamp ":" body)), the timestamp in Unix
 * seconds. One without a timestamp is refused, as it would be good for ever.
 *
 * Signatures that were seen are not remembered: within the window the de-duplication by attempt-key.ts makes a replay
 * harmless, also across restarts, and Grafana itself may send the same second, body and signature again after a failure.
 *
 * https://grafana.com/docs/grafana/latest/alerting/configure-notifications/manage-contact-points/integrations/webhook-notifier/#hmac-signature
 */
import { createHmac, timingSafeEqual } from 'node:crypto';

export interface SignedRequest {
  readonly secret: Uint8Array;
  /** As it came, byte by byte. */
  readonly body: Uint8Array;
  /** Of the headers; '' for one that is missing. */
  readonly signature: string;
  readonly timestamp: string;
  /** Unix time. */
  readonly nowSeconds: number;
  readonly maxAgeMs: number;
}

/** For the log; who sent it learns nothing of it. */
export type SignatureProblem =
  | 'timestamp missing'
  | 'timestamp malformed'
  | 'timestamp too old'
  | 'timestamp in the future'
  | 'signature missing'
  | 'signature malformed'
  | 'signature wrong';

const TIMESTAMP = /^\d{1,12}$/;
const SIGNATURE = /^[0-9a-f]{64}$/i;

export function verifyGrafanaSignature(request: SignedRequest): 'ok' | SignatureProblem {
  const { secret, body, signature, timestamp, nowSeconds, maxAgeMs } = request;
  if (timestamp === '') return 'timestamp missing';
  if (!TIMESTAMP.test(timestamp)) return 'timestamp malformed';
  if (signature === '') return 'signature missing';
  if (!SIGNATURE.test(signature)) return 'signature malformed';
  const expected = createHmac('sha256', secret).update(`${timestamp}:`).update(body).digest();
  if (!timingSafeEqual(expected, Buffer.from(signature, 'hex'))) return 'signature wrong';
  const ageMs = (nowSeconds - Number(timestamp)) * 1000;
  if (ageMs > maxAgeMs) return 'timestamp too old';
  // Written so that a clock that is no number lets nobody in.
  return ageMs >= -maxAgeMs ? 'ok' : 'timestamp in the future';
}
