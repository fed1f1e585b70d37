/** The key of the attempts for an alert: one for each fingerprint, start and rule. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { attemptKey } from '../../../src/admin/hooks/attempt-key.ts';
import { anyText } from '../../fixtures/hooks/any-text.ts';

type Parts = readonly [string, string, string];
const part = fc.oneof(anyText(), fc.stringMatching(/^[\d:,"\0 ]{0,4}$/));
const parts = fc.tuple(part, part, part);
const isSame = (a: Parts, b: Parts): boolean => a.every((text, i) => text === b[i]);

describe('the key of an attempt', () => {
  it('A1 stays what it was: the audit logs of earlier versions hold it', () => {
    expect(attemptKey('1a30ba71cca2921f', '2026-03-02T04:17:11.783Z', 'reconnect-site')).toBe(
      '518c3c5c6c18dcdd81cb6efb802a12fc7da0ca4880e7e917bebeb0ac56564d60',
    );
  });

  it('S2 is another for any other parts', () => {
    fc.assert(
      fc.property(parts, parts, (a, b) => {
        expect(attemptKey(...a) === attemptKey(...b)).toBe(isSame(a, b));
      }),
      { numRuns: 1000 },
    );
  });

  it('S2 does not depend on the joined text alone', () => {
    const split = fc.tuple(anyText(), fc.nat(), fc.nat(), fc.nat(), fc.nat());
    const cut = (text: string, a: number, b: number): Parts => {
      const [from, to] = [a % (text.length + 1), b % (text.length + 1)].toSorted((x, y) => x - y);
      return [text.slice(0, from), text.slice(from, to), text.slice(to)];
    };
    fc.assert(
      fc.property(split, ([text, a, b, c, d]) => {
        const [one, other] = [cut(text, a, b), cut(text, c, d)];
        expect(attemptKey(...one) === attemptKey(...other)).toBe(isSame(one, other));
      }),
      { numRuns: 1000 },
    );
  });

  it('S2 tells apart what UTF-8 cannot', () => {
    const keys = ['\ud800', '\udbff', '\ufffd', '\udc00'].map((rule) => attemptKey('a', 'b', rule));
    expect(new Set(keys).size).toBe(4);
  });

  it('S2 does not mistake a length for a text', () => {
    const keys = [
      attemptKey('', '', ''),
      attemptKey('0:', '', ''),
      attemptKey('', '0:', ''),
      attemptKey('a', '', ''),
      attemptKey('', 'a', ''),
      attemptKey('', '', 'a'),
      attemptKey('a', 'b', 'c'),
      attemptKey('c', 'b', 'a'),
      attemptKey('é', '', ''),
      attemptKey('e\u0301', '', ''),
    ];
    expect(new Set(keys).size).toBe(keys.length);
  });
});
