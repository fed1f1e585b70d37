/**
 * The files of the audit log as bytes: how a line is made and checked, how files are read and verified, and the few
 * calls of the disk that all this needs. Reading never changes a file.
 *
 * A line is JSON and ends with LF. `length` counts its bytes with the LF; `prev` is the hash of the line before, over
 * the bounds of files, too; `hash` is the SHA-256 of all bytes before `,"hash"`, `crc` the CRC-32 of all before
 * `,"crc"`. So no byte can change unseen, and no line can go, come or move but at the ends of the log: lines cut off
 * the end, and a log rewritten from some line on with new hashes, are only seen against a hash that was noted
 * elsewhere. The oldest files go by rotation, so that where the log begins proves nothing either.
 */
import { createHash } from 'node:crypto';
import { open, readdir, stat, unlink } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { crc32 } from 'node:zlib';
import { z } from 'zod';

/** What the audit log needs of a disk. Everything rejects with the system's error. */
export interface AuditDisk {
  isFolder(path: string): Promise<boolean>;
  /** Names in the folder, in any order. */
  list(folder: string): Promise<readonly string[]>;
  /** `create` makes a new file for its owner alone, and rejects if there is one; `write` needs one that is there. */
  open(path: string, how: 'read' | 'write' | 'create'): Promise<AuditDiskFile>;
  unlink(path: string): Promise<void>;
  /** Makes it durable that files were made or deleted. */
  syncFolder(folder: string): Promise<void>;
}

export interface AuditDiskFile {
  size(): Promise<number>;
  /** Bytes read into the front of the buffer; 0 at the end of the file. */
  read(buffer: Uint8Array, position: number): Promise<number>;
  /** Bytes written, which may be fewer than given. */
  write(bytes: Uint8Array, position: number): Promise<number>;
  truncate(size: number): Promise<void>;
  /** Makes durable what the file holds, and its size. */
  sync(): Promise<void>;
  close(): Promise<void>;
}

const OWNER_ONLY = 0o600;
const FLAGS = { read: 'r', write: 'r+', create: 'wx+' } as const;

export const nodeDisk: AuditDisk = {
  isFolder: async (path) => (await stat(path)).isDirectory(),
  list: (folder) => readdir(folder),
  async open(path, how) {
    const handle = await open(path, FLAGS[how], OWNER_ONLY);
    return {
      size: async () => (await handle.stat()).size,
      read: async (buffer, position) => (await handle.read(buffer, 0, buffer.length, position)).bytesRead,
      write: async (bytes, position) => (await handle.write(bytes, 0, bytes.length, position)).bytesWritten,
      truncate: (size) => handle.truncate(size),
      sync: () => handle.sync(),
      close: () => handle.close(),
    };
  },
  unlink,
  async syncFolder(folder) {
    // Windows gives no handle of a folder that could be synced; NTFS journals its names.
    if (process.platform === 'win32') return;
    const handle = await open(folder, 'r');
    try {
      await handle.sync();
    } finally {
      await handle.close();
    }
  },
};

/** Where the chain stands: the number and the hash of a line. */
export interface AuditHead {
  readonly sequence: number;
  /** SHA-256 in hexadecimal digits. */
  readonly hash: string;
}

/** Before the first line. */
export const CHAIN_START: AuditHead = { sequence: 0, hash: '0'.repeat(64) };

/** With its LF. */
export const MAX_LINE_BYTES = 64 * 1024;
/** Most that is written before it is synced, and so the most that a crash can leave unfinished. */
export const MAX_BATCH_BYTES = 1024 * 1024;

const FORMAT = 'rras-audit';
const VERSION = 1;
/** Kind of the first line of each file. */
export const FILE_KIND = 'file';

const lineSchema = z.looseObject({
  /** From 1, without a gap, over all files. */
  seq: z.int().min(1),
  length: z.int().min(1),
  /** Number of the last line that was known to be on the disk when this one was written. */
  durable: z.int().min(0),
  prev: z.string(),
  /** Wall time, ISO 8601 in UTC; goes back where the system clock did. */
  time: z.string(),
  kind: z.string(),
  actionId: z.string().optional(),
  hash: z.string(),
  crc: z.string(),
});
/** A line as it was read: what the log adds to each entry, and the entry's own keys. */
export type AuditLine = Readonly<z.infer<typeof lineSchema>>;
/** Keys of a line that are not the entry's to set. */
export const RESERVED_KEYS = ['seq', 'length', 'durable', 'prev', 'time', 'hash', 'crc'] as const;

const headerSchema = z.looseObject({
  kind: z.literal(FILE_KIND),
  format: z.literal(FORMAT),
  version: z.int(),
  number: z.int().min(1),
});

/** What the first line of the file says, beside what every line does. */
export const headerContent = (number: number): Readonly<Record<string, string | number>> => ({
  kind: FILE_KIND,
  format: FORMAT,
  version: VERSION,
  number,
});

/** All of a line but its content, at the most. */
const FRAME_BYTES = 300;
export const MAX_CONTENT_BYTES = MAX_LINE_BYTES - FRAME_BYTES;

/**
 * Invisible characters, some of which viewers take for the end of a line or for an order to turn text around: controls,
 * format characters, separators of lines and paragraphs, code points without a character.
 */
const UNSEEN = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Co}\p{Cn}]/gu;

/** JSON on one line, in which nothing is invisible; well-formed even if a text in it is not. */
export function toPlainJson(value: unknown): string {
  return JSON.stringify(value).replace(UNSEEN, (character) =>
    Array.from(
      { length: character.length },
      (_, index) => `\\u${character.charCodeAt(index).toString(16).padStart(4, '0')}`,
    ).join(''),
  );
}

/** The line after `head`. `content` is the JSON of an object with at least one key, not longer than MAX_CONTENT_BYTES. */
export function encodeLine(
  head: AuditHead,
  durable: number,
  content: string,
): { readonly bytes: Buffer; readonly head: AuditHead } {
  const sequence = head.sequence + 1;
  const start = `{"seq":${sequence},"length":`;
  const rest = `,"durable":${durable},"prev":"${head.hash}",${content.slice(1, -1)}`;
  const otherBytes = start.length + Buffer.byteLength(rest) + TAIL_BYTES + 1;
  let length = otherBytes;
  while (otherBytes + String(length).length !== length) length = otherBytes + String(length).length;
  const body = Buffer.from(`${start}${length}${rest}`);
  const hash = sha256(body);
  const hashed = Buffer.concat([body, Buffer.from(`,"hash":"${hash}"`)]);
  const bytes = Buffer.concat([hashed, Buffer.from(`,"crc":"${hex32(crc32(hashed))}"}\n`)]);
  return { bytes, head: { sequence, hash } };
}

const CRC_BYTES = ',"crc":"01234567"}'.length;
const HASH_BYTES = ',"hash":""'.length + 64;
const TAIL_BYTES = HASH_BYTES + CRC_BYTES;
const TAIL = /^,"hash":"(?<hash>[0-9a-f]{64})","crc":"(?<crc>[0-9a-f]{8})"\}$/;

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');
const hex32 = (value: number): string => value.toString(16).padStart(8, '0');

export const AUDIT_PROBLEMS = [
  /** The last line is unfinished, as after a crash in the middle of a write. */
  'torn',
  /** This is not a line of an audit log. */
  'format',
  'length',
  'crc',
  'hash',
  /** The line is whole, but not the one that comes here: one was removed, added or moved. */
  'order',
  /** A file of the log is not there. */
  'missing',
  /** A newer program wrote this. */
  'version',
] as const;
export type AuditProblem = (typeof AUDIT_PROBLEMS)[number];

interface Fault {
  readonly problem: AuditProblem;
  readonly reason: string;
}
const fault = (problem: AuditProblem, reason: string): Fault => ({ problem, reason });
const unreadable = (problem: AuditProblem, reason: string): Decoded => ({
  line: null,
  fault: { problem, reason },
});

type Decoded =
  { readonly line: AuditLine; readonly fault: null } | { readonly line: null; readonly fault: Fault };

/** The line, if it is whole in itself; `bytes` without the LF. */
function decodeLine(bytes: Buffer): Decoded {
  const tail = TAIL.exec(bytes.toString('latin1', Math.max(0, bytes.length - TAIL_BYTES)))?.groups;
  if (!tail) return unreadable('format', 'it does not end as a line of an audit log');
  if (hex32(crc32(bytes.subarray(0, -CRC_BYTES))) !== tail['crc']) {
    return unreadable('crc', 'its CRC is not that of its bytes: it was changed or damaged');
  }
  if (sha256(bytes.subarray(0, -TAIL_BYTES)) !== tail['hash']) {
    return unreadable('hash', 'its hash is not that of its bytes: it was changed');
  }
  let value: unknown;
  try {
    value = JSON.parse(bytes.toString('utf8'));
  } catch {
    return unreadable('format', 'it is not JSON');
  }
  const line = lineSchema.safeParse(value);
  if (!line.success) return unreadable('format', 'it lacks what each line of an audit log has');
  if (line.data.length !== bytes.length + 1) {
    return unreadable('length', `it has ${bytes.length + 1} bytes, but says ${line.data.length}`);
  }
  return { line: line.data, fault: null };
}

/** Null `head`: the line before is not known. */
function checkOrder(line: AuditLine, head: AuditHead | null): Fault | null {
  if (head ? line.seq !== head.sequence + 1 : line.seq === 1 && line.prev !== CHAIN_START.hash) {
    return fault(
      'order',
      head
        ? `it has the number ${line.seq} where ${head.sequence + 1} comes: lines were removed, added or moved`
        : 'it has the number 1, but names a line before it',
    );
  }
  if (head && line.prev !== head.hash) {
    return fault('order', 'it does not follow the line before it: lines were replaced, removed or added');
  }
  return null;
}

/** Null `number`: the file may have any. */
function checkHeader(line: AuditLine, number: number | null): Fault | null {
  const header = headerSchema.safeParse(line);
  if (!header.success) {
    return fault('order', 'a file of an audit log does not begin with this line: the first is missing');
  }
  if (header.data.version !== VERSION) {
    return fault(
      'version',
      `this is version ${header.data.version} of the format, but the program knows ${VERSION} only`,
    );
  }
  if (number !== null && header.data.number !== number) {
    return fault('order', `it begins file ${header.data.number}, not file ${number}`);
  }
  return null;
}

/** The first line that cannot be trusted, and so none after it. */
export interface AuditFault extends Fault {
  /** Path. */
  readonly file: string;
  /** From 1, in the file. */
  readonly line: number;
}

interface FileScan {
  /** Null as long as no line was read and none before was known. */
  readonly head: AuditHead | null;
  readonly lines: number;
  /** Up to the end of the last good line. */
  readonly goodBytes: number;
  readonly fault: AuditFault | null;
  /** All after the last good line if the fault is `torn`. */
  readonly torn: Buffer;
}

const EMPTY = Buffer.alloc(0);
const LF = 0x0a;
const READ_BYTES = 256 * 1024;

interface ScanOptions {
  readonly head: AuditHead | null;
  readonly number: number | null;
  readonly onLine?: ((line: AuditLine) => void) | undefined;
}

async function scanFile(disk: AuditDisk, path: string, options: ScanOptions): Promise<FileScan> {
  const file = await disk.open(path, 'read');
  try {
    return await scanOpenFile(file, path, options);
  } finally {
    await file.close();
  }
}

async function scanOpenFile(file: AuditDiskFile, path: string, options: ScanOptions): Promise<FileScan> {
  // What a running exporter appends meanwhile is not read.
  const size = await file.size();
  let { head } = options;
  let lines = 0;
  let goodBytes = 0;
  let rest: Buffer = EMPTY;
  let position = 0;

  const stop = async (found: Fault): Promise<FileScan> => {
    const tail = await readTail(file, goodBytes, size);
    const torn = tail !== null && isTorn(tail, (head?.sequence ?? 0) + 1);
    const told = torn ? fault('torn', `it is unfinished, as after a crash: ${tail.length} bytes`) : found;
    return {
      head,
      lines,
      goodBytes,
      fault: { file: path, line: lines + 1, ...told },
      torn: torn ? tail : EMPTY,
    };
  };

  for (;;) {
    const chunk = Buffer.allocUnsafe(READ_BYTES);
    const wanted = chunk.subarray(0, Math.max(0, Math.min(READ_BYTES, size - position)));
    const count = wanted.length === 0 ? 0 : await file.read(wanted, position);
    if (count === 0) break;
    position += count;
    const bytes =
      rest.length === 0 ? wanted.subarray(0, count) : Buffer.concat([rest, wanted.subarray(0, count)]);
    let from = 0;
    for (let end = bytes.indexOf(LF); end >= 0; end = bytes.indexOf(LF, from)) {
      const { line, fault: unlike } = decodeLine(bytes.subarray(from, end));
      if (unlike) return stop(unlike);
      const wrong = (lines === 0 ? checkHeader(line, options.number) : null) ?? checkOrder(line, head);
      if (wrong) return stop(wrong);
      head = { sequence: line.seq, hash: line.hash };
      lines += 1;
      goodBytes += end + 1 - from;
      from = end + 1;
      options.onLine?.(line);
    }
    rest = bytes.subarray(from);
    if (rest.length > MAX_LINE_BYTES)
      return stop(fault('length', `it has more than ${MAX_LINE_BYTES} bytes`));
  }
  if (rest.length > 0) return stop(fault('format', 'it does not end with a line feed'));
  return { head, lines, goodBytes, fault: null, torn: EMPTY };
}

/** Null if it is longer than anything that a crash leaves. */
async function readTail(file: AuditDiskFile, from: number, size: number): Promise<Buffer | null> {
  if (size - from > MAX_BATCH_BYTES) return null;
  const tail = Buffer.alloc(size - from);
  let filled = 0;
  while (filled < tail.length) {
    const count = await file.read(tail.subarray(filled), from + filled);
    if (count === 0) break;
    filled += count;
  }
  return tail.subarray(0, filled);
}

/** Shorter than this, a line may not have got as far as its length. */
const LENGTH_WITHIN = '{"seq":9007199254740991,"length":65536,'.length;

/**
 * Whether the end of a file, from the first line that is not good, is what a crash leaves of lines that nobody was told
 * of: a part of one line, or zeros where pages did not reach the disk. A line behind the zeros that says that `sequence`
 * was durable shows that it is not, and so does a line that is as long as it should be: then it was damaged later.
 */
function isTorn(tail: Buffer, sequence: number): boolean {
  if (!tail.includes(0)) {
    if (tail.includes(LF)) return false;
    const start = tail.toString('latin1', 0, LENGTH_WITHIN);
    const length = /^\{"seq":\d+,"length":(\d+),/.exec(start)?.[1];
    return tail.length < (length === undefined ? LENGTH_WITHIN : Number(length));
  }
  let from = 0;
  for (let end = tail.indexOf(LF); end >= 0; end = tail.indexOf(LF, from)) {
    const { line } = decodeLine(tail.subarray(from, end));
    if (line && line.durable >= sequence) return false;
    from = end + 1;
  }
  return true;
}

const FILE_NAME = /^audit-(\d{8,15})\.jsonl$/;

/** Files are numbered from 1 and never renamed. */
export const auditFileName = (number: number): string => `audit-${String(number).padStart(8, '0')}.jsonl`;

/** Numbers of the files of the log in the folder, oldest first. */
export async function listAuditFiles(disk: AuditDisk, folder: string): Promise<number[]> {
  const names = await disk.list(folder);
  const numbers = names.map((name) => Number(FILE_NAME.exec(name)?.[1] ?? NaN));
  return numbers.filter((number) => Number.isSafeInteger(number)).sort((a, b) => a - b);
}

export interface FolderScan {
  /** Numbers, oldest first. */
  readonly files: readonly number[];
  /** Of the last good line; null if there is none. */
  readonly head: AuditHead | null;
  /** Number of the first line that is there. */
  readonly firstSequence: number | null;
  readonly lines: number;
  readonly fault: AuditFault | null;
  /** Of the newest file, or of the one at fault. */
  readonly last: Pick<FileScan, 'lines' | 'goodBytes' | 'torn'>;
}

/** Reads all files of the log, oldest first, up to the first fault. Rejects if one cannot be read at all. */
export async function scanFolder(
  disk: AuditDisk,
  folder: string,
  onLine?: (line: AuditLine) => void,
): Promise<FolderScan> {
  const files = await listAuditFiles(disk, folder);
  let head: AuditHead | null = null;
  let firstSequence: number | null = null;
  let lines = 0;
  let last: FolderScan['last'] = { lines: 0, goodBytes: 0, torn: EMPTY };
  const note = (line: AuditLine): void => {
    firstSequence ??= line.seq;
    onLine?.(line);
  };
  for (const [index, number] of files.entries()) {
    const before = files[index - 1];
    let found: AuditFault | null;
    if (before !== undefined && number !== before + 1) {
      const file = join(folder, auditFileName(before + 1));
      found = { file, line: 1, ...fault('missing', 'the file is not there, but older and newer ones are') };
    } else {
      const path = join(folder, auditFileName(number));
      const scan: FileScan = await scanFile(disk, path, { head, number, onLine: note });
      head = scan.head;
      lines += scan.lines;
      last = scan;
      found = scan.fault;
      // Nothing is written to a new file before all of the older ones is on the disk.
      const isNewest = index === files.length - 1;
      if (found?.problem === 'torn' && !isNewest) {
        found = {
          ...found,
          ...fault('format', 'it is unfinished, but newer files follow: it was cut later'),
        };
      }
      if (found === null && scan.lines === 0 && !(isNewest && (head !== null || number === 1))) {
        found = { file: path, line: 1, ...fault('missing', 'the file is empty') };
      }
    }
    if (found) return { files, head, firstSequence, lines, fault: found, last };
  }
  return { files, head, firstSequence, lines, fault: null, last };
}

export type AuditVerdict =
  | {
      readonly ok: true;
      readonly files: number;
      readonly lines: number;
      /** Number of the first line that is there: more than 1 where rotation deleted older files. Null without lines. */
      readonly firstSequence: number | null;
      /** To be noted elsewhere: it shows later whether lines were cut off the end or the log was rewritten. */
      readonly head: AuditHead | null;
    }
  | {
      readonly ok: false;
      /** Good ones before the fault. */
      readonly lines: number;
      readonly fault: AuditFault;
    };

/**
 * Checks a file, or all files of a folder and the chain over them; of a file alone, where it begins is taken as it is.
 * A line that is just being written is `torn`. Rejects if the path cannot be read or holds no audit log.
 */
export async function verifyAudit(path: string, disk: AuditDisk = nodeDisk): Promise<AuditVerdict> {
  if (await disk.isFolder(path)) {
    const { files, head, firstSequence, lines, fault: found } = await scanFolder(disk, path);
    if (files.length === 0) throw new Error(`there is no audit log in ${path}`);
    return found
      ? { ok: false, lines, fault: found }
      : { ok: true, files: files.length, lines, firstSequence, head };
  }
  let firstSequence: number | null = null;
  const number = FILE_NAME.exec(basename(path))?.[1];
  const scan = await scanFile(disk, path, {
    head: null,
    number: number === undefined ? null : Number(number),
    onLine: (line) => (firstSequence ??= line.seq),
  });
  return scan.fault
    ? { ok: false, lines: scan.lines, fault: scan.fault }
    : { ok: true, files: 1, lines: scan.lines, firstSequence, head: scan.head };
}
