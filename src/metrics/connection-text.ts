/**
 * The text of the families per connection, kept from page to page. Connections are cut into blocks. Lines of connections
 * that were in the last page are copied from it in one go, and only the digits that changed are written anew.
 */
import type { Sliced } from '../model/slices.ts';
import { ROWS_PER_SLICE } from '../model/slices.ts';
import type { ConnectionFamily, IdentityFamily } from './catalogue.ts';
import type { ShownTable, VisibleConnection } from './labels.ts';
import {
  createdName,
  formatNumber,
  LONGEST_NUMBER,
  numberLength,
  renderLabels,
  writeNumber,
} from './sample-text.ts';

/**
 * A block ends after a connection whose id ends so (every 256th on average), a group of blocks after one whose id ends
 * so (every 4096th): a connection that comes or goes changes the block it is in, and no border.
 */
const BLOCK_END = '00';
const GROUP_END = '000';
/** Ids need not be random: then blocks and groups end here. */
const MOST_ROWS = 1024;
const MOST_BLOCKS = 32;
/**
 * How far the search goes for a connection's row in the last page: if more than so many neighbours have gone at once, the
 * lines of those behind them are written anew.
 */
const LOOK_AHEAD = 64;
const MOST_SPARE_PER_BLOCK = 16;
const MOST_SPARE_SHARE = 1.5;
const GROWTH = 1.02;
const LEAST_CHUNK_BYTES = 256;
const CAPACITY_STEP = 64;
const NEWLINE = 0x0a;

/** Rows of a block that follow each other in a block of the last page too. */
interface Run {
  /** Undefined: these connections are new. */
  readonly source: Block | undefined;
  readonly sourceRow: number;
  readonly row: number;
  readonly count: number;
}

/** One family's text of one block. It lies in a chunk, between others; places count by series, then by row. */
interface BlockText {
  chunk: Buffer;
  start: number;
  bytes: number;
  readonly values: Float64Array;
  /** Where each line ends, counted from `start`; where no sample is, the line before. */
  readonly ends: Uint32Array;
  /** Bytes of each value; 0 where there is no sample. */
  readonly lengths: Uint8Array;
}

class Block {
  /** First row in the present table. */
  from = 0;
  readonly connections: readonly VisibleConnection[];
  /** Where its rows were in the last page; undefined once they need not be found there any more. */
  runs: readonly Run[] | undefined;
  /** By the family's position. */
  readonly texts: (BlockText | undefined)[] = [];

  constructor(connections: readonly VisibleConnection[], runs: readonly Run[]) {
    this.connections = connections;
    this.runs = runs;
  }
}

/** Where a chunk is put together: it grows to the largest and is used again. */
class Scratch {
  buffer = Buffer.allocUnsafeSlow(64 * 1024);
  at = 0;

  reserve(bytes: number): void {
    const needed = this.at + bytes;
    if (needed <= this.buffer.length) return;
    const larger = Buffer.allocUnsafeSlow(Math.max(needed, this.buffer.length * 2));
    this.buffer.copy(larger, 0, 0, this.at);
    this.buffer = larger;
  }

  bytes(bytes: Uint8Array): void {
    this.buffer.set(bytes, this.at);
    this.at += bytes.length;
  }

  latin1(text: string): void {
    this.at += this.buffer.write(text, this.at, 'latin1');
  }

  /** What was put together, as a chunk in memory of its own. */
  take(memory: ChunkMemory): Buffer {
    const chunk = memory.take(this.at);
    this.buffer.copy(chunk, 0, 0, this.at);
    this.at = 0;
    return chunk;
  }
}

/**
 * Memory of chunks, used again from page to page: tens of megabytes that are allocated anew for each page would be
 * collected long after.
 */
class ChunkMemory {
  readonly #blocks = new WeakMap<Buffer, Buffer>();
  #spare: Buffer[] = [];

  take(bytes: number): Buffer {
    let best = -1;
    for (let i = 0; i < this.#spare.length; i += 1) {
      const { length } = this.#spare[i]!;
      if (length < bytes || length > bytes * MOST_SPARE_SHARE + LEAST_CHUNK_BYTES) continue;
      if (best === -1 || length < this.#spare[best]!.length) best = i;
    }
    const [spare] = best === -1 ? [] : this.#spare.splice(best, 1);
    // A little more, as numbers grow.
    const block = spare ?? Buffer.allocUnsafeSlow(Math.ceil(bytes * GROWTH) + LEAST_CHUNK_BYTES);
    const chunk = block.subarray(0, bytes);
    this.#blocks.set(chunk, block);
    return chunk;
  }

  /** The chunk is read by nobody any more. */
  free(chunk: Buffer): void {
    const block = this.#blocks.get(chunk);
    if (block) this.#spare.push(block);
  }

  /** Lets go of what no page of so many bytes will need. */
  trim(pageBytes: number): void {
    let kept = 0;
    // The newest last.
    const first = this.#spare.findLastIndex(({ length }) => (kept += length) > pageBytes / 2);
    this.#spare.splice(0, first + 1);
  }
}

interface Series {
  /** Undefined: the values never change. */
  readonly values: ((shown: ShownTable) => ArrayLike<number>) | undefined;
  readonly divisor: number;
  readonly nonZero: boolean;
  readonly where: ((connection: VisibleConnection) => boolean) | undefined;
  /** Writes a whole line; answers how long its value is. */
  readonly line: (scratch: Scratch, connection: VisibleConnection, value: number) => number;
}

/** How one family is written. */
interface Writing {
  readonly position: number;
  readonly series: readonly Series[];
  /** Each block is a chunk of its own: long lines that seldom change. */
  readonly apart: boolean;
  /** Lines can be copied: all that is behind a value is the end of the line. */
  readonly copied: boolean;
}

export class ConnectionTexts {
  readonly #writings = new Map<string, Writing>();
  readonly #scratch = new Scratch();
  #memory = new ChunkMemory();
  /** Of the last page, by family. */
  readonly #chunks = new Map<string, readonly Buffer[]>();
  readonly #createdSeconds: number | undefined;
  #arranged: readonly VisibleConnection[] = [];
  #groups: readonly (readonly Block[])[] = [];
  /** Blocks of the last page that are not in this one: lines are copied from them until the page is complete. */
  #gone: readonly Block[] = [];
  /** Texts of no block any more, by their number of places: to allocate thousands for each page costs more than to write them. */
  readonly #spare = new Map<number, BlockText[]>();
  /** Ends of the lines of the block that is being written, as they were. */
  #oldEnds = new Uint32Array(0);

  /** `createdSeconds`: Unix seconds at which the totals began, to be told with each of them. */
  constructor(createdSeconds?: number) {
    this.#createdSeconds = createdSeconds;
  }

  /**
   * The family's lines, in chunks. One that is as in the last page is the same object. The memory of the others is used
   * again for the next page.
   */
  *chunks(family: ConnectionFamily | IdentityFamily, shown: ShownTable): Sliced<readonly Buffer[]> {
    if (this.#arranged !== shown.connections) {
      this.finishPage();
      const before = this.#groups.flat();
      this.#groups = yield* arrange(shown.connections, this.#arranged, before);
      this.#arranged = shown.connections;
      const present = new Set(this.#groups.flat());
      this.#gone = before.filter((block) => !present.has(block));
    }
    const writing = this.#writingOf(family);
    const columns = writing.series.map(({ values }) => values?.(shown));
    const chunks: Buffer[] = [];
    for (const group of this.#groups) {
      for (const blocks of writing.apart ? group.map((block) => [block]) : [group]) {
        const chunk = unchanged(blocks, writing, columns) ?? (yield* this.#write(blocks, writing, columns));
        if (chunk.length > 0) chunks.push(chunk);
        yield;
      }
    }
    // No line of the family is copied any more.
    const kept = new Set(chunks);
    for (const chunk of this.#chunks.get(family.name) ?? []) if (!kept.has(chunk)) this.#memory.free(chunk);
    this.#chunks.set(family.name, chunks);
    return chunks;
  }

  /** Forgets every text: a page that was not completed leaves them in disorder. */
  reset(): void {
    this.#arranged = [];
    this.#groups = [];
    this.#gone = [];
    this.#chunks.clear();
    this.#spare.clear();
    this.#memory = new ChunkMemory();
  }

  /** The page is complete: what the last one had is held no longer. */
  finishPage(): void {
    for (const block of this.#groups.flat()) block.runs = undefined;
    const kept = MOST_SPARE_PER_BLOCK * this.#groups.flat().length;
    for (const { texts } of this.#gone) {
      for (const text of texts) {
        if (!text) continue;
        text.chunk = NO_BYTES;
        const spare = this.#spare.get(text.values.length);
        if (!spare) this.#spare.set(text.values.length, [text]);
        else if (spare.length < kept) spare.push(text);
      }
    }
    this.#gone = [];
    let bytes = 0;
    for (const chunks of this.#chunks.values()) for (const { length } of chunks) bytes += length;
    this.#memory.trim(bytes);
  }

  /** For so many places at the least. */
  #newText(places: number): BlockText {
    const capacity = Math.ceil(places / CAPACITY_STEP) * CAPACITY_STEP;
    const spare = this.#spare.get(capacity)?.pop();
    if (spare) return spare;
    return {
      chunk: NO_BYTES,
      start: 0,
      bytes: 0,
      values: new Float64Array(capacity),
      ends: new Uint32Array(capacity),
      lengths: new Uint8Array(capacity),
    };
  }

  /** Writes a group of blocks into a new chunk. */
  *#write(
    group: readonly Block[],
    { position, series, copied }: Writing,
    columns: readonly (ArrayLike<number> | undefined)[],
  ): Sliced<Buffer> {
    const scratch = this.#scratch;
    scratch.at = 0;
    const starts: number[] = [];
    for (const block of group) {
      const rows = block.connections.length;
      const places = rows * series.length;
      const start = scratch.at;
      starts.push(start);
      const known = block.texts[position];
      const text = (block.texts[position] ??= this.#newText(places));
      const runs =
        known && copied
          ? [{ source: block, sourceRow: 0, row: 0, count: rows }]
          : (block.runs ?? [{ source: undefined, sourceRow: 0, row: 0, count: rows }]);
      if (known) {
        if (this.#oldEnds.length < known.ends.length) this.#oldEnds = new Uint32Array(2 * known.ends.length);
        this.#oldEnds.set(known.ends);
      }
      for (let s = 0; s < series.length; s += 1) {
        const column = columns[s];
        for (const run of runs) {
          const at = scratch.at;
          const from = copied ? run.source?.texts[position] : undefined;
          const oldEnds = from === text ? this.#oldEnds : from?.ends;
          if (
            from &&
            oldEnds &&
            copyRun(from, oldEnds, text, block, run, s, series[s]!, column, start, scratch)
          )
            continue;
          scratch.at = at;
          writeRun(text, block, run, s, series[s]!, column, start, scratch);
        }
      }
      yield;
    }
    const chunk = scratch.take(this.#memory);
    group.forEach((block, i) => {
      const text = block.texts[position]!;
      text.chunk = chunk;
      text.start = starts[i]!;
      text.bytes = (starts[i + 1] ?? chunk.length) - text.start;
    });
    return chunk;
  }

  #writingOf(family: ConnectionFamily | IdentityFamily): Writing {
    let writing = this.#writings.get(family.name);
    if (!writing) {
      const position = this.#writings.size;
      writing =
        family.kind === 'identity'
          ? { position, series: [identitySeries(family)], apart: true, copied: true }
          : { position, ...numberSeries(family, this.#createdSeconds), apart: false };
      this.#writings.set(family.name, writing);
    }
    return writing;
  }
}

function identitySeries(family: IdentityFamily): Series {
  const names = ['connection', ...family.labels];
  return {
    values: undefined,
    divisor: 1,
    nonZero: false,
    where: undefined,
    line: (scratch, connection) => {
      const labels = renderLabels(names, [connection.id, ...family.texts(connection)]);
      const line = `${family.name}${labels} 1\n`;
      // UTF-8 takes three bytes at the most for a unit of UTF-16.
      scratch.reserve(line.length * 3);
      scratch.at += scratch.buffer.write(line, scratch.at, 'utf8');
      return 1;
    },
  };
}

function numberSeries(
  family: ConnectionFamily,
  createdSeconds: number | undefined,
): Pick<Writing, 'series' | 'copied'> {
  const prefix = Buffer.from(`${family.name}{connection="`);
  const createdPrefix =
    family.type === 'counter' && createdSeconds !== undefined
      ? Buffer.from(`${createdName(family.name)}{connection="`)
      : undefined;
  const series = family.series.map(({ values, divisor = 1, nonZero = false, where, labelValue }): Series => {
    const suffix = connectionSuffix(family, labelValue);
    const oneLine = prefix.length + suffix.length + LONGEST_NUMBER + 1;
    const longest = oneLine + (createdPrefix ? oneLine + createdPrefix.length : 0);
    const line = (scratch: Scratch, { id, startTimeSeconds }: VisibleConnection, value: number): number => {
      scratch.reserve(longest + 2 * id.length);
      scratch.bytes(prefix);
      scratch.latin1(id);
      scratch.bytes(suffix);
      const end = writeNumber(scratch.buffer, scratch.at, value);
      const length = end - scratch.at;
      scratch.buffer[end] = NEWLINE;
      scratch.at = end + 1;
      if (createdPrefix) {
        scratch.bytes(createdPrefix);
        scratch.latin1(id);
        scratch.bytes(suffix);
        scratch.latin1(`${formatNumber(startTimeSeconds)}\n`);
      }
      return length;
    };
    return { values, divisor, nonZero, where, line };
  });
  return { series, copied: createdPrefix === undefined };
}

/** What stands between a connection's id and the value. */
export const connectionSuffix = ({ label }: ConnectionFamily, labelValue: string | undefined): Buffer =>
  Buffer.from(label === undefined ? '"} ' : `",${label}="${labelValue ?? ''}"} `);

const NO_BYTES = Buffer.alloc(0);
const NO_ROW = -1;

/** Cuts connections into groups of blocks; blocks with the same connections as before are the same objects. */
function* arrange(
  connections: readonly VisibleConnection[],
  before: readonly VisibleConnection[],
  blocksBefore: readonly Block[],
): Sliced<(readonly Block[])[]> {
  /** Of each row, the row it had before. */
  const origins = new Int32Array(connections.length);
  let next = 0;
  for (let row = 0; row < connections.length; row += 1) {
    origins[row] = NO_ROW;
    const end = Math.min(before.length, next + LOOK_AHEAD);
    for (let old = next; old < end; old += 1) {
      if (before[old] !== connections[row]) continue;
      origins[row] = old;
      next = old + 1;
      break;
    }
    if (row % ROWS_PER_SLICE === 0) yield;
  }
  const groups: Block[][] = [];
  let group: Block[] = [];
  let from = 0;
  /** The first block before that may hold the rows to come. */
  let b = 0;
  for (let row = 0; row < connections.length; row += 1) {
    const { id } = connections[row]!;
    const last = row + 1 === connections.length;
    if (!last && !id.endsWith(BLOCK_END) && row + 1 - from < MOST_ROWS) continue;
    const to = row + 1;
    const runs: Run[] = [];
    for (let at = from; at < to;) {
      const old = origins[at]!;
      let count = 1;
      if (old === NO_ROW) {
        while (at + count < to && origins[at + count] === NO_ROW) count += 1;
        runs.push({ source: undefined, sourceRow: 0, row: at - from, count });
      } else {
        while (endOf(blocksBefore[b]!) <= old) b += 1;
        const source = blocksBefore[b]!;
        const most = Math.min(to - at, endOf(source) - old);
        while (count < most && origins[at + count] === old + count) count += 1;
        runs.push({ source, sourceRow: old - source.from, row: at - from, count });
      }
      at += count;
    }
    const [first] = runs;
    const stays = first?.source?.connections.length === to - from && first.count === to - from;
    const block = stays ? first.source : new Block(connections.slice(from, to), runs);
    group.push(block);
    from = to;
    if (!last && !id.endsWith(GROUP_END) && group.length < MOST_BLOCKS) continue;
    groups.push(group);
    group = [];
    yield;
  }
  // Only now, as runs were found by the rows before.
  let at = 0;
  for (const block of groups.flat()) {
    block.from = at;
    at += block.connections.length;
  }
  return groups;
}

const endOf = (block: Block): number => block.from + block.connections.length;

/** The group's chunk, if it would come out the same. */
function unchanged(
  group: readonly Block[],
  { position, series }: Writing,
  columns: readonly (ArrayLike<number> | undefined)[],
): Buffer | undefined {
  const chunk = group[0]!.texts[position]?.chunk;
  if (chunk === undefined) return undefined;
  let end = 0;
  for (const block of group) {
    const text = block.texts[position];
    if (text?.chunk !== chunk || text.start !== end) return undefined;
    end += text.bytes;
    let place = 0;
    for (let s = 0; s < series.length; s += 1) {
      const { divisor } = series[s]!;
      const column = columns[s];
      if (!column) continue;
      for (let i = 0; i < block.connections.length; i += 1, place += 1) {
        const value = column[block.from + i]!;
        if (!same(divisor === 1 ? value : value / divisor, text.values[place]!)) return undefined;
      }
    }
  }
  return end === chunk.length ? chunk : undefined;
}

/** Also tells 0 from -0, and finds NaN equal to itself. */
const same = (a: number, b: number): boolean => (a === b && a !== 0) || Object.is(a, b);

/** Writes the lines of a run, of one series. */
function writeRun(
  text: BlockText,
  { connections, from }: Block,
  { row, count }: Run,
  s: number,
  { divisor, nonZero, where, line }: Series,
  column: ArrayLike<number> | undefined,
  start: number,
  scratch: Scratch,
): void {
  const { values, ends, lengths } = text;
  for (let i = row; i < row + count; i += 1) {
    const place = s * connections.length + i;
    const connection = connections[i]!;
    const raw = column?.[from + i] ?? 1;
    const value = divisor === 1 ? raw : raw / divisor;
    const left = (nonZero && value === 0) || (where !== undefined && !where(connection));
    values[place] = value;
    lengths[place] = left ? 0 : line(scratch, connection, value);
    ends[place] = scratch.at - start;
  }
}

/**
 * Copies the lines of a run, of one series, and writes the values that changed into them. False, with things in disorder,
 * if a sample came or went: then the run is to be written.
 */
function copyRun(
  old: BlockText,
  oldEnds: Uint32Array,
  text: BlockText,
  { connections, from }: Block,
  { source, sourceRow, row, count }: Run,
  s: number,
  { divisor, nonZero }: Series,
  column: ArrayLike<number> | undefined,
  start: number,
  scratch: Scratch,
): boolean {
  const { values, ends, lengths } = text;
  const oldFirst = s * source!.connections.length + sourceRow;
  const first = s * connections.length + row;
  const copyFrom = oldFirst === 0 ? 0 : oldEnds[oldFirst - 1]!;
  const copyTo = oldEnds[oldFirst + count - 1]!;
  scratch.reserve(copyTo - copyFrom + count * LONGEST_NUMBER);
  const target = scratch.buffer;
  old.chunk.copy(target, scratch.at, old.start + copyFrom, old.start + copyTo);
  /** How much further down lines stand than before; grows as values become longer. */
  let shift = scratch.at - start - copyFrom;
  for (let i = 0; i < count; i += 1) {
    const oldEnd = oldEnds[oldFirst + i]!;
    let length = old.lengths[oldFirst + i]!;
    if (column) {
      const raw = column[from + row + i]!;
      const value = divisor === 1 ? raw : raw / divisor;
      const last = old.values[oldFirst + i]!;
      if (!same(value, last)) {
        if (nonZero && (value === 0 || last === 0)) return false;
        if (length > 0) {
          const valueAt = start + oldEnd + shift - 1 - length;
          const newLength = numberLength(value);
          if (newLength !== length) {
            old.chunk.copy(target, valueAt + newLength, old.start + oldEnd - 1, old.start + copyTo);
            shift += newLength - length;
            length = newLength;
          }
          writeNumber(target, valueAt, value);
        }
      }
      values[first + i] = value;
    }
    lengths[first + i] = length;
    ends[first + i] = oldEnd + shift;
  }
  scratch.at = start + copyTo + shift;
  return true;
}
