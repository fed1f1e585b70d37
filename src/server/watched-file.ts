/** A file that is read again only when it changed: the price of looking is one `stat`. */
import type { BigIntStats } from 'node:fs';
import { open, stat } from 'node:fs/promises';
import type { Clock } from '../model/clock.ts';
import { UsageError } from '../model/errors.ts';

export interface FileContent {
  readonly bytes: Buffer;
  /** Permissions; on Windows they say nothing. */
  readonly mode: number;
}

const MAX_BYTES = 1024 * 1024;
/**
 * A file that changed this recently is read every time: a second change could bear the same time, for file systems
 * count it in steps (4 ms in ext4, 2 s in FAT).
 */
const SETTLED_AFTER_SECONDS = 3;

/** Rejects with a UsageError that names the file and says why it cannot be read. */
export async function readContent(path: string): Promise<FileContent> {
  return (await read(path, (content) => content)).content;
}

export class WatchedFile {
  readonly #path: string;
  readonly #clock: Clock;
  #known: { content: FileContent; identity: string; settled: boolean } | undefined;

  constructor(path: string, clock: Clock) {
    this.#path = path;
    this.#clock = clock;
  }

  /** The same object as long as content and permissions are the same. Rejects as `readContent` does. */
  async read(): Promise<FileContent> {
    const known = this.#known;
    if (known?.settled && known.identity === (await identify(this.#path))) return known.content;
    const nowSeconds = this.#clock.wallSeconds();
    const { content, stats } = await read(this.#path, (fresh) => {
      const before = this.#known?.content;
      return before?.mode === fresh.mode && before.bytes.equals(fresh.bytes) ? before : fresh;
    });
    const changedMs = stats.mtimeMs > stats.ctimeMs ? stats.mtimeMs : stats.ctimeMs;
    const settled = nowSeconds - Number(changedMs) / 1000 > SETTLED_AFTER_SECONDS;
    this.#known = { content, identity: identityOf(stats), settled };
    return content;
  }
}

async function read(
  path: string,
  keep: (fresh: FileContent) => FileContent,
): Promise<{ content: FileContent; stats: BigIntStats }> {
  try {
    // Opening a pipe would wait for its writer.
    if (!(await stat(path)).isFile()) throw new Error('it is not a file');
    const handle = await open(path, 'r');
    try {
      const stats = await handle.stat({ bigint: true });
      if (stats.size > MAX_BYTES) throw new Error(`it is larger than ${MAX_BYTES} bytes`);
      const bytes = await handle.readFile();
      return { content: keep({ bytes, mode: Number(stats.mode & 0o777n) }), stats };
    } finally {
      await handle.close();
    }
  } catch (error) {
    throw unreadable(path, error);
  }
}

async function identify(path: string): Promise<string> {
  try {
    return identityOf(await stat(path, { bigint: true }));
  } catch (error) {
    throw unreadable(path, error);
  }
}

/** The time of change is among it, for that of the content can be set back (`cp -p`, `rsync -t`). */
function identityOf({ dev, ino, size, mtimeNs, ctimeNs }: BigIntStats): string {
  return [dev, ino, size, mtimeNs, ctimeNs].join(' ');
}

function unreadable(path: string, error: unknown): UsageError {
  // Node's `ENOENT: no such file or directory, open '/path'` without what follows.
  const reason = error instanceof Error ? error.message.replace(/, \w+(?: '.*')?$/s, '') : String(error);
  return new UsageError(`${path} cannot be read: ${reason}`);
}
