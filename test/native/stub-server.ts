/**
 * The smallest RRAS server that can be read: a few records, made by the layout table, and codes to order. Thousands
 * of traces a second run over it, where the simulator's world would take minutes.
 */
import type {
  CodeResult,
  EnumPage,
  Handle,
  InfoResult,
  NativeBuffer,
  NativeFunction,
  RrasApi,
} from '../../src/model/rras-api.ts';
import { MPR_INTERFACE_0, MPR_INTERFACE_2, MPR_SERVER_0, RAS_PORT_0 } from '../../src/native/layout.ts';
import { Heap, Ledger } from '../../src/native/simulator/heap.ts';
import type { RrasMethod } from '../doubles/fault-api.ts';
import { connection as connectionRecord, pageOf, record } from './record-builder.ts';

export interface StubCall {
  readonly method: RrasMethod;
  /** The server handle, where the method takes or gives one. */
  readonly handle: Handle | null;
  readonly code: number;
}

const INTERFACE_TYPE = { home_router: 1, full_router: 2, dedicated: 3 } as const;

export interface StubInterface {
  readonly name: string;
  readonly type: keyof typeof INTERFACE_TYPE;
  readonly idleSeconds?: number;
}

export class StubServer implements RrasApi {
  missing: readonly NativeFunction[] = [];
  readonly calls: StubCall[] = [];
  readonly ledger = new Ledger();
  /** 0: the call is answered, else it fails with this code. */
  codeOf: (method: RrasMethod) => number = () => 0;
  /** A failed call leaves a buffer all the same, as the API is free to. */
  buffersOnFailure = false;
  connections: readonly number[] = [0x10000, 0x10001];
  interfaces: readonly StubInterface[] = [{ name: 'Site', type: 'full_router', idleSeconds: 300 }];
  ports: readonly { readonly port: Handle; readonly connection: Handle }[] = [{ port: 1n, connection: 0n }];
  /** Ports that were hung up, whatever came of it. */
  readonly hungUp: Handle[] = [];
  uptimeSeconds = 3600;
  readonly #heap = new Heap(this.ledger);
  readonly #open = new Set<Handle>();
  #nextHandle = 0x100n;

  get openHandles(): number {
    return this.#open.size;
  }

  serverConnect(): Promise<{ code: number; handle: Handle }> {
    const code = this.codeOf('serverConnect');
    const handle = code === 0 ? (this.#nextHandle += 0x10n) : 0n;
    this.calls.push({ method: 'serverConnect', handle, code });
    if (code === 0) {
      this.#open.add(handle);
      this.ledger.opened += 1;
    }
    return Promise.resolve({ code, handle });
  }

  serverDisconnect(handle: Handle): Promise<void> {
    this.calls.push({ method: 'serverDisconnect', handle, code: 0 });
    if (this.#open.delete(handle)) this.ledger.closed += 1;
    else this.ledger.strayHandles += 1;
    return Promise.resolve();
  }

  isServiceInitialized(): Promise<{ code: number; initialized: boolean }> {
    const code = this.#begin('isServiceInitialized', null);
    return Promise.resolve({ code, initialized: code === 0 });
  }

  serverGetInfo(handle: Handle): Promise<InfoResult> {
    return this.#info('serverGetInfo', handle, () =>
      record(MPR_SERVER_0, { dwUpTime: this.uptimeSeconds, dwTotalPorts: 1, dwPortsInUse: 1 }),
    );
  }

  connectionEnum(handle: Handle): Promise<EnumPage> {
    return this.#page('connectionEnum', handle, () =>
      this.connections.map((id) => connectionRecord('level4', id)),
    );
  }

  connectionEnumEx(handle: Handle): Promise<EnumPage> {
    return this.#page('connectionEnumEx', handle, () =>
      this.connections.map((id) => connectionRecord('ex', id)),
    );
  }

  portEnum(handle: Handle): Promise<EnumPage> {
    return this.#page('portEnum', handle, () =>
      this.ports.map(({ port, connection }) =>
        record(RAS_PORT_0, {
          hPort: port,
          hConnection: connection,
          dwPortCondition: connection === 0n ? 3 : 5,
          wszDeviceName: 'WAN Miniport (IKEv2)',
        }),
      ),
    );
  }

  interfaceEnum(handle: Handle): Promise<EnumPage> {
    return this.#page('interfaceEnum', handle, () =>
      this.interfaces.map(({ name, type }, i) =>
        record(MPR_INTERFACE_0, {
          wszInterfaceName: name,
          hInterface: i + 1,
          dwIfType: INTERFACE_TYPE[type],
          dwConnectionState: 3,
          fEnabled: 1,
        }),
      ),
    );
  }

  interfaceGetInfo(handle: Handle, interfaceHandle: Handle): Promise<InfoResult> {
    const idle = this.interfaces[Number(interfaceHandle) - 1]?.idleSeconds ?? 0;
    return this.#info('interfaceGetInfo', handle, () =>
      record(MPR_INTERFACE_2, { dwIdleDisconnectSeconds: idle }),
    );
  }

  interfaceGetHandle(handle: Handle, name: string): Promise<{ code: number; handle: Handle }> {
    const place = this.interfaces.findIndex((each) => each.name === name);
    const code = this.#begin('interfaceGetHandle', handle) || (place < 0 ? 905 : 0);
    return Promise.resolve({ code, handle: code === 0 ? BigInt(place + 1) : 0n });
  }

  interfaceConnect(handle: Handle): Promise<CodeResult> {
    return Promise.resolve({ code: this.#begin('interfaceConnect', handle) });
  }

  interfaceDisconnect(handle: Handle): Promise<CodeResult> {
    return Promise.resolve({ code: this.#begin('interfaceDisconnect', handle) });
  }

  updateConnection(handle: Handle): Promise<CodeResult> {
    return Promise.resolve({ code: this.#begin('updateConnection', handle) });
  }

  portDisconnect(handle: Handle, port: Handle): Promise<CodeResult> {
    this.hungUp.push(port);
    return Promise.resolve({ code: this.#begin('portDisconnect', handle) });
  }

  errorString(): Promise<string | null> {
    return Promise.resolve(null);
  }

  #begin(method: RrasMethod, handle: Handle | null): number {
    const code = this.codeOf(method);
    this.calls.push({ method, handle, code });
    if (handle !== null && !this.#open.has(handle)) this.ledger.strayHandles += 1;
    return code;
  }

  #block(bytes: Uint8Array): NativeBuffer {
    return this.#heap.allocate(bytes.length, (block) => {
      block.set(bytes);
    });
  }

  #info(method: RrasMethod, handle: Handle, make: () => Buffer): Promise<InfoResult> {
    const code = this.#begin(method, handle);
    const buffer = code === 0 || this.buffersOnFailure ? this.#block(make()) : null;
    return Promise.resolve({ code, buffer });
  }

  #page(method: RrasMethod, handle: Handle, make: () => readonly Buffer[]): Promise<EnumPage> {
    const code = this.#begin(method, handle);
    const records = code === 0 || this.buffersOnFailure ? make() : [];
    return Promise.resolve({
      code,
      buffer: records.length === 0 ? null : this.#block(pageOf(...records)),
      entriesRead: records.length,
      totalEntries: records.length,
      // After an error the resume handle is void.
      resumeHandle: code === 0 ? 0 : 0xffff_ffff,
    });
  }
}
