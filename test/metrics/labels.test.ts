/** What a maker of views keeps: the same object for a connection as long as it is there, and nothing of those that are gone. */
import { setImmediate as turn } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { describe, expect, test } from 'vitest';
import type { VisibleConnection } from '../../src/metrics/labels.ts';
import type { Connection, ConnectionCounter, ConnectionTable } from '../../src/model/snapshot.ts';
import { CONNECTION_COUNTERS } from '../../src/model/snapshot.ts';
import { idOf, plainViews, snapshotOf, tableOf } from './snapshots.ts';

const LIVE = 1000;
const CHURN = 100;
/** So many came in the end: far more than are kept of 1,000. */
const EVER = 41_000;
/** KEPT_PER_CONNECTION and ALWAYS_KEPT, and what came since the last look. */
const MOST_KEPT = 4 * LIVE + 10_000 + CHURN;

const NAME_BYTES = 2048;
const MIB = 1024 * 1024;

const EMPTY = tableOf([]);
const [SOMEBODY] = tableOf([{}]).connections;

function tableWith(connections: readonly Connection[]): ConnectionTable {
  const zeros = new Float64Array(connections.length);
  const counters = Object.fromEntries(CONNECTION_COUNTERS.map((counter) => [counter, zeros]));
  return {
    ...EMPTY,
    connections: [...connections],
    startTimeSeconds: zeros,
    counters: counters as Record<ConnectionCounter, Float64Array>,
    compressionIn: zeros,
    compressionOut: zeros,
    quarantine: new Uint32Array(connections.length),
    dormant: zeros,
  };
}

async function collectGarbage(): Promise<void> {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  // What a WeakRef was asked for or made of lives to the end of the turn.
  await turn();
  collect();
}

/** Connections come and go in the order in which they came; each is a user of its own. */
class Churn {
  readonly #placeOf: (n: number) => number;
  readonly #nameBytes: number;
  readonly #views = plainViews();
  readonly #refs: WeakRef<VisibleConnection>[] = [];
  #connections: Connection[] = [];
  #visible = new Map<Connection, VisibleConnection>();
  ever = 0;
  /** Views in which a connection that was there before got another object. */
  renewed = 0;
  users: number | undefined;

  constructor(placeOf: (n: number) => number, nameBytes = 10) {
    this.#placeOf = placeOf;
    this.#nameBytes = nameBytes;
  }

  look(coming: number): void {
    const staying = this.#connections.slice(Math.max(0, this.#connections.length + coming - LIVE));
    const come = Array.from({ length: coming }, (_, i): Connection => {
      const n = this.ever + i;
      const identity = { ...SOMEBODY!.identity, user: `${n}`.padEnd(this.#nameBytes, '.') };
      return { ...SOMEBODY!, id: idOf(n), place: this.#placeOf(n), identity };
    });
    this.ever += coming;
    this.#connections = [...staying, ...come];
    const { shown, aggregates } = this.#views.view(
      snapshotOf({ connections: tableWith(this.#connections) }),
      0,
    );
    this.users = aggregates?.users;
    const visible = new Map(this.#connections.map((connection, i) => [connection, shown!.connections[i]!]));
    if (staying.some((connection) => visible.get(connection) !== this.#visible.get(connection)))
      this.renewed += 1;
    for (const connection of come) this.#refs.push(new WeakRef(visible.get(connection)!));
    this.#visible = visible;
  }

  async alive(): Promise<number> {
    await collectGarbage();
    return this.#refs.filter((ref) => ref.deref() !== undefined).length;
  }
}

describe('what is kept of connections', () => {
  test('stays from view to view, and in bounds, when places rise for ever', async () => {
    const churn = new Churn((n) => n);
    churn.look(LIVE);
    while (churn.ever < EVER) churn.look(CHURN);
    expect(churn.renewed).toBe(0);
    expect(churn.users).toBe(LIVE);
    const alive = await churn.alive();
    expect(alive).toBeGreaterThanOrEqual(LIVE);
    expect(alive).toBeLessThanOrEqual(MOST_KEPT);
  });

  test('stays from view to view when places are used again by other users, whose names do not pile up', async () => {
    const churn = new Churn((n) => n % LIVE, NAME_BYTES);
    churn.look(LIVE);
    await collectGarbage();
    const before = process.memoryUsage().heapUsed;
    while (churn.ever < EVER) churn.look(CHURN);
    expect(churn.renewed).toBe(0);
    expect(churn.users).toBe(LIVE);
    expect(await churn.alive()).toBe(LIVE);
    // Users are told apart by their names, which would be 80 MiB by now.
    const grown = process.memoryUsage().heapUsed - before;
    expect(grown).toBeLessThan(MOST_KEPT * NAME_BYTES + 10 * MIB);
  });
});

test('a changed configuration makes texts of connections anew only where it changes how names are shown', () => {
  const views = plainViews();
  const snapshot = snapshotOf({ connections: tableOf([{ id: idOf(1) }]) });
  const shown = (): VisibleConnection => views.view(snapshot, 0).shown!.connections[0]!;
  const first = shown();
  const plain = { users: 'plain', addresses: 'plain' } as const;
  views.configure({ privacy: plain, detail: 'full', limit: 10 });
  expect(shown()).toBe(first);
  views.configure({ privacy: { ...plain, users: 'none' }, detail: 'full', limit: 10 });
  expect([first.user, shown().user]).toEqual(['anna', '']);
  // A key that was replaced is another privacy: no page has pseudonyms of both.
  const pseudonyms = [1, 2].map((byte) => {
    const privacy = { ...plain, users: 'pseudonym', key: new Uint8Array(32).fill(byte) } as const;
    views.configure({ privacy, detail: 'full', limit: 10 });
    return shown().user;
  });
  expect(new Set(['anna', ...pseudonyms]).size).toBe(3);
});
