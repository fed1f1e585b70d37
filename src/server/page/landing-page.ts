/**
 * The page at `/`: the state of the server at a glance, made of what the API answers. It is complete without its script, but
 * for the list of connections and for being refreshed; nothing in it comes from elsewhere.
 */
import { createHash } from 'node:crypto';
import type { Overview } from './data.ts';
import type { Markup } from './markup.ts';
import { el, escapeHtml, toHtml } from './markup.ts';
import { readPageScript } from './script.ts';
import { SECTIONS } from './sections.ts';
import { STYLE } from './style.ts';
import { NO_CONNECTIONS_READ } from './wording.ts';

export interface LandingFacts extends Pick<Overview, 'status' | 'interfaces' | 'now'> {
  readonly telemetryPath: string;
  /** Names of the servers to choose from beside the local one. */
  readonly servers: readonly string[];
  /** The one that is shown; null: the local one. */
  readonly server: string | null;
}

export interface LandingPage {
  readonly html: string;
  /** Its Content-Security-Policy. */
  readonly policy: string;
}

/** Read once it is asked for. */
let fixed: { readonly script: string; readonly policy: string } | undefined;

function fixedParts(): NonNullable<typeof fixed> {
  if (fixed) return fixed;
  const script = readPageScript();
  const hash = (text: string): string => `'sha256-${createHash('sha256').update(text).digest('base64')}'`;
  const policy = [
    `default-src 'none'`,
    `script-src ${hash(script)}`,
    `style-src ${hash(STYLE)}`,
    `connect-src 'self'`,
    `base-uri 'none'`,
    `form-action 'none'`,
    `frame-ancestors 'none'`,
    // No text becomes HTML, whatever a defect of the script might try.
    `require-trusted-types-for 'script'`,
    `trusted-types 'none'`,
  ].join('; ');
  return (fixed = { script, policy });
}

/** The same whoever reads it, wherever. */
const utc = (seconds: number): string =>
  new Date(seconds * 1000).toISOString().replace('T', ' ').replace(/\..*/, ' UTC');

const queryOf = (server: string | null): string =>
  server === null ? '' : `?server=${encodeURIComponent(server)}`;

/** All addresses are relative: the page may stand below the prefix of a proxy. */
export function landingPage(facts: LandingFacts): LandingPage {
  const { telemetryPath, servers, server, status } = facts;
  const { script, policy } = fixedParts();
  const overview: Overview = { ...facts, timeText: utc };
  const part = (id: string): Markup[] => [...SECTIONS[id]!(overview)];
  const title = server === null ? 'RRAS Exporter' : `RRAS Exporter: ${server}`;
  const card = (id: string, name: string, ...content: readonly (Markup | null)[]): Markup =>
    el('section', { 'aria-labelledby': `${id}-title` }, el('h2', { id: `${id}-title` }, name), ...content);
  const body = [
    el(
      'header',
      {},
      el('h1', {}, title),
      el('p', { class: 'quiet' }, `Version ${status.version}`),
      servers.length > 0 ? serverLinks(servers, server) : null,
      el('div', { id: 'live' }),
    ),
    el(
      'main',
      {},
      el('div', { id: 'notice', role: 'status' }),
      el('div', { id: 'marks' }, ...part('marks')),
      el('section', { id: 'overview', 'aria-label': 'State' }, ...part('overview')),
      card('tunnels', 'Connections by tunnel, last hour', el('div', { id: 'tunnels' }, ...part('tunnels'))),
      card(
        'interfaces',
        'Interfaces',
        el(
          'div',
          {
            id: 'interfaces',
            class: 'scroll',
            tabindex: '0',
            role: 'region',
            'aria-label': 'Table of interfaces',
          },
          ...part('interfaces'),
        ),
      ),
      card(
        'connections',
        'Connections',
        el(
          'div',
          { id: 'connections' },
          el(
            'p',
            { class: 'quiet' },
            status.connections === null
              ? NO_CONNECTIONS_READ
              : 'The list of connections is made by the script of this page.',
          ),
        ),
      ),
    ),
    footer(telemetryPath, server),
  ];
  const html = `<!doctype html>
<html lang="en" data-version="${escapeHtml(status.version)}" data-query="${escapeHtml(queryOf(server))}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escapeHtml(title)}</title>
<style>${STYLE}</style>
</head>
<body>
${body.map(toHtml).join('\n')}
<script type="module">${script}</script>
</body>
</html>
`;
  return { html, policy };
}

function serverLinks(servers: readonly string[], server: string | null): Markup {
  const links = [null, ...servers].map((name) => {
    const current: Record<string, string> = name === server ? { 'aria-current': 'page' } : {};
    return el('li', {}, el('a', { href: `./${queryOf(name)}`, ...current }, name ?? 'Local server'));
  });
  return el('nav', { 'aria-label': 'Servers' }, el('ul', {}, ...links));
}

function footer(telemetryPath: string, server: string | null): Markup {
  const query = queryOf(server);
  const links: readonly (readonly [path: string, name: string])[] = [
    server === null
      ? [telemetryPath, 'Metrics']
      : [`/probe?target=${encodeURIComponent(server)}`, 'Metrics of this server'],
    [`/api/v1/status${query}`, 'Status (JSON)'],
    [`/api/v1/connections${query}`, 'Connections (JSON)'],
    [`/api/v1/interfaces${query}`, 'Interfaces (JSON)'],
    ['/api/v1/openapi.json', 'OpenAPI'],
    ['/-/healthy', 'Healthy'],
    ['/-/ready', 'Ready'],
  ];
  const items = links.map(([path, name]) => el('li', {}, el('a', { href: `.${path}` }, name)));
  return el('footer', {}, el('nav', { 'aria-label': 'Routes' }, el('ul', {}, ...items)));
}
