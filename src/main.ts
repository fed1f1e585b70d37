#!/usr/bin/env node
/**
 * The program's entry: reads the command line and hands over to serve.ts. Modules are imported when they are needed, so
 * that --help and --version answer at once. A failure is one line on standard error: exit code 2 for wrong usage, 1 else.
 */
import { writeSync } from 'node:fs';
import { UsageError } from './model/errors.ts';

async function main(argv: readonly string[]): Promise<void> {
  const surroundings = { platform: process.platform, env: process.env };
  const { readFlags } = await import('./config/flags.ts');
  const given = readFlags(argv);
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
  const { toOptions } = await import('./config/schema.ts');
  const options = toOptions(given, surroundings);
  const { serve } = await import('./serve.ts');
  await serve(options);
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
