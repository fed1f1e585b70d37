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
  readonly body?: z.ZodType | 'alertmanager' | 'grafana';
  readonly answer: z.ZodType;
  /** The answer comes in pages. */
  readonly paged?: true;
  /** Refusals, beside those that every route of its kind has. */
  readonly statuses?: readonly (keyof typeof STATUSES)[];
  /** Takes `wait` and an idempotency key, and answers 202. */
  readonly acts?: true;
}

const STATUSES = {
  400: 'The request is malformed; `error` says where.',
  401: 'No valid token or client certificate.',
  403: 'The caller may not do this, or the policy does not allow it.',
  404: 'There is no such thing, or the admin API is off.',
  405: 'The method is not allowed here.',
  409: 'Not now: `errorType` is cooldown, busy, breaker, min_healthy or gone.',
  413: 'The body is too long.',
  415: 'The body must be uncompressed JSON.',
  422: 'The idempotency key was used for another request.',
  429: 'Too many failed log-ins or too many actions.',
  503: 'Not at present: `errorType` is audit, paused, rras_down or busy.',
} as const;

const ACTION_STATUSES = [404, 409, 422] as const;

export const OPERATIONS: readonly Operation[] = [
  {
    method: 'get',
    path: '/api/v1/status',
    id: 'getStatus',
    summary: 'The state of the server and of what is read of it.',
    tag: 'snapshot',
    answer: statusObject,
  },
  {
    method: 'get',
    path: '/api/v1/connections',
    id: 'listConnections',
    summary: 'The connections that are shown one by one, in the order of their ids.',
    tag: 'snapshot',
    answer: connectionObject,
    paged: true,
  },
  {
    method: 'get',
    path: '/api/v1/interfaces',
    id: 'listInterfaces',
    summary: 'The interfaces, in the order of their names.',
    tag: 'snapshot',
    answer: interfaceObject,
    paged: true,
  },
  {
    method: 'post',
    path: '/api/v1/admin/interfaces/{name}/reconnect',
    id: 'reconnectInterface',
    summary: 'Dial a demand-dial interface that is not connected, and verify that it is.',
    tag: 'actions',
    body: reconnectBody,
    answer: actionObject,
    statuses: ACTION_STATUSES,
    acts: true,
  },
  {
    method: 'post',
    path: '/api/v1/admin/interfaces/{name}/disconnect',
    id: 'disconnectInterface',
    summary: 'Hang up a demand-dial interface.',
    tag: 'actions',
    body: disconnectBody,
    answer: actionObject,
    statuses: ACTION_STATUSES,
    acts: true,
  },
  {
    method: 'post',
    path: '/api/v1/admin/interfaces/{name}/reset',
    id: 'resetInterface',
    summary: 'Close the breaker of an interface and end its cool-down.',
    tag: 'actions',
    body: reasonBody,
    answer: resetObject,
    statuses: [404],
  },
  {
    method: 'post',
    path: '/api/v1/admin/connections/{connection}/endpoint',
    id: 'moveConnection',
    summary: 'Move the outer addresses of an IKEv2 connection (MOBIKE).',
    tag: 'actions',
    body: endpointBody,
    answer: actionObject,
    statuses: ACTION_STATUSES,
    acts: true,
  },
  {
    method: 'post',
    path: '/api/v1/admin/connections/{connection}/disconnect',
    id: 'hangUpConnection',
    summary: 'Hang up a connection.',
    tag: 'actions',
    body: disconnectBody,
    answer: actionObject,
    statuses: ACTION_STATUSES,
    acts: true,
  },
  {
    method: 'post',
    path: '/api/v1/admin/pause',
    id: 'pauseActions',
    summary: 'Stop all actions, until they are resumed or the time is up.',
    tag: 'actions',
    body: pauseBody,
    answer: pauseObject,
  },
  {
    method: 'post',
    path: '/api/v1/admin/resume',
    id: 'resumeActions',
    summary: 'Allow actions again.',
    tag: 'actions',
    body: reasonBody,
    answer: pauseObject,
  },
  {
    method: 'get',
    path: '/api/v1/admin/actions',
    id: 'listActions',
    summary: 'What was asked, decided, done and verified, newest first.',
    tag: 'actions',
    answer: actionObject,
    paged: true,
  },
  {
    method: 'get',
    path: '/api/v1/admin/actions/{id}',
    id: 'getAction',
    summary: 'One action.',
    tag: 'actions',
    answer: actionObject,
    statuses: [404],
  },
  {
    method: 'post',
    path: '/api/v1/hooks/alertmanager',
    id: 'receiveAlertmanager',
    summary: 'A notification of Alertmanager (webhook version 4).',
    tag: 'hooks',
    body: 'alertmanager',
    answer: hookObject,
  },
  {
    method: 'post',
    path: '/api/v1/hooks/grafana',
    id: 'receiveGrafana',
    summary: 'A notification of Grafana alerting, signed or with a token.',
    tag: 'hooks',
    body: 'grafana',
    answer: hookObject,
  },
];

export interface OpenApiOptions {
  readonly version: string;
  /** Schemas of the bodies of the hooks. */
  readonly hooks: Readonly<Record<'alertmanager' | 'grafana', z.ZodType>>;
}

/** The document as plain data. */
export function openApiDocument({ version, hooks }: OpenApiOptions): object {
  const paths: Record<string, Record<string, object>> = {};
  for (const operation of OPERATIONS) {
    (paths[operation.path] ??= {})[operation.method] = describe(operation, hooks);
  }
  return {
    openapi: '3.1.0',
    info: {
      title: 'RRAS Exporter',
      version,
      description:
        'State of an RRAS server, and guarded actions on it. Every answer has the envelope of the Prometheus API.',
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    tags: [
      { name: 'snapshot', description: 'What was read of the server last.' },
      { name: 'actions', description: 'Guarded actions. Off unless --web.enable-admin-api.' },
      { name: 'hooks', description: 'Alerts that may trigger actions. Off unless --web.enable-admin-api.' },
    ],
    paths,
    components: {
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

function describe(operation: Operation, hooks: OpenApiOptions['hooks']): object {
  const { id, summary, tag, body, answer, paged, acts, path, method, statuses = [] } = operation;
  const own = tag !== 'snapshot';
  const refusals = [
    ...(paged || method === 'post' ? ([400] as const) : []),
    ...(own ? ([401, 403, 404, 429, 503] as const) : []),
    ...(method === 'post' ? ([413, 415] as const) : []),
    405 as const,
    ...statuses,
  ];
  const data = schema(answer, 'output');
  const success = envelope(
    paged
      ? {
          type: 'object',
          properties: { items: { type: 'array', items: data }, nextCursor: { type: 'string' } },
          required: ['items'],
        }
      : data,
  );
  const ok = { description: 'Done.', content: { 'application/json': { schema: success } } };
  return {
    operationId: id,
    summary,
    tags: [tag],
    ...(own && {
      security: [{ token: [] }, { certificate: [] }, ...(body === 'grafana' ? [{ grafana: [] }] : [])],
    }),
    parameters: parametersOf(path, paged === true, acts === true),
    ...(body && {
      requestBody: {
        required: true,
        content: {
          'application/json': { schema: schema(typeof body === 'string' ? hooks[body] : body, 'input') },
        },
      },
    }),
    responses: {
      200: acts ? { ...ok, description: 'Nothing was to be done, or with `wait`: it has ended.' } : ok,
      ...(acts && {
        202: {
          description: 'It is under way; the list of actions tells how it goes.',
          headers: { Location: { schema: { type: 'string' }, description: 'The action.' } },
          content: ok.content,
        },
      }),
      ...Object.fromEntries(
        [...new Set(refusals)].map((status) => [
          status,
          { description: STATUSES[status], content: { 'application/json': { schema: REFUSAL } } },
        ]),
      ),
    },
  };
}

function parametersOf(path: string, paged: boolean, acts: boolean): object[] {
  const inPath = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => ({
    name,
    in: 'path',
    required: true,
    schema: { type: 'string' },
  }));
  const text = (name: string, where: string, description: string, pattern?: string): object => ({
    name,
    in: where,
    description,
    schema: { type: 'string', ...(pattern && { pattern }) },
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
          text('wait', 'query', 'Answer when the action has ended, or after so long.', '^\\d{1,3}s?$'),
          text('Idempotency-Key', 'header', 'The same request with the same key is carried out once.'),
        ]
      : []),
  ];
}

const envelope = (data: object): object => ({
  type: 'object',
  properties: { status: { const: 'success' }, data },
  required: ['status', 'data'],
});

const REFUSAL = {
  type: 'object',
  properties: {
    status: { const: 'error' },
    errorType: { type: 'string' },
    error: { type: 'string' },
    data: {},
  },
  required: ['status', 'errorType', 'error'],
};

function schema(type: z.ZodType, io: 'input' | 'output'): object {
  const described = z.toJSONSchema(type, { io, unrepresentable: 'any' });
  // The document says once which dialect it is in.
  delete described.$schema;
  return described;
}
