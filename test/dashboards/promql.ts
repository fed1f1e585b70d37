/** What PromQL expressions are made of, by the grammar of Prometheus' own editor. */
import { parser } from '@prometheus-io/lezer-promql';

type Node = ReturnType<typeof parser.parse>['topNode'];

export interface Matcher {
  readonly label: string;
  readonly operator: string;
  readonly value: string;
}

export interface Selector {
  readonly metric: string;
  readonly matchers: readonly Matcher[];
  /** Of the range selector that it stands in; undefined outside of one. */
  readonly range: string | undefined;
  /** The function that is called on the range. */
  readonly call: string | undefined;
}

export interface Expression {
  /** Where the grammar is broken. */
  readonly errors: readonly number[];
  readonly selectors: readonly Selector[];
  /** Labels of by, without, on, ignoring and group_left. */
  readonly grouping: readonly string[];
}

/** In the place of Grafana's durations, which are no PromQL. */
export const DURATIONS = { $__rate_interval: '7m7s', $__range: '8m8s', $__interval: '9m9s' } as const;

const withDurations = (expr: string): string =>
  expr.replaceAll(
    /\$__(?:rate_interval|range|interval)\b/g,
    (name) => DURATIONS[name as keyof typeof DURATIONS],
  );

export function parseExpression(grafanaExpr: string): Expression {
  const expr = withDurations(grafanaExpr);
  const text = ({ from, to }: Node): string => expr.slice(from, to);
  const errors: number[] = [];
  const selectors: Selector[] = [];
  const grouping: string[] = [];
  parser.parse(expr).iterate({
    enter: ({ node, type, from }) => {
      if (type.isError) errors.push(from);
      if (type.name === 'LabelName' && node.parent?.name === 'GroupingLabels') grouping.push(text(node));
      if (type.name === 'VectorSelector') selectors.push(selectorOf(node, text));
    },
  });
  if (expr.trim() === '') errors.push(0);
  return { errors, selectors, grouping };
}

function selectorOf(node: Node, text: (node: Node) => string): Selector {
  const identifier = node.getChild('Identifier');
  const matchers = (node.getChild('LabelMatchers')?.getChildren('UnquotedLabelMatcher') ?? []).map(
    (matcher) => ({
      label: text(matcher.getChild('LabelName')!),
      operator: text(matcher.getChild('MatchOp')!),
      value: text(matcher.getChild('StringLiteral')!).slice(1, -1),
    }),
  );
  const matrix = node.parent?.name === 'MatrixSelector' ? node.parent : undefined;
  // An @ stands between the range and the call.
  const inner = matrix?.parent?.name === 'StepInvariantExpr' ? matrix.parent : matrix;
  const call = inner?.parent?.name === 'FunctionCallBody' ? inner.parent.parent : undefined;
  const name = call?.getChild('FunctionIdentifier');
  return {
    metric: identifier ? text(identifier) : '',
    matchers,
    range: matrix && /\[(.+)\]$/s.exec(text(matrix))?.[1],
    call: name ? text(name) : undefined,
  };
}
