/** D4: what a line is, and that no byte, line or file of the log can change without verification naming the place. */
import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import fc from 'fast-check';
import { beforeAll, describe, expect, test } from 'vitest';
import type { AuditVerdict } from '../../src/admin/audit-file.ts';
import { auditFileName, toPlainJson, verifyAudit } from '../../src/admin/audit-file.ts';
import { openAuditLog } from '../../src/admin/audit-log.ts';
import type { Logger } from '../../src/model/logger.ts';
import { FakeClock } from '../doubles/fake-clock.ts';
import { FakeDisk } from '../doubles/fake-disk.ts';

const FOLDER = join('/', 'audit');
const pathOf = (number: number): string => join(FOLDER, auditFileName(number));
const ignore = (): undefined => undefined;
const logger: Logger = { debug: ignore, info: ignore, warn: ignore, error: ignore };
const REASONS = [
  'line\nbreak\r\nand\u2028others\u2029\u0085\u000b\u000c',
  '{"kind":"outcome"}\n{"seq":9}',
  '\u0000\u0001\u001b[2J\u007f\u009b31m',
  '\ud800 alone \udc00, \udbff',
  '\u202egnp.exe\u202c\u200b\ufeff\u{e0041}',
  'Zürich 東京 😀 "quoted" \\ back',
] as const;

async function writeLog(maxFileBytes: number): Promise<FakeDisk> {
  const disk = new FakeDisk();
  const log = await openAuditLog({ folder: FOLDER, clock: new FakeClock(), logger, disk, maxFileBytes });
  for (const [index, reason] of REASONS.entries()) {
    await log.append({ kind: 'intent', actionId: `a-${index}`, reason });
  }
  await log.close();
  return disk;
}

function split(bytes: Buffer): Buffer[] {
  return bytes
    .toString('latin1')
    .split(/(?<=\n)/)
    .map((line) => Buffer.from(line, 'latin1'));
}

let disk: FakeDisk;
let bytes: Buffer;
let lines: Buffer[];
beforeAll(async () => {
  disk = await writeLog(1_000_000);
  bytes = disk.bytesOf(pathOf(1));
  lines = split(bytes);
});

const verify = (content: Uint8Array): Promise<AuditVerdict> => {
  const changed = new FakeDisk();
  changed.put(pathOf(1), content);
  return verifyAudit(FOLDER, changed);
};
async function faultOf(content: readonly Buffer[]): Promise<string> {
  const verdict = await verify(Buffer.concat(content));
  return verdict.ok ? 'ok' : `${verdict.fault.problem} ${verdict.fault.line}`;
}

describe('D4 what users write', () => {
  test('D4 stays on one line, shows all of itself, and reads back the same', () => {
    expect(lines).toHaveLength(REASONS.length + 2);
    for (const [index, reason] of REASONS.entries()) {
      const text = lines[index + 2]!.toString('utf8');
      expect(text.endsWith('\n')).toBe(true);
      expect(text.slice(0, -1)).not.toMatch(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Co}\p{Cn}\p{Cs}]/u);
      expect(text).not.toContain('\ufffd');
      expect((JSON.parse(text) as { reason: string }).reason).toBe(reason);
    }
    expect(lines.at(-1)!.toString('utf8')).toContain('Zürich 東京 😀');
  });

  test('D4 property: any text is one line of visible characters', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: 'binary', maxLength: 50 }),
        fc.string({ unit: 'grapheme' }),
        (one, two) => {
          const texts = [one, two, one.slice(0, -1), two.slice(1)];
          const json = toPlainJson({ texts });
          expect(json).not.toMatch(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Co}\p{Cn}\p{Cs}]/u);
          expect(JSON.parse(json)).toEqual({ texts });
        },
      ),
    );
  });
});

describe('D4 verification', () => {
  test('D4 takes the log as it was written', async () => {
    const last = JSON.parse(lines.at(-1)!.toString()) as { hash: string };
    expect(await verify(bytes)).toEqual({
      ok: true,
      files: 1,
      lines: lines.length,
      firstSequence: 1,
      head: { sequence: lines.length, hash: last.hash },
    });
  });

  test('D4 names the line of any byte that was changed', async () => {
    let line = 1;
    for (const [index, byte] of bytes.entries()) {
      const changed = Buffer.from(bytes);
      for (const other of [byte ^ 1, byte ^ 0x20, 0, 0x0a]) {
        if (other === byte) continue;
        changed[index] = other;
        const verdict = await verify(changed);
        if (verdict.ok || verdict.fault.line !== line) {
          expect.fail(`byte ${index} of line ${line} as ${other}: ${JSON.stringify(verdict)}`);
        }
      }
      if (byte === 0x0a) line += 1;
    }
    expect(line).toBe(lines.length + 1);
  });

  test('D4 names the line of any byte that was taken out or put in', async () => {
    let line = 1;
    for (let index = 0; index < bytes.length; index += 1) {
      const without = Buffer.concat([bytes.subarray(0, index), bytes.subarray(index + 1)]);
      const more = Buffer.concat([bytes.subarray(0, index), Buffer.from(' '), bytes.subarray(index)]);
      for (const changed of [without, more]) {
        const verdict = await verify(changed);
        if (verdict.ok || verdict.fault.line !== line) {
          expect.fail(`byte ${index} of line ${line}: ${JSON.stringify(verdict)}`);
        }
      }
      if (bytes[index] === 0x0a) line += 1;
    }
  });

  test('D4 names the place of lines removed, swapped, doubled or put in', async () => {
    const foreign = split((await writeLog(1_000_001)).bytesOf(pathOf(1)));
    for (let at = 0; at < lines.length - 1; at += 1) {
      const before = lines.slice(0, at);
      const [one, two] = [lines[at]!, lines[at + 1]!];
      const after = lines.slice(at + 2);
      expect(await faultOf([...before, two, ...after])).toBe(`order ${at + 1}`);
      expect(await faultOf([...before, two, one, ...after])).toBe(`order ${at + 1}`);
      expect(await faultOf([...before, one, one, two, ...after])).toBe(`order ${at + 2}`);
      expect(await faultOf([...before, one, Buffer.from('{}\n'), two, ...after])).toBe(`format ${at + 2}`);
      expect(await faultOf([...before, one, Buffer.from('\n'), two, ...after])).toBe(`format ${at + 2}`);
    }
    expect(foreign).toEqual(lines);
  });

  test('D4 tells the kinds of damage apart', async () => {
    const text = lines[3]!.toString('latin1');
    const seal = (body: string): Buffer => {
      const hash = createHash('sha256').update(body, 'latin1').digest('hex');
      return crc(`${body},"hash":"${hash}"`);
    };
    const crc = (hashed: string): Buffer =>
      Buffer.from(
        `${hashed},"crc":"${crc32(Buffer.from(hashed, 'latin1')).toString(16).padStart(8, '0')}"}\n`,
        'latin1',
      );
    const body = text.slice(0, text.indexOf(',"hash"'));
    const hashed = text.slice(0, text.indexOf(',"crc"'));
    const around = (line: Buffer): Buffer[] => [...lines.slice(0, 3), line, ...lines.slice(4)];
    expect(await faultOf(around(seal(body)))).toBe('ok');
    expect(await faultOf(around(Buffer.from(text.replace('a-1', 'a-2'), 'latin1')))).toBe('crc 4');
    expect(await faultOf(around(crc(hashed.replace('a-1', 'a-2'))))).toBe('hash 4');
    expect(await faultOf(around(seal(`${body} `)))).toBe('length 4');
    expect(await faultOf(around(seal('{"a":1')))).toBe('format 4');
    expect(await faultOf(around(seal('{{')))).toBe('format 4');
    expect(await faultOf(around(seal(body.replace('"seq":4', '"seq":5'))))).toBe('order 4');
    // Whole, and so sealed anew: the next line shows it.
    expect(await faultOf(around(seal(body.replace('a-1', 'a-2'))))).toBe('order 5');
    const newer = lines[0]!.toString('latin1').replace('"version":1', '"version":2');
    const header = seal(newer.slice(0, newer.indexOf(',"hash"')));
    expect(await faultOf([header, ...lines.slice(1)])).toBe('version 1');
    expect(await faultOf([...lines, Buffer.alloc(100_000, 'x')])).toBe(`length ${lines.length + 1}`);
    expect(await faultOf([...lines, lines[0]!.subarray(0, 9)])).toBe(`torn ${lines.length + 1}`);
  });

  test('D4 cannot see that whole lines were cut off the end: the hash noted elsewhere does', async () => {
    const noted = await verify(bytes);
    const cut = await verify(Buffer.concat(lines.slice(0, -2)));
    expect(cut).toMatchObject({ ok: true, lines: lines.length - 2 });
    expect(noted.ok && cut.ok && noted.head?.sequence === cut.head?.sequence).toBe(false);
  });
});

describe('D4 verification over rotated files', () => {
  const copy = async (): Promise<FakeDisk> => (await writeLog(900)).reboot('nothing');

  test('D4 follows the chain from file to file', async () => {
    const log = await copy();
    expect(log.paths.length).toBeGreaterThan(3);
    expect(await verifyAudit(FOLDER, log)).toMatchObject({
      ok: true,
      files: log.paths.length,
      firstSequence: 1,
    });
    for (const path of log.paths) expect(await verifyAudit(path, log)).toMatchObject({ ok: true, files: 1 });
  });

  test('D4 begins where rotation left it', async () => {
    const log = await copy();
    log.remove(pathOf(1));
    const verdict = await verifyAudit(FOLDER, log);
    expect(verdict).toMatchObject({ ok: true });
    expect(verdict.ok && verdict.firstSequence).toBeGreaterThan(1);
  });

  test('D4 misses a file, an end, a beginning, and files that changed places', async () => {
    const faultAfter = async (change: (log: FakeDisk) => void): Promise<unknown> => {
      const log = await copy();
      change(log);
      const verdict = await verifyAudit(FOLDER, log);
      return verdict.ok ? 'ok' : `${verdict.fault.problem} ${verdict.fault.file}:${verdict.fault.line}`;
    };
    expect(await faultAfter((log) => log.remove(pathOf(2)))).toBe(`missing ${pathOf(2)}:1`);
    expect(await faultAfter((log) => log.put(pathOf(2), Buffer.alloc(0)))).toBe(`missing ${pathOf(2)}:1`);
    expect(
      await faultAfter((log) =>
        log.put(pathOf(2), Buffer.concat(split(log.bytesOf(pathOf(2))).slice(0, -1))),
      ),
    ).toBe(`order ${pathOf(3)}:1`);
    expect(
      await faultAfter((log) => log.put(pathOf(2), Buffer.concat(split(log.bytesOf(pathOf(2))).slice(1)))),
    ).toBe(`order ${pathOf(2)}:1`);
    expect(
      await faultAfter((log) => {
        const two = log.bytesOf(pathOf(2));
        log.put(pathOf(2), log.bytesOf(pathOf(3)));
        log.put(pathOf(3), two);
      }),
    ).toBe(`order ${pathOf(2)}:1`);
    expect(
      await faultAfter((log) => {
        const newest = log.paths.length;
        log.put(pathOf(newest + 1), log.bytesOf(pathOf(newest)));
      }),
    ).toContain('order ');
    // An older file that ends torn is none that a crash left.
    expect(await faultAfter((log) => log.put(pathOf(2), log.bytesOf(pathOf(2)).subarray(0, -9)))).toBe(
      `format ${pathOf(2)}:2`,
    );
  });

  test('leaves other files of the folder alone', async () => {
    const log = await copy();
    log.put(join(FOLDER, 'pseudonym.key'), Buffer.from('x'));
    log.put(join(FOLDER, 'audit-1.jsonl.bak'), Buffer.from('x'));
    expect(await verifyAudit(FOLDER, log)).toMatchObject({ ok: true });
  });
});

describe('verification of a path', () => {
  test('that is not there, or holds no log, rejects', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'rras-exporter-audit-'));
    try {
      await expect(verifyAudit(join(folder, 'none'))).rejects.toMatchObject({ code: 'ENOENT' });
      await expect(verifyAudit(folder)).rejects.toThrow('there is no audit log in');
      writeFileSync(join(folder, 'copy.jsonl'), bytes);
      expect(await verifyAudit(join(folder, 'copy.jsonl'))).toMatchObject({ ok: true, lines: lines.length });
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  test('reads a large file in pieces', async () => {
    const log = new FakeDisk();
    const audit = await openAuditLog({ folder: FOLDER, clock: new FakeClock(), logger, disk: log });
    await Promise.all(
      Array.from({ length: 40 }, (_, index) =>
        audit.append({ kind: 'decision', reason: 'x'.repeat(60_000 - index * 77) }),
      ),
    );
    expect(log.usedBytes).toBeGreaterThan(2_000_000);
    expect(await verifyAudit(FOLDER, log)).toMatchObject({ ok: true, lines: 42 });
  });
});
