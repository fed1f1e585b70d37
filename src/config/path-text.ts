/** Paths as administrators write them: what another program or YAML would make of one is not what they mean. */
import { z } from 'zod';

/** In double quotes YAML makes a line end of the `\n` in "C:\new", and other such characters of \t, \a or \L. */
const ODD = /[\p{Cc}\p{Zl}\p{Zp}]/u;
const CHARACTERS = String.raw`[^\p{Cc}\p{Zl}\p{Zp}]`;

export const PATH_TEXT = z
  .string()
  .min(1)
  .max(4096)
  .regex(new RegExp(`^${CHARACTERS}+$`, 'u'));

export const LOG_OUTPUT_TEXT = z.string().regex(new RegExp(`^(?:stderr|file:${CHARACTERS}{1,4096})$`, 'u'));

export const SINGLE_QUOTES = String.raw`in double quotes \ begins an escape: write it in single quotes, as in 'C:\new'`;

/** What to do about a path of a file that is refused. */
export const hintForPath = (value: unknown): string =>
  typeof value === 'string' && ODD.test(value) ? SINGLE_QUOTES : '';

/** The first `%NAME%` in a path, which cmd would replace and nobody else does; null if there is none. */
export function variableIn(path: string, platform: NodeJS.Platform): string | null {
  if (platform !== 'win32') return null;
  return /%[\p{L}_][\p{L}\p{N}_().-]*%/u.exec(path)?.[0] ?? null;
}

/** Completes "PATH: ". */
export const variableProblem = (variable: string): readonly [message: string, hint: string] => [
  `${variable} is not replaced by the value of that variable`,
  String.raw`write the whole path, such as C:\ProgramData\rras-exporter`,
];
