/** The tests' own reader of pages: a reader that takes anything would prove nothing. */
import { describe, expect, test } from 'vitest';
import { parsePage } from './prometheus-parser.ts';

const HEAD = '# HELP a_total Some help.\n# TYPE a_total counter\n';
const GAUGE = '# HELP g Some help.\n# TYPE g gauge\n';

describe('a page in the format', () => {
  test('is read with names, help, types, labels and values', () => {
    const page =
      '# HELP a_total Line one\\nand a \\\\ in "quotes".\n# TYPE a_total counter\n' +
      'a_total{x="1",y="two"} 12\na_total 3.5 1700000000000\n\n# a comment\n' +
      '# TYPE b:c gauge\n# HELP b:c \nb:c{q="\\"\\\\\\n"} -Inf\n';
    expect(parsePage(page)).toEqual([
      {
        name: 'a_total',
        help: 'Line one\nand a \\ in "quotes".',
        type: 'counter',
        samples: [
          { name: 'a_total', labels: { x: '1', y: 'two' }, value: 12, timestamp: undefined },
          { name: 'a_total', labels: {}, value: 3.5, timestamp: 1_700_000_000_000 },
        ],
      },
      {
        name: 'b:c',
        help: '',
        type: 'gauge',
        samples: [{ name: 'b:c', labels: { q: '"\\\n' }, value: -Infinity, timestamp: undefined }],
      },
    ]);
  });

  test('may be bytes, and may hold any text in a label', () => {
    const bytes = new TextEncoder().encode(`${GAUGE}g{u="Łukasz 😀 ,:|=}{ \ufffd"} 1\n`);
    expect(parsePage(bytes)[0]!.samples[0]!.labels).toEqual({ u: 'Łukasz 😀 ,:|=}{ \ufffd' });
  });

  test('may be empty', () => {
    expect(parsePage('')).toEqual([]);
  });

  test.each([
    ['0', 0],
    ['-0', -0],
    ['+7', 7],
    ['1e+21', 1e21],
    ['5e-324', 5e-324],
    ['.5', 0.5],
    ['5.', 5],
    ['9007199254740993', 2 ** 53],
    ['NaN', NaN],
    ['+Inf', Infinity],
    ['-Inf', -Infinity],
  ])('may hold the number %s', (text, value) => {
    expect(parsePage(`${GAUGE}g ${text}\n`)[0]!.samples[0]!.value).toBe(value);
  });

  test('may hold a histogram and a summary', () => {
    const page =
      '# HELP h H.\n# TYPE h histogram\nh_bucket{le="1",f="x"} 2\nh_bucket{le="+Inf",f="x"} 3\nh_sum{f="x"} 9\n' +
      'h_count{f="x"} 3\n# HELP s S.\n# TYPE s summary\ns{quantile="0.5"} 2\ns_sum 4\ns_count 2\n';
    expect(parsePage(page).map(({ samples }) => samples.length)).toEqual([4, 3]);
  });
});

describe('a page is refused', () => {
  test.each<[why: string, page: string, message: string]>([
    ['whose last line does not end', `${HEAD}a_total 1`, 'the last line does not end'],
    ['with a sample of no family', 'a_total 1\n', 'line 1: a_total before any family'],
    ['with a sample before its TYPE', '# HELP g G.\ng 1\n', 'line 2: g before its TYPE'],
    ['with a HELP after a sample', '# TYPE g gauge\ng 1\n# HELP g G.\n', 'line 3: HELP of g after a sample'],
    ['with a TYPE after a sample', `${GAUGE}g 1\n# TYPE g gauge\n`, 'line 4: TYPE of g after a sample'],
    ['without a HELP', '# TYPE g gauge\ng 1\n', 'line 1: g has no HELP'],
    ['with a second HELP', `${GAUGE}# HELP g G.\ng 1\n`, 'line 3: second HELP of g'],
    ['with a second TYPE', `${GAUGE}# TYPE g gauge\ng 1\n`, 'line 3: second TYPE of g'],
    ['with an unknown type', '# TYPE g Gauge\n', 'line 1: "Gauge" is no type'],
    ['with a family without samples', GAUGE, 'line 1: g has no sample'],
    ['with a family in two parts', `${GAUGE}g 1\n${HEAD}a_total 1\n${GAUGE}g{x="1"} 1\n`, 'not contiguous'],
    ['with a foreign sample in a family', `${GAUGE}g 1\nh 1\n`, 'line 4: h among the samples of g'],
    ['with a series twice', `${GAUGE}g{a="1",b="2"} 1\ng{b="2",a="1"} 1\n`, 'line 4: second sample of'],
    ['with a counter below zero', `${HEAD}a_total -1\n`, 'line 3: a counter of -1'],
    ['with a counter that is no number', `${HEAD}a_total NaN\n`, 'line 3: a counter of NaN'],
    ['with a metric name that is none', '# TYPE 9g gauge\n', 'line 1: "9g" is no metric name'],
    ['with a sample name that is none', `${GAUGE}-g 1\n`, 'line 3: no metric name'],
    ['with a label name that is none', `${GAUGE}g{0="1"} 1\n`, 'line 3: no label name'],
    ['with a colon in a label name', `${GAUGE}g{a:b="1"} 1\n`, 'line 3: label a has no quoted value'],
    ['with a reserved label', `${GAUGE}g{__name__="1"} 1\n`, 'line 3: the label name __name__ is reserved'],
    ['with a label twice', `${GAUGE}g{a="1",a="2"} 1\n`, 'line 3: two labels a'],
    ['with a bare quote in a label', `${GAUGE}g{a="x"y"} 1\n`, 'line 3: the labels do not end'],
    ['with a label that does not end', `${GAUGE}g{a="x\\"} 1\n`, 'line 3: label a has no quoted value'],
    ['with an unknown escape', `${GAUGE}g{a="\\t"} 1\n`, 'line 3: the escape \\t does not exist here'],
    ['with an escaped quote in a help', '# HELP g \\"\n', 'line 1: the escape \\" does not exist here'],
    ['with a carriage return', `${GAUGE}g{a="\r"} 1\n`, 'line 3: a control character'],
    ['with a NUL', `${GAUGE}g{a="\0"} 1\n`, 'line 3: a control character'],
    ['with half a surrogate pair', `${GAUGE}g{a="\ud800"} 1\n`, 'the page holds half a surrogate pair'],
    ['without a value', `${GAUGE}g\n`, 'line 3: expected one space and a value'],
    ['with two spaces', `${GAUGE}g  1\n`, 'line 3: expected one space and a value'],
    ['with a word for a number', `${GAUGE}g one\n`, 'line 3: "one" is no number'],
    ['with a hexadecimal number', `${GAUGE}g 0x10\n`, 'line 3: "0x10" is no number'],
    ['with JavaScript’s Infinity', `${GAUGE}g Infinity\n`, 'line 3: "Infinity" is no number'],
    ['with a fraction of a timestamp', `${GAUGE}g 1 1.5\n`, 'line 3: "1.5" is no timestamp'],
    ['with a malformed head', '#TYPE g gauge\n', 'line 1: a HELP or TYPE that is not well formed'],
  ])('%s', (_, page, message) => {
    expect(() => parsePage(page)).toThrow(message);
  });

  test('with a family without samples, unless heads may stand alone', () => {
    expect(parsePage(GAUGE, { bareHeads: true })[0]).toMatchObject({ name: 'g', samples: [] });
    expect(() => parsePage(GAUGE)).toThrow('g has no sample');
  });

  test('that is not UTF-8', () => {
    const bytes = Buffer.concat([Buffer.from(`${GAUGE}g{a="`), Buffer.from([0xff]), Buffer.from('"} 1\n')]);
    expect(() => parsePage(bytes)).toThrow('the page is not UTF-8');
  });

  test.each([
    ['whose buckets fall', 'h_bucket{le="1"} 2\nh_bucket{le="+Inf"} 1\nh_sum 1\nh_count 1\n', 'do not rise'],
    ['whose bounds fall', 'h_bucket{le="2"} 1\nh_bucket{le="1"} 1\nh_sum 1\nh_count 1\n', 'do not rise'],
    ['without +Inf', 'h_bucket{le="1"} 1\nh_sum 1\nh_count 1\n', 'is not its count'],
    ['whose count differs', 'h_bucket{le="+Inf"} 1\nh_sum 1\nh_count 2\n', 'is not its count'],
    ['without a sum', 'h_bucket{le="+Inf"} 1\nh_count 1\n', 'no _sum'],
    ['with a bucket without le', 'h_bucket 1\nh_sum 1\nh_count 1\n', 'no le'],
  ])('with a histogram %s', (_, samples, message) => {
    expect(() => parsePage(`# HELP h H.\n# TYPE h histogram\n${samples}`)).toThrow(message);
  });
});
