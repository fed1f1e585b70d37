/**
 * The folder that the exporter keeps its state in. It holds secrets, so it is made for the exporter's account and the
 * administrators alone, and one that others can enter is refused.
 */
import { randomBytes } from 'node:crypto';
import {
  closeSync,
  fsyncSync,
  linkSync,
  mkdirSync,
  openSync,
  readFileSync,
  rmdirSync,
  statSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import type { Verdict, WindowsAcl } from './windows-acl.ts';
import { refusalOf, windowsAcl } from './windows-acl.ts';

/** Name of the key of the pseudonyms. Without it nobody can tell whose they are; with a new one all change. */
export const PSEUDONYM_KEY = 'pseudonym.key';

const OTHERS_MODE = 0o077;
const OWNER_ONLY = 0o700;
const SECRET_MODE = 0o600;
const SECRET_BYTES = 32;

/** Of the folder with the state of each of many servers. */
export const SERVERS = 'servers';
/** Where the state of one of many servers lies in the folder. */
export const folderOfServer = (path: string, name: string): string => join(path, SERVERS, name);

/**
 * Makes the folder if it is not there; throws, saying what to do, if it cannot be made or others can enter it. `warn` is told
 * where nobody can tell.
 */
export function openStorage(
  path: string,
  warn: (message: string) => void = () => undefined,
  acl: WindowsAcl | null = windowsAcl,
): void {
  const advice = 'choose another folder by --storage.path';
  const made = makeFolder(path, advice);
  if (acl !== null) {
    const isFirst = !acl.knows(path);
    if (made !== undefined && isFirst) closeNew(path, acl);
    else judge(path, acl.look(path), isFirst ? warn : () => undefined);
    return;
  }
  const stat = statSync(path);
  if (!stat.isDirectory()) throw new Error(`the storage path ${path} is not a folder; ${advice}`);
  if ((stat.mode & OTHERS_MODE) !== 0) {
    throw new Error(`the storage folder ${path} is open to other users; close it by: chmod 700 ${path}`);
  }
}

/** The first folder that was made, if one was. */
function makeFolder(path: string, advice: string): string | undefined {
  let reason: string;
  try {
    return mkdirSync(path, { recursive: true, mode: OWNER_ONLY });
  } catch (error) {
    reason = reasonOf(error);
  }
  // Without a cause: it would be told twice.
  throw new Error(`the storage folder ${path} cannot be made: ${reason}; ${advice}`);
}

/** Left open, it would pass for a good one at the next start. */
function closeNew(path: string, acl: WindowsAcl): void {
  let reason: string;
  try {
    acl.close(path);
    return;
  } catch (error) {
    reason = reasonOf(error);
  }
  rmdirSync(path);
  throw new Error(`the storage folder ${path} cannot be closed to other users (icacls): ${reason}`);
}

function judge(path: string, verdict: Verdict, warn: (message: string) => void): void {
  const refusal = refusalOf(path, verdict);
  if (refusal !== null)
    throw new Error(`the storage folder ${path} ${refusal.what}; close it by: ${refusal.fix}`);
  if (verdict === null) {
    warn(`icacls does not tell who can enter the storage folder ${path}: see to it that others cannot`);
  } else if (verdict !== 'unreadable' && verdict.owner === null) {
    warn(
      `PowerShell does not tell who owns the storage folder ${path}: see to it that an administrator does`,
    );
  }
}

/** The secret of that name, 32 random bytes; made at the first use and never changed after. */
export function readOrMakeSecret(path: string, name: string, warn?: (message: string) => void): Uint8Array {
  openStorage(path, warn);
  const file = join(path, name);
  try {
    return readSecret(file);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
  let problem: unknown;
  try {
    makeSecret(file);
  } catch (error) {
    problem = error;
  }
  if (problem === undefined) return readSecret(file);
  const advice = isDiskFull(problem) ? `; ${MAKE_ROOM}` : '';
  throw new Error(`the secret ${file} cannot be made: ${reasonOf(problem)}${advice}`);
}

/** Written aside and linked into place: whoever comes first wins, and no reader sees half a secret. */
function makeSecret(file: string): void {
  const aside = `${file}.${randomBytes(6).toString('hex')}`;
  const descriptor = openSync(aside, 'wx', SECRET_MODE);
  try {
    try {
      writeFileSync(descriptor, `${randomBytes(SECRET_BYTES).toString('hex')}\n`);
      fsyncSync(descriptor);
    } finally {
      closeSync(descriptor);
    }
    linkSync(aside, file);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  } finally {
    unlinkSync(aside);
  }
}

/** What helps where no right and no other owner does. */
export const MAKE_ROOM = 'make room on that disk';
export const isDiskFull = (error: unknown): boolean =>
  ['ENOSPC', 'EDQUOT'].includes((error as NodeJS.ErrnoException).code ?? '');

/** Rejects a file that others can read, or that holds something else. */
export function readSecret(file: string): Uint8Array {
  if (process.platform !== 'win32' && (statSync(file).mode & OTHERS_MODE) !== 0) {
    throw new Error(
      `the secret ${file} can be read by other users; close it by: chmod 600 ${file}, and replace it if it was read`,
    );
  }
  const text = readFileSync(file, 'latin1').trim();
  if (!/^[0-9a-f]{64}$/.test(text)) {
    throw new Error(
      `the secret ${file} is damaged: 64 hexadecimal digits are expected; delete it to have a new one made`,
    );
  }
  return Buffer.from(text, 'hex');
}

const reasonOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
