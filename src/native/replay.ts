/**
 * A recording as an RrasApi: answers each call as the recorded server did after the same time. It reads the file as
 * time goes on and keeps no more of it than what is due.
 */
import type { Clock } from '../model/clock.ts';
import type {
  CodeResult,
  EnumPage,
  Handle,
  InfoResult,
  NativeBuffer,
  NativeFunction,
  ObjectHeader,
  RrasApi,
} from '../model/rras-api.ts';
import { ERROR_MORE_DATA, ERROR_PROC_NOT_FOUND, NO_ERROR } from './codes.ts';
import { handleText } from './recorder.ts';
import type { CallArguments, RecordedCall, RecordedFunction } from './recording.ts';
import { answerLength, RecordingReader } from './recording.ts';
import { Ledger } from './simulator/heap.ts';

const NOT_SUPPORTED = 50;
const INVALID_BINDING = 1702;
const NOT_FOUND = 1168;
/** What stands in for records that made no sense: no structure can hold it, so these make none either. */
const SENSELESS = 0xff;
/** Handles look like addresses and are never used twice. */
const FIRST_SERVER_HANDLE = 0x0000_02b8_1e00_0010n;

/** One enumeration (or single call) as it was answered: pages by the resume handle that they were asked with. */
interface Answers {
  readonly round: number;
  readonly pages: Map<number, RecordedCall>;
}

export interface Replay extends RrasApi {
  /** Blocks and handles given out and given back. */
  readonly ledger: Readonly<Ledger>;
  /** Gives the file back. */
  close(): void;
}

/**
 * The recorded time begins now. A call with resume handle 0 is answered from the newest poll that had begun after
 * the same time; the pages that follow come from the same poll. After the end the last poll holds.
 */
export async function openReplay(path: string, clock: Clock): Promise<Replay> {
  return new RecordingReplay(await RecordingReader.open(path, { bytes: true }), clock);
}

/** The wall clock of the recorded server while it is played back; it stops at the recording's end. */
export function recordedClock(
  clock: Clock,
  { startedAt, endMs }: { readonly startedAt: number; readonly endMs: number },
): Clock {
  const originMs = clock.monotonicMs();
  return {
    monotonicMs: () => clock.monotonicMs(),
    wallSeconds: () => startedAt + Math.min(clock.monotonicMs() - originMs, endMs) / 1000,
    sleep: (ms, signal) => clock.sleep(ms, signal),
  };
}

class RecordingReplay implements Replay {
  readonly missing: readonly NativeFunction[];
  readonly ledger = new Ledger();
  readonly #reader: RecordingReader;
  readonly #clock: Clock;
  readonly #originMs: number;
  /** The newest answers that are due, by what was asked. */
  readonly #due = new Map<string, Answers>();
  /** Enumerations of which a page was served and another is to follow. */
  readonly #begun = new Map<string, Answers>();
  readonly #seen = new Set<RecordedFunction>();
  #round: number | undefined;
  /** Read already, but not due; null at the end. */
  #next: RecordedCall | null | undefined;
  #reading: Promise<void> = Promise.resolve();
  readonly #open = new Set<Handle>();
  #nextHandle = FIRST_SERVER_HANDLE;

  constructor(reader: RecordingReader, clock: Clock) {
    this.#reader = reader;
    this.#clock = clock;
    this.#originMs = clock.monotonicMs();
    this.missing = reader.header.missing;
  }

  close(): void {
    this.#reader.close();
  }

  async serverConnect(): Promise<{ code: number; handle: Handle }> {
    const call = await this.#find('MprAdminServerConnect', {});
    if (call && call.code !== NO_ERROR) return { code: call.code, handle: 0n };
    const handle = this.#nextHandle;
    this.#nextHandle += 0x40n;
    this.#open.add(handle);
    this.ledger.opened++;
    return { code: NO_ERROR, handle };
  }

  serverDisconnect(handle: Handle): Promise<void> {
    if (this.#open.delete(handle)) this.ledger.closed++;
    else this.ledger.strayHandles++;
    return Promise.resolve();
  }

  async isServiceInitialized(): Promise<{ code: number; initialized: boolean }> {
    const fn = 'MprAdminIsServiceInitialized';
    const call = await this.#find(fn, {});
    return { code: call?.code ?? this.#lacking(fn), initialized: call?.initialized ?? false };
  }

  serverGetInfo(handle: Handle, level: number): Promise<InfoResult> {
    return this.#info(handle, 'MprAdminServerGetInfo', { level });
  }

  connectionEnumEx(
    handle: Handle,
    header: ObjectHeader,
    preferredLength: number,
    resumeHandle: number,
  ): Promise<EnumPage> {
    const { revision, type, size } = header;
    const args = { header: { revision, type, size }, preferredLength, resumeHandle };
    return this.#page(handle, 'MprAdminConnectionEnumEx', args);
  }

  connectionEnum(
    handle: Handle,
    level: number,
    preferredLength: number,
    resumeHandle: number,
  ): Promise<EnumPage> {
    return this.#page(handle, 'MprAdminConnectionEnum', { level, preferredLength, resumeHandle });
  }

  portEnum(
    handle: Handle,
    level: number,
    connection: Handle,
    preferredLength: number,
    resumeHandle: number,
  ): Promise<EnumPage> {
    const args = { level, connection: handleText(connection), preferredLength, resumeHandle };
    return this.#page(handle, 'MprAdminPortEnum', args);
  }

  interfaceEnum(
    handle: Handle,
    level: number,
    preferredLength: number,
    resumeHandle: number,
  ): Promise<EnumPage> {
    return this.#page(handle, 'MprAdminInterfaceEnum', { level, preferredLength, resumeHandle });
  }

  async interfaceGetHandle(
    handle: Handle,
    name: string,
    includeClientInterfaces: boolean,
  ): Promise<{ code: number; handle: Handle }> {
    const fn = 'MprAdminInterfaceGetHandle';
    if (!this.#isOpen(handle)) return { code: INVALID_BINDING, handle: 0n };
    const call = await this.#find(fn, { name, clients: includeClientInterfaces });
    if (!call) return { code: this.#lacking(fn), handle: 0n };
    return { code: call.code, handle: BigInt(`0x${call.handle ?? '0'}`) };
  }

  interfaceGetInfo(handle: Handle, interfaceHandle: Handle, level: number): Promise<InfoResult> {
    const args = { level, interface: handleText(interfaceHandle) };
    return this.#info(handle, 'MprAdminInterfaceGetInfo', args);
  }

  interfaceConnect = cannotAct;
  interfaceDisconnect = cannotAct;
  updateConnection = cannotAct;
  portDisconnect = cannotAct;

  errorString(): Promise<string | null> {
    return Promise.resolve(null);
  }

  async #info(handle: Handle, fn: RecordedFunction, args: CallArguments): Promise<InfoResult> {
    if (!this.#isOpen(handle)) return { code: INVALID_BINDING, buffer: null };
    const call = await this.#find(fn, args);
    if (!call) return { code: this.#lacking(fn), buffer: null };
    return { code: call.code, buffer: this.#bufferOf(call) };
  }

  async #page(handle: Handle, fn: RecordedFunction, args: CallArguments): Promise<EnumPage> {
    const none = { buffer: null, entriesRead: 0, totalEntries: 0, resumeHandle: 0 };
    if (!this.#isOpen(handle)) return { code: INVALID_BINDING, ...none };
    const call = await this.#find(fn, args);
    if (!call) return { code: this.#lacking(fn), ...none };
    const { code, entriesRead = 0, totalEntries = 0, resumeHandle = 0 } = call;
    return { code, buffer: this.#bufferOf(call), entriesRead, totalEntries, resumeHandle };
  }

  async #find(fn: RecordedFunction, args: CallArguments): Promise<RecordedCall | undefined> {
    const key = keyOf(fn, args);
    const { resumeHandle = 0 } = args;
    if (resumeHandle === 0) await (this.#reading = this.#reading.then(() => this.#readWhatIsDue()));
    const answers = resumeHandle === 0 ? this.#due.get(key) : this.#begun.get(key);
    const call = answers?.pages.get(resumeHandle);
    if (answers && call?.code === ERROR_MORE_DATA) this.#begun.set(key, answers);
    else this.#begun.delete(key);
    return call;
  }

  async #readWhatIsDue(): Promise<void> {
    const elapsedMs = this.#clock.monotonicMs() - this.#originMs;
    for (;;) {
      if (this.#next === undefined) this.#next = await this.#reader.next();
      const call = this.#next;
      if (call === null) return;
      if (call.round !== this.#round) {
        // The first poll serves until the second, whenever it began.
        if (this.#round !== undefined && call.t > elapsedMs) return;
        this.#round = call.round;
      }
      this.#take(call);
      this.#next = undefined;
    }
  }

  #take(call: RecordedCall): void {
    this.#seen.add(call.fn);
    const key = keyOf(call.fn, call.args);
    const { resumeHandle = 0 } = call.args;
    let answers = this.#due.get(key);
    // A call that was made again within a poll, as after a stale handle, is answered by its last answer.
    if (answers?.round !== call.round || resumeHandle === 0) {
      answers = { round: call.round, pages: new Map() };
      this.#due.set(key, answers);
    }
    answers.pages.set(resumeHandle, call);
  }

  #isOpen(handle: Handle): boolean {
    if (this.#open.has(handle)) return true;
    this.ledger.strayHandles++;
    return false;
  }

  /** A function that was never called might as well not be there; of one that was, this object is unknown. */
  #lacking(fn: RecordedFunction): number {
    return this.#seen.has(fn) ? NOT_FOUND : ERROR_PROC_NOT_FOUND;
  }

  #bufferOf(call: RecordedCall): NativeBuffer | null {
    const bytes = call.bytes ?? (call.unreadable ? Buffer.alloc(answerLength(call) ?? 0, SENSELESS) : null);
    if (!bytes) return null;
    this.ledger.allocations++;
    let freed = false;
    return {
      view: (length) => {
        if (freed) throw new Error('view of a buffer that was freed');
        if (length > bytes.length) throw new RangeError(`view of ${length} bytes of ${bytes.length}`);
        return bytes.subarray(0, length);
      },
      free: () => {
        if (freed) throw new Error('buffer freed twice');
        freed = true;
        this.ledger.frees++;
      },
    };
  }
}

/** What happened has happened. */
const cannotAct = (): Promise<CodeResult> => Promise.resolve({ code: NOT_SUPPORTED });

/** What was asked, whatever the length and the page. */
function keyOf(fn: RecordedFunction, args: CallArguments): string {
  const { level, header, connection, name, clients } = args;
  return JSON.stringify([
    fn,
    level,
    header && Object.values(header),
    connection,
    args.interface,
    name,
    clients,
  ]);
}
