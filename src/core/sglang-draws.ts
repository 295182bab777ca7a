import { MersenneTwister } from './mersenne-twister.ts';

/** What the lengths of a run of sglang.bench_serving are drawn from. */
export interface SglangLengths {
  readonly seed: number;
  /** Longest input and output, in tokens. */
  readonly isl: number;
  readonly osl: number;
  /** 0 to 1: lengths are uniform from this share of the longest up. */
  readonly rangeRatio: number;
  readonly count: number;
  readonly leastOsl: 0 | 1;
}

/**
 * The draws of sglang.bench_serving from numpy's global stream, in its order: all input lengths, all output lengths,
 * then the offsets of `random-ids`, then the gaps between arrivals. A ratio of 1 draws nothing for the lengths.
 */
export class SglangDraws {
  readonly isl: readonly number[];
  readonly osl: readonly number[];
  readonly #twister: MersenneTwister;
  readonly #count: number;

  constructor({ seed, isl, osl, rangeRatio, count, leastOsl }: SglangLengths) {
    this.#twister = MersenneTwister.seeded(seed);
    this.#count = count;
    // Python's int() cuts the float product.
    this.isl = this.#integers(Math.max(Math.trunc(isl * rangeRatio), 1), isl + 1);
    this.osl = this.#integers(Math.max(Math.trunc(osl * rangeRatio), leastOsl), osl + 1);
  }

  /** Where each prompt of `random-ids` starts in the vocabulary. */
  offsets(vocabularySize: number): number[] {
    return this.#integers(0, vocabularySize);
  }

  /** The next gap between two arrivals in ms, exponential with the mean 1,000 / `ratePerS`. */
  gapMs(ratePerS: number): number {
    return (-Math.log(1 - this.#twister.double()) * 1_000) / ratePerS;
  }

  /** `count` uniform whole numbers in [low, high): numpy's masked rejection; a range of one value draws nothing. */
  #integers(low: number, high: number): number[] {
    const range = high - 1 - low;
    const mask = range === 0 ? 0 : 2 ** (32 - Math.clz32(range)) - 1;
    return Array.from({ length: this.#count }, () => {
      if (range === 0) return low;
      for (;;) {
        const drawn = (this.#twister.uint32() & mask) >>> 0;
        if (drawn <= range) return low + drawn;
      }
    });
  }
}

/** The items as CPython's `random.seed(seed)` and `random.shuffle` leave them. */
export function pythonShuffled<T>(items: readonly T[], seed: number): T[] {
  const twister = MersenneTwister.seededAsPython(seed);
  const shuffled = [...items];
  for (let i = shuffled.length - 1; i > 0; i--) {
    const bits = 32 - Math.clz32(i + 1);
    let drawn = twister.uint32() >>> (32 - bits);
    while (drawn > i) drawn = twister.uint32() >>> (32 - bits);
    [shuffled[i], shuffled[drawn]] = [shuffled[drawn]!, shuffled[i]!];
  }
  return shuffled;
}
