import { sum } from './distribution.ts';
import { studentQuantile } from './student-t.ts';

/** Fewer repeats a side say too little of how runs differ among themselves. */
export const LEAST_REPEATS = 4;
/** Of each bound: the interval between both holds the truth 90 times in 100. */
const BOUND_LEVEL = 0.95;
/** With which probability the smallest change that is told would have been seen. */
const POWER = 0.9;

/** A change of logs between two samples of repeats. */
export interface WelchChange {
  /** Mean of the candidate's logs less that of the baseline's: the log of the ratio of geometric means. */
  readonly log: number;
  /** One-sided bounds, each at BOUND_LEVEL. */
  readonly low: number;
  readonly high: number;
  /** The smallest positive change that these samples would have shown above 0 with probability POWER. */
  readonly smallest: number;
  readonly degrees: number;
}

/**
 * Compares positive numbers, one per repeat, by Welch's t on their logs (B. L. Welch, Biometrika 34, 1947; degrees of freedom
 * by Satterthwaite, 1946). null for fewer than two a side, or a value that is not positive.
 */
export function welchChange(base: readonly number[], cand: readonly number[]): WelchChange | null {
  if (base.length < 2 || cand.length < 2) return null;
  if ([...base, ...cand].some((value) => !(value > 0) || !Number.isFinite(value))) return null;
  const a = moments(base.map(Math.log));
  const b = moments(cand.map(Math.log));
  const log = b.mean - a.mean;
  const variance = a.ofMean + b.ofMean;
  const degrees =
    variance === 0
      ? base.length + cand.length - 2
      : variance ** 2 / (a.ofMean ** 2 / (base.length - 1) + b.ofMean ** 2 / (cand.length - 1));
  const error = Math.sqrt(variance);
  const reach = studentQuantile(BOUND_LEVEL, degrees) * error;
  const smallest = reach + studentQuantile(POWER, degrees) * error;
  return { log, low: log - reach, high: log + reach, smallest, degrees };
}

/** Mean, and the variance of that mean. */
function moments(values: readonly number[]): { readonly mean: number; readonly ofMean: number } {
  const mean = sum(values) / values.length;
  const squares = sum(values.map((value) => (value - mean) ** 2));
  return { mean, ofMean: squares / (values.length - 1) / values.length };
}
