/** The clock that tests step by hand. */
import { expect, it } from 'vitest';
import { FakeClock } from './fake-clock.ts';

it('ends sleeps in the order of their times, each at its own time', async () => {
  const clock = new FakeClock({ monotonicMs: 0 });
  const events: string[] = [];
  for (const ms of [300, 100, 200]) {
    void clock.sleep(ms).then(() => events.push(`${ms} at ${clock.monotonicMs()}`));
  }
  await clock.advance(250);
  expect(events).toEqual(['100 at 100', '200 at 200']);
  expect(clock.monotonicMs()).toBe(250);
  expect(clock.nextDueMs).toBe(300);
  await clock.advance(50);
  expect(events.at(-1)).toBe('300 at 300');
  expect(clock.pending).toBe(0);
});

it('lets a sleeper sleep again within the same step', async () => {
  const clock = new FakeClock({ monotonicMs: 0 });
  const ticks: number[] = [];
  void (async () => {
    while (ticks.length < 5) {
      await clock.sleep(10);
      ticks.push(clock.monotonicMs());
    }
  })();
  await clock.advance(1000);
  expect(ticks).toEqual([10, 20, 30, 40, 50]);
});

it('moves at once when nobody sleeps, and moves the wall clock along', () => {
  const clock = new FakeClock({ monotonicMs: 5, wallSeconds: 1000 });
  void clock.advance(2000);
  expect(clock.monotonicMs()).toBe(2005);
  expect(clock.wallSeconds()).toBe(1002);
});

it('lets the wall clock jump alone', () => {
  const clock = new FakeClock({ monotonicMs: 5, wallSeconds: 1000 });
  clock.jumpWall(-86_400);
  expect(clock.monotonicMs()).toBe(5);
  expect(clock.wallSeconds()).toBe(-85_400);
});

it('rejects a sleep whose signal is aborted, before or during it, and forgets it', async () => {
  const clock = new FakeClock();
  const reason = new Error('enough');
  await expect(clock.sleep(10, AbortSignal.abort(reason))).rejects.toBe(reason);
  const controller = new AbortController();
  const sleep = clock.sleep(10, controller.signal);
  expect(clock.pending).toBe(1);
  controller.abort(reason);
  await expect(sleep).rejects.toBe(reason);
  expect(clock.pending).toBe(0);
});
