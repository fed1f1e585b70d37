/**
 * The command `record`: reads the server as the exporter does and writes its raw answers, scrubbed, to a file. It runs
 * without a child process: a server that hangs it costs a recording, not a service.
 */
import { writeSync } from 'node:fs';
import { enumerate } from './collector/enumerate.ts';
import type { Options } from './config/options.ts';
import { packageVersion } from './config/version.ts';
import { UsageError } from './model/errors.ts';
import type { Logger } from './model/logger.ts';
import { hostConfig } from './native/host-config.ts';
import { Host } from './native/host.ts';
import { openApi } from './native/open-api.ts';
import { Recorder } from './native/recorder.ts';
import { RecordingWriter } from './native/recording.ts';
import { Scrubber } from './native/scrub.ts';
import { systemClock } from './runtime/clock.ts';
import { createLogger } from './runtime/logger.ts';
import { installShutdown } from './runtime/shutdown.ts';

const POLL_MS = 5000;
/** A poll under way when a signal comes is finished if it ends within this; a large one takes seconds. */
const FINISH_MS = 4400;

/** Rejects, with one line that says what to do, if it cannot start or the file cannot be written. */
export async function record(file: string, options: Options): Promise<void> {
  if (options.rras.replay !== null) {
    throw new UsageError('--rras.replay cannot be recorded again', 'leave it out');
  }
  const clock = systemClock;
  const logger = createLogger(options.log, clock);
  const config = await hostConfig(options.rras, process.platform, {
    wallSeconds: clock.wallSeconds(),
    name: null,
  });
  const api = await openApi(config, clock);
  const writer = await RecordingWriter.create(file, {
    startedAt: clock.wallSeconds(),
    exporterVersion: packageVersion(),
    remote: config.server !== null,
    missing: [...api.missing],
  });
  const recorder = new Recorder({ api, writer, scrubber: new Scrubber(), clock });
  const host = new Host({ api: recorder, enumerate, clock, server: config.server });
  const shutdown = installShutdown(process, clock, logger);
  const { durationMs } = options.record;
  const endMs = durationMs === 0 ? Infinity : clock.monotonicMs() + durationMs;

  /** At the start, every 5 s, and once more at the end. */
  async function poll(): Promise<void> {
    for (let dueMs = clock.monotonicMs(); ; dueMs = Math.max(dueMs + POLL_MS, clock.monotonicMs())) {
      dueMs = Math.min(dueMs, endMs);
      try {
        await clock.sleep(dueMs - clock.monotonicMs(), shutdown.signal);
      } catch {
        return;
      }
      recorder.beginRound();
      for (const source of options.collector.sources) {
        const outcome = await host.read(source);
        if (writer.error) throw writer.error;
        if (outcome.status === 'failed') logger.warn(outcome.failure.message, { source });
      }
      await writer.flush();
      if (dueMs >= endMs || shutdown.signal.aborted) return;
    }
  }

  const done = poll().then(async () => {
    await host.close();
    await writer.close();
    report(file, recorder, writer, logger);
  });
  shutdown.add({
    name: 'recording',
    withinMs: FINISH_MS,
    // Its failure ends the program by the caller's hand.
    close: () => done.catch(() => new Promise<void>(() => undefined)),
    // A call that hangs in the DLL holds process.exit up; what was flushed stays.
    force: () => void process.kill(process.pid, 'SIGKILL'),
  });
  await done;
  await shutdown.begin('the recording is complete');
}

function report(file: string, recorder: Recorder, writer: RecordingWriter, logger: Logger): void {
  const { rounds, calls, unreadable } = recorder;
  if (unreadable > 0) {
    logger.warn('answers were left out, as their records are not as the layout says', { unreadable });
  }
  // Synchronous: the exit that follows would cut off what a pipe has not taken yet.
  writeSync(
    process.stdout.fd,
    `recorded ${rounds} polls, ${calls} calls, ${writer.fileBytes} bytes: ${file}\n`,
  );
}
