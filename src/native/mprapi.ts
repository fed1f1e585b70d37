/**
 * The exports of mprapi.dll, one binding each under its C name, and no logic. The only module that imports koffi.
 * Every RPC function runs on a worker thread (koffi's `async`), because it can block for as long as the transport
 * likes; there is no way to cancel one. Must never pass koffi a null or freed pointer: that ends the process.
 */
import koffi from 'koffi';
import type {
  ChangeEvent,
  EnumPage,
  Handle,
  InfoResult,
  NativeBuffer,
  NativeFunction,
  RrasApi,
} from '../model/rras-api.ts';

type Argument = number | bigint | string | ArrayBufferView | null;
type Binding = (...values: Argument[]) => Promise<number>;

/** C types. Out parameters are typed arrays, which the call keeps alive until it has returned. */
const DWORD = 'uint32';
const BOOL = 'int32';
const HANDLE = 'uint64';
const LPCWSTR = 'str16';
const OUT = 'void *';

/** hEvent and fSynchronous of MprAdminInterfaceConnect: the attempt goes on after the call has returned. */
const NO_EVENT = 0n;
const RETURN_AT_ONCE = 0;

/** `...\System32\mprapi.dll` as Windows itself names the folder: never looked up by the DLL search order or PATH. */
export function systemMprapiPath(): string {
  if (process.platform !== 'win32') {
    throw new Error(`mprapi.dll is part of Windows; this is ${process.platform}`);
  }
  // https://learn.microsoft.com/windows/win32/api/sysinfoapi/nf-sysinfoapi-getsystemdirectoryw
  const GetSystemDirectoryW = koffi.load('kernel32.dll').func('GetSystemDirectoryW', DWORD, [OUT, DWORD]);
  const buffer = new Uint16Array(32_768);
  const length = Number(GetSystemDirectoryW(buffer, buffer.length));
  if (length === 0 || length >= buffer.length) throw new Error('GetSystemDirectoryW failed');
  return `${Buffer.from(buffer.buffer, 0, length * 2).toString('utf16le')}\\mprapi.dll`;
}

const WIN_BUILTIN_ADMINISTRATORS_SID = 26;
const SECURITY_MAX_SID_SIZE = 68;
/** The token of the caller itself. */
const NO_TOKEN = 0n;

/** Whether this process runs elevated, as one of the administrators of this machine; Windows only. */
export function isAdministrator(): boolean {
  const advapi32 = koffi.load('advapi32.dll');
  // https://learn.microsoft.com/windows/win32/api/securitybaseapi/nf-securitybaseapi-createwellknownsid
  const CreateWellKnownSid = advapi32.func('CreateWellKnownSid', BOOL, [BOOL, OUT, OUT, OUT]);
  // https://learn.microsoft.com/windows/win32/api/securitybaseapi/nf-securitybaseapi-checktokenmembership
  const CheckTokenMembership = advapi32.func('CheckTokenMembership', BOOL, [HANDLE, OUT, OUT]);
  const sid = new Uint8Array(SECURITY_MAX_SID_SIZE);
  const isMember = new Int32Array(1);
  const made: unknown = CreateWellKnownSid(
    WIN_BUILTIN_ADMINISTRATORS_SID,
    null,
    sid,
    Uint32Array.of(sid.length),
  );
  if (made === 0) throw new Error('CreateWellKnownSid failed');
  if (CheckTokenMembership(NO_TOKEN, sid, isMember) === 0) throw new Error('CheckTokenMembership failed');
  return isMember[0] !== 0;
}

/**
 * Loads the DLL at `path`, which must be absolute. Each export is resolved by itself: one that the DLL lacks is
 * listed in `missing`, and a call of it rejects. Throws if the DLL cannot be loaded.
 */
export function openMprapi(path: string): RrasApi {
  const library = koffi.load(path);
  const missing: NativeFunction[] = [];

  const resolve = (name: NativeFunction, result: string, parameters: string[]) => {
    try {
      library.symbol(name);
    } catch {
      missing.push(name);
      return null;
    }
    return library.func(name, result, parameters);
  };
  const absent = (name: NativeFunction): Error => new Error(`${name} is not exported by ${path}`);
  const bind = (name: NativeFunction, parameters: string[], result: string = DWORD): Binding => {
    const fn = resolve(name, result, parameters);
    if (!fn) return () => Promise.reject(absent(name));
    return (...values) =>
      new Promise((done, fail) => {
        fn.async(...values, (error: unknown, code: number) => {
          // koffi holds on to this function alone while the call runs; arguments live because it holds them.
          values.length = 0;
          if (error) fail(error instanceof Error ? error : new Error(`${name} could not be called`));
          else done(code);
        });
      });
  };

  // https://learn.microsoft.com/windows/win32/api/mprapi/nf-mprapi-mpradminserverconnect
  const MprAdminServerConnect = bind('MprAdminServerConnect', [LPCWSTR, OUT]);
  // https://learn.microsoft.com/windows/win32/api/mprapi/nf-mprapi-mpradminserverdisconnect
  const MprAdminServerDisconnect = bind('MprAdminServerDisconnect', [HANDLE], 'void');
  // https://learn.microsoft.com/windows/win32/api/mprapi/nf-mprapi-mpradminisserviceinitialized
  const MprAdminIsServiceInitialized = bind('MprAdminIsServiceInitialized', [LPCWSTR, OUT]);
  // https://learn.microsoft.com/windows/win32/api/mprapi/nf-mprapi-mpradminservergetinfo
  const MprAdminServerGetInfo = bind('MprAdminServerGetInfo', [HANDLE, DWORD, OUT]);
  // https://learn.microsoft.com/windows/win32/api/mprapi/nf-mprapi-mpradminconnectionenumex
  const MprAdminConnectionEnumEx = bind('MprAdminConnectionEnumEx', [HANDLE, OUT, DWORD, OUT, OUT, OUT, OUT]);
  // https://learn.microsoft.com/windows/win32/api/mprapi/nf-mprapi-mpradminconnectionenum
  const MprAdminConnectionEnum = bind('MprAdminConnectionEnum', [HANDLE, DWORD, OUT, DWORD, OUT, OUT, OUT]);
  // https://learn.microsoft.com/windows/win32/api/mprapi/nf-mprapi-mpradminportenum
  const MprAdminPortEnum = bind('MprAdminPortEnum', [HANDLE, DWORD, HANDLE, OUT, DWORD, OUT, OUT, OUT]);
  // https://learn.microsoft.com/windows/win32/api/mprapi/nf-mprapi-mpradmininterfaceenum
  const MprAdminInterfaceEnum = bind('MprAdminInterfaceEnum', [HANDLE, DWORD, OUT, DWORD, OUT, OUT, OUT]);
  // https://learn.microsoft.com/windows/win32/api/mprapi/nf-mprapi-mpradmininterfacegethandle
  const MprAdminInterfaceGetHandle = bind('MprAdminInterfaceGetHandle', [HANDLE, LPCWSTR, OUT, BOOL]);
  // https://learn.microsoft.com/windows/win32/api/mprapi/nf-mprapi-mpradmininterfacegetinfo
  const MprAdminInterfaceGetInfo = bind('MprAdminInterfaceGetInfo', [HANDLE, HANDLE, DWORD, OUT]);
  // https://learn.microsoft.com/windows/win32/api/mprapi/nf-mprapi-mpradmininterfaceconnect
  const MprAdminInterfaceConnect = bind('MprAdminInterfaceConnect', [HANDLE, HANDLE, HANDLE, BOOL]);
  // https://learn.microsoft.com/windows/win32/api/mprapi/nf-mprapi-mpradmininterfacedisconnect
  const MprAdminInterfaceDisconnect = bind('MprAdminInterfaceDisconnect', [HANDLE, HANDLE]);
  // Without a page of its own; MS-RRASM 3.1.4 RRasAdminUpdateConnection, and the structure's page:
  // https://learn.microsoft.com/windows/win32/api/mprapi/ns-mprapi-ras_update_connection
  const MprAdminUpdateConnection = bind('MprAdminUpdateConnection', [HANDLE, HANDLE, OUT]);
  // https://learn.microsoft.com/windows/win32/api/mprapi/nf-mprapi-mpradminportdisconnect
  const MprAdminPortDisconnect = bind('MprAdminPortDisconnect', [HANDLE, HANDLE]);
  // https://learn.microsoft.com/windows/win32/api/mprapi/nf-mprapi-mpradminregisterconnectionnotification
  const MprAdminRegisterConnectionNotification = bind('MprAdminRegisterConnectionNotification', [
    HANDLE,
    HANDLE,
  ]);
  // https://learn.microsoft.com/windows/win32/api/mprapi/nf-mprapi-mpradminderegisterconnectionnotification
  const MprAdminDeregisterConnectionNotification = bind('MprAdminDeregisterConnectionNotification', [
    HANDLE,
    HANDLE,
  ]);
  // https://learn.microsoft.com/windows/win32/api/mprapi/nf-mprapi-mpradmingeterrorstring
  const MprAdminGetErrorString = bind('MprAdminGetErrorString', [DWORD, OUT]);
  // https://learn.microsoft.com/windows/win32/api/mprapi/nf-mprapi-mpradminbufferfree
  const MprAdminBufferFree = resolve('MprAdminBufferFree', DWORD, [HANDLE]);

  /** Takes the pointer that a call left behind; 0n means that it left none. */
  function takeBuffer(pointer: bigint): NativeBuffer | null {
    if (pointer === 0n) return null;
    let freed = false;
    const assertLive = (): void => {
      if (freed) throw new Error('a native buffer was used after it was freed');
    };
    return {
      view(length) {
        assertLive();
        return length > 0 ? new Uint8Array(koffi.view(pointer, length)) : new Uint8Array(0);
      },
      free() {
        assertLive();
        if (!MprAdminBufferFree) throw absent('MprAdminBufferFree');
        freed = true;
        MprAdminBufferFree(pointer);
      },
    };
  }

  async function getInfo(call: (buffer: BigUint64Array) => Promise<number>): Promise<InfoResult> {
    const pointer = new BigUint64Array(1);
    const code = await call(pointer);
    return { code, buffer: takeBuffer(pointer[0]!) };
  }

  async function enumerate(
    resumeHandle: number,
    call: (
      buffer: BigUint64Array,
      read: Uint32Array,
      total: Uint32Array,
      resume: Uint32Array,
    ) => Promise<number>,
  ): Promise<EnumPage> {
    const pointer = new BigUint64Array(1);
    const read = new Uint32Array(1);
    const total = new Uint32Array(1);
    const resume = Uint32Array.of(resumeHandle);
    const code = await call(pointer, read, total, resume);
    return {
      code,
      buffer: takeBuffer(pointer[0]!),
      entriesRead: read[0]!,
      totalEntries: total[0]!,
      resumeHandle: resume[0]!,
    };
  }

  async function getHandle(
    call: (handle: BigUint64Array) => Promise<number>,
  ): Promise<{ code: number; handle: Handle }> {
    const handle = new BigUint64Array(1);
    const code = await call(handle);
    return { code, handle: handle[0]! };
  }

  return {
    missing,
    notifications: {
      createEvent,
      register: async (handle, event) => ({
        code: await MprAdminRegisterConnectionNotification(handle, event.handle),
      }),
      deregister: async (handle, event) => ({
        code: await MprAdminDeregisterConnectionNotification(handle, event.handle),
      }),
    },
    serverConnect: (server) => getHandle((handle) => MprAdminServerConnect(server, handle)),
    async serverDisconnect(handle) {
      await MprAdminServerDisconnect(handle);
    },
    async isServiceInitialized(server) {
      const initialized = new Int32Array(1);
      const code = await MprAdminIsServiceInitialized(server, initialized);
      return { code, initialized: initialized[0] !== 0 };
    },
    serverGetInfo: (handle, level) => getInfo((buffer) => MprAdminServerGetInfo(handle, level, buffer)),
    connectionEnumEx(handle, header, preferredLength, resumeHandle) {
      const object = new DataView(new ArrayBuffer(4));
      object.setUint8(0, header.revision);
      object.setUint8(1, header.type);
      object.setUint16(2, header.size, true);
      const bytes = new Uint8Array(object.buffer);
      return enumerate(resumeHandle, (buffer, read, total, resume) =>
        MprAdminConnectionEnumEx(handle, bytes, preferredLength, read, total, buffer, resume),
      );
    },
    connectionEnum: (handle, level, preferredLength, resumeHandle) =>
      enumerate(resumeHandle, (buffer, read, total, resume) =>
        MprAdminConnectionEnum(handle, level, buffer, preferredLength, read, total, resume),
      ),
    portEnum: (handle, level, connection, preferredLength, resumeHandle) =>
      enumerate(resumeHandle, (buffer, read, total, resume) =>
        MprAdminPortEnum(handle, level, connection, buffer, preferredLength, read, total, resume),
      ),
    interfaceEnum: (handle, level, preferredLength, resumeHandle) =>
      enumerate(resumeHandle, (buffer, read, total, resume) =>
        MprAdminInterfaceEnum(handle, level, buffer, preferredLength, read, total, resume),
      ),
    interfaceGetHandle: (handle, name, includeClientInterfaces) =>
      getHandle((found) => MprAdminInterfaceGetHandle(handle, name, found, includeClientInterfaces ? 1 : 0)),
    interfaceGetInfo: (handle, interfaceHandle, level) =>
      getInfo((buffer) => MprAdminInterfaceGetInfo(handle, interfaceHandle, level, buffer)),
    interfaceConnect: async (handle, interfaceHandle) => ({
      code: await MprAdminInterfaceConnect(handle, interfaceHandle, NO_EVENT, RETURN_AT_ONCE),
    }),
    interfaceDisconnect: async (handle, interfaceHandle) => ({
      code: await MprAdminInterfaceDisconnect(handle, interfaceHandle),
    }),
    updateConnection: async (handle, connection, update) => ({
      code: await MprAdminUpdateConnection(handle, connection, update),
    }),
    portDisconnect: async (handle, port) => ({ code: await MprAdminPortDisconnect(handle, port) }),
    async errorString(code) {
      const pointer = new BigUint64Array(1);
      const result = await MprAdminGetErrorString(code, pointer);
      const string = pointer[0]!;
      if (string === 0n) return null;
      const text = result === 0 ? koffi.decode.string16(string) : null;
      // https://learn.microsoft.com/windows/win32/api/winbase/nf-winbase-localfree: this one is not BufferFree's.
      koffi.load('kernel32.dll').func('LocalFree', HANDLE, [HANDLE])(string);
      return text;
    },
  };
}

const WAIT_OBJECT_0 = 0;
const WAIT_TIMEOUT = 0x102;

/** An auto-reset event, not signalled. It lives as long as the process. */
function createEvent(): ChangeEvent {
  const kernel32 = koffi.load('kernel32.dll');
  // https://learn.microsoft.com/windows/win32/api/synchapi/nf-synchapi-createeventw
  const CreateEventW = kernel32.func('CreateEventW', HANDLE, [HANDLE, BOOL, BOOL, LPCWSTR]);
  // https://learn.microsoft.com/windows/win32/api/synchapi/nf-synchapi-waitforsingleobject
  const WaitForSingleObject = kernel32.func('WaitForSingleObject', DWORD, [HANDLE, DWORD]);
  const handle = BigInt(CreateEventW(0n, 0, 0, null) as number | bigint);
  if (handle === 0n) throw new Error('CreateEventW failed');
  return {
    handle,
    wait: (timeoutMs) =>
      new Promise((done, fail) => {
        WaitForSingleObject.async(handle, timeoutMs, (error: unknown, result: number) => {
          if (error || (result !== WAIT_OBJECT_0 && result !== WAIT_TIMEOUT))
            fail(new Error('WaitForSingleObject failed'));
          else done(result === WAIT_OBJECT_0);
        });
      }),
  };
}
