/** What --help prints, laid out as a manual page; commands and flags come from their tables. */
import { COMMANDS } from './commands.ts';
import { countedForm, GROUPS, OPTIONS, type OptionRow, type Surroundings } from './options.ts';

const WIDTH = 92;
const INDENT = 4;

type Section = readonly [title: string, paragraphs: readonly string[]];

const BEFORE: readonly Section[] = [
  ['NAME', ['rras-exporter - a Windows RRAS server for Prometheus and OpenTelemetry, with guarded repairs']],
  ['SYNOPSIS', ['rras-exporter [COMMAND] [FLAGS]']],
  [
    'DESCRIPTION',
    [
      'Makes a Windows RRAS server (Routing and Remote Access Service) observable from Prometheus. Without a command it ' +
        'serves until it is stopped; without flags it reads the local server and serves its metrics on port 10077 under ' +
        '/metrics.',
    ],
  ],
];

/** Each a term and what it means. */
type Terms = readonly (readonly [term: string, text: string])[];

const FILES: Terms = [
  [
    'the configuration file (--config.file)',
    'YAML with a key for each flag that has one: --collector.max-age is max-age below collector. Flags beat it. Unknown ' +
      'keys are errors. docs/config.schema.json is its schema, for editors; `rras-exporter check-config FILE` checks it.',
  ],
  [
    'the web configuration file (--web.config.file)',
    'TLS, client certificates and passwords, as of the other Prometheus exporters. A change of it holds from the next ' +
      'request or connection on.',
  ],
  [
    'the storage folder (--storage.path)',
    'The key of the pseudonyms, the audit log and the pause of actions. For the account of the exporter, SYSTEM and ' +
      'administrators only: one that others can enter is refused.',
  ],
];

const SIGNALS: Terms = [
  [
    'SIGTERM, SIGINT',
    'End in good order, within 5 s. A second one ends at once. On Windows: Ctrl+C and Ctrl+Break in a console.',
  ],
  [
    'SIGHUP',
    'Open the log file anew, and load the configuration file anew: all of it, or nothing if there is a fault in it or ' +
      'a change that takes a restart. Not on Windows: there, ask by POST /-/reload (--web.enable-lifecycle).',
  ],
];

const ENVIRONMENT: Terms = [
  [
    'RRAS_EXPORTER_STOP_ON_STDIN_CLOSE=1',
    'End in good order when standard input closes. For service wrappers on Windows, where no signal can be sent to a ' +
      'process.',
  ],
  [
    'OTEL_EXPORTER_OTLP_ENDPOINT and the other variables of OpenTelemetry',
    'Send metrics, traces and the log over OTLP. Without one that asks for it nothing is sent.',
  ],
];

const EXIT_STATUS: Terms = [
  ['0', 'Ended in good order, or a check found no fault.'],
  ['1', 'Failed while running, or a check found a fault.'],
  ['2', 'The command line or the configuration file cannot be used.'],
];

const EXAMPLES: Terms = [
  ['rras-exporter --rras.simulate', 'A simulated server, on any platform.'],
  [
    'rras-exporter --web.listen-address=127.0.0.1:10077 --web.listen-address=[::1]:10077',
    'For programs of this machine only.',
  ],
  ['rras-exporter --rras.server=vpn1.example.net --no-collector.ports', 'Another server, without its ports.'],
  [
    'rras-exporter doctor --config.file=rras-exporter.yml',
    'What would keep the exporter from working, and what to do about it.',
  ],
  [
    'rras-exporter record vpn1.rec --rras.server=vpn1.example.net --record.duration=10m',
    'What to send along with a report of a fault: without names and addresses of people.',
  ],
];

const SEE_ALSO =
  'docs/operating.md, docs/metrics.md, docs/security.md, docs/web-configuration.md, docs/remediation.md, ' +
  'docs/opentelemetry.md; GET /api/v1/openapi.json of a running exporter.';

const DURATIONS =
  'DURATION is whole numbers with a unit, largest first, as in Prometheus: 500ms, 10s, 1m30s, 2h. Units: d, h, m, s, ms.';

export function helpText(on: Surroundings): string {
  const lines = BEFORE.flatMap(([title, paragraphs]) => [
    title,
    ...paragraphs.flatMap((text) => wrap(text, INDENT)),
    '',
  ]);
  lines.push(
    ...terms(
      'COMMANDS',
      COMMANDS.map(({ name, words, help }) => [`${name} ${words}`, help]),
    ),
  );
  lines.push('OPTIONS', ...wrap(DURATIONS, INDENT), '');
  for (const group of GROUPS) {
    const rows = (OPTIONS as readonly OptionRow[]).filter((row) => row.group === group);
    const texts = rows.map((row) => [synopsis(row), [row.help, ...details(row, on)].join(' ')] as const);
    lines.push(...terms(`  ${group}`, texts));
  }
  lines.push(
    ...terms('FILES', FILES),
    ...terms('SIGNALS', SIGNALS),
    ...terms('ENVIRONMENT', ENVIRONMENT),
    ...terms('EXIT STATUS', EXIT_STATUS),
    ...terms('EXAMPLES', EXAMPLES),
  );
  lines.push('SEE ALSO', ...wrap(SEE_ALSO, INDENT), '');
  return lines.join('\n');
}

function terms(title: string, entries: Terms): string[] {
  const texts = entries.flatMap(([term, text]) => [' '.repeat(INDENT) + term, ...wrap(text, 2 * INDENT)]);
  return [title, ...texts, ''];
}

function synopsis(row: OptionRow): string {
  if (row.kind === 'boolean') {
    if (row.configKey === null) return `${row.short === undefined ? '' : `-${row.short}, `}--${row.flag}`;
    return `--[no-]${row.flag}`;
  }
  if (row.kind === 'enum' && row.implied !== undefined) return `--${row.flag}[=${row.placeholder}]`;
  return `--${row.flag}=${row.placeholder}${row.kind === 'listen-address' ? ' ...' : ''}`;
}

function details(row: OptionRow, on: Surroundings): string[] {
  const reload = row.reloads === true ? ['A reload changes it.'] : [];
  if (row.kind === 'boolean')
    return row.configKey === null ? [] : [`Default: ${row.default ? 'on' : 'off'}.`, ...reload];
  const texts: string[] = [];
  if (row.kind === 'enum') {
    const form = row.counted === undefined ? '' : `, or ${countedForm(row.counted)}`;
    texts.push(`${row.placeholder}: ${row.choices.join(', ')}${form}.`);
    if (row.implied !== undefined) texts.push(`The bare flag means ${row.implied}.`);
  }
  const value = typeof row.default === 'function' ? row.default(on) : row.default;
  const shown = value ?? row.unset;
  if (shown !== undefined) texts.push(`Default: ${shown}.`);
  return [...texts, ...reload];
}

function wrap(text: string, indent: number): string[] {
  const margin = ' '.repeat(indent);
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line !== '' && indent + line.length + 1 + word.length > WIDTH) {
      lines.push(margin + line);
      line = word;
    } else {
      line = line === '' ? word : `${line} ${word}`;
    }
  }
  lines.push(margin + line);
  return lines;
}
