/** A page of metrics as a test reads it. */
import type { PageRules, ParsedFamily } from './prometheus-parser.ts';
import { parsePage } from './prometheus-parser.ts';

export class Page {
  readonly text: string;
  readonly families: readonly ParsedFamily[];

  constructor(text: string, rules?: PageRules) {
    this.text = text;
    this.families = parsePage(text, rules);
  }

  get names(): string[] {
    return this.families.map(({ name }) => name);
  }

  /** Values of a family by its labels' values, joined by a slash; undefined if the page has no such family. */
  values(name: string): Readonly<Record<string, number>> | undefined {
    const family = this.families.find((each) => each.name === name);
    return (
      family &&
      Object.fromEntries(
        family.samples.map(({ labels, value }) => [Object.values(labels).join('/'), value] as const),
      )
    );
  }

  /** The one value of a family without labels; undefined if there is none. */
  value(name: string): number | undefined {
    return this.values(name)?.[''];
  }
}
