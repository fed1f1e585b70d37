/** What follows from the lines of the audit log, whether they are being written or are read at a start. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Intent, Outcome } from '../../src/admin/ledger.ts';
import { Ledger } from '../../src/admin/ledger.ts';
import { MINUTE, POLICY } from './exporter-life.ts';

const NOW = 1_000_000;
const WALL = 1_795_219_200;
const GUARDS = { ...POLICY, rateBurst: 5, ratePerMs: 10 * MINUTE };

const intentOf = (actionId: string, changes: Partial<Intent> = {}): Intent => ({
  actionId,
  action: 'reconnect',
  target: { interface: 'Site-A' },
  actor: 'ops',
  route: 'reconnect',
  reason: 'a test',
  force: false,
  override: [],
  cooldownMs: MINUTE,
  cooldownMaxMs: 10 * MINUTE,
  requestedAt: WALL,
  ...changes,
});
const outcomeOf = (actionId: string, state: Outcome['state'] = 'failed'): Outcome => ({
  actionId,
  state,
  result: 'not_connected',
  message: '',
  function: null,
  code: null,
  codeName: null,
  interfaceLastError: null,
  interfaceLastErrorName: null,
  seconds: 1,
});
const alertOf = (attemptKey: string): NonNullable<Intent['alert']> => ({
  rule: 'redial',
  attemptKey,
  fingerprint: '0000000000000001',
  startsAt: '2026-11-20T23:00:00Z',
});

/** One action from the intent to its end. */
function act(
  ledger: Ledger,
  id: string,
  state: Outcome['state'],
  atMs: number,
  changes: Partial<Intent> = {},
) {
  ledger.apply('intent', intentOf(id, changes), atMs, WALL);
  ledger.apply('outcome', outcomeOf(id, state), atMs, WALL);
}
const memoryOf = (ledger: Ledger, name = 'Site-A') => ledger.guardState(NOW).interfaces.get(name);

describe('an action', () => {
  it('is known by its intent, moves on, and ends with its outcome, in this order', () => {
    const ledger = new Ledger(GUARDS);
    ledger.apply('intent', intentOf('1', { alert: alertOf('k') }), NOW, WALL + 1);
    expect(ledger.action('1')).toMatchObject({
      id: '1',
      state: 'intended',
      decision: 'execute',
      alert: { rule: 'redial', fingerprint: '0000000000000001', startsAt: '2026-11-20T23:00:00Z' },
      outcome: undefined,
    });
    expect(ledger.action('1')!.alert).not.toHaveProperty('attemptKey');
    ledger.moveOn('1', 'acting', WALL + 2);
    ledger.moveOn('1', 'verifying', WALL + 3);
    ledger.apply('outcome', outcomeOf('1', 'succeeded'), NOW, WALL + 4);
    expect(ledger.action('1')).toMatchObject({
      state: 'succeeded',
      history: [
        { state: 'requested', time: WALL },
        { state: 'intended', time: WALL + 1 },
        { state: 'acting', time: WALL + 2 },
        { state: 'verifying', time: WALL + 3 },
        { state: 'succeeded', time: WALL + 4 },
      ],
      outcome: { result: 'not_connected' },
    });
    expect(ledger.action('1')!.outcome).not.toHaveProperty('actionId');
  });

  it('that has ended keeps its end, and one that is not known has none', () => {
    const ledger = new Ledger(GUARDS);
    act(ledger, '1', 'failed', NOW);
    ledger.apply('outcome', outcomeOf('1', 'succeeded'), NOW, WALL);
    ledger.apply('outcome', outcomeOf('2', 'failed'), NOW, WALL);
    ledger.moveOn('2', 'acting', WALL);
    expect(ledger.action('1')!.state).toBe('failed');
    expect(memoryOf(ledger)!.failures).toBe(1);
    expect(ledger.action('2')).toBeUndefined();
    expect(ledger.actions()).toHaveLength(1);
  });

  it('is listed newest first, executed and refused together', () => {
    const ledger = new Ledger(GUARDS);
    ledger.apply('intent', intentOf('a', { requestedAt: WALL }), NOW, WALL);
    ledger.apply('intent', intentOf('c', { requestedAt: WALL + 2 }), NOW, WALL);
    ledger.note({ ...ledger.action('a')!, id: 'b', state: 'denied', requestedAt: WALL + 1 });
    expect(ledger.actions().map(({ id }) => id)).toEqual(['c', 'b', 'a']);
    expect(ledger.action('b')!.state).toBe('denied');
  });
});

describe('a cool-down', () => {
  it('begins at the end of an action and doubles with each failure in a row, up to the longest', () => {
    const ledger = new Ledger({ ...GUARDS, breakerFailures: 100 });
    const waits = [1, 2, 3, 4, 5, 6].map((n) => {
      act(ledger, String(n), n % 2 ? 'failed' : 'unknown', NOW);
      return (memoryOf(ledger)!.cooldownUntilMs - NOW) / MINUTE;
    });
    expect(waits).toEqual([1, 2, 4, 8, 10, 10]);
    act(ledger, '7', 'succeeded', NOW);
    expect(memoryOf(ledger)).toEqual({ failures: 0, breakerOpen: false, cooldownUntilMs: NOW + MINUTE });
  });

  it('is the rule’s where a rule has its own', () => {
    const ledger = new Ledger(GUARDS);
    act(ledger, '1', 'failed', NOW, { cooldownMs: 1000, cooldownMaxMs: 1500 });
    expect(memoryOf(ledger)!.cooldownUntilMs).toBe(NOW + 1000);
    act(ledger, '2', 'failed', NOW, { cooldownMs: 1000, cooldownMaxMs: 1500 });
    expect(memoryOf(ledger)!.cooldownUntilMs).toBe(NOW + 1500);
  });

  it('of an interface is none of another’s, nor of a client’s connection', () => {
    const ledger = new Ledger(GUARDS);
    act(ledger, '1', 'failed', NOW);
    act(ledger, '2', 'failed', NOW, { target: { connection: '00000000000000aa' } });
    expect([...ledger.guardState(NOW).interfaces.keys()]).toEqual(['Site-A']);
  });
});

describe('the breaker', () => {
  it('is closed by a dial that worked, and not by a hang-up', () => {
    const ledger = new Ledger(GUARDS);
    for (const id of ['1', '2', '3']) act(ledger, id, 'failed', NOW);
    act(ledger, '4', 'succeeded', NOW, { action: 'disconnect' });
    expect(memoryOf(ledger)).toMatchObject({ failures: 3, breakerOpen: true });
    act(ledger, '5', 'succeeded', NOW);
    expect(memoryOf(ledger)).toMatchObject({ failures: 0, breakerOpen: false });
  });

  it('A2 knows nothing of an outcome that was written after what has been done since', () => {
    const ledger = new Ledger(GUARDS);
    const alert = alertOf('k');
    ledger.apply('intent', intentOf('1', { alert }), NOW, WALL);
    act(ledger, '2', 'succeeded', NOW + 1, { alert });
    ledger.apply('outcome', outcomeOf('1', 'unknown'), NOW + 2, WALL);
    expect(ledger.action('1')).toMatchObject({ state: 'unknown' });
    expect(memoryOf(ledger)).toMatchObject({ failures: 0 });
    expect(ledger.attempt('k')).toMatchObject({ executed: 2, failures: 0, nextAtMs: Infinity });
  });

  it('opens at the third failure in a row, stays open, and is closed by a success or a reset', () => {
    for (const close of ['success', 'reset'] as const) {
      const ledger = new Ledger(GUARDS);
      const open = ['1', '2', '3', '4'].map((id) => {
        act(ledger, id, 'failed', NOW);
        return ledger.breakerOpen('Site-A');
      });
      expect(open).toEqual([false, false, true, true]);
      if (close === 'success') act(ledger, '5', 'succeeded', NOW);
      else ledger.apply('reset', { kind: 'reset', interface: 'Site-A' }, NOW, WALL);
      expect(ledger.breakerOpen('Site-A')).toBe(false);
      if (close === 'reset') expect(memoryOf(ledger)).toBeUndefined();
      act(ledger, '6', 'failed', NOW);
      expect(memoryOf(ledger)).toMatchObject({ failures: 1, breakerOpen: false });
    }
  });

  it('opens at once on what an earlier policy let pass', () => {
    const ledger = new Ledger({ ...GUARDS, breakerFailures: 1 });
    act(ledger, '1', 'unknown', NOW);
    expect(ledger.breakerOpen('Site-A')).toBe(true);
  });
});

describe('A3 the bucket', () => {
  it('gives one token for each intent, whatever comes of it, and fills with time', () => {
    const ledger = new Ledger(GUARDS);
    expect(ledger.guardState(NOW).bucketTokens).toBe(5);
    for (let n = 1; n <= 7; n += 1) ledger.apply('intent', intentOf(String(n)), NOW, WALL);
    expect(ledger.guardState(NOW).bucketTokens).toBe(0);
    expect(ledger.guardState(NOW + 4 * MINUTE).bucketTokens).toBeCloseTo(2);
    expect(ledger.guardState(NOW + 60 * MINUTE).bucketTokens).toBe(5);
  });

  it('is not filled by lines whose time goes back', () => {
    const ledger = new Ledger(GUARDS);
    for (const [n, atMs] of [NOW, NOW - 60 * MINUTE, NOW].entries()) {
      ledger.apply('intent', intentOf(String(n)), atMs, WALL);
    }
    expect(ledger.guardState(NOW).bucketTokens).toBe(2);
  });
});

describe('A1 attempts for an alert', () => {
  it('are counted when they are intended, and the next may come a growing cool-down after a failure', () => {
    const ledger = new Ledger(GUARDS);
    const alert = alertOf('k');
    expect(ledger.attempt('k')).toBeUndefined();
    ledger.apply('intent', intentOf('1', { alert }), NOW, WALL);
    expect(ledger.attempt('k')).toMatchObject({
      executed: 1,
      underway: true,
      failures: 0,
      nextAtMs: Infinity,
    });
    ledger.apply('outcome', outcomeOf('1'), NOW, WALL);
    expect(ledger.attempt('k')).toMatchObject({
      executed: 1,
      underway: false,
      failures: 1,
      nextAtMs: NOW + MINUTE,
    });
    act(ledger, '2', 'unknown', NOW, { alert });
    expect(ledger.attempt('k')).toMatchObject({ executed: 2, failures: 2, nextAtMs: NOW + 2 * MINUTE });
    act(ledger, '3', 'succeeded', NOW, { alert });
    expect(ledger.attempt('k')).toMatchObject({ executed: 3, underway: false, nextAtMs: Infinity });
  });

  it('are not forgotten by a reset of the interface', () => {
    const ledger = new Ledger(GUARDS);
    act(ledger, '1', 'failed', NOW, { alert: alertOf('k') });
    ledger.apply('reset', { interface: 'Site-A' }, NOW, WALL);
    expect(ledger.attempt('k')).toMatchObject({ executed: 1, nextAtMs: NOW + MINUTE });
  });
});

describe('an idempotency key', () => {
  it('stands for its action and its body for a day', () => {
    const ledger = new Ledger(GUARDS);
    ledger.apply('intent', intentOf('1', { idempotency: { key: 'k', body: 'b' } }), NOW, WALL);
    expect(ledger.idempotent('k', NOW)).toMatchObject({ actionId: '1', body: 'b' });
    expect(ledger.idempotent('k', NOW + 24 * 60 * MINUTE)).toMatchObject({ actionId: '1' });
    expect(ledger.idempotent('k', NOW + 24 * 60 * MINUTE + 1)).toBeUndefined();
    expect(ledger.idempotent('other', NOW)).toBeUndefined();
  });
});

describe('what it does not know', () => {
  it.each([
    ['file', { kind: 'file' }],
    ['decision', intentOf('1')],
    ['intent', { ...intentOf('1'), action: 'format_disk' }],
    ['intent', { ...intentOf('1'), actionId: 1 }],
    ['intent', null],
    ['outcome', { ...outcomeOf('1'), state: 'acting' }],
    ['outcome', 'failed'],
    ['reset', {}],
  ])('it passes over: %s %j', (kind, line) => {
    const ledger = new Ledger(GUARDS);
    ledger.apply(kind, line, NOW, WALL);
    expect(ledger.actions()).toEqual([]);
    expect(ledger.guardState(NOW)).toEqual({ interfaces: new Map(), bucketTokens: 5, bucketAtMs: NOW });
  });

  it('of a line that it knows makes no difference, as a newer version may write more', () => {
    const ledger = new Ledger(GUARDS);
    ledger.apply('intent', { ...intentOf('1'), seq: 7, later: { added: true } }, NOW, WALL);
    ledger.apply('outcome', { ...outcomeOf('1'), later: 1 }, NOW, WALL);
    expect(ledger.action('1')).toMatchObject({ state: 'failed' });
  });
});

describe('A3 memory', () => {
  it('is bounded: the newest are kept, and neither executed nor refused ones push the other out', () => {
    const ledger = new Ledger(GUARDS);
    const total = 25_000;
    for (let n = 0; n < total; n += 1) {
      act(ledger, `e${n}`, 'failed', NOW, {
        alert: alertOf(`a${n}`),
        idempotency: { key: `k${n}`, body: '' },
        requestedAt: WALL + n,
      });
      ledger.note({ ...ledger.action(`e${n}`)!, id: `r${n}`, state: 'denied' });
    }
    expect(ledger.actions()).toHaveLength(1500);
    expect(ledger.action(`e${total - 1000}`)).toBeDefined();
    expect(ledger.action(`e${total - 1001}`)).toBeUndefined();
    expect(ledger.action(`r${total - 500}`)).toBeDefined();
    expect(ledger.action(`r${total - 501}`)).toBeUndefined();
    expect(ledger.attempt(`a${total - 20_000}`)).toBeDefined();
    expect(ledger.attempt(`a${total - 20_001}`)).toBeUndefined();
    expect(ledger.idempotent(`k${total - 10_000}`, NOW)).toBeDefined();
    expect(ledger.idempotent(`k${total - 10_001}`, NOW)).toBeUndefined();
  });

  it('of an alert that is acted on again and again is not pushed out by others', () => {
    const ledger = new Ledger(GUARDS);
    for (let n = 0; n < 30_000; n += 1) {
      act(ledger, `e${n}`, 'failed', NOW, { alert: alertOf(n % 1000 === 0 ? 'often' : `a${n}`) });
    }
    expect(ledger.attempt('often')!.executed).toBe(30);
  });
});

describe('property', () => {
  const step = fc.record({
    kind: fc.constantFrom('intent', 'succeeded', 'failed', 'unknown', 'reset'),
    action: fc.nat(12),
    site: fc.constantFrom('Site-A', 'Site-B'),
    alert: fc.option(fc.constantFrom('k1', 'k2', 'k3'), { nil: undefined }),
    key: fc.option(fc.constantFrom('i1', 'i2'), { nil: undefined }),
    afterMs: fc.nat(5 * MINUTE),
  });

  it('what is read from the log is what was known when it was written', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const live = new Ledger(GUARDS);
        const read = new Ledger(GUARDS);
        let atMs = NOW;
        const apply = (kind: string, line: object): void => {
          live.apply(kind, line, atMs, WALL);
          read.apply(kind, JSON.parse(JSON.stringify({ seq: 1, kind, ...line })), atMs, WALL);
        };
        for (const { kind, action, site, alert, key, afterMs } of steps) {
          atMs += afterMs;
          const id = String(action);
          if (kind === 'reset') apply('reset', { interface: site });
          else if (kind !== 'intent') apply('outcome', outcomeOf(id, kind));
          else if (!live.action(id)) {
            apply(
              'intent',
              intentOf(id, {
                target: { interface: site },
                ...(alert !== undefined && { alert: alertOf(alert) }),
                ...(key !== undefined && { idempotency: { key, body: id } }),
              }),
            );
          }
        }
        expect(read.actions()).toEqual(live.actions());
        expect(read.guardState(atMs)).toEqual(live.guardState(atMs));
        for (const key of ['k1', 'k2', 'k3']) expect(read.attempt(key)).toEqual(live.attempt(key));
        for (const key of ['i1', 'i2'])
          expect(read.idempotent(key, atMs)).toEqual(live.idempotent(key, atMs));
        const { bucketTokens } = live.guardState(atMs);
        expect(bucketTokens).toBeGreaterThanOrEqual(0);
        expect(bucketTokens).toBeLessThanOrEqual(GUARDS.rateBurst);
      }),
    );
  });
});
