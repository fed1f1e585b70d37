/** Interfaces over time: what is counted as a change, as a failed dial, and what outlives a stop. */
import { describe, expect, it } from 'vitest';
import { InterfaceTable } from '../../src/collector/interfaces.ts';
import type { InterfaceStatus } from '../../src/model/snapshot.ts';
import type { InterfaceState } from '../../src/model/words.ts';
import { interfacesFrame } from './frames.ts';

function follow(steps: readonly (readonly [state: InterfaceState, lastError: number])[]): InterfaceStatus {
  const table = new InterfaceTable();
  let last: InterfaceStatus | undefined;
  steps.forEach(([state, lastError], i) => {
    [last] = table.update(interfacesFrame({ state, lastError }), 1000 + i);
  });
  return last!;
}

describe('a change of state', () => {
  it('is none at first sight, and has the time of the frame that showed it', () => {
    expect(follow([['connected', 0]])).toMatchObject({ stateChanges: 0, stateChangeSeconds: undefined });
    expect(
      follow([
        ['connected', 0],
        ['disconnected', 0],
        ['disconnected', 0],
        ['connecting', 0],
        ['connecting', 0],
      ]),
    ).toMatchObject({ stateChanges: 2, stateChangeSeconds: 1003, dialFailures: 0 });
  });
});

describe('a dial failure', () => {
  it.each<[string, readonly (readonly [InterfaceState, number])[], number]>([
    [
      'connecting to unreachable with an error',
      [
        ['connecting', 0],
        ['unreachable', 809],
      ],
      1,
    ],
    [
      'connecting to disconnected with an error',
      [
        ['connecting', 0],
        ['disconnected', 691],
      ],
      1,
    ],
    [
      'connecting to connected, with an old error',
      [
        ['connecting', 809],
        ['connected', 809],
      ],
      0,
    ],
    [
      'connecting to disconnected without an error',
      [
        ['connecting', 0],
        ['disconnected', 0],
      ],
      0,
    ],
    [
      'an end of a link that was up',
      [
        ['connected', 0],
        ['unreachable', 829],
      ],
      0,
    ],
    [
      'a state that stays',
      [
        ['unreachable', 809],
        ['unreachable', 868],
      ],
      0,
    ],
    [
      'each of three dials',
      [
        ['connecting', 0],
        ['unreachable', 809],
        ['connecting', 809],
        ['unreachable', 809],
        ['connecting', 809],
        ['disconnected', 809],
      ],
      3,
    ],
  ])('%s', (_what, steps, failures) => {
    expect(follow(steps).dialFailures).toBe(failures);
  });
});

describe('persistence', () => {
  it('is an idle time-out of never, and unknown where there is none to read', () => {
    const persistent = (idleDisconnectSeconds: number | null) =>
      new InterfaceTable().update(interfacesFrame({ idleDisconnectSeconds }), 1)[0]!.persistent;
    expect([0xffff_ffff, 300, 0, null].map(persistent)).toEqual([true, false, false, undefined]);
  });
});

describe('an interface', () => {
  it('is known by its name: its history survives a new handle', () => {
    const table = new InterfaceTable();
    table.update(interfacesFrame({ handle: '1', state: 'connected' }), 10);
    table.update(interfacesFrame({ handle: '1', state: 'disconnected' }), 20);
    expect(table.update(interfacesFrame({ handle: '9', state: 'connected' }), 30)).toMatchObject([
      { handle: '9', stateChanges: 2, stateChangeSeconds: 30 },
    ]);
  });

  it('that an enumeration lacks is gone, and its counters go on when it comes back, for they must not fall', () => {
    const table = new InterfaceTable();
    table.update(interfacesFrame({ name: 'A' }, { name: 'B' }), 10);
    table.update(interfacesFrame({ name: 'A', state: 'disconnected' }, { name: 'B' }), 20);
    expect(table.update(interfacesFrame({ name: 'B' }), 30).map(({ name }) => name)).toEqual(['B']);
    expect(table.update(interfacesFrame({ name: 'A' }, { name: 'B' }), 40)[0]).toMatchObject({
      name: 'A',
      stateChanges: 2,
    });
  });

  it('stands in the order of the server', () => {
    const table = new InterfaceTable();
    table.update(interfacesFrame({ name: 'A' }, { name: 'B' }, { name: 'C' }), 10);
    const reordered = table.update(interfacesFrame({ name: 'C' }, { name: 'A' }, { name: 'B' }), 20);
    expect(reordered.map(({ name }) => name)).toEqual(['C', 'A', 'B']);
  });
});

describe('N5', () => {
  it('N5 a stopped service leaves the known interfaces, in no state that could be told', () => {
    const table = new InterfaceTable();
    expect(table.stopped(5)).toEqual([]);
    table.update(interfacesFrame({ state: 'unreachable', lastError: 809, unreachableReasons: 4 }), 10);
    const stopped = table.stopped(20);
    expect(stopped).toMatchObject([
      { name: 'Site-Berlin', state: 'unknown', lastError: 0, unreachableReasons: 0, stateChanges: 0 },
    ]);
    expect(table.stopped(30)).toEqual(stopped);
    expect(table.update(interfacesFrame({ state: 'connected' }), 40)).toMatchObject([
      { state: 'connected', stateChanges: 1, stateChangeSeconds: 40, dialFailures: 0 },
    ]);
  });
});
