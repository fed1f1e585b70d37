/**
 * Globs of interface names: `*` for any text, `?` for one character; case counts for nothing, as in Windows. Names come
 * from requests and alerts, so that none may make matching slow: it takes the product of the lengths at the most.
 */

/** No interface has a longer name. */
const LONGEST_NAME = 256;

export function globMatches(glob: string, name: string): boolean {
  if (name.length > LONGEST_NAME) return false;
  const pattern = Array.from(glob.toLowerCase());
  const text = Array.from(name.toLowerCase());
  let at = 0;
  /** The last star that was met, and where its text ends so far. */
  let star = -1;
  let starEnd = 0;
  let i = 0;
  while (i < text.length) {
    if (pattern[at] === '*') {
      star = at;
      starEnd = i;
      at += 1;
    } else if (at < pattern.length && (pattern[at] === '?' || pattern[at] === text[i])) {
      at += 1;
      i += 1;
    } else if (star !== -1) {
      starEnd += 1;
      i = starEnd;
      at = star + 1;
    } else {
      return false;
    }
  }
  while (pattern[at] === '*') at += 1;
  return at === pattern.length;
}

export const anyGlobMatches = (globs: readonly string[], name: string): boolean =>
  globs.some((glob) => globMatches(glob, name));
