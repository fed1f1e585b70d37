/**
 * The benchmark: the exporter's stages, its peers on the same data, and the whole built program, in one run. Needs Linux,
 * a built dist/ and Debian's prometheus-pushgateway. Options: --quick, --json=FILE, --docs (docs/performance.md too).
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { writeFigures } from './document.ts';
import { requireBuilt } from './exporter-process.ts';
import { collectGarbage } from './garbage.ts';
import { closeConnections } from './http-client.ts';
import { describeMachine, thisMachine } from './machine.ts';
import { measureMillion } from './million.ts';
import { parseFamilies } from './page-text.ts';
import { measureOtlp } from './otlp-collect.ts';
import { FULL, type Plan, QUICK } from './plan.ts';
import { timePromClient } from './prom-client-peer.ts';
import { findPushgateway, timePushgateway } from './pushgateway-peer.ts';
import type { PeerFigures, Results, SizeResults } from './results.ts';
import { sectionsOf, singleRowsOf } from './rows.ts';
import { measureDecode, measurePolls } from './stages.ts';
import { endAllOnExit } from './started-processes.ts';
import { textTable } from './table.ts';
import { microsecondsEach, type Rounds } from './timing.ts';
import { IdleExporter, measureStart, measureWholeScrape } from './whole-scrape.ts';

const DEFAULT_JSON = fileURLToPath(new URL('../.cache/bench.json', import.meta.url));

const say = (what: string): void => console.error(`... ${what}`);

async function measurePeers(
  pushgateway: string,
  page: readonly Uint8Array[],
  samples: number,
  rounds: Rounds,
): Promise<PeerFigures> {
  const families = parseFamilies(page);
  const promClientMs = await timePromClient(families, rounds);
  collectGarbage();
  const { plainMs, gzipMs, samples: served } = await timePushgateway(pushgateway, page, rounds);
  return {
    promClientUsPerSample: microsecondsEach(promClientMs, samples),
    pushgatewayUsPerSample: microsecondsEach(plainMs, served),
    pushgatewayGzipUsPerSample: microsecondsEach(gzipMs, served),
  };
}

async function measureSize(connections: number, pushgateway: string, plan: Plan): Promise<SizeResults> {
  const rounds = plan.rounds(connections);
  say(`${connections} connections: stages`);
  const decode = await measureDecode(connections, rounds, plan.koffiRecords);
  collectGarbage();
  const { figures: polls, page } = await measurePolls(connections, rounds);
  collectGarbage();
  say(`${connections} connections: peers`);
  const peers = await measurePeers(pushgateway, page, polls.samples, plan.peerRounds(connections));
  collectGarbage();
  say(`${connections} connections: whole scrapes`);
  const scrape = await measureWholeScrape(`large:${connections}`, plan.scrapes(connections));
  return { connections, decode, polls, peers, scrape };
}

async function measure(plan: Plan): Promise<Results> {
  const pushgateway = findPushgateway();
  requireBuilt();
  const machine = thisMachine();
  say('start');
  const startMs = await measureStart(plan.starts);
  const idleExporter = await IdleExporter.start();
  const sizes: SizeResults[] = [];
  const [smallest, ...larger] = plan.sizes;
  // The idle exporter is read after the first size, so that its time passes while others work.
  sizes.push(await measureSize(smallest!, pushgateway, plan));
  const idle = { seconds: plan.idleSeconds, memory: await idleExporter.after(plan.idleSeconds) };
  for (const connections of larger) sizes.push(await measureSize(connections, pushgateway, plan));
  let million: Results['million'];
  if (plan.million) {
    say('a page of a million samples');
    million = await measureMillion(plan.million);
  }
  say('OTLP');
  const otlp = await measureOtlp(plan.otlp);
  return { machine, quick: plan.quick, sizes, ...(million && { million }), otlp, idle, startMs };
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      quick: { type: 'boolean', default: false },
      json: { type: 'string', default: DEFAULT_JSON },
      docs: { type: 'boolean', default: false },
    },
  });
  if (process.platform !== 'linux') throw new Error('the benchmark reads /proc: it runs on Linux only');
  if (values.quick && values.docs) throw new Error('--docs wants a full run: leave --quick out');
  endAllOnExit();
  const started = performance.now();
  const results = await measure(values.quick ? QUICK : FULL);
  closeConnections();
  mkdirSync(dirname(values.json), { recursive: true });
  writeFileSync(values.json, `${JSON.stringify(results, null, 2)}\n`);
  const sizes = results.sizes.map(({ connections }) => connections);
  const seconds = Math.round((performance.now() - started) / 1000);
  console.log(`${describeMachine(results.machine)}; took ${seconds} s\n`);
  console.log(textTable(sectionsOf(results), singleRowsOf(results), sizes));
  console.log(
    `\nTargets without a size are judged at the largest of the run; docs/performance.md says what is counted.`,
  );
  if (values.docs) writeFigures(results);
}

try {
  await main();
} catch (error) {
  console.error(`bench: ${error instanceof Error ? error.message : String(error)}`);
  process.exit(1);
}
