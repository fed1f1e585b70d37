/** Whether the system's clock can be trusted: a plausible date, and no step while it was watched. */
import type { Finding } from '../model/check.ts';
import type { Clock } from '../model/clock.ts';

/** This program is younger than that; a clock before it runs on an empty battery. */
const EARLIEST_SECONDS = Date.UTC(2025, 0) / 1000;
const LATEST_SECONDS = Date.UTC(2100, 0) / 1000;
/** Slewing by NTP changes the rate by at most 1 in 2000. */
const STEP_SECONDS = 1;

/** Begins to watch. What it returns tells what was seen until then. */
export function watchClock(clock: Clock, platform: NodeJS.Platform): () => Finding {
  const startWall = clock.wallSeconds();
  const startMs = clock.monotonicMs();
  const fix = platform === 'win32' ? 'set it by: w32tm /resync' : 'set it by: timedatectl set-ntp true';
  return () => {
    const wall = clock.wallSeconds();
    const watched = (clock.monotonicMs() - startMs) / 1000;
    const step = wall - startWall - watched;
    const now = `${new Date(wall * 1000).toISOString().slice(0, 19)}Z`;
    const facts = { now, watchedSeconds: round(watched), stepSeconds: round(step) };
    if (wall < EARLIEST_SECONDS || wall >= LATEST_SECONDS)
      return { status: 'fail', summary: `the system clock is wrong: ${now}`, fix, facts };
    if (Math.abs(step) > STEP_SECONDS) {
      const summary = `the system clock was set ${Math.abs(step).toFixed(1)} s ${step > 0 ? 'forward' : 'back'} meanwhile: ${now}`;
      return { status: 'warn', summary, fix: `see that one time service alone sets it; ${fix}`, facts };
    }
    return { status: 'ok', summary: now, facts };
  };
}

const round = (seconds: number): number => Math.round(seconds * 1000) / 1000;
