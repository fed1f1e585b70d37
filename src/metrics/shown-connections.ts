/**
 * Decides which connections are shown one by one, and accounts for the rest in the row `other`: whatever a connection
 * moves while it is not shown goes there, so that the increase over all rows is the increase of the totals.
 */
import type { Connection, ConnectionTable, Totals } from '../model/snapshot.ts';
import { CONNECTION_COUNTERS } from '../model/snapshot.ts';
import type { Sliced } from '../model/slices.ts';
import { atOnce, ROWS_PER_SLICE } from '../model/slices.ts';

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

export interface Choice {
  /** Rows of the table that are shown, in the table's order. */
  readonly rows: Uint32Array;
  /** Counters of the shown rows, by the order of CONNECTION_COUNTERS. */
  readonly counters: readonly ArrayLike<number>[];
  /** The row `other`, by the same order; undefined while everything has always been shown. */
  readonly other: Float64Array | undefined;
}

const SHOWN = 1;
const EVER_SHOWN = 2;

export class ShownConnections {
  #detail: Detail;
  #limit: number;
  /** Not in force yet. */
  #wanted: { readonly detail: Detail; readonly limit: number } | undefined;
  // What is known of each connection, also of one that is out of sight, by its place.
  readonly #ids: (string | undefined)[] = [];
  #flags = new Uint8Array(0);
  /** Bytes moved, those of long ago fading out. */
  #scores = new Float64Array(0);
  /** Monotonic time of the last look that found it. */
  #seenMs = new Float64Array(0);
  /** Counters at the last look: place times the number of counters plus counter index. */
  #values = new Float64Array(0);
  /** What it moved while hidden, after it had been shown: its series goes on where it broke off. */
  #unseen = new Float64Array(0);
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

  /**
   * For the looks to come; what is accounted for goes on. Where all have been shown, the next look shows them once more: the row
   * `other` is to be there before anything moves in it.
   */
  configure(detail: Detail, limit: number): void {
    this.#wanted = { detail, limit: detail === 'none' ? 0 : limit };
  }

  /** False as long as everything is shown. */
  get isChoosing(): boolean {
    return this.#choosing;
  }

  choose(table: ConnectionTable, totals: Totals, monotonicMs: number): Choice {
    return atOnce(this.choosing(table, totals, monotonicMs));
  }

  /** Chooses for a new table, in slices. Each call is one look of the outputs at the server. */
  *choosing(table: ConnectionTable, totals: Totals, monotonicMs: number): Sliced<Choice> {
    const count = table.connections.length;
    const columns = CONNECTION_COUNTERS.map((counter) => table.counters[counter]);
    const grand = grandTotals(totals);
    const { detail, limit } = this.#wanted ?? { detail: this.#detail, limit: this.#limit };
    if (!this.#choosing && (detail !== 'full' || count >= NEAR_LIMIT * limit)) {
      if (!this.#looked) this.#useWanted();
      this.#beginChoosing(table, columns, grand, monotonicMs);
    } else {
      this.#useWanted();
    }
    this.#looked = true;
    if (!this.#choosing) {
      const rows = new Uint32Array(count);
      for (let row = 0; row < count; row += 1) rows[row] = row;
      return { rows, counters: columns, other: undefined };
    }
    const lastLookMs = this.#lastMs;
    const fade = Math.exp(-(monotonicMs - lastLookMs) / WINDOW_MS);
    this.#lastMs = monotonicMs;
    const scores = new Float64Array(count);
    for (let row = 0; row < count; row += 1) {
      const place = this.#track(table.connections[row]!, monotonicMs, lastLookMs);
      scores[row] = this.#rescore(place, columns, row, fade);
      if (row % ROWS_PER_SLICE === 0) yield;
    }
    const { chosen, rows } = this.#choose(scores);
    yield;
    const counters = columns.map(() => new Float64Array(rows.length));
    for (let row = 0, i = 0; row < count; row += 1) {
      const { place } = table.connections[row]!;
      this.#book(place, chosen[row] === 1, columns, row);
      if (chosen[row] === 1) {
        for (let c = 0; c < N; c += 1) counters[c]![i] = columns[c]![row]! - this.#unseen[place * N + c]!;
        i += 1;
      }
      if (row % ROWS_PER_SLICE === 0) yield;
    }
    return { rows, counters, other: grand.map((sum, c) => sum - this.#shownSums[c]!) };
  }

  #useWanted(): void {
    if (!this.#wanted) return;
    this.#detail = this.#wanted.detail;
    this.#limit = this.#wanted.limit;
    this.#wanted = undefined;
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
    table.connections.forEach((connection, row) => {
      const place = this.#track(connection, nowMs, nowMs);
      this.#flags[place] = this.#looked ? SHOWN | EVER_SHOWN : 0;
      for (let c = 0; c < N; c += 1) this.#values[place * N + c] = columns[c]![row]!;
    });
  }

  /** The connection's place, cleared if it was another's or if earlier looks had not found the connection for long. */
  #track({ id, place }: Connection, nowMs: number, lastLookMs: number): number {
    if (place >= this.#flags.length) this.#grow(place + 1);
    if (this.#ids[place] !== id || lastLookMs - this.#seenMs[place]! > REMEMBERED_MS) {
      this.#ids[place] = id;
      this.#flags[place] = 0;
      this.#scores[place] = 0;
      this.#values.fill(0, place * N, (place + 1) * N);
      this.#unseen.fill(0, place * N, (place + 1) * N);
    }
    this.#seenMs[place] = nowMs;
    return place;
  }

  #grow(places: number): void {
    const length = Math.max(64, places, this.#flags.length * 2);
    const grown = (column: Float64Array, width: number): Float64Array<ArrayBuffer> => {
      const larger = new Float64Array(length * width);
      larger.set(column);
      return larger;
    };
    const flags = new Uint8Array(length);
    flags.set(this.#flags);
    this.#flags = flags;
    this.#scores = grown(this.#scores, 1);
    this.#seenMs = grown(this.#seenMs, 1);
    this.#values = grown(this.#values, N);
    this.#unseen = grown(this.#unseen, N);
  }

  /** Bytes of late; those that are shown keep an advantage, also when nothing moves. */
  #rescore(place: number, columns: readonly ArrayLike<number>[], row: number, fade: number): number {
    const received = columns[RECEIVED]![row]! - this.#values[place * N + RECEIVED]!;
    const transmitted = columns[TRANSMITTED]![row]! - this.#values[place * N + TRANSMITTED]!;
    const score = this.#scores[place]! * fade + received + transmitted;
    this.#scores[place] = score;
    return this.#flags[place]! & SHOWN ? score * HYSTERESIS + 0.5 : score;
  }

  /** Marks the rows with the highest scores, at most as many as the limit; `top` wants some traffic too. */
  #choose(scores: Float64Array): { chosen: Uint8Array; rows: Uint32Array } {
    const chosen = new Uint8Array(scores.length);
    if (this.#limit === 0) return { chosen, rows: new Uint32Array(0) };
    const least = scores.length > this.#limit ? scores.slice().sort()[scores.length - this.#limit]! : 0;
    let above = 0;
    for (const score of scores) if (score > least) above += 1;
    let equals = Math.min(this.#limit, scores.length) - above;
    const rows = new Uint32Array(Math.min(this.#limit, scores.length));
    let count = 0;
    for (let row = 0; row < scores.length; row += 1) {
      const score = scores[row]!;
      if (score < least || (this.#detail === 'top' && score < 1) || (score === least && equals-- <= 0))
        continue;
      chosen[row] = 1;
      rows[count++] = row;
    }
    return { chosen, rows: rows.subarray(0, count) };
  }

  /** Books what the connection moved since the last look: to its own series only if it is there at both ends. */
  #book(place: number, chosen: boolean, columns: readonly ArrayLike<number>[], row: number): void {
    const flags = this.#flags[place]!;
    const at = place * N;
    for (let c = 0; c < N; c += 1) {
      const value = columns[c]![row]!;
      const moved = value - this.#values[at + c]!;
      this.#values[at + c] = value;
      if (flags & SHOWN && chosen) this.#shownSums[c]! += moved;
      else if (flags & EVER_SHOWN) this.#unseen[at + c]! += moved;
    }
    this.#flags[place] = chosen ? SHOWN | EVER_SHOWN : flags & EVER_SHOWN;
  }
}

function grandTotals(totals: Totals): Float64Array {
  const grand = new Float64Array(N);
  for (let i = 0; i < totals.sums.length; i += 1) grand[i % N]! += totals.sums[i]!;
  return grand;
}
