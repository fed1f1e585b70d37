#!/usr/bin/env node
/**
 * The program's entry: reads the command line and hands over to the command, serve.ts if none is named. Modules are
 * imported when they are needed, so that --help and --version answer at once. A failure is one line on standard error:
 * exit code 2 for wrong usage, 1 else.
 */
import { writeSync } from 'node:fs';
import type { CommandName } from './config/commands.ts';
import type { Given } from './config/flags.ts';
import { refuseOldNode } from './config/node-version.ts';
import type { Options } from './config/options.ts';
import { UsageError } from './model/errors.ts';

/** The options, with the configuration file that the flags name or with this one. */
type Load = (configFile?: string) => Options;

const surroundings = { platform: process.platform, env: process.env };

type Command = (words: readonly string[], load: Load, given: Given) => Promise<void>;

const COMMANDS: Record<CommandName, Command> = {
  audit: async (words) => {
    const { audit } = await import('./audit.ts');
    await audit(words);
  },
  'check-config': async ([file = ''], load) => {
    const { checkConfig } = await import('./check-config.ts');
    await checkConfig(file, load);
  },
  doctor: async (_words, _load, given) => {
    const { doctor } = await import('./doctor.ts');
    await doctor(given, surroundings);
  },
  pseudonym: async (names, load) => {
    const { pseudonym } = await import('./pseudonym.ts');
    pseudonym(names, load());
  },
  record: async ([file = ''], load) => {
    const { record } = await import('./record.ts');
    await record(file, load());
  },
  token: async ([name = '']) => {
    const { token } = await import('./token.ts');
    token(name);
  },
};

async function main(argv: readonly string[]): Promise<void> {
  refuseOldNode(process.version);
  const { readCommandLine } = await import('./config/commands.ts');
  const { command, words, given } = readCommandLine(argv);
  const isServing = command === null && given.get('help') !== true && given.get('version') !== true;
  // Serving prints nothing there: its log tells.
  if (!isServing) process.stdout.on('error', endUnprinted);
  if (given.get('help') === true) {
    const { helpText } = await import('./config/help.ts');
    process.stdout.write(helpText(surroundings));
    return;
  }
  if (given.get('version') === true) {
    const { packageVersion, versionText } = await import('./config/version.ts');
    const { platform, arch, version: nodeVersion } = process;
    process.stdout.write(versionText({ version: packageVersion(), nodeVersion, platform, arch }));
    return;
  }
  const { loadOptions } = await import('./config/load.ts');
  const load: Load = (file) => {
    if (file === undefined) return loadOptions(given, surroundings);
    return loadOptions(new Map([...given, ['config.file', [file]]]), surroundings);
  };
  if (command !== null) {
    await COMMANDS[command](words, load, given);
    return;
  }
  // As a service manager may ask for a reload as soon as the program is there; what it would read is read anyway.
  if (process.platform !== 'win32') process.on('SIGHUP', () => undefined);
  const { serve } = await import('./serve.ts');
  await serve(load(), load);
}

/** Quietly where nobody reads on, as in `--help | head -1`. */
function endUnprinted(error: NodeJS.ErrnoException): void {
  try {
    if (error.code !== 'EPIPE')
      writeSync(
        process.stderr.fd,
        `rras-exporter: error: standard output cannot be written: ${error.message}\n`,
      );
  } finally {
    process.exit(1);
  }
}

async function fail(error: unknown): Promise<never> {
  const { describeError } = await import('./runtime/describe-error.ts');
  const usage = error instanceof UsageError;
  const hint = usage && error.hint !== '' ? ` (${error.hint})` : '';
  try {
    // Synchronous: process.exit would cut off what a pipe on Windows has not taken yet.
    writeSync(process.stderr.fd, `rras-exporter: error: ${describeError(error)}${hint}\n`);
  } finally {
    process.exit(usage ? 2 : 1);
  }
}

main(process.argv.slice(2)).catch(fail);
