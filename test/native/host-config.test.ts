/** What the child process is told to stand on. */
import { describe, expect, it } from 'vitest';
import { hostConfig } from '../../src/native/host-config.ts';

const of = (simulate: string | null, platform: NodeJS.Platform = 'linux', name: string | null = null) =>
  hostConfig({ simulate, server: null, replay: null }, platform, { wallSeconds: 1_700_000_000, name });

describe('the configuration of the native host', () => {
  it('is a scenario with as many connections as it has, or as many as are asked for', async () => {
    const begun = { seed: 1, startedAt: 1_700_000_000 };
    expect(await of('office')).toEqual({ backend: 'simulator', scenario: 'office', ...begun, server: null });
    expect(await of('large:5000')).toEqual({
      backend: 'simulator',
      scenario: 'large',
      connections: 5000,
      ...begun,
      server: null,
    });
    await expect(of('nowhere')).rejects.toThrow('there is no scenario nowhere');
  });

  it('draws other people for each name, and the same ones at each start', async () => {
    const [first, again, other] = await Promise.all([
      of('office', 'linux', 'vpn1'),
      of('office', 'linux', 'vpn1'),
      of('office', 'linux', 'vpn2'),
    ]);
    expect(first).toEqual(again);
    expect(first).not.toEqual(other);
  });

  it('is the DLL on Windows, and nothing elsewhere', async () => {
    expect(await of(null, 'win32')).toEqual({ backend: 'dll', server: null });
    await expect(of(null)).rejects.toThrow(/^there is no mprapi\.dll on linux/);
  });
});
