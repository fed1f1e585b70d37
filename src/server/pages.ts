/**
 * The metrics page: rendered once per snapshot and shared, as bytes, by all scrapes that overlap. Of a large page only the
 * compressed form is kept, which is several times smaller: whoever reads slowly holds no more than that.
 */
import type { Readable } from 'node:stream';
import { createGunzip } from 'node:zlib';
import type { Clock } from '../model/clock.ts';
import type { Snapshot } from '../model/snapshot.ts';
import { SegmentedGzip } from './segmented-gzip.ts';

export type PageFormat = 'text' | 'openmetrics';

export interface Page {
  readonly contentType: string;
  /** Of the plain form. */
  readonly bytes: number;
  /** The plain form, at the pace at which it is taken. */
  plain(): Iterable<Uint8Array> | Readable;
  /** The same page compressed; made at the first call, off the event loop. */
  gzipped(): Promise<Uint8Array>;
}

export interface PageSource {
  readonly contentTypes: Readonly<Record<PageFormat, string>>;
  /**
   * Renders a snapshot, with the exporter's own metrics. One at a time; chunks are good until the next is begun. One that
   * is as in the page before is best the same object, as what it is compressed to is kept.
   */
  render(snapshot: Snapshot, format: PageFormat): Promise<readonly Uint8Array[]>;
}

/** A page is shared for so long at the most, as the exporter's own metrics go on. */
const SHARED_FOR_MS = 1000;
/** Larger pages are kept compressed only. */
const KEPT_PLAIN_BYTES = 1024 * 1024;
const INFLATED_AT_ONCE_BYTES = 128 * 1024;

interface Entry {
  readonly key: string;
  readonly madeAtMs: number;
  readonly page: Promise<Page>;
}

export class PageCache {
  readonly #source: PageSource;
  readonly #clock: Clock;
  readonly #gzip: SegmentedGzip;
  readonly #entries = new Map<PageFormat, Entry>();
  #last: Promise<unknown> = Promise.resolve();

  constructor(source: PageSource, clock: Clock) {
    this.#source = source;
    this.#clock = clock;
    this.#gzip = new SegmentedGzip(clock);
  }

  /** What was rendered is not as it would be now. */
  clear(): void {
    this.#entries.clear();
  }

  get(snapshot: Snapshot, format: PageFormat): Promise<Page> {
    const { generation, up, service, ports, interfaces, connections } = snapshot;
    const parts = [service, ports, interfaces, connections].map((part) => (part ? 1 : 0));
    const key = [generation, up, ...parts].join(' ');
    const now = this.#clock.monotonicMs();
    const known = this.#entries.get(format);
    if (known?.key === key && now - known.madeAtMs <= SHARED_FOR_MS) return known.page;
    const page = this.#last.then(() => this.#make(snapshot, format));
    this.#last = page.catch(() => undefined);
    const entry: Entry = { key, madeAtMs: now, page };
    this.#entries.set(format, entry);
    // A page that could not be made is not kept for the scrapes to come.
    entry.page.catch(() => {
      if (this.#entries.get(format) === entry) this.#entries.delete(format);
    });
    return entry.page;
  }

  async #make(snapshot: Snapshot, format: PageFormat): Promise<Page> {
    const chunks = await this.#source.render(snapshot, format);
    const bytes = chunks.reduce((sum, chunk) => sum + chunk.length, 0);
    const common = { contentType: this.#source.contentTypes[format], bytes };
    if (bytes > KEPT_PLAIN_BYTES) {
      const zipped = await this.#gzip.compress(chunks);
      return { ...common, plain: () => inflated(zipped), gzipped: () => Promise.resolve(zipped) };
    }
    const text = Buffer.concat(chunks);
    let zipped: Promise<Uint8Array> | undefined;
    return { ...common, plain: () => [text], gzipped: () => (zipped ??= this.#gzip.compress([text])) };
  }
}

function inflated(zipped: Uint8Array): Readable {
  const stream = createGunzip({ chunkSize: INFLATED_AT_ONCE_BYTES });
  stream.end(zipped);
  return stream;
}
