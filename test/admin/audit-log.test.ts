/** The audit log: what it writes, in which order, and what it does when the disk does not. */
import {
  appendFileSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  unlinkSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import type { AuditDisk, AuditLine } from '../../src/admin/audit-file.ts';
import { auditFileName, MAX_CONTENT_BYTES, nodeDisk, verifyAudit } from '../../src/admin/audit-file.ts';
import type { AuditEntry, AuditLog, AuditLogOptions } from '../../src/admin/audit-log.ts';
import {
  AuditDamagedError,
  AuditEntryError,
  AuditWriteError,
  openAuditLog,
} from '../../src/admin/audit-log.ts';
import type { Logger } from '../../src/model/logger.ts';
import { describeError } from '../../src/runtime/describe-error.ts';
import { FakeClock, settle } from '../doubles/fake-clock.ts';
import { FakeDisk } from '../doubles/fake-disk.ts';

const FOLDER = join('/', 'audit');
const FIRST = join(FOLDER, auditFileName(1));

const warnings: string[] = [];
/** Level, message and, if there is one, the error of the other lines. */
const told: string[] = [];
const ignore = (): undefined => undefined;
const logger: Logger = {
  debug: ignore,
  info: (message) => void told.push(`info: ${message}`),
  warn: (message) => void warnings.push(message),
  error: (message, fields) => void told.push(`error: ${message}: ${describeError(fields?.['error'])}`),
};
const folders: string[] = [];
afterEach(() => {
  warnings.length = 0;
  told.length = 0;
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true });
});

function makeFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'rras-exporter-audit-'));
  folders.push(folder);
  return folder;
}

const open = (disk: AuditDisk, options: Partial<AuditLogOptions> = {}): Promise<AuditLog> =>
  openAuditLog({ folder: FOLDER, clock: new FakeClock(), logger, disk, ...options });

const intent = (actionId: string, more: Record<string, string> = {}): AuditEntry => ({
  kind: 'intent',
  actionId,
  action: 'reconnect',
  interface: 'Branch 7',
  ...more,
});
const outcome = (actionId: string): AuditEntry => ({ kind: 'outcome', actionId, result: 'connected' });

async function readLines(disk: AuditDisk, folder = FOLDER): Promise<AuditLine[]> {
  const lines: AuditLine[] = [];
  await openAuditLog({
    folder,
    clock: new FakeClock(),
    logger,
    disk: { ...readOnly(disk) },
    onLine: (line) => lines.push(line),
  });
  return lines;
}

/** Reads as the disk does and writes nothing. */
const readOnly = (disk: AuditDisk): AuditDisk => ({
  isFolder: (path) => disk.isFolder(path),
  list: (folder) => disk.list(folder),
  open: (path, how) => (how === 'read' ? disk.open(path, how) : Promise.reject(new Error('read only'))),
  unlink: () => Promise.reject(new Error('read only')),
  syncFolder: () => Promise.reject(new Error('read only')),
});

const ids = (lines: readonly AuditLine[]): (string | undefined)[] =>
  lines.filter(({ kind }) => kind !== 'file' && kind !== 'opened').map(({ actionId }) => actionId);

/** Up to and with the LF, of the file's lines. */
function linesOf(bytes: Buffer): Buffer[] {
  const lines: Buffer[] = [];
  for (let from = 0, end = bytes.indexOf(10); end >= 0; from = end + 1, end = bytes.indexOf(10, from)) {
    lines.push(bytes.subarray(from, end + 1));
  }
  return lines;
}

describe('an entry', () => {
  test('stands on one line of JSON with what an auditor needs', async () => {
    const disk = new FakeDisk();
    const log = await open(disk);
    const receipt = await log.append(intent('a-1', { reason: 'users call' }));
    const [header, opened, line] = linesOf(disk.bytesOf(FIRST)).map(
      (bytes) => JSON.parse(bytes.toString()) as Record<string, unknown>,
    );
    expect(header).toMatchObject({
      seq: 1,
      prev: '0'.repeat(64),
      kind: 'file',
      format: 'rras-audit',
      version: 1,
    });
    expect(opened).toMatchObject({ seq: 2, prev: header?.['hash'], kind: 'opened', cutBytes: 0 });
    expect(line).toEqual({
      seq: 3,
      length: linesOf(disk.bytesOf(FIRST))[2]!.length,
      durable: 2,
      prev: opened?.['hash'],
      time: '2026-11-21T00:00:00.000Z',
      kind: 'intent',
      actionId: 'a-1',
      action: 'reconnect',
      interface: 'Branch 7',
      reason: 'users call',
      hash: receipt.hash,
      crc: expect.stringMatching(/^[0-9a-f]{8}$/) as string,
    });
    expect(receipt.sequence).toBe(3);
    expect(log.head).toEqual(receipt);
  });

  test('is on the disk before append resolves: written, synced, and the name of a new file synced', async () => {
    const disk = new FakeDisk();
    const log = await open(disk);
    const done = (): string[] => disk.events.splice(0).map((event) => event.replace(/ \d+$/, ''));
    expect(done()).toEqual([`create ${FIRST}`, `write ${FIRST}`, `sync ${FIRST}`, `syncFolder ${FOLDER}`]);
    await log.append(intent('a-1'));
    expect(done()).toEqual([`write ${FIRST}`, `sync ${FIRST}`]);
  });

  test('is refused if it could pass for another, or cannot be read again', async () => {
    const log = await open(new FakeDisk());
    const bad: unknown[] = [
      { kind: 'intent' },
      { kind: 'intent', actionId: '' },
      { kind: 'opened' },
      { kind: 'file' },
      { kind: 'decision', seq: 1 },
      { kind: 'decision', time: 'yesterday' },
      { kind: 'decision', hash: '' },
      { kind: 'decision', 'with space': 1 },
      { kind: 'decision', value: Number.NaN },
      { kind: 'decision', value: 1n },
      { kind: 'decision', value: () => 1 },
      { kind: 'decision', actionId: 'a\nb' },
      null,
      'intent',
    ];
    for (const entry of bad) {
      await expect(log.append(entry as AuditEntry), String(entry)).rejects.toThrow(AuditEntryError);
    }
    expect(log.failure).toBeNull();
    await expect(log.append({ kind: 'decision', decision: 'cooldown' })).resolves.toMatchObject({
      sequence: 3,
    });
  });

  test('of more than 64 KiB is refused, and one just below is written', async () => {
    const disk = new FakeDisk();
    const log = await open(disk);
    const frame = Buffer.byteLength(
      JSON.stringify({ time: '2026-11-21T00:00:00.000Z', kind: 'decision', reason: '' }),
    );
    const longest = 'x'.repeat(MAX_CONTENT_BYTES - frame);
    await expect(log.append({ kind: 'decision', reason: `${longest}x` })).rejects.toThrow(/is too long/);
    // Counted as it is written, not as it came.
    await expect(log.append({ kind: 'decision', reason: '\u0001'.repeat(20_000) })).rejects.toThrow(
      AuditEntryError,
    );
    await log.append({ kind: 'decision', reason: longest });
    expect(linesOf(disk.bytesOf(FIRST)).at(-1)!.length).toBeLessThanOrEqual(64 * 1024);
    expect(await verifyAudit(FOLDER, disk)).toMatchObject({ ok: true, lines: 3 });
  });

  test('changed by the caller after the call is written as it was', async () => {
    const disk = new FakeDisk();
    const log = await open(disk);
    const entry = { kind: 'decision' as const, targets: ['one'] };
    const written = log.append(entry);
    entry.targets.push('two');
    await written;
    expect((await readLines(disk)).at(-1)).toMatchObject({ targets: ['one'] });
  });
});

describe('appends at the same time', () => {
  test('are written in the order of the calls, and share a sync', async () => {
    const disk = new FakeDisk();
    const log = await open(disk);
    disk.events.length = 0;
    const resolved: string[] = [];
    const names = Array.from({ length: 50 }, (_, index) => `a-${index}`);
    await Promise.all(
      names.map((name) =>
        log.append(intent(name)).then(({ sequence }) => resolved.push(`${name} ${sequence}`)),
      ),
    );
    expect(resolved).toEqual(names.map((name, index) => `${name} ${index + 3}`));
    expect(ids(await readLines(disk))).toEqual(names);
    expect(disk.events.filter((event) => event.startsWith('sync ')).length).toBeLessThanOrEqual(2);
    expect(await verifyAudit(FOLDER, disk)).toMatchObject({ ok: true, lines: 52 });
  });

  test('from any turn of the loop are all written in order, over several files', async () => {
    const disk = new FakeDisk();
    const log = await open(disk, { maxFileBytes: 1200, maxFiles: 100 });
    const writes: Promise<unknown>[] = [];
    for (let index = 0; index < 40; index += 1) {
      writes.push(log.append(intent(`a-${index}`)));
      for (let turn = 0; turn < index % 7; turn += 1) await Promise.resolve();
    }
    for (let index = 40; index < 80; index += 1) {
      writes.push(log.append(intent(`a-${index}`)));
      for (let turn = 0; turn < index; turn += 1) await Promise.resolve();
    }
    await Promise.all(writes);
    expect(ids(await readLines(disk))).toEqual(writes.map((_, index) => `a-${index}`));
  });

  test('are refused when more of them wait than memory is meant for', async () => {
    const log = await open(new FakeDisk());
    const reason = 'x'.repeat(60_000);
    const results = await Promise.allSettled(
      Array.from({ length: 400 }, () => log.append({ kind: 'decision', reason })),
    );
    const refused = results.filter(({ status }) => status === 'rejected');
    expect(refused.length).toBeGreaterThan(100);
    expect(refused.length).toBeLessThan(200);
    await expect(log.append(intent('later'))).resolves.toBeDefined();
  });

  test('that the disk refuses count no longer among those that wait', async () => {
    const disk = new FakeDisk();
    const log = await open(disk);
    const reason = 'x'.repeat(60_000);
    for (let round = 0; round < 3; round += 1) {
      disk.fail('sync');
      const results = await Promise.allSettled(
        Array.from({ length: 150 }, () => log.append({ kind: 'decision', reason })),
      );
      expect(new Set(results.map(({ status }) => status))).toContain('rejected');
    }
    disk.fail('write', 'EIO', 100);
    for (let round = 0; round < 3; round += 1) {
      await Promise.allSettled(Array.from({ length: 150 }, () => log.append({ kind: 'decision', reason })));
    }
    disk.heal();
    await expect(log.append({ kind: 'decision', reason })).resolves.toBeDefined();
  });

  test('are all written before close resolves; later ones are refused', async () => {
    const disk = new FakeDisk();
    const log = await open(disk);
    void log.append(intent('a-1'));
    void log.append(intent('a-2'));
    await log.close();
    await expect(log.append(intent('a-3'))).rejects.toThrow(AuditWriteError);
    expect(ids(await readLines(disk))).toEqual(['a-1', 'a-2']);
  });
});

describe('A5 intents without an outcome', () => {
  test('are known after a restart, over rotated files, until an outcome is written', async () => {
    const disk = new FakeDisk();
    const options = { maxFileBytes: 900 };
    const log = await open(disk, options);
    expect(log.openIntents()).toEqual([]);
    for (const id of ['a', 'b', 'c', 'd']) await log.append(intent(id));
    await log.append(outcome('b'));
    expect(log.openIntents()).toEqual([]);

    const next = await open(disk.reboot('nothing'), options);
    expect(next.openIntents().map(({ actionId }) => actionId)).toEqual(['a', 'c', 'd']);
    expect(next.openIntents()[0]).toMatchObject({ kind: 'intent', interface: 'Branch 7', seq: 3 });
    await next.append({ kind: 'outcome', actionId: 'a', result: 'unknown' });
    expect(next.openIntents().map(({ actionId }) => actionId)).toEqual(['c', 'd']);
  });

  test('stay so if the outcome cannot be written', async () => {
    const disk = new FakeDisk();
    await (await open(disk)).append(intent('a'));
    const log = await open(disk);
    disk.fail('sync');
    await expect(log.append(outcome('a'))).rejects.toThrow(AuditWriteError);
    expect(log.openIntents()).toHaveLength(1);
    await log.append(outcome('a'));
    expect(log.openIntents()).toHaveLength(0);
  });
});

describe('D1 a crash in the middle of a line', () => {
  test('D1 at any byte of the last three lines leaves all complete lines, and is cut and told', async () => {
    const source = new FakeDisk();
    const log = await open(source);
    for (const id of ['a', 'b', 'c', 'd']) await log.append(intent(id, { reason: 'Zürich 東京 😀' }));
    const bytes = source.bytesOf(FIRST);
    const lines = linesOf(bytes);
    const from = bytes.length - lines.slice(-3).reduce((sum, line) => sum + line.length, 0);
    for (let cut = from; cut <= bytes.length; cut += 1) {
      const disk = new FakeDisk();
      disk.put(FIRST, bytes.subarray(0, cut));
      const kept = linesOf(bytes.subarray(0, cut));
      const tornBytes = cut - kept.reduce((sum, line) => sum + line.length, 0);
      const found = await verifyAudit(FOLDER, disk);
      expect(found.ok, `cut at ${cut}`).toBe(tornBytes === 0);
      if (!found.ok)
        expect(found.fault).toMatchObject({ line: kept.length + 1, problem: 'torn', file: FIRST });

      const seen: number[] = [];
      const next = await open(disk, { onLine: ({ seq }) => seen.push(seq) });
      expect(next.opening).toEqual({ files: 1, lines: kept.length, cutBytes: tornBytes });
      expect(seen).toEqual(kept.map((_, index) => index + 1));
      await next.append(intent('after'));
      expect(await verifyAudit(FOLDER, disk)).toMatchObject({ ok: true, lines: kept.length + 2 });
      const note = (await readLines(disk)).at(-2);
      expect(note).toMatchObject({ kind: 'opened', cutBytes: tornBytes, seq: kept.length + 1 });
      if (tornBytes > 0) expect(note?.['cutText']).toBe(bytes.toString('latin1', cut - tornBytes, cut));
    }
  });

  test('D1 whose file has its size but zeros for its bytes is cut, too', async () => {
    const disk = new FakeDisk();
    await (await open(disk)).append(intent('a'));
    const bytes = disk.bytesOf(FIRST);
    for (const zeros of [1, 300, 100_000]) {
      disk.put(FIRST, Buffer.concat([bytes, Buffer.from('{"seq":4,'), Buffer.alloc(zeros)]));
      const log = await open(disk);
      expect(log.opening).toMatchObject({ lines: 3, cutBytes: zeros + 9 });
      expect(await verifyAudit(FOLDER, disk)).toMatchObject({ ok: true, lines: 4 });
    }
  });

  test('D1 in the first line of a new file leaves the chain over the files whole', async () => {
    const source = new FakeDisk();
    const options = { maxFileBytes: 900 };
    const log = await open(source, options);
    await log.append(intent('a'));
    await log.append(intent('b'));
    const second = join(FOLDER, auditFileName(2));
    const bytes = source.bytesOf(second);
    for (let cut = 0; cut < linesOf(bytes)[0]!.length; cut += 1) {
      const disk = new FakeDisk();
      disk.put(FIRST, source.bytesOf(FIRST));
      disk.put(second, bytes.subarray(0, cut));
      const next = await open(disk, options);
      expect(next.opening.cutBytes).toBe(cut);
      await next.append(intent('c'));
      expect(await verifyAudit(FOLDER, disk)).toMatchObject({ ok: true });
      expect(ids(await readLines(disk))).toEqual(['a', 'c']);
    }
  });
});

describe('a log that is damaged', () => {
  test('is not opened, and not changed', async () => {
    const disk = new FakeDisk();
    const log = await open(disk);
    for (const id of ['a', 'b', 'c']) await log.append(intent(id));
    const bytes = disk.bytesOf(FIRST);
    const lines = linesOf(bytes);
    const broken: readonly (readonly [what: string, bytes: Buffer, line: number])[] = [
      ['a byte in the middle', withByte(bytes, lines[0]!.length + lines[1]!.length + 200, 0x21), 3],
      ['a byte of the last line', withByte(bytes, bytes.length - 150, 0x21), 5],
      ['another end of the last line', withByte(bytes, bytes.length - 1, 0x20), 5],
      [
        'zeros over a line before others',
        Buffer.from(bytes).fill(0, bytes.length - 500, bytes.length - 450),
        4,
      ],
      ['a line gone', Buffer.concat([...lines.slice(0, 2), ...lines.slice(3)]), 3],
      ['a line that is none, at the end', Buffer.concat([bytes, Buffer.from('\n')]), 6],
      ['something else at the end', Buffer.concat([bytes, Buffer.from('x'.repeat(500))]), 6],
      ['much at the end', Buffer.concat([bytes, Buffer.alloc(2_000_000)]), 6],
    ];
    for (const [what, content, line] of broken) {
      disk.put(FIRST, content);
      disk.events.length = 0;
      const refused = open(disk);
      await expect(refused, what).rejects.toThrow(AuditDamagedError);
      await expect(refused, what).rejects.toThrow(`${FIRST}:${line}:`);
      expect(disk.events, what).toEqual([]);
      expect(disk.bytesOf(FIRST).equals(content), what).toBe(true);
    }
  });

  test('in an older file is not opened either', async () => {
    const disk = new FakeDisk();
    const log = await open(disk, { maxFileBytes: 900 });
    for (const id of ['a', 'b', 'c', 'd', 'e']) await log.append(intent(id));
    const second = join(FOLDER, auditFileName(2));
    const bytes = disk.bytesOf(second);
    disk.put(second, bytes.subarray(0, -3));
    await expect(open(disk)).rejects.toThrow(AuditDamagedError);
    disk.put(second, Buffer.alloc(0));
    await expect(open(disk)).rejects.toThrow(AuditDamagedError);
    disk.remove(second);
    await expect(open(disk)).rejects.toThrow(`${second}:1: the file is not there`);
  });

  test('by another program that writes to it is not written to', async () => {
    const folder = makeFolder();
    const log = await openAuditLog({ folder, clock: new FakeClock(), logger });
    await log.append(intent('a'));
    const path = join(folder, auditFileName(1));
    const size = statSync(path).size;
    appendFileSync(path, 'hello\n');
    await expect(log.append(intent('b'))).rejects.toMatchObject({
      cause: { message: expect.stringContaining('another program changed it') as string },
    });
    expect(statSync(path).size).toBe(size + 6);
    truncateSync(path, size - 1);
    await expect(log.append(intent('b'))).rejects.toThrow(AuditWriteError);
    unlinkSync(path);
    await expect(log.append(intent('b'))).rejects.toThrow(AuditWriteError);
    expect(readdirSync(folder)).toEqual([]);
  });
});

const withByte = (bytes: Buffer, index: number, byte: number): Buffer => {
  const changed = Buffer.from(bytes);
  changed[index] = changed[index] === byte ? byte + 1 : byte;
  return changed;
};

describe('D2 a disk that fails', () => {
  for (const operation of ['write', 'sync', 'syncFolder', 'create'] as const) {
    test(`D2 at ${operation}: append rejects, nothing of it stays, and the next one works`, async () => {
      const disk = new FakeDisk();
      // The second entry begins a new file, so that each operation is met.
      const log = await open(disk, { maxFileBytes: 900 });
      await log.append(intent('a'));
      disk.fail(operation);
      await expect(log.append(intent('b'))).rejects.toThrow(AuditWriteError);
      expect(log.failure?.cause).toMatchObject({ code: 'EIO' });
      expect(ids(await readLines(disk))).toEqual(['a']);
      await log.append(intent('c'));
      expect(log.failure).toBeNull();
      expect(ids(await readLines(disk.reboot('unsynced')))).toEqual(['a', 'c']);
      expect(await verifyAudit(FOLDER, disk)).toMatchObject({ ok: true });
    });
  }

  test('D2 is told of once, with its cause, and once more when it works again', async () => {
    const disk = new FakeDisk();
    const log = await open(disk);
    for (const round of [1, 2]) {
      disk.fail('write', 'ENOSPC', 3);
      for (const id of ['a', 'b', 'c']) await log.append(intent(id)).catch(ignore);
      expect(told, `round ${round}`).toEqual([
        `error: no action will run until this is mended: the audit log ${FIRST} cannot be written; ` +
          'no action runs until it can: ENOSPC: the fake disk',
      ]);
      await log.append(intent('d'));
      await log.append(intent('e'));
      expect(told.splice(0).slice(1)).toEqual(['info: the audit log can be written again']);
    }
  });

  test('D2 that failed at the opening, which its caller tells of, is told of when it works', async () => {
    const disk = new FakeDisk();
    disk.fail('create', 'EROFS', 2);
    const log = await open(disk);
    await log.append(intent('a')).catch(ignore);
    expect(told).toEqual([]);
    await log.append(intent('b'));
    expect(told).toEqual(['info: the audit log can be written again']);
  });

  test('D2 that neither syncs nor truncates: what it left is cut before the next entry', async () => {
    const disk = new FakeDisk();
    const log = await open(disk);
    disk.fail('sync');
    disk.fail('truncate', 'EIO', 2);
    await expect(log.append(intent('a'))).rejects.toThrow(AuditWriteError);
    expect(linesOf(disk.bytesOf(FIRST))).toHaveLength(3);
    await expect(log.append(intent('b'))).rejects.toThrow(AuditWriteError);
    await log.append(intent('c'));
    expect(ids(await readLines(disk))).toEqual(['c']);
    expect(await verifyAudit(FOLDER, disk)).toMatchObject({ ok: true, lines: 3 });
  });

  test('D2 all entries of a write that fails are refused, those that came later are tried', async () => {
    const disk = new FakeDisk();
    const log = await open(disk);
    disk.fail('sync');
    const early = log.append(intent('a'));
    const together = Promise.allSettled([early, log.append(intent('b'))]);
    const late = early.catch(() => log.append(intent('c')));
    expect((await together).map(({ status }) => status)).toEqual(['rejected', 'fulfilled']);
    await late;
    expect(ids(await readLines(disk))).toEqual(['b', 'c']);
  });

  test('D2 at the opening does not keep the log from being opened; the opening is written later', async () => {
    const disk = new FakeDisk();
    disk.fail('create', 'EROFS');
    const log = await open(disk);
    expect(log.failure).toBeInstanceOf(AuditWriteError);
    await log.append(intent('a'));
    expect((await readLines(disk)).map(({ kind }) => kind)).toEqual(['file', 'opened', 'intent']);
  });

  test('D2 writes that take few bytes each are continued', async () => {
    const disk = new FakeDisk();
    disk.maxWriteBytes = 7;
    const log = await open(disk);
    await log.append(intent('a'));
    expect(await verifyAudit(FOLDER, disk)).toMatchObject({ ok: true, lines: 3 });
  });
});

describe('D3 a full disk', () => {
  test('D3 refuses entries, cuts what went half, and takes them when there is room', async () => {
    const disk = new FakeDisk();
    const log = await open(disk);
    await log.append(intent('a'));
    const before = disk.bytesOf(FIRST);
    for (const room of [0, 1, 100, 299]) {
      disk.freeBytes = room;
      await expect(log.append(intent('b'))).rejects.toMatchObject({ cause: { code: 'ENOSPC' } });
      expect(disk.bytesOf(FIRST).equals(before)).toBe(true);
      expect(await verifyAudit(FOLDER, disk)).toMatchObject({ ok: true, lines: 3 });
    }
    disk.heal();
    await log.append(intent('c'));
    expect(ids(await readLines(disk))).toEqual(['a', 'c']);
    expect(await verifyAudit(FOLDER, disk)).toMatchObject({ ok: true, lines: 4 });
  });

  test('D3 at a rotation keeps the older files, and goes on in the new one when there is room', async () => {
    const disk = new FakeDisk();
    const log = await open(disk, { maxFileBytes: 900, maxFiles: 2 });
    await log.append(intent('a'));
    await log.append(intent('b'));
    await log.append(intent('c'));
    await log.settled();
    const files = disk.paths;
    disk.freeBytes = 100;
    for (const id of ['d', 'e']) await expect(log.append(intent(id))).rejects.toThrow(AuditWriteError);
    expect(disk.paths).toEqual(expect.arrayContaining(files));
    expect(await verifyAudit(FOLDER, disk)).toMatchObject({ ok: true });
    disk.heal();
    await log.append(intent('f'));
    await log.close();
    expect(disk.paths).toHaveLength(2);
    expect(await verifyAudit(FOLDER, disk)).toMatchObject({ ok: true });
    expect(ids(await readLines(disk)).at(-1)).toBe('f');
  });

  test.skipIf(process.platform !== 'linux')('D3 /dev/full', async () => {
    const folder = makeFolder();
    const path = join(folder, auditFileName(1));
    symlinkSync('/dev/full', path);
    const log = await openAuditLog({ folder, clock: new FakeClock(), logger });
    expect(log.failure?.cause).toMatchObject({ code: 'ENOSPC' });
    await expect(log.append(intent('a'))).rejects.toMatchObject({ cause: { code: 'ENOSPC' } });
    unlinkSync(path);
    appendFileSync(path, '');
    await log.append(intent('b'));
    expect(await verifyAudit(folder)).toMatchObject({ ok: true, lines: 3 });
    expect(ids(await readLines(nodeDisk, folder))).toEqual(['b']);
  });
});

describe('D5 rotation', () => {
  test('D5 keeps the newest files within the bound, and the chain over them', async () => {
    const disk = new FakeDisk();
    const options = { maxFileBytes: 16 * 1024, maxFiles: 8 };
    const log = await open(disk, options);
    let most = 0;
    for (let index = 0; index < 400; index += 1) {
      // A thousandth of 1 GiB in all.
      await Promise.all(
        Array.from({ length: 8 }, (_, part) => log.append({ kind: 'decision', index: index * 8 + part })),
      );
      most = Math.max(most, disk.usedBytes);
      expect(disk.paths.length).toBeLessThanOrEqual(9);
    }
    await log.close();
    expect(disk.events.filter((event) => event.startsWith('write')).length).toBeGreaterThan(400);
    // One more than 8 for the moment between the first line of the new one and the end of the oldest.
    expect(most).toBeLessThanOrEqual(9 * 16 * 1024);
    expect(disk.paths).toHaveLength(8);
    for (const path of disk.paths) expect(disk.bytesOf(path).length).toBeLessThanOrEqual(16 * 1024);
    const verdict = await verifyAudit(FOLDER, disk);
    expect(verdict).toMatchObject({ ok: true, files: 8, head: log.head });
    const lines = await readLines(disk);
    expect(lines.map(({ seq }) => seq)).toEqual(lines.map((_, index) => lines[0]!.seq + index));
    expect(lines.at(-1)).toMatchObject({ index: 3199 });
    // It names the last line of the file before it, which is gone.
    expect(lines[0]).toMatchObject({ kind: 'file', prev: expect.stringMatching(/^[0-9a-f]{64}$/) as string });
  });

  test('D5 deletes nothing before the new file has an entry on the disk, and then the oldest', async () => {
    const disk = new FakeDisk();
    const log = await open(disk, { maxFileBytes: 900, maxFiles: 2 });
    for (const id of ['a', 'b']) await log.append(intent(id));
    await log.settled();
    disk.events.length = 0;
    await log.append(intent('c'));
    await log.close();
    const third = join(FOLDER, auditFileName(3));
    const events = disk.events.map((event) => event.replace(/ \d+$/, ''));
    expect(events.slice(events.indexOf(`create ${third}`))).toEqual([
      `create ${third}`,
      `write ${third}`,
      `sync ${third}`,
      `syncFolder ${FOLDER}`,
      `unlink ${FIRST}`,
      `syncFolder ${FOLDER}`,
    ]);
  });

  test('D5 a file that cannot be deleted is told of, does not stop the log, and goes later', async () => {
    const disk = new FakeDisk();
    const log = await open(disk, { maxFileBytes: 900, maxFiles: 2 });
    disk.fail('unlink', 'EBUSY', 2);
    for (const id of ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h']) await log.append(intent(id));
    await log.close();
    expect(warnings.length).toBe(2);
    expect(disk.paths).toHaveLength(2);
    expect(await verifyAudit(FOLDER, disk)).toMatchObject({ ok: true });
  });

  test('D5 a lower limit counts from the next start', async () => {
    const disk = new FakeDisk();
    const log = await open(disk, { maxFileBytes: 900 });
    for (const id of ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h']) await log.append(intent(id));
    expect(disk.paths.length).toBeGreaterThan(3);
    await (await open(disk, { maxFileBytes: 900, maxFiles: 3 })).close();
    expect(disk.paths).toHaveLength(3);
    expect(await verifyAudit(FOLDER, disk)).toMatchObject({ ok: true });
  });

  test('D5 an entry longer than the limit has a file of its own', async () => {
    const disk = new FakeDisk();
    const log = await open(disk, { maxFileBytes: 900, maxFiles: 3 });
    for (let index = 0; index < 6; index += 1) {
      await log.append({ kind: 'decision', reason: 'x'.repeat(3000) });
    }
    await log.close();
    expect(disk.paths).toHaveLength(3);
    expect(await verifyAudit(FOLDER, disk)).toMatchObject({ ok: true, lines: 6 });
  });

  test('D5 fewer than two files are refused', async () => {
    await expect(open(new FakeDisk(), { maxFiles: 1 })).rejects.toThrow(RangeError);
  });
});

describe('on a real disk', () => {
  test('files are for their owner alone, and a second start goes on where the first ended', async () => {
    const folder = makeFolder();
    const options = { folder, clock: new FakeClock(), logger, maxFileBytes: 2000, maxFiles: 3 };
    const log = await openAuditLog(options);
    for (let index = 0; index < 20; index += 1) await log.append(intent(`a-${index}`));
    await log.close();
    const again = await openAuditLog(options);
    expect(again.opening).toMatchObject({ files: 3, cutBytes: 0 });
    expect(again.head.sequence).toBeGreaterThan(log.head.sequence);
    await again.append(outcome('a-19'));
    await again.close();
    const names = readdirSync(folder);
    expect(names).toHaveLength(3);
    if (process.platform !== 'win32') {
      for (const name of names) expect(statSync(join(folder, name)).mode & 0o777).toBe(0o600);
    }
    expect(await verifyAudit(folder)).toMatchObject({ ok: true, files: 3, head: again.head });
    for (const name of names)
      expect(await verifyAudit(join(folder, name))).toMatchObject({ ok: true, files: 1 });
    expect(
      readFileSync(join(folder, names.sort().at(-1)!), 'utf8')
        .trim()
        .split('\n')
        .at(-1),
    ).toContain('a-19');
  });

  test('a folder that is not there is told at the opening', async () => {
    await expect(
      openAuditLog({ folder: join(makeFolder(), 'none'), clock: new FakeClock(), logger }),
    ).rejects.toMatchObject({ code: 'ENOENT' });
  });

  test('a slow sync holds back the entry, and nothing else', async () => {
    const gate = Promise.withResolvers<undefined>();
    let isSlow = false;
    const disk = new FakeDisk();
    const log = await open({
      isFolder: (path) => disk.isFolder(path),
      list: (folder) => disk.list(folder),
      unlink: (path) => disk.unlink(path),
      syncFolder: (folder) => disk.syncFolder(folder),
      open: async (path, how) => {
        const file = await disk.open(path, how);
        return {
          ...file,
          sync: () => (isSlow ? gate.promise.then(() => file.sync()) : file.sync()),
        };
      },
    });
    isSlow = true;
    let isDone = false;
    const written = log.append(intent('a')).then(() => (isDone = true));
    await settle();
    await settle();
    expect(isDone).toBe(false);
    gate.resolve(undefined);
    await written;
    expect(isDone).toBe(true);
  });
});
