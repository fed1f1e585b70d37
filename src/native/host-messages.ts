/** The messages between the exporter and the child process that holds the DLL. Both load it: it imports words only. */
import type { ActRequest, ActResult } from '../model/actions.ts';
import type { ConnectionIdentity, ConnectionsFrame, ReadOutcome } from '../model/frames.ts';
import type { Source } from '../model/words.ts';
import { AUTHS, COMPRESSIONS, ENCRYPTIONS, INTERFACE_TYPES, TUNNELS } from '../model/words.ts';
import type { ScenarioName } from './simulator/scenarios.ts';

/** What the child is to stand on. `server` null is the local machine. */
export type HostConfig =
  | { readonly backend: 'dll'; readonly server: string | null }
  | {
      readonly backend: 'simulator';
      readonly scenario: ScenarioName;
      /** Instead of as many as the scenario has. */
      readonly connections?: number;
      /** Draws people and links. */
      readonly seed: number;
      /** When the simulation began, in Unix seconds: a child that takes over goes on with it. */
      readonly startedAt: number;
      readonly server: null;
    }
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

/** Fields of an identity that are any text, and those that are one of a few words. */
export const IDENTITY_TEXTS = [
  'handle',
  'guid',
  'startTicks',
  'user',
  'domain',
  'computer',
  'interfaceName',
  'tunnelAddress',
  'tunnelAddressV6',
  'remoteAddress',
  'localAddress',
] as const satisfies readonly (keyof ConnectionIdentity)[];
export const IDENTITY_WORDS = {
  interfaceType: [...INTERFACE_TYPES, 'unknown'],
  tunnel: TUNNELS,
  auth: AUTHS,
  encryption: ENCRYPTIONS,
  compression: COMPRESSIONS,
} as const satisfies Partial<Record<keyof ConnectionIdentity, readonly string[]>>;
type IdentityText = (typeof IDENTITY_TEXTS)[number];
type IdentityWord = keyof typeof IDENTITY_WORDS;

/**
 * Identities by slot, field by field: objects would bring the names of their fields along each. Words are their places
 * in IDENTITY_WORDS.
 */
export interface IdentityColumns {
  readonly slots: Uint32Array;
  readonly texts: Readonly<Record<IdentityText, readonly string[]>>;
  readonly words: Readonly<Record<IdentityWord, Uint8Array>>;
}

/** Identities go ahead of their frame in parts, so that no single message holds the receiver up for long. */
export type HostMessage =
  | { readonly type: 'ready'; readonly missing: readonly string[] }
  | { readonly type: 'fatal'; readonly message: string }
  | { readonly type: 'changed' }
  | { readonly type: 'identities'; readonly id: number; readonly part: IdentityColumns }
  | { readonly type: 'outcome'; readonly id: number; readonly outcome: ReadOutcome }
  | { readonly type: 'acted'; readonly id: number; readonly result: ActResult };

export const IDENTITIES_PER_MESSAGE = 1000;

/** The messages of an outcome; identities that it has go first. */
export function* toMessages(id: number, outcome: ReadOutcome): Generator<HostMessage, void, undefined> {
  if (outcome.status !== 'ok' || outcome.frame.source !== 'connections') {
    yield { type: 'outcome', id, outcome };
    return;
  }
  const { identities } = outcome.frame;
  for (let i = 0; i < identities.length; i += IDENTITIES_PER_MESSAGE) {
    yield toMessage(id, identities.slice(i, i + IDENTITIES_PER_MESSAGE));
  }
  yield { type: 'outcome', id, outcome: { ...outcome, frame: { ...outcome.frame, identities: [] } } };
}

/** The message that goes ahead of the outcome with a part of its identities. */
export function toMessage(id: number, part: ConnectionsFrame['identities']): HostMessage {
  return { type: 'identities', id, part: toColumns(part) };
}

function toColumns(part: ConnectionsFrame['identities']): IdentityColumns {
  const texts = {} as Record<IdentityText, string[]>;
  for (const name of IDENTITY_TEXTS) texts[name] = part.map(([, identity]) => identity[name]);
  const words = {} as Record<IdentityWord, Uint8Array>;
  for (const name of Object.keys(IDENTITY_WORDS) as IdentityWord[]) {
    const all: readonly string[] = IDENTITY_WORDS[name];
    words[name] = Uint8Array.from(part, ([, identity]) => all.indexOf(identity[name]));
  }
  return { slots: Uint32Array.from(part, ([slot]) => slot), texts, words };
}
