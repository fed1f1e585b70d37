/** Who is connected, since when, from where and with how much. */
import {
  bars,
  choice,
  dashboard,
  increase,
  line,
  maxBy,
  NO_IS_NORMAL,
  of,
  rate,
  section,
  SERVER,
  stat,
  sumBy,
  table,
  textFilter,
  timeseries,
  toServer,
  toUser,
  UIDS,
} from './parts.ts';

/** One a minute in an hour. */
const POINTS = 60;

const KEY = `${SERVER}, connection`;
/** Raw, since names such as DOMAIN\user have what is an escape in other strings. */
const USER = 'user=~`(?i).*${user:regex}.*`';
const CHOSEN = ['tunnel=~"$tunnel"', 'role=~"$role"', USER];

/**
 * One for each connection: a store fed by OTLP may still show what was before, and what a reload of the privacy modes
 * changed stands in two texts for a while.
 */
const one = (infos: string, ...labels: readonly string[]): string =>
  `topk by (${KEY}) (1, ${maxBy([KEY, ...labels].join(', '), infos)})`;

/** The chosen connections, with these labels. */
const info = (...labels: readonly string[]): string => {
  const infos = of('rras_connection_info', ...CHOSEN);
  return labels.length === 0 ? maxBy(KEY, infos) : one(infos, ...labels);
};

/** Of the chosen connections only. */
const chosen = (expression: string): string => `(${expression}) and on (${KEY}) ${info()}`;

/** With labels of who it is. */
const named = (expression: string, ...labels: readonly string[]): string =>
  `(${expression}) * on (${KEY}) group_left (${labels.join(', ')}) ${info(...labels)}`;

/** A name alone may be that of several, in different domains. */
const WHO = 'user, domain';
const WHO_LEGEND = '{{domain}} {{user}}';
/** Those of somebody: links may have no user. */
const WITH_USER = [...CHOSEN, 'user!=""'];

/** By user, in the time that the dashboard shows; connections that ended meanwhile count as well. */
const byUser = (expression: string): string =>
  sumBy(
    WHO,
    `(${expression}) * on (${KEY}) group_left (${WHO}) ` +
      one(`last_over_time(${of('rras_connection_info', ...WITH_USER)}[$__range])`, WHO),
  );

/** How many connections each user has now. */
const connectionsByUser = `count by (${WHO}) (${one(of('rras_connection_info', ...WITH_USER), WHO)})`;

/** The same at each point of a graph: what it is at the end. */
const atEnd = (expression: string): string => expression.replaceAll('[$__range]', '[$__range] @ end()');

const MOVED = `${maxBy(KEY, increase('rras_connection_received_bytes_total'))} + ${maxBy(KEY, increase('rras_connection_transmitted_bytes_total'))}`;
const speed = `${maxBy(KEY, rate('rras_connection_received_bytes_total'))} + ${maxBy(KEY, rate('rras_connection_transmitted_bytes_total'))}`;
const start = maxBy(KEY, of('rras_connection_start_time_seconds'));
const ERRORS = 'rras_connection_errors_total';
const RECEIVED_FRAMES = 'rras_connection_received_frames_total';
const TRANSMITTED_FRAMES = 'rras_connection_transmitted_frames_total';
const frames = (metric: string): string => maxBy(KEY, increase(metric));
const frameRate = (metric: string): string => maxBy(KEY, rate(metric));
/** Of all kinds; a connection without any has no series of them, and is there with a 0. */
const errors = `${sumBy(KEY, maxBy(`${KEY}, kind`, increase(ERRORS)))} or on (${KEY}) 0 * ${frames(RECEIVED_FRAMES)}`;

export const connections = dashboard({
  uid: UIDS.connections,
  title: 'RRAS / Connections',
  description: 'Who is connected to RRAS servers, since when, from where, and how much they move.',
  from: 'now-1h',
  // With thousands of connections each query takes seconds.
  refresh: '5m',
  variables: [
    choice(
      'tunnel',
      'Tunnel',
      'label_values(rras_connections{job=~"$job", instance=~"$instance"}, tunnel)',
      'Kinds of tunnel.',
    ),
    choice(
      'role',
      'Role',
      'label_values(rras_connections{job=~"$job", instance=~"$instance"}, role)',
      'client = remote access, site = from site to site.',
    ),
    textFilter('user', 'User contains', 'A part of the user name, in any case.'),
  ],
  sections: [
    section(
      'Now',
      line(
        4,
        stat({
          title: 'Connections that match',
          description: 'Connections that are shown one by one and match the choice above.',
          width: 4,
          unit: 'short',
          queries: [{ expr: `count(${info()}) or vector(0)`, legend: 'connections' }],
        }),
        stat({
          title: 'Users that match',
          description: 'Distinct users of these connections, by name and domain.',
          width: 4,
          unit: 'short',
          queries: [{ expr: `count(${connectionsByUser}) or vector(0)`, legend: 'users' }],
        }),
        stat({
          title: 'Dormant',
          description: 'IKEv2 connections among these whose peer cannot be reached at the moment.',
          width: 4,
          unit: 'short',
          queries: [
            {
              expr: `sum(${chosen(maxBy(KEY, of('rras_connection_dormant')))}) or vector(0)`,
              legend: 'dormant',
            },
          ],
          base: 'green',
          bounds: [[1, 'orange']],
        }),
        stat({
          title: 'Longest session',
          description: 'Age of the oldest of these connections.',
          width: 4,
          unit: 's',
          queries: [{ expr: `time() - min(${chosen(start)})`, legend: 'longest' }],
        }),
        stat({
          title: 'Their traffic',
          description: 'Bytes a second that these connections receive and transmit together.',
          width: 4,
          unit: 'binBps',
          queries: [{ expr: `sum(${chosen(speed)})`, legend: 'traffic' }],
        }),
        stat({
          title: 'Not shown',
          description:
            'Connections that the exporters do not show one by one (--collector.connections.detail and --collector.connections.limit). The table lacks them.',
          width: 4,
          unit: 'short',
          queries: [{ expr: `sum(${of('rras_hidden_connections')})`, legend: 'hidden' }],
          base: 'green',
          bounds: [[1, 'orange']],
        }),
      ),
      line(
        14,
        table({
          title: 'Connections',
          description:
            'One row a connection. Received and transmitted are what the server saw in the time that the dashboard shows. A click on a user shows the users whose name contains that name.',
          width: 24,
          unit: 'short',
          filterable: true,
          labels: [
            { label: 'user', title: 'User', link: toUser, width: 185 },
            { label: 'computer', title: 'Computer', width: 95 },
            { label: 'remote_address', title: 'From', width: 145 },
            { label: 'tunnel_address', title: 'Tunnel address', width: 105 },
            { label: 'tunnel', title: 'Tunnel', width: 56 },
            { label: 'role', title: 'Role', width: 55 },
            { label: 'auth', title: 'Authentication', width: 128 },
            { label: 'instance', title: 'Server', link: toServer },
          ],
          hiddenLabels: ['job', 'connection'],
          values: [
            {
              title: 'Connection',
              hidden: true,
              expr: info(
                'user',
                'domain',
                'computer',
                'tunnel',
                'role',
                'auth',
                'encryption',
                'tunnel_address',
              ),
            },
            { title: 'Since', expr: `(${chosen(start)}) * 1000`, unit: 'dateTimeAsIso', width: 140 },
            {
              title: 'Address',
              hidden: true,
              expr: chosen(maxBy(`${KEY}, remote_address`, of('rras_connection_endpoint_info'))),
            },
            {
              title: 'Received',
              expr: chosen(maxBy(KEY, increase('rras_connection_received_bytes_total'))),
              unit: 'bytes',
              width: 90,
            },
            {
              title: 'Transmitted',
              expr: chosen(maxBy(KEY, increase('rras_connection_transmitted_bytes_total'))),
              unit: 'bytes',
              width: 100,
            },
            { title: 'Now', expr: chosen(speed), unit: 'binBps', gauge: true, width: 115 },
            {
              title: 'Dormant',
              expr: chosen(maxBy(KEY, of('rras_connection_dormant'))),
              texts: NO_IS_NORMAL,
              width: 80,
            },
          ],
          order: [
            'User',
            'Computer',
            'Since',
            'From',
            'Tunnel address',
            'Tunnel',
            'Role',
            'Authentication',
            'Received',
            'Transmitted',
            'Now',
            'Dormant',
            'Server',
          ],
          sortBy: 'Now',
        }),
      ),
    ),
    section(
      'Top talkers',
      line(
        10,
        bars({
          title: 'Most bytes by user',
          description:
            'Bytes received and transmitted in the time that the dashboard shows, by the users with most.',
          width: 8,
          unit: 'bytes',
          queries: [{ expr: `topk(10, ${byUser(MOVED)})`, legend: WHO_LEGEND }],
        }),
        timeseries({
          points: POINTS,
          title: 'Traffic of the top users',
          description: 'Bytes a second of the users with most bytes in the time that the dashboard shows.',
          width: 16,
          unit: 'binBps',
          legendRight: true,
          min: 0,
          queries: [
            {
              expr: `${sumBy(WHO, named(speed, 'user', 'domain'))} and on (${WHO}) ${atEnd(`topk(10, ${byUser(MOVED)})`)}`,
              legend: WHO_LEGEND,
            },
          ],
        }),
      ),
    ),
    section(
      'What stands out',
      line(
        8,
        table({
          title: 'Dormant connections',
          description:
            'IKEv2 connections whose peer cannot be reached. They hold a port and an address until the client comes back or the time-out ends them. None is normal.',
          width: 10,
          unit: 'short',
          labels: [
            { label: 'user', title: 'User', link: toUser },
            { label: 'computer', title: 'Computer' },
            { label: 'tunnel_address', title: 'Tunnel address' },
            { label: 'instance', title: 'Server', link: toServer },
          ],
          hiddenLabels: ['job', 'connection'],
          values: [
            {
              title: 'Connected for',
              unit: 's',
              decimals: 0,
              expr: `time() - ((${named(start, 'user', 'computer', 'tunnel_address')}) and on (${KEY}) (${of('rras_connection_dormant')} == 1))`,
            },
          ],
          sortBy: 'Connected for',
        }),
        bars({
          title: 'Roaming most',
          description: 'Moves to other addresses (MOBIKE) in the time that the dashboard shows, by user.',
          width: 7,
          unit: 'short',
          decimals: 0,
          queries: [
            {
              expr: `topk(10, ${byUser(maxBy(KEY, increase('rras_connection_switchovers_total')))})`,
              legend: WHO_LEGEND,
            },
          ],
        }),
        bars({
          title: 'Several connections at once',
          description:
            'Users with most connections at the moment. Many of one user are shared credentials or sessions that hang.',
          width: 7,
          unit: 'short',
          queries: [{ expr: `topk(10, ${connectionsByUser})`, legend: WHO_LEGEND }],
        }),
      ),
      line(
        8,
        timeseries({
          points: POINTS,
          title: 'Connections by encryption',
          description: 'Encryption of the connections that match. none, des and mppe are weak.',
          width: 12,
          unit: 'short',
          decimals: 0,
          stack: true,
          min: 0,
          queries: [{ expr: `count by (encryption) (${info('encryption')})`, legend: '{{encryption}}' }],
        }),
        bars({
          title: 'Compression',
          description:
            'Mean of compressed over uncompressed size, over the connections that negotiated compression. Above 1 it costs more than it saves.',
          width: 12,
          unit: 'percentunit',
          max: 1.2,
          base: 'green',
          bounds: [[1, 'orange']],
          queries: [
            {
              expr: `avg by (direction) (${chosen(maxBy(`${KEY}, direction`, of('rras_connection_compression_ratio')))})`,
              legend: '{{direction}}',
            },
          ],
        }),
      ),
    ),
    section(
      'Frames and errors',
      line(
        8,
        table({
          title: 'Frames and errors by connection',
          description:
            'Frames and errors that the server saw in the time that the dashboard shows; the first error of a kind is not among them. A few connections with many errors have bad lines; if all have some, look at the uplink of the server.',
          width: 12,
          unit: 'short',
          labels: [
            { label: 'user', title: 'User', link: toUser, width: 185 },
            { label: 'computer', title: 'Computer', width: 95 },
            { label: 'instance', title: 'Server', link: toServer, width: 80 },
          ],
          hiddenLabels: ['job', 'connection'],
          values: [
            {
              title: 'Errors',
              decimals: 0,
              expr: named(errors, 'user', 'computer'),
              bounds: [[0.5, 'orange']],
            },
            { title: 'Received', expr: chosen(frames(RECEIVED_FRAMES)) },
            { title: 'Transmitted', expr: chosen(frames(TRANSMITTED_FRAMES)) },
          ],
          sortBy: 'Errors',
          thenBy: 'Received',
        }),
        timeseries({
          points: POINTS,
          title: 'Errors by kind',
          description: 'Errors a second of the connections that match, by kind.',
          width: 6,
          unit: 'cps',
          min: 0,
          queries: [
            {
              expr:
                `${sumBy('kind', chosen(maxBy(`${KEY}, kind`, rate(ERRORS))))} or on () ` +
                `label_replace(0 * sum(${chosen(frameRate(RECEIVED_FRAMES))}), "kind", "none", "", "")`,
              legend: '{{kind}}',
            },
          ],
        }),
        timeseries({
          points: POINTS,
          title: 'Frames by tunnel',
          description:
            'Frames a second of the connections that match: received upwards, transmitted downwards.',
          width: 6,
          unit: 'pps',
          stack: true,
          queries: [
            {
              expr: sumBy('tunnel', named(frameRate(RECEIVED_FRAMES), 'tunnel')),
              legend: '{{tunnel}} received',
            },
            {
              expr: sumBy('tunnel', named(frameRate(TRANSMITTED_FRAMES), 'tunnel')),
              legend: '{{tunnel}} transmitted',
            },
          ],
          downwards: ['B'],
        }),
      ),
    ),
    section(
      'Users over all their sessions (needs --collector.users)',
      line(
        8,
        table({
          title: 'Users',
          description:
            'What users moved and how often they connected in the time that the dashboard shows, sessions included that ended. Empty without --collector.users.',
          width: 24,
          unit: 'short',
          filterable: true,
          labels: [
            { label: 'user', title: 'User', link: toUser },
            { label: 'domain', title: 'Domain' },
          ],
          values: [
            {
              title: 'Received',
              unit: 'bytes',
              expr: sumBy('user, domain', increase('rras_user_received_bytes_total', '$__range', USER)),
            },
            {
              title: 'Transmitted',
              unit: 'bytes',
              expr: sumBy('user, domain', increase('rras_user_transmitted_bytes_total', '$__range', USER)),
            },
            {
              title: 'Sessions begun',
              decimals: 0,
              expr: sumBy('user, domain', increase('rras_user_sessions_started_total', '$__range', USER)),
            },
            {
              title: 'Connections now',
              expr: sumBy('user, domain', of('rras_user_connections', USER)),
            },
          ],
          sortBy: 'Received',
        }),
      ),
    ),
  ],
});
