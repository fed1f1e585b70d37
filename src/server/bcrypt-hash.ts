/**
 * What a bcrypt hash says of itself. Read here: @node-rs/bcrypt tells it from version 2 on only, and 2.0.0 was published
 * without its builds for Windows.
 */

/** The last digit of the salt and that of the digest have bits to spare, which are zero. */
const HASH = /^\$2[abxy]\$(?<cost>\d{2})\$[./A-Za-z0-9]{21}[.Oeu][./A-Za-z0-9]{30}[.CGKOSWaeimquy26]$/;
export const MIN_BCRYPT_COST = 4;
const MAX_COST = 31;

/** The binary logarithm of the work that a guess takes; null for what is no hash, and so matches no password. */
export function bcryptCost(hash: string): number | null {
  const cost = Number(HASH.exec(hash)?.groups?.['cost']);
  return cost >= MIN_BCRYPT_COST && cost <= MAX_COST ? cost : null;
}
