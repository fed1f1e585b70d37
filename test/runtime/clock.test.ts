import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { systemClock } from '../../src/runtime/clock.ts';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

/** Resolves to when and how a sleep ended, in milliseconds after it began. */
function watch(sleep: Promise<void>): { readonly outcome: () => string } {
  const start = performance.now();
  let outcome = 'asleep';
  sleep.then(
    () => (outcome = `woke after ${performance.now() - start}`),
    (reason: unknown) => (outcome = `aborted with ${String(reason)}`),
  );
  return { outcome: () => outcome };
}

describe('sleep', () => {
  test('wakes after its time and leaves no timer and no listener behind', async () => {
    const controller = new AbortController();
    const removed = vi.spyOn(controller.signal, 'removeEventListener');
    const sleep = watch(systemClock.sleep(1000, controller.signal));
    await vi.advanceTimersByTimeAsync(999);
    expect(sleep.outcome()).toBe('asleep');
    await vi.advanceTimersByTimeAsync(1);
    expect(sleep.outcome()).toBe('woke after 1000');
    expect(vi.getTimerCount()).toBe(0);
    expect(removed).toHaveBeenCalled();
  });

  test('rejects with the reason of its signal, at once', async () => {
    const controller = new AbortController();
    const sleep = watch(systemClock.sleep(1000, controller.signal));
    controller.abort('enough');
    await vi.advanceTimersByTimeAsync(0);
    expect(sleep.outcome()).toBe('aborted with enough');
    expect(vi.getTimerCount()).toBe(0);
  });

  test.each([0, 5])('rejects for a signal that is aborted already (%i ms)', async (ms) => {
    const sleep = watch(systemClock.sleep(ms, AbortSignal.abort('before')));
    await vi.advanceTimersByTimeAsync(0);
    expect(sleep.outcome()).toBe('aborted with before');
  });

  test.each([0, -5, NaN])('of %d ms gives way to the event loop once', async (ms) => {
    const sleep = watch(systemClock.sleep(ms));
    expect(sleep.outcome()).toBe('asleep');
    await vi.advanceTimersByTimeAsync(1);
    expect(sleep.outcome()).toMatch(/^woke/);
  });

  test('N9 longer than a timer can count does not become no time at all', async () => {
    const days = 30 * 86_400_000;
    const sleep = watch(systemClock.sleep(days));
    await vi.advanceTimersByTimeAsync(days - 1);
    expect(sleep.outcome()).toBe('asleep');
    await vi.advanceTimersByTimeAsync(1);
    expect(sleep.outcome()).toBe(`woke after ${days}`);
  });
});

test('C3 intervals do not follow the wall clock', () => {
  const before = systemClock.monotonicMs();
  vi.setSystemTime(Date.UTC(2040, 0, 1));
  expect(systemClock.wallSeconds()).toBe(Date.UTC(2040, 0, 1) / 1000);
  expect(systemClock.monotonicMs()).toBe(before);
});
