/**
 * Access lists of folders on Windows, by icacls: who can enter one, and closing one to others. What is read is SDDL, the
 * same on every localised Windows.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, win32 } from 'node:path';

const TOOL_MS = 5_000;

/** SYSTEM, Administrators; by SID, as their names are translated on localised Windows. */
const TRUSTED_SIDS = ['*S-1-5-18', '*S-1-5-32-544'] as const;

/** Groups that hold more than the administrators, as SDDL writes them. */
const BROAD: Readonly<Record<string, string>> = {
  WD: 'Everyone',
  AU: 'Authenticated Users',
  BU: 'Users',
  BG: 'Guests',
  IU: 'Interactive',
  NU: 'Network',
  AN: 'Anonymous',
  DU: 'Domain Users',
};
/** Those that `icacls /inheritance:r` may leave there. */
const NAMED: Readonly<Record<string, string>> = {
  Everyone: '*S-1-1-0',
  'Authenticated Users': '*S-1-5-11',
  Users: '*S-1-5-32-545',
  Guests: '*S-1-5-32-546',
  Interactive: '*S-1-5-4',
  Network: '*S-1-5-2',
  Anonymous: '*S-1-5-7',
};

/**
 * Who of the large groups is allowed anything by the DACL of a security descriptor in SDDL; null if there is no DACL in the
 * text, so that nobody can tell.
 */
export function broadTrustees(sddl: string): readonly string[] | null {
  if (/D:[A-Z]*NO_ACCESS_CONTROL/.test(sddl)) return ['Everyone'];
  const dacl = /D:[A-Z]*((?:\([^()]*\))*)/.exec(sddl)?.[1];
  if (dacl === undefined) return null;
  const allowed = [...dacl.matchAll(/\(A;[^;]*;[^;]*;[^;]*;[^;]*;([^;)]*)/g)].map(([, sid = '']) => sid);
  return [...new Set(allowed)].flatMap((sid) => BROAD[sid] ?? []);
}

/** Who of the large groups can enter the folder; null where icacls does not tell. */
export function othersWhoEnter(path: string): readonly string[] | null {
  const folder = mkdtempSync(join(tmpdir(), 'rras-exporter-acl-'));
  const file = join(folder, 'acl');
  try {
    execFileSync(systemTool('icacls.exe'), [path, '/save', file, '/q'], {
      stdio: 'ignore',
      windowsHide: true,
      timeout: TOOL_MS,
    });
    return broadTrustees(readFileSync(file, 'utf16le'));
  } catch {
    return null;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Takes away what the folder inherits and gives it to SYSTEM, Administrators and the account that runs this. */
export function closeFolder(path: string): void {
  const account = ownAccount();
  const trusted = account === undefined ? TRUSTED_SIDS : [...TRUSTED_SIDS, account];
  const grants = trusted.flatMap((who) => ['/grant', `${who}:(OI)(CI)F`]);
  execFileSync(systemTool('icacls.exe'), [path, '/inheritance:r', ...grants], {
    stdio: 'ignore',
    windowsHide: true,
  });
}

/** The command that closes a folder to `others`, in cmd and in PowerShell. */
export function closingCommand(path: string, others: readonly string[]): string {
  const grants = TRUSTED_SIDS.map((sid) => `/grant "${sid}:(OI)(CI)F"`);
  const removals = others.flatMap((name) => (NAMED[name] === undefined ? [] : [`"${NAMED[name]}"`]));
  const remove = removals.length === 0 ? [] : ['/remove:g', ...removals];
  return ['icacls', `"${path}"`, '/inheritance:r', ...grants, ...remove].join(' ');
}

/** The SID: services of Windows bear names that icacls does not know everywhere. undefined: nobody can tell. */
function ownAccount(): string | undefined {
  try {
    const line = execFileSync(systemTool('whoami.exe'), ['/user', '/fo', 'csv', '/nh'], {
      encoding: 'latin1',
      stdio: ['ignore', 'pipe', 'ignore'],
      windowsHide: true,
      timeout: TOOL_MS,
    });
    const sid = /"(S-1-[\d-]+)"/.exec(line)?.[1];
    if (sid !== undefined) return `*${sid}`;
  } catch {
    // Its name must do.
  }
  return process.env['USERNAME'];
}

const systemTool = (name: string): string =>
  win32.join(process.env['SystemRoot'] ?? 'C:\\Windows', 'System32', name);
