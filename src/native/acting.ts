/**
 * The calls that one request for an action takes, in their order. It makes the call that changes something at most
 * once, on a handle looked up right before it, and never one whose effect on another interface or session it could
 * not rule out.
 */
import type {
  ActName,
  ActOutcome,
  ActRequest,
  ConnectionNow,
  InterfaceNow,
  SessionMark,
} from '../model/actions.ts';
import type { CodeResult, Handle, InfoResult, NativeFunction, RrasApi } from '../model/rras-api.ts';
import { ERROR_INVALID_HANDLE, isStale, NO_ERROR, outcomeOfCode } from './codes.ts';
import { decodeInterface } from './decode.ts';
import { BadValue, encodeUpdateConnection } from './encode.ts';
import { fieldOf, INVALID_HANDLE_VALUE, MPR_INTERFACE_0 } from './layout.ts';

/** What acting needs of the host: one server, one call at a time. Its enumerations throw what ends a read. */
export interface Line {
  readonly api: RrasApi;
  has(name: NativeFunction): boolean;
  /** One call on the server handle, connecting first if need be; answers its code whatever it is. */
  call<R extends CodeResult>(name: NativeFunction, call: (handle: Handle) => Promise<R>): Promise<R>;
  /** Ports that the connection holds; null: there is no such connection. */
  portsOf(connection: Handle): Promise<ReadonlySet<Handle> | null>;
  /** `handle` in 16 hexadecimal digits. */
  findConnection(handle: string): Promise<ConnectionNow | undefined>;
}

export interface Attempt {
  readonly outcome: ActOutcome;
  /** The call that decided; without one the request was refused, or its object not found, before any. */
  readonly function?: NativeFunction;
  readonly code?: number;
  /** Why, where no call says it. */
  readonly reason?: string;
  /** It did not get through to the service, and a new server handle may. */
  readonly repeatable?: boolean;
  readonly interfaceNow?: InterfaceNow;
  readonly connectionNow?: ConnectionNow;
}

const LEVEL_0 = 0;
const HANDLE = /^[0-9a-f]{16}$/;
/** Far more links than any multilink bundle has. */
const MAX_LINKS = 256;
const LONGEST_NAME = fieldOf(MPR_INTERFACE_0, 'wszInterfaceName').size / 2 - 1;

type Request<A extends ActName> = Extract<ActRequest, { action: A }>;

export class Acting {
  readonly #line: Line;
  #underway = false;

  constructor(line: Line) {
    this.#line = line;
  }

  /** The call that changes something was made and has not answered. */
  get underway(): boolean {
    return this.#underway;
  }

  /** One attempt, from the lookup on. */
  async attempt(request: ActRequest): Promise<Attempt> {
    const nonsense = objectionTo(request);
    if (nonsense !== undefined) return { outcome: 'our_error', reason: nonsense };
    switch (request.action) {
      case 'connect':
      case 'disconnect':
        return this.#dial(request);
      case 'update_endpoint':
        return this.#updateEndpoint(request);
      case 'hang_up':
        return this.#hangUp(request);
      case 'inspect_interface':
        return this.#inspectInterface(request);
      case 'inspect_connection':
        return this.#inspectConnection(request);
    }
  }

  async #dial(request: Request<'connect' | 'disconnect'>): Promise<Attempt> {
    const { action } = request;
    const { api } = this.#line;
    const name = action === 'connect' ? 'MprAdminInterfaceConnect' : 'MprAdminInterfaceDisconnect';
    if (!this.#line.has(name)) return lacking(name);
    const target = await this.#resolve(request);
    if (typeof target !== 'bigint') return target;
    return this.#change(action, name, (handle) =>
      action === 'connect' ? api.interfaceConnect(handle, target) : api.interfaceDisconnect(handle, target),
    );
  }

  async #updateEndpoint(request: Request<'update_endpoint'>): Promise<Attempt> {
    const name = 'MprAdminUpdateConnection';
    if (!this.#line.has(name)) return lacking(name);
    const bytes = encodeUpdateConnection(request);
    if (request.session) {
      const found = await this.#find(request);
      if (!found) return { outcome: 'gone', reason: 'that session has ended' };
      if (found.tunnel !== 'ikev2') return { outcome: 'refused', reason: 'it is no IKEv2 connection' };
    }
    return this.#change('update_endpoint', name, (handle) =>
      this.#line.api.updateConnection(handle, handleOf(request.connectionHandle), bytes),
    );
  }

  /** The ports are listed anew before each is hung up: meanwhile another session may have taken one of them. */
  async #hangUp(request: Request<'hang_up'>): Promise<Attempt> {
    const name = 'MprAdminPortDisconnect';
    if (!this.#line.has(name)) return lacking(name);
    const connection = handleOf(request.connectionHandle);
    if (request.session && !(await this.#find(request))) {
      return { outcome: 'gone', reason: 'that session has ended' };
    }
    const tried = new Set<Handle>();
    let result: Attempt = { outcome: 'gone', reason: 'no port is held by that connection' };
    while (tried.size < MAX_LINKS) {
      const held = await this.#line.portsOf(connection);
      const port = [...(held ?? [])].find((each) => !tried.has(each));
      if (held === null || port === undefined) break;
      tried.add(port);
      const hungUp = await this.#change('hang_up', name, (handle) =>
        this.#line.api.portDisconnect(handle, port),
      );
      if (!['done', 'in_progress', 'gone'].includes(hungUp.outcome)) return hungUp;
      // A port that was released by itself in between takes nothing back of the others.
      if (result.outcome === 'gone' || hungUp.outcome === 'in_progress') result = hungUp;
      if ([...held].every((each) => tried.has(each))) break;
    }
    return result;
  }

  async #inspectInterface(request: Request<'inspect_interface'>): Promise<Attempt> {
    const name = 'MprAdminInterfaceGetInfo';
    if (!this.#line.has(name)) return lacking(name);
    const byName = 'interfaceName' in request;
    const target = byName ? await this.#resolve(request) : handleOf(request.interfaceHandle);
    if (typeof target !== 'bigint') return target;
    return this.#interfaceInfo(target, byName);
  }

  async #inspectConnection(request: Request<'inspect_connection'>): Promise<Attempt> {
    const connectionNow = await this.#find(request);
    return connectionNow ? { outcome: 'done', code: NO_ERROR, connectionNow } : { outcome: 'gone' };
  }

  /** hInterface of that name, client interfaces left out: those bear their users' names. */
  async #resolve(request: {
    readonly interfaceName: string;
    readonly interfaceHandle?: string;
  }): Promise<Handle | Attempt> {
    const name = 'MprAdminInterfaceGetHandle';
    const { interfaceName, interfaceHandle } = request;
    if (!this.#line.has(name)) {
      if (interfaceHandle === undefined || !this.#line.has('MprAdminInterfaceGetInfo')) return lacking(name);
      const known = handleOf(interfaceHandle);
      const info = await this.#interfaceInfo(known, false);
      if (!info.interfaceNow) return info;
      return info.interfaceNow.name === interfaceName ? known : { outcome: 'gone' };
    }
    const { code, handle } = await this.#line.call(name, (server) =>
      this.#line.api.interfaceGetHandle(server, interfaceName, false),
    );
    if (code !== NO_ERROR) return lookedUp(name, code, true);
    if (!isUsable(handle)) return { outcome: 'retryable', function: name, reason: 'no handle was given' };
    return handle;
  }

  /** Level 0. `byName`: another handle may be had for the name. */
  async #interfaceInfo(target: Handle, byName: boolean): Promise<Attempt> {
    const name = 'MprAdminInterfaceGetInfo';
    const { code, buffer }: InfoResult = await this.#line.call(name, (handle) =>
      this.#line.api.interfaceGetInfo(handle, target, LEVEL_0),
    );
    try {
      if (code !== NO_ERROR) return lookedUp(name, code, byName);
      if (!buffer) return { outcome: 'retryable', function: name, reason: 'no buffer was given' };
      return { outcome: 'done', code, interfaceNow: decodeInterface(buffer.view(MPR_INTERFACE_0.size)) };
    } finally {
      buffer?.free();
    }
  }

  /** The connection with this handle, if it is the session that was meant. */
  async #find(request: {
    readonly connectionHandle: string;
    readonly session?: SessionMark;
  }): Promise<ConnectionNow | undefined> {
    const found = await this.#line.findConnection(request.connectionHandle);
    const { session } = request;
    if (!found || !session) return found;
    const differs = (a: string, b: string): boolean => a !== '' && b !== '' && a !== b;
    const another = differs(found.guid, session.guid) || differs(found.startTicks, session.startTicks);
    return another ? undefined : found;
  }

  /** The one call that changes something. */
  async #change(
    action: ActName,
    name: NativeFunction,
    call: (handle: Handle) => Promise<CodeResult>,
  ): Promise<Attempt> {
    const { code } = await this.#line.call(name, (handle) => {
      this.#underway = true;
      return call(handle);
    });
    this.#underway = false;
    const outcome = outcomeOfCode(action, code);
    const byName = action === 'connect' || action === 'disconnect';
    return { outcome, function: name, code, repeatable: outcome !== 'unknown' && isWorthIt(code, byName) };
  }
}

/** Of an object's own handle ERROR_INVALID_HANDLE says nothing about the server's, unless a name gives a new one. */
const isWorthIt = (code: number, byName: boolean): boolean =>
  isStale(code) && (byName || code !== ERROR_INVALID_HANDLE);

/** What the failure of a call that only looks means: nothing was done, so nothing is unknown. */
function lookedUp(name: NativeFunction, code: number, byName: boolean): Attempt {
  return { outcome: lookOutcome(code), function: name, code, repeatable: isWorthIt(code, byName) };
}

/** The outcome of a request that ended with this code before anything was changed. */
export function lookOutcome(code: number): ActOutcome {
  const outcome = outcomeOfCode('inspect_interface', code);
  return outcome === 'unknown' ? 'retryable' : outcome;
}

const lacking = (name: NativeFunction): Attempt => ({
  outcome: 'refused',
  function: name,
  reason: `mprapi.dll has no ${name}`,
});

const handleOf = (digits: string): Handle => BigInt(`0x${digits}`);
/** Neither NULL nor the value that stands for all ports. */
const isUsable = (handle: Handle): boolean => handle !== 0n && handle !== INVALID_HANDLE_VALUE;

/** Why this must not reach the API, if so. */
function objectionTo(request: ActRequest): string | undefined {
  if ('interfaceName' in request) {
    const { interfaceName } = request;
    if (interfaceName === '' || interfaceName.length > LONGEST_NAME) return 'no interface can have that name';
    // The API would take the part before it for the name.
    if (interfaceName.includes('\0')) return 'no interface can have that name';
  }
  for (const digits of ['interfaceHandle', 'connectionHandle'] as const) {
    if (!(digits in request)) continue;
    const text = (request as Partial<Record<typeof digits, string>>)[digits] ?? '';
    if (!HANDLE.test(text) || !isUsable(handleOf(text))) return `${digits} is no handle`;
  }
  if (request.action !== 'update_endpoint') return undefined;
  try {
    encodeUpdateConnection(request);
    return undefined;
  } catch (error) {
    if (error instanceof BadValue) return error.message;
    throw error;
  }
}
