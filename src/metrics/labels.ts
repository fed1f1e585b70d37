/**
 * What of a snapshot may be shown, and how: the one place through which every name and address passes on its way to
 * an output.
 */
import type { Connection, ConnectionTable, InterfaceStatus, Snapshot } from '../model/snapshot.ts';

/** A connection's label values, fit for any output. */
export interface VisibleConnection {
  readonly connection: Connection;
  readonly user: string;
  readonly domain: string;
  readonly computer: string;
  readonly interfaceName: string;
  readonly tunnelAddress: string;
  readonly tunnelAddressV6: string;
  readonly remoteAddress: string;
  readonly localAddress: string;
}

export interface VisibleInterface {
  readonly status: InterfaceStatus;
  /** Unique among the interfaces of the view. */
  readonly name: string;
}

/** A snapshot as the outputs see it. Row i of `table`'s columns belongs to `connections[i]`. */
export interface View {
  readonly snapshot: Snapshot;
  readonly table: ConnectionTable | undefined;
  readonly connections: readonly VisibleConnection[];
  readonly interfaces: readonly VisibleInterface[] | undefined;
}

// eslint-disable-next-line no-control-regex -- control characters are what this is about
const CONTROL = /[\u0000-\u001f\u007f-\u009f]/g;

/** Valid Unicode without control characters: both are replaced by U+FFFD, as no output could carry them. */
export function cleanText(text: string): string {
  return text.toWellFormed().replace(CONTROL, '\ufffd');
}

export class ViewMaker {
  readonly #visible = new WeakMap<Connection, VisibleConnection>();
  #last: View | undefined;

  view(snapshot: Snapshot): View {
    const table = snapshot.connections;
    const last = this.#last;
    const connections =
      last !== undefined && last.table === table
        ? last.connections
        : (table?.connections ?? []).map((each) => this.#show(each));
    const interfaces = snapshot.interfaces && showInterfaces(snapshot.interfaces);
    this.#last = { snapshot, table, connections, interfaces };
    return this.#last;
  }

  #show(connection: Connection): VisibleConnection {
    let visible = this.#visible.get(connection);
    if (!visible) {
      const { identity } = connection;
      visible = {
        connection,
        user: cleanText(identity.user),
        domain: cleanText(identity.domain),
        computer: cleanText(identity.computer),
        interfaceName: cleanText(identity.interfaceName),
        tunnelAddress: cleanText(identity.tunnelAddress),
        tunnelAddressV6: identity.tunnelAddressV6,
        remoteAddress: cleanText(identity.remoteAddress),
        localAddress: cleanText(identity.localAddress),
      };
      this.#visible.set(connection, visible);
    }
    return visible;
  }
}

/** Names that become equal when cleaned get a number, so that no two interfaces share a series. */
function showInterfaces(statuses: readonly InterfaceStatus[]): VisibleInterface[] {
  const taken = new Set<string>();
  return statuses.map((status) => {
    const clean = cleanText(status.name);
    let name = clean;
    for (let n = 2; taken.has(name); n += 1) name = `${clean} (${n})`;
    taken.add(name);
    return { status, name };
  });
}
