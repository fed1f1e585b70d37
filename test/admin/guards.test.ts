/** The guards as a table: what is asked, what is known, and what is decided. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { globMatches } from '../../src/admin/globs.ts';
import type { GuardRequest, GuardState, InterfaceFacts } from '../../src/admin/guards.ts';
import { cooldownAfter, judge, tokensAt } from '../../src/admin/guards.ts';
import type { GuardPolicy } from '../../src/model/admin.ts';

const POLICY: GuardPolicy = {
  allow: ['Site-*'],
  deny: ['Site-Secret*'],
  endpointNetworks: ['198.51.100.0/24', '2001:db8::/32'],
  cooldownMs: 60_000,
  cooldownMaxMs: 900_000,
  rateBurst: 2,
  ratePerMs: 600_000,
  maxConcurrent: 2,
  maxUnreachableShare: 0.5,
  minHealthyFrom: 4,
  breakerFailures: 3,
  attemptTimeoutMs: 60_000,
  dryRun: false,
};
const REQUEST: GuardRequest = {
  action: 'reconnect',
  interfaceName: 'Site-Berlin',
  targetKey: 'Site-Berlin',
  addresses: [],
  override: [],
  dryRun: false,
};
const STATE: GuardState = {
  paused: false,
  interfaces: new Map(),
  busy: new Set(),
  bucketTokens: 2,
  bucketAtMs: 0,
};
const memory = (cooldownUntilMs: number, failures = 0, breakerOpen = false): GuardState => ({
  ...STATE,
  interfaces: new Map([['Site-Berlin', { cooldownUntilMs, failures, breakerOpen }]]),
});
const interfaces = (states: readonly InterfaceFacts['state'][], enabled = true): InterfaceFacts[] =>
  states.map((state, i) => ({ name: `Site-${i}`, enabled, state }));

const NOW = 1_000_000;
const decide = (
  request: Partial<GuardRequest> = {},
  state: Partial<GuardState> = {},
  links: readonly InterfaceFacts[] = [],
  policy: Partial<GuardPolicy> = {},
) => judge({ ...REQUEST, ...request }, links, { ...STATE, ...state }, { ...POLICY, ...policy }, NOW);

describe('the lists', () => {
  it.each([
    ['Site-Berlin', 'execute'],
    ['site-berlin', 'execute'],
    ['Branch', 'denied'],
    ['Site-Secret-1', 'denied'],
    ['', 'denied'],
    ['Site', 'denied'],
  ])('of %j say %s', (interfaceName, decision) => {
    expect(decide({ interfaceName }).decision).toBe(decision);
  });

  it('come before all else, so that nobody learns the state of what is not theirs', () => {
    const everything = { paused: true, busy: new Set(['Branch']), bucketTokens: 0 };
    expect(decide({ interfaceName: 'Branch' }, everything).decision).toBe('denied');
  });

  it.each([
    [['198.51.100.7'], 'execute'],
    [['198.51.100.7', '2001:db8::1'], 'execute'],
    [['198.51.101.7'], 'denied'],
    [['198.51.100.7', '203.0.113.9'], 'denied'],
    [['\\\\evil'], 'denied'],
    [[''], 'denied'],
    [['::ffff:198.51.100.7'], 'denied'],
  ])('of networks say of %j: %s', (addresses, decision) => {
    expect(decide({ action: 'update_endpoint', interfaceName: undefined, addresses }).decision).toBe(
      decision,
    );
  });
});

describe('a glob', () => {
  it('matches as text, but for * and ?', () => {
    fc.assert(
      fc.property(fc.string(), (name) => {
        expect(globMatches(name.replace(/[*?]/g, '_'), name.replace(/[*?]/g, '_'))).toBe(true);
        expect(globMatches('*', name)).toBe(true);
      }),
    );
    const started = performance.now();
    expect(globMatches('*-*-*-*-*-*x', '-'.repeat(256))).toBe(false);
    expect(globMatches('*-*-*-*-*-*x', '-'.repeat(100_000))).toBe(false);
    expect(performance.now() - started).toBeLessThan(100);
    expect(globMatches('Site-*-b*d', 'Site-a-bc-bd')).toBe(true);
    expect(globMatches('*ab', 'aab')).toBe(true);
    expect(globMatches('', '')).toBe(true);
    expect(globMatches('**', '')).toBe(true);
    expect(globMatches('Site-?', 'Site-1')).toBe(true);
    expect(globMatches('Site-?', 'Site-12')).toBe(false);
    expect(globMatches('a.c', 'abc')).toBe(false);
    expect(globMatches('(a+)+$', 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!')).toBe(false);
  });
});

describe('state', () => {
  it('paused refuses', () => expect(decide({}, { paused: true }).decision).toBe('paused'));
  it('one action per interface', () => {
    expect(decide({}, { busy: new Set(['Site-Berlin']) }).decision).toBe('busy');
    expect(decide({}, { busy: new Set(['Site-Paris']) }).decision).toBe('execute');
  });
  it('a bound over all', () => expect(decide({}, { busy: new Set(['A', 'B']) }).decision).toBe('busy'));
  it('no override passes pause, busy and the lists', () => {
    const override = ['cooldown', 'breaker', 'min_healthy'] as const;
    expect(decide({ override }, { paused: true }).decision).toBe('paused');
    expect(decide({ override }, { busy: new Set(['Site-Berlin']) }).decision).toBe('busy');
    expect(decide({ override, interfaceName: 'Branch' }).decision).toBe('denied');
  });
  it('a cool-down refuses until it is over, and says for how long', () => {
    expect(decide({}, memory(NOW + 30_500))).toMatchObject({ decision: 'cooldown', retryAfterSeconds: 31 });
    expect(decide({}, memory(NOW)).decision).toBe('execute');
    expect(decide({ override: ['cooldown'] }, memory(NOW + 1)).decision).toBe('execute');
  });
  it('an open breaker refuses for good', () => {
    const open = memory(-Infinity, 3, true);
    expect(decide({}, open)).toMatchObject({
      decision: 'breaker',
      reason: expect.stringContaining('a person is needed') as string,
    });
    expect(decide({ override: ['cooldown'] }, open).decision).toBe('breaker');
    expect(decide({ override: ['breaker'] }, open).decision).toBe('execute');
  });
  it('dry run is what would run, by the policy or by the rule', () => {
    expect(decide({}, {}, [], { dryRun: true }).decision).toBe('dry_run');
    expect(decide({ dryRun: false }, {}, [], { dryRun: true }).decision).toBe('dry_run');
    expect(decide({ dryRun: true }).decision).toBe('dry_run');
  });
});

describe('min healthy', () => {
  it.each([
    [['unreachable', 'unreachable', 'unreachable'], 'execute'],
    [['unreachable', 'unreachable', 'connected', 'connected'], 'execute'],
    [['unreachable', 'unreachable', 'unreachable', 'connected'], 'min_healthy'],
    [['unreachable', 'disconnected', 'connecting', 'unknown'], 'execute'],
  ] as const)('of %j says %s', (states, decision) => {
    expect(decide({}, {}, interfaces(states)).decision).toBe(decision);
  });
  it('counts enabled interfaces only, and can be passed', () => {
    const down = interfaces(['unreachable', 'unreachable', 'unreachable', 'unreachable']);
    expect(
      decide({}, {}, [...down, ...interfaces(Array<'connected'>(9).fill('connected'), false)]).decision,
    ).toBe('min_healthy');
    expect(decide({ override: ['min_healthy'] }, {}, down).decision).toBe('execute');
  });
});

describe('the bucket', () => {
  it('refuses when it is empty, and says when there is a token again', () => {
    expect(decide({}, { bucketTokens: 0, bucketAtMs: NOW })).toMatchObject({
      decision: 'rate',
      retryAfterSeconds: 300,
    });
    expect(decide({}, { bucketTokens: 0, bucketAtMs: NOW - 300_000 }).decision).toBe('execute');
  });
  it('never holds more than the burst, and never loses by a clock that stands', () => {
    fc.assert(
      fc.property(
        fc.double({ min: 0, max: 2, noNaN: true }),
        fc.integer({ min: 0, max: 1e9 }),
        (bucketTokens, elapsed) => {
          const tokens = tokensAt({ ...STATE, bucketTokens, bucketAtMs: 0 }, POLICY, elapsed);
          expect(tokens).toBeGreaterThanOrEqual(bucketTokens);
          expect(tokens).toBeLessThanOrEqual(2);
        },
      ),
    );
  });
});

it('a cool-down doubles with each failure in a row, up to the longest', () => {
  expect([0, 1, 2, 3, 4, 5, 60].map((failures) => cooldownAfter(failures, 60_000, POLICY))).toEqual([
    60_000, 60_000, 120_000, 240_000, 480_000, 900_000, 900_000,
  ]);
});
