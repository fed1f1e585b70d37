/** Errors as text for a log line or the last line of a program. */

/** Ends chains of causes that lead back to themselves. */
const MAX_CAUSES = 5;

/** An error and its causes on one line: `message (CODE): cause (CODE)`. Never throws. */
export function describeError(error: unknown): string {
  const parts: string[] = [];
  let current: unknown = error;
  while (current !== undefined && current !== null && parts.length < MAX_CAUSES) {
    parts.push(oneError(current));
    current = current instanceof Error ? current.cause : undefined;
  }
  if (parts.length === 0) return 'nothing was thrown';
  return parts.join(': ').replace(/\s*[\r\n]+\s*/g, ' ');
}

function oneError(error: unknown): string {
  if (!(error instanceof Error)) return typeof error === 'string' ? error : `thrown: ${typeof error}`;
  if (error.message === '' && error instanceof AggregateError && error.errors.length > 0) {
    return error.errors.slice(0, MAX_CAUSES).map(oneError).join('; ');
  }
  const code = 'code' in error && typeof error.code === 'string' ? error.code : '';
  const text = error.message === '' ? error.name : error.message;
  return code === '' || text.includes(code) ? text : `${text} (${code})`;
}
