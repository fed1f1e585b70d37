/**
 * The interfaces as records of MPR_INTERFACE_0: loopback, internal, LAN and demand-dial ones first, then one client
 * interface per connected user. Also MPR_INTERFACE_2 of a single demand-dial interface.
 */
import { INTERFACE_STATES, INTERFACE_TYPES, type InterfaceState } from '../../model/words.ts';
import { fieldOf, MPR_INTERFACE_0, MPR_INTERFACE_2, offsetOf, type Struct } from '../layout.ts';
import { Arena, words } from './arena.ts';
import { describe, type FactsContext } from './facts.ts';
import { deviceName } from './port-rows.ts';
import { Dice, hash, STREAM } from './random.ts';
import type { Session } from './session.ts';
import type { LinkState, SiteLink } from './site-links.ts';
import type { World } from './world.ts';

const NUMBERS = [
  'hInterface',
  'fEnabled',
  'dwIfType',
  'dwConnectionState',
  'fUnReachabilityReasons',
  'dwLastError',
] as const;

/** The members that all levels share. */
interface Head {
  readonly name: string;
  readonly handle: number;
  readonly type: (typeof INTERFACE_TYPES)[number];
  readonly enabled: boolean;
  readonly state: InterfaceState;
  readonly reasons: number;
  readonly lastError: number;
}

const CLIENT = INTERFACE_TYPES.indexOf('client');
const CONNECTED = INTERFACE_STATES.indexOf('connected');
const LOOPBACK_HANDLE = 1;
const INTERNAL_HANDLE = 2;

export class InterfaceRows {
  /** Rows before the clients': loopback, internal, LAN, then the links. */
  readonly fixed: number;
  /** Of these, the ones that a LAN-only router has too. */
  readonly lanOnly: number;
  readonly #world: World;
  readonly #context: FactsContext;
  /** Session and name of each user's interface when it was last listed: a name is costly to draw. */
  readonly #named: (Session | null)[];
  readonly #names: string[];
  readonly #name = fieldOf(MPR_INTERFACE_0, 'wszInterfaceName');
  readonly #at = words(MPR_INTERFACE_0, '', NUMBERS);

  constructor(world: World, context: FactsContext) {
    this.#world = world;
    this.#context = context;
    this.lanOnly = 2 + world.lan.length;
    this.fixed = this.lanOnly + world.links.length;
    this.#named = new Array<Session | null>(world.users).fill(null);
    this.#names = new Array<string>(world.users).fill('');
  }

  /** Writes the listed rows as they are at `timeMs`, which the world must have been advanced to. */
  write(records: Arena, rows: Uint32Array, from: number, to: number, timeMs: number): void {
    records.u8.fill(0);
    for (let i = from; i < to; i++) {
      const row = rows[i]!;
      if (row < this.fixed) this.#writeHead(records, i - from, this.#fixedHead(row, timeMs));
      else this.#writeClient(records, i - from, row - this.fixed);
    }
  }

  #writeClient(records: Arena, row: number, slot: number): void {
    const session = this.#world.current[slot]!;
    if (this.#named[slot] !== session) {
      this.#named[slot] = session;
      this.#names[slot] = describe(this.#context, session).interfaceName;
    }
    records.text(row, this.#name, this.#names[slot]!);
    const { u32 } = records;
    const base = (row * records.stride) / 4;
    u32[base + this.#at.hInterface] = session.interfaceHandle;
    u32[base + this.#at.fEnabled] = 1;
    u32[base + this.#at.dwIfType] = CLIENT;
    u32[base + this.#at.dwConnectionState] = CONNECTED;
  }

  /** Handle of the first listed interface of that name; needs the world at `timeMs`. */
  find(name: string, includeClients: boolean, timeMs: number, lanOnly: boolean): number | null {
    const matches = (head: Head): boolean => head.name === name;
    return this.#search(matches, includeClients, timeMs, lanOnly)?.handle ?? null;
  }

  /** The demand-dial interface with this handle. */
  linkWith(handle: bigint): SiteLink | null {
    return this.#world.links.find((link) => BigInt(link.handle) === handle) ?? null;
  }

  /** MPR_INTERFACE_0 of the interface with this handle, if there is one. */
  level0(handle: bigint, timeMs: number, lanOnly: boolean): Uint8Array | null {
    const head = this.#search((each) => BigInt(each.handle) === handle, true, timeMs, lanOnly);
    if (!head) return null;
    const one = new Arena(MPR_INTERFACE_0);
    writeHead(one, 0, head);
    return one.u8;
  }

  /** MPR_INTERFACE_2 of a demand-dial interface: what its phone-book entry says. */
  level2(link: SiteLink, timeMs: number): Uint8Array {
    const one = new Arena(MPR_INTERFACE_2);
    writeHead(one, 0, linkHead(link, link.stateAt(timeMs)), MPR_INTERFACE_2);
    const put = (path: string, value: number): void => {
      one.u32[offsetOf(MPR_INTERFACE_2, path) / 4] = value;
    };
    const text = (path: string, value: string): void => {
      one.text(0, fieldOf(MPR_INTERFACE_2, path), value);
    };
    const { plan } = link;
    text('szLocalPhoneNumber', plan.host);
    text('szDeviceType', 'vpn');
    text('szDeviceName', deviceName(plan.tunnel));
    put('dwfOptions', REQUIRE_ENCRYPTION | (plan.tunnel === 'ikev2' ? REQUIRE_EAP : REQUIRE_MSCHAPV2));
    put('dwfNetProtocols', IP | IPV6);
    put('dwSubEntries', 1);
    put('dwDialMode', 1);
    put('dwDialExtraPercent', 75);
    put('dwDialExtraSampleSeconds', 120);
    put('dwHangUpExtraPercent', 10);
    put('dwHangUpExtraSampleSeconds', 120);
    put('dwIdleDisconnectSeconds', plan.persistent ? NEVER : 300);
    put('dwType', VPN);
    put('dwEncryptionType', 1);
    put('dwVpnStrategy', STRATEGY[plan.tunnel]);
    // The phone-book entry keeps its guid for ever: it depends on the link alone.
    const dice = new Dice(hash(this.#world.seed, STREAM.link, link.slot, 2));
    const guid = offsetOf(MPR_INTERFACE_2, 'guidId') / 4;
    for (let i = 0; i < 4; i++) one.u32[guid + i] = dice.bits();
    return one.u8;
  }

  #search(
    matches: (head: Head) => boolean,
    includeClients: boolean,
    timeMs: number,
    lanOnly: boolean,
  ): Head | null {
    for (let row = 0; row < (lanOnly ? this.lanOnly : this.fixed); row++) {
      const head = this.#fixedHead(row, timeMs);
      if (matches(head)) return head;
    }
    if (lanOnly || !includeClients) return null;
    for (let i = 0; i < this.#world.liveUsers; i++) {
      const session = this.#world.current[this.#world.live[i]!]!;
      const head = clientHead(session, describe(this.#context, session).interfaceName);
      if (matches(head)) return head;
    }
    return null;
  }

  #fixedHead(row: number, timeMs: number): Head {
    const connected = { enabled: true, state: 'connected', reasons: 0, lastError: 0 } as const;
    if (row === 0) return { name: 'Loopback', handle: LOOPBACK_HANDLE, type: 'loopback', ...connected };
    if (row === 1) return { name: 'Internal', handle: INTERNAL_HANDLE, type: 'internal', ...connected };
    const lan = this.#world.lan[row - 2];
    if (lan) {
      const state = lan.reasons === 0 ? 'connected' : 'unreachable';
      const { name, handle, reasons } = lan;
      return { name, handle, type: 'dedicated', enabled: true, state, reasons, lastError: 0 };
    }
    const link = this.#world.links[row - this.lanOnly]!;
    return linkHead(link, link.stateAt(timeMs));
  }

  #writeHead(records: Arena, row: number, head: Head): void {
    records.text(row, this.#name, head.name);
    writeNumbers(records.u32, (row * records.stride) / 4, this.#at, head);
  }
}

const clientHead = (session: Session, name: string): Head => ({
  name,
  handle: session.interfaceHandle,
  type: 'client',
  enabled: true,
  state: 'connected',
  reasons: 0,
  lastError: 0,
});

const linkHead = (link: SiteLink, state: LinkState): Head => ({
  name: link.plan.name,
  handle: link.handle,
  type: link.plan.type,
  enabled: state.enabled,
  state: state.state,
  reasons: state.reasons,
  lastError: state.lastError,
});

function writeHead(arena: Arena, row: number, head: Head, struct: Struct = MPR_INTERFACE_0): void {
  arena.text(row, fieldOf(struct, 'wszInterfaceName'), head.name);
  writeNumbers(arena.u32, (row * arena.stride) / 4, words(struct, '', NUMBERS), head);
}

function writeNumbers(
  u32: Uint32Array,
  base: number,
  at: Readonly<Record<(typeof NUMBERS)[number], number>>,
  head: Head,
): void {
  u32[base + at.hInterface] = head.handle;
  u32[base + at.fEnabled] = head.enabled ? 1 : 0;
  u32[base + at.dwIfType] = INTERFACE_TYPES.indexOf(head.type);
  u32[base + at.dwConnectionState] = head.state === 'unknown' ? 0 : INTERFACE_STATES.indexOf(head.state);
  u32[base + at.fUnReachabilityReasons] = head.reasons;
  u32[base + at.dwLastError] = head.lastError;
}

/** MPRIO_*, MPRNP_*, MPRET_*, MPR_VS_* (mprapi-facts 4.12). */
const REQUIRE_ENCRYPTION = 0x1000;
const REQUIRE_EAP = 0x2_0000;
const REQUIRE_MSCHAPV2 = 0x2000_0000;
const IP = 4;
const IPV6 = 8;
const VPN = 2;
const NEVER = 0xffff_ffff;
const STRATEGY = { ikev2: 7, l2tp: 3, pptp: 1, sstp: 5 } as const;
