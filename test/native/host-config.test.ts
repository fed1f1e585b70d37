/** What the child process is told to stand on. */
import { describe, expect, it } from 'vitest';
import { hostConfig } from '../../src/native/host-config.ts';

const of = (simulate: string | null, platform: NodeJS.Platform = 'linux') =>
  hostConfig({ simulate, server: null, replay: null }, platform);

describe('the configuration of the native host', () => {
  it('is a scenario with as many connections as it has, or as many as are asked for', async () => {
    expect(await of('office')).toEqual({ backend: 'simulator', scenario: 'office', server: null });
    expect(await of('large:5000')).toEqual({
      backend: 'simulator',
      scenario: 'large',
      connections: 5000,
      server: null,
    });
    await expect(of('nowhere')).rejects.toThrow('there is no scenario nowhere');
  });

  it('is the DLL on Windows, and nothing elsewhere', async () => {
    expect(await of(null, 'win32')).toEqual({ backend: 'dll', server: null });
    await expect(of(null)).rejects.toThrow(/^there is no mprapi\.dll on linux/);
  });
});
