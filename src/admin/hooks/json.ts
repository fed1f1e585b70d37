/** Bodies of requests as JSON, within bounds that are checked before anything is built of them. */

/** The body of a request cannot be used. The message is for people, and repeats nothing of the body. */
export class BadRequestBody extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'BadRequestBody';
  }
}

const MAX_DEPTH = 16;
/** Names by which a value could reach the prototypes of others. */
const FORBIDDEN_KEYS: readonly string[] = ['__proto__', 'constructor', 'prototype'];
const BYTE_ORDER_MARK = Buffer.from('\uFEFF');
const [QUOTE, BACKSLASH, OPEN_BRACKET, CLOSE_BRACKET, OPEN_BRACE, CLOSE_BRACE] = Buffer.from('"\\[]{}');

/** @throws BadRequestBody */
export function parseJsonBody(bytes: Buffer): unknown {
  if (bytes.length === 0) throw new BadRequestBody('the body is empty: expected JSON');
  if (bytes.subarray(0, BYTE_ORDER_MARK.length).equals(BYTE_ORDER_MARK)) {
    throw new BadRequestBody('the body begins with a byte order mark: send UTF-8 without it');
  }
  refuseDepth(bytes);
  const value = parse(decode(bytes));
  refuseKeys(value);
  return value;
}

/** Bytes do for it: none of another character is equal to one that it looks for. */
function refuseDepth(bytes: Buffer): void {
  let depth = 0;
  let inText = false;
  for (let i = 0; i < bytes.length; i++) {
    const byte = bytes[i];
    if (inText) {
      if (byte === BACKSLASH) i += 1;
      else if (byte === QUOTE) inText = false;
    } else if (byte === QUOTE) {
      inText = true;
    } else if (byte === OPEN_BRACKET || byte === OPEN_BRACE) {
      depth += 1;
      if (depth > MAX_DEPTH) throw new BadRequestBody(`the body is nested deeper than ${MAX_DEPTH} levels`);
    } else if (byte === CLOSE_BRACKET || byte === CLOSE_BRACE) {
      depth -= 1;
    }
  }
}

function decode(bytes: Buffer): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw new BadRequestBody('the body is not UTF-8');
  }
}

/** Without the message of JSON.parse, which quotes the text. */
function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new BadRequestBody('the body is not JSON');
  }
}

function refuseKeys(value: unknown): void {
  if (typeof value !== 'object' || value === null) return;
  if (Array.isArray(value)) {
    for (const item of value) refuseKeys(item);
    return;
  }
  for (const [key, item] of Object.entries(value)) {
    if (FORBIDDEN_KEYS.includes(key)) throw new BadRequestBody(`the key ${key} is not allowed`);
    refuseKeys(item);
  }
}
