/** Finds what was probably meant by a mistyped name. */
import { distance } from 'fastest-levenshtein';

/** The candidate nearest to `name`, or null if none is near enough to be helpful. */
export function closest(name: string, candidates: readonly string[]): string | null {
  let best: string | null = null;
  let bestDistance = Number.POSITIVE_INFINITY;
  for (const candidate of candidates) {
    // A left-out or mistaken first part is common: listen-address for web.listen-address.
    const leaf = candidate.slice(candidate.lastIndexOf('.') + 1);
    const apart = Math.min(
      distance(name.toLowerCase(), candidate),
      leaf === name ? 1 : Number.POSITIVE_INFINITY,
    );
    if (apart < bestDistance) {
      best = candidate;
      bestDistance = apart;
    }
  }
  return best !== null && bestDistance <= Math.max(2, Math.floor(name.length / 3)) ? best : null;
}
