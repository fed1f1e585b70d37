/** The ports as records of RAS_PORT_0, one row per port. Texts are written once; four numbers follow the sessions. */
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

export const deviceName = (tunnel: PortBlock['tunnel']): string => DEVICES[tunnel].device;

export class PortRows {
  readonly arena: Arena;
  readonly #world: World;
  readonly #at = words(RAS_PORT_0, '', [
    'hPort',
    'hConnection',
    'dwPortCondition',
    'dwTotalNumberOfCalls',
    'dwConnectDuration',
  ]);

  constructor(world: World) {
    this.#world = world;
    this.arena = new Arena(RAS_PORT_0, world.ports);
    const name = fieldOf(RAS_PORT_0, 'wszPortName');
    const media = fieldOf(RAS_PORT_0, 'wszMediaName');
    const device = fieldOf(RAS_PORT_0, 'wszDeviceName');
    const type = fieldOf(RAS_PORT_0, 'wszDeviceType');
    for (const block of world.portBlocks) {
      const texts = DEVICES[block.tunnel];
      for (let i = 0; i < block.count; i++) {
        const row = block.first + i;
        this.arena.u32[(row * RAS_PORT_0.size) / 4 + this.#at.hPort] = FIRST_PORT_HANDLE + row;
        this.arena.text(row, name, `${texts.port}-${i}`);
        this.arena.text(row, media, 'rastapi');
        this.arena.text(row, device, texts.device);
        this.arena.text(row, type, texts.type);
      }
    }
  }

  /** Brings the rows `ports[from]` to `ports[to - 1]` to `timeMs`, which the world must have been advanced to. */
  refresh(ports: Uint32Array, from: number, to: number, timeMs: number): void {
    const { u32 } = this.arena;
    const at = this.#at;
    const world = this.#world;
    for (let i = from; i < to; i++) {
      const port = ports[i]!;
      const slot = world.slotOfPort[port]!;
      const session = slot < 0 ? null : world.current[slot]!;
      const base = (port * RAS_PORT_0.size) / 4;
      if (session) {
        u32[base + at.hConnection] = session.handle;
        u32[base + at.dwPortCondition] = AUTHENTICATED;
        u32[base + at.dwConnectDuration] = (timeMs - session.startMs) / 1000;
      } else {
        u32[base + at.hConnection] = 0;
        u32[base + at.dwPortCondition] = this.#busy(port, slot, timeMs) ? AUTHENTICATING : LISTENING;
        u32[base + at.dwConnectDuration] = 0;
      }
      u32[base + at.dwTotalNumberOfCalls] = slot < 0 ? 0 : world.callsOf(slot, timeMs);
    }
  }

  #busy(port: number, slot: number, timeMs: number): boolean {
    if (slot >= 0) return this.#world.untilNext(slot, timeMs) <= LOGON_MS;
    const interval = Math.floor(timeMs / ATTEMPT_INTERVAL_MS);
    return fraction(this.#world.seed, STREAM.port, port, interval) < ATTEMPT_CHANCE;
  }
}
