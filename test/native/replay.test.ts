/** A recording played back: what it answers at which time, and that the host makes the same of it as of the original. */
import { describe, expect, test } from 'vitest';
import { enumerate } from '../../src/collector/enumerate.ts';
import type { RrasApi } from '../../src/model/rras-api.ts';
import { hostConfig } from '../../src/native/host-config.ts';
import { Host } from '../../src/native/host.ts';
import { INVALID_HANDLE_VALUE, PREFER_ALL, RAS_CONNECTION_OBJECT } from '../../src/native/layout.ts';
import { clockOf, openApi } from '../../src/native/open-api.ts';
import type { Replay } from '../../src/native/replay.ts';
import { openReplay, recordedClock } from '../../src/native/replay.ts';
import { FakeClock } from '../doubles/fake-clock.ts';
import { POLL_MS, readAllSources, recordSimulator, replacing } from './recordings.ts';
import type { RecordOptions } from './recordings.ts';
import { connect, readAll, takeRecords } from './simulator/records.ts';

/** Years later, on a machine that has run for another time. */
const later = (): FakeClock => new FakeClock({ monotonicMs: 77, wallSeconds: 1_950_000_000 });

async function playBack(options: RecordOptions = {}) {
  const recording = await recordSimulator(options);
  const clock = later();
  const replay = await openReplay(recording.path, clock);
  return { ...recording, clock, replay };
}

/** What scrubbing changes is made equal: texts and addresses become whether there is one. */
function withoutTexts(value: unknown): unknown {
  const texts = /^(user|domain|computer|interfaceName|.*[aA]ddress(V6)?)$/;
  return JSON.parse(
    JSON.stringify(value, (key, each: unknown) => {
      if (ArrayBuffer.isView(each)) return Array.from(each as Uint8Array);
      return texts.test(key) && typeof each === 'string' ? each !== '' : each;
    }),
  );
}

const hostOn = (
  api: RrasApi,
  clock: FakeClock,
  path: { startedAt: number; endMs: number },
  remote = false,
): Host =>
  new Host({ api, enumerate, clock: recordedClock(clock, path), server: remote ? 'recorded' : null });

describe('a host on a recording', () => {
  test.each([
    ['level 4', {}],
    ['EnumEx', { exOnly: true }],
    ['many pages', { maxPageRecords: 5 }],
    ['a large server', { scenario: 'large', connections: 2000 }],
    ['a stopped service', { state: 'stopped' }],
    ['a LAN-only router', { state: 'lan_only' }],
    ['no rights', { state: 'denied' }],
    ['another machine', { remote: true, state: 'stopped' }],
  ] satisfies [string, RecordOptions][])(
    'makes the same of it as of the original: %s',
    async (_, options) => {
      const remote = 'remote' in options;
      const { outcomes, clock, replay, startedAt } = await playBack({ ...options, polls: 4 });
      const host = hostOn(replay, clock, { startedAt, endMs: 3 * POLL_MS }, remote);
      for (let poll = 0; poll < 4; poll += 1) {
        if (poll > 0) await clock.advance(POLL_MS);
        expect(withoutTexts(await readAllSources(host))).toEqual(withoutTexts(outcomes[poll]));
      }
      await host.close();
      expect(replay.ledger).toMatchObject({ live: 0, strayHandles: 0 });
      expect(replay.ledger.opened).toBe(replay.ledger.closed);
    },
  );

  test('sees the service stop and come back', async () => {
    const { outcomes, clock, replay, startedAt } = await playBack({
      polls: 6,
      before: (poll, simulator) => {
        simulator.state = poll === 2 || poll === 3 ? 'stopped' : 'running';
      },
    });
    const host = hostOn(replay, clock, { startedAt, endMs: 5 * POLL_MS });
    const running: unknown[] = [];
    for (let poll = 0; poll < 6; poll += 1) {
      if (poll > 0) await clock.advance(POLL_MS);
      const outcome = await readAllSources(host);
      running.push((outcome[0] as { frame: { running: boolean } }).frame.running);
      expect((outcome[1] as { status: string }).status).toBe(
        (outcomes[poll]![1] as { status: string }).status,
      );
    }
    expect(running).toEqual([true, true, false, false, true, true]);
    expect(replay.ledger.live).toBe(0);
  });

  test('falls back to EnumEx where the original had to, by an answer that was left out', async () => {
    const { clock, replay, startedAt } = await playBack({
      polls: 1,
      through: (api) =>
        replacing(api, {
          connectionEnum: async (...args) => {
            const page = await api.connectionEnum(...args);
            const { buffer } = page;
            if (!buffer) return page;
            const garbled = (length: number): Uint8Array =>
              Buffer.from(buffer.view(length)).fill(0x41, 0, 40);
            return { ...page, buffer: { view: garbled, free: () => buffer.free() } };
          },
        }),
    });
    const outcomes = await readAllSources(hostOn(replay, clock, { startedAt, endMs: 0 }));
    expect(outcomes[1]).toMatchObject({ status: 'ok', frame: { api: 'ex' }, anomalies: { bad_layout: 1 } });
    expect(replay.ledger.live).toBe(0);
  });

  test('reads level 4 however old the recording is, at once and long after its end', async () => {
    const { path } = await recordSimulator({ polls: 1 });
    const clock = later();
    const config = await hostConfig({ replay: path, simulate: null, server: null }, 'linux', {
      wallSeconds: 0,
      name: null,
    });
    const hostClock = await clockOf(config, clock);
    const api = await openApi(config, hostClock);
    const host = new Host({ api, enumerate, clock: hostClock, server: config.server });
    expect(await host.read('connections')).toMatchObject({ frame: { api: 'level4', count: 12 } });
    await clock.advance(30 * 86_400_000);
    host.reset();
    expect(await host.read('connections')).toMatchObject({ frame: { api: 'level4', count: 12 } });
    // On today's clock it could not: that is what the recorded one is for.
    const wrong = new Host({ api: await openReplay(path, clock), enumerate, clock, server: null });
    expect(await wrong.read('connections')).toMatchObject({ status: 'failed' });
  });
});

describe('time', () => {
  const uptimeOf = async (replay: Replay, handle: bigint): Promise<number> => {
    const { buffer } = await replay.serverGetInfo(handle, 0);
    const uptime = Buffer.from(buffer!.view(16)).readUInt32LE(4);
    buffer!.free();
    return uptime;
  };

  test('picks the newest poll that had begun; the first before that, the last after the end', async () => {
    const { clock, replay } = await playBack({ polls: 4 });
    const handle = await connect(replay);
    const first = await uptimeOf(replay, handle);
    const after: number[] = [];
    for (const ms of [4999, 1, 4999, 1, 2500, 2499, 1, 100_000]) {
      await clock.advance(ms);
      after.push((await uptimeOf(replay, handle)) - first);
    }
    expect(after).toEqual([0, 5, 5, 10, 10, 10, 15, 15]);
  });

  test('passes over the polls that nobody asked for', async () => {
    const { clock, replay } = await playBack({ polls: 5 });
    const handle = await connect(replay);
    const first = await uptimeOf(replay, handle);
    await clock.advance(3 * POLL_MS + 17);
    expect((await uptimeOf(replay, handle)) - first).toBe(15);
  });

  test('does not pass within an enumeration: its pages are all of one poll', async () => {
    const { clock, replay } = await playBack({ polls: 3, maxPageRecords: 4 });
    const handle = await connect(replay);
    const whole = await readAll(replay, handle, 'level4');
    const page = await replay.connectionEnum(handle, 4, PREFER_ALL, 0);
    const records = takeRecords(page, 'level4');
    for (let { code, resumeHandle } = page; code === 234;) {
      await clock.advance(POLL_MS);
      // Another enumeration goes on meanwhile, and sees the time pass.
      takeRecords(await replay.portEnum(handle, 0, INVALID_HANDLE_VALUE, PREFER_ALL, 0), 'ports');
      const next = await replay.connectionEnum(handle, 4, PREFER_ALL, resumeHandle);
      records.push(...takeRecords(next, 'level4'));
      ({ code, resumeHandle } = next);
    }
    expect(records.map((rec) => rec.bytes)).toEqual(whole.map((rec) => rec.bytes));
    const anew = await readAll(replay, handle, 'level4');
    expect(anew[0]!.u32('dwConnectDuration')).toBe(whole[0]!.u32('dwConnectDuration') + 10);
    expect(replay.ledger.live).toBe(0);
  });

  test('of the recorded server is its own, and ends with the recording', async () => {
    const clock = later();
    const recorded = recordedClock(clock, { startedAt: 1000, endMs: 8000 });
    expect(recorded.wallSeconds()).toBe(1000);
    await clock.advance(7000);
    expect(recorded.wallSeconds()).toBe(1007);
    expect(recorded.monotonicMs()).toBe(clock.monotonicMs());
    await clock.advance(7000);
    expect(recorded.wallSeconds()).toBe(1008);
  });
});

describe('a call that the recording lacks', () => {
  test('is answered as by a DLL without that function', async () => {
    const { replay } = await playBack({ polls: 1 });
    const handle = await connect(replay);
    expect(await replay.connectionEnumEx(handle, RAS_CONNECTION_OBJECT, PREFER_ALL, 0)).toMatchObject({
      code: 127,
      buffer: null,
    });
    expect(await replay.interfaceGetHandle(handle, 'Site-Berlin', false)).toEqual({ code: 127, handle: 0n });
  });

  test('is "not found" where the function was called for something else', async () => {
    const { replay } = await playBack({ polls: 1 });
    const handle = await connect(replay);
    await replay.serverGetInfo(handle, 0);
    expect(await replay.serverGetInfo(handle, 1)).toEqual({ code: 1168, buffer: null });
    expect(await replay.interfaceGetInfo(handle, 4711n, 2)).toEqual({ code: 1168, buffer: null });
    expect(await replay.connectionEnum(handle, 4, PREFER_ALL, 3)).toMatchObject({ code: 1168, buffer: null });
    expect(await replay.errorString(5)).toBeNull();
  });

  test('on a handle that is not open is refused', async () => {
    const { replay } = await playBack({ polls: 1 });
    const handle = await connect(replay);
    await replay.serverDisconnect(handle);
    expect(await replay.serverGetInfo(handle, 0)).toEqual({ code: 1702, buffer: null });
    expect(await replay.connectionEnum(handle, 4, PREFER_ALL, 0)).toMatchObject({ code: 1702 });
    expect((await replay.interfaceGetHandle(handle, 'a', false)).code).toBe(1702);
    await replay.serverDisconnect(handle);
    expect(replay.ledger).toMatchObject({ opened: 1, closed: 1, strayHandles: 4 });
  });
});

test('a buffer is freed once and not looked at afterwards', async () => {
  const { replay } = await playBack({ polls: 1 });
  const handle = await connect(replay);
  const { buffer } = await replay.serverGetInfo(handle, 0);
  expect(() => buffer!.view(17)).toThrow(RangeError);
  expect(replay.ledger.live).toBe(1);
  buffer!.free();
  expect(() => buffer!.view(1)).toThrow('was freed');
  expect(() => buffer!.free()).toThrow('freed twice');
  expect(replay.ledger.live).toBe(0);
  replay.close();
});
