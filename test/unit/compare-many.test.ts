import { describe, expect, it } from 'vitest';
import type { Comparison } from '../../src/core/compare.ts';
import { changeRows, compareMany, type ManyComparison, type Side } from '../../src/core/compare-many.ts';
import { Random } from '../../src/core/random.ts';
import { boundLevel, welchChange } from '../../src/core/welch.ts';
import { renderManyComparison } from '../../src/exporters/many-table.ts';
import { shortNames } from '../../src/exporters/side-names.ts';
import { refusal } from '../fixtures/refusal.ts';
import { makeRepeat, makeRepeatLevel } from '../fixtures/repeats.ts';

const METRIC = 'ttftMs.p50';
const OPTIONS = { metrics: [METRIC], marginRatio: 0.02, anyway: false };
/** Logs of variance 1e-4. */
const NOISE = [-1, -1, 0, 1, 1].map((one) => Math.exp(one / 100));

/** Five runs made in one go, or as many as there are values. */
function side(name: string, hour: number, ms: number, levels = [8, 16], values = NOISE): Side {
  return {
    name,
    runs: values.map((factor, nth) =>
      makeRepeat(
        levels.map((concurrency) => makeRepeatLevel(concurrency, { [METRIC]: ms * factor * concurrency })),
        {
          set: name,
          utc: `2026-06-01T0${hour}:0${nth}:00.000Z`,
          facts: [
            ['tag way', name],
            ['seed', '1'],
          ],
        },
      ),
    ),
  };
}

const BASE = side('base', 0, 100);

const overall = ({ changes }: Comparison) => changes.find(({ level }) => level === null)!;

describe('several candidates against one baseline', () => {
  it('have bounds that hold together: by Bonferroni', () => {
    const error = Math.sqrt((2 / 5) * 1e-4);
    // Quantiles of Student's t with 8 degrees of freedom, from printed tables.
    for (const [count, quantile] of [
      [1, 1.8595],
      [2, 2.306],
      [5, 2.8965],
    ] as const) {
      const candidates = Array.from({ length: count }, (_, nth) => side(`c${nth}`, 0, 105));
      const { comparisons } = compareMany(BASE, candidates, OPTIONS);
      expect(comparisons).toHaveLength(count);
      for (const comparison of comparisons) {
        expect(comparison.boundLevelRatio).toBeCloseTo(1 - 0.05 / count, 12);
        const { lowRatio, highRatio } = overall(comparison);
        expect((Math.log(1.05) - Math.log1p(lowRatio!)) / error).toBeCloseTo(quantile, 3);
        expect((Math.log1p(highRatio!) - Math.log(1.05)) / error).toBeCloseTo(quantile, 3);
      }
    }
  });

  it('are called changed by chance in no more families than one in twenty, where single bounds would be in more', () => {
    const random = new Random('family', 1);
    const normal = (): number =>
      Math.sqrt(-2 * Math.log(1 - random.float())) * Math.cos(2 * Math.PI * random.float());
    const runs = (): number[] => Array.from({ length: 5 }, () => Math.exp(0.02 * normal()));
    const families = 1_000;
    let [adjusted, single] = [0, 0];
    for (let nth = 0; nth < families; nth++) {
      const base = runs();
      const candidates = [runs(), runs(), runs()];
      const isAbove = (level: number): boolean =>
        candidates.some((cand) => welchChange(base, cand, level)!.low > 0);
      if (isAbove(boundLevel(3))) adjusted++;
      if (isAbove(boundLevel(1))) single++;
    }
    // Three standard errors of a share of 5 % in so many families.
    expect(adjusted / families).toBeLessThan(0.05 + 3 * Math.sqrt((0.05 * 0.95) / families));
    expect(single / families).toBeGreaterThan(0.08);
  });

  it('stand beside each other where their baseline is the same number, and apart where it is not', () => {
    const compared = compareMany(BASE, [side('one', 0, 110), side('few', 0, 110, [8])], {
      ...OPTIONS,
      anyway: true,
    });
    const rows = changeRows(compared).map(({ level, base, changes }) => [
      level?.concurrency ?? null,
      Math.round(base[2]!),
      changes.map((change) => change && Math.round(100 * change.changeRatio!)),
    ]);
    expect(rows).toEqual([
      // Over levels 8 and 16 for the one, over 8 alone for the other.
      [null, 1_131, [10, null]],
      [null, 800, [null, 10]],
      [8, 800, [10, 10]],
      [16, 1_600, [10, null]],
    ]);
    expect(compared.differences).toEqual([
      { fact: 'tag way', values: [['base'], ['one'], ['few']], incidental: false },
    ]);
  });

  it('are refused where two are the same runs', () => {
    const again = side('one', 0, 110);
    const { message } = refusal(() => compareMany(BASE, [again, { ...again, name: 'two' }], OPTIONS));
    expect(message).toBe('the run of 2026-06-01T00:00:00.000Z is on two sides: one and two');
    expect(() => compareMany(BASE, [BASE], OPTIONS)).toThrow('is on two sides');
  });
});

describe('the page of several candidates', () => {
  const page = (compared: ManyComparison): string =>
    renderManyComparison(compared, { colour: false, width: 160 });

  it('tells each side’s value, its change and the bounds, and of which family they are', () => {
    const text = page(
      compareMany(BASE, [side('slow', 0, 110), side('single', 0, 90, [8, 16], [1])], OPTIONS),
    );
    expect(text).toContain('baseline base of 5 runs, slow of 5 runs, single of 1 run, margin 2.0 %');
    expect(text).toMatch(/all levels +ttftMs\.p50 +base +1,131\n/);
    expect(text).toMatch(/ +slow +1,245 +\+10\.0 % +\+8\.\d % … \+11\.\d % +\d\.\d % +worse\n/);
    expect(text).toMatch(/ +single +1,018 +−10\.0 % +– +– +cannot tell\n/);
    // Of single levels the candidates that stand out.
    expect(text).toMatch(/C=8 +ttftMs\.p50 +base .*\n +slow .* worse\n.*C=16 /);
    expect(text).toContain('cannot tell   single: at least 3 repeats a side are needed');
    expect(text).toContain('each bound holds 97.5 times in 100 (Bonferroni)');
    expect(text).toContain('differs       tag way: base base, slow slow, single single');
  });
});

it('calls places by as much of their ends as tells them apart', () => {
  expect(shortNames(['results/a', './results/b/'])).toEqual(['a', 'b']);
  expect(shortNames(['x/run', 'y/run', 'z/other'])).toEqual(['x/run', 'y/run', 'z/other']);
  expect(shortNames(['x/a', 'x/a', '.'])).toEqual(['a (1)', 'a (2)', '.']);
});
