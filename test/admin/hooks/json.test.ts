/** What is taken as the body of a request, and what is refused before anything comes of it. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BadRequestBody, parseJsonBody } from '../../../src/admin/hooks/json.ts';
import { anyJson } from '../../fixtures/hooks/any-text.ts';
import { manyAlerts } from '../../fixtures/hooks/payloads.ts';

const parse = (text: string): unknown => parseJsonBody(Buffer.from(text));
const nested = (levels: number): string => `${'['.repeat(levels)}${']'.repeat(levels)}`;

function refusal(body: string | Buffer): string {
  try {
    parseJsonBody(Buffer.from(body));
  } catch (error) {
    if (error instanceof BadRequestBody) return error.message;
    throw error;
  }
  throw new Error('it was taken');
}

describe('the body of a request', () => {
  it('is any JSON, with blanks around it', () => {
    for (const value of [null, true, 0, -1.5e3, 'ä€😀\0', [], {}, { a: [{ b: '"\\' }] }]) {
      expect(parse(` \r\n\t${JSON.stringify(value)}\n`)).toEqual(value);
    }
  });

  it('is read as JSON.parse reads it', () => {
    fc.assert(
      fc.property(
        anyJson().map((value) => JSON.stringify(value)),
        (text) => {
          fc.pre(!/__proto__|constructor|prototype/.test(text));
          expect(parse(text)).toEqual(JSON.parse(text));
        },
      ),
    );
  });

  it('H5 a hundred ordinary alerts pass', () => {
    const bytes = manyAlerts(100);
    expect(bytes.length).toBeGreaterThan(80_000);
    expect(bytes.length).toBeLessThan(84_000);
    expect(parseJsonBody(bytes)).toEqual(JSON.parse(bytes.toString()));
  });

  it.each([
    ['an empty one', Buffer.alloc(0), 'the body is empty: expected JSON'],
    ['one of blanks', Buffer.from('  \n'), 'the body is not JSON'],
    ['words', Buffer.from('password=hunter2'), 'the body is not JSON'],
    ['two values', Buffer.from('{}{}'), 'the body is not JSON'],
    ['a comma too many', Buffer.from('[1,]'), 'the body is not JSON'],
    ['a comment', Buffer.from('{} // hunter2'), 'the body is not JSON'],
    ['NaN', Buffer.from('NaN'), 'the body is not JSON'],
    ['half a text', Buffer.from('"hunter2'), 'the body is not JSON'],
    ['a backslash at the end', Buffer.from('"\\'), 'the body is not JSON'],
    ['closing brackets only', Buffer.from(']]]]'), 'the body is not JSON'],
    [
      'a byte order mark',
      Buffer.from('\uFEFF{}'),
      'the body begins with a byte order mark: send UTF-8 without it',
    ],
    ['UTF-16', Buffer.from('{}', 'utf16le'), 'the body is not JSON'],
    ['Latin 1', Buffer.from('"ä"', 'latin1'), 'the body is not UTF-8'],
    ['half a character', Buffer.from([0x22, 0xe2, 0x82, 0x22]), 'the body is not UTF-8'],
    ['an overlong quote', Buffer.from([0x22, 0xc0, 0xa2, 0x22]), 'the body is not UTF-8'],
    ['a surrogate in UTF-8', Buffer.from([0x22, 0xed, 0xa0, 0x80, 0x22]), 'the body is not UTF-8'],
  ])('H5 %s is refused, and not repeated', (_name, bytes, message) => {
    expect(refusal(bytes)).toBe(message);
  });

  it('H5 sixteen levels pass, seventeen do not', () => {
    expect(parse(nested(16))).toEqual(JSON.parse(nested(16)));
    expect(parse(`{"a":${nested(15)}}`)).toBeDefined();
    expect(refusal(nested(17))).toBe('the body is nested deeper than 16 levels');
    expect(refusal(`{"a":${nested(16)}}`)).toBe('the body is nested deeper than 16 levels');
  });

  it('H5 brackets in a text are no levels, nor do they stand after it in vain', () => {
    expect(parse(`["${'['.repeat(100)}","\\"${'{'.repeat(100)}\\\\"]`)).toBeDefined();
    expect(refusal(`["\\\\",${nested(16)}]`)).toBe('the body is nested deeper than 16 levels');
    // Next to each other, they are not within each other.
    expect(parse(`[${Array(1000).fill('[[]]').join(',')}]`)).toBeDefined();
  });

  it.each([
    ['arrays', nested(50_000)],
    ['arrays without an end', '['.repeat(50_000)],
    ['objects', `${'{"a":'.repeat(50_000)}1${'}'.repeat(50_000)}`],
    ['both', `${'[{"a":'.repeat(25_000)}1${'}]'.repeat(25_000)}`],
  ])('H5 50,000 levels of %s are a refusal and no overflow', (_name, text) => {
    const bytes = Buffer.from(text);
    const start = performance.now();
    expect(refusal(bytes)).toBe('the body is nested deeper than 16 levels');
    expect(performance.now() - start).toBeLessThan(100);
  });

  it.each(['__proto__', 'constructor', 'prototype'])('H6 the key %s is refused wherever it is', (key) => {
    const message = `the key ${key} is not allowed`;
    expect(refusal(`{"${key}":{"polluted":true}}`)).toBe(message);
    expect(refusal(`[1,{"a":[{"b":{"${key}":null}}]}]`)).toBe(message);
    expect(refusal(`{"${key}":1,"${key}":2}`)).toBe(message);
    const escaped = key.replace(/./g, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`);
    expect(refusal(`{"${escaped}":{"polluted":true}}`)).toBe(message);
    expect(({} as { polluted?: unknown }).polluted).toBeUndefined();
    // As a value it is a word like any other.
    expect(parse(`{"a":"${key}","${key}s":1}`)).toEqual({ a: key, [`${key}s`]: 1 });
  });

  it('H5 random bytes are a value or a refusal', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        try {
          parseJsonBody(Buffer.from(bytes));
        } catch (error) {
          expect(error).toBeInstanceOf(BadRequestBody);
        }
      }),
    );
  });
});
