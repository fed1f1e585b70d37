/** The simulated server behind the host, as a world to act on; knows which native calls were made. */
import { enumerate } from '../../src/collector/enumerate.ts';
import { Poller } from '../../src/collector/poller.ts';
import type { ActRequest, ActResult } from '../../src/model/actions.ts';
import type { Logger } from '../../src/model/logger.ts';
import type { RrasApi } from '../../src/model/rras-api.ts';
import type { Snapshot } from '../../src/model/snapshot.ts';
import { SOURCES } from '../../src/model/words.ts';
import { Host } from '../../src/native/host.ts';
import type { SimulatedServer, SimulatorOptions } from '../../src/native/simulator/server.ts';
import { createSimulator } from '../../src/native/simulator/server.ts';
import { FakeClock } from '../doubles/fake-clock.ts';
import type { FaultApi, FaultOptions, RrasMethod } from '../doubles/fault-api.ts';
import { withFault } from '../doubles/fault-api.ts';
import type { World } from './exporter-life.ts';

const NO_FAULT: FaultOptions = { fault: { kind: 'throw' }, at: Infinity, mode: 'once' };
const ignore = (): void => undefined;
const SILENT: Logger = { debug: ignore, info: ignore, warn: ignore, error: ignore };

/** Calls of these change something. */
const CHANGING: ReadonlySet<RrasMethod> = new Set([
  'interfaceConnect',
  'interfaceDisconnect',
  'updateConnection',
  'portDisconnect',
]);

export interface SimulatedWorldOptions extends Partial<Omit<SimulatorOptions, 'clock'>> {
  /** Puts something between the host and the simulated server. */
  readonly through?: (api: RrasApi, world: { readonly simulator: SimulatedServer }) => Partial<RrasApi>;
}

export class SimulatedWorld implements World {
  readonly clock = new FakeClock();
  readonly simulator: SimulatedServer;
  readonly requests: ActRequest[] = [];
  readonly actor = {
    act: (request: ActRequest): Promise<ActResult> => {
      this.requests.push(request);
      return this.#host.act(request);
    },
  };
  readonly #traced: FaultApi;
  readonly #host: Host;
  readonly #poller: Poller;

  constructor({ through, ...options }: SimulatedWorldOptions = {}) {
    const { clock } = this;
    this.simulator = createSimulator({ scenario: 'office', seed: 1, clock, ...options });
    // So that calls are counted whatever is put between.
    const between = { ...withFault(this.simulator, NO_FAULT) };
    this.#traced = withFault({ ...between, ...through?.(between, this) }, NO_FAULT);
    this.#host = new Host({ api: this.#traced, enumerate, clock, server: null });
    this.#poller = new Poller({
      reader: this.#host,
      clock,
      logger: SILENT,
      enabled: new Set(SOURCES),
      minIntervalMs: 0,
      maxAgeMs: 60_000,
      userLimit: 0,
      onRead: ignore,
      onWraps: ignore,
    });
  }

  snapshot(): Promise<Snapshot> {
    return this.#poller.collect(10_000);
  }

  /** Native calls that change something, in their order. */
  get changes(): RrasMethod[] {
    return this.#traced.calls.map(({ method }) => method).filter((method) => CHANGING.has(method));
  }

  /** Native calls on interfaces and connections, each run of the same one as one. */
  get calls(): RrasMethod[] {
    return this.#traced.calls
      .map(({ method }) => method)
      .filter((method, index, all) => method !== all[index - 1]);
  }

  forgetCalls(): void {
    (this.#traced.calls as unknown[]).length = 0;
    this.requests.length = 0;
  }

  stateOf(name: string): string {
    return this.simulator.links().find((link) => link.name === name)?.state ?? 'gone';
  }
}
