/** The list of connections: its columns, and which of them are shown in which order. */
import type { ConnectionData } from './data.ts';
import { bytes, duration, tunnelName, words } from './wording.ts';

export interface Column {
  readonly key: string;
  readonly name: string;
  readonly isFigure: boolean;
  /** What the column is sorted by. */
  readonly value: (row: ConnectionData) => string | number;
  readonly text: (row: ConnectionData, now: number) => string;
}

/** Users whose name does not have their domain in it already. */
function userOf({ user, domain }: ConnectionData): string {
  return domain === '' || user.includes('\\') || user.includes('@') ? user : `${domain}\\${user}`;
}

const column = (key: string, name: string, text: (row: ConnectionData) => string): Column => ({
  key,
  name,
  isFigure: false,
  value: text,
  text,
});
const figure = (
  key: string,
  name: string,
  value: (row: ConnectionData) => number,
  text: Column['text'],
): Column => ({ key, name, isFigure: true, value, text });

export const COLUMNS: readonly Column[] = [
  column('user', 'User', userOf),
  column('tunnel', 'Tunnel', ({ tunnel, dormant }) => tunnelName(tunnel) + (dormant ? ', dormant' : '')),
  column('remote', 'Remote address', ({ remoteAddress }) => remoteAddress),
  column('address', 'Tunnel address', ({ tunnelAddress, tunnelAddressV6 }) =>
    [tunnelAddress, tunnelAddressV6].filter((each) => each !== '').join(', '),
  ),
  figure(
    'time',
    'Connected',
    ({ startTime }) => -startTime,
    ({ startTime }, now) => duration(now - startTime),
  ),
  figure(
    'received',
    'Received',
    ({ receivedBytes }) => receivedBytes,
    ({ receivedBytes }) => bytes(receivedBytes),
  ),
  figure(
    'transmitted',
    'Transmitted',
    ({ transmittedBytes }) => transmittedBytes,
    ({ transmittedBytes }) => bytes(transmittedBytes),
  ),
  column('computer', 'Computer', ({ computer }) => computer),
  column('interface', 'Interface', (row) => row.interface),
  column('role', 'Role', ({ role }) => role),
  column('auth', 'Authentication', ({ auth }) => words(auth)),
  column('encryption', 'Encryption', ({ encryption }) => words(encryption)),
  column('id', 'Connection', ({ connection }) => connection),
];

export interface Order {
  readonly key: string;
  readonly direction: 'ascending' | 'descending';
}

/** The other way round for the column that is sorted by already; figures begin with the largest. */
export function nextOrder({ key, direction }: Order, column: Column): Order {
  if (key === column.key) {
    return { key, direction: direction === 'ascending' ? 'descending' : 'ascending' };
  }
  return { key: column.key, direction: column.isFigure ? 'descending' : 'ascending' };
}

const COLLATOR = new Intl.Collator(undefined, { numeric: true, sensitivity: 'base' });

export class ConnectionList {
  #rows: readonly { readonly row: ConnectionData; readonly text: string }[] = [];

  /** Replaces all of them. */
  fill(rows: readonly ConnectionData[]): void {
    this.#rows = rows.map((row) => ({
      row,
      text: COLUMNS.filter(({ isFigure }) => !isFigure)
        .map((column) => column.text(row, 0))
        .join('\n')
        .toLowerCase(),
    }));
  }

  get size(): number {
    return this.#rows.length;
  }

  /** Those with every word of the search in one of their texts; equal ones stay in the order in which they came. */
  select(search: string, { key, direction }: Order): readonly ConnectionData[] {
    const wanted = search
      .toLowerCase()
      .split(/\s+/)
      .filter((word) => word !== '');
    const found = this.#rows.filter(({ text }) => wanted.every((word) => text.includes(word)));
    const { value } = COLUMNS.find((each) => each.key === key) ?? COLUMNS[0]!;
    const sign = direction === 'ascending' ? 1 : -1;
    return found
      .map(({ row }) => ({ row, by: value(row) }))
      .sort((a, b) => {
        if (typeof a.by === 'number' && typeof b.by === 'number') return sign * (a.by - b.by);
        // Nothing is told of those without a text: they come last, whichever way the rest is sorted.
        if (a.by === '' || b.by === '') return Number(a.by === '') - Number(b.by === '');
        return sign * COLLATOR.compare(String(a.by), String(b.by));
      })
      .map(({ row }) => row);
  }
}
