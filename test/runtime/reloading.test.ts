import { EventEmitter } from 'node:events';
import { expect, test } from 'vitest';
import { UsageError } from '../../src/model/errors.ts';
import type { LogFields } from '../../src/model/logger.ts';
import { Reloading } from '../../src/runtime/reloading.ts';

/** A load that ends when the test says so. */
interface Load {
  readonly succeed: () => void;
  readonly fail: (error: unknown) => void;
}

class FakeProcess extends EventEmitter {
  readonly platform: NodeJS.Platform;

  constructor(platform: NodeJS.Platform) {
    super();
    this.platform = platform;
  }
}

function setUp(
  putIntoForce: () => Promise<void> = () => Promise.resolve(),
  after: Promise<unknown> = Promise.resolve(),
) {
  const events: string[] = [];
  const loads: Load[] = [];
  const log =
    (level: string) =>
    (message: string, fields: LogFields = {}): void => {
      const problem = typeof fields['problem'] === 'string' ? `: ${fields['problem']}` : '';
      events.push(`${level}: ${message} (${String(fields['reason'])})${problem}`);
    };
  const reloading = new Reloading({
    after,
    load: () => {
      events.push('load');
      return new Promise((resolve, reject) =>
        loads.push({
          succeed: () =>
            resolve(() => {
              events.push('put into force');
              return putIntoForce();
            }),
          fail: reject,
        }),
      );
    },
    onEnd: (succeeded) => events.push(`told: ${succeeded}`),
    logger: { debug: log('debug'), info: log('info'), warn: log('warn'), error: log('error') },
  });
  return { events, loads, reloading };
}

/** Lets everything run that waits for promises only. */
async function settle(): Promise<void> {
  for (let i = 0; i < 50; i++) await Promise.resolve();
}

const REFUSED = 'error: the configuration was not loaded: the last good one stays in force';

test('R1 what was loaded is put into force, and told of once', async () => {
  const { events, loads, reloading } = setUp();
  const done = reloading.run('request');
  await settle();
  expect(events).toEqual(['load']);
  loads[0]!.succeed();
  await done;
  expect(events).toEqual([
    'load',
    'put into force',
    'info: the configuration is loaded (request)',
    'told: true',
  ]);
});

test('R1 what cannot be loaded is put into force in no part; who asked learns why and what to do', async () => {
  const { events, loads, reloading } = setUp();
  const done = reloading.run('request');
  await settle();
  loads[0]!.fail(
    new UsageError('web.listen-address changed', 'restart the exporter for that, or take it back'),
  );
  const problem = 'web.listen-address changed (restart the exporter for that, or take it back)';
  await expect(done).rejects.toThrow(problem);
  expect(events).toEqual(['load', `${REFUSED} (request): ${problem}`, 'told: false']);
});

test('R1 an error without a hint is told as it is, with its causes', async () => {
  const { events, loads, reloading } = setUp();
  const done = reloading.run('SIGHUP');
  await settle();
  loads[0]!.fail(new Error('cannot be read', { cause: new Error('gone') }));
  await expect(done).rejects.toThrow(/^cannot be read: gone$/);
  expect(events.slice(1)).toEqual([`${REFUSED} (SIGHUP): cannot be read: gone`, 'told: false']);
});

test('what fails while it is put into force is a failure, too', async () => {
  const { events, loads, reloading } = setUp(() => Promise.reject(new Error('no')));
  const done = reloading.run('request');
  await settle();
  loads[0]!.succeed();
  await expect(done).rejects.toThrow('no');
  expect(events.at(-1)).toBe('told: false');
});

test('one is loaded at a time; all who ask meanwhile share the next', async () => {
  const { events, loads, reloading } = setUp();
  const first = reloading.run('first');
  await settle();
  // What is being loaded may have been read before the file was changed: it is not theirs.
  const second = reloading.run('second');
  const third = reloading.run('third');
  await settle();
  expect(events).toEqual(['load']);
  loads[0]!.succeed();
  await first;
  await settle();
  expect(events.slice(3)).toEqual(['told: true', 'load']);
  loads[1]!.fail(new Error('bad'));
  await expect(second).rejects.toThrow('bad');
  await expect(third).rejects.toThrow('bad');
  expect(loads).toHaveLength(2);
  expect(events.at(-2)).toBe(`${REFUSED} (second): bad`);
});

test('while the program starts, who asks waits', async () => {
  const started = Promise.withResolvers<undefined>();
  const { events, loads, reloading } = setUp(undefined, started.promise);
  const asked = Promise.all([reloading.run('request'), reloading.run('SIGHUP')]);
  await settle();
  expect(events).toEqual([]);
  started.resolve(undefined);
  await settle();
  loads[0]!.succeed();
  await asked;
  expect(events).toEqual([
    'load',
    'put into force',
    'info: the configuration is loaded (request)',
    'told: true',
  ]);
});

test('who asks before the first has begun shares it', async () => {
  const { events, loads, reloading } = setUp();
  const both = [reloading.run('first'), reloading.run('second')];
  await settle();
  loads[0]!.succeed();
  await Promise.all(both);
  expect(events.filter((event) => event === 'load')).toHaveLength(1);
});

test('R1 after a failure the next is loaded as if nothing had been', async () => {
  const { events, loads, reloading } = setUp();
  const bad = reloading.run('bad');
  await settle();
  loads[0]!.fail(new Error('bad'));
  await expect(bad).rejects.toThrow('bad');
  const good = reloading.run('good');
  await settle();
  loads[1]!.succeed();
  await good;
  expect(events.slice(-2)).toEqual(['info: the configuration is loaded (good)', 'told: true']);
});

test('SIGHUP reloads, and a failure of it ends nothing', async () => {
  const { events, loads, reloading } = setUp();
  const fake = new FakeProcess('linux');
  reloading.install(fake, new AbortController().signal);
  fake.emit('SIGHUP');
  await settle();
  loads[0]!.fail(new Error('bad'));
  await settle();
  expect(events).toEqual(['load', `${REFUSED} (SIGHUP): bad`, 'told: false']);
  fake.emit('SIGHUP');
  await settle();
  expect(loads).toHaveLength(2);
});

test('SIGHUP and a request at once share a reload', async () => {
  const { loads, reloading } = setUp();
  const fake = new FakeProcess('linux');
  reloading.install(fake, new AbortController().signal);
  fake.emit('SIGHUP');
  const asked = reloading.run('request');
  await settle();
  loads[0]!.succeed();
  await asked;
  expect(loads).toHaveLength(1);
});

test('on Windows SIGHUP is the end of a console window, and is left alone', () => {
  const { reloading } = setUp();
  const fake = new FakeProcess('win32');
  reloading.install(fake, new AbortController().signal);
  expect(fake.eventNames()).toEqual([]);
});

test('an exporter that ends loads nothing any more', async () => {
  const { events, reloading } = setUp();
  const fake = new FakeProcess('linux');
  reloading.install(fake, AbortSignal.abort());
  fake.emit('SIGHUP');
  await settle();
  expect(events).toEqual([]);
});
