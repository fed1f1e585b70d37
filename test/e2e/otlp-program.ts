/** The program with OTLP switched on by its environment, as its users switch it on. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Program } from './program.ts';

export interface OtlpProgramOptions {
  /** OTEL_EXPORTER_OTLP_ENDPOINT */
  readonly endpoint: string;
  readonly scenario?: string;
  /** OTEL_METRIC_EXPORT_INTERVAL */
  readonly intervalMs?: number;
  /** Other variables. */
  readonly environment?: Readonly<Record<string, string>>;
  readonly flags?: readonly string[];
}

/** Pushes the connections one by one too. Resolves when it serves. */
export async function startOtlpProgram(options: OtlpProgramOptions): Promise<Program> {
  const { endpoint, scenario = 'office', intervalMs = 1000, environment = {}, flags = [] } = options;
  const folder = mkdtempSync(join(tmpdir(), 'rras-exporter-otlp-config-'));
  const config = join(folder, 'rras-exporter.yml');
  writeFileSync(config, 'otlp:\n  connections: true\n');
  try {
    return await Program.serveWith(
      {
        OTEL_EXPORTER_OTLP_ENDPOINT: endpoint,
        OTEL_METRIC_EXPORT_INTERVAL: String(intervalMs),
        ...environment,
      },
      `--config.file=${config}`,
      `--rras.simulate=${scenario}`,
      ...flags,
    );
  } finally {
    // It has read its configuration by now.
    rmSync(folder, { recursive: true, force: true });
  }
}
