/** The layout table against the figures of mprapi-facts, and its refusal to load with a wrong one. */
import { readFileSync } from 'node:fs';
import { stripTypeScriptTypes } from 'node:module';
import { describe, expect, it } from 'vitest';
import type { Struct } from '../../src/native/layout.ts';
import { fieldOf, offsetOf, RAS_CONNECTION_4, RAS_CONNECTION_EX, STRUCTS } from '../../src/native/layout.ts';

/** mprapi-facts 3.12 and the sections before it: sizeof and alignment. */
const SIZES: Readonly<Record<string, readonly [size: number, align: number]>> = {
  MPRAPI_OBJECT_HEADER: [4, 2],
  RAS_CONNECTION_EX: [1672, 8],
  PROJECTION_INFO: [200, 8],
  PPP_PROJECTION_INFO: [192, 8],
  IKEV2_PROJECTION_INFO: [144, 8],
  RAS_UPDATE_CONNECTION: [268, 4],
  RAS_CONNECTION_4: [1696, 8],
  PROJECTION_INFO2: [208, 8],
  PPP_PROJECTION_INFO2: [200, 8],
  IKEV2_PROJECTION_INFO2: [144, 8],
  RAS_PORT_0: [392, 8],
  MPR_INTERFACE_0: [552, 8],
  MPR_INTERFACE_2: [2496, 8],
  MPR_SERVER_0: [16, 4],
};

describe('the layout table', () => {
  it('has exactly these structures', () => {
    expect(STRUCTS.map(({ name }) => name).sort()).toEqual(Object.keys(SIZES).sort());
  });

  it.each(STRUCTS)('gives $name its size and alignment', ({ name, size, align }) => {
    expect([size, align]).toEqual(SIZES[name]);
  });

  it.each(STRUCTS)(
    'keeps the members of $name within it and, unions aside, apart',
    ({ name, size, fields }) => {
      let end = 0;
      for (const [path, field] of Object.entries(fields)) {
        expect(field.offset + field.size, path).toBeLessThanOrEqual(size);
        if (path.includes('Anonymous') || name.startsWith('PROJECTION')) continue;
        expect(field.offset, path).toBeGreaterThanOrEqual(end);
        end = field.offset + field.size;
      }
    },
  );

  /** The figures that the facts name one by one. */
  it.each([
    [
      RAS_CONNECTION_EX,
      {
        wszUserName: 530,
        guid: 1112,
        probationTime: 1132,
        dwBytesRcved: 1144,
        dwNumSwitchOvers: 1188,
        wszRemoteEndpointAddress: 1192,
        'ProjectionInfo.projectionInfoType': 1456,
        'ProjectionInfo.Anonymous.PppProjectionInfo.wszRemoteAddress': 1500,
        'ProjectionInfo.Anonymous.Ikev2ProjectionInfo.wszRemoteAddress': 1500,
        'ProjectionInfo.Anonymous.PppProjectionInfo.dwAuthenticationProtocol': 1596,
        'ProjectionInfo.Anonymous.PppProjectionInfo.dwCcpOptions': 1644,
        'ProjectionInfo.Anonymous.Ikev2ProjectionInfo.dwEncryptionMethod': 1600,
        hConnection: 1656,
        hInterface: 1664,
      },
    ],
    [
      RAS_CONNECTION_4,
      {
        wszUserName: 526,
        guid: 1108,
        connectionStartTime: 1136,
        ullBytesXmited: 1144,
        ullBytesRcved: 1152,
        wszRemoteEndpointAddress: 1204,
        'ProjectionInfo.projectionInfoType': 1464,
        'ProjectionInfo.Anonymous.PppProjectionInfo.wszRemoteAddress': 1508,
        'ProjectionInfo.Anonymous.PppProjectionInfo.dwEmbeddedEAPTypeId': 1640,
        'ProjectionInfo.Anonymous.PppProjectionInfo.dwCcpOptions': 1656,
        'ProjectionInfo.Anonymous.Ikev2ProjectionInfo.dwEmbeddedEAPTypeId': 1604,
        'ProjectionInfo.Anonymous.Ikev2ProjectionInfo.dwEncryptionMethod': 1612,
        hConnection: 1672,
        hInterface: 1680,
        dwDeviceType: 1688,
      },
    ],
  ] as const)('puts the members of a connection where the facts say (%#)', (struct: Struct, offsets) => {
    for (const [path, offset] of Object.entries(offsets)) {
      expect([path, offsetOf(struct, path)]).toEqual([path, offset]);
    }
  });

  it('throws for a member that no structure has', () => {
    expect(() => fieldOf(RAS_CONNECTION_EX, 'connectionStartTime')).toThrow(
      'RAS_CONNECTION_EX has no field connectionStartTime',
    );
  });
});

describe('a wrong table', () => {
  const source = readFileSync(new URL('../../src/native/layout.ts', import.meta.url), 'utf8');
  const load = (text: string): Promise<unknown> => {
    const code = Buffer.from(stripTypeScriptTypes(text)).toString('base64');
    return import(/* @vite-ignore */ `data:text/javascript;base64,${code}`);
  };

  it('is told from a right one', async () => {
    expect(await load(source)).toHaveProperty('STRUCTS');
  });

  it.each([
    ['a size that is another', `'RAS_CONNECTION_EX', 1672,`, `'RAS_CONNECTION_EX', 1680,`],
    ['an array that is one unit short', 'const UNLEN = 256;', 'const UNLEN = 255;'],
    ['a member too few', `  hInterface: 'handle',\n  dwDeviceType: 'u32',`, `  hInterface: 'handle',`],
    ['a GUID that is a pointer', 'guid: 16 }', 'guid: 8 }'],
    ['64 bits that align to 4', 'u64: 8, handle: 8, filetime: 4', 'u64: 4, handle: 4, filetime: 4'],
  ])('refuses to load: %s', async (_what, right, wrong) => {
    expect(source).toContain(right);
    await expect(load(source.replace(right, wrong))).rejects.toThrow(/^layout of \w+ comes to \d+ bytes/);
  });
});
