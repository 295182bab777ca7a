import { geometricMean, sum } from './distribution.ts';
import { loadText } from './load.ts';
import type { LevelReport, Report } from './report.ts';

/** Levels of several runs, those of the same shape and load together, in the order of the first run. */
export function levelsOfRuns(reports: readonly Report[]): LevelReport[][] {
  const found = new Map<string, LevelReport[]>();
  for (const level of reports.flatMap(({ levels }) => levels)) {
    const key = `${level.isl} ${level.osl} ${loadText(level)}`;
    found.set(key, [...(found.get(key) ?? []), level]);
  }
  return [...found.values()];
}

/** A number of a level over its runs. */
export interface RunSpread {
  /** Geometric mean, the arithmetic one where a value is not positive; in the unit of the values. */
  readonly mean: number;
  /** Standard deviation between the runs (ddof 1) ÷ their arithmetic mean; null for fewer than two runs, or a mean of 0. */
  readonly variationRatio: number | null;
}

/** The number over the complete ones of the runs of a level; null where none of them has it. */
export function runSpread(
  levels: readonly LevelReport[],
  value: (level: LevelReport) => number | null,
): RunSpread | null {
  const values = levels.flatMap((level) => (level.status === 'complete' ? (value(level) ?? []) : []));
  if (values.length === 0) return null;
  const mean = sum(values) / values.length;
  const middle = values.every((one) => one > 0) ? geometricMean(values) : mean;
  if (values.length < 2 || mean === 0) return { mean: middle, variationRatio: null };
  const variance = sum(values.map((one) => (one - mean) ** 2)) / (values.length - 1);
  return { mean: middle, variationRatio: Math.sqrt(variance) / mean };
}
