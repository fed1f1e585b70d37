/** The processes that the benchmark starts. Whatever ends the benchmark ends them too, each by its own pid. */
import type { ChildProcess, SpawnOptions } from 'node:child_process';
import { spawn } from 'node:child_process';
import { once } from 'node:events';

const running = new Set<ChildProcess>();
const END_WITHIN_MS = 10_000;

export function start(program: string, args: readonly string[], options: SpawnOptions): ChildProcess {
  const child = spawn(program, args, options);
  running.add(child);
  child.once('exit', () => running.delete(child));
  // One that cannot be started has no exit.
  child.once('error', () => running.delete(child));
  return child;
}

/** Asks the process to end, and kills it if it does not. */
export async function end(child: ChildProcess): Promise<void> {
  if (!running.has(child)) return;
  const exited = once(child, 'exit');
  const impatience = setTimeout(() => child.kill('SIGKILL'), END_WITHIN_MS);
  child.kill('SIGTERM');
  await exited;
  clearTimeout(impatience);
}

/** For the entry of a program. */
export function endAllOnExit(): void {
  process.once('exit', () => {
    for (const child of running) child.kill('SIGKILL');
  });
  for (const [signal, code] of [
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const) {
    process.once(signal, () => process.exit(code));
  }
}
