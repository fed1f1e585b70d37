/** The pause over restarts, full and broken disks, and clocks that jump. */
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { AuditDisk } from '../../src/admin/audit-file.ts';
import { PAUSE_FILE, PauseFile } from '../../src/admin/pause-file.ts';
import type { Clock } from '../../src/model/clock.ts';
import type { Logger } from '../../src/model/logger.ts';
import { FakeClock, settle } from '../doubles/fake-clock.ts';
import type { Loss } from '../doubles/fake-disk.ts';
import { DISK_OPERATIONS, FakeDisk } from '../doubles/fake-disk.ts';
import { diceOf, FOLDER, MINUTE } from './exporter-life.ts';

const PATH = join(FOLDER, PAUSE_FILE);
const DAY = 86_400;

async function open(disk: AuditDisk, clock: Clock = new FakeClock()) {
  const errors: string[] = [];
  const ignore = (): void => undefined;
  const error = (message: string): void => void errors.push(message);
  const logger: Logger = { debug: ignore, info: ignore, warn: ignore, error };
  const file = new PauseFile({ folder: FOLDER, clock, logger, disk });
  await file.open();
  return { file, errors };
}

const RUNNING = { paused: false, reason: '', actor: '', since: undefined, until: undefined, persisted: true };

describe('a pause', () => {
  it('is not there at the first start, and the file has its full size at once', async () => {
    const disk = new FakeDisk();
    const { file, errors } = await open(disk);
    expect(file.state).toEqual(RUNNING);
    expect(errors).toEqual([]);
    expect(disk.reboot('unsynced').bytesOf(PATH)).toHaveLength(4096);
  });

  it('holds over restarts until somebody resumes', async () => {
    const clock = new FakeClock();
    const disk = new FakeDisk();
    const { file } = await open(disk, clock);
    const state = await file.pause('ops', 'maintenance of \u201Cedge\u201D\n', undefined);
    expect(state).toEqual({
      paused: true,
      reason: 'maintenance of \u201Cedge\u201D\n',
      actor: 'ops',
      since: clock.wallSeconds(),
      until: undefined,
      persisted: true,
    });
    await clock.advance(400 * 24 * 60 * MINUTE);
    const after = disk.reboot('unsynced');
    const { file: second } = await open(after, clock);
    expect(second.state).toEqual(state);
    expect(await second.resume()).toEqual(RUNNING);
    expect((await open(after.reboot('unsynced'), clock)).file.state).toEqual(RUNNING);
  });

  it('ends by itself at its time, also over a restart', async () => {
    const clock = new FakeClock();
    const disk = new FakeDisk();
    const { file } = await open(disk, clock);
    const { until } = await file.pause('ops', 'for an hour', 3600);
    expect(until).toBe(clock.wallSeconds() + 3600);
    await clock.advance(59 * MINUTE);
    const { file: second } = await open(disk.reboot('nothing'), clock);
    expect(second.state).toEqual(file.state);
    expect(second.state.paused).toBe(true);
    await clock.advance(MINUTE);
    expect([file.state, second.state]).toEqual([RUNNING, RUNNING]);
    expect((await open(disk.reboot('nothing'), clock)).file.state).toEqual(RUNNING);
  });

  it('C3 lasts as long as it was asked for whatever the system clock does meanwhile', async () => {
    for (const jump of [DAY, -DAY]) {
      const clock = new FakeClock();
      const { file } = await open(new FakeDisk(), clock);
      await file.pause('ops', 'for an hour', 3600);
      clock.jumpWall(jump);
      await clock.advance(59 * MINUTE);
      expect(file.state.paused).toBe(true);
      await clock.advance(MINUTE);
      expect(file.state.paused).toBe(false);
    }
  });

  it('C3 without an end never ends, and is there after a restart in another time', async () => {
    const clock = new FakeClock();
    const disk = new FakeDisk();
    const { file } = await open(disk, clock);
    await file.pause('ops', 'until further notice', undefined);
    for (const jump of [DAY, -2 * DAY]) {
      clock.jumpWall(jump);
      expect((await open(disk.reboot('nothing'), clock)).file.state.paused).toBe(true);
    }
  });

  it('that is followed by others is the last one, on the disk too', async () => {
    const disk = new FakeDisk();
    const { file } = await open(disk);
    await Promise.all([
      file.pause('a', 'first', undefined),
      file.resume(),
      file.pause('b', 'second', undefined),
      file.resume(),
      file.pause('c', 'third', undefined),
    ]);
    expect(file.state).toMatchObject({ paused: true, actor: 'c', persisted: true });
    expect((await open(disk.reboot('unsynced'))).file.state).toMatchObject({ actor: 'c', reason: 'third' });
  });

  it('that takes longer to write than the one after it is not the last one on the disk', async () => {
    const disk = new FakeDisk();
    let opened = 0;
    const slow: AuditDisk = {
      isFolder: (path) => disk.isFolder(path),
      list: (folder) => disk.list(folder),
      open: async (path, how) => {
        opened += 1;
        // The first is its making.
        if (opened === 2) await settle();
        return disk.open(path, how);
      },
      unlink: (path) => disk.unlink(path),
      syncFolder: (folder) => disk.syncFolder(folder),
    };
    const { file } = await open(slow);
    await Promise.all([file.pause('a', 'first', undefined), file.resume()]);
    expect(file.state).toEqual(RUNNING);
    expect((await open(disk.reboot('unsynced'))).file.state).toEqual(RUNNING);
  });

  it('holds from the moment it is asked for, before the disk has it', async () => {
    const { file } = await open(new FakeDisk());
    const asked = file.pause('ops', 'now', undefined);
    expect(file.state.paused).toBe(true);
    await asked;
  });
});

describe('D3 on a disk', () => {
  it('that is full, a pause is kept and survives', async () => {
    const disk = new FakeDisk();
    const { file } = await open(disk);
    disk.freeBytes = 0;
    expect(await file.pause('ops', 'x'.repeat(3000), undefined)).toMatchObject({
      paused: true,
      persisted: true,
    });
    const after = disk.reboot('unsynced');
    after.freeBytes = 0;
    const { file: second } = await open(after);
    expect(second.state).toMatchObject({ paused: true, actor: 'ops' });
    expect(await second.resume()).toMatchObject({ paused: false, persisted: true });
  });

  it.each(['write', 'sync'] as const)(
    'that fails at a %s, it holds and says that it is not kept',
    async (operation) => {
      const disk = new FakeDisk();
      const { file, errors } = await open(disk);
      disk.fail(operation, 'EIO', 1);
      expect(await file.pause('ops', 'now', undefined)).toMatchObject({ paused: true, persisted: false });
      expect(errors).toEqual(['the pause or its end cannot be kept: it holds until the exporter ends']);
      expect(await file.pause('ops', 'again', undefined)).toMatchObject({ paused: true, persisted: true });
      disk.fail(operation, 'EIO', 1);
      expect(await file.resume()).toMatchObject({ paused: false, persisted: false });
    },
  );

  it('that takes a part of what is written, all of it is written', async () => {
    const disk = new FakeDisk();
    disk.maxWriteBytes = 100;
    const { file } = await open(disk);
    await file.pause('ops', 'in parts', undefined);
    expect((await open(disk.reboot('unsynced'))).file.state).toMatchObject({
      paused: true,
      reason: 'in parts',
    });
  });

  it('that is full at the very first start, nothing runs until somebody resumes', async () => {
    for (const freeBytes of [0, 100]) {
      const disk = new FakeDisk();
      disk.freeBytes = freeBytes;
      const { file, errors } = await open(disk);
      expect(file.state).toMatchObject({ paused: true, persisted: false });
      expect(errors).toHaveLength(1);
      expect(await file.resume()).toMatchObject({ paused: false, persisted: false });
      disk.heal();
      expect(await file.pause('ops', 'now', undefined)).toMatchObject({ persisted: true });
      expect((await open(disk.reboot('unsynced'))).file.state).toMatchObject({ paused: true, reason: 'now' });
    }
  });

  it('that cannot be read, it is paused', async () => {
    const disk = new FakeDisk();
    disk.diesAtStep = 0;
    expect((await open(disk)).file.state).toMatchObject({ paused: true, persisted: false });
  });
});

describe('a file of a pause that is damaged', () => {
  it('D4 at any byte is a pause, until somebody resumes', async () => {
    const disk = new FakeDisk();
    const { file } = await open(disk);
    await file.pause('ops', 'why', 60);
    await file.resume();
    const sound = disk.bytesOf(PATH);
    const used = sound.toString().trimEnd().length;
    for (let at = 0; at < used; at += 1) {
      const bytes = Buffer.from(sound);
      bytes[at]! ^= 0x01;
      const damaged = new FakeDisk();
      damaged.put(PATH, bytes);
      const { file: opened, errors } = await open(damaged);
      expect(opened.state, String(at)).toMatchObject({
        paused: true,
        persisted: false,
        reason: 'the file of the pause cannot be read',
      });
      expect(errors).toHaveLength(1);
      expect(await opened.resume()).toMatchObject({ paused: false, persisted: true });
      expect((await open(damaged.reboot('unsynced'))).file.state).toEqual(RUNNING);
    }
  });

  it('is a pause whatever stands in it', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 5000 }), async (bytes) => {
        const disk = new FakeDisk();
        disk.put(PATH, bytes);
        expect((await open(disk)).file.state.paused).toBe(true);
      }),
    );
  });

  it('is a pause also if its checksum is that of something else', async () => {
    for (const json of ['{}', '{"paused":false}', 'null', '']) {
      const disk = new FakeDisk();
      const { crc32 } = await import('node:zlib');
      disk.put(PATH, Buffer.from(`${crc32(json).toString(16).padStart(8, '0')} ${json}`));
      expect((await open(disk)).file.state.paused, json).toBe(true);
    }
  });
});

const SEED = fc.readConfigureGlobal().seed ?? 0;
const dice = diceOf(SEED);

describe('D2 a crash at each step', () => {
  it('of a pause leaves a pause once it was said to be kept', async () => {
    const run = async (disk: FakeDisk): Promise<boolean> => {
      const { file } = await open(disk);
      const { persisted } = await file.pause('a', 'one', undefined);
      return persisted && !disk.isDead;
    };
    const whole = new FakeDisk();
    expect(await run(whole)).toBe(true);
    const losses: readonly Loss[] = ['nothing', 'unsynced', { below: dice }];
    for (let step = 1; step <= whole.steps + 1; step += step % 4096 < 20 ? 1 : 97) {
      for (const loss of losses) {
        const disk = new FakeDisk();
        disk.diesAtStep = step;
        const kept = await run(disk);
        const { file } = await open(disk.reboot(loss));
        const { paused, reason } = file.state;
        if (kept) expect(paused, `seed ${SEED}, step ${step}`).toBe(true);
        if (paused) expect(['one', 'the file of the pause cannot be read']).toContain(reason);
        expect(await file.resume()).toMatchObject({ paused: false, persisted: true });
      }
    }
  });

  it('property: whatever fails and dies, a pause that was said to be kept is not lost', async () => {
    const step = fc.oneof(
      fc.constantFrom('pause', 'resume', 'restart', 'power failure'),
      fc.record({ operation: fc.constantFrom(...DISK_OPERATIONS), times: fc.integer({ min: 1, max: 2 }) }),
      fc.record({ freeBytes: fc.nat(5000) }),
      fc.record({
        diesIn: fc.nat(9000),
        acts: fc.array(fc.boolean(), { minLength: 1, maxLength: 4 }),
        loss: fc.oneof(
          fc.constantFrom<Loss>('nothing', 'unsynced'),
          fc.nat().map((seed): Loss => ({ below: diceOf(seed) })),
        ),
      }),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 20 }), async (steps) => {
        let disk = new FakeDisk();
        let { file } = await open(disk);
        /** What must be found; undefined: either. */
        let kept: boolean | undefined;
        const act = async (pause: boolean): Promise<void> => {
          const { paused, persisted } = await (pause ? file.pause('a', 'b', undefined) : file.resume());
          expect(paused).toBe(pause);
          kept = persisted && !disk.isDead ? pause : undefined;
        };
        const restart = async (loss: Loss): Promise<void> => {
          disk = disk.reboot(loss);
          ({ file } = await open(disk));
          if (kept === true) expect(file.state.paused).toBe(true);
          if (kept === false) expect(file.state.paused).toBe(false);
          kept = undefined;
        };
        for (const each of steps) {
          if (each === 'pause' || each === 'resume') await act(each === 'pause');
          else if (each === 'restart') await restart('nothing');
          else if (each === 'power failure') await restart('unsynced');
          else if ('operation' in each) disk.fail(each.operation, 'EIO', each.times);
          else if ('freeBytes' in each) disk.freeBytes = each.freeBytes;
          else {
            disk.diesAtStep = disk.steps + each.diesIn;
            for (const pause of each.acts) await act(pause);
            await restart(each.loss);
          }
        }
      }),
      { numRuns: 300 },
    );
  });
});
