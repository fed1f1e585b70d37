/** Chromium without a window, which notes everything that a page must not do. */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import type { Browser, Page } from 'puppeteer-core';
import { launch } from 'puppeteer-core';

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

export interface View {
  readonly dark?: boolean;
  readonly width?: number;
  readonly height?: number;
  /** The page's timers run so many times as fast. */
  readonly haste?: number;
  /** Colours are the ones of the system, as for who needs contrast. */
  readonly forcedColors?: boolean;
  readonly locale?: string;
}

export class WatchedPage {
  readonly page: Page;
  /** Errors and warnings of the console, exceptions, breaches of the policy. */
  readonly complaints: string[] = [];
  readonly requests: string[] = [];

  private constructor(page: Page) {
    this.page = page;
    page.on('console', (message) => {
      if (message.type() === 'error' || message.type() === 'warn') this.complaints.push(message.text());
    });
    page.on('pageerror', (error) => this.complaints.push(String(error)));
    page.on('request', (request) => this.requests.push(request.url()));
  }

  static async open(browser: Browser, url: string, view: View = {}): Promise<WatchedPage> {
    const context = await browser.createBrowserContext();
    const page = await context.newPage();
    const watched = new WatchedPage(page);
    await page.setViewport({ width: view.width ?? 1280, height: view.height ?? 900 });
    await page.emulateMediaFeatures([
      { name: 'prefers-color-scheme', value: view.dark === true ? 'dark' : 'light' },
    ]);
    const session = await page.createCDPSession();
    if (view.forcedColors === true) {
      await session.send('Emulation.setEmulatedMedia', {
        features: [{ name: 'forced-colors', value: 'active' }],
      });
    }
    if (view.locale !== undefined) {
      await session.send('Emulation.setLocaleOverride', { locale: view.locale });
    }
    await page.evaluateOnNewDocument(`
      addEventListener('securitypolicyviolation', (event) =>
        console.error('breach of ' + event.violatedDirective + ' by ' + event.blockedURI));
      const wait = setTimeout;
      globalThis.setTimeout = (work, ms, ...rest) => wait(work, ms / ${view.haste ?? 1}, ...rest);
    `);
    await page.goto(url, { waitUntil: 'load' });
    return watched;
  }

  /** Waits until the expression is true in the page. */
  async until(expression: string, timeout = 10_000): Promise<void> {
    await this.page.waitForFunction(expression, { timeout, polling: 20 });
  }

  /** The value of an expression in the page. */
  async of<T>(expression: string): Promise<T> {
    return (await this.page.evaluate(expression)) as T;
  }

  text(selector: string): Promise<string> {
    return this.of(`document.querySelector(${JSON.stringify(selector)}).innerText`);
  }

  texts(selector: string): Promise<string[]> {
    return this.of(
      `[...document.querySelectorAll(${JSON.stringify(selector)})].map((each) => each.innerText)`,
    );
  }

  /** What axe has to say of it: rule and element. */
  async flaws(): Promise<string[]> {
    await this.page.evaluate(AXE);
    return this.of(
      `axe.run(document, { resultTypes: ['violations'] }).then(({ violations }) =>
        violations.flatMap(({ id, nodes }) => nodes.map(({ target, failureSummary }) =>
          id + ' ' + target.join(' ') + ': ' + failureSummary)))`,
    );
  }

  async close(): Promise<void> {
    await this.page.browserContext().close();
  }
}

export const launchBrowser = (chromium: string): Promise<Browser> =>
  launch({
    executablePath: chromium,
    headless: true,
    args: ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage'],
  });
