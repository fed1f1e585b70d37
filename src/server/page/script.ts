/**
 * The page's script as one text. It is written as modules, compiled where the exporter was built and read at once where it
 * runs from its sources; their imports are of each other only, so that one after the other they are one module.
 */
import { readFileSync } from 'node:fs';
import { extname } from 'node:path';
import { stripTypeScriptTypes } from 'node:module';

/** main.ts beside the sources, main.js in dist. */
const ENTRY = new URL(`./browser/main${extname(import.meta.url)}`, import.meta.url);
const IMPORTS = /^import\s[^;]*?from ['"](\.[^'"]+)['"];$/gm;
const SOURCE_MAPS = /^\/\/# sourceMappingURL=.*$/gm;

export function readPageScript(): string {
  const read = new Set<string>();
  const textOf = (file: URL): string => {
    if (read.has(file.href)) return '';
    read.add(file.href);
    const source = readFileSync(file, 'utf8');
    const text = file.pathname.endsWith('.ts') ? stripTypeScriptTypes(source) : source;
    const imported = [...text.matchAll(IMPORTS)].map(([, path]) => textOf(new URL(path!, file)));
    return [...imported, text.replace(IMPORTS, '').replace(SOURCE_MAPS, '').trim()].join('\n');
  };
  return textOf(ENTRY);
}
