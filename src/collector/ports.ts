/** Counts ports, and keeps the account of the calls that they served. */
import type { PortsFrame } from '../model/frames.ts';
import type { PortCounts } from '../model/snapshot.ts';
import type { Tunnel } from '../model/words.ts';
import { PORT_CONDITIONS, TUNNELS } from '../model/words.ts';

const TWO_32 = 4_294_967_296;
/** No port serves so many calls between two polls: a counter that fell by more began anew with the service. */
const MOST_CALLS_BETWEEN_POLLS = 1_000_000;

const PORTS_ALWAYS_REMEMBERED = 1000;
const UNKNOWN = TUNNELS.indexOf('unknown');

/** What a server has ports for unless an administrator took them away. */
const USUAL_TUNNELS: readonly Tunnel[] = ['ikev2', 'sstp', 'l2tp', 'pptp'];

/** A port that a page border hid once goes on where it was. */
const POLLS_REMEMBERED = 2;

export class PortTable {
  /** Where what is known of a port stands, by hPort. */
  #places = new Map<number, number>();
  /** dwTotalNumberOfCalls as it was said last. */
  #calls = new Uint32Array(64);
  /** The poll that said it. */
  #saidIn = new Float64Array(64);
  #poll = POLLS_REMEMBERED;
  /** What was said before this poll is of another life of the service. */
  #validFrom = 0;
  readonly #callTotals = new Map<Tunnel, number>();
  #primed = false;
  /** The service was seen to be stopped: its counts may have begun anew. */
  #stopped = false;

  update(frame: PortsFrame): PortCounts {
    this.#poll += 1;
    if (this.#stopped && this.#anyFell(frame)) this.#validFrom = this.#poll;
    const conditions = TUNNELS.map(() => PORT_CONDITIONS.map(() => 0));
    const ports = TUNNELS.map(() => 0);
    const held = TUNNELS.map(() => 0);
    const served = TUNNELS.map(() => 0);
    for (let i = 0; i < frame.count; i += 1) {
      const tunnel = frame.tunnel[i]! < TUNNELS.length ? frame.tunnel[i]! : UNKNOWN;
      const condition = frame.condition[i]!;
      if (condition < PORT_CONDITIONS.length) conditions[tunnel]![condition]! += 1;
      ports[tunnel]! += 1;
      held[tunnel]! += frame.held[i]!;
      served[tunnel]! += this.#served(frame.port[i]!, frame.calls[i]!);
    }
    this.#forget(frame.count);
    this.#primed = true;
    this.#stopped = false;
    const present = TUNNELS.map((tunnel, index) => ({ tunnel, index })).filter(
      ({ index }) => ports[index]! > 0,
    );
    for (const { tunnel, index } of present)
      this.#callTotals.set(tunnel, (this.#callTotals.get(tunnel) ?? 0) + served[index]!);
    return {
      byCondition: new Map(present.map(({ tunnel, index }) => [tunnel, conditions[index]!])),
      inUse: new Map(present.map(({ tunnel, index }) => [tunnel, held[index]!])),
      calls: new Map(this.#callTotals),
    };
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
    const place = this.#places.get(port);
    if (place === undefined) return undefined;
    const saidIn = this.#saidIn[place]!;
    const known = saidIn >= this.#validFrom && saidIn >= this.#poll - POLLS_REMEMBERED;
    return known ? this.#calls[place]! : undefined;
  }

  /** A service that really was stopped has fewer calls on some port, unless it has had none. */
  #anyFell({ count, port, calls }: PortsFrame): boolean {
    for (let i = 0; i < count; i += 1) if (calls[i]! < (this.#last(port[i]!) ?? 0)) return true;
    return false;
  }

  /** Calls since the last poll. What a port had served before the exporter started does not count. */
  #served(port: number, calls: number): number {
    const last = this.#last(port);
    this.#remember(port, calls);
    if (last === undefined) return this.#primed ? calls : 0;
    if (calls >= last) return calls - last;
    const wrapped = calls - last + TWO_32;
    return wrapped <= MOST_CALLS_BETWEEN_POLLS ? wrapped : calls;
  }

  #remember(port: number, calls: number): void {
    let place = this.#places.get(port);
    if (place === undefined) {
      place = this.#places.size;
      this.#places.set(port, place);
      if (place >= this.#calls.length) {
        const length = 2 * place + 64;
        const larger = { calls: new Uint32Array(length), saidIn: new Float64Array(length) };
        larger.calls.set(this.#calls);
        larger.saidIn.set(this.#saidIn);
        this.#calls = larger.calls;
        this.#saidIn = larger.saidIn;
      }
    }
    this.#calls[place] = calls;
    this.#saidIn[place] = this.#poll;
  }

  /** Ports that an administrator took away must not pile up. */
  #forget(present: number): void {
    if (this.#places.size <= 2 * present + PORTS_ALWAYS_REMEMBERED) return;
    const kept = [...this.#places].filter(
      ([, place]) => this.#saidIn[place]! >= this.#poll - POLLS_REMEMBERED,
    );
    this.#calls = Uint32Array.from(kept, ([, place]) => this.#calls[place]!);
    this.#saidIn = Float64Array.from(kept, ([, place]) => this.#saidIn[place]!);
    this.#places = new Map(kept.map(([port], place) => [port, place]));
  }
}
