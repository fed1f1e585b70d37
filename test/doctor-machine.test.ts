/** What `doctor` looks at of this machine and cannot be shown by running it here: clocks that jump, lists of Windows. */
import { expect, test } from 'vitest';
import { broadTrustees } from '../src/runtime/windows-acl.ts';
import { watchClock } from '../src/runtime/watch-clock.ts';
import { FakeClock } from './doubles/fake-clock.ts';

/** What is said of a clock of Windows that is set by `step` seconds while it is watched. */
function clockAt(wallSeconds: number, step = 0): { status: string; summary: string; fix?: string } {
  const steps = [0, step];
  let monotonicMs = 0;
  const look = watchClock(
    {
      monotonicMs: () => monotonicMs,
      wallSeconds: () => wallSeconds + monotonicMs / 1000 + steps.shift()!,
      sleep: () => Promise.reject(new Error('it does not wait')),
    },
    'win32',
  );
  monotonicMs = 2000;
  const { status, summary, fix } = look();
  return { status, summary, ...(fix !== undefined && { fix }) };
}

test('C3 a clock that goes on as it should is well', () => {
  const clock = new FakeClock();
  const look = watchClock(clock, 'linux');
  expect(look()).toEqual({
    status: 'ok',
    summary: '2026-11-21T00:00:00Z',
    facts: { now: '2026-11-21T00:00:00Z', watchedSeconds: 0, stepSeconds: 0 },
  });
  expect(clockAt(1_795_219_200, 0.9)).toEqual({ status: 'ok', summary: '2026-11-21T00:00:02Z' });
});

test.each([
  [60, '60.0 s forward', '2026-11-21T00:01:02Z'],
  [-3600, '3600.0 s back', '2026-11-20T23:00:02Z'],
])('C3 a clock that is set by %i s meanwhile is a warning', (step, says, now) => {
  expect(clockAt(1_795_219_200, step)).toEqual({
    status: 'warn',
    summary: `the system clock was set ${says} meanwhile: ${now}`,
    fix: 'see that one time service alone sets it; set it by: w32tm /resync',
  });
});

test.each([
  [0, '1970-01-01T00:00:02Z'],
  [Date.UTC(2101, 0) / 1000, '2101-01-01T00:00:02Z'],
])('C3 a clock at %i is wrong', (seconds, now) => {
  expect(clockAt(seconds)).toEqual({
    status: 'fail',
    summary: `the system clock is wrong: ${now}`,
    fix: 'set it by: w32tm /resync',
  });
});

test.each([
  ['data\r\nD:PAI(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)(A;OICI;FA;;;S-1-5-21-1-2-3-1001)\r\n', []],
  [
    'data\r\nD:AI(A;OICIID;FA;;;SY)(A;OICIID;FA;;;BA)(A;OICIIOID;GA;;;CO)(A;OICIID;0x1200a9;;;BU)(A;CIID;DCLCRPCR;;;BU)',
    ['Users'],
  ],
  ['data\r\nD:(A;;FA;;;WD)(A;;FA;;;AU)', ['Everyone', 'Authenticated Users']],
  ['data\r\nD:(D;;FA;;;WD)(A;;FA;;;BA)', []],
  ['data\r\nD:P', []],
  ['data\r\nD:NO_ACCESS_CONTROL', ['Everyone']],
  ['', null],
])('R2 of the access list %j it is told who is let in: %j', (sddl, others) => {
  expect(broadTrustees(sddl)).toEqual(others);
});
