/**
 * What of a snapshot may be shown, and how: the one place through which every name and address passes on its way to
 * an output, and where it is decided which connections are shown one by one.
 */
import { isDeepStrictEqual } from 'node:util';
import type { Connection, ConnectionTable, InterfaceStatus, Snapshot } from '../model/snapshot.ts';
import type { Sliced } from '../model/slices.ts';
import { atOnce, ROWS_PER_SLICE } from '../model/slices.ts';
import { QUARANTINE_STATES, ROLES, TUNNELS } from '../model/words.ts';
import type { Privacy } from './privacy.ts';
import { showAddress, showName } from './privacy.ts';
import { ShownConnections } from './shown-connections.ts';
import type { Choice, Detail, Rows } from './shown-connections.ts';

/** A connection's label values, fit for any output. */
export interface VisibleConnection {
  readonly id: string;
  readonly user: string;
  readonly domain: string;
  readonly computer: string;
  readonly interfaceName: string;
  readonly interfaceType: string;
  readonly tunnel: string;
  readonly role: string;
  readonly auth: string;
  readonly encryption: string;
  readonly compression: string;
  readonly tunnelAddress: string;
  readonly tunnelAddressV6: string;
  readonly remoteAddress: string;
  readonly localAddress: string;
  /** Unix seconds. */
  readonly startTimeSeconds: number;
}

export interface VisibleInterface {
  readonly status: Omit<InterfaceStatus, 'name'>;
  /** Unique among the interfaces of the view. */
  readonly name: string;
  /** Traffic of a demand-dial link since the exporter started; undefined for other interfaces. */
  readonly receivedBytes: number | undefined;
  readonly transmittedBytes: number | undefined;
}

export interface VisibleUser {
  readonly user: string;
  readonly domain: string;
  readonly receivedBytes: number;
  readonly transmittedBytes: number;
  readonly sessionsStarted: number;
  readonly connections: number;
}

/** Connections that are shown one by one; element i of each column belongs to `connections[i]`. */
export interface ShownTable {
  readonly connections: readonly VisibleConnection[];
  /** By the order of CONNECTION_COUNTERS. */
  readonly counters: readonly ArrayLike<number>[];
  /** Percent, compressed over uncompressed. */
  readonly compressionIn: ArrayLike<number>;
  readonly compressionOut: ArrayLike<number>;
  readonly dormant: ArrayLike<number>;
  /** Unix seconds. */
  readonly startTimeSeconds: ArrayLike<number>;
  /** What connections moved while they were not shown, in the order of the counters; undefined: nothing so far, or who looks is no scraper. */
  readonly other: ArrayLike<number> | undefined;
  readonly hidden: number;
}

/** Counts over all connections, shown or not. */
export interface Aggregates {
  /** By cell: tunnel index times the number of roles plus role index. */
  readonly connections: Uint32Array;
  readonly dormant: Uint32Array;
  readonly auth: ReadonlyMap<string, number>;
  /** By RAS_QUARANTINE_STATE. */
  readonly quarantine: readonly number[];
  /** Distinct pairs of user and domain. */
  readonly users: number;
}

/** A snapshot as the outputs see it: no text in it but what may be shown. */
export interface View {
  readonly snapshot: Omit<Snapshot, 'connections' | 'interfaces' | 'links' | 'users'>;
  readonly aggregates: Aggregates | undefined;
  readonly shown: ShownTable | undefined;
  readonly interfaces: readonly VisibleInterface[] | undefined;
  readonly users: readonly VisibleUser[] | undefined;
}

// eslint-disable-next-line no-control-regex -- control characters are what this is about
const CONTROL = /[\u0000-\u001f\u007f-\u009f]/g;

/** Valid Unicode without control characters: both are replaced by U+FFFD, as no output could carry them. */
export function cleanText(text: string): string {
  return text.toWellFormed().replace(CONTROL, '\ufffd');
}

/** Names that become equal when cleaned get a number, so that no two interfaces share a series. */
export function shownInterfaceNames(statuses: readonly Pick<InterfaceStatus, 'name'>[]): string[] {
  const taken = new Set<string>();
  return statuses.map(({ name: rawName }) => {
    const clean = cleanText(rawName);
    let name = clean;
    for (let n = 2; taken.has(name); n += 1) name = `${clean} (${n})`;
    taken.add(name);
    return name;
  });
}

export interface ViewOptions {
  readonly privacy: Privacy;
  readonly detail: Detail;
  /** Most connections that are shown one by one. */
  readonly limit: number;
}

const PEEK_MAX_AGE_MS = 30_000;
const KEPT_PER_CONNECTION = 4;
const ALWAYS_KEPT = 10_000;
const NOBODY = -1;

/** What is worked out once of a connection. */
interface Known {
  readonly of: Connection;
  /** Tunnel index times the number of roles plus role index. */
  readonly cell: number;
  readonly user: number;
  visible: VisibleConnection | undefined;
}

interface Look {
  readonly table: ConnectionTable;
  readonly shown: ShownTable;
  readonly aggregates: Aggregates;
}

/** What is shown of users beyond the limit of accounts. */
const OTHER = 'other';
const PERSONAL: ReadonlySet<string> = new Set(['client', 'unknown']);
const DEMAND_DIAL: ReadonlySet<string> = new Set(['home_router', 'full_router']);

export class ViewMaker {
  #privacy: Privacy;
  /** By the connection's place. */
  #known: (Known | undefined)[] = [];
  /** How many are in it. */
  #knownCount = 0;
  /** A number for each user, by domain and name. */
  #userNumbers = new Map<string, Map<string, number>>();
  #users = 0;
  readonly #names = new Map<string, string>();
  readonly #shown: ShownConnections;
  #lastLookMs = -Infinity;
  #last: Look | undefined;
  /** Of one who is no scraper. */
  #glance: Look | undefined;

  constructor({ privacy, detail, limit }: ViewOptions) {
    this.#privacy = privacy;
    this.#shown = new ShownConnections(detail, limit);
  }

  /** From the next view on; not between the slices of one. */
  configure({ privacy, detail, limit }: ViewOptions): void {
    // Texts of thousands of connections are made anew for a reason only.
    if (!isDeepStrictEqual(privacy, this.#privacy)) {
      for (const known of this.#known) if (known) known.visible = undefined;
      this.#names.clear();
    }
    this.#privacy = privacy;
    this.#shown.configure(detail, limit);
    this.#last = undefined;
    this.#glance = undefined;
  }

  /** Which connections are shown may change with each new snapshot, so views are made in the order of snapshots. */
  view(snapshot: Snapshot, monotonicMs: number): View {
    return atOnce(this.viewing(snapshot, monotonicMs));
  }

  /** `view` in slices; one at a time. */
  *viewing(snapshot: Snapshot, monotonicMs: number): Sliced<View> {
    const { connections: table, totals } = snapshot;
    if (table && table !== this.#last?.table) {
      const choice = yield* this.#shown.choosing(table, totals, monotonicMs);
      this.#last = yield* this.#look(table, choice);
      this.#lastLookMs = monotonicMs;
      this.#glance = undefined;
    }
    return this.#viewOf(snapshot, this.#last);
  }

  /**
   * A view for who is no scraper: where not all may be shown it does not choose anew which are, as the row `other` would
   * lose its meaning for the scraper. What it shows of connections may be some seconds old then.
   */
  *peeking(snapshot: Snapshot, monotonicMs: number): Sliced<View> {
    const { connections: table } = snapshot;
    if (!table) return this.#viewOf(snapshot, undefined);
    const known = [this.#last, this.#glance].find((look) => look?.table === table);
    if (known) return this.#viewOf(snapshot, known);
    const all = yield* this.#shown.glancing(table);
    if (all) {
      this.#glance = yield* this.#look(table, all);
      return this.#viewOf(snapshot, this.#glance);
    }
    if (this.#last && monotonicMs - this.#lastLookMs <= PEEK_MAX_AGE_MS)
      return this.#viewOf(snapshot, this.#last);
    return yield* this.viewing(snapshot, monotonicMs);
  }

  peek(snapshot: Snapshot, monotonicMs: number): View {
    return atOnce(this.peeking(snapshot, monotonicMs));
  }

  /** A name of a person as it may be shown anywhere, logs and answers included. */
  name(text: string): string {
    return cleanText(showName(text, this.#privacy));
  }

  /** An address as it may be shown anywhere. */
  address(text: string): string {
    return cleanText(showAddress(text, this.#privacy));
  }

  #viewOf(snapshot: Snapshot, newest: Look | undefined): View {
    const { connections, interfaces, links, users, ...rest } = snapshot;
    const look = connections && newest;
    return {
      snapshot: rest,
      aggregates: look?.aggregates,
      shown: look?.shown,
      interfaces: interfaces && this.#showInterfaces(interfaces, links),
      users: users && this.#showUsers(users),
    };
  }

  *#look(table: ConnectionTable, choice: Rows | Choice): Sliced<Look> {
    const shown = yield* this.#showConnections(table, choice);
    return { table, shown, aggregates: yield* this.#aggregate(table) };
  }

  *#showConnections(table: ConnectionTable, choice: Rows | Choice): Sliced<ShownTable> {
    const { rows, counters } = choice;
    const all = rows.length === table.connections.length;
    const gather = (column: ArrayLike<number>): ArrayLike<number> =>
      all ? column : Float64Array.from(rows, (row) => column[row]!);
    const connections = new Array<VisibleConnection>(rows.length);
    for (let i = 0; i < rows.length; i += 1) {
      connections[i] = this.#visibleOf(this.#know(table.connections[rows[i]!]!));
      if (i % ROWS_PER_SLICE === 0) yield;
    }
    return {
      connections,
      counters,
      compressionIn: gather(table.compressionIn),
      compressionOut: gather(table.compressionOut),
      dormant: gather(table.dormant),
      startTimeSeconds: gather(table.startTimeSeconds),
      other: 'other' in choice ? choice.other : undefined,
      hidden: table.connections.length - rows.length,
    };
  }

  #know(connection: Connection): Known {
    const known = this.#known[connection.place];
    if (known?.of === connection) return known;
    const { tunnel, role, identity } = connection;
    const cell = TUNNELS.indexOf(tunnel) * ROLES.length + ROLES.indexOf(role);
    const user = identity.user === '' ? NOBODY : this.#userNumber(identity.domain, identity.user);
    if (known === undefined) this.#knownCount += 1;
    const visible = undefined;
    return (this.#known[connection.place] = { of: connection, cell, user, visible });
  }

  /** What is kept of connections and users that are gone must not pile up. */
  #forgetGone(table: ConnectionTable): void {
    const before = this.#known;
    this.#known = [];
    this.#knownCount = 0;
    this.#userNumbers = new Map<string, Map<string, number>>();
    this.#users = 0;
    for (const connection of table.connections) {
      const visible = before[connection.place]?.of === connection && before[connection.place]?.visible;
      const known = this.#know(connection);
      if (visible) known.visible = visible;
    }
  }

  #userNumber(domain: string, user: string): number {
    let ofDomain = this.#userNumbers.get(domain);
    if (!ofDomain) this.#userNumbers.set(domain, (ofDomain = new Map<string, number>()));
    let number = ofDomain.get(user);
    if (number === undefined) ofDomain.set(user, (number = this.#users++));
    return number;
  }

  *#aggregate(table: ConnectionTable): Sliced<Aggregates> {
    const count = table.connections.length;
    // Users come anew also where no place does.
    if (Math.max(this.#knownCount, this.#users) > KEPT_PER_CONNECTION * count + ALWAYS_KEPT)
      this.#forgetGone(table);
    const connections = new Uint32Array(TUNNELS.length * ROLES.length);
    const dormant = new Uint32Array(connections.length);
    const auth = new Map<string, number>();
    const quarantine = QUARANTINE_STATES.map(() => 0);
    let seen = new Uint8Array(Math.max(64, this.#users));
    let users = 0;
    for (let row = 0; row < count; row += 1) {
      const connection = table.connections[row]!;
      const { cell, user } = this.#know(connection);
      connections[cell]! += 1;
      dormant[cell]! += table.dormant[row]!;
      auth.set(connection.identity.auth, (auth.get(connection.identity.auth) ?? 0) + 1);
      quarantine[table.quarantine[row]!]! += 1;
      if (user !== NOBODY) {
        if (user >= seen.length) {
          const larger = new Uint8Array(user * 2);
          larger.set(seen);
          seen = larger;
        }
        if (seen[user] === 0) users += 1;
        seen[user] = 1;
      }
      if (row % ROWS_PER_SLICE === 0) yield;
    }
    return { connections, dormant, auth, quarantine, users };
  }

  #visibleOf(known: Known): VisibleConnection {
    return (known.visible ??= this.#show(known.of));
  }

  #show(connection: Connection): VisibleConnection {
    const { identity, id, tunnel, role, startTimeSeconds } = connection;
    const { interfaceType } = identity;
    return {
      id,
      user: this.name(identity.user),
      domain: this.name(identity.domain),
      computer: this.name(identity.computer),
      // A client's interface bears the name of its user; one of no known type may.
      interfaceName: PERSONAL.has(interfaceType)
        ? this.name(identity.interfaceName)
        : cleanText(identity.interfaceName),
      interfaceType,
      tunnel,
      role,
      auth: identity.auth,
      encryption: identity.encryption,
      compression: identity.compression,
      tunnelAddress: this.address(identity.tunnelAddress),
      tunnelAddressV6: this.address(identity.tunnelAddressV6),
      remoteAddress: this.address(identity.remoteAddress),
      localAddress: this.address(identity.localAddress),
      startTimeSeconds,
    };
  }

  #showInterfaces(statuses: readonly InterfaceStatus[], links: Snapshot['links']): VisibleInterface[] {
    const names = shownInterfaceNames(statuses);
    return statuses.map(({ name: rawName, ...status }, i) => {
      const name = names[i]!;
      const traffic = links.get(rawName);
      const none = DEMAND_DIAL.has(status.type) ? 0 : undefined;
      return {
        status,
        name,
        receivedBytes: traffic?.receivedBytes ?? none,
        transmittedBytes: traffic?.transmittedBytes ?? none,
      };
    });
  }

  /** Users that look the same when shown share a row. */
  #showUsers(accounts: NonNullable<Snapshot['users']>): VisibleUser[] {
    const rows = new Map<string, { -readonly [K in keyof VisibleUser]: VisibleUser[K] }>();
    for (const account of accounts) {
      const user = account.other ? OTHER : this.#cachedName(account.user);
      const domain = account.other ? '' : this.#cachedName(account.domain);
      const key = `${user.length} ${user}${domain}`;
      const row = rows.get(key);
      if (!row) {
        const { receivedBytes, transmittedBytes, sessionsStarted, connections } = account;
        rows.set(key, { user, domain, receivedBytes, transmittedBytes, sessionsStarted, connections });
        continue;
      }
      row.receivedBytes += account.receivedBytes;
      row.transmittedBytes += account.transmittedBytes;
      row.sessionsStarted += account.sessionsStarted;
      row.connections += account.connections;
    }
    return [...rows.values()];
  }

  #cachedName(text: string): string {
    let name = this.#names.get(text);
    if (name === undefined) this.#names.set(text, (name = this.name(text)));
    return name;
  }
}
