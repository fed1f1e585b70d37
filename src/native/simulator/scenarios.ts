/**
 * The simulated servers to choose from, as data. A scenario says how many users there are, how they come and go and
 * which links fail for what; the seed draws the rest.
 */
import type { Tunnel } from '../../model/words.ts';
import type { LinkPlan } from './site-links.ts';

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

export type DialTunnel = Extract<Tunnel, 'ikev2' | 'sstp' | 'l2tp' | 'pptp'>;
export type Range = readonly [min: number, max: number];

export interface LanInterface {
  readonly name: string;
  /** fUnReachabilityReasons; 0 = connected. */
  readonly reasons: number;
}

export interface Scenario {
  /** One line for --help. */
  readonly summary: string;
  /** User slots: each holds at most one session at a time. */
  readonly users: number;
  /** Time from one session's start to the next one's, drawn per user. */
  readonly periodMs: Range;
  /** See Rhythm. */
  readonly jitter: number;
  readonly online: Range | null;
  /** Share of the period over which the users' periods begin: small = everybody logs on at once. */
  readonly spread: number;
  /** Every so many users one is fast enough to wrap 32-bit byte counters. */
  readonly heavyEvery: number;
  /** Bytes per second that such a user downloads on average; in bursts it is a multiple. */
  readonly heavyRate: Range;
  readonly roamEveryMs: Range;
  readonly tunnels: Readonly<Record<DialTunnel, number>>;
  /** Client addresses also from 100.64.0.0/10: the documentation ranges hold only some 700. */
  readonly carrierAddresses: boolean;
  readonly lan: readonly LanInterface[];
  readonly links: readonly LinkPlan[];
  /** At least this many ports per tunnel. */
  readonly ports: number;
  /** Share of ports beyond those that a tunnel's users and links can take. */
  readonly spare: number;
  /** Age of the service when the simulator is made. Longer than twice the longest period. */
  readonly uptimeMs: number;
  /** An old server: byte counters of 32 bits, and no level 4. */
  readonly exOnly: boolean;
}

const UNREACHABLE = { outOfResources: 0x01, adminDisabled: 0x02, dialoutHours: 0x10, noMedia: 0x20 } as const;
const ERROR = {
  portNotAvailable: 633,
  noAnswer: 678,
  authenticationFailure: 691,
  vpnTimeout: 809,
  ikeNegotiation: 789,
  dnsNameNotResolvable: 868,
  disabled: 916,
  dialoutHours: 944,
} as const;

const TUNNELS = { ikev2: 52, sstp: 30, l2tp: 12, pptp: 6 } as const;
const USUAL = { heavyRate: [8_000_000, 60_000_000], spare: 0.05, exOnly: false } as const;
const ETHERNET: LanInterface = { name: 'Ethernet', reasons: 0 };

const persistent = { type: 'full_router', persistent: true } as const;
const onDemand = { type: 'full_router', persistent: false } as const;

const BERLIN: LinkPlan = {
  ...persistent,
  name: 'Site-Berlin',
  tunnel: 'ikev2',
  host: 'berlin.vpn.example.com',
  pattern: { kind: 'steady' },
};
const KOELN: LinkPlan = {
  ...persistent,
  name: 'Branch Köln',
  tunnel: 'l2tp',
  host: '198.51.100.20',
  pattern: { kind: 'steady' },
};
const ZUERICH: LinkPlan = {
  ...onDemand,
  name: 'Branch Zürich',
  tunnel: 'ikev2',
  host: 'zuerich.vpn.example.com',
  pattern: { kind: 'on_demand', everyMs: 6 * MINUTE, online: [0.3, 0.7] },
};
/** Never connects, whoever dials. */
const MADRID: LinkPlan = {
  ...persistent,
  name: 'Site-Madrid',
  tunnel: 'ikev2',
  host: 'madrid.vpn.example.com',
  pattern: { kind: 'failed', error: ERROR.dnsNameNotResolvable, retryMs: 45 * SECOND },
};

/** One dial by command brings it back, for a while. */
const LISBOA: LinkPlan = {
  ...persistent,
  name: 'Site-Lisboa',
  tunnel: 'ikev2',
  host: 'lisboa.vpn.example.com',
  pattern: { kind: 'given_up', error: ERROR.vpnTimeout, upMs: 20 * MINUTE },
};
/** The first dial by command fails, the second works. */
const LODZ: LinkPlan = {
  ...onDemand,
  name: 'Branch Łódź',
  tunnel: 'l2tp',
  host: '192.0.2.77',
  pattern: { kind: 'given_up', error: ERROR.authenticationFailure, upMs: 20 * MINUTE },
  dials: { failures: 1 },
};

/** Links with one name each, for scenarios that need many. */
function series(prefix: string, count: number, plan: (index: number) => Omit<LinkPlan, 'name' | 'host'>) {
  return Array.from({ length: count }, (_, index): LinkPlan => {
    const name = `${prefix}-${String(index + 1).padStart(2, '0')}`;
    return { ...plan(index), name, host: `${name.toLowerCase()}.vpn.example.com` };
  });
}

export const SCENARIOS = {
  small: {
    ...USUAL,
    summary: 'a dozen users and 3 site links, one of them down',
    users: 12,
    periodMs: [15 * MINUTE, 8 * HOUR],
    jitter: 0.6,
    online: [0.75, 0.98],
    spread: 1,
    heavyEvery: 12,
    roamEveryMs: [3 * MINUTE, 20 * MINUTE],
    tunnels: TUNNELS,
    carrierAddresses: false,
    lan: [ETHERNET],
    links: [BERLIN, ZUERICH, MADRID],
    ports: 128,
    uptimeMs: 3 * DAY + 4 * HOUR,
  },
  office: {
    ...USUAL,
    summary:
      'about 100 of 150 users online, logging on and off every few seconds, and 9 site links (the demo)',
    users: 150,
    periodMs: [5 * MINUTE, 8 * HOUR],
    jitter: 0.7,
    online: [0.4, 0.95],
    spread: 1,
    heavyEvery: 40,
    roamEveryMs: [2 * MINUTE, 12 * MINUTE],
    tunnels: TUNNELS,
    carrierAddresses: false,
    lan: [ETHERNET, { name: 'Ethernet 2', reasons: 0 }],
    links: [
      BERLIN,
      KOELN,
      {
        ...persistent,
        name: 'Site-Paris',
        tunnel: 'ikev2',
        host: '203.0.113.40',
        pattern: {
          kind: 'flapping',
          everyMs: 4 * MINUTE,
          online: [0.5, 0.8],
          error: ERROR.vpnTimeout,
          retryMs: 20 * SECOND,
        },
      },
      ZUERICH,
      MADRID,
      LODZ,
      {
        ...persistent,
        name: 'Site-Oslo',
        tunnel: 'ikev2',
        host: 'oslo.vpn.example.com',
        pattern: {
          kind: 'blocked',
          enabled: false,
          reasons: UNREACHABLE.adminDisabled,
          error: ERROR.disabled,
        },
      },
      {
        name: 'Lager Süd',
        type: 'home_router',
        persistent: true,
        tunnel: 'pptp',
        host: '203.0.113.80',
        pattern: { kind: 'steady' },
      },
      LISBOA,
    ],
    ports: 128,
    uptimeMs: 11 * DAY + 7 * HOUR,
  },
  large: {
    ...USUAL,
    summary: 'exactly 50,000 connections at any time, a few sessions changing every second',
    users: 50_000 - 16,
    periodMs: [30 * MINUTE, 2 * DAY],
    jitter: 0.7,
    online: null,
    spread: 1,
    heavyEvery: 400,
    roamEveryMs: [10 * MINUTE, 2 * HOUR],
    tunnels: TUNNELS,
    carrierAddresses: true,
    lan: [ETHERNET, { name: 'Ethernet 2', reasons: 0 }],
    links: [
      ...series('Site', 16, () => ({ ...persistent, tunnel: 'ikev2', pattern: { kind: 'steady' } })),
      ...series('Branch', 4, (i) => ({
        ...persistent,
        tunnel: 'ikev2',
        pattern: {
          kind: 'failed',
          error: i % 2 ? ERROR.vpnTimeout : ERROR.ikeNegotiation,
          retryMs: MINUTE,
        },
      })),
    ],
    ports: 128,
    uptimeMs: 19 * DAY,
  },
  flapping: {
    ...USUAL,
    summary: 'site links that go up and down all the time, users that reconnect often',
    users: 60,
    periodMs: [15 * SECOND, 70 * SECOND],
    jitter: 0.6,
    online: [0.4, 1.15],
    spread: 1,
    heavyEvery: 20,
    roamEveryMs: [8 * SECOND, 30 * SECOND],
    tunnels: TUNNELS,
    carrierAddresses: false,
    lan: [ETHERNET],
    links: [
      BERLIN,
      ...series('Flap', 8, (i) => ({
        ...(i % 3 === 2 ? onDemand : persistent),
        tunnel: i % 4 === 3 ? 'l2tp' : 'ikev2',
        pattern: {
          kind: 'flapping',
          everyMs: (20 + 15 * i) * SECOND,
          online: [0.3, 0.85],
          error: i % 2 ? ERROR.vpnTimeout : ERROR.noAnswer,
          retryMs: 9 * SECOND,
        },
      })),
    ],
    ports: 128,
    uptimeMs: DAY + 2 * HOUR,
  },
  storm: {
    ...USUAL,
    summary: 'logon storms: 4,000 users in waves of very short sessions, most site links failing',
    users: 4000,
    periodMs: [90 * SECOND, 90 * SECOND],
    jitter: 0.15,
    online: [0.02, 0.35],
    spread: 0.25,
    heavyEvery: 500,
    roamEveryMs: [5 * SECOND, 20 * SECOND],
    tunnels: TUNNELS,
    carrierAddresses: true,
    lan: [ETHERNET, { name: 'Ethernet 2', reasons: UNREACHABLE.noMedia }],
    links: [
      BERLIN,
      KOELN,
      ...series('Storm', 10, (i) => ({
        ...(i % 2 ? onDemand : persistent),
        tunnel: 'ikev2',
        pattern: (
          [
            { kind: 'failed', error: ERROR.vpnTimeout, retryMs: 30 * SECOND },
            {
              kind: 'blocked',
              enabled: true,
              reasons: UNREACHABLE.outOfResources,
              error: ERROR.portNotAvailable,
            },
            { kind: 'failed', error: ERROR.authenticationFailure, retryMs: 50 * SECOND },
            {
              kind: 'blocked',
              enabled: true,
              reasons: UNREACHABLE.dialoutHours,
              error: ERROR.dialoutHours,
            },
            {
              kind: 'flapping',
              everyMs: 40 * SECOND,
              online: [0.1, 0.5],
              error: ERROR.vpnTimeout,
              retryMs: 8 * SECOND,
            },
          ] as const
        )[i % 5]!,
      })),
    ],
    ports: 128,
    uptimeMs: 2 * DAY,
  },
  crowded: {
    ...USUAL,
    summary: 'no IKEv2 port is ever free: 40 users that never leave, on 16 or more ports of each tunnel',
    users: 40,
    periodMs: [30 * MINUTE, 8 * HOUR],
    jitter: 0.7,
    online: null,
    spread: 1,
    heavyEvery: 20,
    roamEveryMs: [3 * MINUTE, 20 * MINUTE],
    tunnels: TUNNELS,
    carrierAddresses: false,
    lan: [ETHERNET],
    links: [BERLIN],
    ports: 16,
    spare: 0,
    uptimeMs: 6 * DAY,
  },
  fast: {
    ...USUAL,
    summary: 'an old server with byte counters of 32 bits, and users with bursts beyond 10 Gbit/s',
    users: 32,
    periodMs: [30 * MINUTE, 8 * HOUR],
    jitter: 0.7,
    online: [0.75, 0.98],
    spread: 1,
    heavyEvery: 8,
    heavyRate: [300_000_000, 500_000_000],
    roamEveryMs: [3 * MINUTE, 20 * MINUTE],
    tunnels: TUNNELS,
    carrierAddresses: false,
    lan: [ETHERNET],
    links: [BERLIN, KOELN],
    ports: 128,
    uptimeMs: 4 * DAY,
    exOnly: true,
  },
} as const satisfies Record<string, Scenario>;

export type ScenarioName = keyof typeof SCENARIOS;
export const SCENARIO_NAMES = Object.keys(SCENARIOS) as readonly ScenarioName[];

export function isScenarioName(text: string): text is ScenarioName {
  return Object.hasOwn(SCENARIOS, text);
}

/**
 * The scenario with `connections` always-on users and steady links together, whatever it had. Exactly this many
 * connections at any time if its other links never connect, as in `large`.
 */
export function withConnections(scenario: Scenario, connections: number): Scenario {
  if (!Number.isInteger(connections) || connections < 0) {
    throw new RangeError(`connections must be a whole number, got ${connections}`);
  }
  let steady = 0;
  const links = scenario.links.filter((link) => link.pattern.kind !== 'steady' || ++steady <= connections);
  return { ...scenario, links, online: null, users: Math.max(0, connections - steady) };
}
