/** A change is seen however soon it comes after another, and what did not change is the same object. */
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { systemClock } from '../../src/runtime/clock.ts';
import { WatchedFile } from '../../src/server/watched-file.ts';
import { FakeClock } from '../doubles/fake-clock.ts';

let folder = '';
let path = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'rras-exporter-watched-'));
  path = join(folder, 'file');
});
afterAll(() => rmSync(folder, { recursive: true }));

const anHourLater = (): FakeClock => new FakeClock({ wallSeconds: Date.now() / 1000 + 3600 });

describe('a watched file', () => {
  test('S1 is read anew after each change, though many of one size fall into one tick of the file system', async () => {
    const file = new WatchedFile(path, systemClock);
    for (let i = 0; i < 300; i += 1) {
      const text = String(i).padStart(4, '0');
      writeFileSync(path, text);
      expect((await file.read()).bytes.toString()).toBe(text);
    }
  });

  test.each([
    ['has settled', anHourLater()],
    ['has just changed', systemClock],
    ['is of the future', new FakeClock({ wallSeconds: 0 })],
  ])('that %s gives the same object until its content changes', async (_, clock) => {
    const file = new WatchedFile(path, clock);
    writeFileSync(path, 'one');
    const first = await file.read();
    expect(await file.read()).toBe(first);
    writeFileSync(path, 'one');
    expect(await file.read()).toBe(first);
    writeFileSync(path, 'two');
    const second = await file.read();
    expect(second.bytes.toString()).toBe('two');
    expect(await file.read()).toBe(second);
  });

  test.skipIf(process.platform === 'win32').each([
    ['has settled', anHourLater()],
    ['has just changed', systemClock],
  ])('that %s is another if its permissions are', async (_, clock) => {
    const file = new WatchedFile(path, clock);
    writeFileSync(path, 'one');
    chmodSync(path, 0o600);
    const first = await file.read();
    chmodSync(path, 0o644);
    expect(await file.read()).toEqual({ bytes: first.bytes, mode: 0o644 });
  });

  test('S1 gives nothing once it is gone, and is there again when it is back', async () => {
    const file = new WatchedFile(path, anHourLater());
    writeFileSync(path, 'one');
    await file.read();
    rmSync(path);
    for (let tries = 0; tries < 2; tries += 1) {
      await expect(file.read()).rejects.toThrow(`${path} cannot be read: ENOENT: no such file or directory`);
    }
    writeFileSync(path, 'one');
    expect((await file.read()).bytes.toString()).toBe('one');
  });
});
