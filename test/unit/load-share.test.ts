import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { splitPoint } from '../../src/core/load-share.ts';
import type { PointSpec } from '../../src/core/spec.ts';

function point(concurrency: number, requests: number | null, warmup = 0): PointSpec {
  const durationMs = requests === null ? 1_000 : null;
  return { index: 3, concurrency, isl: 10, osl: 5, requests, durationMs, warmup };
}

const total = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0);

describe('splitPoint', () => {
  it('gives exact sums, even slots and requests in proportion, for all levels and numbers of ranks', () => {
    const counts = { c: fc.integer({ min: 1, max: 5_000 }), ranks: fc.integer({ min: 1, max: 64 }) };
    const amounts = {
      requests: fc.integer({ min: 1, max: 50_000 }),
      warmup: fc.integer({ min: 0, max: 64 }),
    };
    fc.assert(
      fc.property(fc.record({ ...counts, ...amounts }), ({ c, ranks, requests, warmup }) => {
        const shares = splitPoint(point(c, requests, warmup), ranks);
        expect(shares).toHaveLength(ranks);
        const slots = shares.map(({ concurrency }) => concurrency);
        expect(total(slots)).toBe(c);
        expect(total(shares.map((share) => share.requests!))).toBe(requests);
        expect(total(shares.map((share) => share.warmup))).toBe(warmup);
        // The first of them, as even as can be.
        const used = Math.min(c, ranks);
        expect(slots.filter((n) => n > 0)).toEqual(slots.slice(0, used));
        expect(Math.max(...slots) - Math.min(...slots.slice(0, used))).toBeLessThanOrEqual(1);
        for (const share of shares) {
          // No rank ends a whole request per slot before or behind the others.
          expect(Math.abs(share.requests! - (requests * share.concurrency) / c)).toBeLessThan(1);
          if (share.concurrency === 0) expect([share.requests, share.warmup]).toEqual([0, 0]);
          expect(share).toMatchObject({ index: 3, isl: 10, osl: 5, durationMs: null });
        }
      }),
    );
  });

  it('keeps the requests per slot where they are whole', () => {
    const shares = splitPoint(point(7, 28, 7), 3);
    expect(shares.map(({ concurrency, requests, warmup }) => [concurrency, requests, warmup])).toEqual([
      [3, 12, 3],
      [2, 8, 2],
      [2, 8, 2],
    ]);
  });

  it('leaves a point that is bounded by time so', () => {
    expect(splitPoint(point(2, null), 2).map(({ requests, durationMs }) => [requests, durationMs])).toEqual([
      [null, 1_000],
      [null, 1_000],
    ]);
  });

  it('shares the arrivals of an open loop out one by one', () => {
    const open = { ...point(100, 10, 3), ratePerS: 4 };
    expect(splitPoint(open, 4)).toMatchObject([
      { share: { nth: 0, of: 4, requests: 10 }, concurrency: 25, requests: 3, warmup: 1, ratePerS: 4 },
      { share: { nth: 1, of: 4, requests: 10 }, concurrency: 25, requests: 3, warmup: 1 },
      { share: { nth: 2, of: 4, requests: 10 }, concurrency: 25, requests: 2, warmup: 1 },
      { share: { nth: 3, of: 4, requests: 10 }, concurrency: 25, requests: 2, warmup: 0 },
    ]);
    const few = splitPoint({ ...point(100, 2, 1), ratePerS: 4 }, 3);
    expect(few.map(({ concurrency, requests }) => [concurrency, requests])).toEqual([
      [50, 1],
      [50, 1],
      [0, 0],
    ]);
  });
});
