/**
 * The OpenAPI document as somebody else's program reads it: nothing is taken for granted, what the specification does
 * not know is refused, and answers are held against the schemas.
 *
 * https://spec.openapis.org/oas/v3.1.0
 */
import { z } from 'zod';

const text = z.string().min(1);
/** JSON Schema; z.fromJSONSchema refuses what is wrong in it. */
const schemaObject = z.record(z.string(), z.unknown());
const reference = z.strictObject({ $ref: z.string().regex(/^#\//) });
const header = z.strictObject({ description: text, schema: schemaObject });
const content = z.strictObject({ 'application/json': z.strictObject({ schema: schemaObject }) });
const response = z.strictObject({
  description: text,
  headers: z.record(z.string(), z.union([header, reference])).optional(),
  content: content.optional(),
});
const parameter = z.strictObject({
  name: text,
  in: z.enum(['path', 'query', 'header']),
  required: z.boolean().optional(),
  description: text,
  schema: schemaObject,
});
const operation = z.strictObject({
  operationId: z.string().regex(/^[a-z][A-Za-z]+$/),
  summary: text,
  description: text.optional(),
  tags: z.array(text).length(1),
  security: z.array(z.record(z.string(), z.array(z.string()))).optional(),
  parameters: z.array(parameter).optional(),
  requestBody: z.strictObject({ required: z.literal(true), content }).optional(),
  responses: z.record(z.string().regex(/^[1-5]\d\d$/), z.union([response, reference])),
});
const securityScheme = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('http'), scheme: text, description: text }),
  z.strictObject({ type: z.literal('mutualTLS'), description: text }),
  z.strictObject({
    type: z.literal('apiKey'),
    in: z.enum(['header', 'query', 'cookie']),
    name: text,
    description: text,
  }),
]);
const named = <T extends z.ZodType>(type: T) => z.record(z.string().regex(/^[\w.-]+$/), type);
const document = z.strictObject({
  openapi: z.string().regex(/^3\.1\.\d+$/),
  info: z.strictObject({
    title: text,
    version: text,
    description: text,
    license: z.strictObject({ name: text, identifier: text }),
  }),
  tags: z.array(z.strictObject({ name: text, description: text })),
  paths: z.record(
    z.string().regex(/^\//),
    z.strictObject({ get: operation.optional(), post: operation.optional() }),
  ),
  components: z.strictObject({
    securitySchemes: named(securityScheme),
    schemas: named(schemaObject).optional(),
    responses: named(response).optional(),
    headers: named(header).optional(),
  }),
});

export type Method = 'get' | 'post';
export type Operation = z.output<typeof operation>;

export interface Route {
  readonly method: Method;
  readonly path: string;
  readonly operation: Operation;
}

export interface AnswerToCheck {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly text: string;
}

/** How many references may follow one upon another. */
const MAX_DEPTH = 20;

export class ApiDocument {
  readonly content: z.output<typeof document>;
  readonly routes: readonly Route[];
  readonly #compiled = new Map<object, z.ZodType>();

  /** Throws if it is no OpenAPI document. */
  constructor(json: unknown) {
    this.content = document.parse(json);
    this.routes = Object.entries(this.content.paths).flatMap(([path, item]) =>
      (['get', 'post'] as const).flatMap((method) => {
        const found = item[method];
        return found ? [{ method, path, operation: found }] : [];
      }),
    );
  }

  /** Where a reference leads; throws if it leads nowhere. */
  resolve(ref: string): unknown {
    let found: unknown = this.content;
    for (const part of ref.slice('#/'.length).split('/')) {
      const key = decodeURIComponent(part).replaceAll('~1', '/').replaceAll('~0', '~');
      if (typeof found !== 'object' || found === null || !Object.hasOwn(found, key)) {
        throw new Error(`${ref} leads nowhere`);
      }
      found = (found as Record<string, unknown>)[key];
    }
    return found;
  }

  /** Every reference in the document. */
  references(): string[] {
    const found: string[] = [];
    const look = (value: unknown): void => {
      if (typeof value !== 'object' || value === null) return;
      for (const [key, part] of Object.entries(value)) {
        if (key === '$ref' && typeof part === 'string') found.push(part);
        look(part);
      }
    };
    look(this.content);
    return found;
  }

  responseOf({ operation: { responses } }: Route, status: number): z.output<typeof response> | undefined {
    const given = responses[String(status)];
    if (given === undefined || !('$ref' in given)) return given;
    return response.parse(this.resolve(given.$ref));
  }

  /** The routes of a path as it was asked for, without query. */
  routesOf(path: string): readonly Route[] {
    return this.routes.filter((route) => {
      const pattern = route.path.replace(/[.]/g, '\\.').replace(/\{\w+\}/g, '[^/]+');
      return new RegExp(`^${pattern}$`).test(path);
    });
  }

  /** What of an answer the document does not promise; undefined for a path that it does not have, and if all is well. */
  objectionTo(method: string, target: string, answer: AnswerToCheck): string | undefined {
    const [path = ''] = target.split('?', 1);
    const routes = this.routesOf(path);
    // What the answer to HEAD says is that to GET; one to a method that the path does not have, what its others say.
    const wanted = method === 'HEAD' ? 'get' : method.toLowerCase();
    const route = routes.find((each) => each.method === wanted) ?? routes[0];
    if (!route) return undefined;
    const { status, headers, text: body } = answer;
    const where = `${method} ${target} ${status}`;
    const promised = this.responseOf(route, status);
    if (!promised) return `${where}: not among the responses`;
    for (const name of Object.keys(headers)) {
      if (!['retry-after', 'location', 'www-authenticate', 'allow'].includes(name)) continue;
      const known = Object.keys(promised.headers ?? {}).map((each) => each.toLowerCase());
      if (!known.includes(name)) return `${where}: the header ${name} is not among those of the response`;
    }
    if (method === 'HEAD') return undefined;
    const type = headers['content-type'];
    if (type !== 'application/json; charset=utf-8') return `${where}: of type ${String(type)}`;
    const schema = promised.content?.['application/json'].schema;
    if (!schema) return `${where}: no content is promised`;
    const problem = this.mismatch(schema, JSON.parse(body));
    return problem === undefined ? undefined : `${where}: ${problem} in ${body.slice(0, 500)}`;
  }

  /** Why the value is not of the schema; undefined if it is. */
  mismatch(schema: object, value: unknown): string | undefined {
    let compiled = this.#compiled.get(schema);
    if (!compiled) {
      compiled = z.fromJSONSchema(this.#inlined(schema, 0) as Parameters<typeof z.fromJSONSchema>[0]);
      this.#compiled.set(schema, compiled);
    }
    const result = compiled.safeParse(value);
    return result.success ? undefined : z.prettifyError(result.error).replaceAll('\n', ' ');
  }

  /** Without references. */
  #inlined(value: unknown, depth: number): unknown {
    if (typeof value !== 'object' || value === null) return value;
    if (Array.isArray(value)) return value.map((item) => this.#inlined(item, depth));
    if ('$ref' in value && typeof value.$ref === 'string') {
      if (depth >= MAX_DEPTH) throw new Error(`${value.$ref} leads back to itself`);
      return this.#inlined(this.resolve(value.$ref), depth + 1);
    }
    return Object.fromEntries(Object.entries(value).map(([key, part]) => [key, this.#inlined(part, depth)]));
  }
}
