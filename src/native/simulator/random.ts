/**
 * Seeded randomness by integer mixing, so that any draw can be made again from its coordinates. Nothing here keeps
 * state between calls except a `Dice`, which is thrown away after one subject is drawn.
 */

const finish = (h: number): number => {
  h = Math.imul(h ^ (h >>> 16), 0x85eb_ca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2_ae35);
  return (h ^ (h >>> 16)) >>> 0;
};

const absorb = (h: number, word: number): number => {
  word = Math.imul(word, 0xcc9e_2d51);
  h ^= Math.imul((word << 15) | (word >>> 17), 0x1b87_3593);
  return (Math.imul((h << 13) | (h >>> 19), 5) + 0xe654_6b64) | 0;
};

/** 32 uniform bits for the coordinates (seed, stream, a, b); each is taken modulo 2^32, negative ones included. */
export function hash(seed: number, stream: number, a: number, b: number): number {
  return finish(absorb(absorb(absorb(absorb(0x9747_b28c, seed), stream), a), b) ^ 16);
}

/** The same as a fraction: 0 <= x < 1. */
export function fraction(seed: number, stream: number, a: number, b: number): number {
  return hash(seed, stream, a, b) / 0x1_0000_0000;
}

/** Keeps the draws of different subjects apart. */
export const STREAM = {
  period: 1,
  phase: 2,
  start: 3,
  online: 4,
  tunnel: 5,
  person: 6,
  traffic: 7,
  facts: 8,
  endpoint: 9,
  link: 10,
  port: 11,
} as const;

/** A short run of draws from one seed (splitmix). */
export class Dice {
  #state: number;

  constructor(seed: number) {
    this.#state = seed;
  }

  /** 32 uniform bits. */
  bits(): number {
    this.#state = (this.#state + 0x9e37_79b9) | 0;
    return finish(this.#state);
  }

  /** 0 <= x < 1. */
  unit(): number {
    return this.bits() / 0x1_0000_0000;
  }

  chance(probability: number): boolean {
    return this.unit() < probability;
  }

  /** An integer, both ends included. */
  integer(min: number, max: number): number {
    return min + Math.floor(this.unit() * (max - min + 1));
  }

  between(min: number, max: number): number {
    return min + this.unit() * (max - min);
  }

  /** Evenly over the orders of magnitude, as rates and durations are. */
  logBetween(min: number, max: number): number {
    return min * Math.exp(this.unit() * Math.log(max / min));
  }

  pick<T>(items: readonly [T, ...T[]]): T {
    return items[Math.floor(this.unit() * items.length)] ?? items[0];
  }

  /** One key of `weights`, as often as its weight says. */
  weighted<K extends string>(weights: Readonly<Record<K, number>>): K {
    const entries = Object.entries(weights) as [K, number][];
    let left = this.unit() * entries.reduce((sum, [, weight]) => sum + weight, 0);
    for (const [key, weight] of entries) {
      left -= weight;
      if (left < 0) return key;
    }
    return entries[0]![0];
  }
}
