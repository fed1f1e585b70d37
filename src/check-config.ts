/** The command `check-config`: whether the exporter would start with a configuration file. It changes and opens nothing. */
import { formatListenAddress } from './config/listen-address.ts';
import type { Options } from './config/options.ts';
import { refuseExposedAdmin } from './config/schema.ts';
import { ConfigFileError, UsageError } from './model/errors.ts';

/** `load` reads the file together with the flags. Rejects with the error that serving would end with. */
export function checkConfig(file: string, load: (file: string) => Options): void {
  const options = checked(() => load(file), ConfigFileError);
  // Whether a web configuration file turns TLS on is not known here.
  if (options.web.configFile === null) checked(() => refuseExposedAdmin(options, false), UsageError);
  process.stdout.write(`${file} is valid\n${summary(options)}\n`);
}

function summary({ admin, web }: Options): string {
  const { grafana, rules } = admin.hooks;
  return [
    `listens on ${web.listenAddresses.map(formatListenAddress).join(' and ')}`,
    `admin API ${web.enableAdminApi ? 'on' : 'off'}`,
    count(admin.tokens.length, 'token'),
    count(admin.clientCertificates.length, 'client certificate'),
    count(rules.length, 'hook rule'),
    `Grafana hook ${grafana ? 'on' : 'off'}`,
  ].join(', ');
}

const count = (number: number, what: string): string => `${number} ${what}${number === 1 ? '' : 's'}`;

/** A fault of the file is what was looked for, not wrong usage: exit code 1. */
function checked<T>(act: () => T, kind: typeof UsageError): T {
  let fault: UsageError;
  try {
    return act();
  } catch (error) {
    if (!(error instanceof kind)) throw error;
    fault = error;
  }
  throw new Error(fault.hint === '' ? fault.message : `${fault.message} (${fault.hint})`);
}
