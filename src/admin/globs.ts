/** Globs of interface names: `*` for any text, `?` for one character; case counts for nothing, as in Windows. */

export function globMatches(glob: string, name: string): boolean {
  const pattern = glob
    .split(/([*?])/)
    .map((part) => (part === '*' ? '.*' : part === '?' ? '.' : part.replace(/[\\^$.|+()[\]{}]/g, '\\$&')))
    .join('');
  return new RegExp(`^${pattern}$`, 'isu').test(name);
}

export const anyGlobMatches = (globs: readonly string[], name: string): boolean =>
  globs.some((glob) => globMatches(glob, name));
