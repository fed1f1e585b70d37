/**
 * What `doctor` finds out of one server: whether its API can be loaded, its service runs, the account may read it, and
 * what each source gives. All of it is read in child processes: whatever hangs or crashes there is a finding.
 */
import type { Check, Finding } from '../model/check.ts';
import type { Clock } from '../model/clock.ts';
import type { Failure, Frame, ReadOutcome, ReadReport } from '../model/frames.ts';
import type { Logger } from '../model/logger.ts';
import { NATIVE_FUNCTIONS } from '../model/rras-api.ts';
import type { Source } from '../model/words.ts';
import { SOURCES } from '../model/words.ts';
import type { HostProcess, RestartReason } from './client.ts';
import { HostClient } from './client.ts';
import { adviceFor, describeCode, NO_ERROR } from './codes.ts';
import type { HostConfig } from './host-messages.ts';
import { HostPlaces } from './host-places.ts';
import type { ServiceState } from './windows-service.ts';
import { SERVICE_NAME } from './windows-service.ts';

/** What can be asked of this machine beside RRAS; null where it cannot tell. */
export interface Machine {
  /** Where mprapi.dll is loaded from. */
  readonly dllPath: string | null;
  readonly elevated: boolean | null;
  readonly serviceState: () => Promise<ServiceState | null>;
}

export interface InspectOptions {
  readonly config: HostConfig;
  /** Starts a child process on `config`. */
  readonly spawn: () => HostProcess;
  readonly clock: Clock;
  /** The deadline of each source, in milliseconds. */
  readonly timeoutMs: number;
  /** Those switched on. */
  readonly sources: readonly Source[];
  /** Null where no DLL is used. */
  readonly machine: Machine | null;
}

type Outcomes = ReadonlyMap<Source, ReadOutcome>;

interface Readings {
  readonly outcomes: Outcomes;
  /** Exports that the DLL lacks; null if it was never loaded. */
  readonly missing: readonly string[] | null;
  /** Why the child was killed, for those sources in whose midst it was. */
  readonly killed: ReadonlyMap<Source, RestartReason>;
}

const SILENT: Logger = { debug: ignore, info: ignore, warn: ignore, error: ignore };
function ignore(): void {
  // What the client has to say is in the outcomes.
}

const NAMES = ['service', 'rights', ...SOURCES.map((source) => `source ${source}`), 'API level', 'anomalies'];
const SECOND_DIGITS = 1000;
/** A source that takes more than this share of its time will sooner or later take all of it. */
const SLOW_SHARE = 0.5;

/** The lines of a server that cannot even be tried. */
export function uninspected(name: string, reason: Finding): Check[] {
  const summary = 'not looked at: there is no server to read';
  return [
    { name, ...reason, seconds: 0 },
    ...NAMES.map((each): Check => ({ name: each, status: 'skipped', summary, seconds: 0 })),
  ];
}

/** Never rejects for what the server does. */
export async function inspectServer(options: InspectOptions): Promise<Check[]> {
  const { clock, config, machine, sources } = options;
  const startedMs = clock.monotonicMs();
  const readings = await readAll(options);
  const readSeconds = (clock.monotonicMs() - startedMs) / 1000;
  const { outcomes } = readings;
  const server = outcomes.get('server');
  const running = server?.status === 'ok' && server.frame.source === 'server' && server.frame.running;
  const remote = config.backend === 'dll' ? config.server : null;
  const state = running || remote !== null || machine === null ? null : await machine.serviceState();
  const check = (name: string, seconds: number, finding: Finding): Check => ({
    name,
    ...finding,
    seconds: round(seconds),
  });
  const secondsOf = (source: Source): number => outcomes.get(source)?.report.seconds ?? 0;
  return [
    check(openedName(config), readSeconds - sum([...SOURCES].map(secondsOf)), opened(options, readings)),
    check('service', secondsOf('server'), service(server, state, remote)),
    check('rights', 0, rights(options, outcomes)),
    ...SOURCES.map((source) =>
      check(
        `source ${source}`,
        secondsOf(source),
        sources.includes(source)
          ? sourceFinding(source, options, readings)
          : { status: 'skipped', summary: `switched off by --no-collector.${source}` },
      ),
    ),
    check('API level', 0, apiLevel(outcomes.get('connections'), readings.missing ?? [])),
    check('anomalies', 0, anomalies(outcomes)),
  ];
}

/** Name of the line that says where the data comes from. */
export function openedName({ backend }: Pick<HostConfig, 'backend'>): string {
  return { dll: 'mprapi.dll', simulator: 'simulator', replay: 'recording' }[backend];
}

/**
 * The service's state is always asked for. After a child that crashed, the next source has one of its own; a server that
 * did not answer in time is asked nothing more, or many such would take an hour.
 */
async function readAll({ spawn, clock, timeoutMs, sources }: InspectOptions): Promise<Readings> {
  const outcomes = new Map<Source, ReadOutcome>();
  const killed = new Map<Source, RestartReason>();
  const loaded: { missing: readonly string[] | null } = { missing: null };
  let source: Source = 'server';
  const start = (): HostClient =>
    new HostClient({
      spawn,
      clock,
      logger: SILENT,
      places: new HostPlaces(1),
      timeoutMs,
      onRestart: (reason) => void killed.set(source, reason),
      onReady: (absent) => void (loaded.missing = absent),
    });
  let client = start();
  try {
    for (source of SOURCES) {
      if (source !== 'server' && !sources.includes(source)) continue;
      const outcome: ReadOutcome = await client.read(source);
      outcomes.set(source, outcome);
      if (outcome.status === 'ok' && outcome.frame.source === 'server' && !outcome.frame.running) break;
      const reason = killed.get(source);
      if (reason === undefined) continue;
      if (reason === 'timeout') break;
      // What cannot be loaded once cannot be loaded again.
      if (loaded.missing === null) break;
      client.stop();
      client = start();
    }
  } finally {
    client.stop();
  }
  return { outcomes, missing: loaded.missing, killed };
}

function opened(
  { config, machine, timeoutMs }: InspectOptions,
  { missing, outcomes, killed }: Readings,
): Finding {
  if (missing === null) {
    const first = outcomes.get('server');
    const what = killed.get('server') === 'timeout' ? `not loaded within ${timeoutMs} ms` : causeOf(first);
    const path = machine?.dllPath ?? 'C:\\Windows\\System32\\mprapi.dll';
    return config.backend === 'dll'
      ? {
          status: 'fail',
          summary: `${path}: ${what}`,
          fix: `have Windows repair it, as administrator: sfc /scanfile=${path}; and see that Node.js is the 64-bit one`,
        }
      : { status: 'fail', summary: what, fix: adviceFor('internal') };
  }
  if (config.backend === 'simulator')
    return { status: 'ok', summary: `${config.scenario}: a simulated server, none of its data is real` };
  if (config.backend === 'replay') {
    const seconds = (config.endMs / 1000).toFixed(0);
    if (!config.truncated) return { status: 'ok', summary: `${config.file}, ${seconds} s long` };
    const summary = `${config.file} broke off after ${seconds} s`;
    return { status: 'warn', summary, fix: 'record it anew: rras-exporter record FILE' };
  }
  const known = NATIVE_FUNCTIONS.length;
  const summary = `${machine?.dllPath ?? 'loaded'}, ${known - missing.length} of ${known} exports`;
  const facts = { path: machine?.dllPath ?? null, missing };
  if (missing.length === 0) return { status: 'ok', summary, facts };
  return {
    status: 'warn',
    summary: `${summary}, without ${missing.join(', ')}`,
    fix: 'what needs them is left out; install the updates of Windows, or Windows Server 2012 R2 or later',
    facts,
  };
}

const START: Readonly<Record<Exclude<ServiceState, 'running'>, readonly [what: string, fix: string]>> = {
  not_installed: [
    `${SERVICE_NAME} is not installed`,
    'install it, as administrator: Install-WindowsFeature DirectAccess-VPN -IncludeManagementTools; then configure it: rrasmgmt.msc',
  ],
  disabled: [
    `${SERVICE_NAME} is disabled: Routing and Remote Access is not configured`,
    `configure it: rrasmgmt.msc, "Configure and Enable Routing and Remote Access"; or enable it, as administrator: Set-Service ${SERVICE_NAME} -StartupType Automatic; Start-Service ${SERVICE_NAME}`,
  ],
  stopped: [`${SERVICE_NAME} is stopped`, `start it, as administrator: Start-Service ${SERVICE_NAME}`],
  starting: [`${SERVICE_NAME} is starting`, 'run doctor again in a minute'],
  stopping: [
    `${SERVICE_NAME} is stopping`,
    `start it when it has stopped, as administrator: Start-Service ${SERVICE_NAME}`,
  ],
  paused: [`${SERVICE_NAME} is paused`, `resume it, as administrator: Resume-Service ${SERVICE_NAME}`],
};

function service(
  outcome: ReadOutcome | undefined,
  state: ServiceState | null,
  remote: string | null,
): Finding {
  if (outcome?.status === 'ok' && outcome.frame.source === 'server') {
    const { running, lanOnly, uptimeSeconds } = outcome.frame;
    const facts = { running, lanOnly };
    if (running) {
      const role = lanOnly ? ', routes only: it has no remote access role' : '';
      const summary = `${SERVICE_NAME} is running, up ${duration(uptimeSeconds)}${role}`;
      return { status: 'ok', summary, facts: { ...facts, uptimeSeconds } };
    }
    const code = outcome.report.calls.findLast((call) => call.code !== NO_ERROR)?.code;
    const told = code === undefined ? '' : `: ${describeCode(code)}`;
    if (state === 'running') {
      return {
        status: 'fail',
        summary: `${SERVICE_NAME} is running, but RRAS is not configured or not up yet${told}`,
        fix: `see rrasmgmt.msc; once it is configured, as administrator: Restart-Service ${SERVICE_NAME} -Force`,
        facts,
      };
    }
    const [what, fix] = START[state ?? 'stopped'];
    const where = remote === null ? '' : `, on ${remote}`;
    return { status: 'fail', summary: `${what}${told}`, fix: `${fix}${where}`, facts };
  }
  if (state === null) return { status: 'skipped', summary: 'not known: the server could not be read' };
  if (state === 'running')
    return { status: 'ok', summary: `${SERVICE_NAME} is running, says the service manager of Windows` };
  const [summary, fix] = START[state];
  return { status: 'fail', summary, fix };
}

function rights({ config, machine }: InspectOptions, outcomes: Outcomes): Finding {
  if (config.backend !== 'dll') return { status: 'skipped', summary: 'none are needed' };
  const all = [...outcomes.values()];
  const denied = all
    .flatMap((outcome) => (outcome.status === 'failed' ? [outcome.failure] : []))
    .find((failure) => failure.kind === 'permission');
  const answered = all.some(({ status, report }) => status === 'ok' && report.calls.some(isSuccess));
  const { server } = config;
  const elevated = server === null ? (machine?.elevated ?? null) : null;
  const facts = { elevated };
  if (denied) {
    const self = elevated === null ? '' : elevated ? ', although this is elevated' : ': this is not elevated';
    return {
      status: 'fail',
      summary: `${causeOf(denied)}${self}`,
      fix: fixOfDenied(server, elevated),
      facts,
    };
  }
  if (server !== null) {
    return answered
      ? { status: 'ok', summary: `the account may read ${server}` }
      : { status: 'skipped', summary: `not known: ${server} could not be read` };
  }
  if (elevated === true) return { status: 'ok', summary: 'elevated, as one of the Administrators', facts };
  if (answered) return { status: 'ok', summary: 'the account may read the server', facts };
  if (elevated === null) return { status: 'skipped', summary: 'not known: the server could not be read' };
  return {
    status: 'warn',
    summary: 'not elevated',
    fix: ELEVATE,
    facts,
  };
}

const ELEVATE = 'run it from a PowerShell that was started by "Run as administrator"';
const AS_SERVICE =
  'as a service, under LocalSystem or an account of the local Administrators group: sc.exe config rras-exporter obj= LocalSystem';

function fixOfDenied(server: string | null, elevated: boolean | null): string {
  if (server === null) return elevated === true ? `run it ${AS_SERVICE}` : `${ELEVATE}; ${AS_SERVICE}`;
  return (
    `make the account of the exporter a member of the Administrators group of ${server}; there: ` +
    'net localgroup Administrators DOMAIN\\ACCOUNT /add (for LocalSystem the account is DOMAIN\\THIS-MACHINE$)'
  );
}

function sourceFinding(source: Source, options: InspectOptions, readings: Readings): Finding {
  if (readings.missing === null)
    return { status: 'skipped', summary: 'not read: the API could not be loaded' };
  const outcome = readings.outcomes.get(source);
  if (!outcome) {
    const hung = [...readings.killed.values()].includes('timeout');
    const why = hung
      ? 'not looked at: the source before did not answer in time'
      : `not read: ${SERVICE_NAME} is not running`;
    return { status: 'skipped', summary: why };
  }
  const { report } = outcome;
  const facts = { pages: report.pages, calls: callsOf(report) };
  switch (outcome.status) {
    case 'ok': {
      const { count, what } = contentOf(outcome.frame);
      const pages = report.pages === 0 ? '' : `, ${plural(report.pages, 'page')}`;
      const summary = `${what}${pages}, ${report.seconds.toFixed(3)} s`;
      const found = { ...facts, ...(count !== null && { count }) };
      if (report.seconds * 1000 <= options.timeoutMs * SLOW_SHARE)
        return { status: 'ok', summary, facts: found };
      const fix = `slow: raise --collector.timeout (now ${options.timeoutMs} ms) and Prometheus's scrape_timeout`;
      return { status: 'warn', summary, fix, facts: found };
    }
    case 'stopped':
      return { status: 'skipped', summary: `${SERVICE_NAME} is not running`, facts };
    case 'inapplicable':
      return { status: 'skipped', summary: 'a router without the remote access role has none', facts };
    case 'failed': {
      const { failure } = outcome;
      const fix = fixOf(failure, readings.killed.get(source), options);
      const { function: name, code } = failure;
      return {
        status: 'fail',
        summary: causeOf(failure),
        fix,
        facts: {
          ...facts,
          ...(name !== undefined && { function: name }),
          ...(code !== undefined && { code }),
        },
      };
    }
  }
}

function fixOf(failure: Failure, killed: RestartReason | undefined, options: InspectOptions): string {
  const { server } = options.config;
  const restart = `restart the service, as administrator: Restart-Service ${SERVICE_NAME} -Force`;
  const record = `write a recording for a report: rras-exporter record FILE`;
  if (killed === 'timeout') return `${restart}; if it is only slow, raise --collector.timeout`;
  if (killed !== undefined) return `install the updates of Windows; if it stays, report it`;
  switch (failure.kind) {
    case 'permission':
      return 'as for rights';
    case 'retryable':
      return server === null
        ? `run doctor again; if it stays, ${restart}`
        : `see that ${server} can be reached and lets RPC in: Test-NetConnection ${server} -Port 135`;
    case 'protocol':
      return record;
    default:
      return adviceFor(failure.kind);
  }
}

function apiLevel(outcome: ReadOutcome | undefined, missing: readonly string[]): Finding {
  if (outcome?.status === 'ok' && outcome.frame.source === 'connections') {
    if (outcome.frame.api === 'level4') {
      const summary = '4: start times and 64-bit counters of bytes (MprAdminConnectionEnum)';
      return { status: 'ok', summary, facts: { api: 'level4' } };
    }
    const refused = outcome.report.calls.find(
      ({ function: name, code }) => name === 'MprAdminConnectionEnum' && code !== NO_ERROR,
    );
    const why = missing.includes('MprAdminConnectionEnum')
      ? 'mprapi.dll has no MprAdminConnectionEnum'
      : refused
        ? `level 4 is refused: ${describeCode(refused.code)}`
        : 'level 4 is not as expected';
    return {
      status: 'warn',
      summary: `EnumEx: 32-bit counters of bytes and no start times (${why})`,
      fix: 'scrape at least every 30 s, so that no counter wraps twice unseen; Windows Server 2012 or later has level 4',
      facts: { api: 'ex' },
    };
  }
  if (outcome?.status === 'failed' && outcome.failure.kind === 'unsupported') {
    return {
      status: 'fail',
      summary: `too old: ${causeOf(outcome)}`,
      fix: 'RRAS of Windows Server 2008 R2 or later is needed; until then switch the source off: --no-collector.connections',
    };
  }
  return { status: 'skipped', summary: 'not known: connections were not read' };
}

function anomalies(outcomes: Outcomes): Finding {
  const found = [...outcomes].flatMap(([source, { report }]) =>
    Object.entries(report.anomalies).map(([anomaly, count]) => ({ source, anomaly, count })),
  );
  const pages = sum([...outcomes.values()].map(({ report }) => report.pages));
  if (found.length > 0) {
    return {
      status: 'warn',
      summary: found.map(({ source, anomaly, count }) => `${source}: ${anomaly} ${count}`).join(', '),
      fix: 'run doctor again; if it stays, write a recording for a report: rras-exporter record FILE',
      facts: { found },
    };
  }
  if (pages === 0) return { status: 'skipped', summary: 'nothing was enumerated' };
  return { status: 'ok', summary: `none in ${plural(pages, 'page')}`, facts: { found } };
}

function contentOf(frame: Frame): { count: number | null; what: string } {
  switch (frame.source) {
    case 'server':
      return { count: null, what: `${frame.portsInUse} of ${plural(frame.totalPorts, 'port')} in use` };
    case 'connections':
      return { count: frame.count, what: plural(frame.count, 'connection') };
    case 'ports':
      return { count: frame.count, what: plural(frame.count, 'port') };
    case 'interfaces':
      return { count: frame.interfaces.length, what: plural(frame.interfaces.length, 'interface') };
  }
}

/** Calls by function: how many, how long, and the codes that are none of success. */
function callsOf({ calls }: ReadReport): object[] {
  return [...Map.groupBy(calls, (call) => call.function)].map(([name, all]) => ({
    function: name,
    count: all.length,
    seconds: round(sum(all.map(({ seconds }) => seconds))),
    codes: [...new Set(all.map(({ code }) => code))],
  }));
}

const isSuccess = ({ code }: { readonly code: number }): boolean => code === NO_ERROR;

/** What failed, without the advice: the fix says more. */
function causeOf(of: ReadOutcome | Failure | undefined): string {
  const failure =
    of === undefined || !('status' in of) ? of : of.status === 'failed' ? of.failure : undefined;
  if (!failure) return 'it could not be read';
  const advice = `: ${adviceFor(failure.kind)}`;
  return failure.message.endsWith(advice) ? failure.message.slice(0, -advice.length) : failure.message;
}

const sum = (numbers: readonly number[]): number => numbers.reduce((total, each) => total + each, 0);

const round = (seconds: number): number => Math.round(Math.max(0, seconds) * SECOND_DIGITS) / SECOND_DIGITS;

const plural = (count: number, what: string): string => `${count} ${what}${count === 1 ? '' : 's'}`;

/** The two largest units. */
function duration(seconds: number): string {
  const units = [
    ['d', 86_400],
    ['h', 3600],
    ['min', 60],
    ['s', 1],
  ] as const;
  const first = units.findIndex(([, size]) => seconds >= size);
  const shown = units.slice(first === -1 ? units.length - 1 : first).slice(0, 2);
  let rest = seconds;
  return shown
    .map(([unit, size]) => {
      const count = Math.floor(rest / size);
      rest -= count * size;
      return `${count} ${unit}`;
    })
    .join(' ');
}
