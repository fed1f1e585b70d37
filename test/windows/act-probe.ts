/**
 * Runs under Wine's node.exe in the app folder: takes the steps of ACT_STEPS one after the other through the built
 * client and its child process, as the exporter does, and prints what each came to as JSON.
 */
import * as path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import type { ActRequest } from '../../src/model/actions.ts';

/** `until`: look at the interface until it is in another state. */
export type ActStep =
  | { readonly act: ActRequest }
  | { readonly read: 'server' | 'connections' }
  | { readonly until: string; readonly not: string };

const built = (file: string): Promise<unknown> => import(pathToFileURL(`dist/${file}`).href);
const { HostClient, forkHost } = (await built(
  'native/client.js',
)) as typeof import('../../src/native/client.ts');
const { systemClock } = (await built('runtime/clock.js')) as typeof import('../../src/runtime/clock.ts');

const restarts: string[] = [];
const quiet = (): void => undefined;
const client = new HostClient({
  spawn: () => forkHost(path.resolve('dist/native-host.js'), { backend: 'dll', server: null }),
  clock: systemClock,
  logger: { debug: quiet, info: quiet, warn: quiet, error: quiet },
  timeoutMs: Number(process.env['ACT_TIMEOUT_MS'] ?? 20_000),
  onRestart: (reason) => void restarts.push(reason),
});

async function take(step: ActStep): Promise<unknown> {
  if ('act' in step) return client.act(step.act);
  if ('read' in step) return { status: (await client.read(step.read)).status };
  for (;;) {
    const result = await client.act({ action: 'inspect_interface', interfaceName: step.until });
    if (result.interfaceNow?.state !== step.not) return result;
    await sleep(20);
  }
}

const results: unknown[] = [];
for (const step of JSON.parse(process.env['ACT_STEPS'] ?? '[]') as ActStep[]) results.push(await take(step));
client.stop();
process.stdout.write(JSON.stringify({ results, restarts }));
