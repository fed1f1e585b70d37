/** Whether the exporters themselves are well: how they read their servers, and what they met. */
import {
  annotation,
  CODES,
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
  table,
  timeseries,
  toServer,
  UIDS,
  UP,
  UP_DOWN,
} from './parts.ts';

const INTERVAL = '$__rate_interval';

export const exporterHealth = dashboard({
  uid: UIDS.exporterHealth,
  title: 'RRAS / Exporter health',
  description:
    'The exporters themselves: polls, native calls, anomalies, counters, restarts, OTLP exports and process.',
  // Also where it is a target of its own, and the servers are others.
  targets: 'rras_exporter_simulated',
  annotations: [
    annotation(
      'Native host replaced',
      'red',
      `${sumBy(`${SERVER}, reason`, increase('rras_exporter_host_restarts_total', INTERVAL))} > 0`,
      'Native host replaced: {{reason}}',
      { tags: 'instance,reason' },
    ),
  ],
  sections: [
    section(
      'Exporters',
      line(
        5,
        table({
          title: 'Exporters',
          description: 'One row an exporter: what it is, and whether it reads its server.',
          width: 24,
          unit: 'short',
          labels: [
            { label: 'instance', title: 'Server', link: toServer },
            { label: 'version', title: 'Version' },
            { label: 'nodeversion', title: 'Node.js' },
            { label: 'platform', title: 'Platform' },
          ],
          hiddenLabels: ['job'],
          values: [
            {
              title: 'Build',
              hidden: true,
              expr: maxBy(`${SERVER}, version, nodeversion, platform`, of('rras_exporter_build_info')),
            },
            { title: 'Up', expr: UP, texts: UP_DOWN },
            {
              title: 'Age of data',
              expr: `time() - ${maxBy(SERVER, of('rras_snapshot_timestamp_seconds'))}`,
              unit: 's',
              decimals: 0,
              bounds: [[120, 'red']],
            },
            {
              title: 'Last reload',
              expr: maxBy(SERVER, of('rras_exporter_config_last_reload_successful')),
              texts: { 0: ['failed', 'red'], 1: ['good', 'green'] },
            },
            {
              title: 'Configuration of',
              expr: `${maxBy(SERVER, of('rras_exporter_config_last_reload_success_timestamp_seconds'))} * 1000`,
              unit: 'dateTimeAsIso',
            },
            {
              title: 'Simulated',
              expr: maxBy(SERVER, of('rras_exporter_simulated')),
              texts: { 0: ['no', 'green'], 1: ['yes', 'blue'] },
            },
            { title: 'Memory', expr: maxBy(SERVER, of('process_resident_memory_bytes')), unit: 'bytes' },
          ],
          sortBy: 'Server',
          ascending: true,
        }),
      ),
      line(
        4,
        stat({
          title: 'Reload of the configuration',
          description: 'Whether the last attempt to load the configuration succeeded, at every exporter.',
          width: 4,
          unit: 'short',
          queries: [{ expr: `min(${of('rras_exporter_config_last_reload_successful')})`, legend: 'good' }],
          texts: { 0: ['failed', 'red'], 1: ['good', 'green'] },
        }),
        stat({
          title: 'Oldest data',
          description:
            'Time since the last enumeration that read anything, of the exporter where that is longest ago.',
          width: 4,
          unit: 's',
          decimals: 0,
          queries: [{ expr: `time() - min(${of('rras_snapshot_timestamp_seconds')})`, legend: 'age' }],
          base: 'green',
          bounds: [
            [60, 'orange'],
            [120, 'red'],
          ],
        }),
        stat({
          title: 'Native host replaced',
          description:
            'How often the process that holds mprapi.dll was replaced in the time that the dashboard shows.',
          width: 4,
          unit: 'short',
          decimals: 0,
          queries: [{ expr: `sum(${increase('rras_exporter_host_restarts_total')})`, legend: 'replaced' }],
          base: 'green',
          bounds: [[0.5, 'orange']],
        }),
        stat({
          title: 'Anomalies',
          description:
            'Answers of enumerations that were not as the API promises, in the time that the dashboard shows.',
          width: 4,
          unit: 'short',
          decimals: 0,
          queries: [
            {
              expr: `sum(${increase('rras_exporter_enumeration_anomalies_total')})`,
              legend: 'anomalies',
            },
          ],
          base: 'green',
          bounds: [[0.5, 'orange']],
        }),
        stat({
          title: 'Ambiguous counters',
          description:
            'Byte counters that may have passed 2^32 more often between two polls than could be seen, in the time that the dashboard shows. Poll more often if this is not 0.',
          width: 4,
          unit: 'short',
          decimals: 0,
          queries: [
            { expr: `sum(${increase('rras_exporter_ambiguous_deltas_total')})`, legend: 'ambiguous' },
          ],
          base: 'green',
          bounds: [[0.5, 'red']],
        }),
        stat({
          title: 'Failed OTLP exports',
          description:
            'Requests to OTLP receivers that failed in the time that the dashboard shows. 0 where OTLP is off.',
          width: 4,
          unit: 'short',
          decimals: 0,
          queries: [
            {
              expr: `sum(${increase('rras_exporter_otlp_exports_total', '$__range', 'result!="success"')}) or vector(0)`,
              legend: 'failed',
            },
          ],
          base: 'green',
          bounds: [[0.5, 'orange']],
        }),
      ),
    ),
    section(
      'Reading the server',
      line(
        8,
        timeseries({
          title: 'Duration of enumerations',
          description: 'How long the newest enumeration of each source took.',
          width: 8,
          unit: 's',
          min: 0,
          queries: [
            {
              expr: maxBy(`${SERVER}, source`, of('rras_source_duration_seconds')),
              legend: '{{instance}} {{source}}',
            },
          ],
        }),
        timeseries({
          title: 'Native calls: 95 %',
          description: 'At most so long took 95 % of the calls of each function of mprapi.dll.',
          width: 8,
          unit: 's',
          min: 0,
          queries: [
            {
              expr: quantile(0.95, 'rras_exporter_native_call_duration_seconds', 'function', INTERVAL),
              legend: '{{function}}',
            },
          ],
        }),
        heatmap({
          title: 'Native calls by duration',
          description: 'Calls of functions of mprapi.dll by how long they took.',
          width: 8,
          unit: 'short',
          axisUnit: 's',
          expr: sumBy('le', increase('rras_exporter_native_call_duration_seconds_bucket', INTERVAL)),
        }),
      ),
      line(
        8,
        timeseries({
          title: 'Native calls',
          description: 'Calls a second of functions of mprapi.dll.',
          width: 7,
          unit: 'cps',
          min: 0,
          queries: [
            { expr: sumBy('function', rate('rras_exporter_native_calls_total')), legend: '{{function}}' },
          ],
        }),
        timeseries({
          title: 'Pages',
          description: 'Pages a second that enumerations received, by source.',
          width: 6,
          unit: 'cps',
          min: 0,
          queries: [
            { expr: sumBy('source', rate('rras_exporter_enumeration_pages_total')), legend: '{{source}}' },
          ],
        }),
        table({
          title: 'Failed native calls',
          description:
            'Calls that failed in the time that the dashboard shows, by the code that they returned. Dials of links that are down are among them.',
          width: 11,
          unit: 'short',
          labels: [
            { label: 'function', title: 'Function', width: 230 },
            { label: 'code', title: 'Code', texts: CODES, width: 200 },
            { label: 'instance', title: 'Server', link: toServer },
          ],
          hiddenLabels: ['job'],
          values: [
            {
              title: 'Calls',
              decimals: 0,
              // A function that never failed is there with a 0, and without a code.
              expr: `${sumBy(`${SERVER}, function, code`, increase('rras_exporter_native_failures_total'))} or on (${SERVER}, function) 0 * ${sumBy(`${SERVER}, function`, increase('rras_exporter_native_calls_total'))}`,
            },
          ],
          sortBy: 'Calls',
        }),
      ),
    ),
    section(
      'What it met',
      line(
        8,
        timeseries({
          title: 'Anomalies by reason',
          description:
            'Answers of enumerations that were not as the API promises, in each interval of the graph. None is normal.',
          width: 8,
          unit: 'short',
          bars: true,
          stack: true,
          min: 0,
          queries: [
            {
              // A source without any is there with a 0, and without a reason.
              expr: `${sumBy('source, reason', increase('rras_exporter_enumeration_anomalies_total', INTERVAL))} > 0 or on (source) ${sumBy('source', increase('rras_exporter_enumeration_anomalies_total', INTERVAL))}`,
              legend: '{{source}} {{reason}}',
            },
          ],
        }),
        timeseries({
          title: 'Counters that wrapped',
          description:
            '32-bit counters of connections that passed 2^32, and those that may have done so unseen, in each interval of the graph.',
          width: 8,
          unit: 'short',
          bars: true,
          min: 0,
          queries: [
            {
              expr: sumBy('instance', increase('rras_exporter_wraps_total', INTERVAL)),
              legend: '{{instance}} wraps',
            },
            {
              expr: sumBy('instance', increase('rras_exporter_ambiguous_deltas_total', INTERVAL)),
              legend: '{{instance}} ambiguous',
            },
          ],
        }),
        timeseries({
          title: 'Native host replaced, by reason',
          description:
            'How often the process that holds mprapi.dll was replaced in each interval of the graph.',
          width: 8,
          unit: 'short',
          bars: true,
          stack: true,
          min: 0,
          queries: [
            {
              expr: sumBy('instance, reason', increase('rras_exporter_host_restarts_total', INTERVAL)),
              legend: '{{instance}}: {{reason}}',
            },
          ],
        }),
      ),
    ),
    section(
      'Exporter and process',
      line(
        8,
        timeseries({
          title: 'OTLP exports',
          description:
            'Requests a second to the OTLP receiver by signal and result. Empty where OTLP is off.',
          width: 8,
          unit: 'reqps',
          min: 0,
          queries: [
            {
              expr: sumBy('signal, result', rate('rras_exporter_otlp_exports_total')),
              legend: '{{signal}} {{result}}',
            },
          ],
        }),
        timeseries({
          title: 'Memory',
          description: 'Resident memory of the exporter, without that of the native host.',
          width: 8,
          unit: 'bytes',
          min: 0,
          queries: [{ expr: maxBy(SERVER, of('process_resident_memory_bytes')), legend: '{{instance}}' }],
        }),
        timeseries({
          title: 'Processor and event loop',
          description:
            'Cores in use by the exporter, and by how many seconds 99 % of the turns of its event loop were late at most.',
          width: 8,
          unit: 'short',
          min: 0,
          queries: [
            { expr: sumBy('instance', rate('process_cpu_seconds_total')), legend: '{{instance}} cores' },
            {
              expr: maxBy(SERVER, of('nodejs_eventloop_lag_p99_seconds')),
              legend: '{{instance}} event loop (s)',
            },
          ],
        }),
      ),
    ),
  ],
});
