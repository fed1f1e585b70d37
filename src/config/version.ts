/** The program's version, as package.json says: one place for --version, the build info metric and the log. */
import { readFileSync } from 'node:fs';

export function packageVersion(): string {
  // The same distance from src/config and from dist/config.
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8');
  const parsed: unknown = JSON.parse(text);
  if (typeof parsed === 'object' && parsed !== null && 'version' in parsed) {
    if (typeof parsed.version === 'string') return parsed.version;
  }
  return 'unknown';
}

export interface VersionFacts {
  readonly version: string;
  /** With the leading v, as process.version has it. */
  readonly nodeVersion: string;
  readonly platform: string;
  readonly arch: string;
}

/** What --version prints, in the shape of the Prometheus exporters. */
export function versionText(facts: VersionFacts): string {
  return [
    `rras-exporter, version ${facts.version} (${facts.platform}/${facts.arch})`,
    `  node version:     ${facts.nodeVersion}`,
    `  platform:         ${facts.platform}/${facts.arch}`,
    '',
  ].join('\n');
}
