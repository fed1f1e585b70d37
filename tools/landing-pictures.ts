/**
 * Takes pictures of the landing page of a simulated office, light and dark, into docs/pictures/:
 * `node tools/landing-pictures.ts`. Needs chromium.
 */
import { statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { startOffice } from '../test/e2e/office-site.ts';
import { launchBrowser, WatchedPage } from '../test/e2e/page-browser.ts';
import { findTool } from '../test/tools/find-tool.ts';
import { fewerColors } from './few-colors.ts';

const FOLDER = process.argv[2] ?? fileURLToPath(new URL('../docs/pictures/', import.meta.url));
const VIEWS = [
  ['landing-light', { dark: false, width: 1280 }],
  ['landing-dark', { dark: true, width: 1280 }],
  ['landing-narrow', { dark: false, width: 400 }],
] as const;

const chromium = findTool('chromium');
if (chromium === null) throw new Error('chromium is not installed');
const office = await startOffice();
const browser = await launchBrowser(chromium);
try {
  for (const [name, view] of VIEWS) {
    const watched = await WatchedPage.open(browser, office.url, view);
    await watched.until(`document.querySelectorAll('#list tbody tr:not(.gap)').length > 10`);
    const file = join(FOLDER, `${name}.png`);
    const png = await watched.page.screenshot({ fullPage: true });
    writeFileSync(file, fewerColors(Buffer.from(png)));
    console.log(`${name}.png: ${Math.round(statSync(file).size / 1024)} KiB`);
    for (const complaint of watched.complaints) console.error(complaint);
    await watched.close();
  }
} finally {
  await browser.close();
  await office.close();
}
