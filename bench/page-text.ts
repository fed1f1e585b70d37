/** Reads the samples of a page in the text format, as a peer of the encoder wants them. */

export interface Sample {
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

export interface SampleFamily {
  /** With the suffix of a histogram's samples, if it is one. */
  readonly name: string;
  readonly labelNames: readonly string[];
  readonly samples: readonly Sample[];
}

const NEWLINE = 0x0a;
const HASH = 0x23;

/** Lines that are neither a comment nor empty. */
export function countSamples(chunks: readonly Uint8Array[]): number {
  let count = 0;
  let atStart = true;
  let isSample = false;
  for (const chunk of chunks) {
    for (let at = 0; at < chunk.length;) {
      if (atStart) isSample = chunk[at] !== HASH && chunk[at] !== NEWLINE;
      const end = chunk.indexOf(NEWLINE, at);
      atStart = end !== -1;
      if (!atStart) break;
      if (isSample) count += 1;
      at = end + 1;
    }
  }
  return count;
}

export const totalBytes = (chunks: readonly Uint8Array[]): number =>
  chunks.reduce((sum, chunk) => sum + chunk.length, 0);

const LABEL = /([a-zA-Z_]\w*)="((?:[^"\\]|\\.)*)"/g;
const UNESCAPED: Readonly<Record<string, string>> = { '\\\\': '\\', '\\"': '"', '\\n': '\n' };

export function parseFamilies(chunks: readonly Uint8Array[]): SampleFamily[] {
  const families = new Map<string, { labelNames: Set<string>; samples: Sample[] }>();
  for (const line of Buffer.concat(chunks).toString('utf8').split('\n')) {
    if (line === '' || line.startsWith('#')) continue;
    const brace = line.indexOf('{');
    const end = line.lastIndexOf(' ');
    const name = line.slice(0, brace === -1 ? end : brace);
    const labels: Record<string, string> = {};
    if (brace !== -1) {
      for (const [, label = '', value = ''] of line.slice(brace + 1, end).matchAll(LABEL)) {
        labels[label] = value.includes('\\')
          ? value.replace(/\\./g, (escape) => UNESCAPED[escape] ?? escape)
          : value;
      }
    }
    let family = families.get(name);
    if (!family) families.set(name, (family = { labelNames: new Set(), samples: [] }));
    for (const label of Object.keys(labels)) family.labelNames.add(label);
    family.samples.push({ labels, value: Number(line.slice(end + 1)) });
  }
  return [...families].map(([name, { labelNames, samples }]) => ({
    name,
    labelNames: [...labelNames],
    samples,
  }));
}

/** The value of one series of a page; undefined if it is not there. */
export function sampleValue(page: string, series: string): number | undefined {
  const from = page.startsWith(`${series} `) ? 0 : page.indexOf(`\n${series} `) + 1;
  if (from === 0 && !page.startsWith(`${series} `)) return undefined;
  return Number(page.slice(from + series.length + 1, page.indexOf('\n', from)));
}
