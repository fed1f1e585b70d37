/** Several servers in one exporter under Wine: each has a process of its own that holds the DLL, and none is in the way of another. */
import * as fs from 'node:fs';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, expect, it, vi } from 'vitest';
import { MetricsPage, WindowsExporter } from './exporter.ts';
import { WineSuite, describeUnderWine } from './wine.ts';

const NAMES = ['well', 'denied', 'hung', 'crashing'];
const CONFIG = `servers:\n${NAMES.map((name) => `  - {name: ${name}, server: ${name}.example.net}\n`).join('')}`;
/** What each of them answers; a crash is that of the process that asks. */
const SCRIPT = [
  'connection wszUserName=anna',
  'autoports idle=1',
  'interface',
  'call * server=denied.example.net code=5',
  'call MprAdminConnectionEnum server=hung.example.net hang',
  'call MprAdminConnectionEnum server=crashing.example.net crash',
  '',
].join('\n');

vi.setConfig({ testTimeout: 90_000 });

describeUnderWine('several servers on Windows', () => {
  let suite: WineSuite;
  let exporter: WindowsExporter | undefined;
  beforeAll(async () => {
    suite = await WineSuite.open();
  }, 300_000);
  afterEach(() => exporter?.program.kill());
  afterAll(() => suite.dispose(), 60_000);

  it('N1 N2 N4 are read each by its own process: one that hangs, crashes or denies costs the others nothing', async () => {
    const fake = suite.fake(SCRIPT);
    const file = path.join(suite.app, 'servers.yml');
    fs.writeFileSync(file, CONFIG);
    exporter = await WindowsExporter.start(suite, fake, [
      '--config.file=servers.yml',
      '--collector.timeout=4s',
      '--privacy.users=plain',
      '--privacy.addresses=plain',
    ]);
    const probe = async (name: string): Promise<MetricsPage> => {
      const url = new URL(`/probe?target=${name}`, exporter!.url);
      const response = await fetch(url, { headers: { 'X-Prometheus-Scrape-Timeout-Seconds': '20' } });
      expect(response.status).toBe(200);
      return new MetricsPage(await response.text());
    };
    const [well, denied, hung, crashing, local] = await Promise.all([...NAMES.map(probe), exporter.page()]);
    expect([well, denied, hung, crashing, local].map((page) => page!.value('rras_up'))).toEqual([
      1, 0, 0, 0, 1,
    ]);
    expect(Object.keys(well.ids())).toEqual(['anna']);
    expect(
      denied!.value('rras_exporter_native_failures_total', 'MprAdminServerConnect', '5'),
    ).toBeUndefined();
    expect(hung!.values('rras_exporter_host_restarts_total')).toMatchObject({ timeout: 1 });
    expect(crashing!.values('rras_exporter_host_restarts_total')['crash']).toBeGreaterThan(0);
    for (const page of [well, denied, local])
      expect(page!.values('rras_exporter_host_restarts_total')).toEqual({
        timeout: 0,
        crash: 0,
        protocol: 0,
      });
    // Each name went to the DLL as it is configured, the local machine as none.
    const asked = new Set(fake.calls().flatMap(({ server }) => server ?? []));
    expect(asked).toEqual(new Set(['.', ...NAMES.map((name) => `${name}.example.net`)]));
    const again = await probe('well');
    expect(again.value('rras_up')).toBe(1);
  });
});
