/**
 * The sections `admin` and `hooks` of a configuration file: who may act, within which bounds, and what alerts may
 * trigger. Nothing is allowed that is not written down.
 */
import { isIP } from 'node:net';
import ipaddr from 'ipaddr.js';
import { z } from 'zod';
import { RIGHTS, type ActionName, type AdminConfig } from '../model/admin.ts';
import { formatDuration } from './duration.ts';
import { parseMatcher } from './matcher.ts';
import { hintForPath, PATH_TEXT } from './path-text.ts';
import {
  about,
  bool,
  choice,
  duration,
  integer,
  list,
  meant,
  optional,
  section,
  setting,
  type Report,
} from './setting.ts';

/** Of tokens, certificates and rules: it stands in metrics and in the audit log. */
export const NAME = /^[\w.-]{1,64}$/;
export const NAME_EXPECTED = 'a name of 1 to 64 letters, digits, dots, underscores and dashes';

const HEADER = /^[\w-]{1,100}$/;
const LABEL = /^[a-zA-Z_][a-zA-Z0-9_]*$/;
const SHA256 = /^[0-9a-fA-F]{64}$/;
const IP_ADDRESS = 'IP Address:';
const SUBJECT_ALT_NAME = /^(?:DNS|URI|email|IP Address):[^\s,"]+$/;

/** An endpoint's new addresses cannot come from an alert. */
const RULE_ACTIONS = ['reconnect', 'disconnect', 'hang_up'] as const satisfies readonly ActionName[];
const NEEDS_ADDRESSES = 'update_endpoint needs addresses, which no alert may give: ask the admin API for it';

const name = () =>
  about('Stands in metrics and in the audit log.', setting(NAME_EXPECTED, z.string().regex(NAME)));
const globs = (fallback?: readonly string[]) =>
  list(
    'names of interfaces, such as Site-*',
    setting('the name of an interface, such as Site-*', z.string().min(1).max(256)),
    fallback,
  );
const grant = () => ({
  name: name(),
  rights: about('What it may be used for.', list('rights', choice(RIGHTS))),
  interfaces: about("The interfaces that it may act on; ['*'] for all.", globs()),
});

function isAddress(text: string): boolean {
  return isIP(text) !== 0 && !text.includes('%');
}

/** Node.js writes the address ::1 of a certificate as 0:0:0:0:0:0:0:1, and digits beyond 9 as capitals. */
function asNodeWrites(text: string): string {
  return `${IP_ADDRESS}${ipaddr.parse(text.slice(IP_ADDRESS.length)).toNormalizedString().toUpperCase()}`;
}

const token = section({
  ...grant(),
  sha256: about(
    'Made, with the token, by: rras-exporter token NAME.',
    setting(
      'the SHA-256 of the token, 64 hexadecimal digits',
      z
        .string()
        .regex(SHA256)
        .transform((hex) => hex.toLowerCase()),
      { secret: true, hint: () => 'rras-exporter token NAME makes a token and its hash' },
    ),
  ),
});

const certificate = section({
  ...grant(),
  subjectAltName: setting(
    'DNS:, URI:, email: or IP Address: and a value, such as DNS:ops.example.net',
    z
      .string()
      .max(512)
      .regex(SUBJECT_ALT_NAME)
      .refine((text) => !text.startsWith(IP_ADDRESS) || isAddress(text.slice(IP_ADDRESS.length)))
      .transform((text) => (text.startsWith(IP_ADDRESS) ? asNodeWrites(text) : text)),
  ),
});

/** ipaddr.js alone would also take 10/8, for 0.0.0.10. */
function isNetwork(text: string): boolean {
  return isAddress(text.replace(/\/.*$/, '')) && ipaddr.isValidCIDR(text);
}

const guards = section(
  {
    allow: about('Interfaces that may be acted on at all.', globs(['*'])),
    deny: about('Interfaces that are never acted on, whatever else allows it.', globs([])),
    endpointNetworks: about(
      'Where the new addresses of an endpoint must lie.',
      list(
        'networks',
        setting('a network such as 203.0.113.0/24 or 2001:db8::/32', z.string().refine(isNetwork), {
          form: { pattern: '^[0-9A-Fa-f:.]+/\\d{1,3}$' },
        }),
        [],
      ),
    ),
    cooldown: about(
      'Between two attempts on an interface; it doubles with each that failed.',
      duration('1s', '7d', { fallback: 60_000 }),
    ),
    cooldownMax: about(
      'The longest that the cool-down grows to.',
      duration('1s', '7d', { fallback: 3_600_000 }),
    ),
    rate: about(
      'How many actions there may be in a time, over all interfaces.',
      section({ burst: integer(1, 1000, 5), per: duration('1s', '1d', { fallback: 600_000 }) }),
    ),
    maxConcurrent: about('Actions under way at once.', integer(1, 16, 2)),
    minHealthy: about(
      'While more than this share of the enabled interfaces is unreachable, nothing is done: then the uplink is the problem.',
      section({
        maxUnreachableShare: setting('a number from 0 to 1', z.number().min(0).max(1), { fallback: 0.5 }),
        from: about('With fewer interfaces than this, the share does not count.', integer(1, 100_000, 4)),
      }),
    ),
    breakerFailures: about(
      'After so many failures in a row an interface is left to people.',
      integer(1, 100, 3),
    ),
    attemptTimeout: about(
      'How long the outcome of an action is waited for.',
      duration('1s', '10m', { fallback: 60_000 }),
    ),
    dryRun: about('Decide and write down, but do nothing.', bool(false)),
  },
  ({ cooldown, cooldownMax }, report) => {
    if (cooldownMax < cooldown) {
      const bound = `the cooldown, ${formatDuration(cooldown)}`;
      report(['cooldownMax'], `${formatDuration(cooldownMax)} is shorter than ${bound}`);
    }
  },
);

export const adminSection = section(
  {
    tokens: about('Bearer tokens of the admin API and the hooks.', list('tokens', token, [])),
    clientCertificates: about(
      'Client certificates that the TLS of the web configuration verifies.',
      list('client certificates', certificate, []),
    ),
    allowPlainHttp: about('Serve the admin API in clear also to other machines.', bool(false)),
    guards: about('What must be true before anything is done.', guards),
  },
  ({ tokens, clientCertificates }, report) => {
    const named = [
      ...tokens.map((each, index) => ({ path: ['tokens', index, 'name'], value: each.name })),
      ...clientCertificates.map((each, index) => ({
        path: ['clientCertificates', index, 'name'],
        value: each.name,
      })),
    ];
    refuseTwins(named, 'is the name of another token or certificate', report);
    refuseTwins(
      tokens.map(({ sha256 }, index) => ({ path: ['tokens', index, 'sha256'], value: sha256 })),
      'is the hash of another token',
      report,
    );
    refuseTwins(
      clientCertificates.map(({ subjectAltName }, index) => ({
        path: ['clientCertificates', index, 'subjectAltName'],
        value: subjectAltName,
      })),
      'stands in another certificate',
      report,
    );
  },
);

const ruleAction = () =>
  choice(RULE_ACTIONS, {
    hint: (value) => (value === 'update_endpoint' ? NEEDS_ADDRESSES : meant(value, RULE_ACTIONS)),
  });

const matcherText = setting('text such as severity="critical"', z.string(), {
  form: {
    pattern: '^\\s*(?:\\{\\s*)?[a-zA-Z_][a-zA-Z0-9_]*\\s*(?:=|!=|!~)[\\s\\S]*$',
    examples: ['alertname="RrasLinkDown"', 'severity=~"critical|warning"'],
  },
});
const matcher = matcherText.transform((text, context) => {
  try {
    return parseMatcher(text);
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    context.addIssue({ code: 'custom', message, params: { hint: '' } });
    return z.NEVER;
  }
});

const rule = section({
  name: name(),
  matchers: about(
    'All of them must match the labels of an alert.',
    list('matchers such as severity="critical"', matcher),
  ),
  action: about('What is done.', ruleAction()),
  targetLabel: about(
    'Names the target; else interface, and of hang_up connection.',
    setting<string | undefined>('the name of a label', z.string().regex(LABEL).max(128), {
      fallback: undefined,
    }),
  ),
  maxAttempts: about('Executed attempts for one alert.', integer(1, 10, 3)),
  cooldown: about('In the place of that of admin.guards.', duration('1s', '7d', { fallback: undefined })),
  cooldownMax: about('In the place of that of admin.guards.', duration('1s', '7d', { fallback: undefined })),
  dryRun: about('Decide and write down, but do nothing.', bool(false)),
  allowTruncated: about('Also by notifications that Alertmanager truncated.', bool(false)),
});

const header = (fallback: string) =>
  setting('the name of an HTTP header', z.string().regex(HEADER), { fallback });

const grafana = section(
  {
    secretFile: about(
      'Readable by the account of the exporter only.',
      setting('the path of a file with the secret', PATH_TEXT, { hint: hintForPath }),
    ),
    signatureHeader: header('X-Grafana-Alerting-Signature'),
    timestampHeader: header('X-Grafana-Alerting-Timestamp'),
    maxAge: about('Older deliveries are refused.', duration('1s', '1h', { fallback: 300_000 })),
    interfaces: about('The interfaces that it may act on.', globs(['*'])),
  },
  ({ signatureHeader, timestampHeader }, report) => {
    if (signatureHeader.toLowerCase() === timestampHeader.toLowerCase()) {
      report(['timestampHeader'], 'must be another header than signatureHeader');
    }
  },
);

export const hooksSection = section(
  {
    allowActions: about('The actions that rules may have.', list('actions', ruleAction(), ['reconnect'])),
    grafana: about('The webhook of Grafana alerting, signed with a secret.', optional(grafana)),
    rules: about('The first that matches an alert decides what is done.', list('rules', rule, [])),
    serverLabel: about(
      'Says which of the configured servers an alert is about.',
      setting('the name of a label', z.string().regex(LABEL).max(128), { fallback: 'instance' }),
    ),
    localServer: about(
      'What that label says of alerts about the local server, where others are configured: names, such as gateway:*.',
      list('values, such as gateway:*', setting('a value, such as gateway:*', z.string().max(256)), []),
    ),
  },
  ({ allowActions, rules }, report) => {
    const named = rules.map((each, index) => ({ path: ['rules', index, 'name'], value: each.name }));
    refuseTwins(named, 'is the name of another rule', report);
    for (const [index, { action }] of rules.entries()) {
      if (allowActions.includes(action)) continue;
      report(
        ['rules', index, 'action'],
        `${action} is not among hooks.allowActions`,
        `add it there: allowActions: [${[...allowActions, action].join(', ')}]`,
      );
    }
  },
);

type AdminSection = z.output<typeof adminSection>;
type HooksSection = z.output<typeof hooksSection>;

/** Rules that take both sections. Paths start at the root of the file. */
export function checkBoth(admin: AdminSection, hooks: HooksSection, report: Report): void {
  for (const [index, { cooldown, cooldownMax }] of hooks.rules.entries()) {
    const shortest = cooldown ?? admin.guards.cooldown;
    const longest = cooldownMax ?? admin.guards.cooldownMax;
    if (longest >= shortest) continue;
    const path = ['hooks', 'rules', index];
    if (cooldownMax === undefined) {
      const bound = `admin.guards.cooldownMax, ${formatDuration(longest)}`;
      const problem = `${formatDuration(shortest)} is longer than ${bound}`;
      report([...path, 'cooldown'], problem, 'give the rule a cooldownMax of its own');
    } else {
      const bound = `the cooldown, ${formatDuration(shortest)}`;
      report([...path, 'cooldownMax'], `${formatDuration(longest)} is shorter than ${bound}`);
    }
  }
  if (hooks.grafana === undefined) return;
  for (const part of ['tokens', 'clientCertificates'] as const) {
    const index = admin[part].findIndex((each) => each.name === 'grafana');
    if (index !== -1) report(['admin', part, index, 'name'], 'grafana is the name of the Grafana hook');
  }
}

/** `secret` is what stands in the file that `hooks.grafana.secretFile` names. */
export function toAdminConfig(
  { guards: policy, ...admin }: AdminSection,
  { allowActions, rules, grafana: hook, serverLabel, localServer }: HooksSection,
  secret: Uint8Array | null,
): AdminConfig {
  return {
    ...admin,
    guards: {
      allow: policy.allow,
      deny: policy.deny,
      endpointNetworks: policy.endpointNetworks,
      cooldownMs: policy.cooldown,
      cooldownMaxMs: policy.cooldownMax,
      rateBurst: policy.rate.burst,
      ratePerMs: policy.rate.per,
      maxConcurrent: policy.maxConcurrent,
      maxUnreachableShare: policy.minHealthy.maxUnreachableShare,
      minHealthyFrom: policy.minHealthy.from,
      breakerFailures: policy.breakerFailures,
      attemptTimeoutMs: policy.attemptTimeout,
      dryRun: policy.dryRun,
    },
    hooks: {
      allowActions,
      serverLabel,
      localServer,
      rules: rules.map(({ targetLabel, cooldown, cooldownMax, ...each }) => ({
        ...each,
        targetLabel: targetLabel ?? (each.action === 'hang_up' ? 'connection' : 'interface'),
        cooldownMs: cooldown,
        cooldownMaxMs: cooldownMax,
      })),
      grafana:
        hook && secret
          ? {
              secret,
              signatureHeader: hook.signatureHeader,
              timestampHeader: hook.timestampHeader,
              maxAgeMs: hook.maxAge,
              interfaces: hook.interfaces,
            }
          : undefined,
    },
  };
}

/** Without a configuration file: nobody may do anything. */
export function defaultAdminConfig(): AdminConfig {
  return toAdminConfig(adminSection.parse({}), hooksSection.parse({}), null);
}

interface Named {
  readonly path: readonly PropertyKey[];
  readonly value: string;
}

/** Reports each value that an earlier one has, too. */
function refuseTwins(entries: readonly Named[], problem: string, report: Report): void {
  const seen = new Set<string>();
  for (const { path, value } of entries) {
    if (seen.has(value)) report(path, problem);
    seen.add(value);
  }
}
