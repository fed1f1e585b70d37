/** The landing page of a simulated office after an hour, in this process: as it would be if the hour had passed. */
import { connectionObjects, interfaceObjects, statusObject } from '../../src/metrics/api-data.ts';
import { atOnce } from '../../src/model/slices.ts';
import { nameOfCode } from '../../src/native/codes.ts';
import { SimulatedExporter } from '../metrics/simulated-exporter.ts';
import type { RunningApp } from '../server/running-app.ts';
import { startApp } from '../server/running-app.ts';

const MINUTES = 60;
const POLL_MS = 30_000;
/** Nobody answered then: the chart has a gap. */
const AWAY: readonly [from: number, to: number] = [21, 24];

export async function startOffice(): Promise<RunningApp> {
  const exporter = new SimulatedExporter({ scenario: 'office' });
  const { clock, poller, simulator, views } = exporter;
  // The page reckons with the date of the answers, which is that of this machine.
  clock.jumpWall(Date.now() / 1000 - MINUTES * 60 - clock.wallSeconds());
  for (let polls = 0; polls < (MINUTES * 60_000) / POLL_MS; polls += 1) {
    const minute = (polls * POLL_MS) / 60_000;
    simulator.state = minute >= AWAY[0] && minute < AWAY[1] ? 'denied' : 'running';
    await poller.collect(1000);
    await clock.advance(POLL_MS);
  }
  await poller.collect(1000);
  const view = () => views.peek(poller.snapshot(), clock.monotonicMs());
  return startApp({
    clock,
    api: {
      status: () => {
        const { service, ...rest } = statusObject(view());
        return {
          version: '1.0.0',
          simulated: true,
          replayed: false,
          service: service ?? null,
          ...rest,
          history: poller.history(),
        };
      },
      connections: () => atOnce(connectionObjects(view())),
      interfaces: () => interfaceObjects(view(), nameOfCode),
    },
  });
}
