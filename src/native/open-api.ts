/** Opens what a configuration names: the DLL, the simulator or a recording. Each is loaded only where it is used. */
import type { Clock } from '../model/clock.ts';
import type { RrasApi } from '../model/rras-api.ts';
import type { HostConfig } from './host-messages.ts';

/** Rejects if the DLL or the recording cannot be loaded. */
export async function openApi(config: HostConfig, clock: Clock): Promise<RrasApi> {
  if (config.backend === 'simulator') {
    const { createSimulator } = await import('./simulator/server.ts');
    const { scenario, connections, seed, startedAt } = config;
    return createSimulator({
      scenario,
      seed,
      clock,
      startedAt,
      ...(connections !== undefined && { connections }),
    });
  }
  if (config.backend === 'replay') {
    const { openReplay } = await import('./replay.ts');
    return openReplay(config.file, clock);
  }
  const { openMprapi, systemMprapiPath } = await import('./mprapi.ts');
  return openMprapi(systemMprapiPath());
}

/** The clock of the server that the configuration names: that of a recording is in the past. */
export async function clockOf(config: HostConfig, clock: Clock): Promise<Clock> {
  if (config.backend !== 'replay') return clock;
  const { recordedClock } = await import('./replay.ts');
  return recordedClock(clock, config);
}
