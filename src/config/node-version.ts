/**
 * Refuses a Node.js that lacks what the program needs, before any of that is loaded: else the first thing to fail would
 * be a function that nobody has heard of.
 */
import { readFileSync } from 'node:fs';

/** Throws if `version`, as process.version has it, is older than `needed`. */
export function refuseOldNode(version: string, needed = neededNode()): void {
  const [has, needs] = [numbersOf(version), numbersOf(needed)];
  const first = needs.findIndex((number, i) => number !== has[i]);
  if (first === -1 || (has[first] ?? 0) > (needs[first] ?? 0)) return;
  throw new Error(
    `this is Node.js ${version}, which is too old: install ${needed} or later, and start rras-exporter with that one`,
  );
}

/** The oldest version that package.json allows. */
export function neededNode(): string {
  // The same distance from src/config and from dist/config.
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8');
  const { engines } = JSON.parse(text) as { engines?: { node?: string } };
  return engines?.node?.replace(/^>=/, '') ?? '0.0.0';
}

/** A prerelease counts as its release. */
const numbersOf = (version: string): number[] =>
  (/^v?(\d+)\.(\d+)\.(\d+)/.exec(version) ?? []).slice(1).map(Number);
