/**
 * The built program with its admin API, on a simulated server: for the demo and the tests of repairs. Its configuration
 * is examples/remediation/rras-exporter.yml, with intervals that a person has the patience for. What it keeps outlives
 * its restarts.
 */
import { execFile } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { globSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { parse, stringify } from 'yaml';
import type { ActionState, Decision, Right } from '../src/model/admin.ts';
import type { ScenarioName } from '../src/native/simulator/scenarios.ts';
import { freePort } from '../test/e2e/peer.ts';
import { MAIN, NODE, plainEnvironment, Program } from '../test/e2e/program.ts';
import type { Answer } from '../test/server/http-client.ts';
import { fetchPlain } from '../test/server/http-client.ts';

export const EXAMPLES = fileURLToPath(new URL('../examples/remediation/', import.meta.url));

/** What the examples call the server. */
export const INSTANCE = 'vpn1';

export function readExample(name: string): unknown {
  return parse(readFileSync(join(EXAMPLES, name), 'utf8'));
}

/** What of the example is changed. */
export interface ExporterConfig {
  web: { config?: object; 'listen-address'?: readonly string[] };
  admin: {
    tokens: { name: string; sha256: string; rights: Right[]; interfaces: string[] }[];
    guards: Record<string, unknown>;
  };
  hooks: { rules: Record<string, unknown>[] };
}

const BUSY_MS = 500;

/** Short enough to watch; the first cool-down, and what the others grow from. */
export const COOLDOWN_SECONDS = 2;

export interface GuardedOptions {
  readonly scenario?: ScenarioName;
  readonly change?: (config: ExporterConfig) => void;
}

/** A line of the audit log, as far as it matters here. */
export interface AuditLine {
  readonly seq: number;
  readonly time: string;
  readonly kind: string;
  readonly hash: string;
  readonly actionId?: string;
  readonly action?: string;
  readonly actor?: string;
  readonly reason?: string;
  readonly target?: { readonly interface?: string };
  readonly state?: string;
  readonly message?: string;
  readonly alert?: { readonly fingerprint: string; readonly startsAt: string };
}

/** An action as the API tells of it, as far as it matters here. */
export interface ApiAction {
  readonly id: string;
  readonly interface: string | null;
  readonly actor: string;
  readonly decision: Decision;
  readonly decisionReason: string;
  readonly state: ActionState;
  readonly history: readonly { readonly state: ActionState; readonly time: number }[];
  readonly outcome: { readonly result: string; readonly message: string } | null;
}

export interface HookDecision {
  readonly fingerprint: string;
  readonly rule: string | null;
  readonly decision: Decision;
  readonly reason: string;
  readonly actionId: string | null;
}

interface Envelope<T> {
  readonly status: 'success' | 'error';
  readonly errorType?: string;
  readonly error?: string;
  readonly data: T;
}

/** An answer of the admin API. */
export interface ApiAnswer<T> extends Envelope<T> {
  readonly code: number;
  readonly ms: number;
}

export class GuardedExporter {
  /** Of this exporter alone, with all that it keeps. */
  readonly folder: string;
  readonly port: number;
  readonly #flags: readonly string[];
  /** Of the person on call. */
  readonly #token = newToken();
  readonly #hookToken = newToken();
  #program: Program | undefined;

  private constructor(port: number, { scenario = 'office', change }: GuardedOptions) {
    this.folder = mkdtempSync(join(tmpdir(), 'rras-remediation-'));
    this.port = port;
    mkdirSync(this.storage, { mode: 0o700 });
    const config = readExample('rras-exporter.yml') as ExporterConfig;
    // Nothing leaves this machine, so that nothing needs TLS.
    delete config.web.config;
    delete config.web['listen-address'];
    for (const token of config.admin.tokens) {
      const secret = token.name === 'alertmanager' ? this.#hookToken : this.#token;
      token.sha256 = createHash('sha256').update(secret).digest('hex');
    }
    Object.assign(config.admin.guards, {
      cooldown: `${COOLDOWN_SECONDS}s`,
      attemptTimeout: '15s',
      // Three links at once and attempts by hand are more than the default allows in so short a time.
      rate: { burst: 12, per: '10m' },
    });
    change?.(config);
    const file = join(this.folder, 'rras-exporter.yml');
    writeFileSync(file, stringify(config));
    writeFileSync(this.tokenFile, `${this.#hookToken}\n`, { mode: 0o600 });
    this.#flags = [`--rras.simulate=${scenario}`, `--config.file=${file}`, `--storage.path=${this.storage}`];
  }

  /** Resolves when it serves and has read its server. */
  static async start(options: GuardedOptions = {}): Promise<GuardedExporter> {
    const exporter = new GuardedExporter(await freePort(), options);
    try {
      await exporter.begin();
    } catch (error) {
      await exporter.drop();
      throw error;
    }
    return exporter;
  }

  /** Starts it again, as one that knows only what is on the disk. */
  async begin(): Promise<void> {
    this.#program = await Program.serveOn(this.port, ...this.#flags);
    // Actions are decided on a snapshot, and this is one.
    await this.#program.scrape();
  }

  get program(): Program {
    return this.#program!;
  }

  get storage(): string {
    return join(this.folder, 'storage');
  }

  /** Holds the token that may deliver alerts. */
  get tokenFile(): string {
    return join(this.folder, 'rras-hook.token');
  }

  async drop(): Promise<void> {
    await this.#program?.end('SIGTERM');
    rmSync(this.folder, { recursive: true, force: true });
  }

  /** A request of the person on call, or with another token or none. */
  async ask<T>(path: string, body?: object, token: string | null = this.#token): Promise<ApiAnswer<T>> {
    const started = performance.now();
    const { status, text } = await this.#send(path, body && JSON.stringify(body), token);
    return { ...(JSON.parse(text) as Envelope<T>), code: status, ms: performance.now() - started };
  }

  /** As `ask`, but again while the link is being dialled: some dial by themselves now and then, too. */
  async askWhenFree<T>(path: string, body: object): Promise<ApiAnswer<T>> {
    for (;;) {
      const answer = await this.ask<T>(path, body);
      if (answer.errorType !== 'busy') return answer;
      await wait(BUSY_MS);
    }
  }

  /** Delivers a body as Alertmanager does. */
  async deliver(body: string): Promise<readonly HookDecision[]> {
    const { status, text } = await this.#send('/api/v1/hooks/alertmanager', body, this.#hookToken);
    if (status !== 200) throw new Error(`the delivery was answered ${status}: ${text}`);
    return (JSON.parse(text) as Envelope<{ alerts: readonly HookDecision[] }>).data.alerts;
  }

  #send(path: string, body: string | undefined, token: string | null): Promise<Answer> {
    return fetchPlain(`http://127.0.0.1:${this.port}${path}`, {
      method: body === undefined ? 'GET' : 'POST',
      headers: {
        ...(token !== null && { Authorization: `Bearer ${token}` }),
        ...(body !== undefined && { 'Content-Type': 'application/json' }),
      },
      ...(body !== undefined && { body }),
      timeoutMs: 60_000,
    });
  }

  /** Newest first. */
  async actions(): Promise<readonly ApiAction[]> {
    const { data } = await this.ask<{ items: readonly ApiAction[] }>('/api/v1/admin/actions');
    return data.items;
  }

  async action(id: string): Promise<ApiAction> {
    return (await this.ask<ApiAction>(`/api/v1/admin/actions/${id}`)).data;
  }

  /** Complete lines of the audit log. */
  audit(): AuditLine[] {
    return globSync('audit-*.jsonl', { cwd: this.storage })
      .sort()
      .flatMap((file) => readFileSync(join(this.storage, file), 'utf8').split('\n').slice(0, -1))
      .map((line) => JSON.parse(line) as AuditLine);
  }

  intents(interfaceName?: string): AuditLine[] {
    return this.audit().filter(
      ({ kind, target }) =>
        kind === 'intent' && (interfaceName === undefined || target?.interface === interfaceName),
    );
  }

  /** In the order of the intents; undefined for what has not ended. */
  outcomes(interfaceName?: string): (AuditLine | undefined)[] {
    const lines = this.audit();
    return this.intents(interfaceName).map(({ actionId }) =>
      lines.find((line) => line.kind === 'outcome' && line.actionId === actionId),
    );
  }

  /** What `rras-exporter audit verify` says. Rejects if it finds fault with the log. */
  async verifyAudit(): Promise<string> {
    const { stdout } = await promisify(execFile)(NODE, [MAIN, 'audit', 'verify', this.storage], {
      env: plainEnvironment(),
    });
    return stdout.trim();
  }
}

const newToken = (): string => `rrasx_${randomBytes(32).toString('base64url')}`;
