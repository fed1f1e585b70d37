/** What the child process is to stand on, from the options that name a server. */
import { createHash } from 'node:crypto';
import { UsageError } from '../model/errors.ts';
import type { HostConfig } from './host-messages.ts';
import { isScenarioName } from './simulator/scenarios.ts';

export interface ServerOptions {
  /** null: the local machine. */
  readonly server: string | null;
  /** A scenario, or SCENARIO:N for N connections; null: a real server. */
  readonly simulate: string | null;
  /** File of a recording; null: a real server. */
  readonly replay: string | null;
}

/** Stands for the name of a remote server in a replay: what matters is that it is not the local one. */
const RECORDED_SERVER = 'recorded';

/** What a simulation or a recording begins with. */
export interface Beginning {
  readonly wallSeconds: number;
  /** Simulations of two names show other people and links; null: those of every start. */
  readonly name: string | null;
}

/** Rejects, saying what to do, if there is no such server on this platform or the recording cannot be read. */
export async function hostConfig(
  options: ServerOptions,
  platform: NodeJS.Platform,
  beginning: Beginning,
): Promise<HostConfig> {
  const { simulate, server, replay } = options;
  if (simulate !== null) return simulated(simulate, beginning);
  if (replay !== null) {
    const { inspectRecording } = await import('./recording.ts');
    const { header, endMs, truncated } = await inspectRecording(replay);
    const { startedAt, remote } = header;
    return {
      backend: 'replay',
      file: replay,
      startedAt,
      endMs,
      truncated,
      server: remote ? RECORDED_SERVER : null,
    };
  }
  if (platform !== 'win32') {
    throw new UsageError(
      `there is no mprapi.dll on ${platform}: a real RRAS server can be read on Windows only`,
      'use --rras.simulate for a simulated server, or --rras.replay=FILE for a recording',
    );
  }
  return { backend: 'dll', server };
}

/** Every start shows the same people and links. */
const SEED = 1;

const seedOf = (name: string): number => createHash('sha256').update(name).digest().readUInt32LE();

function simulated(text: string, { name, wallSeconds }: Beginning): HostConfig {
  const [scenario = '', count] = text.split(':');
  if (!isScenarioName(scenario)) throw new UsageError(`there is no scenario ${scenario}`, 'see --help');
  const connections = count === undefined ? {} : { connections: Number(count) };
  const seed = name === null ? SEED : seedOf(name);
  return { backend: 'simulator', scenario, ...connections, seed, startedAt: wallSeconds, server: null };
}
