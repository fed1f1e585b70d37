/**
 * Loads the options from the command line and the configuration file it names: all of them, or one error that says
 * where the first fault is.
 */
import { dirname, resolve } from 'node:path';
import { ConfigFileError } from '../model/errors.ts';
import { toAdminConfig } from './admin-schema.ts';
import { fileSchema, hintForKey, optionValues } from './file-schema.ts';
import { printable, type Given } from './flags.ts';
import { FILE_OUTPUT, OPTIONS, type OptionRow, type Options, type Surroundings } from './options.ts';
import { variableIn, variableProblem } from './path-text.ts';
import { toOptions, type FileSettings } from './schema.ts';
import type { IssueParams } from './setting.ts';
import { readTextFile, type TextFile } from './text-file.ts';
import { YamlFile } from './yaml-file.ts';

const MAX_FILE_BYTES = 1024 * 1024;
const MAX_SECRET_BYTES = 4096;
const MIN_SECRET_CHARS = 16;
const OTHERS_MODE = 0o077;
const SECRET_FILE = ['hooks', 'grafana', 'secretFile'] as const;

/** @throws UsageError naming the flag, or the place in the file, and what is expected. */
export function loadOptions(given: Given, on: Surroundings): Options {
  const path = given.get('config.file');
  // An empty path is for toOptions to refuse.
  if (typeof path !== 'object' || !path[0]) return toOptions(given, on);
  return toOptions(given, on, readConfigFile(path[0], on));
}

/** @throws ConfigFileError */
export function readConfigFile(path: string, on: Surroundings): FileSettings {
  const { text } = read(
    path,
    MAX_FILE_BYTES,
    (problem) => new ConfigFileError(`${printable(path)} ${problem}`),
  );
  const file = new YamlFile(path, text);
  const result = fileSchema.safeParse(file.value);
  if (!result.success) {
    const problems = result.error.issues.map((issue) => {
      const { hint = '', siblings } = ('params' in issue ? issue.params : {}) as Partial<IssueParams>;
      const at = siblings === undefined ? ('value' as const) : ('key' as const);
      return { ...issue, hint, siblings, at, offset: file.offset(issue.path, at) };
    });
    const [first] = problems.sort((a, b) => a.offset - b.offset);
    if (!first) throw new ConfigFileError(`${printable(path)} is not valid`);
    const hint = first.siblings === undefined ? first.hint : hintForKey(first.path, first.siblings);
    throw file.error(first.path, first.message, hint, first.at);
  }
  const { admin, hooks, otlp, servers } = result.data;
  const folder = dirname(path);
  const inFolder = (key: readonly PropertyKey[], value: string): string => {
    const variable = variableIn(value, on.platform);
    if (variable !== null) throw file.error(key, ...variableProblem(variable));
    return resolve(folder, value);
  };
  const secret =
    hooks.grafana === undefined
      ? null
      : readSecret(inFolder(SECRET_FILE, hooks.grafana.secretFile), file, on);
  const values = optionValues(result.data);
  for (const { flag, kind, configKey } of OPTIONS as readonly OptionRow[]) {
    const value = values.get(flag);
    if (typeof value !== 'string') continue;
    const key = configKey?.split('.') ?? [];
    if (kind === 'path') values.set(flag, inFolder(key, value));
    if (kind === 'log-output' && value.startsWith(FILE_OUTPUT))
      values.set(flag, `${FILE_OUTPUT}${inFolder(key, value.slice(FILE_OUTPUT.length))}`);
  }
  return {
    values,
    admin: toAdminConfig(admin, hooks, secret),
    otlp,
    servers: servers.map(({ name, rras: { replay, ...rras } }, index) => ({
      name,
      rras: { ...rras, replay: replay === null ? null : inFolder(['servers', index, 'replay'], replay) },
    })),
    keys: keysOf(file.value),
    locate: (key) => file.locate(key.split('.')),
  };
}

/** Paths of the keys of a map and of all maps in it. */
function keysOf(value: unknown, above = ''): Set<string> {
  const keys = new Set<string>();
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return keys;
  for (const [name, below] of Object.entries(value)) {
    keys.add(above + name);
    for (const key of keysOf(below, `${above}${name}.`)) keys.add(key);
  }
  return keys;
}

function readSecret(path: string, file: YamlFile, on: Surroundings): Uint8Array {
  const shown = printable(path);
  const refuse = (problem: string, hint = ''): ConfigFileError =>
    file.error(SECRET_FILE, `${shown} ${problem}`, hint);
  const { text, mode } = read(path, MAX_SECRET_BYTES, refuse);
  if (on.platform !== 'win32' && (mode & OTHERS_MODE) !== 0) {
    const advice = `close it by: chmod 600 ${shown}, and replace the secret if it was read`;
    throw refuse('can be read by other users', advice);
  }
  const secret = text.trim();
  if (secret.length < MIN_SECRET_CHARS) {
    throw refuse(`holds fewer than ${MIN_SECRET_CHARS} characters`);
  }
  return Buffer.from(secret, 'utf8');
}

function read(path: string, maxBytes: number, refuse: (problem: string) => ConfigFileError): TextFile {
  try {
    return readTextFile(path, maxBytes);
  } catch (error) {
    throw refuse(error instanceof Error ? error.message : String(error));
  }
}
