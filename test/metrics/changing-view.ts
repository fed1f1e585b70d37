/**
 * A server that changes at random between its snapshots, in the ways in which an encoder that keeps things from page
 * to page can go wrong. As in the collector, a connection is an object of its own, replaced whenever its texts, its
 * tunnel or its start change; the columns of numbers are new with each table.
 */
import type { ConnectionIdentity } from '../../src/model/frames.ts';
import type { Connection, ConnectionCounter, ConnectionTable, Snapshot } from '../../src/model/snapshot.ts';
import { CONNECTION_COUNTERS } from '../../src/model/snapshot.ts';
import { ERROR_KINDS } from '../../src/model/words.ts';
import type { Tunnel } from '../../src/model/words.ts';
import type { ShownTable, View } from '../../src/metrics/labels.ts';
import { Dice } from '../property/accounts-model.ts';
import { interfaceOf, plainViews, portsOf, snapshotOf, tableOf } from './snapshots.ts';

export const ACTS = [
  'come',
  'go',
  'return',
  'reorder',
  'retext',
  'restart',
  'count',
  'errors',
  'compress',
  'dormant',
  'other',
  'server',
] as const;
export type Act = (typeof ACTS)[number];

/** Which connections an act is about: `block` is a run of neighbours, `edges` the first, the last and those at round numbers. */
export const SHARES = ['one', 'few', 'block', 'edges', 'half', 'all'] as const;
export type Share = (typeof SHARES)[number];

/** What the snapshot has of connections: a new table, the last one once more, or none. */
export const TABLES = ['new', 'same', 'absent'] as const;
export type Table = (typeof TABLES)[number];

interface Row {
  connection: Connection;
  readonly counters: Float64Array;
  compressionIn: number;
  compressionOut: number;
  quarantine: number;
  dormant: number;
}

/** What ids are like: they need not be random, and may decide where a page is cut. */
const ID_ENDS: readonly ((dice: Dice, made: number) => string)[] = [
  (dice) => hex(dice.below(2 ** 32)),
  (_, made) => hex(made),
  (dice) => hex(dice.below(2 ** 20)).slice(3) + dice.pick(['000', '100', 'f00', '000', 'abc', '001', '010']),
  (dice) => hex(dice.below(2 ** 28)).slice(1) + dice.pick(['1', '8', 'f']),
];
const hex = (number: number): string => number.toString(16).padStart(8, '0');

const N = CONNECTION_COUNTERS.length;
const TRAFFIC = [0, 1, 2, 3];
const SWITCHOVERS = CONNECTION_COUNTERS.indexOf('switchovers');
const ERRORS = ERROR_KINDS.map((kind) => CONNECTION_COUNTERS.indexOf(kind));
/** So many that are gone may come back. */
const GONE_KEPT = 2000;
const ROUND = [0, 1, 255, 256, 257, 511, 512, 513, 1023, 1024, 1025, 2047, 2048, 2049];

const HUGE = [2 ** 32 - 1, 2 ** 32, 1e15, 9_999_999_999_999_998, 2 ** 53 - 1, 2 ** 53, 2 ** 53 + 2, 2 ** 64];
/** What no counter is, but a column can hold; the last are written longer than any whole number. */
const ODD = [0.5, 0.1, 1 / 3, 1234.5678, 1e-7, 1e21, Number.MAX_VALUE, 5e-324, 1.234_567_890_123_456e-300];
const RATIOS = [0, 1, 57, 99, 100, 101, 103, 1000, 2 ** 32 - 1];
const NAMES = [
  '',
  'a',
  'b',
  'ann',
  'bob',
  'anna',
  'Łukasz',
  '山田',
  '😀',
  'a"b\\c',
  'line\nbreak',
  'x'.repeat(257),
];
const TUNNELS_MET: readonly Tunnel[] = ['ikev2', 'ikev2', 'sstp', 'pptp'];

/** Another value of a counter: one more, a few more, to an edge of its digits or over it, a reset, or an odd one. */
function counted(value: number, mode: number, dice: Dice): number {
  switch (mode) {
    case 0:
      return value + 1;
    case 1:
      return value + dice.below(1_000_000);
    case 2:
      return 10 ** dice.below(16) - 1;
    case 3:
      return 10 ** dice.below(16);
    case 4:
      // One digit more, or one less.
      return 10 ** Math.min(21, Math.max(0, Math.ceil(Math.log10(value + 1)) - dice.below(2)));
    case 5:
      return dice.below(10);
    case 6:
      return 0;
    case 7:
      return dice.pick(HUGE);
    case 8:
      return dice.pick(ODD);
    default:
      return value;
  }
}
const COUNT_MODES = 10;

export class ChangingView {
  readonly #dice: Dice;
  readonly #most: number;
  readonly #views = plainViews();
  #rows: Row[] = [];
  #gone: Row[] = [];
  /** Places of connections that are forgotten: others get them. */
  readonly #freePlaces: number[] = [];
  #places = 0;
  #made = 0;
  readonly #idEnd: (dice: Dice, made: number) => string;
  #other: Float64Array | undefined;
  #hidden = 0;
  #server: Partial<Snapshot> = {};
  #table: ConnectionTable | undefined;
  #shown: ShownTable | undefined;

  constructor(seed: number, connections: number, most: number) {
    this.#dice = new Dice(seed);
    this.#idEnd = this.#dice.pick(ID_ENDS);
    this.#most = Math.max(most, connections);
    for (let i = 0; i < connections; i += 1) this.#rows.push(this.#newRow());
  }

  get count(): number {
    return this.#rows.length;
  }

  change(act: Act, share: Share): void {
    const dice = this.#dice;
    const each = (alter: (row: Row) => void): void => {
      for (const i of this.#pick(share)) alter(this.#rows[i]!);
    };
    switch (act) {
      case 'come':
        this.#insert(Array.from({ length: this.#amount(share) }, () => this.#newRow()));
        break;
      case 'go': {
        const picked = new Set(this.#pick(share));
        const gone = this.#rows.filter((_, i) => picked.has(i));
        // What comes back too late is another one.
        if (dice.chance(0.5)) this.#freePlaces.push(...gone.map(({ connection }) => connection.place));
        else this.#gone = [...this.#gone, ...gone].slice(-GONE_KEPT);
        this.#rows = this.#rows.filter((_, i) => !picked.has(i));
        break;
      }
      case 'return': {
        const back = this.#gone.splice(dice.below(this.#gone.length), this.#amount(share));
        if (dice.chance(0.3)) for (const row of back) this.#replace(row, {});
        this.#insert(back);
        break;
      }
      case 'reorder':
        this.#reorder();
        break;
      case 'retext':
        each((row) => this.#retext(row));
        break;
      case 'restart': {
        const fraction = dice.pick([0, 0, 0.123]);
        each((row) =>
          this.#replace(row, { startTimeSeconds: 1_795_000_000 + dice.below(1_000_000) + fraction }),
        );
        break;
      }
      case 'count': {
        const mode = dice.chance(0.6) ? dice.below(COUNT_MODES) : undefined;
        const which = dice.pick([[0], [3], TRAFFIC, [SWITCHOVERS], [...TRAFFIC, SWITCHOVERS]]);
        each(({ counters }) => {
          for (const c of which) counters[c] = counted(counters[c]!, mode ?? dice.below(COUNT_MODES), dice);
        });
        break;
      }
      case 'errors': {
        const to = dice.pick([0, 1, 10, undefined]);
        each(({ counters }) => {
          for (const c of ERRORS)
            if (dice.chance(0.4)) counters[c] = to ?? (counters[c] === 0 ? 1 + dice.below(20) : 0);
        });
        break;
      }
      case 'compress':
        each((row) => {
          if (dice.chance(0.5)) {
            row.compressionIn = dice.pick(RATIOS);
            row.compressionOut = dice.pick(RATIOS);
          } else {
            const compression = row.connection.identity.compression === 'none' ? 'mppc' : 'none';
            this.#replace(row, { identity: { compression } });
          }
        });
        break;
      case 'dormant':
        each((row) => {
          row.dormant = 1 - row.dormant;
        });
        break;
      case 'other':
        this.#changeOther();
        break;
      case 'server':
        this.#changeServer();
    }
  }

  /** The next snapshot as a maker of views shows it that has shown the others, and as a new one does. */
  next(table: Table): { readonly view: View; readonly fresh: View } {
    if (table === 'new' || !this.#table) {
      this.#table = this.#makeTable();
      this.#shown = undefined;
    }
    const connections = table === 'absent' ? undefined : this.#table;
    const snapshot = snapshotOf({ ...this.#server, connections });
    const view = this.#views.view(snapshot, 0);
    const fresh = plainViews().view(snapshot, 0);
    if (!view.shown || !fresh.shown) return { view, fresh };
    // As a maker of views with a limit gives them; of the same table it gives the same.
    this.#shown ??= { ...view.shown, other: this.#other?.slice(), hidden: this.#hidden };
    const { other, hidden } = this.#shown;
    return {
      view: { ...view, shown: this.#shown },
      fresh: { ...fresh, shown: { ...fresh.shown, other, hidden } },
    };
  }

  #newRow(): Row {
    const dice = this.#dice;
    this.#made += 1;
    const tunnel = dice.pick(TUNNELS_MET);
    const [connection] = tableOf([
      {
        id: hex(this.#made) + this.#idEnd(dice, this.#made),
        tunnel,
        startTimeSeconds: 1_795_000_000 + this.#made,
        identity: {
          user: `user-${this.#made}`,
          tunnelAddress: `10.0.${this.#made >>> 8}.${this.#made & 255}`,
          compression: dice.chance(0.1) ? 'mppc' : 'none',
        },
      },
    ]).connections;
    const counters = new Float64Array(N);
    for (const c of TRAFFIC) counters[c] = dice.chance(0.2) ? 0 : dice.below(10 ** (1 + dice.below(10)));
    const free = dice.chance(0.8) ? this.#freePlaces.pop() : undefined;
    return {
      connection: { ...connection!, place: free ?? this.#places++ },
      counters,
      compressionIn: 100,
      compressionOut: 57,
      quarantine: 0,
      dormant: 0,
    };
  }

  #amount(share: Share): number {
    switch (share) {
      case 'one':
        return 1;
      case 'few':
        return 1 + this.#dice.below(8);
      case 'block':
        return this.#dice.below(700);
      case 'edges':
        return 2;
      case 'half':
        return this.count >>> 1;
      case 'all':
        return Math.max(1, this.count);
    }
  }

  /** Rows of the table, in its order. */
  #pick(share: Share): number[] {
    const dice = this.#dice;
    const { count } = this;
    if (count === 0) return [];
    const all = [...this.#rows.keys()];
    switch (share) {
      case 'one':
        return [dice.below(count)];
      case 'few': {
        const few = new Set(Array.from({ length: 1 + dice.below(8) }, () => dice.below(count)));
        return [...few].sort((a, b) => a - b);
      }
      case 'block': {
        const start = dice.below(count);
        return all.slice(start, start + 1 + dice.below(700));
      }
      case 'edges':
        return [...new Set([...ROUND, count - 2, count - 1])].filter((i) => i >= 0 && i < count);
      case 'half':
        return all.filter(() => dice.chance(0.5));
      case 'all':
        return all;
    }
  }

  /** At the end, at the front, in the middle or anywhere. */
  #insert(rows: readonly Row[]): void {
    const dice = this.#dice;
    const some = rows.slice(0, Math.max(0, this.#most - this.count));
    const where = dice.below(4);
    if (where === 0) this.#rows.push(...some);
    else if (where === 1) this.#rows.unshift(...some);
    else if (where === 2) this.#rows.splice(dice.below(this.count + 1), 0, ...some);
    else for (const row of some) this.#rows.splice(dice.below(this.count + 1), 0, row);
  }

  #reorder(): void {
    const dice = this.#dice;
    const rows = this.#rows;
    if (rows.length < 2) return;
    switch (dice.below(4)) {
      case 0:
        rows.reverse();
        break;
      case 1:
        rows.push(...rows.splice(0, 1 + dice.below(rows.length - 1)));
        break;
      case 2: {
        const a = dice.below(rows.length);
        const b = dice.below(rows.length);
        [rows[a], rows[b]] = [rows[b]!, rows[a]!];
        break;
      }
      default:
        for (let i = rows.length - 1; i > 0; i -= 1) {
          const j = dice.below(i + 1);
          [rows[i], rows[j]] = [rows[j]!, rows[i]!];
        }
    }
  }

  /** The session goes on under another object, which may say the same. */
  #replace(
    row: Row,
    parts: Partial<Omit<Connection, 'identity'>> & { identity?: Partial<ConnectionIdentity> },
  ): void {
    const { connection } = row;
    row.connection = { ...connection, ...parts, identity: { ...connection.identity, ...parts.identity } };
  }

  #retext(row: Row): void {
    const dice = this.#dice;
    const name = dice.pick(NAMES);
    switch (dice.below(6)) {
      case 0:
        this.#replace(row, {});
        break;
      case 1:
        this.#replace(row, { identity: { user: name, domain: dice.pick(NAMES) } });
        break;
      case 2:
        // As long as what was there.
        this.#replace(row, {
          identity: {
            user: row.connection.identity.user.replace(/.$/su, (char) => (char === 'q' ? 'z' : 'q')),
          },
        });
        break;
      case 3:
        this.#replace(row, { identity: { remoteAddress: `203.0.113.${dice.below(256)}` } });
        break;
      case 4: {
        const tunnel = dice.pick(TUNNELS_MET);
        this.#replace(row, { tunnel, identity: { tunnel, encryption: 'unknown' } });
        break;
      }
      default:
        this.#replace(row, {
          role: dice.pick(['client', 'site', 'other']),
          identity: { interfaceType: dice.pick(['client', 'full_router', 'unknown']), interfaceName: name },
        });
    }
  }

  #changeOther(): void {
    const dice = this.#dice;
    if (this.#other && dice.chance(0.2)) {
      this.#other = undefined;
      this.#hidden = 0;
      return;
    }
    this.#other ??= new Float64Array(N);
    this.#hidden = dice.below(2000);
    for (let c = 0; c < N; c += 1)
      if (dice.chance(0.6)) this.#other[c] = counted(this.#other[c]!, dice.below(COUNT_MODES), dice);
  }

  #changeServer(): void {
    const dice = this.#dice;
    const ports = { ikev2: dice.below(1000), ...(dice.chance(0.5) && { sstp: dice.below(12) }) };
    this.#server = {
      up: dice.chance(0.5),
      ports: dice.chance(0.8) ? portsOf(ports, dice.below(20)) : undefined,
      interfaces: Array.from({ length: dice.below(4) }, (_, i) =>
        interfaceOf({ name: `${dice.pick(NAMES)}${i}`, stateChanges: dice.below(200) }),
      ),
      users: dice.chance(0.5)
        ? Array.from({ length: dice.below(40) }, (_, i) => ({
            user: `${dice.pick(NAMES)}${i}`,
            domain: dice.pick(NAMES),
            other: false,
            receivedBytes: dice.pick(HUGE),
            transmittedBytes: dice.below(100),
            sessionsStarted: dice.below(10),
            connections: dice.below(2),
          }))
        : undefined,
    };
  }

  #makeTable(): ConnectionTable {
    const rows = this.#rows;
    const column = (read: (row: Row) => number): Float64Array => Float64Array.from(rows, read);
    return {
      connections: rows.map(({ connection }) => connection),
      startTimeSeconds: column(({ connection }) => connection.startTimeSeconds),
      counters: Object.fromEntries(
        CONNECTION_COUNTERS.map((counter, c) => [counter, column(({ counters }) => counters[c]!)]),
      ) as Record<ConnectionCounter, Float64Array>,
      compressionIn: Uint32Array.from(rows, ({ compressionIn }) => compressionIn),
      compressionOut: Uint32Array.from(rows, ({ compressionOut }) => compressionOut),
      quarantine: Uint32Array.from(rows, ({ quarantine }) => quarantine),
      dormant: Uint8Array.from(rows, ({ dormant }) => dormant),
    };
  }
}
