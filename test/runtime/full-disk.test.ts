/** What is made in the storage folder on a full disk: nothing stays, and what is told names the file and what helps. */
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { describeError } from '../../src/runtime/describe-error.ts';
import { inspectStorage } from '../../src/runtime/inspect-storage.ts';
import { openStorage, readOrMakeSecret } from '../../src/runtime/storage.ts';

/** Names fit in, bytes do not; or not even names. */
const disk = vi.hoisted(() => ({ isFull: false, takesNames: true }));
vi.mock('node:fs', async (original) => {
  const real = await original<typeof import('node:fs')>();
  const full = (call: string): Error =>
    Object.assign(new Error(`ENOSPC: no space left on device, ${call}`), { code: 'ENOSPC' });
  const writeFileSync = ((...[file, data, options]: Parameters<typeof real.writeFileSync>) => {
    if (!disk.isFull) {
      real.writeFileSync(file, data, options);
      return;
    }
    real.writeFileSync(file, '', options);
    throw full('write');
  }) as typeof real.writeFileSync;
  const mkdirSync = ((...args: Parameters<typeof real.mkdirSync>) => {
    if (!disk.takesNames) throw full(`mkdir '${String(args[0])}'`);
    return real.mkdirSync(...args);
  }) as typeof real.mkdirSync;
  return { ...real, writeFileSync, mkdirSync };
});

let folder: string;
let path: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'rras-exporter-full-'));
  path = join(folder, 'state');
});
afterEach(() => {
  Object.assign(disk, { isFull: false, takesNames: true });
  rmSync(folder, { recursive: true, force: true });
});

const ELSEWHERE = 'or choose another folder by --storage.path';

test('D3 a secret that cannot be written leaves nothing behind, and is made when there is room', () => {
  disk.isFull = true;
  for (let start = 0; start < 3; start += 1) {
    let problem = '';
    try {
      readOrMakeSecret(path, 'a.key');
    } catch (error) {
      problem = describeError(error);
    }
    expect(problem).toBe(
      `the secret ${join(path, 'a.key')} cannot be made: ENOSPC: no space left on device, write; make room on that disk`,
    );
  }
  expect(readdirSync(path)).toEqual([]);
  disk.isFull = false;
  expect(readOrMakeSecret(path, 'a.key')).toHaveLength(32);
  expect(readdirSync(path)).toEqual(['a.key']);
});

test('D3 doctor says to make room, and leaves nothing behind', () => {
  openStorage(path);
  disk.isFull = true;
  expect(inspectStorage(path)).toEqual({
    status: 'fail',
    summary: `${path} cannot be written: ENOSPC: no space left on device, write`,
    fix: `make room on that disk, ${ELSEWHERE}`,
  });
  expect(readdirSync(path)).toEqual([]);
});

test('D3 doctor says so of a folder that cannot be made, too', () => {
  disk.takesNames = false;
  expect(inspectStorage(path)).toMatchObject({
    status: 'fail',
    fix: `make room on that disk, ${ELSEWHERE}`,
  });
  expect(existsSync(path)).toBe(false);
});
