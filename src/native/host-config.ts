/** What the child process is to stand on, from the options that name a server. */
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

/** Rejects, saying what to do, if there is no such server on this platform or the recording cannot be read. */
export async function hostConfig(options: ServerOptions, platform: NodeJS.Platform): Promise<HostConfig> {
  const { simulate, server, replay } = options;
  if (simulate !== null) return simulated(simulate);
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

function simulated(text: string): HostConfig {
  const [scenario = '', count] = text.split(':');
  if (!isScenarioName(scenario)) throw new UsageError(`there is no scenario ${scenario}`, 'see --help');
  const connections = count === undefined ? {} : { connections: Number(count) };
  return { backend: 'simulator', scenario, ...connections, server: null };
}
