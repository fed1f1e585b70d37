/**
 * Writes a view as Prometheus text, format 0.0.4, into chunks of bytes. Names and label texts are rendered once per
 * family or session; a number is written digit by digit; nothing is joined or concatenated per sample.
 */
import type { ConnectionFamily, Family, IdentityFamily, SampleFamily } from './catalogue.ts';
import type { View, VisibleConnection } from './labels.ts';

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

/** As the text format writes numbers. */
export function formatNumber(value: number): string {
  if (Number.isNaN(value)) return 'NaN';
  if (value === Infinity) return '+Inf';
  if (value === -Infinity) return '-Inf';
  return String(value);
}

const ESCAPES: Readonly<Record<string, string>> = { '\\': '\\\\', '"': '\\"', '\n': '\\n' };
export const escapeLabelValue = (value: string): string =>
  value.replace(/[\\"\n]/g, (char) => ESCAPES[char]!);
const escapeHelp = (help: string): string => help.replace(/[\\\n]/g, (char) => ESCAPES[char]!);

function renderLabels(names: readonly string[], values: readonly string[]): string {
  if (names.length === 0) return '';
  return `{${names.map((name, i) => `${name}="${escapeLabelValue(values[i]!)}"`).join(',')}}`;
}

/** Renders the families of a catalogue again and again, keeping each session's rendered texts while it lives. */
export class TextEncoder004 {
  readonly #writers: readonly ((view: View, out: ChunkWriter) => void)[];

  constructor(catalogue: readonly Family[]) {
    this.#writers = catalogue.map((family) => {
      switch (family.kind) {
        case 'samples':
          return sampleWriter(family);
        case 'connections':
          return connectionWriter(family);
        case 'identity':
          return identityWriter(family);
      }
    });
  }

  /** The page as chunks of UTF-8; families without a sample are left out. */
  encode(view: View): Buffer[] {
    const out = new ChunkWriter();
    for (const write of this.#writers) write(view, out);
    return out.finish();
  }
}

function headOf(family: Family): Buffer {
  return Buffer.from(
    `# HELP ${family.name} ${escapeHelp(family.help)}\n# TYPE ${family.name} ${family.type}\n`,
  );
}

function sampleWriter(family: SampleFamily): (view: View, out: ChunkWriter) => void {
  const head = headOf(family);
  return (view, out) => {
    let first = true;
    family.collect(view, (value, ...labelValues) => {
      if (first) out.bytes(head);
      first = false;
      out.text(`${family.name}${renderLabels(family.labels, labelValues)} `);
      out.value(value);
    });
  };
}

function connectionWriter(family: ConnectionFamily): (view: View, out: ChunkWriter) => void {
  const head = headOf(family);
  const prefix = Buffer.from(`${family.name}{connection="`);
  const series = family.series.map((each) => ({
    ...each,
    suffix: Buffer.from(
      family.label === undefined ? '"} ' : `",${family.label}="${each.labelValue ?? ''}"} `,
    ),
  }));
  const ids = new WeakMap<VisibleConnection, Buffer>();
  return ({ table, connections }, out) => {
    if (!table) return;
    let first = true;
    for (const { values, divisor, nonZero, where, suffix } of series) {
      const column = values(table);
      for (let row = 0; row < connections.length; row += 1) {
        const connection = connections[row]!;
        const value = column[row]!;
        if ((nonZero && value === 0) || (where && !where(connection))) continue;
        if (first) out.bytes(head);
        first = false;
        let id = ids.get(connection);
        if (!id) ids.set(connection, (id = Buffer.from(connection.connection.id, 'latin1')));
        out.bytes(prefix);
        out.bytes(id);
        out.bytes(suffix);
        out.value(divisor === undefined ? value : value / divisor);
      }
    }
  };
}

function identityWriter(family: IdentityFamily): (view: View, out: ChunkWriter) => void {
  const head = headOf(family);
  const names = ['connection', ...family.labels];
  const lines = new WeakMap<VisibleConnection, Buffer>();
  return ({ connections }, out) => {
    if (connections.length > 0) out.bytes(head);
    for (const connection of connections) {
      let line = lines.get(connection);
      if (!line) {
        const labels = renderLabels(names, [connection.connection.id, ...family.texts(connection)]);
        lines.set(connection, (line = Buffer.from(`${family.name}${labels} 1\n`)));
      }
      out.bytes(line);
    }
  };
}
