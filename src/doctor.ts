/**
 * The command `doctor`: looks at everything that the exporter needs, one line for each, with what to do about what is
 * wrong. It changes nothing, and ends whatever the server does.
 */
import { existsSync } from 'node:fs';
import { hostname, release } from 'node:os';
import { extname, win32 } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Given } from './config/flags.ts';
import { formatListenAddress } from './config/listen-address.ts';
import { loadOptions } from './config/load.ts';
import type { Options, Origin, Surroundings } from './config/options.ts';
import { otlpPlan } from './config/otlp.ts';
import { refuseExposedAdmin, refuseTwins } from './config/schema.ts';
import { packageVersion } from './config/version.ts';
import type { Check, Finding } from './model/check.ts';
import { ConfigFileError, UsageError } from './model/errors.ts';
import { forkHost } from './native/client.ts';
import { hostConfig } from './native/host-config.ts';
import type { HostConfig } from './native/host-messages.ts';
import type { Machine } from './native/inspect-server.ts';
import { inspectServer, openedName, uninspected } from './native/inspect-server.ts';
import { serviceState } from './native/windows-service.ts';
import { systemClock } from './runtime/clock.ts';
import { describeError } from './runtime/describe-error.ts';
import { inspectLog } from './runtime/inspect-log.ts';
import { inspectStorage } from './runtime/inspect-storage.ts';
import { folderOfServer } from './runtime/storage.ts';
import { watchClock } from './runtime/watch-clock.ts';
import type { WebFinding } from './server/inspect-web-config.ts';
import { inspectWebConfig } from './server/inspect-web-config.ts';
import { probeAddress } from './server/probe-address.ts';

/** The child's entry beside this file, as for serving. */
const HOST_ENTRY = fileURLToPath(new URL(`./native-host${extname(import.meta.url)}`, import.meta.url));

/** For a look at this machine; the server's have --collector.timeout each. */
const LOCAL_MS = 10_000;
/** Child processes at once, if --native.max-processes allows as many. */
export const SERVERS_AT_ONCE = 16;
const STATUS_WIDTH = 9;
const NAME_WIDTH = 20;

/** A check of the server of that name; without one, of this machine or of the server of the flags. */
type Line = Check & { readonly server?: string };

/** Rejects with a UsageError if the command line cannot be used; else ends the process: 0 if nothing failed. */
export async function doctor(given: Given, on: Surroundings): Promise<void> {
  const clock = systemClock;
  const readClock = watchClock(clock, on.platform);
  const configured = loadConfig(given, on);
  const { options } = configured;
  const json = given.get('json') === true;
  const lines: Line[] = [];
  const add = (...checks: readonly Line[]): void => {
    lines.push(...checks);
    if (!json) for (const check of checks) print(textOf(check));
  };
  // Before the servers: on Windows it waits for processes, and the answers of the servers would wait as well.
  const storage = options === null ? [] : await inspectFolders(options);
  // Under way from here on, so that the clock is watched as long as all takes.
  const servers = options === null ? null : inspectServers(options);

  add(await look('node', () => nodeFinding(on.platform)));
  add({ name: 'configuration', ...configured.finding, seconds: 0 });
  if (options === null || servers === null) {
    add(await look('clock', readClock));
  } else {
    let web: WebFinding = NO_WEB_CONFIG;
    const webCheck = await look('web configuration', async () => {
      const { configFile } = options.web;
      if (configFile !== null) web = await inspectWebConfig(configFile, clock.wallSeconds());
      return exposedAdmin(options, web) ?? web.finding;
    });
    add(webCheck);
    add(...storage.filter(({ server }) => server === undefined));
    add(await look('log', () => inspectLog(options.log.file)));
    add(await look('telemetry', () => telemetryFinding(options)));
    for (const address of options.web.listenAddresses) {
      const probe = (signal: AbortSignal): Promise<Finding> =>
        probeAddress(address, formatListenAddress(address), {
          platform: on.platform,
          guarded: web.guarded,
          signal,
        });
      add(await look('listen address', probe));
    }
    const inspected = await servers;
    add(await look('clock', readClock));
    for (const [name, checks] of inspected) {
      if (name !== null && !json) print(`\nserver ${name}:`);
      if (name !== null) add(...storage.filter(({ server }) => server === name));
      add(...checks.map((check): Line => (name === null ? check : { server: name, ...check })));
    }
  }

  const ok = lines.every(({ status }) => status !== 'fail');
  if (json) print(JSON.stringify({ version: packageVersion(), ok, checks: lines.map(documentOf) }, null, 2));
  else print(`\n${totals(lines)}`);
  await printed();
  // A call that still hangs somewhere must not hold up the end.
  process.exit(ok ? 0 : 1);
}

interface Configured {
  /** Null: neither with the file nor without it. */
  readonly options: Options | null;
  readonly finding: Finding;
}

/** A file that cannot be used is what was looked for; the rest is then judged by the flags alone. */
export function loadConfig(given: Given, on: Surroundings): Configured {
  try {
    const options = loadOptions(given, on);
    const { configFile } = options;
    if (configFile === null)
      return { options, finding: { status: 'skipped', summary: 'no file: flags and defaults' } };
    return { options, finding: { status: 'ok', summary: `${configFile} is valid` } };
  } catch (error) {
    if (!(error instanceof ConfigFileError)) throw error;
    const options = withoutFile(given, on);
    const rest = options === null ? 'nothing else was looked at' : 'the rest goes by the flags alone';
    const fix = error.hint === '' ? 'correct it, and see: rras-exporter check-config FILE' : error.hint;
    return { options, finding: { status: 'fail', summary: `${error.message}; ${rest}`, fix } };
  }
}

function withoutFile(given: Given, on: Surroundings): Options | null {
  // What may act is in the file.
  const flags = new Map(
    [...given].filter(([flag]) => !['config.file', 'web.enable-admin-api'].includes(flag)),
  );
  try {
    return loadOptions(flags, on);
  } catch (error) {
    if (error instanceof UsageError) return null;
    throw error;
  }
}

const NO_WEB_CONFIG: WebFinding = {
  finding: { status: 'skipped', summary: 'no file: plain HTTP without authentication' },
  tls: false,
  guarded: false,
};

/** Null if it may be served as it is, or the web configuration is what must be mended first. */
function exposedAdmin(options: Options, web: WebFinding): Finding | null {
  if (web.finding.status === 'fail') return null;
  try {
    refuseExposedAdmin(options, web.tls);
    return null;
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    return { status: 'fail', summary: error.message, fix: error.hint };
  }
}

/** As the start judges the variables of OpenTelemetry. */
function telemetryFinding(options: Options): Finding {
  if (!options.otlp.enabled) return { status: 'skipped', summary: 'switched off by otlp.enabled' };
  try {
    const plan = otlpPlan(process.env, options.otlp);
    refuseTwins(options, plan, hostname());
    const signals = Object.entries(plan).map(([signal, protocol]) => `${signal} over ${protocol}`);
    if (signals.length === 0) return { status: 'skipped', summary: 'nothing goes out over OTLP' };
    return { status: 'ok', summary: signals.join(', ') };
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    const fix = error.hint === '' ? 'correct that variable, or take it away' : error.hint;
    return { status: 'fail', summary: error.message, fix };
  }
}

function nodeFinding(platform: NodeJS.Platform): Finding {
  const { version, arch } = process;
  const summary = `Node.js ${version} on ${platform} ${arch} (${release()})`;
  // The structures of mprapi.dll are known in their 64-bit form.
  if (arch === 'ia32' || arch === 'arm')
    return { status: 'fail', summary, fix: 'install the 64-bit (x64) Node.js from https://nodejs.org' };
  return { status: 'ok', summary };
}

/** Runs one look within its time; what it throws is a finding as well. */
async function look(name: string, run: (signal: AbortSignal) => Finding | Promise<Finding>): Promise<Check> {
  const clock = systemClock;
  const startedMs = clock.monotonicMs();
  const late = new AbortController();
  const done = new AbortController();
  const deadline = clock.sleep(LOCAL_MS, done.signal).then(
    (): Finding => {
      late.abort(new Error('too late'));
      const summary = `no answer within ${LOCAL_MS / 1000} s`;
      return {
        status: 'fail',
        summary,
        fix: 'see whether a drive or the name service hangs; run doctor again',
      };
    },
    (): Finding => ({ status: 'skipped', summary: '' }),
  );
  const finding = await Promise.race([attempt(() => run(late.signal)), deadline]);
  done.abort(new Error('done'));
  return { name, ...finding, seconds: secondsSince(startedMs) };
}

async function attempt(run: () => Finding | Promise<Finding>): Promise<Finding> {
  try {
    return await run();
  } catch (error) {
    return defect(error);
  }
}

const defect = (error: unknown): Finding => ({
  status: 'fail',
  summary: describeError(error),
  fix: 'this is a defect of the exporter; please report it with this line',
});

const secondsSince = (startedMs: number): number => Math.round(systemClock.monotonicMs() - startedMs) / 1000;

/** Without the admin API the servers keep nothing. */
async function inspectFolders({ storage: { path }, servers, web }: Options): Promise<Line[]> {
  const lines: Line[] = [await look('storage', () => inspectStorage(path))];
  for (const { name } of web.enableAdminApi ? servers : []) {
    const folder = folderOfServer(path, name);
    // One that is not there will be made like the folder that it is in.
    if (existsSync(folder))
      lines.push({ server: name, ...(await look('storage', () => inspectStorage(folder))) });
  }
  return lines;
}

type ServerChecks = readonly [name: string | null, checks: readonly Check[]];

/** The server of the flags first, then those of the file. */
async function inspectServers(options: Options): Promise<readonly ServerChecks[]> {
  const machine = await machineOf(process.platform);
  const origins = [
    { name: null, rras: options.rras, replay: '--rras.replay' },
    ...options.servers.map((server, index) => ({ ...server, replay: `servers[${index}].replay` })),
  ];
  return someAtOnce(
    origins,
    Math.min(SERVERS_AT_ONCE, options.native.maxProcesses),
    async (origin): Promise<ServerChecks> => [
      origin.name,
      await inspectOrigin(origin, options.collector, machine),
    ],
  );
}

/** The answers in the order of what was asked for. */
export async function someAtOnce<Asked, Answer>(
  all: readonly Asked[],
  atOnce: number,
  ask: (asked: Asked) => Promise<Answer>,
): Promise<readonly Answer[]> {
  const answers: Answer[] = [];
  const entries = all.entries();
  const work = async (): Promise<void> => {
    for (const [index, asked] of entries) answers[index] = await ask(asked);
  };
  await Promise.all(Array.from({ length: atOnce }, work));
  return answers;
}

interface NamedOrigin {
  readonly name: string | null;
  readonly rras: Origin;
  /** What names the file of its recording. */
  readonly replay: string;
}

/** All checks of one server; never rejects. */
async function inspectOrigin(
  { name, rras, replay }: NamedOrigin,
  { timeoutMs, sources }: Options['collector'],
  machine: Machine | null,
): Promise<Check[]> {
  let config: HostConfig;
  try {
    config = await hostConfig(rras, process.platform, { wallSeconds: systemClock.wallSeconds(), name });
  } catch (error) {
    const backend = rras.replay !== null ? 'replay' : 'dll';
    const hint = error instanceof UsageError ? error.hint : '';
    const fix = hint === '' ? `name another file by ${replay}, or record it anew` : hint;
    return uninspected(openedName({ backend }), { status: 'fail', summary: describeError(error), fix });
  }
  try {
    return await inspectServer({
      config,
      spawn: () => forkHost(HOST_ENTRY, config),
      clock: systemClock,
      timeoutMs,
      sources,
      machine: config.backend === 'dll' ? machine : null,
    });
  } catch (error) {
    return uninspected(openedName(config), defect(error));
  }
}

/** Null where there is no mprapi.dll. */
async function machineOf(platform: NodeJS.Platform): Promise<Machine | null> {
  if (platform !== 'win32') return null;
  const asked = async <T>(ask: (api: typeof import('./native/mprapi.ts')) => T): Promise<T | null> => {
    try {
      return ask(await import('./native/mprapi.ts'));
    } catch {
      // What koffi cannot do here, the child process will say.
      return null;
    }
  };
  const dllPath = await asked(({ systemMprapiPath }) => systemMprapiPath());
  return {
    dllPath,
    elevated: await asked(({ isAdministrator }) => isAdministrator()),
    serviceState: () => (dllPath === null ? Promise.resolve(null) : serviceState(win32.dirname(dllPath))),
  };
}

function textOf({ status, name, summary, fix }: Line): string {
  const line = `${status.padEnd(STATUS_WIDTH)}${name.padEnd(NAME_WIDTH)}${oneLine(summary)}`;
  return fix === undefined ? line : `${line}\n${' '.repeat(STATUS_WIDTH)}fix: ${oneLine(fix)}`;
}

function documentOf({ server, name, status, summary, fix, seconds, facts }: Line): object {
  return {
    ...(server !== undefined && { server }),
    name,
    status,
    summary: oneLine(summary),
    ...(fix !== undefined && { fix: oneLine(fix) }),
    seconds,
    ...facts,
  };
}

const oneLine = (text: string): string => text.replace(/\s*[\r\n]+\s*/g, ' ');

function totals(lines: readonly Line[]): string {
  const count = (status: Check['status']): number => lines.filter((line) => line.status === status).length;
  const [failed, warnings, ok] = [count('fail'), count('warn'), count('ok')];
  return `${failed} failed, ${warnings} ${warnings === 1 ? 'warning' : 'warnings'}, ${ok} ok, ${count('skipped')} skipped`;
}

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

/** Done when all that was printed is written out: the exit that follows would cut off what a pipe has not taken yet. */
const printed = (): Promise<void> => new Promise((done) => process.stdout.write('', () => done()));
