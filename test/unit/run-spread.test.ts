import { describe, expect, it } from 'vitest';
import { levelsOfRuns, runSpread } from '../../src/core/run-spread.ts';
import { makeCalmReport } from '../fixtures/report.ts';

const [level] = makeCalmReport().levels;
const runs = (...values: (number | null)[]) =>
  values.map((p50) => ({ ...level!, status: 'complete' as const, tpotMs: { ...level!.tpotMs, p50 } }));
const spread = (levels: ReturnType<typeof runs>) => runSpread(levels, ({ tpotMs }) => tpotMs.p50);

describe('a number over the runs of a level', () => {
  it('is the geometric mean and the CV of the sample', () => {
    // Mean 14, deviations −6, −2, 8: a variance of 104 / 2.
    expect(spread(runs(8, 12, 22))).toEqual({
      mean: expect.closeTo((8 * 12 * 22) ** (1 / 3), 10),
      variationRatio: expect.closeTo(Math.sqrt(52) / 14, 10),
    });
    expect(spread(runs(8))).toEqual({ mean: expect.closeTo(8, 10), variationRatio: null });
    expect(spread(runs(0, 4))).toEqual({ mean: 2, variationRatio: expect.closeTo(Math.SQRT2, 10) });
    expect(spread(runs(0, 0))).toEqual({ mean: 0, variationRatio: null });
  });

  it('is of complete runs that have it, or none', () => {
    const [first, second] = runs(8, 100);
    expect(spread([first!, { ...second!, status: 'partial' as never }])!.mean).toBeCloseTo(8, 10);
    expect(spread(runs(8, null))!.mean).toBeCloseTo(8, 10);
    expect(spread(runs(null))).toBeNull();
  });
});

it('levels of several runs belong together by shape and load', () => {
  const report = makeCalmReport();
  const [one, two] = report.levels;
  const other = { ...report, levels: [two!, { ...one!, osl: one!.osl + 1 }] };
  const found = levelsOfRuns([{ ...report, levels: [one!, two!] }, other]);
  expect(found.map((levels) => levels.length)).toEqual([1, 2, 1]);
  expect(found[1]).toEqual([two, two]);
});
