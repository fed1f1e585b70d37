/**
 * A disk in memory for the audit log that does what real ones do at the worst moment: it forgets what was not synced,
 * fails, fills up, and dies between any two bytes.
 */
import { dirname } from 'node:path';
import type { AuditDisk, AuditDiskFile } from '../../src/admin/audit-file.ts';

/** What a crash takes: nothing (of the process alone), all that was not synced, or any part of that. */
export type Loss = 'nothing' | LossOfUnsynced;
type LossOfUnsynced = 'unsynced' | { readonly below: (bound: number) => number };

export const DISK_OPERATIONS = ['create', 'write', 'truncate', 'sync', 'syncFolder', 'unlink'] as const;
export type DiskOperation = (typeof DISK_OPERATIONS)[number];

interface Content {
  bytes: Buffer;
  /** At the last sync. */
  synced: Buffer;
}

const PAGE_BYTES = 256;
const EMPTY = Buffer.alloc(0);

export class FakeDisk implements AuditDisk {
  /** What changed the disk, in order. */
  readonly events: string[] = [];
  /** Bytes that files may still grow by. */
  freeBytes = Infinity;
  /** No single write takes more. */
  maxWriteBytes = Infinity;
  /** Bytes written and other changes, in all. */
  steps = 0;
  /** The disk dies at this step: nothing is done any more, and all calls reject. */
  diesAtStep = Infinity;
  #files = new Map<string, Content>();
  #syncedFiles = new Map<string, Content>();
  readonly #faults = new Map<DiskOperation, { code: string; times: number }>();

  /** The next calls of this kind reject. */
  fail(operation: DiskOperation, code = 'EIO', times = 1): void {
    this.#faults.set(operation, { code, times });
  }

  heal(): void {
    this.#faults.clear();
    this.freeBytes = Infinity;
  }

  get isDead(): boolean {
    return this.steps >= this.diesAtStep;
  }

  get paths(): string[] {
    return [...this.#files.keys()].sort();
  }

  get usedBytes(): number {
    return [...this.#files.values()].reduce((sum, { bytes }) => sum + bytes.length, 0);
  }

  bytesOf(path: string): Buffer {
    return Buffer.from(this.#get(path).bytes);
  }

  /** Puts a file there, durable. */
  put(path: string, bytes: Uint8Array): void {
    const content = { bytes: Buffer.from(bytes), synced: Buffer.from(bytes) };
    this.#files.set(path, content);
    this.#syncedFiles.set(path, content);
  }

  remove(path: string): void {
    this.#files.delete(path);
    this.#syncedFiles.delete(path);
  }

  /** The disk as it is after a crash now; this one is not changed. */
  reboot(loss: Loss): FakeDisk {
    const after = new FakeDisk();
    if (loss === 'nothing') {
      // The system has it all, but has not synced more than before.
      const copies = new Map<Content, Content>();
      const copyOf = (content: Content): Content => {
        const copy = copies.get(content) ?? { ...content };
        copies.set(content, copy);
        return copy;
      };
      for (const [path, content] of this.#files) after.#files.set(path, copyOf(content));
      for (const [path, content] of this.#syncedFiles) after.#syncedFiles.set(path, copyOf(content));
      return after;
    }
    for (const path of new Set([...this.#files.keys(), ...this.#syncedFiles.keys()])) {
      const now = this.#files.get(path);
      const then = this.#syncedFiles.get(path);
      const content = pick(loss, now, then);
      if (content) after.put(path, survivor(loss, content));
    }
    return after;
  }

  isFolder(path: string): Promise<boolean> {
    return this.#run(() => !this.#files.has(path));
  }

  list(folder: string): Promise<readonly string[]> {
    return this.#run(() =>
      [...this.#files.keys()]
        .filter((path) => dirname(path) === folder)
        .map((path) => path.slice(folder.length + 1))
        // Folders are listed in no order.
        .reverse(),
    );
  }

  open(path: string, how: 'read' | 'write' | 'create'): Promise<AuditDiskFile> {
    return this.#run(() => {
      if (how === 'create') {
        if (this.#files.has(path)) throw systemError('EEXIST');
        this.#change('create', path);
        this.#files.set(path, { bytes: EMPTY, synced: EMPTY });
      }
      return this.#file(path, this.#get(path));
    });
  }

  unlink(path: string): Promise<void> {
    return this.#run(() => {
      this.#get(path);
      this.#change('unlink', path);
      this.#files.delete(path);
    });
  }

  syncFolder(folder: string): Promise<void> {
    return this.#run(() => {
      this.#change('syncFolder', folder);
      this.#syncedFiles = new Map(this.#files);
    });
  }

  #file(path: string, content: Content): AuditDiskFile {
    return {
      size: () => this.#run(() => content.bytes.length),
      read: (buffer, position) =>
        this.#run(() => content.bytes.copy(buffer, 0, Math.min(position, content.bytes.length))),
      write: (bytes, position) => this.#run(() => this.#write(path, content, bytes, position)),
      truncate: (size) =>
        this.#run(() => {
          this.#change('truncate', path);
          this.freeBytes += content.bytes.length - size;
          content.bytes = content.bytes.subarray(0, size);
        }),
      sync: () =>
        this.#run(() => {
          this.#change('sync', path);
          content.synced = content.bytes;
        }),
      close: () => this.#run(() => undefined),
    };
  }

  #write(path: string, content: Content, bytes: Uint8Array, position: number): number {
    const growth = Math.max(0, position + bytes.length - content.bytes.length);
    const room = bytes.length - Math.max(0, growth - this.freeBytes);
    const wanted = Math.min(room, this.maxWriteBytes);
    if (wanted <= 0) throw systemError('ENOSPC');
    this.#throwFault('write');
    const count = Math.min(wanted, this.diesAtStep - this.steps);
    const grown = Buffer.alloc(Math.max(content.bytes.length, position + count));
    content.bytes.copy(grown);
    grown.set(bytes.subarray(0, count), position);
    this.freeBytes -= grown.length - content.bytes.length;
    content.bytes = grown;
    this.steps += count;
    this.events.push(`write ${path} ${count}`);
    if (this.isDead) throw systemError('crash');
    return count;
  }

  #change(operation: DiskOperation, path: string): void {
    this.#throwFault(operation);
    this.steps += 1;
    if (this.isDead) throw systemError('crash');
    this.events.push(`${operation} ${path}`);
  }

  #throwFault(operation: DiskOperation): void {
    const fault = this.#faults.get(operation);
    if (!fault || fault.times <= 0) return;
    fault.times -= 1;
    throw systemError(fault.code);
  }

  #get(path: string): Content {
    const content = this.#files.get(path);
    if (!content) throw systemError('ENOENT');
    return content;
  }

  async #run<T>(act: () => T): Promise<T> {
    await Promise.resolve();
    if (this.isDead) throw systemError('crash');
    return act();
  }
}

const systemError = (code: string): Error => Object.assign(new Error(`${code}: the fake disk`), { code });

function pick<T>(loss: LossOfUnsynced, now: T | undefined, then: T | undefined): T | undefined {
  if (loss === 'unsynced') return then;
  return loss.below(2) === 0 ? now : then;
}

/** A file of which parts did not reach the disk. */
function survivor(loss: LossOfUnsynced, { bytes, synced }: Content): Buffer {
  if (loss === 'unsynced') return synced;
  const isAppended = bytes.length >= synced.length && bytes.subarray(0, synced.length).equals(synced);
  const news = bytes.length - synced.length;
  switch (loss.below(isAppended && news > 0 ? 5 : 2)) {
    case 0:
      return synced;
    case 1:
      return bytes;
    case 2:
      return bytes.subarray(0, synced.length + loss.below(news));
    case 3: {
      // The size reached the disk, the end of the bytes did not.
      const zeros = Buffer.from(bytes);
      return zeros.fill(0, synced.length + loss.below(news));
    }
    default: {
      // A page in between did not.
      const hole = Buffer.from(bytes);
      const page = Math.floor((synced.length + loss.below(news)) / PAGE_BYTES) * PAGE_BYTES;
      return hole.fill(0, Math.max(synced.length, page), Math.min(bytes.length, page + PAGE_BYTES));
    }
  }
}
