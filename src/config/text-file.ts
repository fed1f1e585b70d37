/** Reads the files that an administrator wrote: small, text, and whole or not at all. */
import { closeSync, fstatSync, openSync, readFileSync, statSync } from 'node:fs';

export interface TextFile {
  /** Without a byte order mark. */
  readonly text: string;
  /** Permission bits; without meaning on Windows. */
  readonly mode: number;
}

/** @throws Error with a text that completes "FILE ..." */
export function readTextFile(path: string, maxBytes: number): TextFile {
  let bytes: Uint8Array;
  let mode: number;
  try {
    // Before it is opened: a named pipe would wait for a writer.
    if (!statSync(path).isFile()) throw new Error('is not a file');
    const descriptor = openSync(path, 'r');
    try {
      const stat = fstatSync(descriptor);
      if (stat.size > maxBytes) throw new Error(`is larger than ${maxBytes} bytes`);
      mode = stat.mode & 0o777;
      bytes = readFileSync(descriptor);
    } finally {
      closeSync(descriptor);
    }
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === undefined) throw error;
    const reason = REASONS[code];
    throw new Error(`cannot be read: ${reason === undefined ? code : `${reason} (${code})`}`, {
      cause: error,
    });
  }
  if (isUtf16(bytes)) throw new Error('is UTF-16: save it as UTF-8');
  try {
    return { text: new TextDecoder('utf-8', { fatal: true }).decode(bytes), mode };
  } catch (error) {
    throw new Error('is not text in UTF-8', { cause: error });
  }
}

/** As PowerShell 5 writes it; without a byte order mark, by the zero byte of a first character of ASCII. */
function isUtf16([first, second]: Uint8Array): boolean {
  if (first === undefined || second === undefined) return false;
  const mark = (first === 0xff && second === 0xfe) || (first === 0xfe && second === 0xff);
  return mark || (first === 0) !== (second === 0);
}

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file',
  ENOTDIR: 'there is no such folder',
  EACCES: 'this account may not',
  EPERM: 'this account may not',
};
