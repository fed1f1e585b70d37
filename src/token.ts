/** The command `token`: makes a token of the admin API. It is printed once and kept nowhere; the file has its hash only. */
import { createHash, randomBytes } from 'node:crypto';
import { NAME, NAME_EXPECTED } from './config/admin-schema.ts';
import { RIGHTS } from './model/admin.ts';
import { UsageError } from './model/errors.ts';

/** Tells scanners for secrets and people what it is. */
const PREFIX = 'rrasx_';
const TOKEN_BYTES = 32;

/** Prints the token on the first line, and then the lines for the configuration file. */
export function token(name: string): void {
  if (!NAME.test(name)) throw new UsageError(`the token needs ${NAME_EXPECTED}`);
  const secret = `${PREFIX}${randomBytes(TOKEN_BYTES).toString('base64url')}`;
  const sha256 = createHash('sha256').update(secret).digest('hex');
  process.stdout.write(
    [
      secret,
      '# The line above is the token: it is shown this once. For the configuration file:',
      'admin:',
      '  tokens:',
      `    - name: '${name}'`,
      `      sha256: '${sha256}'`,
      `      # Of ${RIGHTS.join(', ')}:`,
      '      rights: [read, reconnect]',
      '      # Names of interfaces; * stands for any text:',
      "      interfaces: ['*']",
      '',
    ].join('\n'),
  );
}
