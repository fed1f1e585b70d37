/** The folder of the exporter's state: made for its account alone, and refused where others can enter it. */
import {
  chmodSync,
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
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { judge, openStorage, readOrMakeSecret } from '../../src/runtime/storage.ts';
import { broadTrustees } from '../../src/runtime/windows-acl.ts';

let folder: string;
let path: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'rras-exporter-storage-'));
  path = join(folder, 'a', 'state');
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

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

  test('a file in its place is refused', () => {
    mkdirSync(join(folder, 'a'));
    writeFileSync(path, '');
    expect(() => openStorage(path)).toThrow(/cannot be made: .*; choose another folder by --storage\.path/);
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

describe('on Windows, by the SDDL that icacls saves', () => {
  function judged(sddl: string): { readonly error: string; readonly warnings: readonly string[] } {
    const warnings: string[] = [];
    try {
      judge('C:\\state', broadTrustees(sddl), (message) => warnings.push(message));
    } catch (error) {
      return { error: (error as Error).message, warnings };
    }
    return { error: '', warnings };
  }

  test('R2 a folder of SYSTEM, Administrators and an account is taken', () => {
    expect(
      judged('state\r\nD:PAI(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)(A;OICI;FA;;;S-1-5-21-1-2-3-1001)\r\n'),
    ).toEqual({
      error: '',
      warnings: [],
    });
  });

  test('R2 one that inherits from ProgramData is refused, with the command that closes it', () => {
    const { error } = judged(
      'state\r\nD:AI(A;OICIID;FA;;;SY)(A;OICIID;FA;;;BA)(A;OICIID;0x1200a9;;;BU)(A;CIID;DCLCRPCR;;;BU)',
    );
    expect(error).toBe(
      'the storage folder C:\\state is open to Users; close it by: icacls "C:\\state" /inheritance:r ' +
        '/grant "*S-1-5-18:(OI)(CI)F" /grant "*S-1-5-32-544:(OI)(CI)F" /remove:g "*S-1-5-32-545", and with one more ' +
        '/grant for the account of the exporter if it is no administrator',
    );
  });

  test('R2 one without any list is open to everyone', () => {
    expect(judged('state\r\nD:NO_ACCESS_CONTROL').error).toContain('is open to Everyone; ');
  });

  test.each(['', 'state\r\n', 'state\r\nO:BAG:SY'])(
    'where %j is all that icacls tells, as under Wine, there is a warning and no refusal',
    (sddl) => {
      expect(judged(sddl)).toEqual({
        error: '',
        warnings: [
          'icacls does not tell who can enter the storage folder C:\\state: see to it that others cannot',
        ],
      });
    },
  );
});
