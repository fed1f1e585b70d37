/**
 * Two simulated RRAS servers with all that the dashboards show, and a real Prometheus that scrapes them once a second:
 * for the tests of the dashboards and their pictures. On demand, Site-Madrid's
 * breaker opens and Site-Lisboa is repaired. The second server pushes by OTLP, too.
 */
import { randomBytes } from 'node:crypto';
import type { Server } from 'node:http';
import { createServer } from 'node:http';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stringify } from 'yaml';
import type { OtlpReceiver as Receiver } from '../test/e2e/otlp-receiver.ts';
import { OtlpReceiver } from '../test/e2e/otlp-receiver.ts';
import { METRICS_ONLY, startOtlpProgram } from '../test/e2e/otlp-program.ts';
import type { Program } from '../test/e2e/program.ts';
import { ScrapingPrometheus } from '../test/e2e/scraping-prometheus.ts';
import type { ExporterConfig } from './guarded-exporter.ts';
import { GuardedExporter } from './guarded-exporter.ts';

export const SERVERS = ['vpn1', 'vpn2'] as const;
/** The instance of `page`. */
export const STUB = 'stub';

const LISBOA = 'Site-Lisboa';
const MADRID = 'Site-Madrid';

/** As Alertmanager 0.25 sends it. */
const notification = (...interfaces: readonly string[]): string =>
  JSON.stringify({
    version: '4',
    receiver: 'rras-vpn1',
    status: 'firing',
    groupKey: '{}:{alertname="RrasLinkDown"}',
    truncatedAlerts: 0,
    groupLabels: { alertname: 'RrasLinkDown' },
    commonLabels: {},
    commonAnnotations: {},
    externalURL: 'http://alertmanager.example.net:9093',
    alerts: interfaces.map((name, index) => ({
      status: 'firing',
      labels: {
        alertname: index === 0 ? 'Other' : 'RrasLinkDown',
        instance: 'vpn1',
        job: 'rras',
        interface: name,
      },
      annotations: {},
      startsAt: new Date().toISOString(),
      endsAt: '0001-01-01T00:00:00Z',
      generatorURL: 'http://prometheus.example.net:9090/graph',
      fingerprint: randomBytes(8).toString('hex'),
    })),
  });

/** A page of a server that does not exist, for what no simulated one shows. */
async function serve(page: () => string): Promise<Server> {
  const server = createServer((_, response) => {
    response.setHeader('Content-Type', 'text/plain; version=0.0.4; charset=utf-8').end(page());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return server;
}

export interface LabOptions {
  /** Path of the program. */
  readonly prometheus: string;
  /** What is scraped as the instance `STUB`. */
  readonly page?: () => string;
}

export class DashboardLab {
  readonly prometheus: ScrapingPrometheus;
  readonly #exporter: GuardedExporter;
  readonly #endings: readonly (() => unknown)[];

  private constructor(
    prometheus: ScrapingPrometheus,
    exporter: GuardedExporter,
    endings: readonly (() => unknown)[],
  ) {
    this.prometheus = prometheus;
    this.#exporter = exporter;
    this.#endings = endings;
  }

  static async start({ prometheus: path, page }: LabOptions): Promise<DashboardLab> {
    const endings: (() => unknown)[] = [];
    try {
      const exporter = await GuardedExporter.start({
        scenario: 'office',
        change: (config) => {
          (config as ExporterConfig & { collector: object }).collector = { users: { enabled: true } };
          // One failure is enough to see it open.
          config.admin.guards['breakerFailures'] = 1;
        },
      });
      endings.push(() => exporter.drop());
      const receiver: Receiver = await OtlpReceiver.start({ keep: 1 });
      endings.push(() => receiver.goAway());
      const other: Program = await startOtlpProgram({
        endpoint: receiver.url,
        scenario: 'flapping',
        environment: METRICS_ONLY,
        flags: ['--collector.users'],
      });
      endings.push(() => other.end());
      const hosts: [instance: string, host: string][] = [
        [SERVERS[0], `127.0.0.1:${exporter.port}`],
        [SERVERS[1], new URL(other.url).host],
      ];
      if (page) {
        const server = await serve(page);
        endings.push(() => {
          server.closeAllConnections();
          server.close();
        });
        hosts.push([STUB, `127.0.0.1:${(server.address() as AddressInfo).port}`]);
      }
      const folder = mkdtempSync(join(tmpdir(), 'rras-exporter-dashboards-'));
      endings.push(() => rmSync(folder, { recursive: true, force: true }));
      const file = join(folder, 'prometheus.yml');
      writeFileSync(
        file,
        stringify({
          global: { scrape_interval: '1s', scrape_timeout: '1s' },
          scrape_configs: [
            {
              job_name: 'rras',
              static_configs: hosts.map(([instance, host]) => ({ targets: [host], labels: { instance } })),
            },
          ],
        }),
      );
      const prometheus = await ScrapingPrometheus.startWith(path, file, folder);
      endings.push(() => prometheus.end());
      return new DashboardLab(prometheus, exporter, endings);
    } catch (error) {
      for (const end of endings.toReversed()) await end();
      throw error;
    }
  }

  /** What people and alerts do. */
  async act(): Promise<void> {
    const exporter = this.#exporter;
    const reason = 'looks at the dashboards';
    await exporter.deliver(notification('nobody', LISBOA, 'Ethernet'));
    // It fails, and opens the breaker; another time, that refuses.
    await exporter.ask(`/api/v1/admin/interfaces/${MADRID}/reconnect?wait=30s`, { reason });
    await exporter.ask('/api/v1/admin/pause', { reason, expiresIn: '1m' });
  }

  /**
   * Kills the process with the simulated server, and a new one with other sessions takes its place: the exporter counts
   * all that those have.
   */
  replaceHost(): void {
    process.kill(this.#exporter.program.nativeHost(), 'SIGKILL');
  }

  async resume(): Promise<void> {
    await this.#exporter.ask('/api/v1/admin/resume', { reason: 'has seen it' });
  }

  async end(): Promise<void> {
    for (const end of this.#endings.toReversed()) await end();
  }
}
