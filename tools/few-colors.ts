/** Makes a PNG of many colours one of at most 256, which is a fraction as large. For flat drawings, not for photographs. */
import { crc32, deflateSync, inflateSync } from 'node:zlib';

const SIGNATURE = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
const MOST = 256;
/** Areas and lines: kept as they are. */
const EXACT = 48;

function chunk(type: string, data: Buffer): Buffer {
  const body = Buffer.concat([Buffer.from(type, 'latin1'), data]);
  const out = Buffer.alloc(body.length + 8);
  out.writeUInt32BE(data.length, 0);
  body.copy(out, 4);
  out.writeUInt32BE(crc32(body), body.length + 4);
  return out;
}

interface Pixels {
  readonly width: number;
  readonly height: number;
  /** 0xrrggbb, line by line. */
  readonly colors: Uint32Array;
}

/** Of 8 bits a channel, not interlaced, without or with an alpha channel, which is left out: as chromium makes them. */
function decode(png: Buffer): Pixels {
  if (!png.subarray(0, 8).equals(SIGNATURE)) throw new Error('no PNG');
  const parts: Buffer[] = [];
  for (let at = 8; at < png.length;) {
    const length = png.readUInt32BE(at);
    if (png.toString('latin1', at + 4, at + 8) === 'IDAT') parts.push(png.subarray(at + 8, at + 8 + length));
    at += length + 12;
  }
  const width = png.readUInt32BE(16);
  const height = png.readUInt32BE(20);
  const [depth, kind, , , interlace] = png.subarray(24, 29);
  if (depth !== 8 || (kind !== 2 && kind !== 6) || interlace !== 0) throw new Error('a PNG of another kind');
  const size = kind === 6 ? 4 : 3;
  const raw = inflateSync(Buffer.concat(parts));
  const colors = new Uint32Array(width * height);
  let above = new Uint8Array(width * size);
  for (let y = 0; y < height; y += 1) {
    const start = y * (width * size + 1);
    const filter = raw[start]!;
    const line = new Uint8Array(width * size);
    for (let x = 0; x < line.length; x += 1) {
      const a = x < size ? 0 : line[x - size]!;
      const b = above[x]!;
      const c = x < size ? 0 : above[x - size]!;
      line[x] = raw[start + 1 + x]! + predicted(filter, a, b, c);
    }
    for (let x = 0; x < width; x += 1) {
      const at = x * size;
      colors[y * width + x] = (line[at]! << 16) | (line[at + 1]! << 8) | line[at + 2]!;
    }
    above = line;
  }
  return { width, height, colors };
}

/** The filters of PNG: none, sub, up, average, Paeth. */
function predicted(filter: number, a: number, b: number, c: number): number {
  switch (filter) {
    case 1:
      return a;
    case 2:
      return b;
    case 3:
      return (a + b) >> 1;
    case 4: {
      const [pa, pb, pc] = [Math.abs(b - c), Math.abs(a - c), Math.abs(a + b - 2 * c)];
      return pa <= pb && pa <= pc ? a : pb <= pc ? b : c;
    }
    default:
      return 0;
  }
}

const channels = (color: number): [number, number, number] => [color >> 16, (color >> 8) & 255, color & 255];
const distance = (a: number, b: number): number => {
  const [p, q] = [channels(a), channels(b)];
  return p.reduce((sum, each, i) => sum + (each - q[i]!) ** 2, 0);
};

/** The most frequent colours; but for the first of them, none is close to another. */
function paletteOf(colors: Uint32Array): number[] {
  const counts = new Map<number, number>();
  for (const color of colors) counts.set(color, (counts.get(color) ?? 0) + 1);
  const ranked = [...counts].sort(([, a], [, b]) => b - a).map(([color]) => color);
  if (ranked.length <= MOST) return ranked;
  for (let apart = 64; ; apart *= 1.5) {
    const palette = ranked.slice(0, EXACT);
    for (const color of ranked.slice(EXACT)) {
      if (palette.every((other) => distance(other, color) >= apart)) palette.push(color);
      if (palette.length > MOST) break;
    }
    if (palette.length <= MOST) return palette;
  }
}

export function fewerColors(png: Buffer): Buffer {
  const { width, height, colors } = decode(png);
  const palette = paletteOf(colors);
  const indexes = new Map(palette.map((color, index) => [color, index]));
  const lines = Buffer.alloc((width + 1) * height);
  for (let y = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1) {
      const color = colors[y * width + x]!;
      let index = indexes.get(color);
      if (index === undefined) {
        index = palette.reduce(
          (best, each, i) => (distance(each, color) < distance(palette[best]!, color) ? i : best),
          0,
        );
        indexes.set(color, index);
      }
      lines[y * (width + 1) + 1 + x] = index;
    }
  }
  const head = Buffer.alloc(13);
  head.writeUInt32BE(width, 0);
  head.writeUInt32BE(height, 4);
  head.set([8, 3, 0, 0, 0], 8);
  return Buffer.concat([
    SIGNATURE,
    chunk('IHDR', head),
    chunk('PLTE', Buffer.from(palette.flatMap(channels))),
    chunk('IDAT', deflateSync(lines, { level: 9 })),
    chunk('IEND', Buffer.alloc(0)),
  ]);
}
