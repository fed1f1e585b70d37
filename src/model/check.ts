/** What one look of `doctor` found. Texts hold no secret, no name of a user and no address of a client. */

/** `skipped`: there is nothing to look at here, or something else must be mended first. */
export type CheckStatus = 'ok' | 'warn' | 'fail' | 'skipped';

export interface Finding {
  readonly status: CheckStatus;
  /** One line. */
  readonly summary: string;
  /** What to type or click; there with every `fail` and `warn`. */
  readonly fix?: string;
  /** The same for programs. */
  readonly facts?: Readonly<Record<string, unknown>>;
}

export interface Check extends Finding {
  readonly name: string;
  /** How long it took. */
  readonly seconds: number;
}
