/** The ports as records of RAS_PORT_0: what all ports of a tunnel share, a number in the name, and what the session has. */
import { fieldOf, RAS_PORT_0 } from '../layout.ts';
import { Arena, words } from './arena.ts';
import { fraction, STREAM } from './random.ts';
import type { PortBlock, World } from './world.ts';

/** RAS_PORT_CONDITION. */
const LISTENING = 3;
const AUTHENTICATING = 4;
const AUTHENTICATED = 5;
/** A user's port is busy with the logon for this long before the session stands. */
const LOGON_MS = 1500;
/** Idle ports see a logon that comes to nothing in one of so many intervals. */
const ATTEMPT_INTERVAL_MS = 4000;
const ATTEMPT_CHANCE = 1 / 500;
/** hPort of the first row; the others follow. */
export const FIRST_PORT_HANDLE = 0x300;

/** Names as Windows gives them: the number is the miniport's, not the protocol's; the letter case is not constant. */
const DEVICES: Readonly<
  Record<PortBlock['tunnel'], { readonly device: string; readonly type: string; readonly port: string }>
> = {
  ikev2: { device: 'WAN Miniport (IKEv2)', type: 'vpn', port: 'VPN2' },
  sstp: { device: 'WAN Miniport (SSTP)', type: 'vpn', port: 'VPN0' },
  l2tp: { device: 'WAN Miniport (L2TP)', type: 'Vpn', port: 'VPN3' },
  pptp: { device: 'WAN Miniport (PPTP)', type: 'VPN', port: 'VPN4' },
  pppoe: { device: 'WAN Miniport (PPPOE)', type: 'PPPoE', port: 'PPPoE5' },
};

const PORT_NAME = fieldOf(RAS_PORT_0, 'wszPortName');

export const deviceName = (tunnel: PortBlock['tunnel']): string => DEVICES[tunnel].device;

export class PortRows {
  readonly #world: World;
  readonly #at = words(RAS_PORT_0, '', [
    'hPort',
    'hConnection',
    'dwPortCondition',
    'dwTotalNumberOfCalls',
    'dwConnectDuration',
  ]);
  /** A record of each block, with its texts but for the number in the name. */
  readonly #templates: readonly Uint8Array[];

  constructor(world: World) {
    this.#world = world;
    this.#templates = world.portBlocks.map(({ tunnel }) => {
      const template = new Arena(RAS_PORT_0);
      const { device, type, port } = DEVICES[tunnel];
      template.text(0, PORT_NAME, `${port}-`);
      template.text(0, fieldOf(RAS_PORT_0, 'wszMediaName'), 'rastapi');
      template.text(0, fieldOf(RAS_PORT_0, 'wszDeviceName'), device);
      template.text(0, fieldOf(RAS_PORT_0, 'wszDeviceType'), type);
      return template.u8;
    });
  }

  /** Writes `ports[from]` to `ports[to - 1]` as they are at `timeMs`, which the world must have been advanced to. */
  write(records: Arena, ports: Uint32Array, from: number, to: number, timeMs: number): void {
    const { u8, u16, u32 } = records;
    const at = this.#at;
    const world = this.#world;
    const blocks = world.portBlocks;
    let b = 0;
    for (let i = from; i < to; i++) {
      const port = ports[i]!;
      while (port >= blocks[b]!.first + blocks[b]!.count) b++;
      const start = (i - from) * RAS_PORT_0.size;
      u8.set(this.#templates[b]!, start);
      appendNumber(u16, (start + PORT_NAME.offset) / 2, port - blocks[b]!.first);
      const base = start / 4;
      u32[base + at.hPort] = FIRST_PORT_HANDLE + port;
      const slot = world.slotOfPort[port]!;
      const session = slot < 0 ? null : world.current[slot]!;
      if (session) {
        u32[base + at.hConnection] = session.handle;
        u32[base + at.dwPortCondition] = AUTHENTICATED;
        u32[base + at.dwConnectDuration] = (timeMs - session.startMs) / 1000;
      } else {
        u32[base + at.dwPortCondition] = this.#busy(port, slot, timeMs) ? AUTHENTICATING : LISTENING;
      }
      if (slot >= 0) u32[base + at.dwTotalNumberOfCalls] = world.callsOf(slot, timeMs);
    }
  }

  #busy(port: number, slot: number, timeMs: number): boolean {
    if (slot >= 0) return this.#world.untilNext(slot, timeMs) <= LOGON_MS;
    const interval = Math.floor(timeMs / ATTEMPT_INTERVAL_MS);
    return fraction(this.#world.seed, STREAM.port, port, interval) < ATTEMPT_CHANCE;
  }
}

/** Writes the digits of `value` behind the text at `unit`; a string of its own for each port would be garbage at once. */
function appendNumber(units: Uint16Array, unit: number, value: number): void {
  let end = unit;
  while (units[end] !== 0) end++;
  for (let left = value; left >= 10; left = Math.floor(left / 10)) end++;
  let left = value;
  do {
    units[end--] = 0x30 + (left % 10);
    left = Math.floor(left / 10);
  } while (left > 0);
}
