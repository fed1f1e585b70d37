/**
 * Building blocks of the schema of a configuration file. Each refuses with a text that completes `KEY: `, so that every
 * problem is told once and in one voice; none shows the value of a secret.
 */
import { z } from 'zod';
import { DURATION_PATTERN, formatDuration, parseDurationMs } from './duration.ts';
import { quote } from './flags.ts';
import { closest } from './suggestion.ts';

/** What an issue of these schemas carries besides its message and path. */
export interface IssueParams {
  /** What to do instead; '' if there is nothing to say. */
  readonly hint: string;
  /** The keys that may stand where an unknown one does. */
  readonly siblings?: readonly string[];
}

/** Reports a problem of the value at `path`, counted from where the check stands. */
export type Report = (path: readonly PropertyKey[], message: string, hint?: string) => void;

type Context = z.core.$RefinementCtx;

/** A JSON Schema (draft-07) of what a file may say; it never refuses what these building blocks take. */
export type JsonSchema = Readonly<Record<string, unknown>>;

/** What an editor is told of a building block. */
interface Form {
  readonly schema: JsonSchema;
  /** The key must be there. */
  readonly required: boolean;
}

/** Made when they are asked for: only the published schema is made of them. */
const forms = new WeakMap<z.ZodType, () => Form>();

function withForm<T extends z.ZodType>(block: T, form: () => Form): T {
  forms.set(block, form);
  return block;
}

function formOf(block: z.ZodType): Form {
  const form = forms.get(block);
  if (form) return form();
  // What is made of a value does not change what stands in the file.
  if (block instanceof z.ZodPipe) return formOf(block.in as z.ZodType);
  throw new TypeError('a part of the schema is no building block');
}

/** Of a building block, or of one that `transform` was called on. */
export const jsonSchemaOf = (block: z.ZodType): JsonSchema => formOf(block).schema;

/** Says what a building block is for, to who edits the file. It is to stand at one place only. */
export function about<T extends z.ZodType>(text: string, block: T): T {
  const form = forms.get(block);
  if (!form) throw new TypeError('only building blocks have a form');
  return withForm(block, () => {
    const { schema, required } = form();
    const expected = schema['type'] === 'boolean' ? undefined : schema['description'];
    const description = typeof expected === 'string' ? `${text} ${expected}` : text;
    return { schema: { ...schema, description }, required };
  });
}

/** Of a schema of zod; what its refinements ask for is not in it. */
function plainForm(schema: z.ZodType): JsonSchema {
  const form: Record<string, unknown> = z.toJSONSchema(schema, { target: 'draft-7', io: 'input' });
  delete form['$schema'];
  return form;
}

/** Present or not: what an absent key means is for the setting to say. */
const anything = z.unknown().optional();

const SHOWN_CHARS = 60;

/** A value of a file, for messages. */
function show(value: unknown): string {
  switch (typeof value) {
    case 'string':
      return quote(value.length > SHOWN_CHARS ? `${value.slice(0, SHOWN_CHARS)}…` : value);
    case 'number':
    case 'boolean':
      return `${value}`;
    default:
      return Array.isArray(value) ? 'a list' : value ? 'a section' : 'nothing';
  }
}

function refuse(context: Context, message: string, hint = '', path: readonly PropertyKey[] = []): never {
  const params: IssueParams = { hint };
  context.addIssue({ code: 'custom', message, params: { ...params }, path: [...path] });
  return z.NEVER;
}

interface SettingOptions<T> {
  /** What an absent key means; without it the key must be there. */
  readonly fallback?: T;
  /** Keeps the value out of the message. */
  readonly secret?: boolean;
  /** What to do about a value that is refused. */
  readonly hint?: (value: unknown) => string;
  /** What the JSON Schema says besides what follows from the schema: of refinements, and the fallback as a file has it. */
  readonly form?: JsonSchema;
}

/** One value. `expected` completes "expected ...". */
export function setting<T>(expected: string, schema: z.ZodType<T>, options: SettingOptions<T> = {}) {
  const block = anything.transform((value, context): T => {
    if (value === undefined) {
      if ('fallback' in options) return options.fallback;
      return refuse(context, `is missing: expected ${expected}`);
    }
    const result = schema.safeParse(value);
    if (result.success) return result.data;
    const found = options.secret === true && typeof value === 'string' ? '' : `, not ${show(value)}`;
    const hint = options.hint?.(value) ?? '';
    return refuse(context, `expected ${expected}${found}`, hint === '' ? quotesHint(value, schema) : hint);
  });
  return withForm(block, () => {
    const { fallback, form } = options;
    const plain = ['string', 'number', 'boolean'].includes(typeof fallback) ? { default: fallback } : {};
    const description = `${expected.charAt(0).toUpperCase()}${expected.slice(1)}.`;
    return {
      schema: { ...plainForm(schema), description, ...plain, ...form },
      required: !('fallback' in options),
    };
  });
}

/** YAML tells 7 from '7'. */
function quotesHint(value: unknown, schema: z.ZodType): string {
  const fits = (other: unknown): boolean => schema.safeParse(other).success;
  if (typeof value === 'number' || typeof value === 'boolean') {
    return fits(`${value}`) ? 'put it in quotes' : '';
  }
  if (typeof value !== 'string' || value.trim() === '') return '';
  return fits(Number(value)) || (/^(?:true|false)$/.test(value) && fits(value === 'true'))
    ? 'leave out the quotes'
    : '';
}

export function choice<const C extends readonly [string, ...string[]]>(
  choices: C,
  options: SettingOptions<C[number]> = {},
) {
  return setting<C[number]>(`one of ${choices.join(', ')}`, z.enum(choices), {
    hint: (value) => meant(value, choices),
    ...options,
  });
}

export function meant(value: unknown, choices: readonly string[]): string {
  const suggestion = typeof value === 'string' ? closest(value, choices) : null;
  return suggestion === null ? '' : `did you mean ${suggestion}?`;
}

export function bool(fallback: boolean) {
  return setting('true or false', z.boolean(), { fallback });
}

export function integer(min: number, max: number, fallback: number) {
  return setting(`a whole number from ${min} to ${max}`, z.int().min(min).max(max), { fallback });
}

/** Bounds are beyond it. */
export const DURATION_FORM: JsonSchema = {
  pattern: DURATION_PATTERN,
  minLength: 1,
  examples: ['500ms', '30s', '1m30s'],
};

/** In milliseconds. The bounds are written as in a file. */
export function duration<F extends number | undefined>(min: string, max: string, options: { fallback: F }) {
  const from = parseDurationMs(min) ?? 0;
  const to = parseDurationMs(max) ?? Infinity;
  const schema = z
    .string()
    .transform((text) => parseDurationMs(text) ?? Number.NaN)
    .pipe(z.number().min(from).max(to));
  return setting<number | F>(
    `a duration from ${formatDuration(from)} to ${formatDuration(to)}, such as 30s or 1m30s`,
    schema,
    {
      ...options,
      form: {
        ...DURATION_FORM,
        ...(options.fallback !== undefined && { default: formatDuration(options.fallback) }),
      },
    },
  );
}

/** `what` names the entries in the plural. With no `fallback`, at least one is needed. */
export function list<T>(what: string, item: z.ZodType<T>, fallback?: readonly NoInfer<T>[]) {
  const items = z.array(item);
  const block = anything.transform((value, context): readonly T[] => {
    if (value === undefined && fallback !== undefined) return fallback;
    if (value === undefined) return refuse(context, `is missing: expected a list of ${what}`);
    if (!Array.isArray(value)) {
      return refuse(context, `expected a list of ${what}, not ${show(value)}`, 'a list is written [a, b]');
    }
    if (value.length === 0 && fallback === undefined)
      return refuse(context, `expected a list of ${what}, not an empty one`);
    return forward(items.safeParse(value), context);
  });
  return withForm(block, () => ({
    schema: {
      type: 'array',
      items: jsonSchemaOf(item),
      ...(fallback === undefined ? { minItems: 1 } : { default: fallback }),
    },
    required: fallback === undefined,
  }));
}

type Shape = Readonly<Record<string, z.ZodType>>;
type Output<S extends Shape> = z.output<z.ZodObject<S>>;

/**
 * A map of known keys. Absent or empty, it has the defaults of all of them. `check` sees valid values only; `form` adds to
 * the JSON Schema.
 */
export function section<S extends Shape>(
  shape: S,
  check?: (values: Output<S>, report: Report) => void,
  form: JsonSchema = {},
): z.ZodType<Output<S>> {
  const schema = z.strictObject(shape);
  const siblings = Object.keys(shape);
  const block = anything.transform((value, context): Output<S> => {
    const map = value ?? {};
    if (typeof map !== 'object' || Array.isArray(map)) {
      const keys = siblings.length === 1 ? 'key' : 'keys';
      const wanted = siblings.length > 8 ? 'a section' : `a section with the ${keys} ${siblings.join(', ')}`;
      // `collector.ports: false`, as the flag is called.
      const hint = typeof map === 'boolean' && 'enabled' in shape ? `write enabled: ${map} below it` : '';
      return refuse(context, `expected ${wanted}, not ${show(map)}`, hint);
    }
    const values = forward(schema.safeParse(map), context, siblings);
    if (context.issues.length === 0) {
      check?.(values, (path, message, hint) => void refuse(context, message, hint, path));
    }
    return values;
  });
  return withForm(block, () => {
    const parts = Object.entries(shape).map(([key, part]) => ({ key, ...formOf(part) }));
    const required = parts.filter((part) => part.required).map(({ key }) => key);
    return {
      schema: {
        // A key with nothing behind it is an empty section.
        type: required.length > 0 ? 'object' : ['object', 'null'],
        properties: Object.fromEntries(parts.map((part) => [part.key, part.schema])),
        additionalProperties: false,
        ...(required.length > 0 && { required }),
        ...form,
      },
      required: false,
    };
  });
}

/** As `schema`, but undefined if the key is not there; `form` adds to the JSON Schema. */
export function optional<T>(schema: z.ZodType<T>, form: JsonSchema = {}) {
  const block = anything.transform((value, context): T | undefined =>
    value === undefined ? undefined : forward(schema.safeParse(value), context),
  );
  return withForm(block, () => ({ schema: { ...jsonSchemaOf(schema), ...form }, required: false }));
}

function forward<T>(result: z.ZodSafeParseResult<T>, context: Context, siblings: readonly string[] = []): T {
  if (result.success) return result.data;
  for (const issue of result.error.issues) {
    if (issue.code !== 'unrecognized_keys') {
      context.issues.push({ ...issue, input: undefined, path: [...issue.path] });
      continue;
    }
    for (const key of issue.keys) {
      const params: IssueParams = { hint: '', siblings };
      const path = [...issue.path, key];
      context.addIssue({ code: 'custom', message: 'unknown key', params: { ...params }, path });
    }
  }
  return z.NEVER;
}
