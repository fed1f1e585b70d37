/**
 * Notifications of Alertmanager and of Grafana's alerting, brought to one form. One alert that makes no sense is said to
 * be bad, and keeps none of the others from being decided; only what is no notification at all is refused as a whole.
 *
 * https://prometheus.io/docs/alerting/latest/configuration/#webhook_config
 * https://grafana.com/docs/grafana/latest/alerting/configure-notifications/manage-contact-points/integrations/webhook-notifier/
 */
import { z } from 'zod';
import { parseInstant } from './instant.ts';
import { BadRequestBody } from './json.ts';

export const ALERT_SOURCES = ['alertmanager', 'grafana'] as const;
export type AlertSource = (typeof ALERT_SOURCES)[number];

export interface Delivery {
  /** Of the sender's trace. */
  readonly traceparent?: string | undefined;
  readonly source: AlertSource;
  /** As it was sent: Alertmanager puts a backslash before what is special in a regular expression. */
  readonly receiver: string;
  readonly groupKey: string;
  /** How many alerts the sender left out. */
  readonly truncated: number;
  readonly alerts: readonly (Alert | BadAlert)[];
}

export interface Alert {
  /** Of its labels: 16 hexadecimal digits from Alertmanager and Grafana; other senders may have others. */
  readonly fingerprint: string;
  /** Since when it fires; equal texts are equal instants. Together with the fingerprint, this is the alert. */
  readonly startsAt: string;
  /** Unix time in milliseconds. */
  readonly startsAtMs: number;
  readonly status: 'firing' | 'resolved';
  readonly labels: ReadonlyMap<string, string>;
}

export interface BadAlert {
  /** What is wrong, for people. */
  readonly problem: string;
  /** undefined: it has none that is valid. */
  readonly fingerprint: string | undefined;
}

const MAX_ALERTS = 10_000;
const MAX_TEXT = 1024;
/** Of a name that is not ours, in a message. */
const MAX_SHOWN = 40;
/** What Go writes for a time that nobody set. */
const NO_TIME = '0001-01-01T00:00:00Z';
const MISSING_FINGERPRINT = 'missing: Alertmanager sends it from version 0.19 on';

const state = z.enum(['firing', 'resolved']);
const text = z.string().max(MAX_TEXT, `longer than ${MAX_TEXT} characters`);
const fingerprint = z
  .string({ error: ({ input }) => (input === undefined ? MISSING_FINGERPRINT : undefined) })
  .regex(/^[\w.:-]{1,64}$/, 'expected 1 to 64 letters, digits, dots, colons, underscores and dashes');

export const alertBody = z.looseObject({
  status: state,
  labels: z.record(text, text),
  startsAt: z
    .string()
    .max(64)
    .describe('Since when it fires: with the fingerprint, what tells one alert from another.')
    .meta({ format: 'date-time' }),
  endsAt: z.string().optional().describe('Not used.').meta({ format: 'date-time' }),
  fingerprint: fingerprint.describe('Of the labels.'),
});

const envelope = {
  receiver: text.default(''),
  status: state.optional().describe('Firing if any of the alerts is. Not used.'),
  groupKey: z.string().default(''),
  truncatedAlerts: z.int().min(0).default(0).describe('How many alerts the sender left out.'),
  alerts: z.array(alertBody).max(MAX_ALERTS),
};

/** What Alertmanager sends; newer versions may add to it. */
export const alertmanagerBody = z.looseObject({ version: version('4', 'Alertmanager'), ...envelope });
/** What the alerting of Grafana sends, unless its contact point has a template of its own. */
export const grafanaBody = z.looseObject({
  version: version('1', 'Grafana alerting').optional(),
  ...envelope,
});

/** As above, but the alerts are looked at one by one. */
const each = { alerts: z.array(z.unknown()).max(MAX_ALERTS, `more than ${MAX_ALERTS}`) };
const DELIVERIES = {
  alertmanager: alertmanagerBody.extend(each),
  grafana: grafanaBody.extend(each),
} as const;

/** @throws BadRequestBody if the body is no notification of this source. */
export function toDelivery(source: AlertSource, body: unknown): Delivery {
  const result = DELIVERIES[source].safeParse(body);
  if (!result.success) throw new BadRequestBody(problemOf(result.error, 'the body'));
  const { receiver, groupKey, truncatedAlerts, alerts } = result.data;
  return { source, receiver, groupKey, truncated: truncatedAlerts, alerts: alerts.map(toAlert) };
}

function toAlert(value: unknown): Alert | BadAlert {
  const result = alertBody.safeParse(value);
  if (!result.success) return bad(problemOf(result.error, 'the alert'), value);
  const { status, labels, startsAt, fingerprint } = result.data;
  const instant = parseInstant(startsAt);
  if (!instant) return bad('startsAt: expected a time such as 2026-01-01T00:00:00Z', value);
  if (instant.text === NO_TIME) return bad('startsAt: not set', value);
  return {
    fingerprint,
    startsAt: instant.text,
    startsAtMs: instant.ms,
    status,
    labels: new Map(Object.entries(labels)),
  };
}

const named = z.object({ fingerprint });

function bad(problem: string, value: unknown): BadAlert {
  return { problem, fingerprint: named.safeParse(value).data?.fingerprint };
}

function version<const V extends string>(expected: V, sender: string) {
  return z.literal(
    expected,
    `expected "${expected}", the only version of ${sender}'s webhook that is understood`,
  );
}

/** The first issue. The values are not repeated, and the name of a label only if it is short. */
function problemOf(error: z.ZodError, whole: string): string {
  const [issue] = error.issues;
  const path = issue?.path.map(String).join('.') ?? '';
  const where = path === '' ? whole : path.length > MAX_SHOWN ? `${path.slice(0, MAX_SHOWN)}…` : path;
  const message =
    issue?.code === 'invalid_key'
      ? (issue.issues[0]?.message ?? issue.message)
      : (issue?.message ?? 'invalid');
  return `${where}: ${message}`;
}
