/** The maths and the layout of the benchmark's tables. */
import { check } from 'prettier';
import { describe, expect, test } from 'vitest';
import { withPart } from '../../bench/document.ts';
import { growthOf, grows } from '../../bench/memory-growth.ts';
import { countSamples, parseFamilies, sampleValue } from '../../bench/page-text.ts';
import type { Section, SingleRow } from '../../bench/rows.ts';
import { formatFigure, markdownTables, textTable } from '../../bench/table.ts';
import { judge, riseOver, timesFaster } from '../../bench/targets.ts';
import { inRounds, median, microsecondsEach, Times } from '../../bench/timing.ts';

const SIZES = [1_000, 50_000];

describe('figures', () => {
  test('the median is the middle one, or between the two of the middle', () => {
    expect(median([9, 1, 5])).toBe(5);
    expect(median([1, 100, 3, 5])).toBe(4);
    expect(() => median([])).toThrow(RangeError);
  });

  test('warm-up rounds do not count', async () => {
    const times = new Times();
    let rounds = 0;
    await inRounds({ warmUp: 2, timed: 3 }, () => {
      rounds += 1;
      const until = performance.now() + (rounds <= 2 ? 30 : 0);
      times.take(() => {
        while (performance.now() < until);
      });
    });
    expect(rounds).toBe(5);
    expect(times.medianMs(2)).toBeLessThan(15);
  });

  test('milliseconds are shared out as microseconds', () => {
    expect(microsecondsEach(50, 50_000)).toBe(1);
  });

  test('a peer that takes longer makes a ratio above 1', () => {
    expect(timesFaster(12, 1.2)).toBeCloseTo(10);
  });

  test('a rise shows against the smallest of the figures before', () => {
    expect(riseOver([20, 10, 12, 30])).toEqual([1, 1, 1.2, 3]);
  });

  test.each([
    [0, '0'],
    [0.12345, '0.123'],
    [1.5, '1.50'],
    [12.34, '12.3'],
    [50, '50'],
    [441_812.6, '441,813'],
  ])('%d is written %s', (value, text) => {
    expect(formatFigure(value)).toBe(text);
  });
});

describe('verdicts', () => {
  test('the bound itself is met', () => {
    expect(judge({ kind: 'at least', bound: 10, at: 'largest' }, SIZES, [3, 10])).toBe('met');
    expect(judge({ kind: 'at most', bound: 20, at: 'largest' }, SIZES, [3, 20])).toBe('met');
    expect(judge({ kind: 'at least', bound: 10, at: 'largest' }, SIZES, [30, 9.99])).toBe('not met');
  });

  test('each size may count', () => {
    expect(judge({ kind: 'at most', bound: 1.5, at: 'each' }, SIZES, [1.6, 1])).toBe('not met');
  });

  test('a size that was not measured is not judged', () => {
    expect(judge({ kind: 'at most', bound: 1, at: 50_000 }, SIZES, [7, 0.5])).toBe('met');
    expect(judge({ kind: 'at most', bound: 1, at: 50_000 }, [1_000], [0.5])).toBe('not judged');
  });
});

describe('tables', () => {
  const sections: readonly Section[] = [
    {
      title: 'Decode',
      rows: [
        { label: 'µs per connection', values: [1.25, 0.5] },
        { label: 'times faster', values: [8, 12.5], target: { kind: 'at least', bound: 10, at: 'largest' } },
      ],
    },
  ];
  const singles: readonly SingleRow[] = [
    { label: 'start, s', value: 1.25, target: { kind: 'at most', bound: 1, at: 'each' } },
  ];

  test('text is aligned and says in words what is met', () => {
    expect(textTable(sections, singles, SIZES).split('\n')).toEqual([
      'connections          1,000  50,000  to reach',
      '',
      'Decode',
      '  µs per connection   1.25   0.500',
      '  times faster           8    12.5  at least 10  met',
      '',
      '          measured  to reach',
      'start, s      1.25  at most 1  not met',
    ]);
  });

  test('Markdown is as Prettier would have it', async () => {
    const markdown = markdownTables(sections, singles, SIZES);
    expect(markdown).toContain('| times faster      |     8 |   12.5 | at least 10 | met |');
    expect(await check(`${markdown}\n`, { parser: 'markdown', printWidth: 110 })).toBe(true);
  });

  test('only the part between its markers is replaced', () => {
    const document = 'before\n<!-- soak: begin -->\nold\n<!-- soak: end -->\nafter\n';
    expect(withPart(document, 'soak', 'new\n')).toBe(
      'before\n<!-- soak: begin -->\n\nnew\n\n<!-- soak: end -->\nafter\n',
    );
    expect(() => withPart(document, 'figures', 'new')).toThrow(/no markers/);
  });
});

describe('the page as peers read it', () => {
  const text = '# TYPE a gauge\na{x="1\\n\\"2",y=""} 3\na{x="}",y="z"} 4\n\n# TYPE b gauge\nb 5\n';

  test('samples are counted over the borders of chunks', () => {
    const bytes = Buffer.from(text);
    for (let at = 0; at <= bytes.length; at += 1) {
      expect(countSamples([bytes.subarray(0, at), bytes.subarray(at)])).toBe(3);
    }
  });

  test('labels are read as they were meant', () => {
    expect(parseFamilies([Buffer.from(text)])).toEqual([
      {
        name: 'a',
        labelNames: ['x', 'y'],
        samples: [
          { labels: { x: '1\n"2', y: '' }, value: 3 },
          { labels: { x: '}', y: 'z' }, value: 4 },
        ],
      },
      { name: 'b', labelNames: [], samples: [{ labels: {}, value: 5 }] },
    ]);
  });

  test('one series is found by its name and labels', () => {
    expect(sampleValue(text, 'b')).toBe(5);
    expect(sampleValue(text, 'c')).toBeUndefined();
    expect(sampleValue('b 7\n', 'b')).toBe(7);
  });
});

describe('growth of the soak', () => {
  const looks = (...rss: number[]) =>
    rss.map((rssMiB, i) => ({ polls: (i + 1) * 1_000, rssMiB, heapMiB: 30 }));

  test('counts from the middle, for the first half fills what is kept', () => {
    expect(growthOf(looks(100, 250, 251, 255))).toEqual({ rssMiB: 5, heapMiB: 0 });
    expect(() => growthOf(looks(100))).toThrow(/first half/);
  });

  test('the RSS and the heap each have a bound', () => {
    expect(grows({ rssMiB: 32, heapMiB: 8 })).toBe(false);
    expect(grows({ rssMiB: 33, heapMiB: 0 })).toBe(true);
    expect(grows({ rssMiB: 0, heapMiB: 9 })).toBe(true);
  });
});
