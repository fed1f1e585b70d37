/** The fixtures of configuration files, in a folder where their secrets have the modes that Git does not keep. */
import { chmodSync, cpSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, sep } from 'node:path';
import { fileURLToPath } from 'node:url';

const FIXTURES = fileURLToPath(new URL('../fixtures/config/', import.meta.url));

function cases(kind: 'good' | 'bad'): readonly string[] {
  return readdirSync(FIXTURES)
    .filter((name) => name.endsWith(`.${kind}.yml`))
    .sort();
}

/** Names of files. */
export const GOOD = cases('good');
export const BAD = cases('bad');

export interface ConfigFolder {
  path(name: string): string;
  /** Without the folder that files were found in, and with slashes. */
  withoutFolder(text: string): string;
  remove(): void;
}

export function makeConfigFolder(): ConfigFolder {
  const folder = mkdtempSync(join(tmpdir(), 'rras-exporter-config-'));
  cpSync(FIXTURES, folder, { recursive: true });
  for (const secret of ['closed.secret', 'short.secret']) chmodSync(join(folder, secret), 0o600);
  chmodSync(join(folder, 'open.secret'), 0o644);
  return {
    path: (name) => join(folder, name),
    withoutFolder: (text) => text.replaceAll(`${folder}${sep}`, '').replaceAll(folder, '.'),
    remove: () => rmSync(folder, { recursive: true }),
  };
}

/** The line that a bad file says it is refused with. */
export function expectedError(name: string): string {
  const [first = ''] = readFileSync(join(FIXTURES, name), 'latin1').split(/\r?\n/, 1);
  const error = /^# error: (?<text>.+)$/.exec(first)?.groups?.['text'];
  if (error === undefined) throw new Error(`${name} does not begin with "# error: ..."`);
  return Buffer.from(error, 'latin1').toString('utf8');
}
