/** Alerts come at least once, late, in storms and in bad shape; what is done for one is done at most so often. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { describe, expect, it } from 'vitest';
import type { AuditLine } from '../../src/admin/audit-file.ts';
import type { ActionName, Grant, HookAnswer, HookRule } from '../../src/model/admin.ts';
import { FakeClock } from '../doubles/fake-clock.ts';
import { resultOf, SiteServer } from '../doubles/site-server.ts';
import type { AlertSketch } from './exporter-life.ts';
import { alertOn, configOf, deliveryOf, fingerprintOf, Life, MINUTE, OPS, RULE } from './exporter-life.ts';
import { SimulatedWorld } from './simulated-world.ts';

const HOUR = 60 * MINUTE;
type Changes = NonNullable<Parameters<typeof configOf>[0]>;

function sites(names: readonly string[] = ['Site-A', 'Site-B', 'Site-C', 'Site-D']) {
  const clock = new FakeClock();
  const server = new SiteServer(clock, names);
  return { clock, server, actor: server, snapshot: () => Promise.resolve(server.snapshot()) };
}

async function start({
  names,
  rule,
  ...config
}: Changes & { names?: readonly string[]; rule?: Partial<HookRule> } = {}) {
  const world = sites(names);
  const hooks = { rules: [{ ...RULE, ...rule }], ...config.hooks };
  const life = await Life.begin(world, { config: configOf({ ...config, hooks }) });
  const fire = (name: string, sketch: AlertSketch = {}, caller: Grant = OPS) =>
    life.deliver(deliveryOf([alertOn(name, sketch)]), caller);
  return { world, server: world.server, life, fire };
}

const decisionsOf = ({ alerts }: HookAnswer): string[] => alerts.map(({ decision }) => decision);
const of = (lines: readonly AuditLine[], kind: string): AuditLine[] =>
  lines.filter((line) => line.kind === kind);
const count = (decisions: readonly string[]): Record<string, number> => {
  const counts: Record<string, number> = {};
  for (const decision of decisions) counts[decision] = (counts[decision] ?? 0) + 1;
  return counts;
};

describe('an alert', () => {
  it('makes its rule’s action run, and the answer and the records tell of both', async () => {
    const { world, life, server } = await start();
    const { alerts, retry } = await life.deliver(deliveryOf([alertOn('Site-A')]));
    expect(retry).toBe(false);
    const [decided] = alerts;
    expect(decided).toEqual({
      fingerprint: fingerprintOf(1),
      rule: 'redial',
      decision: 'execute',
      reason: 'allowed',
      actionId: expect.any(String) as unknown,
    });
    await life.pass(10_000);
    expect(life.service.action(OPS, decided!.actionId!)).toMatchObject({
      state: 'succeeded',
      route: 'alertmanager',
      actor: 'ops',
      reason: 'alert LinkDown by rule redial',
      alert: { rule: 'redial', fingerprint: fingerprintOf(1), startsAt: '2026-11-20T23:00:00Z' },
    });
    expect(server.changes).toEqual(['connect Site-A']);
    expect(life.events).toContain('alert redial execute');
    expect(world.server.link('Site-A').state).toBe('connected');
  });

  it('of the simulated server repairs the link that it is about', async () => {
    const world = new SimulatedWorld();
    const life = await Life.begin(world);
    await life.deliver(deliveryOf([alertOn('Site-Lisboa')]));
    await life.pass(10_000);
    expect(world.stateOf('Site-Lisboa')).toBe('connected');
    expect(await life.deliver(deliveryOf([alertOn('Site-Berlin', { alert: 2 })]))).toMatchObject({
      alerts: [{ decision: 'already_connected' }],
      retry: false,
    });
  });

  it('that no rule matches is told so, and one in bad shape does not keep others from being decided', async () => {
    const { life, server } = await start();
    const answer = await life.deliver(
      deliveryOf([
        alertOn('Site-A', { alert: 1, labels: { alertname: 'Other' } }),
        { ...alertOn('Site-A'), startsAt: 'yesterday' },
        { fingerprint: fingerprintOf(3) },
        'nonsense',
        alertOn('Site-B', { alert: 5 }),
      ]),
    );
    expect(decisionsOf(answer)).toEqual(['no_rule', 'invalid', 'invalid', 'invalid', 'execute']);
    expect(answer.alerts.map(({ fingerprint }) => fingerprint)).toEqual([
      fingerprintOf(1),
      fingerprintOf(1),
      fingerprintOf(3),
      '',
      fingerprintOf(5),
    ]);
    expect(answer.retry).toBe(false);
    await life.pass(0);
    expect(server.changes).toEqual(['connect Site-B']);
    expect(count(life.events)).toMatchObject({
      'alert  no_rule': 1,
      'alert  invalid': 3,
      'alert redial execute': 1,
    });
    const [told] = of(await life.lines(), 'decision');
    expect(told).toMatchObject({
      route: 'alertmanager',
      source: 'alertmanager',
      counts: { invalid: 3, no_rule: 1 },
    });
  });

  it('A4 without a target, or with an empty one, does nothing', async () => {
    const { life, server } = await start();
    const labels = { alertname: 'LinkDown' };
    const answer = await life.deliver(deliveryOf([{ ...alertOn('x'), labels }, alertOn('', { alert: 2 })]));
    expect(decisionsOf(answer)).toEqual(['invalid', 'invalid']);
    expect(answer.alerts[0]!.reason).toBe('the label interface, which names the target, is missing or empty');
    expect(server.requests).toEqual([]);
  });

  it.each(['Site-Gone', '\\\\evil', '..', '*', 'site-a', 'Site-A\0', '__proto__'])(
    'A4 on what the server does not have is gone, and is not asked for again: %j',
    async (name) => {
      const { fire, server } = await start();
      expect(await fire(name)).toMatchObject({ alerts: [{ decision: 'gone' }], retry: false });
      expect(server.requests).toEqual([]);
    },
  );

  it('A4 on what the caller may not act on is forbidden, whether or not it is there', async () => {
    const { fire, server } = await start();
    const caller: Grant = { name: 'grafana', rights: ['hook'], interfaces: ['Branch-*'] };
    for (const name of ['Site-A', 'Site-Gone']) {
      const answer = await fire(name, {}, caller);
      expect(answer).toMatchObject({
        alerts: [{ decision: 'forbidden', reason: 'grafana may not act on this target' }],
        retry: false,
      });
    }
    expect(server.requests).toEqual([]);
  });

  it('A4 on what the policy denies is denied', async () => {
    const { fire, server } = await start({ guards: { deny: ['Site-A'] } });
    expect(await fire('Site-A')).toMatchObject({ alerts: [{ decision: 'denied' }] });
    expect(server.requests).toEqual([]);
  });

  it('of a truncated notification is refused unless its rule allows that', async () => {
    const { life } = await start();
    const sent = deliveryOf([alertOn('Site-A')], 7);
    expect(await life.deliver(sent)).toMatchObject({
      alerts: [{ decision: 'truncated', reason: expect.stringContaining('7 alerts') as unknown }],
      retry: false,
    });
    const { life: other } = await start({ rule: { allowTruncated: true } });
    expect(decisionsOf(await other.deliver(sent))).toEqual(['execute']);
  });

  it('under a rule that runs dry does nothing, and counts for nothing', async () => {
    const { fire, server } = await start({ rule: { dryRun: true } });
    for (let n = 0; n < 5; n += 1) expect(decisionsOf(await fire('Site-A'))).toEqual(['dry_run']);
    expect(server.requests).toEqual([]);
  });

  it('under a rule for connections hangs up the connection that its label names', async () => {
    const world = new SimulatedWorld();
    const rule = { ...RULE, action: 'hang_up', targetLabel: 'connection' } as const;
    const allowActions: ActionName[] = ['hang_up'];
    const life = await Life.begin(world, { config: configOf({ hooks: { rules: [rule], allowActions } }) });
    const { connections } = await world.snapshot();
    const { id } = connections!.connections.find(({ role }) => role === 'client')!;
    const alert = alertOn('', { labels: { connection: id } });
    const narrow = { ...OPS, interfaces: ['Site-*'] };
    expect(decisionsOf(await life.deliver(deliveryOf([alert]), narrow))).toEqual(['forbidden']);
    expect(decisionsOf(await life.deliver(deliveryOf([alert])))).toEqual(['execute']);
    await life.pass(5000);
    expect(world.changes).toEqual(['portDisconnect']);
  });
});

describe('A1 the same alert', () => {
  it('delivered twice has one effect, and the second is a duplicate', async () => {
    const { life, fire, server } = await start();
    expect(decisionsOf(await fire('Site-A'))).toEqual(['execute']);
    expect(await fire('Site-A')).toMatchObject({ alerts: [{ decision: 'duplicate' }], retry: false });
    await life.pass(10_000);
    expect(decisionsOf(await fire('Site-A'))).toEqual(['duplicate']);
    await life.pass(HOUR);
    // It went down again, and the alert still stands from before.
    server.link('Site-A').state = 'unreachable';
    expect(await fire('Site-A')).toMatchObject({ alerts: [{ reason: 'it was answered' }] });
    expect(server.dials).toBe(1);
  });

  it('delivered at once by two senders has one effect', async () => {
    const { life, server } = await start();
    const sent = deliveryOf([alertOn('Site-A')]);
    const answers = await Promise.all([life.deliver(sent), life.deliver(sent), life.deliver(sent)]);
    expect(answers.flatMap(decisionsOf).sort()).toEqual(['duplicate', 'duplicate', 'execute']);
    await life.pass(10_000);
    expect(server.dials).toBe(1);
  });

  it('twice in one notification has one effect', async () => {
    const { life, server } = await start();
    const answer = await life.deliver(deliveryOf([alertOn('Site-A'), alertOn('Site-A')]));
    expect(decisionsOf(answer)).toEqual(['execute', 'duplicate']);
    await life.pass(10_000);
    expect(server.dials).toBe(1);
  });

  it('has one effect also across a restart, wherever that comes', async () => {
    for (const [afterMs, end] of [
      [0, 'unknown'],
      [500, 'unknown'],
      [10_000, 'succeeded'],
    ] as const) {
      const { life, fire, server } = await start();
      await fire('Site-A');
      await life.pass(afterMs);
      const next = await life.next('unsynced');
      expect(next.service.actions(OPS)).toMatchObject([{ state: end }]);
      const again = await next.deliver(deliveryOf([alertOn('Site-A')]));
      expect(again).toMatchObject({ alerts: [{ decision: 'duplicate' }], retry: false });
      await next.pass(10_000);
      expect(server.dials).toBe(1);
    }
  });

  it('that fires anew has attempts anew; another rule, too', async () => {
    const rules = [
      { ...RULE, maxAttempts: 1 },
      { ...RULE, name: 'other', matchers: [] },
    ];
    const { life, fire, server } = await start({ hooks: { rules } });
    await fire('Site-A');
    await life.pass(HOUR);
    server.link('Site-A').state = 'unreachable';
    expect(decisionsOf(await fire('Site-A'))).toEqual(['duplicate']);
    expect(decisionsOf(await fire('Site-A', { startsAt: '2026-11-21T08:00:00Z' }))).toEqual(['execute']);
    await life.pass(HOUR);
    server.link('Site-A').state = 'unreachable';
    expect(await fire('Site-A', { labels: { alertname: 'Other' } })).toMatchObject({
      alerts: [{ rule: 'other', decision: 'execute' }],
    });
  });

  it('is one, however its sender writes the time', async () => {
    const { fire } = await start();
    expect(decisionsOf(await fire('Site-A', { startsAt: '2026-11-20T23:00:00Z' }))).toEqual(['execute']);
    for (const startsAt of ['2026-11-20T23:00:00.000Z', '2026-11-21T00:00:00+01:00']) {
      expect(decisionsOf(await fire('Site-A', { startsAt }))).toEqual(['duplicate']);
    }
  });

  it('with other targets is still one alert', async () => {
    const { life, server } = await start({ rule: { maxAttempts: 1 } });
    const answers = await Promise.all(
      ['Site-A', 'Site-B', 'Site-C'].map((name) => life.deliver(deliveryOf([alertOn(name)]))),
    );
    expect(count(answers.flatMap(decisionsOf))).toEqual({ execute: 1, duplicate: 2 });
    await life.pass(10_000);
    expect(server.dials).toBe(1);
  });
});

describe('A2 attempts', () => {
  it('200 deliveries in 10 minutes make one reconnect', async () => {
    const { life, fire, server } = await start();
    const decisions: string[] = [];
    for (let n = 0; n < 200; n += 1) {
      decisions.push(...decisionsOf(await fire('Site-A')));
      await life.pass(3000);
    }
    expect(count(decisions)).toEqual({ execute: 1, duplicate: 199 });
    expect(server.changes).toEqual(['connect Site-A']);
    // The log says it once, and not at each delivery.
    expect(of(await life.lines(), 'decision')).toHaveLength(1);
  });

  it('come after verified failures only, each a growing cool-down after the last one, and end with the last', async () => {
    const { world, life, fire, server } = await start({ guards: { breakerFailures: 10 } });
    server.link('Site-A').dial = 691;
    const startMs = world.clock.monotonicMs();
    const dialled: number[] = [];
    server.intercept = ({ action }) => {
      if (action === 'connect') dialled.push(world.clock.monotonicMs() - startMs);
      return undefined;
    };
    const decisions: string[] = [];
    for (let n = 0; n < 600; n += 1) {
      decisions.push(...decisionsOf(await fire('Site-A')));
      await life.pass(1000);
    }
    expect(count(decisions)).toEqual({ execute: 3, duplicate: 597 });
    // A dial fails within 4 s; a minute later the next may come, and 2 minutes later the one after that.
    expect(dialled[0]).toBe(0);
    expect(dialled[1]).toBeGreaterThanOrEqual(MINUTE);
    expect(dialled[1]).toBeLessThan(MINUTE + 6000);
    expect(dialled[2]! - dialled[1]!).toBeGreaterThanOrEqual(2 * MINUTE);
    expect(dialled[2]! - dialled[1]!).toBeLessThan(2 * MINUTE + 6000);
    await life.pass(24 * HOUR);
    expect(await fire('Site-A')).toMatchObject({
      alerts: [{ decision: 'duplicate', reason: 'all of its 3 attempts were made' }],
    });
  });

  it('are counted across restarts, as are the cool-downs between them', async () => {
    const { life, server } = await start({ guards: { breakerFailures: 10 } });
    server.link('Site-A').dial = 691;
    const sent = deliveryOf([alertOn('Site-A')]);
    let now = life;
    const decisions: string[] = [];
    for (let n = 0; n < 60; n += 1) {
      decisions.push(...decisionsOf(await now.deliver(sent)));
      await now.pass(20_000);
      now = await now.next(n % 2 ? 'unsynced' : 'nothing');
    }
    expect(count(decisions)).toEqual({ execute: 3, duplicate: 57 });
    expect(server.dials).toBe(3);
  });

  it('are the rule’s, with the rule’s cool-down', async () => {
    const { life, fire, server } = await start({
      guards: { breakerFailures: 10 },
      rule: { maxAttempts: 5, cooldownMs: 10_000, cooldownMaxMs: 10_000 },
    });
    server.link('Site-A').dial = 691;
    for (let n = 0; n < 60; n += 1) {
      await fire('Site-A');
      await life.pass(5000);
    }
    expect(server.dials).toBe(5);
  });

  it('stop at the breaker of the interface, whatever alert they are for', async () => {
    const { life, fire, server } = await start();
    server.link('Site-A').dial = 691;
    const decisions: string[] = [];
    for (let n = 1; n <= 10; n += 1) {
      decisions.push(...decisionsOf(await fire('Site-A', { alert: n })));
      await life.pass(HOUR);
    }
    expect(count(decisions)).toEqual({ execute: 3, breaker: 7 });
    expect(server.dials).toBe(3);
  });

  it('D3 that could not be written to the audit log do not count, and are asked for again', async () => {
    const { life, fire, server } = await start();
    life.disk.freeBytes = 0;
    for (let n = 0; n < 10; n += 1) {
      expect(await fire('Site-A')).toMatchObject({ alerts: [{ decision: 'audit' }], retry: true });
    }
    expect(server.requests).toEqual([]);
    life.disk.heal();
    server.link('Site-A').dial = 691;
    const decisions: string[] = [];
    for (let n = 0; n < 5; n += 1) {
      decisions.push(...decisionsOf(await fire('Site-A')));
      await life.pass(HOUR);
    }
    expect(decisions).toEqual(['execute', 'execute', 'execute', 'duplicate', 'duplicate']);
  });

  it('N5 of a server that is down do not count, and are asked for again', async () => {
    const { life, fire, server } = await start();
    server.isDown = true;
    expect(await fire('Site-A')).toMatchObject({ alerts: [{ decision: 'gone' }], retry: true });
    server.isDown = false;
    expect(decisionsOf(await fire('Site-A'))).toEqual(['execute']);
    await life.pass(0);
    expect(server.dials).toBe(1);
  });

  it('one alert that is to be sent again makes the notification one, and others are not done twice by that', async () => {
    const { life, server } = await start();
    life.disk.fail('sync', 'EIO', 1);
    const sent = deliveryOf([alertOn('Site-A', { alert: 1 }), alertOn('Site-B', { alert: 2 })]);
    const first = await life.deliver(sent);
    expect(decisionsOf(first)).toEqual(['audit', 'execute']);
    expect(first.retry).toBe(true);
    const second = await life.deliver(sent);
    expect(decisionsOf(second)).toEqual(['execute', 'duplicate']);
    expect(second.retry).toBe(false);
    await life.pass(10_000);
    expect(server.changes.sort()).toEqual(['connect Site-A', 'connect Site-B']);
  });
});

describe('A3 an alert storm', () => {
  it('of 10,000 alerts makes no more actions than the bucket holds', { timeout: 60_000 }, async () => {
    const names = Array.from({ length: 200 }, (_, index) => `Site-${index}`);
    const { life, server } = await start({ names, guards: { rateBurst: 5, maxConcurrent: 2 } });
    const all: string[] = [];
    for (let n = 0; n < 10; n += 1) {
      const alerts = Array.from({ length: 1000 }, (_, index) =>
        alertOn(names[index % names.length]!, { alert: n * 1000 + index }),
      );
      all.push(...decisionsOf(await life.deliver(deliveryOf(alerts))));
      await life.pass(6000);
    }
    // One minute: five at once, and a half of a token meanwhile.
    await life.pass(10_000);
    expect(server.dials).toBe(5);
    expect(of(await life.lines(), 'intent')).toHaveLength(5);
    expect(all).toHaveLength(10_000);
    const counted = life.events.filter((event) => event.startsWith('alert'));
    expect(counted).toHaveLength(10_000);
    expect(count(counted)['alert redial execute']).toBe(5);
    expect(await life.verify()).toMatchObject({ ok: true });
    // 10 minutes fill the bucket: 5 more.
    await life.pass(10 * MINUTE);
    const later = names.map((name, index) => alertOn(name, { alert: 20_000 + index }));
    await life.deliver(deliveryOf(later));
    await life.pass(10 * MINUTE);
    expect(server.dials).toBeGreaterThanOrEqual(10);
    expect(server.dials).toBeLessThanOrEqual(15);
  });

  it('leaves memory flat, and the log without a line for each', { timeout: 120_000 }, async () => {
    setFlagsFromString('--expose-gc');
    const collect = runInNewContext('gc') as () => void;
    const { life } = await start({ guards: { rateBurst: 5 } });
    let alert = 0;
    const storm = async (): Promise<void> => {
      const names = ['Site-A', 'Site-B', 'Site-C', 'Site-Gone'];
      const alerts = Array.from({ length: 10_000 }, () => alertOn(names[(alert += 1) % 4]!, { alert }));
      await life.deliver(deliveryOf(alerts));
      await life.pass(10_000);
      life.events.length = 0;
      life.log.length = 0;
    };
    const heap = (): number => {
      collect();
      return process.memoryUsage().heapUsed;
    };
    for (let n = 0; n < 3; n += 1) await storm();
    const before = heap();
    for (let n = 0; n < 5; n += 1) await storm();
    expect(heap() - before).toBeLessThan(8 * 1024 * 1024);
    expect(life.service.actions(OPS).length).toBeLessThanOrEqual(1500);
    const lines = await life.lines();
    expect(lines.length).toBeLessThan(60);
    expect(life.disk.usedBytes).toBeLessThan(200 * 1024);
  });
});

describe('resolved', () => {
  it('does nothing, whatever was done before', async () => {
    const { life, fire, server } = await start();
    server.link('Site-A').dial = null;
    const resolved = { status: 'resolved' } as const;
    expect(await fire('Site-A', resolved)).toMatchObject({
      alerts: [{ decision: 'resolved', rule: 'redial', reason: 'nothing is to be done' }],
      retry: false,
    });
    await fire('Site-A');
    await life.pass(1000);
    expect(decisionsOf(await fire('Site-A', resolved))).toEqual(['resolved']);
    await life.pass(1000);
    // What is under way goes on.
    expect(server.changes).toEqual(['connect Site-A']);
    expect(server.link('Site-A').state).toBe('connecting');
  });

  it('gives no attempts anew for the same alert', async () => {
    const { life, fire, server } = await start();
    await fire('Site-A');
    await life.pass(HOUR);
    await fire('Site-A', { status: 'resolved' });
    server.link('Site-A').state = 'unreachable';
    expect(decisionsOf(await fire('Site-A'))).toEqual(['duplicate']);
  });

  it('cancels what waits for its turn', async () => {
    const { life, fire, server } = await start({ guards: { maxConcurrent: 1 } });
    await fire('Site-A', { alert: 1 });
    await fire('Site-B', { alert: 2 });
    await fire('Site-C', { alert: 3 });
    expect(await fire('Site-B', { alert: 2, status: 'resolved' })).toMatchObject({
      alerts: [{ decision: 'resolved', reason: 'what waited for it is cancelled' }],
    });
    await life.pass(10_000);
    expect(server.changes).toEqual(['connect Site-A', 'connect Site-C']);
  });

  it('of a truncated notification cancels, too', async () => {
    const { life, fire, server } = await start({ guards: { maxConcurrent: 1 } });
    await fire('Site-A', { alert: 1 });
    await fire('Site-B', { alert: 2 });
    await life.deliver(deliveryOf([alertOn('Site-B', { alert: 2, status: 'resolved' })], 3));
    await life.pass(10_000);
    expect(server.changes).toEqual(['connect Site-A']);
  });
});

describe('the queue', () => {
  const names = Array.from({ length: 130 }, (_, index) => `Site-${index}`);
  const alerts = names.map((name, index) => alertOn(name, { alert: index + 1 }));

  it('holds what comes while as much as allowed is under way, and is worked off in its order', async () => {
    const { life, server } = await start({ names, guards: { maxConcurrent: 2 } });
    const answer = await life.deliver(deliveryOf(alerts.slice(0, 7)));
    expect(decisionsOf(answer)).toEqual(Array<string>(7).fill('execute'));
    expect(answer.alerts.map(({ actionId }) => actionId !== undefined)).toEqual([
      true,
      true,
      ...Array<boolean>(5).fill(false),
    ]);
    expect(answer.alerts[2]).toMatchObject({ reason: 'it waits until fewer actions are under way' });
    let most = 0;
    for (let n = 0; n < 40; n += 1) {
      const underway = life.service
        .actions(OPS)
        .filter(({ state }) => ['intended', 'acting', 'verifying'].includes(state));
      most = Math.max(most, underway.length);
      await life.pass(500);
    }
    expect(most).toBe(2);
    expect(server.changes).toEqual(names.slice(0, 7).map((name) => `connect ${name}`));
    // Each is counted once, when it is decided.
    expect(count(life.events)).toEqual({
      'alert redial execute': 7,
      'started reconnect': 7,
      'succeeded reconnect': 7,
    });
  });

  it('is worked off with one place, too, and when the snapshot is there at once', async () => {
    const { life, server } = await start({ guards: { maxConcurrent: 1 } });
    for (const [index, name] of ['Site-A', 'Site-B', 'Site-C', 'Site-D'].entries()) {
      await life.deliver(deliveryOf([alertOn(name, { alert: index + 1 })]));
    }
    await life.pass(20_000);
    expect(server.dials).toBe(4);
  });

  it('D3 goes on when the action before it could not be written to the log', async () => {
    const { life, fire, server } = await start({ guards: { maxConcurrent: 1 } });
    life.disk.fail('sync', 'EIO', 1);
    const [direct, waits] = await Promise.all([life.request('Site-A'), fire('Site-B')]);
    expect(direct.decision).toBe('audit');
    expect(decisionsOf(waits)).toEqual(['execute']);
    await life.pass(10_000);
    expect(server.changes).toEqual(['connect Site-B']);
  });

  it('has room for a hundred; the next one is told that it is busy', async () => {
    const { life, server } = await start({ names, guards: { maxConcurrent: 1 } });
    const decisions = decisionsOf(await life.deliver(deliveryOf(alerts)));
    expect(count(decisions)).toEqual({ execute: 101, busy: 29 });
    await life.pass(10 * MINUTE);
    expect(server.dials).toBe(101);
  });

  it('asks the guards again when the turn has come', async () => {
    const { life, server, fire } = await start({ guards: { maxConcurrent: 1 } });
    await fire('Site-A', { alert: 1 });
    await fire('Site-B', { alert: 2 });
    await fire('Site-C', { alert: 3 });
    server.link('Site-B').state = 'connected';
    server.links.delete('Site-C');
    await life.pass(10_000);
    expect(server.changes).toEqual(['connect Site-A']);
    expect(count(life.events)).toMatchObject({
      'alert redial execute': 1,
      'alert redial already_connected': 1,
      'alert redial gone': 1,
    });
  });

  it('stands still while actions are paused, and forgets what was to be done', async () => {
    const { life, server, fire } = await start({ guards: { maxConcurrent: 1 } });
    await fire('Site-A', { alert: 1 });
    await fire('Site-B', { alert: 2 });
    await life.service.pause(OPS, 'stop', undefined);
    await life.pass(10_000);
    await life.service.resume(OPS, 'go');
    await life.pass(10_000);
    expect(server.changes).toEqual(['connect Site-A']);
    // Sent again, it is decided anew.
    expect(decisionsOf(await fire('Site-B', { alert: 2 }))).toEqual(['execute']);
  });

  it('A5 is not worked off by a program that ends', async () => {
    const { life, server, fire } = await start({ guards: { maxConcurrent: 1 } });
    await fire('Site-A', { alert: 1 });
    await fire('Site-B', { alert: 2 });
    await life.service.close();
    await life.pass(10 * MINUTE);
    expect(server.changes).toEqual(['connect Site-A']);
    expect(of(await life.lines(), 'intent')).toHaveLength(1);
  });

  it('A1 a delivery of what waits is a duplicate', async () => {
    const { life, server, fire } = await start({ guards: { maxConcurrent: 1 } });
    await fire('Site-A', { alert: 1 });
    await fire('Site-B', { alert: 2 });
    expect(await fire('Site-B', { alert: 2 })).toMatchObject({
      alerts: [{ decision: 'duplicate', reason: 'it waits for its turn' }],
    });
    await life.pass(10_000);
    expect(server.dials).toBe(2);
  });

  it('cancels all of an action or nothing, at whatever moment its alert is resolved', async () => {
    const answers = new Set<string>();
    for (let turns = 0; turns < 150; turns += 5) {
      const { world, life, server, fire } = await start({ guards: { maxConcurrent: 1 } });
      await fire('Site-A', { alert: 1 });
      await fire('Site-B', { alert: 2 });
      await life.pass(1000);
      // With the next look the first one ends.
      const passed = world.clock.advance(1000);
      for (let turn = 0; turn < turns; turn += 1) await Promise.resolve();
      const { alerts: decided } = await fire('Site-B', { alert: 2, status: 'resolved' });
      await passed;
      await life.pass(10_000);
      const cancelled = decided[0]!.reason === 'what waited for it is cancelled';
      answers.add(decided[0]!.reason);
      expect(server.link('Site-B').dials, `after ${turns} turns`).toBe(cancelled ? 0 : 1);
    }
    expect(answers.size).toBe(2);
  });
});

describe('the log of decisions', () => {
  it('tells each decision on an alert once, until it is another one', async () => {
    const { life, fire } = await start({ guards: { deny: ['Site-A'] } });
    for (let n = 0; n < 5; n += 1) await fire('Site-A');
    for (let n = 0; n < 5; n += 1) await fire('Site-A', { status: 'resolved' });
    await fire('Site-A');
    const told = of(await life.lines(), 'decision');
    expect(told.map((line) => (line['alerts'] as { decision: string }[])[0]!.decision)).toEqual([
      'denied',
      'resolved',
      'denied',
    ]);
    expect(told[0]).toMatchObject({
      actor: 'ops',
      receiver: 'rras',
      counts: { denied: 1 },
      alerts: [{ fingerprint: fingerprintOf(1), rule: 'redial', decision: 'denied' }],
    });
  });

  it('D5 tells of 50 alerts in one line, and counts all', async () => {
    const { life } = await start();
    await life.deliver(
      deliveryOf(Array.from({ length: 500 }, (_, index) => alertOn('Site-Gone', { alert: index }))),
    );
    const [told, ...rest] = of(await life.lines(), 'decision');
    expect(rest).toEqual([]);
    expect(told).toMatchObject({ counts: { gone: 500 } });
    expect(told!['alerts']).toHaveLength(50);
  });

  it('D3 that cannot be written changes no decision', async () => {
    const { life, fire } = await start({ guards: { deny: ['Site-A'] } });
    life.disk.freeBytes = 0;
    expect(await fire('Site-A')).toMatchObject({ alerts: [{ decision: 'denied' }], retry: false });
    expect(life.events).toContain('audit failure');
  });
});

describe('a native call', () => {
  it('that is refused has failed, and the next attempt comes after the cool-down', async () => {
    const { life, fire, server } = await start();
    server.intercept = (request) =>
      request.action === 'connect' ? resultOf(request, 'retryable', 1722) : undefined;
    const decisions: string[] = [];
    for (let n = 0; n < 6; n += 1) {
      decisions.push(...decisionsOf(await fire('Site-A')));
      await life.pass(20_000);
    }
    expect(decisions).toEqual(['execute', 'duplicate', 'duplicate', 'execute', 'duplicate', 'duplicate']);
    expect(life.service.actions(OPS)[0]).toMatchObject({ state: 'failed', outcome: { result: 'retryable' } });
  });
});
