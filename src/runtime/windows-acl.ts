/**
 * Who can enter a folder of Windows beside SYSTEM, the administrators and the account of the exporter, and closing one to
 * them. What is read is SDDL, the same on every localised Windows.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve, win32 } from 'node:path';

/** PowerShell is slow to start on a busy server. */
const POWERSHELL_MS = 10_000;
const TOOL_MS = 5_000;

const SYSTEM = 'S-1-5-18';
const ADMINISTRATORS = 'S-1-5-32-544';
/** By SID, as their names are translated on localised Windows. */
const TRUSTED = [SYSTEM, ADMINISTRATORS] as const;
/** In what is made in the folder, whoever makes it; nobody in the folder itself. */
const CREATOR_OWNER = 'S-1-3-0';
const OWNER_RIGHTS = 'S-1-3-4';

/** How SDDL abbreviates the SIDs that are the same everywhere. */
const ALIASES: Readonly<Record<string, readonly [sid: string, name: string]>> = {
  AA: ['S-1-5-32-579', 'Access Control Assistance Operators'],
  AC: ['S-1-15-2-1', 'All Application Packages'],
  AN: ['S-1-5-7', 'Anonymous'],
  AO: ['S-1-5-32-548', 'Account Operators'],
  AS: ['S-1-18-1', 'Authentication Authority Asserted Identity'],
  AU: ['S-1-5-11', 'Authenticated Users'],
  BA: [ADMINISTRATORS, 'Administrators'],
  BG: ['S-1-5-32-546', 'Guests'],
  BO: ['S-1-5-32-551', 'Backup Operators'],
  BU: ['S-1-5-32-545', 'Users'],
  CD: ['S-1-5-32-574', 'Certificate Service DCOM Access'],
  CG: ['S-1-3-1', 'Creator Group'],
  CO: [CREATOR_OWNER, 'Creator Owner'],
  CY: ['S-1-5-32-569', 'Cryptographic Operators'],
  ED: ['S-1-5-9', 'Enterprise Domain Controllers'],
  ER: ['S-1-5-32-573', 'Event Log Readers'],
  ES: ['S-1-5-32-576', 'RDS Endpoint Servers'],
  HA: ['S-1-5-32-578', 'Hyper-V Administrators'],
  IS: ['S-1-5-32-568', 'IIS_IUSRS'],
  IU: ['S-1-5-4', 'Interactive'],
  LS: ['S-1-5-19', 'Local Service'],
  LU: ['S-1-5-32-559', 'Performance Log Users'],
  MS: ['S-1-5-32-577', 'RDS Management Servers'],
  MU: ['S-1-5-32-558', 'Performance Monitor Users'],
  NO: ['S-1-5-32-556', 'Network Configuration Operators'],
  NS: ['S-1-5-20', 'Network Service'],
  NU: ['S-1-5-2', 'Network'],
  OW: [OWNER_RIGHTS, 'Owner Rights'],
  PO: ['S-1-5-32-550', 'Print Operators'],
  PS: ['S-1-5-10', 'Self'],
  PU: ['S-1-5-32-547', 'Power Users'],
  RA: ['S-1-5-32-575', 'RDS Remote Access Servers'],
  RC: ['S-1-5-12', 'Restricted Code'],
  RD: ['S-1-5-32-555', 'Remote Desktop Users'],
  RE: ['S-1-5-32-552', 'Replicator'],
  RM: ['S-1-5-32-580', 'Remote Management Users'],
  RU: ['S-1-5-32-554', 'Pre-Windows 2000 Compatible Access'],
  SO: ['S-1-5-32-549', 'Server Operators'],
  SS: ['S-1-18-2', 'Service Asserted Identity'],
  SU: ['S-1-5-6', 'Service'],
  SY: [SYSTEM, 'SYSTEM'],
  UD: ['S-1-5-84-0-0-0-0-0', 'User Mode Drivers'],
  WD: ['S-1-1-0', 'Everyone'],
  WR: ['S-1-5-33', 'Write Restricted'],
};
/** Those of the domain or of this machine: the last number of their SIDs. */
const DOMAIN_ALIASES: Readonly<Record<string, readonly [rid: string, name: string]>> = {
  LA: ['500', 'Administrator'],
  LG: ['501', 'Guest'],
  DA: ['512', 'Domain Admins'],
  DU: ['513', 'Domain Users'],
  DG: ['514', 'Domain Guests'],
  DC: ['515', 'Domain Computers'],
  DD: ['516', 'Domain Controllers'],
  EA: ['519', 'Enterprise Admins'],
};

/** Entries that let nobody in: denials, and those of the system's list. Any other type counts as letting in. */
const HARMLESS = new Set([
  ...['D', 'OD', 'XD', 'ZD'],
  ...['AU', 'AL', 'OU', 'OL', 'XU', 'ML', 'RA', 'SP', 'TL', 'FL'],
]);

/** Trustees as SDDL writes them: a SID or an abbreviation of one. */
export interface Access {
  /** Beside the trusted: who is allowed anything in the folder, or in what is made in it. */
  readonly others: readonly string[];
  /** Who may always let anybody in; null if that is not told. */
  readonly owner: string | null;
  /** The owner is none of the trusted. */
  readonly foreign: boolean;
}

/** `unreadable`: this account may not read it. Null: nobody can tell. */
export type Verdict = Access | 'unreadable' | null;

/** What a security descriptor in SDDL says; null if there is no list in the text. `own`: the SID of this account. */
export function accessOf(sddl: string, own: () => string | undefined): Access | null {
  const found = /^(?:O:(\S+?))?(?:G:\S*?)?D:([A-Z_]*)(\(.*)?$/m.exec(sddl);
  if (!found) return null;
  const [, owner = null, flags = '', entries = ''] = found;
  const foreign = owner !== null && !isTrusted(owner, own);
  const inherits = (sid: string): boolean =>
    sid === CREATOR_OWNER || (sid === OWNER_RIGHTS && owner !== null && !foreign);
  const allowed = flags.includes('NO_ACCESS_CONTROL')
    ? ['WD']
    : // Without parentheses in a field: a condition, which may hold any text, hides no entry that follows it.
      [...entries.matchAll(/\(([A-Z]+);[^;()]*;[^;()]*;[^;()]*;[^;()]*;([^;()]*)/g)].flatMap(
        ([, type = '', trustee = '']) => (HARMLESS.has(type) ? [] : [trustee]),
      );
  const others = [...new Set(allowed)].filter(
    (trustee) => !inherits(sidOf(trustee)) && !isTrusted(trustee, own),
  );
  return { others, owner, foreign };
}

function isTrusted(trustee: string, own: () => string | undefined): boolean {
  const sid = sidOf(trustee);
  if (TRUSTED.some((each) => each === sid)) return true;
  const account = own();
  return account !== undefined && (sid === account || (sid === 'LA' && account.endsWith('-500')));
}

const sidOf = (trustee: string): string => ALIASES[trustee]?.[0] ?? trustee;

/** What is wrong with the folder, and the command against it in cmd and in PowerShell; null if nothing is. */
export function refusalOf(path: string, verdict: Verdict): { what: string; fix: string } | null {
  if (verdict === null) return null;
  const account = 'and with one more /grant for the account of the exporter if it is no administrator';
  if (verdict === 'unreadable') {
    const fix = `takeown /f "${path}" /a, then ${closingCommand(path, [])}, ${account}`;
    return { what: 'has an access list that this account may not read', fix };
  }
  const { others, owner, foreign } = verdict;
  const what: string[] = [];
  const fix: string[] = [];
  if (owner !== null && foreign) {
    what.push(`belongs to ${nameOf(owner)}`);
    fix.push(`icacls "${path}" /setowner "*${ADMINISTRATORS}" /t`);
  }
  if (others.length > 0) {
    what.push(`is open to ${others.map(nameOf).join(' and ')}`);
    fix.push(`${closingCommand(path, others)}, ${account}`);
  }
  if (what.length === 0) return null;
  // By this command, typed in by another account than the exporter's, the exporter would lose its own folder.
  const own = [...others, ...(foreign && owner !== null ? [owner] : [])].find(isAccount);
  const unless =
    own === undefined ? '' : `; but if ${nameOf(own)} is the account of the exporter, run this under it`;
  return { what: what.join(' and '), fix: fix.join(', then ') + unless };
}

/** The command that closes a folder to `others`, in cmd and in PowerShell. */
export function closingCommand(path: string, others: readonly string[]): string {
  const removals = others.map((trustee) => `"${icaclsNameOf(trustee)}"`);
  const remove = removals.length === 0 ? [] : ['/remove:g', ...removals];
  const grants = TRUSTED.map((sid) => `/grant "*${sid}:(OI)(CI)F"`);
  return ['icacls', `"${path}"`, '/inheritance:r', ...grants, ...remove].join(' ');
}

/** An exporter can run as it: a service's account, one of a domain or of this machine. */
const isAccount = (trustee: string): boolean =>
  trustee === 'LA' || /^S-1-5-(?:19|20|80-.*|21-.*-(?:500|\d{4,}))$/.test(sidOf(trustee));

function nameOf(trustee: string): string {
  const known = ALIASES[trustee]?.[1] ?? DOMAIN_ALIASES[trustee]?.[1];
  if (known !== undefined) return known;
  const name = Object.values(ALIASES).find(([sid]) => sid === trustee)?.[1] ?? ridNameOf(trustee);
  return name === undefined ? trustee : `${name} (${trustee})`;
}

const ridNameOf = (sid: string): string | undefined =>
  Object.values(DOMAIN_ALIASES).find(([rid]) => sid.startsWith('S-1-5-21-') && sid.endsWith(`-${rid}`))?.[1];

/** Nobody but the domain knows the SIDs of its own groups: they must go by name. */
const icaclsNameOf = (trustee: string): string => {
  const sid = sidOf(trustee);
  return sid.startsWith('S-') ? `*${sid}` : nameOf(trustee);
};

/** Runs a tool of System32, as execFileSync does; `folder` is in the tool's environment as FOLDER_VARIABLE. */
export type RunTool = (
  tool: string,
  args: readonly string[],
  options?: { folder?: string; timeout?: number },
) => string;

const FOLDER_VARIABLE = 'RRAS_EXPORTER_FOLDER';
const POWERSHELL = 'WindowsPowerShell\\v1.0\\powershell.exe';

/** The access lists of this machine. What is below a folder that was looked at inherits, and is not looked at again. */
export class WindowsAcl {
  readonly #run: RunTool;
  readonly #known = new Map<string, Verdict>();
  #own: { readonly sid: string | undefined } | undefined;

  constructor(run: RunTool = runTool) {
    this.#run = run;
  }

  /** Whether the folder or one that it lies in was looked at. */
  knows(path: string): boolean {
    return this.#find(path) !== undefined;
  }

  /** Each first look takes a process or two. */
  look(path: string): Verdict {
    const known = this.#find(path);
    if (known !== undefined) return known;
    const verdict = this.#look(path);
    this.#known.set(resolve(path), verdict);
    return verdict;
  }

  /**
   * Takes away what a new folder inherits and gives it to SYSTEM and Administrators; also to this account, if it is none
   * of them. The Administrators can go on with it as any other account.
   */
  close(path: string): void {
    const grant = (who: string): string[] => ['/grant', `${who}:(OI)(CI)F`];
    this.#run('icacls.exe', [path, '/inheritance:r', ...TRUSTED.flatMap((sid) => grant(`*${sid}`))]);
    if (!canList(path)) {
      // icacls does not know the names of all accounts of services.
      const own = this.#ownSid();
      const account = own === undefined ? process.env['USERNAME'] : `*${own}`;
      if (account !== undefined) this.#run('icacls.exe', [path, ...grant(account)]);
    }
    this.#known.set(resolve(path), { others: [], owner: null, foreign: false });
  }

  #find(path: string): Verdict | undefined {
    for (let at = resolve(path); ; at = dirname(at)) {
      const known = this.#known.get(at);
      if (known !== undefined || dirname(at) === at) return known;
    }
  }

  /** Only PowerShell tells the owner. */
  #look(path: string): Verdict {
    const own = (): string | undefined => this.#ownSid();
    const script = `(Get-Acl -LiteralPath $env:${FOLDER_VARIABLE}).Sddl`;
    try {
      const told = this.#run(POWERSHELL, ['-NoProfile', '-NonInteractive', '-Command', script], {
        folder: path,
        timeout: POWERSHELL_MS,
      });
      // It may break long lines.
      const access = accessOf(told.replace(/[\r\n]/g, ''), own);
      if (access !== null) return access;
    } catch {
      // icacls tells the most of it.
    }
    const folder = mkdtempSync(join(tmpdir(), 'rras-exporter-acl-'));
    const file = join(folder, 'acl');
    try {
      this.#run('icacls.exe', [path, '/save', file, '/q']);
      return accessOf(readFileSync(file, 'utf16le'), own);
    } catch (error) {
      // Who made the folder can deny even this to SYSTEM.
      return typeof (error as { status?: unknown }).status === 'number' ? 'unreadable' : null;
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  }

  /** undefined: nobody can tell. */
  #ownSid(): string | undefined {
    this.#own ??= { sid: this.#askOwnSid() };
    return this.#own.sid;
  }

  #askOwnSid(): string | undefined {
    try {
      const line = this.#run('whoami.exe', ['/user', '/fo', 'csv', '/nh']);
      return /"(S-1-[\d-]+)"/.exec(line)?.[1];
    } catch {
      return undefined;
    }
  }
}

/** Null where folders have modes. */
export const windowsAcl = process.platform === 'win32' ? new WindowsAcl() : null;

function canList(path: string): boolean {
  try {
    readdirSync(path);
    return true;
  } catch {
    return false;
  }
}

function runTool(
  tool: string,
  args: readonly string[],
  { folder, timeout = TOOL_MS }: { folder?: string; timeout?: number } = {},
): string {
  // That of PowerShell 7, if it started this, keeps Windows' own from finding its modules.
  const env = Object.entries(process.env).filter(([key]) => key.toUpperCase() !== 'PSMODULEPATH');
  if (folder !== undefined) env.push([FOLDER_VARIABLE, folder]);
  return execFileSync(win32.join(process.env['SystemRoot'] ?? 'C:\\Windows', 'System32', tool), args, {
    encoding: 'latin1',
    env: Object.fromEntries(env),
    stdio: ['ignore', 'pipe', 'ignore'],
    windowsHide: true,
    timeout,
  });
}
