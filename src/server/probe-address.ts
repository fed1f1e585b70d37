/** Whether an address to listen on is free, and if not, whether the exporter itself is what listens there. */
import type { IncomingMessage } from 'node:http';
import { request as httpRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { createServer } from 'node:net';
import type { Finding } from '../model/check.ts';
import type { Address } from './listen.ts';

const HEALTHY = 'RRAS Exporter is healthy.';
const MAX_ANSWER_BYTES = 1024;

export interface ProbeOptions {
  readonly platform: NodeJS.Platform;
  /** The exporter that may be running there lets nobody in without a password or a certificate. */
  readonly guarded: boolean;
  readonly signal: AbortSignal;
}

/** `shown` as the command line has it. */
export async function probeAddress(
  address: Address,
  shown: string,
  { platform, guarded, signal }: ProbeOptions,
): Promise<Finding> {
  const { port } = address;
  if (port === 0) return { status: 'ok', summary: `${shown}: a free port is chosen` };
  const code = await bindError(address);
  const windows = platform === 'win32';
  const other = 'choose another by --web.listen-address';
  switch (code) {
    case null:
      return { status: 'ok', summary: `${shown} is free` };
    case 'EADDRINUSE': {
      const owner = await whoListens(address, guarded, signal);
      if (owner === 'exporter')
        return { status: 'ok', summary: `${shown} is served by an rras-exporter that is running` };
      const look = windows
        ? `netstat -ano | findstr :${port}, then tasklist /fi "PID eq NUMBER"`
        : `ss -ltnp | grep :${port}`;
      if (owner === 'locked')
        return {
          status: 'warn',
          summary: `${shown} is in use, perhaps by this exporter: it lets nobody in unknown`,
          fix: `see who it is: ${look}`,
        };
      return {
        status: 'fail',
        summary: `${shown} is in use by another program`,
        fix: `find it by: ${look}; stop it, or ${other}`,
      };
    }
    case 'EACCES':
      return {
        status: 'fail',
        summary: `${shown}: permission denied`,
        fix: windows
          ? `see the ports that Windows reserved: netsh interface ipv4 show excludedportrange protocol=tcp; ${other}`
          : `choose a port above 1023 by --web.listen-address, or run with more rights`,
      };
    case 'EADDRNOTAVAIL':
      return {
        status: 'fail',
        summary: `${shown}: this machine has no such address`,
        fix: `see those it has: ${windows ? 'ipconfig' : 'ip address'}; ${other}`,
      };
    case 'ENOTFOUND':
      return { status: 'fail', summary: `${shown}: the host name has no address`, fix: other };
    default:
      return { status: 'fail', summary: `${shown}: cannot be listened on (${code})`, fix: other };
  }
}

/** Null if it can be bound; it is free again then. */
function bindError({ host, port }: Address): Promise<string | null> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
    server.listen(host === null ? { port } : { host, port }, () => server.close(() => resolve(null)));
  });
}

async function whoListens(
  { host, port }: Address,
  guarded: boolean,
  signal: AbortSignal,
): Promise<'exporter' | 'locked' | 'other'> {
  const hostname = host === null || host === '0.0.0.0' ? '127.0.0.1' : host === '::' ? '::1' : host;
  const target = { hostname, port, path: '/-/healthy', agent: false, signal };
  const answers = [
    await answerOf(httpRequest, target),
    // Who it is does not matter: nothing is sent but the question.
    await answerOf(httpsRequest, { ...target, rejectUnauthorized: false }),
  ];
  if (answers.some((answer) => answer.status === 200 && answer.text.startsWith(HEALTHY))) return 'exporter';
  // A listener that wants a certificate breaks the connection off; one that wants a password says so.
  const refuses = answers.some((answer) => answer.status === 401 || answer.status === undefined);
  return guarded && refuses ? 'locked' : 'other';
}

interface Answer {
  /** Undefined: the connection broke. */
  readonly status: number | undefined;
  readonly text: string;
}

function answerOf<O extends object>(
  request: (options: O, onAnswer: (response: IncomingMessage) => void) => ReturnType<typeof httpRequest>,
  options: O,
): Promise<Answer> {
  return new Promise((resolve) => {
    const broke = (): void => resolve({ status: undefined, text: '' });
    request(options, (response) => {
      let text = '';
      const done = (): void => resolve({ status: response.statusCode, text });
      response.setEncoding('latin1');
      response.on('data', (part: string) => {
        text += part;
        if (text.length > MAX_ANSWER_BYTES) response.destroy();
      });
      response.on('close', done);
      response.on('error', done);
    })
      .on('error', broke)
      .end();
  });
}
