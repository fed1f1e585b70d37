/** The program with several simulated servers, and what is known of the child process of each. Linux. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { hostConfig } from '../../src/native/host-config.ts';
import type { HostConfig } from '../../src/native/host-messages.ts';
import type { SimulatedServer } from '../../src/native/simulator/server.ts';
import { createSimulator } from '../../src/native/simulator/server.ts';
import { FakeClock } from '../doubles/fake-clock.ts';
import { Page } from '../metrics/page.ts';
import { isAlive, Program } from './program.ts';

type Simulation = Extract<HostConfig, { backend: 'simulator' }>;

export interface FleetProgramOptions {
  /** Entries of `servers:`; those that are names only are simulated. */
  readonly servers: readonly (string | Readonly<Record<string, string>>)[];
  readonly scenario?: string;
  readonly flags?: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  /** More of the configuration. */
  readonly config?: Readonly<Record<string, unknown>>;
}

/** What a simulation of this name is made of; when it began is another matter. */
export const simulationOf = async (name: string, scenario: string): Promise<Simulation> =>
  (await hostConfig({ server: null, simulate: scenario, replay: null }, 'linux', {
    wallSeconds: 0,
    name,
  })) as Simulation;

/** Of a scraper. */
export const PATIENCE = { 'X-Prometheus-Scrape-Timeout-Seconds': '3' };

export class FleetProgram {
  readonly program: Program;
  readonly #names = new Map<number, string>();
  readonly #scenario: string;
  /** Every child that was ever seen, with what it was started for. */
  readonly seen = new Map<number, { readonly name: string; readonly config: HostConfig }>();

  private constructor(program: Program, scenario: string, names: ReadonlyMap<number, string>) {
    this.program = program;
    this.#scenario = scenario;
    this.#names = new Map(names);
  }

  static async start(options: FleetProgramOptions): Promise<FleetProgram> {
    const { servers, scenario = 'small', flags = [], environment = {}, config = {} } = options;
    const entries = servers.map((each) =>
      typeof each === 'string' ? { name: each, simulate: scenario } : each,
    );
    const names = new Map<number, string>();
    for (const { name } of entries) names.set((await simulationOf(name!, scenario)).seed, name!);
    const folder = mkdtempSync(join(tmpdir(), 'rras-exporter-fleet-'));
    const file = join(folder, 'rras-exporter.yml');
    writeFileSync(file, stringify({ ...config, servers: entries }), { mode: 0o600 });
    try {
      const program = await Program.serveWith(
        environment,
        `--config.file=${file}`,
        '--rras.simulate=small',
        ...flags,
      );
      return new FleetProgram(program, scenario, names);
    } finally {
      // It has read its configuration by now.
      rmSync(folder, { recursive: true, force: true });
    }
  }

  /** The children that are there, by the name of their server; '' is the local one or a recording. */
  children(): ReadonlyMap<number, string> {
    const found = new Map<number, string>();
    for (const pid of this.program.children()) {
      const known = this.seen.get(pid) ?? this.#look(pid);
      if (known && isAlive(pid)) found.set(pid, known.name);
    }
    return found;
  }

  childOf(name: string): number | undefined {
    for (const [pid, each] of this.children()) if (each === name) return pid;
    return undefined;
  }

  #look(pid: number): { readonly name: string; readonly config: HostConfig } | undefined {
    try {
      const config = JSON.parse(
        readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0').at(-2) ?? '',
      ) as HostConfig;
      const name = config.backend === 'simulator' ? (this.#names.get(config.seed) ?? '') : '';
      const entry = { name, config };
      this.seen.set(pid, entry);
      return entry;
    } catch {
      // It is no host yet, or none any more.
      return undefined;
    }
  }

  /** The server once more, in this process; its times are wall milliseconds. One child of it must have been seen. */
  twinOf(name: string): SimulatedServer {
    const found = [...this.seen.values()].find((each) => each.name === name);
    if (found?.config.backend !== 'simulator') throw new Error(`no child of ${name} was seen`);
    const { scenario, seed, startedAt } = found.config;
    return createSimulator({ scenario, seed, clock: new FakeClock({ monotonicMs: startedAt * 1000 }) });
  }

  get scenario(): string {
    return this.#scenario;
  }

  /** A probe that succeeds, within a few seconds whatever its server does. */
  async probe(name: string): Promise<Page> {
    const { status, text } = await this.program.get(`/probe?target=${name}`, { headers: PATIENCE });
    if (status !== 200) throw new Error(`the probe of ${name} was answered ${status}: ${text}`);
    return new Page(text, { bareHeads: true });
  }
}
