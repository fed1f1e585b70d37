/** What `doctor` looks at of this machine and cannot be shown by running it here: clocks that jump, lists of Windows. */
import { expect, test } from 'vitest';
import { accessOf } from '../src/runtime/windows-acl.ts';
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

const OWN = 'S-1-5-21-1-2-3-1001';
const access = (sddl: string, own: string | undefined = OWN) => accessOf(sddl, () => own);

test.each([
  ['data\r\nD:PAI(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)(A;OICI;FA;;;S-1-5-21-1-2-3-1001)\r\n', []],
  ['data\r\nD:PAI(A;OICI;FA;;;S-1-5-18)(A;OICI;FA;;;S-1-5-32-544)(A;OICIIO;GA;;;CO)', []],
  ['O:BAG:SYD:PAI(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)(A;OICI;FA;;;OW)\r\n', []],
  [
    'data\r\nD:AI(A;OICIID;FA;;;SY)(A;OICIID;FA;;;BA)(A;OICIIOID;GA;;;CO)(A;OICIID;0x1200a9;;;BU)(A;CIID;DCLCRPCR;;;BU)',
    ['BU'],
  ],
  ['data\r\nD:(A;;FA;;;WD)(A;;FA;;;AU)', ['WD', 'AU']],
  ['data\r\nD:(D;;FA;;;WD)(A;;FA;;;BA)', []],
  ['data\r\nD:P', []],
  ['data\r\nD:NO_ACCESS_CONTROL', ['WD']],
])('R2 of the access list %j it is told who is let in: %j', (sddl, others) => {
  expect(access(sddl)?.others).toEqual(others);
});

test.each([
  ['another account', 'A;OICI;FA;;;S-1-5-21-1-2-3-1002', 'S-1-5-21-1-2-3-1002'],
  ['domain users by number', 'A;;FR;;;S-1-5-21-1-2-3-513', 'S-1-5-21-1-2-3-513'],
  ['domain guests', 'A;;FR;;;DG', 'DG'],
  ['packaged apps', 'A;;FR;;;AC', 'AC'],
  ['remote desktop users', 'A;;FR;;;RD', 'RD'],
  ['backup operators', 'A;;FR;;;BO', 'BO'],
  ['those who come later only to what is in it', 'A;OICIIO;GA;;;BU', 'BU'],
  ['an object', 'OA;;FA;;;BU', 'BU'],
  ['those of a condition', 'XA;;FA;;;WD;(@User.Title=="PM" && (Member_of{BU}))', 'WD'],
  ['an entry of a new kind', 'QQ;;FA;;;BU', 'BU'],
  ['an abbreviation of a later Windows', 'A;;FA;;;QX', 'QX'],
])('R2 an access list that lets in %s is open, whatever else is in it', (_, entry, other) => {
  const sddl = `O:BAG:SYD:PAI(${entry})(A;OICI;FA;;;SY)(D;;FA;;;AN)(A;OICI;FA;;;BA)`;
  expect(access(sddl)).toEqual({ others: [other], owner: 'BA', foreign: false });
});

test('R2 what follows a condition is looked at, too', () => {
  const sddl = 'O:BAG:SYD:PAI(XA;;FA;;;BA;(@User.a=="(A;;x" && (1)))(A;;FA;;;BU)(A;;FA;;;SY)';
  expect(access(sddl)?.others).toEqual(['BU']);
});

test.each([
  ['O:BAG:SYD:P(A;;FA;;;SY)', 'BA', false],
  ['O:S-1-5-21-1-2-3-1001G:S-1-5-21-1-2-3-513D:P(A;;FA;;;SY)', OWN, false],
  ['O:S-1-5-21-1-2-3-1002G:DUD:P(A;;FA;;;SY)', 'S-1-5-21-1-2-3-1002', true],
  ['O:DUG:DUD:P(A;;FA;;;SY)', 'DU', true],
  ['O:LAG:DUD:P(A;;FA;;;SY)', 'LA', true],
  ['data\r\nD:P(A;;FA;;;SY)', null, false],
])('R2 of %j it is told who may always let others in: %s', (sddl, owner, foreign) => {
  expect(access(sddl)).toEqual({ others: [], owner, foreign });
});

test('R2 the owner has rights of its own only where that is one of the trusted', () => {
  expect(access('O:S-1-5-21-1-2-3-1002G:SYD:P(A;;FA;;;OW)')?.others).toEqual(['OW']);
  expect(access('data\r\nD:P(A;;FA;;;OW)')?.others).toEqual(['OW']);
});

test('R2 an account that Windows abbreviates is known as this one', () => {
  expect(access('O:LAG:SYD:P(A;;FA;;;LA)', 'S-1-5-21-9-9-9-500')).toMatchObject({
    others: [],
    foreign: false,
  });
  expect(access('O:LSG:SYD:P(A;;FA;;;LS)', 'S-1-5-19')).toMatchObject({ others: [], foreign: false });
  expect(access('O:LSG:SYD:P(A;;FA;;;LS)')).toMatchObject({ others: ['LS'], foreign: true });
  expect(access('O:BAG:SYD:P(A;;FA;;;BU)', undefined)?.others).toEqual(['BU']);
});

test.each(['', 'data\r\n', 'O:BAG:SY'])('of %j nobody can tell', (sddl) => {
  expect(access(sddl)).toBeNull();
});
