/**
 * YAML read strictly: each scalar stays the text that it was written as, but null, which is an empty text as is a value that is
 * left out; every problem names its line and column.
 */
import { isMap, isNode, isScalar, LineCounter, parseDocument, visit } from 'yaml';
import { UsageError } from '../model/errors.ts';

export interface StrictYaml {
  /** Texts, lists and plain objects; null if the file holds nothing. */
  readonly value: unknown;
  /** Where the value at the path stands, or else what is nearest around it: `FILE:LINE:COLUMN`. */
  at(path: readonly PropertyKey[]): string;
  /** Where the key that the path ends in stands. */
  atKey(path: readonly PropertyKey[]): string;
}

const NULLS: readonly unknown[] = ['~', 'null', 'Null', 'NULL'];

/** @throws UsageError if the text is no YAML, or YAML that could be read in two ways. */
export function parseStrictYaml(text: string, file: string): StrictYaml {
  const lines = new LineCounter();
  const place = (offset: number): string => {
    const { line, col } = lines.linePos(offset);
    return `${file}:${Math.max(1, line)}:${Math.max(1, col)}`;
  };
  // The schema without types: what `yes`, `0x10` or `1_000` means is up to the key that it stands at.
  const document = parseDocument(text, { schema: 'failsafe', lineCounter: lines, prettyErrors: false });
  const [problem] = [...document.errors, ...document.warnings];
  if (problem) {
    const isSecond = problem.code === 'MULTIPLE_DOCS';
    const message = isSecond
      ? 'a second document begins here; expected a file of one'
      : firstLine(problem.message);
    throw new UsageError(`${place(problem.pos[0])}: ${message}`);
  }
  visit(document, {
    Scalar(key, node) {
      // In quotes it is a text, and a key may have any name.
      if (key !== 'key' && node.type === 'PLAIN' && !node.tag && NULLS.includes(node.value)) node.value = '';
    },
  });
  let value: unknown;
  try {
    value = document.toJS() as unknown;
  } catch (error) {
    throw new UsageError(`${file}:1:1: ${firstLine(error instanceof Error ? error.message : String(error))}`);
  }
  const at = (path: readonly PropertyKey[]): string => {
    const node: unknown = path.length === 0 ? document.contents : document.getIn(path, true);
    if (isNode(node) && node.range) return place(node.range[0]);
    return path.length === 0 ? place(0) : at(path.slice(0, -1));
  };
  const atKey = (path: readonly PropertyKey[]): string => {
    const parent: unknown = path.length < 2 ? document.contents : document.getIn(path.slice(0, -1), true);
    const pairs = isMap(parent) ? parent.items : [];
    const key = pairs.map((pair) => pair.key).find((each) => isScalar(each) && each.value === path.at(-1));
    return isNode(key) && key.range ? place(key.range[0]) : at(path);
  };
  return { value, at, atKey };
}

const firstLine = (message: string): string => message.split('\n', 1)[0]!;
