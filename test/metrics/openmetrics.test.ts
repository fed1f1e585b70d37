/** The page as OpenMetrics 1.0.0: against a golden file, and against a strict parser that is not ours. */
import { spawnSync } from 'node:child_process';
import { expect, it } from 'vitest';
import { CATALOGUE } from '../../src/metrics/catalogue.ts';
import { PageEncoder, toOpenMetrics } from '../../src/metrics/exposition.ts';
import { SelfMetrics } from '../../src/metrics/self.ts';
import { requireTool } from '../tools/require-tool.ts';
import { SimulatedExporter } from './simulated-exporter.ts';
import { plainViews, snapshotOf, tableOf } from './snapshots.ts';

async function runningPage(): Promise<{ text: string; openMetrics: string }> {
  const exporter = new SimulatedExporter({ userLimit: 5 });
  await exporter.scrape();
  await exporter.nextScrape();
  const snapshot = exporter.poller.snapshot();
  return { text: exporter.text(snapshot, 'text'), openMetrics: exporter.text(snapshot, 'openmetrics') };
}

/** Every sample as `name{labels} value`, in order, without heads. */
const samplesOf = (page: string): string[] =>
  page.split('\n').filter((line) => line !== '' && !line.startsWith('#'));

it('the OpenMetrics page of a running server is exactly the golden one', async () => {
  const { openMetrics } = await runningPage();
  await expect(openMetrics).toMatchFileSnapshot('../golden/page-running.openmetrics.txt');
});

it('both formats hold the same samples; bounds differ as the formats want them', async () => {
  const { text, openMetrics } = await runningPage();
  expect(samplesOf(openMetrics)).toEqual(
    samplesOf(text).map((line) => line.replace(/le="(\d+)"/, 'le="$1.0"')),
  );
});

it('info and state families are gauges, and UNIT stands where the name ends in it', async () => {
  const { openMetrics } = await runningPage();
  expect(openMetrics).toContain('# TYPE rras_connection_info gauge\n');
  expect(openMetrics).toContain('# TYPE rras_interface_state gauge\n');
  expect(openMetrics).toContain('# TYPE rras_received_bytes counter\n# UNIT rras_received_bytes bytes\n');
  expect(openMetrics).toContain('# UNIT rras_session_duration_seconds seconds\n');
  for (const [, family, unit] of openMetrics.matchAll(/^# UNIT (\S+) (\S+)$/gm))
    expect(family!.endsWith(`_${unit}`)).toBe(true);
});

it('_created lines come only when asked for, next to their sample', async () => {
  expect((await runningPage()).openMetrics).not.toContain('_created');
  const encoder = new PageEncoder(CATALOGUE, { format: 'openmetrics', createdSeconds: 1_795_000_000.5 });
  const snapshot = snapshotOf({
    connections: tableOf([{ startTimeSeconds: 1_795_000_123 }]),
    portTunnels: ['ikev2'],
  });
  const page = Buffer.concat(encoder.encode(plainViews().view(snapshot, 0))).toString();
  expect(page).toMatch(
    /^rras_received_bytes_total\{tunnel="ikev2",role="client"\} 0\nrras_received_bytes_created\{tunnel="ikev2",role="client"\} 1795000000\.5$/m,
  );
  expect(page).toMatch(/^rras_connection_received_bytes_created\{connection="[0-9a-f]{16}"\} 1795000123$/m);
  expect(page).toMatch(
    /^rras_session_duration_seconds_created\{tunnel="ikev2",role="client"\} 1795000000\.5$/m,
  );
});

const PARSE = `
import sys
from prometheus_client.openmetrics.parser import text_string_to_metric_families
page = sys.stdin.buffer.read().decode('utf-8', 'strict')
print(sum(len(family.samples) for family in text_string_to_metric_families(page)))
`;

/** What the whole program serves: the catalogue's page, the exporter's own metrics, the end mark. */
async function wholePage(page: string): Promise<string> {
  const self = new SelfMetrics({
    version: '1.2.3',
    simulated: true,
    startedAtSeconds: 1_795_000_000,
    process: true,
  });
  self.countRead('ports', {
    calls: [{ function: 'MprAdminPortEnum', code: 5, seconds: 0.002, atSeconds: 0 }],
    pages: 1,
    anomalies: { duplicate: 2 },
    seconds: 0.1,
  });
  return `${page}${toOpenMetrics(await self.text())}# EOF\n`;
}

requireTool('/usr/bin/python3')('a strict OpenMetrics parser (python3-prometheus-client)', (python) => {
  it('reads the page of a running server, with every sample of it', async () => {
    const page = await wholePage((await runningPage()).openMetrics);
    const { status, stdout, stderr } = spawnSync(python, ['-c', PARSE], { input: page, encoding: 'utf8' });
    expect(stderr).toBe('');
    expect(status).toBe(0);
    expect(Number(stdout)).toBe(samplesOf(page).length);
  });

  it('reads hostile names and _created lines', async () => {
    const hostile = ['a"b', 'c\\d', 'e\nf', ',:|=}{', '\ud800', 'x'.repeat(257), '', 'Zoë 山田', 'a"b'];
    const sketches = hostile.map((user) => ({
      identity: { user, domain: user, computer: user, interfaceName: user },
    }));
    const encoder = new PageEncoder(CATALOGUE, { format: 'openmetrics', createdSeconds: 1_795_000_000 });
    const view = plainViews().view(snapshotOf({ connections: tableOf(sketches) }), 0);
    const page = await wholePage(Buffer.concat(encoder.encode(view)).toString());
    const { status, stdout, stderr } = spawnSync(python, ['-c', PARSE], { input: page, encoding: 'utf8' });
    expect(stderr).toBe('');
    expect(status).toBe(0);
    expect(Number(stdout)).toBe(samplesOf(page).length);
  });
});
