// Made by `node tools/mixin.ts`: the dashboards as they stand in this folder.
{
  local tags = $._config.dashboardTags,
  local tagged(dashboard) = dashboard + if tags == null then {} else { tags: tags },

  grafanaDashboards+:: {
    'rras-connections.json': tagged(import '../rras-connections.json'),
    'rras-exporter-health.json': tagged(import '../rras-exporter-health.json'),
    'rras-overview.json': tagged(import '../rras-overview.json'),
    'rras-remediation.json': tagged(import '../rras-remediation.json'),
    'rras-server.json': tagged(import '../rras-server.json'),
    'rras-site-links.json': tagged(import '../rras-site-links.json'),
  },
}
