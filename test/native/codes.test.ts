/** Every code that the facts list: its name and how to act on it. */
import { describe, expect, it } from 'vitest';
import type { ActName, ActOutcome } from '../../src/model/actions.ts';
import { ACT_OUTCOMES } from '../../src/model/actions.ts';
import type { FailureKind } from '../../src/model/frames.ts';
import {
  actAdvice,
  adviceFor,
  describeCode,
  isStale,
  kindOfCode,
  nameOfCode,
  outcomeOfCode,
  saysServiceDown,
} from '../../src/native/codes.ts';

/** mprapi-facts 6.2 to 6.7. */
const KINDS: Readonly<Partial<Record<FailureKind, readonly number[]>>> = {
  permission: [5, 65, 1314, 1326, 1747, 1825],
  service_down: [900, 903, 928, 956, 834, 827, 711, 1053, 1058, 1060, 1062, 1717, 1722, 1753, 2],
  retryable: [
    8, 14, 21, 53, 64, 67, 109, 231, 233, 1237, 1460, 614, 664, 1723, 1726, 1727, 1728, 1818, 1820, 1115,
    1225, 1231, 1232, 1450, 258, 638,
  ],
  busy: [170, 901, 908, 910, 911, 907, 616, 617, 756, 838, 997],
  gone: [905, 906, 929, 601, 606, 615, 618, 619, 608, 668, 754, 837, 6, 1168, 259, 623, 317],
  unsupported: [
    87, 124, 50, 127, 120, 122, 603, 632, 902, 1305, 1306, 1210, 1700, 1702, 1707, 1745, 1733, 1780, 1783,
    1829, 1764, 1775, 1777, 126, 839, 843, 844,
  ],
};
const ROWS = Object.entries(KINDS).flatMap(([kind, codes]) => codes.map((code) => ({ kind, code })));
/** mprapi-facts 5.11. */
const STALE = [1702, 1717, 1722, 1723, 1726, 1727, 1753, 900, 903, 956, 6, 1062];

describe('a code', () => {
  it('stands in one list only, and has a name', () => {
    expect(new Set(ROWS.map(({ code }) => code)).size).toBe(ROWS.length);
    for (const { code } of ROWS) expect(nameOfCode(code)).toMatch(/^[A-Z][A-Z0-9_]+$/);
  });

  it.each(ROWS)('$code is $kind', ({ code, kind }) => {
    expect(kindOfCode(code)).toBe(kind);
  });

  it('in no list is one to try again later', () => {
    for (const code of [1, 4711, 0x8007_0005, 0xffff_ffff]) expect(kindOfCode(code)).toBe('retryable');
  });

  it('is written with its name, and as a bare number without one', () => {
    expect(describeCode(5)).toBe('ERROR_ACCESS_DENIED (5)');
    expect(describeCode(1722)).toBe('RPC_S_SERVER_UNAVAILABLE (1722)');
    expect(describeCode(956)).toBe('ERROR_REMOTEACCESS_NOT_CONFIGURED (956)');
    expect(describeCode(4711)).toBe('code 4711');
    expect(nameOfCode(4711)).toBeUndefined();
  });

  it('of a dial that failed has a name, for people', () => {
    for (const [code, name] of [
      [691, 'ERROR_AUTHENTICATION_FAILURE'],
      [789, 'ERROR_OAKLEY_GENERAL_PROCESSING'],
      [809, 'ERROR_VPN_TIMEOUT'],
      [812, 'ERROR_SERVER_POLICY'],
      [868, 'ERROR_DNSNAME_NOT_RESOLVABLE'],
      [913, 'ERROR_NOT_CLIENT_PORT'],
      [944, 'ERROR_DIALOUT_HOURS_RESTRICTION'],
    ] as const) {
      expect(nameOfCode(code)).toBe(name);
    }
    const between = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => from + i);
    const unnamed = [...between(600, 878), ...between(900, 956)].filter(
      (code) => nameOfCode(code) === undefined,
    );
    expect(unnamed).toEqual([947]);
    const names = [...between(0, 4000)].map(nameOfCode).filter((name) => name !== undefined);
    expect(new Set(names).size).toBe(names.length);
  });
});

describe('a stale handle', () => {
  it('is what the twelve codes say, and no other', () => {
    for (let code = 0; code < 4000; code += 1)
      expect([code, isStale(code)]).toEqual([code, STALE.includes(code)]);
  });
});

describe('a service that does not run', () => {
  it('is what its codes say of the local machine', () => {
    for (const { code, kind } of ROWS) {
      expect([code, saysServiceDown(code, false)]).toEqual([code, kind === 'service_down']);
    }
    expect(saysServiceDown(0, false)).toBe(false);
  });

  it('is not what silence says of a remote one', () => {
    for (const code of [1722, 1753]) expect(saysServiceDown(code, true)).toBe(false);
    for (const code of [900, 903, 956, 1062, 1717]) expect(saysServiceDown(code, true)).toBe(true);
  });
});

describe('advice', () => {
  it('says something of its own for every kind', () => {
    const kinds = [...(Object.keys(KINDS) as FailureKind[]), 'protocol', 'host', 'internal'] as const;
    const advice = kinds.map(adviceFor);
    expect(new Set(advice).size).toBe(kinds.length);
    for (const each of advice) expect(each).toMatch(/\w{3}.*[^.]$/);
  });
});

describe('an outcome', () => {
  /** What the vendor's pages name for each call (mprapi-facts 1.3, 1.4, 5.13), and RPC's own codes. */
  const DOCUMENTED: readonly (readonly [ActName, readonly (readonly [number, ActOutcome])[]])[] = [
    [
      'connect',
      [
        [0, 'done'],
        [600, 'in_progress'],
        [5, 'refused'],
        [6, 'gone'],
        [901, 'already_connected'],
        [903, 'retryable'],
        [905, 'gone'],
        [908, 'already_connected'],
        [910, 'already_connecting'],
        [916, 'refused'],
        [925, 'refused'],
        [928, 'retryable'],
      ],
    ],
    [
      'disconnect',
      [
        [0, 'done'],
        [600, 'in_progress'],
        [617, 'in_progress'],
        [5, 'refused'],
        [6, 'gone'],
        [903, 'retryable'],
        [905, 'gone'],
        [906, 'already_disconnected'],
      ],
    ],
    [
      'update_endpoint',
      [
        [0, 'in_progress'],
        [5, 'refused'],
        [6, 'gone'],
        [87, 'our_error'],
        [837, 'gone'],
        [838, 'busy'],
        [839, 'refused'],
        [843, 'refused'],
        [844, 'refused'],
        [906, 'gone'],
      ],
    ],
    [
      'hang_up',
      [
        [0, 'done'],
        [5, 'refused'],
        [87, 'our_error'],
        [601, 'gone'],
        [606, 'gone'],
        [903, 'retryable'],
      ],
    ],
  ];
  const RPC: readonly (readonly [number, ActOutcome])[] = [
    [1702, 'retryable'],
    [1722, 'retryable'],
    [1723, 'retryable'],
    [1753, 'retryable'],
    [1726, 'unknown'],
    [1727, 'retryable'],
    [1728, 'unknown'],
    [1818, 'unknown'],
    [1820, 'unknown'],
    [64, 'unknown'],
    [1460, 'unknown'],
    [127, 'refused'],
    [1745, 'refused'],
  ];

  it.each(
    DOCUMENTED.flatMap(([action, rows]) =>
      [...rows, ...RPC].map(([code, outcome]) => ({ action, code, outcome })),
    ),
  )('of $action with $code is $outcome', ({ action, code, outcome }) => {
    expect(outcomeOfCode(action, code)).toBe(outcome);
  });

  it('of a code that nobody knows is a failure, which is not repeated', () => {
    for (const [action] of DOCUMENTED) {
      for (const code of [1, 691, 809, 4711, 0x8007_0005]) expect(outcomeOfCode(action, code)).toBe('failed');
    }
  });

  it('of every code that has a kind is settled, and no transport code that may have executed is repeatable', () => {
    for (const { code } of ROWS) {
      if (code === 126 || code === 317) continue; // of loading the DLL and of its texts: no action gives them
      expect(outcomeOfCode('connect', code), describeCode(code)).not.toBe('failed');
    }
    for (const code of STALE.filter((each) => each !== 1726)) {
      expect(['retryable', 'gone']).toContain(outcomeOfCode('connect', code));
    }
  });

  it('has advice that says whether something was done', () => {
    for (const outcome of ACT_OUTCOMES) expect(actAdvice(outcome, 'retryable')).toMatch(/\w{4}/);
    expect(actAdvice('unknown', 'service_down')).toContain('look before asking again');
    expect(actAdvice('refused', 'permission')).toContain('Administrators');
    expect(actAdvice('retryable', 'service_down')).toContain('RemoteAccess');
  });
});
