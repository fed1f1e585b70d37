/**
 * Whether actions are paused, kept over restarts. The file has its full size from the first start on and is written in
 * place, so that a pause can be kept when the disk is full. A file that cannot be understood counts as a pause: nobody
 * can tell that there was none.
 */
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { z } from 'zod';
import type { PauseState } from '../model/admin.ts';
import type { Clock } from '../model/clock.ts';
import type { Logger } from '../model/logger.ts';
import type { AuditDisk } from './audit-file.ts';
import { nodeDisk } from './audit-file.ts';

export const PAUSE_FILE = 'pause.state';
/** One block of most disks: it is written whole or not at all. */
const FILE_BYTES = 4096;

const contentSchema = z.strictObject({
  paused: z.boolean(),
  reason: z.string(),
  actor: z.string(),
  since: z.number().nullable(),
  until: z.number().nullable(),
});
type Content = z.infer<typeof contentSchema>;

const RUNNING: Content = { paused: false, reason: '', actor: '', since: null, until: null };

const contentOf = ({ paused, reason, actor, since, until }: PauseState): Content => ({
  paused,
  reason,
  actor,
  since: since ?? null,
  until: until ?? null,
});

export interface PauseFileOptions {
  /** There already, and closed to other users. */
  readonly folder: string;
  readonly clock: Clock;
  readonly logger: Logger;
  /** What a first start begins with, where no file is; left out: nothing is paused. */
  readonly first?: PauseState;
  readonly disk?: AuditDisk;
}

export class PauseFile {
  readonly #path: string;
  readonly #folder: string;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #disk: AuditDisk;
  readonly #first: Content;
  #content: Content = RUNNING;
  /** Monotonic; Infinity: until somebody resumes. */
  #untilMs = Infinity;
  #persisted = true;
  #isThere = false;
  /** A crash of the system might still take the file away. */
  #nameIsDurable = false;
  #writing: Promise<unknown> = Promise.resolve();

  constructor({ folder, clock, logger, first, disk = nodeDisk }: PauseFileOptions) {
    this.#first = first?.paused === true ? contentOf(first) : RUNNING;
    this.#folder = folder;
    this.#path = join(folder, PAUSE_FILE);
    this.#clock = clock;
    this.#logger = logger;
    this.#disk = disk;
  }

  /** Reads what was kept; makes the file if there is none. Never rejects: what cannot be read is a pause. */
  async open(): Promise<void> {
    try {
      const names = await this.#disk.list(this.#folder);
      this.#isThere = names.includes(PAUSE_FILE);
      if (this.#isThere) this.#hold(await this.#read());
      else {
        this.#hold(this.#first);
        await this.#write(this.#first, 'create');
      }
    } catch (error) {
      this.#logger.error(
        'the file of the pause cannot be used: actions are paused until somebody resumes them',
        {
          file: this.#path,
          error,
        },
      );
      const since = this.#clock.wallSeconds();
      this.#hold({ ...RUNNING, paused: true, reason: 'the file of the pause cannot be read', since });
      this.#persisted = false;
    }
  }

  get state(): PauseState {
    const paused = this.#content.paused && this.#clock.monotonicMs() < this.#untilMs;
    const { reason, actor, since, until } = paused ? this.#content : RUNNING;
    return {
      paused,
      reason,
      actor,
      since: since ?? undefined,
      until: until ?? undefined,
      persisted: this.#persisted,
    };
  }

  /** Holds at once; resolves when it is on the disk, or cannot be (`persisted` is then false). */
  async pause(actor: string, reason: string, seconds: number | undefined): Promise<PauseState> {
    const since = this.#clock.wallSeconds();
    const until = seconds === undefined ? null : since + seconds;
    await this.#set({ paused: true, reason, actor, since, until });
    return this.state;
  }

  /** Holds at once, as `pause` does. */
  async resume(): Promise<PauseState> {
    await this.#set(RUNNING);
    return this.state;
  }

  async #set(content: Content): Promise<void> {
    this.#hold(content);
    // One after the other: the last to be asked is the last on the disk.
    const written = this.#writing.then(() => this.#write(content, this.#isThere ? 'write' : 'create'));
    this.#writing = written.catch(() => undefined);
    try {
      await written;
      this.#persisted = true;
    } catch (error) {
      this.#persisted = false;
      this.#logger.error('the pause or its end cannot be kept: it holds until the exporter ends', {
        file: this.#path,
        error,
      });
    }
  }

  #hold(content: Content): void {
    this.#content = content;
    const { until } = content;
    const restMs = until === null ? Infinity : (until - this.#clock.wallSeconds()) * 1000;
    this.#untilMs = this.#clock.monotonicMs() + restMs;
  }

  async #read(): Promise<Content> {
    const file = await this.#disk.open(this.#path, 'read');
    try {
      const bytes = Buffer.alloc(FILE_BYTES);
      let filled = 0;
      for (let count = -1; count !== 0 && filled < FILE_BYTES; filled += count) {
        count = await file.read(bytes.subarray(filled), filled);
      }
      const [, crc, json = ''] = /^([0-9a-f]{8}) (.*?) *$/s.exec(bytes.toString('utf8', 0, filled)) ?? [];
      if (crc !== crcOf(json)) throw new Error('its checksum is wrong');
      return contentSchema.parse(JSON.parse(json));
    } finally {
      await file.close();
    }
  }

  async #write(content: Content, how: 'create' | 'write'): Promise<void> {
    const json = JSON.stringify(content);
    const bytes = Buffer.alloc(FILE_BYTES, ' ');
    bytes.write(`${crcOf(json)} ${json}`);
    if (Buffer.byteLength(json) > FILE_BYTES - 16) throw new Error('the reason is too long');
    const file = await this.#disk.open(this.#path, how);
    this.#isThere = true;
    try {
      for (let written = 0; written < FILE_BYTES;) {
        const count = await file.write(bytes.subarray(written), written);
        if (count === 0) throw new Error('the disk takes no more bytes');
        written += count;
      }
      await file.sync();
    } finally {
      await file.close();
    }
    if (!this.#nameIsDurable) await this.#disk.syncFolder(this.#folder);
    this.#nameIsDurable = true;
  }
}

const crcOf = (json: string): string => crc32(json).toString(16).padStart(8, '0');
