import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type ClockSample, estimateOffset } from '../../src/core/clock-offset.ts';

/** One question between two clocks of which the other is `aheadMs` ahead. */
function ask(atMs: number, aheadMs: number, thereMs: number, backMs: number): ClockSample {
  return { sentMs: atMs, remoteMs: atMs + thereMs + aheadMs, receivedMs: atMs + thereMs + backMs };
}

describe('estimateOffset', () => {
  it('is never further off than it says, whatever the ways take', () => {
    const way = fc.double({ min: 0, max: 500, noNaN: true });
    const ahead = fc.double({ min: -1e7, max: 1e7, noNaN: true });
    fc.assert(
      fc.property(ahead, fc.array(fc.tuple(way, way), { minLength: 1, maxLength: 12 }), (aheadMs, ways) => {
        const samples = ways.map(([there, back], n) => ask(1_000 * n, aheadMs, there, back));
        const { offsetMs, errorMs } = estimateOffset(samples);
        expect(Math.abs(offsetMs - aheadMs)).toBeLessThanOrEqual(errorMs + 1e-6);
        expect(errorMs).toBeCloseTo(Math.min(...ways.map(([there, back]) => there + back)) / 2, 6);
      }),
    );
  });

  it('is exact where both ways take the same', () => {
    expect(estimateOffset([ask(0, -1_234.5, 40, 3), ask(100, -1_234.5, 2, 2)])).toEqual({
      offsetMs: -1_234.5,
      errorMs: 2,
    });
  });

  it('refuses to guess', () => {
    expect(() => estimateOffset([])).toThrow(RangeError);
  });
});
