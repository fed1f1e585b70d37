/**
 * A peer of the encoder written in Go: the Pushgateway of Debian, which renders what was pushed to it with
 * client_golang. It gets the exporter's page and serves it with the label `job` added to every sample.
 */
import { accessSync, constants, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { freePort, timedRequest } from './http-client.ts';
import { countSamples } from './page-text.ts';
import { end, start } from './started-processes.ts';
import { inRounds, type Rounds, Times } from './timing.ts';

const PROGRAM = 'prometheus-pushgateway';
const START_WITHIN_MS = 10_000;
const LOOK_EVERY_MS = 20;

/** Says what to install if the program is not there. */
export function findPushgateway(): string {
  for (const folder of (process.env['PATH'] ?? '').split(delimiter)) {
    const file = join(folder, PROGRAM);
    try {
      accessSync(file, constants.X_OK);
      return file;
    } catch {
      // Not here: look on.
    }
  }
  throw new Error(
    `${PROGRAM} is not installed, and the page is compared with it: install the Debian package ${PROGRAM}`,
  );
}

export interface PushgatewayTimes {
  /** Milliseconds to the last byte, medians. */
  readonly plainMs: number;
  readonly gzipMs: number;
  /** What it served: its own metrics come on top of the page's. */
  readonly samples: number;
}

export async function timePushgateway(
  program: string,
  page: readonly Uint8Array[],
  rounds: Rounds,
): Promise<PushgatewayTimes> {
  const folder = mkdtempSync(join(tmpdir(), 'rras-exporter-bench-'));
  const port = await freePort();
  const child = start(program, [`--web.listen-address=127.0.0.1:${port}`, '--log.level=error'], {
    cwd: folder,
    stdio: 'ignore',
  });
  let failed: Error | undefined;
  child.once('error', (error) => (failed = error));
  try {
    const url = `http://127.0.0.1:${port}`;
    const deadline = performance.now() + START_WITHIN_MS;
    for (;;) {
      const ready = await timedRequest(`${url}/-/ready`).then(
        () => true,
        () => false,
      );
      if (ready) break;
      if (failed !== undefined) throw failed;
      if (performance.now() > deadline) throw new Error(`${PROGRAM} did not become ready`);
      await wait(LOOK_EVERY_MS);
    }
    await timedRequest(`${url}/metrics/job/bench`, { method: 'PUT', body: page });
    const plain = new Times();
    const gzip = new Times();
    let samples = 0;
    await inRounds(rounds, async () => {
      const { chunks } = await plain.takeAsync(() => timedRequest(`${url}/metrics`));
      samples = countSamples(chunks);
      await gzip.takeAsync(() => timedRequest(`${url}/metrics`, { gzip: true }));
    });
    if (samples < countSamples(page)) throw new Error(`${PROGRAM} serves less than it was given`);
    return { plainMs: plain.medianMs(rounds.warmUp), gzipMs: gzip.medianMs(rounds.warmUp), samples };
  } finally {
    await end(child);
    rmSync(folder, { recursive: true, force: true });
  }
}
