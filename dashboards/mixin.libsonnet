// Alerts, recording rules and dashboards of rras-exporter as a monitoring mixin.
//
//   local rras = (import 'mixin.libsonnet') + { _config+:: { userConnections: 3 } };
//   { 'alerts.yml': std.manifestYamlDoc(rras.prometheusAlerts) }
//
// alerts.yml and rules.yml are what this gives without overrides: `node tools/mixin.ts` makes them.
(import 'mixin/config.libsonnet')
+ (import 'mixin/rules.libsonnet')
+ (import 'mixin/alerts.libsonnet')
+ (import 'mixin/dashboards.libsonnet')
