/**
 * Entry of the child process that holds the DLL: reads sources and acts on request, and answers over IPC. It ends
 * itself at once when the parent is gone, even while a native call hangs.
 */
import { enumerate } from './collector/enumerate.ts';
import type { HostConfig, HostMessage, HostRequest } from './native/host-messages.ts';
import { toMessage, toMessages } from './native/host-messages.ts';
import { Host } from './native/host.ts';
import { clockOf, openApi } from './native/open-api.ts';
import { systemClock } from './runtime/clock.ts';

/**
 * What is sent to all processes of the exporter at once, as by Ctrl+C or a service manager, is for the parent: it ends
 * this one when the scrape that is under way has been answered.
 */
for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGBREAK']) process.on(name, () => undefined);

/** SIGKILL ends the process even when a thread of it is stuck in the DLL; process.exit would wait for that call. */
const die = (): void => void process.kill(process.pid, 'SIGKILL');

async function main(): Promise<void> {
  process.on('disconnect', die);
  /** A parent that is gone is no error to tell of: `disconnect` ends this. */
  const send = (message: HostMessage): void =>
    void process.send?.(message, undefined, undefined, () => undefined);
  /** Done when it is written out: all identities of a large server in the pipe at once would take their memory twice. */
  const sent = (message: HostMessage): Promise<void> =>
    new Promise((done) => void process.send?.(message, undefined, undefined, () => done()));
  const onChange = (): void => send({ type: 'changed' });
  const config = JSON.parse(process.argv[2] ?? '') as HostConfig;
  let host: Host;
  try {
    const clock = await clockOf(config, systemClock);
    const api = await openApi(config, clock);
    host = new Host({ api, enumerate, clock, server: config.server, onChange });
    send({ type: 'ready', missing: api.missing });
  } catch (error) {
    send({ type: 'fatal', message: error instanceof Error ? error.message : String(error) });
    return;
  }
  // The parent sends the next request only after the answer to the last one.
  process.on('message', (request: HostRequest) => {
    const { id } = request;
    if ('act' in request) {
      void host.act(request.act).then((result) => send({ type: 'acted', id, result }), die);
    } else {
      void host
        .read(request.source, (part) => sent(toMessage(id, part)))
        .then((outcome) => {
          for (const message of toMessages(id, outcome)) send(message);
        }, die);
    }
  });
}

await main();
