/** What Linux knows of a process: its memory and the time that it computed. */
import { readFileSync } from 'node:fs';

const KIB_PER_MIB = 1024;
/** USER_HZ of every Linux. */
const TICKS_PER_SECOND = 100;

export interface MemoryFigures {
  /** Highest since the process began. */
  readonly peakMiB: number;
  readonly rssMiB: number;
  /** Of it, what is not a mapped file: the pages of the program itself are shared by both processes. */
  readonly anonymousMiB: number;
}

export function memoryOf(pid: number): MemoryFigures {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  const mib = (name: string): number => {
    const kib = new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(status)?.[1];
    if (kib === undefined) throw new Error(`process ${pid} has no ${name}`);
    return Number(kib) / KIB_PER_MIB;
  };
  return { peakMiB: mib('VmHWM'), rssMiB: mib('VmRSS'), anonymousMiB: mib('RssAnon') };
}

/** User and system time so far. */
export function cpuSecondsOf(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  // The name stands in parentheses and may hold anything; utime and stime are fields 14 and 15.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
}

export function childrenOf(pid: number): number[] {
  return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8')
    .split(' ')
    .filter((child) => child !== '')
    .map(Number);
}
