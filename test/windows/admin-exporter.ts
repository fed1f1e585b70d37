/**
 * The program under Wine with its admin API, asked from this machine: a configuration as on Windows, and what it keeps on
 * drive C, which outlives its restarts.
 */
import { execFile } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { promisify } from 'node:util';
import { stringify } from 'yaml';
import type { AuditLine } from '../../src/admin/audit-file.ts';
import { RIGHTS } from '../../src/model/admin.ts';
import type { ActionObject } from '../../src/server/admin-schemas.ts';
import type { Answer } from '../server/http-client.ts';
import { fetchPlain } from '../server/http-client.ts';
import { MetricsPage, WindowsExporter } from './exporter.ts';
import type { FakeMprapi, WineSuite } from './wine.ts';

const CONFIG = 'C:\\RRAS exporter\\rras-exporter.yml';
const STORAGE = 'C:\\ProgramData\\rras-exporter';
export const ATTEMPT_SECONDS = 6;
/** Of one request; far more than an attempt takes. */
const WITHIN_MS = 60_000;

export const PASSWORD = 'right password';
/** As `htpasswd -BC 10` makes it. */
const HASH = '$2y$10$rnBj21ICbRpOSAux3d52veDRA8DnfShp4pM3amGOYlkKvc9jH43by';

interface Envelope<T> {
  readonly errorType?: string;
  readonly error?: string;
  readonly data: T;
}

/** An answer of the API. */
export interface ApiAnswer<T> extends Envelope<T> {
  readonly status: number;
  readonly location: string | undefined;
}

export const basic = (password: string): string =>
  `Basic ${Buffer.from(`viewer:${password}`).toString('base64')}`;

/** What is on the disk of the machine. */
export class AdminHome {
  readonly #suite: WineSuite;
  readonly #token = `rrasx_${randomBytes(32).toString('base64url')}`;

  constructor(suite: WineSuite) {
    this.#suite = suite;
    const token = {
      name: 'on-call',
      sha256: createHash('sha256').update(this.#token).digest('hex'),
      rights: [...RIGHTS],
      interfaces: ['*'],
    };
    const guards = {
      endpointNetworks: ['198.51.100.0/24', '2001:db8::/32', '203.0.113.0/24'],
      cooldown: '1s',
      rate: { burst: 1000, per: '1d' },
      maxConcurrent: 16,
      attemptTimeout: `${ATTEMPT_SECONDS}s`,
    };
    this.#write('rras-exporter.yml', {
      web: { config: { file: 'web.yml' } },
      admin: { tokens: [token], guards },
    });
    this.#write('web.yml', { basic_auth_users: { viewer: HASH } });
  }

  /** Beside each other, with lines as Windows' editors end them. */
  #write(name: string, content: object): void {
    const folder = path.dirname(this.#suite.unixPath(CONFIG));
    fs.mkdirSync(folder, { recursive: true });
    fs.writeFileSync(path.join(folder, name), stringify(content).replaceAll('\n', '\r\n'));
  }

  /** Resolves when it takes orders. */
  async start(fake: FakeMprapi): Promise<AdminExporter> {
    const flags = [`--config.file=${CONFIG}`, `--storage.path=${STORAGE}`, '--web.enable-admin-api'];
    const exporter = await WindowsExporter.start(this.#suite, fake, flags);
    const admin = new AdminExporter(exporter, this.#token);
    while ((await admin.get('/api/v1/admin/actions')).status === 503);
    return admin;
  }

  /** How it ends where it cannot start. */
  async refusal(): Promise<{ readonly code: number | null; readonly stderr: string }> {
    const { code, program } = await this.#suite.runNode(['dist/main.js', `--config.file=${CONFIG}`]);
    return { code, stderr: program.stderr() };
  }

  /** As this machine names it. */
  get storage(): string {
    return this.#suite.unixPath(STORAGE);
  }

  /** All lines of the log. */
  audit(): AuditLine[] {
    return fs
      .readdirSync(this.storage)
      .filter((file) => file.endsWith('.jsonl'))
      .sort()
      .flatMap((file) => fs.readFileSync(path.join(this.storage, file), 'utf8').split('\n').slice(0, -1))
      .map((line) => JSON.parse(line) as AuditLine);
  }

  /** What `audit verify` prints of the log here. Rejects if it finds fault with it. */
  async verifyHere(): Promise<string> {
    const main = path.join(this.#suite.app, 'dist/main.js');
    const args = [main, 'audit', 'verify', this.storage];
    const { stdout } = await promisify(execFile)(process.execPath, args, { env: {} });
    return stdout;
  }

  async verifyOnWindows(): Promise<string> {
    const { code, program } = await this.#suite.runNode(['dist/main.js', 'audit', 'verify', STORAGE]);
    if (code !== 0) throw new Error(`audit verify ended with ${code}: ${program.stderr()}`);
    return program.stdout();
  }
}

/** One run of the program. */
export class AdminExporter {
  readonly exporter: WindowsExporter;
  readonly #token: string;

  constructor(exporter: WindowsExporter, token: string) {
    this.exporter = exporter;
    this.#token = token;
  }

  async send(route: string, authorization: string, body?: object, key?: string): Promise<Answer> {
    return fetchPlain(new URL(route, this.exporter.url).href, {
      method: body === undefined ? 'GET' : 'POST',
      headers: {
        Authorization: authorization,
        ...(body && { 'Content-Type': 'application/json' }),
        ...(key !== undefined && { 'Idempotency-Key': key }),
      },
      ...(body && { body: JSON.stringify(body) }),
      timeoutMs: WITHIN_MS,
    });
  }

  /** A request of who is on call. */
  async get<T>(route: string): Promise<ApiAnswer<T>> {
    return apiAnswer(await this.send(route, `Bearer ${this.#token}`));
  }

  async post<T>(route: string, body: object, key?: string): Promise<ApiAnswer<T>> {
    const { reason = 'because of a test', ...rest } = body as { reason?: string };
    return apiAnswer(await this.send(route, `Bearer ${this.#token}`, { reason, ...rest }, key));
  }

  /** Answers when it has ended. */
  async reconnect(interfaceName: string, body = {}): Promise<ApiAnswer<ActionObject>> {
    return this.post(
      `/api/v1/admin/interfaces/${encodeURIComponent(interfaceName)}/reconnect?wait=60s`,
      body,
    );
  }

  async disconnect(interfaceName: string): Promise<ApiAnswer<ActionObject>> {
    return this.post(`/api/v1/admin/interfaces/${encodeURIComponent(interfaceName)}/disconnect?wait=60s`, {});
  }

  async moveEndpoint(connection: string, endpoint: object): Promise<ApiAnswer<ActionObject>> {
    return this.post(`/api/v1/admin/connections/${connection}/endpoint?wait=60s`, endpoint);
  }

  async hangUp(connection: string): Promise<ApiAnswer<ActionObject>> {
    return this.post(`/api/v1/admin/connections/${connection}/disconnect?wait=60s`, {});
  }

  /** What somebody sees who may only look. */
  async page(): Promise<MetricsPage> {
    return new MetricsPage((await this.send('/metrics', basic(PASSWORD))).text);
  }
}

function apiAnswer<T>({ status, headers, text }: Answer): ApiAnswer<T> {
  return { ...(JSON.parse(text) as Envelope<T>), status, location: headers.location };
}
