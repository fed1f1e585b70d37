/** The log as every room sees it. Messages and fields must hold no personal data beyond what the privacy mode allows. */

/**
 * Values of a line. An `Error` is written on one line with its causes; `undefined` is left out. A key holds letters,
 * digits, `_`, `.` and `-`; units stand in its name.
 */
export type LogFields = Readonly<Record<string, unknown>>;

/** One line per call; none throws. Safe to call with `const { info } = logger`. */
export interface Logger {
  readonly debug: (message: string, fields?: LogFields) => void;
  readonly info: (message: string, fields?: LogFields) => void;
  readonly warn: (message: string, fields?: LogFields) => void;
  readonly error: (message: string, fields?: LogFields) => void;
}
