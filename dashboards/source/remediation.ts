/** Guarded actions: what was asked, decided and done, and what came of it. */
import {
  dashboard,
  heatmap,
  increase,
  line,
  LINK,
  maxBy,
  of,
  quantile,
  section,
  SERVER,
  stat,
  sumBy,
  table,
  timeline,
  timeseries,
  toServer,
  UIDS,
} from './parts.ts';

const INTERVAL = '$__rate_interval';
const DURATION = 'rras_admin_action_duration_seconds';

/** Each rule and route has all the decisions that it may ever make: those that were made. */
const made = (labels: string, expression: string): string => `${sumBy(labels, expression)} > 0`;

/** Nothing, rather than not a number, while there was no such action. */
const durationOf = (q: number): string => `${quantile(q, DURATION, 'action')} >= 0`;

export const remediation = dashboard({
  uid: UIDS.remediation,
  title: 'RRAS / Remediation',
  description:
    'Guarded actions of rras-exporter (--web.enable-admin-api): decisions, outcomes, circuit breakers and pause.',
  from: 'now-24h',
  sections: [
    section(
      'Now',
      line(
        4,
        stat({
          title: 'Actions are',
          description: 'Whether all actions of a server are paused.',
          width: 4,
          unit: 'short',
          queries: [{ expr: maxBy(SERVER, of('rras_admin_paused')), legend: '{{instance}}' }],
          texts: { 0: ['allowed', 'green'], 1: ['paused', 'orange'] },
        }),
        stat({
          title: 'Open breakers',
          description:
            'Interfaces that were given up after failed attempts: a person is needed, who resets the breaker.',
          width: 4,
          unit: 'short',
          queries: [{ expr: `sum(${of('rras_admin_breaker_open')})`, legend: 'open' }],
          base: 'green',
          bounds: [[1, 'red']],
        }),
        stat({
          title: 'Executed',
          description: 'Actions that were executed in the time that the dashboard shows.',
          width: 4,
          unit: 'short',
          decimals: 0,
          queries: [{ expr: `sum(${increase('rras_admin_actions_total')})`, legend: 'executed' }],
        }),
        stat({
          title: 'Failed',
          description:
            'Executed actions that failed in the time that the dashboard shows, or of which nobody knows whether they were carried out.',
          width: 4,
          unit: 'short',
          decimals: 0,
          queries: [{ expr: `sum(${increase('rras_admin_action_failures_total')})`, legend: 'failed' }],
          base: 'green',
          bounds: [[0.5, 'orange']],
        }),
        stat({
          title: 'Decisions not to act',
          description:
            'Decisions on alerts in the time that the dashboard shows that were anything but to execute.',
          width: 4,
          unit: 'short',
          decimals: 0,
          queries: [
            {
              expr: `sum(${increase('rras_remediation_decisions_total', '$__range', 'decision!="execute"')})`,
              legend: 'not executed',
            },
          ],
        }),
        stat({
          title: 'Audit log failures',
          description:
            'Lines that could not be written to the audit log in the time that the dashboard shows. No audit, no action.',
          width: 4,
          unit: 'short',
          decimals: 0,
          queries: [{ expr: `sum(${increase('rras_admin_audit_failures_total')})`, legend: 'failures' }],
          base: 'green',
          bounds: [[0.5, 'red']],
        }),
      ),
    ),
    section(
      'Decisions',
      line(
        8,
        timeseries({
          title: 'Decisions on alerts',
          description:
            'What was decided on the alerts that the hooks were sent, in each interval of the graph.',
          width: 12,
          unit: 'short',
          bars: true,
          stack: true,
          min: 0,
          queries: [
            {
              expr: made('decision', increase('rras_remediation_decisions_total', INTERVAL)),
              legend: '{{decision}}',
            },
          ],
        }),
        table({
          title: 'Decisions by rule',
          description:
            'How often each rule decided what in the time that the dashboard shows. Alerts that no rule matches have none.',
          width: 12,
          unit: 'short',
          labels: [
            { label: 'rule', title: 'Rule' },
            { label: 'decision', title: 'Decision' },
            { label: 'instance', title: 'Server', link: toServer },
          ],
          hiddenLabels: ['job'],
          values: [
            {
              title: 'Alerts',
              decimals: 0,
              expr: made(`${SERVER}, rule, decision`, increase('rras_remediation_decisions_total')),
            },
          ],
          sortBy: 'Alerts',
        }),
      ),
      line(
        8,
        timeseries({
          title: 'Requests by decision',
          description:
            'Requests to the admin API and the hooks, by what was decided, in each interval of the graph.',
          width: 12,
          unit: 'short',
          bars: true,
          stack: true,
          min: 0,
          queries: [
            {
              expr: made('decision', increase('rras_admin_requests_total', INTERVAL)),
              legend: '{{decision}}',
            },
          ],
        }),
        table({
          title: 'Requests by route',
          description: 'Requests to the admin API and the hooks in the time that the dashboard shows.',
          width: 12,
          unit: 'short',
          labels: [
            { label: 'route', title: 'Route' },
            { label: 'decision', title: 'Decision' },
            { label: 'instance', title: 'Server', link: toServer },
          ],
          hiddenLabels: ['job'],
          values: [
            {
              title: 'Requests',
              decimals: 0,
              expr: made(`${SERVER}, route, decision`, increase('rras_admin_requests_total')),
            },
          ],
          sortBy: 'Requests',
        }),
      ),
    ),
    section(
      'Outcomes',
      line(
        8,
        timeseries({
          title: 'Actions',
          description:
            'Actions that were executed (upwards) and that failed (downwards) in each interval of the graph.',
          width: 8,
          unit: 'short',
          bars: true,
          stack: true,
          queries: [
            { expr: sumBy('action', increase('rras_admin_actions_total', INTERVAL)), legend: '{{action}}' },
            {
              expr: sumBy('action', increase('rras_admin_action_failures_total', INTERVAL)),
              legend: '{{action}} failed',
            },
          ],
          downwards: ['B'],
        }),
        timeseries({
          title: 'Duration of actions',
          description: 'Time from the native call of an action to its verdict, over the hour before.',
          width: 8,
          unit: 's',
          min: 0,
          queries: [
            { expr: durationOf(0.5), legend: '{{action}} median' },
            { expr: durationOf(0.95), legend: '{{action}} 95 %' },
          ],
        }),
        heatmap({
          title: 'Durations',
          description: 'Actions by how long they took from the native call to the verdict.',
          width: 8,
          unit: 'short',
          axisUnit: 's',
          expr: sumBy('le', increase(`${DURATION}_bucket`, INTERVAL)),
        }),
      ),
    ),
    section(
      'Guards',
      line(
        8,
        timeline({
          title: 'Circuit breakers',
          description:
            'The breaker of each interface that was acted on. Open: attempts have failed, nothing more is tried, and a person is needed.',
          width: 16,
          unit: 'short',
          queries: [
            { expr: maxBy(LINK, of('rras_admin_breaker_open')), legend: '{{interface}} ({{instance}})' },
          ],
          texts: { 0: ['closed', 'green'], 1: ['open', 'red'] },
        }),
        timeline({
          title: 'Pause',
          description: 'Whether all actions of a server were paused.',
          width: 8,
          unit: 'short',
          queries: [{ expr: maxBy(SERVER, of('rras_admin_paused')), legend: '{{instance}}' }],
          texts: { 0: ['allowed', 'green'], 1: ['paused', 'orange'] },
        }),
      ),
    ),
  ],
});
