import { sum } from './distribution.ts';
import { studentCdf, studentQuantile } from './student-t.ts';

/**
 * Fewer runs of a side, or fewer times at which a baseline was made, say too little of how runs differ among themselves. Three
 * show gross changes, five a side those of a few per cent.
 */
export const LEAST_REPEATS = 3;
/** Of each bound of a single comparison: the interval between both holds the truth 90 times in 100. */
const BOUND_LEVEL = 0.95;
/** With which probability the smallest change that is told would have been seen. */
const POWER = 0.9;

/**
 * The level of each one-sided bound where `family` candidates are held against one baseline: no bound of them all on that side is
 * wrong more than 5 times in 100, whatever they have in common (C. E. Bonferroni, 1936; O. J. Dunn, JASA 56, 1961).
 */
export function boundLevel(family: number): number {
  return 1 - (1 - BOUND_LEVEL) / family;
}

/** A change of logs between two samples. */
export interface LogChange {
  /** Mean of the candidate's logs less that of the baseline's: the log of the ratio of geometric means. */
  readonly log: number;
  /** One-sided bounds, each at the level that was asked for. */
  readonly low: number;
  readonly high: number;
  /** The smallest positive change that these samples would have shown above 0 with probability POWER. */
  readonly smallest: number;
  readonly degrees: number;
  /** One-sided p values: of so high a change where there is none, and of so low a one. */
  readonly pRise: number;
  readonly pFall: number;
}

/**
 * Compares positive numbers, one per repeat, by Welch's t on their logs (B. L. Welch, Biometrika 34, 1947; degrees of freedom
 * by Satterthwaite, 1946). `level` is that of each one-sided bound. null for fewer than two a side, or a value that is not positive.
 */
export function welchChange(
  base: readonly number[],
  cand: readonly number[],
  level = BOUND_LEVEL,
): LogChange | null {
  if (base.length < 2 || cand.length < 2 || !hasLogs([...base, ...cand])) return null;
  const a = moments(base.map(Math.log));
  const b = moments(cand.map(Math.log));
  const [ofA, ofB] = [a.variance / base.length, b.variance / cand.length];
  const variance = ofA + ofB;
  const degrees =
    variance === 0
      ? base.length + cand.length - 2
      : variance ** 2 / (ofA ** 2 / (base.length - 1) + ofB ** 2 / (cand.length - 1));
  return changeOf(b.mean - a.mean, Math.sqrt(variance), degrees, level);
}

/**
 * Compares few new numbers, or one, with a history: Student's t for the mean of new observations, whose variance is taken to be
 * that of the history (the prediction interval for a mean of later observations; G. J. Hahn, Technometrics 11, 1969). null for a history
 * of fewer than two, or a value that is not positive.
 */
export function historyChange(
  history: readonly number[],
  cand: readonly number[],
  level = BOUND_LEVEL,
): LogChange | null {
  if (history.length < 2 || cand.length === 0 || !hasLogs([...history, ...cand])) return null;
  const { mean, variance } = moments(history.map(Math.log));
  const error = Math.sqrt(variance * (1 / history.length + 1 / cand.length));
  return changeOf(sum(cand.map(Math.log)) / cand.length - mean, error, history.length - 1, level);
}

/**
 * Compares repeats with a number that is known exactly, by Student's t on their logs. null for fewer than two, or a value that
 * is not positive.
 */
export function changeFrom(limit: number, values: readonly number[]): LogChange | null {
  if (values.length < 2 || !hasLogs([limit, ...values])) return null;
  const { mean, variance } = moments(values.map(Math.log));
  return changeOf(mean - Math.log(limit), Math.sqrt(variance / values.length), values.length - 1);
}

function changeOf(log: number, error: number, degrees: number, level = BOUND_LEVEL): LogChange {
  const reach = studentQuantile(level, degrees) * error;
  const smallest = reach + studentQuantile(POWER, degrees) * error;
  const t = error === 0 ? exactly(log) : log / error;
  return {
    log,
    low: log - reach,
    high: log + reach,
    smallest,
    degrees,
    pRise: studentCdf(-t, degrees),
    pFall: studentCdf(t, degrees),
  };
}

/** The t of a difference that nothing is uncertain about. */
function exactly(log: number): number {
  return log === 0 ? 0 : Math.sign(log) * Number.POSITIVE_INFINITY;
}

function hasLogs(values: readonly number[]): boolean {
  return values.every((value) => value > 0 && Number.isFinite(value));
}

/** Mean, and the sample's variance (ddof 1). */
function moments(values: readonly number[]): { readonly mean: number; readonly variance: number } {
  const mean = sum(values) / values.length;
  return { mean, variance: sum(values.map((value) => (value - mean) ** 2)) / (values.length - 1) };
}

/**
 * Which of several hypotheses are rejected when all are tested together, at most `alpha` of such families being wrong in any: by
 * Holm's step-down procedure (S. Holm, Scandinavian Journal of Statistics 6, 1979). The p values come back adjusted: a hypothesis is
 * rejected where its own is at most alpha.
 */
export function holmAdjusted(pValues: readonly number[]): number[] {
  const order = pValues.map((_, index) => index).sort((a, b) => pValues[a]! - pValues[b]!);
  const adjusted = new Array<number>(pValues.length);
  let highest = 0;
  for (const [rank, index] of order.entries()) {
    highest = Math.max(highest, Math.min(1, (pValues.length - rank) * pValues[index]!));
    adjusted[index] = highest;
  }
  return adjusted;
}
