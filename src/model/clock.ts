/** Time as the program sees it: monotonic for every interval, deadline and age; wall time only for what is shown. */

export interface Clock {
  /** Milliseconds since an arbitrary start; never goes back. */
  monotonicMs(): number;
  /** Unix time in seconds, as the system clock says; may jump. */
  wallSeconds(): number;
  /** Resolves after `ms`; rejects with the signal's reason when it is aborted. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}
