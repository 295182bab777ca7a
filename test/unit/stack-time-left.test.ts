import { describe, expect, it } from 'vitest';
import { fits, predictLevelMs } from '../../src/stack/launch/time-left.ts';

const level = (concurrency: number, requests: number, durationMs: number, isl = 4000, osl = 1000) => ({
  concurrency,
  requests,
  durationMs,
  isl,
  osl,
});
const next = (concurrency: number, requests: number, isl = 4000, osl = 1000) => ({
  concurrency,
  requests,
  isl,
  osl,
});

describe('how long the next level takes', () => {
  it('is not known when nothing was measured', () => {
    expect(predictLevelMs([], next(1, 4))).toBeNull();
  });

  it('is the wave of the last level, as many times as it has waves', () => {
    // 4 waves in 40 s, so 10 s a wave; 24 requests at 8 are 3 waves.
    expect(predictLevelMs([level(4, 16, 40_000)], next(8, 24))).toBe(30_000);
    // A level smaller than its concurrency is one wave.
    expect(predictLevelMs([level(4, 2, 10_000)], next(8, 8))).toBe(10_000);
  });

  it('grows as the last two levels grew, never shrinks', () => {
    // 10 s a wave at 4, 12 s at 8: 14.4 s at 16, of 4 waves.
    expect(predictLevelMs([level(4, 16, 40_000), level(8, 32, 48_000)], next(16, 64))).toBeCloseTo(57_600, 6);
    // 10 s a wave, then 8 s: stays 8 s.
    expect(predictLevelMs([level(4, 16, 40_000), level(8, 32, 32_000)], next(16, 64))).toBe(32_000);
  });

  it('looks at levels of the same shape', () => {
    const done = [level(1, 4, 4000, 100, 100), level(4, 16, 40_000), level(2, 8, 8000, 100, 100)];
    // 1 s a wave at 1, 2 s at 2 of the small shape; 40 s is of the other.
    expect(predictLevelMs(done, next(4, 16, 100, 100))).toBe(16_000);
  });

  it('scales another shape by its tokens when its own was never measured', () => {
    // 10 s a wave for 1000 tokens out; 2000 out are 20 s, of 4 waves. A smaller shape is not trusted to be faster.
    expect(predictLevelMs([level(4, 16, 40_000)], next(4, 16, 4000, 2000))).toBe(80_000);
    expect(predictLevelMs([level(4, 16, 40_000)], next(4, 16, 100, 100))).toBe(40_000);
  });
});

describe('a level', () => {
  it('fits when it ends with the reserve left', () => {
    expect(fits(30_000, 60_000, 30_000)).toBe(true);
    expect(fits(30_001, 60_000, 30_000)).toBe(false);
    expect(fits(30_000, null, 30_000)).toBe(true);
  });

  it('that cannot be predicted fits as long as there is more than the reserve', () => {
    expect(fits(null, 40_000, 30_000)).toBe(true);
    expect(fits(null, 20_000, 30_000)).toBe(false);
  });
});
