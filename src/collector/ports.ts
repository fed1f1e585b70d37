/** Counts ports, and keeps the account of the calls that they served. */
import type { PortsFrame } from '../model/frames.ts';
import type { PortCounts } from '../model/snapshot.ts';
import type { Tunnel } from '../model/words.ts';
import { PORT_CONDITIONS, TUNNELS } from '../model/words.ts';

const TWO_32 = 4_294_967_296;
/** No port serves so many calls between two polls: a counter that fell by more began anew with the service. */
const MOST_CALLS_BETWEEN_POLLS = 1_000_000;

/** What a server has ports for unless an administrator took them away. */
const USUAL_TUNNELS: readonly Tunnel[] = ['ikev2', 'sstp', 'l2tp', 'pptp'];

export class PortTable {
  /** dwTotalNumberOfCalls by hPort, as it was said last. */
  #calls = new Map<number, number>();
  /** The one before: a port that a page border hid once goes on where it was. */
  #earlierCalls = new Map<number, number>();
  readonly #callTotals = new Map<Tunnel, number>();
  #primed = false;
  /** The service was seen to be stopped: its counts may have begun anew. */
  #stopped = false;

  update(frame: PortsFrame): PortCounts {
    const byCondition = new Map<Tunnel, number[]>();
    const inUse = new Map<Tunnel, number>();
    const calls = new Map<number, number>();
    const anew = this.#stopped && this.#anyFell(frame);
    for (let i = 0; i < frame.count; i += 1) {
      const tunnel = TUNNELS[frame.tunnel[i]!] ?? 'unknown';
      let conditions = byCondition.get(tunnel);
      if (!conditions) byCondition.set(tunnel, (conditions = PORT_CONDITIONS.map(() => 0)));
      const condition = frame.condition[i]!;
      if (condition < conditions.length) conditions[condition]! += 1;
      inUse.set(tunnel, (inUse.get(tunnel) ?? 0) + frame.held[i]!);
      const served = anew ? frame.calls[i]! : this.#served(frame.port[i]!, frame.calls[i]!);
      this.#callTotals.set(tunnel, (this.#callTotals.get(tunnel) ?? 0) + served);
      calls.set(frame.port[i]!, frame.calls[i]!);
    }
    this.#earlierCalls = anew ? new Map<number, number>() : this.#calls;
    this.#calls = calls;
    this.#primed = true;
    this.#stopped = false;
    return { byCondition, inUse, calls: new Map(this.#callTotals) };
  }

  /** The service has stopped: the tunnels of before, or the usual ones, with no port. */
  stopped(last: PortCounts | undefined): PortCounts {
    this.#stopped = true;
    this.#primed = true;
    const tunnels = last ? [...last.byCondition.keys()] : USUAL_TUNNELS;
    return {
      byCondition: new Map(tunnels.map((tunnel) => [tunnel, PORT_CONDITIONS.map(() => 0)])),
      inUse: new Map(tunnels.map((tunnel) => [tunnel, 0])),
      calls: new Map(this.#callTotals),
    };
  }

  #last(port: number): number | undefined {
    return this.#calls.get(port) ?? this.#earlierCalls.get(port);
  }

  /** A service that really was stopped has fewer calls on some port, unless it has had none. */
  #anyFell({ count, port, calls }: PortsFrame): boolean {
    for (let i = 0; i < count; i += 1) if (calls[i]! < (this.#last(port[i]!) ?? 0)) return true;
    return false;
  }

  /** Calls since the last poll. What a port had served before the exporter started does not count. */
  #served(port: number, calls: number): number {
    const last = this.#last(port);
    if (last === undefined) return this.#primed ? calls : 0;
    if (calls >= last) return calls - last;
    const wrapped = calls - last + TWO_32;
    return wrapped <= MOST_CALLS_BETWEEN_POLLS ? wrapped : calls;
  }
}
