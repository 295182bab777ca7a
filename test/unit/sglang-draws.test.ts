import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { ARRIVALS, findArrival } from '../../src/arrivals/index.ts';
import { arrivalOf } from '../../src/core/arrival.ts';
import { MersenneTwister } from '../../src/core/mersenne-twister.ts';
import { pythonShuffled, SglangDraws } from '../../src/core/sglang-draws.ts';

interface Vector {
  readonly seed: number;
  readonly np_input_lens_1024_ratio0_n8: readonly number[];
  readonly 'np_output_lens_1024_ratio0_low0_n8 (2025: low bound 0)': readonly number[];
  readonly np_offsets_vocab128000_n8: readonly number[];
  readonly np_exponential_rate4_n4: readonly number[];
  readonly ratio1_isl4000_osl1000_then_offsets_n4: Readonly<Record<'input' | 'output' | 'offsets', number[]>>;
  readonly 'np_range08_1000_n6 (low=int(1000*0.8))': readonly number[];
  readonly py_shuffle_range12: readonly number[];
  readonly py_shuffle_range1000_first8: readonly number[];
}

interface Bounds {
  readonly full: number;
  readonly ratio: number;
  readonly low_in: number;
  readonly low_out_2025: number;
}

const golden = JSON.parse(
  readFileSync(new URL('../fixtures/golden-sglang.json', import.meta.url), 'utf8'),
) as { vectors: { V9_rng: { vectors: readonly Vector[]; range_ratio_bounds: readonly Bounds[] } } };
const { vectors, range_ratio_bounds } = golden.vectors.V9_rng;

const range = (length: number): number[] => Array.from({ length }, (_, i) => i);
const draws = (seed: number, isl: number, osl: number, rangeRatio: number, count: number): SglangDraws =>
  new SglangDraws({ seed, isl, osl, rangeRatio, count, leastOsl: 0 });

describe('MT19937', () => {
  it('gives the first words that its authors publish for the plain seed 5489', () => {
    const twister = MersenneTwister.seeded(5_489);
    expect([twister.uint32(), twister.uint32(), twister.uint32()]).toEqual([
      3_499_211_612, 581_869_302, 3_890_346_734,
    ]);
  });

  it('gives the 10,000th word that the C++ standard asks of it', () => {
    const twister = MersenneTwister.seeded(5_489);
    for (let i = 1; i < 10_000; i++) twister.uint32();
    expect(twister.uint32()).toBe(4_123_659_995);
  });

  it('is seeded by an array as CPython is: random.seed(s); getrandbits(32)', () => {
    expect(MersenneTwister.seededAsPython(1).uint32()).toBe(577_090_037);
    expect(MersenneTwister.seededAsPython(2 ** 32 + 5).uint32()).toBe(675_479_763);
  });
});

describe.each(vectors)('golden vector V9, seed $seed', (vector) => {
  const { seed } = vector;

  it('draws input lengths', () => {
    expect(draws(seed, 1_024, 1_024, 0, 8).isl).toEqual(vector.np_input_lens_1024_ratio0_n8);
    const range08 = vector['np_range08_1000_n6 (low=int(1000*0.8))'];
    expect(draws(seed, 1_000, 1_000, 0.8, 6).isl).toEqual(range08);
  });

  it('draws outputs behind inputs, from 0 in the older eras', () => {
    const fresh = vector['np_output_lens_1024_ratio0_low0_n8 (2025: low bound 0)'];
    expect(draws(seed, 1_024, 1_024, 0, 8).osl).toEqual(fresh);
  });

  it('draws offsets behind the lengths and gaps behind the offsets, all from one stream', () => {
    const all = draws(seed, 1_024, 1_024, 0, 8);
    expect(all.offsets(128_000)).toEqual(vector.np_offsets_vocab128000_n8);
    for (const gapS of vector.np_exponential_rate4_n4) expect(all.gapMs(4) / 1_000).toBeCloseTo(gapS, 6);
  });

  it('draws no lengths where the ratio is 1', () => {
    const whole = draws(seed, 4_000, 1_000, 1, 4);
    const { input, output, offsets } = vector.ratio1_isl4000_osl1000_then_offsets_n4;
    expect({ input: whole.isl, output: whole.osl, offsets: whole.offsets(128_000) }).toEqual({
      input,
      output,
      offsets,
    });
  });

  it('shuffles', () => {
    expect(pythonShuffled(range(12), seed)).toEqual(vector.py_shuffle_range12);
    expect(pythonShuffled(range(1_000), seed).slice(0, 8)).toEqual(vector.py_shuffle_range1000_first8);
  });
});

describe('the lowest length', () => {
  it.each(range_ratio_bounds)('of $full at $ratio', ({ full, ratio, low_in, low_out_2025 }) => {
    const { isl, osl } = draws(3, full, full, ratio, 4_000);
    const floor = (values: readonly number[], low: number): void => {
      expect(Math.min(...values)).toBeGreaterThanOrEqual(low);
      // 4,000 draws reach the lowest tenth of the range.
      expect(Math.min(...values)).toBeLessThanOrEqual(low + (full - low) / 10);
    };
    floor(isl, low_in);
    floor(osl, low_out_2025);
    expect(Math.max(...isl)).toBeLessThanOrEqual(full);
  });

  it('is 1 for outputs of the newest era', () => {
    const { osl } = new SglangDraws({ seed: 1, isl: 3, osl: 3, rangeRatio: 0, count: 200, leastOsl: 1 });
    expect(new Set(osl)).toEqual(new Set([1, 2, 3]));
  });
});

describe('the arrivals of a finite rate', () => {
  const point = {
    index: 0,
    concurrency: 3,
    isl: 1_024,
    osl: 1_024,
    requests: 5,
    durationMs: null,
    warmup: 0,
  };
  const prompts = {
    tokenizer: 'embedded',
    islCounts: 'content',
    rangeRatio: 0,
    text: 'words',
    seed: 1,
    salt: 'x',
    sglang: { path: 'sharegpt.json', count: 5, leastOsl: 0, lessSpecialTokens: false },
  } as const;

  it("are sums of the gaps that numpy draws behind five inputs' and five outputs' lengths", () => {
    const order = { point: { ...point, ratePerS: 4 }, arrival: {}, prompts };
    const arrival = arrivalOf(findArrival('sglang-poisson'), order);
    expect(arrival.slots).toBe(3);
    const offsetsMs = [0, 126.28575314707763, 249.00504297959412, 525.9783767437552, 1211.402373656541];
    for (const [index, offsetMs] of offsetsMs.entries())
      expect(arrival.offsetsMs![index]).toBeCloseTo(offsetMs, 9);
  });

  it('are no choice of --arrival', () => {
    expect(ARRIVALS.map(({ name }) => name)).not.toContain('sglang-poisson');
  });
});
