/**
 * Suites that need a program which npm does not install (promtool, wine). Without it they are skipped by name, so that
 * the report shows and counts them; under CI the want of it is a failure, for a skipped test has shown nothing.
 */
import { describe, test } from 'vitest';
import { findTool } from './find-tool.ts';

/**
 * A `describe` for suites that need the tools: the body gets their absolute paths.
 *
 *     const withPromtool = requireTool('promtool');
 *     withPromtool('the page of metrics', (promtool) => {
 *       test('passes promtool', ...);
 *     });
 */
export function requireTool(
  ...names: readonly string[]
): (title: string, body: (...paths: string[]) => void) => void {
  const paths = names.map((name) => findTool(name));
  const missing = names.filter((_, i) => paths[i] === null).join(' and ');
  return (title, body) => {
    if (missing === '') {
      describe(title, () => body(...paths.map((path) => path!)));
    } else if (process.env['CI'] !== undefined) {
      describe(title, () => {
        test(`needs ${missing}`, () => {
          throw new Error(`${missing} is not installed, and under CI no test may be skipped`);
        });
      });
    } else {
      // The body runs for the names of its tests only.
      describe.skip(`${title} [skipped: ${missing} is not installed]`, () => body(...names));
    }
  };
}
