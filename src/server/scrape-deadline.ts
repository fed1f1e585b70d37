/** How long a scrape may take, from the header that Prometheus sends. */

const HEADER_MAX_SECONDS = 3600;
const MARGIN_SHARE = 0.1;
const MARGIN_MAX_MS = 500;

/**
 * Milliseconds that the answer may wait for an enumeration: the scraper's own timeout less a margin for the page and
 * the way back; at least 1. A header that is no positive number counts as absent: `defaultMs`.
 */
export function scrapeWaitMs(header: string | undefined, defaultMs: number): number {
  const seconds = header === undefined || header.trim() === '' ? NaN : Number(header);
  if (!Number.isFinite(seconds) || seconds <= 0) return defaultMs;
  const timeoutMs = Math.min(seconds, HEADER_MAX_SECONDS) * 1000;
  const marginMs = Math.min(MARGIN_MAX_MS, timeoutMs * MARGIN_SHARE);
  return Math.max(1, Math.round(timeoutMs - marginMs));
}
