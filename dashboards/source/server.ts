/** One server in depth, or several side by side. */
import {
  bars,
  dashboard,
  heatmap,
  increase,
  line,
  maxBy,
  of,
  quantile,
  rate,
  section,
  SERVER,
  stat,
  sumBy,
  timeline,
  timeseries,
  UIDS,
  UP,
  UP_DOWN,
  YES_NO,
} from './parts.ts';

export const server = dashboard({
  uid: UIDS.server,
  title: 'RRAS / Server',
  description:
    'One RRAS server: its service, ports, connections, traffic, errors, sessions and sources of data.',
  sections: [
    section(
      'State',
      line(
        4,
        stat({
          title: 'Data',
          description:
            'Whether the newest enumeration of every enabled source succeeded (rras_up). Also down: nothing comes any more.',
          width: 3,
          unit: 'short',
          queries: [{ expr: UP, legend: '{{instance}}' }],
          texts: UP_DOWN,
        }),
        stat({
          title: 'Service runs',
          description: 'Whether the RemoteAccess service runs.',
          width: 3,
          unit: 'short',
          queries: [{ expr: maxBy(SERVER, of('rras_service_running')), legend: '{{instance}}' }],
          texts: YES_NO,
        }),
        stat({
          title: 'Service runs since',
          description: 'Time since the RRAS service started.',
          width: 3,
          unit: 'dtdurations',
          decimals: 0,
          queries: [
            {
              expr: `time() - ${maxBy(SERVER, of('rras_server_start_time_seconds'))}`,
              legend: '{{instance}}',
            },
          ],
        }),
        stat({
          title: 'Age of data',
          description: 'Time since the last enumeration that read anything.',
          width: 3,
          unit: 's',
          decimals: 0,
          queries: [
            {
              expr: `time() - ${maxBy(SERVER, of('rras_snapshot_timestamp_seconds'))}`,
              legend: '{{instance}}',
            },
          ],
          base: 'green',
          bounds: [
            [60, 'orange'],
            [120, 'red'],
          ],
        }),
        stat({
          title: 'Connections',
          description: 'Connections, the dormant ones included.',
          width: 3,
          unit: 'short',
          queries: [{ expr: sumBy(SERVER, of('rras_connections')), legend: '{{instance}}' }],
        }),
        stat({
          title: 'Dormant',
          description: 'IKEv2 connections whose peer cannot be reached at the moment.',
          width: 3,
          unit: 'short',
          queries: [{ expr: sumBy(SERVER, of('rras_dormant_connections')), legend: '{{instance}}' }],
        }),
        stat({
          title: 'Users',
          description: 'Distinct users that are connected.',
          width: 3,
          unit: 'short',
          queries: [{ expr: maxBy(SERVER, of('rras_users')), legend: '{{instance}}' }],
        }),
        stat({
          title: 'LAN router only',
          description:
            'Whether the router has no remote access part: then there are no connections and no ports.',
          width: 3,
          unit: 'short',
          queries: [{ expr: maxBy(SERVER, of('rras_server_lan_only')), legend: '{{instance}}' }],
          texts: { 0: ['no', 'green'], 1: ['yes', 'blue'] },
        }),
      ),
    ),
    section(
      'Connections',
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
        bars({
          title: 'Authentication',
          description: 'Connections by authentication method. none, pap and chap are weak.',
          width: 7,
          unit: 'short',
          queries: [{ expr: `sort_desc(${sumBy('auth', of('rras_auth_connections'))})`, legend: '{{auth}}' }],
        }),
        timeseries({
          title: 'Dormant and quarantined',
          description:
            'IKEv2 connections whose peer cannot be reached, and connections in quarantine, on probation or not capable of it.',
          width: 7,
          unit: 'short',
          decimals: 0,
          min: 0,
          queries: [
            {
              expr: sumBy('tunnel', of('rras_dormant_connections', 'tunnel="ikev2"')),
              legend: 'dormant {{tunnel}}',
            },
            { expr: sumBy('state', of('rras_quarantine_connections')), legend: '{{state}}' },
          ],
        }),
      ),
    ),
    section(
      'Ports',
      line(
        8,
        timeseries({
          title: 'Ports by condition',
          description: 'Ports of all tunnels by their condition. Listening ones are free.',
          width: 8,
          unit: 'short',
          decimals: 0,
          stack: true,
          min: 0,
          queries: [{ expr: `${sumBy('condition', of('rras_ports'))} > 0`, legend: '{{condition}}' }],
        }),
        timeseries({
          title: 'Free ports by tunnel',
          description:
            'Operational ports that no connection holds. At 0, new clients of the tunnel are refused.',
          width: 8,
          unit: 'short',
          decimals: 0,
          min: 0,
          queries: [
            {
              expr: `${sumBy(`${SERVER}, tunnel`, of('rras_ports', 'condition!="non_operational"'))} - ${sumBy(`${SERVER}, tunnel`, of('rras_ports_in_use'))}`,
              legend: '{{instance}} {{tunnel}}',
            },
          ],
        }),
        timeseries({
          title: 'Calls per hour',
          description:
            'Calls that the ports served in the hour before, those included that were too short to be seen as sessions. Only where the server tells without a call per port.',
          width: 8,
          unit: 'short',
          decimals: 0,
          min: 0,
          queries: [{ expr: sumBy('tunnel', increase('rras_port_calls_total', '1h')), legend: '{{tunnel}}' }],
        }),
      ),
    ),
    section(
      'Traffic',
      line(
        8,
        timeseries({
          title: 'Bytes by tunnel',
          description: 'Bytes a second: received upwards, transmitted downwards.',
          width: 8,
          unit: 'binBps',
          stack: true,
          queries: [
            { expr: sumBy('tunnel', rate('rras_received_bytes_total')), legend: '{{tunnel}} received' },
            { expr: sumBy('tunnel', rate('rras_transmitted_bytes_total')), legend: '{{tunnel}} transmitted' },
          ],
          downwards: ['B'],
        }),
        timeseries({
          title: 'Frames by tunnel',
          description: 'Frames a second: received upwards, transmitted downwards.',
          width: 8,
          unit: 'pps',
          stack: true,
          queries: [
            { expr: sumBy('tunnel', rate('rras_received_frames_total')), legend: '{{tunnel}} received' },
            {
              expr: sumBy('tunnel', rate('rras_transmitted_frames_total')),
              legend: '{{tunnel}} transmitted',
            },
          ],
          downwards: ['B'],
        }),
        timeseries({
          title: 'Errors and moves',
          description:
            'Errors a second by kind, and moves a second of IKEv2 connections to other addresses (MOBIKE).',
          width: 8,
          unit: 'cps',
          min: 0,
          queries: [
            { expr: sumBy('kind', rate('rras_errors_total')), legend: '{{kind}}' },
            { expr: `sum(${rate('rras_switchovers_total')})`, legend: 'moves' },
          ],
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
          width: 8,
          unit: 'short',
          decimals: 0,
          queries: [
            {
              expr: sumBy('tunnel, role', increase('rras_sessions_started_total', '1h')),
              legend: '{{tunnel}} {{role}} started',
            },
            {
              expr: sumBy('tunnel, role', increase('rras_sessions_ended_total', '1h')),
              legend: '{{tunnel}} {{role}} ended',
            },
          ],
          downwards: ['B'],
        }),
        timeseries({
          title: 'Median duration by tunnel',
          description: 'Half of the sessions that ended in the hour before lasted at most so long.',
          width: 8,
          unit: 's',
          min: 0,
          queries: [{ expr: quantile(0.5, 'rras_session_duration_seconds', 'tunnel'), legend: '{{tunnel}}' }],
        }),
        heatmap({
          title: 'Durations',
          description:
            'Sessions that ended, by how long they lasted. Many short ones mean clients that cannot stay connected.',
          width: 8,
          unit: 'short',
          axisUnit: 's',
          expr: sumBy('le', increase('rras_session_duration_seconds_bucket', '$__rate_interval')),
        }),
      ),
    ),
    section(
      'Sources of data',
      line(
        6,
        timeline({
          title: 'Sources',
          description:
            'Whether the newest enumeration of each source succeeded. A server that routes LANs only has no connections and no ports.',
          width: 12,
          unit: 'short',
          queries: [
            { expr: maxBy(`${SERVER}, source`, of('rras_source_up')), legend: '{{instance}} {{source}}' },
          ],
          texts: { 0: ['failed', 'red'], 1: ['good', 'green'] },
        }),
        timeseries({
          title: 'Duration of enumerations',
          description: 'How long the newest enumeration of each source took.',
          width: 12,
          unit: 's',
          min: 0,
          queries: [
            {
              expr: maxBy(`${SERVER}, source`, of('rras_source_duration_seconds')),
              legend: '{{instance}} {{source}}',
            },
          ],
        }),
      ),
    ),
  ],
});
