/** Errors that the program's edge treats differently from a failure at run time. */

/** The command line or the configuration cannot be used as it is: exit code 2. */
export class UsageError extends Error {
  /** What to do instead, without a full stop; '' if there is nothing to say. */
  readonly hint: string;

  constructor(message: string, hint = '') {
    super(message);
    this.name = 'UsageError';
    this.hint = hint;
  }
}

/** The configuration file, alone or together with the flags, cannot be used. */
export class ConfigFileError extends UsageError {
  constructor(message: string, hint = '') {
    super(message, hint);
    this.name = 'ConfigFileError';
  }
}
