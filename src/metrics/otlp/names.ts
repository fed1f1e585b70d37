/**
 * Names and units for OTLP, such that the standard translation to Prometheus gives the names of the catalogue: dots become
 * underscores, the unit and `_total` of a monotonic sum are appended, a unit in braces is left out.
 */

export interface OtlpName {
  readonly name: string;
  readonly unit: string;
}

/** Unit by the end of the name. */
const UNITS: readonly (readonly [end: string, unit: string])[] = [
  ['_seconds', 's'],
  ['_bytes', 'By'],
];
/** Things that are counted; the unit is for people. */
const COUNTED: readonly (readonly [end: string, unit: string])[] = [
  ['_frames', '{frame}'],
  ['_errors', '{error}'],
  ['_calls', '{call}'],
  ['_connections', '{connection}'],
  ['_switchovers', '{move}'],
];
/** What a name is about; the rest of it is one word to OpenTelemetry. */
const SUBJECT =
  /^rras_(connection|interface|user|exporter|admin|remediation|session|source|server|service|snapshot)_(.+)$/;

/** `type` as in the catalogue. */
export function otlpName(prometheusName: string, type: 'gauge' | 'counter' | 'histogram'): OtlpName {
  const base = type === 'counter' ? prometheusName.replace(/_total$/, '') : prometheusName;
  const dotted = (name: string): string => {
    const [, subject, rest] = SUBJECT.exec(name) ?? [];
    return subject === undefined ? name.replace('_', '.') : `rras.${subject}.${rest!}`;
  };
  for (const [end, unit] of UNITS)
    if (base.endsWith(end)) return { name: dotted(base.slice(0, -end.length)), unit };
  // A gauge with the unit 1 is a ratio to Prometheus.
  if (type === 'gauge' && base.endsWith('_ratio'))
    return { name: dotted(base.slice(0, -'_ratio'.length)), unit: '1' };
  const counted = type === 'counter' ? COUNTED.find(([end]) => base.endsWith(end)) : undefined;
  return { name: dotted(base), unit: counted?.[1] ?? '' };
}
