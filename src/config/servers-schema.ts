/** The section `servers` of the configuration file: the servers that the exporter reads beside the one of the flags. */
import { z } from 'zod';
import { OPTIONS, type ServerConfig } from './options.ts';
import { expectation, formOfRow, hintInFile, schemaOf } from './schema.ts';
import { about, list, type Report, section, setting } from './setting.ts';

const MAX_SERVERS = 256;
/** It stands in URLs and labels, and in the name of a folder, for which Windows keeps some names to itself. */
const NAME =
  /^(?!(?:[Cc][Oo][Nn]|[Pp][Rr][Nn]|[Aa][Uu][Xx]|[Nn][Uu][Ll]|[Cc][Oo][Mm]\d|[Ll][Pp][Tt]\d)(?:\.|$))[A-Za-z0-9](?:[A-Za-z0-9._-]{0,126}[A-Za-z0-9])?$/;

const ORIGINS = ['server', 'simulate', 'replay'] as const;

/** As the flag of that name takes it; null if it is not there. */
function origin(flag: 'rras.server' | 'rras.simulate' | 'rras.replay') {
  const row = OPTIONS.find((each) => each.flag === flag)!;
  return setting<unknown>(expectation(row), schemaOf(row), {
    fallback: null,
    hint: (value) => hintInFile(row, value),
    form: formOfRow(row),
  });
}

const entry = section(
  {
    name: about(
      'What /probe?target= and ?server= call it.',
      setting(
        'a name of letters, digits, dots, dashes and underscores, and none of a device such as con or nul',
        z.string().regex(NAME),
      ),
    ),
    server: about('Read this server.', origin('rras.server')),
    simulate: about('Simulate one.', origin('rras.simulate')),
    replay: about('Play a recording back.', origin('rras.replay')),
  },
  (values, report) => {
    const given = ORIGINS.filter((key) => values[key] !== null);
    if (given.length === 1) return;
    if (given.length === 0) report([], `needs one of ${ORIGINS.join(', ')}`, `write server: ${values.name}`);
    else report([given[1]!], `excludes ${given[0]}`, 'leave all but one of them out');
  },
  { oneOf: ORIGINS.map((key) => ({ required: [key] })) },
);

const entries = about(
  'The servers that are read beside the one of the flags, each at /probe?target=NAME. A reload adds, changes and removes them.',
  list('servers', entry, []),
);

export const serversSection = entries.transform((found, context): readonly ServerConfig[] => {
  const report: Report = (path, message, hint = '') =>
    context.addIssue({ code: 'custom', message, path: [...path], params: { hint } });
  if (found.length > MAX_SERVERS) {
    report(
      [MAX_SERVERS],
      `more than ${MAX_SERVERS} servers`,
      'run several exporters, each with some of them',
    );
  }
  // Also names that a folder of Windows could not tell apart.
  const names = new Set<string>();
  for (const [index, { name }] of found.entries()) {
    if (names.has(name.toLowerCase())) report([index, 'name'], 'is the name of another server');
    names.add(name.toLowerCase());
  }
  return found.map(({ name, ...rras }) => ({ name, rras: rras as ServerConfig['rras'] }));
});
