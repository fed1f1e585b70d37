/**
 * The admin API as `serve.ts` wires it, in this process: the routes and what stands behind them, over a simulated server
 * whose native calls are counted, a disk in memory and a clock that the test steps. Every answer is held against the
 * OpenAPI document.
 */
import { createHash } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import { request as httpRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { connect } from 'node:net';
import { inspect } from 'node:util';
import type { AuditLine } from '../../src/admin/audit-file.ts';
import { scanFolder } from '../../src/admin/audit-file.ts';
import { AdminFleet } from '../../src/admin/fleet.ts';
import { alertmanagerBody, grafanaBody } from '../../src/admin/hooks/alerts.ts';
import { BadRequestBody, parseJsonBody } from '../../src/admin/hooks/json.ts';
import type { AdminService } from '../../src/admin/service.ts';
import { openAdminService } from '../../src/admin/service.ts';
import { parseDurationMs } from '../../src/config/duration.ts';
import { connectionObjects, interfaceObjects, statusObject } from '../../src/metrics/api-data.ts';
import { atOnce } from '../../src/model/slices.ts';
import { cleanText, shownInterfaceNames } from '../../src/metrics/labels.ts';
import { SelfMetrics } from '../../src/metrics/self.ts';
import type { AdminConfig, Grant, GuardPolicy, Right } from '../../src/model/admin.ts';
import { ACTIONS, RIGHTS } from '../../src/model/admin.ts';
import type { Clock } from '../../src/model/clock.ts';
import type { Logger } from '../../src/model/logger.ts';
import type { Snapshot } from '../../src/model/snapshot.ts';
import { nameOfCode } from '../../src/native/codes.ts';
import type { AdminBackend } from '../../src/server/admin.ts';
import { createApp } from '../../src/server/app.ts';
import { verifiedSubjectAltNames } from '../../src/server/client-certificates.ts';
import type { Listener } from '../../src/server/listen.ts';
import { listen } from '../../src/server/listen.ts';
import { openApiDocument } from '../../src/server/openapi.ts';
import { PageCache } from '../../src/server/pages.ts';
import type { WebSecurity } from '../../src/server/web-security.ts';
import { openWebSecurity } from '../../src/server/web-security.ts';
import { configOf, FOLDER } from '../admin/exporter-life.ts';
import type { SimulatedWorldOptions } from '../admin/simulated-world.ts';
import { SimulatedWorld } from '../admin/simulated-world.ts';
import type { FakeClock } from '../doubles/fake-clock.ts';
import { settle } from '../doubles/fake-clock.ts';
import { FakeDisk } from '../doubles/fake-disk.ts';
import { Page } from '../metrics/page.ts';
import { plainViews } from '../metrics/snapshots.ts';
import { ApiDocument } from './api-document.ts';
import type { Identity } from './certificates.ts';
import type { Answer } from './http-client.ts';
import { WebConfigFolder } from './web-config-folder.ts';

/** A token of the name; as `rras-exporter token` makes them, but the same each time. */
export const tokenOf = (name: string): string =>
  `rrasx_${createHash('sha256').update(`token of ${name}`).digest('base64url')}`;

export const sha256Of = (token: string): string => createHash('sha256').update(token).digest('hex');

/** Who has which rights: `all`, one for each right alone, `none`, and `elsewhere`, who may do all to other interfaces. */
export const CALLERS: readonly Grant[] = [
  { name: 'all', rights: RIGHTS, interfaces: ['*'] },
  ...RIGHTS.map((right): Grant => ({ name: `only-${right}`, rights: [right], interfaces: ['*'] })),
  // To have no right at all cannot be written down: this one has the right to nothing that is asked for here.
  { name: 'none', rights: ['override'], interfaces: ['*'] },
  { name: 'elsewhere', rights: RIGHTS, interfaces: ['Elsewhere-*'] },
  { name: 'berlin', rights: RIGHTS, interfaces: ['Site-Berlin', 'Branch *'] },
];
export const onlyRight = (right: Right): string => `only-${right}`;

export const GRAFANA_SECRET = 'the secret that Grafana shares with it';

export interface AdminSiteOptions {
  readonly config?: Omit<Partial<AdminConfig>, 'guards' | 'hooks'> & {
    readonly guards?: Partial<GuardPolicy>;
    readonly hooks?: Partial<AdminConfig['hooks']>;
  };
  readonly world?: SimulatedWorldOptions;
  /** The web configuration, written into a folder with certificates. */
  readonly web?: (folder: WebConfigFolder) => string;
  /** Puts something between the routes and what stands behind them. */
  readonly through?: (backend: AdminBackend) => AdminBackend | Promise<AdminBackend>;
  readonly externalUrl?: string;
  /** There is no admin API. */
  readonly isOff?: boolean;
  /** Other sites whose services are those of configured servers; what they stand for is theirs. */
  readonly named?: Readonly<Record<string, AdminSite>>;
}

export interface Asked {
  /** The name of a caller, whose token is sent. */
  readonly as?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Sent as it is. */
  readonly body?: string | Buffer;
  /** Sent as JSON, with its content type. */
  readonly json?: unknown;
  /** Instead of a body: what is sent one after the other, without a Content-Length. */
  readonly chunks?: Iterable<Buffer>;
  readonly client?: Identity;
  /** Of this machine: whose request it is. */
  readonly from?: string;
  /** The answer need not be in the document. */
  readonly unchecked?: boolean;
}

export interface AdminAnswer extends Answer {
  readonly json: Envelope;
}

export interface Envelope {
  readonly status?: 'success' | 'error';
  readonly data?: unknown;
  readonly errorType?: string;
  readonly error?: string;
}

export interface LogLine {
  readonly level: keyof Logger;
  readonly message: string;
  readonly fields: Readonly<Record<string, unknown>>;
}

const ANSWER_WITHIN_MS = 15_000;
/** Of fake time, for what waits for the clock. */
const STEP_MS = 500;
const MAX_STEPS = 5_000;

interface Parts {
  readonly world: SimulatedWorld;
  readonly disk: FakeDisk;
  readonly log: LogLine[];
  readonly self: SelfMetrics;
  readonly decisionSeries: readonly string[];
  readonly service: AdminService;
  readonly listener: Listener;
  readonly document: ApiDocument;
  readonly folder: WebConfigFolder | undefined;
}

export class AdminSite {
  readonly world: SimulatedWorld;
  readonly disk: FakeDisk;
  readonly log: readonly LogLine[];
  readonly service: AdminService;
  readonly document: ApiDocument;
  readonly listener: Listener;
  readonly #self: SelfMetrics;
  readonly #decisionSeries: readonly string[];
  readonly #folder: WebConfigFolder | undefined;
  /** All that was said to clients. */
  readonly #said: string[] = [];

  private constructor(parts: Parts) {
    this.world = parts.world;
    this.disk = parts.disk;
    this.log = parts.log;
    this.service = parts.service;
    this.document = parts.document;
    this.listener = parts.listener;
    this.#self = parts.self;
    this.#decisionSeries = parts.decisionSeries;
    this.#folder = parts.folder;
  }

  static async open(options: AdminSiteOptions = {}): Promise<AdminSite> {
    const { through = (given: AdminBackend) => given, isOff = false, web, externalUrl = null } = options;
    const named = new Map(
      Object.entries(options.named ?? {}).map(([name, site]) => [name, site.service] as const),
    );
    const world = new SimulatedWorld(options.world);
    const { clock: stepped } = world;
    const clock: Clock = {
      monotonicMs: () => stepped.monotonicMs(),
      wallSeconds: () => stepped.wallSeconds(),
      // What only gives way to others needs no time.
      sleep: (ms, signal) => (ms > 0 ? stepped.sleep(ms, signal) : settle()),
    };
    const disk = new FakeDisk();
    const log: LogLine[] = [];
    const at =
      (level: LogLine['level']) =>
      (message: string, fields: LogLine['fields'] = {}): void => {
        log.push({ level, message, fields });
      };
    const logger = { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') };
    const self = new SelfMetrics({ version: '1.2.3', simulated: true, startedAtSeconds: 0, process: false });
    const metrics = self.admin({ paused: () => service.paused.paused, breakers: () => [] });
    const tokens = CALLERS.map((grant) => ({ ...grant, sha256: sha256Of(tokenOf(grant.name)) }));
    const { hooks, ...config } = options.config ?? {};
    const adminConfig = configOf({
      tokens,
      ...config,
      hooks: {
        allowActions: ACTIONS,
        grafana: {
          secret: Buffer.from(GRAFANA_SECRET),
          signatureHeader: 'X-Grafana-Alerting-Signature',
          timestampHeader: 'X-Grafana-Alerting-Timestamp',
          maxAgeMs: 300_000,
          interfaces: ['*'],
        },
        ...hooks,
      },
    });
    metrics.startRules(adminConfig.hooks.rules.map(({ name }) => name));
    const service: AdminService = await openAdminService({
      config: adminConfig,
      folder: FOLDER,
      actor: world.actor,
      snapshot: () => world.snapshot(),
      interfaceNamed: (shown, { interfaces = [] }) =>
        interfaces[shownInterfaceNames(interfaces).indexOf(shown)]?.name ?? shown,
      nameOfCode,
      clock,
      logger,
      events: {
        onStarted: (action) => metrics.countStarted(action),
        onEnded: (action, succeeded, seconds) => metrics.countEnded(action, succeeded, seconds),
        onAuditFailure: () => metrics.countAuditFailure(),
        onAlert: (rule, decision) => metrics.countAlert(rule, decision),
      },
      disk,
    });
    const backend = through(
      new AdminFleet({
        local: service,
        named: () => named,
        routing: () => adminConfig.hooks,
        onNobodys: () => metrics.countAlert('', 'gone'),
      }),
    );
    const hookBodies = { alertmanager: alertmanagerBody, grafana: grafanaBody };
    const openApi = openApiDocument({ version: '1.2.3', hooks: hookBodies });
    const views = plainViews();
    const snapshot: Snapshot = await world.snapshot();
    const view = () => views.peek(snapshot, clock.monotonicMs());
    const folder = web && new WebConfigFolder();
    let security: WebSecurity | undefined;
    if (folder) {
      security = await openWebSecurity(folder.write('web.yml', web(folder)), { logger, clock });
    }
    const app = createApp({
      telemetryPath: '/metrics',
      maxRequests: 40,
      timeoutMs: 10_000,
      clock,
      logger,
      pages: new PageCache(
        {
          contentTypes: { text: 'text/plain; version=0.0.4; charset=utf-8', openmetrics: 'text/plain' },
          render: async () => [Buffer.from(await self.text())],
        },
        clock,
      ),
      collect: () => Promise.resolve(snapshot),
      ready: () => true,
      api: {
        status: () => {
          const { service: state, ...rest } = statusObject(view());
          const history = { stepSeconds: 60, points: [] };
          return {
            version: '1.2.3',
            simulated: true,
            replayed: false,
            service: state ?? null,
            ...rest,
            history,
          };
        },
        connections: () => atOnce(connectionObjects(view())),
        interfaces: () => interfaceObjects(view(), nameOfCode),
      },
      openApi,
      externalUrl,
      ...(security && { security }),
      ...(!isOff && {
        admin: {
          backend: Promise.resolve(backend),
          backendOf: (name) => {
            const chosen = named.get(name);
            return chosen && Promise.resolve(chosen);
          },
          clock,
          parseJson: parseJsonBody,
          isBodyProblem: (error): error is Error => error instanceof BadRequestBody,
          subjectAltNames: verifiedSubjectAltNames,
          clean: cleanText,
          showAddress: (address) => address,
          parseDurationMs,
          count: (route, decision) => metrics.countRequest(route, decision),
        },
      }),
    });
    const listener = await listen({ host: '127.0.0.1', port: 0 }, app, security);
    world.forgetCalls();
    return new AdminSite({
      world,
      disk,
      log,
      self,
      decisionSeries: await decisionSeries(self),
      service,
      listener,
      document: new ApiDocument(JSON.parse(JSON.stringify(openApi))),
      folder,
    });
  }

  get clock(): FakeClock {
    return this.world.clock;
  }

  get port(): number {
    return Number(new URL(this.listener.url).port);
  }

  get folder(): WebConfigFolder {
    if (!this.#folder) throw new Error('it has no web configuration');
    return this.#folder;
  }

  get(path: string, asked?: Asked): Promise<AdminAnswer> {
    return this.send('GET', path, asked);
  }

  post(path: string, asked?: Asked): Promise<AdminAnswer> {
    return this.send('POST', path, asked);
  }

  /** `path` goes onto the wire as it is. Rejects if there is no answer, or one that the OpenAPI document does not have. */
  async send(method: string, path: string, asked: Asked = {}): Promise<AdminAnswer> {
    const answer = await this.#exchange(method, path, asked);
    this.#said.push(JSON.stringify(answer.headers), answer.text);
    if (asked.unchecked !== true) {
      const objection = this.document.objectionTo(method, path, answer);
      if (objection !== undefined) throw new Error(objection);
    }
    return answer;
  }

  #exchange(method: string, path: string, asked: Asked): Promise<AdminAnswer> {
    const {
      as,
      json,
      chunks,
      client,
      from,
      body = json === undefined ? undefined : JSON.stringify(json),
    } = asked;
    const isSecure = this.listener.url.startsWith('https:');
    const headers = {
      ...(as !== undefined && { Authorization: `Bearer ${tokenOf(as)}` }),
      ...(json !== undefined && { 'Content-Type': 'application/json' }),
      ...(body !== undefined && { 'Content-Length': String(Buffer.byteLength(body)) }),
      ...asked.headers,
    };
    return new Promise((resolve, reject) => {
      const sent = (isSecure ? httpsRequest : httpRequest)(
        {
          host: '127.0.0.1',
          port: this.port,
          method,
          path,
          headers,
          agent: false,
          ...(this.#folder && { ca: this.#folder.serverCa.cert }),
          ...(client && { cert: client.cert, key: client.key }),
          ...(from !== undefined && { localAddress: from }),
          signal: AbortSignal.timeout(ANSWER_WITHIN_MS),
        },
        (response) => {
          const parts: Buffer[] = [];
          response.on('data', (part: Buffer) => parts.push(part));
          response.on('error', reject);
          response.on('end', () => {
            const { statusCode: status = 0, headers: given } = response;
            resolve(toAnswer(status, given, Buffer.concat(parts)));
          });
        },
      );
      sent.on('error', reject);
      if (chunks) for (const chunk of chunks) sent.write(chunk);
      sent.end(body);
    });
  }

  /** What the server says to these bytes, until it closes the connection or the text is in what it said. */
  raw(bytes: string | Buffer, until?: string): Promise<string> {
    return new Promise((resolve, reject) => {
      const socket = connect(this.port, '127.0.0.1');
      let said = '';
      const timer = setTimeout(() => {
        socket.destroy(new Error(`the server said only ${JSON.stringify(said)}`));
      }, ANSWER_WITHIN_MS);
      const end = (): void => {
        clearTimeout(timer);
        socket.destroy();
        resolve(said);
      };
      socket.on('error', (error) => {
        clearTimeout(timer);
        if (said === '') reject(error);
        else resolve(said);
      });
      socket.on('data', (data) => {
        said += data.toString('latin1');
        if (until !== undefined && said.includes(until)) end();
      });
      socket.on('close', end);
      socket.write(bytes);
    });
  }

  /** Lets time pass until it is settled. */
  async passing<T>(promise: Promise<T>, stepMs = STEP_MS): Promise<T> {
    let isSettled = false;
    const settled = (): void => {
      isSettled = true;
    };
    promise.then(settled, settled);
    for (let step = 0; !isSettled; step += 1) {
      if (step > MAX_STEPS) throw new Error('it waits for something else than time');
      await settle();
      // Only for what sleeps: a request may still be on its way.
      if (this.world.requests.length > 0) await this.clock.advance(stepMs);
    }
    return promise;
  }

  /** Lets time pass for what is under way. */
  async pass(ms: number): Promise<void> {
    await settle();
    await this.clock.advance(ms);
    await settle();
  }

  /** The metrics of the exporter itself. */
  async metrics(): Promise<Page> {
    return new Page(await this.#self.text(), { bareHeads: true });
  }

  /** What stands in the audit log. */
  async audit(): Promise<AuditLine[]> {
    const lines: AuditLine[] = [];
    await scanFolder(this.disk, FOLDER, (line) => lines.push(line));
    return lines;
  }

  /** What has got out of a secret, if anything has: a token, its hash, or the secret of Grafana. */
  async leaks(): Promise<string[]> {
    const outputs = [
      ...this.#said,
      ...this.log.map(({ message, fields }) => `${message} ${inspect(fields, { depth: 10 })}`),
      JSON.stringify(await this.audit()),
      await this.#self.text(),
    ];
    const secrets = CALLERS.flatMap(({ name }) => [tokenOf(name), sha256Of(tokenOf(name))]);
    return outputs.filter((text) => [...secrets, GRAFANA_SECRET].some((secret) => text.includes(secret)));
  }

  /** What the routes were counted as, by route and decision. */
  async counts(): Promise<Readonly<Record<string, number>>> {
    const counts = (await this.metrics()).values('rras_admin_requests_total') ?? {};
    return Object.fromEntries(Object.entries(counts).filter(([, count]) => count > 0));
  }

  /** Rejects if a counter had a first event that nobody could see: its series was not there before. */
  async close(): Promise<void> {
    this.listener.force();
    await this.listener.close(AbortSignal.abort());
    await this.service.close();
    this.#folder?.remove();
    const late = (await decisionSeries(this.#self)).filter(
      (series) => !this.#decisionSeries.includes(series),
    );
    if (late.length > 0) throw new Error(`not there from the start: ${late.join(', ')}`);
  }
}

/** What is counted by decision, as the page has it. */
async function decisionSeries(self: SelfMetrics): Promise<readonly string[]> {
  const text = await self.text();
  return [...text.matchAll(/^(?:rras_admin_requests|rras_remediation_decisions)_total\{.*?\}/gm)].map(
    ([series]) => series,
  );
}

/** What stands behind the routes, but for some of its methods. */
export function replacing(backend: AdminBackend, methods: Partial<AdminBackend>): AdminBackend {
  return new Proxy(backend, {
    get: (target, name) => {
      const method: unknown = Reflect.get(methods, name) ?? Reflect.get(target, name);
      return typeof method === 'function' ? (method.bind(target) as unknown) : method;
    },
  });
}

/** Those of a test file, each closed after its test. */
export class AdminSites {
  readonly #sites: AdminSite[] = [];

  async open(options?: AdminSiteOptions): Promise<AdminSite> {
    const site = await AdminSite.open(options);
    this.#sites.push(site);
    return site;
  }

  /** Rejects if one of them has let a secret out. */
  async close(): Promise<void> {
    for (const site of this.#sites.splice(0)) {
      const leaks = await site.leaks();
      await site.close();
      if (leaks.length > 0) throw new Error(`a secret got out: ${leaks.join(', ')}`);
    }
  }
}

function toAnswer(status: number, headers: IncomingHttpHeaders, body: Buffer): AdminAnswer {
  const text = body.toString();
  const isJson = headers['content-type']?.startsWith('application/json') === true && text !== '';
  return { status, headers, body, text, json: isJson ? (JSON.parse(text) as Envelope) : {} };
}
