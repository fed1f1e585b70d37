/** The guarded actions as a whole: guards, idempotency, rights and the pause, over restarts, on bad disks and at random. */
import { createHash, createHmac } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { AuditLine } from '../../src/admin/audit-file.ts';
import type { ActRequest } from '../../src/model/actions.ts';
import type { Grant, GuardPolicy, HookRule, Overridable, Right } from '../../src/model/admin.ts';
import { FakeClock, settle } from '../doubles/fake-clock.ts';
import type { DiskOperation, Loss } from '../doubles/fake-disk.ts';
import { DISK_OPERATIONS, FakeDisk } from '../doubles/fake-disk.ts';
import { SiteServer } from '../doubles/site-server.ts';
import { alertOn, configOf, deliveryOf, diceOf, Life, MINUTE, OPS, RULE } from './exporter-life.ts';

const HOUR = 60 * MINUTE;
const DAY_SECONDS = 86_400;
const SITES = ['Site-A', 'Site-B', 'Site-C', 'Site-D'] as const;

function sites(names: readonly string[] = SITES) {
  const clock = new FakeClock();
  const server = new SiteServer(clock, names);
  return { clock, server, actor: server, snapshot: () => Promise.resolve(server.snapshot()) };
}

async function start(guards: Partial<GuardPolicy> = {}, disk = new FakeDisk()) {
  const world = sites();
  const life = await Life.begin(world, { config: configOf({ guards }), disk });
  return { world, server: world.server, life };
}

const of = (lines: readonly AuditLine[], kind: string): AuditLine[] =>
  lines.filter((line) => line.kind === kind);
const grant = (rights: readonly Right[], interfaces: readonly string[] = ['*'], name = 'bot'): Grant => ({
  name,
  rights,
  interfaces,
});

/** A link that is down again whenever it is asked for. */
function neverUp(server: SiteServer, name: string): void {
  server.link(name).dial = 691;
}

describe('the cool-down', () => {
  it('follows each action, doubles with each failure in a row up to the longest, and says how long it lasts', async () => {
    const { life, server } = await start({ breakerFailures: 10, cooldownMaxMs: 5 * MINUTE });
    neverUp(server, 'Site-A');
    const waits: number[] = [];
    for (let n = 0; n < 5; n += 1) {
      const { action } = await life.request('Site-A');
      // A dial that fails is seen to after 2 s.
      await life.pass(2000);
      expect(life.service.action(OPS, action!.id)!.state).toBe('failed');
      const refused = await life.request('Site-A');
      expect(refused).toMatchObject({
        decision: 'cooldown',
        retryAfterSeconds: expect.any(Number) as number,
      });
      waits.push(refused.retryAfterSeconds!);
      await life.pass(refused.retryAfterSeconds! * 1000 - 1);
      expect((await life.request('Site-A')).decision).toBe('cooldown');
      await life.pass(1);
    }
    expect(waits).toEqual([60, 120, 240, 300, 300]);
    server.link('Site-A').dial = 0;
    expect((await life.reconnect('Site-A')).state).toBe('succeeded');
    server.link('Site-A').state = 'unreachable';
    await life.reconnect('Site-A');
    server.link('Site-A').state = 'unreachable';
    await life.pass(MINUTE);
    expect((await life.request('Site-A')).decision).toBe('execute');
  });

  it('holds over restarts, with what is left of it', async () => {
    const { life, server } = await start({ cooldownMs: 10 * MINUTE });
    neverUp(server, 'Site-A');
    await life.reconnect('Site-A');
    await life.pass(3 * MINUTE);
    const next = await life.next('unsynced');
    // 2 s of the dial and 5 min have passed.
    expect(await next.request('Site-A')).toMatchObject({
      decision: 'cooldown',
      retryAfterSeconds: 5 * 60 + 2,
    });
  });

  it('C3 is the same whatever the system clock does while it lasts', async () => {
    for (const jump of [DAY_SECONDS, -DAY_SECONDS]) {
      const { world, life, server } = await start({ cooldownMs: 10 * MINUTE });
      neverUp(server, 'Site-A');
      await life.request('Site-A');
      await life.pass(2000);
      world.clock.jumpWall(jump);
      await life.pass(9 * MINUTE);
      expect(await life.request('Site-A')).toMatchObject({ decision: 'cooldown', retryAfterSeconds: 60 });
      await life.pass(MINUTE);
      expect((await life.request('Site-A')).decision).toBe('execute');
    }
  });

  it('C3 begins anew at a restart for which the system clock was set back: nothing was done in the future', async () => {
    const { world, life, server } = await start({ cooldownMs: 10 * MINUTE, rateBurst: 3 });
    neverUp(server, 'Site-A');
    await life.reconnect('Site-A');
    world.clock.jumpWall(-DAY_SECONDS);
    const next = await life.next();
    expect(await next.request('Site-A')).toMatchObject({ decision: 'cooldown', retryAfterSeconds: 600 });
    expect((await next.request('Site-B')).decision).toBe('execute');
    expect(await next.verify()).toMatchObject({ ok: true });
  });
});

describe('the breaker', () => {
  it('opens after 3 failures, holds over restarts, and is closed by who has the right to reset', async () => {
    const { life, server } = await start();
    neverUp(server, 'Site-A');
    for (let n = 0; n < 3; n += 1) {
      expect(life.service.breakerOpen('Site-A')).toBe(false);
      await life.reconnect('Site-A');
      await life.pass(HOUR);
    }
    const next = await life.next('unsynced');
    expect(next.service.breakerOpen('Site-A')).toBe(true);
    expect(await next.request('Site-A')).toMatchObject({ decision: 'breaker' });
    const reset = (caller: Grant, name: string) => next.service.reset(caller, name, 'mended', 'reset');
    expect(await reset(grant(['reconnect', 'override']), 'Site-A')).toMatchObject({ decision: 'forbidden' });
    expect(await reset(grant(['reset'], ['Branch-*']), 'Site-A')).toMatchObject({ decision: 'forbidden' });
    expect(await reset(OPS, 'Site-Gone')).toMatchObject({ decision: 'gone', missing: 'target' });
    expect(await reset(grant(['reset']), 'Site-A')).toMatchObject({ decision: 'execute' });
    expect(of(await next.lines(), 'reset')).toMatchObject([
      { interface: 'Site-A', actor: 'bot', reason: 'mended' },
    ]);
    const third = await next.next('unsynced');
    expect(third.service.breakerOpen('Site-A')).toBe(false);
    expect((await third.request('Site-A')).decision).toBe('execute');
  });

  it('D3 is not closed if that cannot be written', async () => {
    const { life, server } = await start({ breakerFailures: 1 });
    neverUp(server, 'Site-A');
    await life.reconnect('Site-A');
    life.disk.freeBytes = 0;
    expect(await life.service.reset(OPS, 'Site-A', 'mended', 'reset')).toMatchObject({ decision: 'audit' });
    expect(life.service.breakerOpen('Site-A')).toBe(true);
  });

  it('of a server that cannot be read is not closed, and nobody is told that there is no such interface', async () => {
    const { life, server } = await start();
    server.isDown = true;
    expect(await life.service.reset(OPS, 'Site-A', 'mended', 'reset')).toMatchObject({
      decision: 'gone',
      missing: 'server',
    });
  });
});

describe('an override', () => {
  it('passes cool-down, breaker and minHealthy, by right only, and stands in the log', async () => {
    const { life, server } = await start({ breakerFailures: 1, maxUnreachableShare: 0.5 });
    server.link('Site-B').state = 'connected';
    server.link('Site-C').state = 'connected';
    neverUp(server, 'Site-A');
    await life.reconnect('Site-A');
    server.link('Site-B').state = 'unreachable';
    const ask = async (override: readonly Overridable[], caller = OPS) =>
      (await life.request('Site-A', { override }, caller)).decision;
    const without = grant(['reconnect']);
    expect(await ask(['breaker', 'cooldown', 'min_healthy'], without)).toBe('forbidden');
    expect(await ask([])).toBe('breaker');
    expect(await ask(['breaker'])).toBe('min_healthy');
    expect(await ask(['breaker', 'min_healthy'], grant(['reconnect', 'override']))).toBe('execute');
    await life.pass(2000);
    expect(await ask(['breaker', 'min_healthy'])).toBe('cooldown');
    expect(await ask(['breaker', 'min_healthy', 'cooldown'])).toBe('execute');
    expect(of(await life.lines(), 'intent').map((line) => line['override'])).toEqual([
      [],
      ['breaker', 'min_healthy'],
      ['breaker', 'min_healthy', 'cooldown'],
    ]);
  });

  it('passes nothing else', async () => {
    const override = ['cooldown', 'breaker', 'min_healthy'] as const;
    const { life } = await start({ deny: ['Site-D'], rateBurst: 1, maxConcurrent: 2 });
    expect(await life.request('Site-D', { override })).toMatchObject({ decision: 'denied' });
    expect(await life.request('Site-A', { override })).toMatchObject({ decision: 'execute' });
    expect(await life.request('Site-A', { override })).toMatchObject({ decision: 'busy' });
    expect(await life.request('Site-B', { override })).toMatchObject({ decision: 'rate' });
    life.disk.freeBytes = 0;
    await life.service.pause(OPS, 'stop', undefined);
    expect(await life.request('Site-B', { override })).toMatchObject({ decision: 'paused' });
  });
});

describe('bounds', () => {
  it('one action on an interface, and so many over all', async () => {
    const { life, server } = await start({ maxConcurrent: 2 });
    for (const name of SITES) server.link(name).dial = null;
    expect((await life.request('Site-A')).decision).toBe('execute');
    const again = await life.request('Site-A', { force: true });
    expect(again).toMatchObject({ decision: 'busy', retryAfterSeconds: 5 });
    expect(again.crowded).toBeUndefined();
    expect((await life.request('Site-B')).decision).toBe('execute');
    expect(await life.request('Site-C')).toMatchObject({
      decision: 'busy',
      crowded: true,
      reason: '2 actions are under way',
    });
    await life.pass(2 * MINUTE);
    expect((await life.request('Site-C')).decision).toBe('execute');
  });

  it('A3 the bucket is as full after a restart as it was before', async () => {
    const { life } = await start({ rateBurst: 2 });
    await life.reconnect('Site-A');
    await life.reconnect('Site-B');
    const before = await life.request('Site-C');
    expect(before).toMatchObject({ decision: 'rate', retryAfterSeconds: expect.any(Number) as number });
    const seconds = before.retryAfterSeconds!;
    let now = life;
    for (const loss of ['unsynced', 'nothing', 'unsynced'] as const) {
      now = await now.next(loss);
      expect(await now.request('Site-C')).toMatchObject({ decision: 'rate', retryAfterSeconds: seconds });
    }
    await now.pass(seconds * 1000);
    expect(await now.request('Site-C')).toMatchObject({ decision: 'execute' });
    expect(await (await now.next('unsynced')).request('Site-D')).toMatchObject({ decision: 'rate' });
  });

  it('minHealthy refuses when most links are down at once: then the uplink is', async () => {
    const { life, server } = await start({ maxUnreachableShare: 0.5 });
    expect(await life.request('Site-A')).toMatchObject({
      decision: 'min_healthy',
      reason: '4 of 4 enabled interfaces are unreachable at once: look at the uplink first',
    });
    server.link('Site-B').enabled = false;
    expect((await life.request('Site-A')).decision).toBe('execute');
  });

  it('a dry run does nothing, costs nothing, and is told', async () => {
    const { life, server } = await start({ dryRun: true, rateBurst: 1 });
    for (let n = 0; n < 3; n += 1) {
      expect(await life.request('Site-A')).toMatchObject({
        decision: 'dry_run',
        action: { state: 'denied', decision: 'dry_run' },
      });
    }
    expect(server.requests).toEqual([]);
    expect(of(await life.lines(), 'intent')).toEqual([]);
    expect(of(await life.lines(), 'decision')).toHaveLength(3);
  });

  it('what is refused is told in the log, with who asked, why, and what stood in the way', async () => {
    const { life } = await start({ deny: ['Site-A'] });
    const { action } = await life.request('Site-A', { reason: 'please' });
    expect(of(await life.lines(), 'decision')).toMatchObject([
      {
        actionId: action!.id,
        action: 'reconnect',
        target: { interface: 'Site-A' },
        actor: 'ops',
        reason: 'please',
        decision: 'denied',
      },
    ]);
    expect(await life.verify()).toMatchObject({ ok: true });
  });
});

describe('a pause', () => {
  it('stops what is to come, until it is resumed, and both stand in the log', async () => {
    const { life, server } = await start();
    expect(life.service.paused.paused).toBe(false);
    const { action } = await life.request('Site-A');
    const state = await life.service.pause(grant(['pause'], [], 'human'), 'maintenance', undefined);
    expect(state).toMatchObject({ paused: true, actor: 'human', persisted: true });
    expect(await life.request('Site-B')).toMatchObject({ decision: 'paused' });
    await life.pass(10_000);
    // What was under way goes on.
    expect(server.changes).toEqual(['connect Site-A']);
    expect(life.service.action(OPS, action!.id)).toMatchObject({ state: 'succeeded' });
    const next = await life.next('unsynced');
    expect(next.log).toContainEqual(expect.objectContaining({ message: 'actions are paused' }) as unknown);
    expect(await next.request('Site-B')).toMatchObject({ decision: 'paused' });
    expect(await next.service.resume(OPS, 'done')).toMatchObject({ paused: false });
    expect((await next.request('Site-B')).decision).toBe('execute');
    const lines = await next.lines();
    expect(of(lines, 'pause')).toMatchObject([{ actor: 'human', reason: 'maintenance', seconds: null }]);
    expect(of(lines, 'resume')).toMatchObject([{ actor: 'ops', reason: 'done' }]);
  });

  it('is for who has the right to it', async () => {
    const { life } = await start();
    const other = grant(['reconnect', 'disconnect', 'reset', 'hook', 'override', 'read']);
    expect(await life.service.pause(other, 'no', undefined)).toBeUndefined();
    await life.service.pause(OPS, 'yes', undefined);
    expect(await life.service.resume(other, 'no')).toBeUndefined();
    expect(life.service.paused.paused).toBe(true);
  });

  it('C3 ends at its time by the monotonic clock', async () => {
    const { world, life } = await start();
    await life.service.pause(OPS, 'for an hour', 3600);
    world.clock.jumpWall(DAY_SECONDS);
    await life.pass(HOUR - 1);
    expect((await life.request('Site-A')).decision).toBe('paused');
    await life.pass(1);
    expect((await life.request('Site-A')).decision).toBe('execute');
  });
});

describe('D3 a disk that is full or broken', () => {
  const faults: readonly (readonly [string, (disk: FakeDisk) => void])[] = [
    ['full', (disk) => (disk.freeBytes = 0)],
    ['nearly full', (disk) => (disk.freeBytes = 300)],
    ['failing at fsync', (disk) => disk.fail('sync', 'EIO', 1000)],
    ['failing at a write', (disk) => disk.fail('write', 'EIO', 1000)],
  ];

  it.each(faults)('%s: no action without the log; all is as before when it is mended', async (_, fault) => {
    const { life, server } = await start({ rateBurst: 2, maxConcurrent: 1 });
    fault(life.disk);
    for (let n = 0; n < 5; n += 1) {
      for (const name of SITES) {
        expect(await life.request(name, { idempotency: { key: name, body: '' } })).toMatchObject({
          decision: 'audit',
          reason: 'the audit log cannot be written, and nothing is done without it',
        });
      }
    }
    expect(server.requests).toEqual([]);
    expect(life.events.filter((event) => event === 'audit failure')).toHaveLength(20);
    expect(life.events).not.toContain('started reconnect');
    life.disk.heal();
    // Neither the place, nor a token, nor a key, nor a cool-down was used up.
    expect(await life.request('Site-A', { idempotency: { key: 'Site-A', body: '' } })).toMatchObject({
      decision: 'execute',
    });
    await life.pass(10_000);
    expect(await life.request('Site-B')).toMatchObject({ decision: 'execute' });
    await life.pass(10_000);
    expect(server.changes).toEqual(['connect Site-A', 'connect Site-B']);
    expect(await life.verify()).toMatchObject({ ok: true });
  });

  it('full: a pause is kept and survives', async () => {
    const { life, server } = await start();
    life.disk.freeBytes = 0;
    expect(await life.service.pause(OPS, 'x'.repeat(500), undefined)).toMatchObject({
      paused: true,
      persisted: true,
    });
    const after = life.disk.reboot('unsynced');
    after.freeBytes = 0;
    const next = await Life.begin(sites(), { disk: after });
    expect(next.service.paused).toMatchObject({ paused: true, actor: 'ops' });
    expect(await next.request('Site-A')).toMatchObject({ decision: 'paused' });
    expect(server.requests).toEqual([]);
  });

  it('broken: a pause holds although nothing can be written, and says that it is not kept', async () => {
    const { life } = await start();
    life.disk.fail('sync', 'EIO', 1000);
    expect(await life.service.pause(OPS, 'stop', undefined)).toMatchObject({
      paused: true,
      persisted: false,
    });
    expect(await life.request('Site-A')).toMatchObject({ decision: 'paused' });
    life.disk.heal();
    expect(await life.service.resume(OPS, 'go')).toMatchObject({ paused: false, persisted: true });
  });

  it('full at the start: nothing runs, and open intents are closed when it has room', async () => {
    const { life, world } = await start();
    world.server.link('Site-A').dial = null;
    await life.request('Site-A');
    await life.pass(1000);
    life.die();
    const full = life.disk.reboot('unsynced');
    full.freeBytes = 0;
    const second = await Life.begin(world, { disk: full });
    expect(second.log).toContainEqual(
      expect.objectContaining({
        level: 'error',
        message: 'no action will run until this is mended',
      }) as unknown,
    );
    expect(second.service.actions(OPS)).toMatchObject([{ state: 'unknown' }]);
    expect(await second.request('Site-B')).toMatchObject({ decision: 'audit' });
    const third = await second.next('unsynced');
    expect(of(await third.lines(), 'outcome')).toMatchObject([{ state: 'unknown' }]);
    expect(world.server.dials).toBe(1);
  });

  it('D4 with a log that cannot be trusted nothing is done, but a pause holds', async () => {
    const { life } = await start();
    await life.reconnect('Site-A');
    life.die();
    const disk = life.disk.reboot('unsynced');
    const path = disk.paths.find((each) => each.endsWith('.jsonl'))!;
    disk.put(path, Buffer.from(disk.bytesOf(path).toString().replace('a test', 'a tEst')));
    const before = disk.bytesOf(path);
    const world = sites();
    const second = await Life.begin(world, { disk });
    expect(JSON.stringify(second.log)).toContain('no action will run until this is mended');
    expect(await second.request('Site-A')).toMatchObject({ decision: 'audit' });
    expect(await second.service.pause(OPS, 'a test', undefined)).toMatchObject({
      paused: true,
      persisted: true,
    });
    expect(await second.service.reset(OPS, 'Site-A', 'a test', 'reset')).toMatchObject({ decision: 'audit' });
    expect(world.server.dials).toBe(0);
    expect(disk.bytesOf(path)).toEqual(before);
  });

  it('A4 what is forbidden leaves a line under the name of who asked, and so many lines in an hour only', async () => {
    const { life, server } = await start();
    const other = grant(['reconnect'], ['Branch *'], 'other');
    expect(await life.request('Site-A', { override: ['breaker'] }, other)).toMatchObject({
      decision: 'forbidden',
    });
    const [told] = of(await life.lines(), 'decision');
    expect(told).toMatchObject({
      actor: 'other',
      decision: 'forbidden',
      override: ['breaker'],
      force: false,
    });
    for (let n = 0; n < 1000; n += 1) await life.request('Site-A', {}, other);
    expect(of(await life.lines(), 'decision').length).toBe(600);
    expect(server.dials).toBe(0);
  });

  it('with the right to read shows what is done to what the caller may act on, and his own', async () => {
    const { life } = await start();
    await life.reconnect('Site-A');
    expect(life.service.actions(grant(['read'], ['Branch *']))).toEqual([]);
    expect(life.service.actions(grant(['read'], ['Site-*']))).toHaveLength(1);
  });
});

describe('an idempotency key', () => {
  const once = { idempotency: { key: 'k', body: '{"reason":"a"}' } };

  it('makes the same request run once, and later ones learn how it stands', async () => {
    const { life, server } = await start();
    const first = await life.request('Site-A', once);
    expect(first.decision).toBe('execute');
    expect(await life.request('Site-A', once)).toMatchObject({
      decision: 'duplicate',
      action: { id: first.action!.id },
    });
    await life.pass(10_000);
    expect(await life.request('Site-A', once)).toMatchObject({
      decision: 'duplicate',
      action: { id: first.action!.id, state: 'succeeded' },
    });
    expect(server.dials).toBe(1);
  });

  it('used for another request is refused, and nothing is done', async () => {
    const { life, server } = await start();
    await life.request('Site-A', once);
    const other = { idempotency: { key: 'k', body: '{"reason":"b"}' } };
    expect(await life.request('Site-B', other)).toMatchObject({ decision: 'invalid', reused: true });
    const [first, second] = await Promise.all([
      life.request('Site-C', { idempotency: { key: 'l', body: '1' } }),
      life.request('Site-C', { idempotency: { key: 'l', body: '2' } }),
    ]);
    expect([first.decision, second.decision]).toEqual(['execute', 'invalid']);
    await life.pass(10_000);
    expect(server.changes).toEqual(['connect Site-A', 'connect Site-C']);
  });

  it('A2 makes 10 requests at once run once', async () => {
    const { life, server } = await start();
    const answers = await Promise.all(Array.from({ length: 10 }, () => life.request('Site-A', once)));
    expect(answers.map(({ decision }) => decision).sort()).toEqual([
      ...Array<string>(9).fill('duplicate'),
      'execute',
    ]);
    expect(new Set(answers.map(({ action }) => action!.id)).size).toBe(1);
    await life.pass(10_000);
    expect(server.dials).toBe(1);
  });

  it('A1 holds over a restart, and for a day', async () => {
    const { life, server } = await start();
    const { action } = await life.request('Site-A', once);
    await life.pass(10_000);
    const next = await life.next('unsynced');
    expect(await next.request('Site-A', once)).toMatchObject({
      decision: 'duplicate',
      action: { id: action!.id },
    });
    expect(await next.request('Site-A', { idempotency: { key: 'k', body: 'other' } })).toMatchObject({
      reused: true,
    });
    await next.pass(24 * HOUR);
    server.link('Site-A').state = 'unreachable';
    expect(await next.request('Site-A', once)).toMatchObject({ decision: 'execute' });
  });

  it('is not used up by what was refused or failed to be written', async () => {
    const { life, server } = await start({ deny: ['Site-D'] });
    await life.service.pause(OPS, 'stop', undefined);
    expect((await life.request('Site-A', once)).decision).toBe('paused');
    await life.service.resume(OPS, 'go');
    life.disk.fail('sync', 'EIO', 1);
    const failed = await Promise.all([life.request('Site-A', once), life.request('Site-A', once)]);
    expect(failed.map(({ decision }) => decision)).toEqual(['audit', 'audit']);
    expect((await life.request('Site-A', once)).decision).toBe('execute');
    await life.pass(10_000);
    expect(server.dials).toBe(1);
  });

  it('S2 is the caller’s own', async () => {
    const { life, server } = await start();
    const key = (caller: string, text: string) =>
      life.request(
        'Site-A',
        { idempotency: { key: text, body: '' } },
        grant(['reconnect', 'read'], ['*'], caller),
      );
    expect((await key('a', 'bc')).decision).toBe('execute');
    await life.pass(10_000);
    expect((await key('a', 'bc')).decision).toBe('duplicate');
    // The same letters otherwise divided are another key.
    expect((await key('ab', 'c')).decision).toBe('already_connected');
    expect(server.dials).toBe(1);
  });
});

describe('a caller', () => {
  it('needs the right to the action, for the interface, before anything is looked up', async () => {
    const { world, life, server } = await start();
    let looked = 0;
    const { snapshot } = world;
    world.snapshot = () => {
      looked += 1;
      return snapshot();
    };
    for (const name of ['Site-A', 'Site-Gone']) {
      for (const caller of [
        grant([]),
        grant(['disconnect', 'hook', 'override']),
        grant(['reconnect'], ['Branch-*']),
      ]) {
        expect(await life.request(name, {}, caller)).toMatchObject({ decision: 'forbidden' });
      }
    }
    expect(looked).toBe(0);
    expect(server.requests).toEqual([]);
    expect(await life.request('Site-A', {}, grant(['reconnect'], ['site-?']))).toMatchObject({
      decision: 'execute',
    });
  });

  it('sees own actions, and those of others with the right to read', async () => {
    const { life } = await start();
    const own = await life.request('Site-A', {}, grant(['reconnect'], ['*'], 'own'));
    const other = await life.request('Site-B', {}, grant(['reconnect'], ['*'], 'other'));
    const seen = (rights: readonly Right[]) =>
      life.service.actions(grant(rights, ['*'], 'own')).map(({ id }) => id);
    expect(seen(['reconnect'])).toEqual([own.action!.id]);
    expect(seen(['read']).sort()).toEqual([own.action!.id, other.action!.id].sort());
    expect(life.service.action(grant([], ['*'], 'own'), other.action!.id)).toBeUndefined();
    expect(life.service.action(grant([], ['*'], 'own'), own.action!.id)).toBeDefined();
    expect(life.service.action(grant(['read']), 'nonsense')).toBeUndefined();
  });

  it('may wait for the end of an action, but not longer than it says', async () => {
    const { life, server } = await start();
    const { action } = await life.request('Site-A');
    const waited = life.service.settled(action!.id, 30_000);
    await life.pass(10_000);
    expect(await waited).toMatchObject({ state: 'succeeded' });
    server.link('Site-B').dial = null;
    const second = await life.request('Site-B');
    const soon = life.service.settled(second.action!.id, 5000);
    await life.pass(5000);
    expect(await soon).toMatchObject({ state: 'verifying' });
    // What is over or not there is not waited for.
    expect(await life.service.settled(action!.id, 30_000)).toMatchObject({ state: 'succeeded' });
    expect(await life.service.settled('nonsense', 30_000)).toBeUndefined();
  });

  it('is known by a token first, then by a certificate', async () => {
    const tokens = [
      { ...grant(['read'], ['*'], 'token'), sha256: createHash('sha256').update('secret').digest('hex') },
    ];
    const clientCertificates = [{ ...grant(['read'], ['*'], 'cert'), subjectAltName: 'DNS:a' }];
    const life = await Life.begin(sites(), { config: configOf({ tokens, clientCertificates }) });
    const { service } = life;
    expect(service.callerOf('secret', ['DNS:a'])?.name).toBe('token');
    expect(service.callerOf('wrong', ['DNS:a'])?.name).toBe('cert');
    expect(service.callerOf(undefined, ['DNS:a'])?.name).toBe('cert');
    expect(service.callerOf(undefined, [])).toBeUndefined();
    expect(service.callerOf('', [])).toBeUndefined();
  });

  it('A1 is Grafana by a signature of now, for its interfaces, with the right to alerts alone', async () => {
    const secret = Buffer.from('0123456789abcdef0123456789abcdef');
    const grafana = {
      secret,
      signatureHeader: 'X-Signature',
      timestampHeader: 'X-Timestamp',
      maxAgeMs: 5 * MINUTE,
      interfaces: ['Site-*'],
    };
    const world = sites();
    const life = await Life.begin(world, { config: configOf({ hooks: { grafana } }) });
    const body = Buffer.from('{}');
    const signed = (ageSeconds: number) => {
      const timestamp = String(Math.floor(world.clock.wallSeconds()) - ageSeconds);
      const signature = createHmac('sha256', secret).update(`${timestamp}:`).update(body).digest('hex');
      return (name: string): string => ({ 'X-Signature': signature, 'X-Timestamp': timestamp })[name] ?? '';
    };
    expect(life.service.grafanaOf(body, signed(10))).toEqual({
      name: 'grafana',
      rights: ['hook'],
      interfaces: ['Site-*'],
    });
    expect(life.service.claimsGrafana(signed(10))).toBe(true);
    expect(life.service.grafanaOf(Buffer.from('{ }'), signed(10))).toBeUndefined();
    expect(life.service.grafanaOf(body, signed(301))).toBeUndefined();
    expect(life.service.grafanaOf(body, () => '')).toBeUndefined();
    expect(life.service.claimsGrafana(() => '')).toBe(false);
    const without = await Life.begin(sites());
    expect(without.service.grafanaOf(body, signed(10))).toBeUndefined();
    expect(without.service.claimsGrafana(signed(10))).toBe(false);
  });
});

/**
 * What must be true of any run, whatever happens in it. It sees each call before it is answered, and outlives all lives.
 */
class Run {
  static readonly guards = {
    cooldownMs: 30_000,
    cooldownMaxMs: 2 * MINUTE,
    rateBurst: 3,
    ratePerMs: 8 * MINUTE,
    maxConcurrent: 2,
    attemptTimeoutMs: 10_000,
  };
  static readonly rules: readonly HookRule[] = [
    { ...RULE, name: 'once', maxAttempts: 1, matchers: [{ label: 'once', operator: '=', value: 'yes' }] },
    { ...RULE, name: 'twice', maxAttempts: 2 },
  ];
  readonly world = sites();
  life: Life;
  /** When actions of earlier lives began, on the clock that never jumps. */
  readonly #beganMs: number[] = [];
  readonly #dialledMs = new Map<string, number>();
  /** Interfaces whose cool-down somebody has ended, or passes. */
  readonly #freed = new Set<string>();
  /** Dials and hang-ups of each action. */
  readonly #calls = new Map<string, string[]>();
  /** The life dies at this call of the server, before or after it is done. */
  deathAt: { calls: number; isDone: boolean } | undefined;
  #wasFaulty = false;
  #wasPaused = false;
  /** Of this life, at the last check. */
  #begun = 0;
  /** What was found to be wrong in the middle of a call, where nobody would hear of it. */
  #wrong: unknown;

  private constructor(life: (run: Run) => Life) {
    this.world.server.intercept = (request) =>
      this.#see(request).catch((error: unknown) => {
        this.#wrong ??= error;
        return undefined;
      });
    this.life = life(this);
  }

  static async begin(): Promise<Run> {
    const config = configOf({ guards: Run.guards, hooks: { rules: Run.rules } });
    const run = new Run(({ world }) => Life.create(world, { config }));
    await run.life.open();
    return run;
  }

  async #see({ action, ...request }: ActRequest) {
    const { life, world } = this;
    if (action === 'connect' || action === 'disconnect') {
      const name = 'interfaceName' in request ? request.interfaceName : '';
      const lines = await life.lines(life.disk.reboot('unsynced'));
      const ended = new Set(of(lines, 'outcome').map(({ actionId }) => actionId));
      const intent = of(lines, 'intent').findLast(
        (line) => (line['target'] as { interface?: string }).interface === name && !ended.has(line.actionId),
      );
      // D2: an effect without an intent that no crash can take away.
      expect(intent, `${action} ${name}`).toBeDefined();
      const calls = this.#calls.get(intent!.actionId!) ?? [];
      calls.push(action);
      this.#calls.set(intent!.actionId!, calls);
      // Hung up first, dialled, cancelled: each at most once.
      expect([
        'connect',
        'disconnect',
        'disconnect connect',
        'connect disconnect',
        'disconnect connect disconnect',
      ]).toContain(calls.join(' '));
      if (action === 'connect') {
        const now = world.clock.monotonicMs();
        const sinceMs = now - (this.#dialledMs.get(name) ?? -Infinity);
        if (!this.#freed.delete(name)) expect(sinceMs, name).toBeGreaterThanOrEqual(Run.guards.cooldownMs);
        this.#dialledMs.set(name, now);
        meet('dial');
      }
    }
    if (!this.deathAt) return undefined;
    this.deathAt.calls -= 1;
    if (this.deathAt.calls > 0) return undefined;
    life.die();
    return this.deathAt.isDone ? undefined : new Promise<undefined>(() => undefined);
  }

  free(name: string): void {
    this.#freed.add(name);
  }

  spoil(): void {
    this.#wasFaulty = true;
  }

  async pause(doing: boolean): Promise<void> {
    const { service } = this.life;
    await this.life.alive(doing ? service.pause(OPS, 'a', undefined) : service.resume(OPS, 'a'));
  }

  /** The next life, if this one is over. */
  async goOn(loss: Loss): Promise<void> {
    this.deathAt = undefined;
    if (!this.life.disk.isDead) {
      this.life.disk.diesAtStep = Infinity;
      return;
    }
    const made = this.world.server.requests.length;
    // The dead do nothing.
    await this.world.clock.advance(20_000);
    expect(this.world.server.requests).toHaveLength(made);
    this.#beganMs.push(...this.life.beganMs);
    this.#begun = 0;
    this.#wasFaulty = false;
    this.#wasPaused = false;
    const life = await this.life.next(loss, { monotonicMs: 1000 });
    this.life = life;
    expect(await life.verify()).toMatchObject({ ok: true });
    const lines = await life.lines();
    const ended = new Set(of(lines, 'outcome').map(({ actionId }) => actionId));
    expect(of(lines, 'intent').filter(({ actionId }) => !ended.has(actionId))).toEqual([]);
    expect(this.world.server.requests).toHaveLength(made);
    meet('death');
  }

  async check(): Promise<void> {
    const { life, world } = this;
    await settle();
    if (this.#wrong !== undefined) throw new Error('a call that must not be', { cause: this.#wrong });
    if (life.disk.isDead) return;
    // The log.
    const verdict = await life.verify();
    if (!verdict.ok) {
      expect(this.#wasFaulty).toBe(true);
      expect(verdict.fault.problem).toBe('torn');
    }
    const lines = await life.lines();
    const intents = of(lines, 'intent');
    const outcomes = of(lines, 'outcome').map(({ actionId }) => actionId);
    expect(new Set(outcomes).size).toBe(outcomes.length);
    expect(new Set(intents.map(({ actionId }) => actionId)).size).toBe(intents.length);
    expect(intents.map(({ actionId }) => actionId)).toEqual(expect.arrayContaining(outcomes));
    expect(world.server.dials).toBeLessThanOrEqual(intents.length);
    // A1.
    const attempts = new Map<string, number>();
    for (const line of intents) {
      const alert = line['alert'] as { rule: string; attemptKey: string } | undefined;
      if (!alert) continue;
      const executed = (attempts.get(alert.attemptKey) ?? 0) + 1;
      attempts.set(alert.attemptKey, executed);
      expect(executed).toBeLessThanOrEqual(alert.rule === 'once' ? 1 : 2);
      if (executed === 2) meet('second attempt');
    }
    // One on an interface, and so many over all.
    const underway = life.service
      .actions(OPS)
      .filter(({ state }) => ['intended', 'acting', 'verifying'].includes(state))
      .map(({ target }) => target.interface);
    expect(new Set(underway).size).toBe(underway.length);
    expect(underway.length).toBeLessThanOrEqual(Run.guards.maxConcurrent);
    if (underway.length === 2) meet('two at once');
    this.#checkBucket();
  }

  /** A3: never more than the burst, and what the time since gives. */
  #checkBucket(): void {
    const { life } = this;
    const { rateBurst, ratePerMs } = Run.guards;
    const all = [...this.#beganMs, ...life.beganMs];
    all.forEach((fromMs, index) => {
      const passedMs = all.at(-1)! - fromMs;
      const allowed = rateBurst + (passedMs / ratePerMs) * rateBurst;
      expect(all.length - index).toBeLessThanOrEqual(allowed + 0.001);
    });
    const { paused } = life.service.paused;
    if (this.#wasPaused && paused) expect(life.beganMs).toHaveLength(this.#begun);
    this.#wasPaused = paused;
    this.#begun = life.beganMs.length;
    if (life.events.includes('audit failure')) meet('audit failure');
  }
}

/** How often each thing was met: a property that never meets one shows nothing of it. */
const met: Record<string, number> = {};
const meet = (what: string): void => {
  met[what] = (met[what] ?? 0) + 1;
};

type Command = fc.AsyncCommand<object, { run: Run }>;
const command = (text: string, act: (run: Run) => Promise<void> | void): Command => ({
  check: () => true,
  run: async (_, { run }) => {
    await act(run);
    await run.check();
  },
  toString: () => text,
});

describe('property', () => {
  const site = fc.constantFrom(...SITES);
  const loss = fc.oneof(
    fc.constantFrom<Loss>('nothing', 'unsynced'),
    fc.nat().map((seed): Loss => ({ below: diceOf(seed) })),
  );
  const deciding = (decision: string | undefined): void => meet(decision ?? 'nothing');

  const request = fc
    .record({
      name: site,
      action: fc.constantFrom('reconnect', 'reconnect', 'disconnect'),
      force: fc.boolean(),
      key: fc.option(fc.constantFrom('k1', 'k2'), { nil: undefined }),
      override: fc.subarray<Overridable>(['cooldown', 'breaker'], { minLength: 0 }),
      times: fc.integer({ min: 1, max: 3 }),
    })
    .map(({ name, action, force, key, override, times }) =>
      command(`${times} × ${action} ${name} ${force} ${key} ${override.join()}`, async (run) => {
        if (override.includes('cooldown')) run.free(name);
        const changes = {
          action: action as 'reconnect',
          force,
          override,
          ...(key !== undefined && { idempotency: { key, body: name } }),
        };
        const all = Array.from({ length: times }, () => run.life.alive(run.life.request(name, changes)));
        for (const answer of await Promise.all(all)) deciding(answer?.decision);
      }),
    );
  /** Alerts 1 and 2 fall under the rule with one attempt, the others under that with two. */
  const alert = fc
    .record({
      name: site,
      alert: fc.integer({ min: 1, max: 4 }),
      startsAt: fc.constantFrom('2026-11-20T23:00:00Z', '2026-11-20T23:00:00Z', '2026-11-20T23:30:00Z'),
      status: fc.constantFrom<'firing' | 'resolved'>(...Array<'firing'>(5).fill('firing'), 'resolved'),
    })
    .map(({ name, ...sketch }) => ({
      name,
      sent: alertOn(name, { ...sketch, labels: { once: sketch.alert <= 2 ? 'yes' : 'no' } }),
    }));
  const deliver = async (run: Run, alerts: readonly unknown[]): Promise<void> => {
    const answer = await run.life.alive(run.life.deliver(deliveryOf(alerts)));
    answer?.alerts.forEach(({ decision }) => deciding(`alert ${decision}`));
  };
  const delivery = fc
    .array(fc.array(alert, { minLength: 1, maxLength: 4 }), { minLength: 1, maxLength: 3 })
    .map((all) => all.map((alerts) => alerts.map(({ sent }) => sent)))
    .map((all) =>
      command(`deliver ${JSON.stringify(all)}`, async (run) => {
        await Promise.all(all.map((alerts) => deliver(run, alerts)));
      }),
    );
  const firesOn = alert.map(({ name, sent }) =>
    command(`${name} cannot be dialled, and fires on: ${JSON.stringify(sent)}`, async (run) => {
      Object.assign(run.world.server.link(name), { state: 'unreachable', dial: 691 });
      for (let n = 0; n < 3; n += 1) {
        await deliver(run, [sent]);
        await run.life.pass(40_000);
      }
    }),
  );
  const commands: readonly fc.Arbitrary<Command>[] = [
    request,
    request,
    delivery,
    delivery,
    firesOn,
    fc
      .constantFrom(500, 1000, 5000, 30_000, 2 * MINUTE)
      .map((ms) => command(`pass ${ms}`, ({ life }) => life.pass(ms))),
    fc
      .record({ name: site, dial: fc.constantFrom(0, 691, 691, null), down: fc.boolean() })
      .map(({ name, dial, down }) =>
        command(`${name} ${down ? 'goes down' : 'stays'}, and dials ${dial}`, ({ world }) => {
          const link = world.server.link(name);
          link.dial = dial;
          if (down && link.state === 'connected') link.state = 'unreachable';
        }),
      ),
    loss.map((each) =>
      command(`kill -9, ${JSON.stringify(each)}`, async (run) => {
        run.life.die();
        await run.goOn(each);
      }),
    ),
    fc.constant(
      command('SIGTERM', async (run) => {
        await run.life.service.close();
        run.life.die();
        await run.goOn('nothing');
      }),
    ),
    fc
      .record({ steps: fc.integer({ min: 1, max: 3000 }), then: fc.oneof(request, delivery), each: loss })
      .map(({ steps, then, each }) =>
        command(
          `die in ${steps} steps of the disk (${JSON.stringify(each)}): ${String(then)}`,
          async (run) => {
            run.life.disk.diesAtStep = run.life.disk.steps + steps;
            await then.run({}, { run });
            await run.life.pass(5000);
            await run.goOn(each);
          },
        ),
      ),
    fc
      .record({
        calls: fc.integer({ min: 1, max: 4 }),
        isDone: fc.boolean(),
        then: fc.oneof(request, delivery),
        each: loss,
      })
      .map(({ calls, isDone, then, each }) =>
        command(`die at call ${calls} ${isDone} (${JSON.stringify(each)}): ${String(then)}`, async (run) => {
          run.deathAt = { calls, isDone };
          await then.run({}, { run });
          await run.life.pass(5000);
          await run.goOn(each);
        }),
      ),
    fc
      .record({
        operation: fc.constantFrom<DiskOperation>(...DISK_OPERATIONS),
        times: fc.integer({ min: 1, max: 4 }),
      })
      .map(({ operation, times }) =>
        command(`${times} × ${operation} fails`, (run) => {
          run.spoil();
          run.life.disk.fail(operation, 'EIO', times);
        }),
      ),
    fc.nat(1500).map((bytes) =>
      command(`${bytes} bytes are free`, (run) => {
        run.spoil();
        run.life.disk.freeBytes = bytes;
      }),
    ),
    fc.constant(command('the disk is mended', ({ life }) => life.disk.heal())),
    fc.boolean().map((doing) => command(doing ? 'pause' : 'resume', (run) => run.pause(doing))),
    fc.constant(command('resume', (run) => run.pause(false))),
    site.map((name) =>
      command(`reset ${name}`, async (run) => {
        run.free(name);
        await run.life.alive(run.life.service.reset(OPS, name, 'a', 'reset'));
      }),
    ),
    // Never forward: over a restart, that is what time that has passed looks like.
    fc
      .integer({ min: 1, max: 3600 })
      .map((back) => command(`the clock goes back ${back} s`, ({ world }) => world.clock.jumpWall(-back))),
  ];

  it('A1 A2 A3 A5 D2 D3 whatever is asked, fails and dies, in any order', { timeout: 120_000 }, async () => {
    await fc.assert(
      fc.asyncProperty(fc.commands([...commands], { maxCommands: 60, size: '+1' }), async (all) => {
        const run = await Run.begin();
        await fc.asyncModelRun(() => ({ model: {}, real: { run } }), all);
        // In the end, on a sound disk, it goes on.
        run.life.disk.heal();
        run.life.die();
        await run.goOn('unsynced');
        await run.pause(false);
        await run.life.pass(HOUR);
        await run.life.service.reset(OPS, 'Site-A', 'a', 'reset');
        run.free('Site-A');
        run.world.server.link('Site-A').state = 'unreachable';
        expect((await run.life.request('Site-A')).decision).toBe('execute');
        await run.life.pass(20_000);
        await run.check();
      }),
      { numRuns: 150 },
    );
    for (const what of [
      'dial',
      'death',
      'execute',
      'alert execute',
      'duplicate',
      'alert duplicate',
      'rate',
      'busy',
      'cooldown',
      'audit failure',
      'two at once',
      'second attempt',
      'paused',
    ]) {
      expect(met[what] ?? 0, what).toBeGreaterThan(0);
    }
  });
});
