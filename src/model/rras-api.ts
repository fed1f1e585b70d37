/**
 * The seam to the operating system: the calls of mprapi.dll that the exporter makes, with raw bytes as answers.
 * The DLL, the simulator and a recording all stand behind it, so that everything after it runs unchanged on each.
 */

/** Exports of mprapi.dll that the program knows; one that a server's DLL lacks is listed in `RrasApi.missing`. */
export const NATIVE_FUNCTIONS = [
  'MprAdminServerConnect',
  'MprAdminServerDisconnect',
  'MprAdminIsServiceInitialized',
  'MprAdminServerGetInfo',
  'MprAdminConnectionEnumEx',
  'MprAdminConnectionEnum',
  'MprAdminUpdateConnection',
  'MprAdminPortEnum',
  'MprAdminPortDisconnect',
  'MprAdminInterfaceEnum',
  'MprAdminInterfaceGetHandle',
  'MprAdminInterfaceGetInfo',
  'MprAdminInterfaceConnect',
  'MprAdminInterfaceDisconnect',
  'MprAdminRegisterConnectionNotification',
  'MprAdminDeregisterConnectionNotification',
  'MprAdminGetErrorString',
  'MprAdminBufferFree',
] as const;
export type NativeFunction = (typeof NATIVE_FUNCTIONS)[number];

/** An opaque, pointer-sized value: never interpreted, never closed. */
export type Handle = bigint;

/** A block that the API allocated. It must be freed exactly once; nothing may read a view after that. */
export interface NativeBuffer {
  /** The first `length` bytes, without a copy. The API does not tell a block's size: the caller must know it. */
  view(length: number): Uint8Array;
  free(): void;
}

/** A Win32 code (0 = NO_ERROR) and, where the call left one, its buffer: to be freed whatever the code is. */
export interface InfoResult {
  readonly code: number;
  readonly buffer: NativeBuffer | null;
}

/** The answer of a call that leaves nothing but its code. */
export interface CodeResult {
  readonly code: number;
}

/** One call of an enumeration. `code` 234 (ERROR_MORE_DATA): call again with `resumeHandle` as it is. */
export interface EnumPage extends InfoResult {
  readonly entriesRead: number;
  /** Counts from the current position, not from the start: a hint only. */
  readonly totalEntries: number;
  readonly resumeHandle: number;
}

/** MPRAPI_OBJECT_HEADER. `size` in bytes of the whole structure. */
export interface ObjectHeader {
  readonly revision: number;
  readonly type: number;
  readonly size: number;
}

/** An auto-reset event of the operating system. */
export interface ChangeEvent {
  readonly handle: Handle;
  /** True once it is signalled, which resets it; false after `timeoutMs`. Rejects if it cannot be waited for. */
  wait(timeoutMs: number): Promise<boolean>;
}

/** Signals that some connection or interface came or went. Works for the local server only. */
export interface Notifications {
  createEvent(): ChangeEvent;
  register(handle: Handle, event: ChangeEvent): Promise<{ code: number }>;
  deregister(handle: Handle, event: ChangeEvent): Promise<{ code: number }>;
}

/**
 * Every method is one native call and resolves to its Win32 code; none throws for a code. Calls on one server handle
 * must not overlap: the API does not document thread safety. `server` null is the local machine.
 */
export interface RrasApi {
  /** Exports that are absent. A call of one rejects. */
  readonly missing: readonly NativeFunction[];
  /** Absent where nothing can tell of changes. */
  readonly notifications?: Notifications;
  serverConnect(server: string | null): Promise<{ code: number; handle: Handle }>;
  serverDisconnect(handle: Handle): Promise<void>;
  isServiceInitialized(server: string | null): Promise<{ code: number; initialized: boolean }>;
  /** Level 0: MPR_SERVER_0. */
  serverGetInfo(handle: Handle, level: number): Promise<InfoResult>;
  /** Pages of RAS_CONNECTION_EX. Lengths in bytes. */
  connectionEnumEx(
    handle: Handle,
    header: ObjectHeader,
    preferredLength: number,
    resumeHandle: number,
  ): Promise<EnumPage>;
  /** Level 4: pages of RAS_CONNECTION_4. */
  connectionEnum(
    handle: Handle,
    level: number,
    preferredLength: number,
    resumeHandle: number,
  ): Promise<EnumPage>;
  /** Pages of RAS_PORT_0; `connection` INVALID_HANDLE_VALUE for all ports of the server. */
  portEnum(
    handle: Handle,
    level: number,
    connection: Handle,
    preferredLength: number,
    resumeHandle: number,
  ): Promise<EnumPage>;
  /** Pages of MPR_INTERFACE_0. */
  interfaceEnum(
    handle: Handle,
    level: number,
    preferredLength: number,
    resumeHandle: number,
  ): Promise<EnumPage>;
  interfaceGetHandle(
    handle: Handle,
    name: string,
    includeClientInterfaces: boolean,
  ): Promise<{ code: number; handle: Handle }>;
  /** Levels 0 and 2: MPR_INTERFACE_0, MPR_INTERFACE_2 (demand-dial interfaces only, else 124). */
  interfaceGetInfo(handle: Handle, interfaceHandle: Handle, level: number): Promise<InfoResult>;
  /**
   * Starts to connect and returns at once, without an event, which is right for a remote server too: 600 (PENDING) is
   * success in progress, and `interfaceGetInfo` tells how it goes.
   */
  interfaceConnect(handle: Handle, interfaceHandle: Handle): Promise<CodeResult>;
  /** Also ends an attempt to connect that is under way. */
  interfaceDisconnect(handle: Handle, interfaceHandle: Handle): Promise<CodeResult>;
  /** Moves the outer addresses of an IKEv2 connection; `update` is a whole RAS_UPDATE_CONNECTION. */
  updateConnection(handle: Handle, connection: Handle, update: Uint8Array): Promise<CodeResult>;
  /** Hangs up a port, and with it the connection that uses it. */
  portDisconnect(handle: Handle, port: Handle): Promise<CodeResult>;
  /** The service's text for a code, in the machine's language: for people, never for labels. Null if it has none. */
  errorString(code: number): Promise<string | null>;
}
