import { EventEmitter } from 'node:events';
import { describe, expect, test } from 'vitest';
import type { Clock } from '../../src/model/clock.ts';
import { installShutdown, STDIN_STOP_VARIABLE, type ProcessLike } from '../../src/runtime/shutdown.ts';

/** A clock whose sleepers wake when the test says so. */
class SteppedClock implements Clock {
  now = 0;
  readonly #sleepers = new Set<{ at: number; wake: () => void }>();

  monotonicMs(): number {
    return this.now;
  }

  wallSeconds(): number {
    return this.now / 1000;
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const sleeper = { at: this.now + ms, wake: resolve };
      this.#sleepers.add(sleeper);
      signal?.addEventListener('abort', () => {
        this.#sleepers.delete(sleeper);
        reject(signal.reason as Error);
      });
    });
  }

  get asleep(): number {
    return this.#sleepers.size;
  }

  async step(ms: number): Promise<void> {
    this.now += ms;
    for (const sleeper of this.#sleepers) {
      if (sleeper.at > this.now) continue;
      this.#sleepers.delete(sleeper);
      sleeper.wake();
    }
    await settle();
  }
}

/** Lets everything run that waits for promises only. */
async function settle(): Promise<void> {
  for (let i = 0; i < 50; i++) await Promise.resolve();
}

class FakeProcess extends EventEmitter implements ProcessLike {
  readonly stdin = Object.assign(new EventEmitter(), { resume: () => this.events.push('stdin read') });
  readonly events: string[];
  readonly platform: NodeJS.Platform;
  readonly env: Record<string, string>;

  constructor(events: string[], platform: NodeJS.Platform, env: Record<string, string>) {
    super();
    this.events = events;
    this.platform = platform;
    this.env = env;
  }

  exit(code: number): void {
    this.events.push(`exit ${code}`);
  }
}

function setUp({
  platform = 'linux',
  env = {},
}: { platform?: NodeJS.Platform; env?: Record<string, string> } = {}) {
  const events: string[] = [];
  const log =
    (level: string) =>
    (message: string, fields: Readonly<Record<string, unknown>> = {}): void => {
      const subject = fields['part'] ?? fields['reason'] ?? fields['error'];
      events.push(`${level}: ${message}${typeof subject === 'string' ? `: ${subject}` : ''}`);
    };
  const logger = { debug: log('debug'), info: log('info'), warn: log('warn'), error: log('error') };
  const fake = new FakeProcess(events, platform, env);
  const clock = new SteppedClock();
  const shutdown = installShutdown(fake, clock, logger);
  /** A part that closes when the test lets it. */
  const part = (name: string, withinMs?: number) => {
    const gate = Promise.withResolvers<undefined>();
    shutdown.add({
      name,
      ...(withinMs === undefined ? {} : { withinMs }),
      close: (signal) => {
        events.push(`close ${name}`);
        signal.addEventListener('abort', () => events.push(`abort ${name}`));
        return gate.promise.then(() => void events.push(`closed ${name}`));
      },
      force: () => events.push(`force ${name}`),
    });
    return { resolve: () => gate.resolve(undefined) };
  };
  return { events, fake, clock, shutdown, part };
}

describe('a signal', () => {
  test('H7 closes the parts one after the other in the order in which they were added, then exits 0', async () => {
    const { events, fake, part, clock } = setUp();
    const server = part('server');
    const host = part('host');
    fake.emit('SIGTERM', 'SIGTERM');
    await settle();
    expect(events).toEqual(['info: shutting down: SIGTERM', 'close server']);
    server.resolve();
    await settle();
    host.resolve();
    await settle();
    expect(events.slice(2)).toEqual(['closed server', 'close host', 'closed host', 'info: bye', 'exit 0']);
    expect(clock.asleep).toBe(0);
  });

  test('H7 forces a part that takes too long and goes on with the next', async () => {
    const { events, fake, part, clock } = setUp();
    part('server', 100);
    part('host').resolve();
    fake.emit('SIGINT', 'SIGINT');
    await settle();
    await clock.step(99);
    expect(events).toEqual(['info: shutting down: SIGINT', 'close server']);
    await clock.step(1);
    expect(events.slice(2)).toEqual([
      'warn: a part took too long to close: server',
      'abort server',
      'force server',
      'close host',
      'closed host',
      'info: bye',
      'exit 0',
    ]);
  });

  test('H7 is over within 5 s however many parts hang: what there is no time for is forced', async () => {
    const { events, fake, part, clock } = setUp();
    for (const name of ['server', 'poller', 'host']) part(name);
    fake.emit('SIGTERM', 'SIGTERM');
    await settle();
    for (let elapsed = 0; elapsed < 4999; elapsed += 100) await clock.step(100);
    expect(events.filter((event) => /^(close|force|exit)/.test(event))).toEqual([
      'close server',
      'force server',
      'close poller',
      'force poller',
      'force host',
      'exit 0',
    ]);
  });

  test('a part that fails to close does not keep the others open', async () => {
    const { events, fake, shutdown, part } = setUp();
    shutdown.add({
      name: 'server',
      close: () => {
        throw new Error('broken');
      },
    });
    part('host').resolve();
    fake.emit('SIGTERM', 'SIGTERM');
    await settle();
    expect(events.slice(1)).toEqual([
      'error: a part failed to close: server',
      'close host',
      'closed host',
      'info: bye',
      'exit 0',
    ]);
  });

  test('a second one forces what is still open, the part being closed included, and exits 1 once', async () => {
    const { events, fake, part } = setUp();
    const server = part('server');
    part('host');
    fake.emit('SIGTERM', 'SIGTERM');
    await settle();
    fake.emit('SIGINT', 'SIGINT');
    server.resolve();
    await settle();
    expect(events.filter((event) => /force|exit/.test(event))).toEqual([
      'force server',
      'force host',
      'exit 1',
    ]);
  });

  test('tells everyone who holds the abort signal', async () => {
    const { fake, shutdown } = setUp();
    expect(shutdown.signal.aborted).toBe(false);
    fake.emit('SIGTERM', 'SIGTERM');
    await settle();
    expect(shutdown.signal.aborted).toBe(true);
  });

  test('on Windows may be SIGBREAK or SIGHUP, which mean something else on other systems', async () => {
    const windows = setUp({ platform: 'win32' });
    windows.fake.emit('SIGBREAK', 'SIGBREAK');
    await settle();
    expect(windows.events).toEqual(['info: shutting down: SIGBREAK', 'info: bye', 'exit 0']);
    expect(windows.fake.listenerCount('SIGHUP')).toBe(1);
    const linux = setUp();
    expect(linux.fake.listenerCount('SIGBREAK') + linux.fake.listenerCount('SIGHUP')).toBe(0);
  });
});

describe('the end of standard input', () => {
  test('H7 stops the program where the environment asks for it', async () => {
    const { events, fake } = setUp({ env: { [STDIN_STOP_VARIABLE]: '1' } });
    fake.stdin.emit('end');
    fake.stdin.emit('close');
    await settle();
    expect(events).toEqual([
      'stdin read',
      'info: shutting down: standard input closed',
      'info: bye',
      'exit 0',
    ]);
  });

  test('means nothing otherwise, and standard input is left alone', async () => {
    const { events, fake } = setUp();
    fake.stdin.emit('end');
    await settle();
    expect(events).toEqual([]);
  });
});

describe('an error that nobody caught', () => {
  test.each([
    ['uncaughtException', 'uncaught exception'],
    ['unhandledRejection', 'unhandled rejection'],
  ])('X1 %s is one log line, forces every part and exits 1', async (event, message) => {
    const { events, fake, part } = setUp();
    part('server');
    part('host');
    fake.emit(event, new TypeError('x is not a function'));
    await settle();
    expect(events).toEqual([
      `error: ${message}: x is not a function`,
      'force server',
      'force host',
      'exit 1',
    ]);
  });

  test('X1 a part that cannot even be forced does not save the others', async () => {
    const { events, fake, shutdown, part } = setUp();
    shutdown.add({
      name: 'server',
      close: () => undefined,
      force: () => {
        throw new Error('broken');
      },
    });
    part('host');
    fake.emit('uncaughtException', 'a thrown string');
    await settle();
    expect(events.slice(1)).toEqual([
      'error: a part could not be ended by force: server',
      'force host',
      'exit 1',
    ]);
  });
});
