/**
 * Makes docs/config.schema.json, by which editors complete and check a configuration file, out of the schema that the
 * program reads it by; `node tools/config-schema.ts` writes it, a test compares it.
 */
import { writeFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { format } from 'prettier';
import { fileSchema } from '../src/config/file-schema.ts';
import { jsonSchemaOf } from '../src/config/setting.ts';

export const CONFIG_SCHEMA = new URL('../docs/config.schema.json', import.meta.url);

export function configSchema(): Promise<string> {
  const schema = {
    $schema: 'http://json-schema.org/draft-07/schema#',
    title: 'Configuration file of rras-exporter',
    description:
      'Made by `npm run docs`. What takes more than one value, or another file, is left to: rras-exporter check-config FILE.',
    ...jsonSchemaOf(fileSchema),
  };
  return format(JSON.stringify(schema), { parser: 'json', printWidth: 110 });
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  writeFileSync(CONFIG_SCHEMA, await configSchema());
}
