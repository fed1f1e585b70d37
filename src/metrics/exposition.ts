/**
 * Writes a view as Prometheus text 0.0.4 or OpenMetrics 1.0.0, into chunks of bytes. A chunk that is as in the last page
 * is the same object again.
 */
import type { Sliced } from '../model/slices.ts';
import { atOnce } from '../model/slices.ts';
import type { ConnectionFamily, Family, HistogramFamily, IdentityFamily, SampleFamily } from './catalogue.ts';
import { connectionSuffix, ConnectionTexts } from './connection-text.ts';
import type { View } from './labels.ts';
import {
  createdName,
  ESCAPES,
  escapeLabelValue,
  formatNumber,
  LONGEST_NUMBER,
  renderLabels,
  writeNumber,
} from './sample-text.ts';

export type Format = 'text' | 'openmetrics';

export const CONTENT_TYPES: Readonly<Record<Format, string>> = {
  text: 'text/plain; version=0.0.4; charset=utf-8',
  openmetrics: 'application/openmetrics-text; version=1.0.0; charset=utf-8',
};

const CHUNK_BYTES = 256 * 1024;
/** Smaller chunks are put together: to compress or to send each by itself would cost more than to copy it. */
const SMALL_CHUNK_BYTES = 32 * 1024;
const NEWLINE = 0x0a;

/** Collects what is written and what is kept. */
class ChunkWriter {
  readonly #chunks: Buffer[] = [];
  #chunk = Buffer.allocUnsafeSlow(CHUNK_BYTES);
  #from = 0;
  #at = 0;

  /** A chunk that is not to be changed by anybody. */
  chunk(chunk: Buffer): void {
    if (chunk.length < SMALL_CHUNK_BYTES) {
      this.bytes(chunk);
      return;
    }
    this.#cut();
    this.#chunks.push(chunk);
  }

  bytes(bytes: Uint8Array): void {
    this.#room(bytes.length + LONGEST_NUMBER + 1);
    this.#chunk.set(bytes, this.#at);
    this.#at += bytes.length;
  }

  text(text: string): void {
    this.bytes(Buffer.from(text, 'utf8'));
  }

  /** A sample's value and the end of its line. */
  value(value: number): void {
    this.#at = writeNumber(this.#chunk, this.#at, value);
    this.#chunk[this.#at++] = NEWLINE;
  }

  finish(): Buffer[] {
    this.#cut();
    return this.#chunks;
  }

  #cut(): void {
    if (this.#at > this.#from) this.#chunks.push(this.#chunk.subarray(this.#from, this.#at));
    this.#from = this.#at;
  }

  #room(bytes: number): void {
    if (this.#at + bytes <= this.#chunk.length) return;
    this.#cut();
    this.#chunk = Buffer.allocUnsafeSlow(Math.max(CHUNK_BYTES, bytes));
    this.#from = 0;
    this.#at = 0;
  }
}

/** Units that a name can end in; the formats know no others here. */
const UNIT = /_(seconds|bytes|ratio)$/;

/** A family's first lines. HELP is escaped as each format wants it; OpenMetrics names counters without `_total`. */
export function renderHead(format: Format, name: string, type: string, help: string): string {
  if (format === 'text') {
    const escaped = help.replace(/[\\\n]/g, (char) => ESCAPES[char]!);
    return `# HELP ${name} ${escaped}\n# TYPE ${name} ${type}\n`;
  }
  const base = type === 'counter' ? name.replace(/_total$/, '') : name;
  const unit = UNIT.exec(base)?.[1];
  const unitLine = unit === undefined ? '' : `# UNIT ${base} ${unit}\n`;
  return `# HELP ${base} ${escapeLabelValue(help)}\n# TYPE ${base} ${type}\n${unitLine}`;
}

export interface EncoderOptions {
  readonly format: Format;
  /** Unix seconds at which the totals began, to be told with each of them (OpenMetrics only); undefined: not told. */
  readonly createdSeconds?: number | undefined;
  /** An encoder whose texts of connections are kept for both, where they are the same in both formats. */
  readonly shareWith?: PageEncoder;
}

type Write = (view: View, out: ChunkWriter) => Sliced<void>;

/** Renders the families of a catalogue again and again, keeping what stays the same. */
export class PageEncoder {
  readonly #writers: readonly Write[];
  readonly #connections: ConnectionTexts;

  constructor(catalogue: readonly Family[], options: EncoderOptions) {
    const { format, shareWith } = options;
    const createdSeconds = format === 'openmetrics' ? options.createdSeconds : undefined;
    this.#connections =
      shareWith && createdSeconds === undefined
        ? shareWith.#connections
        : new ConnectionTexts(createdSeconds);
    this.#writers = catalogue.map((family) => {
      const head = Buffer.from(renderHead(options.format, family.name, family.type, family.help));
      switch (family.kind) {
        case 'samples':
          return sampleWriter(family, head, createdSeconds);
        case 'histogram':
          return histogramWriter(family, head, format, createdSeconds);
        case 'connections':
        case 'identity':
          return connectionWriter(family, head, this.#connections, createdSeconds);
      }
    });
  }

  /**
   * The page as chunks of UTF-8, without an end mark; families without a sample are left out. Chunks are good until the
   * next page is begun, also by an encoder that shares.
   */
  encode(view: View): Buffer[] {
    return atOnce(this.encoding(view));
  }

  /** `encode` in slices. One page at a time, also of encoders that share. */
  *encoding(view: View): Sliced<Buffer[]> {
    const out = new ChunkWriter();
    let complete = false;
    try {
      for (const write of this.#writers) {
        yield* write(view, out);
      }
      this.#connections.finishPage();
      complete = true;
    } finally {
      if (!complete) this.#connections.reset();
    }
    return out.finish();
  }
}

function sampleWriter(family: SampleFamily, head: Buffer, createdSeconds: number | undefined): Write {
  const created = family.type === 'counter' ? createdSeconds : undefined;
  return function* (view, out) {
    let first = true;
    family.collect(view, (value, ...labelValues) => {
      if (first) out.bytes(head);
      first = false;
      const labels = renderLabels(family.labels, labelValues);
      out.text(`${family.name}${labels} `);
      out.value(value);
      if (created !== undefined) out.text(`${createdName(family.name)}${labels} ${formatNumber(created)}\n`);
    });
    yield;
  };
}

function histogramWriter(
  family: HistogramFamily,
  head: Buffer,
  format: Format,
  createdSeconds: number | undefined,
): Write {
  // OpenMetrics wants bounds in the form of a float.
  const bounds = [
    ...family.bounds.map((bound) =>
      format === 'openmetrics' && Number.isInteger(bound) ? `${bound}.0` : String(bound),
    ),
    '+Inf',
  ];
  return function* (view, out) {
    let first = true;
    family.collect(view, (counts, sum, ...labelValues) => {
      if (first) out.bytes(head);
      first = false;
      let cumulated = 0;
      bounds.forEach((bound, i) => {
        cumulated += counts[i]!;
        out.text(
          `${family.name}_bucket${renderLabels([...family.labels, 'le'], [...labelValues, bound])} ${cumulated}\n`,
        );
      });
      const labels = renderLabels(family.labels, labelValues);
      out.text(
        `${family.name}_sum${labels} ${formatNumber(sum)}\n${family.name}_count${labels} ${cumulated}\n`,
      );
      if (createdSeconds !== undefined) {
        out.text(`${createdName(family.name)}${labels} ${formatNumber(createdSeconds)}\n`);
      }
    });
    yield;
  };
}

function connectionWriter(
  family: ConnectionFamily | IdentityFamily,
  head: Buffer,
  texts: ConnectionTexts,
  createdSeconds: number | undefined,
): Write {
  return function* ({ shown }, out) {
    if (!shown) return;
    const chunks = yield* texts.chunks(family, shown);
    const other =
      family.kind === 'identity' || !shown.other ? '' : otherRows(family, shown.other, createdSeconds);
    if (chunks.length === 0 && other === '') return;
    out.bytes(head);
    for (const chunk of chunks) out.chunk(chunk);
    if (other !== '') out.text(other);
  };
}

/** The row of what connections moved while they were not shown. */
function otherRows(
  family: ConnectionFamily,
  other: ArrayLike<number>,
  createdSeconds: number | undefined,
): string {
  let rows = '';
  for (const { counter, nonZero, labelValue } of family.series) {
    const value = counter === undefined ? undefined : other[counter];
    if (value === undefined || (nonZero && value === 0)) continue;
    const labels = `{connection="other${connectionSuffix(family, labelValue).toString()}`;
    rows += `${family.name}${labels}${formatNumber(value)}\n`;
    if (createdSeconds !== undefined && family.type === 'counter')
      rows += `${createdName(family.name)}${labels}${formatNumber(createdSeconds)}\n`;
  }
  return rows;
}

/** Turns text 0.0.4 of prom-client into OpenMetrics: counters lose `_total` in their head, bounds become floats. */
export function toOpenMetrics(text: string): string {
  const types = new Map<string, string>();
  for (const [, name, type] of text.matchAll(/^# TYPE (\S+) (\S+)$/gm)) types.set(name!, type!);
  return text
    .split('\n')
    .filter((line) => /^(?:[^#]|# (?:HELP|TYPE) )/.test(line))
    .flatMap((line) => {
      const head = /^# (HELP|TYPE) (\S+) (.*)$/.exec(line);
      if (!head) return [line.replace(/le="(\d+)"/, 'le="$1.0"')];
      const [, keyword, name, rest] = head;
      // HELP and TYPE come together: both are written when HELP is met.
      return keyword === 'TYPE'
        ? []
        : [renderHead('openmetrics', name!, types.get(name!) ?? 'unknown', rest!).trimEnd()];
    })
    .map((line) => `${line}\n`)
    .join('');
}
