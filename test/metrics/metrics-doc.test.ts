import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { CATALOGUE } from '../../src/metrics/catalogue.ts';
import { METRICS_DOC, metricsDoc } from '../../tools/metrics-doc.ts';

const text = readFileSync(METRICS_DOC, 'utf8');

it('docs/metrics.md is what the catalogue makes of it (npm run docs writes it)', async () => {
  expect(text).toBe(await metricsDoc());
});

it('docs/metrics.md names every family of the catalogue, and nothing that the catalogue lacks', () => {
  const documented = [...text.matchAll(/^\| `(rras_(?!exporter_|admin_|remediation_)\w+)`/gm)]
    .map(([, name]) => name)
    .sort();
  expect(documented).toEqual(CATALOGUE.map(({ name }) => name).sort());
});

it.each(['rras_exporter_otlp_exports_total', 'rras_admin_requests_total', 'rras_exporter_wraps_total'])(
  'docs/metrics.md names %s of the exporter itself',
  (name) => {
    expect(text).toContain(`| \`${name}\` | counter |`);
  },
);
