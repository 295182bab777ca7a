import { describe, expect, it } from 'vitest';
import { exactStats, Pooled, quantile } from '../../src/core/distribution.ts';
import { sglangGoodput } from '../../src/exporters/sglang/goodput.ts';
import { sglangMetrics, sglangSamples } from '../../src/exporters/sglang/metrics.ts';
import { numpyPercentile, numpyStatistics } from '../../src/exporters/sglang/numpy-statistics.ts';
import { peaks, truePeaks } from '../../src/exporters/sglang/peaks.ts';
import { type Expected, expectNumbers, goldenRow, goldenVector } from '../fixtures/sglang.ts';

const VECTORS: [name: string, expected: string, tokenItl: boolean][] = [
  ['V1', 'expected_sglang', false],
  ['V2', 'expected_sglang', false],
  ['V3', 'expected_sglang_plain_itl', false],
  ['V3', 'expected_sglang_retokenized_itl', true],
  ['V4', 'expected_sglang', false],
  ['V6', 'expected_sglang', false],
];

describe('the metrics of sglang.bench_serving', () => {
  it.each(VECTORS)('are those of golden vector %s, %s', (name, key, tokenItl) => {
    const vector = goldenVector(name);
    const expected = vector[key] as Expected;
    const rows = vector.requests.map(goldenRow);
    expectNumbers(sglangMetrics(rows, vector.duration_s, { tokenItl })!, expected);
    const samples = sglangSamples(rows, tokenItl);
    expect({
      ttft: samples.ttftS.length,
      tpot: samples.tpotS.length,
      itl: samples.itlS.length,
      e2e: samples.e2eS.length,
    }).toEqual(expected['_counts']);
    const { chunks, requests } = peaks(rows);
    expect([...chunks]).toEqual(expected['_tokens_per_second_buckets']);
    expect([...requests]).toEqual(expected['_concurrent_requests_buckets']);
    expect(rows.map((row) => row.outputLen)).toEqual(expected['output_lens']);
  });

  it('have every key that a golden vector names', () => {
    const { requests, duration_s, expected_sglang } = goldenVector('V1');
    const keys = Object.keys(sglangMetrics(requests.map(goldenRow), duration_s, { tokenItl: false })!);
    const named = Object.keys(expected_sglang as Expected);
    expect(keys.toSorted()).toEqual(
      named.filter((key) => !key.startsWith('_') && key !== 'output_lens').toSorted(),
    );
  });

  it('are none when no request succeeded', () => {
    const { requests, duration_s } = goldenVector('V5');
    expect(sglangMetrics(requests.map(goldenRow), duration_s, { tokenItl: false })).toBeNull();
    expect(sglangMetrics([], 1, { tokenItl: true })).toBeNull();
    expect(peaks([])).toMatchObject({ outputPerS: 0, concurrent: 0 });
  });

  it('count the gap of a chunk without tokens once, and so one whose tokens nobody counted', () => {
    const row = { ...goldenRow(goldenVector('V6').requests[0]!), itlS: [0.1, 0.2, 0.3] };
    const gaps = (chunkTokens: number[] | null): number[] => [
      ...sglangSamples([{ ...row, chunkTokens }], true).itlS,
    ];
    expect(gaps([2, 0, 1])).toEqual([0.05, 0.05, 0.2, 0.3]);
    expect(gaps([2])).toEqual([0.05, 0.05, 0.2, 0.3]);
    expect(gaps(null)).toEqual([0.1, 0.2, 0.3]);
  });

  it('take millions of gaps', () => {
    const itlS = Array.from({ length: 1_000 }, (_, i) => (i % 10) / 1_000);
    const rows = Array.from({ length: 1_000 }, (_, i) => ({
      ...goldenRow(goldenVector1),
      startS: i / 100,
      latencyS: 4.6,
      outputLen: 1_001,
      itlS,
    }));
    const metrics = sglangMetrics(rows, 20, { tokenItl: false })!;
    expect(metrics).toMatchObject({ completed: 1_000, total_output_tokens: 1_001_000, max_itl_ms: 9 });
    expect(metrics.mean_itl_ms).toBeCloseTo(4.5, 9);
    expect(metrics.median_itl_ms).toBeCloseTo(4.5, 9);
  });
});

describe('the peaks', () => {
  const row = {
    ...goldenRow(goldenVector('V1').requests[0]!),
    success: true,
    latencyS: 0.5,
    ttftS: 0.25,
    itlS: [0.125, 0.125],
    outputLen: 6,
    chunkTokens: [2, 3],
  };
  // One after the other in the same second: the buckets of the original see two at once.
  const inTurn = [row, { ...row, startS: 0.5 }];

  it('count a chunk for a token and a second for an instant, as the original does', () => {
    expect(peaks(inTurn)).toMatchObject({ outputPerS: 5, concurrent: 2 });
  });

  it('are true on demand: tokens by their second, requests by the instant', () => {
    // 6 of the first and 1 + 2 of the second within [0, 1); the last 3 arrive at 1.0.
    expect(truePeaks(inTurn)).toEqual({ outputPerS: 9, concurrent: 1 });
    expect(truePeaks([row, { ...row, startS: 0.49 }, { ...row, startS: 0.1 }])).toMatchObject({
      concurrent: 3,
    });
    expect(truePeaks([{ ...row, chunkTokens: null }])).toEqual({ outputPerS: 6, concurrent: 1 });
    expect(sglangMetrics(inTurn, 2, { tokenItl: false, truePeaks: true })).toMatchObject({
      max_output_tokens_per_s: 9,
      max_concurrent_requests: 1,
    });
  });
});

const goldenVector1 = goldenVector('V1').requests[0]!;

interface Primitive {
  readonly values: readonly number[];
  readonly mean: number;
  readonly median: number;
  readonly std_population: number;
  readonly [percentile: string]: number | readonly number[];
}

describe('primitives of statistics', () => {
  const primitives = goldenVector('V8') as unknown as Primitive[];
  const percentiles = (one: Primitive, kind: string): [number, number][] =>
    Object.entries(one).flatMap(([key, value]) => {
      const [, p] = key.match(`^p([0-9_]+)_${kind}$`) ?? [];
      return p === undefined ? [] : [[Number(p.replace('_', '.')), value as number]];
    });

  it.each(primitives)('are those of numpy: $values', (one) => {
    const values = Float64Array.from(one.values);
    const sorted = values.toSorted();
    const linear = percentiles(one, 'linear');
    expect(linear).toHaveLength(8);
    for (const [p, expected] of linear) {
      expect(numpyPercentile(sorted, p)).toBeCloseTo(expected, 5);
      expect(quantile(sorted, p / 100)).toBeCloseTo(expected, 5);
    }
    for (const stats of [numpyStatistics(values), exactStats(values)]) {
      expect(stats.mean).toBeCloseTo(one.mean, 5);
      expect(stats.std).toBeCloseTo(one.std_population, 5);
    }
    expect(numpyStatistics(values).median).toBeCloseTo(one.median, 5);
    expect(exactStats(values).p50).toBeCloseTo(one.median, 5);
  });

  it.each(primitives)('by inverse CDF are those of pooled values: $values', (one) => {
    const inverse = percentiles(one, 'inverse_cdf');
    expect(inverse.map(([p]) => p)).toEqual([50, 90, 99]);
    const pooled = (scale: number, p: number): number => {
      const pool = new Pooled(scale);
      for (const value of one.values) pool.add(value * scale);
      return pool.stats()[`p${p}` as 'p50' | 'p90' | 'p99']!;
    };
    for (const [p, expected] of inverse) {
      // A histogram of three digits keeps whole numbers below 2,048 as they are: here tenths of at most 100.
      expect(Math.abs(pooled(10, p) - expected)).toBeLessThanOrEqual(1e-6);
      // Larger ones it rounds to a bucket; less than 0.1 % is what it promises, and more than the vectors' 1e-6.
      expect(Math.abs(pooled(1e6, p) - expected)).toBeLessThanOrEqual(expected * 0.001);
    }
  });

  it('of nothing are those of a lone zero', () => {
    expect(numpyStatistics(new Float64Array())).toEqual(numpyStatistics(new Float64Array(1)));
  });
});

describe('goodput', () => {
  const good = { ...goldenRow(goldenVector1), outputLen: 11, ttftS: 0.1, latencyS: 0.6 };

  it('counts a request that meets all its limits, the limit itself included', () => {
    const rows = [
      good,
      { ...good, ttftS: 0.2 },
      { ...good, outputLen: 1, latencyS: 30 },
      { ...good, success: false },
    ];
    expect(sglangGoodput(rows, { ttft: 100, tpot: 50 }, 2)).toEqual({
      goodput_slos_ms: { ttft: 100, tpot: 50 },
      request_goodput: 1,
      slo_attainment: 0.5,
      slo_attainment_by_metric: { ttft: 0.5, tpot: 0.75 },
    });
    expect(sglangGoodput(rows, { e2el: 599 }, 2).slo_attainment).toBe(0);
  });

  it('of nothing is nothing', () => {
    expect(sglangGoodput([], { ttft: 1 }, 1)).toMatchObject({ request_goodput: 0, slo_attainment: 0 });
  });
});
