/**
 * Whether the storage folder will do, as openStorage will judge it. It leaves everything as it was: what it makes to try
 * is beside the folder, or has a name of its own in it, and is removed at once.
 */
import type { Stats } from 'node:fs';
import { randomBytes } from 'node:crypto';
import { mkdirSync, rmdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import type { Finding } from '../model/check.ts';
import { isDiskFull, MAKE_ROOM, PSEUDONYM_KEY, readSecret } from './storage.ts';
import type { WindowsAcl } from './windows-acl.ts';
import { refusalOf, windowsAcl } from './windows-acl.ts';

const OTHERS_MODE = 0o077;
const ELSEWHERE = 'or choose another folder by --storage.path';

/** The folder may be missing: the exporter makes it when it first needs it. */
export function inspectStorage(path: string, acl: WindowsAcl | null = windowsAcl): Finding {
  const found = find(path);
  if (found === null) return inspectParent(path);
  if (!found.isDirectory())
    return {
      status: 'fail',
      summary: `${path} is not a folder`,
      fix: `move that file away, ${ELSEWHERE}`,
    };
  if (acl === null && (found.mode & OTHERS_MODE) !== 0) {
    const mode = (found.mode & 0o777).toString(8).padStart(4, '0');
    return { status: 'fail', summary: `${path} is open to other users (${mode})`, fix: `chmod 700 ${path}` };
  }
  try {
    tryToWrite(join(path, probeName()));
  } catch (error) {
    const fix = isDiskFull(error) ? `${MAKE_ROOM}, ${ELSEWHERE}` : grant(path);
    return { status: 'fail', summary: `${path} cannot be written: ${reasonOf(error)}`, fix };
  }
  const secret = join(path, PSEUDONYM_KEY);
  try {
    if (find(secret) !== null) readSecret(secret);
  } catch (error) {
    const [summary = '', ...rest] = reasonOf(error).split('; ');
    return { status: 'fail', summary, fix: rest.join('; ') || grant(secret) };
  }
  const verdict = acl === null ? null : acl.look(path);
  const refusal = refusalOf(path, verdict);
  if (refusal !== null) return { status: 'fail', summary: `${path} ${refusal.what}`, fix: refusal.fix };
  if (acl !== null && verdict === null)
    return { status: 'ok', summary: `${path} can be written; icacls does not tell who else can enter it` };
  const others = acl === null ? othersThan(found.uid) : 'other users';
  const summary = `${path} can be written, and is closed to ${others}`;
  if (verdict !== null && verdict !== 'unreadable' && verdict.owner === null)
    return { status: 'ok', summary: `${summary}; PowerShell does not tell who owns it` };
  return { status: 'ok', summary };
}

/** Root may serve from the folder of another, as where a container has it from outside: that one can enter. */
const othersThan = (owner: number): string =>
  owner === process.getuid?.() ? 'other users' : `all but its owner, user ${owner}`;

/** Not the folder itself is made to try: an exporter that starts meanwhile would take it for one that was closed. */
function inspectParent(path: string): Finding {
  let parent = dirname(resolve(path));
  try {
    while (find(parent) === null && dirname(parent) !== parent) parent = dirname(parent);
    const probe = join(parent, probeName());
    mkdirSync(probe, { mode: 0o700 });
    rmdirSync(probe);
  } catch (error) {
    const mend = isDiskFull(error) ? MAKE_ROOM : `let the account of the exporter write to ${parent}`;
    return {
      status: 'fail',
      summary: `${path} is not there and cannot be made: ${reasonOf(error)}`,
      fix: `${mend}, ${ELSEWHERE}`,
    };
  }
  return { status: 'ok', summary: `${path} is not there yet; it can be made in ${parent}` };
}

/** Goes again even if nothing could be written to it, as on a full disk. */
function tryToWrite(probe: string): void {
  try {
    writeFileSync(probe, 'x', { flag: 'wx', mode: 0o600 });
  } finally {
    rmSync(probe, { force: true });
  }
}

const probeName = (): string => `.rras-exporter-doctor-${randomBytes(6).toString('hex')}`;

function find(path: string): Stats | null {
  try {
    return statSync(path);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return null;
    throw error;
  }
}

const grant = (path: string): string =>
  process.platform === 'win32'
    ? `give the account of the exporter the right: icacls "${path}" /grant ACCOUNT:(OI)(CI)F, ${ELSEWHERE}`
    : `give it to the account of the exporter: chown -R ACCOUNT ${path}, ${ELSEWHERE}`;

/** Node's `EACCES: permission denied, open '/path'` without what follows. */
const reasonOf = (error: unknown): string =>
  (error instanceof Error ? error.message : String(error)).replace(/, \w+ '[^']*'(?: -> '[^']*')?$/, '');
