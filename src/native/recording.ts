/**
 * The file of a recording: gzip of JSON lines, a header and then one line per native call with the raw answer. Written
 * and read in pieces, as one answer of a large server takes 85 MB. What is personal must be scrubbed before it comes
 * here.
 */
import type { ReadStream } from 'node:fs';
import { createReadStream } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { open } from 'node:fs/promises';
import { pipeline } from 'node:stream/promises';
import { constants, createGunzip, createGzip } from 'node:zlib';
import { z } from 'zod';
import { NATIVE_FUNCTIONS } from '../model/rras-api.ts';
import type { Struct } from './layout.ts';
import {
  MPR_INTERFACE_0,
  MPR_INTERFACE_2,
  MPR_SERVER_0,
  RAS_CONNECTION_4,
  RAS_CONNECTION_EX,
  RAS_PORT_0,
} from './layout.ts';

/** The calls that ask a server for something; the others leave nothing to play back. */
export const RECORDED_FUNCTIONS = [
  'MprAdminServerConnect',
  'MprAdminServerDisconnect',
  'MprAdminIsServiceInitialized',
  'MprAdminServerGetInfo',
  'MprAdminConnectionEnumEx',
  'MprAdminConnectionEnum',
  'MprAdminPortEnum',
  'MprAdminInterfaceEnum',
  'MprAdminInterfaceGetHandle',
  'MprAdminInterfaceGetInfo',
] as const;
export type RecordedFunction = (typeof RECORDED_FUNCTIONS)[number];

const FORMAT = 'rras-recording';
const VERSION = 1;

const headerSchema = z.strictObject({
  format: z.literal(FORMAT),
  version: z.literal(VERSION),
  /** Unix seconds. */
  startedAt: z.number().min(0),
  exporterVersion: z.string().max(100),
  /** Another machine's server was read: some codes mean something else then. */
  remote: z.boolean(),
  /** Exports that the DLL lacked. */
  missing: z.array(z.enum(NATIVE_FUNCTIONS)),
});
export type RecordingHeader = Readonly<z.infer<typeof headerSchema>>;

const u32 = z.int().min(0).max(0xffff_ffff);
/** Handles as 16 hexadecimal digits. */
const handle = z.string().regex(/^[0-9a-f]{16}$/);
/** No answer holds more records (mprapi-facts 8). */
const MAX_ENTRIES = 1_000_000;

const argumentsSchema = z.strictObject({
  level: u32.optional(),
  header: z.strictObject({ revision: u32, type: u32, size: u32 }).optional(),
  /** hConnection. */
  connection: handle.optional(),
  /** hInterface. */
  interface: handle.optional(),
  /** Name of an interface. */
  name: z.string().max(1024).optional(),
  /** Client interfaces were asked for, too. */
  clients: z.boolean().optional(),
  /** Bytes. */
  preferredLength: u32.optional(),
  resumeHandle: u32.optional(),
});
const callSchema = z.strictObject({
  /** When it was made and how long it took, in milliseconds; the former since the start of the recording. */
  t: z.number().min(0),
  ms: z.number().min(0),
  /** Number of the poll that made it. */
  round: z.int().min(0),
  fn: z.enum(RECORDED_FUNCTIONS),
  args: argumentsSchema,
  code: u32,
  entriesRead: u32.optional(),
  totalEntries: u32.optional(),
  resumeHandle: u32.optional(),
  handle: handle.optional(),
  initialized: z.boolean().optional(),
  /** There was a buffer, but its records made no sense, so that nobody could tell what in them is personal. */
  unreadable: z.literal(true).optional(),
});
export type CallArguments = Readonly<z.infer<typeof argumentsSchema>>;
export type CallRecord = Readonly<z.infer<typeof callSchema>>;
/** `bytes` null: the call left no buffer, or an unreadable one, or bytes were not asked for. */
export type RecordedCall = CallRecord & { readonly bytes: Buffer | null };

/** What a buffer of this call holds; null where the program has no table of it. */
export function answerOf(fn: RecordedFunction, level: number | undefined): Struct | null {
  switch (fn) {
    case 'MprAdminConnectionEnumEx':
      return RAS_CONNECTION_EX;
    case 'MprAdminConnectionEnum':
      return level === 4 ? RAS_CONNECTION_4 : null;
    case 'MprAdminPortEnum':
      return level === 0 ? RAS_PORT_0 : null;
    case 'MprAdminInterfaceEnum':
      return level === 0 ? MPR_INTERFACE_0 : null;
    case 'MprAdminInterfaceGetInfo':
      return level === 0 ? MPR_INTERFACE_0 : level === 2 ? MPR_INTERFACE_2 : null;
    case 'MprAdminServerGetInfo':
      return level === 0 ? MPR_SERVER_0 : null;
    default:
      return null;
  }
}

/** Bytes of the records of this answer; a call that is no enumeration answers one. Null if there is no table. */
export function answerLength({ fn, args, entriesRead = 1 }: CallRecord): number | null {
  const struct = answerOf(fn, args.level);
  return struct && entriesRead <= MAX_ENTRIES ? entriesRead * struct.size : null;
}

/** Stands before the bytes, which end the line: a reader need not hold them to read the rest. */
const BYTES_MARKER = ',"bytes":"';

/** The poll waits for it: level 6 saves a quarter of the file and costs half as much time again (measured on `large`). */
const GZIP_LEVEL = 1;
const FILE_MODE = 0o600;

type WriteStream = ReturnType<FileHandle['createWriteStream']>;

export class RecordingWriter {
  readonly #gzip = createGzip({ level: GZIP_LEVEL, chunkSize: 256 * 1024 });
  readonly #finished: Promise<void>;
  #error: Error | undefined;
  #fail: ((error: Error) => void) | undefined;
  #fileBytes = 0;

  private constructor(path: string, file: WriteStream) {
    this.#finished = pipeline(this.#gzip, file).then(
      () => void (this.#fileBytes = file.bytesWritten),
      (cause: unknown) => {
        this.#error = new Error(`the recording ${path} cannot be written`, { cause });
        this.#fail?.(this.#error);
      },
    );
  }

  /** Rejects if there is such a file already: a recording is never overwritten. */
  static async create(
    path: string,
    header: Omit<RecordingHeader, 'format' | 'version'>,
  ): Promise<RecordingWriter> {
    let file: WriteStream;
    try {
      file = (await open(path, 'wx', FILE_MODE)).createWriteStream();
    } catch (error) {
      throw cannotMake(path, error);
    }
    const writer = new RecordingWriter(path, file);
    const line: RecordingHeader = { format: FORMAT, version: VERSION, ...header };
    await writer.#write(`${JSON.stringify(line)}\n`);
    return writer;
  }

  /** Set once something could not be written; every later call rejects with it. */
  get error(): Error | undefined {
    return this.#error;
  }

  /** Size of the file, once it is closed. */
  get fileBytes(): number {
    return this.#fileBytes;
  }

  /** The pieces of the answer, each but the last of a length that 3 divides. Calls must not overlap. */
  async call(record: CallRecord, pieces: Iterable<Buffer> | null): Promise<void> {
    const json = JSON.stringify(record);
    if (!pieces) {
      await this.#write(`${json}\n`);
      return;
    }
    await this.#write(json.slice(0, -1) + BYTES_MARKER);
    for (const piece of pieces) await this.#write(piece.toString('base64'), 'latin1');
    await this.#write('"}\n');
  }

  /** Hands everything to the file, so that a recording that breaks off later keeps it. */
  flush(): Promise<void> {
    return this.#done((done) => this.#gzip.flush(constants.Z_SYNC_FLUSH, done));
  }

  async close(): Promise<void> {
    this.#gzip.end();
    await this.#finished;
    if (this.#error) throw this.#error;
  }

  #write(text: string, encoding: BufferEncoding = 'utf8'): Promise<void> {
    return this.#done((done) => this.#gzip.write(text, encoding, done));
  }

  /** A file that fails may leave a write without its end; then the file's error ends the wait. */
  #done(start: (done: (error?: Error | null) => void) => void): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#error) {
        reject(this.#error);
        return;
      }
      this.#fail = reject;
      start((error) => {
        if (!error) resolve();
        // The end of the file's stream tells the cause.
        else void this.#finished.then(() => reject(this.#error ?? error));
      });
    });
  }
}

function cannotMake(path: string, cause: unknown): Error {
  return (cause as NodeJS.ErrnoException).code === 'EEXIST'
    ? new Error(`the file ${path} exists already, and is not overwritten: choose another name`)
    : new Error(`the recording ${path} cannot be made`, { cause });
}

/** The longest line without its bytes. */
const MAX_HEAD = 64 * 1024;
const NEWLINE = 0x0a;
const QUOTE = 0x22;
const EMPTY = Buffer.alloc(0);

export interface ReadOptions {
  /** False: lines are checked, but what they hold in bytes is not kept. */
  readonly bytes: boolean;
}

/** An open recording, read from its start to its end. */
export class RecordingReader {
  readonly header: RecordingHeader;
  readonly #lines: Lines;
  readonly #options: ReadOptions;

  private constructor(header: RecordingHeader, lines: Lines, options: ReadOptions) {
    this.header = header;
    this.#lines = lines;
    this.#options = options;
  }

  /** Rejects, naming the file and the line, if this is no recording that this version can read. */
  static async open(path: string, options: ReadOptions): Promise<RecordingReader> {
    const lines = new Lines(path);
    const head = await lines.head();
    if (!head) throw lines.error('it holds no header');
    const value = lines.json(head.text);
    const version = z.looseObject({ format: z.literal(FORMAT), version: z.int() }).safeParse(value);
    if (!version.success || head.bytes) throw lines.error('this is not the header of a recording');
    if (version.data.version !== VERSION) {
      throw lines.error(`version ${version.data.version}, but this program reads version ${VERSION} only`);
    }
    return new RecordingReader(lines.check(headerSchema, value), lines, options);
  }

  /** The next call, or null at the end. Rejects, naming the line, where the file is damaged. */
  async next(): Promise<RecordedCall | null> {
    const lines = this.#lines;
    const head = await lines.head();
    if (!head) return null;
    const record = lines.check(callSchema, lines.json(head.bytes ? `${head.text}}` : head.text));
    if (!head.bytes) return { ...record, bytes: null };
    const length = answerLength(record);
    if (length === null) throw lines.error(`bytes of an unknown structure (${record.fn})`);
    const bytes = this.#options.bytes ? Buffer.allocUnsafeSlow(length) : null;
    const whole = await lines.bytes(length, bytes);
    return whole ? { ...record, bytes } : null;
  }

  /** After the end: the file broke off, and what was read is what is complete of it. */
  get truncated(): boolean {
    return this.#lines.truncated;
  }

  close(): void {
    this.#lines.close();
  }
}

/** The text of the file in pieces that fit into memory. */
class Lines {
  readonly #path: string;
  readonly #file: ReadStream;
  readonly #chunks: AsyncIterator<Buffer>;
  #rest: Buffer = EMPTY;
  /** Of the text, modulo 2^32, as the end of a gzip file states it. */
  #length = 0;
  #lastBytes: Buffer = EMPTY;
  #line = 0;
  truncated = false;

  constructor(path: string) {
    this.#path = path;
    this.#file = createReadStream(path, { highWaterMark: 256 * 1024 });
    const gunzip = createGunzip({
      chunkSize: 256 * 1024,
      // A file that broke off is read as far as it goes; whether it did is seen by the length at its end.
      finishFlush: constants.Z_SYNC_FLUSH,
    });
    this.#file.on('data', (chunk) => {
      this.#lastBytes = Buffer.concat([this.#lastBytes, chunk as Buffer]).subarray(-LENGTH_BYTES);
    });
    this.#file.on('error', (error) => gunzip.destroy(error));
    this.#file.pipe(gunzip);
    this.#chunks = gunzip[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
  }

  /** The next line, or as much of it as stands before its bytes; null if there is no complete one. */
  async head(): Promise<{ readonly text: string; readonly bytes: boolean } | null> {
    this.#line += 1;
    for (;;) {
      const newline = this.#rest.indexOf(NEWLINE);
      const line = newline < 0 ? this.#rest : this.#rest.subarray(0, newline);
      const marker = line.subarray(0, MAX_HEAD).indexOf(BYTES_MARKER);
      if (marker >= 0) return { text: this.#take(marker, BYTES_MARKER.length), bytes: true };
      if (line.length > MAX_HEAD) throw this.error('the line is too long');
      if (newline >= 0) return { text: this.#take(newline, 1), bytes: false };
      if (!(await this.#more())) {
        this.#end();
        return null;
      }
    }
  }

  /** Reads base64 of exactly `length` bytes, and the end of the line; false if the file ends before. */
  async bytes(length: number, target: Buffer | null): Promise<boolean> {
    const expected = Math.ceil(length / 3) * 4;
    let digits = 0;
    let written = 0;
    for (;;) {
      const quote = this.#rest.indexOf(QUOTE);
      const here = quote < 0 ? this.#rest.length : quote;
      if (digits + here > expected) throw this.error(`more than ${length} bytes`);
      // Four digits are three bytes: what is left over waits for the next piece.
      const now = quote < 0 ? here - (here % 4) : here;
      if (target) written += target.write(this.#rest.toString('latin1', 0, now), written, 'base64');
      digits += now;
      this.#rest = this.#rest.subarray(now);
      if (quote >= 0) break;
      if (!(await this.#more())) return this.#end();
    }
    if (digits !== expected || (target && written !== length)) throw this.error(`not ${length} bytes`);
    while (this.#rest.length < LINE_END.length) if (!(await this.#more())) return this.#end();
    if (this.#take(LINE_END.length, 0) !== LINE_END) throw this.error('the bytes do not end the line');
    return true;
  }

  json(text: string): unknown {
    try {
      return JSON.parse(text);
    } catch {
      throw this.error('this is not JSON');
    }
  }

  check<T>(schema: z.ZodType<T>, value: unknown): T {
    const result = schema.safeParse(value);
    if (result.success) return result.data;
    const [issue] = result.error.issues;
    const where = issue?.path.join('.') ?? '';
    throw this.error(`${where === '' ? '' : `${where}: `}${issue?.message ?? 'not what is expected'}`);
  }

  error(what: string, cause?: unknown): Error {
    return new Error(`${this.#path}, line ${this.#line}: ${what}`, cause === undefined ? {} : { cause });
  }

  close(): void {
    this.#file.destroy();
  }

  #take(length: number, skip: number): string {
    const text = this.#rest.toString('utf8', 0, length);
    this.#rest = this.#rest.subarray(length + skip);
    return text;
  }

  async #more(): Promise<boolean> {
    let chunk: IteratorResult<Buffer>;
    try {
      chunk = await this.#chunks.next();
    } catch (error) {
      throw this.#unreadable(error);
    }
    if (chunk.done === true) return false;
    this.#length = (this.#length + chunk.value.length) >>> 0;
    this.#rest = this.#rest.length === 0 ? chunk.value : Buffer.concat([this.#rest, chunk.value]);
    return true;
  }

  /** No line is left: a part of one, or another length than the file's end states, tell that it broke off. */
  #end(): false {
    const stated = this.#lastBytes.length === LENGTH_BYTES ? this.#lastBytes.readUInt32LE() : -1;
    this.truncated = this.#rest.length > 0 || stated !== this.#length;
    return false;
  }

  #unreadable(error: unknown): Error {
    const { code } = error as NodeJS.ErrnoException;
    if (code?.startsWith('Z_') !== true) {
      return new Error(`the recording ${this.#path} cannot be read`, { cause: error });
    }
    const nothing = this.#line === 1 && this.#rest.length === 0;
    return this.error(
      nothing ? 'this is no recording, as it is not gzip' : 'the file is damaged here',
      error,
    );
  }
}

/** The last four bytes of gzip are the length of the text, modulo 2^32. */
const LENGTH_BYTES = 4;
const LINE_END = '"}\n';

export interface RecordingFacts {
  readonly header: RecordingHeader;
  readonly polls: number;
  readonly calls: number;
  /** Milliseconds after its start at which the last call was made. */
  readonly endMs: number;
  /** The file broke off; the figures are of what is complete. */
  readonly truncated: boolean;
}

/** Reads a recording through to its end and checks every line. Rejects as RecordingReader does. */
export async function inspectRecording(path: string): Promise<RecordingFacts> {
  const reader = await RecordingReader.open(path, { bytes: false });
  const rounds = new Set<number>();
  let calls = 0;
  let endMs = 0;
  for (let call = await reader.next(); call; call = await reader.next()) {
    calls += 1;
    rounds.add(call.round);
    endMs = call.t;
  }
  if (calls === 0) throw new Error(`the recording ${path} is empty: it holds no complete call`);
  return { header: reader.header, polls: rounds.size, calls, endMs, truncated: reader.truncated };
}
