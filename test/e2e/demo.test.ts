/** `npm run demo:remediation` to its end, with the real peers. */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { beforeAll, expect, test } from 'vitest';
import { requireTool } from '../tools/require-tool.ts';
import { buildIfStale, NODE } from './program.ts';

const PROJECT = fileURLToPath(new URL('../../', import.meta.url));

requireTool('prometheus-alertmanager')('the demo of remediation', () => {
  beforeAll(buildIfStale);

  test('repairs a link, repairs another at the second attempt, and calls a person for the third', async () => {
    const { stdout } = await promisify(execFile)(NODE, [join(PROJECT, 'tools/demo-remediation.ts')], {
      cwd: PROJECT,
      timeout: 240_000,
    });
    expect(stdout).toMatch(/Site-Lisboa/);
    expect(stdout).toMatch(/Branch Łódź/);
    expect(stdout).toMatch(/person is needed/i);
    expect(stdout).toMatch(/audit log is whole/);
    expect(stdout).not.toMatch(/rrasx_/);
  }, 260_000);
});
