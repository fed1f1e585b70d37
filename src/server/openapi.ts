/** The OpenAPI 3.1 document of everything under /api, made of the schemas that validate and type the routes. */
import { z } from 'zod';
import {
  actionObject,
  disconnectBody,
  endpointBody,
  hookObject,
  pauseBody,
  pauseObject,
  reasonBody,
  reconnectBody,
  resetObject,
} from './admin-schemas.ts';
import { connectionObject, interfaceObject, statusObject } from './api.ts';

/** A route for the document; paths as OpenAPI writes them. */
interface Operation {
  readonly method: 'get' | 'post';
  readonly path: string;
  readonly id: string;
  readonly summary: string;
  readonly tag: 'snapshot' | 'actions' | 'hooks';
  readonly body?: SchemaName;
  /** null: the document itself, which has no envelope. */
  readonly answer: SchemaName | null;
  /** The answer comes in pages. */
  readonly paged?: true;
  /** Refusals, beside those that every route of its kind has. */
  readonly statuses?: readonly (keyof typeof STATUSES)[];
  /** Takes `wait` and an idempotency key, and answers 202. */
  readonly acts?: true;
}

/** Bodies, answers and what lists are made of, under the names that programs made of the document will have. */
const SCHEMAS = {
  Status: statusObject,
  Connection: connectionObject,
  Interface: interfaceObject,
  Action: actionObject,
  Pause: pauseObject,
  Reset: resetObject,
  AlertDecisions: hookObject,
  ReconnectRequest: reconnectBody,
  DisconnectRequest: disconnectBody,
  EndpointRequest: endpointBody,
  PauseRequest: pauseBody,
  ReasonRequest: reasonBody,
} as const;
const HOOK_SCHEMAS = { alertmanager: 'AlertmanagerNotification', grafana: 'GrafanaNotification' } as const;
type HookName = keyof typeof HOOK_SCHEMAS;
type SchemaName = keyof typeof SCHEMAS | (typeof HOOK_SCHEMAS)[HookName];
const STATUSES = {
  400: 'The request is malformed; `error` says where.',
  401: 'No valid token or client certificate.',
  403: 'The caller may not do this, the policy does not allow it, or the header Host has a foreign name.',
  404: 'There is no such thing, no server of that name, or the admin API is off.',
  405: 'The method is not allowed here.',
  409: 'Not now, or not any more: `errorType` is cooldown, busy, breaker, min_healthy or gone.',
  413: 'The body is too long.',
  415: 'The body must be uncompressed JSON.',
  422: 'The idempotency key was used for another request.',
  429: 'Too many failed log-ins or too many actions.',
  503: 'Not at present: `errorType` is audit, paused, rras_down or busy.',
} as const;

const ACTION_STATUSES = [409, 422] as const;

export const OPERATIONS: readonly Operation[] = [
  {
    method: 'get',
    path: '/api/v1/status',
    id: 'getStatus',
    summary: 'The state of the server and of what is read of it.',
    tag: 'snapshot',
    answer: 'Status',
  },
  {
    method: 'get',
    path: '/api/v1/connections',
    id: 'listConnections',
    summary: 'The connections that are shown one by one, in the order of their ids.',
    tag: 'snapshot',
    answer: 'Connection',
    paged: true,
  },
  {
    method: 'get',
    path: '/api/v1/interfaces',
    id: 'listInterfaces',
    summary: 'The interfaces, in the order of their names.',
    tag: 'snapshot',
    answer: 'Interface',
    paged: true,
  },
  {
    method: 'get',
    path: '/api/v1/openapi.json',
    id: 'getOpenApi',
    summary: 'This document.',
    tag: 'snapshot',
    answer: null,
  },
  {
    method: 'post',
    path: '/api/v1/admin/interfaces/{name}/reconnect',
    id: 'reconnectInterface',
    summary: 'Dial a demand-dial interface that is not connected, and verify that it is.',
    tag: 'actions',
    body: 'ReconnectRequest',
    answer: 'Action',
    statuses: ACTION_STATUSES,
    acts: true,
  },
  {
    method: 'post',
    path: '/api/v1/admin/interfaces/{name}/disconnect',
    id: 'disconnectInterface',
    summary: 'Hang up a demand-dial interface.',
    tag: 'actions',
    body: 'DisconnectRequest',
    answer: 'Action',
    statuses: ACTION_STATUSES,
    acts: true,
  },
  {
    method: 'post',
    path: '/api/v1/admin/interfaces/{name}/reset',
    id: 'resetInterface',
    summary: 'Close the breaker of an interface and end its cool-down.',
    tag: 'actions',
    body: 'ReasonRequest',
    answer: 'Reset',
  },
  {
    method: 'post',
    path: '/api/v1/admin/connections/{connection}/endpoint',
    id: 'moveConnection',
    summary: 'Move the outer addresses of an IKEv2 connection (MOBIKE).',
    tag: 'actions',
    body: 'EndpointRequest',
    answer: 'Action',
    statuses: ACTION_STATUSES,
    acts: true,
  },
  {
    method: 'post',
    path: '/api/v1/admin/connections/{connection}/disconnect',
    id: 'hangUpConnection',
    summary: 'Hang up a connection.',
    tag: 'actions',
    body: 'DisconnectRequest',
    answer: 'Action',
    statuses: ACTION_STATUSES,
    acts: true,
  },
  {
    method: 'post',
    path: '/api/v1/admin/pause',
    id: 'pauseActions',
    summary: 'Stop all actions, until they are resumed or the time is up.',
    tag: 'actions',
    body: 'PauseRequest',
    answer: 'Pause',
  },
  {
    method: 'post',
    path: '/api/v1/admin/resume',
    id: 'resumeActions',
    summary: 'Allow actions again.',
    tag: 'actions',
    body: 'ReasonRequest',
    answer: 'Pause',
  },
  {
    method: 'get',
    path: '/api/v1/admin/actions',
    id: 'listActions',
    summary: 'What was asked, decided, done and verified, newest first.',
    tag: 'actions',
    answer: 'Action',
    paged: true,
  },
  {
    method: 'get',
    path: '/api/v1/admin/actions/{id}',
    id: 'getAction',
    summary: 'One action.',
    tag: 'actions',
    answer: 'Action',
    statuses: [400],
  },
  {
    method: 'post',
    path: '/api/v1/hooks/alertmanager',
    id: 'receiveAlertmanager',
    summary: 'A notification of Alertmanager (webhook version 4).',
    tag: 'hooks',
    body: HOOK_SCHEMAS.alertmanager,
    answer: 'AlertDecisions',
  },
  {
    method: 'post',
    path: '/api/v1/hooks/grafana',
    id: 'receiveGrafana',
    summary: 'A notification of Grafana alerting, signed or with a token.',
    tag: 'hooks',
    body: HOOK_SCHEMAS.grafana,
    answer: 'AlertDecisions',
  },
];

export interface OpenApiOptions {
  readonly version: string;
  /** Schemas of the bodies of the hooks. */
  readonly hooks: Readonly<Record<HookName, z.ZodType>>;
}

/** The document as plain data. */
export function openApiDocument({ version, hooks }: OpenApiOptions): object {
  const paths: Record<string, Record<string, object>> = {};
  for (const operation of OPERATIONS) {
    (paths[operation.path] ??= {})[operation.method] = describe(operation);
  }
  return {
    openapi: '3.1.0',
    info: {
      title: 'RRAS Exporter',
      version,
      description:
        'State of an RRAS server, and guarded actions on it. Every answer has the envelope of the Prometheus API. ' +
        'Where the web configuration asks for a name and a password, so does what is tagged `snapshot`.',
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    tags: [
      { name: 'snapshot', description: 'What was read of the server last.' },
      { name: 'actions', description: 'Guarded actions. Off unless --web.enable-admin-api.' },
      { name: 'hooks', description: 'Alerts that may trigger actions. Off unless --web.enable-admin-api.' },
    ],
    paths,
    components: {
      schemas: {
        ...Object.fromEntries(
          Object.entries(SCHEMAS).map(([name, type]) => [
            name,
            schema(type, name.endsWith('Request') ? 'input' : 'output'),
          ]),
        ),
        [HOOK_SCHEMAS.alertmanager]: schema(hooks.alertmanager, 'input'),
        [HOOK_SCHEMAS.grafana]: schema(hooks.grafana, 'input'),
        Refusal: REFUSAL,
      },
      headers: {
        RetryAfter: {
          description: 'Seconds after which it may be worth asking again, where that is known.',
          schema: { type: 'integer', minimum: 1 },
        },
      },
      securitySchemes: {
        token: { type: 'http', scheme: 'bearer', description: 'Made by `rras-exporter token NAME`.' },
        certificate: { type: 'mutualTLS', description: 'A client certificate that the configuration lists.' },
        grafana: {
          type: 'apiKey',
          in: 'header',
          name: 'X-Grafana-Alerting-Signature',
          description: 'HMAC-SHA256 over timestamp, colon and body, in hexadecimal digits.',
        },
      },
    },
  };
}

function describe(operation: Operation): object {
  const { id, summary, tag, body, answer, paged, acts, path, method, statuses = [] } = operation;
  const own = tag !== 'snapshot';
  const ofServer = answer !== null;
  const refusals = [
    ...(ofServer ? ([404] as const) : []),
    ...(paged || method === 'post' ? ([400] as const) : []),
    403 as const,
    ...(own ? ([401, 429, 503] as const) : []),
    ...(method === 'post' ? ([413, 415] as const) : []),
    405 as const,
    ...statuses,
  ];
  const signed = body === HOOK_SCHEMAS.grafana;
  const ok = {
    description: 'Done.',
    content: json(answer === null ? { type: 'object' } : success(answer, paged)),
  };
  const location = { Location: { schema: { type: 'string' }, description: 'The action.' } };
  return {
    operationId: id,
    summary,
    tags: [tag],
    ...(own && {
      security: [{ token: [] }, { certificate: [] }, ...(signed ? [{ grafana: [] }] : [])],
    }),
    parameters: [
      ...parametersOf(path, paged === true, acts === true),
      ...(ofServer ? [serverParameter(path)] : []),
    ],
    ...(body && { requestBody: { required: true, content: json(reference(body)) } }),
    responses: {
      200: acts
        ? {
            description: 'Nothing was to be done, or with `wait`: it has ended.',
            headers: location,
            content: ok.content,
          }
        : ok,
      ...(acts && {
        202: {
          description: 'It is under way; the list of actions tells how it goes.',
          headers: location,
          content: ok.content,
        },
      }),
      ...Object.fromEntries([...new Set(refusals)].map((status) => [status, refusal(status)])),
    },
  };
}

const HEADERS: Readonly<Partial<Record<keyof typeof STATUSES, object>>> = {
  401: { 'WWW-Authenticate': { schema: { type: 'string' }, description: 'Bearer.' } },
  405: { Allow: { schema: { type: 'string' }, description: 'What is allowed.' } },
  409: { 'Retry-After': { $ref: '#/components/headers/RetryAfter' } },
  429: { 'Retry-After': { $ref: '#/components/headers/RetryAfter' } },
  503: { 'Retry-After': { $ref: '#/components/headers/RetryAfter' } },
};

const refusal = (status: keyof typeof STATUSES): object => ({
  description: STATUSES[status],
  ...(HEADERS[status] && { headers: HEADERS[status] }),
  content: json({ $ref: '#/components/schemas/Refusal' }),
});

const PATH_PARAMETERS: Readonly<Record<string, { readonly description: string; readonly pattern?: string }>> =
  {
    name: { description: 'Name of an interface, as the label `interface` has it; percent-encoded.' },
    connection: {
      description: 'Id of a connection, as the label `connection` has it.',
      pattern: '^[0-9a-f]{16}$',
    },
    id: { description: 'Id of an action.' },
  };

const text = (name: string, where: string, description: string, pattern?: string): object => ({
  name,
  in: where,
  description,
  schema: { type: 'string', ...(pattern && { pattern }) },
});

/** What a request is about that names no server. */
const WITHOUT_SERVER: Readonly<Record<string, string>> = {
  '/api/v1/admin/pause': 'all servers',
  '/api/v1/admin/resume': 'all servers',
  '/api/v1/admin/actions/{id}': 'the one that the action was on',
  '/api/v1/hooks/alertmanager': 'the one that a label of each alert names',
  '/api/v1/hooks/grafana': 'the one that a label of each alert names',
};

function serverParameter(path: string): object {
  const without = WITHOUT_SERVER[path] ?? 'the one of the flags';
  return text('server', 'query', `Name of a server in the configuration file; without it: ${without}.`);
}

function parametersOf(path: string, paged: boolean, acts: boolean): object[] {
  const inPath = [...path.matchAll(/\{(\w+)\}/g)].map(([, name = '']) => {
    const { description = '', pattern } = PATH_PARAMETERS[name] ?? {};
    return { ...text(name, 'path', description, pattern), required: true };
  });
  return [
    ...inPath,
    ...(paged
      ? [
          {
            name: 'limit',
            in: 'query',
            description: 'Items of a page.',
            schema: { type: 'integer', minimum: 1, maximum: 10_000, default: 1000 },
          },
          text('cursor', 'query', 'The nextCursor of the page before.'),
        ]
      : []),
    ...(acts
      ? [
          text(
            'wait',
            'query',
            'Answer when the action has ended, or after so many seconds, 120 at the most, such as 30s.',
            '^\\d{1,3}s?$',
          ),
          text(
            'Idempotency-Key',
            'header',
            'The same request with the same key is carried out once in 24 hours.',
            '^[\\x21-\\x7e]{1,255}$',
          ),
        ]
      : []),
  ];
}

const json = (schemaOf: object): object => ({ 'application/json': { schema: schemaOf } });
const reference = (name: SchemaName): object => ({ $ref: `#/components/schemas/${name}` });

function success(answer: SchemaName, paged?: true): object {
  const data = reference(answer);
  const page = {
    type: 'object',
    properties: { items: { type: 'array', items: data }, nextCursor: { type: 'string' } },
    required: ['items'],
    additionalProperties: false,
  };
  return {
    type: 'object',
    properties: { status: { const: 'success' }, data: paged ? page : data },
    required: ['status', 'data'],
    additionalProperties: false,
  };
}

const REFUSAL = {
  type: 'object',
  properties: {
    status: { const: 'error' },
    errorType: { type: 'string', description: 'For programs.' },
    error: { type: 'string', description: 'For people.' },
    data: { description: 'What is known all the same, such as the action as it was refused.' },
  },
  required: ['status', 'errorType', 'error'],
  additionalProperties: false,
};

function schema(type: z.ZodType, io: 'input' | 'output'): object {
  const described = z.toJSONSchema(type, { io, unrepresentable: 'any' });
  // The document says once which dialect it is in.
  delete described.$schema;
  return described;
}
