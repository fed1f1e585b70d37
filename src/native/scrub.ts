/**
 * Takes what is personal out of native records: names of people and their machines, and addresses. The same name or
 * address becomes the same replacement everywhere, which numbers tell apart and nothing leads back from. What the
 * layout table does not account for is zeroed, as the memory there may hold anything.
 */
import { isIPv4, isIPv6 } from 'node:net';
import ipaddr from 'ipaddr.js';
import { INTERFACE_TYPES } from '../model/words.ts';
import { readWide } from './fields.ts';
import type { Field, Struct } from './layout.ts';
import {
  fieldOf,
  MPR_INTERFACE_0,
  MPR_INTERFACE_2,
  MPR_SERVER_0,
  RAS_CONNECTION_4,
  RAS_CONNECTION_EX,
  RAS_PORT_0,
} from './layout.ts';

type Treatment =
  /** Stays as it is up to its NUL. */
  | 'keep'
  | 'name'
  /** The name of an interface: personal only if it stands for a user. */
  | 'interface'
  /** An address as text; what is none is treated as a name. */
  | 'address'
  /** An IPv4 address as four bytes, or 0 for none. */
  | 'ipv4'
  /** The first and the last half of an IPv6 address, or zeros for none. */
  | 'prefix'
  | 'identifier'
  | 'zero';

interface Plan {
  readonly fields: readonly (readonly [Field, Treatment])[];
  /** Bytes that belong to no member. */
  readonly gaps: readonly (readonly [start: number, end: number])[];
}

/** ROUTER_INTERFACE_TYPE of interfaces that were configured or are the server's own. */
const UNPERSONAL_TYPES: ReadonlySet<number> = new Set(
  INTERFACE_TYPES.flatMap((type, value) => (type === 'client' ? [] : [value])),
);

/** By member, wherever it stands; a text that is not listed is treated as a name. */
const TREATMENTS: Readonly<Record<string, Treatment>> = {
  wszInterfaceName: 'interface',
  wszRemoteEndpointAddress: 'address',
  wszLocalEndpointAddress: 'address',
  wszAddress: 'address',
  wszRemoteAddress: 'address',
  bPrefix: 'prefix',
  bInterfaceIdentifier: 'identifier',
  bRemoteInterfaceIdentifier: 'identifier',
  szLocalPhoneNumber: 'address',
  szAlternates: 'zero',
  lpbCustomAuthData: 'zero',
  ipaddr: 'ipv4',
  ipaddrDns: 'ipv4',
  ipaddrDnsAlt: 'ipv4',
  ipaddrWins: 'ipv4',
  ipaddrWinsAlt: 'ipv4',
  wszPortName: 'keep',
  wszMediaName: 'keep',
  wszDeviceName: 'keep',
  wszDeviceType: 'keep',
};

function planOf(struct: Struct, belongs: (path: string) => boolean = () => true): Plan {
  const members = Object.entries(struct.fields).filter(([path]) => belongs(path));
  const gaps: [number, number][] = [];
  let end = 0;
  for (const [, { offset, size }] of members.toSorted(([, a], [, b]) => a.offset - b.offset)) {
    if (offset > end) gaps.push([end, offset]);
    end = Math.max(end, offset + size);
  }
  if (end < struct.size) gaps.push([end, struct.size]);
  const fields = members.flatMap(([path, field]): [Field, Treatment][] => {
    const treatment = TREATMENTS[path.slice(path.lastIndexOf('.') + 1)];
    if (treatment) return [[field, treatment]];
    return field.type === 'wstr' ? [[field, 'name']] : [];
  });
  return { fields, gaps };
}

const UNION = 'ProjectionInfo.Anonymous.';
/** By projectionInfoType; any other fills no variant of the union. */
const VARIANTS: Readonly<Record<number, string>> = {
  1: `${UNION}PppProjectionInfo.`,
  2: `${UNION}Ikev2ProjectionInfo.`,
};

interface StructPlan {
  /** Offset of ROUTER_INTERFACE_TYPE, if there is one. */
  readonly interfaceType: number | undefined;
  readonly planFor: (record: Buffer, at: number) => Plan;
}

function connectionPlan(struct: Struct): StructPlan {
  const within = (variant: string) => (path: string) => !path.startsWith(UNION) || path.startsWith(variant);
  const plans = new Map(
    Object.entries(VARIANTS).map(([type, variant]) => [Number(type), planOf(struct, within(variant))]),
  );
  const none = planOf(struct, (path) => !path.startsWith(UNION));
  const type = fieldOf(struct, 'ProjectionInfo.projectionInfoType').offset;
  return {
    interfaceType: fieldOf(struct, 'dwInterfaceType').offset,
    planFor: (record, at) => plans.get(record[at + type]!) ?? none,
  };
}

function fixedPlan(struct: Struct): StructPlan {
  const plan = planOf(struct);
  return { interfaceType: struct.fields['dwIfType']?.offset, planFor: () => plan };
}

const PLANS: ReadonlyMap<Struct, StructPlan> = new Map([
  [RAS_CONNECTION_EX, connectionPlan(RAS_CONNECTION_EX)],
  [RAS_CONNECTION_4, connectionPlan(RAS_CONNECTION_4)],
  ...[MPR_INTERFACE_0, MPR_INTERFACE_2, RAS_PORT_0, MPR_SERVER_0].map(
    (struct) => [struct, fixedPlan(struct)] as const,
  ),
]);

/** 198.18.0.0/15, set aside for benchmarks (RFC 2544): no network has it. Then 240.0.0.0/4, which nobody has. */
const IPV4_FIRST = 0xc612_0000;
const IPV4_FIRST_COUNT = 0x2_0000;
const IPV4_MORE = 0xf000_0000;
/** 2001:db8::/32, the documentation range. */
const IPV6_RANGE = 0x2001_0db8;
const HALF = 8;

/** The replacements of one recording. They must never be written anywhere. */
export class Scrubber {
  readonly #names = new Map<string, Buffer>();
  readonly #addresses = new Map<string, Buffer>();
  readonly #ipv4 = new Map<string, number>();
  readonly #prefixes = new Map<string, Buffer>();
  readonly #identifiers = new Map<string, Buffer>();

  /** Scrubs an array of records in place; `bytes` must be a copy that nobody else reads. */
  scrub(struct: Struct, bytes: Buffer): void {
    const structPlan = PLANS.get(struct);
    if (!structPlan) throw new Error(`there is no plan to scrub ${struct.name}`);
    for (let at = 0; at + struct.size <= bytes.length; at += struct.size) {
      const plan = structPlan.planFor(bytes, at);
      const type =
        structPlan.interfaceType === undefined ? -1 : bytes.readUInt32LE(at + structPlan.interfaceType);
      for (const [start, end] of plan.gaps) bytes.fill(0, at + start, at + end);
      for (const [field, treatment] of plan.fields) {
        const kept = treatment === 'interface' && UNPERSONAL_TYPES.has(type);
        this.#treat(bytes, at + field.offset, field.size, kept ? 'keep' : treatment);
      }
    }
  }

  /** The replacement of a name; no name has none. */
  name(text: string): string {
    return this.#name(text).toString('utf16le');
  }

  #treat(bytes: Buffer, start: number, size: number, treatment: Treatment): void {
    switch (treatment) {
      case 'zero':
        bytes.fill(0, start, start + size);
        return;
      case 'ipv4':
        if (bytes.readUInt32BE(start) === 0) return;
        bytes.writeUInt32BE(this.#ipv4Of(dotted(bytes.readUInt32BE(start))), start);
        return;
      case 'prefix':
      case 'identifier': {
        const half = bytes.subarray(start, start + size);
        if (half.every((byte) => byte === 0)) return;
        half.set(treatment === 'prefix' ? this.#prefixOf(half) : this.#identifierOf(half));
        return;
      }
      case 'keep': {
        const length = readWide(bytes, start, size).length * 2;
        bytes.fill(0, start + length, start + size);
        return;
      }
      case 'name':
      case 'interface':
      case 'address': {
        const text = readWide(bytes, start, size);
        const replacement = treatment === 'address' ? this.#address(text, size) : this.#name(text);
        replacement.copy(bytes, start);
        bytes.fill(0, start + replacement.length, start + size);
      }
    }
  }

  /** Names are compared without case, as Windows does. At most 15 characters for ten thousand million names. */
  #name(text: string): Buffer {
    if (text === '') return NOTHING;
    const key = text.toLowerCase();
    let name = this.#names.get(key);
    if (!name) this.#names.set(key, (name = wide(`name-${this.#names.size + 1}`)));
    return name;
  }

  #address(text: string, size: number): Buffer {
    if (text === '') return NOTHING;
    let address = this.#addresses.get(text);
    if (!address) {
      const replacement = isIPv4(text) ? dotted(this.#ipv4Of(text)) : isIPv6(text) ? this.#ipv6Of(text) : '';
      address = replacement === '' ? this.#name(text) : wide(replacement);
      this.#addresses.set(text, address);
    }
    // An IPv6 address where only an IPv4 address has room.
    return address.length < size ? address : this.#name(text);
  }

  #ipv4Of(text: string): number {
    let address = this.#ipv4.get(text);
    if (address === undefined) {
      const n = this.#ipv4.size + 1;
      address = n < IPV4_FIRST_COUNT ? IPV4_FIRST + n : IPV4_MORE + n - IPV4_FIRST_COUNT;
      this.#ipv4.set(text, address);
    }
    return address;
  }

  #ipv6Of(text: string): string {
    const [address = '', zone = ''] = text.split('%');
    const bytes = Buffer.from(ipaddr.IPv6.parse(address).toByteArray());
    const first = this.#prefixOf(bytes.subarray(0, HALF), zone);
    const last = bytes.subarray(HALF);
    const identifier = last.every((byte) => byte === 0) ? last : this.#identifierOf(last);
    return new ipaddr.IPv6([...first, ...identifier]).toRFC5952String();
  }

  #prefixOf(half: Buffer, zone = ''): Buffer {
    return replacementOf(this.#prefixes, `${half.toString('hex')}%${zone}`, IPV6_RANGE);
  }

  #identifierOf(half: Buffer): Buffer {
    return replacementOf(this.#identifiers, half.toString('hex'), 0);
  }
}

const NOTHING = Buffer.alloc(0);
const wide = (text: string): Buffer => Buffer.from(text, 'utf16le');
const dotted = (address: number): string =>
  `${address >>> 24}.${(address >>> 16) & 255}.${(address >>> 8) & 255}.${address & 255}`;

/** Half an IPv6 address: `high`, and how many came before. */
function replacementOf(known: Map<string, Buffer>, key: string, high: number): Buffer {
  let half = known.get(key);
  if (!half) {
    half = Buffer.alloc(HALF);
    half.writeUInt32BE(high, 0);
    half.writeUInt32BE(known.size + 1, HALF / 2);
    known.set(key, half);
  }
  return half;
}
