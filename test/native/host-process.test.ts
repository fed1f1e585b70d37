/** The real child process over the simulator: what arrives, and that nothing of it outlives its parent. */
import type { ChildProcess } from 'node:child_process';
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { enumerate } from '../../src/collector/enumerate.ts';
import type { ConnectionsFrame, FrameOf, ReadOutcome } from '../../src/model/frames.ts';
import type { Source } from '../../src/model/words.ts';
import { SOURCES } from '../../src/model/words.ts';
import { forkHost, HostClient } from '../../src/native/client.ts';
import type { HostConfig } from '../../src/native/host-messages.ts';
import { Host } from '../../src/native/host.ts';
import { openApi } from '../../src/native/open-api.ts';
import { systemClock } from '../../src/runtime/clock.ts';

const started = vi.hoisted(() => ({ pids: [] as number[] }));
vi.mock('node:child_process', async (original) => {
  const real = await original<typeof import('node:child_process')>();
  const tracked = ((...args: Parameters<typeof real.fork>) => {
    const child = real.fork(...args);
    if (child.pid !== undefined) started.pids.push(child.pid);
    return child;
  }) as typeof real.fork;
  return { ...real, fork: tracked };
});

const path = (relative: string): string => fileURLToPath(new URL(relative, import.meta.url));
const ENTRY = path('../../src/native-host.ts');
const HANGING_ENTRY = path('../fixtures/hanging-host.ts');
const PARENT = path('../fixtures/host-parent.ts');
const SMALL: HostConfig = {
  backend: 'simulator',
  scenario: 'small',
  seed: 1,
  startedAt: Date.now() / 1000,
  server: null,
};

const logger = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
};
const clients: HostClient[] = [];
const parents: ChildProcess[] = [];

afterEach(() => {
  for (const client of clients.splice(0)) client.stop();
  for (const parent of parents.splice(0)) parent.kill('SIGKILL');
  for (const pid of started.pids.splice(0)) if (isAlive(pid)) process.kill(pid, 'SIGKILL');
});

function start(entry: string, config: HostConfig = SMALL, timeoutMs = 15_000) {
  const restarts: string[] = [];
  let ready = (): void => undefined;
  const isReady = new Promise<void>((resolve) => (ready = resolve));
  const client = new HostClient({
    spawn: () => forkHost(entry, config),
    clock: systemClock,
    logger,
    timeoutMs,
    onRestart: (reason) => void restarts.push(reason),
    onReady: () => ready(),
  });
  clients.push(client);
  return { client, restarts, isReady, pid: () => started.pids.at(-1)! };
}

/** A process that has ended but was not waited for yet, by whoever took it over, counts as ended. */
function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch {
    return false;
  }
  if (process.platform !== 'linux') return true;
  try {
    return !/^\d+ \(.*\) [ZX] /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return false;
  }
}

async function millisecondsUntilDead(pid: number, limitMs: number): Promise<number> {
  const from = performance.now();
  while (isAlive(pid) && performance.now() - from < limitMs) await delay(5);
  return isAlive(pid) ? Infinity : performance.now() - from;
}

function frameOf<S extends Source>(outcome: ReadOutcome<FrameOf<S>>): FrameOf<S> {
  if (outcome.status !== 'ok') throw new Error(JSON.stringify(outcome));
  return outcome.frame;
}

/** Without what goes on while one of two readers comes after the other. */
function withoutTime(frame: FrameOf<Source>): unknown {
  switch (frame.source) {
    case 'server':
      return { ...frame, uptimeSeconds: Math.round(frame.uptimeSeconds / 10) };
    case 'connections': {
      const { slot, quarantine, compressionIn, compressionOut } = frame.columns;
      const identities = frame.identities.map(([at, identity]) => [at, { ...identity, startTicks: '' }]);
      return { ...frame, identities, columns: { slot, quarantine, compressionIn, compressionOut } };
    }
    case 'ports':
      return { ...frame, condition: frame.condition.length };
    case 'interfaces':
      return {
        ...frame,
        interfaces: frame.interfaces.map(({ handle, name, type, enabled, idleDisconnectSeconds }) => ({
          handle,
          name,
          type,
          enabled,
          idleDisconnectSeconds,
        })),
      };
  }
}

describe('the child process', () => {
  it('gives the frames that a host in the same process gives', async () => {
    const { client, restarts, isReady } = start(ENTRY);
    // Both simulations begin within moments of each other.
    const first = client.read('server');
    await isReady;
    const host = new Host({
      api: await openApi(SMALL, systemClock),
      enumerate,
      clock: systemClock,
      server: null,
    });
    await first;
    for (const source of SOURCES) {
      const [here, there] = [await host.read(source), await client.read(source)];
      const [frame, expected] = [frameOf(there), frameOf(here)];
      expect(withoutTime(frame)).toEqual(withoutTime(expected));
      expect(there.report.calls.map(({ function: name, code }) => [name, code])).toEqual(
        // The first read of the server has connected already.
        here.report.calls
          .map(({ function: name, code }) => [name, code])
          .filter(([name]) => name !== 'MprAdminServerConnect'),
      );
      expect(there.report).toMatchObject({ pages: here.report.pages, anomalies: {} });
    }
    expect(restarts).toEqual([]);
    await host.close();
  });

  it('sends columns of numbers as typed arrays, and each identity once', async () => {
    const { client } = start(ENTRY);
    const first: ConnectionsFrame = frameOf(await client.read('connections'));
    expect(first.identities).toHaveLength(first.count);
    expect(first.count).toBeGreaterThan(5);
    const second = frameOf(await client.read('connections'));
    expect(second.identities).toEqual([]);
    expect(second.columns.slot).toEqual(first.columns.slot);
    for (const [name, column] of Object.entries(second.columns) as [string, Uint32Array | Float64Array][]) {
      expect(column.constructor.name).toBe(name.endsWith('Bytes') ? 'Float64Array' : 'Uint32Array');
      expect(column).toHaveLength(second.count);
    }
  });

  it('simulates as many connections as it is told to, and sends their identities in parts', async () => {
    const { client, restarts } = start(ENTRY, { ...SMALL, scenario: 'large', connections: 2500 });
    const frame: ConnectionsFrame = frameOf(await client.read('connections'));
    expect(frame.count).toBe(2500);
    expect(new Set(frame.identities.map(([slot]) => slot))).toEqual(new Set(frame.columns.slot));
    expect(frame.identities).toHaveLength(2500);
    expect(restarts).toEqual([]);
  });

  it('acts on the server that it reads, in turn with the reads', async () => {
    const { client, restarts } = start(ENTRY, { ...SMALL, scenario: 'office' });
    const site = { interfaceName: 'Site-Lisboa', interfaceHandle: '0000000000000001' };
    const look = { action: 'inspect_interface', interfaceName: 'Site-Lisboa' } as const;
    const [connected, seen, connections, hungUp] = await Promise.all([
      client.act({ action: 'connect', ...site }),
      client.act(look),
      client.read('connections'),
      client.act({ action: 'disconnect', ...site }),
    ]);
    expect(connected).toMatchObject({ outcome: 'in_progress', code: 600 });
    expect(seen.interfaceNow).toMatchObject({ name: 'Site-Lisboa', state: 'connecting', lastError: 809 });
    expect(hungUp).toMatchObject({ outcome: 'done', code: 0 });
    expect((await client.act(look)).interfaceNow).toMatchObject({ state: 'disconnected' });
    const identity = frameOf(connections)
      .identities.map(([, each]) => each)
      .find(({ tunnel }) => tunnel === 'ikev2')!;
    const which = { connectionHandle: identity.handle, session: identity };
    const addresses = { localAddress: '198.51.100.7', remoteAddress: '203.0.113.9' };
    await client.act({ action: 'update_endpoint', ...which, interfaceIndex: 12, ...addresses });
    const moved = await client.act({ action: 'inspect_connection', ...which });
    expect(moved.connectionNow).toMatchObject(addresses);
    expect(await client.act({ action: 'hang_up', ...which })).toMatchObject({ outcome: 'done' });
    expect(await client.act({ action: 'inspect_connection', ...which })).toMatchObject({ outcome: 'gone' });
    expect(restarts).toEqual([]);
  });

  it('A5 that hangs in the call of an action is dead after the deadline, and the action in doubt', async () => {
    const { client, restarts, isReady, pid } = start(HANGING_ENTRY, SMALL, 2500);
    const acting = client.act({ action: 'connect', interfaceName: 'x', interfaceHandle: '0000000000000001' });
    await isReady;
    expect(await acting).toMatchObject({ outcome: 'unknown', failure: { kind: 'host' } });
    expect(restarts).toEqual(['timeout']);
    expect(await millisecondsUntilDead(pid(), 500)).toBeLessThan(500);
  });

  it('N2 that is killed is a crash, and the next read works with everything sent anew', async () => {
    const { client, restarts, pid } = start(ENTRY);
    const before = frameOf(await client.read('connections'));
    const killed = pid();
    process.kill(killed, 'SIGKILL');
    await vi.waitFor(() => expect(restarts).toEqual(['crash']), 5000);
    const after = frameOf(await client.read('connections'));
    expect(pid()).not.toBe(killed);
    expect(after.identities).toHaveLength(before.count);
  });

  it('that cannot open what it is to stand on says so', async () => {
    const wrong = {
      backend: 'simulator',
      scenario: 'no-such-scenario',
      server: null,
    } as unknown as HostConfig;
    const { client, restarts, pid } = start(ENTRY, wrong);
    const outcome = await client.read('server');
    expect(outcome).toMatchObject({ status: 'failed', failure: { kind: 'host' } });
    expect(outcome.status === 'failed' && outcome.failure.message).not.toMatch(/took longer|not an answer/);
    expect(restarts).toEqual(['crash']);
    expect(await millisecondsUntilDead(pid(), 2000)).toBeLessThan(2000);
  });

  it('N1 that hangs in a native call is dead soon after the deadline', async () => {
    const { client, restarts, isReady, pid } = start(HANGING_ENTRY, SMALL, 2500);
    const from = performance.now();
    const reading = client.read('server');
    await isReady;
    expect(await reading).toMatchObject({ status: 'failed', failure: { kind: 'host' } });
    expect(performance.now() - from).toBeLessThan(2500 + 500);
    expect(restarts).toEqual(['timeout']);
    expect(await millisecondsUntilDead(pid(), 1000)).toBeLessThan(1000);
  });

  it('is dead soon after stop, also while a native call hangs', async () => {
    for (const entry of [ENTRY, HANGING_ENTRY]) {
      const { client, isReady, pid } = start(entry);
      const reading = client.read('server');
      await isReady;
      if (entry === ENTRY) await reading;
      client.stop();
      await reading;
      expect(await millisecondsUntilDead(pid(), 2000)).toBeLessThan(1000);
    }
  });
});

describe('what the child loads', () => {
  /** Packages of all modules that these import, types aside. */
  function packagesOf(...entries: readonly string[]): string[] {
    const packages = new Set<string>();
    const modules = new Set(entries.map(path));
    for (const file of modules) {
      const imports = /^(?:import|export)(?! type)[^;]*? from '([^']+)'/gm;
      for (const [, name = ''] of readFileSync(file, 'utf8').matchAll(imports)) {
        if (name.startsWith('.')) modules.add(resolve(dirname(file), name));
        else if (!name.startsWith('node:')) packages.add(name);
      }
    }
    return [...packages].sort();
  }

  it('is small: no schemas, as the exporter has them for what the child says, and nothing of a web server', () => {
    const [dll, simulator] = ['../../src/native/mprapi.ts', '../../src/native/simulator/server.ts'];
    expect(packagesOf('../../src/native-host.ts', dll, simulator)).toEqual(['ipaddr.js', 'koffi']);
    expect(packagesOf('../../src/native/client.ts')).toContain('zod');
  });
});

describe('no orphan', () => {
  async function startParent(entry: string) {
    const parent = fork(PARENT, [entry], { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
    parents.push(parent);
    const messages: unknown[] = [];
    parent.on('message', (message) => messages.push(message));
    await vi.waitFor(() => expect(messages).not.toEqual([]), 10_000);
    const [{ pid }] = messages as [{ pid: number }];
    started.pids.push(pid);
    expect(isAlive(pid)).toBe(true);
    return { parent, pid, messages };
  }

  it.skipIf(process.platform === 'win32').each(['SIGINT', 'SIGTERM', 'SIGHUP'] as const)(
    'and no end before its parent by %s, which may go to all processes of the exporter at once',
    async (signal) => {
      const { parent, pid, messages } = await startParent(ENTRY);
      await vi.waitFor(() => expect(messages).toHaveLength(2), 10_000);
      process.kill(pid, signal);
      parent.send('read');
      await vi.waitFor(() => expect(messages[2]).toEqual({ status: 'ok' }), 10_000);
      const gone = once(parent, 'exit');
      parent.kill(signal);
      await gone;
      expect(await millisecondsUntilDead(pid, 3000)).toBeLessThan(1000);
    },
  );

  it.each([
    ['when its parent is killed', ENTRY, 'SIGKILL'],
    ['when its parent is killed while a native call hangs', HANGING_ENTRY, 'SIGKILL'],
    ['when its parent exits while a native call hangs', HANGING_ENTRY, 'exit'],
  ] as const)('is left within 1 s %s', async (_when, entry, how) => {
    const { parent, pid, messages } = await startParent(entry);
    if (entry === ENTRY) await vi.waitFor(() => expect(messages[1]).toEqual({ status: 'ok' }), 10_000);
    const gone = once(parent, 'exit');
    if (how === 'exit') parent.send('exit');
    else parent.kill('SIGKILL');
    await gone;
    expect(await millisecondsUntilDead(pid, 3000)).toBeLessThan(1000);
  });
});
