/** Numbers, times and states in words, the same whether the server writes them or the page's script. */
import type { InterfaceData, StatusData } from './data.ts';

export type Tone = 'good' | 'warn' | 'bad' | 'calm';

export interface State {
  readonly tone: Tone;
  readonly word: string;
  readonly detail: string;
}

/** Names of tunnels as they are written elsewhere on Windows. */
const TUNNEL_NAMES: Readonly<Record<string, string>> = {
  ikev2: 'IKEv2',
  sstp: 'SSTP',
  l2tp: 'L2TP',
  pptp: 'PPTP',
  pppoe: 'PPPoE',
  other: 'Other',
  unknown: 'Unknown',
};
export const tunnelName = (tunnel: string): string => TUNNEL_NAMES[tunnel] ?? tunnel;

export const NO_CONNECTIONS_READ = 'The connections were not read.';

export const words = (name: string): string => name.replaceAll('_', ' ');

export function number(value: number): string {
  return Math.round(value)
    .toString()
    .replace(/\B(?=(\d{3})+$)/g, ',');
}

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'] as const;

export function bytes(value: number): string {
  let rest = value;
  let unit = 0;
  while (rest >= 1023.95 && unit < UNITS.length - 1) {
    rest /= 1024;
    unit += 1;
  }
  return `${unit === 0 ? rest.toFixed(0) : rest.toFixed(1)} ${UNITS[unit]!}`;
}

/** Two units at the most: more would be noise. */
export function duration(seconds: number): string {
  const whole = Math.max(0, Math.floor(seconds));
  const [days, hours, minutes] = [
    Math.floor(whole / 86_400),
    Math.floor(whole / 3600) % 24,
    Math.floor(whole / 60) % 60,
  ];
  if (days > 0) return `${days} d ${hours} h`;
  if (hours > 0) return `${hours} h ${minutes} min`;
  return minutes > 0 ? `${minutes} min` : `${whole} s`;
}

export function serverState({ snapshotTime, service, sources, up }: StatusData): State {
  const problems = Object.values(sources).map(({ problem }) => problem ?? '');
  const isDenied = problems.some((problem) => problem.includes('ERROR_ACCESS_DENIED'));
  if (!service && isDenied) {
    return {
      tone: 'bad',
      word: 'Access denied',
      detail: 'the exporter may not read the server; it needs administrator rights on it',
    };
  }
  if (snapshotTime === 0)
    return { tone: 'calm', word: 'Not read yet', detail: 'the server was not read yet' };
  if (!service) return { tone: 'bad', word: 'Cannot be read', detail: 'the server cannot be read' };
  if (!service.running) {
    return { tone: 'bad', word: 'Stopped', detail: 'the RemoteAccess service does not run' };
  }
  const part = up ? '' : '; not every source can be read';
  const tone = up ? 'good' : 'warn';
  return service.lanOnly
    ? { tone, word: 'LAN routing only', detail: `running, as a LAN router only${part}` }
    : { tone, word: 'Running', detail: `the RemoteAccess service runs${part}` };
}

export function interfaceState({ state, enabled }: InterfaceData): State {
  if (!enabled) return { tone: 'calm', word: `${state}, disabled`, detail: '' };
  if (state === 'unreachable') return { tone: 'bad', word: state, detail: '' };
  if (state === 'connecting') return { tone: 'warn', word: state, detail: '' };
  return { tone: state === 'connected' ? 'good' : 'calm', word: state, detail: '' };
}

/** Why an interface is down, as far as the server says. */
export function whyDown({ unreachableReasons, lastError, lastErrorName }: InterfaceData): string {
  const error = lastError === 0 ? [] : [lastErrorName ?? `error ${lastError}`];
  return [...unreachableReasons.map(words), ...error].join(', ');
}
