/** The parts of the page that are made anew with each refresh. */
import type { InterfaceData, Overview, TunnelData } from './data.ts';
import { historyChart, rangeOf } from './history-chart.ts';
import type { Child, Markup } from './markup.ts';
import { el } from './markup.ts';
import type { State } from './wording.ts';
import { duration, interfaceState, number, serverState, tunnelName, whyDown, words } from './wording.ts';

/** By the id of the element that a part stands in. */
export const SECTIONS: Readonly<Record<string, (overview: Overview) => readonly Markup[]>> = {
  marks,
  overview: stateOf,
  tunnels: tunnelsOf,
  interfaces: interfacesOf,
};

/** More are no overview; those in trouble come first. */
const MOST_INTERFACES = 500;
const RANKS = ['bad', 'warn', 'good', 'calm'] as const;

const NOT_READ = 'not read';

/** What nobody may take for a real server of now. */
function marks({ status }: Overview): readonly Markup[] {
  const mark = (text: string): Markup => el('p', { class: 'mark' }, el('strong', {}, text));
  return [
    ...(status.simulated ? [mark('The server is simulated: none of its data is real.')] : []),
    ...(status.replayed ? [mark('The server is a recording: none of its data is of now.')] : []),
  ];
}

function badge({ tone, word }: State): Markup {
  return el('span', { class: `state ${tone}` }, word);
}

function stateOf({ status, interfaces, now, timeText }: Overview): readonly Markup[] {
  const state = serverState(status);
  const time = (before: string, seconds: number): Markup =>
    el('time', { datetime: new Date(seconds * 1000).toISOString() }, before + timeText(seconds));
  const tile = (name: string, value: Child, note: Child | null = null): Markup =>
    el(
      'div',
      {},
      el('dt', {}, name),
      el('dd', {}, value),
      note === null ? null : el('dd', { class: 'quiet' }, note),
    );
  const tiles = [tile('Server', badge(state), state.detail)];
  if (status.connections !== null) {
    const hidden = status.hiddenConnections ?? 0;
    tiles.push(
      tile('Connections', number(status.connections), hidden > 0 ? `${number(hidden)} not listed` : null),
    );
  }
  const ports = Object.values(status.tunnels).filter(
    (each): each is TunnelData & { ports: number; portsInUse: number } => each.ports !== null,
  );
  if (ports.length > 0) {
    const inUse = ports.reduce((sum, each) => sum + each.portsInUse, 0);
    const all = ports.reduce((sum, each) => sum + each.ports, 0);
    tiles.push(tile('Ports in use', `${number(inUse)} of ${number(all)}`));
  }
  if (interfaces.length > 0) {
    const connected = interfaces.filter((each) => each.state === 'connected').length;
    const down = interfaces.filter((each) => interfaceState(each).tone === 'bad').length;
    tiles.push(
      tile(
        'Interfaces connected',
        `${number(connected)} of ${number(interfaces.length)}`,
        down > 0 ? `${number(down)} unreachable` : null,
      ),
    );
  }
  const started = status.service?.startTime ?? null;
  if (started !== null) tiles.push(tile('Up for', duration(now - started), time('since ', started)));
  const { snapshotTime } = status;
  if (snapshotTime > 0) {
    tiles.push(tile('Read last', `${duration(now - snapshotTime)} ago`, time('', snapshotTime)));
  }
  const problems = Object.entries(status.sources).flatMap(([source, { problem }]) =>
    problem === null ? [] : [el('li', {}, `${source}: ${problem}`)],
  );
  return [
    el('dl', { class: 'tiles' }, ...tiles),
    ...(problems.length > 0 ? [el('ul', { class: 'problems' }, ...problems)] : []),
  ];
}

const columns = (...names: readonly string[]): Markup =>
  el('thead', {}, el('tr', {}, ...names.map((name) => el('th', { scope: 'col' }, name))));

function tunnelsOf({ status, now }: Overview): readonly Markup[] {
  const { tunnels, history } = status;
  const { points } = history;
  const names = Object.keys(tunnels);
  const gone = points
    .flatMap(({ connections }) => Object.keys(connections))
    .filter((name) => !(name in tunnels));
  const rows = [...names, ...new Set(gone)].map((name) => {
    const { connections = 0, ports = 0, portsInUse = 0 } = tunnels[name] ?? {};
    const range = rangeOf(points, name);
    const cells = [
      connections === null ? NOT_READ : number(connections),
      range ? number(range.lowest) : '–',
      range ? number(range.highest) : '–',
      ports === null || portsInUse === null ? NOT_READ : `${number(portsInUse)} of ${number(ports)}`,
    ];
    return el(
      'tr',
      {},
      el('th', { scope: 'row' }, el('span', { class: `swatch tunnel-${name}` }), tunnelName(name)),
      ...cells.map((text) => el('td', { class: 'figure' }, text)),
    );
  });
  if (rows.length === 0 && points.length === 0) {
    return [el('p', { class: 'quiet' }, 'Nothing is known of tunnels on this server.')];
  }
  return [
    historyChart(history, now),
    el(
      'div',
      { class: 'wide' },
      el(
        'table',
        { class: 'figures' },
        columns('Tunnel', 'Now', 'Lowest', 'Highest', 'Ports in use'),
        el('tbody', {}, ...rows),
      ),
    ),
  ];
}

function interfacesOf({ status, interfaces, now }: Overview): readonly Markup[] {
  if (interfaces.length === 0) {
    // A source keeps the outcome of its last read, also once that is too old to be told.
    const isRead = status.sources['interfaces']?.up === true && (status.up || status.service !== null);
    const text = isRead ? 'No interfaces are known.' : 'The interfaces were not read.';
    return [el('p', { class: 'quiet' }, text)];
  }
  const rank = (each: InterfaceData): number => RANKS.indexOf(interfaceState(each).tone);
  const shown = interfaces.toSorted((a, b) => rank(a) - rank(b)).slice(0, MOST_INTERFACES);
  const rows = shown.map((each) =>
    el(
      'tr',
      {},
      el('th', { scope: 'row' }, each.interface),
      el('td', {}, words(each.interfaceType)),
      el('td', {}, badge(interfaceState(each))),
      el('td', {}, whyDown(each)),
      el('td', {}, each.stateChangeTime === null ? '–' : duration(now - each.stateChangeTime)),
    ),
  );
  const more = interfaces.length - shown.length;
  return [
    el(
      'table',
      {},
      columns('Interface', 'Type', 'State', 'Reason, last error', 'Since change'),
      el('tbody', {}, ...rows),
    ),
    ...(more > 0 ? [el('p', { class: 'quiet' }, `${number(more)} more are not listed.`)] : []),
  ];
}
