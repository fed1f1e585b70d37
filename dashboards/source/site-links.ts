/** Links between sites: what state they are in, why, and since when. */
import {
  choice,
  CODES,
  dashboard,
  DOWN_LINKS,
  increase,
  line,
  LINK,
  LINK_STATES,
  maxBy,
  NO_IS_NORMAL,
  of,
  rate,
  section,
  stat,
  sumBy,
  table,
  timeline,
  timeseries,
  toLink,
  toServer,
  UIDS,
  YES_NO,
} from './parts.ts';

const CHOSEN = 'interface=~"$interface"';
const link = (metric: string, ...matchers: readonly string[]): string => of(metric, CHOSEN, ...matchers);

/** 0 unreachable, 1 disconnected, 2 connecting, 3 connected; nothing while the service is stopped, and all four are 0. */
const state = maxBy(
  LINK,
  ['unreachable', 'disconnected', 'connecting', 'connected']
    .map((name, weight) => `${weight} * (${link('rras_interface_state', `state="${name}"`)} == 1)`)
    .join(' or '),
);

const added = (metric: string, range: string): string => sumBy(LINK, increase(metric, range, CHOSEN));

export const siteLinks = dashboard({
  uid: UIDS.siteLinks,
  title: 'RRAS / Site links',
  description:
    'Demand-dial and dedicated interfaces of RRAS servers: state, reasons, errors, flaps and traffic.',
  variables: [
    choice(
      'interface',
      'Interface',
      'label_values(rras_interface_info{job=~"$job", instance=~"$instance"}, interface)',
      'Demand-dial and dedicated interfaces.',
    ),
  ],
  sections: [
    section(
      'Now',
      line(
        4,
        stat({
          title: 'Down',
          description:
            'Enabled demand-dial links that are unreachable, or that are persistent and not connected. A link on demand that is idle is not down, and neither is one outside its dial-out hours.',
          width: 4,
          unit: 'short',
          queries: [
            {
              expr: `count((${DOWN_LINKS}) and on (${LINK}) ${link('rras_interface_info')}) or vector(0)`,
              legend: 'down',
            },
          ],
          base: 'green',
          bounds: [[1, 'red']],
        }),
        stat({
          title: 'Connected',
          description: 'Interfaces that are connected.',
          width: 4,
          unit: 'short',
          queries: [{ expr: `sum(${link('rras_interface_up')})`, legend: 'connected' }],
          base: 'green',
        }),
        stat({
          title: 'Idle',
          description: 'Interfaces that are disconnected: normal for links that are dialled on demand.',
          width: 4,
          unit: 'short',
          queries: [{ expr: `sum(${link('rras_interface_state', 'state="disconnected"')})`, legend: 'idle' }],
        }),
        stat({
          title: 'Disabled',
          description: 'Interfaces that an administrator has disabled.',
          width: 4,
          unit: 'short',
          queries: [
            {
              expr: `count(${link('rras_interface_enabled')}) - sum(${link('rras_interface_enabled')})`,
              legend: 'disabled',
            },
          ],
        }),
        stat({
          title: 'Flaps, last hour',
          description: 'Changes of state of all chosen interfaces in the hour before.',
          width: 4,
          unit: 'short',
          decimals: 0,
          queries: [
            {
              expr: `sum(${increase('rras_interface_state_changes_total', '1h', CHOSEN)})`,
              legend: 'changes',
            },
          ],
        }),
        stat({
          title: 'Failed dials, last hour',
          description: 'Dials of all chosen interfaces that ended with an error in the hour before.',
          width: 4,
          unit: 'short',
          decimals: 0,
          queries: [
            {
              expr: `sum(${increase('rras_interface_dial_failures_total', '1h', CHOSEN)})`,
              legend: 'failed',
            },
          ],
          base: 'green',
          bounds: [[1, 'orange']],
        }),
      ),
      line(
        10,
        table({
          title: 'Links',
          description:
            'One row an interface. Changes and failed dials are those in the time that the dashboard shows. Time since the change is empty until the exporter has seen one, and the state while the service is stopped.',
          width: 24,
          unit: 'short',
          filterable: true,
          labels: [
            { label: 'interface', title: 'Interface', link: toLink },
            { label: 'interface_type', title: 'Type' },
            { label: 'instance', title: 'Server', link: toServer },
          ],
          hiddenLabels: ['job'],
          values: [
            {
              title: 'Info',
              hidden: true,
              expr: maxBy(`${LINK}, interface_type`, link('rras_interface_info')),
            },
            { title: 'State', expr: state, texts: LINK_STATES },
            {
              title: 'Since',
              expr: `time() - ${maxBy(LINK, link('rras_interface_state_change_timestamp_seconds'))}`,
              unit: 's',
              decimals: 0,
            },
            {
              title: 'Last error',
              expr: maxBy(LINK, link('rras_interface_last_error')),
              texts: CODES,
              width: 270,
            },
            { title: 'Enabled', expr: maxBy(LINK, link('rras_interface_enabled')), texts: YES_NO, width: 80 },
            {
              title: 'Persistent',
              expr: maxBy(LINK, link('rras_interface_persistent')),
              texts: NO_IS_NORMAL,
              width: 90,
            },
            { title: 'Changes', expr: added('rras_interface_state_changes_total', '$__range'), decimals: 0 },
            {
              title: 'Failed dials',
              expr: added('rras_interface_dial_failures_total', '$__range'),
              decimals: 0,
              bounds: [[1, 'orange']],
            },
            {
              title: 'Received',
              expr: added('rras_interface_received_bytes_total', '$__range'),
              unit: 'bytes',
            },
            {
              title: 'Transmitted',
              expr: added('rras_interface_transmitted_bytes_total', '$__range'),
              unit: 'bytes',
            },
          ],
          order: [
            'Interface',
            'State',
            'Since',
            'Last error',
            'Enabled',
            'Persistent',
            'Changes',
            'Failed dials',
            'Received',
            'Transmitted',
            'Type',
            'Server',
          ],
          sortBy: 'State',
          ascending: true,
        }),
      ),
    ),
    section(
      'History',
      line(
        10,
        timeline({
          title: 'State',
          description: 'The state of each interface over time. None while the service is stopped.',
          width: 24,
          unit: 'short',
          queries: [{ expr: state, legend: '{{interface}} ({{instance}})' }],
          texts: LINK_STATES,
        }),
      ),
      line(
        10,
        timeline({
          title: 'Why unreachable',
          description:
            'Reasons that the server gives, while they hold. Empty where every interface can be reached.',
          width: 12,
          unit: 'short',
          queries: [
            {
              expr: `${maxBy(`${LINK}, reason`, link('rras_interface_unreachable_reason'))} == 1`,
              legend: '{{interface}}: {{reason}}',
            },
          ],
          texts: { 1: ['holds', 'red'] },
        }),
        timeline({
          title: 'Last error',
          description:
            'The code that the last failed attempt ended with, by its name, until one works. Links without an error are left out.',
          width: 12,
          unit: 'short',
          queries: [
            {
              expr: `${maxBy(LINK, link('rras_interface_last_error'))} > 0`,
              legend: '{{interface}} ({{instance}})',
            },
          ],
          texts: CODES,
          base: 'orange',
        }),
      ),
      line(
        8,
        timeseries({
          title: 'Flaps',
          description: 'Changes of state in each interval of the graph.',
          width: 12,
          unit: 'short',
          bars: true,
          stack: true,
          min: 0,
          queries: [
            {
              expr: `${added('rras_interface_state_changes_total', '$__rate_interval')} > 0`,
              legend: '{{interface}} ({{instance}})',
            },
          ],
        }),
        timeseries({
          title: 'Failed dials',
          description: 'Dials that ended with an error in each interval of the graph.',
          width: 12,
          unit: 'short',
          bars: true,
          stack: true,
          min: 0,
          queries: [
            {
              expr: `${added('rras_interface_dial_failures_total', '$__rate_interval')} > 0`,
              legend: '{{interface}} ({{instance}})',
            },
          ],
        }),
      ),
    ),
    section(
      'Traffic',
      line(
        9,
        timeseries({
          title: 'Traffic by link',
          description: 'Bytes a second over each demand-dial link: received upwards, transmitted downwards.',
          width: 24,
          unit: 'binBps',
          legendRight: true,
          queries: [
            {
              expr: sumBy(LINK, rate('rras_interface_received_bytes_total', CHOSEN)),
              legend: '{{interface}} ({{instance}}) received',
            },
            {
              expr: sumBy(LINK, rate('rras_interface_transmitted_bytes_total', CHOSEN)),
              legend: '{{interface}} ({{instance}}) transmitted',
            },
          ],
          downwards: ['B'],
        }),
      ),
    ),
  ],
});
