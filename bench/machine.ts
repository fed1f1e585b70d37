/** The machine that was measured on: nothing that tells whose it is. */
import { execFileSync } from 'node:child_process';
import { availableParallelism, cpus, totalmem } from 'node:os';
import { NODE } from './exporter-process.ts';

export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly memoryGiB: number;
  /** Of the exporter; that of the benchmark itself only if it is another one. */
  readonly node: string;
  readonly benchmarkNode?: string;
  /** YYYY-MM-DD. */
  readonly date: string;
}

const BYTES_PER_GIB = 2 ** 30;

export function thisMachine(): Machine {
  const node = execFileSync(NODE, ['--version'], { encoding: 'utf8' }).trim();
  return {
    cpu: cpus()[0]?.model.trim() ?? 'unknown CPU',
    cores: availableParallelism(),
    memoryGiB: Math.round(totalmem() / BYTES_PER_GIB),
    node,
    ...(node !== process.version && { benchmarkNode: process.version }),
    date: new Date().toISOString().slice(0, 10),
  };
}

export function describeMachine({ cpu, cores, memoryGiB, node, benchmarkNode, date }: Machine): string {
  const other = benchmarkNode === undefined ? '' : ` (the benchmark itself: ${benchmarkNode})`;
  return `${cpu}, ${cores} cores, ${memoryGiB} GiB, Node.js ${node}${other}, ${date}`;
}
