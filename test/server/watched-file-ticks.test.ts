/** A file system that counts the time of changes in steps of 2 s, as FAT does; nothing else of it is made up. */
import type * as FsPromises from 'node:fs/promises';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test, vi } from 'vitest';
import { WatchedFile } from '../../src/server/watched-file.ts';
import { FakeClock } from '../doubles/fake-clock.ts';

const STEP_MS = 2000n;

const state = vi.hoisted(() => ({ reads: 0 }));

vi.mock('node:fs/promises', async (original) => {
  const real = await original<typeof FsPromises>();
  const coarse = async (path: string, options?: { readonly bigint?: true }): Promise<unknown> => {
    const stats = await real.stat(path, { bigint: true });
    const ms = (stats.mtimeMs / STEP_MS) * STEP_MS;
    const times = { mtimeMs: ms, ctimeMs: ms, mtimeNs: ms * 1_000_000n, ctimeNs: ms * 1_000_000n };
    return options?.bigint ? { ...stats, ...times, isFile: () => stats.isFile() } : real.stat(path);
  };
  return {
    ...real,
    stat: coarse,
    open: async (path: string) => {
      const handle = await real.open(path);
      state.reads += 1;
      return {
        stat: (options: { readonly bigint: true }) => coarse(path, options),
        readFile: () => handle.readFile(),
        close: () => handle.close(),
      };
    },
  };
});

test('S1 a change in the same step as the one before, and of the same size, is seen', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'rras-exporter-ticks-'));
  try {
    const path = join(folder, 'file');
    const clock = new FakeClock({ wallSeconds: Date.now() / 1000 });
    const file = new WatchedFile(path, clock);
    for (const text of ['one', 'two', 'six', 'ten']) {
      writeFileSync(path, text);
      expect((await file.read()).bytes.toString()).toBe(text);
    }
    // Once its time is well past, one look is enough.
    await clock.advance(10_000);
    await file.read();
    const { reads } = state;
    await file.read();
    await file.read();
    expect(state.reads).toBe(reads);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
