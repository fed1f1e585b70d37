/** The metrics page: rendered once per snapshot and shared, as bytes, by all scrapes that overlap. */
import type { Clock } from '../model/clock.ts';
import type { Snapshot } from '../model/snapshot.ts';
import { SegmentedGzip } from './segmented-gzip.ts';

export type PageFormat = 'text' | 'openmetrics';

export interface Page {
  /** Rises from page to page. */
  readonly id: number;
  readonly contentType: string;
  readonly chunks: readonly Uint8Array[];
  readonly bytes: number;
  /** The same page compressed; made at the first call, off the event loop. */
  gzipped(): Promise<Uint8Array>;
}

export interface PageSource {
  readonly contentTypes: Readonly<Record<PageFormat, string>>;
  /**
   * Renders a snapshot, with the exporter's own metrics. A chunk is never changed afterwards; one that is as in the page
   * before is best the same object, as what it is compressed to is kept.
   */
  render(snapshot: Snapshot, format: PageFormat): Promise<readonly Uint8Array[]>;
}

/** A page is shared for so long at the most, as the exporter's own metrics go on. */
const SHARED_FOR_MS = 1000;

interface Entry {
  readonly key: string;
  readonly madeAtMs: number;
  readonly page: Promise<Page>;
}

export class PageCache {
  readonly #source: PageSource;
  readonly #clock: Clock;
  readonly #gzip: SegmentedGzip;
  #made = 0;
  readonly #entries = new Map<PageFormat, Entry>();

  constructor(source: PageSource, clock: Clock) {
    this.#source = source;
    this.#clock = clock;
    this.#gzip = new SegmentedGzip(clock);
  }

  get(snapshot: Snapshot, format: PageFormat): Promise<Page> {
    const { generation, up, service, ports, interfaces, connections } = snapshot;
    const parts = [service, ports, interfaces, connections].map((part) => (part ? 1 : 0));
    const key = [generation, up, ...parts].join(' ');
    const now = this.#clock.monotonicMs();
    const known = this.#entries.get(format);
    if (known?.key === key && now - known.madeAtMs <= SHARED_FOR_MS) return known.page;
    const entry: Entry = { key, madeAtMs: now, page: this.#make(snapshot, format) };
    this.#entries.set(format, entry);
    // A page that could not be made is not kept for the scrapes to come.
    entry.page.catch(() => {
      if (this.#entries.get(format) === entry) this.#entries.delete(format);
    });
    return entry.page;
  }

  async #make(snapshot: Snapshot, format: PageFormat): Promise<Page> {
    const chunks = await this.#source.render(snapshot, format);
    let zipped: Promise<Uint8Array> | undefined;
    return {
      id: (this.#made += 1),
      contentType: this.#source.contentTypes[format],
      chunks,
      bytes: chunks.reduce((sum, chunk) => sum + chunk.length, 0),
      gzipped: () => (zipped ??= this.#gzip.compress(chunks)),
    };
  }
}
