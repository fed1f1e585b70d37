/**
 * The connections as records of RAS_CONNECTION_EX or RAS_CONNECTION_4, one row per slot. Texts are written when a
 * row's session changes, the remote address when the client moves, and only numbers on every reading.
 */
import { fieldOf, RAS_CONNECTION_4, RAS_CONNECTION_EX, RAS_CONNECTION_OBJECT } from '../layout.ts';
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
  readonly arena: Arena;
  readonly #context: FactsContext;
  readonly #stamp: Stamp;
  /** The session that each row was written for. */
  readonly #written: (Session | null)[];
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

  constructor(level: 'level4' | 'ex', rows: number, context: FactsContext, stamp: Stamp) {
    const struct = level === 'level4' ? RAS_CONNECTION_4 : RAS_CONNECTION_EX;
    this.arena = new Arena(struct, rows);
    this.#context = context;
    this.#stamp = stamp;
    this.#written = new Array<Session | null>(rows).fill(null);
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
  }

  /** Brings the rows of `live[from]` to `live[to - 1]` to `timeMs`. */
  refresh(
    current: readonly (Session | null)[],
    live: Uint32Array,
    from: number,
    to: number,
    timeMs: number,
  ): void {
    const { u32, stride } = this.arena;
    const at = this.#at;
    const reading = this.#reading;
    for (let i = from; i < to; i++) {
      const row = live[i]!;
      const session = current[row]!;
      if (this.#written[row] !== session) this.#begin(row, session);
      readCounters(session, timeMs, reading);
      const base = (row * stride) / 4;
      u32[base + at.dwConnectDuration] = (timeMs - session.startMs) / 1000;
      if (session.roamMs > 0 || session.moves.length > 0) this.#move(row, base, session, timeMs);
      this.#writeBytes(base + this.#bytesOut, reading.transmittedBytes);
      this.#writeBytes(base + this.#bytesIn, reading.receivedBytes);
      u32[base + at.dwFramesXmited] = reading.transmittedFrames;
      u32[base + at.dwFramesRcved] = reading.receivedFrames;
      u32[base + at.dwCrcErr + session.errorKind] = reading.errors;
    }
  }

  #writeBytes(word: number, bytes: number): void {
    // A typed array keeps the low 32 bits of what it is given.
    this.arena.u32[word] = bytes;
    if (this.#wide) this.arena.u32[word + 1] = bytes / TWO_TO_32;
  }

  #move(row: number, base: number, session: Session, timeMs: number): void {
    const { u32 } = this.arena;
    const { dwNumSwitchOvers, dwConnectionFlags } = this.#at;
    const { switchovers, dormant } = this.#reading;
    if (u32[base + dwNumSwitchOvers] !== switchovers) {
      u32[base + dwNumSwitchOvers] = switchovers;
      this.#writeEndpoints(row, session, timeMs);
    }
    const flags = u32[base + dwConnectionFlags]!;
    u32[base + dwConnectionFlags] = dormant ? flags | DORMANT : flags & ~DORMANT;
  }

  #writeEndpoints(row: number, session: Session, timeMs: number): void {
    const { remoteAddress, localAddress } = endpointsAt(this.#context, session, timeMs);
    this.arena.text(row, this.#texts.remote, remoteAddress);
    this.arena.text(row, this.#texts.local, localAddress);
  }

  /** Writes everything that stays while the session lives. */
  #begin(row: number, session: Session): void {
    const { arena } = this;
    const at = this.#at;
    const texts = this.#texts;
    const facts = describe(this.#context, session);
    const base = (row * arena.stride) / 4;
    arena.clear(row);
    this.#written[row] = session;
    const put = (word: number, value: number): void => {
      arena.u32[base + word] = value;
    };
    if (!this.#wide) {
      const { revision, type, size } = RAS_CONNECTION_OBJECT;
      put(0, revision | (type << 8) | (size << 16));
    }
    arena.text(row, texts.interfaceName, facts.interfaceName);
    arena.text(row, texts.user, facts.user);
    arena.text(row, texts.domain, facts.domain);
    arena.text(row, texts.computer, facts.computer);
    this.#writeEndpoints(row, session, session.startMs);
    arena.text(row, texts.serverAddress, facts.serverAddress);
    arena.text(row, texts.tunnelAddress, facts.tunnelAddress);
    put(at.dwInterfaceType, facts.interfaceType);
    put(at.dwConnectionFlags, facts.flags);
    facts.guid.forEach((word, i) => put(at.guid + i, word));
    put(at.rasQuarState, facts.quarantine);
    if (facts.quarantine === QUARANTINE.probation) {
      this.#writeTime(base + at.probationTime, this.#stamp(session.startMs + PROBATION_MS));
    }
    put(at.dwCompressionRatioIn, facts.compressionIn);
    put(at.dwCompressionRatioOut, facts.compressionOut);
    put(at.hConnection, session.handle);
    put(at.hInterface, session.interfaceHandle);
    const isIkev2 = facts.protocol.kind === 'ikev2';
    arena.u8[row * arena.stride + this.#projectionType] = isIkev2 ? IKEV2 : PPP;
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
      this.#writeTime(base + this.#level4.start, this.#stamp(session.startMs));
    }
  }

  #writeTime(word: number, ticks: bigint): void {
    this.arena.u32[word] = Number(ticks & 0xffff_ffffn);
    this.arena.u32[word + 1] = Number(ticks >> 32n);
  }
}
