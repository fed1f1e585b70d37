/** The command `check-config`: whether the exporter would start with a configuration file. It changes and opens nothing. */
import { hostname } from 'node:os';
import { formatListenAddress } from './config/listen-address.ts';
import type { Options } from './config/options.ts';
import { otlpPlan } from './config/otlp.ts';
import { refuseExposedAdmin, refuseTwins } from './config/schema.ts';
import { ConfigFileError, UsageError } from './model/errors.ts';
import { readWebConfig } from './server/web-config.ts';

/** `load` reads the file together with the flags. Rejects with the error that serving would end with. */
export async function checkConfig(file: string, load: (file: string) => Options): Promise<void> {
  const options = await asFinding(ConfigFileError, () => load(file));
  // Of its environment, which no file can mend.
  const plan = otlpPlan(process.env, options.otlp);
  const tls = await asFinding(UsageError, async () => {
    refuseTwins(options, plan, hostname());
    const { configFile } = options.web;
    const web = configFile === null ? null : await readWebConfig(configFile);
    const secure = web !== null && web.tls !== null;
    refuseExposedAdmin(options, secure);
    return secure;
  });
  process.stdout.write(`${file} is valid\n${summary(options, tls)}\n`);
}

function summary({ admin, servers, web }: Options, tls: boolean): string {
  const { grafana, rules } = admin.hooks;
  return [
    `listens on ${web.listenAddresses.map(formatListenAddress).join(' and ')} ${tls ? 'with' : 'without'} TLS`,
    ...(servers.length > 0 ? [`reads ${count(servers.length, 'more server')}`] : []),
    `admin API ${web.enableAdminApi ? 'on' : 'off'}`,
    count(admin.tokens.length, 'token'),
    count(admin.clientCertificates.length, 'client certificate'),
    count(rules.length, 'hook rule'),
    `Grafana hook ${grafana ? 'on' : 'off'}`,
  ].join(', ');
}

const count = (number: number, what: string): string => `${number} ${what}${number === 1 ? '' : 's'}`;

/** A fault of a file is what was looked for, not wrong usage: exit code 1. */
async function asFinding<T>(kind: typeof UsageError, act: () => T | Promise<T>): Promise<T> {
  let fault: UsageError;
  try {
    return await act();
  } catch (error) {
    if (!(error instanceof kind)) throw error;
    fault = error;
  }
  throw new Error(fault.hint === '' ? fault.message : `${fault.message} (${fault.hint})`);
}
