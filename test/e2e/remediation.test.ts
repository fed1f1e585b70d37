/**
 * Links that repair themselves: the program with a real Prometheus and a real Alertmanager, configured by the files of
 * examples/remediation/; and the program alone, against alerts that come twice, in storms or while it is killed.
 *
 * On the simulated server one dial repairs Site-Lisboa, the second one Branch Łódź, and none Site-Madrid.
 */
import { createHash, randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { ApiAction, AuditLine, GuardedOptions } from '../../tools/guarded-exporter.ts';
import { COOLDOWN_SECONDS, GuardedExporter, INSTANCE } from '../../tools/guarded-exporter.ts';
import { RemediationLab } from '../../tools/remediation-lab.ts';
import { fetchPlain } from '../server/http-client.ts';
import { requireTool } from '../tools/require-tool.ts';
import { buildIfStale, endAll, isAlive, until } from './program.ts';

const LISBOA = 'Site-Lisboa';
const LODZ = 'Branch Łódź';
const MADRID = 'Site-Madrid';

/** For what takes seconds on a machine that has nothing else to do. */
const WITHIN_MS = 60_000;
const TEST_MS = 150_000;
/** The audit log tells milliseconds, and guards count by another clock. */
const ROUNDING_SECONDS = 0.05;

const CONNECT = 'MprAdminInterfaceConnect';

beforeAll(buildIfStale);
afterAll(endAll);

const at = ({ time }: AuditLine): number => Date.parse(time) / 1000;

const reconnect = (interfaceName: string): string =>
  `/api/v1/admin/interfaces/${encodeURIComponent(interfaceName)}/reconnect`;
const reset = (interfaceName: string): string =>
  `/api/v1/admin/interfaces/${encodeURIComponent(interfaceName)}/reset`;

async function dials(exporter: GuardedExporter): Promise<number> {
  const page = await exporter.program.scrape();
  return page.values('rras_exporter_native_calls_total')?.[CONNECT] ?? 0;
}

/** The action when it has ended. */
async function ended(exporter: GuardedExporter, id: string): Promise<ApiAction> {
  let action = await exporter.action(id);
  await until(
    `action ${id} has ended`,
    async () => {
      action = await exporter.action(id);
      return action.outcome !== null;
    },
    WITHIN_MS,
  );
  return action;
}

interface FiringAlert {
  readonly interfaceName: string;
  /** Tells alerts on one interface apart. */
  readonly shard?: number;
  readonly startsAt?: string;
}

/** A notification as Alertmanager 0.25 sends it. */
function notification(...alerts: readonly FiringAlert[]): string {
  const common = { alertname: 'RrasLinkDown', instance: INSTANCE, job: 'rras', severity: 'warning' };
  return JSON.stringify({
    receiver: 'rras-vpn1',
    status: 'firing',
    alerts: alerts.map(({ interfaceName, shard, startsAt = '2026-11-27T06:00:00.123456789Z' }) => {
      const labels = {
        ...common,
        interface: interfaceName,
        ...(shard !== undefined && { shard: `${shard}` }),
      };
      const fingerprint = createHash('sha256').update(JSON.stringify(labels)).digest('hex').slice(0, 16);
      return {
        status: 'firing',
        labels,
        annotations: {
          summary: `The link ${interfaceName} of ${INSTANCE} is down.`,
          description: 'It has been down for a minute.',
          runbook_url: 'https://wiki.example.net/runbooks/RrasLinkDown',
        },
        startsAt,
        endsAt: '0001-01-01T00:00:00Z',
        generatorURL: `http://prometheus.example.net:9090/graph?g0.expr=${encodeURIComponent(EXPRESSION)}&g0.tab=1`,
        fingerprint,
      };
    }),
    groupLabels: { alertname: common.alertname },
    commonLabels: common,
    commonAnnotations: {},
    externalURL: 'http://alertmanager.example.net:9093',
    version: '4',
    groupKey: '{}/{alertname="RrasLinkDown"}:{alertname="RrasLinkDown"}',
    truncatedAlerts: 0,
  });
}

/** In the address of an alert, as an expression of many rules is. */
const EXPRESSION =
  'rras_interface_enabled == 1 and on (instance, interface) rras_interface_up == 0 and on (instance, interface) ' +
  '(rras_interface_persistent == 1 or rras_interface_state{state="unreachable"} == 1) ' +
  'unless on (instance) rras_service_running == 0';

/** Resident memory of a process in MiB. Linux. */
function residentMiB(pid: number): number {
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024;
}

// Each waits for something most of the time.
describe.concurrent('repairs', () => {
  requireTool('prometheus')('a link that is down', (prometheus) => {
    requireTool('prometheus-alertmanager')('with Prometheus and Alertmanager', (alertmanager) => {
      let lab: RemediationLab;
      beforeAll(async () => {
        lab = await RemediationLab.start({ prometheus, alertmanager });
      });
      afterAll(() => lab.end());

      const value = (query: string): Promise<number | undefined> => lab.prometheus.value(query, Date.now());
      const isUp = (name: string) => async (): Promise<boolean> =>
        (await value(`rras_interface_up{interface="${name}"}`)) === 1;
      const hasResolved = (alert: string, name: string) => async (): Promise<boolean> =>
        (await lab.alert(alert, name)) === undefined;
      const attempts = (name: string, count: number): Promise<void> =>
        until(
          `attempt ${count} on ${name} has ended`,
          () => lab.exporter.outcomes(name)[count - 1] !== undefined,
          WITHIN_MS,
        );

      /** Since its start: the alert was pending, and then fired. */
      async function hasFired(alert: string, name: string): Promise<boolean> {
        const was = (state: string): Promise<number | undefined> =>
          value(
            `count_over_time(ALERTS{alertname="${alert}", interface="${name}", alertstate="${state}"}[10m])`,
          );
        return (await was('firing')) !== undefined;
      }

      test.concurrent(
        'is found by an alert, re-dialled once, verified and up again',
        async () => {
          const { exporter } = lab;
          await attempts(LISBOA, 1);
          const [intent] = exporter.intents(LISBOA);
          const [outcome] = exporter.outcomes(LISBOA);
          expect(intent).toMatchObject({
            action: 'reconnect',
            actor: 'alertmanager',
            reason: 'alert RrasLinkDown by rule redial',
          });
          expect(outcome).toMatchObject({ state: 'succeeded', message: 'the interface is connected' });
          // What the log tells a moment before the API does.
          const action = await ended(exporter, intent!.actionId!);
          expect(action).toMatchObject({
            decision: 'execute',
            decisionReason: 'allowed',
            state: 'succeeded',
          });
          expect(action.history.map(({ state }) => state)).toEqual([
            'requested',
            'intended',
            'acting',
            'verifying',
            'succeeded',
          ]);
          await until('the metric says so', isUp(LISBOA), WITHIN_MS);
          await until('the alert is resolved', hasResolved('RrasLinkDown', LISBOA), WITHIN_MS);
          expect(await hasFired('RrasLinkDown', LISBOA)).toBe(true);
          await until(
            'the exporter is told so',
            async () => {
              const page = await exporter.program.scrape();
              return (page.values('rras_remediation_decisions_total')?.['redial/resolved'] ?? 0) > 0;
            },
            WITHIN_MS,
          );
          expect(exporter.intents(LISBOA)).toHaveLength(1);
          expect(exporter.audit().filter(({ actionId }) => actionId === intent!.actionId)).toHaveLength(2);
        },
        TEST_MS,
      );

      test.concurrent(
        'and comes up at the second dial only: the re-notification after the cool-down is the second attempt',
        async () => {
          const { exporter } = lab;
          await attempts(LODZ, 2);
          await until('the alert is resolved', hasResolved('RrasLinkDown', LODZ), WITHIN_MS);
          const [first, second, ...others] = exporter.intents(LODZ);
          const outcomes = exporter.outcomes(LODZ);
          expect(others).toEqual([]);
          expect(outcomes).toMatchObject([{ state: 'failed' }, { state: 'succeeded' }]);
          expect(outcomes[0]!.message).toContain('ERROR_AUTHENTICATION_FAILURE (691)');
          expect(at(second!) - at(outcomes[0]!)).toBeGreaterThan(COOLDOWN_SECONDS - ROUNDING_SECONDS);
          // One alert: a link on demand that is being dialled has not recovered.
          expect(second!.alert).toEqual(first!.alert);
          expect(await isUp(LODZ)()).toBe(true);
        },
        TEST_MS,
      );

      test.concurrent(
        'A3 for good: the cool-down grows, the attempts end, a person is called, and helps by override and reset',
        async () => {
          const { exporter } = lab;
          await attempts(MADRID, 3);
          await until(
            'a person is called',
            async () => (await lab.alert('RrasPersonNeeded', MADRID)) === 'firing',
            WITHIN_MS,
          );
          const intents = exporter.intents(MADRID);
          const outcomes = exporter.outcomes(MADRID);
          for (const [attempt, factor] of [1, 2].entries()) {
            const pause = at(intents[attempt + 1]!) - at(outcomes[attempt]!);
            expect(pause).toBeGreaterThan(COOLDOWN_SECONDS * factor - ROUNDING_SECONDS);
          }
          for (const outcome of outcomes) {
            expect(outcome!.state).toBe('failed');
            expect(outcome!.message).toContain('ERROR_DNSNAME_NOT_RESOLVABLE (868)');
          }

          const notified = async (): Promise<number> => {
            const { text } = await lab.alertmanager.get('/metrics');
            return Number(
              /^alertmanager_notifications_total\{integration="webhook"\} (\d+)/m.exec(text)?.[1],
            );
          };
          const threeNotifications = async (): Promise<void> => {
            const before = await notified();
            await until('three more notifications', async () => (await notified()) >= before + 3, WITHIN_MS);
          };
          await threeNotifications();
          expect(exporter.intents(MADRID)).toHaveLength(3);

          const asked = { reason: 'the name server is mended' };
          expect(await exporter.askWhenFree(reconnect(MADRID), asked)).toMatchObject({
            code: 409,
            errorType: 'breaker',
          });
          const forced = { ...asked, override: ['breaker', 'cooldown'] };
          const passed = await exporter.askWhenFree<ApiAction>(`${reconnect(MADRID)}?wait=60s`, forced);
          expect(passed).toMatchObject({ code: 200, data: { state: 'failed', actor: 'on-call' } });
          expect(exporter.intents(MADRID).at(-1)).toMatchObject({ override: ['breaker', 'cooldown'] });
          expect(await exporter.askWhenFree(reconnect(MADRID), asked)).toMatchObject({
            errorType: 'breaker',
          });

          expect(await exporter.ask(reset(MADRID), asked)).toMatchObject({ code: 200 });
          const open = async (): Promise<number | undefined> =>
            (await exporter.program.scrape()).values('rras_admin_breaker_open')?.[MADRID];
          expect(await open()).toBe(0);
          await until('nobody is called any more', hasResolved('RrasPersonNeeded', MADRID), WITHIN_MS);
          // The alert goes on with no guard in its way, but its attempts are used up.
          await threeNotifications();
          expect(exporter.intents(MADRID)).toHaveLength(4);
          const answer = await exporter.askWhenFree<ApiAction>(reconnect(MADRID), asked);
          expect(answer).toMatchObject({ code: 202, data: { decision: 'execute' } });
          await ended(exporter, answer.data.id);
          expect(exporter.intents(MADRID)).toHaveLength(5);
        },
        TEST_MS,
      );

      test(
        'A3 is never dialled without an intent in the audit log, which is whole',
        { concurrent: false },
        async () => {
          expect(await dials(lab.exporter)).toBe(lab.exporter.intents().length);
          expect(lab.exporter.outcomes()).not.toContain(undefined);
          expect(await lab.exporter.verifyAudit()).toContain('the audit log is whole');
          expect(lab.prometheus.log).not.toMatch(/level=error/);
          expect(lab.alertmanager.log).not.toMatch(/level=(?:warn|error)/);
        },
      );
    });
  });

  describe('alerts', () => {
    const withExporter =
      (run: (exporter: GuardedExporter) => Promise<void>, options: GuardedOptions = {}) =>
      async (): Promise<void> => {
        const exporter = await GuardedExporter.start(options);
        try {
          await run(exporter);
        } finally {
          await exporter.drop();
        }
      };

    test(
      'A1 A2 that are delivered again, at once, later and after a restart, have one effect',
      withExporter(async (exporter) => {
        const body = notification({ interfaceName: LISBOA });
        const answers = await Promise.all(Array.from({ length: 20 }, () => exporter.deliver(body)));
        const decisions = answers.map(([decision]) => decision!);
        const executed = decisions.filter(({ decision }) => decision === 'execute');
        expect(executed).toHaveLength(1);
        for (const { decision } of decisions) expect(['execute', 'busy', 'duplicate']).toContain(decision);
        expect(await ended(exporter, executed[0]!.actionId!)).toMatchObject({ state: 'succeeded' });
        expect(await exporter.deliver(body)).toMatchObject([{ decision: 'duplicate' }]);

        await exporter.program.end();
        await exporter.begin();
        // The simulated server is a new one, on which the link is down again.
        const page = await exporter.program.scrape();
        expect(page.values('rras_interface_up')?.[LISBOA]).toBe(0);
        expect(await exporter.deliver(body)).toMatchObject([
          { decision: 'duplicate', reason: 'it was answered' },
        ]);
        expect(await dials(exporter)).toBe(0);
        expect(exporter.intents()).toHaveLength(1);
        expect(await exporter.verifyAudit()).toContain('the audit log is whole');
      }),
      TEST_MS,
    );

    test(
      'A5 whose action was being verified at a kill -9 are known as unknown after it, and dialled no more',
      withExporter(
        async (exporter) => {
          const body = notification({ interfaceName: LISBOA });
          const [decision] = await exporter.deliver(body);
          const id = decision!.actionId!;
          const host = exporter.program.nativeHost();
          await until('it verifies', async () => (await exporter.action(id)).state === 'verifying');
          await exporter.program.end('SIGKILL');
          await until('the native host has ended', () => !isAlive(host));
          expect(exporter.outcomes()).toEqual([undefined]);

          await exporter.begin();
          expect(await exporter.action(id)).toMatchObject({
            state: 'unknown',
            outcome: { result: 'interrupted' },
          });
          expect(exporter.outcomes()).toMatchObject([{ state: 'unknown' }]);
          const [again] = await exporter.deliver(body);
          expect(again).toMatchObject({ decision: 'duplicate' });
          expect(again!.reason).toMatch(/^the next attempt may come in \d+ s$/);
          expect(await dials(exporter)).toBe(0);
          expect(exporter.intents()).toHaveLength(1);
          expect(await exporter.verifyAudit()).toContain('the audit log is whole');
        },
        { change: ({ admin }) => (admin.guards['cooldown'] = '5m') },
      ),
      TEST_MS,
    );

    test(
      'A3 by the hundred in one delivery are decided each',
      withExporter(async (exporter) => {
        const names = Array.from({ length: 99 }, (_, index) => `Site-${String(index + 1).padStart(3, '0')}`);
        const body = notification(...[LISBOA, ...names].map((interfaceName) => ({ interfaceName })));
        expect(Buffer.byteLength(body)).toBeGreaterThan(78_000);
        const [first, ...others] = await exporter.deliver(body);
        expect(first).toMatchObject({ decision: 'execute', rule: 'redial' });
        expect(others).toHaveLength(99);
        for (const { decision } of others) expect(decision).toBe('gone');
        expect(new Set(others.map(({ fingerprint }) => fingerprint)).size).toBe(99);
      }),
      TEST_MS,
    );

    test(
      'A3 by ten thousand dial within the budget, and leave no mark on the memory',
      withExporter(
        async (exporter) => {
          const links = [LISBOA, LODZ, MADRID];
          const deliver = async (number: number): Promise<void> => {
            const alerts = Array.from({ length: 1000 }, (_, index) => ({
              interfaceName: links[index % links.length]!,
              shard: number * 1000 + index,
            }));
            const decisions = await exporter.deliver(notification(...alerts));
            expect(decisions).toHaveLength(1000);
          };
          // What the first ones need is not what it grows by.
          for (let number = 0; number < 3; number++) await deliver(number);
          // Two are dialled; what is refused from now on is not refused because they are.
          await until('no action is under way', () => !exporter.outcomes().includes(undefined), WITHIN_MS);
          const { pid } = exporter.program;
          const before = residentMiB(pid);
          let most = before;
          for (let number = 3; number < 13; number++) {
            await deliver(number);
            most = Math.max(most, residentMiB(pid));
          }
          expect(most - before).toBeLessThan(64);
          expect(exporter.intents()).toHaveLength(2);
          expect(await dials(exporter)).toBe(2);
          const page = await exporter.program.scrape();
          const decided = page.values('rras_remediation_decisions_total') ?? {};
          expect(decided['redial/rate']).toBeGreaterThan(1000);
          expect(Object.values(decided).reduce((sum, count) => sum + count, 0)).toBeGreaterThanOrEqual(
            13_000,
          );
          expect(await exporter.verifyAudit()).toContain('the audit log is whole');
        },
        { change: ({ admin }) => (admin.guards['rate'] = { burst: 2, per: '1h' }) },
      ),
      TEST_MS,
    );

    test(
      'A6 are paused within a second amid a thousand wrong tokens, while scrapes go on; the pause outlives a restart',
      withExporter(async (exporter) => {
        const scrapeMs = async (): Promise<number> => {
          const started = performance.now();
          expect(await exporter.program.get('/metrics')).toMatchObject({ status: 200 });
          return performance.now() - started;
        };
        const usual = Math.max(await scrapeMs(), await scrapeMs(), await scrapeMs());
        let isOver = false;
        const statuses: number[] = [];
        const guess = async (): Promise<void> => {
          while (!isOver || statuses.length < 1000) {
            const { status } = await fetchPlain(`http://127.0.0.1:${exporter.port}${reconnect(LISBOA)}`, {
              method: 'POST',
              headers: {
                'Content-Type': 'application/json',
                Authorization: `Bearer rrasx_${randomBytes(32).toString('base64url')}`,
              },
              body: '{"reason":"a guess"}',
              timeoutMs: 60_000,
            });
            statuses.push(status);
          }
        };
        const guesses = Promise.all(Array.from({ length: 20 }, guess));
        await until('the guesses come in', () => statuses.length > 100, WITHIN_MS);
        const paused = await exporter.ask('/api/v1/admin/pause', { reason: 'somebody guesses tokens' });
        const during = Math.max(await scrapeMs(), await scrapeMs(), await scrapeMs());
        isOver = true;
        expect(paused).toMatchObject({ code: 200, data: { paused: true, persisted: true } });
        expect(paused.ms).toBeLessThan(1000);
        expect(during).toBeLessThan(usual + 1000);
        await guesses;
        for (const status of statuses) expect([401, 429]).toContain(status);

        await exporter.program.end();
        await exporter.begin();
        expect((await exporter.program.scrape()).value('rras_admin_paused')).toBe(1);
        const body = notification({ interfaceName: LISBOA });
        expect(await exporter.deliver(body)).toMatchObject([{ decision: 'paused' }]);
        const asked = { reason: 'nobody guesses any more' };
        expect(await exporter.ask(reconnect(LISBOA), asked)).toMatchObject({
          code: 503,
          errorType: 'paused',
        });
        expect(await exporter.ask('/api/v1/admin/resume', asked)).toMatchObject({ data: { paused: false } });
        expect(await exporter.deliver(body)).toMatchObject([{ decision: 'execute' }]);
      }),
      TEST_MS,
    );
  });
});
