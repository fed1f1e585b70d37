/** The command `pseudonym`: prints what the privacy mode makes of names, to find a person in the metrics. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Options } from './config/options.ts';
import { pseudonymOf } from './metrics/privacy.ts';
import { PSEUDONYM_KEY, readOrMakeSecret } from './runtime/storage.ts';

/** One line for each name, in their order. Throws, saying what to do, if the key can be neither read nor made. */
export function pseudonym(names: readonly string[], options: Options): void {
  const { path } = options.storage;
  const known = existsSync(join(path, PSEUDONYM_KEY));
  const key = readOrMakeSecret(path, PSEUDONYM_KEY);
  if (!known) {
    process.stderr.write(`rras-exporter: there was no key in ${path}, so a new one was made\n`);
  }
  process.stdout.write(names.map((name) => `${name}\t${pseudonymOf(name, key)}\n`).join(''));
}
