/** The files of examples/remediation/ are what people begin with: the programs they are for must take them as they are. */
import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { stringify } from 'yaml';
import { EXAMPLES, INSTANCE } from '../../tools/guarded-exporter.ts';
import { makeCertificate } from '../server/certificates.ts';
import { requireTool } from '../tools/require-tool.ts';
import { buildIfStale, MAIN, NODE } from './program.ts';

/** The examples, and the files that they name. */
const folder = mkdtempSync(join(tmpdir(), 'rras-examples-'));
afterAll(() => rmSync(folder, { recursive: true }));

beforeAll(async () => {
  cpSync(EXAMPLES, folder, { recursive: true });
  const { cert, key } = makeCertificate({ name: 'vpn1.example.net', sans: ['DNS:vpn1.example.net'] });
  writeFileSync(join(folder, 'vpn1.crt'), cert);
  writeFileSync(join(folder, 'vpn1.key'), key, { mode: 0o600 });
  writeFileSync(join(folder, 'rras-hook.token'), 'rrasx_\n', { mode: 0o600 });
  await buildIfStale();
});

function run(program: string, ...args: readonly string[]): string {
  const { status, stdout, stderr } = spawnSync(program, args, { cwd: folder, encoding: 'utf8' });
  expect({ status, stderr: status === 0 ? '' : stderr }).toEqual({ status: 0, stderr: '' });
  return stdout;
}

test('the exporter takes its example', () => {
  expect(run(NODE, MAIN, 'check-config', 'rras-exporter.yml')).toBe(
    'rras-exporter.yml is valid\nlistens on :10077 with TLS, admin API on, 2 tokens, 0 client certificates, 1 hook rule, Grafana hook off\n',
  );
});

test('the demo says which programs it lacks, by their packages', () => {
  const demo = fileURLToPath(new URL('../../tools/demo-remediation.ts', import.meta.url));
  const { status, stdout, stderr } = spawnSync(NODE, [demo], { env: { PATH: folder }, encoding: 'utf8' });
  expect({ status, stdout }).toEqual({ status: 1, stdout: '' });
  expect(stderr).toMatch(/apt-get install prometheus prometheus-alertmanager$/m);
});

requireTool('amtool')('Alertmanager', (amtool) => {
  test('takes its example', () => {
    expect(run(amtool, 'check-config', 'alertmanager.yml')).toContain('SUCCESS');
  });

  test.each([
    [{ alertname: 'RrasLinkDown', instance: INSTANCE, interface: 'Site-Berlin' }, `rras-${INSTANCE}`],
    [{ alertname: 'RrasLinkDown', instance: 'vpn2', interface: 'Site-Berlin' }, 'people'],
    [{ alertname: 'RrasLinkStaysDown', instance: INSTANCE, interface: 'Site-Berlin' }, 'people'],
    [{ alertname: 'RrasPersonNeeded', instance: INSTANCE, interface: 'Site-Berlin' }, 'people'],
  ])('sends %o to %s', (labels, receiver) => {
    const pairs = Object.entries(labels).map(([name, value]) => `${name}=${value}`);
    const found = run(amtool, 'config', 'routes', 'test', '--config.file=alertmanager.yml', ...pairs);
    expect(found.trim()).toBe(receiver);
  });
});

requireTool('promtool')('Prometheus', (promtool) => {
  test('takes its examples', () => {
    expect(run(promtool, 'check', 'config', 'prometheus.yml')).toContain('SUCCESS: 6 rules found');
  });

  describe('finds a link', () => {
    const DOWN = 'RrasLinkDown';
    const GAPS = `O${`${'D'.repeat(15)}X`.repeat(7)}D`;

    /** Of each quarter of a minute, as promtool writes them. */
    interface Link {
      readonly state: string;
      readonly persistent?: 0 | 1;
      readonly enabled?: 0 | 1;
      readonly running?: string;
      readonly breaker?: 0 | 1;
      /** Whether it is outside its dial-out hours. */
      readonly outside?: 0 | 1;
    }

    /** U: unreachable, D: disconnected, C: connecting, O: connected, X: a scrape that fails; the last one stays. */
    const series = (link: Link) => {
      const { state, persistent = 1, enabled = 1, running = '1x120', breaker = 0, outside = 0 } = link;
      const labels = `{job="rras", instance="${INSTANCE}", interface="Site-Berlin"`;
      const last = state.slice(-1).repeat(Math.max(0, 120 - state.length));
      const values = (states: string): string =>
        Array.from(state + last, (each) => (each === 'X' ? 'stale' : states.includes(each) ? 1 : 0)).join(
          ' ',
        );
      const always = (value: number): string => values(value === 1 ? 'UDCO' : '');
      const states = { unreachable: 'U', disconnected: 'D', connecting: 'C', connected: 'O' };
      return [
        ...Object.entries(states).map(([name, letter]) => ({
          series: `rras_interface_state${labels}, state="${name}"}`,
          values: values(letter),
        })),
        { series: `rras_interface_up${labels}}`, values: values('O') },
        { series: `rras_interface_persistent${labels}}`, values: always(persistent) },
        { series: `rras_interface_enabled${labels}}`, values: always(enabled) },
        { series: `rras_admin_breaker_open${labels}}`, values: always(breaker) },
        {
          series: `rras_interface_unreachable_reason${labels}, reason="dialout_hours_restriction"}`,
          values: always(outside),
        },
        { series: `rras_service_running{job="rras", instance="${INSTANCE}"}`, values: running },
      ];
    };

    test.each<[string, Link, at: string, alerts: readonly string[]]>([
      ['that is up', { state: 'O' }, '5m', []],
      ['that is persistent and has no connection', { state: 'OOD' }, '5m', [DOWN]],
      ['for less than a minute', { state: 'OOD' }, '1m15s', []],
      ['that is on demand and at rest', { state: 'OOD', persistent: 0 }, '5m', []],
      ['that is on demand and was dialled in vain', { state: 'OOU', persistent: 0 }, '5m', [DOWN]],
      ['that is on demand and is dialled again', { state: 'OOUUUUUUUUC', persistent: 0 }, '2m45s', [DOWN]],
      ['that is on demand and has come back', { state: 'OOUUUUUUUUCO', persistent: 0 }, '3m', []],
      ['that is on demand and dials for itself', { state: 'DDDC', persistent: 0 }, '3m', []],
      ['that is disabled', { state: 'U', enabled: 0 }, '5m', []],
      ['without the service', { state: 'U', running: '0x120' }, '5m', []],
      ['for 20 minutes and more', { state: 'OOU' }, '22m', [DOWN, 'RrasLinkStaysDown']],
      ['of which a scrape fails', { state: 'OODDDDDDDDX' }, '2m30s', [DOWN]],
      ['of which scrapes fail now and then', { state: GAPS }, '22m', [DOWN, 'RrasLinkStaysDown']],
      ['that has come back when a scrape failed', { state: 'OODDDDDDDDXO' }, '2m45s', []],
      ['outside its dial-out hours', { state: 'U', outside: 1 }, '22m', []],
      ['whose breaker is open', { state: 'U', breaker: 1 }, '5m', [DOWN, 'RrasPersonNeeded']],
      [
        'whose breaker is open when a scrape fails',
        { state: 'UUUUUUUUX', breaker: 1 },
        '2m',
        [DOWN, 'RrasPersonNeeded'],
      ],
      ['whose breaker stays open: one call', { state: 'U', breaker: 1 }, '22m', [DOWN, 'RrasPersonNeeded']],
    ])('%s', (title, link, at, alerts) => {
      const file = `${title.replaceAll(' ', '-')}.yml`;
      const exp_samples = alerts.map((alert) => ({
        labels: `{alertname="${alert}", interface="Site-Berlin", instance="${INSTANCE}"}`,
        value: 1,
      }));
      const expr = 'max by (alertname, interface, instance) (ALERTS{alertstate="firing"})';
      const tests = [
        {
          interval: '15s',
          input_series: series(link),
          promql_expr_test: [{ expr, eval_time: at, exp_samples }],
        },
      ];
      const content = { rule_files: ['alerts.yml'], evaluation_interval: '15s', tests };
      writeFileSync(join(folder, file), stringify(content));
      run(promtool, 'test', 'rules', file);
    });

    test('that is dialled again and again by one alert without a gap', () => {
      const file = 'no-gap.yml';
      const input_series = series({ state: 'OUUUUUUUCUUUUUUUUCU', persistent: 0 });
      // From 1m15s on it fires: at every evaluation up to 5m.
      const expr = `count_over_time(ALERTS{alertname="${DOWN}", alertstate="firing"}[3m45s])`;
      const labels = `{alertname="${DOWN}", alertstate="firing", interface="Site-Berlin", instance="${INSTANCE}", job="rras", severity="warning"}`;
      const promql_expr_test = [{ expr, eval_time: '5m', exp_samples: [{ labels, value: 16 }] }];
      const content = {
        rule_files: ['alerts.yml'],
        evaluation_interval: '15s',
        tests: [{ interval: '15s', input_series, promql_expr_test }],
      };
      writeFileSync(join(folder, file), stringify(content));
      run(promtool, 'test', 'rules', file);
    });
  });
});
