/**
 * Connections as the C side is to define them, and what the page must then say of each. Every number and text is one
 * of its own, so that a swapped, narrowed or shifted field shows. Codes are those of mprapi.h, ras.h and MS-RRASM.
 */
import { scriptLine } from './wine.ts';

export type Api = 'ex' | 'level4';
type Fields = Record<string, string | number | bigint>;

interface Row {
  readonly tunnel: 'l2tp' | 'pptp' | 'sstp' | 'pppoe' | 'ikev2';
  readonly fields: Fields;
  readonly auth: string;
  /** Where EnumEx, which lacks the inner EAP method, can tell less. */
  readonly authEx?: string;
  readonly encryption: string;
  readonly compression?: string;
  readonly interfaceType?: string;
  readonly role?: string;
  readonly tunnelAddressV6?: string;
  readonly dormant?: number;
  /** Where the page says something else of the tunnel than the script. */
  readonly shown?: Readonly<Record<Api, string>>;
  readonly port?: 'none';
  readonly texts?: Readonly<Partial<Record<TextField, string>>>;
}

const CHAP = 0xc223;
const EAP = 0xc227;
const ppp = (protocol: number, more: Fields = {}): Fields => ({
  'Ppp.dwAuthenticationProtocol': protocol,
  'Ppp.dwAuthenticationData': 0,
  ...more,
});
const eap = (type: number, inner = 0, more: Fields = {}): Fields =>
  ppp(EAP, { 'Ppp.dwEapTypeId': type, 'Ppp.dwEmbeddedEAPTypeId': inner, ...more });
const chap = (data: number, more: Fields = {}): Fields =>
  ppp(CHAP, { 'Ppp.dwAuthenticationData': data, ...more });
const lcp = (options: number): Fields => ({ 'Ppp.dwLcpOptions': options });
const ccp = (algorithm: number, options: number): Fields => ({
  'Ppp.dwCompressionAlgorithm': algorithm,
  'Ppp.dwCcpOptions': options,
});
const ike = (protocol: number, method: number, type = 0, inner = 0): Fields => ({
  'Ikev2.dwAuthenticationProtocol': protocol,
  'Ikev2.dwEapTypeId': type,
  'Ikev2.dwEmbeddedEAPTypeId': inner,
  'Ikev2.dwEncryptionMethod': method,
});

/** Units of each text's array; a text may fill all of them. */
const UNITS = {
  wszInterfaceName: 257,
  wszUserName: 257,
  wszLogonDomain: 16,
  wszRemoteComputer: 17,
  wszRemoteEndpointAddress: 65,
  wszLocalEndpointAddress: 65,
} as const;
type TextField = keyof typeof UNITS;
const TEXT_FIELDS = Object.keys(UNITS) as TextField[];
const LABELS: Readonly<Record<TextField, string>> = {
  wszInterfaceName: 'interface',
  wszUserName: 'user',
  wszLogonDomain: 'domain',
  wszRemoteComputer: 'computer',
  wszRemoteEndpointAddress: 'remote_address',
  wszLocalEndpointAddress: 'local_address',
};

/** A text of so many units in which no two places look alike; addresses are ASCII as the server writes them. */
function filled(field: TextField, units: number): string {
  const isAddress = field.endsWith('Address');
  const letters = isAddress ? '2001:db8:' : `${field.slice(3, 6)}\u00fc\u540d`;
  return Array.from({ length: units }, (_, i) =>
    i % 4 === 3 ? (i % 10).toString() : letters[i % letters.length]!,
  ).join('');
}
const filledTexts = (less: number): Record<TextField, string> =>
  Object.fromEntries(TEXT_FIELDS.map((field) => [field, filled(field, UNITS[field] - less)])) as Record<
    TextField,
    string
  >;

const ROWS: readonly Row[] = [
  // Each text fills its array to the last unit, without a NUL.
  { tunnel: 'l2tp', fields: ppp(0xc023, lcp(0x010)), auth: 'pap', encryption: 'des', texts: filledTexts(0) },
  {
    tunnel: 'l2tp',
    fields: { ...ppp(0xc027, lcp(0x030)), ...ccp(5, 1), rasQuarState: 1 },
    auth: 'spap',
    encryption: '3des',
    compression: 'stac',
    texts: filledTexts(1),
  },
  {
    tunnel: 'l2tp',
    fields: { ...chap(5, lcp(0x040)), ...ccp(6, 1), rasQuarState: 2 },
    auth: 'chap',
    encryption: 'aes128',
    compression: 'mppc',
    texts: {
      wszUserName: 'half \ud83d',
      wszInterfaceName: '\udc00 half',
      wszRemoteComputer: 'ZÜRICH-\u{1F600}',
    },
  },
  {
    tunnel: 'l2tp',
    fields: { ...chap(0x80, lcp(0x100)), rasQuarState: 3 },
    auth: 'mschap',
    encryption: 'aes192',
    // The same as the one before on the page, where no half pair can stand.
    texts: {
      wszUserName: 'half \ud83c',
      wszInterfaceName: '\udc01 half',
      wszRemoteComputer: 'ZÜRICH-\u{1F601}',
    },
  },
  {
    tunnel: 'l2tp',
    fields: { ...chap(0x81, lcp(0x180)), rasQuarState: 3 },
    auth: 'mschapv2',
    encryption: 'aes256',
    texts: {
      wszUserName: 'a "b" \\c\\n, d=e|f',
      wszInterfaceName: 'tab\tline\nreturn\r\u0085',
      wszLogonDomain: '{}#',
    },
  },
  {
    tunnel: 'l2tp',
    fields: eap(4, 0, lcp(0x200)),
    auth: 'eap_md5',
    encryption: 'aes128_gcm',
    texts: Object.fromEntries(TEXT_FIELDS.map((field) => [field, ''])),
  },
  {
    tunnel: 'l2tp',
    fields: eap(13, 0, {
      ...lcp(0x400),
      'Ppp.bPrefix': '20010db800000006',
      'Ppp.bRemoteInterfaceIdentifier': '0000000000000a06',
      'Ppp.bInterfaceIdentifier': 'ffffffffffffffff',
    }),
    auth: 'eap_tls',
    encryption: 'aes192_gcm',
    tunnelAddressV6: '2001:db8:0:6::a06',
  },
  {
    tunnel: 'l2tp',
    fields: eap(21, 0, {
      ...lcp(0x800),
      'Ppp.dwIPv6NegotiationError': 733,
      'Ppp.bPrefix': '20010db800000007',
      'Ppp.bRemoteInterfaceIdentifier': '0000000000000a07',
    }),
    auth: 'eap_ttls',
    encryption: 'aes256_gcm',
  },
  {
    tunnel: 'pptp',
    fields: eap(26, 0, ccp(6, 0x21)),
    auth: 'eap_mschapv2',
    encryption: 'mppe40',
    compression: 'mppc',
  },
  { tunnel: 'pptp', fields: eap(25, 0, ccp(6, 0x80)), auth: 'peap', encryption: 'mppe56' },
  {
    tunnel: 'pptp',
    fields: eap(25, 13, ccp(7, 0x01000040)),
    auth: 'peap_eap_tls',
    authEx: 'peap',
    encryption: 'mppe128',
    compression: 'other',
  },
  {
    tunnel: 'sstp',
    fields: { ...eap(25, 26), dwDeviceType: 0x1000e },
    auth: 'peap_mschapv2',
    authEx: 'peap',
    encryption: 'unknown',
  },
  {
    tunnel: 'pppoe',
    fields: { ...ppp(0), dwInterfaceType: 2 },
    auth: 'none',
    encryption: 'none',
    interfaceType: 'full_router',
    role: 'site',
  },
  {
    tunnel: 'pppoe',
    fields: {
      ...ppp(0, { 'Ppp.dwRemoteAuthenticationProtocol': CHAP, 'Ppp.dwRemoteAuthenticationData': 0x81 }),
      dwInterfaceType: 1,
    },
    auth: 'mschapv2',
    encryption: 'none',
    interfaceType: 'home_router',
    role: 'site',
  },
  {
    tunnel: 'sstp',
    fields: { ...eap(43), dwInterfaceType: 3 },
    auth: 'eap_other',
    encryption: 'unknown',
    interfaceType: 'dedicated',
    role: 'other',
  },
  { tunnel: 'sstp', fields: ppp(0xabcd), auth: 'unknown', encryption: 'unknown' },
  {
    tunnel: 'ikev2',
    fields: {
      ...ike(1, 5),
      dwConnectionFlags: 0x30,
      'Ikev2.bPrefix': '20010db8abcd0010',
      'Ikev2.bRemoteInterfaceIdentifier': '1122334455667788',
    },
    auth: 'machine_certificate',
    encryption: 'aes256',
    dormant: 1,
    tunnelAddressV6: '2001:db8:abcd:10:1122:3344:5566:7788',
  },
  { tunnel: 'ikev2', fields: ike(2, 2, 25, 13), auth: 'peap_eap_tls', authEx: 'peap', encryption: '3des' },
  { tunnel: 'ikev2', fields: ike(7, 9), auth: 'unknown', encryption: 'unknown' },
  { tunnel: 'ikev2', fields: ike(2, 4, 29), auth: 'eap_mschapv2', encryption: 'aes192' },
  // A projection of neither kind: nothing of it is to be read.
  {
    tunnel: 'pptp',
    fields: { ...ppp(0xc023, lcp(0x800)), ...ccp(5, 1), projectionInfoType: 3 },
    auth: 'unknown',
    encryption: 'unknown',
  },
  // A device that is no VPN, and no port that EnumEx's record could be joined with.
  {
    tunnel: 'pptp',
    fields: { ...chap(0x81), dwDeviceType: 12 },
    auth: 'mschapv2',
    encryption: 'none',
    shown: { level4: 'other', ex: 'unknown' },
    port: 'none',
  },
];

const ERRORS = {
  dwCrcErr: 'crc',
  dwTimeoutErr: 'timeout',
  dwAlignmentErr: 'alignment',
  dwHardwareOverrunErr: 'hardware_overrun',
  dwFramingErr: 'framing',
  dwBufferOverrunErr: 'buffer_overrun',
} as const;
const TWO_32 = 2n ** 32n;
const TICKS_1601_TO_1970 = 11_644_473_600n * 10_000_000n;

/** What the page must say of one connection, by the label `tunnel_address`. */
export interface Expected {
  readonly texts: Readonly<Record<string, string>>;
  readonly numbers: Readonly<Record<string, number>>;
}

export interface Definition {
  /** Lines of the fake's script. */
  readonly script: string;
  readonly connections: Readonly<Record<string, Expected>>;
  /** Unix seconds, with milliseconds on level 4. */
  readonly startTimes: Readonly<Record<string, number>>;
  readonly byTunnelAndRole: Readonly<Record<string, number>>;
  readonly byAuth: Readonly<Record<string, number>>;
  readonly distinctUsers: number;
}

/** `now` in Unix seconds. Ports stand in reverse, after one that belongs to nobody. */
export function define(api: Api, now: number): Definition {
  const lines: string[] = [];
  const ports: string[] = [scriptLine('port', { tunnel: 'l2tp' })];
  const connections: Record<string, Expected> = {};
  const startTimes: Record<string, number> = {};
  const byTunnelAndRole: Record<string, number> = {};
  const byAuth: Record<string, number> = {};
  const users = new Set<string>();
  ROWS.forEach((row, i) => {
    // They differ in the high half alone: a handle that is cut to 32 bits is the handle of all.
    const hConnection = (BigInt(i + 1) << 32n) + 0x8000_0001n;
    const key = row.fields['projectionInfoType'] === 3 ? '' : i === 0 ? '255.255.255.255x' : `10.20.30.${i}`;
    const texts: Record<TextField, string> = {
      wszInterfaceName: `interface ${i}`,
      wszUserName: `user${i}@example`,
      wszLogonDomain: `DOMAIN${i}`,
      wszRemoteComputer: `COMPUTER${i}`,
      wszRemoteEndpointAddress: `203.0.113.${i}`,
      wszLocalEndpointAddress: `2001:db8::${i}`,
      ...row.texts,
    };
    if (texts.wszUserName !== '') users.add(JSON.stringify([texts.wszLogonDomain, texts.wszUserName]));

    const startedAt = Math.floor(now) - 1000 * (i + 1);
    const ticks = BigInt(startedAt) * 10_000_000n + 1_234_567n + TICKS_1601_TO_1970;
    const received = i === 0 ? 2n ** 53n - 1n : (BigInt(i) << 40n) + 0xf000_0000n + BigInt(i);
    const transmitted = (BigInt(i + 1) << 41n) + 0xe000_0000n + BigInt(i);
    const frames = { dwFramesRcved: 0xd000_0000 + i, dwFramesXmited: 0xc000_0000 + i };
    const errors = Object.fromEntries(
      Object.keys(ERRORS).map((field, n) => [
        field,
        (i + n) % 5 === 4 ? 0 : 0xb000_0000 - n * 0x1000_0000 + i,
      ]),
    );
    const switchovers = 0x4000_0000 + i;
    const ratios = { dwCompressionRatioIn: i === 1 ? 0xffff_ffff : 30 + i, dwCompressionRatioOut: 130 + i };

    lines.push(
      scriptLine('connection', {
        tunnel: row.tunnel,
        ...row.fields,
        ...texts,
        [`${row.tunnel === 'ikev2' ? 'Ikev2' : 'Ppp'}.wszRemoteAddress`]: key === '' ? '192.0.2.99' : key,
        hConnection,
        hInterface: 0xfeed_0000 + i,
        guid: i.toString(16).padStart(2, '0').padEnd(32, 'a'),
        ...(api === 'ex'
          ? { startedAt }
          : { dwConnectDuration: 1000 * (i + 1) + 3, connectionStartTime: ticks }),
        ullBytesRcved: received,
        ullBytesXmited: transmitted,
        ...frames,
        ...errors,
        ...ratios,
        dwNumSwitchOvers: switchovers,
      }),
    );
    if (row.port !== 'none') ports.splice(1, 0, scriptLine('port', { tunnel: row.tunnel, hConnection }));

    const tunnel = row.shown?.[api] ?? row.tunnel;
    const role = row.role ?? 'client';
    const auth = (api === 'ex' ? row.authEx : undefined) ?? row.auth;
    const compression = row.compression ?? 'none';
    const cell = `${tunnel}/${role}`;
    byTunnelAndRole[cell] = (byTunnelAndRole[cell] ?? 0) + 1;
    byAuth[auth] = (byAuth[auth] ?? 0) + 1;
    startTimes[key] = api === 'ex' ? startedAt : startedAt + 0.123;
    const bytes = (value: bigint): number => Number(api === 'ex' ? value % TWO_32 : value);
    connections[key] = {
      texts: {
        ...Object.fromEntries(TEXT_FIELDS.map((field) => [LABELS[field], onPage(texts[field])])),
        interface_type: row.interfaceType ?? 'client',
        tunnel,
        role,
        auth,
        encryption: row.encryption,
        compression,
        tunnel_address: key,
        tunnel_address_v6: row.tunnelAddressV6 ?? '',
      },
      numbers: {
        received_bytes_total: bytes(received),
        transmitted_bytes_total: bytes(transmitted),
        received_frames_total: frames.dwFramesRcved,
        transmitted_frames_total: frames.dwFramesXmited,
        ...Object.fromEntries(
          Object.entries(ERRORS)
            .map(([field, kind]) => [`errors_total/${kind}`, errors[field]!] as const)
            .filter(([, value]) => value !== 0),
        ),
        ...(tunnel === 'ikev2' ? { switchovers_total: switchovers } : {}),
        ...(compression === 'none'
          ? {}
          : {
              'compression_ratio/in': ratios.dwCompressionRatioIn / 100,
              'compression_ratio/out': ratios.dwCompressionRatioOut / 100,
            }),
        dormant: row.dormant ?? 0,
      },
    };
  });
  return {
    script: [...lines, ...ports].join(''),
    connections,
    startTimes,
    byTunnelAndRole,
    byAuth,
    distinctUsers: users.size,
  };
}

/** Halves of a pair and control characters become U+FFFD, each by itself. */
const onPage = (text: string): string => text.toWellFormed().replace(/\p{Cc}/gu, '\ufffd');
