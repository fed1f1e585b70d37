/**
 * A session's texts and fixed facts: who, from where, how authenticated and encrypted. Drawn again whenever they are
 * wanted, since a record needs them only when a session is new to it.
 */
import { personOf } from './people.ts';
import { Dice, hash, STREAM } from './random.ts';
import type { DialTunnel } from './scenarios.ts';
import type { Session } from './session.ts';
import type { LinkPlan } from './site-links.ts';

/** PPP authentication: protocol, and the algorithm where the protocol is CHAP (mprapi-facts 4.9). */
export interface PppFacts {
  readonly authentication: number;
  readonly authenticationData: number;
  /** Only the remote fields are filled: some demand-dial and older clients report it there. */
  readonly remoteOnly: boolean;
  readonly lcpOptions: number;
  readonly compression: number;
  readonly ccpOptions: number;
}

export interface Ikev2Facts {
  /** 1 machine certificate, 2 EAP. */
  readonly authentication: number;
  /** IPSEC_CIPHER_TYPE. */
  readonly cipher: number;
}

export interface SessionFacts {
  readonly interfaceName: string;
  /** ROUTER_INTERFACE_TYPE. */
  readonly interfaceType: number;
  readonly user: string;
  readonly domain: string;
  readonly computer: string;
  readonly guid: readonly [number, number, number, number];
  /** RAS_FLAGS_* without DORMANT. */
  readonly flags: number;
  readonly quarantine: number;
  /** RASDEVICETYPE, now and then with the class bit. */
  readonly deviceType: number;
  readonly compressionIn: number;
  readonly compressionOut: number;
  readonly serverAddress: string;
  readonly tunnelAddress: string;
  /** Client prefix and both interface identifiers, as pairs of 32-bit words in memory order. */
  readonly v6: {
    readonly prefix: readonly [number, number];
    readonly client: readonly [number, number];
    readonly server: readonly [number, number];
  } | null;
  readonly eapType: number;
  readonly innerEapType: number;
  /** PPP unless this is an IKEv2 session. */
  readonly protocol: ({ readonly kind: 'ppp' } & PppFacts) | ({ readonly kind: 'ikev2' } & Ikev2Facts);
}

export const DEVICE_TYPE: Readonly<Record<DialTunnel, number>> = { pptp: 8, l2tp: 9, sstp: 14, ikev2: 15 };
const TUNNEL_CLASS = 0x1_0000;
const FLAG = { ppp: 0x01, messenger: 0x02, quarantine: 0x08, ikev2: 0x10 } as const;
export const DORMANT = 0x20;
export const QUARANTINE = { normal: 0, quarantine: 1, probation: 2, notCapable: 3 } as const;
const INTERFACE_TYPE = { client: 0, home_router: 1, full_router: 2 } as const;
const PPP = { pap: 0xc023, chap: 0xc223, eap: 0xc227 } as const;
const CHAP = { md5: 0x05, mschap: 0x80, mschapv2: 0x81 } as const;
const EAP = { md5: 4, tls: 13, ttls: 21, peap: 25, mschapv2: 26 } as const;
const MPPC = 6;
const CCP = { compression: 0x01, mppe40: 0x20, mppe128: 0x40, mppe56: 0x80, stateless: 0x0100_0000 } as const;
const LCP = { pfc: 0x02, acfc: 0x04, tripleDes: 0x20, aes128: 0x40, aes256: 0x80, gcm256: 0x800 } as const;

export interface FactsContext {
  readonly seed: number;
  readonly carrierAddresses: boolean;
  /** Number of the session's handle among its kind: unique among live sessions, as tunnel addresses must be. */
  readonly addressIndex: (session: Session) => number;
  /** The link that a site session belongs to. */
  readonly planOf: (session: Session) => LinkPlan | null;
}

export function describe(context: FactsContext, session: Session): SessionFacts {
  const { seed } = context;
  const dice = new Dice(hash(seed, STREAM.facts, session.slot, session.index));
  const plan = context.planOf(session);
  const ikev2 = session.tunnel === 'ikev2';
  const protocol = ikev2
    ? ({ kind: 'ikev2', ...ikev2Facts(dice) } as const)
    : pppFacts(dice, session, !!plan);
  const eap = protocol.kind === 'ikev2' ? protocol.authentication === 2 : protocol.authentication === PPP.eap;
  const eapType = eap ? eapTypeOf(dice) : 0;
  const innerEapType = eapType === EAP.peap ? (dice.chance(0.7) ? EAP.mschapv2 : EAP.tls) : 0;
  const machine = ikev2 && protocol.kind === 'ikev2' && protocol.authentication === 1 && !plan;
  const person = plan
    ? {
        user: plan.name.toLowerCase().replaceAll(' ', '-'),
        domain: dice.chance(0.5) ? 'ROUTERS' : '',
        computer: '',
      }
    : personOf(seed, session.slot, machine);
  const quarantine = plan ? QUARANTINE.normal : quarantineOf(session.slot);
  const compressed = protocol.kind === 'ppp' && (protocol.ccpOptions & CCP.compression) !== 0;
  // What a session without compression reports is not documented; both candidates occur.
  const uncompressed = ikev2 ? 0 : 100;
  const index = context.addressIndex(session);
  return {
    interfaceName: plan ? plan.name : person.user,
    interfaceType: INTERFACE_TYPE[plan ? plan.type : 'client'],
    ...person,
    guid: [dice.bits(), dice.bits(), dice.bits(), dice.bits()],
    flags:
      (ikev2 ? FLAG.ikev2 : FLAG.ppp) |
      (dice.chance(0.05) ? FLAG.messenger : 0) |
      (quarantine === QUARANTINE.quarantine ? FLAG.quarantine : 0),
    quarantine,
    deviceType: DEVICE_TYPE[session.tunnel as DialTunnel] | (dice.chance(0.25) ? TUNNEL_CLASS : 0),
    compressionIn: compressed ? dice.integer(35, 98) : uncompressed,
    compressionOut: compressed ? dice.integer(35, 98) : uncompressed,
    serverAddress: plan ? '10.255.0.1' : '10.128.0.1',
    tunnelAddress: plan ? dotted(0x0aff_0002 + index) : dotted(0x0a80_0002 + index),
    v6: dice.chance(0.35)
      ? {
          // 2001:db8:77xx:xxxx::/64 (links 78xx), a network of its own for each session.
          prefix: [0xb80d_0120, swap((plan ? 0x7800_0000 : 0x7700_0000) + index)],
          client: [dice.bits(), dice.bits()],
          server: [0, 0x0100_0000],
        }
      : null,
    eapType,
    innerEapType,
    protocol,
  };
}

function ikev2Facts(dice: Dice): Ikev2Facts {
  return { authentication: dice.chance(0.25) ? 1 : 2, cipher: dice.pick([5, 5, 5, 3, 4, 2]) };
}

function pppFacts(dice: Dice, session: Session, site: boolean): { readonly kind: 'ppp' } & PppFacts {
  const kind = dice.unit();
  const authentication = kind < 0.45 ? PPP.eap : kind < 0.97 ? PPP.chap : PPP.pap;
  const authenticationData =
    authentication === PPP.chap
      ? dice.pick([CHAP.mschapv2, CHAP.mschapv2, CHAP.mschapv2, CHAP.mschap, CHAP.md5])
      : 0;
  const pptp = session.tunnel === 'pptp';
  const l2tp = session.tunnel === 'l2tp';
  const compresses = dice.chance(0.3);
  const mppe = pptp ? dice.pick([CCP.mppe128, CCP.mppe128, CCP.mppe128, CCP.mppe56, CCP.mppe40]) : 0;
  return {
    kind: 'ppp',
    authentication,
    authenticationData,
    remoteOnly: dice.chance(site ? 0.4 : 0.05),
    lcpOptions:
      LCP.pfc |
      LCP.acfc |
      (l2tp ? dice.pick([LCP.aes256, LCP.aes256, LCP.aes128, LCP.tripleDes, LCP.gcm256]) : 0),
    compression: compresses || mppe ? MPPC : 0,
    ccpOptions: (compresses ? CCP.compression : 0) | (mppe ? mppe | CCP.stateless : 0),
  };
}

function eapTypeOf(dice: Dice): number {
  return dice.pick([
    EAP.mschapv2,
    EAP.mschapv2,
    EAP.mschapv2,
    EAP.peap,
    EAP.peap,
    EAP.tls,
    EAP.tls,
    EAP.ttls,
  ]);
}

/** Normal but for a few: one or two of a small server, the same share of a large one. */
function quarantineOf(slot: number): number {
  switch (slot % 500) {
    case 4:
      return QUARANTINE.quarantine;
    case 9:
      return QUARANTINE.probation;
    case 60:
      return QUARANTINE.notCapable;
    default:
      return QUARANTINE.normal;
  }
}

const overV6 = (seed: number, session: Session): boolean =>
  hash(seed, STREAM.endpoint, session.slot, 0) % 10 === 0;

const DOCUMENTATION = [0xcb00_7100, 0xc633_6400, 0xc000_0200] as const;
const CARRIER = 0x6440_0000;

/** The client's outer address after it roamed `moves` times; each session starts from its own. */
function remoteEndpoint(context: FactsContext, session: Session, moves: number): string {
  const { seed } = context;
  const bits = hash(seed, STREAM.endpoint, session.slot, Math.imul(session.index, 0x1_0003) + moves + 1);
  if (overV6(seed, session)) {
    const group = (shift: number, mask: number) => ((bits >>> shift) & mask).toString(16);
    return `2001:db8:${group(0, 0xfff)}:${group(12, 0xfff)}::${group(24, 0xff)}`;
  }
  if (context.carrierAddresses && bits % 8 !== 0) return dotted(CARRIER + ((bits >>> 3) % 0x40_0000));
  return dotted((DOCUMENTATION[bits % 3] ?? DOCUMENTATION[0]) + 2 + ((bits >>> 8) % 252));
}

/**
 * Both outer addresses at `timeMs`. The remote one is that of the last move, roamed or commanded; the server's own end
 * changes by command only.
 */
export function endpointsAt(
  context: FactsContext,
  session: Session,
  timeMs: number,
): { readonly remoteAddress: string; readonly localAddress: string } {
  const roamedBy = (atMs: number): number =>
    session.roamMs > 0 ? Math.floor((atMs - session.startMs) / session.roamMs) : 0;
  const last = session.moves.findLast(({ atMs }) => atMs <= timeMs);
  const roamed = roamedBy(timeMs);
  return {
    remoteAddress:
      last && roamedBy(last.atMs) === roamed ? last.remoteAddress : remoteEndpoint(context, session, roamed),
    localAddress: last?.localAddress ?? localEndpoint(context, session),
  };
}

const localEndpoint = ({ seed }: FactsContext, session: Session): string =>
  overV6(seed, session) ? '2001:db8:ffff::1' : '192.0.2.1';

const dotted = (address: number): string =>
  `${(address >>> 24) & 255}.${(address >>> 16) & 255}.${(address >>> 8) & 255}.${address & 255}`;

/** Byte order of a 32-bit word turned around: addresses stand in network order in memory. */
const swap = (word: number): number =>
  (((word & 0xff) << 24) | ((word & 0xff00) << 8) | ((word >>> 8) & 0xff00) | (word >>> 24)) >>> 0;
