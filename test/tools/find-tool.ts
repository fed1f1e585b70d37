/** Where a program is that npm does not install. */
import { accessSync, constants } from 'node:fs';
import { delimiter, isAbsolute, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** What `.ci/peers` got: vmagent and prometheus3. */
const PEERS = fileURLToPath(new URL('../../.cache/peers/bin', import.meta.url));

/**
 * Absolute path of a program on the PATH or among the peers of `.ci/peers`, or of one that is named by its absolute
 * path; null if it is not there.
 */
export function findTool(name: string, path = [process.env['PATH'], PEERS].join(delimiter)): string | null {
  const folders = path.split(delimiter).filter((folder) => folder !== '');
  const suffixes = process.platform === 'win32' ? ['.exe', '.cmd'] : [''];
  const files = isAbsolute(name)
    ? [name]
    : folders.flatMap((folder) => suffixes.map((suffix) => join(folder, name + suffix)));
  for (const file of files) {
    try {
      accessSync(file, constants.X_OK);
      return file;
    } catch {
      // Not here: look on.
    }
  }
  return null;
}
