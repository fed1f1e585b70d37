/** Whether the log file will do. It leaves everything as it was: a file that is not there is not made. */
import { randomBytes } from 'node:crypto';
import { closeSync, constants, openSync, statSync, unlinkSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import type { Finding } from '../model/check.ts';
import { isDiskFull, MAKE_ROOM } from './storage.ts';

const OTHER = 'choose another file by --log.output';

/** null: standard error. */
export function inspectLog(path: string | null): Finding {
  if (path === null) return { status: 'skipped', summary: 'no file: standard error' };
  const folder = dirname(resolve(path));
  try {
    const found = statSync(path, { throwIfNoEntry: false });
    if (found?.isDirectory() === true)
      return { status: 'fail', summary: `${path} is a folder`, fix: 'name a file in it by --log.output' };
    if (found?.isFile() === true) {
      // Without making it, if it is moved away just now.
      closeSync(openSync(path, constants.O_WRONLY | constants.O_APPEND));
      return { status: 'ok', summary: `${path} can be appended to` };
    }
    if (found !== undefined) return { status: 'ok', summary: `${path} is there, and is no common file` };
    const probe = join(folder, `.rras-exporter-doctor-${randomBytes(6).toString('hex')}`);
    closeSync(openSync(probe, 'wx', 0o600));
    unlinkSync(probe);
    return { status: 'ok', summary: `${path} is not there yet; it can be made` };
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === undefined) throw error;
    const summary = `${path} cannot be written (${code})`;
    if (isDiskFull(error)) return { status: 'fail', summary, fix: `${MAKE_ROOM}, or ${OTHER}` };
    if (code === 'ENOENT' || code === 'ENOTDIR')
      return { status: 'fail', summary, fix: `make the folder ${folder}, or ${OTHER}` };
    return { status: 'fail', summary, fix: `let the account of the exporter write to it, or ${OTHER}` };
  }
}
