/** Which connections are the same session, what a session is called, and when it began. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { FrameTime } from '../../src/collector/sessions.ts';
import { roleOf, SessionTable } from '../../src/collector/sessions.ts';
import type { ConnectionIdentity, PortsFrame } from '../../src/model/frames.ts';
import type { ConnectionTable } from '../../src/model/snapshot.ts';
import { INTERFACE_TYPES } from '../../src/model/words.ts';
import type { Row } from './frames.ts';
import { connectionsFrame, portsFrame } from './frames.ts';

const WALL = 1_795_219_200;
const hex16 = (value: number | bigint): string => value.toString(16).padStart(16, '0');
const ticks = (unixSeconds: number): string =>
  hex16(BigInt(Math.round((unixSeconds + 11_644_473_600) * 1000)) * 10_000n);

/** A table and the time of both clocks, `after(s)` seconds after the first frame. */
class Bench {
  table = new SessionTable({ userLimit: 0 });
  seconds = 0;
  wallOffset = 0;
  uncertaintySeconds = 0;

  get time(): FrameTime {
    return {
      monotonicMs: 5000 + this.seconds * 1000,
      wallSeconds: WALL + this.seconds + this.wallOffset,
      uncertaintySeconds: this.uncertaintySeconds,
      torn: false,
    };
  }

  see(rows: readonly Row[], ports?: PortsFrame): ConnectionTable {
    return this.table.update(connectionsFrame(rows), ports, this.time);
  }

  /** The id of the only session. */
  id(duration: number, identity?: Partial<ConnectionIdentity>): string {
    const { connections } = this.see([{ slot: 0, duration, ...(identity ? { identity } : {}) }]);
    expect(connections).toHaveLength(1);
    return connections[0]!.id;
  }
}

describe('the id of a session', () => {
  const identity = fc.record({
    handle: fc.nat(5).map(hex16),
    guid: fc.constantFrom('', 'aa'.repeat(16), 'bb'.repeat(16)),
    startTicks: fc.constantFrom('', ticks(WALL - 10), ticks(WALL - 500)),
  });

  it('is 16 hexadecimal digits, and no two sessions ever have the same', () => {
    fc.assert(
      fc.property(fc.array(fc.uniqueArray(identity, { selector: ({ handle }) => handle })), (frames) => {
        const bench = new Bench();
        const owner = new Map<string, string>();
        for (const frame of frames) {
          bench.seconds += 60;
          const { connections } = bench.see(
            frame.map((each, slot) => ({ slot, duration: 100 + bench.seconds, identity: each })),
          );
          expect(new Set(connections.map(({ id }) => id)).size).toBe(connections.length);
          for (const { id, identity: of } of connections) {
            expect(id).toMatch(/^[0-9a-f]{16}$/);
            // A start may come to be known while a session lives; its handle and guid stay.
            const key = `${of.handle} ${of.guid}`;
            expect(owner.get(id) ?? key).toBe(key);
            owner.set(id, key);
          }
        }
      }),
      { numRuns: 300 },
    );
  });

  it('is the same after a restart of the exporter, wherever the source gives a guid or a start', () => {
    fc.assert(
      fc.property(
        fc.uniqueArray(identity, { minLength: 1, selector: ({ handle }) => handle }),
        (identities) => {
          const rows = identities.map((each, slot) => ({ slot, duration: 100, identity: each }));
          const before = new Bench().see(rows).connections;
          const restarted = new Bench();
          restarted.seconds = 90;
          const again = restarted.see(
            rows.toReversed().map((row) => ({ ...row, duration: 190 })),
          ).connections;
          expect(again.map(({ id }) => id)).toEqual(before.map(({ id }) => id).toReversed());
        },
      ),
      { numRuns: 100 },
    );
  });

  it('is another for each handle, guid and start', () => {
    const ids = [
      { handle: hex16(1), guid: '', startTicks: '' },
      { handle: hex16(2), guid: '', startTicks: '' },
      { handle: hex16(1), guid: 'cc'.repeat(16), startTicks: '' },
      { handle: hex16(1), guid: '', startTicks: ticks(WALL - 9) },
      { handle: hex16(1), guid: '', startTicks: ticks(WALL - 5) },
    ].map((each) => new Bench().id(9, each));
    expect(new Set(ids).size).toBe(ids.length);
  });

  it('has nothing to do with who it is', () => {
    expect(new Bench().id(9, { user: 'ada' })).toBe(new Bench().id(9, { user: 'grace', domain: 'X' }));
  });
});

describe('the same session', () => {
  it('keeps its id and its object while nothing changes', () => {
    const bench = new Bench();
    const [first] = bench.see([
      { slot: 0, duration: 10, identity: { startTicks: ticks(WALL - 10) } },
    ]).connections;
    bench.seconds = 15;
    expect(bench.see([{ slot: 0, duration: 25 }]).connections[0]).toBe(first);
  });

  it('keeps its id when it roams, with the new address in a new object', () => {
    for (const facts of [{}, { guid: 'ab'.repeat(16) }, { startTicks: ticks(WALL - 10) }]) {
      const bench = new Bench();
      const [first] = bench.see([{ slot: 0, duration: 10, identity: facts }]).connections;
      bench.seconds = 15;
      const moved = { ...facts, remoteAddress: '198.51.100.9' };
      const [second] = bench.see([{ slot: 0, duration: 25, identity: moved }]).connections;
      expect(second!.id).toBe(first!.id);
      expect(second!.identity.remoteAddress).toBe('198.51.100.9');
      expect(second!.startTimeSeconds).toBe(first!.startTimeSeconds);
      expect(first!.identity.remoteAddress).toBe('203.0.113.5');
    }
  });

  it('keeps its id when level 4 gives way to EnumEx and comes back', () => {
    const bench = new Bench();
    const guid = 'ab'.repeat(16);
    const start = bench.id(100, { guid, startTicks: ticks(WALL - 100) });
    bench.seconds = 15;
    expect(bench.id(115, { guid })).toBe(start);
    bench.seconds = 30;
    expect(bench.id(130, { guid, startTicks: ticks(WALL - 100) })).toBe(start);
  });

  it('keeps its id over any renumbering of slots, as a restarted host makes it', () => {
    const step = fc.record({
      live: fc.subarray(range(8), { minLength: 0 }),
      order: fc.shuffledSubarray(range(12), { minLength: 8, maxLength: 8 }),
      restart: fc.boolean(),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 20 }), (steps) => {
        const bench = new Bench();
        let slots = new Map<number, number>();
        /** Id of each session while it lives. */
        let ids = new Map<number, string>();
        for (const { live, order, restart } of steps) {
          bench.seconds += 15;
          const before = restart ? new Map<number, number>() : slots;
          const free = order.filter((slot) => ![...before.values()].includes(slot));
          const now = new Map(live.map((key) => [key, before.get(key) ?? free.shift()!]));
          const { connections } = bench.see(
            live.map((key) => ({
              slot: now.get(key)!,
              duration: 1000 + bench.seconds,
              // Only what the receiver cannot know yet.
              ...(before.has(key) ? {} : { identity: { handle: hex16(key), guid: hex16(key).repeat(2) } }),
            })),
          );
          expect(connections.map(({ identity }) => identity.handle)).toEqual(live.map(hex16));
          const next = new Map(live.map((key, row) => [key, connections[row]!.id]));
          for (const [key, id] of next) expect(id).toBe(ids.get(key) ?? id);
          ids = next;
          slots = now;
        }
      }),
      { numRuns: 500 },
    );
  });

  it('must have come with an identity: a row without one is a defect, and says so', () => {
    expect(() => new Bench().see([{ slot: 3, duration: 1 }])).toThrow(
      'a connection in slot 3 came without an identity',
    );
  });
});

describe('another session', () => {
  it('has another id when its handle is used again with another guid or start', () => {
    for (const [one, other] of [
      [{ guid: 'aa'.repeat(16) }, { guid: 'bb'.repeat(16) }],
      [{ startTicks: ticks(WALL - 10) }, { startTicks: ticks(WALL + 12) }],
    ] as const) {
      const bench = new Bench();
      const first = bench.id(10, one);
      bench.seconds = 15;
      expect(bench.id(3, other)).not.toBe(first);
    }
  });

  it('is a start that differs by more than rounding', () => {
    const bench = new Bench();
    const first = bench.id(10, { startTicks: ticks(WALL - 10) });
    expect(bench.id(10, { startTicks: ticks(WALL - 8.5) })).toBe(first);
    expect(bench.id(10, { startTicks: ticks(WALL - 5) })).not.toBe(first);
  });

  it('of EnumEx without a guid is a duration that shrinks', () => {
    const bench = new Bench();
    const first = bench.id(100, {});
    bench.seconds = 15;
    const second = bench.id(99);
    expect(second).not.toBe(first);
    bench.seconds = 30;
    expect(bench.id(114)).toBe(second);
  });

  it('of EnumEx without a guid is a duration that falls behind time', () => {
    for (const [duration, same] of [
      [115, true],
      [113, true],
      [112, false],
      [101, false],
    ] as const) {
      const bench = new Bench();
      const first = bench.id(100, {});
      bench.seconds = 15;
      expect([duration, bench.id(duration) === first]).toEqual([duration, same]);
    }
  });

  it('of EnumEx without a guid may lag by as much as the reading took', () => {
    const bench = new Bench();
    const first = bench.id(100, {});
    bench.seconds = 15;
    bench.uncertaintySeconds = 6;
    expect(bench.id(107)).toBe(first);
    bench.seconds = 30;
    expect(bench.id(113)).not.toBe(first);
  });

  it('of EnumEx with a guid is a duration that shrinks, and none that lags', () => {
    const bench = new Bench();
    const first = bench.id(100, { guid: 'aa'.repeat(16) });
    bench.seconds = 60;
    expect(bench.id(101)).toBe(first);
    bench.seconds = 75;
    expect(bench.id(20)).not.toBe(first);
  });

  it('of level 4 is no matter of duration', () => {
    const bench = new Bench();
    const first = bench.id(100, { startTicks: ticks(WALL - 100) });
    bench.seconds = 60;
    expect(bench.id(50)).toBe(first);
  });

  it('begins without what the one before it had: port and start', () => {
    const bench = new Bench();
    const ppp = { tunnel: 'unknown', encryption: 'none' } as const;
    const port = portsFrame([{ tunnel: 'sstp', slot: 0 }]);
    expect(bench.see([{ slot: 0, duration: 100, identity: ppp }], port).connections[0]!.tunnel).toBe('sstp');
    bench.seconds = 15;
    const [next] = bench.see([{ slot: 0, duration: 3 }]).connections;
    expect(next).toMatchObject({ tunnel: 'unknown', startTimeSeconds: WALL + 12 });
  });

  it('is no session that a stop of the service only hid', () => {
    const bench = new Bench();
    const first = bench.id(100, {});
    expect(bench.table.clear()).toMatchObject({ connections: [] });
    bench.seconds = 15;
    expect(() => bench.see([{ slot: 0, duration: 115 }])).toThrow('without an identity');
    expect(bench.id(115, {})).toBe(first);
  });
});

describe('the start of a session', () => {
  it('is that of level 4 to the millisecond, whatever duration and wall clock say', () => {
    const bench = new Bench();
    const start = WALL - 1000.123;
    const rows = (duration: number, identity?: Partial<ConnectionIdentity>) =>
      bench.see([{ slot: 0, duration, ...(identity ? { identity } : {}) }]);
    const table = rows(990, { startTicks: ticks(start) });
    expect(table.startTimeSeconds[0]).toBeCloseTo(start, 3);
    expect(table.connections[0]!.startTimeSeconds).toBeCloseTo(start, 3);
    bench.wallOffset = 86_400;
    expect(rows(1000).startTimeSeconds[0]).toBeCloseTo(start, 3);
  });

  it('that is computed keeps its value within 2 seconds, and moves beyond', () => {
    const bench = new Bench();
    const starts: number[] = [];
    for (const [seconds, duration] of [
      [0, 100],
      [15.9, 115],
      [30.2, 130],
      [45, 143],
      [60, 162],
      [75, 178],
    ] as const) {
      bench.seconds = seconds;
      const rows = [{ slot: 0, duration, ...(seconds === 0 ? { identity: { guid: 'aa'.repeat(16) } } : {}) }];
      const { startTimeSeconds, connections } = bench.see(rows);
      starts.push(startTimeSeconds[0]! - WALL);
      expect(connections[0]!.startTimeSeconds).toBe(startTimeSeconds[0]);
    }
    expect(starts).toEqual([-100, -100, -100, -100, -100, -103]);
  });

  it('C3 that is computed follows the wall clock, and the session stays the same', () => {
    for (const jump of [86_400, -86_400]) {
      const bench = new Bench();
      const first = bench.see([{ slot: 0, duration: 100, identity: {} }]).connections[0]!;
      bench.seconds = 15;
      bench.wallOffset = jump;
      const after = bench.see([{ slot: 0, duration: 115 }]);
      expect(after.connections[0]!.id).toBe(first.id);
      expect(after.startTimeSeconds[0]).toBe(WALL - 100 + jump);
    }
  });
});

describe('the tunnel', () => {
  const ppp = { tunnel: 'unknown', encryption: 'none' } as const;

  it('is joined from the port that the connection holds, where its own record cannot tell', () => {
    const bench = new Bench();
    const ports = portsFrame([{ tunnel: 'l2tp' }, { tunnel: 'pptp', slot: 1 }, { tunnel: 'l2tp', slot: 0 }]);
    const rows = [0, 1, 2].map((slot) => ({ slot, duration: 9, identity: { ...ppp, handle: hex16(slot) } }));
    expect(bench.see(rows, ports).connections.map(({ tunnel }) => tunnel)).toEqual([
      'l2tp',
      'pptp',
      'unknown',
    ]);
    // Ports that could not be read once take nothing away.
    const later = rows.map(({ slot }) => ({ slot, duration: 9 }));
    expect(bench.see(later).connections.map(({ tunnel }) => tunnel)).toEqual(['l2tp', 'pptp', 'unknown']);
    const third = bench.see(later, portsFrame([{ tunnel: 'sstp', slot: 2 }]));
    expect(third.connections.map(({ tunnel }) => tunnel)).toEqual(['l2tp', 'pptp', 'sstp']);
  });

  it('of the record goes before that of the port', () => {
    const rows = [{ slot: 0, duration: 9, identity: { tunnel: 'ikev2' as const } }];
    expect(new Bench().see(rows, portsFrame([{ tunnel: 'sstp', slot: 0 }])).connections[0]!.tunnel).toBe(
      'ikev2',
    );
  });

  it('sstp is never shown as unencrypted: TLS below PPP is not in the record', () => {
    const encryptions = (identity: Partial<ConnectionIdentity>, ports?: PortsFrame) =>
      new Bench().see([{ slot: 0, duration: 9, identity }], ports).connections[0]!.identity.encryption;
    expect(encryptions({ tunnel: 'sstp', encryption: 'none' })).toBe('unknown');
    expect(encryptions(ppp, portsFrame([{ tunnel: 'sstp', slot: 0 }]))).toBe('unknown');
    expect(encryptions({ tunnel: 'sstp', encryption: 'mppe128' })).toBe('mppe128');
    expect(encryptions({ tunnel: 'pptp', encryption: 'none' })).toBe('none');
    expect(encryptions(ppp, portsFrame([{ tunnel: 'pptp', slot: 0 }]))).toBe('none');
  });
});

describe('the rest of a row', () => {
  it('has the role of its interface', () => {
    expect(INTERFACE_TYPES.map(roleOf)).toEqual([
      'client',
      'site',
      'site',
      'other',
      'other',
      'other',
      'other',
      'other',
    ]);
    expect(roleOf('unknown')).toBe('other');
  });

  it('is dormant by its flag alone, and has the columns of the frame', () => {
    const rows = [0x31, 0x11, 0x20, 0].map((flags, slot) => ({
      slot,
      duration: 9,
      flags,
      receivedBytes: 1000 + slot,
      identity: { handle: hex16(slot) },
    }));
    const table = new Bench().see(rows);
    expect([...(table.dormant as Uint8Array)]).toEqual([1, 0, 1, 0]);
    expect([...(table.counters.receivedBytes as Float64Array)]).toEqual([1000, 1001, 1002, 1003]);
  });
});

function range(length: number): number[] {
  return Array.from({ length }, (_, i) => i);
}
