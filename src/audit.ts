/** The command `audit verify`: whether an audit log is whole, and those of the servers in its folder. */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { AuditVerdict } from './admin/audit-file.ts';
import { listAuditFiles, nodeDisk, verifyAudit } from './admin/audit-file.ts';
import { UsageError } from './model/errors.ts';
import { describeError } from './runtime/describe-error.ts';
import { folderOfServer, SERVERS } from './runtime/storage.ts';

/** Prints what was found; rejects, naming the first bad line of each, if a log is not whole or cannot be read. */
export async function audit([verb, path = '']: readonly string[]): Promise<void> {
  if (verb !== 'verify')
    throw new UsageError('audit can only verify', 'write rras-exporter audit verify FILE');
  const problems: string[] = [];
  for (const { what, where } of await logsAt(path)) {
    try {
      await print(`${what} is whole: ${summary(await verify(what, where))}\n`);
    } catch (error) {
      problems.push(describeError(error));
    }
  }
  if (problems.length > 0) throw new Error(problems.join('; '));
}

interface AuditLogPlace {
  readonly what: string;
  readonly where: string;
}

/** Of a storage folder, those of its servers, too, as far as they have one. */
async function logsAt(path: string): Promise<readonly AuditLogPlace[]> {
  const places: AuditLogPlace[] = [{ what: 'the audit log', where: path }];
  for (const name of (await foldersIn(join(path, SERVERS))).sort()) {
    const where = folderOfServer(path, name);
    // One that cannot be listed is told of when it is verified.
    const files = await listAuditFiles(nodeDisk, where).catch(() => null);
    if (files?.length !== 0) places.push({ what: `the audit log of ${name}`, where });
  }
  return places;
}

async function foldersIn(path: string): Promise<string[]> {
  try {
    const entries = await readdir(path, { withFileTypes: true });
    return entries.filter((entry) => entry.isDirectory() || entry.isSymbolicLink()).map(({ name }) => name);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return [];
    throw new Error(`the audit logs in ${path} cannot be read`, { cause: error });
  }
}

type Whole = Extract<AuditVerdict, { ok: true }>;

async function verify(what: string, where: string): Promise<Whole> {
  let verdict: AuditVerdict;
  try {
    verdict = await verifyAudit(where);
  } catch (error) {
    throw new Error(`${what} ${where} cannot be read`, { cause: error });
  }
  if (verdict.ok) return verdict;
  const { file, line, problem, reason } = verdict.fault;
  throw new Error(`${what} is not whole: ${file}, line ${line}: ${problem}: ${reason}`);
}

function summary({ files, lines, firstSequence, head }: Whole): string {
  const where = `${lines} lines in ${files} ${files === 1 ? 'file' : 'files'}`;
  return head ? `${where}, sequence ${firstSequence} to ${head.sequence}, last hash ${head.hash}` : where;
}

/** Done when it is written out: the exit after a problem would cut off what a pipe on Windows has not taken yet. */
const print = (text: string): Promise<void> =>
  new Promise((done) => process.stdout.write(text, () => done()));
