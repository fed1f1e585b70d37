/**
 * Suites that need a program which npm does not install (promtool, wine). Without it they are skipped by name, so that
 * the report shows and counts them; under CI the want of it is a failure, for a skipped test has shown nothing.
 */
import { describe, test } from 'vitest';
import { findTool } from './find-tool.ts';

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
