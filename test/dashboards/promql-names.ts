/**
 * What is wrong with the names in a PromQL expression: metrics that nobody exports, labels that a series does not have at
 * the place where they are asked for, and values that a label never takes. Labels are followed through the expression.
 */
import { parser } from '@prometheus-io/lezer-promql';
import { CATALOGUE } from '../../src/metrics/catalogue.ts';
import type { Family } from '../../src/metrics/catalogue.ts';
import { SelfMetrics } from '../../src/metrics/self.ts';
import { VOCABULARY } from '../metrics/contract.ts';

type SyntaxNode = ReturnType<typeof parser.parse>['topNode'];
type LabelSet = ReadonlySet<string>;

/** Labels by the name of a series, as it stands in an expression. */
export type KnownSeries = ReadonlyMap<string, LabelSet>;

/** What Prometheus adds to each series. */
const TARGET_LABELS = ['job', 'instance'];

/** Series of Prometheus itself that alerts and dashboards ask for. */
const PROMETHEUS_SERIES = ['up', 'scrape_duration_seconds', 'scrape_samples_scraped'];

/** prom-client's series of the process that are asked for. */
const PROCESS_SERIES = [
  'process_cpu_seconds_total',
  'process_resident_memory_bytes',
  'process_start_time_seconds',
];

function labelsOfFamily(family: Family): readonly string[] {
  switch (family.kind) {
    case 'connections':
      return family.label === undefined ? ['connection'] : ['connection', family.label];
    case 'identity':
      return ['connection', ...family.labels];
    case 'samples':
    case 'histogram':
      return family.labels;
  }
}

/** All series of the exporter, and those of Prometheus. */
export async function knownSeries(): Promise<Map<string, LabelSet>> {
  const self = new SelfMetrics({ version: '', simulated: false, startedAtSeconds: 0, process: true });
  self.admin({ paused: () => false, breakers: () => [] });
  self.otlp([]);
  const families = [
    ...CATALOGUE.map((family) => ({ ...family, labels: labelsOfFamily(family) })),
    ...(await self.describe()),
  ];
  const known = new Map<string, LabelSet>();
  const add = (name: string, labels: readonly string[]): void =>
    void known.set(name, new Set([...TARGET_LABELS, ...labels]));
  for (const { name, type, labels } of families) {
    if (!name.startsWith('rras_')) {
      // Of the process: only those that have no labels of their own.
      if (PROCESS_SERIES.includes(name)) add(name, []);
    } else if (type === 'histogram') {
      add(`${name}_bucket`, [...labels, 'le']);
      add(`${name}_sum`, labels);
      add(`${name}_count`, labels);
    } else add(name, labels);
  }
  for (const name of PROMETHEUS_SERIES) add(name, []);
  return known;
}

export interface Checked {
  /** Labels that the result may have. */
  readonly labels: LabelSet;
  readonly problems: readonly string[];
}

export function checkNames(expr: string, known: KnownSeries): Checked {
  const check = new Check(expr, known);
  const labels = check.labelsOf(parser.parse(expr).topNode) ?? new Set<string>();
  return { labels, problems: check.problems };
}

class Check {
  readonly problems: string[] = [];
  readonly #expr: string;
  readonly #known: KnownSeries;

  constructor(expr: string, known: KnownSeries) {
    this.#expr = expr;
    this.#known = known;
  }

  /** Undefined: no vector, so that nothing is known of labels and nothing to be checked. */
  labelsOf(node: SyntaxNode): LabelSet | undefined {
    if (node.type.isError) {
      this.problems.push(`syntax error at ${node.from}`);
      return undefined;
    }
    switch (node.name) {
      case 'VectorSelector':
        return this.#selector(node);
      case 'AggregateExpr':
        return this.#aggregate(node);
      case 'FunctionCall':
        return this.#call(node);
      case 'BinaryExpr':
        return this.#binary(node);
      default:
        return this.#union(children(node).map((child) => this.labelsOf(child)));
    }
  }

  #text(node: SyntaxNode): string {
    return this.#expr.slice(node.from, node.to);
  }

  #union(sets: readonly (LabelSet | undefined)[]): LabelSet | undefined {
    const found = sets.filter((set) => set !== undefined);
    return found.length === 0 ? undefined : new Set(found.flatMap((set) => [...set]));
  }

  #selector(node: SyntaxNode): LabelSet {
    const name = node.getChild('Identifier');
    const metric = name ? this.#text(name) : '';
    const labels = this.#known.get(metric);
    if (!labels) {
      this.problems.push(`no such metric: ${metric || this.#text(node)}`);
      return new Set();
    }
    for (const matcher of descendants(node, 'UnquotedLabelMatcher')) {
      const label = this.#text(matcher.getChild('LabelName')!);
      if (!labels.has(label)) this.problems.push(`${metric} has no label ${label}`);
      else this.#checkValue(metric, label, matcher);
    }
    return labels;
  }

  #checkValue(metric: string, label: string, matcher: SyntaxNode): void {
    const words = VOCABULARY[`${metric} ${label}`] ?? VOCABULARY[label];
    const value = this.#text(matcher.getChild('StringLiteral')!).slice(1, -1);
    const isRegex = this.#text(matcher.getChild('MatchOp')!).endsWith('~');
    // A variable of Grafana, or a pattern that is more than a list of words.
    if (!words || value.includes('$') || !/^[\w|]*$/.test(value)) return;
    for (const word of isRegex ? value.split('|') : [value]) {
      if (!words.includes(word)) this.problems.push(`${label} of ${metric} is never ${word}`);
    }
  }

  #grouping(node: SyntaxNode): string[] {
    return descendants(node, 'LabelName').map((label) => this.#text(label));
  }

  #mustHave(labels: LabelSet | undefined, wanted: readonly string[], where: SyntaxNode): void {
    if (!labels) return;
    for (const label of wanted) {
      if (!labels.has(label)) this.problems.push(`there is no label ${label} in ${this.#text(where)}`);
    }
  }

  #aggregate(node: SyntaxNode): LabelSet {
    const body = node.getChild('FunctionCallBody')!;
    const inner = this.labelsOf(body);
    const modifier = node.getChild('AggregateModifier');
    const isRank = /^(topk|bottomk|limitk|limit_ratio)$/.test(this.#text(node.firstChild!));
    if (!modifier) return isRank ? (inner ?? new Set()) : new Set();
    const labels = this.#grouping(modifier);
    this.#mustHave(inner, labels, body);
    if (isRank) return inner ?? new Set();
    if (modifier.getChild('By')) return new Set(labels);
    return new Set([...(inner ?? [])].filter((label) => !labels.includes(label)));
  }

  #call(node: SyntaxNode): LabelSet | undefined {
    const name = this.#text(node.firstChild!);
    const body = node.getChild('FunctionCallBody')!;
    const inner = this.labelsOf(body);
    switch (name) {
      case 'absent':
      case 'absent_over_time':
        return new Set();
      case 'histogram_quantile':
        this.#mustHave(inner, ['le'], body);
        return new Set([...(inner ?? [])].filter((label) => label !== 'le'));
      case 'label_replace': {
        const [to, , from] = descendants(body, 'StringLiteral')
          .slice(-4)
          .map((literal) => this.#text(literal).slice(1, -1));
        this.#mustHave(inner, [from!], body);
        return new Set([...(inner ?? []), to!]);
      }
      default:
        return inner;
    }
  }

  #binary(node: SyntaxNode): LabelSet | undefined {
    const parts = children(node);
    const left = this.labelsOf(parts[0]!);
    const right = this.labelsOf(parts.at(-1)!);
    for (const part of parts.slice(1, -1)) if (part.type.isError) this.labelsOf(part);
    const clause = node.getChild('MatchingModifierClause');
    const lists = clause?.getChildren('GroupingLabels') ?? [];
    const isOn = clause?.getChild('On') != null;
    const on = isOn ? this.#grouping(lists[0]!) : undefined;
    if (on) {
      this.#mustHave(left, on, parts[0]!);
      this.#mustHave(right, on, parts.at(-1)!);
    }
    if (node.getChild('Or')) return this.#union([left, right]);
    if (!left || !right) return left ?? right;
    if (node.getChild('And') ?? node.getChild('Unless')) return left;
    const extra = lists[1] ? this.#grouping(lists[1]) : [];
    if (clause?.getChild('GroupLeft')) {
      this.#mustHave(right, extra, parts.at(-1)!);
      return new Set([...left, ...extra]);
    }
    if (clause?.getChild('GroupRight')) {
      this.#mustHave(left, extra, parts[0]!);
      return new Set([...right, ...extra]);
    }
    return on ? new Set(on) : left;
  }
}

function children(node: SyntaxNode): SyntaxNode[] {
  const found: SyntaxNode[] = [];
  for (let child = node.firstChild; child; child = child.nextSibling) found.push(child);
  return found;
}

function descendants(node: SyntaxNode, name: string): SyntaxNode[] {
  return children(node).flatMap((child) => (child.name === name ? [child] : [...descendants(child, name)]));
}
