// Prints "N passed, N failed, N skipped" from vitest's JSON report. Usage: summary.mjs REPORT EXIT-CODE-OF-THE-TESTS.
// Ends with 0 only if tests ran, all passed, none was skipped and the steps before and around them succeeded.
import { readFileSync } from 'node:fs';
import process from 'node:process';

const [path, exitCode] = process.argv.slice(2);
const counts = { passed: 0, failed: 0, skipped: 0 };

try {
  for (const file of JSON.parse(readFileSync(path, 'utf8')).testResults) {
    for (const { status } of file.assertionResults) {
      counts[status === 'passed' || status === 'failed' ? status : 'skipped'] += 1;
    }
    // A file that cannot be loaded has no tests that could fail.
    if (file.status === 'failed' && !file.assertionResults.some(({ status }) => status === 'failed')) {
      counts.failed += 1;
    }
  }
} catch (error) {
  process.stdout.write(`no tests ran: ${error.message}\n`);
}
// What failed besides the tests: the build, the linter, an error outside of every test.
if (exitCode !== '0' && counts.failed === 0) counts.failed = 1;

process.stdout.write(`${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped\n`);
process.exitCode = counts.passed > 0 && counts.failed === 0 && counts.skipped === 0 ? 0 : 1;
