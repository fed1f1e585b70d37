/** The folder of the exporter's state: made for its account alone, and refused where others can enter it. */
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { describeError } from '../../src/runtime/describe-error.ts';
import { inspectStorage } from '../../src/runtime/inspect-storage.ts';
import { folderOfServer, openStorage, readOrMakeSecret } from '../../src/runtime/storage.ts';
import type { RunTool } from '../../src/runtime/windows-acl.ts';
import { WindowsAcl } from '../../src/runtime/windows-acl.ts';

let folder: string;
let path: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'rras-exporter-storage-'));
  path = join(folder, 'a', 'state');
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** As it is logged and printed. */
function problemOf(act: () => void): string {
  try {
    act();
  } catch (error) {
    return describeError(error);
  }
  return '';
}

const modeOf = (file: string): number => statSync(file).mode & 0o777;

describe.runIf(process.platform !== 'win32')('where files have modes', () => {
  test('R2 the folder and those above it are made for the account alone', () => {
    openStorage(path);
    expect([modeOf(path), modeOf(join(folder, 'a'))]).toEqual([0o700, 0o700]);
    openStorage(path);
  });

  test.each([0o750, 0o701, 0o777, 0o710])('R2 a folder of mode %o is refused, and left as it was', (mode) => {
    mkdirSync(path, { recursive: true });
    chmodSync(path, mode);
    expect(() => openStorage(path)).toThrow(
      `the storage folder ${path} is open to other users; close it by: chmod 700 ${path}`,
    );
    expect(() => readOrMakeSecret(path, 'a.key')).toThrow('is open to other users');
    expect(modeOf(path)).toBe(mode);
    expect(readdirSync(path)).toEqual([]);
  });

  test('of another user will do for root, and doctor says whose it is', () => {
    mkdirSync(path, { recursive: true });
    chmodSync(path, 0o700);
    const own = process.getuid!();
    if (own === 0) chownSync(path, 1000, 1000);
    const account = vi.spyOn(process, 'getuid').mockReturnValue(own === 0 ? own : own + 1);
    try {
      openStorage(path);
      expect(inspectStorage(path)).toEqual({
        status: 'ok',
        summary: `${path} can be written, and is closed to all but its owner, user ${own === 0 ? 1000 : own}`,
      });
    } finally {
      account.mockRestore();
    }
  });

  test('why a folder cannot be made is told once', () => {
    mkdirSync(join(folder, 'a'));
    writeFileSync(path, '');
    expect(problemOf(() => openStorage(path)).match(/EEXIST/g)).toHaveLength(1);
  });

  test('R2 a secret is made once, of mode 0600, and one that others can read is refused', () => {
    const secret = readOrMakeSecret(path, 'a.key');
    expect(secret).toHaveLength(32);
    expect(modeOf(join(path, 'a.key'))).toBe(0o600);
    expect(readOrMakeSecret(path, 'a.key')).toEqual(secret);
    expect(readdirSync(path)).toEqual(['a.key']);
    expect(readFileSync(join(path, 'a.key'), 'utf8').trim()).toBe(Buffer.from(secret).toString('hex'));
    chmodSync(join(path, 'a.key'), 0o640);
    expect(() => readOrMakeSecret(path, 'a.key')).toThrow(
      'can be read by other users; close it by: chmod 600',
    );
  });
});

/** What the tools of a Windows say of each folder: PowerShell of the owner, too. */
class FakeTools {
  readonly calls: string[] = [];
  powershell = '';
  icacls = '';
  whoami = '"vpn\\rras","S-1-5-21-1-2-3-1001"\r\n';
  closing: (folder: string) => void = () => undefined;

  readonly run: RunTool = (tool, args) => {
    this.calls.push([tool.split('\\').at(-1)!, ...args].join(' '));
    if (tool.endsWith('powershell.exe')) return this.powershell;
    if (tool === 'whoami.exe') return this.whoami;
    if (args[1] === '/save') writeFileSync(args[2]!, Buffer.from(this.icacls, 'utf16le'));
    if (args[1] === '/inheritance:r') this.closing(args[0]!);
    return '';
  };

  get names(): string[] {
    return this.calls.map((call) => call.split(' ')[0]!);
  }
}

describe('on Windows', () => {
  const CLOSED = 'D:PAI(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)';
  let tools: FakeTools;
  let acl: WindowsAcl;
  beforeEach(() => {
    tools = new FakeTools();
    acl = new WindowsAcl(tools.run);
  });

  /** Of a folder that is there. */
  function judged({ powershell = '', icacls = '' }): { readonly error: string; readonly warnings: string[] } {
    mkdirSync(path, { recursive: true });
    Object.assign(tools, { powershell, icacls });
    const warnings: string[] = [];
    try {
      openStorage(path, (message) => warnings.push(message), acl);
    } catch (error) {
      return { error: (error as Error).message.replaceAll(path, 'C:\\state'), warnings };
    }
    return { error: '', warnings: warnings.map((message) => message.replaceAll(path, 'C:\\state')) };
  }

  test('R2 a folder of SYSTEM, Administrators and the account is taken', () => {
    expect(judged({ powershell: `O:BAG:SY${CLOSED}(A;OICI;FA;;;S-1-5-21-1-2-3-1001)\r\n` })).toEqual({
      error: '',
      warnings: [],
    });
    expect(tools.names).toEqual(['powershell.exe', 'whoami.exe']);
  });

  const CLOSE =
    'icacls "C:\\state" /inheritance:r /grant "*S-1-5-18:(OI)(CI)F" /grant "*S-1-5-32-544:(OI)(CI)F"';
  const ACCOUNT = 'and with one more /grant for the account of the exporter if it is no administrator';

  test('R2 one that inherits from ProgramData is refused, with the command that closes it', () => {
    const powershell =
      'O:BAG:SYD:AI(A;OICIID;FA;;;SY)(A;OICIID;FA;;;BA)(A;OICIID;0x1200a9;;;BU)(A;CIID;DCLCRPCR;;;BU)';
    expect(judged({ powershell }).error).toBe(
      `the storage folder C:\\state is open to Users; close it by: ${CLOSE} /remove:g "*S-1-5-32-545", ${ACCOUNT}`,
    );
  });

  test('R2 one that a user made before the installation is refused, however that user closed it', () => {
    const user = 'S-1-5-21-1-2-3-1002';
    const setOwner = 'icacls "C:\\state" /setowner "*S-1-5-32-544" /t';
    const unless = `but if ${user} is the account of the exporter, run this under it`;
    expect(judged({ powershell: `O:${user}G:DU${CLOSED}` }).error).toBe(
      `the storage folder C:\\state belongs to ${user}; close it by: ${setOwner}; ${unless}`,
    );
    acl = new WindowsAcl(tools.run);
    expect(judged({ powershell: `O:${user}G:DU${CLOSED}(A;;FA;;;${user})` }).error).toBe(
      `the storage folder C:\\state belongs to ${user} and is open to ${user}; close it by: ${setOwner}, then ${CLOSE} /remove:g "*${user}", ${ACCOUNT}; ${unless}`,
    );
  });

  test('R2 what the command takes away is named by SID, and of a domain by name', () => {
    const { error } = judged({
      powershell: `O:BAG:SY${CLOSED}(A;;FR;;;S-1-5-21-1-2-3-513)(A;;FR;;;DG)(A;;FR;;;AC)(A;;FR;;;S-1-5-32-555)`,
    });
    expect(error).toContain(
      'is open to Domain Users (S-1-5-21-1-2-3-513) and Domain Guests and All Application Packages and Remote Desktop Users (S-1-5-32-555); ',
    );
    expect(error).toContain(
      ' /remove:g "*S-1-5-21-1-2-3-513" "Domain Guests" "*S-1-15-2-1" "*S-1-5-32-555", and',
    );
    expect(error).not.toContain('run this under it');
  });

  test.each([
    ['NS', 'Network Service'],
    ['LA', 'Administrator'],
    ['S-1-5-80-1-2-3-4-5', 'S-1-5-80-1-2-3-4-5'],
  ])('an account of which another one is told may be the own one of the exporter: %s', (trustee, name) => {
    expect(judged({ powershell: `O:BAG:SY${CLOSED}(A;;FA;;;${trustee})` }).error).toContain(
      `; but if ${name} is the account of the exporter, run this under it`,
    );
  });

  test('R2 one without any list is open to everyone', () => {
    expect(judged({ icacls: 'state\r\nD:NO_ACCESS_CONTROL' }).error).toContain('is open to Everyone; ');
  });

  test('R2 one whose list is kept even from SYSTEM is refused', () => {
    acl = new WindowsAcl((tool, args) => {
      if (args[1] === '/save') throw Object.assign(new Error('Access is denied.'), { status: 5 });
      return tools.run(tool, args);
    });
    expect(judged({}).error).toBe(
      `the storage folder C:\\state has an access list that this account may not read; close it by: takeown /f "C:\\state" /a, then ${CLOSE}, ${ACCOUNT}`,
    );
  });

  test('R2 a list that PowerShell breaks into lines is looked at to its end', () => {
    expect(judged({ powershell: `O:BAG:SY${CLOSED}(A;OI\r\nCI;FA;;;WD)\r\n` }).error).toContain(
      'is open to Everyone; ',
    );
  });

  test('where PowerShell does not tell the owner, there is a warning, and the list of icacls counts', () => {
    expect(judged({ icacls: `state\r\n${CLOSED}\r\n` })).toEqual({
      error: '',
      warnings: [
        'PowerShell does not tell who owns the storage folder C:\\state: see to it that an administrator does',
      ],
    });
    acl = new WindowsAcl(tools.run);
    expect(judged({ icacls: `state\r\n${CLOSED}(A;;FA;;;BU)` }).error).toContain('is open to Users; ');
  });

  test.each(['', 'state\r\n', 'state\r\nO:BAG:SY'])(
    'where %j is all that icacls tells, as under Wine, there is a warning and no refusal',
    (icacls) => {
      expect(judged({ icacls })).toEqual({
        error: '',
        warnings: [
          'icacls does not tell who can enter the storage folder C:\\state: see to it that others cannot',
        ],
      });
    },
  );

  test('a folder is looked at once, and those of the servers in it are not', () => {
    const warnings: string[] = [];
    const open = (folder: string): void => openStorage(folder, (message) => warnings.push(message), acl);
    mkdirSync(path, { recursive: true });
    tools.icacls = `state\r\n${CLOSED}\r\n`;
    open(path);
    const names = Array.from({ length: 256 }, (_, index) => `vpn-${index}`);
    mkdirSync(folderOfServer(path, names[0]!), { recursive: true });
    for (const name of names) open(folderOfServer(path, name));
    open(path);
    expect(tools.names).toEqual(['powershell.exe', 'icacls.exe']);
    expect(warnings).toHaveLength(1);
    expect(readdirSync(join(path, 'servers'))).toHaveLength(256);
  });

  test('R2 a folder is not good because one beside it is', () => {
    openStorage(path, undefined, acl);
    mkdirSync(`${path}-2`);
    tools.powershell = `O:BAG:SY${CLOSED}(A;;FA;;;WD)`;
    expect(() => openStorage(`${path}-2`, undefined, acl)).toThrow('is open to Everyone');
  });

  test('R2 one that is open is not used for a server either', () => {
    tools.powershell = `O:BAG:SY${CLOSED}(A;;FA;;;WD)`;
    mkdirSync(path, { recursive: true });
    expect(() => openStorage(path, undefined, acl)).toThrow('is open to Everyone');
    expect(() => openStorage(folderOfServer(path, 'a'), undefined, acl)).toThrow('is open to Everyone');
  });

  test('a new folder is closed for the administrators alone, if this account is one of them', () => {
    const warn = (message: string): void => expect.unreachable(message);
    openStorage(path, warn, acl);
    openStorage(path, warn, acl);
    expect(tools.calls).toEqual([
      `icacls.exe ${path} /inheritance:r /grant *S-1-5-18:(OI)(CI)F /grant *S-1-5-32-544:(OI)(CI)F`,
    ]);
  });

  test('one that cannot be closed is not left behind open, and why is told once', () => {
    acl = new WindowsAcl((tool, args) => {
      if (args[1] === '/inheritance:r') throw new Error('icacls is not allowed to run');
      return tools.run(tool, args);
    });
    const problem = problemOf(() => openStorage(path, undefined, acl));
    expect(problem).toContain('cannot be closed to other users (icacls): ');
    expect(problem.match(/not allowed to run/g)).toHaveLength(1);
    expect(existsSync(path)).toBe(false);
  });

  test('a new folder that this account could not enter then is given to it as well', () => {
    tools.closing = (closed) => rmSync(closed, { recursive: true });
    openStorage(path, undefined, acl);
    expect(tools.calls.slice(1)).toEqual([
      'whoami.exe /user /fo csv /nh',
      `icacls.exe ${path} /grant *S-1-5-21-1-2-3-1001:(OI)(CI)F`,
    ]);
  });

  test('R2 doctor finds what the start refuses', () => {
    mkdirSync(path, { recursive: true });
    tools.powershell = `O:BAG:SY${CLOSED}(A;;FR;;;AC)`;
    expect(inspectStorage(path, acl)).toMatchObject({
      status: 'fail',
      summary: `${path} is open to All Application Packages`,
      fix: expect.stringContaining('/remove:g "*S-1-15-2-1"') as string,
    });
    Object.assign(tools, { powershell: `O:BAG:SY${CLOSED}` });
    expect(inspectStorage(path, new WindowsAcl(tools.run))).toEqual({
      status: 'ok',
      summary: `${path} can be written, and is closed to other users`,
    });
  });
});
