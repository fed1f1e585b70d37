/** What tests compare the program's accounts with: exact figures straight from the world's closed forms. */
import type { InterfaceState, Role, Tunnel } from '../../model/words.ts';
import { describe, type FactsContext } from './facts.ts';
import { emptyReading, readCounters } from './session.ts';
import type { World } from './world.ts';

/** Times are those of the simulator's clock, monotonicMs. Counts are exact integers below 2^53, never wrapped. */
export interface TrueSession {
  readonly handle: number;
  /** 32 hexadecimal digits, in memory order. */
  readonly guid: string;
  readonly user: string;
  readonly domain: string;
  readonly tunnel: Tunnel;
  readonly role: Role;
  readonly startMs: number;
  /** Exclusive; in the future for a live session. */
  readonly endMs: number;
  readonly receivedBytes: number;
  readonly transmittedBytes: number;
  readonly receivedFrames: number;
  readonly transmittedFrames: number;
  readonly errors: number;
  readonly switchovers: number;
  readonly dormant: boolean;
}

export interface TrueTraffic {
  readonly tunnel: Tunnel;
  readonly role: Role;
  receivedBytes: number;
  transmittedBytes: number;
  receivedFrames: number;
  transmittedFrames: number;
  errors: number;
  switchovers: number;
  /** Sessions with from < start <= to, and with from < end <= to. */
  sessionsStarted: number;
  sessionsEnded: number;
}

export interface TrueLink {
  readonly name: string;
  readonly enabled: boolean;
  readonly state: InterfaceState;
  readonly reasons: number;
  readonly lastError: number;
}

export function sessionsAt(
  world: World,
  context: FactsContext,
  timeMs: number,
  originMs: number,
): TrueSession[] {
  const sessions: TrueSession[] = [];
  for (let slot = 0; slot < world.slots; slot++) {
    const session = world.sessionAt(slot, timeMs);
    if (!session) continue;
    const reading = emptyReading();
    readCounters(session, timeMs, reading);
    const facts = describe(context, session);
    sessions.push({
      handle: session.handle,
      guid: Buffer.from(Uint32Array.from(facts.guid).buffer).toString('hex'),
      user: facts.user,
      domain: facts.domain,
      tunnel: session.tunnel,
      role: session.role,
      startMs: originMs + session.startMs,
      endMs: originMs + session.endMs,
      ...reading,
    });
  }
  return sessions;
}

export function trafficBetween(world: World, fromMs: number, toMs: number): TrueTraffic[] {
  const sums = new Map<string, TrueTraffic>();
  const before = emptyReading();
  const after = emptyReading();
  for (let slot = 0; slot < world.slots; slot++) {
    for (const session of world.sessionsBetween(slot, fromMs, toMs)) {
      if (session.endMs <= fromMs) continue;
      const key = `${session.tunnel} ${session.role}`;
      const sum = sums.get(key) ?? nothing(session.tunnel, session.role);
      sums.set(key, sum);
      readCounters(session, Math.max(fromMs, session.startMs), before);
      readCounters(session, toMs, after);
      sum.receivedBytes += after.receivedBytes - before.receivedBytes;
      sum.transmittedBytes += after.transmittedBytes - before.transmittedBytes;
      sum.receivedFrames += after.receivedFrames - before.receivedFrames;
      sum.transmittedFrames += after.transmittedFrames - before.transmittedFrames;
      sum.errors += after.errors - before.errors;
      sum.switchovers += after.switchovers - before.switchovers;
      if (session.startMs > fromMs) sum.sessionsStarted++;
      if (session.endMs <= toMs) sum.sessionsEnded++;
    }
  }
  return [...sums.values()];
}

const nothing = (tunnel: Tunnel, role: Role): TrueTraffic => ({
  tunnel,
  role,
  receivedBytes: 0,
  transmittedBytes: 0,
  receivedFrames: 0,
  transmittedFrames: 0,
  errors: 0,
  switchovers: 0,
  sessionsStarted: 0,
  sessionsEnded: 0,
});

export function linksAt(world: World, timeMs: number): TrueLink[] {
  return world.links.map((link) => {
    const { enabled, state, reasons, lastError } = link.stateAt(timeMs);
    return { name: link.plan.name, enabled, state, reasons, lastError };
  });
}
