/**
 * An RrasApi that writes down what another one answers, scrubbed, before it hands the answer on. It changes nothing of
 * an answer, and writes nothing of one that it cannot read, as it could not scrub that either.
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
import { ERROR_MORE_DATA, NO_ERROR } from './codes.ts';
import { BadLayout, checkRecords } from './decode.ts';
import type { Struct } from './layout.ts';
import type { CallArguments, CallRecord, RecordedFunction, RecordingWriter } from './recording.ts';
import { answerLength, answerOf } from './recording.ts';
import type { Scrubber } from './scrub.ts';

export interface RecorderOptions {
  readonly api: RrasApi;
  readonly writer: RecordingWriter;
  readonly scrubber: Scrubber;
  readonly clock: Clock;
}

type Answer = Partial<
  Pick<CallRecord, 'entriesRead' | 'totalEntries' | 'resumeHandle' | 'handle' | 'initialized'>
>;

/** Records are copied, scrubbed and written so many at a time; 3 divides it, as base64 wants. */
const RECORDS_PER_PIECE = 96;

/** It does not pass notifications on: there is no answer in them. */
export class Recorder implements RrasApi {
  readonly missing: readonly NativeFunction[];
  readonly #api: RrasApi;
  readonly #writer: RecordingWriter;
  readonly #scrubber: Scrubber;
  readonly #clock: Clock;
  readonly #startedMs: number;
  #rounds = 0;
  #calls = 0;
  #unreadable = 0;

  /** The recording begins now. */
  constructor(options: RecorderOptions) {
    this.#api = options.api;
    this.#writer = options.writer;
    this.#scrubber = options.scrubber;
    this.#clock = options.clock;
    this.#startedMs = options.clock.monotonicMs();
    this.missing = options.api.missing;
  }

  /** The calls from here on are one poll. */
  beginRound(): void {
    this.#rounds += 1;
  }

  get rounds(): number {
    return this.#rounds;
  }

  get calls(): number {
    return this.#calls;
  }

  /** Answers that were left out because their records made no sense. */
  get unreadable(): number {
    return this.#unreadable;
  }

  serverConnect(server: string | null): Promise<{ code: number; handle: Handle }> {
    // The handle is an address in this process and serves nobody else.
    return this.#record('MprAdminServerConnect', {}, () => this.#api.serverConnect(server));
  }

  async serverDisconnect(handle: Handle): Promise<void> {
    await this.#record('MprAdminServerDisconnect', {}, async () => {
      await this.#api.serverDisconnect(handle);
      return { code: NO_ERROR };
    });
  }

  isServiceInitialized(server: string | null): Promise<{ code: number; initialized: boolean }> {
    const call = () => this.#api.isServiceInitialized(server);
    return this.#record('MprAdminIsServiceInitialized', {}, call, ({ initialized }) => ({ initialized }));
  }

  serverGetInfo(handle: Handle, level: number): Promise<InfoResult> {
    return this.#record('MprAdminServerGetInfo', { level }, () => this.#api.serverGetInfo(handle, level));
  }

  connectionEnumEx(
    handle: Handle,
    header: ObjectHeader,
    preferredLength: number,
    resumeHandle: number,
  ): Promise<EnumPage> {
    const { revision, type, size } = header;
    const args = { header: { revision, type, size }, preferredLength, resumeHandle };
    const call = () => this.#api.connectionEnumEx(handle, header, preferredLength, resumeHandle);
    return this.#record('MprAdminConnectionEnumEx', args, call, ofPage);
  }

  connectionEnum(
    handle: Handle,
    level: number,
    preferredLength: number,
    resumeHandle: number,
  ): Promise<EnumPage> {
    const call = () => this.#api.connectionEnum(handle, level, preferredLength, resumeHandle);
    return this.#record('MprAdminConnectionEnum', { level, preferredLength, resumeHandle }, call, ofPage);
  }

  portEnum(
    handle: Handle,
    level: number,
    connection: Handle,
    preferredLength: number,
    resumeHandle: number,
  ): Promise<EnumPage> {
    const args = { level, connection: handleText(connection), preferredLength, resumeHandle };
    const call = () => this.#api.portEnum(handle, level, connection, preferredLength, resumeHandle);
    return this.#record('MprAdminPortEnum', args, call, ofPage);
  }

  interfaceEnum(
    handle: Handle,
    level: number,
    preferredLength: number,
    resumeHandle: number,
  ): Promise<EnumPage> {
    const call = () => this.#api.interfaceEnum(handle, level, preferredLength, resumeHandle);
    return this.#record('MprAdminInterfaceEnum', { level, preferredLength, resumeHandle }, call, ofPage);
  }

  interfaceGetHandle(
    handle: Handle,
    name: string,
    includeClientInterfaces: boolean,
  ): Promise<{ code: number; handle: Handle }> {
    // Among client interfaces the name is a user's.
    const shown = includeClientInterfaces ? this.#scrubber.name(name) : name;
    return this.#record(
      'MprAdminInterfaceGetHandle',
      { name: shown, clients: includeClientInterfaces },
      () => this.#api.interfaceGetHandle(handle, name, includeClientInterfaces),
      (answer) => ({ handle: handleText(answer.handle) }),
    );
  }

  interfaceGetInfo(handle: Handle, interfaceHandle: Handle, level: number): Promise<InfoResult> {
    const args = { level, interface: handleText(interfaceHandle) };
    const call = () => this.#api.interfaceGetInfo(handle, interfaceHandle, level);
    return this.#record('MprAdminInterfaceGetInfo', args, call);
  }

  /** Actions are passed on and not recorded: a recording is of what was read. */
  interfaceConnect(handle: Handle, interfaceHandle: Handle): Promise<CodeResult> {
    return this.#api.interfaceConnect(handle, interfaceHandle);
  }

  interfaceDisconnect(handle: Handle, interfaceHandle: Handle): Promise<CodeResult> {
    return this.#api.interfaceDisconnect(handle, interfaceHandle);
  }

  updateConnection(handle: Handle, connection: Handle, update: Uint8Array): Promise<CodeResult> {
    return this.#api.updateConnection(handle, connection, update);
  }

  portDisconnect(handle: Handle, port: Handle): Promise<CodeResult> {
    return this.#api.portDisconnect(handle, port);
  }

  /** A text for people, and the same on every server: not recorded. */
  errorString(code: number): Promise<string | null> {
    return this.#api.errorString(code);
  }

  async #record<R extends { readonly code: number; readonly buffer?: NativeBuffer | null }>(
    fn: RecordedFunction,
    args: CallArguments,
    call: () => Promise<R>,
    answer: (result: R) => Answer = () => ({}),
  ): Promise<R> {
    const calledMs = this.#clock.monotonicMs();
    const result = await call();
    const { code, buffer } = result;
    const record: CallRecord = {
      t: milliseconds(calledMs - this.#startedMs),
      ms: milliseconds(this.#clock.monotonicMs() - calledMs),
      round: Math.max(0, this.#rounds - 1),
      fn,
      args,
      code,
      ...answer(result),
    };
    this.#calls += 1;
    const filled = buffer && (code === NO_ERROR || code === ERROR_MORE_DATA) && record.entriesRead !== 0;
    try {
      if (filled) await this.#write(record, buffer);
      else await this.#writer.call(record, null);
    } catch (error) {
      // Nobody gets the answer who could free it.
      buffer?.free();
      throw error;
    }
    return result;
  }

  async #write(record: CallRecord, buffer: NativeBuffer): Promise<void> {
    const struct = answerOf(record.fn, record.args.level);
    const length = answerLength(record);
    if (struct && length !== null) {
      const view = buffer.view(length);
      const bytes = Buffer.from(view.buffer, view.byteOffset, view.byteLength);
      if (mayBe(struct, bytes, this.#clock.wallSeconds())) {
        await this.#writer.call(record, this.#scrubbed(struct, bytes));
        return;
      }
    }
    this.#unreadable += 1;
    await this.#writer.call({ ...record, unreadable: true }, null);
  }

  *#scrubbed(struct: Struct, bytes: Buffer): Generator<Buffer> {
    const step = RECORDS_PER_PIECE * struct.size;
    for (let at = 0; at < bytes.length; at += step) {
      const piece = Buffer.from(bytes.subarray(at, at + step));
      this.#scrubber.scrub(struct, piece);
      yield piece;
    }
  }
}

function mayBe(struct: Struct, bytes: Buffer, nowSeconds: number): boolean {
  try {
    checkRecords(struct, bytes, nowSeconds);
    return true;
  } catch (error) {
    if (error instanceof BadLayout) return false;
    throw error;
  }
}

const ofPage = ({ entriesRead, totalEntries, resumeHandle }: EnumPage): Answer => ({
  entriesRead,
  totalEntries,
  resumeHandle,
});

/** 16 hexadecimal digits. */
export const handleText = (handle: Handle): string => handle.toString(16).padStart(16, '0');

/** To the microsecond: more digits would be noise. */
const milliseconds = (ms: number): number => Math.round(Math.max(0, ms) * 1000) / 1000;
