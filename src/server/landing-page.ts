/** The page at `/`: the state of the server at a glance, in plain HTML without script or external asset. */
import { createHash } from 'node:crypto';
import type { Snapshot } from '../model/snapshot.ts';
import type { ApiInterface } from './api.ts';

const STYLE = `:root{color-scheme:light dark;font:16px/1.5 system-ui,sans-serif}
body{max-width:44rem;margin:2rem auto;padding:0 1rem}
table{border-collapse:collapse;margin:1rem 0}
th,td{text-align:left;padding:.25rem 1.25rem .25rem 0;border-bottom:1px solid #8884;vertical-align:top}
.bad{color:#c22}@media (prefers-color-scheme:dark){.bad{color:#f77}}
`;
const STYLE_HASH = createHash('sha256').update(STYLE).digest('base64');
export const LANDING_CSP = `default-src 'none'; style-src 'sha256-${STYLE_HASH}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`;

const ESCAPES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};
const escape = (text: string): string => text.replace(/[&<>"']/g, (char) => ESCAPES[char]!);

export interface LandingFacts {
  readonly version: string;
  readonly simulated: boolean;
  readonly telemetryPath: string;
  readonly snapshot: Snapshot;
  /** As they may be shown. */
  readonly interfaces: readonly ApiInterface[];
}

export function landingPage(facts: LandingFacts): string {
  const { version, simulated, telemetryPath, snapshot } = facts;
  const { service, connections, ports, interfaces } = snapshot;
  const rows: [string, string][] = [['Server', describeServer(snapshot)]];
  if (connections) rows.push(['Connections', String(connections.connections.length)]);
  if (ports) {
    const total = [...ports.byCondition.values()].flat().reduce((sum, count) => sum + count, 0);
    const held = [...ports.inUse.values()].reduce((sum, count) => sum + count, 0);
    rows.push(['Ports in use', `${held} of ${total}`]);
  }
  if (interfaces) {
    const connected = interfaces.filter(({ state }) => state === 'connected').length;
    rows.push(['Interfaces connected', `${connected} of ${interfaces.length}`]);
  }
  if (service?.startTimeSeconds !== undefined) {
    rows.push(['Started', new Date(service.startTimeSeconds * 1000).toISOString()]);
  }
  if (snapshot.timestampSeconds > 0) {
    rows.push(['Read last', new Date(snapshot.timestampSeconds * 1000).toISOString()]);
  }
  const problems = Object.entries(snapshot.sources)
    .filter(([, { problem }]) => problem !== undefined)
    .map(([source, { problem }]) => `<li class="bad">${source}: ${escape(problem!)}</li>`);
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>RRAS Exporter</title>
<style>${STYLE}</style>
</head>
<body>
<h1>RRAS Exporter</h1>
<p>Version ${escape(version)}${simulated ? '. <strong>The server is simulated: none of its data is real.</strong>' : ''}</p>
<p><a href="${escape(telemetryPath)}">Metrics</a> · <a href="/api/v1/status">Status</a> · <a href="/api/v1/connections">Connections</a> · <a href="/api/v1/interfaces">Interfaces</a></p>
<table>
${rows.map(([name, value]) => `<tr><th scope="row">${name}</th><td>${escape(value)}</td></tr>`).join('\n')}
</table>
${problems.length > 0 ? `<ul>\n${problems.join('\n')}\n</ul>` : ''}
${snapshot.interfaces && facts.interfaces.length > 0 ? interfaceTable(facts.interfaces) : ''}
</body>
</html>
`;
}

function describeServer({ timestampSeconds, up, service }: Snapshot): string {
  if (timestampSeconds === 0) return 'not read yet';
  if (!service) return 'cannot be read';
  if (!service.running) return 'the RemoteAccess service does not run';
  return (
    (service.lanOnly ? 'running, as a LAN router only' : 'running') +
    (up ? '' : '; not every source can be read')
  );
}

function interfaceTable(interfaces: readonly ApiInterface[]): string {
  const rows = interfaces.map((each) => {
    const why = [
      ...each.unreachableReasons,
      ...(each.lastError === 0 ? [] : [each.lastErrorName ?? each.lastError]),
    ];
    const bad = each.enabled && each.state === 'unreachable' ? ' class="bad"' : '';
    const state = each.enabled ? each.state : `${each.state}, disabled`;
    const cells = [each.interfaceType.replace('_', ' '), state, why.join(', ')].map(
      (text) => `<td${bad}>${escape(text)}</td>`,
    );
    return `<tr><th scope="row">${escape(each.interface)}</th>${cells.join('')}</tr>`;
  });
  return `<h2>Interfaces</h2>
<table>
<tr><th scope="col">Interface</th><th scope="col">Type</th><th scope="col">State</th><th scope="col">Reason, last error</th></tr>
${rows.join('\n')}
</table>`;
}
