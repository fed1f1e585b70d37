/** The guarded actions of several servers behind one door: which of them a request, a pause or an alert is for. */
import { describe, expect, it } from 'vitest';
import { AdminFleet } from '../../src/admin/fleet.ts';
import { BadRequestBody } from '../../src/admin/hooks/json.ts';
import type { AdminService } from '../../src/admin/service.ts';
import type { Grant, HookRule } from '../../src/model/admin.ts';
import { FakeClock, settle } from '../doubles/fake-clock.ts';
import { SiteServer } from '../doubles/site-server.ts';
import { alertOn, ask, bodyOf, configOf, Life, MINUTE, OPS, RULE } from './exporter-life.ts';

const SITES = ['Site-A', 'Site-B', 'Site-C', 'Site-D'] as const;

/** One clock for all, and a server and a disk for each. */
async function open(names: readonly string[] = ['vpn1', 'vpn2'], rule: HookRule = RULE) {
  const clock = new FakeClock();
  const begin = async () => {
    const server = new SiteServer(clock, SITES);
    /** What a read waits for. */
    const hold: { until?: Promise<unknown> } = {};
    const snapshot = async () => {
      await hold.until;
      return server.snapshot();
    };
    const config = configOf({ hooks: { rules: [rule] } });
    return { server, hold, life: await Life.begin({ clock, actor: server, snapshot }, { config }) };
  };
  const local = await begin();
  const named = new Map<string, Awaited<ReturnType<typeof begin>>>();
  for (const name of names) named.set(name, await begin());
  const label = { now: 'instance', local: ['gateway:*'], nobodys: 0 };
  const fleet = new AdminFleet({
    local: local.life.service,
    named: () =>
      new Map<string, AdminService>([...named].map(([name, { life }]) => [name, life.service] as const)),
    routing: () => ({ serverLabel: label.now, localServer: label.local }),
    onNobodys: () => void (label.nobodys += 1),
  });
  const all = () => [local, ...named.values()];
  /** Interfaces that were dialled, by server: the local one first. */
  const dialled = async (): Promise<string[][]> =>
    Promise.all(
      all().map(async ({ life }) =>
        (await life.lines())
          .filter(({ kind }) => kind === 'intent')
          .map((line) => (line['target'] as { interface: string }).interface),
      ),
    );
  const deliver = (alerts: readonly unknown[]) => fleet.hook(OPS, 'alertmanager', bodyOf(alerts));
  return { clock, fleet, local, named, label, all, dialled, deliver };
}

const on = (name: string, instance: string | undefined, alert: number, label = 'instance') =>
  alertOn(name, { alert, labels: instance === undefined ? {} : { [label]: instance } });

describe('alerts', () => {
  it('are each for the server that its label names, and are answered in their order', async () => {
    const { clock, deliver, dialled } = await open();
    const answer = await deliver([
      on('Site-A', 'vpn2', 1),
      on('Site-B', 'vpn1', 2),
      on('Site-Nowhere', 'vpn2', 3),
      { no: 'alert' },
      on('Site-C', 'gateway:10077', 4),
      on('Site-D', 'vpn1', 5),
      on('Site-D', 'vpn2', 6),
    ]);
    expect(answer.retry).toBe(false);
    expect(answer.alerts.map(({ fingerprint, decision }) => [fingerprint.slice(-1), decision])).toEqual([
      ['1', 'execute'],
      ['2', 'execute'],
      ['3', 'gone'],
      ['', 'invalid'],
      ['4', 'execute'],
      ['5', 'execute'],
      ['6', 'execute'],
    ]);
    await clock.advance(2 * MINUTE);
    await settle();
    expect(await dialled()).toEqual([['Site-C'], ['Site-B', 'Site-D'], ['Site-A', 'Site-D']]);
  });

  it('go by the label of the configuration as it is now', async () => {
    const { deliver, dialled, label } = await open();
    label.now = 'vpn_server';
    await deliver([on('Site-A', 'vpn1', 1), on('Site-B', 'vpn2', 2, 'vpn_server')]);
    await settle();
    expect(await dialled()).toEqual([[], [], ['Site-B']]);
    expect(label.nobodys).toBe(1);
  });

  it('that name no server of the configuration are of nobody, and are not sent again', async () => {
    const { deliver, dialled, label } = await open();
    const names = ['vpn7', '__proto__', 'VPN1', 'vpn1:10077', '', undefined];
    const { retry, alerts } = await deliver(names.map((name, i) => on('Site-A', name, i + 1)));
    await settle();
    expect(await dialled()).toEqual([[], [], []]);
    expect([retry, label.nobodys]).toEqual([false, names.length]);
    const reason =
      'its label instance names no server of the configuration; hooks.localServer says what the local one is called';
    expect(
      alerts.map(({ fingerprint, rule, decision, reason: why }) => [
        fingerprint.slice(-1),
        rule,
        decision,
        why,
      ]),
    ).toEqual(names.map((_, i) => [String(i + 1), undefined, 'gone', reason]));
    // Whoever leaves the label out of the alerts of the local server can say so.
    label.local = [''];
    await deliver([on('Site-B', undefined, 8)]);
    await settle();
    expect(await dialled()).toEqual([['Site-B'], [], []]);
  });

  it('are all for the local one where there is no other', async () => {
    const { deliver, dialled } = await open([]);
    await deliver([on('Site-A', 'vpn7', 1), on('Site-B', undefined, 2)]);
    await settle();
    expect(await dialled()).toEqual([['Site-A', 'Site-B']]);
  });

  it('are decided once: two servers have the same link, and each its own attempts', async () => {
    const { deliver, clock, all } = await open();
    for (const { server } of all()) server.link('Site-A').dial = 691;
    const alerts = [on('Site-A', 'vpn1', 1), on('Site-A', 'vpn2', 2)];
    const decisions = async (): Promise<string[]> =>
      (await deliver(alerts)).alerts.map(({ decision }) => decision);
    expect(await decisions()).toEqual(['execute', 'execute']);
    expect(await decisions()).toEqual(['duplicate', 'duplicate']);
    await clock.advance(10 * MINUTE);
    await settle();
    expect(await decisions()).toEqual(['execute', 'execute']);
  });

  it('are sent again if any server wants that, and what the others decided stands', async () => {
    const { deliver, named, dialled } = await open();
    named.get('vpn2')!.server.isDown = true;
    const alerts = [on('Site-A', 'vpn1', 1), on('Site-A', 'vpn2', 2)];
    const first = await deliver(alerts);
    expect([first.retry, first.alerts.map(({ decision }) => decision)]).toEqual([true, ['execute', 'gone']]);
    named.get('vpn2')!.server.isDown = false;
    const second = await deliver(alerts);
    expect([second.retry, second.alerts.map(({ decision }) => decision)]).toEqual([
      false,
      ['duplicate', 'execute'],
    ]);
    await settle();
    expect(await dialled()).toEqual([[], ['Site-A'], ['Site-A']]);
  });

  it('D3 of a server whose disk is full are to be sent again, and those of others are done', async () => {
    const { deliver, named } = await open();
    named.get('vpn1')!.life.disk.freeBytes = 0;
    const { retry, alerts } = await deliver([on('Site-A', 'vpn1', 1), on('Site-A', 'vpn2', 2)]);
    expect([retry, alerts.map(({ decision }) => decision)]).toEqual([true, ['audit', 'execute']]);
  });

  it('N1 of a server that hangs hold up those of no other', async () => {
    const { deliver, local, named } = await open();
    const { promise, resolve } = Promise.withResolvers<unknown>();
    for (const { hold } of [local, named.get('vpn1')!]) hold.until = promise;
    const hung = [on('Site-A', 'vpn1', 1), on('Site-B', 'gateway:1', 2), on('Site-B', 'vpn2', 3)];
    const waiting = hung.map((alert) => deliver([alert]));
    const after = await Promise.all([waiting[2]!, deliver([on('Site-A', 'vpn2', 4)])]);
    expect(after.map(({ alerts }) => alerts[0]!.decision)).toEqual(['execute', 'execute']);
    resolve(null);
    for (const each of waiting) expect((await each).alerts).toMatchObject([{ decision: 'execute' }]);
  });

  it('in a body that is none are refused as a whole', async () => {
    const { fleet, dialled } = await open();
    await expect(fleet.hook(OPS, 'alertmanager', { version: '4' })).rejects.toThrow(BadRequestBody);
    expect(await dialled()).toEqual([[], [], []]);
  });

  it('are answered by none if there are none', async () => {
    const { deliver } = await open();
    expect(await deliver([])).toEqual({ alerts: [], retry: false });
  });
});

describe('a pause', () => {
  const states = (all: readonly { readonly life: Life }[]): boolean[] =>
    all.map(({ life }) => life.service.paused.paused);

  it('is for all servers, and what comes for any of them is refused', async () => {
    const { fleet, all, deliver } = await open();
    expect(await fleet.pause(OPS, 'stop', undefined)).toMatchObject({
      paused: true,
      persisted: true,
      reason: 'stop',
    });
    expect(states(all())).toEqual([true, true, true]);
    const { alerts } = await deliver([on('Site-A', 'vpn1', 1), on('Site-A', 'gateway:1', 2)]);
    expect(alerts.map(({ decision }) => decision)).toEqual(['paused', 'paused']);
    expect(await fleet.request(OPS, ask('Site-A'))).toMatchObject({ decision: 'paused' });
    expect(await fleet.resume(OPS, 'go on')).toMatchObject({ paused: false });
    expect(states(all())).toEqual([false, false, false]);
  });

  it('of one leaves the others, and a resume for all ends it too', async () => {
    const { fleet, named, all, deliver } = await open();
    await named.get('vpn1')!.life.service.pause(OPS, 'that one', undefined);
    expect(states(all())).toEqual([false, true, false]);
    const { alerts } = await deliver([on('Site-A', 'vpn1', 1), on('Site-A', 'vpn2', 2)]);
    expect(alerts.map(({ decision }) => decision)).toEqual(['paused', 'execute']);
    await fleet.resume(OPS, 'go on');
    expect(states(all())).toEqual([false, false, false]);
  });

  it('ends everywhere when its time is up', async () => {
    const { clock, fleet, all } = await open();
    await fleet.pause(OPS, 'for a while', 60);
    await clock.advance(MINUTE - 1);
    expect(states(all())).toEqual([true, true, true]);
    await clock.advance(1);
    expect(states(all())).toEqual([false, false, false]);
  });

  it('D3 holds also where it cannot be written, and says so', async () => {
    const { fleet, named, all } = await open();
    named.get('vpn2')!.life.disk.fail('sync');
    expect(await fleet.pause(OPS, 'stop', undefined)).toMatchObject({ paused: true, persisted: false });
    expect(states(all())).toEqual([true, true, true]);
  });

  it('takes the right to pause, on all of them', async () => {
    const { fleet, all } = await open();
    const caller: Grant = { name: 'bot', rights: ['reconnect'], interfaces: ['*'] };
    expect(await fleet.pause(caller, 'stop', undefined)).toBeUndefined();
    expect(await fleet.resume(caller, 'go on')).toBeUndefined();
    expect(states(all())).toEqual([false, false, false]);
  });
});

describe('an action', () => {
  it('is on the local server, and is found by its id on whichever it was', async () => {
    const { fleet, local, named, clock } = await open();
    const own = await fleet.request(OPS, ask('Site-A'));
    const other = await named.get('vpn2')!.life.service.request(OPS, ask('Site-A'));
    expect([own.decision, other.decision]).toEqual(['execute', 'execute']);
    expect(own.action!.id).not.toBe(other.action!.id);
    await clock.advance(2 * MINUTE);
    await settle();
    expect(fleet.actions(OPS).map(({ id }) => id)).toEqual([own.action!.id]);
    for (const { action } of [own, other])
      expect(fleet.action(OPS, action!.id)).toMatchObject({ id: action!.id });
    expect(fleet.action(OPS, 'nothing')).toBeUndefined();
    const stranger: Grant = { name: 'bot', rights: ['hook'], interfaces: ['*'] };
    expect(fleet.action(stranger, other.action!.id)).toBeUndefined();
    expect(await local.life.verify()).toMatchObject({ ok: true });
  });

  it('stands in the audit log of its server alone, each a chain of its own', async () => {
    const { deliver, all, clock, dialled } = await open();
    await deliver([on('Site-A', 'vpn1', 1), on('Site-B', 'vpn2', 2), on('Site-C', 'vpn2', 3)]);
    await clock.advance(2 * MINUTE);
    await settle();
    expect(await dialled()).toEqual([[], ['Site-A'], ['Site-B', 'Site-C']]);
    for (const { life } of all()) expect(await life.verify()).toMatchObject({ ok: true });
  });

  it('of a server that a reload added or took away is found and not found from then on', async () => {
    const { fleet, named, deliver } = await open();
    const { action } = await named.get('vpn2')!.life.service.request(OPS, ask('Site-A'));
    const gone = named.get('vpn2')!;
    named.delete('vpn2');
    expect(fleet.action(OPS, action!.id)).toBeUndefined();
    named.set('vpn3', gone);
    expect(fleet.action(OPS, action!.id)).toMatchObject({ id: action!.id });
    const { alerts } = await deliver([on('Site-B', 'vpn3', 1)]);
    expect(alerts).toMatchObject([{ decision: 'execute' }]);
    await settle();
    expect((await gone.life.lines()).filter(({ kind }) => kind === 'intent')).toHaveLength(2);
  });
});
