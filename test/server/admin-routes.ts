/** The routes of the contract that need a token, each with a request that is fine, and what a test says of the answers. */
import type { Right } from '../../src/model/admin.ts';
import { alertOn } from '../admin/exporter-life.ts';
import type { AdminAnswer, AdminSite, Asked } from './admin-site.ts';

export const REASON = { reason: 'a test' };
export const ENDPOINT = {
  interfaceIndex: 12,
  localAddress: '198.51.100.7',
  remoteAddress: '203.0.113.9',
  ...REASON,
};
export const notificationOf = (alerts: readonly unknown[], version: '1' | '4' = '4'): object => ({
  version,
  receiver: 'rras',
  status: 'firing',
  groupKey: '{}:{}',
  alerts,
});

/** Connections that are there at present. */
export async function idsOf(site: AdminSite): Promise<{ ikev2: string; sstp: string; site: string }> {
  const { connections } = (await site.world.snapshot()).connections!;
  const idWhere = (isIt: (each: (typeof connections)[number]) => boolean): string =>
    connections.find(isIt)!.id;
  const ids = {
    ikev2: idWhere(({ tunnel, role }) => tunnel === 'ikev2' && role === 'client'),
    sstp: idWhere(({ tunnel }) => tunnel === 'sstp'),
    site: idWhere(({ identity }) => identity.interfaceName === 'Site-Berlin'),
  };
  site.world.forgetCalls();
  return ids;
}

/** What was done to the server, and whether it was even looked at. */
export const touched = ({ world }: AdminSite): unknown => ({ acts: world.requests, calls: world.calls });
export const UNTOUCHED = { acts: [], calls: [] };

export const bare = ({ status, json }: AdminAnswer): unknown[] => [status, json.errorType];

export interface AdminRoute {
  readonly name: string;
  /** Without which it is refused. */
  readonly right: Right | undefined;
  /** What its path names. */
  readonly about: 'interface' | 'connection' | undefined;
  readonly ok: number;
  readonly ask: (site: AdminSite, asked: Asked) => Promise<AdminAnswer>;
}

const route = (
  name: string,
  right: Right | undefined,
  about: AdminRoute['about'],
  ok: number,
  ask: AdminRoute['ask'],
): AdminRoute => ({ name, right, about, ok, ask });

const get =
  (path: string): AdminRoute['ask'] =>
  (site, asked) =>
    site.get(path, asked);
const post =
  (path: string, json: unknown): AdminRoute['ask'] =>
  async (site, asked) => {
    const whole = path.includes('{ikev2}') ? path.replace('{ikev2}', (await idsOf(site)).ikev2) : path;
    return site.post(whole, { json, ...asked });
  };

const INTERFACES = '/api/v1/admin/interfaces';
const CONNECTION = '/api/v1/admin/connections/{ikev2}';
const alerts = [alertOn('Site-Lisboa')];

export const ADMIN_ROUTES: readonly AdminRoute[] = [
  route('reconnect', 'reconnect', 'interface', 202, post(`${INTERFACES}/Site-Lisboa/reconnect`, REASON)),
  route('disconnect', 'disconnect', 'interface', 202, post(`${INTERFACES}/Site-Berlin/disconnect`, REASON)),
  route('reset', 'reset', 'interface', 200, post(`${INTERFACES}/Lager%20S%C3%BCd/reset`, REASON)),
  route('endpoint', 'update_endpoint', 'connection', 202, post(`${CONNECTION}/endpoint`, ENDPOINT)),
  route('hang up', 'hang_up', 'connection', 202, post(`${CONNECTION}/disconnect`, REASON)),
  route('pause', 'pause', undefined, 200, post('/api/v1/admin/pause', REASON)),
  route('resume', 'pause', undefined, 200, post('/api/v1/admin/resume', REASON)),
  route('list of actions', undefined, undefined, 200, get('/api/v1/admin/actions')),
  route('one action', undefined, undefined, 404, get('/api/v1/admin/actions/1')),
  route('Alertmanager', 'hook', undefined, 200, post('/api/v1/hooks/alertmanager', notificationOf(alerts))),
  route('Grafana', 'hook', undefined, 200, post('/api/v1/hooks/grafana', notificationOf(alerts, '1'))),
];

export const reconnect = (
  site: AdminSite,
  name: string,
  { query = '', ...asked }: Asked & { readonly query?: string } = {},
): Promise<AdminAnswer> =>
  site.post(`${INTERFACES}/${encodeURIComponent(name)}/reconnect${query}`, {
    as: 'all',
    json: REASON,
    ...asked,
  });

export const disconnect = (site: AdminSite, name: string): Promise<AdminAnswer> =>
  site.post(`${INTERFACES}/${encodeURIComponent(name)}/disconnect`, { as: 'all', json: REASON });

/** A request as it goes onto the wire, after which the server closes the connection. */
export const requestOf = (
  method: string,
  path: string,
  headers: Readonly<Record<string, string>> = {},
): string => {
  const all = { Host: 'localhost', Connection: 'close', 'Content-Length': '0', ...headers };
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`);
  return `${method} ${path} HTTP/1.1\r\n${lines.join('')}\r\n`;
};
