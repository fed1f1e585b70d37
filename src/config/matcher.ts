/** Matchers of labels as Alertmanager's classic parser reads them: `alertname="X"`, `severity=~"critical|warning"`. */
import { RE2JS } from 're2js';
import type { LabelMatcher } from '../model/admin.ts';
import { printable } from './flags.ts';

const PATTERN =
  /^(?<label>[a-zA-Z_][a-zA-Z0-9_]*)[\t\n\f\r ]*(?<operator>=~|!~|!=|=)[\t\n\f\r ]*(?<value>[^]*)$/;
const BLANKS = /^[\t\n\f\r ]+|[\t\n\f\r ]+$/g;

/** @throws SyntaxError with a text that completes "MATCHER: ..." */
export function parseMatcher(text: string): LabelMatcher {
  let inner = text.replace(BLANKS, '');
  if (inner.startsWith('{')) {
    if (!inner.endsWith('}')) throw new SyntaxError('the brace is not closed');
    inner = inner.slice(1, -1).replace(BLANKS, '');
  }
  const parts = PATTERN.exec(inner)?.groups;
  if (!parts) throw new SyntaxError('expected a label, one of = != =~ !~, and a value, such as job="rras"');
  const operator = parts['operator'] as LabelMatcher['operator'];
  const value = unquote(parts['value'] ?? '');
  if (operator === '=~' || operator === '!~') checkPattern(value);
  return { label: parts['label'] ?? '', operator, value };
}

/** The value without its quotes; `\\`, `\"` and `\n` are escapes in either case, any other backslash stands for itself. */
function unquote(raw: string): string {
  const quoted = raw.startsWith('"');
  let value = '';
  for (let index = quoted ? 1 : 0; index < raw.length; index++) {
    const char = raw.charAt(index);
    const last = index === raw.length - 1;
    if (char === '\\' && !last) {
      const escaped = raw.charAt(++index);
      value += escaped === 'n' ? '\n' : escaped === '"' || escaped === '\\' ? escaped : `\\${escaped}`;
    } else if (char === '"') {
      if (quoted && last) return value;
      throw new SyntaxError('a quote inside the value needs a backslash');
    } else if (char === ',' && !quoted) {
      // Alertmanager would begin another matcher here.
      throw new SyntaxError('one matcher per entry; a value with a comma needs quotes');
    } else {
      value += char;
    }
  }
  if (quoted) throw new SyntaxError('the quote is not closed');
  return value;
}

/** Matching takes time in proportion to this and to the text: a larger one would hold up everybody else. */
const MAX_PROGRAM = 2000;

function checkPattern(pattern: string): void {
  let size: number;
  try {
    size = RE2JS.compile(pattern).programSize();
  } catch (error) {
    const reason = error instanceof Error ? error.message.replace(/^error parsing regexp: /, '') : '';
    throw new SyntaxError(`not a regular expression of RE2: ${printable(reason)}`, { cause: error });
  }
  if (size > MAX_PROGRAM)
    throw new SyntaxError('the regular expression is too large: mind counted repetitions');
}
