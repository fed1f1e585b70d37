/**
 * Makes dashboards/*.json out of dashboards/source/: `node tools/dashboards.ts` writes them, with `--check` it only says
 * whether they are what the source makes of them.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { format, resolveConfig } from 'prettier';
import { DASHBOARDS } from '../dashboards/source/index.ts';

export const FOLDER = new URL('../dashboards/', import.meta.url);

/** Texts by the names of their files. */
export async function dashboardFiles(): Promise<ReadonlyMap<string, string>> {
  const files = new Map<string, string>();
  for (const dashboard of DASHBOARDS) {
    const name = `${dashboard.uid}.json`;
    const path = fileURLToPath(new URL(name, FOLDER));
    const style = await resolveConfig(path);
    files.set(name, await format(JSON.stringify(dashboard), { ...style, filepath: path }));
  }
  return files;
}

const readFile = (name: string): string | undefined => {
  const file = new URL(name, FOLDER);
  return existsSync(file) ? readFileSync(file, 'utf8') : undefined;
};

/** Names of files that differ from what the source makes of them. */
export async function staleFiles(read = readFile): Promise<string[]> {
  const files = await dashboardFiles();
  return [...files].filter(([name, text]) => read(name) !== text).map(([name]) => name);
}

async function main(): Promise<void> {
  if (process.argv.includes('--check')) {
    const stale = await staleFiles();
    for (const name of stale)
      console.error(`dashboards/${name} is not what its source makes: node tools/dashboards.ts`);
    process.exitCode = stale.length > 0 ? 1 : 0;
    return;
  }
  for (const [name, text] of await dashboardFiles()) writeFileSync(new URL(name, FOLDER), text);
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) await main();
