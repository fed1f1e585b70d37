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
  try {
    return { text: new TextDecoder('utf-8', { fatal: true }).decode(bytes), mode };
  } catch (error) {
    throw new Error('is not text in UTF-8', { cause: error });
  }
}

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file',
  ENOTDIR: 'there is no such folder',
  EACCES: 'this account may not',
  EPERM: 'this account may not',
};
