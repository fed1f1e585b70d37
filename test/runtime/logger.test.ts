import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Clock } from '../../src/model/clock.ts';
import { describeError } from '../../src/runtime/describe-error.ts';
import { createLogger, type LoggerOptions } from '../../src/runtime/logger.ts';

const clock: Clock = {
  monotonicMs: () => 0,
  wallSeconds: () => Date.UTC(2026, 10, 21, 4, 30, 0, 123) / 1000,
  sleep: () => Promise.resolve(),
};

function setUp(options: Partial<LoggerOptions> = {}) {
  const lines: string[] = [];
  const logger = createLogger({ level: 'debug', format: 'logfmt', file: null, ...options }, clock, {
    write: (line) => void lines.push(line),
  });
  return { lines, logger };
}

describe('logfmt', () => {
  test('a line has time, level and message first, then the fields in their order', () => {
    const { lines, logger } = setUp();
    logger.info('listening', { address: '127.0.0.1:10077', zone: 1, admin: false });
    logger.warn('slow answer', { elapsedMs: 12.5 });
    expect(lines).toEqual([
      'time=2026-11-21T04:30:00.123Z level=info msg=listening address=127.0.0.1:10077 zone=1 admin=false\n',
      'time=2026-11-21T04:30:00.123Z level=warn msg="slow answer" elapsedMs=12.5\n',
    ]);
  });

  test('D4 one call is one line, whatever the message and the fields hold', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: 'binary' }),
        fc.dictionary(fc.string({ unit: 'binary' }), fc.anything({ withBigInt: true })),
        (message, fields) => {
          const { lines, logger } = setUp();
          logger.error(message, fields);
          expect(lines).toHaveLength(1);
          expect(lines[0]).toMatch(/^time=2026-11-21T04:30:00\.123Z level=error msg=[^\p{Cc}]*\n$/u);
        },
      ),
    );
  });
});

describe('json', () => {
  test('a line is one object with time, level and msg', () => {
    const { lines, logger } = setUp({ format: 'json' });
    logger.info('listening', { address: ':10077' });
    expect(lines.map((line) => JSON.parse(line) as unknown)).toEqual([
      { time: '2026-11-21T04:30:00.123Z', level: 'info', msg: 'listening', address: ':10077' },
    ]);
    expect(lines[0]).toMatch(/\}\n$/);
  });
});

describe.each(['logfmt', 'json'] as const)('%s', (format) => {
  test('lines below the level are left out', () => {
    const { lines, logger } = setUp({ format, level: 'warn' });
    logger.debug('a');
    logger.info('b');
    logger.warn('c');
    logger.error('d');
    expect(lines).toHaveLength(2);
  });

  test('a field cannot pass for the time, the level or the message', () => {
    const { lines, logger } = setUp({ format });
    logger.info('true', { level: 'error', msg: 'false', time: 'never' });
    expect(lines[0]).toMatch(format === 'json' ? /"level_":"error"/ : /level=info msg=true level_=error/);
    expect(lines[0]).not.toMatch(/level"?[=:]"?error/);
  });

  test('an error is on one line with its causes', () => {
    const { lines, logger } = setUp({ format });
    const cause = Object.assign(new Error('connect refused'), { code: 'ECONNREFUSED' });
    logger.error('poll failed', { error: new Error('no answer\n  from host', { cause }) });
    expect(lines[0]).toContain('"no answer from host: connect refused (ECONNREFUSED)"');
  });

  test('figures that JSON does not know are kept', () => {
    const { lines, logger } = setUp({ format });
    logger.info('figures', { handle: 18_446_744_073_709_551_615n, rate: NaN, absent: undefined });
    expect(lines[0]).toMatch(/18446744073709551615/);
    expect(lines[0]).toMatch(/NaN/);
    expect(lines[0]).not.toMatch(/absent/);
  });

  test('a message with a percent sign is taken literally', () => {
    const { lines, logger } = setUp({ format });
    logger.info('100%% of %s %d', { part: 'x' });
    expect(lines[0]).toContain('100%% of %s %d');
  });
});

describe('in a file', () => {
  let folder: string;
  let file: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'rras-exporter-log-'));
    file = join(folder, 'rras-exporter.log');
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  const openLog = (path = file) => createLogger({ level: 'info', format: 'logfmt', file: path }, clock);
  const messages = (path = file): string[] =>
    [...readFileSync(path, 'utf8').matchAll(/^time=\S+ level=\w+ msg=(\S+)\n/gm)].map(([, msg = '']) => msg);

  test('each line is there at once, behind what was there before', () => {
    writeFileSync(file, 'time=0 level=info msg=before\n');
    const log = openLog();
    log.info('first');
    expect(messages()).toEqual(['before', 'first']);
    log.error('second');
    expect(messages()).toEqual(['before', 'first', 'second']);
  });

  test.runIf(process.platform !== 'win32')('which only its owner can read, as it may name people', () => {
    openLog().info('first');
    expect(statSync(file).mode & 0o777).toBe(0o600);
  });

  test('that was moved away, it goes on there until it is opened anew', () => {
    const log = openLog();
    log.info('first');
    const rotated = `${file}.1`;
    renameSync(file, rotated);
    log.info('second');
    log.reopen();
    log.info('third');
    expect([messages(rotated), messages()]).toEqual([['first', 'second'], ['third']]);
  });

  test('that cannot be opened anew, it goes on in the one it has', () => {
    const log = openLog();
    const rotated = `${file}.1`;
    renameSync(file, rotated);
    mkdirSync(file);
    expect(() => log.reopen()).toThrow(`the log file ${file} cannot be written (EISDIR)`);
    log.info('after');
    expect(messages(rotated)).toEqual(['after']);
  });

  test('that cannot be opened is one error that says what to do', () => {
    const nowhere = join(folder, 'logs', 'a.log');
    expect(() => openLog(nowhere)).toThrow(
      `the log file ${nowhere} cannot be written (ENOENT); make its folder, or choose another file by --log.output`,
    );
  });

  test('that is a folder is told so, and the cause once', () => {
    let problem = '';
    try {
      openLog(folder);
    } catch (error) {
      problem = describeError(error);
    }
    expect(problem).toBe(
      `the log file ${folder} cannot be written (EISDIR); it is a folder: choose another file by --log.output`,
    );
  });

  test.runIf(existsSync('/dev/full'))('on a full disk, lines are lost and nothing else', () => {
    const log = openLog('/dev/full');
    expect(() => {
      for (let line = 0; line < 100; line += 1) log.error('lost');
      log.reopen();
      log.error('lost');
    }).not.toThrow();
  });

  test('the level can be changed while it is in use', () => {
    const log = openLog();
    log.debug('hidden');
    log.setLevel('debug');
    log.debug('shown');
    log.setLevel('error');
    log.warn('hidden');
    expect(messages()).toEqual(['shown']);
  });
});

describe('describeError', () => {
  test.each<[unknown, string]>([
    [new Error('plain'), 'plain'],
    [new TypeError(''), 'TypeError'],
    ['text', 'text'],
    [42, 'thrown: number'],
    [undefined, 'nothing was thrown'],
    [null, 'nothing was thrown'],
    [Object.assign(new Error('listen EADDRINUSE'), { code: 'EADDRINUSE' }), 'listen EADDRINUSE'],
    [new AggregateError([new Error('one'), new Error('two')], ''), 'one; two'],
  ])('of %j is %j', (error, expected) => {
    expect(describeError(error)).toBe(expected);
  });

  test('ends where causes lead in a circle', () => {
    const error = new Error('round');
    error.cause = error;
    expect(describeError(error)).toMatch(/^round(: round)*$/);
  });
});
