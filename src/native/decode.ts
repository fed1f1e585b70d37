/**
 * Reads pages of native records into frames. Pure over bytes: no call, no clock, nothing kept of a page after it
 * returns. A connection's texts are decoded only when the bytes they stand in have changed.
 */
import type { InterfaceNow } from '../model/actions.ts';
import type {
  ConnectionColumns,
  ConnectionIdentity,
  ConnectionsFrame,
  PortsFrame,
  ServerFrame,
} from '../model/frames.ts';
import { NO_SLOT } from '../model/frames.ts';
import type { Handle } from '../model/rras-api.ts';
import { INTERFACE_STATES, INTERFACE_TYPES, TUNNELS } from '../model/words.ts';
import type { Tunnel } from '../model/words.ts';
import {
  deviceTunnel,
  filetimeSeconds,
  ikev2Auth,
  ikev2Encryption,
  ipv6Address,
  portTunnel,
  pppAuth,
  pppCompression,
  pppEncryption,
  readHex64,
  readHexOrEmpty,
  readWide,
} from './fields.ts';
import type { RecordShape } from './kept-records.ts';
import { KeptRecords } from './kept-records.ts';
import type { Field, Struct } from './layout.ts';
import {
  fieldOf,
  MPR_INTERFACE_0,
  MPR_INTERFACE_2,
  MPR_SERVER_0,
  offsetOf,
  RAS_CONNECTION_4,
  RAS_CONNECTION_EX,
  RAS_PORT_0,
} from './layout.ts';

/** The bytes are not what the structure promises: nothing of the answer is to be used. */
export class BadLayout extends Error {
  override readonly name = 'BadLayout';
}

type Key = number | bigint;
const TWO_32 = 4_294_967_296;
/** Ids are 32-bit values in practice; a wider one keeps all its bits. */
const handleKey = (low: number, high: number): Key =>
  high === 0 ? low : (BigInt(high) << 32n) | BigInt(low);

interface Views {
  readonly buffer: Buffer;
  readonly words: Uint32Array;
  /** 16 bits each. */
  readonly units: Uint16Array;
}

function requireLength(bytes: Uint8Array, struct: Struct, entries: number): void {
  if (bytes.length < entries * struct.size) {
    throw new BadLayout(`${entries} records of ${struct.name} were announced in ${bytes.length} bytes`);
  }
}

/** Views over `entries` records; they must be 4-aligned, which native pages and every stride here are. */
function views(bytes: Uint8Array, struct: Struct, entries = 1): Views {
  requireLength(bytes, struct, entries);
  const { buffer, byteOffset, byteLength } = bytes.byteOffset % 4 === 0 ? bytes : Uint8Array.from(bytes);
  return {
    buffer: Buffer.from(buffer, byteOffset, byteLength),
    words: new Uint32Array(buffer, byteOffset, byteLength >>> 2),
    units: new Uint16Array(buffer, byteOffset, byteLength >>> 1),
  };
}

const memoryFor = (struct: Struct, entries: number): Views =>
  views(new Uint8Array(struct.size * entries), struct, entries);

/** Places in one connection structure, looked up once. */
interface ConnectionPlan {
  readonly api: 'level4' | 'ex';
  readonly struct: Struct;
  readonly words: number;
  readonly columns: readonly WordColumn[];
  /** Word of each of `columns`. */
  readonly columnWords: readonly number[];
  /** Words of the byte counters; `high` only where they have 64 bits. */
  readonly receivedBytes: number;
  readonly transmittedBytes: number;
  readonly wide: boolean;
  readonly hConnection: number;
  /** Byte that tells the kind of projection. */
  readonly projection: number;
  readonly identity: IdentityPlan;
  /** Everything that an identity is made of besides hConnection, by kind of projection. */
  readonly shapes: readonly RecordShape[];
}

type WordColumn = Exclude<keyof ConnectionColumns, 'slot' | 'receivedBytes' | 'transmittedBytes'>;
const WORD_COLUMNS: Readonly<Record<WordColumn, string>> = {
  duration: 'dwConnectDuration',
  flags: 'dwConnectionFlags',
  quarantine: 'rasQuarState',
  receivedFrames: 'dwFramesRcved',
  transmittedFrames: 'dwFramesXmited',
  crc: 'dwCrcErr',
  timeout: 'dwTimeoutErr',
  alignment: 'dwAlignmentErr',
  hardware_overrun: 'dwHardwareOverrunErr',
  framing: 'dwFramingErr',
  buffer_overrun: 'dwBufferOverrunErr',
  compressionIn: 'dwCompressionRatioIn',
  compressionOut: 'dwCompressionRatioOut',
  switchovers: 'dwNumSwitchOvers',
};

/** Byte offsets of what both projections have, and of what one of them has. */
interface ProjectionPlan {
  readonly tunnelAddress: Field;
  readonly v6Error: number;
  readonly v6Prefix: number;
  readonly v6Identifier: number;
  readonly authentication: number;
  readonly eapType: number;
  /** Of level 4 only. */
  readonly innerEapType: number | undefined;
}

/** Byte offsets of what an identity is made of; texts as fields. */
interface IdentityPlan {
  readonly handle: number;
  readonly guid: number;
  readonly interfaceType: number;
  /** Of level 4 only. */
  readonly start: number | undefined;
  readonly device: number | undefined;
  readonly user: Field;
  readonly domain: Field;
  readonly computer: Field;
  readonly interfaceName: Field;
  readonly remoteAddress: Field;
  readonly localAddress: Field;
  readonly ppp: ProjectionPlan & {
    readonly authenticationData: number;
    readonly remoteAuthentication: number;
    readonly remoteAuthenticationData: number;
    readonly lcpOptions: number;
    readonly compression: number;
    readonly ccpOptions: number;
  };
  readonly ikev2: ProjectionPlan & { readonly cipher: number };
}

/** Kinds of projection as projectionInfoType has them; all that is not known is of kind 0. */
const PPP = 1;
const IKEV2 = 2;

function identityPlan(struct: Struct, wide: boolean): IdentityPlan {
  const at = (path: string): number => offsetOf(struct, path);
  const projection = (member: string): ProjectionPlan => ({
    tunnelAddress: fieldOf(struct, `${member}.wszRemoteAddress`),
    v6Error: at(`${member}.dwIPv6NegotiationError`),
    v6Prefix: at(`${member}.bPrefix`),
    v6Identifier: at(`${member}.bRemoteInterfaceIdentifier`),
    authentication: at(`${member}.dwAuthenticationProtocol`),
    eapType: at(`${member}.dwEapTypeId`),
    innerEapType: wide ? at(`${member}.dwEmbeddedEAPTypeId`) : undefined,
  });
  const ppp = 'ProjectionInfo.Anonymous.PppProjectionInfo';
  const ikev2 = 'ProjectionInfo.Anonymous.Ikev2ProjectionInfo';
  return {
    handle: at('hConnection'),
    guid: at('guid'),
    interfaceType: at('dwInterfaceType'),
    start: wide ? at('connectionStartTime') : undefined,
    device: wide ? at('dwDeviceType') : undefined,
    user: fieldOf(struct, 'wszUserName'),
    domain: fieldOf(struct, 'wszLogonDomain'),
    computer: fieldOf(struct, 'wszRemoteComputer'),
    interfaceName: fieldOf(struct, 'wszInterfaceName'),
    remoteAddress: fieldOf(struct, 'wszRemoteEndpointAddress'),
    localAddress: fieldOf(struct, 'wszLocalEndpointAddress'),
    ppp: {
      ...projection(ppp),
      authenticationData: at(`${ppp}.dwAuthenticationData`),
      remoteAuthentication: at(`${ppp}.dwRemoteAuthenticationProtocol`),
      remoteAuthenticationData: at(`${ppp}.dwRemoteAuthenticationData`),
      lcpOptions: at(`${ppp}.dwLcpOptions`),
      compression: at(`${ppp}.dwCompressionAlgorithm`),
      ccpOptions: at(`${ppp}.dwCcpOptions`),
    },
    ikev2: { ...projection(ikev2), cipher: at(`${ikev2}.dwEncryptionMethod`) },
  };
}

/** Shapes by kind, made of every place that decodeIdentity reads. */
function shapesOf(plan: IdentityPlan): RecordShape[] {
  const { interfaceType, guid, start, device, ppp, ikev2 } = plan;
  const bytes = (from: number | undefined, length: number): number[] =>
    from === undefined ? [] : Array.from({ length: length / 2 }, (_, unit) => from / 2 + unit);
  const words = (...from: readonly (number | undefined)[]): number[] =>
    from.flatMap((each) => bytes(each, 4));
  const common = [
    ...words(interfaceType),
    ...bytes(guid, 16),
    ...bytes(start, 8),
    // The class bits above tell nothing.
    ...bytes(device, 2),
  ];
  const projected = (each: ProjectionPlan): number[] => [
    ...words(each.v6Error, each.authentication, each.eapType, each.innerEapType),
    ...bytes(each.v6Prefix, 8),
    ...bytes(each.v6Identifier, 8),
  ];
  const texts = [
    plan.interfaceName,
    plan.user,
    plan.domain,
    plan.computer,
    plan.remoteAddress,
    plan.localAddress,
  ];
  const shape = (units: readonly number[], more: readonly Field[]): RecordShape => ({
    units: Uint16Array.from([...common, ...units]),
    texts: Uint16Array.from([...texts, ...more].flatMap(({ offset, size }) => [offset / 2, size / 2])),
  });
  const pppOnly = words(
    ppp.authenticationData,
    ppp.remoteAuthentication,
    ppp.remoteAuthenticationData,
    ppp.lcpOptions,
    ppp.compression,
    ppp.ccpOptions,
  );
  const shapes: RecordShape[] = [shape([], [])];
  shapes[PPP] = shape([...projected(ppp), ...pppOnly], [ppp.tunnelAddress]);
  shapes[IKEV2] = shape([...projected(ikev2), ...words(ikev2.cipher)], [ikev2.tunnelAddress]);
  return shapes;
}

function planFor(struct: Struct, api: 'level4' | 'ex'): ConnectionPlan {
  const word = (path: string): number => offsetOf(struct, path) / 4;
  const wide = api === 'level4';
  const identity = identityPlan(struct, wide);
  return {
    api,
    struct,
    words: struct.size / 4,
    columns: Object.keys(WORD_COLUMNS) as WordColumn[],
    columnWords: Object.values(WORD_COLUMNS).map(word),
    receivedBytes: word(wide ? 'ullBytesRcved' : 'dwBytesRcved'),
    transmittedBytes: word(wide ? 'ullBytesXmited' : 'dwBytesXmited'),
    wide,
    hConnection: word('hConnection'),
    projection: offsetOf(struct, 'ProjectionInfo.projectionInfoType'),
    identity,
    shapes: shapesOf(identity),
  };
}

const PLANS = {
  level4: planFor(RAS_CONNECTION_4, 'level4'),
  ex: planFor(RAS_CONNECTION_EX, 'ex'),
} as const;

type MutableColumns = { -readonly [K in keyof ConnectionColumns]: ConnectionColumns[K] };

function allocateColumns(capacity: number): MutableColumns {
  const u32 = (): Uint32Array => new Uint32Array(capacity);
  return {
    slot: u32(),
    duration: u32(),
    flags: u32(),
    quarantine: u32(),
    receivedBytes: new Float64Array(capacity),
    transmittedBytes: new Float64Array(capacity),
    receivedFrames: u32(),
    transmittedFrames: u32(),
    crc: u32(),
    timeout: u32(),
    alignment: u32(),
    hardware_overrun: u32(),
    framing: u32(),
    buffer_overrun: u32(),
    compressionIn: u32(),
    compressionOut: u32(),
    switchovers: u32(),
  };
}

type Column = Uint32Array | Float64Array;

function mapColumns(columns: ConnectionColumns, change: (column: Column) => Column): ConnectionColumns {
  const changed = Object.entries(columns).map(([name, column]) => [name, change(column as Column)]);
  return Object.fromEntries(changed) as ConnectionColumns;
}

const FEWEST_ROWS = 64;
/**
 * Records are copied from the page so many at a time: one run over the memory costs 8 ms at 50,000 connections, and
 * reading scattered fields where they stand 30 ms more than reading them in a copy (measured).
 */
const RECORDS_AT_ONCE = 16;

/**
 * Reads connection pages of one API level, keeping of each live connection its slot and what its identity is made of.
 * `nowSeconds` is the wall clock that level 4's start times are checked against.
 */
export class ConnectionDecoder {
  readonly #plan: ConnectionPlan;
  readonly #nowSeconds: () => number;
  readonly #slots = new Map<Key, number>();
  readonly #keys: (Key | undefined)[] = [];
  readonly #free: number[] = [];
  readonly #kept: KeptRecords;
  /** Slots whose identity the receiver does not have yet; kept over a failed enumeration. */
  readonly #unsent = new Set<number>();
  /** Records under work. */
  readonly #work: Views;
  /** A record of what is kept, to decode it from. */
  readonly #restored: Views;
  #generation = 0;
  #seenIn = new Uint32Array(FEWEST_ROWS);
  #rowOf = new Uint32Array(FEWEST_ROWS);
  /** Rows of the enumeration under way. */
  #columns = allocateColumns(0);
  /** The columns of `plan.columns`, so that the loop over a record stays monomorphic. */
  #targets: Uint32Array[] = [];
  #rows = 0;

  constructor(api: 'level4' | 'ex', nowSeconds: () => number) {
    this.#plan = PLANS[api];
    this.#nowSeconds = nowSeconds;
    this.#kept = new KeptRecords(this.#plan.shapes);
    this.#work = memoryFor(this.#plan.struct, RECORDS_AT_ONCE);
    this.#restored = memoryFor(this.#plan.struct, 1);
  }

  get stride(): number {
    return this.#plan.struct.size;
  }

  get api(): 'level4' | 'ex' {
    return this.#plan.api;
  }

  /** Bytes of what is kept of all connections. */
  get keptBytes(): number {
    return this.#kept.bytes;
  }

  begin(): void {
    this.#generation += 1;
    this.#rows = 0;
  }

  /** Reads one page; answers how many records had a connection handle new to this enumeration. */
  page(bytes: Uint8Array, entries: number): number {
    const { struct } = this.#plan;
    requireLength(bytes, struct, entries);
    this.#reserve(this.#rows + entries);
    const before = this.#rows;
    const page = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    // Were records shorter than the table says, the block would end before the view: until one is found where it was
    // before, nothing is read beyond the one that is checked.
    let found = false;
    for (let first = 0; first < entries;) {
      const last = Math.min(first + (found ? RECORDS_AT_ONCE : 1), entries);
      page.copy(this.#work.buffer, 0, first * struct.size, last * struct.size);
      if (this.#readWork(last - first)) found = true;
      first = last;
    }
    return this.#rows - before;
  }

  /** Reads the records under work; answers whether some were what is kept of them. */
  #readWork(entries: number): boolean {
    let found = false;
    const plan = this.#plan;
    const { buffer, words, units } = this.#work;
    const kept = this.#kept;
    const columns = this.#columns;
    const targets = this.#targets;
    const { columnWords } = plan;
    for (let i = 0; i < entries; i += 1) {
      const at = i * plan.words;
      const key = handleKey(words[at + plan.hConnection]!, words[at + plan.hConnection + 1]!);
      const slot = this.#slots.get(key) ?? this.#takeSlot(key);
      const kind = kindOf(buffer[at * 4 + plan.projection]!);
      if (kept.has(slot) && kept.same(slot, kind, units, at * 2)) found = true;
      else this.#renew(slot, kind, at);
      let row: number;
      if (this.#seenIn[slot] === this.#generation) {
        row = this.#rowOf[slot]!;
      } else {
        this.#seenIn[slot] = this.#generation;
        row = this.#rows;
        this.#rowOf[slot] = row;
        this.#rows += 1;
      }
      columns.slot[row] = slot;
      columns.receivedBytes[row] = this.#bytes(words, at + plan.receivedBytes);
      columns.transmittedBytes[row] = this.#bytes(words, at + plan.transmittedBytes);
      for (let c = 0; c < targets.length; c += 1) targets[c]![row] = words[at + columnWords[c]!]!;
    }
    return found;
  }

  /** Ends a complete enumeration and answers all of it. The frame owns its arrays. */
  finish(): ConnectionsFrame {
    const frame = this.end();
    return {
      ...frame,
      columns: mapColumns(frame.columns, (column) => column.slice()),
      identities: this.takeIdentities(Infinity),
    };
  }

  /**
   * Ends a complete enumeration: slots of connections that are gone become free. The frame's identities are still to be
   * taken, and its arrays are valid until the next enumeration begins.
   */
  end(): ConnectionsFrame {
    for (let slot = 0; slot < this.#keys.length; slot += 1) {
      const key = this.#keys[slot];
      if (key === undefined || this.#seenIn[slot] === this.#generation) continue;
      this.#slots.delete(key);
      this.#keys[slot] = undefined;
      this.#kept.drop(slot);
      this.#unsent.delete(slot);
      this.#free.push(slot);
    }
    return {
      source: 'connections',
      api: this.#plan.api,
      count: this.#rows,
      columns: mapColumns(this.#columns, (column) => column.subarray(0, this.#rows)),
      identities: [],
    };
  }

  /** So many, at most, of the identities that were not taken yet. */
  takeIdentities(most: number): (readonly [slot: number, identity: ConnectionIdentity])[] {
    const taken: (readonly [slot: number, identity: ConnectionIdentity])[] = [];
    for (const slot of this.#unsent) {
      if (taken.length >= most) break;
      taken.push([slot, this.#identityOf(slot)]);
      this.#unsent.delete(slot);
    }
    return taken;
  }

  /** Slot of a live connection by its handle, or NO_SLOT. */
  slotOf(low: number, high: number): number {
    return this.#slots.get(handleKey(low, high)) ?? NO_SLOT;
  }

  #bytes(words: Uint32Array, word: number): number {
    return this.#plan.wide ? words[word]! + words[word + 1]! * TWO_32 : words[word]!;
  }

  #takeSlot(key: Key): number {
    const slot = this.#free.pop() ?? this.#keys.length;
    this.#keys[slot] = key;
    this.#slots.set(key, slot);
    if (slot >= this.#seenIn.length) {
      this.#seenIn = grown(this.#seenIn, slot + 1);
      this.#rowOf = grown(this.#rowOf, slot + 1);
    }
    return slot;
  }

  #reserve(rows: number): void {
    if (rows <= this.#columns.slot.length) return;
    const larger = allocateColumns(Math.max(FEWEST_ROWS, rows, this.#columns.slot.length * 2));
    for (const name of Object.keys(larger) as (keyof ConnectionColumns)[])
      larger[name].set(this.#columns[name]);
    this.#columns = larger;
    this.#targets = this.#plan.columns.map((column) => larger[column]);
  }

  /** Takes over an identity whose bytes are new; it is sent unless they mean what the ones before meant. */
  #renew(slot: number, kind: number, word: number): void {
    const { buffer, units } = this.#work;
    checkConnection(this.#plan.struct, buffer, word * 4, this.#nowSeconds());
    const sent = this.#kept.has(slot) && !this.#unsent.has(slot) ? this.#identityOf(slot) : undefined;
    this.#kept.keep(slot, kind, units, word * 2);
    if (sent && sameIdentity(sent, this.#identityOf(slot))) return;
    this.#unsent.add(slot);
  }

  /** Decodes what is kept for a live slot. */
  #identityOf(slot: number): ConnectionIdentity {
    const { buffer, units } = this.#restored;
    const { identity } = this.#plan;
    units.fill(0);
    const kind = this.#kept.restore(slot, units, 0);
    buffer.writeBigUInt64LE(BigInt(this.#keys[slot]!), identity.handle);
    return decodeIdentity(identity, buffer, kind);
  }
}

const kindOf = (projection: number): number => (projection === PPP || projection === IKEV2 ? projection : 0);

function grown(array: Uint32Array, length: number): Uint32Array<ArrayBuffer> {
  const larger = new Uint32Array(Math.max(length, array.length * 2));
  larger.set(array);
  return larger;
}

function sameIdentity(a: ConnectionIdentity, b: ConnectionIdentity): boolean {
  for (const key of Object.keys(a) as (keyof ConnectionIdentity)[]) if (a[key] !== b[key]) return false;
  return true;
}

/** Enumerations may grow, but not to where only other fields and heap garbage lie. */
const LARGEST_ENUM_VALUE = 0xff;
const LARGEST_QUARANTINE_STATE = 3;
/** Wide enough for a clock that was set since the connect; any other eight bytes lie far outside. */
const START_TIME_TOLERANCE_SECONDS = 2 * 86_400;

/** Throws BadLayout for a record that holds what it cannot; else answers the tunnel, where the structure has one. */
function checkConnection(struct: Struct, page: Buffer, at: number, nowSeconds: number): Tunnel | undefined {
  const u32 = (path: string): number => page.readUInt32LE(at + offsetOf(struct, path));
  const remote = fieldOf(struct, 'wszRemoteEndpointAddress');
  if (
    u32('dwInterfaceType') > LARGEST_ENUM_VALUE ||
    u32('rasQuarState') > LARGEST_QUARANTINE_STATE ||
    !isPrintable(readWide(page, at + remote.offset, remote.size))
  ) {
    throw impossible(struct);
  }
  if (struct !== RAS_CONNECTION_4) return undefined;
  const device = deviceTunnel(u32('dwDeviceType'));
  const start = at + offsetOf(struct, 'connectionStartTime');
  const startSeconds = filetimeSeconds(page.readUInt32LE(start + 4), page.readUInt32LE(start));
  const elapsed = nowSeconds - startSeconds;
  if (
    device === undefined ||
    !(Math.abs(elapsed - u32('dwConnectDuration')) <= START_TIME_TOLERANCE_SECONDS)
  ) {
    throw new BadLayout(`a record of ${struct.name} has a start time or device that cannot be`);
  }
  return device;
}

/** Throws BadLayout unless each record may be one of `struct`: else its fields stand elsewhere than the table says. */
export function checkRecords(struct: Struct, bytes: Buffer, nowSeconds: number): void {
  for (let at = 0; at < bytes.length; at += struct.size) {
    const u32 = (path: string): number => bytes.readUInt32LE(at + offsetOf(struct, path));
    const enums = (...paths: string[]): boolean => paths.every((path) => u32(path) <= LARGEST_ENUM_VALUE);
    switch (struct) {
      case RAS_CONNECTION_4:
      case RAS_CONNECTION_EX:
        checkConnection(struct, bytes, at, nowSeconds);
        break;
      case MPR_INTERFACE_0:
      case MPR_INTERFACE_2:
        if (!enums('dwIfType', 'dwConnectionState')) throw impossible(struct);
        break;
      case RAS_PORT_0:
        if (!enums('dwPortCondition')) throw impossible(struct);
        break;
      case MPR_SERVER_0:
        decodeServer(bytes.subarray(at));
        break;
      default:
        throw impossible(struct);
    }
  }
}

function decodeIdentity(plan: IdentityPlan, record: Buffer, kind: number): ConnectionIdentity {
  const u32 = (at: number): number => record.readUInt32LE(at);
  const wide = ({ offset, size }: Field): string => readWide(record, offset, size);
  const { ppp, ikev2 } = plan;
  const projected = kind === PPP ? ppp : kind === IKEV2 ? ikev2 : undefined;
  const v6 = projected !== undefined && u32(projected.v6Error) === 0;
  const auth = projected && u32(projected.authentication);
  const eapType = projected ? u32(projected.eapType) : 0;
  const inner = projected?.innerEapType === undefined ? 0 : u32(projected.innerEapType);
  const device = plan.device === undefined ? undefined : deviceTunnel(u32(plan.device));
  const remoteOnly = auth === 0;
  return {
    handle: readHex64(record, plan.handle),
    guid: readHexOrEmpty(record, plan.guid, 16),
    startTicks: plan.start === undefined ? '' : readHex64(record, plan.start),
    user: wide(plan.user),
    domain: wide(plan.domain),
    computer: wide(plan.computer),
    interfaceName: wide(plan.interfaceName),
    interfaceType: INTERFACE_TYPES[u32(plan.interfaceType)] ?? 'unknown',
    tunnel: kind === IKEV2 ? 'ikev2' : (device ?? 'unknown'),
    auth:
      kind === IKEV2
        ? ikev2Auth(u32(ikev2.authentication), eapType, inner)
        : kind === PPP
          ? pppAuth(
              u32(remoteOnly ? ppp.remoteAuthentication : ppp.authentication),
              u32(remoteOnly ? ppp.remoteAuthenticationData : ppp.authenticationData),
              eapType,
              inner,
            )
          : 'unknown',
    encryption:
      kind === IKEV2
        ? ikev2Encryption(u32(ikev2.cipher))
        : kind === PPP
          ? pppEncryption(u32(ppp.lcpOptions), u32(ppp.ccpOptions))
          : 'unknown',
    compression: kind === PPP ? pppCompression(u32(ppp.compression), u32(ppp.ccpOptions)) : 'none',
    tunnelAddress: projected ? wide(projected.tunnelAddress) : '',
    tunnelAddressV6: v6 ? ipv6Address(record, projected.v6Prefix, projected.v6Identifier) : '',
    remoteAddress: wide(plan.remoteAddress),
    localAddress: wide(plan.localAddress),
  };
}

const impossible = (struct: Struct): BadLayout =>
  new BadLayout(`a record of ${struct.name} holds values that the structure cannot have`);

function isPrintable(text: string): boolean {
  for (let i = 0; i < text.length; i += 1) {
    const unit = text.charCodeAt(i);
    if (unit < 0x20 || unit > 0x7e) return false;
  }
  return true;
}

const PORT = {
  stride: RAS_PORT_0.size,
  port: offsetOf(RAS_PORT_0, 'hPort') / 4,
  connection: offsetOf(RAS_PORT_0, 'hConnection') / 4,
  condition: offsetOf(RAS_PORT_0, 'dwPortCondition') / 4,
  calls: offsetOf(RAS_PORT_0, 'dwTotalNumberOfCalls') / 4,
  device: fieldOf(RAS_PORT_0, 'wszDeviceName'),
} as const;

/** Handles met so far. As long as they rise, as those of a server mostly do, no set of them is made. */
class SeenHandles {
  #low = new Uint32Array(FEWEST_ROWS);
  #high = new Uint32Array(FEWEST_ROWS);
  #rising = 0;
  #all: Set<Key> | undefined;

  get size(): number {
    return this.#all?.size ?? this.#rising;
  }

  /** False if it was there before. */
  add(low: number, high: number): boolean {
    if (this.#all === undefined) {
      const last = this.#rising - 1;
      const rises =
        last < 0 || high > this.#high[last]! || (high === this.#high[last] && low > this.#low[last]!);
      if (rises) {
        this.#push(low, high);
        return true;
      }
      this.#all = new Set();
      for (let i = 0; i <= last; i += 1) this.#all.add(handleKey(this.#low[i]!, this.#high[i]!));
    }
    const before = this.#all.size;
    return this.#all.add(handleKey(low, high)).size > before;
  }

  #push(low: number, high: number): void {
    if (this.#rising === this.#low.length) {
      this.#low = grown(this.#low, this.#rising + 1);
      this.#high = grown(this.#high, this.#rising + 1);
    }
    this.#low[this.#rising] = low;
    this.#high[this.#rising] = high;
    this.#rising += 1;
  }
}

/** Collects pages of RAS_PORT_0; `slotOf` finds the connection that holds a port. */
export class PortDecoder {
  readonly #slotOf: (low: number, high: number) => number;
  readonly #tunnels = new Map<string, number>();
  readonly #seen = new SeenHandles();
  #columns = allocatePorts(0);
  #count = 0;
  /** Device name of the port before, as long as it is, and its tunnel: most ports have their neighbour's. */
  #device = new Uint16Array();
  #tunnel = 0;

  constructor(slotOf: (low: number, high: number) => number) {
    this.#slotOf = slotOf;
  }

  page(bytes: Uint8Array, entries: number): number {
    const page = views(bytes, RAS_PORT_0, entries);
    const { words } = page;
    this.#reserve(this.#count + entries);
    const columns = this.#columns;
    const before = this.#count;
    for (let i = 0; i < entries; i += 1) {
      const at = (i * PORT.stride) / 4;
      const port = words[at + PORT.port]!;
      if (!this.#seen.add(port, 0)) continue;
      const condition = words[at + PORT.condition]!;
      if (condition > LARGEST_ENUM_VALUE) throw impossible(RAS_PORT_0);
      const low = words[at + PORT.connection]!;
      const high = words[at + PORT.connection + 1]!;
      const held = low !== 0 || high !== 0;
      const row = this.#count;
      this.#count += 1;
      columns.port[row] = port;
      columns.tunnel[row] = this.#tunnelOf(page, i * PORT.stride + PORT.device.offset);
      columns.condition[row] = condition;
      columns.calls[row] = words[at + PORT.calls]!;
      columns.held[row] = held ? 1 : 0;
      columns.slot[row] = held ? this.#slotOf(low, high) : NO_SLOT;
    }
    return this.#count - before;
  }

  finish(): PortsFrame {
    const { port, tunnel, condition, calls, held, slot } = this.#columns;
    const count = this.#count;
    return {
      source: 'ports',
      count,
      port: port.subarray(0, count),
      tunnel: tunnel.subarray(0, count),
      condition: condition.subarray(0, count),
      calls: calls.subarray(0, count),
      held: held.subarray(0, count),
      slot: slot.subarray(0, count),
    };
  }

  #reserve(rows: number): void {
    if (rows <= this.#columns.port.length) return;
    const larger = allocatePorts(rows);
    for (const name of Object.keys(larger) as (keyof typeof larger)[]) larger[name].set(this.#columns[name]);
    this.#columns = larger;
  }

  #tunnelOf({ buffer, units }: Views, offset: number): number {
    const device = this.#device;
    const start = offset / 2;
    let length = 0;
    while (length < device.length && units[start + length] === device[length]) length += 1;
    const ends = length === PORT.device.size / 2 || units[start + length] === 0;
    if (length > 0 && length === device.length && ends) return this.#tunnel;
    const name = readWide(buffer, offset, PORT.device.size);
    let tunnel = this.#tunnels.get(name);
    if (tunnel === undefined) {
      tunnel = TUNNELS.indexOf(portTunnel(name));
      this.#tunnels.set(name, tunnel);
    }
    this.#device = units.slice(start, start + name.length);
    this.#tunnel = tunnel;
    return tunnel;
  }
}

function allocatePorts(capacity: number) {
  return {
    port: new Uint32Array(capacity),
    tunnel: new Uint8Array(capacity),
    condition: new Uint8Array(capacity),
    calls: new Uint32Array(capacity),
    held: new Uint8Array(capacity),
    slot: new Uint32Array(capacity),
  };
}

/** Collects the ports that one connection holds; those of others are passed over, should any be listed. */
export class HeldPortDecoder {
  /** hPort of each. */
  readonly held = new Set<Handle>();
  readonly #seen = new Set<Handle>();
  readonly #connection: Handle;

  constructor(connection: Handle) {
    this.#connection = connection;
  }

  begin(): void {
    this.held.clear();
    this.#seen.clear();
  }

  page(bytes: Uint8Array, entries: number): number {
    const { buffer } = views(bytes, RAS_PORT_0, entries);
    const before = this.#seen.size;
    for (let at = 0; at < entries * RAS_PORT_0.size; at += RAS_PORT_0.size) {
      const handle = (path: string): Handle => buffer.readBigUInt64LE(at + offsetOf(RAS_PORT_0, path));
      if (buffer.readUInt32LE(at + offsetOf(RAS_PORT_0, 'dwPortCondition')) > LARGEST_ENUM_VALUE)
        throw impossible(RAS_PORT_0);
      this.#seen.add(handle('hPort'));
      if (handle('hConnection') === this.#connection) this.held.add(handle('hPort'));
    }
    return this.#seen.size - before;
  }
}

/** Interfaces that an administrator configures; the rest are the server's own or stand for a single user. */
const CONFIGURED: ReadonlySet<number> = new Set(
  (['home_router', 'full_router', 'dedicated', 'tunnel', 'dialout'] as const).map((type) =>
    INTERFACE_TYPES.indexOf(type),
  ),
);

const INTERFACE = {
  stride: MPR_INTERFACE_0.size,
  name: fieldOf(MPR_INTERFACE_0, 'wszInterfaceName'),
  handle: offsetOf(MPR_INTERFACE_0, 'hInterface'),
  enabled: offsetOf(MPR_INTERFACE_0, 'fEnabled'),
  type: offsetOf(MPR_INTERFACE_0, 'dwIfType'),
  state: offsetOf(MPR_INTERFACE_0, 'dwConnectionState'),
  reasons: offsetOf(MPR_INTERFACE_0, 'fUnReachabilityReasons'),
  lastError: offsetOf(MPR_INTERFACE_0, 'dwLastError'),
} as const;

/** Collects pages of MPR_INTERFACE_0; client interfaces, one per connected user, are passed over. */
export class InterfaceDecoder {
  readonly interfaces: InterfaceNow[] = [];
  readonly #seen = new SeenHandles();

  page(bytes: Uint8Array, entries: number): number {
    const { buffer, words } = views(bytes, MPR_INTERFACE_0, entries);
    const before = this.#seen.size;
    for (let i = 0; i < entries; i += 1) {
      const at = i * INTERFACE.stride;
      const handle = (at + INTERFACE.handle) / 4;
      if (!this.#seen.add(words[handle]!, words[handle + 1]!)) continue;
      const type = words[(at + INTERFACE.type) / 4]!;
      if (type > LARGEST_ENUM_VALUE || words[(at + INTERFACE.state) / 4]! > LARGEST_ENUM_VALUE) {
        throw impossible(MPR_INTERFACE_0);
      }
      if (CONFIGURED.has(type)) this.interfaces.push(interfaceAt(buffer, at));
    }
    return this.#seen.size - before;
  }
}

/** One MPR_INTERFACE_0. */
export function decodeInterface(bytes: Uint8Array): InterfaceNow {
  return interfaceAt(views(bytes, MPR_INTERFACE_0).buffer, 0);
}

function interfaceAt(buffer: Buffer, at: number): InterfaceNow {
  const u32 = (offset: number): number => buffer.readUInt32LE(at + offset);
  const type = u32(INTERFACE.type);
  const state = u32(INTERFACE.state);
  if (type > LARGEST_ENUM_VALUE || state > LARGEST_ENUM_VALUE) throw impossible(MPR_INTERFACE_0);
  return {
    handle: readHex64(buffer, at + INTERFACE.handle),
    name: readWide(buffer, at + INTERFACE.name.offset, INTERFACE.name.size),
    type: INTERFACE_TYPES[type] ?? 'unknown',
    enabled: u32(INTERFACE.enabled) !== 0,
    state: INTERFACE_STATES[state] ?? 'unknown',
    unreachableReasons: u32(INTERFACE.reasons),
    lastError: u32(INTERFACE.lastError),
  };
}

/** 68 years. */
const LONGEST_UPTIME_SECONDS = 0x7fff_ffff;

/** MPR_SERVER_0 of a running service. */
export function decodeServer(bytes: Uint8Array): ServerFrame {
  const { words } = views(bytes, MPR_SERVER_0);
  const u32 = (path: string): number => words[offsetOf(MPR_SERVER_0, path) / 4]!;
  if (u32('dwUpTime') > LONGEST_UPTIME_SECONDS) throw impossible(MPR_SERVER_0);
  return {
    source: 'server',
    running: true,
    lanOnly: u32('fLanOnlyMode') !== 0,
    uptimeSeconds: u32('dwUpTime'),
    totalPorts: u32('dwTotalPorts'),
    portsInUse: u32('dwPortsInUse'),
  };
}
