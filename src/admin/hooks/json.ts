/** Bodies of requests as data: strict JSON in UTF-8, of bounded depth, without keys that reach into prototypes. */

/** The body is no such JSON. The message holds nothing of its content. */
export class BadRequestBody extends Error {
  override readonly name = 'BadRequestBody';
}

const MAX_DEPTH = 16;
const FORBIDDEN_KEYS: ReadonlySet<string> = new Set(['__proto__', 'constructor', 'prototype']);

/** @throws BadRequestBody */
export function parseJsonBody(bytes: Uint8Array): unknown {
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw new BadRequestBody('the body is not UTF-8');
  }
  refuseDepth(text);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new BadRequestBody('the body is not JSON');
  }
  refuseKeys(value);
  return value;
}

/** Before it is parsed, as whatever walks deep data later may run out of stack. */
function refuseDepth(text: string): void {
  let depth = 0;
  let inString = false;
  for (let i = 0; i < text.length; i += 1) {
    const char = text.charCodeAt(i);
    if (inString) {
      if (char === 0x5c) i += 1;
      else if (char === 0x22) inString = false;
    } else if (char === 0x22) inString = true;
    else if (char === 0x5b || char === 0x7b) {
      depth += 1;
      if (depth > MAX_DEPTH) throw new BadRequestBody(`the body is nested more than ${MAX_DEPTH} deep`);
    } else if (char === 0x5d || char === 0x7d) depth -= 1;
  }
}

function refuseKeys(root: unknown): void {
  const waiting: unknown[] = [root];
  while (waiting.length > 0) {
    const value = waiting.pop();
    if (typeof value !== 'object' || value === null) continue;
    for (const key of Object.keys(value)) {
      if (FORBIDDEN_KEYS.has(key)) throw new BadRequestBody(`the key ${key} is not allowed`);
    }
    for (const part of Object.values(value)) waiting.push(part);
  }
}
