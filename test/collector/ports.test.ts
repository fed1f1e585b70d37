/** Ports by tunnel and condition, and the calls that they served since the exporter started. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { PortTable } from '../../src/collector/ports.ts';
import type { PortsFrame } from '../../src/model/frames.ts';
import { NO_SLOT } from '../../src/model/frames.ts';
import type { Tunnel } from '../../src/model/words.ts';
import { PORT_CONDITIONS, TUNNELS } from '../../src/model/words.ts';

interface Port {
  readonly port: number;
  readonly calls: number;
  readonly tunnel?: Tunnel;
  readonly held?: boolean;
  readonly condition?: number;
}

const frameOf = (ports: readonly Port[]): PortsFrame => ({
  source: 'ports',
  count: ports.length,
  port: Uint32Array.from(ports, ({ port }) => port),
  tunnel: Uint8Array.from(ports, ({ tunnel }) => TUNNELS.indexOf(tunnel ?? 'ikev2')),
  condition: Uint8Array.from(ports, ({ condition }) => condition ?? PORT_CONDITIONS.indexOf('listening')),
  calls: Uint32Array.from(ports, ({ calls }) => calls),
  held: Uint8Array.from(ports, ({ held }) => (held ? 1 : 0)),
  slot: new Uint32Array(ports.length).fill(NO_SLOT),
});

/** Looks at the given calls of ports 1, 2, ... one frame after the other ('stopped': the verdict); a null is no port. */
function callsAfter(...looks: readonly ('stopped' | readonly (number | null)[])[]): number {
  const table = new PortTable();
  let counts;
  for (const look of looks) {
    counts =
      look === 'stopped'
        ? table.stopped(counts)
        : table.update(frameOf(look.flatMap((calls, i) => (calls === null ? [] : [{ port: i + 1, calls }]))));
  }
  return counts?.calls.get('ikev2') ?? 0;
}

describe('calls of ports', () => {
  test.each<[what: string, looks: readonly ('stopped' | readonly (number | null)[])[], calls: number]>([
    ['from before the exporter do not count', [[500, 7]], 0],
    [
      'afterwards do',
      [
        [500, 7],
        [503, 7],
        [504, 9],
      ],
      6,
    ],
    ['of a port that is new count in full', [[500], [500, 4]], 4],
    ['pass 2^32', [[4_294_967_294], [3]], 5],
    [
      'begin anew with the service, also if its stop was not seen',
      [
        [500, 300],
        [2, 1],
      ],
      3,
    ],
    ['begin anew after a stop', [[500, 1], 'stopped', [2, 1]], 3],
    ['begin anew after a stop, on ports that had few before as well', [[500, 1], 'stopped', [2, 3]], 5],
    ['after a stop that lasted', [[500, 1], 'stopped', 'stopped', 'stopped', [2, 1], [3, 1]], 4],
    ['are not counted again after a stop that was none', [[500, 7], [501, 7], 'stopped', [502, 7]], 2],
    ['go on after a stop that was none', [[500], 'stopped', [501], [503]], 3],
    ['of a service that was down at the start count in full', ['stopped', [3, 1]], 4],
    [
      'are not counted again when a page border hid the port once',
      [
        [500, 7],
        [500, null],
        [501, 9],
      ],
      3,
    ],
    [
      'of a port that was taken away for good are kept',
      [
        [5, 5],
        [8, 5],
        [null, 6],
        [null, 7],
        [null, 7],
      ],
      5,
    ],
  ])('%s', (_, looks, calls) => {
    expect(callsAfter(...looks)).toBe(calls);
  });

  test('never fall, and are exact while ports only serve, over misses and stops that were none', () => {
    const look = fc.record({
      more: fc.array(fc.nat(4), { minLength: 5, maxLength: 5 }),
      hidden: fc.option(fc.nat(4)),
      stopped: fc.boolean(),
    });
    fc.assert(
      fc.property(fc.array(fc.nat(1000), { minLength: 5, maxLength: 5 }), fc.array(look), (start, looks) => {
        const table = new PortTable();
        const calls = [...start];
        const all = (): Port[] => calls.map((each, i) => ({ port: i, calls: each }));
        let counts = table.update(frameOf(all()));
        let last = 0;
        let hiddenLast: number | null = null;
        for (const { more, hidden, stopped } of looks) {
          more.forEach((by, i) => (calls[i]! += by));
          if (stopped) counts = table.stopped(counts);
          else {
            // A miss lasts one poll.
            const miss: number | null = hidden === hiddenLast ? null : hidden;
            counts = table.update(frameOf(all().filter(({ port }) => port !== miss)));
            hiddenLast = miss;
          }
          expect(counts.calls.get('ikev2')!).toBeGreaterThanOrEqual(last);
          last = counts.calls.get('ikev2')!;
        }
        const served = calls.reduce((sum, each, i) => sum + each - start[i]!, 0);
        table.update(frameOf(all()));
        expect(table.update(frameOf(all())).calls.get('ikev2')).toBe(served);
      }),
      { numRuns: 500 },
    );
  });

  test('are kept by tunnel', () => {
    const table = new PortTable();
    const look = (a: number, b: number): ReadonlyMap<Tunnel, number> =>
      table.update(
        frameOf([
          { port: 1, calls: a, tunnel: 'sstp' },
          { port: 2, calls: b, tunnel: 'l2tp' },
        ]),
      ).calls;
    look(1, 1);
    expect(look(4, 2)).toEqual(
      new Map([
        ['sstp', 3],
        ['l2tp', 1],
      ]),
    );
    // A copy: what was said stays as it was.
    const before = look(5, 2);
    look(9, 9);
    expect(before.get('sstp')).toBe(4);
  });
});

describe('ports', () => {
  test('are counted by tunnel and condition, and those in use by who holds them', () => {
    const counts = new PortTable().update(
      frameOf([
        { port: 1, calls: 0 },
        { port: 2, calls: 0, condition: 5, held: true },
        { port: 3, calls: 0, condition: 5, held: true, tunnel: 'sstp' },
        { port: 4, calls: 0, condition: 200, tunnel: 'sstp' },
      ]),
    );
    expect(counts.byCondition).toEqual(
      new Map([
        ['ikev2', [0, 0, 0, 1, 0, 1, 0]],
        ['sstp', [0, 0, 0, 0, 0, 1, 0]],
      ]),
    );
    expect(counts.inUse).toEqual(
      new Map([
        ['ikev2', 1],
        ['sstp', 1],
      ]),
    );
  });

  test('of a stopped service are those of the same tunnels, none of them there', () => {
    const table = new PortTable();
    const last = table.update(frameOf([{ port: 1, calls: 3, held: true }]));
    expect(table.stopped(last)).toEqual({
      byCondition: new Map([['ikev2', [0, 0, 0, 0, 0, 0, 0]]]),
      inUse: new Map([['ikev2', 0]]),
      calls: new Map([['ikev2', 0]]),
    });
    expect([...new PortTable().stopped(undefined).inUse.values()].every((count) => count === 0)).toBe(true);
  });
});
