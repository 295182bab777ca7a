/**
 * A seeded random stream: xoshiro128** (Blackman and Vigna, 2018), seeded through SplitMix32 from the
 * parts given. The same parts give the same stream on every machine.
 */
export class Random {
  #a: number;
  #b: number;
  #c: number;
  #d: number;

  /** `parts` are hashed together in order, so `new Random('seed', 1, 2)` differs from `('seed', 12)`. */
  constructor(...parts: readonly (string | number)[]) {
    let state = hash32(parts.join('\u0000'));
    const next = (): number => {
      state = (state + 0x9e3779b9) | 0;
      let z = state;
      z = Math.imul(z ^ (z >>> 16), 0x21f0aaad);
      z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
      return (z ^ (z >>> 15)) >>> 0;
    };
    const second = hash32(`${parts.length}\u0001${parts.join('\u0001')}`);
    this.#a = next();
    this.#b = next() ^ second;
    this.#c = next();
    this.#d = next() ^ Math.imul(second, 0x85ebca6b);
    if ((this.#a | this.#b | this.#c | this.#d) === 0) this.#a = 1;
    for (let i = 0; i < 8; i++) this.uint32();
  }

  /** A uniform integer in [0, 2³²). */
  uint32(): number {
    const b = this.#b;
    const product = Math.imul(b, 5);
    const result = Math.imul((product << 7) | (product >>> 25), 9) >>> 0;
    const t = b << 9;
    this.#c ^= this.#a;
    this.#d ^= b;
    this.#b ^= this.#c;
    this.#a ^= this.#d;
    this.#c ^= t;
    this.#d = (this.#d << 11) | (this.#d >>> 21);
    return result;
  }

  /** A uniform float in [0, 1) with 32 random bits. */
  float(): number {
    return this.uint32() / 4_294_967_296;
  }

  /** A uniform integer in [low, high], both included (Lemire's multiply, bias below 2⁻³² × range). */
  integer(low: number, high: number): number {
    return low + Math.floor(this.float() * (high - low + 1));
  }
}

/** 32-bit FNV-1a over UTF-16 code units, finished with a mix. */
function hash32(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) {
    hash ^= text.charCodeAt(i);
    hash = Math.imul(hash, 0x01000193);
  }
  hash ^= hash >>> 16;
  hash = Math.imul(hash, 0x7feb352d);
  return (hash ^ (hash >>> 15)) | 0;
}
