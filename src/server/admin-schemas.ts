/** What the admin routes take and answer: the schemas validate the bodies, and the OpenAPI document is made of them. */
import { z } from 'zod';
import { ACTION_STATES, ACTIONS, DECISIONS, OVERRIDABLE } from '../model/admin.ts';

const reason = z
  .string()
  .trim()
  .min(1)
  .max(500)
  .describe('Why: it stands in the audit log and in the list of actions.');
const override = z
  .array(z.enum(OVERRIDABLE))
  .max(OVERRIDABLE.length)
  .default([])
  .describe('Guards to pass in an emergency; takes the right `override`.');

export const reconnectBody = z.strictObject({
  reason,
  force: z.boolean().default(false).describe('Hang up first, also where the interface is connected.'),
  override,
});
export const disconnectBody = z.strictObject({ reason, override });
export const reasonBody = z.strictObject({ reason });
export const MAX_PAUSE_SECONDS = 2_592_000;
export const pauseBody = z.strictObject({
  reason,
  expiresIn: z
    .union([z.int().min(1).max(MAX_PAUSE_SECONDS), z.string().regex(/^(?:\d{1,9}(?:d|h|m|s|ms))+$/)])
    .optional()
    .describe(
      'Seconds, or a duration such as 30m or 1h30m, up to 30d, after which actions go on; until /resume if left out.',
    ),
});
const address = z.union([z.ipv4(), z.ipv6()]);
export const endpointBody = z
  .strictObject({
    interfaceIndex: z
      .int()
      .min(1)
      .max(0xffff_ffff)
      .describe('Index of the server’s IP interface to move to, as Get-NetIPInterface shows it.'),
    localAddress: address.describe('Outer address of the server.'),
    remoteAddress: address.describe('Outer address of the peer.'),
    reason,
    override,
  })
  .refine(({ localAddress, remoteAddress }) => localAddress.includes(':') === remoteAddress.includes(':'), {
    error: 'localAddress and remoteAddress must be both IPv4 or both IPv6',
    path: ['remoteAddress'],
  });

const seconds = z.number().describe('Unix time in seconds.');

export const actionObject = z.object({
  id: z.string(),
  action: z.enum(ACTIONS),
  interface: z.string().nullable(),
  connection: z.string().nullable(),
  actor: z.string().describe('Name of the token or client certificate, or grafana.'),
  route: z.string(),
  reason: z.string(),
  force: z.boolean(),
  override: z.array(z.enum(OVERRIDABLE)),
  endpoint: z
    .object({ interfaceIndex: z.int(), localAddress: z.string(), remoteAddress: z.string() })
    .nullable()
    .describe('Where a connection was to be moved; addresses as --privacy.addresses says.'),
  alert: z.object({ rule: z.string(), fingerprint: z.string(), startsAt: z.string() }).nullable(),
  decision: z.enum(DECISIONS),
  decisionReason: z.string(),
  state: z.enum(ACTION_STATES),
  requestedAt: seconds,
  history: z.array(z.object({ state: z.enum(ACTION_STATES), time: seconds })),
  outcome: z
    .object({
      result: z.string(),
      message: z.string(),
      function: z.string().nullable(),
      code: z.int().nullable(),
      codeName: z.string().nullable(),
      interfaceLastError: z.int().nullable(),
      interfaceLastErrorName: z.string().nullable(),
      seconds: z.number(),
    })
    .nullable(),
});
export type ActionObject = z.infer<typeof actionObject>;

export const pauseObject = z.object({
  paused: z.boolean(),
  reason: z.string(),
  actor: z.string(),
  since: seconds.nullable(),
  until: seconds.nullable().describe('Unix time in seconds; null: until /resume.'),
  persisted: z.boolean().describe('False: it could not be written to the disk, and ends with the exporter.'),
});

export const resetObject = z.object({ interface: z.string() });

export const hookObject = z.object({
  alerts: z.array(
    z.object({
      fingerprint: z.string(),
      rule: z.string().nullable(),
      decision: z.enum(DECISIONS),
      reason: z.string(),
      actionId: z.string().nullable(),
    }),
  ),
});
