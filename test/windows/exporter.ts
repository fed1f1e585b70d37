/** The program under Wine as its users see it: pages over HTTP, lines of its log, its two processes. */
import * as fs from 'node:fs';
import { type ParsedFamily, parsePage } from '../metrics/prometheus-parser.ts';
import type { FakeMprapi, WineProgram, WineSuite } from './wine.ts';

export interface LogLine {
  readonly level: string;
  readonly msg: string;
  readonly [field: string]: unknown;
}

/** Everything that a page says of one connection. */
export interface SeenConnection {
  readonly id: string;
  /** Labels of the info families, without `connection`. */
  readonly texts: Readonly<Record<string, string>>;
  /** Values by the family's name without `rras_connection_`, then a slash and the other label's value if it has one. */
  readonly numbers: Record<string, number>;
}

const INFOS = ['rras_connection_info', 'rras_connection_endpoint_info'];

export class MetricsPage {
  readonly families: readonly ParsedFamily[];

  constructor(text: string) {
    // prom-client writes the head of a family whose labels have not occurred yet.
    this.families = parsePage(text, { bareHeads: true });
  }

  /** Values by those of the labels, joined by a slash; empty if the page has no such family. */
  values(name: string): Record<string, number> {
    const samples = this.families.find((family) => family.name === name)?.samples ?? [];
    return Object.fromEntries(samples.map(({ labels, value }) => [Object.values(labels).join('/'), value]));
  }

  /** Undefined if the page has no such sample. */
  value(name: string, ...labelValues: readonly string[]): number | undefined {
    return this.values(name)[labelValues.join('/')];
  }

  get timestamp(): number {
    return this.value('rras_snapshot_timestamp_seconds')!;
  }

  /** By a label that tells them apart. Throws if any family knows a connection that the info family does not. */
  connections(by: string): Record<string, SeenConnection> {
    const seen = new Map<
      string,
      { id: string; texts: Record<string, string>; numbers: Record<string, number> }
    >();
    const perConnection = this.families.filter(({ name }) => name.startsWith('rras_connection_'));
    for (const { name, samples } of perConnection) {
      for (const { labels, value } of samples) {
        const { connection: id = '', ...rest } = labels;
        if (name === INFOS[0]) seen.set(id, { id, texts: {}, numbers: {} });
        const row = seen.get(id);
        // What was moved before a first scrape, and by whom is not told.
        if (id === 'other') continue;
        if (!row) throw new Error(`${name} has a connection "${id}" that rras_connection_info lacks`);
        if (INFOS.includes(name)) Object.assign(row.texts, rest);
        else row.numbers[[name.slice('rras_connection_'.length), ...Object.values(rest)].join('/')] = value;
      }
    }
    const result = Object.fromEntries([...seen.values()].map((row) => [row.texts[by]!, row]));
    if (Object.keys(result).length < seen.size) throw new Error(`${by} does not tell the connections apart`);
    return result;
  }

  /** Ids by user name. */
  ids(): Record<string, string> {
    return Object.fromEntries(Object.entries(this.connections('user')).map(([user, { id }]) => [user, id]));
  }
}

export interface Scrape {
  readonly status: number;
  readonly page: MetricsPage;
  /** From the request to the last byte of the answer. */
  readonly ms: number;
}

export class WindowsExporter {
  readonly fake: FakeMprapi;
  readonly program: WineProgram;
  readonly url: string;

  private constructor(fake: FakeMprapi, program: WineProgram, url: string) {
    this.fake = fake;
    this.program = program;
    this.url = url;
  }

  /** Starts the program; each scrape enumerates. Resolves when it listens. */
  static async start(
    suite: WineSuite,
    fake: FakeMprapi,
    flags: readonly string[] = [],
  ): Promise<WindowsExporter> {
    const usual = ['--web.listen-address=127.0.0.1:0', '--collector.min-interval=0s', '--log.format=json'];
    const nameOf = (flag: string): string => flag.split('=')[0]!;
    const args = usual.filter((flag) => !flags.map(nameOf).includes(nameOf(flag)));
    const program = suite.startNode(['dist/main.js', ...args, ...flags], { env: fake.env });
    const listening = () => logLines(program).find(({ msg }) => msg === 'listening');
    const { url } = await program.waitFor(listening, 60_000);
    return new WindowsExporter(fake, program, String(url));
  }

  async scrape(timeoutSeconds?: string): Promise<Scrape> {
    const headers: Record<string, string> =
      timeoutSeconds === undefined ? {} : { 'X-Prometheus-Scrape-Timeout-Seconds': timeoutSeconds };
    const started = performance.now();
    const response = await fetch(this.url, { headers });
    const text = await response.text();
    const ms = performance.now() - started;
    return { status: response.status, page: new MetricsPage(text), ms };
  }

  /** The page of a scrape that was answered 200. */
  async page(): Promise<MetricsPage> {
    const { status, page } = await this.scrape();
    if (status !== 200) throw new Error(`the scrape was answered ${status}`);
    return page;
  }

  log(msg?: string): LogLine[] {
    return logLines(this.program).filter((line) => msg === undefined || line.msg === msg);
  }

  /** Unix process ids of the exporter or of the child that holds the DLL. */
  pids(entry: 'main.js' | 'native-host.js'): number[] {
    return this.program.pids().filter((pid) => {
      try {
        // The child has flags of Node.js before its entry.
        const [, ...words] = fs.readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
        return words.find((word) => !word.startsWith('-'))!.endsWith(entry);
      } catch {
        return false; // it has ended meanwhile
      }
    });
  }

  /** Names of the native functions called so far, in their order. */
  calls(): string[] {
    return this.fake
      .calls()
      .map(({ fn }) => fn!)
      .filter((fn) => fn !== 'attach');
  }
}

/** Lines that are the logger's: the runtime may add some of its own. */
function logLines(program: WineProgram): LogLine[] {
  return program
    .stderr()
    .split('\n')
    .filter((line) => line.startsWith('{') && line.endsWith('}'))
    .map((line) => JSON.parse(line) as LogLine);
}
