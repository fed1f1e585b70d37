/**
 * The peer of the decoder: koffi.decode with a struct type. It is declared from the same table of offsets, with the
 * fields that the decoder reads and nothing else, in the way that was measured to be the fastest for koffi.
 */
import type { TypeObject } from 'koffi';
import koffi from 'koffi';
import type { Field, Struct } from '../src/native/layout.ts';
import { fieldOf, offsetOf, RAS_CONNECTION_4 } from '../src/native/layout.ts';

const UNION = 'ProjectionInfo.Anonymous';
const FIELDS: readonly string[] = [
  'dwConnectDuration',
  'dwInterfaceType',
  'dwConnectionFlags',
  'wszInterfaceName',
  'wszUserName',
  'wszLogonDomain',
  'wszRemoteComputer',
  'guid',
  'rasQuarState',
  'connectionStartTime',
  'ullBytesXmited',
  'ullBytesRcved',
  'dwFramesXmited',
  'dwFramesRcved',
  'dwCrcErr',
  'dwTimeoutErr',
  'dwAlignmentErr',
  'dwHardwareOverrunErr',
  'dwFramingErr',
  'dwBufferOverrunErr',
  'dwCompressionRatioIn',
  'dwCompressionRatioOut',
  'dwNumSwitchOvers',
  'wszRemoteEndpointAddress',
  'wszLocalEndpointAddress',
  'ProjectionInfo.projectionInfoType',
  'hConnection',
  'dwDeviceType',
];
const PPP_FIELDS: readonly string[] = [
  'wszRemoteAddress',
  'dwIPv6NegotiationError',
  'bRemoteInterfaceIdentifier',
  'bPrefix',
  'dwAuthenticationProtocol',
  'dwAuthenticationData',
  'dwRemoteAuthenticationProtocol',
  'dwRemoteAuthenticationData',
  'dwLcpOptions',
  'dwEapTypeId',
  'dwEmbeddedEAPTypeId',
  'dwCompressionAlgorithm',
  'dwCcpOptions',
];
const IKEV2_FIELDS: readonly string[] = [
  'wszRemoteAddress',
  'dwIPv6NegotiationError',
  'bRemoteInterfaceIdentifier',
  'bPrefix',
  'dwAuthenticationProtocol',
  'dwEapTypeId',
  'dwEmbeddedEAPTypeId',
  'dwEncryptionMethod',
];
const IKEV2 = 2;

const NUMBERS: Readonly<Partial<Record<Field['type'], string>>> = {
  u8: 'uint8',
  u16: 'uint16',
  u32: 'uint32',
  u64: 'uint64',
  handle: 'uint64',
  filetime: 'uint64',
};

function typeOf({ type, size }: Field): TypeObject | string {
  if (type === 'wstr') return koffi.array('char16_t', size / 2, 'String');
  return NUMBERS[type] ?? koffi.array('uint8', size, 'Typed');
}

function declare(struct: Struct, paths: readonly string[]): TypeObject {
  const members: Record<string, TypeObject | string> = {};
  let at = 0;
  const skipTo = (offset: number): void => {
    // Bytes that nobody reads: as text they cost koffi least, for it ends at the first zero.
    if (offset > at) members[`skipped${at}`] = koffi.array('char', offset - at, 'String');
    at = offset;
  };
  const fields = paths.map((path) => [path, fieldOf(struct, path)] as const);
  for (const [path, field] of fields.toSorted(([, a], [, b]) => a.offset - b.offset)) {
    skipTo(field.offset);
    members[path.replaceAll('.', '_')] = typeOf(field);
    at += field.size;
  }
  skipTo(struct.size);
  const type = koffi.pack(members);
  if (koffi.sizeof(type) !== struct.size) throw new Error(`koffi lays out ${struct.name} in another way`);
  return type;
}

/** Decodes every `stride`-th record of a page of level 4 into an object; answers how many it decoded. */
export class KoffiDecoder {
  readonly #ppp = declare(RAS_CONNECTION_4, [
    ...FIELDS,
    ...PPP_FIELDS.map((field) => `${UNION}.PppProjectionInfo.${field}`),
  ]);
  readonly #ikev2 = declare(RAS_CONNECTION_4, [
    ...FIELDS,
    ...IKEV2_FIELDS.map((field) => `${UNION}.Ikev2ProjectionInfo.${field}`),
  ]);
  readonly #projection = offsetOf(RAS_CONNECTION_4, 'ProjectionInfo.projectionInfoType');
  /** What was decoded last, so that nothing of it can be left undone. */
  last: unknown;

  decode(page: Uint8Array, stride: number): number {
    let count = 0;
    for (let at = 0; at < page.length; at += stride * RAS_CONNECTION_4.size) {
      const type = page[at + this.#projection] === IKEV2 ? this.#ikev2 : this.#ppp;
      this.last = koffi.decode(page, at, type);
      count += 1;
    }
    return count;
  }
}
