/** The double that makes one native call misbehave. */
import { describe, expect, it } from 'vitest';
import type { EnumPage } from '../../src/model/rras-api.ts';
import { PREFER_ALL } from '../../src/native/layout.ts';
import { createSimulator } from '../../src/native/simulator/server.ts';
import { FakeClock, settle } from './fake-clock.ts';
import { type Fault, type FaultOptions, withFault } from './fault-api.ts';

function setUp(fault: Fault, options: Partial<FaultOptions> = {}) {
  const sim = createSimulator({ scenario: 'small', seed: 1, clock: new FakeClock() });
  return { sim, api: withFault(sim, { fault, at: 1, method: 'connectionEnum', mode: 'once', ...options }) };
}

async function enumerate(fault: Fault) {
  const { sim, api } = setUp(fault);
  const { handle } = await api.serverConnect(null);
  return { sim, api, page: await api.connectionEnum(handle, 4, PREFER_ALL, 5) };
}

describe('which call', () => {
  const codes = async (options: Partial<FaultOptions>) => {
    const { api } = setUp({ kind: 'code', code: 1726 }, options);
    const { handle } = await api.serverConnect(null);
    const seen: number[] = [];
    for (let i = 0; i < 4; i++) {
      seen.push((await api.serverGetInfo(handle, 0)).code, (await api.interfaceEnum(handle, 0, 0, 0)).code);
    }
    return { seen, api };
  };

  it('is counted over all methods unless one is named', async () => {
    const all = await codes({ method: undefined, at: 4 });
    expect(all.seen).toEqual([0, 234, 1726, 234, 0, 234, 0, 234]);
    expect(all.api.calls.map((c) => c.fault)).toEqual([
      null,
      null,
      null,
      'code',
      null,
      null,
      null,
      null,
      null,
    ]);
    const one = await codes({ method: 'interfaceEnum', at: 3 });
    expect(one.seen).toEqual([0, 234, 0, 234, 0, 1726, 0, 234]);
    expect(one.api.fired).toBe(1);
  });

  it('and every later one, if persistent', async () => {
    const { seen, api } = await codes({ method: 'interfaceEnum', at: 3, mode: 'persistent' });
    expect(seen).toEqual([0, 234, 0, 234, 0, 1726, 0, 1726]);
    expect(api.fired).toBe(2);
  });

  it('is none once n is past the end of the run', async () => {
    expect((await codes({ at: 99 })).api.fired).toBe(0);
  });
});

describe('what it does', () => {
  it('code: the call fails and leaves no buffer', async () => {
    const { page, sim } = await enumerate({ kind: 'code', code: 1722 });
    expect(page).toMatchObject({ code: 1722, buffer: null, entriesRead: 0 });
    expect(sim.ledger.allocations).toBe(0);
  });

  it('throw: the call rejects', async () => {
    await expect(enumerate({ kind: 'throw' })).rejects.toThrow(TypeError);
    await expect(enumerate({ kind: 'throw', error: new Error('mine') })).rejects.toThrow('mine');
  });

  it('hang: the call never ends, and a second one overlaps with it', async () => {
    const { api } = setUp({ kind: 'hang' });
    const { handle } = await api.serverConnect(null);
    let ended = false;
    void api.connectionEnum(handle, 4, PREFER_ALL, 0).finally(() => (ended = true));
    await settle();
    expect(ended).toBe(false);
    await api.serverGetInfo(handle, 0);
    expect(api.maxInFlight).toBe(2);
  });

  it('null_buffer: a count without a buffer, and nothing leaks', async () => {
    const { page, sim } = await enumerate({ kind: 'null_buffer' });
    expect(page).toMatchObject({ code: 0, buffer: null });
    expect(page.entriesRead).toBeGreaterThan(0);
    expect(sim.ledger).toMatchObject({ allocations: 1, live: 0 });
  });

  it('empty_more: no entries and no progress', async () => {
    const { page } = await enumerate({ kind: 'empty_more' });
    expect(page).toMatchObject({ code: 234, buffer: null, entriesRead: 0, resumeHandle: 5 });
  });

  it('count_lie: more entries than there are', async () => {
    const { page } = await enumerate({ kind: 'count_lie', entriesRead: 4_000_000_000 });
    expect(page.entriesRead).toBe(4_000_000_000);
    expect(() => page.buffer!.view(page.entriesRead * 1696)).toThrow(RangeError);
  });

  it('truncated: garbage after the sound bytes, and free still frees', async () => {
    const { page, sim } = await enumerate({ kind: 'truncated', bytes: 100 });
    const view = Buffer.from(page.buffer!.view(200));
    expect(view.subarray(100).equals(Buffer.alloc(100, 0xdd))).toBe(true);
    expect(view.subarray(0, 100).equals(Buffer.alloc(100, 0xdd))).toBe(false);
    page.buffer!.free();
    expect(sim.ledger.live).toBe(0);
  });

  it('leaves an answer alone that has no room for the fault', async () => {
    const { api } = setUp({ kind: 'null_buffer' }, { method: 'serverConnect' });
    expect(await api.serverConnect(null)).toMatchObject({ code: 0 });
    expect(api.fired).toBe(1);
  });
});

it('records every call with its arguments and passes all methods on', async () => {
  const { api } = setUp({ kind: 'throw' }, { at: 99 });
  const { handle } = await api.serverConnect(null);
  const pages: EnumPage[] = [
    await api.connectionEnumEx(handle, { revision: 1, type: 1, size: 1672 }, PREFER_ALL, 0),
    await api.portEnum(handle, 0, 2n ** 64n - 1n, PREFER_ALL, 0),
  ];
  for (const { buffer } of pages) buffer!.free();
  const found = await api.interfaceGetHandle(handle, 'Ethernet', false);
  expect((await api.interfaceGetInfo(handle, found.handle, 2)).code).toBe(124);
  expect(await api.isServiceInitialized(null)).toEqual({ code: 0, initialized: true });
  expect(await api.errorString(5)).toMatch(/denied/u);
  await api.serverDisconnect(handle);
  expect(api.calls.map((c) => c.method)).toEqual([
    'serverConnect',
    'connectionEnumEx',
    'portEnum',
    'interfaceGetHandle',
    'interfaceGetInfo',
    'isServiceInitialized',
    'errorString',
    'serverDisconnect',
  ]);
  expect(api.calls[4]!.args).toEqual([handle, found.handle, 2]);
  expect(api.missing).toEqual([]);
});
