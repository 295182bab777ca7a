import { geometricMean, greatest, least } from './distribution.ts';
import { bySet, type Repeat } from './repeat.ts';
import { historyChange, LEAST_REPEATS, type LogChange, welchChange } from './welch.ts';

/**
 * What the bounds of a change stand on: the repeats of each side, runs made at different times on each side, or a baseline of such
 * runs whose variance stands for the candidate's too.
 */
export type Grounds = 'repeats' | 'sets' | 'history';

/** The runs of both sides. */
export interface Sides {
  readonly base: readonly Repeat[];
  readonly cand: readonly Repeat[];
}

/** One value for each run of both sides, in their order. */
export interface Values {
  readonly base: readonly number[];
  readonly cand: readonly number[];
}

/**
 * What the runs of both sides can be judged by; `tooFew` says how many are needed where there are too few. Where both sides have
 * enough runs made at different times, these are compared; else a baseline of such runs stands for the variance of both; else the
 * repeats of one go on each side.
 */
export function groundsOf({
  base,
  cand,
}: Sides): { readonly grounds: Grounds } | { readonly tooFew: string } {
  const goes = { base: bySet(base), cand: bySet(cand) };
  if (goes.base.length >= LEAST_REPEATS) {
    if (goes.cand.length >= LEAST_REPEATS) return { grounds: 'sets' };
    // A mean of few runs differs by more than those of the history do.
    const needed = greatest(goes.base.map(({ length }) => length));
    const fewest = least(goes.cand.map(({ length }) => length));
    return fewest >= needed
      ? { grounds: 'history' }
      : {
          tooFew: `each time of the baseline has up to ${needed} runs, so the candidate needs ${needed} and has ${fewest}`,
        };
  }
  if (goes.base.length > 1 || goes.cand.length > 1)
    return {
      tooFew: `a baseline made at ${LEAST_REPEATS} different times or more is needed, or one time a side with at least ${LEAST_REPEATS} repeats each; there are runs of ${goes.base.length} and of ${goes.cand.length} times`,
    };
  return Math.min(base.length, cand.length) >= LEAST_REPEATS
    ? { grounds: 'repeats' }
    : {
        tooFew: `at least ${LEAST_REPEATS} repeats a side are needed, or a baseline made at ${LEAST_REPEATS} different times; there are ${base.length} and ${cand.length} repeats`,
      };
}

/** By which share each run of one side is beyond each of the other where a change is gross. */
export const GROSS_RATIO = 0.5;

/**
 * By which share each run of the candidate is at least beyond each time of a history where a change is gross. A single run is beyond
 * three days by its rank once in four times, so the gap has to show that this is no chance.
 */
export const HISTORY_GROSS_RATIO = 0.8;

/**
 * How often the gap holds the range of the history, both of logs: beyond three days at which nothing changed by so much lies one
 * log-normal run in 20, at any variance.
 */
export const HISTORY_GROSS_RANGES = 1.3;

/** A change as its grounds show it. */
export interface GroundedChange {
  /** null where a value is not positive. */
  readonly log: LogChange | null;
  readonly gross: 'rise' | 'fall' | null;
}

/**
 * The change of a metric. Repeats are never mixed with runs of other times, from which they differ by less: of those the mean of
 * what was made in one go counts as one run. `level` is that of each one-sided bound.
 */
export function groundedChange(
  values: Values,
  sides: Sides,
  grounds: Grounds,
  level: number,
): GroundedChange {
  if (grounds === 'repeats')
    return { log: welchChange(values.base, values.cand, level), gross: grossChange(values, 1 + GROSS_RATIO) };
  const means = { base: meansByGo(values.base, sides.base), cand: meansByGo(values.cand, sides.cand) };
  return grounds === 'sets'
    ? { log: welchChange(means.base, means.cand, level), gross: grossChange(means, 1 + GROSS_RATIO) }
    : { log: historyChange(means.base, means.cand, level), gross: historyGross(means) };
}

/** The geometric means of the runs that were made in one go. */
function meansByGo(values: readonly number[], runs: readonly Repeat[]): number[] {
  const named = values.map((value, nth) => ({ value, set: runs[nth]!.set, utc: runs[nth]!.utc }));
  return bySet(named).map((ones) => geometricMean(ones.map(({ value }) => value)));
}

/**
 * Whether every run of the candidate is beyond every run of the baseline by more than this factor. Where nothing changed, so that
 * the runs are exchangeable, three a side lie all in that order once in 20 times, in any distribution (F. Wilcoxon,
 * Biometrics Bulletin 1, 1945), and so far apart far less often. It needs no variance of a candidate whose runs differ wildly, and
 * no logarithm of a rate that fell to 0.
 */
function grossChange({ base, cand }: Values, apart: number): GroundedChange['gross'] {
  if (least(cand) > apart * greatest(base)) return 'rise';
  return least(base) > apart * greatest(cand) ? 'fall' : null;
}

/** Whether every run of the candidate is beyond every time of a history by more than HISTORY_GROSS_RATIO and HISTORY_GROSS_RANGES. */
export function historyGross(values: Values): GroundedChange['gross'] {
  const { base } = values;
  return grossChange(
    values,
    Math.max(1 + HISTORY_GROSS_RATIO, (greatest(base) / least(base)) ** HISTORY_GROSS_RANGES),
  );
}
