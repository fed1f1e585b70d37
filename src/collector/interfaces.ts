/** Follows the configured interfaces over time: changes of state, failed dials, and names that a stop must not lose. */
import type { InterfaceRecord, InterfacesFrame } from '../model/frames.ts';
import type { InterfaceStatus } from '../model/snapshot.ts';

/** dwIdleDisconnectSeconds of an interface that never hangs up for idleness. */
const NEVER = 0xffff_ffff;
const ABSENT_KEPT = 1000;

interface History {
  record: InterfaceRecord;
  /** The last state that was told: a stop of the service in between is no change of the interface. */
  toldState: InterfaceRecord['state'];
  stateChangeSeconds: number | undefined;
  stateChanges: number;
  dialFailures: number;
}

export class InterfaceTable {
  /** By name: handles change with a restart of the service, names do not. */
  #present = new Map<string, History>();
  /** Those that were not in the last enumeration: their counters go on if they come back. */
  readonly #absent = new Map<string, History>();

  update(frame: InterfacesFrame, wallSeconds: number): readonly InterfaceStatus[] {
    const present = new Map<string, History>();
    for (const record of frame.interfaces) {
      const history = this.#present.get(record.name) ?? this.#absent.get(record.name);
      this.#absent.delete(record.name);
      present.set(record.name, history ? follow(history, record, wallSeconds) : begin(record));
    }
    for (const [name, history] of this.#present) if (!present.has(name)) this.#absent.set(name, history);
    for (const name of this.#absent.keys()) {
      if (this.#absent.size <= ABSENT_KEPT) break;
      this.#absent.delete(name);
    }
    this.#present = present;
    return this.#statuses();
  }

  /** The service does not run: what was known is down, in no state that could be told. */
  stopped(wallSeconds: number): readonly InterfaceStatus[] {
    for (const history of this.#present.values()) {
      follow(
        history,
        { ...history.record, state: 'unknown', unreachableReasons: 0, lastError: 0 },
        wallSeconds,
      );
    }
    return this.#statuses();
  }

  #statuses(): readonly InterfaceStatus[] {
    return [...this.#present.values()].map(({ record, stateChangeSeconds, stateChanges, dialFailures }) => ({
      ...record,
      persistent: record.idleDisconnectSeconds === null ? undefined : record.idleDisconnectSeconds === NEVER,
      stateChangeSeconds,
      stateChanges,
      dialFailures,
    }));
  }
}

const begin = (record: InterfaceRecord): History => ({
  record,
  toldState: record.state,
  stateChangeSeconds: undefined,
  stateChanges: 0,
  dialFailures: 0,
});

function follow(history: History, record: InterfaceRecord, wallSeconds: number): History {
  const last = history.toldState;
  history.record = record;
  if (record.state === 'unknown' || record.state === last) return history;
  history.toldState = record.state;
  history.stateChanges += 1;
  history.stateChangeSeconds = wallSeconds;
  const ended = record.state === 'unreachable' || record.state === 'disconnected';
  if (last === 'connecting' && ended && record.lastError !== 0) history.dialFailures += 1;
  return history;
}
