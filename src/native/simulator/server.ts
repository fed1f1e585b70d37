/**
 * An RRAS server inside the process: answers the calls of mprapi.dll with the bytes that the DLL would return, from a
 * world in which nothing ticks. It must never be served unless asked for, and it knows its own truth for tests.
 */
import type { Clock } from '../../model/clock.ts';
import type {
  CodeResult,
  EnumPage,
  Handle,
  InfoResult,
  ObjectHeader,
  RrasApi,
} from '../../model/rras-api.ts';
import {
  INVALID_HANDLE_VALUE,
  MPR_INTERFACE_0,
  MPR_SERVER_0,
  PREFER_ALL,
  RAS_CONNECTION_OBJECT,
  RAS_PORT_0,
  RAS_UPDATE_CONNECTION,
  UPDATE_CONNECTION_OBJECT,
  fieldOf,
  offsetOf,
  type Struct,
} from '../layout.ts';
import { readWide } from '../fields.ts';
import { Arena } from './arena.ts';
import { Heap, Ledger } from './heap.ts';
import { ConnectionRows } from './connection-rows.ts';
import type { FactsContext } from './facts.ts';
import { InterfaceRows } from './interface-rows.ts';
import { FIRST_PORT_HANDLE, PortRows } from './port-rows.ts';
import type { Session } from './session.ts';
import type { DialFaults, SiteLink } from './site-links.ts';
import { type Scenario, type ScenarioName, SCENARIOS, withConnections } from './scenarios.ts';
import {
  linksAt,
  sessionsAt,
  trafficBetween,
  type TrueLink,
  type TrueSession,
  type TrueTraffic,
} from './truth.ts';
import { WallHistory } from './wall-history.ts';
import { World } from './world.ts';

/**
 * running; stopped: the service does not run (1722); lan_only: no remote access role (903 for connections and ports);
 * denied: the caller is no administrator (5).
 */
export type ServerState = 'running' | 'stopped' | 'lan_only' | 'denied';

export interface SimulatorOptions {
  readonly scenario: ScenarioName;
  readonly seed: number;
  readonly clock: Clock;
  /** When the simulation began, in Unix seconds; left out: now. */
  readonly startedAt?: number;
  /** So many always-on users and steady links together; in `large` exactly so many connections at any time. */
  readonly connections?: number;
  /** No page holds more records, whatever length is preferred. */
  readonly maxPageRecords?: number;
  readonly state?: ServerState;
  readonly exOnly?: boolean;
  /** How commanded dials go, by the interface's name. */
  readonly faults?: Readonly<Record<string, DialFaults>>;
}

/** Methods of RrasApi that change something. */
export type ActMethod = 'interfaceConnect' | 'interfaceDisconnect' | 'updateConnection' | 'portDisconnect';

export interface SimulatedServer extends RrasApi {
  /** May be changed at any time, as may `exOnly`. Sessions go on behind it. */
  state: ServerState;
  /** A server without level 4 of MprAdminConnectionEnum (before 2012): 124. */
  exOnly: boolean;
  /** A method named here does nothing and answers this code. May be changed at any time. */
  actCodes: Readonly<Partial<Record<ActMethod, number>>>;
  /** How commanded dials of an interface go from now on; null: as the scenario has it. Throws if there is none. */
  setFaults(interfaceName: string, faults: DialFaults | null): void;
  /** Blocks and handles given out and given back. */
  readonly ledger: Readonly<Ledger>;
  /** Every live session with its exact counts, at the clock's monotonicMs (now if left out). */
  liveSessions(atMs?: number): TrueSession[];
  /**
   * What all sessions moved between two moments of monotonicMs, by tunnel and role: those that began or ended in
   * between count too, up to their last byte. Rows without a session are left out. A moment takes in all that is
   * commanded in its millisecond, so that no figure changes any more once both moments are over.
   */
  trafficBetween(fromMs: number, toMs: number): TrueTraffic[];
  /** The demand-dial interfaces' states. */
  links(atMs?: number): TrueLink[];
}

/** The same scenario, seed, elapsed time and commands give the same bytes, but for times of day. */
export function createSimulator(options: SimulatorOptions): SimulatedServer {
  return new Simulator(options);
}

const OK = 0;
const ACCESS_DENIED = 5;
const INVALID_HANDLE = 6;
const NOT_SUPPORTED = 50;
const INVALID_PARAMETER = 87;
const INVALID_LEVEL = 124;
const MORE_DATA = 234;
const INVALID_TUNNELID = 837;
const DDM_NOT_RUNNING = 903;
const NO_SUCH_INTERFACE = 905;
const SERVICE_NOT_ACTIVE = 1062;
const INVALID_BINDING = 1702;
const SERVER_UNAVAILABLE = 1722;

const ERROR_TEXTS: Readonly<Record<number, string>> = {
  [ACCESS_DENIED]: 'Access is denied.',
  691: 'The remote connection was denied because the user name and password combination was not recognized.',
  809: 'The network connection between this computer and the VPN server could not be established.',
  868: 'The remote server name could not be resolved.',
  [DDM_NOT_RUNNING]: 'The Demand Dial Manager (DDM) is not running.',
  [NO_SUCH_INTERFACE]: 'The interface does not exist.',
};

/** Handles look like addresses and are never used twice. */
const FIRST_SERVER_HANDLE = 0x0000_01d4_5c00_0010n;

class Simulator implements SimulatedServer {
  readonly missing = [];
  state: ServerState;
  exOnly: boolean;
  actCodes: Readonly<Partial<Record<ActMethod, number>>> = {};
  readonly ledger = new Ledger();
  readonly #heap = new Heap(this.ledger);

  readonly #clock: Clock;
  readonly #originMs: number;
  readonly #wall: WallHistory;
  readonly #scenario: Scenario;
  readonly #world: World;
  readonly #context: FactsContext;
  readonly #maxPageRecords: number;
  readonly #open = new Set<Handle>();
  #nextHandle = FIRST_SERVER_HANDLE;
  /** Made when first asked for. */
  #level4: ConnectionRows | null = null;
  #ex: ConnectionRows | null = null;
  #ports: PortRows | null = null;
  #interfaces: InterfaceRows | null = null;
  readonly #allPorts: Uint32Array;

  constructor(options: SimulatorOptions) {
    const plan: Scenario = SCENARIOS[options.scenario];
    this.#scenario = options.connections === undefined ? plan : withConnections(plan, options.connections);
    this.#clock = options.clock;
    const { clock, startedAt = clock.wallSeconds() } = options;
    this.#originMs = clock.monotonicMs() - Math.max(0, clock.wallSeconds() - startedAt) * 1000;
    this.#wall = new WallHistory(startedAt);
    this.#maxPageRecords = options.maxPageRecords ?? Infinity;
    this.state = options.state ?? 'running';
    this.exOnly = options.exOnly ?? this.#scenario.exOnly;
    const world = new World(this.#scenario, options.seed >>> 0);
    this.#world = world;
    this.#context = {
      seed: world.seed,
      carrierAddresses: this.#scenario.carrierAddresses,
      addressIndex: (session) => world.addressIndex(session.slot, session.index),
      planOf: (session) => world.links[session.slot - world.users]?.plan ?? null,
    };
    for (const [name, faults] of Object.entries(options.faults ?? {})) this.setFaults(name, faults);
    this.#allPorts = Uint32Array.from({ length: world.ports }, (_, port) => port);
  }

  serverConnect(): Promise<{ code: number; handle: Handle }> {
    // Only makes a binding: success says nothing about the service.
    const handle = this.#nextHandle;
    this.#nextHandle += 0x40n;
    this.#open.add(handle);
    this.ledger.opened++;
    return Promise.resolve({ code: OK, handle });
  }

  serverDisconnect(handle: Handle): Promise<void> {
    if (this.#open.delete(handle)) this.ledger.closed++;
    else this.ledger.strayHandles++;
    return Promise.resolve();
  }

  isServiceInitialized(): Promise<{ code: number; initialized: boolean }> {
    const code = { running: OK, lan_only: OK, stopped: SERVICE_NOT_ACTIVE, denied: ACCESS_DENIED }[
      this.state
    ];
    return Promise.resolve({ code, initialized: code === OK });
  }

  serverGetInfo(handle: Handle, level: number): Promise<InfoResult> {
    const refusal = this.#refusal(handle) || (level === 0 ? OK : INVALID_LEVEL);
    if (refusal) return Promise.resolve({ code: refusal, buffer: null });
    const timeMs = this.#advance();
    const lanOnly = this.state === 'lan_only';
    const info = new Uint32Array(MPR_SERVER_0.size / 4);
    const put = (field: string, value: number): void => {
      info[offsetOf(MPR_SERVER_0, field) / 4] = value;
    };
    put('fLanOnlyMode', lanOnly ? 1 : 0);
    put('dwUpTime', Math.floor((this.#scenario.uptimeMs + timeMs) / 1000));
    put('dwTotalPorts', lanOnly ? 0 : this.#world.ports);
    put('dwPortsInUse', lanOnly ? 0 : this.#world.liveCount);
    return Promise.resolve({ code: OK, buffer: this.#copyOf(new Uint8Array(info.buffer)) });
  }

  connectionEnumEx(
    handle: Handle,
    header: ObjectHeader,
    preferredLength: number,
    resumeHandle: number,
  ): Promise<EnumPage> {
    const { revision, type, size } = RAS_CONNECTION_OBJECT;
    const asked = header.revision === revision && header.type === type && header.size === size;
    const refusal = this.#refusal(handle) || this.#dialRefusal() || (asked ? OK : INVALID_PARAMETER);
    if (refusal) return refused(refusal);
    this.#ex ??= this.#connectionRows('ex');
    return this.#connectionPage(this.#ex, preferredLength, resumeHandle);
  }

  connectionEnum(
    handle: Handle,
    level: number,
    preferredLength: number,
    resumeHandle: number,
  ): Promise<EnumPage> {
    const known = level === 4 && !this.exOnly;
    const refusal = this.#refusal(handle) || this.#dialRefusal() || (known ? OK : INVALID_LEVEL);
    if (refusal) return refused(refusal);
    this.#level4 ??= this.#connectionRows('level4');
    return this.#connectionPage(this.#level4, preferredLength, resumeHandle);
  }

  portEnum(
    handle: Handle,
    level: number,
    connection: Handle,
    preferredLength: number,
    resumeHandle: number,
  ): Promise<EnumPage> {
    const refusal = this.#refusal(handle) || this.#dialRefusal() || (level === 0 ? OK : NOT_SUPPORTED);
    if (refusal) return refused(refusal);
    const timeMs = this.#advance();
    const listed = connection === INVALID_HANDLE_VALUE ? this.#allPorts : this.#portsOf(connection);
    if (!listed) return refused(INVALID_HANDLE);
    const rows = (this.#ports ??= new PortRows(this.#world));
    return this.#page(RAS_PORT_0, listed.length, preferredLength, resumeHandle, (block, from, to) => {
      rows.write(block, listed, from, to, timeMs);
    });
  }

  interfaceEnum(
    handle: Handle,
    level: number,
    preferredLength: number,
    resumeHandle: number,
  ): Promise<EnumPage> {
    const refusal = this.#refusal(handle) || (level === 0 ? OK : NOT_SUPPORTED);
    if (refusal) return refused(refusal);
    const timeMs = this.#advance();
    const rows = this.#interfaceRows();
    const lanOnly = this.state === 'lan_only';
    const fixed = lanOnly ? rows.lanOnly : rows.fixed;
    const listed = new Uint32Array(fixed + (lanOnly ? 0 : this.#world.liveUsers));
    for (let i = 0; i < listed.length; i++) {
      listed[i] = i < fixed ? i : fixed + this.#world.live[i - fixed]!;
    }
    return this.#page(MPR_INTERFACE_0, listed.length, preferredLength, resumeHandle, (block, from, to) => {
      rows.write(block, listed, from, to, timeMs);
    });
  }

  interfaceGetHandle(
    handle: Handle,
    name: string,
    includeClientInterfaces: boolean,
  ): Promise<{ code: number; handle: Handle }> {
    const refusal = this.#refusal(handle);
    if (refusal) return Promise.resolve({ code: refusal, handle: 0n });
    const timeMs = this.#advance();
    const rows = this.#interfaceRows();
    const found = rows.find(name, includeClientInterfaces, timeMs, this.state === 'lan_only');
    return Promise.resolve(
      found === null ? { code: NO_SUCH_INTERFACE, handle: 0n } : { code: OK, handle: BigInt(found) },
    );
  }

  interfaceGetInfo(handle: Handle, interfaceHandle: Handle, level: number): Promise<InfoResult> {
    const refusal = this.#refusal(handle);
    if (refusal) return Promise.resolve({ code: refusal, buffer: null });
    const timeMs = this.#advance();
    const rows = this.#interfaceRows();
    const head = rows.level0(interfaceHandle, timeMs, this.state === 'lan_only');
    if (!head) return Promise.resolve({ code: INVALID_HANDLE, buffer: null });
    if (level === 0) return Promise.resolve({ code: OK, buffer: this.#copyOf(head) });
    const link = rows.linkWith(interfaceHandle);
    // Only a two-way demand-dial interface has a phone-book entry to tell of.
    if (level !== 2 || link?.plan.type !== 'full_router') {
      return Promise.resolve({ code: INVALID_LEVEL, buffer: null });
    }
    return Promise.resolve({ code: OK, buffer: this.#copyOf(rows.level2(link, timeMs)) });
  }

  interfaceConnect(handle: Handle, interfaceHandle: Handle): Promise<CodeResult> {
    return this.#act('interfaceConnect', this.#refusal(handle) || this.#dialRefusal(), (timeMs) => {
      const { link, client, listed } = this.#interfaceOf(interfaceHandle, timeMs);
      if (link) return link.connect(timeMs);
      return client || listed ? INVALID_PARAMETER : INVALID_HANDLE;
    });
  }

  interfaceDisconnect(handle: Handle, interfaceHandle: Handle): Promise<CodeResult> {
    return this.#act('interfaceDisconnect', this.#refusal(handle) || this.#dialRefusal(), (timeMs) => {
      const { link, client, listed } = this.#interfaceOf(interfaceHandle, timeMs);
      if (link) return link.disconnect(timeMs);
      if (client) this.#world.hangUp(client, timeMs);
      else return listed ? INVALID_PARAMETER : INVALID_HANDLE;
      return OK;
    });
  }

  updateConnection(handle: Handle, connection: Handle, update: Uint8Array): Promise<CodeResult> {
    return this.#act('updateConnection', this.#refusal(handle), (timeMs) => {
      const bytes = Buffer.from(update);
      const { revision, type, size } = UPDATE_CONNECTION_OBJECT;
      const isHeader =
        bytes.length === size && bytes.readUInt32LE(0) === (revision | (type << 8) | (size << 16));
      if (!isHeader) return INVALID_PARAMETER;
      const session = this.#sessionWith((each) => BigInt(each.handle) === connection);
      if (session?.tunnel !== 'ikev2' || this.state === 'lan_only') return INVALID_TUNNELID;
      const text = (member: string): string => {
        const field = fieldOf(RAS_UPDATE_CONNECTION, member);
        return readWide(bytes, field.offset, field.size);
      };
      this.#world.move(session, {
        atMs: timeMs,
        localAddress: text('wszLocalEndpointAddress'),
        remoteAddress: text('wszRemoteEndpointAddress'),
      });
      return OK;
    });
  }

  portDisconnect(handle: Handle, port: Handle): Promise<CodeResult> {
    return this.#act('portDisconnect', this.#refusal(handle) || this.#dialRefusal(), (timeMs) => {
      const row = Number(port) - FIRST_PORT_HANDLE;
      if (this.#allPorts[row] === undefined) return INVALID_PARAMETER;
      const session = this.#sessionWith((each) => each.port === row);
      if (session) this.#world.hangUp(session, timeMs);
      return OK;
    });
  }

  setFaults(interfaceName: string, faults: DialFaults | null): void {
    const link = this.#world.links.find(({ plan }) => plan.name === interfaceName);
    if (!link) throw new Error(`there is no link ${interfaceName}`);
    link.setFaults(faults);
  }

  errorString(code: number): Promise<string | null> {
    return Promise.resolve(ERROR_TEXTS[code] ?? null);
  }

  liveSessions(atMs = this.#clock.monotonicMs()): TrueSession[] {
    return sessionsAt(this.#world, this.#context, Math.floor(atMs - this.#originMs), this.#originMs);
  }

  trafficBetween(fromMs: number, toMs: number): TrueTraffic[] {
    const from = Math.floor(fromMs - this.#originMs);
    return trafficBetween(this.#world, from, Math.floor(toMs - this.#originMs));
  }

  links(atMs = this.#clock.monotonicMs()): TrueLink[] {
    return linksAt(this.#world, Math.floor(atMs - this.#originMs));
  }

  /** What keeps every call from being answered, or 0. The binding is looked at before anything travels. */
  #refusal(handle: Handle): number {
    if (!this.#open.has(handle)) {
      this.ledger.strayHandles++;
      return INVALID_BINDING;
    }
    if (this.state === 'stopped') return SERVER_UNAVAILABLE;
    return this.state === 'denied' ? ACCESS_DENIED : OK;
  }

  #dialRefusal(): number {
    return this.state === 'lan_only' ? DDM_NOT_RUNNING : OK;
  }

  #act(method: ActMethod, refusal: number, act: (timeMs: number) => number): Promise<CodeResult> {
    const code = refusal || this.actCodes[method];
    if (code !== undefined && code !== OK) return Promise.resolve({ code });
    const timeMs = this.#advance();
    const result = act(timeMs);
    this.#world.advance(timeMs);
    return Promise.resolve({ code: result });
  }

  #interfaceOf(handle: Handle, timeMs: number): { link?: SiteLink; client?: Session; listed: boolean } {
    const rows = this.#interfaceRows();
    const link = rows.linkWith(handle);
    if (link) return { link, listed: true };
    const client = this.#sessionWith((each) => BigInt(each.interfaceHandle) === handle);
    return { ...(client && { client }), listed: rows.level0(handle, timeMs, false) !== null };
  }

  /** The live session that matches; the world must be at now. */
  #sessionWith(matches: (session: Session) => boolean): Session | null {
    const { live, liveCount, current } = this.#world;
    for (let i = 0; i < liveCount; i++) {
      const session = current[live[i]!]!;
      if (matches(session)) return session;
    }
    return null;
  }

  /** Brings the world to now: whole milliseconds since the simulator was made. */
  #advance(): number {
    const timeMs = Math.floor(this.#clock.monotonicMs() - this.#originMs);
    this.#wall.note(timeMs, this.#clock.wallSeconds());
    this.#world.advance(timeMs);
    return timeMs;
  }

  #connectionRows(level: 'level4' | 'ex'): ConnectionRows {
    return new ConnectionRows(level, this.#world.slots, this.#context, (timeMs) =>
      this.#wall.ticksAt(timeMs),
    );
  }

  #interfaceRows(): InterfaceRows {
    return (this.#interfaces ??= new InterfaceRows(this.#world, this.#context));
  }

  #connectionPage(rows: ConnectionRows, preferredLength: number, resumeHandle: number): Promise<EnumPage> {
    const timeMs = this.#advance();
    const { live, liveCount, current } = this.#world;
    return this.#page(rows.struct, liveCount, preferredLength, resumeHandle, (block, from, to) => {
      rows.write(block, current, live, from, to, timeMs);
    });
  }

  /** The port of a live connection, or null. Multilink, with several, does not occur here. */
  #portsOf(connection: Handle): Uint32Array | null {
    const session = this.#sessionWith((each) => BigInt(each.handle) === connection);
    return session && Uint32Array.of(session.port);
  }

  /**
   * One page of a list, straight into the memory that is handed out: a table beside it would take as much again. The
   * resume handle is a position in the list as it is now, so that a list that changes between two pages gives
   * duplicates and gaps, as the real one may.
   */
  #page(
    struct: Struct,
    length: number,
    preferredLength: number,
    resumeHandle: number,
    write: (block: Arena, from: number, to: number) => void,
  ): Promise<EnumPage> {
    const left = Math.max(0, length - resumeHandle);
    if (left === 0) {
      return Promise.resolve({ code: OK, buffer: null, entriesRead: 0, totalEntries: 0, resumeHandle: 0 });
    }
    const count = Math.min(left, this.#maxPageRecords, fitting(preferredLength, struct.size));
    const to = resumeHandle + count;
    const buffer =
      count === 0
        ? null
        : this.#heap.allocate(count * struct.size, (memory) => {
            write(new Arena(struct, memory), resumeHandle, to);
          });
    const more = count < left;
    return Promise.resolve({
      code: more ? MORE_DATA : OK,
      buffer,
      entriesRead: count,
      totalEntries: left,
      resumeHandle: more ? to : 0,
    });
  }

  #copyOf(bytes: Uint8Array) {
    return this.#heap.allocate(bytes.length, (block) => {
      block.set(bytes);
    });
  }
}

/** Nothing if the preferred length holds no record, else one more than it holds (mprapi-facts 5.2). */
function fitting(preferredLength: number, stride: number): number {
  if (preferredLength === PREFER_ALL) return Infinity;
  return preferredLength < stride ? 0 : Math.floor(preferredLength / stride) + 1;
}

/** After an error the resume handle is void; MprAdminPortEnum is known to leave -1. */
const refused = (code: number): Promise<EnumPage> =>
  Promise.resolve({ code, buffer: null, entriesRead: 0, totalEntries: 0, resumeHandle: 0xffff_ffff });
