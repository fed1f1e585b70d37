/**
 * The schema of a configuration file: a key for each option that has one, by the table of options, and the sections
 * that no flag speaks of.
 */
import { z } from 'zod';
import { adminSection, checkBoth, hooksSection } from './admin-schema.ts';
import { OPTIONS, type OptionRow } from './options.ts';
import { otlpSection } from './otlp.ts';
import { expectation, formOfRow, hintInFile, mayHoldPassword, LISTEN_ADDRESS, schemaOf } from './schema.ts';
import { serversSection } from './servers-schema.ts';
import { about, type JsonSchema, list, optional, section, setting } from './setting.ts';
import { closest } from './suggestion.ts';

/** Rows of options that a file can hold, with the path of their key. */
const ROWS = (OPTIONS as readonly OptionRow[]).flatMap((row) =>
  row.configKey === null ? [] : [{ row, path: row.configKey.split('.') }],
);

const KEYS = [
  ...ROWS.map(({ path }) => path.join('.')),
  'admin.tokens',
  'admin.guards',
  'hooks.rules',
  'hooks.serverLabel',
  'hooks.localServer',
  'otlp.enabled',
  'otlp.connections',
];

const FLAGS_ONLY = OPTIONS.filter(({ configKey }) => configKey === null).map(({ flag }) => flag);

export const fileSchema = section(
  {
    ...optionSections(ROWS),
    servers: serversSection,
    admin: about('Who may act, and within which bounds. A reload changes it.', adminSection),
    hooks: about('What alerts may trigger. A reload changes it.', hooksSection),
    otlp: about('What may go out over OTLP. A change takes a restart.', otlpSection),
  },
  ({ admin, hooks }, report) => checkBoth(admin, hooks, report),
);

export type FileValues = z.output<typeof fileSchema>;

/** What a valid file says of options, by their flags. */
export function optionValues(values: FileValues): Map<string, unknown> {
  const found = new Map<string, unknown>();
  for (const { row, path } of ROWS) {
    const value = path.reduce<unknown>((at, key) => (at as Record<string, unknown>)[key], values);
    if (value !== undefined) found.set(row.flag, value);
  }
  return found;
}

/** What was probably meant by a key that nobody knows. */
export function hintForKey(path: readonly PropertyKey[], siblings: readonly string[]): string {
  const name = String(path.at(-1));
  const full = path.join('.');
  if (FLAGS_ONLY.some((flag) => flag === full)) return `--${full} is for the command line only`;
  const sibling = closest(name, siblings);
  if (sibling !== null) return `did you mean ${sibling}?`;
  const leaves = KEYS.filter((each) => each.endsWith(`.${name}`));
  const key = KEYS.find((each) => each === full) ?? (leaves.length === 1 ? leaves[0] : closest(full, KEYS));
  if (key === null || key === undefined) {
    return siblings.length > 12 ? '' : `known here are ${siblings.join(', ')}`;
  }
  const cut = key.lastIndexOf('.');
  return `did you mean ${key.slice(cut + 1)} below ${key.slice(0, cut)}?`;
}

interface Place {
  readonly row: OptionRow;
  readonly path: readonly string[];
}

/** A section for each first part of the paths. */
function optionSections(places: readonly Place[]): Record<string, z.ZodType> {
  const names = new Set(places.map(({ path: [first = ''] }) => first));
  return Object.fromEntries(
    [...names].map((name): [string, z.ZodType] => {
      const inside = places.filter(({ path }) => path[0] === name);
      const [only] = inside;
      if (only?.path.length === 1) return [name, optionSetting(only.row)];
      return [name, section(optionSections(inside.map(({ row, path }) => ({ row, path: path.slice(1) }))))];
    }),
  );
}

/** A value as the file has it: a number is no text and a text no number. undefined if it is not there. */
function optionSetting(row: OptionRow): z.ZodType {
  return about(
    `${row.help} ${row.reloads ? 'A reload changes it.' : 'A change takes a restart.'}`,
    plainSetting(row),
  );
}

function plainSetting(row: OptionRow): z.ZodType {
  const expected = expectation(row);
  const fallback = undefined;
  const form = { ...formOfRow(row), ...defaultForm(row) };
  switch (row.kind) {
    case 'integer':
      return setting<number | undefined>(expected, z.int().min(row.min).max(row.max), { fallback, form });
    case 'listen-address': {
      const address = setting(expected, LISTEN_ADDRESS, { form: formOfRow(row) });
      return optional(list('addresses such as :10077 or 127.0.0.1:10077', address), defaultForm(row));
    }
    default:
      return setting<unknown>(expected, schemaOf(row), {
        fallback,
        secret: mayHoldPassword(row),
        hint: (value) => hintInFile(row, value),
        form,
      });
  }
}

/** The default as a file would have it; nothing of one that depends on the platform. */
function defaultForm(row: OptionRow): JsonSchema {
  const { default: value, kind } = row;
  if (value === null || typeof value === 'function') return {};
  if (kind === 'integer') return { default: Number(value) };
  return { default: kind === 'listen-address' ? [value] : value };
}
