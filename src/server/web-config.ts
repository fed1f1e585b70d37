/** Reads the web configuration and all that it names, as the start of the program and `check-config` do. */
export { verifiedSubjectAltNames } from './client-certificates.ts';
export { openWebSecurity } from './web-security.ts';
import { makeTls, readPems } from './tls-material.ts';
import { readContent } from './watched-file.ts';
import type { WebConfig } from './web-config-schema.ts';
import { parseWebConfig } from './web-config-schema.ts';

/** Rejects with a UsageError of one line that says what is wrong, and where. */
export async function readWebConfig(path: string): Promise<WebConfig> {
  const config = parseWebConfig(await readContent(path), path);
  if (config.tls) makeTls(config.tls, await readPems(config.tls, readContent));
  return config;
}
