/**
 * Runs under Wine's node.exe: calls the built binding of the app folder (the working directory) against the DLL given
 * by its path, and prints what came back as JSON. Usage: probe.ts SCENARIO [DLL].
 */
import { pathToFileURL } from 'node:url';
import { setTimeout as sleep } from 'node:timers/promises';
import type { EnumPage, Handle, InfoResult, RrasApi } from '../../src/model/rras-api.ts';
import type { Struct } from '../../src/native/layout.ts';

const built = (file: string): Promise<unknown> => import(pathToFileURL(`dist/native/${file}`).href);
const { openMprapi, systemMprapiPath } = (await built(
  'mprapi.js',
)) as typeof import('../../src/native/mprapi.ts');
const layout = (await built('layout.js')) as typeof import('../../src/native/layout.ts');

const [scenario, dll] = process.argv.slice(2);
const api = openMprapi(dll ?? systemMprapiPath());

/** Every field of one record as text: numbers in decimal, text up to its first NUL, other bytes in hexadecimal. */
function readFields(bytes: Uint8Array, structure: Struct): Record<string, string> {
  const view = Buffer.from(bytes);
  const read = (name: string): string => {
    const { type, offset, size } = structure.fields[name]!;
    if (type === 'u8') return String(view.readUInt8(offset));
    if (type === 'u16') return String(view.readUInt16LE(offset));
    if (type === 'u32') return String(view.readUInt32LE(offset));
    if (type === 'bytes' || type === 'guid') return view.toString('hex', offset, offset + size);
    if (type !== 'wstr') return String(view.readBigUInt64LE(offset));
    const text = view.toString('utf16le', offset, offset + size);
    return text.includes('\0') ? text.slice(0, text.indexOf('\0')) : text;
  };
  return Object.fromEntries(Object.keys(structure.fields).map((name) => [name, read(name)]));
}

function takeRecords(page: EnumPage, structure: Struct): Record<string, string>[] {
  const bytes = page.buffer ? page.buffer.view(page.entriesRead * structure.size).slice() : new Uint8Array();
  page.buffer?.free();
  return Array.from({ length: page.buffer ? page.entriesRead : 0 }, (_, i) =>
    readFields(bytes.subarray(i * structure.size, (i + 1) * structure.size), structure),
  );
}

function takeInfo(
  info: InfoResult,
  structure: Struct,
): { code: number; fields: Record<string, string> | null } {
  const bytes = info.buffer?.view(structure.size).slice();
  info.buffer?.free();
  return { code: info.code, fields: bytes ? readFields(bytes, structure) : null };
}

async function connected<T>(body: (handle: Handle) => Promise<T>): Promise<T> {
  const { handle } = await api.serverConnect(null);
  try {
    return await body(handle);
  } finally {
    await api.serverDisconnect(handle);
  }
}

async function pages(structure: Struct, call: (resume: number) => Promise<EnumPage>): Promise<unknown[]> {
  const all: unknown[] = [];
  let resume = 0;
  for (;;) {
    const page = await call(resume);
    const { code, entriesRead, totalEntries, resumeHandle } = page;
    all.push({ code, entriesRead, totalEntries, resumeHandle, records: takeRecords(page, structure) });
    if (code !== 234 || all.length > 20) return all;
    resume = resumeHandle;
  }
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
const attempt = async (body: () => unknown): Promise<string> => {
  try {
    await body();
    return 'no error';
  } catch (error) {
    return messageOf(error);
  }
};

const { RAS_CONNECTION_EX, RAS_CONNECTION_4, RAS_PORT_0, MPR_INTERFACE_0, MPR_INTERFACE_2, MPR_SERVER_0 } =
  layout;
const { RAS_CONNECTION_OBJECT, PREFER_ALL, INVALID_HANDLE_VALUE } = layout;

/** All ports and interfaces, server info, one level-2 read: every other function of the interface once. */
async function everything(handle: Handle): Promise<unknown> {
  const named = await api.interfaceGetHandle(handle, 'Zürich \u{1F600} \ud800', true);
  return {
    initialized: await api.isServiceInitialized(null),
    remote: (await api.serverConnect('branch-1')).code,
    server: takeInfo(await api.serverGetInfo(handle, 0), MPR_SERVER_0),
    ports: await pages(RAS_PORT_0, (resume) =>
      api.portEnum(handle, 0, INVALID_HANDLE_VALUE, PREFER_ALL, resume),
    ),
    portsOfOne: await pages(RAS_PORT_0, (resume) => api.portEnum(handle, 0, 0x10000n, PREFER_ALL, resume)),
    portsOfNull: (await api.portEnum(handle, 0, 0n, PREFER_ALL, 0)).code,
    interfaces: await pages(MPR_INTERFACE_0, (resume) => api.interfaceEnum(handle, 0, PREFER_ALL, resume)),
    named: { code: named.code, handle: String(named.handle) },
    unnamed: (await api.interfaceGetHandle(handle, 'none', false)).code,
    level0: takeInfo(await api.interfaceGetInfo(handle, named.handle, 0), MPR_INTERFACE_0),
    level2: takeInfo(await api.interfaceGetInfo(handle, named.handle, 2), MPR_INTERFACE_2),
    errorString: await api.errorString(5),
    noErrorString: await api.errorString(5),
  };
}

const enumEx = (handle: Handle, length: number, resume: number): Promise<EnumPage> =>
  api.connectionEnumEx(handle, RAS_CONNECTION_OBJECT, length, resume);

const scenarios: Record<string, (handle: Handle) => Promise<unknown>> = {
  ex: (handle) => pages(RAS_CONNECTION_EX, (resume) => enumEx(handle, PREFER_ALL, resume)),
  level4: (handle) => pages(RAS_CONNECTION_4, (resume) => api.connectionEnum(handle, 4, PREFER_ALL, resume)),
  /** A length that holds two records and a half: the API gives three at a time. */
  exByLength: (handle) =>
    pages(RAS_CONNECTION_EX, (resume) => enumEx(handle, RAS_CONNECTION_EX.size * 2.5, resume)),
  everything,
  async refusals(handle) {
    const header = (change: object) =>
      api.connectionEnumEx(handle, { ...RAS_CONNECTION_OBJECT, ...change }, PREFER_ALL, 0);
    await api.serverConnect(null).then(({ handle: other }) => api.serverDisconnect(other));
    return {
      tooShort: takeRecords(await enumEx(handle, RAS_CONNECTION_EX.size - 1, 0), RAS_CONNECTION_EX).length,
      tooShortCode: (await enumEx(handle, RAS_CONNECTION_EX.size - 1, 0)).code,
      revision: (await header({ revision: 2 })).code,
      type: (await header({ type: 5 })).code,
      size: (await header({ size: 1671 })).code,
      level: (await api.connectionEnum(handle, 5, PREFER_ALL, 0)).code,
      portLevel: (await api.portEnum(handle, 1, INVALID_HANDLE_VALUE, PREFER_ALL, 0)).code,
      stale: (await api.serverGetInfo(handle + 1000n, 0)).code,
    };
  },
  async buffer(handle) {
    const page = await enumEx(handle, PREFER_ALL, 0);
    const buffer = page.buffer!;
    const view = buffer.view(8);
    const again = buffer.view(8);
    const same = Buffer.from(view).equals(again);
    const empty = [buffer.view(0).length, buffer.view(-1).length];
    buffer.free();
    return {
      same,
      empty,
      // The fake keeps freed memory readable for a while, so that a use of it shows.
      afterFree: Buffer.from(view).toString('hex'),
      secondFree: await attempt(() => buffer.free()),
      viewAfterFree: await attempt(() => buffer.view(8)),
    };
  },
  /** Reads one byte past the block. */
  async overread(handle) {
    const page = await enumEx(handle, PREFER_ALL, 0);
    return page.buffer!.view(RAS_CONNECTION_EX.size + 1)[RAS_CONNECTION_EX.size];
  },
  async nullBuffer(handle) {
    const { code, buffer, entriesRead } = await enumEx(handle, PREFER_ALL, 0);
    return { code, buffer, entriesRead };
  },
  async responsive(handle) {
    let ticks = 0;
    const timer = setInterval(() => ticks++, 20);
    await api.serverGetInfo(handle, 0).then((info) => info.buffer?.free());
    clearInterval(timer);
    return { ticks };
  },
  async scriptChange(handle) {
    const lengths: number[] = [];
    for (let i = 0; i < 100 && lengths.at(-1) !== 2; i++) {
      const page = await enumEx(handle, PREFER_ALL, 0);
      page.buffer?.free();
      if (lengths.at(-1) !== page.entriesRead) lengths.push(page.entriesRead);
      if (i === 0) process.stderr.write('first\n');
      await sleep(50);
    }
    return lengths;
  },
};

/** The functions that change the server, called past the binding: what the fake makes of them. */
async function actions(): Promise<unknown> {
  const koffi = (await import(pathToFileURL('node_modules/koffi/index.js').href)) as typeof import('koffi');
  const library = koffi.load(dll ?? systemMprapiPath());
  const bind = (name: string, parameters: string[]): ((...values: unknown[]) => number) =>
    library.func(name, 'uint32', parameters);
  const connect = bind('MprAdminInterfaceConnect', ['uint64', 'uint64', 'uint64', 'int32']);
  const disconnect = bind('MprAdminInterfaceDisconnect', ['uint64', 'uint64']);
  const update = bind('MprAdminUpdateConnection', ['uint64', 'uint64', 'void *']);
  const hangUp = bind('MprAdminPortDisconnect', ['uint64', 'uint64']);
  const free = bind('MprAdminBufferFree', ['uint64']);
  const { handle } = await api.serverConnect(null);
  const state = async (link: bigint): Promise<string[]> => {
    const { fields } = takeInfo(await api.interfaceGetInfo(handle, link, 0), MPR_INTERFACE_0);
    return ['dwConnectionState', 'dwLastError', 'fUnReachabilityReasons'].map((name) => fields![name]!);
  };
  const settled = async (link: bigint): Promise<string[]> => {
    for (;;) {
      const now = await state(link);
      if (now[0] !== '2') return now;
      await sleep(10);
    }
  };
  const users = async (): Promise<string[]> =>
    takeRecords(await enumEx(handle, PREFER_ALL, 0), RAS_CONNECTION_EX).map(
      (record) => record['wszUserName']!,
    );
  const [good, bad, off] = [0x400000n, 0x400001n, 0x400002n];
  const started = [connect(handle, good, 0n, 0), connect(handle, bad, 0n, 0), connect(handle, off, 0n, 0)];
  const during = [await state(good), connect(handle, good, 0n, 0)];
  const after = [await settled(good), await settled(bad)];
  const disconnected = [disconnect(handle, good), disconnect(handle, good), await state(good)];
  const move = Buffer.alloc(layout.RAS_UPDATE_CONNECTION.size);
  move.set([1, 5]);
  move.writeUInt16LE(move.length, 2);
  move.writeUInt32LE(12, 4);
  move.write(
    '203.0.113.99',
    layout.offsetOf(layout.RAS_UPDATE_CONNECTION, 'wszRemoteEndpointAddress'),
    'utf16le',
  );
  const updated = [update(handle, 0x10000n, move), update(handle, 0x10001n, move)];
  const [moved] = takeRecords(await enumEx(handle, PREFER_ALL, 0), RAS_CONNECTION_EX);
  const address = [moved!['wszRemoteEndpointAddress'], moved!['dwNumSwitchOvers']];
  const usersBefore = await users();
  const hungUp = [hangUp(handle, 0x300001n), hangUp(handle, 0x399999n), await users()];
  const abuse = [free(0x10n), free(0n)];
  const overlapping = [api.serverGetInfo(handle, 0), api.serverGetInfo(handle, 0)];
  for (const info of await Promise.all(overlapping)) info.buffer?.free();
  return { started, during, after, disconnected, updated, address, usersBefore, hungUp, abuse };
}

async function absentExports(of: RrasApi): Promise<unknown> {
  return {
    missing: of.missing,
    called: await attempt(() => of.connectionEnumEx(0n, RAS_CONNECTION_OBJECT, PREFER_ALL, 0)),
    initialized: await attempt(() => of.isServiceInitialized(null)),
  };
}

const result =
  scenario === 'missing'
    ? await absentExports(api)
    : scenario === 'path'
      ? systemMprapiPath()
      : scenario === 'actions'
        ? await actions()
        : await connected((handle) => scenarios[scenario!]!(handle));
process.stdout.write(JSON.stringify(result));
