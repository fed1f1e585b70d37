/** The metrics page: rendered once per snapshot and shared, as bytes, by all scrapes that overlap. */
import { promisify } from 'node:util';
import { gzip as gzipCallback } from 'node:zlib';
import type { Clock } from '../model/clock.ts';
import type { Snapshot } from '../model/snapshot.ts';

const gzip = promisify(gzipCallback);

export interface Page {
  readonly contentType: string;
  readonly chunks: readonly Uint8Array[];
  readonly bytes: number;
  /** The same page compressed; made at the first call, off the event loop. */
  gzipped(): Promise<Uint8Array>;
}

export interface PageSource {
  /** Renders a snapshot, with the exporter's own metrics. */
  render(snapshot: Snapshot): Promise<readonly Uint8Array[]>;
}

/** A page is shared for so long at the most, as the exporter's own metrics go on. */
const SHARED_FOR_MS = 1000;
const GZIP_LEVEL = 1;
export const TEXT_CONTENT_TYPE = 'text/plain; version=0.0.4; charset=utf-8';

export class PageCache {
  readonly #source: PageSource;
  readonly #clock: Clock;
  #key = '';
  #madeAtMs = -Infinity;
  #page: Promise<Page> | undefined;

  constructor(source: PageSource, clock: Clock) {
    this.#source = source;
    this.#clock = clock;
  }

  get(snapshot: Snapshot): Promise<Page> {
    const { generation, up, service, ports, interfaces, connections } = snapshot;
    const parts = [service, ports, interfaces, connections].map((part) => (part ? 1 : 0));
    const key = [generation, up, ...parts].join(' ');
    const now = this.#clock.monotonicMs();
    if (!this.#page || key !== this.#key || now - this.#madeAtMs > SHARED_FOR_MS) {
      this.#key = key;
      this.#madeAtMs = now;
      const page = (this.#page = this.#make(snapshot));
      // A page that could not be made is not kept for the scrapes to come.
      page.catch(() => {
        if (this.#page === page) this.#page = undefined;
      });
    }
    return this.#page;
  }

  async #make(snapshot: Snapshot): Promise<Page> {
    const chunks = await this.#source.render(snapshot);
    let zipped: Promise<Uint8Array> | undefined;
    return {
      contentType: TEXT_CONTENT_TYPE,
      chunks,
      bytes: chunks.reduce((sum, chunk) => sum + chunk.length, 0),
      gzipped: () => (zipped ??= gzip(Buffer.concat(chunks), { level: GZIP_LEVEL })),
    };
  }
}
