/** What --help prints, made from the table of options. */
import { COMMANDS } from './commands.ts';
import { countedForm, GROUPS, OPTIONS, type OptionRow, type Surroundings } from './options.ts';

const WIDTH = 92;

const SYNOPSIS =
  'Makes a Windows RRAS server (Routing and Remote Access Service) observable from Prometheus. Without flags it ' +
  'reads the local server and serves its metrics on port 10077 under /metrics.';

const NOTES: readonly (readonly [title: string, lines: readonly string[]])[] = [
  [
    'Durations',
    [
      'Whole numbers with a unit, largest first, as in Prometheus: 500ms, 10s, 1m30s, 2h. Units: d, h, m, s, ms.',
    ],
  ],
  [
    'Environment',
    [
      'RRAS_EXPORTER_STOP_ON_STDIN_CLOSE=1: end in good order when standard input closes. For service wrappers on ' +
        'Windows, where no signal can be sent to a process.',
    ],
  ],
  [
    'Exit codes',
    [
      '0: ended in good order. 1: failed while running, or a check found a fault. 2: the command line or the ' +
        'configuration file cannot be used.',
    ],
  ],
];

const EXAMPLES = [
  'rras-exporter --rras.simulate',
  'rras-exporter --web.listen-address=127.0.0.1:10077 --web.listen-address=[::1]:10077',
  'rras-exporter --rras.server=vpn1.example.net --no-collector.ports',
  'rras-exporter record vpn1.rec --rras.server=vpn1.example.net --record.duration=10m',
] as const;

export function helpText(on: Surroundings): string {
  const lines = ['Usage: rras-exporter [COMMAND] [flags]', '', ...wrap(SYNOPSIS, 0), '', 'Commands:'];
  for (const { name, words, help } of COMMANDS) lines.push(`  ${name} ${words}`, ...wrap(help, 8));
  for (const group of GROUPS) {
    lines.push('', `${group}:`);
    for (const row of OPTIONS as readonly OptionRow[]) {
      if (row.group !== group) continue;
      lines.push(`  ${synopsis(row)}`, ...wrap([row.help, ...details(row, on)].join(' '), 8));
    }
  }
  for (const [title, texts] of NOTES) {
    lines.push('', `${title}:`, ...texts.flatMap((text) => wrap(text, 2)));
  }
  lines.push('', 'Examples:', ...EXAMPLES.map((example) => `  ${example}`), '');
  return lines.join('\n');
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
  if (row.kind === 'boolean')
    return row.configKey === null ? [] : [`Default: ${row.default ? 'on' : 'off'}.`];
  const texts: string[] = [];
  if (row.kind === 'enum') {
    const form = row.counted === undefined ? '' : `, or ${countedForm(row.counted)}`;
    texts.push(`${row.placeholder}: ${row.choices.join(', ')}${form}.`);
    if (row.implied !== undefined) texts.push(`The bare flag means ${row.implied}.`);
  }
  const value = typeof row.default === 'function' ? row.default(on) : row.default;
  const shown = value ?? row.unset;
  if (shown !== undefined) texts.push(`Default: ${shown}.`);
  return texts;
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
