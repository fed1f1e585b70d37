/**
 * Draws a dashboard as SVG from its JSON and what Prometheus answered to its queries: the grid, titles and panels much as
 * Grafana shows them, for people without one.
 */
import type { Dashboard, FieldSettings, Mapping, Override, Panel, Target } from './dashboard-model.ts';
import { panelsOf } from './dashboard-model.ts';
import { showNumber } from './dashboard-units.ts';

export interface Series {
  readonly labels: Readonly<Record<string, string>>;
  /** Instant queries have one. */
  readonly points: readonly (readonly [seconds: number, value: number])[];
}

export interface Picture {
  readonly dashboard: Dashboard;
  /** Unix seconds. */
  readonly from: number;
  readonly to: number;
  /** Of a target of a panel. */
  readonly answer: (panel: Panel, target: Target) => readonly Series[];
  /** Times of annotations. */
  readonly marks: readonly { readonly seconds: number; readonly color: string }[];
}

export const WIDTH = 1400;
const EDGE = 10;
const GAP = 8;
const CELL = (WIDTH - 2 * EDGE + GAP) / 24;
const ROW = 38;
const TOP = 74;
const INK = '#ccccdc';
const PALE = '#8e8f9c';
const GRID = '#2b2e36';

const COLORS: Readonly<Record<string, string>> = {
  green: '#73bf69',
  red: '#f2495c',
  orange: '#ff9830',
  yellow: '#fade2a',
  blue: '#5794f2',
  purple: '#b877d9',
  text: INK,
};
const PALETTE = [
  '#73bf69', '#f2cc0c', '#8ab8ff', '#ff780a', '#f2495c', '#5794f2', '#b877d9', '#705da0', '#37872d', '#fade2a',
  '#447ebc', '#c15c17', '#890f02', '#0a437c', '#6d1f62', '#584477', '#b7dbab', '#f4d598', '#70dbed', '#f9ba8f',
] as const; // prettier-ignore
const colorOf = (name: string): string => COLORS[name] ?? name;

const escape = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');

/** Of the mean letter, in ems: for cutting texts that do not fit. */
const LETTER = 0.59;
const widthOf = (text: string, size: number): number => text.length * size * LETTER;
const cut = (text: string, width: number, size: number): string => {
  const most = Math.max(1, Math.floor(width / (size * LETTER)));
  return text.length <= most ? text : `${text.slice(0, Math.max(1, most - 1))}…`;
};

interface TextStyle {
  readonly size?: number;
  readonly color?: string;
  readonly anchor?: 'start' | 'middle' | 'end';
  readonly weight?: number;
}
const write = (x: number, y: number, text: string, style: TextStyle = {}): string => {
  const { size = 11, color = INK, anchor = 'start', weight = 400 } = style;
  return `<text x="${x.toFixed(1)}" y="${y.toFixed(1)}" font-size="${size}" fill="${color}" text-anchor="${anchor}" font-weight="${weight}">${escape(text)}</text>`;
};
const box = (x: number, y: number, w: number, h: number, fill: string, more = ''): string =>
  `<rect x="${x.toFixed(1)}" y="${y.toFixed(1)}" width="${Math.max(0, w).toFixed(1)}" height="${Math.max(0, h).toFixed(1)}" fill="${fill}" ${more}/>`;

interface Area {
  readonly x: number;
  readonly y: number;
  readonly w: number;
  readonly h: number;
}

const nameOf = ({ legendFormat }: Target, { labels }: Series): string =>
  legendFormat.replaceAll(/\{\{(\w+)\}\}/g, (_, label: string) => labels[label] ?? '');

interface Drawn {
  readonly name: string;
  readonly target: Target;
  readonly series: Series;
}

const drawnOf = (picture: Picture, panel: Panel): Drawn[] =>
  (panel.targets ?? []).flatMap((target) =>
    picture.answer(panel, target).map((series) => ({ name: nameOf(target, series), target, series })),
  );

const lastOf = ({ points }: Series): number =>
  points.findLast(([, value]) => !Number.isNaN(value))?.[1] ?? NaN;

/** What holds for a field: the defaults, and what is overridden by its name. */
function settingsOf(
  panel: Panel,
  field?: string,
): FieldSettings & { cell?: string; width?: number; mode?: string } {
  const settings: Record<string, unknown> = { ...panel.fieldConfig?.defaults };
  // What the panel's defaults say on thresholds is not meant for the cells of a table.
  if (panel.type === 'table') delete settings['thresholds'];
  for (const { matcher, properties } of panel.fieldConfig?.overrides ?? []) {
    if (matcher.id !== 'byName' || matcher.options !== field) continue;
    for (const { id, value } of properties) {
      if (id === 'custom.cellOptions') settings['cell'] = (value as { type: string }).type;
      else if (id === 'custom.width') settings['width'] = value;
      else settings[id] = value;
    }
  }
  return settings;
}

function mapped(
  mappings: readonly Mapping[] | undefined,
  value: string,
): { text?: string; color?: string } | undefined {
  for (const { type, options } of mappings ?? [])
    if (type === 'value' && options[value]) return options[value];
  return undefined;
}

/** The text and colour of a value. */
function shown(value: number, settings: FieldSettings): { text: string; color: string } {
  const mapping = mapped(settings.mappings, String(value));
  let color = 'text';
  for (const step of settings.thresholds?.steps ?? [])
    if (step.value === null || value >= step.value) color = step.color;
  return {
    text: mapping?.text ?? showNumber(value, settings.unit, settings.decimals),
    color: colorOf(mapping?.color ?? color),
  };
}

function overridden(panel: Panel, target: Target, property: string): unknown {
  const isOf = ({ matcher }: Override): boolean =>
    matcher.id === 'byFrameRefID' && matcher.options === target.refId;
  return panel.fieldConfig?.overrides
    .filter(isOf)
    .flatMap(({ properties }) => properties)
    .find(({ id }) => id === property)?.value;
}

type Draw = (picture: Picture, panel: Panel, area: Area) => string;

const NO_DATA: Draw = (_, panel, { x, y, w, h }) =>
  write(x + w / 2, y + h / 2, `No data: ${panel.title ?? ''}`, { anchor: 'middle', color: PALE, size: 13 });

const drawStat: Draw = (picture, panel, { x, y, w, h }) => {
  const drawn = drawnOf(picture, panel);
  const settings = settingsOf(panel);
  const isGraph = panel.options?.['graphMode'] === 'area';
  const width = w / drawn.length;
  return drawn
    .map(({ name, series }, index) => {
      const { text, color } = shown(lastOf(series), settings);
      const left = x + index * width;
      const hasName = drawn.length > 1;
      const size = Math.min(30, (width - 10) / (text.length * 0.6), h * (hasName ? 0.42 : 0.5));
      const line = isGraph
        ? sparkline(series, { x: left, y: y + h * 0.55, w: width - 4, h: h * 0.45 }, color)
        : '';
      const middle = y + h / 2 + (hasName ? 12 : size * 0.2) - (isGraph ? 6 : 0);
      return `${line}${hasName ? write(left + width / 2, y + 12, cut(name, width, 11), { anchor: 'middle', color: PALE }) : ''}${write(left + width / 2, middle, text, { size: Math.round(size), color, anchor: 'middle', weight: 600 })}`;
    })
    .join('');
};

function sparkline({ points }: Series, { x, y, w, h }: Area, color: string): string {
  if (points.length < 2) return '';
  const values = points.map(([, value]) => value);
  const low = Math.min(...values);
  const span = Math.max(...values) - low || 1;
  const path = points
    .map(
      ([, value], i) =>
        `${(x + (i / (points.length - 1)) * w).toFixed(1)},${(y + h - ((value - low) / span) * h * 0.9).toFixed(1)}`,
    )
    .join(' L');
  return `<path d="M${path} L${(x + w).toFixed(1)},${y + h} L${x.toFixed(1)},${y + h} Z" fill="${color}" fill-opacity="0.15"/><path d="M${path}" fill="none" stroke="${color}" stroke-width="1"/>`;
}

const TIMES = [
  1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400, 28_800, 43_200, 86_400,
] as const;

/** A round step that cuts a range into some four to six. */
function stepOf(rough: number, unit: string): number {
  if (unit === 's' && rough > 0.5)
    return TIMES.find((time) => time >= rough) ?? Math.ceil(rough / 86_400) * 86_400;
  if (unit === 'bytes' || unit === 'binBps') {
    const scale = 1024 ** Math.max(0, Math.floor(Math.log(rough) / Math.log(1024)));
    return scale * stepOf(rough / scale, 'short');
  }
  const power = 10 ** Math.floor(Math.log10(rough));
  return power * ([1, 2, 5, 10].find((k) => k * power >= rough * 0.999) ?? 10);
}

function ticks(low: number, high: number, unit = 'short'): number[] {
  const step = stepOf((high - low) / 5.5 || 1, unit);
  const found: number[] = [];
  for (let at = Math.ceil(low / step) * step; at <= high + step * 1e-6; at += step) {
    found.push(Math.abs(at) < step * 1e-9 ? 0 : at);
  }
  return found;
}

const clock = (seconds: number): string => new Date(seconds * 1000).toISOString().slice(11, 16);

function timeAxis({ from, to }: Picture, { x, y, w, h }: Area): string {
  const step = Math.max(60, Math.ceil((to - from) / Math.max(2, w / 90) / 60) * 60);
  let out = '';
  for (let at = Math.ceil(from / step) * step; at <= to; at += step) {
    const px = x + ((at - from) / (to - from)) * w;
    out += `<line x1="${px.toFixed(1)}" x2="${px.toFixed(1)}" y1="${y}" y2="${y + h}" stroke="${GRID}" stroke-width="1"/>`;
    if (px < x + w - 12) out += write(px, y + h + 13, clock(at), { size: 10, color: PALE, anchor: 'middle' });
  }
  return out;
}

const drawTimeseries: Draw = (picture, panel, area) => {
  const drawn = drawnOf(picture, panel);
  const settings = panel.fieldConfig!.defaults;
  const custom = settings.custom ?? {};
  const stacked = (custom['stacking'] as { mode: string } | undefined)?.mode === 'normal';
  const isBars = custom['drawStyle'] === 'bars';
  const legend = panel.options?.['legend'] as { placement: string; displayMode: string };
  const legendRight = legend.placement === 'right';
  const legendWidth = legendRight ? Math.min(360, area.w * 0.3) : 0;
  const legendLines = legendRight
    ? 0
    : legendRows(
        drawn.map(({ name }) => name),
        area.w,
      ).length;
  const plot = {
    x: area.x + 62,
    y: area.y + 6,
    w: area.w - 62 - 8 - legendWidth,
    h: area.h - 6 - 20 - legendLines * 16,
  };

  const heaps = new Map<string, Map<number, number>>();
  const lines = drawn.map(({ target, series, name }, index) => {
    const sign = overridden(panel, target, 'custom.transform') === 'negative-Y' ? -1 : 1;
    const heap = heaps.get(String(sign)) ?? new Map<number, number>();
    heaps.set(String(sign), heap);
    const points = series.points
      .filter(([, value]) => Number.isFinite(value))
      .map(([seconds, value]) => {
        const base = stacked ? (heap.get(seconds) ?? 0) : 0;
        const top = base + sign * value;
        if (stacked) heap.set(seconds, top);
        return { seconds, base, top };
      });
    const fixed = (settingsOf(panel, name) as { color?: { fixedColor?: string } }).color?.fixedColor;
    return {
      name,
      color: fixed === undefined ? PALETTE[index % PALETTE.length]! : colorOf(fixed),
      points,
      series,
    };
  });
  const all = lines.flatMap(({ points }) => points.flatMap(({ base, top }) => [base, top]));
  let low = Math.min(settings.min ?? Infinity, ...all, isBars || stacked ? 0 : Infinity);
  let high = Math.max(...all, low);
  if (high === low) high = low + 1;
  if (settings.min === undefined && low > 0) low = Math.max(0, low - (high - low) * 0.1);
  else if (low < 0) low -= (high - low) * 0.05;
  high += (high - low) * 0.05;
  const py = (value: number): number => plot.y + plot.h - ((value - low) / (high - low)) * plot.h;
  const px = (seconds: number): number =>
    plot.x + ((seconds - picture.from) / (picture.to - picture.from)) * plot.w;

  let out = timeAxis(picture, plot);
  for (const tick of ticks(low, high, settings.unit)) {
    const at = py(tick);
    out += `<line x1="${plot.x}" x2="${plot.x + plot.w}" y1="${at.toFixed(1)}" y2="${at.toFixed(1)}" stroke="${GRID}"/>`;
    const decimals = settings.unit === 'short' && Math.abs(tick) < 1 && tick !== 0 ? 2 : undefined;
    out += write(plot.x - 6, at + 4, showNumber(tick, settings.unit, decimals), {
      size: 10,
      color: PALE,
      anchor: 'end',
    });
  }
  for (const { seconds, color } of picture.marks) {
    if (seconds < picture.from || seconds > picture.to) continue;
    out += `<line x1="${px(seconds).toFixed(1)}" x2="${px(seconds).toFixed(1)}" y1="${plot.y}" y2="${plot.y + plot.h}" stroke="${colorOf(color)}" stroke-dasharray="3 3" stroke-width="1"/>`;
  }
  const opacity = Number(custom['fillOpacity'] ?? 0) / 100;
  for (const { color, points } of lines) {
    if (isBars) {
      const times = points.map(({ seconds }) => seconds);
      const step = Math.min(...times.slice(1).map((at, i) => at - times[i]!), 10);
      const width = Math.max(1, (plot.w * step * 0.9) / (picture.to - picture.from));
      for (const { seconds, base, top } of points) {
        if (top === base) continue;
        out += box(
          px(seconds) - width / 2,
          Math.min(py(top), py(base)),
          width,
          Math.abs(py(top) - py(base)),
          color,
          'fill-opacity="0.75"',
        );
      }
      continue;
    }
    for (const run of runs(points)) {
      const along = run
        .map(({ seconds, top }) => `${px(seconds).toFixed(1)},${py(top).toFixed(1)}`)
        .join(' L');
      const back = run
        .toReversed()
        .map(({ seconds, base }) => `${px(seconds).toFixed(1)},${py(base).toFixed(1)}`)
        .join(' L');
      out += `<path d="M${along} L${back} Z" fill="${color}" fill-opacity="${opacity}"/><path d="M${along}" fill="none" stroke="${color}" stroke-width="1.3"/>`;
    }
  }
  if (legendRight) {
    const left = plot.x + plot.w + 16;
    const room = Math.floor((area.h - 18) / 17);
    out += write(left + legendWidth - 12, area.y + 10, 'Last', {
      size: 10,
      color: COLORS['blue']!,
      anchor: 'end',
    });
    for (const [index, { name, color, series }] of lines.slice(0, room).entries()) {
      const at = area.y + 26 + index * 17;
      out +=
        box(left, at - 6, 12, 4, color, 'rx="2"') + write(left + 18, at, cut(name, legendWidth - 100, 11));
      out += write(left + legendWidth - 12, at, showNumber(lastOf(series), settings.unit), { anchor: 'end' });
    }
  } else {
    const rows = legendRows(
      lines.map(({ name }) => name),
      area.w,
    );
    for (const [row, entries] of rows.entries()) {
      for (const { index, at } of entries) {
        const yy = area.y + area.h - (rows.length - row) * 16 + 12;
        out +=
          box(area.x + at, yy - 6, 12, 4, lines[index]!.color, 'rx="2"') +
          write(area.x + at + 16, yy, lines[index]!.name, { size: 11 });
      }
    }
  }
  return out;
};

interface Point {
  readonly seconds: number;
  readonly base: number;
  readonly top: number;
}
/** Points without a hole between them. */
function runs(points: readonly Point[]): Point[][] {
  const steps = points.slice(1).map(({ seconds }, i) => seconds - points[i]!.seconds);
  const step = Math.min(...steps, Infinity);
  const found: Point[][] = [];
  for (const point of points) {
    const last = found.at(-1);
    if (last && point.seconds - last.at(-1)!.seconds <= step * 1.5) last.push(point);
    else found.push([point]);
  }
  return found;
}

/** At most three lines of a legend. */
function legendRows(names: readonly string[], width: number): { index: number; at: number }[][] {
  const rows: { index: number; at: number }[][] = [];
  let at = Infinity;
  for (const [index, name] of names.entries()) {
    const needed = 16 + widthOf(name, 11) + 14;
    if (at + needed > width) {
      if (rows.length === 3) break;
      rows.push([]);
      at = 4;
    }
    rows.at(-1)!.push({ index, at });
    at += needed;
  }
  return rows;
}

interface Organize {
  readonly excludeByName: Readonly<Record<string, boolean>>;
  readonly indexByName: Readonly<Record<string, number>>;
  readonly renameByName: Readonly<Record<string, string>>;
}

type Row = Map<string, string | number>;

/** As Grafana's transformation merge: rows that agree in all that both have become one. */
function mergedRows(picture: Picture, panel: Panel): Row[] {
  const targets = panel.targets ?? [];
  const rows: Row[] = [];
  for (const target of targets) {
    const value = targets.length === 1 ? 'Value' : `Value #${target.refId}`;
    const fresh: Row[] = [];
    const answer = picture.answer(panel, target);
    // A label that only other series of the query have is an empty one.
    const names = new Set(answer.flatMap(({ labels }) => Object.keys(labels)));
    names.delete('__name__');
    for (const series of answer) {
      const labels = [...names].map((name) => [name, series.labels[name] ?? ''] as const);
      const fits = rows.filter(
        (row) => !row.has(value) && labels.every(([name, text]) => !row.has(name) || row.get(name) === text),
      );
      for (const row of fits) {
        for (const [name, text] of labels) row.set(name, text);
        row.set(value, lastOf(series));
      }
      if (fits.length === 0)
        fresh.push(new Map<string, string | number>([...labels, [value, lastOf(series)]]));
    }
    rows.push(...fresh);
  }
  return rows;
}

const drawTable: Draw = (picture, panel, { x, y, w, h }) => {
  const organize = panel.transformations!.find(({ id }) => id === 'organize')!.options as Organize;
  const sorts = panel.options?.['sortBy'] as { displayName: string; desc: boolean }[];
  const columns = Object.entries(organize.indexByName)
    .sort(([, a], [, b]) => a - b)
    .map(([source]) => ({ source, title: organize.renameByName[source] ?? source }));
  const rows = mergedRows(picture, panel).sort((a, b) => {
    for (const { displayName, desc } of sorts) {
      const by = columns.find(({ title }) => title === displayName)!.source;
      const [p, q] = [a.get(by) ?? -Infinity, b.get(by) ?? -Infinity];
      const order =
        typeof p === 'number' && typeof q === 'number' ? p - q : String(p).localeCompare(String(q));
      if (order !== 0) return desc ? -order : order;
    }
    return 0;
  });
  const fixed = columns.map(({ title }) => settingsOf(panel, title).width);
  const free =
    (w - fixed.reduce<number>((sum, width) => sum + (width ?? 0), 0)) /
    fixed.filter((width) => width === undefined).length;
  const most = new Map<string, number>();
  for (const { source } of columns)
    most.set(source, Math.max(...rows.map((row) => Number(row.get(source))).filter(Number.isFinite)));
  const room = Math.floor((h - 26) / 22);
  let out = '';
  let left = x;
  for (const [index, { source, title }] of columns.entries()) {
    const width = fixed[index] ?? free;
    const settings = settingsOf(panel, title);
    const isNumber = rows.some((row) => typeof row.get(source) === 'number') && !settings.mappings;
    const edge = isNumber ? left + width - 10 : left + 4;
    const anchor = isNumber ? 'end' : 'start';
    out += write(edge, y + 12, cut(title, width - 8, 11), { anchor, color: '#6e9fff', weight: 600 });
    for (const [line, row] of rows.slice(0, room).entries()) {
      const value = row.get(source);
      const at = y + 32 + line * 22;
      if (index === 0)
        out += `<line x1="${x}" x2="${x + w}" y1="${at + 6}" y2="${at + 6}" stroke="${GRID}"/>`;
      if (value === undefined) continue;
      const { text, color } =
        typeof value === 'number'
          ? shown(value, settings)
          : {
              text: mapped(settings.mappings, value)?.text ?? value,
              color: 'links' in settings ? '#6e9fff' : INK,
            };
      const isGauge = settings.cell === 'gauge' && typeof value === 'number';
      if (isGauge)
        out += box(
          left + 4,
          at - 10,
          ((width - 86) * value) / (most.get(source)! || 1),
          12,
          COLORS['blue']!,
          'fill-opacity="0.7"',
        );
      out += write(edge, at, cut(text, width - 8, 11), {
        anchor,
        color: settings.cell === undefined && typeof value === 'number' ? INK : isGauge ? INK : color,
      });
    }
    left += width;
  }
  if (rows.length > room)
    out += write(x + w - 4, y + h - 1, `1 - ${room} of ${rows.length} rows`, {
      size: 10,
      color: PALE,
      anchor: 'end',
    });
  return rows.length === 0 ? NO_DATA(picture, panel, { x, y, w, h }) : out;
};

const drawTimeline: Draw = (picture, panel, area) => {
  const drawn = drawnOf(picture, panel);
  const settings = settingsOf(panel);
  const names = Math.min(230, Math.max(...drawn.map(({ name }) => widthOf(name, 11))) + 10);
  const plot = { x: area.x + names, y: area.y + 4, w: area.w - names - 6, h: area.h - 24 };
  const height = Math.min(34, plot.h / drawn.length);
  const px = (seconds: number): number =>
    plot.x + ((seconds - picture.from) / (picture.to - picture.from)) * plot.w;
  let out = timeAxis(picture, plot);
  for (const [index, { name, series }] of drawn.entries()) {
    const y = plot.y + index * height;
    out += write(plot.x - 6, y + height / 2 + 4, cut(name, names - 8, 11), {
      anchor: 'end',
      size: Math.min(11, height),
    });
    const { points } = series;
    const step = Math.min(...points.slice(1).map(([at], i) => at - points[i]![0]), Infinity);
    for (let i = 0; i < points.length;) {
      let end = i + 1;
      while (
        end < points.length &&
        points[end]![1] === points[i]![1] &&
        points[end]![0] - points[end - 1]![0] <= step * 1.5
      )
        end += 1;
      const left = px(points[i]![0]);
      const right = px(Math.min(picture.to, points[end - 1]![0] + (Number.isFinite(step) ? step : 0)));
      const { text, color } = shown(points[i]![1], settings);
      out += box(left, y + height * 0.1, right - left, height * 0.8, color, 'fill-opacity="0.75"');
      if (height >= 12 && widthOf(text, 10) + 8 < right - left) {
        out += write(left + 4, y + height / 2 + 4, text, { size: 10, color: '#111217', weight: 600 });
      }
      i = end;
    }
  }
  return out;
};

const drawBars: Draw = (picture, panel, { x, y, w, h }) => {
  const drawn = drawnOf(picture, panel).sort((a, b) => lastOf(b.series) - lastOf(a.series));
  const settings = settingsOf(panel);
  const values = drawn.map(({ series }) => lastOf(series));
  const most = settings.max ?? (Math.max(...values) || 1);
  const names = Math.min(w * 0.4, Math.max(...drawn.map(({ name }) => widthOf(name, 11))) + 12);
  const height = Math.min(36, h / drawn.length);
  return drawn
    .map(({ name }, index) => {
      const { text, color } = shown(values[index]!, settings);
      const top = y + index * height;
      const room = w - names - 76;
      return (
        write(x + names - 8, top + height / 2 + 4, cut(name, names - 8, 11), { anchor: 'end' }) +
        box(x + names, top + height * 0.15, room, height * 0.7, '#22252b') +
        box(
          x + names,
          top + height * 0.15,
          (Math.min(values[index]!, most) / most) * room,
          height * 0.7,
          color,
          'fill-opacity="0.8"',
        ) +
        write(x + w - 4, top + height / 2 + 5, text, { anchor: 'end', size: 13, color, weight: 600 })
      );
    })
    .join('');
};

const drawHeatmap: Draw = (picture, panel, area) => {
  const drawn = drawnOf(picture, panel).sort((a, b) =>
    boundOf(a) === boundOf(b) ? 0 : boundOf(a) - boundOf(b),
  );
  const unit = (panel.options?.['yAxis'] as { unit?: string }).unit;
  const plot = { x: area.x + 62, y: area.y + 4, w: area.w - 70, h: area.h - 26 };
  const height = plot.h / drawn.length;
  const cells = drawn.flatMap(({ series }, row) => {
    const below = new Map(drawn[row - 1]?.series.points);
    return series.points.map(([at, value]) => ({ row, at, count: value - (below.get(at) ?? 0) }));
  });
  const most = Math.max(...cells.map(({ count }) => count), 1e-9);
  const times = new Set(cells.map(({ at }) => at)).size;
  const width = plot.w / Math.max(1, times);
  let out = timeAxis(picture, plot);
  for (const [row, each] of drawn.entries()) {
    const every = Math.ceil(14 / height);
    if (row % every === 0) {
      const bound = boundOf(each);
      out += write(
        plot.x - 6,
        plot.y + plot.h - (row + 0.5) * height + 4,
        bound === Infinity ? '+Inf' : showNumber(bound, unit),
        { size: 10, color: PALE, anchor: 'end' },
      );
    }
  }
  for (const { row, at, count } of cells) {
    if (count <= most * 1e-6) continue;
    const left = plot.x + ((at - picture.from) / (picture.to - picture.from)) * plot.w;
    out += box(
      left - width,
      plot.y + plot.h - (row + 1) * height + 0.5,
      Math.max(1, width - 0.5),
      height - 1,
      '#ff780a',
      `fill-opacity="${(0.15 + 0.85 * Math.sqrt(count / most)).toFixed(2)}"`,
    );
  }
  return out;
};
const boundOf = ({ series }: Drawn): number =>
  series.labels['le'] === '+Inf' ? Infinity : Number(series.labels['le']);

const DRAW: Readonly<Record<string, Draw>> = {
  stat: drawStat,
  timeseries: drawTimeseries,
  table: drawTable,
  'state-timeline': drawTimeline,
  bargauge: drawBars,
  heatmap: drawHeatmap,
};

/** Kinds of panels that pictures can show. */
export const KNOWN_TYPES: ReadonlySet<string> = new Set(Object.keys(DRAW));

/** What the panels need, in a picture as wide as WIDTH. */
export const heightOf = (dashboard: Dashboard): number =>
  TOP + Math.max(...dashboard.panels.map(({ gridPos }) => gridPos.y + gridPos.h)) * ROW + EDGE;

export function drawDashboard(picture: Picture): string {
  const { dashboard } = picture;
  const height = heightOf(dashboard);
  let out = write(EDGE + 4, 26, dashboard.title, { size: 16, weight: 600 });
  out += write(WIDTH - EDGE - 4, 26, `${clock(picture.from)} to ${clock(picture.to)} UTC`, {
    size: 12,
    color: PALE,
    anchor: 'end',
  });
  let left = EDGE;
  for (const { label = '', name, type } of dashboard.templating.list) {
    const value = type === 'datasource' ? 'Prometheus' : type === 'textbox' ? ' ' : 'All';
    const [a, b] = [widthOf(label || name, 12) + 16, widthOf(value, 12) + 26];
    out +=
      box(left, 40, a, 24, '#22252b', 'rx="2"') +
      write(left + 8, 56, label || name, { size: 12, color: '#6e9fff' });
    out +=
      box(left + a, 40, b, 24, '#111217', 'rx="2" stroke="#2e3036"') +
      write(left + a + 8, 56, value, { size: 12 });
    left += a + b + 12;
  }
  for (const panel of dashboard.panels) {
    const { x, y, w, h } = panel.gridPos;
    const outer = { x: EDGE + x * CELL, y: TOP + y * ROW, w: w * CELL - GAP, h: h * ROW - GAP };
    if (panel.type === 'row') {
      out += `<g class="row">${write(outer.x + 4, outer.y + 20, `⌄ ${panel.title ?? ''}`, { size: 14, weight: 600 })}</g>`;
      continue;
    }
    const clip = `clip${panel.id}`;
    const inner = { x: outer.x + 10, y: outer.y + 32, w: outer.w - 20, h: outer.h - 40 };
    const draw = drawnOf(picture, panel).length === 0 ? NO_DATA : (DRAW[panel.type] ?? NO_DATA);
    out +=
      `<g class="panel" data-type="${panel.type}"><clipPath id="${clip}">${box(outer.x, outer.y, outer.w, outer.h, '#000')}</clipPath>` +
      `<title>${escape(panel.description ?? '')}</title>` +
      box(outer.x, outer.y, outer.w, outer.h, '#181b1f', 'rx="3" stroke="#26282e"') +
      `<g clip-path="url(#${clip})">${write(outer.x + 10, outer.y + 20, cut(panel.title ?? '', outer.w - 16, 12.5), { size: 13, weight: 500 })}${draw(picture, panel, inner)}</g></g>`;
  }
  return (
    `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${height}" viewBox="0 0 ${WIDTH} ${height}" ` +
    `font-family="Inter, Roboto, 'Liberation Sans', Arial, 'DejaVu Sans', sans-serif">` +
    `${box(0, 0, WIDTH, height, '#111217')}${out}</svg>\n`
  );
}

export const panelCount = (dashboard: Dashboard): number => panelsOf(dashboard).length;
