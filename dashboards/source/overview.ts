/** All servers at a glance. */
import {
  bars,
  dashboard,
  DOWN_LINKS,
  increase,
  line,
  of,
  PORTS_USED,
  quantile,
  rate,
  section,
  SERVER,
  stat,
  sumBy,
  table,
  timeseries,
  toConnectionsOfServer,
  toServer,
  UIDS,
  UP,
  UP_DOWN,
  YES_NO,
  maxBy,
  NO_IS_NORMAL,
} from './parts.ts';

const PORT_BOUNDS = [
  [0.8, 'orange'],
  [0.95, 'red'],
] as const;

export const overview = dashboard({
  uid: UIDS.overview,
  title: 'RRAS / Overview',
  description:
    'Windows RRAS servers: whether they are up, who is connected, what passes and which links are down.',
  sections: [
    section(
      'Fleet',
      line(
        4,
        stat({
          title: 'Servers down',
          description:
            'Servers whose newest enumeration failed or is too old (rras_up is 0), and those that were there in the time that the dashboard shows and of which nothing comes any more.',
          width: 4,
          unit: 'short',
          queries: [{ expr: `count(${UP}) - sum(${UP})`, legend: 'down' }],
          base: 'green',
          bounds: [[1, 'red']],
        }),
        stat({
          title: 'Connections',
          description: 'Connections of clients and sites to all chosen servers, the dormant ones included.',
          width: 4,
          unit: 'short',
          queries: [{ expr: `sum(${of('rras_connections')})`, legend: 'connections' }],
        }),
        stat({
          title: 'Users',
          description: 'Distinct users that are connected, added over the servers.',
          width: 4,
          unit: 'short',
          queries: [{ expr: `sum(${of('rras_users')})`, legend: 'users' }],
        }),
        stat({
          title: 'Ports in use',
          description:
            'Share of the operational ports that connections hold. New clients are refused when a tunnel has none left.',
          width: 4,
          unit: 'percentunit',
          decimals: 1,
          queries: [{ expr: PORTS_USED(''), legend: 'in use' }],
          base: 'green',
          bounds: PORT_BOUNDS,
        }),
        stat({
          title: 'Site links down',
          description:
            'Enabled demand-dial links that are unreachable, or that are persistent and not connected. A link on demand that is idle is not down, and neither is one outside its dial-out hours.',
          width: 4,
          unit: 'short',
          queries: [{ expr: `count(${DOWN_LINKS}) or vector(0)`, legend: 'down' }],
          base: 'green',
          bounds: [[1, 'red']],
        }),
        stat({
          title: 'Traffic',
          description: 'Bytes a second that all servers receive and transmit together.',
          width: 4,
          unit: 'binBps',
          queries: [
            {
              expr: `sum(${rate('rras_received_bytes_total')}) + sum(${rate('rras_transmitted_bytes_total')})`,
              legend: 'traffic',
            },
          ],
        }),
      ),
      line(
        6,
        table({
          title: 'Servers',
          description:
            'One row a server. A click on its name opens its dashboard. Of one that is down and has nothing else in its row, nothing comes any more.',
          width: 24,
          unit: 'short',
          labels: [{ label: 'instance', title: 'Server', link: toServer }],
          hiddenLabels: ['job'],
          values: [
            { title: 'Up', expr: UP, texts: UP_DOWN, width: 80 },
            {
              title: 'Service runs',
              expr: maxBy(SERVER, of('rras_service_running')),
              texts: YES_NO,
              width: 110,
            },
            {
              title: 'Connections',
              expr: sumBy(SERVER, of('rras_connections')),
              link: toConnectionsOfServer,
            },
            { title: 'Dormant', expr: sumBy(SERVER, of('rras_dormant_connections')) },
            { title: 'Users', expr: maxBy(SERVER, of('rras_users')) },
            {
              title: 'Ports in use',
              expr: PORTS_USED(SERVER),
              unit: 'percentunit',
              decimals: 1,
              bounds: PORT_BOUNDS,
            },
            {
              title: 'Links down',
              expr: `count by (${SERVER}) (${DOWN_LINKS}) or ${sumBy(SERVER, `0 * ${of('rras_up')}`)}`,
              bounds: [[1, 'red']],
            },
            { title: 'Received', expr: sumBy(SERVER, rate('rras_received_bytes_total')), unit: 'binBps' },
            {
              title: 'Transmitted',
              expr: sumBy(SERVER, rate('rras_transmitted_bytes_total')),
              unit: 'binBps',
            },
            {
              title: 'Age of data',
              expr: `time() - ${maxBy(SERVER, of('rras_snapshot_timestamp_seconds'))}`,
              unit: 's',
              decimals: 0,
              bounds: [[120, 'red']],
            },
            {
              title: 'Simulated',
              expr: maxBy(SERVER, of('rras_exporter_simulated')),
              texts: NO_IS_NORMAL,
              width: 100,
            },
          ],
          sortBy: 'Server',
          ascending: true,
        }),
      ),
    ),
    section(
      'Connections and ports',
      line(
        8,
        timeseries({
          title: 'Connections by tunnel and role',
          description: 'client = remote access, site = demand-dial from site to site.',
          width: 10,
          unit: 'short',
          decimals: 0,
          stack: true,
          min: 0,
          queries: [
            { expr: `${sumBy('tunnel, role', of('rras_connections'))} > 0`, legend: '{{tunnel}} {{role}}' },
          ],
        }),
        timeseries({
          title: 'Connections by server',
          description: 'Connections of each server, the dormant ones included.',
          width: 7,
          unit: 'short',
          decimals: 0,
          min: 0,
          queries: [{ expr: sumBy('instance', of('rras_connections')), legend: '{{instance}}' }],
        }),
        bars({
          title: 'Ports in use by tunnel',
          description:
            'Share of the operational ports of each tunnel that connections hold, over all chosen servers.',
          width: 7,
          unit: 'percentunit',
          decimals: 1,
          max: 1,
          queries: [{ expr: PORTS_USED('tunnel'), legend: '{{tunnel}}' }],
          base: 'green',
          bounds: PORT_BOUNDS,
        }),
      ),
    ),
    section(
      'Traffic and errors',
      line(
        8,
        timeseries({
          title: 'Traffic by server',
          description: 'Bytes a second as the servers see them: received upwards, transmitted downwards.',
          width: 12,
          unit: 'binBps',
          queries: [
            { expr: sumBy('instance', rate('rras_received_bytes_total')), legend: '{{instance}} received' },
            {
              expr: sumBy('instance', rate('rras_transmitted_bytes_total')),
              legend: '{{instance}} transmitted',
            },
          ],
          downwards: ['B'],
        }),
        timeseries({
          title: 'Errors by kind',
          description: 'Errors a second on the connections of all chosen servers.',
          width: 6,
          unit: 'cps',
          min: 0,
          queries: [{ expr: sumBy('kind', rate('rras_errors_total')), legend: '{{kind}}' }],
        }),
        timeseries({
          title: 'Site links by state',
          description: 'How many demand-dial and dedicated interfaces are in which state.',
          width: 6,
          unit: 'short',
          decimals: 0,
          stack: true,
          min: 0,
          queries: [{ expr: sumBy('state', of('rras_interface_state')), legend: '{{state}}' }],
          colors: { unreachable: 'red', disconnected: 'blue', connecting: 'yellow', connected: 'green' },
        }),
      ),
    ),
    section(
      'Sessions',
      line(
        8,
        timeseries({
          title: 'Sessions per hour',
          description: 'Sessions that began (upwards) and ended (downwards) in the hour before.',
          width: 12,
          unit: 'short',
          decimals: 0,
          queries: [
            {
              expr: sumBy('tunnel', increase('rras_sessions_started_total', '1h')),
              legend: '{{tunnel}} started',
            },
            {
              expr: sumBy('tunnel', increase('rras_sessions_ended_total', '1h')),
              legend: '{{tunnel}} ended',
            },
          ],
          downwards: ['B'],
        }),
        timeseries({
          title: 'Duration of sessions',
          description:
            'How long the sessions lasted that ended in the hour before: half, 90 % and 99 % of them at most so long.',
          width: 12,
          unit: 's',
          min: 0,
          queries: [
            { expr: quantile(0.5, 'rras_session_duration_seconds'), legend: 'median' },
            { expr: quantile(0.9, 'rras_session_duration_seconds'), legend: '90 %' },
            { expr: quantile(0.99, 'rras_session_duration_seconds'), legend: '99 %' },
          ],
        }),
      ),
    ),
  ],
});
