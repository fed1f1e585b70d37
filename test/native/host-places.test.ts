/** How many child processes there may be at once, and who comes next. */
import { describe, expect, it } from 'vitest';
import type { PlaceHolder } from '../../src/native/host-places.ts';
import { HostPlaces } from '../../src/native/host-places.ts';
import { settle } from '../doubles/fake-clock.ts';

/** Servers by their names, and what happens to them as a list of events. */
function room(max: number) {
  const places = new HostPlaces(max);
  const events: string[] = [];
  const holders = new Map<string, PlaceHolder>();
  const holderOf = (name: string): PlaceHolder => {
    const known = holders.get(name);
    if (known) return known;
    const holder: PlaceHolder = {
      makeRoom: () => {
        events.push(`${name} makes room`);
        // As of the client: its child is gone by then.
        places.leave(holder);
      },
    };
    holders.set(name, holder);
    return holder;
  };
  const take = (name: string, signal = new AbortController().signal): Promise<void> =>
    places.take(holderOf(name), signal).then(
      () => void events.push(`${name} is in`),
      (error: unknown) => void events.push(`${name} gives up: ${String(error)}`),
    );
  /** What happened meanwhile. */
  const happened = async (): Promise<string[]> => {
    await settle();
    return events.splice(0);
  };
  return {
    take: (...names: readonly string[]) => names.forEach((name) => void take(name)),
    takeUntil: (name: string, signal: AbortSignal) => void take(name, signal),
    rest: (name: string) => places.rest(holderOf(name)),
    leave: (name: string) => places.leave(holderOf(name)),
    happened,
  };
}

describe('the places of child processes', () => {
  it('are given to as many as may be there, and to no more', async () => {
    const { take, happened } = room(2);
    take('a', 'b', 'c');
    expect(await happened()).toEqual(['a is in', 'b is in']);
    expect(await happened()).toEqual([]);
  });

  it('are given in the order in which they were asked for', async () => {
    const { take, leave, happened } = room(1);
    take('a', 'b', 'c', 'd');
    await happened();
    for (const [gone, next] of ['ab', 'bc', 'cd']) {
      leave(gone!);
      expect(await happened()).toEqual([`${next!} is in`]);
    }
  });

  it('are kept by who has one already, who waits behind nobody', async () => {
    const { take, happened } = room(1);
    take('a', 'b', 'a', 'a');
    expect(await happened()).toEqual(['a is in', 'a is in', 'a is in']);
  });

  it('are made free by the one that has been idle for longest, and only if somebody waits', async () => {
    const { take, rest, happened } = room(3);
    take('a', 'b', 'c');
    await happened();
    for (const name of ['b', 'c', 'a']) rest(name);
    expect(await happened()).toEqual([]);
    take('d');
    expect(await happened()).toEqual(['b makes room', 'd is in']);
    take('e', 'b');
    expect(await happened()).toEqual(['c makes room', 'a makes room', 'e is in', 'b is in']);
  });

  it('are made free as soon as one becomes idle that others wait for', async () => {
    const { take, rest, happened } = room(1);
    take('a', 'b', 'c');
    await happened();
    rest('a');
    expect(await happened()).toEqual(['a makes room', 'b is in']);
  });

  it('of those at work are taken from nobody: who is asked again is not idle', async () => {
    const { take, rest, happened } = room(2);
    take('a', 'b');
    rest('a');
    rest('b');
    take('a');
    await happened();
    take('c', 'd');
    expect(await happened()).toEqual(['b makes room', 'c is in']);
    rest('a');
    expect(await happened()).toEqual(['a makes room', 'd is in']);
  });

  it('come free when a child is gone, for one each', async () => {
    const { take, leave, happened } = room(2);
    take('a', 'b', 'c', 'd');
    await happened();
    leave('a');
    leave('a');
    expect(await happened()).toEqual(['c is in']);
    leave('nobody');
    expect(await happened()).toEqual([]);
  });

  it('of one that died while it was idle are given once', async () => {
    const { take, rest, leave, happened } = room(1);
    take('a');
    await happened();
    rest('a');
    leave('a');
    take('b', 'c');
    expect(await happened()).toEqual(['b is in']);
  });

  it('are not rested in by who has none', async () => {
    const { take, rest, happened } = room(1);
    take('a');
    await happened();
    rest('b');
    take('c');
    expect(await happened()).toEqual([]);
  });

  it('are waited for as long as the signal allows: those behind move up', async () => {
    const { take, takeUntil, leave, happened } = room(1);
    const late = new AbortController();
    take('a');
    takeUntil('b', late.signal);
    take('c');
    await happened();
    late.abort();
    expect(await happened()).toEqual(['b gives up: Error: no place came free']);
    leave('a');
    expect(await happened()).toEqual(['c is in']);
  });

  it('stay with who got one in time, whatever the signal says after', async () => {
    const { take, takeUntil, happened } = room(1);
    const late = new AbortController();
    takeUntil('a', late.signal);
    late.abort();
    take('b');
    expect(await happened()).toEqual(['a is in']);
  });

  it('are not for who comes too late already', async () => {
    const { take, takeUntil, leave, happened } = room(1);
    take('a');
    await happened();
    takeUntil('b', AbortSignal.abort());
    expect(await happened()).toEqual(['b gives up: Error: no place came free']);
    leave('a');
    expect(await happened()).toEqual([]);
  });

  it('leave nothing behind at the signal of who got one', async () => {
    const places = new HostPlaces(1);
    const { signal } = new AbortController();
    let listeners = 0;
    const watched = new Proxy(signal, {
      get: (target, name) => {
        if (name === 'addEventListener') listeners += 1;
        if (name === 'removeEventListener') listeners -= 1;
        const value: unknown = Reflect.get(target, name);
        return typeof value === 'function' ? (value.bind(target) as unknown) : value;
      },
    });
    await places.take({ makeRoom: () => undefined }, watched);
    expect(listeners).toBe(0);
  });

  it('are bounded and given to all in turn, whoever comes, rests and goes', async () => {
    const max = 3;
    const names = Array.from({ length: 11 }, (_, i) => `s${i}`);
    const { take, rest, happened } = room(max);
    const inside = new Set<string>();
    const rounds = new Map(names.map((name) => [name, 0]));
    take(...names);
    for (let step = 0; step < 300; step += 1) {
      for (const event of await happened()) {
        const [name = '', ...what] = event.split(' ');
        if (what.join(' ') === 'makes room') inside.delete(name);
        else inside.add(name);
      }
      expect(inside.size).toBeLessThanOrEqual(max);
      const [first] = inside;
      rounds.set(first!, rounds.get(first!)! + 1);
      inside.delete(first!);
      inside.add(first!);
      rest(first!);
      // It is to be read again: behind all that wait already.
      await settle();
      take(first!);
    }
    const counts = [...rounds.values()];
    expect(Math.max(...counts) - Math.min(...counts)).toBeLessThanOrEqual(1);
  });
});
