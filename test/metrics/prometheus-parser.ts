/**
 * Reads a page in the Prometheus text format 0.0.4 for the tests, by the book and independently of the encoder under
 * test. It is stricter than Prometheus: what the format forbids, what no two readers agree on and what Prometheus
 * repairs in silence are all errors here.
 */

export const METRIC_TYPES = ['counter', 'gauge', 'histogram', 'summary', 'untyped'] as const;
export type MetricType = (typeof METRIC_TYPES)[number];

export interface ParsedSample {
  /** With the suffix, where the family is a histogram or a summary. */
  readonly name: string;
  /** In the order of the line. */
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
  /** Milliseconds; undefined if the line has none. */
  readonly timestamp: number | undefined;
}

export interface ParsedFamily {
  readonly name: string;
  readonly help: string;
  readonly type: MetricType;
  readonly samples: readonly ParsedSample[];
}

/** A page that is not in the format. */
export class PageError extends Error {
  /** From 1; 0 for the page as a whole. */
  readonly line: number;

  constructor(line: number, message: string) {
    super(line === 0 ? message : `line ${line}: ${message}`);
    this.name = 'PageError';
    this.line = line;
  }
}

const METRIC_NAME = /^[a-zA-Z_:][a-zA-Z0-9_:]*/;
const LABEL_NAME = /^[a-zA-Z_][a-zA-Z0-9_]*/;
const NUMBER = /^[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?$/;
const TIMESTAMP = /^-?\d+$/;
// eslint-disable-next-line no-control-regex -- control characters are what this is about
const CONTROL = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/;
/** Suffixes of the samples of a family that is more than one number. */
const SUFFIXES: Readonly<Record<MetricType, readonly string[]>> = {
  counter: [''],
  gauge: [''],
  untyped: [''],
  histogram: ['_bucket', '_sum', '_count'],
  summary: ['', '_sum', '_count'],
};

interface OpenFamily {
  readonly name: string;
  readonly line: number;
  help?: string;
  type?: MetricType;
  readonly samples: ParsedSample[];
}

export interface PageRules {
  /** Takes a family of which there is a head only, as prom-client writes one whose labels never occurred. */
  readonly bareHeads?: boolean;
}

/** @throws PageError at the first thing that is wrong. */
export function parsePage(page: string | Uint8Array, rules: PageRules = {}): ParsedFamily[] {
  const text = typeof page === 'string' ? page : decode(page);
  if (text === '') return [];
  if (!text.isWellFormed()) throw new PageError(0, 'the page holds half a surrogate pair');
  if (!text.endsWith('\n')) throw new PageError(0, 'the last line does not end');
  const families = new Map<string, OpenFamily>();
  const series = new Set<string>();
  let current: OpenFamily | undefined;
  const lines = text.split('\n');
  lines.pop();
  lines.forEach((line, index) => {
    const fail = (message: string): never => {
      throw new PageError(index + 1, message);
    };
    if (CONTROL.test(line)) fail('a control character');
    if (line === '') return;
    const head = /^# (HELP|TYPE) (\S*) ?(.*)$/.exec(line);
    if (head) {
      const [, kind, name = '', rest = ''] = head;
      if (METRIC_NAME.exec(name)?.[0] !== name) fail(`"${name}" is no metric name`);
      if (current?.name !== name) {
        if (families.has(name)) fail(`the family ${name} is not contiguous`);
        current = { name, line: index + 1, samples: [] };
        families.set(name, current);
      }
      if (current.samples.length > 0) fail(`${kind} of ${name} after a sample`);
      if (kind === 'HELP') {
        if (current.help !== undefined) fail(`second HELP of ${name}`);
        current.help = unescape(rest, '\\n', fail);
      } else {
        if (current.type !== undefined) fail(`second TYPE of ${name}`);
        current.type = METRIC_TYPES.find((type) => type === rest) ?? fail(`"${rest}" is no type`);
      }
      return;
    }
    if (line.startsWith('#')) {
      if (/^#\s*(?:HELP|TYPE)\b/.test(line)) fail('a HELP or TYPE that is not well formed');
      return;
    }
    const sample = parseSample(line, fail);
    const { type } = current ?? fail(`${sample.name} before any family`);
    if (type === undefined) fail(`${sample.name} before its TYPE`);
    const suffixes = SUFFIXES[type!];
    if (!suffixes.some((suffix) => sample.name === current!.name + suffix))
      fail(`${sample.name} among the samples of ${current!.name}`);
    const key = JSON.stringify([
      sample.name,
      Object.entries(sample.labels).sort(([a], [b]) => (a < b ? -1 : 1)),
    ]);
    if (series.has(key)) fail(`second sample of ${key}`);
    series.add(key);
    if (type === 'counter' && !(sample.value >= 0)) fail(`a counter of ${sample.value}`);
    current!.samples.push(sample);
  });
  return [...families.values()].map((family) => finish(family, rules));
}

function decode(page: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(page);
  } catch {
    throw new PageError(0, 'the page is not UTF-8');
  }
}

function finish({ name, help, type, samples, line }: OpenFamily, rules: PageRules): ParsedFamily {
  if (help === undefined || type === undefined)
    throw new PageError(line, `${name} has no ${help === undefined ? 'HELP' : 'TYPE'}`);
  if (samples.length === 0 && !rules.bareHeads) throw new PageError(line, `${name} has no sample`);
  if (type === 'histogram') checkHistogram(name, samples, line);
  return { name, help, type, samples };
}

/** Each series has rising, cumulative buckets up to +Inf, which is its count, and a sum. */
function checkHistogram(name: string, samples: readonly ParsedSample[], line: number): void {
  const fail = (message: string): never => {
    throw new PageError(line, `histogram ${name}: ${message}`);
  };
  const groups = new Map<string, { buckets: [number, number][]; sum?: number; count?: number }>();
  for (const { name: sampleName, labels, value } of samples) {
    const { le, ...others } = labels;
    const key = JSON.stringify(Object.entries(others).sort());
    const group = groups.get(key) ?? { buckets: [] };
    groups.set(key, group);
    if (sampleName.endsWith('_bucket')) group.buckets.push([parseNumber(le ?? '') ?? fail('no le'), value]);
    else if (sampleName.endsWith('_sum')) group.sum = value;
    else group.count = value;
  }
  for (const [key, { buckets, sum, count }] of groups) {
    if (sum === undefined || count === undefined) fail(`no _sum or no _count of ${key}`);
    buckets.forEach(([bound, value], i) => {
      const before = buckets[i - 1];
      if (before && !(bound > before[0] && value >= before[1])) fail(`buckets of ${key} do not rise`);
    });
    const last = buckets.at(-1);
    if (last?.[0] !== Infinity || last[1] !== count) fail(`the last bucket of ${key} is not its count`);
  }
}

type Fail = (message: string) => never;

function parseSample(line: string, fail: Fail): ParsedSample {
  const name = METRIC_NAME.exec(line)?.[0] ?? fail('no metric name');
  let rest = line.slice(name.length);
  const labels: Record<string, string> = Object.create(null) as Record<string, string>;
  if (rest.startsWith('{')) {
    do {
      rest = rest.slice(1);
      const label = LABEL_NAME.exec(rest)?.[0] ?? fail(`no label name at ${rest.slice(0, 20)}`);
      if (label.startsWith('__')) fail(`the label name ${label} is reserved`);
      if (label in labels) fail(`two labels ${label}`);
      const value = /^="((?:[^"\\]|\\.)*)"/.exec(rest.slice(label.length));
      if (!value) return fail(`label ${label} has no quoted value`);
      labels[label] = unescape(value[1]!, '\\n"', fail);
      rest = rest.slice(label.length + value[0].length);
    } while (rest.startsWith(','));
    if (!rest.startsWith('}')) fail('the labels do not end');
    rest = rest.slice(1);
  }
  const parts = rest.split(' ');
  if (parts[0] !== '' || parts[1] === '' || parts.length < 2 || parts.length > 3)
    fail('expected one space and a value');
  const [, number = '', time] = parts;
  if (time !== undefined && !TIMESTAMP.test(time)) fail(`"${time}" is no timestamp`);
  return {
    name,
    labels,
    value: parseNumber(number) ?? fail(`"${number}" is no number`),
    timestamp: time === undefined ? undefined : Number(time),
  };
}

/** Null if the text is no number. */
function parseNumber(text: string): number | null {
  switch (text) {
    case 'NaN':
      return NaN;
    case '+Inf':
      return Infinity;
    case '-Inf':
      return -Infinity;
    default:
      return NUMBER.test(text) ? Number(text) : null;
  }
}

function unescape(text: string, allowed: string, fail: Fail): string {
  return text.replace(/\\(.?)/g, (_, char: string) => {
    if (char === '' || !allowed.includes(char)) fail(`the escape \\${char} does not exist here`);
    return char === 'n' ? '\n' : char;
  });
}

/** The family of this name, or an error that lists what there is. */
export function familyOf(families: readonly ParsedFamily[], name: string): ParsedFamily {
  const found = families.find((family) => family.name === name);
  if (!found) throw new Error(`no family ${name} among ${families.map((each) => each.name).join(', ')}`);
  return found;
}

/** Values of a family by its labels' values, joined by a slash in the order of the line; '' without labels. */
export function valuesOf(families: readonly ParsedFamily[], name: string): Record<string, number> {
  return Object.fromEntries(
    familyOf(families, name).samples.map(({ labels, value }) => [Object.values(labels).join('/'), value]),
  );
}
