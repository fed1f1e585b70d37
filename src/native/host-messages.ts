/** The messages between the exporter and the child process that holds the DLL, and the check of what comes back. */
import { z } from 'zod';
import type { ActRequest, ActResult } from '../model/actions.ts';
import { ACT_OUTCOMES } from '../model/actions.ts';
import type { ConnectionColumns, ConnectionIdentity, Frame, ReadOutcome } from '../model/frames.ts';
import type { Source } from '../model/words.ts';
import {
  ANOMALIES,
  AUTHS,
  COMPRESSIONS,
  ENCRYPTIONS,
  INTERFACE_STATES,
  INTERFACE_TYPES,
  TUNNELS,
} from '../model/words.ts';
import type { ScenarioName } from './simulator/scenarios.ts';

/** What the child is to stand on. `server` null is the local machine. */
export type HostConfig =
  | { readonly backend: 'dll'; readonly server: string | null }
  | { readonly backend: 'simulator'; readonly scenario: ScenarioName; readonly server: null }
  | {
      readonly backend: 'replay';
      readonly file: string;
      /** When the recording began, in Unix seconds, and how long it lasts. */
      readonly startedAt: number;
      readonly endMs: number;
      /** The file broke off. */
      readonly truncated: boolean;
      readonly server: string | null;
    };

export type HostRequest =
  { readonly id: number; readonly source: Source } | { readonly id: number; readonly act: ActRequest };

/** Identities go ahead of their frame in parts, so that no single message holds the receiver up for long. */
export type HostMessage =
  | { readonly type: 'ready'; readonly missing: readonly string[] }
  | { readonly type: 'fatal'; readonly message: string }
  | { readonly type: 'changed' }
  | {
      readonly type: 'identities';
      readonly id: number;
      readonly part: readonly (readonly [number, ConnectionIdentity])[];
    }
  | { readonly type: 'outcome'; readonly id: number; readonly outcome: ReadOutcome }
  | { readonly type: 'acted'; readonly id: number; readonly result: ActResult };

export const IDENTITIES_PER_MESSAGE = 1000;

const text = z.string().max(1024);
const identity = z.object({
  handle: text,
  guid: text,
  startTicks: text,
  user: text,
  domain: text,
  computer: text,
  interfaceName: text,
  interfaceType: z.enum([...INTERFACE_TYPES, 'unknown']),
  tunnel: z.enum(TUNNELS),
  auth: z.enum(AUTHS),
  encryption: z.enum(ENCRYPTIONS),
  compression: z.enum(COMPRESSIONS),
  tunnelAddress: text,
  tunnelAddressV6: text,
  remoteAddress: text,
  localAddress: text,
});
const count = z.int().min(0).max(1_000_000);
const u32 = z.instanceof(Uint32Array);
const u8 = z.instanceof(Uint8Array);
const f64 = z.instanceof(Float64Array);
const columns = z.object({
  slot: u32,
  duration: u32,
  flags: u32,
  quarantine: u32,
  receivedBytes: f64,
  transmittedBytes: f64,
  receivedFrames: u32,
  transmittedFrames: u32,
  crc: u32,
  timeout: u32,
  alignment: u32,
  hardware_overrun: u32,
  framing: u32,
  buffer_overrun: u32,
  compressionIn: u32,
  compressionOut: u32,
  switchovers: u32,
} satisfies Record<keyof ConnectionColumns, unknown>);
const identities = z.array(z.tuple([z.int().min(0), identity]));
const sameLength = (frame: { count: number }, arrays: readonly { length: number }[]): boolean =>
  arrays.every((array) => array.length === frame.count);

const interfaceNow = z.object({
  handle: text,
  name: text,
  type: z.enum([...INTERFACE_TYPES, 'unknown']),
  enabled: z.boolean(),
  state: z.enum([...INTERFACE_STATES, 'unknown']),
  unreachableReasons: z.number(),
  lastError: z.number(),
});
const connectionNow = identity
  .pick({ handle: true, guid: true, startTicks: true, tunnel: true, remoteAddress: true, localAddress: true })
  .extend({ switchovers: z.number() });

const frame = z.discriminatedUnion('source', [
  z.object({
    source: z.literal('server'),
    running: z.boolean(),
    lanOnly: z.boolean(),
    uptimeSeconds: z.number(),
    totalPorts: z.number(),
    portsInUse: z.number(),
  }),
  z
    .object({ source: z.literal('connections'), api: z.enum(['level4', 'ex']), count, columns, identities })
    .refine((value) => sameLength(value, Object.values(value.columns)), 'columns differ in length'),
  z
    .object({
      source: z.literal('ports'),
      count,
      port: u32,
      tunnel: u8,
      condition: u8,
      calls: u32,
      held: u8,
      slot: u32,
    })
    .refine(
      (value) =>
        sameLength(value, [value.port, value.tunnel, value.condition, value.calls, value.held, value.slot]),
      'columns differ in length',
    ),
  z.object({
    source: z.literal('interfaces'),
    interfaces: z.array(interfaceNow.extend({ idleDisconnectSeconds: z.number().nullable() })),
  }),
]);
const report = z.object({
  calls: z.array(z.object({ function: text, code: z.number(), seconds: z.number() })),
  pages: z.number(),
  anomalies: z.partialRecord(z.enum(ANOMALIES), z.number()),
  seconds: z.number(),
});
const failure = z.object({
  kind: text,
  message: z.string(),
  function: text.optional(),
  code: z.number().optional(),
});
const outcome = z.discriminatedUnion('status', [
  z.object({ status: z.literal('ok'), frame, report }),
  z.object({ status: z.enum(['inapplicable', 'stopped']), report }),
  z.object({ status: z.literal('failed'), failure, report }),
]);
const acted = z.object({
  outcome: z.enum(ACT_OUTCOMES),
  code: z.number().nullable(),
  failure: failure.nullable(),
  interfaceNow: interfaceNow.nullable(),
  connectionNow: connectionNow.nullable(),
  report,
} satisfies Record<keyof ActResult, unknown>);
const message = z.discriminatedUnion('type', [
  z.object({ type: z.literal('ready'), missing: z.array(text) }),
  z.object({ type: z.literal('fatal'), message: z.string() }),
  z.object({ type: z.literal('changed') }),
  z.object({ type: z.literal('identities'), id: z.int(), part: identities }),
  z.object({ type: z.literal('outcome'), id: z.int(), outcome }),
  z.object({ type: z.literal('acted'), id: z.int(), result: acted }),
]);

/** The message, or undefined if it is not one: memory of the child is then not to be trusted any more. */
export function parseHostMessage(value: unknown): HostMessage | undefined {
  const parsed = message.safeParse(value);
  return parsed.success ? (parsed.data as HostMessage) : undefined;
}

/** Splits an outcome's identities off into messages that go first. */
export function toMessages(id: number, result: ReadOutcome): HostMessage[] {
  if (result.status !== 'ok' || result.frame.source !== 'connections')
    return [{ type: 'outcome', id, outcome: result }];
  const all = result.frame.identities;
  const messages: HostMessage[] = [];
  for (let i = 0; i < all.length; i += IDENTITIES_PER_MESSAGE) {
    messages.push({ type: 'identities', id, part: all.slice(i, i + IDENTITIES_PER_MESSAGE) });
  }
  const frameWithout: Frame = { ...result.frame, identities: [] };
  messages.push({ type: 'outcome', id, outcome: { ...result, frame: frameWithout } });
  return messages;
}
