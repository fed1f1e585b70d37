/**
 * Byte layouts of the mprapi.h structures on 64-bit Windows, as one data table; nothing else in the program knows an
 * offset. Members are laid out by natural alignment and every structure's size is asserted when this module loads.
 */

/** How a field is read. `wstr` is a fixed array of UTF-16 units that ends at its first NUL or at its length. */
export type FieldType = 'u8' | 'u16' | 'u32' | 'u64' | 'handle' | 'filetime' | 'guid' | 'bytes' | 'wstr';

export interface Field {
  readonly type: FieldType;
  /** Bytes from the start of the structure. */
  readonly offset: number;
  /** Bytes that the field takes. */
  readonly size: number;
}

export interface Struct {
  readonly name: string;
  /** sizeof in bytes; the stride of an array. */
  readonly size: number;
  readonly align: number;
  /** Members by their C name; those of a nested structure as `Outer.Inner`. */
  readonly fields: Readonly<Record<string, Field>>;
}

type Spec = Exclude<FieldType, 'wstr' | 'bytes'> | readonly ['wstr' | 'bytes', number] | Struct;

const SIZE = { u8: 1, u16: 2, u32: 4, u64: 8, handle: 8, filetime: 8, guid: 16 } as const;
/** FILETIME and GUID are made of members of at most 4 bytes, so they align to 4 and not to 8. */
const ALIGN = { u8: 1, u16: 2, u32: 4, u64: 8, handle: 8, filetime: 4, guid: 4, bytes: 1, wstr: 2 } as const;

const roundUp = (n: number, to: number): number => Math.ceil(n / to) * to;

/** `size` is the sizeof that mprapi.h gives; a table that comes to another figure refuses to load. */
function layOut(kind: 'struct' | 'union', name: string, size: number, specs: Record<string, Spec>): Struct {
  const fields: Record<string, Field> = {};
  let end = 0;
  let align = 1;
  for (const [member, spec] of Object.entries(specs)) {
    const place = (memberAlign: number, memberSize: number): number => {
      const start = kind === 'union' ? 0 : roundUp(end, memberAlign);
      align = Math.max(align, memberAlign);
      end = Math.max(end, start + memberSize);
      return start;
    };
    if (typeof spec === 'string') {
      fields[member] = { type: spec, offset: place(ALIGN[spec], SIZE[spec]), size: SIZE[spec] };
    } else if ('fields' in spec) {
      const start = place(spec.align, spec.size);
      for (const [inner, field] of Object.entries(spec.fields)) {
        fields[`${member}.${inner}`] = { ...field, offset: start + field.offset };
      }
    } else {
      const [type, length] = spec;
      const bytes = type === 'wstr' ? length * 2 : length;
      fields[member] = { type, offset: place(ALIGN[type], bytes), size: bytes };
    }
  }
  const total = roundUp(end, align);
  if (total !== size) throw new Error(`layout of ${name} comes to ${total} bytes, mprapi.h has ${size}`);
  return { name, size, align, fields };
}

const struct = (name: string, size: number, specs: Record<string, Spec>): Struct =>
  layOut('struct', name, size, specs);
const union = (name: string, size: number, specs: Record<string, Spec>): Struct =>
  layOut('union', name, size, specs);

/** WCHAR[n], n without the terminator as mprapi.h names the limits (UNLEN, DNLEN, IPADDRESSLEN, ...). */
const wide = (units: number): Spec => ['wstr', units + 1] as const;
const UNLEN = 256;
const DNLEN = 15;
const NETBIOS_NAME_LEN = 16;
const IPADDRESSLEN = 15;
const MAXIPADDRESSLEN = 64;
const MAX_INTERFACE_NAME_LEN = 256;
const MAX_PORT_NAME = 16;
const MAX_MEDIA_NAME = 16;
const MAX_DEVICE_NAME = 128;
const MAX_DEVICETYPE_NAME = 16;
const MPR_MaxX25 = 200;

export const MPRAPI_OBJECT_HEADER = struct('MPRAPI_OBJECT_HEADER', 4, {
  revision: 'u8',
  type: 'u8',
  size: 'u16',
});

const IPV4_PROJECTION = {
  dwIPv4NegotiationError: 'u32',
  wszAddress: wide(IPADDRESSLEN),
  wszRemoteAddress: wide(IPADDRESSLEN),
} as const;
const IPV6_PROJECTION = {
  IPv4SubInterfaceIndex: 'u64',
  dwIPv6NegotiationError: 'u32',
  bInterfaceIdentifier: ['bytes', 8],
  bRemoteInterfaceIdentifier: ['bytes', 8],
  bPrefix: ['bytes', 8],
  dwPrefixLength: 'u32',
  IPv6SubInterfaceIndex: 'u64',
} as const;
const PPP_HEAD = {
  ...IPV4_PROJECTION,
  dwIPv4Options: 'u32',
  dwIPv4RemoteOptions: 'u32',
  ...IPV6_PROJECTION,
} as const;
const PPP_LCP = {
  dwLcpError: 'u32',
  dwAuthenticationProtocol: 'u32',
  dwAuthenticationData: 'u32',
  dwRemoteAuthenticationProtocol: 'u32',
  dwRemoteAuthenticationData: 'u32',
  dwLcpTerminateReason: 'u32',
  dwLcpRemoteTerminateReason: 'u32',
  dwLcpOptions: 'u32',
  dwLcpRemoteOptions: 'u32',
  dwEapTypeId: 'u32',
} as const;
const PPP_CCP = {
  dwRemoteEapTypeId: 'u32',
  dwCcpError: 'u32',
  dwCompressionAlgorithm: 'u32',
  dwCcpOptions: 'u32',
  dwRemoteCompressionAlgorithm: 'u32',
  dwCcpRemoteOptions: 'u32',
} as const;
const IKEV2_HEAD = {
  ...IPV4_PROJECTION,
  ...IPV6_PROJECTION,
  dwOptions: 'u32',
  dwAuthenticationProtocol: 'u32',
  dwEapTypeId: 'u32',
} as const;

export const PPP_PROJECTION_INFO = struct('PPP_PROJECTION_INFO', 192, {
  ...PPP_HEAD,
  ...PPP_LCP,
  ...PPP_CCP,
});
export const IKEV2_PROJECTION_INFO = struct('IKEV2_PROJECTION_INFO', 144, {
  ...IKEV2_HEAD,
  dwCompressionAlgorithm: 'u32',
  dwEncryptionMethod: 'u32',
});
export const PROJECTION_INFO = struct('PROJECTION_INFO', 200, {
  projectionInfoType: 'u8',
  Anonymous: union('PROJECTION_INFO union', 192, {
    PppProjectionInfo: PPP_PROJECTION_INFO,
    Ikev2ProjectionInfo: IKEV2_PROJECTION_INFO,
  }),
});

export const PPP_PROJECTION_INFO2 = struct('PPP_PROJECTION_INFO2', 200, {
  ...PPP_HEAD,
  ...PPP_LCP,
  dwEmbeddedEAPTypeId: 'u32',
  ...PPP_CCP,
});
export const IKEV2_PROJECTION_INFO2 = struct('IKEV2_PROJECTION_INFO2', 144, {
  ...IKEV2_HEAD,
  dwEmbeddedEAPTypeId: 'u32',
  dwCompressionAlgorithm: 'u32',
  dwEncryptionMethod: 'u32',
});
export const PROJECTION_INFO2 = struct('PROJECTION_INFO2', 208, {
  projectionInfoType: 'u8',
  Anonymous: union('PROJECTION_INFO2 union', 200, {
    PppProjectionInfo: PPP_PROJECTION_INFO2,
    Ikev2ProjectionInfo: IKEV2_PROJECTION_INFO2,
  }),
});

const CONNECTION_HEAD = {
  dwConnectDuration: 'u32',
  dwInterfaceType: 'u32',
  dwConnectionFlags: 'u32',
  wszInterfaceName: wide(MAX_INTERFACE_NAME_LEN),
  wszUserName: wide(UNLEN),
  wszLogonDomain: wide(DNLEN),
  wszRemoteComputer: wide(NETBIOS_NAME_LEN),
  guid: 'guid',
  rasQuarState: 'u32',
  probationTime: 'filetime',
} as const;
const CONNECTION_COUNTERS = {
  dwFramesXmited: 'u32',
  dwFramesRcved: 'u32',
  dwCrcErr: 'u32',
  dwTimeoutErr: 'u32',
  dwAlignmentErr: 'u32',
  dwHardwareOverrunErr: 'u32',
  dwFramingErr: 'u32',
  dwBufferOverrunErr: 'u32',
  dwCompressionRatioIn: 'u32',
  dwCompressionRatioOut: 'u32',
  dwNumSwitchOvers: 'u32',
  wszRemoteEndpointAddress: wide(MAXIPADDRESSLEN),
  wszLocalEndpointAddress: wide(MAXIPADDRESSLEN),
} as const;

/** Revision 1, object type 1: what MprAdminConnectionEnumEx returns. Byte counters of 32 bits. */
export const RAS_CONNECTION_EX = struct('RAS_CONNECTION_EX', 1672, {
  Header: MPRAPI_OBJECT_HEADER,
  ...CONNECTION_HEAD,
  dwBytesXmited: 'u32',
  dwBytesRcved: 'u32',
  ...CONNECTION_COUNTERS,
  ProjectionInfo: PROJECTION_INFO,
  hConnection: 'handle',
  hInterface: 'handle',
});

/** MprAdminConnectionEnum level 4 (Server 2012 and later). Byte counters of 64 bits, a start time, the tunnel. */
export const RAS_CONNECTION_4 = struct('RAS_CONNECTION_4', 1696, {
  ...CONNECTION_HEAD,
  connectionStartTime: 'filetime',
  ullBytesXmited: 'u64',
  ullBytesRcved: 'u64',
  ...CONNECTION_COUNTERS,
  ProjectionInfo: PROJECTION_INFO2,
  hConnection: 'handle',
  hInterface: 'handle',
  dwDeviceType: 'u32',
});

/** Revision 1, object type 5: the argument of MprAdminUpdateConnection. */
export const RAS_UPDATE_CONNECTION = struct('RAS_UPDATE_CONNECTION', 268, {
  Header: MPRAPI_OBJECT_HEADER,
  dwIfIndex: 'u32',
  wszLocalEndpointAddress: wide(MAXIPADDRESSLEN),
  wszRemoteEndpointAddress: wide(MAXIPADDRESSLEN),
});

const INTERFACE_HEAD = {
  wszInterfaceName: wide(MAX_INTERFACE_NAME_LEN),
  hInterface: 'handle',
  fEnabled: 'u32',
  dwIfType: 'u32',
  dwConnectionState: 'u32',
  fUnReachabilityReasons: 'u32',
  dwLastError: 'u32',
} as const;

export const MPR_INTERFACE_0 = struct('MPR_INTERFACE_0', 552, INTERFACE_HEAD);

export const MPR_INTERFACE_2 = struct('MPR_INTERFACE_2', 2496, {
  ...INTERFACE_HEAD,
  dwfOptions: 'u32',
  szLocalPhoneNumber: wide(128),
  szAlternates: 'handle',
  ipaddr: 'u32',
  ipaddrDns: 'u32',
  ipaddrDnsAlt: 'u32',
  ipaddrWins: 'u32',
  ipaddrWinsAlt: 'u32',
  dwfNetProtocols: 'u32',
  szDeviceType: wide(MAX_DEVICETYPE_NAME),
  szDeviceName: wide(MAX_DEVICE_NAME),
  szX25PadType: wide(32),
  szX25Address: wide(MPR_MaxX25),
  szX25Facilities: wide(MPR_MaxX25),
  szX25UserData: wide(MPR_MaxX25),
  dwChannels: 'u32',
  dwSubEntries: 'u32',
  dwDialMode: 'u32',
  dwDialExtraPercent: 'u32',
  dwDialExtraSampleSeconds: 'u32',
  dwHangUpExtraPercent: 'u32',
  dwHangUpExtraSampleSeconds: 'u32',
  dwIdleDisconnectSeconds: 'u32',
  dwType: 'u32',
  dwEncryptionType: 'u32',
  dwCustomAuthKey: 'u32',
  dwCustomAuthDataSize: 'u32',
  lpbCustomAuthData: 'handle',
  guidId: 'guid',
  dwVpnStrategy: 'u32',
});

export const RAS_PORT_0 = struct('RAS_PORT_0', 392, {
  hPort: 'handle',
  hConnection: 'handle',
  dwPortCondition: 'u32',
  dwTotalNumberOfCalls: 'u32',
  dwConnectDuration: 'u32',
  wszPortName: wide(MAX_PORT_NAME),
  wszMediaName: wide(MAX_MEDIA_NAME),
  wszDeviceName: wide(MAX_DEVICE_NAME),
  wszDeviceType: wide(MAX_DEVICETYPE_NAME),
});

export const MPR_SERVER_0 = struct('MPR_SERVER_0', 16, {
  fLanOnlyMode: 'u32',
  dwUpTime: 'u32',
  dwTotalPorts: 'u32',
  dwPortsInUse: 'u32',
});

/** Every structure above, for the checks that go over all of them. */
export const STRUCTS: readonly Struct[] = [
  MPRAPI_OBJECT_HEADER,
  PPP_PROJECTION_INFO,
  IKEV2_PROJECTION_INFO,
  PROJECTION_INFO,
  PPP_PROJECTION_INFO2,
  IKEV2_PROJECTION_INFO2,
  PROJECTION_INFO2,
  RAS_CONNECTION_EX,
  RAS_CONNECTION_4,
  RAS_UPDATE_CONNECTION,
  MPR_INTERFACE_0,
  MPR_INTERFACE_2,
  RAS_PORT_0,
  MPR_SERVER_0,
];

/** Byte offset of a member, `path` as in the table; an unknown path is a programming error and throws. */
export function offsetOf(structure: Struct, path: string): number {
  return fieldOf(structure, path).offset;
}

/** A member's entry of the table; an unknown path is a programming error and throws. */
export function fieldOf(structure: Struct, path: string): Field {
  const field = structure.fields[path];
  if (!field) throw new Error(`${structure.name} has no field ${path}`);
  return field;
}

/** MPRAPI_OBJECT_TYPE and the revision that goes with it. */
export const RAS_CONNECTION_OBJECT = { revision: 1, type: 1, size: RAS_CONNECTION_EX.size } as const;
export const UPDATE_CONNECTION_OBJECT = { revision: 1, type: 5, size: RAS_UPDATE_CONNECTION.size } as const;

/** dwPreferedMaxLen that asks for everything in one buffer. */
export const PREFER_ALL = 0xffff_ffff;
/** "All ports" for MprAdminPortEnum; NULL would be refused with ERROR_INVALID_HANDLE. */
export const INVALID_HANDLE_VALUE = 0xffff_ffff_ffff_ffffn;
