/**
 * The check of what comes back from the child process that holds the DLL. The child does not load it: its schemas would
 * cost it memory and time for nothing.
 */
import { z } from 'zod';
import type { ActResult } from '../model/actions.ts';
import { ACT_OUTCOMES } from '../model/actions.ts';
import type { ConnectionColumns, ConnectionIdentity } from '../model/frames.ts';
import { ANOMALIES, INTERFACE_STATES, INTERFACE_TYPES, TUNNELS } from '../model/words.ts';
import type { HostMessage, IdentityColumns } from './host-messages.ts';
import { IDENTITY_TEXTS, IDENTITY_WORDS } from './host-messages.ts';

const LONGEST_TEXT = 1024;
const text = z.string().max(LONGEST_TEXT);
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
/** They come ahead of the frame. */
const none = z.tuple([]);
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
const connectionNow = z.object({
  handle: text,
  guid: text,
  startTicks: text,
  tunnel: z.enum(TUNNELS),
  remoteAddress: text,
  localAddress: text,
  switchovers: z.number(),
});

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
    .object({
      source: z.literal('connections'),
      api: z.enum(['level4', 'ex']),
      count,
      columns,
      identities: none,
    })
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
  calls: z.array(
    z.object({
      function: text,
      code: z.number(),
      seconds: z.number(),
      atSeconds: z.number(),
      entries: z.number().optional(),
    }),
  ),
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
const part = z.custom<IdentityColumns>(isIdentityColumns);
const message = z.discriminatedUnion('type', [
  z.object({ type: z.literal('ready'), missing: z.array(text) }),
  z.object({ type: z.literal('fatal'), message: z.string() }),
  z.object({ type: z.literal('changed') }),
  z.object({ type: z.literal('identities'), id: z.int(), part }),
  z.object({ type: z.literal('outcome'), id: z.int(), outcome }),
  z.object({ type: z.literal('acted'), id: z.int(), result: acted }),
]);

/** The message, or undefined if it is not one: memory of the child is then not to be trusted any more. */
export function parseHostMessage(value: unknown): HostMessage | undefined {
  const parsed = message.safeParse(value);
  return parsed.success ? (parsed.data as HostMessage) : undefined;
}

const WORDS: readonly (readonly [name: keyof IdentityColumns['words'], words: readonly string[]])[] =
  Object.entries(IDENTITY_WORDS).map(([name, words]) => [name as keyof IdentityColumns['words'], words]);

/** By hand: a schema took up to 15 ms for 1,000 identities, during which nobody is served (measured). */
function isIdentityColumns(value: unknown): boolean {
  const { slots, texts, words } = (value ?? {}) as Readonly<Record<string, unknown>>;
  if (!(slots instanceof Uint32Array) || !isObject(texts) || !isObject(words)) return false;
  for (const name of IDENTITY_TEXTS) {
    const column = texts[name];
    if (!Array.isArray(column) || column.length !== slots.length) return false;
    for (const each of column as unknown[]) {
      if (typeof each !== 'string' || each.length > LONGEST_TEXT) return false;
    }
  }
  for (const [name, all] of WORDS) {
    const column = words[name];
    if (!(column instanceof Uint8Array) || column.length !== slots.length) return false;
    for (const each of column) if (each >= all.length) return false;
  }
  return true;
}

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null;

/** So many texts that many connections share are held once each. */
const SHARED_TEXTS = 1024;

/** Puts identities together from their columns, with one string where many connections have the same text. */
export class IdentityReader {
  readonly #shared = new Map<string, string>();

  read({ slots, texts, words }: IdentityColumns): [slot: number, identity: ConnectionIdentity][] {
    const word = <N extends keyof typeof IDENTITY_WORDS>(name: N, i: number) =>
      IDENTITY_WORDS[name][words[name][i]!] as (typeof IDENTITY_WORDS)[N][number];
    return Array.from(slots, (slot, i) => {
      const user = texts.user[i]!;
      const interfaceName = texts.interfaceName[i]!;
      const identity: ConnectionIdentity = {
        handle: texts.handle[i]!,
        guid: texts.guid[i]!,
        startTicks: texts.startTicks[i]!,
        user,
        domain: this.#share(texts.domain[i]!),
        computer: texts.computer[i]!,
        // That of a client has its user's name.
        interfaceName: interfaceName === user ? user : interfaceName,
        interfaceType: word('interfaceType', i),
        tunnel: word('tunnel', i),
        auth: word('auth', i),
        encryption: word('encryption', i),
        compression: word('compression', i),
        tunnelAddress: texts.tunnelAddress[i]!,
        tunnelAddressV6: texts.tunnelAddressV6[i]!,
        remoteAddress: texts.remoteAddress[i]!,
        localAddress: this.#share(texts.localAddress[i]!),
      };
      return [slot, identity];
    });
  }

  #share(text: string): string {
    const shared = this.#shared.get(text);
    if (shared !== undefined) return shared;
    if (this.#shared.size >= SHARED_TEXTS) this.#shared.clear();
    this.#shared.set(text, text);
    return text;
  }
}
