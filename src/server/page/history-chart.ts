/** Connections by tunnel over the last hour: a chart, and the same in words for who cannot see it. */
import type { HistoryData, HistoryPoint } from './data.ts';
import type { Markup } from './markup.ts';
import { el } from './markup.ts';
import { number, tunnelName } from './wording.ts';

const SECONDS = 3600;
/** Of the drawing, which is stretched to its place. */
const HEIGHT = 100;

export interface Range {
  readonly lowest: number;
  readonly highest: number;
}

/** Over the points that there are; undefined if there is none. */
export function rangeOf(points: readonly HistoryPoint[], tunnel: string): Range | undefined {
  if (points.length === 0) return undefined;
  const counts = points.map(({ connections }) => connections[tunnel] ?? 0);
  return { lowest: Math.min(...counts), highest: Math.max(...counts) };
}

const totalOf = ({ connections }: HistoryPoint): number =>
  Object.values(connections).reduce((sum, count) => sum + count, 0);

/** Ends of a scale, of which the half is a whole number too. */
const TOPS = [2, 4, 6, 8, 10, 12, 16, 20, 30, 40, 60, 80] as const;

/** The next of them above, times a power of ten. */
export function scaleTo(most: number): number {
  for (let times = 1; ; times *= 10) {
    const top = TOPS.find((each) => each * times >= most);
    if (top !== undefined) return top * times;
  }
}

/** Points that follow each other without a gap. */
export function runsOf({ points, stepSeconds }: HistoryData): HistoryPoint[][] {
  const runs: HistoryPoint[][] = [];
  for (const point of points) {
    const last = runs.at(-1)?.at(-1);
    if (last && point.time - last.time < stepSeconds * 1.5) runs.at(-1)!.push(point);
    else runs.push([point]);
  }
  return runs;
}

/** `now`: Unix seconds of the right edge. */
export function historyChart(history: HistoryData, now: number): Markup {
  const { points, stepSeconds } = history;
  if (points.length === 0) {
    return el('p', { class: 'quiet' }, 'No connections could be read within the last hour.');
  }
  const tunnels = [...new Set(points.flatMap(({ connections }) => Object.keys(connections)))];
  const top = scaleTo(Math.max(1, ...points.map(totalOf)));
  const runs = runsOf(history);
  const x = (time: number): number => Math.min(SECONDS, Math.max(0, time - (now - SECONDS)));
  const y = (count: number): string => (HEIGHT - (count / top) * HEIGHT).toFixed(2);

  /** The steps of a tunnel on those below it, run by run. */
  const areas = tunnels.map((tunnel, i) => {
    const below = ({ connections }: HistoryPoint): number =>
      tunnels.slice(0, i).reduce((sum, each) => sum + (connections[each] ?? 0), 0);
    const path = runs.map((run) => {
      const edges = run.map((point, at) => ({
        from: x(point.time).toFixed(0),
        // A step that has only begun is drawn up to now.
        to: x(run[at + 1]?.time ?? point.time + stepSeconds).toFixed(0),
        low: y(below(point)),
        high: y(below(point) + (point.connections[tunnel] ?? 0)),
      }));
      const there = edges.map(({ from, to, high }) => `L${from},${high}L${to},${high}`);
      const back = edges.toReversed().map(({ from, to, low }) => `L${to},${low}L${from},${low}`);
      return `M${[...there, ...back].join('').slice(1)}Z`;
    });
    return el('path', { class: `tunnel-${tunnel}`, d: path.join('') });
  });
  const line = (at: number): Markup =>
    el('line', { class: 'grid', x1: '0', x2: String(SECONDS), y1: String(at), y2: String(at) });

  const drawing = el(
    'svg',
    {
      viewBox: `0 0 ${SECONDS} ${HEIGHT}`,
      preserveAspectRatio: 'none',
      role: 'img',
      'aria-label': summaryOf(history, tunnels),
    },
    line(0),
    line(HEIGHT / 2),
    line(HEIGHT),
    ...areas,
  );
  const scale = [top, top / 2, 0].map((count) => el('span', {}, number(count)));
  const times = ['60 min ago', '30 min', 'now'].map((text) => el('span', {}, text));
  const isWhole = runs.length === 1;
  return el(
    'div',
    { class: 'chart' },
    el('div', { class: 'scale', 'aria-hidden': 'true' }, ...scale),
    drawing,
    el('div', { class: 'times', 'aria-hidden': 'true' }, ...times),
    isWhole
      ? null
      : el('p', { class: 'quiet' }, 'Gaps are times at which the connections could not be read.'),
  );
}

function summaryOf({ points }: HistoryData, tunnels: readonly string[]): string {
  const last = points.at(-1)!;
  const each = tunnels.map((tunnel) => {
    const { lowest, highest } = rangeOf(points, tunnel)!;
    return `${tunnelName(tunnel)} ${last.connections[tunnel] ?? 0}, between ${lowest} and ${highest}`;
  });
  return `Connections by tunnel over the last hour. Now, and within the hour: ${each.join('; ')}.`;
}
