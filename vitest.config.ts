import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    setupFiles: ['test/setup.ts'],
    pool: 'forks',
    // Two cores: Wine and Prometheus tests time real processes, so files run one at a time next to the unit tests.
    maxWorkers: 2,
    testTimeout: 20_000,
    hookTimeout: 120_000,
    // .ci/run counts from this report.
    reporters: process.env['CI'] === undefined ? ['default'] : ['default', 'json'],
    outputFile: { json: '.cache/vitest-report.json' },
  },
});
