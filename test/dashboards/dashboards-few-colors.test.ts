import { crc32, deflateSync, inflateSync } from 'node:zlib';
import { expect, test } from 'vitest';
import { fewerColors } from '../../tools/few-colors.ts';

function chunk(type: string, data: Buffer): Buffer {
  const body = Buffer.concat([Buffer.from(type), data]);
  const ends = Buffer.alloc(8);
  ends.writeUInt32BE(data.length, 0);
  ends.writeUInt32BE(crc32(body), 4);
  return Buffer.concat([ends.subarray(0, 4), body, ends.subarray(4)]);
}

/** Of 3 by 5 pixels of `#102030`, each line by another filter. */
function plain(filters: readonly number[], first: readonly number[]): Buffer {
  const head = Buffer.from([0, 0, 0, 3, 0, 0, 0, filters.length, 8, 2, 0, 0, 0]);
  const lines = filters.flatMap((filter, line) => [
    filter,
    ...(line === 0 ? [...first, ...first, ...first] : [0, 0, 0, 0, 0, 0, 0, 0, 0]),
  ]);
  return Buffer.concat([
    Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'),
    chunk('IHDR', head),
    chunk('IDAT', deflateSync(Buffer.from(lines))),
    chunk('IEND', Buffer.alloc(0)),
  ]);
}

const part = (png: Buffer, type: string): Buffer => {
  const at = png.indexOf(type, 0, 'latin1');
  return png.subarray(at + 4, at + 4 + png.readUInt32BE(at - 4));
};

test('a picture of few colours keeps them, by a palette', () => {
  const png = fewerColors(plain([0, 2, 2], [0x10, 0x20, 0x30]));
  expect([...part(png, 'PLTE')]).toEqual([0x10, 0x20, 0x30]);
  expect([...inflateSync(part(png, 'IDAT'))]).toEqual([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
  expect([...part(png, 'IHDR')]).toEqual([0, 0, 0, 3, 0, 0, 0, 3, 8, 3, 0, 0, 0]);
});

test('filters of lines are undone: the one to the left, above, their mean, and Paeth', () => {
  // Nothing is added to what each predicts: a mean of the left, which is black at first, and what is above.
  const png = fewerColors(plain([0, 4, 3], [0x10, 0x20, 0x30]));
  expect(inflateSync(part(png, 'IDAT')).filter((index) => index === 0).length).toBeGreaterThan(6);
  expect([...part(png, 'PLTE').subarray(0, 6)]).toEqual([0x10, 0x20, 0x30, 0x08, 0x10, 0x18]);
});

test('what is no such picture is refused', () => {
  expect(() => fewerColors(Buffer.from('GIF89a..'))).toThrow('no PNG');
});
