/**
 * Decides which connections are shown one by one, and accounts for the rest in the row `other`: whatever a connection
 * moves while it is not shown goes there, so that the increase over all rows is the increase of the totals.
 */
import type { ConnectionTable, Totals } from '../model/snapshot.ts';
import { CONNECTION_COUNTERS } from '../model/snapshot.ts';

export const DETAILS = ['full', 'top', 'none'] as const;
export type Detail = (typeof DETAILS)[number];

const N = CONNECTION_COUNTERS.length;
const RECEIVED = CONNECTION_COUNTERS.indexOf('receivedBytes');
const TRANSMITTED = CONNECTION_COUNTERS.indexOf('transmittedBytes');
/** Bytes moved longer ago than this hardly count for the choice. */
const WINDOW_MS = 5 * 60_000;
/** A connection that is shown gives way only to one that moved so much more. */
const HYSTERESIS = 1.25;
/** A connection that is out of sight for so long at the most, as by a page border, comes back as what it was. */
const REMEMBERED_MS = 5 * 60_000;
/** From this share of the limit on, the row `other` is there, so that it exists before it is needed. */
const NEAR_LIMIT = 0.9;

interface Tracked {
  shown: boolean;
  everShown: boolean;
  /** Bytes moved, those of long ago fading out. */
  score: number;
  /** Monotonic time of the last look that found it. */
  seenMs: number;
  /** Counters at the last look. */
  readonly values: Float64Array;
  /** What it moved while hidden, after it had been shown: its series goes on where it broke off. */
  readonly unseen: Float64Array;
}

export interface Choice {
  /** Rows of the table that are shown, in the table's order. */
  readonly rows: Uint32Array;
  /** Counters of the shown rows, by the order of CONNECTION_COUNTERS. */
  readonly counters: readonly ArrayLike<number>[];
  /** The row `other`, by the same order; undefined while everything has always been shown. */
  readonly other: Float64Array | undefined;
}

export class ShownConnections {
  readonly #detail: Detail;
  readonly #limit: number;
  /** By connection id, those that were there a moment ago included; empty as long as all are shown. */
  readonly #tracked = new Map<string, Tracked>();
  #choosing = false;
  /** There was a look before. */
  #looked = false;
  #lastMs = 0;
  /** What shown connections moved, by counter: the rest of the totals is the row `other`. */
  #shownSums = new Float64Array(N);

  constructor(detail: Detail, limit: number) {
    this.#detail = detail;
    this.#limit = detail === 'none' ? 0 : limit;
  }

  /** False as long as everything is shown. */
  get choosing(): boolean {
    return this.#choosing;
  }

  /** Chooses for a new table. Each call is one look of the outputs at the server. */
  choose(table: ConnectionTable, totals: Totals, monotonicMs: number): Choice {
    const count = table.connections.length;
    const columns = CONNECTION_COUNTERS.map((counter) => table.counters[counter]);
    const grand = grandTotals(totals);
    if (!this.#choosing && (this.#detail !== 'full' || count >= NEAR_LIMIT * this.#limit))
      this.#beginChoosing(table, columns, grand, monotonicMs);
    this.#looked = true;
    if (!this.#choosing) {
      return {
        rows: Uint32Array.from({ length: count }, (_, row) => row),
        counters: columns,
        other: undefined,
      };
    }
    const fade = Math.exp(-(monotonicMs - this.#lastMs) / WINDOW_MS);
    this.#lastMs = monotonicMs;
    const tracked = table.connections.map(({ id }) => this.#track(id, monotonicMs));
    const scores = Float64Array.from(tracked, (each, row) => rescore(each, columns, row, fade));
    const chosen = this.#choose(scores);
    tracked.forEach((each, row) => this.#book(each, chosen[row] === 1, columns, row));
    for (const [id, { seenMs }] of this.#tracked) {
      if (monotonicMs - seenMs > REMEMBERED_MS) this.#tracked.delete(id);
    }
    const rows = Uint32Array.from(tracked.keys()).filter((row) => chosen[row] === 1);
    return {
      rows,
      counters: columns.map((column, c) =>
        Float64Array.from(rows, (row) => column[row]! - tracked[row]!.unseen[c]!),
      ),
      other: grand.map((sum, c) => sum - this.#shownSums[c]!),
    };
  }

  /** Everything has been shown until now; nothing, if this is the first look. */
  #beginChoosing(
    table: ConnectionTable,
    columns: readonly ArrayLike<number>[],
    grand: Float64Array,
    nowMs: number,
  ): void {
    this.#choosing = true;
    if (this.#looked) this.#shownSums = grand.slice();
    this.#lastMs = nowMs;
    table.connections.forEach(({ id }, row) => {
      const tracked = this.#track(id, nowMs);
      tracked.shown = this.#looked;
      tracked.everShown = this.#looked;
      columns.forEach((column, c) => {
        tracked.values[c] = column[row]!;
      });
    });
  }

  #track(id: string, nowMs: number): Tracked {
    let tracked = this.#tracked.get(id);
    if (!tracked) {
      const zeros = { values: new Float64Array(N), unseen: new Float64Array(N) };
      tracked = { shown: false, everShown: false, score: 0, seenMs: nowMs, ...zeros };
      this.#tracked.set(id, tracked);
    }
    tracked.seenMs = nowMs;
    return tracked;
  }

  /** Marks the rows with the highest scores, at most as many as the limit; `top` wants some traffic too. */
  #choose(scores: Float64Array): Uint8Array {
    const chosen = new Uint8Array(scores.length);
    if (this.#limit === 0) return chosen;
    const least = scores.length > this.#limit ? scores.slice().sort()[scores.length - this.#limit]! : 0;
    let above = 0;
    for (const score of scores) if (score > least) above += 1;
    let equals = Math.min(this.#limit, scores.length) - above;
    for (let row = 0; row < scores.length; row += 1) {
      const score = scores[row]!;
      if (score < least || (this.#detail === 'top' && score < 1) || (score === least && equals-- <= 0))
        continue;
      chosen[row] = 1;
    }
    return chosen;
  }

  /** Books what the connection moved since the last look: to its own series only if it is there at both ends. */
  #book(tracked: Tracked, chosen: boolean, columns: readonly ArrayLike<number>[], row: number): void {
    for (let c = 0; c < N; c += 1) {
      const value = columns[c]![row]!;
      const moved = value - tracked.values[c]!;
      tracked.values[c] = value;
      if (tracked.shown && chosen) this.#shownSums[c]! += moved;
      else if (tracked.everShown) tracked.unseen[c]! += moved;
    }
    tracked.shown = chosen;
    tracked.everShown ||= chosen;
  }
}

/** Bytes of late; those that are shown keep an advantage, also when nothing moves. */
function rescore(tracked: Tracked, columns: readonly ArrayLike<number>[], row: number, fade: number): number {
  const received = columns[RECEIVED]![row]! - tracked.values[RECEIVED]!;
  const transmitted = columns[TRANSMITTED]![row]! - tracked.values[TRANSMITTED]!;
  tracked.score = tracked.score * fade + received + transmitted;
  return tracked.shown ? tracked.score * HYSTERESIS + 0.5 : tracked.score;
}

function grandTotals(totals: Totals): Float64Array {
  const grand = new Float64Array(N);
  for (let i = 0; i < totals.sums.length; i += 1) grand[i % N]! += totals.sums[i]!;
  return grand;
}
