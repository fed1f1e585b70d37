/**
 * Many servers in one exporter, with the whole program: what befalls one does not touch the others, each has its own
 * people and accounts, Prometheus finds all of them, and their children are bounded and end with the program.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { SimulatedServer } from '../../src/native/simulator/server.ts';
import type { Page } from '../metrics/page.ts';
import { recordSimulator } from '../native/recordings.ts';
import { requireTool } from '../tools/require-tool.ts';
import { FleetProgram, PATIENCE } from './fleet-program.ts';
import { METRICS_ONLY } from './otlp-program.ts';
import { OtlpReceiver } from './otlp-receiver.ts';
import { buildIfStale, endAll, isAlive, until } from './program.ts';
import { ScrapingPrometheus } from './scraping-prometheus.ts';

const NAMES = Array.from({ length: 20 }, (_, i) => `vpn${String(i + 1).padStart(2, '0')}`);
const HUNG = 'vpn05';
const DENIED = 'vpn11';
const CRASHING = 'vpn16';
const TROUBLED = [HUNG, DENIED, CRASHING];
const SOUND = NAMES.filter((name) => !TROUBLED.includes(name));

beforeAll(buildIfStale);

/** Of every child that there was, whoever ended it. */
const leftOf = ({ seen }: FleetProgram): number[] => [...seen.keys()].filter(isAlive);

async function endOf(fleet: FleetProgram): Promise<void> {
  const { code, signal, ms } = await fleet.program.end();
  expect({ code, signal }).toEqual({ code: 0, signal: null });
  expect(ms).toBeLessThan(5_000);
  await until('no child is left', () => leftOf(fleet).length === 0, 1_000);
}

const usersOn = (page: Page): Set<string> =>
  new Set(
    page.families
      .find(({ name }) => name === 'rras_connection_info')
      ?.samples.map(({ labels }) => labels['user']!) ?? [],
  );

/** Everybody that the server had until now, and a minute more. */
function usersOf(server: SimulatedServer, minutes: number): Set<string> {
  const beganMs = Math.max(...server.liveSessions().map(({ startMs }) => startMs));
  const users = new Set<string>();
  for (let s = 0; s <= 60 * minutes; s += 1) {
    for (const { user } of server.liveSessions(beganMs + s * 1000)) users.add(user);
  }
  return users;
}

/** Keeps one child stopped and another from living, as long as it is on; looks as often when it is off. */
class Trouble {
  readonly #fleet: FleetProgram;
  readonly #timer: NodeJS.Timeout;
  isOn = false;
  readonly stopped = new Set<number>();
  readonly killed = new Set<number>();

  constructor(fleet: FleetProgram) {
    this.#fleet = fleet;
    this.#timer = setInterval(() => this.#make(), 20);
  }

  #make(): void {
    for (const [pid, name] of this.#fleet.children()) {
      if (!this.isOn) continue;
      try {
        if (name === HUNG && !this.stopped.has(pid)) {
          process.kill(pid, 'SIGSTOP');
          this.stopped.add(pid);
        }
        if (name === CRASHING && !this.killed.has(pid)) {
          process.kill(pid, 'SIGKILL');
          this.killed.add(pid);
        }
      } catch {
        // It has ended meanwhile.
      }
    }
  }

  end(): void {
    clearInterval(this.#timer);
  }
}

const PER_SERVER = 18;
const BEFORE_ROUNDS = 6;
const TROUBLE_ROUNDS = 10;
/** The machine may have less to give in one half of the comparison than in the other. */
const COMPARISONS = 3;

/** Milliseconds of each scrape of the sound servers, one after the other. */
async function scrapeAll(fleet: FleetProgram): Promise<number[]> {
  const took: number[] = [];
  for (let n = 0; n < PER_SERVER; n += 1) {
    for (const name of SOUND) {
      const startMs = performance.now();
      const { status } = await fleet.program.get(`/probe?target=${name}`, {
        headers: PATIENCE,
      });
      took.push(performance.now() - startMs);
      expect(status).toBe(200);
    }
  }
  return took;
}

const p99 = (took: readonly number[]): number =>
  took.toSorted((a, b) => a - b)[Math.ceil(took.length * 0.99) - 1]!;

describe('20 servers, of which one hangs, one denies access and one crashes', () => {
  let fleet: FleetProgram;
  let trouble: Trouble;
  let startedMs: number;
  /** Of the rounds of scrapes, and of those of the troubled servers meanwhile. */
  const before: number[] = [];
  const during: number[] = [];

  beforeAll(async () => {
    const { path } = await recordSimulator({ state: 'denied', polls: 2 });
    startedMs = performance.now();
    fleet = await FleetProgram.start({
      servers: NAMES.map((name) => (name === DENIED ? { name, replay: path } : name)),
      flags: ['--collector.min-interval=0s', '--collector.timeout=10s'],
    });
    trouble = new Trouble(fleet);
    await until(
      'every server was read',
      async () => {
        for (const name of NAMES.filter((each) => each !== DENIED)) {
          if ((await fleet.probe(name)).value('rras_up') !== 1) return false;
        }
        return true;
      },
      60_000,
    );
    const pids = new Set([...fleet.children()].filter(([, name]) => name !== '').map(([, name]) => name));
    expect(pids.size).toBe(NAMES.length - 1);
    for (let round = 0; round < 3; round += 1) await scrapeAll(fleet);
    for (let turn = 0; turn < COMPARISONS && !isUnaffected(); turn += 1) await compare();
  }, 400_000);
  afterAll(async () => {
    trouble.end();
    await endAll();
  });

  /** Rounds without the trouble, and rounds with it. */
  async function compare(): Promise<void> {
    trouble.isOn = false;
    before.length = 0;
    during.length = 0;
    for (let round = 0; round < BEFORE_ROUNDS; round += 1) before.push(p99(await scrapeAll(fleet)));
    trouble.isOn = true;
    await until(
      'the trouble shows',
      async () => {
        const pages = await Promise.all(TROUBLED.map((name) => fleet.probe(name)));
        return pages.every((page) => page.value('rras_up') === 0);
      },
      60_000,
    );
    // The machine has others to serve too: the best of the rounds is what the exporter can do.
    for (let round = 0; round < TROUBLE_ROUNDS && !isUnaffected(); round += 1) {
      const others = TROUBLED.map((name) => fleet.probe(name));
      await until('one hangs', () => fleet.childOf(HUNG) !== undefined, 90_000);
      const hanging = fleet.childOf(HUNG);
      const took = p99(await scrapeAll(fleet));
      // Only while it hung all the time: after each end there is a while without a child.
      if (hanging === fleet.childOf(HUNG)) during.push(took);
      await Promise.all(others);
    }
  }

  const best = (rounds: readonly number[]): number => Math.min(...rounds);
  const isUnaffected = (): boolean => during.length >= 4 && best(during) < 1.2 * best(before);

  test('the trouble is real: the child of one was stopped, and that of another killed more than once', () => {
    expect(trouble.stopped.size).toBeGreaterThan(0);
    expect(trouble.killed.size).toBeGreaterThan(1);
  });

  test('the scrapes of the other 17 are unaffected: p99 under 1.2 times that before', () => {
    const text = (rounds: readonly number[]): string => rounds.map((ms) => ms.toFixed(1)).join(' ');
    process.stdout.write(`p99 of rounds before: ${text(before)} ms; during: ${text(during)} ms\n`);
    expect(best(during) / best(before)).toBeLessThan(1.2);
  });

  test('each answer has its own rras_up, and says why', async () => {
    for (const name of NAMES) {
      const page = await fleet.probe(name);
      expect({ name, up: page.value('rras_up') }).toEqual({ name, up: TROUBLED.includes(name) ? 0 : 1 });
      if (name === CRASHING) {
        expect(page.values('rras_exporter_host_restarts_total')!['crash']).toBeGreaterThan(1);
      } else if (name === HUNG) {
        expect(page.values('rras_exporter_host_restarts_total')!['timeout']).toBeGreaterThan(0);
      } else {
        const restarts = page.values('rras_exporter_host_restarts_total')!;
        expect({ name, restarts }).toEqual({ name, restarts: { timeout: 0, crash: 0, protocol: 0 } });
      }
    }
    const page = await fleet.program.scrape();
    expect(page.value('rras_up')).toBe(1);
    const problem = async (name: string): Promise<string> => {
      const { text } = await fleet.program.get(`/api/v1/status?server=${name}`);
      return (JSON.parse(text) as { data: { sources: { server: { problem: string } } } }).data.sources.server
        .problem;
    };
    expect(await problem(DENIED)).toContain('ERROR_ACCESS_DENIED (5)');
    expect(await problem(CRASHING)).toMatch(/native host process/);
    expect(await problem(HUNG)).toMatch(/native host process|took longer than 10000 ms/);
    for (const name of TROUBLED) expect(fleet.program.log).toMatch(new RegExp(` server=${name} `));
    for (const name of SOUND)
      expect(fleet.program.log).not.toMatch(new RegExp(`level=warn msg="native host.* server=${name} `));
  });

  test('each page has the people of its server, and nobody of another', async () => {
    const simulated = SOUND.slice(0, 8);
    const minutes = (performance.now() - startedMs) / 60_000 + 1;
    const truth = new Map(simulated.map((name) => [name, usersOf(fleet.twinOf(name), minutes)]));
    for (const name of simulated) {
      const shown = usersOn(await fleet.probe(name));
      expect(shown.size).toBeGreaterThan(5);
      expect({ name, strangers: [...shown].filter((user) => !truth.get(name)!.has(user)) }).toEqual({
        name,
        strangers: [],
      });
      const own = truth.get(name)!;
      for (const [other, users] of truth) {
        if (other === name) continue;
        // The search finds what would be there: each server has people that the other one has not.
        expect([...users].filter((user) => !own.has(user)).length).toBeGreaterThan(3);
      }
    }
  });

  test('what is of the exporter stands on /metrics alone', async () => {
    const probed = (await fleet.probe('vpn01')).names;
    const own = (await fleet.program.scrape()).names;
    for (const name of [
      'rras_exporter_build_info',
      'rras_exporter_config_last_reload_successful',
      'process_cpu_seconds_total',
    ]) {
      expect([own.includes(name), probed.includes(name)]).toEqual([true, false]);
    }
    expect(probed).toContain('rras_exporter_simulated');
  });

  test('what a child costs', () => {
    const rss = [...fleet.children()].flatMap(([pid, name]) => {
      const kibibytes = (key: string): number =>
        Number(
          new RegExp(`^${key}:\\s+(\\d+) kB`, 'm').exec(
            readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'),
          )![1],
        );
      return SOUND.includes(name) ? [{ rss: kibibytes('Rss') / 1024, pss: kibibytes('Pss') / 1024 }] : [];
    });
    const mean = (of: (each: { rss: number; pss: number }) => number): number =>
      rss.reduce((sum, each) => sum + of(each), 0) / rss.length;
    process.stdout.write(
      `${rss.length} children: ${mean((each) => each.rss).toFixed(0)} MiB each, ` +
        `${mean((each) => each.pss).toFixed(0)} MiB of it not shared\n`,
    );
    expect(rss.length).toBe(SOUND.length);
    expect(mean((each) => each.rss)).toBeLessThan(120);
  });

  requireTool('prometheus')('a Prometheus with the example of the guide', (prometheus) => {
    test('discovers all 20 through /sd, and has rras_up of each', async () => {
      const folder = mkdtempSync(join(tmpdir(), 'rras-exporter-sd-'));
      const example = readFileSync(
        fileURLToPath(new URL('../../examples/prometheus/many-servers.yml', import.meta.url)),
        'utf8',
      );
      const file = join(folder, 'prometheus.yml');
      writeFileSync(
        file,
        example
          .replaceAll('rras-exporter.example.net:10077', new URL(fleet.program.url).host)
          .replace('rule_files: [rules.yml, alerts.yml]', 'rule_files: []')
          .replace(/^alerting:\n(?: .*\n)+/m, '')
          .replaceAll(/_interval: 1(?:5s|m)/g, '_interval: 1s'),
      );
      const drop = (): void => rmSync(folder, { recursive: true, force: true });
      const server = await ScrapingPrometheus.startWith(prometheus, file, folder, drop);
      try {
        const ups = async (): Promise<Record<string, number>> => {
          const series = await server.history('rras_up{job="rras"}', '5s');
          return Object.fromEntries(
            series.map(({ labels, samples }) => [labels['instance']!, samples.at(-1)!.value] as const).sort(),
          );
        };
        await until('all were scraped', async () => Object.keys(await ups()).length === 20, 30_000);
        await wait(2_000);
        expect(await ups()).toEqual(
          Object.fromEntries(NAMES.map((name) => [name, TROUBLED.includes(name) ? 0 : 1])),
        );
        // The exporter is a target of its own, with what is of it alone.
        expect(await server.value('up{job="rras-exporter"}', Date.now())).toBe(1);
        expect(await server.seriesAt('rras_exporter_build_info', Date.now())).toMatchObject([
          { instance: 'rras-exporter' },
        ]);
        expect(await server.seriesAt('rras_up{job="rras-exporter"}', Date.now())).toEqual([]);
        expect(await server.value('count(rras_connections)by(x)>0', Date.now())).toBeGreaterThan(17);
        expect(server.log).not.toMatch(/level=(?:warn|error)/);
      } finally {
        await server.end();
      }
    }, 60_000);
  });

  test('H7 the program ends in time, and no child is left, the stopped one neither', async () => {
    trouble.isOn = false;
    expect(fleet.seen.size).toBeGreaterThanOrEqual(NAMES.length);
    await endOf(fleet);
  });
});

const SECONDS = Number(process.env['RRAS_TEST_FLEET_SECONDS'] ?? 25);

describe('8 servers with --native.max-processes=4', () => {
  const names = NAMES.slice(0, 8);
  let fleet: FleetProgram;
  afterEach(endAll);

  interface Seen {
    readonly ms: number;
    readonly received: number;
    readonly page: Page;
  }

  const receivedOn = (page: Page): number =>
    Object.values(page.values('rras_received_bytes_total') ?? {}).reduce((sum, each) => sum + each, 0);

  const counters = (page: Page): Map<string, number> =>
    new Map(
      page.families
        .filter(({ name, type }) => type === 'counter' && /^rras_(?!exporter)/.test(name))
        .flatMap(({ samples }) =>
          samples.map(({ name, labels, value }) => [`${name} ${JSON.stringify(labels)}`, value] as const),
        ),
    );

  test('have 4 children at most, and accounts that outlive them: no total falls and no traffic is made up', async () => {
    fleet = await FleetProgram.start({
      servers: names,
      scenario: 'office',
      flags: ['--native.max-processes=4', '--collector.min-interval=0s'],
    });
    let most = 0;
    const look = async (): Promise<void> => {
      // The local server has a place of its own.
      const count = (): number => [...fleet.children().values()].filter((name) => name !== '').length;
      let there = count();
      // One that is killed and its successor may be there together for a moment.
      if (there > 4) {
        await wait(100);
        there = count();
      }
      most = Math.max(most, there);
    };
    const pages = new Map(names.map((name) => [name, [] as Seen[]]));
    const untilMs = performance.now() + SECONDS * 1000;
    let killed: number | undefined;
    while (performance.now() < untilMs) {
      for (const name of names) {
        const page = await fleet.probe(name);
        await look();
        expect({ name, up: page.value('rras_up') }).toEqual({ name, up: 1 });
        const ms = page.value('rras_snapshot_timestamp_seconds')! * 1000;
        pages.get(name)!.push({ ms, received: receivedOn(page), page });
      }
      if (killed === undefined && performance.now() > untilMs - (SECONDS * 1000) / 2) {
        killed = fleet.childOf(names[7]!);
        if (killed !== undefined) process.kill(killed, 'SIGKILL');
      }
    }
    expect(most).toBe(4);
    expect(killed).toBeDefined();

    // Every server had several children, and all of them but the one that was killed made room in peace.
    const childrenOf = Map.groupBy(fleet.seen.values(), ({ name }) => name);
    for (const name of names) expect(childrenOf.get(name)!.length).toBeGreaterThan(2);
    let worst = 0;
    for (const name of names) {
      const seen = pages.get(name)!;
      expect(seen.length).toBeGreaterThan(4);
      const twin = fleet.twinOf(name);
      const moved = (fromMs: number, toMs: number): number =>
        twin
          .trafficBetween(Math.floor(fromMs), Math.ceil(toMs))
          .reduce((sum, { receivedBytes }) => sum + receivedBytes, 0);
      for (const [i, now] of seen.entries()) {
        const last = seen[i - 1];
        if (!last) continue;
        const earlier = counters(last.page);
        const fallen = [...counters(now.page)].filter(([key, value]) => value < (earlier.get(key) ?? 0));
        expect({ name, fallen }).toEqual({ name, fallen: [] });
        // A snapshot bears the time of its end; the connections were read before, within half a second.
        worst = Math.max(worst, (now.received - last.received) / moved(last.ms - 500, now.ms));
      }
      const [first, last] = [seen[0]!, seen.at(-1)!];
      const share = (last.received - first.received) / moved(first.ms, last.ms);
      expect({ name, share }).toEqual({ name, share: expect.closeTo(1, 1) as number });
      const restarts = last.page.values('rras_exporter_host_restarts_total');
      expect({ name, restarts }).toEqual({
        name,
        restarts: { timeout: 0, crash: name === names[7] ? 1 : 0, protocol: 0 },
      });
      expect(last.page.values('rras_sessions_started_total')).toBeDefined();
    }
    process.stdout.write(
      `${fleet.seen.size} children, 4 at once; the most bytes between two scrapes: ${worst.toFixed(2)} of the true ones\n`,
    );
    expect(worst).toBeLessThan(1.5);
    await endOf(fleet);
  }, 120_000);
});

/** Of an attribute that is one. */
const textOf = (value: unknown): string => (typeof value === 'string' ? value : '');

describe('over OTLP', () => {
  let receiver: OtlpReceiver | undefined;
  afterEach(async () => {
    await endAll();
    await receiver?.goAway();
  });

  test('each configured server is a resource of its own, under its name', async () => {
    const got = (receiver = await OtlpReceiver.start());
    const names = ['vpn1', 'vpn2.example.net', 'lab_3'];
    const fleet = await FleetProgram.start({
      servers: names,
      environment: {
        ...METRICS_ONLY,
        OTEL_EXPORTER_OTLP_ENDPOINT: got.url,
        OTEL_METRIC_EXPORT_INTERVAL: '500',
        OTEL_RESOURCE_ATTRIBUTES: 'deployment.environment.name=test,service.instance.id=the-exporter',
      },
      config: { otlp: { connections: true } },
    });
    const byInstance = () =>
      Map.groupBy(got.metrics, ({ resource }) => textOf(resource['service.instance.id']));
    await until(
      'all are pushed',
      () => {
        const found = byInstance();
        return ['the-exporter', ...names].every((name) =>
          found
            .get(name)
            ?.some(
              (metric) =>
                metric.name === 'rras.up' && metric.kind === 'gauge' && metric.points[0]?.value === 1,
            ),
        );
      },
      20_000,
    );
    const found = byInstance();
    expect([...found.keys()].sort()).toEqual([...names, 'the-exporter'].sort());
    const usersIn = (name: string): Set<string> =>
      new Set(
        found
          .get(name)!
          .filter((metric) => metric.name === 'rras.connection.info')
          .flatMap(({ points }) => points.map(({ attributes }) => textOf(attributes['user']))),
      );
    for (const name of names) {
      expect(found.get(name)![0]!.resource).toMatchObject({
        'service.name': 'rras-exporter',
        'deployment.environment.name': 'test',
      });
      const metrics = new Set(found.get(name)!.map((metric) => metric.name));
      expect(metrics.has('rras.exporter.simulated')).toBe(true);
      expect(metrics.has('rras.exporter.build_info')).toBe(false);
      const users = usersIn(name);
      const shown = usersOn(await fleet.probe(name));
      expect(users.size).toBeGreaterThan(5);
      expect([...users].filter((user) => shown.has(user)).length).toBeGreaterThan(5);
      for (const other of names.filter((each) => each !== name)) expect(usersIn(other)).not.toEqual(users);
    }
    expect(got.complaints).toEqual([]);
    await until('a child of each was seen', () => fleet.children().size === 4);
    await endOf(fleet);
  }, 60_000);
});
