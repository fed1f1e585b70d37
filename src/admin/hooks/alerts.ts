/**
 * Notifications of Alertmanager (webhook version 4) and of Grafana alerting, read into one shape. Keys that are not
 * known are passed over, as newer senders add some; an alert that cannot be read costs itself, not the others.
 */
import { z } from 'zod';
import { BadRequestBody } from './json.ts';

export interface Alert {
  readonly fingerprint: string;
  /** ISO 8601 in UTC with as many digits of the second as were given: equal for equal moments only. */
  readonly startsAt: string;
  readonly status: 'firing' | 'resolved';
  readonly labels: ReadonlyMap<string, string>;
}

/** An alert that cannot be decided on. */
export interface BadAlert {
  readonly problem: string;
  readonly fingerprint?: string;
}

export interface Delivery {
  readonly source: 'alertmanager' | 'grafana';
  readonly receiver: string;
  readonly groupKey: string;
  /** Alerts that the sender left out. */
  readonly truncated: number;
  readonly alerts: readonly (Alert | BadAlert)[];
}

const MAX_ALERTS = 10_000;
const MAX_TEXT = 1024;

const alertSchema = z.looseObject({
  status: z.enum(['firing', 'resolved']),
  labels: z.record(z.string().max(MAX_TEXT), z.string().max(MAX_TEXT)),
  startsAt: z.string().max(64),
  fingerprint: z.string().regex(/^[0-9a-f]{1,64}$/i),
});

const common = {
  receiver: z.string().max(MAX_TEXT),
  status: z.enum(['firing', 'resolved']).optional(),
  groupKey: z.string().optional(),
  truncatedAlerts: z.int().min(0).optional(),
  alerts: z.array(z.unknown()).max(MAX_ALERTS),
};

const alertmanagerSchema = z.looseObject({ version: z.literal('4'), ...common });
const grafanaSchema = z.looseObject({ ...common });

/** For the description of the routes: what of a body is read. */
export const alertmanagerBody = alertmanagerSchema.extend({ alerts: z.array(alertSchema) });
export const grafanaBody = grafanaSchema.extend({ alerts: z.array(alertSchema) });

/** @throws BadRequestBody */
export function toDelivery(source: Delivery['source'], body: unknown): Delivery {
  const schema = source === 'alertmanager' ? alertmanagerSchema : grafanaSchema;
  const result = schema.safeParse(body);
  if (!result.success) {
    const [issue] = result.error.issues;
    const where = issue?.path.map(String).join('.') ?? '';
    throw new BadRequestBody(
      where === 'version'
        ? 'version: expected "4", the version of the webhook of Alertmanager'
        : `${where === '' ? 'the body' : where}: ${issue?.message ?? 'not as expected'}`,
    );
  }
  const { receiver, groupKey = '', truncatedAlerts = 0, alerts } = result.data;
  return { source, receiver, groupKey, truncated: truncatedAlerts, alerts: alerts.map(toAlert) };
}

function toAlert(value: unknown): Alert | BadAlert {
  const result = alertSchema.safeParse(value);
  if (!result.success) {
    const where = result.error.issues[0]?.path[0];
    const fingerprint = fingerprintOf(value);
    const problem = where === undefined ? 'it is no alert' : `its ${String(where)} is not as expected`;
    return { problem, ...(fingerprint !== undefined && { fingerprint }) };
  }
  const { fingerprint, startsAt: text, status, labels } = result.data;
  const startsAt = momentOf(text);
  if (startsAt === undefined) return { problem: 'its startsAt is no time', fingerprint };
  return {
    fingerprint: fingerprint.toLowerCase(),
    startsAt,
    status,
    labels: new Map(Object.entries(labels)),
  };
}

function fingerprintOf(value: unknown): string | undefined {
  const { fingerprint } = (value ?? {}) as { fingerprint?: unknown };
  return typeof fingerprint === 'string' && /^[0-9a-f]{1,64}$/i.test(fingerprint)
    ? fingerprint.toLowerCase()
    : undefined;
}

const RFC_3339 = /^(\d{4}-\d\d-\d\d)[Tt](\d\d:\d\d:\d\d)(?:\.(\d{1,12}))?([Zz]|[+-]\d\d:\d\d)$/;

/** RFC 3339 in UTC, without zeros at the end of the fraction: sub-millisecond digits tell moments apart, too. */
function momentOf(text: string): string | undefined {
  const parts = RFC_3339.exec(text);
  if (!parts) return undefined;
  const [, date = '', time = '', fraction = '', zone = 'Z'] = parts;
  const ms = Date.parse(`${date}T${time}${zone.toUpperCase()}`);
  if (Number.isNaN(ms)) return undefined;
  const digits = fraction.replace(/0+$/, '');
  return new Date(ms).toISOString().replace('.000Z', digits === '' ? 'Z' : `.${digits}Z`);
}
