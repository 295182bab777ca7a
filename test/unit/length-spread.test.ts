import { describe, expect, it } from 'vitest';
import { drawSpread, parseSpread, ratioBelow } from '../../src/core/length-spread.ts';
import { Random } from '../../src/core/random.ts';
import type { Spread } from '../../src/core/spec.ts';

const DRAWS = 20_000;

function draws(nominal: number, spread: Spread, least = 1): number[] {
  return Array.from({ length: DRAWS }, (_, i) => drawSpread(nominal, spread, least, new Random('draw', i)));
}

const mean = (values: readonly number[]): number => values.reduce((a, b) => a + b) / values.length;
const below = (values: readonly number[], limit: number): number =>
  values.filter((value) => value < limit).length / values.length;

describe('lengths around a nominal one', () => {
  it('are normal: mean, spread and both tails are those of the distribution', () => {
    const lengths = draws(4_000, { kind: 'normal', tokens: 500 });
    // Five standard errors of a mean, of a standard deviation, and of a share.
    expect(Math.abs(mean(lengths) - 4_000)).toBeLessThan((5 * 500) / Math.sqrt(DRAWS));
    const std = Math.sqrt(mean(lengths.map((length) => (length - 4_000) ** 2)));
    expect(Math.abs(std - 500)).toBeLessThan((5 * 500) / Math.sqrt(2 * DRAWS));
    const error = (share: number): number => 5 * Math.sqrt((share * (1 - share)) / DRAWS);
    // Φ(−1) = 0.15866 and Φ(2) = 0.97725, from tables.
    expect(Math.abs(below(lengths, 3_500) - 0.158_66)).toBeLessThan(error(0.158_66));
    expect(Math.abs(below(lengths, 5_000) - 0.977_25)).toBeLessThan(error(0.977_25));
    expect(lengths.every(Number.isInteger)).toBe(true);
  });

  it('are uniform, with both ends', () => {
    const lengths = draws(100, { kind: 'uniform', tokens: 3 });
    const counts = new Map<number, number>();
    for (const length of lengths) counts.set(length, (counts.get(length) ?? 0) + 1);
    expect([...counts.keys()].sort((a, b) => a - b)).toEqual([97, 98, 99, 100, 101, 102, 103]);
    // Chi-square of 6 degrees of freedom: above 22.5 once in a thousand.
    const even = DRAWS / 7;
    expect([...counts.values()].reduce((sum, n) => sum + (n - even) ** 2 / even, 0)).toBeLessThan(22.5);
  });

  it('are cut off below and not heaped up there', () => {
    const lengths = draws(100, { kind: 'normal', tokens: 100 }, 50);
    expect(Math.min(...lengths)).toBe(50);
    // Density at the cut by the normal one: 0.0035 per token over the 0.69 that is left.
    expect(lengths.filter((length) => length === 50).length / DRAWS).toBeLessThan(0.0075);
    // Mean of a normal that is cut at α = −0.505: 100 + 100 · φ(α) / (1 − Φ(α)) = 100 + 100 · 0.3512 / 0.6932.
    expect(Math.abs(mean(lengths) - 150.7)).toBeLessThan(3);
    expect(Math.min(...draws(10, { kind: 'uniform', tokens: 50 }, 5))).toBe(5);
  });

  it.each([
    ['normal', 100, 100, 51, 0.310_3],
    ['normal', 100, 10, 1, 0],
    ['uniform', 100, 100, 51, 51 / 201],
    ['uniform', 100, 10, 1, 0],
  ] as const)('%s around %i ± %i: the share below %d is %d', (kind, nominal, tokens, least, share) => {
    expect(ratioBelow(nominal, { kind, tokens }, least)).toBeCloseTo(share, 3);
  });

  it.each([
    'normal',
    'normal:',
    'normal:0',
    'normal:-5',
    'uniform:1..5',
    'lognormal:2',
    'normal:1e3',
    '',
  ])('are refused as %j', (text) => {
    expect(() => parseSpread(text, '--isl-dist')).toThrow(
      `--isl-dist: "${text}" is no distribution of lengths`,
    );
  });
});
