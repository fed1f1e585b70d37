/** Lays the rows out as tables: aligned text for a terminal, Markdown for the documentation. */
import type { Row, Section, SingleRow } from './rows.ts';
import type { Target } from './targets.ts';
import { judge } from './targets.ts';

/** Three digits that count, and a separator of thousands. */
export function formatFigure(value: number): string {
  const size = Math.abs(value);
  const digits =
    size === 0 || size >= 100 || Number.isInteger(value) ? 0 : size >= 10 ? 1 : size >= 1 ? 2 : 3;
  return value.toLocaleString('en-US', { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

function formatTarget({ kind, bound, at }: Target): string {
  const figure = `${kind} ${bound.toLocaleString('en-US')}`;
  return typeof at === 'number' ? `${figure} at ${formatFigure(at)}` : figure;
}

type Cells = readonly string[];

const targetCells = (
  target: Target | undefined,
  sizes: readonly number[],
  values: readonly number[],
): Cells => (target ? [formatTarget(target), judge(target, sizes, values)] : ['', '']);

function rowCells({ label, values, target }: Row, sizes: readonly number[]): Cells {
  return [label, ...values.map(formatFigure), ...targetCells(target, sizes, values)];
}

function singleCells({ label, value, target }: SingleRow): Cells {
  return [label, formatFigure(value), ...targetCells(target, [], [value])];
}

const headCells = (sizes: readonly number[]): Cells => [
  'connections',
  ...sizes.map(formatFigure),
  'to reach',
  '',
];
const SINGLE_HEAD: Cells = ['', 'measured', 'to reach', ''];

/** Of the tables of a run: the target and the verdict. */
const TEXTS_AT_END = 2;

/** Figures stand to the right; the first column and the last ones, which are texts, to the left. */
const isFigure = (column: number, columns: number, textsAtEnd: number): boolean =>
  column > 0 && column < columns - textsAtEnd;

function pad(cells: Cells, widths: readonly number[], textsAtEnd: number): string[] {
  return cells.map((cell, i) =>
    isFigure(i, cells.length, textsAtEnd) ? cell.padStart(widths[i]!) : cell.padEnd(widths[i]!),
  );
}

function widthsOf(lines: readonly Cells[], least: number): number[] {
  return lines[0]!.map((_, i) => Math.max(least, ...lines.map((cells) => cells[i]!.length)));
}

export function textTable(
  sections: readonly Section[],
  singles: readonly SingleRow[],
  sizes: readonly number[],
): string {
  const lines: (Cells | string)[] = [headCells(sizes)];
  for (const { title, rows } of sections) {
    lines.push('', title);
    for (const row of rows) {
      const [label = '', ...cells] = rowCells(row, sizes);
      lines.push([`  ${label}`, ...cells]);
    }
  }
  return [align(lines), '', align([SINGLE_HEAD, ...singles.map(singleCells)])].join('\n');
}

function align(lines: readonly (Cells | string)[]): string {
  const widths = widthsOf(
    lines.filter((line) => typeof line !== 'string'),
    0,
  );
  return lines
    .map((line) => (typeof line === 'string' ? line : pad(line, widths, TEXTS_AT_END).join('  ').trimEnd()))
    .join('\n');
}

export function markdownTables(
  sections: readonly Section[],
  singles: readonly SingleRow[],
  sizes: readonly number[],
): string {
  const tables = sections.flatMap(({ title, rows }) => [
    `**${title}**`,
    markdownTable([headCells(sizes), ...rows.map((row) => rowCells(row, sizes))], TEXTS_AT_END),
  ]);
  const single = markdownTable([SINGLE_HEAD, ...singles.map(singleCells)], TEXTS_AT_END);
  return [...tables, '**Single figures**', single].join('\n\n');
}

/** As Prettier lays it out. The first line is the head. */
export function markdownTable(lines: readonly Cells[], textsAtEnd: number): string {
  const widths = widthsOf(lines, 3);
  const rules = widths.map((width, i) =>
    isFigure(i, widths.length, textsAtEnd) ? `${'-'.repeat(width - 1)}:` : '-'.repeat(width),
  );
  const [head = [], ...body] = lines.map((cells) => pad(cells, widths, textsAtEnd));
  return [head, rules, ...body].map((cells) => `| ${cells.join(' | ')} |`).join('\n');
}
