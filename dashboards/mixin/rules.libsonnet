// Recording rules: what several panels and alerts ask for. Names are level:metric:operations.
local ports = 'sum by (job, instance, tunnel) (rras_ports{condition!="non_operational"})';
local rate(metric) = 'sum by (job, instance, tunnel, role) (rate(%s[5m]))' % metric;

{
  prometheusRules+:: {
    groups+: [
      {
        name: 'rras-recordings',
        rules: [
          {
            record: 'instance:rras_connections:sum',
            expr: 'sum by (job, instance) (rras_connections)',
          },
          {
            record: 'instance_tunnel:rras_ports:sum',
            expr: ports,
          },
          {
            // Of the ports that can be used. A tunnel without any has no ratio.
            record: 'instance_tunnel:rras_ports_used:ratio',
            expr: |||
              sum by (job, instance, tunnel) (rras_ports_in_use)
                / (%s > 0)
            ||| % ports,
          },
          {
            record: 'instance_tunnel_role:rras_received_bytes:rate5m',
            expr: rate('rras_received_bytes_total'),
          },
          {
            record: 'instance_tunnel_role:rras_transmitted_bytes:rate5m',
            expr: rate('rras_transmitted_bytes_total'),
          },
          {
            record: 'instance_tunnel_role:rras_errors:rate5m',
            expr: rate('rras_errors_total'),
          },
          {
            // At least one frame per second is assumed, so that a lone error of an idle tunnel is no rate of 100 %.
            record: 'instance_tunnel_role:rras_errors_per_frame:ratio_rate5m',
            expr: |||
              %s
                / clamp_min(%s, 1)
            ||| % [rate('rras_errors_total'), rate('rras_received_frames_total')],
          },
          {
            record: 'instance_tunnel_role:rras_sessions_started:increase1h',
            expr: 'sum by (job, instance, tunnel, role) (increase(rras_sessions_started_total[1h]))',
          },
          {
            // 1 for each link that ought to be up and is not. A persistent link ought to be up always; one on demand is
            // at rest when it is disconnected, and in trouble when it is unreachable: RRAS has dialled in vain. While it
            // is dialled again it is still the same trouble, or each attempt would look like a new alert; and a scrape
            // that fails does not end it, so that what is asked for is the last that was seen. A disabled link is meant
            // to be down, and so is one outside its dial-out hours; without the service nothing can be dialled. The same
            // as in examples/remediation.
            record: 'interface:rras_link_down',
            expr: std.strReplace(|||
              last_over_time(rras_interface_enabled[3m]) == 1
                and on (job, instance, interface) last_over_time(rras_interface_up[3m]) == 0
                unless on (job, instance) last_over_time(rras_service_running[3m]) == 0
                unless on (job, instance, interface)
                last_over_time(rras_interface_info{interface_type="dedicated"}[3m])
                unless on (job, instance, interface)
                max_over_time(rras_interface_unreachable_reason{reason="dialout_hours_restriction"}[5m]) == 1
                and on (job, instance, interface) (
                  last_over_time(rras_interface_persistent[3m]) == 1
                  or on (job, instance, interface)
                  last_over_time(rras_interface_state{state=~"unreachable|connecting"}[3m]) == 1
                    and on (job, instance, interface)
                    max_over_time(rras_interface_state{state="unreachable"}[5m]) == 1
                )
            |||, '[3m]', '[%s]' % $._config.hold),
          },
        ],
      },
    ],
  },
}
