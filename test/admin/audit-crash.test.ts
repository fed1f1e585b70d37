/**
 * D1, D2, D3: the log under crashes and faults at every step: no entry that was acknowledged is ever lost, and what is
 * read back is a gapless part of what was handed in, in order.
 */
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, describe, expect, test } from 'vitest';
import type { AuditLine } from '../../src/admin/audit-file.ts';
import { verifyAudit } from '../../src/admin/audit-file.ts';
import type { AuditLog } from '../../src/admin/audit-log.ts';
import { openAuditLog } from '../../src/admin/audit-log.ts';
import type { Logger } from '../../src/model/logger.ts';
import { FakeClock } from '../doubles/fake-clock.ts';
import type { DiskOperation, Loss } from '../doubles/fake-disk.ts';
import { DISK_OPERATIONS, FakeDisk } from '../doubles/fake-disk.ts';

/** A failure is run again with RRAS_TEST_SEED set to what is printed. */
const SEED = Number(process.env['RRAS_TEST_SEED'] ?? Math.floor(Math.random() * 2 ** 31));
const FOLDER = join('/', 'audit');
const ignore = (): undefined => undefined;
const logger: Logger = { debug: ignore, info: ignore, warn: ignore, error: ignore };

/** Numbers in a row from a seed. */
function dice(seed: number): (bound: number) => number {
  let state = seed >>> 0;
  return (bound) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * bound);
  };
}

/** How often each thing was met: a property that never meets one shows nothing of it. */
const met: Record<string, number> = {};
const meet = (what: string): void => {
  met[what] = (met[what] ?? 0) + 1;
};

/** What was handed to the log, and what it said. */
class Ledger {
  #next = 0;
  readonly #acknowledged = new Map<string, number>();

  /** Resolves when the log has said yes or no. */
  async append(log: AuditLog, length = 0): Promise<boolean> {
    const actionId = String(this.#next);
    this.#next += 1;
    try {
      const { sequence } = await log.append({ kind: 'intent', actionId, reason: 'x'.repeat(length) });
      this.#acknowledged.set(actionId, sequence);
      return true;
    } catch {
      return false;
    }
  }

  check(lines: readonly AuditLine[]): void {
    const first = lines[0]?.seq ?? 1;
    expect(lines.map(({ seq }) => seq)).toEqual(lines.map((_, index) => first + index));
    const entries = lines.filter(({ kind }) => kind === 'intent');
    const ids = entries.map(({ actionId }) => Number(actionId));
    expect(ids).toEqual([...new Set(ids)].sort((a, b) => a - b));
    expect(ids.every((id) => id < this.#next)).toBe(true);
    const read = new Map(entries.map(({ actionId, seq }) => [actionId, seq]));
    for (const [actionId, sequence] of this.#acknowledged) {
      // Older ones went with their files.
      if (lines.length === 0 || sequence >= first) expect(read.get(actionId), actionId).toBe(sequence);
    }
  }
}

const LIMITS = { maxFileBytes: 1000, maxFiles: 3 };

/** Opens the log as a new start does; checks what is there, that it takes an entry, and that all of it verifies. */
async function restart(disk: FakeDisk, ledger: Ledger): Promise<AuditLog> {
  const found = await verifyAudit(FOLDER, disk).catch(() => null);
  if (found?.ok === false) {
    expect(found.fault.problem).toBe('torn');
    expect(found.fault.file).toBe(disk.paths.at(-1));
    meet('torn tail');
  }
  const lines: AuditLine[] = [];
  const log = await openAuditLog({
    folder: FOLDER,
    clock: new FakeClock(),
    logger,
    disk,
    onLine: (line) => lines.push(line),
    ...LIMITS,
  });
  ledger.check(lines);
  const intents = lines.filter(({ kind }) => kind === 'intent');
  expect(log.openIntents().map(({ seq }) => seq)).toEqual(intents.map(({ seq }) => seq));
  expect(log.failure).toBeNull();
  expect(await verifyAudit(FOLDER, disk)).toMatchObject({ ok: true, head: log.head });
  return log;
}

describe('D1 D2 a crash at each step', () => {
  const run = async (disk: FakeDisk, ledger: Ledger): Promise<void> => {
    const log = await openAuditLog({ folder: FOLDER, clock: new FakeClock(), logger, disk, ...LIMITS });
    await ledger.append(log);
    await Promise.all([ledger.append(log), ledger.append(log), ledger.append(log)]);
    await ledger.append(log);
    await ledger.append(log);
    await log.close();
  };

  test('D1 D2 of a log that rotates loses no entry that was acknowledged', { timeout: 120_000 }, async () => {
    const whole = new FakeDisk();
    await run(whole, new Ledger());
    expect(whole.events.some((event) => event.startsWith('unlink'))).toBe(true);
    for (let step = 1; step <= whole.steps; step += 1) {
      const disk = new FakeDisk();
      disk.diesAtStep = step;
      const ledger = new Ledger();
      await run(disk, ledger).catch(ignore);
      const losses: Loss[] = ['unsynced', { below: dice(SEED + step) }, 'nothing'];
      for (const loss of losses) {
        const after = disk.reboot(loss);
        const log = await restart(after, ledger).catch((error: unknown) => {
          throw new Error(`step ${step}, seed ${SEED}, loss ${JSON.stringify(loss)}`, { cause: error });
        });
        if (loss === 'nothing') {
          // What the process left to the system, and the next start built on.
          expect(await ledger.append(log)).toBe(true);
          await restart(after.reboot('unsynced'), ledger);
        }
      }
    }
  });
});

type Act =
  | { readonly act: 'append'; readonly lengths: readonly number[] }
  | {
      readonly act: 'crash';
      readonly steps: number;
      readonly loss: number;
      readonly lengths: readonly number[];
    }
  | { readonly act: 'restart' }
  | { readonly act: 'fail'; readonly operation: DiskOperation; readonly times: number }
  | { readonly act: 'full'; readonly freeBytes: number }
  | { readonly act: 'heal' };

describe('random lives of a log', () => {
  const lengths = fc.array(fc.nat(600), { minLength: 1, maxLength: 5 });
  const act: fc.Arbitrary<Act> = fc.oneof(
    { weight: 5, arbitrary: fc.record({ act: fc.constant('append' as const), lengths }) },
    {
      weight: 2,
      arbitrary: fc.record({
        act: fc.constant('crash' as const),
        steps: fc.nat(2500),
        loss: fc.nat(),
        lengths,
      }),
    },
    { weight: 1, arbitrary: fc.constant({ act: 'restart' as const }) },
    {
      weight: 2,
      arbitrary: fc.record({
        act: fc.constant('fail' as const),
        operation: fc.constantFrom(...DISK_OPERATIONS),
        times: fc.integer({ min: 1, max: 3 }),
      }),
    },
    { weight: 1, arbitrary: fc.record({ act: fc.constant('full' as const), freeBytes: fc.nat(1500) }) },
    { weight: 1, arbitrary: fc.constant({ act: 'heal' as const }) },
  );

  test(
    'D1 D2 D3 property: nothing acknowledged is lost, and the log always goes on',
    { timeout: 120_000 },
    async () => {
      await fc.assert(
        fc.asyncProperty(fc.array(act, { minLength: 1, maxLength: 25 }), async (acts) => {
          let disk = new FakeDisk();
          const ledger = new Ledger();
          let log = await restart(disk, ledger);
          const reboot = async (loss: Loss): Promise<void> => {
            disk = disk.reboot(loss);
            log = await restart(disk, ledger);
          };
          for (const step of acts) {
            switch (step.act) {
              case 'append': {
                const said = await Promise.all(step.lengths.map((length) => ledger.append(log, length)));
                for (const yes of said) meet(yes ? 'entry taken' : 'entry refused');
                break;
              }
              case 'crash': {
                disk.diesAtStep = disk.steps + step.steps + 1;
                await Promise.all(step.lengths.map((length) => ledger.append(log, length)));
                meet(disk.isDead ? 'crash while writing' : 'crash in peace');
                const losses: Loss[] = [
                  'nothing',
                  'unsynced',
                  { below: dice(step.loss) },
                  { below: dice(~step.loss) },
                ];
                await reboot(losses[step.loss % losses.length]!);
                break;
              }
              case 'restart':
                await log.close();
                await reboot('nothing');
                break;
              case 'fail':
                disk.fail(step.operation, 'EIO', step.times);
                break;
              case 'full':
                disk.freeBytes = step.freeBytes;
                break;
              case 'heal':
                disk.heal();
            }
          }
          await log.close();
          await reboot('unsynced');
          expect(await ledger.append(log)).toBe(true);
          await log.close();
          expect(disk.paths.length).toBeLessThanOrEqual(LIMITS.maxFiles);
          await reboot('unsynced');
          await log.close();
        }),
        { seed: SEED, numRuns: 400 },
      );
    },
  );

  afterAll(() => {
    for (const what of [
      'torn tail',
      'entry taken',
      'entry refused',
      'crash while writing',
      'crash in peace',
    ]) {
      expect(met[what] ?? 0, what).toBeGreaterThan(20);
    }
  });
});
