/** What the page knows: the answers of the API, as far as it shows them. */

export interface StatusData {
  readonly version: string;
  readonly simulated: boolean;
  readonly replayed: boolean;
  readonly up: boolean;
  /** Unix seconds, as all times here; 0 before the first. */
  readonly snapshotTime: number;
  readonly service: {
    readonly running: boolean;
    readonly lanOnly: boolean;
    readonly startTime: number | null;
  } | null;
  readonly sources: Readonly<
    Record<string, { readonly up: boolean | null; readonly problem: string | null }>
  >;
  readonly connections: number | null;
  readonly hiddenConnections: number | null;
  readonly tunnels: Readonly<Record<string, TunnelData>>;
  readonly history: HistoryData;
}

export interface TunnelData {
  readonly connections: number | null;
  readonly portsInUse: number | null;
  readonly ports: number | null;
}

export interface HistoryData {
  readonly stepSeconds: number;
  readonly points: readonly HistoryPoint[];
}

export interface HistoryPoint {
  readonly time: number;
  readonly connections: Readonly<Record<string, number>>;
}

export interface InterfaceData {
  readonly interface: string;
  readonly interfaceType: string;
  readonly enabled: boolean;
  readonly state: string;
  readonly unreachableReasons: readonly string[];
  readonly lastError: number;
  readonly lastErrorName: string | null;
  readonly stateChangeTime: number | null;
}

export interface ConnectionData {
  readonly connection: string;
  readonly user: string;
  readonly domain: string;
  readonly computer: string;
  readonly interface: string;
  readonly tunnel: string;
  readonly role: string;
  readonly auth: string;
  readonly encryption: string;
  readonly tunnelAddress: string;
  readonly tunnelAddressV6: string;
  readonly remoteAddress: string;
  readonly startTime: number;
  readonly dormant: boolean;
  readonly receivedBytes: number;
  readonly transmittedBytes: number;
}

/** What the state of the server is shown from. */
export interface Overview {
  readonly status: StatusData;
  readonly interfaces: readonly InterfaceData[];
  /** Unix seconds, by the clock of the exporter. */
  readonly now: number;
  /** A time of day for people. */
  readonly timeText: (seconds: number) => string;
}
