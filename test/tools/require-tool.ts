/**
 * Suites that need a program which npm does not install (promtool, wine). Without it they are skipped by name, so that
 * the report shows and counts them; under CI the want of it is a failure, for a skipped test has shown nothing.
 */
import { accessSync, constants } from 'node:fs';
import { delimiter, isAbsolute, join } from 'node:path';
import { describe, test } from 'vitest';

/** Absolute path of a program on the PATH, or of one that is named by its absolute path; null if it is not there. */
export function findTool(name: string, path = process.env['PATH'] ?? ''): string | null {
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

/**
 * A `describe` for suites that need the tool: the body gets its absolute path.
 *
 *     const withPromtool = requireTool('promtool');
 *     withPromtool('the page of metrics', (promtool) => {
 *       test('passes promtool', ...);
 *     });
 */
export function requireTool(name: string): (title: string, body: (path: string) => void) => void {
  const path = findTool(name);
  return (title, body) => {
    if (path !== null) {
      describe(title, () => body(path));
    } else if (process.env['CI'] !== undefined) {
      describe(title, () => {
        test(`needs ${name}`, () => {
          throw new Error(`${name} is not installed, and under CI no test may be skipped`);
        });
      });
    } else {
      // The body runs for the names of its tests only.
      describe.skip(`${title} [skipped: ${name} is not installed]`, () => body(name));
    }
  };
}
