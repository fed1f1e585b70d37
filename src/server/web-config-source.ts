/**
 * The web configuration as it is now, and the certificates that it names: looked at each time, read again only when they
 * changed. What cannot be used is an error for whoever asks, and one line of the log when it begins and when it ends.
 */
import type { Clock } from '../model/clock.ts';
import { UsageError } from '../model/errors.ts';
import type { Logger } from '../model/logger.ts';
import type { Pems, TlsMaterial } from './tls-material.ts';
import { makeTls, readPems } from './tls-material.ts';
import { TLS_VERSIONS } from './tls-names.ts';
import type { FileContent } from './watched-file.ts';
import { WatchedFile } from './watched-file.ts';
import type { TlsConfig, WebConfig } from './web-config-schema.ts';
import { parseWebConfig } from './web-config-schema.ts';

export interface SourceParts {
  readonly logger: Logger;
  readonly clock: Clock;
}

export class WebConfigSource {
  readonly #path: string;
  readonly #parts: SourceParts;
  readonly #file: WatchedFile;
  readonly #requests: State;
  readonly #connections: State;
  #started: WebConfig | undefined;
  /** What protects, as far as it was ever on. */
  readonly #on = new Set<string>();
  #parsed: { readonly content: FileContent; readonly config: WebConfig } | undefined;
  #pemFiles: { readonly tls: TlsConfig; readonly files: Map<string, WatchedFile> } | undefined;
  #made: { readonly tls: TlsConfig; readonly pems: Pems; readonly material: TlsMaterial } | undefined;

  constructor(path: string, parts: SourceParts) {
    this.#path = path;
    this.#parts = parts;
    this.#file = new WatchedFile(path, parts.clock);
    this.#requests = new State(parts.logger, [
      'the web configuration cannot be used: all requests are refused',
      'the web configuration can be used again',
    ]);
    this.#connections = new State(parts.logger, [
      'the TLS certificates cannot be used: new connections are refused',
      'the TLS certificates can be used again',
    ]);
  }

  /** Reads all for the first time. */
  async open(): Promise<WebConfig> {
    const config = await this.#read();
    if (config.tls) await this.#readTls(config.tls);
    this.#started = config;
    return config;
  }

  /** Rejects with a UsageError while the file cannot be used. */
  async config(): Promise<WebConfig> {
    return this.#requests.note(this.#read());
  }

  /** What to speak TLS with. Rejects with a UsageError while that cannot be done. */
  async tls(): Promise<TlsMaterial> {
    const { tls } = await this.config();
    if (!tls) throw new UsageError(`${this.#path} has no tls_server_config`);
    return this.#connections.note(this.#readTls(tls));
  }

  async #read(): Promise<WebConfig> {
    const content = await this.#file.read();
    const before = this.#parsed;
    if (before && isSameContent(before.content, content)) return before.config;
    const config = parseWebConfig(content, this.#path);
    this.#refuseWeaker(config);
    this.#parsed = { content, config };
    const { logger } = this.#parts;
    // When it could not be used before, that it can be again says it all.
    if (before && !this.#requests.isBroken) {
      logger.info('the web configuration was read again', { file: this.#path });
    }
    if (this.#started && !this.#started.tls && config.tls && !before?.config.tls) {
      logger.warn('TLS begins with the next start of the program');
    }
    return config;
  }

  /** A file that was cut off while it was written is often a valid one, with less in it. */
  #refuseWeaker(config: WebConfig): void {
    // TLS that was not there at the start is not spoken, and protects nothing.
    const spoken = this.#started && !this.#started.tls ? { ...config, tls: null } : config;
    const has = new Set(PROTECTIONS.filter(([, isOn]) => isOn(spoken)).map(([key]) => key));
    const lost = PROTECTIONS.find(([key]) => this.#on.has(key) && !has.has(key));
    if (lost) {
      const rule = 'what protects cannot be turned off while the program runs';
      throw new UsageError(`${this.#path}: ${lost[0]} is gone; ${rule}`);
    }
    // What is so by default is also so of a file that is cut off: that must not forbid the whole one, which asks for less.
    for (const key of has) if (!this.#started || !BY_DEFAULT.has(key)) this.#on.add(key);
  }

  async #readTls(tls: TlsConfig): Promise<TlsMaterial> {
    if (this.#pemFiles?.tls !== tls) this.#pemFiles = { tls, files: new Map() };
    const { files } = this.#pemFiles;
    const pems = await readPems(tls, (path) => {
      let file = files.get(path);
      if (!file) files.set(path, (file = new WatchedFile(path, this.#parts.clock)));
      return file.read();
    });
    const before = this.#made;
    if (before?.tls === tls && isSame(before.pems, pems)) return before.material;
    const material = makeTls(tls, pems);
    this.#made = { tls, pems, material };
    if (before && !isSameContent(before.pems.cert, pems.cert) && !this.#connections.isBroken) {
      this.#parts.logger.info('the TLS certificate was read again', { notAfter: material.notAfter });
    }
    return material;
  }
}

const isSame = (a: Pems, b: Pems): boolean =>
  a.cert === b.cert && a.key === b.key && a.clientCa === b.clientCa;

const isSameContent = (a: FileContent, b: FileContent): boolean =>
  a === b || (a.mode === b.mode && a.bytes.equals(b.bytes));

export const verifiesClients = ({ tls }: WebConfig): boolean =>
  tls?.clientAuth === 'RequireAndVerifyClientCert';

/** What stays on once it was, by what an error calls it; what holds more comes before what it holds. */
const PROTECTIONS: readonly (readonly [key: string, isOn: (config: WebConfig) => boolean])[] = [
  ['tls_server_config', ({ tls }) => tls !== null],
  ['basic_auth_users', ({ users }) => users.size > 0],
  ['client_auth_type RequireAndVerifyClientCert', verifiesClients],
  ['client_allowed_sans', ({ tls }) => tls !== null && tls.allowedSans !== null],
  ...Object.entries(TLS_VERSIONS)
    .sort(([, a], [, b]) => (a < b ? 1 : -1))
    .map(
      ([name, version]) =>
        [`min_version ${name}`, ({ tls }: WebConfig) => tls !== null && tls.minVersion >= version] as const,
    ),
  ['rate_limit', ({ rateLimit }) => rateLimit !== null],
];

const BY_DEFAULT: ReadonlySet<string> = new Set(
  ['TLS10', 'TLS11', 'TLS12'].map((name) => `min_version ${name}`),
);

/** Writes a line when something begins to fail, when it fails in another way, and when it is well again. */
class State {
  readonly #logger: Logger;
  readonly #messages: readonly [broken: string, well: string];
  #problem: string | null = null;

  constructor(logger: Logger, messages: readonly [broken: string, well: string]) {
    this.#logger = logger;
    this.#messages = messages;
  }

  get isBroken(): boolean {
    return this.#problem !== null;
  }

  async note<T>(result: Promise<T>): Promise<T> {
    const [broken, well] = this.#messages;
    try {
      const value = await result;
      if (this.#problem !== null) this.#logger.info(well);
      this.#problem = null;
      return value;
    } catch (error) {
      const problem = error instanceof Error ? error.message : String(error);
      if (problem !== this.#problem) this.#logger.error(broken, { error });
      this.#problem = problem;
      throw error;
    }
  }
}
