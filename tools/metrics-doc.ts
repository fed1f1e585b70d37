/** Makes docs/metrics.md out of the catalogue; `node tools/metrics-doc.ts` writes it, a test compares it. */
import { writeFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { CATALOGUE, type Family } from '../src/metrics/catalogue.ts';
import { SelfMetrics } from '../src/metrics/self.ts';

export const METRICS_DOC = new URL('../docs/metrics.md', import.meta.url);

interface Entry {
  readonly name: string;
  readonly type: string;
  readonly labels: readonly string[];
  readonly help: string;
}

const SECTIONS: readonly (readonly [title: string, about: string, pattern: RegExp])[] = [
  [
    'Server and totals',
    'Totals begin at 0 with the exporter and keep the traffic of sessions that ended; they never fall while it runs.',
    /^rras_(?!interface_|connection_|user_|exporter_|admin_|remediation_)/,
  ],
  ['Interfaces', 'Every demand-dial and dedicated interface that is configured.', /^rras_interface_/],
  [
    'Connections',
    'Join on `connection`. The row `connection="other"` counts what connections moved while no scrape showed them: before their first one, after their last one, and while others were shown in their place. It comes when it is first needed. With it the increase of all rows is that of the totals, for one Prometheus; a second one that scrapes at other times sees a little less in the rows of connections that come and go, and a store that counts from `_created` lines has the first part twice.',
    /^rras_connection_/,
  ],
  ['Users', 'Only with `--collector.users`.', /^rras_user_/],
  [
    'Guarded actions',
    'Only with `--web.enable-admin-api`. Whatever a route or a rule may decide is there with a 0 before it does.',
    /^rras_(?:admin|remediation)_/,
  ],
  [
    'The exporter',
    'Its own calls, anomalies and restarts; `rras_exporter_otlp_exports_total` only with [OTLP](opentelemetry.md). Failures of native calls begin with their first, as their codes are many; all else that is counted by reason is there with a 0.',
    /^rras_exporter_/,
  ],
];

function labelsOf(family: Family): readonly string[] {
  switch (family.kind) {
    case 'connections':
      return family.label === undefined ? ['connection'] : ['connection', family.label];
    case 'identity':
      return ['connection', ...family.labels];
    case 'samples':
    case 'histogram':
      return family.labels;
  }
}

const row = ({ name, type, labels, help }: Entry): string =>
  `| \`${name}\` | ${type} | ${labels.map((label) => `\`${label}\``).join(', ')} | ${help.replaceAll('|', '\\|')} |`;

export async function metricsDoc(): Promise<string> {
  const self = new SelfMetrics({ version: '', simulated: false, startedAtSeconds: 0, process: false });
  self.admin({ paused: () => false, breakers: () => [] });
  self.otlp([]);
  const entries: Entry[] = [
    ...CATALOGUE.map((family) => ({ ...family, labels: labelsOf(family) })),
    ...(await self.describe()),
  ];
  const sections = SECTIONS.map(([title, about, pattern]) => {
    const rows = entries.filter(({ name }) => pattern.test(name)).map(row);
    return `## ${title}\n\n${about}\n\n| metric | type | labels | meaning and source |\n| --- | --- | --- | --- |\n${rows.join('\n')}\n`;
  });
  return [
    '# Metrics',
    '',
    '<!-- Made by `npm run docs` out of src/metrics/catalogue.ts: edit that, not this. -->',
    '',
    'Received and transmitted are as the server sees them. With the Node.js process metrics of prom-client',
    '(`process_*`, `nodejs_*`) these are all.',
    '',
    ...sections,
  ].join('\n');
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  writeFileSync(METRICS_DOC, await metricsDoc());
}
