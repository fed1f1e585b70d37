/** A recording that is made under Wine, of the C side, replays on Linux to the page that the program showed under Wine. */
import * as path from 'node:path';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { Program, buildIfStale, endAll } from '../e2e/program.ts';
import { MetricsPage, WindowsExporter } from './exporter.ts';
import { WineSuite, describeUnderWine, scriptLine, windowsPath } from './wine.ts';

vi.setConfig({ testTimeout: 90_000 });

/** Texts that a recording must not hold; everything else must be as it was. */
const SCRUBBED = [
  'user',
  'domain',
  'computer',
  'tunnel_address',
  'tunnel_address_v6',
  'remote_address',
  'local_address',
];
/** Of the moment or of the program, not of the server. */
const PASSING =
  /^(?:rras_exporter_|rras_source_duration|rras_snapshot_timestamp|rras_server_start_time|process_|nodejs_)/;

function comparable(page: MetricsPage): string[] {
  return page.families
    .filter(({ name }) => !PASSING.test(name))
    .flatMap(({ samples }) =>
      samples.map(({ name, labels, value }) => {
        const kept = Object.entries(labels).map(([label, text]) => {
          const hidden =
            SCRUBBED.includes(label) || (label === 'interface' && labels['interface_type'] === 'client');
          return [label, hidden ? text !== '' : text];
        });
        return `${name} ${JSON.stringify(kept)} ${value}`;
      }),
    );
}

describeUnderWine('a recording of the server on Windows', () => {
  let suite: WineSuite;
  beforeAll(async () => {
    await buildIfStale();
    suite = await WineSuite.open();
  }, 300_000);
  afterAll(() => suite.dispose(), 60_000);

  it.each([
    ['level 4', ''],
    ['EnumEx', 'call MprAdminConnectionEnum level=4 code=124\n'],
  ])('replays to the same page, by %s', async (api, rules) => {
    const startedAt = Math.floor(Date.now() / 1000) - 5000;
    const people = ['anna', 'Jürgen', '山田'].map((wszUserName, i) =>
      scriptLine('connection', {
        tunnel: ['ikev2', 'sstp', 'l2tp'][i]!,
        startedAt: startedAt + i,
        guid: String(i + 1).repeat(32),
        wszUserName,
        wszInterfaceName: wszUserName,
        ullBytesRcved: 1000 + i,
        ullBytesXmited: 2000 + i,
      }),
    );
    const fake = suite.fake(
      `${people.join('')}autoports idle=4\ninterface wszInterfaceName=Branch dwConnectionState=3\n${rules}`,
    );
    const exporter = await WindowsExporter.start(suite, fake);
    const shown = await exporter.page();
    await exporter.program.kill();

    const file = path.join(suite.folder, `server-${api.replace(' ', '')}.rec`);
    const { code, program } = await suite.runNode(
      ['dist/main.js', 'record', windowsPath(file), '--record.duration=1s'],
      { env: fake.env },
    );
    expect({ code, stderr: program.stderr() }).toMatchObject({ code: 0 });
    expect(fake.ledgers().map(({ live, errors }) => ({ live, errors }))).toEqual(
      fake.ledgers().map(() => ({ live: 0, errors: [] })),
    );

    const replay = await Program.serve(`--rras.replay=${file}`);
    try {
      const replayed = new MetricsPage((await replay.get('/metrics')).text);
      const round = (line: string): string =>
        // EnumEx has no start time: it is counted back from the present of each program.
        api === 'EnumEx' && line.startsWith('rras_connection_start_time') ? line.replace(/ \S+$/, '') : line;
      expect(comparable(replayed).map(round)).toEqual(comparable(shown).map(round));
      expect(comparable(shown).length).toBeGreaterThan(100);
    } finally {
      await endAll();
    }
  });
});
