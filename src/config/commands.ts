/**
 * The sub-commands: what --help says of them and which words they take. The first word of the command line names one;
 * without it the program serves.
 */
import { UsageError } from '../model/errors.ts';
import { type Given, quote, readFlags } from './flags.ts';
import { OPTIONS, type OptionRow } from './options.ts';
import { closest } from './suggestion.ts';

interface CommandRow {
  readonly name: string;
  /** What follows the name. */
  readonly words: string;
  readonly least: number;
  readonly most: number;
  readonly help: string;
}

/** In the order of --help. */
export const COMMANDS = [
  {
    name: 'audit',
    words: 'verify FILE',
    least: 2,
    most: 2,
    help: 'Verify an audit log, one file or its folder: that no line was changed, lost from between or torn.',
  },
  {
    name: 'check-config',
    words: 'FILE',
    least: 1,
    most: 1,
    help: 'Check a configuration file as the exporter would at its start, together with these flags.',
  },
  {
    name: 'doctor',
    words: '[--json]',
    least: 0,
    most: 0,
    help: 'Check all that the exporter needs with these flags: rights, service, DLL, API level, configuration, port; and say what to do about what is wrong.',
  },
  {
    name: 'pseudonym',
    words: 'NAME...',
    least: 1,
    most: Infinity,
    help: 'Print what the privacy mode pseudonym makes of these names, with the key in --storage.path.',
  },
  {
    name: 'record',
    words: 'FILE',
    least: 1,
    most: 1,
    help: 'Write the raw answers of the server to a new file, names and addresses replaced, for --rras.replay.',
  },
  {
    name: 'token',
    words: 'NAME',
    least: 1,
    most: 1,
    help: 'Make a token of the admin API and print it, this once, with the lines for the configuration file.',
  },
] as const satisfies readonly CommandRow[];

export type CommandName = (typeof COMMANDS)[number]['name'];

export interface CommandLine {
  /** null: serve. */
  readonly command: CommandName | null;
  /** What stands beside the flags. */
  readonly words: readonly string[];
  readonly given: Given;
}

/** `argv` without the program's own name. @throws UsageError */
export function readCommandLine(argv: readonly string[]): CommandLine {
  const [first, ...rest] = argv;
  if (first === undefined || first.startsWith('-')) return checked(null, [], readFlags(argv));
  const command = COMMANDS.find(({ name }) => name === first);
  if (!command) throw unknownCommand(first);
  const words: string[] = [];
  return checked(command, words, readFlags(rest, words));
}

function checked(row: CommandRow | null, words: readonly string[], given: Given): CommandLine {
  const command = (row?.name ?? null) as CommandName | null;
  // Who asks for help or the version need not be complete.
  if (given.has('help') || given.has('version')) return { command, words, given };
  for (const option of OPTIONS as readonly OptionRow[]) {
    if (option.command !== undefined && option.command !== command && given.has(option.flag)) {
      throw new UsageError(
        `--${option.flag} is a flag of ${option.command} only`,
        `rras-exporter ${option.command} ...`,
      );
    }
  }
  if (command === 'check-config' && given.has('config.file')) {
    throw new UsageError('check-config checks the file it names', 'leave out --config.file');
  }
  if (row && (words.length < row.least || words.length > row.most)) {
    if (row.most === 0) throw new UsageError(`${row.name} takes flags only, not ${quote(words[0] ?? '')}`);
    const found = words.length < row.least ? `needs ${row.words}` : `takes one ${row.words} only`;
    throw new UsageError(`${row.name} ${found}`, `write rras-exporter ${row.name} ${row.words} [flags]`);
  }
  return { command, words, given };
}

function unknownCommand(word: string): UsageError {
  const names = COMMANDS.map(({ name }) => name);
  const meant = closest(word, names);
  return new UsageError(
    `unknown command ${quote(word)}`,
    meant === null
      ? `commands are ${names.join(', ')}; without one the exporter serves`
      : `did you mean ${meant}?`,
  );
}
