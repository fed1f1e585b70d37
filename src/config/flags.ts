/**
 * Reads the command line against the table of options: which flag got which text. It does not judge values; see
 * schema.ts. Nothing is guessed: a flag or word that is not known is an error with a suggestion.
 */
import { parseArgs } from 'node:util';
import { UsageError } from '../model/errors.ts';
import { OPTIONS, type OptionRow } from './options.ts';
import { closest } from './suggestion.ts';

/** What the command line sets, by flag. Booleans are decided; all else is text. */
export type Given = ReadonlyMap<string, boolean | readonly string[]>;

const rows: ReadonlyMap<string, OptionRow> = new Map(OPTIONS.map((row) => [row.flag, row]));

/** Flags that are complete without a value, so that a word after them is not theirs. */
function standsAlone(row: OptionRow): boolean {
  return row.kind === 'boolean' || (row.kind === 'enum' && row.implied !== undefined);
}

function negatable(row: OptionRow): boolean {
  return row.kind === 'boolean' && row.configKey !== null;
}

/**
 * `argv` without the program's own name and the command. Words beside the flags go into `words`; without it they are
 * errors.
 */
export function readFlags(argv: readonly string[], words?: string[]): Given {
  const { tokens } = parseArgs({
    args: [...argv],
    options: Object.fromEntries(
      OPTIONS.map((row: OptionRow) => [
        row.flag,
        {
          type: standsAlone(row) ? ('boolean' as const) : ('string' as const),
          ...(row.short === undefined ? {} : { short: row.short }),
        },
      ]),
    ),
    strict: false,
    allowPositionals: true,
    tokens: true,
  });

  const given = new Map<string, boolean | string[]>();
  let previous: OptionRow | null = null;
  for (const token of tokens) {
    if (token.kind === 'option-terminator') {
      previous = null;
      continue;
    }
    if (token.kind === 'positional') {
      if (!words || meantAsValue(token.value, previous) !== null) throw strayWord(token.value, previous);
      words.push(token.value);
      previous = null;
      continue;
    }
    const row = rowOf(token.name, token.rawName, argv[token.index] ?? token.rawName);
    const value = token.inlineValue === false && token.value.startsWith('--') ? undefined : token.value;
    set(given, row, token.name !== row.flag, value);
    previous = token.inlineValue === undefined ? row : null;
  }
  return given;
}

function rowOf(name: string, rawName: string, word: string): OptionRow {
  const row = rows.get(name) ?? rows.get(name.replace(/^no-/, ''));
  const known = row !== undefined && (row.flag === name || negatable(row));
  // parseArgs takes `-rras.server` for a bundle of short flags: judge the word as it was typed.
  if (known && (rawName.startsWith('--') || word === rawName)) return row;
  if (!word.startsWith('--')) {
    const long = `-${word}`;
    const [longName = ''] = long.slice(2).split('=');
    const hint = rows.has(longName) ? `flags start with two dashes: ${long}` : 'see --help';
    throw new UsageError(`unknown flag ${quote(word)}`, hint);
  }
  const names = OPTIONS.flatMap((each: OptionRow) =>
    negatable(each) ? [each.flag, `no-${each.flag}`] : [each.flag],
  );
  const suggestion = row?.flag ?? closest(name, names);
  throw new UsageError(
    `unknown flag ${printable(`--${name}`)}`,
    suggestion === null ? 'see --help' : `did you mean --${suggestion}?`,
  );
}

function set(
  given: Map<string, boolean | string[]>,
  row: OptionRow,
  negated: boolean,
  value: string | undefined,
): void {
  const before = given.get(row.flag);
  if (before !== undefined && row.kind !== 'listen-address') {
    throw new UsageError(`--${row.flag} is given more than once`);
  }
  if (row.kind === 'boolean') {
    if (value !== undefined && (negated || (value !== 'true' && value !== 'false'))) {
      const shown = `--${negated ? 'no-' : ''}${row.flag}`;
      throw new UsageError(`${shown} takes no value, not ${quote(value)}`, `write ${shown}`);
    }
    given.set(row.flag, value === undefined ? !negated : value === 'true');
    return;
  }
  const text = value ?? (row.kind === 'enum' ? row.implied : undefined);
  if (text === undefined) {
    throw new UsageError(`--${row.flag} needs a value`, `write --${row.flag}=${row.placeholder}`);
  }
  given.set(row.flag, Array.isArray(before) ? [...before, text] : [text]);
}

/** The value that a word after a flag that takes none was probably meant for, or null. */
function meantAsValue(word: string, previous: OptionRow | null): string | null {
  if (previous === null || !standsAlone(previous)) return null;
  if (previous.kind !== 'enum') return closest(word, ['true', 'false']);
  const [name = '', ...count] = word.split(':');
  const choice = closest(name, previous.choices);
  return choice === null ? null : [choice, ...count].join(':');
}

function strayWord(word: string, previous: OptionRow | null): UsageError {
  const meant = meantAsValue(word, previous);
  const hint =
    previous !== null && meant !== null
      ? `write --${previous.flag}=${meant}`
      : 'a command comes first, before all flags: see --help';
  return new UsageError(`unexpected argument ${quote(word)}`, hint);
}

/** For messages: on one line whatever was typed. */
export function quote(text: string): string {
  return printable(JSON.stringify(text));
}

/** As it is, but for characters that a terminal or a log would not show. */
export function printable(text: string): string {
  return text.replace(
    /[\p{C}\p{Zl}\p{Zp}]/gu,
    (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}
