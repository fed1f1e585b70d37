/** `doctor` as a process, and its lines without what differs from run to run. */
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';

export const MAIN = fileURLToPath(new URL('../src/main.ts', import.meta.url));

export interface Ran {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export function runDoctor(cwd: string, ...flags: readonly string[]): Promise<Ran> {
  return runDoctorIn({}, cwd, ...flags);
}

/** `environment` adds to that of the tests. */
export function runDoctorIn(
  environment: Readonly<Record<string, string>>,
  cwd: string,
  ...flags: readonly string[]
): Promise<Ran> {
  return new Promise((resolve) => {
    const env = { ...process.env, ...environment };
    execFile(process.execPath, [MAIN, 'doctor', ...flags], { cwd, env }, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : Number(error.code), stdout, stderr });
    });
  });
}

/** Line by line, a fix below its line; versions, times and durations are blotted out. */
export function blotted(stdout: string, paths: Readonly<Record<string, string>> = {}): string[] {
  let text = stdout.replaceAll('\r\n', '\n');
  for (const [path, name] of Object.entries(paths)) text = text.replaceAll(path, name);
  return text
    .replace(/Node\.js v[\d.]+ on .*$/m, 'Node.js VERSION')
    .replace(/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ/g, 'NOW')
    .replace(/\b\d+\.\d{3} s\b/g, 'T s')
    .trimEnd()
    .split('\n');
}
