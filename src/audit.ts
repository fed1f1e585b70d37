/** The command `audit verify`: whether an audit log is whole. */
import type { AuditVerdict } from './admin/audit-file.ts';
import { verifyAudit } from './admin/audit-file.ts';
import { UsageError } from './model/errors.ts';

/** Prints what was found; rejects, naming the first bad line, if the log is not whole or cannot be read. */
export async function audit([verb, path = '']: readonly string[]): Promise<void> {
  if (verb !== 'verify')
    throw new UsageError('audit can only verify', 'write rras-exporter audit verify FILE');
  let verdict: AuditVerdict;
  try {
    verdict = await verifyAudit(path);
  } catch (error) {
    throw new Error(`the audit log ${path} cannot be read`, { cause: error });
  }
  if (!verdict.ok) {
    const { file, line, problem, reason } = verdict.fault;
    throw new Error(`the audit log is not whole: ${file}, line ${line}: ${problem}: ${reason}`);
  }
  const { files, lines, firstSequence, head } = verdict;
  const where = `${lines} lines in ${files} ${files === 1 ? 'file' : 'files'}`;
  const what = head ? `, sequence ${firstSequence} to ${head.sequence}, last hash ${head.hash}` : '';
  process.stdout.write(`the audit log is whole: ${where}${what}\n`);
}
