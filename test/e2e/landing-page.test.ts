/** The landing page in Chromium: what it shows, how it is used, and that it does nothing it must not. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import type { Browser } from 'puppeteer-core';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { ApiConnection, ApiData, ApiInterface, ApiStatus } from '../../src/server/api.ts';
import { linkOf, sessionOf, statusOf, tunnelOf } from '../server/page-data.ts';
import type { ServedServer } from '../../src/server/app.ts';
import { number } from '../../src/server/page/wording.ts';
import type { AppParts, RunningApp } from '../server/running-app.ts';
import { startApp } from '../server/running-app.ts';
import { requireTool } from '../tools/require-tool.ts';
import { startOffice } from './office-site.ts';
import type { View } from './page-browser.ts';
import { launchBrowser, WatchedPage } from './page-browser.ts';
import { buildIfStale, endAll, Program, until } from './program.ts';

const ROWS = '#list tbody tr:not(.gap)';
const COUNT_OF_ROWS = `document.querySelectorAll('${ROWS}').length`;
const SHOWS_ROWS = `${COUNT_OF_ROWS} > 0`;

/** Waits until the list shows its last row and stands still: it glides there, and is not to be stopped on its way. */
async function untilLastOf(page: WatchedPage, connections: number): Promise<void> {
  await page.until(`(({ scrollTop, clientHeight, scrollHeight }) =>
    scrollTop > 0 && scrollTop + clientHeight >= scrollHeight - 1)(document.querySelector('#list'))`);
  await page.until(
    `document.querySelector('${ROWS}:nth-last-child(2)').getAttribute('aria-rowindex') === '${connections + 1}'`,
  );
}

/** A server with so many connections, of the users `user-0` and so on. */
function crowd(connections: number): Server {
  const server = new Server();
  server.set(
    { connections },
    Array.from({ length: connections }, (_, i) =>
      sessionOf({ connection: String(i).padStart(16, '0'), user: `user-${i}`, interface: `user-${i}` }),
    ),
  );
  return server;
}

/** What the API answers, to be changed while the page looks on. */
class Server {
  status: ApiStatus = statusOf({ snapshotTime: Date.now() / 1000 });
  connections: readonly ApiConnection[] = [];
  interfaces: readonly ApiInterface[] = [];
  /** How often the connections were asked for. */
  listed = 0;
  /** The status is answered after it. */
  held: Promise<unknown> = Promise.resolve();
  listTakesMs = 0;
  listFails = false;

  /** Something new was read. */
  set(parts: Partial<ApiStatus>, connections = this.connections): void {
    this.status = { ...this.status, snapshotTime: this.status.snapshotTime + 1, ...parts };
    this.connections = connections;
  }

  readonly api: ApiData = {
    status: async () => {
      await this.held;
      return this.status;
    },
    connections: async () => {
      this.listed += 1;
      await wait(this.listTakesMs);
      if (this.listFails) throw new Error('no list');
      return this.connections;
    },
    interfaces: () => this.interfaces,
  };
}

requireTool('chromium')('the landing page', (chromium) => {
  let browser: Browser;
  const apps: RunningApp[] = [];
  const pages: WatchedPage[] = [];

  beforeAll(async () => {
    browser = await launchBrowser(chromium);
  });
  afterAll(() => browser.close());
  afterEach(async () => {
    await Promise.all(pages.splice(0).map((page) => page.close()));
    await Promise.all(apps.splice(0).map((app) => app.close()));
  });

  const serve = async (server: Server, parts: AppParts = {}): Promise<RunningApp> => {
    const app = await startApp({ api: server.api, ...parts });
    apps.push(app);
    return app;
  };
  const look = async (url: string, view?: View): Promise<WatchedPage> => {
    const page = await WatchedPage.open(browser, url, view);
    pages.push(page);
    return page;
  };

  describe('of an office', () => {
    let office: RunningApp;
    let folder: string;
    beforeAll(async () => {
      office = await startOffice();
      folder = mkdtempSync(join(tmpdir(), 'rras-exporter-landing-'));
    });
    afterAll(async () => {
      await office.close();
      rmSync(folder, { recursive: true });
    });

    test.each<[name: string, view: View]>([
      ['light and wide', { dark: false, width: 1280 }],
      ['dark and wide', { dark: true, width: 1280 }],
      ['light and narrow', { dark: false, width: 400 }],
      ['dark and narrow', { dark: true, width: 400 }],
    ])('%s has no flaw that axe knows, no error, and needs nothing from elsewhere', async (name, view) => {
      const page = await look(office.url, view);
      await page.until(SHOWS_ROWS);
      const picture = await page.page.screenshot({ fullPage: true });
      writeFileSync(join(folder, `${name.replaceAll(' ', '-')}.png`), picture);
      expect(picture.length).toBeGreaterThan(10_000);
      // The ground is what the colour scheme asks for.
      const ground = await page.of<string>(`getComputedStyle(document.documentElement).backgroundColor`);
      expect(ground).toBe(view.dark === true ? 'rgb(18, 21, 27)' : 'rgb(244, 245, 247)');
      expect(await page.of(`document.documentElement.scrollWidth`)).toBeLessThanOrEqual(view.width!);
      expect(await page.flaws()).toEqual([]);
      expect(page.complaints).toEqual([]);
      expect(page.requests.filter((url) => !url.startsWith(`${office.url}/`))).toEqual([]);
    });

    test('shows state, chart, interfaces and connections', async () => {
      const page = await look(office.url);
      await page.until(SHOWS_ROWS);
      expect(await page.text('#marks')).toBe('The server is simulated: none of its data is real.');
      expect(await page.text('#overview .state')).toBe('Running');
      expect(
        await page.of(`document.querySelector('#tunnels svg').getBoundingClientRect().height`),
      ).toBeGreaterThan(100);
      expect(await page.texts('#tunnels tbody th')).toEqual(['IKEv2', 'SSTP', 'L2TP', 'PPTP', 'PPPoE']);
      expect((await page.texts('#interfaces tbody th')).length).toBeGreaterThan(5);
      expect(await page.text('#count')).toMatch(/^\d+ connections$/);
      const links = await page.of<string[]>(
        `[...document.querySelectorAll('footer a')].map(({ href }) => href)`,
      );
      expect(links.length).toBeGreaterThan(5);
      const readable = links.filter((link) => !link.endsWith('/openapi.json'));
      for (const link of readable) expect((await fetch(link)).status, link).toBe(200);
    });

    test('without script shows all but the list', async () => {
      const page = await look('about:blank');
      await page.page.setJavaScriptEnabled(false);
      await page.page.goto(office.url);
      const html = await page.page.content();
      expect(html).toContain('<span class="state good">Running</span>');
      expect(html).toContain('Site-Madrid');
      expect(html).toContain('<path class="tunnel-ikev2"');
      expect(html).toContain('The list of connections is made by the script of this page.');
    });
  });

  describe('with 10,000 connections', () => {
    let program: Program;
    beforeAll(async () => {
      await buildIfStale();
      program = await Program.serve(
        '--rras.simulate=large:10000',
        '--collector.connections.limit=10000',
        '--collector.min-interval=30s',
      );
      await program.scrape();
    });
    afterAll(endAll);

    /** Milliseconds of work until the next frame is there. */
    const timeOf = (work: string): string => `new Promise((resolve) => {
      const started = performance.now();
      ${work};
      requestAnimationFrame(() => requestAnimationFrame(() => resolve(performance.now() - started)));
    })`;

    test('scrolls, searches and sorts at once, with a screenful of rows', async () => {
      const page = await look(program.url);
      await page.until(`document.querySelector('#count')?.textContent === '10,000 connections'`, 60_000);
      const rows = (): Promise<number> => page.of(COUNT_OF_ROWS);
      const most = 60;
      expect(await rows()).toBeLessThan(most);
      expect(await page.of(`document.querySelector('#list table').getAttribute('aria-rowcount')`)).toBe(
        '10001',
      );

      const seen = new Set<number>();
      const times: number[] = [];
      for (let part = 0; part <= 20; part += 1) {
        times.push(
          await page.of(
            timeOf(`const list = document.querySelector('#list');
              list.scrollTop = (list.scrollHeight - list.clientHeight) * ${part / 20}`),
          ),
        );
        expect(await rows()).toBeLessThan(most);
        const { first, inSight } = await page.of<{ first: number; inSight: boolean }>(`(() => {
          const list = document.querySelector('#list').getBoundingClientRect();
          const rows = [...document.querySelectorAll('${ROWS}')];
          const box = (row) => row.getBoundingClientRect();
          return {
            first: Number(rows.find((row) => box(row).bottom > list.top + 40).getAttribute('aria-rowindex')),
            inSight: box(rows[0]).top <= list.top + 40 && box(rows.at(-1)).bottom >= list.bottom - 20,
          };
        })()`);
        expect(inSight).toBe(true);
        seen.add(first);
      }
      expect(seen.size).toBe(21);
      expect(
        await page.of(
          `Number([...document.querySelectorAll('${ROWS}')].at(-1).getAttribute('aria-rowindex'))`,
        ),
      ).toBe(10_001);

      const type = (text: string): string =>
        timeOf(`const input = document.querySelector('#search');
          input.value = ${JSON.stringify(text)};
          input.dispatchEvent(new Event('input'))`);
      times.push(await page.of(type('ikev2 corp')));
      const found = await page.text('#count');
      expect(found).toMatch(/^\d,\d{3} of 10,000 connections match$/);
      for (const row of await page.texts(ROWS))
        expect(row.toLowerCase()).toMatch(/ikev2[^]*corp|corp[^]*ikev2/);
      await page.until(`document.querySelector('#matches').textContent === ${JSON.stringify(found)}`);
      times.push(await page.of(type('')));

      for (const column of ['received', 'user', 'remote', 'time']) {
        times.push(await page.of(timeOf(`document.querySelector('#list .column-${column} button').click()`)));
        expect(await rows()).toBeLessThan(most);
      }
      expect(await page.of(`document.querySelectorAll('[aria-sort]').length`)).toBe(1);
      const ages = await page.texts('#list td.column-time');
      expect(ages[0]).toMatch(/[dh] /);
      process.stdout.write(`landing page: ${times.map((each) => each.toFixed(0)).join(' ')} ms\n`);
      // A person would call that at once; others use this machine, too.
      expect(Math.max(...times)).toBeLessThan(2000);
      expect(times.toSorted((a, b) => a - b)[Math.floor(times.length / 2)]).toBeLessThan(300);

      expect(await page.flaws()).toEqual([]);
      expect(page.complaints).toEqual([]);
      expect(page.requests.filter((url) => !url.startsWith(`${program.url}/`))).toEqual([]);
      const { history } = (JSON.parse((await program.get('/api/v1/status')).text) as { data: ApiStatus })
        .data;
      const totals = history.points.map(({ connections }) => Object.values(connections));
      expect(totals.map((counts) => counts.reduce((sum, count) => sum + count, 0))).toContain(10_000);
      // Reading the script has told nobody of experiments.
      expect(program.log).not.toMatch(/Warning/);
    }, 120_000);
  });

  describe('of one server among several', () => {
    const NAMES = ['vpn1', 'vpn2.example.net'];
    let folder: string;
    let file: string;
    let program: Program;
    const configure = (...names: readonly string[]): void =>
      writeFileSync(file, JSON.stringify({ servers: names.map((name) => ({ name, simulate: 'small' })) }), {
        mode: 0o600,
      });
    const reload = async (): Promise<void> => {
      const { status, text } = await program.get('/-/reload', { method: 'POST' });
      expect({ status, text }).toEqual({ status: 200, text: 'The configuration is loaded.\n' });
    };
    const pageOf = (name: string): string => `${program.url}/?server=${encodeURIComponent(name)}`;
    /** Who is connected, as the API says; '' is the local server. */
    const usersOf = async (name: string): Promise<string[]> => {
      const query = name === '' ? '' : `?server=${encodeURIComponent(name)}`;
      const { text } = await program.get(`/api/v1/connections${query}`);
      const { data } = JSON.parse(text) as { data: { items: readonly ApiConnection[] } };
      return data.items.map(({ connection }) => connection).sort();
    };
    const listed = async (page: WatchedPage): Promise<string[]> =>
      (await page.texts('#list td.column-id')).sort();

    beforeAll(async () => {
      await buildIfStale();
      folder = mkdtempSync(join(tmpdir(), 'rras-exporter-landing-'));
      file = join(folder, 'rras-exporter.yml');
      configure(...NAMES);
      program = await Program.serve(
        '--rras.simulate=small',
        `--config.file=${file}`,
        '--web.enable-lifecycle',
        // What is shown is what the API still says.
        '--collector.min-interval=1h',
        '--collector.max-age=2h',
      );
      for (const path of ['/metrics', ...NAMES.map((name) => `/probe?target=${name}`)]) {
        expect((await program.get(path)).status).toBe(200);
      }
    });
    afterAll(async () => {
      await endAll();
      rmSync(folder, { recursive: true });
    });

    test.each<[name: string, view: View]>([
      ['light and wide', { dark: false, width: 1280 }],
      ['dark and narrow', { dark: true, width: 400 }],
    ])('%s has no flaw that axe knows, and no error', async (_, view) => {
      const page = await look(pageOf(NAMES[1]!), view);
      await page.until(SHOWS_ROWS);
      expect(await page.text('h1')).toBe(`RRAS Exporter: ${NAMES[1]!}`);
      expect(await page.of(`document.documentElement.scrollWidth`)).toBeLessThanOrEqual(view.width!);
      expect(await page.flaws()).toEqual([]);
      expect(page.complaints).toEqual([]);
      expect(page.requests.filter((url) => !url.startsWith(`${program.url}/`))).toEqual([]);
    });

    test('shows and asks for the data of that server only, also when it refreshes itself', async () => {
      const page = await look(pageOf('vpn1'), { haste: 50 });
      await page.until(SHOWS_ROWS);
      await page.of(`new Promise((resolve) => setTimeout(resolve, 10_000))`);
      const own = await usersOf('vpn1');
      expect(own.length).toBeGreaterThan(0);
      expect(await listed(page)).toEqual(own);
      for (const other of ['', NAMES[1]!]) {
        const theirs = await usersOf(other);
        expect(theirs.filter((id) => own.includes(id))).toEqual([]);
      }
      const asked = page.requests.map((url) => new URL(url)).filter(({ pathname }) => pathname !== '/');
      expect(asked.length).toBeGreaterThan(3);
      for (const { href, searchParams } of asked)
        expect([href, searchParams.get('server')]).toEqual([href, 'vpn1']);
      expect(page.complaints).toEqual([]);
    });

    test('has links to the others and back, and to what there is of it', async () => {
      const page = await look(program.url);
      await page.until(SHOWS_ROWS);
      for (const name of [...NAMES, null]) {
        const text = name ?? 'Local server';
        await Promise.all([
          page.page.waitForNavigation(),
          page.of(`[...document.querySelectorAll('header nav a')]
            .find(({ textContent }) => textContent === ${JSON.stringify(text)}).click()`),
        ]);
        await page.until(SHOWS_ROWS);
        expect(await page.texts('header nav a')).toEqual(['Local server', ...NAMES]);
        expect(await page.texts('header nav a[aria-current=page]')).toEqual([text]);
        expect(await page.of(`document.title`)).toBe(
          name === null ? 'RRAS Exporter' : `RRAS Exporter: ${name}`,
        );
        expect(await listed(page)).toEqual(await usersOf(name ?? ''));
        const links = await page.of<string[]>(
          `[...document.querySelectorAll('footer a')].map(({ href }) => href)`,
        );
        for (const link of links) expect((await fetch(link)).status, link).toBe(200);
        const ofServer = links.filter((link) => /[?&](?:server|target)=/.test(link));
        expect(ofServer.map((link) => [...new URL(link).searchParams.values()])).toEqual(
          name === null ? [] : Array(4).fill([name]),
        );
      }
      expect(page.complaints).toEqual([]);
    });

    test('says that its server is configured no more, once a reload took it away, and is content when it is back', async () => {
      const page = await look(pageOf('vpn1'), { haste: 50 });
      await page.until(SHOWS_ROWS);
      const rows = await listed(page);
      configure(NAMES[1]!);
      await reload();
      await page.until(`document.querySelector('#notice').textContent !== ''`);
      expect(await page.text('#notice')).toMatch(
        /^Nothing new from the exporter since .+: there is no server of that name any more\. What you see is of then\.$/,
      );
      // What is known of it stays.
      expect(await listed(page)).toEqual(rows);
      expect(await page.flaws()).toEqual([]);
      // Chromium itself tells of each answer that is an error; the page has nothing to add.
      const ofChromium = 'Failed to load resource: the server responded with a status of 404 (Not Found)';
      expect(page.complaints.filter((text) => text !== ofChromium)).toEqual([]);
      configure(...NAMES);
      await reload();
      await page.until(`document.querySelector('#notice').textContent === ''`, 20_000);
    });
  });

  test('shows hostile names as the texts that they are', async () => {
    const hostile = `<img src=x onerror="document.title='taken'"><script>document.title='taken'</script>`;
    const server = new Server();
    server.set({ sources: { ports: { up: false, problem: hostile } }, version: '1.2.3' }, [
      sessionOf({ user: hostile, domain: '', computer: hostile, interface: hostile, remoteAddress: hostile }),
    ]);
    server.interfaces = [
      linkOf({ interface: hostile, lastError: 1, lastErrorName: hostile, state: 'unreachable' }),
    ];
    const page = await look((await serve(server)).url);
    await page.until(SHOWS_ROWS);
    expect(await page.text('#list tbody th')).toBe(hostile);
    expect(await page.texts('#interfaces tbody th')).toEqual([hostile]);
    // Anew by the script, too.
    server.set({ connections: 77 });
    const again = await look(apps[0]!.url, { haste: 50 });
    server.set({ connections: 78 });
    await again.until(`document.querySelector('#overview').innerText.includes('78')`);
    expect(await again.text('#overview .problems')).toContain(hostile);
    for (const each of [page, again]) {
      expect(await each.of(`document.querySelectorAll('img, body script:not([type=module])').length`)).toBe(
        0,
      );
      expect(await each.of(`document.title`)).toBe('RRAS Exporter');
      expect(each.complaints).toEqual([]);
    }
  });

  test('is used by keyboard alone', async () => {
    const server = crowd(300);
    server.interfaces = [linkOf()];
    const page = await look((await serve(server)).url);
    await page.until(SHOWS_ROWS);
    const { keyboard } = page.page;
    const focused = (): Promise<string> =>
      page.of(`document.activeElement.id || document.activeElement.textContent`);
    /** Goes on to what has this id or text. */
    const goTo = async (what: string): Promise<void> => {
      for (let steps = 0; (await focused()) !== what; steps += 1) {
        expect(steps, `tabs to ${what}`).toBeLessThan(40);
        await keyboard.press('Tab');
      }
    };
    await goTo('Pause');
    expect(await page.of(`getComputedStyle(document.activeElement).outlineStyle`)).toBe('solid');
    await goTo('interfaces');
    await goTo('search');
    await keyboard.type('user-29');
    expect(await page.text('#count')).toBe('11 of 300 connections match');
    await page.until(`document.querySelector('#matches').textContent === '11 of 300 connections match'`);
    await keyboard.down('Control');
    await keyboard.press('KeyA');
    await keyboard.up('Control');
    await keyboard.press('Backspace');
    expect(await page.text('#count')).toBe('300 connections');
    await goTo('list');
    await keyboard.press('End');
    await untilLastOf(page, 300);
    await goTo('User');
    await keyboard.press('Enter');
    expect(await page.of(`document.activeElement.parentElement.getAttribute('aria-sort')`)).toBe(
      'descending',
    );
    await page.until(`document.querySelector('#list tbody th').textContent === 'CORP\\\\user-299'`);
    await goTo('Received');
    await keyboard.press('Space');
    expect(await page.of(`document.activeElement.parentElement.getAttribute('aria-sort')`)).toBe(
      'descending',
    );
    expect(await page.texts('[aria-sort]')).toHaveLength(1);
    expect(page.complaints).toEqual([]);
  });

  test('shows the first row after each change of order, though rows below it were in sight', async () => {
    const page = await look((await serve(crowd(300))).url);
    await page.until(SHOWS_ROWS);
    const tops: unknown[] = [];
    for (let round = 0; round < 8; round += 1) {
      await page.of(`document.querySelector('#list').focus({ preventScroll: true })`);
      await page.page.keyboard.press('End');
      // Now and then it glides on while the order is changed.
      if (round % 2 === 0) await untilLastOf(page, 300);
      else await page.until(`document.querySelector('#list').scrollTop > 0`);
      await page.page.keyboard.press('Tab');
      await page.page.keyboard.press('Enter');
      // What a browser still does of its own accord comes with the next frames.
      await page.of(`new Promise((resolve) => setTimeout(resolve, 700))`);
      tops.push(await page.of(`document.querySelector('#list').scrollTop`));
    }
    expect(tops).toEqual(tops.map(() => 0));
    // Who goes on at once is not held back.
    await page.of(`document.querySelector('#list').focus({ preventScroll: true })`);
    await page.page.keyboard.press('End');
    await untilLastOf(page, 300);
    expect(page.complaints).toEqual([]);
  });

  test('refreshes itself, keeps what was searched for, and can be paused', async () => {
    const server = new Server();
    server.set({ connections: 1, tunnels: { ikev2: tunnelOf(1, 1, 128) } }, [sessionOf({ user: 'anna' })]);
    const page = await look((await serve(server)).url, { haste: 50 });
    await page.until(SHOWS_ROWS);
    await page.page.type('#search', 'anna');
    server.set({ connections: 2, tunnels: { ikev2: tunnelOf(2, 2, 128) } }, [
      sessionOf({ user: 'anna', connection: '1', receivedBytes: 5 * 2 ** 20 }),
      sessionOf({ user: 'berta', interface: 'berta', connection: '2' }),
    ]);
    await page.until(`document.querySelector('#count').textContent === '1 of 2 connections match'`);
    expect(await page.texts('#list tbody th')).toEqual(['CORP\\anna']);
    expect(await page.text('#list td.column-received')).toBe('5.0 MiB');
    await page.until(`document.querySelector('#tunnels td').textContent === '2'`);

    await page.page.click('#live button');
    const asked = page.requests.length;
    server.set({ connections: 9 });
    await page.of(`new Promise((resolve) => setTimeout(resolve, 20_000))`);
    // One may have been under way.
    expect(page.requests.length - asked).toBeLessThanOrEqual(3);
    expect(await page.text('#live')).toContain('Paused at');
    await page.page.click('#live button');
    await page.until(`document.querySelector('#overview').innerText.includes('9')`);
    expect(page.complaints).toEqual([]);
  });

  test('asks for nothing while nobody can see it', async () => {
    const server = new Server();
    const page = await look((await serve(server)).url, { haste: 50 });
    await page.until(`document.querySelector('#count')?.textContent === '0 connections'`);
    const hide = (hidden: boolean): Promise<unknown> =>
      page.of(`Object.defineProperty(document, 'hidden', { configurable: true, value: ${hidden} });
        document.dispatchEvent(new Event('visibilitychange'))`);
    await hide(true);
    await page.of(`new Promise((resolve) => setTimeout(resolve, 10_000))`);
    const asked = page.requests.length;
    await page.of(`new Promise((resolve) => setTimeout(resolve, 20_000))`);
    expect(page.requests.length).toBe(asked);
    server.set({ connections: 4711 });
    await hide(false);
    await page.until(`document.querySelector('#overview').innerText.includes('4,711')`);
  });

  test('says since when nothing new has come, and is content again when it does', async () => {
    const server = new Server();
    const app = await serve(server);
    const page = await look(app.url, { haste: 50 });
    await page.until(`document.querySelector('#count')?.textContent === '0 connections'`);
    await page.page.setOfflineMode(true);
    await page.until(`document.querySelector('#notice').textContent !== ''`);
    expect(await page.text('#notice')).toMatch(
      /^Nothing new from the exporter since .+: it does not answer\. What you see is of then\.$/,
    );
    expect(await page.of(`document.querySelector('#notice').getAttribute('role')`)).toBe('status');
    expect(await page.text('#overview .state')).toBe('Running');
    await page.page.setOfflineMode(false);
    await page.until(`document.querySelector('#notice').textContent === ''`);
    await app.close();
    apps.splice(0);
    await page.until(`document.querySelector('#notice').textContent !== ''`);
    expect(await page.text('#notice')).toContain('it does not answer');
  });

  test('works behind a password and below the prefix of a proxy', async () => {
    const server = new Server();
    server.set({ connections: 1 }, [sessionOf()]);
    const app = await serve(server);
    const refused: string[] = [];
    const proxy = createServer((request, response) => {
      const { url = '', headers } = request;
      const password = `Basic ${Buffer.from('anna:secret').toString('base64')}`;
      if (headers.authorization !== password || !url.startsWith('/vpn/')) {
        if (headers.authorization === password) refused.push(url);
        response.writeHead(401, { 'WWW-Authenticate': 'Basic' }).end();
        return;
      }
      void app.get(url.slice('/vpn'.length)).then(({ status, headers: answered, body }) => {
        response.writeHead(status, answered).end(body);
      });
    });
    await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
    try {
      const { port } = proxy.address() as AddressInfo;
      const page = await look(`http://anna:secret@127.0.0.1:${port}/vpn/`, { haste: 50 });
      await page.until(SHOWS_ROWS);
      server.set({ connections: 4711 });
      await page.until(`document.querySelector('#overview').innerText.includes('4,711')`);
      const links = await page.of<string[]>(
        `[...document.querySelectorAll('footer a')].map(({ href }) => href)`,
      );
      expect(links.filter((link) => !new URL(link).pathname.startsWith('/vpn/'))).toEqual([]);
      expect(page.complaints).toEqual([]);
      expect(refused).toEqual([]);
    } finally {
      proxy.closeAllConnections();
      proxy.close();
    }
  });

  test('asks again within seconds after an exporter that hung, and knows within seconds that it does', async () => {
    const server = new Server();
    const page = await look((await serve(server)).url, { haste: 5 });
    await page.until(`document.querySelector('#count')?.textContent === '0 connections'`);
    let goOn!: () => void;
    server.held = new Promise<void>((resolve) => (goOn = resolve));
    await page.until(`document.querySelector('#notice').textContent !== ''`, 20_000);
    expect(await page.text('#notice')).toContain('it does not answer');
    server.held = Promise.resolve();
    goOn();
    server.set({ connections: 4711 });
    await page.until(`document.querySelector('#notice').textContent === ''`, 10_000);
    expect(await page.text('#overview')).toContain('4,711');
  }, 60_000);

  test('asks for lists that take long less often, and for the status all the same', async () => {
    const server = crowd(3);
    const page = await look((await serve(server)).url, { haste: 50 });
    await page.until(SHOWS_ROWS);
    server.listTakesMs = 500;
    const listed = server.listed + 1;
    server.set({ connections: 4711 });
    // The first lists, too, may have taken their time.
    await until('lists that take long', () => server.listed === listed);
    for (const connections of [5001, 5002, 5003, 5004, 5005]) {
      server.set({ connections });
      await page.until(`document.querySelector('#overview').innerText.includes('${number(connections)}')`);
    }
    expect(server.listed).toBe(listed);
    expect(page.complaints).toEqual([]);
  });

  test('shows the status though the list does not come, and asks for that again, no more often than it takes', async () => {
    const server = crowd(3);
    const page = await look((await serve(server)).url, { haste: 50 });
    await page.until(SHOWS_ROWS);
    server.listFails = true;
    server.listTakesMs = 1000;
    await page.until(`document.querySelector('#notice').textContent === ''`);
    server.set({ connections: 4711 });
    await page.until(`document.querySelector('#notice').textContent.includes('500')`);
    expect(await page.text('#overview')).toContain('4,711');
    const { listed } = server;
    await wait(1500);
    expect(server.listed - listed).toBeLessThan(2);
    expect(await page.of(COUNT_OF_ROWS)).toBe(3);
    server.listFails = false;
    server.listTakesMs = 0;
    await page.until(`document.querySelector('#notice').textContent === ''`);
  });

  test('lists nothing that the exporter knows no more, though nothing new was read, and lists it anew', async () => {
    const server = crowd(3);
    server.interfaces = [linkOf()];
    const page = await look((await serve(server)).url, { haste: 50 });
    await page.until(SHOWS_ROWS);
    const { status, connections, interfaces } = server;
    // As while the server hangs: what was read last is older than it may be.
    server.status = { ...status, up: false, service: null, connections: null, hiddenConnections: null };
    server.connections = [];
    await page.until(`document.querySelector('#count').textContent === 'The connections were not read.'`);
    expect(await page.of(COUNT_OF_ROWS)).toBe(0);
    // Interfaces may become too old somewhat later.
    expect(await page.texts('#interfaces tbody th')).toEqual(['Site-Berlin']);
    server.interfaces = [];
    await page.until(`document.querySelector('#interfaces').innerText === 'The interfaces were not read.'`);
    await page.page.type('#search', 'user');
    await page.until(`document.querySelector('#matches').textContent === 'The connections were not read.'`);
    expect(await page.flaws()).toEqual([]);
    server.status = status;
    server.connections = connections;
    server.interfaces = interfaces;
    server.set({});
    await page.until(`document.querySelector('#count').textContent === '3 of 3 connections match'`);
    expect(await page.of(COUNT_OF_ROWS)).toBe(3);
    expect(await page.texts('#interfaces tbody th')).toEqual(['Site-Berlin']);
    expect(page.complaints).toEqual([]);
  });

  test('keeps what is selected while all around it changes', async () => {
    const server = new Server();
    server.interfaces = [
      linkOf({ interface: 'Site-Köln', state: 'unreachable', lastError: 868, stateChangeTime: 1 }),
    ];
    server.set({
      up: false,
      sources: { ...server.status.sources, ports: { up: false, problem: 'it broke' } },
      tunnels: { ikev2: tunnelOf(7, 7, 128) },
      history: { stepSeconds: 60, points: [{ time: Date.now() / 1000 - 600, connections: { ikev2: 7 } }] },
    });
    const page = await look((await serve(server)).url, { haste: 50 });
    await page.until(`document.querySelector('#count')?.textContent === '0 connections'`);
    const selected = (): Promise<string> => page.of(`String(getSelection())`);
    let connections = 1000;
    for (const [selector, text] of [
      ['#overview .problems li', 'ports: it broke'],
      ['#overview dd.quiet', 'the RemoteAccess service runs; not every source can be read'],
      ['#tunnels tbody td:last-child', '7 of 128'],
      ['#interfaces td:nth-child(4)', 'error 868'],
    ] as const) {
      await page.of(`getSelection().selectAllChildren(document.querySelector(${JSON.stringify(selector)}))`);
      expect(await selected()).toBe(text);
      for (let times = 0; times < 3; times += 1) {
        connections += 1;
        server.set({ connections });
        server.interfaces = server.interfaces.map((each) => ({
          ...each,
          stateChangeTime: connections * 1e5,
        }));
        await page.until(`document.querySelector('#overview').innerText.includes('${number(connections)}')`);
      }
      expect(await selected()).toBe(text);
    }
    expect(page.complaints).toEqual([]);
  });

  test('in forced colours keeps the colours of the chart in its legend, and a border around states', async () => {
    const server = new Server();
    server.set({
      tunnels: { ikev2: tunnelOf(7, 7, 128) },
      history: { stepSeconds: 60, points: [{ time: Date.now() / 1000 - 60, connections: { ikev2: 7 } }] },
    });
    const page = await look((await serve(server)).url, { forcedColors: true });
    expect(await page.of(`matchMedia('(forced-colors: active)').matches`)).toBe(true);
    const styleOf = (selector: string, property: string): Promise<string> =>
      page.of(`getComputedStyle(document.querySelector('${selector}')).${property}`);
    expect(await styleOf('.swatch.tunnel-ikev2', 'backgroundColor')).toBe(
      await styleOf('path.tunnel-ikev2', 'fill'),
    );
    expect(await styleOf('#overview .state', 'borderTopWidth')).toBe('1px');
    expect(await styleOf('#overview .state', 'borderTopColor')).not.toBe('rgba(0, 0, 0, 0)');
  });

  test.each([400, 1280])('of one server among 200 has its state in sight, %i pixels wide', async (width) => {
    const server = new Server();
    const app = await serve(server);
    await app.close();
    const names = Array.from({ length: 200 }, (_, i) => `vpn${i}.example.net`);
    const chosen = { api: server.api } as ServedServer;
    const { url } = await serve(server, { servers: () => new Map(names.map((name) => [name, chosen])) });
    const page = await look(`${url}/?server=vpn150.example.net`, { width });
    await page.until(`document.querySelector('#count')?.textContent === '0 connections'`);
    const boxOf = (selector: string): Promise<{ top: number; bottom: number }> =>
      page.of(`document.querySelector('${selector}').getBoundingClientRect().toJSON()`);
    expect((await boxOf('#overview .state')).bottom).toBeLessThan(400);
    const nav = await boxOf('header nav');
    const link = await boxOf('header nav [aria-current]');
    expect(link.top).toBeGreaterThanOrEqual(nav.top);
    expect(link.bottom).toBeLessThanOrEqual(nav.bottom);
    expect(await page.of(`document.documentElement.scrollWidth`)).toBeLessThanOrEqual(width);
    expect(await page.of(`scrollY`)).toBe(0);
    expect(await page.flaws()).toEqual([]);
    expect(page.complaints).toEqual([]);
  });

  test('writes times of languages from right to left in one piece behind its own words', async () => {
    const page = await look((await serve(new Server())).url, { locale: 'he', haste: 50 });
    await page.until(`/\\p{Script=Hebrew}/u.test(document.querySelector('#overview time').textContent)`);
    /** Where the word, the first and the last digit of the time stand. */
    const [word, first, last] = await page.of<[number, number, number]>(`(() => {
      const text = [...document.querySelectorAll('#overview time')]
        .find(({ textContent }) => textContent.startsWith('since ')).firstChild;
      const at = (i) => {
        const range = document.createRange();
        range.setStart(text, i);
        range.setEnd(text, i + 1);
        return range.getBoundingClientRect().left;
      };
      const ofTime = [...text.data].flatMap((char, i) => (/\\d/.test(char) ? [i] : []));
      return [at(0), at(ofTime[0]), at(ofTime.at(-1))];
    })()`);
    expect(word).toBeLessThan(last);
    expect(last).toBeLessThan(first);
  });

  test('shows a server that stops, and one that may not be read', async () => {
    const server = new Server();
    const page = await look((await serve(server)).url, { haste: 50 });
    await page.until(`document.querySelector('#overview .state').textContent === 'Running'`);
    server.set({ service: { running: false, lanOnly: false, startTime: null } });
    await page.until(`document.querySelector('#overview .state').textContent === 'Stopped'`);
    const problem = 'MprAdminServerGetInfo failed: ERROR_ACCESS_DENIED (5): run it as an administrator';
    server.set({ service: null, up: false, connections: null, sources: { server: { up: false, problem } } });
    await page.until(`document.querySelector('#overview .state').textContent === 'Access denied'`);
    expect(await page.texts('#overview .problems li')).toEqual([`server: ${problem}`]);
    expect(await page.flaws()).toEqual([]);
    expect(page.complaints).toEqual([]);
  });

  test('counts connections that are not listed', async () => {
    const server = new Server();
    server.set({ connections: 1234, hiddenConnections: 1233 }, [sessionOf()]);
    const page = await look((await serve(server)).url);
    await page.until(SHOWS_ROWS);
    expect(await page.text('#count')).toBe('1 connection; 1,233 more are not listed one by one');
    expect(await page.text('#overview')).toContain('1,233 not listed');
  });

  test('gets lists of more than one page of the API', async () => {
    const server = new Server();
    server.set(
      { connections: 25_000 },
      Array.from({ length: 25_000 }, (_, i) => sessionOf({ connection: i.toString(16).padStart(16, '0') })),
    );
    const page = await look((await serve(server)).url);
    await page.until(`document.querySelector('#count')?.textContent === '25,000 connections'`, 30_000);
    expect(await page.of(COUNT_OF_ROWS)).toBeLessThan(60);
  });
});
