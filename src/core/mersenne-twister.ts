const WORDS = 624;
const SHIFT = 397;

/**
 * MT19937 (Matsumoto and Nishimura, 1998), seeded as numpy's legacy generator or as CPython's `random` does. Only for
 * repeating what those draw; our own choices come from `Random`.
 */
export class MersenneTwister {
  readonly #state: Uint32Array;
  #next = WORDS;

  private constructor(state: Uint32Array) {
    this.#state = state;
  }

  /** As `numpy.random.seed(seed)`: the plain rule. `seed` is a whole number in [0, 2³²). */
  static seeded(seed: number): MersenneTwister {
    return new MersenneTwister(plainState(seed));
  }

  /** As CPython's `random.seed(seed)`: by the array of the seed's 32-bit words. `seed` is a whole number from 0 to 2⁵³. */
  static seededAsPython(seed: number): MersenneTwister {
    const high = Math.floor(seed / 2 ** 32);
    const key = high === 0 ? [seed >>> 0] : [seed >>> 0, high >>> 0];
    const state = plainState(19_650_218);
    let i = 1;
    let j = 0;
    for (let k = Math.max(WORDS, key.length); k > 0; k--) {
      state[i] = ((state[i]! ^ Math.imul(mixed(state[i - 1]!), 1_664_525)) + key[j]! + j) >>> 0;
      i++;
      j = (j + 1) % key.length;
      if (i === WORDS) {
        state[0] = state[WORDS - 1]!;
        i = 1;
      }
    }
    for (let k = WORDS - 1; k > 0; k--) {
      state[i] = ((state[i]! ^ Math.imul(mixed(state[i - 1]!), 1_566_083_941)) - i) >>> 0;
      i++;
      if (i === WORDS) {
        state[0] = state[WORDS - 1]!;
        i = 1;
      }
    }
    state[0] = 0x80_00_00_00;
    return new MersenneTwister(state);
  }

  /** The next whole number in [0, 2³²). */
  uint32(): number {
    if (this.#next === WORDS) this.#twist();
    let y = this.#state[this.#next++]!;
    y ^= y >>> 11;
    y ^= (y << 7) & 0x9d_2c_56_80;
    y ^= (y << 15) & 0xef_c6_00_00;
    return (y ^ (y >>> 18)) >>> 0;
  }

  /** The next float in [0, 1) with 53 random bits, of two words. */
  double(): number {
    const high = this.uint32() >>> 5;
    const low = this.uint32() >>> 6;
    return (high * 67_108_864 + low) / 9_007_199_254_740_992;
  }

  #twist(): void {
    const state = this.#state;
    for (let k = 0; k < WORDS; k++) {
      const y = (state[k]! & 0x80_00_00_00) | (state[(k + 1) % WORDS]! & 0x7f_ff_ff_ff);
      state[k] = state[(k + SHIFT) % WORDS]! ^ (y >>> 1) ^ (y & 1 ? 0x99_08_b0_df : 0);
    }
    this.#next = 0;
  }
}

function plainState(seed: number): Uint32Array {
  const state = new Uint32Array(WORDS);
  state[0] = seed;
  for (let i = 1; i < WORDS; i++) state[i] = Math.imul(1_812_433_253, mixed(state[i - 1]!)) + i;
  return state;
}

function mixed(word: number): number {
  return word ^ (word >>> 30);
}
