/** Traces as the rooms see them: what works is told of; whether anybody listens is not their business. */

export type SpanAttributes = Readonly<Record<string, string | number | boolean>>;

/** One piece of work, or a part of one. */
export interface Span {
  set(attributes: SpanAttributes): void;
  /** It did not succeed; `message` holds no personal data. */
  fail(message: string): void;
  /** A part that is over; it can have parts of its own. Times are monotonic milliseconds. */
  part(name: string, startMs: number, endMs: number, what?: PartOptions): Pick<Span, 'part'>;
}

export interface PartOptions {
  readonly attributes?: SpanAttributes;
  /** It did not succeed. */
  readonly failure?: string | undefined;
}

/** What a request brings of its caller's trace: the value of the header traceparent (W3C Trace Context). */
export type TraceParent = string;

export interface SpanOptions {
  readonly attributes?: SpanAttributes;
  /** The caller's trace goes on here. */
  readonly parent?: TraceParent | undefined;
  /** Whose doing this is, in a trace of its own. */
  readonly cause?: TraceParent | undefined;
}

export interface Tracing {
  /** Runs `work` as a span; what it rejects with is told of and passed on. */
  run<T>(name: string, options: SpanOptions, work: (span: Span) => Promise<T>): Promise<T>;
}

const silentSpan: Span = { set: () => undefined, fail: () => undefined, part: () => silentSpan };

/** For who exports no traces. */
export const noTracing: Tracing = { run: (_name, _options, work) => work(silentSpan) };
