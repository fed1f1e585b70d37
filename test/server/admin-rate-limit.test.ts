/** A6: the rate limit of the web configuration is for all who ask, and keeps nobody out who has a token. */
import { afterEach, expect, test } from 'vitest';
import { REASON } from './admin-routes.ts';
import { AdminSites } from './admin-site.ts';

const sites = new AdminSites();
afterEach(() => sites.close());

test('A6 a valid pause works while others have used up the rate limit', async () => {
  const site = await sites.open({ web: () => 'rate_limit: {interval: 1h, burst: 3}\n' });
  const pause = '/api/v1/admin/pause';
  for (let n = 0; n < 10; n += 1) {
    const guess = { headers: { Authorization: 'Bearer wrong' }, json: REASON };
    expect((await site.post(pause, guess)).status).toBe(401);
  }
  const scrapes: number[] = [];
  for (let n = 0; n < 5; n += 1) scrapes.push((await site.get('/metrics')).status);
  expect(scrapes).toEqual([200, 200, 200, 429, 429]);
  expect((await site.post(pause, { as: 'all', json: REASON })).status).toBe(200);
});
