/** The page is made once for all scrapes that may share it, and anew for those that may not. */
import { gunzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import type { Snapshot } from '../../src/model/snapshot.ts';
import { PageCache } from '../../src/server/pages.ts';
import { CONTENT_TYPES } from '../../src/metrics/exposition.ts';
import { FakeClock } from '../doubles/fake-clock.ts';
import { gather } from './gzip-member.ts';
import { portsOf, snapshotOf, tableOf } from '../metrics/snapshots.ts';

function cache() {
  const clock = new FakeClock();
  const rendered: Snapshot[] = [];
  const pages = new PageCache(
    {
      contentTypes: CONTENT_TYPES,
      render: (snapshot) => {
        rendered.push(snapshot);
        return Promise.resolve([Buffer.from(`page ${rendered.length}\n`), Buffer.from('end\n')]);
      },
    },
    clock,
  );
  const text = async (snapshot: Snapshot): Promise<string> =>
    (await gather((await pages.get(snapshot, 'text')).plain())).toString();
  return { clock, rendered, pages, text };
}

describe('H1 a page', () => {
  test('is shared by scrapes of the same snapshot', async () => {
    const { text, rendered } = cache();
    const snapshot = snapshotOf();
    const texts = await Promise.all([text(snapshot), text({ ...snapshot }), text(snapshot)]);
    expect(new Set(texts)).toEqual(new Set(['page 1\nend\n']));
    expect(rendered.length).toBe(1);
  });

  test('is made anew for a newer snapshot', async () => {
    const { text } = cache();
    expect(await text(snapshotOf())).toBe('page 1\nend\n');
    expect(await text(snapshotOf())).toBe('page 2\nend\n');
  });

  test('is shared for a second at most, as the exporter’s own metrics go on', async () => {
    const { clock, text, rendered } = cache();
    const snapshot = snapshotOf();
    await text(snapshot);
    await clock.advance(1000);
    await text(snapshot);
    expect(rendered.length).toBe(1);
    await clock.advance(1);
    await text(snapshot);
    expect(rendered.length).toBe(2);
  });

  test('H9 is made anew as soon as the same snapshot is too old in any part', async () => {
    const { text, rendered } = cache();
    const connections = tableOf([{}]);
    const whole = snapshotOf({ connections, ports: portsOf({ ikev2: 1 }), interfaces: [] });
    const parts: Partial<Snapshot>[] = [
      {},
      { up: false },
      { connections: undefined },
      { ports: undefined },
      { interfaces: undefined },
      { service: undefined },
    ];
    for (const part of parts) await text({ ...whole, ...part });
    expect(rendered.length).toBe(parts.length);
  });

  test('knows its length, and is compressed once and only when asked', async () => {
    const { pages } = cache();
    const page = await pages.get(snapshotOf(), 'text');
    expect(page.bytes).toBe('page 1\nend\n'.length);
    const [first, second] = await Promise.all([page.gzipped(), page.gzipped()]);
    expect(first).toBe(second);
    expect(gunzipSync(first).toString()).toBe('page 1\nend\n');
  });
});
