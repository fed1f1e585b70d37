/**
 * The connections as records of RAS_CONNECTION_EX or RAS_CONNECTION_4. What stays while a session lives is drawn once
 * and kept, a fifth of a record; the addresses are drawn again when the client moves, and numbers on every reading.
 */
import type { RecordShape } from '../kept-records.ts';
import { KeptRecords } from '../kept-records.ts';
import {
  type Field,
  fieldOf,
  RAS_CONNECTION_4,
  RAS_CONNECTION_EX,
  RAS_CONNECTION_OBJECT,
  type Struct,
} from '../layout.ts';
import { Arena, words } from './arena.ts';
import { describe, DORMANT, endpointsAt, type FactsContext, QUARANTINE } from './facts.ts';
import { emptyReading, readCounters, type Session } from './session.ts';

/** FILETIME ticks of a moment of simulated time, as the system clock would have stamped it. */
export type Stamp = (timeMs: number) => bigint;

const PROBATION_MS = 3_600_000;
const PPP = 1;
const IKEV2 = 2;
const TWO_TO_32 = 0x1_0000_0000;

/** Columns that both structures have; byte counts are 32 or 64 bits wide. */
const COMMON = [
  'dwConnectDuration',
  'dwInterfaceType',
  'dwConnectionFlags',
  'guid',
  'rasQuarState',
  'probationTime',
  'dwFramesXmited',
  'dwFramesRcved',
  'dwCrcErr',
  'dwCompressionRatioIn',
  'dwCompressionRatioOut',
  'dwNumSwitchOvers',
  'hConnection',
  'hInterface',
] as const;
/** Written on every reading, or never. */
const NUMBERS: ReadonlySet<string> = new Set([
  'dwConnectDuration',
  'ullBytesXmited',
  'ullBytesRcved',
  'dwBytesXmited',
  'dwBytesRcved',
  'dwFramesXmited',
  'dwFramesRcved',
  'dwCrcErr',
  'dwTimeoutErr',
  'dwAlignmentErr',
  'dwHardwareOverrunErr',
  'dwFramingErr',
  'dwBufferOverrunErr',
  'dwNumSwitchOvers',
]);
const V6_WORDS = ['bInterfaceIdentifier', 'bRemoteInterfaceIdentifier', 'bPrefix', 'dwPrefixLength'] as const;
const PPP_WORDS = [
  ...V6_WORDS,
  'dwAuthenticationProtocol',
  'dwAuthenticationData',
  'dwRemoteAuthenticationProtocol',
  'dwRemoteAuthenticationData',
  'dwLcpOptions',
  'dwLcpRemoteOptions',
  'dwEapTypeId',
  'dwCompressionAlgorithm',
  'dwCcpOptions',
  'dwRemoteCompressionAlgorithm',
  'dwCcpRemoteOptions',
] as const;
const IKEV2_WORDS = [...V6_WORDS, 'dwAuthenticationProtocol', 'dwEapTypeId', 'dwEncryptionMethod'] as const;
const PPP_UNION = 'ProjectionInfo.Anonymous.PppProjectionInfo.';
const IKEV2_UNION = 'ProjectionInfo.Anonymous.Ikev2ProjectionInfo.';

export class ConnectionRows {
  readonly struct: Struct;
  readonly #context: FactsContext;
  readonly #stamp: Stamp;
  /** Of each slot: the session that its record is kept of, and the switch-overs that its addresses go with. */
  readonly #kept: KeptRecords;
  readonly #keptOf: (Session | null)[];
  readonly #switchovers: Uint32Array;
  /** One record, in which those that are kept are made. */
  readonly #draft: Arena;
  readonly #wide: boolean;
  readonly #reading = emptyReading();

  readonly #at: Readonly<Record<(typeof COMMON)[number], number>>;
  readonly #ppp: Readonly<Record<(typeof PPP_WORDS)[number], number>>;
  readonly #ikev2: Readonly<Record<(typeof IKEV2_WORDS)[number], number>>;
  /** Inner EAP type of both variants, device type and start: level 4 only. */
  readonly #level4: { ppp: number; ikev2: number; start: number; device: number } | null;
  readonly #bytesOut: number;
  readonly #bytesIn: number;
  readonly #projectionType: number;
  readonly #texts;

  constructor(level: 'level4' | 'ex', slots: number, context: FactsContext, stamp: Stamp) {
    const struct = level === 'level4' ? RAS_CONNECTION_4 : RAS_CONNECTION_EX;
    this.struct = struct;
    this.#draft = new Arena(struct);
    this.#context = context;
    this.#stamp = stamp;
    this.#keptOf = new Array<Session | null>(slots).fill(null);
    this.#switchovers = new Uint32Array(slots);
    this.#wide = level === 'level4';
    this.#at = words(struct, '', COMMON);
    this.#ppp = words(struct, PPP_UNION, PPP_WORDS);
    this.#ikev2 = words(struct, IKEV2_UNION, IKEV2_WORDS);
    const one = (path: string): number => fieldOf(struct, path).offset / 4;
    this.#level4 = this.#wide
      ? {
          ppp: one(`${PPP_UNION}dwEmbeddedEAPTypeId`),
          ikev2: one(`${IKEV2_UNION}dwEmbeddedEAPTypeId`),
          start: one('connectionStartTime'),
          device: one('dwDeviceType'),
        }
      : null;
    this.#bytesOut = one(this.#wide ? 'ullBytesXmited' : 'dwBytesXmited');
    this.#bytesIn = one(this.#wide ? 'ullBytesRcved' : 'dwBytesRcved');
    this.#projectionType = fieldOf(struct, 'ProjectionInfo.projectionInfoType').offset;
    this.#texts = {
      interfaceName: fieldOf(struct, 'wszInterfaceName'),
      user: fieldOf(struct, 'wszUserName'),
      domain: fieldOf(struct, 'wszLogonDomain'),
      computer: fieldOf(struct, 'wszRemoteComputer'),
      remote: fieldOf(struct, 'wszRemoteEndpointAddress'),
      local: fieldOf(struct, 'wszLocalEndpointAddress'),
      // The texts stand at the same place in both variants of the union.
      serverAddress: fieldOf(struct, `${PPP_UNION}wszAddress`),
      tunnelAddress: fieldOf(struct, `${PPP_UNION}wszRemoteAddress`),
    };
    this.#kept = new KeptRecords(
      [0, KIND.ikev2, KIND.v6, KIND.ikev2 | KIND.v6].map((kind) =>
        keptShape(struct, kind, Object.values(this.#texts)),
      ),
    );
  }

  /** Writes the sessions of `live[from]` to `live[to - 1]` as they are at `timeMs`. */
  write(
    records: Arena,
    current: readonly (Session | null)[],
    live: Uint32Array,
    from: number,
    to: number,
    timeMs: number,
  ): void {
    const { u8, u16, u32, stride } = records;
    const at = this.#at;
    const reading = this.#reading;
    for (let i = from; i < to; i++) {
      const slot = live[i]!;
      const session = current[slot]!;
      readCounters(session, timeMs, reading);
      if (this.#keptOf[slot] !== session) this.#begin(slot, session);
      if (this.#switchovers[slot] !== reading.switchovers) this.#move(slot, session, timeMs);
      const start = (i - from) * stride;
      u8.fill(0, start, start + stride);
      this.#kept.restore(slot, u16, start / 2);
      const base = start / 4;
      u32[base + at.dwConnectDuration] = (timeMs - session.startMs) / 1000;
      if (reading.dormant) u32[base + at.dwConnectionFlags]! |= DORMANT;
      u32[base + at.dwNumSwitchOvers] = reading.switchovers;
      this.#writeBytes(u32, base + this.#bytesOut, reading.transmittedBytes);
      this.#writeBytes(u32, base + this.#bytesIn, reading.receivedBytes);
      u32[base + at.dwFramesXmited] = reading.transmittedFrames;
      u32[base + at.dwFramesRcved] = reading.receivedFrames;
      u32[base + at.dwCrcErr + session.errorKind] = reading.errors;
    }
  }

  #writeBytes(u32: Uint32Array, word: number, bytes: number): void {
    // A typed array keeps the low 32 bits of what it is given.
    u32[word] = bytes;
    if (this.#wide) u32[word + 1] = bytes / TWO_TO_32;
  }

  #move(slot: number, session: Session, timeMs: number): void {
    const draft = this.#draft;
    draft.clear(0);
    const kind = this.#kept.restore(slot, draft.u16, 0);
    this.#writeEndpoints(session, timeMs);
    this.#kept.keep(slot, kind, draft.u16, 0);
    this.#switchovers[slot] = this.#reading.switchovers;
  }

  #writeEndpoints(session: Session, timeMs: number): void {
    const { remoteAddress, localAddress } = endpointsAt(this.#context, session, timeMs);
    this.#draft.text(0, this.#texts.remote, remoteAddress);
    this.#draft.text(0, this.#texts.local, localAddress);
  }

  /** Keeps everything that stays while the session lives. */
  #begin(slot: number, session: Session): void {
    const draft = this.#draft;
    const at = this.#at;
    const texts = this.#texts;
    const facts = describe(this.#context, session);
    draft.clear(0);
    const put = (word: number, value: number): void => {
      draft.u32[word] = value;
    };
    if (!this.#wide) {
      const { revision, type, size } = RAS_CONNECTION_OBJECT;
      put(0, revision | (type << 8) | (size << 16));
    }
    draft.text(0, texts.interfaceName, facts.interfaceName);
    draft.text(0, texts.user, facts.user);
    draft.text(0, texts.domain, facts.domain);
    draft.text(0, texts.computer, facts.computer);
    this.#writeEndpoints(session, session.startMs);
    draft.text(0, texts.serverAddress, facts.serverAddress);
    draft.text(0, texts.tunnelAddress, facts.tunnelAddress);
    put(at.dwInterfaceType, facts.interfaceType);
    put(at.dwConnectionFlags, facts.flags);
    facts.guid.forEach((word, i) => put(at.guid + i, word));
    put(at.rasQuarState, facts.quarantine);
    if (facts.quarantine === QUARANTINE.probation) {
      this.#writeTime(at.probationTime, this.#stamp(session.startMs + PROBATION_MS));
    }
    put(at.dwCompressionRatioIn, facts.compressionIn);
    put(at.dwCompressionRatioOut, facts.compressionOut);
    put(at.hConnection, session.handle);
    put(at.hInterface, session.interfaceHandle);
    const isIkev2 = facts.protocol.kind === 'ikev2';
    draft.u8[this.#projectionType] = isIkev2 ? IKEV2 : PPP;
    const projection = isIkev2 ? this.#ikev2 : this.#ppp;
    if (facts.v6) {
      facts.v6.server.forEach((word, i) => put(projection.bInterfaceIdentifier + i, word));
      facts.v6.client.forEach((word, i) => put(projection.bRemoteInterfaceIdentifier + i, word));
      facts.v6.prefix.forEach((word, i) => put(projection.bPrefix + i, word));
      put(projection.dwPrefixLength, 64);
    }
    put(projection.dwEapTypeId, facts.eapType);
    if (facts.protocol.kind === 'ikev2') {
      put(projection.dwAuthenticationProtocol, facts.protocol.authentication);
      put(this.#ikev2.dwEncryptionMethod, facts.protocol.cipher);
    } else {
      const { authentication, authenticationData, remoteOnly } = facts.protocol;
      put(this.#ppp.dwAuthenticationProtocol, remoteOnly ? 0 : authentication);
      put(this.#ppp.dwAuthenticationData, remoteOnly ? 0 : authenticationData);
      put(this.#ppp.dwRemoteAuthenticationProtocol, authentication);
      put(this.#ppp.dwRemoteAuthenticationData, authenticationData);
      put(this.#ppp.dwLcpOptions, facts.protocol.lcpOptions);
      put(this.#ppp.dwLcpRemoteOptions, facts.protocol.lcpOptions);
      put(this.#ppp.dwCompressionAlgorithm, facts.protocol.compression);
      put(this.#ppp.dwCcpOptions, facts.protocol.ccpOptions);
      put(this.#ppp.dwRemoteCompressionAlgorithm, facts.protocol.compression);
      put(this.#ppp.dwCcpRemoteOptions, facts.protocol.ccpOptions);
    }
    if (this.#level4) {
      put(isIkev2 ? this.#level4.ikev2 : this.#level4.ppp, facts.innerEapType);
      put(this.#level4.device, facts.deviceType);
      this.#writeTime(this.#level4.start, this.#stamp(session.startMs));
    }
    this.#kept.keep(slot, (isIkev2 ? KIND.ikev2 : 0) | (facts.v6 ? KIND.v6 : 0), draft.u16, 0);
    this.#keptOf[slot] = session;
    this.#switchovers[slot] = 0;
  }

  #writeTime(word: number, ticks: bigint): void {
    this.#draft.u32[word] = Number(ticks & 0xffff_ffffn);
    this.#draft.u32[word + 1] = Number(ticks >> 32n);
  }
}

/** Kinds of records that are kept: one of two, and one of two. */
const KIND = { ikev2: 1, v6: 2 } as const;

/** Everything but the counters and what no session of the kind has. */
function keptShape(struct: Struct, kind: number, texts: readonly Field[]): RecordShape {
  const paths = Object.entries(struct.fields).flatMap(([path, { type }]) =>
    type === 'wstr' || path.startsWith('ProjectionInfo.Anonymous') || NUMBERS.has(path) ? [] : [path],
  );
  const ikev2 = (kind & KIND.ikev2) !== 0;
  const v6: readonly string[] = V6_WORDS;
  const members = [...(ikev2 ? IKEV2_WORDS : PPP_WORDS), 'dwEmbeddedEAPTypeId'].filter(
    (name) => (kind & KIND.v6) !== 0 || !v6.includes(name),
  );
  const union = members.map((name) => `${ikev2 ? IKEV2_UNION : PPP_UNION}${name}`);
  const units = new Set<number>();
  for (const { offset, size } of [...paths, ...union].flatMap((path) => struct.fields[path] ?? [])) {
    for (let at = offset; at < offset + size; at += 2) units.add(Math.floor(at / 2));
  }
  return {
    units: Uint16Array.from(units),
    texts: Uint16Array.from(texts.flatMap(({ offset, size }) => [offset / 2, size / 2])),
  };
}
