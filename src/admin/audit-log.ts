/**
 * The audit log of guarded actions: an entry is on the disk before `append` resolves, so that what follows a resolved
 * intent is never without a trace. It never changes or deletes a line that was on the disk, except that rotation
 * deletes whole files, oldest first, and never runs on behind a line that it cannot trust.
 *
 * audit-file.ts says what a line looks like, and what the chain of hashes shows and does not show.
 */
import { join } from 'node:path';
import { z } from 'zod';
import type { Clock } from '../model/clock.ts';
import type { Logger } from '../model/logger.ts';
import type { AuditDisk, AuditDiskFile, AuditFault, AuditHead, AuditLine } from './audit-file.ts';
import {
  auditFileName,
  CHAIN_START,
  encodeLine,
  headerContent,
  listAuditFiles,
  MAX_BATCH_BYTES,
  MAX_CONTENT_BYTES,
  nodeDisk,
  RESERVED_KEYS,
  scanFolder,
  toPlainJson,
} from './audit-file.ts';

/** What others may append; the log itself writes `file` and `opened`. */
export const AUDIT_KINDS = [
  /** An action is about to be done. That of an intent without an outcome may have been done, or not. */
  'intent',
  'outcome',
  /** A request or an alert was decided on without an action. */
  'decision',
  'pause',
  'resume',
  /** Of a circuit breaker or another guard. */
  'reset',
  'reload',
] as const;
export type AuditKind = (typeof AUDIT_KINDS)[number];

const actionId = z.string().regex(/^[\w.-]{1,128}$/);
const OWN_KEY = /^[A-Za-z]\w{0,63}$/;
const RESERVED: readonly string[] = RESERVED_KEYS;

const entrySchema = z
  .union([
    z.object({ kind: z.enum(['intent', 'outcome']), actionId }).catchall(z.json()),
    z
      .object({ kind: z.enum(AUDIT_KINDS).exclude(['intent', 'outcome']), actionId: actionId.optional() })
      .catchall(z.json()),
  ])
  .refine((entry) => Object.keys(entry).every((key) => OWN_KEY.test(key) && !RESERVED.includes(key)), {
    error: `a key must be a plain word, and none of ${RESERVED_KEYS.join(', ')}`,
  });

/**
 * What is appended: the kind, the action it is about, and any further keys with JSON values. Texts may hold anything.
 *
 * No secret may ever stand in it: no token or hash of one, no password, no `Authorization` or signature header, no body
 * of a request as it came. Lines are never changed or taken out; whoever acted is named by the name of the token or
 * certificate.
 */
export type AuditEntry = Readonly<z.infer<typeof entrySchema>>;

/** The entry is not one that can be written: a mistake of the caller; nothing is wrong with the log. */
export class AuditEntryError extends Error {
  override readonly name = 'AuditEntryError';
}

/** The entry is not on the disk, or nobody can tell: whatever it announces must not be done. */
export class AuditWriteError extends Error {
  override readonly name = 'AuditWriteError';
}

/** A line of the log cannot be trusted. The log is left as it is, and is not written to. */
export class AuditDamagedError extends Error {
  override readonly name = 'AuditDamagedError';
  readonly fault: AuditFault;

  constructor(fault: AuditFault) {
    super(
      `the audit log is damaged at ${fault.file}:${fault.line}: ${fault.reason}; ` +
        'find out why, then move its files to another folder and restart: a new log is begun',
    );
    this.fault = fault;
  }
}

export interface AuditLogOptions {
  /** There already, and closed to other users. */
  readonly folder: string;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly disk?: AuditDisk;
  /** A file that would grow longer is followed by another one. Only a file with a single entry may be longer. */
  readonly maxFileBytes?: number;
  /** At least 2. */
  readonly maxFiles?: number;
  /** Called with each line that is there already, in order, before this resolves. */
  readonly onLine?: (line: AuditLine) => void;
}

const MAX_FILE_BYTES = 16 * 1024 * 1024;
const MAX_FILES = 8;
/** Of entries that were handed in and are not written yet. */
const MAX_WAITING_BYTES = 16 * 1024 * 1024;
/** How much of an unfinished line the line about it shows. */
const CUT_TEXT_BYTES = 512;

/** What was there when the log was opened. */
export interface AuditOpening {
  readonly files: number;
  readonly lines: number;
  /** Bytes of an unfinished last line, which nobody was told of: cut off before the first line is written. */
  readonly cutBytes: number;
}

/** Where an entry stands. */
export type AuditReceipt = AuditHead;

interface Waiting {
  readonly content: string;
  readonly bytes: number;
  readonly done: (receipt: AuditReceipt) => void;
  readonly failed: (error: AuditWriteError) => void;
}

interface NewestFile {
  readonly number: number;
  /** Bytes whose lines are on the disk, or were read from there. */
  bytes: number;
  /** Bytes after those that may be there and count for nothing. */
  spareBytes: number;
  lines: number;
  exists: boolean;
}

interface Batch {
  readonly bytes: Buffer;
  readonly lines: number;
  readonly head: AuditHead;
  /** For each entry that got in. */
  readonly receipts: readonly AuditReceipt[];
}

/**
 * Opens the log in the folder, or begins one. Rejects with AuditDamagedError if a line in it cannot be trusted: intents
 * and attempts might be missing, and a chain that runs on behind a break hides it. A disk that cannot be written to is
 * no reason to reject: `failure` tells, and each append tries anew. No two programs may have the same log open.
 */
export async function openAuditLog(options: AuditLogOptions): Promise<AuditLog> {
  const { folder, disk = nodeDisk, onLine } = options;
  const open = new Map<string, AuditLine>();
  const scan = await scanFolder(disk, folder, (line) => {
    if (line.kind === 'intent' && line.actionId !== undefined) open.set(line.actionId, line);
    if (line.kind === 'outcome' && line.actionId !== undefined) open.delete(line.actionId);
    onLine?.(line);
  });
  const newest = scan.files.at(-1);
  // Behind an unfinished first line of the only file that is left there may have been lines before.
  const canBeCut = scan.fault?.problem === 'torn' && (scan.head !== null || newest === 1);
  if (scan.fault && !canBeCut) throw new AuditDamagedError(scan.fault);
  const log = new AuditLog(options, {
    head: scan.head ?? CHAIN_START,
    open,
    newest: {
      number: newest ?? 1,
      bytes: scan.last.goodBytes,
      spareBytes: scan.last.torn.length,
      lines: scan.last.lines,
      exists: newest !== undefined,
    },
    torn: scan.last.torn,
    opening: { files: scan.files.length, lines: scan.lines, cutBytes: scan.last.torn.length },
  });
  await log.settled();
  return log;
}

/** What the actions need of the log. */
export type ActionLog = Pick<AuditLog, 'opening' | 'failure' | 'openIntents' | 'append' | 'close'>;

/** Stands in for a log that cannot be used: takes no entry, so that nothing is done. */
export function unusableLog(cause: unknown): ActionLog {
  const failure = new AuditWriteError('the audit log cannot be used; no action runs without it', { cause });
  return {
    opening: { files: 0, lines: 0, cutBytes: 0 },
    failure,
    openIntents: () => [],
    append: () => Promise.reject(failure),
    close: () => Promise.resolve(),
  };
}

interface Found {
  readonly head: AuditHead;
  readonly open: Map<string, AuditLine>;
  readonly newest: NewestFile;
  readonly torn: Buffer;
  readonly opening: AuditOpening;
}

export class AuditLog {
  readonly opening: AuditOpening;
  readonly #folder: string;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #disk: AuditDisk;
  readonly #maxFileBytes: number;
  readonly #maxFiles: number;
  readonly #open: Map<string, AuditLine>;
  #head: AuditHead;
  #newest: NewestFile;
  /** False: lines were read from the newest file that a crash of the system might still take away. */
  #linesAreDurable = false;
  #namesAreDurable = false;
  /** There may be more files than should be: after a rotation, or with a new limit. */
  #hasSurplus = true;
  /** Content of the line about the opening, until it is on the disk; goes before every other. */
  #opened: string | null;
  #waiting: Waiting[] = [];
  #waitingBytes = 0;
  #writing: Promise<void> | null = null;
  #failure: AuditWriteError | null = null;
  #closed = false;

  /** Use `openAuditLog`. */
  constructor(options: AuditLogOptions, found: Found) {
    const { maxFileBytes = MAX_FILE_BYTES, maxFiles = MAX_FILES } = options;
    if (maxFiles < 2 || maxFileBytes < 1)
      throw new RangeError('the audit log needs at least 2 files of 1 byte');
    this.#folder = options.folder;
    this.#clock = options.clock;
    this.#logger = options.logger;
    this.#disk = options.disk ?? nodeDisk;
    this.#maxFileBytes = maxFileBytes;
    this.#maxFiles = maxFiles;
    this.#head = found.head;
    this.#open = found.open;
    this.#newest = found.newest;
    this.opening = found.opening;
    this.#opened = this.#stamp({
      kind: 'opened',
      openIntents: found.open.size,
      cutBytes: found.opening.cutBytes,
      ...(found.torn.length > 0 && { cutText: found.torn.toString('latin1', 0, CUT_TEXT_BYTES) }),
    });
    this.#start();
  }

  /** The last line that is on the disk: to be noted elsewhere, so that lines cut off the end are missed. */
  get head(): AuditHead {
    return this.#head;
  }

  /** Why the last write failed; null if it did not. */
  get failure(): AuditWriteError | null {
    return this.#failure;
  }

  /**
   * Intents from before the opening that have no outcome yet, oldest first. Whether the action was done nobody knows:
   * append an outcome that says so, and never do it again on their account.
   */
  openIntents(): readonly AuditLine[] {
    return [...this.#open.values()];
  }

  /**
   * Resolves when the entry is on the disk, in the order of the calls. Rejects with AuditEntryError, or with
   * AuditWriteError if it could not be made durable; the next call tries anew. What a rejected entry left in the file is
   * cut off; after a crash before that, such an entry may be found there.
   */
  async append(entry: AuditEntry): Promise<AuditReceipt> {
    const { content, checked } = this.#check(entry);
    const bytes = Buffer.byteLength(content);
    if (bytes > MAX_CONTENT_BYTES) {
      throw new AuditEntryError(`an entry of ${bytes} bytes is too long: ${MAX_CONTENT_BYTES} are allowed`);
    }
    if (this.#closed) throw new AuditWriteError('the audit log is closed');
    if (this.#waitingBytes + bytes > MAX_WAITING_BYTES) {
      throw new AuditWriteError(
        'too many entries wait for the disk of the audit log; no action runs without it',
      );
    }
    const receipt = await new Promise<AuditReceipt>((done, failed) => {
      this.#waiting.push({ content, bytes, done, failed });
      this.#waitingBytes += bytes;
      this.#start();
    });
    if (checked.kind === 'outcome') this.#open.delete(checked.actionId);
    return receipt;
  }

  /** Resolves when nothing is being written. */
  async settled(): Promise<void> {
    while (this.#writing) await this.#writing;
  }

  /** What was handed in is still written; later calls reject. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.settled();
  }

  #check(entry: AuditEntry): { content: string; checked: AuditEntry } {
    let checked: AuditEntry;
    try {
      checked = entrySchema.parse(entry);
    } catch (cause) {
      throw new AuditEntryError('this is no entry for the audit log', { cause });
    }
    return { content: this.#stamp(checked), checked };
  }

  #stamp(content: Readonly<Record<string, unknown>>): string {
    const time = new Date(Math.round(this.#clock.wallSeconds() * 1000)).toISOString();
    return toPlainJson({ time, ...content });
  }

  #start(): void {
    this.#writing ??= this.#writeAll();
  }

  /** Never rejects. */
  async #writeAll(): Promise<void> {
    do {
      // Entries that come while these are written share the next sync.
      const entries = this.#waiting;
      this.#waiting = [];
      try {
        const receipts = await this.#write(entries);
        if (this.#failure !== null) this.#logger.info('the audit log can be written again');
        this.#failure = null;
        for (const [index, receipt] of receipts.entries()) {
          this.#waitingBytes -= entries[index]!.bytes;
          entries[index]!.done(receipt);
        }
        this.#waiting = [...entries.slice(receipts.length), ...this.#waiting];
      } catch (cause) {
        const path = join(this.#folder, auditFileName(this.#newest.number));
        const failure = new AuditWriteError(
          `the audit log ${path} cannot be written; no action runs until it can`,
          { cause },
        );
        // Once, not for each try; without an entry this is the opening, and `failure` is for its caller to tell.
        if (this.#failure === null && entries.length > 0)
          this.#logger.error('no action will run until this is mended', { error: failure });
        this.#failure = failure;
        for (const { bytes, failed } of entries) {
          this.#waitingBytes -= bytes;
          failed(failure);
        }
      }
      if (this.#hasSurplus && this.#failure === null) await this.#deleteOldest();
    } while (this.#waiting.length > 0);
    // At once, not in a later turn: an entry handed in between would wait for the next one.
    this.#writing = null;
  }

  /** Writes as many of the entries as go into one file, and makes them durable. */
  async #write(entries: readonly Waiting[]): Promise<readonly AuditReceipt[]> {
    let file = await this.#openNewest();
    try {
      let batch = this.#encode(entries);
      if (batch === null) {
        await file.close().catch(() => undefined);
        this.#hasSurplus = true;
        this.#newest = { number: this.#newest.number + 1, bytes: 0, spareBytes: 0, lines: 0, exists: false };
        file = await this.#openNewest();
        batch = this.#encode(entries)!;
      }
      await this.#append(file, batch.bytes);
      this.#newest.bytes += batch.bytes.length;
      this.#newest.lines += batch.lines;
      this.#head = batch.head;
      this.#opened = null;
      return batch.receipts;
    } finally {
      // What counts was synced.
      await file.close().catch(() => undefined);
    }
  }

  /** Makes it if it is not there; cuts off what no line may follow. */
  async #openNewest(): Promise<AuditDiskFile> {
    const newest = this.#newest;
    const path = join(this.#folder, auditFileName(newest.number));
    const file = await this.#disk.open(path, newest.exists ? 'write' : 'create');
    if (!newest.exists) this.#namesAreDurable = false;
    newest.exists = true;
    try {
      const size = await file.size();
      if (size < newest.bytes || size > newest.bytes + newest.spareBytes) {
        throw new Error(
          `${path} has ${size} bytes, but ${newest.bytes} were written: another program changed it; ` +
            'end that program and restart',
        );
      }
      if (size > newest.bytes) await file.truncate(newest.bytes);
      newest.spareBytes = 0;
      if (!this.#linesAreDurable && newest.bytes > 0) await file.sync();
      this.#linesAreDurable = true;
      return file;
    } catch (error) {
      await file.close().catch(() => undefined);
      throw error;
    }
  }

  /** Null if not even one entry goes into the file. */
  #encode(entries: readonly Waiting[]): Batch | null {
    const { bytes, lines, number } = this.#newest;
    const durable = this.#head.sequence;
    const receipts: AuditReceipt[] = [];
    const parts: Buffer[] = [];
    let head = this.#head;
    let total = 0;
    const add = (content: string): boolean => {
      const line = encodeLine(head, durable, content);
      const isBare = lines + parts.length <= 1;
      if (!isBare && bytes + total + line.bytes.length > this.#maxFileBytes) return false;
      if (total + line.bytes.length > MAX_BATCH_BYTES) return false;
      parts.push(line.bytes);
      total += line.bytes.length;
      head = line.head;
      return true;
    };
    if (lines === 0) add(this.#stamp(headerContent(number)));
    if (this.#opened !== null && !add(this.#opened)) return null;
    for (const { content } of entries) {
      if (!add(content)) break;
      receipts.push(head);
    }
    if (receipts.length === 0 && this.#opened === null) return null;
    return { bytes: Buffer.concat(parts), lines: parts.length, head, receipts };
  }

  async #append(file: AuditDiskFile, bytes: Buffer): Promise<void> {
    const newest = this.#newest;
    newest.spareBytes = bytes.length;
    try {
      for (let written = 0; written < bytes.length;) {
        const count = await file.write(bytes.subarray(written), newest.bytes + written);
        if (count === 0) throw new Error('the disk takes no more bytes');
        written += count;
      }
      await file.sync();
      if (!this.#namesAreDurable) await this.#disk.syncFolder(this.#folder);
      this.#namesAreDurable = true;
      newest.spareBytes = 0;
    } catch (error) {
      // Now, if the disk allows it; else before the next write.
      await file.truncate(newest.bytes).then(
        () => (newest.spareBytes = 0),
        () => undefined,
      );
      throw error;
    }
  }

  /** What cannot be deleted now is tried again at the next rotation; the log is written meanwhile. */
  async #deleteOldest(): Promise<void> {
    this.#hasSurplus = false;
    try {
      const numbers = await listAuditFiles(this.#disk, this.#folder);
      const surplus = numbers
        .filter((number) => number < this.#newest.number)
        .slice(0, -(this.#maxFiles - 1));
      for (const number of surplus) {
        await this.#disk.unlink(join(this.#folder, auditFileName(number)));
        // One after the other: a crash must leave no gap.
        await this.#disk.syncFolder(this.#folder);
      }
    } catch (error) {
      this.#logger.warn('old files of the audit log cannot be deleted', { folder: this.#folder, error });
    }
  }
}
