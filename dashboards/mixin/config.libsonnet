// What may be overridden. All other figures stand in rules.libsonnet and alerts.libsonnet.
{
  _config+:: {
    // Targets of the exporter, in `up`. Every other expression selects by the names of the metrics, which are ours alone.
    rrasSelector: 'job=~"rras.*"',

    // %s is the name of the alert. Put the address before it under which your people read the runbooks.
    runbookURLPattern: 'docs/runbooks/%s.md',

    // Tags of the dashboards; null leaves those that they have.
    dashboardTags: null,

    // For how long the last that was seen of a series holds: at least three intervals of scrapes or of OTLP exports.
    hold: '3m',

    // Age of the newest snapshot in seconds: when data is stale, and when there is none any more.
    snapshotStaleSeconds: 180,
    snapshotOldSeconds: 900,

    // Times that a link went up or down in half an hour.
    linkFlaps: 6,

    // Ports of a tunnel in use: share to warn at, and the share from which on a growth is extrapolated.
    portsUsedRatio: 0.9,
    portsPredictedFromRatio: 0.7,

    // Errors per received frame, and errors per second below which nobody cares.
    errorsPerFrame: 0.001,
    errorsPerSecond: 0.1,

    // Dormant connections: how many, and which share of those of IKEv2.
    dormantConnections: 10,
    dormantRatio: 0.25,

    // Connections of one user at a time that are still well.
    userConnections: 5,

    // Connections of a tunnel that cannot all be idle: without a byte from any of them something is broken.
    busyConnections: 5,

    // Restarts of the process that holds mprapi.dll in half an hour.
    hostRestarts: 3,

    // Anomalies of an enumeration in an hour that a busy server may show: records that came twice, or changed meanwhile.
    busyAnomalies: 20,

    // Share of OTLP exports that fail.
    otlpFailedRatio: 0.5,
  },
}
