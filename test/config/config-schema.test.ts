/** The published JSON Schema says of a configuration file what the program says. */
import { readFileSync } from 'node:fs';
import { Ajv } from 'ajv';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parseDocument } from 'yaml';
import { CONFIG_SCHEMA, configSchema } from '../../tools/config-schema.ts';
import { fileSchema } from '../../src/config/file-schema.ts';
import { OPTIONS, type OptionRow } from '../../src/config/options.ts';
import { BAD, GOOD, makeConfigFolder, type ConfigFolder } from './config-folder.ts';

/** What is bad, and the schema does not refuse, by why. */
const LEFT_TO_CHECK_CONFIG = {
  'no YAML, or twice the same': [
    'after-the-end',
    'alias-laughs',
    'alias-unknown',
    'nested-deep',
    'not-yaml',
    'path-escape',
    'quote-open',
    'tab',
    'twice-below',
    'twice',
    'two-documents',
  ],
  'more than one value': [
    'admin-without-credentials',
    'certificate-has-a-tokens-name',
    'certificate-twice',
    'grafana-headers',
    'grafana-name-taken',
    'guards-cooldown-max',
    'guards-cooldown',
    'rule-action-not-allowed',
    'rule-cooldown-max',
    'rule-cooldown',
    'rule-name-twice',
    'server-name-twice',
    'together-addresses',
    'together-ages',
    'together-origins',
    'token-hash-twice',
    'token-name-twice',
  ],
  'another file': [
    'grafana-secret-folder',
    'grafana-secret-missing',
    'grafana-secret-open',
    'grafana-secret-short',
  ],
  'the value of a text': [
    'certificate-address',
    'duration-short',
    'guards-network-bits',
    'guards-network',
    'guards-timeout',
    'list-entry',
    'rule-matcher-not-re2',
    'rule-matcher-quote',
    'rule-matcher-regex',
    'rule-matcher-two',
  ],
};

const published = readFileSync(CONFIG_SCHEMA, 'utf8');

interface Part {
  readonly type?: string | readonly string[];
  readonly description?: string;
  readonly default?: unknown;
  readonly enum?: readonly unknown[];
  readonly examples?: readonly unknown[];
  readonly additionalProperties?: boolean;
  readonly properties?: Readonly<Record<string, Part>>;
  readonly items?: Part;
}

const schema = JSON.parse(published) as Part;
const AJV = { strict: true, strictRequired: false, allowUnionTypes: true } as const;
// Editors check no more than this does.
const validate = new Ajv(AJV).compile(schema);

/** Every part with the path of its key. */
function* partsOf(part: Part, path = ''): Generator<readonly [path: string, part: Part]> {
  yield [path, part];
  for (const [key, inner] of Object.entries(part.properties ?? {}))
    yield* partsOf(inner, path === '' ? key : `${path}.${key}`);
  if (part.items) yield* partsOf(part.items, `${path}[]`);
}

const parts = new Map(partsOf(schema));

type Holder = Record<PropertyKey, unknown>;

/** Paths of all that is neither list nor section. */
function* leavesOf(value: unknown, path: readonly string[] = []): Generator<readonly string[]> {
  if (typeof value !== 'object' || value === null) yield path;
  else for (const [key, inner] of Object.entries(value)) yield* leavesOf(inner, [...path, key]);
}

/** Each is good somewhere, at the edge of what is. */
const VALUES = [
  ...[true, false, 0, 1, 2, 0.5, 16, 1_000_000],
  ...[
    '0',
    '0s',
    '1ms',
    '1d12h',
    '7d',
    '01m',
    'x',
    'a-b.c_d',
    'Köln',
    '*',
    'Site-?',
    '/',
    '/m',
    '/a.b/~c',
    'C:\\x',
  ],
  ...[
    ':0',
    ':00080',
    ':65535',
    '[::1]:1',
    '[::ffff:1.2.3.4]:9',
    '[fe80::1%eth0]:1',
    'C:\new',
    'C:\u2028ogs',
    'localhost:1',
    'a.b.:1',
    '::1',
    'fe80::1%eth0',
    '10.0.0.1',
  ],
  ...[
    'http://a',
    'HTTPS://a:1/b/',
    'http://[::1]:9/x',
    'https://a/b@c',
    'stderr',
    'file:x',
    'file:C:\\a b.log',
  ],
  ...['office', 'large', 'large:1', 'large:200000', 'none', 'process', 'top', 'prefix', 'json', 'warn'],
  ...[
    '0.0.0.0/0',
    '::/0',
    '2001:DB8::/32',
    '::ffff:1.2.3.4/128',
    'DNS:a',
    'URI:a:b',
    'IP Address:::1',
    'email:a@b',
  ],
  ...[
    'a=',
    ' a = b ',
    '{a="b"}',
    '{ a!~"b" }',
    'a=~b|c',
    'a!="\n"',
    'Ab'.repeat(32),
    'reconnect',
    'hook',
    'x'.repeat(64),
  ],
];

let folder: ConfigFolder;
beforeAll(() => {
  folder = makeConfigFolder();
});
afterAll(() => folder.remove());

/** null: it is no YAML that an editor would go on with. */
function valueOf(name: string): { readonly value: unknown } | null {
  const document = parseDocument(readFileSync(folder.path(name), 'utf8'));
  if (document.errors.length > 0) return null;
  try {
    return { value: document.toJS() as unknown };
  } catch {
    return null;
  }
}

test('docs/config.schema.json is what `npm run docs` makes', async () => {
  expect(published).toBe(await configSchema());
});

describe('the JSON Schema', () => {
  test.each(GOOD)('takes %s', (name) => {
    validate(valueOf(name)?.value ?? null);
    expect(validate.errors ?? []).toEqual([]);
  });

  test('refuses what is bad, but for what is left to check-config', () => {
    const taken = BAD.filter((name) => {
      const found = valueOf(name);
      return found === null || validate(found.value ?? null);
    });
    const left = Object.values(LEFT_TO_CHECK_CONFIG).flat();
    expect(taken).toEqual(left.map((name) => `${name}.bad.yml`).sort());
  });

  test.each(['all-options.good.yml', 'all-admin.good.yml', 'servers.good.yml'])(
    'refuses nothing that the program takes in the place of a value of %s',
    (name) => {
      const whole = valueOf(name)!.value;
      let taken = 0;
      for (const path of leavesOf(whole)) {
        for (const value of VALUES) {
          const changed = structuredClone(whole);
          const holder = path
            .slice(0, -1)
            .reduce<unknown>((at, key) => (at as Holder)[key], changed) as Holder;
          holder[path.at(-1)!] = value;
          if (!fileSchema.safeParse(changed).success) continue;
          taken += 1;
          expect([path.join('.'), value, validate(changed)]).toEqual([path.join('.'), value, true]);
        }
      }
      expect(taken).toBeGreaterThan(10);
    },
  );

  test.each((OPTIONS as readonly OptionRow[]).filter(({ configKey }) => configKey !== null))(
    'says of $configKey what --help says of --$flag',
    (row) => {
      const part = parts.get(row.configKey!);
      expect(part?.description).toContain(row.help);
      if (row.kind === 'enum' && row.counted === undefined) expect(part?.enum).toEqual(row.choices);
      if (row.kind === 'boolean') expect(part?.default).toBe(row.default);
      if (row.kind === 'integer') expect(part).toMatchObject({ minimum: row.min, maximum: row.max });
      if (typeof row.default === 'string') expect([part?.default].flat().map(String)).toEqual([row.default]);
    },
  );

  test('says of every key what it is for, and knows all keys of every section', () => {
    for (const [path, part] of parts) {
      if (!path.endsWith(']') && part.properties === undefined)
        expect(part.description ?? '', path).not.toBe('');
      if (part.properties !== undefined) expect(part.additionalProperties, path).toBe(false);
    }
    expect(parts.size).toBeGreaterThan(60);
  });

  test('takes its own defaults and examples', () => {
    const ajv = new Ajv(AJV);
    for (const [path, part] of parts) {
      const fits = ajv.compile(part.type === undefined && part.enum === undefined ? { ...part } : part);
      const values = [...('default' in part ? [part.default] : []), ...(part.examples ?? [])];
      for (const value of values) expect([path, value, fits(value)]).toEqual([path, value, true]);
    }
  });
});
