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
import type { Struct } from './layout.ts';
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

/** Views over `entries` records; they must be 4-aligned, which native pages and every stride here are. */
function views(bytes: Uint8Array, struct: Struct, entries = 1): { buffer: Buffer; words: Uint32Array } {
  if (bytes.length < entries * struct.size) {
    throw new BadLayout(`${entries} records of ${struct.name} were announced in ${bytes.length} bytes`);
  }
  const aligned = bytes.byteOffset % 4 === 0 ? bytes : Uint8Array.from(bytes);
  return {
    buffer: Buffer.from(aligned.buffer, aligned.byteOffset, aligned.byteLength),
    words: new Uint32Array(aligned.buffer, aligned.byteOffset, aligned.byteLength >>> 2),
  };
}

/** Word indices and byte ranges of one connection structure, computed once. */
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
  readonly interfaceType: number;
  /** Byte ranges that hold everything an identity is made of, outside of interfaceType. */
  readonly texts: readonly (readonly [start: number, end: number])[];
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

function planFor(struct: Struct, api: 'level4' | 'ex'): ConnectionPlan {
  const word = (path: string): number => offsetOf(struct, path) / 4;
  const wide = api === 'level4';
  const texts: (readonly [number, number])[] = [
    [offsetOf(struct, 'wszInterfaceName'), offsetOf(struct, 'rasQuarState')],
    [offsetOf(struct, 'wszRemoteEndpointAddress'), struct.size],
  ];
  if (wide) {
    const start = fieldOf(struct, 'connectionStartTime');
    texts.push([start.offset, start.offset + start.size]);
  }
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
    interfaceType: word('dwInterfaceType'),
    texts,
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

const RECORDS_PER_BLOCK = 1024;

/**
 * Reads connection pages of one API level, keeping each live connection's slot and last bytes. `nowSeconds` is the
 * wall clock that level 4's start times are checked against.
 */
export class ConnectionDecoder {
  readonly #plan: ConnectionPlan;
  readonly #nowSeconds: () => number;
  readonly #slots = new Map<Key, number>();
  readonly #keys: (Key | undefined)[] = [];
  readonly #free: number[] = [];
  /** Last bytes of each slot, in blocks, so that growing never copies. */
  readonly #blocks: Buffer[] = [];
  readonly #identities: (ConnectionIdentity | undefined)[] = [];
  /** Slots whose identity the receiver does not have yet; kept over a failed enumeration. */
  readonly #unsent = new Set<number>();
  #generation = 0;
  #seenIn = new Uint32Array(64);
  #rowOf = new Uint32Array(64);
  #columns = allocateColumns(64);
  /** The columns of `plan.columns`, so that the loop over a record stays monomorphic. */
  #targets: Uint32Array[];
  #rows = 0;

  constructor(api: 'level4' | 'ex', nowSeconds: () => number) {
    this.#plan = PLANS[api];
    this.#nowSeconds = nowSeconds;
    this.#targets = this.#plan.columns.map((column) => this.#columns[column]);
  }

  get stride(): number {
    return this.#plan.struct.size;
  }

  get api(): 'level4' | 'ex' {
    return this.#plan.api;
  }

  begin(): void {
    this.#generation += 1;
    this.#rows = 0;
  }

  /** Reads one page; answers how many records had a connection handle new to this enumeration. */
  page(bytes: Uint8Array, entries: number): number {
    const plan = this.#plan;
    const { buffer, words } = views(bytes, plan.struct, entries);
    this.#reserve(this.#rows + entries);
    const columns = this.#columns;
    const targets = this.#targets;
    let fresh = 0;
    for (let i = 0; i < entries; i += 1) {
      const at = i * plan.words;
      const key = handleKey(words[at + plan.hConnection]!, words[at + plan.hConnection + 1]!);
      let slot = this.#slots.get(key);
      const known = slot !== undefined;
      slot ??= this.#takeSlot(key);
      this.#readTexts(slot, known, buffer, i * plan.struct.size);
      let row: number;
      if (this.#seenIn[slot] === this.#generation) {
        row = this.#rowOf[slot]!;
      } else {
        this.#seenIn[slot] = this.#generation;
        row = this.#rows;
        this.#rowOf[slot] = row;
        this.#rows += 1;
        fresh += 1;
      }
      columns.slot[row] = slot;
      columns.receivedBytes[row] = this.#bytes(words, at + plan.receivedBytes);
      columns.transmittedBytes[row] = this.#bytes(words, at + plan.transmittedBytes);
      for (let c = 0; c < targets.length; c += 1) targets[c]![row] = words[at + plan.columnWords[c]!]!;
    }
    return fresh;
  }

  /** Ends a complete enumeration: slots of connections that are gone become free. The frame owns its arrays. */
  finish(): ConnectionsFrame {
    for (let slot = 0; slot < this.#keys.length; slot += 1) {
      const key = this.#keys[slot];
      if (key === undefined || this.#seenIn[slot] === this.#generation) continue;
      this.#slots.delete(key);
      this.#keys[slot] = undefined;
      this.#identities[slot] = undefined;
      this.#unsent.delete(slot);
      this.#free.push(slot);
    }
    const columns = {} as Record<keyof ConnectionColumns, Uint32Array | Float64Array>;
    for (const [name, column] of Object.entries(this.#columns)) {
      columns[name as keyof ConnectionColumns] = column.slice(0, this.#rows);
    }
    const identities = [...this.#unsent].map((slot) => [slot, this.#identities[slot]!] as const);
    this.#unsent.clear();
    return {
      source: 'connections',
      api: this.#plan.api,
      count: this.#rows,
      columns: columns as unknown as ConnectionColumns,
      identities,
    };
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
    if (slot >= this.#blocks.length * RECORDS_PER_BLOCK) {
      this.#blocks.push(Buffer.allocUnsafeSlow(RECORDS_PER_BLOCK * this.stride));
    }
    return slot;
  }

  #reserve(rows: number): void {
    if (rows <= this.#columns.slot.length) return;
    const larger = allocateColumns(Math.max(rows, this.#columns.slot.length * 2));
    for (const [name, column] of Object.entries(larger)) {
      (column as Uint32Array).set(this.#columns[name as keyof ConnectionColumns]);
    }
    this.#columns = larger;
    this.#targets = this.#plan.columns.map((column) => larger[column]);
  }

  /** Compares the record's identity bytes with the last ones and decodes them if they differ. */
  #readTexts(slot: number, known: boolean, page: Buffer, at: number): void {
    const plan = this.#plan;
    const block = this.#blocks[Math.floor(slot / RECORDS_PER_BLOCK)]!;
    const kept = (slot % RECORDS_PER_BLOCK) * plan.struct.size;
    if (known && this.#identities[slot] !== undefined) {
      let same =
        page.readUInt32LE(at + plan.interfaceType * 4) === block.readUInt32LE(kept + plan.interfaceType * 4);
      for (const [start, end] of plan.texts) {
        same &&= block.compare(page, at + start, at + end, kept + start, kept + end) === 0;
      }
      if (same) return;
    }
    const identity = decodeIdentity(plan, page, at, this.#nowSeconds());
    page.copy(block, kept, at, at + plan.struct.size);
    const last = this.#identities[slot];
    if (last !== undefined && sameIdentity(last, identity)) return;
    this.#identities[slot] = identity;
    this.#unsent.add(slot);
  }
}

function grown(array: Uint32Array, length: number): Uint32Array<ArrayBuffer> {
  const larger = new Uint32Array(Math.max(length, array.length * 2));
  larger.set(array);
  return larger;
}

function sameIdentity(a: ConnectionIdentity, b: ConnectionIdentity): boolean {
  for (const key of Object.keys(a) as (keyof ConnectionIdentity)[]) if (a[key] !== b[key]) return false;
  return true;
}

const PPP = 1;
const IKEV2 = 2;
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

function decodeIdentity(
  plan: ConnectionPlan,
  page: Buffer,
  at: number,
  nowSeconds: number,
): ConnectionIdentity {
  const { struct } = plan;
  const u32 = (path: string): number => page.readUInt32LE(at + offsetOf(struct, path));
  const wide = (path: string): string => {
    const field = fieldOf(struct, path);
    return readWide(page, at + field.offset, field.size);
  };
  const device = checkConnection(struct, page, at, nowSeconds);
  const interfaceType = u32('dwInterfaceType');
  const startTicks = plan.wide ? readHex64(page, at + offsetOf(struct, 'connectionStartTime')) : '';
  const projection = page[at + offsetOf(struct, 'ProjectionInfo.projectionInfoType')];
  const union = 'ProjectionInfo.Anonymous';
  const ppp = `${union}.PppProjectionInfo`;
  const ike = `${union}.Ikev2ProjectionInfo`;
  const inner = (member: string): number => (plan.wide ? u32(`${member}.dwEmbeddedEAPTypeId`) : 0);
  const common = {
    handle: readHex64(page, at + offsetOf(struct, 'hConnection')),
    guid: readHexOrEmpty(page, at + offsetOf(struct, 'guid'), 16),
    startTicks,
    user: wide('wszUserName'),
    domain: wide('wszLogonDomain'),
    computer: wide('wszRemoteComputer'),
    interfaceName: wide('wszInterfaceName'),
    interfaceType: INTERFACE_TYPES[interfaceType] ?? 'unknown',
    remoteAddress: wide('wszRemoteEndpointAddress'),
    localAddress: wide('wszLocalEndpointAddress'),
  } as const;
  const addresses = (member: string): Pick<ConnectionIdentity, 'tunnelAddress' | 'tunnelAddressV6'> => ({
    tunnelAddress: wide(`${member}.wszRemoteAddress`),
    tunnelAddressV6:
      u32(`${member}.dwIPv6NegotiationError`) === 0
        ? ipv6Address(
            page,
            at + offsetOf(struct, `${member}.bPrefix`),
            at + offsetOf(struct, `${member}.bRemoteInterfaceIdentifier`),
          )
        : '',
  });
  if (projection === IKEV2) {
    return {
      ...common,
      ...addresses(ike),
      tunnel: 'ikev2',
      auth: ikev2Auth(u32(`${ike}.dwAuthenticationProtocol`), u32(`${ike}.dwEapTypeId`), inner(ike)),
      encryption: ikev2Encryption(u32(`${ike}.dwEncryptionMethod`)),
      compression: 'none',
    };
  }
  if (projection === PPP) {
    const protocol = u32(`${ppp}.dwAuthenticationProtocol`);
    const side = protocol === 0 ? 'Remote' : '';
    const ccpOptions = u32(`${ppp}.dwCcpOptions`);
    return {
      ...common,
      ...addresses(ppp),
      tunnel: device ?? 'unknown',
      auth: pppAuth(
        u32(`${ppp}.dw${side}AuthenticationProtocol`),
        u32(`${ppp}.dw${side}AuthenticationData`),
        u32(`${ppp}.dwEapTypeId`),
        inner(ppp),
      ),
      encryption: pppEncryption(u32(`${ppp}.dwLcpOptions`), ccpOptions),
      compression: pppCompression(u32(`${ppp}.dwCompressionAlgorithm`), ccpOptions),
    };
  }
  return {
    ...common,
    tunnelAddress: '',
    tunnelAddressV6: '',
    tunnel: device ?? 'unknown',
    auth: 'unknown',
    encryption: 'unknown',
    compression: 'none',
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

/** Collects pages of RAS_PORT_0; `slotOf` finds the connection that holds a port. */
export class PortDecoder {
  readonly #slotOf: (low: number, high: number) => number;
  readonly #tunnels = new Map<string, number>();
  readonly #seen = new Set<number>();
  readonly #port: number[] = [];
  readonly #tunnel: number[] = [];
  readonly #condition: number[] = [];
  readonly #calls: number[] = [];
  readonly #held: number[] = [];
  readonly #slot: number[] = [];

  constructor(slotOf: (low: number, high: number) => number) {
    this.#slotOf = slotOf;
  }

  page(bytes: Uint8Array, entries: number): number {
    const { buffer, words } = views(bytes, RAS_PORT_0, entries);
    const stride = RAS_PORT_0.size / 4;
    const name = fieldOf(RAS_PORT_0, 'wszDeviceName');
    const word = (path: string): number => offsetOf(RAS_PORT_0, path) / 4;
    const hPort = word('hPort');
    const hConnection = word('hConnection');
    const condition = word('dwPortCondition');
    const calls = word('dwTotalNumberOfCalls');
    let fresh = 0;
    for (let i = 0; i < entries; i += 1) {
      const at = i * stride;
      const port = words[at + hPort]!;
      if (this.#seen.has(port)) continue;
      this.#seen.add(port);
      fresh += 1;
      if (words[at + condition]! > LARGEST_ENUM_VALUE) throw impossible(RAS_PORT_0);
      const low = words[at + hConnection]!;
      const high = words[at + hConnection + 1]!;
      const held = low !== 0 || high !== 0;
      this.#port.push(port);
      this.#tunnel.push(this.#tunnelOf(readWide(buffer, i * RAS_PORT_0.size + name.offset, name.size)));
      this.#condition.push(words[at + condition]!);
      this.#calls.push(words[at + calls]!);
      this.#held.push(held ? 1 : 0);
      this.#slot.push(held ? this.#slotOf(low, high) : NO_SLOT);
    }
    return fresh;
  }

  finish(): PortsFrame {
    return {
      source: 'ports',
      count: this.#port.length,
      port: Uint32Array.from(this.#port),
      tunnel: Uint8Array.from(this.#tunnel),
      condition: Uint8Array.from(this.#condition),
      calls: Uint32Array.from(this.#calls),
      held: Uint8Array.from(this.#held),
      slot: Uint32Array.from(this.#slot),
    };
  }

  #tunnelOf(deviceName: string): number {
    let index = this.#tunnels.get(deviceName);
    if (index === undefined) {
      index = TUNNELS.indexOf(portTunnel(deviceName));
      this.#tunnels.set(deviceName, index);
    }
    return index;
  }
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

/** Collects pages of MPR_INTERFACE_0; client interfaces, one per connected user, are passed over. */
export class InterfaceDecoder {
  readonly interfaces: InterfaceNow[] = [];
  readonly #seen = new Set<Key>();

  page(bytes: Uint8Array, entries: number): number {
    const { buffer, words } = views(bytes, MPR_INTERFACE_0, entries);
    const stride = MPR_INTERFACE_0.size;
    let fresh = 0;
    for (let i = 0; i < entries; i += 1) {
      const at = i * stride;
      const handle = (at + offsetOf(MPR_INTERFACE_0, 'hInterface')) / 4;
      const key = handleKey(words[handle]!, words[handle + 1]!);
      if (this.#seen.has(key)) continue;
      this.#seen.add(key);
      fresh += 1;
      const configured = CONFIGURED.has(words[(at + offsetOf(MPR_INTERFACE_0, 'dwIfType')) / 4]!);
      const record = interfaceAt(buffer, at);
      if (configured) this.interfaces.push(record);
    }
    return fresh;
  }
}

/** One MPR_INTERFACE_0. */
export function decodeInterface(bytes: Uint8Array): InterfaceNow {
  return interfaceAt(views(bytes, MPR_INTERFACE_0).buffer, 0);
}

function interfaceAt(buffer: Buffer, at: number): InterfaceNow {
  const u32 = (path: string): number => buffer.readUInt32LE(at + offsetOf(MPR_INTERFACE_0, path));
  const name = fieldOf(MPR_INTERFACE_0, 'wszInterfaceName');
  const type = u32('dwIfType');
  const state = u32('dwConnectionState');
  if (type > LARGEST_ENUM_VALUE || state > LARGEST_ENUM_VALUE) throw impossible(MPR_INTERFACE_0);
  return {
    handle: readHex64(buffer, at + offsetOf(MPR_INTERFACE_0, 'hInterface')),
    name: readWide(buffer, at + name.offset, name.size),
    type: INTERFACE_TYPES[type] ?? 'unknown',
    enabled: u32('fEnabled') !== 0,
    state: INTERFACE_STATES[state] ?? 'unknown',
    unreachableReasons: u32('fUnReachabilityReasons'),
    lastError: u32('dwLastError'),
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
