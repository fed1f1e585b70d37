/** The exporter's side of the child process: deadlines, restarts, and a child that does not keep to the protocol. */
import { deserialize, serialize } from 'node:v8';
import { describe, expect, it } from 'vitest';
import type {
  ConnectionColumns,
  ConnectionIdentity,
  Frame,
  ReadOutcome,
  ReadReport,
} from '../../src/model/frames.ts';
import type { ActRequest, ActResult } from '../../src/model/actions.ts';
import type { Logger } from '../../src/model/logger.ts';
import type { Source } from '../../src/model/words.ts';
import { parseHostMessage } from '../../src/native/check-message.ts';
import type { HostProcess } from '../../src/native/client.ts';
import { BACKOFF_MS, CRASH_LIMIT, CRASH_WINDOW_MS, HostClient, IDLE_MS } from '../../src/native/client.ts';
import { ConnectionDecoder } from '../../src/native/decode.ts';
import { HostPlaces } from '../../src/native/host-places.ts';
import type { HostMessage, HostRequest } from '../../src/native/host-messages.ts';
import { IDENTITIES_PER_MESSAGE, toMessages } from '../../src/native/host-messages.ts';
import { FakeClock, settle } from '../doubles/fake-clock.ts';
import { connection, NOW_SECONDS, pageOf } from './record-builder.ts';

const TIMEOUT_MS = 10_000;
const REPORT: ReadReport = {
  calls: [{ function: 'MprAdminServerGetInfo', code: 0, seconds: 0.001, atSeconds: 0 }],
  pages: 1,
  anomalies: { duplicate: 2 },
  seconds: 0.002,
};
const IDENTITY: ConnectionIdentity = {
  handle: '0000000000000007',
  guid: '',
  startTicks: '',
  user: 'alice@example.com',
  domain: '',
  computer: 'half \ud800',
  interfaceName: 'alice@example.com',
  interfaceType: 'client',
  tunnel: 'sstp',
  auth: 'eap_tls',
  encryption: 'aes256',
  compression: 'none',
  tunnelAddress: '10.0.0.9',
  tunnelAddressV6: '',
  remoteAddress: '203.0.113.5',
  localAddress: '192.0.2.1',
};
const SERVER: Frame = {
  source: 'server',
  running: true,
  lanOnly: false,
  uptimeSeconds: 60,
  totalPorts: 640,
  portsInUse: 3,
};
const ok = (frame: Frame): ReadOutcome => ({ status: 'ok', frame, report: REPORT });

/** A child that does what the test says; messages cross as copies, as they do between processes. */
class ProcessDouble implements HostProcess {
  readonly startedAtMs: number;
  readonly sent: HostRequest[] = [];
  killed = 0;
  #message: (message: unknown) => void = () => undefined;
  #exit: (how: string) => void = () => undefined;

  constructor(startedAtMs: number) {
    this.startedAtMs = startedAtMs;
  }

  send(request: HostRequest): void {
    this.sent.push(request);
  }
  onMessage(listener: (message: unknown) => void): void {
    this.#message = listener;
  }
  onExit(listener: (how: string) => void): void {
    this.#exit = listener;
  }
  kill(): void {
    this.killed += 1;
  }

  say(message: unknown): void {
    this.#message(deserialize(serialize(message)));
  }
  answer(outcome: ReadOutcome, id = this.sent.at(-1)!.id): void {
    for (const message of toMessages(id, outcome)) this.say(message);
  }
  exit(how = 'exit code 139'): void {
    this.#exit(how);
  }
}

function start(behave: (child: ProcessDouble) => void = () => undefined) {
  const clock = new FakeClock();
  const children: ProcessDouble[] = [];
  const restarts: string[] = [];
  const missing: (readonly string[])[] = [];
  const lines: string[] = [];
  const write =
    (level: string) =>
    (message: string, fields: Readonly<Record<string, unknown>> = {}): void =>
      void lines.push(`${level} ${message} ${JSON.stringify(fields)}`);
  const logger: Logger = {
    debug: write('debug'),
    info: write('info'),
    warn: write('warn'),
    error: write('error'),
  };
  const client = new HostClient({
    spawn: () => {
      const child = new ProcessDouble(clock.monotonicMs());
      children.push(child);
      behave(child);
      return child;
    },
    clock,
    logger,
    timeoutMs: TIMEOUT_MS,
    onRestart: (reason) => void restarts.push(reason),
    onReady: (names) => void missing.push(names),
  });
  /** A read that its child answers at once. */
  const sound = async (source: Source = 'server'): Promise<ReadOutcome> => {
    const reading = client.read(source);
    await settle();
    children.at(-1)!.answer(ok(SERVER));
    return reading;
  };
  const begin = async (source: Source = 'server') => {
    const state: { outcome?: ReadOutcome } = {};
    void client.read(source).then((outcome) => (state.outcome = outcome));
    await settle();
    return state;
  };
  return { clock, client, children, restarts, missing, lines, sound, begin };
}

/** `host` for a read that was under way, `host_down` for one that had nobody to ask. */
const hostFailure = (message: string | RegExp) => ({
  status: 'failed',
  failure: {
    kind:
      /is down|cannot be started|shutting down/.test(String(message)) || String(message).includes('ENOMEM')
        ? (expect.stringMatching(/^host(?:_down)?$/) as unknown)
        : 'host',
    message: expect.stringMatching(message) as unknown,
  },
});

describe('a sound child', () => {
  it('is started by the first read, asked by number, and kept', async () => {
    const { clock, client, children, restarts, lines, sound } = start();
    expect(children).toHaveLength(0);
    expect(await sound()).toEqual(ok(SERVER));
    expect(await sound()).toEqual(ok(SERVER));
    expect(children).toHaveLength(1);
    expect(children[0]!.sent).toEqual([
      { id: 1, source: 'server' },
      { id: 2, source: 'server' },
    ]);
    // What ends it when it is idle.
    expect(clock.pending).toBe(1);
    expect([restarts, lines]).toEqual([[], []]);
    client.stop();
    expect(clock.pending).toBe(0);
  });

  it('answers one request at a time, and the time of each counts from its own start', async () => {
    const { clock, children, begin, restarts } = start();
    const first = await begin('server');
    const second = await begin('interfaces');
    const third = await begin('server');
    const [child] = children as [ProcessDouble];
    expect(child.sent.map((request) => 'source' in request && request.source)).toEqual(['server']);
    await clock.advance(TIMEOUT_MS - 1);
    child.answer(ok(SERVER));
    await settle();
    expect(first.outcome).toEqual(ok(SERVER));
    expect(child.sent.map((request) => 'source' in request && request.source)).toEqual([
      'server',
      'interfaces',
    ]);
    await clock.advance(TIMEOUT_MS - 1);
    expect(second.outcome).toBeUndefined();
    child.answer(ok({ source: 'interfaces', interfaces: [] }));
    await settle();
    expect(second.outcome).toMatchObject({ frame: { source: 'interfaces' } });
    child.answer({ status: 'stopped', report: REPORT });
    await settle();
    expect(third.outcome).toEqual({ status: 'stopped', report: REPORT });
    expect([restarts, children.length]).toEqual([[], 1]);
  });

  it('may fail to read: that is an outcome and no reason to end it', async () => {
    const { client, children, restarts } = start();
    const outcomes: ReadOutcome[] = [
      {
        status: 'failed',
        failure: { kind: 'permission', message: 'no', function: 'MprAdminServerConnect', code: 5 },
        report: REPORT,
      },
      { status: 'inapplicable', report: REPORT },
    ];
    for (const outcome of outcomes) {
      const reading = client.read('ports');
      await settle();
      children[0]!.answer(outcome);
      expect(await reading).toEqual(outcome);
    }
    expect([children.length, restarts]).toEqual([1, []]);
  });

  it('says which exports are missing', () => {
    const { client, children, missing, begin } = start();
    return begin().then(() => {
      children[0]!.say({ type: 'ready', missing: ['MprAdminConnectionEnumEx'] });
      expect(missing).toEqual([['MprAdminConnectionEnumEx']]);
      client.stop();
    });
  });

  function connectionsFrame(count: number, user: (i: number) => string): Frame {
    const decoder = new ConnectionDecoder('level4', () => NOW_SECONDS);
    decoder.begin();
    const records = Array.from({ length: count }, (_, i) =>
      connection('level4', i + 1, { wszUserName: user(i) }),
    );
    decoder.page(pageOf(...records), count);
    return decoder.finish();
  }

  it('sends identities in parts, and the frame arrives whole', async () => {
    const { children, begin, restarts } = start();
    const frame = connectionsFrame(2 * IDENTITIES_PER_MESSAGE + 1, (i) => `user ${i} \ud800 Ö`);
    const messages = [...toMessages(1, ok(frame))];
    expect(messages.map(({ type }) => type)).toEqual(['identities', 'identities', 'identities', 'outcome']);
    const reading = await begin('connections');
    for (const message of messages) {
      expect(reading.outcome).toBeUndefined();
      children[0]!.say(message);
    }
    await settle();
    expect(reading.outcome).toEqual(ok(frame));
    expect(restarts).toEqual([]);
  });

  it('that sends none gives none: parts do not stay for the next frame', async () => {
    const { children, begin } = start();
    const frame = connectionsFrame(3, (i) => `user ${i}`);
    for (const expected of [frame, { ...frame, identities: [] }]) {
      const reading = await begin('connections');
      children[0]!.answer(ok(expected));
      await settle();
      expect(reading.outcome).toEqual(ok(expected));
    }
  });
});

describe('N1', () => {
  it('N1 a read that takes too long ends at the deadline, with the child killed and counted', async () => {
    const { clock, children, restarts, begin, lines } = start();
    const reading = await begin('connections');
    await clock.advance(TIMEOUT_MS - 1);
    expect([reading.outcome, children[0]!.killed]).toEqual([undefined, 0]);
    await clock.advance(1);
    expect(reading.outcome).toMatchObject({
      ...hostFailure(/^reading connections took longer than 10000 ms: /),
      report: { seconds: TIMEOUT_MS / 1000, calls: [] },
    });
    expect([children[0]!.killed, restarts]).toEqual([1, ['timeout']]);
    expect(lines).toHaveLength(1);
    expect(lines[0]).toContain('warn native host process killed');
  });

  it('N1 the next read works at once, in a new child, and nothing of the old one counts any more', async () => {
    const { clock, children, restarts, begin, sound } = start();
    const late = await begin();
    await clock.advance(TIMEOUT_MS);
    expect(late.outcome).toMatchObject({ status: 'failed' });
    const reading = await begin();
    expect(children).toHaveLength(2);
    expect(children[1]!.startedAtMs).toBe(clock.monotonicMs());
    children[0]!.answer(ok({ ...SERVER, portsInUse: 999 }), children[1]!.sent[0]!.id);
    children[0]!.say('garbage');
    children[0]!.exit('SIGKILL');
    await settle();
    expect(reading.outcome).toBeUndefined();
    children[1]!.answer(ok(SERVER));
    await settle();
    expect(reading.outcome).toEqual(ok(SERVER));
    expect(await sound()).toEqual(ok(SERVER));
    expect([children.length, children[1]!.killed, restarts]).toEqual([2, 0, ['timeout']]);
  });

  it('N1 those that wait behind a read that hangs get a new child', async () => {
    const { clock, children, begin } = start();
    await begin('connections');
    const next = await begin('server');
    await clock.advance(TIMEOUT_MS);
    await settle();
    expect(children).toHaveLength(2);
    children[1]!.answer(ok(SERVER));
    await settle();
    expect(next.outcome).toEqual(ok(SERVER));
  });
});

describe('N2', () => {
  it('N2 a crash fails the read under way at once and is counted', async () => {
    const { clock, children, restarts, begin } = start();
    const reading = await begin();
    children[0]!.exit('SIGSEGV');
    await settle();
    expect(reading.outcome).toMatchObject(hostFailure(/^the native host process ended \(SIGSEGV\): /));
    expect([restarts, clock.pending]).toEqual([['crash'], 0]);
  });

  it('N2 a crash between two reads is counted, and the next read works', async () => {
    const { children, restarts, sound } = start();
    await sound();
    children[0]!.exit();
    expect(restarts).toEqual(['crash']);
    expect(await sound()).toEqual(ok(SERVER));
    expect(children).toHaveLength(2);
  });

  it('N2 a child that cannot be loaded says why', async () => {
    const { children, restarts, begin } = start();
    const reading = await begin();
    children[0]!.say({ type: 'fatal', message: 'mprapi.dll: not found' });
    expect(children[0]!.killed).toBe(1);
    children[0]!.exit('SIGKILL');
    await settle();
    expect(reading.outcome).toMatchObject(hostFailure(/^mprapi\.dll: not found: /));
    expect(restarts).toEqual(['crash']);
  });

  it('N2 a process that cannot be started at all is a crash, and no exception', async () => {
    let broken = true;
    const { clock, client, restarts, sound } = start(() => {
      if (broken) throw new Error('spawn ENOMEM');
    });
    expect(await client.read('server')).toMatchObject(hostFailure(/cannot be started \(spawn ENOMEM\): /));
    expect(await client.read('ports')).toMatchObject(hostFailure(/ENOMEM/));
    expect(restarts).toEqual(['crash', 'crash']);
    broken = false;
    await clock.advance(1000);
    expect(await sound()).toEqual(ok(SERVER));
  });

  it('N2 restarts in a row wait as the list says, and one answer starts it over', async () => {
    const { clock, children, client, restarts, sound } = start();
    const waits: number[] = [];
    for (let i = 0; i < BACKOFF_MS.length + 2; i += 1) {
      // Scrapes come far more often than restarts.
      const from = clock.monotonicMs();
      while (children.length === i) {
        void client.read('server');
        await settle();
        if (children.length === i) await clock.advance(250);
      }
      if (i > 0) waits.push(children[i]!.startedAtMs - from);
      await clock.advance(TIMEOUT_MS);
    }
    expect(waits).toEqual([...BACKOFF_MS, BACKOFF_MS.at(-1)]);
    expect(new Set(restarts)).toEqual(new Set(['timeout']));
    await clock.advance(BACKOFF_MS.at(-1)!);
    expect(await sound()).toEqual(ok(SERVER));
    children.at(-1)!.exit();
    expect(await sound()).toEqual(ok(SERVER));
    expect(children.at(-1)!.startedAtMs).toBe(clock.monotonicMs());
  });

  it('N2 after 5 crashes in 5 minutes it stays down until the window has passed', async () => {
    const { clock, client, children, restarts, sound } = start();
    const firstMs = clock.monotonicMs();
    for (let i = 0; i < CRASH_LIMIT; i += 1) {
      // Each works for a while: the backoff alone would start the next at once.
      expect(await sound()).toEqual(ok(SERVER));
      children.at(-1)!.exit();
      await clock.advance(10_000);
    }
    expect(restarts).toHaveLength(CRASH_LIMIT);
    while (clock.monotonicMs() < firstMs + CRASH_WINDOW_MS) {
      expect(await client.read('server')).toMatchObject(hostFailure(/is down; it is started again in \d+ s/));
      expect(children).toHaveLength(CRASH_LIMIT);
      await clock.advance(10_000);
    }
    expect(await sound()).toEqual(ok(SERVER));
    expect(children).toHaveLength(CRASH_LIMIT + 1);
  });

  it('N2 crashes further apart than that never keep it down', async () => {
    const { clock, children, sound } = start();
    for (let i = 0; i < 12; i += 1) {
      expect(await sound()).toEqual(ok(SERVER));
      children.at(-1)!.exit();
      await clock.advance(CRASH_WINDOW_MS / (CRASH_LIMIT - 1));
    }
    expect(children).toHaveLength(12);
  });
});

describe('N8', () => {
  const columns = (length: number): ConnectionColumns => {
    const u32 = new Uint32Array(length);
    const f64 = new Float64Array(length);
    return {
      slot: u32,
      duration: u32,
      flags: u32,
      quarantine: u32,
      receivedBytes: f64,
      transmittedBytes: f64,
      receivedFrames: u32,
      transmittedFrames: u32,
      crc: u32,
      timeout: u32,
      alignment: u32,
      hardware_overrun: u32,
      framing: u32,
      buffer_overrun: u32,
      compressionIn: u32,
      compressionOut: u32,
      switchovers: u32,
    };
  };
  const outcome = (frame: unknown, id = 1) => ({
    type: 'outcome',
    id,
    outcome: { status: 'ok', frame, report: REPORT },
  });
  const connections = { source: 'connections', api: 'ex', count: 2, columns: columns(2), identities: [] };
  const part = (() => {
    const { value } = toMessages(1, ok({ ...connections, identities: [[4, IDENTITY]] } as Frame)).next();
    return (value as Extract<HostMessage, { type: 'identities' }>).part;
  })();
  const identities = (wrong: object) => ({ type: 'identities', id: 1, part: { ...part, ...wrong } });

  it.each<[string, unknown]>([
    ['nothing', undefined],
    ['null', null],
    ['a text', 'alice@example.com'],
    ['an array', [1, 2]],
    ['no type', { id: 1 }],
    ['another type', { type: 'hello', id: 1 }],
    ['no outcome', { type: 'outcome', id: 1 }],
    ['no report', { type: 'outcome', id: 1, outcome: { status: 'stopped' } }],
    ['an unknown status', { type: 'outcome', id: 1, outcome: { status: 'fine', report: REPORT } }],
    ['a number of another request', outcome(SERVER, 2)],
    ['the number as a text', { ...outcome(SERVER), id: '1' }],
    ['a frame of another source', outcome({ source: 'interfaces', interfaces: [] })],
    ['an unknown source', outcome({ ...SERVER, source: 'users' })],
    ['a field of another type', outcome({ ...SERVER, running: 'yes' })],
    ['a field too few', outcome({ source: 'server', running: true })],
    ['not a number', outcome({ ...SERVER, uptimeSeconds: NaN })],
    ['columns of another length', outcome({ ...connections, count: 3 })],
    ['columns of another type', outcome({ ...connections, columns: { ...columns(2), slot: [0, 1] } })],
    ['a count beyond all servers', outcome({ ...connections, count: 2_000_000 })],
    ['identities with the frame', outcome({ ...connections, identities: [[4, IDENTITY]] })],
    ['identities that are none', { type: 'identities', id: 1, part: null }],
    ['half an identity', identities({ texts: { handle: ['1'] } })],
    ['identities without words', identities({ words: undefined })],
    ['slots of another type', identities({ slots: [4] })],
    ['more slots than identities', identities({ slots: Uint32Array.of(4, 5) })],
    ['a text too few', identities({ texts: { ...part.texts, user: [] } })],
    ['a text that is none', identities({ texts: { ...part.texts, user: [7] } })],
    ['a text longer than any', identities({ texts: { ...part.texts, user: ['x'.repeat(1025)] } })],
    ['a word that nobody knows', identities({ words: { ...part.words, auth: Uint8Array.of(200) } })],
    ['words of another type', identities({ words: { ...part.words, auth: [0] } })],
    ['identities of another request', { ...identities({}), id: 9 }],
  ])('N8 %s instead of an answer ends the child, as a break of the protocol', async (_what, message) => {
    const { children, restarts, lines, begin, sound } = start();
    const reading = await begin();
    children[0]!.say(message);
    await settle();
    expect(reading.outcome).toMatchObject(
      hostFailure(/^the native host process sent something that is not an answer/),
    );
    expect([children[0]!.killed, restarts]).toEqual([1, ['protocol']]);
    // What it sent may be anybody's name.
    expect(lines.join() + JSON.stringify(reading.outcome)).not.toContain('alice');
    expect(await sound()).toEqual(ok(SERVER));
  });

  it('N8 a second answer ends the child, also when nobody waits for one', async () => {
    const { children, restarts, begin, sound } = start();
    const reading = await begin();
    children[0]!.answer(ok(SERVER));
    children[0]!.answer(ok({ ...SERVER, portsInUse: 9 }));
    await settle();
    expect(reading.outcome).toEqual(ok(SERVER));
    expect([children[0]!.killed, restarts]).toEqual([1, ['protocol']]);
    expect(await sound()).toEqual(ok(SERVER));
    const next = await begin();
    children[1]!.answer(ok(SERVER), 1);
    await settle();
    expect(next.outcome).toMatchObject(hostFailure(/not an answer/));
    expect(restarts).toEqual(['protocol', 'protocol']);
  });

  it('N8 a child that never exits when killed is left behind for a new one', async () => {
    const { children, begin, sound } = start();
    await begin();
    children[0]!.say('garbage');
    await settle();
    expect(children[0]!.killed).toBe(1);
    expect(await sound()).toEqual(ok(SERVER));
    children[0]!.say('more garbage');
    children[0]!.exit();
    expect(await sound()).toEqual(ok(SERVER));
    expect(children).toHaveLength(2);
  });

  it('N8 breaks of the protocol count as crashes', async () => {
    const { client, clock, children, begin } = start();
    for (let i = 0; i < CRASH_LIMIT; i += 1) {
      await begin();
      children.at(-1)!.say('garbage');
      await clock.advance(10_000);
    }
    expect(children).toHaveLength(CRASH_LIMIT);
    expect(await client.read('server')).toMatchObject(hostFailure(/is down/));
  });

  it('N8 every message of a sound child passes the check', () => {
    const failed: ReadOutcome = { status: 'failed', failure: { kind: 'gone', message: 'x' }, report: REPORT };
    const all = [ok(SERVER), failed, ok({ ...connections, identities: [[4, IDENTITY]] } as Frame)];
    for (const each of all) {
      for (const message of toMessages(7, each)) {
        expect(parseHostMessage(deserialize(serialize(message)))).toEqual(message);
      }
    }
  });
});

describe('stop', () => {
  it('ends the child and the read under way, and no read starts another', async () => {
    const { clock, client, children, begin } = start();
    const reading = await begin();
    const queued = await begin();
    client.stop();
    await settle();
    expect(children[0]!.killed).toBe(1);
    for (const each of [reading, queued]) {
      expect(each.outcome).toMatchObject(hostFailure(/^the exporter is shutting down/));
    }
    expect(await client.read('server')).toMatchObject(hostFailure(/shutting down/));
    client.stop();
    expect([children.length, children[0]!.killed, clock.pending]).toEqual([1, 1, 0]);
  });

  it('is no crash when the child then ends', async () => {
    const { client, children, restarts, lines, sound } = start();
    await sound();
    client.stop();
    children[0]!.exit('SIGKILL');
    expect([restarts, lines]).toEqual([[], []]);
  });
});

describe('an idle child', () => {
  it('is ended after a while, which is no restart, and the next read starts one anew', async () => {
    const { clock, client, children, restarts, lines, sound } = start();
    for (const count of [1, 2, 3]) {
      expect(await sound()).toEqual(ok(SERVER));
      expect(children).toHaveLength(count);
      await clock.advance(IDLE_MS - 1);
      expect(children.at(-1)!.killed).toBe(0);
      await clock.advance(1);
      expect(children.at(-1)!.killed).toBe(1);
      // It is told of later, as ends of processes are.
      children.at(-1)!.exit('SIGKILL');
      expect(clock.pending).toBe(0);
      await clock.advance(10 * IDLE_MS);
    }
    expect([restarts, lines]).toEqual([[], []]);
    client.stop();
    expect(children).toHaveLength(3);
  });

  it('stays as long as it is asked for often enough', async () => {
    const { clock, client, children, sound } = start();
    for (let i = 0; i < 20; i += 1) {
      await sound();
      await clock.advance(IDLE_MS - 1);
    }
    expect([children.length, children[0]!.killed]).toEqual([1, 0]);
    client.stop();
  });

  it('is none while a request is under way, however long that takes', async () => {
    const { clock, client, children, sound, begin } = start();
    client.setTimeoutMs(2 * IDLE_MS);
    await sound();
    await clock.advance(IDLE_MS - 1);
    const slow = await begin();
    await clock.advance(2 * IDLE_MS - 1);
    expect([slow.outcome, children[0]!.killed]).toEqual([undefined, 0]);
    children[0]!.answer(ok(SERVER));
    await settle();
    expect(slow.outcome).toEqual(ok(SERVER));
    client.stop();
  });

  it('that crashes is a crash, and one that was ended counts not towards those', async () => {
    const { clock, client, children, restarts, sound } = start();
    for (let i = 0; i < 2 * CRASH_LIMIT; i += 1) {
      await sound();
      await clock.advance(IDLE_MS);
      children.at(-1)!.exit('SIGKILL');
    }
    await sound();
    children.at(-1)!.exit('SIGSEGV');
    expect(restarts).toEqual(['crash']);
    expect(await sound()).toEqual(ok(SERVER));
    client.stop();
  });
});

describe('children of several servers', () => {
  const SOURCES_OF_A_POLL = 4;

  /** Clients that share so many places; each child answers at once, but those that hang. */
  function fleet(servers: number, max: number) {
    const places = new HostPlaces(max);
    const clock = new FakeClock();
    const started: number[] = [];
    const inside = new Set<number>();
    const hanging = new Set<number>();
    const restarts: string[] = [];
    const quiet = (): void => undefined;
    let most = 0;
    const clients = Array.from({ length: servers }, (_, server) => {
      const spawn = (): HostProcess => {
        started.push(server);
        inside.add(server);
        most = Math.max(most, inside.size);
        const child = new ProcessDouble(clock.monotonicMs());
        return {
          send: (request) => {
            child.send(request);
            if (!hanging.has(server)) setImmediate(() => child.answer(ok(SERVER)));
          },
          onMessage: (listener) => child.onMessage(listener),
          onExit: quiet,
          kill: () => void inside.delete(server),
        };
      };
      return new HostClient({
        spawn,
        clock,
        logger: { debug: quiet, info: quiet, warn: quiet, error: quiet },
        places,
        timeoutMs: TIMEOUT_MS,
        onRestart: (reason) => void restarts.push(`${server} ${reason}`),
      });
    });
    const read = (server: number) => {
      const state: { outcome?: ReadOutcome } = {};
      const whole = clients[server]!.read('server').then((outcome) => (state.outcome = outcome));
      return { state, whole };
    };
    /** One source after the other, as a poll has them. */
    const poll = async (server: number): Promise<readonly ReadOutcome[]> => {
      const outcomes: ReadOutcome[] = [];
      while (outcomes.length < SOURCES_OF_A_POLL) outcomes.push(await clients[server]!.read('server'));
      return outcomes;
    };
    /** Lets time pass until it is over. */
    const passing = async <T>(promise: Promise<T>): Promise<T> => {
      const state = { isOver: false };
      void promise.finally(() => (state.isOver = true));
      for (let i = 0; !state.isOver && i < 1000; i += 1) {
        await settle();
        await clock.advance(10);
      }
      return promise;
    };
    return { clock, clients, started, inside, hanging, restarts, read, poll, passing, most: () => most };
  }

  it('are as many as may be and no more, and every server is read', async () => {
    const { poll, passing, started, restarts, most } = fleet(8, 3);
    for (let round = 1; round <= 3; round += 1) {
      const outcomes = await passing(Promise.all([0, 1, 2, 3, 4, 5, 6, 7].map(poll)));
      expect(outcomes.flat()).toEqual(Array(8 * SOURCES_OF_A_POLL).fill(ok(SERVER)));
    }
    expect(most()).toBe(3);
    // Between the sources of a poll nobody loses its child, however many wait for one.
    expect(started.length).toBeLessThanOrEqual(3 * 8);
    expect(restarts).toEqual([]);
  });

  it('give way to each other only while they have nothing to do', async () => {
    const { clock, read, started, inside, hanging, passing } = fleet(2, 1);
    hanging.add(0);
    const slow = read(0);
    await settle();
    await clock.advance(1);
    const other = read(1);
    await settle();
    await clock.advance(TIMEOUT_MS - 2);
    expect([slow.state.outcome, other.state.outcome, started]).toEqual([undefined, undefined, [0]]);
    hanging.delete(0);
    // Its deadline is over: so is its child, and the place is free.
    await clock.advance(1);
    await passing(other.whole);
    expect(slow.state.outcome).toMatchObject(hostFailure(/took longer than 10000 ms/));
    expect([...inside]).toEqual([1]);
  });

  it('that all hang keep nobody waiting past the deadline, who is told by which flag', async () => {
    const { clock, clients, read, started, hanging, restarts } = fleet(3, 1);
    hanging.add(0);
    clients[0]!.setTimeoutMs(2 * TIMEOUT_MS);
    read(0);
    const [second, third] = [read(1), read(2)];
    await settle();
    await clock.advance(TIMEOUT_MS);
    await settle();
    const given = [second, third].map(({ state }) => state.outcome);
    expect(given.filter((outcome) => outcome?.status === 'failed')).toMatchObject([
      {
        failure: {
          kind: 'host_down',
          message: expect.stringMatching(
            /^as many native host processes as may be are at work \(--native\.max-processes\), and none came free within 10000 ms: /,
          ) as unknown,
        },
        report: { seconds: 0, calls: [] },
      },
      { failure: { kind: 'host_down' } },
    ]);
    expect([started, restarts]).toEqual([[0], []]);
    // Who gave up is no part of the queue any more.
    await clock.advance(TIMEOUT_MS);
    expect([started, restarts]).toEqual([[0], ['0 timeout']]);
  });

  it('that waited for a place and were stopped say so, and start nothing when one comes free', async () => {
    const { clients, read, started, hanging, inside, clock } = fleet(3, 1);
    hanging.add(0);
    const readings = [read(0), read(1), read(2)];
    await settle();
    // One after the other, as the end of the exporter has it: each place that comes free goes to the next.
    for (const client of clients) client.stop();
    await settle();
    for (const { state } of readings) {
      expect(state.outcome).toMatchObject(hostFailure(/^the exporter is shutting down/));
    }
    expect([started, inside.size, clock.pending]).toEqual([[0], 0, 0]);
  });

  it('act in turn with reads, and an action that found no place was not carried out', async () => {
    const { clock, clients, read, hanging } = fleet(2, 1);
    hanging.add(0);
    clients[0]!.setTimeoutMs(2 * TIMEOUT_MS);
    read(0);
    const state: { result?: ActResult } = {};
    const act: ActRequest = { action: 'inspect_interface', interfaceName: 'Site-Berlin' };
    void clients[1]!.act(act).then((result) => (state.result = result));
    await settle();
    await clock.advance(TIMEOUT_MS);
    await settle();
    expect(state.result).toMatchObject({
      outcome: 'retryable',
      failure: { message: expect.stringContaining('--native.max-processes') as unknown },
    });
  });
});

describe('reset', () => {
  it('starts a new child, which has sent nothing yet', async () => {
    const { client, children, restarts, sound } = start();
    client.reset();
    expect(restarts).toEqual([]);
    await sound();
    client.reset();
    expect([children[0]!.killed, restarts]).toEqual([1, ['protocol']]);
    expect(await sound()).toEqual(ok(SERVER));
    expect(children).toHaveLength(2);
  });
});

describe('an action', () => {
  const CONNECT: ActRequest = {
    action: 'connect',
    interfaceName: 'Site-Berlin',
    interfaceHandle: '0000000000000005',
  };
  const LOOK: ActRequest = { action: 'inspect_interface', interfaceName: 'Site-Berlin' };
  const RESULT: ActResult = {
    outcome: 'in_progress',
    code: 600,
    failure: null,
    interfaceNow: null,
    connectionNow: null,
    report: REPORT,
  };
  const act = async (client: HostClient, request: ActRequest) => {
    const state: { result?: ActResult } = {};
    void client.act(request).then((result) => (state.result = result));
    await settle();
    return state;
  };
  const acted = (child: ProcessDouble, result: unknown = RESULT): void =>
    child.say({ type: 'acted', id: child.sent.at(-1)!.id, result });

  it('is asked of the child once, in turn with the reads', async () => {
    const { clock, client, children, begin } = start();
    const reading = await begin('server');
    const acting = await act(client, CONNECT);
    const later = await begin('ports');
    const [child] = children as [ProcessDouble];
    expect(child.sent).toEqual([{ id: 1, source: 'server' }]);
    child.answer(ok(SERVER));
    await settle();
    expect(reading.outcome).toEqual(ok(SERVER));
    expect(child.sent).toEqual([
      { id: 1, source: 'server' },
      { id: 2, act: CONNECT },
    ]);
    acted(child);
    await settle();
    expect(acting.result).toEqual(RESULT);
    expect(child.sent.at(-1)).toEqual({ id: 3, source: 'ports' });
    expect(later.outcome).toBeUndefined();
    expect(clock.pending).toBe(1);
    client.stop();
  });

  it('brings back what was seen of an interface or a connection', async () => {
    const { client, children } = start();
    const looking = await act(client, LOOK);
    const interfaceNow = {
      handle: '0000000000000005',
      name: 'half \ud83d',
      type: 'full_router',
      enabled: true,
      state: 'connecting',
      unreachableReasons: 0,
      lastError: 809,
    } as const;
    const connectionNow = {
      handle: '0000000000010000',
      guid: '',
      startTicks: '',
      tunnel: 'ikev2',
      remoteAddress: '203.0.113.9',
      localAddress: '::1',
      switchovers: 4,
    } as const;
    const result = { ...RESULT, outcome: 'done', code: 0, interfaceNow, connectionNow } as const;
    acted(children[0]!, result);
    await settle();
    expect(looking.result).toEqual(result);
  });

  type Ending = (clock: FakeClock, child: ProcessDouble) => Promise<void> | void;
  const ENDINGS: readonly (readonly [string, string, Ending])[] = [
    ['past its deadline', 'timeout', (clock) => clock.advance(TIMEOUT_MS)],
    ['when the child dies', 'crash', (_, child) => child.exit()],
    ['answered with nonsense', 'protocol', (_, child) => acted(child, { outcome: 'fine' })],
    ['answered as a read', 'protocol', (_, child) => child.answer(ok(SERVER))],
    [
      'answered with another number',
      'protocol',
      (_, child) => child.say({ type: 'acted', id: 99, result: RESULT }),
    ],
  ];

  it.each(ENDINGS)(
    '%s is in doubt, if it changes something, and never sent again',
    async (_, reason, end) => {
      for (const [request, outcome] of [
        [CONNECT, 'unknown'],
        [LOOK, 'retryable'],
      ] as const) {
        const { clock, client, children, restarts, sound } = start();
        const acting = await act(client, request);
        await end(clock, children[0]!);
        await settle();
        expect(acting.result).toMatchObject({ outcome, code: null, failure: { kind: 'host' } });
        expect(restarts).toEqual([reason]);
        expect(children[0]!.killed).toBe(1);
        expect(await sound()).toEqual(ok(SERVER));
        expect(children.flatMap(({ sent }) => sent).filter((each) => 'act' in each)).toHaveLength(1);
        client.stop();
      }
    },
  );

  it('that a read is answered with ends the child', async () => {
    const { children, begin, restarts } = start();
    const reading = await begin('server');
    acted(children[0]!);
    await settle();
    expect(reading.outcome).toMatchObject({ status: 'failed', failure: { kind: 'host' } });
    expect(restarts).toEqual(['protocol']);
  });

  it('that never reached the child was not carried out', async () => {
    const { clock, client, children } = start();
    for (let i = 0; i < 2; i += 1) {
      const acting = await act(client, CONNECT);
      children.at(-1)!.exit();
      await settle();
      expect(acting.result).toMatchObject({ outcome: 'unknown' });
    }
    expect((await act(client, CONNECT)).result).toMatchObject({
      outcome: 'retryable',
      failure: { message: expect.stringContaining('nothing was done; ask again later') as unknown },
    });
    expect(children).toHaveLength(2);
    await clock.advance(60_000);
    const queued = await act(client, CONNECT);
    const behind = await act(client, CONNECT);
    client.stop();
    await settle();
    expect(queued.result).toMatchObject({ outcome: 'unknown' });
    expect(behind.result).toMatchObject({ outcome: 'retryable' });
    const broken = start(() => {
      throw new Error('no such file');
    });
    expect((await act(broken.client, CONNECT)).result).toMatchObject({ outcome: 'retryable' });
  });
});
