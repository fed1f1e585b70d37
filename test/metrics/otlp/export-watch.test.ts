/** How exports end is counted, and the log has one line for each change of that. */
import { describe, expect, test } from 'vitest';
import { ExportWatch } from '../../../src/metrics/otlp/export-watch.ts';
import type { Logger } from '../../../src/model/logger.ts';

interface Line {
  readonly level: keyof Logger;
  readonly message: string;
  readonly fields: Readonly<Record<string, unknown>> | undefined;
}

class Watched {
  readonly lines: Line[] = [];
  readonly counts: string[] = [];
  readonly final: boolean[] = [];
  readonly watch: ExportWatch;

  constructor(signal = 'metrics') {
    const at =
      (level: keyof Logger): Logger['info'] =>
      (message, fields) =>
        void this.lines.push({ level, message, fields });
    const logger = { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') };
    this.watch = new ExportWatch(signal, logger, (of, outcome, isFinal) => {
      this.counts.push(`${of} ${outcome}`);
      this.final.push(isFinal);
    });
  }

  get messages(): string[] {
    return this.lines.map(({ message }) => message);
  }
}

const WORKS = 'OTLP export works';
const FAILS = 'OTLP export fails; it is tried again at the next interval';
const REFUSES = 'the OTLP receiver refuses a part';
const failure = (): Error => Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' });

test('an export that works from the start is not worth a line', () => {
  const { watch, lines, counts } = new Watched();
  for (let i = 0; i < 3; i += 1) {
    watch.answered(undefined);
    watch.ended(undefined);
  }
  expect(lines).toEqual([]);
  expect(counts).toEqual(['metrics success', 'metrics success', 'metrics success']);
});

test('one line for each change, however long a state lasts', () => {
  const watched = new Watched('traces');
  const { watch } = watched;
  for (let i = 0; i < 100; i += 1) watch.ended(failure());
  expect(watched.lines).toEqual([
    {
      level: 'warn',
      message: FAILS,
      fields: { signal: 'traces', cause: 'connect ECONNREFUSED (ECONNREFUSED)' },
    },
  ]);
  for (let i = 0; i < 100; i += 1) watch.ended(undefined);
  expect(watched.messages).toEqual([FAILS, WORKS]);
  for (let i = 0; i < 100; i += 1) {
    watch.answered({ rejectedSpans: 3, errorMessage: 'too old' });
    watch.ended(undefined);
  }
  expect(watched.messages).toEqual([FAILS, WORKS, REFUSES]);
  expect(watched.lines[2]!.fields).toEqual({
    signal: 'traces',
    answer: 'rejectedSpans 3, errorMessage too old',
  });
  watch.ended(failure());
  watch.ended(undefined);
  expect(watched.messages).toEqual([FAILS, WORKS, REFUSES, FAILS, WORKS]);
  expect(watched.counts.filter((each) => each === 'traces partial')).toHaveLength(100);
  expect(watched.counts.filter((each) => each === 'traces failure')).toHaveLength(101);
  expect(watched.counts.filter((each) => each === 'traces success')).toHaveLength(101);
});

describe('a part is refused', () => {
  test.each([
    [undefined, 'success'],
    [{}, 'success'],
    // What a receiver only warns of was taken.
    [{ rejectedDataPoints: 0, errorMessage: 'deprecated' }, 'success'],
    [{ errorMessage: 'deprecated' }, 'success'],
    [{ rejectedDataPoints: 1, errorMessage: '' }, 'partial'],
    [{ rejectedDataPoints: '12' }, 'partial'],
    [{ rejectedSpans: { toString: () => '7' } }, 'partial'],
  ])('by %j: %s', (answer, outcome) => {
    const { watch, counts } = new Watched();
    watch.answered(answer);
    watch.ended(undefined);
    expect(counts).toEqual([`metrics ${outcome}`]);
  });

  test('an answer is of its own export only', () => {
    const { watch, counts } = new Watched();
    watch.answered({ rejectedDataPoints: 1 });
    watch.ended(undefined);
    watch.ended(undefined);
    // An answer may come and the export fail nevertheless.
    watch.answered({ rejectedDataPoints: 1 });
    watch.ended(failure());
    expect(counts).toEqual(['metrics partial', 'metrics success', 'metrics failure']);
  });
});

describe('the log has no secret', () => {
  const causeOf = (error: Error): unknown => {
    const { watch, lines } = new Watched();
    watch.ended(error);
    return lines[0]!.fields!['cause'];
  };

  test.each([
    ['request to https://user:hunter2@collector.example:4318/v1/metrics failed'],
    ['grpc://user:hunter2@collector.example:4317 and http://user:hunter2@collector.example:4318'],
  ])('%s', (message) => {
    const cause = String(causeOf(new Error(message)));
    expect(cause).not.toContain('hunter2');
    expect(cause).toContain('//collector.example');
  });

  test('nor many lines, nor a long one', () => {
    const cause = String(causeOf(new Error(`first\r\nlevel=error msg=forged\n${'x'.repeat(10_000)}`)));
    expect(cause).toMatch(/^first level=error msg=forged x+$/);
    expect(cause).toHaveLength(300);
  });

  test('and says something of an error without words', () => {
    expect(causeOf(new Error(''))).toBe('Error');
    expect(causeOf(Object.assign(new Error(''), { code: 503 }))).toBe('Error (503)');
  });
});

test.each([
  [400, true],
  [413, true],
  [401, false],
  [404, false],
  [408, false],
  [429, false],
  [503, false],
  ['ECONNREFUSED', false],
  [3, true],
  [16, false],
  [14, false],
  [undefined, false],
])('an error with the code %s is final: %s', (code, isFinal) => {
  const { watch, final } = new Watched();
  watch.ended(Object.assign(new Error('no'), { code }));
  watch.ended(undefined);
  expect(final).toEqual([isFinal, false]);
});
