/**
 * A simulated RRAS server, the exporter, a real Prometheus and a real Alertmanager in one loop on 127.0.0.1: for the
 * demo and the tests of repairs. All of them run the files of examples/remediation/, with intervals that a person has
 * the patience for.
 */
import { writeFileSync } from 'node:fs';
import type { Server } from 'node:http';
import { createServer, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { freePort, Peer } from '../test/e2e/peer.ts';
import { ScrapingPrometheus } from '../test/e2e/scraping-prometheus.ts';
import type { GuardedOptions, HookDecision } from './guarded-exporter.ts';
import { GuardedExporter, readExample } from './guarded-exporter.ts';

export interface LabOptions extends GuardedOptions {
  /** Paths of the programs. */
  readonly prometheus: string;
  readonly alertmanager: string;
  /** Told of each delivery. Without it, Alertmanager and the exporter speak with nobody between them. */
  readonly onDelivery?: (delivery: Delivery) => void;
}

/** What Alertmanager has delivered, and what the exporter has answered. */
export interface Delivery {
  readonly alerts: readonly { readonly status: string; readonly labels: Readonly<Record<string, string>> }[];
  readonly status: number;
  /** One for each alert, if the delivery was taken. */
  readonly decisions: readonly HookDecision[];
}

interface PrometheusConfig {
  global: Record<string, string>;
  alerting: { alertmanagers: { static_configs: { targets: string[] }[] }[] };
  scrape_configs: { scheme?: string; static_configs: { targets: string[] }[] }[];
}

interface Alerts {
  groups: { rules: { alert?: string; for?: string }[] }[];
}

interface AlertmanagerConfig {
  route: { routes: Record<string, unknown>[] };
  receivers: { webhook_configs?: { url: string }[] }[];
}

const HOOK = '/api/v1/hooks/alertmanager';

export class RemediationLab {
  readonly exporter: GuardedExporter;
  readonly prometheus: ScrapingPrometheus;
  readonly alertmanager: Peer;
  readonly #relay: Server | undefined;

  private constructor(
    exporter: GuardedExporter,
    prometheus: ScrapingPrometheus,
    alertmanager: Peer,
    relay: Server | undefined,
  ) {
    this.exporter = exporter;
    this.prometheus = prometheus;
    this.alertmanager = alertmanager;
    this.#relay = relay;
  }

  static async start(options: LabOptions): Promise<RemediationLab> {
    const exporter = await GuardedExporter.start(options);
    let relay: Server | undefined;
    let alertmanager: Peer | undefined;
    try {
      const { folder, port } = exporter;
      relay = options.onDelivery && (await startRelay(port, options.onDelivery));
      const hookPort = relay ? (relay.address() as AddressInfo).port : port;
      const alertmanagerPort = await freePort();
      writeAlertmanagerConfig(folder, hookPort);
      writePrometheusConfig(folder, port, alertmanagerPort);
      const flags = [
        `--config.file=${join(folder, 'alertmanager.yml')}`,
        `--storage.path=${join(folder, 'alertmanager-data')}`,
        '--cluster.listen-address=',
      ];
      alertmanager = await Peer.start(options.alertmanager, flags, folder, alertmanagerPort);
      const config = join(folder, 'prometheus.yml');
      const prometheus = await ScrapingPrometheus.startWith(options.prometheus, config, folder);
      return new RemediationLab(exporter, prometheus, alertmanager, relay);
    } catch (error) {
      await alertmanager?.end();
      relay?.close();
      await exporter.drop();
      throw error;
    }
  }

  async end(): Promise<void> {
    await Promise.all([this.prometheus.end(), this.alertmanager.end()]);
    this.#relay?.closeAllConnections();
    this.#relay?.close();
    await this.exporter.drop();
  }

  /** Whether an alert about an interface is pending or fires; undefined: neither. */
  async alert(name: string, interfaceName: string): Promise<'pending' | 'firing' | undefined> {
    const alerts = await this.prometheus.alerts();
    return alerts.find(({ labels }) => labels['alertname'] === name && labels['interface'] === interfaceName)
      ?.state;
  }
}

function writeAlertmanagerConfig(folder: string, hookPort: number): void {
  const config = readExample('alertmanager.yml') as AlertmanagerConfig;
  for (const route of config.route.routes) {
    Object.assign(route, { group_wait: '1s', group_interval: '1s', repeat_interval: '1s' });
  }
  for (const { webhook_configs: hooks = [] } of config.receivers) {
    for (const hook of hooks) hook.url = `http://127.0.0.1:${hookPort}${HOOK}`;
  }
  writeFileSync(join(folder, 'alertmanager.yml'), stringify(config));
}

function writePrometheusConfig(folder: string, port: number, alertmanagerPort: number): void {
  const config = readExample('prometheus.yml') as PrometheusConfig;
  config.global = { scrape_interval: '1s', scrape_timeout: '1s', evaluation_interval: '1s' };
  config.alerting.alertmanagers[0]!.static_configs[0]!.targets = [`127.0.0.1:${alertmanagerPort}`];
  for (const job of config.scrape_configs) {
    delete job.scheme;
    job.static_configs[0]!.targets = [`127.0.0.1:${port}`];
  }
  writeFileSync(join(folder, 'prometheus.yml'), stringify(config));
  const rules = readExample('alerts.yml') as Alerts;
  for (const rule of rules.groups.flatMap((group) => group.rules)) {
    if (rule.alert === 'RrasLinkDown') rule.for = '1s';
  }
  writeFileSync(join(folder, 'alerts.yml'), stringify(rules));
}

/** Passes deliveries on as they are, and tells of them: nobody else sees what Alertmanager was answered. */
async function startRelay(port: number, onDelivery: (delivery: Delivery) => void): Promise<Server> {
  const server = createServer((incoming, answer) => {
    const body: Buffer[] = [];
    incoming.on('data', (chunk: Buffer) => body.push(chunk));
    incoming.on('end', () => {
      const { method = 'POST', url = HOOK, headers } = incoming;
      const passed = request({ host: '127.0.0.1', port, method, path: url, headers, agent: false });
      passed.on('error', () => answer.destroy());
      passed.on('response', (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('error', () => answer.destroy());
        response.on('end', () => {
          const status = response.statusCode ?? 0;
          onDelivery(toDelivery(Buffer.concat(body), status, Buffer.concat(chunks)));
          answer.writeHead(status, { 'Content-Type': 'application/json' });
          answer.end(Buffer.concat(chunks));
        });
      });
      passed.end(Buffer.concat(body));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return server;
}

function toDelivery(body: Buffer, status: number, answer: Buffer): Delivery {
  const { alerts } = JSON.parse(body.toString()) as Pick<Delivery, 'alerts'>;
  const { data } = JSON.parse(answer.toString()) as { data?: { alerts?: readonly HookDecision[] } };
  return { alerts, status, decisions: data?.alerts ?? [] };
}
