/**
 * Preloaded into the exporter (--import): watches the delays of its event loop and tells them over a Unix socket. Who
 * connects gets those since the last time, as one line of JSON. It is no TypeScript so that nothing has to strip it there.
 */
import { createServer } from 'node:net';
import { monitorEventLoopDelay } from 'node:perf_hooks';

const NANOSECONDS_PER_MS = 1e6;
const socket = process.env['RRAS_EXPORTER_BENCH_SOCKET'];

// The native host inherits the environment; it is a child and has a channel to its parent.
if (socket !== undefined && process.send === undefined) {
  const delays = monitorEventLoopDelay({ resolution: 1 });
  delays.enable();
  createServer((connection) => {
    const figures = {
      maxMs: delays.max / NANOSECONDS_PER_MS,
      p99Ms: delays.percentile(99) / NANOSECONDS_PER_MS,
    };
    delays.reset();
    connection.on('error', () => connection.destroy());
    connection.end(`${JSON.stringify(figures)}\n`);
  })
    .listen(socket)
    .unref();
}
