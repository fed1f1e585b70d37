/** The storage folder in Windows' Node.js under Wine, where icacls and whoami do as much as Wine has of them. */
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { WineSuite, describeUnderWine } from './wine.ts';

vi.setConfig({ testTimeout: 90_000 });

describeUnderWine('the storage folder on Windows', () => {
  let suite: WineSuite;
  beforeAll(async () => {
    suite = await WineSuite.open();
  }, 300_000);
  afterAll(() => suite.dispose(), 60_000);

  it('is made, and used again where icacls does not tell who can enter it', async () => {
    const run = async (...args: string[]): Promise<string> => {
      const { code, program } = await suite.runNode(['dist/main.js', ...args, '--storage.path=C:\\state']);
      expect([code, program.stderr().replace(/^rras-exporter: there was no key in .*\n/, '')]).toEqual([
        0,
        '',
      ]);
      return program.stdout();
    };
    const first = await run('pseudonym', 'anna');
    expect(first).toMatch(/^anna\tp-[0-9a-f]{16}\r?\n$/);
    expect(await run('pseudonym', 'anna')).toBe(first);
    expect(await run('doctor', '--rras.simulate=small', '--web.listen-address=127.0.0.1:0')).toMatch(
      /^ok +storage +C:\\state can be written; icacls does not tell who else can enter it\r?$/m,
    );
  });
});
