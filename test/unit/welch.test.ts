import { describe, expect, it } from 'vitest';
import { Random } from '../../src/core/random.ts';
import { studentCdf, studentQuantile } from '../../src/core/student-t.ts';
import { changeFrom, historyChange, holmAdjusted, welchChange } from '../../src/core/welch.ts';

/** Repeats of a metric with a coefficient of variation of 2 %. */
function repeats(random: Random, count: number, ratio: number): number[] {
  const normal = (): number =>
    Math.sqrt(-2 * Math.log(1 - random.float())) * Math.cos(2 * Math.PI * random.float());
  return Array.from({ length: count }, () => 50 * ratio * Math.exp(0.02 * normal()));
}

describe("Student's t", () => {
  // Tables of the distribution (Abramowitz and Stegun 26.10), to the digits that are printed in them.
  it.each([
    [0.975, 1, 12.706205],
    [0.975, 4, 2.776445],
    [0.95, 8, 1.859548],
    [0.975, 10, 2.228139],
    [0.995, 30, 2.749996],
    [0.9, 120, 1.288646],
  ])('has its %s quantile at %s degrees at %s', (p, degrees, t) => {
    expect(studentQuantile(p, degrees)).toBeCloseTo(t, 5);
    expect(studentQuantile(1 - p, degrees)).toBeCloseTo(-t, 5);
    expect(studentCdf(studentQuantile(p, degrees), degrees)).toBeCloseTo(p, 10);
  });

  it('is the integral of its density, for broken degrees of freedom too', () => {
    const degrees = 5.5;
    // Γ(3.25) and Γ(2.75), from Γ(1/4) and Γ(3/4).
    const gammas = [2.25 * 1.25 * 0.25 * 3.625609908221908, 1.75 * 0.75 * 1.2254167024651776] as const;
    const density = (t: number): number =>
      (gammas[0] / gammas[1] / Math.sqrt(degrees * Math.PI)) *
      (1 + (t * t) / degrees) ** (-(degrees + 1) / 2);
    for (const t of [0.3, 1, 2.4, 6]) {
      const steps = 2_000;
      let area = 0;
      // Simpson's rule.
      for (let i = 0; i <= steps; i++)
        area += density((t * i) / steps) * (i === 0 || i === steps ? 1 : i % 2 === 1 ? 4 : 2);
      expect(studentCdf(t, degrees)).toBeCloseTo(0.5 + (area * t) / steps / 3, 9);
    }
    expect([
      studentCdf(0, 3),
      studentCdf(Number.POSITIVE_INFINITY, 3),
      studentCdf(Number.NEGATIVE_INFINITY, 3),
    ]).toEqual([0.5, 1, 0]);
  });
});

describe("Welch's test", () => {
  it('gives the p value of a published example', () => {
    // Rosetta Code, "Welch's t-test": p = 0.021378001462867 for these samples.
    const a = [27.5, 21.0, 19.0, 23.6, 17.0, 17.9, 16.9, 20.1, 21.9, 22.6, 23.1, 19.6, 19.0, 21.7, 21.4];
    const b = [27.1, 22.0, 20.8, 23.4, 23.4, 23.5, 25.8, 22.0, 24.8, 20.2, 21.9, 22.1, 22.9, 20.5, 24.4];
    const { log, pRise, pFall } = welchChange(a.map(Math.exp), b.map(Math.exp))!;
    expect(log).toBeGreaterThan(0);
    expect(2 * pRise).toBeCloseTo(0.021378001462867, 10);
    expect(pRise + pFall).toBeCloseTo(1, 12);
  });

  it('tells ratios, whatever the unit', () => {
    const base = [100, 104, 98, 101];
    const one = welchChange(
      base,
      base.map((value) => value * 1.1),
    )!;
    expect(Math.exp(one.log)).toBeCloseTo(1.1, 12);
    expect(one.low).toBeLessThan(one.log);
    expect(one.high - one.log).toBeCloseTo(one.log - one.low, 12);
    const other = welchChange(
      base.map((value) => value / 1_000),
      base.map((value) => (value * 1.1) / 1_000),
    )!;
    expect(other.smallest).toBeCloseTo(one.smallest, 12);
  });

  it('says nothing of one value a side, or of values without a logarithm', () => {
    expect(welchChange([1], [1, 2])).toBeNull();
    expect(welchChange([1, 0], [1, 2])).toBeNull();
    expect(welchChange([1, 2], [1, Number.NaN])).toBeNull();
    expect(welchChange([2, 2], [2, 2])).toMatchObject({ log: 0, low: 0, high: 0, pRise: 0.5 });
    expect(welchChange([2, 2], [3, 3])).toMatchObject({ pRise: 0, pFall: 1 });
    expect(historyChange([1], [1])).toBeNull();
    expect(historyChange([1, 2], [])).toBeNull();
    expect(changeFrom(1, [1])).toBeNull();
    expect(changeFrom(1, [1, -1])).toBeNull();
  });

  it('keeps its promises: a bound is wrong 5 times in 100, and the smallest change shows 90 times', () => {
    const random = new Random('welch', 1);
    const tries = 4_000;
    let wrong = 0;
    let shown = 0;
    for (let i = 0; i < tries; i++) {
      if (welchChange(repeats(random, 5, 1), repeats(random, 5, 1))!.low > 0) wrong++;
      // Of two samples of 5 with this variation: t(0.95, 8) + t(0.9, 8) standard errors.
      const smallest = (1.859548 + 1.396815) * 0.02 * Math.sqrt(2 / 5);
      if (welchChange(repeats(random, 5, 1), repeats(random, 5, Math.exp(smallest)))!.low > 0) shown++;
    }
    // Three standard deviations of a share of 4,000.
    expect(wrong / tries).toBeGreaterThan(0.05 - 0.0105);
    expect(wrong / tries).toBeLessThan(0.05 + 0.0105);
    expect(shown / tries).toBeGreaterThan(0.9 - 0.015);
    expect(shown / tries).toBeLessThan(0.9 + 0.03);
  });
});

describe('a single run', () => {
  it('is held against the variance of a history, whose bounds are wrong 5 times in 100', () => {
    const random = new Random('history', 1);
    const tries = 4_000;
    let wrong = 0;
    for (let i = 0; i < tries; i++) {
      if (historyChange(repeats(random, 8, 1), repeats(random, 1, 1))!.low > 0) wrong++;
    }
    expect(wrong / tries).toBeGreaterThan(0.05 - 0.0105);
    expect(wrong / tries).toBeLessThan(0.05 + 0.0105);
  });

  it('has the bounds of a prediction interval', () => {
    // Mean 0 and standard deviation 1 of logs: t(0.95, 3) = 2.353363 times √(1 + 1/4).
    const history = [-1, -1, 1, 1].map((log) => Math.exp((log * Math.sqrt(3)) / 2));
    const { log, low, degrees } = historyChange(history, [Math.exp(2)])!;
    expect([log, degrees]).toEqual([expect.closeTo(2, 12), 3]);
    expect(log - low).toBeCloseTo(2.353363 * Math.sqrt(1.25), 5);
  });

  it('of several is held against a limit by the t of one sample', () => {
    // t = 2 / (1 / √4) at three degrees of freedom.
    const values = [-1, -1, 1, 1].map((log) => Math.exp(2 + (log * Math.sqrt(3)) / 2));
    const { log, pRise } = changeFrom(1, values)!;
    expect(log).toBeCloseTo(2, 12);
    expect(pRise).toBeCloseTo(1 - studentCdf(4, 3), 12);
  });
});

it("adjusts p values as Holm's procedure does", () => {
  // R 4: p.adjust(c(0.01, 0.04, 0.03, 0.005), 'holm')
  expect(holmAdjusted([0.01, 0.04, 0.03, 0.005])).toEqual([0.03, 0.06, 0.06, 0.02]);
  expect(holmAdjusted([0.7, 0.6])).toEqual([1, 1]);
  expect(holmAdjusted([])).toEqual([]);
});
