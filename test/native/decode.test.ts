/** Pages of native records into frames: every field, every text, and bytes that are not what they should be. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { ConnectionColumns, ConnectionIdentity, ConnectionsFrame } from '../../src/model/frames.ts';
import { NO_SLOT } from '../../src/model/frames.ts';
import { INTERFACE_STATES, INTERFACE_TYPES, TUNNELS } from '../../src/model/words.ts';
import {
  BadLayout,
  ConnectionDecoder,
  decodeServer,
  InterfaceDecoder,
  PortDecoder,
} from '../../src/native/decode.ts';
import {
  fieldOf,
  MPR_INTERFACE_0,
  MPR_SERVER_0,
  RAS_CONNECTION_4,
  RAS_PORT_0,
} from '../../src/native/layout.ts';
import { POISON } from '../../src/native/simulator/heap.ts';
import type { ConnectionApi, FieldValues } from './record-builder.ts';
import {
  connection,
  CONNECTION_STRUCT,
  IKEV2,
  NOW_SECONDS,
  pageOf,
  PPP,
  PROJECTION_TYPE,
  put,
  record,
  ticksOf,
} from './record-builder.ts';

const APIS: readonly ConnectionApi[] = ['level4', 'ex'];
const decoderOf = (api: ConnectionApi): ConnectionDecoder => new ConnectionDecoder(api, () => NOW_SECONDS);

/** One enumeration of one page. */
function decode(decoder: ConnectionDecoder, ...records: readonly Uint8Array[]): ConnectionsFrame {
  decoder.begin();
  decoder.page(pageOf(...records), records.length);
  return decoder.finish();
}

function identityOf(api: ConnectionApi, values: FieldValues): ConnectionIdentity {
  const frame = decode(decoderOf(api), connection(api, 7, values));
  expect(frame.identities).toHaveLength(1);
  return frame.identities[0]![1];
}

/** Column values by handle. */
function rowsOf(
  frame: ConnectionsFrame,
  column: keyof ConnectionColumns,
  handles: ReadonlyMap<number, string>,
) {
  return new Map(
    Array.from({ length: frame.count }, (_, row) => [
      handles.get(frame.columns.slot[row]!),
      frame.columns[column][row],
    ]),
  );
}
const handlesOf = (frame: ConnectionsFrame): Map<number, string> =>
  new Map(frame.identities.map(([slot, { handle }]) => [slot, handle]));
const hex16 = (handle: number | bigint): string => handle.toString(16).padStart(16, '0');

describe('the columns of a connections frame', () => {
  it.each(APIS)('each come from their own field (%s)', (api) => {
    const wide = api === 'level4';
    const fields: Record<Exclude<keyof ConnectionColumns, 'slot'>, string> = {
      duration: 'dwConnectDuration',
      flags: 'dwConnectionFlags',
      quarantine: 'rasQuarState',
      receivedBytes: wide ? 'ullBytesRcved' : 'dwBytesRcved',
      transmittedBytes: wide ? 'ullBytesXmited' : 'dwBytesXmited',
      receivedFrames: 'dwFramesRcved',
      transmittedFrames: 'dwFramesXmited',
      crc: 'dwCrcErr',
      timeout: 'dwTimeoutErr',
      alignment: 'dwAlignmentErr',
      hardware_overrun: 'dwHardwareOverrunErr',
      framing: 'dwFramingErr',
      buffer_overrun: 'dwBufferOverrunErr',
      compressionIn: 'dwCompressionRatioIn',
      compressionOut: 'dwCompressionRatioOut',
      switchovers: 'dwNumSwitchOvers',
    };
    const values = Object.fromEntries(
      Object.values(fields).map((field, i) => [field, field === 'rasQuarState' ? 3 : 1001 + i * 17]),
    );
    const frame = decode(decoderOf(api), connection(api, 7, values));
    expect(frame).toMatchObject({ source: 'connections', api, count: 1 });
    for (const [column, field] of Object.entries(fields)) {
      expect([column, frame.columns[column as keyof ConnectionColumns][0]]).toEqual([column, values[field]]);
    }
    expect(frame.columns.slot[0]).toBe(0);
  });

  it('are unsigned, and bytes of level 4 have 64 bits', () => {
    const most = 0xffff_ffff;
    const ex = decode(
      decoderOf('ex'),
      connection('ex', 1, {
        dwBytesRcved: most,
        dwBytesXmited: 0x8000_0000,
        dwFramesRcved: most,
        dwCrcErr: most,
      }),
    );
    expect(ex.columns.receivedBytes[0]).toBe(most);
    expect(ex.columns.transmittedBytes[0]).toBe(0x8000_0000);
    expect(ex.columns.receivedFrames[0]).toBe(most);
    expect(ex.columns.crc[0]).toBe(most);
    const level4 = decode(
      decoderOf('level4'),
      connection('level4', 1, { ullBytesRcved: 2n ** 53n - 1n, ullBytesXmited: 0x1_0000_0001n }),
    );
    expect(level4.columns.receivedBytes[0]).toBe(Number.MAX_SAFE_INTEGER);
    expect(level4.columns.transmittedBytes[0]).toBe(0x1_0000_0001);
  });

  it.each(APIS)('hold as many rows as there are connections, far more than at first (%s)', (api) => {
    const decoder = decoderOf(api);
    const count = 1500;
    const records = Array.from({ length: count }, (_, i) =>
      connection(api, 1000 + i, { dwFramesRcved: i, wszUserName: `user ${i}` }),
    );
    const frame = decode(decoder, ...records);
    expect(frame.count).toBe(count);
    expect(frame.columns.receivedFrames).toEqual(Uint32Array.from({ length: count }, (_, i) => i));
    expect(frame.identities.map(([, { user }]) => user)).toEqual(
      Array.from({ length: count }, (_, i) => `user ${i}`),
    );
    expect(decode(decoder, ...records).identities).toEqual([]);
  });

  it.each(APIS)('are the same from a page at an odd address (%s)', (api) => {
    const records = [connection(api, 1, { dwFramesRcved: 11 }), connection(api, 2, { dwFramesRcved: 22 })];
    const shifted = new Uint8Array(pageOf(...records).length + 3).subarray(3);
    shifted.set(pageOf(...records));
    const decoder = decoderOf(api);
    decoder.begin();
    expect(decoder.page(shifted, 2)).toBe(2);
    expect([...decoder.finish().columns.receivedFrames]).toEqual([11, 22]);
  });
});

describe('an identity', () => {
  it.each(APIS)('has each text from its own field, whole to the last unit (%s)', (api) => {
    const texts = {
      user: ['wszUserName', 257],
      domain: ['wszLogonDomain', 16],
      computer: ['wszRemoteComputer', 17],
      interfaceName: ['wszInterfaceName', 257],
      remoteAddress: ['wszRemoteEndpointAddress', 65],
      localAddress: ['wszLocalEndpointAddress', 65],
      tunnelAddress: [`${IKEV2}.wszRemoteAddress`, 16],
    } as const;
    const values = Object.entries(texts).map(([name, [field, units]]) => ({
      name: name as keyof typeof texts,
      field,
      text: name[0]!.repeat(units - 1) + '!',
    }));
    // E9: no array has a NUL at its end.
    const identity = identityOf(api, Object.fromEntries(values.map(({ field, text }) => [field, text])));
    for (const { name, text } of values) expect([name, identity[name]]).toEqual([name, text]);
  });

  it.each(APIS)(
    'E9 a text without NUL ends with its array, also in the last record of a page (%s)',
    (api) => {
      const user = 'ü'.repeat(257);
      const frame = decode(
        decoderOf(api),
        connection(api, 1, { wszUserName: user, wszLogonDomain: 'D'.repeat(16) }),
        connection(api, 2, { wszUserName: user, wszInterfaceName: 'I'.repeat(257) }),
      );
      expect(frame.identities.map(([, { user: name, domain }]) => [name, domain])).toEqual([
        [user, 'D'.repeat(16)],
        [user, ''],
      ]);
    },
  );

  it.each(APIS)('keeps every UTF-16 unit up to the first NUL, unpaired surrogates included (%s)', (api) => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 1, max: 0xffff }), { maxLength: 257 }),
        fc.array(fc.integer({ min: 0, max: 0xffff }), { maxLength: 40 }),
        (units, after) => {
          const user = String.fromCharCode(...units);
          const stale = String.fromCharCode(...[...units, 0, ...after].slice(0, 257));
          expect(identityOf(api, { wszUserName: stale }).user).toBe(user);
        },
      ),
      { numRuns: 200 },
    );
    const lone = 'a\ud800b\udfffc\udc00\ud801';
    expect(identityOf(api, { wszUserName: lone, wszLogonDomain: 'ÅÉ語😀' })).toMatchObject({
      user: lone,
      domain: 'ÅÉ語😀',
    });
    expect(lone.isWellFormed()).toBe(false);
  });

  it.each(APIS)('has the guid in memory order, and none where it is all zero (%s)', (api) => {
    const guid = '00112233445566778899aabbccddeeff';
    expect(identityOf(api, { guid }).guid).toBe(guid);
    expect(identityOf(api, { guid: '0'.repeat(32) }).guid).toBe('');
  });

  it('has the exact start of level 4 as 16 digits, and none on EnumEx', () => {
    const ticks = ticksOf(NOW_SECONDS - 100) + 1_234_567n;
    expect(identityOf('level4', { connectionStartTime: ticks }).startTicks).toBe(hex16(ticks));
    expect(identityOf('ex', {}).startTicks).toBe('');
  });

  it.each(APIS)('has the interface type of each value, and unknown for one that is new (%s)', (api) => {
    INTERFACE_TYPES.forEach((type, value) => {
      expect(identityOf(api, { dwInterfaceType: value }).interfaceType).toBe(type);
    });
    expect(identityOf(api, { dwInterfaceType: 8 }).interfaceType).toBe('unknown');
  });

  it.each(APIS)('has the IPv6 address of the tunnel from prefix and remote identifier (%s)', (api) => {
    for (const [member, type] of [
      [PPP, 1],
      [IKEV2, 2],
    ] as const) {
      const values = {
        [PROJECTION_TYPE]: type,
        [`${member}.bPrefix`]: '20010db800770000',
        [`${member}.bRemoteInterfaceIdentifier`]: '0000000000000abc',
        [`${member}.bInterfaceIdentifier`]: 'ffffffffffffffff',
      };
      expect(identityOf(api, values).tunnelAddressV6).toBe('2001:db8:77::abc');
      expect(identityOf(api, { ...values, [`${member}.dwIPv6NegotiationError`]: 733 }).tunnelAddressV6).toBe(
        '',
      );
      expect(identityOf(api, { [PROJECTION_TYPE]: type }).tunnelAddressV6).toBe('');
    }
  });

  it.each(APIS)('of an IKEv2 projection is ikev2, with its own cipher and authentication (%s)', (api) => {
    const values = { [`${IKEV2}.dwAuthenticationProtocol`]: 2, [`${IKEV2}.dwEapTypeId`]: 13 };
    expect(identityOf(api, { ...values, [`${IKEV2}.dwEncryptionMethod`]: 4 })).toMatchObject({
      tunnel: 'ikev2',
      auth: 'eap_tls',
      encryption: 'aes192',
      compression: 'none',
    });
  });

  const ppp = {
    [PROJECTION_TYPE]: 1,
    [`${PPP}.dwAuthenticationProtocol`]: 0xc223,
    [`${PPP}.dwAuthenticationData`]: 0x81,
    [`${PPP}.dwLcpOptions`]: 0x86,
    [`${PPP}.dwCompressionAlgorithm`]: 6,
    [`${PPP}.dwCcpOptions`]: 0x01,
    [`${PPP}.wszRemoteAddress`]: '10.0.0.9',
  };

  it('of a PPP projection has its tunnel from the device type of level 4, and none on EnumEx', () => {
    const common = { auth: 'mschapv2', encryption: 'aes256', compression: 'mppc', tunnelAddress: '10.0.0.9' };
    for (const [device, tunnel] of [
      [9, 'l2tp'],
      [0x1_0009, 'l2tp'],
      [14, 'sstp'],
      [8, 'pptp'],
      [13, 'pppoe'],
      [2, 'other'],
    ] as const) {
      expect(identityOf('level4', { ...ppp, dwDeviceType: device })).toMatchObject({ ...common, tunnel });
    }
    expect(identityOf('ex', ppp)).toMatchObject({ ...common, tunnel: 'unknown' });
  });

  it.each(APIS)(
    'of a PPP projection has the remote authentication where the local one is none (%s)',
    (api) => {
      const values = {
        ...ppp,
        [`${PPP}.dwAuthenticationProtocol`]: 0,
        [`${PPP}.dwRemoteAuthenticationProtocol`]: 0xc223,
        [`${PPP}.dwRemoteAuthenticationData`]: 0x80,
        ...(api === 'level4' ? { dwDeviceType: 8 } : {}),
      };
      expect(identityOf(api, values).auth).toBe('mschap');
      expect(identityOf(api, { ...values, [`${PPP}.dwRemoteAuthenticationProtocol`]: 0 }).auth).toBe('none');
    },
  );

  it('has the inner EAP method, which level 4 alone tells', () => {
    for (const [member, projection, eap] of [
      [PPP, 1, 0xc227],
      [IKEV2, 2, 2],
    ] as const) {
      const values = {
        [PROJECTION_TYPE]: projection,
        [`${member}.dwAuthenticationProtocol`]: eap,
        [`${member}.dwEapTypeId`]: 25,
      };
      expect(identityOf('ex', values).auth).toBe('peap');
      expect(identityOf('level4', { ...values, [`${member}.dwEmbeddedEAPTypeId`]: 26 }).auth).toBe(
        'peap_mschapv2',
      );
    }
  });

  it.each(APIS)('of a projection that nobody knows has no figure of the union (%s)', (api) => {
    const values = { ...ppp, [PROJECTION_TYPE]: 9 };
    expect(identityOf(api, values)).toMatchObject({
      tunnel: api === 'level4' ? 'ikev2' : 'unknown',
      auth: 'unknown',
      encryption: 'unknown',
      compression: 'none',
      tunnelAddress: '',
      tunnelAddressV6: '',
    });
  });
});

describe('what is sent', () => {
  it.each(APIS)('is each identity once, and again only when something in it changed (%s)', (api) => {
    const struct = CONNECTION_STRUCT[api];
    const decoder = decoderOf(api);
    const record = connection(api, 7);
    expect(decode(decoder, record).identities).toHaveLength(1);
    expect(decode(decoder, record).identities).toEqual([]);
    // Numbers travel in the columns.
    for (const field of ['dwFramesRcved', 'dwConnectionFlags', 'dwNumSwitchOvers']) {
      put(record, struct, field, 12);
      expect(decode(decoder, record).identities).toEqual([]);
    }
    // Neither what lies behind a text's NUL, nor padding, nor fields that no identity has.
    const name = fieldOf(struct, 'wszUserName');
    record.fill(0x41, name.offset + 100, name.offset + name.size);
    expect(decode(decoder, record).identities).toEqual([]);
    put(record, struct, 'hInterface', 99);
    put(record, struct, `${IKEV2}.wszAddress`, '10.0.0.1');
    record.fill(0xee, struct.size - 4);
    expect(decode(decoder, record).identities).toEqual([]);
    for (const [field, value] of [
      ['wszRemoteEndpointAddress', '198.51.100.77'],
      ['wszUserName', 'user-8'],
      ['guid', 'ff'.repeat(16)],
      ['dwInterfaceType', 2],
      [`${IKEV2}.wszRemoteAddress`, '10.1.1.1'],
      [`${IKEV2}.dwEncryptionMethod`, 3],
    ] as const) {
      put(record, struct, field, value);
      const { identities } = decode(decoder, record);
      expect(identities.map(([slot]) => slot)).toEqual([0]);
      expect(decode(decoder, record).identities).toEqual([]);
    }
    if (api === 'level4') {
      put(record, struct, 'connectionStartTime', ticksOf(NOW_SECONDS - 99));
      expect(decode(decoder, record).identities).toHaveLength(1);
    }
  });

  it.each(APIS)('is not even decoded again while its bytes stay as they are (%s)', (api) => {
    let decoded = 0;
    const decoder = new ConnectionDecoder(api, () => {
      decoded += 1;
      return NOW_SECONDS;
    });
    const records = [1, 2].map((handle) => connection(api, handle));
    for (let i = 0; i < 5; i += 1) {
      put(records[0]!, CONNECTION_STRUCT[api], 'dwFramesRcved', i);
      decode(decoder, ...records);
    }
    expect(decoded).toBe(2);
    put(records[1]!, CONNECTION_STRUCT[api], 'wszUserName', 'renamed');
    decode(decoder, ...records);
    expect(decoded).toBe(3);
  });

  it.each(APIS)('is not decoded again for bytes behind a text, or that no identity has (%s)', (api) => {
    const struct = CONNECTION_STRUCT[api];
    let decoded = 0;
    const decoder = new ConnectionDecoder(api, () => {
      decoded += 1;
      return NOW_SECONDS;
    });
    const bytes = connection(api, 7);
    decode(decoder, bytes);
    const kept = decoder.keptBytes;
    for (const [field, { type, offset, size }] of Object.entries(struct.fields)) {
      if (type !== 'wstr' || field.startsWith('ProjectionInfo') || size < 40) continue;
      bytes.fill(0xab, offset + 36, offset + size);
    }
    put(bytes, struct, 'hInterface', 99);
    put(bytes, struct, `${IKEV2}.wszAddress`, '10.0.0.1');
    put(bytes, struct, `${IKEV2}.dwPrefixLength`, 64);
    // Of the other variant of the union.
    put(bytes, struct, `${PPP}.dwCcpRemoteOptions`, 0xffff_ffff);
    expect(decode(decoder, bytes).identities).toEqual([]);
    expect([decoded, decoder.keptBytes]).toEqual([1, kept]);
  });

  it.each(APIS)('is not an identity whose bytes changed and mean the same (%s)', (api) => {
    const struct = CONNECTION_STRUCT[api];
    const decoder = decoderOf(api);
    const bytes = connection(api, 7, { [PROJECTION_TYPE]: 1, [`${PPP}.dwLcpOptions`]: 0x80 });
    expect(decode(decoder, bytes).identities).toHaveLength(1);
    for (const options of [0x82, 0x84, 0x80]) {
      put(bytes, struct, `${PPP}.dwLcpOptions`, options);
      expect(decode(decoder, bytes).identities).toEqual([]);
    }
    put(bytes, struct, `${PPP}.dwLcpOptions`, 0x40);
    expect(decode(decoder, bytes).identities).toMatchObject([[0, { encryption: 'aes128' }]]);
  });

  it.each(APIS)('is the latest where an identity changed again before it was sent (%s)', (api) => {
    const decoder = decoderOf(api);
    const named = (wszUserName: string) => connection(api, 7, { wszUserName });
    decode(decoder, named('first'));
    decoder.begin();
    decoder.page(pageOf(named('second')), 1);
    const { identities } = decode(decoder, named('third'));
    expect(identities).toMatchObject([[0, { user: 'third' }]]);
    expect(decode(decoder, named('third')).identities).toEqual([]);
  });

  it('may be taken in parts, and what was not taken is left for the next frame', () => {
    const decoder = decoderOf('level4');
    const records = Array.from({ length: 7 }, (_, i) => connection('level4', i + 1));
    decoder.begin();
    decoder.page(pageOf(...records), 7);
    expect(decoder.end()).toMatchObject({ count: 7, identities: [] });
    expect(decoder.takeIdentities(3).map(([slot]) => slot)).toEqual([0, 1, 2]);
    expect(decoder.takeIdentities(3).map(([slot]) => slot)).toEqual([3, 4, 5]);
    expect(decode(decoder, ...records).identities.map(([slot]) => slot)).toEqual([6]);
    expect(decoder.takeIdentities(3)).toEqual([]);
  });

  it.each(APIS)(
    'takes a quarter of the records to know at most, even where all are others at once (%s)',
    (api) => {
      const decoder = decoderOf(api);
      const count = 5000;
      for (let round = 0; round < 8; round += 1) {
        const records = Array.from({ length: count }, (_, i) => {
          const text = 'x'.repeat(5 + ((i * 7 + round * 3) % 11));
          return connection(api, round * count + i + 1, { wszUserName: text, wszRemoteComputer: text });
        });
        expect(decode(decoder, ...records).identities).toHaveLength(count);
        expect(decoder.keptBytes / count).toBeLessThan(CONNECTION_STRUCT[api].size / 4);
      }
    },
  );

  it.each(APIS)('is kept for the next frame when an enumeration breaks off (%s)', (api) => {
    const decoder = decoderOf(api);
    decoder.begin();
    decoder.page(pageOf(connection(api, 1), connection(api, 2)), 2);
    // The second page never came.
    const frame = decode(decoder, connection(api, 2), connection(api, 3));
    expect(frame.identities.map(([, { handle }]) => handle).sort()).toEqual([hex16(2), hex16(3)]);
    expect(frame.count).toBe(2);
  });

  it.each(APIS)('has slots that stay while a connection lives and are free afterwards (%s)', (api) => {
    const decoder = decoderOf(api);
    const handles = handlesOf(decode(decoder, ...[1, 2, 3].map((handle) => connection(api, handle))));
    expect([...handles.keys()].sort()).toEqual([0, 1, 2]);
    const without = decode(decoder, connection(api, 3), connection(api, 1));
    expect(without.identities).toEqual([]);
    expect([...without.columns.slot].map((slot) => handles.get(slot))).toEqual([hex16(3), hex16(1)]);
    const freed = [...handles].find(([, handle]) => handle === hex16(2))![0];
    const again = decode(decoder, ...[1, 4, 3].map((handle) => connection(api, handle)));
    expect(again.identities.map(([slot, { handle }]) => [slot, handle])).toEqual([[freed, hex16(4)]]);
    // The same handle after a gap is sent again: its slot had been free.
    decode(decoder, connection(api, 1));
    expect(decode(decoder, connection(api, 1), connection(api, 3)).identities).toHaveLength(1);
  });

  it('has the slot of a port’s connection, by all bits of its handle', () => {
    const decoder = decoderOf('level4');
    decode(decoder, connection('level4', 7), connection('level4', 0x1_0000_0007n));
    expect([decoder.slotOf(7, 0), decoder.slotOf(7, 1), decoder.slotOf(7, 2)]).toEqual([0, 1, NO_SLOT]);
  });

  it.each(APIS)('tells handles apart that differ above 32 bits (%s)', (api) => {
    const wide = [1n, 0x1_0000_0001n, 0x8000_0000_0000_0001n, 0xffff_ffff_ffff_fffen];
    const decoder = decoderOf(api);
    const frame = decode(
      decoder,
      ...wide.map((handle, i) => connection(api, handle, { dwFramesRcved: i + 1, wszUserName: 'same' })),
    );
    expect(rowsOf(frame, 'receivedFrames', handlesOf(frame))).toEqual(
      new Map(wide.map((handle, i) => [hex16(handle), i + 1])),
    );
    expect(
      decode(decoder, ...wide.map((handle) => connection(api, handle, { wszUserName: 'same' }))),
    ).toMatchObject({ count: 4, identities: [] });
  });

  it.each(APIS)('E5 is of the later page where two pages bring the same connection (%s)', (api) => {
    const decoder = decoderOf(api);
    decoder.begin();
    const first = [1, 2].map((handle) => connection(api, handle, { dwFramesRcved: 10, wszUserName: 'old' }));
    const second = [2, 3].map((handle) => connection(api, handle, { dwFramesRcved: 20, wszUserName: 'new' }));
    expect(decoder.page(pageOf(...first), 2)).toBe(2);
    expect(decoder.page(pageOf(...second), 2)).toBe(1);
    const frame = decoder.finish();
    const handles = handlesOf(frame);
    expect(frame.count).toBe(3);
    expect(rowsOf(frame, 'receivedFrames', handles)).toEqual(
      new Map([
        [hex16(1), 10],
        [hex16(2), 20],
        [hex16(3), 20],
      ]),
    );
    expect(frame.identities.map(([, { user }]) => user)).toEqual(['old', 'new', 'new']);
  });
});

describe('a connection record that cannot be', () => {
  const refused = (api: ConnectionApi, values: FieldValues): void => {
    expect(() => decode(decoderOf(api), connection(api, 1), connection(api, 2, values))).toThrow(BadLayout);
  };

  it.each(APIS)('is refused for its enumerations and its remote address (%s)', (api) => {
    refused(api, { dwInterfaceType: 0x100 });
    refused(api, { rasQuarState: 4 });
    refused(api, { wszRemoteEndpointAddress: '203.0.113.5\u0007' });
    refused(api, { wszRemoteEndpointAddress: '語' });
    refused(api, { wszRemoteEndpointAddress: '\ud800' });
    expect(identityOf(api, { wszRemoteEndpointAddress: '' }).remoteAddress).toBe('');
    expect(identityOf(api, { wszRemoteEndpointAddress: '2001:db8::1' }).remoteAddress).toBe('2001:db8::1');
  });

  it('is refused on level 4 for a start that does not go with duration and clock', () => {
    const day = 86_400;
    for (const seconds of [-12 * day, 12 * day, 4e9, -4e9]) {
      refused('level4', { connectionStartTime: ticksOf(NOW_SECONDS - 100 + seconds) });
    }
    refused('level4', { connectionStartTime: 0 });
    refused('level4', { connectionStartTime: 2n ** 64n - 1n });
    // A clock that was set by a day since the connect.
    for (const seconds of [-day, day]) {
      const start = ticksOf(NOW_SECONDS - 100 + seconds);
      expect(identityOf('level4', { connectionStartTime: start }).startTicks).toBe(hex16(start));
    }
  });

  it('is refused on level 4 for a device type beyond the last, class bits aside', () => {
    for (const device of [16, 0xffff, 0x1_0010, 0xdddd_dddd]) refused('level4', { dwDeviceType: device });
    expect(identityOf('level4', { dwDeviceType: 0x8000_000f }).tunnel).toBe('ikev2');
  });

  /**
   * The protocol's own form of level 4 has byte counters and perhaps handles of 32 bits: 1688 or 1680 bytes a
   * record. A DLL that passed it on as it came must not be believed (mprapi-facts 5.7).
   */
  function wireForm(full: Buffer, handleBytes: 4 | 8): Buffer {
    const at = (path: string): number => fieldOf(RAS_CONNECTION_4, path).offset;
    const bytes = Buffer.alloc(handleBytes === 8 ? 1688 : 1680);
    full.copy(bytes, 0, 0, at('ullBytesXmited'));
    let to = at('ullBytesXmited');
    for (const field of ['ullBytesXmited', 'ullBytesRcved']) {
      full.copy(bytes, to, at(field), at(field) + 4);
      to += 4;
    }
    full.copy(bytes, to, at('dwFramesXmited'), at('hConnection'));
    to += at('hConnection') - at('dwFramesXmited');
    for (const field of ['hConnection', 'hInterface']) {
      full.copy(bytes, to, at(field), at(field) + handleBytes);
      to += handleBytes;
    }
    full.copy(bytes, to, at('dwDeviceType'), at('dwDeviceType') + 4);
    return bytes;
  }

  it.each([4, 8] as const)(
    'is refused on level 4 in the wire form with handles of %d bytes',
    (handleBytes) => {
      for (const count of [1, 2, 3, 50]) {
        for (const device of [8, 9, 14, 15]) {
          const wire = Array.from({ length: count }, (_, i) =>
            wireForm(
              connection('level4', 0x10000 + i, {
                dwDeviceType: device,
                dwConnectDuration: 3600 * (i + 1),
                ullBytesXmited: 123_456_789,
                ullBytesRcved: 98_765,
              }),
              handleBytes,
            ),
          );
          // What follows on the heap is not part of the answer.
          const tail = Buffer.alloc(count * RAS_CONNECTION_4.size - count * wire[0]!.length, POISON);
          const decoder = decoderOf('level4');
          decoder.begin();
          expect(() => decoder.page(pageOf(...wire, tail), count)).toThrow(BadLayout);
        }
      }
    },
  );

  it('does not keep the decoder from reading the next, sound enumeration', () => {
    for (const api of APIS) {
      const decoder = decoderOf(api);
      decode(decoder, connection(api, 1));
      const bad = connection(api, 2, { rasQuarState: 77 });
      expect(() => decode(decoder, connection(api, 1), bad, connection(api, 3))).toThrow(BadLayout);
      const frame = decode(decoder, ...[1, 2, 3].map((handle) => connection(api, handle)));
      expect(frame.count).toBe(3);
      expect(new Set(frame.columns.slot).size).toBe(3);
      expect(frame.identities.map(([, { handle }]) => handle).sort()).toEqual([hex16(2), hex16(3)]);
    }
  });
});

describe('E8', () => {
  /** Sound bytes with some of them spoilt. */
  const spoils = (length: number): fc.Arbitrary<(bytes: Uint8Array) => void> =>
    fc.oneof(
      fc.nat(length).map((from) => (bytes: Uint8Array) => void bytes.fill(POISON, from)),
      fc.nat(length).map((from) => (bytes: Uint8Array) => void bytes.fill(0, from)),
      fc
        .array(fc.record({ at: fc.nat(length - 1), byte: fc.nat(255) }), { minLength: 1, maxLength: 30 })
        .map((edits) => (bytes: Uint8Array) => {
          for (const { at, byte } of edits) bytes[at] = byte;
        }),
      fc.record({ at: fc.nat(length - 1), by: fc.integer({ min: 1, max: 64 }) }).map(
        ({ at, by }) =>
          (bytes: Uint8Array) =>
            void bytes.copyWithin(at, at + by),
      ),
      fc.uint8Array({ minLength: length, maxLength: length }).map((noise) => (bytes: Uint8Array) => {
        bytes.set(noise);
      }),
    );

  function soundPages(): { name: string; page: Uint8Array; read: (bytes: Uint8Array) => unknown }[] {
    const port = record(RAS_PORT_0, { hPort: 1, dwPortCondition: 3, wszDeviceName: 'WAN Miniport (SSTP)' });
    const link = record(MPR_INTERFACE_0, { hInterface: 5, dwIfType: 2, wszInterfaceName: 'Site' });
    return [
      ...APIS.map((api) => ({
        name: api,
        page: pageOf(connection(api, 1), connection(api, 2), connection(api, 3, { [PROJECTION_TYPE]: 1 })),
        read: (bytes: Uint8Array) => {
          const decoder = decoderOf(api);
          decoder.begin();
          const fresh = decoder.page(bytes, 3);
          const frame = decoder.finish();
          expect(frame.count).toBe(fresh);
          expect(frame.identities).toHaveLength(fresh);
          return frame;
        },
      })),
      {
        name: 'ports',
        page: pageOf(port, port, port),
        read: (bytes) => {
          const decoder = new PortDecoder(() => NO_SLOT);
          const fresh = decoder.page(bytes, 3);
          const frame = decoder.finish();
          expect(frame.count).toBe(fresh);
          return frame;
        },
      },
      {
        name: 'interfaces',
        page: pageOf(link, link, link),
        read: (bytes) => {
          const decoder = new InterfaceDecoder();
          expect(decoder.page(bytes, 3)).toBeGreaterThanOrEqual(decoder.interfaces.length);
          return decoder.interfaces;
        },
      },
      { name: 'server', page: pageOf(record(MPR_SERVER_0, { dwUpTime: 60 })), read: decodeServer },
    ];
  }
  const PAGES = soundPages();

  it.each(PAGES)(
    'E8 spoilt bytes are a BadLayout or a result, never another error ($name)',
    ({ page, read }) => {
      fc.assert(
        fc.property(spoils(page.length), (spoil) => {
          const bytes = pageOf(page);
          spoil(bytes);
          try {
            read(bytes);
          } catch (error) {
            expect(error).toBeInstanceOf(BadLayout);
          }
        }),
        { numRuns: 700 },
      );
    },
  );

  it.each(PAGES)(
    'E8 every prefix of a page, as an array of its own, is a BadLayout ($name)',
    ({ page, read }) => {
      const whole = read(page);
      for (let length = 0; length < page.length; length += length < 64 ? 1 : 37) {
        expect(() => read(page.slice(0, length))).toThrow(BadLayout);
      }
      expect(read(page.slice())).toEqual(whole);
    },
  );

  it.each(PAGES)('E8 a page of heap garbage is a BadLayout ($name)', ({ page, read }) => {
    expect(() => read(new Uint8Array(page.length).fill(POISON))).toThrow(BadLayout);
  });

  it.each(APIS)(
    'E8 a page cut anywhere before its last text is a BadLayout where garbage follows (%s)',
    (api) => {
      const struct = CONNECTION_STRUCT[api];
      const { page, read } = PAGES.find(({ name }) => name === api)!;
      // Up to the remote address of the last record nothing can be told from the rest of it.
      const safe = 2 * struct.size + fieldOf(struct, 'wszRemoteEndpointAddress').offset;
      for (let length = 0; length <= safe; length += 91) {
        const bytes = pageOf(page);
        bytes.fill(POISON, length);
        expect(() => read(bytes)).toThrow(BadLayout);
      }
    },
  );
});

describe('E11', () => {
  it.each(APIS)('E11 poison in a page after it was read changes nothing, then or later (%s)', (api) => {
    const texts = { wszInterfaceName: 'Ä'.repeat(257), wszLogonDomain: 'DOMAIN', guid: '0f'.repeat(16) };
    const records = [1, 2, 3].map((handle) => connection(api, handle, { ...texts, dwFramesRcved: handle }));
    const clean = decode(decoderOf(api), ...records);
    const decoder = decoderOf(api);
    decoder.begin();
    for (const each of records) {
      const page = pageOf(each);
      decoder.page(page, 1);
      page.fill(POISON);
    }
    const frame = decoder.finish();
    expect(frame).toEqual(clean);
    // What was kept to compare with is a copy too, and frames own their columns.
    const kept = structuredClone(frame);
    expect(decode(decoder, ...records.toReversed()).identities).toEqual([]);
    expect(frame).toEqual(kept);
  });

  it('E11 of ports, interfaces and server nothing points into the page', () => {
    const pages = {
      ports: pageOf(record(RAS_PORT_0, { hPort: 9, hConnection: 4, wszDeviceName: 'WAN Miniport (L2TP)' })),
      interfaces: pageOf(record(MPR_INTERFACE_0, { hInterface: 5, dwIfType: 2, wszInterfaceName: 'Köln' })),
      server: pageOf(record(MPR_SERVER_0, { dwUpTime: 60, dwTotalPorts: 5 })),
    };
    const ports = new PortDecoder(() => 3);
    ports.page(pages.ports, 1);
    const interfaces = new InterfaceDecoder();
    interfaces.page(pages.interfaces, 1);
    const server = decodeServer(pages.server);
    for (const page of Object.values(pages)) page.fill(POISON);
    expect(ports.finish()).toMatchObject({ port: Uint32Array.of(9), slot: Uint32Array.of(3) });
    expect(interfaces.interfaces).toMatchObject([{ name: 'Köln', handle: hex16(5) }]);
    expect(server).toMatchObject({ uptimeSeconds: 60, totalPorts: 5 });
  });
});

describe('ports', () => {
  it('have each column from its own field, the tunnel from the device name', () => {
    const names = [
      'WAN Miniport (IKEv2)',
      'WAN Miniport (SSTP)',
      'WAN Miniport (L2TP)',
      'WAN Miniport (PPTP)',
      'WAN Miniport (PPPOE)',
      'Standard Modem',
      '',
    ];
    const records = names.map((wszDeviceName, i) =>
      record(RAS_PORT_0, {
        hPort: 0x300 + i,
        hConnection: i === 0 ? 0 : i === 1 ? 0x5_0000_0000n : 0x1000 + i,
        dwPortCondition: i,
        dwTotalNumberOfCalls: 70 + i,
        dwConnectDuration: 9,
        wszPortName: 'VPN2-0'.padEnd(17, 'x'),
        wszDeviceName,
        wszDeviceType: 'vpn',
      }),
    );
    const asked: (readonly [number, number])[] = [];
    const decoder = new PortDecoder((low, high) => {
      asked.push([low, high]);
      return low === 0x1002 ? 42 : NO_SLOT;
    });
    expect(decoder.page(pageOf(...records.slice(0, 4)), 4)).toBe(4);
    expect(decoder.page(pageOf(...records.slice(3)), 4)).toBe(3);
    const frame = decoder.finish();
    expect(frame).toEqual({
      source: 'ports',
      count: 7,
      port: Uint32Array.from(names, (_, i) => 0x300 + i),
      tunnel: Uint8Array.from(
        ['ikev2', 'sstp', 'l2tp', 'pptp', 'pppoe', 'other', 'unknown'] as const,
        (tunnel) => TUNNELS.indexOf(tunnel),
      ),
      condition: Uint8Array.from(names, (_, i) => i),
      calls: Uint32Array.from(names, (_, i) => 70 + i),
      held: Uint8Array.of(0, 1, 1, 1, 1, 1, 1),
      slot: Uint32Array.of(NO_SLOT, NO_SLOT, 42, NO_SLOT, NO_SLOT, NO_SLOT, NO_SLOT),
    });
    expect(asked[0]).toEqual([0, 5]);
    expect(asked).toHaveLength(6);
  });
});

describe('handles that do not rise', () => {
  const orders = [
    [3, 2, 1],
    [1, 2, 3, 2, 1, 4],
    [5, 5, 0x1_0000_0001n, 1, 0x1_0000_0001n, 6],
  ];
  it.each(orders.map((order) => [order.join(), order] as const))(
    'are told apart all the same (%s)',
    (_, order) => {
      const distinct = new Set(order.map((handle) => BigInt(handle)));
      const interfaces = new InterfaceDecoder();
      const links = order.map((hInterface) => record(MPR_INTERFACE_0, { hInterface, dwIfType: 2 }));
      expect(interfaces.page(pageOf(...links), order.length)).toBe(distinct.size);
      expect(interfaces.page(pageOf(...links), order.length)).toBe(0);
      expect(interfaces.interfaces).toHaveLength(distinct.size);
      const ports = new PortDecoder(() => NO_SLOT);
      const held = order.map((hPort) => record(RAS_PORT_0, { hPort }));
      const low = new Set([...distinct].map((handle) => handle & 0xffff_ffffn));
      expect(ports.page(pageOf(...held), order.length)).toBe(low.size);
      expect(ports.finish().count).toBe(low.size);
    },
  );
});

describe('interfaces', () => {
  it('are the configured ones, each field from its place, once by handle', () => {
    const records = [...INTERFACE_TYPES, 'new'].map((type, i) =>
      record(MPR_INTERFACE_0, {
        wszInterfaceName: i === 2 ? 'Ö'.repeat(257) : `name ${type}`,
        hInterface: BigInt(i) + 0x7_0000_0000n,
        fEnabled: i % 2,
        dwIfType: i,
        dwConnectionState: i % 5,
        fUnReachabilityReasons: 0x40 + i,
        dwLastError: 800 + i,
      }),
    );
    const decoder = new InterfaceDecoder();
    expect(decoder.page(pageOf(...records), 9)).toBe(9);
    expect(decoder.page(pageOf(...records), 9)).toBe(0);
    const configured = ['home_router', 'full_router', 'dedicated', 'tunnel', 'dialout'] as const;
    expect(decoder.interfaces).toEqual(
      configured.map((type) => {
        const i = INTERFACE_TYPES.indexOf(type);
        return {
          handle: hex16(BigInt(i) + 0x7_0000_0000n),
          name: i === 2 ? 'Ö'.repeat(257) : `name ${type}`,
          type,
          enabled: i % 2 === 1,
          state: INTERFACE_STATES[i % 5] ?? 'unknown',
          unreachableReasons: 0x40 + i,
          lastError: 800 + i,
        };
      }),
    );
  });
});

describe('the server', () => {
  it('has each figure from its own field, and any number but 0 is true', () => {
    const values = { fLanOnlyMode: 0, dwUpTime: 86_400, dwTotalPorts: 640, dwPortsInUse: 17 };
    expect(decodeServer(pageOf(record(MPR_SERVER_0, values)))).toEqual({
      source: 'server',
      running: true,
      lanOnly: false,
      uptimeSeconds: 86_400,
      totalPorts: 640,
      portsInUse: 17,
    });
    expect(decodeServer(pageOf(record(MPR_SERVER_0, { fLanOnlyMode: 0xffff_ffff }))).lanOnly).toBe(true);
  });
});
