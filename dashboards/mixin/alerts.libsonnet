// Alerts. An alert asks for metrics that are there: what is not collected, or belongs to a part that is turned off, has
// no series and raises nothing. What each means and what to do stands in docs/runbooks.
//
// A scrape may fail now and then, and each `for` would begin anew. Therefore what is now is the last that was seen in 3
// minutes (`hold` in the configuration); ranges take no notice of a gap anyway.

// Text out of a query over the labels of the alert, or nothing; `show` is the template of the result.
local ask(query, labels, show) =
  '{{ with printf `' + query + '` ' + std.join(' ', ['$labels.' + l for l in labels]) + ' | query }}' + show + '{{ end }}';

// What comes and goes, and is away for most of the time: no `for` would ever be over. One long failure does not count,
// or it would be told of when it is over.
local mostlyFails(series) = 'changes(%(series)s[15m]) >= 3 and avg_over_time(%(series)s[15m]) < 0.5' % { series: series };

local linkLabels = ['job', 'instance', 'interface'];
local whyDown =
  ask(
    'max_over_time(rras_interface_unreachable_reason{job=%q, instance=%q, interface=%q}[10m]) == 1',
    linkLabels,
    ' RRAS gives as reason: {{ range $i, $each := . | sortByLabel "reason" }}{{ if $i }}, {{ end }}{{ .Labels.reason }}{{ end }}.'
  )
  + ask(
    'last_over_time(rras_interface_last_error{job=%q, instance=%q, interface=%q}[3m]) != 0',
    linkLabels,
    ' Error of the last attempt: {{ . | first | value }}.'
  );

{
  // Numbers as PromQL has them: jsonnet writes 0.9 as 0.90000000000000002, and its %g does not know 0.
  local c = std.mapWithKey(
    function(_, value) if !std.isNumber(value) then value else if value == 0 then '0' else '%g' % value,
    $._config
  ),
  local held(text) = std.strReplace(std.strReplace(text, '[3m]', '[%s]' % c.hold), '[3m:', '[%s:' % c.hold),
  local alert(name, severity, expr, duration, summary, description) = {
    alert: name,
    expr: held(expr),
    [if duration != null then 'for']: duration,
    labels: { severity: severity },
    annotations: {
      summary: summary,
      description: held(description),
      runbook_url: c.runbookURLPattern % name,
    },
  },

  prometheusAlerts+:: {
    groups+: [
      {
        name: 'rras-server',
        rules: [
          alert(
            'RrasExporterDown',
            'critical',
            // Where data comes by OTLP alone there is no `up`, and the series end.
            |||
              up{%s} == 0
              or %s
              or
              last_over_time(rras_up[1h])
                unless on (job, instance) rras_up
                unless on (job, instance) last_over_time(up[1h])
            ||| % [c.rrasSelector, mostlyFails('up{%s}' % c.rrasSelector)],
            '5m',
            'Nothing comes from the RRAS exporter {{ $labels.instance }}.',
            'For 5 minutes no scrape of {{ $labels.instance }} (job {{ $labels.job }}) has succeeded, or few have; or what it sent over OTLP has ended. Nothing is known of the VPN meanwhile. See whether the service of the exporter runs, and what the target page of Prometheus says.'
          ),
          alert(
            'RrasExporterMissing',
            'warning',
            'absent(up{%(rrasSelector)s} or rras_up)' % c,
            '15m',
            'Prometheus has no RRAS exporter to scrape.',
            'There has been no target of the RRAS exporter for 15 minutes, and nothing came over OTLP. Look into the scrape configuration and the service discovery; if the job has another name, say so in rrasSelector of the mixin.'
          ),
          alert(
            'RrasServerDown',
            'critical',
            |||
              last_over_time(rras_up[3m]) == 0
                unless on (job, instance) max by (job, instance) (last_over_time(rras_source_up[3m])) == 1
              or
              %s
                unless on (job, instance) max by (job, instance) (avg_over_time(rras_source_up[15m])) >= 0.5
            ||| % mostlyFails('rras_up'),
            '5m',
            'The RRAS server {{ $labels.instance }} cannot be read.',
            'The exporter works, and for 5 minutes no part of the server {{ $labels.instance }} could be read, or hardly ever.'
            + ask(
              'sum by (code) (increase(rras_exporter_native_failures_total{job=%q, instance=%q}[10m])) > 0',
              ['job', 'instance'],
              ' Its calls fail with code {{ range $i, $each := . | sortByLabel "code" }}{{ if $i }}, {{ end }}{{ .Labels.code }}{{ end }}.'
            )
            + ' The log of the exporter says why: rights, the RPC service, or a server that does not answer.'
          ),
          alert(
            'RrasSourceDown',
            'warning',
            |||
              last_over_time(rras_source_up[3m]) == 0
                and on (job, instance) max by (job, instance) (last_over_time(rras_source_up[3m])) == 1
              or
              %s
                and on (job, instance) max by (job, instance) (avg_over_time(rras_source_up[15m])) >= 0.5
            ||| % mostlyFails('rras_source_up'),
            '10m',
            'The {{ $labels.source }} of {{ $labels.instance }} cannot be read.',
            'For 10 minutes the exporter could not read the source {{ $labels.source }} of {{ $labels.instance }}, or hardly ever, while it reads others: the metrics of that source are missing. The log of the exporter says why.'
          ),
          alert(
            'RrasSnapshotStale',
            'warning',
            |||
              time() - last_over_time(rras_snapshot_timestamp_seconds[3m]) > %(snapshotStaleSeconds)s
                and on (job, instance) last_over_time(rras_snapshot_timestamp_seconds[3m]) > 0
            ||| % c,
            '2m',
            'What is known of {{ $labels.instance }} is {{ $value | humanizeDuration }} old.',
            'The exporter of {{ $labels.instance }} answers, but has read nothing of its server for {{ $value | humanizeDuration }}. Connections, ports and links are no longer served. See whether its calls hang, and compare the clocks of the two machines.'
          ),
          alert(
            'RrasNoFreshSnapshot',
            'critical',
            'time() - last_over_time(rras_snapshot_timestamp_seconds[3m]) > %(snapshotOldSeconds)s' % c,
            '5m',
            'Nothing new is known of {{ $labels.instance }}.',
            '{{ if gt $value 1000000000.0 }}The exporter of {{ $labels.instance }} has read nothing of its server since it started.{{ else }}The exporter of {{ $labels.instance }} has read nothing of its server for {{ $value | humanizeDuration }}.{{ end }} The VPN may work or not: look at the server itself.'
          ),
          alert(
            'RrasServiceStopped',
            'critical',
            'last_over_time(rras_service_running[3m]) == 0',
            '5m',
            'The RemoteAccess service of {{ $labels.instance }} does not run.',
            'The RemoteAccess service of {{ $labels.instance }} has been stopped for 5 minutes: nobody can connect, and all site links are down. Start it, or silence this alert for as long as the maintenance takes.'
          ),
        ],
      },
      {
        name: 'rras-links',
        rules: [
          alert(
            'RrasLinkDown',
            'warning',
            'interface:rras_link_down',
            '1m',
            'The link {{ $labels.interface }} of {{ $labels.instance }} is down.',
            'The link {{ $labels.interface }} of {{ $labels.instance }} ought to be up and is not.' + whyDown
            + ' Where repairs are set up, the exporter dials it again; RrasLinkStaysDown and RrasPersonNeeded call a person.'
          ),
          alert(
            'RrasLinkStaysDown',
            'critical',
            // One fault, one call: where the exporter has given up, RrasPersonNeeded says so.
            |||
              interface:rras_link_down
                unless on (job, instance, interface) last_over_time(rras_admin_breaker_open[3m]) == 1
            |||,
            '20m',
            'The link {{ $labels.interface }} of {{ $labels.instance }} has been down for 20 minutes.',
            'The link {{ $labels.interface }} of {{ $labels.instance }} has been down for 20 minutes, and nothing has brought it back.' + whyDown
            + ' The runbook says what each reason and error asks for.'
          ),
          alert(
            'RrasLinkFlapping',
            'warning',
            // A link on demand comes and goes, and one dial may fail. Two have failed if the exporter saw both, or if it
            // saw two times what comes of them.
            |||
              changes(rras_interface_up[30m]) >= %(linkFlaps)s
                and on (job, instance, interface) last_over_time(rras_interface_enabled[3m]) == 1
                and on (job, instance, interface) (
                  last_over_time(rras_interface_persistent[3m]) == 1
                  or on (job, instance, interface)
                  increase(rras_interface_dial_failures_total[30m]) >= 2
                  or on (job, instance, interface)
                  changes(rras_interface_state{state="unreachable"}[30m]) >= 3
                )
            ||| % c,
            '5m',
            'The link {{ $labels.interface }} of {{ $labels.instance }} comes and goes.',
            'The link {{ $labels.interface }} of {{ $labels.instance }} went up or down {{ $value | humanize }} times in 30 minutes.' + whyDown
            + ' Dialling does not help: look at the line, the peer, and the time-outs of both ends.'
          ),
        ],
      },
      {
        name: 'rras-connections',
        rules: [
          alert(
            'RrasPortsNearlyExhausted',
            'warning',
            // Links may hold all ports that were made for them: nobody else is to connect by these.
            |||
              last_over_time(instance_tunnel:rras_ports_used:ratio[3m]) > %(portsUsedRatio)s
                and on (job, instance, tunnel) last_over_time(instance_tunnel:rras_ports:sum[3m]) > 1
                unless on (job, instance, tunnel)
                sum by (job, instance, tunnel) (last_over_time(rras_connections{role="site"}[3m]))
                  >= last_over_time(instance_tunnel:rras_ports:sum[3m])
            ||| % c,
            '10m',
            '{{ $value | humanizePercentage }} of the {{ $labels.tunnel }} ports of {{ $labels.instance }} are in use.',
            '{{ $value | humanizePercentage }} of the {{ $labels.tunnel }} ports of {{ $labels.instance }} have been in use for 10 minutes. When the last one is taken nobody else can connect by {{ $labels.tunnel }}. Add ports, or find out who holds so many.'
          ),
          alert(
            'RrasPortsExhausted',
            'critical',
            |||
              last_over_time(instance_tunnel:rras_ports_used:ratio[3m]) >= 1
                and on (job, instance, tunnel) last_over_time(instance_tunnel:rras_ports:sum[3m]) > 1
                unless on (job, instance, tunnel)
                sum by (job, instance, tunnel) (last_over_time(rras_connections{role="site"}[3m]))
                  >= last_over_time(instance_tunnel:rras_ports:sum[3m])
            |||,
            // Longer than what was seen last holds: a server that is switched off amid it is another matter.
            '4m',
            'No {{ $labels.tunnel }} port of {{ $labels.instance }} is free.',
            'All {{ $labels.tunnel }} ports of {{ $labels.instance }} have been in use for 4 minutes: who connects by {{ $labels.tunnel }} is turned away. Add ports, or hang up connections that nobody needs.'
          ),
          alert(
            'RrasPortsExhaustionPredicted',
            'warning',
            // A line through an hour in which use fell and came back still rises when that is over.
            |||
              predict_linear(instance_tunnel:rras_ports_used:ratio[1h], 4 * 3600) > 1
                and on (job, instance, tunnel) deriv(instance_tunnel:rras_ports_used:ratio[40m]) > 0
                and on (job, instance, tunnel) last_over_time(instance_tunnel:rras_ports_used:ratio[3m]) > %(portsPredictedFromRatio)s
                and on (job, instance, tunnel) last_over_time(instance_tunnel:rras_ports_used:ratio[3m]) < 1
                and on (job, instance, tunnel) last_over_time(instance_tunnel:rras_ports:sum[3m]) > 1
            ||| % c,
            '30m',
            'The {{ $labels.tunnel }} ports of {{ $labels.instance }} will be used up within 4 hours.',
            'If the use of the {{ $labels.tunnel }} ports of {{ $labels.instance }} grows as in the last hour, it is at {{ $value | humanizePercentage }} in 4 hours. Add ports before nobody else can connect by {{ $labels.tunnel }}.'
          ),
          alert(
            'RrasErrorRateHigh',
            'warning',
            |||
              instance_tunnel_role:rras_errors_per_frame:ratio_rate5m > %(errorsPerFrame)s
                and on (job, instance, tunnel, role) instance_tunnel_role:rras_errors:rate5m > %(errorsPerSecond)s
            ||| % c,
            '15m',
            '{{ $value | humanizePercentage }} of the frames of {{ $labels.tunnel }} ({{ $labels.role }}) on {{ $labels.instance }} have errors.',
            'For 15 minutes {{ $value | humanizePercentage }} of the frames that {{ $labels.instance }} receives by {{ $labels.tunnel }} ({{ $labels.role }}) have had errors.'
            + ask(
              'sum by (kind) (rate(rras_errors_total{job=%q, instance=%q, tunnel=%q, role=%q}[5m])) > 0',
              ['job', 'instance', 'tunnel', 'role'],
              ' Kinds: {{ range $i, $each := . | sortByLabel "kind" }}{{ if $i }}, {{ end }}{{ .Labels.kind }}{{ end }}.'
            )
            + ' See whether one connection has them all, or all have some.'
          ),
          alert(
            'RrasDormantConnections',
            'warning',
            |||
              sum by (job, instance) (last_over_time(rras_dormant_connections[3m])) >= %(dormantConnections)s
                and on (job, instance)
                sum by (job, instance) (last_over_time(rras_dormant_connections[3m]))
                  / sum by (job, instance) (last_over_time(rras_connections{tunnel="ikev2"}[3m])) > %(dormantRatio)s
            ||| % c,
            '15m',
            '{{ $value }} connections of {{ $labels.instance }} are dormant.',
            'For 15 minutes {{ $value }} IKEv2 connections of {{ $labels.instance }}, a large part of all, have had a peer that cannot be reached. They hold ports and addresses. If many came at once, a network between is down; else the idle time-out is too long.'
          ),
          alert(
            'RrasUserManyConnections',
            'info',
            // Connections of any role, wherever they are counted; the account of a router has as many as it has sites.
            // Single connections are those of one moment, or one that is dialled anew would count several times.
            |||
              (
                max by (job, instance, user, domain) (last_over_time(rras_user_connections{user!~"|other"}[3m])) > %(userConnections)s
                or on (job, instance, user, domain)
                last_over_time(
                  count by (job, instance, user, domain) (
                    max by (job, instance, connection, user, domain) (rras_connection_info{user!=""})
                  )[3m:1m]
                ) > %(userConnections)s
                  unless on (job, instance) group by (job, instance) (last_over_time(rras_user_connections[3m]))
              )
                unless on (job, instance, user, domain) last_over_time(rras_connection_info{role="site"}[3m])
            ||| % c,
            '15m',
            '{{ $labels.user }} has {{ $value }} connections to {{ $labels.instance }} at once.',
            'For 15 minutes the user {{ $labels.user }}{{ if $labels.domain }} of {{ $labels.domain }}{{ end }} has had {{ $value }} connections to {{ $labels.instance }} at once. It may be a shared account, a client that dials without hanging up, or a stolen password: ask the user.'
          ),
          alert(
            'RrasTrafficStopped',
            'warning',
            |||
              sum by (job, instance, tunnel) (rate(rras_received_bytes_total[10m]))
                + sum by (job, instance, tunnel) (rate(rras_transmitted_bytes_total[10m])) == 0
                and on (job, instance, tunnel)
                sum by (job, instance, tunnel) (last_over_time(rras_connections[3m]))
                  - sum by (job, instance, tunnel) (last_over_time(rras_dormant_connections[3m])) >= %(busyConnections)s
                and on (job, instance) last_over_time(rras_up[3m]) == 1
            ||| % c,
            '10m',
            'No byte passes the {{ $labels.tunnel }} connections of {{ $labels.instance }}.',
            'The {{ $labels.tunnel }} connections of {{ $labels.instance }} stand'
            + ask(
              'sum(rras_connections{job=%q, instance=%q, tunnel=%q})',
              ['job', 'instance', 'tunnel'],
              ' ({{ . | first | value }} of them)'
            )
            + ', and none has moved a byte in either direction for 10 minutes. Look at routing, the firewall and the interfaces of the server.'
          ),
        ],
      },
      {
        name: 'rras-exporter',
        rules: [
          alert(
            'RrasHostRestarting',
            'warning',
            'sum by (job, instance) (increase(rras_exporter_host_restarts_total[30m])) >= %(hostRestarts)s' % c,
            null,
            'The process that reads {{ $labels.instance }} was replaced {{ $value | printf "%.0f" }} times in 30 minutes.',
            'The exporter of {{ $labels.instance }} had to replace the process that holds mprapi.dll {{ $value | printf "%.0f" }} times in 30 minutes'
            + ask(
              'sum by (reason) (increase(rras_exporter_host_restarts_total{job=%q, instance=%q}[30m])) > 0',
              ['job', 'instance'],
              ' ({{ range $i, $each := . | sortByLabel "reason" }}{{ if $i }}, {{ end }}{{ .Labels.reason }}{{ end }})'
            )
            + '. With timeout the server does not answer its calls, with crash the library fails: both are worth a look at the server.'
          ),
          alert(
            'RrasCountersAmbiguous',
            'warning',
            'increase(rras_exporter_ambiguous_deltas_total[1h]) > 0',
            null,
            'Some traffic of {{ $labels.instance }} may not have been counted.',
            'In the last hour {{ $value | printf "%.0f" }} byte counters of {{ $labels.instance }} may have passed 2^32 more often than could be seen. Totals of bytes are then too low by a multiple of 4 GiB. Scrape more often, and see whether polls were late.'
          ),
          alert(
            'RrasEnumerationAnomalies',
            'warning',
            |||
              sum by (job, instance, source, reason) (increase(rras_exporter_enumeration_anomalies_total{reason!~"duplicate|changed"}[1h])) > 0
              or on (job, instance, source, reason)
              sum by (job, instance, source, reason) (increase(rras_exporter_enumeration_anomalies_total{reason=~"duplicate|changed"}[1h])) > %(busyAnomalies)s
            ||| % c,
            null,
            'The enumeration of the {{ $labels.source }} of {{ $labels.instance }} is not as it should be: {{ $labels.reason }}.',
            'In the last hour the server {{ $labels.instance }} answered the enumeration of its {{ $labels.source }} in a way that the API does not allow (reason {{ $labels.reason }}, counted: {{ $value | printf "%.0f" }}). Some of them may be missing from the metrics. Make a recording and report it.'
          ),
          alert(
            'RrasConfigReloadFailed',
            'warning',
            'last_over_time(rras_exporter_config_last_reload_successful[3m]) == 0',
            '5m',
            'The exporter of {{ $labels.instance }} could not load its configuration.',
            'The last attempt to load the configuration of the exporter of {{ $labels.instance }} failed, and the one before is in use. rras-exporter check-config says what is wrong with the file.'
          ),
          alert(
            'RrasOtlpExportFailing',
            'warning',
            |||
              sum by (job, instance, signal) (increase(rras_exporter_otlp_exports_total{result!="success"}[15m]))
                / sum by (job, instance, signal) (increase(rras_exporter_otlp_exports_total[15m])) > %(otlpFailedRatio)s
            ||| % c,
            '5m',
            '{{ $value | humanizePercentage }} of the OTLP exports of {{ $labels.signal }} from {{ $labels.instance }} fail.',
            'In the last 15 minutes {{ $value | humanizePercentage }} of the OTLP exports of {{ $labels.signal }} from {{ $labels.instance }} were refused, wholly or in part, or never answered. What the receiver lacks is lost. The log of the exporter has the cause.'
          ),
        ],
      },
      {
        name: 'rras-remediation',
        rules: [
          alert(
            'RrasPersonNeeded',
            'critical',
            'last_over_time(rras_admin_breaker_open[3m]) == 1',
            null,
            'The link {{ $labels.interface }} of {{ $labels.instance }} cannot be repaired by dialling. A person is needed.',
            'All attempts of the exporter to dial {{ $labels.interface }} of {{ $labels.instance }} have failed, and no further one is made.' + whyDown
            + ' When it is mended, reset it by POST /api/v1/admin/interfaces/{{ $labels.interface | urlquery | reReplaceAll "[+]" "%20" }}/reset; where one exporter reads several servers, with ?server={{ $labels.instance }} behind it.'
          ),
          alert(
            'RrasActionsPaused',
            'warning',
            'last_over_time(rras_admin_paused[3m]) == 1',
            '1h',
            'No link of {{ $labels.instance }} is repaired, since somebody paused all actions.',
            'All actions of the exporter of {{ $labels.instance }} have been paused for an hour. The audit log says by whom and why. Resume them by POST /api/v1/admin/resume (where one exporter reads several servers, with ?server={{ $labels.instance }} behind it), or silence this alert until then.'
          ),
          alert(
            'RrasAuditLogFailed',
            'critical',
            'last_over_time(rras_admin_audit_failures_total[3m]) > 0',
            null,
            'The exporter of {{ $labels.instance }} could not write its audit log, and does not act while it cannot.',
            '{{ $value }} lines could not be written to the audit log of the exporter of {{ $labels.instance }} since it started. Without its intent on the disk no action is executed. See whether the disk is full. The alert ends with the next start of the exporter.'
          ),
        ],
      },
    ],
  },
}
