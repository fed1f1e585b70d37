/**
 * The rules of the rooms (docs/architecture.md), as data: who may import what, and who may touch timers, the
 * environment, the console and signals. rooms.test.ts holds the sources to them and shows that each rule bites.
 */
import type { IForbiddenRuleType } from 'dependency-cruiser';
import type { Linter } from 'eslint';

/** One per command and its parts, and the only files that wire rooms together. */
export const ROOTS = [
  'src/main.ts',
  'src/serve.ts',
  'src/fleet.ts',
  'src/guarded-actions.ts',
  'src/monitored-server.ts',
  'src/native-host.ts',
  'src/audit.ts',
  'src/check-config.ts',
  'src/doctor.ts',
  'src/pseudonym.ts',
  'src/record.ts',
  'src/token.ts',
] as const;

const ROOT_PATH =
  '^src/(main|serve|fleet|guarded-actions|monitored-server|native-host|audit|check-config|doctor|pseudonym|record|token)\\.ts$';

/** Matches the package wherever it is installed, and its bare name where it is not. */
function npmPackage(name: string): string {
  return `(^|node_modules/)${name}(/|$)`;
}

/** The only place from which a package may be imported. */
const HOMES = [
  ['koffi', '^src/native/mprapi\\.ts$'],
  ['express', '^src/server/'],
  ['prom-client', '^src/metrics/'],
  ['@opentelemetry', '^src/metrics/'],
  ['pino', '^src/runtime/'],
] as const;

export const IMPORT_RULES: readonly IForbiddenRuleType[] = [
  {
    name: 'model-imports-nothing',
    severity: 'error',
    from: { path: '^src/model/' },
    to: { pathNot: '^src/model/' },
  },
  {
    // Also holds for a folder that is added later.
    name: 'rooms-know-model-and-not-each-other',
    severity: 'error',
    from: { path: '^src/([^/]+)/' },
    to: { path: '^(src|test|bench|tools)/', pathNot: '^src/(model|$1)/' },
  },
  {
    name: 'only-roots-wire-rooms',
    severity: 'error',
    from: { path: '^src/[^/]+$', pathNot: ROOT_PATH },
    to: { path: '^src/' },
  },
  {
    name: 'sources-do-not-import-tests',
    severity: 'error',
    from: { path: ROOT_PATH },
    to: { path: '^(test|bench|tools)/' },
  },
  ...HOMES.map(([name, home]) => ({
    name: `${name}-has-one-home`,
    severity: 'error' as const,
    from: { path: '^src/', pathNot: home },
    to: { path: npmPackage(name) },
  })),
  {
    name: 'timers-and-process-modules-only-in-runtime',
    severity: 'error',
    from: { path: '^src/', pathNot: `^src/runtime/|${ROOT_PATH}` },
    to: { path: '^(node:)?(timers(/promises)?|process|console)$', dependencyTypes: ['core'] },
  },
  {
    name: 'packages-are-dependencies',
    severity: 'error',
    from: { path: '^src/' },
    to: { dependencyTypes: ['npm-dev', 'npm-no-pkg', 'npm-unknown'] },
  },
  { name: 'no-circles', severity: 'error', from: {}, to: { circular: true } },
];

/**
 * Rooms get a Clock, a Logger and settings handed in; these hold outside runtime/ and the roots. The landing page's script
 * runs in a browser, where nobody hands in anything.
 */
export function needsRuntime(file: string): boolean {
  const isElsewhere = file.startsWith('src/runtime/') || file.startsWith('src/server/page/browser/');
  return !isElsewhere && !ROOTS.some((root) => root === file);
}

const HANDED_IN = 'take the Clock, Logger, settings or AbortSignal that the composition root hands in';

export const RUNTIME_RULES: Linter.RulesRecord = {
  'no-restricted-globals': [
    'error',
    {
      globals: ['setTimeout', 'setInterval', 'setImmediate', 'console'].map((name) => ({
        name,
        message: HANDED_IN,
      })),
      checkGlobalObject: true,
    },
  ],
  'no-restricted-syntax': [
    'error',
    ...[
      // The environment, the standard streams and the end of the process, dotted or in brackets.
      'MemberExpression[object.name="process"][property.name=/^(env|argv|exit|exitCode|kill|abort|stdin|stdout|stderr)$/]',
      'MemberExpression[object.name="process"][property.value=/^(env|argv|exit|exitCode|kill|abort|stdin|stdout|stderr)$/]',
      'VariableDeclarator[init.name="process"] > ObjectPattern',
      // Signals and the like; the messages of a parent process are no signals.
      'CallExpression[callee.object.name="process"][callee.property.name=/^(on|once|addListener|prependListener)$/]:not([arguments.0.value=/^(message|disconnect)$/])',
      // A timer in disguise; and what follows a signal that lives long is kept for as long, some 170 bytes a call (Node 22).
      'MemberExpression[object.name="AbortSignal"][property.name=/^(timeout|any)$/]',
    ].map((selector) => ({ selector, message: HANDED_IN })),
  ],
};
