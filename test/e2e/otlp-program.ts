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
  /** More of the configuration file than that connections are pushed one by one. */
  readonly config?: string;
  /** Other variables. */
  readonly environment?: Readonly<Record<string, string>>;
  readonly flags?: readonly string[];
}

/** For a receiver of metrics, or a test of them: traces and logs stay off. */
export const METRICS_ONLY = { OTEL_TRACES_EXPORTER: 'none', OTEL_LOGS_EXPORTER: 'none' };

/** Pushes the connections one by one too. Resolves when it serves. */
export async function startOtlpProgram(options: OtlpProgramOptions): Promise<Program> {
  const {
    endpoint,
    scenario = 'office',
    intervalMs = 1000,
    environment = {},
    flags = [],
    config = '',
  } = options;
  const folder = mkdtempSync(join(tmpdir(), 'rras-exporter-otlp-config-'));
  const file = join(folder, 'rras-exporter.yml');
  writeFileSync(file, `otlp: {connections: true}\n${config}`);
  try {
    return await Program.serveWith(
      {
        OTEL_EXPORTER_OTLP_ENDPOINT: endpoint,
        OTEL_METRIC_EXPORT_INTERVAL: String(intervalMs),
        ...environment,
      },
      `--config.file=${file}`,
      `--rras.simulate=${scenario}`,
      ...flags,
    );
  } finally {
    // It has read its configuration by now.
    rmSync(folder, { recursive: true, force: true });
  }
}
