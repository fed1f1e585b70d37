import fc from 'fast-check';
import { expect, test } from 'vitest';
import { parseMatcher } from '../../src/config/matcher.ts';
import { MATCH_OPERATORS } from '../../src/model/admin.ts';

test.each([
  // As Alertmanager's classic parser reads them.
  ['foo=bar', 'foo', '=', 'bar'],
  ['foo="bar"', 'foo', '=', 'bar'],
  ['foo!=bar', 'foo', '!=', 'bar'],
  ['foo=~"bar|baz"', 'foo', '=~', 'bar|baz'],
  ['foo!~bar', 'foo', '!~', 'bar'],
  ['  foo \t=~\n "bar" ', 'foo', '=~', 'bar'],
  ['foo=', 'foo', '=', ''],
  ['foo=""', 'foo', '=', ''],
  ['foo= bar baz ', 'foo', '=', 'bar baz'],
  ['foo=" bar "', 'foo', '=', ' bar '],
  ['foo==bar', 'foo', '=', '=bar'],
  ['foo=!bar', 'foo', '=', '!bar'],
  ['foo=~~bar', 'foo', '=~', '~bar'],
  ['_foo_1="x"', '_foo_1', '=', 'x'],
  ['foo="a\\"b"', 'foo', '=', 'a"b'],
  ['foo=a\\"b', 'foo', '=', 'a"b'],
  ['foo="a\\\\b"', 'foo', '=', 'a\\b'],
  ['foo="a\\nb"', 'foo', '=', 'a\nb'],
  ['foo="a\nb"', 'foo', '=', 'a\nb'],
  ['foo="a\\tb"', 'foo', '=', 'a\\tb'],
  ['foo=a\\', 'foo', '=', 'a\\'],
  ['foo=~"\\\\d+"', 'foo', '=~', '\\d+'],
  ['foo=~"\\d+"', 'foo', '=~', '\\d+'],
  ['foo="a,b"', 'foo', '=', 'a,b'],
  ['foo="Köln 🚀"', 'foo', '=', 'Köln 🚀'],
  ['{foo="bar"}', 'foo', '=', 'bar'],
  ['{ foo = bar }', 'foo', '=', 'bar'],
  ['foo="}"', 'foo', '=', '}'],
  ['foo=~x{2}', 'foo', '=~', 'x{2}'],
  ['foo=~"(?i)bar"', 'foo', '=~', '(?i)bar'],
  ['foo=~"\\pL[[:digit:]]"', 'foo', '=~', '\\pL[[:digit:]]'],
])('%j is read', (text, label, operator, value) => {
  expect(parseMatcher(text)).toEqual({ label, operator, value });
});

const SHAPE = 'expected a label, one of = != =~ !~, and a value, such as job="rras"';

test.each([
  ['', SHAPE],
  ['foo', SHAPE],
  ['="bar"', SHAPE],
  ['1foo=bar', SHAPE],
  ['foo-bar=baz', SHAPE],
  ['foo:bar=baz', SHAPE],
  ['"foo"=bar', SHAPE],
  ['foo~bar', SHAPE],
  ['foo<bar', SHAPE],
  ['{}', SHAPE],
  ['{{foo=bar}}', SHAPE],
  ['{foo=bar', 'the brace is not closed'],
  ['{', 'the brace is not closed'],
  ['foo="bar', 'the quote is not closed'],
  ['foo="', 'the quote is not closed'],
  ['foo="bar\\"', 'the quote is not closed'],
  ['foo=bar"', 'a quote inside the value needs a backslash'],
  ['foo=a"b', 'a quote inside the value needs a backslash'],
  ['foo="bar" baz', 'a quote inside the value needs a backslash'],
  ['foo="bar",baz="qux"', 'a quote inside the value needs a backslash'],
  ['foo=bar,baz=qux', 'one matcher per entry; a value with a comma needs quotes'],
  ['foo=~"("', 'not a regular expression of RE2: missing closing ): `(`'],
  ['foo!~"*"', 'not a regular expression of RE2: missing argument to repetition operator: `*`'],
  ['foo=~"(a)\\\\1"', 'not a regular expression of RE2: invalid escape sequence: `\\1`'],
  ['foo=~"(?=a)"', 'not a regular expression of RE2: invalid or unsupported Perl syntax: `(?=`'],
])('%j is refused: %s', (text, message) => {
  expect(() => parseMatcher(text)).toThrow(new SyntaxError(message));
});

test('what is quoted reads back as it was', () => {
  fc.assert(
    fc.property(fc.constantFrom('=', '!='), fc.string({ unit: 'binary' }), (operator, value) => {
      const quoted = value.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n');
      expect(parseMatcher(`a${operator}"${quoted}"`)).toEqual({ label: 'a', operator, value });
    }),
  );
});

test('any text is read or refused with one line', () => {
  const piece = fc.oneof(
    fc.constantFrom('a', '"', '\\', '(', '{', '}', ',', ' '),
    fc.string({ unit: 'binary' }),
  );
  fc.assert(
    fc.property(fc.constantFrom(...MATCH_OPERATORS), fc.array(piece), (operator, pieces) => {
      try {
        parseMatcher(`a${operator}${pieces.join('')}`);
      } catch (error) {
        expect(error).toBeInstanceOf(SyntaxError);
        expect((error as Error).message).not.toMatch(/[\p{Cc}\p{Zl}\p{Zp}]/u);
      }
    }),
    { numRuns: 2000 },
  );
});
