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
/** Which connections are shown. */
export interface Rows {
  /** Of the table, in its order. */
  readonly rows: Uint32Array;
  /** Counters of these rows, by the order of CONNECTION_COUNTERS. */
  readonly counters: readonly ArrayLike<number>[];
}

export interface Choice extends Rows {
  /** The row `other`, by the same order; undefined as long as there was no need for it. */
  readonly other: Float64Array | undefined;
}

const SHOWN = 1;
const EVER_SHOWN = 2;
/** It moved something while it was hidden. */
const LAGS = 4;

export class ShownConnections {
  #detail: Detail;
  #limit: number;
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
  /** There was a look before. */
  #looked = false;
  #lastMs = 0;
  /** What shown connections moved, by counter: the rest of the totals is the row `other`. */
  readonly #shownSums = new Float64Array(N);
  #other = new Float64Array(N);
  #hasOther = false;

  constructor(detail: Detail, limit: number) {
    this.#detail = detail;
    this.#limit = detail === 'none' ? 0 : limit;
  }

  /** For the looks to come; what is accounted for goes on. */
  configure(detail: Detail, limit: number): void {
    this.#detail = detail;
    this.#limit = detail === 'none' ? 0 : limit;
  }

  choose(table: ConnectionTable, totals: Totals, monotonicMs: number): Choice {
    return atOnce(this.choosing(table, totals, monotonicMs));
  }

  /** Chooses for a new table, in slices. Each call is one look of the outputs at the server. */
  *choosing(table: ConnectionTable, totals: Totals, monotonicMs: number): Sliced<Choice> {
    const count = table.connections.length;
    const columns = columnsOf(table);
    const lastLookMs = this.#looked ? this.#lastMs : monotonicMs;
    const fade = Math.exp(-(monotonicMs - lastLookMs) / WINDOW_MS);
    this.#lastMs = monotonicMs;
    const scores = new Float64Array(count);
    for (let row = 0; row < count; row += 1) {
      const place = this.#track(table.connections[row]!, monotonicMs, lastLookMs);
      // What was moved before the first look is of no time that is known.
      if (!this.#looked) this.#copyValues(place, columns, row);
      scores[row] = this.#rescore(place, columns, row, fade);
      if (row % ROWS_PER_SLICE === 0) yield;
    }
    const { chosen, rows } = this.#choose(scores);
    yield;
    let lags = false;
    for (let row = 0; row < count; row += 1) {
      lags = this.#book(table.connections[row]!.place, chosen[row] === 1, columns, row) || lags;
      if (row % ROWS_PER_SLICE === 0) yield;
    }
    const counters = lags || rows.length < count ? yield* this.#shownCounters(table, columns, rows) : columns;
    const other = this.#bookOther(grandTotals(totals), rows.length === count);
    this.#looked = true;
    return { rows, counters, other };
  }

  /** The counters of all connections, if all may be shown, without a look: nothing is accounted for. */
  *glancing(table: ConnectionTable): Sliced<Rows | undefined> {
    const { connections } = table;
    if (!this.#showsAllOf(connections.length)) return undefined;
    const rows = allRows(connections.length);
    const columns = columnsOf(table);
    const lag = connections.some(({ id, place }) => this.#lags(id, place));
    return { rows, counters: lag ? yield* this.#shownCounters(table, columns, rows) : columns };
  }

  #showsAllOf(connections: number): boolean {
    return this.#detail === 'full' && connections <= this.#limit;
  }

  #lags(id: string, place: number): boolean {
    return this.#ids[place] === id && (this.#flags[place]! & LAGS) !== 0;
  }

  *#shownCounters(
    { connections }: ConnectionTable,
    columns: readonly ArrayLike<number>[],
    rows: Uint32Array,
  ): Sliced<readonly Float64Array[]> {
    const counters = columns.map(() => new Float64Array(rows.length));
    for (let i = 0; i < rows.length; i += 1) {
      const row = rows[i]!;
      const { id, place } = connections[row]!;
      const lags = this.#lags(id, place);
      for (let c = 0; c < N; c += 1)
        counters[c]![i] = columns[c]![row]! - (lags ? this.#unseen[place * N + c]! : 0);
      if (i % ROWS_PER_SLICE === 0) yield;
    }
    return counters;
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
    if (this.#showsAllOf(scores.length)) return { chosen: chosen.fill(1), rows: allRows(scores.length) };
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

  /** The row `other`. Where all are shown it begins when it is needed, and then as it was before: increase() sees all that follows. */
  #bookOther(grand: Float64Array, areAllShown: boolean): Float64Array | undefined {
    // Beyond 2^53 differences are not exact, and the row never falls.
    const rest = grand.map((sum, c) => Math.max(this.#other[c]!, sum - this.#shownSums[c]!));
    const before = this.#looked ? this.#other : rest;
    if (this.#hasOther) return (this.#other = rest);
    this.#hasOther = !areAllShown || rest.some((sum, c) => sum > before[c]!);
    this.#other = before;
    return this.#hasOther ? before : undefined;
  }

  #copyValues(place: number, columns: readonly ArrayLike<number>[], row: number): void {
    for (let c = 0; c < N; c += 1) this.#values[place * N + c] = columns[c]![row]!;
  }

  /**
   * Books what the connection moved since the last look: to its own series only if it is there at both ends. Whether its
   * series lags behind its counters.
   */
  #book(place: number, chosen: boolean, columns: readonly ArrayLike<number>[], row: number): boolean {
    let flags = this.#flags[place]!;
    const at = place * N;
    for (let c = 0; c < N; c += 1) {
      const value = columns[c]![row]!;
      const moved = value - this.#values[at + c]!;
      if (moved === 0) continue;
      this.#values[at + c] = value;
      if (flags & SHOWN && chosen) this.#shownSums[c]! += moved;
      else if (flags & EVER_SHOWN) {
        this.#unseen[at + c]! += moved;
        flags |= LAGS;
      }
    }
    flags &= ~SHOWN;
    this.#flags[place] = chosen ? flags | SHOWN | EVER_SHOWN : flags;
    return (flags & LAGS) !== 0;
  }
}

function allRows(count: number): Uint32Array {
  const rows = new Uint32Array(count);
  for (let row = 0; row < count; row += 1) rows[row] = row;
  return rows;
}

const columnsOf = (table: ConnectionTable): readonly ArrayLike<number>[] =>
  CONNECTION_COUNTERS.map((counter) => table.counters[counter]);

function grandTotals(totals: Totals): Float64Array {
  const grand = new Float64Array(N);
  for (let i = 0; i < totals.sums.length; i += 1) grand[i % N]! += totals.sums[i]!;
  return grand;
}
