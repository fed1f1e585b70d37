/**
 * Writes the figures of a run into docs/performance.md, between the markers of its part. `node bench/document.ts FILE`
 * takes the JSON file of an earlier run.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { describeMachine } from './machine.ts';
import type { Results } from './results.ts';
import { sectionsOf, singleRowsOf } from './rows.ts';
import { markdownTables } from './table.ts';

const DOCUMENT = new URL('../docs/performance.md', import.meta.url);

export type Part = 'figures' | 'soak';

/** `document` with `text` as the content of the part. Throws if the markers are not there. */
export function withPart(document: string, part: Part, text: string): string {
  const [begin, end] = [`<!-- ${part}: begin -->`, `<!-- ${part}: end -->`];
  const from = document.indexOf(begin);
  const to = document.indexOf(end);
  if (from === -1 || to < from) throw new Error(`the document has no markers of the part ${part}`);
  return `${document.slice(0, from + begin.length)}\n\n${text.trim()}\n\n${document.slice(to)}`;
}

export function figuresText(results: Results): string {
  const sizes = results.sizes.map(({ connections }) => connections);
  const tables = markdownTables(sectionsOf(results), singleRowsOf(results), sizes);
  return `Measured on: ${describeMachine(results.machine)}.\n\n${tables}`;
}

export function writePart(part: Part, text: string): void {
  writeFileSync(DOCUMENT, withPart(readFileSync(DOCUMENT, 'utf8'), part, text));
}

/** Throws for a quick run: the documentation holds a full one. */
export function writeFigures(results: Results): void {
  if (results.quick)
    throw new Error('this was a quick run: the documentation holds the figures of a full one');
  writePart('figures', figuresText(results));
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const file = process.argv[2];
  if (file === undefined) {
    console.error('usage: node bench/document.ts FILE');
    process.exitCode = 2;
  } else {
    writeFigures(JSON.parse(readFileSync(file, 'utf8')) as Results);
  }
}
