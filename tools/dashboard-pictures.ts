/**
 * Draws the dashboards with what a real Prometheus knows of two simulated servers, into docs/pictures/:
 * `node tools/dashboard-pictures.ts [--minutes=N] [--prometheus=URL] [--svg=FOLDER]`. It takes N minutes (6); with the URL
 * of a Prometheus it takes what that has. PNG needs chromium.
 */
import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { parseArgs, promisify } from 'node:util';
import { buildIfStale } from '../test/e2e/program.ts';
import { findTool } from '../test/tools/find-tool.ts';
import { answersOf } from './dashboard-answers.ts';
import { DashboardLab } from './dashboard-lab.ts';
import { readDashboards } from './dashboard-model.ts';
import { drawDashboard, heightOf, WIDTH } from './dashboard-svg.ts';
import { fewerColors } from './few-colors.ts';

const FOLDER = fileURLToPath(new URL('../docs/pictures/', import.meta.url));
const POINTS = 300;
const ACT_AFTER_MS = 45_000;
const PAUSE_MS = 20_000;
/** With both, and what is done between them. */
const ROUND_MS = 90_000;

const { values: flags } = parseArgs({
  options: {
    minutes: { type: 'string', default: '6' },
    prometheus: { type: 'string' },
    svg: { type: 'string' },
  },
});
const minutes = Number(flags.minutes);

async function toPng(chromium: string, svg: string, height: number, png: string): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'rras-exporter-pictures-'));
  try {
    const page = join(folder, 'page.html');
    writeFileSync(
      page,
      `<!doctype html><meta charset="utf-8"><style>body{margin:0;background:#111217}svg{display:block}</style>${svg}`,
    );
    await promisify(execFile)(chromium, [
      '--headless',
      '--no-sandbox',
      '--disable-gpu',
      '--hide-scrollbars',
      `--user-data-dir=${join(folder, 'profile')}`,
      `--window-size=${WIDTH},${height}`,
      `--screenshot=${png}`,
      '--disable-lcd-text',
      pathToFileURL(page).href,
    ]);
    writeFileSync(png, fewerColors(readFileSync(png)));
  } finally {
    rmSync(folder, { recursive: true, force: true, maxRetries: 3 });
  }
}

async function draw(url: string): Promise<void> {
  const to = Math.floor(Date.now() / 1000) - 1;
  const asked = {
    from: to - minutes * 60,
    to,
    stepSeconds: Math.max(1, Math.round((minutes * 60) / POINTS)),
    rateIntervalSeconds: 15,
    coarseStepSeconds: 10,
    instance: '.+',
  };
  const chromium = findTool('chromium');
  mkdirSync(FOLDER, { recursive: true });
  for (const dashboard of readDashboards()) {
    const svg = drawDashboard(await answersOf(url, dashboard, asked));
    const name = dashboard.uid.replace(/^rras-/, 'dashboard-');
    if (flags.svg !== undefined) writeFileSync(join(flags.svg, `${name}.svg`), svg);
    if (chromium === null) continue;
    const png = join(FOLDER, `${name}.png`);
    await toPng(chromium, svg, heightOf(dashboard), png);
    console.log(`${name}.png: ${Math.round(statSync(png).size / 1024)} KiB`);
  }
  if (chromium === null) console.error('chromium is not installed: no PNG was made');
}

async function live(): Promise<void> {
  const prometheus = findTool('prometheus');
  if (prometheus === null) throw new Error('prometheus is not installed');
  await buildIfStale();
  const lab = await DashboardLab.start({ prometheus });
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => void lab.end().finally(() => process.exit(1)));
  }
  try {
    const start = performance.now();
    const left = (): number => minutes * 60_000 - (performance.now() - start);
    while (left() > ROUND_MS) {
      await wait(ACT_AFTER_MS);
      await lab.act();
      await wait(PAUSE_MS);
      await lab.resume();
    }
    await wait(Math.max(0, left()));
    // Peers come back after a while: a moment at which one is away, so that its table is not empty.
    const end = performance.now() + ROUND_MS;
    const dormant = (): Promise<number | undefined> =>
      lab.prometheus.value('sum(rras_connection_dormant)', Date.now() - 1000);
    while (performance.now() < end && ((await dormant()) ?? 0) === 0) await wait(500);
    await draw(lab.prometheus.url);
  } finally {
    await lab.end();
  }
}

if (flags.prometheus === undefined) await live();
else await draw(flags.prometheus);
