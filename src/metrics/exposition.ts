/**
 * Writes a view as Prometheus text 0.0.4 or OpenMetrics 1.0.0, into chunks of bytes. Names and label texts are
 * rendered once per family or session; a number is written digit by digit; nothing is concatenated per sample.
 */
import type { ConnectionFamily, Family, HistogramFamily, IdentityFamily, SampleFamily } from './catalogue.ts';
import type { View, VisibleConnection } from './labels.ts';

export type Format = 'text' | 'openmetrics';

export const CONTENT_TYPES: Readonly<Record<Format, string>> = {
  text: 'text/plain; version=0.0.4; charset=utf-8',
  openmetrics: 'application/openmetrics-text; version=1.0.0; charset=utf-8',
};

const CHUNK_BYTES = 256 * 1024;
/** Longer than any number or joint that is written without asking for room first. */
const SLACK_BYTES = 64;
const NEWLINE = 0x0a;
const ZERO = 0x30;

/** Collects bytes in chunks of a fixed size. */
class ChunkWriter {
  readonly #chunks: Buffer[] = [];
  #chunk = Buffer.allocUnsafeSlow(CHUNK_BYTES);
  #at = 0;

  bytes(bytes: Uint8Array): void {
    this.#room(bytes.length + SLACK_BYTES);
    this.#chunk.set(bytes, this.#at);
    this.#at += bytes.length;
  }

  text(text: string): void {
    this.bytes(Buffer.from(text, 'utf8'));
  }

  /** A sample's value and the end of its line. */
  value(value: number): void {
    if (Number.isSafeInteger(value) && value >= 0 && !Object.is(value, -0)) this.#digits(value);
    else this.#at += this.#chunk.write(formatNumber(value), this.#at, 'latin1');
    this.#chunk[this.#at++] = NEWLINE;
  }

  finish(): Buffer[] {
    if (this.#at > 0) this.#chunks.push(this.#chunk.subarray(0, this.#at));
    return this.#chunks;
  }

  #digits(value: number): void {
    let length = 1;
    for (let limit = 10; limit <= value && length < 16; limit *= 10) length += 1;
    let rest = value;
    for (let i = this.#at + length - 1; i >= this.#at; i -= 1) {
      const next = Math.floor(rest / 10);
      this.#chunk[i] = ZERO + (rest - next * 10);
      rest = next;
    }
    this.#at += length;
  }

  #room(bytes: number): void {
    if (this.#at + bytes <= this.#chunk.length) return;
    if (this.#at > 0) this.#chunks.push(this.#chunk.subarray(0, this.#at));
    this.#chunk = Buffer.allocUnsafeSlow(Math.max(CHUNK_BYTES, bytes));
    this.#at = 0;
  }
}

/** As both formats write numbers. */
export function formatNumber(value: number): string {
  if (Number.isNaN(value)) return 'NaN';
  if (value === Infinity) return '+Inf';
  if (value === -Infinity) return '-Inf';
  return String(value);
}

const ESCAPES: Readonly<Record<string, string>> = { '\\': '\\\\', '"': '\\"', '\n': '\\n' };
export const escapeLabelValue = (value: string): string =>
  value.replace(/[\\"\n]/g, (char) => ESCAPES[char]!);

function renderLabels(names: readonly string[], values: readonly string[]): string {
  if (names.length === 0) return '';
  return `{${names.map((name, i) => `${name}="${escapeLabelValue(values[i]!)}"`).join(',')}}`;
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
}

type Write = (view: View, out: ChunkWriter) => void;

/** Renders the families of a catalogue again and again, keeping each session's rendered texts while it lives. */
export class PageEncoder {
  readonly #writers: readonly Write[];

  constructor(catalogue: readonly Family[], options: EncoderOptions) {
    this.#writers = catalogue.map((family) => {
      const head = Buffer.from(renderHead(options.format, family.name, family.type, family.help));
      switch (family.kind) {
        case 'samples':
          return sampleWriter(family, head, options);
        case 'histogram':
          return histogramWriter(family, head, options);
        case 'connections':
          return connectionWriter(family, head, options);
        case 'identity':
          return identityWriter(family, head);
      }
    });
  }

  /** The page as chunks of UTF-8, without an end mark; families without a sample are left out. */
  encode(view: View): Buffer[] {
    const out = new ChunkWriter();
    for (const write of this.#writers) write(view, out);
    return out.finish();
  }
}

/** Name of the sample that tells when a counter or histogram began. */
const createdName = (name: string): string => `${name.replace(/_total$/, '')}_created`;

function sampleWriter(family: SampleFamily, head: Buffer, { format, createdSeconds }: EncoderOptions): Write {
  const created = format === 'openmetrics' && family.type === 'counter' ? createdSeconds : undefined;
  return (view, out) => {
    let first = true;
    family.collect(view, (value, ...labelValues) => {
      if (first) out.bytes(head);
      first = false;
      const labels = renderLabels(family.labels, labelValues);
      out.text(`${family.name}${labels} `);
      out.value(value);
      if (created !== undefined) out.text(`${createdName(family.name)}${labels} ${formatNumber(created)}\n`);
    });
  };
}

function histogramWriter(
  family: HistogramFamily,
  head: Buffer,
  { format, createdSeconds }: EncoderOptions,
): Write {
  // OpenMetrics wants bounds in the form of a float.
  const bounds = [
    ...family.bounds.map((bound) =>
      format === 'openmetrics' && Number.isInteger(bound) ? `${bound}.0` : String(bound),
    ),
    '+Inf',
  ];
  return (view, out) => {
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
      if (format === 'openmetrics' && createdSeconds !== undefined) {
        out.text(`${createdName(family.name)}${labels} ${formatNumber(createdSeconds)}\n`);
      }
    });
  };
}

/** The row of what connections moved while they were not shown. */
const OTHER = Buffer.from('other');

function connectionWriter(
  family: ConnectionFamily,
  head: Buffer,
  { format, createdSeconds }: EncoderOptions,
): Write {
  const prefix = Buffer.from(`${family.name}{connection="`);
  const created =
    format === 'openmetrics' && family.type === 'counter' && createdSeconds !== undefined
      ? { prefix: Buffer.from(`${createdName(family.name)}{connection="`), seconds: createdSeconds }
      : undefined;
  const series = family.series.map((each) => ({
    ...each,
    suffix: Buffer.from(
      family.label === undefined ? '"} ' : `",${family.label}="${each.labelValue ?? ''}"} `,
    ),
  }));
  const ids = new WeakMap<VisibleConnection, Buffer>();
  return ({ shown }, out) => {
    if (!shown) return;
    let first = true;
    const write = (id: Uint8Array, suffix: Uint8Array, value: number, startSeconds: number): void => {
      if (first) out.bytes(head);
      first = false;
      out.bytes(prefix);
      out.bytes(id);
      out.bytes(suffix);
      out.value(value);
      if (!created) return;
      out.bytes(created.prefix);
      out.bytes(id);
      out.bytes(suffix);
      out.value(startSeconds);
    };
    for (const { values, counter, divisor, nonZero, where, suffix } of series) {
      const column = values(shown);
      for (let i = 0; i < shown.connections.length; i += 1) {
        const connection = shown.connections[i]!;
        const value = column[i]!;
        if ((nonZero && value === 0) || (where && !where(connection))) continue;
        let id = ids.get(connection);
        if (!id) ids.set(connection, (id = Buffer.from(connection.id, 'latin1')));
        write(id, suffix, divisor === undefined ? value : value / divisor, connection.startTimeSeconds);
      }
      const other = counter === undefined ? undefined : shown.other?.[counter];
      if (other !== undefined && !(nonZero && other === 0))
        write(OTHER, suffix, other, created?.seconds ?? 0);
    }
  };
}

function identityWriter(family: IdentityFamily, head: Buffer): Write {
  const names = ['connection', ...family.labels];
  const lines = new WeakMap<VisibleConnection, Buffer>();
  return ({ shown }, out) => {
    if (!shown || shown.connections.length === 0) return;
    out.bytes(head);
    for (const connection of shown.connections) {
      let line = lines.get(connection);
      if (!line) {
        const labels = renderLabels(names, [connection.id, ...family.texts(connection)]);
        lines.set(connection, (line = Buffer.from(`${family.name}${labels} 1\n`)));
      }
      out.bytes(line);
    }
  };
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
