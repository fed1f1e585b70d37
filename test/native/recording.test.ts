/** The file of a recording: what is in it, what is not, and what becomes of a file that is not as it should be. */
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { gunzipSync, gzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { decodeServer } from '../../src/native/decode.ts';
import { MPR_SERVER_0, PREFER_ALL, RAS_CONNECTION_4 } from '../../src/native/layout.ts';
import { Recorder } from '../../src/native/recorder.ts';
import type { RecordedCall } from '../../src/native/recording.ts';
import { inspectRecording, RecordingReader, RecordingWriter } from '../../src/native/recording.ts';
import { Scrubber } from '../../src/native/scrub.ts';
import { SCENARIOS } from '../../src/native/simulator/scenarios.ts';
import type { SimulatedServer } from '../../src/native/simulator/server.ts';
import { createSimulator } from '../../src/native/simulator/server.ts';
import { FakeClock } from '../doubles/fake-clock.ts';
import { withFault } from '../doubles/fault-api.ts';
import { IKEV2, PPP, PROJECTION_TYPE } from './record-builder.ts';
import { linesOf, newPath, recordSimulator, replacing, textOf } from './recordings.ts';
import { connect, readAll as readAllRecords, Rec } from './simulator/records.ts';

const HEADER = { startedAt: 1_795_219_200, exporterVersion: '1.2.3', remote: false, missing: [] };

async function readAll(path: string): Promise<{ calls: RecordedCall[]; truncated: boolean }> {
  const reader = await RecordingReader.open(path, { bytes: true });
  const calls: RecordedCall[] = [];
  for (let call = await reader.next(); call; call = await reader.next()) calls.push(call);
  return { calls, truncated: reader.truncated };
}

function withText(text: string): string {
  const path = newPath();
  writeFileSync(path, gzipSync(text));
  return path;
}

describe('a recording', () => {
  test('is gzip of JSON lines: a header, then the calls in their order with their times', async () => {
    const { path, recorder, startedAt } = await recordSimulator();
    const [header, ...calls] = linesOf(path).map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(header).toEqual({ format: 'rras-recording', version: 1, ...HEADER, startedAt });
    expect(calls.length).toBe(recorder.calls);
    expect(calls.slice(0, 3)).toEqual([
      { t: 0, ms: 0, round: 0, fn: 'MprAdminIsServiceInitialized', args: {}, code: 0, initialized: true },
      { t: 0, ms: 0, round: 0, fn: 'MprAdminServerConnect', args: {}, code: 0 },
      {
        t: 0,
        ms: 0,
        round: 0,
        fn: 'MprAdminServerGetInfo',
        args: { level: 0 },
        code: 0,
        bytes: expect.any(String) as string,
      },
    ]);
    expect(calls.find(({ fn }) => fn === 'MprAdminConnectionEnum')).toMatchObject({
      args: { level: 4, preferredLength: 0xffff_ffff, resumeHandle: 0 },
      entriesRead: 12,
      totalEntries: 12,
      resumeHandle: 0,
    });
    expect(calls.at(-1)).toMatchObject({ t: 5000, round: 1, fn: 'MprAdminServerDisconnect' });
  });

  test('is read back as it was written', async () => {
    const { path } = await recordSimulator();
    const { calls, truncated } = await readAll(path);
    expect(truncated).toBe(false);
    expect(calls.length).toBe(linesOf(path).length - 1);
    const info = calls.find(({ fn }) => fn === 'MprAdminServerGetInfo');
    expect(decodeServer(info!.bytes!)).toMatchObject({ running: true, totalPorts: 513 });
    expect(await inspectRecording(path)).toMatchObject({
      polls: 2,
      calls: calls.length,
      endMs: 5000,
      truncated: false,
      header: HEADER,
    });
  });

  test('of pages that fill many pieces is read back whole', async () => {
    const { path, simulator } = await recordSimulator({ scenario: 'large', connections: 3001, polls: 1 });
    const { calls } = await readAll(path);
    const page = calls.find(({ fn }) => fn === 'MprAdminConnectionEnum')!;
    expect(page.bytes!.length).toBe(3001 * 1696);
    const records = Array.from(
      { length: 3001 },
      (_, i) => new Rec(RAS_CONNECTION_4, page.bytes!.subarray(i * 1696, (i + 1) * 1696)),
    );
    expect(new Set(records.map((rec) => rec.u64('hConnection'))).size).toBe(3001);
    expect(records.every((rec) => rec.text('wszUserName').startsWith('name-'))).toBe(true);
    expect(simulator.ledger.live).toBe(0);
  });

  test('is for its owner alone and never overwrites a file', async () => {
    const { path } = await recordSimulator({ polls: 1 });
    expect(statSync(path).mode & 0o777).toBe(0o600);
    const before = readFileSync(path);
    await expect(RecordingWriter.create(path, HEADER)).rejects.toThrow(
      `the file ${path} exists already, and is not overwritten: choose another name`,
    );
    expect(readFileSync(path)).toEqual(before);
    await expect(RecordingWriter.create('/nowhere/a.rec', HEADER)).rejects.toThrow(
      'the recording /nowhere/a.rec cannot be made',
    );
  });

  test('that is closed takes no more calls', async () => {
    const writer = await RecordingWriter.create(newPath(), HEADER);
    await writer.close();
    const call = { t: 0, ms: 0, round: 0, fn: 'MprAdminServerConnect', args: {}, code: 0 } as const;
    await expect(writer.call(call, null)).rejects.toThrow('write after end');
  });

  test('that cannot be written fails the call, and frees what was answered', async () => {
    const clock = new FakeClock();
    const api = createSimulator({ scenario: 'small', seed: 3, clock });
    const writer = await RecordingWriter.create(newPath(), HEADER);
    const recorder = new Recorder({ api, writer, scrubber: new Scrubber(), clock });
    const handle = await connect(recorder);
    await writer.close();
    await expect(recorder.connectionEnum(handle, 4, PREFER_ALL, 0)).rejects.toThrow();
    expect(api.ledger).toMatchObject({ allocations: 1, live: 0 });
  });

  test('holds failures, too, and an answer without a buffer', async () => {
    const { path } = await recordSimulator({
      polls: 1,
      through: (api) =>
        withFault(api, { fault: { kind: 'null_buffer' }, at: 1, method: 'portEnum', mode: 'once' }),
      state: 'running',
    });
    const { calls } = await readAll(path);
    expect(calls.find(({ fn }) => fn === 'MprAdminPortEnum')).toMatchObject({ bytes: null });
    const denied = await recordSimulator({ polls: 1, state: 'denied' });
    const { calls: refusals } = await readAll(denied.path);
    expect(refusals[0]).toMatchObject({ fn: 'MprAdminIsServiceInitialized', code: 5, bytes: null });
  });
});

describe('no name and no address of people', () => {
  const UNION = 'ProjectionInfo.Anonymous.PppProjectionInfo.';
  const TEXTS = [
    'wszUserName',
    'wszLogonDomain',
    'wszRemoteComputer',
    'wszRemoteEndpointAddress',
    'wszLocalEndpointAddress',
    // At the same place in both variants.
    `${UNION}wszAddress`,
    `${UNION}wszRemoteAddress`,
  ];

  async function personalIn(simulator: SimulatedServer): Promise<Set<string>> {
    const personal = new Set<string>();
    const handle = await connect(simulator);
    for (const rec of await readAllRecords(simulator, handle, simulator.exOnly ? 'ex' : 'level4')) {
      for (const path of TEXTS) personal.add(rec.text(path));
      if (rec.u32('dwInterfaceType') === 0) personal.add(rec.text('wszInterfaceName'));
      const member = rec.u8(PROJECTION_TYPE) === 2 ? IKEV2 : PPP;
      for (const half of ['bPrefix', 'bRemoteInterfaceIdentifier']) {
        personal.add(Buffer.from(rec.hex(`${member}.${half}`), 'hex').toString('latin1'));
      }
    }
    for (const rec of await readAllRecords(simulator, handle, 'interfaces')) {
      if (rec.u32('dwIfType') === 0) personal.add(rec.text('wszInterfaceName'));
    }
    for (const { host } of SCENARIOS.office.links) personal.add(host);
    personal.delete('');
    personal.delete('\0'.repeat(8));
    await simulator.serverDisconnect(handle);
    return personal;
  }

  test.each([
    ['level 4', false],
    ['EnumEx', true],
  ])('is in a recording (%s)', async (_, exOnly) => {
    const personal = new Set<string>();
    const { path } = await recordSimulator({
      scenario: 'office',
      polls: 4,
      exOnly,
      before: async (__, simulator) => {
        for (const each of await personalIn(simulator)) personal.add(each);
      },
    });
    const bytes = Buffer.concat(
      linesOf(path).map((line) => {
        const { bytes: base64 = '', ...rest } = JSON.parse(line) as { bytes?: string };
        return Buffer.concat([Buffer.from(base64, 'base64'), Buffer.from(JSON.stringify(rest))]);
      }),
    );
    const text = Buffer.from(textOf(path));
    expect(personal.size).toBeGreaterThan(400);
    // As bytes: a search for UTF-16 text would look at even places only.
    const contains = (where: Buffer, each: string): boolean =>
      (['utf16le', 'utf8', 'latin1'] as const).some((encoding) =>
        where.includes(Buffer.from(each, encoding)),
      );
    const found = [...personal].filter(
      (each) => contains(bytes, each) || (each.length > 4 && contains(text, each)),
    );
    expect(found).toEqual([]);
    // The search would find what is there: what is configured stays.
    expect(contains(bytes, 'Branch Köln')).toBe(true);
    expect(contains(bytes, 'WAN Miniport (IKEv2)')).toBe(true);
  });

  test('is in what cannot be read: such an answer is left out', async () => {
    // As of a server whose records are 16 bytes shorter than the layout says.
    const { path, recorder, simulator, outcomes } = await recordSimulator({
      polls: 1,
      through: (api) =>
        replacing(api, {
          connectionEnum: async (...args) => {
            const page = await api.connectionEnum(...args);
            const { buffer } = page;
            if (!buffer) return page;
            const shifted = (length: number): Uint8Array => {
              const bytes = Buffer.from(buffer.view(length));
              return Buffer.concat([bytes.subarray(1680), bytes.subarray(0, 1680)]);
            };
            return { ...page, buffer: { view: shifted, free: () => buffer.free() } };
          },
        }),
    });
    expect(recorder.unreadable).toBe(1);
    expect(simulator.ledger.live).toBe(0);
    const { calls } = await readAll(path);
    expect(calls.find(({ fn }) => fn === 'MprAdminConnectionEnum')).toMatchObject({
      entriesRead: 12,
      unreadable: true,
      bytes: null,
    });
    expect(outcomes[0]![1]).toMatchObject({ frame: { api: 'ex' }, anomalies: { bad_layout: 1 } });
  });

  test('is in the arguments of a call', async () => {
    const { path } = await recordSimulator({
      polls: 1,
      remote: true,
      through: (api) =>
        replacing(api, {
          isServiceInitialized: async (server) => {
            const handle = await connect(api);
            await api.serverDisconnect(handle);
            return api.isServiceInitialized(server);
          },
        }),
    });
    expect(textOf(path)).not.toContain('vpn1');
    expect(await inspectRecording(path)).toMatchObject({ header: { remote: true } });
    const clock = new FakeClock();
    const asked = newPath();
    const writer = await RecordingWriter.create(asked, HEADER);
    const api = createSimulator({ scenario: 'small', seed: 3, clock });
    const recorder = new Recorder({ api, writer, scrubber: new Scrubber(), clock });
    const handle = await connect(recorder);
    expect((await recorder.interfaceGetHandle(handle, 'Site-Berlin', false)).code).toBe(0);
    await recorder.interfaceGetHandle(handle, 'CORP\\anna', true);
    await writer.close();
    const { calls } = await readAll(asked);
    expect(calls.slice(1).map(({ args }) => args)).toEqual([
      { name: 'Site-Berlin', clients: false },
      { name: 'name-1', clients: true },
    ]);
    expect(calls[1]!.handle).toMatch(/^0{15}\d$/);
  });
});

describe('a file that is not as it should be', () => {
  const line = (call: object): string => `${JSON.stringify(call)}\n`;
  const header = line({ format: 'rras-recording', version: 1, ...HEADER });
  const connect = { t: 1, ms: 0, round: 0, fn: 'MprAdminServerConnect', args: {}, code: 0 };
  const info = { ...connect, fn: 'MprAdminServerGetInfo', args: { level: 0 } };
  const bytes = Buffer.alloc(MPR_SERVER_0.size).toString('base64');

  test.each([
    ['nothing', '', 'line 1: it holds no header'],
    ['another format', '{"a":1}\n', 'line 1: this is not the header of a recording'],
    ['text', 'hello\n', 'line 1: this is not JSON'],
    [
      'a later version',
      line({ format: 'rras-recording', version: 2, somethingNew: 1 }),
      'line 1: version 2, but this program reads version 1 only',
    ],
    ['a header that lacks something', line({ format: 'rras-recording', version: 1 }), /line 1: startedAt: /],
    ['a call that is none', `${header}${line(connect)}{"t":1}\n`, /line 3: ms: /],
    ['an unknown call', header + line({ ...connect, fn: 'MprAdminFormat' }), /line 2: fn: /],
    ['a stray member', header + line({ ...connect, password: 'x' }), /line 2: .*password/],
    ['a code that is none', header + line({ ...connect, code: -1 }), /line 2: code: /],
    ['fewer bytes', header + line({ ...info, bytes: bytes.slice(4) }), 'line 2: not 16 bytes'],
    ['more bytes', header + line({ ...info, bytes: `AAAA${bytes}` }), 'line 2: more than 16 bytes'],
    ['bytes that are none', header + line({ ...info, bytes: '!'.repeat(24) }), 'line 2: not 16 bytes'],
    [
      'bytes of who knows what',
      header + line({ ...connect, bytes }),
      'line 2: bytes of an unknown structure (MprAdminServerConnect)',
    ],
    [
      'bytes that are not last',
      header + line({ ...info, bytes, code: 0, ms: undefined }).replace('}\n', ',"ms":0}\n'),
      /line 2: /,
    ],
    ['a count that cannot be', header + line({ ...info, entriesRead: 4e9, bytes }), /line 2: /],
    ['a line without end', header + 'x'.repeat(100_000), 'line 2: the line is too long'],
  ])('%s: one error that names the line', async (_, text, message) => {
    const path = withText(text);
    const failure = await readAll(path).then(
      () => null,
      (error: unknown) => error as Error,
    );
    expect(failure?.message).toContain(`${path}, line `);
    expect(failure?.message).toMatch(message);
  });

  test('no gzip: it says so', async () => {
    const path = newPath();
    writeFileSync(path, header);
    await expect(inspectRecording(path)).rejects.toThrow(
      `${path}, line 1: this is no recording, as it is not gzip`,
    );
  });

  test('no file: it says so', async () => {
    await expect(inspectRecording('/nowhere/a.rec')).rejects.toThrow(
      'the recording /nowhere/a.rec cannot be read',
    );
  });

  test('a header and nothing else', async () => {
    await expect(inspectRecording(withText(header))).rejects.toThrow('is empty: it holds no complete call');
  });

  test('damage in the middle', async () => {
    const { path } = await recordSimulator();
    const damaged = newPath();
    const content = readFileSync(path);
    content.fill(0xff, content.length >> 1, (content.length >> 1) + 40);
    writeFileSync(damaged, content);
    await expect(inspectRecording(damaged)).rejects.toThrow(/, line \d+: /);
  });

  test('cut off anywhere, what is complete of it is read, and it is known to be cut off', async () => {
    const { path } = await recordSimulator({ polls: 2 });
    const content = readFileSync(path);
    const whole = gunzipSync(content).toString();
    const { calls: all } = await readAll(path);
    let most = 0;
    for (let length = 400; length < content.length; length += Math.ceil(content.length / 40)) {
      const cut = newPath();
      writeFileSync(cut, content.subarray(0, length));
      const { calls, truncated } = await readAll(cut);
      expect(truncated).toBe(true);
      expect(calls).toEqual(all.slice(0, calls.length));
      most = Math.max(most, calls.length);
    }
    expect(most).toBeGreaterThan(5);
    // Without its end alone, which is how a recorder that was killed leaves it.
    const cut = newPath();
    writeFileSync(cut, content.subarray(0, -9));
    const { calls, truncated } = await readAll(cut);
    expect(truncated).toBe(true);
    expect(calls.length).toBeGreaterThanOrEqual(whole.split('\n').length - 4);
  });
});
