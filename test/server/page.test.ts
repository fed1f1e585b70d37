/** The landing page as the server writes it: what a browser without script shows of it. */
import { createHash } from 'node:crypto';
import { Script } from 'node:vm';
import { afterEach, describe, expect, test } from 'vitest';
import type { ApiInterface, ApiStatus } from '../../src/server/api.ts';
import type { LandingFacts } from '../../src/server/page/landing-page.ts';
import { landingPage } from '../../src/server/page/landing-page.ts';
import { readPageScript } from '../../src/server/page/script.ts';
import { linkOf, NOW, statusOf, tunnelOf } from './page-data.ts';
import type { RunningApp } from './running-app.ts';
import { startApp } from './running-app.ts';

let app: RunningApp | undefined;
afterEach(async () => {
  await app?.close();
  app = undefined;
});

const facts = (status: Partial<ApiStatus> = {}, interfaces: readonly ApiInterface[] = []): LandingFacts => ({
  telemetryPath: '/metrics',
  status: statusOf(status),
  interfaces,
  now: NOW + 65,
  servers: [],
  server: null,
});
const pageOf = (status?: Partial<ApiStatus>, interfaces?: readonly ApiInterface[]): string =>
  landingPage(facts(status, interfaces)).html;

/** Without what is the same on every page. */
const bodyOf = (html: string): string => /<body>([\s\S]*)<script/.exec(html)![1]!;
/** What is read of it, tags left out. */
const textsOf = (html: string): string[] =>
  html
    .replaceAll(/<[^>]+>/g, '\n')
    .split('\n')
    .filter((text) => text.trim() !== '');
const rowsOf = (html: string, caption: string): string[][] => {
  const table = html.slice(html.indexOf(`>${caption}</th>`));
  const body = /<tbody>(.*?)<\/tbody>/s.exec(table)![1]!;
  return [...body.matchAll(/<tr>(.*?)<\/tr>/g)].map(([, row]) =>
    [...row!.matchAll(/<t[hd][^>]*>(.*?)<\/t[hd]>/g)].map(([, cell]) => cell!.replaceAll(/<[^>]+>/g, '')),
  );
};

describe('the page', () => {
  test('tells of the server in figures', () => {
    const html = pageOf(
      {
        connections: 12_345,
        hiddenConnections: 345,
        tunnels: { ikev2: tunnelOf(12_000, 12_000, 20_000), sstp: tunnelOf(345, 345, 400) },
      },
      [linkOf(), linkOf({ interface: 'x', state: 'unreachable' })],
    );
    const tiles = [...html.matchAll(/<dt>(.*?)<\/dt>(.*?)<\/div>/g)].map(([, name, rest]) => [
      name,
      ...textsOf(rest!),
    ]);
    expect(tiles).toEqual([
      ['Server', 'Running', 'the RemoteAccess service runs'],
      ['Connections', '12,345', '345 not listed'],
      ['Ports in use', '12,345 of 20,400'],
      ['Interfaces connected', '1 of 2', '1 unreachable'],
      ['Up for', '3 d 0 h', 'since 2026-11-18 00:00:00 UTC'],
      ['Read last', '1 min ago', '2026-11-21 00:00:00 UTC'],
    ]);
  });

  const denied = { up: false, problem: 'MprAdminServerGetInfo failed: ERROR_ACCESS_DENIED (5)' };
  test.each<[what: string, parts: Partial<ApiStatus>, tone: string, word: string, detail: string]>([
    ['runs', {}, 'good', 'Running', 'the RemoteAccess service runs'],
    [
      'was not read yet',
      { snapshotTime: 0, service: null },
      'calm',
      'Not read yet',
      'the server was not read yet',
    ],
    ['cannot be read', { service: null }, 'bad', 'Cannot be read', 'the server cannot be read'],
    [
      'may not be read',
      { service: null, snapshotTime: 0, sources: { server: denied, ports: denied } },
      'bad',
      'Access denied',
      'the exporter may not read the server; it needs administrator rights on it',
    ],
    [
      'is stopped',
      { service: { running: false, lanOnly: false, startTime: null } },
      'bad',
      'Stopped',
      'the RemoteAccess service does not run',
    ],
    [
      'routes the LAN only',
      { service: { running: true, lanOnly: true, startTime: null } },
      'good',
      'LAN routing only',
      'running, as a LAN router only',
    ],
    [
      'is read in part',
      { up: false },
      'warn',
      'Running',
      'the RemoteAccess service runs; not every source can be read',
    ],
  ])('says that a server %s', (_, parts, tone, word, detail) => {
    const html = pageOf(parts);
    expect(html).toContain(`<dd><span class="state ${tone}">${word}</span></dd>`);
    expect(html).toContain(`<dd class="quiet">${detail}</dd>`);
  });

  test('shows problems of sources', () => {
    const sources = { server: { up: true, problem: null }, ports: { up: false, problem: 'it broke' } };
    expect(pageOf({ sources })).toContain('<ul class="problems"><li>ports: it broke</li></ul>');
    expect(pageOf()).not.toContain('class="problems"');
  });

  test('tells what was not read from what is not there', () => {
    const { sources } = statusOf();
    const withoutInterfaces = Object.entries(sources).filter(([source]) => source !== 'interfaces');
    const stale = { up: false, service: null, connections: null };
    const notRead = 'The interfaces were not read.';
    const none = 'No interfaces are known.';
    const textOf = (parts: Partial<ApiStatus>): string =>
      [notRead, none].filter((text) => bodyOf(pageOf(parts)).includes(text)).join();
    expect(textOf({})).toBe(none);
    expect(textOf({ up: false, sources: { ...sources, ports: { up: false, problem: 'it broke' } } })).toBe(
      none,
    );
    expect(textOf({ sources: Object.fromEntries(withoutInterfaces) })).toBe(notRead);
    expect(textOf({ up: false, sources: { ...sources, interfaces: { up: false, problem: 'x' } } })).toBe(
      notRead,
    );
    // What was read is older than it may be: nobody has tried since.
    expect(textOf(stale)).toBe(notRead);
    const byScript = 'The list of connections is made by the script of this page.';
    expect(bodyOf(pageOf(stale))).toContain('The connections were not read.');
    expect(bodyOf(pageOf(stale))).not.toContain(byScript);
    expect(bodyOf(pageOf())).not.toContain('The connections were not read.');
    expect(bodyOf(pageOf())).toContain(byScript);
  });

  test('says if its data is made up, or of another time', () => {
    expect(pageOf({ simulated: true })).toContain('The server is simulated: none of its data is real.');
    expect(pageOf({ replayed: true })).toContain('The server is a recording: none of its data is of now.');
    expect(bodyOf(pageOf())).not.toMatch(/simulated|recording/);
  });

  test('lists interfaces, those in trouble first, with reason, last error and the time since a change', () => {
    const html = pageOf({}, [
      linkOf({ interface: 'A', state: 'connected', stateChangeTime: NOW }),
      linkOf({ interface: 'B', state: 'disconnected' }),
      linkOf({
        interface: 'C',
        state: 'unreachable',
        unreachableReasons: ['connection_failure', 'no_device'],
        lastError: 868,
        lastErrorName: 'ERROR_IKE_NAME_RESOLUTION',
        stateChangeTime: NOW - 7200,
      }),
      linkOf({ interface: 'D', state: 'unreachable', enabled: false, lastError: 4711 }),
      linkOf({ interface: 'E', state: 'connecting', interfaceType: 'dedicated' }),
    ]);
    expect(rowsOf(html, 'Interface')).toEqual([
      [
        'C',
        'full router',
        'unreachable',
        'connection failure, no device, ERROR_IKE_NAME_RESOLUTION',
        '2 h 1 min',
      ],
      ['E', 'dedicated', 'connecting', '', '–'],
      ['A', 'full router', 'connected', '', '1 min'],
      ['B', 'full router', 'disconnected', '', '–'],
      ['D', 'full router', 'unreachable, disabled', 'error 4711', '–'],
    ]);
  });

  test('lists no more interfaces than can be looked at, and counts the others', () => {
    const html = pageOf(
      {},
      Array.from({ length: 1234 }, (_, i) => linkOf({ interface: `link ${i}` })),
    );
    expect(rowsOf(html, 'Interface')).toHaveLength(500);
    expect(html).toContain('734 more are not listed.');
  });

  test('escapes whatever a server says: names of interfaces, reasons, problems, the version', () => {
    const hostile = `</title></script><script>alert(1)</script><img src=x onerror="alert('2')">&amp;`;
    const html = landingPage({
      ...facts(
        {
          version: hostile,
          sources: { connections: { up: false, problem: hostile } },
          tunnels: { ikev2: tunnelOf(1, 1, 1), [hostile]: tunnelOf(1, 1, 1) },
          history: { stepSeconds: 60, points: [{ time: NOW, connections: { [hostile]: 1 } }] },
        },
        [linkOf({ interface: hostile, lastErrorName: hostile, lastError: 1, unreachableReasons: [hostile] })],
      ),
      telemetryPath: `/${hostile}`,
      servers: [hostile, 'b'],
      server: hostile,
    }).html;
    const ours = /<script type="module">[\s\S]*?<\/script>/;
    expect(html.replace(ours, '')).not.toMatch(/<(?:script|img)/i);
    expect(html).toContain('&lt;/title&gt;&lt;/script&gt;&lt;script&gt;');
    expect(html).toContain('onerror=&quot;alert(&#39;2&#39;)&quot;&gt;&amp;amp;');
    // Only what the page itself is made of stands between angle brackets.
    const tags = new Set([...html.replace(ours, '').matchAll(/<\/?([a-z!1-9]+)/gi)].map(([, tag]) => tag!));
    const own =
      '!doctype html head meta title style body header footer main nav section h1 h2 p a div dl dt dd ul li span strong time table thead tbody tr th td svg path line';
    expect([...tags].filter((tag) => !own.split(' ').includes(tag))).toEqual([]);
  });

  test('has a policy that allows its own style and script by hash, its own API, and nothing else', async () => {
    app = await startApp();
    const { status, headers, text } = await app.get('/');
    expect(status).toBe(200);
    expect(headers['content-type']).toBe('text/html; charset=utf-8');
    expect(headers['cache-control']).toBe('no-store');
    const sha256 = (tag: string): string => {
      const [, content] = new RegExp(`<${tag}[^>]*>([\\s\\S]*?)</${tag}>`).exec(text)!;
      return createHash('sha256').update(content!).digest('base64');
    };
    expect(String(headers['content-security-policy']).split('; ').sort()).toEqual(
      [
        `default-src 'none'`,
        `script-src 'sha256-${sha256('script')}'`,
        `style-src 'sha256-${sha256('style')}'`,
        `connect-src 'self'`,
        `base-uri 'none'`,
        `form-action 'none'`,
        `frame-ancestors 'none'`,
        `require-trusted-types-for 'script'`,
        `trusted-types 'none'`,
      ].sort(),
    );
    expect(bodyOf(text)).not.toMatch(/\s(?:style|src|on\w+)=|<link|https?:/);
    expect(/<style>([\s\S]*?)<\/style>/.exec(text)![1]).not.toMatch(/url\(|@import/);
  });

  test('links to the routes by relative addresses, so that it may stand below a prefix', () => {
    const { html } = landingPage({ ...facts(), telemetryPath: '/c:/metrics' });
    const links = [...html.matchAll(/href="([^"]*)"/g)].map(([, link]) => link);
    expect(links).toEqual([
      './c:/metrics',
      './api/v1/status',
      './api/v1/connections',
      './api/v1/interfaces',
      './api/v1/openapi.json',
      './-/healthy',
      './-/ready',
    ]);
  });

  test('of one server among several links to the others and asks for its own data', () => {
    const { html } = landingPage({ ...facts(), servers: ['vpn 1', 'vpn&2'], server: 'vpn&2' });
    expect(html).toContain(
      '<li><a href="./">Local server</a></li><li><a href="./?server=vpn%201">vpn 1</a></li>',
    );
    expect(html).toContain('<li><a href="./?server=vpn%262" aria-current="page">vpn&amp;2</a></li>');
    expect(html).toContain('data-query="?server=vpn%262"');
    expect(html).toContain('href="./api/v1/status?server=vpn%262"');
    expect(html).toContain('href="./probe?target=vpn%262"');
    expect(html).toContain('<title>RRAS Exporter: vpn&amp;2</title>');
    expect(pageOf()).not.toContain('aria-label="Servers"');
  });
});

describe('connections by tunnel', () => {
  const history = {
    stepSeconds: 60,
    points: [
      { time: NOW - 3000, connections: { ikev2: 4, sstp: 2 } },
      { time: NOW - 2940, connections: { ikev2: 6, sstp: 0 } },
      { time: NOW, connections: { ikev2: 5, sstp: 1 } },
    ],
  };
  const tunnels = { ikev2: tunnelOf(5, 5, 128), pptp: tunnelOf(0, 0, 0), sstp: tunnelOf(1, null, null) };

  test('stand in a table: now, lowest and highest, and the ports', () => {
    expect(rowsOf(pageOf({ tunnels, history }), 'Tunnel')).toEqual([
      ['IKEv2', '5', '4', '6', '5 of 128'],
      ['PPTP', '0', '0', '0', '0 of 0'],
      ['SSTP', '1', '0', '2', 'not read'],
    ]);
  });

  test('are drawn as steps one on the other, with a gap where nothing was read', () => {
    const html = pageOf({ tunnels, history });
    const paths = [...html.matchAll(/<path class="([^"]+)" d="([^"]+)"/g)].map(([, name, d]) => [name, d]);
    // The right edge is 65 seconds after NOW; the scale ends at 6, so that 6 are the whole height.
    expect(paths).toEqual([
      [
        'tunnel-ikev2',
        'M535,33.33L595,33.33L595,0.00L655,0.00L655,100.00L595,100.00L595,100.00L535,100.00Z' +
          'M3535,16.67L3595,16.67L3595,100.00L3535,100.00Z',
      ],
      [
        'tunnel-sstp',
        'M535,0.00L595,0.00L595,0.00L655,0.00L655,0.00L595,0.00L595,33.33L535,33.33Z' +
          'M3535,0.00L3595,0.00L3595,16.67L3535,16.67Z',
      ],
    ]);
    expect(html).toContain('Gaps are times at which the connections could not be read.');
  });

  test('are told in words to who cannot see the chart', () => {
    expect(pageOf({ tunnels, history })).toContain(
      'role="img" aria-label="Connections by tunnel over the last hour. Now, and within the hour: ' +
        'IKEv2 5, between 4 and 6; SSTP 1, between 0 and 2."',
    );
  });

  test('that were never read are no empty chart', () => {
    expect(pageOf({ tunnels })).toContain('No connections could be read within the last hour.');
    expect(pageOf()).toContain('Nothing is known of tunnels on this server.');
  });
});

describe('the script', () => {
  const script = readPageScript();

  test('is one module that imports nothing, and cannot end its element', () => {
    expect(script).not.toMatch(/^\s*import\b/m);
    expect(script).not.toMatch(/<\/script|<!--|sourceMappingURL/i);
    expect(() => new Script(script.replaceAll(/^export /gm, ''))).not.toThrow();
  });

  test('has no way from a text to HTML or code', () => {
    expect(script).not.toMatch(
      /innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function|DOMParser|setHTML/,
    );
  });

  test('only reads', () => {
    expect(script).not.toMatch(/method:|POST|\/admin\//);
  });
});
