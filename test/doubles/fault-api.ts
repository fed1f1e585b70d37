/**
 * Any RrasApi with one native call made to misbehave: the seam of the sweep in failure-modes.md. Faults go by the shape
 * of an answer and not by its method; a method added to RrasApi does not compile here until it is passed on.
 */
import type { CodeResult, EnumPage, InfoResult, NativeBuffer, RrasApi } from '../../src/model/rras-api.ts';
import { POISON } from '../../src/native/simulator/heap.ts';

export type RrasMethod = Exclude<keyof RrasApi, 'missing'>;

export type Fault =
  /** The call fails with this code and leaves no buffer. */
  | { readonly kind: 'code'; readonly code: number }
  /** The call rejects, as it does for an absent export or a bug. */
  | { readonly kind: 'throw'; readonly error?: Error }
  /** The call never ends. */
  | { readonly kind: 'hang' }
  /** Success and a count, but no buffer. */
  | { readonly kind: 'null_buffer' }
  /** 234 with zero entries and no progress. */
  | { readonly kind: 'empty_more' }
  /** More entries are claimed than there are. */
  | { readonly kind: 'count_lie'; readonly entriesRead: number }
  /** Of the buffer only the first bytes are sound; heap garbage follows. */
  | { readonly kind: 'truncated'; readonly bytes: number };

export interface FaultOptions {
  readonly fault: Fault;
  /** Which call misbehaves, from 1; counted over all methods, or over those of `method`. */
  readonly at: number;
  readonly method?: RrasMethod | undefined;
  /** persistent: this call and every later one that counts. */
  readonly mode: 'once' | 'persistent';
}

export interface RecordedCall {
  readonly method: RrasMethod;
  readonly args: readonly unknown[];
  /** The fault that this call met, if any. */
  readonly fault: Fault['kind'] | null;
}

export interface FaultApi extends RrasApi {
  /** Every call in its order, the misbehaving ones included. */
  readonly calls: readonly RecordedCall[];
  /** How many calls met the fault: 0 ends the sweep's loop over n. */
  readonly fired: number;
  /** The most calls that were under way at the same time; more than 1 breaks the API's contract. */
  readonly maxInFlight: number;
}

const MORE_DATA = 234;

export function withFault(api: RrasApi, options: FaultOptions): FaultApi {
  const { fault, at, method: only, mode } = options;
  const calls: RecordedCall[] = [];
  let counted = 0;
  let fired = 0;
  let inFlight = 0;
  let maxInFlight = 0;

  const run = async <R>(method: RrasMethod, args: readonly unknown[], real: () => Promise<R>): Promise<R> => {
    const counts = only === undefined || only === method;
    if (counts) counted++;
    const meets = counts && (mode === 'once' ? counted === at : counted >= at);
    calls.push({ method, args, fault: meets ? fault.kind : null });
    if (meets) fired++;
    inFlight++;
    maxInFlight = Math.max(maxInFlight, inFlight);
    try {
      return meets ? await misbehave(fault, method, args, real) : await real();
    } finally {
      inFlight--;
    }
  };

  return {
    get missing() {
      return api.missing;
    },
    calls,
    get fired() {
      return fired;
    },
    get maxInFlight() {
      return maxInFlight;
    },
    serverConnect: (...args) => run('serverConnect', args, () => api.serverConnect(...args)),
    serverDisconnect: (...args) => run('serverDisconnect', args, () => api.serverDisconnect(...args)),
    isServiceInitialized: (...args) =>
      run('isServiceInitialized', args, () => api.isServiceInitialized(...args)),
    serverGetInfo: (...args) => run('serverGetInfo', args, () => api.serverGetInfo(...args)),
    connectionEnumEx: (...args) => run('connectionEnumEx', args, () => api.connectionEnumEx(...args)),
    connectionEnum: (...args) => run('connectionEnum', args, () => api.connectionEnum(...args)),
    portEnum: (...args) => run('portEnum', args, () => api.portEnum(...args)),
    interfaceEnum: (...args) => run('interfaceEnum', args, () => api.interfaceEnum(...args)),
    interfaceGetHandle: (...args) => run('interfaceGetHandle', args, () => api.interfaceGetHandle(...args)),
    interfaceGetInfo: (...args) => run('interfaceGetInfo', args, () => api.interfaceGetInfo(...args)),
    interfaceConnect: (...args) => run('interfaceConnect', args, () => api.interfaceConnect(...args)),
    interfaceDisconnect: (...args) =>
      run('interfaceDisconnect', args, () => api.interfaceDisconnect(...args)),
    updateConnection: (...args) => run('updateConnection', args, () => api.updateConnection(...args)),
    portDisconnect: (...args) => run('portDisconnect', args, () => api.portDisconnect(...args)),
    errorString: (...args) => run('errorString', args, () => api.errorString(...args)),
  };
}

/**
 * A fault that a method's answer has no room for leaves the answer as it is. The real call is made wherever its
 * answer is used: what the server allocated is then freed here if the caller never gets to see it.
 */
async function misbehave<R>(
  fault: Fault,
  method: RrasMethod,
  args: readonly unknown[],
  real: () => Promise<R>,
): Promise<R> {
  switch (fault.kind) {
    case 'throw':
      throw fault.error ?? new TypeError(`${method}: injected fault`);
    case 'hang':
      return new Promise<never>(() => undefined);
    case 'code':
      return failure(method, fault.code) as R;
    case 'empty_more':
      return isEnumeration(method) ? (noProgress(args.at(-1) as number) as R) : real();
    default:
      return spoil(fault, await real());
  }
}

function spoil<R>(fault: Extract<Fault, { kind: 'null_buffer' | 'count_lie' | 'truncated' }>, answer: R): R {
  const { buffer, entriesRead } = (answer ?? {}) as Partial<EnumPage>;
  if (!buffer) return answer;
  switch (fault.kind) {
    case 'null_buffer':
      buffer.free();
      return { ...answer, buffer: null };
    case 'count_lie':
      return entriesRead === undefined ? answer : { ...answer, entriesRead: fault.entriesRead };
    case 'truncated':
      return { ...answer, buffer: truncated(buffer, fault.bytes) };
  }
}

/** What each method's failed call looks like. After an error the resume handle is void. */
function failure(method: RrasMethod, code: number): unknown {
  if (isEnumeration(method)) {
    return { code, buffer: null, entriesRead: 0, totalEntries: 0, resumeHandle: 0xffff_ffff };
  }
  switch (method) {
    case 'serverConnect':
    case 'interfaceGetHandle':
      return { code, handle: 0n };
    case 'isServiceInitialized':
      return { code, initialized: false };
    case 'serverGetInfo':
    case 'interfaceGetInfo':
      return { code, buffer: null } satisfies InfoResult;
    case 'interfaceConnect':
    case 'interfaceDisconnect':
    case 'updateConnection':
    case 'portDisconnect':
      return { code } satisfies CodeResult;
    case 'errorString':
      return null;
    default:
      return undefined;
  }
}

const isEnumeration = (method: RrasMethod): boolean => method.endsWith('Enum') || method.endsWith('EnumEx');

/** Every enumeration takes the resume handle last. */
const noProgress = (resumeHandle: number): EnumPage => ({
  code: MORE_DATA,
  buffer: null,
  entriesRead: 0,
  totalEntries: 1,
  resumeHandle,
});

/** Any length may be viewed, as on a real heap; what lies past the sound bytes is garbage. */
function truncated(buffer: NativeBuffer, bytes: number): NativeBuffer {
  return {
    view(length) {
      const sound = buffer.view(Math.min(bytes, length));
      const view = new Uint8Array(length).fill(POISON);
      view.set(sound);
      return view;
    },
    free: () => {
      buffer.free();
    },
  };
}
