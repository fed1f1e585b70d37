/**
 * The resume loop: asks for page after page until the server says that there is no more, frees every page once, and
 * ends on any answer that could make it spin. It never reads a record; the consumer does.
 */
import type { EnumPage } from '../model/rras-api.ts';
import type { Anomaly } from '../model/words.ts';

const NO_ERROR = 0;
const ERROR_MORE_DATA = 234;
/** One buffer with everything: no torn pages. */
const PREFER_ALL = 0xffff_ffff;
/** Far beyond any RRAS server; a larger count is a broken answer, refused before anything is read. */
export const MAX_ENTRIES = 1_000_000;

/** Counts what an enumeration met; filled in also when it fails. */
export interface EnumerationTally {
  pages: number;
  readonly anomalies: Partial<Record<Anomaly, number>>;
}

export interface EnumerationRequest {
  /** One native call. `preferredLength` in bytes. */
  readonly call: (preferredLength: number, resumeHandle: number) => Promise<EnumPage>;
  /** sizeof of one record, in bytes. */
  readonly stride: number;
  /** Reads the records of one page; answers how many of them had a key that no page before brought. */
  readonly consume: (bytes: Uint8Array, entries: number) => number;
  readonly tally: EnumerationTally;
  /** First dwPreferedMaxLen in bytes; default: everything at once. */
  readonly preferredLength?: number;
}

/** `code`: the call failed with it. `anomaly`: the server broke the protocol and nothing of the answer is to be used. */
export type EnumerationEnd =
  | { readonly status: 'complete' }
  | { readonly status: 'failed'; readonly code: number }
  | { readonly status: 'broken'; readonly anomaly: Anomaly };

export function countAnomaly(tally: EnumerationTally, anomaly: Anomaly, by = 1): void {
  tally.anomalies[anomaly] = (tally.anomalies[anomaly] ?? 0) + by;
}

/**
 * Runs one enumeration. A consumer that throws ends it with that error; the page is freed before. Calls are bounded:
 * each page must bring a resume handle not seen before and at least one new record.
 */
export async function enumerate(request: EnumerationRequest): Promise<EnumerationEnd> {
  const { call, stride, tally } = request;
  const broken = (anomaly: Anomaly): EnumerationEnd => {
    countAnomaly(tally, anomaly);
    return { status: 'broken', anomaly };
  };
  const handles = new Set<number>([0]);
  let preferredLength = request.preferredLength ?? PREFER_ALL;
  let resumeHandle = 0;
  // Of this enumeration alone: the tally may go on from another one.
  let pages = 0;
  let announced = 0;
  let records = 0;
  let retried = false;
  for (;;) {
    const page = await call(preferredLength, resumeHandle);
    let fresh = 0;
    try {
      if (page.code !== NO_ERROR && page.code !== ERROR_MORE_DATA)
        return { status: 'failed', code: page.code };
      tally.pages += 1;
      pages += 1;
      const entries = page.entriesRead;
      if (entries > entryBound(preferredLength, stride) || records + entries > MAX_ENTRIES)
        return broken('bad_count');
      if (entries > 0) {
        if (page.buffer === null) return broken('null_buffer');
        fresh = request.consume(page.buffer.view(entries * stride), entries);
        if (fresh < entries) countAnomaly(tally, 'duplicate', entries - fresh);
      }
    } finally {
      page.buffer?.free();
    }
    if (pages === 1) announced = page.totalEntries;
    records += fresh;
    if (page.code === NO_ERROR) {
      if (pages > 1 && announced > 0 && announced !== records) countAnomaly(tally, 'changed');
      return { status: 'complete' };
    }
    if (page.entriesRead === 0) {
      // A length below one record gives this answer for ever: ask once for more, then give up.
      if (retried) return broken('empty_page');
      retried = true;
      preferredLength = Math.min(preferredLength * 2, PREFER_ALL);
      continue;
    }
    if (page.resumeHandle === 0) {
      // More data, but no way to ask for it.
      countAnomaly(tally, 'truncated');
      return { status: 'complete' };
    }
    if (handles.has(page.resumeHandle))
      return broken(page.resumeHandle === resumeHandle ? 'no_progress' : 'cycle');
    if (fresh === 0) return broken('no_progress');
    handles.add(page.resumeHandle);
    resumeHandle = page.resumeHandle;
  }
}

/** A finite preferred length may be exceeded by one record; nothing may exceed what fits a server. */
function entryBound(preferredLength: number, stride: number): number {
  return preferredLength === PREFER_ALL
    ? MAX_ENTRIES
    : Math.min(MAX_ENTRIES, Math.floor(preferredLength / stride) + 1);
}
