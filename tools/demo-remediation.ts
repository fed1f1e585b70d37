/**
 * Shows links that repair themselves, with a real Prometheus and a real Alertmanager: `npm run demo:remediation`. It
 * tells what happens as it happens, ends by itself, and fails if something else happened than it came to show.
 */
import { setTimeout as wait } from 'node:timers/promises';
import type { ApiInterface } from '../src/server/api.ts';
import { findTool } from '../test/tools/find-tool.ts';
import type { ApiAction, AuditLine, GuardedExporter } from './guarded-exporter.ts';
import { COOLDOWN_SECONDS } from './guarded-exporter.ts';
import type { Delivery } from './remediation-lab.ts';
import { RemediationLab } from './remediation-lab.ts';

/** What Debian calls the packages, too. */
const PROGRAMS = ['prometheus', 'prometheus-alertmanager'] as const;

const LISBOA = 'Site-Lisboa';
const LODZ = 'Branch Łódź';
const MADRID = 'Site-Madrid';
const LINKS = [LISBOA, LODZ, MADRID] as const;
type Link = (typeof LINKS)[number];
const isLink = (name: unknown): name is Link => LINKS.some((link) => link === name);

const ALERTS = ['RrasLinkDown', 'RrasPersonNeeded'] as const;

/** It takes some 40 s. */
const LONGEST_MS = 80_000;
const LOOK_EVERY_MS = 100;

const STATES: Readonly<Record<string, string>> = {
  intended: 'the intent is on the disk, in the audit log',
  acting: 'dials by MprAdminInterfaceConnect',
  verifying: 'the server has taken it; what the link does is read every second',
};

/** Tells each thing once, when it has changed. */
class Narrator {
  readonly #startedAt = performance.now();
  readonly #last = new Map<string, string>();

  say(link: string, what: string, text: string): void {
    const seconds = ((performance.now() - this.#startedAt) / 1000).toFixed(1);
    console.log(`${seconds.padStart(5)} s  ${link.padEnd(12)} ${what.padEnd(9)} ${text}`);
  }

  /** Says it unless it is what was said last of this. */
  tell(link: string, what: string, text: string, of = what, key = text): void {
    const about = `${link} ${of}`;
    if (this.#last.get(about) === key) return;
    this.#last.set(about, key);
    this.say(link, what, text);
  }

  /** What was told last. */
  told(link: string, of: string): string | undefined {
    return this.#last.get(`${link} ${of}`);
  }
}

class Demo {
  readonly #lab: RemediationLab;
  readonly #narrator: Narrator;

  constructor(lab: RemediationLab, narrator: Narrator) {
    this.#lab = lab;
    this.#narrator = narrator;
  }

  /** Looks at everything once. */
  async look(): Promise<void> {
    await this.#lookAtLinks();
    await this.#lookAtAlerts();
    await this.#lookAtActions();
    await this.#lookAtMetrics();
  }

  hasResolved(link: Link, alert: string): boolean {
    return this.#narrator.told(link, alert) === 'resolved';
  }

  get isPersonCalled(): boolean {
    return this.#narrator.told(MADRID, 'RrasPersonNeeded') === 'firing';
  }

  async #lookAtLinks(): Promise<void> {
    const { data } = await this.#lab.exporter.ask<{ items: readonly ApiInterface[] }>('/api/v1/interfaces');
    for (const { interface: name, state, lastError, lastErrorName } of data.items) {
      if (!isLink(name)) continue;
      const error = lastError === 0 ? '' : `, last error ${lastErrorName} (${lastError})`;
      this.#narrator.tell(name, 'link', state === 'connecting' ? state : `${state}${error}`);
    }
  }

  async #lookAtAlerts(): Promise<void> {
    for (const name of ALERTS) {
      for (const link of LINKS) {
        const state = await this.#lab.alert(name, link);
        const before = this.#narrator.told(link, name);
        if (state === undefined && (before === undefined || before === 'resolved')) continue;
        const now = state ?? 'resolved';
        const person = name === 'RrasPersonNeeded' && now === 'firing' ? ': a person is needed' : '';
        this.#narrator.tell(link, 'alert', `${name} ${now}${person}`, name, now);
      }
    }
  }

  async #lookAtActions(): Promise<void> {
    const { exporter } = this.#lab;
    for (const action of [...(await exporter.actions())].reverse()) {
      if (!isLink(action.interface) || action.decision !== 'execute') continue;
      for (const { state } of action.history) {
        const text = STATES[state] ?? (state === action.state ? toEnd(action) : undefined);
        if (text !== undefined) this.#tellOnce(action.interface, `${action.id} ${state}`, text);
      }
    }
  }

  async #lookAtMetrics(): Promise<void> {
    for (const link of LINKS) {
      for (const metric of ['rras_interface_up', 'rras_admin_breaker_open']) {
        const value = await this.#lab.prometheus.value(`${metric}{interface="${link}"}`, Date.now());
        if (value !== undefined && (value === 1 || this.#narrator.told(link, metric) !== undefined)) {
          this.#narrator.tell(link, 'metric', `${metric} ${value}`, metric);
        }
      }
    }
  }

  #tellOnce(link: string, key: string, text: string): void {
    if (this.#narrator.told(link, key) === undefined) this.#narrator.tell(link, 'action', text, key);
  }

  /** What a person does who was called, and what is answered. */
  async help(): Promise<void> {
    const path = `/api/v1/admin/interfaces/${encodeURIComponent(MADRID)}`;
    const { exporter } = this.#lab;
    const override = ['breaker', 'cooldown'];
    for (const [verb, body] of [
      ['reconnect', { reason: 'does it dial again?' }],
      ['reconnect?wait=30s', { reason: 'once more by hand', override }],
      ['reset', { reason: 'the name server is mended' }],
    ] as const) {
      const { code, data, error } = await exporter.askWhenFree<Partial<ApiAction>>(`${path}/${verb}`, body);
      const text = error ?? data.outcome?.message ?? 'the breaker is closed';
      this.#narrator.say(MADRID, 'on-call', `POST .../${verb} ${JSON.stringify(body)}: ${code}, ${text}`);
    }
  }
}

const toEnd = ({ state, outcome, history }: ApiAction): string => {
  const seconds = (history.at(-1)?.time ?? 0) - (history[0]?.time ?? 0);
  return `${state} after ${seconds.toFixed(1)} s: ${outcome?.message ?? ''}`;
};

/** Tells what Alertmanager has delivered and was answered. */
function tellDelivery(narrator: Narrator, { alerts, status, decisions }: Delivery): void {
  for (const [index, { labels, status: alert }] of alerts.entries()) {
    const { interface: link = '' } = labels;
    const decided = decisions[index];
    const text = decided ? `${decided.decision}: ${decided.reason}` : `answered ${status}`;
    // The seconds that are left are no news.
    const key = `${alert} ${text.replace(/\d+ s$/, '')}`;
    narrator.tell(link, 'webhook', `${alert}; ${text}`, 'webhook', key);
  }
}

function missingPrograms(): readonly string[] {
  return PROGRAMS.filter((program) => findTool(program) === null);
}

async function run(stopped: AbortSignal): Promise<boolean> {
  console.log(
    [
      'A simulated RRAS server, rras-exporter, Prometheus and Alertmanager, with examples/remediation/ and short',
      `intervals. One dial repairs ${LISBOA}, the second one ${LODZ}, and none ${MADRID}.`,
      '',
    ].join('\n'),
  );
  const narrator = new Narrator();
  const [prometheus = '', alertmanager = ''] = PROGRAMS.map((program) => findTool(program) ?? '');
  const onDelivery = (delivery: Delivery): void => tellDelivery(narrator, delivery);
  const lab = await RemediationLab.start({ prometheus, alertmanager, onDelivery });
  try {
    narrator.say('', 'start', 'all of them run on 127.0.0.1');
    const demo = new Demo(lab, narrator);
    const broken = new AbortController();
    let helping: Promise<void> | undefined;
    const isDone = (): boolean =>
      demo.hasResolved(LISBOA, 'RrasLinkDown') &&
      demo.hasResolved(LODZ, 'RrasLinkDown') &&
      demo.hasResolved(MADRID, 'RrasPersonNeeded');
    const deadline = performance.now() + LONGEST_MS;
    while (!isDone() && !stopped.aborted) {
      if (performance.now() > deadline) throw new Error(`it has not ended within ${LONGEST_MS / 1000} s`);
      await demo.look();
      if (demo.isPersonCalled) helping ??= demo.help().catch((error: unknown) => broken.abort(error));
      broken.signal.throwIfAborted();
      await wait(LOOK_EVERY_MS);
    }
    await helping;
    return stopped.aborted ? false : await conclude(lab.exporter);
  } finally {
    await lab.end();
  }
}

/** Shows the audit log, and whether everything was as it should be. */
async function conclude(exporter: GuardedExporter): Promise<boolean> {
  const lines = exporter.audit();
  console.log('\nThe audit log of the actions:\n');
  for (const line of lines) {
    if (line.kind === 'intent' || line.kind === 'outcome') console.log(toText(line, lines));
  }
  console.log(`\nrras-exporter audit verify: ${await exporter.verifyAudit()}\n`);
  const expected: Readonly<Record<Link, readonly string[]>> = {
    [LISBOA]: ['succeeded'],
    [LODZ]: ['failed', 'succeeded'],
    [MADRID]: ['failed', 'failed', 'failed'],
  };
  let isAsExpected = true;
  for (const link of LINKS) {
    const intents = exporter.intents(link).filter(({ actor }) => actor === 'alertmanager');
    const outcomes = exporter.outcomes(link);
    const states = intents.map((_, index) => outcomes[index]?.state ?? 'open');
    if (states.join() !== expected[link].join()) isAsExpected = false;
    const pauses = intents.slice(1).map((intent, index) => secondsBetween(outcomes[index], intent));
    const apart = pauses.length === 0 ? '' : `, ${pauses.join(' and ')} after the failure before`;
    console.log(`${link.padEnd(12)} ${states.join(', ')}${apart}`);
  }
  console.log(
    isAsExpected
      ? `\nAs it should be. The cool-down began with ${COOLDOWN_SECONDS} s and grew with each failure; then a person was called.`
      : '\nTHIS IS NOT WHAT SHOULD HAVE HAPPENED.',
  );
  return isAsExpected;
}

function toText(line: AuditLine, lines: readonly AuditLine[]): string {
  const intent = lines.find(({ kind, actionId }) => kind === 'intent' && actionId === line.actionId);
  const { seq, time, kind, hash, action, actor, reason, state, message } = line;
  const text = kind === 'intent' ? `${action} by ${actor}: ${reason}` : `${state}: ${message}`;
  const link = intent?.target?.interface ?? '';
  return `  ${String(seq).padStart(2)}  ${time.slice(11, 23)}  ${link.padEnd(12)} ${kind.padEnd(8)} ${text}  [${hash.slice(0, 8)}]`;
}

function secondsBetween(before: AuditLine | undefined, after: AuditLine): string {
  const ms = Date.parse(after.time) - Date.parse(before?.time ?? '');
  return `${(ms / 1000).toFixed(1)} s`;
}

const missing = missingPrograms();
if (missing.length > 0) {
  console.error(
    `The demo needs ${missing.join(' and ')} on the PATH. On Debian and Ubuntu: apt-get install ${missing.join(' ')}`,
  );
  process.exitCode = 1;
} else {
  const stop = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stop.abort());
  try {
    process.exitCode = (await run(stop.signal)) ? 0 : 1;
  } catch (error) {
    // What a signal to all of them has ended cannot be asked any more.
    if (!stop.signal.aborted) console.error(error instanceof Error ? error.message : error);
    process.exitCode = 1;
  }
}
