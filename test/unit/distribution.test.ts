import fc from 'fast-check';
import { decodeFromCompressedBase64 } from 'hdr-histogram-js';
import { describe, expect, it } from 'vitest';
import {
  encodeHistogram,
  exactStats,
  greatest,
  histogramOf,
  least,
  Pooled,
  quantile,
  thinPercentiles,
} from '../../src/core/distribution.ts';
import golden from '../fixtures/golden-primitives.json' with { type: 'json' };

describe('exact distributions', () => {
  it.each(golden.cases)('agree with numpy: $name', ({ values, mean, std, percentiles }) => {
    const stats = exactStats(values);
    expect(stats.mean).toBeCloseTo(mean, 6);
    expect(stats.std).toBeCloseTo(std, 6);
    const sorted = Float64Array.from(values).sort();
    for (const [p, expected] of percentiles) expect(quantile(sorted, p! / 100)).toBeCloseTo(expected!, 6);
  });

  it('name the percentiles that stand on too few samples', () => {
    expect(thinPercentiles(63)).toEqual(['p90', 'p95', 'p99', 'p999']);
    expect(thinPercentiles(64)).toEqual(['p95', 'p99', 'p999']);
    expect(thinPercentiles(130)).toEqual(['p99', 'p999']);
    expect(thinPercentiles(662)).toEqual(['p999']);
    expect(thinPercentiles(6_636)).toEqual([]);
  });

  it('are all null of nothing', () => {
    expect(exactStats([])).toMatchObject({ mean: null, p50: null, max: null, count: 0 });
    expect(quantile([], 0.5)).toBeNaN();
  });

  it('take more values than a function takes arguments', () => {
    const many = Array.from({ length: 200_000 }, (_, i) => i);
    expect(least(many)).toBe(0);
    expect(greatest(many)).toBe(199_999);
  });
});

describe('pooled values', () => {
  it('agree with the exact distribution: mean and extremes fully, percentiles within 0.1 %', () => {
    const value = fc.integer({ min: 1, max: 5_000_000 });
    fc.assert(
      fc.property(fc.array(value, { minLength: 1, maxLength: 300 }), (values) => {
        const pool = new Pooled(1_000);
        for (const us of values) pool.add(us);
        const stats = pool.stats();
        const exact = exactStats(values.map((us) => us / 1_000));
        expect(stats.mean).toBeCloseTo(exact.mean!, 6);
        expect(stats.std).toBeCloseTo(exact.std!, 4);
        expect([stats.min, stats.max, stats.count]).toEqual([exact.min, exact.max, values.length]);
        // HDR gives the value at a rank; the nearest rank is what it must be within a bucket of.
        const rank = Math.max(1, Math.ceil(values.length * 0.5));
        const nearest = [...values].sort((a, b) => a - b)[rank - 1]! / 1_000;
        expect(Math.abs(stats.p50! - nearest)).toBeLessThanOrEqual(nearest * 0.001 + 1e-9);
      }),
    );
  });

  it('weigh a value like as many equal ones', () => {
    const once = new Pooled(1_000);
    const often = new Pooled(1_000);
    once.add(5_000, 3);
    once.add(9_000, 1);
    once.add(7_000, 0);
    for (const us of [5_000, 5_000, 5_000, 9_000]) often.add(us);
    expect(once.stats()).toEqual(often.stats());
    expect(once.stats()).toMatchObject({ mean: 6, count: 4, min: 5, max: 9 });
  });

  it('merge after a way through base64', () => {
    const a = decodeFromCompressedBase64(encodeHistogram(histogramOf([1, 2, 3], 1_000)));
    const b = decodeFromCompressedBase64(encodeHistogram(histogramOf([100], 1_000)));
    a.add(b);
    expect(a.totalCount).toBe(4);
    expect(a.getValueAtPercentile(100)).toBeGreaterThan(99_000);
  });

  it('take values beyond their first range', () => {
    const pool = new Pooled(1_000);
    pool.add(10_000_000_000);
    expect(pool.stats().p50).toBeCloseTo(10_000_000, -4);
  });
});
