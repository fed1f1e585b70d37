/**
 * YAML with positions: reads one document into plain values and tells where in the text each of them stands. What
 * YAML allows and nobody means in a configuration is refused: keys given twice, tags, hosts of aliases.
 */
import {
  isAlias,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  parseDocument,
  visit,
  type Document,
  type YAMLError,
} from 'yaml';
import { ConfigFileError } from '../model/errors.ts';
import { printable, quote } from './flags.ts';
import { SINGLE_QUOTES } from './path-text.ts';

const MAX_ALIASES = 100;

type Path = readonly PropertyKey[];

export class YamlFile {
  /** Plain values; undefined if the file is empty. */
  readonly value: unknown;
  readonly #file: string;
  readonly #lines = new LineCounter();
  readonly #document: Document.Parsed;

  /** `file` is how messages call it. @throws ConfigFileError */
  constructor(file: string, text: string) {
    this.#file = printable(file);
    this.#document = parseDocument(text, {
      lineCounter: this.#lines,
      prettyErrors: false,
      stringKeys: true,
      // Whatever a %YAML directive says.
      schema: 'core',
      merge: false,
      resolveKnownTags: false,
    });
    try {
      this.#refuseFaults();
      this.#refuseKeys();
      this.#refuseAliases();
      this.value = this.#document.toJS({ maxAliasCount: MAX_ALIASES }) ?? undefined;
    } catch (error) {
      if (error instanceof RangeError) throw this.#nestedTooDeep();
      // Aliases of aliases of aliases.
      if (!(error instanceof ReferenceError)) throw error;
      throw this.#error(0, 'the aliases stand for too much', 'write out what they stand for');
    }
  }

  /** `FILE:LINE:COLUMN: KEY: MESSAGE`; a path that leads nowhere is placed where it ends. */
  error(path: Path, message: string, hint = '', at: 'key' | 'value' = 'value'): ConfigFileError {
    return this.#error(
      this.offset(path, at),
      path.length === 0 ? message : `${keyText(path)}: ${message}`,
      hint,
    );
  }

  /** `FILE:LINE:COLUMN` of the key at `path`. */
  locate(path: Path): string {
    return this.#place(this.offset(path, 'key'));
  }

  /** Where in the text the value or key at `path` begins. */
  offset(path: Path, at: 'key' | 'value' = 'value'): number {
    let offset = startOf(this.#document.contents) ?? 0;
    let node: unknown = this.#document.contents;
    for (const [depth, part] of path.entries()) {
      node = isAlias(node) ? node.resolve(this.#document) : node;
      let key: unknown = null;
      if (isMap(node)) {
        const pair = node.items.find((each) => isScalar(each.key) && each.key.value === part);
        if (!pair) return offset;
        key = pair.key;
        node = pair.value;
      } else if (isSeq(node) && typeof part === 'number') {
        if (part >= node.items.length) return offset;
        node = node.items[part];
      } else {
        return offset;
      }
      const keyOffset = startOf(key);
      const empty = node === null || (isScalar(node) && node.range?.[0] === node.range?.[1]);
      const wantsKey = empty || (at === 'key' && depth === path.length - 1);
      offset = (wantsKey ? keyOffset : undefined) ?? startOf(node) ?? keyOffset ?? offset;
    }
    return offset;
  }

  #refuseFaults(): void {
    const { errors, warnings } = this.#document;
    const faults: YAMLError[] = [...errors, ...warnings].sort((a, b) => a.pos[0] - b.pos[0]);
    const fault = faults.find(({ code }) => code === 'RESOURCE_EXHAUSTION') ?? faults[0];
    if (!fault) return;
    const [offset] = fault.pos;
    switch (fault.code) {
      case 'DUPLICATE_KEY':
        throw this.#error(offset, `${this.#keyAt(offset)}is given more than once`);
      case 'TAB_AS_INDENT':
        throw this.#error(offset, 'YAML is indented by spaces, not by tabs');
      case 'MULTIPLE_DOCS':
        throw this.#error(offset, 'a second YAML document begins', 'leave one of them out');
      case 'BAD_DQ_ESCAPE':
        throw this.#error(offset, `not YAML: ${messageOf(fault)}`, SINGLE_QUOTES);
      case 'NON_STRING_KEY':
        throw this.#error(offset, 'a key must be plain text', 'a value with brackets or braces needs quotes');
      case 'TAG_RESOLVE_FAILED':
        throw this.#error(offset, 'a tag means nothing here', 'a value that begins with ! needs quotes');
      case 'RESOURCE_EXHAUSTION':
        throw this.#nestedTooDeep();
      default:
        throw this.#error(offset, `not YAML: ${messageOf(fault)}`);
    }
  }

  /** Of objects, these are no keys like others. */
  #refuseKeys(): void {
    visit(this.#document, {
      Pair: (_, { key }) => {
        if (isScalar(key) && key.value === '__proto__') {
          const offset = startOf(key) ?? 0;
          throw this.#error(offset, `${this.#keyAt(offset)}unknown key`);
        }
      },
    });
  }

  #refuseAliases(): void {
    let count = 0;
    visit(this.#document, {
      Alias: (_, alias, ancestors) => {
        const offset = startOf(alias) ?? 0;
        if (++count > MAX_ALIASES) throw this.#error(offset, `has more than ${MAX_ALIASES} aliases`);
        const target = alias.resolve(this.#document);
        const name = printable(`*${alias.source}`);
        if (!target) throw this.#error(offset, `${name} stands for nothing that comes before it`);
        if (ancestors.includes(target)) throw this.#error(offset, `${name} stands inside what it stands for`);
      },
    });
  }

  /** `KEY: ` of the key that begins at `offset`. */
  #keyAt(offset: number): string {
    let text = '';
    visit(this.#document, {
      Pair: (_, { key }, ancestors) => {
        if (!isScalar(key) || startOf(key) !== offset) return undefined;
        const path = ancestors.flatMap((node, depth): PropertyKey[] => {
          const next: unknown = ancestors[depth + 1];
          if (isSeq(node)) return [node.items.indexOf(next)];
          return typeof node === 'object' && 'key' in node && isScalar(node.key)
            ? [String(node.key.value)]
            : [];
        });
        text = `${keyText([...path, String(key.value)])}: `;
        return visit.BREAK;
      },
    });
    return text;
  }

  /** Where the stack ends is not for messages. */
  #nestedTooDeep(): ConfigFileError {
    return this.#error(0, 'is nested too deep');
  }

  #error(offset: number, message: string, hint = ''): ConfigFileError {
    return new ConfigFileError(`${this.#place(offset)}: ${message}`, hint);
  }

  #place(offset: number): string {
    const { line, col } = this.#lines.linePos(offset);
    return `${this.#file}:${Math.max(1, line)}:${Math.max(1, col)}`;
  }
}

const messageOf = ({ message }: YAMLError): string =>
  printable(message.charAt(0).toLowerCase() + message.slice(1));

function startOf(node: unknown): number | undefined {
  if (typeof node !== 'object' || node === null || !('range' in node)) return undefined;
  return (node.range as readonly number[] | null | undefined)?.[0];
}

/** `admin.tokens[0].name` */
export function keyText(path: Path): string {
  return path
    .map((part, index) => {
      if (typeof part === 'number') return `[${part}]`;
      const key = String(part);
      return `${index === 0 ? '' : '.'}${/^[\w.-]+$/.test(key) ? key : quote(key)}`;
    })
    .join('');
}
