/** What the service manager of this machine says of the RemoteAccess service, whether or not RRAS answers. */
import { execFile } from 'node:child_process';

export const SERVICE_NAME = 'RemoteAccess';

export type ServiceState =
  'not_installed' | 'disabled' | 'stopped' | 'starting' | 'stopping' | 'running' | 'paused';

/** SERVICE_STATUS.dwCurrentState. */
const STATES: Readonly<Record<number, ServiceState>> = {
  1: 'stopped',
  2: 'starting',
  3: 'stopping',
  4: 'running',
  5: 'starting',
  6: 'stopping',
  7: 'paused',
};
const SERVICE_DISABLED = 4;
const QUERY_MS = 5_000;

/** `systemFolder`: System32 with its drive. Null where the service manager does not answer. */
export async function serviceState(systemFolder: string): Promise<ServiceState | null> {
  const query = await run(systemFolder, 'query');
  if (/\b1060\b/.test(`${query.code} ${query.text}`)) return 'not_installed';
  const state = STATES[secondNumber(query.text) ?? 0] ?? null;
  if (state !== 'stopped') return state;
  const { text } = await run(systemFolder, 'qc');
  return secondNumber(text) === SERVICE_DISABLED ? 'disabled' : state;
}

/**
 * sc.exe translates its words, not its numbers: TYPE comes first, then STATE (query) or START_TYPE (qc). It prints a
 * line for each, as `        STATE              : 4  RUNNING`.
 */
export function secondNumber(text: string): number | null {
  const [, second] = [...text.matchAll(/^[^:\r\n]*: *(\d+) /gm)];
  return second === undefined ? null : Number(second[1]);
}

/** In a process of its own, so that it can be given up. */
function run(systemFolder: string, command: 'query' | 'qc'): Promise<{ code: number; text: string }> {
  return new Promise((resolve) => {
    execFile(
      `${systemFolder}\\sc.exe`,
      [command, SERVICE_NAME],
      { timeout: QUERY_MS, killSignal: 'SIGKILL', windowsHide: true },
      (error, text) => resolve({ code: Number(error?.code ?? 0), text }),
    );
  });
}
