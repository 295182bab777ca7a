import { greatest, least, quantile, sum } from '../core/distribution.ts';

const PERCENTS = [1, 5, 10, 25, 50, 75, 90, 95, 99] as const;
type PercentName = `p${(typeof PERCENTS)[number]}`;

/** A distribution as AIPerf and GenAI-Perf tell it, in the unit of its values. */
export interface Spread extends Readonly<Record<PercentName, number>> {
  readonly avg: number;
  readonly min: number;
  readonly max: number;
  /** The population's (ddof 0): what AIPerf computes, though its manual says the sample's. */
  readonly std: number;
  readonly count: number;
  readonly sum: number;
}

/** The exact distribution of some values, percentiles linear between closest ranks; null for no values. */
export function spreadOf(values: readonly number[]): Spread | null {
  const count = values.length;
  if (count === 0) return null;
  const sorted = Float64Array.from(values).sort();
  const total = sum(values);
  const avg = total / count;
  const variance = values.reduce((squares, value) => squares + (value - avg) ** 2, 0) / count;
  const percentiles = Object.fromEntries(
    PERCENTS.map((percent) => [`p${percent}`, quantile(sorted, percent / 100)]),
  ) as Record<PercentName, number>;
  return {
    avg,
    min: least(values),
    max: greatest(values),
    ...percentiles,
    std: Math.sqrt(variance),
    count,
    sum: total,
  };
}
