/** A real Prometheus scrapes over TLS with a client certificate and a password: over HTTP/2, as it prefers, and over HTTP/1.1. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { openWebSecurity } from '../../src/server/web-security.ts';
import { FakeClock } from '../doubles/fake-clock.ts';
import { startApp } from '../server/running-app.ts';
import { WebConfigFolder } from '../server/web-config-folder.ts';
import { requireTool } from '../tools/require-tool.ts';
import { until } from './program.ts';
import { ScrapingPrometheus } from './scraping-prometheus.ts';

const WEB = `tls_server_config:
  cert_file: server.crt
  key_file: server.key
  client_auth_type: RequireAndVerifyClientCert
  client_ca_file: client-ca.crt
basic_auth_users:
  alice: $2b$04$ncGU5yLZyatkW3EO3zssieAo3AxRFHNVeDsFO6DprHbo5TTZRj9s6
`;

requireTool('prometheus')('a Prometheus that scrapes over TLS', (path) => {
  const ends: (() => unknown)[] = [];
  afterEach(async () => {
    for (const end of ends.splice(0).reverse()) await end();
  });

  test.each([
    ['2.0', ''],
    ['1.1', 'http_server_config: {http2: false}\n'],
  ])('finds the exporter up over HTTP/%s', async (version, http) => {
    const folder = new WebConfigFolder();
    ends.push(() => folder.remove());
    const client = folder.client();
    folder.write('client.crt', client.cert);
    folder.write('client.key', client.key);
    folder.write('server-ca.crt', folder.serverCa.cert);
    const quiet = (): void => undefined;
    const logger = { debug: quiet, info: quiet, warn: quiet, error: quiet };
    const clock = new FakeClock();
    const web = await openWebSecurity(folder.write('web.yml', `${WEB}${http}`), { logger, clock });
    const versions = new Set<string>();
    const app = await startApp({
      clock,
      web,
      security: {
        ...web,
        headers: (request, response, next) => {
          versions.add(request.httpVersion);
          return web.headers(request, response, next);
        },
        limit: web.limit,
        basicAuth: web.basicAuth,
      },
      render: () => Promise.resolve([Buffer.from('# TYPE rras_up gauge\nrras_up 1\n# EOF\n')]),
    });
    ends.push(() => app.close());
    const data = mkdtempSync(join(tmpdir(), 'rras-exporter-prometheus-'));
    const config = join(data, 'prometheus.yml');
    writeFileSync(
      config,
      `global: {scrape_interval: 1s, scrape_timeout: 1s}
scrape_configs:
  - job_name: rras
    scheme: https
    static_configs: [{targets: ['${new URL(app.url).host}']}]
    tls_config: {ca_file: ${folder.path}/server-ca.crt, cert_file: ${folder.path}/client.crt, key_file: ${folder.path}/client.key}
    basic_auth: {username: alice, password: alice123}
`,
    );
    const dropFolder = (): void => rmSync(data, { recursive: true, force: true });
    const prometheus = await ScrapingPrometheus.startWith(path, config, data, dropFolder);
    ends.push(() => prometheus.end());
    await until('three scrapes', async () => (await prometheus.samples('rras_up', '1m')).length >= 3, 15_000);
    expect(await prometheus.target()).toMatchObject({ health: 'up', lastError: '' });
    expect([...versions]).toEqual([version]);
    expect(app.errors).toEqual([]);
  });
});
