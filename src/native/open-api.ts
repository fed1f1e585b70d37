/** Opens what a configuration names: the DLL or the simulator. Each is loaded only where it is used. */
import type { Clock } from '../model/clock.ts';
import type { RrasApi } from '../model/rras-api.ts';
import type { HostConfig } from './host-messages.ts';

/** Seed of the simulation: every start shows the same people and links. */
const SEED = 1;

/** Rejects if the DLL cannot be loaded. */
export async function openApi(config: HostConfig, clock: Clock): Promise<RrasApi> {
  if (config.backend === 'simulator') {
    const { createSimulator } = await import('./simulator/server.ts');
    return createSimulator({ scenario: config.scenario, seed: SEED, clock });
  }
  const { openMprapi, systemMprapiPath } = await import('./mprapi.ts');
  return openMprapi(systemMprapiPath());
}
