/** The HTTP side of the exporter on a free port, of 127.0.0.1 if not said, over any source of snapshots and pages. */
import type { ApiData } from '../../src/server/api.ts';
import type { AppOptions } from '../../src/server/app.ts';
import { createApp } from '../../src/server/app.ts';
import type { WebSecurity } from '../../src/server/web-security.ts';
import type { Address, Listener } from '../../src/server/listen.ts';
import { listen } from '../../src/server/listen.ts';
import { PageCache } from '../../src/server/pages.ts';
import type { LogFields, Logger } from '../../src/model/logger.ts';
import type { Snapshot } from '../../src/model/snapshot.ts';
import { FakeClock } from '../doubles/fake-clock.ts';
import { CONTENT_TYPES } from '../../src/metrics/exposition.ts';
import { snapshotOf } from '../metrics/snapshots.ts';
import type { Answer, RequestOptions } from './http-client.ts';
import { fetchPlain } from './http-client.ts';
import { statusOf } from './page-data.ts';

export interface AppParts extends Partial<AppOptions> {
  readonly clock?: FakeClock;
  readonly render?: (snapshot: Snapshot) => Promise<readonly Uint8Array[]>;
  readonly web?: WebSecurity;
  readonly address?: Address;
}

export interface RunningApp {
  readonly url: string;
  readonly listener: Listener;
  readonly clock: FakeClock;
  readonly errors: readonly { readonly message: string; readonly fields: LogFields | undefined }[];
  readonly get: (path: string, options?: RequestOptions) => Promise<Answer>;
  readonly close: () => Promise<void>;
}

const NOTHING: ApiData = {
  status: () => statusOf(),
  connections: () => [],
  interfaces: () => [],
};

export async function startApp(parts: AppParts = {}): Promise<RunningApp> {
  const { clock = new FakeClock(), render, web, address = { host: '127.0.0.1', port: 0 } } = parts;
  const errors: { message: string; fields: LogFields | undefined }[] = [];
  const quiet = (): void => undefined;
  const logger: Logger = {
    debug: quiet,
    info: quiet,
    warn: quiet,
    error: (message, fields) => errors.push({ message, fields }),
  };
  const snapshot = snapshotOf();
  const pages = new PageCache(
    { contentTypes: CONTENT_TYPES, render: render ?? (() => Promise.resolve([Buffer.from('# nothing\n')])) },
    clock,
  );
  const defaults: AppOptions = {
    telemetryPath: '/metrics',
    maxRequests: 0,
    timeoutMs: 10_000,
    clock,
    logger,
    pages,
    collect: () => Promise.resolve(snapshot),
    ready: () => true,
    api: NOTHING,
    openApi: {},
    ...(web && { security: web }),
  };
  // What a test gives as a getter is as it is now.
  const app = createApp(Object.defineProperties(defaults, Object.getOwnPropertyDescriptors(parts)));
  const listener: Listener = await listen(address, app, web);
  return {
    url: listener.url,
    listener,
    clock,
    errors,
    get: (path, options) => fetchPlain(listener.url + path, options),
    close: () => {
      listener.force();
      return listener.close(AbortSignal.abort());
    },
  };
}
